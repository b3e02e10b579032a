//! Bounds on memory, and whatever a hostile peer can send.

use super::*;
use proptest::prelude::*;
use sysmon_api::{Code, Principal, Role};
use sysmon_core::Recent;

#[test]
fn more_machines_and_clients_than_the_limits_are_refused_and_the_others_go_on() {
    let mut lab = Lab::new(Config {
        machines_max: 2,
        clients_max: 1,
        ..Config::default()
    });
    let stream = lab.join("a");
    lab.join("b");
    assert_eq!(lab.open("c", 1).unwrap_err().code, Code::ResourceExhausted);
    assert!(lab.open("a", 1).is_ok(), "a known machine may come back");
    assert!(!lab.fleet.is_current(stream));
    let client = lab.fleet.open_client().unwrap();
    assert_eq!(lab.fleet.open_client().unwrap_err().code, Code::ResourceExhausted);
    lab.fleet.close_client(client);
    assert!(lab.fleet.open_client().is_ok());
    let figures = lab.figures();
    assert_eq!((figures.refused_streams, figures.refused_clients), (1, 1));
}

#[test]
fn a_subscriber_that_never_reads_costs_cursors_and_nothing_else() {
    let mut lab = Lab::new(Config {
        window_ms: 10_000,
        ..Config::default()
    });
    let streams: Vec<_> = (0..20).map(|number| lab.join(&format!("m{number}"))).collect();
    let silent = Follower::new(&mut lab, everything());
    let mut updates = 0;
    for second in 0..2_000 {
        lab.wait(1_000);
        for stream in &streams {
            lab.tick(*stream, &[(1, second)]);
        }
        updates += lab.flush().len();
        let subscription = lab.fleet.subscriptions[0].as_ref().unwrap();
        assert!(subscription.queue.len() <= 20 && subscription.cursors.len() == 20);
        assert!(subscription.parts.is_empty());
    }
    assert_eq!(updates, 2);
    // When it wakes up it gets the present, once.
    let wake = wire::UpdateReceived {
        subscription: 1,
        number: 2,
    };
    lab.fleet.received(silent.client, wake);
    let flushed = lab.flush();
    assert_eq!(flushed.len(), 1);
    assert_eq!(flushed[0].1.machines.len(), 20);
    assert!(flushed[0].1.machines.iter().all(|machine| machine.replace));
    assert_eq!(lab.figures().resyncs, 20);
}

#[test]
fn series_beyond_the_limit_and_values_of_nothing_are_left_out_and_counted() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.open("a", 1).unwrap().stream;
    for half in 0..2u32 {
        let announced = (0..3_000u32)
            .map(|series| {
                let number = half * 3_000 + series;
                (number, SeriesKey::of(MetricId::MountUsed, &number.to_string()), 0)
            })
            .collect();
        let batch = Batch {
            announced,
            ..Batch::default()
        };
        lab.fleet.batch(stream, batch, lab.now);
    }
    lab.tick(stream, &[(0, 1), (4_095, 1), (4_096, 1), (u32::MAX, 1)]);
    let figures = lab.figures();
    assert_eq!(figures.refused_series as usize, 6_000 - Recent::SERIES_LIMIT);
    assert_eq!((figures.values, figures.unknown_values), (2, 2));
}

#[test]
fn subscribers_come_and_go_and_leave_nothing_behind() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("a");
    for _ in 0..500 {
        let mut follower = Follower::new(&mut lab, everything());
        lab.tick(stream, &[(1, 1)]);
        follower.drain(&mut lab);
        lab.fleet.close_client(follower.client);
    }
    assert_eq!(lab.fleet.subscriptions.len(), 1, "the place is used again");
    assert!(lab.fleet.machines[0].watchers.is_empty() && lab.fleet.active.is_empty());
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z./_ ]{0,8}", "\\PC{0,6}|.{0,6}"]
}

prop_compose! {
    fn definition()(
        series in prop_oneof![0u32..20, any::<u32>()],
        metric in prop_oneof![Just("cpu.busy_percent".to_string()), Just("memory.used_percent".to_string()), text()],
        decimals in prop_oneof![0u32..4, any::<u32>()],
        label in text(),
    ) -> wire::SeriesDefinition {
        wire::SeriesDefinition { series, metric, unit: label.clone(), decimals, labels: [(label.clone(), label)].into() }
    }
}

