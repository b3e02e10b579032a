//! Entities of a file that lists them line by line, in an order that hardly ever changes.

/// Rows by name, found without a search as long as the order stays what it was.
#[derive(Debug)]
pub(crate) struct Roster<T> {
    rows: Vec<Row<T>>,
    cursor: usize,
    pass: u32,
}

#[derive(Debug)]
struct Row<T> {
    name: Box<[u8]>,
    pass: u32,
    value: T,
}

impl<T> Default for Roster<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            cursor: 0,
            pass: 0,
        }
    }
}

impl<T> Roster<T> {
    /// The most entities that are followed; further lines are passed over.
    const LIMIT: usize = 4_096;

    /// Begins a pass over the file.
    pub(crate) fn begin(&mut self) {
        self.pass = self.pass.wrapping_add(1);
        self.cursor = 0;
    }

    /// The row of a name, made when the name is new; `None` when there are too many, or the name came already.
    pub(crate) fn row(&mut self, name: &[u8], make: impl FnOnce() -> T) -> Option<&mut T> {
        let expected = self.rows.get(self.cursor).is_some_and(|row| *row.name == *name);
        let index = if expected {
            Some(self.cursor)
        } else {
            self.rows.iter().position(|row| *row.name == *name)
        };
        let index = match index {
            Some(index) if self.rows[index].pass == self.pass => return None,
            Some(index) => index,
            None if self.rows.len() >= Self::LIMIT => return None,
            None => {
                let index = self.cursor.min(self.rows.len());
                let pass = self.pass.wrapping_sub(1);
                self.rows.insert(
                    index,
                    Row {
                        name: name.into(),
                        pass,
                        value: make(),
                    },
                );
                index
            }
        };
        self.cursor = index + 1;
        let row = &mut self.rows[index];
        row.pass = self.pass;
        Some(&mut row.value)
    }

    /// Ends the pass: what did not come is handed over and forgotten.
    pub(crate) fn end(&mut self, mut vanished: impl FnMut(T)) {
        if self.rows.iter().all(|row| row.pass == self.pass) {
            return;
        }
        for row in std::mem::take(&mut self.rows) {
            if row.pass == self.pass {
                self.rows.push(row)
            } else {
                vanished(row.value)
            }
        }
    }

    /// All rows.
    pub(crate) fn values(&mut self) -> impl Iterator<Item = &mut T> {
        self.rows.iter_mut().map(|row| &mut row.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn whatever_the_order_every_name_keeps_its_row_and_vanished_ones_are_handed_over(
            passes in prop::collection::vec(prop::collection::vec(0u8..12, 0..12), 1..10),
        ) {
            let mut roster = Roster::<u8>::default();
            let mut before = BTreeSet::new();
            for names in passes {
                roster.begin();
                let mut now = BTreeSet::new();
                for name in names {
                    let row = roster.row(&[name], || name).copied();
                    prop_assert_eq!(row, now.insert(name).then_some(name), "a name twice in one pass counts once");
                }
                let mut vanished = BTreeSet::new();
                roster.end(|name| { vanished.insert(name); });
                prop_assert_eq!(vanished, before.difference(&now).copied().collect::<BTreeSet<_>>());
                prop_assert_eq!(roster.values().map(|name| *name).collect::<BTreeSet<_>>(), now.clone());
                before = now;
            }
        }
    }
}
