//! The terminal client of sysmon.

use std::process::ExitCode;

use clap::Parser;
use sysmon::command_line::TerminalCommandLine;
use sysmon::exit::{conclude, conclude_usage};

fn main() -> ExitCode {
    match TerminalCommandLine::try_parse() {
        Ok(command_line) => conclude(sysmon::terminal::run(&command_line)),
        Err(error) => conclude_usage(&error),
    }
}
