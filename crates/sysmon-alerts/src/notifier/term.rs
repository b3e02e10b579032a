//! One term as the notifier, from taking over to losing the lease.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use sysmon_core::UnixMillis;
use sysmon_core::alert::{Grouping, Notification, RuleId};
use sysmon_store::{Delivery, DeliveryState, ErrorKind, Lease, StoreError};
use tokio::time::Instant;

use super::Parts;
use super::sending::{Attempt, Sending};
use super::unsaved::Unsaved;
use crate::hub::Heard;
use crate::message::render;
use crate::outbox::{Outbox, Verdict, copy_for, id_of};
use crate::receivers::Listeners;

/// Steps that are read from the log at once.
const PAGE: u32 = 1_000;
/// How soon after one look at everything the next may come.
const LOOK_GAP: Duration = Duration::from_millis(200);
/// How often everything is looked at where others say what they change, and where they do not.
const LOOK: Duration = Duration::from_secs(30);
const LOOK_WITHOUT_BUS: Duration = Duration::from_secs(5);
/// How soon a store that is down is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long receivers that look at labels wait for the fleet to be known.
const FLEET_LIMIT: Duration = Duration::from_secs(10);
/// The most bytes of a group's state in one piece: the store takes a mebibyte.
const PIECE: usize = 512 * 1_024;

/// Another has the lease.
struct Lost;

pub(super) struct Term<'a> {
    parts: &'a mut Parts,
    lease: Lease,
    grouping: Grouping,
    /// The last step that was read.
    read: i64,
    outbox: Outbox,
    sending: Sending,
    unsaved: Unsaved,
    /// The store did not answer the last time.
    is_down: bool,
    /// Pending deliveries are to be read from the store: somebody asked for one, or there was no room for all.
    wants_deliveries: bool,
    /// In how many pieces each group is stored.
    pieces: BTreeMap<RuleId, usize>,
    began: Instant,
    /// When pending deliveries were read last.
    deliveries_read: Instant,
    /// How often everything is looked at although nobody said anything.
    usual: Duration,
}

impl<'a> Term<'a> {
    /// Tells people until the store says that another has the lease.
    pub(super) async fn run(parts: &'a mut Parts, lease: Lease) {
        let usual = if parts.hub.has_bus() {
            LOOK
        } else {
            LOOK_WITHOUT_BUS
        };
        let mut term = Self {
            usual,
            deliveries_read: Instant::now(),
            grouping: Grouping::new(parts.config.timing),
            parts,
            lease,
            read: 0,
            outbox: Outbox::default(),
            sending: Sending::default(),
            unsaved: Unsaved::default(),
            is_down: false,
            wants_deliveries: false,
            pieces: BTreeMap::new(),
            began: Instant::now(),
        };
        term.load().await;
        let Err(Lost) = term.go_on().await else {
            return;
        };
    }

    /// Takes over where the one before stopped.
    async fn load(&mut self) {
        let kept = loop {
            match self.parts.store.load_notifier().await {
                Ok(kept) => break kept,
                Err(error) => tracing::warn!(%error, "nobody can be told yet"),
            }
            tokio::time::sleep(RETRY).await;
        };
        self.read = kept.read;
        let mut groups: BTreeMap<String, BTreeMap<usize, Bytes>> = BTreeMap::new();
        for (key, bytes) in kept.groups {
            let (rule, piece) = key.split_once('#').unwrap_or((&key, "0"));
            let piece = piece.parse().unwrap_or(0);
            groups.entry(rule.to_owned()).or_default().insert(piece, bytes);
        }
        for (name, pieces) in groups {
            let Ok(rule) = RuleId::parse(&name) else { continue };
            self.pieces.insert(rule.clone(), pieces.len());
            let bytes: Vec<u8> = pieces.into_values().flatten().collect();
            match serde_json::from_slice(&bytes) {
                Ok(group) => self.grouping.restore(rule, group),
                Err(error) => {
                    tracing::error!(rule = name, %error, "what people were told of it is not known any more; they may be told again");
                }
            }
        }
        for delivery in kept.pending {
            self.wants_deliveries |= !self.outbox.insert(delivery);
        }
    }

