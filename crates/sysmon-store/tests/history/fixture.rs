//! Collectors and questions for tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use sysmon_core::{
    Epoch, GapReason, HistoryQuery, Label, MachineHistory, MachineId, MachineSamples, Metric, MetricId,
    SeriesKey, SeriesPoints, Unit, UnixMillis,
};
use sysmon_store::{
    Content, DeadTick, History, HistoryOptions, IngestBatch, Maintenance, SeriesEntry, SeriesTable,
};

pub(crate) const SECOND_MS: i64 = 1_000;
pub(crate) const MINUTE_MS: i64 = 60 * SECOND_MS;
pub(crate) const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;

/// A store for one test, empty at first.
#[async_trait]
pub(crate) trait Backend: Send + Sync {
    /// Another handle on the same data, as another process would have.
    async fn open(&self, options: HistoryOptions) -> Arc<dyn History>;

    /// Whether samples are kept for as long as asked for and over a reopening, and rolled up; in memory they are not.
    fn keeps_everything(&self) -> bool;

    /// A handle with the usual options.
    async fn history(&self) -> Arc<dyn History> {
        self.open(HistoryOptions::default()).await
    }
}

/// The start of the present hour, so that what is stored relative to it falls into whole hours.
pub(crate) fn this_hour() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(since.as_millis()).unwrap();
    UnixMillis(now - now % HOUR_MS)
}

pub(crate) fn machine(name: &str) -> MachineId {
    MachineId::parse(name).unwrap()
}

/// A series of a metric that the catalogue does not have.
pub(crate) fn custom(name: &str, unit: Unit, labels: &[(&str, &str)]) -> SeriesKey {
    let label = |(name, value): &(&str, &str)| Label {
        name: (*name).into(),
        value: (*value).into(),
    };
    SeriesKey {
        metric: Metric::Custom {
            name: name.into(),
            unit,
        },
        labels: labels.iter().map(label).collect(),
    }
}

pub(crate) fn table(series: &[(SeriesKey, u8)]) -> Arc<SeriesTable> {
    let entry = |(key, decimals): &(SeriesKey, u8)| SeriesEntry {
        key: Arc::new(key.clone()),
        decimals: *decimals,
    };
    // Numbers with holes, as they are after a series was retired.
    let entries: BTreeMap<u32, SeriesEntry> = (0..)
        .map(|number| 3 * number + 2)
        .zip(series.iter().map(entry))
        .collect();
    Arc::new(SeriesTable::new(entries))
}

/// A collector: gives every batch the next sequence.
pub(crate) struct Collector {
    pub(crate) machine: MachineId,
    pub(crate) epoch: Epoch,
    pub(crate) sequence: u64,
    pub(crate) table: Arc<SeriesTable>,
}

impl Collector {
    pub(crate) fn new(name: &str, series: &[(SeriesKey, u8)]) -> Self {
        Self {
            machine: machine(name),
            epoch: Epoch([1; 16]),
            sequence: 0,
            table: table(series),
        }
    }

    /// One that says every second how busy it is, and that it does so every second.
    pub(crate) fn busy(name: &str) -> Self {
        Self::paced(name)
    }

    fn paced(name: &str) -> Self {
        Self::new(
            name,
            &[
                (SeriesKey::plain(MetricId::CpuBusy), 1),
                (SeriesKey::plain(MetricId::CollectorInterval), 0),
            ],
        )
    }

    pub(crate) fn next_epoch(&mut self) {
        self.epoch.0[0] += 1;
        self.sequence = 0;
    }

    pub(crate) fn batch(&mut self, content: Content) -> IngestBatch {
        self.sequence += 1;
        let batch = IngestBatch {
            machine: self.machine.clone(),
            epoch: self.epoch,
            sequence: self.sequence,
            content,
            clock_offset_ms: -17,
            host: None,
            spool_was_lost: false,
        };
        self.sequence = batch.last_sequence();
        batch
    }

    /// A tick with values for the first series of the table, in order; `None` for one that has none.
    pub(crate) fn sparse(&mut self, at: UnixMillis, values: &[Option<i64>]) -> IngestBatch {
        let numbers = self.table.entries().keys().copied();
        let values = numbers
            .zip(values)
            .filter_map(|(number, value)| Some((number, (*value)?)));
        let content = Content::Tick {
            at,
            values: values.collect(),
            series: self.table.clone(),
        };
        self.batch(content)
    }

    pub(crate) fn tick(&mut self, at: UnixMillis, values: &[i64]) -> IngestBatch {
        self.sparse(at, &values.iter().copied().map(Some).collect::<Vec<_>>())
    }

    pub(crate) fn lost(
        &mut self,
        samples: u64,
        from: UnixMillis,
        to: UnixMillis,
        reason: GapReason,
    ) -> IngestBatch {
        let last_sequence = self.sequence + samples;
        self.batch(Content::Lost {
            last_sequence,
            from,
            to,
            reason,
        })
    }

