//! Sparklines and charts: points on one time axis, whose slices are aligned to the clock, so that a chart moves only
//! when a slice is full and a slow link is not flooded.

use ratatui::layout::Rect;
use ratatui::style::Style;
use sysmon_api::Machine;
use sysmon_core::{Health, Series, Thresholds, UnixMillis, downsample};

use super::pen::Pen;

/// Slices of time are multiples of this, so that a tick a second falls evenly into them.
const STEP_MS: u64 = 500;

/// Slices of time that end with the newest tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    from: UnixMillis,
    to: UnixMillis,
    step_ms: u64,
    points: usize,
    /// A value stands for this long before it was taken.
    hold_ms: u64,
}

impl Axis {
    /// An axis of `points` slices that covers `window_ms`, or a little less: all of it is filled once that much is known. It ends at the machine's newest tick, moved on by
    /// however long the machine has been silent (`silence_ms`): the machine's own clock may be wrong, and then still
    /// the picture is right.
    pub(super) fn new(machine: &Machine, silence_ms: u64, points: usize, window_ms: u64) -> Self {
        let interval_ms = u64::from(machine.interval_ms.max(100));
        let silence_ms = if silence_ms > interval_ms * 5 / 2 {
            silence_ms
        } else {
            0
        };
        let newest = machine.recent.times().back().copied().unwrap_or_default();
        let end = newest.plus_ms(i64::try_from(silence_ms).unwrap_or(0));
        let step_ms = (window_ms / (points as u64).max(1) / STEP_MS * STEP_MS).max(STEP_MS);
        let step = i64::try_from(step_ms).unwrap_or(1_000);
        let to = UnixMillis(end.0.div_euclid(step).saturating_add(1).saturating_mul(step));
        let length = step.saturating_mul(i64::try_from(points).unwrap_or(0));
        Self {
            from: to.plus_ms(-length),
            to,
            step_ms,
            points,
            hold_ms: interval_ms * 3 / 2,
        }
    }

    /// The largest value of each slice; `None` where the machine gave none.
    pub(super) fn values(&self, machine: &Machine, series: &Series) -> Vec<Option<f64>> {
        let points = machine
            .recent
            .points(series, 0)
            .filter_map(|(at, value)| Some((at, value?)));
        let buckets = downsample(points, self.from, self.to, self.points);
        let mut values: Vec<Option<f64>> = buckets
            .iter()
            .map(|bucket| bucket.map(|bucket| bucket.maximum))
            .collect();
        // A sample tells of the interval before it: slices shorter than that are filled from the next one.
        let reach = usize::try_from(self.hold_ms / self.step_ms).unwrap_or(0);
        let mut next: Option<(usize, f64)> = None;
        for index in (0..values.len()).rev() {
            match (values[index], next) {
                (Some(value), _) => next = Some((index, value)),
                (None, Some((at, value))) if at - index <= reach => values[index] = Some(value),
                _ => {}
            }
        }
        values
    }

    /// How much time the axis shows.
    pub(super) fn window_ms(&self) -> u64 {
        self.step_ms * self.points as u64
    }
}

/// A line of one row.
pub(super) fn sparkline(pen: &mut Pen<'_>, x: u16, y: u16, values: &[Option<f64>], full: f64, style: Style) {
    let glyphs = pen.theme.glyphs;
    let level = |value: Option<f64>| level_of(value, full, glyphs.levels_per_cell());
    for (x, cell) in (x..).zip(values.chunks(glyphs.points_per_cell())) {
        let left = level(cell.first().copied().flatten());
        let right = level(cell.get(1).copied().flatten());
        pen.put(x, y, glyphs.cell(left, right), style);
    }
}

/// How many cells a line of values takes, and how many values `width` cells take.
pub(super) fn points_in(pen: &Pen<'_>, width: u16) -> usize {
    usize::from(width) * pen.theme.glyphs.points_per_cell()
}

/// A filled chart of several rows with its scale at the left and threshold lines through it. What rises above a
/// threshold has the colour of its state.
pub(super) struct Chart<'a> {
    pub(super) values: &'a [Option<f64>],
    /// Value at the upper edge.
    pub(super) full: f64,
    pub(super) thresholds: Option<Thresholds>,
    /// What the upper edge is called.
    pub(super) top_label: &'a str,
}

/// Cells at the left that the scale takes.
pub(super) const SCALE_WIDTH: u16 = 5;

