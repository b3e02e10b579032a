//! Processes of a machine: what is known of each, and how a table changes from scan to scan.

mod snapshot;

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
    /// By key, each once. Of a thousand processes with each reading hardly one comes or goes, so that this is smaller than
    /// a tree and quicker to walk along.
    processes: Vec<Process>,
    totals: ProcessTotals,
    complete: bool,
}

impl ProcessTable {
    /// The most processes a table takes; what exceeds it is left out, so that a hostile peer cannot fill memory.
    pub const LIMIT: usize = 65_536;

    /// The table of one scan; `complete` says whether `listed` are all there are.
    #[must_use]
    pub fn new(listed: Vec<Process>, totals: ProcessTotals, complete: bool) -> Self {
        let mut processes = listed;
        if !processes.is_sorted_by(|left, right| left.key < right.key) {
            processes.sort_by_key(|process| process.key);
            keep_latest(&mut processes);
        }
        processes.truncate(Self::LIMIT);
        Self {
            processes,
            totals,
            complete,
        }
    }

    /// Takes a change over.
    pub fn apply(&mut self, delta: &ProcessDelta) {
        self.totals = delta.totals;
        self.complete = delta.complete;
        if delta.replace {
            self.processes.clear();
            self.processes.reserve_exact(delta.changed.len().min(Self::LIMIT));
        }
        if !delta.removed.is_empty() {
            let mut removed = delta.removed.clone();
            removed.sort_unstable();
            self.processes
                .retain(|process| removed.binary_search(&process.key).is_err());
        }
        let known = self.processes.len();
        for process in &delta.changed {
            match self.processes[..known].binary_search_by_key(&process.key, |known| known.key) {
                Ok(at) => self.processes[at].clone_from(process),
                Err(_) if self.processes.len() < Self::LIMIT => self.processes.push(process.clone()),
                Err(_) => {}
            }
        }
        if self.processes.len() > known {
            // Two runs, which this kind of sort is quick with.
            self.processes.sort_by_key(|process| process.key);
            keep_latest(&mut self.processes);
        }
    }

    /// What turns `self` into `next`. Processes whose figures did not move are not repeated: on an idle machine with
    /// a thousand sleepers the change is a handful.
    #[must_use]
    pub fn delta_to(&self, next: &Self) -> ProcessDelta {
        let mut delta = ProcessDelta {
            replace: false,
            complete: next.complete,
            totals: next.totals,
            ..ProcessDelta::default()
        };
        let mut before = self.processes.iter().peekable();
        for now in &next.processes {
            while let Some(gone) = before.next_if(|then| then.key < now.key) {
                delta.removed.push(gone.key);
            }
            if before.next_if(|then| then.key == now.key) != Some(now) {
                delta.changed.push(now.clone());
            }
        }
        delta.removed.extend(before.map(|gone| gone.key));
        delta
    }

    /// The whole table as one replacing change.
    #[must_use]
    pub fn to_delta(&self) -> ProcessDelta {
        ProcessDelta {
            replace: true,
            complete: self.complete,
            changed: self.processes.clone(),
            removed: Vec::new(),
            totals: self.totals,
        }
    }

    /// The listed processes by pid.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Process> {
        self.processes.iter()
    }

    /// One process.
    #[must_use]
    pub fn get(&self, key: ProcessKey) -> Option<&Process> {
        let at = self.processes.binary_search_by_key(&key, |process| process.key);
        at.ok().map(|at| &self.processes[at])
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

/// Of sorted processes with the same key, only the last one stays.
fn keep_latest(processes: &mut Vec<Process>) {
    processes.dedup_by(|later, earlier| {
        let is_same = later.key == earlier.key;
        if is_same {
            std::mem::swap(later, earlier);
        }
        is_same
    });
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
        let changed = rows.iter().map(|(pid, cpu)| process(*pid, *cpu)).collect();
        ProcessTable::new(changed, ProcessTotals::default(), true)
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

    proptest! {
        #[test]
        fn a_table_is_what_a_map_by_key_would_be(
            changes in prop::collection::vec(
                (any::<bool>(), prop::collection::vec((0u32..20, 0u8..4), 0..20), prop::collection::vec(0u32..20, 0..5)),
                0..8,
            ),
        ) {
            let mut table = ProcessTable::default();
            let mut map = std::collections::BTreeMap::new();
            for (replace, rows, removed) in changes {
                let changed: Vec<_> = rows.iter().map(|(pid, cpu)| process(*pid, *cpu)).collect();
                let removed: Vec<_> = removed.iter().map(|pid| process(*pid, 0).key).collect();
                if replace {
                    map.clear();
                }
                for key in &removed {
                    map.remove(key);
                }
                map.extend(changed.iter().map(|process| (process.key, process.clone())));
                table.apply(&ProcessDelta { replace, changed, removed, ..ProcessDelta::default() });
                prop_assert!(table.iter().eq(map.values()));
                for pid in 0..20 {
                    let key = process(pid, 0).key;
                    prop_assert_eq!(table.get(key), map.get(&key));
                }
                let listed = map.values().rev().cloned().collect();
                prop_assert!(ProcessTable::new(listed, ProcessTotals::default(), false).iter().eq(map.values()));
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
