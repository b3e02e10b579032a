//! No size, no key and no message may break the client.

use proptest::prelude::*;
use sysmon_api::{series_to_wire, wire};
use sysmon_core::{MetricId, SeriesKey};
use sysmon_tui::{Event, Key, KeyCode, LinkEvent, Mouse, MouseAction};

use crate::world::{FLEET, NOW, World, fleet_snapshot};

fn any_key() -> impl Strategy<Value = Event> {
    let codes = prop_oneof![
        4 => prop::char::range(' ', '~').prop_map(KeyCode::Char),
        1 => any::<char>().prop_map(KeyCode::Char),
        3 => prop::sample::select(vec![
            KeyCode::Enter, KeyCode::Escape, KeyCode::Up, KeyCode::Down, KeyCode::PageDown, KeyCode::PageUp, KeyCode::Home,
            KeyCode::End, KeyCode::Tab, KeyCode::BackTab, KeyCode::Backspace, KeyCode::Delete, KeyCode::Left, KeyCode::Right,
        ]),
    ];
    (codes, any::<bool>()).prop_map(|(code, control)| Event::Key(Key { code, control }))
}

fn any_update() -> impl Strategy<Value = Event> {
    let machine = (
        0u32..9,
        any::<bool>(),
        any::<bool>(),
        any::<i32>(),
        any::<u64>(),
        "\\PC{0,9}",
        any::<i64>(),
    );
    let machine =
        machine.prop_map(
            |(machine, replace, left, liveness, sequence, text, at)| wire::MachineUpdate {
                machine,
                replace,
                left,
                liveness,
                health: liveness,
                last_seen_unix_ms: at,
                sequence,
                follows_sequence: 121,
                header: replace.then(|| wire::MachineHeader {
                    machine_id: text.clone(),
                    problem: text,
                    ..Default::default()
                }),
                ticks: vec![wire::Tick {
                    at_unix_ms: at,
                    series_steps: vec![1, 1, 1],
                    values: vec![at, 1, -5],
                }],
                ..Default::default()
            },
        );
    let window = (
        any::<bool>(),
        prop_oneof![0u32..9, any::<u32>()],
        prop_oneof![0u32..40, any::<u32>()],
        prop::collection::vec(0u32..9, 0..6),
    );
    let update = (
        prop_oneof![4 => 0u32..4, 1 => Just(7u32), 4 => 16u32..24],
        any::<bool>(),
        any::<bool>(),
        prop_oneof![NOW - 4_000_000..NOW, any::<i64>()],
        prop::collection::vec(machine, 0..4),
        window,
    );
    update.prop_map(|(subscription, snapshot, more, now_unix_ms, machines, window)| {
        let (has_window, window_first, matching, window_machines) = window;
        let update = wire::Update {
            subscription,
            number: 1,
            snapshot,
            more,
            now_unix_ms,
            at_unix_ms: now_unix_ms,
            caught_up: !snapshot && more,
            machines,
            totals: has_window.then(|| wire::FleetTotals {
                live: matching,
                ..Default::default()
            }),
            has_window,
            window_first,
            matching,
            window_machines,
        };
        Event::Link(LinkEvent::Update(Box::new(update)))
    })
}

/// Answers to questions that were asked or not, sound or not.
fn any_history() -> impl Strategy<Value = Event> {
    let numbers = || prop::collection::vec(any::<u64>(), 0..6);
    let gap = (any::<i64>(), any::<i64>(), any::<u64>(), 0i32..9).prop_map(|(from, to, samples, reason)| {
        wire::Gap {
            from_unix_ms: from,
            to_unix_ms: to,
            samples,
            reason,
        }
    });
    let near = prop_oneof![NOW - 4_000_000..NOW, any::<i64>()];
    let machine = (
        prop::collection::vec(-1_000i64..100_000, 0..6),
        near,
        prop_oneof![Just(0u64), Just(60_000), any::<u64>()],
        numbers(),
        prop::collection::vec(gap, 0..4),
        any::<bool>(),
    );
    let machine = machine.prop_map(|(mut steps, first, step_ms, codes, gaps, continued)| {
        if let Some(step) = steps.first_mut() {
            *step = first;
        }
        let definition = series_to_wire(0, &SeriesKey::plain(MetricId::CpuBusy), 1);
        let points = wire::SeriesPoints {
            definition: Some(definition),
            mean_codes: if codes.len() == steps.len() {
                codes
            } else {
                vec![3; steps.len()]
            },
            ..Default::default()
        };
        wire::MachineHistory {
            machine_id: "web-017".into(),
            tier: 2,
            step_ms,
            at_unix_ms_steps: steps,
            series: vec![points],
            gaps,
            continued,
        }
    });
    let number = (prop_oneof![Just(32u32), Just(48)], 0u64..9);
    (number, prop::collection::vec(machine, 0..3), any::<bool>()).prop_map(
        |((space, number), machines, more)| {
            Event::Link(LinkEvent::History {
                request_id: (1 << space) + number,
                chunk: Box::new(wire::HistoryChunk { machines, more }),
            })
        },
    )
}

