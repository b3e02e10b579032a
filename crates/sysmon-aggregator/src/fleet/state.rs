//! One machine at one moment, for whoever asks once.

use std::cmp::Reverse;

use prost::Message;
use sysmon_api::{ApiError, health_to_wire, host_to_wire, liveness_to_wire, process_table_to_wire, wire};
use sysmon_core::{Label, Series, UnixMillis, from_scaled};

use super::Fleet;
use super::machine::Machine;
use crate::config::Config;

/// An answer is at most about this large; what does not fit is left out, idle processes first. A message may have 4 MiB.
const STATE_BYTES_MAX: usize = 3 * 1_024 * 1_024;

impl Fleet {
    /// What is known of a machine now, its busiest processes first.
    ///
    /// # Errors
    /// [`sysmon_api::Code::NotFound`] for a machine that never reported.
    pub fn state(&self, machine_id: &str) -> Result<wire::MachineState, ApiError> {
        let machine = &self.machines[self.find(machine_id)? as usize];
        let mut room = STATE_BYTES_MAX;
        let mut fits = |bytes: usize| {
            room = room.saturating_sub(bytes + 5);
            room > 0
        };
        let metrics = machine
            .recent
            .series()
            .filter_map(|(_, series)| metric(machine, series))
            .take_while(|metric| fits(metric.encoded_len()))
            .collect();
        let processes = machine.processes.as_ref().map(|processes| {
            let mut all = process_table_to_wire(processes).changed;
            // Only matters for machines with tens of thousands of them.
            all.sort_by_key(|process| Reverse((process.cpu_centipercent_plus_one, process.memory_bytes)));
            all.into_iter()
                .take_while(|process| fits(process.encoded_len()))
                .collect()
        });
        Ok(wire::MachineState {
            machine_id: machine.id.to_string(),
            host: Some(host_to_wire(&machine.host)),
            liveness: liveness_to_wire(machine.liveness),
            health: health_to_wire(machine.health),
            last_seen_unix_ms: machine.last_seen.0,
            metrics,
            processes: processes.unwrap_or_default(),
        })
    }
}

/// The newest value of a series; `None` when it has none.
fn metric(machine: &Machine, series: &Series) -> Option<wire::Metric> {
    let (tick, scaled) = series.column.last()?;
    let newest = *machine.recent.times().back()?;
    let at = machine
        .recent
        .time_of(tick)
        .unwrap_or_else(|| Config::before_the_window(newest));
    let labels = &series.key.labels;
    let unit = series.key.metric.unit();
    Some(metric_to_wire(
        machine.id.as_str(),
        at,
        series.key.metric.name(),
        from_scaled(scaled, series.decimals),
        labels,
        unit.word(),
    ))
}

/// One value as it travels to a simple client.
pub(crate) fn metric_to_wire(
    machine_id: &str,
    at: UnixMillis,
    name: &str,
    value: f64,
    labels: &[Label],
    unit: &str,
) -> wire::Metric {
    wire::Metric {
        machine_id: machine_id.into(),
        timestamp_unix_ms: at.0,
        r#type: name.into(),
        value,
        labels: labels
            .iter()
            .map(|label| (label.name.to_string(), label.value.to_string()))
            .collect(),
        unit: unit.into(),
    }
}
