//! Aggregators that share something, and a client that looks at one of them.

use std::sync::Arc;
use std::time::Duration;

use sysmon_aggregator::{Aggregator, Clock, Config, Stores};
use sysmon_api::{ApiError, Backend, Inbound, Outbound, Replica, Role, wire};
use sysmon_core::UnixMillis;
use sysmon_store::{open_bus, open_hot_state};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wire::command::Body as Ask;
use wire::response::Body as Answer;

use crate::support::{START, who};

/// What comes within any time that a test may take.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what)
        .await
        .expect("it comes in time")
}

/// Where the members of a group meet. Every member has handles of its own, as if in a process of its own; only memory has
/// to be shared.
pub(crate) enum Meeting {
    Memory(Stores),
    Redis(String),
}

impl Meeting {
    pub(crate) fn in_memory() -> Self {
        Self::Memory(stores("memory:"))
    }

    fn stores(&self) -> Stores {
        match self {
            Self::Memory(stores) => stores.clone(),
            Self::Redis(url) => stores(url),
        }
    }
}

fn stores(url: &str) -> Stores {
    Stores {
        hot: Some(open_hot_state(url).unwrap()),
        bus: Some(open_bus(url).unwrap()),
        ..Stores::default()
    }
}

/// A group whose clocks agree.
pub(crate) struct Group {
    pub(crate) meeting: Meeting,
    clock: Clock,
}

/// One aggregator of a group.
pub(crate) struct Member {
    pub(crate) aggregator: Arc<Aggregator>,
    work: JoinHandle<()>,
    _shutdown: CancellationToken,
}

impl Group {
    pub(crate) fn new(meeting: Meeting) -> Self {
        Self {
            meeting,
            clock: Clock::starting_at(START),
        }
    }

    /// Now, on everybody's clock.
    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now().unix
    }

    /// Starts another aggregator; it has loaded what there is when this returns.
    pub(crate) async fn member(&self) -> Member {
        let shutdown = CancellationToken::new();
        let (aggregator, work) = Aggregator::new(
            Config::default(),
            self.clock,
            self.meeting.stores(),
            shutdown.clone(),
        )
        .unwrap();
        let member = Member {
            aggregator: Arc::new(aggregator),
            work: tokio::spawn(work),
            _shutdown: shutdown,
        };
        // Its first answer comes after the warm-up.
        let request = wire::StateRequest {
            machine_id: "nobody".into(),
        };
        let answer = soon(member.aggregator.current_state(who(Role::Viewer), request)).await;
        assert!(answer.is_err());
        member
    }
}

impl Member {
    /// Ends it like a power cut: it says nothing any more.
    pub(crate) async fn kill(self) {
        self.work.abort();
        let _ = self.work.await;
    }
}

/// A client with one subscription, which takes over and acknowledges whatever comes.
pub(crate) struct Viewer {
    commands: mpsc::Sender<wire::Command>,
    responses: mpsc::Receiver<Result<sysmon_api::Outgoing, ApiError>>,
    pub(crate) replica: Replica,
    /// The latest that was said of the stores.
    pub(crate) storage: wire::StorageStatus,
    request_id: u64,
}

impl Viewer {
    /// Subscribes to all machines.
    pub(crate) async fn of(member: &Member, processes: wire::ProcessDetail) -> Self {
        let (commands, inbound) = mpsc::channel(4);
        let (outbound, responses) = Outbound::channel(4);
        let aggregator = Arc::clone(&member.aggregator);
        tokio::spawn(async move {
            aggregator
                .manage(who(Role::Operator), Inbound::from_receiver(inbound), outbound)
                .await
        });
        let mut viewer = Self {
            commands,
            responses,
            replica: Replica::default(),
            storage: wire::StorageStatus::default(),
            request_id: 0,
        };
        viewer.ask(Ask::Hello(sysmon_api::hello(START))).await;
        let subscribe = wire::Subscribe {
            subscription: 1,
            history_ms: 300_000,
            processes: processes.into(),
            ..Default::default()
        };
        viewer.ask(Ask::Subscribe(subscribe)).await;
        viewer
    }

    pub(crate) async fn ask(&mut self, body: Ask) {
        self.request_id += 1;
        let command = wire::Command {
            request_id: self.request_id,
            body: Some(body),
        };
        self.commands.send(command).await.unwrap();
    }

    /// Takes over what comes until `done`.
    pub(crate) async fn until(&mut self, done: impl Fn(&Replica) -> bool) {
        soon(async {
            while !done(&self.replica) {
                self.take_one().await;
            }
        })
        .await;
    }

    /// Takes over what comes until the stores are said to be so.
    pub(crate) async fn until_stored(&mut self, done: impl Fn(&wire::StorageStatus) -> bool) {
        soon(async {
            while !done(&self.storage) {
                self.take_one().await;
            }
        })
        .await;
    }

    async fn take_one(&mut self) {
        let response = self.responses.recv().await.unwrap().unwrap();
        match response.into_response().unwrap().body.unwrap() {
            Answer::Update(update) => {
                self.replica.apply(&update).unwrap();
                let received = wire::UpdateReceived {
                    subscription: update.subscription,
                    number: update.number,
                };
                let command = wire::Command {
                    request_id: 0,
                    body: Some(Ask::UpdateReceived(received)),
                };
                let _ = self.commands.send(command).await;
            }
            Answer::Storage(storage) => self.storage = storage,
            Answer::Hello(_) | Answer::Accepted(_) => {}
            other => panic!("{other:?}"),
        }
    }
}
