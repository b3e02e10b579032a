//! Asking: a connection to a server.

mod backoff;
mod connector;
mod endpoint;
mod remote;
mod rules;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig};
use tonic::{IntoStreamingRequest as _, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use self::connector::Connector;
use self::endpoint::Target;
use crate::auth::Secret;
use crate::error::{ApiError, Code};
use crate::generated::control_service_client::ControlServiceClient;
use crate::generated::ingest_service_client::IngestServiceClient;
use crate::generated::metrics_service_client::MetricsServiceClient;
use crate::private_path::local_socket_path;
use crate::streams::Inbound;
use crate::transport::{MESSAGE_BYTES_MAX, MESSAGE_BYTES_SLACK};
use crate::wire;

pub use backoff::Backoff;
pub use endpoint::Endpoint;
pub(crate) use remote::Remote;

const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(3);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call with a single answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a question about the past may take.
const HISTORY_TIMEOUT: Duration = Duration::from_secs(60);

/// How to reach a server.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Who we are; on the server's own machine its own user needs none.
    pub token: Option<Secret>,
    /// A PEM file with the certificate of the authority that the server's certificate comes from; without it those
    /// count that the system trusts.
    pub tls_ca: Option<PathBuf>,
    /// Sends the token to other machines even without TLS, for everybody on the way to read.
    pub insecure: bool,
    /// How long making a connection may take; 3 s by default.
    pub connect_timeout: Duration,
}

impl ClientConfig {
    /// The defaults for an endpoint: no token, the system's authorities, 3 s to connect.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            token: None,
            tls_ca: None,
            insecure: false,
            connect_timeout: CONNECT_TIMEOUT_DEFAULT,
        }
    }
}

