//! What a machine's health is judged by, kept so that judging costs no look into the past.

use sysmon_core::{Health, MetricId, SeriesKey, assess};

/// A series that counts for health, by its place in one of the lists below. Small, because every series of a fleet has
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vital {
    /// Short-lived by nature: judged by the mean of the last minute.
    Mean(u8),
    /// A level: judged by its newest value.
    Level(u8),
}

const MEANS: [MetricId; 3] = [MetricId::CpuBusy, MetricId::CpuIoWait, MetricId::CpuSteal];
const LEVELS: [MetricId; 3] = [
    MetricId::MemoryUsedPercent,
    MetricId::SwapUsedPercent,
    MetricId::MountWorstPercent,
];

impl Vital {
    /// What a series is for health; `None` for most.
    pub(super) fn of(key: &SeriesKey) -> Option<Self> {
        let id = key.id().filter(|_| key.labels.is_empty())?;
        let place = |ids: &[MetricId]| {
            let place = ids.iter().position(|known| *known == id)?;
            u8::try_from(place).ok()
        };
        place(&MEANS)
            .map(Self::Mean)
            .or_else(|| place(&LEVELS).map(Self::Level))
    }
}

/// The mean of about a minute, in slices of five seconds, so that its cost depends neither on the interval nor on
/// the number of points.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    slices: [Slice; SLICES],
}

#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    /// Which five seconds since 1970.
    number: i64,
    count: u32,
    sum: f64,
}

const SLICES: usize = 12;
const SLICE_MS: i64 = 5_000;
/// A mean over less than this says little: one busy second is no reason for an alarm.
const SHORTEST_MS: u64 = 3_000;

impl Mean {
    fn add(&mut self, at_ms: i64, value: f64) {
        let number = at_ms.div_euclid(SLICE_MS);
        // The remainder is below 12.
        let index = usize::try_from(number.rem_euclid(SLICES as i64)).unwrap_or(0);
        let slice = &mut self.slices[index];
        if slice.number != number {
            *slice = Slice {
                number,
                ..Slice::default()
            };
        }
        slice.count += 1;
        slice.sum += value;
    }

    /// The mean of the minute before `now_ms`; `None` when the points cover too little of it.
    fn get(&self, now_ms: i64, interval_ms: u64) -> Option<f64> {
        let newest = now_ms.div_euclid(SLICE_MS);
        let (mut count, mut sum) = (0u32, 0.0);
        for slice in &self.slices {
            if slice.number > newest - SLICES as i64 && slice.number <= newest {
                count += slice.count;
                sum += slice.sum;
            }
        }
        (u64::from(count) * interval_ms >= SHORTEST_MS).then(|| sum / f64::from(count))
    }
}

/// The vital values of one machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Vitals {
    means: [Mean; MEANS.len()],
    levels: [Option<f64>; LEVELS.len()],
}

impl Vitals {
    /// Takes the value of a vital series at `at_ms`, in Unix milliseconds of its machine.
    pub(super) fn add(&mut self, vital: Vital, at_ms: i64, value: f64) {
        match vital {
            Vital::Mean(index) => self.means[usize::from(index)].add(at_ms, value),
            Vital::Level(index) => self.levels[usize::from(index)] = Some(value),
        }
    }

    /// Forgets a series that is no more.
    pub(super) fn forget(&mut self, vital: Vital) {
        match vital {
            Vital::Mean(index) => self.means[usize::from(index)] = Mean::default(),
            Vital::Level(index) => self.levels[usize::from(index)] = None,
        }
    }

    /// How the machine fares at `now_ms`, on its own clock.
    pub(super) fn judge(&self, now_ms: i64, interval_ms: u32) -> Health {
        let means = MEANS.iter().zip(&self.means);
        let levels = LEVELS.iter().zip(&self.levels);
        assess(
            means
                .filter_map(|(id, mean)| Some((*id, mean.get(now_ms, interval_ms.into())?)))
                .chain(levels.filter_map(|(id, level)| Some((*id, (*level)?)))),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: Vital = Vital::Mean(0);

    #[test]
    fn one_busy_second_is_no_alarm_but_a_busy_minute_is() {
        let mut vitals = Vitals::default();
        for second in 0..120 {
            vitals.add(BUSY, second * 1_000, if second == 59 { 100.0 } else { 5.0 });
            if second >= 3 {
                assert_eq!(vitals.judge(second * 1_000, 1_000), Health::Healthy, "{second}");
            }
        }
        for second in 120..180 {
            vitals.add(BUSY, second * 1_000, 99.0);
        }
        assert_eq!(vitals.judge(179_000, 1_000), Health::Critical);
    }

    #[test]
    fn at_the_start_a_spike_of_less_than_three_seconds_says_nothing_at_any_interval() {
        for interval_ms in [100, 500, 1_000] {
            let mut vitals = Vitals::default();
            let needed = 3_000 / i64::from(interval_ms);
            for point in 0..needed {
                assert_eq!(
                    vitals.judge(point * i64::from(interval_ms), interval_ms),
                    Health::Unknown
                );
                vitals.add(BUSY, point * i64::from(interval_ms), 100.0);
            }
            assert_eq!(
                vitals.judge(needed * i64::from(interval_ms), interval_ms),
                Health::Critical
            );
        }
    }

    #[test]
    fn a_single_point_of_a_long_interval_is_a_mean_already() {
        let mut vitals = Vitals::default();
        vitals.add(BUSY, 3_600_000, 99.0);
        assert_eq!(vitals.judge(3_600_000, 3_600_000), Health::Critical);
    }

    #[test]
    fn what_was_a_minute_ago_no_longer_counts() {
        let mut vitals = Vitals::default();
        for second in 0..60 {
            vitals.add(BUSY, second * 1_000, 100.0);
        }
        assert_eq!(vitals.judge(130_000, 1_000), Health::Unknown);
    }

    #[test]
    fn a_full_disk_counts_until_it_is_gone() {
        let worst = Vital::of(&SeriesKey::plain(MetricId::MountWorstPercent)).unwrap();
        let mut vitals = Vitals::default();
        vitals.add(worst, 0, 99.0);
        assert_eq!(vitals.judge(900_000, 1_000), Health::Critical);
        vitals.forget(worst);
        assert_eq!(vitals.judge(900_000, 1_000), Health::Unknown);
    }

    #[test]
    fn extreme_times_do_no_harm() {
        let mut vitals = Vitals::default();
        for at in [i64::MIN, i64::MAX, 0, -1] {
            vitals.add(BUSY, at, 1.0);
            vitals.judge(at, u32::MAX);
        }
    }
}
