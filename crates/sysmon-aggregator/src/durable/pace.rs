//! When streams are told what is stored.
//!
//! A commit of a large fleet concerns thousands of streams. Told all at once they would be in the way of what collectors
//! send at that moment, and to tell each of every batch is a good part of what a stream costs. So they stand in line, each
//! once, and are told a few at a time; meanwhile what there is to tell grows, and is said in one word. A fleet of hundreds
//! notices nothing of it; with ten thousand a stream is told every two to three seconds.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::board::Board;

/// So often some are told,
const TURN: Duration = Duration::from_millis(20);
/// so many at least,
const AT_LEAST: usize = 32;
/// and all who stand in line within so many turns: two seconds.
const TURNS: usize = 100;

/// The line of streams that have something to be told. It has every stream at most once.
#[derive(Debug, Default)]
pub(super) struct Pace {
    line: Mutex<VecDeque<Arc<Board>>>,
    joined: Notify,
}

impl Pace {
    /// These have something to be told, and do not stand in line yet.
    pub(super) fn join(&self, boards: Vec<Arc<Board>>) {
        if !boards.is_empty() {
            self.lock().extend(boards);
            self.joined.notify_one();
        }
    }

    /// Lets streams be told in turn, until it is dropped.
    pub(super) async fn run(&self) {
        loop {
            if self.turn() {
                sleep(TURN).await;
            } else {
                self.joined.notified().await;
            }
        }
    }

    /// Lets the next ones be told; whether there were any.
    fn turn(&self) -> bool {
        let boards: Vec<_> = {
            let mut line = self.lock();
            let count = AT_LEAST.max(line.len().div_ceil(TURNS)).min(line.len());
            line.drain(..count).collect()
        };
        for board in &boards {
            board.release();
        }
        !boards.is_empty()
    }

    /// Lets everyone be told: nothing more will be stored.
    pub(super) fn release_all(&self) {
        let boards = std::mem::take(&mut *self.lock());
        for board in boards {
            board.release();
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Board>>> {
        // Nothing in between can panic and leave it half changed.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sysmon_core::Epoch;
    use tokio::time::{Instant, timeout};

    const EPOCH: Epoch = Epoch([1; 16]);

    fn boards(count: u64) -> Vec<Arc<Board>> {
        (0..count).map(|serial| Arc::new(Board::new(serial))).collect()
    }

    /// Stores one more batch of every stream.
    fn store(pace: &Pace, boards: &[Arc<Board>], through: u64) {
        let joining = boards.iter().filter(|board| board.stored(EPOCH, through));
        pace.join(joining.cloned().collect());
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_are_told_at_once() {
        let (pace, boards) = (Pace::default(), boards(AT_LEAST as u64));
        let begin = Instant::now();
        store(&pace, &boards, 1);
        assert!(
            boards.iter().all(|board| board.take_stored().is_none()),
            "not their turn"
        );
        let all = async {
            for board in &boards {
                board.changed.notified().await;
                assert_eq!(board.take_stored(), Some((EPOCH, 1)));
            }
        };
        tokio::select! {
            () = pace.run() => {}
            () = all => {}
        }
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_everyone_is_told_within_seconds_and_of_all_there_is_by_then() {
        let (pace, boards) = (Pace::default(), boards(10_000));
        let mut told = vec![Vec::new(); boards.len()];
        for second in 1..=20 {
            store(&pace, &boards, second);
            // The streams look when the second is over.
            let _ = timeout(Duration::from_secs(1), pace.run()).await;
            let mut count = 0;
            for (board, told) in boards.iter().zip(&mut told) {
                if let Some((_, through)) = board.take_stored() {
                    told.push((second, through));
                    count += 1;
                }
            }
            assert!((3_000..6_000).contains(&count), "{count} in second {second}");
        }
        for told in &told {
            assert!(told.len() >= 5, "{told:?}");
            let steps = told.windows(2).map(|pair| pair[1].0 - pair[0].0);
            assert!(steps.max() <= Some(4), "{told:?}");
            assert!(
                told.iter().all(|(second, through)| *second - *through <= 1),
                "{told:?}"
            );
        }
    }

    #[test]
    fn at_the_end_nobody_waits() {
        let (pace, boards) = (Pace::default(), boards(1_000));
        store(&pace, &boards, 7);
        pace.release_all();
        assert!(boards.iter().all(|board| board.take_stored() == Some((EPOCH, 7))));
    }
}
