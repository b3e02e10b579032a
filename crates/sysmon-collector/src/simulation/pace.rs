//! The ticks of a virtual machine: no thread of its own, and every machine at its own part of the interval.

use std::time::Duration;

use sysmon_core::UnixMillis;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::noise::Key;
use crate::clock::unix_now;
use crate::sample::{Plan, Sample};
use crate::ticker::Wish;

/// Where the ticks of one machine lie on the clock: at all multiples of the interval, a part of it later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// 0 to 1.
    part: f64,
}

impl Grid {
    /// The place of a machine, the same in every simulation.
    pub(super) fn of_machine(index: u32) -> Self {
        Self {
            part: Key::of_machine(0, index).unit(),
        }
    }

    /// The first tick after `last`; when that is long past the newest one that is due, and when it is far off (the clock
    /// was set back) the next one.
    pub(super) fn next(self, last: UnixMillis, now: UnixMillis, interval_ms: u32) -> UnixMillis {
        let interval = i64::from(interval_ms.max(1));
        let phase = (self.part * interval as f64) as i64;
        // The newest one that is not after a moment.
        let floor = |at: i64| (at - phase).div_euclid(interval) * interval + phase;
        let next = floor(last.0) + interval;
        if next < now.0 - interval {
            UnixMillis(floor(now.0))
        } else if next > now.0 + 2 * interval {
            UnixMillis(floor(now.0) + interval)
        } else {
            UnixMillis(next)
        }
    }
}

/// Gives samples until nobody takes them any more. A receiver that is slow makes ticks fall out.
pub(super) async fn run(
    mut sample: impl FnMut(UnixMillis, Plan) -> Sample,
    grid: Grid,
    mut wish: watch::Receiver<Wish>,
    samples: mpsc::Sender<Sample>,
) {
    let mut last = unix_now();
    loop {
        let plan = wish.borrow_and_update().plan;
        let now = unix_now();
        let next = grid.next(last, now, plan.interval_ms);
        let wait = Duration::from_millis(next.since_ms(now));
        tokio::select! {
            () = sleep(wait) => {}
            changed = wish.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        }
        if samples.send(sample(next, plan)).await.is_err() {
            return;
        }
        last = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ticks_keep_their_place_and_never_come_twice(
            part in 0.0..1.0f64,
            interval_ms in 100u32..10_000,
            late_ms in prop::collection::vec(0i64..500, 1..50),
        ) {
            let grid = Grid { part };
            let mut last = UnixMillis(1_795_000_000_000);
            let mut now = last;
            for late_ms in late_ms {
                let next = grid.next(last, now, interval_ms);
                prop_assert!(next > last);
                let phase = (part * f64::from(interval_ms)) as i64;
                prop_assert_eq!((next.0 - phase).rem_euclid(i64::from(interval_ms)), 0);
                now = UnixMillis(next.0.max(now.0) + late_ms);
                last = next;
            }
        }
    }

    #[test]
    fn after_a_pause_there_is_one_tick_not_all_that_were_missed() {
        let grid = Grid { part: 0.25 };
        let last = UnixMillis(10_250);
        assert_eq!(grid.next(last, UnixMillis(60_700), 1_000), UnixMillis(60_250));
        assert_eq!(
            grid.next(UnixMillis(60_250), UnixMillis(60_700), 1_000),
            UnixMillis(61_250)
        );
    }

    #[test]
    fn a_clock_that_is_set_back_is_followed() {
        let grid = Grid { part: 0.0 };
        assert_eq!(
            grid.next(UnixMillis(90_000), UnixMillis(30_100), 1_000),
            UnixMillis(31_000)
        );
    }
}
