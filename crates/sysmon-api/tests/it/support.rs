//! A small backend and a running server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sysmon_api::{
    Access, ApiError, Backend, Client, ClientConfig, Code, Endpoint, InProcess, Inbound, Outbound, Principal,
    Secret, Server, TlsIdentity, wire,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Whatever takes longer is stuck. Nothing waits for this to pass.
pub(crate) const SAFETY: Duration = Duration::from_secs(20);

/// Fails instead of hanging.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(SAFETY, future)
        .await
        .expect("this takes far too long")
}

/// Answers every message and counts the calls that are under way. How a call goes on is chosen by the name in its
/// first message: `panic`, `refuse`, `finish` (while a clone of the sender lives on), `stuck` (never looks at anything
/// again), `large` (answers with more than fits), or anything else for an echo.
pub(crate) struct Double {
    under_way: watch::Sender<usize>,
    kept: std::sync::Mutex<Vec<Outbound<wire::PushResponse>>>,
    /// What the requests of the last push stream ended with, once they have.
    pub(crate) last_end: watch::Sender<Option<Result<(), ApiError>>>,
}

struct UnderWay<'a>(&'a watch::Sender<usize>);

impl<'a> UnderWay<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Double {
    pub(crate) fn new() -> (Arc<Self>, watch::Receiver<usize>) {
        let (under_way, observed) = watch::channel(0);
        let double = Self {
            under_way,
            kept: std::sync::Mutex::default(),
            last_end: watch::channel(None).0,
        };
        (Arc::new(double), observed)
    }
}

#[async_trait]
impl Backend for Double {
    async fn push(
        &self,
        _principal: Principal,
        mut requests: Inbound<wire::PushRequest>,
        responses: Outbound<wire::PushResponse>,
    ) -> Result<(), ApiError> {
        let _under_way = UnderWay::new(&self.under_way);
        let mut count = 0;
        loop {
            let request = match requests.next().await {
                Ok(Some(request)) => request,
                end => {
                    let end = end.map(|_| ());
                    self.last_end.send_replace(Some(end.clone()));
                    return end;
                }
            };
            count += 1;
            // When the client is gone, the next request says so.
            let _ = responses.send(directive(count)).await;
            let Some(wire::push_request::Body::Hello(hello)) = request.body else {
                continue;
            };
            match hello.machine_id.as_str() {
                "panic" => panic!("asked for"),
                "refuse" => {
                    return Err(ApiError::new(
                        Code::AlreadyExists,
                        "two machines claim it\u{1b}[31m",
                    ));
                }
                "finish" => {
                    self.kept.lock().unwrap().push(responses.clone());
                    return Ok(());
                }
                "stuck" => std::future::pending().await,
                _ => {}
            }
        }
    }

    async fn manage(
        &self,
        _principal: Principal,
        mut commands: Inbound<wire::Command>,
        responses: Outbound<sysmon_api::Outgoing>,
    ) -> Result<(), ApiError> {
        let _under_way = UnderWay::new(&self.under_way);
        while let Some(command) = commands.next().await? {
            let response = wire::Response {
                request_id: command.request_id,
                body: Some(wire::response::Body::Accepted(wire::Accepted {})),
            };
            let _ = responses.send(response).await;
        }
        Ok(())
    }

    async fn stream_metrics(
        &self,
        principal: Principal,
        request: wire::MetricsRequest,
        metrics: Outbound<wire::Metric>,
    ) -> Result<(), ApiError> {
        let _under_way = UnderWay::new(&self.under_way);
        let what = request.types.first().map(String::as_str);
        let machine_id = match what {
            Some("large") => "x".repeat(5 * 1024 * 1024),
            _ => principal.name,
        };
        let metric = wire::Metric {
            machine_id,
            ..Default::default()
        };
        // A flood goes on until nobody takes it.
        while metrics.send(metric.clone()).await.is_ok() {
            if what != Some("flood") {
                metrics.closed().await;
            }
        }
        Ok(())
    }

    /// The caller, in the place of a machine.
    async fn current_state(
        &self,
        principal: Principal,
        request: wire::StateRequest,
    ) -> Result<wire::MachineState, ApiError> {
        if request.machine_id == "nobody" {
            return Err(ApiError::new(Code::NotFound, "nobody never reported"));
        }
        Ok(wire::MachineState {
            machine_id: principal.name,
            host: Some(wire::HostInfo {
                hostname: principal.role.word().into(),
                ..Default::default()
            }),
            ..Default::default()
        })
    }

    async fn history(&self, _: Principal, _: wire::HistoryRequest) -> Result<wire::HistoryReply, ApiError> {
        Ok(wire::HistoryReply::default())
    }

    /// One rule, `long`, with a note that is too long for a trailer.
    async fn list_rules(&self, _: Principal) -> Result<wire::ListRulesReply, ApiError> {
        Ok(wire::ListRulesReply {
            rules: vec![stored("long", &"x".repeat(20_000))],
        })
    }

