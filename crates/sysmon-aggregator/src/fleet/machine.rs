//! One machine as the aggregator knows it.

use std::collections::VecDeque;
use std::sync::Arc;

use sysmon_api::wire;
use sysmon_core::{
    Epoch, Health, HostInfo, Liveness, MachineId, ProcessTable, Recent, SeriesKey, UnixMillis,
};

use super::Moment;
use super::burst::Burst;
use super::due::Due;
use super::health::AlertMark;
use super::numbering::{Entry, Numbering};
use super::remote::Wish;
use super::vitals::{Vital, Vitals};

/// The shortest and longest time between base ticks that a collector may have, in milliseconds.
pub(super) const INTERVAL_MS: std::ops::RangeInclusive<u32> = 100..=3_600_000;

/// Everything known of one machine.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) id: MachineId,
    pub(super) host: HostInfo,
    /// Time between base ticks.
    pub(super) interval_ms: u32,
    /// What is wrong with its connection; empty when nothing is.
    pub(super) problem: String,
    /// When the problem counts as over, on the monotonic clock.
    problem_until_ms: u64,
    /// Grows when host, interval or problem change.
    pub(super) header_version: u64,
    pub(super) liveness: Liveness,
    pub(super) health: Health,
    /// How it fares by its alerts, where those judge.
    pub(super) alerted: Health,
    /// What of them fires or is about to.
    pub(super) alerts: Arc<[AlertMark]>,
    /// When something was last heard of it, on the monotonic clock.
    pub(super) heard_ms: u64,
    /// The same on the clock of the day.
    pub(super) last_seen: UnixMillis,
    pub(super) recent: Recent,
    /// Number for the next series. Numbers are not used twice, so a subscriber that was told of the series below a
    /// number has to be told only of those from there on.
    pub(super) next_series: u32,
    /// The latest series that were retired, oldest first.
    pub(super) retired: VecDeque<u32>,
    /// Bytes of the texts of all series.
    text_bytes: usize,
    /// How many series were ever retired.
    pub(super) retired_count: u64,
    /// Grows when the past was dropped, and with it what subscribers know.
    pub(super) life: u64,
    /// `None` before the first list. Shared with the subscriptions that have sent it.
    pub(super) processes: Option<Arc<ProcessTable>>,
    /// The stream that reports at present.
    pub(super) collector: Option<Collector>,
    /// One life of the collector's batch numbers.
    epoch: Epoch,
    /// Number of the last batch of that life; 0 before the first.
    sequence: u64,
    /// Subscriptions that cover it, by index.
    pub(super) watchers: Vec<usize>,
    /// How many of them want every process.
    pub(super) watchers_of_all: usize,
    /// What clients of other aggregators want of its collector.
    pub(super) wishes: Vec<Wish>,
    /// What clients here have it measured in between.
    pub(super) burst: Burst,
    /// The highest generation of its streams that is known.
    pub(super) generation: u64,
    /// When it is to be looked at again, on the monotonic clock.
    pub(super) due_ms: u64,
    vitals: Vitals,
    /// Grows, with the fleet's, whenever something about the machine may have changed.
    pub(super) version: u64,
    /// How it was when filters that look at that were last asked.
    pub(super) filtered_status: (Liveness, Health),
}

/// The stream of one running collector.
#[derive(Debug)]
pub(super) struct Collector {
    /// Tells it from earlier and later streams of the machine.
    pub(super) serial: u64,
    /// 16 random bytes of the running process.
    pub(super) instance: [u8; 16],
    pub(super) numbering: Numbering,
    /// Which stream of the machine this is, among all aggregators: a higher one replaces a lower one.
    pub(super) generation: u64,
    /// Another aggregator has the stream; its batches come over the bus.
    pub(super) is_remote: bool,
    /// How many batches have come.
    pub(super) reported: u64,
    /// The interval that an operator asked for; 0 for the collector's own.
    pub(super) wanted_interval_ms: u32,
    /// When, in Unix milliseconds; 0 when nobody did.
    pub(super) wanted_unix_ms: i64,
    /// When series that this stream has not announced count as gone, on the monotonic clock.
    pub(super) leftovers_until_ms: u64,
}

