//! An accepted connection, with what ends it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use crate::transport::{Peer, Stream};

/// A peer that is there answers keepalive pings long before this; so whoever has sent nothing for so long has gone, or
/// never began to speak the protocol.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A connection that breaks when the server is dropped, and when a remote peer is silent for too long.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    peer: Peer,
    dropped: Pin<Box<WaitForCancellationFutureOwned>>,
    silence: Option<Silence>,
    _permit: OwnedSemaphorePermit,
}

struct Silence {
    heard: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Connection {
    pub(super) fn new(
        stream: Box<dyn Stream>,
        peer: Peer,
        permit: OwnedSemaphorePermit,
        dropped: CancellationToken,
    ) -> Self {
        let silence = matches!(peer, Peer::Tcp(_)).then(|| Silence {
            heard: Instant::now(),
            timer: Box::pin(tokio::time::sleep(SILENCE_MAX)),
        });
        Self {
            stream,
            peer,
            dropped: Box::pin(dropped.cancelled_owned()),
            silence,
            _permit: permit,
        }
    }

    /// What a read or write ends with that cannot go on at present: nothing yet, or the end of the connection.
    fn poll_end<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if self.dropped.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let Some(silence) = &mut self.silence else {
            return Poll::Pending;
        };
        // The timer is moved only when it fires, not with every read.
        loop {
            ready!(silence.timer.as_mut().poll(context));
            let until = silence.heard + SILENCE_MAX;
            if until <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            silence.timer.as_mut().reset(until);
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(result) => {
                if let Some(silence) = &mut self.silence {
                    silence.heard = Instant::now();
                }
                Poll::Ready(result)
            }
            Poll::Pending => self.poll_end(context),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Pending => self.poll_end(context),
            result => result,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_flush(context) {
            Poll::Pending => self.poll_end(context),
            result => result,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_shutdown(context) {
            Poll::Pending => self.poll_end(context),
            result => result,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write_vectored(context, slices) {
            Poll::Pending => self.poll_end(context),
            result => result,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::Semaphore;

    use super::*;

    fn connection(peer: Peer, dropped: &CancellationToken) -> (Connection, tokio::io::DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(64);
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        (
            Connection::new(Box::new(ours), peer, permit, dropped.clone()),
            theirs,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_remote_peer_that_is_silent_for_half_a_minute_is_cut_off() {
        let (mut connection, mut peer) =
            connection(Peer::Tcp(([192, 0, 2, 1], 1).into()), &CancellationToken::new());
        let start = Instant::now();
        tokio::spawn(async move {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(20)).await;
                peer.write_all(b"x").await.unwrap();
            }
            std::future::pending::<()>().await;
        });
        let mut bytes = Vec::new();
        let error = connection.read_to_end(&mut bytes).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!((bytes.as_slice(), start.elapsed().as_secs()), (&b"xxx"[..], 90));
    }

    #[tokio::test(start_paused = true)]
    async fn a_local_peer_may_be_silent() {
        let (mut connection, _peer) = connection(Peer::InProcess, &CancellationToken::new());
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_secs(3_600), connection.read(&mut byte));
        assert!(read.await.is_err());
    }

    #[tokio::test]
    async fn a_dropped_server_wakes_readers_and_writers() {
        let dropped = CancellationToken::new();
        let (mut connection, _peer) = connection(Peer::InProcess, &dropped);
        let writer = async {
            // More than the pipe holds, and nobody reads.
            connection.write_all(&[0; 1_000]).await.unwrap_err().kind()
        };
        let (kind, ()) = tokio::join!(writer, async { dropped.cancel() });
        assert_eq!(kind, io::ErrorKind::ConnectionAborted);
        let mut byte = [0];
        let error = connection.read(&mut byte).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }
}
