//! Sends messages, one at a time to each receiver.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::failure::Failure;
use crate::outbox::Pending;
use crate::receivers::Receivers;

/// The longest that any receiver takes; it bounds itself, this is for the worst.
const LIMIT: Duration = Duration::from_secs(40);

/// What became of an attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) id: String,
    pub(super) receiver: String,
    pub(super) result: Result<(), Failure>,
}

/// Attempts under way. Dropped, they end where they are.
#[derive(Debug, Default)]
pub(super) struct Sending(JoinSet<Attempt>);

impl Sending {
    pub(super) fn begin(&mut self, receivers: &Receivers, pending: Pending) {
        let receiver = receivers.get(&pending.delivery.receiver).map(Arc::clone);
        self.0.spawn(async move {
            let Pending { delivery, message } = pending;
            let result = match &receiver {
                None => Err(Failure::lasting(
                    "no receiver of this name is configured; configure it and send again",
                )),
                Some(receiver) => {
                    let send = receiver.send(&delivery.id, &message);
                    let limited = tokio::time::timeout(LIMIT, send).await;
                    limited.unwrap_or_else(|_| Err(Failure::passing("it took too long")))
                }
            };
            Attempt {
                id: delivery.id,
                receiver: delivery.receiver,
                result,
            }
        });
    }

    /// The next that is over; none while none is under way. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Attempt> {
        loop {
            match self.0.join_next().await? {
                Ok(attempt) => return Some(attempt),
                Err(error) => tracing::error!(%error, "an attempt to send failed; report this"),
            }
        }
    }
}
