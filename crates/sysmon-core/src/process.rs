//! Processes of a machine: what is known of each, and how a table changes from scan to scan.

mod snapshot;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use snapshot::{ProcessIdentity, ProcessSnapshot, Unreadable};

/// Identity of a process: a pid is reused, pid and start together are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessKey {
    /// Process id.
    pub pid: u32,
    /// Start in milliseconds after boot (Linux) or Unix milliseconds elsewhere; only compared for equality.
    pub start_ms: u64,
}

/// Scheduling state, with the letter that ps uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProcessState {
    /// Running or ready (`R`).
    Running,
    /// Interruptible sleep (`S`).
    Sleeping,
    /// Uninterruptible sleep, usually I/O (`D`).
    Blocked,
    /// Stopped or traced (`T`, `t`).
    Stopped,
    /// Ended and not reaped (`Z`).
    Zombie,
    /// Idle kernel thread (`I`).
    Idle,
    /// Anything else.
    #[default]
    Unknown,
}

impl ProcessState {
    const LETTERS: [(Self, char); 7] = [
        (Self::Running, 'R'),
        (Self::Sleeping, 'S'),
        (Self::Blocked, 'D'),
        (Self::Stopped, 'T'),
        (Self::Zombie, 'Z'),
        (Self::Idle, 'I'),
        (Self::Unknown, '?'),
    ];

    /// The state of a letter as in `/proc/PID/stat` (proc(5)).
    #[must_use]
    pub fn from_letter(letter: char) -> Self {
        let letter = if letter == 't' { 'T' } else { letter };
        Self::LETTERS
            .iter()
            .find(|(_, known)| *known == letter)
            .map_or(Self::Unknown, |(state, _)| *state)
    }

    /// The letter that ps shows; `?` when unknown.
    #[must_use]
    pub fn letter(self) -> char {
        Self::LETTERS
            .iter()
            .find(|(state, _)| *state == self)
            .map_or('?', |(_, letter)| *letter)
    }
}

/// One process at a moment. Text is remote and may be hostile: sanitise it before it is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// Identity.
    pub key: ProcessKey,
    /// Parent's pid; 0 when there is none.
    pub parent_pid: u32,
    /// Name of the owner, or the number when it has no name.
    pub user: Arc<str>,
    /// Short name, as the kernel has it.
    pub name: Arc<str>,
    /// Command line, redacted as the collector was told; empty for kernel threads.
    pub command: Arc<str>,
    /// Scheduling state.
    pub state: ProcessState,
    /// Processor time since the last scan, 100 per core; `None` at the first sight of a process.
    pub cpu_percent: Option<f32>,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
    /// Threads.
    pub threads: u32,
    /// Bytes read from storage per second; `None` where the collector may not see it.
    pub read_bytes_per_second: Option<u64>,
    /// Bytes written to storage per second; `None` where the collector may not see it.
    pub write_bytes_per_second: Option<u64>,
}

/// Counts over all processes, including those that are not listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessTotals {
    /// Processes.
    pub processes: u32,
    /// Their threads.
    pub threads: u32,
    /// Running or ready.
    pub running: u32,
    /// In uninterruptible sleep.
    pub blocked: u32,
    /// Ended and not reaped.
    pub zombies: u32,
}

/// How a table changed: a full one replaces, a partial one updates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessDelta {
    /// Forget what was there before.
    pub replace: bool,
    /// Whether the table then lists every process (`true`) or only the busiest and largest.
    pub complete: bool,
    /// New or changed processes, whole.
    pub changed: Vec<Process>,
    /// Processes that are gone from the list.
    pub removed: Vec<ProcessKey>,
    /// Counts over all processes of the machine.
    pub totals: ProcessTotals,
}

/// The listed processes of one machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessTable {
    processes: BTreeMap<ProcessKey, Process>,
    totals: ProcessTotals,
    complete: bool,
}

