//! The recent past of one machine: current values and a window of ticks for every series.
//!
//! Aggregator and clients keep the same record, fed by the same ticks, so that they show the same numbers.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::catalogue::MetricId;
use crate::sample::{SeriesKey, Value};
use crate::scaled::{MAX_DECIMALS, from_scaled};
use crate::series::Column;
use crate::time::UnixMillis;

/// One announced series with its recent values.
#[derive(Clone, Debug)]
pub struct Series {
    /// Here, so that it takes no room of its own.
    number: u32,
    /// Of its key: so that whoever looks for some metrics among all series need not look at their keys.
    metric: u16,
    /// What it measures.
    pub key: Arc<SeriesKey>,
    /// Digits after the point of its scaled values.
    pub decimals: u8,
    /// Scaled values by tick.
    pub column: Column,
}

/// Where a series stands. With its metric, so that looking for one compares numbers that lie side by side, and not texts
/// here and there: a filter looks into every machine of a fleet.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The metric's place in the catalogue; [`Place::CUSTOM`] for all others.
    metric: u16,
    /// There are at most [`Recent::SERIES_LIMIT`].
    index: u16,
}

impl Place {
    const CUSTOM: u16 = u16::MAX;

    /// What [`Place::metric`] is for a key. Keys are in the order of these first, as the order of metrics has it too.
    fn metric_of(key: &SeriesKey) -> u16 {
        key.id().map_or(Self::CUSTOM, |id| id as u16)
    }
}

/// Series and ticks of one machine. Series go by numbers that whoever feeds the record assigns.
#[derive(Clone, Debug)]
pub struct Recent {
    /// By number, ascending.
    series: Vec<Series>,
    /// Where the series stand in the list above, ascending by their keys.
    by_key: Vec<Place>,
    times: VecDeque<UnixMillis>,
    /// Number of the oldest kept tick.
    first_tick: u64,
    window_ms: u64,
}

impl Recent {
    /// The most series of one machine; further ones are refused, so that a hostile peer cannot fill memory.
    pub const SERIES_LIMIT: usize = 4_096;
    /// The most ticks kept, whatever the window: five minutes at 100 ms.
    pub const TICK_LIMIT: usize = 3_000;

    /// Columns are cut when this many ticks are too old, rather than at every tick.
    const EVICTED_AT_ONCE: u64 = 32;

    /// An empty record that keeps `window_ms` of the past.
    #[must_use]
    pub fn new(window_ms: u64) -> Self {
        Self {
            series: Vec::new(),
            by_key: Vec::new(),
            times: VecDeque::new(),
            first_tick: 0,
            window_ms,
        }
    }

    /// Makes `number` stand for a series; what the number stood for before is forgotten. Returns `false`, changing
    /// nothing, when there are too many series or another number has this key already.
    pub fn announce(&mut self, number: u32, key: Arc<SeriesKey>, decimals: u8) -> bool {
        if let Some(known) = self.number_of(&key) {
            return known == number;
        }
        self.retire(number);
        if self.series.len() >= Self::SERIES_LIMIT {
            return false;
        }
        let (Ok(index) | Err(index)) = self.index_of(number);
        let (Ok(place) | Err(place)) = self.place_of(&key);
        self.shift(index, true);
        reserve(&mut self.by_key);
        let metric = Place::metric_of(&key);
        let index_of_place = u16::try_from(index).unwrap_or(u16::MAX);
        self.by_key.insert(
            place,
            Place {
                metric,
                index: index_of_place,
            },
        );
        let series = Series {
            number,
            metric,
            key,
            decimals: decimals.min(MAX_DECIMALS),
            column: Column::default(),
        };
        reserve(&mut self.series);
        self.series.insert(index, series);
        true
    }

    /// Forgets a series.
    pub fn retire(&mut self, number: u32) {
        if let Ok(index) = self.index_of(number) {
            // Before the series itself is gone, by whose key its place is found.
            if let Ok(place) = self.place_of(&self.series[index].key) {
                self.by_key.remove(place);
            }
            self.series.remove(index);
            self.shift(index, false);
        }
    }

    /// Makes places true again when the series from `index` on move up, or down, by one.
    fn shift(&mut self, index: usize, is_up: bool) {
        if index >= self.series.len() {
            return;
        }
        for place in &mut self.by_key {
            if usize::from(place.index) >= index {
                place.index = if is_up { place.index + 1 } else { place.index - 1 };
            }
        }
    }

