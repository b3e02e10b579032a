//! When frames are drawn, and the time that they show.

use std::time::Duration;

use sysmon_core::UnixMillis;
use tokio::time::Instant;

use super::{Client, pace};
use crate::link::now;
use crate::terminal::Screen;

/// Data that comes every second draws the clock along with it; only when it is this late the clock is drawn alone.
const TICK_BESIDE_DATA: Duration = Duration::from_millis(1_250);
/// Without data for this long, the clock is drawn on the second.
const DATA_IS_REGULAR: Duration = Duration::from_millis(2_500);

impl Client {
    /// The least between two frames. Whoever has pressed a key does not wait for a slow link's next second: the terminal
    /// has taken the frame before, or nothing is drawn anyway.
    fn between_frames(&self) -> Duration {
        if self.pressed {
            self.pace.least_between_frames()
        } else {
            self.pace.between_frames()
        }
    }

    pub(super) fn is_frame_due(&self) -> bool {
        let between = self.between_frames();
        self.drawn_at.is_none_or(|at| at.elapsed() >= between) && !self.leaves_clock_to_data()
    }

    /// Whether nothing but the clock would be drawn, although data that draws it along is about to come.
    fn leaves_clock_to_data(&self) -> bool {
        let is_recent = |at: Option<Instant>, limit| at.is_some_and(|at| at.elapsed() < limit);
        !self.tabs.has_line()
            && self.tabs.state().is_only_clock_dirty()
            && !self.pressed
            && is_recent(self.data_at, DATA_IS_REGULAR)
            && is_recent(self.drawn_at, TICK_BESIDE_DATA)
    }

    /// When to wake without an event: soon when something waits to be drawn, else when the clock moves on.
    pub(super) fn next_frame(&mut self, screen: &Screen) -> Instant {
        let Some(drawn_at) = self.drawn_at else {
            return Instant::now();
        };
        let between = self.between_frames();
        let wake = if let Some(waiting) = screen.waiting() {
            // Woken when it is taken; before that only to see that it takes too long.
            let rest = pace::STUCK_AFTER.saturating_sub(waiting);
            Instant::now()
                + if rest.is_zero() {
                    between.max(pace::STUCK_AFTER)
                } else {
                    rest
                }
        } else if self.tabs.is_dirty() && !self.leaves_clock_to_data() {
            drawn_at + between
        } else if self.data_at.is_some_and(|at| at.elapsed() < DATA_IS_REGULAR) {
            drawn_at + TICK_BESIDE_DATA.max(between)
        } else {
            let into_second = u64::try_from(now().0.rem_euclid(1_000)).unwrap_or(0);
            Instant::now() + Duration::from_millis(1_000 - into_second)
        };
        let awaited = |at: UnixMillis| Instant::now() + Duration::from_millis(at.since_ms(now()));
        self.tabs
            .state()
            .wakes_at()
            .map_or(wake, |at| wake.min(awaited(at)))
    }

    /// What the local time is ahead of UTC, in seconds.
    pub(super) fn utc_offset_seconds(&mut self, now: UnixMillis) -> i32 {
        use chrono::Offset as _;
        let minute = now.0.div_euclid(60_000);
        match self.utc_offset {
            Some((known, seconds)) if known == minute => seconds,
            _ => {
                let seconds = chrono::Local::now().offset().fix().local_minus_utc();
                self.utc_offset = Some((minute, seconds));
                seconds
            }
        }
    }
}
