//! The one table of commands: key bindings, hints and help all come from here.

use crate::key::{Key, KeyCode};

/// Everything that a person can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Leave the client.
    Quit,
    /// Stop the process until the shell brings it back.
    Suspend,
    /// Draw everything again.
    Redraw,
    /// Show or hide the help.
    Help,
    /// Close what is on top: help, prompt, filter, view.
    Back,
    /// Open what is selected.
    Open,
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// Half a page up.
    HalfPageUp,
    /// Half a page down.
    HalfPageDown,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the first row.
    Top,
    /// To the last row.
    Bottom,
    /// Type a filter.
    Filter,
    /// The next key chooses the sort column.
    Sort,
    /// Turn the sort order around.
    Invert,
    /// Charts show more time.
    LongerRange,
    /// Charts show less time.
    ShorterRange,
    /// Show or hide how the stores are and what the charts show.
    Details,
    /// The machine after this one, in the order of the fleet.
    NextMachine,
    /// The machine before this one.
    PreviousMachine,
}

/// Where a command makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Context {
    /// Everywhere.
    Anywhere,
    /// In every list.
    List,
    /// In the fleet.
    Fleet,
    /// In the view of one machine.
    Machine,
}

impl Context {
    /// The headings of the help, in its order.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Fleet, "Fleet"),
        (Self::Machine, "Machine"),
        (Self::List, "Lists"),
        (Self::Anywhere, "Anywhere"),
    ];
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct CommandDefinition {
    /// Which command.
    pub command: Command,
    /// Where it makes sense.
    pub context: Context,
    /// Keys, the first of which is shown.
    pub keys: &'static [&'static [Key]],
    /// One or two words for the hints at the bottom; empty to leave it out there.
    pub hint: &'static str,
    /// A line for the help.
    pub help: &'static str,
}

const fn plain(code: KeyCode) -> Key {
    Key::plain(code)
}

const fn char(character: char) -> Key {
    Key::char(character)
}

macro_rules! keys {
    ($([$($key:expr),+]),+) => { &[$(&[$($key),+]),+] };
}

/// All commands, in the order of the help.
pub const COMMANDS: &[CommandDefinition] = &[
    CommandDefinition {
        command: Command::Open,
        context: Context::Fleet,
        keys: keys!([plain(KeyCode::Enter)], [char('l')], [plain(KeyCode::Right)]),
        hint: "open",
        help: "open the selected machine",
    },
    CommandDefinition {
        command: Command::Back,
        context: Context::Machine,
        keys: keys!([plain(KeyCode::Escape)], [char('h')], [plain(KeyCode::Left)]),
        hint: "fleet",
        help: "back to the fleet, exactly where you were",
    },
    CommandDefinition {
        command: Command::LongerRange,
        context: Context::Machine,
        keys: keys!([char('+')], [char('=')]),
        hint: "longer",
        help: "charts show more time: 5 min, 1 h, 6 h, 24 h, 7 d, 30 d",
    },
    CommandDefinition {
        command: Command::ShorterRange,
        context: Context::Machine,
        keys: keys!([char('-')]),
        hint: "shorter",
        help: "charts show less time",
    },
    CommandDefinition {
        command: Command::NextMachine,
        context: Context::Machine,
        keys: keys!([plain(KeyCode::Tab)]),
        hint: "",
        help: "next machine of the fleet",
    },
    CommandDefinition {
        command: Command::PreviousMachine,
        context: Context::Machine,
        keys: keys!([plain(KeyCode::BackTab)]),
        hint: "",
        help: "previous machine of the fleet",
    },
    CommandDefinition {
        command: Command::Filter,
        context: Context::List,
        keys: keys!([char('/')]),
        hint: "filter",
        help: "filter: all words must occur in a machine's name or labels, or in a process",
    },
    CommandDefinition {
        command: Command::Sort,
        context: Context::List,
        keys: keys!([char('s')]),
        hint: "sort",
        help: "sort: a second key names the column",
    },
    CommandDefinition {
        command: Command::Invert,
        context: Context::List,
        keys: keys!([char('I')]),
        hint: "",
        help: "turn the order around",
    },
    CommandDefinition {
        command: Command::Down,
        context: Context::List,
        keys: keys!([char('j')], [plain(KeyCode::Down)]),
        hint: "",
        help: "down",
    },
    CommandDefinition {
        command: Command::Up,
        context: Context::List,
        keys: keys!([char('k')], [plain(KeyCode::Up)]),
        hint: "",
        help: "up",
    },
    CommandDefinition {
        command: Command::HalfPageDown,
        context: Context::List,
        keys: keys!([Key::control('d')]),
        hint: "",
        help: "half a page down",
    },
    CommandDefinition {
        command: Command::HalfPageUp,
        context: Context::List,
        keys: keys!([Key::control('u')]),
        hint: "",
        help: "half a page up",
    },
    CommandDefinition {
        command: Command::PageDown,
        context: Context::List,
        keys: keys!([plain(KeyCode::PageDown)], [Key::control('f')]),
        hint: "",
        help: "a page down",
    },
    CommandDefinition {
        command: Command::PageUp,
        context: Context::List,
        keys: keys!([plain(KeyCode::PageUp)], [Key::control('b')]),
        hint: "",
        help: "a page up",
    },
    CommandDefinition {
        command: Command::Top,
        context: Context::List,
        keys: keys!([char('g'), char('g')], [plain(KeyCode::Home)]),
        hint: "",
        help: "to the first row",
    },
    CommandDefinition {
        command: Command::Bottom,
        context: Context::List,
        keys: keys!([char('G')], [plain(KeyCode::End)]),
        hint: "",
        help: "to the last row",
    },
    CommandDefinition {
        command: Command::Help,
        context: Context::Anywhere,
        keys: keys!([char('?')], [plain(KeyCode::Function(1))]),
        hint: "help",
        help: "this help",
    },
    CommandDefinition {
        command: Command::Details,
        context: Context::Anywhere,
        keys: keys!([char('D')]),
        hint: "details",
        help: "details: how the stores are, what the charts show, their gaps",
    },
    CommandDefinition {
        command: Command::Back,
        context: Context::Anywhere,
        keys: keys!([plain(KeyCode::Escape)]),
        hint: "",
        help: "close what is on top: help, filter, view",
    },
    CommandDefinition {
        command: Command::Redraw,
        context: Context::Anywhere,
        keys: keys!([Key::control('l')]),
        hint: "",
        help: "draw everything again",
    },
    CommandDefinition {
        command: Command::Suspend,
        context: Context::Anywhere,
        keys: keys!([Key::control('z')]),
        hint: "",
        help: "to the shell; `fg` comes back",
    },
    CommandDefinition {
        command: Command::Quit,
        context: Context::Anywhere,
        keys: keys!([char('q')], [Key::control('c')]),
        hint: "quit",
        help: "quit",
    },
];

