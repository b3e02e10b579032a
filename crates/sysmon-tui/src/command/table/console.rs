//! Commands of the console itself.

use super::{char, row};
use crate::command::{Command, CommandDefinition, Context};

pub(super) const ROWS: &[CommandDefinition] = &[
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
];
