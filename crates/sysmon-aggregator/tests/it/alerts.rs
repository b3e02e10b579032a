//! Alerts as clients meet them: the board, what they may change, and how machines fare.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use sysmon_aggregator::{Aggregator, Config};
use sysmon_api::{Backend, Code, Role, alert_key_to_wire, wire};
use sysmon_core::Health;
use sysmon_core::alert::{Alert, Severity, SilenceId};
use sysmon_store::{Delivery, DeliveryState, NotifierWork, Work};
use tokio::time::Instant;
use wire::command::Body as Ask;
use wire::response::Body as Answer;

use crate::faulty::Mode;
use crate::rules::{Rules, Service, alert, gone};
use crate::support::*;

const SECOND: Duration = Duration::from_secs(1);

/// A client that watches alerts and takes over what it is told.
struct Watcher {
    console: Console,
    alerts: BTreeMap<String, wire::Alert>,
    rules: BTreeMap<String, wire::StoredRule>,
    silences: Vec<wire::Silence>,
    deliveries: Vec<wire::Delivery>,
    receivers: Vec<String>,
    steps: Vec<wire::AlertTransition>,
    evaluated: i64,
    messages: usize,
    snapshots: usize,
}

impl Watcher {
    async fn join(aggregator: &Arc<Aggregator>, role: Role) -> Self {
        let mut watcher = Self {
            console: Console::join(aggregator, role).await,
            alerts: BTreeMap::new(),
            rules: BTreeMap::new(),
            silences: Vec::new(),
            deliveries: Vec::new(),
            receivers: Vec::new(),
            steps: Vec::new(),
            evaluated: 0,
            messages: 0,
            snapshots: 0,
        };
        assert!(matches!(
            watcher.ask(Ask::WatchAlerts(wire::WatchAlerts {})).await,
            Answer::Accepted(_)
        ));
        watcher
    }

    fn take(&mut self, board: wire::AlertBoard) {
        assert!(board.encoded_len() <= 64 * 1024);
        self.messages += 1;
        if board.snapshot {
            self.snapshots += 1;
            self.alerts.clear();
            self.rules.clear();
        }
        for alert in board.alerts {
            let key = alert.key.clone().unwrap();
            let name = format!("{}/{}", key.rule_id, key.machine_id);
            if alert.phase() == wire::AlertPhase::Inactive {
                self.alerts.remove(&name);
            } else {
                self.alerts.insert(name, alert);
            }
        }
        for rule in board.rules {
            self.rules.insert(rule.rule.clone().unwrap().rule_id, rule);
        }
        for id in board.removed_rule_ids {
            self.rules.remove(&id);
        }
        if board.has_silences {
            self.silences = board.silences;
        }
        if board.has_deliveries {
            self.deliveries = board.deliveries;
            self.receivers = board.receivers;
        }
        self.steps.extend(board.transitions);
        self.evaluated = board.evaluated_unix_ms;
    }

    /// Takes over what comes until `done`; returns how long that took.
    async fn until(&mut self, done: impl Fn(&Self) -> bool) -> Duration {
        let begin = Instant::now();
        while !done(self) {
            match self.next().await.body.unwrap() {
                Answer::Alerts(board) => self.take(board),
                other => panic!("{other:?}"),
            }
        }
        begin.elapsed()
    }

    async fn next(&mut self) -> wire::Response {
        let response = tokio::time::timeout(600 * SECOND, self.console.response());
        response.await.expect("it comes")
    }

    /// The answer to a command.
    async fn ask(&mut self, ask: Ask) -> Answer {
        let id = self.console.ask(ask).await;
        loop {
            let response = self.next().await;
            match response.body.unwrap() {
                Answer::Alerts(board) => self.take(board),
                other if response.request_id == id => return other,
                other => panic!("{other:?}"),
            }
        }
    }

    async fn failure(&mut self, ask: Ask) -> (u32, String) {
        match self.ask(ask).await {
            Answer::Failure(failure) => (failure.code, failure.message),
            other => panic!("{other:?}"),
        }
    }

    async fn change(&mut self, ask: Ask) -> wire::ChangeReply {
        match self.ask(ask).await {
            Answer::Change(reply) => reply,
            other => panic!("{other:?}"),
        }
    }
}

fn rule(id: &str, trigger: f64) -> wire::Rule {
    let level = wire::Level {
        trigger,
        clear: None,
        and: None,
    };
    wire::Rule {
        rule_id: id.into(),
        title: "Processor busy".into(),
        note: "Look at what runs.".into(),
        enabled: true,
        hold_ms: 60_000,
        clear_hold_ms: 0,
        scope: None,
        check: Some(wire::rule::Check::Metric(wire::MetricCheck {
            quantity: Some(wire::Quantity {
                metric: "cpu.busy_percent".into(),
                per: String::new(),
                function: wire::Function::Last.into(),
                window_ms: 0,
            }),
            comparison: wire::Comparison::Above.into(),
            info: None,
            warning: Some(level),
            critical: None,
        })),
    }
}

