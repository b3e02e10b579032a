//! What the writer has to say to one collector's session.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sysmon_core::Epoch;
use tokio::sync::Notify;

/// Acknowledgements and set-backs of so many epochs wait for a session. With more the oldest is let go: the collector
/// then sends again what is stored already, and its cursor drops it.
const EPOCHS_MAX: usize = 128;

/// A blackboard between the writer and one session: the latest word per epoch replaces the one before, so it never grows
/// and nobody waits for anybody. The lock is held for a few assignments and never across an await.
#[derive(Debug)]
pub(super) struct Board {
    /// Numbers the streams of this aggregator.
    pub(super) serial: u64,
    /// Something was written.
    pub(super) changed: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stored: Vec<(Epoch, u64)>,
    /// Whether the session is to say what is stored.
    turn: Turn,
    set_back: Vec<SetBack>,
    granted: u32,
    refused: Option<String>,
    credit: Credit,
}

/// When a session says what is stored: see [`super::pace`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Turn {
    /// There is nothing to be said.
    #[default]
    NotNeeded,
    /// It stands in line.
    InLine,
    /// As soon as it can.
    Now,
}

/// The first sequence of an epoch that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SetBack {
    pub(super) epoch: Epoch,
    pub(super) expected: u64,
    /// In which round it had been sent: what was sent before the collector was last told to go back says nothing new.
    pub(super) round: u32,
    /// Whether it had been sent as backlog.
    pub(super) is_backlog: bool,
}

/// What a stream may send of its backlog; kept here, changed only by [`super::credits::Credits`].
#[derive(Debug, Default)]
pub(super) struct Credit {
    /// Batches that the collector has and was not granted.
    pub(super) waiting: u64,
    /// Batches that were granted and have not been settled.
    pub(super) outstanding: u32,
    pub(super) is_in_line: bool,
    pub(super) is_closed: bool,
}

impl Board {
    pub(super) fn new(serial: u64) -> Self {
        Self {
            serial,
            changed: Notify::new(),
            state: Mutex::default(),
        }
    }

    /// Everything of the epoch up to this sequence is stored. Returns whether the stream is to stand in line for saying so.
    pub(super) fn stored(&self, epoch: Epoch, through: u64) -> bool {
        let mut state = self.lock();
        match state.stored.iter_mut().find(|(known, _)| *known == epoch) {
            Some((_, known)) => *known = (*known).max(through),
            None => {
                bound(&mut state.stored);
                state.stored.push((epoch, through));
            }
        }
        let joins = state.turn == Turn::NotNeeded;
        if joins {
            state.turn = Turn::InLine;
        }
        joins
    }

    /// The session may say what is stored.
    pub(super) fn release(&self) {
        self.lock().turn = Turn::Now;
        self.changed.notify_one();
    }

    /// The epoch was not taken from this sequence on.
    pub(super) fn set_back(&self, set_back: SetBack) {
        let mut state = self.lock();
        let same =
            |known: &&mut SetBack| (known.epoch, known.is_backlog) == (set_back.epoch, set_back.is_backlog);
        let is_full = state.set_back.len() >= EPOCHS_MAX;
        match state.set_back.iter_mut().find(same) {
            Some(known) if known.round >= set_back.round => {
                if known.round == set_back.round {
                    known.expected = known.expected.min(set_back.expected);
                }
            }
            Some(known) => *known = set_back,
            // Whoever goes back to the oldest goes back to the others too.
            None if is_full => {}
            None => state.set_back.push(set_back),
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Nothing can be stored for this stream, for a reason that its owner has to look at.
    pub(super) fn refuse(&self, reason: &str) {
        self.lock().refused = Some(reason.to_owned());
        self.changed.notify_one();
    }

    /// So many batches of backlog may be sent.
    pub(super) fn grant(&self, batches: u32) {
        self.lock().granted += batches;
        self.changed.notify_one();
    }

    /// What has been granted since the last call.
    pub(super) fn take_granted(&self) -> u32 {
        std::mem::take(&mut self.lock().granted)
    }

    /// What was set back since the last call, oldest first, or why the stream has to end.
    pub(super) fn take_set_back(&self) -> Result<Vec<SetBack>, String> {
        let mut state = self.lock();
        match state.refused.take() {
            Some(reason) => Err(reason),
            None => Ok(std::mem::take(&mut state.set_back)),
        }
    }

    /// An epoch of which more is stored than was told, and through which sequence; none before it is time to say so.
    pub(super) fn take_stored(&self) -> Option<(Epoch, u64)> {
        let mut state = self.lock();
        if state.turn != Turn::Now {
            return None;
        }
        if state.stored.len() <= 1 {
            state.turn = Turn::NotNeeded;
        }
        (!state.stored.is_empty()).then(|| state.stored.remove(0))
    }

    pub(super) fn with_credit<T>(&self, change: impl FnOnce(&mut Credit) -> T) -> T {
        change(&mut self.lock().credit)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in between can panic and leave it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room for one more.
fn bound<T>(entries: &mut Vec<T>) {
    if entries.len() >= EPOCHS_MAX {
        entries.remove(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_word_replaces_the_one_before_and_nothing_grows() {
        let board = Board::new(0);
        for sequence in 1..10 {
            board.stored(Epoch([1; 16]), sequence);
        }
        board.stored(Epoch([1; 16]), 4);
        assert_eq!(board.take_stored(), None, "it is not its turn");
        board.release();
        assert_eq!(board.take_stored(), Some((Epoch([1; 16]), 9)));
        assert_eq!(board.take_stored(), None);
        for epoch in 0..=255 {
            board.stored(Epoch([epoch; 16]), 1);
        }
        board.release();
        assert_eq!(std::iter::from_fn(|| board.take_stored()).count(), EPOCHS_MAX);
    }

    #[test]
    fn the_first_sequence_of_the_latest_round_is_where_to_go_back_to() {
        let board = Board::new(0);
        let set_back = |expected, round| SetBack {
            epoch: Epoch([1; 16]),
            expected,
            round,
            is_backlog: true,
        };
        for (expected, round) in [(7, 0), (5, 0), (9, 1), (6, 0), (11, 1)] {
            board.set_back(set_back(expected, round));
        }
        assert_eq!(board.take_set_back(), Ok(vec![set_back(9, 1)]));
        assert_eq!(board.take_set_back(), Ok(Vec::new()));
    }
}
