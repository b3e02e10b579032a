//! What only PostgreSQL can do wrong: locks, migrations, views, a server that is killed.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection as _, PgConnection, Row as _};
use sysmon_core::alert::Phase;
use sysmon_store::{ErrorKind, open_rule_store};
use sysmon_store::{HistoryOptions, ShardWork, Work, open_history};

use crate::fixture::{
    LONG_MS, alert, ann, busy_day, key, leased, log, machine_of, now, rule, save, transition,
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_take_over_waits_for_what_is_being_saved_and_renewing_does_not() {
    let server = PostgresServer::start().await;
    let one = open_rule_store(&server.url()).await.unwrap();
    let other = open_rule_store(&server.url()).await.unwrap();
    let work = Work::Shard(3);
    let lease = leased(&one, "a", work).await;
    let key = key(&machine_of(3, 0), "/var");
    let firing = ShardWork {
        alerts: vec![alert(&key, Phase::Firing)],
        ..ShardWork::default()
    };
    save(&one, &lease, firing.clone()).await;
    // Somebody with a database shell keeps the next save in the middle of its transaction.
    let mut shell = connect(&server.url()).await;
    let mut transaction = shell.begin().await.unwrap();
    sqlx::query("SELECT FROM alert FOR UPDATE")
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    let saving = {
        let (one, lease) = (Arc::clone(&one), lease.clone());
        tokio::spawn(async move { one.save_shard(&lease, &firing).await })
    };
    let mut looking = connect(&server.url()).await;
    wait_until(
        &mut looking,
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)",
    )
    .await;
    // Renewed, for a moment only.
    let renewed = one.lease("a", &[work], 1, 1).await.unwrap();
    assert_eq!(renewed, std::slice::from_ref(&lease));
    wait_until(
        &mut looking,
        "SELECT until_at < now() FROM alert_lease WHERE work = 'shard-3'",
    )
    .await;
    // Other work is to be had meanwhile, this is not.
    let free = other
        .lease("b", &[work, Work::Notifier], 2, LONG_MS)
        .await
        .unwrap();
    let free: Vec<Work> = free.iter().map(|lease| lease.work).collect();
    assert_eq!(free, [Work::Notifier]);
    assert!(!saving.is_finished());
    transaction.commit().await.unwrap();
    assert!(saving.await.unwrap().unwrap());
    let taken = other.lease("b", &[work], 2, LONG_MS).await.unwrap();
    assert_eq!((taken[0].work, taken[0].fence), (work, 2));
    assert!(!one.save_shard(&lease, &ShardWork::default()).await.unwrap());
}

/// Waits for a question to be answered with yes.
async fn wait_until(connection: &mut PgConnection, question: &'static str) {
    for _ in 0..400 {
        let answer: bool = sqlx::query_scalar(question)
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        if answer {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it stays so: {question}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_waits_for_those_that_have_lower_numbers() {
    let server = PostgresServer::start().await;
    let store = open_rule_store(&server.url()).await.unwrap();
    let other = open_rule_store(&server.url()).await.unwrap();
    let (one, two) = (key(&machine_of(3, 0), "/"), key(&machine_of(4, 0), "/"));
    let at = now();
    // A shell that is about to log the second step of the first save keeps that save waiting once it has numbers.
    log(&store, "a", 3, vec![transition(&one, at, Phase::Pending)]).await;
    let mut shell = connect(&server.url()).await;
    let mut transaction = shell.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO alert_log (rule, machine, entity, at, from_phase, to_phase, severity_before, severity, cause, detail)
         SELECT rule, machine, entity, at, from_phase, 'resolved', severity_before, severity, cause, detail FROM alert_log",
    )
    .execute(&mut *transaction)
    .await
    .unwrap();
    let low = {
        let store = Arc::clone(&store);
        let steps = vec![
            transition(&one, at, Phase::Firing),
            transition(&one, at, Phase::Resolved),
        ];
        tokio::spawn(async move { log(&store, "a", 3, steps).await })
    };
    let mut looking = connect(&server.url()).await;
    wait_until(
        &mut looking,
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)",
    )
    .await;
    let high = {
        let other = Arc::clone(&other);
        tokio::spawn(async move { log(&other, "b", 4, vec![transition(&two, at, Phase::Firing)]).await })
    };
    wait_until(
        &mut looking,
        "SELECT count(*) = 2 FROM pg_locks WHERE NOT granted",
    )
    .await;
    assert_eq!(other.transitions_after(0, 10).await.unwrap().len(), 1);
    transaction.rollback().await.unwrap();
    low.await.unwrap();
    high.await.unwrap();
    let logged = other.transitions_after(0, 10).await.unwrap();
    let machines: Vec<_> = logged
        .iter()
        .map(|logged| logged.transition.key.machine.clone())
        .collect();
    assert_eq!(
        machines[..3],
        [one.machine.clone(), one.machine.clone(), one.machine]
    );
    assert_eq!(machines[3], machine_of(4, 0));
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
    type Firing = (String, String, Option<String>, Option<String>, String);
    let firing: Vec<Firing> = firing
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

#[tokio::test]
async fn every_question_of_the_documentation_can_be_asked() {
    let document = include_str!("../../../../docs/storage.md");
    let alerts = document.split("\n## Alerts").nth(1).unwrap();
    let questions = alerts
        .split("```sql\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let server = PostgresServer::start().await;
    let store = open_rule_store(&server.url()).await.unwrap();
    busy_day(&store).await;
    let mut connection = connect(&server.url()).await;
    let questions: Vec<&str> = questions.split_terminator(";\n").collect();
    assert!(questions.len() > 8, "{questions:?}");
    for question in questions {
        sqlx::query(sqlx::AssertSqlSafe(question.to_owned()))
            .fetch_all(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{question}: {error}"));
    }
}
