//! After a start: the machines that history knows and nobody has heard of yet.
//!
//! A machine that died while no aggregator was there to see it is what its owner most needs to be shown.

use std::sync::Arc;
use std::time::Duration;

use sysmon_core::UnixMillis;
use sysmon_store::{ErrorKind, History, MachineRecord};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::message::Message;

/// Machines that are there connect first, so that they do not appear to be silent for an instant.
const FIRST: Duration = Duration::from_secs(1);
/// Between two attempts on a store that is down.
const AGAIN: Duration = Duration::from_secs(5);
/// A store that says nothing for so long is asked again.
const PATIENCE: Duration = Duration::from_secs(30);
/// A machine that was silent for longer than this is not missed any more: seven days, as long as raw samples are kept.
const MISSED_MS: u64 = 7 * 86_400_000;

/// Tells the owner once of the machines in history, as soon as history can be read. Those that the owner knows by then
/// stay as they are.
pub(crate) async fn run(
    history: Arc<dyn History>,
    clock: Clock,
    owner: mpsc::WeakSender<Message>,
    shutdown: CancellationToken,
) {
    let recall = async {
        sleep(FIRST).await;
        let Some(mut records) = machines(&*history).await else {
            return;
        };
        let now = clock.now().unix;
        let is_missed = |last: UnixMillis| now.since_ms(last) <= MISSED_MS;
        records.retain(|record| record.last_sample.is_some_and(is_missed));
        // A strong one would keep an aggregator going that everyone has left.
        if let Some(owner) = owner.upgrade()
            && !records.is_empty()
        {
            let _ = owner.send(Message::Recall { records }).await;
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = recall => {}
    }
}

async fn machines(history: &dyn History) -> Option<Vec<MachineRecord>> {
    loop {
        match timeout(PATIENCE, history.machines()).await {
            Ok(Ok(records)) => return Some(records),
            Ok(Err(error)) if error.kind != ErrorKind::Unavailable => {
                tracing::warn!(%error, "machines that are silent since the start are not shown: history cannot say which there are");
                return None;
            }
            Ok(Err(_)) | Err(_) => sleep(AGAIN).await,
        }
    }
}
