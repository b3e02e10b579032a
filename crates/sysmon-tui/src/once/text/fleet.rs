//! Every machine in a line.

use sysmon_api::Machine;
use sysmon_core::{Health, Liveness, MetricId, UnixMillis, format_age, format_value, thresholds};

use super::TextStyle;
use super::table::{Cell, Table};
use crate::state::fleet::{badness, natural};

const HEADINGS: &[&str] = &[
    "MACHINE", "STATE", "HEALTH", "CPU", "MEM", "DISK", "LOAD", "RECV", "SENT", "AGE",
];
const NUMBERS: [MetricId; 6] = [
    MetricId::CpuBusy,
    MetricId::MemoryUsedPercent,
    MetricId::MountWorstPercent,
    MetricId::Load1,
    MetricId::NetworkReceiveTotal,
    MetricId::NetworkTransmitTotal,
];

/// Sorts the machines, worst first, and lists them below a line of totals.
pub(super) fn describe(machines: &mut [&Machine], now: UnixMillis, style: TextStyle) -> String {
    let busy = |machine: &Machine| machine.recent.value(MetricId::CpuBusy).unwrap_or(-1.0);
    machines.sort_by(|a, b| {
        badness(b)
            .cmp(&badness(a))
            .then(busy(b).total_cmp(&busy(a)))
            .then_with(|| natural(&a.id, &b.id))
    });
    let mut table = Table::new(HEADINGS, 3);
    for machine in machines.iter() {
        table.row(row(machine, now));
    }
    format!("{}\n\n{}", totals(machines), table.render(style))
}

fn row(machine: &Machine, now: UnixMillis) -> Vec<Cell> {
    let liveness = match machine.liveness {
        Liveness::Live => Health::Healthy,
        Liveness::Stale => Health::Warning,
        Liveness::Lost => Health::Critical,
    };
    let mut cells = vec![
        Cell::from(&*machine.id),
        Cell::judged(machine.liveness.word(), liveness),
        Cell::judged(machine.health.word(), machine.health),
    ];
    cells.extend(NUMBERS.map(|metric| value(machine, metric)));
    cells.push(format_age(now.since_ms(machine.last_seen)).into());
    cells
}

/// The newest value of a plain metric, judged by its levels; a dash when there is none.
pub(super) fn value(machine: &Machine, metric: MetricId) -> Cell {
    let Some(value) = machine.recent.value(metric) else {
        return "–".into();
    };
    let health = thresholds(metric).map_or(Health::Unknown, |levels| levels.judge(value));
    Cell::judged(format_value(value, metric.definition().unit), health)
}

/// What there is how often, leaving out what there is not: `3 machines: 2 live, 1 lost; 1 critical, 2 healthy`.
fn totals(machines: &[&Machine]) -> String {
    let count = |is: &dyn Fn(&Machine) -> bool| machines.iter().filter(|machine| is(machine)).count();
    let list = |counts: Vec<(usize, &str)>| {
        let parts: Vec<_> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        parts.join(", ")
    };
    let states = [Liveness::Live, Liveness::Stale, Liveness::Lost]
        .map(|state| (count(&|machine| machine.liveness == state), state.word()));
    let healths = [
        Health::Critical,
        Health::Warning,
        Health::Unknown,
        Health::Healthy,
    ]
    .map(|health| {
        let is = |machine: &Machine| machine.liveness == Liveness::Live && machine.health == health;
        (count(&is), health.word())
    });
    let noun = if machines.len() == 1 {
        "machine"
    } else {
        "machines"
    };
    let parts = [list(states.to_vec()), list(healths.to_vec())];
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    format!(
        "{} {noun}: {}",
        machines.len(),
        parts.collect::<Vec<_>>().join("; ")
    )
}
