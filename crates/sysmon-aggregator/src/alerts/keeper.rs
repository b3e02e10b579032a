//! The task that keeps the board up.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use sysmon_api::{alert_from_wire, transition_from_wire, wire};
use sysmon_core::alert::AlertKey;
use sysmon_core::{Health, MachineId};
use sysmon_store::{BusEvent, BusSubscription, ErrorKind, LoggedTransition, StoreError};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::board::{ALERTS_MAX, Board};
use super::fetch::{Fetched, Fetching, fetch};
use super::{Alerts, CHANNEL, Parts};
use crate::fleet::Judgement;
use crate::message::Message;

/// Everything is loaded so often where a bus tells what is new, in case something was lost,
const POLL_WITH_BUS: Duration = Duration::from_mins(1);
/// and so often where none does.
const POLL_ALONE: Duration = Duration::from_secs(5);
/// Between two attempts on a store that is down.
const AGAIN: Duration = Duration::from_secs(5);
/// Between two attempts on one that somebody has to do something about.
const AGAIN_WRONG: Duration = Duration::from_mins(1);
/// Between two loads of the same part, however often it is changed.
const GAP: Duration = Duration::from_millis(250);
/// An alert service whose pulse is older than this is gone, and with it its receivers.
const PULSE: Duration = Duration::from_secs(15);
/// Without a pulse for so long nobody evaluates alerts: what they say is old, and silence is no good news.
const UNJUDGED: Duration = Duration::from_secs(20);
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
    /// What is to be loaded.
    wanted: Parts,
    /// The store failed: it is not asked before this.
    again_at: Instant,
    /// Before when each part, in the order of [`Parts::EACH`], is not loaded again.
    load_at: [Instant; Parts::EACH.len()],
    /// When everything is to be loaded anyway.
    poll_at: Instant,
    /// What is being loaded.
    fetching: Option<Fetching>,
    /// Alerts that the bus told of meanwhile: what was read of them may be older.
    heard: HashSet<AlertKey>,
    /// What was never loaded.
    missing: Parts,
    /// The last entry of the log of alerts that was loaded; none before the first time.
    logged: Option<i64>,
    /// How machines fare by their alerts; those without one are left out.
    health: HashMap<MachineId, Judgement>,
    /// The owner judges by alerts.
    is_judging: bool,
    /// When an alert service last said that it works.
    pulse_at: Option<Instant>,
    /// What the alert services said of themselves last, by sender.
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
            again_at: now,
            load_at: [now; Parts::EACH.len()],
            poll_at: now,
            fetching: None,
            heard: HashSet::new(),
            missing: Parts::ALL,
            logged: None,
            health: HashMap::new(),
            is_judging: false,
            pulse_at: None,
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
        let alerts = Arc::clone(&self.alerts);
        let mut subscription = subscribe(&alerts).await;
        loop {
            let now = Instant::now();
            if self.poll_at <= now {
                self.want(Parts::ALL);
                let has_bus = subscription.is_some();
                self.poll_at = now + if has_bus { POLL_WITH_BUS } else { POLL_ALONE };
            }
            self.begin_to_load(now);
            let due = self.next_due();
            // The store may take its time: the bus is heard all the while.
            tokio::select! {
                event = next(&mut subscription) => match event {
                    Some(BusEvent::Message { payload, .. }) => self.hear(payload),
                    Some(BusEvent::Missed) => self.want(Parts::ALL),
                    None => {
                        tracing::error!("the bus is gone; rules and alerts are loaded every few seconds instead");
                        subscription = None;
                        self.poll_at = Instant::now();
                    }
                },
                (part, read) = fetched(&mut self.fetching) => self.loaded(part, read),
                parts = alerts.wanted.next() => self.want(parts),
                () = sleep_until(due) => {}
            }
            let now = alerts.clock.now().unix;
            self.change(|board| board.end_silences(now));
            self.tell_owner().await;
        }
    }

    /// When there is something to do although nothing happens.
    fn next_due(&self) -> Instant {
        let mut due = self.poll_at;
        if self.fetching.is_none()
            && let Some((_, at)) = self.next_part()
        {
            due = due.min(at);
        }
        if let Some(pulse_at) = self.pulse_at.filter(|_| self.is_judging) {
            due = due.min(pulse_at + UNJUDGED);
        }
        let board = self.alerts.board.borrow();
        if let Some(until) = board.silences().iter().map(|silence| silence.until).min() {
            let left_ms = until.since_ms(self.alerts.clock.now().unix).max(1);
            // Far away means with the next poll.
            due = due.min(Instant::now() + Duration::from_millis(left_ms.min(60_000)));
        }
        due
    }

    fn want(&mut self, parts: Parts) {
        self.wanted = self.wanted.and(parts);
    }

    /// The part to load next, and not before when.
    fn next_part(&self) -> Option<(Parts, Instant)> {
        let parts = Parts::EACH.into_iter().zip(self.load_at);
        let wanted = parts.filter(|(part, _)| self.wanted.has(*part));
        let (part, at) = wanted.min_by_key(|(_, at)| *at)?;
        Some((part, at.max(self.again_at)))
    }

    /// Begins with the next part that is wanted, when its time has come.
    fn begin_to_load(&mut self, now: Instant) {
        let next = self.next_part().filter(|(_, at)| *at <= now);
        let Some((part, _)) = next.filter(|_| self.fetching.is_none()) else {
            return;
        };
        // What is wanted from now on was perhaps changed after it was read.
        self.wanted = self.wanted.without(part);
        self.heard.clear();
        let alerts = &self.alerts;
        let now = alerts.clock.now().unix;
        self.fetching = Some(fetch(Arc::clone(&alerts.store), part, now, self.logged));
    }

    /// Takes over what was read. What could not be is tried again later, and the board stays as it is until then.
    fn loaded(&mut self, part: Parts, read: Result<Fetched, StoreError>) {
        let now = Instant::now();
        let fetched = match read {
            Ok(fetched) => fetched,
            Err(error) => {
                self.want(part);
                let is_down = error.kind == ErrorKind::Unavailable;
                self.again_at = now + if is_down { AGAIN } else { AGAIN_WRONG };
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(%error, "rules and alerts cannot be loaded; what is known of them stays");
                }
                return;
            }
        };
        if std::mem::replace(&mut self.is_failing, false) {
            tracing::info!("rules and alerts can be loaded again");
        }
        self.missing = self.missing.without(part);
        let is_complete = self.missing == Parts::NONE;
        for (known, load_at) in Parts::EACH.into_iter().zip(&mut self.load_at) {
            if known == part {
                *load_at = now + GAP;
            }
        }
        let heard = std::mem::take(&mut self.heard);
        if let Fetched::Alerts { logged, .. } = &fetched {
            self.logged = Some(*logged);
        }
        self.change(|board| {
            match fetched {
                Fetched::Rules(rules) => board.set_rules(rules),
                Fetched::Silences(silences) => board.set_silences(silences),
                Fetched::Deliveries(deliveries) => board.set_deliveries(deliveries),
                Fetched::Alerts { alerts, steps, .. } => {
                    board.set_all_alerts(alerts, &heard);
                    for step in &steps {
                        board.add_step(step);
                    }
                }
            }
            if is_complete {
                board.set_loaded();
            }
        });
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
        if self.fetching.is_some() {
            self.heard.extend(alerts.iter().map(|alert| alert.key.clone()));
            if self.heard.len() > ALERTS_MAX {
                // Nothing of what is being read counts any more.
                (self.fetching, self.wanted) = (None, Parts::ALL);
            }
        }
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
        self.pulse_at = Some(now);
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

    /// Changes the board; sessions are woken when that changed anything for them.
    fn change(&self, change: impl FnOnce(&mut Board)) {
        self.alerts.board.send_if_modified(|board| {
            let before = (board.version(), board.is_loaded());
            change(board);
            before != (board.version(), board.is_loaded())
        });
    }

    /// Tells the owner of the fleet how machines fare, where that has changed. Before everything was loaded once, and while
    /// nobody evaluates alerts, the owner judges by the machines' own numbers.
    async fn tell_owner(&mut self) {
        let mut changed = Vec::new();
        self.alerts.board.send_if_modified(|board| {
            if board.is_loaded() {
                changed = board.take_health();
            }
            false
        });
        let known = &mut self.health;
        changed.retain(|judgement: &Judgement| {
            let is_well = judgement.health == Health::Healthy && judgement.alerts.is_empty();
            let before = if is_well {
                known.remove(&judgement.machine)
            } else {
                known.insert(judgement.machine.clone(), judgement.clone())
            };
            before.as_ref().map_or(!is_well, |before| before != judgement)
        });
        if self.missing != Parts::NONE {
            return;
        }
        let judges = self.is_evaluated();
        let judgements = match (self.is_judging, judges) {
            (true, true) if changed.is_empty() => return,
            (true, true) => Some(changed),
            (false, true) => Some(self.health.values().cloned().collect()),
            (true, false) => {
                tracing::warn!(
                    "no alert service is heard of any more: alerts are not evaluated, and machines are judged by their numbers"
                );
                None
            }
            (false, false) => return,
        };
        self.is_judging = judges;
        if let Some(owner) = self.owner.upgrade() {
            // The owner is gone: so is this task, in a moment.
            let _ = owner.send(Message::Judged { judgements }).await;
        }
    }

    /// Whether an alert service works, as far as can be known: without a bus none could say so.
    fn is_evaluated(&self) -> bool {
        self.alerts.bus.is_none() || self.pulse_at.is_some_and(|at| at.elapsed() < UNJUDGED)
    }
}

async fn subscribe(alerts: &Alerts) -> Option<BusSubscription> {
    match alerts.bus.as_ref()?.subscribe(&[CHANNEL.to_owned()]).await {
        Ok(subscription) => Some(subscription),
        Err(error) => {
            tracing::error!(%error, "alert services are not heard; report this");
            None
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

/// What was read; for ever when nothing is being read. Safe to cancel.
async fn fetched(fetching: &mut Option<Fetching>) -> (Parts, Result<Fetched, StoreError>) {
    match fetching {
        Some(reading) => {
            let read = reading.await;
            *fetching = None;
            read
        }
        None => std::future::pending().await,
    }
}
