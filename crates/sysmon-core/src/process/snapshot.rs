//! The processes of a moment in as few bytes as can be: what seldom changes goes by a number, and what the number stands
//! for is kept once.
//!
//! A packed snapshot is a version, the machine's counts, how many processes follow, and for each of them, ascending by
//! number: the number as a difference, one byte that tells the state and which figures there are, and the figures. Numbers
//! are of variable length, seven bits to a byte. Busy as it may be, one process takes six to nine bytes.

use std::cmp::Reverse;
use std::sync::Arc;

use thiserror::Error;

use super::{Process, ProcessKey, ProcessState, ProcessTable, ProcessTotals};

/// The first byte of a packed snapshot, and of a packed identity.
const VERSION: u8 = 1;
/// The longest texts that are kept, in bytes.
const NAME_BYTES: usize = 64;
const COMMAND_BYTES: usize = 256;
/// Memory is counted in pages of this size.
const PAGE_BYTES: u64 = 4_096;

/// Packed bytes that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0} of stored processes is damaged")]
pub struct Unreadable(&'static str);

/// What a process is, as opposed to what it does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessIdentity {
    /// Which one.
    pub key: ProcessKey,
    /// Parent's pid; 0 when there is none.
    pub parent_pid: u32,
    /// Owner, at most 64 bytes.
    pub user: Arc<str>,
    /// Short name, at most 64 bytes.
    pub name: Arc<str>,
    /// Command line, at most 256 bytes; longer ones end in `…`.
    pub command: Arc<str>,
}

/// The busiest and the largest processes of a machine at a moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessSnapshot {
    /// Counts over all processes.
    pub totals: ProcessTotals,
    /// At most [`ProcessSnapshot::PROCESSES`]. Shares of a processor are rounded to a tenth of a per cent, memory down to pages
    /// of 4 KiB.
    pub processes: Vec<Process>,
}

impl ProcessIdentity {
    /// Of a process.
    #[must_use]
    pub fn of(process: &Process) -> Self {
        let short = |text: &Arc<str>, most: usize| match text.len() <= most {
            true => Arc::clone(text),
            false => shortened(text, most).into(),
        };
        Self {
            key: process.key,
            parent_pid: process.parent_pid,
            user: short(&process.user, NAME_BYTES),
            name: short(&process.name, NAME_BYTES),
            command: short(&process.command, COMMAND_BYTES),
        }
    }

    /// As bytes; the same for equal identities.
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        put(&mut bytes, self.key.pid.into());
        put(&mut bytes, self.key.start_ms);
        put(&mut bytes, self.parent_pid.into());
        for text in [&self.user, &self.name, &self.command] {
            put(&mut bytes, text.len() as u64);
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }

    /// Out of bytes.
    ///
    /// # Errors
    /// [`Unreadable`] for anything that [`ProcessIdentity::pack`] does not make.
    pub fn unpack(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader::begin(bytes)?;
        let key = ProcessKey {
            pid: reader.small("a pid")?,
            start_ms: reader.number()?,
        };
        let identity = Self {
            key,
            parent_pid: reader.small("a pid")?,
            user: reader.text(NAME_BYTES)?,
            name: reader.text(NAME_BYTES)?,
            command: reader.text(COMMAND_BYTES)?,
        };
        reader.end()?;
        Ok(identity)
    }
}

impl ProcessSnapshot {
    /// The most processes of a snapshot.
    pub const PROCESSES: usize = 20;

    /// The ten busiest and the ten largest processes of a table, or more of either where these are the same.
    #[must_use]
    pub fn of(table: &ProcessTable) -> Self {
        let mut busiest: Vec<&Process> = table.iter().collect();
        let mut largest = busiest.clone();
        busiest.sort_by_key(|process| (Reverse(tenths(process).unwrap_or(0)), process.key));
        largest.sort_by_key(|process| (Reverse(process.memory_bytes), process.key));
        let mut chosen: Vec<&Process> = Vec::with_capacity(Self::PROCESSES);
        for process in busiest
            .into_iter()
            .zip(largest)
            .flat_map(|(busy, large)| [busy, large])
        {
            if chosen.len() == Self::PROCESSES {
                break;
            }
            if !chosen.iter().any(|known| known.key == process.key) {
                chosen.push(process);
            }
        }
        Self {
            totals: table.totals(),
            processes: chosen.into_iter().map(kept).collect(),
        }
    }

    /// As a table that does not list every process.
    #[must_use]
    pub fn table(&self) -> ProcessTable {
        ProcessTable::new(self.processes.clone(), self.totals, false)
    }

