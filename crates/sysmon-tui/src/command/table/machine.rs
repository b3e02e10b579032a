//! Commands of the view of one machine.

use super::{char, plain, row};
use crate::command::{Command, CommandDefinition, Context};
use crate::key::KeyCode;

pub(super) const ROWS: &[CommandDefinition] = &[
    row(
        Command::Back,
        Context::Machine,
        keys!([plain(KeyCode::Escape)], [char('h')], [plain(KeyCode::Left)]),
        "fleet",
        "back, step by step: panel, filter, cursor, then to the fleet, exactly where you were",
    ),
    row(
        Command::Expand,
        Context::Machine,
        keys!([char('f')]),
        "expand",
        "the panel with the focus fills the screen, with all it has; again to go back",
    ),
    row(
        Command::Threshold,
        Context::Machine,
        keys!([char('e')]),
        "threshold",
        "edit a threshold: a second key names the metric",
    ),
    row(
        Command::Past,
        Context::Machine,
        keys!([char('t')]),
        "past",
        "show the past: a minute ago (or click a chart); again to name a moment",
    ),
    row(
        Command::Tree,
        Context::Machine,
        keys!([char('z')]),
        "tree",
        "processes below their parents, or as a list",
    ),
    row(
        Command::Signal,
        Context::Machine,
        keys!([char('X')]),
        "signal",
        "send a signal to the process under the cursor; asks before it does",
    ),
    row(
        Command::Open,
        Context::Machine,
        keys!([plain(KeyCode::Enter)]),
        "",
        "details of the process under the cursor; of another panel all it has",
    ),
    row(
        Command::Follow,
        Context::Machine,
        keys!([char('F')]),
        "",
        "the cursor stays on its process, through every order and filter, until that ends",
    ),
    row(
        Command::LongerRange,
        Context::Machine,
        keys!([char('+')], [char('=')]),
        "longer",
        "charts show more time: 5 min, 1 h, 6 h, 24 h, 7 d, 30 d",
    ),
    row(
        Command::ShorterRange,
        Context::Machine,
        keys!([char('-')]),
        "shorter",
        "charts show less time",
    ),
    row(
        Command::NextPanel,
        Context::Machine,
        keys!([plain(KeyCode::Tab)]),
        "",
        "the focus goes to the next panel",
    ),
    row(
        Command::PreviousPanel,
        Context::Machine,
        keys!([plain(KeyCode::BackTab)]),
        "",
        "the focus goes to the panel before",
    ),
    row(
        Command::NextMachine,
        Context::Machine,
        keys!([char('J')]),
        "",
        "next machine of the fleet",
    ),
    row(
        Command::PreviousMachine,
        Context::Machine,
        keys!([char('K')]),
        "",
        "previous machine of the fleet",
    ),
    row(
        Command::Open,
        Context::Process,
        keys!([plain(KeyCode::Enter)]),
        "ask again",
        "ask the machine for the details again",
    ),
    row(
        Command::Signal,
        Context::Process,
        keys!([char('X')]),
        "signal",
        "send a signal to this process; asks before it does",
    ),
    row(
        Command::Open,
        Context::Signals,
        keys!([plain(KeyCode::Enter)]),
        "choose",
        "choose the signal; nothing is sent yet",
    ),
    row(
        Command::Confirm,
        Context::Confirming,
        keys!([char('y')]),
        "send",
        "send the signal",
    ),
];
