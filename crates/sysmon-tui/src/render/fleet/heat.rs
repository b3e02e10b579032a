//! The heat map: a cell per machine. The hue tells the state, the shade the number that the fleet is sorted by.

use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use sysmon_api::Machine;
use sysmon_core::{Health, Liveness, MetricId, format_age};

use super::super::note;
use super::super::pen::Pen;
use super::cells::{troubles, value_text};
use super::{empty, groups};
use crate::glyphs::Glyphs;
use crate::layout::HeatRegions;
use crate::state::State;
use crate::state::fleet::columns::metric_heading;
use crate::state::fleet::heat::HeatLine;
use crate::state::fleet::order::{badness, share_of_full};
use crate::theme::Theme;

/// Shades without colour, the lightest first.
const SHADES: [char; 5] = ['·', '░', '▒', '▓', '█'];
const SHADES_ASCII: [char; 5] = ['.', ':', '-', '=', '%'];

/// Draws the map.
pub(in crate::render) fn heat_map(pen: &mut Pen<'_>, regions: &HeatRegions, state: &State) {
    let table = &state.fleet_table;
    if table.is_windowed() {
        let words = pen.pick(
            "all machines are on their way…",
            "all machines are on their way...",
        );
        note(pen, regions.map, words);
        return;
    }
    if table.match_count() == 0 {
        empty(pen, regions.map, state);
        return;
    }
    let look = Look {
        state,
        measure: Measure::of(state),
    };
    let visible = regions.lines.iter().skip(table.heat_offset);
    for (y, line) in (regions.map.y..regions.map.bottom()).zip(visible) {
        match *line {
            HeatLine::Heading(group) => heading(pen, regions, y, group, state),
            HeatLine::Cells { first, count, lower } => {
                cells(pen, regions, y, (first, count, lower), &look);
            }
        }
    }
    let machines = table.machines();
    let under_cursor = table.heat_place().and_then(|place| machines.get(place));
    if let Some(machine) = under_cursor.and_then(|number| state.fleet.machine(*number)) {
        name(pen, regions.name, machine, state);
    }
    legend(pen, regions.legend, &look.measure);
}

/// What cells are drawn from.
struct Look<'a> {
    state: &'a State,
    measure: Measure,
}

fn heading(pen: &mut Pen<'_>, regions: &HeatRegions, y: u16, group: usize, state: &State) {
    let Some(group) = state.fleet_table.grouping.groups().get(group) else {
        return;
    };
    let title = pen.theme.title();
    let width = regions.map.width;
    let x = pen.text(regions.map.x, y, width, groups::name(group), title);
    let totals = groups::totals(pen, group, state);
    let pieces: Vec<(&str, Style)> = totals
        .iter()
        .map(|(text, style)| (text.as_str(), *style))
        .collect();
    pen.pieces(x, y, regions.map.right().saturating_sub(x), &pieces);
}

/// A line of cells: how many machines from which place on, and how many in lower halves.
fn cells(
    pen: &mut Pen<'_>,
    regions: &HeatRegions,
    y: u16,
    (first, count, lower): (usize, usize, usize),
    look: &Look<'_>,
) {
    let table = &look.state.fleet_table;
    let machine = |place: usize| {
        let number = table.machines().get(place)?;
        look.state.fleet.machine(*number)
    };
    let columns = (regions.map.x..regions.map.right()).step_by(regions.grid.cell_width.into());
    for (x, column) in columns.zip(0..count) {
        let (above, below) = (first + column, first + count + column);
        let under = (column < lower).then(|| machine(below)).flatten();
        let at = match table.heat_place() {
            Some(place) if place == above => At::Upper,
            Some(place) if place == below && column < lower => At::Lower,
            _ => At::Neither,
        };
        if let Some(upper) = machine(above) {
            cell(pen, regions, (x, y), (upper, under), at, look);
        }
    }
}

/// The number that shades tell, and how large it can be.
struct Measure {
    metric: MetricId,
    /// The largest of all machines, for numbers that have no scale of their own.
    largest: Option<f64>,
}

