//! The pace of the ticks: first one soon, then one per interval, and at once when somebody new listens. Between them
//! come those of a burst, as long as one is wanted.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::clock::Clock;
use crate::sample::{Plan, Sample, Source};

/// Rates need two readings; this is how long the first ones span, so that there is something to show at once.
const FIRST_TICK: Duration = Duration::from_millis(250);

/// What is wanted of the ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) plan: Plan,
    /// Counts the streams: a new one wants a tick soon, however long the interval.
    pub(crate) streams: u64,
}

/// Takes samples until nobody receives them any more. When the receiver is slow the next tick comes late.
///
/// Each sample is taken on a thread that may block, one at a time. `interval_ms` is told every change of the interval.
pub(crate) async fn run<S: Source>(
    mut source: S,
    mut wish: watch::Receiver<Wish>,
    interval_ms: watch::Sender<u32>,
    samples: mpsc::Sender<Sample>,
) {
    let clock = Clock::default();
    let mut current = *wish.borrow_and_update();
    let plan = current.plan;
    let Some(primed) = blocking(move || {
        source.prime(clock.now(), plan);
        source
    })
    .await
    else {
        return;
    };
    source = primed;
    let mut last = Instant::now();
    let mut next = last + interval(current.plan).min(FIRST_TICK);
    // The last tick of any kind.
    let mut latest = last;
    loop {
        let burst = burst_at(current.plan, latest, next);
        tokio::select! {
            () = sleep_until(burst.unwrap_or(next)) => {}
            changed = wish.changed() => {
                if changed.is_err() {
                    return;
                }
                let now = *wish.borrow_and_update();
                // One that is overdue by the new wish is due now, and the pace goes on from there.
                next = rescheduled(next, last, current, now).max(Instant::now());
                current = now;
                interval_ms.send_if_modified(|known| std::mem::replace(known, now.plan.interval_ms) != now.plan.interval_ms);
                continue;
            }
        }
        let plan = current.plan;
        let Some((back, sample)) = read(source, clock, plan, burst.is_some()).await else {
            return;
        };
        source = back;
        if let Some(at) = burst {
            latest = at.max(Instant::now() - interval(plan));
            if samples.is_closed() {
                return;
            }
            // Of a burst, what nobody takes at once is worth nothing.
            if let (Some(sample), Ok(place)) = (sample, samples.try_reserve()) {
                place.send(sample);
            }
            continue;
        }
        let Some(sample) = sample else { continue };
        if samples.send(sample).await.is_err() {
            return;
        }
        last = next;
        latest = next;
        // After a pause (the machine slept, a reading hung) there is one tick, not all that were missed.
        next = (next + interval(plan)).max(Instant::now());
    }
}

/// Takes one sample, of a burst or a base tick; `None` when the sampler broke off.
async fn read<S: Source>(
    mut source: S,
    clock: Clock,
    plan: Plan,
    is_burst: bool,
) -> Option<(S, Option<Sample>)> {
    blocking(move || {
        let now = clock.now();
        let sample = if is_burst {
            source.burst(now, plan)
        } else {
            Some(source.sample(now, plan))
        };
        (source, sample)
    })
    .await
}

fn interval(plan: Plan) -> Duration {
    Duration::from_millis(u64::from(plan.interval_ms))
}

/// When the next tick of a burst is due, `latest` being the last tick of any kind; `None` when the base tick at `next`
/// comes first, or so soon after that it does as well.
fn burst_at(plan: Plan, latest: Instant, next: Instant) -> Option<Instant> {
    let pause = Duration::from_millis(plan.burst_interval_ms.into());
    let is_wanted = !pause.is_zero() && pause < interval(plan);
    // After a pause there is one tick, not all that were missed.
    let at = (latest + pause).max(Instant::now());
    (is_wanted && at + pause / 2 <= next).then_some(at)
}

/// When the next tick is due after the wish changed.
fn rescheduled(next: Instant, last: Instant, before: Wish, now: Wish) -> Instant {
    let soon = last + interval(now.plan).min(FIRST_TICK);
    if now.streams != before.streams || now.plan.processes != before.plan.processes {
        soon.min(next)
    } else if now.plan.interval_ms != before.plan.interval_ms {
        last + interval(now.plan)
    } else {
        next
    }
}

