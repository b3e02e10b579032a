//! How much backlog may be on its way.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::board::Board;

/// Grants to the streams that wait to send backlog: so few that the queue of backlog never overflows, in turn so that
/// everyone gets on. A lock is held for a few assignments, that of the line before that of a board.
#[derive(Debug)]
pub(super) struct Credits {
    line: Mutex<Line>,
    /// Granted and not received yet.
    unused: AtomicUsize,
}

#[derive(Debug, Default)]
struct Line {
    is_paused: bool,
    /// Granted and not settled, over all streams.
    outstanding: usize,
    /// Who waits and may have more.
    boards: VecDeque<Arc<Board>>,
}

impl Credits {
    /// Batches that are granted and not settled, over all streams: as many as the queue of backlog has room for.
    pub(super) const OUTSTANDING_MAX: usize = 4_096;
    /// The same of one stream.
    pub(super) const PER_STREAM_MAX: u32 = 64;
    /// What one stream is granted at a time when its turn comes.
    const TURN: u32 = 16;

    pub(super) fn new() -> Self {
        Self {
            line: Mutex::default(),
            unused: AtomicUsize::new(0),
        }
    }

    /// A stream has so many batches that it was not granted.
    pub(super) fn wait(&self, board: &Arc<Board>, batches: u64) {
        let mut line = self.lock();
        board.with_credit(|credit| credit.waiting = batches);
        enqueue(&mut line, board);
        self.distribute_in(&mut line);
    }

    /// A stream has to send so many batches again.
    pub(super) fn wait_again(&self, board: &Arc<Board>, batches: u64) {
        let mut line = self.lock();
        board.with_credit(|credit| credit.waiting = credit.waiting.max(batches));
        enqueue(&mut line, board);
        self.distribute_in(&mut line);
    }

    /// A granted batch has come.
    pub(super) fn received(&self) {
        self.unused.fetch_sub(1, Ordering::Relaxed);
    }

    /// A batch that had come is settled: stored, dropped or set back. Whoever settles distributes afterwards.
    pub(super) fn settled(&self, board: &Arc<Board>) {
        let mut line = self.lock();
        let is_counted = board.with_credit(|credit| {
            let is_counted = credit.outstanding > 0;
            credit.outstanding = credit.outstanding.saturating_sub(1);
            is_counted
        });
        line.outstanding -= usize::from(is_counted).min(line.outstanding);
        enqueue(&mut line, board);
    }

    /// Grants what may be granted.
    pub(super) fn distribute(&self) {
        self.distribute_in(&mut self.lock());
    }

    /// Unused grants of a stream do not count any more: it is gone, or does not use them. They are not to be in the way
    /// of the others.
    pub(super) fn lapse(&self, board: &Arc<Board>, unused: u32) {
        let mut line = self.lock();
        board.with_credit(|credit| credit.outstanding = credit.outstanding.saturating_sub(unused));
        line.outstanding = line.outstanding.saturating_sub(unused as usize);
        self.unused.fetch_sub(unused as usize, Ordering::Relaxed);
        self.distribute_in(&mut line);
    }

    /// A grant that had lapsed is used after all.
    pub(super) fn revive(&self, board: &Arc<Board>) {
        let mut line = self.lock();
        board.with_credit(|credit| credit.outstanding += 1);
        line.outstanding += 1;
    }

    /// A stream is over. What of it is queued counts until it is settled.
    pub(super) fn close(&self, board: &Arc<Board>, unused: u32) {
        board.with_credit(|credit| {
            credit.is_closed = true;
            credit.waiting = 0;
        });
        // What was granted after the session last looked was not received either.
        self.lapse(board, unused + board.take_granted());
    }

    /// Grants nothing until [`Credits::resume`].
    pub(super) fn pause(&self) {
        self.lock().is_paused = true;
    }

    pub(super) fn resume(&self) {
        let mut line = self.lock();
        line.is_paused = false;
        self.distribute_in(&mut line);
    }

    /// Whether everything that was granted has come: waiting for more would be in vain.
    pub(super) fn are_used_up(&self) -> bool {
        self.unused.load(Ordering::Relaxed) == 0
    }

