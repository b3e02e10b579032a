//! What happens when the file or its disk fails.

use std::collections::BTreeMap;
use std::sync::Arc;

use sysmon_core::{Epoch, HistoryQuery, MachineId, MetricId, SeriesKey, UnixMillis};

use super::SqliteHistory;
use crate::{
    Content, ErrorKind, History, HistoryOptions, IngestBatch, Outcome, SeriesEntry, SeriesTable, StoreError,
};

const HOUR_MS: i64 = 3_600_000;
const START: UnixMillis = UnixMillis(1_700_000_000_000 / HOUR_MS * HOUR_MS);

fn batches(count: u64) -> Vec<IngestBatch> {
    let entry = SeriesEntry {
        key: Arc::new(SeriesKey::plain(MetricId::CpuBusy)),
        decimals: 1,
    };
    let series = Arc::new(SeriesTable::new(BTreeMap::from([(1, entry)])));
    let batch = |sequence: u64| IngestBatch {
        machine: MachineId::parse("web-1").unwrap(),
        epoch: Epoch([1; 16]),
        sequence,
        content: Content::Tick {
            at: START.plus_ms(sequence.cast_signed() * 1_000),
            series: series.clone(),
            values: vec![(1, sequence.cast_signed() * sequence.cast_signed() % 1_000)],
        },
        clock_offset_ms: 4_711 + sequence.cast_signed() / 1_000,
        host: None,
        spool_was_lost: false,
    };
    (1..=count).map(batch).collect()
}

async fn opened(folder: &tempfile::TempDir) -> SqliteHistory {
    SqliteHistory::open(&folder.path().join("history.db"), HistoryOptions::default())
        .await
        .unwrap()
}

async fn run(history: &SqliteHistory, statement: &'static str) {
    sqlx::raw_sql(statement)
        .execute(&history.inner.pools.writer)
        .await
        .unwrap();
}

async fn everything(history: &SqliteHistory) -> Result<u64, StoreError> {
    let query = HistoryQuery {
        machines: vec![MachineId::parse("web-1").unwrap()],
        metrics: Vec::new(),
        from: START,
        to: START.plus_ms(24 * HOUR_MS),
        points: 10_000,
    };
    let answers = history.query(&query).await?;
    let points = answers
        .iter()
        .flat_map(|answer| &answer.series)
        .flat_map(|series| &series.points);
    Ok(points.flatten().map(|point| u64::from(point.count)).sum())
}

