//! `sysmon query`: from the question to the printed answer, machine by machine, so that no answer is too long.

use std::process::ExitCode;

use eyre::eyre;
use sysmon_api::{ApiError, Client, Code, check_peer, hello, history_from_wire, query_to_wire, wire};
use sysmon_core::{CATALOGUE, HistoryQuery, MachineHistory, MachineId, UnixMillis};
use sysmon_store::History;
use tokio::sync::mpsc;

use super::answer::Answer;
use super::source::Source;
use super::{failure, local, say, unknown_machine};
use crate::command_line::{AnswerFormat, QueryArguments};
use crate::exit::Failure;
use crate::settings::nearest;

/// Machines that a store is asked for at a time: what they have lies in memory until it is printed.
const MACHINES_AT_A_TIME: usize = 8;

/// A question, checked.
pub(super) struct Asked {
    query: HistoryQuery,
    format: AnswerFormat,
    now: UnixMillis,
    /// Names that no metric of the catalogue begins with.
    strange: Vec<String>,
}

impl Asked {
    pub(super) fn new(arguments: &QueryArguments, now: UnixMillis) -> Result<Self, Failure> {
        let (from, to) = (arguments.from.resolve(now), arguments.to.resolve(now));
        if from >= to {
            return Err(Failure::usage(eyre!(
                "the range from {} to {} is empty; let it end after it starts",
                local(from),
                local(to)
            )));
        }
        let (mut metrics, mut strange) = (Vec::new(), Vec::new());
        for wanted in &arguments.metrics {
            let before = metrics.len();
            let names = CATALOGUE.iter().map(|definition| definition.name);
            metrics.extend(names.filter(|name| is_meant(wanted, name)).map(str::to_owned));
            if metrics.len() == before {
                // One of a newer collector, or a slip: only history knows.
                metrics.push(wanted.clone());
                strange.push(wanted.clone());
            }
        }
        metrics.sort();
        metrics.dedup();
        let mut machines = arguments.machines.clone();
        machines.sort();
        machines.dedup();
        Ok(Self {
            query: HistoryQuery {
                machines,
                metrics,
                from,
                to,
                points: arguments.points,
            },
            format: arguments.format,
            now,
            strange,
        })
    }
}

/// The metric itself, or the beginning of its name up to a boundary of words.
fn is_meant(wanted: &str, name: &str) -> bool {
    name.strip_prefix(wanted)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '_']))
}

/// Asks and prints.
pub(super) async fn run(asked: Asked, source: Source) -> Result<ExitCode, Failure> {
    let mut answer = Answer::begin(asked.format, &asked.query)?;
    match &source {
        Source::Aggregator(client) => {
            from_aggregator(client, &asked.query, &mut answer).await?;
        }
        Source::Database { .. } => {
            let history = source.open().await?;
            from_store(&*history, &asked.query, &mut answer).await?;
        }
    }
    let is_empty = answer.is_empty();
    answer.end()?;
    if is_empty {
        say(&explain(&asked, &source));
    }
    Ok(ExitCode::SUCCESS)
}

async fn from_store(history: &dyn History, query: &HistoryQuery, answer: &mut Answer) -> Result<(), Failure> {
    let known = history.machines().await.map_err(failure)?;
    let known: Vec<MachineId> = known.into_iter().map(|record| record.machine).collect();
    let names: Vec<&str> = known.iter().map(MachineId::as_str).collect();
    if let Some(missing) = query.machines.iter().find(|machine| !known.contains(machine)) {
        return Err(unknown_machine(missing.as_str(), &names));
    }
    let wanted = if query.machines.is_empty() {
        &known
    } else {
        &query.machines
    };
    for machines in wanted.chunks(MACHINES_AT_A_TIME) {
        let part = HistoryQuery {
            machines: machines.to_vec(),
            ..query.clone()
        };
        for machine in history.query(&part).await.map_err(failure)? {
            answer.machine(&machine)?;
        }
    }
    Ok(())
}

/// Over the stream of the terminal client: the answer comes in parts, however long it is.
async fn from_aggregator(client: &Client, query: &HistoryQuery, answer: &mut Answer) -> Result<(), Failure> {
    let (commands, receiver) = mpsc::channel(2);
    let send = async |request_id, body| {
        let command = wire::Command {
            request_id,
            body: Some(body),
        };
        // When nobody takes it the responses end, and say why.
        let _ = commands.send(command).await;
    };
    send(1, wire::command::Body::Hello(hello(super::now()))).await;
    send(2, wire::command::Body::QueryHistory(query_to_wire(query))).await;
    let mut responses = client.manage(receiver).await.map_err(Failure::runtime)?;
    let mut coming: Vec<MachineHistory> = Vec::new();
    loop {
        let response = responses.next().await.map_err(Failure::runtime)?;
        match response.and_then(|response| response.body) {
            Some(wire::response::Body::Hello(peer)) => check_peer(Some(&peer)).map_err(Failure::runtime)?,
            Some(wire::response::Body::Failure(reason)) => {
                return Err(Failure::runtime(eyre!(
                    "{}",
                    sysmon_core::sanitize(&reason.message)
                )));
            }
            Some(wire::response::Body::History(chunk)) => {
                for part in &chunk.machines {
                    history_from_wire(part, &mut coming).map_err(Failure::runtime)?;
                    // All but the last are complete.
                    let last = coming.pop();
                    for machine in coming.drain(..) {
                        answer.machine(&machine)?;
                    }
                    coming.extend(last);
                }
                if !chunk.more {
                    for machine in &coming {
                        answer.machine(machine)?;
                    }
                    return Ok(());
                }
            }
            Some(_) => {}
            None => {
                let error = ApiError::new(
                    Code::Unavailable,
                    "the aggregator ended the connection; ask again",
                );
                return Err(Failure::runtime(error));
            }
        }
    }
}

/// Why there may be nothing, and what to do.
fn explain(asked: &Asked, source: &Source) -> String {
    let HistoryQuery { from, to, .. } = asked.query;
    if let Some(strange) = asked.strange.first() {
        let names = CATALOGUE.iter().map(|definition| definition.name.to_owned());
        let meant = nearest(strange, names).map(|name| format!("; did you mean {name}?"));
        return format!(
            "nothing found: no metric is known by the name {strange:?}{}",
            meant.unwrap_or_default()
        );
    }
    let advice = if from > asked.now {
        "the range lies in the future"
    } else {
        "ask for a longer range with --from, and see `sysmon machines list` for who reported when"
    };
    format!(
        "nothing found between {} and {} in {}: {advice}",
        local(from),
        local(to),
        source.name()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_meant_by_its_name_or_by_whole_words_of_its_beginning() {
        assert!(is_meant("cpu.busy_percent", "cpu.busy_percent"));
        assert!(is_meant("cpu.busy", "cpu.busy_percent"));
        assert!(is_meant("cpu", "cpu.busy_percent"));
        assert!(!is_meant("cp", "cpu.busy_percent"));
        assert!(!is_meant("cpu.busy_percent_more", "cpu.busy_percent"));
    }
}
