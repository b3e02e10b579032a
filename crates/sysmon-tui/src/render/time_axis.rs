//! The line under a chart: when, and where samples are missing.

use std::collections::BTreeMap;

use ratatui::layout::Rect;
use sysmon_core::{Gap, GapReason, UnixMillis, display_width};

use super::pen::Pen;
use crate::axis::{Axis, Range};
use crate::layout::SCALE_WIDTH;
use crate::marks::{Mark, MarkKind};
use crate::state::alerts::board::Standing;
use crate::words;

/// Distances between labels, each with how it is written.
const DISTANCES: [(i64, &str); 15] = [
    (60, "%H:%M"),
    (120, "%H:%M"),
    (300, "%H:%M"),
    (600, "%H:%M"),
    (900, "%H:%M"),
    (1_800, "%H:%M"),
    (3_600, "%H:%M"),
    (2 * 3_600, "%H:%M"),
    (3 * 3_600, "%H:%M"),
    (6 * 3_600, "%H:%M"),
    (12 * 3_600, "%H:%M"),
    (86_400, "%-d %b"),
    (2 * 86_400, "%-d %b"),
    (7 * 86_400, "%-d %b"),
    (14 * 86_400, "%-d %b"),
];

/// What a line of times is drawn from.
pub(super) struct TimeAxis<'a> {
    pub(super) axis: Axis,
    pub(super) range: Range,
    pub(super) gaps: &'a [Gap],
    /// What happened when.
    pub(super) events: &'a [Mark],
    pub(super) utc_offset_seconds: i32,
    /// The cell of the moment on screen when that is not now: then the axis does not end with now either.
    pub(super) cursor: Option<u16>,
    pub(super) ends_now: bool,
}

impl TimeAxis<'_> {
    /// Draws the line: a rule, times that are round on the clock, marks under gaps, and where now is.
    pub(super) fn draw(&self, pen: &mut Pen<'_>, area: Rect) {
        if area.height == 0 || area.width <= SCALE_WIDTH + 4 {
            return;
        }
        let plot = Rect {
            x: area.x + SCALE_WIDTH,
            width: area.width - SCALE_WIDTH,
            ..area
        };
        let rule = pen.theme.rule();
        let corner = pen.pick("└", "+").chars().next().unwrap_or('+');
        let line = pen.pick("─", "-").chars().next().unwrap_or('-');
        pen.put(plot.x - 1, area.y, corner, rule);
        (plot.x..plot.right()).for_each(|x| pen.put(x, area.y, line, rule));
        let faint = pen.theme.faint();
        let marks = marked_cells(pen, plot, &self.axis, self.gaps);
        let events = event_cells(pen, plot, &self.axis, self.events);
        let end = plot.right().saturating_sub(if self.ends_now { 3 } else { 0 });
        let is_marked = |from: u16, to: u16| {
            let mut taken = marks.iter().map(|(x, _)| x).chain(events.iter().map(|(x, _)| x));
            let is_at_cursor = self.cursor.is_some_and(|x| (from..to).contains(&x));
            is_at_cursor || taken.any(|x| (from..to).contains(x))
        };
        // A mark says more than one time of many.
        if self.ends_now && !is_marked(end, plot.right()) {
            pen.text(end, area.y, 3, "now", faint);
        }
        for (x, label) in self.labels(pen, plot, end) {
            let width = u16::try_from(display_width(&label)).unwrap_or(u16::MAX);
            if !is_marked(x, x.saturating_add(width)) {
                pen.text(x, area.y, width, &label, faint);
            }
        }
        let (lost, off) = (pen.theme.warning(), pen.theme.quiet());
        let mark = pen.pick("×", "x").chars().next().unwrap_or('x');
        for (x, is_lost) in marks {
            pen.put(x, area.y, mark, if is_lost { lost } else { off });
        }
        for (x, kind) in events.iter().copied() {
            put_mark(pen, x, area.y, kind);
        }
        if let Some(x) = self.cursor {
            let accent = pen.theme.accent();
            let mark = pen.pick("┴", "!").chars().next().unwrap_or('!');
            // What happened at the moment itself says more than the foot of its line.
            if !events.iter().any(|(taken, _)| *taken == x) {
                pen.put(x, area.y, mark, accent);
            }
        }
    }

    /// Times and where they are written, from the left, none over another.
    fn labels(&self, pen: &Pen<'_>, plot: Rect, end: u16) -> Vec<(u16, String)> {
        let per_cell = pen.theme.glyphs.points_per_cell() as u64;
        let cell_ms = i64::try_from(self.axis.step_ms.saturating_mul(per_cell)).unwrap_or(i64::MAX);
        let fits = |(distance, form): &(i64, &str)| {
            let cells = distance.saturating_mul(1_000) / cell_ms.max(1);
            cells >= self.width_of(form) + 5
        };
        let Some((distance, form)) = DISTANCES.into_iter().find(fits) else {
            return Vec::new();
        };
        let form = self.form(distance, form);
        let distance_ms = distance * 1_000;
        let offset_ms = i64::from(self.utc_offset_seconds) * 1_000;
        // Round on the clock of whoever reads it.
        let local = self.axis.from.0.saturating_add(offset_ms);
        let first = local
            .div_euclid(distance_ms)
            .saturating_add(1)
            .saturating_mul(distance_ms)
            .saturating_sub(offset_ms);
        let mut labels = Vec::new();
        let mut at = first;
        let mut free_from = plot.x;
        while at < self.axis.to.0 && labels.len() < 400 {
            let cell = at.saturating_sub(self.axis.from.0) / cell_ms.max(1);
            // Midnight is better known by the day that begins with it.
            let is_midnight = form == "%H:%M" && at.saturating_add(offset_ms).rem_euclid(86_400_000) == 0;
            let form = if is_midnight { "%-d %b" } else { form };
            let label = words::local(UnixMillis(at), self.utc_offset_seconds, form);
            let width = u16::try_from(display_width(&label)).unwrap_or(u16::MAX);
            // The middle of a time stands over its moment.
            let x = plot
                .x
                .saturating_add(u16::try_from(cell).unwrap_or(u16::MAX))
                .saturating_sub(width / 2);
            if x >= free_from && x.saturating_add(width) < end {
                free_from = x.saturating_add(width + 1);
                labels.push((x, label));
            }
            at = at.saturating_add(distance_ms);
        }
        labels
    }

    /// Over more than a day a time of day alone would not tell which.
    fn form<'f>(&self, distance: i64, form: &'f str) -> &'f str {
        if distance < 86_400 && self.range > Range::Day {
            "%a %H:%M"
        } else if distance == 86_400 && self.range == Range::Week {
            "%a %-d"
        } else {
            form
        }
    }

    fn width_of(&self, form: &str) -> i64 {
        match form {
            "%H:%M" if self.range > Range::Day => 9,
            "%H:%M" => 5,
            _ => 6,
        }
    }
}

