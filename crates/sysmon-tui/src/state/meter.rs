//! What the client costs, and how late it is.

use std::collections::VecDeque;

use sysmon_api::wire;
use sysmon_core::UnixMillis;

use crate::event::FrameReport;

/// Rates are those of this long.
const WINDOW_MS: u64 = 10_000;
/// The most frames and updates remembered; more than that in the window are not counted.
const REMEMBERED: usize = 1_024;
/// The clocks' difference is the least of this many windows of the length above.
const OFFSETS: usize = 6;

/// Counts of the last seconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    frames: VecDeque<(UnixMillis, FrameReport)>,
    updates: VecDeque<UnixMillis>,
    /// Our clock less the aggregator's, and the way here: the least of each window, the newest last.
    offsets: VecDeque<(UnixMillis, i64)>,
    /// When the newest sample that came was taken, on the collector's clock, and when it came, on ours.
    newest: Option<(UnixMillis, UnixMillis)>,
    latency_ms: Option<u64>,
}

/// Rates of the last seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    pub(crate) frames_per_second: f64,
    pub(crate) bytes_per_second: f64,
    pub(crate) updates_per_second: f64,
    pub(crate) frame_bytes_max: usize,
    pub(crate) frame_micros_max: u64,
}

impl Meter {
    /// An update has come.
    pub(crate) fn updated(&mut self, update: &wire::Update, now: UnixMillis) {
        remember(&mut self.updates, now);
        let offset = now.0.saturating_sub(update.now_unix_ms);
        match self.offsets.back_mut() {
            Some((from, least)) if now.since_ms(*from) < WINDOW_MS => *least = (*least).min(offset),
            _ => {
                self.offsets.push_back((now, offset));
                if self.offsets.len() > OFFSETS {
                    self.offsets.pop_front();
                }
            }
        }
        // A snapshot holds the past: how late it is says nothing.
        if update.snapshot {
            return;
        }
        let ticks = update.machines.iter().flat_map(|machine| &machine.ticks);
        if let Some(newest) = ticks.map(|tick| tick.at_unix_ms).max() {
            self.newest = Some((UnixMillis(newest), now));
        }
    }

    /// A frame was handed to the terminal.
    pub(crate) fn drawn(&mut self, report: FrameReport, now: UnixMillis) {
        remember(&mut self.frames, (now, report));
        if let Some((taken, _)) = self.newest.take() {
            let offset = self.offsets.iter().map(|(_, offset)| *offset).min().unwrap_or(0);
            let on_aggregators_clock = now.0.saturating_sub(offset);
            self.latency_ms = u64::try_from(on_aggregators_clock.saturating_sub(taken.0)).ok();
        }
    }

    /// The newest frame.
    pub(crate) fn last(&self) -> FrameReport {
        self.frames.back().map(|(_, report)| *report).unwrap_or_default()
    }

    /// From a sample to the screen, without the way from the aggregator at its fastest; `None` until one has come, and
    /// when the collector's clock is ahead.
    pub(crate) fn latency_ms(&self) -> Option<u64> {
        self.latency_ms
    }

    /// Rates up to now.
    pub(crate) fn rates(&self, now: UnixMillis) -> Rates {
        let recent = || {
            let frames = self.frames.iter().rev();
            frames.take_while(move |(at, _)| now.since_ms(*at) < WINDOW_MS)
        };
        let seconds = WINDOW_MS as f64 / 1_000.0;
        let bytes: usize = recent().map(|(_, report)| report.bytes).sum();
        let updates = self
            .updates
            .iter()
            .filter(|at| now.since_ms(**at) < WINDOW_MS)
            .count();
        Rates {
            frames_per_second: recent().count() as f64 / seconds,
            bytes_per_second: bytes as f64 / seconds,
            updates_per_second: updates as f64 / seconds,
            frame_bytes_max: recent().map(|(_, report)| report.bytes).max().unwrap_or(0),
            frame_micros_max: recent().map(|(_, report)| report.micros).max().unwrap_or(0),
        }
    }
}

fn remember<T>(all: &mut VecDeque<T>, item: T) {
    if all.len() >= REMEMBERED {
        all.pop_front();
    }
    all.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(bytes: usize) -> FrameReport {
        FrameReport {
            bytes,
            micros: 800,
            ..FrameReport::default()
        }
    }

    #[test]
    fn rates_are_those_of_the_last_ten_seconds() {
        let mut meter = Meter::default();
        for second in 0..30 {
            meter.drawn(report(1_000), UnixMillis(second * 1_000));
        }
        let rates = meter.rates(UnixMillis(29_500));
        assert_eq!((rates.frames_per_second, rates.bytes_per_second), (1.0, 1_000.0));
        assert_eq!(meter.rates(UnixMillis(60_000)), Rates::default());
    }

    #[test]
    fn latency_is_told_on_the_aggregators_clock() {
        let mut meter = Meter::default();
        // The aggregator's clock is an hour behind ours.
        let update = |now: i64, taken: i64| wire::Update {
            now_unix_ms: now - 3_600_000,
            machines: vec![wire::MachineUpdate {
                ticks: vec![wire::Tick {
                    at_unix_ms: taken - 3_600_000,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        meter.updated(&update(10_000_000, 9_999_990), UnixMillis(10_000_000));
        meter.drawn(report(1), UnixMillis(10_000_025));
        assert_eq!(meter.latency_ms(), Some(35));
        meter.drawn(report(1), UnixMillis(10_000_900));
        assert_eq!(
            meter.latency_ms(),
            Some(35),
            "a frame without a new sample says nothing"
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut meter = Meter::default();
        for at in 0..5_000 {
            meter.drawn(report(1), UnixMillis(at));
            meter.updated(&wire::Update::default(), UnixMillis(at * 20_000));
        }
        assert!(meter.frames.len() <= REMEMBERED && meter.updates.len() <= REMEMBERED);
        assert!(meter.offsets.len() <= OFFSETS);
    }
}
