//! The life of one virtual machine: on and off, and cut off from the aggregator in between.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use sysmon_api::{ApiError, Client, Inbound, wire};
use sysmon_core::{HostInfo, MachineId, UnixMillis};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::SimulationError;
use crate::clock::unix_now;
use crate::config::{ProcessDetail, SpoolConfig};
use crate::sample::{Plan, Sample};
use crate::simulation::ledger::Ledger;
use crate::simulation::machine::{Fleet, Machine};
use crate::simulation::meter::Meter;
use crate::simulation::noise::Key;
use crate::simulation::pace::{self, Grid};
use crate::simulation::replay::{Player, Recording};
use crate::slow::Board;
use crate::spool::{Keeper, Spool};
use crate::ticker::Wish;
use crate::uplink::{Connect, Ended, Identity, Uplink};

/// How many messages from the aggregator wait for a machine that is going to be cut off.
const FORWARDED: usize = 16;

/// What one machine needs to live.
pub(super) struct Life {
    pub(super) fleet: Fleet,
    pub(super) index: u32,
    pub(super) interval_ms: u32,
    pub(super) recording: Option<Arc<Recording>>,
    pub(super) spool: Option<SpoolConfig>,
    pub(super) ledger: Option<Ledger>,
    pub(super) client: Client,
    pub(super) meter: Option<Meter>,
}

/// Where a machine's samples come from.
pub(super) enum Source {
    MadeUp(Box<Machine>),
    Recorded(Box<Player>),
}

impl Source {
    /// What a machine reports: what was recorded, or its own.
    pub(super) fn new(machine: Machine, recording: Option<&Arc<Recording>>, index: u32) -> Self {
        match recording {
            Some(recording) => {
                let key = Key::of_machine(u64::from(index), index);
                let player = Player::new(Arc::clone(recording), key, index, machine.id());
                Self::Recorded(Box::new(player))
            }
            None => Self::MadeUp(Box::new(machine)),
        }
    }

    pub(super) fn host(&self) -> &HostInfo {
        match self {
            Self::MadeUp(machine) => machine.host(),
            Self::Recorded(player) => player.host(),
        }
    }

    pub(super) fn sample(&mut self, at: UnixMillis, plan: Plan) -> Sample {
        match self {
            Self::MadeUp(machine) => machine.sample(at, plan),
            Self::Recorded(player) => player.sample(at),
        }
    }
}

impl Life {
    /// Lives until told to end.
    pub(super) async fn run(self, shutdown: CancellationToken) -> Result<(), SimulationError> {
        loop {
            let now = unix_now();
            let machine = self.fleet.machine(self.index, now)?;
            let id = machine.id().clone();
            let [off, cuts] = machine.absences();
            if let Some(spell) = off.iter().find(|spell| spell.contains(&now.0)) {
                if nap(now.0, spell.end, &shutdown).await {
                    return Ok(());
                }
                continue;
            }
            let source = Source::new(machine, self.recording.as_ref(), self.index);
            let power = shutdown.child_token();
            let next_off = off.iter().map(|spell| spell.start).find(|start| *start > now.0);
            let until_off = nap(now.0, next_off.unwrap_or(i64::MAX), &shutdown);
            let reporting = self.report(source, id, cuts, power.clone());
            let mut reporting = std::pin::pin!(reporting);
            tokio::select! {
                ended = &mut reporting => ended?,
                _ = until_off => {
                    power.cancel();
                    reporting.await?;
                }
            }
            if shutdown.is_cancelled() {
                return Ok(());
            }
        }
    }

