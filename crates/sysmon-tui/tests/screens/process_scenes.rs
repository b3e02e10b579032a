//! Processes as a tree, one that is followed, one that is looked into, and signals.

use sysmon_api::{processes_to_wire, wire};
use sysmon_core::{Process, ProcessDelta, ProcessKey, ProcessState, ProcessTable, ProcessTotals};
use sysmon_tui::{Effect, Event, KeyCode, LinkEvent};
use wire::command::Body;

use crate::machine_scenes::{opened_on, series};
use crate::world::{FLEET, NOW, World};

const SIZES: [(u16, u16); 2] = [(80, 24), (200, 50)];

fn process(pid: u32, parent_pid: u32, command: &str, cpu: f32) -> Process {
    let name = command.split(' ').next().unwrap().rsplit('/').next().unwrap();
    Process {
        key: ProcessKey {
            pid,
            start_ms: u64::from(pid) * 1_000,
        },
        parent_pid,
        user: "app".into(),
        name: name.into(),
        command: command.into(),
        state: ProcessState::Sleeping,
        cpu_percent: Some(cpu),
        memory_bytes: 1 << 28,
        threads: 4,
        read_bytes_per_second: Some(120_000),
        write_bytes_per_second: None,
    }
}

fn family() -> Vec<Process> {
    vec![
        process(1, 0, "/sbin/init", 0.1),
        process(300, 1, "/usr/sbin/sshd -D", 0.0),
        process(301, 300, "sshd: ana [priv]", 0.0),
        process(302, 301, "bash", 0.0),
        process(400, 1, "/usr/bin/containerd", 3.0),
        process(4_121, 400, "/usr/bin/java -jar checkout.jar --port 8080", 640.0),
        process(4_130, 400, "sh -c loop", 12.0),
        process(4_131, 4_130, "sleep 5", 0.0),
        process(9_000, 8_999, "orphan --of nobody", 1.0),
    ]
}

fn told(processes: Vec<Process>) -> wire::ProcessUpdate {
    let totals = ProcessTotals {
        processes: u32::try_from(processes.len()).unwrap(),
        threads: 36,
        ..Default::default()
    };
    let delta = ProcessDelta {
        replace: true,
        complete: true,
        changed: processes,
        removed: Vec::new(),
        totals,
    };
    processes_to_wire(&delta, &ProcessTable::default())
}

fn update(world: &mut World, number: u64, processes: Vec<Process>) {
    let mut machine = FLEET[0].enter(series());
    if let Some(host) = machine.header.as_mut().and_then(|header| header.host.as_mut()) {
        host.boot_unix_ms = NOW - 14 * 86_400_000;
    }
    machine.processes = Some(told(processes));
    world.update(wire::Update {
        subscription: 2,
        number,
        snapshot: true,
        now_unix_ms: NOW,
        machines: vec![machine],
        ..Default::default()
    });
}

pub(crate) fn opened(size: (u16, u16)) -> World {
    opened_with(size, &["processes", "past", "history"])
}

fn opened_with(size: (u16, u16), capabilities: &[&str]) -> World {
    let mut world = World::new(size);
    world.connected_with(capabilities);
    opened_on(&mut world);
    update(&mut world, 1, family());
    world
}

fn details() -> wire::ProcessDetails {
    wire::ProcessDetails {
        process: None,
        command: format!(
            "/usr/bin/java {} -jar checkout.jar --port 8080",
            "-Dsome.long.property=value ".repeat(6)
        ),
        executable: "/usr/lib/jvm/java-21/bin/java".into(),
        cgroup: "/system.slice/checkout.service".into(),
        open_files: Some(412),
        open_files_max: Some(1_048_576),
        read_bytes: Some(12_000_000_000),
        written_bytes: None,
        memory_peak_bytes: Some(9_700_000_000),
        swap_bytes: Some(0),
        processor_ms: Some(45_600_000),
    }
}

