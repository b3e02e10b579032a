//! Who may connect, and what for.

use std::time::Duration;

use sysmon_api::{ApiError, Client, ClientConfig, Code, Endpoint, Secret, hello, wire};
use sysmon_core::UnixMillis;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::{Home, PATIENCE, finish};

/// Makes a token with the program and returns it.
async fn create(home: &Home, role: &str, name: &str, machine: Option<&str>) -> String {
    let mut arguments = vec!["tokens", "create", "--role", role, "--name", name];
    if let Some(machine) = machine {
        arguments.extend(["--machine-id", machine]);
    }
    let finished = finish(&mut home.sysmon(&arguments)).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let token = finished.stdout.strip_suffix('\n').unwrap();
    assert!(
        !token.contains('\n') && token.len() > 32,
        "only the token: {finished:?}"
    );
    token.to_owned()
}

/// A client over TCP: it is not the user of the server as far as sockets go.
fn client(port: u16, token: Option<&str>) -> Client {
    let endpoint: Endpoint = format!("http://127.0.0.1:{port}").parse().unwrap();
    let token = token.map(Secret::new);
    Client::new(ClientConfig {
        token,
        ..ClientConfig::new(endpoint)
    })
    .unwrap()
}

/// What comes of asking for a machine: NOT_FOUND shows that the caller was let in.
async fn look(client: &Client) -> Code {
    let request = wire::StateRequest {
        machine_id: "nobody".into(),
    };
    client.current_state(request).await.unwrap_err().code
}

/// What comes of reporting as a machine: the server's hello, or why not.
async fn report(client: &Client, machine: &str) -> Result<(), ApiError> {
    let (outgoing, receiver) = mpsc::channel(2);
    let hello = wire::CollectorHello {
        peer: Some(hello(UnixMillis(0))),
        machine_id: machine.into(),
        instance: vec![1; 16],
        epoch: vec![2; 16],
        host: Some(wire::HostInfo::default()),
        interval_ms: 1_000,
        spool_is_new: false,
    };
    let body = Some(wire::push_request::Body::Hello(hello));
    outgoing.send(wire::PushRequest { body }).await.unwrap();
    let mut responses = client.push(receiver).await?;
    let first = timeout(PATIENCE, responses.next()).await.expect("it answers")?;
    assert!(matches!(
        first.unwrap().body,
        Some(wire::push_response::Body::Hello(_))
    ));
    Ok(())
}

#[tokio::test]
async fn without_a_token_only_the_user_of_the_server_is_let_in() {
    let home = Home::new();
    let (_aggregator, port) = home.start_aggregator(&[]).await;
    assert_eq!(look(&client(port, None)).await, Code::Unauthenticated);
    assert_eq!(
        look(&client(port, Some("sysmon_guess"))).await,
        Code::Unauthenticated
    );
    let local = Client::new(ClientConfig::new(Endpoint::unix(home.socket(port)))).unwrap();
    assert_eq!(look(&local).await, Code::NotFound);
}

#[tokio::test]
async fn a_viewer_looks_but_does_not_report_and_an_agent_reports_for_its_machine_only() {
    let home = Home::new();
    let viewer = create(&home, "viewer", "ana", None).await;
    let (_aggregator, port) = home.start_aggregator(&[]).await;
    // Made while the server runs: valid at once.
    let agent = create(&home, "agent", "web-1", Some("web-1")).await;

    let viewer = client(port, Some(&viewer));
    assert_eq!(look(&viewer).await, Code::NotFound);
    assert_eq!(
        report(&viewer, "web-1").await.unwrap_err().code,
        Code::PermissionDenied
    );

    let agent = client(port, Some(&agent));
    assert_eq!(look(&agent).await, Code::PermissionDenied);
    assert_eq!(
        report(&agent, "web-2").await.unwrap_err().code,
        Code::PermissionDenied
    );
    report(&agent, "web-1").await.unwrap();
}

#[tokio::test]
async fn a_revoked_token_ends_its_streams_within_seconds_and_opens_no_more() {
    let home = Home::new();
    let token = create(&home, "viewer", "ana", None).await;
    let (_aggregator, port) = home.start_aggregator(&[]).await;
    let client = client(port, Some(&token));
    let request = wire::MetricsRequest::default();
    let mut metrics = client.stream_metrics(request).await.unwrap();
    assert!(
        timeout(Duration::from_millis(300), metrics.next()).await.is_err(),
        "it waits for metrics"
    );

    let revoked = finish(&mut home.sysmon(&["tokens", "revoke", "ana"])).await;
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    let end = timeout(Duration::from_secs(5), metrics.next())
        .await
        .expect("the stream ends");
    assert_eq!(end.unwrap_err().code, Code::Unauthenticated);
    assert_eq!(look(&client).await, Code::Unauthenticated);
    let again = finish(&mut home.sysmon(&["tokens", "revoke", "ana"])).await;
    assert_eq!(again.code, Some(1), "{again:?}");
}

