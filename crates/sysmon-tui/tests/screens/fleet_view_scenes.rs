//! The fleet in its other forms: grouped, as a heat map, with other columns, marked, while it is filtered.

use sysmon_core::{MetricId, SeriesKey};
use sysmon_tui::{Effect, Event, Key, KeyCode, LinkEvent, Mouse, MouseAction};

use sysmon_api::wire;

use crate::world::{FLEET, Made, NOW, SIZES, World, crowd, fleet_snapshot};

fn fleet(size: (u16, u16)) -> World {
    let mut world = World::new(size);
    world.connected().update(fleet_snapshot(&FLEET));
    world
}

fn crowded(size: (u16, u16), count: u32) -> World {
    let mut world = World::new(size);
    world.connected().update(fleet_snapshot(&crowd(count)));
    world
}

fn at_every_size(name: &str, scene: impl Fn((u16, u16)) -> World) {
    for (width, height) in SIZES {
        let text = scene((width, height)).screen();
        insta::assert_snapshot!(format!("{name}_{width}x{height}"), text);
    }
}

#[test]
fn machines_are_grouped_by_a_label_the_worst_group_first() {
    at_every_size("fleet_groups", |size| {
        let mut world = fleet(size);
        world.keys("b");
        world
    });
    let mut world = fleet((80, 24)).ascii();
    world.keys("b");
    insta::assert_snapshot!("fleet_groups_ascii", world.screen());
}

#[test]
fn a_group_folds_and_unfolds_and_its_totals_stay() {
    let mut world = fleet((80, 24));
    world.keys("bh");
    let folded = world.screen();
    assert!(!folded.contains("edge-31 "), "{folded}");
    insta::assert_snapshot!("fleet_groups_folded", folded);
    world.key(KeyCode::Enter);
    assert!(world.screen().contains("edge-31 "));
    // Around once more: from the last label to no groups at all.
    world.keys("b");
    assert!(!world.screen().contains("role="), "{}", world.screen());
}

#[test]
fn the_heat_map_shows_a_cell_per_machine_and_names_the_one_under_the_cursor() {
    at_every_size("fleet_heat", |size| {
        let mut world = crowded(size, 120);
        world.keys("v");
        world
    });
    at_every_size("fleet_heat_ascii", |size| {
        let mut world = crowded(size, 120).ascii();
        world.keys("vb");
        world
    });
    assert!({
        let mut world = crowded((80, 24), 120).ascii();
        world.keys("vb").screen().is_ascii()
    });
}

#[test]
fn the_cursor_of_the_heat_map_moves_in_both_directions_and_opens() {
    let mut world = crowded((80, 24), 120);
    world.keys("v");
    let first = world.screen();
    world.keys("ll");
    world.key(KeyCode::Down);
    let moved = world.screen();
    assert_ne!(first.lines().nth(1), moved.lines().nth(1));
    let name = moved
        .lines()
        .nth(1)
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .to_owned();
    world.key(KeyCode::Enter);
    assert!(world.screen().contains(&name));
    world.key(KeyCode::Escape);
    assert_eq!(world.screen(), moved, "back exactly where it was");
    // A press on a cell goes there; Esc goes back to the table.
    world.event(Event::Mouse(Mouse {
        action: MouseAction::Press,
        column: 1,
        row: 2,
    }));
    assert_eq!(world.screen().lines().nth(1), first.lines().nth(1));
    world.key(KeyCode::Escape);
    assert!(world.screen().contains("MACHINE"));
}

#[test]
fn columns_are_chosen_and_moved() {
    at_every_size("fleet_columns", |size| {
        let mut world = fleet(size);
        world.keys("C");
        world
    });
    let mut world = fleet((80, 24));
    // Memory to the front, network out.
    world.keys("CjjjK").keys("jjj").keys(" ");
    world.key(KeyCode::Escape);
    let screen = world.screen();
    let heading = screen.lines().nth(1).unwrap().to_owned();
    assert!(heading.find("MEM") < heading.find("CPU"), "{heading}");
    assert!(!heading.contains("NET"), "{heading}");
    world.keys("CR").key(KeyCode::Escape);
    assert!(world.screen().lines().nth(1).unwrap().contains("NET"));
}

#[test]
fn a_column_of_a_label_is_offered_and_can_be_sorted_by() {
    let mut world = fleet((120, 30));
    world.keys("C");
    // The label is the first of what is not shown.
    for _ in 0..11 {
        world.keys("j");
    }
    world.keys(" kks");
    world.key(KeyCode::Escape);
    let screen = world.screen();
    assert!(screen.lines().nth(1).unwrap().contains("ROLE▾"), "{screen}");
    insta::assert_snapshot!("fleet_label_column", screen);
}

