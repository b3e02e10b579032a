//! What one machine measured, as ticks that are still to be played.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use sysmon_core::{INTERVAL_METRIC, MachineHistory, MachineMoment, Recent, SeriesKey, UnixMillis, to_scaled};

/// One moment of a machine: scaled values by the reel's numbers, ascending.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) at: UnixMillis,
    pub(super) values: Vec<(u32, i64)>,
}

/// The ticks of one machine and the series that they are about. It has no more series than any machine may have, and no
/// more ticks than were read at a time.
#[derive(Debug, Default)]
pub(super) struct Reel {
    numbers: HashMap<Arc<SeriesKey>, Known>,
    next_number: u32,
    to_come: VecDeque<Tick>,
    /// Series that the fleet has not been told of.
    announced: Vec<(u32, SeriesKey, u8)>,
    /// Numbers of series that are no more.
    retired: Vec<u32>,
    /// Time between samples, as the machine last said.
    pub(super) interval_ms: Option<u64>,
    /// How long a moment of what was read last is; 0 for single samples.
    pub(super) step_ms: u64,
    /// Time of the newest tick that was taken.
    pub(super) last: Option<UnixMillis>,
}

#[derive(Debug)]
struct Known {
    number: u32,
    decimals: u8,
    /// Time of the newest value that was read.
    last: UnixMillis,
}

impl Reel {
    /// How a machine was at a moment, and what it measured in the time before.
    pub(super) fn begin(moment: &MachineMoment, past: Option<&MachineHistory>, at: UnixMillis) -> Self {
        let mut reel = Self {
            interval_ms: moment.interval_ms,
            ..Self::default()
        };
        let mut ticks = BTreeMap::new();
        if let Some(past) = past {
            // Of a series that is no more at the moment nothing is shown of the time before either.
            let is_there = |key: &Arc<SeriesKey>| {
                moment
                    .series
                    .binary_search_by(|series| series.key.cmp(key))
                    .is_ok()
            };
            let is_silent = moment.series.is_empty();
            reel.read(past, at, &mut ticks, |key| is_silent || is_there(key));
        }
        for series in &moment.series {
            if let Some(number) = reel.number(&series.key, series.decimals, series.at) {
                put(
                    &mut ticks,
                    series.at,
                    number,
                    to_scaled(series.value, series.decimals),
                );
            }
        }
        reel.take_over(ticks, UnixMillis(i64::MIN));
        reel
    }

    /// What a machine measured in the time that comes next, after `from` and up to `to`.
    pub(super) fn go_on(&mut self, history: &MachineHistory, from: UnixMillis, to: UnixMillis) {
        self.step_ms = history.step_ms;
        let mut ticks = BTreeMap::new();
        self.read(history, to, &mut ticks, |_| true);
        if !ticks.is_empty() {
            self.retire_before(from);
        }
        self.take_over(ticks, from);
    }

    fn read(
        &mut self,
        history: &MachineHistory,
        to: UnixMillis,
        ticks: &mut BTreeMap<UnixMillis, BTreeMap<u32, i64>>,
        is_wanted: impl Fn(&Arc<SeriesKey>) -> bool,
    ) {
        let width_ms = i64::try_from(history.step_ms).unwrap_or(i64::MAX);
        for series in history.series.iter().filter(|series| is_wanted(&series.key)) {
            for (time, point) in history.times.iter().zip(&series.points) {
                let Some(point) = point.filter(|_| *time <= to) else {
                    continue;
                };
                // What a moment says is known at its end.
                let at = time.plus_ms(width_ms).min(to);
                let Some(number) = self.number(&series.key, series.decimals, at) else {
                    break;
                };
                put(ticks, at, number, to_scaled(point.mean, series.decimals));
                if series.key.id() == Some(INTERVAL_METRIC) && point.mean >= 1.0 {
                    self.interval_ms = Some(point.mean as u64);
                }
            }
        }
    }

