//! Commands while something is edited.

use super::{char, plain, row};
use crate::command::{Command, CommandDefinition, Context};
use crate::key::KeyCode;

pub(super) const ROWS: &[CommandDefinition] = &[
    row(
        Command::NextField,
        Context::Form,
        keys!([plain(KeyCode::Tab)]),
        "next",
        "next field",
    ),
    row(
        Command::Save,
        Context::Form,
        keys!([plain(KeyCode::Enter)]),
        "save",
        "save",
    ),
    row(
        Command::Back,
        Context::Form,
        keys!([plain(KeyCode::Escape)]),
        "leave",
        "what was typed is dropped, then the form is left",
    ),
    row(
        Command::StepUp,
        Context::Form,
        keys!([plain(KeyCode::Up)]),
        "more",
        "a step up, or the next choice; or type a value such as 90, 5G, 10m",
    ),
    row(
        Command::StepDown,
        Context::Form,
        keys!([plain(KeyCode::Down)]),
        "less",
        "a step down, or the choice before",
    ),
    row(
        Command::LeapUp,
        Context::Form,
        keys!([plain(KeyCode::PageUp)]),
        "ten more",
        "ten steps up (Shift-Up too)",
    ),
    row(
        Command::Toggle,
        Context::Form,
        keys!([char(' ')]),
        "on/off",
        "turn the level on or off",
    ),
    row(
        Command::PreviousField,
        Context::Form,
        keys!([plain(KeyCode::BackTab)]),
        "",
        "field before",
    ),
    row(
        Command::LeapDown,
        Context::Form,
        keys!([plain(KeyCode::PageDown)]),
        "",
        "ten steps down (Shift-Down too)",
    ),
    row(
        Command::Discard,
        Context::Leaving,
        keys!([char('y')]),
        "leave unsaved",
        "leave, the changes are lost",
    ),
    row(
        Command::Save,
        Context::Leaving,
        keys!([plain(KeyCode::Enter)]),
        "save",
        "save the changes",
    ),
    row(
        Command::Back,
        Context::Leaving,
        keys!([plain(KeyCode::Escape)], [char('n')]),
        "go on editing",
        "go on editing",
    ),
    row(
        Command::TakeTheirs,
        Context::Conflict,
        keys!([char('t')]),
        "take theirs",
        "drop the own changes",
    ),
    row(
        Command::KeepMine,
        Context::Conflict,
        keys!([char('k')]),
        "keep mine",
        "save over the other edit",
    ),
    row(
        Command::Merge,
        Context::Conflict,
        keys!([char('m')]),
        "merge",
        "theirs where nothing was changed here, to be looked at before it is saved",
    ),
    row(
        Command::Back,
        Context::Conflict,
        keys!([plain(KeyCode::Escape)]),
        "go on editing",
        "go on editing, with nothing decided",
    ),
];
