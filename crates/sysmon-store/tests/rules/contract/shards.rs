use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sysmon_core::UnixMillis;
use sysmon_core::alert::{Alert, AlertKey, Cause, Phase, RuleId, Severity, SilenceId, Transition};
use sysmon_store::{ErrorKind, Lease, RuleStore, Shard, ShardWork, TransitionQuery, Work};

use crate::fixture::{
    Backend, LONG_MS, acknowledgement, alert, ann, id, key, leased, log, machine_of, now, save, transition,
};

pub(crate) async fn a_shard_comes_back_as_it_was_saved(backend: &dyn Backend) {
    let store = backend.open().await;
    let lease = leased(&store, "a", Work::Shard(3)).await;
    let other = leased(&store, "a", Work::Shard(4)).await;
    let (one, two) = (machine_of(3, 0), machine_of(3, 1));
    let mut alerts: Vec<Alert> = [
        Phase::Pending,
        Phase::Firing,
        Phase::Recovering,
        Phase::Resolved,
        Phase::NoData,
    ]
    .into_iter()
    .map(|phase| alert(&key(&one, phase.word()), phase))
    .collect();
    alerts[1].silenced = Some(SilenceId(7));
    alerts[1].inhibited = true;
    alerts.push(Alert {
        severity: Severity::Info,
        fired: None,
        value: None,
        threshold: None,
        peak: None,
        flapping: false,
        acknowledged: None,
        culprits: vec![],
        ..alert(&key(&two, ""), Phase::NoData)
    });
    let every_byte: Bytes = (0..=255).collect();
    let work = ShardWork {
        alerts: alerts.clone(),
        states: vec![(one.clone(), every_byte.clone()), (two.clone(), Bytes::new())],
        ..ShardWork::default()
    };
    save(&store, &lease, work).await;
    let elsewhere = machine_of(4, 0);
    let work = ShardWork {
        alerts: vec![alert(&key(&elsewhere, "/"), Phase::Firing)],
        states: vec![(elsewhere, "else".into())],
        ..ShardWork::default()
    };
    save(&store, &other, work.clone()).await;

    let store = backend.open().await;
    let sorted = |mut alerts: Vec<Alert>| {
        alerts.sort_by(|one, other| one.key.cmp(&other.key));
        alerts
    };
    let mut states = vec![(one.clone(), every_byte), (two.clone(), Bytes::new())];
    states.sort();
    let expected = Shard {
        states,
        alerts: sorted(alerts.clone()),
    };
    assert_eq!(store.load_shard(3).await.unwrap(), expected);
    assert_eq!(store.load_shard(5).await.unwrap(), Shard::default());
    alerts.extend(work.alerts);
    assert_eq!(store.alerts().await.unwrap(), sorted(alerts.clone()));

    // Named twice, the later counts; what is inactive is not there; what is forgotten is gone.
    let last = alert(&key(&one, "firing"), Phase::Resolved);
    let work = ShardWork {
        alerts: vec![
            alert(&key(&one, "firing"), Phase::Recovering),
            last.clone(),
            alert(&key(&one, "pending"), Phase::Inactive),
        ],
        gone: ["recovering", "resolved", "no_data", "never"]
            .map(|entity| key(&one, entity))
            .into(),
        states: vec![(one.clone(), "1".into()), (one.clone(), "2".into())],
        forgotten: vec![one.clone(), two.clone()],
        ..ShardWork::default()
    };
    save(&store, &lease, work).await;
    let shard = store.load_shard(3).await.unwrap();
    assert_eq!(shard.states, [(one, "2".into())]);
    assert_eq!(shard.alerts, sorted(vec![last, alerts[5].clone()]));
}

