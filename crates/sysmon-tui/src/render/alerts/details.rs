//! What is known of the selected alert.

use ratatui::layout::Rect;
use sysmon_core::alert::{Alert, Culprit};
use sysmon_core::{Unit, format_value};

use crate::render::pen::Pen;
use crate::state::State;
use crate::words;

/// Draws label and text, line by line, below a rule.
pub(super) fn details(pen: &mut Pen<'_>, area: Rect, state: &State) {
    if area.height < 2 {
        return;
    }
    let rule = pen.theme.rule();
    let line = pen.pick("─", "-").chars().next().unwrap_or('-');
    (area.x..area.right()).for_each(|x| pen.put(x, area.y, line, rule));
    let list = &state.alerts.list;
    let Some(key) = list.selected_key(&state.alerts.log) else {
        return;
    };
    let board = &state.alerts.board;
    let mut lines: Vec<(&str, String)> = Vec::new();
    match board.rule(&key.rule) {
        Some(stored) => lines.push(("rule", words::alerts::rule(&stored.rule))),
        None => lines.push(("rule", format!("{}, which is gone", key.rule))),
    }
    let place = if key.entity.is_empty() {
        key.machine.to_string()
    } else {
        format!("{}, {}", key.machine, key.entity)
    };
    lines.push(("on", place));
    if let Some(alert) = board.alert(key) {
        of_alert(&mut lines, alert, state);
    }
    if let Some(stored) = board
        .rule(&key.rule)
        .filter(|stored| !stored.rule.note.is_empty())
    {
        lines.push(("note", stored.rule.note.clone()));
    }
    let (quiet, text) = (pen.theme.quiet(), pen.theme.text());
    let room = area.width.saturating_sub(14);
    let lines = lines.iter().flat_map(|(label, words)| {
        let labels = std::iter::once(*label).chain(std::iter::repeat(""));
        labels.zip(words::wrapped(words, room.into()))
    });
    for (y, (label, words)) in (area.y + 1..area.bottom()).zip(lines) {
        pen.text(area.x + 1, y, 11, label, quiet);
        pen.text(area.x + 13, y, room, &words, text);
    }
}

fn of_alert(lines: &mut Vec<(&str, String)>, alert: &Alert, state: &State) {
    let now = state.aggregator_now();
    if let Some(known) = &alert.acknowledged {
        let at = words::moment(state, known.at, now);
        let comment = if known.comment.is_empty() {
            "no comment".into()
        } else {
            format!("\"{}\"", known.comment)
        };
        let until = known
            .until
            .map(|until| format!(", until {}", words::moment(state, until, now)))
            .unwrap_or_default();
        lines.push(("known", format!("{} at {at}{until}: {comment}", known.by)));
    }
    if let Some(silence) = alert.silenced.and_then(|id| state.alerts.board.silence(id)) {
        let until = words::moment(state, silence.until, now);
        lines.push((
            "silenced",
            format!("until {until} by {}: {}", silence.by, silence.comment),
        ));
    }
    if alert.inhibited {
        lines.push((
            "muted",
            "the machine is down, which is an alert of its own".into(),
        ));
    }
    let unit = words::alerts::unit(state.alerts.board.rule(&alert.key.rule));
    let mut since = Vec::new();
    if let Some(fired) = alert.fired {
        since.push(format!("firing since {}", words::moment(state, fired, now)));
    }
    if let Some(peak) = alert.peak {
        since.push(format!("worst {}", format_value(peak, unit)));
    }
    if alert.flapping {
        since.push("flapping: notifications back off".into());
    }
    if !since.is_empty() {
        lines.push(("so far", since.join(", ")));
    }
    if !alert.culprits.is_empty() {
        let culprits: Vec<String> = alert.culprits.iter().map(culprit).collect();
        lines.push(("busiest", culprits.join(", ")));
    }
}

fn culprit(culprit: &Culprit) -> String {
    format!(
        "{} ({}) {} {}",
        culprit.name,
        culprit.pid,
        format_value(culprit.cpu_percent, Unit::Percent),
        format_value(culprit.memory_bytes as f64, Unit::Bytes)
    )
}
