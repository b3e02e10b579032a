//! What the notifier decided and could not store yet.

use std::collections::BTreeMap;

use bytes::Bytes;
use sysmon_store::{Delivery, NotifierWork};

/// The most deliveries that wait for a store that is down.
const DELIVERIES_MAX: usize = 10_000;

/// Decisions that are not stored yet; of those about the same thing the last.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    read: Option<i64>,
    groups: BTreeMap<String, Bytes>,
    deliveries: BTreeMap<String, Delivery>,
}

impl Unsaved {
    pub(super) fn is_empty(&self) -> bool {
        self.read.is_none() && self.groups.is_empty() && self.deliveries.is_empty()
    }

    pub(super) fn read(&mut self, read: i64) {
        self.read = Some(read);
    }

    pub(super) fn group(&mut self, key: String, state: Bytes) {
        self.groups.insert(key, state);
    }

    /// Returns whether there was room.
    pub(super) fn delivery(&mut self, delivery: Delivery) -> bool {
        let has_room = self.deliveries.len() < DELIVERIES_MAX || self.deliveries.contains_key(&delivery.id);
        if has_room {
            self.deliveries.insert(delivery.id.clone(), delivery);
        }
        has_room
    }

    pub(super) fn has_deliveries(&self) -> bool {
        !self.deliveries.is_empty()
    }

    pub(super) fn to_work(&self) -> NotifierWork {
        NotifierWork {
            read: self.read,
            groups: self
                .groups
                .iter()
                .map(|(key, state)| (key.clone(), state.clone()))
                .collect(),
            deliveries: self.deliveries.values().cloned().collect(),
        }
    }
}
