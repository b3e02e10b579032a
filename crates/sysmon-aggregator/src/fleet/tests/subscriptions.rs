//! What subscribers get, and when.

use super::*;
use prost::Message;
use sysmon_api::Code;
use sysmon_core::{Health, Liveness};

#[test]
fn a_fleet_without_machines_still_answers_with_a_whole_snapshot() {
    let mut lab = Lab::new(Config::default());
    let mut follower = Follower::new(&mut lab, everything());
    let updates = follower.drain(&mut lab);
    assert_eq!(updates.len(), 1);
    assert!(updates[0].snapshot && !updates[0].more && updates[0].number == 1);
    assert!(follower.replica.is_complete());
    assert_eq!(lab.fleet.next_due_ms(), None, "and then there is nothing to do");
}

#[test]
fn a_tick_goes_out_at_once_and_what_comes_meanwhile_goes_together() {
    let mut lab = Lab::new(Config::default());
    let streams: Vec<_> = (0..50).map(|number| lab.join(&format!("m{number}"))).collect();
    let mut follower = Follower::new(&mut lab, everything());
    follower.drain(&mut lab);
    lab.tick(streams[0], &[(1, 1)]);
    let flushed = lab.flush();
    assert_eq!(follower.take(flushed).len(), 1, "nothing to wait for");
    follower.acknowledge(&mut lab);
    for stream in &streams {
        lab.tick(*stream, &[(1, 2)]);
    }
    assert!(lab.flush().is_empty(), "the next one waits for the gap");
    assert_eq!(lab.fleet.next_due_ms(), Some(lab.now.monotonic_ms + 2));
    lab.wait(2);
    let flushed = lab.flush();
    let updates = follower.take(flushed);
    assert_eq!(updates.len(), 1);
    assert_eq!(updates[0].machines.len(), 50);
}

#[test]
fn a_period_is_kept() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("a");
    let slow = wire::Subscribe {
        period_ms: 1_000,
        ..everything()
    };
    let mut follower = Follower::new(&mut lab, slow);
    let flushed = lab.flush();
    follower.take(flushed);
    let mut updates = 0;
    for _ in 0..50 {
        lab.wait(100);
        follower.acknowledge(&mut lab);
        lab.tick(stream, &[(1, 1)]);
        let flushed = lab.flush();
        updates += follower.take(flushed).len();
    }
    assert_eq!(updates, 5);
    assert_eq!(
        follower.replica.find("a").unwrap().recent.times().len(),
        lab.fleet.machines[0].recent.times().len(),
        "and nothing is left out"
    );
}

#[test]
fn without_acknowledgement_there_are_two_updates_and_no_more() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("a");
    let mut follower = Follower::new(&mut lab, everything());
    let mut updates = 0;
    for _ in 0..100 {
        lab.wait(1_000);
        lab.tick(stream, &[(1, 1)]);
        let flushed = lab.flush();
        updates += follower.take(flushed).len();
    }
    assert_eq!(updates, 2);
    // An acknowledgement of what was never sent is worth what was sent.
    let lie = wire::UpdateReceived {
        subscription: 1,
        number: u64::MAX,
    };
    lab.fleet.received(follower.client, lie);
    lab.fleet.received(follower.client, lie);
    assert_eq!(lab.flush().len(), 1);
    lab.wait(1_000);
    lab.tick(stream, &[(1, 1)]);
    assert_eq!(lab.flush().len(), 1);
    lab.wait(1_000);
    lab.tick(stream, &[(1, 1)]);
    assert_eq!(lab.flush().len(), 0);
}

#[test]
fn a_subscriber_that_stalls_catches_up_without_losing_a_point() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("a");
    let mut follower = Follower::new(&mut lab, everything());
    for second in 0..100 {
        lab.tick(stream, &[(1, second)]);
        lab.wait(1_000);
        let flushed = lab.flush();
        follower.take(flushed);
    }
    follower.drain(&mut lab);
    let recent = &follower.replica.find("a").unwrap().recent;
    let (_, series) = recent.series().next().unwrap();
    let values: Vec<_> = recent.points(series, 0).filter_map(|(_, value)| value).collect();
    assert_eq!(
        values,
        (0..100)
            .map(|second| f64::from(second) / 10.0)
            .collect::<Vec<_>>()
    );
    assert_eq!(lab.figures().resyncs, 0);
}