impl Measure {
    fn of(state: &State) -> Self {
        let metric = state.fleet_table.measure();
        let has_scale = metric.definition().unit == sysmon_core::Unit::Percent
            || matches!(metric, MetricId::Load1 | MetricId::Load5 | MetricId::Load15);
        let largest = || {
            let numbers = state.fleet_table.machines().iter();
            let values = numbers.filter_map(|number| state.fleet.machine(*number)?.recent.value(metric));
            values.fold(0.0, f64::max)
        };
        Self {
            metric,
            largest: (!has_scale).then(largest),
        }
    }

    /// From nothing to all of it; `None` for a machine of which it is not known.
    fn share(&self, machine: &Machine) -> Option<f64> {
        if machine.liveness == Liveness::Lost {
            return None;
        }
        let value = machine.recent.value(self.metric)?;
        Some(share_of_full(self.metric, value, machine).unwrap_or_else(|| {
            let largest = self.largest.filter(|largest| *largest > 0.0);
            largest.map_or(0.0, |largest| (value / largest).clamp(0.0, 1.0))
        }))
    }
}

/// Which of the machines of a cell the cursor is on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Neither,
    Upper,
    Lower,
}

fn cell(
    pen: &mut Pen<'_>,
    regions: &HeatRegions,
    (x, y): (u16, u16),
    (upper, lower): (&Machine, Option<&Machine>),
    at: At,
    look: &Look<'_>,
) {
    let stale = !look.state.is_live();
    let accent = pen.theme.accent();
    if regions.grid.is_halved {
        let of = |machine: &Machine, is_cursor: bool| match accent.fg {
            Some(accent) if is_cursor => accent,
            _ => colour(pen.theme, machine, &look.measure, stale),
        };
        let above = of(upper, at == At::Upper);
        let style = match lower {
            Some(lower) => Style::new().fg(above).bg(of(lower, at == At::Lower)),
            None => pen.theme.text().fg(above),
        };
        pen.put(x, y, '▀', style);
        return;
    }
    pen.set_stale(stale);
    let mark = pen.theme.glyphs.mark(upper.liveness, upper.health);
    let mark = mark.chars().next().unwrap_or(' ');
    let state = pen.theme.mark(upper.liveness, upper.health);
    // Shades need a colour that can be made darker; where there is none, characters tell how much.
    let is_smooth = matches!(state.fg, Some(Color::Rgb(..))) && pen.theme.glyphs != Glyphs::Ascii;
    let shade = shade(pen.theme.glyphs, look.measure.share(upper));
    let (character, fill, style) = match (at, is_smooth, badness(upper) > 0) {
        (At::Neither, true, is_bad) => {
            let colour = colour(pen.theme, upper, &look.measure, false);
            // What is not well is told by its mark too, dark on its colour.
            if is_bad {
                (mark, ' ', Style::new().fg(Color::Black).bg(colour))
            } else {
                ('█', '█', state.fg(colour))
            }
        }
        (At::Neither, false, true) => (mark, ' ', state),
        (At::Neither, false, false) => (shade, shade, state),
        _ => (
            mark,
            ' ',
            accent.add_modifier(Modifier::REVERSED | Modifier::BOLD),
        ),
    };
    let is_marked = look.state.fleet_table.marks.contains(&upper.id);
    let style = if is_marked {
        style.add_modifier(Modifier::UNDERLINED)
    } else {
        style
    };
    pen.put(x, y, character, style);
    if regions.grid.cell_width >= 3 {
        pen.put(x + 1, y, fill, style);
    }
    pen.set_stale(false);
}

/// A shade as a character; nothing is known where it is the lightest.
fn shade(glyphs: Glyphs, share: Option<f64>) -> char {
    let shades = if glyphs == Glyphs::Ascii {
        SHADES_ASCII
    } else {
        SHADES
    };
    let steps = shades.len() - 1;
    let step = share.map_or(0, |share| (share * steps as f64).round() as usize);
    shades[step.min(steps)]
}

/// How many strengths of a colour there are.
const STRENGTHS: f64 = 10.0;

