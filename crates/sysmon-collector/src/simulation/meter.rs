//! How long a sample takes from where it is made to somebody who watches: a subscriber of the whole fleet in the process
//! that made the samples, so that both moments are read from one clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sysmon_api::{ApiError, Backoff, Client, hello, wire};
use sysmon_core::{MetricId, UnixMillis};
use tokio::sync::mpsc;
use tokio::time::{Instant as TokioInstant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::clock::unix_now;

/// How often the figures are told.
const EVERY: Duration = Duration::from_secs(10);
/// The most samples of one report; of more, the first ones count.
const SAMPLES_MAX: usize = 1 << 20;
/// What it subscribes to: about what the table of the fleet shows of a machine.
const METRICS: [MetricId; 6] = [
    MetricId::CpuBusy,
    MetricId::MemoryUsedPercent,
    MetricId::DiskReadTotal,
    MetricId::DiskWriteTotal,
    MetricId::NetworkReceiveTotal,
    MetricId::Load1,
];

/// When the newest sample of every machine was made; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    origin: Instant,
    made: Arc<[Made]>,
}

/// The time that a sample says, and when it was made in microseconds since the origin.
#[derive(Debug, Default)]
struct Made {
    at_ms: AtomicI64,
    made_us: AtomicU64,
}

impl Meter {
    pub(super) fn new(machines: u32) -> Self {
        Self {
            origin: Instant::now(),
            made: (0..machines).map(|_| Made::default()).collect(),
        }
    }

    /// A sample of a machine is about to be made.
    pub(super) fn made(&self, index: u32, at: UnixMillis) {
        if let Some(made) = self.made.get(index as usize) {
            made.made_us.store(self.now_us(), Ordering::Relaxed);
            made.at_ms.store(at.0, Ordering::Release);
        }
    }

    /// How long ago the sample of that time was made; `None` when there is a newer one, or none.
    fn age_us(&self, index: u32, at_ms: i64) -> Option<u64> {
        let made = self.made.get(index as usize)?;
        let is_newest = made.at_ms.load(Ordering::Acquire) == at_ms;
        is_newest.then(|| self.now_us().saturating_sub(made.made_us.load(Ordering::Relaxed)))
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Watches the fleet and tells every ten seconds how long its samples took, until told to stop. `prefix` is that of
    /// the machines' ids.
    pub(super) async fn watch(self, client: Client, prefix: String, shutdown: CancellationToken) {
        let mut backoff = Backoff::default();
        let mut ages = Ages::default();
        loop {
            let watching = self.watch_once(&client, &prefix, &mut ages, &mut backoff);
            let ended = tokio::select! {
                () = shutdown.cancelled() => return,
                ended = watching => ended,
            };
            if let Err(error) = ended {
                tracing::warn!(%error, "cannot watch how long samples take; trying again");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = sleep(backoff.next()) => {}
            }
        }
    }

    async fn watch_once(
        &self,
        client: &Client,
        prefix: &str,
        ages: &mut Ages,
        backoff: &mut Backoff,
    ) -> Result<(), ApiError> {
        let (commands, outgoing) = mpsc::channel(16);
        for (request_id, body) in [(1, greeting()), (2, subscription())] {
            // There is room for both.
            let _ = commands.try_send(command(request_id, body));
        }
        let mut responses = client.manage(outgoing).await?;
        let mut fleet = Fleet::default();
        let mut due = TokioInstant::now() + EVERY;
        loop {
            let response = tokio::select! {
                response = responses.next() => response?,
                () = sleep_until(due) => {
                    due = TokioInstant::now() + EVERY;
                    ages.tell(fleet.indices.len());
                    continue;
                }
            };
            let Some(response) = response else { return Ok(()) };
            match response.body {
                Some(wire::response::Body::Update(update)) => {
                    let received = wire::UpdateReceived {
                        subscription: update.subscription,
                        number: update.number,
                    };
                    let body = wire::command::Body::UpdateReceived(received);
                    if commands.send(command(0, body)).await.is_err() {
                        return Ok(());
                    }
                    backoff.reset();
                    self.take(&update, &mut fleet, prefix, ages);
                }
                Some(wire::response::Body::Failure(failure)) => {
                    return Err(ApiError::invalid(failure.message));
                }
                _ => {}
            }
        }
    }

    /// Takes note of the samples in an update. A snapshot brings old ones, which do not count.
    fn take(&self, update: &wire::Update, fleet: &mut Fleet, prefix: &str, ages: &mut Ages) {
        ages.updates += 1;
        for machine in &update.machines {
            if let Some(header) = &machine.header {
                fleet.name(machine.machine, &header.machine_id, prefix);
            }
            if machine.replace {
                continue;
            }
            let (Some(tick), Some(index)) = (machine.ticks.last(), fleet.index_of(machine.machine)) else {
                continue;
            };
            if let Some(age_us) = self.age_us(index, tick.at_unix_ms) {
                ages.add(age_us);
            }
        }
    }
}

/// Which machine of the simulation a number of the subscription is.
#[derive(Debug, Default)]
struct Fleet {
    indices: std::collections::HashMap<u32, u32>,
}

impl Fleet {
    fn name(&mut self, number: u32, id: &str, prefix: &str) {
        let digits = id.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'));
        if let Some(index) = digits.and_then(|digits| digits.parse().ok()) {
            self.indices.insert(number, index);
        }
    }

