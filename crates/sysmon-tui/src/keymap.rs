//! Which keys mean which commands: the table's own, changed by a file of keys.

use std::fmt;

use crate::command::{Binding, COMMANDS, Command, CommandDefinition, Context, show_keys};
use crate::key::{Key, KeyCode};

mod file;

/// Keys of one context and what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) context: Context,
    pub(crate) keys: Vec<Key>,
    pub(crate) command: Command,
}

/// All bindings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keymap {
    bindings: Vec<Bound>,
}

/// Something in a file of keys that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeymapProblem {
    /// Line, counted from 1.
    pub line: usize,
    /// What, and what to do about it.
    pub message: String,
}

impl fmt::Display for KeymapProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.message)
    }
}

impl Default for Keymap {
    fn default() -> Self {
        let bindings = COMMANDS.iter().flat_map(|definition| {
            definition.keys.iter().map(|keys| Bound {
                context: definition.context,
                keys: keys.to_vec(),
                command: definition.command,
            })
        });
        Self {
            bindings: bindings.collect(),
        }
    }
}

impl Keymap {
    /// The table's keys, changed as a file says: `[fleet]`, then `"g h" = "heat-map"`, or `"v" = ""` to take a key away.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Vec<KeymapProblem>> {
        file::parse(text)
    }

    /// The bindings as a file that [`Keymap::parse`] reads.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::from(
            "# Keys of sysmon-tui. Keep what you change, in keys.toml beside sysmon.toml or behind --keymap.\n\
             # \"g h\" is one key after the other; Ctrl-x, F5, Space, Enter, Tab, PgUp and the like are names; \"\" takes a key away.\n",
        );
        for (context, heading) in Context::ALL {
            text.push_str(&format!("\n# {heading}\n[{}]\n", context.name()));
            for bound in self.bindings.iter().filter(|bound| bound.context == context) {
                let keys: Vec<String> = bound.keys.iter().map(written).collect();
                let keys = quoted(&keys.join(" "));
                let fixed = if is_fixed(&bound.keys) { "# always: " } else { "" };
                text.push_str(&format!("{fixed}{keys} = {}\n", quoted(&bound.command.name())));
            }
        }
        text
    }

    /// Looks a key sequence up; earlier contexts win.
    #[must_use]
    pub(crate) fn lookup(&self, sequence: &[Key], contexts: &[Context]) -> Binding {
        for context in contexts {
            for bound in self.bindings.iter().filter(|bound| bound.context == *context) {
                if bound.keys == sequence {
                    return Binding::Command(bound.command);
                }
                if bound.keys.starts_with(sequence) {
                    return Binding::Prefix;
                }
            }
        }
        Binding::None
    }

    /// The keys of a row of the table, as they are shown.
    pub(crate) fn keys_of(&self, definition: &CommandDefinition) -> impl Iterator<Item = String> {
        let (command, context) = (definition.command, definition.context);
        self.bindings
            .iter()
            .filter(move |bound| bound.command == command && bound.context == context)
            .map(|bound| show_keys(&bound.keys))
    }

    /// The first keys of a command where `contexts` apply, as they are shown.
    pub(crate) fn first_keys(&self, command: Command, contexts: &[Context]) -> Option<String> {
        contexts.iter().find_map(|context| {
            let mut here = self.bindings.iter();
            here.find(|bound| bound.command == command && bound.context == *context)
                .map(|bound| show_keys(&bound.keys))
        })
    }

    /// What a context shows in the help: its rows of the table with their keys, then what a file has added to it.
    pub(crate) fn help(&self, context: Context) -> Vec<(String, &'static CommandDefinition)> {
        let rows = COMMANDS.iter().filter(|definition| definition.context == context);
        let mut lines: Vec<_> = rows
            .clone()
            .map(|definition| {
                let keys: Vec<String> = self.keys_of(definition).collect();
                (keys.join("  "), definition)
            })
            .collect();
        let is_added = |bound: &&Bound| {
            bound.context == context && !rows.clone().any(|row| row.command == bound.command)
        };
        for bound in self.bindings.iter().filter(is_added) {
            if let Some(definition) = definition(bound.command, context) {
                lines.push((show_keys(&bound.keys), definition));
            }
        }
        lines
    }
}

/// The row that says what a command does where `context` applies.
pub(crate) fn definition(command: Command, context: Context) -> Option<&'static CommandDefinition> {
    let contexts = std::iter::once(&context).chain(context.then());
    contexts.into_iter().find_map(|context| {
        COMMANDS
            .iter()
            .find(|definition| definition.command == command && definition.context == *context)
    })
}

/// Whether keys mean what they mean whatever a file says: without them nobody finds the way out.
fn is_fixed(keys: &[Key]) -> bool {
    keys.iter()
        .any(|key| key.code == KeyCode::Escape || *key == Key::control('c'))
}

/// A key as it is written in a file.
fn written(key: &Key) -> String {
    let shown = key.to_string();
    match shown.strip_prefix('^') {
        Some(rest) if key.control => format!("Ctrl-{}", rest.to_lowercase()),
        _ => shown,
    }
}

/// A basic string of TOML; keys and names hold nothing else that must be escaped.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests;