impl Chart<'_> {
    /// Draws the chart with its scale.
    pub(super) fn draw(&self, pen: &mut Pen<'_>, area: Rect) {
        if area.height == 0 || area.width <= SCALE_WIDTH {
            return;
        }
        self.scale(pen, area);
        let plot = Rect {
            x: area.x + SCALE_WIDTH,
            width: area.width - SCALE_WIDTH,
            ..area
        };
        if area.height >= 4 {
            self.threshold_lines(pen, plot);
        }
        let glyphs = pen.theme.glyphs;
        let levels = glyphs.levels_per_cell();
        let total = plot.height * levels;
        let heights: Vec<u16> = self
            .values
            .iter()
            .map(|value| level_of(*value, self.full, total))
            .collect();
        for (x, cell) in (plot.x..plot.right()).zip(heights.chunks(glyphs.points_per_cell())) {
            let (left, right) = (
                cell.first().copied().unwrap_or(0),
                cell.get(1).copied().unwrap_or(0),
            );
            for row in 0..plot.height {
                let below = row * levels;
                let in_row = |height: u16| height.saturating_sub(below).min(levels);
                if in_row(left) == 0 && in_row(right) == 0 {
                    break;
                }
                let style = self.style_at(pen, f64::from(below + 1) / f64::from(total) * self.full);
                pen.put(
                    x,
                    plot.bottom() - 1 - row,
                    glyphs.cell(in_row(left), in_row(right)),
                    style,
                );
            }
        }
    }

    fn style_at(&self, pen: &Pen<'_>, value: f64) -> Style {
        match self.thresholds.map(|thresholds| thresholds.judge(value)) {
            Some(Health::Critical) => pen.theme.critical(),
            Some(Health::Warning) => pen.theme.warning(),
            _ => pen.theme.chart(),
        }
    }

    fn scale(&self, pen: &mut Pen<'_>, area: Rect) {
        let (text, rule) = (pen.theme.faint(), pen.theme.rule());
        for y in area.y..area.bottom() {
            let tick = y == area.y || y + 1 == area.bottom();
            let line = if tick {
                pen.pick("┤", "+")
            } else {
                pen.pick("│", "|")
            };
            pen.text(area.x + SCALE_WIDTH - 1, y, 1, line, rule);
        }
        pen.right(area.x, area.y, SCALE_WIDTH - 1, self.top_label, text);
        if area.height > 1 {
            pen.right(area.x, area.bottom() - 1, SCALE_WIDTH - 1, "0", text);
        }
    }

    fn threshold_lines(&self, pen: &mut Pen<'_>, plot: Rect) {
        let Some(thresholds) = self.thresholds else { return };
        let lines = [
            (thresholds.warning, pen.theme.warning()),
            (thresholds.critical, pen.theme.critical()),
        ];
        let rows = lines.map(|(value, _)| {
            let share = (value / self.full).clamp(0.0, 1.0);
            let from_bottom = (share * f64::from(plot.height)).floor() as u16;
            plot.bottom().saturating_sub(1 + from_bottom.min(plot.height - 1))
        });
        let dash = pen.pick("┄", "-").chars().next().unwrap_or('-');
        for (row, (_, style)) in rows.into_iter().zip(lines) {
            let style = style
                .remove_modifier(ratatui::style::Modifier::BOLD)
                .add_modifier(ratatui::style::Modifier::DIM);
            (plot.x..plot.right()).for_each(|x| pen.put(x, row, dash, style));
        }
    }
}

/// Filled levels of a value; a value that is there fills at least one, so that an idle line is no gap.
fn level_of(value: Option<f64>, full: f64, levels: u16) -> u16 {
    let Some(value) = value.filter(|value| value.is_finite()) else {
        return 0;
    };
    let share = if full > 0.0 {
        (value / full).clamp(0.0, 1.0)
    } else {
        0.0
    };
    ((share * f64::from(levels)).round() as u16).clamp(1, levels)
}

/// A round number at or above the largest value: 1, 2 or 5 times a power of ten, so that the scale seldom changes.
pub(super) fn round_up(value: f64, least: f64) -> f64 {
    let value = value.max(least).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|round| *round >= value)
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_round_and_never_below_the_value() {
        for (value, full) in [
            (0.0, 1_000.0),
            (999.0, 1_000.0),
            (1_001.0, 2_000.0),
            (4_900_000.0, 5_000_000.0),
        ] {
            let rounded = round_up(value, 1_000.0);
            assert!((rounded - full).abs() < full * 1e-9, "{value} → {rounded}");
        }
    }

    #[test]
    fn a_value_that_is_there_is_never_drawn_as_a_gap() {
        assert_eq!(level_of(Some(0.0), 100.0, 4), 1);
        assert_eq!(level_of(None, 100.0, 4), 0);
        assert_eq!(level_of(Some(f64::NAN), 100.0, 4), 0);
        assert_eq!(level_of(Some(1e9), 100.0, 4), 4);
    }
}
