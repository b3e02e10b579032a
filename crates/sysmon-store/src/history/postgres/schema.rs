//! Which metric is in which column: what the catalogue and the files in `migrations/postgres/` must agree on.

use std::sync::LazyLock;

use sysmon_core::{CATALOGUE, MetricDefinition, MetricId, SeriesKey, Unit};

/// How a column holds its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    /// `bigint`: whole numbers.
    Whole,
    /// `double precision`: bytes and bytes per second. They are whole too, but compress better so; exact to 2^53.
    Double,
    /// `real`: what has digits after the point.
    Real,
}

impl Storage {
    /// Scaled values beyond this do not come back from a `real` as they were: the half of what its 24 bits can tell apart.
    const REAL_LIMIT: u64 = 1 << 23;

    /// The rule, from what the catalogue says.
    pub(super) fn of(unit: Unit, decimals: u8) -> Self {
        match (unit, decimals) {
            (_, 1..) => Self::Real,
            (Unit::Bytes | Unit::BytesPerSecond, 0) => Self::Double,
            (_, 0) => Self::Whole,
        }
    }

    /// Whether a column of this storage gives this scaled value back as it is.
    pub(super) fn holds(self, scaled: i64) -> bool {
        self != Self::Real || scaled.unsigned_abs() <= Self::REAL_LIMIT
    }
}

/// One column of a table of samples.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) metric: MetricId,
    /// The metric's name with underscores.
    pub(super) name: String,
    pub(super) decimals: u8,
    pub(super) storage: Storage,
    /// Which of the table's roll-ups has it: see [`LATER`].
    pub(super) part: u8,
}

/// The samples of one kind of thing.
#[derive(Debug)]
pub(super) struct Table {
    /// `machine`, or the label that the entities go by; also the start of the tables' names.
    pub(super) kind: &'static str,
    pub(super) columns: Vec<Column>,
}

impl Table {
    /// Whether rows are of an entity of a machine, rather than of the machine.
    pub(super) fn has_entities(&self) -> bool {
        self.kind != MACHINE
    }

    /// `machine_minute` or, for roll-ups that were added later, `machine_minute_2`.
    pub(super) fn roll_up(&self, tier: &str, part: u8) -> String {
        match part {
            1 => format!("{}_{tier}", self.kind),
            _ => format!("{}_{tier}_{part}", self.kind),
        }
    }

    /// The parts that its roll-ups come in, ascending.
    pub(super) fn parts(&self) -> Vec<u8> {
        let mut parts: Vec<u8> = self.columns.iter().map(|column| column.part).collect();
        parts.sort_unstable();
        parts.dedup();
        parts
    }
}

/// The kind of what a machine has once; its table is the first one.
pub(super) const MACHINE: &str = "machine";

/// Metrics that came after the first version of the roll-ups, with the part that they are in. A continuous aggregate
/// cannot be given another column, so what is new goes to a second one beside it (`machine_minute_2`, …).
const LATER: &[(MetricId, u8)] = &[];

/// Metrics without a column: they came later and hardly ever change, so they are kept as custom series are, with the
/// roll-ups of those, instead of a second part of every roll-up for two numbers.
const WITHOUT_COLUMN: &[MetricId] = &[MetricId::CpuCount, MetricId::ClockSkew];

/// All tables, and where each metric is.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) tables: Vec<Table>,
    /// Table and column by [`MetricId`]; none for those of [`WITHOUT_COLUMN`].
    places: Vec<Option<(usize, usize)>>,
}

/// The schema of the catalogue.
pub(super) fn schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(Schema::of_catalogue);
    &SCHEMA
}

impl Schema {
    fn of_catalogue() -> Self {
        let mut tables: Vec<Table> = vec![Table {
            kind: MACHINE,
            columns: Vec::new(),
        }];
        let mut places = Vec::with_capacity(CATALOGUE.len());
        for definition in CATALOGUE {
            if WITHOUT_COLUMN.contains(&definition.id) {
                places.push(None);
                continue;
            }
            let kind = definition.label.unwrap_or(MACHINE);
            let index = tables
                .iter()
                .position(|table| table.kind == kind)
                .unwrap_or_else(|| {
                    tables.push(Table {
                        kind,
                        columns: Vec::new(),
                    });
                    tables.len() - 1
                });
            places.push(Some((index, tables[index].columns.len())));
            tables[index].columns.push(Column::of(definition));
        }
        Self { tables, places }
    }

    /// Table and column of a metric, if it has one.
    pub(super) fn place(&self, metric: MetricId) -> Option<(usize, usize)> {
        self.places[metric as usize]
    }

    /// Table, column and entity of a series that is just as the catalogue says; others are custom.
    pub(super) fn place_of<'key>(
        &self,
        key: &'key SeriesKey,
        decimals: u8,
    ) -> Option<(usize, usize, &'key str)> {
        let definition = key.metric.definition()?;
        if definition.decimals != decimals {
            return None;
        }
        let (table, column) = self.place(definition.id)?;
        match (definition.label, key.labels.as_slice()) {
            (None, []) => Some((table, column, "")),
            (Some(name), [label]) if *label.name == *name => Some((table, column, &label.value)),
            _ => None,
        }
    }
}