/// A connection to a server, made with the first call and again whenever it was lost. Clones share it.
///
/// A call fails at once when the server cannot be reached; waiting and trying again is up to the caller, with
/// [`Backoff`]. Without a token, `http://` to a loopback address goes over the socket of the server if this user owns
/// it ([`local_socket_path`]); there no token is needed.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    transport: tonic::transport::Endpoint,
    connector: Connector,
    channel: OnceLock<Channel>,
    authorization: Option<MetadataValue<Ascii>>,
    remote: Arc<Remote>,
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("remote", &self.inner.remote)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client that connects with its first call.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] when the token would go unencrypted to another machine or is no token, or the
    /// certificate of the authority cannot be read or would not be used.
    pub fn new(config: ClientConfig) -> Result<Self, ApiError> {
        Self::with_local_socket(config, local_socket_path)
    }

    fn with_local_socket(
        config: ClientConfig,
        path_of_port: impl Fn(u16) -> PathBuf,
    ) -> Result<Self, ApiError> {
        let ClientConfig {
            endpoint,
            token,
            tls_ca,
            insecure,
            connect_timeout,
        } = config;
        if token.is_some() && !endpoint.is_confidential() && !insecure {
            return Err(ApiError::invalid(format!(
                "the token would go to {endpoint} unencrypted, for everybody on the way to read; \
                 use https://, or --insecure if you know that nobody listens"
            )));
        }
        if tls_ca.is_some() && !endpoint.is_confidential() {
            return Err(ApiError::invalid(format!(
                "{endpoint} is not encrypted, so that --tls-ca has no effect; write https://"
            )));
        }
        let is_plain = matches!(endpoint.0, Target::Tcp { tls: false, .. });
        let local_socket = match &endpoint.0 {
            Target::Tcp { tls: false, port, .. } if token.is_none() && endpoint.is_local() => {
                Some(path_of_port(*port))
            }
            _ => None,
        };
        Ok(Self {
            inner: Arc::new(Inner {
                transport: transport(&endpoint, tls_ca.as_deref(), connect_timeout)?,
                connector: Connector::new(&endpoint.0, local_socket, connect_timeout),
                channel: OnceLock::new(),
                authorization: token.as_ref().map(authorization).transpose()?,
                remote: Arc::new(Remote::new(endpoint.to_string(), is_plain)),
            }),
        })
    }

    /// Reports as a collector: sends what comes out of `outgoing` until its sender is dropped. When the call ends, or the
    /// result is dropped, the sender sees that it is closed.
    ///
    /// # Errors
    /// [`ApiError`] when the server cannot be reached or refuses.
    pub async fn push(
        &self,
        outgoing: mpsc::Receiver<wire::PushRequest>,
    ) -> Result<Inbound<wire::PushResponse>, ApiError> {
        let mut service = IngestServiceClient::new(self.channel())
            .max_decoding_message_size(MESSAGE_BYTES_MAX + MESSAGE_BYTES_SLACK);
        let (mut request, over) = outgoing_request(outgoing);
        self.authorise(&mut request);
        let answer = service.push(request).await;
        self.inbound(answer, Some(over))
    }

    /// Subscribes and commands: sends what comes out of `outgoing` until its sender is dropped. When the call ends, or
    /// the result is dropped, the sender sees that it is closed.
    ///
    /// # Errors
    /// [`ApiError`] when the server cannot be reached or refuses.
    pub async fn manage(
        &self,
        outgoing: mpsc::Receiver<wire::Command>,
    ) -> Result<Inbound<wire::Response>, ApiError> {
        let mut service = ControlServiceClient::new(self.channel())
            .max_decoding_message_size(MESSAGE_BYTES_MAX + MESSAGE_BYTES_SLACK);
        let (mut request, over) = outgoing_request(outgoing);
        self.authorise(&mut request);
        let answer = service.manage_stream(request).await;
        self.inbound(answer, Some(over))
    }

    /// The current values of what is asked for, then every new one.
    ///
    /// # Errors
    /// [`ApiError`] when the server cannot be reached or refuses.
    pub async fn stream_metrics(
        &self,
        request: wire::MetricsRequest,
    ) -> Result<Inbound<wire::Metric>, ApiError> {
        let mut request = Request::new(request);
        self.authorise(&mut request);
        let answer = self.metrics().stream_metrics(request).await;
        self.inbound(answer, None)
    }

    /// What is known of one machine now.
    ///
    /// # Errors
    /// [`Code::NotFound`] for a machine that never reported; [`ApiError`] when the server cannot be reached or refuses.
    pub async fn current_state(&self, request: wire::StateRequest) -> Result<wire::MachineState, ApiError> {
        let mut request = Request::new(request);
        self.authorise(&mut request);
        request.set_timeout(ANSWER_TIMEOUT);
        match self.metrics().get_current_state(request).await {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(self.inner.remote.explain_call(&status)),
        }
    }

    /// The past of machines, all at once. What does not fit one message is asked for in parts.
    ///
    /// # Errors
    /// [`Code::FailedPrecondition`] where no history is kept; [`ApiError`] when the server cannot be reached or refuses.
    pub async fn history(&self, request: wire::HistoryRequest) -> Result<wire::HistoryReply, ApiError> {
        let mut request = Request::new(request);
        self.authorise(&mut request);
        request.set_timeout(HISTORY_TIMEOUT);
        match self.metrics().get_history(request).await {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(self.inner.remote.explain_call(&status)),
        }
    }

    /// Whether a service says that it serves; `""` asks for the server as a whole. Needs no token.
    ///
    /// # Errors
    /// [`Code::NotFound`] for a service that the server does not have; [`ApiError`] when it cannot be reached.
    pub async fn health(&self, service: &str) -> Result<bool, ApiError> {
        let mut request = Request::new(HealthCheckRequest {
            service: service.to_owned(),
        });
        request.set_timeout(ANSWER_TIMEOUT);
        match HealthClient::new(self.channel()).check(request).await {
            Ok(response) => Ok(response.into_inner().status() == ServingStatus::Serving),
            Err(status) => Err(self.inner.remote.explain_call(&status)),
        }
    }

    fn channel(&self) -> Channel {
        // Not made before the first call, for it needs a running runtime.
        let Inner {
            transport,
            connector,
            channel,
            ..
        } = &*self.inner;
        channel
            .get_or_init(|| transport.connect_with_connector_lazy(connector.clone()))
            .clone()
    }

    fn metrics(&self) -> MetricsServiceClient<Channel> {
        MetricsServiceClient::new(self.channel())
            .max_decoding_message_size(MESSAGE_BYTES_MAX + MESSAGE_BYTES_SLACK)
    }

    fn authorise<T>(&self, request: &mut Request<T>) {
        if let Some(value) = &self.inner.authorization {
            request.metadata_mut().insert("authorization", value.clone());
        }
    }

    fn inbound<T>(
        &self,
        answer: Result<tonic::Response<tonic::Streaming<T>>, tonic::Status>,
        outgoing: Option<DropGuard>,
    ) -> Result<Inbound<T>, ApiError> {
        let remote = &self.inner.remote;
        match answer {
            Ok(response) => Ok(Inbound::asked(
                response.into_inner(),
                Arc::clone(remote),
                outgoing,
            )),
            Err(status) => Err(remote.explain_call(&status)),
        }
    }
}

/// A call that sends what comes out of a channel until the guard is dropped.
fn outgoing_request<T: Send + 'static>(
    outgoing: mpsc::Receiver<T>,
) -> (Request<impl Stream<Item = T> + Send + 'static>, DropGuard) {
    let over = CancellationToken::new();
    let stream = ReceiverStream::new(outgoing).take_until(over.clone().cancelled_owned());
    (stream.into_streaming_request(), over.drop_guard())
}