    /// The number of a series, of which there is a value at `at`; none when there are too many series.
    fn number(&mut self, key: &Arc<SeriesKey>, decimals: u8, at: UnixMillis) -> Option<u32> {
        if let Some(known) = self.numbers.get_mut(key)
            && known.decimals == decimals
        {
            known.last = known.last.max(at);
            return Some(known.number);
        }
        if self.numbers.len() >= Recent::SERIES_LIMIT {
            return None;
        }
        self.next_number = self.next_number.checked_add(1)?;
        let known = Known {
            number: self.next_number,
            decimals,
            last: at,
        };
        self.announced
            .push((known.number, SeriesKey::clone(key), decimals));
        if let Some(before) = self.numbers.insert(Arc::clone(key), known) {
            self.retired.push(before.number);
        }
        Some(self.next_number)
    }

    /// Lets go of series that have had no value for so long that they are no more, although the machine goes on.
    fn retire_before(&mut self, at: UnixMillis) {
        let reach_ms = self
            .interval_ms
            .unwrap_or(0)
            .saturating_mul(3)
            .clamp(MachineMoment::REACH_MS, MachineMoment::REACH_MS_MAX);
        let Self { numbers, retired, .. } = self;
        numbers.retain(|_, known| {
            let is_there = at.since_ms(known.last) <= reach_ms;
            if !is_there {
                retired.push(known.number);
            }
            is_there
        });
    }

    fn take_over(&mut self, ticks: BTreeMap<UnixMillis, BTreeMap<u32, i64>>, after: UnixMillis) {
        let newest = self.to_come.back().map(|tick| tick.at).max(self.last);
        let after = newest.map_or(after, |newest| newest.max(after));
        let new = ticks.into_iter().filter(|(at, _)| *at > after);
        self.to_come.extend(new.map(|(at, values)| Tick {
            at,
            values: values.into_iter().collect(),
        }));
    }

    /// The next tick up to a moment, if there is one.
    pub(super) fn next(&mut self, at: UnixMillis) -> Option<Tick> {
        if self.to_come.front()?.at > at {
            return None;
        }
        let tick = self.to_come.pop_front()?;
        self.last = Some(tick.at);
        Some(tick)
    }

    /// Series that have come since this was last called, and those that have gone.
    pub(super) fn take_changes(&mut self) -> (Vec<(u32, SeriesKey, u8)>, Vec<u32>) {
        let announced = std::mem::take(&mut self.announced);
        let mut retired = std::mem::take(&mut self.retired);
        // One that came and went meanwhile was never told of; its number is only passed over.
        retired.retain(|number| !announced.iter().any(|(new, ..)| new == number));
        (announced, retired)
    }

    /// Whether the machine counts as heard of at a moment although its last tick is older: its ticks are so far apart that
    /// heartbeats lay between them, or that they stand for whole moments.
    pub(super) fn is_heard_between(&self, at: UnixMillis) -> bool {
        const HEARTBEAT_MS: u64 = sysmon_core::Liveness::HEARTBEAT_MS;
        let interval_ms = self.interval_ms.unwrap_or(0);
        if interval_ms <= HEARTBEAT_MS && self.step_ms == 0 {
            return false;
        }
        let longest_ms = interval_ms
            .saturating_mul(3)
            .max(self.step_ms.saturating_mul(2))
            .min(MachineMoment::REACH_MS_MAX);
        self.last.is_some_and(|last| at.since_ms(last) <= longest_ms)
    }
}

