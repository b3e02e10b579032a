//! Subscriptions that carry only what is shown.

use proptest::prelude::*;

use super::*;
use crate::fleet::Judgement;
use sysmon_api::Code;
use sysmon_core::{Health, Liveness, natural};

fn windowed(order: &str, first: u32, rows: u32) -> wire::Subscribe {
    wire::Subscribe {
        window: Some(wire::Window {
            order: order.into(),
            reversed: false,
            first,
            rows,
        }),
        ..everything()
    }
}

/// Machines of these loads in tenths of a percent, named `m-0` and so on.
fn fleet(loads: &[i64]) -> (Lab, Vec<StreamId>) {
    let mut lab = Lab::new(Config::default());
    let streams: Vec<_> = (0..loads.len())
        .map(|number| lab.join(&format!("m-{number}")))
        .collect();
    for (stream, load) in streams.iter().zip(loads) {
        lab.tick(*stream, &[(1, *load)]);
    }
    (lab, streams)
}

fn rows(follower: &Follower) -> Vec<String> {
    let window = follower.replica.window().unwrap();
    let id = |number: &u32| follower.replica.machine(*number).unwrap().id.to_string();
    window.machines.iter().map(id).collect()
}

impl Follower {
    /// Asks for other rows, as a client does that scrolls.
    fn scroll(&mut self, lab: &mut Lab, first: u32, rows: u32) {
        let window = self.subscribe.window.as_mut().unwrap();
        (window.first, window.rows) = (first, rows);
        lab.fleet.subscribe(self.client, &self.subscribe).unwrap();
    }
}

#[test]
fn only_the_rows_of_the_window_are_told_in_their_order_and_all_are_counted() {
    let (mut lab, streams) = fleet(&[100, 500, 300, 900, 200]);
    let mut follower = Follower::new(&mut lab, windowed("cpu.busy_percent", 1, 2));
    let updates = follower.drain(&mut lab);
    assert_eq!(updates.len(), 1);
    assert_eq!(rows(&follower), ["m-1", "m-2"]);
    assert_eq!(follower.replica.machines().len(), 2);
    assert_eq!(
        (follower.replica.matching(), follower.replica.totals().live),
        (5, 5)
    );
    assert_eq!(
        lab.fleet.next_due_ms(),
        Some(lab.now.monotonic_ms.div_ceil(3_000) * 3_000),
        "for liveness alone"
    );
    // What is not shown costs nothing.
    lab.tick(streams[4], &[(1, 210)]);
    assert!(follower.drain(&mut lab).is_empty());
    lab.tick(streams[1], &[(1, 510)]);
    assert_eq!(follower.drain(&mut lab)[0].machines.len(), 1);
}

#[test]
fn scrolling_resends_nothing_that_the_client_has_and_goes_on_counting() {
    let loads: Vec<i64> = (0..100).map(|number| 1_000 - number).collect();
    let (mut lab, _) = fleet(&loads);
    let mut follower = Follower::new(&mut lab, windowed("cpu.busy_percent", 0, 20));
    follower.drain(&mut lab);
    follower.scroll(&mut lab, 5, 20);
    let updates = follower.drain(&mut lab);
    let machines: Vec<_> = updates.iter().flat_map(|update| &update.machines).collect();
    assert_eq!(machines.iter().filter(|machine| machine.left).count(), 5);
    assert_eq!(
        machines.iter().filter(|machine| machine.header.is_some()).count(),
        5
    );
    assert_eq!(machines.len(), 10);
    assert!(updates.iter().all(|update| !update.snapshot && update.number > 1));
    let expected: Vec<String> = (5..25).map(|number| format!("m-{number}")).collect();
    assert_eq!(rows(&follower), expected);
    assert_eq!(follower.replica.window().unwrap().first, 5);
    // Beyond the end there are the last rows.
    follower.scroll(&mut lab, 1_000, 20);
    follower.drain(&mut lab);
    assert_eq!(follower.replica.window().unwrap().first, 80);
    assert_eq!(rows(&follower)[19], "m-99");
    // More rows than there are machines.
    follower.scroll(&mut lab, 0, 1_000);
    follower.drain(&mut lab);
    assert_eq!(rows(&follower).len(), 100);
    // Another order is another subscription.
    follower.subscribe.window.as_mut().unwrap().reversed = true;
    lab.fleet.subscribe(follower.client, &follower.subscribe).unwrap();
    let updates = follower.drain(&mut lab);
    assert!(updates[0].snapshot && updates[0].number == 1);
    assert_eq!(rows(&follower)[0], "m-99");
}

