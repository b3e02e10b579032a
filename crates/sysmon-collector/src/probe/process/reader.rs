//! Access to the files of a process, with as few system calls as possible.

use std::fmt::Write as _;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, SeekFrom, openat, seek, statat};
use rustix::io::{Errno, pread};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{ProcessArguments, Roots};
use crate::file::Buffer;
use crate::parse::{after_key, number, trimmed};

/// A descriptor that is kept from scan to scan.
pub(super) type OpenFile = OwnedFd;

/// Every open file costs the kernel memory, so even a generous limit is not used up.
const OPEN_FILES_MAX: u64 = 65_536;
/// How much of a command line is read; a longer one is cut.
const COMMAND_BYTES_MAX: usize = 4_096;
/// The most processes that are looked at.
const PROCESSES_MAX: usize = 1 << 20;

/// Reads files below `/proc/PID`.
#[derive(Debug)]
pub(super) struct Reader {
    root: PathBuf,
    directory: Option<OwnedFd>,
    entries: Vec<u8>,
    path: String,
    /// How many descriptors may be kept.
    limit: usize,
    kept: usize,
    starved: bool,
}

impl Reader {
    /// Raises the process's limit of open files to what it may have, and takes at most half of it.
    pub(super) fn new(roots: &Roots) -> Self {
        Self {
            root: roots.proc.clone(),
            directory: None,
            entries: Vec::with_capacity(32 << 10),
            path: String::new(),
            limit: usize::try_from(raise_open_files_limit() / 2).unwrap_or(0),
            kept: 0,
            starved: false,
        }
    }

    /// All pids in ascending order; `None` where the directory cannot be read.
    pub(super) fn pids(&mut self, pids: &mut Vec<u32>) -> Option<()> {
        pids.clear();
        if self.directory.is_none() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            self.directory = Some(openat(CWD, &self.root, flags, Mode::empty()).ok()?);
        }
        let directory = self.directory.as_ref()?;
        seek(directory, SeekFrom::Start(0)).ok()?;
        let space: &mut [MaybeUninit<u8>] = self.entries.spare_capacity_mut();
        let mut entries = RawDir::new(directory, space);
        while let Some(entry) = entries.next() {
            let Ok(entry) = entry else {
                self.directory = None;
                return None;
            };
            let pid = number(entry.file_name().to_bytes()).and_then(|pid| u32::try_from(pid).ok());
            pids.extend(pid.filter(|_| pids.len() < PROCESSES_MAX));
        }
        // The kernel lists them in this order; a copy of the tree need not.
        if !pids.is_sorted() {
            pids.sort_unstable();
        }
        pids.dedup();
        Some(())
    }

    /// Begins a scan.
    pub(super) fn begin(&mut self) {
        self.kept = 0;
    }

    /// The line of `/proc/PID/stat`, through the kept descriptor as long as it belongs to a living process.
    pub(super) fn stat<'b>(
        &mut self,
        pid: u32,
        file: Option<OpenFile>,
        buffer: &'b mut Buffer,
    ) -> Option<(OpenFile, &'b [u8])> {
        let space = buffer.space();
        let kept = file.and_then(|file| Some((pread(&file, &mut *space, 0).ok()?, file)));
        let (length, file) = match kept {
            Some(kept) if kept.0 > 0 => kept,
            // The pid may have been given to a new process.
            _ => {
                let file = self.open(pid, "stat")?;
                (pread(&file, &mut *space, 0).ok()?, file)
            }
        };
        Some((file, &space[..length]))
    }

    /// Nanoseconds that the first thread of a process spent on a processor, through a kept descriptor (which counts as
    /// kept from then on); `None` where the kernel does not say.
    pub(super) fn ran_ns(
        &mut self,
        pid: u32,
        kept: &mut Option<OpenFile>,
        buffer: &mut Buffer,
    ) -> Option<u64> {
        let file = match kept.take() {
            Some(file) => file,
            None => self.open(pid, "schedstat")?,
        };
        let length = pread(&file, buffer.space(), 0).ok()?;
        let ran_ns = crate::parse::words(&buffer.space()[..length]).number();
        *kept = self.keep(file);
        ran_ns
    }

    /// Takes a descriptor for the next scan if there is room for it.
    pub(super) fn keep(&mut self, file: OpenFile) -> Option<OpenFile> {
        let room = self.kept < self.limit;
        self.kept += usize::from(room);
        room.then_some(file)
    }

    /// Ends a scan; `true` when descriptors ran out and all kept ones have to go.
    pub(super) fn end(&mut self) -> bool {
        if std::mem::take(&mut self.starved) {
            self.limit = self.kept / 2;
            return true;
        }
        false
    }

    /// The user that a process acts as. The directory tells: the files in it belong to root when the process may not
    /// be traced.
    pub(super) fn owner(&mut self, pid: u32) -> Option<u32> {
        self.path.clear();
        write!(self.path, "{pid}").ok()?;
        Some(
            statat(self.directory.as_ref()?, &*self.path, AtFlags::empty())
                .ok()?
                .st_uid,
        )
    }

    /// The command line as it may leave the machine; empty when there is none to be seen.
    pub(super) fn command(&mut self, pid: u32, arguments: ProcessArguments, buffer: &mut Buffer) -> String {
        let raw = self.read(pid, "cmdline", &mut buffer.space()[..COMMAND_BYTES_MAX]);
        raw.map_or_else(String::new, |raw| {
            crate::redact::command_line(raw, raw.len() == COMMAND_BYTES_MAX, arguments)
        })
    }

    /// Bytes read from and written to storage (proc_pid_io(5)); `None` where that is not ours to see.
    pub(super) fn transferred(&mut self, pid: u32, buffer: &mut Buffer) -> Option<[u64; 2]> {
        let text = self.read(pid, "io", buffer.space())?;
        let read = after_key(text, b"read_bytes:").and_then(|rest| number(trimmed(rest)))?;
        let written = after_key(text, b"write_bytes:").and_then(|rest| number(trimmed(rest)))?;
        Some([read, written])
    }

    /// A file's content as far as it fits.
    fn read<'b>(&mut self, pid: u32, name: &str, space: &'b mut [u8]) -> Option<&'b [u8]> {
        let file = self.open(pid, name)?;
        let mut length = 0;
        while length < space.len() {
            match pread(&file, &mut space[length..], length as u64) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
        Some(&space[..length])
    }

    fn open(&mut self, pid: u32, name: &str) -> Option<OwnedFd> {
        self.path.clear();
        write!(self.path, "{pid}/{name}").ok()?;
        let opened = openat(
            self.directory.as_ref()?,
            &*self.path,
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        self.starved |= matches!(opened, Err(Errno::MFILE | Errno::NFILE));
        opened.ok()
    }
}

/// The limit of open files after it was raised as far as it may go.
fn raise_open_files_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(OPEN_FILES_MAX).min(OPEN_FILES_MAX);
    let Some(current) = limit.current.filter(|current| *current < wanted) else {
        return limit.current.unwrap_or(OPEN_FILES_MAX).min(OPEN_FILES_MAX);
    };
    match setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(wanted),
            maximum: limit.maximum,
        },
    ) {
        Ok(()) => wanted,
        Err(_) => current,
    }
}

#[cfg(test)]
impl Reader {
    pub(super) fn keep_at_most(&mut self, limit: usize) {
        self.limit = limit;
    }
}
