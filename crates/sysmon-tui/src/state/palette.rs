//! The line of commands: what was typed, and what it may mean.

use crate::command::{COMMANDS, Command, Context};
use crate::fuzzy::matched;
use crate::text_field::TextField;

use super::{State, View};

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Argument {
    /// An address or a named connection.
    Connect,
    /// An open tab, or what a new one is to show.
    Tab,
    /// Time between samples.
    Interval,
    /// Name of a theme.
    Theme,
    /// A filter of the list on screen.
    Filter,
    /// A column to sort by.
    Sort,
    /// Id of a machine.
    Machine,
    /// A format and perhaps a file.
    Export,
    /// A moment of the past.
    Moment,
    /// Name of a metric, and perhaps of one of what it is measured of.
    Metric,
}

/// A command that takes an argument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    pub(crate) argument: Argument,
    pub(crate) name: &'static str,
    /// How the argument is written.
    pub(crate) shape: &'static str,
    pub(crate) help: &'static str,
}

/// All of them.
pub(crate) const WORDS: [Word; 10] = [
    Word {
        argument: Argument::Machine,
        name: "machine",
        shape: "NAME",
        help: "open a machine by its name",
    },
    Word {
        argument: Argument::Filter,
        name: "filter",
        shape: "WORDS",
        help: "show only rows that match; nothing shows all",
    },
    Word {
        argument: Argument::Sort,
        name: "sort",
        shape: "COLUMN",
        help: "sort by a column",
    },
    Word {
        argument: Argument::Interval,
        name: "interval",
        shape: "5s",
        help: "how often the machine on screen is measured",
    },
    Word {
        argument: Argument::Metric,
        name: "threshold",
        shape: "METRIC [OF]",
        help: "edit the levels of any metric of the machine",
    },
    Word {
        argument: Argument::Moment,
        name: "go",
        shape: "TIME",
        help: "show a moment of the past: 3m ago, 14:05, yesterday 14:05",
    },
    Word {
        argument: Argument::Theme,
        name: "theme",
        shape: "NAME",
        help: "other colours; up and down show them",
    },
    Word {
        argument: Argument::Export,
        name: "export",
        shape: "csv|json|text [FILE]",
        help: "write what is shown into a file",
    },
    Word {
        argument: Argument::Connect,
        name: "connect",
        shape: "URL|@NAME",
        help: "watch another aggregator",
    },
    Word {
        argument: Argument::Tab,
        name: "tab",
        shape: "URL|@NAME|NUMBER",
        help: "show a tab, or watch another aggregator beside this one",
    },
];

impl Argument {
    /// Whether only what is offered will do.
    fn is_closed(self) -> bool {
        matches!(self, Self::Theme | Self::Sort)
    }

    /// Whether the beginning of what is offered stands for it. A machine that is not known here may be known elsewhere.
    fn is_completed(self) -> bool {
        self.is_closed() || self == Self::Machine
    }

    /// Whether nothing is an argument too.
    fn may_be_empty(self) -> bool {
        matches!(self, Self::Filter)
    }
}

/// What a line of the list stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A command that can be carried out here.
    Command(Command),
    /// A command of another view.
    Elsewhere(Command, Context),
    /// A command that still needs its argument.
    Word(Argument),
    /// An argument.
    Value(Argument),
}

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) meaning: Meaning,
    /// The name of the command, or the value.
    pub(crate) name: String,
    /// Characters of the name that were typed.
    pub(crate) places: Vec<usize>,
    pub(crate) keys: String,
    pub(crate) help: String,
}

/// The open line of commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Palette {
    pub(crate) field: TextField,
    /// The selected line of the list.
    pub(crate) at: usize,
    /// Whether the person has moved the selection, so that it counts before what is typed.
    pub(crate) has_moved: bool,
    /// How far back in the history the line is; `None` for one that is being typed.
    pub(crate) back: Option<usize>,
    /// What was typed before the history was looked at.
    pub(crate) draft: String,
    /// Why the line cannot be carried out.
    pub(crate) problem: Option<String>,
}

/// The most lines of a list; what is further down was not meant.
const ENTRIES_MAX: usize = 200;

impl Palette {
    /// With a line begun already.
    #[must_use]
    pub(crate) fn with_text(text: &str) -> Self {
        Self {
            field: TextField::new(text),
            ..Self::default()
        }
    }

    /// The command with an argument that the line begins with, and the argument so far.
    #[must_use]
    pub(crate) fn word(&self) -> Option<(&'static Word, &str)> {
        let text = self.field.text().trim_start();
        let (name, argument) = text.split_once(char::is_whitespace)?;
        let word = WORDS.iter().find(|word| word.name.eq_ignore_ascii_case(name))?;
        Some((word, argument.trim()))
    }
}