    fn index_of(&self, number: u32) -> Result<usize, usize> {
        self.series.binary_search_by_key(&number, |series| series.number)
    }

    /// Where the place of a key stands, or would.
    fn place_of(&self, key: &SeriesKey) -> Result<usize, usize> {
        let metric = Place::metric_of(key);
        self.by_key.binary_search_by(|place| {
            let by_metric = place.metric.cmp(&metric);
            by_metric.then_with(|| (*self.at(*place).key).cmp(key))
        })
    }

    fn at(&self, place: Place) -> &Series {
        &self.series[usize::from(place.index)]
    }

    /// The series of a key.
    fn find(&self, key: &SeriesKey) -> Option<&Series> {
        let place = self.place_of(key).ok()?;
        Some(self.at(self.by_key[place]))
    }

    /// Adds one tick with scaled values by series number; numbers that were not announced are ignored. A tick that is
    /// not later than the newest one is moved just behind it: order is the sender's, time only its label.
    pub fn push(&mut self, at: UnixMillis, values: impl IntoIterator<Item = (u32, i64)>) {
        let at = self.times.back().map_or(at, |last| at.max(last.plus_ms(1)));
        self.times.push_back(at);
        while self.times.len() > Self::TICK_LIMIT
            || self
                .times
                .front()
                .is_some_and(|oldest| at.since_ms(*oldest) > self.window_ms)
        {
            self.times.pop_front();
            self.first_tick += 1;
        }
        let tick = self.next_tick() - 1;
        // Values mostly come in the order of their numbers, so that the next one is looked for where it should be.
        let mut next = 0;
        for (number, scaled) in values {
            let index = if self
                .series
                .get(next)
                .is_some_and(|series| series.number == number)
            {
                next
            } else if let Ok(index) = self.index_of(number) {
                index
            } else {
                continue;
            };
            next = index + 1;
            let column = &mut self.series[index].column;
            column.push(tick, scaled);
            if self.first_tick.saturating_sub(column.first_tick()) >= Self::EVICTED_AT_ONCE {
                column.evict_before(self.first_tick);
            }
        }
    }

    /// Forgets all series and ticks; tick numbers go on.
    pub fn clear(&mut self) {
        let next_tick = self.next_tick();
        *self = Self {
            first_tick: next_tick,
            ..Self::new(self.window_ms)
        };
    }

    /// Number that the next tick will have: how many there were since the record was made.
    #[must_use]
    pub fn next_tick(&self) -> u64 {
        self.first_tick + self.times.len() as u64
    }

    /// Number of the oldest kept tick.
    #[must_use]
    pub fn first_tick(&self) -> u64 {
        self.first_tick
    }

    /// Times of the kept ticks, oldest first.
    #[must_use]
    pub fn times(&self) -> &VecDeque<UnixMillis> {
        &self.times
    }

    /// Time of a kept tick.
    #[must_use]
    pub fn time_of(&self, tick: u64) -> Option<UnixMillis> {
        let index = usize::try_from(tick.checked_sub(self.first_tick)?).ok()?;
        self.times.get(index).copied()
    }

    /// All series by number.
    pub fn series(&self) -> impl ExactSizeIterator<Item = (u32, &Series)> {
        self.series.iter().map(|series| (series.number, series))
    }

