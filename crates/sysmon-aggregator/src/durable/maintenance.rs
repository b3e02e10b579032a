//! The store's own work: rolling up, compacting, forgetting.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sysmon_store::History;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::queue::Gate;
use super::{Shared, apart};

/// How often there is something to do.
const PERIOD: Duration = Duration::from_secs(60);
/// A piece is bounded work; one that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(600);

/// Gives the store time for its own work, a piece after the other and never two at once.
pub(super) struct Maintainer {
    history: Arc<dyn History>,
    shared: Arc<Shared>,
    gate: watch::Receiver<Gate>,
}

impl fmt::Debug for Maintainer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Maintainer")
    }
}

impl Maintainer {
    pub(super) fn new(history: Arc<dyn History>, shared: Arc<Shared>, gate: watch::Receiver<Gate>) -> Self {
        Self {
            history,
            shared,
            gate,
        }
    }

    /// Works until the writer is finished. A piece that is under way then is given up: it does all or nothing.
    pub(super) async fn run(self) {
        let mut gate = self.gate.clone();
        tokio::select! {
            // Also when the writer is gone.
            _ = gate.wait_for(|gate| *gate == Gate::Finished) => {}
            () = self.work() => {}
        }
    }

    async fn work(&self) {
        let mut due = interval(PERIOD);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            while *self.gate.borrow() != Gate::Down && self.piece().await {
                // Commits and questions come in between.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Does a piece; returns whether more is due at once.
    async fn piece(&self) -> bool {
        let now = self.shared.now();
        let history = Arc::clone(&self.history);
        let work = apart(async move { history.maintain(now).await });
        let problem = match timeout(LIMIT, work).await {
            Ok(Ok(done)) => {
                tracing::debug!(?done, "maintained");
                return done.more;
            }
            Ok(Err(error)) => error.message,
            Err(_) => "it took longer than ten minutes".into(),
        };
        self.shared.counters.failed_maintenance.add(1);
        tracing::warn!(
            problem,
            "the store could not be maintained; it is tried again in a minute"
        );
        false
    }
}
