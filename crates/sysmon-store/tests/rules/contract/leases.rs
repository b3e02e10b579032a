use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sysmon_core::alert::Phase;
use sysmon_store::{ErrorKind, Lease, RuleStore, ShardWork, Work};

use crate::fixture::{Backend, LONG_MS, alert, all_work, key, leased, machine_of, now, save, transition};

const SHORT_MS: u64 = 400;

fn of(work: Work, fence: i64) -> Lease {
    Lease { work, fence }
}

/// Waits until somebody else's lease lapses and takes it.
async fn take_over(store: &Arc<dyn RuleStore>, holder: &str, work: Work) -> Lease {
    let started = Instant::now();
    loop {
        let leases = store.lease(holder, &[work], 1, LONG_MS).await.unwrap();
        if let Some(lease) = leases.first() {
            return lease.clone();
        }
        assert!(started.elapsed() < Duration::from_secs(30), "it never lapses");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn a_lease_is_kept_by_its_holder_until_it_is_given_back(backend: &dyn Backend) {
    let (one, other) = (backend.open().await, backend.open().await);
    let work = Work::Shard(3);
    assert_eq!(one.holders().await.unwrap(), []);
    assert_eq!(one.lease("a", &[work], 1, LONG_MS).await.unwrap(), [of(work, 1)]);
    assert_eq!(one.lease("a", &[work], 1, LONG_MS).await.unwrap(), [of(work, 1)]);
    assert_eq!(other.lease("b", &[work], 1, LONG_MS).await.unwrap(), []);
    assert_eq!(other.holders().await.unwrap(), [(work, "a".to_owned())]);
    // What is not one's own cannot be given back: the fence tells.
    other
        .release(&[of(work, 7), of(Work::Notifier, 1)])
        .await
        .unwrap();
    assert_eq!(other.lease("b", &[work], 1, LONG_MS).await.unwrap(), []);
    one.release(&[of(work, 1)]).await.unwrap();
    assert_eq!(one.holders().await.unwrap(), []);
    assert_eq!(
        other.lease("b", &[work], 1, LONG_MS).await.unwrap(),
        [of(work, 2)]
    );
    assert_eq!(one.lease("a", &[work], 1, LONG_MS).await.unwrap(), []);
    // Given back and taken again, it has a new holder.
    other.release(&[of(work, 2)]).await.unwrap();
    assert_eq!(
        other.lease("b", &[work], 1, LONG_MS).await.unwrap(),
        [of(work, 3)]
    );
}

pub(crate) async fn a_lapsed_lease_is_taken_over_and_the_old_holder_writes_nothing(backend: &dyn Backend) {
    let (one, other) = (backend.open().await, backend.open().await);
    let work = Work::Shard(3);
    let began = Instant::now();
    let old = one.lease("a", &[work], 1, SHORT_MS).await.unwrap().remove(0);
    let key = key(&machine_of(3, 0), "/var");
    let of_a = ShardWork {
        alerts: vec![alert(&key, Phase::Firing)],
        ..ShardWork::default()
    };
    save(&one, &old, of_a.clone()).await;
    let new = take_over(&other, "b", work).await;
    assert!(
        began.elapsed() >= Duration::from_millis(SHORT_MS),
        "taken too early"
    );
    assert_eq!(new, of(work, 2));
    assert_eq!(other.holders().await.unwrap(), [(work, "b".to_owned())]);

    let late = ShardWork {
        transitions: vec![transition(&key, now(), Phase::Resolved)],
        alerts: vec![alert(&key, Phase::Resolved)],
        gone: vec![],
        states: vec![(key.machine.clone(), "late".into())],
        forgotten: vec![],
    };
    assert!(!one.save_shard(&old, &late).await.unwrap());
    assert_eq!(other.alerts().await.unwrap(), of_a.alerts);
    assert_eq!(other.load_shard(3).await.unwrap().states, []);
    assert_eq!(other.transitions_after(0, 10).await.unwrap(), []);
    // It does not come back by itself, nor can it give away what it lost.
    assert_eq!(one.lease("a", &[work], 1, SHORT_MS).await.unwrap(), []);
    one.release(&[old]).await.unwrap();
    save(&other, &new, late).await;
}

pub(crate) async fn a_lapsed_lease_that_nobody_took_goes_on_with_its_fence(backend: &dyn Backend) {
    let store = backend.open().await;
    let lease = store.lease("a", &[Work::Notifier], 1, 1).await.unwrap().remove(0);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(store.holders().await.unwrap(), []);
    // Nobody else can have written in between.
    assert!(store.save_notifier(&lease, &Default::default()).await.unwrap());
    assert_eq!(
        store.lease("a", &[Work::Notifier], 1, LONG_MS).await.unwrap(),
        [lease]
    );
    assert_eq!(store.holders().await.unwrap().len(), 1);
}

pub(crate) async fn no_more_are_taken_than_asked_for_and_those_wanted_most_first(backend: &dyn Backend) {
    let store = backend.open().await;
    let wanted = [Work::Shard(9), Work::Shard(2), Work::Shard(9), Work::Notifier];
    let take = async |holder: &str, most| store.lease(holder, &wanted, most, LONG_MS).await.unwrap();
    assert_eq!(take("a", 0).await, []);
    assert_eq!(take("a", 1).await, [of(Work::Shard(9), 1)]);
    assert_eq!(take("a", 2).await, [of(Work::Shard(2), 1), of(Work::Shard(9), 1)]);
    assert_eq!(take("b", 9).await, [of(Work::Notifier, 1)]);
    // What one has is kept, whatever one asks for.
    assert_eq!(take("a", 1).await.len(), 2);
    let kept = store.lease("a", &[], 0, LONG_MS).await.unwrap();
    assert_eq!(kept, [of(Work::Shard(2), 1), of(Work::Shard(9), 1)]);
    assert_eq!(
        store.holders().await.unwrap(),
        [
            (Work::Shard(2), "a".to_owned()),
            (Work::Shard(9), "a".to_owned()),
            (Work::Notifier, "b".to_owned())
        ]
    );
}

pub(crate) async fn holders_who_race_never_hold_the_same(backend: &dyn Backend) {
    let mut holders = tokio::task::JoinSet::new();
    for number in 0..4 {
        let store = backend.open().await;
        holders.spawn(async move {
            let mut own = Vec::new();
            for most in 1..=6 {
                let holder = format!("holder-{number}");
                own = store.lease(&holder, &all_work(), most, LONG_MS).await.unwrap();
                assert!(own.len() <= most);
            }
            own
        });
    }
    let all: Vec<Lease> = holders.join_all().await.into_iter().flatten().collect();
    let works: BTreeSet<Work> = all.iter().map(|lease| lease.work).collect();
    assert_eq!(works.len(), all.len(), "{all:?}");
    assert!(all.iter().all(|lease| lease.fence == 1), "{all:?}");
    // Who was passed over because others were at it gets the rest now.
    let store = backend.open().await;
    let rest = store
        .lease("last", &all_work(), usize::MAX, LONG_MS)
        .await
        .unwrap();
    assert_eq!(rest.len() + all.len(), all_work().len());
}

pub(crate) async fn leases_that_cannot_be_are_refused(backend: &dyn Backend) {
    let store = backend.open().await;
    let work = [Work::Notifier];
    for (holder, lease_ms) in [("", 1_000), ("nul\0", 1_000), ("a", 0), ("a", u64::MAX)] {
        let error = store.lease(holder, &work, 1, lease_ms).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Rejected, "{holder:?} {lease_ms}");
    }
    // A lease that never was is nobody's.
    assert!(
        !store
            .save_notifier(&of(Work::Notifier, 0), &Default::default())
            .await
            .unwrap()
    );
    leased(&store, "a", Work::Notifier).await;
}
