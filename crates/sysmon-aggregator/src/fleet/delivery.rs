//! What a subscription is told about a machine, made from what the machine is now and how far the client has been told.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;

use sysmon_api::{health_to_wire, liveness_to_wire, processes_to_wire, series_to_wire, tick_to_wire, wire};
use sysmon_core::{Process, ProcessTable, Recent, Series, UnixMillis};

use super::Fleet;
use super::history::{Columns, VALUES_MAX};
use super::machine::Machine;
use super::parts::{PART_BYTES, Parts};
use super::shared::{Piece, Reader, Shared};
use super::subscription::{Cursor, Detail, Subscription, Wish};

/// That a machine is still seen is worth an update of its own after this long.
const SEEN_MS: u64 = 5_000;
/// More ticks than this at once travel as columns.
const TICKS_MAX: u64 = 8;
/// How many of the busiest and how many of the largest processes a subscriber gets that does not want all.
const TOP: usize = 20;

impl Cursor {
    /// Whether what the client knows of when the machine was seen is worth an update.
    pub(super) fn is_seen_too_old(&self, machine: &Machine) -> bool {
        machine.heard_ms >= self.heard_ms + SEEN_MS
    }
}

/// The machines of one update.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) own: Vec<wire::MachineUpdate>,
    /// Those that are encoded already.
    pub(super) encoded: Vec<u8>,
    pub(super) count: usize,
}

impl Told {
    fn take(&mut self, piece: Piece) {
        self.count += 1;
        match piece {
            Piece::Own(update) => self.own.push(update),
            Piece::Shared(bytes) => self.encoded.extend_from_slice(&bytes),
        }
    }
}

impl Fleet {
    /// Machine updates for one message, at least one when there is anything to say.
    pub(super) fn next_parts(&self, subscription: &mut Subscription, shared: &mut Shared) -> Told {
        let mut told = Told::default();
        let mut bytes = 0;
        loop {
            if let Some((_, size)) = subscription.parts.front() {
                if bytes > 0 && bytes + size > PART_BYTES {
                    return told;
                }
                bytes += size;
                if let Some((piece, _)) = subscription.parts.pop_front() {
                    told.take(piece);
                }
                continue;
            }
            let Some(number) = subscription.next_machine() else {
                return told;
            };
            self.describe(subscription, shared, number);
        }
    }

    /// Puts what there is to say about a machine into the subscription's parts.
    fn describe(&self, subscription: &mut Subscription, shared: &mut Shared, number: u32) {
        let (Some(cursor), Some(machine)) = (
            subscription.cursors.get_mut(&number),
            self.machines.get(number as usize),
        ) else {
            return;
        };
        if cursor.is_leaving {
            let was_introduced = cursor.is_introduced;
            subscription.cursors.remove(&number);
            if was_introduced {
                let left = wire::MachineUpdate {
                    machine: number,
                    left: true,
                    ..Default::default()
                };
                subscription.parts.push_back((Piece::Own(left), 16));
            }
            return;
        }
        let teller = Teller {
            number,
            machine,
            wish: &subscription.wish,
        };
        let replaces = cursor.is_introduced && teller.has_lost_track(cursor);
        if !cursor.is_introduced || replaces {
            self.counters.resyncs.add(usize::from(replaces));
            subscription.parts = teller.introduce(cursor).finish();
            return;
        }
        let missed = machine.recent.next_tick() - cursor.next_tick;
        self.counters
            .coalesced_ticks
            .add(usize::try_from(missed.saturating_sub(1)).unwrap_or(0));
        if shared.is_shared(subscription.class) {
            let reader = Reader {
                number,
                machine,
                class: subscription.class,
                detail: subscription.wish.detail,
            };
            if let Some(told) = shared.recall(&reader, cursor) {
                self.counters.shared_updates.add(usize::from(told.is_some()));
                subscription.parts.extend(told.map(Piece::shared));
            } else {
                subscription.parts = teller.go_on_for_all(cursor, shared, &reader);
            }
        } else if let Some(parts) = teller.go_on(cursor) {
            subscription.parts = parts.finish();
        }
    }
}

