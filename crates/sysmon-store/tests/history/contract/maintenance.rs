//! What rolling up, compacting and forgetting promise. In memory nothing of it happens.

use std::time::Duration;

use sysmon_core::{GapReason, MachineHistory, SeriesKey, Tier, UnixMillis};
use sysmon_store::{History, Maintenance, Outcome};

use crate::fixture::*;

/// Stores many batches in pieces.
async fn store(history: &dyn History, batches: &[sysmon_store::IngestBatch]) {
    for piece in batches.chunks(500) {
        for outcome in history.commit(piece).await.unwrap() {
            assert!(matches!(outcome, Outcome::Stored { .. }), "{outcome:?}");
        }
    }
}

/// The same but for what rounding may do to a mean.
fn assert_same(one: &MachineHistory, other: &MachineHistory) {
    assert_eq!((one.tier, one.step_ms), (other.tier, other.step_ms));
    assert_eq!(one.times, other.times);
    assert_eq!(one.gaps, other.gaps);
    assert_eq!(one.series.len(), other.series.len());
    for (one, other) in one.series.iter().zip(&other.series) {
        assert_eq!((&one.key, one.decimals), (&other.key, other.decimals));
        for (one, other) in one.points.iter().zip(&other.points) {
            assert_eq!(one.is_some(), other.is_some());
            if let (Some(one), Some(other)) = (one, other) {
                assert_eq!(
                    (one.minimum, one.maximum, one.count),
                    (other.minimum, other.maximum, other.count)
                );
                assert!((one.mean - other.mean).abs() < 0.02, "{one:?} {other:?}");
            }
        }
    }
}

/// Eight hours at ten seconds, with a spike of one sample in the fifth, ending with the present hour.
fn eight_hours(web: &mut Collector, now: UnixMillis) -> Vec<sysmon_store::IngestBatch> {
    let value = |index: i64| {
        if index == 1_500 {
            9_999
        } else {
            300 + (index * index) % 77
        }
    };
    web.ticks(now.plus_ms(-8 * HOUR_MS), 10 * SECOND_MS, 8 * 360, value)
}

pub(crate) async fn every_tier_says_the_same_before_and_after_maintenance(backend: &dyn Backend) {
    if !backend.keeps_everything() {
        return;
    }
    let history = backend.history().await;
    let now = this_hour();
    let start = now.plus_ms(-8 * HOUR_MS);
    let mut web = Collector::busy("web-1");
    store(&*history, &eight_hours(&mut web, now)).await;
    let questions = [
        (start, 3_000),
        (start, 400),
        (start.plus_ms(90 * MINUTE_MS + 17), 300),
        (start.plus_ms(92 * MINUTE_MS + 17), 60),
        (start, 96),
        (start, 8),
    ];
    let mut before = Vec::new();
    for (from, points) in questions {
        before.push(ask(&*history, "web-1", from, now, points).await);
    }
    // Now, an hour later, and long enough later that even the last hour is as packed as it gets.
    for later in [0, HOUR_MS, 2 * HOUR_MS, 2 * DAY_MS] {
        maintain(&*history, now.plus_ms(later)).await;
        for ((from, points), before) in questions.iter().zip(&before) {
            assert_same(&ask(&*history, "web-1", *from, now, *points).await, before);
        }
    }
    let hours = ask(&*history, "web-1", start, now, 8).await;
    assert_eq!(hours.tier, Tier::Hour);
    assert_eq!(count(&hours, &cpu()), 8 * 360);
    assert_eq!(
        series(&hours, &cpu())
            .points
            .iter()
            .flatten()
            .map(|point| point.maximum)
            .fold(0.0, f64::max),
        999.9
    );
}

pub(crate) async fn the_coarsest_tier_with_enough_points_answers(backend: &dyn Backend) {
    if !backend.keeps_everything() {
        return;
    }
    let history = backend.history().await;
    let now = this_hour();
    let start = now.plus_ms(-8 * HOUR_MS);
    let mut web = Collector::busy("web-1");
    store(&*history, &eight_hours(&mut web, now)).await;
    maintain(&*history, now.plus_ms(HOUR_MS)).await;
    for (points, tier) in [
        (3_000, Tier::Raw),
        (480, Tier::Minute),
        (300, Tier::Minute),
        (8, Tier::Hour),
        (1, Tier::Hour),
    ] {
        let answer = ask(&*history, "web-1", start, now, points).await;
        assert_eq!(answer.tier, tier, "{points}");
        if let Some(width_ms) = tier.width_ms() {
            assert_eq!(answer.step_ms % width_ms, 0);
        }
        assert_eq!(count(&answer, &cpu()), 8 * 360, "{points}");
        assert!(answer.gaps.is_empty(), "{points}: {:?}", answer.gaps);
    }
}

