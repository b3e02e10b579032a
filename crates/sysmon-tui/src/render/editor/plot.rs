//! The chart of the editor: a day of the metric, the levels of the draft through it, and where it would have fired.

use ratatui::layout::Rect;
use ratatui::style::Modifier;
use sysmon_core::alert::{Comparison, Severity};
use sysmon_core::{SeriesKey, Thresholds, Unit};

use crate::axis::Range;
use crate::entry::value_shown;
use crate::layout::{EditorRegions, SCALE_WIDTH, editor_axis};
use crate::marks::{Mark, MarkKind};
use crate::render::chart::{Chart, ChartLine, scale};
use crate::render::pen::Pen;
use crate::render::time_axis::{TimeAxis, legends};
use crate::state::State;
use crate::state::alerts::scope::{is_level, metric_check};
use crate::state::editor::fields::SEVERITIES;
use crate::state::editor::{Editor, Field};
use crate::track::Track;

/// Draws chart and axis, or says why there is none.
pub(super) fn plot(pen: &mut Pen<'_>, screen: Rect, regions: &EditorRegions, editor: &Editor, state: &State) {
    let area = regions.chart;
    if area.height == 0 || area.width <= SCALE_WIDTH {
        return;
    }
    if metric_check(&editor.draft).is_none() {
        let quiet = pen.theme.quiet();
        let text = "it watches whether the machine is heard of: there is no curve of that";
        pen.text(area.x + 1, area.y, area.width.saturating_sub(2), text, quiet);
        return;
    }
    let Some(axis) = editor_axis(screen, state, pen.theme.glyphs.points_per_cell()) else {
        let quiet = pen.theme.quiet();
        let text = "no machine that this applies to is known: nothing to draw";
        pen.text(area.x + 1, area.y, area.width.saturating_sub(2), text, quiet);
        return;
    };
    let key = editor.shown_key();
    let slices = key.as_ref().map_or_else(
        || vec![None; axis.points],
        |key| axis.slices(&track(editor, state, key)),
    );
    let lines = lines(pen, editor);
    let highest = lines.iter().map(|line| line.value).fold(0.0, f64::max);
    let unit = key.as_ref().map_or(Unit::Count, |key| key.metric.unit());
    let (full, label) = scale(&slices, unit, highest);
    Chart {
        slices: &slices,
        full,
        thresholds: colours(editor),
        top_label: &label,
        unit,
        is_banded: true,
        lines: &lines,
    }
    .draw(pen, area);
    let gaps = editor
        .past
        .answer
        .as_ref()
        .and_then(|answer| answer.history.as_ref());
    let gaps = gaps.map(|history| history.gaps.as_slice()).unwrap_or_default();
    legends(pen, area, &axis, gaps);
    if slices.iter().all(Option::is_none) {
        nothing(pen, area, editor, state);
    }
    if !is_comparable(editor) {
        let quiet = pen.theme.quiet();
        let text = "the levels are of something made of this curve: they cannot be drawn on it";
        let x = area.x + SCALE_WIDTH + 1;
        pen.text(x, area.y, area.right().saturating_sub(x), text, quiet);
    }
    TimeAxis {
        axis,
        range: Range::Day,
        gaps,
        events: &episodes(editor, key.as_ref()),
        utc_offset_seconds: state.utc_offset_seconds,
        cursor: None,
        ends_now: true,
    }
    .draw(pen, regions.axis);
}

/// The past as it was answered, then what came live.
fn track<'a>(editor: &'a Editor, state: &'a State, key: &SeriesKey) -> Track<'a> {
    let answer = editor.past.answer.as_ref();
    let machine = editor.machine.as_ref().and_then(|id| {
        let whole = state.machine.find(id);
        whole.or_else(|| state.fleet.find(id))
    });
    let answer = answer.filter(|answer| editor.machine.as_deref() == Some(&*answer.subject.machine));
    Track {
        past: answer.and_then(|answer| answer.part(key)),
        live: machine.and_then(|machine| {
            let number = machine.recent.number_of(key)?;
            Some((&machine.recent, machine.recent.get(number)?))
        }),
    }
}

