//! Which service a call is for.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};
use tower::Service;

use super::Backend;
use super::adapter::Adapter;
use super::control::Control;
use crate::error::{ApiError, Code};
use crate::generated::config_service_server::ConfigServiceServer;
use crate::generated::ingest_service_server::IngestServiceServer;
use crate::generated::metrics_service_server::MetricsServiceServer;
use crate::transport::MESSAGE_BYTES_MAX;

/// The compiled `proto/`, for reflection.
pub(crate) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// All services of a server.
#[derive(Clone)]
pub(super) struct Services<R> {
    ingest: IngestServiceServer<Adapter>,
    control: Control,
    config: ConfigServiceServer<Adapter>,
    metrics: MetricsServiceServer<Adapter>,
    health: HealthServer<HealthService>,
    reflection: R,
}

/// Everything over one backend; its streaming calls are counted among `calls`.
pub(super) async fn services(
    backend: Arc<dyn Backend>,
    calls: TaskTracker,
) -> Result<Services<ServerReflectionServer<impl ServerReflection>>, ApiError> {
    let reporter = HealthReporter::new();
    reporter.set_serving::<IngestServiceServer<Adapter>>().await;
    reporter.set_serving::<Control>().await;
    reporter.set_serving::<ConfigServiceServer<Adapter>>().await;
    reporter.set_serving::<MetricsServiceServer<Adapter>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(|error| {
            ApiError::new(
                Code::Internal,
                format!("the compiled protocol is broken ({error}); build again"),
            )
        })?;
    let adapter = Adapter { backend, calls };
    Ok(Services {
        ingest: IngestServiceServer::new(adapter.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX),
        control: Control(adapter.clone()),
        config: ConfigServiceServer::new(adapter.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX),
        metrics: MetricsServiceServer::new(adapter)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX),
        health: HealthServer::new(HealthService::from_health_reporter(reporter)),
        reflection,
    })
}

impl<R> Service<http::Request<Body>> for Services<R>
where
    R: Service<
            http::Request<Body>,
            Response = http::Response<Body>,
            Error = Infallible,
            Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>,
        > + NamedService,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The generated services always are.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = request.uri().path().split('/').nth(1).unwrap_or_default();
        match service {
            IngestServiceServer::<Adapter>::NAME => self.ingest.call(request),
            Control::NAME => Service::call(&mut self.control, request),
            ConfigServiceServer::<Adapter>::NAME => self.config.call(request),
            MetricsServiceServer::<Adapter>::NAME => self.metrics.call(request),
            HealthServer::<HealthService>::NAME => self.health.call(request),
            service if service == R::NAME => self.reflection.call(request),
            _ => {
                let refusal = tonic::Status::unimplemented("there is no such service here").into_http();
                Box::pin(std::future::ready(Ok(refusal)))
            }
        }
    }
}
