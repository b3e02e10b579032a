//! The past on screen: the bar that says so, the moment's line through the charts, and the other day beside them.

use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use sysmon_core::{Gap, SeriesKey, UnixMillis, display_width, format_age};

use super::pen::Pen;
use crate::axis::{Axis, Slice};
use crate::layout::SCALE_WIDTH;
use crate::state::travel::Trip;
use crate::state::travel::compare::{Shift, shifted};
use crate::state::{Link, State, View};
use crate::words;

/// Draws the bar at the top while the past is on screen.
pub(super) fn header(pen: &mut Pen<'_>, area: Rect, state: &State, trip: &Trip) {
    let bar = pen.theme.past();
    pen.overlay(area, bar);
    let right = now(pen, state);
    let right_width = u16::try_from(display_width(&right)).unwrap_or(u16::MAX);
    let bold = bar.add_modifier(Modifier::BOLD);
    let mut pieces = vec![(" PAST ".to_owned(), bold)];
    let note = note(pen, state, trip);
    if trip.shown.is_some() {
        pieces.push((moment(state, trip), bold));
        pieces.push((format!(" ({} ago)", age(state, trip)), bar));
        pieces.push((playing(pen, trip), bar));
    } else {
        // Nothing on screen is of that moment yet, and grey alone does not say so.
        pieces.push(("(now still shown)".to_owned(), bold));
    }
    if !note.is_empty() {
        let gap = if trip.shown.is_some() { "  " } else { " " };
        pieces.push((format!("{gap}{note}"), bar));
    }
    pieces.push((format!("   {}", place(pen, state)), bar));
    let needed: usize = pieces.iter().map(|(text, _)| display_width(text)).sum();
    // What time it is matters less than anything that is said of the moment.
    let has_room = usize::from(area.width) > needed + usize::from(right_width)
        || matches!(state.link, Link::Down { .. });
    let room = area.width - if has_room { right_width.min(area.width) } else { 0 };
    let pieces: Vec<(&str, Style)> = pieces
        .iter()
        .map(|(text, style)| (text.as_str(), *style))
        .collect();
    pen.pieces(area.x, area.y, room, &pieces);
    if has_room {
        pen.right(area.x, area.y, area.width, &right, bar);
    }
}

/// The moment on screen, or the one that is awaited as long as there is none.
fn moment(state: &State, trip: &Trip) -> String {
    clock(state, trip.moment())
}

/// A moment to the second, with its day when that was not today.
fn clock(state: &State, at: UnixMillis) -> String {
    let day = |at| words::local(at, state.utc_offset_seconds, "%F");
    let form = if day(at) == day(state.live_now()) {
        "%H:%M:%S"
    } else {
        "%-d %b %H:%M:%S"
    };
    words::local(at, state.utc_offset_seconds, form)
}

fn age(state: &State, trip: &Trip) -> String {
    words::duration(state.live_now().since_ms(trip.moment()) / 1_000 * 1_000)
}

/// Whether it plays, and how fast; a mark of two bars while it stands still.
fn playing(pen: &Pen<'_>, trip: &Trip) -> String {
    let times = format!("{}{}", trip.speed.times(), pen.pick("×", "x"));
    if trip.is_playing {
        format!("  {} {times}", pen.pick("▶", ">"))
    } else if trip.speed.times() > 1 {
        format!("  {} {times}", pen.pick("‖", "||"))
    } else {
        String::new()
    }
}

/// What the picture lacks.
fn note(pen: &Pen<'_>, state: &State, trip: &Trip) -> String {
    if let Some(problem) = &trip.problem {
        return problem.clone();
    }
    if trip.is_loading() && state.link == Link::Live {
        let goal = clock(state, trip.goal);
        let dots = if trip.shown.is_some() {
            pen.pick("…", "...")
        } else {
            ""
        };
        return format!("loading {goal}{dots}");
    }
    state
        .gap_at_moment()
        .filter(|_| state.width >= 100)
        .map_or_else(String::new, |gap| no_data(state, &gap))
}

/// Why a machine says nothing at the moment on screen.
pub(super) fn no_data(state: &State, gap: &Gap) -> String {
    let at = |at| words::moment(state, at, state.live_now());
    format!("no data: silent from {} to {} (gap)", at(gap.from), at(gap.to))
}

/// What is said where alerts would be, and there are none.
pub(super) fn nothing_wrong(state: &State) -> String {
    let at = words::moment(state, state.aggregator_now(), state.live_now());
    let log = state.travel.trip.as_ref().map(|trip| &trip.log);
    if log.is_some_and(|log| log.covers(state.aggregator_now())) {
        format!("Nothing was wrong at {at}.")
    } else if log.is_some_and(|log| log.is_closed) {
        "What was wrong then is not known: the log cannot be read.".to_owned()
    } else {
        "loading…".to_owned()
    }
}

fn place(pen: &Pen<'_>, state: &State) -> String {
    let arrow = pen.pick("▸", ">");
    let source = &state.source_name;
    match &state.view {
        View::Fleet => {
            let totals = state.fleet.totals();
            let all = totals.live + totals.stale + totals.lost;
            let noun = if all == 1 { "machine" } else { "machines" };
            let critical = totals.critical + totals.lost;
            let bad = if critical > 0 {
                format!(", {critical} critical or lost")
            } else {
                String::new()
            };
            format!("{source} {arrow} {all} {noun}{bad}")
        }
        View::Machine(id) if **id == *state.source_name => source.clone(),
        View::Machine(id) => format!("{source} {arrow} {id}"),
        View::Alerts => format!("{source} {arrow} alerts"),
        View::Rules => format!("{source} {arrow} rules, as they are now"),
    }
}

