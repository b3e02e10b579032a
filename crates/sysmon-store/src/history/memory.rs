//! History in this process: the last hour of every machine, for trying things out and for tests.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use std::sync::Arc;

use async_trait::async_trait;
use sysmon_core::{
    Epoch, Gap, GapReason, HistoryQuery, HostInfo, MachineHistory, MachineId, Metric, SeriesKey, UnixMillis,
};

use super::answer::{Answer, Edges};
use super::bytes::{Reader, put_signed};
use super::letters::{letter_values, may_retry};
use super::plan::Plan;
use super::processes::{self, Kept};
use super::{
    Content, DeadLetter, DeadLetterFilter, History, IngestBatch, MachineProcesses, MachineRecord,
    Maintenance, Outcome, SeriesTable, StoreInfo,
};
use crate::error::StoreError;

/// The longest past that is kept of a machine, in milliseconds before its newest sample.
const KEPT_MS: i64 = 3_600_000;
/// The most ticks that are kept of a machine: an hour of ten a second.
const TICKS_MAX: usize = 36_000;
/// The most values that are kept of all machines together, about five bytes each. Beyond, every machine keeps its share of that: an
/// hour of twenty machines, or the last ten seconds of ten thousand.
const VALUES_MAX: usize = 8_000_000;
/// How many batches are stored before others get a turn.
const COMMITTED_AT_ONCE: usize = 64;
/// The most gaps that are kept of a machine; more push out the oldest.
const GAPS_MAX: usize = 1_000;
/// The most dead letters; more push out the oldest.
const LETTERS_MAX: usize = 1_000;
/// The most epochs of a machine whose cursor is kept; more push out the one that was used least recently.
const EPOCHS_MAX: usize = 64;

/// Keeps the last hour of ticks per machine, at most [`TICKS_MAX`] of them; roll-ups are made when they are asked for.
#[derive(Debug, Default)]
pub(crate) struct MemoryHistory {
    state: Mutex<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    machines: HashMap<MachineId, Machine>,
    /// Number of each key and decimals, and back.
    numbers: HashMap<(Arc<SeriesKey>, u8), u32>,
    series: Vec<(Arc<SeriesKey>, u8)>,
    letters: VecDeque<DeadLetter>,
    last_letter: i64,
    scratch: Scratch,
}

/// Buffers that are used again.
#[derive(Clone, Debug, Default)]
struct Scratch {
    values: Vec<(u32, i64)>,
    bytes: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct Machine {
    host: HostInfo,
    first_sample: Option<UnixMillis>,
    last_sample: Option<UnixMillis>,
    /// By time and order of arrival.
    ticks: BTreeMap<(i64, u64), Packed>,
    /// How many values those are.
    values: usize,
    arrivals: u64,
    /// The series table that came last, by its id, as numbers of the stream and of this store, ascending.
    numbering: (u64, Vec<(u32, u32)>),
    gaps: VecDeque<Gap>,
    /// Least recently used first.
    cursors: Vec<(Epoch, u64)>,
    processes: Kept,
}

/// The values of a tick, each as the difference of its number to the one before, and itself; a third of what they take in
/// plain words.
#[derive(Clone, Debug, Default)]
struct Packed {
    count: u32,
    bytes: Box<[u8]>,
}

impl Packed {
    fn of(values: &[(u32, i64)], scratch: &mut Vec<u8>) -> Self {
        scratch.clear();
        let mut before = 0;
        for (number, value) in values {
            put_signed(scratch, i64::from(*number) - before);
            put_signed(scratch, *value);
            before = i64::from(*number);
        }
        Self {
            count: u32::try_from(values.len()).unwrap_or(u32::MAX),
            bytes: scratch.as_slice().into(),
        }
    }

    fn len(&self) -> usize {
        self.count as usize
    }

    fn iter(&self) -> impl Iterator<Item = (u32, i64)> {
        let mut reader = Reader(&self.bytes);
        let mut before = 0;
        std::iter::from_fn(move || {
            if reader.is_empty() {
                return None;
            }
            // What was written here is read here: it ends early only for a mistake of ours.
            before += reader.signed().ok()?;
            Some((u32::try_from(before).ok()?, reader.signed().ok()?))
        })
    }
}

impl Machine {
    fn cursor(&self, epoch: Epoch) -> u64 {
        let known = self.cursors.iter().find(|(known, _)| *known == epoch);
        known.map_or(0, |(_, through)| *through)
    }

