//! One machine: its charts, its lists and its processes.

use sysmon_api::{processes_to_wire, wire};
use sysmon_core::{
    MetricId, Process, ProcessDelta, ProcessKey, ProcessState, ProcessTable, ProcessTotals, SeriesKey,
};
use sysmon_tui::{Effect, KeyCode};

use crate::world::{FLEET, Made, NOW, SIZES, World, fleet_snapshot};

/// The series of the worst machine.
pub(crate) fn series() -> Vec<(SeriesKey, f64)> {
    series_of(&FLEET[0])
}

/// What a machine like this one measures: parts that add up to the whole of it.
pub(crate) fn series_of(made: &Made) -> Vec<(SeriesKey, f64)> {
    use MetricId as M;
    let [_, cpu] = made.cpu;
    let busy = cpu / 97.0;
    let mut series: Vec<(SeriesKey, f64)> = [
        (M::CpuUser, 81.0 * busy),
        (M::CpuSystem, 12.0 * busy),
        (M::CpuIoWait, 3.0 * busy),
        (M::CpuSteal, 1.0 * busy),
        (M::Load5, cpu / 28.0),
        (M::Load15, cpu / 33.0),
        (M::Uptime, 1_209_600.0),
        (M::MemoryUsed, made.memory / 100.0 * 64.0 * 1_073_741_824.0),
        (M::MemoryTotal, 64.0 * 1_073_741_824.0),
        (M::MemoryCached, 11.0 * 1_073_741_824.0),
        (M::SwapUsedPercent, 2.0),
        (M::PressureCpuSome, 41.0),
        (M::PressureIoSome, 6.0),
        (M::PressureMemorySome, 0.0),
        (M::SystemdFailedUnits, 1.0),
    ]
    .map(|(metric, value)| (SeriesKey::plain(metric), value))
    .into();
    for core in 0..16 {
        series.push((
            SeriesKey::of(M::CpuCoreBusy, &core.to_string()),
            f64::from(core) * 6.6,
        ));
    }
    for (interface, receive, transmit) in [("eth0", 12_400_000.0, 3_100_000.0), ("lo", 88_000.0, 88_000.0)] {
        series.push((SeriesKey::of(M::NetworkReceive, interface), receive));
        series.push((SeriesKey::of(M::NetworkTransmit, interface), transmit));
        series.push((SeriesKey::of(M::NetworkReceiveErrors, interface), 0.0));
        series.push((
            SeriesKey::of(M::NetworkReceiveDrops, interface),
            if interface == "eth0" { 2.5 } else { 0.0 },
        ));
    }
    for (metric, value) in [
        (M::DiskRead, 1_200_000.0),
        (M::DiskWrite, 88e6),
        (M::DiskUtilisation, 71.0),
        (M::DiskAwait, 9.08),
    ] {
        series.push((SeriesKey::of(metric, "nvme0n1"), value));
    }
    for (mount, percent, free) in [
        ("/", 91.0, 18e9),
        ("/srv/データ", 44.0, 2e12),
        ("/boot", 31.0, 3e8),
    ] {
        series.push((SeriesKey::of(M::MountUsedPercent, mount), percent));
        series.push((SeriesKey::of(M::MountAvailable, mount), free));
        series.push((
            SeriesKey::of(M::MountTotal, mount),
            free * 100.0 / (100.0 - percent),
        ));
        series.push((SeriesKey::of(M::MountInodesUsedPercent, mount), 7.0));
    }
    series.push((SeriesKey::of(M::Temperature, "k10temp Tctl"), 71.2));
    series.push((SeriesKey::of(M::SystemdUnitFailed, "backup.service"), 1.0));
    series
}

fn process(
    pid: u32,
    user: &str,
    command: &str,
    cpu: Option<f32>,
    memory: u64,
    state: ProcessState,
) -> Process {
    Process {
        key: ProcessKey {
            pid,
            start_ms: u64::from(pid),
        },
        parent_pid: 1,
        user: user.into(),
        name: command
            .split(' ')
            .next()
            .unwrap()
            .rsplit('/')
            .next()
            .unwrap()
            .into(),
        command: command.into(),
        state,
        cpu_percent: cpu,
        memory_bytes: memory,
        threads: pid % 40 + 1,
        read_bytes_per_second: Some(0),
        write_bytes_per_second: (pid > 1_000).then_some(1_250_000),
    }
}