#[test]
fn marked_machines_are_told_apart_and_acted_upon_together() {
    at_every_size("fleet_marks", |size| {
        let mut world = fleet(size);
        world.keys("  j ");
        world
    });
    let mut world = fleet((80, 24));
    world.keys("  i5s");
    world.key(KeyCode::Enter);
    let set: Vec<(u64, String, u32)> = world
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Ask {
                request_id,
                body: wire::command::Body::SetInterval(set),
            } => Some((*request_id, set.machine_id.clone(), set.interval_ms)),
            _ => None,
        })
        .collect();
    let names: Vec<&str> = set.iter().map(|(_, name, _)| name.as_str()).collect();
    assert_eq!(names, ["edge-31", "web-017"]);
    assert!(set.iter().all(|(.., interval)| *interval == 5_000));
    world.event(Event::Link(LinkEvent::Accepted { request_id: set[0].0 }));
    world.event(Event::Link(LinkEvent::Refused {
        request_id: set[1].0,
        code: 5,
        reason: "no stream".into(),
    }));
    let screen = world.screen();
    assert!(
        screen.contains("1 machine measures every")
            && screen.contains("1 machine refused: web-017: no stream"),
        "{screen}"
    );
}

#[test]
fn an_interval_that_is_none_says_what_one_looks_like() {
    let mut world = fleet((80, 24));
    world.keys("i");
    insta::assert_snapshot!("fleet_interval", world.screen());
    world.keys("2 fortnights").key(KeyCode::Enter);
    assert!(world.effects.is_empty());
    insta::assert_snapshot!("fleet_interval_wrong", world.screen());
}

#[test]
fn all_that_match_are_marked_and_escape_unmarks_before_it_shows_all() {
    let mut world = fleet((80, 24));
    world.keys("/web").key(KeyCode::Enter);
    world.keys("*");
    assert!(world.screen().contains("4 marked"), "{}", world.screen());
    world.key(KeyCode::Escape);
    assert!(world.screen().contains("/web") && !world.screen().contains("marked"));
    world.key(KeyCode::Escape);
    assert!(world.screen().contains("db-002"));
}

