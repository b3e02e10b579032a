//! The places of machines in the order of their ids, kept because comparing names is most of what sorting would cost.

use std::cmp::Ordering;

use super::machine::Machine;

/// For every machine its place among all, by number. Machines are never removed and keep their ids.
#[derive(Debug, Default)]
pub(super) struct Names {
    ranks: Vec<u32>,
}

impl Names {
    /// The places, brought up to date when machines have come.
    pub(super) fn ranks(&mut self, machines: &[Machine]) -> &[u32] {
        if self.ranks.len() != machines.len() {
            let mut numbers: Vec<u32> = (0..u32::try_from(machines.len()).unwrap_or(u32::MAX)).collect();
            let id = |number: u32| machines[number as usize].id.as_str();
            numbers.sort_unstable_by(|a, b| natural(id(*a), id(*b)));
            self.ranks = vec![0; machines.len()];
            for (rank, number) in (0u32..).zip(numbers) {
                self.ranks[number as usize] = rank;
            }
        }
        &self.ranks
    }
}

/// Names in the order that people expect: `web-2` before `web-10`.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    loop {
        let (Some(x), Some(y)) = (left.first(), right.first()) else {
            // One begins with the other, or they differ in case or leading zeros alone.
            return left.len().cmp(&right.len()).then_with(|| a.cmp(b));
        };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let ((number, rest), (other, other_rest)) = (digits(left), digits(right));
            match number.len().cmp(&other.len()).then_with(|| number.cmp(other)) {
                Ordering::Equal => (left, right) = (rest, other_rest),
                unequal => return unequal,
            }
        } else {
            match x.to_ascii_lowercase().cmp(&y.to_ascii_lowercase()) {
                Ordering::Equal => (left, right) = (&left[1..], &right[1..]),
                unequal => return unequal,
            }
        }
    }
}

/// The number that a text begins with, without leading zeros, and what follows.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let start = number.iter().position(|byte| *byte != b'0').unwrap_or(end);
    (&number[start..], rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_people_count() {
        let mut names = ["web-10", "web-2", "db", "Web-3", "web", "web-02", "web-2a"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(
            names,
            ["db", "web", "web-02", "web-2", "web-2a", "Web-3", "web-10"]
        );
    }
}
