use std::sync::Arc;

use sysmon_api::{Access, Client, ClientConfig, Code, Endpoint, wire};
use tokio::sync::mpsc;

use crate::support::{count_of, end_of, hello, pushing, serve, soon};

#[tokio::test]
async fn shutdown_ends_every_stream_with_unavailable_and_the_server_returns() {
    let mut running = serve(Access::local_only(), None).await;
    let client = running.local_client();
    let (_requests, mut responses) = pushing(&client).await.unwrap();
    let (_commands, outgoing) = mpsc::channel(1);
    let mut replies = soon(client.manage(outgoing)).await.unwrap();
    let mut metrics = soon(client.stream_metrics(wire::MetricsRequest::default()))
        .await
        .unwrap();
    running.wait_under_way(3).await;

    running.shutdown.cancel();
    for error in [
        end_of(&mut responses).await.unwrap_err(),
        end_of(&mut replies).await.unwrap_err(),
        end_of(&mut metrics).await.unwrap_err(),
    ] {
        assert_eq!(
            (error.code, error.message.as_str()),
            (Code::Unavailable, "server is shutting down")
        );
    }
    soon(running.task).await.unwrap().unwrap();
    assert_eq!(
        *running.under_way.borrow(),
        0,
        "the backend is done when the server returns"
    );
}

#[tokio::test(start_paused = true)]
async fn shutdown_takes_less_than_five_seconds_whatever_backend_and_clients_do() {
    let mut running = serve(Access::local_only(), None).await;
    let client = running.local_client();
    let (requests, mut responses) = pushing(&client).await.unwrap();
    requests.send(hello("stuck")).await.unwrap();
    assert_eq!(count_of(&responses.next().await.unwrap().unwrap()), 2);
    let flood = wire::MetricsRequest {
        types: vec!["flood".into()],
        ..Default::default()
    };
    let _metrics = client.stream_metrics(flood).await.unwrap();
    running.wait_under_way(2).await;
    let start = tokio::time::Instant::now();
    running.shutdown.cancel();
    running.task.await.unwrap().unwrap();
    assert!(start.elapsed().as_millis() < 5_000, "{:?}", start.elapsed());
    assert_eq!(*running.under_way.borrow(), 0);
}

