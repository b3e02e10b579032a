use std::sync::Arc;

use sysmon_core::{MachineHistory, Tier, UnixMillis};
use sysmon_store::History;

use crate::postgres_server::PostgresServer;
use crate::timescale_server::TimescaleServer;
use crate::{Collector, DAY, HOUR, MINUTE, START, ask, cpu, open, open_short, points};

/// A sample every 20 s for so long, counting up in tenths of a percent from 0.
async fn fill(history: &Arc<dyn History>, collector: &mut Collector, from: i64, to: i64) {
    let mut batches = Vec::new();
    for (index, at) in (from..to).step_by(20_000).enumerate() {
        batches.push(collector.tick(at, &[(&cpu(), i64::try_from(index % 1_000).unwrap())]));
    }
    for piece in batches.chunks(1_000) {
        history.commit(piece).await.unwrap();
    }
}

async fn settle(history: &Arc<dyn History>, now: i64) {
    for _ in 0..1_000 {
        if !history.maintain(UnixMillis(now)).await.unwrap().more {
            return;
        }
    }
    panic!("upkeep never ends");
}

/// Everything but the tier's own account of itself.
fn content(answer: &MachineHistory) -> Vec<(i64, sysmon_core::Point)> {
    points(answer, &cpu())
}

async fn is_the_same_rolled_up(history: Arc<dyn History>) {
    let mut collector = Collector::new("m", &[cpu()]);
    let end = START + 5 * HOUR;
    fill(&history, &mut collector, START, end).await;
    let ask_both = async || {
        let minutes = ask(&history, &collector.machine, START, end, 300).await;
        let hours = ask(&history, &collector.machine, START, end, 5).await;
        assert_eq!((minutes.tier, minutes.step_ms), (Tier::Minute, 60_000));
        assert_eq!((hours.tier, hours.step_ms), (Tier::Hour, 3_600_000));
        let fives = ask(&history, &collector.machine, START + 90_017, end - 17, 60).await;
        assert_eq!((fives.tier, fives.step_ms), (Tier::Minute, 300_000));
        (content(&minutes), content(&hours), content(&fives))
    };
    let before = ask_both().await;
    assert_eq!(before.0.len(), 300);
    assert_eq!(before.0[1].0, START + MINUTE);
    let point = before.0[1].1;
    assert_eq!((point.minimum, point.maximum, point.count), (0.3, 0.5, 3));
    assert!((point.mean - 0.4).abs() < 1e-9, "{point:?}");
    assert_eq!(before.1.len(), 5);
    assert_eq!(before.1[0].1.count, 180);
    // The first moment begins with the minute that the question begins in.
    assert_eq!(before.2.len(), 60);
    assert_eq!((before.2[0].1.count, before.2[1].1.count), (12, 15));
    // Nothing changes when part of it is rolled up, and then all of it.
    settle(&history, START + 2 * HOUR + 90_000).await;
    assert_eq!(ask_both().await, before);
    settle(&history, end + 2 * HOUR).await;
    assert_eq!(ask_both().await, before);
    // What comes late is merged in.
    let mut late = Collector::new("m", &[cpu()]);
    late = late.of_another_life();
    let batch = late.tick(START + MINUTE + 5_000, &[(&cpu(), 999)]);
    history.commit(&[batch]).await.unwrap();
    settle(&history, end + 2 * HOUR).await;
    let after = ask_both().await;
    assert_eq!(after.0[1].1.maximum, 99.9);
    assert_eq!(after.0[1].1.count, 4);
    assert_eq!(after.1[0].1.count, 181);
    assert_eq!(after.2[0].1.count, 13);
    assert_eq!(after.0[2..], before.0[2..]);
    assert_eq!(after.2[1..], before.2[1..]);
}

/// As a database is that has been kept since before there were roll-ups of five minutes.
async fn fills_in_five_minutes(history: Arc<dyn History>, url: &str, forget: &'static str) {
    let mut collector = Collector::new("m", &[cpu()]);
    let (end, now) = (START + 30 * HOUR, START + 31 * HOUR);
    fill(&history, &mut collector, START, end).await;
    settle(&history, now).await;
    let ask = async || content(&ask(&history, &collector.machine, START, end, 360).await);
    let answer = ask().await;
    assert_eq!(answer.len(), 360);
    let mut connection = crate::connect(url).await;
    for statement in [
        forget,
        "DELETE FROM store_setting WHERE name = 'five_minutes_done_to_unix_ms'",
    ] {
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    }
    assert_eq!(ask().await, answer);
    settle(&history, now).await;
    let (rows, samples): (i64, i64) =
        sqlx::query_as("SELECT count(*), sum(cpu_busy_percent_count)::bigint FROM machine_five_minutes")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!((rows, samples), (360, 5_400));
    assert_eq!(ask().await, answer);
}

