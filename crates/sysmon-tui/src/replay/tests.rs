//! Playing, going back and forth, and a recording that every release must play.

use super::*;
use crate::event::LinkEvent;
use crate::record::Recorder;

fn tick(second: i64) -> Event {
    Event::Tick {
        now: UnixMillis(1_700_000_000_000 + second * 1_000),
        utc_offset_seconds: 0,
    }
}

/// A minute in which the console is connected after ten seconds and shows the alerts after thirty.
fn recorded(path: &Path) {
    let mut recorder = Recorder::create(path, "prod", false, "").unwrap();
    // As the console does: its size is known before the time is.
    recorder.note(&Event::Resize {
        width: 80,
        height: 24,
    });
    recorder.note(&tick(0));
    for second in 1..=60 {
        recorder.note(&tick(second));
        if second == 10 {
            let capabilities = Vec::new();
            recorder.note(&Event::Link(LinkEvent::Connected { capabilities }));
        }
        if second == 30 {
            recorder.note(&Event::Key(Key::char('3')));
        }
    }
}

fn seconds(player: &Player) -> i64 {
    (player.at.0 - player.begin.0) / 1_000
}

#[test]
fn it_plays_pauses_steps_and_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.rec");
    recorded(&path);
    let mut player = Player::open(&path, (100, 30), 2).unwrap();
    assert_eq!((player.end.0 - player.begin.0) / 1_000, 60);
    assert_eq!(player.state.link, crate::state::Link::Connecting);
    player.pass(12_000_000);
    assert_eq!((seconds(&player), player.state.is_live()), (12, true));
    player.press(Key::char('+')).unwrap();
    player.pass(2_000_000);
    assert_eq!(seconds(&player), 32);
    assert_eq!(player.state.view, crate::state::View::Rules);
    player.press(Key::char(' ')).unwrap();
    player.pass(60_000_000);
    assert_eq!(seconds(&player), 32, "it pauses");
    player.press(Key::plain(KeyCode::Left)).unwrap();
    assert_eq!(
        (seconds(&player), &player.state.view),
        (22, &crate::state::View::Fleet)
    );
    player.press(Key::char('.')).unwrap();
    assert_eq!(seconds(&player), 23, "to the next event");
    player.press(Key::plain(KeyCode::Home)).unwrap();
    assert_eq!((seconds(&player), player.state.is_live()), (0, false));
    player.press(Key::plain(KeyCode::End)).unwrap();
    player.press(Key::plain(KeyCode::Right)).unwrap();
    assert_eq!(seconds(&player), 60, "not beyond the end");
    player.press(Key::char(' ')).unwrap();
    assert_eq!((seconds(&player), player.is_playing), (0, true), "once more");
    assert_eq!(player.press(Key::char('q')).unwrap(), Flow::Quit);
}

/// A machine in the fleet, as a subscription tells it at first.
fn fleet_of(name: &str, number: u64) -> Event {
    let machine = wire::MachineUpdate {
        machine: 1,
        header: Some(wire::MachineHeader {
            machine_id: name.into(),
            interval_ms: 1_000,
            ..wire::MachineHeader::default()
        }),
        replace: true,
        liveness: wire::Liveness::Live.into(),
        ..wire::MachineUpdate::default()
    };
    Event::Link(LinkEvent::Update(Box::new(wire::Update {
        subscription: crate::state::FLEET_SUBSCRIPTION,
        number,
        snapshot: true,
        now_unix_ms: 1_700_000_000_000,
        machines: vec![machine],
        totals: Some(wire::FleetTotals {
            live: 1,
            ..wire::FleetTotals::default()
        }),
        has_window: true,
        window_machines: vec![1],
        matching: 1,
        ..wire::Update::default()
    })))
}

