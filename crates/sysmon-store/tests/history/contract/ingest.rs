//! What a commit promises.

use std::sync::Arc;
use std::time::Duration;

use sysmon_core::{GapReason, HistoryQuery, HostInfo, MetricId, SeriesKey, Unit, UnixMillis};
use sysmon_store::{Content, ErrorKind, Outcome};

use crate::fixture::*;

const STORED: fn(u64) -> Outcome = |through| Outcome::Stored { through };
const EXPECTED: fn(u64) -> Outcome = |sequence| Outcome::Expected { sequence };

pub(crate) async fn batches_of_an_epoch_are_stored_in_order_and_once(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let batches = Collector::busy("web-1").ticks(start, SECOND_MS, 4, |index| index);
    assert_eq!(
        history.commit(&batches[..3]).await.unwrap(),
        [STORED(1), STORED(2), STORED(3)]
    );
    // The acknowledgement was lost: they come again, with a new one, and one of them twice.
    let again = [&batches[1..], &batches[3..]].concat();
    assert_eq!(
        history.commit(&again).await.unwrap(),
        [STORED(3), STORED(3), STORED(4), STORED(4)]
    );
    let answer = ask(&*history, "web-1", start, start.plus_ms(HOUR_MS), 3_600).await;
    assert_eq!(values(&answer, &cpu()), [0.0, 0.1, 0.2, 0.3].map(Some));
}

pub(crate) async fn a_batch_ahead_of_the_cursor_is_refused_with_the_one_that_is_due(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let batches = Collector::busy("web-1").ticks(start, SECOND_MS, 3, |index| index);
    assert_eq!(history.commit(&batches[2..]).await.unwrap(), [EXPECTED(1)]);
    let jumbled = [batches[0].clone(), batches[2].clone(), batches[1].clone()];
    assert_eq!(
        history.commit(&jumbled).await.unwrap(),
        [STORED(1), EXPECTED(2), STORED(2)]
    );
    assert_eq!(history.commit(&batches[2..]).await.unwrap(), [STORED(3)]);
    let answer = ask(&*history, "web-1", start, start.plus_ms(HOUR_MS), 3_600).await;
    assert_eq!(answer.times.len(), 3);
}

pub(crate) async fn epochs_and_machines_count_for_themselves(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let mut web = Collector::busy("web-1");
    let mut database = Collector::busy("db-1");
    let mut batches = web.ticks(start, SECOND_MS, 2, |_| 10);
    web.next_epoch();
    batches.extend(web.ticks(start.plus_ms(10 * SECOND_MS), SECOND_MS, 1, |_| 20));
    batches.extend(database.ticks(start, SECOND_MS, 1, |_| 30));
    let outcomes = history.commit(&batches).await.unwrap();
    assert_eq!(outcomes, [STORED(1), STORED(2), STORED(1), STORED(1)]);
    // The old epoch drains beside the new one.
    let mut old = Collector::busy("web-1");
    old.sequence = 2;
    let late = old.ticks(start.plus_ms(2 * SECOND_MS), SECOND_MS, 1, |_| 40);
    assert_eq!(history.commit(&late).await.unwrap(), [STORED(3)]);
    let answer = ask(&*history, "web-1", start, start.plus_ms(HOUR_MS), 3_600).await;
    assert_eq!(values(&answer, &cpu()), [1.0, 1.0, 4.0, 2.0].map(Some));
    let answer = ask(&*history, "db-1", start, start.plus_ms(HOUR_MS), 3_600).await;
    assert_eq!(values(&answer, &cpu()), [Some(3.0)]);
}

pub(crate) async fn a_commit_that_cannot_be_stored_leaves_nothing_behind(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let mut web = Collector::busy("web-1");
    let first = web.ticks(start, SECOND_MS, 1, |_| 10);
    history.commit(&first).await.unwrap();
    let mut batches = web.ticks(start.plus_ms(SECOND_MS), SECOND_MS, 2, |_| 20);
    batches.push(Collector::busy("db-1").tick(UnixMillis(i64::MAX), &[1, 1]));
    let error = history.commit(&batches).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Rejected, "{error}");
    let answer = ask(&*history, "web-1", start, start.plus_ms(HOUR_MS), 3_600).await;
    assert_eq!(answer.times.len(), 1);
    // Without the one that cannot be they are taken as if nothing had been.
    assert_eq!(
        history.commit(&batches[..2]).await.unwrap(),
        [STORED(2), STORED(3)]
    );
}

