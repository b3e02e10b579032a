use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use sysmon_api::{
    Access, ApiError, Client, ClientConfig, Code, Endpoint, Role, Secret, Server, tokens, wire,
};
use sysmon_core::MachineId;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tonic::metadata::AsciiMetadataValue;

use crate::support::{Double, Running, client, end_of, hello, pushing, serve, soon};

struct Tokens {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Tokens {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.toml");
        Self {
            _folder: folder,
            path,
        }
    }

    fn create(&self, name: &str, role: Role) -> String {
        let machine = (role == Role::Agent).then(|| MachineId::parse("web-1").unwrap());
        tokens::create(&self.path, name, role, machine.as_ref()).unwrap()
    }

    async fn serve(&self) -> Running {
        serve(Access::with_tokens_file(&self.path).unwrap(), None).await
    }
}

/// Calls any path with any headers, as a stranger would.
async fn raw(running: &Running, path: &'static str, authorization: &[&str]) -> tonic::Status {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", running.address)).unwrap();
    let channel = endpoint.connect().await.unwrap();
    let mut request = tonic::Request::new(wire::StateRequest::default());
    for value in authorization {
        let value: AsciiMetadataValue = value.parse().unwrap();
        request.metadata_mut().append("authorization", value);
    }
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<wire::StateRequest, wire::MachineState>::default();
    let path = http::uri::PathAndQuery::from_static(path);
    match soon(grpc.unary(request, path, codec)).await {
        Ok(_) => tonic::Status::ok(""),
        Err(status) => status,
    }
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Push,
    Manage,
    StreamMetrics,
    CurrentState,
    ListRules,
    PutRule,
    DeleteRule,
    ListAudit,
    Health,
}

impl Call {
    const ALL: [Self; 9] = [
        Self::Push,
        Self::Manage,
        Self::StreamMetrics,
        Self::CurrentState,
        Self::ListRules,
        Self::PutRule,
        Self::DeleteRule,
        Self::ListAudit,
        Self::Health,
    ];

    async fn make(self, client: &Client) -> Result<(), ApiError> {
        match self {
            Self::Push => pushing(client).await.map(drop),
            Self::Manage => {
                let (_commands, outgoing) = mpsc::channel(1);
                soon(client.manage(outgoing)).await.map(drop)
            }
            Self::StreamMetrics => {
                let mut metrics = soon(client.stream_metrics(wire::MetricsRequest::default())).await?;
                soon(metrics.next()).await.map(drop)
            }
            Self::CurrentState => soon(client.current_state(wire::StateRequest::default()))
                .await
                .map(drop),
            Self::ListRules => soon(client.list_rules()).await.map(drop),
            Self::PutRule => {
                let rule = wire::Rule {
                    title: "t".into(),
                    ..Default::default()
                };
                let request = wire::PutRuleRequest {
                    rule: Some(rule),
                    expected_version: 3,
                };
                soon(client.put_rule(request)).await.map(drop)
            }
            Self::DeleteRule => soon(client.delete_rule(wire::DeleteRuleRequest::default()))
                .await
                .map(drop),
            Self::ListAudit => soon(client.list_audit(wire::ListAuditRequest::default()))
                .await
                .map(drop),
            Self::Health => soon(client.health("")).await.map(drop),
        }
    }
}