pub(crate) fn processes() -> wire::ProcessUpdate {
    let mut changed = vec![
        process(
            4_121,
            "app",
            "/usr/bin/java -jar checkout.jar",
            Some(640.0),
            8_700_000_000,
            ProcessState::Running,
        ),
        process(
            988,
            "root",
            "/usr/bin/containerd",
            Some(12.0),
            125_000_000,
            ProcessState::Sleeping,
        ),
        process(
            77,
            "postgres",
            "postgres: writer \u{1b}[31mred",
            Some(3.3),
            64_000_000,
            ProcessState::Blocked,
        ),
        process(9_001, "app", "defunct", None, 0, ProcessState::Zombie),
    ];
    changed.extend((100..140).map(|pid| {
        process(
            pid,
            "nobody",
            "sleep 3600",
            Some(0.0),
            1 << 20,
            ProcessState::Sleeping,
        )
    }));
    let totals = ProcessTotals {
        processes: 44,
        threads: 912,
        running: 1,
        blocked: 1,
        zombies: 1,
    };
    let delta = ProcessDelta {
        replace: true,
        complete: true,
        changed,
        removed: Vec::new(),
        totals,
    };
    processes_to_wire(&delta, &ProcessTable::default())
}

fn opened(size: (u16, u16)) -> World {
    let mut world = World::new(size);
    world.connected();
    opened_on(&mut world);
    with_machine(&mut world);
    world
}

/// Opens the worst machine of a client that is connected.
pub(crate) fn opened_on(world: &mut World) {
    world
        .update(fleet_snapshot(&FLEET))
        .keys("sw")
        .keys("gg")
        .key(KeyCode::Down)
        .key(KeyCode::Enter);
}

/// Everything of the machine that is open.
#[test]
fn a_threshold_line_says_which_level_it_is_without_colour_too() {
    for world in [World::new((120, 40)), World::new((120, 40)).ascii()] {
        let mut world = world;
        world
            .connected()
            .update(fleet_snapshot(&FLEET))
            .key(KeyCode::Enter);
        with_machine(&mut world);
        let screen = world.screen();
        for label in ["warning 85%", "critical 95%"] {
            assert!(screen.contains(label), "{label}: {screen}");
        }
    }
}

pub(crate) fn with_machine(world: &mut World) {
    let mut machine = FLEET[0].enter(series());
    machine.processes = Some(processes());
    world.update(wire::Update {
        subscription: 2,
        number: 1,
        snapshot: true,
        now_unix_ms: NOW,
        machines: vec![machine],
        ..Default::default()
    });
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
fn everything_of_a_machine_has_its_place() {
    at_every_size("machine", opened);
    insta::assert_snapshot!("machine_120x40", opened((120, 40)).screen());
}

#[test]
fn a_machine_in_ascii() {
    at_every_size("machine_ascii", |size| opened(size).ascii());
    let screen = opened((200, 60)).ascii().screen();
    let ours: String = screen
        .lines()
        .filter(|line| !line.contains("データ") && !line.contains('\u{fffd}'))
        .collect();
    assert!(ours.is_ascii(), "{ours}");
}

#[test]
fn a_machine_that_fell_silent_is_grey_with_its_age() {
    at_every_size("machine_disconnected", |size| {
        let mut world = opened(size);
        world
            .failed("the aggregator closed the connection", false)
            .at(NOW + 75_000);
        world
    });
}

#[test]
fn the_process_cursor_stays_on_its_process() {
    let mut world = opened((80, 24));
    world.key(KeyCode::Down).key(KeyCode::Down);
    world.keys("sm");
    insta::assert_snapshot!("machine_cursor", world.screen());
    world.keys("/sleep").key(KeyCode::Enter);
    insta::assert_snapshot!("machine_filter", world.screen());
}

#[test]
fn escape_peels_filter_cursor_and_view_one_by_one() {
    let mut world = opened((80, 24));
    world.keys("/sleep").key(KeyCode::Enter).key(KeyCode::Down);
    for (expected, why) in [
        (false, "the filter goes first"),
        (false, "then the cursor"),
        (true, "then the view"),
    ] {
        world.key(KeyCode::Escape);
        let left = world
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Send(wire::command::Body::Unsubscribe(_))));
        assert_eq!(left, expected, "{why}");
    }
    assert!(world.screen().contains("web-004"), "the fleet is back");
}

#[test]
fn the_own_machine_opens_by_itself_but_one_of_a_fleet_does_not() {
    let opens = |world: &World| {
        let own = |effect: &Effect| matches!(effect, Effect::Send(wire::command::Body::Subscribe(subscribe)) if subscribe.machine_ids == ["web-017"]);
        world.effects.iter().any(own)
    };
    let mut own = World::new((80, 24)).local();
    own.connected().update(fleet_snapshot(&FLEET[..1]));
    assert!(opens(&own), "{:?}", own.effects);
    let mut touched = World::new((80, 24)).local();
    touched.connected().keys("j").update(fleet_snapshot(&FLEET[..1]));
    assert!(!opens(&touched), "whoever pressed a key has chosen the view");
    let mut remote = World::new((80, 24));
    remote.connected().update(fleet_snapshot(&FLEET[..1]));
    assert!(
        !opens(&remote),
        "the first of many that report is not the only one"
    );
}