impl Collector {
    /// A stream that begins.
    pub(super) fn new(serial: u64, instance: [u8; 16], generation: u64, leftovers_until_ms: u64) -> Self {
        Self {
            serial,
            instance,
            numbering: Numbering::default(),
            generation,
            is_remote: false,
            reported: 0,
            wanted_interval_ms: 0,
            wanted_unix_ms: 0,
            leftovers_until_ms,
        }
    }
}

impl Machine {
    /// How many retired series are remembered; a subscriber that has missed more gets the machine anew.
    const RETIRED_MAX: usize = 256;
    /// The most bytes that the names and labels of all series of a machine may have.
    const TEXT_BYTES_MAX: usize = 4 * 1_024 * 1_024;
    /// How long a second claim to the id stays visible.
    const PROBLEM_MS: u64 = 60_000;

    pub(super) fn new(id: MachineId, window_ms: u64, now: Moment) -> Self {
        Self {
            id,
            host: HostInfo::default(),
            interval_ms: *INTERVAL_MS.start(),
            problem: String::new(),
            problem_until_ms: 0,
            header_version: 1,
            liveness: Liveness::Live,
            health: Health::Unknown,
            alerted: Health::Healthy,
            alerts: Arc::default(),
            heard_ms: now.monotonic_ms,
            last_seen: now.unix,
            recent: Recent::new(window_ms),
            next_series: 1,
            retired: VecDeque::new(),
            text_bytes: 0,
            retired_count: 0,
            life: 1,
            processes: None,
            collector: None,
            epoch: Epoch([0; 16]),
            sequence: 0,
            watchers: Vec::new(),
            watchers_of_all: 0,
            wishes: Vec::new(),
            burst: Burst::default(),
            generation: 0,
            due_ms: Due::NEVER,
            vitals: Vitals::default(),
            version: 0,
            filtered_status: (Liveness::Live, Health::Unknown),
        }
    }

    /// Takes over what a collector says of its host and pace. Returns whether anything of that changed, and with it
    /// perhaps the filters it matches.
    pub(super) fn set_header(&mut self, host: Option<HostInfo>, interval_ms: Option<u32>) -> bool {
        let mut changed = false;
        if let Some(interval_ms) = interval_ms
            .map(|interval_ms| interval_ms.clamp(*INTERVAL_MS.start(), *INTERVAL_MS.end()))
            .filter(|interval_ms| *interval_ms != self.interval_ms)
        {
            self.interval_ms = interval_ms;
            self.header_version += 1;
            changed = true;
        }
        if let Some(host) = host.filter(|host| *host != self.host) {
            self.host = host;
            self.header_version += 1;
            changed = true;
        }
        changed
    }

