use ratatui::Terminal;
use ratatui::backend::TestBackend;
use sysmon_api::{processes_to_wire, series_to_wire, tick_to_wire};
use sysmon_core::{MetricId, Process, ProcessKey, ProcessState, ProcessTable, ProcessTotals, SeriesKey};

use super::*;
use crate::key::{Key, KeyCode};
use crate::render::render;
use crate::state::{Link, View};
use crate::theme::{ColourDepth, Theme};
use crate::update::update;

const LEFT_AT: i64 = 1_800_000_000_000;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn tick(state: &mut State, now_ms: i64) {
    update(
        state,
        Event::Tick {
            now: UnixMillis(now_ms),
            utc_offset_seconds: 0,
        },
    );
}

fn console(name: &str, now_ms: i64) -> State {
    let mut state = State::new(name, None);
    tick(&mut state, now_ms);
    resize(&mut state);
    state
}

fn resize(state: &mut State) {
    let (width, height) = (100, 30);
    update(state, Event::Resize { width, height });
}

fn link(state: &mut State, event: LinkEvent) -> Vec<crate::event::Effect> {
    update(state, Event::Link(event))
}

fn told(state: &mut State, subscription: u32, ids: &[&str]) {
    let process = Process {
        key: ProcessKey { pid: 7, start_ms: 1 },
        parent_pid: 1,
        user: "shop".into(),
        name: "java".into(),
        command: "java -jar --token=geheim shop.jar".into(),
        state: ProcessState::Running,
        cpu_percent: Some(93.0),
        memory_bytes: 5 << 20,
        threads: 4,
        read_bytes_per_second: None,
        write_bytes_per_second: None,
    };
    let table = ProcessTable::new(vec![process], ProcessTotals::default(), true);
    let machine = |(number, id): (u32, &&str)| wire::MachineUpdate {
        machine: number,
        header: Some(wire::MachineHeader {
            machine_id: (*id).into(),
            interval_ms: 1_000,
            ..Default::default()
        }),
        replace: true,
        liveness: wire::Liveness::Live.into(),
        last_seen_unix_ms: state.now.0,
        announced: vec![series_to_wire(1, &SeriesKey::plain(MetricId::CpuBusy), 1)],
        ticks: vec![tick_to_wire(state.now, &[(1, 421)])],
        processes: (subscription == MACHINE_SUBSCRIPTION)
            .then(|| processes_to_wire(&table.to_delta(), &ProcessTable::default())),
        sequence: 1,
        ..Default::default()
    };
    let snapshot = wire::Update {
        subscription,
        number: 1,
        snapshot: true,
        now_unix_ms: state.now.0,
        machines: (1..).zip(ids).map(machine).collect(),
        totals: Some(wire::FleetTotals {
            live: u32::try_from(ids.len()).unwrap(),
            ..Default::default()
        }),
        ..Default::default()
    };
    link(state, LinkEvent::Update(Box::new(snapshot)));
}

fn connect(state: &mut State) {
    let capabilities = Vec::new();
    link(state, LinkEvent::Connected { capabilities });
}

fn screen(state: &State) -> String {
    let theme = Theme::load("dark", &[], ColourDepth::True).unwrap();
    let mut terminal = Terminal::new(TestBackend::new(state.width, state.height)).unwrap();
    terminal.draw(|frame| render(state, &theme, frame)).unwrap();
    terminal.backend().to_string()
}

/// A console that was left with two machines, and what it left.
fn left(folder: &Path) -> State {
    let mut state = console("prod", LEFT_AT);
    connect(&mut state);
    told(&mut state, FLEET_SUBSCRIPTION, &["web-1", "db-2"]);
    GlanceFile::new(folder, "prod").save(&state);
    state
}

/// The next console, so much later, before it is connected.
fn next(folder: &Path, later_ms: i64) -> State {
    let mut state = State::new("prod", None);
    let now = UnixMillis(LEFT_AT + later_ms);
    if let Some(glance) = GlanceFile::new(folder, "prod").load() {
        glance.restore(&mut state, now);
    }
    tick(&mut state, now.0);
    resize(&mut state);
    state
}

