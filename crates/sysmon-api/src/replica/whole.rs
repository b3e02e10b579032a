//! A copy written down as the one update that makes it anew.

use sysmon_core::{Recent, series};

use super::{Machine, Replica};
use crate::convert::{health_to_wire, host_to_wire, liveness_to_wire, process_table_to_wire, series_to_wire};
use crate::wire;

impl Replica {
    /// The snapshot that gives this copy to whoever applies it.
    #[must_use]
    pub fn to_update(&self) -> wire::Update {
        let machines = self
            .machines
            .iter()
            .map(|(number, machine)| machine.to_update(*number));
        let mut update = wire::Update {
            snapshot: true,
            now_unix_ms: self.now.0,
            machines: machines.collect(),
            totals: Some(self.totals),
            ..wire::Update::default()
        };
        if let Some(window) = &self.window {
            update.has_window = true;
            update.window_first = window.first;
            update.matching = window.matching;
            update.window_machines.clone_from(&window.machines);
        }
        update
    }
}

impl Machine {
    fn to_update(&self, number: u32) -> wire::MachineUpdate {
        let announced = self.recent.series();
        wire::MachineUpdate {
            machine: number,
            header: Some(wire::MachineHeader {
                machine_id: self.id.to_string(),
                host: Some(host_to_wire(&self.host)),
                interval_ms: self.interval_ms,
                problem: self.problem.clone(),
            }),
            replace: true,
            liveness: liveness_to_wire(self.liveness),
            health: health_to_wire(self.health),
            last_seen_unix_ms: self.last_seen.0,
            announced: announced
                .map(|(number, series)| series_to_wire(number, &series.key, series.decimals))
                .collect(),
            history: Some(history(&self.recent)),
            processes: Some(process_table_to_wire(&self.processes)),
            sequence: self.sequence,
            ..wire::MachineUpdate::default()
        }
    }
}

/// All that is kept of the recent past, in columns.
fn history(recent: &Recent) -> wire::History {
    let first = recent.first_tick();
    let mut before = 0;
    let steps = recent.times().iter().map(|time| {
        let step = time.0.wrapping_sub(before);
        before = time.0;
        step
    });
    let columns = recent.series().map(|(number, series)| {
        let mut codes = vec![0; recent.times().len()];
        let mut before = 0;
        for (tick, value) in series.column.iter_from(first) {
            let place = tick
                .checked_sub(first)
                .and_then(|index| usize::try_from(index).ok());
            if let (Some(code), Some(value)) = (place.and_then(|place| codes.get_mut(place)), value) {
                *code = series::code(before, value);
                before = value;
            }
        }
        wire::SeriesHistory {
            series: number,
            codes,
        }
    });
    wire::History {
        at_unix_ms_steps: steps.collect(),
        series: columns.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::{processes_to_wire, tick_to_wire};
    use proptest::prelude::*;
    use sysmon_core::{
        MetricId, Process, ProcessKey, ProcessState, ProcessTable, ProcessTotals, SeriesKey, UnixMillis,
    };

    proptest! {
        #[test]
        fn a_copy_comes_back_as_it_was(
            ticks in prop::collection::vec(prop::collection::vec((1u32..4, -9i64..9_999), 0..4), 0..40),
            window in any::<bool>(),
        ) {
            let keys = [MetricId::CpuBusy, MetricId::MemoryUsed, MetricId::Load1].map(SeriesKey::plain);
            let process = Process {
                key: ProcessKey { pid: 7, start_ms: 9 },
                command: "java -jar shop.jar".into(),
                cpu_percent: Some(12.5),
                parent_pid: 1,
                user: "shop".into(),
                name: "java".into(),
                state: ProcessState::Running,
                memory_bytes: 5,
                threads: 6,
                read_bytes_per_second: None,
                write_bytes_per_second: Some(8),
            };
            let table = ProcessTable::new(vec![process], ProcessTotals::default(), true);
            let machine = wire::MachineUpdate {
                machine: 3,
                header: Some(wire::MachineHeader {
                    machine_id: "web-1".into(),
                    interval_ms: 1_000,
                    problem: "two machines have this id".into(),
                    ..Default::default()
                }),
                replace: true,
                liveness: wire::Liveness::Stale.into(),
                announced: (1..).zip(&keys).map(|(number, key)| series_to_wire(number, key, 1)).collect(),
                ticks: (1..)
                    .zip(&ticks)
                    .map(|(second, values)| {
                        let mut values = values.clone();
                        values.sort_unstable_by_key(|(number, _)| *number);
                        values.dedup_by_key(|(number, _)| *number);
                        tick_to_wire(UnixMillis(second * 1_000), &values)
                    })
                    .collect(),
                processes: Some(processes_to_wire(&table.to_delta(), &ProcessTable::default())),
                sequence: 12,
                ..Default::default()
            };
            let first = wire::Update {
                snapshot: true,
                now_unix_ms: 99_000,
                machines: vec![machine],
                totals: Some(wire::FleetTotals { live: 8, ..Default::default() }),
                has_window: window,
                matching: if window { 40 } else { 0 },
                window_machines: if window { vec![3] } else { Vec::new() },
                ..Default::default()
            };
            let mut replica = Replica::default();
            replica.apply(&first).unwrap();
            let written = replica.to_update();
            let mut again = Replica::default();
            again.apply(&written).unwrap();
            prop_assert_eq!(again.to_update(), written);
            let (one, other) = (replica.find("web-1").unwrap(), again.find("web-1").unwrap());
            prop_assert_eq!(one.recent.times(), other.recent.times());
            for (number, series) in one.recent.series() {
                let points = |machine: &Machine, series| machine.recent.points(series, 0).collect::<Vec<_>>();
                prop_assert_eq!(points(one, series), points(other, other.recent.get(number).unwrap()));
            }
            prop_assert_eq!(one.processes.get(ProcessKey { pid: 7, start_ms: 9 }), other.processes.get(ProcessKey { pid: 7, start_ms: 9 }));
            prop_assert_eq!((one.liveness, one.last_seen, &one.problem), (other.liveness, other.last_seen, &other.problem));
            prop_assert_eq!((replica.now(), replica.totals(), replica.window()), (again.now(), again.totals(), again.window()));
            prop_assert!(again.is_complete());
        }
    }
}
