//! What an answer promises.

use sysmon_core::{GapReason, HistoryQuery, MetricId, SeriesKey, Tier, Unit, UnixMillis};

use crate::fixture::*;

pub(crate) async fn single_samples_are_exact(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let used = SeriesKey::plain(MetricId::MemoryUsed);
    let celsius = SeriesKey::of(MetricId::Temperature, "outside");
    let fine = custom("fine.count", Unit::Count, &[]);
    let mut web = Collector::new(
        "web-1",
        &[(used.clone(), 0), (celsius.clone(), 1), (fine.clone(), 9)],
    );
    let rows = [
        [(1 << 40) + 1, -405, 123_456_789],
        [(1 << 53) - 1, 0, -1],
        [0, 999, (1 << 53) - 1],
        [-(1 << 45) - 3, -1, 1],
    ];
    let batches: Vec<_> = (0..)
        .zip(&rows)
        .map(|(index, row)| web.tick(start.plus_ms(index * SECOND_MS + index), row))
        .collect();
    history.commit(&batches).await.unwrap();
    let answer = ask(&*history, "web-1", start, start.plus_ms(10 * SECOND_MS), 300).await;
    assert_eq!((answer.tier, answer.step_ms), (Tier::Raw, 0));
    let times: Vec<i64> = answer.times.iter().map(|at| at.0 - start.0).collect();
    assert_eq!(times, [0, 1_001, 2_002, 3_003]);
    let of = |index: usize, divisor: f64| rows.map(|row| Some(row[index] as f64 / divisor));
    assert_eq!(values(&answer, &used), of(0, 1.0));
    assert_eq!(values(&answer, &celsius), of(1, 10.0));
    assert_eq!(values(&answer, &fine), of(2, 1e9));
    assert_eq!(series(&answer, &celsius).decimals, 1);
    for point in answer.series.iter().flat_map(|series| &series.points).flatten() {
        assert_eq!(
            (point.minimum, point.maximum, point.count),
            (point.mean, point.mean, 1)
        );
    }
}

pub(crate) async fn series_of_foreign_metrics_keep_unit_and_labels(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let keys = [
        custom("queue.waiting", Unit::Count, &[("queue", "mail"), ("shard", "1")]),
        custom("queue.waiting", Unit::Count, &[("queue", "mail"), ("shard", "2")]),
        custom("queue.waiting", Unit::Count, &[("queue", "mail")]),
        custom("queue.waiting", Unit::Seconds, &[("queue", "mail")]),
        custom("queue.waiting", Unit::Count, &[]),
    ];
    let series: Vec<_> = keys.iter().map(|key| (key.clone(), 0)).collect();
    let mut web = Collector::new("web-1", &series);
    history
        .commit(&[web.tick(start, &[1, 2, 3, 4, 5])])
        .await
        .unwrap();
    let answer = ask(&*history, "web-1", start, start.plus_ms(HOUR_MS), 300).await;
    assert_eq!(answer.series.len(), 5);
    for (value, key) in (1..).zip(&keys) {
        assert_eq!(values(&answer, key), [Some(f64::from(value))], "{key}");
    }
}

