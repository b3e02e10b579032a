//! A fleet that does what a test says, served as an aggregator does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sysmon_api::{
    Access, ApiError, Backend, Client, ClientConfig, Endpoint, InProcess, Inbound, Outbound, Principal,
    Server, hello, series_to_wire, tick_to_wire, wire,
};
use sysmon_core::{MetricId, SeriesKey, UnixMillis};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wire::command::Body;
use wire::response::Body as Reply;

pub(super) const START: UnixMillis = UnixMillis(1_700_000_000_000);

/// From which second on, in tenths of a percent; none for silence.
pub(super) type Load = (i64, Option<i64>);

/// Machines that report once a second; the load of a machine is that of its last change.
pub(super) struct World {
    /// By machine.
    loads: BTreeMap<String, Vec<Load>>,
    started: Instant,
    /// Streams end and none begin.
    pub(super) is_cut: AtomicBool,
    /// Of which machines all processes were asked for, in the order in which that changed.
    pub(super) closely: Mutex<Vec<Vec<String>>>,
    endpoint: Mutex<Option<InProcess>>,
}

impl World {
    pub(super) fn new(machines: &[(&str, &[Load])]) -> Self {
        let machines = machines.iter();
        Self {
            loads: machines
                .map(|(name, loads)| ((*name).to_owned(), loads.to_vec()))
                .collect(),
            started: Instant::now(),
            is_cut: AtomicBool::new(false),
            closely: Mutex::default(),
            endpoint: Mutex::new(None),
        }
    }

    pub(super) fn serve(self) -> Arc<Self> {
        let world = Arc::new(self);
        let backend = Arc::new(Served(Arc::clone(&world)));
        let mut server = Server::new(backend, Arc::new(Access::local_only()));
        *world.endpoint.lock().unwrap() = Some(server.in_process());
        tokio::spawn(server.serve(CancellationToken::new()));
        world
    }

    pub(super) fn client(&self) -> Client {
        let endpoint = self.endpoint.lock().unwrap().clone().unwrap();
        Client::new(ClientConfig::new(Endpoint::in_process(endpoint))).unwrap()
    }

    fn load(&self, machine: &str, second: i64) -> Option<i64> {
        let changes = &self.loads[machine];
        let last = changes.iter().rev().find(|(from, _)| *from <= second);
        last.and_then(|(_, load)| *load)
    }

    fn second(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_secs()).unwrap()
    }

    /// One machine as a snapshot has it.
    fn introduction(&self, number: u32, name: &str, now: i64) -> wire::MachineUpdate {
        let times: Vec<i64> = (now - 299..=now)
            .filter(|second| *second >= 0 && self.load(name, *second).is_some())
            .collect();
        let (mut steps, mut codes) = (Vec::new(), Vec::new());
        let (mut last_at, mut last_load) = (0, 0);
        for second in &times {
            let (at, load) = (at(*second).0, self.load(name, *second).unwrap());
            steps.push(at - last_at);
            codes.push(sysmon_core::series::code(last_load, load));
            (last_at, last_load) = (at, load);
        }
        wire::MachineUpdate {
            machine: number,
            header: Some(wire::MachineHeader {
                machine_id: name.into(),
                host: Some(wire::HostInfo {
                    hostname: format!("{name}.example.org"),
                    ..Default::default()
                }),
                interval_ms: 1_000,
                ..Default::default()
            }),
            replace: true,
            liveness: wire::Liveness::Live.into(),
            last_seen_unix_ms: times.last().map_or(0, |second| at(*second).0),
            announced: vec![series_to_wire(1, &SeriesKey::plain(MetricId::CpuBusy), 1)],
            history: Some(wire::History {
                at_unix_ms_steps: steps,
                series: vec![wire::SeriesHistory { series: 1, codes }],
            }),
            processes: Some(wire::ProcessUpdate {
                replace: true,
                changed: vec![wire::Process {
                    pid: 7,
                    name: "stress".into(),
                    user: "root".into(),
                    cpu_centipercent_plus_one: 9_901,
                    ..Default::default()
                }],
                ..Default::default()
            }),
            sequence: u64::try_from(now + 1).unwrap(),
            ..Default::default()
        }
    }

    fn change(&self, number: u32, name: &str, now: i64) -> Option<wire::MachineUpdate> {
        let load = self.load(name, now)?;
        Some(wire::MachineUpdate {
            machine: number,
            liveness: wire::Liveness::Live.into(),
            last_seen_unix_ms: at(now).0,
            ticks: vec![tick_to_wire(at(now), &[(1, load)])],
            ..Default::default()
        })
    }
}