/// What is not of the moment: the time now, and whether there still is a connection.
fn now(pen: &Pen<'_>, state: &State) -> String {
    match &state.link {
        Link::Down { since, .. } => {
            let age = format_age(state.now.since_ms(*since));
            format!(" {} reconnecting {age} ", pen.pick("✕", "x"))
        }
        Link::Connecting | Link::Live => {
            format!(
                "  now {} ",
                words::local(state.now, state.utc_offset_seconds, "%H:%M:%S")
            )
        }
    }
}

/// Draws the line of the moment through a chart.
pub(super) fn cursor(pen: &mut Pen<'_>, chart: Rect, axis: &Axis, state: &State) {
    let Some(x) = cursor_column(pen, chart, axis, state) else {
        return;
    };
    let line = pen.pick("│", "!").chars().next().unwrap_or('!');
    let (bright, selected) = (pen.theme.title(), pen.theme.selected());
    for y in chart.y..chart.bottom() {
        if pen.glyph(x, y) == ' ' {
            pen.put(x, y, line, bright);
        } else {
            let cell = Rect::new(x, y, 1, 1);
            pen.overlay(cell, bright);
            pen.overlay(cell, selected);
        }
    }
}

/// The column of the moment in a chart.
pub(super) fn cursor_column(pen: &Pen<'_>, chart: Rect, axis: &Axis, state: &State) -> Option<u16> {
    let trip = state.travel.trip.as_ref()?;
    // Where the person is going, so that the line follows the hand at once.
    let slice = axis.slice_of(trip.goal)?;
    let cell = u16::try_from(slice / pen.theme.glyphs.points_per_cell()).ok()?;
    let x = chart.x.checked_add(SCALE_WIDTH)?.checked_add(cell)?;
    (x < chart.right()).then_some(x)
}

/// A chart's series on the other day, slice by slice under the one on screen.
pub(super) fn other_day(state: &State, machine: &str, key: &SeriesKey, axis: &Axis) -> Vec<Option<Slice>> {
    let track = state.other_day(machine, key);
    track.map_or_else(Vec::new, |track| {
        shifted(*axis, state.travel.comparison.shift).slices(&track)
    })
}

/// Draws the other day as a thin line of means over a chart, and says what it is.
pub(super) fn ghost(
    pen: &mut Pen<'_>,
    chart: Rect,
    slices: &[Option<Slice>],
    full: f64,
    state: &State,
    machine: &str,
) {
    let comparison = &state.travel.comparison;
    if comparison.shift == Shift::Off || chart.width <= SCALE_WIDTH || chart.height == 0 {
        return;
    }
    let glyphs = pen.theme.glyphs;
    let levels = glyphs.levels_per_cell();
    let total = chart.height * levels;
    let level = |slice: Slice| {
        let share = (slice.mean / full).clamp(0.0, 1.0);
        share
            .is_finite()
            .then_some(((share * f64::from(total)).round() as u16).clamp(1, total))
    };
    let style = pen.theme.quiet();
    let plot_x = chart.x + SCALE_WIDTH;
    for (x, cell) in (plot_x..chart.right()).zip(slices.chunks(glyphs.points_per_cell())) {
        let points = [cell.first(), cell.get(1)].map(|point| point.copied().flatten().and_then(level));
        for row in 0..chart.height {
            let below = row * levels;
            let inside = |level: Option<u16>| {
                level
                    .filter(|level| *level > below && *level <= below + levels)
                    .map_or(0, |level| level - below)
            };
            let (left, right) = (inside(points[0]), inside(points[1]));
            if left + right == 0 {
                continue;
            }
            let y = chart.bottom() - 1 - row;
            let before = pen.glyph(x, y);
            let is_covered = y > chart.y && glyphs.is_filled(pen.glyph(x, y - 1));
            if !glyphs.is_filled(before) {
                pen.put(x, y, glyphs.dots(left, right), style);
            } else if let Some(glyph) = glyphs.lined(before, left, right, is_covered) {
                pen.replace(x, y, glyph);
            }
        }
    }
    legend(pen, chart, state, machine, slices);
}

fn legend(pen: &mut Pen<'_>, chart: Rect, state: &State, machine: &str, slices: &[Option<Slice>]) {
    let comparison = &state.travel.comparison;
    let name = comparison.shift.name();
    let is_known = comparison.answer_for(machine).is_some();
    let text = match &comparison.failure {
        Some((reason, _)) => format!("{name}: {reason}"),
        None if !is_known => format!("{name}: loading{}", pen.pick("…", "...")),
        None if slices.iter().all(Option::is_none) => format!("{name}: no samples"),
        None => format!("{} {name}", pen.pick("⠒⠒", "''")),
    };
    let text = format!(" {text} ");
    let style = pen.theme.quiet();
    let room = chart.width - SCALE_WIDTH;
    pen.right(chart.x + SCALE_WIDTH, chart.y, room, &text, style);
}
