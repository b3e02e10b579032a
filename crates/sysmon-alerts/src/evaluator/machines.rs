//! What the aggregator says, and what time alone does.

use std::sync::Arc;

use sysmon_api::wire;
use sysmon_core::{MachineId, UnixMillis};
use sysmon_store::shard_of;
use tokio::time::Instant;

use super::{Evaluator, GRACE_MS};
use crate::book::Book;
use crate::directory::Directory;
use crate::fleet::Wish;
use crate::judge::{Judge, Outcome};
use crate::message::Host;

/// How long before something fires processes are read more often: enough for a collector far away to have heard of it,
/// and for two lists at the usual interval.
const CLOSE_LOOK_MS: u64 = 15_000;
/// On so many machines at a time; when half a fleet is about to fire, no single process is to blame.
const CLOSE_LOOKS_MAX: usize = 64;

impl Evaluator {
    /// Takes an update over and judges what is new.
    pub(super) async fn take_update(&mut self, update: &wire::Update) {
        if update.snapshot {
            self.numbers.clear();
            self.spoken = None;
        }
        for machine in &update.machines {
            if machine.left {
                self.take_leave(machine.machine);
            }
        }
        if let Err(error) = self.replica.apply(update) {
            tracing::info!(%error, "the fleet is asked for anew");
            self.spoken = None;
            return self.wish.send_modify(|wish| {
                let attempt = wish.attempt + 1;
                *wish = Arc::new(Wish {
                    attempt,
                    ..Wish::clone(wish)
                });
            });
        }
        for machine in &update.machines {
            self.take_machine(machine);
            // A snapshot of a large fleet is much to judge; others want their turn.
            tokio::task::consume_budget().await;
        }
        if self.replica.is_complete() {
            let is_first = self.spoken.is_none();
            self.spoken = Some((self.replica.now(), Instant::now()));
            if is_first {
                self.begin_listening();
            }
        }
    }

    fn take_machine(&mut self, update: &wire::MachineUpdate) {
        let Some(machine) = self.replica.machine(update.machine) else {
            return;
        };
        let Ok(id) = MachineId::parse(&machine.id) else {
            return;
        };
        if update.header.is_some() {
            self.numbers.insert(id.clone(), update.machine);
            let host = Host {
                hostname: machine.host.hostname.clone(),
                labels: machine.host.labels.clone(),
            };
            self.directory
                .send_if_modified(|directory| directory.put(&id, host));
        }
        let number = shard_of(&id);
        let Some(shard) = self.shards.get_mut(&number) else {
            return;
        };
        self.counters.samples(update.ticks.len());
        let mut outcome = Outcome::default();
        let is_new = !shard.machines.contains_key(&id);
        let judge = shard
            .machines
            .entry(id)
            .or_insert_with_key(|id| Judge::new(id.clone(), &self.book, machine.last_seen));
        // Parts of a machine follow the first, which introduces it; the past may be in any of them.
        if update.replace || is_new || update.history.is_some() {
            judge.introduce(machine, &mut outcome);
        } else {
            judge.update(machine, update, &mut outcome);
        }
        self.note(number, outcome);
    }

    /// The machine is no more.
    fn take_leave(&mut self, number: u32) {
        let Some(id) = self
            .replica
            .machine(number)
            .map(|machine| Arc::clone(&machine.id))
        else {
            return;
        };
        let Ok(id) = MachineId::parse(&id) else {
            return;
        };
        self.numbers.remove(&id);
        self.directory.send_if_modified(|directory| directory.remove(&id));
        let now = self.some_moment();
        let number = shard_of(&id);
        let Some(shard) = self.shards.get_mut(&number) else {
            return;
        };
        if let Some(mut judge) = shard.machines.remove(&id) {
            let mut outcome = Outcome::default();
            judge.end(now, &mut outcome);
            shard.work.states.remove(&id);
            shard.work.forgotten.insert(id);
            self.urgent_since.get_or_insert_with(Instant::now);
            self.note(number, outcome);
        }
    }