fn authorization(token: &Secret) -> Result<MetadataValue<Ascii>, ApiError> {
    let value = format!("Bearer {}", token.reveal()).parse();
    let mut value: MetadataValue<Ascii> = value.map_err(|_| {
        ApiError::invalid("the token has characters that no token has; copy it again, without line ends")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn transport(
    endpoint: &Endpoint,
    tls_ca: Option<&Path>,
    connect_timeout: Duration,
) -> Result<tonic::transport::Endpoint, ApiError> {
    let failed = |error: tonic::transport::Error| {
        ApiError::invalid(format!(
            "{endpoint} cannot be used: {}",
            crate::error::causes(&error)
        ))
    };
    let Target::Tcp { tls, .. } = endpoint.0 else {
        // The name is only what the protocol wants in every request.
        let transport = tonic::transport::Endpoint::from_static("http://localhost");
        return Ok(match endpoint.0 {
            Target::Unix(_) => keepalive(transport.connect_timeout(connect_timeout)),
            _ => transport,
        });
    };
    let transport = tonic::transport::Endpoint::from_shared(endpoint.to_string()).map_err(failed)?;
    let transport = keepalive(transport.connect_timeout(connect_timeout));
    if !tls {
        return Ok(transport);
    }
    let config = ClientTlsConfig::new().timeout(connect_timeout);
    let config = match tls_ca {
        Some(path) => {
            let pem = std::fs::read(path).map_err(|error| {
                ApiError::invalid(format!(
                    "cannot read {}: {error}; --tls-ca names a PEM file with the certificate of an authority",
                    path.display()
                ))
            })?;
            config.ca_certificate(Certificate::from_pem(pem))
        }
        None => config.with_native_roots(),
    };
    transport.tls_config(config).map_err(|error| {
        ApiError::new(
            Code::InvalidArgument,
            format!(
                "the authorities for {endpoint} cannot be used: {}; name a PEM file with --tls-ca",
                crate::error::causes(&error)
            ),
        )
    })
}

fn keepalive(transport: tonic::transport::Endpoint) -> tonic::transport::Endpoint {
    transport
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use async_trait::async_trait;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::auth::{Access, Principal};
    use crate::outgoing::Outgoing;
    use crate::server::{Backend, Server};
    use crate::streams::Outbound;

    struct Unused;

    #[async_trait]
    impl Backend for Unused {
        async fn push(
            &self,
            _principal: Principal,
            _requests: Inbound<wire::PushRequest>,
            _responses: Outbound<wire::PushResponse>,
        ) -> Result<(), ApiError> {
            Ok(())
        }

        async fn manage(
            &self,
            _principal: Principal,
            _commands: Inbound<wire::Command>,
            _responses: Outbound<Outgoing>,
        ) -> Result<(), ApiError> {
            Ok(())
        }

        async fn stream_metrics(
            &self,
            _principal: Principal,
            _request: wire::MetricsRequest,
            _metrics: Outbound<wire::Metric>,
        ) -> Result<(), ApiError> {
            Ok(())
        }

        async fn current_state(
            &self,
            principal: Principal,
            _request: wire::StateRequest,
        ) -> Result<wire::MachineState, ApiError> {
            Ok(wire::MachineState {
                machine_id: principal.name,
                ..Default::default()
            })
        }

        async fn history(
            &self,
            _: Principal,
            _: wire::HistoryRequest,
        ) -> Result<wire::HistoryReply, ApiError> {
            Ok(wire::HistoryReply::default())
        }
    }

    /// Who the caller of `http://127.0.0.1` is, when there is a server on TCP and on the socket.
    async fn caller(socket: &Path, token: Option<Secret>) -> Result<String, ApiError> {
        let mut server = Server::new(Arc::new(Unused), Arc::new(Access::local_only()));
        let address = server.bind_tcp(([127, 0, 0, 1], 0).into(), None).await?;
        tokio::spawn(server.serve(CancellationToken::new()));
        let mut config = ClientConfig::new(format!("http://{address}").parse()?);
        config.token = token;
        let client = Client::with_local_socket(config, |port| {
            assert_eq!(port, address.port());
            socket.to_owned()
        })?;
        let state = client.current_state(wire::StateRequest::default()).await?;
        Ok(state.machine_id)
    }

    fn serve_socket(path: &Path) {
        let mut server = Server::new(Arc::new(Unused), Arc::new(Access::local_only()));
        server.bind_unix(path).unwrap();
        tokio::spawn(server.serve(CancellationToken::new()));
    }

    #[tokio::test]
    async fn a_loopback_address_goes_over_the_socket_of_the_own_user() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sysmon.sock");
        let error = caller(&path, None).await.unwrap_err();
        assert_eq!(
            error.code,
            Code::Unauthenticated,
            "without a socket it is TCP: {error}"
        );

        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let error = caller(&path, None).await.unwrap_err();
        assert_eq!(
            error.code,
            Code::Unauthenticated,
            "a left-over socket is passed over: {error}"
        );

        serve_socket(&path);
        let own_uid = crate::private_path::own_uid();
        assert_eq!(caller(&path, None).await, Ok(format!("local:{own_uid}")));
        let error = caller(&path, Some(Secret::new("x"))).await.unwrap_err();
        assert!(
            error.message.contains("not valid here"),
            "a token goes to the address that was given: {error}"
        );
    }

    #[tokio::test]
    async fn a_socket_in_a_folder_that_others_can_write_to_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sysmon.sock");
        serve_socket(&path);
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(caller(&path, None).await.unwrap_err().code, Code::Unauthenticated);
    }
}
