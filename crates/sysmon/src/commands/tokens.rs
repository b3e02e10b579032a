//! `sysmon tokens`.

use std::path::Path;
use std::process::ExitCode;

use eyre::{Report, eyre};
use sysmon_api::tokens::{self, Token, TokensError};
use sysmon_core::MachineId;

use crate::command_line::TokensCommand;
use crate::exit::Failure;
use crate::output;
use crate::paths::Paths;
use crate::settings::Settings;

pub(super) fn run(command: &TokensCommand, settings: &Settings, paths: &Paths) -> Result<ExitCode, Failure> {
    let file = paths.tokens_file(settings).ok_or_else(no_folder)?;
    match command {
        TokensCommand::Create {
            role,
            name,
            machine_id,
        } => {
            let machine = machine_id.as_deref().map(MachineId::parse).transpose();
            let machine =
                machine.map_err(|error| Failure::usage(Report::new(error).wrap_err("--machine-id")))?;
            let secret = tokens::create(&file, name, *role, machine.as_ref()).map_err(failure)?;
            output::print(&format!("{secret}\n"))?;
            say(&format!(
                "kept only as a hash in {}: note the token now",
                file.display()
            ));
        }
        TokensCommand::List => output::print(&list(&file).map_err(failure)?)?,
        TokensCommand::Revoke { name } => {
            tokens::revoke(&file, name).map_err(failure)?;
            say(&format!("revoked {name}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `sysmon machines revoke`: takes back every token that is bound to a machine.
pub(super) fn revoke_machine(
    machine: &MachineId,
    settings: &Settings,
    paths: &Paths,
) -> Result<ExitCode, Failure> {
    let file = paths.tokens_file(settings).ok_or_else(no_folder)?;
    let all = match tokens::list(&file) {
        Err(TokensError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        other => other.map_err(failure)?,
    };
    let bound: Vec<_> = all
        .iter()
        .filter(|token| token.machine.as_ref() == Some(machine))
        .collect();
    if bound.is_empty() {
        return Err(Failure::runtime(eyre!(
            "no token in {} is bound to {machine}; sysmon tokens list shows which there are",
            file.display()
        )));
    }
    for token in bound {
        tokens::revoke(&file, &token.name).map_err(failure)?;
        say(&format!("revoked {}", token.name));
    }
    Ok(ExitCode::SUCCESS)
}

fn no_folder() -> Failure {
    Failure::usage(eyre!("there is no folder for the tokens; set auth.tokens_file"))
}

/// What is said beside the output, so that `TOKEN=$(sysmon tokens create …)` gets the token and nothing else.
#[expect(clippy::print_stderr, reason = "a word to the person who typed the command")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// A wrong name or combination is a mistake of who typed it; all else went wrong with the file.
fn failure(error: TokensError) -> Failure {
    match error {
        TokensError::Name { .. } | TokensError::MachineMissing | TokensError::MachineUnused => {
            Failure::usage(error)
        }
        _ => Failure::runtime(error),
    }
}

/// One token per line: name, role, machine, when it was made; nothing when there is no file yet.
fn list(file: &Path) -> Result<String, TokensError> {
    let tokens = match tokens::list(file) {
        Err(TokensError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    let width = |text: fn(&Token) -> usize| tokens.iter().map(text).max().unwrap_or(0);
    let name = width(|token| token.name.len());
    let machine = width(|token| token.machine.as_ref().map_or(1, |machine| machine.as_str().len()));
    let line = |token: &Token| {
        let of = token.machine.as_ref().map_or("-", MachineId::as_str);
        let line = format!(
            "{:name$}  {:8}  {of:machine$}  {}",
            token.name,
            token.role.word(),
            token.created
        );
        format!("{}\n", line.trim_end())
    };
    Ok(tokens.iter().map(line).collect())
}
