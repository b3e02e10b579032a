//! A model of a collector that keeps what is not acknowledged, as the protocol asks for.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sysmon_aggregator::Aggregator;
use sysmon_api::{series_to_wire, tick_to_wire, wire};
use sysmon_core::{MetricId, SeriesKey, UnixMillis};
use tokio::time::{Instant, timeout_at};
use wire::push_request::Body as Report;
use wire::push_response::Body as Told;

use crate::support::{Collector, agent};

/// A kept tick.
#[derive(Clone, Copy, Debug)]
struct Kept {
    epoch: [u8; 16],
    sequence: u64,
    at: UnixMillis,
    value: i64,
    /// As backlog on the present stream.
    is_sent: bool,
}

/// A collector that keeps every tick until it is acknowledged.
pub(crate) struct Keeper {
    machine: String,
    spool: VecDeque<Kept>,
    stream: Option<Collector>,
    epoch: [u8; 16],
    epochs: u8,
    sequence: u64,
    announced: bool,
    backlog_epoch: Option<[u8; 16]>,
    /// What may be sent.
    pub(crate) granted: u32,
    pub(crate) produced: u32,
    /// Every Resend that came.
    pub(crate) resends: Vec<([u8; 16], u64)>,
    /// The newest acknowledged sequence per epoch.
    pub(crate) acknowledged: HashMap<[u8; 16], u64>,
    pub(crate) spool_is_new: bool,
}

impl Keeper {
    pub(crate) fn new(machine: &str) -> Self {
        Self {
            machine: machine.into(),
            spool: VecDeque::new(),
            stream: None,
            epoch: [0; 16],
            epochs: 0,
            sequence: 0,
            announced: false,
            backlog_epoch: None,
            granted: 0,
            produced: 0,
            resends: Vec::new(),
            acknowledged: HashMap::new(),
            spool_is_new: false,
        }
    }

    /// Begins a stream and with it an epoch; everything kept becomes backlog.
    pub(crate) async fn connect(&mut self, aggregator: &Arc<Aggregator>) -> wire::PeerHello {
        self.disconnect();
        self.begin_epoch();
        let mut stream = Collector::open(aggregator, agent(&self.machine));
        let hello = wire::CollectorHello {
            peer: Some(sysmon_api::hello(crate::support::START)),
            machine_id: self.machine.clone(),
            instance: vec![1; 16],
            epoch: self.epoch.to_vec(),
            host: Some(wire::HostInfo {
                hostname: format!("{}.example", self.machine),
                ..Default::default()
            }),
            interval_ms: 1_000,
            spool_is_new: self.spool_is_new,
        };
        stream.say(Report::Hello(hello)).await;
        let Told::Hello(theirs) = stream.told().await else {
            panic!("the hello comes first");
        };
        self.stream = Some(stream);
        self.granted = 0;
        self.announced = false;
        self.backlog_epoch = None;
        for kept in &mut self.spool {
            kept.is_sent = false;
        }
        self.ask_for_grants().await;
        theirs
    }

    pub(crate) fn disconnect(&mut self) {
        self.stream = None;
    }

    pub(crate) fn is_disconnected(&self) -> bool {
        self.stream.is_none()
    }

    pub(crate) fn stream(&mut self) -> &mut Collector {
        self.stream.as_mut().unwrap()
    }

    pub(crate) fn epoch(&self) -> [u8; 16] {
        self.epoch
    }

    /// How much is kept.
    pub(crate) fn kept(&self) -> usize {
        self.spool.len()
    }

    /// How much of the backlog it may send or has sent without an answer.
    pub(crate) fn outstanding(&self) -> usize {
        let is_sent = |kept: &&Kept| kept.epoch != self.epoch && kept.is_sent;
        self.granted as usize + self.spool.iter().filter(is_sent).count()
    }

    fn begin_epoch(&mut self) {
        self.epochs += 1;
        self.epoch = [self.epochs; 16];
        self.sequence = 0;
    }

