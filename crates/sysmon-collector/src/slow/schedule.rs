//! When slow probes run, and what happens when one does not come back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Board, ProbeError, Reading, Report};

/// When a probe runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    /// Name for the log and for the probe's own figures.
    pub(crate) name: &'static str,
    /// Time from run to run; a longer base interval takes its place.
    pub(crate) period: Duration,
    /// How long a run may take.
    pub(crate) limit: Duration,
}

/// A probe that blocks its thread.
pub(crate) trait SlowProbe: Send + 'static {
    /// Everything there is now.
    fn run(&mut self) -> Result<Vec<Reading>, ProbeError>;
}

#[cfg(any(test, unix))]
/// A probe that waits for others without blocking its thread.
pub(crate) trait AskingProbe: Send + 'static {
    /// Everything there is now. `period` is the time from run to run. A run that takes too long is dropped half done.
    fn run(&mut self, period: Duration) -> impl Future<Output = Result<Vec<Reading>, ProbeError>> + Send;
}

/// Counts and posts the outcome of one probe's runs.
struct Outcome {
    spec: Spec,
    board: Arc<Board>,
    failures: u64,
    last_error: Option<String>,
}

type Returned = (Box<dyn SlowProbe>, Result<Vec<Reading>, ProbeError>);

/// Runs a blocking probe for ever, each run on a thread of its own: at most one, so a probe that hangs costs one
/// thread, and nothing waits for it, not even the end of the process.
pub(crate) async fn every_blocking(
    spec: Spec,
    probe: Box<dyn SlowProbe>,
    board: Arc<Board>,
    interval_ms: watch::Receiver<u32>,
) {
    let mut outcome = Outcome::new(spec, board);
    let mut idle = Some(probe);
    let mut hanging: Option<oneshot::Receiver<Returned>> = None;
    let mut timer = Timer::new(spec.period, interval_ms);
    loop {
        timer.tick().await;
        if let Some(mut running) = hanging.take() {
            match running.try_recv() {
                // What a late run found is old; it is asked again right away.
                Ok((probe, _)) => idle = Some(probe),
                Err(oneshot::error::TryRecvError::Empty) => {
                    outcome.failed(&ProbeError::StillRunning, spec.limit);
                    hanging = Some(running);
                    continue;
                }
                Err(oneshot::error::TryRecvError::Closed) => {
                    return outcome.failed(&ProbeError::Broken, spec.limit);
                }
            }
        }
        let Some(probe) = idle.take() else { return };
        let started = Instant::now();
        let mut running = match start(spec, probe) {
            Ok(running) => running,
            Err(error) => return outcome.failed(&error, started.elapsed()),
        };
        match timeout(spec.limit, &mut running).await {
            Ok(Ok((probe, result))) => {
                idle = Some(probe);
                outcome.post(result, started.elapsed());
            }
            Ok(Err(_)) => return outcome.failed(&ProbeError::Broken, started.elapsed()),
            Err(_) => {
                outcome.failed(&ProbeError::Timeout(spec.limit.as_millis()), spec.limit);
                hanging = Some(running);
            }
        }
    }
}

#[cfg(any(test, unix))]
/// Runs a probe that does not block, for ever. A run that takes too long is dropped.
pub(crate) async fn every<P: AskingProbe>(
    spec: Spec,
    mut probe: P,
    board: Arc<Board>,
    interval_ms: watch::Receiver<u32>,
) {
    let mut outcome = Outcome::new(spec, board);
    let mut timer = Timer::new(spec.period, interval_ms);
    loop {
        timer.tick().await;
        let started = Instant::now();
        let limit_ms = spec.limit.as_millis();
        let run = timeout(spec.limit, probe.run(timer.ticks.period()));
        let result = run.await.unwrap_or(Err(ProbeError::Timeout(limit_ms)));
        outcome.post(result, started.elapsed());
    }
}

fn start(spec: Spec, mut probe: Box<dyn SlowProbe>) -> Result<oneshot::Receiver<Returned>, ProbeError> {
    let (sender, receiver) = oneshot::channel();
    let work = move || {
        let result = probe.run();
        // Nobody waits any more when the collector has ended.
        let _ = sender.send((probe, result));
    };
    let name = format!("probe-{}", spec.name);
    std::thread::Builder::new()
        .name(name)
        .stack_size(256 << 10)
        .spawn(work)
        .map(|_| receiver)
        .map_err(|error| ProbeError::Failed(format!("no thread for it: {error}")))
}

impl Outcome {
    fn new(spec: Spec, board: Arc<Board>) -> Self {
        Self {
            spec,
            board,
            failures: 0,
            last_error: None,
        }
    }

    fn post(&mut self, result: Result<Vec<Reading>, ProbeError>, took: Duration) {
        match result {
            Ok(readings) => {
                self.last_error = None;
                self.report(Some(readings), took);
            }
            Err(error) => self.failed(&error, took),
        }
    }

    fn failed(&mut self, error: &ProbeError, took: Duration) {
        self.failures += 1;
        let text = error.to_string();
        // A probe that goes on failing for the same reason is told once.
        if self.last_error.as_ref() != Some(&text) {
            tracing::warn!(probe = self.spec.name, error = %text, "a slow probe gave nothing");
            self.last_error = Some(text);
        }
        self.report(None, took);
    }