/// Why there is no curve.
fn nothing(pen: &mut Pen<'_>, area: Rect, editor: &Editor, state: &State) {
    use crate::state::past::Keeping;
    let text = match (&editor.past.failure, &editor.past.question) {
        (Some((_, _, reason)), _) => format!("no history: {reason}"),
        (None, Some(_)) => "loading history…".into(),
        (None, None) if state.past.keeping != Keeping::Kept => "no history is kept here".into(),
        (None, None) => "no samples of this metric in the last day".into(),
    };
    let quiet = pen.theme.quiet();
    let y = area.y + area.height / 2;
    let x = area.x + SCALE_WIDTH + 2;
    pen.text(x, y, area.right().saturating_sub(x), &text, quiet);
}

/// Whether the levels are in the unit of the curve.
fn is_comparable(editor: &Editor) -> bool {
    metric_check(&editor.draft)
        .is_some_and(|check| check.quantity.per.is_none() && is_level(check.quantity.function))
}

/// The colours of what is beyond a level, for rules that watch for too much.
fn colours(editor: &Editor) -> Option<Thresholds> {
    let check = metric_check(&editor.draft).filter(|_| is_comparable(editor))?;
    let trigger = |severity| {
        editor
            .level(severity)
            .map_or(f64::INFINITY, |level| level.trigger)
    };
    (check.comparison == Comparison::Above).then(|| Thresholds {
        warning: trigger(Severity::Warning),
        critical: trigger(Severity::Critical),
    })
}

/// A line for every level, and one for where the chosen one is cleared.
fn lines(pen: &Pen<'_>, editor: &Editor) -> Vec<ChartLine> {
    if !is_comparable(editor) {
        return Vec::new();
    }
    let unit = editor.unit();
    let glyph =
        |unicode: &'static str, ascii: &'static str| pen.pick(unicode, ascii).chars().next().unwrap_or('-');
    let mut lines = Vec::new();
    // The worst is drawn last, over the others.
    for severity in SEVERITIES.into_iter().rev() {
        let Some(level) = editor.level(severity) else {
            continue;
        };
        let is_here = editor.field == Field::Trigger(severity);
        let style = pen.theme.severity(severity);
        let style = if is_here {
            style
        } else {
            style.remove_modifier(Modifier::BOLD).add_modifier(Modifier::DIM)
        };
        let mark = if is_here { pen.pick("▸ ", "> ") } else { "" };
        lines.push(ChartLine {
            value: level.trigger,
            style,
            glyph: glyph("┄", "-"),
            label: format!("{mark}{} {}", severity.word(), value_shown(level.trigger, unit)),
        });
    }
    let chosen = match editor.field {
        Field::Trigger(severity) | Field::Clear(severity) => Some(severity),
        _ => None,
    };
    if let Some(level) = chosen.and_then(|severity| editor.level(severity)) {
        let is_here = matches!(editor.field, Field::Clear(_));
        let value = editor.clear_of(level);
        let mark = if is_here { pen.pick("▸ ", "> ") } else { "" };
        // Behind the others: it tells less than they do.
        lines.insert(
            0,
            ChartLine {
                value,
                style: if is_here {
                    pen.theme.text()
                } else {
                    pen.theme.quiet()
                },
                glyph: glyph("·", "."),
                label: format!("{mark}clears at {}", value_shown(value, unit)),
            },
        );
    }
    lines.retain(|line| line.value.is_finite());
    lines
}

/// Where the rule would have fired on what the chart shows.
fn episodes(editor: &Editor, key: Option<&SeriesKey>) -> Vec<Mark> {
    let (Some(report), Some(machine)) = (&editor.report, editor.machine.as_deref()) else {
        return Vec::new();
    };
    let entity = key.and_then(|key| key.entity()).unwrap_or_default();
    report
        .of(machine)
        .filter(|episode| episode.entity == entity || entity.is_empty())
        .map(|episode| Mark {
            from: episode.from,
            to: episode.to.unwrap_or(report.to),
            kind: MarkKind::Fires(episode.severity),
        })
        .collect()
}
