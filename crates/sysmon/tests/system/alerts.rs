//! Alerts with every part in a process of its own, on Redis and PostgreSQL: whichever alert service is killed, and
//! whenever, an alert takes every step once, and people are told of it once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sysmon_api::{Client, ClientConfig, Endpoint, rule_to_wire, wire};
use sysmon_core::MachineId;
use sysmon_core::alert::{Check, Function, Level, Phase, RuleId, Transition};
use sysmon_store::{RuleStore, SHARDS, TransitionQuery, Work, open_rule_store, shard_of};
use tokio::time::sleep;

use crate::hook::Hook;
use crate::load::{Load, Others, when_others_are_quiet};
use crate::postgres_server::PostgresServer;
use crate::redis_server::RedisServer;
use crate::support::{Home, PATIENCE, Role};

const MACHINE: &str = "alpha";
const RULE: &str = "cpu-busy";
const HOLD_MS: u64 = 15_000;
/// How soon the work of a service that was killed is in other hands: what the product promises.
const TAKEOVER: Duration = Duration::from_secs(10);

/// Several alert services, by the names under which they hold leases.
struct Replicas {
    storage: Vec<String>,
    hook_url: String,
    store: Arc<dyn RuleStore>,
    /// Each with the folders of its own machine.
    running: BTreeMap<String, (Role, Home)>,
}

impl Replicas {
    /// One more; waits until it has its share.
    async fn add(&mut self) {
        let home = Home::new();
        let arguments: Vec<&str> = ["alerts"]
            .into_iter()
            .chain(self.storage.iter().map(String::as_str))
            .collect();
        let mut command = home.sysmon(&arguments);
        let role = Role::spawn(command.env("SYSMON_ALERTS_WEBHOOK", &self.hook_url));
        let known: BTreeSet<String> = self.running.keys().cloned().collect();
        let count = known.len() + 1;
        let deadline = Instant::now() + PATIENCE;
        let name = loop {
            let shards = self.shards().await;
            let holders: BTreeSet<&String> = shards.values().collect();
            let new = holders.iter().find(|name| !known.contains(**name));
            if let Some(new) = new.filter(|_| shards.len() == SHARDS as usize && holders.len() == count) {
                break (*new).clone();
            }
            assert!(Instant::now() < deadline, "it never got its share: {shards:?}");
            sleep(Duration::from_millis(50)).await;
        };
        self.running.insert(name, (role, home));
    }

    /// Who holds which shard.
    async fn shards(&self) -> BTreeMap<u32, String> {
        let held = self.store.holders().await.unwrap().into_iter();
        let shards = held.filter_map(|(work, holder)| match work {
            Work::Shard(shard) if shard < SHARDS => Some((shard, holder)),
            _ => None,
        });
        shards.collect()
    }

    async fn holder(&self) -> Option<String> {
        let shard = shard_of(&MachineId::parse(MACHINE).unwrap());
        self.shards().await.remove(&shard)
    }

