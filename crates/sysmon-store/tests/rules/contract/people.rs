use sysmon_core::UnixMillis;
use sysmon_core::alert::Rule;
use sysmon_store::{Put, StoredRule};

use crate::fixture::{
    Backend, MINUTE_MS, acknowledgement, ann, author, delivery, id, key, machine_of, new_silence, now, rule,
};

fn stored(rule: &Rule, version: u64, name: &str, at: UnixMillis) -> StoredRule {
    StoredRule {
        rule: rule.clone(),
        version,
        changed: author(name, at),
    }
}

pub(crate) async fn a_rule_is_made_changed_and_removed_by_its_version(backend: &dyn Backend) {
    let store = backend.open().await;
    let (one, other) = (rule("cpu-busy", 80.0), rule("a-first", 1.0));
    let at = now();
    let first = stored(&one, 1, "ann", at);
    let put = store.put_rule(&one, 0, &author("ann", at)).await.unwrap();
    assert_eq!(put, Put::Done(first.clone()));
    // It is there already: somebody else was faster.
    let put = store.put_rule(&one, 0, &ann()).await.unwrap();
    assert_eq!(put, Put::Conflict(Some(first.clone())));
    assert_eq!(
        store.put_rule(&other, 7, &ann()).await.unwrap(),
        Put::Conflict(None)
    );
    store.put_rule(&other, 0, &author("bob", at)).await.unwrap();

    let changed = Rule {
        enabled: false,
        ..rule("cpu-busy", 85.5)
    };
    let second = stored(&changed, 2, "bob", at.plus_ms(1));
    let put = store
        .put_rule(&changed, 1, &author("bob", at.plus_ms(1)))
        .await
        .unwrap();
    assert_eq!(put, Put::Done(second.clone()));
    for stale in [0, 1, 3, u64::MAX] {
        let put = store.put_rule(&one, stale, &ann()).await.unwrap();
        assert_eq!(put, Put::Conflict(Some(second.clone())));
        let put = store.delete_rule(&one.id, stale, &ann()).await.unwrap();
        assert_eq!(put, Put::Conflict(Some(second.clone())));
    }
    assert_eq!(
        backend.open().await.rules().await.unwrap(),
        [stored(&other, 1, "bob", at), second.clone()]
    );

    assert_eq!(
        store.delete_rule(&one.id, 2, &ann()).await.unwrap(),
        Put::Done(second)
    );
    for stale in [0, 2] {
        assert_eq!(
            store.delete_rule(&one.id, stale, &ann()).await.unwrap(),
            Put::Conflict(None)
        );
    }
    assert_eq!(store.rules().await.unwrap(), [stored(&other, 1, "bob", at)]);
}

pub(crate) async fn a_rule_that_is_made_again_goes_on_with_its_version(backend: &dyn Backend) {
    let store = backend.open().await;
    let one = rule("cpu-busy", 80.0);
    for expected in [0, 1, 2] {
        store.put_rule(&one, expected, &ann()).await.unwrap();
    }
    store.delete_rule(&one.id, 3, &ann()).await.unwrap();
    // Who still has the removed one on the screen does not bring it back.
    assert_eq!(
        store.put_rule(&one, 3, &ann()).await.unwrap(),
        Put::Conflict(None)
    );
    let at = now();
    let put = store.put_rule(&one, 0, &author("ann", at)).await.unwrap();
    assert_eq!(put, Put::Done(stored(&one, 4, "ann", at)));
    store.delete_rule(&one.id, 4, &ann()).await.unwrap();
    let put = backend
        .open()
        .await
        .put_rule(&one, 0, &author("ann", at))
        .await
        .unwrap();
    assert_eq!(put, Put::Done(stored(&one, 5, "ann", at)));
}

pub(crate) async fn of_writers_who_saw_the_same_version_one_succeeds(backend: &dyn Backend) {
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..4 {
        let store = backend.open().await;
        writers.spawn(async move {
            let mut done = 0;
            for round in 0..5 {
                let one = rule("cpu-busy", f64::from(number * 10 + round));
                match store
                    .put_rule(&one, u64::try_from(round).unwrap(), &ann())
                    .await
                    .unwrap()
                {
                    Put::Done(stored) => {
                        assert_eq!(stored.rule, one);
                        done += 1;
                    }
                    Put::Conflict(present) => assert!(present.is_none_or(|present| present.rule != one)),
                }
            }
            done
        });
    }
    let done: u64 = writers.join_all().await.into_iter().sum();
    let store = backend.open().await;
    let rules = store.rules().await.unwrap();
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0].version, done, "a change was lost");
    assert_eq!(
        store.audit(None, 100).await.unwrap().len(),
        usize::try_from(done).unwrap()
    );
}

