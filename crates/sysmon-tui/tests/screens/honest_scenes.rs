//! What is on screen is what it says to be: nobody acts on another machine than the one they see, and nothing that is old
//! or not known is told as if it were.

use sysmon_api::wire;
use sysmon_core::Liveness;
use sysmon_tui::{Effect, KeyCode};

use crate::alerts_world::board;
use crate::travel_scenes::{answer, answer_log};
use crate::world::{FLEET, Made, NOW, World, fleet_snapshot};

const CAPABILITIES: [&str; 3] = ["history", "alerts", "past"];

fn fleet(size: (u16, u16)) -> World {
    let mut world = World::new(size);
    world
        .connected_with(&CAPABILITIES)
        .update(fleet_snapshot(&FLEET))
        .board(board());
    world
}

fn past(mut world: World) -> World {
    world.keys("gt1m ago").key(KeyCode::Enter).at(NOW + 500);
    answer(&mut world);
    world
}

fn last_silence(world: &World) -> wire::Silence {
    match world.last_asked().1 {
        wire::command::Body::AddSilence(silence) => silence,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_silence_from_the_past_is_of_the_machine_on_screen_and_begins_now() {
    let mut world = fleet((80, 24));
    // The live cursor is on a machine that was not the worst then.
    world.keys("gg");
    let mut world = past(world);
    world.keys("gg");
    assert!(
        world.screen().lines().nth(2).unwrap().contains("db-002"),
        "{}",
        world.screen()
    );
    world.keys("S");
    let screen = world.screen();
    assert!(screen.contains("db-002"), "{screen}");
    assert!(screen.contains("Esc leave"), "a way out is named: {screen}");
    world.key(KeyCode::Enter);
    let silence = last_silence(&world);
    assert_eq!(silence.machine_ids, ["db-002"]);
    assert!(silence.from_unix_ms >= NOW, "{silence:?}");
    assert_eq!(silence.until_unix_ms - silence.from_unix_ms, 3_600_000);
}

#[test]
fn marks_of_the_past_are_silenced_and_not_those_of_now() {
    let mut world = fleet((80, 24));
    world.keys("gg ");
    let mut world = past(world);
    world.keys("G S").key(KeyCode::Enter);
    let silence = last_silence(&world);
    assert_eq!(silence.machine_ids.len(), 1, "{silence:?}");
    assert!(
        ["web-017", "edge-31"].contains(&silence.machine_ids[0].as_str()),
        "{silence:?}"
    );
}

#[test]
fn an_alert_of_the_past_is_silenced_and_not_a_machine_of_the_live_fleet() {
    let mut world = past(fleet((80, 24)));
    answer_log(&mut world, Vec::new());
    world.keys("2/cpu web-017").key(KeyCode::Enter);
    world.keys("S").key(KeyCode::Enter);
    let silence = last_silence(&world);
    assert_eq!(
        (silence.rule_ids, silence.machine_ids),
        (vec!["cpu-busy".to_owned()], vec!["web-017".to_owned()])
    );
}

#[test]
fn what_is_still_of_now_is_said_to_be_so_in_words() {
    for size in [(40, 10), (80, 24)] {
        for is_ascii in [false, true] {
            let mut world = fleet(size);
            world.keys("t");
            let world = if is_ascii { world.ascii() } else { world };
            let top = world.screen().lines().next().unwrap().to_owned();
            assert!(top.contains("PAST (now still shown) loading 14:04:32"), "{top}");
        }
    }
}

#[test]
fn counts_of_alerts_that_are_not_known_are_not_zero() {
    let mut world = World::new((80, 24));
    world
        .connected_with(&CAPABILITIES)
        .update(fleet_snapshot(&FLEET))
        .board(wire::AlertBoard {
            snapshot: true,
            ..Default::default()
        });
    world.keys("2");
    let screen = world.screen();
    assert!(
        screen.contains("FIRING –   pending –   acknowledged –   silenced –"),
        "{screen}"
    );
    let mut world = past(fleet((80, 24)));
    world.keys("2");
    let screen = world.screen();
    assert!(screen.contains("FIRING –"), "{screen}");
    assert!(fleet((80, 24)).keys("2").screen().contains("FIRING 3"));
}

#[test]
fn a_list_that_is_not_here_yet_is_not_an_empty_one() {
    for keys in ["2L", "2N"] {
        let mut world = World::new((80, 24));
        world.connected_with(&CAPABILITIES).keys(keys);
        let screen = world.screen();
        assert!(screen.contains("│ loading…"), "{screen}");
        let mut world = World::new((80, 24));
        world.connected_with(&[]).keys(keys);
        let screen = world.screen();
        assert!(screen.contains("keeps no rules and no alerts"), "{screen}");
    }
    let mut world = World::new((80, 24));
    world.connected_with(&CAPABILITIES).board(wire::AlertBoard {
        snapshot: true,
        ..Default::default()
    });
    let screen = world.keys("2N").screen();
    let whole = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(whole.contains("in the settings of"), "{screen}");
    assert!(screen.contains("alert service"), "nothing is cut: {screen}");
}

#[test]
fn data_that_stands_still_is_not_live() {
    let mut world = fleet((100, 24));
    assert!(world.at(NOW + 5_000).screen().contains(" live "));
    let screen = world.at(NOW + 75_000).screen();
    assert!(
        screen.contains("silent 75 s") && !screen.contains(" live "),
        "{screen}"
    );
    world.update(fleet_snapshot(&FLEET));
    assert!(world.screen().contains(" live "), "what comes ends it");
}

#[test]
fn nothing_is_expected_of_machines_that_do_not_report() {
    let mut world = World::new((100, 24));
    world.connected().update(fleet_snapshot(&[]));
    assert!(world.at(NOW + 75_000).screen().contains(" live "));
    let lost = [Made::new(1, "edge-31", [1.0, 1.0], 2.0, 3.0).silent(Liveness::Lost, 400_000)];
    let mut world = World::new((100, 24));
    world.connected().update(fleet_snapshot(&lost));
    assert!(world.at(NOW + 75_000).screen().contains(" live "));
    // Every ten seconds is soon enough for who measures every ten seconds.
    let mut slow = fleet_snapshot(&FLEET);
    for machine in &mut slow.machines {
        machine.header.as_mut().unwrap().interval_ms = 10_000;
    }
    let mut world = World::new((100, 24));
    world.connected().update(slow);
    assert!(world.at(NOW + 25_000).screen().contains(" live "));
    assert!(world.at(NOW + 40_000).screen().contains("silent 40 s"));
}

#[test]
fn what_loads_is_not_live_and_does_not_connect() {
    let mut world = World::new((80, 24));
    assert!(world.screen().contains("connecting…"));
    world.connected();
    let screen = world.screen();
    assert!(screen.lines().next().unwrap().contains("loading…"), "{screen}");
    assert!(screen.contains("loading the machines…"), "{screen}");
    assert!(
        !screen.contains("connecting") && !screen.contains(" live "),
        "{screen}"
    );
}

#[test]
fn numbers_of_a_lost_machine_are_not_current_anywhere() {
    let mut world = fleet((120, 24));
    world.keys("v/edge-31").key(KeyCode::Enter);
    let screen = world.screen();
    let name = screen.lines().find(|line| line.contains("✕ edge-31")).unwrap();
    assert!(!name.contains("cpu") && !name.contains("mem"), "{name}");
    let written = world.keys(":export csv").key(KeyCode::Enter).effects.clone();
    let text = format!("{written:?}");
    assert!(text.contains("edge-31"), "{text}");
    assert!(text.contains(",lost,unknown,,,,,,,"), "{text}");
}

#[test]
fn a_group_counts_every_state_by_its_own_mark() {
    let mut world = fleet((120, 24));
    world.keys("b");
    let screen = world.screen();
    assert!(!screen.contains("not well"), "{screen}");
    insta::assert_snapshot!("groups_of_states", screen);
}

#[test]
fn the_palette_calls_no_silent_machine_healthy() {
    let mut world = fleet((100, 24));
    world.keys(":machine edge");
    let screen = world.screen();
    let line = screen
        .lines()
        .find(|line| line.contains("edge-31") && line.contains('│'))
        .unwrap();
    assert!(line.contains("lost"), "{screen}");
}

/// Every command that the first screen names can be typed as it stands.
#[test]
fn the_first_commands_are_whole_at_every_size() {
    for size in [(40, 10), (40, 14), (80, 24), (200, 50)] {
        let mut world = World::new(size);
        world.connected().update(fleet_snapshot(&[]));
        let screen = world.screen();
        let joined = screen
            .replace('\\', " ")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(joined.contains("no machine has reported yet"), "{screen}");
        let collector = "sysmon collector --aggregator http://HOST:50051 --token-file FILE";
        assert!(joined.contains(collector), "{screen}");
        let token = "sysmon tokens create --role agent --name NAME --machine-id NAME";
        assert!(size.1 == 10 || joined.contains(token), "{screen}");
    }
}

#[test]
fn dialogs_keep_their_keys_without_a_connection() {
    let mut world = crate::editor_scenes::conflicting((80, 24));
    world.failed("cannot reach http://127.0.0.1:50051: connection refused", false);
    let screen = world.screen();
    let last = screen.lines().last().unwrap();
    assert!(
        last.contains("take theirs") && last.contains("go on editing"),
        "{screen}"
    );
    assert!(screen.contains("reconnecting"), "{screen}");
}

#[test]
fn hints_name_no_key_that_does_nothing_there() {
    let mut world = fleet((120, 40));
    assert!(world.screen().lines().last().unwrap().contains("Enter open"));
    world.keys(":");
    assert_eq!(
        world.screen().lines().last().unwrap(),
        "",
        "the palette has its own"
    );
    let mut world = past(fleet((200, 40)));
    world.keys("2");
    let last = world.screen().lines().last().unwrap().to_owned();
    assert!(
        !last.contains("L silences") && !last.contains("N notified"),
        "{last}"
    );
    world.keys("3");
    let last = world.screen().lines().last().unwrap().to_owned();
    for word in ["edit", "on/off", "new", "copy", "delete", "undo"] {
        assert!(!last.contains(word), "{word}: {last}");
    }
    world.keys("p");
    assert!(world.screen().lines().last().unwrap().contains("p pause"));
    let mut world = World::new((200, 40));
    world.connected_with(&CAPABILITIES).keys("2");
    let last = world.screen().lines().last().unwrap().to_owned();
    assert!(
        !last.contains("acknowledge") && !last.contains("threshold"),
        "{last}"
    );
    let mut world = fleet((120, 40));
    world.keys("2S");
    let last = world.screen().lines().last().unwrap().to_owned();
    assert!(last.contains("Enter silence"), "{last}");
    assert!(!last.contains("ten more") && !last.contains("on/off"), "{last}");
}

#[test]
fn esc_is_named_once_with_what_it_does_first() {
    let mut world = fleet((120, 40));
    world.keys("2/cpu").key(KeyCode::Enter);
    let last = world.screen().lines().last().unwrap().to_owned();
    assert!(last.contains("Esc clears"), "{last}");
    assert_eq!(last.matches("Esc").count(), 1, "{last}");
    assert!(last.contains(" of "), "{last}");
    // A click on it does what it says.
    let column = u16::try_from(last.find("Esc").unwrap()).unwrap();
    world.event(sysmon_tui::Event::Mouse(sysmon_tui::Mouse {
        action: sysmon_tui::MouseAction::Press,
        column,
        row: 39,
    }));
    assert!(!world.screen().contains("/cpu"), "{}", world.screen());
}

#[test]
fn help_in_the_past_begins_with_the_past_and_no_text_is_cut() {
    let mut world = past(fleet((80, 24)));
    world.keys("?");
    assert!(
        world.screen().lines().nth(2).unwrap().contains("The past"),
        "{}",
        world.screen()
    );
    for size in [(40, 24), (80, 24), (120, 40), (200, 50)] {
        let mut world = fleet(size);
        world.keys("?");
        let mut text = world.screen();
        for _ in 0..30 {
            world.key(KeyCode::PageDown);
            text.push_str(&world.screen());
        }
        let cut: Vec<&str> = text
            .lines()
            .filter(|line| line.contains('…') && line.contains('│'))
            .collect();
        assert!(cut.is_empty(), "{size:?}: {cut:#?}");
    }
}

#[test]
fn a_list_that_goes_on_says_how_far() {
    let mut world = fleet((80, 24));
    world.keys("C");
    let bottom = |world: &World| {
        world
            .screen()
            .lines()
            .find(|line| line.contains('└'))
            .unwrap()
            .to_owned()
    };
    assert!(bottom(&world).contains("─ 1/"), "{}", world.screen());
    world.keys("jj");
    assert!(bottom(&world).contains("─ 3/"), "{}", world.screen());
    let mut world = fleet((80, 24));
    world.keys("?");
    assert!(bottom(&world).contains('/'), "{}", world.screen());
}

#[test]
fn every_choice_is_on_screen_and_so_is_the_way_out() {
    for (view, names) in [("1", &["name", "load"][..]), ("2", &["rule", "time"][..])] {
        let mut world = fleet((80, 24));
        world.keys(view).keys("s");
        let last = world.screen().lines().last().unwrap().to_owned();
        for name in names {
            assert!(last.contains(name), "{last}");
        }
        assert!(last.ends_with("Esc leaves"), "{last}");
    }
    let mut world = fleet((80, 24));
    world.keys("1e");
    assert!(world.screen().contains("Esc leaves"), "{}", world.screen());
    assert!(!world.effects.iter().any(|effect| matches!(effect, Effect::Quit)));
}
