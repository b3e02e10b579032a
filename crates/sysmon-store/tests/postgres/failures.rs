use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::Row as _;
use sysmon_store::{ErrorKind, History, Outcome};

use crate::postgres_server::PostgresServer;
use crate::{Collector, START, connect, cpu, open};

#[tokio::test]
async fn a_database_that_is_down_is_unavailable_until_it_is_there() {
    let mut server = PostgresServer::start().await;
    server.stop();
    let history = open(&server.url().replace("sysmon@", "sysmon:hunter2@")).await;
    let mut collector = Collector::new("m", &[cpu()]);
    let batch = [collector.tick(START, &[(&cpu(), 1)])];
    let error = history.commit(&batch).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(!error.message.contains("hunter2"), "{error}");
    server.restart().await;
    assert_eq!(
        history.commit(&batch).await.unwrap(),
        [Outcome::Stored { through: 1 }]
    );
    // And again, once connections were made.
    server.kill();
    assert_eq!(history.probe().await.unwrap_err().kind, ErrorKind::Unavailable);
    server.restart().await;
    history.probe().await.unwrap();
    assert_eq!(
        history.commit(&batch).await.unwrap(),
        [Outcome::Stored { through: 1 }]
    );
}

#[tokio::test]
async fn what_somebody_has_to_change_is_misconfigured() {
    let server = PostgresServer::start().await;
    for url in [
        server.url_of("no_such_database"),
        server.url().replace("sysmon@", "nobody_we_know:hunter2@"),
    ] {
        let error = open(&url).await.probe().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_read_only_server_is_unavailable_with_advice() {
    let server = PostgresServer::start().await;
    open(&server.url()).await.probe().await.unwrap();
    let mut connection = connect(&server.url()).await;
    sqlx::query("ALTER DATABASE sysmon SET default_transaction_read_only = on")
        .execute(&mut connection)
        .await
        .unwrap();
    let history = open(&server.url()).await;
    let error = history.probe().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("read-only"), "{error}");
    sqlx::query("SET default_transaction_read_only = off")
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::query("ALTER DATABASE sysmon RESET default_transaction_read_only")
        .execute(&mut connection)
        .await
        .unwrap();
    history.probe().await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_killed_amid_commits_loses_nothing_acknowledged() {
    const COLLECTORS: usize = 4;
    const KILLS: u64 = 4;
    let mut server = PostgresServer::start().await;
    let history = open(&server.url()).await;
    history.probe().await.unwrap();
    let kills = Arc::new(AtomicU64::new(0));
    let acknowledged: Arc<[AtomicU64; COLLECTORS]> = Arc::default();
    let tasks: Vec<_> = (0..COLLECTORS)
        .map(|number| {
            let (history, kills, acknowledged) = (history.clone(), kills.clone(), acknowledged.clone());
            tokio::spawn(async move {
                let mut collector = Collector::new(&format!("m{number}"), &[cpu()]);
                while kills.load(Ordering::Relaxed) < KILLS {
                    let at =
                        START + 100 * i64::try_from(acknowledged[number].load(Ordering::Relaxed)).unwrap();
                    let batch = [collector.tick(at, &[(&cpu(), 5)])];
                    // What is not acknowledged is sent again, as a collector does; it may have been stored all the same.
                    while !is_stored(&history, &batch).await {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    acknowledged[number].fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for kill in 0..KILLS {
        let before = acknowledged[0].load(Ordering::Relaxed);
        // In the middle of whatever happens then, some commits later.
        while acknowledged[0].load(Ordering::Relaxed) < before + 20 + 7 * kill {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.kill();
        server.restart().await;
        kills.fetch_add(1, Ordering::Relaxed);
    }
    for task in tasks {
        task.await.unwrap();
    }
    let rows = sqlx::query(
        "SELECT machine_id, count(*), count(DISTINCT sampled_at) FROM machine_by_name GROUP BY 1 ORDER BY 1",
    )
    .fetch_all(&mut connect(&server.url()).await)
    .await
    .unwrap();
    for (number, row) in rows.iter().enumerate() {
        let expected = i64::try_from(acknowledged[number].load(Ordering::Relaxed)).unwrap();
        assert_eq!((row.get::<i64, _>(1), row.get::<i64, _>(2)), (expected, expected));
    }
    assert_eq!(rows.len(), COLLECTORS);
}

async fn is_stored(history: &Arc<dyn History>, batch: &[sysmon_store::IngestBatch]) -> bool {
    match history.commit(batch).await {
        Ok(outcomes) => {
            let sequence = batch[0].sequence;
            assert_eq!(outcomes, [Outcome::Stored { through: sequence }]);
            true
        }
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
            false
        }
    }
}

#[tokio::test]
async fn a_session_that_hangs_is_given_up() {
    let server = PostgresServer::start().await;
    let history = open(&server.url()).await;
    let mut collector = Collector::new("m", &[cpu()]);
    history
        .commit(&[collector.tick(START, &[(&cpu(), 1)])])
        .await
        .unwrap();
    // Somebody else holds the lock that a commit needs.
    let mut connection = connect(&server.url()).await;
    sqlx::raw_sql("BEGIN; LOCK TABLE machine IN ACCESS EXCLUSIVE MODE")
        .execute(&mut connection)
        .await
        .unwrap();
    let batch = [collector.tick(START + 1_000, &[(&cpu(), 1)])];
    let error = history.commit(&batch).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    sqlx::raw_sql("ROLLBACK").execute(&mut connection).await.unwrap();
    assert_eq!(
        history.commit(&batch).await.unwrap(),
        [Outcome::Stored { through: 2 }]
    );
}
