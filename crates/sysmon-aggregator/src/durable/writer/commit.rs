//! One commit, watched.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use sysmon_api::wire;
use sysmon_store::{Outcome, StoreError};
use tokio::time::{Instant, sleep, sleep_until};

use super::group::Group;
use super::{LAST_LIMIT, SLOW, SLOW_FOR_COMMITS, Writer};
use crate::durable::apart;

/// What people are told of a slow store.
const SLOW_TEXT: &str = "commits take longer than a second or the queue is half full; what does not fit is kept by \
                         collectors and stored later";

impl Writer {
    /// Commits a range of a group. A commit that is given up has done all or nothing, and the cursors know which.
    ///
    /// # Errors
    /// What the store says, or that it took too long.
    pub(super) async fn commit(
        &mut self,
        group: &Group,
        range: Range<usize>,
    ) -> Result<Vec<Outcome>, StoreError> {
        let (history, batches) = (Arc::clone(&self.history), Arc::clone(group.batches()));
        let count = range.len();
        let begin = Instant::now();
        let task = apart(async move { history.commit(&batches[range]).await });
        tokio::pin!(task);
        let mut is_slow = false;
        self.is_hung = false;
        let shutdown = self.shutdown.clone();
        let last_moment = async {
            shutdown.cancelled().await;
            sleep(LAST_LIMIT).await;
        };
        tokio::pin!(last_moment);
        let result = loop {
            let next = if is_slow {
                self.limits.commit
            } else {
                SLOW.min(self.limits.commit)
            };
            tokio::select! {
                biased;
                result = &mut task => break result,
                () = &mut last_moment => {
                    break Err(StoreError::unavailable("the aggregator stops before the commit is done"));
                }
                () = sleep_until(begin + next) => {
                    if next >= self.limits.commit {
                        self.is_hung = true;
                        break Err(StoreError::unavailable(format!(
                            "a commit was given up after {} s",
                            self.limits.commit.as_secs()
                        )));
                    }
                    is_slow = true;
                    self.judge(SLOW);
                }
            }
        };
        let result = result.and_then(|outcomes| {
            if outcomes.len() == count {
                Ok(outcomes)
            } else {
                Err(StoreError::unavailable(
                    "the store's back end answered for other batches; report it",
                ))
            }
        });
        match &result {
            Ok(_) => {
                self.shared.counters.commits.add(1);
                self.judge(begin.elapsed());
            }
            Err(_) => self.shared.counters.failed_commits.add(1),
        }
        result
    }

    /// Says whether the store keeps up, after a commit that took so long.
    fn judge(&mut self, took: Duration) {
        self.slow = if took >= SLOW {
            SLOW_FOR_COMMITS
        } else {
            self.slow.saturating_sub(1)
        };
        let is_down = *self.outlet.gate.borrow() == super::Gate::Down;
        if is_down {
            return;
        }
        if self.slow > 0 || self.outlet.is_over_half() {
            self.component.set(wire::StorageHealth::Slow, SLOW_TEXT);
        } else {
            self.component.set(wire::StorageHealth::Ok, "");
        }
    }
}
