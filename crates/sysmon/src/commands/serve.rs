//! The commands that run until they are told to stop.

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Arc;

use sysmon_aggregator::Stores;
use sysmon_api::{Access, Client, ClientConfig, Endpoint, InProcess, Server};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime, Runtime};

use crate::exit::Failure;
use crate::lifecycle::{Running, Signals};
use crate::paths::Paths;
use crate::roles::{self, AggregatorRole, AlertsRole, CollectorRole};
use crate::settings::{Loaded, Origin, Problem, Settings, table};
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

pub(super) fn alerts(loaded: Loaded, paths: &Paths) -> Result<ExitCode, Failure> {
    let (settings, (role, storage)) = loaded.with(|settings| {
        roles::both(
            AlertsRole::from_settings(settings),
            Storage::from_settings(settings, paths).and_then(shared),
        )
    })?;
    run(&settings, multi_threaded()?, async |running| {
        let stores = storage.open(&running.shutdown).await.map_err(Failure::usage)?;
        // It has the fleet in memory as aggregators do, fed by the bus, and nobody reports to it.
        let (aggregator, owner) =
            roles::aggregator(stores.clone(), running.shutdown.clone()).map_err(Failure::runtime)?;
        let mut server = Server::new(Arc::new(aggregator), Access::local_only().into());
        let in_process = server.in_process();
        let socket = roles::alerts_socket();
        if cfg!(unix)
            && let Err(error) = server.bind_unix(&socket)
        {
            tracing::warn!(path = %socket.display(), "`sysmon health alerts` will not know of this service: {error}");
        }
        running.spawn("the follower of the fleet", ending(owner));
        running.spawn("the server", server.serve(running.shutdown.clone()));
        evaluate(running, role, stores, in_process)
    })
}

/// The fleet is on the bus only where aggregators share one.
fn shared(storage: Storage) -> Result<Storage, Vec<Problem>> {
    if storage.is_shared() {
        return Ok(storage);
    }
    Err(vec![Problem::new(
        Origin::Section("storage"),
        "an alert service of its own follows the fleet through the Redis of the aggregators; give --redis, or use \
         `sysmon up`, which evaluates alerts itself",
    )])
}

pub(super) fn up(loaded: Loaded, paths: &Paths) -> Result<ExitCode, Failure> {
    let (settings, ((role, storage), (alerts, collector))) = loaded.with(|settings| {
        let server = roles::both(
            AggregatorRole::from_settings(settings, paths),
            Storage::from_settings(settings, paths),
        );
        let others = roles::both(
            AlertsRole::from_settings(settings),
            CollectorRole::local(settings, &table::COLLECTOR_INTERVAL),
        );
        roles::both(server, others)
    })?;
    run(&settings, multi_threaded()?, async |running| {
        let (in_process, stores) = serve(running, role, &storage).await?;
        let client = Client::new(ClientConfig::new(Endpoint::in_process(in_process.clone())));
        let client = client.map_err(Failure::runtime)?;
        running.spawn("the collector", collector.run(client, running.shutdown.clone()));
        evaluate(running, alerts, stores, in_process)
    })
}

/// Starts the alert service beside what it follows the fleet through.
fn evaluate(
    running: &mut Running,
    role: AlertsRole,
    stores: Stores,
    fleet: InProcess,
) -> Result<(), Failure> {
    let client = Client::new(ClientConfig::new(Endpoint::in_process(fleet))).map_err(Failure::runtime)?;
    let work = role.run(stores, client, running.shutdown.clone());
    running.spawn("the alert service", work);
    Ok(())
}

/// Starts the server, and what is behind it; returns the way to it that stays in the process, and its stores.
async fn serve(
    running: &mut Running,
    role: AggregatorRole,
    storage: &Storage,
) -> Result<(InProcess, Stores), Failure> {
    // Only what somebody has to change keeps it from starting: a database that is down is waited for while it serves.
    let stores = storage.open(&running.shutdown).await.map_err(Failure::usage)?;
    let (aggregator, owner) =
        roles::aggregator(stores.clone(), running.shutdown.clone()).map_err(Failure::runtime)?;
    let mut server = role.bind(Arc::new(aggregator)).await?;
    let in_process = server.in_process();
    running.spawn("the aggregator", ending(owner));
    running.spawn("the server", server.serve(running.shutdown.clone()));
    Ok((in_process, stores))
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
