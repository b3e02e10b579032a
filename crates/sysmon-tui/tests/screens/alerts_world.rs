//! Rules and alerts for the made-up fleet, told in the aggregator's own messages.

use sysmon_api::{rule_to_wire, wire};
use sysmon_core::alert::{
    Check, Comparison, Function, Guard, Level, MetricCheck, Quantity, Rule, RuleId, Scope, Severity,
};
use sysmon_tui::{Event, LinkEvent};

use crate::world::{FLEET, NOW, World, fleet_snapshot};

pub(crate) fn quantity(metric: &str, function: Function, window_ms: u64) -> Quantity {
    Quantity {
        metric: metric.into(),
        per: None,
        function,
        window_ms,
    }
}

fn level(trigger: f64, clear: Option<f64>) -> Option<Level> {
    Some(Level {
        trigger,
        clear,
        and: None,
    })
}

pub(crate) fn rule(id: &str, title: &str, quantity: Quantity, warning: f64, critical: f64) -> Rule {
    Rule {
        id: RuleId::parse(id).unwrap(),
        title: title.into(),
        note: String::new(),
        enabled: true,
        hold_ms: 60_000,
        clear_hold_ms: 0,
        scope: Scope::default(),
        check: Check::Metric(MetricCheck {
            quantity,
            comparison: Comparison::Above,
            info: None,
            warning: level(warning, None),
            critical: level(critical, Some(critical - 10.0)),
        }),
    }
}

/// A few of the rules that ship.
pub(crate) fn rules() -> Vec<wire::StoredRule> {
    let mut cpu = rule(
        "cpu-busy",
        "CPU busy",
        quantity("cpu.busy_percent", Function::Average, 600_000),
        85.0,
        95.0,
    );
    cpu.note = "Look at the busiest processes; restart the checkout service when it is one of them.".into();
    let memory = rule(
        "memory",
        "Memory",
        quantity("memory.used_percent", Function::Last, 0),
        90.0,
        98.0,
    );
    let mut mounts = rule(
        "mount-full",
        "File system",
        quantity("mount.used_percent", Function::Last, 0),
        90.0,
        98.0,
    );
    mounts.scope.except_entities = vec!["/snap/*".into()];
    if let Check::Metric(check) = &mut mounts.check {
        check.critical.as_mut().unwrap().and = Some(Guard {
            quantity: quantity("mount.available_bytes", Function::Last, 0),
            comparison: Comparison::Below,
            value: 5.0 * 1_073_741_824.0,
        });
    }
    let mut load = rule(
        "load",
        "Load",
        quantity("load.15m", Function::Average, 600_000),
        40.0,
        80.0,
    );
    load.enabled = false;
    load.scope.labels = vec!["role=db".into()];
    let down = Rule {
        check: Check::MachineDown {
            severity: Severity::Critical,
        },
        ..rule(
            "machine-down",
            "Machine down",
            quantity("", Function::Last, 0),
            0.0,
            0.0,
        )
    };
    [cpu, memory, mounts, load, down]
        .iter()
        .zip(1u64..)
        .map(|(rule, version)| stored(rule, version))
        .collect()
}

pub(crate) fn stored(rule: &Rule, version: u64) -> wire::StoredRule {
    wire::StoredRule {
        rule: Some(rule_to_wire(rule)),
        version,
        changed_by: if version == 1 { "sysmon" } else { "ana" }.into(),
        changed_unix_ms: NOW - 86_400_000 * i64::try_from(version).unwrap(),
    }
}

pub(crate) fn alert(
    rule: &str,
    machine: &str,
    entity: &str,
    phase: wire::AlertPhase,
    severity: wire::Severity,
    minutes: i64,
) -> wire::Alert {
    let fires = phase == wire::AlertPhase::Firing;
    let (value, threshold) = match rule {
        "cpu-busy" if severity == wire::Severity::Critical => (Some(97.2), Some(95.0)),
        "cpu-busy" => (Some(87.3), Some(85.0)),
        "memory" if severity == wire::Severity::Critical => (Some(98.4), Some(98.0)),
        "memory" => (Some(96.4), Some(90.0)),
        "mount-full" => (Some(91.0), Some(90.0)),
        _ => (None, None),
    };
    wire::Alert {
        key: Some(wire::AlertKey {
            rule_id: rule.into(),
            machine_id: machine.into(),
            entity: entity.into(),
        }),
        phase: phase.into(),
        severity: severity.into(),
        since_unix_ms: NOW - minutes * 60_000,
        fired_unix_ms: fires.then_some(NOW - minutes * 60_000),
        value,
        threshold,
        peak: value.map(|value| value + 1.0),
        ..Default::default()
    }
}

