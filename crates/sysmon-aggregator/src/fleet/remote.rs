//! Machines whose collectors are connected to another aggregator, and what others are told of ours.
//!
//! A machine has one stream in the whole group of aggregators: that of the highest generation. What the others know of it
//! comes over the bus, through [`crate::mirror`], which has put it in order already.

use std::sync::Arc;

use sysmon_api::{
    host_from_wire, host_to_wire, process_table_to_wire, series_from_wire, series_to_wire, wire,
};
use sysmon_core::{HostInfo, MachineId, ProcessTable, Recent, SeriesKey, UnixMillis};

use super::machine::{Collector, Machine};
use super::report::Batch;
use super::{Fleet, Moment, StreamId};

/// A wish of another aggregator counts for so long after it was said last.
const WISH_MS: u64 = 15_000;
/// The most aggregators whose wishes for one machine count.
const WISHES_MAX: usize = 64;
/// Streams that open in the same millisecond are told apart by this many more.
const GENERATIONS_PER_MS: u64 = 1_024;

/// What clients of another aggregator want of a collector of ours.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    aggregator: Arc<str>,
    pub(super) wants_all: bool,
    pub(super) interval_ms: u32,
    /// When a client asked for the interval; 0 when none did.
    pub(super) interval_unix_ms: i64,
    /// When the wish lapses, on the monotonic clock.
    pub(super) until_ms: u64,
}

/// What other aggregators are to be told of a batch.
#[derive(Clone, Debug)]
pub struct Reported {
    /// Which stream of which machine.
    pub stream: RemoteStream,
    /// Number of the batch in the stream, from 1.
    pub sequence: u64,
    /// The time that its tick counts for.
    pub at: Option<UnixMillis>,
    /// When it came.
    pub heard: UnixMillis,
    /// What the collector sent.
    pub batch: Arc<wire::Batch>,
    /// The machine's head, when the batch changed something of it.
    pub head: Option<wire::MachineHead>,
}

/// One stream of a machine, wherever it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteStream {
    /// The machine.
    pub machine: MachineId,
    /// A higher one replaces a lower one.
    pub generation: u64,
}

/// What is to be known of a machine of another aggregator, checked and bounded.
#[derive(Clone, Debug)]
pub(crate) struct RemoteHead {
    pub(crate) stream: RemoteStream,
    pub(crate) sequence: u64,
    instance: [u8; 16],
    host: HostInfo,
    interval_ms: u32,
    series: Vec<(u32, SeriesKey, u8)>,
    pub(crate) heard: UnixMillis,
    pub(crate) processes: Option<wire::ProcessUpdate>,
}

/// A tick out of hot state.
#[derive(Clone, Debug)]
pub(crate) struct RemoteTick {
    pub(crate) sequence: u64,
    pub(crate) heard: UnixMillis,
    pub(crate) at: UnixMillis,
    pub(crate) values: Vec<(u32, i64)>,
}

/// What became of a word about another aggregator's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It counts. The stream of our own that it replaces, if any, is to be ended.
    Yes(Option<StreamId>),
    /// It does not: something newer is known, or there are too many machines.
    No,
    /// It does not, because our stream is newer: whoever said it does not know yet.
    Ours,
}

impl RemoteHead {
    /// Checks a head; a malformed series is left out. `None` when it cannot be one.
    pub(crate) fn check(head: wire::MachineHead) -> Option<Self> {
        let machine = MachineId::parse(&head.machine_id).ok()?;
        Some(Self {
            stream: RemoteStream {
                machine,
                generation: head.generation,
            },
            sequence: head.sequence,
            instance: head.instance.try_into().ok()?,
            host: head.host.as_ref().map(host_from_wire).unwrap_or_default(),
            interval_ms: head.interval_ms,
            series: head
                .series
                .iter()
                .take(Recent::SERIES_LIMIT)
                .filter_map(|definition| series_from_wire(definition).ok())
                .collect(),
            heard: UnixMillis(head.heard_unix_ms),
            processes: head
                .processes
                .filter(|update| update.replace && update.changed.len() <= ProcessTable::LIMIT),
        })
    }
}

