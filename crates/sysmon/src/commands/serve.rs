//! The commands that run until they are told to stop.

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Arc;

use sysmon_api::{Client, ClientConfig, Endpoint, InProcess};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime, Runtime};

use crate::exit::Failure;
use crate::lifecycle::{Running, Signals};
use crate::paths::Paths;
use crate::roles::{self, AggregatorRole, CollectorRole};
use crate::settings::{Loaded, Settings, table};
use crate::storage::Storage;
use crate::telemetry;

/// More threads than this only take turns at the one owner of the state.
const WORKERS_MAX: usize = 4;

pub(super) fn collector(loaded: Loaded, paths: &Paths) -> Result<ExitCode, Failure> {
    let (settings, (collector, client)) = loaded.with(|settings| CollectorRole::remote(settings, paths))?;
    let runtime = collecting()?;
    telemetry::start_for_server(&settings).map_err(Failure::runtime)?;
    let outcome = runtime.block_on(until_signal(async |running| {
        let work = collector.run_alone(client, running.shutdown.clone());
        running.spawn("the collector", work);
        Ok(())
    }));
    // Whatever still blocks a thread, such as a probe that hangs, does not hold up the end.
    runtime.shutdown_background();
    outcome
}

pub(super) fn aggregator(loaded: Loaded, paths: &Paths) -> Result<ExitCode, Failure> {
    let (settings, (role, storage)) = loaded.with(|settings| {
        roles::both(
            AggregatorRole::from_settings(settings, paths),
            Storage::from_settings(settings, paths),
        )
    })?;
    run(&settings, multi_threaded()?, async |running| {
        serve(running, role, &storage).await?;
        Ok(())
    })
}

pub(super) fn up(loaded: Loaded, paths: &Paths) -> Result<ExitCode, Failure> {
    let (settings, ((role, storage), collector)) = loaded.with(|settings| {
        let server = roles::both(
            AggregatorRole::from_settings(settings, paths),
            Storage::from_settings(settings, paths),
        );
        roles::both(server, CollectorRole::local(settings, &table::COLLECTOR_INTERVAL))
    })?;
    run(&settings, multi_threaded()?, async |running| {
        let in_process = serve(running, role, &storage).await?;
        let client = Client::new(ClientConfig::new(Endpoint::in_process(in_process)));
        let client = client.map_err(Failure::runtime)?;
        running.spawn("the collector", collector.run(client, running.shutdown.clone()));
        Ok(())
    })
}

/// Starts the server, and what is behind it; returns the way to it that stays in the process.
async fn serve(running: &mut Running, role: AggregatorRole, storage: &Storage) -> Result<InProcess, Failure> {
    // Only what somebody has to change keeps it from starting: a database that is down is waited for while it serves.
    let stores = storage.open(&running.shutdown).await.map_err(Failure::usage)?;
    let (aggregator, owner) =
        roles::aggregator(stores, running.shutdown.clone()).map_err(Failure::runtime)?;
    let mut server = role.bind(Arc::new(aggregator)).await?;
    let in_process = server.in_process();
    running.spawn("the aggregator", ending(owner));
    running.spawn("the server", server.serve(running.shutdown.clone()));
    Ok(in_process)
}

/// Starts the log, then the roles, then waits for the end.
pub(super) fn run(
    settings: &Settings,
    runtime: Runtime,
    start: impl AsyncFnOnce(&mut Running) -> Result<(), Failure>,
) -> Result<ExitCode, Failure> {
    telemetry::start_for_server(settings).map_err(Failure::runtime)?;
    let outcome = runtime.block_on(until_signal(start));
    // Whatever still blocks a thread, such as a probe that hangs, does not hold up the end.
    runtime.shutdown_background();
    outcome
}

/// Starts the roles and waits for the end.
async fn until_signal(
    start: impl AsyncFnOnce(&mut Running) -> Result<(), Failure>,
) -> Result<ExitCode, Failure> {
    // Before anything starts, so that a signal never finds a role that is half up.
    let signals = Signals::of_server().map_err(Failure::runtime)?;
    let mut running = Running::default();
    start(&mut running).await?;
    running.until_signal(signals).await
}

/// Work that ends without a result.
async fn ending(work: impl Future<Output = ()>) -> Result<(), eyre::Report> {
    work.await;
    Ok(())
}

/// One thread, like that of [`super::single_threaded`]. But this type can have no other, so that the program of the collector
/// has no scheduler for several in it, nor the mathematical library that only that one asks for.
fn collecting() -> Result<LocalRuntime, Failure> {
    Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .map_err(Failure::runtime)
}

/// For programs that serve many: as many threads as there are processors, at most four.
fn multi_threaded() -> Result<Runtime, Failure> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    Builder::new_multi_thread()
        .worker_threads(processors.min(WORKERS_MAX))
        .enable_all()
        .build()
        .map_err(Failure::runtime)
}
