use std::sync::atomic::Ordering;

use sysmon_core::MachineId;
use sysmon_core::alert::{Acknowledgement, AlertKey, Phase, RuleId, Severity};
use sysmon_store::{Delivery, DeliveryState, NewSilence, TransitionQuery};

use super::*;
use crate::failure::Failure;
use crate::message::Message;

fn author() -> Author {
    Author {
        name: "ann".into(),
        at: START,
    }
}

/// The log, oldest first, as `machine second phase severity`.
async fn log(stage: &Stage) -> Vec<String> {
    let query = TransitionQuery {
        limit: 10_000,
        ..TransitionQuery::default()
    };
    let mut steps = stage.store.transitions(&query).await.unwrap();
    steps.reverse();
    let line = |step: &sysmon_store::LoggedTransition| {
        let step = &step.transition;
        let second = step.at.since_ms(START) / 1_000;
        format!(
            "{} {second} {} {}",
            step.key.machine,
            step.to.word(),
            step.severity.word()
        )
    };
    steps.iter().map(line).collect()
}

fn key(rule: &str, machine: &str) -> AlertKey {
    AlertKey {
        rule: RuleId::parse(rule).unwrap(),
        machine: MachineId::parse(machine).unwrap(),
        entity: "".into(),
    }
}

#[tokio::test(start_paused = true)]
async fn an_alert_is_judged_kept_told_and_recovered_from() {
    let world = World::new(&[
        ("a", &[(0, Some(100)), (5, Some(990)), (20, Some(100))]),
        ("b", &[(0, Some(100))]),
    ]);
    let stage = Stage::new(world, &[CPU]).await;
    let mut running = stage.start();
    stage.run_until(&mut running, 7).await;
    assert_eq!(
        stage.probe.lines(),
        ["firing a:fired"],
        "a critical is told at once"
    );
    let message = stage.probe.taken.lock().unwrap()[0].1.clone();
    assert_eq!(message.alerts[0].hostname, "a.example.org");
    assert_eq!(message.alerts[0].processes[0].name, "stress");
    assert_eq!(message.summary, "CRITICAL: CPU busy on a.example.org (99%)");
    let alerts = stage.store.alerts().await.unwrap();
    assert_eq!((alerts.len(), alerts[0].phase), (1, Phase::Firing));
    assert_eq!(alerts[0].culprits.len(), 1);
    stage.run_until(&mut running, 40).await;
    assert_eq!(stage.probe.lines(), ["firing a:fired", "recovered a:recovered"]);
    assert_eq!(
        log(&stage).await,
        ["a 5 firing critical", "a 20 resolved critical"]
    );
    let deliveries = stage.store.deliveries(None, 10).await.unwrap();
    assert!(
        deliveries
            .iter()
            .all(|delivery| delivery.state == DeliveryState::Sent)
    );
    assert!(running.service.figures().samples > 30);
}

