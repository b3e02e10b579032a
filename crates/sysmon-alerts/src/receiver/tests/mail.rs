use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::server::certificate;
use super::{ID, send};

/// A mail server that keeps what it is told and answers a recipient as it is told.
struct MailServer {
    port: u16,
    lines: Arc<Mutex<Vec<String>>>,
}

async fn mail_server(
    to_recipient: &'static str,
    tls: Option<TlsAcceptor>,
    from_the_start: bool,
) -> MailServer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = MailServer {
        port: listener.local_addr().unwrap().port(),
        lines: Arc::default(),
    };
    let lines = Arc::clone(&server.lines);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (lines, tls) = (Arc::clone(&lines), tls.clone());
            tokio::spawn(async move {
                match tls {
                    Some(tls) if from_the_start => {
                        if let Ok(stream) = tls.accept(stream).await {
                            talk(stream, to_recipient, false, true, &lines).await;
                        }
                    }
                    Some(tls) => {
                        if let Some(stream) = talk(stream, to_recipient, true, true, &lines).await
                            && let Ok(stream) = tls.accept(stream).await
                        {
                            talk(stream, to_recipient, false, false, &lines).await;
                        }
                    }
                    None => {
                        talk(stream, to_recipient, false, true, &lines).await;
                    }
                }
            });
        }
    });
    server
}

/// The stream comes back when TLS is to begin on it.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    to_recipient: &str,
    offers_tls: bool,
    greets: bool,
    lines: &Mutex<Vec<String>>,
) -> Option<S> {
    let mut stream = BufReader::new(stream);
    if greets {
        stream.write_all(b"220 here\r\n").await.ok()?;
    }
    let mut is_data = false;
    loop {
        stream.flush().await.ok()?;
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        lines.lock().unwrap().push(line.clone());
        let answer = match line.split(' ').next().unwrap_or_default() {
            "." if is_data => {
                is_data = false;
                "250 taken"
            }
            _ if is_data => continue,
            "EHLO" if offers_tls => "250-here\r\n250 STARTTLS",
            "EHLO" => "250-here\r\n250-8BITMIME\r\n250 AUTH PLAIN",
            "STARTTLS" => {
                stream.write_all(b"220 go\r\n").await.ok()?;
                stream.flush().await.ok()?;
                return Some(stream.into_inner());
            }
            "AUTH" => "235 known",
            "RCPT" => to_recipient,
            "DATA" => {
                is_data = true;
                "354 go on"
            }
            "QUIT" => "221 bye",
            _ => "250 yes",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
    }
}

fn receiver(port: u16, more: &str) -> String {
    format!(
        "[[receiver]]\nname = \"a\"\nkind = \"email\"\nserver = \"localhost\"\nport = {port}\nfrom = \"sysmon <s@example.org>\"\nto = [\"a@example.org\", \"b@example.org\"]\n{more}"
    )
}

#[tokio::test]
async fn a_mail_has_a_name_a_subject_and_all_recipients() {
    let server = mail_server("250 yes", None, false).await;
    let login = "tls = \"none\"\nuser = \"u\"\npassword = \"p\"";
    send(&receiver(server.port, login)).await.unwrap();
    let lines = server.lines.lock().unwrap().clone();
    let has = |wanted: &str| lines.iter().any(|line| line.contains(wanted));
    assert!(
        has("RCPT TO:<a@example.org>") && has("RCPT TO:<b@example.org>"),
        "{lines:?}"
    );
    assert!(has(&format!("Message-ID: <{ID}@sysmon>")), "{lines:?}");
    assert!(has("Subject: CRITICAL: Disk full on"), "{lines:?}");
    assert!(has("AUTH PLAIN"), "{lines:?}");
}

#[tokio::test]
async fn a_mail_that_is_refused_for_good_is_not_tried_again() {
    for (answer, is_final) in [("550 nobody of this name", true), ("451 later", false)] {
        let server = mail_server(answer, None, false).await;
        let failure = send(&receiver(server.port, "tls = \"none\"")).await.unwrap_err();
        assert_eq!(failure.is_final, is_final, "{failure:?}");
        assert!(failure.problem.contains(&answer[4..]), "{failure:?}");
    }
    let failure = send(&receiver(1, "tls = \"none\"")).await.unwrap_err();
    assert!(!failure.is_final, "{failure:?}");
}

#[tokio::test]
async fn mail_goes_over_tls_or_not_at_all() {
    let (pem, tls) = certificate();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, pem).unwrap();
    let ca = format!("ca_file = {:?}", ca.to_str().unwrap());
    for (word, from_the_start) in [("starttls", false), ("tls", true)] {
        let server = mail_server("250 yes", Some(tls.clone()), from_the_start).await;
        send(&receiver(server.port, &format!("tls = \"{word}\"\n{ca}")))
            .await
            .unwrap();
        // Its certificate is not one that the system trusts.
        let failure = send(&receiver(server.port, &format!("tls = \"{word}\""))).await;
        assert!(!failure.unwrap_err().is_final);
    }
    // A server without TLS, or somebody in between who hides it.
    let server = mail_server("250 yes", None, false).await;
    send(&receiver(server.port, &ca)).await.unwrap_err();
    let lines = server.lines.lock().unwrap().clone();
    assert!(!lines.iter().any(|line| line.starts_with("MAIL")), "{lines:?}");
}
