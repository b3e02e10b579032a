//! What an aggregator's console showed when it was left: the next one paints it at once, greyed and with its age, until the
//! present has come. Like [`crate::preferences`] it helps and never harms.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sysmon_api::wire;
use sysmon_core::UnixMillis;

use crate::event::{Event, LinkEvent};
use crate::keep::{self, file_name};
use crate::record::{RecordingReader, RecordingWriter, from_recorded, to_recorded};
use crate::state::{FLEET_SUBSCRIPTION, MACHINE_SUBSCRIPTION, State};

/// Machines that are kept: more than any screen shows at once.
const MACHINES_MAX: usize = 1_000;
/// No file of ours is larger.
const FILE_BYTES_MAX: u64 = 8 << 20;
/// What is older helps nobody.
const AGE_MS_MAX: u64 = 7 * 86_400_000;

/// The fleet, and the machine that was open, as they came last.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Glance {
    /// Our own clock when the last of it came.
    at: UnixMillis,
    updates: Vec<wire::Update>,
}

impl Glance {
    /// What a console shows; `None` when that is the past, or nothing, or itself of an earlier console.
    pub(crate) fn of(state: &State) -> Option<Self> {
        if state.is_in_past() || state.replay.is_some() || state.is_of_earlier || !state.fleet.is_complete() {
            return None;
        }
        let mut fleet = state.fleet.to_update();
        fleet.subscription = FLEET_SUBSCRIPTION;
        if fleet.machines.len() > MACHINES_MAX {
            fleet.machines.truncate(MACHINES_MAX);
            (fleet.has_window, fleet.window_machines) = (false, Vec::new());
        }
        let mut updates = vec![fleet];
        if state.shown_machine().is_some() && state.machine.is_complete() {
            let mut machine = state.machine.to_update();
            machine.subscription = MACHINE_SUBSCRIPTION;
            updates.push(machine);
        }
        Some(Self {
            at: told_at(state),
            updates,
        })
    }

    /// Has a console that has not shown anything yet show it, as long as it is young enough.
    pub(crate) fn restore(&self, state: &mut State, now: UnixMillis) {
        // A clock that was set back since then leaves an age of zero.
        if now.since_ms(self.at) > AGE_MS_MAX {
            return;
        }
        for update in &self.updates {
            let taken = match update.subscription {
                FLEET_SUBSCRIPTION => state.fleet.apply(update),
                _ => state.machine.apply(update),
            };
            if taken.is_err() {
                (state.fleet, state.machine) = Default::default();
                return;
            }
            if update.subscription == FLEET_SUBSCRIPTION {
                state.fleet_table.take(update);
                state.aggregator_at = UnixMillis(update.now_unix_ms);
            }
        }
        state.received_at = self.at.min(now);
        state.is_of_earlier = true;
    }

    fn write(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut writer = RecordingWriter::begin(&mut bytes, &wire::RecordingHeader::default())?;
        for update in &self.updates {
            // Without arguments, as in every recording.
            let event = Event::Link(LinkEvent::Update(Box::new(update.clone())));
            writer.event(&wire::RecordedEvent {
                at_unix_ms: self.at.0,
                body: to_recorded(&event),
                ..wire::RecordedEvent::default()
            })?;
        }
        writer.finish()?;
        Ok(bytes)
    }

    fn read(bytes: &[u8]) -> io::Result<Self> {
        let (mut reader, _) = RecordingReader::open(bytes).map_err(io::Error::other)?;
        let mut glance = Self {
            at: UnixMillis(0),
            updates: Vec::new(),
        };
        while let Some(event) = reader.next() {
            glance.at = UnixMillis(event.at_unix_ms);
            match event.body.and_then(from_recorded) {
                Some(Event::Link(LinkEvent::Update(update))) if glance.updates.len() < 2 => {
                    glance.updates.push(*update);
                }
                _ => return Err(io::Error::other("it is something else")),
            }
        }
        Ok(glance)
    }
}

/// Our own clock when the fleet was told last: of a tab that is not on screen its totals alone may have come since.
fn told_at(state: &State) -> UnixMillis {
    let since_ms = state.aggregator_at.since_ms(state.fleet.now());
    UnixMillis(state.received_at.0.saturating_sub_unsigned(since_ms))
}

/// The file of one aggregator.
#[derive(Clone, Debug)]
pub(crate) struct GlanceFile {
    path: PathBuf,
}

impl GlanceFile {
    /// The file in `folder` for what is called `source_name`.
    pub(crate) fn new(folder: &Path, source_name: &str) -> Self {
        Self {
            path: folder.join(file_name(source_name, "glance")),
        }
    }

    /// What is in the file; `None` when there is none, or none that can be read.
    pub(crate) fn load(&self) -> Option<Glance> {
        let read = || -> io::Result<Glance> {
            let mut bytes = Vec::new();
            let file = std::fs::File::open(&self.path)?;
            if file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)? as u64 == FILE_BYTES_MAX {
                return Err(io::Error::other("it is too large"));
            }
            Glance::read(&bytes)
        };
        match read() {
            Ok(glance) => Some(glance),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "what was shown last cannot be read");
                None
            }
        }
    }

    /// Keeps what a console shows.
    pub(crate) fn save(&self, state: &State) {
        let Some(glance) = Glance::of(state) else { return };
        let written = glance.write().and_then(|bytes| keep::replace(&self.path, &bytes));
        if let Err(error) = written {
            tracing::warn!(path = %self.path.display(), %error, "what is shown cannot be kept for the next start");
        }
    }
}

#[cfg(test)]
mod tests;
