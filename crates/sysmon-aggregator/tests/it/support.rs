//! Short ways to be a collector or a client.

use std::sync::Arc;

use sysmon_aggregator::{Aggregator, Clock, Config, Stores};
use sysmon_api::{
    ApiError, Backend, Inbound, Outbound, Principal, Replica, Role, series_to_wire, tick_to_wire, wire,
};
use sysmon_core::{MachineId, MetricId, SeriesKey, UnixMillis};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wire::command::Body as Ask;
use wire::push_request::Body as Report;
use wire::push_response::Body as Told;
use wire::response::Body as Answer;

pub(crate) const START: UnixMillis = UnixMillis(1_700_000_000_000);

/// An aggregator whose time of day is the paused clock's.
pub(crate) fn start(config: Config) -> (Arc<Aggregator>, CancellationToken) {
    start_with(config, Stores::default())
}

/// The same with stores.
pub(crate) fn start_with(config: Config, stores: Stores) -> (Arc<Aggregator>, CancellationToken) {
    let shutdown = CancellationToken::new();
    let clock = Clock::starting_at(START);
    let (aggregator, task) = Aggregator::new(config, clock, stores, shutdown.clone()).unwrap();
    tokio::spawn(task);
    (Arc::new(aggregator), shutdown)
}

pub(crate) fn who(role: Role) -> Principal {
    Principal {
        name: "test".into(),
        role,
        machine: None,
    }
}

pub(crate) fn agent(machine: &str) -> Principal {
    Principal {
        machine: Some(MachineId::parse(machine).unwrap()),
        ..who(Role::Agent)
    }
}

pub(crate) fn collector_hello(machine: &str, instance: u8) -> wire::PushRequest {
    wire::PushRequest {
        body: Some(Report::Hello(wire::CollectorHello {
            peer: Some(sysmon_api::hello(START)),
            machine_id: machine.into(),
            instance: vec![instance; 16],
            epoch: vec![instance; 16],
            host: Some(wire::HostInfo {
                hostname: format!("{machine}.example"),
                ..Default::default()
            }),
            interval_ms: 1_000,
            spool_is_new: false,
        })),
    }
}

/// One tick at `at`: processor, and at the first one the announcement of its series.
pub(crate) fn tick(at: UnixMillis, sequence: u64, tenths: i64) -> wire::PushRequest {
    let announced = vec![
        series_to_wire(1, &SeriesKey::plain(MetricId::CpuBusy), 1),
        series_to_wire(2, &SeriesKey::of(MetricId::MountUsedPercent, "/"), 1),
    ];
    let values: &[_] = if sequence == 1 {
        &[(1, tenths), (2, 505)]
    } else {
        &[(1, tenths)]
    };
    wire::PushRequest {
        body: Some(Report::Batch(wire::Batch {
            sequence,
            announced: if sequence == 1 { announced } else { Vec::new() },
            tick: Some(tick_to_wire(at, values)),
            ..Default::default()
        })),
    }
}

/// A collector's end of a stream.
pub(crate) struct Collector {
    pub(crate) requests: mpsc::Sender<wire::PushRequest>,
    pub(crate) responses: mpsc::Receiver<Result<wire::PushResponse, ApiError>>,
    pub(crate) call: JoinHandle<Result<(), ApiError>>,
    sequence: u64,
}

impl Collector {
    /// A stream without its hello.
    pub(crate) fn open(aggregator: &Arc<Aggregator>, principal: Principal) -> Self {
        let (requests, inbound) = mpsc::channel(4);
        let (outbound, responses) = Outbound::channel(4);
        let aggregator = Arc::clone(aggregator);
        let call = tokio::spawn(async move {
            aggregator
                .push(principal, Inbound::from_receiver(inbound), outbound)
                .await
        });
        Self {
            requests,
            responses,
            call,
            sequence: 0,
        }
    }

    /// A stream that was accepted; returns it with the first directive.
    pub(crate) async fn join(
        aggregator: &Arc<Aggregator>,
        machine: &str,
        instance: u8,
    ) -> (Self, wire::Directive) {
        let mut collector = Self::open(aggregator, agent(machine));
        collector
            .requests
            .send(collector_hello(machine, instance))
            .await
            .unwrap();
        assert!(matches!(collector.told().await, Told::Hello(_)));
        let Told::Directive(directive) = collector.told().await else {
            panic!("the directive follows the hello");
        };
        (collector, directive)
    }

    pub(crate) async fn say(&mut self, body: Report) {
        let request = wire::PushRequest { body: Some(body) };
        self.requests.send(request).await.unwrap();
    }

    pub(crate) async fn told(&mut self) -> Told {
        self.responses.recv().await.unwrap().unwrap().body.unwrap()
    }

