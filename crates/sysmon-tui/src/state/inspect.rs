//! One process that somebody looks into, and the signal that is to be sent to one.

use std::sync::Arc;

use sysmon_api::wire;
use sysmon_core::{Process, UnixMillis};

/// Questions about processes are numbered from here on, out of the way of all others.
pub(crate) const FIRST_INSPECTION: u64 = 1 << 44;

/// What is known beyond the table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// Asked for.
    Asking { request_id: u64, at: UnixMillis },
    /// The machine's answer.
    Known(Box<wire::ProcessDetails>),
    /// There is none, and why.
    None(String),
    /// There is no such process any more, whatever the list still says.
    Ended,
}

/// A process that is looked into.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Inspected {
    pub(crate) machine: Arc<str>,
    /// As it was in the table last.
    pub(crate) process: Process,
    /// Whether it has left the table, which has all of them.
    pub(crate) has_ended: bool,
    pub(crate) answer: Answer,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Inspection {
    /// Whether the aggregator passes questions on.
    pub(crate) is_offered: bool,
    pub(crate) process: Option<Inspected>,
    /// Whether the details are under the list of signals.
    pub(crate) shows_details: bool,
    /// The signal that was chosen, by its place in [`SIGNALS`].
    pub(crate) signal: usize,
    pub(crate) asked_count: u64,
}

/// A signal with its name and what it does.
pub(crate) struct SignalChoice {
    pub(crate) signal: wire::ProcessSignal,
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
}

const fn choice(signal: wire::ProcessSignal, name: &'static str, help: &'static str) -> SignalChoice {
    SignalChoice { signal, name, help }
}

/// The signals on offer, the most wanted first.
pub(crate) const SIGNALS: [SignalChoice; 9] = [
    choice(wire::ProcessSignal::Term, "TERM", "end, with time to clean up"),
    choice(wire::ProcessSignal::Kill, "KILL", "end at once: nothing is saved"),
    choice(
        wire::ProcessSignal::Hup,
        "HUP",
        "hang up: many services read their settings again",
    ),
    choice(wire::ProcessSignal::Int, "INT", "interrupt, as Ctrl-C does"),
    choice(wire::ProcessSignal::Stop, "STOP", "stand still until CONT"),
    choice(wire::ProcessSignal::Cont, "CONT", "go on after STOP"),
    choice(wire::ProcessSignal::Quit, "QUIT", "end and leave a core dump"),
    choice(
        wire::ProcessSignal::Usr1,
        "USR1",
        "whatever the program means by it",
    ),
    choice(
        wire::ProcessSignal::Usr2,
        "USR2",
        "whatever the program means by it",
    ),
];
