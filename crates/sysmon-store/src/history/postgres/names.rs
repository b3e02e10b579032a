//! Numbers of entities and series, and what a collector's series numbers mean in rows and columns.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::{PgConnection, Row as _};
use sysmon_core::{Label, SeriesKey, Unit};

use super::failure::Failure;
use super::rows::Target;
use super::schema::schema;
use crate::history::{Content, IngestBatch, SeriesEntry, SeriesTable};

/// The most series tables whose layout is remembered; when there are more, all are forgotten and worked out again.
const LAYOUTS_MAX: usize = 20_000;
/// The most names that are remembered, likewise.
const NAMES_MAX: usize = 200_000;

/// Where the values of a series table go.
#[derive(Debug)]
pub(super) struct Layout {
    /// Number in the series table, decimals and place, ascending.
    pub(super) targets: Vec<(u32, u8, Target)>,
    /// Table and entity of each row that a tick may fill.
    pub(super) rows: Vec<(usize, i32)>,
}

/// What the database calls its entities and series. Rows of these are never removed, so what is known stays true as long as
/// the database is the same one.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    layouts: HashMap<u64, Arc<Layout>>,
    entities: HashMap<Entity, i32>,
    series: HashMap<Series, i32>,
}

/// Kind and name.
type Entity = (&'static str, String);

/// A series of `custom_sample`, as its row has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Series {
    metric: String,
    unit: &'static str,
    decimals: i16,
    labels: String,
}

/// What is needed to write batches down.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    layouts: HashMap<u64, Arc<Layout>>,
    /// Series of values that their column does not hold, by table and number.
    overflows: HashMap<(u64, u32), i32>,
}

impl Resolved {
    pub(super) fn layout(&self, table: &SeriesTable) -> Option<&Layout> {
        self.layouts.get(&table.id()).map(AsRef::as_ref)
    }

    pub(super) fn overflow(&self, table: &SeriesTable, number: u32) -> Option<i32> {
        self.overflows.get(&(table.id(), number)).copied()
    }
}

impl Names {
    /// Finds out, or agrees with the database, what everything in these batches is called. Not part of the transaction that
    /// stores them: a name that nothing goes by does no harm.
    pub(super) async fn resolve(
        &self,
        connection: &mut PgConnection,
        batches: &[IngestBatch],
    ) -> Result<Resolved, Failure> {
        let mut resolved = Resolved::default();
        let mut pending: HashMap<u64, &SeriesTable> = HashMap::new();
        let ticks = || {
            batches.iter().filter_map(|batch| match &batch.content {
                Content::Tick { series, values, .. } => Some((series, values)),
                Content::Lost { .. } | Content::Dead { .. } => None,
            })
        };
        {
            let known = self.known();
            for (table, _) in ticks() {
                match known.layouts.get(&table.id()) {
                    Some(layout) => {
                        resolved.layouts.insert(table.id(), Arc::clone(layout));
                    }
                    None => {
                        pending.insert(table.id(), table);
                    }
                }
            }
        }
        let mut names = Wanted::default();
        for entry in pending.values().flat_map(|table| table.entries().values()) {
            names.add(entry);
        }
        let mut overflowing = Vec::new();
        for (table, values) in ticks() {
            for (number, scaled) in values {
                // Whether a column holds the rest needs no looking up.
                if super::schema::Storage::Real.holds(*scaled) {
                    continue;
                }
                let Some(entry) = table.get(*number) else {
                    continue;
                };
                if let Some((index, column, _)) = schema().place_of(&entry.key, entry.decimals)
                    && !schema().tables[index].columns[column].storage.holds(*scaled)
                {
                    names.series.insert(Series::of(entry));
                    overflowing.push((table.id(), *number, entry));
                }
            }
        }
        let found = self.find(connection, names).await?;
        for (table, number, entry) in overflowing {
            if let Some(key) = found.series.get(&Series::of(entry)) {
                resolved.overflows.insert((table, number), *key);
            }
        }
        let mut known = self.known();
        if known.layouts.len() + pending.len() > LAYOUTS_MAX {
            known.layouts.clear();
        }
        for (id, table) in pending {
            let layout = Arc::new(found.layout(table));
            known.layouts.insert(id, Arc::clone(&layout));
            resolved.layouts.insert(id, layout);
        }
        Ok(resolved)
    }

