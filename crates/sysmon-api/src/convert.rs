//! Between the messages of the wire and the types of the domain. Everything from afar is checked and bounded here.

use std::sync::Arc;

use sysmon_core::{
    Health, HostInfo, Label, Liveness, MAX_DECIMALS, Metric, Process, ProcessDelta, ProcessKey, ProcessState,
    ProcessTable, ProcessTotals, SeriesKey, Unit, UnixMillis, sanitize,
};

use crate::error::ApiError;
use crate::wire;

/// The most labels of a series, and of a host.
const LABELS_LIMIT: usize = 32;
/// The longest text taken from afar, in bytes; longer ones are cut.
pub(crate) const TEXT_LIMIT: usize = 1_024;
/// The longest command line taken from afar, in bytes.
const COMMAND_LIMIT: usize = 4_096;

/// A tick as it travels; `values` ascend by series number.
#[must_use]
pub fn tick_to_wire(at: UnixMillis, values: &[(u32, i64)]) -> wire::Tick {
    let mut last = 0;
    let mut tick = wire::Tick {
        at_unix_ms: at.0,
        series_steps: Vec::with_capacity(values.len()),
        values: Vec::with_capacity(values.len()),
    };
    for (series, value) in values {
        debug_assert!(*series >= last, "series numbers must ascend");
        tick.series_steps.push(series.wrapping_sub(last));
        tick.values.push(*value);
        last = *series;
    }
    tick
}

/// When a tick was taken.
#[must_use]
pub fn tick_at(tick: &wire::Tick) -> UnixMillis {
    UnixMillis(tick.at_unix_ms)
}

/// The scaled values of a tick by series number, ascending.
///
/// # Errors
/// [`crate::Code::InvalidArgument`] when numbers and values do not match in count, or a number runs over.
pub fn tick_values(tick: &wire::Tick) -> Result<Vec<(u32, i64)>, ApiError> {
    if tick.series_steps.len() != tick.values.len() {
        return Err(ApiError::invalid(format!(
            "a tick has {} series but {} values; send one value per series",
            tick.series_steps.len(),
            tick.values.len()
        )));
    }
    let mut values = Vec::with_capacity(tick.values.len());
    let mut series = 0u32;
    for (step, value) in tick.series_steps.iter().zip(&tick.values) {
        series = series
            .checked_add(*step)
            .ok_or_else(|| ApiError::invalid("a series number is beyond 32 bits"))?;
        values.push((series, *value));
    }
    Ok(values)
}

/// Announces a series.
#[must_use]
pub fn series_to_wire(number: u32, key: &SeriesKey, decimals: u8) -> wire::SeriesDefinition {
    wire::SeriesDefinition {
        series: number,
        metric: key.metric.name().into(),
        unit: key.metric.unit().word().into(),
        decimals: decimals.into(),
        labels: key
            .labels
            .iter()
            .map(|label| (label.name.to_string(), label.value.to_string()))
            .collect(),
    }
}

/// The number, key and decimals of an announced series. Label texts come back free of control characters.
///
/// # Errors
/// [`crate::Code::InvalidArgument`] when the name is empty or too long, the decimals exceed [`MAX_DECIMALS`], or there
/// are too many labels.
pub fn series_from_wire(definition: &wire::SeriesDefinition) -> Result<(u32, SeriesKey, u8), ApiError> {
    let name = &definition.metric;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._-:/".contains(c);
    if name.is_empty() || name.len() > 200 || !name.chars().all(is_name) {
        let shown: String = sanitize(name).chars().take(60).collect();
        return Err(ApiError::invalid(format!(
            "{shown:?} is no metric name; use letters, digits, '.', '_', '-' or ':'"
        )));
    }
    let decimals = u8::try_from(definition.decimals)
        .ok()
        .filter(|decimals| *decimals <= MAX_DECIMALS);
    let Some(decimals) = decimals else {
        return Err(ApiError::invalid(format!(
            "{name} has {} decimals; at most 9 are allowed",
            definition.decimals
        )));
    };
    if definition.labels.len() > LABELS_LIMIT {
        return Err(ApiError::invalid(format!(
            "{name} has more than {LABELS_LIMIT} labels"
        )));
    }
    let mut labels: Vec<Label> = definition
        .labels
        .iter()
        .map(|(name, value)| Label {
            name: text(name, TEXT_LIMIT).into(),
            value: text(value, TEXT_LIMIT).into(),
        })
        .collect();
    labels.sort();
    Ok((
        definition.series,
        SeriesKey {
            metric: Metric::named(name, Unit::from_word(&definition.unit)),
            labels,
        },
        decimals,
    ))
}

