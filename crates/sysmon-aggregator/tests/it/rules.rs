//! A rule store that fails on demand, around a real one, and an alert service that says what it is told to say.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use prost::Message as _;
use sysmon_aggregator::Stores;
use sysmon_api::{alert_to_wire, transition_to_wire, wire};
use sysmon_core::alert::{
    Acknowledgement, Alert, AlertKey, Cause, Phase, Rule, RuleId, Severity, Silence, SilenceId, Transition,
};
use sysmon_core::{MachineId, UnixMillis};
use sysmon_store::{
    AuditEntry, Author, Delivery, DeliveryState, EventBus, Lease, LoggedTransition, NewSilence, Notifier,
    NotifierWork, Put, RuleStore, Shard, ShardWork, StoreError, StoreInfo, StoredRule, TransitionQuery, Work,
    open_bus, open_rule_store, shard_of,
};
use tokio::sync::watch;

use crate::faulty::Mode;
use crate::support::START;

/// A rule store that behaves as it is told to.
pub(crate) struct Rules {
    inner: Arc<dyn RuleStore>,
    mode: watch::Sender<Mode>,
    /// How often all alerts were read.
    pub(crate) loads: AtomicUsize,
}

impl Rules {
    pub(crate) async fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: open_rule_store("memory:").await.unwrap(),
            mode: watch::Sender::new(Mode::Well),
            loads: AtomicUsize::new(0),
        })
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    pub(crate) fn fail(&self) {
        self.set(Mode::Fails(StoreError::unavailable("connection refused")));
    }

    /// With a bus, unless there is to be none.
    pub(crate) fn stores(self: &Arc<Self>, bus: Option<&Arc<dyn EventBus>>) -> Stores {
        Stores {
            rules: Some(Arc::clone(self) as Arc<dyn RuleStore>),
            alert_bus: bus.cloned(),
            ..Stores::default()
        }
    }

    async fn behave(&self) -> Result<(), StoreError> {
        let mut mode = self.mode.subscribe();
        loop {
            let now = mode.borrow_and_update().clone();
            match now {
                Mode::Well => return Ok(()),
                Mode::Fails(error) => return Err(error),
                Mode::Panics => panic!("a mistake in the back end"),
                Mode::Slow(time) => {
                    tokio::time::sleep(time).await;
                    return Ok(());
                }
                Mode::Hangs => mode.changed().await.unwrap(),
            }
        }
    }
}

/// Stands for an alert service: stores and says what it is told to.
pub(crate) struct Service {
    pub(crate) store: Arc<dyn RuleStore>,
    pub(crate) bus: Option<Arc<dyn EventBus>>,
}

impl Service {
    pub(crate) async fn new() -> (Arc<Rules>, Arc<dyn EventBus>, Self) {
        let rules = Rules::new().await;
        let bus = open_bus("memory:").unwrap();
        let service = Self {
            store: Arc::clone(&rules.inner),
            bus: Some(Arc::clone(&bus)),
        };
        (rules, bus, service)
    }

    /// Stores alerts as they stand now, with their steps, and says so.
    pub(crate) async fn save(&self, alerts: &[Alert]) {
        self.store(alerts).await;
        self.say(wire::AlertNews {
            alerts: alerts.iter().map(alert_to_wire).collect(),
            transitions: alerts
                .iter()
                .map(|alert| transition_to_wire(0, &step(alert)))
                .collect(),
            ..Default::default()
        })
        .await;
    }

    /// Stores them without saying so.
    pub(crate) async fn store(&self, alerts: &[Alert]) {
        for alert in alerts {
            let work = Work::Shard(shard_of(&alert.key.machine));
            let leases = self.store.lease("service", &[work], 99, 60_000).await.unwrap();
            let lease = leases.iter().find(|lease| lease.work == work).unwrap();
            let is_gone = alert.phase == Phase::Inactive;
            let work = ShardWork {
                transitions: vec![step(alert)],
                alerts: (!is_gone).then(|| alert.clone()).into_iter().collect(),
                gone: is_gone.then(|| alert.key.clone()).into_iter().collect(),
                ..ShardWork::default()
            };
            assert!(self.store.save_shard(lease, &work).await.unwrap());
        }
    }

