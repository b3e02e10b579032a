//! What was measured is there later: asked for from the command line, after a restart, beside a database that is down.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use sysmon_core::{Epoch, HostInfo, MachineId, UnixMillis};
use sysmon_store::{Content, DeadTick, DeadValue, History, HistoryOptions, IngestBatch, open_history};
use tokio::time::{Instant, sleep};

use crate::support::{Finished, Home, PATIENCE, Role, finish};

/// Asks until the answer is as wanted; fails with the last one.
async fn ask_until(home: &Home, arguments: &[&str], is_wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let finished = finish(&mut home.sysmon(arguments)).await;
        let answer = serde_json::from_str(&finished.stdout).unwrap_or(Value::Null);
        if is_wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{arguments:?}: {finished:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

fn times(answer: &Value) -> Vec<i64> {
    let times = answer["machines"][0]["times_unix_ms"].as_array();
    times
        .into_iter()
        .flatten()
        .map(|time| time.as_i64().unwrap())
        .collect()
}

async fn start_up(home: &Home) -> (Role, u16) {
    let mut up = home.start(&[
        "up",
        "--listen",
        "127.0.0.1:0",
        "--interval",
        "100ms",
        "--machine-id",
        "alpha",
    ]);
    let port = up.port().await;
    (up, port)
}

async fn asked(home: &Home, arguments: &[&str]) -> Finished {
    let finished = finish(&mut home.sysmon(arguments)).await;
    assert_eq!(finished.code, Some(0), "{arguments:?}: {finished:?}");
    finished
}

const QUESTION: [&str; 9] = [
    "query", "--metric", "load.1m", "--from", "-10m", "--points", "10000", "--format", "json",
];

#[tokio::test]
async fn what_was_measured_is_there_after_a_restart_with_a_gap_in_between() {
    let home = Home::new();
    let (up, _) = start_up(&home).await;
    let before = times(&ask_until(&home, &QUESTION, |answer| times(answer).len() >= 10).await);
    up.signal(Signal::TERM);
    let (code, log) = up.ended().await;
    assert_eq!(code, Some(0), "{log}");
    // Longer than three intervals, so that it is a gap and no hiccup.
    sleep(Duration::from_millis(700)).await;

    let (_up, _) = start_up(&home).await;
    let after = ask_until(&home, &QUESTION, |answer| {
        times(answer).len() >= before.len() + 10
    })
    .await;
    let all = times(&after);
    assert_eq!(all[..before.len()], before, "nothing is gone");
    let is_ascending = all.windows(2).all(|pair| pair[0] < pair[1]);
    assert!(is_ascending, "nothing is there twice");
    let gaps = after["machines"][0]["gaps"].as_array().unwrap();
    assert!(
        gaps.iter()
            .any(|gap| gap["from_unix_ms"].as_i64() >= before.last().copied()),
        "{gaps:?}"
    );
}

#[tokio::test]
async fn the_same_is_found_in_the_database_and_at_the_aggregator_in_every_format() {
    let home = Home::new();
    let (_up, port) = start_up(&home).await;
    ask_until(&home, &QUESTION, |answer| times(answer).len() >= 5).await;
    let url = format!("http://127.0.0.1:{port}");
    let aggregator = ["--aggregator", url.as_str()];

    let question = [&QUESTION[..], &aggregator].concat();
    let answer = ask_until(&home, &question, |answer| times(answer).len() >= 5).await;
    assert_eq!(answer["machines"][0]["machine_id"], "alpha");
    assert_eq!(answer["machines"][0]["series"][0]["name"], "load.1m");

    let csv = [
        "query",
        "--metric",
        "memory",
        "--machine",
        "alpha",
        "--format",
        "csv",
    ];
    for source in [&[][..], &aggregator] {
        let finished = asked(&home, &[&csv[..], source].concat()).await;
        let mut lines = finished.stdout.lines();
        assert_eq!(
            lines.next(),
            Some("machine_id,at,metric,labels,unit,min,mean,max,samples")
        );
        let line = lines.next().unwrap();
        assert!(line.starts_with("alpha,2") && line.contains(",memory."), "{line}");
    }
    for source in [&[][..], &aggregator] {
        let finished = asked(&home, &[&["query", "--metric", "cpu"][..], source].concat()).await;
        assert!(finished.stdout.starts_with("alpha "), "{finished:?}");
        assert!(finished.stdout.contains("cpu.busy_percent"), "{finished:?}");

        let list = ["machines", "list", "--format", "json"];
        let finished = asked(&home, &[&list[..], source].concat()).await;
        let machines: Value = serde_json::from_str(&finished.stdout).unwrap();
        assert_eq!(machines[0]["machine_id"], "alpha", "{finished:?}");
        assert!(
            machines[0]["last_sample_unix_ms"].as_i64() > Some(0),
            "{finished:?}"
        );
    }
}

#[tokio::test]
async fn who_finds_nothing_is_told_what_to_do() {
    let home = Home::new();
    let missing = finish(&mut home.sysmon(&["query"])).await;
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.stderr.contains("sysmon up"), "{missing:?}");
    assert!(
        !home.path().join("data/sysmon/history.db").exists(),
        "asking makes nothing"
    );

    let (_up, _) = start_up(&home).await;
    ask_until(&home, &QUESTION, |answer| times(answer).len() >= 2).await;
    let unknown = finish(&mut home.sysmon(&["query", "--machine", "alpa"])).await;
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.stderr.contains("did you mean alpha"), "{unknown:?}");
    let misspelt = asked(&home, &["query", "--metric", "cpu.bussy_percent"]).await;
    assert!(
        misspelt.stderr.contains("did you mean cpu.busy_percent"),
        "{misspelt:?}"
    );
    let early = asked(&home, &["query", "--from", "2020-01-01", "--to", "2020-01-02"]).await;
    assert!(early.stderr.contains("longer range"), "{early:?}");
    for wrong in [
        &["query", "--from", "soon"][..],
        &["query", "--from", "now", "--to", "-1h"],
        &["query", "--points", "0"],
        &["query", "--database", "mysql://root:hunter2@db"],
        &["query", "--database", "memory:"],
        &[
            "query",
            "--database",
            "memory:",
            "--aggregator",
            "http://127.0.0.1:1",
        ],
        &["dead-letters", "list", "--older-than", "old"],
    ] {
        let finished = finish(&mut home.sysmon(wrong)).await;
        assert_eq!(finished.code, Some(64), "{wrong:?}: {finished:?}");
        assert!(!finished.stderr.contains("hunter2"), "{finished:?}");
    }
}