/// Tells one subscription about one machine.
struct Teller<'a> {
    number: u32,
    machine: &'a Machine,
    wish: &'a Wish,
}

impl Teller<'_> {
    /// Whether what the client has can no longer be brought up to date.
    fn has_lost_track(&self, cursor: &Cursor) -> bool {
        let machine = self.machine;
        let missed = machine.recent.next_tick() - cursor.next_tick;
        let values = usize::try_from(missed)
            .unwrap_or(usize::MAX)
            .saturating_mul(machine.recent.series().len());
        cursor.life != machine.life
            || cursor.next_tick < machine.recent.first_tick()
            || machine.retired_since(cursor.retired_count).is_none()
            || (missed > TICKS_MAX && values > VALUES_MAX)
    }

    /// Everything about the machine, as for someone who has never heard of it.
    fn introduce(&self, cursor: &mut Cursor) -> Parts {
        let machine = self.machine;
        let mut first = self.status();
        first.replace = true;
        first.header = Some(machine.header());
        first.sequence = machine.recent.next_tick();
        let mut parts = Parts::new(first);
        let series: Vec<_> = self.subscribed(0).collect();
        for (number, series) in &series {
            parts.announce(series_to_wire(*number, &series.key, series.decimals));
        }
        self.tell_past(&mut parts, &series);
        cursor.processes = None;
        if let Some(processes) = self.processes(cursor) {
            parts.processes(processes);
        }
        self.advance(cursor);
        cursor.is_introduced = true;
        cursor.sequence = machine.recent.next_tick();
        parts
    }

    /// The past as far as it is wanted, and in any case the newest value of every series.
    fn tell_past(&self, parts: &mut Parts, series: &[(u32, &Series)]) {
        let recent = &self.machine.recent;
        let (Some(newest), Some(newest_at)) = (recent.next_tick().checked_sub(1), recent.times().back())
        else {
            return;
        };
        let from = self.past_from(newest, *newest_at, series.len());
        // Values that neither the newest tick nor the past brings: slow series, and those whose past is not wanted.
        let single = |series: &Series| {
            let (tick, value) = series.column.last()?;
            let is_past = tick >= from && self.wish.wants_past_of(&series.key);
            (tick != newest && !is_past)
                .then(|| (Some(tick).filter(|tick| *tick >= recent.first_tick()), value))
        };
        let older = series
            .iter()
            .filter_map(|(_, series)| single(series).map(|(tick, _)| tick))
            .filter(|tick| tick.is_none_or(|tick| tick < from))
            .collect();
        let mut columns = Columns::new(recent, older, from, newest, series.len());
        for (number, series) in series {
            let single = single(series);
            if self.wish.wants_past_of(&series.key) {
                columns.add(*number, series, single);
            } else if let Some((tick, value)) = single {
                columns.add_single(*number, tick, value);
            }
        }
        columns.finish().for_each(|history| parts.history(history));
        parts.tick(newest_tick(
            newest,
            *newest_at,
            series.len(),
            series.iter().copied(),
        ));
    }

    /// The first tick of the past that is wanted; the newest one is told by itself.
    fn past_from(&self, newest: u64, newest_at: UnixMillis, series_count: usize) -> u64 {
        let recent = &self.machine.recent;
        if self.wish.history_ms == 0 {
            return newest;
        }
        let earliest = newest_at.plus_ms(-i64::try_from(self.wish.history_ms).unwrap_or(i64::MAX));
        let kept = recent.times().partition_point(|at| *at < earliest);
        let fits = (VALUES_MAX / series_count.max(1)) as u64;
        (recent.first_tick() + kept as u64).max(newest.saturating_sub(fits))
    }

    /// What has changed since the client was last told, encoded and kept for those that come to the same place.
    fn go_on_for_all(
        &self,
        cursor: &mut Cursor,
        shared: &mut Shared,
        reader: &Reader<'_>,
    ) -> VecDeque<(Piece, usize)> {
        let before = cursor.clone();
        let mut parts = self.go_on(cursor).map(Parts::finish).unwrap_or_default();
        // What is too large for one message is rare, and each gets it for itself.
        if parts.len() < 2 {
            let told = parts.pop_front().map(|(piece, _)| piece.into_bytes());
            parts.extend(told.clone().map(Piece::shared));
            shared.keep(reader, before, cursor.clone(), told);
        }
        parts
    }

    /// What has changed since the client was last told; `None` when that is not worth telling.
    fn go_on(&self, cursor: &mut Cursor) -> Option<Parts> {
        let machine = self.machine;
        let recent = &machine.recent;
        let mut first = self.status();
        first.sequence = recent.next_tick();
        first.follows_sequence = cursor.sequence;
        if cursor.header_version != machine.header_version {
            first.header = Some(machine.header());
        }
        let known = cursor.next_series;
        first.retired = machine
            .retired_since(cursor.retired_count)
            .into_iter()
            .flatten()
            .filter(|number| *number < known)
            .collect();
        let is_status_new = cursor.status != (machine.liveness, machine.health);
        let mut is_worth_it = is_status_new
            || first.header.is_some()
            || !first.retired.is_empty()
            || cursor.is_seen_too_old(machine);
        let mut parts = Parts::new(first);
        if known < machine.next_series {
            for (number, series) in self.subscribed(known) {
                parts.announce(series_to_wire(number, &series.key, series.decimals));
                is_worth_it = true;
            }
        }
        is_worth_it |= self.tell_ticks(&mut parts, cursor.next_tick);
        is_worth_it |= self.tell_burst(&mut parts, cursor);
        if let Some(processes) = self.processes(cursor) {
            parts.processes(processes);
            is_worth_it = true;
        }
        // Ticks that hold nothing of interest need not be looked at again, told or not.
        cursor.next_tick = recent.next_tick();
        cursor.next_series = machine.next_series;
        cursor.retired_count = machine.retired_count;
        if !is_worth_it {
            return None;
        }
        self.advance(cursor);
        cursor.sequence = recent.next_tick();
        Some(parts)
    }

    /// Tells the ticks from `from` on that have a value of interest; returns whether there were any.
    fn tell_ticks(&self, parts: &mut Parts, from: u64) -> bool {
        let recent = &self.machine.recent;
        let to = recent.next_tick();
        let missed = to - from;
        let mut any = false;
        if missed == 1 {
            let at = recent.time_of(from).unwrap_or_default();
            let expected = self.wish.metrics.count_of(recent.series().len());
            let tick = newest_tick(from, at, expected, self.subscribed(0));
            if !tick.values.is_empty() {
                parts.tick(tick);
                any = true;
            }
        } else if missed > TICKS_MAX {
            let mut columns = Columns::new(recent, Vec::new(), from, to, recent.series().len());
            for (number, series) in self.subscribed(0) {
                columns.add(number, series, None);
            }
            for history in columns.finish() {
                parts.history(history);
                any = true;
            }
        } else if missed > 0 {
            for tick in self.ticks(recent, from, to) {
                parts.tick(tick);
                any = true;
            }
        }
        any
    }

    /// Tells those who look at this machine what was measured since its newest base tick; returns whether it was anything.
    fn tell_burst(&self, parts: &mut Parts, cursor: &mut Cursor) -> bool {
        let burst = &self.machine.burst;
        let from = std::mem::replace(&mut cursor.next_burst, burst.count());
        if self.wish.detail != Detail::All || from == burst.count() {
            return false;
        }
        let recent = &self.machine.recent;
        let is_subscribed = |number: u32| {
            let series = recent.get(number);
            series.is_some_and(|series| self.wish.metrics.covers(series))
        };
        let mut any = false;
        // Time does not run backwards in what a client is told.
        for tick in burst.ticks(from, recent.times().back().copied(), is_subscribed) {
            parts.tick(tick);
            any = true;
        }
        any
    }

    /// A few ticks, oldest first; those without a value of interest are left out.
    fn ticks(&self, recent: &Recent, from: u64, to: u64) -> impl Iterator<Item = wire::Tick> {
        let mut ticks: Vec<(UnixMillis, Vec<(u32, i64)>)> = (from..to)
            .map(|tick| (recent.time_of(tick).unwrap_or_default(), Vec::new()))
            .collect();
        for (number, series) in self.subscribed(0) {
            for (tick, value) in series.column.iter_from(from) {
                let index = usize::try_from(tick - from).ok();
                let slot = index.and_then(|index| ticks.get_mut(index));
                if let (Some((_, values)), Some(value)) = (slot, value) {
                    values.push((number, value));
                }
            }
        }
        ticks
            .into_iter()
            .filter(|(_, values)| !values.is_empty())
            .map(|(at, values)| tick_to_wire(at, &values))
    }

    /// What is said of a machine in every update.
    fn status(&self) -> wire::MachineUpdate {
        wire::MachineUpdate {
            machine: self.number,
            liveness: liveness_to_wire(self.machine.liveness),
            health: health_to_wire(self.machine.health),
            last_seen_unix_ms: self.machine.last_seen.0,
            ..wire::MachineUpdate::default()
        }
    }

    /// Notes that everything there is has been told.
    fn advance(&self, cursor: &mut Cursor) {
        let machine = self.machine;
        cursor.next_tick = machine.recent.next_tick();
        cursor.next_burst = machine.burst.count();
        cursor.next_series = machine.next_series;
        cursor.retired_count = machine.retired_count;
        cursor.header_version = machine.header_version;
        cursor.life = machine.life;
        cursor.status = (machine.liveness, machine.health);
        cursor.heard_ms = machine.heard_ms;
    }

    /// The series of the subscription's metrics, numbered `from` or above.
    fn subscribed(&self, from: u32) -> impl Iterator<Item = (u32, &Series)> {
        self.machine
            .recent
            .series()
            .filter(move |(number, series)| *number >= from && self.wish.metrics.covers(series))
    }

    /// How the process list differs from what the client has; `None` when it does not, or none is wanted.
    fn processes(&self, cursor: &mut Cursor) -> Option<wire::ProcessUpdate> {
        let now = self.machine.processes.as_ref()?;
        let now = match self.wish.detail {
            Detail::None => return None,
            Detail::Top if now.is_complete() => Arc::new(top(now)),
            Detail::Top | Detail::All => Arc::clone(now),
        };
        let known = cursor.processes.replace(Arc::clone(&now));
        let Some(known) = known else {
            return Some(processes_to_wire(&now.to_delta(), &ProcessTable::default()));
        };
        if Arc::ptr_eq(&known, &now) {
            return None;
        }
        let delta = known.delta_to(&now);
        let is_same = delta.changed.is_empty()
            && delta.removed.is_empty()
            && known.totals() == now.totals()
            && known.is_complete() == now.is_complete();
        (!is_same).then(|| processes_to_wire(&delta, &known))
    }
}