#[test]
fn the_fleet_is_there_before_the_connection_and_says_how_old_it_is() {
    let folder = folder();
    left(folder.path());
    let mut state = next(folder.path(), 180_000);
    let shown = screen(&state);
    for text in ["web-1", "db-2", "42%", "2 machines", "connecting, this is 3m old"] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    assert!(!state.is_live(), "and it is grey");
    link(
        &mut state,
        LinkEvent::Failed {
            reason: "connection refused".into(),
            permanent: false,
        },
    );
    let shown = screen(&state);
    assert!(
        shown.contains("web-1") && shown.contains("reconnecting 3m"),
        "{shown}"
    );

    connect(&mut state);
    assert!(!state.is_live(), "what is shown is still that of then");
    assert!(screen(&state).contains("updating"), "{}", screen(&state));
    told(&mut state, FLEET_SUBSCRIPTION, &["web-1", "new-3"]);
    let shown = screen(&state);
    assert!(
        state.is_live() && shown.contains("new-3") && !shown.contains("db-2"),
        "{shown}"
    );
}

#[test]
fn an_open_machine_is_there_with_its_processes_and_without_their_arguments() {
    let folder = folder();
    let mut state = left(folder.path());
    update(&mut state, Event::Key(Key::plain(KeyCode::Enter)));
    let id = match &state.view {
        View::Machine(id) => id.clone(),
        other => panic!("{other:?}"),
    };
    tick(&mut state, LEFT_AT + 1_000);
    told(&mut state, MACHINE_SUBSCRIPTION, &[&id]);
    GlanceFile::new(folder.path(), "prod").save(&state);
    let bytes = std::fs::read(folder.path().join("console-prod.glance")).unwrap();
    let glance = Glance::read(&bytes).unwrap();
    assert!(!format!("{glance:?}").contains("geheim"));

    let mut state = next(folder.path(), 60_000);
    (state.view, state.is_machine_remembered) = (View::Machine(id.clone()), true);
    resize(&mut state);
    let shown = screen(&state);
    assert!(shown.contains("java") && shown.contains("93"), "{shown}");
    // It has gone meanwhile: that is known only when the fleet has been told.
    connect(&mut state);
    told(&mut state, MACHINE_SUBSCRIPTION, &[]);
    assert_eq!(state.view, View::Machine(id.clone()));
    told(&mut state, FLEET_SUBSCRIPTION, &["new-3"]);
    assert_eq!(state.view, View::Fleet);
    assert!(
        state
            .notice
            .as_ref()
            .is_some_and(|notice| notice.text.contains(&*id))
    );
}

#[test]
fn what_was_kept_is_not_kept_again_and_what_is_old_is_not_shown() {
    let folder = folder();
    left(folder.path());
    let state = next(folder.path(), 60_000);
    assert_eq!(Glance::of(&state), None, "nobody told this console anything");
    assert_eq!(state.link, Link::Connecting);
    let late = next(folder.path(), i64::try_from(AGE_MS_MAX).unwrap() + 1);
    assert!(!late.is_of_earlier && screen(&late).contains("connecting…"));
    let clock_set_back = next(folder.path(), -60_000);
    assert!(screen(&clock_set_back).contains("this is 0s old"));
}

#[test]
fn a_large_fleet_is_cut_and_a_damaged_file_is_none() {
    let folder = folder();
    let mut state = console("prod", LEFT_AT);
    connect(&mut state);
    let ids: Vec<String> = (0..MACHINES_MAX + 50)
        .map(|number| format!("m{number}"))
        .collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    told(&mut state, FLEET_SUBSCRIPTION, &ids);
    let file = GlanceFile::new(folder.path(), "prod");
    file.save(&state);
    assert_eq!(file.load().unwrap().updates[0].machines.len(), MACHINES_MAX);

    let path = folder.path().join("console-prod.glance");
    let whole = std::fs::read(&path).unwrap();
    for bytes in [&b""[..], b"a text", &whole[..whole.len() / 2]] {
        std::fs::write(&path, bytes).unwrap();
        let state = next(folder.path(), 1_000);
        let shown = screen(&state);
        assert!(shown.contains("connecting"), "{shown}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.save(&console_with_a_fleet());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

fn console_with_a_fleet() -> State {
    let mut state = console("prod", LEFT_AT);
    connect(&mut state);
    told(&mut state, FLEET_SUBSCRIPTION, &["web-1"]);
    state
}