    /// Everything has version 3 by now.
    async fn put_rule(
        &self,
        principal: Principal,
        request: wire::PutRuleRequest,
    ) -> Result<wire::ChangeReply, ApiError> {
        let Some(rule) = request.rule.filter(|rule| !rule.title.is_empty()) else {
            return Err(ApiError::invalid(
                "it has no title; give it one\nand a\u{1b}[31m second problem",
            ));
        };
        let conflict = request.expected_version != 3;
        let note = if rule.rule_id == "long" {
            "x".repeat(20_000)
        } else {
            principal.name
        };
        Ok(wire::ChangeReply {
            conflict,
            stored: Some(stored(&rule.rule_id, &note)),
        })
    }

    async fn delete_rule(
        &self,
        _: Principal,
        _: wire::DeleteRuleRequest,
    ) -> Result<wire::ChangeReply, ApiError> {
        Ok(wire::ChangeReply {
            conflict: true,
            stored: None,
        })
    }

    async fn list_audit(
        &self,
        _: Principal,
        request: wire::ListAuditRequest,
    ) -> Result<wire::ListAuditReply, ApiError> {
        let entry = wire::AuditEntry {
            entry_id: request.before,
            ..Default::default()
        };
        Ok(wire::ListAuditReply { entries: vec![entry] })
    }
}

/// A rule of version 3.
pub(crate) fn stored(rule_id: &str, note: &str) -> wire::StoredRule {
    wire::StoredRule {
        rule: Some(wire::Rule {
            rule_id: rule_id.into(),
            note: note.into(),
            ..Default::default()
        }),
        version: 3,
        changed_by: "ann".into(),
        changed_unix_ms: 5,
    }
}

fn directive(interval_ms: u32) -> wire::PushResponse {
    wire::PushResponse {
        body: Some(wire::push_response::Body::Directive(wire::Directive {
            burst_interval_ms: 0,
            interval_ms,
            processes: 0,
        })),
    }
}

/// The first message of a collector.
pub(crate) fn hello(machine_id: &str) -> wire::PushRequest {
    wire::PushRequest {
        body: Some(wire::push_request::Body::Hello(wire::CollectorHello {
            machine_id: machine_id.into(),
            ..Default::default()
        })),
    }
}

/// What [`Double`] answers to the n-th request.
pub(crate) fn count_of(response: &wire::PushResponse) -> u32 {
    match &response.body {
        Some(wire::push_response::Body::Directive(directive)) => directive.interval_ms,
        other => panic!("{other:?} is no directive"),
    }
}

/// A server that serves.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) in_process: InProcess,
    pub(crate) under_way: watch::Receiver<usize>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), ApiError>>,
}

/// Serves on TCP and in the process.
pub(crate) async fn serve(access: Access, tls: Option<TlsIdentity>) -> Running {
    let (backend, under_way) = Double::new();
    let mut server = Server::new(backend, Arc::new(access));
    let address = server.bind_tcp(([127, 0, 0, 1], 0).into(), tls).await.unwrap();
    let in_process = server.in_process();
    let shutdown = CancellationToken::new();
    Running {
        address,
        in_process,
        under_way,
        task: tokio::spawn(server.serve(shutdown.clone())),
        shutdown,
    }
}

impl Running {
    /// A client over TCP.
    pub(crate) fn client(&self, token: Option<&str>) -> Client {
        client(&format!("http://{}", self.address), token)
    }

    /// A client in the same process, who is an admin.
    pub(crate) fn local_client(&self) -> Client {
        Client::new(ClientConfig::new(Endpoint::in_process(self.in_process.clone()))).unwrap()
    }

    /// Waits until so many calls are under way in the backend.
    pub(crate) async fn wait_under_way(&mut self, expected: usize) {
        soon(self.under_way.wait_for(|count| *count == expected))
            .await
            .unwrap();
    }
}

pub(crate) fn client(endpoint: &str, token: Option<&str>) -> Client {
    let mut config = ClientConfig::new(endpoint.parse().unwrap());
    config.token = token.map(Secret::new);
    Client::new(config).unwrap()
}

/// A push stream that has exchanged its first messages.
pub(crate) async fn pushing(
    client: &Client,
) -> Result<(mpsc::Sender<wire::PushRequest>, Inbound<wire::PushResponse>), ApiError> {
    let (requests, outgoing) = mpsc::channel(4);
    requests.send(hello("web-1")).await.unwrap();
    let mut responses = soon(client.push(outgoing)).await?;
    match soon(responses.next()).await? {
        Some(response) => assert_eq!(count_of(&response), 1),
        None => panic!("the stream ended at once"),
    }
    Ok((requests, responses))
}

/// What a stream ends with, however much comes before.
pub(crate) async fn end_of<T>(stream: &mut Inbound<T>) -> Result<(), ApiError> {
    soon(async {
        while stream.next().await?.is_some() {}
        Ok(())
    })
    .await
}
