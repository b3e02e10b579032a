//! How far a machine's clock is from the aggregator's, learned from samples that came without delay.

use sysmon_core::UnixMillis;

/// A sample that is held up looks like one of a clock that is behind; the least delay of the last one to two minutes
/// tells them apart.
const BUCKET_MS: u64 = 60_000;
/// What is not worth saying.
const GRAIN_MS: u64 = 1_000;

/// The largest lead of the machine's clock over the time of receipt: that of the sample with the least delay.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lateness {
    /// Since when the present bucket is filled, and the largest lead in it.
    current: Option<(UnixMillis, i64)>,
    previous: Option<i64>,
    told: i64,
}

impl Lateness {
    /// Takes note of a sample; returns the offset when it is worth saying.
    pub(super) fn note(&mut self, at: UnixMillis, received: UnixMillis) -> Option<i64> {
        let lead = at.0.saturating_sub(received.0);
        self.current = Some(match self.current {
            Some((since, most)) if received.since_ms(since) < BUCKET_MS => (since, most.max(lead)),
            full => {
                self.previous = full.map(|(_, most)| most);
                (received, lead)
            }
        });
        let most = self.current.map_or(lead, |(_, most)| most);
        let offset = self.previous.map_or(most, |previous| previous.max(most));
        if offset.abs_diff(self.told) < GRAIN_MS {
            return None;
        }
        self.told = offset;
        Some(offset)
    }

    /// How far the machine's clock is ahead.
    pub(super) fn offset_ms(&self) -> i64 {
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_behind_is_learned_and_a_sample_that_was_held_up_is_not() {
        let mut lateness = Lateness::default();
        let hour = 3_600_000;
        assert_eq!(lateness.note(UnixMillis(0), UnixMillis(hour)), Some(-hour));
        assert_eq!(lateness.note(UnixMillis(5_000), UnixMillis(hour + 5_100)), None);
        // Held up for a minute and a half.
        assert_eq!(
            lateness.note(UnixMillis(10_000), UnixMillis(hour + 100_000)),
            None
        );
        assert_eq!(lateness.offset_ms(), -hour);
        // Set right: at once, for no sample comes before it is taken.
        assert_eq!(
            lateness.note(UnixMillis(hour + 105_000), UnixMillis(hour + 105_000)),
            Some(0)
        );
        // Set back again: after two buckets.
        let told: Vec<i64> = (0..40)
            .filter_map(|tick| {
                let received = hour + 110_000 + tick * 5_000;
                lateness.note(UnixMillis(received - hour), UnixMillis(received))
            })
            .collect();
        assert_eq!(told, [-hour]);
    }
}
