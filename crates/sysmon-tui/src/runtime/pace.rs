//! How often a frame is drawn: as often as it is wanted, and no oftener than the terminal takes them.

use std::time::Duration;

/// When the terminal has not taken a frame after this long, the link is slow.
pub(super) const STUCK_AFTER: Duration = Duration::from_millis(250);
/// A frame that is taken within this long says that the link is well.
const WELL_WITHIN: Duration = Duration::from_millis(100);
/// For how long the link must be well before frames come at the old rate, at first and at most.
const CALM_FIRST: Duration = Duration::from_secs(10);
const CALM_MOST: Duration = Duration::from_secs(160);
/// Between two frames on a slow link.
const SLOW_FRAME: Duration = Duration::from_secs(1);
/// A slow link is given no more than this in a second, unless somebody presses keys.
const SLOW_BYTES_PER_SECOND: u64 = 900;
/// After the largest frame the next one comes no later than this.
const SLOW_FRAME_MOST: Duration = Duration::from_secs(5);
/// Between two looks of the charts on a slow link.
const SLOW_CHARTS: Duration = Duration::from_secs(5);

/// The rate of frames. Times are those since the start of the client.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    frame: Duration,
    /// Slow, whatever the link is like.
    is_forced: bool,
    /// Since when the link has been well, while it counts as slow.
    slow: Option<Duration>,
    calm: Duration,
    charts_at: Option<Duration>,
    /// How long a slow link has enough with the last frame.
    pause: Duration,
}

impl Pace {
    /// So many frames in a second at most, 1 to 60.
    pub(super) fn new(frames_per_second: u32, is_forced: bool) -> Self {
        Self {
            frame: Duration::from_secs(1) / frames_per_second.clamp(1, 60),
            is_forced,
            slow: None,
            calm: CALM_FIRST,
            charts_at: None,
            pause: Duration::ZERO,
        }
    }

    /// Whether the link is slow, or is to be taken for it.
    pub(super) fn is_slow(&self) -> bool {
        self.is_forced || self.slow.is_some()
    }

    /// The least between two frames on any link.
    pub(super) fn least_between_frames(&self) -> Duration {
        self.frame
    }

    /// The least between two frames on this one.
    pub(super) fn between_frames(&self) -> Duration {
        if self.is_slow() {
            self.frame.max(self.pause.clamp(SLOW_FRAME, SLOW_FRAME_MOST))
        } else {
            self.frame
        }
    }

    /// A frame of so many bytes was drawn.
    pub(super) fn drawn(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.pause = Duration::from_millis(bytes.saturating_mul(1_000) / SLOW_BYTES_PER_SECOND);
    }

    /// The terminal has not taken a frame for so long.
    pub(super) fn waiting(&mut self, waiting: Duration, now: Duration) {
        if waiting < STUCK_AFTER {
            return;
        }
        if self.slow.is_none() {
            tracing::info!(?waiting, "the terminal takes no more: fewer frames");
        }
        self.slow = Some(now);
    }

    /// The terminal has taken a frame in so long.
    pub(super) fn taken(&mut self, took: Duration, now: Duration) {
        match self.slow {
            Some(_) if took > WELL_WITHIN => self.slow = Some(now),
            Some(since) if now.saturating_sub(since) >= self.calm => {
                // A link that soon gets stuck again is given longer the next time.
                self.calm = (self.calm * 2).min(CALM_MOST);
                self.slow = None;
            }
            Some(_) => {}
            None if took > STUCK_AFTER => self.slow = Some(now),
            None => {}
        }
    }

    /// Whether charts keep their shape in the frame that is drawn now. Whoever has just pressed a key sees all.
    pub(super) fn holds_charts(&mut self, is_fresh: bool, now: Duration) -> bool {
        let is_due = self
            .charts_at
            .is_none_or(|at| now.saturating_sub(at) >= SLOW_CHARTS);
        let holds = self.is_slow() && !is_fresh && !is_due;
        if !holds {
            self.charts_at = Some(now);
        }
        holds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn frames_come_no_oftener_than_asked() {
        for (asked, between) in [(30, ms(33)), (1, at(1)), (0, at(1)), (60, ms(16)), (500, ms(16))] {
            let pace = Pace::new(asked, false);
            assert_eq!(pace.between_frames().as_millis(), between.as_millis());
        }
    }

    #[test]
    fn a_slow_link_pays_for_a_large_frame_with_time() {
        let mut pace = Pace::new(30, true);
        for (bytes, between) in [(200, at(1)), (1_350, ms(1_500)), (90_000, at(5)), (0, at(1))] {
            pace.drawn(bytes);
            assert_eq!(pace.between_frames(), between);
        }
        let mut fast = Pace::new(30, false);
        fast.drawn(90_000);
        assert_eq!(fast.between_frames().as_millis(), 33);
    }

    #[test]
    fn a_stuck_terminal_slows_down_and_a_calm_one_comes_back_later_each_time() {
        let mut pace = Pace::new(30, false);
        pace.waiting(ms(200), at(1));
        assert!(!pace.is_slow());
        pace.waiting(ms(250), at(1));
        assert!(pace.is_slow());
        assert_eq!(pace.between_frames(), at(1));
        for second in 2..11 {
            pace.taken(ms(5), at(second));
        }
        assert!(pace.is_slow(), "not before ten seconds of calm");
        pace.taken(ms(300), at(11));
        pace.taken(ms(5), at(20));
        assert!(pace.is_slow(), "a slow frame begins the calm anew");
        pace.taken(ms(5), at(21));
        assert!(!pace.is_slow());
        pace.waiting(ms(900), at(30));
        pace.taken(ms(5), at(45));
        assert!(pace.is_slow(), "it takes longer the second time");
        pace.taken(ms(5), at(50));
        assert!(!pace.is_slow());
    }

    #[test]
    fn charts_move_every_five_seconds_on_a_slow_link_and_at_once_after_a_key() {
        let mut pace = Pace::new(30, true);
        assert!(!pace.holds_charts(false, at(0)));
        assert!(pace.holds_charts(false, at(1)));
        assert!(pace.holds_charts(false, at(4)));
        assert!(!pace.holds_charts(true, at(4)));
        assert!(pace.holds_charts(false, at(8)));
        assert!(!pace.holds_charts(false, at(9)));
        let mut fast = Pace::new(30, false);
        assert!(!fast.holds_charts(false, at(0)) && !fast.holds_charts(false, at(1)));
    }
}
