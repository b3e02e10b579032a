//! Serving: whoever has something to serve implements [`Backend`].

mod adapter;
mod call;
mod connection;
mod control;
mod listener;
mod services;
#[cfg(unix)]
mod unix;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use futures_util::stream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::{Identity, ServerTlsConfig};

use self::listener::{Acceptor, Source};
use crate::auth::{Access, Gate, Principal};
use crate::error::{ApiError, Code};
use crate::outgoing::Outgoing;
use crate::streams::{Inbound, Outbound};
use crate::transport::InProcess;
use crate::wire;

#[cfg(test)]
pub(crate) use services::DESCRIPTORS;

/// A client that is silent for so long is asked whether it is still there.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long it has to answer.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Calls of one connection at a time; a client that makes one more waits.
const CALLS_PER_CONNECTION_MAX: u32 = 256;
/// How long clients that do not take notice of the end hold up a shutdown. With the second that a backend may take
/// after that, it is less than the five that those who shut down have.
const DRAIN: Duration = Duration::from_secs(3);
/// What a client may send in one call, and in all calls of a connection, before the backend has read it: bounds what
/// a connection can cost.
const CALL_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// All headers of a call.
const HEADER_BYTES_MAX: u32 = 16 * 1024;

/// What an aggregator does behind the wire. Every method has been authorised for its principal before it is called;
/// returning ends the call, an error with that status.
///
/// When the caller is gone, its token is revoked or the server stops, [`Inbound::next`] fails and [`Outbound`] is
/// closed; a method that has not returned a second later is dropped where it waits. So what must happen at the end of
/// a call belongs into a destructor, or before the first wait after either of the two.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// The whole life of one collector's stream. Whether the principal may report for the machine that the hello
    /// names is checked here: [`Principal::may_report`].
    async fn push(
        &self,
        principal: Principal,
        requests: Inbound<wire::PushRequest>,
        responses: Outbound<wire::PushResponse>,
    ) -> Result<(), ApiError>;

    /// The whole life of one interactive client's stream. Single commands may ask for more than a viewer:
    /// [`Principal::allows`].
    async fn manage(
        &self,
        principal: Principal,
        commands: Inbound<wire::Command>,
        responses: Outbound<Outgoing>,
    ) -> Result<(), ApiError>;

    /// Streams values until the client goes.
    async fn stream_metrics(
        &self,
        principal: Principal,
        request: wire::MetricsRequest,
        metrics: Outbound<wire::Metric>,
    ) -> Result<(), ApiError>;

    /// What is known of one machine now.
    async fn current_state(
        &self,
        principal: Principal,
        request: wire::StateRequest,
    ) -> Result<wire::MachineState, ApiError>;

    /// The past of machines, all at once.
    async fn history(
        &self,
        principal: Principal,
        request: wire::HistoryRequest,
    ) -> Result<wire::HistoryReply, ApiError>;

    /// All rules, sorted by id. A backend that keeps none need not implement this, nor what follows.
    async fn list_rules(&self, _principal: Principal) -> Result<wire::ListRulesReply, ApiError> {
        Err(no_rules())
    }

    /// Makes or replaces a rule; a reply that says `conflict` when somebody else changed it.
    async fn put_rule(
        &self,
        _principal: Principal,
        _request: wire::PutRuleRequest,
    ) -> Result<wire::ChangeReply, ApiError> {
        Err(no_rules())
    }

    /// Removes a rule; likewise.
    async fn delete_rule(
        &self,
        _principal: Principal,
        _request: wire::DeleteRuleRequest,
    ) -> Result<wire::ChangeReply, ApiError> {
        Err(no_rules())
    }

    /// Who changed what, newest first.
    async fn list_audit(
        &self,
        _principal: Principal,
        _request: wire::ListAuditRequest,
    ) -> Result<wire::ListAuditReply, ApiError> {
        Err(no_rules())
    }
}

fn no_rules() -> ApiError {
    ApiError::new(Code::FailedPrecondition, "no rules are kept here")
}

