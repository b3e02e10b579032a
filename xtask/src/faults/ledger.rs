//! What the collectors noted of their ticks, machine by machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use eyre::{Result, WrapErr};

/// The ticks of one machine by their times in Unix milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Produced {
    /// About to be put into the spool.
    pub(super) intended: BTreeSet<i64>,
    /// In the spool, under which epoch and sequence.
    pub(super) appended: BTreeMap<i64, (String, u64)>,
    /// Times that were noted twice: then they cannot tell ticks apart.
    pub(super) ambiguous: usize,
}

/// What every machine produced.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    pub(super) machines: BTreeMap<String, Produced>,
}

impl Ledger {
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut ledger = Self::default();
        for path in paths {
            ledger.read_one(path)?;
        }
        Ok(ledger)
    }

    fn read_one(&mut self, path: &Path) -> Result<()> {
        let text = std::fs::read_to_string(path)
            .wrap_err_with(|| format!("failed to read the ledger {}", path.display()))?;
        text.lines().for_each(|line| self.take(line));
        Ok(())
    }

    /// Takes a line; one that was cut off says nothing.
    fn take(&mut self, line: &str) {
        let fields: Vec<&str> = line.split(' ').collect();
        match fields[..] {
            ["i", machine, at] => {
                if let Ok(at) = at.parse() {
                    let produced = self.machines.entry(machine.to_owned()).or_default();
                    produced.ambiguous += usize::from(!produced.intended.insert(at));
                }
            }
            ["a", machine, at, epoch, sequence] => {
                if let (Ok(at), Ok(sequence)) = (at.parse(), sequence.parse()) {
                    let produced = self.machines.entry(machine.to_owned()).or_default();
                    produced.appended.insert(at, (epoch.to_owned(), sequence));
                }
            }
            _ => {}
        }
    }

    /// Only what is from before a moment.
    pub(super) fn until(mut self, limit: i64) -> Self {
        for produced in self.machines.values_mut() {
            produced.intended.retain(|at| *at <= limit);
            produced.appended.retain(|at, _| *at <= limit);
        }
        self
    }

    /// How many ticks are in spools or beyond.
    pub(super) fn appended(&self) -> usize {
        self.machines
            .values()
            .map(|produced| produced.appended.len())
            .sum()
    }
}

#[cfg(test)]
pub(super) fn of_lines(lines: &[&str]) -> Ledger {
    let mut ledger = Ledger::default();
    lines.iter().for_each(|line| ledger.take(line));
    ledger
}
