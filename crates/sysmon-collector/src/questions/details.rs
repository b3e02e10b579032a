//! What is to be known of one process beyond its row in the table.

use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Dir, Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;
use sysmon_api::{Code, wire};

use super::{Refusal, Settings};
use crate::parse::{after_key, lines, number, trimmed, words};
use crate::probe::process::Stat;

/// How much of a command line is read; a longer one is cut.
const COMMAND_BYTES_MAX: usize = 16 << 10;
/// More than any other file of a process is long.
const FILE_BYTES_MAX: usize = 16 << 10;
/// Open files are counted up to here.
const OPEN_FILES_MAX: u64 = 1 << 20;

/// The folder of a process, which is that of this process alone: when it ends, reading fails, whoever has its pid then.
pub(super) struct Folder {
    folder: OwnedFd,
}

impl Folder {
    /// Opens it.
    ///
    /// # Errors
    /// That the process is gone.
    pub(super) fn open(settings: &Settings, pid: u32) -> Result<Self, Refusal> {
        let path = settings.roots.proc.join(pid.to_string());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(CWD, &path, flags, Mode::empty())
            .map(|folder| Self { folder })
            .map_err(|error| failed(error, pid))
    }

    /// Start after boot in milliseconds, as the table of processes has it, and processor time in milliseconds.
    pub(super) fn times_ms(&self) -> Option<(u64, u64)> {
        let line = self.read("stat", FILE_BYTES_MAX).ok()?;
        let stat = Stat::parse(&line)?;
        let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
        let ms = |ticks: u64| ticks.saturating_mul(1_000) / ticks_per_second;
        Some((ms(stat.start_ticks), ms(stat.processor_ticks)))
    }

    fn read(&self, name: &str, most: usize) -> Result<Vec<u8>, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = openat(&self.folder, name, flags, Mode::empty())?;
        let mut content = vec![0; most];
        let mut length = 0;
        while length < most {
            match rustix::io::read(&file, &mut content[length..]) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        content.truncate(length);
        Ok(content)
    }

    /// How many files it has open; `None` where that is not ours to see.
    fn open_files(&self) -> Option<u64> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(&self.folder, "fd", flags, Mode::empty()).ok()?;
        let mut count = 0;
        for entry in Dir::new(folder).ok()? {
            let entry = entry.ok()?;
            count += u64::from(!entry.file_name().to_bytes().starts_with(b"."));
            if count >= OPEN_FILES_MAX {
                break;
            }
        }
        Some(count)
    }

    fn executable(&self) -> Option<String> {
        let target = readlinkat(&self.folder, "exe", Vec::new()).ok()?;
        Some(clean(target.to_bytes()))
    }
}

/// Reads everything there is, of the process of that pid and that start.
///
/// # Errors
/// That there is no such process, or not any more.
pub(super) fn read(settings: &Settings, key: wire::ProcessKey) -> Result<wire::ProcessDetails, Refusal> {
    let folder = Folder::open(settings, key.pid)?;
    let (start_ms, processor_ms) = folder.times_ms().ok_or_else(|| gone(key.pid))?;
    if start_ms != key.start_ms {
        return Err(another(key.pid));
    }
    let status = folder.read("status", FILE_BYTES_MAX).unwrap_or_default();
    let kibibytes = |name: &[u8]| {
        let digits = words(after_key(&status, name)?).next()?;
        number(digits).map(|kibibytes| kibibytes.saturating_mul(1_024))
    };
    let io = folder.read("io", FILE_BYTES_MAX).ok();
    let bytes = |name: &[u8]| number(trimmed(after_key(io.as_deref()?, name)?));
    let limits = folder.read("limits", FILE_BYTES_MAX).unwrap_or_default();
    let cgroup = folder.read("cgroup", FILE_BYTES_MAX).unwrap_or_default();
    let command = folder.read("cmdline", COMMAND_BYTES_MAX).unwrap_or_default();
    let is_cut = command.len() == COMMAND_BYTES_MAX;
    let details = wire::ProcessDetails {
        process: Some(key),
        command: clean(crate::redact::command_line(&command, is_cut, settings.arguments).as_bytes()),
        executable: folder.executable().unwrap_or_default(),
        cgroup: cgroup_of(&cgroup),
        open_files: folder.open_files(),
        open_files_max: open_files_max(&limits),
        read_bytes: bytes(b"read_bytes:"),
        written_bytes: bytes(b"write_bytes:"),
        memory_peak_bytes: kibibytes(b"VmHWM:"),
        swap_bytes: kibibytes(b"VmSwap:"),
        processor_ms: Some(processor_ms),
    };
    // Everything above is of one process only if it is still there.
    folder.times_ms().map(|_| details).ok_or_else(|| gone(key.pid))
}

/// The path in the unified tree, else the longest in any other (cgroups(7)).
fn cgroup_of(text: &[u8]) -> String {
    let path = |line: &[u8]| {
        let mut parts = line.splitn(3, |byte| *byte == b':');
        let tree = parts.next()?.to_vec();
        let path = parts.nth(1)?.to_vec();
        Some((tree == b"0", path))
    };
    let best = lines(text)
        .filter_map(path)
        .max_by_key(|(is_unified, path)| (*is_unified && path.len() > 1, path.len()));
    best.map(|(_, path)| clean(&path)).unwrap_or_default()
}

/// The soft limit of open files (proc_pid_limits(5)); `None` for no limit.
fn open_files_max(text: &[u8]) -> Option<u64> {
    let line = lines(text).find(|line| line.starts_with(b"Max open files"))?;
    number(words(&line[b"Max open files".len()..]).next()?)
}

/// Text that can be sent: valid, and without control characters.
fn clean(text: &[u8]) -> String {
    sysmon_core::sanitize(&String::from_utf8_lossy(text)).into_owned()
}

pub(super) fn gone(pid: u32) -> Refusal {
    Refusal::new(Code::NotFound, format!("process {pid} has ended"))
}

pub(super) fn another(pid: u32) -> Refusal {
    Refusal::new(
        Code::NotFound,
        format!("the process has ended; its pid {pid} is another process now"),
    )
}

fn failed(error: Errno, pid: u32) -> Refusal {
    match error {
        Errno::NOENT | Errno::SRCH => gone(pid),
        Errno::ACCESS | Errno::PERM => Refusal::new(
            Code::PermissionDenied,
            format!("the collector may not look at process {pid}"),
        ),
        error => Refusal::new(
            Code::Unavailable,
            format!("process {pid} cannot be read: {error}"),
        ),
    }
}
