//! What only PostgreSQL can do wrong: locks, migrations, views, a server that is killed.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection as _, PgConnection, Row as _};
use sysmon_core::alert::Phase;
use sysmon_store::{DeliveryState, HistoryOptions, NotifierWork, RuleStore, ShardWork, Work, open_history};
use sysmon_store::{ErrorKind, open_rule_store};

use crate::fixture::{
    LONG_MS, acknowledgement, alert, ann, delivery, key, leased, log, machine_of, new_silence, now, rule,
    save, transition,
};
use crate::postgres_server::PostgresServer;

const BEFORE: [(&str, &str); 3] = [
    (
        "0001_tables",
        include_str!("../../../../migrations/postgres/0001_tables.sql"),
    ),
    (
        "0002_rollups",
        include_str!("../../../../migrations/postgres/0002_rollups.plain.sql"),
    ),
    (
        "0003_views",
        include_str!("../../../../migrations/postgres/0003_views.sql"),
    ),
];

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

#[tokio::test]
async fn a_take_over_waits_for_what_is_being_saved_and_renewing_does_not() {
    let server = PostgresServer::start().await;
    let one = open_rule_store(&server.url()).await.unwrap();
    let other = open_rule_store(&server.url()).await.unwrap();
    let work = Work::Shard(3);
    let lease = one.lease("a", &[work], 1, 50).await.unwrap().remove(0);
    // As somebody who saves does, and then is not heard of for a while.
    let mut saving = connect(&server.url()).await;
    let mut transaction = saving.begin().await.unwrap();
    sqlx::query("SELECT FROM alert_lease WHERE work = 'shard-3' AND fence = 1 FOR KEY SHARE")
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(other.lease("b", &[work], 1, LONG_MS).await.unwrap(), []);
    // Leases of other work do not wait either.
    let notifier = other
        .lease("b", &[work, Work::Notifier], 2, LONG_MS)
        .await
        .unwrap();
    assert_eq!(notifier.len(), 1);
    let renewed = one.lease("a", &[work], 1, 1).await.unwrap();
    assert_eq!(renewed, std::slice::from_ref(&lease));
    transaction.commit().await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let taken = other.lease("b", &[work], 2, LONG_MS).await.unwrap();
    assert_eq!((taken[0].work, taken[0].fence), (work, 2));
    assert!(!one.save_shard(&lease, &ShardWork::default()).await.unwrap());
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_killed_server() {
    let mut server = PostgresServer::start().await;
    let store = open_rule_store(&server.url()).await.unwrap();
    let key = key(&machine_of(3, 0), "/var");
    store.put_rule(&rule("cpu-busy", 80.0), 0, &ann()).await.unwrap();
    let lease = log(&store, "a", 3, vec![transition(&key, now(), Phase::Firing)]).await;
    server.kill();
    let error = store.save_shard(&lease, &ShardWork::default()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    let error = store.rules().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    server.restart().await;
    assert_eq!(store.rules().await.unwrap().len(), 1);
    assert_eq!(store.transitions_after(0, 10).await.unwrap().len(), 1);
    save(&store, &lease, ShardWork::default()).await;
}

#[tokio::test]
async fn a_database_of_the_version_before_is_brought_up_with_its_data() {
    let server = PostgresServer::start().await;
    let mut connection = connect(&server.url()).await;
    sqlx::raw_sql(
        "CREATE TABLE schema_version (version integer PRIMARY KEY, name text NOT NULL, flavour text NOT NULL,
             applied_at timestamptz NOT NULL DEFAULT now())",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    for (version, (name, sql)) in (1..).zip(BEFORE) {
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        sqlx::query("INSERT INTO schema_version (version, name, flavour) VALUES ($1, $2, 'plain')")
            .bind::<i32>(version)
            .bind(name)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    sqlx::raw_sql("INSERT INTO machine (machine_id, first_sample, last_sample) VALUES ('old', now(), now())")
        .execute(&mut connection)
        .await
        .unwrap();
    let store = open_rule_store(&server.url()).await.unwrap();
    store.put_rule(&rule("cpu-busy", 80.0), 0, &ann()).await.unwrap();
    let history = open_history(&server.url(), HistoryOptions::default())
        .await
        .unwrap();
    assert_eq!(history.machines().await.unwrap().len(), 1);
    assert_eq!(store.rules().await.unwrap().len(), 1);
}

#[tokio::test]
async fn alerts_and_history_may_start_on_an_empty_database_at_once() {
    let server = PostgresServer::start().await;
    let mut starters = tokio::task::JoinSet::new();
    for number in 0..4 {
        let url = server.url();
        starters.spawn(async move {
            if number % 2 == 0 {
                let store = open_rule_store(&url).await.unwrap();
                let one = rule(&format!("rule-{number}"), 1.0);
                store.put_rule(&one, 0, &ann()).await.unwrap();
            } else {
                let history = open_history(&url, HistoryOptions::default()).await.unwrap();
                history.probe().await.unwrap();
            }
        });
    }
    starters.join_all().await;
    let store = open_rule_store(&server.url()).await.unwrap();
    assert_eq!(store.rules().await.unwrap().len(), 2);
}

#[tokio::test]
async fn tables_that_are_gone_are_made_again() {
    let server = PostgresServer::start().await;
    let store = open_rule_store(&server.url()).await.unwrap();
    store.put_rule(&rule("cpu-busy", 80.0), 0, &ann()).await.unwrap();
    sqlx::raw_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        .execute(&mut connect(&server.url()).await)
        .await
        .unwrap();
    let error = store.rules().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
    assert_eq!(store.rules().await.unwrap(), []);
}

async fn busy_day(store: &Arc<dyn RuleStore>) {
    let machine = machine_of(3, 0);
    let (var, home, root) = (key(&machine, "/var"), key(&machine, "/home"), key(&machine, "/"));
    store.put_rule(&rule("disk-full", 80.0), 0, &ann()).await.unwrap();
    store.put_rule(&rule("quiet", 80.0), 0, &ann()).await.unwrap();
    let silence = store
        .add_silence(&new_silence(now(), now().plus_ms(600_000)), &ann())
        .await
        .unwrap();
    store
        .acknowledge(&var, Some(&acknowledgement("ann")), &ann())
        .await
        .unwrap();
    let steps = vec![
        transition(&var, now(), Phase::Firing),
        transition(&home, now(), Phase::Firing),
        transition(&home, now(), Phase::Resolved),
    ];
    let lease = log(store, "a", 3, steps).await;
    let mut pending = alert(&root, Phase::Pending);
    pending.fired = None;
    let mut muted = alert(&home, Phase::NoData);
    muted.silenced = Some(silence.id);
    let work = ShardWork {
        alerts: vec![alert(&var, Phase::Firing), muted, pending],
        ..ShardWork::default()
    };
    save(store, &lease, work).await;
    let mut failed = delivery(1);
    failed.state = DeliveryState::Dead;
    failed.problem = "no route".into();
    let notifier = leased(store, "a", Work::Notifier).await;
    let work = NotifierWork {
        deliveries: vec![failed, delivery(2)],
        ..NotifierWork::default()
    };
    assert!(store.save_notifier(&notifier, &work).await.unwrap());
}

#[tokio::test]
async fn views_answer_common_questions() {
    let server = PostgresServer::start().await;
    let store = open_rule_store(&server.url()).await.unwrap();
    busy_day(&store).await;
    let mut connection = connect(&server.url()).await;
    let firing = sqlx::query(
        "SELECT entity, title, acknowledged_by, silenced, culprits->0->>'name' FROM alert_firing ORDER BY entity",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let firing: Vec<(String, String, Option<String>, Option<String>, String)> = firing
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4)))
        .collect();
    let (title, busiest) = ("Something of disk-full".to_owned(), "postgres".to_owned());
    let why = "The disk is being replaced.".to_owned();
    assert_eq!(
        firing,
        [
            (
                "/home".to_owned(),
                title.clone(),
                None,
                Some(why),
                busiest.clone()
            ),
            ("/var".to_owned(), title, Some("ann".to_owned()), None, busiest)
        ]
    );
    let week = sqlx::query("SELECT rule, fired, machines FROM alert_rule_week")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let week: Vec<(String, i64, i64)> = week
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    assert_eq!(week, [("disk-full".to_owned(), 2, 1), ("quiet".to_owned(), 0, 0)]);
    for (question, answer) in [
        ("SELECT count(*) FROM alert_recent", 3),
        ("SELECT fired FROM alert_machine_week", 2),
        (
            "SELECT count(*) FROM delivery_failed WHERE problem = 'no route'",
            1,
        ),
        ("SELECT count(*) FROM delivery_failed", 1),
        ("SELECT count(*) FROM silence_current WHERE made_by = 'ann'", 1),
        (
            "SELECT count(*) FROM audit_log WHERE after->>'title' = 'Something of quiet'",
            1,
        ),
        ("SELECT count(*) FROM delivery WHERE content->>'number' = '2'", 1),
    ] {
        let found: i64 = sqlx::query_scalar(question)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(found, answer, "{question}");
    }
}
