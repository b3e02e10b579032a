//! Noise without memory: the value at any moment follows from a key and the time, so that a machine is the same
//! whoever asks, how often, and after however many restarts.

/// Where a stream of pseudo-random numbers comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(u64);

impl Key {
    /// The key of one machine.
    pub(super) fn of_machine(seed: u64, index: u32) -> Self {
        Self(mix(mix(seed) ^ u64::from(index)))
    }

    /// A key for one purpose.
    pub(super) fn part(self, part: u64) -> Self {
        Self(mix(self.0 ^ part.wrapping_mul(0xd6e8_feb8_6659_fd93)))
    }

    /// A number for whoever needs bits.
    pub(super) fn bits(self) -> u64 {
        self.0
    }

    /// A number in `0.0..1.0`.
    pub(super) fn unit(self) -> f64 {
        unit(self.0)
    }

    /// A number from `low` to `high`.
    pub(super) fn between(self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// One of `count` indices; 0 when there are none.
    pub(super) fn index(self, count: usize) -> usize {
        ((self.unit() * count as f64) as usize).min(count.saturating_sub(1))
    }

    /// A smooth line from -1 to 1 that takes `period_ms` from one turning point to the next.
    pub(super) fn wave(self, at_ms: i64, period_ms: i64) -> f64 {
        let step = at_ms.div_euclid(period_ms);
        let part = at_ms.rem_euclid(period_ms) as f64 / period_ms as f64;
        let (from, to) = (self.lattice(step), self.lattice(step + 1));
        from + (to - from) * part * part * (3.0 - 2.0 * part)
    }

    /// Four independent numbers from -1 to 1 that have nothing to do with those of any other moment.
    pub(super) fn jitter(self, at_ms: i64) -> [f64; 4] {
        let bits = mix(self.0 ^ at_ms as u64);
        [0, 16, 32, 48].map(|shift| f64::from((bits >> shift) as u16) / 32_767.5 - 1.0)
    }

    fn lattice(self, step: i64) -> f64 {
        unit(mix(self.0 ^ step as u64)).mul_add(2.0, -1.0)
    }
}

/// The finaliser of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn unit(bits: u64) -> f64 {
    // The 53 bits that a double holds.
    (bits >> 11) as f64 / 9_007_199_254_740_992.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_is_smooth_stays_in_bounds_and_is_not_flat() {
        let key = Key::of_machine(1, 2).part(3);
        let values: Vec<f64> = (-5_000..50_000)
            .step_by(10)
            .map(|at_ms| key.wave(at_ms, 1_000))
            .collect();
        assert!(values.iter().all(|value| (-1.0..=1.0).contains(value)));
        let steps = values.windows(2).map(|pair| (pair[1] - pair[0]).abs());
        assert!(
            steps.fold(0.0, f64::max) < 0.04,
            "at most 1.5 × 2 × 10 ms of a second"
        );
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let spread = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 0.3 && spread > 0.1, "{mean} {spread}");
    }

    #[test]
    fn machines_seeds_and_parts_have_nothing_in_common() {
        let keys = [
            Key::of_machine(1, 2),
            Key::of_machine(2, 1),
            Key::of_machine(1, 3),
            Key::of_machine(1, 2).part(0),
            Key::of_machine(1, 2).part(1),
        ];
        for (index, key) in keys.iter().enumerate() {
            for other in &keys[..index] {
                assert!((key.unit() - other.unit()).abs() > 1e-9);
            }
        }
    }
}
