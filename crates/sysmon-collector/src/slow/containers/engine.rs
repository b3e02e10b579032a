//! A container engine, asked over its socket.
//!
//! A few questions with short answers: HTTP/1.0 has all that is needed for them. The engine answers at once and closes
//! the connection, and never sends in chunks (RFC 9112, section 7). The types hold only what is read here; a client
//! for the whole interface would be a fifth of the collector.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::super::ProbeError;
use super::ANSWER_LIMIT;

/// The newest version of the interface whose answers are understood here. Docker takes every version down to 1.44.
const VERSION_MAX: (u32, u32) = (1, 53);
/// The longest answer: a list of several thousand containers. A longer one is refused.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// What is said of a refusal.
const REASON_CHARS_MAX: usize = 200;
/// Between the head of an answer and its body.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// An engine that answered.
pub(super) struct Engine {
    socket: PathBuf,
    /// Before every path, such as `/v1.43`.
    prefix: String,
    /// A container without a limit of its own is given the engine's whole memory for one.
    memory_bytes: u64,
}

/// A container in the list.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Summary {
    pub(super) id: Option<String>,
    pub(super) names: Option<Vec<String>>,
    /// One word, such as `running`.
    pub(super) state: Option<String>,
    /// For people, such as `Up 2 hours (healthy)`.
    pub(super) status: Option<String>,
    /// Since version 1.52.
    pub(super) health: Option<Health>,
}

/// What the checks of a container came to.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Health {
    pub(super) status: Option<String>,
}

/// What a container uses.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Statistics {
    pub(super) cpu_stats: Option<Processor>,
    pub(super) memory_stats: Option<Memory>,
    /// By interface; a container in the host's network has none.
    pub(super) networks: Option<HashMap<String, Network>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Processor {
    pub(super) cpu_usage: Option<ProcessorUsage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ProcessorUsage {
    /// Nanoseconds since the container started.
    pub(super) total_usage: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    /// Bytes, the page cache included.
    pub(super) usage: Option<u64>,
    /// Bytes.
    pub(super) limit: Option<u64>,
    pub(super) stats: Option<MemoryDetails>,
}

/// Of the kernel's `memory.stat`, in bytes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MemoryDetails {
    /// Of control groups of version 1.
    pub(super) total_inactive_file: Option<u64>,
    pub(super) inactive_file: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Network {
    pub(super) rx_bytes: Option<u64>,
    pub(super) tx_bytes: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Details {
    restart_count: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Version {
    api_version: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Info {
    mem_total: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refusal {
    message: Option<String>,
}

impl Engine {
    /// Asks which version of the interface the engine has and how much memory.
    pub(super) async fn connect(socket: PathBuf) -> Result<Self, ProbeError> {
        let version: Version = get(&socket, "/version").await?;
        let (major, minor) = version
            .api_version
            .as_deref()
            .and_then(parse_version)
            .map_or(VERSION_MAX, |version| version.min(VERSION_MAX));
        let prefix = format!("/v{major}.{minor}");
        let info: Info = get(&socket, &format!("{prefix}/info")).await?;
        let memory_bytes = info
            .mem_total
            .and_then(|bytes| u64::try_from(bytes).ok())
            .filter(|bytes| *bytes > 0);
        Ok(Self {
            socket,
            prefix,
            memory_bytes: memory_bytes.unwrap_or(u64::MAX),
        })
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The memory of the machine that it runs on; all there can be where it is not known.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// The containers, the stopped ones as well.
    pub(super) async fn list(&self) -> Result<Vec<Summary>, ProbeError> {
        self.get("/containers/json?all=true").await
    }

    /// What a running container uses. Returns at once: the engine would take a second for rates of its own.
    pub(super) async fn statistics(&self, id: &str) -> Result<Statistics, ProbeError> {
        let question = format!("/containers/{}/stats?stream=false&one-shot=true", checked(id)?);
        self.get(&question).await
    }

    /// How often a container was started again.
    pub(super) async fn restarts(&self, id: &str) -> Result<Option<i64>, ProbeError> {
        let details: Details = self.get(&format!("/containers/{}/json", checked(id)?)).await?;
        Ok(details.restart_count)
    }

    async fn get<T: DeserializeOwned>(&self, question: &str) -> Result<T, ProbeError> {
        get(&self.socket, &format!("{}{question}", self.prefix)).await
    }
}

/// An id goes into a path as it is.
fn checked(id: &str) -> Result<&str, ProbeError> {
    if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(id)
    } else {
        Err(failed("a container has an id that is none"))
    }
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

async fn get<T: DeserializeOwned>(socket: &Path, question: &str) -> Result<T, ProbeError> {
    let answer = match timeout(ANSWER_LIMIT, ask(socket, question)).await {
        Ok(answer) => answer.map_err(|error| failed(&error.to_string()))?,
        Err(_) => return Err(ProbeError::Timeout(ANSWER_LIMIT.as_millis())),
    };
    serde_json::from_slice(body(&answer)?).map_err(|error| failed(&error.to_string()))
}

/// The whole answer, head and body.
async fn ask(socket: &Path, question: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket).await?;
    let request = format!("GET {question} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let mut length = None;
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Ok(answer);
        }
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(std::io::Error::other("its answer is too long"));
        }
        // It may say how long the answer is and keep the connection open.
        length = length.or_else(|| length_of(&answer));
        if length.is_some_and(|length| answer.len() >= length) {
            return Ok(answer);
        }
    }
}

/// How long an answer is with its head, once that is there and if it says so.
fn length_of(answer: &[u8]) -> Option<usize> {
    let (head, _) = split(answer)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok()).flatten()
    })?;
    length.checked_add(head.len() + HEAD_END.len())
}

fn split(answer: &[u8]) -> Option<(&str, &[u8])> {
    let end = answer
        .windows(HEAD_END.len())
        .position(|window| window == HEAD_END)?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    Some((head, &answer[end + HEAD_END.len()..]))
}

/// The body of an answer that is no refusal.
fn body(answer: &[u8]) -> Result<&[u8], ProbeError> {
    let (head, body) = split(answer).ok_or_else(|| failed("its answer is not HTTP"))?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if head.starts_with("HTTP/1.") && status == "200" {
        return Ok(body);
    }
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let reason = refusal.message.unwrap_or_default();
    let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
    Err(failed(&format!("status {status} {reason}")))
}

fn failed(reason: &str) -> ProbeError {
    ProbeError::Failed(format!(
        "the container engine refused: {}",
        sysmon_core::sanitize(reason.trim())
    ))
}
