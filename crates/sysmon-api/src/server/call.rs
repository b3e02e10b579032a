//! One streaming call: the backend's future, and the messages that it sends.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::error::{ApiError, Code};
use crate::streams::Outbound;

/// Messages between a backend and the wire; a backend that sends more waits.
const QUEUE: usize = 4;
/// How long a backend whose caller is gone may take to put its things in order. Then its future is dropped.
const GRACE: Duration = Duration::from_secs(1);

/// What a backend sends in one call. Dropping it tells the backend that the caller is gone.
pub(super) struct Call<T> {
    messages: mpsc::Receiver<Result<T, ApiError>>,
    work: Work,
    _gone: DropGuard,
}

enum Work {
    Running(JoinHandle<Result<(), ApiError>>),
    /// The backend is done; what it has sent is still to be delivered, then its failure.
    Done(Option<ApiError>),
}

impl<T: Send + 'static> Call<T> {
    /// Starts a backend's future, which `gone` tells to end, as one of `calls`.
    pub(super) fn start<W>(
        calls: &TaskTracker,
        gone: CancellationToken,
        work: impl FnOnce(Outbound<T>) -> W,
    ) -> Self
    where
        W: Future<Output = Result<(), ApiError>> + Send + 'static,
    {
        let (outbound, messages) = Outbound::channel(QUEUE);
        let work = work(outbound);
        let overdue = {
            let gone = gone.clone();
            async move {
                gone.cancelled_owned().await;
                tokio::time::sleep(GRACE).await;
            }
        };
        let task = async move {
            tokio::select! {
                biased;
                result = work => result,
                () = overdue => Err(ApiError::unavailable("the caller is gone")),
            }
        };
        Self {
            messages,
            work: Work::Running(calls.spawn(task)),
            _gone: gone.drop_guard(),
        }
    }
}

impl<T> Stream for Call<T> {
    type Item = Result<T, tonic::Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Work::Running(task) = &mut this.work
            && let Poll::Ready(result) = Pin::new(task).poll(context)
        {
            // Others may have clones of the sender; they see now that the call is over.
            this.messages.close();
            this.work = Work::Done(match result {
                Ok(result) => result.err(),
                Err(error) => {
                    tracing::error!(%error, "a call failed");
                    Some(ApiError::new(
                        Code::Internal,
                        "the server has made a mistake; its log has more, please report it",
                    ))
                }
            });
        }
        match (ready!(this.messages.poll_recv(context)), &mut this.work) {
            (Some(message), _) => Poll::Ready(Some(message.map_err(Into::into))),
            (None, Work::Done(failure)) => Poll::Ready(failure.take().map(|error| Err(error.into()))),
            // No sender is left, but the backend goes on; its task wakes us.
            (None, Work::Running(_)) => Poll::Pending,
        }
    }
}