pub(crate) fn alerts() -> Vec<wire::Alert> {
    use wire::AlertPhase::{Firing, Pending};
    use wire::Severity::{Critical, Warning};
    let mut cpu = alert("cpu-busy", "web-017", "", Firing, Critical, 4);
    cpu.culprits = vec![
        wire::Culprit {
            pid: 4_121,
            name: "java".into(),
            user: "app".into(),
            cpu_percent: 640.0,
            memory_bytes: 8_700_000_000,
        },
        wire::Culprit {
            pid: 988,
            name: "contain\u{1b}[31merd".into(),
            user: "root".into(),
            cpu_percent: 12.0,
            memory_bytes: 125_000_000,
        },
    ];
    let mut memory = alert("memory", "db-002", "", Firing, Warning, 12);
    memory.acknowledgement = Some(wire::Acknowledgement {
        by: "ana".into(),
        comment: "restarting at 15:00".into(),
        at_unix_ms: NOW - 600_000,
        until_unix_ms: None,
        severity: Warning.into(),
    });
    let mut silenced = alert("mount-full", "web-9", "/srv", Firing, Warning, 90);
    silenced.silence_id = 7;
    let mut inhibited = alert("cpu-busy", "edge-31", "", Firing, Warning, 6);
    inhibited.inhibited = true;
    let mut flapping = alert("cpu-busy", "web-004", "", Firing, Warning, 2);
    flapping.flapping = true;
    vec![
        cpu,
        memory,
        silenced,
        inhibited,
        flapping,
        alert("machine-down", "edge-31", "", Firing, Critical, 5),
        alert("mount-full", "web-017", "/", Pending, Warning, 0),
    ]
}

pub(crate) fn silence(id: i64, machine: &str) -> wire::Silence {
    wire::Silence {
        silence_id: id,
        rule_ids: vec!["mount-full".into()],
        machine_ids: vec![machine.into()],
        from_unix_ms: NOW - 1_200_000,
        until_unix_ms: NOW + 2_400_000,
        by: "bo".into(),
        comment: "disk is being replaced".into(),
        ..Default::default()
    }
}

fn deliveries() -> Vec<wire::Delivery> {
    let delivery = |id: &str, receiver: &str, state: wire::DeliveryState, problem: &str| wire::Delivery {
        delivery_id: id.into(),
        receiver: receiver.into(),
        summary: "2 critical: CPU busy on web-017, Machine down on edge-31".into(),
        created_unix_ms: NOW - 900_000,
        state: state.into(),
        attempts: 6,
        due_unix_ms: NOW + 30_000,
        problem: problem.into(),
    };
    vec![
        delivery("d2", "email", wire::DeliveryState::Pending, ""),
        delivery(
            "d1",
            "ops-slack",
            wire::DeliveryState::Dead,
            "404 Not Found: the webhook is gone",
        ),
    ]
}

/// The whole board at once.
pub(crate) fn board() -> wire::AlertBoard {
    wire::AlertBoard {
        snapshot: true,
        more: false,
        alerts: alerts(),
        rules: rules(),
        silences: vec![silence(7, "web-9")],
        has_silences: true,
        deliveries: deliveries(),
        has_deliveries: true,
        receivers: vec!["ops-slack".into(), "email".into()],
        evaluated_unix_ms: NOW - 1_000,
        ..Default::default()
    }
}

impl World {
    pub(crate) fn board(&mut self, board: wire::AlertBoard) -> &mut Self {
        self.event(Event::Link(LinkEvent::Alerts(Box::new(board))))
    }
}

/// A connected client with the fleet and the whole board.
pub(crate) fn watching(size: (u16, u16)) -> World {
    watching_with(size, board())
}

pub(crate) fn watching_with(size: (u16, u16), board: wire::AlertBoard) -> World {
    let mut world = World::new(size);
    world
        .connected_with(&["history", "alerts"])
        .update(fleet_snapshot(&FLEET))
        .board(board);
    world
}

/// The rule that a command puts, and the version that it expects.
pub(crate) fn put(body: wire::command::Body) -> (Rule, u64) {
    match body {
        wire::command::Body::PutRule(request) => (
            sysmon_api::rule_from_wire(&request.rule.unwrap()).unwrap(),
            request.expected_version,
        ),
        other => panic!("{other:?}"),
    }
}