    pub(crate) async fn say(&self, mut news: wire::AlertNews) {
        news.sender_id = "service".into();
        let message = ("alerts".to_owned(), Bytes::from(news.encode_to_vec()));
        if let Some(bus) = &self.bus {
            bus.publish(&[message]).await.unwrap();
        }
    }

    /// Says that it works and has these receivers.
    pub(crate) async fn pulse(&self, receivers: &[&str]) {
        self.say(wire::AlertNews {
            pulse: Some(wire::AlertPulse {
                receivers: receivers.iter().map(ToString::to_string).collect(),
            }),
            ..Default::default()
        })
        .await;
    }

    /// Says every second that it works, until what this returns is dropped.
    pub(crate) fn keep_pulsing(&self) -> impl Drop {
        let bus = self.bus.clone().unwrap();
        let news = wire::AlertNews {
            sender_id: "service".into(),
            pulse: Some(wire::AlertPulse::default()),
            ..Default::default()
        };
        let pulsing = tokio::spawn(async move {
            loop {
                let message = ("alerts".to_owned(), news.encode_to_vec().into());
                bus.publish(&[message]).await.unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        tokio_util::task::AbortOnDropHandle::new(pulsing)
    }

    /// Stores a delivery in some state.
    pub(crate) async fn deliver(&self, number: u8, state: DeliveryState) -> String {
        let id = format!("{number:032x}");
        let delivery = Delivery {
            id: id.clone(),
            receiver: "ops".into(),
            content: r#"{"kind":"group","summary":"cpu on a"}"#.into(),
            created: START.plus_ms(i64::from(number)),
            state,
            attempts: 3,
            due: START,
            problem: "timed out".into(),
        };
        let leases = self.store.lease("service", &[Work::Notifier], 99, 60_000).await;
        let leases = leases.unwrap();
        let lease = leases.iter().find(|lease| lease.work == Work::Notifier).unwrap();
        let work = NotifierWork {
            deliveries: vec![delivery],
            ..NotifierWork::default()
        };
        assert!(self.store.save_notifier(lease, &work).await.unwrap());
        id
    }
}

pub(crate) fn alert(rule: &str, machine: &str, severity: Severity) -> Alert {
    Alert {
        key: AlertKey {
            rule: RuleId::parse(rule).unwrap(),
            machine: MachineId::parse(machine).unwrap(),
            entity: "".into(),
        },
        phase: Phase::Firing,
        severity,
        since: START,
        fired: Some(START),
        value: Some(97.0),
        threshold: Some(95.0),
        peak: Some(99.0),
        flapping: false,
        inhibited: false,
        silenced: None,
        acknowledged: None,
        culprits: Vec::new(),
    }
}

/// The same, gone.
pub(crate) fn gone(alert: &Alert) -> Alert {
    Alert {
        phase: Phase::Inactive,
        since: alert.since.plus_ms(1_000),
        ..alert.clone()
    }
}

fn step(alert: &Alert) -> Transition {
    Transition {
        key: alert.key.clone(),
        at: alert.since,
        from: Phase::Pending,
        to: alert.phase,
        severity_before: alert.severity,
        severity: alert.severity,
        cause: Cause::Held,
        value: alert.value,
        threshold: alert.threshold,
        fired: alert.fired,
        culprits: Vec::new(),
    }
}

#[async_trait]
impl RuleStore for Rules {
    async fn rules(&self) -> Result<Vec<StoredRule>, StoreError> {
        self.behave().await?;
        self.inner.rules().await
    }

    async fn put_rule(&self, rule: &Rule, expected: u64, author: &Author) -> Result<Put, StoreError> {
        self.behave().await?;
        self.inner.put_rule(rule, expected, author).await
    }

    async fn delete_rule(&self, id: &RuleId, expected: u64, author: &Author) -> Result<Put, StoreError> {
        self.behave().await?;
        self.inner.delete_rule(id, expected, author).await
    }

    async fn install_starter(&self, rules: &[Rule], author: &Author) -> Result<usize, StoreError> {
        self.inner.install_starter(rules, author).await
    }

    async fn silences(&self, now: UnixMillis) -> Result<Vec<Silence>, StoreError> {
        self.behave().await?;
        self.inner.silences(now).await
    }

    async fn add_silence(&self, silence: &NewSilence, author: &Author) -> Result<Silence, StoreError> {
        self.behave().await?;
        self.inner.add_silence(silence, author).await
    }

    async fn end_silence(&self, id: SilenceId, author: &Author) -> Result<bool, StoreError> {
        self.behave().await?;
        self.inner.end_silence(id, author).await
    }

    async fn acknowledge(
        &self,
        key: &AlertKey,
        acknowledgement: Option<&Acknowledgement>,
        author: &Author,
    ) -> Result<(), StoreError> {
        self.behave().await?;
        self.inner.acknowledge(key, acknowledgement, author).await
    }

    async fn acknowledgements(&self) -> Result<Vec<(AlertKey, Acknowledgement)>, StoreError> {
        self.inner.acknowledgements().await
    }

    async fn note(
        &self,
        author: &Author,
        action: &'static str,
        object: &str,
        after: &str,
    ) -> Result<(), StoreError> {
        self.behave().await?;
        self.inner.note(author, action, object, after).await
    }

    async fn audit(&self, before: Option<i64>, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        self.behave().await?;
        self.inner.audit(before, limit).await
    }

    async fn lease(
        &self,
        holder: &str,
        wanted: &[Work],
        most: usize,
        lease_ms: u64,
    ) -> Result<Vec<Lease>, StoreError> {
        self.inner.lease(holder, wanted, most, lease_ms).await
    }

    async fn holders(&self) -> Result<Vec<(Work, String)>, StoreError> {
        self.inner.holders().await
    }

    async fn release(&self, leases: &[Lease]) -> Result<(), StoreError> {
        self.inner.release(leases).await
    }

    async fn load_shard(&self, shard: u32) -> Result<Shard, StoreError> {
        self.inner.load_shard(shard).await
    }

    async fn save_shard(&self, lease: &Lease, work: &ShardWork) -> Result<bool, StoreError> {
        self.inner.save_shard(lease, work).await
    }

    /// What was there when it was asked for, however long the answer takes.
    async fn alerts(&self) -> Result<Vec<Alert>, StoreError> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let alerts = self.inner.alerts().await?;
        self.behave().await?;
        Ok(alerts)
    }

    async fn transitions(&self, query: &TransitionQuery) -> Result<Vec<LoggedTransition>, StoreError> {
        self.behave().await?;
        self.inner.transitions(query).await
    }

    async fn load_notifier(&self) -> Result<Notifier, StoreError> {
        self.inner.load_notifier().await
    }

    async fn transitions_after(&self, after: i64, limit: u32) -> Result<Vec<LoggedTransition>, StoreError> {
        self.behave().await?;
        self.inner.transitions_after(after, limit).await
    }

    async fn save_notifier(&self, lease: &Lease, work: &NotifierWork) -> Result<bool, StoreError> {
        self.inner.save_notifier(lease, work).await
    }

    async fn deliveries(
        &self,
        state: Option<DeliveryState>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.behave().await?;
        self.inner.deliveries(state, limit).await
    }

    async fn resend(&self, id: &str, author: &Author) -> Result<bool, StoreError> {
        self.behave().await?;
        self.inner.resend(id, author).await
    }

    async fn request_delivery(&self, delivery: &Delivery, author: &Author) -> Result<(), StoreError> {
        self.behave().await?;
        self.inner.request_delivery(delivery, author).await
    }

    async fn maintain_rules(&self, now: UnixMillis, log_ms: u64) -> Result<(), StoreError> {
        self.inner.maintain_rules(now, log_ms).await
    }

    fn info(&self) -> StoreInfo {
        self.inner.info()
    }
}
