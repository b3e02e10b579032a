use sqlx::Row as _;
use sysmon_core::{MetricId, SeriesKey};

use crate::postgres_server::PostgresServer;
use crate::timescale_server::TimescaleServer;
use crate::{Collector, START, connect, cpu, open};

async fn answer_common_questions(url: &str) {
    let history = open(url).await;
    let root = SeriesKey::of(MetricId::MountUsedPercent, "/");
    let home = SeriesKey::of(MetricId::MountUsedPercent, "/home");
    let mut queue = SeriesKey::of(MetricId::DiskQueue, "q1");
    queue.metric = sysmon_core::Metric::named("shop.queue_depth", sysmon_core::Unit::Count);
    let mut web = Collector::new("web-1", &[cpu(), root.clone(), home.clone(), queue.clone()]);
    let mut idle = Collector::new("idle-1", &[cpu()]);
    let batches = [
        web.tick(START, &[(&cpu(), 100), (&root, 500), (&home, 990)]),
        web.tick(
            START + 1_000,
            &[(&cpu(), 200), (&root, 510), (&home, 991), (&queue, 725)],
        ),
        idle.tick(START, &[(&cpu(), 3)]),
    ];
    history.commit(&batches).await.unwrap();
    let mut connection = connect(url).await;

    let latest = sqlx::query("SELECT machine_id, hostname, cpu_busy_percent FROM machine_latest ORDER BY 1")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let latest: Vec<(String, String, f32)> = latest
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    assert_eq!(
        latest,
        [
            ("idle-1".to_owned(), "idle-1.example".to_owned(), 0.3),
            ("web-1".to_owned(), "web-1.example".to_owned(), 20.0)
        ]
    );

    let by_name: Vec<f32> = sqlx::query_scalar(
        "SELECT cpu_busy_percent FROM machine_by_name WHERE hostname = 'web-1.example' ORDER BY sampled_at",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert_eq!(by_name, [10.0, 20.0]);

    let mounts = sqlx::query("SELECT machine_id, mount, mount_used_percent FROM fullest_mounts")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let mounts: Vec<(String, f32)> = mounts.iter().map(|row| (row.get(1), row.get(2))).collect();
    assert_eq!(mounts, [("/home".to_owned(), 99.1), ("/".to_owned(), 51.0)]);

    let custom = sqlx::query("SELECT metric, labels #>> '{0,1}', value FROM custom_by_name")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let custom: (String, String, f64) = (custom.get(0), custom.get(1), custom.get(2));
    assert_eq!(custom, ("shop.queue_depth".to_owned(), "q1".to_owned(), 7.25));

    // Every view can be read, and says what it is for.
    let views = sqlx::query(
        "SELECT viewname::text, obj_description(format('%I', viewname)::regclass) FROM pg_views
         WHERE schemaname = current_schema()",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(views.len() > 30, "{}", views.len());
    for view in views {
        let name: String = view.get(0);
        assert!(
            view.get::<Option<String>, _>(1).is_some(),
            "{name} has no comment"
        );
        sqlx::query(sqlx::AssertSqlSafe(format!("SELECT * FROM {name}")))
            .fetch_all(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[tokio::test]
async fn views_answer_common_questions() {
    let server = PostgresServer::start().await;
    answer_common_questions(&server.url()).await;
}

#[tokio::test]
async fn views_answer_common_questions_on_timescale() {
    if let Some(server) = TimescaleServer::start().await {
        answer_common_questions(&server.url()).await;
    }
}
