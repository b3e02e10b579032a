use std::sync::Arc;
use std::time::Duration;

use sysmon_api::{Access, Client, ClientConfig, Code, Endpoint, Server, wire};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::support::{Double, client, count_of, end_of, hello, pushing, serve, soon};

/// Makes every call with an admin's client and looks at what comes back.
async fn exercise(client: &Client) {
    let (requests, mut responses) = pushing(client).await.unwrap();
    for count in 2..20 {
        requests.send(wire::PushRequest { body: None }).await.unwrap();
        let response = soon(responses.next()).await.unwrap().unwrap();
        assert_eq!(count_of(&response), count);
    }
    drop(requests);
    assert_eq!(
        end_of(&mut responses).await,
        Ok(()),
        "the collector's end ends the stream"
    );

    let (commands, outgoing) = mpsc::channel(4);
    let mut responses = soon(client.manage(outgoing)).await.unwrap();
    for request_id in [7, 8, 9] {
        let command = wire::Command {
            request_id,
            body: None,
        };
        commands.send(command).await.unwrap();
        assert_eq!(
            soon(responses.next()).await.unwrap().unwrap().request_id,
            request_id
        );
    }

    let mut metrics = soon(client.stream_metrics(wire::MetricsRequest::default()))
        .await
        .unwrap();
    let metric = soon(metrics.next()).await.unwrap().unwrap();
    assert!(metric.machine_id.starts_with("local"), "{metric:?}");

    let request = wire::StateRequest {
        machine_id: "web-1".into(),
    };
    let state = soon(client.current_state(request)).await.unwrap();
    assert_eq!(state.host.unwrap().hostname, "admin");
    let request = wire::StateRequest {
        machine_id: "nobody".into(),
    };
    let error = soon(client.current_state(request)).await.unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (Code::NotFound, "nobody never reported")
    );
}

#[tokio::test]
async fn every_call_works_in_process() {
    let running = serve(Access::local_only(), None).await;
    exercise(&running.local_client()).await;
}

#[cfg(unix)]
#[tokio::test]
async fn every_call_works_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sysmon.sock");
    let mut server = Server::new(Double::new().0, Arc::new(Access::local_only()));
    server.bind_unix(&path).unwrap();
    tokio::spawn(server.serve(CancellationToken::new()));
    exercise(&client(&format!("unix:{}", path.display()), None)).await;
}

#[tokio::test]
async fn every_call_works_over_tcp_with_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.toml");
    let secret = sysmon_api::tokens::create(&path, "local-admin", sysmon_api::Role::Admin, None).unwrap();
    let running = serve(Access::with_tokens_file(&path).unwrap(), None).await;
    exercise(&running.client(Some(&secret))).await;
}

#[tokio::test]
async fn several_listeners_serve_the_same_backend() {
    let (backend, mut under_way) = Double::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.toml");
    let secret = sysmon_api::tokens::create(&path, "a", sysmon_api::Role::Admin, None).unwrap();
    let access = Access::with_tokens_file(&path).unwrap();
    let mut server = Server::new(backend, Arc::new(access));
    let first = server.bind_tcp(([127, 0, 0, 1], 0).into(), None).await.unwrap();
    let second = server.bind_tcp(([127, 0, 0, 1], 0).into(), None).await.unwrap();
    let in_process = server.in_process();
    tokio::spawn(server.serve(CancellationToken::new()));
    let local = Client::new(ClientConfig::new(Endpoint::in_process(in_process))).unwrap();
    let _streams = (
        pushing(&client(&format!("http://{first}"), Some(&secret)))
            .await
            .unwrap(),
        pushing(&client(&format!("http://{second}"), Some(&secret)))
            .await
            .unwrap(),
        pushing(&local).await.unwrap(),
    );
    soon(under_way.wait_for(|count| *count == 3)).await.unwrap();
}

