//! The order of the fleet: by a number that moves only when it has changed clearly, so that rows can be read.

use std::cmp::Ordering;
use std::collections::HashMap;

use sysmon_api::{Machine, Replica};
use sysmon_core::{Health, Liveness, MetricId, UnixMillis, natural, thresholds};

use super::columns::{Columns, Fact, FleetColumn};

/// How long a machine must have been better before it gives its place up: what flaps does not jump.
const BETTER_FOR_MS: u64 = 12_000;
/// Share of its value by which a machine's number must change before its place does.
const CLEARLY: f64 = 0.08;

/// Where a machine stands, as it was last settled.
#[derive(Clone, Copy, Debug)]
struct Place {
    badness: u8,
    /// Since when it is better than its place; 0 when it is not.
    better_since: UnixMillis,
    /// The number that it is sorted by.
    value: Option<f64>,
}

/// Where the machines of a fleet stand, kept from one ordering to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    places: HashMap<u32, Place>,
    /// Places by name, so that ties need no comparison of texts.
    names: HashMap<u32, u32>,
    column: FleetColumn,
}

impl Places {
    /// The names have changed.
    pub(super) fn rename(&mut self, fleet: &Replica) {
        let mut names: Vec<(u32, &str)> = fleet
            .machines()
            .map(|(number, machine)| (number, &*machine.id))
            .collect();
        names.sort_by(|(_, a), (_, b)| natural(a, b));
        self.names = names
            .into_iter()
            .zip(0u32..)
            .map(|((number, _), rank)| (number, rank))
            .collect();
        let names = &self.names;
        self.places.retain(|number, _| names.contains_key(number));
    }

    /// Forgets what was settled: another column, or another fleet.
    pub(super) fn unsettle(&mut self) {
        self.places.clear();
    }

    /// Machines by a column, each with its number.
    pub(super) fn sort(
        &mut self,
        machines: Vec<(u32, &Machine)>,
        (column, inverted): (FleetColumn, bool),
        columns: &Columns,
        alerts: impl Fn(&str) -> usize,
        now: UnixMillis,
    ) -> Vec<u32> {
        if std::mem::replace(&mut self.column, column) != column {
            self.unsettle();
        }
        let turn = |order: Ordering| if inverted { order.reverse() } else { order };
        let rank = |names: &HashMap<u32, u32>, number: u32| names.get(&number).copied().unwrap_or(u32::MAX);
        if matches!(column, FleetColumn::Fact(_) | FleetColumn::Label(_)) {
            let mut rows: Vec<(String, u32, u32)> = machines
                .into_iter()
                .map(|(number, machine)| (text(machine, column, columns), rank(&self.names, number), number))
                .collect();
            // What has no value comes last, whichever way round.
            rows.sort_by(|a, b| {
                let empty = a.0.is_empty().cmp(&b.0.is_empty());
                empty
                    .then_with(|| turn(natural(&a.0, &b.0)))
                    .then_with(|| a.1.cmp(&b.1))
            });
            return rows.into_iter().map(|(_, _, number)| number).collect();
        }
        let mut rows: Vec<(u8, Option<f64>, u32, u32)> = machines
            .into_iter()
            .map(|(number, machine)| {
                let (badness, value) = match column {
                    FleetColumn::Name => (0, None),
                    FleetColumn::Age => (0, Some(-(machine.last_seen.0 as f64))),
                    FleetColumn::Alerts | FleetColumn::Status => {
                        let place = self.settle(number, machine, now);
                        (place.0, Some(alerts(&machine.id) as f64))
                    }
                    _ => self.settle(number, machine, now),
                };
                (badness, value, rank(&self.names, number), number)
            })
            .collect();
        rows.sort_unstable_by(|a, b| {
            let order = if column == FleetColumn::Name {
                a.2.cmp(&b.2)
            } else {
                b.0.cmp(&a.0)
            };
            // What has no value comes last, whichever way round.
            let values = match (a.1, b.1) {
                (Some(a), Some(b)) => turn(b.total_cmp(&a)),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => Ordering::Equal,
            };
            turn(order).then(values).then_with(|| a.2.cmp(&b.2))
        });
        rows.into_iter().map(|(.., number)| number).collect()
    }

