//! Rules in this process: for trying things out and for tests.

mod people;
mod work;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use sysmon_core::alert::{
    Acknowledgement, Alert, AlertKey, Phase, Rule, RuleId, Severity, Silence, SilenceId, Transition,
};
use sysmon_core::{MachineId, UnixMillis};
use tokio::time::Instant;

use super::check::{self, CheckedNotifierWork, CheckedWork, Kept};
use super::lease::{self, Held, Request};
use super::{
    AuditEntry, Author, Delivery, DeliveryState, Lease, LoggedTransition, NewSilence, Notifier, NotifierWork,
    Put, RuleStore, Shard, ShardWork, StoredRule, TransitionQuery, Work,
};
use crate::error::StoreError;
use crate::history::StoreInfo;

/// The most steps that are kept; more push out the oldest.
const LOG_MAX: usize = 100_000;
/// The most audit entries that are kept; more push out the oldest.
const AUDIT_MAX: usize = 10_000;

/// Everything in maps; gone with the process.
#[derive(Debug)]
pub(crate) struct MemoryRules {
    state: Mutex<State>,
    /// Leases run from here.
    started: Instant,
}

impl Default for MemoryRules {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            started: Instant::now(),
        }
    }
}

/// What makes a step the only one of its kind.
type Step = (AlertKey, UnixMillis, Phase, Severity);

#[derive(Debug, Default)]
struct State {
    rules: BTreeMap<RuleId, StoredRule>,
    /// The versions of rules that are gone.
    removed: BTreeMap<RuleId, u64>,
    has_starter: bool,
    silences: BTreeMap<SilenceId, Silence>,
    last_silence: i64,
    acknowledgements: BTreeMap<AlertKey, Acknowledgement>,
    audit: BTreeMap<i64, AuditEntry>,
    last_audit: i64,
    leases: BTreeMap<Work, Held>,
    alerts: BTreeMap<AlertKey, Alert>,
    /// With the time of saving, in Unix milliseconds.
    states: BTreeMap<MachineId, (Bytes, i64)>,
    log: BTreeMap<i64, Transition>,
    steps: HashSet<Step>,
    last_step: i64,
    read: Option<i64>,
    groups: BTreeMap<String, Bytes>,
    deliveries: BTreeMap<String, Delivery>,
}

impl MemoryRules {
    /// Never held across an await. What panicked while it was held left nothing half-done that matters.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lease_clock_ms(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

#[async_trait]
impl RuleStore for MemoryRules {
    async fn rules(&self) -> Result<Vec<StoredRule>, StoreError> {
        Ok(self.lock().rules.values().cloned().collect())
    }

    async fn put_rule(&self, rule: &Rule, expected: u64, author: &Author) -> Result<Put, StoreError> {
        check::rule(rule)?;
        check::author(author)?;
        self.lock().put_rule(rule, expected, author)
    }

    async fn delete_rule(&self, id: &RuleId, expected: u64, author: &Author) -> Result<Put, StoreError> {
        check::author(author)?;
        self.lock().delete_rule(id, expected, author)
    }

    async fn install_starter(&self, rules: &[Rule], author: &Author) -> Result<usize, StoreError> {
        check::author(author)?;
        rules.iter().try_for_each(|rule| check::rule(rule).map(drop))?;
        self.lock().install_starter(rules, author)
    }

    async fn silences(&self, now: UnixMillis) -> Result<Vec<Silence>, StoreError> {
        let state = self.lock();
        let current = state.silences.values().filter(|silence| silence.until > now);
        Ok(current.cloned().collect())
    }

    async fn add_silence(&self, silence: &NewSilence, author: &Author) -> Result<Silence, StoreError> {
        let (silence, _) = check::new_silence(silence, author)?;
        self.lock().add_silence(silence, author)
    }

    async fn end_silence(&self, id: SilenceId, author: &Author) -> Result<bool, StoreError> {
        check::author(author)?;
        self.lock().end_silence(id, author)
    }

    async fn acknowledge(
        &self,
        key: &AlertKey,
        acknowledgement: Option<&Acknowledgement>,
        author: &Author,
    ) -> Result<(), StoreError> {
        check::author(author)?;
        check::acknowledgement(key, acknowledgement)?;
        self.lock().acknowledge(key, acknowledgement, author)
    }

