//! A log file that cannot fill the disk: when it is full it becomes the one old file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use eyre::{Result, WrapErr};
use tracing_subscriber::fmt::MakeWriter;

/// Size in bytes at which a file is set aside.
const SIZE_BYTES_MAX: u64 = 4 << 20;

/// The shared handle that log lines are written to.
#[derive(Clone, Debug)]
pub(super) struct RotatingFile {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    path: PathBuf,
    file: File,
    size_bytes: u64,
    size_bytes_max: u64,
}

impl RotatingFile {
    /// Opens the file to append to it, after setting a full one aside as `NAME.old`.
    ///
    /// # Errors
    /// When folder or file cannot be made.
    pub(super) fn open(path: &Path) -> Result<Self> {
        Self::with_limit(path, SIZE_BYTES_MAX)
    }

    fn with_limit(path: &Path, size_bytes_max: u64) -> Result<Self> {
        let explain = || {
            format!(
                "cannot log to {}; choose another place with --log-file",
                path.display()
            )
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).wrap_err_with(explain)?;
        }
        if fs::metadata(path).is_ok_and(|metadata| metadata.len() >= size_bytes_max) {
            set_aside(path).wrap_err_with(explain)?;
        }
        let file = append(path).wrap_err_with(explain)?;
        let size_bytes = file.metadata().map_or(0, |metadata| metadata.len());
        let state = State {
            path: path.into(),
            file,
            size_bytes,
            size_bytes_max,
        };
        Ok(Self {
            state: Arc::new(Mutex::new(state)),
        })
    }
}

impl Write for &RotatingFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // A log goes on after a panic in another thread.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.size_bytes >= state.size_bytes_max {
            set_aside(&state.path)?;
            state.file = append(&state.path)?;
            state.size_bytes = 0;
        }
        let written = state.file.write(line)?;
        state.size_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for RotatingFile {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

fn set_aside(path: &Path) -> io::Result<()> {
    let mut old = path.as_os_str().to_owned();
    old.push(".old");
    fs::rename(path, old)
}

fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // A log names machines and addresses: nobody else's business.
        options.mode(0o600);
    }
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_appended_to_and_takes_at_most_two_files_of_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/sysmon.log");
        for round in 0..30 {
            let log = RotatingFile::with_limit(&path, 100).unwrap();
            for line in 0..5 {
                (&log)
                    .write_all(format!("{round:02} {line:02}\n").as_bytes())
                    .unwrap();
            }
        }
        let new = fs::read_to_string(&path).unwrap();
        let old = fs::read_to_string(path.with_extension("log.old")).unwrap();
        assert!(format!("{old}{new}").ends_with("29 03\n29 04\n"));
        assert!(
            new.len() <= 106 && old.len() <= 106,
            "{} {}",
            new.len(),
            old.len()
        );
        assert_eq!(fs::read_dir(folder.path().join("deep")).unwrap().count(), 2);
    }
}
