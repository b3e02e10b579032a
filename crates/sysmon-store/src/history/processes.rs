//! Snapshots of processes: what all back ends have in common.

use std::collections::{BTreeMap, HashMap, HashSet};

use sysmon_core::{MachineId, ProcessIdentity, ProcessSnapshot, UnixMillis};

use super::{MACHINES_PER_QUERY, MachineProcesses, SNAPSHOT_REACH_MS, SNAPSHOTS_AT_A_TIME, plan};
use crate::error::StoreError;

const HOUR_MS: i64 = 3_600_000;
/// An identity is marked as used when that was this long ago, so that most snapshots only look.
pub(super) const MARK_AFTER_MS: i64 = HOUR_MS;
/// An identity goes this long after the snapshots of its time: the mark, and as much again.
pub(super) const IDENTITY_AFTER_MS: i64 = 2 * HOUR_MS;
/// Rows that one piece of maintenance forgets at most, per table.
pub(super) const FORGET_AT_ONCE: i64 = 10_000;
/// What a row costs beside its bytes, about.
pub(super) const ROW_BYTES: usize = 48;
/// The longest past that is kept in memory, in milliseconds before the newest, and the most of one machine.
const MEMORY_MS: u64 = 3_600_000;
const MEMORY_MAX: usize = 720;

/// Finds what no back end can store.
///
/// # Errors
/// `Rejected`, with why.
pub(super) fn check(snapshots: &[MachineProcesses]) -> Result<(), StoreError> {
    if snapshots.len() > SNAPSHOTS_AT_A_TIME {
        return Err(StoreError::rejected(format!(
            "{} snapshots of processes are stored at once; store at most {SNAPSHOTS_AT_A_TIME}",
            snapshots.len()
        )));
    }
    let is_time = |at: UnixMillis| (0..=plan::TIME_LIMIT_MS).contains(&at.0);
    match snapshots.iter().find(|snapshot| !is_time(snapshot.at)) {
        None => Ok(()),
        Some(snapshot) => Err(StoreError::rejected(format!(
            "processes of {} have an impossible time; set the machine's clock",
            snapshot.machine
        ))),
    }
}

/// Checks how many machines are asked about.
///
/// # Errors
/// `Rejected` for too many.
pub(super) fn check_machines(machines: &[MachineId]) -> Result<(), StoreError> {
    if machines.len() > MACHINES_PER_QUERY {
        return Err(StoreError::rejected(format!(
            "the processes of {} machines are asked for at once; ask for at most {MACHINES_PER_QUERY}",
            machines.len()
        )));
    }
    Ok(())
}

/// The start of the time whose snapshots may be shown at a moment.
pub(super) fn earliest(at: UnixMillis) -> UnixMillis {
    at.plus_ms(-i64::try_from(SNAPSHOT_REACH_MS).unwrap_or(i64::MAX))
}

/// The start of an hour.
pub(super) fn hour_of(at: i64) -> i64 {
    at.div_euclid(HOUR_MS) * HOUR_MS
}

/// 64-bit FNV-1a: a machine could only mix up its own processes with it.
pub(super) fn digest(bytes: &[u8]) -> i64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash.cast_signed()
}

/// Snapshots of known machines on their way into a database.
#[derive(Debug, Default)]
pub(super) struct Writing<'a, M> {
    pub(super) snapshots: Vec<(M, &'a MachineProcesses)>,
    /// Each identity once: packed, and the newest moment at which it was seen.
    pub(super) identities: BTreeMap<(M, i64), (Vec<u8>, i64)>,
    /// The number of each in the database.
    pub(super) numbers: HashMap<(M, i64), i64>,
}

impl<'a, M: Copy + Ord + std::hash::Hash> Writing<'a, M> {
    pub(super) fn of(snapshots: &'a [MachineProcesses], machine: impl Fn(&MachineId) -> Option<M>) -> Self {
        let mut writing = Self {
            snapshots: Vec::with_capacity(snapshots.len()),
            identities: BTreeMap::new(),
            numbers: HashMap::new(),
        };
        for snapshot in snapshots {
            let Some(machine) = machine(&snapshot.machine) else {
                continue;
            };
            writing.snapshots.push((machine, snapshot));
            for process in &snapshot.processes.processes {
                let packed = ProcessIdentity::of(process).pack();
                let entry = writing
                    .identities
                    .entry((machine, digest(&packed)))
                    .or_insert((packed, snapshot.at.0));
                entry.1 = entry.1.max(snapshot.at.0);
            }
        }
        writing
    }

