use std::time::Duration;

use serde_json::Value;

use super::server::{Answer, TestServer, certificate, http};
use super::{ID, send};

const OK: Answer = Answer::Http("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");

fn hook(server: &TestServer, more: &str) -> String {
    let port = server.port;
    format!(
        "[[receiver]]\nname = \"a\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1:{port}/geheim?x=y\"\n{more}"
    )
}

fn body(request: &str) -> Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn a_webhook_gets_the_message_with_its_id_and_our_token() {
    let server = http(OK, None).await;
    send(&hook(&server, "token = \"secret\"")).await.unwrap();
    let request = &server.requests()[0];
    let head = request.to_ascii_lowercase();
    assert!(request.starts_with("POST /geheim?x=y HTTP/1.1\r\n"), "{request}");
    assert!(head.contains("\r\nauthorization: bearer secret\r\n"), "{head}");
    assert!(
        head.contains(&format!("\r\nx-sysmon-delivery: {ID}\r\n")),
        "{head}"
    );
    let body = body(request);
    assert_eq!(body["delivery_id"], ID);
    assert_eq!(body["rule"]["id"], "disk-full");
    assert_eq!(body["alerts"][0]["machine_id"], "m1");
    assert!(
        body["text"]
            .as_str()
            .unwrap()
            .starts_with("CRITICAL: Disk full on wéb-1")
    );
}

#[tokio::test]
async fn what_an_answer_means_depends_on_its_status() {
    for (answer, is_final, says) in [
        (
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 5\r\n\r\nno\x1b[2",
            true,
            "400 Bad Request: no\u{fffd}[2",
        ),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", true, "404"),
        (
            "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n",
            false,
            "408",
        ),
        ("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", false, "500"),
        (
            "HTTP/1.1 308 Permanent Redirect\r\nlocation: https://elsewhere.example.org/geheim\r\ncontent-length: 0\r\n\r\n",
            true,
            "points to https://elsewhere.example.org:443; redirects are not followed",
        ),
        ("nonsense\r\n\r\n", false, "broke off"),
    ] {
        let server = http(Answer::Http(answer), None).await;
        let failure = send(&hook(&server, "")).await.unwrap_err();
        assert_eq!(failure.is_final, is_final, "{answer}");
        assert!(failure.problem.contains(says), "{}", failure.problem);
        assert!(!failure.problem.contains("geheim"), "{}", failure.problem);
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_server_that_wants_peace_says_for_how_long() {
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        let text = format!("HTTP/1.1 {status}\r\nretry-after: 77\r\ncontent-length: 0\r\n\r\n");
        let server = http(Answer::Http(text.leak()), None).await;
        let failure = send(&hook(&server, "")).await.unwrap_err();
        assert_eq!(
            (failure.is_final, failure.retry_after),
            (false, Some(Duration::from_secs(77)))
        );
    }
}

#[tokio::test]
async fn a_server_that_hangs_or_is_not_there_is_tried_again() {
    let server = http(Answer::HangUp, None).await;
    assert!(!send(&hook(&server, "")).await.unwrap_err().is_final);
    let gone = TestServer {
        port: 1,
        requests: std::sync::Arc::default(),
    };
    let failure = send(&hook(&gone, "")).await.unwrap_err();
    assert!(
        failure.problem.contains("cannot connect to http://127.0.0.1:1"),
        "{failure:?}"
    );
    // The clock is paused as soon as nothing moves any more, so that ten seconds are over at once.
    let server = http(Answer::Hang, None).await;
    let text = hook(&server, "");
    let sending = tokio::spawn(async move { send(&text).await });
    while server.requests().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::pause();
    let failure = sending.await.unwrap().unwrap_err();
    assert!(
        failure.problem.contains("did not answer within 10 s"),
        "{failure:?}"
    );
}

#[tokio::test]
async fn an_endless_answer_is_neither_read_nor_waited_for() {
    let started = std::time::Instant::now();
    for (head, is_good) in [
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n",
            true,
        ),
        (
            "HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n",
            false,
        ),
    ] {
        let server = http(Answer::Endless(head), None).await;
        assert_eq!(send(&hook(&server, "")).await.is_ok(), is_good);
    }
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn only_a_server_that_is_vouched_for_is_sent_anything() {
    let (pem, tls) = certificate();
    let (other, _) = certificate();
    let server = http(OK, Some(tls)).await;
    let folder = tempfile::tempdir().unwrap();
    let hook = |authority: Option<&str>| {
        let ca = authority.map(|pem| {
            let path = folder.path().join("ca.pem");
            std::fs::write(&path, pem).unwrap();
            format!("ca_file = {:?}", path.to_str().unwrap())
        });
        format!(
            "[[receiver]]\nname = \"a\"\nkind = \"webhook\"\nurl = \"https://localhost:{}/\"\n{}",
            server.port,
            ca.unwrap_or_default()
        )
    };
    for authority in [None, Some(other.as_str())] {
        let failure = send(&hook(authority)).await.unwrap_err();
        assert!(failure.problem.contains("cannot be trusted"), "{failure:?}");
    }
    assert_eq!(server.requests().len(), 0);
    send(&hook(Some(&pem))).await.unwrap();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn slack_gets_text_in_which_nothing_remote_is_a_mark() {
    let server = http(OK, None).await;
    send(&hook(&server, "").replace("webhook", "slack"))
        .await
        .unwrap();
    let text = body(&server.requests()[0])["text"].as_str().unwrap().to_owned();
    assert!(
        text.starts_with("*CRITICAL: Disk full on wéb-1 $(reboot)*\n"),
        "{text}"
    );
    assert!(text.contains("Delete &lt;something&gt;."), "{text}");
}

#[tokio::test]
async fn ntfy_gets_json_at_its_root_with_topic_and_priority() {
    let server = http(OK, None).await;
    let text = hook(&server, "")
        .replace("webhook", "ntfy")
        .replace("/geheim?x=y", "/sub/topic");
    send(&text).await.unwrap();
    let request = &server.requests()[0];
    assert!(request.starts_with("POST /sub/ HTTP/1.1\r\n"), "{request}");
    let body = body(request);
    assert_eq!((&body["topic"], &body["priority"]), (&"topic".into(), &5.into()));
    assert_eq!(body["title"], "CRITICAL: Disk full on wéb-1 $(reboot)");
    assert!(body["message"].as_str().unwrap().contains("/;`id`"));
}
