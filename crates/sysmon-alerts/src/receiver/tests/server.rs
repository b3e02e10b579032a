//! A server that answers as it is told, and remembers what it was sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// How a server answers.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// Status line, headers and body as they are.
    Http(&'static str),
    /// Takes everything and says nothing.
    Hang,
    /// Ends the connection at once.
    HangUp,
    /// Says that it goes on for ever, and does.
    Endless(&'static str),
}

pub(super) struct TestServer {
    pub(super) port: u16,
    pub(super) requests: Arc<Mutex<Vec<String>>>,
}

impl TestServer {
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// A certificate of its own, for localhost, and what serves with it.
pub(super) fn certificate() -> (String, TlsAcceptor) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    (cert.pem(), TlsAcceptor::from(Arc::new(config)))
}

pub(super) async fn http(answer: Answer, tls: Option<TlsAcceptor>) -> TestServer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = TestServer {
        port: listener.local_addr().unwrap().port(),
        requests: Arc::default(),
    };
    let requests = Arc::clone(&server.requests);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (answer, requests, tls) = (answer.clone(), Arc::clone(&requests), tls.clone());
            tokio::spawn(async move {
                match tls {
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream, answer, &requests).await;
                        }
                    }
                    None => serve(stream, answer, &requests).await,
                }
            });
        }
    });
    server
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, answer: Answer, requests: &Mutex<Vec<String>>) {
    let mut stream = BufReader::new(stream);
    if matches!(answer, Answer::HangUp) {
        return;
    }
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        let is_end = line == "\r\n";
        head.push_str(&line);
        if is_end {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    requests
        .lock()
        .unwrap()
        .push(format!("{head}{}", String::from_utf8(body).unwrap()));
    match answer {
        Answer::Http(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Answer::Endless(head) => {
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(&[b'x'; 4_096]).await.is_ok() {
                let _ = stream.flush().await;
            }
        }
        Answer::Hang => tokio::time::sleep(Duration::from_secs(3_600)).await,
        Answer::HangUp => {}
    }
}