    fn distribute_in(&self, line: &mut Line) {
        while !line.is_paused && line.outstanding < Self::OUTSTANDING_MAX {
            let Some(board) = line.boards.pop_front() else {
                return;
            };
            let room = u32::try_from(Self::OUTSTANDING_MAX - line.outstanding).unwrap_or(u32::MAX);
            let given = board.with_credit(|credit| {
                credit.is_in_line = false;
                let own = Self::PER_STREAM_MAX.saturating_sub(credit.outstanding);
                let wanted = u32::try_from(credit.waiting).unwrap_or(u32::MAX);
                let given = Self::TURN.min(room).min(own).min(wanted);
                credit.outstanding += given;
                credit.waiting -= u64::from(given);
                given
            });
            line.outstanding += given as usize;
            self.unused.fetch_add(given as usize, Ordering::Relaxed);
            if given > 0 {
                board.grant(given);
            }
            enqueue(line, &board);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn outstanding(&self) -> usize {
        self.lock().outstanding
    }
}

/// Puts a stream at the end of the line, if it waits, may have more, and is not there.
fn enqueue(line: &mut Line, board: &Arc<Board>) {
    let joins = board.with_credit(|credit| {
        let joins = !credit.is_in_line
            && !credit.is_closed
            && credit.waiting > 0
            && credit.outstanding < Credits::PER_STREAM_MAX;
        credit.is_in_line |= joins;
        joins
    });
    if joins {
        line.boards.push_back(Arc::clone(board));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boards(count: u64) -> Vec<Arc<Board>> {
        (0..count).map(|serial| Arc::new(Board::new(serial))).collect()
    }

    #[test]
    fn everyone_gets_a_turn_and_the_sum_is_bounded() {
        let credits = Credits::new();
        let boards = boards(200);
        credits.pause();
        for board in &boards {
            credits.wait(board, 10_000);
        }
        credits.resume();
        let mut granted: Vec<_> = boards.iter().map(|board| board.take_granted()).collect();
        assert_eq!(granted.iter().sum::<u32>() as usize, Credits::OUTSTANDING_MAX);
        assert!(
            granted.iter().all(|granted| (16..=32).contains(granted)),
            "{granted:?}"
        );
        // Those at the end of the line are not forgotten when the first ones get on faster.
        for round in 0..200 {
            let quick = if round % 4 == 0 { 200 } else { 50 };
            for board in &boards[..quick] {
                for _ in 0..board.with_credit(|credit| credit.outstanding) {
                    credits.received();
                    credits.settled(board);
                }
            }
            credits.distribute();
            assert!(credits.outstanding() <= Credits::OUTSTANDING_MAX);
            for (granted, board) in granted.iter_mut().zip(&boards) {
                *granted += board.take_granted();
            }
        }
        let (least, most) = (granted.iter().min().unwrap(), granted.iter().max().unwrap());
        assert!(*least > 1_000 && most / least < 8, "{least} to {most}");
    }

    #[test]
    fn whoever_leaves_or_falls_silent_blocks_nobody() {
        let credits = Credits::new();
        let boards = boards(65);
        for board in &boards {
            credits.wait(board, 100);
        }
        let last = &boards[64];
        assert_eq!(last.take_granted(), 0, "64 times 64 are out");
        credits.close(&boards[0], 0);
        assert_eq!(last.take_granted(), 64, "what nobody had fetched is free");
        boards[1].take_granted();
        credits.lapse(&boards[1], 64);
        assert_eq!(credits.outstanding(), Credits::OUTSTANDING_MAX - 64);
        credits.revive(&boards[1]);
        credits.settled(&boards[1]);
        credits.distribute();
        assert_eq!(boards[1].take_granted(), 36, "it is back");
    }

    #[test]
    fn nothing_is_granted_while_the_store_is_down() {
        let credits = Credits::new();
        let board = &boards(1)[0];
        credits.pause();
        credits.wait(board, 10);
        assert_eq!(board.take_granted(), 0);
        credits.resume();
        assert_eq!(board.take_granted(), 10);
        assert!(!credits.are_used_up());
        for _ in 0..10 {
            credits.received();
            credits.settled(board);
        }
        assert!(credits.are_used_up());
        assert_eq!(credits.outstanding(), 0);
    }
}
