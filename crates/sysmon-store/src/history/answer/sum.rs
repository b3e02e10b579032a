//! What is known of one series in one moment.

use sysmon_core::{Point, from_scaled};

/// Within this on either side of zero the sum of up to [`NARROW_COUNT`] values fits into 64 bits.
const NARROW: i64 = 1 << 46;
const NARROW_COUNT: usize = 1 << 16;

/// What is known of one series in one moment, in scaled integers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) minimum: i64,
    pub(crate) maximum: i64,
    /// A hundred times the sum of the samples.
    pub(crate) hundredfold: i128,
    /// How many samples; 0 for none.
    pub(crate) count: u32,
}

impl Sum {
    /// Takes a sample over.
    pub(crate) fn add(&mut self, value: i64) {
        self.merge(&Self::one(value));
    }

    /// What is known of one sample.
    fn one(value: i64) -> Self {
        Self {
            minimum: value,
            maximum: value,
            hundredfold: i128::from(value) * 100,
            count: 1,
        }
    }

    /// Takes over what is known of the same moment from elsewhere.
    #[inline]
    pub(crate) fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
        self.hundredfold += other.hundredfold;
        self.count = self.count.saturating_add(other.count);
    }

    /// What is known of samples that are given all at once; nothing for none.
    #[inline]
    pub(crate) fn of(values: &[i64]) -> Self {
        let Some((first, rest)) = values.split_first() else {
            return Self::default();
        };
        let (mut minimum, mut maximum, mut sum) = (*first, *first, *first);
        for value in rest {
            minimum = minimum.min(*value);
            maximum = maximum.max(*value);
            sum = sum.wrapping_add(*value);
        }
        // Wide numbers are slow to add, so that is left to values that need it.
        let is_narrow = minimum >= -NARROW && maximum <= NARROW && values.len() <= NARROW_COUNT;
        let sum = if is_narrow {
            i128::from(sum)
        } else {
            values.iter().map(|value| i128::from(*value)).sum()
        };
        Self {
            minimum,
            maximum,
            hundredfold: sum * 100,
            count: u32::try_from(values.len()).unwrap_or(u32::MAX),
        }
    }

    /// The point of an answer; `None` where nothing is known.
    #[inline]
    pub(crate) fn point(&self, decimals: u8) -> Option<Point> {
        if self.count == 0 {
            return None;
        }
        let minimum = from_scaled(self.minimum, decimals);
        if self.minimum == self.maximum {
            return Some(Point {
                minimum,
                maximum: minimum,
                mean: minimum,
                count: self.count,
            });
        }
        let maximum = from_scaled(self.maximum, decimals);
        // Mostly it fits into 64 bits, whose conversion is one instruction.
        let hundredfold =
            i64::try_from(self.hundredfold).map_or(self.hundredfold as f64, |narrow| narrow as f64);
        let scaled = hundredfold / 100.0 / f64::from(self.count);
        Some(Point {
            minimum,
            maximum,
            mean: (scaled / divisor(decimals)).clamp(minimum, maximum),
            count: self.count,
        })
    }
}

/// What a scaled number is divided by.
#[inline]
fn divisor(decimals: u8) -> f64 {
    1.0 / from_scaled(1, decimals)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_at_once_is_the_same_as_one_after_the_other(
            values in prop::collection::vec(prop_oneof![
                any::<i64>(), -1_000i64..1_000, Just(NARROW), Just(-NARROW), Just(NARROW + 1), Just(i64::MIN),
            ], 0..80),
        ) {
            let mut sum = Sum::default();
            for value in &values {
                sum.add(*value);
            }
            prop_assert_eq!(Sum::of(&values), sum);
        }
    }

    #[test]
    fn the_most_values_that_count_as_narrow_do_not_run_over() {
        for value in [NARROW, -NARROW] {
            let values = vec![value; NARROW_COUNT];
            let hundredfold = i128::from(value) * NARROW_COUNT as i128 * 100;
            assert_eq!(Sum::of(&values).hundredfold, hundredfold);
        }
    }
}
