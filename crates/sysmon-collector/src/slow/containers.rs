//! Containers, from the socket of Docker or of Podman, which speaks the same.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bollard::models::{
    ContainerMemoryStats, ContainerStatsResponse, ContainerSummary, ContainerSummaryHealthStatusEnum,
    ContainerSummaryStateEnum,
};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions, StatsOptions};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::StreamExt;
use sysmon_core::{Counter, MetricId};
use tokio::time::timeout;

use super::{AskingProbe, ProbeError, Reading};

/// How long the engine may take for one answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// How many containers are asked for at a time.
const CONCURRENCY: usize = 4;
/// The most containers that are followed, by name.
const CONTAINERS_MAX: usize = 256;
/// How often the number of restarts is looked up: it takes a request of its own.
const INSPECT_EVERY_NS: u64 = 60_000_000_000;

/// Follows the containers of the first engine whose socket exists. Where there is none, nothing is asked.
pub(crate) struct ContainerProbe {
    sockets: Vec<PathBuf>,
    engine: Option<Engine>,
    containers: HashMap<String, Container>,
    origin: Instant,
}

struct Engine {
    socket: PathBuf,
    client: Docker,
    /// A container without a limit of its own is given the engine's whole memory for one.
    memory_bytes: u64,
}

/// What is known of a container from run to run.
#[derive(Default)]
struct Container {
    processor_ns: Counter,
    received: Counter,
    sent: Counter,
    restarts: Option<i64>,
    inspected_ns: Option<u64>,
    was_running: bool,
}

/// What the engine said of one container.
struct Answer {
    id: String,
    statistics: Option<ContainerStatsResponse>,
    restarts: Option<i64>,
}

impl ContainerProbe {
    pub(crate) fn new(sockets: Vec<PathBuf>) -> Self {
        Self {
            sockets,
            engine: None,
            containers: HashMap::new(),
            origin: Instant::now(),
        }
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    async fn ask(&mut self, socket: PathBuf, gap_ns: u64) -> Result<Vec<Reading>, ProbeError> {
        let engine = match self.engine.take() {
            Some(engine) if engine.socket == socket => engine,
            _ => Engine::connect(socket).await?,
        };
        // Not put back when an answer fails: the engine may come back as another release.
        let mut list = engine.list().await?;
        list.sort_by(|left, right| name(left).cmp(name(right)));
        list.truncate(CONTAINERS_MAX);
        let now_ns = self.now_ns();
        let questions: Vec<(String, bool, bool)> = list
            .iter()
            .filter_map(|summary| {
                let id = summary.id.clone()?;
                let known = self.containers.entry(id.clone()).or_default();
                let running = is_running(summary);
                let old = known
                    .inspected_ns
                    .is_none_or(|at_ns| now_ns.saturating_sub(at_ns) >= INSPECT_EVERY_NS);
                let inspect = old || running != known.was_running;
                known.was_running = running;
                if inspect {
                    known.inspected_ns = Some(now_ns);
                }
                Some((id, running, inspect))
            })
            .collect();
        let client = &engine.client;
        let answers: Vec<Answer> = futures_util::stream::iter(questions)
            .map(|(id, running, inspect)| answer(client, id, running, inspect))
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        let mut answers: HashMap<String, Answer> = answers
            .into_iter()
            .map(|answer| (answer.id.clone(), answer))
            .collect();
        let now_ns = self.now_ns();
        let mut readings = Vec::new();
        for summary in &list {
            let Some(answer) = summary.id.as_ref().and_then(|id| answers.remove(id)) else {
                continue;
            };
            let Some(container) = self.containers.get_mut(&answer.id) else {
                continue;
            };
            container.record(
                summary,
                answer,
                engine.memory_bytes,
                (now_ns, gap_ns),
                &mut readings,
            );
        }
        let listed = |id: &String| list.iter().any(|summary| summary.id.as_ref() == Some(id));
        self.containers.retain(|id, _| listed(id));
        self.engine = Some(engine);
        Ok(readings)
    }
}

impl AskingProbe for ContainerProbe {
    async fn run(&mut self, period: Duration) -> Result<Vec<Reading>, ProbeError> {
        let Some(socket) = self.sockets.iter().find(|socket| socket.exists()).cloned() else {
            self.engine = None;
            self.containers.clear();
            return Ok(Vec::new());
        };
        let gap_ns = u64::try_from(period.as_nanos().saturating_mul(3)).unwrap_or(u64::MAX);
        self.ask(socket, gap_ns).await
    }
}

impl Engine {
    async fn connect(socket: PathBuf) -> Result<Self, ProbeError> {
        let path = socket.to_string_lossy().into_owned();
        let client = Docker::connect_with_unix(&path, 2 * ANSWER_LIMIT.as_secs(), API_DEFAULT_VERSION)
            .map_err(failed)?;
        let client = in_time(client.negotiate_version()).await?;
        let memory = in_time(client.info()).await?.mem_total;
        let memory_bytes = memory
            .and_then(|bytes| u64::try_from(bytes).ok())
            .filter(|bytes| *bytes > 0);
        Ok(Self {
            socket,
            client,
            memory_bytes: memory_bytes.unwrap_or(u64::MAX),
        })
    }

