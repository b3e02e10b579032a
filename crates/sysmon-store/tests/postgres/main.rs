//! What only PostgreSQL and TimescaleDB can do wrong: migrations, roll-ups, views, failures of the server.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics fails, which is what it is for"
)]

mod failures;
mod migrations;
#[path = "../support/postgres_server.rs"]
mod postgres_server;
mod rollups;
#[path = "../support/timescale_server.rs"]
mod timescale_server;
mod views;

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::{Connection as _, PgConnection};
use sysmon_core::{
    Epoch, HistoryQuery, HostInfo, MachineHistory, MachineId, MetricId, Point, SeriesKey, UnixMillis,
};
use sysmon_store::{
    Content, History, HistoryOptions, IngestBatch, Retention, SeriesEntry, SeriesTable, open_history,
};

/// 2026-03-01 00:00 UTC.
pub(crate) const START: i64 = 1_772_323_200_000;
pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 3_600_000;
pub(crate) const DAY: i64 = 24 * HOUR;

pub(crate) async fn open(url: &str) -> Arc<dyn History> {
    open_history(url, HistoryOptions::default()).await.unwrap()
}

/// A history that keeps samples for a day and their roll-ups of a minute for three.
pub(crate) async fn open_short(url: &str) -> Arc<dyn History> {
    let retention = Retention {
        raw_ms: DAY.cast_unsigned(),
        minute_ms: 3 * DAY.cast_unsigned(),
        ..Retention::default()
    };
    let options = HistoryOptions {
        retention,
        ..HistoryOptions::default()
    };
    open_history(url, options).await.unwrap()
}

pub(crate) async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// One collector's life.
pub(crate) struct Collector {
    pub(crate) machine: MachineId,
    epoch: Epoch,
    sequence: u64,
    table: Arc<SeriesTable>,
    numbers: BTreeMap<SeriesKey, u32>,
}

impl Collector {
    /// With these series, under their number in the list.
    pub(crate) fn new(machine: &str, series: &[SeriesKey]) -> Self {
        let entry = |key: &SeriesKey| SeriesEntry {
            key: Arc::new(key.clone()),
            decimals: key
                .metric
                .definition()
                .map_or(2, |definition| definition.decimals),
        };
        let entries = (0u32..).zip(series.iter().map(entry)).collect();
        Self {
            machine: MachineId::parse(machine).unwrap(),
            epoch: Epoch([machine.bytes().fold(7, u8::wrapping_add); 16]),
            sequence: 0,
            table: Arc::new(SeriesTable::new(entries)),
            numbers: series.iter().cloned().zip(0..).collect(),
        }
    }

    /// The same collector after it was started anew.
    pub(crate) fn of_another_life(mut self) -> Self {
        self.epoch.0[0] = self.epoch.0[0].wrapping_add(1);
        self.sequence = 0;
        self
    }

    /// The next tick.
    pub(crate) fn tick(&mut self, at: i64, values: &[(&SeriesKey, i64)]) -> IngestBatch {
        self.sequence += 1;
        let mut values: Vec<(u32, i64)> = values
            .iter()
            .map(|(key, value)| (self.numbers[*key], *value))
            .collect();
        values.sort_unstable();
        IngestBatch {
            machine: self.machine.clone(),
            epoch: self.epoch,
            sequence: self.sequence,
            content: Content::Tick {
                at: UnixMillis(at),
                series: Arc::clone(&self.table),
                values,
            },
            clock_offset_ms: 3,
            host: (self.sequence == 1).then(|| {
                Arc::new(HostInfo {
                    hostname: format!("{}.example", self.machine),
                    labels: vec![("role".into(), "web".into()), ("z".into(), "nul\0".into())],
                    ..HostInfo::default()
                })
            }),
            spool_was_lost: false,
        }
    }
}

pub(crate) fn cpu() -> SeriesKey {
    SeriesKey::plain(MetricId::CpuBusy)
}

pub(crate) async fn ask(
    history: &Arc<dyn History>,
    machine: &MachineId,
    from: i64,
    to: i64,
    points: u32,
) -> MachineHistory {
    let query = HistoryQuery {
        machines: vec![machine.clone()],
        metrics: Vec::new(),
        from: UnixMillis(from),
        to: UnixMillis(to),
        points,
    };
    let mut answers = history.query(&query).await.unwrap();
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

/// Moments and points of a series.
pub(crate) fn points(answer: &MachineHistory, key: &SeriesKey) -> Vec<(i64, Point)> {
    let series = answer.series.iter().find(|series| *series.key == *key).unwrap();
    let points = answer.times.iter().zip(&series.points);
    points.filter_map(|(at, point)| Some((at.0, (*point)?))).collect()
}