    /// One series.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&Series> {
        self.index_of(number).ok().map(|index| &self.series[index])
    }

    /// The number of a key.
    #[must_use]
    pub fn number_of(&self, key: &SeriesKey) -> Option<u32> {
        self.find(key).map(|series| series.number)
    }

    /// All series of one metric with the entity of each (`""` for a plain one), by number.
    pub fn of_metric(&self, metric: MetricId) -> impl Iterator<Item = (&str, &Series)> {
        self.series
            .iter()
            .filter(move |series| series.key.id() == Some(metric))
            .map(|series| (series.key.entity().unwrap_or(""), series))
    }

    /// The same by the names of the entities: without a look at any other series.
    pub fn entities_of(&self, metric: MetricId) -> impl Iterator<Item = (&str, &Series)> {
        let metric = metric as u16;
        let first = self.by_key.partition_point(|place| place.metric < metric);
        self.by_key[first..]
            .iter()
            .take_while(move |place| place.metric == metric)
            .map(|place| self.at(*place))
            .map(|series| (series.key.entity().unwrap_or(""), series))
    }

    /// The newest value of a plain metric, however old.
    #[must_use]
    pub fn value(&self, metric: MetricId) -> Option<Value> {
        self.value_of(&SeriesKey::plain(metric))
    }

    /// The newest value of a series, however old.
    #[must_use]
    pub fn value_of(&self, key: &SeriesKey) -> Option<Value> {
        self.find(key)?.current()
    }

    /// The points of a series from tick `from` on, oldest first; `None` where it had no value.
    pub fn points<'a>(
        &'a self,
        series: &'a Series,
        from: u64,
    ) -> impl Iterator<Item = (UnixMillis, Option<Value>)> + 'a {
        series
            .column
            .iter_from(from.max(self.first_tick))
            .filter_map(|(tick, scaled)| {
                Some((
                    self.time_of(tick)?,
                    scaled.map(|scaled| from_scaled(scaled, series.decimals)),
                ))
            })
    }
}

impl Series {
    /// The place of its metric in [`crate::CATALOGUE`]; `None` for one that is not in there.
    #[must_use]
    pub fn catalogue_index(&self) -> Option<usize> {
        (self.metric != Place::CUSTOM).then_some(usize::from(self.metric))
    }

    /// The newest value, however old.
    #[must_use]
    pub fn current(&self) -> Option<Value> {
        self.column
            .last()
            .map(|(_, scaled)| from_scaled(scaled, self.decimals))
    }
}

