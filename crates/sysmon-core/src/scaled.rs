//! Values as scaled integers: what travels, and what a ring keeps.
//!
//! A value is `integer × 10^-decimals`, the decimals fixed per series. Neighbouring samples then differ by small
//! integers, which a variable-length encoding stores in one or two bytes, and byte counts stay exact.

/// The most decimals a series may have; 10^9 still leaves nine digits before the point.
pub const MAX_DECIMALS: u8 = 9;

const POWERS: [f64; 10] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
// Beyond 2^53 a double no longer holds every integer, so the round trip would not be exact.
const LIMIT: f64 = 9_007_199_254_740_992.0;

/// Rounds `value` to `decimals` places (at most [`MAX_DECIMALS`]); `None` when it is not finite or does not fit 2^53.
#[must_use]
pub fn to_scaled(value: f64, decimals: u8) -> Option<i64> {
    let scaled = (value * POWERS[usize::from(decimals.min(MAX_DECIMALS))]).round();
    // The comparison is false for NaN as well.
    (scaled.abs() <= LIMIT).then_some(scaled as i64)
}

/// The value of a scaled integer.
#[must_use]
pub fn from_scaled(scaled: i64, decimals: u8) -> f64 {
    // Exact: to_scaled makes nothing beyond 2^53.
    scaled as f64 / POWERS[usize::from(decimals.min(MAX_DECIMALS))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_a_number_is_absent_rather_than_zero() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            assert_eq!(to_scaled(value, 2), None);
        }
    }

    proptest! {
        #[test]
        fn a_round_trip_is_within_half_a_step(value in -1e9..1e9f64, decimals in 0u8..=4) {
            let back = from_scaled(to_scaled(value, decimals).unwrap(), decimals);
            prop_assert!((back - value).abs() <= 0.5001 / 10f64.powi(i32::from(decimals)));
        }
    }
}