    fn advance(&mut self, epoch: Epoch, through: u64) {
        // As a rule the epoch is the one that was used last.
        if let Some((known, cursor)) = self.cursors.last_mut()
            && *known == epoch
        {
            *cursor = through;
            return;
        }
        self.cursors.retain(|(known, _)| *known != epoch);
        if self.cursors.len() >= EPOCHS_MAX {
            self.cursors.remove(0);
        }
        self.cursors.push((epoch, through));
    }

    /// Keeps a tick, and of all of them at most `values_max` values or the newest tick.
    fn put(&mut self, at: UnixMillis, values: Packed, values_max: usize) {
        self.first_sample = Some(self.first_sample.map_or(at, |first| first.min(at)));
        self.last_sample = Some(self.last_sample.map_or(at, |last| last.max(at)));
        self.arrivals += 1;
        self.values += values.len();
        self.ticks.insert((at.0, self.arrivals), values);
        let newest = self
            .ticks
            .last_key_value()
            .map_or(at.0, |((newest, _), _)| *newest);
        while let Some(first) = self.ticks.first_entry() {
            let (oldest, _) = *first.key();
            let is_within_bounds = self.ticks.len() <= TICKS_MAX && self.values <= values_max;
            if oldest > newest.saturating_sub(KEPT_MS) && is_within_bounds || self.ticks.len() == 1 {
                break;
            }
            let (_, values) = self.ticks.pop_first().unwrap_or_default();
            self.values -= values.len();
        }
    }

    fn put_gap(&mut self, gap: Gap) {
        if self.gaps.len() >= GAPS_MAX {
            self.gaps.pop_front();
        }
        self.gaps.push_back(gap);
    }
}

impl State {
    fn number(&mut self, key: &Arc<SeriesKey>, decimals: u8) -> u32 {
        let next = u32::try_from(self.series.len()).unwrap_or(u32::MAX);
        let State { numbers, series, .. } = self;
        *numbers.entry((key.clone(), decimals)).or_insert_with(|| {
            series.push((key.clone(), decimals));
            next
        })
    }

    /// The values under the numbers of this store; those of unknown series are left out. Numbers are looked up once per
    /// table, not once per value.
    fn translated(&mut self, machine: &MachineId, series: &SeriesTable, values: &[(u32, i64)]) -> Packed {
        let known = self.machines.get_mut(machine);
        let (id, mut numbers) = known
            .map(|known| std::mem::take(&mut known.numbering))
            .unwrap_or_default();
        if id != series.id() {
            let entries = series.entries().iter();
            numbers = entries
                .map(|(theirs, entry)| (*theirs, self.number(&entry.key, entry.decimals)))
                .collect();
        }
        let Scratch {
            values: translated,
            bytes,
        } = &mut self.scratch;
        translated.clear();
        // Both ascend as a rule, so that the next number is looked for where it should be.
        let mut next = 0;
        for (theirs, value) in values {
            let found = match numbers.get(next) {
                Some((number, _)) if number == theirs => Ok(next),
                _ => numbers.binary_search_by_key(theirs, |(theirs, _)| *theirs),
            };
            if let Ok(index) = found {
                translated.push((numbers[index].1, *value));
                next = index + 1;
            }
        }
        let packed = Packed::of(translated, bytes);
        if let Some(known) = self.machines.get_mut(machine) {
            known.numbering = (series.id(), numbers);
        }
        packed
    }

    fn commit(&mut self, batches: &[IngestBatch]) -> Vec<Outcome> {
        let one = |batch: &IngestBatch| {
            let known = self.machines.get(&batch.machine);
            let through = known.map_or(0, |machine| machine.cursor(batch.epoch));
            if batch.last_sequence() <= through {
                return Outcome::Stored { through };
            }
            if batch.sequence > through + 1 {
                return Outcome::Expected {
                    sequence: through + 1,
                };
            }
            self.store(batch);
            let machine = self.machines.entry(batch.machine.clone()).or_default();
            machine.advance(batch.epoch, batch.last_sequence());
            if let Some(host) = &batch.host {
                machine.host = (**host).clone();
            }
            Outcome::Stored {
                through: batch.last_sequence(),
            }
        };
        batches.iter().map(one).collect()
    }

