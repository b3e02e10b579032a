//! A web server that takes notifications.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// What came, in order: the delivery's id and the body.
pub(crate) struct Hook {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Hook {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let copy = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever sends may be killed while it does.
                if let Some(taken) = take(stream) {
                    copy.lock().unwrap().push(taken);
                }
            }
        });
        Self { url, received }
    }

    /// What came of one kind about one rule.
    pub(crate) fn about(&self, rule: &str, kind: &str) -> Vec<(String, Value)> {
        let received = self.received.lock().unwrap();
        let is_meant = |(_, body): &&(String, Value)| body["rule"]["id"] == rule && body["kind"] == kind;
        received.iter().filter(is_meant).cloned().collect()
    }

    /// All of it, for the message of a failure.
    pub(crate) fn summaries(&self) -> Vec<String> {
        let received = self.received.lock().unwrap();
        let line = |(id, body): &(String, Value)| format!("{id} {} {}", body["kind"], body["summary"]);
        received.iter().map(line).collect()
    }
}

fn take(stream: TcpStream) -> Option<(String, Value)> {
    let mut reader = BufReader::new(stream);
    let (mut id, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "x-sysmon-delivery" => id = value.trim().to_owned(),
            "content-length" => length = value.trim().parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).ok()?;
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    // It counts as taken as soon as it was read: whoever does not get the answer sends it again, under the same id.
    let _ = reader.get_mut().write_all(answer);
    Some((id, body))
}
