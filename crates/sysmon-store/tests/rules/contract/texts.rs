use sysmon_core::UnixMillis;
use sysmon_core::alert::{Acknowledgement, Alert, Check, Level, Phase, Rule};
use sysmon_store::{ErrorKind, NewSilence, NotifierWork, ShardWork, StoreError, Work};

use crate::fixture::{
    Backend, acknowledgement, alert, ann, author, culprit, delivery, key, leased, machine_of, new_silence,
    now, rule, save, transition,
};

const HOSTILE: [&str; 5] = [
    "'; DROP TABLE alert; --",
    "\"quoted\" \\ and {braces}, $1 ?1 or [not] %s",
    "💥 \u{202e}right to left \u{10ffff}",
    "\\u0000 as JSON writes it, and \\x00",
    "\u{1}\u{7f}\r\n\t\u{2028}",
];

pub(crate) async fn hostile_and_long_texts_come_back_as_they_were(backend: &dyn Backend) {
    let store = backend.open().await;
    let lease = leased(&store, "a'; DROP TABLE alert_lease; --", Work::Shard(3)).await;
    let notifier = leased(&store, "a'; DROP TABLE alert_lease; --", Work::Notifier).await;
    // As long as an entity may be, and not to be compressed into less.
    let long: String = (0..2_048u32)
        .map(|number| char::from(b'!' + u8::try_from(number.wrapping_mul(2_654_435_761) >> 24).unwrap() % 90))
        .collect();
    let very_long = "x".repeat(60_000);
    let texts = HOSTILE.iter().copied().chain([long.as_str()]);
    for (number, text) in (0..).zip(texts) {
        let hostile = if number < 5 { text } else { very_long.as_str() };
        let name = if number < 5 { text } else { &long[..256] };
        let one = Rule {
            title: hostile.into(),
            note: hostile.into(),
            ..rule(&format!("rule-{number}"), 1.0)
        };
        let who = author(name, now());
        store.put_rule(&one, 0, &who).await.unwrap();
        let stored = store.rules().await.unwrap().pop().unwrap();
        assert_eq!((stored.rule, stored.changed), (one, who.clone()));

        let key = key(&machine_of(3, 0), text);
        let said = Acknowledgement {
            comment: hostile.into(),
            ..acknowledgement(name)
        };
        store.acknowledge(&key, Some(&said), &who).await.unwrap();
        let known = store.acknowledgements().await.unwrap();
        assert!(known.contains(&(key.clone(), said.clone())), "{text:?}");

        let mut wanted = new_silence(now(), now().plus_ms(60_000));
        wanted.comment = hostile.into();
        wanted.matcher.entities = vec![hostile.into()];
        let silence = store.add_silence(&wanted, &who).await.unwrap();
        assert!(store.silences(now()).await.unwrap().contains(&silence));

        let bad = Alert {
            acknowledged: Some(said),
            culprits: vec![culprit(hostile)],
            ..alert(&key, Phase::Firing)
        };
        let mut step = transition(&key, now(), Phase::Firing);
        step.culprits = bad.culprits.clone();
        let work = ShardWork {
            transitions: vec![step.clone()],
            alerts: vec![bad.clone()],
            ..ShardWork::default()
        };
        save(&store, &lease, work).await;
        assert!(store.alerts().await.unwrap().contains(&bad), "{text:?}");
        let logged = store.transitions_after(0, 100).await.unwrap().pop().unwrap();
        assert_eq!(logged.transition, step);

        let mut sent = delivery(number);
        sent.receiver = name.into();
        sent.problem = hostile.into();
        sent.content = format!(
            "  {{ \"b\": {}, \"a\": 1.50 }}",
            serde_json::to_string(hostile).unwrap()
        );
        let work = NotifierWork {
            groups: vec![(text.into(), "state".into())],
            deliveries: vec![sent.clone()],
            ..NotifierWork::default()
        };
        assert!(store.save_notifier(&notifier, &work).await.unwrap());
        let known = store.load_notifier().await.unwrap();
        assert!(known.pending.contains(&sent), "{text:?}");
        assert!(known.groups.contains(&(text.into(), "state".into())), "{text:?}");
    }
}

fn refused<T: std::fmt::Debug>(what: &str, done: Result<T, StoreError>) {
    let error = done.expect_err(what);
    assert_eq!(error.kind, ErrorKind::Rejected, "{what}: {error}");
    assert!(error.message.len() < 300, "{what}: {error}");
    let advises = [
        "remove", "shorten", "correct", "give", "leave", "write", "at most",
    ];
    assert!(
        advises.iter().any(|advice| error.message.contains(advice)),
        "{what}: {error}"
    );
}