/// What is known of a host, as it travels.
#[must_use]
pub fn host_to_wire(host: &HostInfo) -> wire::HostInfo {
    wire::HostInfo {
        hostname: host.hostname.clone(),
        os: host.os.clone(),
        kernel: host.kernel.clone(),
        architecture: host.architecture.clone(),
        cpu_model: host.cpu_model.clone(),
        cpu_count: host.cpu_count,
        memory_bytes: host.memory_bytes,
        boot_unix_ms: host.boot_unix_ms,
        collector_version: host.collector_version.clone(),
        labels: host.labels.iter().cloned().collect(),
    }
}

/// What a peer says of its host, cut to size and free of control characters.
#[must_use]
pub fn host_from_wire(host: &wire::HostInfo) -> HostInfo {
    let clean = |value: &String| text(value, TEXT_LIMIT);
    let mut labels: Vec<_> = host
        .labels
        .iter()
        .map(|(name, value)| (clean(name), clean(value)))
        .collect();
    labels.sort();
    labels.truncate(LABELS_LIMIT);
    HostInfo {
        hostname: clean(&host.hostname),
        os: clean(&host.os),
        kernel: clean(&host.kernel),
        architecture: clean(&host.architecture),
        cpu_model: clean(&host.cpu_model),
        cpu_count: host.cpu_count,
        memory_bytes: host.memory_bytes,
        boot_unix_ms: host.boot_unix_ms,
        collector_version: clean(&host.collector_version),
        labels,
    }
}

/// A change of the process list as it travels to someone who has `known`: texts that the receiver has are left out.
#[must_use]
pub fn processes_to_wire(delta: &ProcessDelta, known: &ProcessTable) -> wire::ProcessUpdate {
    let changed = delta.changed.iter().map(|process| {
        let before = if delta.replace {
            None
        } else {
            known.get(process.key)
        };
        process_to_wire(process, before)
    });
    let removed = delta.removed.iter().map(|key| wire::ProcessKey {
        pid: key.pid,
        start_ms: key.start_ms,
    });
    wire::ProcessUpdate {
        replace: delta.replace,
        complete: delta.complete,
        changed: changed.collect(),
        removed: removed.collect(),
        ..totals_to_wire(delta.totals)
    }
}

/// A whole process list as it travels to someone who has none: as [`processes_to_wire`] of [`ProcessTable::to_delta`],
/// without a copy of the list.
#[must_use]
pub fn process_table_to_wire(table: &ProcessTable) -> wire::ProcessUpdate {
    wire::ProcessUpdate {
        replace: true,
        complete: table.is_complete(),
        changed: table
            .iter()
            .map(|process| process_to_wire(process, None))
            .collect(),
        ..totals_to_wire(table.totals())
    }
}

fn totals_to_wire(totals: ProcessTotals) -> wire::ProcessUpdate {
    wire::ProcessUpdate {
        process_count: totals.processes,
        thread_count: totals.threads,
        running_count: totals.running,
        blocked_count: totals.blocked,
        zombie_count: totals.zombies,
        ..wire::ProcessUpdate::default()
    }
}

/// A process as it travels; texts equal to those of `before` are left out.
fn process_to_wire(process: &Process, before: Option<&Process>) -> wire::Process {
    let text = |now: &Arc<str>, then: Option<&Arc<str>>| {
        if then == Some(now) {
            String::new()
        } else {
            now.to_string()
        }
    };
    wire::Process {
        pid: process.key.pid,
        start_ms: process.key.start_ms,
        parent_pid: process.parent_pid,
        user: text(&process.user, before.map(|before| &before.user)),
        name: text(&process.name, before.map(|before| &before.name)),
        command: text(&process.command, before.map(|before| &before.command)),
        state: state_to_wire(process.state).into(),
        cpu_centipercent_plus_one: process
            .cpu_percent
            .map_or(0, |percent| (percent * 100.0).round() as u32 + 1),
        memory_bytes: process.memory_bytes,
        threads: process.threads,
        read_bytes_per_second: process.read_bytes_per_second,
        write_bytes_per_second: process.write_bytes_per_second,
    }
}

