//! Every place where keys mean something, in every condition, at every size: what is new gets its snapshots here, or this
//! does not compile.

use proptest::prelude::*;
use sysmon_api::wire;
use sysmon_tui::{Context, Key, KeyCode};

use crate::alerts_world::{board, watching_with};
use crate::editor_scenes::{conflicting, editing};
use crate::machine_scenes::with_machine;
use crate::process_scenes;
use crate::travel_scenes::answer;
use crate::world::{FLEET, NOW, World, fleet_snapshot};

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 50)];
/// What lies over a view without keys of its own.
const OVER: [&str; 3] = ["details", "diagnostics", "silencing"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Normal,
    Empty,
    Loading,
    Error,
    Past,
}

use Condition::{Empty, Error, Loading, Normal, Past};

const ALL: [Condition; 5] = [Normal, Empty, Loading, Error, Past];

/// What there is to be seen: a context by its name, or something over a view.
fn places() -> Vec<String> {
    let contexts = Context::ALL.iter().map(|(context, _)| context.name());
    contexts.chain(OVER.map(str::to_owned)).collect()
}

fn conditions(place: &str) -> &'static [Condition] {
    match place {
        // Nothing can be edited where nothing is, and nothing in the past.
        "form" | "leaving" | "conflict" | "process" | "signals" | "confirming" => &[Normal, Error],
        _ => &ALL,
    }
}

/// A client in a condition, before anything is pressed. What fails or goes back in time does so afterwards.
fn begun(size: (u16, u16), condition: Condition) -> World {
    let capabilities = ["history", "alerts", "past"];
    let mut world = World::new(size);
    match condition {
        Loading => {
            world.connected_with(&capabilities);
        }
        Empty => {
            let nothing = wire::AlertBoard {
                snapshot: true,
                ..Default::default()
            };
            world
                .connected_with(&capabilities)
                .update(fleet_snapshot(&[]))
                .board(nothing);
        }
        Normal | Error | Past => {
            world
                .connected_with(&capabilities)
                .update(fleet_snapshot(&FLEET))
                .board(board());
        }
    }
    world
}

/// The way to a context. There is one for each of them, or this does not compile.
fn go(world: &mut World, context: Context) {
    match context {
        Context::Fleet => world.keys("1"),
        Context::HeatMap => world.keys("1v"),
        Context::Columns => world.keys("1C"),
        Context::Machine => {
            world.keys("sw").keys("gg").key(KeyCode::Down);
            world.key(KeyCode::Enter)
        }
        Context::Past => world.keys("1"),
        Context::Alerts => world.keys("2"),
        Context::Rules => world.keys("3"),
        Context::Silences => world.keys("2L"),
        Context::Deliveries => world.keys("2N"),
        // Made whole elsewhere.
        Context::Form
        | Context::Leaving
        | Context::Conflict
        | Context::Process
        | Context::Signals
        | Context::Confirming => world,
        Context::List => world.keys("?"),
        Context::Anywhere => world.keys(":"),
    };
}

fn scene(size: (u16, u16), place: &str, condition: Condition) -> World {
    let mut world = match place {
        "form" => editing(size),
        "leaving" => {
            let mut world = editing(size);
            world.key(KeyCode::Up).key(KeyCode::Escape);
            world
        }
        "conflict" => conflicting(size),
        "process" | "signals" | "confirming" => {
            let mut world = process_scenes::opened(size);
            world.key(KeyCode::Down);
            match place {
                "process" => world.key(KeyCode::Enter),
                "signals" => world.keys("X"),
                _ => world.keys("X").key(KeyCode::Enter),
            };
            world
        }
        _ => begun(size, condition),
    };
    let named = Context::ALL.iter().find(|(context, _)| context.name() == place);
    // An overlay is opened last: it does not survive another view, nor the way into the past.
    let is_over =
        matches!(place, "list" | "anywhere" | "silences" | "deliveries" | "columns") || named.is_none();
    let open = |world: &mut World| match (named, place) {
        (Some((context, _)), _) => go(world, *context),
        (None, "details") => drop(world.keys("D")),
        (None, "diagnostics") => drop(world.key(KeyCode::Function(12))),
        (None, _) => drop(world.keys("2S")),
    };
    if !is_over {
        open(&mut world);
    }
    if place == "machine" && matches!(condition, Normal | Error | Past) {
        with_machine(&mut world);
    }
    if condition == Past {
        // Everywhere the same, while `t` is a letter in some lists.
        world.keys("gt1m ago").key(KeyCode::Enter).at(NOW + 500);
        answer(&mut world);
    }
    if place == "past" {
        world.keys("Pp");
    }
    if is_over {
        open(&mut world);
    }
    if condition == Error {
        world.failed("cannot reach http://127.0.0.1:50051: connection refused", false);
        world.at(NOW + 42_000);
    }
    world
}

#[test]
fn every_place_in_every_condition_at_every_size() {
    for place in places() {
        for (width, height) in SIZES {
            let mut all = String::new();
            for condition in conditions(&place) {
                let screen = scene((width, height), &place, *condition).screen();
                assert!(
                    *condition != Error || screen.contains("reconnecting"),
                    "{place}: {screen}"
                );
                assert!(*condition != Past || screen.contains("PAST"), "{place}: {screen}");
                all.push_str(&format!("── {condition:?}\n{screen}"));
            }
            insta::assert_snapshot!(format!("{place}_{width}x{height}"), all);
        }
        let mut all = String::new();
        for condition in conditions(&place) {
            let screen = scene((80, 24), &place, *condition).ascii().screen();
            assert!(screen.is_ascii(), "{place} {condition:?}: {screen}");
            all.push_str(&format!("-- {condition:?}\n{screen}"));
        }
        insta::assert_snapshot!(format!("{place}_ascii"), all);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn every_place_is_drawn_at_any_size_and_the_same_each_time(
        place in prop::sample::select(places()), condition in prop::sample::select(ALL.to_vec()),
        width in 1u16..320, height in 1u16..110, ascii in any::<bool>(), key in prop::char::range(' ', '~'),
    ) {
        prop_assume!(conditions(&place).contains(&condition));
        let world = scene((width, height), &place, condition);
        let mut world = if ascii { world.ascii() } else { world };
        prop_assert_eq!(world.screen(), world.screen());
        // Whatever is pressed there.
        world.event(sysmon_tui::Event::Key(Key::char(key)));
        world.screen();
    }
}

#[test]
fn nothing_wrong_is_told_from_not_known() {
    let empty = watching_with(
        (80, 24),
        wire::AlertBoard {
            snapshot: true,
            ..Default::default()
        },
    );
    let loading = scene((80, 24), "alerts", Loading).screen();
    assert!(loading.contains("loading"), "{loading}");
    assert_ne!(empty.screen(), loading);
}