#[tokio::test]
async fn tokens_are_listed_by_name_and_never_with_their_secret() {
    let home = Home::new();
    let empty = finish(&mut home.sysmon(&["tokens", "list"])).await;
    assert_eq!((empty.code, empty.stdout.as_str()), (Some(0), ""));
    let secret = create(&home, "agent", "web-1", Some("web-1")).await;
    create(&home, "operator", "ana", None).await;
    let listed = finish(&mut home.sysmon(&["tokens", "list"])).await.stdout;
    let lines: Vec<Vec<&str>> = listed
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0][..3], ["web-1", "agent", "web-1"]);
    assert_eq!(lines[1][..3], ["ana", "operator", "-"]);
    let file = std::fs::read_to_string(home.path().join("data/sysmon/tokens.toml")).unwrap();
    assert!(!listed.contains(&secret) && !file.contains(&secret));
    let twice = finish(&mut home.sysmon(&["tokens", "create", "--role", "viewer", "--name", "ana"])).await;
    assert_eq!((twice.code, twice.stdout.as_str()), (Some(1), ""));
    let unbound = [
        "tokens",
        "create",
        "--role",
        "viewer",
        "--name",
        "bob",
        "--machine-id",
        "web-1",
    ];
    assert_eq!(finish(&mut home.sysmon(&unbound)).await.code, Some(64));
}

#[tokio::test]
async fn beyond_this_machine_it_listens_only_with_tls_or_when_told_that_nobody_listens() {
    let home = Home::new();
    let refused = finish(&mut home.sysmon(&["aggregator", "--listen", "0.0.0.0:0"])).await;
    assert_eq!(refused.code, Some(64), "{refused:?}");
    for part in ["--listen", "--tls-cert", "--insecure"] {
        assert!(refused.stderr.contains(part), "{refused:?}");
    }
    let half = finish(&mut home.sysmon(&["aggregator", "--tls-cert", "cert.pem"])).await;
    assert!(
        half.code == Some(64) && half.stderr.contains("--tls-key"),
        "{half:?}"
    );

    let mut exposed = home.start(&["aggregator", "--listen", "0.0.0.0:0", "--insecure"]);
    let is_warning = |line: &serde_json::Value| {
        line["level"] == "WARN"
            && line["message"]
                .as_str()
                .is_some_and(|text| text.contains("WITHOUT TLS"))
    };
    exposed.wait_for_log("a loud warning", is_warning).await;
}

#[tokio::test]
async fn a_tokens_file_that_others_may_write_is_refused_before_anything_is_bound() {
    use std::os::unix::fs::PermissionsExt;

    let home = Home::new();
    create(&home, "viewer", "ana", None).await;
    let file = home.path().join("data/sysmon/tokens.toml");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    let refused = finish(&mut home.sysmon(&["aggregator", "--listen", "127.0.0.1:0"])).await;
    assert_eq!(refused.code, Some(64), "{refused:?}");
    assert!(
        refused.stderr.contains("chmod 600") && !refused.stderr.contains("listening"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_machine_that_is_revoked_may_not_report_any_more_and_others_may() {
    let home = Home::new();
    let (_aggregator, port) = home.start_aggregator(&[]).await;
    let first = create(&home, "agent", "web-1", Some("web-1")).await;
    let second = create(&home, "agent", "web-1-new", Some("web-1")).await;
    let other = create(&home, "agent", "web-2", Some("web-2")).await;
    assert_eq!(report(&client(port, Some(&first)), "web-1").await, Ok(()));
    let revoke = || home.sysmon(&["machines", "revoke", "web-1"]);
    let finished = finish(&mut revoke()).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(finished.stderr, "revoked web-1\nrevoked web-1-new\n");
    for token in [&first, &second] {
        let refused = async {
            loop {
                // The file is read anew within seconds.
                match report(&client(port, Some(token)), "web-1").await {
                    Err(error) if error.code == Code::Unauthenticated => break,
                    _ => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        timeout(PATIENCE, refused).await.expect("it is refused");
    }
    assert_eq!(report(&client(port, Some(&other)), "web-2").await, Ok(()));
    let again = finish(&mut revoke()).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("no token") && again.stderr.contains("sysmon tokens list"));
}
