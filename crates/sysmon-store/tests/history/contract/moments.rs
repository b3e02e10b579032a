//! How machines were at a moment, and what ran on them.

use std::sync::Arc;

use sysmon_core::{
    HistoryQuery, MachineMoment, MetricId, MomentQuery, Process, ProcessDelta, ProcessKey, ProcessSnapshot,
    ProcessState, ProcessTable, ProcessTotals, SeriesKey, Tier, UnixMillis,
};
use sysmon_store::{
    ErrorKind, History, HistoryOptions, MachineProcesses, Retention, SNAPSHOT_REACH_MS, SNAPSHOTS_AT_A_TIME,
};

use crate::fixture::*;

async fn moments(
    history: &dyn History,
    names: &[&str],
    metrics: &[&str],
    at: UnixMillis,
) -> Vec<MachineMoment> {
    let query = MomentQuery {
        machines: names.iter().map(|name| machine(name)).collect(),
        metrics: metrics.iter().map(ToString::to_string).collect(),
        at,
    };
    history.state_at(&query).await.unwrap()
}

fn value(moment: &MachineMoment, key: &SeriesKey) -> Option<f64> {
    let found = moment.series.iter().find(|series| *series.key == *key);
    found.map(|series| series.value)
}

pub(crate) async fn a_moment_has_the_newest_value_of_every_series_before_it(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let disk = SeriesKey::of(MetricId::MountUsedPercent, "/");
    let mut web = Collector::new(
        "web-1",
        &[
            (cpu(), 1),
            (SeriesKey::plain(MetricId::CollectorInterval), 0),
            (disk.clone(), 1),
        ],
    );
    let batches: Vec<_> = (0..120)
        .map(|second| {
            let slow = (second % 30 == 0).then_some(second * 10);
            web.sparse(
                start.plus_ms(second * SECOND_MS),
                &[Some(second * 10), Some(1_000), slow],
            )
        })
        .collect();
    history.commit(&batches).await.unwrap();
    for second in [0, 1, 29, 30, 59, 100, 119] {
        // Between two samples, and exactly at one.
        for beyond in [0, 999] {
            let at = start.plus_ms(second * SECOND_MS + beyond);
            let answer = moments(&*history, &["web-1"], &[], at).await;
            let [moment] = &answer[..] else {
                panic!("one machine is known")
            };
            assert_eq!((moment.tier, moment.interval_ms), (Tier::Raw, Some(1_000)));
            assert_eq!(moment.heard, Some(start.plus_ms(second * SECOND_MS)));
            assert_eq!(value(moment, &cpu()), Some(second as f64));
            assert_eq!(value(moment, &disk), Some((second / 30 * 30) as f64));
            assert!(moment.series.is_sorted_by(|one, other| one.key < other.key));
        }
    }
    let only = moments(
        &*history,
        &["web-1"],
        &["mount.used_percent"],
        start.plus_ms(70_000),
    )
    .await;
    assert_eq!((only[0].series.len(), only[0].interval_ms), (1, Some(1_000)));
    assert_eq!(only[0].series[0].at, start.plus_ms(60_000));
    assert_eq!(
        only[0].heard,
        Some(start.plus_ms(70_000)),
        "by what was not asked for"
    );
    let before = moments(&*history, &["web-1"], &[], start.plus_ms(-1)).await;
    assert_eq!((before[0].heard, before[0].series.len()), (None, 0));
}

pub(crate) async fn what_fell_silent_is_not_as_it_was_and_is_known_to_be_silent(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let mut quick = Collector::busy("quick");
    history
        .commit(&quick.ticks(start, SECOND_MS, 60, |index| index))
        .await
        .unwrap();
    // One that reports every ten minutes, and so is not silent between.
    let mut slow = Collector::busy("slow");
    history
        .commit(&slow.ticks(start, 10 * MINUTE_MS, 3, |index| index))
        .await
        .unwrap();
    let last = start.plus_ms(59 * SECOND_MS);
    let at = start.plus_ms(5 * MINUTE_MS);
    let answer = moments(&*history, &["slow", "nobody", "quick"], &[], at).await;
    let names: Vec<&str> = answer.iter().map(|moment| moment.machine.as_str()).collect();
    assert_eq!(names, ["slow", "quick"], "in the order asked for");
    assert_eq!(
        (answer[0].heard, value(&answer[0], &cpu())),
        (Some(start), Some(0.0))
    );
    assert_eq!(answer[0].interval_ms, Some(600_000));
    assert_eq!((answer[1].heard, answer[1].series.len()), (Some(last), 0));
    // Of ten thousand at most.
    let query = MomentQuery {
        machines: vec![machine("quick"); HistoryQuery::MACHINES_MAX + 1],
        metrics: Vec::new(),
        at,
    };
    let refused = history.state_at(&query).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Rejected);
}