fn put(
    ticks: &mut BTreeMap<UnixMillis, BTreeMap<u32, i64>>,
    at: UnixMillis,
    number: u32,
    scaled: Option<i64>,
) {
    if let Some(scaled) = scaled {
        ticks.entry(at).or_default().insert(number, scaled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sysmon_core::{MachineId, MetricId, Point, SeriesPoints, Tier};

    fn history(step_ms: u64, columns: &[(MetricId, &[(i64, f64)])]) -> MachineHistory {
        let mut times: Vec<UnixMillis> = columns
            .iter()
            .flat_map(|(_, points)| points.iter().map(|(at, _)| UnixMillis(at * 1_000)))
            .collect();
        times.sort_unstable();
        times.dedup();
        let column = |(metric, points): &(MetricId, &[(i64, f64)])| SeriesPoints {
            key: Arc::new(SeriesKey::plain(*metric)),
            decimals: 1,
            points: times
                .iter()
                .map(|time| {
                    let found = points.iter().find(|(at, _)| at * 1_000 == time.0);
                    found.map(|(_, mean)| Point {
                        minimum: *mean,
                        maximum: *mean,
                        mean: *mean,
                        count: 1,
                    })
                })
                .collect(),
        };
        MachineHistory {
            machine: MachineId::parse("web-1").unwrap(),
            tier: Tier::Raw,
            step_ms,
            series: columns.iter().map(column).collect(),
            times,
            gaps: Vec::new(),
        }
    }

    fn play(reel: &mut Reel, to: i64) -> Vec<(i64, usize)> {
        let mut ticks = Vec::new();
        while let Some(tick) = reel.next(UnixMillis(to * 1_000)) {
            ticks.push((tick.at.0 / 1_000, tick.values.len()));
        }
        ticks
    }

    #[test]
    fn the_past_comes_before_the_moment_and_every_value_once() {
        let both = history(
            0,
            &[
                (MetricId::CpuBusy, &[(0, 1.0), (5, 2.0), (10, 3.0), (15, 4.0)]),
                (MetricId::MemoryUsed, &[(5, 9.0)]),
            ],
        );
        let at = UnixMillis(12_000);
        let moment = MachineMoment::of(&both, at);
        let past = history(0, &[(MetricId::CpuBusy, &[(0, 1.0), (5, 2.0), (10, 3.0)])]);
        let mut reel = Reel::begin(&moment, Some(&past), at);
        assert_eq!(play(&mut reel, 12), [(0, 1), (5, 2), (10, 1)]);
        assert_eq!(reel.take_changes().0.len(), 2);
        // What was read anyway is not played again.
        reel.go_on(&both, at, UnixMillis(20_000));
        assert_eq!(play(&mut reel, 14), []);
        assert_eq!(play(&mut reel, 20), [(15, 1)]);
        assert_eq!(reel.take_changes(), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_series_that_ends_while_the_machine_goes_on_is_let_go() {
        let begin = history(
            0,
            &[
                (MetricId::CpuBusy, &[(0, 1.0)]),
                (MetricId::MemoryUsed, &[(0, 9.0)]),
            ],
        );
        let at = UnixMillis(0);
        let mut reel = Reel::begin(&MachineMoment::of(&begin, at), None, at);
        play(&mut reel, 0);
        let (announced, _) = reel.take_changes();
        let memory = announced
            .iter()
            .find(|(_, key, _)| key.id() == Some(MetricId::MemoryUsed))
            .unwrap()
            .0;
        let only_cpu = history(0, &[(MetricId::CpuBusy, &[(140, 1.0), (145, 1.0)])]);
        reel.go_on(&only_cpu, UnixMillis(139_000), UnixMillis(150_000));
        assert_eq!(reel.take_changes(), (Vec::new(), vec![memory]));
        // Silence is no reason: what was said last stays.
        reel.go_on(&history(0, &[]), UnixMillis(900_000), UnixMillis(950_000));
        assert_eq!(reel.take_changes(), (Vec::new(), Vec::new()));
    }

    #[test]
    fn moments_are_known_at_their_end_and_a_slow_machine_is_heard_between() {
        let minutes = history(60_000, &[(MetricId::CpuBusy, &[(0, 1.0), (60, 2.0)])]);
        let mut reel = Reel::default();
        reel.go_on(&minutes, UnixMillis(-1), UnixMillis(100_000));
        assert_eq!(play(&mut reel, 100), [(60, 1), (100, 1)]);
        assert!(reel.is_heard_between(UnixMillis(210_000)));
        assert!(!reel.is_heard_between(UnixMillis(230_000)));
        let mut quick = Reel {
            last: Some(UnixMillis(0)),
            interval_ms: Some(5_000),
            ..Reel::default()
        };
        assert!(!quick.is_heard_between(UnixMillis(1_000)));
        quick.interval_ms = Some(60_000);
        assert!(quick.is_heard_between(UnixMillis(179_000)));
    }
}
