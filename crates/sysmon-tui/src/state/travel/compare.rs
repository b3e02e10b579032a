//! The same machine at the same time of another day, as a second line on its charts.

use sysmon_core::UnixMillis;

use crate::axis::Axis;
use crate::state::State;
use crate::state::past::{Answer, Question};
use crate::track::Track;

/// What the charts are compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shift {
    /// With nothing.
    #[default]
    Off,
    Yesterday,
    LastWeek,
}

impl Shift {
    /// The next one, and the first after the last.
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Off => Self::Yesterday,
            Self::Yesterday => Self::LastWeek,
            Self::LastWeek => Self::Off,
        }
    }

    /// How long before.
    pub(crate) fn milliseconds(self) -> i64 {
        const DAY_MS: i64 = 86_400_000;
        match self {
            Self::Off => 0,
            Self::Yesterday => DAY_MS,
            Self::LastWeek => 7 * DAY_MS,
        }
    }

    /// What it is called on the screen.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Yesterday => "yesterday",
            Self::LastWeek => "last week",
        }
    }
}

/// What the charts are compared with, and what history says of it. Holds one question and one answer.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) shift: Shift,
    pub(crate) question: Option<(Shift, Question)>,
    pub(crate) answer: Option<(Shift, Answer)>,
    /// Why there is none, and when to ask again.
    pub(crate) failure: Option<(String, UnixMillis)>,
}

impl Comparison {
    /// The answer for a machine and the shift that is wanted.
    pub(crate) fn answer_for(&self, machine: &str) -> Option<&Answer> {
        let (_, answer) = self.answer.as_ref().filter(|(shift, _)| *shift == self.shift)?;
        Some(answer).filter(|answer| &*answer.subject.machine == machine)
    }
}

/// The axis of the other day, cell by cell under the one on screen.
pub(crate) fn shifted(axis: Axis, shift: Shift) -> Axis {
    axis.moved(-shift.milliseconds())
}

impl State {
    /// A series of the machine on the other day.
    pub(crate) fn other_day<'a>(&'a self, machine: &str, key: &sysmon_core::SeriesKey) -> Option<Track<'a>> {
        let comparison = &self.travel.comparison;
        let past = comparison.answer_for(machine)?.part(key)?;
        Some(Track {
            past: Some(past),
            live: None,
        })
    }
}