pub(crate) async fn a_moment_is_the_same_before_and_after_maintenance_and_coarser_when_samples_are_gone(
    backend: &dyn Backend,
) {
    if !backend.keeps_everything() {
        return;
    }
    let now = this_hour();
    let start = now.plus_ms(-40 * DAY_MS);
    let history = backend.history().await;
    let mut names = Vec::new();
    for index in 0..3 {
        let mut web = Collector::busy(&format!("web-{index}"));
        // Steady within a minute, so that its mean is what it was.
        let value = |second: i64| 100 * index + second / 60;
        let batches = web.ticks(start, 5 * SECOND_MS, 720, |tick| value(tick * 5));
        history.commit(&batches).await.unwrap();
        names.push(format!("web-{index}"));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let at = start.plus_ms(30 * MINUTE_MS + 2_000);
    let expected = [3.0, 13.0, 23.0].map(Some);
    let before = moments(&*history, &names, &[], at).await;
    let of_cpu = |moments: &[MachineMoment]| -> Vec<Option<f64>> {
        moments.iter().map(|moment| value(moment, &cpu())).collect()
    };
    assert_eq!(of_cpu(&before), expected);
    maintain(&*history, start.plus_ms(3 * HOUR_MS)).await;
    assert_eq!(moments(&*history, &names, &[], at).await, before);
    // A fortnight later there are minutes, and after that hours.
    maintain(&*history, start.plus_ms(14 * DAY_MS)).await;
    let minutes = moments(&*history, &names, &[], at).await;
    assert_eq!(of_cpu(&minutes), expected);
    assert!(
        minutes
            .iter()
            .all(|moment| moment.tier != Tier::Hour && moment.heard <= Some(at))
    );
    maintain(&*history, now).await;
    let hours = moments(&*history, &names, &[], at).await;
    assert!(of_cpu(&hours).iter().all(Option::is_some), "{hours:?}");
}

/// A list of processes that changes a little with its number.
fn listed(number: u32) -> ProcessSnapshot {
    let process = |index: u32| Process {
        key: ProcessKey {
            pid: 100 + index + number / 10,
            start_ms: u64::from(index),
        },
        parent_pid: 1,
        user: "root".into(),
        name: format!("process-{index}").into(),
        command: format!("process-{index} --shard {}", number / 10).into(),
        state: ProcessState::Running,
        cpu_percent: Some((index + number) as f32 / 2.0),
        memory_bytes: u64::from(index) << 20,
        threads: index,
        read_bytes_per_second: Some(0),
        write_bytes_per_second: None,
    };
    let mut table = ProcessTable::default();
    table.apply(&ProcessDelta {
        replace: true,
        complete: true,
        changed: (0..12).map(process).collect(),
        removed: Vec::new(),
        totals: ProcessTotals {
            processes: 300 + number,
            ..ProcessTotals::default()
        },
    });
    ProcessSnapshot::of(&table)
}

fn taken(name: &str, at: UnixMillis, number: u32) -> MachineProcesses {
    MachineProcesses {
        machine: machine(name),
        at,
        processes: listed(number),
    }
}

/// As a table: in what order they are packed is nobody's business.
fn tables(snapshots: &[MachineProcesses]) -> Vec<(String, UnixMillis, ProcessTable)> {
    let table = |snapshot: &MachineProcesses| {
        (
            snapshot.machine.to_string(),
            snapshot.at,
            snapshot.processes.table(),
        )
    };
    snapshots.iter().map(table).collect()
}

async fn known(history: &dyn History, names: &[&str], at: UnixMillis) {
    for name in names {
        let mut collector = Collector::busy(name);
        history.commit(&[collector.tick(at, &[1, 1_000])]).await.unwrap();
    }
}

pub(crate) async fn processes_come_back_as_they_were_at_the_moment(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    known(&*history, &["web-1", "web-2"], start).await;
    let minute = |number: u32| start.plus_ms(i64::from(number) * MINUTE_MS);
    let all: Vec<_> = (0..30)
        .flat_map(|number| {
            [
                taken("web-1", minute(number), number),
                taken("web-2", minute(number), number + 500),
                taken("nobody", minute(number), number),
            ]
        })
        .collect();
    for some in all.chunks(20) {
        let known = some
            .iter()
            .filter(|taken| taken.machine.as_str() != "nobody")
            .count();
        assert_eq!(history.put_process_snapshots(some).await.unwrap(), known as u64);
    }
    // Of a moment that is there already the first one stays.
    let again = [taken("web-1", minute(3), 99)];
    assert_eq!(history.put_process_snapshots(&again).await.unwrap(), 0);
    let names = [machine("web-2"), machine("nobody"), machine("web-1")];
    for number in [0, 3, 17, 29] {
        for beyond in [0, 59_999] {
            let at = minute(number).plus_ms(beyond);
            let found = history.process_snapshots_at(&names, at).await.unwrap();
            let expected = [
                taken("web-2", minute(number), number + 500),
                taken("web-1", minute(number), number),
            ];
            assert_eq!(tables(&found), tables(&expected));
        }
    }
    let reach = i64::try_from(SNAPSHOT_REACH_MS).unwrap();
    for (at, count) in [
        (start.plus_ms(-1), 0),
        (minute(29).plus_ms(reach), 2),
        (minute(29).plus_ms(reach + 1), 0),
    ] {
        assert_eq!(
            history.process_snapshots_at(&names, at).await.unwrap().len(),
            count
        );
    }
    assert_eq!(history.process_snapshots_at(&[], start).await.unwrap(), []);
    assert_eq!(history.put_process_snapshots(&[]).await.unwrap(), 0);
}

pub(crate) async fn snapshots_that_cannot_be_are_refused_and_empty_ones_kept(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    known(&*history, &["web-1"], start).await;
    for hostile in [
        vec![taken("web-1", UnixMillis(i64::MIN), 1)],
        vec![taken("web-1", UnixMillis(i64::MAX), 1)],
        vec![taken("web-1", start, 1); SNAPSHOTS_AT_A_TIME + 1],
    ] {
        let refused = history.put_process_snapshots(&hostile).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Rejected, "{refused}");
    }
    let many = vec![machine("web-1"); sysmon_store::MACHINES_PER_QUERY + 1];
    let refused = history.process_snapshots_at(&many, start).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Rejected);
    // Texts that a collector may send.
    let mut odd = taken("web-1", start, 1);
    odd.processes.processes[0].name = "a\u{0}b'; DROP TABLE machine; --".into();
    odd.processes.processes[1].command = "ä".repeat(128).into();
    let empty = MachineProcesses {
        processes: ProcessSnapshot::default(),
        ..taken("web-1", start.plus_ms(1), 1)
    };
    let both = [odd.clone(), empty.clone()];
    assert_eq!(history.put_process_snapshots(&both).await.unwrap(), 2);
    let names = [machine("web-1")];
    let found = history.process_snapshots_at(&names, start).await.unwrap();
    assert_eq!(tables(&found), tables(&[odd]));
    let found = history
        .process_snapshots_at(&names, start.plus_ms(1))
        .await
        .unwrap();
    assert_eq!(found, [empty]);
}

