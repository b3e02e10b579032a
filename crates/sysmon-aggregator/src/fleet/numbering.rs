//! From the series numbers of one collector's stream to ours.

use super::vitals::Vital;

/// What a number of a stream stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entry {
    /// Our number of the series, the same over all streams of the machine.
    pub(super) ours: u32,
    /// Digits after the point.
    pub(super) decimals: u8,
    /// What the series is for health.
    pub(super) vital: Option<Vital>,
}

/// The numbers that one stream has announced, in ascending order, so that a tick is translated in one pass.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbering {
    entries: Vec<(u32, Entry)>,
}

impl Numbering {
    /// How many numbers stand for something.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether `theirs` stands for something.
    pub(super) fn contains(&self, theirs: u32) -> bool {
        self.entries
            .binary_search_by_key(&theirs, |(number, _)| *number)
            .is_ok()
    }

    /// Makes `theirs` stand for a series; what it stood for before is given back.
    pub(super) fn insert(&mut self, theirs: u32, entry: Entry) -> Option<Entry> {
        match self.entries.binary_search_by_key(&theirs, |(number, _)| *number) {
            Ok(index) => Some(std::mem::replace(&mut self.entries[index].1, entry)),
            Err(index) => {
                self.entries.insert(index, (theirs, entry));
                None
            }
        }
    }

    /// Lets `theirs` stand for nothing.
    pub(super) fn remove(&mut self, theirs: u32) -> Option<Entry> {
        let index = self
            .entries
            .binary_search_by_key(&theirs, |(number, _)| *number)
            .ok()?;
        Some(self.entries.remove(index).1)
    }

    /// The numbers with what they stand for, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Entry)> {
        self.entries.iter().map(|(theirs, entry)| (*theirs, entry))
    }

    /// Our numbers, in no order.
    pub(super) fn ours(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().map(|(_, entry)| entry.ours)
    }

    /// Hands every value whose number is known to `take`; `values` ascend by number. Returns how many were not known.
    pub(super) fn translate(&self, values: &[(u32, i64)], mut take: impl FnMut(Entry, i64)) -> usize {
        let mut entries = self.entries.iter();
        let mut next = entries.next();
        let mut unknown = 0;
        for (theirs, value) in values {
            while next.is_some_and(|(number, _)| number < theirs) {
                next = entries.next();
            }
            match next {
                Some((number, entry)) if number == theirs => take(*entry, *value),
                _ => unknown += 1,
            }
        }
        unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn entry(ours: u32) -> Entry {
        Entry {
            ours,
            decimals: 0,
            vital: None,
        }
    }

    proptest! {
        #[test]
        fn a_tick_is_translated_like_one_number_at_a_time(
            known in prop::collection::btree_map(0u32..60, any::<u32>(), 0..40),
            removed in prop::collection::vec(0u32..60, 0..10),
            values in prop::collection::btree_map(0u32..60, any::<i64>(), 0..40),
        ) {
            let mut numbering = Numbering::default();
            let mut model = BTreeMap::new();
            for (theirs, ours) in known {
                numbering.insert(theirs, entry(ours));
                model.insert(theirs, ours);
            }
            for theirs in removed {
                prop_assert_eq!(numbering.remove(theirs).map(|entry| entry.ours), model.remove(&theirs));
            }
            let values: Vec<_> = values.into_iter().collect();
            let mut taken = Vec::new();
            let unknown = numbering.translate(&values, |entry, value| taken.push((entry.ours, value)));
            let expected: Vec<_> =
                values.iter().filter_map(|(theirs, value)| Some((*model.get(theirs)?, *value))).collect();
            prop_assert_eq!(unknown, values.len() - expected.len());
            prop_assert_eq!(taken, expected);
        }
    }
}
