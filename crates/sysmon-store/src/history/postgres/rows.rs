//! Ticks as rows of the wide tables.

use std::sync::Arc;

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, Postgres};
use sysmon_core::{UnixMillis, from_scaled};

use super::failure::Failure;
use super::names::Layout;
use super::schema::{Storage, Table, schema};
use super::timestamp::Timestamp;

/// Where the values of one series go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// A column of one of the layout's rows; the series' key in `custom_sample` for values that the column does not hold.
    Column { row: u16, column: u16, storage: Storage },
    /// A row of `custom_sample`.
    Custom { series_key: i32 },
}

/// Rows of one table on their way into it, column by column.
#[derive(Debug)]
struct Rows {
    machine_keys: Vec<i32>,
    entity_keys: Vec<i32>,
    times: Vec<Timestamp>,
    columns: Vec<Values>,
}

#[derive(Debug)]
enum Values {
    Whole(Vec<Option<i64>>),
    Double(Vec<Option<f64>>),
    Real(Vec<Option<f32>>),
}

/// Everything that one transaction inserts into the tables of samples.
#[derive(Debug)]
pub(super) struct Sheet {
    tables: Vec<Rows>,
    clock_offsets: Vec<i64>,
    custom: Custom,
}

#[derive(Debug, Default)]
struct Custom {
    machine_keys: Vec<i32>,
    series_keys: Vec<i32>,
    times: Vec<Timestamp>,
    values: Vec<f64>,
}

impl Sheet {
    pub(super) fn new() -> Self {
        let rows = |table: &Table| Rows {
            machine_keys: Vec::new(),
            entity_keys: Vec::new(),
            times: Vec::new(),
            columns: table
                .columns
                .iter()
                .map(|column| match column.storage {
                    Storage::Whole => Values::Whole(Vec::new()),
                    Storage::Double => Values::Double(Vec::new()),
                    Storage::Real => Values::Real(Vec::new()),
                })
                .collect(),
        };
        Self {
            tables: schema().tables.iter().map(rows).collect(),
            clock_offsets: Vec::new(),
            custom: Custom::default(),
        }
    }

    /// Adds one tick. `overflow` gives the series in `custom_sample` for a value that its column does not hold.
    pub(super) fn add(
        &mut self,
        machine_key: i32,
        at: UnixMillis,
        clock_offset_ms: i64,
        layout: &Layout,
        values: &[(u32, i64)],
        overflow: impl Fn(u32) -> Option<i32>,
    ) {
        let at = Timestamp::from(at);
        // Every tick has a row of its machine, even when nothing in it is of the machine itself.
        let machine_row = self.tables[0].push(machine_key, 0, at);
        self.clock_offsets.push(clock_offset_ms);
        let mut rows: Vec<Option<usize>> = vec![None; layout.rows.len()];
        let mut targets = layout.targets.iter().peekable();
        for (number, scaled) in values {
            // Both go up in number.
            while targets.next_if(|(known, _, _)| known < number).is_some() {}
            let Some((_, decimals, target)) = targets.peek().filter(|(known, _, _)| known == number) else {
                continue;
            };
            match *target {
                Target::Column { row, column, storage } if storage.holds(*scaled) => {
                    let (table, entity_key) = layout.rows[usize::from(row)];
                    let rows_of_table = &mut self.tables[table];
                    let index = *rows[usize::from(row)].get_or_insert_with(|| match table {
                        0 => machine_row,
                        _ => rows_of_table.push(machine_key, entity_key, at),
                    });
                    rows_of_table.columns[usize::from(column)].set(index, *scaled, *decimals);
                }
                Target::Column { .. } => {
                    if let Some(series_key) = overflow(*number) {
                        self.custom
                            .push(machine_key, series_key, at, from_scaled(*scaled, *decimals));
                    }
                }
                Target::Custom { series_key } => {
                    self.custom
                        .push(machine_key, series_key, at, from_scaled(*scaled, *decimals));
                }
            }
        }
    }

    /// Inserts everything.
    pub(super) async fn insert(self, connection: &mut PgConnection) -> Result<(), Failure> {
        static STATEMENTS: std::sync::LazyLock<Vec<Arc<str>>> =
            std::sync::LazyLock::new(|| schema().tables.iter().map(insert_statement).collect());
        let mut clock_offsets = Some(self.clock_offsets);
        for (rows, statement) in self.tables.into_iter().zip(STATEMENTS.iter()) {
            if rows.times.is_empty() {
                continue;
            }
            let mut query = sqlx::query(AssertSqlSafe(Arc::clone(statement))).bind(rows.machine_keys);
            // The first table is the machine's own.
            query = match clock_offsets.take() {
                Some(clock_offsets) => query.bind(rows.times).bind(clock_offsets),
                None => query.bind(rows.entity_keys).bind(rows.times),
            };
            for column in rows.columns {
                query = column.bind(query);
            }
            query.execute(&mut *connection).await?;
        }
        if !self.custom.times.is_empty() {
            sqlx::query(
                "INSERT INTO custom_sample (machine_key, series_key, sampled_at, value)
                 SELECT * FROM unnest($1::integer[], $2::integer[], $3::timestamptz[], $4::double precision[])",
            )
            .bind(self.custom.machine_keys)
            .bind(self.custom.series_keys)
            .bind(self.custom.times)
            .bind(self.custom.values)
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }
}

impl Rows {
    fn push(&mut self, machine_key: i32, entity_key: i32, at: Timestamp) -> usize {
        self.machine_keys.push(machine_key);
        self.entity_keys.push(entity_key);
        self.times.push(at);
        for column in &mut self.columns {
            match column {
                Values::Whole(values) => values.push(None),
                Values::Double(values) => values.push(None),
                Values::Real(values) => values.push(None),
            }
        }
        self.times.len() - 1
    }
}

impl Custom {
    fn push(&mut self, machine_key: i32, series_key: i32, at: Timestamp, value: f64) {
        self.machine_keys.push(machine_key);
        self.series_keys.push(series_key);
        self.times.push(at);
        self.values.push(value);
    }
}

impl Values {
    fn set(&mut self, row: usize, scaled: i64, decimals: u8) {
        match self {
            Self::Whole(values) => values[row] = Some(scaled),
            Self::Double(values) => values[row] = Some(scaled as f64),
            Self::Real(values) => values[row] = Some(from_scaled(scaled, decimals) as f32),
        }
    }

    fn bind(self, query: Query<'_, Postgres, PgArguments>) -> Query<'_, Postgres, PgArguments> {
        match self {
            Self::Whole(values) => query.bind(values),
            Self::Double(values) => query.bind(values),
            Self::Real(values) => query.bind(values),
        }
    }
}

fn insert_statement(table: &Table) -> Arc<str> {
    let mut names = vec!["machine_key"];
    let mut arrays = vec!["integer"];
    if table.has_entities() {
        names.extend(["entity_key", "sampled_at"]);
        arrays.extend(["integer", "timestamptz"]);
    } else {
        names.extend(["sampled_at", "clock_offset_ms"]);
        arrays.extend(["timestamptz", "bigint"]);
    }
    for column in &table.columns {
        names.push(&column.name);
        arrays.push(match column.storage {
            Storage::Whole => "bigint",
            Storage::Double => "double precision",
            Storage::Real => "real",
        });
    }
    let arrays: Vec<String> = (1..)
        .zip(arrays)
        .map(|(number, kind)| format!("${number}::{kind}[]"))
        .collect();
    format!(
        "INSERT INTO {}_sample ({}) SELECT * FROM unnest({})",
        table.kind,
        names.join(", "),
        arrays.join(", ")
    )
    .into()
}
