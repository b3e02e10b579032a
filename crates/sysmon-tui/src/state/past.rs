//! What the client knows of the past of the machine on screen, and what it has asked of history.

use std::sync::Arc;

use sysmon_core::{MachineHistory, SeriesKey, UnixMillis};

use crate::axis::Range;
use crate::track::PastPart;

/// Questions are numbered from here on, out of the way of the numbers that the link gives to everything else.
pub(crate) const FIRST_QUESTION: u64 = 1 << 32;

/// Whether the aggregator keeps history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// Not connected yet.
    #[default]
    Unknown,
    Kept,
    NotKept,
}

/// What of the past is to be shown: whose, and how coarsely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) machine: Arc<str>,
    pub(crate) range: Range,
    /// Length of a slice of the charts.
    pub(crate) step_ms: u64,
    /// A metric that is asked for beside the usual ones.
    pub(crate) metric: Option<String>,
}

/// A question that is not answered yet.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) request_id: u64,
    pub(crate) subject: Subject,
    /// The start of what is asked for.
    pub(crate) from: UnixMillis,
    /// The end of what is asked for: from here on live data tells.
    pub(crate) seam: UnixMillis,
    pub(crate) asked_at: UnixMillis,
    /// What has come so far.
    pub(crate) parts: Vec<MachineHistory>,
    /// How many parts that were.
    pub(crate) part_count: usize,
}

/// The newest whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) subject: Subject,
    pub(crate) from: UnixMillis,
    pub(crate) seam: UnixMillis,
    pub(crate) asked_at: UnixMillis,
    /// `None` when nothing is known of the machine in that range.
    pub(crate) history: Option<MachineHistory>,
    pub(crate) spacing_ms: u64,
}

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// On our own clock.
    pub(crate) since: UnixMillis,
    /// When to ask again.
    pub(crate) retry_at: UnixMillis,
    /// For people; empty when the store is simply down.
    pub(crate) reason: String,
}

/// The past of the machine on screen. Holds one question and one answer, each of bounded size.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// The range that the person chose, if any.
    pub(crate) chosen: Option<Range>,
    pub(crate) keeping: Keeping,
    pub(crate) question: Option<Question>,
    pub(crate) answer: Option<Answer>,
    pub(crate) failure: Option<Failure>,
    /// The answer is to be asked for anew, because the connection or the store was away.
    pub(crate) is_outdated: bool,
    /// What is to be asked when it has been wanted for a moment: keys and resizes come in bursts.
    pub(crate) waiting: Option<(Subject, UnixMillis)>,
    /// When something was last asked.
    pub(crate) asked_at: Option<UnixMillis>,
    pub(crate) asked_count: u64,
    /// History has nothing of the machine on screen that live data does not have: it has just begun.
    pub(crate) is_young: bool,
}

impl Past {
    /// How much time the charts show: as chosen, else an hour where there is that much to show, and what is live where not.
    pub(crate) fn range(&self) -> Range {
        self.chosen
            .unwrap_or(if self.keeping == Keeping::Kept && !self.is_young {
                Range::Hour
            } else {
                Range::FiveMinutes
            })
    }

    /// The answer about this machine, if there is one.
    pub(crate) fn answer_for(&self, machine: &str) -> Option<&Answer> {
        self.answer
            .as_ref()
            .filter(|answer| &*answer.subject.machine == machine)
    }

    /// Whether an answer about this machine and the range on screen is under way, and there is none yet.
    pub(crate) fn is_loading(&self, machine: &str) -> bool {
        let is_asked = self.question.is_some() || self.waiting.is_some();
        let is_answered = self
            .answer_for(machine)
            .is_some_and(|answer| answer.subject.range >= self.range());
        self.keeping == Keeping::Kept && is_asked && !is_answered
    }
}

impl Answer {
    /// What it says of a series.
    pub(crate) fn part(&self, key: &SeriesKey) -> Option<PastPart<'_>> {
        let history = self.history.as_ref()?;
        let series = history.series.iter().find(|series| *series.key == *key)?;
        Some(PastPart {
            history,
            series,
            seam: self.seam,
            spacing_ms: self.spacing_ms,
        })
    }
}