fn put(rule: wire::Rule, expected_version: u64) -> Ask {
    Ask::PutRule(wire::PutRuleRequest {
        rule: Some(rule),
        expected_version,
    })
}

fn critical(machine: &str) -> Alert {
    alert("cpu-busy", machine, Severity::Critical)
}

#[tokio::test(start_paused = true)]
async fn a_client_gets_everything_and_then_every_change_at_once() {
    let (rules, bus, service) = Service::new().await;
    service.store(&[critical("a"), critical("b")]).await;
    service.deliver(1, DeliveryState::Dead).await;
    service.deliver(2, DeliveryState::Sent).await;
    let (aggregator, _shutdown) = start_with(Config::default(), rules.stores(Some(&bus)));
    let mut early = Console::open(&aggregator, Role::Viewer);
    early.ask(Ask::Hello(sysmon_api::hello(START))).await;
    let Some(Answer::Hello(hello)) = early.response().await.body else {
        panic!("the hello comes first");
    };
    assert_eq!(
        hello.capabilities,
        ["burst", "filter-language", "windows", "processes", "alerts"]
    );
    let mut watcher = Watcher::join(&aggregator, Role::Operator).await;
    watcher.until(|watcher| watcher.alerts.len() == 2).await;
    assert_eq!((watcher.snapshots, watcher.steps.len()), (1, 0));
    assert_eq!(watcher.deliveries.len(), 1, "what was sent needs nobody");
    assert_eq!(watcher.deliveries[0].summary, "cpu on a");
    assert_eq!(watcher.evaluated, 0, "no alert service was heard of");

    service.pulse(&["ops", "mail"]).await;
    let took = watcher.until(|watcher| watcher.evaluated != 0).await;
    assert_eq!(took, Duration::ZERO);
    watcher
        .until(|watcher| watcher.receivers == ["mail", "ops"])
        .await;
    let mut worse = critical("a");
    (worse.value, worse.since) = (Some(99.5), START.plus_ms(5));
    service.save(&[worse, gone(&critical("b")), critical("c")]).await;
    let took = watcher.until(|watcher| watcher.steps.len() == 3).await;
    assert_eq!(took, Duration::ZERO, "no timer is waited for");
    assert_eq!(
        watcher.alerts.keys().collect::<Vec<_>>(),
        ["cpu-busy/a", "cpu-busy/c"]
    );
    assert_eq!(watcher.alerts["cpu-busy/a"].value, Some(99.5));
    assert_eq!(watcher.snapshots, 1);
    // Whoever asks again gets everything again.
    watcher.ask(Ask::WatchAlerts(wire::WatchAlerts {})).await;
    watcher
        .until(|watcher| watcher.snapshots == 2 && watcher.alerts.len() == 2)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_gets_the_newest_state_and_no_queue_of_what_it_missed() {
    let (rules, bus, service) = Service::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), rules.stores(Some(&bus)));
    let mut watcher = Watcher::join(&aggregator, Role::Viewer).await;
    watcher.until(|watcher| watcher.snapshots == 1).await;
    let before = watcher.messages;
    for round in 1..=2_000 {
        let mut alert = critical("a");
        (alert.value, alert.since) = (Some(f64::from(round)), START.plus_ms(round.into()));
        service.save(&[alert]).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    watcher
        .until(|watcher| {
            let alert = watcher.alerts.get("cpu-busy/a");
            alert.is_some_and(|alert| alert.value == Some(2_000.0))
        })
        .await;
    let messages = watcher.messages - before;
    assert!(messages < 20, "{messages} messages");
    assert!(watcher.steps.len() <= 1_010, "{}", watcher.steps.len());
    let last = watcher.steps.last().unwrap();
    assert_eq!(last.at_unix_ms, START.0 + 2_000, "the newest steps are kept");
}

