//! Sparklines and charts.

use ratatui::layout::Rect;
use ratatui::style::Style;
use sysmon_core::{Health, Thresholds, Unit, display_width, format_value};

use super::pen::Pen;
use crate::axis::Slice;
use crate::entry::value_shown;
use crate::glyphs::Layers;
use crate::layout::SCALE_WIDTH;

/// A line of one row: the largest value of each slice.
pub(super) fn sparkline(
    pen: &mut Pen<'_>,
    x: u16,
    y: u16,
    slices: &[Option<Slice>],
    full: f64,
    style: Style,
) {
    let glyphs = pen.theme.glyphs;
    let level =
        |slice: Option<Slice>| level_of(slice.map(|slice| slice.maximum), full, glyphs.levels_per_cell());
    for (x, cell) in (x..).zip(slices.chunks(glyphs.points_per_cell())) {
        let left = level(cell.first().copied().flatten());
        let right = level(cell.get(1).copied().flatten());
        pen.put(x, y, glyphs.cell(left, right), style);
    }
}

/// How many cells a line of values takes, and how many values `width` cells take.
pub(super) fn points_in(pen: &Pen<'_>, width: u16) -> usize {
    usize::from(width) * pen.theme.glyphs.points_per_cell()
}

/// A chart of several rows with its scale at the left and threshold lines through it. It is filled up to the largest
/// value; or, banded, up to the smallest, with a lighter band up to the largest and a line at the mean. What rises above
/// a threshold has the colour of its state.
pub(super) struct Chart<'a> {
    pub(super) slices: &'a [Option<Slice>],
    /// Value at the upper edge.
    pub(super) full: f64,
    pub(super) thresholds: Option<Thresholds>,
    /// What the upper edge is called.
    pub(super) top_label: &'a str,
    /// Of the values.
    pub(super) unit: Unit,
    pub(super) is_banded: bool,
    /// Lines through it instead of those of the thresholds.
    pub(super) lines: &'a [ChartLine],
}

/// A line across a chart.
#[derive(Clone, Debug)]
pub(super) struct ChartLine {
    pub(super) value: f64,
    pub(super) style: Style,
    pub(super) glyph: char,
    /// Written at its left end, over the chart; may be empty.
    pub(super) label: String,
}

/// Heights of one slice in levels from the bottom of the plot; 0 where there is nothing.
#[derive(Clone, Copy, Default)]
struct Heights {
    solid: u16,
    mean: u16,
    band: u16,
}