/// A change of the process list for someone who has `known`; texts come back free of control characters.
#[must_use]
pub fn processes_from_wire(update: &wire::ProcessUpdate, known: &ProcessTable) -> ProcessDelta {
    let changed = update.changed.iter().take(ProcessTable::LIMIT).map(|process| {
        let key = ProcessKey {
            pid: process.pid,
            start_ms: process.start_ms,
        };
        process_from_wire(process, if update.replace { None } else { known.get(key) })
    });
    let removed = update.removed.iter().map(|key| ProcessKey {
        pid: key.pid,
        start_ms: key.start_ms,
    });
    ProcessDelta {
        replace: update.replace,
        complete: update.complete,
        changed: changed.collect(),
        removed: removed.collect(),
        totals: ProcessTotals {
            processes: update.process_count,
            threads: update.thread_count,
            running: update.running_count,
            blocked: update.blocked_count,
            zombies: update.zombie_count,
        },
    }
}

fn process_from_wire(process: &wire::Process, before: Option<&Process>) -> Process {
    let shared = |now: &String, then: Option<&Arc<str>>, limit| match then {
        Some(then) if now.is_empty() => Arc::clone(then),
        _ => text(now, limit).into(),
    };
    let cpu = process.cpu_centipercent_plus_one;
    Process {
        key: ProcessKey {
            pid: process.pid,
            start_ms: process.start_ms,
        },
        parent_pid: process.parent_pid,
        user: shared(&process.user, before.map(|before| &before.user), TEXT_LIMIT),
        name: shared(&process.name, before.map(|before| &before.name), TEXT_LIMIT),
        command: shared(
            &process.command,
            before.map(|before| &before.command),
            COMMAND_LIMIT,
        ),
        state: state_from_wire(process.state()),
        cpu_percent: cpu.checked_sub(1).map(|centi| centi as f32 / 100.0),
        memory_bytes: process.memory_bytes,
        threads: process.threads,
        read_bytes_per_second: process.read_bytes_per_second,
        write_bytes_per_second: process.write_bytes_per_second,
    }
}

const STATES: [(ProcessState, wire::ProcessState); 7] = [
    (ProcessState::Running, wire::ProcessState::Running),
    (ProcessState::Sleeping, wire::ProcessState::Sleeping),
    (ProcessState::Blocked, wire::ProcessState::Blocked),
    (ProcessState::Stopped, wire::ProcessState::Stopped),
    (ProcessState::Zombie, wire::ProcessState::Zombie),
    (ProcessState::Idle, wire::ProcessState::Idle),
    (ProcessState::Unknown, wire::ProcessState::Unspecified),
];

fn state_to_wire(state: ProcessState) -> wire::ProcessState {
    STATES
        .iter()
        .find(|(ours, _)| *ours == state)
        .map_or(wire::ProcessState::Unspecified, |(_, theirs)| *theirs)
}

fn state_from_wire(state: wire::ProcessState) -> ProcessState {
    STATES
        .iter()
        .find(|(_, theirs)| *theirs == state)
        .map_or(ProcessState::Unknown, |(ours, _)| *ours)
}

/// The wire's number for a liveness.
#[must_use]
pub fn liveness_to_wire(liveness: Liveness) -> i32 {
    match liveness {
        Liveness::Live => wire::Liveness::Live,
        Liveness::Stale => wire::Liveness::Stale,
        Liveness::Lost => wire::Liveness::Lost,
    }
    .into()
}

/// The liveness of a number; what is not known counts as lost, the safe side.
#[must_use]
pub fn liveness_from_wire(number: i32) -> Liveness {
    match wire::Liveness::try_from(number) {
        Ok(wire::Liveness::Live) => Liveness::Live,
        Ok(wire::Liveness::Stale) => Liveness::Stale,
        _ => Liveness::Lost,
    }
}

