//! What collectors do: liveness, claims, directives, numbers.

use super::*;
use sysmon_api::Code;
use sysmon_core::{Health, Liveness};

fn liveness(lab: &Lab, machine: usize) -> Liveness {
    lab.fleet.machines[machine].liveness
}

#[test]
fn three_missed_messages_make_a_machine_stale_and_a_minute_lost_at_any_interval() {
    for (interval_ms, stale_ms) in [(100, 1_000), (1_000, 3_000), (5_000, 15_000), (3_600_000, 30_000)] {
        let mut lab = Lab::new(Config::default());
        lab.fleet
            .open_stream(hello("a", 1, interval_ms), lab.now)
            .unwrap();
        lab.wait(stale_ms - 250);
        assert_eq!(liveness(&lab, 0), Liveness::Live, "{interval_ms}");
        lab.wait(250);
        assert_eq!(liveness(&lab, 0), Liveness::Stale, "{interval_ms}");
        lab.wait(59_750 - stale_ms);
        assert_eq!(liveness(&lab, 0), Liveness::Stale, "{interval_ms}");
        lab.wait(250);
        assert_eq!(liveness(&lab, 0), Liveness::Lost, "{interval_ms}");
        // Once series of an earlier stream would have been forgotten.
        lab.wait(240_000);
        assert_eq!(
            lab.fleet.next_due_ms(),
            None,
            "a lost machine costs nothing any more"
        );
    }
}

#[test]
fn heartbeats_keep_a_slow_machine_alive_and_one_brings_a_lost_one_back() {
    let mut lab = Lab::new(Config::default());
    let stream = lab
        .fleet
        .open_stream(hello("a", 1, 3_600_000), lab.now)
        .unwrap()
        .stream;
    for _ in 0..30 {
        lab.wait(10_000);
        lab.fleet.heartbeat(stream, lab.now);
        assert_eq!(liveness(&lab, 0), Liveness::Live);
    }
    lab.wait(70_000);
    assert_eq!(liveness(&lab, 0), Liveness::Lost);
    lab.fleet.heartbeat(stream, lab.now);
    assert_eq!(liveness(&lab, 0), Liveness::Live);
    lab.wait(30_000);
    assert_eq!(liveness(&lab, 0), Liveness::Stale, "it is watched again");
}

#[test]
fn a_shorter_interval_is_judged_at_once() {
    let mut lab = Lab::new(Config::default());
    let stream = lab
        .fleet
        .open_stream(hello("a", 1, 60_000), lab.now)
        .unwrap()
        .stream;
    let faster = Batch {
        interval_ms: Some(100),
        ..Batch::default()
    };
    lab.fleet.batch(stream, faster, lab.now);
    lab.wait(1_000);
    assert_eq!(liveness(&lab, 0), Liveness::Stale);
}

#[test]
fn a_lost_machine_has_no_known_health_and_the_totals_say_so() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("a");
    for _ in 0..5 {
        lab.tick(stream, &[(1, 999)]);
        lab.wait(1_000);
    }
    assert_eq!(lab.fleet.machines[0].health, Health::Critical);
    let totals = lab.fleet.totals.counts();
    assert_eq!((totals.live, totals.critical), (1, 1));
    lab.wait(4_000);
    let totals = lab.fleet.totals.counts();
    assert_eq!((totals.live, totals.stale, totals.critical), (0, 1, 0));
    lab.wait(60_000);
    assert_eq!(lab.fleet.machines[0].health, Health::Unknown);
    let totals = lab.fleet.totals.counts();
    assert_eq!(
        (totals.live, totals.lost, totals.critical, totals.unknown),
        (0, 1, 0, 0)
    );
}

#[test]
fn a_machine_of_which_only_history_knows_is_silent_since_its_last_sample() {
    let mut lab = Lab::new(Config::default());
    lab.wait(3_600_000);
    lab.join("here");
    let everything = wire::Subscribe {
        subscription: 1,
        ..wire::Subscribe::default()
    };
    let mut follower = Follower::new(&mut lab, everything);
    for (id, ago_ms) in [("here", 600_000), ("gone", 600_000), ("quiet", 20_000)] {
        let last_seen = lab.now.unix.plus_ms(-ago_ms);
        let id = MachineId::parse(id).unwrap();
        lab.fleet
            .recall(&id, host("recalled", &[("room", "9")]), last_seen, lab.now);
    }
    let known: Vec<_> = lab
        .fleet
        .machines
        .iter()
        .map(|machine| (machine.id.to_string(), machine.liveness, &*machine.host.hostname))
        .collect();
    assert_eq!(
        known,
        [
            ("here".into(), Liveness::Live, "here.example"),
            ("gone".into(), Liveness::Lost, "recalled.example"),
            ("quiet".into(), Liveness::Stale, "recalled.example"),
        ]
    );
    assert_eq!(lab.fleet.machines[1].last_seen, lab.now.unix.plus_ms(-600_000));
    lab.wait(1_000);
    follower.drain(&mut lab);
    assert!(follower.replica.find("gone").is_some(), "subscribers are told");
    lab.wait(60_000);
    assert_eq!(lab.fleet.machines[2].liveness, Liveness::Lost);
    // And it comes back like any other.
    let stream = lab.join("gone");
    lab.tick(stream, &[(1, 5)]);
    assert_eq!(lab.fleet.machines[1].liveness, Liveness::Live);
    assert_eq!(lab.fleet.machine_count(), 3);
}

