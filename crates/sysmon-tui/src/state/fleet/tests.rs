use proptest::prelude::*;
use sysmon_api::{series_to_wire, wire};
use sysmon_core::{SeriesKey, to_scaled};

use super::*;

/// A machine as it enters, with a processor time.
fn enter(number: u32, role: &str, cpu: f64, health: wire::HealthStatus) -> wire::MachineUpdate {
    wire::MachineUpdate {
        machine: number,
        header: Some(wire::MachineHeader {
            machine_id: format!("m-{number:03}"),
            host: Some(wire::HostInfo {
                labels: [("role".to_owned(), role.to_owned())].into(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        replace: true,
        liveness: wire::Liveness::Live.into(),
        health: health.into(),
        announced: vec![series_to_wire(1, &SeriesKey::plain(MetricId::CpuBusy), 1)],
        ticks: vec![sysmon_api::tick_to_wire(
            UnixMillis(1_000),
            &[(1, to_scaled(cpu, 1).unwrap())],
        )],
        ..Default::default()
    }
}

fn apply(fleet: &mut Replica, table: &mut FleetTable, machines: Vec<wire::MachineUpdate>) {
    let update = wire::Update {
        subscription: 1,
        machines,
        ..Default::default()
    };
    fleet.apply(&update).unwrap();
    table.take(&update);
}

fn clocks(second: i64) -> Clocks {
    Clocks {
        now: UnixMillis(second * 1_000),
        aggregator: UnixMillis(second * 1_000),
    }
}

#[test]
fn what_is_remembered_brings_the_same_table_back() {
    let mut table = FleetTable::default();
    table.columns.toggle(FleetColumn::LOAD);
    table.sort_by(FleetColumn::MEMORY);
    table.invert();
    table.group_by(Some("role"));
    table.is_heat_map = true;
    table.filter.remember("cpu > 50");
    table.filter.save("hot", "cpu > 90").unwrap();
    let layout = table.layout();
    let text = serde_json::to_string(&layout).unwrap();
    let mut other = FleetTable::default();
    other.restore(&serde_json::from_str(&text).unwrap());
    assert_eq!(other.layout(), layout);
    // What another release wrote is taken as far as it is understood.
    other.restore(&serde_json::from_str(r#"{"sort": "nonsense", "columns": ["age"], "more": 1}"#).unwrap());
    assert_eq!(other.sort, FleetColumn::Worst);
    assert_eq!(other.layout().columns, ["worst", "machine", "age"]);
}

proptest! {
    #[test]
    fn whatever_comes_and_goes_the_cursor_is_on_a_row_of_the_screen_and_on_its_machine(
        steps in prop::collection::vec((0u8..8, 0u32..30, 0.0..100.0f64, 0i32..4), 1..60), rows in 1usize..12,
    ) {
        let roles = ["web", "db", ""];
        let (mut fleet, mut table, board) = (Replica::default(), FleetTable::default(), Board::default());
        for (second, (step, number, cpu, health)) in (1i64..).zip(steps) {
            match step {
                0..=3 => {
                    let health = wire::HealthStatus::try_from(health).unwrap_or_default();
                    let machine = enter(number, roles[number as usize % 3], cpu, health);
                    apply(&mut fleet, &mut table, vec![machine]);
                }
                4 => {
                    let left = wire::MachineUpdate { machine: number, left: true, ..Default::default() };
                    apply(&mut fleet, &mut table, vec![left]);
                }
                5 => table.move_cursor(&fleet, Movement::By(if cpu > 50.0 { 3 } else { -2 })),
                6 => {
                    let next = table.grouping.next_label();
                    table.group_by(next.as_deref());
                }
                _ => {
                    if let Some(name) = table.selected_group().cloned() {
                        table.fold(&name, cpu > 50.0);
                    }
                }
            }
            let before = table.selected().cloned();
            table.refresh(&fleet, &board, clocks(second), rows);
            if table.len() == 0 {
                prop_assert_eq!(table.cursor(), None);
                continue;
            }
            let cursor = table.cursor().unwrap();
            prop_assert!(cursor < table.len() && cursor >= table.offset && cursor < table.offset + rows);
            match table.row(cursor).unwrap() {
                Row::Machine(number) => {
                    prop_assert_eq!(Some(&fleet.machine(number).unwrap().id), table.selected());
                }
                Row::Group(_) => prop_assert!(table.selected().is_none() && table.selected_group().is_some()),
            }
            // Somebody's selection is not taken away while its row is there.
            let is_there = before.as_ref().is_some_and(|id| {
                (0..table.len()).any(|row| matches!(table.row(row), Some(Row::Machine(number))
                    if fleet.machine(number).is_some_and(|machine| machine.id == *id)))
            });
            if table.is_placed && is_there {
                prop_assert_eq!(table.selected(), before.as_ref());
            }
        }
    }
}

#[test]
fn a_machine_that_is_better_keeps_its_place_for_a_while() {
    let (mut fleet, mut table, board) = (Replica::default(), FleetTable::default(), Board::default());
    let critical = enter(1, "web", 10.0, wire::HealthStatus::Critical);
    let healthy = enter(2, "web", 90.0, wire::HealthStatus::Healthy);
    apply(&mut fleet, &mut table, vec![critical, healthy]);
    table.refresh(&fleet, &board, clocks(1), 10);
    let well = enter(1, "web", 10.0, wire::HealthStatus::Healthy);
    let mut first = Vec::new();
    for second in 2..20 {
        apply(&mut fleet, &mut table, vec![well.clone()]);
        table.refresh(&fleet, &board, clocks(second), 10);
        first.push(table.row(0));
    }
    assert_eq!(first[0], Some(Row::Machine(1)), "it was critical a moment ago");
    assert_eq!(*first.last().unwrap(), Some(Row::Machine(2)));
    // What gets worse is on top at once, or as soon as the order changes at all.
    let worse = enter(1, "web", 10.0, wire::HealthStatus::Warning);
    apply(&mut fleet, &mut table, vec![worse]);
    table.refresh(&fleet, &board, clocks(24), 10);
    assert_eq!(table.row(0), Some(Row::Machine(1)));
}
