//! All virtual machines at work: each a source of ticks, a spool and an uplink of its own, on one runtime.

mod life;
mod light;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sysmon_api::Client;
use sysmon_core::{IdentityError, UnixMillis};
use thiserror::Error;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::life::{Life, Source};
use self::light::{Line, Member};
use super::condition::Scenario;
use super::ledger::Ledger;
use super::machine::Fleet;
use super::meter::Meter;
use super::pace::Grid;
use super::replay::Recording;
use crate::clock::unix_now;
use crate::config::{INTERVAL_MS_MAX, INTERVAL_MS_MIN, ProcessDetail, SpoolConfig};
use crate::sample::Plan;
use crate::spool::SpoolError;

/// How many machines begin per millisecond: all at once, their connections would wait for each other.
const BEGIN_PER_MS: u32 = 4;

/// What is to be simulated.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// How many machines.
    pub machines: u32,
    /// Time between their ticks in milliseconds, unless an aggregator asks for another one.
    pub interval_ms: u32,
    /// Machine `i` of a seed is the same in every simulation.
    pub seed: u64,
    /// Begin of their ids.
    pub prefix: String,
    /// What happens to them.
    pub scenario: Scenario,
    /// What they play instead of made-up values.
    pub recording: Option<Arc<Recording>>,
    /// Where they keep what is not in history yet; `None` for memory.
    pub spool: Option<SpoolConfig>,
    /// They cost little and keep nothing: what an aggregator does not take at once is lost. Goes with neither of the spool
    /// and the ledger.
    pub is_light: bool,
    /// Where every tick is noted before and after it is in the spool; for tests of what gets lost.
    pub ledger: Option<PathBuf>,
}

/// Why there is no simulation.
#[derive(Debug, Error)]
pub enum SimulationError {
    /// The prefix has characters that no id has.
    #[error("no machine can be called so: {0}")]
    Prefix(#[from] IdentityError),
    /// Machines that keep nothing are to keep something.
    #[error("light machines keep nothing; leave out either them or the spool and the ledger")]
    Light,
    /// The interval is out of range.
    #[error("the interval is {0} ms; give {INTERVAL_MS_MIN} ms to {INTERVAL_MS_MAX} ms")]
    Interval(u32),
    /// There is no connection to report over.
    #[error("there is no connection to an aggregator; give at least one")]
    NoClient,
    /// Another process keeps samples in the same folder.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The ledger cannot be written.
    #[error("the ledger cannot be written: {0}; check its folder")]
    Ledger(#[from] std::io::Error),
    /// A machine broke off.
    #[error("a machine broke off; the log says where, please report it")]
    Broken,
}

impl Simulation {
    /// Machines of seed 1 that are called `sim-00000` and so on and report every second.
    #[must_use]
    pub fn new(machines: u32) -> Self {
        Self {
            machines,
            interval_ms: 1_000,
            seed: 1,
            prefix: "sim".to_owned(),
            scenario: Scenario::default(),
            recording: None,
            spool: None,
            is_light: false,
            ledger: None,
        }
    }

    /// Checks what can be checked without beginning.
    ///
    /// # Errors
    /// [`SimulationError`] with what is wrong.
    pub fn validate(&self) -> Result<(), SimulationError> {
        if !(INTERVAL_MS_MIN..=INTERVAL_MS_MAX).contains(&self.interval_ms) {
            return Err(SimulationError::Interval(self.interval_ms));
        }
        if self.is_light && (self.spool.is_some() || self.ledger.is_some()) {
            return Err(SimulationError::Light);
        }
        self.fleet(UnixMillis(0)).id(self.machines)?;
        Ok(())
    }

    /// What a machine does unless an aggregator wants something else.
    fn plan(&self) -> Plan {
        Plan {
            burst_interval_ms: 0,
            interval_ms: self.interval_ms,
            processes: ProcessDetail::Top,
        }
    }

    fn fleet(&self, start: UnixMillis) -> Fleet {
        Fleet::new(self.seed, &self.prefix, self.scenario.clone(), start)
    }
}

/// Reports all machines until `shutdown` is cancelled, over as many connections as there are clients. Aggregators that
/// cannot be reached are tried for ever. Over `watching`, if there is one, it subscribes to the fleet and tells every ten
/// seconds how long samples took to get there.
///
/// Needs a runtime with time and I/O enabled; one thread is enough for thousands of light machines. No thread blocks, unless
/// there is a spool on disk.
///
/// # Errors
/// [`SimulationError`] for what cannot be simulated, and when a machine's spool is in use.
pub async fn simulate(
    simulation: Simulation,
    clients: Vec<Client>,
    watching: Option<Client>,
    shutdown: CancellationToken,
) -> Result<(), SimulationError> {
    simulation.validate()?;
    if clients.is_empty() {
        return Err(SimulationError::NoClient);
    }
    let meter = watching.map(|client| (Meter::new(simulation.machines), client));
    let (meter, client) = meter.unzip();
    let watch = meter.clone().zip(client).map(|(meter, client)| {
        // By itself, so that it is held up by nobody.
        tokio::spawn(meter.watch(client, simulation.prefix.clone(), shutdown.clone()))
    });
    let outcome = if simulation.is_light {
        light(&simulation, clients, meter, shutdown).await
    } else {
        complete(&simulation, &clients, meter, shutdown).await
    };
    if let Some(watch) = watch {
        watch.abort();
    }
    outcome
}

/// Machines like real ones, each with an uplink and a spool of its own.
async fn complete(
    simulation: &Simulation,
    clients: &[Client],
    meter: Option<Meter>,
    shutdown: CancellationToken,
) -> Result<(), SimulationError> {
    let ledger = simulation.ledger.as_deref().map(Ledger::open).transpose()?;
    let fleet = simulation.fleet(unix_now());
    let mut machines = JoinSet::new();
    for index in 0..simulation.machines {
        let life = Life {
            fleet: fleet.clone(),
            index,
            interval_ms: simulation.interval_ms,
            recording: simulation.recording.clone(),
            spool: simulation.spool.clone(),
            ledger: ledger.clone(),
            client: clients[index as usize % clients.len()].clone(),
            meter: meter.clone(),
        };
        machines.spawn(life.run(shutdown.clone()));
        if index % BEGIN_PER_MS == 0 {
            // Those that have begun are at work meanwhile.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    while let Some(ended) = machines.join_next().await {
        // The first one that fails ends all others, when the set is dropped.
        ended.map_err(|_| SimulationError::Broken)??;
    }
    Ok(())
}

/// Machines that keep nothing.
async fn light(
    simulation: &Simulation,
    clients: Vec<Client>,
    meter: Option<Meter>,
    shutdown: CancellationToken,
) -> Result<(), SimulationError> {
    let now = unix_now();
    let fleet = simulation.fleet(now);
    let mut members = Vec::with_capacity(simulation.machines as usize);
    for index in 0..simulation.machines {
        let machine = fleet.machine(index, now)?;
        let (id, absences) = (machine.id().clone(), machine.absences().concat());
        let source = Source::new(machine, simulation.recording.as_ref(), index);
        let line = Line::new(id, source.host().clone(), simulation.plan(), absences);
        members.push(Member::new(index, source, Grid::of_machine(index), line));
    }
    let lines = members.iter().map(|member| Arc::clone(&member.line)).collect();
    let streams = light::streams(lines, clients, BEGIN_PER_MS as usize, shutdown.clone());
    tokio::join!(light::run(members, meter, shutdown), streams);
    Ok(())
}

#[cfg(test)]
mod tests;