/// A history with a machine and dead letters of it: one that can be stored now, one of the future, one that is lost.
async fn history_with_dead_letters(home: &Home) -> PathBuf {
    let file = home.path().join("history.db");
    let url = format!("sqlite:{}", file.display());
    let history: Arc<dyn History> = open_history(&url, HistoryOptions::default()).await.unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now_ms = i64::try_from(now.unwrap().as_millis()).unwrap();
    let tick = |at_unix_ms| {
        Some(DeadTick {
            at_unix_ms,
            values: vec![DeadValue {
                metric: "load.one".into(),
                unit: "count".into(),
                labels: BTreeMap::new(),
                decimals: 2,
                value: 1.25,
            }],
        })
    };
    let ticks = [
        ("late\u{1b}[31m", tick(now_ms - 60_000)),
        ("from the future", tick(now_ms + 86_400_000)),
        ("unreadable", None),
    ];
    let batch = |(index, (reason, tick)): (usize, (&str, Option<DeadTick>))| IngestBatch {
        machine: MachineId::parse("alpha").unwrap(),
        epoch: Epoch([7; 16]),
        sequence: index as u64 + 1,
        content: Content::Dead {
            received: UnixMillis(now_ms - 3_600_000),
            reason: reason.into(),
            tick,
        },
        clock_offset_ms: 0,
        host: Some(Arc::new(HostInfo::default())),
        spool_was_lost: false,
    };
    let batches: Vec<_> = ticks.into_iter().enumerate().map(batch).collect();
    history.commit(&batches).await.unwrap();
    file
}

