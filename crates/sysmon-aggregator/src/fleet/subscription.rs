//! What a client has subscribed to, and how far it has been told.
//!
//! There is no queue of values: a subscription notes which machines have changed, and when it may send, it looks at
//! what they are now. However slow a client is, it costs one cursor per machine.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sysmon_api::{ApiError, Code, wire};
use sysmon_core::{Health, Liveness, ProcessTable, SeriesKey, TextFilter};

use super::selection::{MetricSet, Selector};
use super::{ClientId, Fleet, Moment};
use crate::config::Config;

/// Which processes a subscription brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    None,
    Top,
    All,
}

/// What a client asked for, checked.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) selector: Selector,
    pub(super) metrics: MetricSet,
    history: MetricSet,
    pub(super) history_ms: u64,
    pub(super) detail: Detail,
    period_ms: u64,
}

/// One subscription of one client.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) client: ClientId,
    /// The client's number for it.
    pub(super) number: u32,
    pub(super) wish: Wish,
    /// How far the client has been told, by machine.
    pub(super) cursors: HashMap<u32, Cursor>,
    /// Machines that have changed, each once, in the order in which they did.
    pub(super) queue: VecDeque<u32>,
    /// What is left to say about the machine that did not fit into the last update, with sizes in bytes.
    pub(super) parts: VecDeque<(wire::MachineUpdate, usize)>,
    /// How many machines at the front of the queue belong to the snapshot.
    snapshot_left: usize,
    /// Whether the snapshot has not been sent to its end.
    in_snapshot: bool,
    sent: u64,
    acknowledged: u64,
    pub(super) totals_version: u64,
    /// When the next update may go, on the monotonic clock.
    pub(super) due_ms: u64,
    /// Whether it is in the list of those that may have something to send.
    is_active: bool,
}

/// How far a client has been told about one machine.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// Whether the machine is in the queue.
    pub(super) is_queued: bool,
    /// Whether the client knows of the machine.
    pub(super) is_introduced: bool,
    /// Whether the machine no longer matches.
    pub(super) is_leaving: bool,
    /// Number of the next tick to look at.
    pub(super) next_tick: u64,
    /// Number of the next tick of a burst to look at.
    pub(super) next_burst: u64,
    /// What the client has as the sequence.
    pub(super) sequence: u64,
    /// Number of the next series to announce.
    pub(super) next_series: u32,
    pub(super) retired_count: u64,
    pub(super) header_version: u64,
    pub(super) life: u64,
    pub(super) status: (Liveness, Health),
    /// When the machine was last heard of as far as the client knows, on the monotonic clock.
    pub(super) heard_ms: u64,
    /// The process list that the client has.
    pub(super) processes: Option<Arc<ProcessTable>>,
}

impl Wish {
    const IDS_MAX: usize = 10_000;
    const METRICS_MAX: usize = 1_024;
    const FILTER_BYTES_MAX: usize = 1_024;

    /// Checks what a client asked for.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] for what is out of bounds.
    pub(super) fn check(subscribe: &wire::Subscribe) -> Result<Self, ApiError> {
        let bound = |what: &str, value: usize, most: usize| {
            if value > most {
                Err(ApiError::invalid(format!(
                    "{value} {what}; at most {most} are taken"
                )))
            } else {
                Ok(())
            }
        };
        bound("machine ids", subscribe.machine_ids.len(), Self::IDS_MAX)?;
        bound("metrics", subscribe.metrics.len(), Self::METRICS_MAX)?;
        bound(
            "history metrics",
            subscribe.history_metrics.len(),
            Self::METRICS_MAX,
        )?;
        bound("bytes of filter", subscribe.filter.len(), Self::FILTER_BYTES_MAX)?;
        let history_ms = u64::from(subscribe.history_ms);
        if history_ms > Config::WINDOW_MS_MAX {
            return Err(ApiError::invalid(format!(
                "history_ms is {history_ms}; at most {} are kept",
                Config::WINDOW_MS_MAX
            )));
        }
        Ok(Self {
            selector: Selector {
                ids: subscribe.machine_ids.iter().cloned().collect(),
                filter: TextFilter::parse(&subscribe.filter),
            },
            metrics: MetricSet::parse(&subscribe.metrics),
            history: MetricSet::parse(&subscribe.history_metrics),
            history_ms,
            detail: match subscribe.processes() {
                wire::ProcessDetail::All => Detail::All,
                wire::ProcessDetail::Top => Detail::Top,
                wire::ProcessDetail::None | wire::ProcessDetail::Unspecified => Detail::None,
            },
            period_ms: subscribe.period_ms.into(),
        })
    }

