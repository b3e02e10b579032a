//! What there is to tell, and what the present stream was told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sysmon_api::{
    host_to_wire, process_table_to_wire, processes_to_wire, series_to_wire, tick_to_wire, wire,
};
use sysmon_core::{HostInfo, MetricId, Process, ProcessDelta, ProcessTable, SeriesKey};

use crate::sample::Sample;

/// How much of a process list goes into one batch. What does not fit follows with the next one.
const PROCESSES_BYTES_MAX: usize = 1 << 20;

/// The state of the machine's report, kept up whether there is a stream or not: a new stream starts from it.
#[derive(Debug)]
pub(crate) struct Mirror {
    series: BTreeMap<u32, Known>,
    /// Newest values of the series that do not come with every tick.
    held: BTreeMap<u32, i64>,
    /// Counts the series that went away.
    retirements: u64,
    processes: Option<Arc<ProcessTable>>,
    host: HostInfo,
}

#[derive(Debug)]
struct Known {
    key: Arc<SeriesKey>,
    decimals: u8,
}

/// What the other side of one stream knows.
#[derive(Debug)]
pub(crate) struct Told {
    /// Nothing was sent yet.
    is_fresh: bool,
    series: BTreeSet<u32>,
    retirements: u64,
    /// `None` as long as no list was sent. The mirror's own, once it was sent whole.
    processes: Option<Arc<ProcessTable>>,
    host: HostInfo,
    interval_ms: u32,
}

impl Mirror {
    pub(crate) fn new(host: HostInfo) -> Self {
        Self {
            series: BTreeMap::new(),
            held: BTreeMap::new(),
            retirements: 0,
            processes: None,
            host,
        }
    }

    pub(crate) fn host(&self) -> &HostInfo {
        &self.host
    }

    /// Takes note of a sample.
    pub(crate) fn take(&mut self, sample: &Sample) {
        for number in &sample.retired {
            self.series.remove(number);
            self.held.remove(number);
            self.retirements += 1;
        }
        for series in &sample.announced {
            let known = Known {
                key: Arc::clone(&series.key),
                decimals: series.decimals,
            };
            self.series.insert(series.number, known);
            if series.key.id().is_some_and(is_held) {
                self.held.insert(series.number, 0);
            }
        }
        for (number, value) in &sample.values {
            if let Some(held) = self.held.get_mut(number) {
                *held = *value;
            }
        }
        if let Some(processes) = &sample.processes {
            self.processes = Some(Arc::clone(processes));
        }
        if let Some(host) = &sample.host {
            self.host = host.clone();
        }
    }
}

impl Told {
    /// A stream that knows of its hello only.
    pub(crate) fn new(mirror: &Mirror, interval_ms: u32) -> Self {
        Self {
            is_fresh: true,
            series: BTreeSet::new(),
            retirements: mirror.retirements,
            processes: None,
            host: mirror.host.clone(),
            interval_ms,
        }
    }

    /// The next message: this sample under its sequence, and whatever else the other side lacks. Of several samples that wait, the
    /// mirror may have taken note of later ones already; what those retired is not mentioned any more.
    pub(crate) fn batch(
        &mut self,
        sequence: u64,
        sample: &Sample,
        mirror: &Mirror,
        interval_ms: u32,
    ) -> wire::Batch {
        let mut values = sample.values.clone();
        if std::mem::take(&mut self.is_fresh) {
            let in_tick: BTreeSet<u32> = values.iter().map(|(number, _)| *number).collect();
            let held = mirror.held.iter().map(|(number, value)| (*number, *value));
            values.extend(held.filter(|(number, _)| !in_tick.contains(number)));
            values.sort_unstable_by_key(|(number, _)| *number);
        }
        let mut announced = Vec::new();
        values.retain(|(number, _)| {
            if self.series.contains(number) {
                return true;
            }
            let Some(known) = mirror.series.get(number) else {
                return false;
            };
            announced.push(series_to_wire(*number, &known.key, known.decimals));
            self.series.insert(*number)
        });
        let wants_processes = sample.processes.is_some() || self.processes.is_none();
        wire::Batch {
            sequence,
            announced,
            tick: Some(tick_to_wire(sample.at, &values)),
            retired: self.retired(mirror),
            processes: if wants_processes {
                self.process_update(mirror)
            } else {
                None
            },
            host: (self.host != mirror.host).then(|| {
                self.host.clone_from(&mirror.host);
                host_to_wire(&mirror.host)
            }),
            interval_ms: if self.interval_ms == interval_ms {
                0
            } else {
                self.interval_ms = interval_ms;
                interval_ms
            },
        }
    }

