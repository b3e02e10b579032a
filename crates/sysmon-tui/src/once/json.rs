//! The snapshot for scripts. Its shape is a contract: fields are added, never changed.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Number;
use sysmon_api::Machine;
use sysmon_core::alert::Alert;
use sysmon_core::{Process, Series};

use super::Snapshot;

#[derive(Serialize)]
struct Document<'a> {
    at_unix_ms: i64,
    machines: Vec<MachineRow<'a>>,
    alerts: Vec<AlertRow<'a>>,
    /// Whether the aggregator has told of alerts: without, an empty list says nothing.
    alerts_known: bool,
}

#[derive(Serialize)]
struct AlertRow<'a> {
    rule: &'a str,
    machine_id: &'a str,
    /// Which mount, disk, interface, …; empty where the metric has none.
    entity: &'a str,
    /// `pending`, `firing`, `recovering` or `no_data`.
    state: &'static str,
    severity: &'static str,
    since_unix_ms: i64,
    /// `null` when there is none, as for a machine that is down.
    value: Option<Number>,
    threshold: Option<Number>,
    acknowledged: bool,
    /// By a silence, or because the machine is down.
    silenced: bool,
}

#[derive(Serialize)]
struct MachineRow<'a> {
    machine_id: &'a str,
    hostname: &'a str,
    state: &'static str,
    health: &'static str,
    last_seen_unix_ms: i64,
    metrics: Vec<MetricRow<'a>>,
    processes: Vec<ProcessRow<'a>>,
}

#[derive(Serialize)]
struct MetricRow<'a> {
    name: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
    unit: &'static str,
    value: Number,
}

#[derive(Serialize)]
struct ProcessRow<'a> {
    pid: u32,
    user: &'a str,
    name: &'a str,
    command: &'a str,
    /// The letter that ps shows.
    state: char,
    /// `null` when the process has not been seen twice yet.
    cpu_percent: Option<Number>,
    memory_bytes: u64,
}

/// The snapshot as one line of JSON with a line end. Alerts are sorted worst first. Machines are sorted by id, metrics by name and labels, processes by
/// processor time, then memory, then pid. Values have the decimals of their series and no more.
///
/// # Errors
/// None that is known: every value can be written as JSON.
pub fn to_json(snapshot: &Snapshot) -> Result<String, serde_json::Error> {
    let mut machines: Vec<_> = snapshot
        .machines()
        .map(|(_, machine)| machine_row(machine))
        .collect();
    machines.sort_by_key(|machine| machine.machine_id);
    let document = Document {
        at_unix_ms: snapshot.fleet.now().0,
        machines,
        alerts: snapshot.alerts().into_iter().map(alert_row).collect(),
        alerts_known: snapshot.board.is_some(),
    };
    let mut text = serde_json::to_string(&document)?;
    text.push('\n');
    Ok(text)
}

fn alert_row(alert: &Alert) -> AlertRow<'_> {
    AlertRow {
        rule: alert.key.rule.as_str(),
        machine_id: alert.key.machine.as_str(),
        entity: &alert.key.entity,
        state: alert.phase.word(),
        severity: alert.severity.word(),
        since_unix_ms: alert.since.0,
        value: alert.value.and_then(Number::from_f64),
        threshold: alert.threshold.and_then(Number::from_f64),
        acknowledged: alert.acknowledged.is_some(),
        silenced: alert.silenced.is_some() || alert.inhibited,
    }
}

fn machine_row(machine: &Machine) -> MachineRow<'_> {
    let mut metrics: Vec<_> = machine
        .recent
        .series()
        .filter_map(|(_, series)| metric_row(series))
        .collect();
    metrics.sort_by(|a, b| (a.name, &a.labels).cmp(&(b.name, &b.labels)));
    MachineRow {
        machine_id: &machine.id,
        hostname: &machine.host.hostname,
        state: machine.liveness.word(),
        health: machine.health.word(),
        last_seen_unix_ms: machine.last_seen.0,
        metrics,
        processes: super::text::busiest(machine)
            .into_iter()
            .map(process_row)
            .collect(),
    }
}

fn metric_row(series: &Series) -> Option<MetricRow<'_>> {
    let key = &series.key;
    Some(MetricRow {
        name: key.metric.name(),
        labels: key
            .labels
            .iter()
            .map(|label| (&*label.name, &*label.value))
            .collect(),
        unit: key.metric.unit().word(),
        value: number(series.current()?, series.decimals)?,
    })
}

fn process_row(process: &Process) -> ProcessRow<'_> {
    ProcessRow {
        pid: process.key.pid,
        user: &process.user,
        name: &process.name,
        command: &process.command,
        state: process.state.letter(),
        // Through the scaled value, so that the single precision of 0.1 does not show.
        cpu_percent: process
            .cpu_percent
            .and_then(|percent| sysmon_core::to_scaled(percent.into(), 2))
            .and_then(|scaled| Number::from_f64(sysmon_core::from_scaled(scaled, 2))),
        memory_bytes: process.memory_bytes,
    }
}

/// A value with its decimals; counts and bytes as whole numbers, so that no reader makes `1.6e10` of them.
fn number(value: f64, decimals: u8) -> Option<Number> {
    if decimals == 0 {
        Some(Number::from(value as i64))
    } else {
        Number::from_f64(value)
    }
}