    pub(crate) fn dead(&mut self, received: UnixMillis, reason: &str, tick: Option<DeadTick>) -> IngestBatch {
        self.batch(Content::Dead {
            received,
            reason: reason.into(),
            tick,
        })
    }

    /// Ticks at an even pace that say it: the value of the n-th is what `value` gives for n.
    pub(crate) fn ticks(
        &mut self,
        from: UnixMillis,
        pace_ms: i64,
        count: i64,
        value: impl Fn(i64) -> i64,
    ) -> Vec<IngestBatch> {
        (0..count)
            .map(|index| self.tick(from.plus_ms(index * pace_ms), &[value(index), pace_ms]))
            .collect()
    }
}

/// Asks for one machine.
pub(crate) async fn ask(
    history: &dyn History,
    name: &str,
    from: UnixMillis,
    to: UnixMillis,
    points: u32,
) -> MachineHistory {
    let query = HistoryQuery {
        machines: vec![machine(name)],
        metrics: Vec::new(),
        from,
        to,
        points,
    };
    let mut answers = history.query(&query).await.unwrap();
    assert_eq!(answers.len(), 1, "{name} is not known");
    let answer = answers.remove(0);
    check(&answer, &query);
    check_samples(history, &query, &answer).await;
    answer
}

/// The same question for numbers only has the same numbers, unless somebody has stored more meanwhile.
async fn check_samples(history: &dyn History, query: &HistoryQuery, answer: &MachineHistory) {
    let samples = history.samples(query).await.unwrap();
    if history.query(query).await.unwrap().first() != Some(answer) {
        return;
    }
    let bits = |samples: &MachineSamples| -> Vec<(Arc<SeriesKey>, Vec<Option<u64>>)> {
        let bit = |value: &f64| Some(value.to_bits()).filter(|_| !value.is_nan());
        let series = samples.series.iter();
        series
            .map(|series| (Arc::clone(&series.key), series.values.iter().map(bit).collect()))
            .collect()
    };
    let expected = MachineSamples::from(answer);
    assert_eq!(samples.len(), 1);
    assert_eq!(
        (&samples[0].machine, samples[0].step_ms),
        (&expected.machine, expected.step_ms)
    );
    assert_eq!(samples[0].times, expected.times);
    assert_eq!(bits(&samples[0]), bits(&expected));
}

/// What holds for every answer.
pub(crate) fn check(answer: &MachineHistory, query: &HistoryQuery) {
    assert!(
        answer.times.len() <= query.points as usize,
        "{} moments for {}",
        answer.times.len(),
        query.points
    );
    assert!(
        answer.times.is_sorted_by(|one, other| one < other),
        "moments are not in order"
    );
    assert!(
        answer.series.is_sorted_by(|one, other| one.key < other.key),
        "series are not in order"
    );
    assert!(
        answer.gaps.is_sorted_by_key(|gap| gap.from),
        "gaps are not in order"
    );
    for gap in &answer.gaps {
        assert!(
            gap.from < query.to && gap.to >= query.from && gap.from <= gap.to,
            "{gap:?} is outside"
        );
    }
    for series in &answer.series {
        assert_eq!(series.points.len(), answer.times.len());
        assert!(
            series.points.iter().any(Option::is_some),
            "{} has no points",
            series.key
        );
        for point in series.points.iter().flatten() {
            assert!(point.count >= 1);
            assert!(
                point.minimum <= point.mean && point.mean <= point.maximum,
                "{point:?}"
            );
        }
    }
}

pub(crate) fn series<'a>(answer: &'a MachineHistory, key: &SeriesKey) -> &'a SeriesPoints {
    let found = answer.series.iter().find(|series| *series.key == *key);
    found.unwrap_or_else(|| {
        panic!(
            "no {key} in {:?}",
            answer
                .series
                .iter()
                .map(|s| s.key.to_string())
                .collect::<Vec<_>>()
        )
    })
}

/// The means of a series, one per moment.
pub(crate) fn values(answer: &MachineHistory, key: &SeriesKey) -> Vec<Option<f64>> {
    series(answer, key)
        .points
        .iter()
        .map(|point| point.map(|point| point.mean))
        .collect()
}

/// How many samples of a series an answer stands for.
pub(crate) fn count(answer: &MachineHistory, key: &SeriesKey) -> u64 {
    series(answer, key)
        .points
        .iter()
        .flatten()
        .map(|point| u64::from(point.count))
        .sum()
}

pub(crate) fn cpu() -> SeriesKey {
    SeriesKey::plain(MetricId::CpuBusy)
}

/// Maintains until nothing more is due.
pub(crate) async fn maintain(history: &dyn History, now: UnixMillis) -> Maintenance {
    let mut total = Maintenance::default();
    for _ in 0..1_000 {
        let done = history.maintain(now).await.unwrap();
        total.compacted += done.compacted;
        total.rolled_up += done.rolled_up;
        total.forgotten += done.forgotten;
        if !done.more {
            return total;
        }
    }
    panic!("maintenance never ends");
}
