//! Answers to questions about the past: one statement per table, however many machines are asked for.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use sysmon_core::{HistoryQuery, INTERVAL_METRIC, MachineHistory, MachineId, MetricId, SeriesKey, Tier};

use super::edges::{find_edges, find_gaps};
use super::failure::Failure;
use super::migrate::Flavour;
use super::names::series_key;
use super::reading::{Late, Reading, Shape, statement};
use super::schema::{Column, schema};
use super::settings::{Setting, Settings};
use super::tiers::{plan, stretches};
use super::timestamp::Timestamp;
use crate::history::answer::{Answer, nothing};
use crate::history::plan::Plan;

/// A machine that was asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) id: MachineId,
    /// Times of its first and newest sample.
    pub(super) span: Option<(i64, i64)>,
}

/// Series by the number they have in this answer.
#[derive(Debug, Default)]
struct Numbers {
    /// By table (or, past the last one, the custom series), entity and column.
    known: HashMap<(usize, i32, usize), u32>,
    places: Vec<(usize, i32, usize)>,
}

impl Numbers {
    fn of(&mut self, place: (usize, i32, usize)) -> u32 {
        let next = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        let Self { known, places } = self;
        *known.entry(place).or_insert_with(|| {
            places.push(place);
            next
        })
    }
}

/// Columns of one table to be read, and from which relation.
pub(super) struct Source {
    pub(super) table: usize,
    /// Of the entity or of the custom series; `None` for the machine's own.
    pub(super) second_key: Option<&'static str>,
    pub(super) columns: Vec<(usize, &'static Column)>,
    /// Only these custom series.
    pub(super) only_series: Option<Vec<i32>>,
}

/// See [`crate::History::query`].
pub(super) async fn query(
    connection: &mut PgConnection,
    flavour: Flavour,
    query: &HistoryQuery,
) -> Result<Vec<MachineHistory>, Failure> {
    let settings = Settings::read(connection).await?;
    let asked = find_machines(connection, query).await?;
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let Some(plan) = plan(query, &settings, &asked) else {
        let known: Vec<&MachineId> = asked.values().map(|machine| &machine.id).collect();
        let known = query.machines.iter().filter(|machine| known.contains(machine));
        return Ok(known.map(|machine| nothing(machine.clone())).collect());
    };
    let first = asked
        .values()
        .filter_map(|machine| machine.span)
        .map(|(first, _)| first)
        .min();
    let skipped = first.map_or(0, |first| (first - plan.first).max(0).div_euclid(plan.step_ms));
    let mut reader = Reader {
        connection,
        plan,
        origin: plan.first + skipped * plan.step_ms,
        answers: HashMap::new(),
        numbers: Numbers::default(),
        maximum_only: (!query.metrics.is_empty()
            && query
                .metrics
                .iter()
                .all(|metric| metric != INTERVAL_METRIC.name()))
        .then_some(INTERVAL_METRIC),
        late: (Vec::new(), Vec::new()),
    };
    reader.read(flavour, query, &settings, &asked).await?;
    let Reader {
        connection,
        answers,
        mut numbers,
        ..
    } = reader;
    // It has a column since the first version.
    let interval = schema().place(INTERVAL_METRIC).unwrap_or_default();
    let interval = numbers.of((interval.0, 0, interval.1));
    let series = describe(connection, &numbers).await?;
    let mut edges = find_edges(connection, &plan, &asked, interval).await?;
    let mut gaps = find_gaps(connection, &plan, &edges).await?;
    let wanted = |number: u32| {
        let known = series.get(number as usize)?.clone();
        let name = known.as_ref()?.0.metric.name();
        let is_wanted = query.metrics.is_empty() || query.metrics.iter().any(|metric| metric == name);
        known.filter(|_| is_wanted)
    };
    let mut finished: HashMap<MachineId, MachineHistory> = HashMap::new();
    for (key, answer) in answers {
        let Some(machine) = asked.get(&key) else { continue };
        let edges = edges.remove(&key).unwrap_or_default();
        let gaps = gaps.remove(&key).unwrap_or_default();
        let history = answer.finish(machine.id.clone(), &edges, gaps, wanted);
        finished.insert(machine.id.clone(), history);
    }
    let answers = query.machines.iter().filter_map(|machine| finished.get(machine));
    Ok(answers.cloned().collect())
}

async fn find_machines(
    connection: &mut PgConnection,
    query: &HistoryQuery,
) -> Result<BTreeMap<i32, Asked>, Failure> {
    let ids: Vec<&str> = query.machines.iter().map(MachineId::as_str).collect();
    let rows = sqlx::query(
        "SELECT machine_key, machine_id, first_sample, last_sample FROM machine WHERE machine_id = ANY($1)",
    )
    .bind(ids)
    .fetch_all(connection)
    .await?;
    let mut machines = BTreeMap::new();
    for row in rows {
        let first: Option<Timestamp> = row.try_get(2)?;
        let last: Option<Timestamp> = row.try_get(3)?;
        if let Ok(id) = MachineId::parse(row.try_get(1)?) {
            let span = first.zip(last).map(|(first, last)| (first.0, last.0));
            machines.insert(row.try_get(0)?, Asked { id, span });
        }
    }
    Ok(machines)
}

struct Reader<'connection> {
    connection: &'connection mut PgConnection,
    plan: Plan,
    answers: HashMap<i32, Answer>,
    numbers: Numbers,
    /// Start of a moment not long before the first sample: PostgreSQL's times do not go as far as ours.
    origin: i64,
    /// The machine's interval, when it was not asked for: only how long it was at most tells gaps.
    maximum_only: Option<MetricId>,
    /// Machines and hours whose roll-ups lack samples that came late.
    late: (Vec<i32>, Vec<Timestamp>),
}

