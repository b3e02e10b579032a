//! What there is to say about one machine, cut into parts that fit into messages.

use std::collections::VecDeque;

use prost::Message;
use sysmon_api::wire;

use super::shared::Piece;

/// Parts of at most about this many bytes; one item, such as a slice of history, is never cut.
pub(super) const PART_BYTES: usize = 512 * 1_024;

/// Collects what is said about one machine. Items are taken over by the client in the order in which they are put
/// here: series, history, ticks, processes.
#[derive(Debug)]
pub(super) struct Parts {
    done: VecDeque<(Piece, usize)>,
    current: wire::MachineUpdate,
    bytes: usize,
}

impl Parts {
    /// Begins with what is said about the machine in any case.
    pub(super) fn new(first: wire::MachineUpdate) -> Self {
        Self {
            done: VecDeque::new(),
            bytes: first.encoded_len(),
            current: first,
        }
    }

    pub(super) fn announce(&mut self, definition: wire::SeriesDefinition) {
        self.make_room(&definition);
        self.current.announced.push(definition);
    }

    pub(super) fn history(&mut self, history: wire::History) {
        self.make_room(&history);
        if self.current.history.is_some() {
            self.cut();
            self.bytes += framed(&history);
        }
        self.current.history = Some(history);
    }

    pub(super) fn tick(&mut self, tick: wire::Tick) {
        self.make_room(&tick);
        self.current.ticks.push(tick);
    }

    pub(super) fn processes(&mut self, mut update: wire::ProcessUpdate) {
        let changed = std::mem::take(&mut update.changed);
        self.make_room(&update);
        // The counts are said again with every part, but the list is replaced only once.
        let next = wire::ProcessUpdate {
            replace: false,
            removed: Vec::new(),
            changed: Vec::new(),
            ..update
        };
        let mut update = Some(update);
        for process in changed {
            let bytes = framed(&process);
            if self.bytes + bytes > PART_BYTES
                && update.as_ref().is_some_and(|update| !update.changed.is_empty())
            {
                self.current.processes = update.replace(next.clone());
                self.cut();
                self.bytes += framed(&next);
            }
            self.bytes += bytes;
            if let Some(update) = &mut update {
                update.changed.push(process);
            }
        }
        self.current.processes = update;
    }

    /// All parts with their sizes in bytes, in order.
    pub(super) fn finish(mut self) -> VecDeque<(Piece, usize)> {
        self.done.push_back((Piece::Own(self.current), self.bytes));
        self.done
    }

    /// Begins another part when an item does not fit.
    fn make_room(&mut self, item: &impl Message) {
        let bytes = framed(item);
        if self.bytes + bytes > PART_BYTES {
            self.cut();
        }
        self.bytes += bytes;
    }

    fn cut(&mut self) {
        let next = wire::MachineUpdate {
            machine: self.current.machine,
            liveness: self.current.liveness,
            health: self.current.health,
            last_seen_unix_ms: self.current.last_seen_unix_ms,
            sequence: self.current.sequence,
            follows_sequence: self.current.sequence,
            ..wire::MachineUpdate::default()
        };
        let bytes = next.encoded_len();
        let part = std::mem::replace(&mut self.current, next);
        self.done
            .push_back((Piece::Own(part), std::mem::replace(&mut self.bytes, bytes)));
    }
}

/// Bytes of a message inside another one: with its tag and length.
fn framed(item: &impl Message) -> usize {
    item.encoded_len() + 5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(parts: VecDeque<(Piece, usize)>) -> Vec<(wire::MachineUpdate, usize)> {
        let own = |(piece, bytes)| match piece {
            Piece::Own(update) => (update, bytes),
            Piece::Shared(_) => panic!("nothing is shared here"),
        };
        parts.into_iter().map(own).collect()
    }

    fn first() -> wire::MachineUpdate {
        wire::MachineUpdate {
            machine: 7,
            replace: true,
            liveness: 1,
            sequence: 9,
            follows_sequence: 3,
            ..Default::default()
        }
    }

    fn large_process(pid: u32) -> wire::Process {
        wire::Process {
            pid,
            command: "x".repeat(4_096),
            ..Default::default()
        }
    }

    #[test]
    fn what_is_small_is_one_part_of_the_size_it_says() {
        let mut parts = Parts::new(first());
        parts.tick(wire::Tick {
            at_unix_ms: 1,
            series_steps: vec![1; 100],
            values: vec![1; 100],
        });
        let parts = own(parts.finish());
        assert_eq!(parts.len(), 1);
        assert!(parts[0].0.encoded_len() <= parts[0].1 && parts[0].1 < parts[0].0.encoded_len() + 8);
    }

    #[test]
    fn what_is_large_is_cut_and_only_the_first_part_replaces() {
        let mut parts = Parts::new(first());
        for series in 0..3 {
            parts.history(wire::History {
                at_unix_ms_steps: vec![1],
                series: vec![wire::SeriesHistory {
                    series,
                    codes: vec![1; 300_000],
                }],
            });
        }
        parts.processes(wire::ProcessUpdate {
            replace: true,
            process_count: 5,
            changed: (0..1_000).map(large_process).collect(),
            ..Default::default()
        });
        let parts = own(parts.finish());
        assert!(parts.len() > 8, "{}", parts.len());
        let mut pids = Vec::new();
        let mut replaces = 0;
        for (index, (part, bytes)) in parts.iter().enumerate() {
            assert!(
                part.encoded_len() <= *bytes && *bytes <= PART_BYTES + 5_000,
                "{bytes}"
            );
            assert_eq!((part.machine, part.liveness, part.sequence), (7, 1, 9));
            assert_eq!(part.replace, index == 0);
            assert_eq!(part.follows_sequence, if index == 0 { 3 } else { 9 });
            if let Some(processes) = &part.processes {
                replaces += usize::from(processes.replace);
                assert_eq!(processes.process_count, 5);
                pids.extend(processes.changed.iter().map(|process| process.pid));
            }
        }
        assert_eq!(replaces, 1);
        assert_eq!(pids, (0..1_000).collect::<Vec<_>>());
    }
}