#[tokio::test(start_paused = true)]
async fn what_happened_while_the_service_was_away_is_judged_when_it_is_back() {
    let world = World::new(&[(
        "a",
        &[(0, Some(100)), (10, Some(990)), (20, Some(100)), (30, Some(850))],
    )]);
    let stage = Stage::new(world, &[CPU]).await;
    let mut running = stage.start();
    stage.run_until(&mut running, 5).await;
    // It stops as it should.
    running.shutdown.cancel();
    running.work.await.unwrap();
    assert_eq!(
        stage.store.holders().await.unwrap(),
        [],
        "the work was given back"
    );
    tokio::time::sleep(Duration::from_secs(35)).await;
    let mut running = stage.start();
    stage.run_until(&mut running, 50).await;
    assert_eq!(
        log(&stage).await,
        [
            "a 10 firing critical",
            "a 20 resolved critical",
            "a 30 firing warning"
        ]
    );
    assert_eq!(
        stage.probe.lines(),
        ["firing a:fired"],
        "of what is over nobody is told"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_stream_loses_no_sample_and_makes_no_machine_seem_down() {
    let world = World::new(&[("a", &[(0, Some(100)), (12, Some(990)), (16, Some(100))])]);
    let stage = Stage::new(world, &[CPU, DOWN]).await;
    let mut running = stage.start();
    stage.run_until(&mut running, 10).await;
    stage.world.is_cut.store(true, Ordering::Relaxed);
    stage.run_until(&mut running, 40).await;
    assert_eq!(log(&stage).await, Vec::<String>::new());
    stage.world.is_cut.store(false, Ordering::Relaxed);
    stage.run_until(&mut running, 60).await;
    assert_eq!(
        log(&stage).await,
        ["a 12 firing critical", "a 16 resolved critical"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_falls_silent_is_down_and_mutes_its_other_alerts() {
    let world = World::new(&[
        ("a", &[(0, Some(850)), (10, None), (60, Some(100))]),
        ("b", &[(0, Some(100))]),
    ]);
    let stage = Stage::new(world, &[CPU, DOWN]).await;
    let mut running = stage.start();
    stage.run_until(&mut running, 50).await;
    assert_eq!(
        stage.probe.lines(),
        ["firing a:fired", "firing a:fired"],
        "the load, then the silence, and no reminder of the load"
    );
    let alerts = stage.store.alerts().await.unwrap();
    let cpu = alerts.iter().find(|alert| alert.key == key("cpu", "a")).unwrap();
    assert!(cpu.inhibited);
    stage.run_until(&mut running, 80).await;
    let lines = stage.probe.lines();
    assert_eq!(lines[2..], ["recovered a:recovered", "recovered a:recovered"]);
    let log = log(&stage).await;
    assert!(
        log.contains(&"a 19 firing critical".to_owned()),
        "ten seconds after the last word: {log:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn people_are_told_while_the_store_is_down_and_what_happened_is_kept_later() {
    let world = World::new(&[("a", &[(0, Some(100)), (10, Some(990)), (40, Some(100))])]);
    let stage = Stage::new(world, &[CPU]).await;
    let mut running = stage.start();
    stage.run_until(&mut running, 8).await;
    stage.store.is_down.store(true, Ordering::Relaxed);
    stage.run_until(&mut running, 30).await;
    assert_eq!(stage.probe.lines(), ["firing a:fired"]);
    stage.store.is_down.store(false, Ordering::Relaxed);
    stage.run_until(&mut running, 60).await;
    assert_eq!(stage.probe.lines(), ["firing a:fired", "recovered a:recovered"]);
    assert_eq!(
        log(&stage).await,
        ["a 10 firing critical", "a 40 resolved critical"]
    );
    let mut kept = stage.store.deliveries(None, 10).await.unwrap();
    kept.reverse();
    let ids: Vec<_> = kept.iter().map(|delivery| delivery.id.clone()).collect();
    assert_eq!(ids, stage.probe.ids());
    assert!(kept.iter().all(|delivery| delivery.state == DeliveryState::Sent));
}

#[tokio::test(start_paused = true)]
async fn a_silence_mutes_until_it_ends_and_an_acknowledgement_until_it_gets_worse() {
    let world = World::new(&[("a", &[(0, Some(100)), (10, Some(850)), (60, Some(990))])]);
    let stage = Stage::new(world, &[CPU]).await;
    let silence = NewSilence {
        matcher: Default::default(),
        from: START,
        until: START.plus_ms(30_000),
        comment: String::new(),
    };
    stage.store.add_silence(&silence, &author()).await.unwrap();
    let mut running = stage.start();
    stage.run_until(&mut running, 29).await;
    assert_eq!(log(&stage).await, ["a 10 firing warning"], "evaluation goes on");
    assert_eq!(stage.probe.lines(), Vec::<String>::new());
    let said = Acknowledgement {
        by: "ann".into(),
        comment: "known".into(),
        at: START.plus_ms(25_000),
        until: None,
        severity: Severity::Warning,
    };
    let known = Author {
        at: said.at,
        ..author()
    };
    stage
        .store
        .acknowledge(&key("cpu", "a"), Some(&said), &known)
        .await
        .unwrap();
    stage.run_until(&mut running, 59).await;
    assert_eq!(stage.probe.lines(), Vec::<String>::new(), "somebody knows");
    stage.run_until(&mut running, 75).await;
    assert_eq!(stage.probe.lines(), ["firing a:fired"], "not of that");
    assert_eq!(stage.probe.taken.lock().unwrap()[0].1.severity, "critical");
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_is_changed_or_removed_is_so_for_the_service_too() {
    let world = World::new(&[("a", &[(0, Some(850))])]);
    let stage = Stage::new(world, &[CPU]).await;
    let mut running = stage.start();
    stage.run_until(&mut running, 10).await;
    assert_eq!(stage.probe.lines(), ["firing a:fired"]);
    let id = RuleId::parse("cpu").unwrap();
    stage.store.delete_rule(&id, 1, &author()).await.unwrap();
    stage.run_until(&mut running, 30).await;
    assert_eq!(stage.probe.lines(), ["firing a:fired", "recovered a:recovered"]);
    assert_eq!(log(&stage).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_refuses_for_good_has_its_fallback_and_a_dead_letter_can_be_sent_again() {
    let world = World::new(&[("a", &[(0, Some(100)), (5, Some(990))])]);
    let mut stage = Stage::new(world, &[CPU]).await;
    let other = Probe::default();
    stage.config.receivers = Receivers::of_probes(&[
        ("probe", stage.probe.clone(), Some("other")),
        ("silent", Probe::default(), None),
        ("other", other.clone(), None),
    ]);
    *stage.probe.failure.lock().unwrap() = Some(Failure::lasting("410 Gone"));
    let mut running = stage.start();
    stage.run_until(&mut running, 10).await;
    assert_eq!(
        other.lines(),
        ["firing a:fired", "firing a:fired"],
        "its own, and the other's"
    );
    let copy = other.taken.lock().unwrap()[1].1.clone();
    assert_eq!(copy.instead_of, "probe");
    let dead = stage
        .store
        .deliveries(Some(DeliveryState::Dead), 10)
        .await
        .unwrap();
    assert_eq!((dead.len(), dead[0].problem.as_str()), (1, "410 Gone"));
    *stage.probe.failure.lock().unwrap() = None;
    assert!(stage.store.resend(&dead[0].id, &author()).await.unwrap());
    // Nobody says so without a bus: it is found when the notifier looks.
    stage.run_until(&mut running, 30).await;
    assert_eq!(stage.probe.ids(), [dead[0].id.clone()]);
}

#[tokio::test(start_paused = true)]
async fn a_test_of_a_receiver_reaches_it_and_one_of_nobody_is_dead() {
    let stage = Stage::new(World::new(&[("a", &[(0, Some(100))])]), &[]).await;
    let mut running = stage.start();
    stage.run_until(&mut running, 3).await;
    for (number, receiver) in ["probe", "nobody"].into_iter().enumerate() {
        let delivery = Delivery {
            id: format!("{number:032x}"),
            receiver: receiver.into(),
            content: Message::test(receiver, "ann", START).to_json(),
            created: START,
            state: DeliveryState::Pending,
            attempts: 0,
            due: START,
            problem: String::new(),
        };
        stage.store.request_delivery(&delivery, &author()).await.unwrap();
    }
    stage.run_until(&mut running, 20).await;
    assert_eq!(stage.probe.ids(), [format!("{:032x}", 0)]);
    let dead = stage
        .store
        .deliveries(Some(DeliveryState::Dead), 10)
        .await
        .unwrap();
    assert!(dead[0].problem.contains("no receiver of this name"), "{dead:?}");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_back_gets_what_waited_in_order() {
    let world = World::new(&[("a", &[(0, Some(100)), (5, Some(990)), (20, Some(100))])]);
    let stage = Stage::new(world, &[CPU]).await;
    *stage.probe.failure.lock().unwrap() = Some(Failure::passing("503"));
    let mut running = stage.start();
    stage.run_until(&mut running, 60).await;
    assert_eq!(stage.probe.lines(), Vec::<String>::new());
    *stage.probe.failure.lock().unwrap() = None;
    stage.run_until(&mut running, 300).await;
    assert_eq!(stage.probe.lines(), ["firing a:fired", "recovered a:recovered"]);
}

#[tokio::test(start_paused = true)]
async fn where_something_is_about_to_fire_processes_are_read_with_every_tick() {
    let world = World::new(&[
        ("a", &[(0, Some(100)), (5, Some(990)), (40, Some(100))]),
        ("b", &[(0, Some(100))]),
    ]);
    let stage = Stage::new(world, &[&CPU.replacen("[check]", "for = \"20s\"\n[check]", 1)]).await;
    let mut running = stage.start();
    stage.run_until(&mut running, 9).await;
    assert_eq!(*stage.world.closely.lock().unwrap(), Vec::<Vec<String>>::new());
    stage.run_until(&mut running, 13).await;
    assert_eq!(*stage.world.closely.lock().unwrap(), [["a"]]);
    stage.run_until(&mut running, 60).await;
    let expected = [vec!["a".to_owned()], Vec::new()];
    assert_eq!(
        *stage.world.closely.lock().unwrap(),
        expected,
        "once it fires no more"
    );
    assert_eq!(stage.probe.lines(), ["firing a:fired", "recovered a:recovered"]);
}

#[tokio::test(start_paused = true)]
async fn an_alert_whose_state_cannot_be_read_goes_on_and_is_told_once() {
    let world = World::new(&[
        ("a", &[(0, Some(100)), (5, Some(990)), (60, Some(100))]),
        ("b", &[(0, Some(990)), (20, None)]),
    ]);
    let stage = Stage::new(world, &[CPU, DOWN]).await;
    let mut running = stage.start();
    stage.run_until(&mut running, 45).await;
    let before = log(&stage).await;
    let told = stage.probe.lines();
    running.shutdown.cancel();
    running.work.await.unwrap();
    stage.store.scrambles_states.store(true, Ordering::Relaxed);
    let mut running = stage.start();
    stage.run_until(&mut running, 58).await;
    assert_eq!(log(&stage).await, before, "losing a state is no recovery");
    assert_eq!(stage.probe.lines(), told);
    stage.run_until(&mut running, 90).await;
    let after = log(&stage).await;
    assert_eq!(
        after.iter().filter(|line| line.starts_with("a ")).count(),
        2,
        "{after:?}"
    );
    assert!(after.contains(&"a 60 resolved critical".to_owned()), "{after:?}");
    let alerts = stage.store.alerts().await.unwrap();
    let down = alerts.iter().find(|alert| alert.key == key("down", "b")).unwrap();
    assert_eq!(down.phase, Phase::Firing);
}

#[tokio::test(start_paused = true)]
async fn a_service_one_of_whose_tasks_breaks_ends_as_a_whole_and_gives_its_work_back() {
    let stage = Stage::new(World::new(&[("a", &[(0, Some(100))])]), &[CPU]).await;
    stage.store.is_defective.store(true, Ordering::Relaxed);
    let running = stage.start();
    let ended = tokio::time::timeout(Duration::from_secs(30), running.work).await;
    let broken = ended.expect("it ends").unwrap_err();
    assert!(broken.to_string().contains("the evaluator"), "{broken}");
    assert_eq!(stage.store.holders().await.unwrap(), []);
}