    async fn go_on(&mut self) -> Result<(), Lost> {
        let mut look_at = Instant::now();
        loop {
            let now = Instant::now();
            if look_at <= now {
                let next = self.look().await?;
                let pause = if self.is_down { RETRY } else { self.usual };
                look_at = Instant::now() + next.map_or(pause, |next| next.clamp(LOOK_GAP, pause));
            }
            self.send_due().await?;
            let due = self.outbox.next_due().map(|due| self.until(due));
            let wake_at = due.map_or(look_at, |due| look_at.min(Instant::now() + due.max(LOOK_GAP)));
            tokio::select! {
                heard = self.parts.heard.recv() => match heard {
                    Some(heard) => {
                        self.hear(heard);
                        // Others may follow at once.
                        look_at = look_at.min(Instant::now() + LOOK_GAP);
                    }
                    // The service ends.
                    None => std::future::pending().await,
                },
                Some(attempt) = self.sending.next() => self.take_attempt(attempt).await?,
                () = tokio::time::sleep_until(wake_at) => {}
            }
        }
    }

    fn until(&self, moment: UnixMillis) -> Duration {
        Duration::from_millis(moment.since_ms(self.parts.config.clock.now()))
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Deliveries => self.wants_deliveries = true,
            // While the store works it says the same, and more.
            Heard::Alerts(alerts) if self.is_down => {
                alerts.iter().for_each(|alert| self.grouping.update(alert));
            }
            Heard::Alerts(_) => {}
        }
    }

    /// Looks at everything: reads what is new, decides, and keeps what was decided. Returns when to look again at the
    /// latest.
    async fn look(&mut self) -> Result<Option<Duration>, Lost> {
        if self.parts.hub.take_missed() || self.deliveries_read.elapsed() >= self.usual {
            self.wants_deliveries = true;
        }
        let was_down = self.is_down;
        self.is_down = match self.read_all().await {
            Ok(()) => false,
            Err(error) => {
                if !was_down {
                    tracing::warn!(%error, "people are told what is known without the store");
                }
                true
            }
        };
        let directory = self.parts.directory.borrow().clone();
        if self.parts.config.receivers.need_labels()
            && !directory.is_complete
            && self.began.elapsed() < FLEET_LIMIT
        {
            return Ok(Some(RETRY));
        }
        let now = self.parts.config.clock.now();
        let listeners = Listeners {
            receivers: &self.parts.config.receivers,
            hosts: &directory.hosts,
        };
        let due = self.grouping.take_due(now, &listeners);
        let book = Arc::clone(&self.parts.book.borrow());
        let deliveries: Vec<Delivery> = due
            .notifications
            .iter()
            .map(|notification| {
                let message = render(notification, &book.rules, &directory.hosts, now);
                made(notification, message.to_json(), now)
            })
            .collect();
        self.keep_groups();
        self.keep(deliveries, now).await?;
        Ok(due.next.map(|next| self.until(next)))
    }

    /// Reads steps, how alerts stand, and deliveries that others made. How alerts stand is read last, so that it has the
    /// last word.
    async fn read_all(&mut self) -> Result<(), StoreError> {
        let store = Arc::clone(&self.parts.store);
        loop {
            let page = store.transitions_after(self.read, PAGE).await?;
            for logged in &page {
                self.grouping.apply(&logged.transition);
            }
            if let Some(last) = page.last() {
                self.read = last.id;
                self.unsaved.read(last.id);
            }
            if page.len() < PAGE as usize {
                break;
            }
        }
        self.grouping.sync(&store.alerts().await?);
        if self.wants_deliveries && self.outbox.has_room() {
            let most = u32::try_from(Outbox::MAX).unwrap_or(u32::MAX);
            let pending = store.deliveries(Some(DeliveryState::Pending), most).await?;
            self.wants_deliveries = pending.len() >= Outbox::MAX;
            self.deliveries_read = Instant::now();
            for delivery in pending {
                self.wants_deliveries |= !self.outbox.insert(delivery);
            }
        }
        Ok(())
    }

    /// Puts the groups that changed among what is to be stored.
    fn keep_groups(&mut self) {
        for (rule, group) in self.grouping.take_changed() {
            // Numbers, texts and lists of them: there is nothing that JSON could not hold.
            let bytes = group.map(|group| serde_json::to_vec(group).unwrap_or_default());
            let bytes = Bytes::from(bytes.unwrap_or_default());
            let count = bytes.len().div_ceil(PIECE);
            let before = self.pieces.insert(rule.clone(), count).unwrap_or(0);
            for piece in 0..count.max(before) {
                let key = match piece {
                    0 => rule.to_string(),
                    _ => format!("{rule}#{piece}"),
                };
                let end = bytes.len().min((piece + 1) * PIECE);
                // Empty ones are removed.
                let part = bytes.slice(end.min(piece * PIECE)..end);
                self.unsaved.group(key, part);
            }
            if count == 0 {
                self.pieces.remove(&rule);
            }
        }
    }

    /// Stores deliveries with whatever else is not stored, then takes those that are pending into the outbox. When the
    /// store is down they are sent all the same, and stored later.
    async fn keep(&mut self, deliveries: Vec<Delivery>, now: UnixMillis) -> Result<(), Lost> {
        for delivery in &deliveries {
            if !self.unsaved.delivery(delivery.clone()) {
                tracing::error!(
                    receiver = delivery.receiver,
                    "a notification cannot be kept: too many wait for the store"
                );
                self.parts.counters.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.save().await?;
        for delivery in deliveries {
            if delivery.state == DeliveryState::Pending {
                self.wants_deliveries |= !self.outbox.insert(delivery);
            }
        }
        // Those of receivers that fail go to their fallbacks too.
        let receivers = self.parts.config.receivers.clone();
        let fallback = |name: &str| receivers.get(name).and_then(|receiver| receiver.fallback.clone());
        let handed = self.outbox.hand_over(now, fallback);
        if handed.is_empty() {
            return Ok(());
        }
        Box::pin(self.keep(handed, now)).await
    }

    async fn save(&mut self) -> Result<(), Lost> {
        if self.unsaved.is_empty() {
            return Ok(());
        }
        let work = self.unsaved.to_work();
        let tells = self.unsaved.has_deliveries();
        match self.parts.store.save_notifier(&self.lease, &work).await {
            Ok(true) => self.unsaved = Unsaved::default(),
            Ok(false) => return Err(Lost),
            Err(error) if error.kind == ErrorKind::Rejected => {
                tracing::error!(%error, "what people are told cannot be kept, only told; report this");
                self.unsaved = Unsaved::default();
            }
            Err(error) => {
                tracing::debug!(%error, "what people are told is not kept yet");
                self.is_down = true;
                return Ok(());
            }
        }
        if tells {
            self.parts.hub.deliveries().await;
        }
        Ok(())
    }

    /// Begins to send what is due.
    async fn send_due(&mut self) -> Result<(), Lost> {
        let now = self.parts.config.clock.now();
        self.keep(Vec::new(), now).await?;
        for pending in self.outbox.take_due(now) {
            self.sending.begin(&self.parts.config.receivers, pending);
        }
        Ok(())
    }

    /// Keeps what became of an attempt.
    async fn take_attempt(&mut self, attempt: Attempt) -> Result<(), Lost> {
        let now = self.parts.config.clock.now();
        let before = self.outbox.get(&attempt.id).cloned();
        let finished = self
            .outbox
            .finish(&attempt.id, attempt.result, now, rand::random());
        let (Some(before), Some((delivery, verdict))) = (before, finished) else {
            self.outbox.abandon(&attempt.receiver);
            return Ok(());
        };
        let counters = &self.parts.counters;
        let mut changed = Vec::new();
        match verdict {
            Verdict::Sent => {
                counters.sent.fetch_add(1, Ordering::Relaxed);
            }
            Verdict::Again => {
                tracing::info!(
                    receiver = delivery.receiver,
                    problem = delivery.problem,
                    "a receiver failed"
                );
                counters.failed.fetch_add(1, Ordering::Relaxed);
            }
            Verdict::Dead => {
                tracing::error!(
                    receiver = delivery.receiver,
                    problem = delivery.problem,
                    "a notification is given up"
                );
                counters.failed.fetch_add(1, Ordering::Relaxed);
                counters.dead.fetch_add(1, Ordering::Relaxed);
                let receiver = self.parts.config.receivers.get(&delivery.receiver);
                let fallback = receiver.and_then(|receiver| receiver.fallback.as_ref());
                if let Some(fallback) = fallback.filter(|_| before.message.handed_to.is_empty()) {
                    changed.push(copy_for(&before, fallback, now));
                }
            }
        }
        changed.push(delivery);
        self.keep(changed, now).await
    }
}

/// A delivery that is due at once.
fn made(notification: &Notification, content: String, now: UnixMillis) -> Delivery {
    Delivery {
        id: id_of(&notification.identity),
        receiver: notification.receiver.clone(),
        content,
        created: now,
        state: DeliveryState::Pending,
        attempts: 0,
        due: now,
        problem: String::new(),
    }
}
