//! What was: `sysmon query`, `sysmon dead-letters`, `sysmon machines`.

mod answer;
mod ask;
mod csv;
mod json;
mod letters;
mod list;
mod source;
mod table;

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{Local, SecondsFormat, TimeZone, Utc};
use eyre::{Report, eyre};
use sysmon_core::UnixMillis;
use sysmon_store::{ErrorKind, StoreError};

use super::{single_threaded, tokens};
use crate::command_line::{DeadLettersCommand, MachinesCommand, QueryArguments};
use crate::exit::Failure;
use crate::paths::Paths;
use crate::settings::Loaded;
pub(super) use source::Source;

pub(super) fn query(arguments: &QueryArguments, loaded: Loaded, paths: &Paths) -> Result<ExitCode, Failure> {
    let source = Source::choose(arguments.source.aggregator.as_ref(), loaded, paths)?;
    let asked = ask::Asked::new(arguments, now())?;
    single_threaded()?.block_on(ask::run(asked, source))
}

pub(super) fn dead_letters(
    command: &DeadLettersCommand,
    loaded: Loaded,
    paths: &Paths,
) -> Result<ExitCode, Failure> {
    let source = Source::choose(None, loaded, paths)?;
    single_threaded()?.block_on(async {
        let history = source.open().await?;
        letters::run(command, &*history, now()).await
    })
}

pub(super) fn machines(
    command: &MachinesCommand,
    loaded: Loaded,
    paths: &Paths,
) -> Result<ExitCode, Failure> {
    match command {
        MachinesCommand::List { source, format } => {
            let source = Source::choose(source.aggregator.as_ref(), loaded, paths)?;
            single_threaded()?.block_on(list::run(source, *format, now()))
        }
        MachinesCommand::Revoke { machine } => tokens::revoke_machine(machine, &loaded.finish()?, paths),
    }
}

/// This machine's clock.
pub(super) fn now() -> UnixMillis {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

/// A store that is set up wrongly is a mistake of who did that; all else went wrong with the store.
pub(super) fn failure(error: StoreError) -> Failure {
    match error.kind {
        ErrorKind::Misconfigured => Failure::usage(error),
        ErrorKind::Unavailable | ErrorKind::Rejected => Failure::runtime(error),
    }
}

/// What is said beside the output, so that a program that reads it gets the answer and nothing else.
#[expect(clippy::print_stderr, reason = "a word to the person who typed the command")]
pub(super) fn say(text: &str) {
    eprintln!("{text}");
}

/// A moment for people, in the time zone of this machine.
pub(super) fn local(at: UnixMillis) -> String {
    match Local.timestamp_millis_opt(at.0).earliest() {
        Some(at) => at.format("%Y-%m-%d %H:%M:%S").to_string(),
        None => at.to_string(),
    }
}

/// A moment for programs: RFC 3339 in UTC with milliseconds.
fn utc(at: UnixMillis) -> String {
    match Utc.timestamp_millis_opt(at.0).earliest() {
        Some(at) => at.to_rfc3339_opts(SecondsFormat::Millis, true),
        None => at.0.to_string(),
    }
}

/// JSON as a line of output.
pub(super) fn json_line(value: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::runtime(Report::new(error)))?;
    Ok(text + "\n")
}

/// Rows under headings, each column as wide as it needs; the last one is not padded.
pub(super) fn aligned(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells
            .map(|cell| sysmon_core::display_width(cell))
            .max()
            .unwrap_or(0);
        widest.max(headings[column].len())
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (cell, width) in cells.zip(&widths) {
            let missing = width.saturating_sub(sysmon_core::display_width(cell));
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', missing + 2));
        }
        format!("{}\n", line.trim_end())
    };
    let mut text = line(&mut headings.iter().copied());
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

/// Nobody can be asked for what is not there.
fn unknown_machine(id: &str, known: &[&str]) -> Failure {
    const NAMED_MAX: usize = 10;
    let mut named = known
        .iter()
        .take(NAMED_MAX)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    if known.len() > NAMED_MAX {
        named.push_str(&format!(" and {} more", known.len() - NAMED_MAX));
    }
    Failure::runtime(
        match crate::settings::nearest(id, known.iter().map(|id| (*id).to_owned())) {
            Some(meant) => eyre!("history has no machine {id}; did you mean {meant}?"),
            None if known.is_empty() => eyre!("history has no machine {id}, nor any other yet"),
            None => eyre!("history has no machine {id}; it has {named}"),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_in_cells_not_bytes() {
        let rows = [
            vec!["ä".to_owned(), "1".to_owned()],
            vec!["long".to_owned(), "2".to_owned()],
        ];
        assert_eq!(aligned(&["n", "v"], &rows), "n     v\nä     1\nlong  2\n");
    }

    #[test]
    fn a_machine_that_is_not_there_is_told_with_those_that_are() {
        let text = |id, known: &[&str]| format!("{}", unknown_machine(id, known).report);
        assert!(text("web-2", &["web-1", "db"]).contains("did you mean web-1"));
        assert!(text("zzzzzzzz", &["web-1", "db"]).contains("web-1, db"));
        assert!(text("web-1", &[]).contains("nor any other"));
    }
}