/// What a server proves its name with.
#[derive(Clone)]
pub struct TlsIdentity {
    /// The certificate, followed by those between it and the authority, as PEM.
    pub cert_pem: Vec<u8>,
    /// Its private key as PEM.
    pub key_pem: Vec<u8>,
}

impl TlsIdentity {
    /// Reads both from files.
    ///
    /// # Errors
    /// [`Code::FailedPrecondition`] naming the file that cannot be read.
    pub fn read(cert: &Path, key: &Path) -> Result<Self, ApiError> {
        let read = |path: &Path, option| {
            std::fs::read(path).map_err(|error| {
                ApiError::new(
                    Code::FailedPrecondition,
                    format!(
                        "cannot read {}: {error}; {option} names a PEM file",
                        path.display()
                    ),
                )
            })
        };
        Ok(Self {
            cert_pem: read(cert, "--tls-cert")?,
            key_pem: read(key, "--tls-key")?,
        })
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TlsIdentity")
    }
}

/// Serves a [`Backend`] on any number of addresses, sockets and in-process connections.
///
/// A TCP listener has at most 20,000 connections at a time, a socket and the own process 1,000 each; one more is closed
/// as soon as it is accepted. A connection has at most 256 calls at a time. A message has at most 4 MiB.
pub struct Server {
    backend: Arc<dyn Backend>,
    access: Arc<Access>,
    sources: Vec<Source>,
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Server")
            .field("access", &self.access)
            .field("listeners", &self.sources.len())
            .finish_non_exhaustive()
    }
}

impl Server {
    /// A server that does not listen anywhere yet.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, access: Arc<Access>) -> Self {
        Self {
            backend,
            access,
            sources: Vec::new(),
        }
    }

    /// Listens on an address from now on, with TLS when there is an identity, and returns the address with the port
    /// that was chosen if it was 0. Connections wait until [`Server::serve`] runs.
    ///
    /// # Errors
    /// [`ApiError`] when the address is taken or not ours, or the certificate and key do not go together.
    pub async fn bind_tcp(
        &mut self,
        address: SocketAddr,
        tls: Option<TlsIdentity>,
    ) -> Result<SocketAddr, ApiError> {
        self.bind_tcp_after(address, tls, |_, _| ()).await
    }

    /// The same, but something else is bound first, when the address is certain and before anybody can connect to it: a
    /// client that finds this address open finds the other open too.
    ///
    /// # Errors
    /// As [`Server::bind_tcp`].
    pub async fn bind_tcp_after(
        &mut self,
        address: SocketAddr,
        tls: Option<TlsIdentity>,
        bind_other: impl FnOnce(&mut Self, SocketAddr),
    ) -> Result<SocketAddr, ApiError> {
        let tls = tls
            .map(|identity| tls_config(&identity))
            .transpose()?
            .map(Box::new);
        let failed = |error| listener::listen_error(address, &error);
        let socket = listener::reserve(address).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        bind_other(self, address);
        let listener = listener::listen(socket).map_err(failed)?;
        self.sources.push(Source::Tcp { listener, tls });
        Ok(address)
    }

    /// Listens on a Unix socket from now on, for the own user only. Its folder is created if need be; a socket that
    /// nothing answers on is replaced. The socket is removed when the server ends.
    ///
    /// # Errors
    /// [`Code::AlreadyExists`] when another server answers there; [`Code::FailedPrecondition`] when others may write to
    /// the folder, or the system has no such sockets; [`Code::Internal`] outside of a tokio runtime.
    #[cfg_attr(not(unix), expect(unused_variables, reason = "there are no Unix sockets"))]
    pub fn bind_unix(&mut self, path: &Path) -> Result<(), ApiError> {
        #[cfg(unix)]
        {
            self.sources.push(Source::Unix(unix::UnixSocket::bind(path)?));
            Ok(())
        }
        #[cfg(not(unix))]
        Err(ApiError::new(
            Code::FailedPrecondition,
            "this system has no Unix sockets; listen on an address and use tokens",
        ))
    }

    /// Takes connections from the own process.
    #[must_use]
    pub fn in_process(&mut self) -> InProcess {
        let (connector, connections) = InProcess::channel();
        self.sources.push(Source::InProcess(connections));
        connector
    }

    /// Serves until `shutdown` fires; then it accepts no more, ends every call with [`Code::Unavailable`] and returns
    /// as soon as all connections are closed and all streaming calls have returned. Connections that are open after 3 s
    /// are cut; dropping the future does so at once.
    ///
    /// # Errors
    /// [`Code::Internal`] only for a mistake of ours.
    pub async fn serve(self, shutdown: CancellationToken) -> Result<(), ApiError> {
        let dropped = CancellationToken::new();
        let _guard = dropped.clone().drop_guard();
        let calls = TaskTracker::new();
        let services = services::services(self.backend, calls.clone()).await?;
        let gate = Gate::new(services, Arc::clone(&self.access), shutdown.clone());
        let listeners = self.sources.into_iter().map(|source| {
            let tls = match &source {
                Source::Tcp { tls, .. } => tls.clone(),
                _ => None,
            };
            let acceptor = Acceptor::new(source, dropped.clone());
            serve_source(acceptor, tls, gate.clone(), shutdown.clone())
        });
        let listeners = async {
            // Without any listener there is still nothing to do before the end.
            let (results, ()) = tokio::join!(join_all(listeners), shutdown.cancelled());
            calls.close();
            calls.wait().await;
            results.into_iter().collect()
        };
        let cut = async {
            shutdown.cancelled().await;
            tokio::time::sleep(DRAIN).await;
            dropped.cancel();
        };
        let side_work = async { tokio::join!(self.access.watch(), cut) };
        tokio::select! {
            result = listeners => result,
            (never, ()) = side_work => match never {},
        }
    }
}

