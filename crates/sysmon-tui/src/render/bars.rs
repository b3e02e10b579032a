//! The line at the top (where am I, is it live, how bad is it) and the line at the bottom (what can I do).

use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use sysmon_api::Machine;
use sysmon_core::{Health, Liveness, Unit, display_width, format_duration, format_value};

mod status;

use status::status;

use super::machine::as_many_as_fit;
use super::{pen::Pen, travel};
use crate::layout::{self, filter_in_force};
use crate::state::burst::burst_ms;
use crate::state::{Choosing, Link, Prompt, PromptKind, State, View};
use crate::update::choose;
use crate::words;

/// Draws the line at the top.
pub(super) fn header(pen: &mut Pen<'_>, area: Rect, state: &State) {
    if let Some(trip) = &state.travel.trip {
        return travel::header(pen, area, state, trip);
    }
    let bar = pen.theme.bar();
    pen.overlay(area, bar);
    let mut right = status(pen, state);
    let least = place(pen, state, Wording::Bare, 0);
    let least = least
        .iter()
        .take(BARE_PIECES)
        .map(|(text, _)| display_width(text));
    let least = least.sum::<usize>() + 1;
    // What is on screen matters more than what time it is, which any other window tells too.
    if right.len() > 1 && width_of(&right) + least > usize::from(area.width) {
        right.pop();
    }
    let right_width = u16::try_from(width_of(&right))
        .unwrap_or(u16::MAX)
        .min(area.width);
    let right: Vec<(&str, Style)> = right
        .iter()
        .map(|(text, style)| (text.as_str(), *style))
        .collect();
    pen.pieces(area.right() - right_width, area.y, right_width, &right);

    let room = area.width.saturating_sub(right_width + 1);
    let mut left = place(pen, state, Wording::Full, room);
    for wording in [Wording::Short, Wording::Bare] {
        if width_of(&left) > usize::from(room) {
            left = place(pen, state, wording, room);
        }
    }
    // Half a number would be another one.
    while width_of(&left) > usize::from(room) && left.len() > BARE_PIECES {
        left.pop();
    }
    let left: Vec<(&str, Style)> = left.iter().map(|(text, style)| (text.as_str(), *style)).collect();
    pen.pieces(area.x, area.y, room, &left);
}

fn width_of(pieces: &[(String, Style)]) -> usize {
    pieces.iter().map(|(text, _)| display_width(text)).sum()
}

/// How much is said of what the marks and their order say already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wording {
    Full,
    Short,
    /// Without the name of the program, and of one machine without that of the aggregator.
    Bare,
}

/// Of the barest wording the pieces that say where the person is.
const BARE_PIECES: usize = 1;

/// Where the person is, and the counts or facts that belong there.
fn place(pen: &Pen<'_>, state: &State, wording: Wording, room: u16) -> Vec<(String, Style)> {
    let bar = pen.theme.bar();
    let title = bar.add_modifier(ratatui::style::Modifier::BOLD);
    let quiet = pen.theme.on_bar(pen.theme.quiet());
    let arrow = pen.pick("▸", ">");
    let mut pieces = vec![
        (" sysmon ".into(), title),
        (format!("{arrow} {}", state.source_name), bar),
    ];
    if wording == Wording::Bare {
        let name = match &state.view {
            View::Fleet => return bare_fleet(pen, state),
            View::Alerts => "alerts",
            View::Rules => "rules",
            View::Machine(id) => id,
        };
        return vec![(format!(" {name}"), title)];
    }
    match &state.view {
        View::Fleet => {
            pieces.push(("   ".into(), bar));
            pieces.extend(counts(pen, state, wording));
        }
        View::Alerts => pieces.push((format!(" {arrow} alerts"), title)),
        View::Rules => pieces.push((format!(" {arrow} rules"), title)),
        View::Machine(id) => {
            if **id != *state.source_name {
                pieces.push((format!(" {arrow} {id}"), title));
            }
            if let Some(machine) = state.shown_machine() {
                let left = usize::from(room).saturating_sub(width_of(&pieces) + 3);
                let facts = as_many_as_fit(facts(machine).into_iter(), pen.pick(" · ", ", "), left);
                pieces.push((format!("   {facts}"), quiet));
            }
        }
    }
    pieces
}

fn bare_fleet(pen: &Pen<'_>, state: &State) -> Vec<(String, Style)> {
    let bar = pen.theme.bar();
    let mut pieces = vec![(format!(" {}", state.source_name), bar), ("  ".into(), bar)];
    pieces.extend(counts(pen, state, Wording::Short));
    pieces
}

