//! The one place that every call passes before it reaches a service.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use http_body::{Frame, SizeHint};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;

use super::{Access, Principal, Role};
use crate::error::{ApiError, Code};
use crate::transport::Peer;

/// What a method asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Nothing: anybody may call it.
    Nothing,
    /// What this role may do.
    Role(Role),
}

/// Every method there is. What is not in here is refused.
const METHODS: [(&str, Need); 12] = [
    ("/grpc.health.v1.Health/Check", Need::Nothing),
    ("/grpc.health.v1.Health/Watch", Need::Nothing),
    (
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        Need::Role(Role::Viewer),
    ),
    (
        "/monitoring.v1.ConfigService/DeleteRule",
        Need::Role(Role::Operator),
    ),
    ("/monitoring.v1.ConfigService/ListAudit", Need::Role(Role::Viewer)),
    ("/monitoring.v1.ConfigService/ListRules", Need::Role(Role::Viewer)),
    ("/monitoring.v1.ConfigService/PutRule", Need::Role(Role::Operator)),
    (
        "/monitoring.v1.ControlService/ManageStream",
        Need::Role(Role::Viewer),
    ),
    ("/monitoring.v1.IngestService/Push", Need::Role(Role::Agent)),
    (
        "/monitoring.v1.MetricsService/GetCurrentState",
        Need::Role(Role::Viewer),
    ),
    (
        "/monitoring.v1.MetricsService/GetHistory",
        Need::Role(Role::Viewer),
    ),
    (
        "/monitoring.v1.MetricsService/StreamMetrics",
        Need::Role(Role::Viewer),
    ),
];

/// Authorises every call, tells the services who calls, and ends calls whose token is revoked or whose server stops.
#[derive(Clone, Debug)]
pub(crate) struct Gate<S> {
    services: S,
    access: Arc<Access>,
    shutdown: CancellationToken,
}

impl<S> Gate<S> {
    pub(crate) fn new(services: S, access: Arc<Access>, shutdown: CancellationToken) -> Self {
        Self {
            services,
            access,
            shutdown,
        }
    }

    /// Lets a call pass, with its [`Principal`] put into it, and says when it has to end.
    fn admit(&self, request: &mut http::Request<Body>) -> Result<End, ApiError> {
        let method = request.uri().path();
        let need = METHODS
            .iter()
            .find(|(path, _)| *path == method)
            .map(|(_, need)| *need);
        if need == Some(Need::Nothing) {
            return Ok(End::new(self.shutdown.clone(), None));
        }
        let peer = request.extensions().get::<Peer>();
        let peer =
            peer.ok_or_else(|| ApiError::new(Code::Internal, "the connection has no peer; report this"))?;
        let grant = self.identify(peer, request.headers()).and_then(|grant| {
            authorise(&grant.principal, need, method)?;
            Ok(grant)
        });
        let grant = grant.inspect_err(|error| self.access.log_refusal(peer, method, error))?;
        request.extensions_mut().insert(grant.principal);
        Ok(End::new(self.shutdown.clone(), grant.revoked))
    }

    fn identify(&self, peer: &Peer, headers: &http::HeaderMap) -> Result<super::Grant, ApiError> {
        let mut values = headers.get_all(http::header::AUTHORIZATION).iter();
        let first = values.next();
        if values.next().is_some() {
            return Err(ApiError::new(
                Code::Unauthenticated,
                "there are several authorization headers; send one",
            ));
        }
        self.access.identify(peer, first.map(http::HeaderValue::as_bytes))
    }
}

fn authorise(principal: &Principal, need: Option<Need>, method: &str) -> Result<(), ApiError> {
    match need {
        Some(Need::Nothing) => Ok(()),
        Some(Need::Role(role)) if principal.allows(role) => Ok(()),
        Some(Need::Role(role)) => Err(ApiError::new(
            Code::PermissionDenied,
            format!(
                "{} is {}, and this call asks for {}; use a token of that role (`sysmon tokens create`)",
                principal.name,
                principal.role.word(),
                role.word()
            ),
        )),
        None => Err(ApiError::new(
            Code::Unimplemented,
            format!(
                "this server (release {}) does not know {}; upgrade it, or use an older client",
                env!("CARGO_PKG_VERSION"),
                sysmon_core::sanitize(method)
            ),
        )),
    }
}