pub(crate) async fn only_the_metrics_asked_for_come_back(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let mounts = ["/", "/home"].map(|mount| SeriesKey::of(MetricId::MountUsedPercent, mount));
    let mut web = Collector::new(
        "web-1",
        &[(cpu(), 1), (mounts[0].clone(), 1), (mounts[1].clone(), 1)],
    );
    history
        .commit(&web.ticks(start, SECOND_MS, 1, |_| 1))
        .await
        .unwrap();
    let ask = async |metrics: &[&str]| {
        let query = HistoryQuery {
            machines: vec![machine("web-1")],
            metrics: metrics.iter().map(ToString::to_string).collect(),
            from: start,
            to: start.plus_ms(HOUR_MS),
            points: 300,
        };
        let answer = history.query(&query).await.unwrap().remove(0);
        check(&answer, &query);
        answer
            .series
            .iter()
            .map(|series| (*series.key).clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ask(&["cpu.busy_percent"]).await, [cpu()]);
    let both = ask(&["mount.used_percent", "no.such_metric", "cpu.busy_percent"]).await;
    assert!(both.contains(&cpu()) && both.contains(&mounts[0]), "{both:?}");
    assert!(ask(&["no.such_metric"]).await.is_empty());
}

pub(crate) async fn machines_come_in_the_order_asked_for_and_unknown_ones_not_at_all(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let names = ["c", "a", "b", "e", "d"];
    for name in names {
        history
            .commit(&Collector::busy(name).ticks(start, SECOND_MS, 3, |_| 1))
            .await
            .unwrap();
    }
    let query = HistoryQuery {
        machines: ["e", "nobody", "a", "c", "b", "d"].map(machine).to_vec(),
        metrics: Vec::new(),
        from: start,
        to: start.plus_ms(HOUR_MS),
        points: 10,
    };
    let answers = history.query(&query).await.unwrap();
    let order: Vec<_> = answers.iter().map(|answer| answer.machine.as_str()).collect();
    assert_eq!(order, ["e", "a", "c", "b", "d"]);
    let none = HistoryQuery {
        machines: Vec::new(),
        ..query
    };
    assert!(history.query(&none).await.unwrap().is_empty());
}

pub(crate) async fn the_range_includes_its_start_and_not_its_end(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let at = |second: i64| start.plus_ms(second * SECOND_MS);
    history
        .commit(&Collector::busy("web-1").ticks(start, SECOND_MS, 20, |index| index * 10))
        .await
        .unwrap();
    let answer = ask(&*history, "web-1", at(5), at(8), 100).await;
    assert_eq!(values(&answer, &cpu()), [5.0, 6.0, 7.0].map(Some));
    assert!(
        ask(&*history, "web-1", at(100), at(200), 100)
            .await
            .times
            .is_empty()
    );
    // With too few points as well.
    let answer = ask(&*history, "web-1", at(5), at(15), 2).await;
    assert_eq!(count(&answer, &cpu()), 10);
    let points = || series(&answer, &cpu()).points.iter().flatten();
    assert_eq!(
        points().map(|point| point.minimum).fold(f64::INFINITY, f64::min),
        5.0
    );
    assert_eq!(points().map(|point| point.maximum).fold(0.0, f64::max), 14.0);
}

pub(crate) async fn few_points_keep_every_extreme_and_count(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let mut web = Collector::busy("web-1");
    let value = |index: i64| match index {
        777 => 1_000,
        1_234 => -1_000,
        index => 500 + index % 7,
    };
    let batches = web.ticks(start, SECOND_MS, 1_800, value);
    for piece in batches.chunks(300) {
        history.commit(piece).await.unwrap();
    }
    let total: i64 = (0..1_800).map(value).sum();
    for points in [1, 2, 7, 100, 299, 300, 1_799, 1_800] {
        let answer = ask(
            &*history,
            "web-1",
            start,
            start.plus_ms(1_800 * SECOND_MS),
            points,
        )
        .await;
        assert_eq!(answer.tier == Tier::Raw, points >= 100, "{points}");
        assert_eq!(answer.step_ms == 0, points == 1_800, "{points}");
        assert_eq!(count(&answer, &cpu()), 1_800, "{points}");
        let found: Vec<_> = series(&answer, &cpu()).points.iter().flatten().collect();
        assert!(
            found.len() * 2 >= points as usize,
            "{} of {points} points",
            found.len()
        );
        assert_eq!(
            found
                .iter()
                .map(|point| point.minimum)
                .fold(f64::INFINITY, f64::min),
            -100.0
        );
        assert_eq!(found.iter().map(|point| point.maximum).fold(0.0, f64::max), 100.0);
        let sum: f64 = found
            .iter()
            .map(|point| point.mean * f64::from(point.count))
            .sum();
        assert!((sum - total as f64 / 10.0).abs() < 1.0, "{sum} for {points}");
        // The peak is where it was.
        let peak = series(&answer, &cpu())
            .points
            .iter()
            .position(|point| point.unwrap().maximum == 100.0)
            .unwrap();
        let peak_from = answer.times[peak].0 - start.0;
        let step = i64::try_from(answer.step_ms.max(1)).unwrap();
        assert!(
            (peak_from..peak_from + step).contains(&777_000),
            "{peak_from} + {step}"
        );
    }
}

pub(crate) async fn silence_is_a_gap_and_a_slow_pace_is_none(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let at = |second: i64| start.plus_ms(second * SECOND_MS);
    let mut web = Collector::busy("web-1");
    // A second's pace, then half a minute's, as the machine says; and five minutes of nothing.
    let mut batches = web.ticks(start, SECOND_MS, 60, |_| 1);
    batches.extend(web.ticks(at(60), 30 * SECOND_MS, 10, |_| 1));
    batches.extend(web.ticks(at(660), 30 * SECOND_MS, 10, |_| 1));
    history.commit(&batches).await.unwrap();
    let answer = ask(&*history, "web-1", start, at(1_200), 3_600).await;
    assert_eq!(answer.gaps.len(), 1, "{:?}", answer.gaps);
    let gap = &answer.gaps[0];
    assert_eq!(
        (gap.from, gap.to, gap.samples, gap.reason),
        (at(330), at(660), 0, GapReason::Silent)
    );
    // Coarser, the gap begins where its last moment ends and is still one.
    let answer = ask(&*history, "web-1", start, at(1_200), 40).await;
    assert_eq!(answer.gaps.len(), 1, "{:?}", answer.gaps);
    let gap = &answer.gaps[0];
    assert!(
        gap.from > at(329) && gap.from < at(400) && gap.to > at(600) && gap.to <= at(660),
        "{gap:?}"
    );
}

pub(crate) async fn a_range_within_a_silence_is_all_gap(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let at = |second: i64| start.plus_ms(second * SECOND_MS);
    let mut web = Collector::busy("web-1");
    let mut batches = web.ticks(start, SECOND_MS, 60, |_| 1);
    batches.extend(web.ticks(at(1_800), SECOND_MS, 60, |_| 1));
    history.commit(&batches).await.unwrap();
    for (from, to) in [(600, 1_200), (0, 1_200), (600, 1_860)] {
        let answer = ask(&*history, "web-1", at(from), at(to), 3_600).await;
        assert_eq!(answer.gaps.len(), 1, "{from} to {to}: {:?}", answer.gaps);
        let gap = &answer.gaps[0];
        assert_eq!(
            (gap.from, gap.to, gap.reason),
            (at(59), at(1_800), GapReason::Silent)
        );
    }
    // Before the first sample and after the newest one nobody knows.
    for (from, to) in [(-1_000, 30), (1_850, 3_000), (-500, -100), (3_000, 3_500)] {
        assert!(
            ask(&*history, "web-1", at(from), at(to), 3_600)
                .await
                .gaps
                .is_empty(),
            "{from} to {to}"
        );
    }
}

pub(crate) async fn a_series_that_lacks_ticks_has_holes(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let wait = SeriesKey::of(MetricId::DiskAwait, "sda");
    let mut web = Collector::new("web-1", &[(cpu(), 1), (wait.clone(), 2)]);
    let batches: Vec<_> = (0..6)
        .map(|index| {
            let at = start.plus_ms(index * SECOND_MS);
            web.sparse(at, &[Some(index * 10), (index % 3 == 1).then_some(index * 100)])
        })
        .collect();
    history.commit(&batches).await.unwrap();
    let answer = ask(&*history, "web-1", start, start.plus_ms(10 * SECOND_MS), 100).await;
    assert_eq!(values(&answer, &cpu()), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0].map(Some));
    assert_eq!(
        values(&answer, &wait),
        [None, Some(1.0), None, None, Some(4.0), None]
    );
    assert!(answer.gaps.is_empty());
}