    /// The message of a tick of a burst: only values, of series that were announced before.
    pub(super) fn burst(&self, sample: &Sample) -> wire::Batch {
        let mut values = sample.values.clone();
        values.retain(|(number, _)| self.series.contains(number));
        wire::Batch {
            tick: Some(tick_to_wire(sample.at, &values)),
            ..wire::Batch::default()
        }
    }

    fn retired(&mut self, mirror: &Mirror) -> Vec<u32> {
        if self.retirements == mirror.retirements {
            return Vec::new();
        }
        self.retirements = mirror.retirements;
        self.series
            .extract_if(.., |number| !mirror.series.contains_key(number))
            .collect()
    }

    /// How the list changed for the other side; `None` when it did not.
    fn process_update(&mut self, mirror: &Mirror) -> Option<wire::ProcessUpdate> {
        let table = mirror.processes.as_ref()?;
        if self.processes.is_none() && fitting(table.iter()) == table.iter().len() {
            self.processes = Some(Arc::clone(table));
            return Some(process_table_to_wire(table));
        }
        let mut delta = match &self.processes {
            Some(told) => told.delta_to(table),
            None => table.to_delta(),
        };
        let told = self.processes.get_or_insert_default();
        let is_news = delta.replace
            || !delta.changed.is_empty()
            || !delta.removed.is_empty()
            || delta.totals != told.totals()
            || delta.complete != told.is_complete();
        if !is_news {
            return None;
        }
        let is_whole = limit(&mut delta);
        let update = processes_to_wire(&delta, told);
        if is_whole {
            *told = Arc::clone(table);
        } else {
            Arc::make_mut(told).apply(&delta);
        }
        Some(update)
    }
}

/// How many of these one message may hold.
fn fitting<'a>(processes: impl Iterator<Item = &'a Process>) -> usize {
    let size = |process: &Process| 64 + process.user.len() + process.name.len() + process.command.len();
    let mut total = 0;
    let fits = processes.take_while(|process| {
        total += size(process);
        total <= PROCESSES_BYTES_MAX
    });
    fits.count()
}

/// Cuts a change to what one message may hold; a list without its end is not complete. `true` when nothing was cut.
fn limit(delta: &mut ProcessDelta) -> bool {
    let count = fitting(delta.changed.iter());
    let is_whole = count == delta.changed.len();
    if !is_whole {
        delta.changed.truncate(count);
        delta.complete = false;
    }
    is_whole
}

