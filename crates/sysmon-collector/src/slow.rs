//! Probes that may take long or hang: they run beside the ticks, each with its own period and time limit, and the next
//! tick takes what they found.

#[cfg(target_os = "linux")]
pub(crate) mod batteries;
#[cfg(unix)]
pub(crate) mod containers;
#[cfg(target_os = "linux")]
pub(crate) mod links;
#[cfg(target_os = "linux")]
pub(crate) mod mounts;
#[cfg(target_os = "linux")]
pub(crate) mod sensors;
#[cfg(target_os = "linux")]
pub(crate) mod sessions;
#[cfg(target_os = "linux")]
pub(crate) mod systemd;

mod schedule;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sysmon_core::MetricId;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::recorder::{Entity, Recorder};

#[cfg(unix)]
pub(crate) use self::schedule::{AskingProbe, every};
pub(crate) use self::schedule::{SlowProbe, Spec, every_blocking};

/// How often the figures of the probes themselves are sent, in ticks: few people look at them.
const OWN_FIGURES_EVERY: u64 = 10;

/// One value that a probe found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) metric: MetricId,
    /// The mount, sensor, container, …; `None` for what a machine has once.
    pub(crate) entity: Option<String>,
    /// `None` for something that exists and did not answer: its series stay, without a new value.
    pub(crate) value: Option<f64>,
}

impl Reading {
    pub(crate) fn plain(metric: MetricId, value: f64) -> Self {
        Self {
            metric,
            entity: None,
            value: Some(value),
        }
    }

    pub(crate) fn of(metric: MetricId, entity: &str, value: f64) -> Self {
        Self {
            metric,
            entity: Some(entity.to_owned()),
            value: Some(value),
        }
    }

    #[cfg(any(test, target_os = "linux"))]
    pub(crate) fn silent(metric: MetricId, entity: &str) -> Self {
        Self {
            metric,
            entity: Some(entity.to_owned()),
            value: None,
        }
    }
}

/// Why a probe gave nothing.
#[derive(Debug, Error)]
pub(crate) enum ProbeError {
    /// It ran longer than it may.
    #[error("no answer within {0} ms; what it asks may hang")]
    Timeout(u128),
    /// The run before has not come back yet.
    #[error("the run before still hangs; what it asks does not answer")]
    StillRunning,
    /// It ended without an answer.
    #[error("it broke off; see the log for a panic")]
    Broken,
    /// What it asks refused or failed.
    #[error("{0}")]
    Failed(String),
}

/// What one run of a probe came to.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) probe: &'static str,
    /// Everything there is, or `None` when the run failed.
    pub(crate) readings: Option<Vec<Reading>>,
    pub(crate) took_ms: f64,
    /// Failed runs so far.
    pub(crate) failures: u64,
}

/// Where probes leave their reports. One place per probe: a newer report takes the place of one that no tick has
/// fetched yet.
///
/// The uplink counts here as well: what it lost shows with the next ticks.
#[derive(Debug, Default)]
pub(crate) struct Board {
    reports: Mutex<Vec<Report>>,
    dropped_ticks: AtomicU64,
    clock_skew_ms: Mutex<Option<i64>>,
}

impl Board {
    pub(crate) fn post(&self, report: Report) {
        let mut reports = self.lock();
        match reports.iter_mut().find(|waiting| waiting.probe == report.probe) {
            // A failure adds nothing to readings that nobody has seen yet.
            Some(waiting) if report.readings.is_none() => {
                *waiting = Report {
                    readings: waiting.readings.take(),
                    ..report
                };
            }
            Some(waiting) => *waiting = report,
            None => reports.push(report),
        }
    }

    pub(crate) fn take(&self) -> Vec<Report> {
        std::mem::take(&mut self.lock())
    }

    /// A tick is lost for good.
    pub(crate) fn count_dropped_tick(&self) {
        self.count_dropped_ticks(1);
    }

    /// Ticks are lost for good.
    pub(crate) fn count_dropped_ticks(&self, count: u64) {
        self.dropped_ticks.fetch_add(count, Ordering::Relaxed);
    }

    /// Ticks that were lost so far.
    pub(crate) fn dropped_ticks(&self) -> u64 {
        self.dropped_ticks.load(Ordering::Relaxed)
    }

    /// Our clock was so far ahead of the aggregator's when its stream began.
    pub(crate) fn set_clock_skew(&self, skew_ms: i64) {
        *self.clock_skew_ms.lock().unwrap_or_else(PoisonError::into_inner) = Some(skew_ms);
    }