fn any_storage() -> impl Strategy<Value = Event> {
    let component = (0i32..6, 0i32..6, any::<i64>(), "\\PC{0,30}").prop_map(|(role, health, since, text)| {
        wire::StorageComponent {
            role,
            engine: text.clone(),
            health,
            since_unix_ms: since,
            detail: text.clone(),
            notices: vec![text],
        }
    });
    prop::collection::vec(component, 0..4)
        .prop_map(|components| Event::Link(LinkEvent::Storage(Box::new(wire::StorageStatus { components }))))
}

/// Everything that can be said of alerts, sound or not.
fn any_alerts() -> impl Strategy<Value = Event> {
    let rule = prop::sample::select(vec!["cpu-busy", "memory", "mount-full", "new", "BAD"]);
    let machine = prop::sample::select(vec!["web-017", "db-002", "", "a/b", "gone"]);
    let text = "\\PC{0,12}";
    let alert = (
        (rule.clone(), machine.clone(), text),
        (0i32..8, 0i32..5, any::<i64>()),
        (any::<Option<f64>>(), any::<bool>(), any::<i64>()),
    );
    let alert = alert.prop_map(
        |((rule, machine, text), (phase, severity, at), (value, flag, silence))| wire::Alert {
            key: Some(wire::AlertKey {
                rule_id: rule.into(),
                machine_id: machine.into(),
                entity: text.clone(),
            }),
            phase,
            severity,
            since_unix_ms: at,
            fired_unix_ms: flag.then_some(at),
            value,
            threshold: value,
            flapping: flag,
            inhibited: flag && silence > 0,
            silence_id: if flag { silence } else { 0 },
            acknowledgement: flag.then(|| wire::Acknowledgement {
                by: text.clone(),
                comment: text,
                at_unix_ms: at,
                until_unix_ms: Some(at),
                severity,
            }),
            ..Default::default()
        },
    );
    let level = || any::<Option<(f64, Option<f64>)>>();
    let stored = (
        (rule, text, 0i32..9, 0i32..4),
        (level(), level(), any::<u64>(), any::<u64>()),
        any::<i64>(),
    );
    let stored = stored.prop_map(
        |((rule, text, function, comparison), (warning, critical, window_ms, version), at)| {
            let level = |level: Option<(f64, Option<f64>)>| {
                level.map(|(trigger, clear)| wire::Level {
                    trigger,
                    clear,
                    and: None,
                })
            };
            wire::StoredRule {
                rule: Some(wire::Rule {
                    rule_id: rule.into(),
                    title: text.clone(),
                    note: text,
                    enabled: true,
                    hold_ms: window_ms,
                    check: Some(wire::rule::Check::Metric(wire::MetricCheck {
                        quantity: Some(wire::Quantity {
                            metric: "cpu.busy_percent".into(),
                            per: String::new(),
                            function,
                            window_ms,
                        }),
                        comparison,
                        info: None,
                        warning: level(warning),
                        critical: level(critical),
                    })),
                    ..Default::default()
                }),
                version,
                changed_by: "x".into(),
                changed_unix_ms: at,
            }
        },
    );
    let step = (
        0i32..8,
        0i32..8,
        0i32..5,
        prop_oneof![NOW - 90_000..NOW, any::<i64>()],
    )
        .prop_map(|(from, to, severity, at)| wire::AlertTransition {
            transition_id: at,
            key: Some(wire::AlertKey {
                rule_id: "cpu-busy".into(),
                machine_id: "web-017".into(),
                entity: String::new(),
            }),
            at_unix_ms: at,
            from,
            to,
            severity_before: severity,
            severity,
            cause: "held".into(),
            ..Default::default()
        });
    let board = (
        any::<(bool, bool, bool, i64)>(),
        prop::collection::vec(alert, 0..5),
        prop::collection::vec(stored, 0..4),
        prop::collection::vec(step, 0..5),
    );
    let board = board.prop_map(|((snapshot, more, lists, at), alerts, rules, steps)| {
        let board = wire::AlertBoard {
            snapshot,
            more,
            alerts,
            rules,
            transitions: steps,
            silences: vec![wire::Silence {
                silence_id: at,
                from_unix_ms: 0,
                until_unix_ms: at,
                ..Default::default()
            }],
            has_silences: lists,
            deliveries: vec![wire::Delivery {
                due_unix_ms: at,
                state: 3,
                ..Default::default()
            }],
            has_deliveries: lists,
            receivers: vec!["r".into()],
            evaluated_unix_ms: at,
            removed_rule_ids: if lists { vec!["memory".into()] } else { Vec::new() },
        };
        Event::Link(LinkEvent::Alerts(Box::new(board)))
    });
    let reply = (0u64..30, 0u8..5, any::<(bool, i64, u32, u64)>()).prop_map(
        |(number, kind, (flag, at, count, ms))| {
            let request_id = (1 << 40) + number;
            Event::Link(match kind {
                0 => LinkEvent::Accepted { request_id },
                1 => LinkEvent::Change {
                    request_id,
                    reply: Box::new(wire::ChangeReply {
                        conflict: flag,
                        stored: flag.then(|| crate::alerts_world::rules().remove(0)),
                    }),
                },
                2 => LinkEvent::DryRun {
                    request_id,
                    reply: Box::new(wire::DryRunReply {
                        episodes: vec![wire::Episode {
                            machine_id: "web-017".into(),
                            severity: 3,
                            from_unix_ms: at,
                            to_unix_ms: flag.then_some(at),
                            ..Default::default()
                        }],
                        count,
                        longest_ms: ms,
                        total_ms: ms,
                        step_ms: ms,
                        machine_count: count,
                    }),
                },
                3 => LinkEvent::AlertLog {
                    request_id,
                    log: Box::default(),
                },
                _ => LinkEvent::Refused {
                    request_id,
                    code: count,
                    reason: "no".into(),
                },
            })
        },
    );
    prop_oneof![2 => board, 1 => reply]
}

