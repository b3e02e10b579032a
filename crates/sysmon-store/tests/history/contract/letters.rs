//! What happens to batches that cannot be stored.

use std::collections::BTreeMap;

use sysmon_core::{HistoryQuery, MetricId, SeriesKey, UnixMillis};
use sysmon_store::{Content, DeadLetterFilter, DeadTick, DeadValue, Outcome, dead_tick};

use crate::fixture::*;

/// A tick as it is put aside.
fn put_aside(collector: &mut Collector, at: UnixMillis, values: &[i64]) -> DeadTick {
    let batch = collector.tick(at, values);
    collector.sequence -= 1;
    let Content::Tick { at, series, values } = &batch.content else {
        panic!("a tick was made");
    };
    dead_tick(*at, series, values)
}

pub(crate) async fn a_batch_that_cannot_be_stored_is_put_aside_and_the_cursor_moves(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let mut web = Collector::busy("web-1");
    let tick = put_aside(&mut web, start, &[15, 1_000]);
    let first = web.dead(
        start,
        "its \"tick\" is from the year 3000; '--",
        Some(tick.clone()),
    );
    let batches = [
        first.clone(),
        web.tick(start, &[10, 1_000]),
        web.dead(start, "no tick", None),
    ];
    let outcomes = history.commit(&batches).await.unwrap();
    assert_eq!(outcomes[2], Outcome::Stored { through: 3 });
    history.commit(&batches).await.unwrap();
    let letters = history
        .dead_letters(&DeadLetterFilter::default(), 10)
        .await
        .unwrap();
    assert_eq!(letters.len(), 2, "put aside twice");
    assert_eq!(letters[0].reason, "its \"tick\" is from the year 3000; '--");
    assert_eq!((letters[0].machine.as_str(), letters[0].sequence), ("web-1", 1));
    assert_eq!((letters[0].epoch, letters[0].received), (first.epoch, start));
    assert_eq!(letters[0].tick.as_ref(), Some(&tick));
    assert_eq!(letters[1].tick, None);
}

pub(crate) async fn letters_are_listed_oldest_first_within_the_filter_and_the_limit(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let at = |second: i64| start.plus_ms(second * SECOND_MS);
    let (mut web, mut database) = (Collector::busy("web-1"), Collector::busy("db-1"));
    let batches = [
        web.dead(at(1), "a", None),
        database.dead(at(2), "b", None),
        web.dead(at(3), "c", None),
    ];
    history.commit(&batches).await.unwrap();
    let reasons = async |filter: DeadLetterFilter, limit| {
        let letters = history.dead_letters(&filter, limit).await.unwrap();
        letters
            .into_iter()
            .map(|letter| letter.reason)
            .collect::<Vec<_>>()
    };
    assert_eq!(reasons(DeadLetterFilter::default(), 10).await, ["a", "b", "c"]);
    assert_eq!(reasons(DeadLetterFilter::default(), 2).await, ["a", "b"]);
    let of_web = DeadLetterFilter {
        machine: Some(machine("web-1")),
        received_before: None,
    };
    assert_eq!(reasons(of_web.clone(), 10).await, ["a", "c"]);
    let early = DeadLetterFilter {
        received_before: Some(at(3)),
        ..of_web
    };
    assert_eq!(reasons(early, 10).await, ["a"]);
}

pub(crate) async fn retrying_stores_the_samples_once_and_removes_the_letter(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let mount = SeriesKey::of(MetricId::MountUsed, "/srv/\"data\"");
    let mut web = Collector::new("web-1", &[(cpu(), 1), (mount.clone(), 0)]);
    let tick = put_aside(&mut web, start, &[155, (1 << 50) + 1]);
    history
        .commit(&[web.dead(start, "was late", Some(tick))])
        .await
        .unwrap();
    let id = history
        .dead_letters(&DeadLetterFilter::default(), 10)
        .await
        .unwrap()[0]
        .id;
    assert_eq!(
        history
            .retry_dead_letters(&[id, id, id + 1], start, false)
            .await
            .unwrap(),
        1
    );
    assert!(
        history
            .dead_letters(&DeadLetterFilter::default(), 10)
            .await
            .unwrap()
            .is_empty()
    );
    let answer = ask(&*history, "web-1", start, start.plus_ms(HOUR_MS), 300).await;
    assert_eq!(values(&answer, &cpu()), [Some(15.5)]);
    assert_eq!(values(&answer, &mount), [Some(1_125_899_906_842_625.0)]);
    assert_eq!(history.retry_dead_letters(&[id], start, true).await.unwrap(), 0);
}

pub(crate) async fn samples_from_the_future_wait_unless_they_are_forced(backend: &dyn Backend) {
    let history = backend.history().await;
    let now = this_hour();
    let mut web = Collector::busy("web-1");
    let future = now.plus_ms(2 * HOUR_MS);
    let tick = put_aside(&mut web, future, &[15, 1_000]);
    history
        .commit(&[web.dead(now, "from the future", Some(tick))])
        .await
        .unwrap();
    let id = history
        .dead_letters(&DeadLetterFilter::default(), 10)
        .await
        .unwrap()[0]
        .id;
    assert_eq!(history.retry_dead_letters(&[id], now, false).await.unwrap(), 0);
    assert_eq!(
        history
            .dead_letters(&DeadLetterFilter::default(), 10)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(history.retry_dead_letters(&[id], now, true).await.unwrap(), 1);
    let answer = ask(&*history, "web-1", future, future.plus_ms(1), 1).await;
    assert_eq!(values(&answer, &cpu()), [Some(1.5)]);
}

pub(crate) async fn what_could_not_be_read_cannot_be_retried_but_purged(backend: &dyn Backend) {
    let history = backend.history().await;
    let start = this_hour();
    let mut web = Collector::busy("web-1");
    let odd = DeadTick {
        at_unix_ms: start.0,
        values: vec![DeadValue {
            metric: "made.up".into(),
            unit: "furlongs".into(),
            labels: BTreeMap::from([("a".into(), "b".into())]),
            decimals: 200,
            value: 1.5,
        }],
    };
    let batches = [
        web.dead(start, "unreadable", None),
        web.dead(start, "odd", Some(odd)),
    ];
    history.commit(&batches).await.unwrap();
    let letters = history
        .dead_letters(&DeadLetterFilter::default(), 10)
        .await
        .unwrap();
    assert_eq!(
        history
            .retry_dead_letters(&[letters[0].id], start, true)
            .await
            .unwrap(),
        0
    );
    // Made up is not unreadable.
    assert_eq!(
        history
            .retry_dead_letters(&[letters[1].id], start, true)
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        history
            .purge_dead_letters(&[letters[0].id, letters[1].id])
            .await
            .unwrap(),
        1
    );
    assert!(
        history
            .dead_letters(&DeadLetterFilter::default(), 10)
            .await
            .unwrap()
            .is_empty()
    );
    let query = HistoryQuery {
        machines: vec![machine("web-1")],
        metrics: vec!["made.up".into()],
        from: start,
        to: start.plus_ms(1),
        points: 1,
    };
    assert_eq!(
        history.query(&query).await.unwrap()[0].series[0].points[0]
            .unwrap()
            .mean,
        1.5
    );
}