    /// Is a collector until the power is off.
    async fn report(
        &self,
        mut source: Source,
        id: MachineId,
        cuts: Vec<Range<i64>>,
        power: CancellationToken,
    ) -> Result<(), SimulationError> {
        let plan = Plan {
            interval_ms: self.interval_ms,
            burst_interval_ms: 0,
            processes: ProcessDetail::Top,
        };
        let spool = self.open_spool(&id).await?;
        let board = Arc::<Board>::default();
        let mut keeper = Keeper::new(spool, Arc::clone(&board));
        if let Some(ledger) = &self.ledger {
            keeper.set_witness(ledger.witness(&id));
        }
        let (wish_sender, wish) = watch::channel(Wish { plan, streams: 0 });
        let (sample_sender, samples) = mpsc::channel(1);
        let identity = Identity {
            machine_id: id,
            instance: rand::random(),
            plan,
            // Made up in whole ticks.
            burst_interval_ms_min: 0,
        };
        let connect = Cuttable {
            client: self.client.clone(),
            cuts,
        };
        let host = source.host().clone();
        let uplink = Uplink::new(
            connect,
            identity,
            host,
            (samples, wish_sender),
            keeper,
            board,
            power,
        );
        let grid = Grid::of_machine(self.index);
        let (meter, index) = (self.meter.clone(), self.index);
        let sample = move |at, plan| {
            if let Some(meter) = &meter {
                meter.made(index, at);
            }
            source.sample(at, plan)
        };
        let ticking = pace::run(sample, grid, wish, sample_sender);
        // Ticks end when the uplink takes no more.
        let (ended, ()) = tokio::join!(uplink.run(), ticking);
        match ended {
            Ended::Shutdown => Ok(()),
            _ => Err(SimulationError::Broken),
        }
    }

    async fn open_spool(&self, id: &MachineId) -> Result<Spool, SimulationError> {
        let Some(settings) = self.spool.clone() else {
            return Ok(Spool::in_memory());
        };
        let id = id.clone();
        let opening = tokio::task::spawn_blocking(move || Spool::open(Some(&settings), &id));
        let spool = opening.await.map_err(|_| SimulationError::Broken)?;
        Ok(spool?)
    }
}

/// Waits for a moment on the wall clock; whether it ended before because of the shutdown.
async fn nap(now_ms: i64, until_ms: i64, shutdown: &CancellationToken) -> bool {
    /// Timers have an end.
    const LONGEST_MS: u64 = 365 * 86_400_000;
    let length = UnixMillis(until_ms).since_ms(UnixMillis(now_ms)).min(LONGEST_MS);
    tokio::select! {
        () = sleep(Duration::from_millis(length)) => false,
        () = shutdown.cancelled() => true,
    }
}

/// A connection that is not there at times.
struct Cuttable {
    client: Client,
    /// Unix milliseconds, ascending.
    cuts: Vec<Range<i64>>,
}

impl Connect for Cuttable {
    async fn push(
        &self,
        outgoing: mpsc::Receiver<wire::PushRequest>,
    ) -> Result<Inbound<wire::PushResponse>, ApiError> {
        let now_ms = unix_now().0;
        if self.cuts.iter().any(|cut| cut.contains(&now_ms)) {
            return Err(ApiError::unavailable("the scenario has cut this machine off"));
        }
        let inbound = self.client.push(outgoing).await?;
        let next_cut = self
            .cuts
            .iter()
            .map(|cut| cut.start)
            .find(|start| *start > now_ms);
        Ok(match next_cut {
            Some(cut_ms) => until(inbound, UnixMillis(cut_ms).since_ms(UnixMillis(now_ms))),
            None => inbound,
        })
    }
}

/// The same stream, which ends after so long.
fn until(mut inbound: Inbound<wire::PushResponse>, length_ms: u64) -> Inbound<wire::PushResponse> {
    let (sender, receiver) = mpsc::channel(FORWARDED);
    tokio::spawn(async move {
        let forwarding = async {
            while let Ok(Some(response)) = inbound.next().await {
                if sender.send(response).await.is_err() {
                    return;
                }
            }
        };
        // Either way the stream is over, and both sides learn it when its ends are dropped.
        let _ = timeout(Duration::from_millis(length_ms), forwarding).await;
    });
    Inbound::from_receiver(receiver)
}
