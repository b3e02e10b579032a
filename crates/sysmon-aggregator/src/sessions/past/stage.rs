//! A fleet of its own to which the past is played, and that tells one client of it.

use std::collections::HashMap;
use std::sync::Arc;

use sysmon_api::{ApiError, process_table_to_wire, wire};
use sysmon_core::{
    Epoch, Health, HostInfo, MachineHistory, MachineId, MachineMoment, ProcessTable, UnixMillis,
};
use sysmon_store::MachineRecord;

use super::reel::{Reel, Tick};
use crate::config::Config;
use crate::counters::Counters;
use crate::fleet::{Batch, ClientId, Fleet, Hello, Judgement, Moment, StreamId};

/// The interval of a machine that did not say it.
const INTERVAL_MS: u32 = 5_000;
/// The fleet's clock runs this far ahead of the moments, so that whatever was heard of long ago has a place on it: ten
/// years, in milliseconds.
const AHEAD_MS: i64 = 10 * 365 * 86_400_000;

/// The machines of the past and the client that watches them.
#[derive(Debug)]
pub(super) struct Stage {
    fleet: Fleet,
    client: ClientId,
    subscription: u32,
    /// The moment at which it began.
    origin: UnixMillis,
    now: UnixMillis,
    actors: Vec<Actor>,
    by_id: HashMap<MachineId, usize>,
}

/// One machine.
#[derive(Debug)]
struct Actor {
    machine: MachineId,
    host: HostInfo,
    reel: Reel,
    /// None before its first tick.
    stream: Option<StreamId>,
    sequence: u64,
    told_interval_ms: u32,
}

impl Stage {
    /// An empty stage at a moment.
    ///
    /// # Errors
    /// None in practice: it has room for its only client.
    pub(super) fn new(subscription: u32, at: UnixMillis) -> Result<Self, ApiError> {
        let config = Config {
            update_gap_ms: 0,
            ..Config::default()
        };
        let mut fleet = Fleet::new(config, Arc::new(Counters::default()));
        let client = fleet.open_client()?;
        Ok(Self {
            fleet,
            client,
            subscription,
            origin: at,
            now: at,
            actors: Vec::new(),
            by_id: HashMap::new(),
        })
    }

    /// The moment shown.
    pub(super) fn now(&self) -> UnixMillis {
        self.now
    }

    /// Whether a machine is there.
    pub(super) fn has(&self, machine: &MachineId) -> bool {
        self.by_id.contains_key(machine)
    }

    /// A machine as it was when the stage began, with what it measured before.
    pub(super) fn enter(
        &mut self,
        record: MachineRecord,
        moment: &MachineMoment,
        past: Option<&MachineHistory>,
    ) {
        let reel = Reel::begin(moment, past, self.now);
        // A roll-up knows of nothing later, and of a machine that stopped for good its last sample is known.
        let last = record.last_sample.filter(|last| *last <= self.now);
        let heard = moment.heard.max(last);
        let index = self.add(record, reel);
        self.play(index, self.now);
        let actor = &self.actors[index];
        if actor.stream.is_none() {
            let seen = heard.unwrap_or_else(|| self.now.plus_ms(-AHEAD_MS));
            let (machine, host) = (actor.machine.clone(), actor.host.clone());
            self.fleet.recall(&machine, host, seen, self.moment(self.now));
        }
    }

    /// A machine that comes later.
    pub(super) fn add(&mut self, record: MachineRecord, reel: Reel) -> usize {
        let index = self.actors.len();
        self.by_id.insert(record.machine.clone(), index);
        self.actors.push(Actor {
            machine: record.machine,
            host: record.host,
            reel,
            stream: None,
            sequence: 0,
            told_interval_ms: 0,
        });
        index
    }

    /// What machines measured after `from` and up to `to`.
    pub(super) fn extend(&mut self, histories: &[MachineHistory], (from, to): (UnixMillis, UnixMillis)) {
        for history in histories {
            if let Some(index) = self.by_id.get(&history.machine) {
                self.actors[*index].reel.go_on(history, from, to);
            }
        }
    }

