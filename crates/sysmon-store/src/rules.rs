//! Keeps what people decided about alerts, and what became of them.

mod check;
mod lease;
pub(crate) mod memory;
pub(crate) mod postgres;
mod rows;
pub(crate) mod sqlite;
mod words;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sysmon_core::alert::{
    Acknowledgement, Alert, AlertKey, Matcher, Rule, RuleId, Silence, SilenceId, Transition,
};
use sysmon_core::{MachineId, UnixMillis};

use crate::error::StoreError;
use crate::history::StoreInfo;

/// Rules, silences and acknowledgements with their audit log; alerts, their log and their timers; notifications to send.
///
/// Several alert services share the work by leases: one per shard of machines, and one for notifications. A lease has a
/// fence that grows with every new holder; whatever a holder writes is checked against it in the same transaction, so
/// that a holder that was away and does not know it writes nothing. Leases run on the store's clock.
///
/// Refused as [`crate::ErrorKind::Rejected`], with nothing stored, are: NUL characters (but in JSON, escaped), numbers that are
/// not finite, moments before 4713 BC or after the year 275,760, entities and keys of groups over 2,048 bytes, names of
/// authors, holders and receivers that are empty or over 256, other texts over 64 KiB, and rules, messages and states
/// over 1 MiB. Lists are answered up to 10,000 long.
#[async_trait]
pub trait RuleStore: Send + Sync + 'static {
    /// All rules, sorted by id.
    async fn rules(&self) -> Result<Vec<StoredRule>, StoreError>;

    /// Makes or replaces a rule. `expected` is the version that the author saw, 0 for none: with another one nothing is
    /// stored, and the present rule comes back. Whether the rule makes sense is the caller's business. Audited.
    async fn put_rule(&self, rule: &Rule, expected: u64, author: &Author) -> Result<Put, StoreError>;

    /// Removes a rule of this version; as [`RuleStore::put_rule`]. Removing what is not there is a conflict with nothing.
    async fn delete_rule(&self, id: &RuleId, expected: u64, author: &Author) -> Result<Put, StoreError>;

    /// Stores the starter pack, if that was never done in this store; rules of the same id stay as they are. Returns how
    /// many were stored. Rules that were removed stay so. Audited.
    async fn install_starter(&self, rules: &[Rule], author: &Author) -> Result<usize, StoreError>;

    /// All silences that end after `now`, sorted by id.
    async fn silences(&self, now: UnixMillis) -> Result<Vec<Silence>, StoreError>;

    /// Begins a silence; the store gives it its id. Audited.
    async fn add_silence(&self, silence: &NewSilence, author: &Author) -> Result<Silence, StoreError>;

    /// Ends a silence at the author's moment; `false` when it is not there or over. Audited.
    async fn end_silence(&self, id: SilenceId, author: &Author) -> Result<bool, StoreError>;

    /// Sets or clears what somebody said of an alert. Audited.
    async fn acknowledge(
        &self,
        key: &AlertKey,
        acknowledgement: Option<&Acknowledgement>,
        author: &Author,
    ) -> Result<(), StoreError>;

    /// All acknowledgements, sorted by key.
    async fn acknowledgements(&self) -> Result<Vec<(AlertKey, Acknowledgement)>, StoreError>;

    /// Writes something that was done, but is stored nowhere here, into the audit log; `after` is JSON that tells how.
    ///
    /// # Errors
    /// That a text is not one that can be kept, or that the store does not answer.
    async fn note(
        &self,
        author: &Author,
        action: &'static str,
        object: &str,
        after: &str,
    ) -> Result<(), StoreError>;

    /// The audit log, newest first, older than entry `before` (from the newest when none), at most `limit`.
    async fn audit(&self, before: Option<i64>, limit: u32) -> Result<Vec<AuditEntry>, StoreError>;

    /// Takes or renews leases for `holder`: keeps those it has, takes free or lapsed ones, up to `most` in all, for
    /// `lease_ms` from now, 1 ms to a day. Returns all that it holds, sorted by work. Work of others is never taken before it
    /// lapses. All that it holds counts towards `most`, wanted or not, and is renewed; what is taken is taken in the order
    /// of `wanted`. A lease that nobody took after it lapsed is renewed with its fence.
    async fn lease(
        &self,
        holder: &str,
        wanted: &[Work],
        most: usize,
        lease_ms: u64,
    ) -> Result<Vec<Lease>, StoreError>;

    /// Who holds what at present, so that replicas can share evenly.
    async fn holders(&self) -> Result<Vec<(Work, String)>, StoreError>;

    /// Gives leases back, so that others need not wait for them to lapse.
    async fn release(&self, leases: &[Lease]) -> Result<(), StoreError>;

    /// Everything that is kept of the machines of a shard.
    async fn load_shard(&self, shard: u32) -> Result<Shard, StoreError>;

    /// Stores a piece of a shard's work in one transaction: transitions (those that are there already are dropped), alerts
    /// as they stand now, and machines' states. Acknowledgements of alerts that are gone are removed. `false`: the lease
    /// is another's by now, and nothing was stored. Of what is named twice the later counts; what is in `alerts` or `states`
    /// counts over what is gone or forgotten, and an alert that is inactive is gone. Refused when a machine is of
    /// another shard than the lease: nothing would guard it.
    async fn save_shard(&self, lease: &Lease, work: &ShardWork) -> Result<bool, StoreError>;

    /// All alerts that are not inactive, sorted by key.
    async fn alerts(&self) -> Result<Vec<Alert>, StoreError>;

    /// The log of alerts, newest first unless asked for otherwise.
    async fn transitions(&self, query: &TransitionQuery) -> Result<Vec<LoggedTransition>, StoreError>;

    /// What the notifier has to know when it takes over: its state, and deliveries that are pending, the first due first.
    /// The first call in a store settles from where the log is read.
    async fn load_notifier(&self) -> Result<Notifier, StoreError>;

    /// The log after entry `after`, oldest first, at most `limit`: entries appear in the order of their numbers, none is
    /// ever inserted before one that was seen.
    async fn transitions_after(&self, after: i64, limit: u32) -> Result<Vec<LoggedTransition>, StoreError>;

    /// Stores a piece of the notifier's work in one transaction: how far it read, its state, new and changed deliveries
    /// (by id). `false`: the lease is another's by now, and nothing was stored.
    async fn save_notifier(&self, lease: &Lease, work: &NotifierWork) -> Result<bool, StoreError>;

    /// Deliveries, newest first, at most `limit`; those in one state only when given.
    async fn deliveries(&self, state: Option<DeliveryState>, limit: u32)
    -> Result<Vec<Delivery>, StoreError>;

    /// Makes a dead delivery due at the author's moment, with no attempts so far; `false` when there is none of this id that
    /// is dead. Audited.
    async fn resend(&self, id: &str, author: &Author) -> Result<bool, StoreError>;

    /// Adds a delivery that somebody asked for, such as a test of a receiver: pending, due at the author's moment. Refused when
    /// its id is taken. Audited.
    async fn request_delivery(&self, delivery: &Delivery, author: &Author) -> Result<(), StoreError>;

    /// Removes what is old: transitions after `log_ms`, finished deliveries and ended silences after 30 days, audit
    /// entries after two years, states of machines that have no alerts and were not saved for `log_ms`, acknowledgements of
    /// alerts that are not there after a day. At most 10,000 of each at a time.
    async fn maintain_rules(&self, now: UnixMillis, log_ms: u64) -> Result<(), StoreError>;

    /// What this store is.
    fn info(&self) -> StoreInfo;
}

