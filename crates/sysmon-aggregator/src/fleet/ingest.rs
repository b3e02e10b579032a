//! What collectors do to the fleet.

use std::sync::Arc;

use sysmon_api::{ApiError, Code, processes_from_wire, wire};
use sysmon_core::{Epoch, HostInfo, Liveness, ProcessTable, UnixMillis};

use super::machine::{Collector, Machine};
use super::remote::Reported;
use super::report::{Batch, Hello};
use super::{Fleet, Moment, StreamId};

/// A collector's clock that is further off than this does not time our charts.
const CLOCK_OFF_MS: u64 = 3_600_000;
/// A clock set back by more than this starts the past anew; less is bridged by moving ticks together.
const SET_BACK_MS: u64 = 60_000;

/// What a collector's new stream is told.
#[derive(Clone, Copy, Debug)]
pub struct Opened {
    /// Names the stream from now on.
    pub stream: StreamId,
    /// What the collector is to do.
    pub directive: wire::Directive,
    /// The stream of the same machine that this one replaces; it is to be ended.
    pub replaced: Option<StreamId>,
}

impl Fleet {
    /// Lets a collector report. The stream of the machine that was there before is replaced when it is of the same
    /// process, or silent.
    ///
    /// # Errors
    /// [`Code::AlreadyExists`] while another process reports for the machine, [`Code::ResourceExhausted`] when there are
    /// too many machines.
    pub fn open_stream(&mut self, hello: Hello, now: Moment) -> Result<Opened, ApiError> {
        let known = self.by_id.get(&hello.machine).copied();
        let (number, replaced) = match known {
            Some(number) => (number, self.claim(number, &hello, now)?),
            None => (self.add_machine(&hello.machine, now)?, None),
        };
        self.next_serial += 1;
        let serial = self.next_serial;
        let generation = self.next_generation(number, now);
        let machine = &mut self.machines[number as usize];
        machine.clear_problem();
        machine.begin(hello.epoch);
        machine.generation = generation;
        let leftovers_until_ms = now.monotonic_ms + self.config.window_ms;
        let collector = Collector::new(serial, hello.instance, generation, leftovers_until_ms);
        let before = machine.collector.replace(collector);
        let directive = machine.directive();
        let refilter = machine.set_header(Some(hello.host), Some(hello.interval_ms)) || known.is_none();
        if before.is_some_and(|before| before.is_remote) {
            self.note_wish(number);
        }
        self.heard(number, now);
        if refilter {
            self.refilter(number);
        }
        self.touch(number);
        Ok(Opened {
            stream: StreamId {
                machine: number,
                serial,
            },
            directive,
            replaced,
        })
    }

    /// Whether `hello` may take the machine over; its stream so far, if so.
    fn claim(&mut self, number: u32, hello: &Hello, now: Moment) -> Result<Option<StreamId>, ApiError> {
        let machine = &mut self.machines[number as usize];
        let Some(current) = &machine.collector else {
            return Ok(None);
        };
        let silence_ms = now.monotonic_ms - machine.heard_ms;
        let is_heard = silence_ms < Liveness::stale_after_ms(machine.interval_ms.into());
        if current.instance == hello.instance || !is_heard {
            return Ok(Some(StreamId {
                machine: number,
                serial: current.serial,
            }));
        }
        let name = |host: &str| if host.is_empty() { "unnamed" } else { host }.to_string();
        let problem = format!(
            "two machines claim {}: {} reports, {} was refused; give one of them another machine id",
            machine.id,
            name(&machine.host.hostname),
            name(&hello.host.hostname)
        );
        machine.set_problem(problem.clone(), now);
        self.counters.refused_streams.add(1);
        self.schedule(number);
        self.touch(number);
        Err(ApiError::new(Code::AlreadyExists, problem))
    }

    pub(super) fn add_machine(&mut self, id: &sysmon_core::MachineId, now: Moment) -> Result<u32, ApiError> {
        let number = u32::try_from(self.machines.len()).unwrap_or(u32::MAX);
        if self.machines.len() >= self.config.machines_max {
            self.counters.refused_streams.add(1);
            return Err(ApiError::new(
                Code::ResourceExhausted,
                format!("there are {number} machines already; start another aggregator or raise the limit"),
            ));
        }
        let mut machine = Machine::new(id.clone(), self.config.window_ms, now);
        let alerted = self.alerted.as_ref().and_then(|alerted| alerted.get(id));
        machine.set_standing(alerted);
        self.totals.enter(machine.liveness, machine.health);
        self.machines.push(machine);
        self.by_id.insert(id.clone(), number);
        Ok(number)
    }

    /// Takes note of a machine of which only history knows, last seen then, as one that is silent. One that is known
    /// stays as it is.
    pub fn recall(
        &mut self,
        id: &sysmon_core::MachineId,
        host: HostInfo,
        last_seen: UnixMillis,
        now: Moment,
    ) {
        if self.by_id.contains_key(id) {
            return;
        }
        // When there are too many, those that report are shown.
        let Ok(number) = self.add_machine(id, now) else {
            return;
        };
        self.machines[number as usize].set_header(Some(host), None);
        self.heard_at(number, last_seen, true, now);
        self.refilter(number);
        self.touch(number);
    }