/// The cells under which samples are missing, and whether samples were taken and lost.
fn marked_cells(pen: &Pen<'_>, plot: Rect, axis: &Axis, gaps: &[Gap]) -> Vec<(u16, bool)> {
    let per_cell = pen.theme.glyphs.points_per_cell();
    let mut marks: Vec<(u16, bool)> = Vec::new();
    for gap in gaps {
        let touched = axis.touched(gap.from, gap.to);
        if touched.is_empty() {
            continue;
        }
        let is_lost = gap.reason != GapReason::Silent;
        for cell in touched.start / per_cell..touched.end.div_ceil(per_cell) {
            let x = plot.x.saturating_add(u16::try_from(cell).unwrap_or(u16::MAX));
            match marks.last_mut() {
                _ if x >= plot.right() => {}
                Some((last, lost)) if *last == x => *lost |= is_lost,
                _ => marks.push((x, is_lost)),
            }
        }
    }
    marks
}

/// The cells in which something happened; of several in a cell the worst.
pub(super) fn event_cells(pen: &Pen<'_>, plot: Rect, axis: &Axis, events: &[Mark]) -> Vec<(u16, MarkKind)> {
    let per_cell = pen.theme.glyphs.points_per_cell();
    let mut cells: BTreeMap<u16, MarkKind> = BTreeMap::new();
    for event in events {
        let touched = axis.touched(event.from, event.to);
        if touched.is_empty() {
            continue;
        }
        for cell in touched.start / per_cell..touched.end.div_ceil(per_cell) {
            let x = plot.x.saturating_add(u16::try_from(cell).unwrap_or(u16::MAX));
            if x < plot.right() {
                let kind = cells.entry(x).or_insert(event.kind);
                *kind = (*kind).max(event.kind);
            }
        }
    }
    cells.into_iter().collect()
}

/// Draws a mark: its shape says what happened, its colour how bad that is.
pub(super) fn put_mark(pen: &mut Pen<'_>, x: u16, y: u16, kind: MarkKind) {
    let (glyph, style) = match kind {
        MarkKind::Pending(severity) => (
            pen.theme.glyphs.alert_mark(Standing::Pending, severity),
            pen.theme.severity(severity),
        ),
        MarkKind::Resolved => (pen.pick("○", "o"), pen.theme.ok()),
        MarkKind::Fires(severity) => (
            pen.theme.glyphs.alert_mark(Standing::Firing, severity),
            pen.theme.severity(severity),
        ),
    };
    pen.put(x, y, glyph.chars().next().unwrap_or('!'), style);
}

/// Writes into each stretch without samples what it was, where it is wide enough.
pub(super) fn legends(pen: &mut Pen<'_>, area: Rect, axis: &Axis, gaps: &[Gap]) {
    if area.height == 0 || area.width <= SCALE_WIDTH {
        return;
    }
    let plot_x = area.x + SCALE_WIDTH;
    let per_cell = pen.theme.glyphs.points_per_cell();
    for gap in gaps {
        let touched = axis.touched(gap.from, gap.to);
        // Only cells that are empty altogether.
        let cells = touched.start.div_ceil(per_cell) + 1..(touched.end / per_cell).saturating_sub(1);
        let words = words::gap(gap);
        let short = match gap.reason {
            GapReason::Silent => words.replace("collector was ", ""),
            _ => words
                .split(" samples lost")
                .next()
                .map(|count| format!("{count} lost"))
                .filter(|_| gap.samples > 1)
                .unwrap_or_else(|| "lost".into()),
        };
        let room = cells.len();
        let full = format!("gap: {words}");
        let Some(text) = [full, words, short]
            .into_iter()
            .find(|text| display_width(text) <= room)
        else {
            continue;
        };
        let left = cells.start + (room - display_width(&text)) / 2;
        let x = plot_x.saturating_add(u16::try_from(left).unwrap_or(u16::MAX));
        let style = if gap.reason == GapReason::Silent {
            pen.theme.quiet()
        } else {
            pen.theme.warning()
        };
        let y = area.y + area.height / 2;
        pen.text(x, y, u16::try_from(room).unwrap_or(u16::MAX), &text, style);
    }
}
