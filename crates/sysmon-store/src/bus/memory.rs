//! The bus within one process.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::bus::feeder::Feeder;
use crate::bus::{BusEvent, BusSubscription, Channel, EventBus, check_channels, check_messages};
use crate::error::StoreError;
use crate::history::StoreInfo;

/// Hands messages to whoever subscribed with the same handle.
#[derive(Default)]
pub(super) struct MemoryBus {
    subscribers: Mutex<Vec<Subscriber>>,
}

struct Subscriber {
    channels: HashSet<Channel>,
    feeder: Feeder,
}

#[async_trait]
impl EventBus for MemoryBus {
    async fn publish(&self, messages: &[(Channel, Bytes)]) -> Result<(), StoreError> {
        check_messages(messages)?;
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|subscriber| !subscriber.feeder.is_closed());
        for subscriber in subscribers.iter_mut() {
            for (channel, payload) in messages {
                if subscriber.channels.contains(channel) {
                    subscriber.feeder.offer(BusEvent::Message {
                        channel: channel.clone(),
                        payload: payload.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    async fn subscribe(&self, channels: &[Channel]) -> Result<BusSubscription, StoreError> {
        check_channels(channels)?;
        let (feeder, subscription) = Feeder::new();
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|subscriber| !subscriber.feeder.is_closed());
        subscribers.push(Subscriber {
            channels: channels.iter().cloned().collect(),
            feeder,
        });
        Ok(subscription)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn info(&self) -> StoreInfo {
        StoreInfo {
            engine: "memory".to_owned(),
            notices: Vec::new(),
        }
    }
}
