//! The bus over Redis Pub/Sub.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::PubSub;
use ::redis::{Pipeline, Value};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::{sleep, timeout};

use crate::bus::feeder::Feeder;
use crate::bus::{BusEvent, BusSubscription, Channel, EventBus, check_channels, check_messages};
use crate::error::StoreError;
use crate::history::StoreInfo;
use crate::redis::{PREFIX, RedisServer};

/// How often a quiet subscription is tried out, and how long the answer may take: a server that vanished without a word is
/// found out so.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// The wait before connecting anew; doubled after each failure.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(100);
/// The longest wait before connecting anew.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(3);

/// Publishes over one connection; every subscription has another one, and a task that reads it at once, whatever the
/// subscriber does.
pub(super) struct RedisBus {
    server: Arc<RedisServer>,
}

impl RedisBus {
    pub(super) fn open(url: &str) -> Result<Self, StoreError> {
        Ok(Self {
            server: Arc::new(RedisServer::parse(url)?),
        })
    }
}

#[async_trait]
impl EventBus for RedisBus {
    async fn publish(&self, messages: &[(Channel, Bytes)]) -> Result<(), StoreError> {
        check_messages(messages)?;
        let mut pipeline = Pipeline::with_capacity(messages.len());
        for (channel, payload) in messages {
            pipeline.cmd("PUBLISH").arg(key_of(channel)).arg(&payload[..]);
        }
        self.server.run(&pipeline).await.map(|_| ())
    }

    async fn subscribe(&self, channels: &[Channel]) -> Result<BusSubscription, StoreError> {
        check_channels(channels)?;
        let keys: Vec<String> = channels.iter().map(key_of).collect();
        let (feeder, subscription) = Feeder::new();
        if keys.is_empty() {
            return Ok(subscription);
        }
        let first = self.server.subscribed(&keys).await;
        tokio::spawn(receive(Arc::clone(&self.server), keys, first.ok(), feeder));
        Ok(subscription)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("PING");
        self.server.run(&pipeline).await.map(|_| ())
    }

    fn info(&self) -> StoreInfo {
        StoreInfo {
            engine: self.server.engine(),
            notices: Vec::new(),
        }
    }
}

fn key_of(channel: &Channel) -> String {
    format!("{PREFIX}bus:{channel}")
}

/// Feeds one subscriber until it leaves.
async fn receive(server: Arc<RedisServer>, keys: Vec<String>, first: Option<PubSub>, mut feeder: Feeder) {
    let mut receiver = first;
    let mut delay = RETRY_DELAY_MIN;
    while !feeder.is_closed() {
        match receiver.take() {
            Some(connected) => {
                delay = RETRY_DELAY_MIN;
                forward(connected, &mut feeder).await;
            }
            None => match server.subscribed(&keys).await {
                Ok(connected) => {
                    feeder.offer(BusEvent::Missed);
                    receiver = Some(connected);
                }
                Err(_) => {
                    tokio::select! {
                        () = sleep(delay) => delay = (delay * 2).min(RETRY_DELAY_MAX),
                        () = feeder.closed() => return,
                    }
                }
            },
        }
    }
}

/// Hands over what comes until the connection or the subscriber is gone.
async fn forward(connected: PubSub, feeder: &mut Feeder) {
    let (mut sink, mut messages) = connected.split();
    let mut silence = pin!(async {
        loop {
            sleep(PING_INTERVAL).await;
            match timeout(PING_INTERVAL, sink.ping::<Value>()).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => return,
            }
        }
    });
    loop {
        let message = tokio::select! {
            message = messages.next() => message,
            () = &mut silence => return,
            () = feeder.closed() => return,
        };
        let Some(message) = message else {
            return;
        };
        let Some(channel) = message
            .get_channel_name()
            .strip_prefix(PREFIX)
            .and_then(|name| name.strip_prefix("bus:"))
        else {
            continue;
        };
        feeder.offer(BusEvent::Message {
            channel: channel.to_owned(),
            payload: Bytes::copy_from_slice(message.get_payload_bytes()),
        });
    }
}
