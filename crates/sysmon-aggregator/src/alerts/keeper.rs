//! The task that keeps the board up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use sysmon_api::{alert_from_wire, transition_from_wire, wire};
use sysmon_core::{Health, MachineId};
use sysmon_store::{
    BusEvent, BusSubscription, Delivery, DeliveryState, ErrorKind, LoggedTransition, StoreError,
    TransitionQuery,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::board::{ALERTS_MAX, Board, TRANSITIONS_MAX};
use super::messages::delivery_to_wire;
use super::{Alerts, CHANNEL, Parts};
use crate::message::Message;

/// Everything is loaded so often where a bus tells what is new, in case something was lost,
const POLL_WITH_BUS: Duration = Duration::from_mins(1);
/// and so often where none does.
const POLL_ALONE: Duration = Duration::from_secs(5);
/// Between two attempts on a store that is down.
const AGAIN: Duration = Duration::from_secs(5);
/// Between two attempts on one that somebody has to do something about.
const AGAIN_WRONG: Duration = Duration::from_mins(1);
/// Between two loads, however much is changed.
const GAP: Duration = Duration::from_millis(250);
/// A store that says nothing for so long is asked again.
const PATIENCE: Duration = Duration::from_secs(30);
/// Deliveries that clients are told of.
const DELIVERIES_MAX: usize = 100;
/// An alert service whose pulse is older than this is gone, and with it its receivers.
const PULSE: Duration = Duration::from_secs(15);
/// Bounds of what others say of themselves.
const SENDERS_MAX: usize = 64;
const SENDER_BYTES_MAX: usize = 64;
const RECEIVERS_MAX: usize = 100;

/// Keeps the board up: loads it, hears the bus, and tells the owner of the fleet how machines fare.
pub(crate) struct Keeper {
    alerts: Arc<Alerts>,
    /// A strong one would keep an aggregator going that everyone has left.
    owner: mpsc::WeakSender<Message>,
    over: CancellationToken,
    /// What is to be loaded, and when.
    wanted: Parts,
    load_at: Instant,
    poll_at: Instant,
    /// What was never loaded.
    missing: Parts,
    /// The last entry of the log of alerts that was loaded; none before the first time.
    logged: Option<i64>,
    /// What the owner was told; machines that are well are left out. None before the first time.
    told: Option<HashMap<MachineId, Health>>,
    pulses: HashMap<String, (Instant, Vec<String>)>,
    is_failing: bool,
}

impl Keeper {
    pub(crate) fn new(
        alerts: Arc<Alerts>,
        owner: mpsc::WeakSender<Message>,
        over: CancellationToken,
    ) -> Self {
        let now = Instant::now();
        Self {
            alerts,
            owner,
            over,
            wanted: Parts::ALL,
            load_at: now,
            poll_at: now,
            missing: Parts::ALL,
            logged: None,
            told: None,
            pulses: HashMap::new(),
            is_failing: false,
        }
    }

    /// Works until the aggregator stops.
    pub(crate) async fn run(mut self) {
        let over = self.over.clone();
        tokio::select! {
            () = over.cancelled() => {}
            () = self.keep() => {}
        }
    }

    async fn keep(&mut self) {
        // Subscribed first: what happens while the store is read is not missed.
        let mut subscription = self.subscribe().await;
        let alerts = Arc::clone(&self.alerts);
        self.plan_poll(subscription.is_some());
        loop {
            let due = self.next_due();
            tokio::select! {
                event = next(&mut subscription) => match event {
                    Some(BusEvent::Message { payload, .. }) => self.hear(payload),
                    Some(BusEvent::Missed) => self.want(Parts::ALL),
                    None => {
                        tracing::error!("the bus is gone; rules and alerts are loaded every few seconds instead");
                        subscription = None;
                        self.want(Parts::ALL);
                    }
                },
                parts = alerts.wanted.next() => self.want(parts),
                () = sleep_until(due) => {}
            }
            let now = Instant::now();
            if self.poll_at <= now {
                self.want(Parts::ALL);
                self.plan_poll(subscription.is_some());
            }
            if self.wanted != Parts::NONE && self.load_at <= now {
                self.load().await;
            }
            self.expire();
            self.tell_owner().await;
        }
    }

    async fn subscribe(&self) -> Option<BusSubscription> {
        match self.alerts.bus.as_ref()?.subscribe(&[CHANNEL.to_owned()]).await {
            Ok(subscription) => Some(subscription),
            Err(error) => {
                tracing::error!(%error, "alert services are not heard; report this");
                None
            }
        }
    }

    fn plan_poll(&mut self, has_bus: bool) {
        let period = if has_bus { POLL_WITH_BUS } else { POLL_ALONE };
        self.poll_at = Instant::now() + period;
    }

    fn next_due(&self) -> Instant {
        let mut due = self.poll_at;
        if self.wanted != Parts::NONE {
            due = due.min(self.load_at);
        }
        let board = self.alerts.board.borrow();
        if let Some(until) = board.silences().iter().map(|silence| silence.until).min() {
            let left_ms = until.since_ms(self.alerts.clock.now().unix).max(1);
            due = due.min(Instant::now() + Duration::from_millis(left_ms));
        }
        due
    }

    fn want(&mut self, parts: Parts) {
        self.wanted = self.wanted.and(parts);
    }

    /// Loads what is wanted; what fails is tried again later, and the board stays as it is until then.
    async fn load(&mut self) {
        for part in [Parts::RULES, Parts::SILENCES, Parts::ALERTS, Parts::DELIVERIES] {
            if !self.wanted.has(part) {
                continue;
            }
            let loaded = timeout(PATIENCE, self.load_part(part)).await;
            let loaded = loaded.unwrap_or_else(|_| Err(StoreError::unavailable("it does not answer")));
            if let Err(error) = loaded {
                self.failed(&error);
                return;
            }
            self.wanted = self.wanted.without(part);
            self.missing = self.missing.without(part);
        }
        self.load_at = Instant::now() + GAP;
        if std::mem::replace(&mut self.is_failing, false) {
            tracing::info!("rules and alerts can be loaded again");
        }
        if self.missing == Parts::NONE {
            self.change(Board::set_loaded);
        }
    }

    fn failed(&mut self, error: &StoreError) {
        let is_down = error.kind == ErrorKind::Unavailable;
        self.load_at = Instant::now() + if is_down { AGAIN } else { AGAIN_WRONG };
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::warn!(%error, "rules and alerts cannot be loaded; what is known of them stays");
        }
    }

    async fn load_part(&mut self, part: Parts) -> Result<(), StoreError> {
        let alerts = Arc::clone(&self.alerts);
        let store = &alerts.store;
        match part {
            Parts::RULES => {
                let rules = store.rules().await?;
                self.change(|board| board.set_rules(rules));
            }
            Parts::SILENCES => {
                let silences = store.silences(alerts.clock.now().unix).await?;
                self.change(|board| board.set_silences(silences));
            }
            Parts::DELIVERIES => {
                let most = u32::try_from(DELIVERIES_MAX).unwrap_or(u32::MAX);
                let dead = store.deliveries(Some(DeliveryState::Dead), most).await?;
                let pending = store.deliveries(Some(DeliveryState::Pending), most).await?;
                let mut all: Vec<Delivery> = dead.into_iter().chain(pending).collect();
                all.sort_by(|one, other| (other.created, &other.id).cmp(&(one.created, &one.id)));
                all.truncate(DELIVERIES_MAX);
                let deliveries = all.iter().map(delivery_to_wire).collect();
                self.change(|board| board.set_deliveries(deliveries));
            }
            _ => {
                let steps = self.load_steps().await?;
                let mut all = store.alerts().await?;
                all.truncate(ALERTS_MAX);
                self.change(|board| {
                    board.set_all_alerts(all);
                    for step in &steps {
                        board.add_step(step);
                    }
                });
            }
        }
        Ok(())
    }

    /// What is new in the log of alerts, oldest first. What was in it at the start is not new, and of more than clients
    /// are told at once the newest counts.
    async fn load_steps(&mut self) -> Result<Vec<LoggedTransition>, StoreError> {
        let store = &self.alerts.store;
        let newest = async |limit| {
            let query = TransitionQuery {
                limit,
                ..TransitionQuery::default()
            };
            store.transitions(&query).await
        };
        let most = u32::try_from(TRANSITIONS_MAX).unwrap_or(u32::MAX);
        let mut steps = match self.logged {
            None => {
                let last = newest(1).await?;
                self.logged = Some(last.first().map_or(0, |step| step.id));
                return Ok(Vec::new());
            }
            Some(after) => store.transitions_after(after, most).await?,
        };
        if steps.len() >= TRANSITIONS_MAX {
            steps = newest(most).await?;
            steps.reverse();
        }
        if let Some(last) = steps.last() {
            self.logged = Some(last.id);
        }
        Ok(steps)
    }

    /// A message on the bus. What cannot be read is passed over: it may be of a newer release.
    fn hear(&mut self, payload: Bytes) {
        let Ok(news) = wire::AlertNews::decode(payload) else {
            tracing::debug!("a message on the bus cannot be read");
            return;
        };
        let is_id = (1..=SENDER_BYTES_MAX).contains(&news.sender_id.len());
        if !is_id || news.sender_id == self.alerts.sender_id {
            return;
        }
        for (is_changed, part) in [
            (!news.changed_rule_ids.is_empty(), Parts::RULES),
            (news.mutes_changed, Parts::SILENCES),
            (news.deliveries_changed, Parts::DELIVERIES),
        ] {
            if is_changed {
                self.want(part);
            }
        }
        let receivers = news.pulse.map(|pulse| self.note_pulse(news.sender_id, pulse));
        let alerts: Vec<_> = news
            .alerts
            .iter()
            .filter_map(|alert| alert_from_wire(alert).ok())
            .collect();
        let steps: Vec<_> = news
            .transitions
            .iter()
            .filter_map(|step| {
                Some(LoggedTransition {
                    id: step.transition_id,
                    transition: transition_from_wire(step).ok()?,
                })
            })
            .collect();
        let now = self.alerts.clock.now().unix;
        self.change(|board| {
            for alert in alerts {
                board.set_alert(alert);
            }
            for step in &steps {
                board.add_step(step);
            }
            if let Some(receivers) = receivers {
                board.set_pulse(receivers, now);
            }
        });
    }

    /// Notes that an alert service works; returns the receivers of all that do.
    fn note_pulse(&mut self, sender: String, pulse: wire::AlertPulse) -> Vec<String> {
        let now = Instant::now();
        self.pulses.retain(|_, (heard, _)| now - *heard < PULSE);
        let mut receivers = pulse.receivers;
        receivers.truncate(RECEIVERS_MAX);
        receivers.retain(|name| name.len() <= 64 && sysmon_core::is_clean(name));
        if self.pulses.len() < SENDERS_MAX || self.pulses.contains_key(&sender) {
            self.pulses.insert(sender, (now, receivers));
        }
        let mut all: Vec<_> = self
            .pulses
            .values()
            .flat_map(|(_, receivers)| receivers.iter().cloned())
            .collect();
        all.sort_unstable();
        all.dedup();
        all.truncate(RECEIVERS_MAX);
        all
    }

    fn expire(&self) {
        let now = self.alerts.clock.now().unix;
        self.change(|board| board.end_silences(now));
    }

    /// Changes the board; sessions are woken when that changed anything for them.
    fn change(&self, change: impl FnOnce(&mut Board)) {
        self.alerts.board.send_if_modified(|board| {
            let before = (board.version(), board.is_loaded());
            change(board);
            before != (board.version(), board.is_loaded())
        });
    }

    /// Tells the owner of the fleet how machines fare, where that has changed. Before everything was loaded once it is
    /// told nothing, and judges by its own levels.
    async fn tell_owner(&mut self) {
        let mut changed = Vec::new();
        self.alerts.board.send_if_modified(|board| {
            if board.is_loaded() {
                changed = board.take_health();
            }
            false
        });
        if self.missing != Parts::NONE {
            return;
        }
        let is_first = self.told.is_none();
        let told = self.told.get_or_insert_default();
        changed.retain(|(machine, health)| {
            let before = match health {
                Health::Healthy => told.remove(machine),
                _ => told.insert(machine.clone(), *health),
            };
            before.unwrap_or(Health::Healthy) != *health
        });
        if (is_first || !changed.is_empty())
            && let Some(owner) = self.owner.upgrade()
        {
            // The owner is gone: so is this task, in a moment.
            let _ = owner.send(Message::Judged { health: changed }).await;
        }
    }
}

/// The next event; for ever when none can come.
async fn next(subscription: &mut Option<BusSubscription>) -> Option<BusEvent> {
    match subscription {
        Some(subscription) => subscription.next().await,
        None => std::future::pending().await,
    }
}