#[test]
fn machines_come_into_the_window_within_a_second() {
    let (mut lab, streams) = fleet(&[100, 500, 300]);
    let mut follower = Follower::new(
        &mut lab,
        wire::Subscribe {
            filter: "cpu > 20".into(),
            ..windowed("cpu.busy_percent", 0, 2)
        },
    );
    follower.drain(&mut lab);
    assert_eq!(rows(&follower), ["m-1", "m-2"]);
    lab.tick(streams[0], &[(1, 990)]);
    follower.drain(&mut lab);
    assert_eq!(rows(&follower), ["m-1", "m-2"], "not at once");
    lab.wait(1_000);
    let updates = follower.drain(&mut lab);
    assert_eq!(rows(&follower), ["m-0", "m-1"]);
    assert!(updates.iter().all(|update| update.machines.len() <= 2));
    assert_eq!(follower.replica.matching(), 3);
    lab.tick(streams[1], &[(1, 0)]);
    lab.wait(1_000);
    follower.drain(&mut lab);
    assert_eq!(
        (rows(&follower), follower.replica.matching()),
        (vec!["m-0".into(), "m-2".into()], 2)
    );
}

#[test]
fn nobody_matching_is_an_empty_window_and_not_silence() {
    let (mut lab, _) = fleet(&[100]);
    let mut follower = Follower::new(
        &mut lab,
        wire::Subscribe {
            filter: "nowhere".into(),
            ..windowed("worst", 0, 10)
        },
    );
    follower.drain(&mut lab);
    assert!(follower.replica.is_complete());
    assert_eq!((rows(&follower).len(), follower.replica.matching()), (0, 0));
}

#[test]
fn the_worst_do_not_jump_at_every_flutter() {
    // Two machines whose loads flutter around the same step, and one that is clearly below.
    let (mut lab, streams) = fleet(&[500, 500, 200]);
    let mut follower = Follower::new(&mut lab, windowed("worst", 0, 10));
    follower.drain(&mut lab);
    let first = rows(&follower);
    assert_eq!(first, ["m-0", "m-1", "m-2"]);
    let mut changes = 0;
    for second in 0..60i64 {
        let flutter = if second % 2 == 0 { 480 } else { 510 };
        lab.tick(streams[0], &[(1, flutter)]);
        lab.tick(streams[1], &[(1, 990 - flutter)]);
        lab.tick(streams[2], &[(1, 200)]);
        let before = rows(&follower);
        lab.wait(1_000);
        follower.drain(&mut lab);
        changes += usize::from(before != rows(&follower));
    }
    assert_eq!((changes, rows(&follower)), (0, first));
    // What has clearly changed moves, and then stays.
    let mut orders = Vec::new();
    for _ in 0..10 {
        lab.tick(streams[0], &[(1, 300)]);
        lab.tick(streams[1], &[(1, 500)]);
        lab.tick(streams[2], &[(1, 200)]);
        lab.wait(1_000);
        follower.drain(&mut lab);
        orders.push(rows(&follower)[0].clone());
    }
    orders.dedup();
    assert!(orders == ["m-1"] || orders == ["m-0", "m-1"], "{orders:?}");
}

#[test]
fn what_becomes_worse_moves_up_soon_and_what_becomes_better_stays_for_a_while() {
    let (mut lab, streams) = fleet(&[100, 100, 100]);
    let mut follower = Follower::new(&mut lab, windowed("worst", 0, 10));
    follower.drain(&mut lab);
    let run = |lab: &mut Lab, follower: &mut Follower, loads: [i64; 3], seconds: u64| {
        let mut firsts = Vec::new();
        for _ in 0..seconds {
            for (stream, load) in streams.iter().zip(loads) {
                lab.tick(*stream, &[(1, load)]);
            }
            lab.wait(1_000);
            follower.drain(lab);
            firsts.push(rows(follower)[0].clone());
        }
        firsts
    };
    // By its own numbers a machine is critical after three seconds of that.
    let firsts = run(&mut lab, &mut follower, [100, 100, 990], 90);
    let at = firsts.iter().position(|first| first == "m-2").unwrap();
    assert!(at <= 7, "{at}");
    assert!(firsts[at..].iter().all(|first| first == "m-2"));
    let firsts = run(&mut lab, &mut follower, [300, 100, 100], 90);
    let moves = firsts.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert_eq!((moves, firsts[89].as_str()), (1, "m-0"));
}

