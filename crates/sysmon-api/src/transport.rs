//! What a connection runs over, and who is at its other end.

use std::fmt;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::sync::mpsc;

use crate::error::ApiError;

/// The largest message, in bytes, either way.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What a client takes beyond that, so that a message that the server let pass is never refused here.
pub(crate) const MESSAGE_BYTES_SLACK: usize = 64 * 1024;
/// Both sides of the memory pipe of an in-process connection.
const PIPE_BYTES: usize = 64 * 1024;
/// In-process connections that wait to be accepted; whoever makes one more waits too.
pub(crate) const IN_PROCESS_BACKLOG: usize = 16;

/// Any stream of bytes.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Who is at the other end of a connection, as far as the operating system knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Tcp(SocketAddr),
    #[cfg_attr(not(unix), expect(dead_code, reason = "there are no Unix sockets"))]
    Unix {
        uid: u32,
    },
    InProcess,
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(formatter, "{address}"),
            Self::Unix { uid } => write!(formatter, "local user {uid}"),
            Self::InProcess => formatter.write_str("this process"),
        }
    }
}

/// Connects to a server in the same process, through memory and with no socket.
///
/// At most 16 connections wait to be accepted; making one more waits until there is room.
#[derive(Clone)]
pub struct InProcess {
    connections: mpsc::Sender<DuplexStream>,
}

impl fmt::Debug for InProcess {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("InProcess")
    }
}

impl InProcess {
    pub(crate) fn channel() -> (Self, mpsc::Receiver<DuplexStream>) {
        let (connections, accepted) = mpsc::channel(IN_PROCESS_BACKLOG);
        (Self { connections }, accepted)
    }

    pub(crate) async fn connect(&self) -> Result<DuplexStream, ApiError> {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        match self.connections.send(theirs).await {
            Ok(()) => Ok(ours),
            Err(_) => Err(ApiError::unavailable(
                "the server of this process has stopped; start again",
            )),
        }
    }
}