#[test]
fn a_snapshot_without_past_still_brings_the_newest_value_of_every_series_with_its_time() {
    let mut lab = Lab::new(Config {
        window_ms: 60_000,
        ..Config::default()
    });
    let stream = lab.join("a");
    lab.tick(stream, &[(1, 1), (2, 505)]);
    for _ in 0..30 {
        lab.wait(1_000);
        lab.tick(stream, &[(1, 2)]);
    }
    let mut now_only = Follower::new(
        &mut lab,
        wire::Subscribe {
            history_ms: 0,
            ..everything()
        },
    );
    let mount = SeriesKey::of(MetricId::MountUsedPercent, "/");
    now_only.drain(&mut lab);
    let recent = &now_only.replica.find("a").unwrap().recent;
    assert_eq!(recent.value_of(&mount), Some(50.5));
    assert_eq!(recent.value(MetricId::CpuBusy), Some(0.2));
    let times: Vec<_> = recent.times().iter().copied().collect();
    assert_eq!(times, [START, START.plus_ms(30_000)]);
    // The window has passed over it, but the value is still the newest there is.
    for _ in 0..60 {
        lab.wait(1_000);
        lab.tick(stream, &[(1, 3)]);
    }
    for history_ms in [0, 10_000] {
        let mut late = Follower::new(
            &mut lab,
            wire::Subscribe {
                history_ms,
                ..everything()
            },
        );
        late.drain(&mut lab);
        let recent = &late.replica.find("a").unwrap().recent;
        assert_eq!(recent.value_of(&mount), Some(50.5));
        assert_eq!(recent.times().len() as u32, 1 + history_ms / 1_000);
    }
}

#[test]
fn the_past_comes_only_for_the_metrics_that_it_is_wanted_of() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("a");
    for second in 0..20 {
        lab.tick(stream, &[(1, second), (2, 100 + second)]);
        lab.wait(1_000);
    }
    let mut follower = Follower::new(
        &mut lab,
        wire::Subscribe {
            history_metrics: vec!["cpu.busy_percent".into()],
            ..everything()
        },
    );
    follower.drain(&mut lab);
    let recent = &follower.replica.find("a").unwrap().recent;
    let count = |key: &SeriesKey| {
        let series = recent.get(recent.number_of(key).unwrap()).unwrap();
        recent
            .points(series, 0)
            .filter(|(_, value)| value.is_some())
            .count()
    };
    assert_eq!(count(&SeriesKey::plain(MetricId::CpuBusy)), 20);
    assert_eq!(count(&SeriesKey::of(MetricId::MountUsedPercent, "/")), 1);
}

#[test]
fn only_subscribed_metrics_travel_and_a_tick_without_any_is_no_update() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("a");
    let mut follower = Follower::new(
        &mut lab,
        wire::Subscribe {
            metrics: vec!["mount.used_percent".into()],
            ..everything()
        },
    );
    follower.drain(&mut lab);
    let mut updates = 0;
    for second in 0..20 {
        lab.wait(1_000);
        lab.tick(
            stream,
            if second % 10 == 0 {
                &[(1, 3), (2, 4)]
            } else {
                &[(1, 3)]
            },
        );
        updates += follower.drain(&mut lab).len();
    }
    let recent = &follower.replica.find("a").unwrap().recent;
    assert_eq!(recent.series().len(), 1);
    assert_eq!(recent.times().len(), 2);
    assert!(
        updates < 8,
        "{updates}: two ticks, and every five seconds that it is still seen"
    );
}

#[test]
fn machines_enter_and_leave_with_their_labels() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("a");
    lab.join("b");
    let mut follower = Follower::new(
        &mut lab,
        wire::Subscribe {
            filter: "role=web".into(),
            ..everything()
        },
    );
    follower.drain(&mut lab);
    assert_eq!(follower.replica.machines().len(), 0);
    assert_eq!(follower.replica.totals().live, 2, "totals are over all machines");
    let relabel = |lab: &mut Lab, labels| {
        let batch = Batch {
            host: Some(host("a", labels)),
            ..Batch::default()
        };
        lab.fleet.batch(stream, batch, lab.now);
    };
    lab.tick(stream, &[(1, 7)]);
    relabel(&mut lab, &[("role", "web")]);
    follower.drain(&mut lab);
    assert_eq!(
        follower
            .replica
            .find("a")
            .unwrap()
            .recent
            .value(MetricId::CpuBusy),
        Some(0.7)
    );
    relabel(&mut lab, &[("role", "db")]);
    let updates = follower.drain(&mut lab);
    assert!(updates[0].machines[0].left);
    assert_eq!(follower.replica.machines().len(), 0);
    // Out and in again before anybody was told is no change; in and out neither.
    relabel(&mut lab, &[("role", "web")]);
    follower.drain(&mut lab);
    relabel(&mut lab, &[("role", "db")]);
    relabel(&mut lab, &[("role", "web")]);
    lab.tick(stream, &[(1, 8)]);
    follower.drain(&mut lab);
    assert_eq!(
        follower
            .replica
            .find("a")
            .unwrap()
            .recent
            .value(MetricId::CpuBusy),
        Some(0.8)
    );
    relabel(&mut lab, &[]);
    follower.drain(&mut lab);
    relabel(&mut lab, &[("role", "web")]);
    relabel(&mut lab, &[]);
    let updates = follower.drain(&mut lab);
    assert!(updates.iter().all(|update| update.machines.is_empty()));
    lab.tick(stream, &[(1, 9)]);
    follower.drain(&mut lab);
    assert_eq!(
        follower.replica.machines().len(),
        0,
        "what left is not told of any more"
    );
}

