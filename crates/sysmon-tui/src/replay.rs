//! Plays a recording through the same update and render code, at any pace, without an aggregator.

use std::fs::File;
use std::path::{Path, PathBuf};

use sysmon_api::wire;
use sysmon_core::UnixMillis;

use crate::event::Event;
use crate::key::{Key, KeyCode};
use crate::moment;
use crate::record::{RecordingError, RecordingReader, from_recorded, tick_of};
use crate::state::State;
use crate::update::update;
use crate::words;

/// The paces that `+` and `-` go through.
const SPEEDS: [u32; 4] = [1, 10, 60, 600];
/// How far the arrows go.
const STEP_MS: i64 = 10_000;
const LEAP_MS: i64 = 60_000;
/// No more events than this at once; what is left comes with the next step.
const EVENTS_PER_STEP_MAX: usize = 200_000;

/// What is shown of a replay in the line at the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReplayStatus {
    /// The moment shown.
    pub(crate) at: UnixMillis,
    /// The end of the recording.
    pub(crate) end: UnixMillis,
    /// How many times faster than it was.
    pub(crate) speed: u32,
    /// Whether it goes on.
    pub(crate) is_playing: bool,
}

/// A recording that is being played.
pub(crate) struct Player {
    path: PathBuf,
    header: wire::RecordingHeader,
    reader: RecordingReader<File>,
    next: Option<wire::RecordedEvent>,
    state: State,
    points_per_cell: usize,
    /// Of the terminal that it is played on.
    size: (u16, u16),
    /// Of the terminal that it was recorded on.
    recorded_size: (u16, u16),
    begin: UnixMillis,
    end: UnixMillis,
    at: UnixMillis,
    speed: usize,
    is_playing: bool,
    /// What of the step before this one was shorter than a millisecond is not lost: moved in millionths.
    remainder_us: u64,
}

/// Whether the replay goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    Quit,
}