    /// Forgets everything: the database may be another one now.
    pub(super) fn forget(&self) {
        *self.known() = Known::default();
    }

    async fn find(&self, connection: &mut PgConnection, mut wanted: Wanted) -> Result<Found, Failure> {
        let mut found = Found::default();
        {
            let known = self.known();
            wanted.entities.retain(|entity| match known.entities.get(entity) {
                Some(key) => found.entities.insert(entity.clone(), *key).is_some(),
                None => true,
            });
            wanted.series.retain(|series| match known.series.get(series) {
                Some(key) => found.series.insert(series.clone(), *key).is_some(),
                None => true,
            });
        }
        let entities = agree_on_entities(connection, &wanted.entities).await?;
        let series = agree_on_series(connection, &wanted.series).await?;
        let mut known = self.known();
        if known.entities.len() + known.series.len() + entities.len() + series.len() > NAMES_MAX {
            known.entities.clear();
            known.series.clear();
        }
        known.entities.extend(entities.clone());
        known.series.extend(series.clone());
        found.entities.extend(entities);
        found.series.extend(series);
        Ok(found)
    }

    /// Never held across an await; what is in it is right after a panic too.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sorted, so that two who add the same names never wait for each other in a circle.
#[derive(Debug, Default)]
struct Wanted {
    entities: BTreeSet<Entity>,
    series: BTreeSet<Series>,
}

impl Wanted {
    fn add(&mut self, entry: &SeriesEntry) {
        match schema().place_of(&entry.key, entry.decimals) {
            Some((0, _, _)) => {}
            Some((table, _, entity)) => {
                self.entities.insert((schema().tables[table].kind, clean(entity)));
            }
            None => {
                self.series.insert(Series::of(entry));
            }
        }
    }
}

#[derive(Debug, Default)]
struct Found {
    entities: HashMap<Entity, i32>,
    series: HashMap<Series, i32>,
}

impl Found {
    fn layout(&self, table: &SeriesTable) -> Layout {
        let mut rows: Vec<(usize, i32)> = Vec::new();
        let mut row_of: HashMap<(usize, i32), u16> = HashMap::new();
        let mut targets = Vec::with_capacity(table.entries().len());
        for (number, entry) in table.entries() {
            let target = match schema().place_of(&entry.key, entry.decimals) {
                Some((index, column, entity)) => {
                    let table = &schema().tables[index];
                    let entity_key = match index {
                        0 => Some(&0),
                        _ => self.entities.get(&(table.kind, clean(entity))),
                    };
                    let Some(entity_key) = entity_key else { continue };
                    let place = (index, *entity_key);
                    let next = u16::try_from(rows.len());
                    let row = match (row_of.get(&place), next) {
                        (Some(row), _) => *row,
                        (None, Ok(next)) => {
                            row_of.insert(place, next);
                            rows.push(place);
                            next
                        }
                        // The wire allows far fewer series than that.
                        (None, Err(_)) => continue,
                    };
                    Target::Column {
                        row,
                        column: u16::try_from(column).unwrap_or(u16::MAX),
                        storage: table.columns[column].storage,
                    }
                }
                None => match self.series.get(&Series::of(entry)) {
                    Some(series_key) => Target::Custom {
                        series_key: *series_key,
                    },
                    None => continue,
                },
            };
            targets.push((*number, entry.decimals, target));
        }
        Layout { targets, rows }
    }
}

impl Series {
    fn of(entry: &SeriesEntry) -> Self {
        let labels: Vec<(String, String)> = entry
            .key
            .labels
            .iter()
            .map(|label| (clean(&label.name), clean(&label.value)))
            .collect();
        Self {
            metric: clean(entry.key.metric.name()),
            unit: entry.key.metric.unit().word(),
            decimals: i16::from(entry.decimals),
            // Pairs of texts are always representable.
            labels: serde_json::to_string(&labels).unwrap_or_else(|_| "[]".to_owned()),
        }
    }
}

/// The series of a row of the table `series`.
pub(super) fn series_key(metric: &str, unit: &str, labels: &str) -> SeriesKey {
    let labels: Vec<(String, String)> = serde_json::from_str(labels).unwrap_or_default();
    SeriesKey {
        metric: sysmon_core::Metric::named(metric, Unit::from_word(unit)),
        labels: labels
            .iter()
            .map(|(name, value)| Label {
                name: name.as_str().into(),
                value: value.as_str().into(),
            })
            .collect(),
    }
}

/// PostgreSQL has no text with a NUL in it.
pub(super) fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

async fn agree_on_entities(
    connection: &mut PgConnection,
    wanted: &BTreeSet<Entity>,
) -> Result<HashMap<Entity, i32>, Failure> {
    let mut found = HashMap::new();
    // What is missing after the first look is added, by us or at the same moment by somebody else.
    for round in 0..2 {
        let missing: Vec<&Entity> = wanted
            .iter()
            .filter(|entity| !found.contains_key(*entity))
            .collect();
        if missing.is_empty() {
            break;
        }
        let kinds: Vec<&str> = missing.iter().map(|(kind, _)| *kind).collect();
        let names: Vec<&str> = missing.iter().map(|(_, name)| name.as_str()).collect();
        if round == 1 {
            sqlx::query(
                "INSERT INTO entity (kind, name) SELECT * FROM unnest($1::text[], $2::text[])
                 ON CONFLICT DO NOTHING",
            )
            .bind(&kinds)
            .bind(&names)
            .execute(&mut *connection)
            .await?;
        }
        let rows = sqlx::query(
            "SELECT wanted.index, entity.entity_key
             FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted(kind, name, index)
             JOIN entity USING (kind, name)",
        )
        .bind(&kinds)
        .bind(&names)
        .fetch_all(&mut *connection)
        .await?;
        for row in rows {
            if let Some(entity) = ordinal(&missing, row.try_get(0)?) {
                found.insert((*entity).clone(), row.try_get(1)?);
            }
        }
    }
    Ok(found)
}

async fn agree_on_series(
    connection: &mut PgConnection,
    wanted: &BTreeSet<Series>,
) -> Result<HashMap<Series, i32>, Failure> {
    let mut found = HashMap::new();
    for round in 0..2 {
        let missing: Vec<&Series> = wanted
            .iter()
            .filter(|series| !found.contains_key(*series))
            .collect();
        if missing.is_empty() {
            break;
        }
        let metrics: Vec<&str> = missing.iter().map(|series| series.metric.as_str()).collect();
        let units: Vec<&str> = missing.iter().map(|series| series.unit).collect();
        let decimals: Vec<i16> = missing.iter().map(|series| series.decimals).collect();
        let labels: Vec<&str> = missing.iter().map(|series| series.labels.as_str()).collect();
        if round == 1 {
            sqlx::query(
                "INSERT INTO series (metric, unit, decimals, labels)
                 SELECT * FROM unnest($1::text[], $2::text[], $3::smallint[], $4::text[])
                 ON CONFLICT DO NOTHING",
            )
            .bind(&metrics)
            .bind(&units)
            .bind(&decimals)
            .bind(&labels)
            .execute(&mut *connection)
            .await?;
        }
        let rows = sqlx::query(
            "SELECT wanted.index, series.series_key
             FROM unnest($1::text[], $2::text[], $3::smallint[], $4::text[])
                 WITH ORDINALITY AS wanted(metric, unit, decimals, labels, index)
             JOIN series USING (metric, unit, decimals, labels)",
        )
        .bind(&metrics)
        .bind(&units)
        .bind(&decimals)
        .bind(&labels)
        .fetch_all(&mut *connection)
        .await?;
        for row in rows {
            if let Some(series) = ordinal(&missing, row.try_get(0)?) {
                found.insert((*series).clone(), row.try_get(1)?);
            }
        }
    }
    Ok(found)
}

/// The element of a 1-based position.
fn ordinal<T>(elements: &[T], position: i64) -> Option<&T> {
    elements.get(usize::try_from(position - 1).ok()?)
}
