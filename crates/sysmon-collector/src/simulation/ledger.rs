//! An independent witness of what was produced: every tick is noted before and after it is in the spool, in a file that
//! is only appended to. Whoever kills this process finds the notes that were made; what was intended and not noted as
//! kept is in the spool or not.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use sysmon_core::{Epoch, MachineId, UnixMillis};

/// Is told of every tick that goes into a spool.
pub(crate) trait Witness: Send + Sync + std::fmt::Debug {
    /// A tick is about to be appended.
    fn intended(&self, at: UnixMillis);

    /// It was appended: from now on it survives the process.
    fn appended(&self, epoch: Epoch, sequence: u64, at: UnixMillis);
}

/// The file; clones share it. Each note is one line, written by one call, so that lines of machines and processes never
/// mix: `i MACHINE UNIX_MS` for what is intended, `a MACHINE UNIX_MS EPOCH SEQUENCE` for what was appended.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    file: Arc<File>,
}

impl Ledger {
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self { file: Arc::new(file) })
    }

    /// The witness of one machine.
    pub(super) fn witness(&self, machine: &MachineId) -> Arc<dyn Witness> {
        Arc::new(OfMachine {
            ledger: self.clone(),
            machine: machine.clone(),
        })
    }

    fn note(&self, line: &str) {
        if let Err(error) = (&*self.file).write_all(line.as_bytes()) {
            // Whoever reads the ledger must not take the rest for all.
            tracing::error!(%error, "the ledger cannot be written");
        }
    }
}

#[derive(Debug)]
struct OfMachine {
    ledger: Ledger,
    machine: MachineId,
}

impl Witness for OfMachine {
    fn intended(&self, at: UnixMillis) {
        self.ledger.note(&format!("i {} {}\n", self.machine, at.0));
    }

    fn appended(&self, epoch: Epoch, sequence: u64, at: UnixMillis) {
        let line = format!("a {} {} {epoch} {sequence}\n", self.machine, at.0);
        self.ledger.note(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_machines_note_stands_line_by_line_and_survives_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        for machine in ["a-1", "b-2"] {
            let machine = MachineId::parse(machine).unwrap();
            let witness = Ledger::open(&path).unwrap().witness(&machine);
            witness.intended(UnixMillis(5));
            witness.appended(Epoch([1; 16]), 7, UnixMillis(5));
        }
        let epoch = "01".repeat(16);
        let expected = format!("i a-1 5\na a-1 5 {epoch} 7\ni b-2 5\na b-2 5 {epoch} 7\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    }
}
