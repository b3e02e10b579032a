//! Playing a recorded machine: raw counters from a file become samples as a collector would have made them.
//!
//! The file is CSV, packed by gzip or not, with a heading and one row per reading. Counters are raw and cumulative:
//! `unix_ms`, `cpu.user_ticks`, `cpu0.user_ticks`, `intr`, `ctxt`, `load1`, `mem.MemTotal_kib`, `vm.pswpin`,
//! `disk.NAME.reads`, `net.NAME.rx_bytes`, `psi.cpu.some_total`, … Columns that are not known are passed over, and what a
//! file does not have is absent.

mod derive;
mod table;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::GzDecoder;
use sysmon_core::{HostInfo, MachineId, UnixMillis};
use thiserror::Error;

use self::derive::Deriver;
use self::table::Table;
use super::noise::Key;
use crate::recorder::Announcement;
use crate::sample::Sample;

/// The most that a recording may have when unpacked.
const BYTES_MAX: u64 = 64 << 20;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Why a recording cannot be played.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// It cannot be read.
    #[error("the recording cannot be read: {0}; check the path and, if it is packed, that it is whole")]
    Read(#[from] std::io::Error),
    /// It is larger than what is held in memory.
    #[error("the recording has more than {} MiB; cut it", BYTES_MAX >> 20)]
    TooLong,
    /// There is no column with the time.
    #[error("the recording has no column unix_ms in its first line; see the documentation of the format")]
    NoTime,
    /// A row that does not fit the heading.
    #[error(
        "line {line} of the recording is no row of whole or decimal numbers like the heading says; remove it"
    )]
    Row {
        /// Which line, from 1.
        line: usize,
    },
    /// Rates need two readings.
    #[error("the recording has fewer than two rows; record at least a few seconds")]
    TooShort,
}

/// A recorded machine, with its rates worked out.
#[derive(Debug)]
pub struct Recording {
    announcements: Vec<Announcement>,
    rows: Vec<Vec<(u32, i64)>>,
    cpu_count: u32,
    memory_bytes: u64,
}

impl Recording {
    /// Reads a recording, up to 64 MiB of text.
    ///
    /// # Errors
    /// [`RecordingError`] when the file cannot be read or is no recording.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        Self::read(BufReader::new(File::open(path)?))
    }

    /// The same from anywhere.
    ///
    /// # Errors
    /// [`RecordingError`] when it cannot be read or is no recording.
    pub fn read(mut from: impl BufRead) -> Result<Self, RecordingError> {
        let mut text = String::new();
        let is_packed = from.fill_buf()?.starts_with(&GZIP_MAGIC);
        let limit = BYTES_MAX + 1;
        if is_packed {
            GzDecoder::new(from).take(limit).read_to_string(&mut text)?;
        } else {
            from.take(limit).read_to_string(&mut text)?;
        }
        if text.len() as u64 > BYTES_MAX {
            return Err(RecordingError::TooLong);
        }
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, RecordingError> {
        let mut lines = text.lines().enumerate();
        let heading = lines.next().map_or("", |(_, line)| line);
        let table = Table::of_heading(heading).ok_or(RecordingError::NoTime)?;
        let mut deriver = Deriver::new(&table);
        let mut announcements = Vec::new();
        let mut rows = Vec::new();
        let mut cells = Vec::new();
        for (index, line) in lines.filter(|(_, line)| !line.is_empty()) {
            let read = table.read(line, &mut cells);
            read.ok_or(RecordingError::Row { line: index + 1 })?;
            let recorded = deriver.derive(&cells);
            announcements.extend(recorded.announced);
            rows.push(recorded.values);
        }
        if rows.len() < 2 {
            return Err(RecordingError::TooShort);
        }
        // It has no rates.
        rows.remove(0);
        Ok(Self {
            announcements,
            rows,
            cpu_count: deriver.cpu_count(),
            memory_bytes: deriver.memory_bytes(),
        })
    }

    /// How many ticks it has.
    #[must_use]
    pub fn ticks(&self) -> usize {
        self.rows.len()
    }
}

/// A virtual machine that plays a recording over and over, each from a place of its own.
#[derive(Debug)]
pub(super) struct Player {
    recording: Arc<Recording>,
    host: HostInfo,
    next: usize,
    has_begun: bool,
}

impl Player {
    /// Machine 0 begins at the beginning.
    pub(super) fn new(recording: Arc<Recording>, key: Key, index: u32, id: &MachineId) -> Self {
        let host = HostInfo {
            hostname: id.to_string(),
            os: "recorded".to_owned(),
            cpu_count: recording.cpu_count,
            memory_bytes: recording.memory_bytes,
            collector_version: env!("CARGO_PKG_VERSION").to_owned(),
            labels: vec![("role".to_owned(), "recorded".to_owned())],
            ..HostInfo::default()
        };
        let next = if index == 0 {
            0
        } else {
            key.index(recording.rows.len())
        };
        Self {
            recording,
            host,
            next,
            has_begun: false,
        }
    }

    pub(super) fn host(&self) -> &HostInfo {
        &self.host
    }

    /// The next row, whatever time has passed: the file says how far apart its rows were.
    pub(super) fn sample(&mut self, at: UnixMillis) -> Sample {
        let recording = &self.recording;
        let values = recording.rows[self.next].clone();
        self.next = (self.next + 1) % recording.rows.len();
        let announced = if std::mem::replace(&mut self.has_begun, true) {
            Vec::new()
        } else {
            recording.announcements.clone()
        };
        Sample {
            at,
            announced,
            values,
            ..Sample::default()
        }
    }
}

#[cfg(test)]
mod tests;