/// The colour of the state, the stronger the more of the number there is.
fn colour(theme: &Theme, machine: &Machine, measure: &Measure, is_stale: bool) -> Color {
    let style = if is_stale {
        theme.stale()
    } else {
        theme.mark(machine.liveness, machine.health)
    };
    let colour = style.fg.unwrap_or(Color::Reset);
    let Color::Rgb(red, green, blue) = colour else {
        return colour;
    };
    // Bad machines stand out however little they do.
    let least = if badness(machine) > 0 { 0.75 } else { 0.28 };
    // In steps that an eye tells apart: every other change would be bytes for nothing.
    let share = (measure.share(machine).unwrap_or(0.0) * STRENGTHS).round() / STRENGTHS;
    let strength = least + (1.0 - least) * share;
    let is_dark = match theme.text().fg {
        Some(Color::Rgb(red, green, blue)) => u32::from(red) + u32::from(green) + u32::from(blue) > 384,
        _ => true,
    };
    // Weak is close to the background, which is dark or light.
    let ground = if is_dark { 24.0 } else { 232.0 };
    let mix = |channel: u8| {
        let mixed = ground + (f64::from(channel) - ground) * strength;
        mixed.round().clamp(0.0, 255.0) as u8
    };
    Color::Rgb(mix(red), mix(green), mix(blue))
}

/// Name and numbers of a machine in a line.
fn name(pen: &mut Pen<'_>, area: Rect, machine: &Machine, state: &State) {
    let (quiet, text) = (pen.theme.quiet(), pen.theme.text());
    let mark = pen.theme.glyphs.mark(machine.liveness, machine.health);
    let mark_style = pen.theme.mark(machine.liveness, machine.health);
    let title = pen.theme.title();
    let mut pieces: Vec<(String, Style)> =
        vec![(format!("{mark} "), mark_style), (machine.id.to_string(), title)];
    let measure = state.fleet_table.measure();
    let mut metrics = vec![measure];
    metrics.extend(
        [MetricId::CpuBusy, MetricId::MemoryUsedPercent, MetricId::Load1]
            .into_iter()
            .filter(|metric| *metric != measure),
    );
    // Of a machine that is lost nothing is current.
    let is_lost = machine.liveness == Liveness::Lost;
    for metric in metrics.into_iter().filter(|_| !is_lost) {
        if let Some(value) = machine.recent.value(metric) {
            let heading = metric_heading(metric).1.to_lowercase();
            pieces.push((format!("  {heading} "), quiet));
            pieces.push((value_text(value, metric), text));
        }
    }
    pieces.push((format!("  {}", format_age(state.age_ms(machine))), quiet));
    for (words, health) in troubles(pen, machine, state, false) {
        pieces.push(("  ".into(), quiet));
        pieces.push((words, pen.theme.value(health)));
    }
    for (label, value) in &machine.host.labels {
        pieces.push((format!("  {label}={value}"), quiet));
    }
    let pieces: Vec<(&str, Style)> = pieces
        .iter()
        .map(|(text, style)| (text.as_str(), *style))
        .collect();
    pen.pieces(area.x + 1, area.y, area.width.saturating_sub(2), &pieces);
}

/// What hues and shades mean.
fn legend(pen: &mut Pen<'_>, area: Rect, measure: &Measure) {
    if area.height == 0 {
        return;
    }
    let quiet = pen.theme.quiet();
    let states = [
        (Liveness::Live, Health::Healthy, Health::Healthy.word()),
        (Liveness::Live, Health::Warning, Health::Warning.word()),
        (Liveness::Live, Health::Critical, Health::Critical.word()),
        // As the table says in its last column, and the line above.
        (Liveness::Stale, Health::Unknown, "late"),
        (Liveness::Lost, Health::Unknown, "no data"),
    ];
    let mut pieces: Vec<(String, Style)> = Vec::new();
    for (liveness, health, word) in states {
        let mark = pen.theme.glyphs.mark(liveness, health);
        pieces.push((mark.to_owned(), pen.theme.mark(liveness, health)));
        pieces.push((format!(" {word}  "), quiet));
    }
    let heading = metric_heading(measure.metric).1.to_lowercase();
    let top = match measure.largest {
        Some(largest) => format!(" up to {}", value_text(largest, measure.metric)),
        None => String::new(),
    };
    pieces.push((format!("shade {heading}{top}"), quiet));
    let pieces: Vec<(&str, Style)> = pieces
        .iter()
        .map(|(text, style)| (text.as_str(), *style))
        .collect();
    pen.pieces(area.x + 1, area.y, area.width.saturating_sub(2), &pieces);
}
