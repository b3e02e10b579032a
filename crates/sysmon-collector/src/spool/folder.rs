//! The folder of a spool: its lock, its segments, and what is written down beside them.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sysmon_core::MachineId;

use super::SpoolError;
use super::record::{NUMBER_MAX, RECORD_BYTES_MAX};

const SUFFIX: &str = "segment";
/// A segment that is longer than this was not written by us; what lies behind is not looked at.
const SEGMENT_READ_MAX: u64 = 2 * RECORD_BYTES_MAX as u64;
/// The same for what is written down beside the segments.
const NOTES_READ_MAX: u64 = 4 << 20;

/// A folder that no other collector uses as long as this lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Holds the lock.
    _lock: File,
    /// To make names durable; not every system can.
    handle: Option<Arc<File>>,
}

/// What lies beside the segments.
#[derive(Clone, Copy, Debug)]
pub(super) enum Notes {
    /// What is lost, by itself durable.
    Lost,
    /// How far was acknowledged; only ever too old.
    Cursor,
}

impl Notes {
    fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Cursor => "cursor",
        }
    }
}

impl Folder {
    /// Makes the folder of a machine where there is none, and locks it.
    pub(super) fn open(directory: &Path, machine: &MachineId) -> Result<Self, SpoolError> {
        let path = directory.join(folder_name(machine));
        let opened = create_folder(&path).and_then(|()| options().open(path.join("lock")));
        let lock = opened.map_err(|source| SpoolError::Unusable {
            folder: path.clone(),
            source,
        })?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(SpoolError::Locked(path)),
            Err(fs::TryLockError::Error(source)) => {
                return Err(SpoolError::Unusable { folder: path, source });
            }
        }
        Ok(Self {
            handle: File::open(&path).ok().map(Arc::new),
            _lock: lock,
            path,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder itself, to be forced to disk after a file was made in it.
    pub(super) fn handle(&self) -> Option<Arc<File>> {
        self.handle.clone()
    }

    /// The numbers of all segments, ascending.
    pub(super) fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let number = Path::new(&name)
                .file_stem()
                .filter(|_| {
                    Path::new(&name)
                        .extension()
                        .is_some_and(|suffix| suffix == SUFFIX)
                })
                .and_then(|stem| stem.to_str())
                .filter(|stem| stem.len() == 16)
                .and_then(|stem| u64::from_str_radix(stem, 16).ok());
            numbers.extend(number.filter(|number| *number <= NUMBER_MAX));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// A new, empty segment.
    pub(super) fn create(&self, number: u64) -> io::Result<File> {
        options().truncate(true).open(self.segment(number))
    }

    /// All of a segment.
    pub(super) fn read(&self, number: u64) -> io::Result<Vec<u8>> {
        read_bounded(&self.segment(number), SEGMENT_READ_MAX)
    }

    /// Removes a segment; that there is none is as good.
    pub(super) fn remove(&self, number: u64) -> io::Result<()> {
        absent_is_well(fs::remove_file(self.segment(number)))
    }

    /// What is written down, `None` where there is nothing.
    pub(super) fn read_notes(&self, notes: Notes) -> io::Result<Option<Vec<u8>>> {
        match read_bounded(&self.path.join(notes.name()), NOTES_READ_MAX) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces what is written down, all or nothing. When this returns it survives a power failure.
    pub(super) fn replace_notes(&self, notes: Notes, bytes: &[u8]) -> io::Result<()> {
        let (path, new) = (self.path.join(notes.name()), self.path.join("new"));
        let mut file = options().truncate(true).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        match &self.handle {
            Some(handle) => handle.sync_all(),
            None => Ok(()),
        }
    }

    /// Writes over what is written down, without waiting for the disk: whoever reads it checks it.
    pub(super) fn overwrite_notes(&self, notes: Notes, bytes: &[u8]) -> io::Result<()> {
        let mut file = options().open(self.path.join(notes.name()))?;
        file.write_all(bytes)?;
        file.set_len(bytes.len() as u64)
    }

    fn segment(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:016x}.{SUFFIX}"))
    }
}

/// A name that no other machine's folder has, on any file system, and that leads nowhere else.
fn folder_name(machine: &MachineId) -> String {
    let id = machine.as_str().replace(':', "%3A");
    match id.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}"),
        None => id,
    }
}

fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn absent_is_well(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// For writing, made for the owner only.
fn options() -> fs::OpenOptions {
    let mut options = File::options();
    // Each use says itself whether it begins anew.
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn create_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(text: &str) -> MachineId {
        MachineId::parse(text).unwrap()
    }

    #[test]
    fn no_machine_id_leads_out_of_the_folder() {
        for (id, name) in [
            ("web-1", "web-1"),
            (".", "%2E"),
            ("..", "%2E."),
            ("a:b", "a%3Ab"),
            ("a.b", "a.b"),
        ] {
            assert_eq!(folder_name(&machine(id)), name);
        }
    }

    #[test]
    fn two_collectors_never_share_a_folder_and_the_next_one_gets_it() {
        let directory = tempfile::tempdir().unwrap();
        let first = Folder::open(directory.path(), &machine("a")).unwrap();
        let error = Folder::open(directory.path(), &machine("a")).unwrap_err();
        assert!(matches!(error, SpoolError::Locked(_)), "{error}");
        Folder::open(directory.path(), &machine("b")).unwrap();
        drop(first);
        Folder::open(directory.path(), &machine("a")).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_what_is_kept() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path(), &machine("a")).unwrap();
        folder.create(1).unwrap();
        folder.replace_notes(Notes::Lost, b"x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder.path()), 0o700);
        for entry in fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{path:?}");
        }
    }

    #[test]
    fn other_files_are_no_segments() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path(), &machine("a")).unwrap();
        for number in [0x20, 3] {
            folder.create(number).unwrap();
        }
        for name in [
            "x.segment",
            "0000000000000001",
            "ffffffffffffffff.segment",
            "3.segment",
        ] {
            File::create(folder.path().join(name)).unwrap();
        }
        assert_eq!(folder.numbers().unwrap(), [3, 0x20]);
    }
}
