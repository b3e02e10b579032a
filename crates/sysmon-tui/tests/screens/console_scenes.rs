//! Colours, copying, writing files, what the client costs, and a console that may change nothing.

use sysmon_tui::{
    COMMANDS, ColourDepth, Command, Effect, Event, FrameReport, KeyCode, Mouse, MouseAction, Theme,
};

use crate::world::{FLEET, NOW, World, fleet_snapshot};

fn fleet(size: (u16, u16)) -> World {
    let mut world = World::new(size);
    world.connected().update(fleet_snapshot(&FLEET));
    world
}

fn click(world: &mut World, needle: &str, line: usize) {
    let screen = world.screen();
    let line_text = screen.lines().nth(line).unwrap();
    let at = line_text.find(needle).unwrap();
    let column = sysmon_core::display_width(&line_text[..at]);
    world.event(Event::Mouse(Mouse {
        action: MouseAction::Press,
        column: u16::try_from(column).unwrap(),
        row: u16::try_from(line).unwrap(),
    }));
}

#[test]
fn a_theme_is_seen_before_it_is_taken_and_taken_back_by_escape() {
    let mut world = fleet((80, 24)).with_themes(&["dark", "light", "nord"]);
    world.keys(":theme ");
    assert_eq!(world.effects, [Effect::Theme("dark".into())]);
    world.key(KeyCode::Down);
    assert_eq!(world.effects, [Effect::Theme("light".into())]);
    insta::assert_snapshot!("theme_preview", world.screen());
    let screen = world.screen();
    assert!(
        ["web-017", "db-002", "edge-31"]
            .iter()
            .all(|bad| screen.contains(bad)),
        "what a theme says of warning and critical is seen: {screen}"
    );
    world.key(KeyCode::Escape);
    assert_eq!(world.effects, [Effect::Theme("dark".into())]);
    world.keys(":theme no").key(KeyCode::Enter);
    assert_eq!(world.effects, [Effect::Theme("nord".into())]);
    world.keys(":theme rose").key(KeyCode::Enter);
    assert!(
        world
            .screen()
            .contains("there is no theme \"rose\"; there are dark, light, nord"),
        "{}",
        world.screen()
    );
    world.event(Event::Notice("cannot read it\u{1b}[2J".into()));
    assert!(world.screen().contains("cannot read it"));
}

#[test]
fn every_theme_draws_every_state_apart_without_its_colours() {
    // The shape of the mark alone: colours are not in the text at all.
    let world = fleet((80, 24));
    let marks: std::collections::BTreeSet<char> = world
        .screen()
        .lines()
        .skip(2)
        .filter_map(|line| line.chars().nth(1))
        .filter(|mark| !mark.is_whitespace())
        .collect();
    assert!(
        ['✕', '■', '▲', '◌', '●'].iter().all(|mark| marks.contains(mark)),
        "{marks:?}"
    );
    for name in Theme::names(&[]) {
        let plain = Theme::load(&name, &[], ColourDepth::None).unwrap();
        let (ok, critical) = (plain.ok(), plain.critical());
        assert_eq!(ok.fg, critical.fg, "{name} has no colour");
        assert_ne!(ok, critical, "{name}: what is critical is bold");
    }
}

#[test]
fn what_is_selected_can_be_copied_by_a_second_key() {
    let mut world = fleet((100, 24));
    world.keys("y");
    insta::assert_snapshot!("copy_choices", world.screen());
    world.keys("m");
    assert_eq!(world.effects, [Effect::Copy("edge-31".into())]);
    world.keys("jyr");
    assert!(
        matches!(&world.effects[0], Effect::Copy(text) if text.starts_with("web-017\tweb-017\tlive\tcritical\t97\t")),
        "{:?}",
        world.effects
    );
    world.keys("yq");
    assert!(world.effects.is_empty() && world.screen().contains("nothing to copy has the key"));
    let mut alerts = crate::alerts_world::watching((100, 30));
    alerts.keys("2yu");
    assert_eq!(alerts.effects, [Effect::Copy("cpu-busy".into())]);
}

