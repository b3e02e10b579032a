//! `sysmon config`.

use std::process::ExitCode;

use crate::command_line::ConfigCommand;
use crate::exit::Failure;
use crate::output;
use crate::settings::{ConfigError, Settings, example_file};

pub(super) fn run(
    command: &ConfigCommand,
    settings: Result<Settings, ConfigError>,
) -> Result<ExitCode, Failure> {
    match command {
        ConfigCommand::Example => output::print(&example_file())?,
        ConfigCommand::Check => {
            settings?;
            output::print("configuration is valid\n")?;
        }
        ConfigCommand::Print { format } => output::print(&settings?.print(*format))?,
    }
    Ok(ExitCode::SUCCESS)
}