/// Opens the rule store that belongs to a history's URL (see [`crate::open_history`]): the same database, the same schema.
///
/// # Errors
/// As [`crate::open_history`].
pub async fn open_rule_store(url: &str) -> Result<Arc<dyn RuleStore>, StoreError> {
    crate::open::rule_store(url).await
}

/// Who does something, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// Who.
    pub name: String,
    /// When.
    pub at: UnixMillis,
}

/// A rule as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRule {
    /// The rule.
    pub rule: Rule,
    /// Grows with every change, from 1; goes on where it was when a removed rule is made again.
    pub version: u64,
    /// Who changed it last, and when.
    pub changed: Author,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq)]
pub enum Put {
    /// It is done; the rule as it is now, or as it was when it was removed.
    Done(StoredRule),
    /// Somebody else changed it: as it is now, none when it is not there.
    Conflict(Option<StoredRule>),
}

/// A silence that is to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSilence {
    /// What it mutes.
    pub matcher: Matcher,
    /// From when, included.
    pub from: UnixMillis,
    /// Until when, not included.
    pub until: UnixMillis,
    /// Why.
    pub comment: String,
}

/// One change that somebody made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number, from 1, ascending.
    pub id: i64,
    /// Who and when.
    pub author: Author,
    /// What was done: `rule.put`, `rule.delete`, `rule.starter`, `silence.add`, `silence.end`, `alert.acknowledge`,
    /// `alert.unacknowledge`, `delivery.resend`, `delivery.request`, `process.signal`.
    pub action: String,
    /// To what: a rule's id, a silence's, an alert's key as `RULE/MACHINE` or `RULE/MACHINE/ENTITY`, a delivery's id, a process
    /// as `MACHINE/PID`.
    pub object: String,
    /// How it was, as JSON; none when it was not there.
    pub before: Option<String>,
    /// How it is, as JSON; none when it is gone.
    pub after: Option<String>,
}

