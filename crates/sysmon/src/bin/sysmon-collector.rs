//! The agent alone: what `sysmon collector` is, without the servers and their stores.

use std::process::ExitCode;

use clap::Parser;
use sysmon::command_line::CollectorCommandLine;
use sysmon::exit::{conclude, conclude_usage};

fn main() -> ExitCode {
    match CollectorCommandLine::try_parse() {
        Ok(command_line) => conclude(sysmon::commands::collect(&command_line)),
        Err(error) => conclude_usage(&error),
    }
}
