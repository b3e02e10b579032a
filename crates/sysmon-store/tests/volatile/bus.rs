//! The contract of [`EventBus`].

use std::sync::Arc;

use bytes::Bytes;
use sysmon_store::{BusEvent, BusSubscription, Channel, ErrorKind, EventBus, open_bus};

use crate::soon;

pub(crate) fn channel(name: &str) -> Channel {
    name.to_owned()
}

pub(crate) fn message(name: &str, payload: impl Into<Bytes>) -> (Channel, Bytes) {
    (channel(name), payload.into())
}

pub(crate) async fn next(subscription: &mut BusSubscription) -> BusEvent {
    soon(subscription.next()).await.unwrap()
}

pub(crate) fn event(name: &str, payload: impl Into<Bytes>) -> BusEvent {
    BusEvent::Message {
        channel: channel(name),
        payload: payload.into(),
    }
}

crate::contract!(
    open_bus,
    messages_of_a_publisher_come_in_order_to_all_and_to_itself,
    only_subscribed_channels_come,
    nothing_from_before_the_subscription_comes,
    hostile_bytes_arrive_as_they_were,
    long_messages_arrive_and_too_long_ones_are_refused,
    a_slow_subscriber_is_told_and_holds_nobody_up,
    names_that_are_none_for_a_channel_are_refused,
    a_subscriber_that_left_holds_nobody_up,
);

async fn messages_of_a_publisher_come_in_order_to_all_and_to_itself(bus: Arc<dyn EventBus>) {
    let channels = [channel("fleet.0"), channel("fleet.1")];
    let mut first = bus.subscribe(&channels).await.unwrap();
    let mut second = bus.subscribe(&channels).await.unwrap();
    let sent: Vec<(Channel, Bytes)> = (0..200)
        .map(|number| message(&format!("fleet.{}", number % 2), number.to_string()))
        .collect();
    bus.publish(&sent[..150]).await.unwrap();
    bus.publish(&sent[150..]).await.unwrap();
    for subscription in [&mut first, &mut second] {
        for (name, payload) in &sent {
            assert_eq!(next(subscription).await, event(name, payload.clone()));
        }
    }
}

async fn only_subscribed_channels_come(bus: Arc<dyn EventBus>) {
    let mut subscription = bus.subscribe(&[channel("fleet.1")]).await.unwrap();
    let mut none = bus.subscribe(&[]).await.unwrap();
    bus.publish(&[
        message("fleet.10", "a"),
        message("fleet", "b"),
        message("fleet.1", "c"),
    ])
    .await
    .unwrap();
    assert_eq!(next(&mut subscription).await, event("fleet.1", "c"));
    let quiet = tokio::time::timeout(std::time::Duration::from_millis(50), none.next()).await;
    assert!(quiet.is_err() || quiet == Ok(None));
}

async fn nothing_from_before_the_subscription_comes(bus: Arc<dyn EventBus>) {
    bus.publish(&[message("fleet.0", "before")]).await.unwrap();
    let mut subscription = bus.subscribe(&[channel("fleet.0")]).await.unwrap();
    bus.publish(&[message("fleet.0", "after")]).await.unwrap();
    assert_eq!(next(&mut subscription).await, event("fleet.0", "after"));
}

async fn hostile_bytes_arrive_as_they_were(bus: Arc<dyn EventBus>) {
    let mut subscription = bus.subscribe(&[channel("fleet.0")]).await.unwrap();
    let wild: Vec<u8> = (0..=255).chain(*b"\r\n$-1\r\n*1\r\n\0").collect();
    bus.publish(&[message("fleet.0", wild.clone()), message("fleet.0", Bytes::new())])
        .await
        .unwrap();
    assert_eq!(next(&mut subscription).await, event("fleet.0", wild));
    assert_eq!(next(&mut subscription).await, event("fleet.0", Bytes::new()));
}

async fn long_messages_arrive_and_too_long_ones_are_refused(bus: Arc<dyn EventBus>) {
    let mut subscription = bus.subscribe(&[channel("fleet.0")]).await.unwrap();
    let long = Bytes::from(vec![b'x'; 4 * 1024 * 1024]);
    bus.publish(&[message("fleet.0", long.clone())]).await.unwrap();
    assert_eq!(next(&mut subscription).await, event("fleet.0", long));
    let error = bus
        .publish(&[message("fleet.0", vec![b'x'; 17 * 1024 * 1024])])
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Rejected);
}

async fn a_slow_subscriber_is_told_and_holds_nobody_up(bus: Arc<dyn EventBus>) {
    let mut slow = bus.subscribe(&[channel("fleet.0")]).await.unwrap();
    let mut quick = bus.subscribe(&[channel("fleet.0")]).await.unwrap();
    let count = BusSubscription::CAPACITY + 1_000;
    let reading = tokio::spawn(async move {
        for number in 0..count {
            assert_eq!(next(&mut quick).await, event("fleet.0", number.to_string()));
        }
    });
    for start in (0..count).step_by(100) {
        let part: Vec<(Channel, Bytes)> = (start..count.min(start + 100))
            .map(|number| message("fleet.0", number.to_string()))
            .collect();
        soon(bus.publish(&part)).await.unwrap();
        tokio::task::yield_now().await;
    }
    soon(reading).await.unwrap();
    // The quick one has everything, so the slow one was offered everything.
    for number in 0..BusSubscription::CAPACITY {
        assert_eq!(next(&mut slow).await, event("fleet.0", number.to_string()));
    }
    assert_eq!(next(&mut slow).await, BusEvent::Missed);
    bus.publish(&[message("fleet.0", "later")]).await.unwrap();
    assert_eq!(next(&mut slow).await, event("fleet.0", "later"));
}

async fn names_that_are_none_for_a_channel_are_refused(bus: Arc<dyn EventBus>) {
    let long = "x".repeat(65);
    for name in ["", "Fleet", "fleet*", "fleet 1", "fleet\r\n", "flöte", &long] {
        let error = bus.subscribe(&[channel(name)]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Rejected, "{name}");
        let error = bus.publish(&[message(name, "a")]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Rejected, "{name}");
    }
}

async fn a_subscriber_that_left_holds_nobody_up(bus: Arc<dyn EventBus>) {
    drop(bus.subscribe(&[channel("fleet.0")]).await.unwrap());
    let mut subscription = bus.subscribe(&[channel("fleet.0")]).await.unwrap();
    bus.publish(&[message("fleet.0", "a")]).await.unwrap();
    assert_eq!(next(&mut subscription).await, event("fleet.0", "a"));
    bus.probe().await.unwrap();
}