/// What a lease is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Work {
    /// The machines of a shard, see [`shard_of`].
    Shard(u32),
    /// Notifications of all shards.
    Notifier,
}

/// How many shards of machines there are.
pub const SHARDS: u32 = 16;

/// The shard of a machine: CRC-32 of its id, modulo [`SHARDS`].
#[must_use]
pub fn shard_of(machine: &MachineId) -> u32 {
    crc32fast::hash(machine.as_str().as_bytes()) % SHARDS
}

/// The right to do some work for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which work.
    pub work: Work,
    /// Grows with every new holder.
    pub fence: i64,
}

/// What is kept of a shard.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shard {
    /// The engine's state of each machine, as it was saved.
    pub states: Vec<(MachineId, Bytes)>,
    /// Alerts that are not inactive.
    pub alerts: Vec<Alert>,
}

/// A piece of a shard's work.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShardWork {
    /// New steps, in order.
    pub transitions: Vec<Transition>,
    /// Alerts that changed.
    pub alerts: Vec<Alert>,
    /// Alerts that are not there any more.
    pub gone: Vec<AlertKey>,
    /// The engine's state of machines; at most 1 MiB each.
    pub states: Vec<(MachineId, Bytes)>,
    /// Machines that are forgotten.
    pub forgotten: Vec<MachineId>,
}

/// A step with its place in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedTransition {
    /// Its number, ascending.
    pub id: i64,
    /// The step.
    pub transition: Transition,
}

/// Which part of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransitionQuery {
    /// Of these machines; empty for all.
    pub machines: Vec<MachineId>,
    /// Of these rules; empty for all.
    pub rules: Vec<RuleId>,
    /// From when, included.
    pub from: Option<UnixMillis>,
    /// Until when, not included.
    pub to: Option<UnixMillis>,
    /// Older than this entry; newer than it when the oldest comes first.
    pub before: Option<i64>,
    /// At most so many, 1 to 10,000.
    pub limit: u32,
    /// The oldest first, instead of the newest.
    pub oldest_first: bool,
}

/// What is kept for the notifier.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notifier {
    /// The last entry of the log that it has read; the newest one there is when it never ran.
    pub read: i64,
    /// Its own state by key.
    pub groups: Vec<(String, Bytes)>,
    /// Deliveries that are pending.
    pub pending: Vec<Delivery>,
}

/// A piece of the notifier's work.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NotifierWork {
    /// How far it has read; none when that did not change.
    pub read: Option<i64>,
    /// Its own state by key; empty bytes remove it.
    pub groups: Vec<(String, Bytes)>,
    /// New and changed deliveries.
    pub deliveries: Vec<Delivery>,
}

/// One message to one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Names it for ever, also for its receiver: 32 hexadecimal digits.
    pub id: String,
    /// Name of the receiver.
    pub receiver: String,
    /// What it says, as JSON of the alert service's own.
    pub content: String,
    /// When it was made.
    pub created: UnixMillis,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next; when it was finished.
    pub due: UnixMillis,
    /// Why the last attempt failed; empty when none did.
    pub problem: String,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeliveryState {
    /// To be sent.
    Pending,
    /// The receiver has taken it.
    Sent,
    /// It was tried often enough; somebody has to look.
    Dead,
    /// It is not needed any more, or another receiver has it.
    Dropped,
}

impl DeliveryState {
    /// All states with the word used in the database and on the screen.
    pub const WORDS: [(Self, &'static str); 4] = [
        (Self::Pending, "pending"),
        (Self::Sent, "sent"),
        (Self::Dead, "dead"),
        (Self::Dropped, "dropped"),
    ];

    /// The word used in the database and on the screen.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(state, _)| *state == self)
            .map_or("pending", |(_, word)| word)
    }
}

impl Delivery {
    /// The same to be sent anew: its attempts begin again, and why the last one failed stays.
    pub(crate) fn again(&self, due: UnixMillis) -> Self {
        Self {
            state: DeliveryState::Pending,
            attempts: 0,
            due,
            ..self.clone()
        }
    }
}
