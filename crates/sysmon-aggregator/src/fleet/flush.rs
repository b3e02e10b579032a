//! Updates: when a subscription gets one, and what is in it.

use sysmon_api::{EncodedUpdate, wire};

use super::shared::Shared;
use super::subscription::Subscription;
use super::{ClientId, Fleet, Moment};

impl Fleet {
    /// Sends every subscription what it may get now: at most two updates that are not acknowledged, each with all that
    /// has changed. `send` returns whether the client is still there; those that are not are returned.
    pub fn flush(
        &mut self,
        now: Moment,
        mut send: impl FnMut(ClientId, EncodedUpdate) -> bool,
    ) -> Vec<ClientId> {
        self.review(now);
        if self.totals_seen != self.totals.version() {
            self.totals_seen = self.totals.version();
            for index in 0..self.subscriptions.len() {
                self.activate(index);
            }
        }
        let mut gone = Vec::new();
        let mut active = std::mem::take(&mut self.active);
        let mut shared = std::mem::take(&mut self.shared);
        active.retain(|index| {
            // Taken out, so that machines and subscription can be looked at together.
            let Some(mut subscription) = self.subscriptions[*index].take() else {
                return false;
            };
            let stays = self.flush_one(&mut subscription, &mut shared, now, |client, update| {
                let is_there = send(client, update);
                if !is_there {
                    gone.push(client);
                }
                is_there
            });
            subscription.is_active = stays;
            self.subscriptions[*index] = Some(subscription);
            stays
        });
        self.active = active;
        self.shared = shared;
        gone
    }

    /// Sends one subscription what it may get now; returns whether it waits for time to pass.
    fn flush_one(
        &self,
        subscription: &mut Subscription,
        shared: &mut Shared,
        now: Moment,
        mut send: impl FnMut(ClientId, EncodedUpdate) -> bool,
    ) -> bool {
        while subscription.may_send() && subscription.has_work(self.totals.version()) {
            if now.monotonic_ms < subscription.due_ms {
                return true;
            }
            let Some(update) = self.update(subscription, shared, now) else {
                return false;
            };
            // What did not fit may follow at once.
            let is_piece = update.update.more || !subscription.parts.is_empty();
            if !is_piece {
                let pause_ms = subscription.wish.period_ms.max(self.config.update_gap_ms);
                subscription.due_ms = now.monotonic_ms + pause_ms;
            }
            if !send(subscription.client, update) {
                return false;
            }
            // A large piece takes milliseconds: what came meanwhile goes first, then the next one.
            if is_piece {
                return subscription.may_send();
            }
        }
        false
    }

    /// The next update of a subscription; `None` when nothing worth telling has changed.
    fn update(
        &self,
        subscription: &mut Subscription,
        shared: &mut Shared,
        now: Moment,
    ) -> Option<EncodedUpdate> {
        let parts = self.next_parts(subscription, shared);
        let is_snapshot = subscription.in_snapshot && subscription.sent == 0;
        let version = self.totals.version();
        let is_complete = subscription.is_window_complete();
        let window = subscription.window.as_mut().filter(|window| window.is_news);
        let is_waiting = window.is_some() && !is_complete;
        let mut update = wire::Update::default();
        if let Some(window) = window.filter(|_| is_complete) {
            window.tell(&mut update);
        }
        if parts.count == 0
            && !update.has_window
            && !subscription.in_snapshot
            && subscription.totals_version == version
        {
            return None;
        }
        let more = subscription.in_snapshot
            && (subscription.snapshot_left > 0 || !subscription.parts.is_empty() || is_waiting);
        subscription.in_snapshot = more;
        subscription.totals_version = version;
        subscription.sent += 1;
        self.counters.updates.add(1);
        self.counters.machine_updates.add(parts.count);
        let update = wire::Update {
            subscription: subscription.number,
            number: subscription.sent,
            snapshot: is_snapshot,
            more,
            now_unix_ms: now.unix.0,
            machines: parts.own,
            totals: Some(self.totals.counts()),
            ..update
        };
        Some(EncodedUpdate {
            update,
            machines: parts.encoded,
        })
    }
}
