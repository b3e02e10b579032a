//! What `sysmon` does, command by command.

mod config;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::command_line::{Flags, ServerCommand, ServerCommandLine};
use crate::exit::Failure;
use crate::paths::Paths;
use crate::settings::{ConfigError, Settings, Sources};

/// Carries out a command.
///
/// # Errors
/// What is wrong with the configuration, or what failed.
pub fn run(command_line: ServerCommandLine) -> Result<ExitCode, Failure> {
    let paths = Paths::of_user();
    let load = || load(&paths, command_line.config.as_ref(), command_line.command.flags());
    match &command_line.command {
        ServerCommand::Config { command } => config::run(command, load()),
        _ => Err(Failure::runtime(eyre::eyre!("not wired yet"))),
    }
}

/// Reads the settings from everywhere.
///
/// # Errors
/// Everything that is wrong with them.
pub fn load(paths: &Paths, file: Option<&PathBuf>, flags: Flags) -> Result<Settings, ConfigError> {
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