impl Fleet {
    /// From now on what happens here is reported, for other aggregators. `salt` tells our streams from theirs; different
    /// for each of them, as well as may be.
    pub(crate) fn share(&mut self, salt: u64) {
        self.sharing = Some(salt % GENERATIONS_PER_MS);
    }

    /// The generation of a stream that opens now.
    pub(super) fn next_generation(&self, number: u32, now: Moment) -> u64 {
        let by_time = u64::try_from(now.unix.0)
            .unwrap_or(0)
            .saturating_mul(GENERATIONS_PER_MS)
            .saturating_add(self.sharing.unwrap_or(0));
        by_time.max(self.machines[number as usize].generation.saturating_add(1))
    }

    /// Counts a batch of our own, and says what others are to be told of it, but for the head.
    pub(super) fn reported(&mut self, number: u32, batch: &mut Batch, now: Moment) -> Option<Reported> {
        self.sharing?;
        let source = batch.source.take()?;
        let machine = &mut self.machines[number as usize];
        let collector = machine.collector.as_mut()?;
        collector.reported += 1;
        Some(Reported {
            stream: RemoteStream {
                machine: machine.id.clone(),
                generation: collector.generation,
            },
            sequence: collector.reported,
            at: batch.tick.as_ref().map(|(at, _)| *at),
            heard: now.unix,
            batch: source,
            head: None,
        })
    }

    /// Our own machines, those whose collectors are connected here.
    pub(crate) fn own_machines(&self) -> Vec<MachineId> {
        let own = |machine: &&Machine| machine.collector.as_ref().is_some_and(|own| !own.is_remote);
        self.machines
            .iter()
            .filter(own)
            .map(|machine| machine.id.clone())
            .collect()
    }

    /// The stream of a machine of our own, with the number of its latest batch.
    pub(crate) fn own_stream(&self, stream: StreamId) -> Option<(RemoteStream, u64)> {
        if !self.is_current(stream) {
            return None;
        }
        let machine = &self.machines[stream.machine as usize];
        let collector = machine.collector.as_ref()?;
        Some((
            RemoteStream {
                machine: machine.id.clone(),
                generation: collector.generation,
            },
            collector.reported,
        ))
    }

    /// What others have to know of a machine of our own.
    pub(crate) fn head(&self, machine: &MachineId) -> Option<wire::MachineHead> {
        self.head_of(*self.by_id.get(machine)?)
    }

    pub(super) fn head_of(&self, number: u32) -> Option<wire::MachineHead> {
        let machine = &self.machines[number as usize];
        let collector = machine
            .collector
            .as_ref()
            .filter(|collector| !collector.is_remote)?;
        let series = collector.numbering.iter().filter_map(|(theirs, entry)| {
            let series = machine.recent.get(entry.ours)?;
            Some(series_to_wire(theirs, &series.key, series.decimals))
        });
        Some(wire::MachineHead {
            machine_id: machine.id.to_string(),
            aggregator_id: String::new(),
            generation: collector.generation,
            sequence: collector.reported,
            instance: collector.instance.to_vec(),
            host: Some(host_to_wire(&machine.host)),
            interval_ms: machine.interval_ms,
            series: series.collect(),
            heard_unix_ms: machine.last_seen.0,
            processes: machine
                .processes
                .as_ref()
                .map(|table| process_table_to_wire(table)),
        })
    }

