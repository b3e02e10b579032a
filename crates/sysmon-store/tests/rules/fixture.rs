//! Rules, alerts and stores for tests.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use sysmon_core::alert::{
    Acknowledgement, Alert, AlertKey, Cause, Check, Comparison, Culprit, Function, Level, Matcher,
    MetricCheck, Phase, Quantity, Rule, RuleId, Scope, Severity, Transition,
};
use sysmon_core::{MachineId, UnixMillis};
use sysmon_store::{
    Author, Delivery, DeliveryState, Lease, NewSilence, NotifierWork, RuleStore, SHARDS, ShardWork, Work,
    shard_of,
};

pub(crate) const MINUTE_MS: i64 = 60_000;
pub(crate) const DAY_MS: i64 = 86_400_000;
/// Long enough for a test, whatever else the machine does.
pub(crate) const LONG_MS: u64 = 600_000;

/// A store for one test, empty at first.
#[async_trait]
pub(crate) trait Backend: Send + Sync {
    /// Another handle on the same data, as another process would have.
    async fn open(&self) -> Arc<dyn RuleStore>;
}

#[async_trait]
impl Backend for Box<dyn Backend> {
    async fn open(&self) -> Arc<dyn RuleStore> {
        (**self).open().await
    }
}

pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMillis(i64::try_from(since.as_millis()).unwrap())
}

pub(crate) fn author(name: &str, at: UnixMillis) -> Author {
    Author {
        name: name.into(),
        at,
    }
}

pub(crate) fn ann() -> Author {
    author("ann", now())
}

pub(crate) fn id(text: &str) -> RuleId {
    RuleId::parse(text).unwrap()
}

pub(crate) fn rule(name: &str, trigger: f64) -> Rule {
    Rule {
        id: id(name),
        title: format!("Something of {name}"),
        note: "Look at it.".into(),
        enabled: true,
        hold_ms: 300_000,
        clear_hold_ms: 60_000,
        scope: Scope {
            labels: vec!["role=db".into()],
            ..Scope::default()
        },
        check: Check::Metric(MetricCheck {
            quantity: Quantity {
                metric: "cpu.busy_percent".into(),
                per: None,
                function: Function::Average,
                window_ms: 60_000,
            },
            comparison: Comparison::Above,
            info: None,
            warning: Some(Level {
                trigger,
                clear: None,
                and: None,
            }),
            critical: None,
        }),
    }
}

/// The n-th machine of a shard.
pub(crate) fn machine_of(shard: u32, number: usize) -> MachineId {
    let names = (0..).map(|count| MachineId::parse(&format!("host-{count}")).unwrap());
    let mut own = names.filter(|machine| shard_of(machine) == shard);
    own.nth(number).unwrap()
}

pub(crate) fn key(machine: &MachineId, entity: &str) -> AlertKey {
    AlertKey {
        rule: id("disk-full"),
        machine: machine.clone(),
        entity: entity.into(),
    }
}

pub(crate) fn culprit(name: &str) -> Culprit {
    Culprit {
        pid: u32::MAX,
        name: name.into(),
        user: "root".into(),
        cpu_percent: 0.1 + 0.2,
        memory_bytes: u64::MAX,
    }
}

pub(crate) fn acknowledgement(by: &str) -> Acknowledgement {
    Acknowledgement {
        by: by.into(),
        comment: "I know.".into(),
        at: now(),
        until: Some(now().plus_ms(MINUTE_MS)),
        severity: Severity::Warning,
    }
}

pub(crate) fn alert(key: &AlertKey, phase: Phase) -> Alert {
    Alert {
        key: key.clone(),
        phase,
        severity: Severity::Critical,
        since: now(),
        fired: (phase != Phase::Pending).then(|| now().plus_ms(-MINUTE_MS)),
        value: Some(97.25),
        threshold: Some(95.0),
        peak: Some(99.9),
        flapping: true,
        inhibited: false,
        silenced: None,
        acknowledged: Some(acknowledgement("bob")),
        culprits: vec![culprit("postgres"), culprit("vacuum")],
    }
}