#[tokio::test]
async fn every_call_is_open_to_exactly_the_roles_that_it_asks_for() {
    let tokens = Tokens::new();
    let secrets: Vec<_> = Role::WORDS
        .iter()
        .map(|(role, word)| (Some(*role), tokens.create(word, *role)))
        .collect();
    let running = tokens.serve().await;
    let wrong = format!("sysmon_{}", "0".repeat(64));
    let mut callers: Vec<_> = secrets
        .iter()
        .map(|(role, secret)| (*role, Some(secret.as_str())))
        .collect();
    callers.extend([(None, None), (None, Some(wrong.as_str())), (None, Some("x"))]);

    for (role, token) in callers {
        let client = running.client(token);
        for call in Call::ALL {
            let expected = match (call, role) {
                (Call::Health, _) => Ok(&()),
                (_, None) => Err(Code::Unauthenticated),
                (_, Some(Role::Admin)) => Ok(&()),
                (Call::Push, Some(Role::Agent)) => Ok(&()),
                (Call::Push, Some(_)) | (_, Some(Role::Agent)) => Err(Code::PermissionDenied),
                (Call::PutRule | Call::DeleteRule, Some(Role::Viewer)) => Err(Code::PermissionDenied),
                (_, Some(Role::Viewer | Role::Operator)) => Ok(&()),
            };
            let result = call.make(&client).await;
            let codes = result.as_ref().map_err(|error| error.code);
            assert_eq!(codes, expected, "{call:?} as {role:?}: {result:?}");
            if let Err(error) = result {
                assert!(error.message.contains("sysmon tokens create"), "{error}");
                assert!(!error.message.contains(token.unwrap_or("sysmon_")), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn reflection_asks_for_a_viewer() {
    const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let tokens = Tokens::new();
    let agent = format!("Bearer {}", tokens.create("agent", Role::Agent));
    let running = tokens.serve().await;
    assert_eq!(
        raw(&running, REFLECTION, &[]).await.code(),
        tonic::Code::Unauthenticated
    );
    assert_eq!(
        raw(&running, REFLECTION, &[&agent]).await.code(),
        tonic::Code::PermissionDenied
    );
}

#[tokio::test]
async fn what_is_not_in_the_table_is_refused_even_to_an_admin() {
    let tokens = Tokens::new();
    let admin = format!("Bearer {}", tokens.create("admin", Role::Admin));
    let running = tokens.serve().await;
    for path in [
        "/monitoring.v1.MetricsService/DropEverything",
        "/monitoring.v1.MetricsService/GetCurrentState/",
        "//monitoring.v1.MetricsService/GetCurrentState",
        "/grpc.health.v1.Health/List",
        "/",
    ] {
        assert_eq!(
            raw(&running, path, &[]).await.code(),
            tonic::Code::Unauthenticated,
            "{path}"
        );
        let status = raw(&running, path, &[&admin]).await;
        assert_eq!(status.code(), tonic::Code::Unimplemented, "{path}");
        assert!(status.message().contains("upgrade"), "{status}");
    }
}

#[tokio::test]
async fn a_header_that_is_no_single_bearer_token_is_refused() {
    const STATE: &str = "/monitoring.v1.MetricsService/GetCurrentState";
    let tokens = Tokens::new();
    let secret = tokens.create("viewer", Role::Viewer);
    let running = tokens.serve().await;
    let good = format!("Bearer {secret}");
    assert_eq!(raw(&running, STATE, &[&good]).await.code(), tonic::Code::Ok);
    assert_eq!(
        raw(&running, STATE, &[&format!("bearer  {secret} ")])
            .await
            .code(),
        tonic::Code::Ok
    );
    let basic = format!("Basic {secret}");
    for values in [
        vec![secret.as_str()],
        vec![basic.as_str()],
        vec!["Bearer"],
        vec!["Bearer "],
        vec![""],
        vec![good.as_str(), good.as_str()],
        vec!["Bearer x", good.as_str()],
    ] {
        let status = raw(&running, STATE, &values).await;
        assert_eq!(status.code(), tonic::Code::Unauthenticated, "{values:?}");
    }
}

#[tokio::test]
async fn a_wrong_token_is_refused_even_where_none_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sysmon.sock");
    let mut server = Server::new(Double::new().0, Arc::new(Access::local_only()));
    #[cfg(unix)]
    server.bind_unix(&path).unwrap();
    let in_process = server.in_process();
    tokio::spawn(server.serve(CancellationToken::new()));
    let mut endpoints = vec![Endpoint::in_process(in_process)];
    if cfg!(unix) {
        endpoints.push(Endpoint::unix(&path));
    }
    for endpoint in endpoints {
        let mut config = ClientConfig::new(endpoint);
        pushing(&Client::new(config.clone()).unwrap()).await.unwrap();
        config.token = Some(Secret::new("sysmon_wrong"));
        let error = pushing(&Client::new(config).unwrap())
            .await
            .map(drop)
            .unwrap_err();
        assert_eq!(error.code, Code::Unauthenticated, "{error}");
    }
}

#[tokio::test]
async fn a_revoked_token_ends_its_streams_within_two_seconds_and_no_others() {
    let tokens = Tokens::new();
    let agent = tokens.create("agent", Role::Agent);
    let viewer = tokens.create("viewer", Role::Viewer);
    let mut running = tokens.serve().await;
    let client = running.client(Some(&agent));
    let (requests, mut responses) = pushing(&client).await.unwrap();
    let other = running.client(Some(&viewer));
    let mut metrics = soon(other.stream_metrics(wire::MetricsRequest::default()))
        .await
        .unwrap();
    assert!(soon(metrics.next()).await.unwrap().is_some());
    running.wait_under_way(2).await;

    let start = tokio::time::Instant::now();
    tokens::revoke(&tokens.path, "agent").unwrap();
    let error = end_of(&mut responses).await.unwrap_err();
    assert!(start.elapsed().as_millis() < 2_500, "{:?}", start.elapsed());
    assert_eq!(error.code, Code::Unauthenticated);
    assert!(error.message.contains("revoked"), "{error}");
    running.wait_under_way(1).await;
    soon(requests.closed()).await;
    let error = pushing(&client).await.map(drop).unwrap_err();
    assert_eq!(error.code, Code::Unauthenticated);
    assert!(Call::CurrentState.make(&other).await.is_ok());
}

#[tokio::test]
async fn nothing_is_taken_of_a_revoked_agent_that_goes_on_sending() {
    let tokens = Tokens::new();
    let secret = tokens.create("agent", Role::Agent);
    let (backend, _) = Double::new();
    let mut last_end = backend.last_end.subscribe();
    let mut server = Server::new(backend, Arc::new(Access::with_tokens_file(&tokens.path).unwrap()));
    let address = server.bind_tcp(([127, 0, 0, 1], 0).into(), None).await.unwrap();
    tokio::spawn(server.serve(CancellationToken::new()));

    // Not our client, which stops when it is told.
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut grpc = tonic::client::Grpc::new(endpoint.connect().await.unwrap());
    grpc.ready().await.unwrap();
    let requests = tokio_stream::iter([hello("web-1")]).chain(tokio_stream::pending());
    let mut request = tonic::Request::new(requests);
    let value = format!("Bearer {secret}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    let codec = tonic_prost::ProstCodec::<wire::PushRequest, wire::PushResponse>::default();
    let path = http::uri::PathAndQuery::from_static("/monitoring.v1.IngestService/Push");
    let mut responses = soon(grpc.streaming(request, path, codec))
        .await
        .unwrap()
        .into_inner();
    assert!(soon(responses.message()).await.unwrap().is_some());

    tokens::revoke(&tokens.path, "agent").unwrap();
    let end = soon(last_end.wait_for(Option::is_some)).await.unwrap().clone();
    assert_eq!(end, Some(Err(ApiError::unavailable("the call is over"))));
    assert_eq!(
        soon(responses.message()).await.unwrap_err().code(),
        tonic::Code::Unauthenticated
    );
}

#[tokio::test]
async fn a_new_token_is_good_at_once_and_a_changed_role_ends_streams() {
    let tokens = Tokens::new();
    let running = tokens.serve().await;
    assert_eq!(
        Call::Manage
            .make(&running.client(Some("sysmon_x")))
            .await
            .unwrap_err()
            .code,
        Code::Unauthenticated
    );
    let secret = tokens.create("eve", Role::Operator);
    let client = running.client(Some(&secret));
    let (_commands, outgoing) = mpsc::channel(1);
    let mut replies = soon(client.manage(outgoing)).await.unwrap();

    let text = fs::read_to_string(&tokens.path).unwrap();
    fs::write(&tokens.path, text.replace("operator", "viewer")).unwrap();
    assert_eq!(
        end_of(&mut replies).await.unwrap_err().code,
        Code::Unauthenticated
    );
    let state = soon(client.current_state(wire::StateRequest::default()))
        .await
        .unwrap();
    assert_eq!(state.host.unwrap().hostname, "viewer");
}

#[tokio::test]
async fn a_file_that_breaks_keeps_its_tokens_and_one_that_is_deleted_does_not() {
    let tokens = Tokens::new();
    let secret = tokens.create("eve", Role::Viewer);
    let running = tokens.serve().await;
    let client = running.client(Some(&secret));
    let mut metrics = soon(client.stream_metrics(wire::MetricsRequest::default()))
        .await
        .unwrap();
    fs::write(&tokens.path, "[[token]]\nname = ").unwrap();
    // An unknown token makes the server look at the file.
    assert!(
        Call::Manage
            .make(&running.client(Some("sysmon_x")))
            .await
            .is_err()
    );
    assert!(Call::CurrentState.make(&client).await.is_ok());
    assert!(soon(metrics.next()).await.unwrap().is_some());

    fs::remove_file(&tokens.path).unwrap();
    assert_eq!(
        end_of(&mut metrics).await.unwrap_err().code,
        Code::Unauthenticated
    );
    assert!(Call::CurrentState.make(&client).await.is_err());
}

#[test]
fn a_token_does_not_go_to_another_machine_unencrypted_unless_told_to() {
    let config = |endpoint: &str| {
        let mut config = ClientConfig::new(endpoint.parse().unwrap());
        config.token = Some(Secret::new("sysmon_geheim"));
        config
    };
    let error = Client::new(config("http://web-1:50051")).unwrap_err();
    assert_eq!(error.code, Code::InvalidArgument);
    assert!(
        error.message.contains("https://") && error.message.contains("--insecure"),
        "{error}"
    );
    assert!(!error.message.contains("geheim"), "{error}");
    let insecure = ClientConfig {
        insecure: true,
        ..config("http://web-1:50051")
    };
    assert!(!format!("{insecure:?}").contains("geheim"));
    let client = Client::new(insecure).unwrap();
    assert!(!format!("{client:?}").contains("geheim"));
    for endpoint in [
        "http://127.0.0.1:50051",
        "http://localhost",
        "http://[::1]",
        "unix:/x",
    ] {
        assert!(Client::new(config(endpoint)).is_ok(), "{endpoint}");
    }
}

#[test]
fn a_token_that_cannot_be_sent_is_refused_without_repeating_it() {
    let mut config = ClientConfig::new("http://127.0.0.1".parse().unwrap());
    config.token = Some(Secret::new("sysmon_geheim\nx"));
    let error = Client::new(config).unwrap_err();
    assert!(error.message.contains("copy it again"), "{error}");
    assert!(!error.message.contains("geheim"), "{error}");
}

#[tokio::test]
async fn without_a_tokens_file_a_stranger_is_told_that_there_is_none() {
    let running = serve(Access::local_only(), None).await;
    let error = Call::CurrentState
        .make(&client(&format!("http://{}", running.address), None))
        .await
        .unwrap_err();
    assert_eq!(error.code, Code::Unauthenticated);
    assert!(error.message.contains("tokens file"), "{error}");
}