impl<S> Service<http::Request<Body>> for Gate<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.services.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let mut end = match self.admit(&mut request) {
            Ok(end) => end,
            Err(error) => {
                let refusal = tonic::Status::from(error).into_http();
                return Box::pin(std::future::ready(Ok(refusal)));
            }
        };
        let answer = self.services.call(request);
        Box::pin(async move {
            tokio::select! {
                biased;
                error = &mut end => Ok(tonic::Status::from(error).into_http()),
                answer = answer => Ok(answer?.map(|body| Body::new(EndingBody { body: Some(body), end }))),
            }
        })
    }
}

/// Ready when a call has to end although neither side wants it to.
struct End(Pin<Box<dyn Future<Output = ApiError> + Send>>);

impl End {
    fn new(shutdown: CancellationToken, revoked: Option<CancellationToken>) -> Self {
        Self(Box::pin(async move {
            let revocation = async {
                match revoked {
                    Some(revoked) => revoked.cancelled_owned().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.cancelled_owned() => ApiError::unavailable("server is shutting down"),
                () = revocation => ApiError::new(
                    Code::Unauthenticated,
                    "the token was revoked; create another with `sysmon tokens create`",
                ),
            }
        }))
    }
}

impl Future for End {
    type Output = ApiError;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<ApiError> {
        self.0.as_mut().poll(context)
    }
}

/// What a service answers, until the call has to end; then a status follows at once and the service's part is dropped.
struct EndingBody {
    /// `None` once the call has ended.
    body: Option<Body>,
    end: End,
}

impl http_body::Body for EndingBody {
    type Data = <Body as http_body::Body>::Data;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, tonic::Status>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(error) = Pin::new(&mut this.end).poll(context) {
            this.body = None;
            let mut trailers = http::HeaderMap::new();
            tonic::Status::from(error).add_header(&mut trailers)?;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let frame = ready!(Pin::new(&mut *body).poll_frame(context));
        if frame.is_none() {
            this.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;

    use super::*;

    // What is needed of google/protobuf/descriptor.proto.

    #[derive(Message)]
    struct Files {
        #[prost(message, repeated, tag = "1")]
        files: Vec<File>,
    }

    #[derive(Message)]
    struct File {
        #[prost(string, tag = "2")]
        package: String,
        #[prost(message, repeated, tag = "6")]
        services: Vec<Named>,
    }

    #[derive(Message)]
    struct Named {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(message, repeated, tag = "2")]
        methods: Vec<Method>,
    }

    #[derive(Message)]
    struct Method {
        #[prost(string, tag = "1")]
        name: String,
    }

    fn methods(descriptors: &[u8]) -> BTreeSet<String> {
        let mut paths = BTreeSet::new();
        for file in Files::decode(descriptors).unwrap().files {
            for service in &file.services {
                for method in &service.methods {
                    paths.insert(format!("/{}.{}/{}", file.package, service.name, method.name));
                }
            }
        }
        paths
    }

    #[test]
    fn every_method_that_is_served_has_a_need_and_every_need_a_method() {
        let mut served = methods(crate::server::DESCRIPTORS);
        served.extend(methods(tonic_health::pb::FILE_DESCRIPTOR_SET));
        served.extend(methods(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET));
        assert!(served.len() >= 7, "{served:?}");
        let listed: BTreeSet<_> = METHODS.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(served, listed);
    }

    #[test]
    fn only_health_is_open_to_everybody() {
        for (path, need) in METHODS {
            assert_eq!(
                need == Need::Nothing,
                path.starts_with("/grpc.health.v1.Health/"),
                "{path}"
            );
        }
    }
}
