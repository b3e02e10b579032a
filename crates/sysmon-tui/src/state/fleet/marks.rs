//! Machines that are marked for something to be done with all of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use sysmon_api::wire;

/// Commands for marked machines are numbered from here on, out of the way of all others.
pub(crate) const FIRST_BULK: u64 = 1 << 44;
/// The subscription that only asks which machines match.
pub(crate) const NAMES_SUBSCRIPTION: u32 = 7;

/// Marked machines, and what is being done with them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    ids: BTreeSet<Arc<str>>,
    /// Whether the aggregator has been asked which machines match, so that all are marked.
    pub(crate) is_asking: bool,
    pub(crate) bulk: Bulk,
}

impl Marks {
    /// The most machines that can be marked.
    pub(crate) const LIMIT: usize = 20_000;

    /// How many are marked.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether none is.
    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Whether a machine is.
    pub(crate) fn contains(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// The marked machines by id.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.ids.iter()
    }

    /// Marks these machines; those that are marked already all together are unmarked.
    pub(crate) fn toggle<'a>(&mut self, ids: impl Iterator<Item = &'a Arc<str>> + Clone) {
        if ids.clone().all(|id| self.ids.contains(id)) {
            ids.for_each(|id| {
                self.ids.remove(id);
            });
        } else {
            self.add(ids.cloned());
        }
    }

    /// Marks machines, as far as there may be more.
    pub(crate) fn add(&mut self, ids: impl Iterator<Item = Arc<str>>) {
        for id in ids {
            if self.ids.len() >= Self::LIMIT {
                break;
            }
            self.ids.insert(id);
        }
    }

    /// Marks none.
    pub(crate) fn clear(&mut self) {
        self.ids.clear();
    }
}

/// The same command for many machines, some at a time: the aggregator's answer to one lets the next go.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bulk {
    waiting: VecDeque<Arc<str>>,
    under_way: BTreeMap<u64, Arc<str>>,
    next: u64,
    interval_ms: u32,
    done: usize,
    refused: usize,
    /// Why the first was refused.
    problem: Option<String>,
}

/// What became of a command for many machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) interval_ms: u32,
    pub(crate) done: usize,
    pub(crate) refused: usize,
    pub(crate) problem: Option<String>,
}

impl Bulk {
    /// So many commands are under way at most; further ones wait here.
    const UNDER_WAY_MAX: usize = 16;

    /// Whether something is not answered yet.
    pub(crate) fn is_busy(&self) -> bool {
        !self.waiting.is_empty() || !self.under_way.is_empty()
    }

    /// Asks another interval of machines; 0 for each collector's own.
    pub(crate) fn start(&mut self, machines: impl Iterator<Item = Arc<str>>, interval_ms: u32) {
        *self = Self {
            waiting: machines.take(Marks::LIMIT).collect(),
            next: self.next,
            interval_ms,
            ..Self::default()
        };
    }

    /// The commands that can go now.
    pub(crate) fn next(&mut self) -> Vec<(u64, wire::command::Body)> {
        let mut commands = Vec::new();
        while self.under_way.len() < Self::UNDER_WAY_MAX {
            let Some(machine) = self.waiting.pop_front() else {
                break;
            };
            let request_id = FIRST_BULK + self.next;
            self.next += 1;
            let body = wire::command::Body::SetInterval(wire::SetInterval {
                machine_id: machine.as_ref().to_owned(),
                interval_ms: self.interval_ms,
            });
            self.under_way.insert(request_id, machine);
            commands.push((request_id, body));
        }
        commands
    }

    /// Whether a command is one of these.
    pub(crate) fn owns(&self, request_id: u64) -> bool {
        self.under_way.contains_key(&request_id)
    }

    /// Takes an answer; `problem` when it was refused. Returns what became of all when it was the last one.
    pub(crate) fn answered(&mut self, request_id: u64, problem: Option<&str>) -> Option<Outcome> {
        let machine = self.under_way.remove(&request_id)?;
        match problem {
            None => self.done += 1,
            Some(reason) => {
                self.refused += 1;
                if self.problem.is_none() {
                    self.problem = Some(format!("{machine}: {reason}"));
                }
            }
        }
        (!self.is_busy()).then(|| Outcome {
            interval_ms: self.interval_ms,
            done: self.done,
            refused: self.refused,
            problem: self.problem.take(),
        })
    }

    /// The connection is gone: how many commands were not answered.
    pub(crate) fn abandon(&mut self) -> usize {
        let open = self.waiting.len() + self.under_way.len();
        self.waiting.clear();
        self.under_way.clear();
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_commands_go_some_at_a_time_and_the_last_answer_tells_the_outcome() {
        let mut bulk = Bulk::default();
        bulk.start((0..40).map(|number| Arc::from(format!("m-{number}"))), 5_000);
        let mut open: Vec<u64> = bulk.next().into_iter().map(|(id, _)| id).collect();
        assert_eq!(open.len(), 16);
        let mut answered = 0;
        loop {
            let id = open.remove(0);
            answered += 1;
            let refused = (answered % 10 == 0).then_some("no such machine");
            let outcome = bulk.answered(id, refused);
            open.extend(bulk.next().into_iter().map(|(id, _)| id));
            assert!(open.len() <= 16);
            if let Some(outcome) = outcome {
                assert_eq!((answered, outcome.done, outcome.refused), (40, 36, 4));
                assert!(outcome.problem.unwrap().starts_with("m-9: "));
                break;
            }
        }
        assert!(!bulk.is_busy() && bulk.answered(open.first().copied().unwrap_or(3), None).is_none());
    }
}