pub(crate) async fn steps_are_stored_once_in_their_order(backend: &dyn Backend) {
    let store = backend.open().await;
    let key = key(&machine_of(3, 0), "/var");
    let at = now();
    let mut steps = vec![
        transition(&key, at.plus_ms(5), Phase::Firing),
        transition(&key, at, Phase::Pending),
        transition(&key, at.plus_ms(9), Phase::Resolved),
    ];
    // The same moment and phase, but worse.
    steps.push(Transition {
        severity: Severity::Info,
        ..steps[0].clone()
    });
    let lease = log(&store, "a", 3, [steps.clone(), steps[..2].to_vec()].concat()).await;
    let next = Transition {
        from: Phase::NoData,
        cause: Cause::MachineBack,
        value: None,
        threshold: None,
        fired: None,
        culprits: vec![],
        ..transition(&key, at.plus_ms(10), Phase::Pending)
    };
    // Another holder after a crash does not know what the first one had stored already.
    let again = Transition {
        value: Some(1.0),
        ..steps[1].clone()
    };
    let work = ShardWork {
        transitions: vec![again, steps[0].clone(), next.clone()],
        ..ShardWork::default()
    };
    save(&backend.open().await, &lease, work).await;
    steps.push(next);
    let logged = store.transitions_after(0, 100).await.unwrap();
    assert!(logged.windows(2).all(|pair| pair[0].id < pair[1].id));
    let found: Vec<_> = logged.iter().map(|logged| logged.transition.clone()).collect();
    assert_eq!(found, steps);
    let after: Vec<_> = store.transitions_after(logged[1].id, 2).await.unwrap();
    assert_eq!(after, logged[2..4]);
    assert_eq!(store.transitions_after(logged[4].id, 9).await.unwrap(), []);
    assert_eq!(store.transitions_after(i64::MAX, 9).await.unwrap(), []);
}

pub(crate) async fn what_is_gone_takes_its_acknowledgement_along(backend: &dyn Backend) {
    let store = backend.open().await;
    let lease = leased(&store, "a", Work::Shard(3)).await;
    let keys: Vec<AlertKey> = ["/", "/home", "/var"]
        .iter()
        .map(|entity| key(&machine_of(3, 0), entity))
        .collect();
    let said = acknowledgement("ann");
    for key in &keys {
        store.acknowledge(key, Some(&said), &ann()).await.unwrap();
    }
    let work = ShardWork {
        alerts: keys.iter().map(|key| alert(key, Phase::Firing)).collect(),
        ..ShardWork::default()
    };
    save(&store, &lease, work).await;
    assert_eq!(store.acknowledgements().await.unwrap().len(), 3);
    let work = ShardWork {
        alerts: vec![alert(&keys[2], Phase::Inactive), alert(&keys[1], Phase::Resolved)],
        gone: vec![keys[0].clone()],
        ..ShardWork::default()
    };
    save(&store, &lease, work).await;
    assert_eq!(store.acknowledgements().await.unwrap(), [(keys[1].clone(), said)]);
}

pub(crate) async fn a_save_that_is_refused_leaves_nothing_behind(backend: &dyn Backend) {
    let store = backend.open().await;
    let lease = leased(&store, "a", Work::Shard(3)).await;
    let key = key(&machine_of(3, 0), "/var");
    let good = ShardWork {
        transitions: vec![transition(&key, now(), Phase::Firing)],
        alerts: vec![alert(&key, Phase::Firing)],
        states: vec![(key.machine.clone(), "state".into())],
        ..ShardWork::default()
    };
    let mut endless = good.clone();
    endless.alerts[0].peak = Some(f64::INFINITY);
    let mut nameless = good.clone();
    nameless.transitions[0].key.entity = "nul\0".into();
    let mut large = good.clone();
    large.states[0].1 = vec![0; 1_024 * 1_024 + 1].into();
    let mut timeless = good.clone();
    timeless.transitions[0].at = UnixMillis(i64::MAX);
    let mut elsewhere = good.clone();
    elsewhere.forgotten.push(machine_of(4, 0));
    for bad in [endless, nameless, large, timeless, elsewhere] {
        let error = store.save_shard(&lease, &bad).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Rejected, "{error}");
        assert_eq!(store.load_shard(3).await.unwrap(), Shard::default());
        assert_eq!(store.transitions_after(0, 10).await.unwrap(), []);
    }
    let mut largest = good.clone();
    largest.states[0].1 = vec![7; 1_024 * 1_024].into();
    save(&store, &lease, largest.clone()).await;
    assert_eq!(store.load_shard(3).await.unwrap().states, largest.states);
}

pub(crate) async fn a_lease_is_good_for_its_own_work_only(backend: &dyn Backend) {
    let store = backend.open().await;
    let shard = leased(&store, "a", Work::Shard(3)).await;
    let notifier = leased(&store, "a", Work::Notifier).await;
    let error = store
        .save_shard(&notifier, &ShardWork::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Rejected);
    let error = store
        .save_notifier(&shard, &Default::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Rejected);
    for wrong in [0, 2, -1] {
        let lease = Lease {
            fence: wrong,
            ..shard.clone()
        };
        assert!(!store.save_shard(&lease, &ShardWork::default()).await.unwrap());
    }
    save(&store, &shard, ShardWork::default()).await;
}