#[test]
fn the_view_is_written_as_its_name_ends() {
    let mut world = fleet((100, 24));
    world.keys("x");
    insta::assert_snapshot!("export_prompt", world.screen());
    world.key(KeyCode::Enter);
    let [Effect::Export { path, text, rows }] = &world.effects[..] else {
        panic!("{:?}", world.effects)
    };
    assert_eq!((path.as_str(), *rows), ("sysmon-fleet-20261123-140532.csv", 7));
    insta::assert_snapshot!("export_fleet", text);
    world.keys("x");
    for _ in 0..4 {
        world.key(KeyCode::Backspace);
    }
    world.key(KeyCode::Enter);
    assert!(world.effects.is_empty() && world.screen().contains("nothing was written"));
    world.keys(":export text a.b").key(KeyCode::Enter);
    assert!(matches!(&world.effects[..], [Effect::Export { path, .. }] if path == "a.b"));
    world.keys(":export xml").key(KeyCode::Enter);
    assert!(
        world.screen().contains("\"xml\" is no format"),
        "{}",
        world.screen()
    );
    for (keys, begins) in [("2", "rule,machine_id,"), ("3", "rule,title,")] {
        let mut world = crate::alerts_world::watching((100, 30));
        world.keys(keys).keys("x").key(KeyCode::Enter);
        assert!(
            matches!(&world.effects[..], [Effect::Export { text, rows, .. }] if text.starts_with(begins) && *rows > 0),
            "{:?}",
            world.effects
        );
    }
}

#[test]
fn what_the_client_costs_is_shown_on_demand() {
    let mut world = fleet((80, 24));
    world.event(Event::Frame(FrameReport {
        micros: 830,
        bytes: 4_200,
        taken_micros: 120,
        skipped: 2,
        frames_per_second_max: 30,
        events: 1,
        events_max: 16,
        commands: 0,
        commands_max: 64,
    }));
    world.key(KeyCode::Function(12)).at(NOW + 1_000);
    insta::assert_snapshot!("diagnostics_80x24", world.screen());
    world.key(KeyCode::Function(12));
    assert!(!world.screen().contains("Diagnostics"));
    world.event(Event::Pace { is_slow: true });
    assert!(world.screen().contains("slow link"));
    world.state.take_dirty();
    world.event(Event::Pace { is_slow: true });
    world.event(Event::Frame(FrameReport::default()));
    assert!(!world.state.take_dirty(), "a frame is no reason for a frame");
}

#[test]
fn a_console_that_is_read_only_offers_and_sends_nothing_that_changes_anything() {
    let mut world = crate::alerts_world::watching((120, 40)).readonly();
    world.keys("2");
    insta::assert_snapshot!("readonly_alerts", world.screen());
    for keys in ["a", "S", "e", "3n", "d", " ", "c", "u"] {
        world.keys(keys);
        assert!(
            !world.effects.iter().any(Effect::changes_something),
            "{keys}: {:?}",
            world.effects
        );
        assert!(
            world.screen().contains("this console is read-only"),
            "{keys}: {}",
            world.screen()
        );
    }
    world.keys(":acknowledge");
    assert!(
        !world.screen().contains("acknowledge, with a comment"),
        "{}",
        world.screen()
    );
    assert!(COMMANDS.iter().any(|row| row.command == Command::Acknowledge));
    world.key(KeyCode::Escape);
    world.keys("?");
    assert!(!world.screen().contains("make a rule"), "{}", world.screen());
}

#[test]
fn a_click_on_a_hint_does_what_the_hint_says_and_one_on_the_top_line_leads_there() {
    let mut world = fleet((100, 24));
    click(&mut world, "? help", 23);
    assert!(world.screen().contains("─ Keys "), "{}", world.screen());
    world.key(KeyCode::Escape);
    click(&mut world, "s sort", 23);
    assert!(world.screen().contains("sort by"), "{}", world.screen());
    world.key(KeyCode::Escape).key(KeyCode::Escape);
    world.keys("/web").key(KeyCode::Enter);
    click(&mut world, "Esc", 23);
    assert!(world.screen().contains("db-002"));
    let mut alerts = crate::alerts_world::watching((120, 30));
    click(&mut alerts, "live", 0);
    assert!(alerts.screen().contains("▸ alerts"), "{}", alerts.screen());
    click(&mut alerts, "prod", 0);
    assert!(alerts.screen().contains("MACHINE"));
}

#[test]
fn the_line_of_commands_follows_the_mouse() {
    let mut world = fleet((80, 24));
    world.keys(":");
    let screen = world.screen();
    let line = screen.lines().position(|line| line.contains("group")).unwrap();
    click(&mut world, "group", line);
    click(&mut world, "group", line);
    assert!(
        !world.screen().contains("─ Command "),
        "the second click carries it out"
    );
    world.keys(":");
    world.event(Event::Mouse(Mouse {
        action: MouseAction::WheelDown,
        column: 20,
        row: 8,
    }));
    world.event(Event::Mouse(Mouse {
        action: MouseAction::Press,
        column: 2,
        row: 22,
    }));
    assert!(
        !world.screen().contains("─ Command "),
        "a click beside it closes it"
    );
}