    /// Takes over how a machine is that another aggregator has, with ticks from hot state, oldest first.
    pub(crate) fn remote_head(&mut self, head: RemoteHead, ticks: Vec<RemoteTick>, now: Moment) -> Taken {
        let known = self.by_id.get(&head.stream.machine).copied();
        let number = match known {
            Some(number) => number,
            None => match self.add_machine(&head.stream.machine, now) {
                Ok(number) => number,
                Err(_) => return Taken::No,
            },
        };
        let replaced = match self.outranks(number, head.stream.generation) {
            Taken::Yes(replaced) => replaced,
            refused => return refused,
        };
        let heard = ticks.last().map_or(head.heard, |tick| tick.heard.max(head.heard));
        self.enter_remote(number, &head, now);
        let machine = &mut self.machines[number as usize];
        let refilter = machine.set_header(Some(head.host), Some(head.interval_ms)) || known.is_none();
        for (theirs, key, decimals) in head.series {
            let key = self.keys.share(key);
            if !self.machines[number as usize].announce(theirs, key, decimals) {
                self.counters.refused_series.add(1);
            }
        }
        for tick in ticks {
            let newest = self.machines[number as usize].recent.times().back().copied();
            // What is there already is not to look like a clock that was set back.
            if newest.is_none_or(|newest| newest < tick.at) {
                self.counters.remote_ticks.add(1);
                self.tick(number, tick.at, &tick.values);
            }
        }
        if let Some(processes) = &head.processes {
            self.machines[number as usize].apply_processes(processes);
        }
        self.heard_at(number, heard, known.is_none(), now);
        if refilter {
            self.refilter(number);
        }
        if self.machines[number as usize].watchers_of_all > 0 {
            self.note_wish(number);
        }
        self.touch(number);
        Taken::Yes(replaced)
    }

    /// Takes over a batch of another aggregator's stream.
    pub(crate) fn remote_batch(&mut self, stream: &RemoteStream, batch: Batch, now: Moment) -> Taken {
        self.with_remote(stream, |fleet, number| {
            fleet.counters.remote_ticks.add(usize::from(batch.tick.is_some()));
            fleet.take_over(number, batch, now);
        })
    }

    /// Takes note that a machine of another aggregator is alive.
    pub(crate) fn remote_alive(&mut self, stream: &RemoteStream, now: Moment) -> Taken {
        self.with_remote(stream, |fleet, number| {
            fleet.heard(number, now);
            fleet.touch_seen(number);
        })
    }

    /// A stream of another aggregator is over; the machine stays, and goes stale in its time.
    pub(crate) fn remote_closed(&mut self, stream: &RemoteStream) -> Taken {
        self.with_remote(stream, |fleet, number| {
            fleet.machines[number as usize].collector = None;
            fleet.note_wish(number);
        })
    }

    /// Takes over what the clients of another aggregator want of a machine of ours.
    pub(crate) fn wish(
        &mut self,
        machine: &MachineId,
        aggregator: &Arc<str>,
        wish: &wire::Wish,
        now: Moment,
    ) {
        let Some(number) = self.by_id.get(machine).copied() else {
            return;
        };
        let machine = &mut self.machines[number as usize];
        let before = machine.directive();
        machine.wishes.retain(|other| other.aggregator != *aggregator);
        let wants_all = wish.processes() == wire::ProcessDetail::All;
        let is_interval = wish.interval_ms == 0 || super::machine::INTERVAL_MS.contains(&wish.interval_ms);
        let asks = wish.interval_unix_ms > 0 && is_interval;
        if (wants_all || asks) && machine.wishes.len() < WISHES_MAX {
            machine.wishes.push(Wish {
                aggregator: Arc::clone(aggregator),
                wants_all,
                interval_ms: if asks { wish.interval_ms } else { 0 },
                interval_unix_ms: if asks { wish.interval_unix_ms } else { 0 },
                until_ms: now.monotonic_ms + WISH_MS,
            });
        }
        let has_changed = before != machine.directive();
        self.schedule(number);
        let is_ours = |collector: &Collector| !collector.is_remote;
        if has_changed
            && self.machines[number as usize]
                .collector
                .as_ref()
                .is_some_and(is_ours)
        {
            self.redirect(number);
        }
    }

    /// What is wanted of machines of other aggregators where it may have changed since the last call. A wish for nothing
    /// ends the one before.
    pub(crate) fn take_wishes(&mut self) -> Vec<(MachineId, wire::Wish)> {
        let mut wished = std::mem::take(&mut self.wished);
        wished.sort_unstable();
        wished.dedup();
        wished
            .into_iter()
            .map(|number| {
                let machine = &self.machines[number as usize];
                (machine.id.clone(), machine.wish())
            })
            .collect()
    }

    /// Notes that something else may be wanted of a machine of another aggregator.
    pub(super) fn note_wish(&mut self, number: u32) {
        if self.sharing.is_some() {
            self.wished.push(number);
        }
    }