#[test]
fn a_tab_that_left_the_screen_and_came_back_plays_on_and_says_so_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.rec");
    let mut recorder = Recorder::create(&path, "prod", false, "").unwrap();
    let capabilities = vec!["windows".to_owned()];
    let (width, height) = (100, 30);
    for (second, event) in [
        (0, Event::Resize { width, height }),
        (1, Event::Link(LinkEvent::Connected { capabilities })),
        (2, fleet_of("web-1", 1)),
        (10, Event::Shown(false)),
        (30, Event::Shown(true)),
        (32, fleet_of("web-2", 1)),
        (40, Event::Key(Key::char('j'))),
    ] {
        recorder.note(&tick(second));
        recorder.note(&event);
    }
    drop(recorder);
    let mut player = Player::open(&path, (100, 30), 2).unwrap();
    let mut at = |second: i64| {
        player.seek_all(player.begin.plus_ms(second * 1_000)).unwrap();
        (screen(&player, (100, 30)), player.state.is_live())
    };
    let (seen, is_live) = at(5);
    assert!(
        is_live && seen.contains("web-1") && !seen.contains("in another tab"),
        "{seen}"
    );
    let (seen, _) = at(20);
    assert!(seen.contains("in another tab"), "{seen}");
    let (seen, is_live) = at(31);
    assert!(
        !is_live && !seen.contains("in another tab"),
        "what was left is shown as that: {seen}"
    );
    let (seen, is_live) = at(40);
    assert!(is_live && seen.contains("web-2"), "{seen}");
}

#[test]
fn slow_steps_lose_no_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.rec");
    recorded(&path);
    let mut player = Player::open(&path, (80, 24), 2).unwrap();
    for _ in 0..30_000 {
        player.pass(333);
    }
    assert_eq!(player.at.0 - player.begin.0, 9_990);
}

#[test]
fn a_recording_is_not_written_over_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.rec");
    recorded(&path);
    assert!(Recorder::create(&path, "prod", false, "").is_err());
}

/// Three simulated machines, recorded by release 0.1.0: the fleet, a machine, the rules, and the machine again.
const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/demo.rec");

/// The screen of a player, a line per row.
fn screen(player: &Player, size: (u16, u16)) -> String {
    let theme = crate::Theme::load("", &[], crate::ColourDepth::None).unwrap();
    let backend = ratatui::backend::TestBackend::new(size.0, size.1);
    let mut terminal = ratatui::Terminal::new(backend).unwrap();
    terminal
        .draw(|frame| crate::render(player.state(), &theme, frame))
        .unwrap();
    terminal.backend().to_string()
}

/// Recordings are mailed and kept. When this fails because of what they look like, read both: the version of the format
/// goes up, and the one before is still read.
#[test]
fn a_recording_of_the_first_version_plays_as_it_did() {
    let size = (100, 30);
    let mut player = Player::open(Path::new(DEMO), size, 2).unwrap();
    assert_eq!(player.header.version, 1);
    assert_eq!(player.header.source_name, "demo");
    let length = player.end.0 - player.begin.0;
    for (index, part) in [20, 45, 70, 85, 100].into_iter().enumerate() {
        let to = player.begin.plus_ms(length * part / 100);
        player.seek_all(to).unwrap();
        insta::assert_snapshot!(format!("demo_{}", index + 1), screen(&player, size));
    }
    let snapshot = crate::once::replayed(Path::new(DEMO), None, &sysmon_core::Filter::default()).unwrap();
    let style = crate::once::TextStyle {
        width: 100,
        is_coloured: false,
    };
    insta::assert_snapshot!("demo_text", crate::once::to_text(&snapshot, style));
    let json: serde_json::Value = serde_json::from_str(&crate::once::to_json(&snapshot).unwrap()).unwrap();
    let machines = json["machines"].as_array().unwrap();
    assert_eq!(machines.len(), 3);
    let listed = |machine: &serde_json::Value| machine["processes"].as_array().unwrap().len();
    assert_eq!(
        machines.iter().filter(|machine| listed(machine) > 10).count(),
        1,
        "all that is known of the machine that was open"
    );
}

#[test]
fn a_moment_is_named_as_seen_from_the_end_and_must_be_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.rec");
    recorded(&path);
    let mut player = Player::open(&path, (80, 24), 2).unwrap();
    player.stop_at(Some("20s ago")).unwrap();
    assert_eq!((seconds(&player), player.is_playing), (40, false));
    player.stop_at(None).unwrap();
    assert_eq!(seconds(&player), 60);
    // It begins at 22:13:20 UTC.
    player.stop_at(Some("22:14")).unwrap();
    assert_eq!(seconds(&player), 40);
    player.stop_at(Some("22:13")).unwrap();
    assert_eq!(seconds(&player), 0, "the minute that it begins in");
    for (text, told) in [
        (
            "2h ago",
            "it goes from 2023-11-14 22:13:20 to 2023-11-14 22:14:20",
        ),
        ("teatime", "is no time"),
    ] {
        let error = player.stop_at(Some(text)).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}
