use super::*;
use sysmon_api::{
    health_to_wire, host_to_wire, liveness_to_wire, processes_to_wire, series_to_wire, tick_to_wire, wire,
};
use sysmon_core::{
    HostInfo, Liveness, MetricId, ProcessDelta, ProcessKey, ProcessState, ProcessTable, SeriesKey,
    UnixMillis, to_scaled,
};

use crate::once::to_json;

const NOW: i64 = 1_700_000_000_000;

fn process(pid: u32, command: &str, cpu: Option<f32>) -> Process {
    Process {
        key: ProcessKey { pid, start_ms: 1 },
        parent_pid: 1,
        user: "ana".into(),
        name: "worker".into(),
        command: command.into(),
        state: ProcessState::Running,
        cpu_percent: cpu,
        memory_bytes: 3 << 20,
        threads: 4,
        read_bytes_per_second: None,
        write_bytes_per_second: None,
    }
}

fn machine(
    number: u32,
    id: &str,
    liveness: Liveness,
    health: Health,
    values: &[(SeriesKey, f64)],
) -> wire::MachineUpdate {
    let decimals = |key: &SeriesKey| key.metric.definition().unwrap().decimals;
    let numbered = || values.iter().zip(1u32..);
    let scaled: Vec<_> = numbered()
        .map(|((key, value), number)| (number, to_scaled(*value, decimals(key)).unwrap()))
        .collect();
    let host = HostInfo {
        hostname: id.into(),
        os: "Debian\u{1b}[2J GNU/Linux".into(),
        kernel: "6.1.0".into(),
        cpu_model: "Xeon".into(),
        cpu_count: 4,
        ..HostInfo::default()
    };
    let delta = ProcessDelta {
        replace: true,
        complete: true,
        changed: vec![
            process(7, "worker --quiet", Some(0.1)),
            process(9, "stress --cpu 1", Some(99.5)),
            process(8, "", None),
        ],
        ..ProcessDelta::default()
    };
    wire::MachineUpdate {
        machine: number,
        header: Some(wire::MachineHeader {
            machine_id: id.into(),
            host: Some(host_to_wire(&host)),
            interval_ms: 1_000,
            problem: String::new(),
        }),
        replace: true,
        liveness: liveness_to_wire(liveness),
        health: health_to_wire(health),
        last_seen_unix_ms: NOW - 1_500,
        announced: numbered()
            .map(|((key, _), number)| series_to_wire(number, key, decimals(key)))
            .collect(),
        ticks: vec![tick_to_wire(UnixMillis(NOW - 1_500), &scaled)],
        processes: Some(processes_to_wire(&delta, &ProcessTable::default())),
        sequence: 1,
        ..wire::MachineUpdate::default()
    }
}

fn fleet(machines: Vec<wire::MachineUpdate>) -> Snapshot {
    let mut fleet = sysmon_api::Replica::default();
    fleet
        .apply(&wire::Update {
            snapshot: true,
            now_unix_ms: NOW,
            machines,
            ..wire::Update::default()
        })
        .unwrap();
    Snapshot::of_fleet(fleet)
}

/// The same with a rule, a critical alert, and one that somebody knows of.
fn with_alerts(mut snapshot: Snapshot) -> Snapshot {
    let alert = |machine: &str, severity: wire::Severity| wire::Alert {
        key: Some(wire::AlertKey {
            rule_id: "cpu-busy".into(),
            machine_id: machine.into(),
            entity: String::new(),
        }),
        phase: wire::AlertPhase::Firing.into(),
        severity: severity.into(),
        since_unix_ms: NOW - 240_000,
        fired_unix_ms: Some(NOW - 240_000),
        value: Some(97.25),
        threshold: Some(95.0),
        ..wire::Alert::default()
    };
    let mut known = alert("db-2", wire::Severity::Warning);
    known.acknowledgement = Some(wire::Acknowledgement {
        by: "ana".into(),
        severity: wire::Severity::Warning.into(),
        ..wire::Acknowledgement::default()
    });
    let rule = wire::Rule {
        rule_id: "cpu-busy".into(),
        title: "CPU \u{1b}busy".into(),
        enabled: true,
        check: Some(wire::rule::Check::Metric(wire::MetricCheck {
            quantity: Some(wire::Quantity {
                metric: "cpu.busy_percent".into(),
                function: wire::Function::Last.into(),
                ..wire::Quantity::default()
            }),
            comparison: wire::Comparison::Above.into(),
            ..wire::MetricCheck::default()
        })),
        ..wire::Rule::default()
    };
    let mut board = crate::state::alerts::board::Board::default();
    board.apply(&wire::AlertBoard {
        snapshot: true,
        alerts: vec![known, alert("web-1", wire::Severity::Critical)],
        rules: vec![wire::StoredRule {
            rule: Some(rule),
            version: 1,
            ..wire::StoredRule::default()
        }],
        ..wire::AlertBoard::default()
    });
    snapshot.board = Some(board);
    snapshot
}

