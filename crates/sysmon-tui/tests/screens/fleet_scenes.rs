//! The fleet: with machines, without, while connecting, and when the connection is gone.

use sysmon_tui::KeyCode;

use crate::world::{FLEET, NOW, SIZES, World, fleet_snapshot};

fn fleet(size: (u16, u16)) -> World {
    let mut world = World::new(size);
    world.connected().update(fleet_snapshot(&FLEET));
    world
}

fn at_every_size(name: &str, scene: impl Fn((u16, u16)) -> World) {
    for (width, height) in SIZES {
        insta::assert_snapshot!(
            format!("{name}_{width}x{height}"),
            scene((width, height)).screen()
        );
    }
}

#[test]
fn the_worst_machine_is_on_top() {
    at_every_size("fleet", fleet);
}

#[test]
fn ascii_without_colour_still_tells_every_state() {
    at_every_size("fleet_ascii", |size| fleet(size).ascii());
    assert!(fleet((80, 24)).ascii().screen().is_ascii());
}

#[test]
fn connecting_says_so() {
    at_every_size("connecting", World::new);
}

#[test]
fn an_empty_fleet_tells_how_to_start_a_collector() {
    at_every_size("empty", |size| {
        let mut world = World::new(size);
        world.connected().update(fleet_snapshot(&[]));
        world
    });
}

#[test]
fn a_lost_connection_keeps_the_old_values_with_their_age() {
    at_every_size("disconnected", |size| {
        let mut world = fleet(size);
        world
            .failed("cannot reach http://prod:50051: connection refused", false)
            .at(NOW + 12_000);
        world
    });
}

#[test]
fn somebody_who_is_not_allowed_is_told_what_to_do() {
    at_every_size("refused", |size| {
        let mut world = World::new(size);
        world
            .failed(
                "no token was given; ask for one made with `sysmon tokens create`",
                true,
            )
            .at(NOW + 5_000);
        world
    });
}

#[test]
fn a_filter_shows_what_matches_and_says_when_nothing_does() {
    at_every_size("filter", |size| {
        let mut world = fleet(size);
        world.keys("/role=web");
        world
    });
    at_every_size("filter_nothing", |size| {
        let mut world = fleet(size);
        world.keys("/nothing").key(KeyCode::Enter);
        world
    });
}

#[test]
fn choosing_a_sort_names_the_columns() {
    at_every_size("sort", |size| {
        let mut world = fleet(size);
        world.keys("s");
        world
    });
    let mut world = fleet((80, 24));
    world.keys("sn");
    let screen = world.screen();
    let rows: Vec<usize> = [
        "batch-node",
        "db-002",
        "edge-31",
        "web-004",
        "web-9",
        "web-10",
        "web-017",
    ]
    .map(|name| screen.find(name).unwrap())
    .into();
    assert!(
        rows.is_sorted(),
        "names in the order that people count:\n{screen}"
    );
}

#[test]
fn help_lists_every_key() {
    at_every_size("help", |size| {
        let mut world = fleet(size);
        world.keys("?");
        world
    });
}

#[test]
fn a_terminal_that_is_too_small_says_so() {
    insta::assert_snapshot!("too_small", fleet((20, 4)).screen());
}