pub(crate) async fn writers_with_the_same_batches_store_them_once(backend: &dyn Backend) {
    let start = this_hour();
    let mut one = Collector::busy("web-1");
    let mut other = Collector::busy("db-1");
    let batches: Vec<_> = (0..30)
        .flat_map(|index| {
            let at = start.plus_ms(index * SECOND_MS);
            [one.tick(at, &[index, 1_000]), other.tick(at, &[index, 1_000])]
        })
        .collect();
    let batches = Arc::new(batches);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let history = backend.history().await;
        let batches = batches.clone();
        writers.spawn(async move {
            // Each in pieces of its own length, and every second one with the machines in the other order.
            for piece in batches.chunks(4 + 2 * writer) {
                let mut piece = piece.to_vec();
                if writer % 2 == 1 {
                    piece.sort_by(|one, other| {
                        (&one.machine, one.sequence).cmp(&(&other.machine, other.sequence))
                    });
                }
                for (batch, outcome) in piece.iter().zip(history.commit(&piece).await.unwrap()) {
                    assert!(
                        matches!(outcome, Outcome::Stored { through } if through >= batch.sequence),
                        "{outcome:?}"
                    );
                }
            }
        });
    }
    writers.join_all().await;
    let history = backend.history().await;
    for name in ["web-1", "db-1"] {
        let answer = ask(&*history, name, start, start.plus_ms(HOUR_MS), 3_600).await;
        assert_eq!(answer.times.len(), 30);
        assert_eq!(count(&answer, &cpu()), 30, "stored twice");
    }
}

pub(crate) async fn lost_samples_move_the_cursor_and_show_as_a_gap(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let at = |second: i64| start.plus_ms(second * SECOND_MS);
    let mut web = Collector::busy("web-1");
    let mut batches = web.ticks(start, SECOND_MS, 10, |_| 10);
    batches.push(web.lost(100, at(10), at(109), GapReason::SpoolFull));
    batches.extend(web.ticks(at(110), SECOND_MS, 10, |_| 10));
    let outcomes = history.commit(&batches).await.unwrap();
    assert_eq!(outcomes[10], STORED(110));
    assert_eq!(outcomes[20], STORED(120));
    // It comes again after a restart of the aggregator, and counts once.
    assert_eq!(history.commit(&batches[10..11]).await.unwrap(), [STORED(120)]);
    let answer = ask(&*history, "web-1", start, at(600), 3_600).await;
    assert_eq!(answer.gaps.len(), 1, "{:?}", answer.gaps);
    let gap = &answer.gaps[0];
    assert_eq!(
        (gap.from, gap.to, gap.samples, gap.reason),
        (at(10), at(109), 100, GapReason::SpoolFull)
    );
    // Outside of the gap nothing is said of it.
    assert!(
        ask(&*history, "web-1", start, at(10), 3_600)
            .await
            .gaps
            .is_empty()
    );
}

pub(crate) async fn a_lost_range_that_overlaps_what_is_stored_counts_only_the_rest(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let mut web = Collector::busy("web-1");
    history
        .commit(&web.ticks(start, SECOND_MS, 5, |_| 10))
        .await
        .unwrap();
    web.sequence = 2;
    let lost = web.lost(
        8,
        start.plus_ms(2 * SECOND_MS),
        start.plus_ms(9 * SECOND_MS),
        GapReason::SpoolDamaged,
    );
    assert_eq!(history.commit(&[lost]).await.unwrap(), [STORED(10)]);
    let answer = ask(&*history, "web-1", start, start.plus_ms(HOUR_MS), 3_600).await;
    assert_eq!(answer.gaps.iter().map(|gap| gap.samples).sum::<u64>(), 5);
    // A lost range ahead of the cursor is refused like any batch.
    web.sequence = 12;
    let ahead = web.lost(3, start, start, GapReason::SpoolFull);
    assert_eq!(history.commit(&[ahead]).await.unwrap(), [EXPECTED(11)]);
}