    /// Kills the one that judges the machine; another has to take over in time.
    async fn kill_the_holder(&mut self) {
        let holder = self.holder().await.unwrap();
        let (role, _home) = self.running.remove(&holder).unwrap();
        role.kill().await;
        let killed = Instant::now();
        while self.holder().await.is_none_or(|now| now == holder) {
            assert!(killed.elapsed() < TAKEOVER, "nobody has taken over");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Steps of the alert, oldest first.
async fn steps(store: &dyn RuleStore) -> Vec<Transition> {
    let query = TransitionQuery {
        rules: vec![RuleId::parse(RULE).unwrap()],
        limit: 1_000,
        ..TransitionQuery::default()
    };
    let mut logged = store.transitions(&query).await.unwrap();
    logged.reverse();
    logged.into_iter().map(|logged| logged.transition).collect()
}

async fn wait_for_step(store: &dyn RuleStore, to: Phase) -> Transition {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let steps = steps(store).await;
        if let Some(step) = steps.iter().find(|step| step.to == to) {
            return step.clone();
        }
        assert!(Instant::now() < deadline, "{to:?} never came: {steps:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until people were told, and returns what; how often is looked at later.
async fn wait_for_hook(hook: &Hook, kind: &str) -> serde_json::Value {
    // The end is told half a minute after it, and everything that a notifier was killed over when its lease has lapsed.
    let deadline = Instant::now() + 2 * PATIENCE;
    loop {
        if let Some((_, body)) = hook.about(RULE, kind).first() {
            return body.clone();
        }
        assert!(Instant::now() < deadline, "no {kind}: {:?}", hook.summaries());
        sleep(Duration::from_millis(50)).await;
    }
}

/// Critical at 80 % for fifteen seconds, of the newest value, and nothing else, over the aggregator.
async fn set_threshold(client: &Client, store: &dyn RuleStore) {
    let stored = store.rules().await.unwrap();
    let stored = stored.iter().find(|stored| stored.rule.id.as_str() == RULE);
    let stored = stored.expect("the starter pack is there");
    let mut rule = stored.rule.clone();
    rule.hold_ms = HOLD_MS;
    if let Check::Metric(check) = &mut rule.check {
        check.quantity.function = Function::Last;
        check.quantity.window_ms = 0;
        check.warning = None;
        check.critical = Some(Level {
            trigger: 80.0,
            clear: Some(70.0),
            and: None,
        });
    }
    let request = wire::PutRuleRequest {
        rule: Some(rule_to_wire(&rule)),
        expected_version: stored.version,
    };
    let reply = client.put_rule(request).await.unwrap();
    assert_eq!((reply.conflict, stored.version), (false, 1));
}

async fn attempt(others: &Others) {
    let (redis, database, hook) = (
        RedisServer::start().await,
        PostgresServer::start().await,
        Hook::start(),
    );
    let store = open_rule_store(&database.url()).await.unwrap();
    let storage = ["--redis", &redis.url(), "--database", &database.url()].map(str::to_owned);
    let home = Home::new();
    let flags: Vec<&str> = storage.iter().map(String::as_str).collect();
    let (_aggregator, port) = home.start_aggregator(&flags).await;
    let mut replicas = Replicas {
        storage: storage.to_vec(),
        hook_url: hook.url.clone(),
        store: Arc::clone(&store),
        running: BTreeMap::new(),
    };
    replicas.add().await;
    replicas.add().await;
    let url = format!("http://127.0.0.1:{port}");
    let _collector = home.start(&[
        "collector",
        "--aggregator",
        &url,
        "--machine-id",
        MACHINE,
        "--interval",
        "1s",
    ]);
    let client = Client::new(ClientConfig::new(Endpoint::unix(home.socket(port)))).unwrap();

    others.are_to_be_quiet();
    set_threshold(&client, &*store).await;
    // It reaches those who judge within a second, and the machine is known by then.
    sleep(Duration::from_secs(3)).await;
    assert_eq!(steps(&*store).await, [], "nothing is wrong yet");

    others.may_work();
    let load = Load::start();
    let pending = wait_for_step(&*store, Phase::Pending).await;
    replicas.kill_the_holder().await;
    let firing = wait_for_step(&*store, Phase::Firing).await;
    let held_ms = firing.at.since_ms(pending.at);
    assert!((HOLD_MS..HOLD_MS + 2_500).contains(&held_ms), "{held_ms}");
    let told = wait_for_hook(&hook, "firing").await;
    let processes = told["alerts"][0]["processes"].as_array().unwrap();
    let is_load = |process: &serde_json::Value| process["name"].as_str().is_some_and(Load::is_named);
    assert!(processes.iter().any(is_load), "{processes:?}");

    replicas.add().await;
    replicas.kill_the_holder().await;
    drop(load);
    others.are_to_be_quiet();
    wait_for_step(&*store, Phase::Resolved).await;
    let told = wait_for_hook(&hook, "recovered").await;
    assert_eq!(told["alerts"][0]["change"], "recovered");

    let phases: Vec<Phase> = steps(&*store).await.iter().map(|step| step.to).collect();
    assert_eq!(phases, [Phase::Pending, Phase::Firing, Phase::Resolved]);
    for kind in ["firing", "recovered"] {
        let ids: BTreeSet<String> = hook.about(RULE, kind).into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids.len(), 1, "{kind} is told once: {:?}", hook.summaries());
    }
}

#[test]
fn an_alert_goes_its_way_once_although_whoever_judges_it_is_killed_before_it_fires_and_before_it_recovers() {
    when_others_are_quiet(|others| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(attempt(others));
    });
}