#[tokio::test]
async fn a_client_finds_a_server_that_comes_later_and_one_that_comes_back() {
    let running = serve(Access::local_only(), None).await;
    let address = running.address;
    let client = client(&format!("http://{address}"), None);
    assert_eq!(soon(client.health("")).await, Ok(true));

    running.shutdown.cancel();
    soon(running.task).await.unwrap().unwrap();
    let error = soon(client.health("")).await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable);
    assert!(
        error.message.contains(&format!(
            "cannot reach http://{address}: connection refused; is `sysmon aggregator` running there?"
        )),
        "{error}"
    );
    assert!(error.is_transient());

    let mut server = Server::new(Double::new().0, Arc::new(Access::local_only()));
    server.bind_tcp(address, None).await.unwrap();
    tokio::spawn(server.serve(CancellationToken::new()));
    assert_eq!(soon(client.health("")).await, Ok(true));
}

#[tokio::test]
async fn what_is_bound_first_is_there_before_anybody_can_connect() {
    let mut server = Server::new(Double::new().0, Arc::new(Access::local_only()));
    let connect = |address| std::net::TcpStream::connect_timeout(&address, Duration::from_secs(5));
    let mut early = None;
    let address = server
        .bind_tcp_after(([127, 0, 0, 1], 0).into(), None, |_, address| {
            early = Some((address, connect(address).map(drop)));
        })
        .await
        .unwrap();
    let (reserved, refused) = early.unwrap();
    assert_eq!(reserved, address);
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    connect(address).unwrap();
}

#[tokio::test]
async fn an_address_in_use_is_reported_when_it_is_bound() {
    let running = serve(Access::local_only(), None).await;
    let mut server = Server::new(Double::new().0, Arc::new(Access::local_only()));
    let error = server.bind_tcp(running.address, None).await.unwrap_err();
    assert_eq!(error.code, Code::AlreadyExists);
    assert!(error.message.contains(&running.address.to_string()), "{error}");
    assert!(error.message.contains("choose another address"), "{error}");
}

#[tokio::test]
async fn a_host_that_does_not_exist_is_named() {
    let error = soon(client("http://no-such-host.invalid:1", None).health(""))
        .await
        .unwrap_err();
    assert!(
        error
            .message
            .starts_with("cannot reach http://no-such-host.invalid:1: "),
        "{error}"
    );
    assert!(error.message.contains("the name cannot be resolved"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_dropped_is_gone_for_its_in_process_clients() {
    let running = serve(Access::local_only(), None).await;
    let client = running.local_client();
    let (_requests, mut responses) = pushing(&client).await.unwrap();
    running.task.abort();
    let error = end_of(&mut responses).await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable);
    assert!(error.message.contains("this process"), "{error}");
    let (_requests, outgoing) = mpsc::channel(1);
    let error = soon(client.push(outgoing)).await.unwrap_err();
    assert!(error.message.contains("has stopped"), "{error}");
}

#[tokio::test]
async fn a_message_of_the_right_size_passes_and_a_larger_one_harms_only_its_call() {
    let running = serve(Access::local_only(), None).await;
    let client = running.local_client();

    // The backend answers with too much.
    let request = wire::MetricsRequest {
        types: vec!["large".into()],
        ..Default::default()
    };
    let mut metrics = soon(client.stream_metrics(request)).await.unwrap();
    let error = soon(metrics.next()).await.unwrap_err();
    assert!(error.message.contains("too large"), "{error}");

    // The client sends too much.
    let (requests, mut responses) = pushing(&client).await.unwrap();
    requests.send(hello(&"x".repeat(3_900_000))).await.unwrap();
    assert_eq!(count_of(&soon(responses.next()).await.unwrap().unwrap()), 2);
    requests.send(hello(&"x".repeat(5 * 1024 * 1024))).await.unwrap();
    let error = end_of(&mut responses).await.unwrap_err();
    assert_eq!(error.code, Code::InvalidArgument, "{error}");
    assert!(error.message.contains("the limit is: 4194304 bytes"), "{error}");

    exercise(&client).await;
}
