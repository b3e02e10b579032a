//! Everything together: sampler, slow probes and uplink, until the end.

use std::sync::Arc;

use sysmon_api::Client;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Sampler;
use crate::config::{Config, InvalidConfig};
use crate::own_thread::OwnThread;
use crate::questions::Questions;
use crate::sample::Plan;
use crate::spool::{Keeper, Spool, SpoolError};
use crate::ticker::{self, Wish};
use crate::uplink::{Ended, Identity, Uplink};

/// Why a collector ended before it was told to.
#[derive(Debug, Error)]
pub enum CollectorError {
    /// The settings cannot be.
    #[error("the configuration is not valid: {0}")]
    Config(#[from] InvalidConfig),
    /// The sampler broke off.
    #[error("the sampler broke off; the log says where, please report it")]
    Sampler,
    /// The spool broke off.
    #[error("the spool broke off; the log says where, please report it")]
    SpoolBroken,
    /// The system gives no thread to read the machine on.
    #[error(
        "there is no thread for the sampler: {0}; raise the limit of threads (ulimit -u, or TasksMax of the unit)"
    )]
    Thread(std::io::Error),
    /// Another collector uses the spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// Reports this machine until `shutdown` is cancelled; then what waits is sent within a second, and what is not
/// acknowledged by then stays in the spool. An aggregator that cannot be reached is tried for ever.
///
/// Needs a runtime with time and I/O enabled. A probe that hangs at the end stays behind on its own thread.
///
/// # Errors
/// [`CollectorError`] for settings that are not valid and for a spool that another collector uses, before anything is
/// started.
pub async fn run(config: Config, client: Client, shutdown: CancellationToken) -> Result<(), CollectorError> {
    config.validate()?;
    let plan = Plan {
        interval_ms: config.interval_ms,
        burst_interval_ms: 0,
        processes: config.process_detail,
    };
    let identity = Identity {
        machine_id: config.machine_id.clone(),
        instance: rand::random(),
        plan,
        burst_interval_ms_min: config.burst_interval_ms_min,
    };
    let spool = open_spool(&config).await?;
    let sampler = Sampler::new(&config);
    let (host, board) = (sampler.host().clone(), sampler.board());
    let (wish_sender, wish) = watch::channel(Wish { plan, streams: 0 });
    let (interval_sender, interval_ms) = watch::channel(plan.interval_ms);
    // One sample may wait: the uplink takes them as they come, and keeps its own bounded queue.
    let (sample_sender, samples) = mpsc::channel(1);
    // All of them end when the set is dropped.
    let mut tasks = JoinSet::new();
    crate::slow::spawn(&mut tasks, &config, &board, &interval_ms);
    if config.spool.is_some() {
        let sampler = OwnThread::start(sampler).map_err(CollectorError::Thread)?;
        tasks.spawn(ticker::run(sampler, wish, interval_sender, sample_sender));
    } else {
        // Nothing else asks for threads that may block, so that there is only one anyway.
        tasks.spawn(ticker::run(sampler, wish, interval_sender, sample_sender));
    }
    let keeper = Keeper::new(spool, Arc::clone(&board));
    let uplink = Uplink::new(
        client,
        identity,
        host,
        (samples, wish_sender),
        keeper,
        board,
        shutdown,
    )
    .answering(Questions::new(&config));
    match uplink.run().await {
        Ended::Shutdown => Ok(()),
        Ended::NoSamples => Err(CollectorError::Sampler),
        Ended::NoSpool => Err(CollectorError::SpoolBroken),
    }
}

/// Reading what earlier processes left may take seconds.
async fn open_spool(config: &Config) -> Result<Spool, CollectorError> {
    let (settings, machine_id) = (config.spool.clone(), config.machine_id.clone());
    let opening = tokio::task::spawn_blocking(move || Spool::open(settings.as_ref(), &machine_id));
    match opening.await {
        Ok(opened) => Ok(opened?),
        Err(_) => Err(CollectorError::SpoolBroken),
    }
}