/// Makes room for one more, an eighth at a time: most machines announce all of their series once and no more.
fn reserve<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(8 + list.len() / 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use crate::catalogue::Unit;
    use crate::sample::Metric;
    use crate::scaled::to_scaled;
    use proptest::prelude::*;

    fn recent() -> Recent {
        let mut recent = Recent::new(300_000);
        recent.announce(1, Arc::new(SeriesKey::plain(MetricId::CpuBusy)), 1);
        recent.announce(2, Arc::new(SeriesKey::of(MetricId::MountUsedPercent, "/")), 1);
        recent
    }

    #[test]
    fn five_minutes_are_kept_at_any_interval_and_never_more_than_the_limit() {
        for interval_ms in [100, 1_000, 5_000] {
            let mut recent = recent();
            for tick in 0..4_000i64 {
                recent.push(UnixMillis(tick * interval_ms), [(1, tick)]);
            }
            let newest = UnixMillis(3_999 * interval_ms);
            let oldest = *recent.times().front().unwrap();
            assert!(newest.since_ms(oldest) <= 300_000 && recent.times().len() <= Recent::TICK_LIMIT);
            assert!(recent.times().len() as u64 >= 300_000 / interval_ms as u64);
            let series = recent.get(1).unwrap();
            assert_eq!(recent.points(series, 0).count(), recent.times().len());
            assert_eq!(
                recent.points(series, 0).next().unwrap(),
                (oldest, Some((oldest.0 / interval_ms) as f64 / 10.0))
            );
        }
    }

    #[test]
    fn a_slow_series_shows_holes_and_keeps_its_current_value() {
        let mut recent = recent();
        recent.push(UnixMillis(0), [(1, 10), (2, to_scaled(91.5, 1).unwrap())]);
        recent.push(UnixMillis(1_000), [(1, 20)]);
        assert_eq!(
            recent.value_of(&SeriesKey::of(MetricId::MountUsedPercent, "/")),
            Some(91.5)
        );
        assert_eq!(recent.value(MetricId::CpuBusy), Some(2.0));
    }

    #[test]
    fn a_number_that_is_announced_anew_forgets_its_past() {
        let mut recent = recent();
        recent.push(UnixMillis(0), [(1, 10)]);
        assert!(recent.announce(1, Arc::new(SeriesKey::plain(MetricId::Load1)), 2));
        assert_eq!(recent.value(MetricId::CpuBusy), None);
        assert_eq!(recent.value(MetricId::Load1), None);
        assert!(
            !recent.announce(9, Arc::new(SeriesKey::plain(MetricId::Load1)), 2),
            "one key, one number"
        );
    }

    #[test]
    fn a_clock_that_goes_back_keeps_the_order_of_ticks() {
        let mut recent = recent();
        recent.push(UnixMillis(10_000), [(1, 1)]);
        recent.push(UnixMillis(4_000), [(1, 2)]);
        let times: Vec<_> = recent.times().iter().copied().collect();
        assert_eq!(times, [UnixMillis(10_000), UnixMillis(10_001)]);
    }

    #[test]
    fn five_minutes_of_a_series_take_less_than_half_a_kibibyte() {
        // A third hardly moves, a third wanders, a third is traffic, mostly none: more restless than recorded machines are.
        const SERIES: u32 = 99;
        let mut recent = Recent::new(300_000);
        for number in 0..SERIES {
            let key = SeriesKey::of(MetricId::CpuCoreBusy, &number.to_string());
            recent.announce(number, Arc::new(key), 1);
        }
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut noise = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below).cast_signed()
        };
        let mut levels = [500i64; SERIES as usize];
        for tick in 0..1_000 {
            for (number, level) in levels.iter_mut().enumerate() {
                *level = match number % 3 {
                    0 => *level + i64::from(noise(50) == 0),
                    1 => *level + noise(41) - 20,
                    _ if noise(10) < 7 => 0,
                    _ => noise(2_000_000),
                };
            }
            recent.push(UnixMillis(tick * 1_000), (0..SERIES).zip(levels));
        }
        let heap: usize = recent
            .series()
            .map(|(_, series)| series.column.heap_bytes())
            .sum();
        let places =
            recent.series.capacity() * size_of::<Series>() + recent.by_key.capacity() * size_of::<Place>();
        let bytes_per_series = (heap + places) / SERIES as usize;
        assert!(bytes_per_series < 512, "{bytes_per_series}");
    }

    proptest! {
        #[test]
        fn series_that_come_and_go_in_any_order_are_found_by_key_and_by_metric(
            steps in prop::collection::vec((0u32..40, 0u8..30, any::<bool>()), 1..200),
        ) {
            let key = |choice: u8| match choice {
                0 => SeriesKey::plain(MetricId::CpuBusy),
                1 => SeriesKey::plain(MetricId::Load1),
                2..4 => SeriesKey {
                    metric: Metric::named(&format!("jvm.heap_{choice}"), Unit::Bytes),
                    labels: Vec::new(),
                },
                4..16 => SeriesKey::of(MetricId::MountUsed, &choice.to_string()),
                _ => SeriesKey::of(MetricId::CpuCoreBusy, &choice.to_string()),
            };
            let mut recent = Recent::new(300_000);
            let mut model: BTreeMap<u32, u8> = BTreeMap::new();
            for (number, choice, is_gone) in steps {
                if is_gone {
                    recent.retire(number);
                    model.remove(&number);
                } else {
                    let holder = model.iter().find(|(_, known)| **known == choice).map(|(number, _)| *number);
                    let is_taken = recent.announce(number, Arc::new(key(choice)), 0);
                    prop_assert_eq!(is_taken, holder.is_none_or(|holder| holder == number));
                    if holder.is_none() {
                        model.insert(number, choice);
                    }
                }
                recent.push(UnixMillis(0), model.keys().map(|number| (*number, i64::from(*number))));
                for choice in 0..30 {
                    let expected = model.iter().find(|(_, known)| **known == choice).map(|(number, _)| *number);
                    prop_assert_eq!(recent.number_of(&key(choice)), expected);
                    prop_assert_eq!(recent.value_of(&key(choice)), expected.map(f64::from));
                }
                for metric in [MetricId::MountUsed, MetricId::CpuCoreBusy, MetricId::CpuBusy, MetricId::Load5] {
                    let mut expected: Vec<_> = recent.of_metric(metric).map(|(entity, series)| (entity, series.number)).collect();
                    expected.sort_unstable();
                    let found: Vec<_> = recent.entities_of(metric).map(|(entity, series)| (entity, series.number)).collect();
                    prop_assert_eq!(found, expected);
                }
            }
        }
    }

    #[test]
    fn more_series_than_the_limit_are_refused() {
        let mut recent = Recent::new(1_000);
        for number in 0..5_000u32 {
            let taken = recent.announce(
                number,
                Arc::new(SeriesKey::of(MetricId::MountUsed, &number.to_string())),
                0,
            );
            assert_eq!(taken, (number as usize) < Recent::SERIES_LIMIT);
        }
    }
}
