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
use crate::state::fleet::heat::{HeatLine, position};
use crate::state::fleet::order::{badness, share_of_full};
use crate::theme::Theme;

/// Shades without colour, the lightest first.
const SHADES: [char; 5] = ['·', '░', '▒', '▓', '█'];
const SHADES_ASCII: [char; 5] = ['.', ':', '-', '=', '%'];

/// Draws the map.
pub(in crate::render) fn heat_map(pen: &mut Pen<'_>, regions: &HeatRegions, state: &State) {
    let table = &state.fleet_table;
    if table.is_windowed() {
        let words = pen.pick("all machines are on their way…", "all machines are on their way...");
        note(pen, regions.map, words);
        return;
    }
    if table.match_count() == 0 {
        empty(pen, regions.map, state);
        return;
    }
    let measure = Measure::of(state);
    let visible = regions.lines.iter().enumerate().skip(table.heat_offset);
    for (y, (_, line)) in (regions.map.y..regions.map.bottom()).zip(visible) {
        match *line {
            HeatLine::Heading(group) => {
                if let Some(group) = table.grouping.groups().get(group) {
                    let title = pen.theme.title();
                    let width = regions.map.width;
                    let x = pen.text(regions.map.x, y, width, groups::name(group), title);
                    let totals = groups::totals(pen, group, state);
                    let pieces: Vec<(&str, Style)> =
                        totals.iter().map(|(text, style)| (text.as_str(), *style)).collect();
                    pen.pieces(x, y, regions.map.right().saturating_sub(x), &pieces);
                }
            }
            HeatLine::Cells { first, count, lower } => {
                let machines = table.machines();
                let machine = |place: usize| machines.get(place).and_then(|number| state.fleet.machine(*number));
                let columns = (regions.map.x..regions.map.right()).step_by(regions.grid.cell_width.into());
                for (x, column) in columns.zip(0..count) {
                    let upper = machine(first + column);
                    let below = (column < lower).then(|| machine(first + count + column)).flatten();
                    if let Some(upper) = upper {
                        cell(pen, regions, (x, y), (upper, below), &measure, state);
                    }
                }
            }
        }
    }
    cursor(pen, regions, state);
    legend(pen, regions.legend, &measure);
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

fn cell(
    pen: &mut Pen<'_>,
    regions: &HeatRegions,
    (x, y): (u16, u16),
    (upper, lower): (&Machine, Option<&Machine>),
    measure: &Measure,
    state: &State,
) {
    let stale = !state.is_live();
    if regions.grid.is_halved {
        let above = colour(pen.theme, upper, measure, stale);
        let style = match lower {
            Some(lower) => Style::new().fg(above).bg(colour(pen.theme, lower, measure, stale)),
            None => pen.theme.text().fg(above),
        };
        pen.put(x, y, '▀', style);
        return;
    }
    pen.set_stale(stale);
    let is_marked = state.fleet_table.marks.contains(&upper.id);
    let mark = pen.theme.glyphs.mark(upper.liveness, upper.health);
    let is_bad = badness(upper) > 0;
    // Shades need a colour that can be made darker; where there is none, characters tell how much.
    let shaded = pen.theme.mark(upper.liveness, upper.health);
    let is_smooth = matches!(shaded.fg, Some(Color::Rgb(..)));
    let mut style = if is_smooth {
        shaded.fg(colour(pen.theme, upper, measure, false))
    } else {
        shaded
    };
    let character = if is_bad {
        mark.chars().next().unwrap_or(' ')
    } else if is_smooth && pen.theme.glyphs != Glyphs::Ascii {
        '■'
    } else {
        shade(pen.theme.glyphs, measure.share(upper))
    };
    if is_marked {
        style = style.add_modifier(Modifier::UNDERLINED);
    }
    pen.put(x, y, character, style);
    if regions.grid.cell_width >= 3 {
        // Wide cells are filled, as far as a character of the same shape stands beside itself.
        let is_filled = !is_bad && !is_smooth;
        pen.put(x + 1, y, if is_filled { character } else { ' ' }, style);
    }
    pen.set_stale(false);
}

/// A shade as a character; nothing is known where it is the lightest.
fn shade(glyphs: Glyphs, share: Option<f64>) -> char {
    let shades = if glyphs == Glyphs::Ascii { SHADES_ASCII } else { SHADES };
    let steps = shades.len() - 1;
    let step = share.map_or(0, |share| (share * steps as f64).round() as usize);
    shades[step.min(steps)]
}

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
    let strength = least + (1.0 - least) * measure.share(machine).unwrap_or(0.0);
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

/// Marks the machine under the cursor and names it.
fn cursor(pen: &mut Pen<'_>, regions: &HeatRegions, state: &State) {
    let table = &state.fleet_table;
    let place = table.heat_place();
    let Some((place, machine)) = place.and_then(|place| {
        let number = table.machines().get(place)?;
        Some((place, state.fleet.machine(*number)?))
    }) else {
        return;
    };
    if let Some((line, column, is_lower)) = position(&regions.lines, place)
        && let Some(row) = line.checked_sub(table.heat_offset)
        && row < usize::from(regions.map.height)
    {
        let cell = regions.grid.cell_width;
        let x = regions.map.x + u16::try_from(column).unwrap_or(u16::MAX).saturating_mul(cell);
        let y = regions.map.y + u16::try_from(row).unwrap_or(u16::MAX);
        if regions.grid.is_halved {
            let accent = pen.theme.accent().add_modifier(Modifier::BOLD | Modifier::REVERSED);
            pen.put(x, y, if is_lower { '▄' } else { '▀' }, accent);
        } else {
            let area = Rect::new(x, y, cell.clamp(1, 2), 1);
            let style = Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD);
            pen.overlay(area, style);
        }
    }
    name(pen, regions.name, machine, state);
}

/// Name and numbers of a machine in a line.
fn name(pen: &mut Pen<'_>, area: Rect, machine: &Machine, state: &State) {
    let (quiet, text) = (pen.theme.quiet(), pen.theme.text());
    let mark = pen.theme.glyphs.mark(machine.liveness, machine.health);
    let mark_style = pen.theme.mark(machine.liveness, machine.health);
    let title = pen.theme.title();
    let mut pieces: Vec<(String, Style)> = vec![(format!("{mark} "), mark_style), (machine.id.to_string(), title)];
    let measure = state.fleet_table.measure();
    let mut metrics = vec![measure];
    metrics.extend(
        [MetricId::CpuBusy, MetricId::MemoryUsedPercent, MetricId::Load1]
            .into_iter()
            .filter(|metric| *metric != measure),
    );
    for metric in metrics {
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
    let pieces: Vec<(&str, Style)> = pieces.iter().map(|(text, style)| (text.as_str(), *style)).collect();
    pen.pieces(area.x + 1, area.y, area.width.saturating_sub(2), &pieces);
}

/// What hues and shades mean.
fn legend(pen: &mut Pen<'_>, area: Rect, measure: &Measure) {
    if area.height == 0 {
        return;
    }
    let quiet = pen.theme.quiet();
    let states = [
        (Liveness::Live, Health::Healthy, "well"),
        (Liveness::Live, Health::Warning, "warning"),
        (Liveness::Live, Health::Critical, "critical"),
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
    let pieces: Vec<(&str, Style)> = pieces.iter().map(|(text, style)| (text.as_str(), *style)).collect();
    pen.pieces(area.x + 1, area.y, area.width.saturating_sub(2), &pieces);
}
