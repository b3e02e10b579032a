//! Shares the fleet with other aggregators, through a hot state and a bus that all of them use.
//!
//! Two tasks beside the owner of the state, so that neither the live view nor a stream ever waits for Redis:
//! - the [`publisher`] takes what happened to our machines from a bounded queue, puts it into hot state and then on the bus;
//! - the [`listener`] takes what others say from the bus, puts it in order, loads from hot state what was missed, and hands
//!   it to the owner.
//!
//! A machine's stream has a generation; the highest in the whole group counts. The batches of a stream are numbered, so
//! that a gap shows. Every aggregator thereby applies the same batches in the same order, and shows the same.
//!
//! Every queue, and what happens when it is full:
//! - owner to publisher, [`queue::EVENTS_MAX`] events: the oldest go, and their machines are told anew as a whole;
//! - bus to listener: the newest go, the bus says so, and everything is loaded anew;
//! - listener to owner, [`REMOTE_MESSAGES`]: the listener waits.

mod guard;
mod listener;
mod publisher;
mod queue;
mod tracker;

use std::sync::Arc;

use sysmon_api::wire;
use sysmon_core::MachineId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::counters::Counters;
use crate::durable::StatusBoard;
use crate::fleet::{Batch, RemoteHead, RemoteStream, RemoteTick};
use crate::stores::Stores;
use guard::Guard;
use listener::Listener;
use publisher::Publisher;

pub(crate) use queue::{Event, Outbox};

/// Messages of the listener that wait for the owner.
const REMOTE_MESSAGES: usize = 1_024;
/// Channels of the bus; a machine's events are all on one of them.
const SHARDS: u32 = 16;

/// What comes to the owner from other aggregators.
#[derive(Debug)]
pub(crate) enum RemoteMessage {
    /// How a machine is, with ticks that were missed.
    Head {
        head: Box<RemoteHead>,
        ticks: Vec<RemoteTick>,
    },
    /// A machine has measured something.
    Batch { stream: RemoteStream, batch: Box<Batch> },
    /// A machine is alive.
    Alive { stream: RemoteStream },
    /// A machine's stream has ended.
    Closed { stream: RemoteStream },
    /// What the clients of another aggregator want of a machine.
    Wish {
        machine: MachineId,
        aggregator: Arc<str>,
        wish: wire::Wish,
    },
    /// The head of a machine of ours, or of all, is to be said again.
    HeadsWanted(Option<MachineId>),
    /// Everything that was in hot state at the start has come, or cannot come now.
    Warm,
}

/// The owner's ends of the queues.
#[derive(Debug)]
pub(crate) struct Sharing {
    pub(crate) outbox: Outbox,
    pub(crate) remote: mpsc::Receiver<RemoteMessage>,
    /// Tells this aggregator's streams from those of others.
    pub(crate) salt: u64,
}

/// What has to run for a [`Sharing`] to work.
pub(crate) struct Work {
    publisher: Publisher,
    listener: Listener,
}

impl Sharing {
    /// Shares through the given stores; `None` when there is neither a hot state nor a bus.
    pub(crate) fn new(
        stores: &Stores,
        status: &StatusBoard,
        counters: &Arc<Counters>,
        shutdown: CancellationToken,
    ) -> Option<(Self, Work)> {
        if stores.hot.is_none() && stores.bus.is_none() {
            return None;
        }
        let random: u128 = rand::random();
        let aggregator_id: Arc<str> = format!("{random:032x}").into();
        let (outbox, outlet) = queue::queue(Arc::clone(counters));
        let (sender, remote) = mpsc::channel(REMOTE_MESSAGES);
        let hot = stores.hot.clone().map(|hot| {
            let guard = Guard::new(status.clone(), wire::StorageRole::HotState, hot.info());
            (hot, guard)
        });
        let bus = stores.bus.clone().map(|bus| {
            let guard = Guard::new(status.clone(), wire::StorageRole::EventBus, bus.info());
            (bus, guard)
        });
        let work = Work {
            publisher: Publisher::new(
                Arc::clone(&aggregator_id),
                hot,
                bus,
                outlet,
                sender.clone(),
                shutdown.clone(),
            ),
            listener: Listener::new(
                aggregator_id,
                stores.clone(),
                outbox.clone(),
                sender,
                Arc::clone(counters),
                shutdown,
            ),
        };
        let sharing = Self {
            outbox,
            remote,
            salt: (random % u128::from(u64::MAX)) as u64,
        };
        Some((sharing, work))
    }
}

impl Work {
    /// Starts what there is to do, as tasks that end with the returned set.
    pub(crate) fn spawn(self) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(self.publisher.run());
        tasks.spawn(self.listener.run());
        tasks
    }
}

/// The channel of a machine. Every aggregator has to choose the same.
fn channel_of(machine: &str) -> u32 {
    // FNV-1a.
    let hash = machine.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash % SHARDS
}

fn channel_name(shard: u32) -> String {
    format!("fleet.{shard}")
}
