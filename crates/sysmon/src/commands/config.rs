//! `sysmon config`.

use std::process::ExitCode;

use crate::command_line::ConfigCommand;
use crate::exit::Failure;
use crate::output;
use crate::paths::Paths;
use crate::roles;
use crate::settings::{ConfigError, Settings, example_file};

pub(super) fn run(
    command: &ConfigCommand,
    settings: Result<Settings, ConfigError>,
    paths: &Paths,
) -> Result<ExitCode, Failure> {
    match command {
        ConfigCommand::Example => output::print(&example_file())?,
        ConfigCommand::Check => {
            let problems = roles::check(&settings?, paths);
            if !problems.is_empty() {
                return Err(ConfigError::new(problems).into());
            }
            output::print("configuration is valid\n")?;
        }
        ConfigCommand::Print { format } => output::print(&settings?.print(*format))?,
    }
    Ok(ExitCode::SUCCESS)
}