pub(crate) async fn what_cannot_be_kept_is_refused_with_advice(backend: &dyn Backend) {
    let store = backend.open().await;
    let good = rule("cpu-busy", 1.0);
    let nul = "a\0b";
    let long = "x".repeat(70_000);
    for text in [nul, long.as_str()] {
        let titled = Rule {
            title: text.into(),
            ..good.clone()
        };
        refused("title", store.put_rule(&titled, 0, &ann()).await);
        let noted = Rule {
            note: text.into(),
            ..good.clone()
        };
        refused(
            "note",
            store.install_starter(&[good.clone(), noted], &ann()).await,
        );
        refused("author", store.put_rule(&good, 0, &author(text, now())).await);
        let key_of = key(&machine_of(3, 0), text);
        refused(
            "entity",
            store
                .acknowledge(&key_of, Some(&acknowledgement("ann")), &ann())
                .await,
        );
        let commented = NewSilence {
            comment: text.into(),
            ..new_silence(now(), now().plus_ms(9))
        };
        refused("comment", store.add_silence(&commented, &ann()).await);
        let mut sent = delivery(1);
        sent.problem = text.into();
        let lease = leased(&store, "a", Work::Notifier).await;
        let work = NotifierWork {
            deliveries: vec![sent],
            ..NotifierWork::default()
        };
        refused("problem", store.save_notifier(&lease, &work).await);
        let work = NotifierWork {
            groups: vec![(text.into(), "state".into())],
            ..NotifierWork::default()
        };
        refused("group", store.save_notifier(&lease, &work).await);
    }
    let mut scoped = good.clone();
    scoped.scope.entities = vec![nul.into()];
    refused("scope", store.put_rule(&scoped, 0, &ann()).await);
    refused("no author", store.put_rule(&good, 0, &author("", now())).await);
    let far = author("ann", UnixMillis(i64::MIN));
    refused("no time", store.put_rule(&good, 0, &far).await);
    for trigger in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        refused(
            "trigger",
            store.put_rule(&rule("cpu-busy", trigger), 0, &ann()).await,
        );
    }
    refused(
        "backwards",
        store
            .add_silence(&new_silence(now(), now().plus_ms(-9)), &ann())
            .await,
    );
    for (field, content) in [("id", "{}"), ("content", "{\"text\": "), ("content", "\"\0\"")] {
        let mut sent = delivery(1);
        sent.content = content.into();
        if field == "id" {
            sent.id = "'; DROP TABLE delivery; --".into();
        }
        refused(field, store.request_delivery(&sent, &ann()).await);
    }
    for content in ["{\"signal\": ", "\"\0\"", ""] {
        let noted = store.note(&ann(), "process.signal", "web-1/77", content).await;
        refused("content", noted);
    }
    assert_eq!(store.rules().await.unwrap(), []);
    assert_eq!(store.audit(None, 10).await.unwrap(), []);
    assert_eq!(store.deliveries(None, 10).await.unwrap(), []);
    // Nothing was decided about the starter pack either.
    assert_eq!(store.install_starter(&[good], &ann()).await.unwrap(), 1);
}

pub(crate) async fn numbers_come_back_to_the_last_bit(backend: &dyn Backend) {
    let store = backend.open().await;
    let lease = leased(&store, "a", Work::Shard(3)).await;
    let numbers = [
        0.1 + 0.2,
        -1.0 / 3.0,
        f64::MAX,
        f64::MIN_POSITIVE,
        5e-324,
        9_007_199_254_740_993.0,
        2.638_344_616_030_823e-290,
        // Readers of JSON that take a short way are one off in the last place here.
        123_456_789.123_456_79,
    ];
    for (number, value) in (0..).zip(numbers) {
        let mut one = rule(&format!("rule-{number}"), value);
        if let Check::Metric(check) = &mut one.check {
            check.critical = Some(Level {
                trigger: -value,
                clear: Some(value / 3.0),
                and: None,
            });
        }
        store.put_rule(&one, 0, &ann()).await.unwrap();
        assert_eq!(store.rules().await.unwrap().pop().unwrap().rule, one);

        let key = key(&machine_of(3, 0), &format!("/{number}"));
        let mut culprit = culprit("x");
        culprit.cpu_percent = value;
        let there = Alert {
            value: Some(value),
            threshold: Some(-value),
            peak: Some(value / 3.0),
            culprits: vec![culprit.clone()],
            ..alert(&key, Phase::Firing)
        };
        let mut step = transition(&key, now(), Phase::Firing);
        step.value = Some(value);
        step.threshold = Some(value / 7.0);
        step.culprits = vec![culprit];
        let work = ShardWork {
            transitions: vec![step.clone()],
            alerts: vec![there.clone()],
            ..ShardWork::default()
        };
        save(&store, &lease, work).await;
        assert!(store.alerts().await.unwrap().contains(&there), "{value:e}");
        let logged = store.transitions_after(0, 100).await.unwrap().pop().unwrap();
        assert_eq!(logged.transition, step, "{value:e}");
    }
}