/// The keys that lead into views, lists and forms.
fn any_way() -> impl Strategy<Value = Event> {
    let keys = vec![
        '1', '2', '3', '4', 'e', 'c', 'm', 'a', 'S', 'L', 'N', 'H', 'b', 'd', 'u', 'n', 't', 'k', 'y', ' ',
        'v', 'C', '*', 'i', 'h', 'l', 'J', 'K', 'R', '/', 's', 'I', ':', '?', 'x', 'f', 'z', 'F', 'X', 'f',
        'X',
    ];
    prop::sample::select(keys).prop_map(|key| Event::Key(Key::char(key)))
}

/// Lines of commands, their ends missing or not: what is typed into an open line.
fn any_line() -> impl Strategy<Value = Event> {
    let lines = vec![
        "theme ",
        "filter web",
        "machine w",
        "sort c",
        "interval 5s",
        "export csv",
        "go 3m ago",
        "connect @x",
        "tab 1",
        "tab @x",
        "F",
        "help",
    ];
    prop_oneof![
        prop::sample::select(lines).prop_map(|line| Event::Paste(line.to_owned())),
        Just(Event::Key(Key::plain(KeyCode::Function(12)))),
    ]
}

pub(crate) fn any_event() -> impl Strategy<Value = Event> {
    let mouse = (0u16..210, 0u16..70, 0usize..5).prop_map(|(column, row, action)| {
        let action = [
            MouseAction::Press,
            MouseAction::Drag,
            MouseAction::Release,
            MouseAction::WheelUp,
            MouseAction::WheelDown,
        ][action];
        Event::Mouse(Mouse { action, column, row })
    });
    let failed = (any::<String>(), any::<bool>())
        .prop_map(|(reason, permanent)| Event::Link(LinkEvent::Failed { reason, permanent }));
    prop_oneof![
        6 => any_key(),
        2 => mouse,
        3 => any_update(),
        1 => failed,
        1 => any::<bool>().prop_map(|keeps| {
            let capabilities = if keeps {
                vec!["history".to_owned(), "alerts".to_owned(), "past".to_owned(), "processes".to_owned()]
            } else {
                vec!["windows".to_owned()]
            };
            Event::Link(LinkEvent::Connected { capabilities })
        }),
        3 => any_history(),
        1 => any_storage(),
        4 => any_alerts(),
        6 => any_way(),
        1 => (any::<bool>(), 0u64..4, 0u32..17, any::<String>()).prop_map(|(asked, number, code, reason)| {
            let request_id = if asked { (1 << (32 + number % 2 * 16)) + number } else { number };
            Event::Link(LinkEvent::Refused { request_id, code, reason })
        }),
        4 => prop::sample::select(vec!['t', 'p', 'P', ',', '.', '<', '>', 'C', 't']).prop_map(|key| Event::Key(Key::char(key))),
        2 => prop::sample::select(vec!['+', '-', 'D']).prop_map(|key| Event::Key(Key::char(key))),
        1 => any::<i64>().prop_map(|now| Event::Tick { now: sysmon_core::UnixMillis(now), utc_offset_seconds: 3_600 }),
        1 => (0u16..400, 0u16..120).prop_map(|(width, height)| Event::Resize { width, height }),
        1 => any::<String>().prop_map(Event::Paste),
        2 => any_line(),
        1 => any::<(bool, u16, u32)>().prop_map(|(is_slow, bytes, micros)| if is_slow {
            Event::Pace { is_slow: bytes % 2 == 0 }
        } else {
            Event::Frame(sysmon_tui::FrameReport { bytes: bytes.into(), micros: micros.into(), ..Default::default() })
        }),
        1 => any::<String>().prop_map(Event::Notice),
        1 => (0u64..4, any::<String>(), any::<Option<u64>>()).prop_map(|(number, text, bytes)| {
            let details = Box::new(wire::ProcessDetails {
                command: text.clone(),
                cgroup: text,
                open_files: bytes,
                processor_ms: bytes,
                read_bytes: bytes,
                ..Default::default()
            });
            Event::Link(LinkEvent::ProcessDetails { request_id: (1 << 44) + number, details })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn no_sequence_of_events_at_any_size_panics(
        width in 1u16..400, height in 1u16..120, events in prop::collection::vec(any_event(), 1..40), ascii in any::<bool>(),
        readonly in any::<bool>(),
    ) {
        let mut world = World::new((width, height)).with_themes(&["dark", "light"]);
        if readonly {
            world = world.readonly();
        }
        world.connected_with(&["history", "alerts", "past", "processes"]).update(fleet_snapshot(&FLEET));
        world.board(crate::alerts_world::board());
        let mut world = if ascii { world.ascii() } else { world };
        for event in events {
            world.event(event);
            prop_assert!(!readonly || !world.effects.iter().any(sysmon_tui::Effect::changes_something));
            world.screen();
        }
    }
}

#[test]
fn every_small_size_is_drawn() {
    for width in (1..32).chain((32..130).step_by(9)) {
        for height in (1..13).chain([15, 18, 23, 24, 33]) {
            let mut world = World::new((width, height));
            world.connected().update(fleet_snapshot(&FLEET));
            world.screen();
            world.key(KeyCode::Enter);
            world.screen();
            world.keys("?");
            world.screen();
            world.key(KeyCode::Escape).keys("f");
            for _ in 0..11 {
                world.key(KeyCode::Tab);
                world.screen();
            }
            // The views of alerts have few ways to divide a screen: every third size will do.
            if (width + height) % 3 != 0 {
                continue;
            }
            let mut world = crate::alerts_world::watching((width, height));
            for keys in [
                "", "2", "e", "\u{1b}", "S", "\u{1b}", "L", "\u{1b}", "N", "\u{1b}", ":", "\u{1b}", "?",
                "\u{1b}", "3", "n",
            ] {
                if keys == "\u{1b}" {
                    world.key(KeyCode::Escape);
                } else {
                    world.keys(keys);
                }
                world.screen();
            }
        }
    }
}