    /// How bad a machine counts as, and the number that decides among equals. Worse counts at once, better after a while.
    fn settle(&mut self, number: u32, machine: &Machine, now: UnixMillis) -> (u8, Option<f64>) {
        let metric = self.column.metric();
        let by_state = metric.is_none();
        let value = machine.recent.value(metric.unwrap_or(MetricId::CpuBusy));
        // Below the bad ones the order goes by steps of ten, so that it does not change with every flutter.
        let step = if by_state { 10.0 } else { 0.0 };
        let badness = if by_state { badness(machine) } else { 0 };
        let place = self.places.entry(number).or_insert(Place {
            badness,
            better_since: UnixMillis(0),
            value: value.map(|value| stepped(value, step)),
        });
        if badness >= place.badness {
            place.badness = badness;
            place.better_since = UnixMillis(0);
        } else if place.better_since == UnixMillis(0) {
            place.better_since = now;
        } else if now.since_ms(place.better_since) >= BETTER_FOR_MS {
            place.badness = badness;
            place.better_since = UnixMillis(0);
        }
        place.value = match (place.value, value) {
            (Some(settled), Some(value)) if by_state => {
                // A step is left only when the value is well outside of it.
                let is_outside = value < settled - 3.0 || value >= settled + step + 3.0;
                Some(if is_outside { stepped(value, step) } else { settled })
            }
            (Some(settled), Some(value)) => {
                let slack = (settled.abs() * CLEARLY).max(smallest_change(metric));
                Some(if (value - settled).abs() > slack {
                    value
                } else {
                    settled
                })
            }
            (_, value) => value.map(|value| stepped(value, step)),
        };
        (place.badness, place.value)
    }
}

fn stepped(value: f64, step: f64) -> f64 {
    if step > 0.0 {
        (value / step).floor() * step
    } else {
        value
    }
}

/// Changes below this do not count, however small the value is.
fn smallest_change(metric: Option<MetricId>) -> f64 {
    use sysmon_core::Unit;
    match metric.map(|metric| metric.definition().unit) {
        Some(Unit::Percent) => 2.0,
        Some(Unit::BytesPerSecond) => 2_000.0,
        Some(Unit::Count) => 0.2,
        _ => 0.0,
    }
}

/// How bad a machine is, for the order.
pub(crate) fn badness(machine: &Machine) -> u8 {
    match (machine.liveness, machine.health) {
        (Liveness::Lost, _) => 4,
        (_, Health::Critical) => 3,
        (_, Health::Warning) => 2,
        (Liveness::Stale, _) => 1,
        _ => 0,
    }
}

/// How bad a value is on a scale of 0 to 1, for shades; `None` for one that has no scale of its own.
pub(crate) fn share_of_full(metric: MetricId, value: f64, machine: &Machine) -> Option<f64> {
    let definition = metric.definition();
    let full = match definition.unit {
        sysmon_core::Unit::Percent => thresholds(metric).map_or(100.0, |thresholds| thresholds.critical),
        _ if matches!(metric, MetricId::Load1 | MetricId::Load5 | MetricId::Load15) => {
            f64::from(machine.host.cpu_count.max(1)) * 2.0
        }
        _ => return None,
    };
    Some((value / full).clamp(0.0, 1.0))
}

/// The text of a fact or label.
pub(crate) fn text(machine: &Machine, column: FleetColumn, columns: &Columns) -> String {
    let host = &machine.host;
    match column {
        FleetColumn::Label(number) => {
            let name = columns.label(number);
            let labels = host.labels.iter();
            labels
                .filter(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
                .next()
                .unwrap_or_default()
        }
        FleetColumn::Fact(fact) => match fact {
            Fact::Hostname => host.hostname.clone(),
            Fact::Labels => {
                let labels: Vec<String> = host
                    .labels
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                labels.join(" ")
            }
            Fact::Os => {
                let os = host.os.replace("GNU/Linux ", "");
                os.split(" (").next().unwrap_or_default().to_owned()
            }
            Fact::Kernel => host.kernel.clone(),
            Fact::Architecture => host.architecture.clone(),
            Fact::Processor => host.cpu_model.clone(),
            Fact::Cores if host.cpu_count > 0 => host.cpu_count.to_string(),
            Fact::Interval if machine.interval_ms > 0 => {
                crate::entry::duration_text(machine.interval_ms.into()).replace(' ', "")
            }
            Fact::Cores | Fact::Interval => String::new(),
            Fact::Collector => host.collector_version.clone(),
        },
        _ => String::new(),
    }
}