#[tokio::test]
async fn dead_letters_are_listed_tried_again_and_purged() {
    let home = Home::new();
    let url = format!("sqlite:{}", history_with_dead_letters(&home).await.display());
    let run = async |arguments: &[&str]| {
        let arguments = [&["dead-letters"], arguments, &["--database", &url]].concat();
        finish(&mut home.sysmon(&arguments)).await
    };
    let listed = async |arguments: &[&str]| {
        let finished = run(&[&["list", "--format", "json"], arguments].concat()).await;
        let letters: Vec<Value> = serde_json::from_str(&finished.stdout).unwrap();
        letters
    };
    let table = run(&["list"]).await;
    assert!(table.stdout.contains("from the future"), "{table:?}");
    assert!(
        !table.stdout.contains('\u{1b}'),
        "remote text is harmless: {table:?}"
    );
    let letters = listed(&[]).await;
    assert_eq!(letters.len(), 3);
    assert_eq!(listed(&["--older-than", "30m"]).await.len(), 3);
    assert_eq!(listed(&["--older-than", "2h"]).await.len(), 0);
    assert_eq!(listed(&["--machine", "beta"]).await.len(), 0);

    let retried = run(&["retry"]).await;
    assert_eq!(retried.code, Some(0), "{retried:?}");
    assert!(
        retried.stderr.contains("stored 1 dead letter, left 2"),
        "{retried:?}"
    );
    let question = [
        "query",
        "--machine",
        "alpha",
        "--from",
        "-10m",
        "--format",
        "json",
        "--database",
        &url,
    ];
    let answer: Value = serde_json::from_str(&asked(&home, &question).await.stdout).unwrap();
    assert_eq!(answer["machines"][0]["series"][0]["mean"][0], 1.25, "{answer}");
    let future = letters[1]["id"].to_string();
    let forced = run(&["retry", "--id", &future, "--force"]).await;
    assert!(forced.stderr.contains("stored 1 dead letter"), "{forced:?}");

    let unconfirmed = run(&["purge"]).await;
    assert_eq!(unconfirmed.code, Some(64), "nobody can be asked: {unconfirmed:?}");
    assert_eq!(listed(&[]).await.len(), 1);
    let purged = run(&["purge", "--yes"]).await;
    assert_eq!(purged.code, Some(0), "{purged:?}");
    assert!(purged.stderr.contains("removed 1 dead letter"), "{purged:?}");
    let gone = run(&["purge", "--yes", "--id", &future]).await;
    assert_eq!(gone.code, Some(1), "{gone:?}");
}

