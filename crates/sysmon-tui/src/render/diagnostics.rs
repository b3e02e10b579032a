//! What the client costs, over the lower right corner of the view: what is worst stands at the top.

use ratatui::layout::Rect;
use sysmon_core::{Unit, format_value};

use super::overlay::boxed;
use super::pen::Pen;
use crate::state::State;

const WIDTH: u16 = 44;

/// Draws it.
pub(super) fn diagnostics(pen: &mut Pen<'_>, screen: Rect, state: &State) {
    let meter = &state.console.meter;
    let (last, rates) = (meter.last(), meter.rates(state.now));
    let ms = |micros: u64| format!("{:.1} ms", micros as f64 / 1_000.0);
    let bytes = |count: f64| format!("{}B", format_value(count, Unit::Count));
    let pace = match (state.console.is_slow, last.skipped) {
        (true, _) => "slow link: a frame a second or fewer".to_owned(),
        (false, 0) => format!("at most {} a second", last.frames_per_second_max),
        (false, skipped) => format!(
            "at most {} a second, {skipped} skipped",
            last.frames_per_second_max
        ),
    };
    let none = pen.pick("–", "-").to_owned();
    let latency = meter.latency_ms().map_or(none, |ms| format!("{ms} ms"));
    let lines = [
        (
            "frame",
            format!("{}, worst {}", ms(last.micros), ms(rates.frame_micros_max)),
        ),
        (
            "bytes",
            format!(
                "{} a frame, worst {}",
                bytes(last.bytes as f64),
                bytes(rates.frame_bytes_max as f64)
            ),
        ),
        (
            "rate",
            format!(
                "{}/s in {:.1} frames/s",
                bytes(rates.bytes_per_second),
                rates.frames_per_second
            ),
        ),
        ("pace", pace),
        (
            "taken in",
            format!("{:.1} ms by the terminal", last.taken_micros as f64 / 1_000.0),
        ),
        ("updates", format!("{:.1}/s", rates.updates_per_second)),
        (
            "queues",
            format!(
                "{} of {} in, {} of {} out",
                last.events, last.events_max, last.commands, last.commands_max
            ),
        ),
        ("latency", format!("{latency} from sample to screen")),
    ];
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let width = WIDTH.min(screen.width);
    let height = rows.saturating_add(2).min(screen.height.saturating_sub(2));
    let area = Rect {
        x: screen.right() - width,
        y: screen.bottom().saturating_sub(height + 1),
        width,
        height,
    };
    let inner = boxed(pen, area, " Diagnostics ", " F12 closes ");
    let (quiet, text) = (pen.theme.quiet(), pen.theme.text());
    for (y, (label, value)) in (inner.y..inner.bottom()).zip(&lines) {
        let width = inner.width.saturating_sub(2);
        pen.text(inner.x + 1, y, width.min(9), label, quiet);
        pen.text(inner.x + 11, y, width.saturating_sub(10), value, text);
    }
}