/// Whether a metric's value holds until the next one, which may be many ticks later. A new stream gets those at once.
fn is_held(metric: MetricId) -> bool {
    use MetricId as M;
    matches!(
        metric,
        M::UsersLoggedIn
            | M::MountTotal
            | M::MountUsed
            | M::MountAvailable
            | M::MountUsedPercent
            | M::MountInodes
            | M::MountInodesUsedPercent
            | M::MountWorstPercent
            | M::NetworkLinkUp
            | M::Temperature
            | M::Fan
            | M::BatteryCharge
            | M::Processes
            | M::ProcessesZombie
            | M::Threads
            | M::ContainerCpu
            | M::ContainerMemory
            | M::ContainerMemoryLimit
            | M::ContainerReceive
            | M::ContainerTransmit
            | M::ContainerRunning
            | M::ContainerHealthy
            | M::ContainerRestarts
            | M::SystemdFailedUnits
            | M::SystemdUnitFailed
            | M::ProbeDuration
            | M::ProbeFailures
            | M::TicksDropped
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Announcement;
    use sysmon_api::{processes_from_wire, series_from_wire, tick_values};
    use sysmon_core::{ProcessKey, ProcessState, UnixMillis};

    fn announcement(number: u32, metric: MetricId) -> Announcement {
        Announcement {
            number,
            key: Arc::new(SeriesKey::plain(metric)),
            decimals: metric.definition().decimals,
        }
    }

    /// What a receiver makes of batches.
    #[derive(Default)]
    struct Receiver {
        series: BTreeMap<u32, String>,
        values: BTreeMap<String, i64>,
        processes: ProcessTable,
    }

    impl Receiver {
        fn take(&mut self, batch: &wire::Batch) {
            for definition in &batch.announced {
                let (number, key, _) = series_from_wire(definition).unwrap();
                self.series.insert(number, key.to_string());
            }
            for (number, value) in tick_values(batch.tick.as_ref().unwrap()).unwrap() {
                let name = self
                    .series
                    .get(&number)
                    .expect("a series is announced before its first value");
                self.values.insert(name.clone(), value);
            }
            for number in &batch.retired {
                let name = self
                    .series
                    .remove(number)
                    .expect("only what was announced is retired");
                self.values.remove(&name);
            }
            if let Some(update) = &batch.processes {
                let delta = processes_from_wire(update, &self.processes);
                self.processes.apply(&delta);
            }
        }
    }

    fn process(pid: u32, cpu: f32, command: &str) -> Process {
        Process {
            key: ProcessKey { pid, start_ms: 1 },
            parent_pid: 1,
            user: "root".into(),
            name: "x".into(),
            command: command.into(),
            state: ProcessState::Sleeping,
            cpu_percent: Some(cpu),
            memory_bytes: 1,
            threads: 1,
            read_bytes_per_second: None,
            write_bytes_per_second: None,
        }
    }

    fn table(processes: Vec<Process>) -> ProcessTable {
        let mut table = ProcessTable::default();
        table.apply(&ProcessDelta {
            replace: true,
            complete: true,
            changed: processes,
            ..ProcessDelta::default()
        });
        table
    }

    #[test]
    fn a_new_stream_gets_what_holds_and_nothing_that_has_passed() {
        let mut mirror = Mirror::new(HostInfo::default());
        mirror.take(&Sample {
            announced: vec![
                announcement(1, MetricId::CpuBusy),
                announcement(2, MetricId::DiskReadTotal),
                announcement(3, MetricId::MountWorstPercent),
            ],
            values: vec![(1, 10), (2, 20), (3, 30)],
            processes: Some(table(vec![process(7, 1.0, "a")]).into()),
            ..Sample::default()
        });
        let now = Sample {
            at: UnixMillis(5),
            values: vec![(1, 11)],
            ..Sample::default()
        };
        mirror.take(&now);
        let mut told = Told::new(&mirror, 1_000);
        let mut receiver = Receiver::default();
        let batch = told.batch(1, &now, &mirror, 1_000);
        receiver.take(&batch);
        assert_eq!((batch.sequence, batch.interval_ms), (1, 0));
        let expected = BTreeMap::from([
            ("cpu.busy_percent".into(), 11),
            ("mount.worst_used_percent".into(), 30),
        ]);
        assert_eq!(receiver.values, expected);
        assert_eq!(Some(&receiver.processes), mirror.processes.as_deref());
        let second = told.batch(2, &now, &mirror, 2_000);
        assert!(second.announced.is_empty() && second.processes.is_none() && second.host.is_none());
        assert_eq!((second.sequence, second.interval_ms), (2, 2_000));
        assert_eq!(told.batch(3, &now, &mirror, 2_000).interval_ms, 0, "said once");
    }

    #[test]
    fn what_was_retired_while_samples_waited_is_neither_announced_nor_left_over() {
        let mut mirror = Mirror::new(HostInfo::default());
        let mut told = Told::new(&mirror, 1_000);
        let mut receiver = Receiver::default();
        let samples = [
            Sample {
                announced: vec![
                    announcement(1, MetricId::MountUsed),
                    announcement(2, MetricId::MountTotal),
                ],
                values: vec![(1, 1), (2, 2)],
                ..Sample::default()
            },
            Sample {
                values: vec![(1, 3)],
                retired: vec![2],
                ..Sample::default()
            },
            Sample {
                announced: vec![announcement(3, MetricId::MountTotal)],
                values: vec![(3, 4)],
                retired: vec![1],
                ..Sample::default()
            },
        ];
        mirror.take(&samples[0]);
        receiver.take(&told.batch(3, &samples[0], &mirror, 1_000));
        assert_eq!(receiver.series.len(), 2);
        for sample in &samples[1..] {
            mirror.take(sample);
        }
        for sample in &samples[1..] {
            receiver.take(&told.batch(3, sample, &mirror, 1_000));
        }
        assert_eq!(receiver.values, BTreeMap::from([("mount.total_bytes".into(), 4)]));
    }

    #[test]
    fn a_list_that_is_too_long_for_a_message_comes_in_parts_and_calm_ones_do_not_come_at_all() {
        let mut mirror = Mirror::new(HostInfo::default());
        let long = "x".repeat(1_000);
        let processes: Vec<Process> = (0..3_000).map(|pid| process(pid, 0.0, &long)).collect();
        let sample = Sample {
            processes: Some(table(processes).into()),
            ..Sample::default()
        };
        mirror.take(&sample);
        let mut told = Told::new(&mirror, 1_000);
        let mut receiver = Receiver::default();
        let mut batches = 0;
        loop {
            let batch = told.batch(3, &sample, &mirror, 1_000);
            assert!(prost::Message::encoded_len(&batch) < 2 << 20);
            if batch.processes.is_none() {
                break;
            }
            batches += 1;
            receiver.take(&batch);
            assert_eq!(
                receiver.processes.is_complete(),
                receiver.processes.iter().len() == 3_000
            );
        }
        assert_eq!(batches, 4, "then nothing is news any more");
        assert_eq!(Some(&receiver.processes), mirror.processes.as_deref());
    }

    #[test]
    fn a_host_that_changed_is_said_once() {
        let mut mirror = Mirror::new(HostInfo::default());
        let mut told = Told::new(&mirror, 1_000);
        let renamed = HostInfo {
            hostname: "new".into(),
            ..HostInfo::default()
        };
        let sample = Sample {
            host: Some(renamed),
            ..Sample::default()
        };
        mirror.take(&sample);
        assert_eq!(
            told.batch(3, &sample, &mirror, 1_000).host.unwrap().hostname,
            "new"
        );
        assert_eq!(told.batch(3, &sample, &mirror, 1_000).host, None);
    }

    /// A tick of a real machine under load, with what its slow probes found, as `examples/tick.rs` prints it.
    const RECORDED: &str = include_str!("../../tests/fixtures/recorded_tick.tsv");

    fn recorded() -> Sample {
        let mut sample = Sample {
            at: UnixMillis(1_795_445_000_000),
            ..Sample::default()
        };
        for (number, line) in (1..).zip(RECORDED.lines()) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [name, label, decimals, value] = fields[..] else {
                panic!("{line}")
            };
            let metric = MetricId::from_name(name).unwrap();
            let key = match label.split_once('=') {
                Some((_, entity)) => SeriesKey::of(metric, entity),
                None => SeriesKey::plain(metric),
            };
            let decimals = decimals.parse().unwrap();
            sample.announced.push(Announcement {
                number,
                key: Arc::new(key),
                decimals,
            });
            sample.values.push((number, value.parse().unwrap()));
        }
        sample
    }

    #[test]
    fn a_tick_of_a_hundred_series_is_under_a_kibibyte_on_the_wire() {
        let first = recorded();
        assert!(first.values.len() >= 100, "{}", first.values.len());
        let mut mirror = Mirror::new(HostInfo::default());
        mirror.take(&first);
        let mut told = Told::new(&mirror, 1_000);
        told.batch(3, &first, &mirror, 1_000);
        let next = Sample {
            announced: Vec::new(),
            at: first.at.plus_ms(1_000),
            ..first
        };
        let length = prost::Message::encoded_len(&told.batch(3, &next, &mirror, 1_000));
        assert!(
            length < 400,
            "{length} bytes: a recorded tick takes about three bytes per series"
        );
        // However busy: not one value below a megabyte per second.
        let busy = next
            .values
            .iter()
            .map(|(number, value)| (*number, (*value).max(1_234_567)))
            .collect();
        let busy = Sample { values: busy, ..next };
        let length = prost::Message::encoded_len(&told.batch(3, &busy, &mirror, 1_000));
        assert!(length < 1_024, "{length} bytes");
    }
}
