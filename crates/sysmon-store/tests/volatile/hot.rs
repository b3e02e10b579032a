//! The contract of [`HotState`].

use std::sync::Arc;

use bytes::Bytes;
use sysmon_core::{MachineId, UnixMillis};
use sysmon_store::{ErrorKind, HOT_TICKS_MAX, HOT_WINDOW_MS, HotState, HotUpdate, open_hot_state};

pub(crate) fn machine(name: &str) -> MachineId {
    MachineId::parse(name).unwrap()
}

pub(crate) fn head(name: &str, head: &'static [u8]) -> HotUpdate {
    HotUpdate {
        machine: machine(name),
        head: Some(Bytes::from_static(head)),
        restart: false,
        tick: None,
    }
}

pub(crate) fn tick(name: &str, at_ms: i64) -> HotUpdate {
    HotUpdate {
        machine: machine(name),
        head: None,
        restart: false,
        tick: Some((UnixMillis(at_ms), Bytes::from(format!("tick {at_ms}")))),
    }
}

pub(crate) async fn times(hot: &Arc<dyn HotState>, name: &str) -> Vec<i64> {
    let kept = hot.load(&machine(name)).await.unwrap().unwrap();
    kept.ticks.iter().map(|(at, _)| at.0).collect()
}

crate::contract!(
    open_hot_state,
    ticks_come_back_in_order_with_the_newest_head,
    an_unknown_machine_is_none_and_not_listed,
    machines_are_listed_sorted_and_once,
    a_restart_forgets_the_ticks_and_keeps_what_follows,
    ticks_older_than_the_window_are_gone,
    more_ticks_than_the_most_are_not_kept,
    a_clock_set_back_loses_nothing_new,
    a_machine_without_head_is_reported_until_it_has_one,
    hostile_bytes_and_times_come_back_as_they_were,
    long_values_are_kept_and_too_long_ones_refused,
    a_put_of_nothing_and_a_probe_succeed,
    handles_share_what_they_keep,
);

async fn ticks_come_back_in_order_with_the_newest_head(hot: Arc<dyn HotState>) {
    hot.put(&[
        head("web-1", b"first"),
        tick("web-1", 1_000),
        tick("web-1", 2_000),
    ])
    .await
    .unwrap();
    let both = HotUpdate {
        head: Some(Bytes::from_static(b"second")),
        ..tick("web-1", 3_000)
    };
    hot.put(&[both]).await.unwrap();
    let kept = hot.load(&machine("web-1")).await.unwrap().unwrap();
    assert_eq!(kept.head, "second");
    let expected = [1_000, 2_000, 3_000].map(|at| (UnixMillis(at), Bytes::from(format!("tick {at}"))));
    assert_eq!(kept.ticks, expected);
}

async fn an_unknown_machine_is_none_and_not_listed(hot: Arc<dyn HotState>) {
    assert_eq!(hot.load(&machine("nobody")).await.unwrap(), None);
    assert!(hot.machines().await.unwrap().is_empty());
    hot.put(&[head("web-1", b"")]).await.unwrap();
    assert_eq!(hot.load(&machine("nobody")).await.unwrap(), None);
    let kept = hot.load(&machine("web-1")).await.unwrap().unwrap();
    assert!(kept.head.is_empty() && kept.ticks.is_empty());
}

async fn machines_are_listed_sorted_and_once(hot: Arc<dyn HotState>) {
    hot.put(&[
        head("web-2", b"h"),
        head("db:1", b"h"),
        head("web-1", b"h"),
        head("web-2", b"i"),
    ])
    .await
    .unwrap();
    hot.put(&[tick("web-1", 5), tick("db:1", 5)]).await.unwrap();
    assert_eq!(
        hot.machines().await.unwrap(),
        [machine("db:1"), machine("web-1"), machine("web-2")]
    );
}

async fn a_restart_forgets_the_ticks_and_keeps_what_follows(hot: Arc<dyn HotState>) {
    hot.put(&[head("web-1", b"h"), tick("web-1", 1), tick("web-1", 2)])
        .await
        .unwrap();
    let again = HotUpdate {
        restart: true,
        ..tick("web-1", 3)
    };
    hot.put(&[again, tick("web-1", 4)]).await.unwrap();
    assert_eq!(times(&hot, "web-1").await, [3, 4]);
    // A head of its own does not touch the ticks, a restart of its own does not touch the head.
    hot.put(&[head("web-1", b"i")]).await.unwrap();
    assert_eq!(times(&hot, "web-1").await, [3, 4]);
    let only = HotUpdate {
        restart: true,
        tick: None,
        ..tick("web-1", 0)
    };
    hot.put(&[only]).await.unwrap();
    let kept = hot.load(&machine("web-1")).await.unwrap().unwrap();
    assert_eq!((kept.head, kept.ticks.len()), (Bytes::from_static(b"i"), 0));
}

