//! Recordings: everything that happens to the console, into a file, to be played again by anybody.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use sysmon_api::wire;

use crate::event::Event;

mod event;
mod file;

pub(crate) use event::{from_recorded, tick_of, to_recorded};
pub use file::RecordingError;
pub(crate) use file::{RecordingReader, RecordingWriter};

/// Events on their way to the disk. When the disk is too slow for them the recording ends there: one with holes would
/// show what never was.
const QUEUE: usize = 1_024;
/// After so long without an event what there is goes to the disk, and after so many in any case: no more is lost when the
/// console is killed.
const FLUSH_EVERY: Duration = Duration::from_millis(300);
const FLUSH_EVENTS: u32 = 32;
/// A recording that is forgotten does not fill the disk: about a day of a busy machine.
const EVENTS_MAX: u64 = 2_000_000;

/// Takes down what happens; dropping it ends the recording.
#[derive(Debug)]
pub struct Recorder {
    events: Option<SyncSender<wire::RecordedEvent>>,
    writer: Option<JoinHandle<()>>,
    /// The time that was told last, as long as nothing has happened since.
    time: Option<wire::RecordedEvent>,
    at: wire::RecordedEvent,
    count: u64,
}

impl Recorder {
    /// Begins a recording in a new file, readable by its owner alone.
    ///
    /// # Errors
    /// When the file exists already, or cannot be written.
    pub fn create(path: &Path, source_name: &str, is_local: bool, filter: &str) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        let header = wire::RecordingHeader {
            software_version: env!("CARGO_PKG_VERSION").into(),
            source_name: source_name.into(),
            opens_only_machine: is_local,
            filter: filter.into(),
            ..wire::RecordingHeader::default()
        };
        let mut writer = RecordingWriter::begin(file, &header)?;
        let (events, received) = sync_channel(QUEUE);
        let mut waiting = 0;
        let work = move || {
            let outcome = loop {
                match received.recv_timeout(FLUSH_EVERY) {
                    Ok(event) => {
                        waiting += 1;
                        let mut outcome = writer.event(&event);
                        if waiting >= FLUSH_EVENTS {
                            waiting = 0;
                            outcome = outcome.and_then(|()| writer.flush());
                        }
                        if let Err(error) = outcome {
                            break Err(error);
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {
                        if let Err(error) = writer.flush() {
                            break Err(error);
                        }
                    }
                    Err(RecvTimeoutError::Disconnected) => break writer.finish(),
                }
            };
            if let Err(error) = outcome {
                tracing::error!(%error, "the recording ends here: it cannot be written");
            }
        };
        let writer = std::thread::Builder::new().name("recorder".into()).spawn(work)?;
        Ok(Self {
            events: Some(events),
            writer: Some(writer),
            time: None,
            at: wire::RecordedEvent::default(),
            count: 0,
        })
    }

    /// Takes an event down, before the console takes it.
    pub(crate) fn note(&mut self, event: &Event) {
        if let Event::Tick {
            now,
            utc_offset_seconds,
        } = event
        {
            self.at = wire::RecordedEvent {
                at_unix_ms: now.0,
                utc_offset_seconds: *utc_offset_seconds,
                body: None,
            };
            let told = self.time.replace(self.at.clone());
            // Only whole seconds mean anything by themselves.
            let second = |event: &wire::RecordedEvent| event.at_unix_ms.div_euclid(1_000);
            if let Some(told) = told.filter(|told| second(told) != second(&self.at)) {
                self.put(told);
            }
        } else if let Some(body) = to_recorded(event) {
            self.time = None;
            let body = Some(body);
            self.put(wire::RecordedEvent {
                body,
                ..self.at.clone()
            });
        }
    }

    fn put(&mut self, event: wire::RecordedEvent) {
        let Some(events) = &self.events else { return };
        self.count += 1;
        let is_over = match events.try_send(event) {
            Ok(()) => self.count >= EVENTS_MAX,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => true,
        };
        if is_over {
            tracing::warn!(events = self.count, "the recording ends here");
            self.events = None;
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Some(told) = self.time.take() {
            self.put(told);
        }
        self.events = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}
