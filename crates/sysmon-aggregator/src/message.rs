//! What sessions say to the owner of the state.

use sysmon_api::{ApiError, Outgoing, wire};
use sysmon_core::Epoch;
use sysmon_store::MachineRecord;
use tokio::sync::{mpsc, oneshot, watch};

use crate::fleet::{Batch, ClientId, Hello, Judgement, StreamId};

/// One message to the owner.
#[derive(Debug)]
pub(crate) enum Message {
    /// A collector introduces itself.
    OpenStream {
        hello: Box<Hello>,
        reply: oneshot::Sender<Result<StreamTicket, ApiError>>,
    },
    /// A collector has measured something.
    Batch { stream: StreamId, batch: Box<Batch> },
    /// A collector is alive.
    Heartbeat { stream: StreamId },
    /// A collector counts its batches anew.
    NewEpoch { stream: StreamId, epoch: Epoch },
    /// A collector's stream has ended.
    CloseStream { stream: StreamId },
    /// History knows these machines.
    Recall { records: Vec<MachineRecord> },
    /// By their alerts these machines fare so; those that were never named since alerts began to judge are well. None when
    /// nobody evaluates alerts: the machines' own numbers judge, until the next of these.
    Judged { judgements: Option<Vec<Judgement>> },
    /// A client comes; responses go into `responses`, which has room for [`RESPONSES`].
    OpenClient {
        responses: mpsc::Sender<Outgoing>,
        reply: oneshot::Sender<Result<ClientId, ApiError>>,
    },
    /// A client wants something; the reply goes among its responses.
    Command {
        client: ClientId,
        request_id: u64,
        command: Command,
    },
    /// A client has received an update.
    Received {
        client: ClientId,
        received: wire::UpdateReceived,
    },
    /// A client's stream has ended.
    CloseClient { client: ClientId },
    /// Somebody asks what only a machine's collector can answer.
    Ask { machine_id: String, asked: Asked },
    /// Somebody asks for one machine.
    State {
        machine_id: String,
        reply: oneshot::Sender<Result<wire::MachineState, ApiError>>,
    },
}

/// A question for a collector, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) question: wire::collector_question::Body,
    pub(crate) reply: oneshot::Sender<Result<wire::collector_answer::Body, ApiError>>,
}

/// What a client can command.
#[derive(Debug)]
pub(crate) enum Command {
    Subscribe(wire::Subscribe),
    Unsubscribe(wire::Unsubscribe),
    SetInterval(wire::SetInterval),
    LeaseBurst(wire::BurstLease),
}

/// What a collector's session gets when its stream is open.
#[derive(Debug)]
pub(crate) struct StreamTicket {
    pub(crate) stream: StreamId,
    /// The latest directive. It closes when the stream is replaced.
    pub(crate) directives: watch::Receiver<wire::Directive>,
    /// What clients ask. It closes as well.
    pub(crate) questions: mpsc::Receiver<Asked>,
}

/// The most commands of one client that have no reply yet; its session reads no further.
pub(crate) const COMMANDS_MAX: usize = 16;

/// Room for responses to one client. Eight subscriptions have two updates each under way, and each of 16 open commands
/// may bring a reply and, by replacing a subscription, two updates more; it is never full unless that is wrong.
pub(crate) const RESPONSES: usize = 2 * crate::fleet::SUBSCRIPTIONS_MAX + 3 * COMMANDS_MAX + COMMANDS_MAX;