    /// Notes which life of batch numbers comes from now on; a collector that reconnects goes on in the same.
    pub(super) fn begin(&mut self, epoch: Epoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.sequence = 0;
        }
    }

    /// Notes the number of a batch; returns whether it follows the one before.
    pub(super) fn follow(&mut self, sequence: u64) -> bool {
        let before = std::mem::replace(&mut self.sequence, sequence);
        before == 0 || sequence == before.wrapping_add(1)
    }

    /// Shows a problem for a minute.
    pub(super) fn set_problem(&mut self, problem: String, now: Moment) {
        self.problem_until_ms = now.monotonic_ms + Self::PROBLEM_MS;
        if self.problem != problem {
            self.problem = problem;
            self.header_version += 1;
        }
    }

    /// Shows no problem any more.
    pub(super) fn clear_problem(&mut self) {
        if !self.problem.is_empty() {
            self.problem.clear();
            self.header_version += 1;
        }
    }

    /// Lets what is over be over: an old problem, and series of an earlier stream that the present one has had ample
    /// time to announce. Returns whether anything changed.
    pub(super) fn expire(&mut self, now: Moment) -> bool {
        let before = (self.header_version, self.retired_count);
        if self.problem_until_ms <= now.monotonic_ms {
            self.clear_problem();
        }
        if let Some(collector) = &mut self.collector
            && collector.leftovers_until_ms <= now.monotonic_ms
        {
            collector.leftovers_until_ms = Due::NEVER;
            let mut announced: Vec<u32> = collector.numbering.ours().collect();
            announced.sort_unstable();
            let leftovers: Vec<u32> = self
                .recent
                .series()
                .map(|(number, _)| number)
                .filter(|number| announced.binary_search(number).is_err())
                .collect();
            for number in leftovers {
                self.retire(number);
            }
        }
        before != (self.header_version, self.retired_count)
    }

    /// When something about the machine changes although nothing is heard of it, on the monotonic clock.
    pub(super) fn next_due_ms(&self) -> u64 {
        let liveness = match self.liveness {
            Liveness::Live => self.heard_ms + Liveness::stale_after_ms(self.interval_ms.into()),
            Liveness::Stale => self.heard_ms + Liveness::LOST_AFTER_MS,
            Liveness::Lost => Due::NEVER,
        };
        let problem = if self.problem.is_empty() {
            Due::NEVER
        } else {
            self.problem_until_ms
        };
        let leftovers = self
            .collector
            .as_ref()
            .map_or(Due::NEVER, |collector| collector.leftovers_until_ms);
        let wishes = self.wishes.iter().map(|wish| wish.until_ms).min();
        liveness
            .min(problem)
            .min(leftovers)
            .min(wishes.unwrap_or(Due::NEVER))
            .min(self.burst.next_due_ms())
    }

    /// Our number for a series that the present stream calls `theirs`; `false` when there are too many series.
    pub(super) fn announce(&mut self, theirs: u32, key: Arc<SeriesKey>, decimals: u8) -> bool {
        let Some(collector) = &self.collector else {
            return false;
        };
        if collector.numbering.len() >= Recent::SERIES_LIMIT && !collector.numbering.contains(theirs) {
            return false;
        }
        let known = self.recent.number_of(&key);
        let same = known.filter(|number| {
            self.recent
                .get(*number)
                .is_some_and(|series| series.decimals == decimals)
        });
        let vital = Vital::of(&key);
        let ours = match same {
            Some(number) => number,
            None => {
                // Values of another precision do not go with the old ones.
                if let Some(known) = known {
                    self.retire(known);
                }
                let (number, Some(next)) = (self.next_series, self.next_series.checked_add(1)) else {
                    return false;
                };
                let bytes = text_bytes(&key);
                let fits = self.text_bytes + bytes <= Self::TEXT_BYTES_MAX;
                if !fits || !self.recent.announce(number, key, decimals) {
                    return false;
                }
                self.text_bytes += bytes;
                self.next_series = next;
                number
            }
        };
        let entry = Entry {
            ours,
            decimals,
            vital,
        };
        let before = self
            .collector
            .as_mut()
            .and_then(|collector| collector.numbering.insert(theirs, entry));
        if let Some(before) = before.filter(|before| before.ours != ours) {
            self.retire(before.ours);
        }
        true
    }

    /// Forgets the series that the present stream calls `theirs`.
    pub(super) fn retire_theirs(&mut self, theirs: u32) {
        let entry = self
            .collector
            .as_mut()
            .and_then(|collector| collector.numbering.remove(theirs));
        if let Some(entry) = entry {
            self.retire(entry.ours);
        }
    }

    /// Forgets a series by our number.
    pub(super) fn retire(&mut self, number: u32) {
        let Some(series) = self.recent.get(number) else {
            return;
        };
        if let Some(vital) = Vital::of(&series.key) {
            self.vitals.forget(vital);
        }
        self.text_bytes -= text_bytes(&series.key);
        self.recent.retire(number);
        self.retired_count += 1;
        self.retired.push_back(number);
        if self.retired.len() > Self::RETIRED_MAX {
            self.retired.pop_front();
        }
    }

    /// The series retired since there were `count` of them; `None` when they are no longer remembered.
    pub(super) fn retired_since(&self, count: u64) -> Option<impl Iterator<Item = u32>> {
        let missed = usize::try_from(self.retired_count - count).ok()?;
        let skipped = self.retired.len().checked_sub(missed)?;
        Some(self.retired.iter().skip(skipped).copied())
    }

    /// Adds a tick; `values` are the stream's, ascending by its numbers. Returns how many were of unknown series.
    /// `scratch` is a buffer to reuse.
    pub(super) fn tick(
        &mut self,
        at: UnixMillis,
        values: &[(u32, i64)],
        scratch: &mut Vec<(u32, i64)>,
    ) -> usize {
        let Some(collector) = &self.collector else {
            return values.len();
        };
        scratch.clear();
        let vitals = &mut self.vitals;
        let unknown = collector.numbering.translate(values, |entry, scaled| {
            scratch.push((entry.ours, scaled));
            if let Some(vital) = entry.vital {
                vitals.add(vital, at.0, sysmon_core::from_scaled(scaled, entry.decimals));
            }
        });
        self.recent.push(at, scratch.drain(..));
        unknown
    }

    /// Drops the past but keeps the series, because the machine's clock was set back: its times would run backwards.
    pub(super) fn forget_past(&mut self) {
        let series: Vec<_> = self
            .recent
            .series()
            .map(|(number, series)| (number, Arc::clone(&series.key), series.decimals))
            .collect();
        self.recent.clear();
        for (number, key, decimals) in series {
            self.recent.announce(number, key, decimals);
        }
        self.vitals = Vitals::default();
        self.life += 1;
    }

    /// How the machine fares by its own numbers at `at`, on its own clock.
    pub(super) fn judge(&self, at: UnixMillis) -> Health {
        if self.liveness == Liveness::Lost {
            Health::Unknown
        } else {
            self.vitals.judge(at.0, self.interval_ms)
        }
    }

    /// What the collector is to do.
    pub(super) fn directive(&self) -> wire::Directive {
        let processes = if self.watchers_of_all > 0 || self.wishes.iter().any(|wish| wish.wants_all) {
            wire::ProcessDetail::All
        } else {
            wire::ProcessDetail::Top
        };
        let own = self
            .collector
            .as_ref()
            .map(|collector| (collector.wanted_unix_ms, collector.wanted_interval_ms));
        let others = self
            .wishes
            .iter()
            .map(|wish| (wish.interval_unix_ms, wish.interval_ms));
        // Whoever asked last has the say.
        let latest = own
            .into_iter()
            .chain(others)
            .max_by_key(|(asked_ms, _)| *asked_ms);
        wire::Directive {
            interval_ms: latest.map_or(0, |(_, interval_ms)| interval_ms),
            processes: processes.into(),
            burst_interval_ms: self.burst.interval_ms(),
        }
    }

    /// What seldom changes, as it travels.
    pub(super) fn header(&self) -> wire::MachineHeader {
        wire::MachineHeader {
            machine_id: self.id.to_string(),
            host: Some(sysmon_api::host_to_wire(&self.host)),
            interval_ms: self.interval_ms,
            problem: self.problem.clone(),
        }
    }
}