pub(crate) async fn the_starter_pack_is_stored_once_and_replaces_nothing(backend: &dyn Backend) {
    let store = backend.open().await;
    let own = rule("cpu-busy", 42.0);
    store.put_rule(&own, 0, &ann()).await.unwrap();
    store.put_rule(&rule("gone", 1.0), 0, &ann()).await.unwrap();
    store.delete_rule(&id("gone"), 1, &ann()).await.unwrap();
    let pack = [rule("cpu-busy", 80.0), rule("disk-full", 90.0), rule("gone", 2.0)];
    assert_eq!(store.install_starter(&pack, &ann()).await.unwrap(), 1);
    let rules = store.rules().await.unwrap();
    assert_eq!(rules[0].rule, own);
    assert_eq!((&rules[1].rule, rules[1].version), (&pack[1], 1));
    assert_eq!(rules.len(), 2);
    // Who removed one of them does not get it back.
    store.delete_rule(&id("disk-full"), 1, &ann()).await.unwrap();
    let store = backend.open().await;
    assert_eq!(store.install_starter(&pack, &ann()).await.unwrap(), 0);
    assert_eq!(store.rules().await.unwrap().len(), 1);
}

pub(crate) async fn silences_begin_and_end(backend: &dyn Backend) {
    let store = backend.open().await;
    let at = now();
    let wanted = new_silence(at, at.plus_ms(MINUTE_MS));
    let first = store.add_silence(&wanted, &author("ann", at)).await.unwrap();
    assert_eq!(first.id.0, 1);
    assert_eq!(
        (
            &first.matcher,
            first.from,
            first.until,
            first.by.as_str(),
            first.comment.as_str()
        ),
        (
            &wanted.matcher,
            wanted.from,
            wanted.until,
            "ann",
            wanted.comment.as_str()
        )
    );
    let later = new_silence(at.plus_ms(MINUTE_MS), at.plus_ms(5 * MINUTE_MS));
    let second = store.add_silence(&later, &ann()).await.unwrap();
    assert!(second.id > first.id);
    assert_eq!(
        backend.open().await.silences(at).await.unwrap(),
        [first.clone(), second.clone()]
    );
    // The end is not included.
    assert_eq!(
        store.silences(first.until).await.unwrap(),
        std::slice::from_ref(&second)
    );
    assert_eq!(store.silences(first.until.plus_ms(-1)).await.unwrap().len(), 2);

    let ends = author("bob", at.plus_ms(30_000));
    assert!(store.end_silence(first.id, &ends).await.unwrap());
    assert!(!store.end_silence(first.id, &ends).await.unwrap());
    assert_eq!(
        store.silences(ends.at.plus_ms(-1)).await.unwrap()[0].until,
        ends.at
    );
    assert_eq!(
        store.silences(ends.at).await.unwrap(),
        std::slice::from_ref(&second)
    );
    let nothing = sysmon_core::alert::SilenceId(999);
    assert!(!store.end_silence(nothing, &ends).await.unwrap());
    // One that has not begun yet never will.
    assert!(store.end_silence(second.id, &ends).await.unwrap());
    assert_eq!(store.silences(ends.at).await.unwrap(), []);
}

pub(crate) async fn acknowledgements_are_set_changed_and_cleared(backend: &dyn Backend) {
    let store = backend.open().await;
    let machine = machine_of(3, 0);
    let (var, root) = (key(&machine, "/var"), key(&machine, ""));
    let (by_ann, by_bob) = (acknowledgement("ann"), acknowledgement("bob"));
    let forever = sysmon_core::alert::Acknowledgement {
        until: None,
        ..by_ann.clone()
    };
    store.acknowledge(&var, Some(&by_ann), &ann()).await.unwrap();
    store.acknowledge(&root, Some(&forever), &ann()).await.unwrap();
    store.acknowledge(&var, Some(&by_bob), &ann()).await.unwrap();
    assert_eq!(
        backend.open().await.acknowledgements().await.unwrap(),
        [(root.clone(), forever), (var.clone(), by_bob)]
    );
    store.acknowledge(&root, None, &ann()).await.unwrap();
    store.acknowledge(&root, None, &ann()).await.unwrap();
    let left = store.acknowledgements().await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].0, var);
}