#[test]
fn a_machine_asked_for_by_id_enters_when_it_comes() {
    let mut lab = Lab::new(Config::default());
    let mut follower = Follower::new(
        &mut lab,
        wire::Subscribe {
            machine_ids: vec!["late".into()],
            ..everything()
        },
    );
    follower.drain(&mut lab);
    lab.join("early");
    lab.join("late");
    follower.drain(&mut lab);
    let ids: Vec<_> = follower
        .replica
        .machines()
        .map(|(_, machine)| machine.id.to_string())
        .collect();
    assert_eq!(ids, ["late"]);
}

#[test]
fn liveness_health_problem_and_last_seen_reach_subscribers() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("a");
    let mut follower = Follower::new(&mut lab, everything());
    for _ in 0..5 {
        lab.tick(stream, &[(1, 990)]);
        lab.wait(1_000);
        follower.drain(&mut lab);
    }
    let seen = |follower: &Follower| {
        let machine = follower.replica.find("a").unwrap();
        (machine.liveness, machine.health, machine.last_seen)
    };
    assert_eq!(seen(&follower).0, Liveness::Live);
    assert_eq!(seen(&follower).1, Health::Critical);
    lab.fleet.open_stream(hello("a", 9, 1_000), lab.now).unwrap_err();
    follower.drain(&mut lab);
    assert!(
        follower
            .replica
            .find("a")
            .unwrap()
            .problem
            .contains("two machines")
    );
    lab.wait(5_000);
    follower.drain(&mut lab);
    assert_eq!(seen(&follower).0, Liveness::Stale);
    // Heartbeats alone are told now and then, not each.
    lab.fleet.heartbeat(stream, lab.now);
    follower.drain(&mut lab);
    let mut updates = 0;
    for _ in 0..100 {
        lab.wait(200);
        lab.fleet.heartbeat(stream, lab.now);
        updates += follower.drain(&mut lab).len();
    }
    assert!((3..=5).contains(&updates), "{updates}");
    assert!(lab.now.unix.since_ms(seen(&follower).2) < 5_500);
}

#[test]
fn more_than_eight_subscriptions_are_refused_but_one_may_be_replaced() {
    let mut lab = Lab::new(Config::default());
    let client = lab.fleet.open_client().unwrap();
    let mut subscribe = |subscription| {
        lab.fleet.subscribe(
            client,
            &wire::Subscribe {
                subscription,
                ..everything()
            },
        )
    };
    for subscription in 0..8 {
        subscribe(subscription).unwrap();
    }
    assert_eq!(subscribe(8).unwrap_err().code, Code::ResourceExhausted);
    subscribe(3).unwrap();
    assert_eq!(lab.fleet.unsubscribe(client, 9).unwrap_err().code, Code::NotFound);
    lab.fleet.unsubscribe(client, 3).unwrap();
    assert!(
        lab.fleet
            .subscribe(
                client,
                &wire::Subscribe {
                    subscription: 8,
                    ..everything()
                }
            )
            .is_ok()
    );
    lab.fleet.close_client(client);
    assert!(lab.fleet.subscriptions.iter().all(Option::is_none));
}

#[test]
fn a_replaced_subscription_starts_over_from_one() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("a");
    let mut follower = Follower::new(&mut lab, everything());
    lab.tick(stream, &[(1, 1)]);
    follower.drain(&mut lab);
    lab.fleet.subscribe(follower.client, &follower.subscribe).unwrap();
    let updates = follower.drain(&mut lab);
    assert!(updates[0].snapshot && updates[0].number == 1);
    assert_eq!(lab.fleet.machines[0].watchers.len(), 1);
}