pub(crate) async fn a_lost_spool_shows_as_a_gap_from_the_newest_sample(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let at = |second: i64| start.plus_ms(second * SECOND_MS);
    let mut web = Collector::busy("web-1");
    let mut first = web.ticks(start, SECOND_MS, 5, |_| 10);
    first[0].spool_was_lost = true;
    history.commit(&first).await.unwrap();
    // Nothing was there before, so nothing is missing.
    assert!(
        ask(&*history, "web-1", start, at(100), 3_600)
            .await
            .gaps
            .is_empty()
    );
    web.next_epoch();
    let mut second = web.ticks(at(60), SECOND_MS, 5, |_| 10);
    second.iter_mut().for_each(|batch| batch.spool_was_lost = true);
    history.commit(&second).await.unwrap();
    let answer = ask(&*history, "web-1", start, at(100), 3_600).await;
    assert_eq!(answer.gaps.len(), 1, "{:?}", answer.gaps);
    let gap = &answer.gaps[0];
    assert_eq!(
        (gap.from, gap.to, gap.samples, gap.reason),
        (at(4), at(60), 0, GapReason::SpoolLost)
    );
}

pub(crate) async fn a_machine_says_who_it_is_and_may_change_its_mind(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let host = |hostname: &str| HostInfo {
        hostname: hostname.into(),
        os: "Debian GNU/Linux 12 (bookworm)".into(),
        kernel: "6.1.0-18-amd64".into(),
        architecture: "x86_64".into(),
        cpu_model: "AMD EPYC 7B13".into(),
        cpu_count: 64,
        memory_bytes: 1 << 40,
        boot_unix_ms: 1_700_000_000_123,
        collector_version: "0.1.0".into(),
        labels: vec![("rack".into(), "7".into()), ("role".into(), "web".into())],
    };
    let mut web = Collector::busy("web-1");
    let mut batches = web.ticks(start, SECOND_MS, 2, |_| 10);
    batches[0].host = Some(Arc::new(host("before")));
    batches.extend(Collector::busy("a-quiet-one").ticks(start, SECOND_MS, 1, |_| 10));
    history.commit(&batches).await.unwrap();
    let mut after = web.ticks(start.plus_ms(5 * SECOND_MS), SECOND_MS, 1, |_| 10);
    after[0].host = Some(Arc::new(host("after")));
    history.commit(&after).await.unwrap();
    let machines = history.machines().await.unwrap();
    let names: Vec<_> = machines.iter().map(|record| record.machine.as_str()).collect();
    assert_eq!(names, ["a-quiet-one", "web-1"]);
    assert_eq!(machines[0].host, HostInfo::default());
    assert_eq!(machines[1].host, host("after"));
    let range = (machines[1].first_sample, machines[1].last_sample);
    assert_eq!(range, (Some(start), Some(start.plus_ms(5 * SECOND_MS))));
    maintain(&*history, start.plus_ms(3 * HOUR_MS)).await;
    assert_eq!(
        history.machines().await.unwrap(),
        machines,
        "maintenance changed what is known"
    );
}

pub(crate) async fn numbers_that_the_table_lacks_are_passed_over(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let mut web = Collector::busy("web-1");
    let mut batch = web.tick(start, &[10, 1_000]);
    if let Content::Tick { values, .. } = &mut batch.content {
        values.insert(0, (0, 77));
        values.push((1_000_000, 78));
    }
    // A tick may have nothing at all.
    let empty = web.tick(start.plus_ms(SECOND_MS), &[]);
    history.commit(&[batch, empty]).await.unwrap();
    let answer = ask(&*history, "web-1", start, start.plus_ms(HOUR_MS), 3_600).await;
    assert_eq!(answer.series.len(), 2);
    assert_eq!(values(&answer, &cpu())[0], Some(1.0));
}

pub(crate) async fn nothing_at_all_is_stored_and_asked_for_without_complaint(backend: &dyn Backend) {
    let history = backend.history().await;
    assert!(history.commit(&[]).await.unwrap().is_empty());
    assert!(history.machines().await.unwrap().is_empty());
    maintain(&*history, this_hour()).await;
    assert_eq!(
        history.retry_dead_letters(&[], this_hour(), true).await.unwrap(),
        0
    );
    assert_eq!(history.purge_dead_letters(&[]).await.unwrap(), 0);
}