    /// Whether a stream of another aggregator counts, and which one of ours it then replaces.
    fn outranks(&self, number: u32, generation: u64) -> Taken {
        let machine = &self.machines[number as usize];
        match &machine.collector {
            Some(collector) if !collector.is_remote => {
                if generation > collector.generation {
                    Taken::Yes(Some(StreamId {
                        machine: number,
                        serial: collector.serial,
                    }))
                } else {
                    Taken::Ours
                }
            }
            _ if generation < machine.generation => Taken::No,
            _ => Taken::Yes(None),
        }
    }

    /// Lets the machine be another aggregator's. Series that its stream does not have any more go.
    fn enter_remote(&mut self, number: u32, head: &RemoteHead, now: Moment) {
        self.next_serial += 1;
        let leftovers_until_ms = now.monotonic_ms + self.config.window_ms;
        let mut collector = Collector::new(
            self.next_serial,
            head.instance,
            head.stream.generation,
            leftovers_until_ms,
        );
        collector.is_remote = true;
        let machine = &mut self.machines[number as usize];
        machine.generation = head.stream.generation;
        let before = machine.collector.replace(collector);
        let Some(before) = before else {
            return;
        };
        if let Some(collector) = machine.collector.as_mut().filter(|_| before.is_remote) {
            // Asked for here, and the same wherever the collector is connected.
            collector.wanted_interval_ms = before.wanted_interval_ms;
            collector.wanted_unix_ms = before.wanted_unix_ms;
        }
        if before.generation == head.stream.generation {
            let kept: Vec<u32> = head
                .series
                .iter()
                .filter_map(|(_, key, _)| machine.recent.number_of(key))
                .collect();
            for ours in before.numbering.ours().filter(|ours| !kept.contains(ours)) {
                machine.retire(ours);
            }
        }
    }

    /// Does something about a machine whose stream another aggregator has, when that stream is the one that counts.
    fn with_remote(&mut self, stream: &RemoteStream, then: impl FnOnce(&mut Self, u32)) -> Taken {
        let Some(number) = self.by_id.get(&stream.machine).copied() else {
            return Taken::No;
        };
        let collector = self.machines[number as usize].collector.as_ref();
        match collector {
            Some(collector) if collector.is_remote && collector.generation == stream.generation => {
                then(self, number);
                Taken::Yes(None)
            }
            Some(collector) if !collector.is_remote && collector.generation > stream.generation => {
                Taken::Ours
            }
            _ => Taken::No,
        }
    }

    /// Notes when a machine was last heard of elsewhere or earlier, and judges it anew.
    pub(super) fn heard_at(&mut self, number: u32, heard: UnixMillis, is_new: bool, now: Moment) {
        let machine = &mut self.machines[number as usize];
        let at_ms = now.monotonic_ms.saturating_sub(now.unix.since_ms(heard));
        if is_new || at_ms > machine.heard_ms {
            machine.heard_ms = at_ms;
            machine.last_seen = heard.min(now.unix);
        }
        self.judge(number, now);
        self.schedule(number);
    }
}

impl Machine {
    /// Lets wishes go that were not said again; returns whether that changes what the collector is to do.
    pub(super) fn lapse_wishes(&mut self, now: Moment) -> bool {
        if self.wishes.iter().all(|wish| wish.until_ms > now.monotonic_ms) {
            return false;
        }
        let before = self.directive();
        self.wishes.retain(|wish| wish.until_ms > now.monotonic_ms);
        before != self.directive()
    }

    /// What is wanted here of a machine whose stream another aggregator has.
    fn wish(&self) -> wire::Wish {
        let Some(collector) = self.collector.as_ref().filter(|collector| collector.is_remote) else {
            return wire::Wish::default();
        };
        let processes = if self.watchers_of_all > 0 {
            wire::ProcessDetail::All
        } else {
            wire::ProcessDetail::Unspecified
        };
        wire::Wish {
            processes: processes.into(),
            interval_ms: collector.wanted_interval_ms,
            interval_unix_ms: collector.wanted_unix_ms,
        }
    }
}