    /// Whether the snapshot brings the past of a series that is subscribed.
    pub(super) fn wants_past_of(&self, key: &SeriesKey) -> bool {
        self.history_ms > 0 && self.history.contains(key)
    }
}

impl Subscription {
    /// The most updates that a client has not acknowledged.
    const UNDER_WAY_MAX: u64 = 2;

    fn new(client: ClientId, number: u32, wish: Wish) -> Self {
        Self {
            client,
            number,
            wish,
            cursors: HashMap::new(),
            queue: VecDeque::new(),
            parts: VecDeque::new(),
            snapshot_left: 0,
            in_snapshot: true,
            sent: 0,
            acknowledged: 0,
            totals_version: 0,
            due_ms: 0,
            is_active: false,
        }
    }

    /// Notes that a machine has changed.
    fn queue(&mut self, machine: u32) {
        if let Some(cursor) = self.cursors.get_mut(&machine)
            && !cursor.is_queued
        {
            cursor.is_queued = true;
            self.queue.push_back(machine);
        }
    }

    fn may_send(&self) -> bool {
        self.sent - self.acknowledged < Self::UNDER_WAY_MAX
    }

    pub(super) fn has_work(&self, totals_version: u64) -> bool {
        self.in_snapshot
            || !self.queue.is_empty()
            || !self.parts.is_empty()
            || self.totals_version != totals_version
    }

    /// The next machine to say something about.
    pub(super) fn next_machine(&mut self) -> Option<u32> {
        let machine = self.queue.pop_front()?;
        self.snapshot_left = self.snapshot_left.saturating_sub(1);
        if let Some(cursor) = self.cursors.get_mut(&machine) {
            cursor.is_queued = false;
        }
        Some(machine)
    }
}

impl Fleet {
    /// Opens a subscription, or replaces the client's one of the same number.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] for what is out of bounds, [`Code::ResourceExhausted`] for the ninth subscription.
    pub fn subscribe(&mut self, client: ClientId, subscribe: &wire::Subscribe) -> Result<(), ApiError> {
        let wish = Wish::check(subscribe)?;
        // The old one goes first: the new one may take its place when there are eight.
        self.remove_subscription(client, subscribe.subscription);
        let Some(own) = self.clients.get_mut(&client) else {
            return Err(ApiError::unavailable("the stream is closing"));
        };
        if own.subscriptions.len() >= super::clients::SUBSCRIPTIONS_MAX {
            return Err(ApiError::new(
                Code::ResourceExhausted,
                "there are 8 subscriptions on this stream; end one first",
            ));
        }
        let subscription = Subscription::new(client, subscribe.subscription, wish);
        let index = self.free.pop().unwrap_or(self.subscriptions.len());
        if index == self.subscriptions.len() {
            self.subscriptions.push(None);
        }
        self.subscriptions[index] = Some(subscription);
        own.subscriptions.push((subscribe.subscription, index));
        for number in 0..self.machines.len() {
            // Fits: machines are numbered in 32 bits.
            self.refilter_one(u32::try_from(number).unwrap_or(u32::MAX), index);
        }
        if let Some(subscription) = &mut self.subscriptions[index] {
            subscription.snapshot_left = subscription.queue.len();
        }
        self.activate(index);
        Ok(())
    }

