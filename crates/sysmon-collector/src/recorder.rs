//! Series numbers, and the values of the tick that is being put together.

use std::sync::Arc;

use sysmon_core::{CATALOGUE, MetricId, Recent, SeriesKey, to_scaled};

/// A series that had a value for the first time. The number stands for it from then on, until it is retired; numbers
/// are never used twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Announcement {
    /// Number of the series, from 1.
    pub number: u32,
    /// What it measures.
    pub key: Arc<SeriesKey>,
    /// Digits after the point of its scaled values.
    pub decimals: u8,
}

/// A disk, a mount, an interface, …: something that has series of its own and may vanish.
#[derive(Debug)]
pub(crate) struct Entity {
    name: Arc<str>,
    numbers: Vec<(MetricId, u32)>,
}

impl Entity {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            numbers: Vec::new(),
        }
    }
}

/// Collects the values of one tick after the other. A series gets its number with its first value, so what a machine
/// never gives is never announced.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// Numbers of the metrics without entity; 0 for none yet.
    plain: [u32; CATALOGUE.len()],
    last_number: u32,
    live: usize,
    announced: Vec<Announcement>,
    values: Vec<(u32, i64)>,
    retired: Vec<u32>,
}

/// What one tick yielded.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) announced: Vec<Announcement>,
    /// Ascending by number, each number once.
    pub(crate) values: Vec<(u32, i64)>,
    pub(crate) retired: Vec<u32>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            plain: [0; CATALOGUE.len()],
            last_number: 0,
            live: 0,
            announced: Vec::new(),
            values: Vec::new(),
            retired: Vec::new(),
        }
    }
}

impl Recorder {
    /// A value of a metric that the machine has once. What is not a number is left out.
    pub(crate) fn plain(&mut self, metric: MetricId, value: f64) {
        let Some(scaled) = to_scaled(value, metric.definition().decimals) else {
            return;
        };
        let mut number = self.plain[metric as usize];
        if number == 0 {
            number = self.announce(metric, SeriesKey::plain(metric));
            self.plain[metric as usize] = number;
        }
        self.put(number, scaled);
    }

    /// A value if there is one.
    pub(crate) fn plain_if(&mut self, metric: MetricId, value: Option<f64>) {
        if let Some(value) = value {
            self.plain(metric, value);
        }
    }

    /// A value of one entity. What is not a number is left out.
    pub(crate) fn entity(&mut self, entity: &mut Entity, metric: MetricId, value: f64) {
        let Some(scaled) = to_scaled(value, metric.definition().decimals) else {
            return;
        };
        let known = entity.numbers.iter().find(|(known, _)| *known == metric);
        let number = known.map_or(0, |(_, number)| *number);
        if number != 0 {
            return self.put(number, scaled);
        }
        let number = self.announce(metric, SeriesKey::of(metric, &entity.name));
        if number != 0 {
            entity.numbers.push((metric, number));
        }
        self.put(number, scaled);
    }

    /// The entity is gone, and its series with it.
    pub(crate) fn retire(&mut self, entity: Entity) {
        self.live -= entity.numbers.len();
        self.retired
            .extend(entity.numbers.into_iter().map(|(_, number)| number));
    }

    /// Drops the values of this tick, keeping what was announced: for a reading that only primes the counters.
    pub(crate) fn discard_values(&mut self) {
        self.values.clear();
    }

    /// Takes the tick and begins the next.
    pub(crate) fn finish(&mut self) -> Recorded {
        self.values.sort_unstable_by_key(|(number, _)| *number);
        self.values.dedup_by_key(|(number, _)| *number);
        let room = self.values.len();
        Recorded {
            announced: std::mem::take(&mut self.announced),
            values: std::mem::replace(&mut self.values, Vec::with_capacity(room)),
            retired: std::mem::take(&mut self.retired),
        }
    }

    /// The number of a new series; 0 when there are as many as an aggregator takes of one machine.
    fn announce(&mut self, metric: MetricId, key: SeriesKey) -> u32 {
        if self.live >= Recent::SERIES_LIMIT {
            return 0;
        }
        self.live += 1;
        self.last_number += 1;
        let decimals = metric.definition().decimals;
        self.announced.push(Announcement {
            number: self.last_number,
            key: Arc::new(key),
            decimals,
        });
        self.last_number
    }

    fn put(&mut self, number: u32, scaled: i64) {
        if number != 0 {
            self.values.push((number, scaled));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_announced_once_with_its_first_value() {
        let mut recorder = Recorder::default();
        recorder.plain(MetricId::CpuBusy, f64::NAN);
        assert!(recorder.finish().announced.is_empty());
        recorder.plain(MetricId::CpuBusy, 12.34);
        let first = recorder.finish();
        assert_eq!((first.announced.len(), &first.values[..]), (1, &[(1, 123)][..]));
        recorder.plain(MetricId::CpuBusy, 0.0);
        let second = recorder.finish();
        assert_eq!((second.announced.len(), &second.values[..]), (0, &[(1, 0)][..]));
    }

    #[test]
    fn an_entity_that_comes_back_gets_new_numbers() {
        let mut recorder = Recorder::default();
        for expected in [1, 2] {
            let mut entity = Entity::new("sda");
            recorder.entity(&mut entity, MetricId::DiskRead, 1.0);
            recorder.retire(entity);
            let recorded = recorder.finish();
            assert_eq!(recorded.announced[0].number, expected);
            assert_eq!(recorded.retired, [expected]);
        }
    }

    #[test]
    fn values_are_sorted_and_no_number_comes_twice() {
        let mut recorder = Recorder::default();
        recorder.plain(MetricId::Load1, 1.0);
        recorder.plain(MetricId::Load5, 2.0);
        recorder.finish();
        recorder.plain(MetricId::Load5, 2.0);
        recorder.plain(MetricId::Load1, 1.0);
        recorder.plain(MetricId::Load1, 1.0);
        let numbers: Vec<u32> = recorder
            .finish()
            .values
            .iter()
            .map(|(number, _)| *number)
            .collect();
        assert_eq!(numbers, [1, 2]);
    }

    #[test]
    fn more_series_than_an_aggregator_takes_are_not_announced() {
        let mut recorder = Recorder::default();
        let mut entities: Vec<Entity> = (0..5_000).map(|index| Entity::new(&index.to_string())).collect();
        for entity in &mut entities {
            recorder.entity(entity, MetricId::MountUsed, 1.0);
        }
        assert_eq!(recorder.finish().announced.len(), Recent::SERIES_LIMIT);
        recorder.retire(entities.remove(0));
        recorder.entity(&mut entities[4_998], MetricId::MountUsed, 1.0);
        assert_eq!(
            recorder.finish().announced.len(),
            1,
            "a retired series makes room"
        );
    }
}