impl Column {
    fn of(definition: &MetricDefinition) -> Self {
        let part = LATER.iter().find(|(metric, _)| *metric == definition.id);
        Self {
            metric: definition.id,
            name: definition.name.replace('.', "_"),
            decimals: definition.decimals,
            storage: Storage::of(definition.unit, definition.decimals),
            part: part.map_or(1, |(_, part)| *part),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::migrate::{Flavour, MIGRATIONS};
    use super::*;
    use std::collections::HashMap;

    fn sql_type(storage: Storage) -> &'static str {
        match storage {
            Storage::Whole => "bigint",
            Storage::Double => "double precision",
            Storage::Real => "real",
        }
    }

    /// Every `table.column` of `CREATE TABLE` and `ALTER TABLE … ADD COLUMN`, with its type, and every output of a view.
    fn committed(flavour: Flavour) -> HashMap<String, String> {
        let mut columns = HashMap::new();
        let mut table = String::new();
        for line in MIGRATIONS
            .iter()
            .flat_map(|migration| migration.sql(flavour).lines())
        {
            let line = line.trim_end_matches([',', ';']);
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["CREATE", "TABLE", name, "(LIKE", other, "INCLUDING", "ALL)"] => {
                    let start = format!("{other}.");
                    let of_other = |(column, kind): (&String, &String)| {
                        let column = column.strip_prefix(&start)?;
                        Some((format!("{name}.{column}"), kind.clone()))
                    };
                    let copied: Vec<(String, String)> = columns.iter().filter_map(of_other).collect();
                    columns.extend(copied);
                }
                ["CREATE", "TABLE", name, ..] | ["CREATE", "MATERIALIZED", "VIEW", name, ..] => {
                    table = (*name).to_owned();
                }
                ["ALTER", "TABLE", name, "ADD", "COLUMN", column, kind @ ..] => {
                    columns.insert(format!("{name}.{column}"), kind.join(" "));
                }
                [.., "AS", output] if line.starts_with("    ") => {
                    columns.insert(format!("{table}.{output}"), String::new());
                }
                [column, kind @ ..] if line.starts_with("    ") => {
                    columns.insert(format!("{table}.{column}"), kind.join(" "));
                }
                _ => {}
            }
        }
        columns
    }

    #[test]
    fn every_metric_of_the_catalogue_has_a_column_and_roll_ups() {
        for flavour in [Flavour::Plain, Flavour::Timescale] {
            let columns = committed(flavour);
            for table in &schema().tables {
                for column in &table.columns {
                    let (kind, name) = (table.kind, &column.name);
                    let wanted = sql_type(column.storage);
                    let found = columns.get(&format!("{kind}_sample.{name}"));
                    assert_eq!(
                        found.map(String::as_str),
                        Some(wanted),
                        "{name} has no column of its type. Add the next file to migrations/postgres/ with\n    \
                         ALTER TABLE {kind}_sample ADD COLUMN {name} {wanted};\n\
                         and roll-ups {kind}_minute_N, {kind}_five_minutes_N and {kind}_hour_N with {name}_min, _max, _avg and _count, made \
                         as 0002_rollups and 0006_five_minutes make their own, list it in MIGRATIONS (migrate.rs) and, with its N, in LATER (schema.rs); \
                         then recreate the views of 0003_views that select all columns of the table"
                    );
                    for tier in ["minute", "five_minutes", "hour"] {
                        for part in ["min", "max", "avg", "count"] {
                            let output = format!("{}.{name}_{part}", table.roll_up(tier, column.part));
                            assert!(
                                columns.contains_key(&output),
                                "{output} is missing in {flavour:?}: see 0002_rollups for how its siblings are made, \
                                 and put the metric into LATER (schema.rs) when it goes into a new roll-up"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn no_column_name_is_cut_by_the_server() {
        for table in &schema().tables {
            for column in &table.columns {
                assert!(
                    column.name.len() + "_count".len() <= 63,
                    "{} is too long",
                    column.name
                );
            }
        }
    }

    #[test]
    fn a_real_gives_every_value_back_that_it_is_trusted_with() {
        for decimals in 1..=4u8 {
            for scaled in [1, 999, 123_457, (1 << 23) - 1, 1 << 23, -(1 << 23)] {
                assert!(Storage::Real.holds(scaled));
                let value = sysmon_core::from_scaled(scaled, decimals) as f32;
                assert_eq!(
                    sysmon_core::to_scaled(f64::from(value), decimals),
                    Some(scaled),
                    "{scaled} with {decimals} decimals"
                );
            }
        }
        assert!(!Storage::Real.holds((1 << 23) + 1));
        assert!(Storage::Double.holds(1 << 53));
    }

    #[test]
    fn only_series_just_as_the_catalogue_says_have_a_column() {
        let plain = SeriesKey::plain(MetricId::CpuBusy);
        assert!(schema().place_of(&plain, 1).is_some());
        assert!(schema().place_of(&plain, 2).is_none());
        let mut labelled = SeriesKey::of(MetricId::DiskRead, "sda");
        assert_eq!(
            schema().place_of(&labelled, 0).map(|(_, _, entity)| entity),
            Some("sda")
        );
        labelled.labels.push(labelled.labels[0].clone());
        assert!(schema().place_of(&labelled, 0).is_none());
    }
}
