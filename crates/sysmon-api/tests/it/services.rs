use std::time::Duration;

use sysmon_api::{Access, Code, Role, tokens};
use tonic::Request;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::support::{Running, serve, soon};

async fn channel(running: &Running) -> tonic::transport::Channel {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", running.address)).unwrap();
    endpoint.connect().await.unwrap()
}

#[tokio::test]
async fn health_tells_anybody_about_every_service() {
    let running = serve(Access::local_only(), None).await;
    let client = running.client(None);
    for service in [
        "",
        "monitoring.v1.IngestService",
        "monitoring.v1.ControlService",
        "monitoring.v1.ConfigService",
        "monitoring.v1.MetricsService",
    ] {
        assert_eq!(soon(client.health(service)).await, Ok(true), "{service}");
    }
    let error = soon(client.health("monitoring.v1.NoService")).await.unwrap_err();
    assert_eq!(error.code, Code::NotFound);
}

#[tokio::test]
async fn somebody_who_watches_health_does_not_hold_up_the_shutdown() {
    let running = serve(Access::local_only(), None).await;
    let mut client = HealthClient::new(channel(&running).await);
    let request = HealthCheckRequest::default();
    let mut watch = soon(client.watch(request)).await.unwrap().into_inner();
    assert!(soon(watch.message()).await.unwrap().is_some());
    running.shutdown.cancel();
    let status = soon(watch.message()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    soon(running.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn reflection_describes_every_service_to_a_viewer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.toml");
    let secret = tokens::create(&path, "a", Role::Viewer, None).unwrap();
    let running = serve(Access::with_tokens_file(&path).unwrap(), None).await;
    let mut client = ServerReflectionClient::new(channel(&running).await);
    let questions = [
        MessageRequest::ListServices(String::new()),
        MessageRequest::FileContainingSymbol("monitoring.v1.MetricsService".into()),
    ];
    let questions = questions.map(|question| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(question),
    });
    let mut request = Request::new(tokio_stream::iter(questions));
    let value = format!("Bearer {secret}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    let mut answers = soon(client.server_reflection_info(request))
        .await
        .unwrap()
        .into_inner();

    let answer = soon(answers.message()).await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?} is no list");
    };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "monitoring.v1.ConfigService",
            "monitoring.v1.ControlService",
            "monitoring.v1.IngestService",
            "monitoring.v1.MetricsService",
        ]
    );
    let answer = soon(answers.message()).await.unwrap().unwrap();
    let Some(MessageResponse::FileDescriptorResponse(files)) = answer.message_response else {
        panic!("{answer:?} is no file");
    };
    let file = String::from_utf8_lossy(&files.file_descriptor_proto[0]).into_owned();
    assert!(file.contains("GetCurrentState"), "{file}");
}

#[tokio::test]
async fn a_connection_that_says_nothing_does_not_hold_up_the_shutdown_beyond_its_deadline() {
    let running = serve(Access::local_only(), None).await;
    let _silent = tokio::net::TcpStream::connect(running.address).await.unwrap();
    // A call over another connection, so that the first one has been accepted.
    assert_eq!(soon(running.client(None).health("")).await, Ok(true));
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    running.shutdown.cancel();
    running.task.await.unwrap().unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
