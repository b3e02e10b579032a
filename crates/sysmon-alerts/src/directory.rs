//! Names and labels of machines, for whoever tells people of them.

use std::sync::Arc;

use sysmon_core::MachineId;

use crate::message::{Host, Hosts};

/// What is known of machines. Of those that are gone since the start, what was known last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    pub(crate) hosts: Arc<Hosts>,
    /// All of the fleet was heard of.
    pub(crate) is_complete: bool,
}

impl Directory {
    /// Returns whether anything changed.
    pub(crate) fn put(&mut self, id: &MachineId, host: Host) -> bool {
        if self.hosts.get(id) == Some(&host) {
            return false;
        }
        Arc::make_mut(&mut self.hosts).insert(id.clone(), host);
        true
    }

    pub(crate) fn remove(&mut self, id: &MachineId) -> bool {
        self.hosts.contains_key(id) && Arc::make_mut(&mut self.hosts).remove(id).is_some()
    }

    pub(crate) fn complete(&mut self) -> bool {
        !std::mem::replace(&mut self.is_complete, true)
    }
}
