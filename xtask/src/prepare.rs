//! Gets what the checks need onto a machine that has only cargo and a C compiler.
//!
//! What cannot be had is no failure: it is printed with the reason, and counted among the skipped.

mod apt;
mod python;
mod servers;

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use cargo_metadata::MetadataCommand;
use eyre::{Result, WrapErr};

use crate::process::{cargo, succeeds};
use crate::stack;

pub(crate) use python::VARIABLE as PYTHON_VARIABLE;
pub(crate) use servers::{SKIP_VARIABLE, TIMESCALE};

/// A check that this machine cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Skip {
    pub(crate) what: &'static str,
    pub(crate) why: String,
}

impl fmt::Display for Skip {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "skipped: {} because {}", self.what, self.why)
    }
}

/// What there is of cargo-deny.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deny {
    Missing,
    /// It is installed, but the advisory database cannot be fetched.
    WithoutAdvisories,
    Ready,
}

/// What this machine has, after everything that could be installed has been.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) rustfmt: bool,
    pub(crate) clippy: bool,
    pub(crate) deny: Deny,
    /// Without it the tests run under `cargo test`, which is slower but leaves nothing out.
    pub(crate) nextest: bool,
    /// An interpreter that can import grpcio and grpcio-tools.
    pub(crate) python: Option<PathBuf>,
    /// The Compose stack is to be tested, and can be.
    pub(crate) stack: bool,
    /// Tests find a TimescaleDB to start.
    pub(crate) timescale: bool,
    pub(crate) skips: Vec<Skip>,
}

/// The command `prepare`: gets everything and says how to use it by hand.
///
/// # Errors
/// When the workspace cannot be read.
pub(crate) fn run() -> Result<bool> {
    let tools = prepare()?;
    if let Some(python) = &tools.python {
        println!(
            "for a test run by hand: export {PYTHON_VARIABLE}={}",
            python.display()
        );
    }
    if !tools.timescale {
        println!("for a test run by hand: export {SKIP_VARIABLE}={TIMESCALE}");
    }
    Ok(true)
}

/// Gets everything, and prints what there is and what is not.
///
/// # Errors
/// When the workspace cannot be read.
pub(crate) fn prepare() -> Result<Tools> {
    let metadata = MetadataCommand::new()
        .no_deps()
        .exec()
        .wrap_err("failed to ask cargo for the workspace")?;
    let mut skips = Vec::new();
    let rustfmt = note("the formatting check", component("rustfmt", "fmt"), &mut skips).is_some();
    let clippy = note("the lints", component("clippy", "clippy"), &mut skips).is_some();
    let deny = deny(&mut skips);
    let nextest = succeeds(cargo().args(["nextest", "--version"]));
    if !nextest {
        println!("cargo-nextest is not installed: the tests run under cargo test");
    }
    let python = python::ensure(
        std::env::var_os(PYTHON_VARIABLE),
        metadata.target_directory.as_std_path(),
    );
    let python = note("the foreign client test", python, &mut skips);
    if let Some(python) = &python {
        println!("python with grpcio: {}", python.display());
    }
    let stack = note("the smoke test of the Compose stack", stack::wanted(), &mut skips).is_some();
    // Without these the tests that need them fail and say so: on any Debian they can be had.
    note("the history in PostgreSQL", servers::postgres(), &mut skips);
    note("hot state and bus in Redis", servers::redis(), &mut skips);
    let timescale = servers::timescale(
        metadata.workspace_root.as_std_path(),
        metadata.target_directory.as_std_path(),
    );
    let timescale = note("the history in TimescaleDB", timescale, &mut skips).is_some();
    for skip in &skips {
        println!("{skip}");
    }
    Ok(Tools {
        rustfmt,
        clippy,
        deny,
        nextest,
        python,
        stack,
        timescale,
        skips,
    })
}

/// Turns the reason why something cannot be had into a skip.
fn note<T>(what: &'static str, outcome: Result<T, String>, skips: &mut Vec<Skip>) -> Option<T> {
    outcome.map_err(|why| skips.push(Skip { what, why })).ok()
}

/// Makes sure of a component of the toolchain, by the cargo command that it brings.
fn component(name: &str, command: &str) -> Result<(), String> {
    let is_there = || succeeds(cargo().args([command, "--version"]));
    if is_there() {
        return Ok(());
    }
    println!("installing the toolchain's {name}");
    // Its own exit code does not matter: whether the command works now is what counts.
    succeeds(Command::new("rustup").args(["component", "add", name]));
    if is_there() {
        return Ok(());
    }
    Err(format!(
        "`cargo {command}` is not installed and `rustup component add {name}` did not bring it"
    ))
}

fn deny(skips: &mut Vec<Skip>) -> Deny {
    if !succeeds(cargo().args(["deny", "--version"])) {
        let why = "cargo-deny is not installed; `cargo install --locked cargo-deny` brings it".to_owned();
        skips.push(Skip {
            what: "the check of licences, bans and advisories",
            why,
        });
        return Deny::Missing;
    }
    if !succeeds(cargo().args(["deny", "fetch", "db"])) {
        let why = "the advisory database cannot be fetched from here".to_owned();
        skips.push(Skip {
            what: "the check of advisories",
            why,
        });
        return Deny::WithoutAdvisories;
    }
    Deny::Ready
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_had_is_noted_with_its_reason() {
        let mut skips = Vec::new();
        assert_eq!(note("a check", Ok(1), &mut skips), Some(1));
        assert_eq!(
            note::<u8>("another", Err("it is not there".to_owned()), &mut skips),
            None
        );
        assert_eq!(skips.len(), 1);
        assert_eq!(skips[0].to_string(), "skipped: another because it is not there");
    }
}
