//! Recordings on disk: gzip over messages, each after its length.

use std::io::{self, BufReader, BufWriter, Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use prost::Message;
use sysmon_api::wire;
use thiserror::Error;

/// What the header says the file is.
const FORMAT: &str = "sysmon recording";
const VERSION: u32 = 1;
/// Longer than any message of an aggregator, which keeps them under 4 MiB.
const MESSAGE_BYTES_MAX: u32 = 16 << 20;

/// Why a file cannot be played.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("it is no recording of sysmon-tui; make one with sysmon-tui --record FILE")]
    Format,
    /// A newer release wrote it.
    #[error("it has version {0} of the format, and this release plays version {VERSION}; upgrade sysmon-tui")]
    Version(u32),
    /// There is no such moment in it.
    #[error("{0}")]
    Moment(String),
}

/// Writes a recording.
pub(crate) struct RecordingWriter<W: Write> {
    gzip: GzEncoder<BufWriter<W>>,
    message: Vec<u8>,
}

impl<W: Write> RecordingWriter<W> {
    /// Begins a recording.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn begin(output: W, header: &wire::RecordingHeader) -> io::Result<Self> {
        let mut writer = Self {
            gzip: GzEncoder::new(BufWriter::new(output), Compression::fast()),
            message: Vec::new(),
        };
        let header = wire::RecordingHeader {
            format: FORMAT.into(),
            version: VERSION,
            ..header.clone()
        };
        writer.put(&header)?;
        writer.flush()?;
        Ok(writer)
    }

    /// Adds an event.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn event(&mut self, event: &wire::RecordedEvent) -> io::Result<()> {
        self.put(event)
    }

    /// Brings everything so far to where it survives this process.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.gzip.flush()?;
        self.gzip.get_mut().flush()
    }

    /// Ends the recording.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.gzip.finish()?.flush()
    }

    fn put(&mut self, message: &impl Message) -> io::Result<()> {
        self.message.clear();
        // A vector grows as needed.
        let _ = message.encode(&mut self.message);
        let length = u32::try_from(self.message.len()).unwrap_or(u32::MAX);
        if length > MESSAGE_BYTES_MAX {
            return Ok(());
        }
        self.gzip.write_all(&length.to_le_bytes())?;
        self.gzip.write_all(&self.message)
    }
}

/// Reads a recording.
pub(crate) struct RecordingReader<R: Read> {
    gzip: GzDecoder<BufReader<R>>,
    /// The end, or what of it is left after a cut.
    is_over: bool,
}

impl<R: Read> RecordingReader<R> {
    /// Opens a recording.
    ///
    /// # Errors
    /// When it is none, or of a newer release.
    pub(crate) fn open(input: R) -> Result<(Self, wire::RecordingHeader), RecordingError> {
        let mut reader = Self {
            gzip: GzDecoder::new(BufReader::new(input)),
            is_over: false,
        };
        let header: wire::RecordingHeader = match reader.take() {
            Ok(Some(header)) => header,
            Ok(None) => return Err(RecordingError::Format),
            Err(error) if is_no_recording(&error) => return Err(RecordingError::Format),
            Err(error) => return Err(error.into()),
        };
        if header.format != FORMAT {
            return Err(RecordingError::Format);
        }
        if header.version > VERSION {
            return Err(RecordingError::Version(header.version));
        }
        Ok((reader, header))
    }

    /// The next event; `None` at the end, and where the file was cut off or is damaged.
    pub(crate) fn next(&mut self) -> Option<wire::RecordedEvent> {
        if self.is_over {
            return None;
        }
        let event = self.take().unwrap_or_else(|error| {
            tracing::warn!(%error, "the recording ends in the middle; it is played so far");
            None
        });
        self.is_over = event.is_none();
        event
    }

    fn take<M: Message + Default>(&mut self) -> io::Result<Option<M>> {
        let mut length = [0; 4];
        match self.gzip.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let length = u32::from_le_bytes(length);
        if length > MESSAGE_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut message = Vec::new();
        (&mut self.gzip).take(length.into()).read_to_end(&mut message)?;
        if message.len() < length as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        M::decode(&*message)
            .map(Some)
            .map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

fn is_no_recording(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(at_unix_ms: i64) -> wire::RecordedEvent {
        wire::RecordedEvent {
            at_unix_ms,
            ..wire::RecordedEvent::default()
        }
    }

    fn recording(count: i64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = RecordingWriter::begin(&mut bytes, &wire::RecordingHeader::default()).unwrap();
        for at in 0..count {
            writer.event(&event(at)).unwrap();
            writer.flush().unwrap();
        }
        writer.finish().unwrap();
        bytes
    }

    fn played(bytes: &[u8]) -> Vec<i64> {
        let (mut reader, _) = RecordingReader::open(bytes).unwrap();
        std::iter::from_fn(|| reader.next())
            .map(|event| event.at_unix_ms)
            .collect()
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(played(&recording(50)), (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn a_file_that_was_cut_off_plays_up_to_the_cut() {
        let whole = recording(50);
        let half = played(&whole[..whole.len() / 2]);
        assert!(half.len() > 5 && half.len() < 50, "{}", half.len());
        assert_eq!(half, (0..half.len() as i64).collect::<Vec<_>>());
    }

    #[test]
    fn another_file_is_refused_in_words() {
        for bytes in [&b""[..], b"\x1f", b"a text", &[0; 4_096]] {
            let error = RecordingReader::open(bytes).err().unwrap();
            assert!(error.to_string().contains("no recording"), "{error}");
        }
    }

    #[test]
    fn a_recording_of_a_newer_release_is_refused_with_what_to_do() {
        let mut bytes = Vec::new();
        let mut writer = RecordingWriter {
            gzip: GzEncoder::new(BufWriter::new(&mut bytes), Compression::fast()),
            message: Vec::new(),
        };
        let header = wire::RecordingHeader {
            format: FORMAT.into(),
            version: VERSION + 1,
            ..wire::RecordingHeader::default()
        };
        writer.put(&header).unwrap();
        writer.finish().unwrap();
        let error = RecordingReader::open(&*bytes).err().unwrap();
        assert!(matches!(error, RecordingError::Version(2)), "{error}");
        assert!(error.to_string().contains("upgrade"), "{error}");
    }

    proptest! {
        #[test]
        fn no_damage_makes_it_panic(at in 0usize..400, bytes in prop::collection::vec(any::<u8>(), 1..20)) {
            let mut whole = recording(20);
            let at = at.min(whole.len());
            whole.splice(at.., bytes);
            if let Ok((mut reader, _)) = RecordingReader::open(&*whole) {
                while reader.next().is_some() {}
            }
        }
    }
}
