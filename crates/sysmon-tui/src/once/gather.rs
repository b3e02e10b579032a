//! From a connection to a fleet that has something to show.

use std::time::Duration;

use sysmon_api::{
    ApiError, CAPABILITY_ALERTS, CAPABILITY_FILTER, Code, Inbound, Machine, Replica, check_peer, hello, wire,
};
use sysmon_core::{Filter, Liveness, MetricId, SeriesKey};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::Snapshot;
use crate::connect::Connect;
use crate::link::now;
use crate::state::alerts::board::Board;

/// How long to wait for the connection and the hello.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for machines that have not reported rates yet; what is there then is what is printed.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(3);
/// The probes of the collector that run beside its ticks. One that is missing here may be missing in the snapshot;
/// one that does not exist costs the whole wait.
const SLOW_PROBES: &[&str] = if cfg!(target_os = "linux") {
    &[
        "batteries",
        "containers",
        "links",
        "mounts",
        "sensors",
        "sessions",
        "systemd",
    ]
} else {
    &[]
};
const SUBSCRIPTION: u32 = 1;
/// The number of the command that asks for alerts; the hello has 1, subscriptions those after it.
const WATCH_REQUEST: u64 = 2;
/// Commands under way: the hello, a subscription and an acknowledgement per update. When it is full, the
/// acknowledgement waits, and with it the server.
const COMMAND_QUEUE: usize = 8;