#[tokio::test]
async fn a_full_disk_stores_nothing_and_is_said_until_there_is_space() {
    let folder = tempfile::tempdir().unwrap();
    let history = opened(&folder).await;
    run(&history, "PRAGMA max_page_count = 1").await;
    let error = history.commit(&batches(400)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    assert!(
        error.message.contains("space") && error.message.contains("free"),
        "{error}"
    );
    run(&history, "PRAGMA max_page_count = 1000000").await;
    let outcomes = history.commit(&batches(400)).await.unwrap();
    assert_eq!(outcomes[399], Outcome::Stored { through: 400 });
    assert_eq!(everything(&history).await.unwrap(), 400);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_unavailable_to_commits_and_probes_but_not_to_questions() {
    let folder = tempfile::tempdir().unwrap();
    let history = opened(&folder).await;
    history.commit(&batches(3)).await.unwrap();
    run(&history, "PRAGMA query_only = ON").await;
    for error in [
        history.commit(&batches(9)).await.unwrap_err(),
        history.probe().await.unwrap_err(),
    ] {
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        assert!(error.message.contains("read-only"), "{error}");
    }
    assert_eq!(everything(&history).await.unwrap(), 3);
    run(&history, "PRAGMA query_only = OFF").await;
    history.probe().await.unwrap();
    history.commit(&batches(9)).await.unwrap();
    assert_eq!(everything(&history).await.unwrap(), 9);
}

#[tokio::test]
async fn a_lock_that_is_held_too_long_is_unavailable_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    let (history, other) = (opened(&folder).await, opened(&folder).await);
    run(&history, "PRAGMA busy_timeout = 20").await;
    let lock = other
        .inner
        .pools
        .writer
        .begin_with("BEGIN IMMEDIATE")
        .await
        .unwrap();
    let error = history.commit(&batches(3)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    assert!(error.message.contains("locked"), "{error}");
    lock.rollback().await.unwrap();
    history.commit(&batches(3)).await.unwrap();
}

#[tokio::test]
async fn damaged_blocks_are_named_and_no_answer_is_made_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let history = opened(&folder).await;
    history.commit(&batches(600)).await.unwrap();
    history.maintain(START.plus_ms(3 * HOUR_MS)).await.unwrap();
    assert_eq!(everything(&history).await.unwrap(), 600);
    for damage in [
        "UPDATE segment SET columns = CAST(substr(columns, 1, length(columns) - 9) || x'00' || substr(columns, -8) AS BLOB)",
        "UPDATE segment SET columns = x''",
        "UPDATE block SET head = zeroblob(1000000)",
    ] {
        run(&history, damage).await;
        let error = everything(&history).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
        assert!(error.message.contains("history.db is damaged"), "{error}");
    }
    // What comes is stored all the same.
    let outcomes = history.commit(&batches(601)).await.unwrap();
    assert_eq!(outcomes[600], Outcome::Stored { through: 601 });
}

#[tokio::test]
async fn a_database_of_something_else_is_said_to_be_none_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let history = opened(&folder).await;
    run(
        &history,
        "DROP VIEW machines; DROP VIEW gaps; DROP VIEW sizes; DROP TABLE gap; DROP TABLE cursor",
    )
    .await;
    let error = history.commit(&batches(1)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
}

#[tokio::test]
async fn the_clock_offset_of_every_batch_is_kept_for_as_long_as_its_samples() {
    let folder = tempfile::tempdir().unwrap();
    let history = opened(&folder).await;
    history.commit(&batches(1_500)).await.unwrap();
    let (least, most): (i64, i64) =
        sqlx::query_as("SELECT min(clock_offset_ms), max(clock_offset_ms) FROM recent")
            .fetch_one(&history.inner.pools.readers)
            .await
            .unwrap();
    assert_eq!((least, most), (4_711, 4_712));
    history.maintain(START.plus_ms(3 * HOUR_MS)).await.unwrap();
    let (head, columns): (Vec<u8>, Vec<u8>) = sqlx::query_as(
        "SELECT head, columns FROM block JOIN segment ON segment.block = block.id WHERE tier = 0 AND number = 0",
    )
    .fetch_one(&history.inner.pools.readers)
    .await
    .unwrap();
    let head = super::block::decode_head(&head).unwrap();
    let is_offset = |series| series == super::catalogue::CLOCK_OFFSET;
    let offsets = super::block::decode_segment(&head, 0, &columns, is_offset).unwrap();
    assert_eq!(
        offsets[0].1.lanes[0]
            .iter()
            .filter(|offset| **offset == 4_711)
            .count(),
        999
    );
    assert_eq!(offsets[0].1.lanes[0].len(), 1_500);
}

#[tokio::test]
async fn the_views_say_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let history = opened(&folder).await;
    history.commit(&batches(600)).await.unwrap();
    run(
        &history,
        "INSERT INTO gap VALUES (1, 1, x'', 1800000001000, 1800000061000, 5, 'spool_full')",
    )
    .await;
    let heard = "SELECT name, first_sample, last_sample FROM machines";
    let pool = &history.inner.pools.readers;
    let before: (String, String, String) = sqlx::query_as(heard).fetch_one(pool).await.unwrap();
    history.maintain(START.plus_ms(3 * HOUR_MS)).await.unwrap();
    let after: (String, String, String) = sqlx::query_as(heard).fetch_one(pool).await.unwrap();
    assert_eq!(before, after);
    assert_eq!(after.0, "web-1");
    let gap: (String, String, i64, String) =
        sqlx::query_as("SELECT machine, missing_from, samples, reason FROM gaps")
            .fetch_one(pool)
            .await
            .unwrap();
    assert_eq!(
        gap,
        (
            "web-1".into(),
            "2027-01-15 08:00:01".into(),
            5,
            "spool_full".into()
        )
    );
    let sizes: Vec<(String, i64, i64)> =
        sqlx::query_as("SELECT tier, kept, bytes FROM sizes ORDER BY tier DESC")
            .fetch_all(pool)
            .await
            .unwrap();
    assert_eq!((sizes[0].0.as_str(), sizes[0].1), ("samples", 600));
    assert!(sizes[0].2 > 100 && sizes.len() == 3, "{sizes:?}");
}