pub(crate) async fn late_samples_reach_every_tier(backend: &dyn Backend) {
    if !backend.keeps_everything() {
        return;
    }
    let history = backend.history().await;
    let now = this_hour();
    let start = now.plus_ms(-8 * HOUR_MS);
    let mut web = Collector::busy("web-1");
    let batches = eight_hours(&mut web, now);
    // Two hours of them were kept by the collector: they come when all the rest has been rolled up.
    let kept: Vec<_> = batches[900..1_620].to_vec();
    let mut epochs = Collector::busy("web-1");
    let mut number = |batch: &sysmon_store::IngestBatch| {
        let mut batch = batch.clone();
        epochs.sequence += 1;
        (batch.epoch, batch.sequence) = (epochs.epoch, epochs.sequence);
        batch
    };
    let first: Vec<_> = batches[..900]
        .iter()
        .chain(&batches[1_620..])
        .map(&mut number)
        .collect();
    store(&*history, &first).await;
    maintain(&*history, now.plus_ms(2 * DAY_MS)).await;
    let without = ask(&*history, "web-1", start, now, 400).await;
    assert_eq!(without.gaps.len(), 1, "{:?}", without.gaps);
    epochs.next_epoch();
    let late: Vec<_> = kept
        .iter()
        .map(|batch| {
            let mut batch = batch.clone();
            epochs.sequence += 1;
            (batch.epoch, batch.sequence) = (epochs.epoch, epochs.sequence);
            batch
        })
        .collect();
    store(&*history, &late).await;
    for later in [None, Some(2 * DAY_MS), Some(2 * DAY_MS + HOUR_MS)] {
        if let Some(later) = later {
            maintain(&*history, now.plus_ms(later)).await;
        }
        for (points, tier) in [
            (3_000, Tier::Raw),
            (400, Tier::Minute),
            (96, Tier::Minute),
            (8, Tier::Hour),
        ] {
            let answer = ask(&*history, "web-1", start, now, points).await;
            assert_eq!(answer.tier, tier);
            assert_eq!(count(&answer, &cpu()), 8 * 360, "{tier:?} after {later:?}");
            let maximum = series(&answer, &cpu())
                .points
                .iter()
                .flatten()
                .map(|point| point.maximum)
                .fold(0.0, f64::max);
            assert_eq!(maximum, 999.9, "{tier:?} after {later:?}");
            assert!(
                answer.gaps.is_empty(),
                "{tier:?} after {later:?}: {:?}",
                answer.gaps
            );
        }
    }
}

pub(crate) async fn what_is_old_is_kept_only_in_coarser_tiers(backend: &dyn Backend) {
    if !backend.keeps_everything() {
        return;
    }
    let history = backend.history().await;
    let now = this_hour();
    let mut web = Collector::busy("web-1");
    let week = now.plus_ms(-9 * DAY_MS);
    let month = now.plus_ms(-40 * DAY_MS);
    let ever = now.plus_ms(-800 * DAY_MS);
    for start in [week, month, ever, now.plus_ms(-HOUR_MS)] {
        web.next_epoch();
        store(&*history, &web.ticks(start, 10 * SECOND_MS, 360, |_| 10)).await;
    }
    maintain(&*history, now).await;
    let forgotten = maintain(&*history, now.plus_ms(HOUR_MS)).await;
    let tier = async |start: UnixMillis| {
        let answer = ask(&*history, "web-1", start, start.plus_ms(HOUR_MS), 300).await;
        (
            answer.tier,
            answer
                .series
                .iter()
                .find(|series| *series.key == cpu())
                .map(|_| count(&answer, &cpu())),
        )
    };
    assert_eq!(
        tier(now.plus_ms(-HOUR_MS)).await,
        (Tier::Raw, Some(360)),
        "{forgotten:?}"
    );
    assert_eq!(tier(week).await, (Tier::Minute, Some(360)));
    assert_eq!(tier(month).await, (Tier::Hour, Some(360)));
    assert_eq!(tier(ever).await.1, None);
}