/// What a sequence of keys means where `contexts` apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    /// A command.
    Command(Command),
    /// The beginning of a longer sequence.
    Prefix,
    /// Nothing.
    None,
}

/// Looks a key sequence up; earlier contexts win.
#[must_use]
pub(crate) fn lookup(sequence: &[Key], contexts: &[Context]) -> Binding {
    for context in contexts {
        let here = COMMANDS
            .iter()
            .filter(|definition| definition.context == *context);
        for (definition, keys) in
            here.flat_map(|definition| definition.keys.iter().map(move |keys| (definition, *keys)))
        {
            if keys == sequence {
                return Binding::Command(definition.command);
            }
            if keys.starts_with(sequence) {
                return Binding::Prefix;
            }
        }
    }
    Binding::None
}

/// A key sequence as it is shown.
#[must_use]
pub(crate) fn show_keys(sequence: &[Key]) -> String {
    sequence.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const VIEWS: [&[Context]; 2] = [
        &[Context::Fleet, Context::List, Context::Anywhere],
        &[Context::Machine, Context::List, Context::Anywhere],
    ];

    #[test]
    fn no_view_has_a_key_for_two_commands() {
        for contexts in VIEWS {
            let mut seen = HashSet::new();
            for definition in COMMANDS
                .iter()
                .filter(|definition| contexts.contains(&definition.context))
            {
                for keys in definition.keys {
                    let first = seen.insert(*keys);
                    assert!(
                        first || definition.command == Command::Back,
                        "{} is bound twice",
                        show_keys(keys)
                    );
                }
            }
        }
    }

    #[test]
    fn a_split_arrow_key_can_never_trigger_a_command() {
        for definition in COMMANDS {
            assert!(
                definition
                    .keys
                    .iter()
                    .flat_map(|keys| keys.iter())
                    .all(|key| key.code != KeyCode::Char('['))
            );
        }
    }

    #[test]
    fn every_command_has_a_key_and_a_help_line() {
        for definition in COMMANDS {
            assert!(
                !definition.keys.is_empty() && !definition.help.is_empty(),
                "{:?}",
                definition.command
            );
        }
    }

    #[test]
    fn the_view_decides_before_the_general_table() {
        assert_eq!(lookup(&[Key::char('g')], VIEWS[0]), Binding::Prefix);
        assert_eq!(
            lookup(&[Key::char('g'), Key::char('g')], VIEWS[0]),
            Binding::Command(Command::Top)
        );
        assert_eq!(
            lookup(&[Key::char('l')], VIEWS[0]),
            Binding::Command(Command::Open)
        );
        assert_eq!(lookup(&[Key::char('l')], VIEWS[1]), Binding::None);
    }
}
