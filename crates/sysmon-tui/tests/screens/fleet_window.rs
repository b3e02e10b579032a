//! A large fleet, of which the aggregator sends only the rows on screen and some around them.

use sysmon_api::wire;
use sysmon_core::{Health, Liveness};
use sysmon_tui::{Effect, Key, KeyCode};

use crate::world::{Made, NOW, World, fleet_snapshot};

const TOTAL: u32 = 10_000;

fn connected() -> World {
    let mut world = World::new((80, 24));
    world.connected_with(&["windows", "filter-language"]);
    world
}

/// What was asked for last.
fn asked(world: &World) -> Vec<wire::Subscribe> {
    let subscribe = |effect: &Effect| match effect {
        Effect::Send(wire::command::Body::Subscribe(subscribe)) => Some(subscribe.clone()),
        _ => None,
    };
    world.effects.iter().filter_map(subscribe).collect()
}

fn machine(number: u32) -> Made {
    let id: &'static str = Box::leak(format!("node-{number:05}").into_boxed_str());
    // Numbers of machines begin with 1, those of rows with 0.
    Made::new(number + 1, id, [40.0, 41.0], 41.0, 44.0)
}

/// An aggregator that keeps the fleet in the order of its numbers, and answers a window.
fn answer(subscribe: &wire::Subscribe, number: u64, snapshot: bool, matching: u32) -> wire::Update {
    let window = subscribe.window.as_ref().unwrap();
    let numbers: Vec<u32> = (window.first..(window.first + window.rows).min(matching)).collect();
    wire::Update {
        subscription: 1,
        number,
        snapshot,
        now_unix_ms: NOW,
        machines: numbers
            .iter()
            .map(|number| machine(*number).enter(Vec::new()))
            .collect(),
        totals: Some(wire::FleetTotals {
            live: TOTAL,
            healthy: TOTAL - 5,
            critical: 5,
            ..Default::default()
        }),
        has_window: true,
        window_first: window.first,
        window_machines: numbers.iter().map(|number| number + 1).collect(),
        matching,
        ..Default::default()
    }
}

fn large() -> World {
    let mut world = connected();
    let first = asked(&world).remove(0);
    world.update(answer(&first, 1, true, TOTAL));
    world
}

#[test]
fn only_what_is_on_screen_and_a_screen_around_it_is_asked_for() {
    let world = connected();
    let first = asked(&world).remove(0);
    let window = first.window.unwrap();
    assert_eq!(
        (window.order.as_str(), window.reversed, window.first),
        ("worst", false, 0)
    );
    assert!((42..=100).contains(&window.rows), "{window:?}");
    let world = large();
    assert_eq!(asked(&world), [], "what has come is what is wanted");
    insta::assert_snapshot!("fleet_window", world.screen());
}

#[test]
fn scrolling_asks_for_other_rows_and_keeps_what_is_here() {
    let mut world = large();
    // Down to the end at once: rows that have not come are there, but empty.
    world.at(NOW + 1_000).keys("G");
    let moved = asked(&world).remove(0);
    let window = moved.window.clone().unwrap();
    assert_eq!(window.first + window.rows, TOTAL);
    let screen = world.screen();
    assert!(screen.contains("10000/10000"), "where it is stays said: {screen}");
    assert_eq!(screen.matches("loading rows").count(), 1, "{screen}");
    insta::assert_snapshot!("fleet_window_waiting", screen);
    world.update(answer(&moved, 2, false, TOTAL));
    let screen = world.screen();
    assert!(screen.contains("node-09999"), "{screen}");
    world.key(KeyCode::Enter);
    let opened = world.effects.iter().any(|effect| {
        matches!(effect,
        Effect::Send(wire::command::Body::Subscribe(subscribe)) if subscribe.machine_ids == ["node-09999"])
    });
    assert!(opened, "{:?}", world.effects);
}

#[test]
fn small_steps_ask_seldom_and_never_faster_than_a_round_trip() {
    let mut world = large();
    let mut questions = 0;
    for step in 0..600i64 {
        world.at(NOW + 1_000 + step * 30);
        questions += asked(&world).len();
        world.keys("j");
        for subscribe in asked(&world) {
            questions += 1;
            world.update(answer(&subscribe, 2 + step as u64, false, TOTAL));
        }
        assert!(
            world.screen().contains("node-"),
            "rows are there before they are reached"
        );
    }
    // A window is two screens ahead.
    assert!((5..60).contains(&questions), "{questions}");
}

#[test]
fn the_selection_stays_when_the_order_changes_under_it() {
    let mut world = large();
    world.keys("jjj");
    let row = |world: &World| {
        world
            .screen()
            .lines()
            .position(|line| line.contains("node-00003"))
    };
    let before = row(&world);
    let mut update = wire::Update {
        subscription: 1,
        number: 2,
        now_unix_ms: NOW,
        has_window: true,
        matching: TOTAL,
        window_machines: (1..=60).collect(),
        ..Default::default()
    };
    // Another machine is the worst now: everything moves down by one.
    update.window_machines.remove(40);
    update.window_machines.insert(0, 41);
    world.update(update);
    assert_eq!(row(&world), before, "{}", world.screen());
}

