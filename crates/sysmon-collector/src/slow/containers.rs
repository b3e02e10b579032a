//! Containers, from the socket of Docker or of Podman, which speaks the same.

mod engine;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use sysmon_core::{Counter, MetricId};

use self::engine::{Engine, Memory, Statistics, Summary};
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
    statistics: Option<Statistics>,
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
            Some(engine) if engine.socket() == socket => engine,
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
        let asked = &engine;
        let answers: Vec<Answer> = futures_util::stream::iter(questions)
            .map(|(id, running, inspect)| answer(asked, id, running, inspect))
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
                engine.memory_bytes(),
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

/// What fails is silent for this run: the container may just have gone away.
async fn answer(engine: &Engine, id: String, running: bool, inspect: bool) -> Answer {
    let mut answer = Answer {
        id,
        statistics: None,
        restarts: None,
    };
    if running {
        answer.statistics = engine.statistics(&answer.id).await.ok();
    }
    if inspect {
        answer.restarts = engine.restarts(&answer.id).await.ok().flatten();
    }
    answer
}

impl Container {
    fn record(
        &mut self,
        summary: &Summary,
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
fn without_cache(memory: &Memory) -> Option<u64> {
    let usage = memory.usage?;
    let cache = memory.stats.as_ref().and_then(|stats| {
        // Where both are there the first counts the groups below as well.
        stats.total_inactive_file.or(stats.inactive_file)
    });
    let cache = cache.unwrap_or(0);
    Some(if cache < usage { usage - cache } else { usage })
}

fn name(summary: &Summary) -> &str {
    let name = summary
        .names
        .as_ref()
        .and_then(|names| names.first())
        .or(summary.id.as_ref());
    name.map_or("", |name| name.trim_start_matches('/'))
}

fn is_running(summary: &Summary) -> bool {
    summary.state.as_deref() == Some("running")
}

/// `None` without a health check, and as long as it has not come to a result.
fn is_healthy(summary: &Summary) -> Option<bool> {
    let status = summary
        .health
        .as_ref()
        .and_then(|health| health.status.as_deref());
    if let Some(status) = status {
        return match status {
            "healthy" => Some(true),
            "unhealthy" => Some(false),
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

#[cfg(test)]
mod tests;
