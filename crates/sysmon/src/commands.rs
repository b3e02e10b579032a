//! What `sysmon` does, command by command.

mod config;
mod health;
mod history;
mod rules;
mod serve;
mod simulate;
mod slim;
mod tokens;

use std::path::PathBuf;
use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};

use crate::command_line::{CollectorCommandLine, Flags, ServerCommand, ServerCommandLine};
use crate::exit::Failure;
use crate::paths::Paths;
use crate::settings::{Loaded, Settings, Sources};

/// `sysmon-collector`: measures and reports until it is told to stop.
///
/// # Errors
/// What is wrong with the configuration, or what failed.
pub fn collect(command_line: &CollectorCommandLine) -> Result<ExitCode, Failure> {
    let paths = Paths::of_user();
    let loaded = load(&paths, command_line.config.as_ref(), command_line.flags());
    serve::collector(loaded, &paths)
}

/// Carries out a command.
///
/// # Errors
/// What is wrong with the configuration, or what failed.
pub fn run(command_line: ServerCommandLine) -> Result<ExitCode, Failure> {
    let paths = Paths::of_user();
    let load = || load(&paths, command_line.config.as_ref(), command_line.command.flags());
    match &command_line.command {
        ServerCommand::Config { command } => config::run(command, load(), &paths),
        ServerCommand::Tokens { command } => tokens::run(command, &load().finish()?, &paths),
        ServerCommand::Health(arguments) => single_threaded()?.block_on(health::run(arguments)),
        ServerCommand::Query(arguments) => history::query(arguments, load(), &paths),
        ServerCommand::DeadLetters { command } => history::dead_letters(command, load(), &paths),
        ServerCommand::Rules { command } => rules::run(command, load(), &paths),
        ServerCommand::Machines { command } => history::machines(command, load(), &paths),
        ServerCommand::Collector(_) => {
            slim::hand_over();
            serve::collector(load(), &paths)
        }
        ServerCommand::Aggregator(_) => serve::aggregator(load(), &paths),
        ServerCommand::Alerts(_) => serve::alerts(load(), &paths),
        ServerCommand::Simulate(arguments) => simulate::run(arguments, load()),
        ServerCommand::Up(_) => serve::up(load(), &paths),
    }
}

/// Reads the settings from everywhere.
pub fn load(paths: &Paths, file: Option<&PathBuf>, flags: Flags) -> Loaded {
    Settings::load(&Sources {
        files: paths.config_files(file),
        variables: variables(),
        flags: flags.into_values(),
    })
}

/// The environment; what is no text cannot be a setting of ours.
fn variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .collect()
}

/// For programs that do little at a time: one thread is the cheapest.
pub(crate) fn single_threaded() -> Result<Runtime, Failure> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::runtime)
}

/// For roles beside a terminal: a write to a slow terminal blocks the main thread, and must not stop the collector.
pub(crate) fn beside_the_terminal() -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(Failure::runtime)
}