    /// Opens the client's subscription, when all machines are there.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn subscribe(&mut self, subscribe: &wire::Subscribe) -> Result<(), ApiError> {
        self.fleet.sweep(self.moment(self.now));
        self.fleet.subscribe(self.client, subscribe)
    }

    /// Goes on to a later moment.
    pub(super) fn advance(&mut self, to: UnixMillis) {
        self.now = self.now.max(to);
        for index in 0..self.actors.len() {
            self.play(index, self.now);
        }
        self.fleet.sweep(self.moment(self.now));
        self.fleet.nudge(self.client, self.subscription);
    }

    /// Plays a machine's ticks up to a moment.
    fn play(&mut self, index: usize, to: UnixMillis) {
        while let Some(tick) = self.actors[index].reel.next(to) {
            self.tick(index, tick);
        }
        let actor = &self.actors[index];
        if let Some(stream) = actor.stream
            && actor.reel.is_heard_between(to)
        {
            self.fleet.heartbeat(stream, self.moment(to));
        }
    }

    fn tick(&mut self, index: usize, tick: Tick) {
        let now = self.moment(tick.at);
        let actor = &mut self.actors[index];
        let interval_ms = actor
            .reel
            .interval_ms
            .and_then(|interval_ms| u32::try_from(interval_ms).ok())
            .unwrap_or(INTERVAL_MS);
        let stream = match actor.stream {
            Some(stream) => stream,
            None => {
                let hello = Hello {
                    machine: actor.machine.clone(),
                    instance: [0; 16],
                    epoch: Epoch([0; 16]),
                    host: actor.host.clone(),
                    interval_ms,
                    answers_questions: false,
                };
                actor.told_interval_ms = interval_ms;
                // There is room for more machines than are ever read.
                let Ok(opened) = self.fleet.open_stream(hello, now) else {
                    return;
                };
                actor.stream = Some(opened.stream);
                opened.stream
            }
        };
        let (announced, retired) = actor.reel.take_changes();
        actor.sequence += 1;
        let changed = (actor.told_interval_ms != interval_ms).then_some(interval_ms);
        actor.told_interval_ms = interval_ms;
        let batch = Batch {
            sequence: actor.sequence,
            announced,
            retired,
            tick: Some((tick.at, tick.values)),
            interval_ms: changed,
            ..Batch::default()
        };
        self.fleet.batch(stream, batch, now);
    }

    /// How machines fared by their alerts.
    pub(super) fn judge(&mut self, health: Vec<(MachineId, Health)>) {
        let judgements = health.into_iter().map(|(machine, health)| Judgement {
            machine,
            health,
            alerts: Arc::default(),
        });
        let judgements = judgements.collect();
        self.fleet
            .judge_by_alerts(Some(judgements), self.moment(self.now));
    }

    /// The machines that the client sees, at most `most` of them.
    pub(super) fn covered(&self, most: usize) -> Vec<MachineId> {
        self.fleet.covered(self.client, self.subscription, most)
    }

    /// The processes of a machine.
    pub(super) fn processes(&mut self, machine: &MachineId, table: &ProcessTable) {
        let Some(index) = self.by_id.get(machine) else {
            return;
        };
        let actor = &mut self.actors[*index];
        let Some(stream) = actor.stream else { return };
        actor.sequence += 1;
        let batch = Batch {
            sequence: actor.sequence,
            processes: Some(process_table_to_wire(table)),
            ..Batch::default()
        };
        // Heard of when it was, not now.
        let heard = actor.reel.last.unwrap_or(self.now);
        let is_between = actor.reel.is_heard_between(self.now);
        let at = if is_between { self.now } else { heard };
        self.fleet.batch(stream, batch, self.moment(at));
        self.fleet.sweep(self.moment(self.now));
    }

    /// Takes note of what the client has received.
    pub(super) fn received(&mut self, number: u64) {
        let received = wire::UpdateReceived {
            subscription: self.subscription,
            number,
        };
        self.fleet.received(self.client, received);
    }

    /// The updates that the client may get now, at most two.
    pub(super) fn flush(&mut self) -> Vec<wire::Update> {
        let mut updates = Vec::new();
        let now = self.moment(self.now);
        self.fleet.flush(now, |_, update| {
            // The one client of this fleet shares nothing with others, so that nothing is encoded.
            updates.push(update.update);
            true
        });
        for update in &mut updates {
            update.at_unix_ms = self.now.0;
        }
        updates
    }

    /// Whether the client has been told all there is.
    pub(super) fn is_told(&self) -> bool {
        self.fleet.is_told(self.client, self.subscription)
    }

    /// A moment on the fleet's clocks.
    fn moment(&self, at: UnixMillis) -> Moment {
        let since_origin = at.0.saturating_sub(self.origin.0);
        Moment {
            monotonic_ms: u64::try_from(since_origin.saturating_add(AHEAD_MS)).unwrap_or(0),
            unix: at,
        }
    }
}