pub(crate) async fn hostile_and_long_texts_come_back_as_they_were(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let hostile = [
        "'; DROP TABLE machine; --",
        "\"quoted\" \\ and {braces}, or [not]",
        "💥 \u{202e}right to left",
    ];
    let long = "x".repeat(4_000);
    let mut keys: Vec<SeriesKey> = hostile
        .iter()
        .map(|text| SeriesKey::of(MetricId::MountUsedPercent, text))
        .collect();
    keys.push(SeriesKey::of(MetricId::MountUsedPercent, &long));
    keys.push(custom(hostile[0], Unit::Count, &[(hostile[1], hostile[2])]));
    let series: Vec<_> = keys.iter().map(|key| (key.clone(), 0)).collect();
    let mut web = Collector::new("web-1", &series);
    let mut batch = web.tick(start, &[1, 2, 3, 4, 5]);
    let host = HostInfo {
        hostname: hostile[1].into(),
        os: long.clone(),
        labels: vec![(hostile[0].into(), hostile[2].into())],
        ..HostInfo::default()
    };
    batch.host = Some(Arc::new(host.clone()));
    history.commit(&[batch]).await.unwrap();
    let answer = ask(&*history, "web-1", start, start.plus_ms(HOUR_MS), 3_600).await;
    for (value, key) in (1..).zip(&keys) {
        assert_eq!(values(&answer, key), [Some(f64::from(value))], "{key}");
    }
    assert_eq!(history.machines().await.unwrap()[0].host, host);
}

pub(crate) async fn everything_is_there_after_reopening(backend: &dyn Backend) {
    if !backend.keeps_everything() {
        return;
    }
    let start = this_hour();
    let mut web = Collector::busy("web-1");
    let history = backend.history().await;
    history
        .commit(&web.ticks(start, SECOND_MS, 5, |index| index))
        .await
        .unwrap();
    let lost = web.lost(
        10,
        start.plus_ms(5_000),
        start.plus_ms(14_000),
        GapReason::SpoolExpired,
    );
    let dead = web.dead(start, "unreadable", None);
    history.commit(&[lost, dead]).await.unwrap();
    let before = ask(&*history, "web-1", start, start.plus_ms(HOUR_MS), 3_600).await;
    let letters = history.dead_letters(&Default::default(), 10).await.unwrap();
    drop(history);
    let history = backend.history().await;
    assert_eq!(
        ask(&*history, "web-1", start, start.plus_ms(HOUR_MS), 3_600).await,
        before
    );
    assert_eq!(
        history.dead_letters(&Default::default(), 10).await.unwrap(),
        letters
    );
    // The cursor is there, and so are the numbers of the series.
    let next = web.tick(start.plus_ms(20_000), &[99, 1_000]);
    assert_eq!(
        history.commit(std::slice::from_ref(&next)).await.unwrap(),
        [STORED(17)]
    );
    assert_eq!(history.commit(&[next]).await.unwrap(), [STORED(17)]);
    let answer = ask(&*history, "web-1", start, start.plus_ms(HOUR_MS), 3_600).await;
    assert_eq!(count(&answer, &cpu()), 6);
}

pub(crate) async fn a_commit_that_nobody_waits_for_did_all_or_nothing(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let mut web = Collector::busy("web-1");
    let mut database = Collector::busy("db-1");
    let mut total = 0;
    for step in 0..30i64 {
        let at = start.plus_ms(step * 10 * SECOND_MS);
        let batches = [
            web.ticks(at, SECOND_MS, 5, |_| 10),
            database.ticks(at, SECOND_MS, 5, |_| 10),
        ]
        .concat();
        let wait = Duration::from_micros(step.unsigned_abs().pow(2) * 10);
        // Whether it was stored is not known now; whoever sends it again finds out.
        let _ = tokio::time::timeout(wait, history.commit(&batches)).await;
        total += 5;
        let stored = match history.query(&everything("web-1", start)).await.unwrap().first() {
            None => 0,
            Some(answer) => answer.times.len(),
        };
        assert!(stored == total || stored == total - 5, "{stored} of {total}");
        for outcome in history.commit(&batches).await.unwrap() {
            assert!(matches!(outcome, Outcome::Stored { .. }), "{outcome:?}");
        }
    }
    for name in ["web-1", "db-1"] {
        let answer = ask(&*history, name, start, start.plus_ms(HOUR_MS), 3_600).await;
        assert_eq!(
            (answer.times.len(), count(&answer, &cpu())),
            (total, total as u64)
        );
    }
}

fn everything(name: &str, start: UnixMillis) -> HistoryQuery {
    HistoryQuery {
        machines: vec![machine(name)],
        metrics: Vec::new(),
        from: start,
        to: start.plus_ms(HOUR_MS),
        points: 3_600,
    }
}