    /// As bytes, each process by the number that stands for its identity. Those without a number are left out.
    #[must_use]
    pub fn pack(&self, numbers: &[u64]) -> Vec<u8> {
        let totals = self.totals;
        let mut bytes = vec![VERSION];
        for count in [
            totals.processes,
            totals.threads,
            totals.running,
            totals.blocked,
            totals.zombies,
        ] {
            put(&mut bytes, count.into());
        }
        let mut numbered: Vec<(u64, &Process)> = numbers.iter().copied().zip(&self.processes).collect();
        numbered.sort_by_key(|(number, _)| *number);
        numbered.truncate(Self::PROCESSES);
        put(&mut bytes, numbered.len() as u64);
        let mut before = 0;
        for (number, process) in numbered {
            put(&mut bytes, number - before);
            before = number;
            put_figures(&mut bytes, process);
        }
        bytes
    }

    /// The numbers in packed bytes.
    ///
    /// # Errors
    /// [`Unreadable`] as [`ProcessSnapshot::unpack`].
    pub fn numbers(bytes: &[u8]) -> Result<Vec<u64>, Unreadable> {
        let mut numbers = Vec::with_capacity(Self::PROCESSES);
        read(bytes, |number, _| numbers.push(number))?;
        Ok(numbers)
    }

    /// Out of bytes; processes of which nobody knows what they are are left out.
    ///
    /// # Errors
    /// [`Unreadable`] for anything that [`ProcessSnapshot::pack`] does not make.
    pub fn unpack(
        bytes: &[u8],
        mut identity: impl FnMut(u64) -> Option<ProcessIdentity>,
    ) -> Result<Self, Unreadable> {
        let mut processes = Vec::with_capacity(Self::PROCESSES);
        let totals = read(bytes, |number, figures| {
            processes.extend(identity(number).map(|identity| figures.of(identity)));
        })?;
        Ok(Self { totals, processes })
    }
}

/// What a process does.
struct Figures {
    state: ProcessState,
    cpu_tenths: Option<u64>,
    memory_bytes: u64,
    threads: u32,
    read: Option<u64>,
    write: Option<u64>,
}

impl Figures {
    fn of(self, identity: ProcessIdentity) -> Process {
        Process {
            key: identity.key,
            parent_pid: identity.parent_pid,
            user: identity.user,
            name: identity.name,
            command: identity.command,
            state: self.state,
            cpu_percent: self.cpu_tenths.map(|tenths| tenths as f32 / 10.0),
            memory_bytes: self.memory_bytes,
            threads: self.threads,
            read_bytes_per_second: self.read,
            write_bytes_per_second: self.write,
        }
    }
}

/// A process as it comes back out of a snapshot.
fn kept(process: &Process) -> Process {
    let figures = Figures {
        state: process.state,
        cpu_tenths: tenths(process),
        memory_bytes: process.memory_bytes / PAGE_BYTES * PAGE_BYTES,
        threads: process.threads,
        read: process.read_bytes_per_second,
        write: process.write_bytes_per_second,
    };
    figures.of(ProcessIdentity::of(process))
}

/// Tenths of a per cent of a processor; 65,535 processors at most.
fn tenths(process: &Process) -> Option<u64> {
    const MOST: f32 = 65_535_000.0;
    // A cast of what is not a number gives 0.
    process
        .cpu_percent
        .map(|percent| (percent * 10.0).round().clamp(0.0, MOST) as u64)
}

/// How a figure is told: not at all, as zero, which most are, or as it is.
fn kind(figure: Option<u64>) -> u8 {
    match figure {
        None => 0,
        Some(0) => 1,
        Some(_) => 2,
    }
}

fn put_figures(bytes: &mut Vec<u8>, process: &Process) {
    let optional = [
        tenths(process),
        process.read_bytes_per_second,
        process.write_bytes_per_second,
    ];
    let state = ProcessState::LETTERS
        .iter()
        .position(|(state, _)| *state == process.state);
    // Seven states and three figures of three kinds: 189 of the 256 that a byte can tell.
    let state = state.and_then(|state| u8::try_from(state).ok()).unwrap_or(6);
    bytes.push(
        optional
            .iter()
            .fold(state, |code, figure| code * 3 + kind(*figure)),
    );
    put(bytes, process.memory_bytes / PAGE_BYTES);
    put(bytes, process.threads.into());
    for figure in optional.into_iter().flatten().filter(|figure| *figure > 0) {
        put(bytes, figure);
    }
}

