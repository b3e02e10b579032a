//! `sysmon dead-letters`.

use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;

use eyre::eyre;
use serde_json::json;
use sysmon_core::{UnixMillis, sanitize};
use sysmon_store::{DeadLetter, DeadLetterFilter, History};

use super::{aligned, failure, json_line, local, say};
use crate::command_line::{DeadLettersCommand, LetterArguments, ListFormat};
use crate::exit::Failure;
use crate::output;

/// Letters that are looked at in one run; the command can be repeated.
const LETTERS_MAX: u32 = 10_000;

pub(super) async fn run(
    command: &DeadLettersCommand,
    history: &dyn History,
    now: UnixMillis,
) -> Result<ExitCode, Failure> {
    match command {
        DeadLettersCommand::List { letters, format } => {
            let letters = find(letters, history, now).await?;
            output::print(&match format {
                ListFormat::Table => table(&letters),
                ListFormat::Json => json_line(&letters.iter().map(value).collect::<Vec<_>>())?,
            })?;
        }
        DeadLettersCommand::Retry { letters, force } => {
            let ids = ids(&find(letters, history, now).await?);
            let stored = history.retry_dead_letters(&ids, now, *force).await;
            say(&retried(stored.map_err(failure)?, ids.len(), *force));
        }
        DeadLettersCommand::Purge { letters, yes } => {
            let ids = ids(&find(letters, history, now).await?);
            if !ids.is_empty() && !yes {
                confirm(ids.len())?;
            }
            let removed = history.purge_dead_letters(&ids).await.map_err(failure)?;
            say(&format!("removed {}", counted(removed)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Those that are meant, oldest first.
async fn find(
    arguments: &LetterArguments,
    history: &dyn History,
    now: UnixMillis,
) -> Result<Vec<DeadLetter>, Failure> {
    let filter = DeadLetterFilter {
        machine: arguments.machine.clone(),
        received_before: arguments.older_than.map(|moment| moment.resolve(now)),
    };
    let mut letters = history
        .dead_letters(&filter, LETTERS_MAX)
        .await
        .map_err(failure)?;
    if letters.len() == LETTERS_MAX as usize {
        say(&format!(
            "there are more than these {LETTERS_MAX}; run it again afterwards for the others"
        ));
    }
    if !arguments.ids.is_empty() {
        letters.retain(|letter| arguments.ids.contains(&letter.id));
        let missing = arguments
            .ids
            .iter()
            .find(|id| letters.iter().all(|letter| letter.id != **id));
        if let Some(missing) = missing {
            return Err(Failure::runtime(eyre!(
                "there is no dead letter {missing}; `sysmon dead-letters list` shows them"
            )));
        }
    }
    Ok(letters)
}

fn ids(letters: &[DeadLetter]) -> Vec<i64> {
    letters.iter().map(|letter| letter.id).collect()
}

/// Goes on only when somebody at a terminal says so.
fn confirm(count: usize) -> Result<(), Failure> {
    let what = counted(count as u64);
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(eyre!(
            "{what} would be removed for good; say so with --yes"
        )));
    }
    say(&format!(
        "Remove {what} for good? Their samples are lost then. [y/N]"
    ));
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(Failure::runtime)?;
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Failure::runtime(eyre!("nothing was removed")))
    }
}

fn retried(stored: u64, asked: usize, force: bool) -> String {
    let left = (asked as u64).saturating_sub(stored);
    match (left, force) {
        (0, _) => format!("stored {}", counted(stored)),
        (left, false) => format!(
            "stored {}, left {left}: samples that could not be read, or that still lie in the future (--force stores \
             those too)",
            counted(stored)
        ),
        (left, true) => format!(
            "stored {}, left {left}: samples that could not be read",
            counted(stored)
        ),
    }
}

fn counted(count: u64) -> String {
    match count {
        1 => "1 dead letter".into(),
        count => format!("{count} dead letters"),
    }
}

fn table(letters: &[DeadLetter]) -> String {
    if letters.is_empty() {
        return "no dead letters\n".into();
    }
    let row = |letter: &DeadLetter| {
        let (at, values) = match &letter.tick {
            Some(tick) => (local(UnixMillis(tick.at_unix_ms)), tick.values.len().to_string()),
            None => ("unreadable".into(), "-".into()),
        };
        vec![
            letter.id.to_string(),
            letter.machine.to_string(),
            local(letter.received),
            at,
            values,
            sanitize(&letter.reason).into_owned(),
        ]
    };
    let rows: Vec<_> = letters.iter().map(row).collect();
    aligned(
        &["id", "machine", "received", "samples of", "values", "reason"],
        &rows,
    )
}

fn value(letter: &DeadLetter) -> serde_json::Value {
    json!({
        "id": letter.id,
        "machine_id": letter.machine.as_str(),
        "epoch": letter.epoch.to_string(),
        "sequence": letter.sequence,
        "received_unix_ms": letter.received.0,
        "reason": letter.reason,
        "tick": letter.tick,
    })
}
