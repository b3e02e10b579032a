use sysmon_core::UnixMillis;
use sysmon_core::alert::{Acknowledgement, Phase};
use sysmon_store::{Delivery, DeliveryState, NotifierWork, ShardWork, Work};

use crate::fixture::{
    Backend, DAY_MS, acknowledgement, alert, author, delivery, key, leased, machine_of, new_silence, now,
    rule, save, transition,
};

const LOG_MS: u64 = 90 * DAY_MS as u64;

pub(crate) async fn what_is_old_is_removed_and_the_rest_stays(backend: &dyn Backend) {
    let store = backend.open().await;
    let at = now();
    let ago = |days: i64| at.plus_ms(-days * DAY_MS);
    let lease = leased(&store, "a", Work::Shard(3)).await;
    let notifier = leased(&store, "a", Work::Notifier).await;
    let (idle, firing) = (machine_of(3, 0), machine_of(3, 1));
    let work = ShardWork {
        transitions: vec![
            transition(&key(&idle, "/"), ago(91), Phase::Firing),
            transition(&key(&idle, "/"), ago(89), Phase::Firing),
        ],
        alerts: vec![alert(&key(&firing, "/"), Phase::Firing)],
        states: vec![(idle.clone(), "idle".into()), (firing.clone(), "firing".into())],
        ..ShardWork::default()
    };
    save(&store, &lease, work).await;
    let mut deliveries = Vec::new();
    for (number, (state, _)) in (0..).zip(DeliveryState::WORDS) {
        for (offset, days) in [(0, 31), (10, 29)] {
            deliveries.push(Delivery {
                state,
                due: ago(days),
                created: ago(40),
                ..delivery(number + offset)
            });
        }
    }
    let work = NotifierWork {
        deliveries,
        ..NotifierWork::default()
    };
    assert!(store.save_notifier(&notifier, &work).await.unwrap());
    for (from, until) in [(40, 31), (40, 29)] {
        let silence = new_silence(ago(from), ago(until));
        store
            .add_silence(&silence, &author("ann", ago(730 + from)))
            .await
            .unwrap();
    }
    store
        .put_rule(&rule("cpu-busy", 1.0), 0, &author("ann", ago(729)))
        .await
        .unwrap();
    for (entity, days) in [("/orphan", 2), ("/new", 0)] {
        let said = Acknowledgement {
            at: ago(days),
            ..acknowledgement("ann")
        };
        let key = key(&idle, entity);
        store
            .acknowledge(&key, Some(&said), &author("ann", at))
            .await
            .unwrap();
    }
    let said = Acknowledgement {
        at: ago(9),
        ..acknowledgement("ann")
    };
    store
        .acknowledge(&key(&firing, "/"), Some(&said), &author("ann", at))
        .await
        .unwrap();

    store.maintain_rules(at, LOG_MS).await.unwrap();
    let steps = store.transitions_after(0, 10).await.unwrap();
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0].transition.at, ago(89));
    let left = store.deliveries(None, 100).await.unwrap();
    assert_eq!(left.len(), 5);
    assert!(
        left.iter()
            .all(|left| left.state == DeliveryState::Pending || left.due == ago(29))
    );
    let silences = store.silences(UnixMillis(0)).await.unwrap();
    assert_eq!(silences.len(), 1);
    assert_eq!(silences[0].until, ago(29));
    let audit = store.audit(None, 100).await.unwrap();
    assert_eq!(audit.len(), 4);
    assert!(audit.iter().all(|entry| entry.author.at >= ago(729)));
    let entities: Vec<String> = store
        .acknowledgements()
        .await
        .unwrap()
        .iter()
        .map(|(key, _)| key.entity.to_string())
        .collect();
    assert_eq!(entities.len(), 2, "{entities:?}");
    assert!(!entities.contains(&"/orphan".to_owned()));
    // Both were saved just now.
    assert_eq!(store.load_shard(3).await.unwrap().states.len(), 2);

    // Much later the machine without alerts is forgotten, and no step that is stored again is taken for an old one.
    let later = at.plus_ms(91 * DAY_MS);
    store.maintain_rules(later, LOG_MS).await.unwrap();
    assert_eq!(
        store.load_shard(3).await.unwrap().states,
        [(firing.clone(), "firing".into())]
    );
    assert_eq!(store.transitions_after(0, 10).await.unwrap(), []);
    assert_eq!(store.alerts().await.unwrap().len(), 1);
    assert_eq!(store.rules().await.unwrap().len(), 1);
    let work = ShardWork {
        transitions: vec![transition(&key(&idle, "/"), ago(89), Phase::Firing)],
        ..ShardWork::default()
    };
    save(&store, &lease, work).await;
    let again = store.transitions_after(steps[0].id, 10).await.unwrap();
    assert_eq!(again.len(), 1, "its number was used before");
    // Extreme times are answered as well.
    for (now, log_ms) in [(i64::MIN, u64::MAX), (i64::MAX, 0), (0, u64::MAX)] {
        store.maintain_rules(UnixMillis(now), log_ms).await.unwrap();
    }
}

pub(crate) async fn the_store_says_what_it_is(backend: &dyn Backend) {
    let store = backend.open().await;
    assert_eq!(store.rules().await.unwrap(), []);
    let info = store.info();
    assert!(
        ["memory", "SQLite 3", "PostgreSQL 1", "TimescaleDB 2"]
            .iter()
            .any(|known| info.engine.starts_with(known)),
        "{info:?}"
    );
}
