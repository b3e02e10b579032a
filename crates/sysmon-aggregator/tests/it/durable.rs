//! What is stored, and when it is acknowledged.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sysmon_aggregator::{Clock, Config, Stores};
use sysmon_api::{Code, Role, tick_to_wire, wire};
use sysmon_core::UnixMillis;
use sysmon_store::{Content, DeadLetterFilter, History, HistoryOptions, open_history};
use tokio_util::sync::CancellationToken;
use wire::push_request::Body as Report;
use wire::push_response::Body as Told;

use crate::faulty::{Faulty, Mode, stored};
use crate::keeper::Keeper;
use crate::support::*;

const SECOND: Duration = Duration::from_secs(1);

fn at(second: u32) -> UnixMillis {
    START.plus_ms(i64::from(second) * 1_000)
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_follows_the_commit_and_never_comes_before() {
    let history = Faulty::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let mut collector = Keeper::new("a");
    let hello = collector.connect(&aggregator).await;
    assert!(
        hello
            .capabilities
            .iter()
            .any(|word| word == sysmon_api::CAPABILITY_HISTORY)
    );
    history.set(Mode::Hangs);
    for second in 1..=5 {
        collector.tick(at(second)).await;
        collector.run(SECOND).await;
    }
    assert_eq!(collector.kept(), 5, "nothing is stored yet");
    history.set(Mode::Well);
    collector.run(SECOND).await;
    assert_eq!(collector.kept(), 0);
    assert_eq!(history.stored("a").await, (5, 5));
    assert_eq!(aggregator.figures().history_stored, 5);
}

#[tokio::test(start_paused = true)]
async fn without_a_history_nothing_is_promised() {
    let (aggregator, _shutdown) = start(Config::default());
    let mut collector = Keeper::new("a");
    let hello = collector.connect(&aggregator).await;
    assert!(
        !hello
            .capabilities
            .iter()
            .any(|word| word == sysmon_api::CAPABILITY_HISTORY)
    );
    collector.tick(at(1)).await;
    collector.run(60 * SECOND).await;
    assert_eq!(collector.kept(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_many_send_within_a_moment_is_one_commit() {
    let history = Faulty::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let mut collectors: Vec<_> = (0..50).map(|number| Keeper::new(&format!("m{number}"))).collect();
    for collector in &mut collectors {
        collector.connect(&aggregator).await;
    }
    for collector in &mut collectors {
        for second in 1..=3 {
            collector.tick(at(second)).await;
        }
    }
    for collector in &mut collectors {
        collector.run(Duration::from_millis(250)).await;
        assert_eq!(collector.kept(), 0);
        assert_eq!(collector.acknowledged[&collector.epoch()], 3);
    }
    assert_eq!(history.committed.lock().unwrap().len(), 1);
    assert_eq!(
        aggregator.figures().acknowledgements,
        50,
        "the latest says it all"
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_has_with_it_what_only_the_stream_knows() {
    let history = Faulty::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    // The collector's clock is at START; ours goes on.
    tokio::time::advance(90 * SECOND).await;
    let mut collector = Keeper::new("a");
    collector.spool_is_new = true;
    collector.connect(&aggregator).await;
    for second in 1..=3 {
        collector.tick(at(second)).await;
        collector.run(SECOND).await;
    }
    let renamed = wire::Batch {
        host: Some(wire::HostInfo {
            hostname: "renamed".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    collector.stream().say(Report::Batch(renamed)).await;
    collector.tick(at(4)).await;
    collector.run(SECOND).await;
    collector.connect(&aggregator).await;
    collector.spool_is_new = false;
    collector.connect(&aggregator).await;
    collector.tick(at(5)).await;
    collector.run(SECOND).await;
    let committed = history.committed.lock().unwrap().concat();
    let facts: Vec<_> = committed
        .iter()
        .map(|batch| {
            let host = batch.host.as_ref().map(|host| host.hostname.as_str());
            (batch.sequence, host, batch.spool_was_lost)
        })
        .collect();
    assert_eq!(
        facts,
        [
            (1, Some("a.example"), true),
            (2, None, false),
            (3, None, false),
            (4, Some("renamed"), false),
            (1, Some("a.example"), false),
        ]
    );
    assert_eq!(committed[0].clock_offset_ms, 90_000);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_stored_goes_to_the_dead_letters_and_the_stream_goes_on() {
    let history = Faulty::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let mut collector = Keeper::new("a");
    collector.connect(&aggregator).await;
    collector.tick(at(1)).await;
    collector.tick(START.plus_ms(2 * 3_600_000)).await;
    let uneven = wire::Batch {
        sequence: 3,
        tick: Some(wire::Tick {
            at_unix_ms: START.0,
            series_steps: vec![1, 1],
            values: vec![1],
        }),
        ..Default::default()
    };
    collector.stream().say(Report::Batch(uneven)).await;
    let empty = wire::Batch {
        sequence: 4,
        ..Default::default()
    };
    collector.stream().say(Report::Batch(empty)).await;
    collector.run(SECOND).await;
    assert_eq!(collector.acknowledged[&collector.epoch()], 4);
    let letters = history
        .dead_letters(&DeadLetterFilter::default(), 10)
        .await
        .unwrap();
    let told: Vec<_> = letters
        .iter()
        .map(|letter| {
            let values = letter.tick.as_ref().map(|tick| tick.values.len());
            (letter.sequence, letter.reason.as_str(), values)
        })
        .collect();
    assert_eq!(
        told,
        [
            (
                2,
                "its time is 120 min ahead of the aggregator's clock; set the machine's clock",
                Some(1)
            ),
            (3, "it has 2 series but 1 values", None),
            (4, "it has no samples", None),
        ]
    );
    assert_eq!(history.stored("a").await.0, 1);
}

#[tokio::test(start_paused = true)]
async fn backlog_without_a_grant_or_a_place_ends_the_stream_and_a_bad_kept_tick_does_not() {
    let history = Faulty::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let kept = |sequence, tick| {
        Report::Backlog(wire::Backlog {
            epoch: vec![9; 16],
            body: Some(wire::backlog::Body::Batch(wire::Batch {
                sequence,
                tick: Some(tick),
                ..Default::default()
            })),
        })
    };
    let good = tick_to_wire(at(1), &[(1, 5)]);
    let (mut greedy, _) = Collector::join(&aggregator, "greedy", 1).await;
    greedy.say(kept(1, good.clone())).await;
    assert_eq!(
        greedy.call.await.unwrap().unwrap_err().code,
        Code::ResourceExhausted
    );
    let (mut same, _) = Collector::join(&aggregator, "same", 1).await;
    same.say(Report::NewEpoch(wire::NewEpoch { epoch: vec![1; 16] }))
        .await;
    assert_eq!(same.call.await.unwrap().unwrap_err().code, Code::InvalidArgument);

    let (mut collector, _) = Collector::join(&aggregator, "a", 1).await;
    collector
        .say(Report::BacklogWaiting(wire::BacklogWaiting { batches: 5 }))
        .await;
    let Told::Grant(grant) = collector.told().await else {
        panic!("it may send");
    };
    assert_eq!(grant.batches, 5, "no more than there is");
    let uneven = wire::Tick {
        series_steps: vec![1; 3],
        ..good.clone()
    };
    collector.say(kept(1, uneven)).await;
    let lost = wire::LostRange {
        first_sequence: 2,
        last_sequence: 40,
        from_unix_ms: at(2).0,
        to_unix_ms: at(40).0,
        reason: wire::GapReason::SpoolFull as i32,
    };
    collector
        .say(Report::Backlog(wire::Backlog {
            epoch: vec![9; 16],
            body: Some(wire::backlog::Body::Lost(lost)),
        }))
        .await;
    collector.say(kept(41, good.clone())).await;
    let Told::Acknowledged(acknowledged) = collector.told().await else {
        panic!("it is stored");
    };
    assert_eq!(
        (acknowledged.epoch, acknowledged.through_sequence),
        (vec![9; 16], 41)
    );
    // The dictionary of a backlog is its own and starts empty: the number means nothing.
    let last = history.committed.lock().unwrap().concat().pop().unwrap();
    assert!(matches!(last.content, Content::Tick { series, .. } if series.entries().is_empty()));
    collector.say(kept(0, good)).await;
    assert_eq!(
        collector.call.await.unwrap().unwrap_err().code,
        Code::InvalidArgument
    );
}

#[tokio::test(start_paused = true)]
async fn a_gap_in_the_sequence_is_asked_for_once() {
    let history = Faulty::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let (mut collector, _) = Collector::join(&aggregator, "a", 1).await;
    for sequence in [1, 2, 5, 6] {
        collector
            .requests
            .send(tick(at(sequence as u32), sequence, 5))
            .await
            .unwrap();
    }
    let mut told = Vec::new();
    while let Ok(Some(Ok(response))) = tokio::time::timeout(5 * SECOND, collector.responses.recv()).await {
        told.push(response.body.unwrap());
        collector.requests.send(tick(at(7), 7, 5)).await.unwrap();
    }
    let acknowledged = Told::Acknowledged(wire::Acknowledged {
        epoch: vec![1; 16],
        through_sequence: 2,
    });
    let resend = Told::Resend(wire::Resend {
        epoch: vec![1; 16],
        expected_sequence: 3,
    });
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.contains(&acknowledged) && told.contains(&resend), "{told:?}");
}

/// Two hundred collectors come back with ten minutes each, and the store takes its time.
#[tokio::test(start_paused = true)]
async fn returning_collectors_are_granted_no_more_than_there_is_room_for() {
    let history = Faulty::new().await;
    history.set(Mode::Slow(Duration::from_millis(100)));
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let mut collectors: Vec<_> = (0..200)
        .map(|number| Keeper::new(&format!("m{number}")))
        .collect();
    for collector in &mut collectors {
        for second in 1..=300 {
            collector.tick(at(second)).await;
        }
        collector.connect(&aggregator).await;
    }
    let mut most = 0;
    for _ in 0..2_000 {
        let mut outstanding = 0;
        for collector in &mut collectors {
            collector.run(Duration::from_millis(1)).await;
            outstanding += collector.outstanding();
        }
        assert!(collectors.iter().all(|collector| collector.outstanding() <= 64));
        most = most.max(outstanding);
        if collectors.iter().all(|collector| collector.kept() == 0) {
            break;
        }
    }
    // The model forgets a batch when it hears of it, a little after the aggregator has counted it.
    assert!((2_000..=6_000).contains(&most), "{most} were on their way");
    for collector in &collectors {
        assert_eq!((collector.kept(), collector.resends.len()), (0, 0));
    }
    assert_eq!(history.stored("m0").await, (300, 300));
    assert_eq!(history.stored("m199").await, (300, 300));
    assert_eq!(aggregator.figures().history_offered, 60_000, "nothing came twice");
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_at_the_end_is_stored_and_acknowledged() {
    let history = Faulty::new().await;
    let (aggregator, shutdown) = start_with(Config::default(), history.stores());
    let mut collector = Keeper::new("a");
    collector.connect(&aggregator).await;
    collector.tick(at(1)).await;
    collector.run(Duration::from_millis(10)).await;
    assert_eq!(collector.kept(), 1);
    shutdown.cancel();
    collector.run(SECOND).await;
    assert_eq!(collector.kept(), 0);

    // A store that hangs holds nobody up for long.
    let history = Faulty::new().await;
    let shutdown = CancellationToken::new();
    let (aggregator, work) = sysmon_aggregator::Aggregator::new(
        Config::default(),
        Clock::starting_at(START),
        history.stores(),
        shutdown.clone(),
    )
    .unwrap();
    let work = tokio::spawn(work);
    let aggregator = Arc::new(aggregator);
    collector.connect(&aggregator).await;
    history.set(Mode::Hangs);
    collector.tick(at(2)).await;
    collector.run(SECOND).await;
    shutdown.cancel();
    tokio::time::timeout(3 * SECOND, work).await.unwrap().unwrap();
    collector.run(3 * SECOND).await;
    assert_eq!(collector.kept(), 1);
}

#[tokio::test(start_paused = true)]
async fn maintenance_is_called_every_minute_at_once_while_there_is_more_and_survives_failures() {
    let history = Faulty::new().await;
    history.due.store(3, Ordering::Relaxed);
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    tokio::time::sleep(SECOND).await;
    assert_eq!(history.maintained.load(Ordering::Relaxed), 4);
    history.fail();
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(aggregator.figures().failed_maintenance, 1);
    history.set(Mode::Well);
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(history.maintained.load(Ordering::Relaxed), 6);
    history.set(Mode::Hangs);
    tokio::time::sleep(300 * SECOND).await;
    assert_eq!(history.maintained.load(Ordering::Relaxed), 7, "never two at once");
}

#[tokio::test(start_paused = true)]
async fn the_live_view_gets_burst_ticks_and_history_does_not() {
    let history = Faulty::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let (mut collector, _) = Collector::join(&aggregator, "a", 1).await;
    let mut console = Console::join(&aggregator, Role::Viewer).await;
    console.storage().await;
    console.command(everything(&[])).await.unwrap();
    let lease = wire::BurstLease {
        machine_id: "a".into(),
        interval_ms: 250,
        duration_ms: 30_000,
    };
    console
        .command(wire::command::Body::BurstLease(lease))
        .await
        .unwrap();
    collector.tick(at(1), 10).await;
    let burst = wire::Batch {
        tick: Some(tick_to_wire(at(2), &[(1, 990)])),
        ..Default::default()
    };
    collector.say(Report::Batch(burst)).await;
    console.until(|replica| busy(replica, "a") == Some(99.0)).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(history.stored("a").await, (1, 1));
}

/// Real time, real files: the back end of the embedded console.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_has_every_tick_once_also_after_a_restart_with_a_backlog() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("history.db").display());
    let mut collectors: Vec<_> = (0..10).map(|number| Keeper::new(&format!("m{number}"))).collect();
    let now = START;
    for life in 0..3u32 {
        let history: Arc<dyn History> = open_history(&url, HistoryOptions::default()).await.unwrap();
        let stores = Stores {
            history: Some(Arc::clone(&history)),
            ..Stores::default()
        };
        let (aggregator, shutdown) = start_with(Config::default(), stores);
        for collector in &mut collectors {
            collector.connect(&aggregator).await;
        }
        for second in 0..20 {
            for collector in &mut collectors {
                collector
                    .tick(now.plus_ms(i64::from(life * 100 + second) * 1_000))
                    .await;
                collector.run(Duration::from_millis(1)).await;
            }
        }
        if life == 2 {
            for _ in 0..200 {
                for collector in &mut collectors {
                    collector.run(Duration::from_millis(5)).await;
                }
                if collectors.iter().all(|collector| collector.kept() == 0) {
                    break;
                }
            }
            for collector in &collectors {
                assert_eq!(collector.kept(), 0);
            }
            assert_eq!(stored(&*history, "m0", now).await, (60, 60));
            assert_eq!(stored(&*history, "m9", now).await, (60, 60));
        }
        shutdown.cancel();
        for collector in &mut collectors {
            collector.disconnect();
        }
    }
}