pub(crate) async fn every_change_is_audited_with_how_it_was_and_is(backend: &dyn Backend) {
    let store = backend.open().await;
    let at = now();
    let who = |minute: i64| author("änn \"1\"", at.plus_ms(minute * MINUTE_MS));
    let (one, changed, pack) = (
        rule("cpu-busy", 80.0),
        rule("cpu-busy", 85.5),
        rule("disk-full", 90.0),
    );
    let json = |rule: &Rule| Some(serde_json::to_string(rule).unwrap());
    store.put_rule(&one, 0, &who(1)).await.unwrap();
    store.put_rule(&changed, 1, &who(2)).await.unwrap();
    store.put_rule(&one, 1, &who(2)).await.unwrap();
    store.delete_rule(&one.id, 2, &who(3)).await.unwrap();
    store.delete_rule(&one.id, 2, &who(3)).await.unwrap();
    store
        .install_starter(std::slice::from_ref(&pack), &who(4))
        .await
        .unwrap();
    let silence = store
        .add_silence(&new_silence(at, at.plus_ms(99 * MINUTE_MS)), &who(5))
        .await
        .unwrap();
    store.end_silence(silence.id, &who(6)).await.unwrap();
    let key = key(&machine_of(3, 0), "/var");
    store
        .acknowledge(&key, Some(&acknowledgement("ann")), &who(7))
        .await
        .unwrap();
    store.acknowledge(&key, None, &who(8)).await.unwrap();
    store.request_delivery(&delivery(7), &who(9)).await.unwrap();
    let signal = r#"{"signal":"TERM","outcome":"sent"}"#;
    store
        .note(&who(10), "process.signal", "web-1/77", signal)
        .await
        .unwrap();

    let entries = backend.open().await.audit(None, 100).await.unwrap();
    let mut found = Vec::new();
    for (index, entry) in entries.iter().rev().enumerate() {
        assert_eq!(entry.id, i64::try_from(index).unwrap() + 1);
        assert_eq!(entry.author, who(entry.id));
        found.push((entry.action.as_str(), entry.object.as_str()));
    }
    let alert = format!("disk-full/{}//var", key.machine);
    assert_eq!(
        found,
        [
            ("rule.put", "cpu-busy"),
            ("rule.put", "cpu-busy"),
            ("rule.delete", "cpu-busy"),
            ("rule.starter", "disk-full"),
            ("silence.add", "1"),
            ("silence.end", "1"),
            ("alert.acknowledge", alert.as_str()),
            ("alert.unacknowledge", alert.as_str()),
            ("delivery.request", "00000000000000000000000000000007"),
            ("process.signal", "web-1/77"),
        ]
    );
    let changes: Vec<_> = entries
        .iter()
        .rev()
        .map(|entry| (entry.before.clone(), entry.after.clone()))
        .collect();
    assert_eq!(changes[0], (None, json(&one)));
    assert_eq!(changes[1], (json(&one), json(&changed)));
    assert_eq!(changes[2], (json(&changed), None));
    assert_eq!(changes[3], (None, json(&pack)));
    let before: sysmon_core::alert::Silence = serde_json::from_str(changes[5].0.as_deref().unwrap()).unwrap();
    assert_eq!(before, silence);
    assert_eq!(changes[4], (None, changes[5].0.clone()));
    assert_ne!(changes[5].0, changes[5].1);
    assert_eq!(changes[6].1, changes[7].0);
    assert!(changes[6].1.as_deref().unwrap().contains("I know."));
    assert_eq!((&changes[6].0, &changes[7].1), (&None, &None));
    assert!(changes[8].1.as_deref().unwrap().contains("\"pending\""));
    assert_eq!(changes[9], (None, Some(signal.to_owned())));
}

pub(crate) async fn the_audit_log_is_read_in_pages(backend: &dyn Backend) {
    let store = backend.open().await;
    for version in 0..5 {
        store
            .put_rule(&rule("cpu-busy", 1.0), version, &ann())
            .await
            .unwrap();
    }
    let ids = async |before, limit| -> Vec<i64> {
        let entries = store.audit(before, limit).await.unwrap();
        entries.iter().map(|entry| entry.id).collect()
    };
    assert_eq!(ids(None, 2).await, [5, 4]);
    assert_eq!(ids(Some(4), 2).await, [3, 2]);
    assert_eq!(ids(Some(2), 100).await, [1]);
    assert_eq!(ids(Some(1), 100).await, [0i64; 0]);
}
