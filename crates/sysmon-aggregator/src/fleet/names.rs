//! The places of machines in the order of their ids, kept because comparing names is most of what sorting would cost.

use sysmon_core::natural;

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