impl Player {
    /// Opens a recording and shows its beginning.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub(crate) fn open(
        path: &Path,
        size: (u16, u16),
        points_per_cell: usize,
    ) -> Result<Self, RecordingError> {
        let (mut reader, header) = RecordingReader::open(File::open(path)?)?;
        // What happened before the time was told for the first time has none.
        let mut times = std::iter::from_fn(|| reader.next())
            .map(|event| event.at_unix_ms)
            .filter(|at| *at > 0);
        let begin = times.next().unwrap_or(0);
        let end = times.fold(begin, i64::max);
        let (reader, _) = RecordingReader::open(File::open(path)?)?;
        let mut player = Self {
            path: path.to_owned(),
            state: state(&header, points_per_cell),
            header,
            reader,
            next: None,
            points_per_cell,
            size,
            recorded_size: (0, 0),
            begin: UnixMillis(begin),
            end: UnixMillis(end),
            at: UnixMillis(begin),
            speed: 0,
            is_playing: true,
            remainder_us: 0,
        };
        player.next = player.reader.next();
        player.resize(size);
        player.advance(player.begin);
        Ok(player)
    }

    /// What is drawn.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Whether the screen must be drawn again; asking takes the note back.
    pub(crate) fn take_dirty(&mut self) -> bool {
        self.state.take_dirty()
    }

    /// Whether time goes on by itself.
    pub(crate) fn is_playing(&self) -> bool {
        self.is_playing
    }

    /// The terminal has another size.
    pub(crate) fn resize(&mut self, (width, height): (u16, u16)) {
        self.size = (width, height);
        update(&mut self.state, Event::Resize { width, height });
    }

    /// Stands still at the moment that a text names: `14:05`, `3m ago` as seen from the end. Without a text at the end.
    ///
    /// # Errors
    /// When the text names no moment of the recording.
    pub(crate) fn stop_at(&mut self, text: Option<&str>) -> Result<(), RecordingError> {
        self.is_playing = false;
        self.seek_all(self.end)?;
        let Some(text) = text else { return Ok(()) };
        let utc_offset_seconds = self.state.utc_offset_seconds;
        let at = moment::parse(text, self.end, utc_offset_seconds).map_err(RecordingError::Moment)?;
        // A minute is named by its beginning, which may lie before the first second of the recording.
        let is_in_first_minute = self.begin.since_ms(at) < 60_000 && at.0 % 60_000 == 0;
        if at < self.begin && !is_in_first_minute {
            let local = |at| words::local(at, utc_offset_seconds, "%F %T");
            return Err(RecordingError::Moment(format!(
                "{} is not in it: it goes from {} to {}",
                local(at),
                local(self.begin),
                local(self.end)
            )));
        }
        self.seek_all(at.max(self.begin))
    }

    /// Goes to a moment, however much has happened until then.
    fn seek_all(&mut self, to: UnixMillis) -> Result<(), RecordingError> {
        self.seek(to)?;
        let mut before = UnixMillis(i64::MIN);
        while self.at < to && self.at > before {
            before = self.at;
            self.advance(to);
        }
        self.show();
        Ok(())
    }

    /// What was live at the moment shown, whatever the console itself showed of the past then.
    pub(crate) fn into_live(mut self) -> State {
        self.state.end_trip(true);
        self.state
    }

    /// Lets this much time pass.
    pub(crate) fn pass(&mut self, elapsed_us: u64) {
        if !self.is_playing {
            return;
        }
        let moved_us = elapsed_us
            .saturating_mul(SPEEDS[self.speed].into())
            .saturating_add(self.remainder_us);
        self.remainder_us = moved_us % 1_000;
        let moved_ms = i64::try_from(moved_us / 1_000).unwrap_or(i64::MAX);
        self.advance(self.at.plus_ms(moved_ms));
    }

    /// Does what a key says.
    ///
    /// # Errors
    /// When the recording, which may be gone by now, must be read again from its beginning.
    pub(crate) fn press(&mut self, key: Key) -> Result<Flow, RecordingError> {
        match key.code {
            KeyCode::Char('c') if key.control => return Ok(Flow::Quit),
            KeyCode::Char('q') | KeyCode::Escape => return Ok(Flow::Quit),
            KeyCode::Char(' ' | 'p') => {
                // From the end there is nowhere to go but the beginning.
                if !self.is_playing && self.at >= self.end {
                    self.seek(self.begin)?;
                }
                self.is_playing = !self.is_playing;
            }
            KeyCode::Char('+' | '=') => self.speed = (self.speed + 1).min(SPEEDS.len() - 1),
            KeyCode::Char('-') => self.speed = self.speed.saturating_sub(1),
            KeyCode::Char('.') => {
                self.is_playing = false;
                let next = self
                    .next
                    .as_ref()
                    .map_or(self.end, |event| UnixMillis(event.at_unix_ms));
                self.seek(next)?;
            }
            KeyCode::Char(',') => {
                self.is_playing = false;
                self.seek(self.at.plus_ms(-1_000))?;
            }
            KeyCode::Right | KeyCode::Char('l') => self.seek(self.at.plus_ms(STEP_MS))?,
            KeyCode::Left | KeyCode::Char('h') => self.seek(self.at.plus_ms(-STEP_MS))?,
            KeyCode::PageDown => self.seek(self.at.plus_ms(LEAP_MS))?,
            KeyCode::PageUp => self.seek(self.at.plus_ms(-LEAP_MS))?,
            KeyCode::Home => self.seek(self.begin)?,
            KeyCode::End => self.seek(self.end)?,
            _ => return Ok(Flow::Continue),
        }
        self.show();
        Ok(Flow::Continue)
    }

    /// Goes to a moment.
    fn seek(&mut self, to: UnixMillis) -> Result<(), RecordingError> {
        if to < self.at {
            let (reader, _) = RecordingReader::open(File::open(&self.path)?)?;
            self.reader = reader;
            self.next = self.reader.next();
            self.state = state(&self.header, self.points_per_cell);
            self.resize(self.size);
        }
        self.advance(to);
        Ok(())
    }

    /// Takes everything up to a moment.
    fn advance(&mut self, to: UnixMillis) {
        let to = UnixMillis(to.0.clamp(self.begin.0, self.end.0));
        let mut reached = to;
        for count in 0.. {
            let Some(event) = self.next.take_if(|event| event.at_unix_ms <= to.0) else {
                break;
            };
            self.next = self.reader.next();
            update(&mut self.state, tick_of(&event));
            let at = event.at_unix_ms;
            if let Some(event) = event.body.and_then(from_recorded) {
                self.take(event);
            }
            if count == EVENTS_PER_STEP_MAX {
                reached = UnixMillis(at);
                break;
            }
        }
        self.at = reached;
        if self.at >= self.end {
            self.is_playing = false;
        }
        let utc_offset_seconds = self.state.utc_offset_seconds;
        let now = self.at;
        update(
            &mut self.state,
            Event::Tick {
                now,
                utc_offset_seconds,
            },
        );
        self.show();
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Resize { width, height } => self.recorded_size = (width, height),
            // On a terminal of another size something else is at that place.
            Event::Mouse(_) if self.recorded_size != self.size => {}
            // What the client wanted done was done then.
            event => drop(update(&mut self.state, event)),
        }
    }

    fn show(&mut self) {
        let status = ReplayStatus {
            at: self.at,
            end: self.end,
            speed: SPEEDS[self.speed],
            is_playing: self.is_playing,
        };
        if self.state.replay.replace(status) != Some(status) {
            self.state.mark_dirty();
        }
    }
}

/// The state before the first event.
fn state(header: &wire::RecordingHeader, points_per_cell: usize) -> State {
    let filter = Some(header.filter.as_str()).filter(|filter| !filter.is_empty());
    let state = State::new(&header.source_name, filter).drawing_points_per_cell(points_per_cell);
    if header.opens_only_machine {
        state.opening_only_machine()
    } else {
        state
    }
}

#[cfg(test)]
mod tests;