fn counts(pen: &Pen<'_>, state: &State, wording: Wording) -> Vec<(String, Style)> {
    let totals = state.fleet.totals();
    let all = totals.live + totals.stale + totals.lost;
    let bar = pen.theme.bar();
    if all == 0 {
        return Vec::new();
    }
    let noun = if all == 1 { "machine" } else { "machines" };
    // On a narrow screen the states matter more than the word.
    let noun = if wording == Wording::Short { "" } else { noun };
    let mut pieces = vec![(format!("{} {noun}", words::count(all.into())), bar)];
    pieces.push((if noun.is_empty() { "" } else { "  " }.into(), bar));
    let states = [
        // The worst first: what is cut off at the end is what is well.
        (totals.lost, Liveness::Lost, Health::Unknown),
        (totals.critical, Liveness::Live, Health::Critical),
        (totals.warning, Liveness::Live, Health::Warning),
        (totals.stale, Liveness::Stale, Health::Unknown),
        (totals.healthy, Liveness::Live, Health::Healthy),
    ];
    for (count, liveness, health) in states.into_iter().filter(|(count, _, _)| *count > 0) {
        let mark = pen.theme.glyphs.mark(liveness, health);
        pieces.push((
            format!("{mark}{} ", words::count(count.into())),
            pen.theme.on_bar(pen.theme.mark(liveness, health)),
        ));
    }
    pieces
}

fn facts(machine: &Machine) -> Vec<String> {
    let host = &machine.host;
    let mut facts = Vec::new();
    if !host.os.is_empty() {
        facts.push(
            host.os
                .replace("GNU/Linux ", "")
                .split(" (")
                .next()
                .unwrap_or_default()
                .to_owned(),
        );
    }
    if host.cpu_count > 0 {
        facts.push(format!(
            "{} {}",
            host.cpu_count,
            if host.cpu_count == 1 { "core" } else { "cores" }
        ));
    }
    if host.memory_bytes > 0 {
        facts.push(format_value(host.memory_bytes as f64, Unit::Bytes));
    }
    if let Some(uptime) = machine.recent.value(sysmon_core::MetricId::Uptime) {
        facts.push(format!("up {}", format_duration(uptime.max(0.0) as u64)));
    }
    if let Some(burst_ms) = burst_ms(machine) {
        facts.push(format!("burst {burst_ms} ms"));
    }
    facts
}

/// Draws the line at the bottom; returns where the cursor belongs when a line is being typed.
pub(super) fn footer(pen: &mut Pen<'_>, area: Rect, state: &State) -> Option<Position> {
    if area.height == 0 {
        return None;
    }
    let row = Rect {
        x: area.x + 1,
        width: area.width.saturating_sub(2),
        ..area
    };
    pen.clear(area);
    if let Some(prompt) = &state.prompt {
        if prompt.kind == PromptKind::Machines {
            return Some(super::fleet::prompt::prompt(pen, area, state, prompt));
        }
        return Some(typed(pen, row, state, prompt));
    }
    if let Some(choosing) = state.choosing {
        choices(pen, row, state, choosing);
    } else if let Some(notice) = &state.notice {
        let style = pen.theme.warning();
        pen.text(row.x, row.y, row.width, &notice.text, style);
    } else if layout::has_hints(state) {
        hints(pen, row, state);
    } else if state.console.palette.is_some() {
        // It has its keys in its own frame.
    } else if let Link::Down {
        reason, permanent, ..
    } = &state.link
    {
        let style = if *permanent {
            pen.theme.critical()
        } else {
            pen.theme.warning()
        };
        pen.text(row.x, row.y, row.width, reason, style);
    }
    None
}

