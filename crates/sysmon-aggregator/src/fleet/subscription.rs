//! What a client has subscribed to, and how far it has been told.
//!
//! There is no queue of values: a subscription notes which machines have changed, and when it may send, it looks at
//! what they are now. However slow a client is, it costs one cursor per machine.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sysmon_api::{ApiError, Code, wire};
use sysmon_core::filter::{Filter, Needs};
use sysmon_core::{Health, Liveness, ProcessTable, SeriesKey};

use super::selection::{MetricSet, Selector};
use super::shared::{Class, Piece};
use super::window::Window;
use super::{ClientId, Fleet};
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
    pub(super) period_ms: u64,
}

/// One subscription of one client.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) client: ClientId,
    /// The client's number for it.
    pub(super) number: u32,
    pub(super) wish: Wish,
    /// Which others are told the same of a machine.
    pub(super) class: Class,
    /// Which rows of what matches; none for all of it.
    pub(super) window: Option<Window>,
    /// What was asked for, where there is a window: another request may move it.
    asked: Option<wire::Subscribe>,
    /// When a filter that looks at ages was last asked of all machines, on the monotonic clock.
    pub(super) aged_ms: u64,
    /// How far the client has been told, by machine.
    pub(super) cursors: HashMap<u32, Cursor>,
    /// Machines that have changed, each once, in the order in which they did.
    pub(super) queue: VecDeque<u32>,
    /// What is left to say about the machine that did not fit into the last update, with sizes in bytes.
    pub(super) parts: VecDeque<(Piece, usize)>,
    /// How many machines at the front of the queue belong to the snapshot.
    pub(super) snapshot_left: usize,
    /// Whether the snapshot has not been sent to its end.
    pub(super) in_snapshot: bool,
    pub(super) sent: u64,
    acknowledged: u64,
    pub(super) totals_version: u64,
    /// When the next update may go, on the monotonic clock.
    pub(super) due_ms: u64,
    /// Whether it is in the list of those that may have something to send.
    pub(super) is_active: bool,
}

/// How far a client has been told about one machine.
#[derive(Clone, Debug, Default)]
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
                filter: parse_filter(&subscribe.filter)?,
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

    /// Whether both are told the same of a machine, once they know it.
    pub(super) fn is_told_like(&self, other: &Self) -> bool {
        self.detail == other.detail && self.metrics == other.metrics
    }

    /// Whether the snapshot brings the past of a series that is subscribed.
    pub(super) fn wants_past_of(&self, key: &SeriesKey) -> bool {
        self.history_ms > 0 && self.history.contains(key)
    }
}

/// Reads a filter.
///
/// # Errors
/// [`Code::InvalidArgument`] with the bytes of the wrong word.
fn parse_filter(text: &str) -> Result<Filter, ApiError> {
    Filter::parse(text).map_err(|error| {
        let span = &error.span;
        ApiError::invalid(format!("filter, bytes {} to {}: {error}", span.start, span.end))
    })
}

impl Subscription {
    /// The most updates that a client has not acknowledged.
    const UNDER_WAY_MAX: u64 = 2;

