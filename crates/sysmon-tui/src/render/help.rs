//! The help, from the table of commands.

use ratatui::layout::Rect;

use super::overlay::{Line, overlay};
use super::pen::Pen;
use crate::command::{COMMANDS, Context, show_keys};

/// Draws the help over the view, scrolled down by `scroll` lines.
pub(super) fn help(pen: &mut Pen<'_>, screen: Rect, scroll: u16) {
    overlay(pen, screen, " Keys ", &lines(), scroll);
}

/// Headings, and keys with what they do.
fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    for (context, heading) in Context::ALL {
        if !lines.is_empty() {
            lines.push(Line::heading(""));
        }
        lines.push(Line::heading(heading));
        for definition in COMMANDS.iter().filter(|definition| definition.context == context) {
            let keys: Vec<String> = definition.keys.iter().map(|keys| show_keys(keys)).collect();
            lines.push(Line::new(&keys.join("  "), definition.help));
        }
    }
    lines
}
