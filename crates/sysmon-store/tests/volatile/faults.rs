//! What goes wrong with a Redis server, and with the passing of time.

use std::time::{Duration, Instant};

use sysmon_store::{BusEvent, ErrorKind, HotState, open_bus, open_hot_state};

use crate::bus::{channel, event, message, next};
use crate::hot::{head, machine, tick, times};
use crate::redis_server::RedisServer;
use crate::soon;

/// Tries until the server is found again; every attempt is bounded.
async fn until_reached(hot: &dyn HotState) {
    soon(async {
        while let Err(error) = hot.probe().await {
            assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn in_memory_a_machine_is_forgotten_after_an_hour_of_silence() {
    let hot = open_hot_state("memory:").unwrap();
    hot.put(&[head("quiet", b"h"), tick("quiet", 1), head("busy", b"h")])
        .await
        .unwrap();
    tokio::time::advance(Duration::from_mins(59)).await;
    hot.put(&[tick("busy", 2)]).await.unwrap();
    assert_eq!(hot.machines().await.unwrap().len(), 2);
    tokio::time::advance(Duration::from_mins(1)).await;
    assert_eq!(hot.machines().await.unwrap(), [machine("busy")]);
    assert_eq!(hot.load(&machine("quiet")).await.unwrap(), None);
    assert_eq!(hot.put(&[tick("quiet", 3)]).await.unwrap(), [machine("quiet")]);
}

#[tokio::test]
async fn every_key_in_redis_ends_by_itself() {
    let server = RedisServer::start().await;
    let hot = open_hot_state(&server.url()).unwrap();
    hot.put(&[head("web-1", b"h"), tick("web-1", 1)]).await.unwrap();
    hot.put(&[tick("web-2", 1)]).await.unwrap();
    hot.probe().await.unwrap();
    assert_eq!(server.command("DBSIZE"), ":5");
    for key in [
        "hot:head:web-1",
        "hot:ticks:web-1",
        "hot:ticks:web-2",
        "hot:machines",
        "hot:probe",
    ] {
        let left = server.command(&format!("TTL sysmon:{key}"));
        let seconds: i64 = left[1..].parse().unwrap();
        assert!((1..=7_200).contains(&seconds), "{key}: {left}");
    }
}

#[tokio::test]
async fn a_machine_whose_keys_expired_is_not_listed_and_comes_back_by_itself() {
    let server = RedisServer::start().await;
    let hot = open_hot_state(&server.url()).unwrap();
    hot.put(&[head("web-1", b"h"), tick("web-1", 1), head("web-2", b"h")])
        .await
        .unwrap();
    server.command("PEXPIRE sysmon:hot:head:web-1 1");
    server.command("PEXPIRE sysmon:hot:ticks:web-1 1");
    soon(async {
        while hot.machines().await.unwrap() != [machine("web-2")] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(hot.load(&machine("web-1")).await.unwrap(), None);
    assert_eq!(hot.put(&[tick("web-1", 2)]).await.unwrap(), [machine("web-1")]);
    hot.put(&[head("web-1", b"h")]).await.unwrap();
    assert_eq!(times(&hot, "web-1").await, [2]);
    // A name in the index that was not renewed for hours goes for good.
    server.command("ZADD sysmon:hot:machines 1 long-gone");
    hot.machines().await.unwrap();
    assert_eq!(server.command("ZSCORE sysmon:hot:machines long-gone"), "$-1");
}

#[tokio::test]
async fn after_a_flush_every_machine_asks_for_its_head_and_nothing_lives_for_ever() {
    let server = RedisServer::start().await;
    let hot = open_hot_state(&server.url()).unwrap();
    hot.put(&[head("web-1", b"h"), head("web-2", b"h")])
        .await
        .unwrap();
    hot.put(&[
        tick("web-1", 1),
        tick("web-1", 2),
        tick("web-2", 1),
        tick("web-2", 2),
    ])
    .await
    .unwrap();
    server.command("FLUSHALL");
    assert!(hot.machines().await.unwrap().is_empty());
    let headless = hot
        .put(&[tick("web-1", 3), tick("web-2", 3), tick("web-2", 4)])
        .await
        .unwrap();
    assert_eq!(headless, [machine("web-1"), machine("web-2")]);
    let left = server.command("TTL sysmon:hot:ticks:web-1");
    assert!(left[1..].parse::<i64>().unwrap() > 0, "{left}");
    hot.put(&[head("web-1", b"h"), head("web-2", b"h")])
        .await
        .unwrap();
    assert!(hot.put(&[tick("web-1", 4)]).await.unwrap().is_empty());
    assert_eq!(times(&hot, "web-1").await, [3, 4]);
    assert_eq!(hot.machines().await.unwrap().len(), 2);
}

#[tokio::test]
async fn lists_in_redis_stay_short_however_long_a_machine_reports() {
    let server = RedisServer::start().await;
    let hot = open_hot_state(&server.url()).unwrap();
    hot.put(&[head("web-1", b"h")]).await.unwrap();
    for number in 0..1_000 {
        hot.put(&[tick("web-1", number * 5_000)]).await.unwrap();
    }
    let length: usize = server.command("LLEN sysmon:hot:ticks:web-1")[1..]
        .parse()
        .unwrap();
    assert!((61..=61 + 2 * 64).contains(&length), "{length}");
}

#[tokio::test]
async fn a_server_that_is_down_at_the_start_is_found_later() {
    let mut server = RedisServer::start().await;
    server.kill();
    let (hot, bus) = (
        open_hot_state(&server.url()).unwrap(),
        open_bus(&server.url()).unwrap(),
    );
    assert_eq!(hot.probe().await.unwrap_err().kind, ErrorKind::Unavailable);
    let error = hot.put(&[head("web-1", b"h")]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.to_string().contains(&server.port().to_string()), "{error}");
    assert_eq!(bus.probe().await.unwrap_err().kind, ErrorKind::Unavailable);
    let mut subscription = bus.subscribe(&[channel("fleet.0")]).await.unwrap();

    server.restart().await;
    // Not one call more fails than while it was down.
    hot.put(&[head("web-1", b"h")]).await.unwrap();
    assert_eq!(next(&mut subscription).await, BusEvent::Missed);
    bus.publish(&[message("fleet.0", "a")]).await.unwrap();
    assert_eq!(next(&mut subscription).await, event("fleet.0", "a"));
    assert!(hot.info().engine.starts_with("Redis "), "{}", hot.info().engine);
}

#[tokio::test]
async fn after_a_crash_of_the_server_everything_goes_on_and_subscribers_are_told() {
    let mut server = RedisServer::start().await;
    let (hot, bus) = (
        open_hot_state(&server.url()).unwrap(),
        open_bus(&server.url()).unwrap(),
    );
    let mut subscription = bus.subscribe(&[channel("fleet.0")]).await.unwrap();
    hot.put(&[head("web-1", b"h"), tick("web-1", 1)]).await.unwrap();
    bus.publish(&[message("fleet.0", "before")]).await.unwrap();
    assert_eq!(next(&mut subscription).await, event("fleet.0", "before"));

    server.kill();
    assert_eq!(
        hot.put(&[tick("web-1", 2)]).await.unwrap_err().kind,
        ErrorKind::Unavailable
    );
    assert_eq!(
        bus.publish(&[message("fleet.0", "lost")]).await.unwrap_err().kind,
        ErrorKind::Unavailable
    );
    server.restart().await;

    until_reached(&*hot).await;
    assert_eq!(hot.put(&[tick("web-1", 3)]).await.unwrap(), [machine("web-1")]);
    assert_eq!(next(&mut subscription).await, BusEvent::Missed);
    bus.publish(&[message("fleet.0", "after")]).await.unwrap();
    assert_eq!(next(&mut subscription).await, event("fleet.0", "after"));
}

#[tokio::test]
async fn a_server_that_hangs_is_unavailable_within_two_seconds_and_found_again() {
    let server = RedisServer::start().await;
    let (hot, bus) = (
        open_hot_state(&server.url()).unwrap(),
        open_bus(&server.url()).unwrap(),
    );
    let mut subscription = bus.subscribe(&[channel("fleet.0")]).await.unwrap();
    hot.put(&[head("web-1", b"h")]).await.unwrap();
    bus.probe().await.unwrap();

    server.hang();
    // The first time on the connection there is, the second time on a new one, and many at once.
    for _ in 0..2 {
        let started = Instant::now();
        let updates = [tick("web-1", 1)];
        let messages = [message("fleet.0", "a")];
        let (put, load, published, probed) = tokio::join!(
            hot.put(&updates),
            hot.load(&updates[0].machine),
            bus.publish(&messages),
            hot.probe()
        );
        let kinds = [
            put.unwrap_err().kind,
            load.unwrap_err().kind,
            published.unwrap_err().kind,
            probed.unwrap_err().kind,
        ];
        assert_eq!(kinds, [ErrorKind::Unavailable; 4]);
        assert!(
            started.elapsed() < Duration::from_millis(2_500),
            "{:?}",
            started.elapsed()
        );
    }
    server.go_on();
    until_reached(&*hot).await;
    hot.put(&[tick("web-1", 2)]).await.unwrap();
    bus.publish(&[message("fleet.0", "b")]).await.unwrap();
    soon(async { while next(&mut subscription).await != event("fleet.0", "b") {} }).await;
}

#[tokio::test]
async fn a_wrong_password_is_said_without_it_and_the_right_one_works() {
    let server = RedisServer::start_with(&[], Some("correct-horse")).await;
    let hot = open_hot_state(&server.url()).unwrap();
    hot.put(&[head("web-1", b"h")]).await.unwrap();
    let wrong = server.url().replace("correct-horse", "battery-staple");
    for url in [wrong, format!("redis://127.0.0.1:{}", server.port())] {
        let (hot, bus) = (open_hot_state(&url).unwrap(), open_bus(&url).unwrap());
        for error in [hot.probe().await.unwrap_err(), bus.probe().await.unwrap_err()] {
            assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
            assert!(!format!("{error:?}").contains("battery-staple"), "{error}");
        }
    }
    // Somebody mends it at the server: found without a new start here.
    let open = format!("redis://127.0.0.1:{}", server.port());
    let hot = open_hot_state(&open).unwrap();
    assert!(hot.probe().await.is_err());
    server.command("ACL SETUSER default nopass");
    until_reached(&*hot).await;
}

#[tokio::test]
async fn a_server_that_only_lets_read_or_is_full_is_unavailable_for_writing() {
    let server = RedisServer::start().await;
    let hot = open_hot_state(&server.url()).unwrap();
    hot.put(&[head("web-1", b"h")]).await.unwrap();
    server.command("CONFIG SET maxmemory 1");
    let error = hot.put(&[tick("web-1", 1)]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.to_string().contains("maxmemory"), "{error}");
    assert!(hot.probe().await.is_err());
    assert!(hot.load(&machine("web-1")).await.unwrap().is_some());
    server.command("CONFIG SET maxmemory 0");
    hot.probe().await.unwrap();
    server.command("REPLICAOF 127.0.0.1 1");
    assert_eq!(hot.probe().await.unwrap_err().kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn keys_of_somebody_else_are_said_and_left_alone() {
    let server = RedisServer::start().await;
    let hot = open_hot_state(&server.url()).unwrap();
    server.command("SADD sysmon:hot:ticks:web-1 precious");
    let error = hot.put(&[tick("web-1", 1)]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    assert_eq!(server.command("SCARD sysmon:hot:ticks:web-1"), ":1");
}

#[tokio::test]
async fn a_unix_socket_and_a_database_number_work() {
    let server = RedisServer::start().await;
    let hot = open_hot_state(&format!("{}?db=3", server.socket_url())).unwrap();
    hot.put(&[head("web-1", b"h")]).await.unwrap();
    let same = open_hot_state(&format!("{}/3", server.url())).unwrap();
    assert_eq!(same.machines().await.unwrap(), [machine("web-1")]);
    let other = open_hot_state(&server.url()).unwrap();
    assert!(other.machines().await.unwrap().is_empty());
    let error = open_hot_state(&format!("{}/99", server.url()))
        .unwrap()
        .probe()
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("99") || error.to_string().contains("DB"),
        "{error}"
    );
}

#[tokio::test]
async fn tls_towards_a_server_without_it_fails_in_bounded_time() {
    let server = RedisServer::start().await;
    let started = Instant::now();
    let bus = open_bus(&format!("rediss://127.0.0.1:{}", server.port())).unwrap();
    assert_eq!(bus.probe().await.unwrap_err().kind, ErrorKind::Unavailable);
    assert!(started.elapsed() < Duration::from_millis(2_500));
}

#[tokio::test]
async fn subscribers_that_left_close_their_connections() {
    let server = RedisServer::start().await;
    let bus = open_bus(&server.url()).unwrap();
    let subscription = bus.subscribe(&[channel("fleet.0")]).await.unwrap();
    assert_eq!(server.command("PUBLISH sysmon:bus:fleet.0 a"), ":1");
    drop(subscription);
    soon(async {
        while server.command("PUBLISH sysmon:bus:fleet.0 a") != ":0" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