#[test]
fn sorting_and_filtering_are_the_aggregators_and_a_filter_waits_for_the_typing_to_rest() {
    let mut world = large();
    world.at(NOW + 1_000).keys("sn");
    let sorted = asked(&world).remove(0);
    assert_eq!(sorted.window.unwrap().order, "name");
    world.at(NOW + 2_000).keys("/cpu > 5");
    assert_eq!(asked(&world), []);
    assert_eq!(
        world.state.wakes_at(),
        Some(sysmon_core::UnixMillis(NOW + 2_200)),
        "somebody must look at the clock"
    );
    world.at(NOW + 2_250);
    let filtered = asked(&world).remove(0);
    assert_eq!(filtered.filter, "cpu > 5");
    world.update(answer(&filtered, 3, true, 12));
    assert!(world.screen().contains("12 match"), "{}", world.screen());
    // A text that is no filter changes nothing.
    world.at(NOW + 3_000).keys("0 and (");
    world.at(NOW + 4_000);
    let last = asked(&world);
    assert!(
        last.iter().all(|subscribe| !subscribe.filter.contains('(')),
        "{last:?}"
    );
}

#[test]
fn the_heat_map_and_groups_ask_for_all_machines_and_little_of_each() {
    let mut world = large();
    world.at(NOW + 1_000).keys("v");
    let all = asked(&world).remove(0);
    assert!(all.window.is_none() && all.history_metrics.is_empty() && all.history_ms == 0);
    assert_eq!(all.metrics, ["cpu.busy_percent"]);
    assert!(
        world.screen().contains("all machines are on their way"),
        "{}",
        world.screen()
    );
    world.at(NOW + 2_000).keys("v");
    assert!(asked(&world).remove(0).window.is_some());
    world.at(NOW + 3_000).keys("b");
    assert!(asked(&world).remove(0).window.is_none());
}

#[test]
fn everything_that_matches_is_marked_though_only_some_of_it_is_here() {
    let mut world = large();
    world.at(NOW + 1_000).keys("*");
    let names = asked(&world).remove(0);
    assert_eq!((names.subscription, names.metrics.len()), (7, 1));
    for (number, part) in [(0, 0..6_000), (1, 6_000..TOTAL)] {
        let machines = part.map(|number| wire::MachineUpdate {
            machine: number,
            header: Some(wire::MachineHeader {
                machine_id: format!("node-{number:05}"),
                ..Default::default()
            }),
            ..Default::default()
        });
        world.update(wire::Update {
            subscription: 7,
            number: number + 1,
            snapshot: number == 0,
            more: number == 0,
            machines: machines.collect(),
            ..Default::default()
        });
    }
    assert!(world.screen().contains("10,000 marked"), "{}", world.screen());
    let is_over = world.effects.iter().any(|effect| {
        matches!(effect,
        Effect::Send(wire::command::Body::Unsubscribe(unsubscribe)) if unsubscribe.subscription == 7)
    });
    assert!(is_over, "{:?}", world.effects);
    world.at(NOW + 2_000).keys("*");
    assert!(!world.screen().contains("marked"));
}

#[test]
fn a_small_fleet_that_is_wholly_here_is_sorted_and_filtered_at_once() {
    let mut world = connected();
    let small = [
        Made::new(1, "web-1", [30.0, 97.0], 88.0, 91.0).health(Health::Critical),
        Made::new(2, "db-1", [60.0, 71.0], 96.4, 64.0),
        Made::new(3, "web-2", [60.0, 11.0], 16.4, 64.0).silent(Liveness::Stale, 9_000),
    ];
    let mut update = fleet_snapshot(&small);
    update.has_window = true;
    update.window_machines = vec![1, 3, 2];
    update.matching = 3;
    world.update(update);
    world.at(NOW + 1_000).keys("sn/web").key(KeyCode::Enter);
    world.at(NOW + 2_000);
    assert_eq!(asked(&world), [], "no round trip");
    let screen = world.screen();
    assert!(!screen.contains("db-1") && screen.contains("2 of 3"), "{screen}");
    assert!(screen.find("web-1") < screen.find("web-2"), "{screen}");
}

#[test]
fn an_aggregator_without_windows_sends_everything_as_before() {
    let mut world = World::new((80, 24));
    world.connected();
    let first = asked(&world).remove(0);
    assert!(first.window.is_none() && first.filter.is_empty());
    world.event(sysmon_tui::Event::Key(Key::char('G')));
    assert_eq!(asked(&world), []);
}