    /// Takes a batch over. What comes on a stream that was replaced is ignored. Returns what other aggregators are to be
    /// told, if there are any.
    pub fn batch(&mut self, stream: StreamId, mut batch: Batch, now: Moment) -> Option<Reported> {
        if !self.is_current(stream) {
            return None;
        }
        if batch.is_burst {
            self.burst_tick(stream, batch, now);
            return None;
        }
        let number = stream.machine;
        let machine = &mut self.machines[number as usize];
        if !machine.follow(batch.sequence) {
            self.counters.sequence_jumps.add(1);
            tracing::debug!(machine = %machine.id, batch.sequence, "a batch does not follow the one before");
        }
        if let Some((at, _)) = &mut batch.tick {
            *at = self.corrected(*at, now);
        }
        let reported = self.reported(number, &mut batch, now);
        let is_new_head = batch.host.is_some()
            || batch.interval_ms.is_some()
            || !batch.announced.is_empty()
            || !batch.retired.is_empty();
        self.counters.ticks.add(usize::from(batch.tick.is_some()));
        self.take_over(number, batch, now);
        reported.map(|reported| Reported {
            head: is_new_head.then(|| self.head_of(number)).flatten(),
            ..reported
        })
    }

    /// Takes over what a batch says, whoever has the stream.
    pub(super) fn take_over(&mut self, number: u32, batch: Batch, now: Moment) {
        let counters = Arc::clone(&self.counters);
        let machine = &mut self.machines[number as usize];
        let refilter = machine.set_header(batch.host, batch.interval_ms);
        // Before the new ones: a series may be retired under one number and come back under another.
        for theirs in batch.retired {
            machine.retire_theirs(theirs);
        }
        counters.refused_series.add(batch.refused_series);
        for (theirs, key, decimals) in batch.announced {
            let key = self.keys.share(key);
            if !machine.announce(theirs, key, decimals) {
                counters.refused_series.add(1);
            }
        }
        if let Some((at, values)) = batch.tick {
            self.tick(number, at, &values);
        }
        if let Some(processes) = batch.processes {
            self.machines[number as usize].apply_processes(&processes);
        }
        self.heard(number, now);
        if refilter {
            self.refilter(number);
        }
        self.touch(number);
    }

    /// The time that a tick counts for.
    pub(super) fn corrected(&self, at: UnixMillis, now: Moment) -> UnixMillis {
        let off_ms = at.since_ms(now.unix).max(now.unix.since_ms(at));
        if off_ms > CLOCK_OFF_MS {
            self.counters.corrected_times.add(1);
            now.unix
        } else {
            at
        }
    }

    pub(super) fn tick(&mut self, number: u32, at: UnixMillis, values: &[(u32, i64)]) {
        let machine = &mut self.machines[number as usize];
        let newest = machine.recent.times().back();
        if newest.is_some_and(|newest| newest.since_ms(at) > SET_BACK_MS) {
            self.counters.forgotten_pasts.add(1);
            machine.forget_past();
        }
        let unknown = machine.tick(at, values, &mut self.scratch);
        self.counters.values.add(values.len() - unknown);
        self.counters.unknown_values.add(unknown);
    }

    /// Takes note that a collector is alive although it has nothing to say.
    pub fn heartbeat(&mut self, stream: StreamId, now: Moment) {
        if self.is_current(stream) {
            self.heard(stream.machine, now);
            self.touch_seen(stream.machine);
        }
    }

    /// From now on a collector's batches are counted from 1 again.
    pub fn new_epoch(&mut self, stream: StreamId, epoch: Epoch, now: Moment) {
        if self.is_current(stream) {
            self.machines[stream.machine as usize].begin(epoch);
            self.heartbeat(stream, now);
        }
    }

    /// Ends a stream; the machine stays, and goes stale in its time.
    pub fn close_stream(&mut self, stream: StreamId) {
        if self.is_current(stream) {
            self.machines[stream.machine as usize].collector = None;
        }
    }

    /// Whether a stream is the one that reports for its machine.
    pub(super) fn is_current(&self, stream: StreamId) -> bool {
        let machine = self.machines.get(stream.machine as usize);
        machine
            .and_then(|machine| machine.collector.as_ref())
            .is_some_and(|collector| collector.serial == stream.serial)
    }

    /// The stream that reports for a machine here at present.
    #[must_use]
    pub fn stream_of(&self, machine: &sysmon_core::MachineId) -> Option<StreamId> {
        let number = *self.by_id.get(machine)?;
        let collector = self.machines[number as usize].collector.as_ref()?;
        (!collector.is_remote).then_some(StreamId {
            machine: number,
            serial: collector.serial,
        })
    }

    /// Notes that a machine is alive, and judges it anew.
    pub(super) fn heard(&mut self, number: u32, now: Moment) {
        let machine = &mut self.machines[number as usize];
        machine.heard_ms = now.monotonic_ms;
        machine.last_seen = now.unix;
        self.judge(number, now);
        self.schedule(number);
    }
}

impl Machine {
    pub(super) fn apply_processes(&mut self, update: &wire::ProcessUpdate) {
        let table = self.processes.get_or_insert_with(Arc::default);
        let delta = processes_from_wire(update, table);
        // Copied only while a subscription still holds what it has sent.
        ProcessTable::apply(Arc::make_mut(table), &delta);
    }
}
