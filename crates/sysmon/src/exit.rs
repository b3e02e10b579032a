//! How the programs end.

use std::process::ExitCode;

/// `EX_USAGE` of sysexits.h: the command line or the configuration is wrong, and nothing was started.
pub const USAGE: u8 = 64;

/// Something failed while running.
pub const FAILURE: u8 = 1;

/// `sysmon-tui --once` worked, and critical alerts are firing.
pub const CRITICAL: u8 = 1;

/// `sysmon-tui --once` failed; 1 means that critical alerts fire.
pub const ONCE_FAILURE: u8 = 2;

/// An error on its way out of a program.
#[derive(Debug)]
pub struct Failure {
    /// Exit code.
    pub code: u8,
    /// What is printed.
    pub report: eyre::Report,
}

impl Failure {
    /// The command line or the configuration is wrong.
    #[must_use]
    pub fn usage(error: impl Into<eyre::Report>) -> Self {
        Self {
            code: USAGE,
            report: error.into(),
        }
    }

    /// Something failed while running.
    #[must_use]
    pub fn runtime(error: impl Into<eyre::Report>) -> Self {
        Self {
            code: FAILURE,
            report: error.into(),
        }
    }
}

impl From<crate::settings::ConfigError> for Failure {
    fn from(error: crate::settings::ConfigError) -> Self {
        Self::usage(error)
    }
}

impl From<eyre::Report> for Failure {
    fn from(report: eyre::Report) -> Self {
        Self::runtime(report)
    }
}

/// Prints what went wrong to the error output and gives the exit code.
#[expect(
    clippy::print_stderr,
    reason = "the last words of a program; the log may not exist"
)]
#[must_use]
pub fn conclude(outcome: Result<ExitCode, Failure>) -> ExitCode {
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {:#}", failure.report);
            ExitCode::from(failure.code)
        }
    }
}

/// Prints a usage error, or the help or version that was asked for.
#[must_use]
pub fn conclude_usage(error: &clap::Error) -> ExitCode {
    // When the output is closed there is nobody to tell.
    let _ = error.print();
    if error.use_stderr() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::SUCCESS
    }
}