/// Bytes of the texts of a series.
fn text_bytes(key: &SeriesKey) -> usize {
    let labels = key
        .labels
        .iter()
        .map(|label| label.name.len() + label.value.len());
    key.metric.name().len() + labels.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sysmon_core::MetricId;

    fn machine() -> Machine {
        let mut machine = Machine::new(
            MachineId::parse("web-1").unwrap(),
            300_000,
            Moment {
                monotonic_ms: 0,
                unix: UnixMillis(0),
            },
        );
        connect(&mut machine);
        machine
    }

    fn connect(machine: &mut Machine) {
        machine.collector = Some(Collector::new(1, [0; 16], 1, 300_000));
    }

    fn key(metric: MetricId) -> Arc<SeriesKey> {
        Arc::new(SeriesKey::plain(metric))
    }

    fn push(machine: &mut Machine, second: i64, values: &[(u32, i64)]) -> usize {
        machine.tick(UnixMillis(second * 1_000), values, &mut Vec::new())
    }

    #[test]
    fn a_series_keeps_its_number_and_past_when_the_collector_comes_back_with_other_numbers() {
        let mut machine = machine();
        assert!(machine.announce(10, key(MetricId::CpuBusy), 1));
        assert!(machine.announce(11, key(MetricId::Load1), 2));
        push(&mut machine, 0, &[(10, 5), (11, 7)]);
        let number = machine.recent.number_of(&key(MetricId::CpuBusy));
        connect(&mut machine);
        assert!(machine.announce(1, key(MetricId::Load1), 2));
        assert!(machine.announce(2, key(MetricId::CpuBusy), 1));
        assert_eq!(
            push(&mut machine, 9, &[(1, 70), (2, 50), (10, 1)]),
            1,
            "10 is of the old stream"
        );
        assert_eq!(machine.recent.number_of(&key(MetricId::CpuBusy)), number);
        let series = machine.recent.get(number.unwrap()).unwrap();
        let points: Vec<_> = machine.recent.points(series, 0).collect();
        assert_eq!(
            points,
            [(UnixMillis(0), Some(0.5)), (UnixMillis(9_000), Some(5.0))]
        );
    }

    #[test]
    fn another_precision_is_another_series() {
        let mut machine = machine();
        machine.announce(1, key(MetricId::CpuBusy), 1);
        push(&mut machine, 0, &[(1, 500)]);
        connect(&mut machine);
        machine.announce(1, key(MetricId::CpuBusy), 3);
        assert_eq!(machine.recent.value(MetricId::CpuBusy), None);
        push(&mut machine, 1, &[(1, 50_000)]);
        assert_eq!(machine.recent.value(MetricId::CpuBusy), Some(50.0));
        assert_eq!(machine.retired_since(0).unwrap().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_series_that_the_new_stream_does_not_announce_goes_in_time() {
        let mut machine = machine();
        machine.announce(1, key(MetricId::CpuBusy), 1);
        machine.announce(2, key(MetricId::Load1), 1);
        connect(&mut machine);
        machine.announce(1, key(MetricId::CpuBusy), 1);
        let at = |monotonic_ms| Moment {
            monotonic_ms,
            unix: UnixMillis(0),
        };
        assert!(!machine.expire(at(299_999)));
        assert!(machine.expire(at(300_000)));
        assert_eq!(machine.recent.series().len(), 1);
    }

    #[test]
    fn one_number_that_changes_its_meaning_lets_the_old_series_go() {
        let mut machine = machine();
        machine.announce(1, key(MetricId::CpuBusy), 1);
        machine.announce(1, key(MetricId::Load1), 1);
        assert_eq!(machine.recent.series().len(), 1);
        machine.retire_theirs(1);
        machine.retire_theirs(1);
        assert_eq!(machine.recent.series().len(), 0);
        assert_eq!(machine.retired_count, 2);
    }

    #[test]
    fn a_stream_cannot_fill_memory_with_numbers_for_one_series() {
        let mut machine = machine();
        for theirs in 0..10_000 {
            machine.announce(theirs, key(MetricId::CpuBusy), 1);
        }
        let collector = machine.collector.as_ref().unwrap();
        assert_eq!(collector.numbering.len(), Recent::SERIES_LIMIT);
    }

    #[test]
    fn a_stream_cannot_fill_memory_with_labels() {
        let mut machine = machine();
        let long = |theirs: u32| Arc::new(SeriesKey::of(MetricId::MountUsed, &format!("{theirs:01024}")));
        let taken = (0..4_096)
            .filter(|theirs| machine.announce(*theirs, long(*theirs), 0))
            .count();
        assert!((3_900..4_096).contains(&taken), "{taken}");
        for theirs in 0..4_096 {
            machine.retire_theirs(theirs);
        }
        assert_eq!(machine.text_bytes, 0);
    }

    #[test]
    fn endless_retirement_is_remembered_only_so_far() {
        let mut machine = machine();
        for theirs in 0..1_000 {
            machine.announce(theirs, key(MetricId::CpuBusy), 1);
            machine.retire_theirs(theirs);
        }
        assert!(machine.retired_since(0).is_none());
        assert_eq!(
            machine.retired_since(998).unwrap().collect::<Vec<_>>(),
            [999, 1_000]
        );
    }
}
