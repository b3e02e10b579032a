//! The rows of the table.

macro_rules! keys {
    ($([$($key:expr),+]),+) => { &[$(&[$($key),+]),+] };
}

mod console;
mod fleet;
mod forms;
mod machine;
mod past;

use super::{Command, CommandDefinition, Context};
use crate::key::{Key, KeyCode};

const fn plain(code: KeyCode) -> Key {
    Key::plain(code)
}

const fn char(character: char) -> Key {
    Key::char(character)
}

const fn row(
    command: Command,
    context: Context,
    keys: &'static [&'static [Key]],
    hint: &'static str,
    help: &'static str,
) -> CommandDefinition {
    CommandDefinition {
        command,
        context,
        keys,
        hint,
        help,
    }
}

/// The parts of the table; the order within a context is that of the help.
const PARTS: [&[CommandDefinition]; 6] = [
    fleet::ROWS,
    machine::ROWS,
    ROWS,
    past::ROWS,
    forms::ROWS,
    console::ROWS,
];

/// All commands, those of a context in the order of the help.
pub const COMMANDS: &[CommandDefinition] = &joined::<{ count(&PARTS) }>(&PARTS);

const fn count(parts: &[&[CommandDefinition]]) -> usize {
    let (mut part, mut count) = (0, 0);
    while part < parts.len() {
        count += parts[part].len();
        part += 1;
    }
    count
}

/// One table of its parts.
const fn joined<const COUNT: usize>(parts: &[&[CommandDefinition]]) -> [CommandDefinition; COUNT] {
    let mut all = [parts[0][0]; COUNT];
    let (mut part, mut row, mut index) = (0, 0, 0);
    while index < COUNT {
        if row == parts[part].len() {
            (part, row) = (part + 1, 0);
        } else {
            all[index] = parts[part][row];
            (row, index) = (row + 1, index + 1);
        }
    }
    all
}

