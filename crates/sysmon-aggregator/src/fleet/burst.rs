//! Bursts: a machine that is measured more often for as long as somebody looks at it.
//!
//! A lease ends with its time, with its client's stream, or when the client says so; the collector is told the shortest
//! interval of all leases. What comes between base ticks is for those who look at this one machine: it is not part of
//! its recent past, it judges nothing, and other aggregators do not hear of it.

use std::collections::VecDeque;

use sysmon_api::{ApiError, Code, tick_to_wire, wire};
use sysmon_core::UnixMillis;

use super::due::Due;
use super::machine::{INTERVAL_MS, Machine};
use super::report::Batch;
use super::subscription::Detail;
use super::{ClientId, Fleet, Moment, StreamId};

/// The longest lease, in milliseconds; whoever still looks asks again.
const LEASE_MS_MAX: u32 = 60_000;
/// The most leases of one machine.
const LEASES_MAX: usize = 256;
/// How many ticks wait for subscribers that are not ready for them; the oldest go.
const TICKS_MAX: usize = 32;

/// One client's wish.
#[derive(Debug)]
struct Lease {
    client: ClientId,
    interval_ms: u32,
    /// On the monotonic clock.
    until_ms: u64,
}

/// The burst of one machine.
#[derive(Debug, Default)]
pub(super) struct Burst {
    leases: Vec<Lease>,
    /// The latest ticks by our series numbers, oldest first.
    ticks: VecDeque<(UnixMillis, Vec<(u32, i64)>)>,
    /// How many ticks there were.
    count: u64,
}

impl Burst {
    /// The time between ticks that somebody wants; 0 for no burst.
    pub(super) fn interval_ms(&self) -> u32 {
        let intervals = self.leases.iter().map(|lease| lease.interval_ms);
        intervals.min().unwrap_or(0)
    }

    /// When the next lease ends, on the monotonic clock.
    pub(super) fn next_due_ms(&self) -> u64 {
        let ends = self.leases.iter().map(|lease| lease.until_ms);
        ends.min().unwrap_or(Due::NEVER)
    }

    /// Lets go of leases; returns whether the wanted interval is another one.
    fn end(&mut self, is_over: impl Fn(&Lease) -> bool) -> bool {
        let before = self.interval_ms();
        self.leases.retain(|lease| !is_over(lease));
        before != self.interval_ms()
    }

    fn push(&mut self, at: UnixMillis, values: Vec<(u32, i64)>) {
        if self.ticks.len() == TICKS_MAX {
            self.ticks.pop_front();
        }
        self.ticks.push_back((at, values));
        self.count += 1;
    }

    /// How many ticks there were; what a subscription has been told ends here.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The ticks from number `from` on that are still there and newer than `after`, as they travel: the values of the
    /// series that are wanted, if there are any.
    pub(super) fn ticks(
        &self,
        from: u64,
        after: Option<UnixMillis>,
        is_wanted: impl Fn(u32) -> bool,
    ) -> impl Iterator<Item = wire::Tick> {
        let first = self.count - self.ticks.len() as u64;
        let skipped = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
        let newer = move |at: UnixMillis| after.is_none_or(|after| at > after);
        self.ticks
            .iter()
            .skip(skipped)
            .filter(move |(at, _)| newer(*at))
            .map(move |(at, values)| {
                let wanted = values.iter().filter(|(number, _)| is_wanted(*number));
                tick_to_wire(*at, &wanted.copied().collect::<Vec<_>>())
            })
            .filter(|tick| !tick.values.is_empty())
    }
}

impl Fleet {
    /// Has a machine's collector measure more often for a while, or no longer; a client has one lease per machine.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] for what is out of bounds, [`Code::NotFound`] for an unknown machine,
    /// [`Code::FailedPrecondition`] when it is not connected here, [`Code::ResourceExhausted`] for too many leases.
    pub fn lease_burst(
        &mut self,
        client: ClientId,
        wanted: &wire::BurstLease,
        now: Moment,
    ) -> Result<(), ApiError> {
        let number = self.find(&wanted.machine_id)?;
        if wanted.duration_ms == 0 {
            self.end_leases(number, |lease| lease.client == client);
            return Ok(());
        }
        if !INTERVAL_MS.contains(&wanted.interval_ms) || wanted.duration_ms > LEASE_MS_MAX {
            return Err(ApiError::invalid(format!(
                "a burst every {} ms for {} ms; give an interval of 100 to 3600000 and at most {LEASE_MS_MAX}",
                wanted.interval_ms, wanted.duration_ms
            )));
        }
        let machine = &mut self.machines[number as usize];
        let refuse = |why: &str| {
            Err(ApiError::new(
                Code::FailedPrecondition,
                format!("{} {why}", machine.id),
            ))
        };
        match &machine.collector {
            None => return refuse("is not connected; try again when it is"),
            Some(collector) if collector.is_remote => {
                return refuse("reports to another aggregator; connect to that one for a burst");
            }
            Some(_) => {}
        }
        let before = machine.burst.interval_ms();
        let leases = &mut machine.burst.leases;
        leases.retain(|lease| lease.client != client);
        if leases.len() >= LEASES_MAX {
            return Err(ApiError::new(
                Code::ResourceExhausted,
                "too many clients have a burst of this machine; it goes on for them",
            ));
        }
        leases.push(Lease {
            client,
            interval_ms: wanted.interval_ms,
            until_ms: now.monotonic_ms + u64::from(wanted.duration_ms),
        });
        let is_other = before != machine.burst.interval_ms();
        if !self.bursting.contains(&number) {
            self.bursting.push(number);
        }
        if is_other {
            self.redirect(number);
        }
        self.schedule(number);
        Ok(())
    }

    /// Lets go of what a client that left has leased.
    pub(super) fn end_leases_of(&mut self, client: ClientId) {
        for index in (0..self.bursting.len()).rev() {
            self.end_leases(self.bursting[index], |lease| lease.client == client);
        }
    }

    /// Lets go of leases whose time is over.
    pub(super) fn lapse_leases(&mut self, number: u32, now: Moment) {
        self.end_leases(number, |lease| lease.until_ms <= now.monotonic_ms);
    }

    fn end_leases(&mut self, number: u32, is_over: impl Fn(&Lease) -> bool) {
        let burst = &mut self.machines[number as usize].burst;
        let is_other = burst.end(is_over);
        if burst.leases.is_empty() {
            burst.ticks.clear();
            self.bursting.retain(|other| *other != number);
        }
        if is_other {
            self.redirect(number);
        }
    }

    /// Takes a tick of a burst over, for those who look at the machine.
    pub(super) fn burst_tick(&mut self, stream: StreamId, batch: Batch, now: Moment) {
        let number = stream.machine;
        if let Some((at, values)) = batch.tick {
            let at = self.corrected(at, now);
            self.machines[number as usize].burst_tick(at, &values);
        }
        self.heard(number, now);
        self.touch_where(number, |wish| wish.detail == Detail::All);
    }
}

impl Machine {
    fn burst_tick(&mut self, at: UnixMillis, values: &[(u32, i64)]) {
        let is_wanted = !self.burst.leases.is_empty();
        let Some(collector) = self.collector.as_ref().filter(|_| is_wanted) else {
            return;
        };
        let mut ours = Vec::with_capacity(values.len());
        collector
            .numbering
            .translate(values, |entry, scaled| ours.push((entry.ours, scaled)));
        ours.sort_unstable_by_key(|(number, _)| *number);
        ours.retain(|(number, _)| self.recent.get(*number).is_some());
        self.burst.push(at, ours);
    }
}
