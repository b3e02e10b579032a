//! At the right of the top line: whether what is shown is live, what fires, how the stores are, and the time.

use ratatui::style::Style;
use sysmon_core::alert::Severity;
use sysmon_core::{Liveness, format_age, format_duration};

use super::super::pen::Pen;
use crate::replay::ReplayStatus;
use crate::state::alerts::board::Standing;
use crate::state::{Link, State, View};
use crate::words;

/// Whether the first picture of what is on screen is still awaited.
fn is_loading(state: &State) -> bool {
    match &state.view {
        View::Machine(_) => !state.fleet.is_complete() && !state.machine.is_complete(),
        View::Fleet | View::Alerts | View::Rules => !state.fleet.is_complete(),
    }
}

/// Whether what is shown is live, and the time.
pub(super) fn status(pen: &Pen<'_>, state: &State) -> Vec<(String, Style)> {
    let bar = pen.theme.bar();
    let critical = pen.theme.on_bar(pen.theme.critical());
    let live = match &state.link {
        Link::Connecting if state.is_of_earlier => (
            format!(
                "connecting, this is {} old ",
                format_age(state.now.since_ms(state.received_at))
            ),
            pen.theme.on_bar(pen.theme.warning()),
        ),
        Link::Connecting => (
            "connecting… ".replace('…', pen.pick("…", "...")),
            pen.theme.on_bar(pen.theme.warning()),
        ),
        Link::Live if state.is_catching_up() => (
            "updating… ".replace('…', pen.pick("…", "...")),
            pen.theme.on_bar(pen.theme.warning()),
        ),
        Link::Live if is_loading(state) => (
            "loading… ".replace('…', pen.pick("…", "...")),
            pen.theme.on_bar(pen.theme.warning()),
        ),
        Link::Live if state.is_silent => (
            format!(
                "silent {} ",
                words::duration(state.now.since_ms(state.received_at))
            ),
            pen.theme.on_bar(pen.theme.warning()),
        ),
        Link::Live => match state.shown_machine() {
            Some(machine) if machine.liveness != Liveness::Live => {
                let text = format!(
                    "{} {} ",
                    machine.liveness.word(),
                    format_age(state.age_ms(machine))
                );
                (
                    text,
                    pen.theme.on_bar(pen.theme.mark(machine.liveness, machine.health)),
                )
            }
            _ => ("live ".into(), pen.theme.on_bar(pen.theme.ok())),
        },
        Link::Down { since, permanent, .. } => {
            let word = if *permanent { "refused" } else { "reconnecting" };
            let age = format_age(state.now.since_ms(*since));
            (format!("{} {word} {age} ", pen.pick("✕", "x")), critical)
        }
    };
    if let Some(replay) = &state.replay {
        return replay_status(pen, state, replay);
    }
    let mut pieces = alerts(pen, state);
    let quiet = pen.theme.on_bar(pen.theme.quiet());
    if state.console.is_readonly {
        pieces.push(("read-only  ".into(), quiet));
    }
    if state.console.is_slow {
        pieces.push(("slow link  ".into(), pen.theme.on_bar(pen.theme.warning())));
    }
    pieces.extend(storage(pen, state));
    pieces.extend([live, (format!(" {} ", clock(state)), bar)]);
    pieces
}

/// That this is a recording, where in it, and how fast it goes.
fn replay_status(pen: &Pen<'_>, state: &State, replay: &ReplayStatus) -> Vec<(String, Style)> {
    let reversed = pen.theme.bar().add_modifier(ratatui::style::Modifier::REVERSED);
    let sign = match (replay.is_playing, replay.at >= replay.end) {
        (true, _) => pen.pick("▶", ">"),
        (false, true) => pen.pick("■", "#"),
        (false, false) => pen.pick("⏸", "="),
    };
    let left = format_duration(replay.end.since_ms(replay.at) / 1_000);
    let text = format!(" REPLAY {} {sign} {}x, {left} left ", clock(state), replay.speed);
    let mut pieces = vec![(text, reversed)];
    if state.background.is_hidden {
        // Nothing came meanwhile, and nobody saw this.
        pieces.insert(
            0,
            ("in another tab  ".into(), pen.theme.on_bar(pen.theme.quiet())),
        );
    }
    pieces
}

/// What fires: the bad loudly, what somebody knows of quietly; and whether anybody judges the rules at all.
fn alerts(pen: &Pen<'_>, state: &State) -> Vec<(String, Style)> {
    if !state.is_live() || !state.alerts.is_ready() {
        return Vec::new();
    }
    let quiet = pen.theme.on_bar(pen.theme.quiet());
    let mut pieces = Vec::new();
    if let Some(words) = words::alerts::service(state) {
        let warning = pen.theme.on_bar(pen.theme.warning());
        pieces.push((format!("{} {words}  ", pen.pick("▲", "^")), warning));
    }
    let counts = state.alerts.board.counts();
    let loud = [
        (counts.critical, Standing::Firing, Severity::Critical),
        (counts.warning, Standing::Firing, Severity::Warning),
        (counts.info, Standing::Firing, Severity::Info),
    ];
    let mut muted = [
        (counts.pending, Standing::Pending, Severity::Info),
        (counts.acknowledged, Standing::Acknowledged, Severity::Info),
        (counts.muted(), Standing::Silenced, Severity::Info),
    ];
    let is_short = state.width < 100 && state.view != View::Alerts;
    let quiet_count: usize = muted.iter().map(|(count, _, _)| *count).sum();
    if is_short {
        muted = [(0, Standing::Resolved, Severity::Info); 3];
    }
    let shown = loud.into_iter().chain(muted).filter(|(count, _, _)| *count > 0);
    for (count, standing, severity) in shown {
        let mark = pen.theme.glyphs.alert_mark(standing, severity);
        let style = if standing == Standing::Firing {
            pen.theme.on_bar(pen.theme.severity(severity))
        } else {
            quiet
        };
        if pieces.is_empty() && state.width >= 60 && state.view != View::Alerts {
            pieces.push(("alerts ".into(), quiet));
        }
        pieces.push((format!("{mark}{count} "), style));
    }
    if is_short && quiet_count > 0 {
        let before = if pieces.is_empty() { "alerts " } else { "" };
        pieces.push((format!("{before}+{quiet_count} "), quiet));
    }
    if !pieces.is_empty() {
        pieces.push((" ".into(), quiet));
    }
    pieces
}

/// How the stores are: a mark when all are well, else the worst of them in words.
fn storage(pen: &Pen<'_>, state: &State) -> Option<(String, Style)> {
    if !state.is_live() || state.storage.components.is_empty() {
        return None;
    }
    Some(match state.storage.worst() {
        None => {
            let quiet = pen.theme.on_bar(pen.theme.quiet());
            (format!("{} ", pen.pick("≡", "=")), quiet)
        }
        Some(component) => {
            let words = words::storage(component, state.aggregator_now());
            let warning = pen.theme.on_bar(pen.theme.warning());
            (format!("{} {words}  ", pen.pick("▲", "^")), warning)
        }
    })
}

/// Local time of day.
fn clock(state: &State) -> String {
    let seconds = state.now.0.div_euclid(1_000) + i64::from(state.utc_offset_seconds);
    let of_day = seconds.rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", of_day / 3_600, of_day / 60 % 60, of_day % 60)
}