#[tokio::test]
async fn shutdown_does_not_wait_for_clients_that_never_listen() {
    let running = serve(Access::local_only(), None).await;
    let client = running.local_client();
    let request = wire::MetricsRequest {
        types: vec!["flood".into()],
        ..Default::default()
    };
    // Nobody reads this, so that the queues on the way are full.
    let _metrics = soon(client.stream_metrics(request)).await.unwrap();
    let (_requests, _responses) = pushing(&client).await.unwrap();
    running.shutdown.cancel();
    soon(running.task).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn dropping_the_server_closes_every_connection() {
    let mut running = serve(Access::local_only(), None).await;
    let client = running.local_client();
    let (requests, mut responses) = pushing(&client).await.unwrap();
    requests.send(hello("stuck")).await.unwrap();
    assert_eq!(count_of(&soon(responses.next()).await.unwrap().unwrap()), 2);
    running.task.abort();
    assert_eq!(end_of(&mut responses).await.unwrap_err().code, Code::Unavailable);
    running.wait_under_way(0).await;
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_no_call_behind() {
    let mut running = serve(Access::local_only(), None).await;
    let client = running.local_client();
    let metrics = soon(client.stream_metrics(wire::MetricsRequest::default()))
        .await
        .unwrap();
    let flood = wire::MetricsRequest {
        types: vec!["flood".into()],
        ..Default::default()
    };
    let flood = soon(client.stream_metrics(flood)).await.unwrap();
    let (requests, responses) = pushing(&client).await.unwrap();
    let (commands, outgoing) = mpsc::channel(1);
    let replies = soon(client.manage(outgoing)).await.unwrap();
    running.wait_under_way(4).await;
    drop((metrics, flood, responses, replies, client));
    running.wait_under_way(0).await;
    drop((requests, commands));
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_does_not_notice_the_end_is_dropped_after_a_second() {
    let mut running = serve(Access::local_only(), None).await;
    let client = running.local_client();
    let (requests, mut responses) = pushing(&client).await.unwrap();
    requests.send(hello("stuck")).await.unwrap();
    assert_eq!(count_of(&responses.next().await.unwrap().unwrap()), 2);
    let start = tokio::time::Instant::now();
    drop((requests, responses, client));
    running.wait_under_way(0).await;
    let elapsed = start.elapsed();
    assert!((1..=2).contains(&elapsed.as_secs()), "{elapsed:?}");
}

#[tokio::test]
async fn no_task_is_left_of_a_client_that_came_and_went() {
    let mut running = serve(Access::local_only(), None).await;
    let metrics = tokio::runtime::Handle::current().metrics();
    let mut counts = Vec::new();
    for _ in 0..12 {
        let client = running.local_client();
        let streams = (pushing(&client).await.unwrap(), pushing(&client).await.unwrap());
        drop((streams, client));
        running.wait_under_way(0).await;
        // The tasks of the connection end once both sides have seen that the other is gone.
        soon(async {
            while counts
                .first()
                .is_some_and(|first| metrics.num_alive_tasks() > *first)
            {
                tokio::task::yield_now().await;
            }
        })
        .await;
        counts.push(metrics.num_alive_tasks());
    }
}

#[tokio::test]
async fn a_mistake_of_the_backend_is_internal_and_the_server_goes_on() {
    let running = serve(Access::local_only(), None).await;
    let client = running.local_client();
    let (requests, mut responses) = pushing(&client).await.unwrap();
    requests.send(hello("panic")).await.unwrap();
    let error = end_of(&mut responses).await.unwrap_err();
    assert_eq!(error.code, Code::Internal);
    assert!(error.message.contains("report it"), "{error}");
    pushing(&client).await.unwrap();
}

#[tokio::test]
async fn a_refusal_comes_after_what_was_sent_before_and_without_control_characters() {
    let running = serve(Access::local_only(), None).await;
    let (requests, mut responses) = pushing(&running.local_client()).await.unwrap();
    requests.send(hello("refuse")).await.unwrap();
    assert_eq!(count_of(&soon(responses.next()).await.unwrap().unwrap()), 2);
    let error = soon(responses.next()).await.unwrap_err();
    assert_eq!(error.code, Code::AlreadyExists);
    assert!(error.message.starts_with("two machines claim it"), "{error}");
    assert!(!error.message.contains('\u{1b}'), "{error:?}");
}

#[tokio::test]
async fn a_backend_that_returns_ends_the_call_even_when_a_sender_lives_on() {
    let running = serve(Access::local_only(), None).await;
    let (requests, mut responses) = pushing(&running.local_client()).await.unwrap();
    requests.send(hello("finish")).await.unwrap();
    assert_eq!(end_of(&mut responses).await, Ok(()));
}

#[tokio::test]
async fn strangers_who_do_not_speak_the_protocol_do_not_harm_the_server() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let running = serve(Access::local_only(), None).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let too_large_a_frame = [preface.as_slice(), &[0xff; 64]].concat();
    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n".as_slice(),
        &[0x16, 0x03, 0x01, 0xff, 0xff],
        &too_large_a_frame,
    ] {
        let mut stream = tokio::net::TcpStream::connect(running.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        // Whatever comes back, the server hangs up.
        let _ = soon(stream.read_to_end(&mut Vec::new())).await;
    }
    assert_eq!(soon(running.client(None).health("")).await, Ok(true));
}

#[tokio::test]
async fn a_client_can_be_made_outside_of_a_runtime_and_shared() {
    let running = serve(Access::local_only(), None).await;
    let endpoint = Endpoint::in_process(running.in_process.clone());
    let client = std::thread::spawn(move || Client::new(ClientConfig::new(endpoint)).unwrap())
        .join()
        .unwrap();
    let calls = Arc::new(client);
    let (first, second) = tokio::join!(calls.health(""), calls.health(""));
    assert_eq!((first, second), (Ok(true), Ok(true)));
}

#[cfg(target_os = "linux")]
mod descriptors {
    use super::*;

    const CHILD: &str = "lifecycle::descriptors::child";

    /// The limit counts for a whole process, so this takes place in one of its own.
    #[test]
    fn a_server_without_file_descriptors_accepts_again_as_soon_as_there_are_some() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD, "--ignored", "--nocapture"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(text.contains("1 passed"), "{text}");
    }

    #[tokio::test]
    #[ignore = "changes a limit of its process; another test runs it"]
    async fn child() {
        use rustix::process::{Resource, Rlimit, setrlimit};

        let running = serve(Access::local_only(), None).await;
        let client = running.client(None);
        assert_eq!(soon(client.health("")).await, Ok(true));

        let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        let limit = Rlimit {
            current: Some(open + 9),
            maximum: Some(open + 9),
        };
        setrlimit(Resource::Nofile, limit).unwrap();
        let mut connections = Vec::new();
        let error = loop {
            match tokio::net::TcpStream::connect(running.address).await {
                Ok(connection) => connections.push(connection),
                Err(error) => break error,
            }
        };
        assert_eq!(
            error.raw_os_error(),
            Some(rustix::io::Errno::MFILE.raw_os_error())
        );
        // The server is now in the same situation, with a connection waiting.
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        assert!(!running.task.is_finished());
        drop(connections);
        let fresh = running.client(None);
        assert_eq!(soon(fresh.health("")).await, Ok(true));
    }
}