/// What is on offer for what was typed, the likeliest first.
#[must_use]
pub(crate) fn entries(state: &State, palette: &Palette) -> Vec<Entry> {
    let mut entries = match palette.word() {
        Some((word, argument)) => values(state, word.argument, argument),
        None => commands(state, palette.field.text().trim()),
    };
    entries.truncate(ENTRIES_MAX);
    entries
}

/// What Enter would do; an error says what to type instead.
pub(crate) fn meant(state: &State, palette: &Palette) -> Result<(Entry, String), String> {
    let entries = entries(state, palette);
    let selected = entries
        .get(palette.at.min(entries.len().saturating_sub(1)))
        .cloned();
    let Some((word, argument)) = palette.word() else {
        let typed = palette.field.text().trim();
        return selected
            .map(|entry| (entry, String::new()))
            .ok_or_else(|| format!("no command matches {typed:?}: take letters away"));
    };
    let is_exact = entries.iter().any(|entry| entry.name == argument);
    let takes_selected = palette.has_moved
        || (word.argument.is_completed() && !is_exact)
        || (argument.is_empty() && !word.argument.may_be_empty());
    let argument = match selected {
        Some(entry) if takes_selected => entry.name,
        _ if argument.is_empty() && !word.argument.may_be_empty() => {
            return Err(format!(
                "{} needs an argument: {} {}",
                word.name, word.name, word.shape
            ));
        }
        _ if word.argument.is_closed() && !is_exact => return Err(nothing_matches(state, word, argument)),
        _ => argument.to_owned(),
    };
    let entry = Entry {
        meaning: Meaning::Value(word.argument),
        name: word.name.to_owned(),
        places: Vec::new(),
        keys: String::new(),
        help: String::new(),
    };
    Ok((entry, argument))
}

fn nothing_matches(state: &State, word: &Word, argument: &str) -> String {
    let all: Vec<String> = values(state, word.argument, "")
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    let (what, none) = match word.argument {
        Argument::Sort => ("column", "there is nothing to sort here"),
        _ => ("theme", "no theme was found"),
    };
    match all.len() {
        0 => none.to_owned(),
        1..=12 => format!("there is no {what} {argument:?}; there are {}", all.join(", ")),
        _ => format!(
            "there is no {what} {argument:?}; :{} and a space lists them",
            word.name
        ),
    }
}

/// Commands whose name, keys or help match.
fn commands(state: &State, typed: &str) -> Vec<Entry> {
    let mut scored: Vec<(i32, Entry)> = all_commands(state)
        .into_iter()
        .filter_map(|entry| scored(entry, typed))
        .collect();
    // A stable sort: of equals, what belongs to the view is first.
    scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    scored.into_iter().map(|(_, entry)| entry).collect()
}

fn scored(mut entry: Entry, typed: &str) -> Option<(i32, Entry)> {
    let penalty = if matches!(entry.meaning, Meaning::Elsewhere(..)) {
        30
    } else {
        0
    };
    if typed.is_empty() {
        return Some((-penalty, entry));
    }
    if let Some((score, places)) = matched(typed, &entry.name) {
        entry.places = places;
        return Some((100 + score - penalty, entry));
    }
    if entry.keys.split("  ").any(|keys| keys == typed) {
        return Some((90 - penalty, entry));
    }
    let help = entry.help.to_lowercase();
    let mut words = typed.split_whitespace();
    let is_told = words.all(|word| {
        let word = word.to_lowercase();
        help.split(|c: char| !c.is_alphanumeric())
            .any(|known| known.starts_with(&word))
    });
    is_told.then_some((10 - penalty, entry))
}