/// The wire's number for a health.
#[must_use]
pub fn health_to_wire(health: Health) -> i32 {
    match health {
        Health::Healthy => wire::HealthStatus::Healthy,
        Health::Warning => wire::HealthStatus::Warning,
        Health::Critical => wire::HealthStatus::Critical,
        Health::Unknown => wire::HealthStatus::Unknown,
    }
    .into()
}

/// The health of a number.
#[must_use]
pub fn health_from_wire(number: i32) -> Health {
    match wire::HealthStatus::try_from(number) {
        Ok(wire::HealthStatus::Healthy) => Health::Healthy,
        Ok(wire::HealthStatus::Warning) => Health::Warning,
        Ok(wire::HealthStatus::Critical) => Health::Critical,
        _ => Health::Unknown,
    }
}

/// Remote text without control characters, cut to `limit` bytes at a character.
pub(crate) fn text(value: &str, limit: usize) -> String {
    sanitize(&value[..value.floor_char_boundary(limit)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn process(pid: u32, command: &str, cpu: Option<f32>) -> Process {
        Process {
            key: ProcessKey { pid, start_ms: 7 },
            parent_pid: 1,
            user: "ana".into(),
            name: "java".into(),
            command: command.into(),
            state: ProcessState::Blocked,
            cpu_percent: cpu,
            memory_bytes: 1 << 40,
            threads: 12,
            read_bytes_per_second: None,
            write_bytes_per_second: Some(0),
        }
    }

    proptest! {
        #[test]
        fn a_tick_survives_the_wire(values in prop::collection::btree_map(any::<u32>(), any::<i64>(), 0..200)) {
            let values: Vec<_> = values.into_iter().collect();
            prop_assert_eq!(tick_values(&tick_to_wire(UnixMillis(5), &values)).unwrap(), values);
        }

        #[test]
        fn no_tick_from_afar_panics(steps in prop::collection::vec(any::<u32>(), 0..9), values in prop::collection::vec(any::<i64>(), 0..9)) {
            let tick = wire::Tick { at_unix_ms: i64::MIN, series_steps: steps, values };
            let _ = tick_values(&tick);
        }
    }

    #[test]
    fn process_texts_are_sent_once_and_kept() {
        let mut known = ProcessTable::default();
        let first = ProcessDelta {
            replace: true,
            changed: vec![process(1, "java -jar x", None)],
            ..Default::default()
        };
        known.apply(&processes_from_wire(&processes_to_wire(&first, &known), &known));
        let second = ProcessDelta {
            changed: vec![process(1, "java -jar x", Some(99.5))],
            ..Default::default()
        };
        let wire = processes_to_wire(&second, &known);
        assert_eq!(
            (wire.changed[0].command.as_str(), wire.changed[0].user.as_str()),
            ("", "")
        );
        assert_eq!(processes_from_wire(&wire, &known).changed, second.changed);
    }

    #[test]
    fn a_command_cannot_carry_an_escape_sequence() {
        let mut hostile = processes_to_wire(
            &ProcessDelta {
                changed: vec![process(1, "x", None)],
                ..Default::default()
            },
            &ProcessTable::default(),
        );
        hostile.changed[0].command = "\u{1b}]52;c;AAAA\u{7}".repeat(2_000);
        let command = &processes_from_wire(&hostile, &ProcessTable::default()).changed[0].command;
        assert!(sysmon_core::is_clean(command) && command.len() <= 3 * COMMAND_LIMIT);
    }

    #[test]
    fn series_definitions_round_trip_and_bad_ones_are_refused() {
        let key = SeriesKey::of(sysmon_core::MetricId::MountUsedPercent, "/srv");
        let definition = series_to_wire(7, &key, 1);
        assert_eq!(series_from_wire(&definition).unwrap(), (7, key, 1));
        for bad in [
            wire::SeriesDefinition {
                metric: String::new(),
                ..definition.clone()
            },
            wire::SeriesDefinition {
                metric: "a\u{1b}b".into(),
                ..definition.clone()
            },
            wire::SeriesDefinition {
                decimals: 10,
                ..definition.clone()
            },
        ] {
            assert!(series_from_wire(&bad).is_err());
        }
    }
}