pub(crate) async fn snapshots_go_when_they_are_old_or_too_many(backend: &dyn Backend) {
    if !backend.keeps_everything() {
        return;
    }
    let history = backend.history().await;
    let now = this_hour();
    let start = now.plus_ms(-60 * HOUR_MS);
    known(&*history, &["web-1"], start).await;
    let hours: Vec<_> = (0..60u32)
        .map(|hour| taken("web-1", start.plus_ms(i64::from(hour) * HOUR_MS), hour))
        .collect();
    assert_eq!(history.put_process_snapshots(&hours).await.unwrap(), 60);
    maintain(&*history, now).await;
    let names = [machine("web-1")];
    let there = async |history: &Arc<dyn History>| -> Vec<u32> {
        let mut there = Vec::new();
        for (hour, taken) in (0..).zip(&hours) {
            let found = history.process_snapshots_at(&names, taken.at).await.unwrap();
            if !found.is_empty() {
                assert_eq!(tables(&found), tables(std::slice::from_ref(taken)), "whole");
                there.push(hour);
            }
        }
        there
    };
    assert_eq!(there(&history).await, (12..60).collect::<Vec<_>>(), "48 hours");
    // The same with room for about ten of them.
    let options = HistoryOptions {
        retention: Retention {
            snapshot_bytes: 10 * 300,
            ..Retention::default()
        },
        ..HistoryOptions::default()
    };
    let small = backend.open(options).await;
    maintain(&*small, now).await;
    let left = there(&small).await;
    assert!((2..20).contains(&left.len()), "{left:?}");
    assert_eq!(left.last(), Some(&59), "the newest stay");
    assert!(left.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

pub(crate) async fn writers_of_the_same_snapshots_store_them_once(backend: &dyn Backend) {
    let start = this_hour();
    let first = backend.history().await;
    known(&*first, &["web-1", "web-2"], start).await;
    let snapshots: Vec<_> = (0..40)
        .map(|number| {
            let name = if number % 2 == 0 { "web-1" } else { "web-2" };
            taken(name, start.plus_ms(i64::from(number) * SECOND_MS), number)
        })
        .collect();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..3usize {
        let (history, mut own) = (backend.history().await, snapshots.clone());
        own.rotate_left(writer * 7);
        writers.spawn(async move {
            let mut stored = 0;
            for some in own.chunks(5) {
                stored += history.put_process_snapshots(some).await.unwrap();
            }
            stored
        });
    }
    let mut stored = 0;
    while let Some(done) = writers.join_next().await {
        stored += done.unwrap();
    }
    assert_eq!(stored, 40);
    for taken in &snapshots {
        let names = [taken.machine.clone()];
        let found = first.process_snapshots_at(&names, taken.at).await.unwrap();
        assert_eq!(tables(&found), tables(std::slice::from_ref(taken)));
    }
}