impl Heights {
    /// What of it is in the row that begins above `below` levels.
    fn in_row(self, below: u16, levels: u16) -> Layers {
        let filled = |height: u16| height.saturating_sub(below).min(levels);
        let has_mean = self.mean > self.solid && self.mean > below && self.mean <= below + levels;
        Layers {
            solid: filled(self.solid),
            mean: if has_mean { self.mean - below } else { 0 },
            band: filled(self.band),
        }
    }
}

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
        let lines = self.all_lines(pen);
        if area.height >= 4 || !self.lines.is_empty() {
            self.draw_lines(pen, plot, &lines);
        }
        let glyphs = pen.theme.glyphs;
        let levels = glyphs.levels_per_cell();
        let total = plot.height * levels;
        let heights: Vec<Heights> = self
            .slices
            .iter()
            .map(|slice| self.heights(*slice, total))
            .collect();
        for (x, cell) in (plot.x..plot.right()).zip(heights.chunks(glyphs.points_per_cell())) {
            let left = cell.first().copied().unwrap_or_default();
            let right = cell.get(1).copied().unwrap_or_default();
            let top = [left.solid, left.band, right.solid, right.band].into_iter().max();
            for row in 0..plot.height {
                let below = row * levels;
                if top.is_none_or(|top| top <= below) {
                    break;
                }
                let (left, right) = (left.in_row(below, levels), right.in_row(below, levels));
                let glyph = glyphs.layered(left, right);
                if glyph == ' ' {
                    continue;
                }
                let is_pale = [left, right]
                    .iter()
                    .all(|layers| layers.solid == 0 && layers.mean == 0);
                let style = if is_pale {
                    pen.theme.band()
                } else {
                    self.style_at(pen, f64::from(below + 1) / f64::from(total) * self.full)
                };
                pen.put(x, plot.bottom() - 1 - row, glyph, style);
            }
        }
        if area.height >= 4 || !self.lines.is_empty() {
            self.draw_labels(pen, plot, lines);
        }
    }

    /// Writes what the lines are called; those that share a row stand beside each other, the lowest first.
    fn draw_labels(&self, pen: &mut Pen<'_>, plot: Rect, mut lines: Vec<ChartLine>) {
        lines.retain(|line| !line.label.is_empty());
        lines.sort_by(|a, b| a.value.total_cmp(&b.value));
        let quiet = pen.theme.quiet();
        let between = pen.pick(" · ", ", ");
        for row in lines.chunk_by(|a, b| self.row_of(plot, a.value) == self.row_of(plot, b.value)) {
            let labels: Vec<&str> = row.iter().map(|line| line.label.as_str()).collect();
            let width = u16::try_from(display_width(&labels.join(between))).unwrap_or(u16::MAX);
            let y = self.row_of(plot, row[0].value);
            // Over the oldest samples rather than the newest; but where there are none of either is better.
            let right = plot.right().saturating_sub(width + 1).max(plot.x + 1);
            let is_free =
                |x: u16| (x..x.saturating_add(width)).all(|x| !pen.theme.glyphs.is_filled(pen.glyph(x, y)));
            let is_left = is_free(plot.x + 1) || !is_free(right);
            let mut x = if is_left { plot.x + 1 } else { right };
            for (index, line) in row.iter().enumerate() {
                let between = if index == 0 { "" } else { between };
                let room = plot.right().saturating_sub(x);
                x = pen.pieces(x, y, room, &[(between, quiet), (&line.label, line.style)]);
            }
        }
    }

    fn heights(&self, slice: Option<Slice>, total: u16) -> Heights {
        let Some(slice) = slice else {
            return Heights::default();
        };
        let level = |value| level_of(Some(value), self.full, total);
        if self.is_banded {
            Heights {
                solid: level(slice.minimum),
                mean: level(slice.mean),
                band: level(slice.maximum),
            }
        } else {
            Heights {
                solid: level(slice.maximum),
                ..Heights::default()
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

    /// The lines that were given, else one for each threshold.
    fn all_lines(&self, pen: &Pen<'_>) -> Vec<ChartLine> {
        if !self.lines.is_empty() {
            return self.lines.to_vec();
        }
        let Some(thresholds) = self.thresholds else {
            return Vec::new();
        };
        let glyph = pen.pick("┄", "-").chars().next().unwrap_or('-');
        let levels = [
            (thresholds.warning, pen.theme.warning(), "warning"),
            (thresholds.critical, pen.theme.critical(), "critical"),
        ];
        let drawn = levels.into_iter().filter(|(value, _, _)| value.is_finite());
        drawn
            .map(|(value, style, word)| ChartLine {
                value,
                style: style
                    .remove_modifier(ratatui::style::Modifier::BOLD)
                    .add_modifier(ratatui::style::Modifier::DIM),
                glyph,
                label: format!("{word} {}", value_shown(value, self.unit)),
            })
            .collect()
    }

    fn draw_lines(&self, pen: &mut Pen<'_>, plot: Rect, lines: &[ChartLine]) {
        for line in lines {
            let y = self.row_of(plot, line.value);
            (plot.x..plot.right()).for_each(|x| pen.put(x, y, line.glyph, line.style));
        }
    }

    /// The row in which a value lies.
    fn row_of(&self, plot: Rect, value: f64) -> u16 {
        let share = (value / self.full).clamp(0.0, 1.0);
        let from_bottom = (share * f64::from(plot.height)).floor() as u16;
        plot.bottom()
            .saturating_sub(1 + from_bottom.min(plot.height.saturating_sub(1)))
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

/// The upper edge of a chart that also has lines up to `highest`, and what it is called in at most four cells: 100 for
/// percentages, else a round number that everything fits under.
pub(super) fn scale(slices: &[Option<Slice>], unit: Unit, highest: f64) -> (f64, String) {
    let largest = slices.iter().flatten().map(|slice| slice.maximum);
    let largest = largest.fold(highest.max(0.0), f64::max);
    let full = match unit {
        Unit::Percent if largest <= 100.0 => 100.0,
        Unit::Flag => 1.0,
        Unit::Bytes => round_up_binary(largest),
        _ => round_up(largest, f64::MIN_POSITIVE),
    };
    let label = match unit {
        Unit::Percent => format!("{full:.0}"),
        _ => format_value(full, unit),
    };
    // The edge is round: what stands behind the point is zeros.
    let label = match label.split_once('.') {
        Some((whole, rest)) if whole != "0" => {
            let suffix = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
            format!("{whole}{suffix}")
        }
        _ => label,
    };
    (full, label)
}

/// A size at or above the largest value that is round in its prefix.
fn round_up_binary(value: f64) -> f64 {
    let value = value.max(1.0);
    let prefix = 1024f64.powf((value.log2() / 10.0).floor());
    [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1024.0]
        .into_iter()
        .map(|factor| factor * prefix)
        .find(|round| *round >= value)
        .unwrap_or(value)
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
    fn the_edge_of_a_chart_is_round_and_named_in_four_cells() {
        for (value, unit, full, label) in [
            (93.0, Unit::Percent, 100.0, "100"),
            (640.0, Unit::Percent, 1_000.0, "1000"),
            (19e6, Unit::BytesPerSecond, 20e6, "20M"),
            (3.0 * 1_073_741_824.0, Unit::Bytes, 5.0 * 1_073_741_824.0, "5G"),
            (600.0 * 1_048_576.0, Unit::Bytes, 1_073_741_824.0, "1G"),
            (0.4, Unit::Count, 0.5, "0.50"),
            (0.0, Unit::Flag, 1.0, "yes"),
        ] {
            assert_eq!(scale(&[], unit, value), (full, label.to_owned()));
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