const ROWS: &[CommandDefinition] = &[
    row(
        Command::Open,
        Context::Alerts,
        keys!([plain(KeyCode::Enter)], [char('l')], [plain(KeyCode::Right)]),
        "machine",
        "open the machine, with a chart of the metric; from the history at that moment",
    ),
    row(
        Command::Acknowledge,
        Context::Alerts,
        keys!([char('a')]),
        "acknowledge",
        "acknowledge, with a comment; again to take it back",
    ),
    row(
        Command::Silence,
        Context::Alerts,
        keys!([char('S')]),
        "silence",
        "silence this alert, its rule or its machine for a time",
    ),
    row(
        Command::Threshold,
        Context::Alerts,
        keys!([char('e')]),
        "threshold",
        "edit the rule on a chart of the metric",
    ),
    row(
        Command::GoToRule,
        Context::Alerts,
        keys!([char('r')]),
        "",
        "go to the rule",
    ),
    row(
        Command::Group,
        Context::Alerts,
        keys!([char('b')]),
        "group",
        "group by machine, by rule, or not",
    ),
    row(
        Command::History,
        Context::Alerts,
        keys!([char('H')]),
        "history",
        "show what has happened; again for older steps",
    ),
    row(
        Command::Silences,
        Context::Alerts,
        keys!([char('L')]),
        "silences",
        "list the silences, and end them",
    ),
    row(
        Command::Deliveries,
        Context::Alerts,
        keys!([char('N')]),
        "notifications",
        "receivers, and notifications that did not reach them",
    ),
    row(
        Command::Back,
        Context::Alerts,
        keys!([plain(KeyCode::Escape)], [char('h')], [plain(KeyCode::Left)]),
        "",
        "history off, filter off, back to where you were",
    ),
    row(
        Command::Open,
        Context::Rules,
        keys!(
            [plain(KeyCode::Enter)],
            [char('e')],
            [char('l')],
            [plain(KeyCode::Right)]
        ),
        "edit",
        "edit the rule",
    ),
    row(
        Command::Toggle,
        Context::Rules,
        keys!([char(' ')]),
        "on/off",
        "turn the rule on or off",
    ),
    row(
        Command::New,
        Context::Rules,
        keys!([char('n')]),
        "new",
        "make a rule",
    ),
    row(
        Command::Copy,
        Context::Rules,
        keys!([char('c')]),
        "copy",
        "make a rule like this one",
    ),
    row(
        Command::Delete,
        Context::Rules,
        keys!([char('d')]),
        "delete",
        "remove the rule",
    ),
    row(
        Command::Undo,
        Context::Rules,
        keys!([char('u')]),
        "undo",
        "put back what was removed, for a minute",
    ),
    row(
        Command::Back,
        Context::Rules,
        keys!([plain(KeyCode::Escape)], [char('h')], [plain(KeyCode::Left)]),
        "",
        "filter off, back to where you were",
    ),
    row(
        Command::Delete,
        Context::Silences,
        keys!([char('d')]),
        "end",
        "end the silence",
    ),
    row(
        Command::Resend,
        Context::Deliveries,
        keys!([char('R')]),
        "resend",
        "send a notification that was given up once more",
    ),
    row(
        Command::Test,
        Context::Deliveries,
        keys!([char('T')]),
        "test",
        "send a test to the receiver",
    ),
    row(
        Command::Filter,
        Context::List,
        keys!([char('/')]),
        "filter",
        "filter: words that must occur; machines also by `cpu > 50 and role = web`",
    ),
    row(
        Command::Sort,
        Context::List,
        keys!([char('s')]),
        "sort",
        "sort: a second key names the column",
    ),
    row(
        Command::Invert,
        Context::List,
        keys!([char('I')]),
        "",
        "turn the order around",
    ),
    row(
        Command::Down,
        Context::List,
        keys!([char('j')], [plain(KeyCode::Down)]),
        "",
        "down",
    ),
    row(
        Command::Up,
        Context::List,
        keys!([char('k')], [plain(KeyCode::Up)]),
        "",
        "up",
    ),
    row(
        Command::HalfPageDown,
        Context::List,
        keys!([Key::control('d')]),
        "",
        "half a page down",
    ),
    row(
        Command::HalfPageUp,
        Context::List,
        keys!([Key::control('u')]),
        "",
        "half a page up",
    ),
    row(
        Command::PageDown,
        Context::List,
        keys!([plain(KeyCode::PageDown)], [Key::control('f')]),
        "",
        "a page down",
    ),
    row(
        Command::PageUp,
        Context::List,
        keys!([plain(KeyCode::PageUp)], [Key::control('b')]),
        "",
        "a page up",
    ),
    row(
        Command::Top,
        Context::List,
        keys!([char('g'), char('g')], [plain(KeyCode::Home)]),
        "",
        "to the first row",
    ),
    row(
        Command::Bottom,
        Context::List,
        keys!([char('G')], [plain(KeyCode::End)]),
        "",
        "to the last row",
    ),
    row(
        Command::ViewFleet,
        Context::Anywhere,
        keys!([char('1')]),
        "",
        "all machines",
    ),
    row(
        Command::ViewAlerts,
        Context::Anywhere,
        keys!([char('2')]),
        "alerts",
        "alerts",
    ),
    row(
        Command::ViewRules,
        Context::Anywhere,
        keys!([char('3')]),
        "",
        "rules",
    ),
    row(
        Command::Help,
        Context::Anywhere,
        keys!([char('?')], [plain(KeyCode::Function(1))]),
        "help",
        "this help",
    ),
    row(
        Command::Details,
        Context::Anywhere,
        keys!([char('D')], [char('4')]),
        "details",
        "details: how the stores are, what the charts show, their gaps",
    ),
    row(
        Command::Back,
        Context::Anywhere,
        keys!([plain(KeyCode::Escape)]),
        "",
        "close what is on top: help, filter, view",
    ),
    row(
        Command::Redraw,
        Context::Anywhere,
        keys!([Key::control('l')]),
        "",
        "draw everything again",
    ),
    row(
        Command::Suspend,
        Context::Anywhere,
        keys!([Key::control('z')]),
        "",
        "to the shell; `fg` comes back",
    ),
    row(
        Command::Quit,
        Context::Anywhere,
        keys!([char('q')], [Key::control('c')]),
        "quit",
        "quit",
    ),
];
