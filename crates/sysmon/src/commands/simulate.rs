//! `sysmon simulate`.

mod scenario;

use std::process::ExitCode;
use std::sync::Arc;

use eyre::{Report, WrapErr as _, eyre};
use sysmon_collector::SpoolConfig;
use sysmon_collector::simulation::{Recording, Scenario, Simulation, simulate};

use super::{serve, single_threaded};
use crate::command_line::SimulateArguments;
use crate::exit::Failure;
use crate::roles;
use crate::settings::Loaded;

/// How many machines share a connection unless something else is asked for.
const MACHINES_PER_CONNECTION: u32 = 100;

/// Reports as many machines until told to stop.
pub(super) fn run(arguments: &SimulateArguments, loaded: Loaded) -> Result<ExitCode, Failure> {
    let connections = arguments
        .connections
        .unwrap_or_else(|| arguments.machines.div_ceil(MACHINES_PER_CONNECTION));
    let connections = connections.min(arguments.machines);
    // Whoever watches has a connection of its own.
    let count = connections + u32::from(arguments.latency);
    let (settings, mut clients) = loaded.with(|settings| roles::of_simulation(settings, count))?;
    let watching = clients.split_off(connections as usize).pop();
    let simulation = simulation(arguments).map_err(Failure::usage)?;
    serve::run(&settings, single_threaded()?, async |running| {
        let work = simulate(simulation, clients, watching, running.shutdown.clone());
        running.spawn("the simulation", work);
        Ok(())
    })
}

/// What is asked for, with its files read.
fn simulation(arguments: &SimulateArguments) -> Result<Simulation, Report> {
    let mut simulation = Simulation::new(arguments.machines);
    simulation.interval_ms = u32::try_from(arguments.interval.as_millis()).unwrap_or(u32::MAX);
    simulation.seed = arguments.seed;
    simulation.is_light = arguments.light;
    simulation.prefix.clone_from(&arguments.prefix);
    simulation.ledger.clone_from(&arguments.ledger);
    simulation.spool = arguments.spool_dir.as_ref().map(SpoolConfig::new);
    if let Some(path) = &arguments.scenario {
        simulation.scenario = scenario(path)?;
    }
    if let Some(path) = &arguments.replay {
        let recording = Recording::open(path);
        let recording = recording.wrap_err_with(|| format!("cannot play {}", path.display()))?;
        simulation.recording = Some(Arc::new(recording));
    }
    simulation.validate()?;
    Ok(simulation)
}

fn scenario(path: &std::path::Path) -> Result<Scenario, Report> {
    let name = path.display();
    let text = std::fs::read_to_string(path);
    let text = text.wrap_err_with(|| format!("cannot read the scenario {name}"))?;
    scenario::parse(&text)
        .map_err(|problems| eyre!("the scenario {name} is not valid:\n  {}", problems.join("\n  ")))
}
