//! Files that are read again and again.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The buffer that all files of a tick are read into, one after the other.
#[derive(Debug)]
pub(crate) struct Buffer(Vec<u8>);

impl Buffer {
    const START: usize = 16 << 10;
    /// No file that is read here is this long on any real machine; one that is counts as unreadable.
    const LIMIT: usize = 4 << 20;

    fn grow(&mut self) -> io::Result<()> {
        if self.0.len() >= Self::LIMIT {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.0.resize(self.0.len() * 2, 0);
        Ok(())
    }

    /// The bytes that a reader may fill.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Self(vec![0; Self::START])
    }
}

/// A file of `/proc` or `/sys` whose descriptor stays open: reading it anew from the start is then a single `pread`,
/// a third of the cost of open, read and close.
#[derive(Debug)]
pub(crate) struct KeptFile {
    path: PathBuf,
    file: Option<File>,
    /// The kernel gives it in one piece whenever there is room for it.
    in_one_piece: bool,
}

impl KeptFile {
    /// A file with a record per entity, which the kernel may give in portions.
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            file: None,
            in_one_piece: false,
        }
    }

    /// A file that the kernel makes as a whole (`single_open` and sysctl files): a read that left room had all of it,
    /// so the one that would find the end is spared. For `file-nr` that one costs as much as the first.
    pub(crate) fn in_one_piece(path: impl Into<PathBuf>) -> Self {
        Self {
            in_one_piece: true,
            ..Self::new(path)
        }
    }

    /// The content; `None` when the file cannot be read now. It is tried anew at the next call.
    pub(crate) fn read<'b>(&mut self, buffer: &'b mut Buffer) -> Option<&'b [u8]> {
        // A descriptor may have gone stale (a remounted proc); a fresh one tells whether the file is really gone.
        if self.file.is_some()
            && let Ok(length) = self.fill(buffer)
        {
            return Some(&buffer.0[..length]);
        }
        self.file = File::open(&self.path).ok();
        match self.fill(buffer) {
            Ok(length) => Some(&buffer.0[..length]),
            Err(_) => {
                self.file = None;
                None
            }
        }
    }

    fn fill(&self, buffer: &mut Buffer) -> io::Result<usize> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let mut length = 0;
        loop {
            if length == buffer.0.len() {
                buffer.grow()?;
            }
            match file.read_at(&mut buffer.0[length..], length as u64) {
                Ok(0) => return Ok(length),
                Ok(more) => {
                    length += more;
                    if self.in_one_piece && length < buffer.0.len() {
                        return Ok(length);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The trimmed text of a small file; `None` when it cannot be read.
pub(crate) fn read_text(path: &Path) -> Option<String> {
    let mut buffer = Buffer::default();
    let bytes = KeptFile::new(path).read(&mut buffer)?;
    Some(String::from_utf8_lossy(crate::parse::trimmed(bytes)).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_file_shows_new_content_and_grows_the_buffer() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("stat");
        for mut file in [KeptFile::new(&path), KeptFile::in_one_piece(&path)] {
            let mut buffer = Buffer::default();
            assert_eq!(file.read(&mut buffer), None);
            for length in [10, Buffer::START - 1, Buffer::START, 50_000, 0] {
                let content = vec![b'a'; length];
                std::fs::write(&path, &content).unwrap();
                assert_eq!(file.read(&mut buffer), Some(&content[..]));
            }
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_file_without_end_is_unreadable_rather_than_endless() {
        let mut buffer = Buffer::default();
        assert_eq!(KeptFile::new("/dev/zero").read(&mut buffer), None);
    }
}
