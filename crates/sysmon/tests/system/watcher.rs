//! A client that keeps a copy of the fleet, loses its connection and finds it again, as the terminal client does.

use std::time::{Duration, Instant};

use sysmon_api::{ApiError, Backoff, Client, Replica, hello, wire};
use sysmon_core::{Liveness, UnixMillis};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::PATIENCE;

/// The watching task; it ends when this is dropped.
pub(crate) struct Watcher {
    fleet: watch::Receiver<Replica>,
    task: JoinHandle<()>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watcher {
    pub(crate) fn start(client: Client) -> Self {
        let (sender, fleet) = watch::channel(Replica::default());
        let task = tokio::spawn(async move {
            let mut backoff = Backoff::default();
            loop {
                // Whatever ended the connection, the next attempt follows.
                let _ = follow(&client, &sender, &mut backoff).await;
                tokio::time::sleep(backoff.next()).await;
            }
        });
        Self { fleet, task }
    }

    /// Waits until the fleet is as wanted and says how long that took.
    pub(crate) async fn wait_for(&mut self, what: &str, wanted: impl Fn(&Replica) -> bool) -> Duration {
        let started = Instant::now();
        let found = timeout(PATIENCE, self.fleet.wait_for(|fleet| wanted(fleet)))
            .await
            .is_ok();
        assert!(
            found,
            "{what}: not within {PATIENCE:?}; there is {}",
            describe(&self.fleet.borrow())
        );
        started.elapsed()
    }

    /// Whether a machine has reported since a moment on the aggregator's clock.
    pub(crate) fn now(&self) -> UnixMillis {
        self.fleet.borrow().now()
    }
}

/// Whether these machines, and no others, are live, each heard of after `since`.
pub(crate) fn are_live(fleet: &Replica, ids: &[&str], since: UnixMillis) -> bool {
    fleet.is_complete()
        && fleet.machines().len() == ids.len()
        && ids.iter().all(|id| {
            fleet.find(id).is_some_and(|machine| {
                machine.liveness == Liveness::Live
                    && machine.last_seen > since
                    && machine
                        .recent
                        .times()
                        .back()
                        .is_some_and(|newest| *newest > since)
            })
        })
}

fn describe(fleet: &Replica) -> String {
    let machines = fleet
        .machines()
        .map(|(_, machine)| format!("{} {} {}", machine.id, machine.liveness.word(), machine.last_seen));
    machines.collect::<Vec<_>>().join("; ")
}

async fn follow(
    client: &Client,
    sender: &watch::Sender<Replica>,
    backoff: &mut Backoff,
) -> Result<(), ApiError> {
    let (commands, outgoing) = mpsc::channel(8);
    let gone = |_| ApiError::unavailable("gone");
    let first = wire::command::Body::Hello(hello(UnixMillis(0)));
    let all = wire::Subscribe {
        subscription: 1,
        processes: wire::ProcessDetail::Top.into(),
        ..Default::default()
    };
    for (request_id, body) in [(1, first), (2, wire::command::Body::Subscribe(all))] {
        let command = wire::Command {
            request_id,
            body: Some(body),
        };
        commands.send(command).await.map_err(gone)?;
    }
    let mut responses = client.manage(outgoing).await?;
    let mut fleet = Replica::default();
    while let Some(response) = responses.next().await? {
        let Some(wire::response::Body::Update(update)) = response.body else {
            continue;
        };
        backoff.reset();
        fleet.apply(&update).expect("updates follow from each other");
        let received = wire::UpdateReceived {
            subscription: update.subscription,
            number: update.number,
        };
        let body = Some(wire::command::Body::UpdateReceived(received));
        commands
            .send(wire::Command { request_id: 0, body })
            .await
            .map_err(gone)?;
        sender.send_replace(fleet.clone());
    }
    Ok(())
}