async fn ticks_older_than_the_window_are_gone(hot: Arc<dyn HotState>) {
    hot.put(&[head("slow", b"h")]).await.unwrap();
    let window_ms = HOT_WINDOW_MS.cast_signed();
    hot.put(&[tick("slow", 0), tick("slow", 1), tick("slow", window_ms)])
        .await
        .unwrap();
    assert_eq!(times(&hot, "slow").await, [0, 1, window_ms]);
    hot.put(&[tick("slow", window_ms + 1)]).await.unwrap();
    assert_eq!(times(&hot, "slow").await, [1, window_ms, window_ms + 1]);
    // Long at a steady pace: always the window, no more.
    for number in 0..400 {
        let at = 10 * window_ms + number * 5_000;
        hot.put(&[tick("slow", at)]).await.unwrap();
    }
    let last = 10 * window_ms + 399 * 5_000;
    let expected: Vec<i64> = (339..400).map(|number| 10 * window_ms + number * 5_000).collect();
    assert_eq!(expected[0], last - window_ms);
    assert_eq!(times(&hot, "slow").await, expected);
}

async fn more_ticks_than_the_most_are_not_kept(hot: Arc<dyn HotState>) {
    hot.put(&[head("fast", b"h")]).await.unwrap();
    let count = i64::try_from(HOT_TICKS_MAX).unwrap() + 500;
    let updates: Vec<HotUpdate> = (0..count).map(|number| tick("fast", number)).collect();
    for part in updates.chunks(100) {
        hot.put(part).await.unwrap();
    }
    assert_eq!(times(&hot, "fast").await, (500..count).collect::<Vec<i64>>());
}

async fn a_clock_set_back_loses_nothing_new(hot: Arc<dyn HotState>) {
    hot.put(&[
        head("web-1", b"h"),
        tick("web-1", 9_000_000),
        tick("web-1", 9_001_000),
    ])
    .await
    .unwrap();
    for number in 0..200 {
        hot.put(&[tick("web-1", number)]).await.unwrap();
    }
    let kept = times(&hot, "web-1").await;
    assert_eq!(kept[kept.len() - 200..], (0..200).collect::<Vec<i64>>());
}

async fn a_machine_without_head_is_reported_until_it_has_one(hot: Arc<dyn HotState>) {
    let headless = hot
        .put(&[tick("web-1", 1), tick("web-1", 2), head("web-2", b"h")])
        .await
        .unwrap();
    assert_eq!(headless, [machine("web-1")]);
    assert_eq!(hot.load(&machine("web-1")).await.unwrap(), None);
    assert_eq!(hot.machines().await.unwrap(), [machine("web-2")]);
    // Within one put the head may come last.
    let headless = hot.put(&[tick("web-3", 1), head("web-3", b"h")]).await.unwrap();
    assert!(headless.is_empty());
    let headless = hot.put(&[head("web-1", b"h"), tick("web-1", 3)]).await.unwrap();
    assert!(headless.is_empty());
    assert_eq!(times(&hot, "web-1").await, [1, 2, 3]);
}

async fn hostile_bytes_and_times_come_back_as_they_were(hot: Arc<dyn HotState>) {
    let wild: Vec<u8> = (0..=255).chain(*b"\r\n$-1\r\n*1\r\n\0").collect();
    let update = HotUpdate {
        machine: machine("a:b.c_d-e"),
        head: Some(Bytes::from(wild.clone())),
        restart: false,
        tick: Some((UnixMillis(i64::MAX), Bytes::from(wild.clone()))),
    };
    hot.put(&[update]).await.unwrap();
    let kept = hot.load(&machine("a:b.c_d-e")).await.unwrap().unwrap();
    assert_eq!(kept.head, wild);
    assert_eq!(kept.ticks, [(UnixMillis(i64::MAX), Bytes::from(wild))]);
    for at in [i64::MIN, -1, 0] {
        hot.put(&[tick("a:b.c_d-e", at)]).await.unwrap();
        assert_eq!(times(&hot, "a:b.c_d-e").await.last(), Some(&at));
    }
    let empty = HotUpdate {
        tick: Some((UnixMillis(1), Bytes::new())),
        ..tick("a:b.c_d-e", 1)
    };
    hot.put(&[empty]).await.unwrap();
    let kept = hot.load(&machine("a:b.c_d-e")).await.unwrap().unwrap();
    assert_eq!(kept.ticks.last(), Some(&(UnixMillis(1), Bytes::new())));
}

async fn long_values_are_kept_and_too_long_ones_refused(hot: Arc<dyn HotState>) {
    let long = Bytes::from(vec![7_u8; 4 * 1024 * 1024]);
    let update = |head: Bytes| HotUpdate {
        machine: machine("large"),
        head: Some(head.clone()),
        restart: false,
        tick: Some((UnixMillis(1), head)),
    };
    hot.put(&[update(long.clone())]).await.unwrap();
    let kept = hot.load(&machine("large")).await.unwrap().unwrap();
    assert_eq!((&kept.head, &kept.ticks[0].1), (&long, &long));
    let error = hot
        .put(&[update(Bytes::from(vec![7_u8; 17 * 1024 * 1024]))])
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Rejected);
}

async fn a_put_of_nothing_and_a_probe_succeed(hot: Arc<dyn HotState>) {
    assert!(hot.put(&[]).await.unwrap().is_empty());
    hot.probe().await.unwrap();
    assert!(!hot.info().engine.is_empty());
}

async fn handles_share_what_they_keep(hot: Arc<dyn HotState>) {
    let other = Arc::clone(&hot);
    let putting = tokio::spawn(async move { other.put(&[head("web-1", b"h")]).await });
    putting.await.unwrap().unwrap();
    assert_eq!(hot.machines().await.unwrap(), [machine("web-1")]);
}