/// Runs on a thread that may block; `None` when it panicked or the runtime is ending.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::error!(%error, "the sampler broke off; this is a defect, please report it");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::config::ProcessDetail;

    /// Notes on tokio's clock when it is asked.
    struct Noting {
        started: Instant,
        primed: bool,
    }

    impl Source for Noting {
        fn prime(&mut self, _: Moment, _: Plan) {
            self.primed = true;
        }

        fn sample(&mut self, _: Moment, plan: Plan) -> Sample {
            assert!(self.primed);
            let elapsed_ms = i64::try_from(self.started.elapsed().as_millis()).unwrap();
            Sample {
                values: vec![(plan.interval_ms, elapsed_ms)],
                ..Sample::default()
            }
        }

        fn burst(&mut self, now: Moment, plan: Plan) -> Option<Sample> {
            let is_burst = true;
            Some(Sample {
                is_burst,
                ..self.sample(now, plan)
            })
        }
    }

    struct Running {
        wish: watch::Sender<Wish>,
        interval_ms: watch::Receiver<u32>,
        samples: mpsc::Receiver<Sample>,
    }

    fn start(interval_ms: u32) -> Running {
        let plan = Plan {
            interval_ms,
            burst_interval_ms: 0,
            processes: ProcessDetail::Top,
        };
        let (wish, wished) = watch::channel(Wish { plan, streams: 0 });
        let (interval, interval_ms) = watch::channel(interval_ms);
        let (sender, samples) = mpsc::channel(1);
        tokio::spawn(run(
            Noting {
                started: Instant::now(),
                primed: false,
            },
            wished,
            interval,
            sender,
        ));
        Running {
            wish,
            interval_ms,
            samples,
        }
    }

    impl Running {
        /// Milliseconds at which the next ticks come.
        async fn ticks(&mut self, count: usize) -> Vec<i64> {
            let mut ticks = Vec::new();
            while ticks.len() < count {
                ticks.push(self.samples.recv().await.unwrap().values[0].1);
            }
            ticks
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_tick_comes_soon_and_then_one_per_interval() {
        assert_eq!(start(5_000).ticks(4).await, [250, 5_250, 10_250, 15_250]);
        assert_eq!(start(100).ticks(3).await, [100, 200, 300]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_interval_applies_at_once() {
        let mut running = start(3_600_000);
        running.ticks(1).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        running.wish.send_modify(|wish| wish.plan.interval_ms = 1_000);
        assert_eq!(
            running.ticks(3).await,
            [60_250, 61_250, 62_250],
            "overdue by the new interval"
        );
        assert_eq!(*running.interval_ms.borrow(), 1_000);
        running.wish.send_modify(|wish| wish.plan.interval_ms = 10_000);
        assert_eq!(running.ticks(2).await, [72_250, 82_250]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_stream_gets_a_tick_at_once_and_the_pace_goes_on_from_there() {
        let mut running = start(3_600_000);
        running.ticks(1).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        running.wish.send_modify(|wish| wish.streams += 1);
        assert_eq!(running.ticks(2).await, [60_250, 3_660_250]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_receiver_delays_ticks_and_does_not_get_them_in_a_burst() {
        let mut running = start(1_000);
        running.ticks(1).await;
        tokio::time::sleep(Duration::from_millis(9_900)).await;
        let ticks = running.ticks(5).await;
        // Two had been taken before the queue was full, and the third waited with its answer.
        let steps: Vec<i64> = ticks.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps[2..].iter().all(|step| *step >= 1_000), "{ticks:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_fills_the_pauses_and_leaves_the_base_ticks_where_they_are() {
        let mut running = start(1_000);
        running.ticks(1).await;
        running.wish.send_modify(|wish| wish.plan.burst_interval_ms = 250);
        let mut ticks = Vec::new();
        for _ in 0..8 {
            let sample = running.samples.recv().await.unwrap();
            ticks.push((sample.values[0].1, sample.is_burst));
        }
        let base: Vec<i64> = ticks
            .iter()
            .filter(|(_, burst)| !burst)
            .map(|(at, _)| *at)
            .collect();
        assert_eq!(base, [1_250, 2_250]);
        let burst: Vec<i64> = ticks
            .iter()
            .filter(|(_, burst)| *burst)
            .map(|(at, _)| *at)
            .collect();
        assert_eq!(burst, [500, 750, 1_000, 1_500, 1_750, 2_000]);
        running.wish.send_modify(|wish| wish.plan.burst_interval_ms = 0);
        assert_eq!(running.ticks(2).await, [3_250, 4_250]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_that_nobody_takes_is_not_made_up_for() {
        let mut running = start(10_000);
        running.ticks(1).await;
        running.wish.send_modify(|wish| wish.plan.burst_interval_ms = 250);
        tokio::time::sleep(Duration::from_millis(5_000)).await;
        let ticks = running.ticks(4).await;
        assert_eq!(ticks[0], 500, "the one that waits: {ticks:?}");
        assert!(ticks[1] >= 5_000 && ticks[2] - ticks[1] >= 250, "{ticks:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_nobody_receives() {
        let mut running = start(1_000);
        running.ticks(1).await;
        running.samples.close();
        running.wish.closed().await;
    }
}