/// Looks into the busiest process; returns the number of the question.
fn look(world: &mut World) -> u64 {
    world.key(KeyCode::Down).key(KeyCode::Enter);
    let (request_id, body) = world.last_asked();
    let Body::ProcessQuestion(question) = body else {
        panic!("{body:?}")
    };
    assert_eq!(question.machine_id, "web-017");
    let key = question.process.unwrap();
    assert_eq!((key.pid, key.start_ms), (4_121, 4_121_000));
    request_id
}

fn answer(world: &mut World, request_id: u64) {
    let details = Box::new(details());
    world.event(Event::Link(LinkEvent::ProcessDetails { request_id, details }));
}

fn refuse(world: &mut World, request_id: u64, code: u32, reason: &str) {
    world.event(Event::Link(LinkEvent::Refused {
        request_id,
        code,
        reason: reason.into(),
    }));
}

#[test]
fn processes_stand_below_their_parents() {
    for (width, height) in SIZES {
        let mut world = opened((width, height));
        world.keys("z");
        insta::assert_snapshot!(format!("processes_tree_{width}x{height}"), world.screen());
    }
    let mut world = opened((80, 24)).ascii();
    world.keys("zf");
    insta::assert_snapshot!("processes_tree_ascii", world.screen());
    // Siblings follow the order that was chosen; again the key makes a list of it.
    world.keys("sp");
    let screen = world.screen();
    let place = |pid: &str| screen.find(pid).unwrap_or_else(|| panic!("{pid} in {screen}"));
    assert!(
        place("4130") > place("4121") && place("400") > place("302"),
        "{screen}"
    );
    world.keys("z");
    assert!(!world.screen().contains("`-"), "{}", world.screen());
}

#[test]
fn who_is_followed_stays_under_the_cursor_through_order_and_filter_until_the_end() {
    let mut world = opened((80, 24));
    world.key(KeyCode::Down).keys("F");
    assert!(world.screen().contains("following 4121"), "{}", world.screen());
    world.keys("sp").keys("/sshd").key(KeyCode::Enter);
    insta::assert_snapshot!("processes_followed", world.screen());
    let without = family()
        .into_iter()
        .filter(|process| process.key.pid != 4_121)
        .collect();
    update(&mut world, 2, without);
    let screen = world.screen();
    assert!(
        screen.contains("java (4121), which was followed, has ended"),
        "{screen}"
    );
    assert!(!screen.contains("following"), "{screen}");
    // Whoever moves the cursor follows no longer.
    let mut world = opened((80, 24));
    world.key(KeyCode::Down).keys("Fj");
    assert!(!world.screen().contains("following"));
    world.keys("FF");
    assert!(!world.screen().contains("following"));
}

