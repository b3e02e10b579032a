//! Where connections come from.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::transport::ServerTlsConfig;

use super::connection::Connection;
#[cfg(unix)]
use super::unix::UnixSocket;
use crate::error::{ApiError, Code};
use crate::throttle::Throttle;
use crate::transport::{Peer, Stream};

/// Connections of one listener at a time. One more is closed as soon as it is accepted, with a warning; its client
/// backs off and tries again.
pub(super) const REMOTE_CONNECTIONS_MAX: usize = 20_000;
/// The same for a listener on this machine; remote clients can never take these.
pub(super) const LOCAL_CONNECTIONS_MAX: usize = 1_000;
/// Connections that the kernel holds before they are accepted: what a fleet does when its aggregator comes back.
const BACKLOG: u32 = 4_096;
/// How long to wait when the system gives no more descriptors.
const PAUSE: Duration = Duration::from_millis(100);
const WARN_PERIOD: Duration = Duration::from_secs(10);

pub(super) enum Source {
    Tcp {
        listener: TcpListener,
        tls: Option<Box<ServerTlsConfig>>,
    },
    #[cfg(unix)]
    Unix(UnixSocket),
    InProcess(mpsc::Receiver<DuplexStream>),
}

/// Takes an address, so that one in use is reported before anything starts. Nobody can connect until [`listen`].
pub(super) fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restarted server need not wait until the kernel has forgotten its old connections. Elsewhere than on Unix
    // the option would let two servers share the address.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Lets the kernel take connections from now on.
pub(super) fn listen(socket: TcpSocket) -> io::Result<TcpListener> {
    socket.listen(BACKLOG)
}

/// Why an address cannot be listened on, and what to do.
pub(super) fn listen_error(address: SocketAddr, error: &io::Error) -> ApiError {
    let (code, remedy) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            Code::AlreadyExists,
            "stop what listens there, or choose another address",
        ),
        io::ErrorKind::PermissionDenied => (Code::PermissionDenied, "choose a port above 1023"),
        io::ErrorKind::AddrNotAvailable => (
            Code::FailedPrecondition,
            "this machine does not have that address; 0.0.0.0 or [::] listens on all it has",
        ),
        _ => (Code::FailedPrecondition, "choose another address"),
    };
    ApiError::new(code, format!("cannot listen on {address}: {error}; {remedy}"))
}

/// The connections of one source.
pub(super) struct Acceptor {
    source: Source,
    room: Arc<Semaphore>,
    dropped: CancellationToken,
    warnings: Throttle,
}

impl Acceptor {
    pub(super) fn new(source: Source, dropped: CancellationToken) -> Self {
        let connections = match source {
            Source::Tcp { .. } => REMOTE_CONNECTIONS_MAX,
            _ => LOCAL_CONNECTIONS_MAX,
        };
        Self {
            source,
            room: Arc::new(Semaphore::new(connections)),
            dropped,
            warnings: Throttle::new(WARN_PERIOD),
        }
    }

    /// Whether a client of it may hang or vanish while this process goes on.
    pub(super) fn needs_keepalive(&self) -> bool {
        !matches!(self.source, Source::InProcess(_))
    }

    /// The next connection; whatever goes wrong with one, the next is waited for.
    pub(super) async fn accept(&mut self) -> Connection {
        loop {
            let (stream, peer) = match self.source.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    self.pause(&error).await;
                    continue;
                }
            };
            match Arc::clone(&self.room).try_acquire_owned() {
                Ok(permit) => return Connection::new(stream, peer, permit, self.dropped.clone()),
                Err(_) => {
                    if let Some(held_back) = self.warnings.admit(Instant::now()) {
                        tracing::warn!(%peer, held_back, "too many connections; closed one");
                    }
                }
            }
        }
    }

    async fn pause(&self, error: &io::Error) {
        // The client went away before it was accepted: nothing to wait for.
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
        ) {
            return;
        }
        if let Some(held_back) = self.warnings.admit(Instant::now()) {
            tracing::warn!(%error, held_back, "cannot accept connections; is the limit of open files too low?");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl Source {
    async fn accept(&mut self) -> io::Result<(Box<dyn Stream>, Peer)> {
        match self {
            Self::Tcp { listener, .. } => {
                let (stream, address) = listener.accept().await?;
                prepare(&stream);
                Ok((Box::new(stream), Peer::Tcp(address)))
            }
            #[cfg(unix)]
            Self::Unix(socket) => {
                let (stream, uid) = socket.accept().await?;
                Ok((Box::new(stream), Peer::Unix { uid }))
            }
            Self::InProcess(connections) => match connections.recv().await {
                Some(stream) => Ok((Box::new(stream), Peer::InProcess)),
                // Nobody can connect any more, but connections may still be open.
                None => std::future::pending().await,
            },
        }
    }
}

fn prepare(stream: &TcpStream) {
    // Without it the connection is only slower.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::transport::InProcess;

    #[tokio::test]
    async fn a_connection_too_many_is_closed_and_the_next_is_taken_when_there_is_room() {
        let (connector, connections) = InProcess::channel();
        let mut acceptor = Acceptor::new(Source::InProcess(connections), CancellationToken::new());
        let mut open = Vec::new();
        for _ in 0..LOCAL_CONNECTIONS_MAX {
            let (client, connection) = tokio::join!(connector.connect(), acceptor.accept());
            open.push((client.unwrap(), connection));
        }
        let mut refused = connector.connect().await.unwrap();
        let mut byte = [0];
        tokio::select! {
            biased;
            _ = acceptor.accept() => panic!("one connection too many was taken"),
            length = refused.read(&mut byte) => assert_eq!(length.unwrap(), 0),
        }
        open.pop();
        let (client, _connection) = tokio::join!(connector.connect(), acceptor.accept());
        client.unwrap();
    }
}