    /// Ends a subscription.
    ///
    /// # Errors
    /// [`Code::NotFound`] when there is none of that number.
    pub fn unsubscribe(&mut self, client: ClientId, number: u32) -> Result<(), ApiError> {
        if self.remove_subscription(client, number) {
            Ok(())
        } else {
            Err(ApiError::new(
                Code::NotFound,
                format!("there is no subscription {number} on this stream"),
            ))
        }
    }

    /// Takes note that a client has received an update and all before it.
    pub fn received(&mut self, client: ClientId, received: wire::UpdateReceived) {
        let index = self.clients.get(&client).and_then(|client| {
            let mut own = client.subscriptions.iter();
            own.find(|(number, _)| *number == received.subscription)
        });
        let Some(index) = index.map(|(_, index)| *index) else {
            return;
        };
        if let Some(subscription) = &mut self.subscriptions[index] {
            // What was not sent cannot have been received, whatever the client says.
            subscription.acknowledged = received
                .number
                .min(subscription.sent)
                .max(subscription.acknowledged);
            if subscription.has_work(self.totals.version()) {
                self.activate(index);
            }
        }
    }

    /// Sends every subscription what it may get now: at most two updates that are not acknowledged, each with all that
    /// has changed. `send` returns whether the client is still there; those that are not are returned.
    pub fn flush(
        &mut self,
        now: Moment,
        mut send: impl FnMut(ClientId, wire::Update) -> bool,
    ) -> Vec<ClientId> {
        if self.totals_seen != self.totals.version() {
            self.totals_seen = self.totals.version();
            for index in 0..self.subscriptions.len() {
                self.activate(index);
            }
        }
        let mut gone = Vec::new();
        let mut active = std::mem::take(&mut self.active);
        active.retain(|index| {
            // Taken out, so that machines and subscription can be looked at together.
            let Some(mut subscription) = self.subscriptions[*index].take() else {
                return false;
            };
            let stays = self.flush_one(&mut subscription, now, |client, update| {
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
        gone
    }

    /// Sends one subscription what it may get now; returns whether it waits for time to pass.
    fn flush_one(
        &self,
        subscription: &mut Subscription,
        now: Moment,
        mut send: impl FnMut(ClientId, wire::Update) -> bool,
    ) -> bool {
        while subscription.may_send() && subscription.has_work(self.totals.version()) {
            if now.monotonic_ms < subscription.due_ms {
                return true;
            }
            let Some(update) = self.update(subscription, now) else {
                return false;
            };
            // What did not fit may follow at once.
            if !update.more && subscription.parts.is_empty() {
                let pause_ms = subscription.wish.period_ms.max(self.config.update_gap_ms);
                subscription.due_ms = now.monotonic_ms + pause_ms;
            }
            if !send(subscription.client, update) {
                return false;
            }
        }
        false
    }

    /// The next update of a subscription; `None` when nothing worth telling has changed.
    fn update(&self, subscription: &mut Subscription, now: Moment) -> Option<wire::Update> {
        let machines = self.next_parts(subscription);
        let is_snapshot = subscription.in_snapshot && subscription.sent == 0;
        let version = self.totals.version();
        if machines.is_empty() && !subscription.in_snapshot && subscription.totals_version == version {
            return None;
        }
        let more =
            subscription.in_snapshot && (subscription.snapshot_left > 0 || !subscription.parts.is_empty());
        subscription.in_snapshot = more;
        subscription.totals_version = version;
        subscription.sent += 1;
        self.counters.updates.add(1);
        self.counters.machine_updates.add(machines.len());
        Some(wire::Update {
            subscription: subscription.number,
            number: subscription.sent,
            snapshot: is_snapshot,
            more,
            now_unix_ms: now.unix.0,
            machines,
            totals: Some(self.totals.counts()),
            ..wire::Update::default()
        })
    }

    /// Notes for everyone who watches a machine that it has changed.
    pub(super) fn touch(&mut self, number: u32) {
        self.touch_where(number, |_| true);
    }

    /// The same for those who want something in particular.
    pub(super) fn touch_where(&mut self, number: u32, is_meant: impl Fn(&Wish) -> bool) {
        for position in 0..self.machines[number as usize].watchers.len() {
            let index = self.machines[number as usize].watchers[position];
            if let Some(subscription) = &mut self.subscriptions[index]
                && is_meant(&subscription.wish)
            {
                subscription.queue(number);
                self.activate(index);
            }
        }
    }

    /// The same when only the time it was last seen has changed: worth an update only now and then.
    pub(super) fn touch_seen(&mut self, number: u32) {
        for position in 0..self.machines[number as usize].watchers.len() {
            let index = self.machines[number as usize].watchers[position];
            let Some(subscription) = &mut self.subscriptions[index] else {
                continue;
            };
            let machine = &self.machines[number as usize];
            let is_worth_it = subscription.cursors.get(&number).is_some_and(|cursor| {
                cursor.is_seen_too_old(machine) || cursor.status != (machine.liveness, machine.health)
            });
            if is_worth_it {
                subscription.queue(number);
                self.activate(index);
            }
        }
    }

    /// Finds out anew which subscriptions cover a machine, after something that filters look at has changed.
    pub(super) fn refilter(&mut self, number: u32) {
        for index in 0..self.subscriptions.len() {
            self.refilter_one(number, index);
        }
    }

    fn refilter_one(&mut self, number: u32, index: usize) {
        let Some(subscription) = &mut self.subscriptions[index] else {
            return;
        };
        let machine = &mut self.machines[number as usize];
        let matches = subscription.wish.selector.matches(machine);
        let is_covered = subscription
            .cursors
            .get(&number)
            .is_some_and(|cursor| !cursor.is_leaving);
        if matches == is_covered {
            return;
        }
        let wants_all = subscription.wish.detail == Detail::All;
        let before = machine.watchers_of_all;
        if matches {
            machine.watchers.push(index);
            machine.watchers_of_all += usize::from(wants_all);
        } else {
            machine.watchers.retain(|watcher| *watcher != index);
            machine.watchers_of_all -= usize::from(wants_all);
        }
        let redirect = (before == 0) != (machine.watchers_of_all == 0);
        subscription.cursors.entry(number).or_default().is_leaving = !matches;
        subscription.queue(number);
        self.activate(index);
        if redirect {
            self.redirect(number);
        }
    }

    /// Lets go of a subscription; returns whether there was one.
    pub(super) fn remove_subscription(&mut self, client: ClientId, number: u32) -> bool {
        let Some(own) = self.clients.get_mut(&client) else {
            return false;
        };
        let Some(position) = own.subscriptions.iter().position(|(known, _)| *known == number) else {
            return false;
        };
        let (_, index) = own.subscriptions.swap_remove(position);
        let Some(subscription) = self.subscriptions[index].take() else {
            return false;
        };
        self.free.push(index);
        self.active.retain(|active| *active != index);
        for (number, cursor) in subscription.cursors {
            if cursor.is_leaving {
                continue;
            }
            let machine = &mut self.machines[number as usize];
            machine.watchers.retain(|watcher| *watcher != index);
            if subscription.wish.detail == Detail::All {
                machine.watchers_of_all -= 1;
                if machine.watchers_of_all == 0 {
                    self.redirect(number);
                }
            }
        }
        true
    }

    /// Puts a subscription on the list of those that may have something to send.
    pub(super) fn activate(&mut self, index: usize) {
        if let Some(subscription) = &mut self.subscriptions[index]
            && !subscription.is_active
        {
            subscription.is_active = true;
            self.active.push(index);
        }
    }
}