    /// A snapshot as it is stored, when the numbers of all identities are known.
    pub(super) fn pack(&self, machine: M, snapshot: &ProcessSnapshot) -> Vec<u8> {
        let mut numbered = ProcessSnapshot {
            totals: snapshot.totals,
            processes: Vec::with_capacity(snapshot.processes.len()),
        };
        let mut numbers = Vec::with_capacity(snapshot.processes.len());
        for process in &snapshot.processes {
            let digest = digest(&ProcessIdentity::of(process).pack());
            let number = self.numbers.get(&(machine, digest));
            if let Some(number) = number.and_then(|number| u64::try_from(*number).ok()) {
                numbered.processes.push(process.clone());
                numbers.push(number);
            }
        }
        numbered.pack(&numbers)
    }
}

/// Snapshots as they were read, with their place among the machines asked for.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) snapshots: Vec<(usize, i64, Vec<u8>)>,
}

impl Reading {
    /// The identities that are needed. What cannot be read needs none.
    pub(super) fn numbers(&self) -> Vec<i64> {
        let numbers = self.snapshots.iter().flat_map(|(_, _, bytes)| {
            ProcessSnapshot::numbers(bytes)
                .unwrap_or_default()
                .into_iter()
                .filter_map(|number| i64::try_from(number).ok())
        });
        numbers.collect::<HashSet<_>>().into_iter().collect()
    }

    /// The snapshots, when the identities have been read. One that is damaged is left out: it is a moment's processes, and no
    /// reason to show nothing of the machine.
    pub(super) fn finish(
        mut self,
        machines: &[MachineId],
        identities: &[(i64, Vec<u8>)],
    ) -> Vec<MachineProcesses> {
        let known: HashMap<u64, ProcessIdentity> = identities
            .iter()
            .filter_map(|(number, packed)| {
                Some((
                    u64::try_from(*number).ok()?,
                    ProcessIdentity::unpack(packed).ok()?,
                ))
            })
            .collect();
        self.snapshots.sort_by_key(|(place, ..)| *place);
        let snapshots = self.snapshots.into_iter().filter_map(|(place, at, bytes)| {
            let machine = machines.get(place)?.clone();
            match ProcessSnapshot::unpack(&bytes, |number| known.get(&number).cloned()) {
                Ok(processes) => Some(MachineProcesses {
                    machine,
                    at: UnixMillis(at),
                    processes,
                }),
                Err(error) => {
                    tracing::warn!(%machine, at, %error, "a snapshot of processes cannot be read");
                    None
                }
            }
        });
        snapshots.collect()
    }
}

/// What is to be kept of snapshots.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// What is older may go.
    pub(super) before: i64,
    /// So many bytes may stay.
    pub(super) bytes: u64,
    pub(super) now: i64,
}

impl Limits {
    /// The moment before which snapshots go, by how many bytes were written in which hour.
    pub(super) fn horizon(&self, mut usage: Vec<(i64, i64)>) -> i64 {
        usage.sort_unstable_by_key(|(hour, _)| std::cmp::Reverse(*hour));
        let mut bytes = 0u64;
        for (hour, written) in usage {
            bytes = bytes.saturating_add(u64::try_from(written).unwrap_or(0));
            // An hour that a wrong clock has put into the future goes by its size alone.
            if bytes > self.bytes && hour != hour_of(self.now) {
                let end = hour.saturating_add(HOUR_MS).min(hour_of(self.now));
                return end.max(self.before);
            }
        }
        self.before
    }
}

/// The snapshots of one machine in memory, packed: those of the last hour.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    snapshots: BTreeMap<UnixMillis, Box<[u8]>>,
    /// What the snapshots name by number, and the newest one that does.
    identities: BTreeMap<u64, (ProcessIdentity, UnixMillis)>,
    numbers: HashMap<ProcessIdentity, u64>,
    next_number: u64,
}

impl Kept {
    pub(super) fn put(&mut self, snapshot: &MachineProcesses) -> bool {
        if self.snapshots.contains_key(&snapshot.at) {
            return false;
        }
        let processes = &snapshot.processes.processes;
        let numbers: Vec<u64> = processes
            .iter()
            .map(|process| self.number(ProcessIdentity::of(process), snapshot.at))
            .collect();
        let packed = snapshot.processes.pack(&numbers);
        self.snapshots.insert(snapshot.at, packed.into());
        self.forget();
        true
    }

