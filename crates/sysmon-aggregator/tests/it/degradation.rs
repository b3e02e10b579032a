//! A store that is down, slow, wrong or choosy: what goes on, what is said, and that nothing is lost or stored twice.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sysmon_aggregator::{Aggregator, Config};
use sysmon_api::{Role, wire};
use sysmon_core::UnixMillis;
use sysmon_store::{Content, DeadLetterFilter, History, StoreError};
use wire::StorageHealth::{Down, Ok as Well, Slow};

use crate::faulty::{Faulty, Mode};
use crate::keeper::Keeper;
use crate::support::*;

const SECOND: Duration = Duration::from_secs(1);

fn at(second: u32) -> UnixMillis {
    START.plus_ms(i64::from(second) * 1_000)
}

/// Collectors that all tick once a second.
struct Fleet {
    collectors: Vec<Keeper>,
    second: u32,
}

impl Fleet {
    async fn join(aggregator: &Arc<Aggregator>, count: usize) -> Self {
        let mut collectors: Vec<_> = (0..count)
            .map(|number| Keeper::new(&format!("m{number}")))
            .collect();
        for collector in &mut collectors {
            collector.connect(aggregator).await;
        }
        Self {
            collectors,
            second: 0,
        }
    }

    async fn work(&mut self, seconds: u32) {
        let count = u32::try_from(self.collectors.len()).unwrap();
        for _ in 0..seconds {
            self.second += 1;
            for collector in &mut self.collectors {
                collector.tick(at(self.second)).await;
                collector.run(SECOND / count).await;
            }
        }
    }

    /// Lets everything arrive that was kept.
    async fn settle(&mut self) {
        for _ in 0..200 {
            for collector in &mut self.collectors {
                collector.run(Duration::from_millis(20)).await;
            }
            if self.kept() == 0 {
                return;
            }
        }
        panic!("{} ticks did not arrive", self.kept());
    }

    fn kept(&self) -> usize {
        self.collectors.iter().map(Keeper::kept).sum()
    }

    async fn has_arrived_once(&self, history: &Faulty) {
        for (number, collector) in self.collectors.iter().enumerate() {
            let (samples, moments) = history.stored(&format!("m{number}")).await;
            assert_eq!(
                (samples, moments as u32),
                (collector.produced, collector.produced),
                "m{number}"
            );
        }
    }
}

fn health(status: &wire::StorageStatus) -> wire::StorageHealth {
    assert_eq!(status.components.len(), 1);
    assert_eq!(status.components[0].role(), wire::StorageRole::History);
    status.components[0].health()
}

#[tokio::test(start_paused = true)]
async fn a_minute_without_the_store_loses_nothing_and_the_live_view_goes_on() {
    let history = Faulty::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let mut console = Console::join(&aggregator, Role::Viewer).await;
    let first = console.storage().await;
    assert_eq!(health(&first), Well);
    assert_eq!(first.components[0].engine, "Faulty 1");
    assert_eq!(first.components[0].notices, ["it fails on demand"]);
    console.command(everything(&[])).await.unwrap();
    let mut fleet = Fleet::join(&aggregator, 20).await;
    fleet.work(5).await;
    history.fail();
    let attempts = history.attempts.load(Ordering::Relaxed);
    for second in 0..60 {
        fleet.work(1).await;
        let newest = f64::from(second + 6) / 10.0;
        console.until(|replica| busy(replica, "m7") == Some(newest)).await;
    }
    assert!(fleet.kept() >= 20 * 60, "nothing is acknowledged meanwhile");
    let attempts = history.attempts.load(Ordering::Relaxed) - attempts;
    let probes = history.probes.load(Ordering::Relaxed);
    assert_eq!(attempts, 2, "the first try and another one");
    assert!((6..=25).contains(&probes), "{probes} looks in a minute");
    history.set(Mode::Well);
    fleet.work(15).await;
    fleet.settle().await;
    fleet.has_arrived_once(&history).await;
    for collector in &fleet.collectors {
        assert_eq!(
            collector.resends.len(),
            1,
            "each was asked once: {:?}",
            collector.resends
        );
    }
    let figures = aggregator.figures();
    assert_eq!((figures.resends, figures.broken_epochs), (20, 20));
}

