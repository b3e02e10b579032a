//! What the series numbers of a stream stand for.

use std::sync::{Arc, Mutex, PoisonError};

use sysmon_core::{Recent, SeriesKey};
use sysmon_store::{SeriesEntry, SeriesTable};

use crate::fleet::keys::Keys;

/// The series of one numbering. Batches share the table that was current when they came; a change makes a new one.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    table: Arc<SeriesTable>,
}

impl Dictionary {
    /// The present table.
    pub(super) fn table(&self) -> &Arc<SeriesTable> {
        &self.table
    }

    /// Takes over what a batch says: first what is no more, then what is new. What is announced beyond
    /// [`Recent::SERIES_LIMIT`] is left out, as the live view does. What is known already changes nothing.
    pub(super) fn change(&mut self, keys: &Mutex<Keys>, retired: &[u32], announced: &[(u32, SeriesKey, u8)]) {
        let is_known = |(number, key, decimals): &(u32, SeriesKey, u8)| {
            let known = self.table.get(*number);
            known.is_some_and(|known| *known.key == *key && known.decimals == *decimals)
        };
        let is_news =
            retired.iter().any(|number| self.table.get(*number).is_some()) || !announced.iter().all(is_known);
        if !is_news {
            return;
        }
        let mut entries = self.table.entries().clone();
        for number in retired {
            entries.remove(number);
        }
        let mut keys = keys.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, key, decimals) in announced {
            if entries.len() < Recent::SERIES_LIMIT || entries.contains_key(number) {
                let entry = SeriesEntry {
                    key: keys.share(key.clone()),
                    decimals: *decimals,
                };
                entries.insert(*number, entry);
            }
        }
        drop(keys);
        self.table = Arc::new(SeriesTable::new(entries));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sysmon_core::MetricId;

    fn announced(numbers: std::ops::Range<u32>) -> Vec<(u32, SeriesKey, u8)> {
        let series = |number: u32| {
            (
                number,
                SeriesKey::of(MetricId::CpuCoreBusy, &number.to_string()),
                1,
            )
        };
        numbers.map(series).collect()
    }

    #[test]
    fn batches_keep_the_table_they_came_with_and_streams_share_keys() {
        let keys = Mutex::default();
        let (mut one, mut two) = (Dictionary::default(), Dictionary::default());
        one.change(&keys, &[], &announced(0..3));
        two.change(&keys, &[], &announced(2..4));
        let before = Arc::clone(one.table());
        let key = |table: &SeriesTable, number| Arc::clone(&table.get(number).unwrap().key);
        assert!(Arc::ptr_eq(&key(&before, 2), &key(two.table(), 2)));
        one.change(&keys, &[], &announced(0..2));
        assert_eq!(one.table().id(), before.id(), "nothing of that was news");
        one.change(&keys, &[1, 9], &[(2, SeriesKey::plain(MetricId::CpuBusy), 0)]);
        assert_ne!(one.table().id(), before.id());
        assert_eq!(one.table().entries().keys().collect::<Vec<_>>(), [&0, &2]);
        assert_eq!(one.table().get(2).unwrap().decimals, 0);
        assert_eq!(before.entries().len(), 3);
    }

    #[test]
    fn a_number_may_come_back_as_another_series_in_the_batch_that_retires_it() {
        let keys = Mutex::default();
        let mut dictionary = Dictionary::default();
        dictionary.change(&keys, &[], &announced(0..1));
        dictionary.change(&keys, &[0], &[(0, SeriesKey::plain(MetricId::CpuBusy), 2)]);
        assert_eq!(dictionary.table().get(0).unwrap().decimals, 2);
    }

    #[test]
    fn a_collector_cannot_announce_without_end() {
        let keys = Mutex::default();
        let mut dictionary = Dictionary::default();
        for start in 0..5 {
            dictionary.change(&keys, &[], &announced(start * 1_000..(start + 1) * 1_000));
        }
        assert_eq!(dictionary.table().entries().len(), Recent::SERIES_LIMIT);
    }
}
