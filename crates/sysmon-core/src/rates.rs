//! Rates from counters, derived once, where a source enters the system.
//!
//! Time is the monotonic clock of the reader in nanoseconds: wall-clock steps never touch a rate. The first reading
//! after a start, a reset or a gap gives no rate: an honest hole instead of an absurd spike.

/// How a counter behaves when it runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CounterWidth {
    /// 64 bits: it never wraps in practice, so any decrease is a reset.
    #[default]
    Bits64,
    /// 32 bits: a decrease from the upper quarter to the lower quarter is a wrap, any other one a reset.
    Bits32,
}

/// What one reading of a counter yielded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Derivation {
    /// Increase and the time it took; `per_second` is their quotient.
    Rate {
        /// How much the counter grew.
        increase: u64,
        /// Time between the readings in nanoseconds, above zero.
        elapsed_ns: u64,
    },
    /// The first reading, or the first after a gap: nothing to compare with.
    First,
    /// The counter went down: its source was restarted.
    Reset,
    /// No monotonic time passed since the last reading.
    NoTime,
}

impl Derivation {
    /// Growth per second; `None` unless two readings could be compared.
    #[must_use]
    pub fn per_second(self) -> Option<f64> {
        match self {
            Self::Rate { increase, elapsed_ns } => Some(increase as f64 * 1e9 / elapsed_ns as f64),
            _ => None,
        }
    }

    /// The increase itself; `None` unless two readings could be compared.
    #[must_use]
    pub fn increase(self) -> Option<u64> {
        match self {
            Self::Rate { increase, .. } => Some(increase),
            _ => None,
        }
    }
}

/// One cumulative counter, from reading to reading.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter {
    last: Option<(u64, u64)>,
    width: CounterWidth,
}

impl Counter {
    /// A counter that has not been read yet.
    #[must_use]
    pub fn new(width: CounterWidth) -> Self {
        Self { last: None, width }
    }

    /// Takes a reading of `value` at `monotonic_ns` (any origin, never going back).
    ///
    /// `gap_ns` is the longest pause that still counts as continuous: after a longer one (the machine slept, the
    /// collector was stopped) there is no rate, because an average over hours under one tick would be a lie.
    pub fn read(&mut self, value: u64, monotonic_ns: u64, gap_ns: u64) -> Derivation {
        let Some((last_value, last_ns)) = self.last else {
            self.last = Some((value, monotonic_ns));
            return Derivation::First;
        };
        let elapsed_ns = monotonic_ns.saturating_sub(last_ns);
        if elapsed_ns == 0 {
            return Derivation::NoTime;
        }
        self.last = Some((value, monotonic_ns));
        if elapsed_ns > gap_ns {
            return Derivation::First;
        }
        match increase(last_value, value, self.width) {
            Some(increase) => Derivation::Rate { increase, elapsed_ns },
            None => Derivation::Reset,
        }
    }

    /// Takes a reading at `monotonic_ns` of a counter that is known to stand where it stood; see [`Self::read`].
    pub fn read_again(&mut self, monotonic_ns: u64, gap_ns: u64) -> Derivation {
        match self.last {
            Some((value, _)) => self.read(value, monotonic_ns, gap_ns),
            None => Derivation::First,
        }
    }

    /// Forgets the last reading, so that the next one gives no rate.
    pub fn forget(&mut self) {
        self.last = None;
    }
}

fn increase(last: u64, now: u64, width: CounterWidth) -> Option<u64> {
    const WRAP: u64 = 1 << 32;
    match now.checked_sub(last) {
        Some(increase) => Some(increase),
        None if width == CounterWidth::Bits32 && (WRAP / 4 * 3..WRAP).contains(&last) && now < WRAP / 4 => {
            Some(WRAP - last + now)
        }
        None => None,
    }
}

/// Counters of one kind of entity under stable slots, read together at one moment.
///
/// A source with several counters per entity (a disk has eleven) keeps one tracker per entity, so that an entity that
/// vanishes takes its history with it.
#[derive(Clone, Debug)]
pub struct RateTracker<const N: usize> {
    counters: [Counter; N],
}

impl<const N: usize> RateTracker<N> {
    /// A tracker whose counters have not been read yet.
    #[must_use]
    pub fn new(width: CounterWidth) -> Self {
        Self {
            counters: [Counter::new(width); N],
        }
    }