/// Why there is no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OnceError {
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(#[source] ApiError),
    /// The connection stands, but the aggregator gives nothing.
    #[error("cannot get a snapshot: {0}")]
    Snapshot(#[source] ApiError),
}

/// Connects, subscribes to everything, and waits until every live machine has rates and all alerts are told, at most
/// three seconds.
///
/// With `is_own_machine` the connection leads to a fleet of one that may be just starting: then all processes are
/// asked for, and the wait includes the machine's first report.
///
/// Of a fleet somewhere else only the machines that match the filter are asked for. The own machine is looked at when it
/// has reported everything: a filter cannot be asked about what was not measured yet.
///
/// # Errors
/// [`OnceError`] when there is no connection or no snapshot.
pub async fn gather(
    connect: &mut dyn Connect,
    is_own_machine: bool,
    filter: &Filter,
) -> Result<Snapshot, OnceError> {
    let (outgoing, receiver) = mpsc::channel(COMMAND_QUEUE);
    let greeted = timeout(CONNECT_TIMEOUT, async {
        let client = connect.connect().await?;
        send(&outgoing, 1, wire::command::Body::Hello(hello(now()))).await?;
        let mut responses = client.manage(receiver).await?;
        let peer = greet(&mut responses).await?;
        Ok((responses, peer))
    });
    let (mut responses, peer) = greeted
        .await
        .unwrap_or_else(|_| {
            Err(ApiError::unavailable(
                "nobody answers; check the address and that the aggregator runs",
            ))
        })
        .map_err(OnceError::Connect)?;
    let knows = |capability: &str| peer.capabilities.iter().any(|word| word == capability);
    if !filter.is_empty() && !knows(CAPABILITY_FILTER) {
        return Err(OnceError::Snapshot(ApiError::new(
            Code::FailedPrecondition,
            format!(
                "the aggregator is of version {} and does not know filters; upgrade it, or leave --filter out",
                sysmon_core::sanitize(&peer.software_version)
            ),
        )));
    }
    let wanted = Wanted {
        is_own_machine,
        tells_alerts: knows(CAPABILITY_ALERTS),
        filter: if is_own_machine {
            String::new()
        } else {
            filter.to_string()
        },
    };
    let snapshot = follow(&outgoing, &mut responses, &wanted)
        .await
        .map_err(OnceError::Snapshot)?;
    Ok(match (filter.is_empty(), is_own_machine) {
        (true, _) => snapshot,
        (false, true) => snapshot.filtered(filter),
        (false, false) => snapshot.showing_what_came(),
    })
}

/// What is asked of an aggregator.
struct Wanted {
    is_own_machine: bool,
    tells_alerts: bool,
    /// What the aggregator leaves out before it sends.
    filter: String,
}

/// Waits for the server's hello.
async fn greet(responses: &mut Inbound<wire::Response>) -> Result<wire::PeerHello, ApiError> {
    match responses.next().await?.and_then(|response| response.body) {
        Some(wire::response::Body::Hello(peer)) => {
            check_peer(Some(&peer))?;
            Ok(peer)
        }
        Some(wire::response::Body::Failure(failure)) => {
            Err(ApiError::new(Code::FailedPrecondition, failure.message))
        }
        _ => Err(ApiError::unavailable(
            "the aggregator ended the connection without a hello; try again",
        )),
    }
}

async fn follow(
    outgoing: &mpsc::Sender<wire::Command>,
    responses: &mut Inbound<wire::Response>,
    wanted: &Wanted,
) -> Result<Snapshot, ApiError> {
    let Wanted {
        is_own_machine,
        tells_alerts,
        ..
    } = *wanted;
    let mut fleet = Replica::default();
    let mut alerts = if tells_alerts {
        Told::Waiting(Board::default())
    } else {
        Told::Never
    };
    let mut request_id = WATCH_REQUEST + 1;
    send(outgoing, request_id, subscribe(wanted)).await?;
    if tells_alerts {
        let watch = wire::command::Body::WatchAlerts(wire::WatchAlerts {});
        send(outgoing, WATCH_REQUEST, watch).await?;
    }
    let deadline = Instant::now() + SETTLE_TIMEOUT;
    while !is_settled(&fleet, is_own_machine) || matches!(alerts, Told::Waiting(_)) {
        let (to, body) = match timeout_at(deadline, responses.next()).await {
            Ok(response) => response?.map_or((0, None), |response| (response.request_id, response.body)),
            Err(_) if is_own_machine && fleet.machines().len() == 0 => {
                return Err(ApiError::unavailable(
                    "this machine did not report in time; look at the log",
                ));
            }
            Err(_) if fleet.is_complete() => break,
            Err(_) => {
                return Err(ApiError::unavailable(
                    "the aggregator sends nothing; look at its log",
                ));
            }
        };
        match body {
            Some(wire::response::Body::Update(update)) => {
                let reply = take(&mut fleet, &update, wanted);
                let is_anew = matches!(reply, wire::command::Body::Subscribe(_));
                request_id += u64::from(is_anew);
                send(outgoing, if is_anew { request_id } else { 0 }, reply).await?;
            }
            Some(wire::response::Body::Alerts(board)) => alerts.apply(&board),
            // The fleet is worth showing without what is wrong on it.
            Some(wire::response::Body::Failure(_)) if to == WATCH_REQUEST => alerts = Told::Never,
            Some(wire::response::Body::Failure(failure)) => {
                return Err(ApiError::new(Code::FailedPrecondition, failure.message));
            }
            Some(_) => {}
            None => {
                return Err(ApiError::unavailable(
                    "the aggregator closed the connection; try again",
                ));
            }
        }
    }
    let board = match alerts {
        Told::All(board) => Some(board),
        Told::Waiting(_) | Told::Never => None,
    };
    Ok(Snapshot {
        board,
        ..Snapshot::of_fleet(fleet)
    })
}

/// Takes an update over; returns what is to be said to it: that it has come, or that everything is wanted anew.
fn take(fleet: &mut Replica, update: &wire::Update, wanted: &Wanted) -> wire::command::Body {
    match fleet.apply(update) {
        Ok(()) => wire::command::Body::UpdateReceived(wire::UpdateReceived {
            subscription: update.subscription,
            number: update.number,
        }),
        Err(_) => subscribe(wanted),
    }
}

/// How much of the board has come.
enum Told {
    /// Nobody tells.
    Never,
    /// Not all of it.
    Waiting(Board),
    /// All of it.
    All(Board),
}

impl Told {
    fn apply(&mut self, message: &wire::AlertBoard) {
        match std::mem::replace(self, Self::Never) {
            Self::Never => {}
            Self::Waiting(mut board) | Self::All(mut board) => {
                board.apply(message);
                *self = if message.more {
                    Self::Waiting(board)
                } else {
                    Self::All(board)
                };
            }
        }
    }
}

fn subscribe(wanted: &Wanted) -> wire::command::Body {
    let processes = if wanted.is_own_machine {
        wire::ProcessDetail::All
    } else {
        wire::ProcessDetail::Top
    };
    wire::command::Body::Subscribe(wire::Subscribe {
        subscription: SUBSCRIPTION,
        processes: processes.into(),
        filter: wanted.filter.clone(),
        ..wire::Subscribe::default()
    })
}

/// Whether every machine that still reports has shown what takes its time: rates, which need two readings.
fn is_settled(fleet: &Replica, is_own_machine: bool) -> bool {
    fleet.is_complete()
        && (!is_own_machine || fleet.machines().len() > 0)
        && fleet.machines().all(|(_, machine)| {
            machine.liveness != Liveness::Live
                || (has_rates(machine) && (!is_own_machine || is_explored(machine)))
        })
}

fn has_rates(machine: &Machine) -> bool {
    machine.recent.value(MetricId::CpuBusy).is_some()
}

/// Whether a collector that has just started has been everywhere once: at the processes, and at what it asks beside
/// its ticks.
fn is_explored(machine: &Machine) -> bool {
    let has_reported = |probe: &&str| {
        let series = SeriesKey::of(MetricId::ProbeDuration, probe);
        machine.recent.value_of(&series).is_some()
    };
    machine
        .processes
        .iter()
        .any(|process| process.cpu_percent.is_some())
        && SLOW_PROBES.iter().all(has_reported)
}

async fn send(
    outgoing: &mpsc::Sender<wire::Command>,
    request_id: u64,
    body: wire::command::Body,
) -> Result<(), ApiError> {
    let command = wire::Command {
        request_id,
        body: Some(body),
    };
    outgoing
        .send(command)
        .await
        .map_err(|_| ApiError::unavailable("the aggregator closed the connection; try again"))
}

#[cfg(test)]
mod tests;