#[tokio::test]
async fn roll_ups_of_five_minutes_are_made_of_minutes_that_were_there_before() {
    let server = PostgresServer::start().await;
    let history = open(&server.url()).await;
    fills_in_five_minutes(
        Arc::clone(&history),
        &server.url(),
        "TRUNCATE machine_five_minutes",
    )
    .await;
    // And they are what answers.
    let mut connection = crate::connect(&server.url()).await;
    sqlx::raw_sql("UPDATE machine_five_minutes SET cpu_busy_percent_max = 777")
        .execute(&mut connection)
        .await
        .unwrap();
    let collector = Collector::new("m", &[cpu()]);
    let answer = ask(&history, &collector.machine, START, START + 30 * HOUR, 360).await;
    assert!(content(&answer).iter().all(|(_, point)| point.maximum == 777.0));
}

#[tokio::test]
async fn timescale_fills_in_roll_ups_of_five_minutes() {
    if let Some(server) = TimescaleServer::start().await {
        let history = open(&server.url()).await;
        fills_in_five_minutes(history, &server.url(), "SELECT").await;
    }
}

#[tokio::test]
async fn an_answer_is_the_same_before_and_after_rolling_up() {
    let server = PostgresServer::start().await;
    is_the_same_rolled_up(open(&server.url()).await).await;
}

#[tokio::test]
async fn a_timescale_answer_is_the_same_before_and_after_rolling_up() {
    if let Some(server) = TimescaleServer::start().await {
        is_the_same_rolled_up(open(&server.url()).await).await;
    }
}

async fn forgets_by_tier(history: Arc<dyn History>) {
    let mut collector = Collector::new("m", &[cpu()]);
    fill(&history, &mut collector, START, START + 2 * HOUR).await;
    let now = START + 2 * DAY;
    fill(&history, &mut collector, now - HOUR, now).await;
    settle(&history, now).await;
    // Samples are gone after a day, and their minutes answer instead.
    let old = ask(&history, &collector.machine, START, START + HOUR, 300).await;
    assert_eq!(old.tier, Tier::Minute);
    assert_eq!(content(&old).len(), 60);
    let fresh = ask(&history, &collector.machine, now - HOUR, now, 300).await;
    assert_eq!(fresh.tier, Tier::Raw);
    assert_eq!(content(&fresh).len(), 180);
    // Minutes are gone after three, and hours answer.
    let now = START + 5 * DAY;
    fill(&history, &mut collector, now - HOUR, now).await;
    settle(&history, now).await;
    let old = ask(&history, &collector.machine, START, START + HOUR, 300).await;
    assert_eq!(old.tier, Tier::Hour);
    assert_eq!(content(&old).len(), 1);
    assert_eq!(content(&old)[0].1.count, 180);
}

#[tokio::test]
async fn what_is_too_old_is_forgotten_by_tier() {
    let server = PostgresServer::start().await;
    forgets_by_tier(open_short(&server.url()).await).await;
}

#[tokio::test]
async fn what_is_too_old_is_forgotten_by_tier_on_timescale() {
    if let Some(server) = TimescaleServer::start().await {
        forgets_by_tier(open_short(&server.url()).await).await;
    }
}

#[tokio::test]
async fn late_samples_go_into_compressed_chunks() {
    let Some(server) = TimescaleServer::start().await else {
        return;
    };
    let history = open(&server.url()).await;
    let mut collector = Collector::new("m", &[cpu()]);
    fill(&history, &mut collector, START, START + HOUR).await;
    settle(&history, START + DAY).await;
    let compressed: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM timescaledb_information.chunks
         WHERE is_compressed AND hypertable_name = 'machine_sample'",
    )
    .fetch_one(&mut crate::connect(&server.url()).await)
    .await
    .unwrap();
    assert_eq!(compressed, 1);
    let mut late = Collector::new("m", &[cpu()]).of_another_life();
    history
        .commit(&[late.tick(START + 7_000, &[(&cpu(), 333)])])
        .await
        .unwrap();
    let answer = ask(&history, &late.machine, START, START + 21_000, 100).await;
    let means: Vec<f64> = content(&answer).iter().map(|(_, point)| point.mean).collect();
    assert_eq!(means, [0.0, 33.3, 0.1]);
}