#[test]
fn a_search_is_repeated_with_and_without_its_filter_and_around_the_ends() {
    // The rows that have the cursor are told by whom the details are of.
    let under = |world: &mut World| {
        let asked = world.asked.len();
        world.key(KeyCode::Enter);
        assert_eq!(world.asked.len(), asked + 1, "{}", world.screen());
        let Body::ProcessQuestion(question) = world.last_asked().1 else {
            panic!("a question")
        };
        world.key(KeyCode::Escape);
        question.process.unwrap().pid
    };
    let mut world = opened((80, 24));
    assert!(!world.screen().contains("n next match"), "nothing to repeat");
    world.keys("n");
    assert!(
        world.screen().contains("nothing was searched for yet"),
        "{}",
        world.screen()
    );
    world.keys("/sshd").key(KeyCode::Enter).keys("spn");
    assert_eq!(under(&mut world), 300);
    world.keys("n");
    assert_eq!(under(&mut world), 301);
    // What was said before is gone.
    world.at(NOW + 10_000);
    insta::assert_snapshot!("processes_searched", world.screen());
    world.key(KeyCode::Escape);
    assert!(
        world.screen().contains("containerd"),
        "the filter is off: {}",
        world.screen()
    );
    // Over the rows between them, and around.
    world.keys("gg");
    assert_eq!(under(&mut world), 1);
    world.keys("n");
    assert_eq!(under(&mut world), 300);
    world.keys("N");
    assert!(
        world.screen().contains("again from the bottom"),
        "{}",
        world.screen()
    );
    assert_eq!(under(&mut world), 301);
    world.keys("n");
    assert!(
        world.screen().contains("again from the top"),
        "{}",
        world.screen()
    );
    assert_eq!(under(&mut world), 300);
    // A search that was given up does not count; nor does the end of a filter.
    world.keys("/java").key(KeyCode::Escape).keys("n");
    assert_eq!(under(&mut world), 301);
    world.keys("/orphan").key(KeyCode::Enter).keys("nn");
    assert!(
        world.screen().contains("no other process here matches orphan"),
        "{}",
        world.screen()
    );
    world.key(KeyCode::Escape);
    world.keys("/nobodyhere").key(KeyCode::Enter).keys("n");
    assert!(
        world.screen().contains("no process here matches nobodyhere"),
        "{}",
        world.screen()
    );
}

#[test]
fn a_process_is_looked_into() {
    for (width, height) in SIZES {
        let mut world = opened((width, height));
        let request_id = look(&mut world);
        insta::assert_snapshot!(format!("process_asking_{width}x{height}"), world.screen());
        answer(&mut world, request_id);
        insta::assert_snapshot!(format!("process_details_{width}x{height}"), world.screen());
    }
    let mut world = opened((80, 24)).ascii();
    let request_id = look(&mut world);
    answer(&mut world, request_id);
    let screen = world.screen();
    assert!(screen.is_ascii(), "{screen}");
    insta::assert_snapshot!("process_details_ascii", screen);
    world.keys("G");
    assert!(world.screen().contains("cgroup"), "{}", world.screen());
    world.key(KeyCode::Escape);
    assert!(!world.screen().contains("cgroup"));
}

#[test]
fn why_a_process_cannot_be_looked_into_is_said() {
    let cases = [
        ("gone", 5, "process 4121 has ended"),
        ("not_allowed", 7, "the collector may not look at process 4121"),
        ("offline", 14, "web-017 is not connected; try again when it is"),
        (
            "too_old",
            12,
            "the collector of web-017 is too old to answer; upgrade it",
        ),
    ];
    for (name, code, reason) in cases {
        let mut world = opened((80, 24));
        let request_id = look(&mut world);
        refuse(&mut world, request_id + 7, code, "of another question");
        assert!(world.screen().contains("asking web-017"), "{}", world.screen());
        refuse(&mut world, request_id, code, reason);
        insta::assert_snapshot!(format!("process_{name}"), world.screen());
    }
    // Nobody answers at all; then it can be asked again.
    let mut world = opened((80, 24));
    look(&mut world);
    world.at(NOW + 7_000);
    assert!(world.screen().contains("does not answer"), "{}", world.screen());
    let asked = world.asked.len();
    world.key(KeyCode::Enter);
    assert_eq!(world.asked.len(), asked + 1);
    world.failed("gone", false);
    assert!(world.screen().contains("connection broke"), "{}", world.screen());
    // An aggregator that passes nothing on.
    let mut world = opened_with((80, 24), &[]);
    world.key(KeyCode::Enter);
    assert!(world.screen().contains("too old to ask"), "{}", world.screen());
    world.key(KeyCode::Escape).keys("X");
    assert!(
        world.screen().contains("too old to send signals"),
        "{}",
        world.screen()
    );
}