    fn report(&self, readings: Option<Vec<Reading>>, took: Duration) {
        let took_ms = took.as_secs_f64() * 1e3;
        self.board.post(Report {
            probe: self.spec.name,
            readings,
            took_ms,
            failures: self.failures,
        });
    }
}

/// Ticks at the longer of the probe's own period and the base interval, which may change while it waits.
struct Timer {
    period: Duration,
    interval_ms: watch::Receiver<u32>,
    ticks: tokio::time::Interval,
}

impl Timer {
    fn new(period: Duration, mut interval_ms: watch::Receiver<u32>) -> Self {
        let ticks = timer_of(period, *interval_ms.borrow_and_update());
        Self {
            period,
            interval_ms,
            ticks,
        }
    }

    async fn tick(&mut self) {
        loop {
            tokio::select! {
                _ = self.ticks.tick() => return,
                changed = self.interval_ms.changed() => {
                    let base_ms = *self.interval_ms.borrow_and_update();
                    if changed.is_err() {
                        // The collector is ending, and this task with it.
                        std::future::pending::<()>().await;
                    }
                    if self.ticks.period() != longer(self.period, base_ms) {
                        self.ticks = timer_of(self.period, base_ms);
                    }
                }
            }
        }
    }
}

fn longer(period: Duration, base_ms: u32) -> Duration {
    period.max(Duration::from_millis(u64::from(base_ms)))
}

/// The first tick is due at once.
fn timer_of(period: Duration, base_ms: u32) -> tokio::time::Interval {
    let mut ticks = interval(longer(period, base_ms));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, sync_channel};
    use sysmon_core::MetricId;

    const SPEC: Spec = Spec {
        name: "test",
        period: Duration::from_secs(10),
        limit: Duration::from_millis(50),
    };

    /// Blocks until it is told to go on.
    struct Blocking(Receiver<()>);

    impl SlowProbe for Blocking {
        fn run(&mut self) -> Result<Vec<Reading>, ProbeError> {
            self.0.recv().map_err(|_| ProbeError::Failed("gone".into()))?;
            Ok(vec![Reading::plain(MetricId::UsersLoggedIn, 1.0)])
        }
    }

    async fn next_report(board: &Board) -> Report {
        loop {
            if let Some(report) = board.take().pop() {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn a_hung_run_is_counted_holds_one_thread_and_is_taken_up_again_when_it_returns() {
        let board = Arc::new(Board::default());
        let (go, wait) = sync_channel(0);
        let (_keep, interval_ms) = watch::channel(100);
        let spec = Spec {
            period: Duration::from_millis(100),
            ..SPEC
        };
        let task = tokio::spawn(every_blocking(
            spec,
            Box::new(Blocking(wait)),
            Arc::clone(&board),
            interval_ms,
        ));
        let first = next_report(&board).await;
        assert_eq!(
            (first.failures, first.readings.is_none()),
            (1, true),
            "it ran into its time limit"
        );
        let second = next_report(&board).await;
        assert_eq!(
            second.failures, 2,
            "the run before still hangs, and no second one was begun"
        );
        // The hung run returns, then the next one is answered in time.
        for _ in 0..2 {
            let go = go.clone();
            tokio::task::spawn_blocking(move || go.send(()).unwrap())
                .await
                .unwrap();
        }
        let answer = loop {
            let report = next_report(&board).await;
            if report.readings.is_some() {
                break report;
            }
        };
        assert_eq!(answer.readings.unwrap().len(), 1);
        task.abort();
    }

    /// Notes in which second it is asked, and then answers or never does.
    struct Asked {
        started: tokio::time::Instant,
        seconds: Arc<Mutex<Vec<u64>>>,
        answers: bool,
    }

    impl AskingProbe for Asked {
        async fn run(&mut self, _: Duration) -> Result<Vec<Reading>, ProbeError> {
            self.seconds
                .lock()
                .unwrap()
                .push(self.started.elapsed().as_secs());
            if self.answers {
                Ok(Vec::new())
            } else {
                std::future::pending().await
            }
        }
    }

    fn asked(answers: bool) -> (Asked, Arc<Mutex<Vec<u64>>>) {
        let seconds = Arc::default();
        (
            Asked {
                started: tokio::time::Instant::now(),
                seconds: Arc::clone(&seconds),
                answers,
            },
            seconds,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_waits_too_long_is_dropped_and_the_next_one_comes_in_time() {
        let board = Arc::new(Board::default());
        let (_keep, interval_ms) = watch::channel(1_000);
        let (probe, seconds) = asked(false);
        let task = tokio::spawn(every(SPEC, probe, Arc::clone(&board), interval_ms));
        tokio::time::sleep(Duration::from_secs(25)).await;
        assert_eq!((seconds.lock().unwrap().len(), board.take()[0].failures), (3, 3));
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_base_interval_slows_a_probe_and_a_short_one_does_not_hurry_it() {
        let board = Arc::new(Board::default());
        let (change, interval_ms) = watch::channel(100);
        let (probe, seconds) = asked(true);
        let task = tokio::spawn(every(SPEC, probe, Arc::clone(&board), interval_ms));
        tokio::time::sleep(Duration::from_secs(25)).await;
        change.send(60_000).unwrap();
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(*seconds.lock().unwrap(), [0, 10, 20, 25, 85]);
        task.abort();
    }
}