pub(crate) async fn the_log_is_asked_by_machine_rule_and_time(backend: &dyn Backend) {
    let store = backend.open().await;
    let at = now();
    let (one, two) = (machine_of(3, 0), machine_of(3, 1));
    let mut steps = Vec::new();
    for minute in 0..4 {
        for machine in [&one, &two] {
            let mut step = transition(&key(machine, "/"), at.plus_ms(minute * 60_000), Phase::Firing);
            if minute % 2 == 1 {
                step.key.rule = id("cpu-busy");
            }
            steps.push(step);
        }
    }
    log(&store, "a", 3, steps.clone()).await;
    let ask = async |query: TransitionQuery| -> Vec<Transition> {
        let logged = store.transitions(&query).await.unwrap();
        assert!(logged.windows(2).all(|pair| pair[0].id > pair[1].id));
        logged.into_iter().map(|logged| logged.transition).collect()
    };
    let all = TransitionQuery {
        limit: 100,
        ..TransitionQuery::default()
    };
    let newest_first = |meant: &dyn Fn(&Transition) -> bool| -> Vec<Transition> {
        steps.iter().rev().filter(|step| meant(step)).cloned().collect()
    };
    assert_eq!(ask(all.clone()).await, newest_first(&|_| true));
    let of_one = TransitionQuery {
        machines: vec![one.clone(), machine_of(5, 5)],
        ..all.clone()
    };
    assert_eq!(ask(of_one).await, newest_first(&|step| step.key.machine == one));
    let busy: RuleId = id("cpu-busy");
    let of_rule = TransitionQuery {
        rules: vec![busy.clone()],
        from: Some(at.plus_ms(60_000)),
        to: Some(at.plus_ms(180_000)),
        ..all.clone()
    };
    assert_eq!(
        ask(of_rule).await,
        newest_first(&|step| step.key.rule == busy && step.at == at.plus_ms(60_000))
    );
    let logged = store.transitions(&all).await.unwrap();
    let page = TransitionQuery {
        before: Some(logged[2].id),
        limit: 3,
        ..all.clone()
    };
    assert_eq!(store.transitions(&page).await.unwrap(), logged[3..6]);
    // The nearest before a moment, and the nearest from it on.
    let before = TransitionQuery {
        to: Some(at.plus_ms(60_000)),
        limit: 1,
        ..all.clone()
    };
    let nearest = store.transitions(&before).await.unwrap();
    let expected = steps.iter().rev().find(|step| step.at < at.plus_ms(60_000));
    assert_eq!(nearest.first().map(|logged| &logged.transition), expected);
    let from = TransitionQuery {
        from: Some(at.plus_ms(60_000)),
        limit: 1,
        oldest_first: true,
        ..all.clone()
    };
    let nearest = store.transitions(&from).await.unwrap();
    let expected = steps.iter().find(|step| step.at >= at.plus_ms(60_000));
    assert_eq!((nearest.len(), Some(&nearest[0].transition)), (1, expected));
    let onwards = TransitionQuery {
        before: Some(logged[5].id),
        limit: 3,
        oldest_first: true,
        ..all.clone()
    };
    let mut next = store.transitions(&onwards).await.unwrap();
    next.reverse();
    assert_eq!(next, logged[2..5]);
    let nobody = TransitionQuery {
        machines: vec![machine_of(5, 5)],
        ..all
    };
    assert_eq!(ask(nobody).await, []);
}

