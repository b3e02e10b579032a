//! What a fleet needs to be one of the past: it is fed from history instead of by collectors, and every step of it is told.

use sysmon_api::{ApiError, wire};
use sysmon_core::MachineId;

use super::subscription::Wish;
use super::window::Window;
use super::{ClientId, Fleet};

impl Fleet {
    /// Checks what a client asks for, without opening it.
    ///
    /// # Errors
    /// [`sysmon_api::Code::InvalidArgument`] for what is out of bounds.
    pub(crate) fn check_wish(subscribe: &wire::Subscribe) -> Result<(), ApiError> {
        subscribe.window.as_ref().map(Window::check).transpose()?;
        Wish::check(subscribe).map(drop)
    }

    /// Has a subscription get an update even when nothing has changed.
    pub(crate) fn nudge(&mut self, client: ClientId, number: u32) {
        let Some(index) = self.index_of(client, number) else {
            return;
        };
        if let Some(subscription) = &mut self.subscriptions[index] {
            // A version that the totals never have.
            subscription.totals_version = u64::MAX;
            self.activate(index);
        }
    }

    /// Whether a subscription has been told everything, acknowledged or not.
    pub(crate) fn is_told(&self, client: ClientId, number: u32) -> bool {
        self.index_of(client, number)
            .and_then(|index| self.subscriptions[index].as_ref())
            .is_none_or(|subscription| !subscription.has_work(self.totals.version()))
    }

    /// The machines that a subscription covers, at most `most` of them.
    pub(crate) fn covered(&self, client: ClientId, number: u32, most: usize) -> Vec<MachineId> {
        let subscription = self
            .index_of(client, number)
            .and_then(|index| self.subscriptions[index].as_ref());
        let cursors = subscription
            .into_iter()
            .flat_map(|subscription| &subscription.cursors);
        let covered = cursors.filter(|(_, cursor)| !cursor.is_leaving);
        covered
            .take(most)
            .map(|(machine, _)| self.machines[*machine as usize].id.clone())
            .collect()
    }
}