    /// Takes a reading of all counters at one moment; see [`Counter::read`].
    ///
    /// When any one was reset, all count as reset: they belong to one source, and half a reading would give an await
    /// or a percentage of the wrong whole.
    pub fn read(&mut self, values: [u64; N], monotonic_ns: u64, gap_ns: u64) -> Option<[Derivation; N]> {
        let mut derived = [Derivation::First; N];
        for (index, value) in values.into_iter().enumerate() {
            derived[index] = self.counters[index].read(value, monotonic_ns, gap_ns);
        }
        derived
            .iter()
            .all(|derivation| matches!(derivation, Derivation::Rate { .. }))
            .then_some(derived)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    proptest! {
        #[test]
        fn no_sequence_of_readings_gives_a_rate_that_the_counter_cannot_explain(
            readings in prop::collection::vec((any::<u64>(), any::<u64>()), 1..50),
            narrow in any::<bool>(),
            gap in 1u64..10 * SECOND,
        ) {
            let width = if narrow { CounterWidth::Bits32 } else { CounterWidth::Bits64 };
            let mut counter = Counter::new(width);
            for (value, ns) in readings {
                let value = if narrow { value & 0xffff_ffff } else { value };
                if let Derivation::Rate { increase, elapsed_ns } = counter.read(value, ns, gap) {
                    prop_assert!(elapsed_ns > 0 && elapsed_ns <= gap);
                    prop_assert!(!narrow || increase < 1 << 31, "a wrap must not look like half the range");
                    let rate = counter.read(value, ns, gap).per_second();
                    prop_assert_eq!(rate, None, "the same moment twice gives no second rate");
                }
            }
        }

        #[test]
        fn steady_growth_gives_its_own_rate_whatever_the_intervals(
            rate in 0u64..1_000_000, pauses in prop::collection::vec(1u64..5_000, 2..40),
        ) {
            let mut counter = Counter::new(CounterWidth::Bits64);
            let (mut ns, mut value) = (7u64, 1_000u64);
            counter.read(value, ns, u64::MAX);
            for pause_ms in pauses {
                ns += pause_ms * 1_000_000;
                value += rate * pause_ms;
                let derived = counter.read(value, ns, u64::MAX).per_second().unwrap();
                prop_assert!((derived - rate as f64 * 1_000.0).abs() < 1e-3 * (1.0 + rate as f64));
            }
        }

        #[test]
        fn a_reset_is_a_hole_and_the_next_reading_is_right_again(before in 1u64.., after in 0u64..1_000_000, step in 0u64..1_000_000) {
            prop_assume!(after < before);
            let mut counter = Counter::new(CounterWidth::Bits64);
            counter.read(before, 0, u64::MAX);
            prop_assert_eq!(counter.read(after, SECOND, u64::MAX), Derivation::Reset);
            prop_assert_eq!(counter.read(after + step, 2 * SECOND, u64::MAX).increase(), Some(step));
        }
    }

    #[test]
    fn a_32_bit_wrap_is_growth_but_a_restart_is_not() {
        let mut counter = Counter::new(CounterWidth::Bits32);
        counter.read(u64::from(u32::MAX) - 9, 0, u64::MAX);
        assert_eq!(counter.read(90, SECOND, u64::MAX).increase(), Some(100));
        let mut counter = Counter::new(CounterWidth::Bits32);
        counter.read(1_000_000, 0, u64::MAX);
        assert_eq!(counter.read(90, SECOND, u64::MAX), Derivation::Reset);
    }

    #[test]
    fn after_a_gap_there_is_no_rate() {
        let mut counter = Counter::new(CounterWidth::Bits64);
        counter.read(0, 0, 3 * SECOND);
        assert_eq!(counter.read(1_000_000, 4 * SECOND, 3 * SECOND), Derivation::First);
        assert_eq!(
            counter.read(1_000_010, 5 * SECOND, 3 * SECOND).increase(),
            Some(10)
        );
    }

    #[test]
    fn one_reset_counter_silences_its_whole_entity() {
        let mut tracker = RateTracker::<2>::new(CounterWidth::Bits64);
        assert!(tracker.read([10, 10], 0, u64::MAX).is_none());
        assert!(tracker.read([11, 9], SECOND, u64::MAX).is_none());
        assert!(tracker.read([12, 10], 2 * SECOND, u64::MAX).is_some());
    }
}