    /// Keeps a tick, and sends it where there is a stream.
    pub(crate) async fn tick(&mut self, at: UnixMillis) {
        self.sequence += 1;
        self.produced += 1;
        let kept = Kept {
            epoch: self.epoch,
            sequence: self.sequence,
            at,
            value: i64::from(self.produced),
            is_sent: false,
        };
        self.spool.push_back(kept);
        if let Some(stream) = &mut self.stream {
            let announce = !std::mem::replace(&mut self.announced, true);
            stream.say(Report::Batch(batch(&kept, announce))).await;
        }
    }

    /// Does what it is told for so long.
    pub(crate) async fn run(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Some(stream) = &mut self.stream {
            let Ok(response) = timeout_at(end, stream.responses.recv()).await else {
                return;
            };
            match response {
                Some(Ok(response)) => self.obey(response.body.unwrap()).await,
                Some(Err(_)) | None => self.stream = None,
            }
        }
        tokio::time::sleep_until(end).await;
    }

    async fn obey(&mut self, told: Told) {
        match told {
            Told::Hello(_) => panic!("a second hello"),
            Told::Directive(_) | Told::Question(_) => {}
            Told::Acknowledged(acknowledged) => {
                let epoch = acknowledged.epoch.try_into().unwrap();
                let through = acknowledged.through_sequence;
                let before = self.acknowledged.insert(epoch, through);
                assert!(
                    before.is_none_or(|before| before < through),
                    "an acknowledgement is news"
                );
                self.spool
                    .retain(|kept| kept.epoch != epoch || kept.sequence > through);
            }
            Told::Resend(resend) => {
                let epoch: [u8; 16] = resend.epoch.try_into().unwrap();
                self.resends.push((epoch, resend.expected_sequence));
                if epoch == self.epoch {
                    self.begin_epoch();
                    let new = wire::NewEpoch {
                        epoch: self.epoch.to_vec(),
                    };
                    self.stream().say(Report::NewEpoch(new)).await;
                } else {
                    let mut is_reached = false;
                    for kept in &mut self.spool {
                        is_reached |= kept.epoch == epoch && kept.sequence >= resend.expected_sequence;
                        kept.is_sent &= !is_reached;
                    }
                }
                self.ask_for_grants().await;
            }
            Told::Grant(grant) => {
                self.granted += grant.batches;
                self.send_backlog().await;
            }
        }
    }

    fn waiting(&self) -> u64 {
        let is_waiting = |kept: &&Kept| kept.epoch != self.epoch && !kept.is_sent;
        self.spool.iter().filter(is_waiting).count() as u64
    }

    async fn ask_for_grants(&mut self) {
        let batches = self.waiting();
        if batches > 0 {
            let waiting = wire::BacklogWaiting { batches };
            self.stream().say(Report::BacklogWaiting(waiting)).await;
        }
    }

    async fn send_backlog(&mut self) {
        let live = self.epoch;
        while self.granted > 0 {
            let next = self
                .spool
                .iter_mut()
                .find(|kept| kept.epoch != live && !kept.is_sent);
            let Some(kept) = next else { return };
            kept.is_sent = true;
            let kept = *kept;
            let announce = self.backlog_epoch.replace(kept.epoch) != Some(kept.epoch);
            let backlog = wire::Backlog {
                epoch: kept.epoch.to_vec(),
                body: Some(wire::backlog::Body::Batch(batch(&kept, announce))),
            };
            self.granted -= 1;
            self.stream().say(Report::Backlog(backlog)).await;
        }
        self.ask_for_grants().await;
    }
}

fn batch(kept: &Kept, announce: bool) -> wire::Batch {
    let series = series_to_wire(1, &SeriesKey::plain(MetricId::CpuBusy), 1);
    wire::Batch {
        sequence: kept.sequence,
        announced: if announce { vec![series] } else { Vec::new() },
        tick: Some(tick_to_wire(kept.at, &[(1, kept.value)])),
        ..Default::default()
    }
}
