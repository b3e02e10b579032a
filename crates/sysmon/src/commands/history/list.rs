//! `sysmon machines list`.

use std::process::ExitCode;

use async_trait::async_trait;
use serde_json::json;
use sysmon_api::{ApiError, Client};
use sysmon_core::{Filter, UnixMillis, format_age, sanitize};
use sysmon_tui::Connect;
use sysmon_tui::once::gather;

use super::source::Source;
use super::{aligned, failure, json_line, local, say};
use crate::command_line::ListFormat;
use crate::exit::Failure;
use crate::output;

/// What is known of a machine, from wherever.
struct Row {
    machine_id: String,
    hostname: String,
    os: String,
    labels: Vec<(String, String)>,
    /// An aggregator does not say.
    first_sample: Option<UnixMillis>,
    /// Its newest sample; from an aggregator, when it was last heard of.
    last: Option<UnixMillis>,
}

pub(super) async fn run(source: Source, format: ListFormat, now: UnixMillis) -> Result<ExitCode, Failure> {
    let rows = match &source {
        Source::Aggregator(client) => of_aggregator(client).await?,
        Source::Database { .. } => of_store(&source).await?,
    };
    if rows.is_empty() {
        say(&format!(
            "no machine has reported yet to {}; start one with `sysmon collector`",
            source.name()
        ));
    }
    match format {
        ListFormat::Json => output::print(&json_line(&rows.iter().map(value).collect::<Vec<_>>())?)?,
        ListFormat::Table if rows.is_empty() => {}
        ListFormat::Table => output::print(&table(&rows, now))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn of_store(source: &Source) -> Result<Vec<Row>, Failure> {
    let records = source.open().await?.machines().await.map_err(failure)?;
    let row = |record: sysmon_store::MachineRecord| Row {
        machine_id: record.machine.to_string(),
        hostname: record.host.hostname,
        os: record.host.os,
        labels: record.host.labels,
        first_sample: record.first_sample,
        last: record.last_sample,
    };
    Ok(records.into_iter().map(row).collect())
}

/// A connection that stands already.
struct Standing(Client);

#[async_trait]
impl Connect for Standing {
    async fn connect(&mut self) -> Result<Client, ApiError> {
        Ok(self.0.clone())
    }
}

async fn of_aggregator(client: &Client) -> Result<Vec<Row>, Failure> {
    let mut standing = Standing(client.clone());
    let fleet = gather(&mut standing, false, &Filter::default())
        .await
        .map_err(Failure::runtime)?;
    let row = |machine: &sysmon_api::Machine| Row {
        machine_id: machine.id.to_string(),
        hostname: machine.host.hostname.clone(),
        os: machine.host.os.clone(),
        labels: machine.host.labels.clone(),
        first_sample: None,
        last: Some(machine.last_seen),
    };
    let mut rows: Vec<_> = fleet.machines().map(|(_, machine)| row(machine)).collect();
    rows.sort_by(|left, right| left.machine_id.cmp(&right.machine_id));
    Ok(rows)
}

fn table(rows: &[Row], now: UnixMillis) -> String {
    let cells = |row: &Row| {
        let labels = row.labels.iter();
        let labels: Vec<_> = labels.map(|(name, value)| format!("{name}={value}")).collect();
        let moment = |at: Option<UnixMillis>| at.map_or_else(|| "-".into(), local);
        vec![
            row.machine_id.clone(),
            sanitize(&row.hostname).into_owned(),
            sanitize(&row.os).into_owned(),
            moment(row.first_sample),
            moment(row.last),
            row.last
                .map_or_else(|| "-".into(), |at| format_age(now.since_ms(at))),
            sanitize(&labels.join(" ")).into_owned(),
        ]
    };
    let rows: Vec<_> = rows.iter().map(cells).collect();
    aligned(
        &["machine", "hostname", "system", "first", "last", "age", "labels"],
        &rows,
    )
}

fn value(row: &Row) -> serde_json::Value {
    json!({
        "machine_id": row.machine_id,
        "hostname": row.hostname,
        "os": row.os,
        "labels": row.labels.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "first_sample_unix_ms": row.first_sample.map(|at| at.0),
        "last_sample_unix_ms": row.last.map(|at| at.0),
    })
}