    async fn list(&self) -> Result<Vec<ContainerSummary>, ProbeError> {
        let options = ListContainersOptions {
            all: true,
            ..ListContainersOptions::default()
        };
        in_time(self.client.list_containers(Some(options))).await
    }
}

async fn answer(client: &Docker, id: String, running: bool, inspect: bool) -> Answer {
    let mut answer = Answer {
        id,
        statistics: None,
        restarts: None,
    };
    if running {
        let options = StatsOptions {
            stream: false,
            one_shot: true,
        };
        let mut statistics = std::pin::pin!(client.stats(&answer.id, Some(options)));
        // A container that went away or hangs is silent for this run.
        answer.statistics = timeout(ANSWER_LIMIT, statistics.next())
            .await
            .ok()
            .flatten()
            .and_then(Result::ok);
    }
    if inspect {
        let details = in_time(client.inspect_container(&answer.id, None::<InspectContainerOptions>)).await;
        answer.restarts = details.ok().and_then(|details| details.restart_count);
    }
    answer
}

impl Container {
    fn record(
        &mut self,
        summary: &ContainerSummary,
        answer: Answer,
        engine_memory_bytes: u64,
        (now_ns, gap_ns): (u64, u64),
        readings: &mut Vec<Reading>,
    ) {
        if answer.restarts.is_some() {
            self.restarts = answer.restarts;
        }
        let name = name(summary);
        let mut add = |metric, value: Option<f64>| {
            readings.extend(value.map(|value| Reading::of(metric, name, value)));
        };
        add(MetricId::ContainerRunning, Some(f64::from(is_running(summary))));
        add(MetricId::ContainerHealthy, is_healthy(summary).map(f64::from));
        add(
            MetricId::ContainerRestarts,
            self.restarts.map(|restarts| restarts as f64),
        );
        let Some(statistics) = answer.statistics else {
            return;
        };
        let rate = |counter: &mut Counter, value: Option<u64>| {
            value.and_then(|value| counter.read(value, now_ns, gap_ns).per_second())
        };
        let processor_ns = statistics.cpu_stats.and_then(|cpu| cpu.cpu_usage?.total_usage);
        // Nanoseconds per second, as percent of one core.
        add(
            MetricId::ContainerCpu,
            rate(&mut self.processor_ns, processor_ns).map(|rate| rate / 1e7),
        );
        if let Some(networks) = &statistics.networks {
            let received = networks.values().filter_map(|network| network.rx_bytes).sum();
            let sent = networks.values().filter_map(|network| network.tx_bytes).sum();
            add(
                MetricId::ContainerReceive,
                rate(&mut self.received, Some(received)),
            );
            add(MetricId::ContainerTransmit, rate(&mut self.sent, Some(sent)));
        }
        if let Some(memory) = statistics.memory_stats {
            add(
                MetricId::ContainerMemory,
                without_cache(&memory).map(|bytes| bytes as f64),
            );
            let limit = memory
                .limit
                .filter(|limit| *limit > 0 && *limit < engine_memory_bytes);
            add(MetricId::ContainerMemoryLimit, limit.map(|limit| limit as f64));
        }
    }
}

/// What `docker stats` shows: the part of the page cache that can be given back does not count.
fn without_cache(memory: &ContainerMemoryStats) -> Option<u64> {
    let usage = memory.usage?;
    let of = |key: &str| memory.stats.as_ref().and_then(|stats| stats.get(key)).copied();
    let cache = of("total_inactive_file")
        .or_else(|| of("inactive_file"))
        .unwrap_or(0);
    Some(if cache < usage { usage - cache } else { usage })
}

fn name(summary: &ContainerSummary) -> &str {
    let name = summary
        .names
        .as_ref()
        .and_then(|names| names.first())
        .or(summary.id.as_ref());
    name.map_or("", |name| name.trim_start_matches('/'))
}

fn is_running(summary: &ContainerSummary) -> bool {
    summary.state == Some(ContainerSummaryStateEnum::RUNNING)
}

/// `None` without a health check, and as long as it has not come to a result.
fn is_healthy(summary: &ContainerSummary) -> Option<bool> {
    if let Some(status) = summary.health.as_ref().and_then(|health| health.status) {
        return match status {
            ContainerSummaryHealthStatusEnum::HEALTHY => Some(true),
            ContainerSummaryHealthStatusEnum::UNHEALTHY => Some(false),
            _ => None,
        };
    }
    // Older engines say it only in the text: "Up 2 hours (healthy)".
    let status = summary.status.as_deref().unwrap_or_default();
    if status.contains("(healthy)") {
        Some(true)
    } else {
        status.contains("(unhealthy)").then_some(false)
    }
}

async fn in_time<T>(
    answer: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, ProbeError> {
    match timeout(ANSWER_LIMIT, answer).await {
        Ok(result) => result.map_err(failed),
        Err(_) => Err(ProbeError::Timeout(ANSWER_LIMIT.as_millis())),
    }
}

fn failed(error: bollard::errors::Error) -> ProbeError {
    ProbeError::Failed(format!(
        "the container engine refused: {}",
        sysmon_core::sanitize(&error.to_string())
    ))
}

#[cfg(test)]
mod tests;