#[tokio::test(start_paused = true)]
async fn clients_hear_when_a_store_falls_ill_and_when_it_is_well() {
    let history = Faulty::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let mut console = Console::join(&aggregator, Role::Viewer).await;
    assert_eq!(health(&console.storage().await), Well);
    let mut fleet = Fleet::join(&aggregator, 1).await;
    fleet.work(2).await;
    history.fail();
    fleet.work(2).await;
    let down = console.storage().await;
    let component = &down.components[0];
    assert_eq!(health(&down), Down);
    assert!(
        component.detail.contains("connection refused; collectors keep"),
        "{}",
        component.detail
    );
    assert!((START.0 + 2_000..=START.0 + 4_000).contains(&component.since_unix_ms));
    let mut late = Console::join(&aggregator, Role::Viewer).await;
    assert_eq!(late.storage().await, down, "whoever comes later is told at once");
    history.set(Mode::Well);
    fleet.work(12).await;
    let well = console.storage().await;
    assert_eq!(health(&well), Well);
    assert_eq!(well.components[0].detail, "");
    history.set(Mode::Slow(Duration::from_millis(1_500)));
    fleet.work(4).await;
    assert_eq!(health(&console.storage().await), Slow);
    history.set(Mode::Well);
    fleet.work(6).await;
    assert_eq!(health(&console.storage().await), Well);
    history.set(Mode::Fails(StoreError::misconfigured(
        "password authentication failed",
    )));
    fleet.work(2).await;
    let wrong = console.storage().await;
    assert!(
        wrong.components[0].detail.contains("failed; change that"),
        "{wrong:?}"
    );
    let probes = history.probes.load(Ordering::Relaxed);
    fleet.work(61).await;
    assert_eq!(
        history.probes.load(Ordering::Relaxed) - probes,
        2,
        "every half minute"
    );
    history.set(Mode::Well);
    fleet.work(35).await;
    assert_eq!(health(&console.storage().await), Well);
    fleet.settle().await;
    fleet.has_arrived_once(&history).await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_hangs_is_given_up_and_what_it_did_does_not_matter() {
    let history = Faulty::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let mut fleet = Fleet::join(&aggregator, 10).await;
    fleet.work(3).await;
    history.set(Mode::Hangs);
    let attempts = history.attempts.load(Ordering::Relaxed);
    fleet.work(30).await;
    assert_eq!(
        history.attempts.load(Ordering::Relaxed) - attempts,
        1,
        "not tried again at once"
    );
    history.set(Mode::Well);
    fleet.work(20).await;
    fleet.settle().await;
    fleet.has_arrived_once(&history).await;
    assert!(
        fleet
            .collectors
            .iter()
            .all(|collector| collector.resends.len() == 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_mistake_in_the_back_end_is_a_failed_commit() {
    let history = Faulty::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let mut fleet = Fleet::join(&aggregator, 3).await;
    history.set(Mode::Panics);
    fleet.work(65).await;
    history.set(Mode::Well);
    fleet.work(15).await;
    fleet.settle().await;
    fleet.has_arrived_once(&history).await;
}

#[tokio::test(start_paused = true)]
async fn a_short_failure_is_tried_again_and_disturbs_nobody() {
    let history = Faulty::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let mut fleet = Fleet::join(&aggregator, 5).await;
    fleet.work(3).await;
    history.fail();
    let attempts = history.attempts.load(Ordering::Relaxed);
    while history.attempts.load(Ordering::Relaxed) == attempts {
        for collector in &mut fleet.collectors {
            collector.tick(START.plus_ms(4_000)).await;
            collector.run(Duration::from_millis(41)).await;
        }
    }
    history.set(Mode::Well);
    fleet.second += 2;
    fleet.work(3).await;
    fleet.settle().await;
    assert!(
        fleet
            .collectors
            .iter()
            .all(|collector| collector.resends.is_empty())
    );
    assert_eq!(aggregator.figures().failed_commits, 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_the_store_refuses_is_buried_and_all_others_are_stored() {
    let history = Faulty::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    history.refuse(|batch| {
        let is_poison = matches!(&batch.content, Content::Tick { at, .. } if at.0 == START.0 + 5_000);
        is_poison && batch.machine.as_str() == "m3"
    });
    let mut fleet = Fleet::join(&aggregator, 30).await;
    fleet.work(10).await;
    fleet.settle().await;
    let letters = history
        .dead_letters(&DeadLetterFilter::default(), 10)
        .await
        .unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].machine.as_str(), letters[0].sequence), ("m3", 5));
    assert_eq!(letters[0].reason, "value out of range");
    assert_eq!(letters[0].tick.as_ref().unwrap().values[0].value, 0.5);
    assert_eq!(history.stored("m3").await, (9, 9));
    assert_eq!(history.stored("m4").await, (10, 10));
    assert!(
        fleet
            .collectors
            .iter()
            .all(|collector| collector.resends.is_empty())
    );
    assert_eq!(aggregator.figures().history_buried, 1);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_the_store_refuses_costs_no_samples_and_a_hopeless_stream_ends() {
    let history = Faulty::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    history.refuse(|batch| batch.host.is_some() || batch.machine.as_str() == "m1");
    let mut fleet = Fleet::join(&aggregator, 3).await;
    fleet.work(3).await;
    assert_eq!(history.stored("m0").await, (3, 3));
    assert_eq!(history.stored("m2").await, (3, 3));
    assert_eq!((fleet.collectors[0].kept(), fleet.collectors[1].kept()), (0, 3));
    let call = &mut fleet.collectors[1];
    assert!(call.is_disconnected(), "somebody has to look at it");
}

#[tokio::test(start_paused = true)]
async fn more_than_the_queue_holds_comes_later_and_is_asked_for_once() {
    let history = Faulty::new().await;
    let config = Config {
        commit_queue: 16,
        ..Config::default()
    };
    let (aggregator, _shutdown) = start_with(config, history.stores());
    let mut console = Console::join(&aggregator, Role::Viewer).await;
    assert_eq!(health(&console.storage().await), Well);
    let mut fleet = Fleet::join(&aggregator, 10).await;
    fleet.work(1).await;
    history.set(Mode::Slow(Duration::from_secs(8)));
    fleet.work(8).await;
    assert_eq!(health(&console.storage().await), Slow);
    history.set(Mode::Well);
    fleet.work(20).await;
    fleet.settle().await;
    fleet.has_arrived_once(&history).await;
    let resends = fleet.collectors.iter().map(|collector| collector.resends.len());
    assert_eq!(resends.clone().max(), Some(1));
    assert!(resends.sum::<usize>() >= 5, "some did not fit");
}

#[tokio::test(start_paused = true)]
async fn streams_that_come_while_the_store_is_down_and_leave_again_lose_nothing() {
    let history = Faulty::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let mut fleet = Fleet::join(&aggregator, 5).await;
    fleet.work(2).await;
    history.fail();
    for _ in 0..6 {
        fleet.work(3).await;
        for collector in &mut fleet.collectors {
            collector.connect(&aggregator).await;
        }
    }
    history.set(Mode::Well);
    fleet.work(12).await;
    // Again in the middle of the backlog.
    history.fail();
    fleet.work(5).await;
    history.set(Mode::Well);
    fleet.work(12).await;
    fleet.settle().await;
    fleet.has_arrived_once(&history).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_in_the_middle_of_a_backlog_gets_the_rest_later() {
    let history = Faulty::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let mut fleet = Fleet::join(&aggregator, 4).await;
    for collector in &mut fleet.collectors {
        collector.disconnect();
        for second in 1..=500 {
            collector.tick(at(second)).await;
        }
    }
    fleet.second = 500;
    history.set(Mode::Slow(Duration::from_millis(40)));
    for collector in &mut fleet.collectors {
        collector.connect(&aggregator).await;
    }
    for _ in 0..8 {
        history.set(Mode::Slow(Duration::from_millis(40)));
        fleet.work(2).await;
        history.fail();
        fleet.work(3).await;
    }
    history.set(Mode::Well);
    fleet.work(12).await;
    fleet.settle().await;
    fleet.has_arrived_once(&history).await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_collectors_are_asked_one_after_the_other() {
    let history = Faulty::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let mut fleet = Fleet::join(&aggregator, 1_000).await;
    fleet.work(1).await;
    history.fail();
    fleet.work(3).await;
    history.set(Mode::Well);
    let mut told = Vec::new();
    for _ in 0..400 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        told.push(aggregator.figures().resends);
    }
    let most = told.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert_eq!(told.last(), Some(&1_000));
    assert!(most <= 60, "{most} were asked within 50 ms");
    fleet.settle().await;
    fleet.has_arrived_once(&history).await;
}