/// The line that is being typed; returns where the cursor belongs.
fn typed(pen: &mut Pen<'_>, row: Rect, state: &State, prompt: &Prompt) -> Position {
    let count = match &prompt.kind {
        PromptKind::Machines => Some(state.fleet_table.match_count()),
        PromptKind::Processes => Some(state.process_table.rows().len()),
        PromptKind::Alerts => Some(state.alerts.list.match_count()),
        PromptKind::Rules => Some(state.alerts.rules.rows().len()),
        PromptKind::Acknowledge(_)
        | PromptKind::SaveFilter(_)
        | PromptKind::Interval(_)
        | PromptKind::Help
        | PromptKind::Export
        | PromptKind::Moment => None,
    };
    let (label, help) = match (&prompt.kind, count) {
        (PromptKind::Acknowledge(key), _) => {
            let what = state.alerts.board.title(&key.rule);
            (
                format!("acknowledge {what} on {}: ", key.machine),
                "   Enter does it  Esc leaves".to_owned(),
            )
        }
        (PromptKind::Export, _) => (
            "write into ".to_owned(),
            "   .csv .json .txt  Enter writes  Esc leaves".to_owned(),
        ),
        (PromptKind::Help, _) => ("/".to_owned(), "   Enter keep  Esc undo".to_owned()),
        (PromptKind::SaveFilter(_), _) => (
            "save the filter as: ".to_owned(),
            "   a short name  Esc leaves".to_owned(),
        ),
        (PromptKind::Interval(machines), _) => {
            let (what, whose) = match machines.as_slice() {
                [machine] => (format!("{machine} measures"), "its"),
                machines => (format!("{} machines measure", machines.len()), "their"),
            };
            (
                format!("{what} every: "),
                format!("   1s, 30s, 5m; default for {whose} own  Esc leaves"),
            )
        }
        (PromptKind::Moment, _) => (
            "go to: ".to_owned(),
            match &state.travel.typed_wrong {
                Some(reason) => format!("   {reason}"),
                None => format!("   {}", crate::moment::UNDERSTOOD),
            },
        ),
        (_, count) => (
            "/".to_owned(),
            format!("   {} match   Enter keep  Esc undo", count.unwrap_or(0)),
        ),
    };
    // Half of the line at most tells what it is for.
    let label = sysmon_core::clip(&label, usize::from(row.width / 2));
    let (accent, text, quiet) = (pen.theme.accent(), pen.theme.text(), pen.theme.quiet());
    let pieces = [(&*label, accent), (prompt.field.text(), text), (&help, quiet)];
    pen.pieces(row.x, row.y, row.width, &pieces);
    let before = display_width(&label) + display_width(prompt.field.before_cursor());
    let before = u16::try_from(before).unwrap_or(u16::MAX);
    Position::new(row.x.saturating_add(before).min(row.right()), row.y)
}

/// What is in force: marks, groups, filter; returns the column behind it.
fn in_force(pen: &mut Pen<'_>, row: Rect, state: &State, filter: &str) -> u16 {
    let (key, word) = (pen.theme.accent(), pen.theme.quiet());
    let mut x = row.x;
    if state.view == View::Fleet && state.overlay.is_none() {
        x = super::fleet::footing(pen, row, state);
    }
    if !filter.is_empty() {
        let matching = layout::matching(state);
        let pieces = [
            ("/", key),
            (filter, pen.theme.text()),
            (&matching, word),
            ("Esc ", key),
            (layout::CLEARS, word),
        ];
        x = pen.pieces(x, row.y, row.right().saturating_sub(x), &pieces);
    }
    x
}

fn hints(pen: &mut Pen<'_>, row: Rect, state: &State) {
    let (key, word) = (pen.theme.accent(), pen.theme.quiet());
    let x = in_force(pen, row, state, filter_in_force(state));
    for hint in layout::hints(row, x, state) {
        let room = row.right().saturating_sub(hint.x);
        let pieces = [(&*hint.keys, key), (" ", word), (hint.word, word)];
        pen.pieces(hint.x, row.y, room, &pieces);
    }
}

fn choices(pen: &mut Pen<'_>, row: Rect, state: &State, choosing: Choosing) {
    let choices = choose::choices(state, choosing);
    let verb = match choosing {
        Choosing::Sort => "sort by ",
        Choosing::Metric => "threshold of ",
        Choosing::Copy => "copy ",
    };
    let (accent, quiet, text) = (pen.theme.accent(), pen.theme.quiet(), pen.theme.text());
    let leaves = "leaves";
    let width_of = |verb: &str, gap: usize| {
        let choices = choices.iter();
        let names: usize = choices.map(|(_, name, _)| 2 + display_width(name) + gap).sum();
        display_width(verb) + names + "Esc ".len() + leaves.len()
    };
    // Every choice is on screen where there is any way: first the gaps give way, then the verb.
    let room = usize::from(row.width);
    let (verb, gap) = [(verb, "  "), (verb, " "), ("", " ")]
        .into_iter()
        .find(|(verb, gap)| width_of(verb, gap.len()) <= room)
        .unwrap_or(("", " "));
    let mut x = pen.text(row.x, row.y, row.width, verb, text);
    for (key, name, is_current) in &choices {
        let room = row.right().saturating_sub(x);
        let style = if *is_current { text } else { quiet };
        let key = key.to_string();
        let pieces = [(key.as_str(), accent), (" ", quiet), (*name, style), (gap, quiet)];
        x = pen.pieces(x, row.y, room, &pieces);
    }
    let room = row.right().saturating_sub(x);
    if usize::from(room) >= "Esc ".len() + leaves.len() {
        pen.pieces(x, row.y, room, &[("Esc ", accent), (leaves, quiet)]);
    } else if width_of(verb, gap.len()) > usize::from(row.width) + "Esc ".len() + leaves.len() {
        let dots = pen.pick("…", "...");
        pen.right(row.x, row.y, row.width, dots, quiet);
    }
}