/// The values of the newest tick; `expected` is about how many there are.
fn newest_tick<'a>(
    tick: u64,
    at: UnixMillis,
    expected: usize,
    series: impl Iterator<Item = (u32, &'a Series)>,
) -> wire::Tick {
    let mut last = 0;
    let mut newest = wire::Tick {
        at_unix_ms: at.0,
        series_steps: Vec::with_capacity(expected),
        values: Vec::with_capacity(expected),
    };
    for (number, series) in series {
        if let Some((_, value)) = series.column.last().filter(|(last, _)| *last == tick) {
            newest.series_steps.push(number - last);
            newest.values.push(value);
            last = number;
        }
    }
    newest
}

/// The busiest and the largest processes of a list of all: others may watch more closely than this subscriber wants.
fn top(all: &ProcessTable) -> ProcessTable {
    let mut processes: Vec<&Process> = all.iter().collect();
    let count = TOP.min(processes.len());
    let cpu_millipercent = |process: &Process| (process.cpu_percent.unwrap_or(0.0) * 1_000.0) as u64;
    processes.sort_unstable_by_key(|process| (Reverse(cpu_millipercent(process)), process.key));
    let mut chosen: Vec<Process> = processes[..count].iter().copied().cloned().collect();
    processes.sort_unstable_by_key(|process| (Reverse(process.memory_bytes), process.key));
    chosen.extend(processes[..count].iter().copied().cloned());
    ProcessTable::new(chosen, all.totals(), false)
}
