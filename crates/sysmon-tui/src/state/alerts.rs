//! What is known of alerts, and what the person is doing with them.

use std::collections::BTreeMap;

use sysmon_core::UnixMillis;
use sysmon_core::alert::{Rule, Transition};

pub(crate) mod board;
pub(crate) mod list;
pub(crate) mod scope;
pub(crate) mod widths;

use board::Board;
use list::{AlertList, RuleList};

/// Commands about alerts are numbered from here on, out of the way of questions about the past and of the link's own
/// numbers.
pub(crate) const FIRST_ACTION: u64 = 1 << 40;

/// Whether the board is being told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Watching {
    /// Not connected yet.
    #[default]
    Unknown,
    /// The aggregator keeps no rules.
    NotKept,
    /// Asked for; the first snapshot is not whole yet.
    Loading,
    /// What is known is current, or was when the connection broke.
    Ready,
    /// The aggregator does not tell, and why.
    Refused(String),
}

/// What a command under way is for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// The board.
    Watch,
    /// More of the log.
    Log,
    /// Something that is said to be done when it is accepted.
    Say(String),
    /// A rule is put, and it is said so when it is.
    Put(String),
    /// A rule is removed.
    Delete(Box<Rule>),
    /// The editor's rule is put.
    Save,
    /// The editor's rule is played on the past.
    DryRun,
}

/// A command that is not answered yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) action: Action,
    pub(crate) at: UnixMillis,
}

/// A rule that was removed, for as long as it can be put back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Removed {
    pub(crate) rule: Rule,
    pub(crate) until: UnixMillis,
}

/// The log of alerts as far as it was asked for, newest first.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Steps with their numbers.
    pub(crate) steps: Vec<(i64, Transition)>,
    /// Whether it is on screen.
    pub(crate) is_shown: bool,
    pub(crate) is_loading: bool,
    /// There is nothing older.
    pub(crate) is_whole: bool,
    pub(crate) problem: Option<String>,
}

impl Log {
    /// The most steps kept; older ones are not asked for.
    pub(crate) const LIMIT: usize = 2_000;
}

/// Everything about alerts.
#[derive(Debug, Default)]
pub(crate) struct Alerts {
    pub(crate) watching: Watching,
    pub(crate) board: Board,
    pub(crate) list: AlertList,
    pub(crate) rules: RuleList,
    pub(crate) log: Log,
    /// Commands under way, at most [`Alerts::ASKED_MAX`]; more are refused here.
    pub(crate) asked: BTreeMap<u64, Asked>,
    pub(crate) asked_count: u64,
    pub(crate) removed: Option<Removed>,
}

impl Alerts {
    /// The most commands under way.
    pub(crate) const ASKED_MAX: usize = 32;
    /// The service that judges the rules says every 5 s that it works.
    const SILENT_AFTER_MS: u64 = 15_000;

    /// For how long nobody has judged the rules, when that is too long; `None` for "never" as its inner value.
    pub(crate) fn silence_ms(&self, aggregator_now: UnixMillis) -> Option<Option<u64>> {
        if self.watching != Watching::Ready {
            return None;
        }
        let evaluated = self.board.evaluated();
        if evaluated == UnixMillis(0) {
            return Some(None);
        }
        let silence_ms = aggregator_now.since_ms(evaluated);
        (silence_ms > Self::SILENT_AFTER_MS).then_some(Some(silence_ms))
    }

    /// Whether what the board says is to be shown.
    pub(crate) fn is_ready(&self) -> bool {
        self.watching == Watching::Ready
    }
}