#[test]
fn marked_machines_are_silenced_by_one_silence() {
    let mut world = crate::alerts_world::watching((80, 24));
    world.keys("1");
    world.keys("  S");
    insta::assert_snapshot!("fleet_silence", world.screen());
    world.key(KeyCode::Enter);
    match world.last_asked().1 {
        wire::command::Body::AddSilence(silence) => {
            assert_eq!(silence.machine_ids, ["edge-31", "web-017"]);
            assert!(silence.rule_ids.is_empty());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wrong_word_is_underlined_and_the_last_filter_that_can_be_read_stays() {
    at_every_size("fleet_filter_wrong", |size| {
        let mut world = fleet(size);
        world.keys("/role = web and cpu > ");
        world
    });
    let mut world = fleet((80, 24));
    world.keys("/role = web and ").key(KeyCode::Enter);
    let screen = world.screen();
    assert!(
        !screen.contains("db-002") && screen.contains("/role = web and"),
        "{screen}"
    );
}

#[test]
fn the_beginning_of_a_field_is_not_looked_for_as_a_word() {
    let mut world = fleet((80, 24));
    for typed in "/cpu ".chars() {
        world.keys(&typed.to_string());
        assert!(world.screen().contains("7 match"), "{}", world.screen());
    }
    world.keys("> 90");
    assert!(world.screen().contains("1 match"), "{}", world.screen());
    // What is kept is looked for, whatever it could have become.
    let mut world = fleet((80, 24));
    world.keys("/mem").key(KeyCode::Enter);
    assert!(world.screen().contains("none of 7"), "{}", world.screen());
}

#[test]
fn a_filter_is_completed_word_by_word() {
    at_every_size("fleet_filter_complete", |size| {
        let mut world = fleet(size);
        world.keys("/ro").key(KeyCode::Tab);
        world
    });
    let mut world = fleet((80, 24));
    world.keys("/cpu > 90 and mem").key(KeyCode::Tab);
    let screen = world.screen();
    assert!(screen.contains("/cpu > 90 and mem"), "{screen}");
}

#[test]
fn filters_are_recalled_and_saved_under_a_name() {
    let mut world = fleet((80, 24));
    world.keys("/web").key(KeyCode::Enter);
    world.keys("/").event(Event::Key(Key::control('u')));
    world.keys("cpu > 90").key(KeyCode::Enter);
    world.keys("/").event(Event::Key(Key::control('u')));
    world.key(KeyCode::Up).key(KeyCode::Up);
    assert!(world.screen().contains("/web"), "{}", world.screen());
    world.key(KeyCode::Down);
    assert!(world.screen().contains("/cpu > 90"));
    world.event(Event::Key(Key::control('s')));
    world.keys("hot").key(KeyCode::Enter);
    world.key(KeyCode::Escape);
    world.keys("/ho").key(KeyCode::Tab);
    insta::assert_snapshot!("fleet_filter_saved", world.screen());
    assert!(world.screen().contains("/cpu > 90") && world.screen().contains("1 match"));
}

#[test]
fn a_metric_in_the_filter_is_asked_for() {
    let mut world = fleet((80, 24));
    world.keys("/zombies > 3").key(KeyCode::Enter);
    world.at(NOW + 1_000);
    let asked = world.effects.iter().any(|effect| match effect {
        Effect::Send(wire::command::Body::Subscribe(subscribe)) => {
            let name = MetricId::ProcessesZombie.name();
            subscribe.metrics.iter().any(|metric| metric == name)
        }
        _ => false,
    });
    assert!(asked, "{:?}", world.effects);
}

#[test]
fn a_new_worst_machine_appears_above_without_moving_the_cursor() {
    let mut world = crowded((80, 24), 60);
    world.keys("jj");
    let line = |world: &World| {
        let screen = world.screen();
        let row = screen.lines().position(|line| line.contains("cache-0006"));
        row.unwrap_or_else(|| panic!("{screen}"))
    };
    // Down to a certain machine, wherever it is now.
    let before = line(&world);
    world.event(Event::Mouse(Mouse {
        action: MouseAction::Press,
        column: 5,
        row: u16::try_from(before).unwrap(),
    }));
    let mut lost = crowd(60)
        .remove(40)
        .silent(sysmon_core::Liveness::Lost, 60_000)
        .enter(Vec::new());
    lost.sequence = 122;
    world.at(NOW + 4_000);
    world.update(wire::Update {
        subscription: 1,
        number: 2,
        now_unix_ms: NOW + 4_000,
        machines: vec![lost],
        ..Default::default()
    });
    assert_eq!(line(&world), before, "{}", world.screen());
}

#[test]
fn what_flutters_keeps_its_place_and_what_gets_worse_moves_at_once() {
    let order = |world: &World| -> Vec<String> {
        let screen = world.screen();
        let rows = screen.lines().skip(2).take(20);
        rows.filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned))
            .collect()
    };
    let mut world = crowded((80, 24), 40);
    let before = order(&world);
    for second in 1..20 {
        let machines = crowd(40)
            .iter()
            .map(|machine| {
                let wave = if (machine.number + second) % 2 == 0 {
                    1.5
                } else {
                    -1.5
                };
                let mut update = machine.enter(Vec::new());
                update.replace = true;
                update.history = None;
                update.ticks = vec![sysmon_api::tick_to_wire(
                    sysmon_core::UnixMillis(NOW + i64::from(second) * 1_000),
                    &[(1, ((machine.cpu[1] + wave).max(0.0) * 10.0) as i64)],
                )];
                update.sequence = 121 + u64::from(second);
                update
            })
            .collect();
        world.at(NOW + i64::from(second) * 1_000);
        world.update(wire::Update {
            subscription: 1,
            number: 1 + u64::from(second),
            now_unix_ms: NOW + i64::from(second) * 1_000,
            machines,
            ..Default::default()
        });
        assert_eq!(order(&world), before, "second {second}");
    }
}

#[test]
fn wide_characters_and_no_values_are_drawn() {
    const WIDE: [Made; 2] = [
        Made::new(1, "ウェブサーバー-一号機-東京", [30.0, 97.0], 88.0, 91.0),
        Made::new(2, "db", [60.0, 71.0], 96.4, 64.0),
    ];
    let extra = vec![(SeriesKey::plain(MetricId::Uptime), 1_300_000.0)];
    let mut update = fleet_snapshot(&WIDE);
    update.machines = WIDE.iter().map(|machine| machine.enter(extra.clone())).collect();
    for size in SIZES {
        let mut world = World::new(size);
        world.connected().update(update.clone());
        insta::assert_snapshot!(format!("fleet_wide_names_{}x{}", size.0, size.1), world.screen());
    }
}
