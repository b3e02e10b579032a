use sysmon_core::alert::Phase;
use sysmon_store::{Delivery, DeliveryState, ErrorKind, Lease, Notifier, NotifierWork, Work};

use crate::fixture::{Backend, ann, author, delivery, key, leased, log, machine_of, now, transition};

pub(crate) async fn the_notifier_begins_at_the_newest_step_and_goes_on_where_it_was(backend: &dyn Backend) {
    let store = backend.open().await;
    let key = key(&machine_of(3, 0), "/var");
    let at = now();
    let steps = vec![
        transition(&key, at, Phase::Pending),
        transition(&key, at, Phase::Firing),
    ];
    log(&store, "a", 3, steps).await;
    let newest = store.transitions_after(0, 10).await.unwrap()[1].id;
    let fresh = Notifier {
        read: newest,
        ..Notifier::default()
    };
    assert_eq!(store.load_notifier().await.unwrap(), fresh);
    // It ends before it saves anything; what happens meanwhile is not lost.
    log(&store, "a", 3, vec![transition(&key, at, Phase::Resolved)]).await;
    let store = backend.open().await;
    assert_eq!(store.load_notifier().await.unwrap(), fresh);
    assert_eq!(store.transitions_after(newest, 10).await.unwrap().len(), 1);

    let lease = leased(&store, "a", Work::Notifier).await;
    let work = NotifierWork {
        read: Some(newest + 1),
        groups: vec![
            ("b".into(), vec![0, 255].into()),
            ("a".into(), "1".into()),
            ("a".into(), "2".into()),
            ("c".into(), "gone".into()),
        ],
        deliveries: vec![delivery(2), delivery(1)],
    };
    assert!(store.save_notifier(&lease, &work).await.unwrap());
    let work = NotifierWork {
        groups: vec![("c".into(), "".into()), ("never".into(), "".into())],
        ..NotifierWork::default()
    };
    assert!(store.save_notifier(&lease, &work).await.unwrap());
    let known = backend.open().await.load_notifier().await.unwrap();
    assert_eq!(known.read, newest + 1);
    assert_eq!(
        known.groups,
        [("a".into(), "2".into()), ("b".into(), vec![0, 255].into())]
    );
    assert_eq!(known.pending.len(), 2);
}

pub(crate) async fn deliveries_are_kept_changed_and_listed_newest_first(backend: &dyn Backend) {
    let store = backend.open().await;
    let lease = leased(&store, "a", Work::Notifier).await;
    let mut all: Vec<Delivery> = (0..5).map(delivery).collect();
    // Two of one moment go by their ids.
    all[1].created = all[0].created;
    let work = NotifierWork {
        deliveries: all.clone(),
        ..NotifierWork::default()
    };
    assert!(store.save_notifier(&lease, &work).await.unwrap());
    for (delivery, state) in all.iter_mut().zip([
        DeliveryState::Pending,
        DeliveryState::Sent,
        DeliveryState::Dead,
        DeliveryState::Dropped,
        DeliveryState::Pending,
    ]) {
        delivery.state = state;
        delivery.attempts = u32::MAX;
        delivery.due = now().plus_ms(77);
        delivery.problem = "connection refused".into();
    }
    let stale = Delivery {
        state: DeliveryState::Dropped,
        ..all[0].clone()
    };
    let work = NotifierWork {
        // Named twice, the later counts.
        deliveries: [vec![stale], all.clone()].concat(),
        ..NotifierWork::default()
    };
    assert!(store.save_notifier(&lease, &work).await.unwrap());
    let newest_first: Vec<Delivery> = all.iter().rev().cloned().collect();
    let store = backend.open().await;
    assert_eq!(store.deliveries(None, 100).await.unwrap(), newest_first);
    assert_eq!(store.deliveries(None, 2).await.unwrap(), newest_first[..2]);
    for (state, _) in DeliveryState::WORDS {
        let of_state = newest_first.iter().filter(|delivery| delivery.state == state);
        assert_eq!(
            store.deliveries(Some(state), 100).await.unwrap(),
            of_state.cloned().collect::<Vec<_>>()
        );
    }
    let pending = store.load_notifier().await.unwrap().pending;
    assert_eq!(pending.len(), 2);
    assert!(
        pending
            .iter()
            .all(|delivery| delivery.state == DeliveryState::Pending)
    );
}