#[test]
fn a_client_that_is_gone_is_reported_and_gets_nothing_more() {
    let mut lab = Lab::new(Config::default());
    lab.join("a");
    let follower = Follower::new(&mut lab, everything());
    let gone = lab.fleet.flush(lab.now, |_, _| false);
    assert_eq!(gone, [follower.client]);
}

#[test]
fn requests_out_of_bounds_are_refused() {
    let mut lab = Lab::new(Config::default());
    let client = lab.fleet.open_client().unwrap();
    for wrong in [
        wire::Subscribe {
            history_ms: 300_001,
            ..Default::default()
        },
        wire::Subscribe {
            filter: "x".repeat(5_000),
            ..Default::default()
        },
        wire::Subscribe {
            metrics: vec!["x".into(); 2_000],
            ..Default::default()
        },
        wire::Subscribe {
            machine_ids: vec!["x".into(); 20_000],
            ..Default::default()
        },
    ] {
        assert_eq!(
            lab.fleet.subscribe(client, &wrong).unwrap_err().code,
            Code::InvalidArgument
        );
    }
}

#[test]
fn two_thousand_machines_come_in_chunks_and_all_arrive() {
    let mut lab = Lab::new(Config::default());
    let keys: Vec<_> = (0..20)
        .map(|core| SeriesKey::of(MetricId::CpuCoreBusy, &core.to_string()))
        .collect();
    for number in 0..2_000 {
        let stream = lab.open(&format!("m{number}"), 1).unwrap().stream;
        for tick in 0..60 {
            let announced = if tick == 0 {
                keys.iter()
                    .enumerate()
                    .map(|(index, key)| (index as u32, key.clone(), 1))
                    .collect()
            } else {
                Vec::new()
            };
            let values = (0..20)
                .map(|series| (series, (tick * 37 + i64::from(series)) % 1_000))
                .collect();
            let batch = Batch {
                announced,
                tick: Some((lab.now.unix.plus_ms(tick * 1_000), values)),
                ..Batch::default()
            };
            lab.fleet.batch(stream, batch, lab.now);
        }
    }
    let mut follower = Follower::new(&mut lab, everything());
    // A piece at a time, and what came meanwhile goes first; unacknowledged, even the snapshot stops after two.
    let mut updates = Vec::new();
    for (pieces, is_due) in [(1, true), (1, false), (0, false)] {
        let flushed = lab.flush();
        let taken = follower.take(flushed);
        assert_eq!(taken.len(), pieces);
        updates.extend(taken);
        let due_ms = lab.fleet.next_due_ms();
        assert_eq!(
            due_ms.is_some_and(|due_ms| due_ms <= lab.now.monotonic_ms),
            is_due
        );
    }
    updates.extend(follower.drain(&mut lab));
    assert!(updates.len() > 4, "{}", updates.len());
    let last = updates.len() - 1;
    for (index, update) in updates.iter().enumerate() {
        assert!(update.encoded_len() < 1 << 20, "{}", update.encoded_len());
        assert_eq!(
            (update.snapshot, update.more),
            (index == 0, index < last),
            "{index}"
        );
    }
    assert!(follower.replica.is_complete());
    assert_eq!(follower.replica.machines().len(), 2_000);
    for (_, machine) in follower.replica.machines() {
        assert_eq!(
            (machine.recent.series().len(), machine.recent.times().len()),
            (20, 60)
        );
    }
}

#[test]
fn one_machine_that_is_too_large_for_a_message_comes_in_parts() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.open("large", 1).unwrap().stream;
    for tick in 0..1_500 {
        let announced = if tick == 0 {
            (0..400u32)
                .map(|series| {
                    (
                        series,
                        SeriesKey::of(MetricId::DiskRead, &format!("disk{series}")),
                        0,
                    )
                })
                .collect()
        } else {
            Vec::new()
        };
        let values = (0..400)
            .map(|series| (series, (tick * 7_919 + i64::from(series)) % 100_000))
            .collect();
        let batch = Batch {
            announced,
            tick: Some((lab.now.unix.plus_ms(tick * 100), values)),
            ..Batch::default()
        };
        lab.fleet.batch(stream, batch, lab.now);
    }
    let mut follower = Follower::new(&mut lab, everything());
    let updates = follower.drain(&mut lab);
    assert!(updates.len() > 2, "{}", updates.len());
    assert!(updates.iter().all(|update| update.encoded_len() < 1 << 20));
    let recent = &follower.replica.find("large").unwrap().recent;
    assert_eq!((recent.series().len(), recent.times().len()), (400, 1_500));
}