#[test]
fn a_place_that_is_kept_for_a_while_is_lost_although_nothing_is_heard() {
    let (mut lab, streams) = fleet(&[100, 100]);
    for _ in 0..90 {
        lab.tick(streams[0], &[(1, 100)]);
        lab.tick(streams[1], &[(1, 990)]);
        lab.wait(1_000);
    }
    let mut follower = Follower::new(&mut lab, windowed("worst", 0, 10));
    follower.drain(&mut lab);
    assert_eq!(rows(&follower), ["m-1", "m-0"]);
    let calm = |machine: &str| Judgement {
        machine: MachineId::parse(machine).unwrap(),
        health: if machine == "m-0" {
            Health::Warning
        } else {
            Health::Healthy
        },
        alerts: Arc::default(),
    };
    lab.fleet
        .judge_by_alerts(Some(vec![calm("m-0"), calm("m-1")]), lab.now);
    let mut waited_ms = 0;
    while rows(&follower)[0] == "m-1" {
        let due_ms = lab.fleet.next_due_ms().unwrap();
        let pause_ms = due_ms.saturating_sub(lab.now.monotonic_ms).max(1);
        lab.wait(pause_ms);
        waited_ms += pause_ms;
        follower.drain(&mut lab);
    }
    // Ten seconds, from one settling to another.
    assert!((10_000..=16_000).contains(&waited_ms), "{waited_ms}");
}

#[test]
fn a_client_that_does_not_read_is_not_sorted_for() {
    let (mut lab, streams) = fleet(&[100, 500, 300]);
    let mut follower = Follower::new(&mut lab, windowed("cpu.busy_percent", 0, 2));
    for second in 0..100 {
        lab.tick(streams[second % 3], &[(1, second as i64 * 7)]);
        lab.wait(1_000);
        let flushed = lab.flush();
        follower.take(flushed);
    }
    assert_eq!(follower.unacknowledged.len(), 2);
    let due_ms = lab.fleet.next_due_ms();
    assert!(
        due_ms.is_none_or(|due_ms| due_ms > lab.now.monotonic_ms),
        "nothing waits for it"
    );
    lab.wait(1_000);
    follower.drain(&mut lab);
    lab.wait(1_000);
    follower.drain(&mut lab);
    assert_eq!(rows(&follower), ["m-0", "m-2"]);
}

#[test]
fn a_window_out_of_bounds_is_refused() {
    let mut lab = Lab::new(Config::default());
    let client = lab.fleet.open_client().unwrap();
    for (order, rows, said) in [
        ("best", 5, "worst, name, age"),
        ("cpu.busy_procent", 5, "did you mean cpu.busy_percent?"),
        ("name", 0, "1 to 1000"),
        ("name", 1_001, "1 to 1000"),
    ] {
        let error = lab
            .fleet
            .subscribe(client, &windowed(order, 0, rows))
            .unwrap_err();
        assert_eq!(error.code, Code::InvalidArgument);
        assert!(error.message.contains(said), "{}", error.message);
    }
}

/// What a test does to a fleet.
#[derive(Clone, Debug)]
enum Step {
    Join(u8),
    Tick(u8, i64),
    Relabel(u8, bool),
    Wait(u64),
    Scroll(u32, u32),
    /// The client reads what there is, or not.
    Read(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0u8..12).prop_map(Step::Join),
        4 => (0u8..12, 0i64..1_000).prop_map(|(machine, load)| Step::Tick(machine, load)),
        1 => (0u8..12, any::<bool>()).prop_map(|(machine, web)| Step::Relabel(machine, web)),
        2 => prop_oneof![Just(100), Just(1_000), Just(4_000), Just(70_000)].prop_map(Step::Wait),
        1 => (0u32..14, 1u32..6).prop_map(|(first, rows)| Step::Scroll(first, rows)),
        2 => any::<bool>().prop_map(Step::Read),
    ]
}