    fn store(&mut self, batch: &IngestBatch) {
        match &batch.content {
            Content::Tick { at, series, values } => {
                // It is there from the first tick on, so that what is found out about its series is kept.
                self.machines.entry(batch.machine.clone()).or_default();
                let values = self.translated(&batch.machine, series, values);
                let share = VALUES_MAX / self.machines.len().max(1);
                let machine = self.machines.entry(batch.machine.clone()).or_default();
                let before = machine.last_sample.filter(|last| *last < *at);
                if let Some(from) = before.filter(|_| batch.spool_was_lost && batch.sequence == 1) {
                    machine.put_gap(Gap {
                        from,
                        to: *at,
                        samples: 0,
                        reason: GapReason::SpoolLost,
                    });
                }
                machine.put(*at, values, share);
            }
            Content::Lost {
                last_sequence,
                from,
                to,
                reason,
            } => {
                let machine = self.machines.entry(batch.machine.clone()).or_default();
                let samples = last_sequence - machine.cursor(batch.epoch);
                machine.put_gap(Gap {
                    from: *from,
                    to: *to,
                    samples,
                    reason: *reason,
                });
            }
            Content::Dead {
                received,
                reason,
                tick,
            } => {
                self.last_letter += 1;
                if self.letters.len() >= LETTERS_MAX {
                    self.letters.pop_front();
                }
                self.letters.push_back(DeadLetter {
                    id: self.last_letter,
                    machine: batch.machine.clone(),
                    epoch: batch.epoch,
                    sequence: batch.sequence,
                    received: *received,
                    reason: reason.clone(),
                    tick: tick.clone(),
                });
            }
        }
    }

    fn answer(&self, machine_id: &MachineId, query: &HistoryQuery) -> Option<MachineHistory> {
        let machine = self.machines.get(machine_id)?;
        let Some(plan) = Plan::of(query) else {
            return Some(super::answer::nothing(machine_id.clone()));
        };
        let (from, to) = plan.reach();
        let within = || machine.ticks.range((from, 0)..(to, 0));
        let times: Vec<i64> = within().map(|((at, _), _)| *at).collect();
        let mut answer = Answer::of(plan, &times);
        let places = answer.place(&times);
        let mut columns: BTreeMap<u32, Vec<(u32, i64)>> = BTreeMap::new();
        for (place, (_, values)) in places.iter().zip(within()) {
            for (series, value) in values.iter() {
                columns.entry(series).or_default().push((*place, value));
            }
        }
        for (series, samples) in columns {
            answer.add(series, samples.into_iter());
        }
        let before = machine.ticks.range(..(from, 0)).next_back();
        let after = machine.ticks.range((to, 0)..).next();
        let is_interval =
            |(key, _): &(Arc<SeriesKey>, u8)| key.metric == Metric::Known(sysmon_core::INTERVAL_METRIC);
        let numbers = (0u32..)
            .zip(&self.series)
            .filter(|(_, series)| is_interval(series));
        let edges = Edges {
            before: before.map(|((at, _), _)| *at),
            after: after.map(|((at, _), _)| *at),
            intervals: numbers.map(|(number, _)| number).collect(),
            usual_ms: None,
        };
        let wanted = |series: u32| {
            let (key, decimals) = self.series.get(series as usize)?;
            let name = key.metric.name();
            (query.metrics.is_empty() || query.metrics.iter().any(|metric| metric == name))
                .then(|| (key.clone(), *decimals))
        };
        let gaps = machine.gaps.iter().cloned().collect();
        Some(answer.finish(machine_id.clone(), &edges, gaps, wanted))
    }
}

impl MemoryHistory {
    /// The lock is never held across an await; a panic while it was held left whole entries at worst.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl History for MemoryHistory {
    async fn commit(&self, batches: &[IngestBatch]) -> Result<Vec<Outcome>, StoreError> {
        super::check(batches)?;
        let mut outcomes = Vec::with_capacity(batches.len());
        for part in batches.chunks(COMMITTED_AT_ONCE) {
            outcomes.extend(self.state().commit(part));
            // Each batch is stored with its cursor, so that whoever waits in between sees nothing half done.
            tokio::task::yield_now().await;
        }
        Ok(outcomes)
    }

    async fn query(&self, query: &HistoryQuery) -> Result<Vec<MachineHistory>, StoreError> {
        let state = self.state();
        let answers = query
            .machines
            .iter()
            .filter_map(|machine| state.answer(machine, query));
        Ok(answers.collect())
    }