pub(crate) async fn samples_that_come_late_are_answered_in_order_of_time(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let mut web = Collector::busy("web-1");
    history
        .commit(&web.ticks(start.plus_ms(10 * SECOND_MS), SECOND_MS, 3, |_| 20))
        .await
        .unwrap();
    web.next_epoch();
    history
        .commit(&web.ticks(start, SECOND_MS, 10, |_| 10))
        .await
        .unwrap();
    let answer = ask(&*history, "web-1", start, start.plus_ms(HOUR_MS), 3_600).await;
    let expected: Vec<_> = [Some(1.0); 10].into_iter().chain([Some(2.0); 3]).collect();
    assert_eq!(values(&answer, &cpu()), expected);
    assert!(answer.gaps.is_empty());
    let record = &history.machines().await.unwrap()[0];
    assert_eq!(
        (record.first_sample, record.last_sample),
        (Some(start), Some(start.plus_ms(12 * SECOND_MS)))
    );
}

pub(crate) async fn a_series_may_change_its_decimals(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let mut web = Collector::new("web-1", &[(cpu(), 1)]);
    history.commit(&[web.tick(start, &[125])]).await.unwrap();
    web.table = table(&[(cpu(), 2)]);
    history
        .commit(&[web.tick(start.plus_ms(SECOND_MS), &[125])])
        .await
        .unwrap();
    let answer = ask(&*history, "web-1", start, start.plus_ms(HOUR_MS), 3_600).await;
    assert_eq!(answer.series.len(), 1);
    assert_eq!(answer.series[0].decimals, 2);
    assert_eq!(values(&answer, &cpu()), [Some(12.5), Some(1.25)]);
    let answer = ask(&*history, "web-1", start, start.plus_ms(HOUR_MS), 1).await;
    let point = answer.series[0].points[0].unwrap();
    assert_eq!(
        (point.minimum, point.maximum, point.mean, point.count),
        (1.25, 12.5, 6.875, 2)
    );
}

pub(crate) async fn ranges_that_cannot_be_are_answered_with_nothing(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    history
        .commit(&Collector::busy("web-1").ticks(start, SECOND_MS, 3, |_| 1))
        .await
        .unwrap();
    for (from, to) in [
        (start, start),
        (start.plus_ms(5), start),
        (UnixMillis(i64::MAX - 1), UnixMillis(i64::MAX)),
    ] {
        let query = HistoryQuery {
            machines: vec![machine("web-1")],
            metrics: Vec::new(),
            from,
            to,
            points: 300,
        };
        let answers = history.query(&query).await.unwrap();
        assert!(
            answers
                .iter()
                .all(|answer| answer.times.is_empty() && answer.series.is_empty()),
            "{from} to {to}"
        );
    }
    let answer = ask(
        &*history,
        "web-1",
        UnixMillis(i64::MIN),
        UnixMillis(i64::MAX),
        300,
    )
    .await;
    assert_eq!(count(&answer, &cpu()), 3);
}

pub(crate) async fn the_store_says_what_it_is_and_that_it_works(backend: &dyn Backend) {
    let history = backend.history().await;
    history.probe().await.unwrap();
    assert!(!history.info().engine.is_empty());
}
