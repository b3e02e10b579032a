//! How far what others say of their machines has come, so that gaps show.

use std::collections::HashMap;
use std::time::Duration;

use sysmon_core::MachineId;
use tokio::time::Instant;

use crate::fleet::RemoteStream;

/// The most machines that are followed; beyond that everything is forgotten and loaded anew.
const MACHINES_MAX: usize = 200_000;
/// One machine is asked for at most this often.
const ASK_INTERVAL: Duration = Duration::from_secs(2);

/// What to do with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Hand it on.
    Pass,
    /// It is known already.
    Drop,
    /// Something is missing before it: load the machine, then look again.
    Load,
}

/// One entry per machine that others have spoken of.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    machines: HashMap<MachineId, Known>,
}

#[derive(Debug, Default)]
struct Known {
    generation: u64,
    sequence: u64,
    /// The process list is known, so that changes of it make sense.
    has_processes: bool,
    asked_at: Option<Instant>,
}

impl Tracker {
    /// A batch.
    pub(super) fn batch(&mut self, stream: &RemoteStream, sequence: u64) -> Step {
        let known = self.entry(&stream.machine);
        if stream.generation < known.generation {
            // The owner knows whether a stream of its own is the newer one, and says so.
            return Step::Pass;
        }
        if stream.generation > known.generation {
            return Step::Load;
        }
        match sequence.checked_sub(known.sequence) {
            Some(1) => {
                known.sequence = sequence;
                Step::Pass
            }
            None | Some(0) => Step::Drop,
            Some(_) => Step::Load,
        }
    }

    /// Something that counts no further: the machine is alive, or the stream has ended.
    pub(super) fn remark(&mut self, stream: &RemoteStream, sequence: u64) -> Step {
        let known = self.entry(&stream.machine);
        let place = (stream.generation, sequence);
        if place > (known.generation, known.sequence) {
            Step::Load
        } else {
            Step::Pass
        }
    }

    /// A head that somebody said: it makes everything before it known.
    pub(super) fn head(&mut self, stream: &RemoteStream, sequence: u64, has_processes: bool) -> Step {
        let known = self.entry(&stream.machine);
        if (stream.generation, sequence) < (known.generation, known.sequence) {
            return if stream.generation < known.generation {
                Step::Pass
            } else {
                Step::Drop
            };
        }
        let is_same = (stream.generation, sequence) == (known.generation, known.sequence);
        if is_same && known.has_processes {
            // Somebody else asked.
            return Step::Drop;
        }
        known.has_processes = has_processes;
        known.generation = stream.generation;
        known.sequence = sequence;
        Step::Pass
    }

    /// What hot state has of a machine, up to a sequence. Returns the sequence up to which its ticks are known already, or
    /// `None` when there is nothing new.
    pub(super) fn loaded(&mut self, stream: &RemoteStream, sequence: u64) -> Option<u64> {
        let known = self.entry(&stream.machine);
        if (stream.generation, sequence) <= (known.generation, known.sequence) {
            return None;
        }
        let before = if known.generation == stream.generation {
            known.sequence
        } else {
            0
        };
        known.generation = stream.generation;
        known.sequence = sequence;
        known.has_processes = false;
        Some(before)
    }

    /// Whether a change of the process list makes sense; a whole list makes it so from now on.
    pub(super) fn takes_processes(&mut self, machine: &MachineId, is_whole: bool) -> bool {
        let known = self.entry(machine);
        known.has_processes |= is_whole;
        known.has_processes
    }

    /// Whether to ask for a machine now; not too often.
    pub(super) fn may_ask(&mut self, machine: &MachineId) -> bool {
        let known = self.entry(machine);
        let now = Instant::now();
        if known
            .asked_at
            .is_some_and(|at| now.duration_since(at) < ASK_INTERVAL)
        {
            return false;
        }
        known.asked_at = Some(now);
        true
    }

    fn entry(&mut self, machine: &MachineId) -> &mut Known {
        if self.machines.len() >= MACHINES_MAX && !self.machines.contains_key(machine) {
            self.machines.clear();
        }
        self.machines.entry(machine.clone()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(generation: u64) -> RemoteStream {
        RemoteStream {
            machine: MachineId::parse("web-1").unwrap(),
            generation,
        }
    }

    #[test]
    fn batches_pass_in_order_once_and_a_gap_asks_for_more() {
        let mut tracker = Tracker::default();
        assert_eq!(tracker.batch(&stream(7), 1), Step::Load, "its head was missed");
        assert_eq!(tracker.head(&stream(7), 0, false), Step::Pass);
        assert_eq!(tracker.batch(&stream(7), 1), Step::Pass);
        assert_eq!(tracker.batch(&stream(7), 1), Step::Drop);
        assert_eq!(tracker.batch(&stream(7), 3), Step::Load);
        assert_eq!(tracker.remark(&stream(7), 1), Step::Pass);
        assert_eq!(tracker.remark(&stream(7), 2), Step::Load);
        assert_eq!(tracker.loaded(&stream(7), 3), Some(1));
        assert_eq!(tracker.batch(&stream(7), 3), Step::Drop);
        assert_eq!(tracker.batch(&stream(7), 4), Step::Pass);
        assert_eq!(tracker.loaded(&stream(7), 4), None);
        assert_eq!(tracker.loaded(&stream(8), 2), Some(0));
        assert_eq!(tracker.head(&stream(7), 9, true), Step::Pass, "the owner says so");
        assert_eq!(tracker.batch(&stream(8), 3), Step::Pass);
        assert_eq!(tracker.head(&stream(8), 2, true), Step::Drop);
    }

    #[test]
    fn changes_of_a_process_list_make_sense_only_after_a_whole_one() {
        let mut tracker = Tracker::default();
        let machine = stream(1).machine;
        tracker.head(&stream(1), 0, false);
        assert!(!tracker.takes_processes(&machine, false));
        assert!(tracker.takes_processes(&machine, true));
        assert!(tracker.takes_processes(&machine, false));
        tracker.loaded(&stream(1), 5);
        assert!(
            !tracker.takes_processes(&machine, false),
            "some change was missed"
        );
        tracker.head(&stream(1), 5, true);
        assert!(tracker.takes_processes(&machine, false));
        assert_eq!(
            tracker.head(&stream(1), 5, true),
            Step::Drop,
            "somebody else asked"
        );
        tracker.head(&stream(1), 6, false);
        assert!(!tracker.takes_processes(&machine, false));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_asked_all_the_time() {
        let mut tracker = Tracker::default();
        let machine = stream(1).machine;
        assert!(tracker.may_ask(&machine));
        assert!(!tracker.may_ask(&machine));
        tokio::time::advance(ASK_INTERVAL).await;
        assert!(tracker.may_ask(&machine));
    }
}
