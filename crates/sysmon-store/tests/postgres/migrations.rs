use sqlx::Row as _;
use sysmon_core::{MetricId, SeriesKey};
use sysmon_store::ErrorKind;

use crate::postgres_server::PostgresServer;
use crate::timescale_server::TimescaleServer;
use crate::{Collector, START, ask, connect, cpu, open, points};

const FIRST: &str = include_str!("../../../../migrations/postgres/0001_tables.sql");

/// A database as version 1 of the schema left it, with a sample in it.
async fn first_version(url: &str, flavour: &str) {
    let mut connection = connect(url).await;
    sqlx::raw_sql(
        "CREATE TABLE schema_version (version integer PRIMARY KEY, name text NOT NULL, flavour text NOT NULL,
             applied_at timestamptz NOT NULL DEFAULT now())",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    sqlx::raw_sql(FIRST).execute(&mut connection).await.unwrap();
    sqlx::query("INSERT INTO schema_version (version, name, flavour) VALUES (1, '0001_tables', $1)")
        .bind(flavour)
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::raw_sql(
        "INSERT INTO machine (machine_id, first_sample, last_sample)
             VALUES ('old', '2026-03-01 00:00:00+00', '2026-03-01 00:00:00+00');
         INSERT INTO machine_sample (machine_key, sampled_at, clock_offset_ms, cpu_busy_percent)
             VALUES (1, '2026-03-01 00:00:00+00', 0, 12.5)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
}

async fn keeps_its_samples(url: &str) {
    let history = open(url).await;
    let mut collector = Collector::new("old", &[cpu()]);
    history
        .commit(&[collector.tick(START + 1_000, &[(&cpu(), 130)])])
        .await
        .unwrap();
    let answer = ask(&history, &collector.machine, START, START + 60_000, 100).await;
    let means: Vec<(i64, f64)> = points(&answer, &cpu())
        .iter()
        .map(|(at, point)| (*at, point.mean))
        .collect();
    assert_eq!(means, [(START, 12.5), (START + 1_000, 13.0)]);
    let newest: i32 = sqlx::query_scalar("SELECT max(version) FROM schema_version")
        .fetch_one(&mut connect(url).await)
        .await
        .unwrap();
    assert!(newest >= 3);
}

#[tokio::test]
async fn a_database_of_the_first_version_is_brought_up_with_its_samples() {
    let server = PostgresServer::start().await;
    first_version(&server.url(), "plain").await;
    keeps_its_samples(&server.url()).await;
}

#[tokio::test]
async fn a_timescale_database_of_the_first_version_is_brought_up_with_its_samples() {
    let Some(server) = TimescaleServer::start().await else {
        return;
    };
    first_version(&server.url(), "timescaledb").await;
    keeps_its_samples(&server.url()).await;
    let hypertables: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM timescaledb_information.hypertables WHERE hypertable_name = 'machine_sample'",
    )
    .fetch_one(&mut connect(&server.url()).await)
    .await
    .unwrap();
    assert_eq!(hypertables, 1);
}

#[tokio::test]
async fn many_who_start_at_once_make_the_schema_once() {
    let server = PostgresServer::start().await;
    let starters: Vec<_> = (0..4)
        .map(|number| {
            let url = server.url();
            tokio::spawn(async move {
                let mut collector = Collector::new(&format!("m{number}"), &[cpu()]);
                let history = open(&url).await;
                history
                    .commit(&[collector.tick(START, &[(&cpu(), 1)])])
                    .await
                    .unwrap();
            })
        })
        .collect();
    for starter in starters {
        starter.await.unwrap();
    }
    let mut connection = connect(&server.url()).await;
    let versions = sqlx::query("SELECT version FROM schema_version ORDER BY version")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let versions: Vec<i32> = versions.iter().map(|row| row.get(0)).collect();
    let newest = *versions.last().unwrap();
    assert!(newest >= 3);
    assert_eq!(versions, (1..=newest).collect::<Vec<_>>());
    assert_eq!(open(&server.url()).await.machines().await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_schema_of_a_newer_program_is_left_alone() {
    let server = PostgresServer::start().await;
    open(&server.url()).await.probe().await.unwrap();
    let mut connection = connect(&server.url()).await;
    sqlx::query("INSERT INTO schema_version (version, name, flavour) VALUES (999, 'later', 'plain')")
        .execute(&mut connection)
        .await
        .unwrap();
    let error = open(&server.url()).await.probe().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured);
    assert!(error.message.contains("upgrade this program"), "{error}");
}

#[tokio::test]
async fn plain_postgres_says_what_is_missing() {
    let server = PostgresServer::start().await;
    let history = open(&server.url()).await;
    history.probe().await.unwrap();
    let info = history.info();
    assert!(info.engine.starts_with("PostgreSQL 1"), "{info:?}");
    assert!(
        info.notices
            .iter()
            .any(|notice| notice.contains("without TimescaleDB")),
        "{info:?}"
    );
}

#[tokio::test]
async fn timescale_is_recognised_and_its_policies_follow_the_settings() {
    let Some(server) = TimescaleServer::start().await else {
        return;
    };
    let history = open(&server.url()).await;
    history.probe().await.unwrap();
    let info = history.info();
    assert!(info.engine.starts_with("TimescaleDB 2"), "{info:?}");
    assert!(info.notices.is_empty(), "{info:?}");
    let kept = async || -> Vec<String> {
        let rows = sqlx::query(
            "SELECT DISTINCT config->>'drop_after' FROM timescaledb_information.jobs
             WHERE proc_name = 'policy_retention' ORDER BY 1",
        )
        .fetch_all(&mut connect(&server.url()).await)
        .await
        .unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    };
    assert_eq!(kept().await, ["168:00:00", "17520:00:00", "720:00:00"]);
    crate::open_short(&server.url()).await.probe().await.unwrap();
    assert_eq!(kept().await, ["17520:00:00", "24:00:00", "72:00:00"]);
}

#[tokio::test]
async fn every_metric_of_the_catalogue_comes_back_exactly_as_it_was() {
    let server = PostgresServer::start().await;
    comes_back(&server.url()).await;
}

#[tokio::test]
async fn every_metric_of_the_catalogue_comes_back_exactly_from_timescale() {
    if let Some(server) = TimescaleServer::start().await {
        comes_back(&server.url()).await;
    }
}

async fn comes_back(url: &str) {
    let of = |metric: MetricId| match metric.definition().label {
        None => SeriesKey::plain(metric),
        Some(_) => SeriesKey::of(metric, "näme \"1\""),
    };
    let keys: Vec<SeriesKey> = sysmon_core::CATALOGUE
        .iter()
        .map(|definition| of(definition.id))
        .collect();
    let history = open(url).await;
    let mut collector = Collector::new("m", &keys);
    // The last ones are too large for a `real`: 838,860.8 and more with one decimal.
    for (index, value) in [0, 1, -7, 999, 8_388_608, 8_388_609, 4_503_599_627_370_497]
        .into_iter()
        .enumerate()
    {
        let at = START + 1_000 * i64::try_from(index).unwrap();
        let values: Vec<(&SeriesKey, i64)> = keys.iter().map(|key| (key, value)).collect();
        history.commit(&[collector.tick(at, &values)]).await.unwrap();
        let answer = ask(&history, &collector.machine, at, at + 1, 10).await;
        for key in &keys {
            let decimals = key.metric.definition().unwrap().decimals;
            let expected = sysmon_core::from_scaled(value, decimals);
            let found = points(&answer, key);
            assert_eq!(found.len(), 1, "{key}");
            assert_eq!(found[0].1.mean, expected, "{key}");
        }
    }
}
