//! What a group does when its Redis fails.

use std::time::Duration;

use sysmon_api::wire;
use wire::{ProcessDetail, StorageHealth, StorageRole};

use crate::group::{Group, Meeting, Viewer, soon};
use crate::redis_server::RedisServer;
use crate::sharing::{is_busy, past};
use crate::support::Collector;

fn health(storage: &wire::StorageStatus) -> Vec<(StorageRole, StorageHealth)> {
    storage
        .components
        .iter()
        .map(|component| (component.role(), component.health()))
        .collect()
}

fn both(health: StorageHealth) -> Vec<(StorageRole, StorageHealth)> {
    vec![(StorageRole::HotState, health), (StorageRole::EventBus, health)]
}

/// Ticks of growing values until the other side shows one of them.
async fn report_until_seen(group: &Group, collector: &mut Collector, view: &mut Viewer, from: i64) {
    let is_new = |replica: &sysmon_api::Replica| {
        crate::support::busy(replica, "one").is_some_and(|value| value >= from as f64 / 10.0)
    };
    let mut tenths = from;
    soon(async {
        loop {
            collector.tick(group.now(), tenths).await;
            tenths += 1;
            tokio::select! {
                () = view.until(is_new) => return,
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        }
    })
    .await;
}

#[tokio::test]
async fn after_a_flush_newcomers_see_everything_again() {
    let server = RedisServer::start().await;
    let group = Group::new(Meeting::Redis(server.url()));
    let a = group.member().await;
    let (mut one, _) = Collector::join(&a.aggregator, "one", 1).await;
    let mut view = Viewer::of(&a, ProcessDetail::Top).await;
    one.tick(group.now(), 1).await;
    view.until(is_busy("one", 1)).await;
    soon(async {
        while server.command("EXISTS sysmon:hot:ticks:one") != ":1" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    server.command("FLUSHALL");
    one.tick(group.now().plus_ms(100), 2).await;
    soon(async {
        while server.command("EXISTS sysmon:hot:head:one") != ":1" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let b = group.member().await;
    let mut late = Viewer::of(&b, ProcessDetail::Top).await;
    late.until(is_busy("one", 2)).await;
    assert_eq!(
        past(&late.replica, "one")[0].1.len(),
        1,
        "what was flushed is gone"
    );
}

#[tokio::test]
async fn while_redis_is_down_the_own_machines_go_on_and_afterwards_the_others() {
    let mut server = RedisServer::start().await;
    let group = Group::new(Meeting::Redis(server.url()));
    let (a, b) = (group.member().await, group.member().await);
    let (mut one, _) = Collector::join(&a.aggregator, "one", 1).await;
    let mut here = Viewer::of(&a, ProcessDetail::Top).await;
    let mut there = Viewer::of(&b, ProcessDetail::Top).await;
    one.tick(group.now(), 1).await;
    there.until(is_busy("one", 1)).await;
    here.until_stored(|storage| health(storage) == both(StorageHealth::Ok))
        .await;
    assert!(
        here.storage.components[0].engine.starts_with("Redis 7"),
        "{:?}",
        here.storage
    );

    server.kill();
    for number in 2..50 {
        one.tick(group.now(), number).await;
        here.until(is_busy("one", number)).await;
    }
    here.until_stored(|storage| health(storage) == both(StorageHealth::Down))
        .await;
    assert!(
        here.storage.components[0]
            .detail
            .contains(&server.port().to_string())
    );

    server.restart().await;
    report_until_seen(&group, &mut one, &mut there, 100).await;
    here.until_stored(|storage| health(storage) == both(StorageHealth::Ok))
        .await;
    // Hot state is mirrored anew as well.
    let c = group.member().await;
    let mut late = Viewer::of(&c, ProcessDetail::Top).await;
    late.until(|replica| crate::support::busy(replica, "one").is_some_and(|value| value >= 10.0))
        .await;
}

#[tokio::test]
async fn a_redis_that_hangs_holds_nobody_up() {
    let server = RedisServer::start().await;
    let group = Group::new(Meeting::Redis(server.url()));
    let a = group.member().await;
    let (mut one, _) = Collector::join(&a.aggregator, "one", 1).await;
    let mut here = Viewer::of(&a, ProcessDetail::Top).await;
    one.tick(group.now(), 1).await;
    here.until(is_busy("one", 1)).await;
    server.hang();
    // Whoever waits for Redis waits two seconds until the call is given up: as long as that is not known yet ticks keep
    // coming through, and none of them takes a good part of that time, however busy this machine is.
    let (mut number, mut longest) = (1, Duration::ZERO);
    while !health(&here.storage).contains(&(StorageRole::HotState, StorageHealth::Down)) {
        number += 1;
        let started = std::time::Instant::now();
        one.tick(group.now(), number).await;
        here.until(is_busy("one", number)).await;
        longest = longest.max(started.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(
        number > 20,
        "{number} ticks came through before Redis was given up"
    );
    // And afterwards as well.
    for number in number + 1..number + 100 {
        let started = std::time::Instant::now();
        one.tick(group.now(), number).await;
        here.until(is_busy("one", number)).await;
        longest = longest.max(started.elapsed());
    }
    assert!(longest < Duration::from_millis(1_500), "{longest:?}");
    // Another one starts all the same, and takes collectors in.
    let b = group.member().await;
    let (mut two, _) = Collector::join(&b.aggregator, "two", 2).await;
    let mut there = Viewer::of(&b, ProcessDetail::Top).await;
    two.tick(group.now(), 5).await;
    there.until(is_busy("two", 5)).await;
    server.go_on();
    here.until(is_busy("two", 5)).await;
    there.until(|replica| replica.find("one").is_some()).await;
}

#[tokio::test]
async fn rubbish_on_the_bus_and_in_hot_state_is_passed_over() {
    let server = RedisServer::start().await;
    let group = Group::new(Meeting::Redis(server.url()));
    for shard in 0..16 {
        server.command(&format!("PUBLISH sysmon:bus:fleet.{shard} rubbish"));
    }
    server.command("SET sysmon:hot:head:evil rubbish");
    server.command("RPUSH sysmon:hot:ticks:evil rubbish another-piece-of-rubbish");
    server.command("ZADD sysmon:hot:machines 99999999999999 evil 99999999999999 ../../etc");
    let (a, b) = (group.member().await, group.member().await);
    for shard in 0..16 {
        server.command(&format!("PUBLISH sysmon:bus:fleet.{shard} rubbish"));
    }
    let (mut one, _) = Collector::join(&a.aggregator, "one", 1).await;
    one.tick(group.now(), 1).await;
    let mut view = Viewer::of(&b, ProcessDetail::Top).await;
    view.until(is_busy("one", 1)).await;
    assert_eq!(view.replica.machines().count(), 1);
}
