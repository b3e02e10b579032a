//! The numbers of machines and series, remembered so that a commit and a query seldom ask for them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::sqlite::SqliteConnection;
use sysmon_core::{INTERVAL_METRIC, Label, MachineId, Metric, SeriesKey, Unit};

use crate::history::SeriesTable;

/// The series number that stands for the clock offset in blocks; the database numbers series from 1.
pub(super) const CLOCK_OFFSET: u32 = 0;
/// With more of one kind than this everything of it is forgotten and asked for again: a bound, not a working size.
const REMEMBERED_MAX: usize = 100_000;

/// Series number of the store by number of a collector's table, ascending.
pub(super) type Numbers = Arc<[(u32, u32)]>;

/// What is remembered. The lock is never held across an await.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    machines: HashMap<MachineId, i64>,
    tables: HashMap<u64, Numbers>,
    numbers: HashMap<(Arc<SeriesKey>, u8), u32>,
    series: HashMap<u32, (Arc<SeriesKey>, u8)>,
    /// The highest number in `series`, below which all are known.
    through: i64,
}

/// What a transaction found out; remembered once it is committed.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    machines: HashMap<MachineId, i64>,
    tables: HashMap<u64, Numbers>,
    numbers: HashMap<(Arc<SeriesKey>, u8), u32>,
}

impl Catalogue {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what a committed transaction found out.
    pub(super) fn remember(&self, fresh: Fresh) {
        let mut known = self.known();
        let Known {
            machines,
            tables,
            numbers,
            ..
        } = &mut *known;
        extend(machines, fresh.machines);
        extend(tables, fresh.tables);
        extend(numbers, fresh.numbers);
    }

    /// The number of a machine, which gets one when it has none.
    pub(super) async fn machine(
        &self,
        connection: &mut SqliteConnection,
        fresh: &mut Fresh,
        machine: &MachineId,
    ) -> sqlx::Result<i64> {
        if let Some(id) = fresh.machines.get(machine) {
            return Ok(*id);
        }
        let known = self.known().machines.get(machine).copied();
        if let Some(id) = known {
            return Ok(id);
        }
        let id = sqlx::query_scalar(
            "INSERT INTO machine (name) VALUES (?1) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id",
        )
        .bind(machine.as_str())
        .fetch_one(connection)
        .await?;
        fresh.machines.insert(machine.clone(), id);
        Ok(id)
    }

    /// The numbers of a collector's series.
    pub(super) async fn numbers(
        &self,
        connection: &mut SqliteConnection,
        fresh: &mut Fresh,
        table: &SeriesTable,
    ) -> sqlx::Result<Numbers> {
        if let Some(numbers) = fresh.tables.get(&table.id()) {
            return Ok(numbers.clone());
        }
        let known = self.known().tables.get(&table.id()).cloned();
        if let Some(numbers) = known {
            return Ok(numbers);
        }
        let mut numbers = Vec::with_capacity(table.entries().len());
        for (number, entry) in table.entries() {
            let series = self.series(connection, fresh, &entry.key, entry.decimals).await?;
            numbers.push((*number, series));
        }
        let numbers: Numbers = numbers.into();
        fresh.tables.insert(table.id(), numbers.clone());
        Ok(numbers)
    }

    /// The number of a series, which gets one when it has none.
    pub(super) async fn series(
        &self,
        connection: &mut SqliteConnection,
        fresh: &mut Fresh,
        key: &Arc<SeriesKey>,
        decimals: u8,
    ) -> sqlx::Result<u32> {
        let entry = (key.clone(), decimals);
        if let Some(series) = fresh.numbers.get(&entry) {
            return Ok(*series);
        }
        let known = self.known().numbers.get(&entry).copied();
        if let Some(series) = known {
            return Ok(series);
        }
        let labels: Vec<(&str, &str)> = key
            .labels
            .iter()
            .map(|label| (&*label.name, &*label.value))
            .collect();
        let series: i64 = sqlx::query_scalar(
            "INSERT INTO series (metric, unit, decimals, labels) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (metric, labels, unit, decimals) DO UPDATE SET metric = excluded.metric RETURNING id",
        )
        .bind(key.metric.name())
        .bind(key.metric.unit().word())
        .bind(decimals)
        .bind(serde_json::to_string(&labels).map_err(|error| sqlx::Error::Encode(error.into()))?)
        .fetch_one(connection)
        .await?;
        let series = u32::try_from(series).map_err(|error| sqlx::Error::Decode(error.into()))?;
        fresh.numbers.insert(entry, series);
        Ok(series)
    }

    /// Learns of series that were added since.
    pub(super) async fn refresh(&self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        let through = self.known().through;
        let rows: Vec<(i64, String, String, u8, String)> =
            sqlx::query_as("SELECT id, metric, unit, decimals, labels FROM series WHERE id > ?1 ORDER BY id")
                .bind(through)
                .fetch_all(connection)
                .await?;
        let mut known = self.known();
        for (id, metric, unit, decimals, labels) in rows {
            let labels: Vec<(String, String)> =
                serde_json::from_str(&labels).map_err(|error| sqlx::Error::Decode(error.into()))?;
            let label = |(name, value): (String, String)| Label {
                name: name.into(),
                value: value.into(),
            };
            let key = SeriesKey {
                metric: Metric::named(&metric, Unit::from_word(&unit)),
                labels: labels.into_iter().map(label).collect(),
            };
            let number = u32::try_from(id).map_err(|error| sqlx::Error::Decode(error.into()))?;
            known.series.insert(number, (Arc::new(key), decimals));
            known.through = known.through.max(id);
        }
        Ok(())
    }

    /// The series of these metrics that are known, all for none, each with its key and decimals; and in every case the
    /// numbers of those that say the interval.
    pub(super) fn selection(&self, metrics: &[String]) -> Selection {
        let wanted: HashSet<&str> = metrics.iter().map(String::as_str).collect();
        let known = self.known();
        let is_interval = |key: &SeriesKey| key.metric == Metric::Known(INTERVAL_METRIC);
        let mut selection = Selection::default();
        for (number, (key, decimals)) in &known.series {
            if is_interval(key) {
                selection.intervals.push(*number);
                selection.need(*number);
            }
            if wanted.is_empty() || wanted.contains(key.metric.name()) {
                selection.series.insert(*number, (key.clone(), *decimals));
                selection.need(*number);
            }
        }
        selection
    }
}

/// What a question asks for.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) series: HashMap<u32, (Arc<SeriesKey>, u8)>,
    pub(super) intervals: Vec<u32>,
    /// A bit per number, set for those of both: it is asked for every series of every block and tick.
    needed: Vec<u64>,
}

impl Selection {
    fn need(&mut self, series: u32) {
        let word = series as usize / 64;
        if self.needed.len() <= word {
            self.needed.resize(word + 1, 0);
        }
        self.needed[word] |= 1 << (series % 64);
    }

    /// Whether a column is to be read.
    pub(super) fn needs(&self, series: u32) -> bool {
        let word = self.needed.get(series as usize / 64);
        word.is_some_and(|word| word & 1 << (series % 64) != 0)
    }
}

fn extend<K: Eq + std::hash::Hash, V>(known: &mut HashMap<K, V>, fresh: HashMap<K, V>) {
    if known.len() > REMEMBERED_MAX {
        known.clear();
    }
    known.extend(fresh);
}
