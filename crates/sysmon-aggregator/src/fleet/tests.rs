//! The state machine as a whole, with a clock of the test's own.

mod alike;
mod bounds;
mod bursts;
mod collectors;
mod filters;
mod followed;
mod subscriptions;
mod windows;

use std::sync::Arc;

use sysmon_api::{Replica, wire};
use sysmon_core::{Epoch, HostInfo, MachineId, MetricId, SeriesKey, UnixMillis};

use super::{Batch, ClientId, Fleet, Hello, Moment, StreamId};
use crate::config::Config;
use crate::counters::{Counters, Figures};

const START: UnixMillis = UnixMillis(1_700_000_000_000);

/// A fleet, its clock, and short ways to do things to it.
struct Lab {
    fleet: Fleet,
    counters: Arc<Counters>,
    now: Moment,
}

impl Lab {
    fn new(config: Config) -> Self {
        let counters = Arc::new(Counters::default());
        Self {
            fleet: Fleet::new(config, Arc::clone(&counters)),
            counters,
            now: Moment {
                monotonic_ms: 0,
                unix: START,
            },
        }
    }

    fn figures(&self) -> Figures {
        self.counters.read()
    }

    fn wait(&mut self, ms: u64) {
        self.now = Moment {
            monotonic_ms: self.now.monotonic_ms + ms,
            unix: self.now.unix.plus_ms(ms as i64),
        };
        self.fleet.sweep(self.now);
    }

    fn open(&mut self, id: &str, instance: u8) -> Result<super::Opened, sysmon_api::ApiError> {
        self.fleet.open_stream(hello(id, instance, 1_000), self.now)
    }

    /// A machine with a stream, which has announced `cpu.busy_percent` as 1 and `mount.used_percent` of `/` as 2.
    fn join(&mut self, id: &str) -> StreamId {
        let stream = self.open(id, 1).unwrap().stream;
        let batch = Batch {
            announced: vec![
                (1, SeriesKey::plain(MetricId::CpuBusy), 1),
                (2, SeriesKey::of(MetricId::MountUsedPercent, "/"), 1),
            ],
            ..Batch::default()
        };
        self.fleet.batch(stream, batch, self.now);
        stream
    }

    fn tick(&mut self, stream: StreamId, values: &[(u32, i64)]) {
        let batch = Batch {
            tick: Some((self.now.unix, values.to_vec())),
            ..Batch::default()
        };
        self.fleet.batch(stream, batch, self.now);
    }

    fn flush(&mut self) -> Vec<(ClientId, wire::Update)> {
        let mut updates = Vec::new();
        self.fleet.flush(self.now, |client, update| {
            updates.push((client, update.decode().unwrap()));
            true
        });
        updates
    }
}

fn hello(id: &str, instance: u8, interval_ms: u32) -> Hello {
    Hello {
        machine: MachineId::parse(id).unwrap(),
        instance: [instance; 16],
        epoch: Epoch([instance; 16]),
        host: host(id, &[]),
        interval_ms,
        answers_questions: false,
    }
}

fn host(id: &str, labels: &[(&str, &str)]) -> HostInfo {
    HostInfo {
        hostname: format!("{id}.example"),
        labels: labels
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
        ..HostInfo::default()
    }
}

/// A client with one subscription, its copy of what it was told, and what it has not acknowledged.
struct Follower {
    client: ClientId,
    subscribe: wire::Subscribe,
    replica: Replica,
    unacknowledged: Vec<u64>,
}

impl Follower {
    fn new(lab: &mut Lab, subscribe: wire::Subscribe) -> Self {
        let client = lab.fleet.open_client().unwrap();
        let follower = Self {
            client,
            subscribe: wire::Subscribe {
                subscription: 1,
                ..subscribe
            },
            replica: Replica::default(),
            unacknowledged: Vec::new(),
        };
        lab.fleet.subscribe(client, &follower.subscribe).unwrap();
        follower
    }

    /// Takes over what was flushed for it; returns the updates.
    fn take(&mut self, flushed: Vec<(ClientId, wire::Update)>) -> Vec<wire::Update> {
        let mut taken = Vec::new();
        for (client, update) in flushed {
            if client == self.client {
                self.replica.apply(&update).unwrap();
                self.unacknowledged.push(update.number);
                taken.push(update);
            }
        }
        taken
    }

    /// Acknowledges everything so far.
    fn acknowledge(&mut self, lab: &mut Lab) {
        for number in self.unacknowledged.drain(..) {
            lab.fleet.received(
                self.client,
                wire::UpdateReceived {
                    subscription: 1,
                    number,
                },
            );
        }
    }

    /// Receives and acknowledges until nothing comes any more; returns all updates.
    fn drain(&mut self, lab: &mut Lab) -> Vec<wire::Update> {
        let mut all = Vec::new();
        loop {
            // Past the shortest pause between updates.
            lab.wait(2);
            self.acknowledge(lab);
            let flushed = lab.flush();
            let taken = self.take(flushed);
            if taken.is_empty() {
                return all;
            }
            all.extend(taken);
        }
    }
}

/// Lets all followers receive and acknowledge until nothing comes any more: what one is sent is not lost while another
/// reads.
fn drain_all(lab: &mut Lab, followers: &mut [&mut Follower]) {
    loop {
        lab.wait(2);
        for follower in followers.iter_mut() {
            follower.acknowledge(lab);
        }
        let flushed = lab.flush();
        if flushed.is_empty() {
            return;
        }
        for follower in followers.iter_mut() {
            follower.take(flushed.clone());
        }
    }
}

/// Everything, with all of the past.
fn everything() -> wire::Subscribe {
    wire::Subscribe {
        history_ms: 300_000,
        processes: wire::ProcessDetail::All.into(),
        ..wire::Subscribe::default()
    }
}
