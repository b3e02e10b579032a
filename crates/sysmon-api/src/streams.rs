//! The two halves of a stream, as those who serve and those who ask see them.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::client::Remote;
use crate::error::ApiError;

/// The other side is gone; whoever sends can stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the stream is closed")]
pub struct Closed;

enum Source<T> {
    /// What a client sends; `gone` fires when its call is over.
    Served(Box<tonic::Streaming<T>>, CancellationToken),
    /// What a server sends. When it ends or nobody looks any more, so does what goes to the server.
    Asked(Box<tonic::Streaming<T>>, Arc<Remote>, Option<DropGuard>),
    Channel(mpsc::Receiver<T>),
}

/// Messages from the other side, in order.
pub struct Inbound<T> {
    source: Source<T>,
}

impl<T> fmt::Debug for Inbound<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Inbound")
    }
}

impl<T> Inbound<T> {
    pub(crate) fn served(stream: tonic::Streaming<T>, gone: CancellationToken) -> Self {
        Self {
            source: Source::Served(Box::new(stream), gone),
        }
    }

    /// `outgoing` ends what is sent in the same call.
    pub(crate) fn asked(
        stream: tonic::Streaming<T>,
        remote: Arc<Remote>,
        outgoing: Option<DropGuard>,
    ) -> Self {
        Self {
            source: Source::Asked(Box::new(stream), remote, outgoing),
        }
    }

    /// A stream fed from a channel, for tests of whoever reads it.
    #[must_use]
    pub fn from_receiver(receiver: mpsc::Receiver<T>) -> Self {
        Self {
            source: Source::Channel(receiver),
        }
    }

    /// The next message; `None` when the other side has ended the stream. Safe to cancel.
    ///
    /// # Errors
    /// What broke the stream.
    pub async fn next(&mut self) -> Result<Option<T>, ApiError> {
        match &mut self.source {
            Source::Served(stream, gone) => tokio::select! {
                biased;
                () = gone.cancelled() => Err(ApiError::unavailable("the call is over")),
                message = stream.message() => Ok(message?),
            },
            Source::Asked(stream, remote, outgoing) => {
                let result = stream.message().await;
                if !matches!(result, Ok(Some(_))) {
                    *outgoing = None;
                }
                result.map_err(|status| remote.explain(&status))
            }
            Source::Channel(receiver) => Ok(receiver.recv().await),
        }
    }
}

/// Messages to the other side. Bounded: when the other side is slow, [`Outbound::send`] waits.
pub struct Outbound<T> {
    sender: mpsc::Sender<Result<T, ApiError>>,
}

impl<T> Clone for Outbound<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
        }
    }
}

impl<T> fmt::Debug for Outbound<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Outbound")
    }
}

impl<T> Outbound<T> {
    /// A pair of which the receiver is what would go on the wire.
    #[must_use]
    pub fn channel(capacity: usize) -> (Self, mpsc::Receiver<Result<T, ApiError>>) {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        (Self { sender }, receiver)
    }

    /// Sends a message, waiting for room. Safe to cancel: then nothing was sent.
    ///
    /// # Errors
    /// [`Closed`] when the other side is gone.
    pub async fn send(&self, message: impl Into<T>) -> Result<(), Closed> {
        self.sender.send(Ok(message.into())).await.map_err(|_| Closed)
    }

    /// Sends a message if there is room right now; gives it back when there is none.
    ///
    /// # Errors
    /// The message, when the queue is full or the other side is gone; [`Outbound::is_closed`] tells which.
    pub fn try_send(&self, message: T) -> Result<(), T> {
        self.sender
            .try_send(Ok(message))
            .map_err(|refused| match refused.into_inner() {
                Ok(message) => message,
                Err(_) => unreachable!("an Ok was put in"),
            })
    }

    /// Ends the stream with a failure, waiting for room.
    pub async fn fail(&self, error: ApiError) {
        // When the other side is gone there is nobody to tell.
        let _ = self.sender.send(Err(error)).await;
    }

    /// Whether the other side is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Waits until the other side is gone.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }
}