impl ProcessTable {
    /// The most processes a table takes; what exceeds it is left out, so that a hostile peer cannot fill memory.
    pub const LIMIT: usize = 65_536;

    /// Takes a change over.
    pub fn apply(&mut self, delta: &ProcessDelta) {
        if delta.replace {
            self.processes.clear();
        }
        for key in &delta.removed {
            self.processes.remove(key);
        }
        for process in &delta.changed {
            if self.processes.len() < Self::LIMIT || self.processes.contains_key(&process.key) {
                self.processes.insert(process.key, process.clone());
            }
        }
        self.totals = delta.totals;
        self.complete = delta.complete;
    }

    /// What turns `self` into `next`. Processes whose figures did not move are not repeated: on an idle machine with
    /// a thousand sleepers the change is a handful.
    #[must_use]
    pub fn delta_to(&self, next: &Self) -> ProcessDelta {
        ProcessDelta {
            replace: false,
            complete: next.complete,
            changed: next
                .processes
                .values()
                .filter(|now| self.processes.get(&now.key) != Some(now))
                .cloned()
                .collect(),
            removed: self
                .processes
                .keys()
                .filter(|key| !next.processes.contains_key(key))
                .copied()
                .collect(),
            totals: next.totals,
        }
    }

    /// The whole table as one replacing change.
    #[must_use]
    pub fn to_delta(&self) -> ProcessDelta {
        ProcessDelta {
            replace: true,
            complete: self.complete,
            changed: self.processes.values().cloned().collect(),
            removed: Vec::new(),
            totals: self.totals,
        }
    }

    /// The listed processes by pid.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Process> {
        self.processes.values()
    }

    /// One process.
    #[must_use]
    pub fn get(&self, key: ProcessKey) -> Option<&Process> {
        self.processes.get(&key)
    }

    /// Counts over all processes of the machine, listed or not.
    #[must_use]
    pub fn totals(&self) -> ProcessTotals {
        self.totals
    }

    /// Whether every process is listed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn process(pid: u32, cpu: u8) -> Process {
        Process {
            key: ProcessKey {
                pid,
                start_ms: u64::from(pid),
            },
            parent_pid: 1,
            user: "root".into(),
            name: "x".into(),
            command: "x -y".into(),
            state: ProcessState::Sleeping,
            cpu_percent: Some(f32::from(cpu)),
            memory_bytes: 4096,
            threads: 1,
            read_bytes_per_second: None,
            write_bytes_per_second: None,
        }
    }

    fn table(rows: &[(u32, u8)]) -> ProcessTable {
        let mut table = ProcessTable::default();
        let changed = rows.iter().map(|(pid, cpu)| process(*pid, *cpu)).collect();
        table.apply(&ProcessDelta {
            replace: true,
            complete: true,
            changed,
            ..ProcessDelta::default()
        });
        table
    }

    proptest! {
        #[test]
        fn snapshot_and_deltas_give_the_same_table(
            scans in prop::collection::vec(prop::collection::vec((0u32..20, 0u8..4), 0..20), 1..8),
        ) {
            let mut followed = ProcessTable::default();
            followed.apply(&ProcessTable::default().to_delta());
            let mut last = followed.clone();
            for rows in scans {
                let now = table(&rows);
                followed.apply(&last.delta_to(&now));
                prop_assert_eq!(&followed, &now);
                last = now;
            }
        }
    }

    #[test]
    fn a_reused_pid_is_another_process() {
        let old = table(&[(7, 1)]);
        let mut reborn = process(7, 1);
        reborn.key.start_ms = 99;
        let mut new = ProcessTable::default();
        new.apply(&ProcessDelta {
            replace: true,
            complete: true,
            changed: vec![reborn],
            ..ProcessDelta::default()
        });
        let delta = old.delta_to(&new);
        assert_eq!((delta.changed.len(), delta.removed.len()), (1, 1));
    }
}