    /// All of the fleet is known: machines that the aggregator does not know are silent from now on.
    fn begin_listening(&mut self) {
        let now = self.some_moment();
        for shard in self.shards.values_mut() {
            for (id, judge) in &mut shard.machines {
                if !self.numbers.contains_key(id) {
                    judge.resume(now);
                }
            }
        }
        self.directory.send_if_modified(Directory::complete);
        tracing::info!(machines = self.numbers.len(), "the fleet is known");
    }

    /// Other rules, silences or acknowledgements.
    pub(super) async fn take_book(&mut self, book: Arc<Book>) {
        let now = self.some_moment();
        let metrics = book.metrics();
        self.book = book;
        // Shards wait for the first rules.
        self.take_leases();
        let book = Arc::clone(&self.book);
        let mut outcomes = Vec::new();
        for (number, shard) in &mut self.shards {
            for judge in shard.machines.values_mut() {
                let mut outcome = Outcome::default();
                judge.consult(&book, now, &mut outcome);
                outcomes.push((*number, outcome));
                tokio::task::consume_budget().await;
            }
        }
        for (number, outcome) in outcomes {
            self.note(number, outcome);
        }
        self.wish.send_if_modified(|wish| {
            let changed = wish.metrics != metrics;
            if changed {
                *wish = Arc::new(Wish {
                    metrics,
                    ..Wish::clone(wish)
                });
            }
            changed
        });
    }

    /// Lets a second pass, and puts the states of some machines among what is to be stored.
    pub(super) fn beat(&mut self) {
        self.beats += 1;
        if let Some(now) = self.now() {
            self.advance(now.plus_ms(-GRACE_MS));
        }
        let round = (self.config.state_ms / 1_000).max(1);
        let turn = self.beats % round;
        let mut is_any = false;
        for shard in self.shards.values_mut() {
            for (id, judge) in &mut shard.machines {
                let is_turn = u64::from(spread(id)) % round == turn;
                if !is_turn || !judge.is_dirty() {
                    continue;
                }
                let mut outcome = Outcome::default();
                judge.refresh(&mut outcome);
                shard.work.add(outcome);
                shard.work.states.insert(id.clone(), judge.save());
                is_any = true;
            }
        }
        if is_any {
            self.urgent_since.get_or_insert_with(Instant::now);
        }
        self.look_closely();
    }

    /// Wants to know who is busy where something is about to fire: at rest a list of processes may be ten seconds old, and
    /// a notification is to name those of that moment.
    fn look_closely(&self) {
        let judges = self.shards.values().flat_map(|shard| &shard.machines);
        let closely: Vec<String> = judges
            .filter(|(id, judge)| judge.is_about_to_fire(CLOSE_LOOK_MS) && self.numbers.contains_key(*id))
            .map(|(id, _)| id.to_string())
            .take(CLOSE_LOOKS_MAX)
            .collect();
        self.wish.send_if_modified(|wish| {
            let changed = wish.closely != closely;
            if changed {
                *wish = Arc::new(Wish {
                    closely,
                    ..Wish::clone(wish)
                });
            }
            changed
        });
    }

    /// Time passes for machines that say nothing.
    fn advance(&mut self, now: UnixMillis) {
        let mut outcomes = Vec::new();
        for (number, shard) in &mut self.shards {
            for (id, judge) in &mut shard.machines {
                let machine = self
                    .numbers
                    .get(id)
                    .and_then(|number| self.replica.machine(*number));
                let mut outcome = Outcome::default();
                judge.advance(now, machine.map(|machine| &machine.processes), &mut outcome);
                if !outcome.is_empty() {
                    outcomes.push((*number, outcome));
                }
            }
        }
        for (number, outcome) in outcomes {
            self.note(number, outcome);
        }
    }
}

/// Spreads machines over time; FNV-1a.
fn spread(id: &MachineId) -> u32 {
    id.as_str().bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
