//! Making connections.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tower::Service;

use super::endpoint::Target;
use crate::transport::{InProcess, Stream};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Connects to one target, anew for every connection.
#[derive(Clone)]
pub(super) struct Connector {
    way: Way,
}

#[derive(Clone)]
enum Way {
    Tcp {
        connector: HttpConnector,
        /// The socket that the server's own user may take instead.
        #[cfg_attr(not(unix), expect(dead_code, reason = "there are no Unix sockets"))]
        local_socket: Option<std::path::PathBuf>,
    },
    Unix(std::path::PathBuf),
    InProcess(InProcess),
}

impl Connector {
    /// `local_socket` is tried before an address.
    pub(super) fn new(
        target: &Target,
        local_socket: Option<std::path::PathBuf>,
        connect_timeout: Duration,
    ) -> Self {
        let way = match target {
            Target::Tcp { .. } => {
                let mut connector = HttpConnector::new();
                connector.enforce_http(false);
                connector.set_nodelay(true);
                connector.set_connect_timeout(Some(connect_timeout));
                Way::Tcp {
                    connector,
                    local_socket,
                }
            }
            Target::Unix(path) => Way::Unix(path.clone()),
            Target::InProcess(server) => Way::InProcess(server.clone()),
        };
        Self { way }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Stream>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let way = self.way.clone();
        Box::pin(async move { Ok(TokioIo::new(way.connect(uri).await?)) })
    }
}

impl Way {
    async fn connect(self, uri: Uri) -> Result<Box<dyn Stream>, BoxError> {
        match self {
            #[cfg(unix)]
            Self::Tcp {
                local_socket: Some(path),
                mut connector,
            } => match connect_own(&path).await {
                Some(stream) => Ok(Box::new(stream)),
                None => Ok(Box::new(connector.call(uri).await?.into_inner())),
            },
            Self::Tcp { mut connector, .. } => Ok(Box::new(connector.call(uri).await?.into_inner())),
            #[cfg(unix)]
            Self::Unix(path) => Ok(Box::new(tokio::net::UnixStream::connect(path).await?)),
            #[cfg(not(unix))]
            Self::Unix(_) => Err(io::Error::from(io::ErrorKind::Unsupported).into()),
            Self::InProcess(server) => match server.connect().await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(io::Error::new(io::ErrorKind::NotConnected, error).into()),
            },
        }
    }
}

/// Connects to a socket of the own user; to nobody else's, for whoever serves there could be anybody.
#[cfg(unix)]
async fn connect_own(path: &std::path::Path) -> Option<tokio::net::UnixStream> {
    use crate::private_path;

    let own_uid = private_path::own_uid();
    if private_path::owner_of_socket(path)? != own_uid {
        return None;
    }
    private_path::check_folder(path.parent()?).ok()?;
    let stream = tokio::net::UnixStream::connect(path).await.ok()?;
    let is_own = stream.peer_cred().is_ok_and(|peer| peer.uid() == own_uid);
    is_own.then_some(stream)
}
