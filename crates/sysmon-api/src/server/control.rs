//! The service of interactive clients. Written by hand where the others are generated, because what it sends may be encoded
//! already: one update for many clients.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status, Streaming};
use tower::Service;

use super::adapter::{Adapter, principal};
use super::call::Call;
use crate::codec::ManageCodec;
use crate::generated::control_service_server::SERVICE_NAME;
use crate::outgoing::Outgoing;
use crate::streams::Inbound;
use crate::transport::MESSAGE_BYTES_MAX;
use crate::wire;

/// The one call of the service.
const MANAGE_STREAM: &str = "/monitoring.v1.ControlService/ManageStream";

/// `monitoring.v1.ControlService`.
#[derive(Clone)]
pub(super) struct Control(pub(super) Adapter);

impl NamedService for Control {
    const NAME: &'static str = SERVICE_NAME;
}

impl StreamingService<wire::Command> for Control {
    type Response = Outgoing;
    type ResponseStream = Call<Outgoing>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<wire::Command>>) -> Self::Future {
        let Adapter { backend, calls } = self.0.clone();
        Box::pin(async move {
            let principal = principal(&request)?;
            let gone = CancellationToken::new();
            let commands = Inbound::served(request.into_inner(), gone.clone());
            let call = Call::start(&calls, gone, |responses| async move {
                backend.manage(principal, commands, responses).await
            });
            Ok(Response::new(call))
        })
    }
}

impl Service<http::Request<Body>> for Control {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != MANAGE_STREAM {
            let refusal = Status::unimplemented("there is no such call here").into_http();
            return Box::pin(std::future::ready(Ok(refusal)));
        }
        let control = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(ManageCodec)
                .apply_max_message_size_config(Some(MESSAGE_BYTES_MAX), Some(MESSAGE_BYTES_MAX));
            Ok(grpc.streaming(control, request).await)
        })
    }
}
