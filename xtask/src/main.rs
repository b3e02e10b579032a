//! The chores of this repository: `cargo xtask ci` is what CI runs and what the README names as the test command.
#![expect(
    clippy::print_stdout,
    reason = "a command-line tool reports on its standard output"
)]

mod ci;
#[cfg(unix)]
mod faults;
mod measure;
mod prepare;
mod process;
mod stack;
mod tidy;
mod totals;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  ci        everything that CI checks: prepare, fmt, tidy, clippy, doc, deny, tests, doc tests, a short
            fault run, the stack where Docker is
  tidy      only the repository's own rules: crate arrows, file sizes, manifests, clippy bans
  prepare   only get what the tests need: rustfmt, clippy, PostgreSQL, Redis, and under target/ a Python with grpcio
            and a TimescaleDB
  stack     the smoke test of docker-compose.yml; needs a Docker engine with Compose
  faults    kills everything at random moments under load, then shows that nothing is missing or there twice
            [--seconds 120] [--seed 1] [--machines 50] [--sqlite] [--dense] [--release] [--keep]; with --outages it
            stops the database and then Redis, each for the seconds given, while a console looks at every machine
  measure   processor time, memory and terminal bytes beside peers, in one run
            [--windows 3] [--seconds 60] [--processes 150]

Example: cargo xtask tidy";

/// The `EX_USAGE` of sysexits.h, as for the product's own binaries.
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["ci"] => ci::run(),
        ["tidy"] => tidy::run(),
        ["prepare"] => prepare::run(),
        ["stack"] => stack::run(),
        #[cfg(unix)]
        ["faults", options @ ..] => faults::run(options),
        ["measure", options @ ..] => measure::run(options),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            println!("{USAGE}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
