//! `sysmon config`.

use std::process::ExitCode;

use crate::command_line::ConfigCommand;
use crate::exit::Failure;
use crate::output;
use crate::paths::Paths;
use crate::roles;
use crate::settings::{Loaded, example_file};

pub(super) fn run(command: &ConfigCommand, loaded: Loaded, paths: &Paths) -> Result<ExitCode, Failure> {
    match command {
        ConfigCommand::Example => output::print(&example_file())?,
        ConfigCommand::Check => {
            loaded.with(|settings| roles::check(settings, paths))?;
            output::print("configuration is valid\n")?;
        }
        ConfigCommand::Print { format } => output::print(&loaded.finish()?.print(*format))?,
    }
    Ok(ExitCode::SUCCESS)
}
