//! Fewer points for a narrow chart, without losing the peaks.

use crate::time::UnixMillis;

/// What one column of a chart stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Start of the bucket.
    pub at: UnixMillis,
    /// Smallest value.
    pub minimum: f64,
    /// Largest value.
    pub maximum: f64,
    /// Mean of the values.
    pub mean: f64,
    /// Newest value.
    pub last: f64,
    /// How many values.
    pub count: u32,
}

/// Sorts points into `buckets` equal slices of `[from, to)`; `None` for a slice that has no value, so that a gap stays
/// a gap. Points outside the range and values that are not finite are left out. The result has exactly `buckets`
/// entries (none when the range is empty).
#[must_use]
pub fn downsample(
    points: impl IntoIterator<Item = (UnixMillis, f64)>,
    from: UnixMillis,
    to: UnixMillis,
    buckets: usize,
) -> Vec<Option<Bucket>> {
    let width_ms = to.since_ms(from);
    if width_ms == 0 {
        return Vec::new();
    }
    let mut slices: Vec<Option<Bucket>> = vec![None; buckets];
    for (at, value) in points {
        if at < from || at >= to || !value.is_finite() {
            continue;
        }
        // In 128 bits, because milliseconds times buckets may not fit 64.
        let index = u128::from(at.since_ms(from)) * buckets as u128 / u128::from(width_ms);
        let Some(slice) = usize::try_from(index)
            .ok()
            .and_then(|index| slices.get_mut(index))
        else {
            continue;
        };
        match slice {
            None => {
                *slice = Some(Bucket {
                    at,
                    minimum: value,
                    maximum: value,
                    mean: value,
                    last: value,
                    count: 1,
                })
            }
            Some(bucket) => {
                bucket.minimum = bucket.minimum.min(value);
                bucket.maximum = bucket.maximum.max(value);
                bucket.count += 1;
                bucket.mean += (value - bucket.mean) / f64::from(bucket.count);
                bucket.last = value;
            }
        }
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn minimum_and_maximum_survive_and_nothing_is_invented(
            points in prop::collection::vec((0i64..10_000, -1e6..1e6f64), 0..300), buckets in 1usize..100,
        ) {
            let inside = points.iter().map(|(at, value)| (UnixMillis(*at), *value));
            let slices = downsample(inside, UnixMillis(0), UnixMillis(10_000), buckets);
            prop_assert_eq!(slices.len(), buckets);
            let kept: Vec<_> = slices.into_iter().flatten().collect();
            prop_assert_eq!(kept.iter().map(|bucket| bucket.count as usize).sum::<usize>(), points.len());
            let extreme = |pick: fn(f64, f64) -> f64, start| points.iter().map(|point| point.1).fold(start, pick);
            prop_assert_eq!(kept.iter().map(|b| b.maximum).fold(f64::MIN, f64::max), extreme(f64::max, f64::MIN));
            prop_assert_eq!(kept.iter().map(|b| b.minimum).fold(f64::MAX, f64::min), extreme(f64::min, f64::MAX));
            for bucket in kept {
                prop_assert!(bucket.minimum <= bucket.mean + 1e-6 && bucket.mean <= bucket.maximum + 1e-6);
            }
        }
    }

    #[test]
    fn a_gap_stays_a_gap() {
        let slices = downsample(
            [(UnixMillis(0), 1.0), (UnixMillis(30), 2.0)],
            UnixMillis(0),
            UnixMillis(40),
            4,
        );
        assert_eq!(
            slices.iter().map(Option::is_some).collect::<Vec<_>>(),
            [true, false, false, true]
        );
        assert!(downsample([(UnixMillis(0), f64::NAN)], UnixMillis(0), UnixMillis(40), 1)[0].is_none());
        assert!(downsample([], UnixMillis(5), UnixMillis(5), 4).is_empty());
    }
}
