//! One copy of every series key, however many machines have it: most of a fleet's series have the same names.

use std::collections::HashSet;
use std::sync::Arc;

use sysmon_core::SeriesKey;

/// The keys in use.
#[derive(Debug)]
pub(crate) struct Keys {
    known: HashSet<Arc<SeriesKey>>,
    /// When this many are known, those that nobody has any more are dropped.
    prune_at: usize,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            known: HashSet::new(),
            prune_at: Self::PRUNE_AT_LEAST,
        }
    }
}

impl Keys {
    const PRUNE_AT_LEAST: usize = 4_096;

    /// The shared copy of a key.
    pub(crate) fn share(&mut self, key: SeriesKey) -> Arc<SeriesKey> {
        if let Some(known) = self.known.get(&key) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.prune_at {
            self.known.retain(|key| Arc::strong_count(key) > 1);
            // Twice what is left, so that the cost of pruning is spread over as many new keys.
            self.prune_at = (2 * self.known.len()).max(Self::PRUNE_AT_LEAST);
        }
        let key = Arc::new(key);
        self.known.insert(Arc::clone(&key));
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sysmon_core::MetricId;

    #[test]
    fn keys_that_come_and_go_do_not_pile_up() {
        let mut keys = Keys::default();
        let kept = keys.share(SeriesKey::plain(MetricId::CpuBusy));
        for container in 0..50_000 {
            keys.share(SeriesKey::of(MetricId::ContainerCpu, &container.to_string()));
        }
        assert!(keys.known.len() <= Keys::PRUNE_AT_LEAST);
        assert!(Arc::ptr_eq(
            &kept,
            &keys.share(SeriesKey::plain(MetricId::CpuBusy))
        ));
    }
}
