//! The fleet's state, and everything that can happen to it: collectors that report, clients that subscribe, time that
//! passes. No runtime, no clock, no I/O: every moment is an argument, everything that goes out is returned.

mod burst;
mod clients;
mod delivery;
mod due;
mod flush;
mod health;
mod history;
mod ingest;
pub(crate) mod keys;
mod listing;
mod machine;
mod matching;
mod names;
mod numbering;
mod parts;
mod remote;
mod replay;
mod report;
mod selection;
mod shared;
mod state;
mod subscription;
mod totals;
mod vitals;
mod window;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use sysmon_api::wire;
use sysmon_core::filter::Needs;
use sysmon_core::{Liveness, MachineId, UnixMillis};

use crate::config::Config;
use crate::counters::Counters;
use clients::Client;
use due::Due;
use health::Standing;
use keys::Keys;
use machine::Machine;
use names::Names;
use shared::Shared;
use subscription::Subscription;
use totals::Totals;

pub(crate) use clients::SUBSCRIPTIONS_MAX;
pub(crate) use state::metric_to_wire;

pub use health::{AlertMark, Judgement};
pub use ingest::Opened;
pub(crate) use listing::Listed;
pub(crate) use remote::{RemoteHead, RemoteTick, Taken};
pub use remote::{RemoteStream, Reported};
pub(crate) use report::VALUES_MAX;
pub use report::{Batch, Hello};

/// A moment on two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds on a clock that only goes forward: for everything that is judged.
    pub monotonic_ms: u64,
    /// The clock of the day: for everything that is shown.
    pub unix: UnixMillis,
}

/// One collector's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    machine: u32,
    serial: u64,
}

/// One client's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(u64);

/// All machines with their recent past, and all subscriptions. Nothing in it grows without bound: machines, clients,
/// subscriptions, series and processes have limits, and a subscription holds no queue of values but one cursor per
/// machine.
#[derive(Debug)]
pub struct Fleet {
    config: Config,
    counters: Arc<Counters>,
    /// By number; machines are never removed.
    machines: Vec<Machine>,
    by_id: HashMap<MachineId, u32>,
    clients: HashMap<ClientId, Client>,
    /// By index; freed places are used again.
    subscriptions: Vec<Option<Subscription>>,
    free: Vec<usize>,
    /// Subscriptions that may have something to send.
    active: Vec<usize>,
    /// What several of them are told alike.
    shared: Shared,
    totals: Totals,
    /// The version of the totals that every subscription has been woken for.
    totals_seen: u64,
    due: Due,
    keys: Keys,
    /// Numbers streams and clients.
    next_serial: u64,
    /// Streams whose directive may have changed.
    redirected: Vec<StreamId>,
    /// What tells this aggregator's streams from those of others that open in the same millisecond; none when it shares
    /// nothing.
    sharing: Option<u64>,
    /// Machines of other aggregators of which something else may be wanted.
    wished: Vec<u32>,
    /// Machines of which somebody has a burst.
    bursting: Vec<u32>,
    /// How machines fare by their alerts, those without one left out; none when their own numbers judge.
    alerted: Option<HashMap<MachineId, Standing>>,
    /// Grows with everything that may change what a filter or an order says of a machine.
    version: u64,
    /// The newest moment that is known, on the monotonic clock: what filters reckon ages by.
    latest_ms: u64,
    /// Subscriptions without a window whose filter looks at what changes all the time, with what that is.
    filtering: Vec<(usize, Needs)>,
    /// Subscriptions that are looked at anew as time passes.
    timed: Vec<usize>,
    names: Names,
    /// Reused for the values of a tick.
    scratch: Vec<(u32, i64)>,
}

impl Fleet {
    /// An empty fleet.
    #[must_use]
    pub fn new(config: Config, counters: Arc<Counters>) -> Self {
        Self {
            config,
            counters,
            machines: Vec::new(),
            by_id: HashMap::new(),
            clients: HashMap::new(),
            subscriptions: Vec::new(),
            free: Vec::new(),
            active: Vec::new(),
            shared: Shared::default(),
            totals: Totals::default(),
            totals_seen: 0,
            due: Due::default(),
            keys: Keys::default(),
            next_serial: 0,
            redirected: Vec::new(),
            sharing: None,
            wished: Vec::new(),
            bursting: Vec::new(),
            alerted: None,
            version: 0,
            latest_ms: 0,
            filtering: Vec::new(),
            timed: Vec::new(),
            names: Names::default(),
            scratch: Vec::new(),
        }
    }

    /// Lets time pass: judges the machines that have not been heard of, and forgets what is over. Costs something only
    /// for machines whose moment has come.
    pub fn sweep(&mut self, now: Moment) {
        self.latest_ms = now.monotonic_ms;
        while let Some((at_ms, number)) = self.due.take(now.monotonic_ms) {
            let machine = &mut self.machines[number as usize];
            if machine.due_ms != at_ms {
                continue;
            }
            machine.due_ms = Due::NEVER;
            let expired = machine.expire(now);
            if machine.lapse_wishes(now) {
                self.redirect(number);
            }
            self.lapse_leases(number, now);
            let judged = self.judge(number, now);
            self.schedule(number);
            if expired || judged {
                self.touch(number);
            }
        }
    }

    /// When [`Fleet::sweep`] or [`Fleet::flush`] has something to do although nothing comes in, on the monotonic clock.
    #[must_use]
    pub fn next_due_ms(&self) -> Option<u64> {
        let updates = self.active.iter().filter_map(|index| {
            let subscription = self.subscriptions[*index].as_ref()?;
            Some(subscription.due_ms)
        });
        let reviews = self.timed.iter().filter_map(|index| self.review_due_ms(*index));
        updates.chain(reviews).chain(self.due.next_ms()).min()
    }

    /// The directives of those streams for which they may have changed since the last call.
    pub fn take_directives(&mut self) -> Vec<(StreamId, wire::Directive)> {
        std::mem::take(&mut self.redirected)
            .into_iter()
            .filter(|stream| self.is_current(*stream))
            .map(|stream| (stream, self.machines[stream.machine as usize].directive()))
            .collect()
    }

    /// How many machines are known.
    #[must_use]
    pub fn machine_count(&self) -> usize {
        self.machines.len()
    }

    /// Judges liveness and health of a machine; returns whether either changed.
    fn judge(&mut self, number: u32, now: Moment) -> bool {
        let machine = &mut self.machines[number as usize];
        let before = (machine.liveness, machine.health);
        machine.liveness = Liveness::judge(now.monotonic_ms - machine.heard_ms, machine.interval_ms.into());
        if self.alerted.is_some() {
            machine.health = machine.health_by_alerts();
        } else if let Some(newest) = machine.recent.times().back() {
            machine.health = machine.judge(*newest);
        }
        let after = (machine.liveness, machine.health);
        if before == after {
            return false;
        }
        self.totals.leave(before.0, before.1);
        self.totals.enter(after.0, after.1);
        true
    }

    /// Puts a machine down for the next moment at which it changes by itself.
    fn schedule(&mut self, number: u32) {
        let machine = &mut self.machines[number as usize];
        let at_ms = machine.next_due_ms();
        if at_ms != Due::NEVER {
            self.due.schedule(number, at_ms, &mut machine.due_ms);
        }
    }

    /// Tells the collector of a machine what it is to do now.
    fn redirect(&mut self, number: u32) {
        match &self.machines[number as usize].collector {
            Some(collector) if collector.is_remote => self.note_wish(number),
            Some(collector) => self.redirected.push(StreamId {
                machine: number,
                serial: collector.serial,
            }),
            None => {}
        }
    }
}