    /// The number of an identity that a snapshot of that moment names.
    fn number(&mut self, identity: ProcessIdentity, at: UnixMillis) -> u64 {
        let number = *self.numbers.entry(identity.clone()).or_insert_with(|| {
            self.next_number += 1;
            self.next_number
        });
        let known = self.identities.entry(number).or_insert((identity, at));
        known.1 = known.1.max(at);
        number
    }

    /// Forgets what is older than an hour, or too much.
    fn forget(&mut self) {
        let before = self.snapshots.len();
        while let (Some((oldest, _)), Some((newest, _))) =
            (self.snapshots.first_key_value(), self.snapshots.last_key_value())
        {
            if newest.since_ms(*oldest) <= MEMORY_MS && self.snapshots.len() <= MEMORY_MAX {
                break;
            }
            self.snapshots.pop_first();
        }
        if self.snapshots.len() == before {
            return;
        }
        if let Some((oldest, _)) = self.snapshots.first_key_value() {
            self.identities.retain(|_, (_, last)| *last >= *oldest);
            let identities = &self.identities;
            self.numbers.retain(|_, number| identities.contains_key(number));
        }
    }

    pub(super) fn at(&self, machine: &MachineId, at: UnixMillis) -> Option<MachineProcesses> {
        let (at, packed) = self.snapshots.range(earliest(at)..=at).next_back()?;
        let identity = |number| self.identities.get(&number).map(|(identity, _)| identity.clone());
        Some(MachineProcesses {
            machine: machine.clone(),
            at: *at,
            // What was packed here can be read here.
            processes: ProcessSnapshot::unpack(packed, identity).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sysmon_core::{Process, ProcessKey, ProcessState, ProcessTotals};

    #[test]
    fn snapshots_in_memory_come_back_and_what_they_name_goes_with_the_last_of_them() {
        let process = |pid: u32| Process {
            key: ProcessKey { pid, start_ms: 7 },
            parent_pid: 1,
            user: "root".into(),
            name: format!("worker-{pid}").into(),
            command: "/usr/bin/worker --all".into(),
            state: ProcessState::Sleeping,
            cpu_percent: Some(2.5),
            memory_bytes: 8_192,
            threads: 3,
            read_bytes_per_second: None,
            write_bytes_per_second: Some(0),
        };
        let machine = MachineId::parse("a").unwrap();
        let snapshot = |minute: i64| MachineProcesses {
            machine: machine.clone(),
            at: UnixMillis(minute * 60_000),
            processes: ProcessSnapshot {
                totals: ProcessTotals::default(),
                // One that stays, and one that is there for a minute.
                processes: vec![process(1), process(100 + minute as u32)],
            },
        };
        let mut kept = Kept::default();
        for minute in 0..200 {
            assert!(kept.put(&snapshot(minute)));
            assert!(!kept.put(&snapshot(minute)), "it is there already");
            assert_eq!(
                kept.at(&machine, UnixMillis(minute * 60_000 + 5)),
                Some(snapshot(minute))
            );
        }
        assert_eq!(kept.at(&machine, UnixMillis(139 * 60_000)), Some(snapshot(139)));
        assert_eq!(kept.at(&machine, UnixMillis(138 * 60_000)), None);
        assert_eq!((kept.snapshots.len(), kept.identities.len()), (61, 62));
        assert_eq!(kept.numbers.len(), 62);
    }

    #[test]
    fn the_oldest_hours_go_when_there_is_too_much_and_the_present_one_stays() {
        let hour = |number: i64| number * HOUR_MS;
        let limits = Limits {
            before: hour(52),
            bytes: 1_000,
            now: hour(100) + 5,
        };
        assert_eq!(limits.horizon(vec![]), hour(52));
        assert_eq!(limits.horizon(vec![(hour(99), 500), (hour(100), 500)]), hour(52));
        let much = vec![
            (hour(97), 400),
            (hour(98), 400),
            (hour(99), 400),
            (hour(100), 300),
        ];
        assert_eq!(limits.horizon(much), hour(99));
        assert_eq!(limits.horizon(vec![(hour(100), 5_000)]), hour(52));
        assert_eq!(limits.horizon(vec![(hour(99), 1), (hour(100), 5_000)]), hour(100));
        // A clock that is wrong.
        assert_eq!(
            limits.horizon(vec![(hour(9_000), 5_000), (hour(100), 1)]),
            hour(100)
        );
    }

    #[test]
    fn the_digest_is_the_one_that_is_documented() {
        assert_eq!(digest(b"").cast_unsigned(), 0xcbf2_9ce4_8422_2325);
        assert_eq!(digest(b"foobar").cast_unsigned(), 0x8594_4171_f739_67e8);
    }
}