/// Every command: those of this view, those with an argument, those of every list, and those of other views.
fn all_commands(state: &State) -> Vec<Entry> {
    let contexts = state.contexts();
    let keymap = &state.console.keymap;
    let mut entries: Vec<Entry> = Vec::new();
    let mut seen: Vec<Command> = vec![Command::Palette];
    let is_allowed = |command: Command| !(state.console.is_readonly && command.changes_something());
    for context in contexts {
        for definition in COMMANDS
            .iter()
            .filter(|definition| definition.context == *context)
        {
            let command = definition.command;
            if seen.contains(&command) || !is_allowed(command) {
                continue;
            }
            seen.push(command);
            entries.push(Entry {
                meaning: Meaning::Command(command),
                name: command.name(),
                places: Vec::new(),
                keys: keymap.first_keys(command, contexts).unwrap_or_default(),
                help: definition.help.to_owned(),
            });
        }
        // Behind what belongs to the view alone.
        if context == &contexts[0] {
            for word in WORDS.iter().filter(|word| is_offered(state, word.argument)) {
                seen.extend(Command::from_name(word.name));
                let keys =
                    Command::from_name(word.name).and_then(|command| keymap.first_keys(command, contexts));
                entries.push(Entry {
                    meaning: Meaning::Word(word.argument),
                    name: word.name.to_owned(),
                    places: Vec::new(),
                    keys: keys.unwrap_or_default(),
                    help: format!("{}: {}", word.shape, word.help),
                });
            }
        }
    }
    for definition in COMMANDS {
        let command = definition.command;
        // Commands of a form are nothing without one.
        if seen.contains(&command) || !is_allowed(command) || definition.context.then().is_empty() {
            continue;
        }
        seen.push(command);
        entries.push(Entry {
            meaning: Meaning::Elsewhere(command, definition.context),
            name: command.name(),
            places: Vec::new(),
            keys: keymap.keys_of(definition).next().unwrap_or_default(),
            help: format!("{}: {}", definition.context.heading(), definition.help),
        });
    }
    entries
}

/// Whether a command with an argument has a use here and now.
fn is_offered(state: &State, argument: Argument) -> bool {
    match argument {
        Argument::Interval => matches!(state.view, View::Machine(_)) && !state.console.is_readonly,
        _ => true,
    }
}

/// The tabs that are open by their numbers, then the connections that have none.
fn tabs(state: &State) -> Vec<Entry> {
    let value = |name: String, help: String| Entry {
        meaning: Meaning::Value(Argument::Tab),
        name,
        places: Vec::new(),
        keys: String::new(),
        help,
    };
    let tabs = &state.console.tabs;
    let open = (1..).zip(&tabs.names).map(|(number, name): (usize, &String)| {
        let here = if number == tabs.own + 1 { "  now" } else { "" };
        value(number.to_string(), format!("{name}{here}"))
    });
    let others = state.console.connections.iter();
    let others = others.filter(|name| !tabs.names.contains(name));
    open.chain(others.map(|name| value(format!("@{name}"), "opens a tab".to_owned())))
        .collect()
}

/// Arguments that may be meant.
fn values(state: &State, argument: Argument, typed: &str) -> Vec<Entry> {
    let value = |name: &str, help: &str| Entry {
        meaning: Meaning::Value(argument),
        name: name.to_owned(),
        places: Vec::new(),
        keys: String::new(),
        help: help.to_owned(),
    };
    let all: Vec<Entry> = match argument {
        Argument::Connect => {
            let names = state.console.connections.iter();
            names.map(|name| value(&format!("@{name}"), "")).collect()
        }
        Argument::Tab => tabs(state),
        Argument::Interval => ["250ms", "1s", "2s", "5s", "10s", "30s", "1m"]
            .map(|it| value(it, ""))
            .into(),
        Argument::Metric => crate::update::choose::measured(state)
            .into_iter()
            .map(|metric| value(metric.name(), metric.definition().help))
            .collect(),
        Argument::Moment => ["1m ago", "5m ago", "15m ago", "1h ago", "6h ago", "yesterday"]
            .map(|it| value(it, ""))
            .into(),
        Argument::Theme => {
            let current = |name: &String| if *name == state.console.theme { "now" } else { "" };
            let names = state.console.themes.iter();
            names.map(|name| value(name, current(name))).collect()
        }
        Argument::Filter => state
            .console
            .filters
            .newest_first()
            .map(|line| value(line, "before"))
            .collect(),
        Argument::Sort => crate::update::choose::choices(state, super::Choosing::Sort)
            .into_iter()
            .map(|(key, name, is_current)| {
                value(name, &format!("{key}{}", if is_current { "  now" } else { "" }))
            })
            .collect(),
        Argument::Machine => {
            let machines = state.fleet.machines();
            machines
                .map(|(_, machine)| value(&machine.id, crate::words::state(machine.liveness, machine.health)))
                .collect()
        }
        Argument::Export => [
            ("csv", "a table for spreadsheets"),
            ("json", "for scripts"),
            ("text", "aligned, to be read"),
        ]
        .map(|(name, help)| value(name, help))
        .into(),
    };
    let mut scored: Vec<(i32, Entry)> = all
        .into_iter()
        .filter_map(|mut entry| {
            let (score, places) = matched(typed, &entry.name)?;
            entry.places = places;
            Some((score, entry))
        })
        .collect();
    if !typed.is_empty() {
        scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    }
    scored.into_iter().map(|(_, entry)| entry).collect()
}
