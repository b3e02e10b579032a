//! Commands of the console itself.

use super::{char, plain, row};
use crate::command::{Command, CommandDefinition, Context};
use crate::key::KeyCode;

pub(super) const ROWS: &[CommandDefinition] = &[
    row(
        Command::CopyText,
        Context::List,
        keys!([char('y')]),
        "",
        "copy the row, or a part of it, to the clipboard of this terminal",
    ),
    row(
        Command::Export,
        Context::List,
        keys!([char('x')]),
        "",
        "write what is shown into a file: CSV, JSON or text",
    ),
    row(
        Command::Palette,
        Context::Anywhere,
        keys!([char(':')]),
        "",
        "every command by its name, and those that take an argument",
    ),
    row(
        Command::Theme,
        Context::Anywhere,
        &[],
        "",
        "pick the colours, with a preview",
    ),
    row(
        Command::Tab,
        Context::Anywhere,
        keys!([char('g'), char('T')]),
        "",
        "tabs: show or open one; g1 to g9 at once, Alt-1 to Alt-9 where Esc has nothing to do",
    ),
    row(
        Command::TabNext,
        Context::Anywhere,
        keys!([char('g'), char('n')]),
        "",
        "the next tab",
    ),
    row(
        Command::TabPrevious,
        Context::Anywhere,
        keys!([char('g'), char('N')]),
        "",
        "the tab before",
    ),
    row(Command::TabClose, Context::Anywhere, &[], "", "close this tab"),
    row(
        Command::Diagnostics,
        Context::Anywhere,
        keys!([plain(KeyCode::Function(12))]),
        "",
        "what this client costs: frames, bytes, queues, latency",
    ),
];
