//! The processes of all machines, for whoever keeps them.

use std::sync::Arc;

use sysmon_core::{Liveness, MachineId, ProcessTable, UnixMillis};

use super::Fleet;
use super::machine::Machine;

/// The processes of a machine as they are listed at present.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) machine: MachineId,
    /// Time of the machine's newest tick.
    pub(crate) at: UnixMillis,
    /// Shared with the fleet: whoever holds it for long makes the next list a copy.
    pub(crate) processes: Arc<ProcessTable>,
    /// Somebody looks closely.
    pub(crate) is_watched: bool,
}

impl Fleet {
    /// The processes of the machines that report to this aggregator and are alive.
    pub(crate) fn listed(&self) -> Vec<Listed> {
        self.machines.iter().filter_map(Machine::listed).collect()
    }
}

impl Machine {
    fn listed(&self) -> Option<Listed> {
        let is_ours = self
            .collector
            .as_ref()
            .is_some_and(|collector| !collector.is_remote);
        if !is_ours || self.liveness != Liveness::Live {
            return None;
        }
        Some(Listed {
            machine: self.id.clone(),
            at: *self.recent.times().back()?,
            processes: Arc::clone(self.processes.as_ref()?),
            is_watched: self.watchers_of_all > 0 || self.wishes.iter().any(|wish| wish.wants_all),
        })
    }
}