pub(crate) fn transition(key: &AlertKey, at: UnixMillis, to: Phase) -> Transition {
    Transition {
        key: key.clone(),
        at,
        from: Phase::Pending,
        to,
        severity_before: Severity::Warning,
        severity: Severity::Critical,
        cause: Cause::Held,
        value: Some(97.25),
        threshold: Some(95.0),
        fired: Some(at),
        culprits: vec![culprit("postgres")],
    }
}

pub(crate) fn delivery(number: u32) -> Delivery {
    Delivery {
        id: format!("{number:032x}"),
        receiver: "ops".into(),
        content: format!(r#"{{ "text" : "disk full", "text": "\u0000", "number": {number} }}"#),
        created: now().plus_ms(i64::from(number)),
        state: DeliveryState::Pending,
        attempts: 0,
        due: now(),
        problem: String::new(),
    }
}

pub(crate) fn new_silence(from: UnixMillis, until: UnixMillis) -> NewSilence {
    NewSilence {
        matcher: Matcher {
            rules: vec![id("disk-full")],
            machines: vec![machine_of(0, 0)],
            labels: vec!["role=db".into()],
            entities: vec!["/var*".into()],
        },
        from,
        until,
        comment: "The disk is being replaced.".into(),
    }
}

/// All work there is.
pub(crate) fn all_work() -> Vec<Work> {
    (0..SHARDS).map(Work::Shard).chain([Work::Notifier]).collect()
}

/// The lease of one piece of work, taken for long.
pub(crate) async fn leased(store: &Arc<dyn RuleStore>, holder: &str, work: Work) -> Lease {
    let leases = store.lease(holder, &[work], usize::MAX, LONG_MS).await.unwrap();
    leases.into_iter().find(|lease| lease.work == work).unwrap()
}

/// Saves what is new of some keys of a shard.
pub(crate) async fn save(store: &Arc<dyn RuleStore>, lease: &Lease, work: ShardWork) {
    assert!(store.save_shard(lease, &work).await.unwrap());
}

/// Steps that are to be in the log.
pub(crate) async fn log(
    store: &Arc<dyn RuleStore>,
    holder: &str,
    shard: u32,
    transitions: Vec<Transition>,
) -> Lease {
    let lease = leased(store, holder, Work::Shard(shard)).await;
    let work = ShardWork {
        transitions,
        ..ShardWork::default()
    };
    save(store, &lease, work).await;
    lease
}

/// Two alerts that fire, one of them muted, another that is pending; a notification that failed.
pub(crate) async fn busy_day(store: &Arc<dyn RuleStore>) {
    let machine = machine_of(3, 0);
    let (var, home, root) = (key(&machine, "/var"), key(&machine, "/home"), key(&machine, "/"));
    store.put_rule(&rule("disk-full", 80.0), 0, &ann()).await.unwrap();
    store.put_rule(&rule("quiet", 80.0), 0, &ann()).await.unwrap();
    let silence = store
        .add_silence(&new_silence(now(), now().plus_ms(600_000)), &ann())
        .await
        .unwrap();
    store
        .acknowledge(&var, Some(&acknowledgement("ann")), &ann())
        .await
        .unwrap();
    let steps = vec![
        transition(&var, now(), Phase::Firing),
        transition(&home, now(), Phase::Firing),
        transition(&home, now(), Phase::Resolved),
    ];
    let lease = log(store, "a", 3, steps).await;
    let mut pending = alert(&root, Phase::Pending);
    pending.fired = None;
    let mut muted = alert(&home, Phase::NoData);
    muted.silenced = Some(silence.id);
    let work = ShardWork {
        alerts: vec![alert(&var, Phase::Firing), muted, pending],
        ..ShardWork::default()
    };
    save(store, &lease, work).await;
    let mut failed = delivery(1);
    failed.state = DeliveryState::Dead;
    failed.problem = "no route".into();
    let mut good = delivery(2);
    for delivery in [&mut failed, &mut good] {
        // Nobody can look into JSON with a NUL in it.
        delivery.content = delivery.content.replace("\\u0000", "");
    }
    let notifier = leased(store, "a", Work::Notifier).await;
    let work = NotifierWork {
        deliveries: vec![failed, good],
        ..NotifierWork::default()
    };
    assert!(store.save_notifier(&notifier, &work).await.unwrap());
}