    async fn acknowledgements(&self) -> Result<Vec<(AlertKey, Acknowledgement)>, StoreError> {
        Ok(self.lock().acknowledgements.clone().into_iter().collect())
    }

    async fn note(
        &self,
        author: &Author,
        action: &'static str,
        object: &str,
        after: &str,
    ) -> Result<(), StoreError> {
        let change = check::noted(author, action, object, after)?;
        self.lock().note(author, change);
        Ok(())
    }

    async fn audit(&self, before: Option<i64>, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let state = self.lock();
        let older = state.audit.range(..before.unwrap_or(i64::MAX)).rev();
        let limit = check::limit(limit) as usize;
        Ok(older.map(|(_, entry)| entry.clone()).take(limit).collect())
    }

    async fn lease(
        &self,
        holder: &str,
        wanted: &[Work],
        most: usize,
        lease_ms: u64,
    ) -> Result<Vec<Lease>, StoreError> {
        check::lease(holder, lease_ms)?;
        let request = Request {
            holder,
            wanted,
            most,
            lease_ms,
        };
        let now = self.lease_clock_ms();
        Ok(lease::lease(&mut self.lock().leases, request, now))
    }

    async fn holders(&self) -> Result<Vec<(Work, String)>, StoreError> {
        let now = self.lease_clock_ms();
        Ok(lease::holders(&self.lock().leases, now))
    }

    async fn release(&self, leases: &[Lease]) -> Result<(), StoreError> {
        let mut state = self.lock();
        for lease in leases {
            if let Some(held) = state.leases.get_mut(&lease.work)
                && held.fence == lease.fence
            {
                held.holder = None;
            }
        }
        Ok(())
    }

    async fn load_shard(&self, shard: u32) -> Result<Shard, StoreError> {
        Ok(self.lock().shard(shard))
    }

    async fn save_shard(&self, lease: &Lease, work: &ShardWork) -> Result<bool, StoreError> {
        let work = CheckedWork::new(lease, work)?;
        Ok(self.lock().save_shard(lease, &work))
    }

    async fn alerts(&self) -> Result<Vec<Alert>, StoreError> {
        Ok(self.lock().alerts.values().cloned().collect())
    }

    async fn transitions(&self, query: &TransitionQuery) -> Result<Vec<LoggedTransition>, StoreError> {
        check::query(query)?;
        Ok(self.lock().transitions(query))
    }

    async fn load_notifier(&self) -> Result<Notifier, StoreError> {
        Ok(self.lock().notifier())
    }

    async fn transitions_after(&self, after: i64, limit: u32) -> Result<Vec<LoggedTransition>, StoreError> {
        let state = self.lock();
        let newer = state.log.range(after.saturating_add(1)..);
        let logged = newer.map(|(id, transition)| LoggedTransition {
            id: *id,
            transition: transition.clone(),
        });
        Ok(logged.take(check::limit(limit) as usize).collect())
    }

    async fn save_notifier(&self, lease: &Lease, work: &NotifierWork) -> Result<bool, StoreError> {
        let work = CheckedNotifierWork::new(lease, work)?;
        Ok(self.lock().save_notifier(lease, &work))
    }

    async fn deliveries(
        &self,
        state: Option<DeliveryState>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        Ok(self.lock().deliveries(state, check::limit(limit)))
    }

    async fn resend(&self, id: &str, author: &Author) -> Result<bool, StoreError> {
        check::author(author)?;
        self.lock().resend(id, author)
    }

    async fn request_delivery(&self, delivery: &Delivery, author: &Author) -> Result<(), StoreError> {
        let delivery = check::requested(delivery, author)?;
        self.lock().request_delivery(delivery, author)
    }

    async fn maintain_rules(&self, now: UnixMillis, log_ms: u64) -> Result<(), StoreError> {
        self.lock().maintain(Kept::new(now, log_ms));
        Ok(())
    }

    fn info(&self) -> StoreInfo {
        StoreInfo {
            engine: "memory".to_owned(),
            notices: vec!["rules and alerts are gone with this process".to_owned()],
        }
    }
}
