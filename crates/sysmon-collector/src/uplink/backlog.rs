//! What a stream sends beside what is live: what was kept while it could not be delivered, as far as it is granted.

use std::collections::VecDeque;

use sysmon_api::wire;
use wire::push_request::Body as Request;

use crate::spool::{Broken, Keeper};

/// The backlog as one stream sends it. At most one piece of it (64 KiB) is in memory.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// How many messages may still be sent.
    credit: u64,
    ready: VecDeque<wire::Backlog>,
    /// There may be more in the spool than is ready.
    may_have_more: bool,
    /// The other side is to hear how much waits.
    is_unsaid: bool,
}

impl Backlog {
    /// There is backlog, or there may be.
    pub(super) fn appears(&mut self) {
        self.may_have_more = true;
        self.is_unsaid = true;
    }

    /// The spool could be read again after it could not.
    pub(super) fn looks_again(&mut self) {
        self.may_have_more = true;
    }

    /// The spool gives something again that came before.
    pub(super) fn rewound(&mut self) {
        self.ready.clear();
        self.appears();
    }

    /// So many more messages may be sent.
    pub(super) fn grant(&mut self, messages: u32) {
        self.credit = self.credit.saturating_add(messages.into());
    }

    /// Whether there may be something to say.
    pub(super) fn is_talkative(&self) -> bool {
        self.is_unsaid || (self.credit > 0 && (self.may_have_more || !self.ready.is_empty()))
    }

    /// The next thing to say, if there is one.
    pub(super) async fn next(&mut self, keeper: &mut Keeper) -> Result<Option<Request>, Broken> {
        if std::mem::take(&mut self.is_unsaid) {
            let batches = keeper.waiting()?.saturating_add(self.ready.len() as u64);
            if batches > 0 {
                let waiting = wire::BacklogWaiting { batches };
                return Ok(Some(Request::BacklogWaiting(waiting)));
            }
        }
        if self.credit == 0 {
            return Ok(None);
        }
        if self.ready.is_empty() {
            self.ready = keeper.next_backlog().await?.into();
            self.may_have_more = !self.ready.is_empty();
        }
        let Some(message) = self.ready.pop_front() else {
            return Ok(None);
        };
        self.credit -= 1;
        // Then the other side hears that there is more.
        self.is_unsaid = self.credit == 0;
        Ok(Some(Request::Backlog(message)))
    }
}
