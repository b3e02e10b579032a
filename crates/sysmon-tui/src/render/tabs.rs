//! The line that tells of all tabs, above the one on screen.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};
use sysmon_core::alert::Severity;
use sysmon_core::{Health, Liveness};

use super::draw;
use super::pen::Pen;
use crate::state::alerts::board::Standing;
use crate::tabs::line::{Place, places};
use crate::tabs::{Condition, Tabs};
use crate::theme::Theme;

/// Draws the tab on screen, below a line for all of them when there are several.
pub fn render_tabs(tabs: &Tabs, theme: &Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    let has_line = tabs.has_line() && area.height > 1;
    let cursor = if has_line {
        let inner = Rect::new(0, 0, area.width, area.height - 1);
        let mut buffer = Buffer::empty(inner);
        let cursor = draw(tabs.state(), theme, inner, &mut buffer);
        let whole = frame.buffer_mut();
        for position in inner.positions() {
            if let Some(cell) = whole.cell_mut((area.x + position.x, area.y + position.y + 1)) {
                *cell = buffer[position].clone();
            }
        }
        line(&mut Pen::new(whole, theme), Rect { height: 1, ..area }, tabs);
        cursor.map(|cursor| Position::new(area.x + cursor.x, area.y + cursor.y + 1))
    } else {
        draw(tabs.state(), theme, area, frame.buffer_mut())
    };
    if let Some(position) = cursor {
        frame.set_cursor_position(position);
    }
}

fn line(pen: &mut Pen<'_>, area: Rect, tabs: &Tabs) {
    pen.clear(area);
    let headings = tabs.headings();
    for place in places(area, &headings, tabs.shown_index()) {
        let is_shown = place.index == tabs.shown_index();
        let (mark, style) = mark(pen, headings[place.index].condition);
        tab(pen, &place, is_shown, mark, style);
    }
}

/// One tab: its number is what is typed to go there; the one on screen is as bright as the bar below it.
fn tab(pen: &mut Pen<'_>, place: &Place, is_shown: bool, mark: &str, mark_style: Style) {
    let area = place.area;
    let (number_style, name_style, mark_style) = if is_shown {
        pen.overlay(area, pen.theme.bar());
        let title = pen.theme.bar().add_modifier(Modifier::BOLD);
        (title, title, pen.theme.on_bar(mark_style))
    } else {
        (pen.theme.accent(), pen.theme.quiet(), mark_style)
    };
    let number = format!("{} ", place.index + 1);
    let name = if place.name.is_empty() {
        String::new()
    } else {
        format!("{} ", place.name)
    };
    let pieces = [
        (&*number, number_style),
        (&*name, name_style),
        (mark, mark_style),
        (&*place.note, mark_style),
    ];
    let x = area.x.saturating_add(1);
    pen.pieces(x, area.y, area.right().saturating_sub(x), &pieces);
}

fn mark(pen: &Pen<'_>, condition: Condition) -> (&'static str, Style) {
    let theme = pen.theme;
    match condition {
        Condition::Unknown => (pen.pick("–", "-"), theme.quiet()),
        Condition::Down { .. } => (pen.pick("✕", "x"), theme.critical()),
        Condition::Machines { liveness, health, .. } => {
            (theme.glyphs.mark(liveness, health), theme.mark(liveness, health))
        }
        Condition::Alerts(_) => (
            theme.glyphs.alert_mark(Standing::Firing, Severity::Critical),
            theme.severity(Severity::Critical),
        ),
        Condition::Well => (
            theme.glyphs.mark(Liveness::Live, Health::Healthy),
            theme.mark(Liveness::Live, Health::Healthy),
        ),
    }
}