/// What a machine is ordered by, the smaller first, as the manual says it.
fn key(order: &str, reversed: bool, machine: &sysmon_api::Machine) -> (i64, i64) {
    let value = match order {
        "name" => return (0, 0),
        "age" if machine.liveness == Liveness::Live => (1, 0),
        "age" => (0, machine.last_seen.0),
        _ => match machine.recent.value(MetricId::CpuBusy) {
            Some(value) => (0, -(value * 10.0).round() as i64),
            None => return (2, 0),
        },
    };
    if reversed { (1 - value.0, -value.1) } else { value }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_window_is_the_whole_fleet_filtered_sorted_and_cut(
        steps in prop::collection::vec(step(), 1..60), reversed in any::<bool>(),
        order in prop::sample::select(&["name", "age", "cpu.busy_percent"][..]),
        filter in prop::sample::select(&["", "cpu > 30", "role = web or cpu < 20", "state = live", "age > 2s"][..]),
    ) {
        let mut lab = Lab::new(Config { window_ms: 30_000, ..Config::default() });
        let mut streams = std::collections::BTreeMap::new();
        let mut all = Follower::new(&mut lab, wire::Subscribe { filter: filter.into(), ..everything() });
        let mut window = Follower::new(&mut lab, wire::Subscribe { filter: filter.into(), ..windowed(order, 0, 3) });
        window.subscribe.window.as_mut().unwrap().reversed = reversed;
        lab.fleet.subscribe(window.client, &window.subscribe).unwrap();
        for step in steps {
            match step {
                Step::Join(number) => { streams.entry(number).or_insert_with(|| lab.join(&format!("m-{number}"))); }
                Step::Tick(number, load) => if let Some(stream) = streams.get(&number) { lab.tick(*stream, &[(1, load)]); },
                Step::Relabel(number, web) => if let Some(stream) = streams.get(&number) {
                    let labels: &[(&str, &str)] = if web { &[("role", "web")] } else { &[] };
                    let batch = Batch { host: Some(host(&format!("m-{number}"), labels)), ..Batch::default() };
                    lab.fleet.batch(*stream, batch, lab.now);
                },
                Step::Wait(ms) => lab.wait(ms),
                Step::Scroll(first, rows) => window.scroll(&mut lab, first, rows),
                Step::Read(true) => drain_all(&mut lab, &mut [&mut window, &mut all]),
                Step::Read(false) => {
                    let flushed = lab.flush();
                    window.take(flushed.clone());
                    all.take(flushed);
                }
            }
        }
        // Once it has been looked at anew and told.
        drain_all(&mut lab, &mut [&mut window, &mut all]);
        lab.wait(1_000);
        drain_all(&mut lab, &mut [&mut window, &mut all]);
        let mut expected: Vec<&sysmon_api::Machine> = all.replica.machines().map(|(_, machine)| machine).collect();
        expected.sort_by(|a, b| {
            let names = natural(&a.id, &b.id);
            let names = if reversed && order == "name" { names.reverse() } else { names };
            key(order, reversed, a).cmp(&key(order, reversed, b)).then(names)
        });
        let asked = window.subscribe.window.as_ref().unwrap();
        let rows_asked = asked.rows as usize;
        let first = (asked.first as usize).min(expected.len().saturating_sub(rows_asked));
        let cut: Vec<String> = expected.iter().skip(first).take(rows_asked).map(|machine| machine.id.to_string()).collect();
        prop_assert_eq!(rows(&window), cut);
        let told = window.replica.window().unwrap();
        prop_assert_eq!((told.first as usize, told.matching as usize), (first, expected.len()));
        prop_assert_eq!(window.replica.machines().len(), told.machines.len(), "nothing else is known");
        for (number, machine) in window.replica.machines() {
            let same = all.replica.machine(number).unwrap();
            prop_assert_eq!(&machine.id, &same.id);
            prop_assert_eq!(machine.recent.value(MetricId::CpuBusy), same.recent.value(MetricId::CpuBusy));
            prop_assert_eq!((machine.liveness, machine.health), (same.liveness, same.health));
        }
    }
}