pub(crate) async fn no_step_appears_before_one_that_was_seen(backend: &dyn Backend) {
    const WRITERS: u32 = 4;
    const SAVES: usize = 25;
    const STEPS: usize = 4;
    let running = Arc::new(AtomicUsize::new(WRITERS as usize));
    let at = now();
    let mut writers = tokio::task::JoinSet::new();
    for shard in 0..WRITERS {
        let store = backend.open().await;
        let running = Arc::clone(&running);
        writers.spawn(async move {
            let lease = leased(&store, &format!("holder-{shard}"), Work::Shard(shard)).await;
            let key = key(&machine_of(shard, 0), "/");
            for number in 0..SAVES {
                let moment = |step: usize| at.plus_ms(i64::try_from(number * STEPS + step).unwrap());
                let work = ShardWork {
                    transitions: (0..STEPS)
                        .map(|step| transition(&key, moment(step), Phase::Firing))
                        .collect(),
                    alerts: vec![alert(&key, Phase::Firing)],
                    ..ShardWork::default()
                };
                save(&store, &lease, work).await;
            }
            running.fetch_sub(1, Ordering::SeqCst);
        });
    }
    let store = backend.open().await;
    let mut seen = Vec::new();
    loop {
        let is_over = running.load(Ordering::SeqCst) == 0;
        let after = seen.last().copied().unwrap_or(0);
        let more = store.transitions_after(after, 7).await.unwrap();
        if more.is_empty() && is_over {
            break;
        }
        seen.extend(more.iter().map(|logged| logged.id));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    writers.join_all().await;
    let all = store.transitions_after(0, 10_000).await.unwrap();
    assert_eq!(all.len(), WRITERS as usize * SAVES * STEPS);
    let all: Vec<i64> = all.iter().map(|logged| logged.id).collect();
    assert_eq!(seen, all, "a step appeared before one that was seen");
}

pub(crate) async fn a_save_that_nobody_waits_for_did_all_or_nothing(backend: &dyn Backend) {
    let store = backend.open().await;
    let lease = leased(&store, "a", Work::Shard(3)).await;
    let at = now();
    let mut kept = 0;
    for number in 0..20 {
        let key = key(&machine_of(3, 0), &format!("/{number}"));
        let work = ShardWork {
            transitions: vec![transition(&key, at.plus_ms(number), Phase::Firing)],
            alerts: vec![alert(&key, Phase::Firing)],
            ..ShardWork::default()
        };
        let patience = Duration::from_micros(200 * u64::try_from(number).unwrap());
        let _ = tokio::time::timeout(patience, store.save_shard(&lease, &work)).await;
        // Whatever became of it, the store is as usable as before, and says the same in both places.
        assert_eq!(
            store.lease("a", &[], 0, LONG_MS).await.unwrap(),
            std::slice::from_ref(&lease)
        );
    }
    // What was given up may still be on its way.
    for _ in 0..100 {
        let steps = store.transitions_after(0, 100).await.unwrap();
        let alerts = store.alerts().await.unwrap();
        kept = steps.len();
        if kept == alerts.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let alerts = store.alerts().await.unwrap();
    let steps = store.transitions_after(0, 100).await.unwrap();
    assert_eq!((alerts.len(), steps.len()), (kept, kept));
    for step in &steps {
        assert!(alerts.iter().any(|alert| alert.key == step.transition.key));
    }
}

async fn everything(store: &Arc<dyn RuleStore>) -> String {
    let at = UnixMillis(0);
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        store.rules().await.unwrap(),
        store.silences(at).await.unwrap(),
        store.acknowledgements().await.unwrap(),
        store.audit(None, 100).await.unwrap(),
        store.holders().await.unwrap(),
        store.load_shard(3).await.unwrap(),
        store.alerts().await.unwrap(),
        store.transitions_after(0, 100).await.unwrap(),
        store.load_notifier().await.unwrap(),
        store.deliveries(None, 100).await.unwrap(),
    )
}

pub(crate) async fn everything_is_there_after_reopening(backend: &dyn Backend) {
    use crate::fixture::{delivery, new_silence, rule};
    let store = backend.open().await;
    let at = now();
    let key = key(&machine_of(3, 0), "/var");
    store.put_rule(&rule("cpu-busy", 80.0), 0, &ann()).await.unwrap();
    store
        .add_silence(&new_silence(at, at.plus_ms(9)), &ann())
        .await
        .unwrap();
    store
        .acknowledge(&key, Some(&acknowledgement("ann")), &ann())
        .await
        .unwrap();
    let lease = log(&store, "a", 3, vec![transition(&key, at, Phase::Firing)]).await;
    let work = ShardWork {
        alerts: vec![alert(&key, Phase::Firing)],
        states: vec![(key.machine.clone(), "state".into())],
        ..ShardWork::default()
    };
    save(&store, &lease, work).await;
    let notifier = leased(&store, "a", Work::Notifier).await;
    let work = sysmon_store::NotifierWork {
        read: Some(1),
        groups: vec![("group".into(), "state".into())],
        deliveries: vec![delivery(1)],
    };
    assert!(store.save_notifier(&notifier, &work).await.unwrap());
    let before = everything(&store).await;
    for what in [
        "cpu-busy",
        "/var*",
        "I know.",
        "rule.put",
        "97.25",
        "group",
        "disk full",
    ] {
        assert!(before.contains(what), "{what} is missing in {before}");
    }
    drop(store);
    let store = backend.open().await;
    assert_eq!(everything(&store).await, before);
    // The holder that comes back has its leases.
    assert_eq!(
        store.lease("a", &[], 0, LONG_MS).await.unwrap(),
        [lease, notifier]
    );
}