prop_compose! {
    fn process()(pid in prop_oneof![0u32..5, any::<u32>()], name in text(), cpu in any::<u32>(), state in any::<i32>()) -> wire::Process {
        wire::Process { pid, name, state, cpu_centipercent_plus_one: cpu, memory_bytes: u64::MAX, ..Default::default() }
    }
}

prop_compose! {
    fn batch()(
        sequence in any::<u64>(),
        announced in prop::collection::vec(definition(), 0..4),
        retired in prop::collection::vec(prop_oneof![0u32..20, any::<u32>()], 0..3),
        at in prop_oneof![any::<i64>(), (START.0 - 100_000)..(START.0 + 100_000)],
        series_steps in prop::collection::vec(prop_oneof![0u32..4, any::<u32>()], 0..6),
        values in prop::collection::vec(any::<i64>(), 0..6),
        processes in prop::collection::vec(process(), 0..4),
        flags in any::<(bool, bool, bool)>(),
        interval_ms in prop_oneof![Just(0), any::<u32>()],
    ) -> wire::Batch {
        wire::Batch {
            sequence, announced, retired, interval_ms,
            tick: Some(wire::Tick { at_unix_ms: at, series_steps, values }),
            processes: flags.0.then(|| wire::ProcessUpdate { replace: flags.1, complete: flags.2, changed: processes, ..Default::default() }),
            host: flags.1.then(wire::HostInfo::default),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_that_a_collector_sends_panics_or_makes_a_subscriber_lose_track(
        batches in prop::collection::vec((batch(), 0u64..90_000), 1..30),
    ) {
        let mut lab = Lab::new(Config { window_ms: 30_000, ..Config::default() });
        let stream = lab.open("a", 1).unwrap().stream;
        let mut all = Follower::new(&mut lab, everything());
        let mut few = Follower::new(&mut lab, wire::Subscribe {
            metrics: vec!["memory.used_percent".into()], processes: wire::ProcessDetail::Top.into(), ..Default::default()
        });
        for (batch, pause_ms) in batches {
            if let Ok(batch) = Batch::check(batch) {
                lab.fleet.batch(stream, batch, lab.now);
            }
            all.drain(&mut lab);
            few.drain(&mut lab);
            lab.wait(pause_ms);
            prop_assert!(lab.fleet.state("a").is_ok());
        }
    }

    #[test]
    fn nothing_that_a_client_asks_for_panics(
        asked in prop::collection::vec((any::<u32>(), text(), text(), any::<i32>(), any::<u32>(), any::<u32>(), any::<u64>()), 1..20),
    ) {
        let mut lab = Lab::new(Config::default());
        let stream = lab.join("a");
        let client = lab.fleet.open_client().unwrap();
        for (subscription, filter, metric, processes, history_ms, period_ms, number) in asked {
            let _ = lab.fleet.subscribe(client, &wire::Subscribe {
                subscription: subscription % 10, filter, metrics: vec![metric.clone()], processes,
                history_ms: history_ms % 400_000, period_ms, ..Default::default()
            });
            lab.tick(stream, &[(1, 1)]);
            lab.flush();
            lab.fleet.received(client, wire::UpdateReceived { subscription: subscription % 10, number });
            let _ = lab.fleet.unsubscribe(client, subscription % 7);
            let _ = lab.fleet.set_interval(&metric, period_ms, lab.now);
            let _ = lab.fleet.state(&metric);
            lab.wait(u64::from(period_ms % 5_000));
        }
    }

    #[test]
    fn no_introduction_panics(id in text(), instance in prop::collection::vec(any::<u8>(), 0..20), version in 0u32..3) {
        let principal = Principal { name: "x".into(), role: Role::Admin, machine: None };
        let mut peer = sysmon_api::hello(START);
        peer.protocol_version = version;
        let hello = wire::CollectorHello {
            peer: Some(peer), machine_id: id, epoch: instance.clone(), instance, ..Default::default()
        };
        let _ = Hello::check(&hello, &principal);
    }
}