/// Reads a packed snapshot; each process goes to `take`.
fn read(bytes: &[u8], mut take: impl FnMut(u64, Figures)) -> Result<ProcessTotals, Unreadable> {
    let mut reader = Reader::begin(bytes)?;
    let totals = ProcessTotals {
        processes: reader.small("a count")?,
        threads: reader.small("a count")?,
        running: reader.small("a count")?,
        blocked: reader.small("a count")?,
        zombies: reader.small("a count")?,
    };
    let count = reader.number()?;
    if count > ProcessSnapshot::PROCESSES as u64 {
        return Err(Unreadable("the number of processes"));
    }
    let mut number = 0u64;
    for _ in 0..count {
        number = number
            .checked_add(reader.number()?)
            .ok_or(Unreadable("the number of a process"))?;
        let figures = reader.figures()?;
        take(number, figures);
    }
    reader.end()?;
    Ok(totals)
}

/// At most so many bytes of a text, whole characters, the last of them an ellipsis.
fn shortened(text: &str, most: usize) -> String {
    const ELLIPSIS: &str = "…";
    let room = most - ELLIPSIS.len();
    // A character has four bytes at most, so one begins soon; 0 always is a boundary.
    let end = (0..=room.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    format!("{}{ELLIPSIS}", &text[..end.unwrap_or(0)])
}

/// Appends a number, seven bits to a byte, the lowest first.
fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Reads from the front, and never trusts.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn begin(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        let mut reader = Self(bytes);
        match reader.byte()? {
            VERSION => Ok(reader),
            _ => Err(Unreadable("the version")),
        }
    }

    fn byte(&mut self) -> Result<u8, Unreadable> {
        let (first, rest) = self.0.split_first().ok_or(Unreadable("the end"))?;
        self.0 = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u64, Unreadable> {
        let mut value = 0u64;
        for index in 0..10 {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Unreadable("a number"))
    }

    fn small(&mut self, what: &'static str) -> Result<u32, Unreadable> {
        u32::try_from(self.number()?).map_err(|_| Unreadable(what))
    }

    fn text(&mut self, most: usize) -> Result<Arc<str>, Unreadable> {
        let length = usize::try_from(self.number()?).map_err(|_| Unreadable("a text"))?;
        if length > most || length > self.0.len() {
            return Err(Unreadable("a text"));
        }
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        let text = std::str::from_utf8(text).map_err(|_| Unreadable("a text"))?;
        Ok(text.into())
    }

    fn figures(&mut self) -> Result<Figures, Unreadable> {
        let code = usize::from(self.byte()?);
        let (state, cpu, read, write) = (code / 27, code / 9 % 3, code / 3 % 3, code % 3);
        let (state, _) = ProcessState::LETTERS.get(state).ok_or(Unreadable("a state"))?;
        let pages = self.number()?;
        let threads = self.small("a count")?;
        let mut figure = |kind: usize| match kind {
            0 => Ok(None),
            1 => Ok(Some(0)),
            _ => self.number().map(Some),
        };
        Ok(Figures {
            state: *state,
            cpu_tenths: figure(cpu)?,
            memory_bytes: pages.checked_mul(PAGE_BYTES).ok_or(Unreadable("a size"))?,
            threads,
            read: figure(read)?,
            write: figure(write)?,
        })
    }

    fn end(&self) -> Result<(), Unreadable> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Unreadable("the end"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ProcessDelta;
    use proptest::prelude::*;

    fn processes() -> impl Strategy<Value = Vec<Process>> {
        let figures = (
            prop::option::of(0.0f32..7_000.0),
            any::<u64>(),
            any::<u32>(),
            prop::option::of(prop_oneof![Just(0), any::<u64>()]),
            prop::option::of(prop_oneof![Just(0), any::<u64>()]),
        );
        let process = (0usize..7, any::<u64>(), ".{0,90}", "\\PC{0,300}", figures);
        prop::collection::vec(process, 0..60).prop_map(|processes| {
            (1u32..)
                .zip(processes)
                .map(|(pid, (state, start_ms, name, command, figures))| Process {
                    key: ProcessKey { pid, start_ms },
                    parent_pid: pid / 2,
                    user: "root".into(),
                    name: name.into(),
                    command: command.into(),
                    state: ProcessState::LETTERS[state].0,
                    cpu_percent: figures.0,
                    memory_bytes: figures.1,
                    threads: figures.2,
                    read_bytes_per_second: figures.3,
                    write_bytes_per_second: figures.4,
                })
                .collect()
        })
    }

    fn table(processes: Vec<Process>) -> ProcessTable {
        let mut table = ProcessTable::default();
        table.apply(&ProcessDelta {
            replace: true,
            complete: true,
            totals: ProcessTotals {
                processes: 700,
                threads: 2_000,
                running: 3,
                ..ProcessTotals::default()
            },
            changed: processes,
            removed: Vec::new(),
        });
        table
    }

    proptest! {
        #[test]
        fn a_snapshot_comes_back_as_it_was(processes in processes(), first in 0u64..1 << 40) {
            let snapshot = ProcessSnapshot::of(&table(processes.clone()));
            prop_assert!(snapshot.processes.len() == processes.len().min(ProcessSnapshot::PROCESSES));
            let identities: Vec<ProcessIdentity> = snapshot.processes.iter().map(ProcessIdentity::of).collect();
            let numbers: Vec<u64> = (first..).take(identities.len()).collect();
            let bytes = snapshot.pack(&numbers);
            prop_assert_eq!(&ProcessSnapshot::numbers(&bytes).unwrap(), &numbers);
            let back = ProcessSnapshot::unpack(&bytes, |number| {
                let packed = identities[usize::try_from(number - first).unwrap()].pack();
                Some(ProcessIdentity::unpack(&packed).unwrap())
            });
            prop_assert_eq!(back.unwrap(), snapshot);
        }

        #[test]
        fn noise_is_an_error_or_bounded_but_never_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            if let Ok(snapshot) = ProcessSnapshot::unpack(&bytes, |_| None) {
                prop_assert!(snapshot.processes.is_empty());
            }
            if let Ok(numbers) = ProcessSnapshot::numbers(&bytes) {
                prop_assert!(numbers.len() <= ProcessSnapshot::PROCESSES);
            }
            if let Ok(identity) = ProcessIdentity::unpack(&bytes) {
                prop_assert!(identity.command.len() <= COMMAND_BYTES);
                prop_assert_eq!(ProcessIdentity::unpack(&identity.pack()).unwrap(), identity);
            }
        }

        #[test]
        fn a_damaged_snapshot_is_an_error_or_another_one_but_never_a_panic(
            processes in processes(), at in any::<prop::sample::Index>(), flip in 1u8..,
        ) {
            let snapshot = ProcessSnapshot::of(&table(processes));
            let numbers: Vec<u64> = (7..).take(snapshot.processes.len()).collect();
            let mut bytes = snapshot.pack(&numbers);
            let index = at.index(bytes.len());
            bytes[index] ^= flip;
            let _ = ProcessSnapshot::unpack(&bytes, |_| None);
            bytes.truncate(index);
            prop_assert!(ProcessSnapshot::unpack(&bytes, |_| None).is_err());
        }
    }

    #[test]
    fn the_busiest_and_the_largest_are_kept() {
        let process = |pid: u32, cpu: f32, memory_bytes: u64| Process {
            key: ProcessKey { pid, start_ms: 1 },
            parent_pid: 1,
            user: "root".into(),
            name: "x".into(),
            command: "".into(),
            state: ProcessState::Sleeping,
            cpu_percent: Some(cpu),
            memory_bytes,
            threads: 1,
            read_bytes_per_second: Some(0),
            write_bytes_per_second: None,
        };
        let idle = (100..200).map(|pid| process(pid, 0.0, 4_096 * u64::from(pid)));
        let busy = (1..=15).map(|pid| process(pid, 1.0 + pid as f32, 0));
        let snapshot = ProcessSnapshot::of(&table(idle.chain(busy).collect()));
        let mut pids: Vec<u32> = snapshot.processes.iter().map(|process| process.key.pid).collect();
        pids.sort_unstable();
        assert_eq!(pids[..10], (6..=15).collect::<Vec<_>>());
        assert_eq!(pids[10..], (190..200).collect::<Vec<_>>());
        assert!(!snapshot.table().is_complete());
        assert_eq!(snapshot.table().totals().processes, 700);
    }

    #[test]
    fn a_busy_machine_fits_into_two_hundred_bytes() {
        let process = |index: u32| Process {
            key: ProcessKey {
                pid: 1_000_000 + index,
                start_ms: 1 << 40,
            },
            parent_pid: 1,
            user: "root".into(),
            name: "postgres".into(),
            command: "postgres: writer".into(),
            state: ProcessState::Sleeping,
            cpu_percent: Some(0.5 + index as f32),
            memory_bytes: 500 << 20,
            threads: 12,
            read_bytes_per_second: Some(0),
            write_bytes_per_second: if index < 4 { Some(900_000) } else { Some(0) },
        };
        let snapshot = ProcessSnapshot::of(&table((0..20).map(process).collect()));
        // Numbers as they are in a fleet: far up, and other machines' between them.
        let numbers: Vec<u64> = (0..20).map(|index| 3_000_000 + index * 90).collect();
        let bytes = snapshot.pack(&numbers);
        assert!(bytes.len() <= 200, "{} bytes", bytes.len());
    }

    #[test]
    fn a_long_command_ends_where_a_character_does() {
        let long: String = "ä".repeat(400);
        let text = shortened(&long, COMMAND_BYTES);
        assert!(
            text.len() <= COMMAND_BYTES && text.ends_with('…'),
            "{}",
            text.len()
        );
    }
}