pub(crate) async fn cursors_that_nothing_comes_for_are_forgotten(backend: &dyn Backend) {
    if !backend.keeps_everything() {
        return;
    }
    let history = backend.history().await;
    let now = this_hour();
    let mut web = Collector::busy("web-1");
    history
        .commit(&web.ticks(now, SECOND_MS, 3, |_| 1))
        .await
        .unwrap();
    let dead = web.dead(now, "unreadable", None);
    history.commit(&[dead]).await.unwrap();
    let next = web.tick(now.plus_ms(10 * SECOND_MS), &[1, 1_000]);
    // A day is less than twice what a spool keeps.
    maintain(&*history, now.plus_ms(DAY_MS)).await;
    assert_eq!(
        history.dead_letters(&Default::default(), 10).await.unwrap().len(),
        1
    );
    assert_eq!(
        history.commit(&[next]).await.unwrap(),
        [Outcome::Stored { through: 5 }]
    );
    maintain(&*history, now.plus_ms(2 * DAY_MS + 2 * HOUR_MS)).await;
    assert!(
        history
            .dead_letters(&Default::default(), 10)
            .await
            .unwrap()
            .is_empty()
    );
    let ahead = web.tick(now.plus_ms(20 * SECOND_MS), &[1, 1_000]);
    assert_eq!(
        history.commit(&[ahead]).await.unwrap(),
        [Outcome::Expected { sequence: 1 }]
    );
}

pub(crate) async fn maintaining_again_changes_nothing(backend: &dyn Backend) {
    let history = backend.history().await;
    let now = this_hour();
    let mut web = Collector::busy("web-1");
    store(
        &*history,
        &web.ticks(now.plus_ms(-HOUR_MS / 2), 5 * SECOND_MS, 360, |index| index),
    )
    .await;
    history
        .commit(&[web.lost(5, now, now, GapReason::SpoolFull)])
        .await
        .unwrap();
    let later = now.plus_ms(HOUR_MS);
    maintain(&*history, later).await;
    let before = ask(&*history, "web-1", now.plus_ms(-HOUR_MS), now, 3_600).await;
    assert_eq!(maintain(&*history, later).await, Maintenance::default());
    assert_same(
        &ask(&*history, "web-1", now.plus_ms(-HOUR_MS), now, 3_600).await,
        &before,
    );
}

pub(crate) async fn maintenance_may_be_interrupted_and_shared(backend: &dyn Backend) {
    if !backend.keeps_everything() {
        return;
    }
    let history = backend.history().await;
    let other = backend.history().await;
    let now = this_hour();
    let start = now.plus_ms(-8 * HOUR_MS);
    let mut web = Collector::busy("web-1");
    store(&*history, &eight_hours(&mut web, now)).await;
    let before = ask(&*history, "web-1", start, now, 3_000).await;
    // Each piece is dropped somewhere, ever later, while somebody else maintains the same.
    for micros in (0..40).map(|step| step * step * 40) {
        let later = now.plus_ms(HOUR_MS);
        let piece = tokio::time::timeout(Duration::from_micros(micros), history.maintain(later));
        let (interrupted, whole) = tokio::join!(piece, other.maintain(later));
        if let Ok(done) = interrupted {
            done.unwrap();
        }
        whole.unwrap();
    }
    maintain(&*history, now.plus_ms(2 * DAY_MS)).await;
    assert_same(&ask(&*other, "web-1", start, now, 3_000).await, &before);
    let hours = ask(&*other, "web-1", start, now, 8).await;
    assert_eq!(count(&hours, &cpu()), 8 * 360);
}

pub(crate) async fn maintenance_beside_commits_loses_nothing(backend: &dyn Backend) {
    if !backend.keeps_everything() {
        return;
    }
    let now = this_hour();
    let start = now.plus_ms(-3 * HOUR_MS);
    let mut web = Collector::busy("web-1");
    let batches = web.ticks(start, 10 * SECOND_MS, 3 * 360, |index| index);
    let (writer, maintainer, reader) = (
        backend.history().await,
        backend.history().await,
        backend.history().await,
    );
    writer.commit(&batches[..1]).await.unwrap();
    let writing = async {
        for piece in batches[1..].chunks(40) {
            writer.commit(piece).await.unwrap();
        }
    };
    let maintaining = async {
        for _ in 0..20 {
            maintainer.maintain(now.plus_ms(HOUR_MS)).await.unwrap();
        }
    };
    // An answer never has less than the one before: what is moved is never missing meanwhile, nor there twice.
    let reading = async {
        let mut seen = 0;
        for _ in 0..40 {
            let answer = ask(&*reader, "web-1", start, now, 2_000).await;
            let total = count(&answer, &cpu());
            assert_eq!(total, answer.times.len() as u64, "something is there twice");
            assert!(total >= seen, "{total} after {seen}");
            seen = total;
        }
    };
    tokio::join!(writing, maintaining, reading);
    maintain(&*maintainer, now.plus_ms(2 * DAY_MS)).await;
    let interval = SeriesKey::plain(sysmon_core::INTERVAL_METRIC);
    for (points, tier) in [(2_000, Tier::Raw), (180, Tier::Minute), (3, Tier::Hour)] {
        let answer = ask(&*reader, "web-1", start, now, points).await;
        assert_eq!((answer.tier, count(&answer, &cpu())), (tier, 3 * 360));
        assert_eq!(count(&answer, &interval), 3 * 360);
    }
}