#[tokio::test(start_paused = true)]
async fn a_stale_change_is_a_conflict_that_shows_what_is_there() {
    let (rules, bus, _service) = Service::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), rules.stores(Some(&bus)));
    let mut watcher = Watcher::join(&aggregator, Role::Operator).await;
    let made = watcher.change(put(rule("cpu", 80.0), 0)).await;
    assert!(!made.conflict);
    let stored = made.stored.unwrap();
    assert_eq!((stored.version, &*stored.changed_by), (1, "test"));
    for (expected, trigger) in [(0, 90.0), (7, 91.0)] {
        let refused = watcher.change(put(rule("cpu", trigger), expected)).await;
        assert!(refused.conflict);
        assert_eq!(refused.stored, Some(stored.clone()));
    }
    // The unary twin says the same.
    let request = wire::PutRuleRequest {
        rule: Some(rule("cpu", 90.0)),
        expected_version: 0,
    };
    let refused = aggregator.put_rule(who(Role::Operator), request).await.unwrap();
    assert_eq!((refused.conflict, refused.stored), (true, Some(stored)));
    let delete = |expected_version| {
        Ask::DeleteRule(wire::DeleteRuleRequest {
            rule_id: "cpu".into(),
            expected_version,
        })
    };
    assert!(watcher.change(delete(9)).await.conflict);
    assert!(!watcher.change(delete(1)).await.conflict);
    let again = watcher.change(delete(1)).await;
    assert_eq!((again.conflict, again.stored), (true, None));
    watcher.until(|watcher| watcher.rules.is_empty()).await;
    let rules = aggregator.list_rules(who(Role::Viewer)).await.unwrap();
    assert!(rules.rules.is_empty());
    let audit = wire::ListAuditRequest { before: 0, limit: 0 };
    let audit = aggregator.list_audit(who(Role::Viewer), audit).await.unwrap();
    let actions: Vec<_> = audit.entries.iter().map(|entry| &*entry.action).collect();
    assert_eq!(actions, ["rule.delete", "rule.put"]);
    assert_eq!(audit.entries[0].by, "test");
}

#[tokio::test(start_paused = true)]
async fn everything_that_is_wrong_with_a_rule_is_said_at_once() {
    let (rules, bus, _service) = Service::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), rules.stores(Some(&bus)));
    let mut watcher = Watcher::join(&aggregator, Role::Operator).await;
    let mut wrong = rule("cpu", f64::NAN);
    wrong.title.clear();
    wrong.hold_ms = u64::MAX;
    let (code, message) = watcher.failure(put(wrong.clone(), 0)).await;
    assert_eq!(code, Code::InvalidArgument as u32);
    assert!(message.lines().count() >= 3, "{message}");
    assert!(
        message.contains("title") && message.contains("for: longer"),
        "{message}"
    );
    let request = wire::PutRuleRequest {
        rule: Some(wrong),
        expected_version: 0,
    };
    let error = aggregator
        .put_rule(who(Role::Operator), request)
        .await
        .unwrap_err();
    assert_eq!((error.code, error.message), (Code::InvalidArgument, message));
    let nothing = Ask::PutRule(wire::PutRuleRequest::default());
    assert_eq!(watcher.failure(nothing).await.0, Code::InvalidArgument as u32);
    let mut long = rule("cpu", 80.0);
    long.scope = Some(wire::RuleScope {
        machine_ids: (0..1_000).map(|number| format!("{number:0100}")).collect(),
        ..Default::default()
    });
    let (code, message) = watcher.failure(put(long, 0)).await;
    assert!(
        code == Code::InvalidArgument as u32 && message.contains("labels"),
        "{message}"
    );
    assert!(rules_of(&aggregator).await.is_empty());
}

async fn rules_of(aggregator: &Aggregator) -> Vec<wire::StoredRule> {
    aggregator.list_rules(who(Role::Viewer)).await.unwrap().rules
}

#[tokio::test(start_paused = true)]
async fn a_viewer_looks_and_changes_nothing() {
    let (rules, bus, service) = Service::new().await;
    service.store(&[critical("a")]).await;
    let (aggregator, _shutdown) = start_with(Config::default(), rules.stores(Some(&bus)));
    let mut watcher = Watcher::join(&aggregator, Role::Viewer).await;
    watcher.until(|watcher| watcher.alerts.len() == 1).await;
    for ask in [
        put(rule("cpu", 80.0), 0),
        Ask::DeleteRule(wire::DeleteRuleRequest::default()),
        Ask::Acknowledge(wire::Acknowledge {
            key: Some(alert_key_to_wire(&critical("a").key)),
            ..Default::default()
        }),
        Ask::AddSilence(silence(START.0 + 60_000)),
        Ask::EndSilence(wire::EndSilence { silence_id: 1 }),
        Ask::ResendDelivery(wire::ResendDelivery::default()),
        Ask::TestReceiver(wire::TestReceiver {
            receiver: "ops".into(),
        }),
    ] {
        let (code, message) = watcher.failure(ask).await;
        assert_eq!(code, Code::PermissionDenied as u32, "{message}");
        assert!(message.contains("role operator"), "{message}");
    }
    let log = watcher.ask(Ask::AlertLog(wire::AlertLogRequest::default())).await;
    assert!(matches!(log, Answer::AlertLog(log) if log.transitions.len() == 1));
    let audit = wire::ListAuditRequest { before: 0, limit: 0 };
    let audit = aggregator.list_audit(who(Role::Viewer), audit).await.unwrap();
    assert!(audit.entries.is_empty());
}