    /// How far our clock is ahead of the aggregator's, in milliseconds; `None` before the first stream.
    pub(crate) fn clock_skew_ms(&self) -> Option<i64> {
        *self.clock_skew_ms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Report>> {
        // Whoever panicked with it left whole reports behind.
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The series of all slow probes.
#[derive(Debug, Default)]
pub(crate) struct SlowSeries {
    probes: Vec<ProbeSeries>,
    ticks: u64,
    dropped_ticks: Option<u64>,
}

#[derive(Debug)]
struct ProbeSeries {
    probe: &'static str,
    /// The probe itself, for its own figures.
    own: Entity,
    entities: BTreeMap<String, Followed>,
    failures: u64,
    took_ms: f64,
    /// Whether its figures have changed since they were sent.
    unsent: bool,
    urgent: bool,
}

#[derive(Debug)]
struct Followed {
    entity: Entity,
    present: bool,
}

impl SlowSeries {
    /// Takes what the probes have reported since the last tick.
    pub(crate) fn record(&mut self, board: &Board, recorder: &mut Recorder) {
        for report in board.take() {
            self.of(report.probe).take(report, recorder);
        }
        let dropped_ticks = board.dropped_ticks();
        if self.dropped_ticks.replace(dropped_ticks) != Some(dropped_ticks) {
            recorder.plain(MetricId::TicksDropped, dropped_ticks as f64);
        }
        if let Some(skew_ms) = board.clock_skew_ms() {
            recorder.plain(MetricId::ClockSkew, skew_ms as f64);
        }
        let due = self.ticks.is_multiple_of(OWN_FIGURES_EVERY);
        self.ticks += 1;
        for series in &mut self.probes {
            if series.urgent || (due && series.unsent) {
                series.urgent = false;
                series.unsent = false;
                recorder.entity(&mut series.own, MetricId::ProbeDuration, series.took_ms);
                recorder.entity(&mut series.own, MetricId::ProbeFailures, series.failures as f64);
            }
        }
    }

    /// How long something took that is no slow probe, under a name of its own.
    pub(crate) fn time(&mut self, probe: &'static str, took_ms: f64) {
        let series = self.of(probe);
        series.took_ms = took_ms;
        series.unsent = true;
    }

    fn of(&mut self, probe: &'static str) -> &mut ProbeSeries {
        let index = self
            .probes
            .iter()
            .position(|series| series.probe == probe)
            .unwrap_or_else(|| {
                self.probes.push(ProbeSeries {
                    probe,
                    own: Entity::new(probe),
                    entities: BTreeMap::new(),
                    failures: 0,
                    took_ms: 0.0,
                    unsent: true,
                    urgent: true,
                });
                self.probes.len() - 1
            });
        &mut self.probes[index]
    }
}

impl ProbeSeries {
    fn take(&mut self, report: Report, recorder: &mut Recorder) {
        self.urgent |= report.failures != self.failures;
        self.failures = report.failures;
        self.took_ms = report.took_ms;
        self.unsent = true;
        let Some(readings) = report.readings else { return };
        for followed in self.entities.values_mut() {
            followed.present = false;
        }
        for Reading {
            metric,
            entity,
            value,
        } in readings
        {
            let Some(name) = entity else {
                recorder.plain_if(metric, value);
                continue;
            };
            let followed = self.entities.entry(name).or_insert_with_key(|name| Followed {
                entity: Entity::new(name),
                present: true,
            });
            followed.present = true;
            if let Some(value) = value {
                recorder.entity(&mut followed.entity, metric, value);
            }
        }
        let vanished = self.entities.extract_if(.., |_, followed| !followed.present);
        vanished.for_each(|(_, followed)| recorder.retire(followed.entity));
    }
}

/// Starts the probes that this system has.
pub(crate) fn spawn(
    tasks: &mut JoinSet<()>,
    config: &Config,
    board: &Arc<Board>,
    interval_ms: &watch::Receiver<u32>,
) {
    let spec = |name, period_seconds, limit_seconds| Spec {
        name,
        period: Duration::from_secs(period_seconds),
        limit: Duration::from_secs(limit_seconds),
    };
    #[cfg(target_os = "linux")]
    {
        let roots = &config.roots;
        let mut blocking = Blocking {
            tasks,
            board,
            interval_ms,
        };
        // Its own limit is per mount; sixteen of them may hang at once.
        blocking.spawn(spec("mounts", 10, 60), mounts::MountProbe::new(roots));
        blocking.spawn(spec("sensors", 5, 5), sensors::SensorProbe::new(roots));
        blocking.spawn(spec("links", 10, 5), links::LinkProbe::new(roots));
        blocking.spawn(spec("sessions", 30, 5), sessions::SessionProbe::new(roots));
        blocking.spawn(spec("batteries", 60, 5), batteries::BatteryProbe::new(roots));
        let units = systemd::UnitProbe::new(roots);
        tasks.spawn(every(
            spec("systemd", 60, 10),
            units,
            Arc::clone(board),
            interval_ms.clone(),
        ));
    }
    #[cfg(not(target_os = "linux"))]
    {
        let mut blocking = Blocking {
            tasks,
            board,
            interval_ms,
        };
        blocking.spawn(spec("mounts", 10, 60), crate::portable::MountProbe);
        blocking.spawn(spec("sensors", 5, 5), crate::portable::SensorProbe);
    }
    #[cfg(not(unix))]
    let _ = config;
    #[cfg(unix)]
    if !config.container_sockets.is_empty() {
        let containers = containers::ContainerProbe::new(config.container_sockets.clone());
        tasks.spawn(every(
            spec("containers", 10, 9),
            containers,
            Arc::clone(board),
            interval_ms.clone(),
        ));
    }
}

struct Blocking<'a> {
    tasks: &'a mut JoinSet<()>,
    board: &'a Arc<Board>,
    interval_ms: &'a watch::Receiver<u32>,
}

impl Blocking<'_> {
    fn spawn(&mut self, spec: Spec, probe: impl SlowProbe) {
        self.tasks.spawn(every_blocking(
            spec,
            // One code for all of them: it waits far more than it works.
            Box::new(probe),
            Arc::clone(self.board),
            self.interval_ms.clone(),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(readings: Option<Vec<Reading>>, failures: u64) -> Report {
        Report {
            probe: "mounts",
            readings,
            took_ms: 1.5,
            failures,
        }
    }

    fn post(reports: Vec<Report>) -> Board {
        let board = Board::default();
        reports.into_iter().for_each(|report| board.post(report));
        board
    }

    fn used(mount: &str, value: f64) -> Reading {
        Reading::of(MetricId::MountUsed, mount, value)
    }

    #[test]
    fn what_vanished_is_retired_and_what_is_silent_is_not() {
        let mut recorder = Recorder::default();
        let mut series = SlowSeries::default();
        let mut tick = |report| {
            series.record(&post(vec![report]), &mut recorder);
            recorder.finish()
        };
        let first = tick(report(
            Some(vec![used("/", 1.0), used("/nfs", 2.0), used("/usb", 3.0)]),
            0,
        ));
        assert_eq!(
            first.announced.len(),
            6,
            "three mounts, the probe's own two, and the dropped ticks"
        );
        let nfs = Reading::silent(MetricId::MountUsed, "/nfs");
        let second = tick(report(Some(vec![used("/", 1.0), nfs]), 0));
        assert_eq!((second.retired.len(), second.values.len()), (1, 1));
        let third = tick(report(None, 1));
        assert!(
            third.retired.is_empty(),
            "a run that failed says nothing of what exists"
        );
        assert_eq!(third.values.len(), 2, "a new failure is told at once");
    }

    #[test]
    fn the_figures_of_the_probes_themselves_are_sent_every_tenth_tick() {
        let mut recorder = Recorder::default();
        let mut series = SlowSeries::default();
        let mut sent = Vec::new();
        for tick in 0..31 {
            series.record(&post(vec![report(Some(Vec::new()), 0)]), &mut recorder);
            if recorder.finish().values.len() > 1 {
                sent.push(tick);
            }
        }
        assert_eq!(sent, [0, 10, 20, 30]);
    }

    #[test]
    fn dropped_ticks_are_told_when_there_are_more() {
        let (mut recorder, mut series, board) =
            (Recorder::default(), SlowSeries::default(), Board::default());
        let mut told = Vec::new();
        for drops in [0, 0, 2, 0] {
            (0..drops).for_each(|_| board.count_dropped_tick());
            series.record(&board, &mut recorder);
            told.push(recorder.finish().values.first().map(|(_, value)| *value));
        }
        assert_eq!(told, [Some(0), None, Some(2), None]);
    }

    #[test]
    fn a_board_keeps_the_newest_report_of_each_probe_only() {
        let board = Board::default();
        board.post(report(Some(vec![used("/", 1.0)]), 0));
        board.post(report(Some(vec![used("/", 2.0)]), 0));
        board.post(report(None, 1));
        let reports = board.take();
        assert_eq!((reports.len(), reports[0].failures), (1, 1));
        assert_eq!(reports[0].readings, Some(vec![used("/", 2.0)]));
        assert!(board.take().is_empty());
    }
}