pub(crate) async fn a_dead_delivery_is_sent_again_and_no_other(backend: &dyn Backend) {
    let store = backend.open().await;
    let lease = leased(&store, "a", Work::Notifier).await;
    let mut all: Vec<Delivery> = (0..4).map(delivery).collect();
    for (delivery, (state, _)) in all.iter_mut().zip(DeliveryState::WORDS) {
        delivery.state = state;
        delivery.attempts = 9;
        delivery.problem = "no route".into();
    }
    let work = NotifierWork {
        deliveries: all.clone(),
        ..NotifierWork::default()
    };
    assert!(store.save_notifier(&lease, &work).await.unwrap());
    let who = author("ann", now().plus_ms(60_000));
    for other in all
        .iter()
        .filter(|delivery| delivery.state != DeliveryState::Dead)
    {
        assert!(!store.resend(&other.id, &who).await.unwrap());
    }
    assert!(!store.resend("nothing", &who).await.unwrap());
    assert_eq!(store.audit(None, 10).await.unwrap(), []);
    let dead = all
        .iter()
        .find(|delivery| delivery.state == DeliveryState::Dead)
        .unwrap();
    assert!(store.resend(&dead.id, &who).await.unwrap());
    assert!(!store.resend(&dead.id, &who).await.unwrap());
    let again = Delivery {
        state: DeliveryState::Pending,
        attempts: 0,
        due: who.at,
        ..dead.clone()
    };
    assert!(store.load_notifier().await.unwrap().pending.contains(&again));
    let audit = store.audit(None, 10).await.unwrap();
    assert_eq!(audit.len(), 1);
    assert_eq!(
        (
            audit[0].action.as_str(),
            audit[0].object.as_str(),
            &audit[0].author
        ),
        ("delivery.resend", dead.id.as_str(), &who)
    );
    assert!(audit[0].before.as_deref().unwrap().contains("\"dead\""));
    assert!(audit[0].after.as_deref().unwrap().contains("\"pending\""));
}

pub(crate) async fn what_somebody_asks_for_is_due_at_once(backend: &dyn Backend) {
    let store = backend.open().await;
    let who = author("ann", now());
    let asked = Delivery {
        state: DeliveryState::Sent,
        attempts: 3,
        due: who.at.plus_ms(999_999),
        problem: "what?".into(),
        ..delivery(1)
    };
    store.request_delivery(&asked, &who).await.unwrap();
    let pending = Delivery {
        state: DeliveryState::Pending,
        attempts: 0,
        due: who.at,
        problem: String::new(),
        ..asked.clone()
    };
    assert_eq!(
        store.load_notifier().await.unwrap().pending,
        std::slice::from_ref(&pending)
    );
    let error = store.request_delivery(&asked, &ann()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Rejected);
    assert!(error.message.contains("another id"), "{error}");
    assert_eq!(store.deliveries(None, 10).await.unwrap(), [pending]);
    assert_eq!(store.audit(None, 10).await.unwrap().len(), 1);
}

pub(crate) async fn an_old_notifier_writes_nothing(backend: &dyn Backend) {
    let store = backend.open().await;
    let old = leased(&store, "a", Work::Notifier).await;
    store.release(std::slice::from_ref(&old)).await.unwrap();
    let new = leased(&backend.open().await, "b", Work::Notifier).await;
    assert_eq!(
        new,
        Lease {
            work: Work::Notifier,
            fence: 2
        }
    );
    let work = NotifierWork {
        read: Some(99),
        groups: vec![("group".into(), "state".into())],
        deliveries: vec![delivery(1)],
    };
    assert!(!store.save_notifier(&old, &work).await.unwrap());
    assert_eq!(store.load_notifier().await.unwrap(), Notifier::default());
    assert!(store.save_notifier(&new, &work).await.unwrap());
    assert_eq!(store.load_notifier().await.unwrap().read, 99);
}