fn at(second: i64) -> UnixMillis {
    START.plus_ms(second * 1_000)
}

struct Served(Arc<World>);

impl Served {
    async fn tell(
        &self,
        number: u64,
        responses: &Outbound<sysmon_api::Outgoing>,
        update: wire::Update,
    ) -> bool {
        let update = wire::Update {
            subscription: 1,
            number,
            ..update
        };
        let response = wire::Response {
            request_id: 0,
            body: Some(Reply::Update(update)),
        };
        responses.send(response).await.is_ok()
    }

    async fn stream(&self, responses: &Outbound<sysmon_api::Outgoing>) {
        let world = &self.0;
        let machines: Vec<(u32, &String)> = (1..).zip(world.loads.keys()).collect();
        let mut now = world.second();
        let mut number = 1;
        let mut sequences = BTreeMap::new();
        let snapshot = wire::Update {
            snapshot: true,
            now_unix_ms: at(now).0,
            machines: machines
                .iter()
                .map(|(machine, name)| {
                    let update = world.introduction(*machine, name, now);
                    sequences.insert(*machine, update.sequence);
                    update
                })
                .collect(),
            ..Default::default()
        };
        if !self.tell(number, responses, snapshot).await {
            return;
        }
        while !world.is_cut.load(Ordering::Relaxed) {
            now += 1;
            let next = world.started + Duration::from_secs(u64::try_from(now).unwrap());
            tokio::time::sleep_until(next).await;
            number += 1;
            let changed = machines.iter().filter_map(|(machine, name)| {
                let mut update = world.change(*machine, name, now)?;
                let sequence = sequences.get_mut(machine)?;
                update.follows_sequence = *sequence;
                *sequence += 1;
                update.sequence = *sequence;
                Some(update)
            });
            let update = wire::Update {
                now_unix_ms: at(now).0,
                machines: changed.collect(),
                ..Default::default()
            };
            if !self.tell(number, responses, update).await {
                return;
            }
        }
    }
}

#[async_trait]
impl Backend for Served {
    async fn manage(
        &self,
        _: Principal,
        mut commands: Inbound<wire::Command>,
        responses: Outbound<sysmon_api::Outgoing>,
    ) -> Result<(), ApiError> {
        if self.0.is_cut.load(Ordering::Relaxed) {
            return Err(ApiError::unavailable("cut"));
        }
        let mut is_open = false;
        loop {
            let opens = is_open;
            let stream = async {
                if opens {
                    self.stream(&responses).await;
                } else {
                    std::future::pending().await
                }
            };
            tokio::pin!(stream);
            loop {
                let command = tokio::select! {
                    () = &mut stream => return Err(ApiError::unavailable("cut")),
                    command = commands.next() => command,
                };
                let Ok(Some(command)) = command else {
                    return Ok(());
                };
                match command.body {
                    Some(Body::Hello(_)) => {
                        let hello = wire::Response {
                            request_id: command.request_id,
                            body: Some(Reply::Hello(hello(START))),
                        };
                        let _ = responses.send(hello).await;
                    }
                    Some(Body::Subscribe(subscribe)) if subscribe.subscription == 2 => {
                        assert_eq!(subscribe.processes(), wire::ProcessDetail::All);
                        self.0.closely.lock().unwrap().push(subscribe.machine_ids);
                    }
                    Some(Body::Unsubscribe(unsubscribe)) => {
                        assert_eq!(unsubscribe.subscription, 2);
                        self.0.closely.lock().unwrap().push(Vec::new());
                    }
                    Some(Body::Subscribe(subscribe)) => {
                        assert!(subscribe.metrics.contains(&"cpu.busy_percent".to_owned()));
                        assert_eq!(subscribe.history_ms, 300_000);
                        is_open = true;
                        break;
                    }
                    _ => {}
                }
            }
        }
    }

    async fn push(
        &self,
        _: Principal,
        _: Inbound<wire::PushRequest>,
        _: Outbound<wire::PushResponse>,
    ) -> Result<(), ApiError> {
        Ok(())
    }

    async fn stream_metrics(
        &self,
        _: Principal,
        _: wire::MetricsRequest,
        _: Outbound<wire::Metric>,
    ) -> Result<(), ApiError> {
        Ok(())
    }

    async fn current_state(
        &self,
        _: Principal,
        _: wire::StateRequest,
    ) -> Result<wire::MachineState, ApiError> {
        Ok(wire::MachineState::default())
    }

    async fn history(&self, _: Principal, _: wire::HistoryRequest) -> Result<wire::HistoryReply, ApiError> {
        Ok(wire::HistoryReply::default())
    }
}