#[test]
fn a_second_process_cannot_take_a_machine_that_reports_and_both_are_named() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("web-1");
    let mut claim = hello("web-1", 2, 1_000);
    claim.host.hostname = "impostor".into();
    let error = lab.fleet.open_stream(claim, lab.now).unwrap_err();
    assert_eq!(error.code, Code::AlreadyExists);
    assert!(error.message.starts_with("two machines claim web-1"), "{error}");
    assert!(error.message.contains("web-1.example") && error.message.contains("impostor"));
    let problem = |lab: &Lab| lab.fleet.machines[0].problem.clone();
    assert_eq!(problem(&lab), error.message);
    assert!(lab.fleet.is_current(stream), "the first goes on");
    for _ in 0..7 {
        lab.tick(stream, &[(1, 5)]);
        lab.wait(10_000);
    }
    assert_eq!(problem(&lab), "", "a minute without another attempt clears it");
}

#[test]
fn a_silent_or_ended_process_is_succeeded_and_its_late_words_are_ignored() {
    for ends in [true, false] {
        let mut lab = Lab::new(Config::default());
        let old = lab.join("a");
        lab.tick(old, &[(1, 5)]);
        if ends {
            lab.fleet.close_stream(old);
        } else {
            lab.wait(3_000);
        }
        let opened = lab.open("a", 2).unwrap();
        assert_eq!(opened.replaced.is_some(), !ends);
        lab.tick(old, &[(1, 6)]);
        lab.fleet.close_stream(old);
        assert!(lab.fleet.is_current(opened.stream));
        assert_eq!(lab.figures().ticks, 1);
        assert_eq!(lab.fleet.machine_count(), 1);
    }
}

#[test]
fn the_same_process_replaces_its_half_open_stream_at_once() {
    let mut lab = Lab::new(Config::default());
    let old = lab.join("a");
    let opened = lab.open("a", 1).unwrap();
    assert_eq!(opened.replaced, Some(old));
    assert_eq!(
        lab.fleet.stream_of(&MachineId::parse("a").unwrap()),
        Some(opened.stream)
    );
}

#[test]
fn history_goes_on_with_a_hole_when_a_collector_comes_back() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("a");
    lab.tick(stream, &[(1, 10)]);
    lab.wait(30_000);
    let stream = lab.open("a", 1).unwrap().stream;
    // Other numbers this time.
    let batch = Batch {
        announced: vec![(7, SeriesKey::plain(MetricId::CpuBusy), 1)],
        tick: Some((lab.now.unix, vec![(7, 20)])),
        ..Batch::default()
    };
    lab.fleet.batch(stream, batch, lab.now);
    let recent = &lab.fleet.machines[0].recent;
    let series = recent
        .get(recent.number_of(&SeriesKey::plain(MetricId::CpuBusy)).unwrap())
        .unwrap();
    let points: Vec<_> = recent.points(series, 0).collect();
    assert_eq!(points, [(START, Some(1.0)), (START.plus_ms(30_000), Some(2.0))]);
}

