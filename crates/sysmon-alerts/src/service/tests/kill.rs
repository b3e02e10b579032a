use std::collections::BTreeSet;

use super::store::Trap;
use super::*;

/// How long the story is, with what the last notification waits for and what a takeover takes.
const END: i64 = 40;

async fn stage() -> Stage {
    let world = World::new(&[
        ("a", &[(0, Some(100)), (4, Some(990)), (18, Some(100))]),
        ("b", &[(0, Some(100)), (6, Some(850)), (18, Some(100))]),
    ]);
    Stage::new(world, &[CPU]).await
}

/// Plays the story, ending the service after one call of the store or the receiver, and starting another.
async fn play(kill_at: usize) -> (Stage, usize) {
    let stage = stage().await;
    let trap = Trap::new(kill_at);
    *stage.store.trap.lock().unwrap() = Some(Arc::clone(&trap));
    let at_gate = Arc::clone(&trap);
    *stage.probe.gate.lock().unwrap() = Some(Arc::new(move || {
        let trap = Arc::clone(&at_gate);
        Box::pin(async move { trap.pass().await })
    }));
    let mut running = stage.start();
    tokio::select! {
        () = trap.sprung.cancelled() => {}
        () = stage.run_until(&mut running, END) => {}
    }
    drop(running);
    if trap.sprung.is_cancelled() {
        let mut running = stage.start();
        stage.run_until(&mut running, END).await;
    }
    (stage, trap.calls())
}

#[tokio::test(start_paused = true)]
async fn whenever_the_service_is_killed_everybody_is_told_everything_under_the_same_names() {
    let (whole, calls) = play(usize::MAX).await;
    assert_eq!(
        whole.probe.lines(),
        [
            "firing a:fired",
            "firing b:fired a:unchanged",
            "recovered a:recovered b:recovered"
        ]
    );
    let expected: BTreeSet<String> = whole.probe.ids().into_iter().collect();
    assert_eq!(expected.len(), 3);
    let (mut repeats, mut kills) = (0, 0);
    for kill_at in 1..=calls {
        let (stage, _) = play(kill_at).await;
        let ids = stage.probe.ids();
        let told: BTreeSet<String> = ids.iter().cloned().collect();
        assert_eq!(
            told,
            expected,
            "killed after call {kill_at}: {:?}",
            stage.probe.lines()
        );
        assert!(
            ids.len() <= expected.len() + 1,
            "one at most is told twice: {:?}",
            stage.probe.lines()
        );
        repeats += ids.len() - expected.len();
        kills += 1;
        let log = stage.store.transitions_after(0, 100).await.unwrap();
        assert_eq!(log.len(), 4, "killed after call {kill_at}: {log:#?}");
    }
    assert!(kills > 100, "{kills}");
    assert!(
        repeats >= 3,
        "killed after it was sent and before that was kept: {repeats}"
    );
}