    fn index_of(&self, number: u32) -> Option<u32> {
        self.indices.get(&number).copied()
    }
}

/// What was seen since the last report.
#[derive(Debug, Default)]
struct Ages {
    us: Vec<u64>,
    updates: u64,
}

impl Ages {
    fn add(&mut self, age_us: u64) {
        if self.us.len() < SAMPLES_MAX {
            self.us.push(age_us);
        }
    }

    /// Tells the figures in milliseconds and begins anew.
    fn tell(&mut self, machines: usize) {
        self.us.sort_unstable();
        let ms = |part| self.part_us(part).map(|us| us as f64 / 1_000.0);
        if let (Some(p50_ms), Some(p99_ms), Some(p999_ms), Some(max_ms)) =
            (ms(0.5), ms(0.99), ms(0.999), ms(1.0))
        {
            let (samples, updates) = (self.us.len(), self.updates);
            tracing::info!(
                p50_ms,
                p99_ms,
                p999_ms,
                max_ms,
                samples,
                updates,
                machines,
                "from sample to subscriber"
            );
        } else {
            tracing::warn!(machines, "no sample has reached the subscriber");
        }
        self.us.clear();
        self.updates = 0;
    }

    /// The age that a part of all samples, 0 to 1, does not exceed; they are sorted.
    fn part_us(&self, part: f64) -> Option<u64> {
        let rank = (part * self.us.len() as f64).ceil() as usize;
        self.us.get(rank.max(1) - 1).copied()
    }
}

fn greeting() -> wire::command::Body {
    wire::command::Body::Hello(hello(unix_now()))
}

fn subscription() -> wire::command::Body {
    wire::command::Body::Subscribe(wire::Subscribe {
        subscription: 1,
        metrics: METRICS
            .iter()
            .map(|metric| metric.definition().name.to_owned())
            .collect(),
        ..wire::Subscribe::default()
    })
}

fn command(request_id: u64, body: wire::command::Body) -> wire::Command {
    wire::Command {
        request_id,
        body: Some(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_by_rank_and_nothing_has_none() {
        let mut ages = Ages::default();
        assert_eq!(ages.part_us(0.5), None);
        (1..=200).rev().for_each(|age| ages.add(age));
        ages.us.sort_unstable();
        let parts = [0.0, 0.5, 0.99, 1.0].map(|part| ages.part_us(part).unwrap());
        assert_eq!(parts, [1, 100, 198, 200]);
    }

    #[test]
    fn only_the_newest_sample_of_a_machine_of_ours_counts() {
        let meter = Meter::new(2);
        meter.made(1, UnixMillis(5_000));
        assert!(meter.age_us(1, 5_000).is_some_and(|age_us| age_us < 1_000_000));
        assert_eq!(meter.age_us(1, 4_000), None);
        assert_eq!(meter.age_us(7, 5_000), None);
        let mut fleet = Fleet::default();
        for (number, id) in [(9, "sim-00001"), (10, "other-00001"), (11, "sim-x")] {
            fleet.name(number, id, "sim");
        }
        assert_eq!(
            [9, 10, 11].map(|number| fleet.index_of(number)),
            [Some(1), None, None]
        );
        let update = |replace| wire::Update {
            machines: vec![wire::MachineUpdate {
                machine: 9,
                replace,
                ticks: vec![wire::Tick {
                    at_unix_ms: 5_000,
                    ..wire::Tick::default()
                }],
                ..wire::MachineUpdate::default()
            }],
            ..wire::Update::default()
        };
        let mut ages = Ages::default();
        meter.take(&update(true), &mut fleet, "sim", &mut ages);
        assert_eq!(ages.us.len(), 0, "a snapshot brings what is old");
        meter.take(&update(false), &mut fleet, "sim", &mut ages);
        assert_eq!((ages.us.len(), ages.updates), (1, 2));
    }
}