#[test]
fn all_processes_are_asked_for_while_anybody_looks() {
    let all = |machine: &str| wire::Subscribe {
        machine_ids: vec![machine.into()],
        processes: wire::ProcessDetail::All.into(),
        ..wire::Subscribe::default()
    };
    let detail = |lab: &mut Lab| -> Vec<_> {
        let directives = lab.fleet.take_directives();
        directives
            .iter()
            .map(|(_, directive)| directive.processes())
            .collect()
    };
    let mut lab = Lab::new(Config::default());
    assert_eq!(
        lab.open("a", 1).unwrap().directive.processes(),
        wire::ProcessDetail::Top
    );
    lab.join("b");
    let first = Follower::new(&mut lab, all("a"));
    assert_eq!(detail(&mut lab), [wire::ProcessDetail::All]);
    let second = Follower::new(&mut lab, all("a"));
    assert_eq!(detail(&mut lab), [], "one is enough");
    lab.fleet.unsubscribe(first.client, 1).unwrap();
    assert_eq!(detail(&mut lab), [], "the other still looks");
    lab.fleet.close_client(second.client);
    assert_eq!(detail(&mut lab), [wire::ProcessDetail::Top]);
    // A subscription that is replaced looks no more; a stream that comes later is told at its start.
    let mut third = Follower::new(&mut lab, all("a"));
    third.subscribe.processes = wire::ProcessDetail::Top.into();
    lab.fleet.subscribe(third.client, &third.subscribe).unwrap();
    assert!(
        detail(&mut lab)
            .iter()
            .all(|detail| *detail == wire::ProcessDetail::Top)
    );
    lab.fleet
        .subscribe(
            third.client,
            &wire::Subscribe {
                subscription: 1,
                ..all("later")
            },
        )
        .unwrap();
    assert_eq!(
        lab.open("later", 1).unwrap().directive.processes(),
        wire::ProcessDetail::Top
    );
    assert_eq!(
        detail(&mut lab),
        [wire::ProcessDetail::All],
        "covered as soon as it is there"
    );
    assert_eq!(
        lab.open("later", 1).unwrap().directive.processes(),
        wire::ProcessDetail::All
    );
}

#[test]
fn an_operators_interval_lasts_as_long_as_the_stream() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("a");
    for wrong in [99, 3_600_001] {
        assert_eq!(
            lab.fleet.set_interval("a", wrong, lab.now).unwrap_err().code,
            Code::InvalidArgument
        );
    }
    assert_eq!(
        lab.fleet.set_interval("b", 500, lab.now).unwrap_err().code,
        Code::NotFound
    );
    lab.fleet.set_interval("a", 500, lab.now).unwrap();
    assert_eq!(lab.fleet.take_directives()[0].1.interval_ms, 500);
    lab.fleet.close_stream(stream);
    assert_eq!(
        lab.fleet.set_interval("a", 500, lab.now).unwrap_err().code,
        Code::FailedPrecondition
    );
    assert_eq!(lab.open("a", 1).unwrap().directive.interval_ms, 0);
}

#[test]
fn a_batch_that_does_not_follow_is_counted_and_a_reconnect_goes_on_counting() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.open("a", 1).unwrap().stream;
    let batch = |sequence| Batch {
        sequence,
        ..Batch::default()
    };
    for sequence in [1, 2, 3] {
        lab.fleet.batch(stream, batch(sequence), lab.now);
    }
    let stream = lab.open("a", 1).unwrap().stream;
    lab.fleet.batch(stream, batch(4), lab.now);
    assert_eq!(lab.figures().sequence_jumps, 0);
    lab.fleet.batch(stream, batch(6), lab.now);
    assert_eq!(lab.figures().sequence_jumps, 1);
    // A new process begins anew.
    lab.fleet.close_stream(stream);
    let stream = lab.open("a", 2).unwrap().stream;
    lab.fleet.batch(stream, batch(1), lab.now);
    assert_eq!(lab.figures().sequence_jumps, 1);
}

#[test]
fn a_clock_that_is_hours_off_does_not_time_the_charts() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("a");
    for at in [i64::MAX, i64::MIN, 0, START.0 + 2 * 3_600_000] {
        let batch = Batch {
            tick: Some((UnixMillis(at), vec![(1, 5)])),
            ..Batch::default()
        };
        lab.fleet.batch(stream, batch, lab.now);
        assert_eq!(lab.fleet.machines[0].recent.times().back(), Some(&lab.now.unix));
        lab.wait(1_000);
    }
    assert_eq!(lab.figures().corrected_times, 4);
}

#[test]
fn a_clock_set_back_by_minutes_starts_the_past_anew_and_subscribers_follow() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("a");
    let mut follower = Follower::new(&mut lab, everything());
    let tick = |lab: &mut Lab, offset_ms: i64, value| {
        let batch = Batch {
            tick: Some((lab.now.unix.plus_ms(offset_ms), vec![(1, value)])),
            ..Batch::default()
        };
        lab.fleet.batch(stream, batch, lab.now);
    };
    tick(&mut lab, 1_800_000, 1);
    follower.drain(&mut lab);
    tick(&mut lab, 0, 2);
    follower.drain(&mut lab);
    let machine = follower.replica.find("a").unwrap();
    assert_eq!(machine.recent.times().len(), 1);
    assert_eq!(machine.recent.value(MetricId::CpuBusy), Some(0.2));
    assert_eq!((lab.figures().forgotten_pasts, lab.figures().resyncs), (1, 1));
}