fn silence(until_unix_ms: i64) -> wire::Silence {
    wire::Silence {
        labels: vec!["role=db".into()],
        until_unix_ms,
        comment: "moving house".into(),
        by: "somebody else".into(),
        ..Default::default()
    }
}

#[tokio::test(start_paused = true)]
async fn silences_and_acknowledgements_have_an_author_and_end() {
    let (rules, bus, service) = Service::new().await;
    service.store(&[critical("a")]).await;
    let (aggregator, _shutdown) = start_with(Config::default(), rules.stores(Some(&bus)));
    let mut watcher = Watcher::join(&aggregator, Role::Operator).await;
    watcher.until(|watcher| watcher.alerts.len() == 1).await;

    let mut ids = Vec::new();
    for seconds in [60, 30] {
        let ask = Ask::AddSilence(silence(START.0 + seconds * 1_000));
        let Answer::Silence(added) = watcher.ask(ask).await else {
            panic!("the silence comes back");
        };
        assert_eq!(added.by, "test", "whose it is is known here");
        assert!(added.silence_id != 0 && added.from_unix_ms >= START.0);
        ids.push(added.silence_id);
    }
    let took = watcher.until(|watcher| watcher.silences.len() == 2).await;
    assert!(took < SECOND, "{took:?}");
    // One is ended, the other one is over by itself.
    let end = |silence_id| Ask::EndSilence(wire::EndSilence { silence_id });
    assert!(matches!(watcher.ask(end(ids[0])).await, Answer::Accepted(_)));
    assert_eq!(watcher.failure(end(ids[0])).await.0, Code::NotFound as u32);
    watcher.until(|watcher| watcher.silences.len() == 1).await;
    watcher.until(|watcher| watcher.silences.is_empty()).await;
    for wrong in [silence(START.0), silence(START.0 - 5)] {
        let (code, message) = watcher.failure(Ask::AddSilence(wrong)).await;
        assert!(
            code == Code::InvalidArgument as u32 && message.contains("later"),
            "{message}"
        );
    }
    let mut unlabelled = silence(START.0 + 3_600_000);
    unlabelled.labels = vec!["db".into()];
    let (_, message) = watcher.failure(Ask::AddSilence(unlabelled)).await;
    assert!(message.contains("name=value"), "{message}");

    let acknowledge = |machine: &str, clear| {
        Ask::Acknowledge(wire::Acknowledge {
            key: Some(alert_key_to_wire(&critical(machine).key)),
            comment: "on it".into(),
            until_unix_ms: None,
            clear,
        })
    };
    assert!(matches!(
        watcher.ask(acknowledge("a", false)).await,
        Answer::Accepted(_)
    ));
    let known = service.store.acknowledgements().await.unwrap();
    assert_eq!((known.len(), &*known[0].1.by), (1, "test"));
    assert_eq!(known[0].1.severity, Severity::Critical);
    watcher.ask(acknowledge("a", true)).await;
    assert!(service.store.acknowledgements().await.unwrap().is_empty());
    assert_eq!(
        watcher.failure(acknowledge("b", false)).await.0,
        Code::NotFound as u32
    );
}

#[tokio::test(start_paused = true)]
async fn a_silence_that_is_over_goes_in_that_moment() {
    let (rules, bus, _service) = Service::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), rules.stores(Some(&bus)));
    let mut watcher = Watcher::join(&aggregator, Role::Operator).await;
    watcher.ask(Ask::AddSilence(silence(START.0 + 30_000))).await;
    watcher.until(|watcher| watcher.silences.len() == 1).await;
    let took = watcher.until(|watcher| watcher.silences.is_empty()).await;
    assert!((29 * SECOND..=30 * SECOND).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn too_many_silences_to_be_shown_are_refused() {
    let (rules, bus, _service) = Service::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), rules.stores(Some(&bus)));
    let mut watcher = Watcher::join(&aggregator, Role::Operator).await;
    let mut long = silence(START.0 + 3_600_000);
    long.entities = (0..200).map(|number| format!("/mnt/{number:0100}")).collect();
    watcher.ask(Ask::AddSilence(long.clone())).await;
    watcher.until(|watcher| watcher.silences.len() == 1).await;
    watcher.ask(Ask::AddSilence(long.clone())).await;
    watcher.until(|watcher| watcher.silences.len() == 2).await;
    let (code, message) = watcher.failure(Ask::AddSilence(long)).await;
    assert_eq!(code, Code::ResourceExhausted as u32, "{message}");
    watcher.ask(Ask::AddSilence(silence(START.0 + 3_600_000))).await;
    watcher.until(|watcher| watcher.silences.len() == 3).await;
}