/// Nobody listens on the port of a listener that is gone.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_server_whose_stores_are_down_serves_and_says_so() {
    let home = Home::new();
    let database = format!("postgres://sysmon:hunter2@{}/sysmon", nobody());
    let redis = format!("redis://:hunter2@{}", nobody());
    let mut aggregator = home.start(&[
        "aggregator",
        "--listen",
        "127.0.0.1:0",
        "--database",
        &database,
        "--redis",
        &redis,
    ]);
    let line = aggregator
        .wait_for_log("it says that history is down", |line| {
            line["level"] == "WARN" && line["message"].to_string().contains("history")
        })
        .await;
    assert!(!line.to_string().contains("hunter2"), "{line}");
    let port = aggregator.port().await;
    let url = format!("http://127.0.0.1:{port}");
    let _collector = home.start(&["collector", "--aggregator", &url, "--interval", "100ms"]);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let finished = finish(&mut home.sysmon_tui(&["--once", "--format", "json", "--connect", &url])).await;
        let fleet: Value = serde_json::from_str(&finished.stdout).unwrap_or(Value::Null);
        if fleet["machines"][0]["state"] == "live" {
            break;
        }
        assert!(Instant::now() < deadline, "{finished:?}");
        sleep(Duration::from_millis(100)).await;
    }
    let asked = finish(&mut home.sysmon(&["query", "--aggregator", &url])).await;
    assert_eq!(asked.code, Some(1), "{asked:?}");
    assert!(
        !asked.stderr.is_empty() && !asked.stderr.contains("hunter2"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_store_that_is_set_up_wrongly_is_64_before_anything_listens() {
    let home = Home::new();
    let folder = home.path().join("data");
    let not_a_file = format!("sqlite:{}", folder.display());
    for (database, part) in [
        ("mysql://root:hunter2@db/sysmon", "mysql"),
        ("history.db", "sqlite:PATH"),
        (not_a_file.as_str(), "data"),
    ] {
        let arguments = ["aggregator", "--listen", "127.0.0.1:0", "--database", database];
        let finished = finish(&mut home.sysmon(&arguments)).await;
        assert_eq!(finished.code, Some(64), "{database}: {finished:?}");
        assert!(finished.stderr.contains(part), "{database}: {finished:?}");
        assert!(!finished.stderr.contains("hunter2"), "{finished:?}");
        assert!(!finished.stderr.contains("listening"), "{finished:?}");
    }
}

#[tokio::test]
async fn a_password_of_a_store_comes_from_a_file_and_is_never_printed() {
    let home = Home::new();
    let file = home.path().join("database-url");
    std::fs::write(&file, "postgres://sysmon:hunter2@db/sysmon\n").unwrap();
    let mut command = home.sysmon(&["config", "print"]);
    command
        .env("SYSMON_STORAGE_DATABASE_FILE", &file)
        .env("SYSMON_STORAGE_REDIS", "redis://:hunter2@redis:6379/0");
    let printed = finish(&mut command).await;
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(!printed.stdout.contains("hunter2"), "{printed:?}");
    assert!(
        printed.stdout.contains("redis://:***@redis:6379/0"),
        "{printed:?}"
    );
    let mut command = home.sysmon(&["config", "check"]);
    command.env("SYSMON_STORAGE_DATABASE_FILE", &file);
    let checked = finish(&mut command).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    std::fs::write(&file, "nonsense:hunter2").unwrap();
    let mut command = home.sysmon(&["config", "check"]);
    command.env("SYSMON_STORAGE_DATABASE_FILE", &file);
    let checked = finish(&mut command).await;
    assert_eq!(checked.code, Some(64), "{checked:?}");
    assert!(!checked.stderr.contains("hunter2"), "{checked:?}");
}

#[tokio::test]
async fn the_health_of_a_collector_is_that_it_reports() {
    let home = Home::new();
    let health = ["health", "collector"];
    let none = finish(&mut home.sysmon(&health)).await;
    assert_eq!(none.code, Some(1), "{none:?}");
    let (aggregator, port) = home.start_aggregator(&[]).await;
    let url = format!("http://127.0.0.1:{port}");
    let collector = home.start(&["collector", "--aggregator", &url, "--machine-id", "a:b"]);
    let is = async |code, arguments: &[&str]| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let finished = finish(&mut home.sysmon(arguments)).await;
            if finished.code == Some(code) {
                return finished;
            }
            assert!(Instant::now() < deadline, "{finished:?}");
            sleep(Duration::from_millis(200)).await;
        }
    };
    is(0, &health).await;
    is(0, &["health", "collector:a:b"]).await;
    is(1, &["health", "collector:another"]).await;
    aggregator.kill().await;
    let ill = is(1, &health).await;
    assert!(ill.stderr.contains("aggregator"), "{ill:?}");
    collector.signal(Signal::TERM);
    collector.ended().await;
    let gone = is(1, &health).await;
    assert!(gone.stderr.contains("no collector"), "{gone:?}");
}