impl Reader<'_> {
    /// Finds hours in the range whose samples have to be read although they are rolled up.
    async fn find_late(&mut self, keys: &[i32], (from, to): (i64, i64)) -> Result<(), Failure> {
        let rows = sqlx::query(
            "SELECT machine_key, hour FROM rollup_late
             WHERE machine_key = ANY($1) AND hour > $2 AND hour < $3",
        )
        .bind(keys)
        .bind(Timestamp(from.saturating_sub(3_600_000)))
        .bind(Timestamp(to))
        .fetch_all(&mut *self.connection)
        .await?;
        for row in rows {
            self.late.0.push(row.try_get(0)?);
            self.late.1.push(row.try_get(1)?);
        }
        Ok(())
    }

    /// From the first to the last of these hours, within a range.
    fn late_range(&self, from: i64, to: i64) -> Option<(i64, i64)> {
        let first = self.late.1.iter().map(|hour| hour.0).min()?;
        let last = self.late.1.iter().map(|hour| hour.0).max()?;
        Some((first.max(from), last.saturating_add(3_600_000).min(to)))
    }

    async fn read(
        &mut self,
        flavour: Flavour,
        query: &HistoryQuery,
        settings: &Settings,
        asked: &BTreeMap<i32, Asked>,
    ) -> Result<(), Failure> {
        let all: Vec<i32> = asked.keys().copied().collect();
        let reach = self.plan.reach();
        let sources = self.sources(query).await?;
        let (tier, done) = match self.plan.tier {
            Tier::Raw => return self.read_samples(&sources, &all).await,
            Tier::Minute => ("minute", settings.get(Setting::MinuteDone)),
            Tier::Hour => ("hour", settings.get(Setting::HourDone)),
        };
        self.answers
            .extend(all.iter().map(|key| (*key, Answer::even(self.plan))));
        // TimescaleDB adds what is not rolled up yet itself.
        let done = match flavour {
            Flavour::Timescale => reach.1,
            Flavour::Plain => done.unwrap_or(i64::MIN).clamp(reach.0, reach.1),
        };
        let kept = settings.get(Setting::RawKept).unwrap_or(i64::MIN);
        self.find_late(&all, (reach.0.max(kept), done)).await?;
        let late = self.late_range(reach.0, done);
        let fives = settings.get(Setting::FiveMinutesDone).unwrap_or(i64::MIN);
        let stretches = stretches(&self.plan, tier, (reach.0, done), fives);
        for source in &sources {
            for (tier, range) in &stretches {
                let without = late.map(|_| Late::Without);
                self.rows(source, Shape::RolledUp(tier), &all, *range, without)
                    .await?;
            }
            if let Some(range) = late {
                self.rows(source, Shape::Binned, &all, range, Some(Late::Only))
                    .await?;
            }
            if done < reach.1 {
                self.rows(source, Shape::Binned, &all, (done, reach.1), None)
                    .await?;
            }
        }
        Ok(())
    }

    async fn read_samples(&mut self, sources: &[Source], all: &[i32]) -> Result<(), Failure> {
        let reach = self.plan.reach();
        let points = i64::try_from(self.plan.points).unwrap_or(i64::MAX);
        let rows = sqlx::query(
            "SELECT wanted.machine_key, (
                 SELECT count(*) FROM (
                     SELECT FROM machine_sample s
                     WHERE s.machine_key = wanted.machine_key AND s.sampled_at >= $2 AND s.sampled_at < $3
                     LIMIT $4
                 ) AS ticks
             ) FROM unnest($1::integer[]) AS wanted(machine_key)",
        )
        .bind(all)
        .bind(Timestamp(reach.0))
        .bind(Timestamp(reach.1))
        .bind(points + 1)
        .fetch_all(&mut *self.connection)
        .await?;
        let (mut few, mut many) = (Vec::new(), Vec::new());
        for row in rows {
            let key: i32 = row.try_get(0)?;
            if row.try_get::<i64, _>(1)? <= points {
                few.push(key);
            } else {
                many.push(key);
                self.answers.insert(key, Answer::even(self.plan));
            }
        }
        for source in sources {
            if !few.is_empty() {
                self.rows(source, Shape::Single, &few, reach, None).await?;
            }
            if !many.is_empty() {
                self.rows(source, Shape::Binned, &many, reach, None).await?;
            }
        }
        for key in few {
            self.answers
                .entry(key)
                .or_insert_with(|| Answer::single(self.plan, Vec::new()));
        }
        Ok(())
    }

    /// What is to be read: the machine's own table always, for the moments at which it was there.
    async fn sources(&mut self, query: &HistoryQuery) -> Result<Vec<Source>, Failure> {
        let is_wanted = |column: &Column| {
            query.metrics.is_empty() || query.metrics.iter().any(|metric| metric == column.metric.name())
        };
        let mut sources = Vec::new();
        for (index, table) in schema().tables.iter().enumerate() {
            let columns: Vec<(usize, &'static Column)> = table
                .columns
                .iter()
                .enumerate()
                .filter(|(_, column)| is_wanted(column) || column.metric == INTERVAL_METRIC)
                .collect();
            if !columns.is_empty() {
                sources.push(Source {
                    table: index,
                    second_key: table.has_entities().then_some("entity_key"),
                    columns,
                    only_series: None,
                });
            }
        }
        let mut custom = Source {
            table: schema().tables.len(),
            second_key: Some("series_key"),
            columns: Vec::new(),
            only_series: None,
        };
        if !query.metrics.is_empty() {
            let keys: Vec<i32> = sqlx::query_scalar("SELECT series_key FROM series WHERE metric = ANY($1)")
                .bind(&query.metrics)
                .fetch_all(&mut *self.connection)
                .await?;
            if keys.is_empty() {
                return Ok(sources);
            }
            custom.only_series = Some(keys);
        }
        sources.push(custom);
        Ok(sources)
    }

    /// Reads one table, every part of its roll-ups, into the answers.
    async fn rows(
        &mut self,
        source: &Source,
        shape: Shape,
        keys: &[i32],
        range: (i64, i64),
        late: Option<Late>,
    ) -> Result<(), Failure> {
        let table = schema().tables.get(source.table);
        let parts = match (shape, table) {
            (Shape::RolledUp(_), Some(table)) => table.parts(),
            _ => vec![0],
        };
        for part in parts {
            let columns: Vec<(usize, &'static Column)> = source
                .columns
                .iter()
                .filter(|(_, column)| part == 0 || column.part == part)
                .copied()
                .collect();
            if columns.is_empty() && table.is_some() {
                continue;
            }
            let statement = statement(source, table, shape, part, &columns, late, self.maximum_only);
            let mut query = sqlx::query(AssertSqlSafe(statement))
                .bind(keys)
                .bind(Timestamp(range.0))
                .bind(Timestamp(range.1));
            if shape != Shape::Single {
                query = query.bind(self.plan.step_ms as f64).bind(Timestamp(self.origin));
            }
            if let Some(series) = &source.only_series {
                query = query.bind(series);
            }
            if late.is_some() {
                query = query.bind(&self.late.0).bind(&self.late.1);
            }
            let rows = query.fetch_all(&mut *self.connection).await?;
            let readings: Vec<Reading> = match table {
                Some(_) => columns.iter().map(|(_, column)| Reading::of(column)).collect(),
                None => vec![Reading::CUSTOM],
            };
            let indexes: Vec<usize> = match table {
                Some(_) => columns.iter().map(|(index, _)| *index).collect(),
                None => vec![0],
            };
            self.take(source, shape, &rows, &readings, &indexes)?;
        }
        Ok(())
    }

    /// Puts rows, sorted by machine, entity and time, into the answers.
    fn take(
        &mut self,
        source: &Source,
        shape: Shape,
        rows: &[PgRow],
        readings: &[Reading],
        indexes: &[usize],
    ) -> Result<(), Failure> {
        let (from, _) = self.plan.reach();
        let second = usize::from(source.second_key.is_some());
        let group = |row: &PgRow| -> Result<(i32, i32), sqlx::Error> {
            let entity = if second == 1 { row.try_get(1)? } else { 0 };
            Ok((row.try_get(0)?, entity))
        };
        let mut start = 0;
        while start < rows.len() {
            let (machine_key, entity_key) = group(&rows[start])?;
            let mut end = start + 1;
            while end < rows.len() && group(&rows[end])? == (machine_key, entity_key) {
                end += 1;
            }
            let rows = &rows[start..end];
            start = end;
            let times = rows
                .iter()
                // A moment may start before the range; what is in it does not.
                .map(|row| Ok(row.try_get::<Timestamp, _>(1 + second)?.0.max(from)))
                .collect::<Result<Vec<i64>, sqlx::Error>>()?;
            let answer = self
                .answers
                .entry(machine_key)
                .or_insert_with(|| Answer::single(self.plan, times.clone()));
            let places = answer.place(&times);
            for (column, (reading, index)) in readings.iter().zip(indexes).enumerate() {
                let mut sums = Vec::with_capacity(rows.len());
                let first = 2 + second + column * shape.width();
                for (row, place) in rows.iter().zip(&places) {
                    if let Some(sum) = reading.sum(row, first, shape)? {
                        sums.push((*place, sum));
                    }
                }
                if !sums.is_empty() {
                    let number = self.numbers.of((source.table, entity_key, *index));
                    answer.merge(number, sums.into_iter());
                }
            }
        }
        Ok(())
    }
}

/// Key and decimals of each series by its number.
async fn describe(
    connection: &mut PgConnection,
    numbers: &Numbers,
) -> Result<Vec<Option<(Arc<SeriesKey>, u8)>>, Failure> {
    let custom = schema().tables.len();
    let keys = |is_custom: bool| -> Vec<i32> {
        let mut keys: Vec<i32> = numbers
            .places
            .iter()
            .filter(|(table, _, _)| *table > 0 && (*table == custom) == is_custom)
            .map(|(_, key, _)| *key)
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    };
    let (entities, series) = (keys(false), keys(true));
    let mut names: HashMap<i32, String> = HashMap::new();
    if !entities.is_empty() {
        let rows = sqlx::query("SELECT entity_key, name FROM entity WHERE entity_key = ANY($1)")
            .bind(entities)
            .fetch_all(&mut *connection)
            .await?;
        for row in rows {
            names.insert(row.try_get(0)?, row.try_get(1)?);
        }
    }
    let mut custom_series = HashMap::new();
    if !series.is_empty() {
        let rows = sqlx::query(
            "SELECT series_key, decimals, metric, unit, labels FROM series WHERE series_key = ANY($1)",
        )
        .bind(series)
        .fetch_all(connection)
        .await?;
        for row in rows {
            let key = series_key(row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
            let decimals = u8::try_from(row.try_get::<i16, _>(1)?).unwrap_or(0);
            custom_series.insert(row.try_get::<i32, _>(0)?, (Arc::new(key), decimals));
        }
    }
    let describe = |(table, key, column): &(usize, i32, usize)| {
        let Some(table) = schema().tables.get(*table) else {
            return custom_series.get(key).cloned();
        };
        let column = &table.columns[*column];
        let series = if table.has_entities() {
            SeriesKey::of(column.metric, names.get(key)?)
        } else {
            SeriesKey::plain(column.metric)
        };
        Some((Arc::new(series), column.decimals))
    };
    Ok(numbers.places.iter().map(describe).collect())
}
