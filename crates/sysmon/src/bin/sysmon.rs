//! The servers and tools of sysmon.

use std::process::ExitCode;

use clap::Parser;
use sysmon::command_line::ServerCommandLine;
use sysmon::exit::{conclude, conclude_usage};

fn main() -> ExitCode {
    match ServerCommandLine::try_parse() {
        Ok(command_line) => conclude(sysmon::commands::run(command_line)),
        Err(error) => conclude_usage(&error),
    }
}