#[test]
fn a_signal_is_chosen_confirmed_and_sent_to_that_process_alone() {
    for (width, height) in SIZES {
        let mut world = opened((width, height));
        world.key(KeyCode::Down).keys("X").key(KeyCode::Down);
        insta::assert_snapshot!(format!("signals_{width}x{height}"), world.screen());
        world.key(KeyCode::Enter);
        insta::assert_snapshot!(format!("signal_confirm_{width}x{height}"), world.screen());
    }
    let mut world = opened((80, 24)).ascii();
    world.key(KeyCode::Down).keys("X").key(KeyCode::Enter);
    let screen = world.screen();
    assert!(screen.is_ascii(), "{screen}");
    insta::assert_snapshot!("signal_confirm_ascii", screen);
    // Nothing but the one key sends it.
    let count = world.asked.len();
    for key in [KeyCode::Enter, KeyCode::Char('n'), KeyCode::Char('X')] {
        world.key(key);
    }
    assert_eq!(world.asked.len(), count);
    world.key(KeyCode::Escape);
    assert!(world.screen().contains("hang up"), "back among the signals");
    world.key(KeyCode::Enter).keys("y");
    let (request_id, body) = world.last_asked();
    let Body::SignalProcess(sent) = body else {
        panic!("{body:?}")
    };
    assert_eq!(sent.machine_id, "web-017");
    assert_eq!(sent.process.unwrap().pid, 4_121);
    assert_eq!(sent.process.unwrap().start_ms, 4_121_000);
    assert_eq!(sent.signal(), wire::ProcessSignal::Term);
    assert!(world.effects.iter().any(Effect::changes_something));
    let mut off = opened((80, 24));
    off.key(KeyCode::Down).keys("X").key(KeyCode::Enter).keys("y");
    world.event(Event::Link(LinkEvent::Accepted { request_id }));
    assert!(
        world.screen().contains("TERM was sent to java (4121)"),
        "{}",
        world.screen()
    );
    let (request_id, _) = off.last_asked();
    refuse(&mut off, request_id, 7, "signals are off on this machine");
    assert!(
        off.screen().contains("not allowed: signals are off"),
        "{}",
        off.screen()
    );
}

#[test]
fn no_signal_is_sent_to_a_process_that_ended_meanwhile_or_from_a_console_that_may_not() {
    let mut world = opened((80, 24));
    world.key(KeyCode::Down).keys("X").key(KeyCode::Enter);
    let without = family()
        .into_iter()
        .filter(|process| process.key.pid != 4_121)
        .collect();
    update(&mut world, 2, without);
    insta::assert_snapshot!("signal_too_late", world.screen());
    let count = world.asked.len();
    world.keys("y");
    assert_eq!(world.asked.len(), count);
    assert!(
        world.screen().contains("has ended by itself"),
        "{}",
        world.screen()
    );

    let mut world = World::new((80, 24)).readonly();
    world.connected_with(&["processes"]);
    opened_on(&mut world);
    update(&mut world, 1, family());
    world.keys("X");
    assert!(world.screen().contains("read-only"), "{}", world.screen());
}

#[test]
fn in_the_past_a_process_is_what_the_list_tells_and_cannot_be_signalled() {
    let mut world = opened((80, 24));
    world.keys("t");
    world.keys("X");
    assert!(world.screen().contains("cannot be changed"), "{}", world.screen());
}

#[test]
fn the_past_is_entered_from_anywhere_by_the_line_of_commands() {
    let mut world = World::new((80, 24));
    world.connected_with(&["past", "history"]);
    world.update(crate::world::fleet_snapshot(&FLEET));
    world.keys(":go 3m ago").key(KeyCode::Enter);
    assert!(world.screen().contains("PAST"), "{}", world.screen());
    let mut world = opened((80, 24));
    world.keys(":go yesterdy").key(KeyCode::Enter);
    assert!(world.screen().contains("is no time"), "{}", world.screen());
    world.key(KeyCode::Escape);
    world.keys(":go yesterday 14:05").key(KeyCode::Enter);
    assert!(world.screen().contains("PAST"), "{}", world.screen());
}