    async fn put_process_snapshots(&self, snapshots: &[MachineProcesses]) -> Result<u64, StoreError> {
        processes::check(snapshots)?;
        let mut state = self.state();
        let mut stored = 0;
        for snapshot in snapshots {
            if let Some(machine) = state.machines.get_mut(&snapshot.machine) {
                stored += u64::from(machine.processes.put(snapshot));
            }
        }
        Ok(stored)
    }

    async fn process_snapshots_at(
        &self,
        machines: &[MachineId],
        at: UnixMillis,
    ) -> Result<Vec<MachineProcesses>, StoreError> {
        processes::check_machines(machines)?;
        let state = self.state();
        let found = |machine: &MachineId| state.machines.get(machine)?.processes.at(machine, at);
        Ok(machines.iter().filter_map(found).collect())
    }

    async fn machines(&self) -> Result<Vec<MachineRecord>, StoreError> {
        let record = |(id, machine): (&MachineId, &Machine)| MachineRecord {
            machine: id.clone(),
            host: machine.host.clone(),
            first_sample: machine.first_sample,
            last_sample: machine.last_sample,
        };
        let mut records: Vec<_> = self.state().machines.iter().map(record).collect();
        records.sort_unstable_by(|a, b| a.machine.cmp(&b.machine));
        Ok(records)
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let is_wanted = |letter: &&DeadLetter| {
            filter
                .machine
                .as_ref()
                .is_none_or(|machine| *machine == letter.machine)
                && filter
                    .received_before
                    .is_none_or(|before| letter.received < before)
        };
        let state = self.state();
        let letters = state.letters.iter().filter(is_wanted).take(limit as usize);
        Ok(letters.cloned().collect())
    }

    async fn retry_dead_letters(&self, ids: &[i64], now: UnixMillis, force: bool) -> Result<u64, StoreError> {
        let mut state = self.state();
        let mut stored = 0;
        for id in ids {
            let Some(index) = state.letters.iter().position(|letter| letter.id == *id) else {
                continue;
            };
            let Some(tick) = state.letters[index]
                .tick
                .clone()
                .filter(|tick| may_retry(tick, now, force))
            else {
                continue;
            };
            let values = letter_values(&tick);
            let values = values
                .iter()
                .map(|(key, decimals, value)| (state.number(key, *decimals), *value));
            let values: Vec<_> = values.collect();
            let values = Packed::of(&values, &mut Vec::new());
            let Some(letter) = state.letters.remove(index) else {
                continue;
            };
            let share = VALUES_MAX / state.machines.len().max(1);
            let machine = state.machines.entry(letter.machine).or_default();
            machine.put(UnixMillis(tick.at_unix_ms), values, share);
            stored += 1;
        }
        Ok(stored)
    }

    async fn purge_dead_letters(&self, ids: &[i64]) -> Result<u64, StoreError> {
        let mut state = self.state();
        let before = state.letters.len();
        state.letters.retain(|letter| !ids.contains(&letter.id));
        Ok((before - state.letters.len()) as u64)
    }

    async fn maintain(&self, _now: UnixMillis) -> Result<Maintenance, StoreError> {
        Ok(Maintenance::default())
    }

    async fn probe(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn info(&self) -> StoreInfo {
        StoreInfo {
            engine: "memory".into(),
            notices: vec!["history is kept in memory: the last hour, until this process ends".into()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_machine_keeps_its_share_and_always_the_newest_tick() {
        let mut machine = Machine::default();
        for second in 0..100 {
            machine.put(UnixMillis(second * 1_000), packed(&[(1, second); 10]), 250);
        }
        assert_eq!((machine.ticks.len(), machine.values), (25, 250));
        let (oldest, _) = machine.ticks.first_key_value().unwrap();
        assert_eq!(oldest.0, 75_000);
        machine.put(UnixMillis(100_000), packed(&[(1, 0); 10]), 5);
        assert_eq!((machine.ticks.len(), machine.values), (1, 10));
    }

    fn packed(values: &[(u32, i64)]) -> Packed {
        Packed::of(values, &mut Vec::new())
    }

    proptest! {
        #[test]
        fn packed_values_come_back_whatever_their_order(
            values in prop::collection::vec((any::<u32>(), any::<i64>()), 0..200),
        ) {
            let packed = packed(&values);
            prop_assert_eq!(packed.len(), values.len());
            prop_assert_eq!(packed.iter().collect::<Vec<_>>(), values);
        }
    }
}
