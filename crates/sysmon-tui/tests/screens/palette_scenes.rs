//! The line of commands, the help, and keys of one's own.

use sysmon_api::wire;
use sysmon_tui::{COMMANDS, Context, Effect, Event, Key, KeyCode, Keymap};

use crate::world::{FLEET, SIZES, World, fleet_snapshot};

fn fleet(size: (u16, u16)) -> World {
    let mut world = World::new(size);
    world.connected().update(fleet_snapshot(&FLEET));
    world
}

#[test]
fn a_colon_lists_every_command_that_works_here() {
    for (width, height) in SIZES {
        let mut world = fleet((width, height));
        world.keys(":");
        insta::assert_snapshot!(format!("palette_{width}x{height}"), world.screen());
    }
}

#[test]
fn typing_finds_commands_by_name_key_and_help() {
    let mut world = fleet((80, 24));
    world.keys(":hpd");
    insta::assert_snapshot!("palette_fuzzy", world.screen());
    world.key(KeyCode::Enter);
    assert!(!world.screen().contains("Command"), "{}", world.screen());
    let mut world = fleet((80, 24));
    world.keys(":acknowledge");
    world.key(KeyCode::Enter);
    insta::assert_snapshot!("palette_elsewhere", world.screen());
    let mut world = fleet((80, 24));
    world.keys(":xyzzy");
    world.key(KeyCode::Enter);
    insta::assert_snapshot!("palette_nothing", world.screen());
    assert!(world.effects.is_empty());
}

#[test]
fn escape_leaves_the_line_and_backspace_on_nothing_too() {
    let mut world = fleet((80, 24));
    let before = world.screen();
    world.keys(":abc").key(KeyCode::Escape);
    assert_eq!(world.screen(), before);
    world.keys(":").key(KeyCode::Backspace);
    assert_eq!(world.screen(), before);
}

#[test]
fn an_argument_is_completed_and_a_mistake_in_it_is_told() {
    let mut world = fleet((80, 24));
    world.keys(":machine web-0");
    insta::assert_snapshot!("palette_argument", world.screen());
    world.key(KeyCode::Tab).key(KeyCode::Enter);
    assert!(
        matches!(&world.effects[0], Effect::Send(wire::command::Body::Subscribe(it)) if it.machine_ids == ["web-017"]),
        "{:?}",
        world.effects
    );
    world.keys(":interval 5");
    world.key(KeyCode::Enter);
    assert!(
        world.screen().contains("write 5s for seconds"),
        "{}",
        world.screen()
    );
    world.keys("s").key(KeyCode::Enter);
    let (_, body) = world.last_asked();
    let wanted = wire::SetInterval {
        machine_id: "web-017".into(),
        interval_ms: 5_000,
    };
    assert_eq!(body, wire::command::Body::SetInterval(wanted));
    world.keys(":connect example");
    world.key(KeyCode::Enter);
    assert!(world.screen().contains("is no address"), "{}", world.screen());
}

#[test]
fn what_was_carried_out_comes_back_with_the_arrow_up() {
    let mut world = fleet((100, 24));
    world.keys(":filter web").key(KeyCode::Enter);
    assert!(!world.screen().contains("db-002"));
    world.keys(":sort cpu").key(KeyCode::Enter);
    world.keys(":fi").key(KeyCode::Up).key(KeyCode::Up);
    assert!(world.screen().contains(":filter web"), "{}", world.screen());
    world.key(KeyCode::Down).key(KeyCode::Down);
    assert!(world.screen().contains(":fi "), "{}", world.screen());
    world.key(KeyCode::Escape);
    world.keys(":filter ").key(KeyCode::Enter);
    assert!(world.screen().contains("db-002"), "an empty filter shows all");
}

#[test]
fn every_command_is_reached_from_the_line_by_its_name() {
    for definition in COMMANDS.iter().filter(|definition| {
        !matches!(
            definition.context,
            Context::Form | Context::Leaving | Context::Conflict
        )
    }) {
        let name = definition.command.name();
        if name == "palette" {
            continue;
        }
        let mut world = fleet((200, 60));
        world.keys(":").keys(&name);
        let screen = world.screen();
        let first = screen.lines().nth(3).unwrap_or_default();
        assert!(first.contains(&name), "{name} is not first:\n{screen}");
    }
}

#[test]
fn the_help_begins_with_the_keys_of_the_view_and_can_be_filtered() {
    let mut world = crate::alerts_world::watching((120, 40));
    world.keys("2?");
    insta::assert_snapshot!("help_alerts_120x40", world.screen());
    world.keys("/sort").key(KeyCode::Enter);
    insta::assert_snapshot!("help_filtered", world.screen());
    world.key(KeyCode::Escape);
    assert!(world.screen().contains("acknowledge, with a comment"));
    world.keys("/qqq");
    assert!(world.screen().contains("no key and no command matches"));
}

#[test]
fn the_help_scrolls_to_its_last_line_and_no_further() {
    let mut world = fleet((80, 24));
    world.keys("?G");
    let end = world.screen();
    assert!(end.contains("go on editing, with nothing decided"), "{end}");
    world.keys("jjj");
    assert_eq!(world.screen(), end);
    world.keys("k");
    assert_ne!(world.screen(), end, "one line back is one line back");
}

#[test]
fn keys_of_ones_own_show_in_hints_and_help_and_work() {
    let keymap =
        Keymap::parse("[fleet]\n\"o\" = \"open\"\n\"Enter\" = \"\"\n[anywhere]\n\"Ctrl-h\" = \"help\"\n")
            .unwrap();
    let mut world = World::new((80, 24)).with_keymap(keymap);
    world.connected().update(fleet_snapshot(&FLEET));
    let hints = world.screen().lines().last().unwrap().to_owned();
    assert!(hints.contains("o open") && hints.contains("^H help"), "{hints}");
    world.key(KeyCode::Enter);
    assert!(world.screen().contains("MACHINE"), "Enter means nothing any more");
    world.event(Event::Key(Key::control('h')));
    assert!(world.screen().contains("o  l  Right"), "{}", world.screen());
    world.key(KeyCode::Escape).keys("o");
    assert!(world.screen().contains("▸ edge-31"), "{}", world.screen());
}
