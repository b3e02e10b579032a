//! Draws the state. Changes nothing, reads no clock.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::layout::{Body, SMALLEST, charts_axis, layout};
use crate::state::{OverlayKind, State};
use crate::theme::Theme;
use crate::words;

mod alerts;
mod bars;
mod chart;
mod details;
mod diagnostics;
mod editor;
mod fleet;
mod help;
mod machine;
mod overlay;
mod palette;
mod panel;
mod pen;
mod process;
mod processes;
mod rules;
mod sections;
mod silencing;
pub(crate) mod tabs;
mod time_axis;
mod travel;

pub(crate) use help::help_scroll_max;
use pen::Pen;
pub(crate) use process::process_scroll_max;

/// Draws the whole screen.
pub fn render(state: &State, theme: &Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    if let Some(position) = draw(state, theme, area, frame.buffer_mut()) {
        frame.set_cursor_position(position);
    }
}

/// Draws the screen into a buffer; returns where the cursor belongs when something is being typed.
fn draw(state: &State, theme: &Theme, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    let regions = layout(area, state);
    let mut pen = Pen::new(buffer, theme);
    pen.begin();
    match &regions.body {
        Body::TooSmall(area) => {
            let (width, height) = SMALLEST;
            let times = pen.pick("×", "x");
            let text = format!("too small: it takes {width}{times}{height}");
            note(&mut pen, *area, &text);
            None
        }
        body => {
            bars::header(&mut pen, regions.header, state);
            match body {
                Body::Fleet(table) => fleet::fleet(&mut pen, table, state),
                Body::Heat(regions) => fleet::heat::heat_map(&mut pen, regions, state),
                Body::Machine(machine) => {
                    let axis = charts_axis(&regions, state, theme.glyphs.points_per_cell());
                    machine::machine(&mut pen, machine, axis, state);
                }
                Body::Alerts(alerts) => alerts::alerts(&mut pen, alerts, state),
                Body::Rules(table) => rules::rules(&mut pen, table, state),
                Body::TooSmall(_) => {}
            }
            if let Some(overlay) = state.overlay {
                match overlay.kind {
                    OverlayKind::Help => help::help(&mut pen, area, state, overlay.scroll),
                    OverlayKind::Details => {
                        details::details(&mut pen, area, &regions, state, overlay.scroll);
                    }
                    OverlayKind::Columns => fleet::columns::columns(&mut pen, area, state, overlay.scroll),
                    OverlayKind::Process => process::details(&mut pen, area, state, overlay.scroll),
                    OverlayKind::Signals => process::signals(&mut pen, area, state, overlay.scroll),
                    OverlayKind::Confirm => process::confirm(&mut pen, area, state),
                    OverlayKind::Silences => alerts::lists::silences(&mut pen, area, state, overlay.scroll),
                    OverlayKind::Deliveries => {
                        alerts::lists::deliveries(&mut pen, area, state, overlay.scroll);
                    }
                }
            }
            let mut cursor = None;
            if let Some(editor) = &state.editor {
                cursor = editor::editor(&mut pen, area, editor, state);
            } else if let Some(form) = &state.silencing {
                cursor = silencing::silencing(&mut pen, area, form, state);
            }
            if state.console.has_diagnostics {
                diagnostics::diagnostics(&mut pen, area, state);
            }
            if let Some(line) = &state.console.palette {
                cursor = palette::palette(&mut pen, area, line, state);
            }
            bars::footer(&mut pen, regions.footer, state).or(cursor)
        }
    }
}

/// A sentence in the middle of an empty area.
fn note(pen: &mut Pen<'_>, area: Rect, text: &str) {
    lines_in_the_middle(pen, area, &[text]);
}

fn lines_in_the_middle(pen: &mut Pen<'_>, area: Rect, lines: &[&str]) {
    // A sentence that is longer than the screen goes on in the next row.
    let cells = usize::from(area.width.saturating_sub(2));
    let lines = lines.iter().flat_map(|line| {
        if sysmon_core::display_width(line) > cells {
            words::wrapped(line, cells)
        } else {
            vec![(*line).to_owned()]
        }
    });
    let lines: Vec<String> = lines.collect();
    let count = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let top = area.y + area.height.saturating_sub(count) / 2;
    for (y, line) in (top..area.bottom()).zip(&lines) {
        let width = pen.cells(line).min(area.width);
        let style = pen.theme.quiet();
        pen.text(area.x + (area.width - width) / 2, y, width, line, style);
    }
}