#[test]
fn alerts_are_part_of_the_snapshot_and_a_critical_one_is_noted() {
    let quiet = fleet(vec![machine(
        1,
        "web-1",
        Liveness::Live,
        Health::Healthy,
        &typical(),
    )]);
    assert!(!quiet.has_critical());
    assert!(
        to_json(&quiet)
            .unwrap()
            .contains(r#""alerts":[],"alerts_known":false"#)
    );
    let snapshot = with_alerts(quiet);
    assert!(snapshot.has_critical());
    let json: serde_json::Value = serde_json::from_str(&to_json(&snapshot).unwrap()).unwrap();
    assert_eq!(
        json["alerts"],
        serde_json::json!([
            {"rule": "cpu-busy", "machine_id": "web-1", "entity": "", "state": "firing", "severity": "critical",
             "since_unix_ms": NOW - 240_000, "value": 97.25, "threshold": 95.0, "acknowledged": false, "silenced": false},
            {"rule": "cpu-busy", "machine_id": "db-2", "entity": "", "state": "firing", "severity": "warning",
             "since_unix_ms": NOW - 240_000, "value": 97.25, "threshold": 95.0, "acknowledged": true, "silenced": false},
        ])
    );
    let style = TextStyle {
        width: 100,
        is_coloured: false,
    };
    let text = to_text(&snapshot, style);
    let alerts: String = text
        .lines()
        .skip_while(|line| !line.contains("fires"))
        .take(5)
        .map(|line| format!("{line}\n"))
        .collect();
    insta::assert_snapshot!(alerts);
}

fn typical() -> Vec<(SeriesKey, f64)> {
    use MetricId::*;
    vec![
        (SeriesKey::plain(CpuBusy), 0.1 + 0.2),
        (SeriesKey::plain(CpuUser), 97.2),
        (SeriesKey::plain(Load1), 1.5),
        (SeriesKey::plain(Load5), 0.75),
        (SeriesKey::plain(MemoryTotal), 16_777_216_000.0),
        (SeriesKey::plain(MemoryUsedPercent), 91.5),
        (SeriesKey::plain(MountWorstPercent), 98.5),
        (SeriesKey::plain(Uptime), 93_784.0),
        (SeriesKey::of(MountTotal, "/srv"), 1e12),
        (SeriesKey::of(MountUsedPercent, "/srv"), 98.5),
        (SeriesKey::of(MountTotal, "/"), 2e10),
        (SeriesKey::of(DiskRead, "sda"), 12_400_000.0),
        (SeriesKey::of(NetworkReceive, "eth0"), 880_400.0),
        (SeriesKey::of(NetworkLinkUp, "eth0"), 1.0),
    ]
}

#[test]
fn a_single_machine_is_shown_with_its_parts() {
    let fleet = fleet(vec![machine(
        1,
        "web-1",
        Liveness::Live,
        Health::Critical,
        &typical(),
    )]);
    insta::assert_snapshot!(to_text(
        &fleet,
        TextStyle {
            width: 100,
            is_coloured: false
        }
    ));
}

#[test]
fn a_fleet_is_a_table_with_the_worst_first() {
    let busy = |percent| vec![(SeriesKey::plain(MetricId::CpuBusy), percent)];
    let fleet = fleet(vec![
        machine(1, "calm-2", Liveness::Live, Health::Healthy, &busy(3.0)),
        machine(2, "calm-10", Liveness::Live, Health::Healthy, &busy(3.0)),
        machine(3, "gone", Liveness::Lost, Health::Unknown, &[]),
        machine(4, "hot", Liveness::Live, Health::Critical, &busy(97.0)),
        machine(5, "warm", Liveness::Stale, Health::Warning, &busy(86.0)),
        machine(6, "busy", Liveness::Live, Health::Healthy, &busy(60.0)),
    ]);
    insta::assert_snapshot!(to_text(
        &fleet,
        TextStyle {
            width: 100,
            is_coloured: false
        }
    ));
}

#[test]
fn no_line_is_wider_than_the_terminal_and_none_carries_a_control_character() {
    let id = "a-very-long-machine-name-of-some-cloud-provider-that-likes-names".to_owned();
    let mut hostile = machine(1, &id, Liveness::Live, Health::Healthy, &typical());
    for process in &mut hostile.processes.as_mut().unwrap().changed {
        process.command = format!("\u{1b}]0;x\u{7}{}", "漢字".repeat(80));
    }
    for width in [30, 60, 80, 100, 200] {
        let text = to_text(
            &fleet(vec![hostile.clone()]),
            TextStyle {
                width,
                is_coloured: false,
            },
        );
        for line in text.lines() {
            assert!(sysmon_core::is_clean(line), "{line:?}");
            assert!(sysmon_core::display_width(line) <= width, "{width}: {line}");
        }
    }
}

#[test]
fn colour_marks_what_is_bad_and_only_where_it_is_wanted() {
    let fleet = fleet(vec![machine(
        1,
        "web-1",
        Liveness::Live,
        Health::Critical,
        &typical(),
    )]);
    let coloured = to_text(
        &fleet,
        TextStyle {
            width: 100,
            is_coloured: true,
        },
    );
    assert!(coloured.contains("\u{1b}[31mcritical\u{1b}[0m"), "{coloured}");
    let plain = to_text(
        &fleet,
        TextStyle {
            width: 100,
            is_coloured: false,
        },
    );
    assert!(!plain.contains('\u{1b}'));
    let stripped = coloured
        .replace("\u{1b}[31m", "")
        .replace("\u{1b}[33m", "")
        .replace("\u{1b}[0m", "");
    assert_eq!(stripped, plain, "colour moves nothing");
}

#[test]
fn an_empty_fleet_says_what_to_do() {
    assert!(
        to_text(
            &Snapshot::default(),
            TextStyle {
                width: 80,
                is_coloured: false
            }
        )
        .contains("sysmon collector")
    );
}

#[test]
fn the_json_is_what_scripts_rely_on() {
    let values = [
        (SeriesKey::plain(MetricId::MemoryTotal), 16_777_216_000.0),
        (SeriesKey::of(MetricId::MountUsedPercent, "/srv"), 98.5),
        (SeriesKey::of(MetricId::MountUsedPercent, "/"), 5.0),
        (SeriesKey::plain(MetricId::CpuBusy), 0.1 + 0.2),
    ];
    let fleet = fleet(vec![
        machine(1, "web-2", Liveness::Stale, Health::Unknown, &[]),
        machine(2, "web-1", Liveness::Live, Health::Critical, &values),
    ]);
    let json = to_json(&fleet).unwrap();
    assert!(json.ends_with("}\n") && json.matches('\n').count() == 1);
    let processes = concat!(
        r#"[{"pid":9,"user":"ana","name":"worker","command":"stress --cpu 1","state":"R","cpu_percent":99.5,"memory_bytes":3145728},"#,
        r#"{"pid":7,"user":"ana","name":"worker","command":"worker --quiet","state":"R","cpu_percent":0.1,"memory_bytes":3145728},"#,
        r#"{"pid":8,"user":"ana","name":"worker","command":"","state":"R","cpu_percent":null,"memory_bytes":3145728}]"#,
    );
    let expected = format!(
        concat!(
            r#"{{"at_unix_ms":1700000000000,"machines":["#,
            r#"{{"machine_id":"web-1","hostname":"web-1","state":"live","health":"critical","last_seen_unix_ms":1699999998500,"metrics":["#,
            r#"{{"name":"cpu.busy_percent","labels":{{}},"unit":"percent","value":0.3}},"#,
            r#"{{"name":"memory.total_bytes","labels":{{}},"unit":"bytes","value":16777216000}},"#,
            r#"{{"name":"mount.used_percent","labels":{{"mount":"/"}},"unit":"percent","value":5.0}},"#,
            r#"{{"name":"mount.used_percent","labels":{{"mount":"/srv"}},"unit":"percent","value":98.5}}],"#,
            r#""processes":{processes}}},"#,
            r#"{{"machine_id":"web-2","hostname":"web-2","state":"stale","health":"unknown","last_seen_unix_ms":1699999998500,"metrics":[],"processes":{processes}}}],"#,
            r#""alerts":[],"alerts_known":false}}"#,
            "\n"
        ),
        processes = processes
    );
    assert_eq!(json, expected);
}