#[tokio::test(start_paused = true)]
async fn deliveries_can_be_sent_again_and_receivers_tested() {
    let (rules, bus, service) = Service::new().await;
    let dead = service.deliver(1, DeliveryState::Dead).await;
    let (aggregator, _shutdown) = start_with(Config::default(), rules.stores(Some(&bus)));
    let mut watcher = Watcher::join(&aggregator, Role::Operator).await;
    watcher.until(|watcher| watcher.deliveries.len() == 1).await;
    assert_eq!(watcher.deliveries[0].state(), wire::DeliveryState::Dead);
    let resend = || {
        Ask::ResendDelivery(wire::ResendDelivery {
            delivery_id: dead.clone(),
        })
    };
    watcher.ask(resend()).await;
    watcher
        .until(|watcher| watcher.deliveries[0].state() == wire::DeliveryState::Pending)
        .await;
    assert_eq!(watcher.failure(resend()).await.0, Code::NotFound as u32);

    let test = |receiver: &str| {
        Ask::TestReceiver(wire::TestReceiver {
            receiver: receiver.into(),
        })
    };
    let (code, message) = watcher.failure(test("ops")).await;
    assert_eq!(code, Code::FailedPrecondition as u32, "nobody would send it");
    assert!(message.contains("sysmon alerts"), "{message}");
    service.pulse(&["ops"]).await;
    watcher.until(|watcher| watcher.evaluated != 0).await;
    let (code, message) = watcher.failure(test("opps")).await;
    assert!(
        code == Code::NotFound as u32 && message.contains("ops"),
        "{message}"
    );
    let (code, message) = watcher.failure(test("ops")).await;
    assert!(
        code == Code::Unavailable as u32 && message.contains("on its way"),
        "nobody has sent it: {message}"
    );
    watcher.until(|watcher| watcher.deliveries.len() == 2).await;
    assert_eq!(watcher.deliveries[0].summary, "test");
    let stored = service
        .store
        .deliveries(Some(DeliveryState::Pending), 10)
        .await
        .unwrap();
    let asked = stored.iter().find(|delivery| delivery.id != dead).unwrap();
    assert_eq!(asked.id.len(), 32);
    let content: serde_json::Value = serde_json::from_str(&asked.content).unwrap();
    assert_eq!(
        (&content["kind"], &content["receiver"]),
        (&"test".into(), &"ops".into())
    );

    // Whoever tests is told what became of it.
    let lease = service
        .store
        .lease("service", &[Work::Notifier], 1, 60_000)
        .await
        .unwrap();
    for (state, attempts, expected) in [
        (DeliveryState::Sent, 1, None),
        (
            DeliveryState::Dead,
            1,
            Some("ops did not take the test: answers 404"),
        ),
        (
            DeliveryState::Pending,
            2,
            Some("ops did not take the test: answers 404; it is tried again"),
        ),
    ] {
        let send = async {
            tokio::time::sleep(SECOND).await;
            let pending = service
                .store
                .deliveries(Some(DeliveryState::Pending), 10)
                .await
                .unwrap();
            let mut delivery = pending
                .into_iter()
                .find(|delivery| delivery.attempts == 0)
                .unwrap();
            (delivery.state, delivery.attempts, delivery.problem) = (state, attempts, "answers 404".into());
            let work = NotifierWork {
                deliveries: vec![delivery],
                ..NotifierWork::default()
            };
            assert!(service.store.save_notifier(&lease[0], &work).await.unwrap());
        };
        if state == DeliveryState::Sent {
            // The earlier ones are nobody's concern any more.
            let pending = service
                .store
                .deliveries(Some(DeliveryState::Pending), 10)
                .await
                .unwrap();
            let done = |mut delivery: Delivery| {
                delivery.state = DeliveryState::Sent;
                delivery
            };
            let work = NotifierWork {
                deliveries: pending.into_iter().map(done).collect(),
                ..NotifierWork::default()
            };
            assert!(service.store.save_notifier(&lease[0], &work).await.unwrap());
        }
        match expected {
            None => {
                let (answer, ()) = tokio::join!(watcher.ask(test("ops")), send);
                assert!(matches!(answer, Answer::Accepted(_)));
            }
            Some(expected) => {
                let ((_, message), ()) = tokio::join!(watcher.failure(test("ops")), send);
                assert_eq!(message, expected);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_at_the_start_is_waited_for_and_nothing_is_made_up_meanwhile() {
    let (rules, bus, service) = Service::new().await;
    service.store(&[critical("a")]).await;
    rules.fail();
    let (aggregator, _shutdown) = start_with(Config::default(), rules.stores(Some(&bus)));
    let mut watcher = Watcher::join(&aggregator, Role::Operator).await;
    let (code, message) = watcher.failure(put(rule("cpu", 80.0), 0)).await;
    assert_eq!(code, Code::Unavailable as u32);
    assert!(
        message.contains("connection refused") && message.contains("nothing was changed"),
        "{message}"
    );
    let acknowledge = Ask::Acknowledge(wire::Acknowledge {
        key: Some(alert_key_to_wire(&critical("a").key)),
        ..Default::default()
    });
    assert_eq!(watcher.failure(acknowledge).await.0, Code::Unavailable as u32);
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(watcher.messages, 0, "an empty board would say that all is well");
    rules.set(Mode::Well);
    let took = watcher.until(|watcher| watcher.alerts.len() == 1).await;
    assert!(took <= 5 * SECOND, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn when_the_store_goes_down_the_board_stays_and_the_bus_goes_on() {
    let (rules, bus, service) = Service::new().await;
    service.store(&[critical("a")]).await;
    let (aggregator, _shutdown) = start_with(Config::default(), rules.stores(Some(&bus)));
    let mut watcher = Watcher::join(&aggregator, Role::Operator).await;
    watcher.until(|watcher| watcher.alerts.len() == 1).await;
    for mode in [
        Mode::Fails(sysmon_store::StoreError::unavailable("gone")),
        Mode::Hangs,
    ] {
        rules.set(mode);
        tokio::time::sleep(200 * SECOND).await;
        let begin = Instant::now();
        assert_eq!(
            watcher.failure(put(rule("cpu", 80.0), 0)).await.0,
            Code::Unavailable as u32
        );
        assert!(begin.elapsed() <= 8 * SECOND, "{:?}", begin.elapsed());
        assert_eq!(watcher.alerts.len(), 1);
        service.save(&[critical("b")]).await;
        let took = watcher.until(|watcher| watcher.alerts.len() == 2).await;
        assert_eq!(took, Duration::ZERO, "the bus does not wait for the store");
        service.save(&[gone(&critical("b"))]).await;
        watcher.until(|watcher| watcher.alerts.len() == 1).await;
    }
    let mut newcomer = Watcher::join(&aggregator, Role::Viewer).await;
    newcomer.until(|newcomer| newcomer.alerts.len() == 1).await;
    rules.set(Mode::Well);
    assert!(!watcher.change(put(rule("cpu", 80.0), 0)).await.conflict);
    watcher.until(|watcher| watcher.rules.len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_bus_says_while_the_store_is_read_is_newer_than_what_is_read() {
    let (rules, bus, service) = Service::new().await;
    service.store(&[critical("a")]).await;
    rules.set(Mode::Slow(10 * SECOND));
    let (aggregator, _shutdown) = start_with(Config::default(), rules.stores(Some(&bus)));
    let mut watcher = Watcher::join(&aggregator, Role::Viewer).await;
    while rules.loads.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(SECOND).await;
    }
    service.save(&[gone(&critical("a")), critical("b")]).await;
    let before = rules.loads.load(Ordering::Relaxed);
    watcher.until(|watcher| watcher.snapshots == 1).await;
    assert_eq!(watcher.alerts.keys().collect::<Vec<_>>(), ["cpu-busy/b"]);
    assert_eq!(rules.loads.load(Ordering::Relaxed), before, "one load was enough");
}

#[tokio::test(start_paused = true)]
async fn after_missed_events_everything_is_loaded_anew() {
    let (rules, bus, service) = Service::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), rules.stores(Some(&bus)));
    let mut watcher = Watcher::join(&aggregator, Role::Viewer).await;
    watcher.until(|watcher| watcher.snapshots == 1).await;
    tokio::time::sleep(10 * SECOND).await;
    // More than the bus keeps for whoever does not read; the last of them is what matters.
    let flood: Vec<_> = (0..5_000)
        .map(|_| ("alerts".to_owned(), Bytes::from_static(b"junk")))
        .collect();
    bus.publish(&flood).await.unwrap();
    service.save(&[critical("a")]).await;
    let took = watcher.until(|watcher| watcher.alerts.len() == 1).await;
    assert!(took < SECOND, "{took:?}");
    watcher.until(|watcher| watcher.steps.len() == 1).await;
    assert_eq!(watcher.snapshots, 1, "clients are told what changed only");
}

#[tokio::test(start_paused = true)]
async fn without_a_bus_the_store_is_read_every_few_seconds() {
    let rules = Rules::new().await;
    let service = Service {
        store: Arc::clone(&rules) as _,
        bus: None,
    };
    let (aggregator, _shutdown) = start_with(Config::default(), rules.stores(None));
    let mut watcher = Watcher::join(&aggregator, Role::Operator).await;
    watcher.until(|watcher| watcher.snapshots == 1).await;
    service.save(&[critical("a")]).await;
    let took = watcher.until(|watcher| watcher.steps.len() == 1).await;
    assert!(took <= 5 * SECOND, "{took:?}");
    assert_eq!(watcher.alerts.len(), 1);
    // What was changed here is shown at once.
    watcher.change(put(rule("cpu", 80.0), 0)).await;
    let took = watcher.until(|watcher| watcher.rules.len() == 1).await;
    assert!(took < SECOND, "{took:?}");
    let loads = rules.loads.load(Ordering::Relaxed);
    tokio::time::sleep(600 * SECOND).await;
    let more = rules.loads.load(Ordering::Relaxed) - loads;
    assert!((119..=121).contains(&more), "{more} loads in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn two_aggregators_see_each_others_changes_within_a_second() {
    let (rules, bus, service) = Service::new().await;
    let (one, _shutdown) = start_with(Config::default(), rules.stores(Some(&bus)));
    let (other, _shutdown) = start_with(Config::default(), rules.stores(Some(&bus)));
    let mut here = Watcher::join(&one, Role::Operator).await;
    let mut there = Watcher::join(&other, Role::Operator).await;
    there.until(|there| there.snapshots == 1).await;
    let mut version = 0;
    for trigger in [80.0, 81.0, 82.0] {
        let reply = here.change(put(rule("cpu", trigger), version)).await;
        version = reply.stored.unwrap().version;
        let took = there
            .until(|there| there.rules.get("cpu").is_some_and(|rule| rule.version == version))
            .await;
        assert!(took < SECOND, "{took:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let Answer::Silence(silence) = there.ask(Ask::AddSilence(silence(START.0 + 3_600_000))).await else {
        panic!("the silence comes back");
    };
    let took = here.until(|here| here.silences.len() == 1).await;
    assert!(took < SECOND, "{took:?}");
    assert_eq!(here.silences[0].silence_id, silence.silence_id);
    there
        .change(Ask::DeleteRule(wire::DeleteRuleRequest {
            rule_id: "cpu".into(),
            expected_version: version,
        }))
        .await;
    let took = here.until(|here| here.rules.is_empty()).await;
    assert!(took < SECOND, "{took:?}");
    service.save(&[critical("a")]).await;
    for watcher in [&mut here, &mut there] {
        watcher.until(|watcher| watcher.alerts.len() == 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn where_no_rules_are_kept_whoever_asks_is_told_so() {
    let (aggregator, _shutdown) = start(Config::default());
    let mut console = Console::join(&aggregator, Role::Operator).await;
    for ask in [Ask::WatchAlerts(wire::WatchAlerts {}), put(rule("cpu", 80.0), 0)] {
        let failure = console.command(ask).await.unwrap_err();
        assert_eq!(failure.code, Code::FailedPrecondition as u32);
        assert!(failure.message.contains("--database"), "{}", failure.message);
    }
    let error = aggregator.list_rules(who(Role::Viewer)).await.unwrap_err();
    assert_eq!(error.code, Code::FailedPrecondition);
}

#[tokio::test(start_paused = true)]
async fn an_aggregator_that_everyone_has_left_ends_with_its_alerts() {
    let (rules, bus, _service) = Service::new().await;
    let shutdown = tokio_util::sync::CancellationToken::new();
    let clock = sysmon_aggregator::Clock::starting_at(START);
    let stores = rules.stores(Some(&bus));
    let (aggregator, work) = Aggregator::new(Config::default(), clock, stores, shutdown.clone()).unwrap();
    let work = tokio::spawn(work);
    tokio::time::sleep(10 * SECOND).await;
    drop(aggregator);
    tokio::time::timeout(10 * SECOND, work).await.unwrap().unwrap();
}

/// How a machine fares, as a subscriber sees it.
fn health(console: &Console, machine: &str) -> Option<Health> {
    Some(console.replica.find(machine)?.health)
}

#[tokio::test(start_paused = true)]
async fn a_machine_fares_as_its_worst_alert_and_subscribers_hear_of_it() {
    let (rules, bus, service) = Service::new().await;
    let _pulsing = service.keep_pulsing();
    service.store(&[critical("b")]).await;
    let (aggregator, _shutdown) = start_with(Config::default(), rules.stores(Some(&bus)));
    let (mut a, _) = Collector::join(&aggregator, "a", 1).await;
    let mut console = Console::join(&aggregator, Role::Viewer).await;
    console.command(everything(&[])).await.unwrap();
    // A processor that is busy all the time is no reason where rules are kept.
    for second in 1..90 {
        tokio::time::sleep(SECOND).await;
        a.tick(START.plus_ms(second * 1_000), 990).await;
    }
    console.until(|replica| busy(replica, "a") == Some(99.0)).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    console
        .until(|replica| replica.find("a").is_some_and(|a| a.health == Health::Healthy))
        .await;
    assert_eq!(console.replica.totals().healthy, 1);

    // One that comes later has its alert from the start.
    let (_b, _) = Collector::join(&aggregator, "b", 2).await;
    console
        .until(|replica| replica.find("b").is_some_and(|b| b.health == Health::Critical))
        .await;
    assert_eq!(
        (
            console.replica.totals().healthy,
            console.replica.totals().critical
        ),
        (1, 1)
    );

    let begin = Instant::now();
    let mut muted = critical("b");
    muted.silenced = Some(SilenceId(1));
    service
        .save(&[muted, alert("disk-full", "a", Severity::Warning)])
        .await;
    console
        .until(|replica| {
            let is = |machine: &str| {
                replica
                    .find(machine)
                    .is_some_and(|found| found.health == Health::Warning)
            };
            is("a") && is("b")
        })
        .await;
    assert!(
        begin.elapsed() < Duration::from_millis(100),
        "{:?}",
        begin.elapsed()
    );
    let totals = console.replica.totals();
    assert_eq!((totals.healthy, totals.warning, totals.critical), (0, 2, 0));

    service
        .save(&[
            gone(&critical("b")),
            gone(&alert("disk-full", "a", Severity::Warning)),
        ])
        .await;
    console.until(|replica| replica.totals().healthy == 2).await;
    assert_eq!(health(&console, "a"), Some(Health::Healthy));
    assert_eq!(health(&console, "b"), Some(Health::Healthy));
}

#[tokio::test(start_paused = true)]
async fn without_rules_a_machines_own_numbers_judge_and_until_alerts_are_known_too() {
    let (rules, bus, service) = Service::new().await;
    let _pulsing = service.keep_pulsing();
    rules.fail();
    for stores in [sysmon_aggregator::Stores::default(), rules.stores(Some(&bus))] {
        let has_rules = stores.rules.is_some();
        let (aggregator, _shutdown) = start_with(Config::default(), stores);
        let (mut collector, _) = Collector::join(&aggregator, "a", 1).await;
        let mut console = Console::join(&aggregator, Role::Viewer).await;
        console.command(everything(&[])).await.unwrap();
        for second in 1..20 {
            tokio::time::sleep(SECOND).await;
            collector.tick(START.plus_ms(second * 1_000), 990).await;
        }
        console.until(|replica| replica.totals().critical == 1).await;
        if has_rules {
            rules.set(Mode::Well);
            console.until(|replica| replica.totals().healthy == 1).await;
            assert_eq!(console.replica.totals().critical, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_down_is_as_bad_as_its_alert_says() {
    let (rules, bus, service) = Service::new().await;
    let _pulsing = service.keep_pulsing();
    let (aggregator, _shutdown) = start_with(Config::default(), rules.stores(Some(&bus)));
    let (collector, _) = Collector::join(&aggregator, "a", 1).await;
    let mut console = Console::join(&aggregator, Role::Viewer).await;
    console.command(everything(&[])).await.unwrap();
    console.until(|replica| replica.totals().healthy == 1).await;
    drop(collector);
    console.until(|replica| replica.totals().lost == 1).await;
    assert_eq!(health(&console, "a"), Some(Health::Unknown));
    service
        .save(&[alert("machine-down", "a", Severity::Critical)])
        .await;
    console
        .until(|replica| replica.find("a").is_some_and(|a| a.health == Health::Critical))
        .await;
    assert_eq!(
        console.replica.totals().critical,
        0,
        "health counts for those that are live"
    );
}

#[tokio::test(start_paused = true)]
async fn without_an_alert_service_a_machines_own_numbers_judge() {
    let (rules, bus, service) = Service::new().await;
    // What a service that is gone has left behind.
    service.store(&[alert("disk-full", "a", Severity::Warning)]).await;
    let (aggregator, _shutdown) = start_with(Config::default(), rules.stores(Some(&bus)));
    let (mut collector, _) = Collector::join(&aggregator, "a", 1).await;
    let mut console = Console::join(&aggregator, Role::Viewer).await;
    console.command(everything(&[])).await.unwrap();
    for second in 1..30 {
        tokio::time::sleep(SECOND).await;
        collector.tick(START.plus_ms(second * 1_000), 990).await;
    }
    console.until(|replica| replica.totals().critical == 1).await;
    let pulsing = service.keep_pulsing();
    console.until(|replica| replica.totals().warning == 1).await;
    drop(pulsing);
    let began = Instant::now();
    for second in 30..60 {
        tokio::time::sleep(SECOND).await;
        collector.tick(START.plus_ms(second * 1_000), 990).await;
    }
    console.until(|replica| replica.totals().critical == 1).await;
    assert!(began.elapsed() > Duration::from_secs(15), "{:?}", began.elapsed());
    service.pulse(&[]).await;
    console.until(|replica| replica.totals().warning == 1).await;
}
