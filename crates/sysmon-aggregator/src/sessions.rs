//! One session per stream: checks what comes from afar, and waits for the slow so that the owner need not.

mod alerts;
mod answers;
mod dry_run;
mod history;
mod manage;
mod metrics;
mod past;
mod push;
mod questions;

use std::time::Duration;

use sysmon_api::{ApiError, Code, Inbound};
use tokio::sync::mpsc;

use crate::fleet::{ClientId, StreamId};
use crate::message::Message;

pub(crate) use history::{Archive, history};
pub(crate) use manage::manage;
pub(crate) use metrics::stream_metrics;
pub(crate) use push::push;
pub(crate) use questions::{WAITING_MAX as QUESTIONS_WAITING_MAX, too_many as too_many_questions};

/// Whoever opens a stream introduces itself within this time.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// The first message of a stream; `None` when the other side left without one.
///
/// # Errors
/// What broke the stream, or [`Code::DeadlineExceeded`].
async fn first<T>(inbound: &mut Inbound<T>) -> Result<Option<T>, ApiError> {
    let timeout = |_| ApiError::new(Code::DeadlineExceeded, "no hello within 10 s; send it first");
    tokio::time::timeout(HELLO_TIMEOUT, inbound.next())
        .await
        .map_err(timeout)?
}

/// Tells the owner that a session has ended, however it does: its future may simply be dropped. When the owner's queue
/// is full at that moment, the owner finds out by itself within a second.
struct Leaving<'a> {
    owner: &'a mpsc::Sender<Message>,
    who: Who,
}

#[derive(Clone, Copy)]
enum Who {
    Stream(StreamId),
    Client(ClientId),
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let message = match self.who {
            Who::Stream(stream) => Message::CloseStream { stream },
            Who::Client(client) => Message::CloseClient { client },
        };
        // Full: see above. Closed: the owner is gone, and nothing needs to be let go.
        let _ = self.owner.try_send(message);
    }
}
