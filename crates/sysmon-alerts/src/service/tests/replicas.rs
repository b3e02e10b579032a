use std::collections::BTreeSet;

use sysmon_store::{SHARDS, Work};

use super::world::Load;
use super::*;

/// Which shards each holder has.
async fn shares(stage: &Stage) -> Vec<usize> {
    let holders = stage.store.holders().await.unwrap();
    let shards = holders
        .iter()
        .filter(|(work, _)| matches!(work, Work::Shard(0..SHARDS)));
    let mut counts = std::collections::BTreeMap::new();
    for (_, holder) in shards {
        *counts.entry(holder).or_insert(0) += 1;
    }
    counts.into_values().collect()
}

/// Runs two services until a second after the start.
async fn run_both(stage: &Stage, one: &mut Running, other: &mut Running, second: i64) {
    tokio::select! {
        () = stage.run_until(one, second) => {}
        ended = &mut other.work => panic!("the service ended: {ended:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn two_services_share_and_one_takes_over_within_ten_seconds_when_the_other_is_killed() {
    // Enough machines for every shard; each fires once, at its own time.
    let names: Vec<String> = (0..60).map(|number| format!("m{number}")).collect();
    let loads: Vec<Vec<Load>> = (0..60i64)
        .map(|number| vec![(0, Some(100)), (20 + number % 50, Some(850))])
        .collect();
    let machines: Vec<(&str, &[Load])> = names
        .iter()
        .zip(&loads)
        .map(|(name, loads)| (name.as_str(), loads.as_slice()))
        .collect();
    let mut stage = Stage::new(World::new(&machines), &[CPU]).await;
    stage.config.lease_ms = 6_000;
    let mut first = stage.start();
    stage.run_until(&mut first, 5).await;
    assert_eq!(shares(&stage).await, [16]);
    let mut second = stage.start();
    run_both(&stage, &mut first, &mut second, 15).await;
    assert_eq!(
        shares(&stage).await,
        [8, 8],
        "evenly, ten seconds after the second came"
    );
    run_both(&stage, &mut first, &mut second, 40).await;
    // Killed: its leases lapse, and nothing is given back.
    drop(first);
    stage.run_until(&mut second, 50).await;
    assert_eq!(
        shares(&stage).await,
        [16],
        "ten seconds after the first was killed"
    );
    stage.run_until(&mut second, 90).await;
    let log = stage.store.transitions_after(0, 10_000).await.unwrap();
    let keys: BTreeSet<_> = log.iter().map(|step| step.transition.key.clone()).collect();
    assert_eq!(
        (keys.len(), log.len()),
        (60, 60),
        "each fired once, whoever judged it"
    );
    for step in &log {
        let number: usize = step.transition.key.machine.as_str()[1..].parse().unwrap();
        assert_eq!(step.transition.at, START.plus_ms(loads[number][1].0 * 1_000));
    }
    let ids = stage.probe.ids();
    let distinct: BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
}