    fn new(
        client: ClientId,
        subscribe: &wire::Subscribe,
        (wish, class): (Wish, Class),
        window: Option<Window>,
    ) -> Self {
        Self {
            client,
            number: subscribe.subscription,
            wish,
            class,
            asked: window.is_some().then(|| subscribe.clone()),
            window,
            aged_ms: 0,
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
    pub(super) fn queue(&mut self, machine: u32) {
        if let Some(cursor) = self.cursors.get_mut(&machine)
            && !cursor.is_queued
        {
            cursor.is_queued = true;
            self.queue.push_back(machine);
        }
    }

    pub(super) fn may_send(&self) -> bool {
        self.sent - self.acknowledged < Self::UNDER_WAY_MAX
    }

    /// Whether the client still has to be told what it covers.
    pub(super) fn is_behind(&self) -> bool {
        self.in_snapshot || self.window.as_ref().is_some_and(|window| window.is_news)
    }

    /// When the filter looks at something that changes without anybody saying so, what that is.
    fn needs(&self) -> Option<Needs> {
        let needs = self.wish.selector.filter.needs();
        (self.window.is_none() && needs != Needs::default()).then_some(needs)
    }

    /// Whether it has to be looked at anew as time passes.
    fn is_timed(&self) -> bool {
        self.window.is_some() || self.wish.selector.filter.needs().age
    }

    /// Whether a request is for the same, but for the rows.
    pub(super) fn is_moved_by(&self, subscribe: &wire::Subscribe) -> bool {
        let (Some(asked), Some(window)) = (&self.asked, &subscribe.window) else {
            return false;
        };
        let rows = asked
            .window
            .as_ref()
            .map_or((0, 0), |asked| (asked.first, asked.rows));
        let window = wire::Window {
            first: rows.0,
            rows: rows.1,
            ..window.clone()
        };
        // Compared field by field in the message, so that one that comes later is not forgotten here.
        let subscribe = wire::Subscribe {
            window: Some(window),
            ..subscribe.clone()
        };
        *asked == subscribe
    }

    /// Whether the client knows every machine of the window, so that it can be told their order.
    pub(super) fn is_window_complete(&self) -> bool {
        let is_known = |number: &u32| {
            let cursor = self.cursors.get(number);
            cursor.is_some_and(|cursor| cursor.is_introduced)
        };
        let window = self.window.as_ref();
        self.parts.is_empty() && window.is_none_or(|window| window.shown().iter().all(is_known))
    }

    pub(super) fn has_work(&self, totals_version: u64) -> bool {
        self.in_snapshot
            || !self.queue.is_empty()
            || !self.parts.is_empty()
            || self.window.as_ref().is_some_and(|window| window.is_news)
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
        let window = subscribe.window.as_ref().map(Window::check).transpose()?;
        if self.move_window(client, subscribe) {
            return Ok(());
        }
        // The old one goes first: the new one may take its place when there are eight.
        self.remove_subscription(client, subscribe.subscription);
        let class = self.class_of(&wish);
        let Some(own) = self.clients.get_mut(&client) else {
            return Err(ApiError::unavailable("the stream is closing"));
        };
        if own.subscriptions.len() >= super::clients::SUBSCRIPTIONS_MAX {
            return Err(ApiError::new(
                Code::ResourceExhausted,
                "there are 8 subscriptions on this stream; end one first",
            ));
        }
        let subscription = Subscription::new(client, subscribe, (wish, class), window);
        let index = self.free.pop().unwrap_or(self.subscriptions.len());
        if index == self.subscriptions.len() {
            self.subscriptions.push(None);
        }
        own.subscriptions.push((subscribe.subscription, index));
        self.shared.join(class);
        self.filtering
            .extend(subscription.needs().map(|needs| (index, needs)));
        self.timed.extend(subscription.is_timed().then_some(index));
        self.subscriptions[index] = Some(subscription);
        self.review_one(index);
        if let Some(subscription) = &mut self.subscriptions[index] {
            subscription.snapshot_left = subscription.queue.len();
        }
        self.activate(index);
        Ok(())
    }

    /// The class of those who want the same.
    fn class_of(&mut self, wish: &Wish) -> Class {
        let same = self.subscriptions.iter().flatten();
        let same = same.filter(|other| other.wish.is_told_like(wish));
        let class = same.map(|other| other.class).next();
        class.unwrap_or_else(|| self.shared.new_class())
    }

    /// The index of a client's subscription.
    pub(super) fn index_of(&self, client: ClientId, number: u32) -> Option<usize> {
        let own = self.clients.get(&client)?.subscriptions.iter();
        own.clone()
            .find(|(known, _)| *known == number)
            .map(|(_, index)| *index)
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
        let Some(index) = self.index_of(client, received.subscription) else {
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
        self.shared.leave(subscription.class);
        self.active.retain(|active| *active != index);
        self.timed.retain(|timed| *timed != index);
        self.filtering.retain(|(filtering, _)| *filtering != index);
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