    /// The next directive.
    pub(crate) async fn directive(&mut self) -> wire::Directive {
        match self.told().await {
            Told::Directive(directive) => directive,
            other => panic!("{other:?} instead of a directive"),
        }
    }

    /// A tick that lists processes.
    pub(crate) async fn listing(&mut self, at: UnixMillis, tenths: i64, processes: wire::ProcessUpdate) {
        self.sequence += 1;
        let mut request = tick(at, self.sequence, tenths);
        if let Some(Report::Batch(batch)) = &mut request.body {
            batch.processes = Some(processes);
        }
        self.requests.send(request).await.unwrap();
    }

    pub(crate) async fn tick(&mut self, at: UnixMillis, tenths: i64) {
        self.sequence += 1;
        self.requests.send(tick(at, self.sequence, tenths)).await.unwrap();
    }
}

/// A client's end of a stream.
pub(crate) struct Console {
    pub(crate) commands: mpsc::Sender<wire::Command>,
    pub(crate) responses: mpsc::Receiver<Result<sysmon_api::Outgoing, ApiError>>,
    pub(crate) call: JoinHandle<Result<(), ApiError>>,
    pub(crate) replica: Replica,
    request_id: u64,
}

impl Console {
    /// A stream without its hello.
    pub(crate) fn open(aggregator: &Arc<Aggregator>, role: Role) -> Self {
        let (commands, inbound) = mpsc::channel(4);
        let (outbound, responses) = Outbound::channel(4);
        let aggregator = Arc::clone(aggregator);
        let call = tokio::spawn(async move {
            aggregator
                .manage(who(role), Inbound::from_receiver(inbound), outbound)
                .await
        });
        Self {
            commands,
            responses,
            call,
            replica: Replica::default(),
            request_id: 0,
        }
    }

    pub(crate) async fn join(aggregator: &Arc<Aggregator>, role: Role) -> Self {
        let mut console = Self::open(aggregator, role);
        let id = console.ask(Ask::Hello(sysmon_api::hello(START))).await;
        let hello = console.response().await;
        assert_eq!(hello.request_id, id);
        assert!(matches!(hello.body, Some(Answer::Hello(_))));
        console
    }

    /// Sends a command; returns its request id.
    pub(crate) async fn ask(&mut self, body: Ask) -> u64 {
        self.request_id += 1;
        let command = wire::Command {
            request_id: self.request_id,
            body: Some(body),
        };
        self.commands.send(command).await.unwrap();
        self.request_id
    }

    pub(crate) async fn response(&mut self) -> wire::Response {
        self.responses
            .recv()
            .await
            .unwrap()
            .unwrap()
            .into_response()
            .unwrap()
    }

    /// Sends a command and waits for its reply; updates meanwhile are taken over.
    pub(crate) async fn command(&mut self, body: Ask) -> Result<(), wire::Failure> {
        let id = self.ask(body).await;
        loop {
            let response = self.response().await;
            let request_id = response.request_id;
            match response.body.unwrap() {
                Answer::Update(update) => self.take(update).await,
                Answer::Storage(_) => {}
                Answer::Accepted(_) if request_id == id => return Ok(()),
                Answer::Failure(failure) if request_id == id => return Err(failure),
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next word on the stores; updates meanwhile are taken over.
    pub(crate) async fn storage(&mut self) -> wire::StorageStatus {
        loop {
            match self.response().await.body.unwrap() {
                Answer::Storage(status) => return status,
                Answer::Update(update) => self.take(update).await,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Takes an update over and acknowledges it.
    pub(crate) async fn take(&mut self, update: wire::Update) {
        self.replica.apply(&update).unwrap();
        let received = wire::UpdateReceived {
            subscription: update.subscription,
            number: update.number,
        };
        let command = wire::Command {
            request_id: 0,
            body: Some(Ask::UpdateReceived(received)),
        };
        // The aggregator may be stopping.
        let _ = self.commands.send(command).await;
    }

    /// Takes updates over until `done`.
    pub(crate) async fn until(&mut self, done: impl Fn(&Replica) -> bool) {
        while !done(&self.replica) {
            match self.response().await.body.unwrap() {
                Answer::Update(update) => self.take(update).await,
                Answer::Storage(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

pub(crate) fn everything(machine_ids: &[&str]) -> Ask {
    Ask::Subscribe(wire::Subscribe {
        subscription: 1,
        machine_ids: machine_ids.iter().map(ToString::to_string).collect(),
        history_ms: 300_000,
        processes: wire::ProcessDetail::All.into(),
        ..Default::default()
    })
}

/// The newest processor value of a machine.
pub(crate) fn busy(replica: &Replica, machine: &str) -> Option<f64> {
    replica.find(machine)?.recent.value(MetricId::CpuBusy)
}