fn tls_config(identity: &TlsIdentity) -> Result<ServerTlsConfig, ApiError> {
    let config = ServerTlsConfig::new()
        .identity(Identity::from_pem(&identity.cert_pem, &identity.key_pem))
        .timeout(HANDSHAKE_TIMEOUT);
    // What is wrong with the files is to be said now and not when the first client comes.
    let checked = tonic::transport::Server::builder().tls_config(config.clone());
    checked.map(|_| config).map_err(|error| {
        ApiError::invalid(format!(
            "the certificate and key cannot be used: {}; give both as PEM, and the key that belongs to the certificate",
            crate::error::causes(&error)
        ))
    })
}

async fn serve_source<S>(
    acceptor: Acceptor,
    tls: Option<Box<ServerTlsConfig>>,
    gate: Gate<S>,
    shutdown: CancellationToken,
) -> Result<(), ApiError>
where
    Gate<S>: tower::Service<
            http::Request<tonic::body::Body>,
            Response = http::Response<tonic::body::Body>,
            Error = std::convert::Infallible,
            Future: Send,
        > + Clone
        + Send
        + 'static,
{
    let failed = |error: tonic::transport::Error| ApiError::new(Code::Internal, crate::error::causes(&error));
    let mut builder = tonic::transport::Server::builder()
        .max_concurrent_streams(CALLS_PER_CONNECTION_MAX)
        .initial_stream_window_size(CALL_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_max_header_list_size(HEADER_BYTES_MAX);
    if acceptor.needs_keepalive() {
        builder = builder
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT));
    }
    if let Some(tls) = tls {
        builder = builder.tls_config(*tls).map_err(failed)?;
    }
    let connections = stream::unfold(acceptor, async |mut acceptor| {
        let connection = acceptor.accept().await;
        Some((Ok::<_, std::io::Error>(connection), acceptor))
    });
    builder
        .serve_with_incoming_shutdown(gate, Box::pin(connections), shutdown.cancelled_owned())
        .await
        .map_err(failed)
}
