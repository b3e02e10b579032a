//! Reading a file of keys. Whatever is wrong is gathered, so that one look mends all of it.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::{Bound, Keymap, KeymapProblem, definition};
use crate::command::{COMMANDS, Command, Context, show_keys};
use crate::key::{Key, KeyCode};

/// A line of the file.
struct Wish {
    line: usize,
    context: Context,
    keys: Vec<Key>,
    /// `None` takes the keys away.
    command: Option<Command>,
}

pub(super) fn parse(text: &str) -> Result<Keymap, Vec<KeymapProblem>> {
    let mut reader = Reader {
        text,
        wishes: Vec::new(),
        problems: Vec::new(),
    };
    reader.read();
    let Reader {
        wishes, mut problems, ..
    } = reader;
    let keymap = changed(&wishes, &mut problems);
    conflicts(&keymap, &wishes, &mut problems);
    problems.sort_by_key(|problem| problem.line);
    if problems.is_empty() {
        Ok(keymap)
    } else {
        Err(problems)
    }
}

struct Reader<'a> {
    text: &'a str,
    wishes: Vec<Wish>,
    problems: Vec<KeymapProblem>,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().get(..at).unwrap_or(self.text.as_bytes());
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }

    fn problem(&mut self, at: usize, message: String) {
        let line = self.line(at);
        self.problems.push(KeymapProblem { line, message });
    }

    fn read(&mut self) {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            self.problem(at, error.message().to_owned());
        }
        for (section, content) in document.get_ref() {
            let name = section.get_ref().as_ref();
            let context = Context::ALL.iter().find(|(context, _)| context.name() == name);
            match (context, content.get_ref()) {
                (Some((context, _)), DeValue::Table(bindings)) => {
                    for (keys, command) in bindings {
                        self.take(*context, keys, command);
                    }
                }
                (Some(_), _) => self.problem(
                    section.span().start,
                    format!("{name} is a section; write [{name}] on a line of its own, its keys below"),
                ),
                (None, _) => {
                    let all = Context::ALL.map(|(context, _)| format!("[{}]", context.name()));
                    let message = format!("there is no section [{name}]; there are {}", all.join(", "));
                    self.problem(section.span().start, message);
                }
            }
        }
    }

    fn take(&mut self, context: Context, keys: &Spanned<DeString<'_>>, command: &Spanned<DeValue<'_>>) {
        let at = keys.span().start;
        let written = keys.get_ref().as_ref();
        let sequence = match sequence(written, context) {
            Ok(sequence) => Some(sequence),
            Err(message) => {
                self.problem(at, message);
                None
            }
        };
        let command = match command.get_ref() {
            DeValue::String(name) if name.is_empty() => Ok(None),
            DeValue::String(name) => named(name, context).map(Some),
            other => Err(format!(
                "{written:?} is given {}; give the name of a command in quotes, or \"\" to take the key away",
                other.type_str()
            )),
        };
        match (sequence, command) {
            (Some(keys), Ok(command)) => {
                let line = self.line(at);
                self.wishes.push(Wish {
                    line,
                    context,
                    keys,
                    command,
                });
            }
            (_, Err(message)) => self.problem(at, message),
            (None, Ok(_)) => {}
        }
    }
}

/// The keys of a text; they are apart by spaces.
fn sequence(written: &str, context: Context) -> Result<Vec<Key>, String> {
    let mut keys = Vec::new();
    for word in written.split_whitespace() {
        keys.push(word.parse::<Key>().map_err(|_| {
            format!("{word:?} is no key; give a character, Ctrl-x, F1 to F12, Space, Enter, Tab, PgUp, Home and the like, several of them apart by spaces")
        })?);
    }
    let is = |code| keys.iter().any(|key: &Key| key.code == code);
    if keys.is_empty() {
        return Err("no key is given; write it between the quotes, a space as \"Space\"".into());
    }
    if keys.len() > 4 {
        return Err(format!("{written:?} is longer than four keys; make it shorter"));
    }
    if is(KeyCode::Char('[')) {
        return Err("\"[\" cannot be bound: an arrow key that a slow link tears apart would press it".into());
    }
    if is(KeyCode::Escape) {
        return Err("Esc cannot be bound: it always goes back".into());
    }
    if keys.contains(&Key::control('c')) {
        return Err("Ctrl-C cannot be bound: it always quits".into());
    }
    if context == Context::Form {
        let is_text =
            |key: &Key| matches!(key.code, KeyCode::Char(character) if !key.control && character != ' ');
        if keys.iter().any(is_text) {
            return Err(format!(
                "{written:?} is text while something is edited; give a key with Ctrl, a function key or Space"
            ));
        }
    }
    if keys.len() > 1 && context.then().is_empty() && context != Context::Anywhere {
        return Err(format!(
            "{written:?} is a sequence; in [{}] only single keys work",
            context.name()
        ));
    }
    Ok(keys)
}

fn named(name: &str, context: Context) -> Result<Command, String> {
    let Some(command) = Command::from_name(name) else {
        let best = COMMANDS
            .iter()
            .map(|definition| definition.command.name())
            .filter_map(|known| Some((crate::fuzzy::distance(name, &known)?, known)))
            .min();
        return Err(match best {
            Some((_, meant)) => format!("there is no command {name:?}; did you mean {meant:?}?"),
            None => format!("there is no command {name:?}; `sysmon-tui --print-keymap` lists them"),
        });
    };
    if definition(command, context).is_some() {
        return Ok(command);
    }
    let places: Vec<String> = COMMANDS
        .iter()
        .filter(|definition| definition.command == command)
        .map(|definition| format!("[{}]", definition.context.name()))
        .collect();
    Err(format!(
        "{name:?} does nothing in [{}]; put it below {}",
        context.name(),
        places.join(" or ")
    ))
}

/// The table's keys with the wishes of the file; two wishes for the same keys are a problem.
fn changed(wishes: &[Wish], problems: &mut Vec<KeymapProblem>) -> Keymap {
    let mut keymap = Keymap::default();
    for (index, wish) in wishes.iter().enumerate() {
        let same = |other: &&Wish| other.context == wish.context && other.keys == wish.keys;
        if let Some(first) = wishes[..index].iter().find(same) {
            problems.push(KeymapProblem {
                line: wish.line,
                message: format!(
                    "{} is there twice in [{}], first in line {}; keep one of them",
                    show_keys(&wish.keys),
                    wish.context.name(),
                    first.line
                ),
            });
            continue;
        }
        let is_taken = |bound: &Bound| bound.context == wish.context && bound.keys == wish.keys;
        let had = keymap.bindings.iter().any(is_taken);
        keymap.bindings.retain(|bound| !is_taken(bound));
        match wish.command {
            // The wish of a person is shown before the table's own key.
            Some(command) => {
                let bound = Bound {
                    context: wish.context,
                    keys: wish.keys.clone(),
                    command,
                };
                keymap.bindings.insert(0, bound);
            }
            None if !had => problems.push(KeymapProblem {
                line: wish.line,
                message: format!(
                    "{} means nothing in [{}] that could be taken away; drop the line",
                    show_keys(&wish.keys),
                    wish.context.name()
                ),
            }),
            None => {}
        }
    }
    keymap
}

/// Wishes that could never take effect, or that hide others.
fn conflicts(keymap: &Keymap, wishes: &[Wish], problems: &mut Vec<KeymapProblem>) {
    for wish in wishes.iter().filter(|wish| wish.command.is_some()) {
        let clash = keymap.bindings.iter().find_map(|bound| clash(wish, bound));
        if let Some(message) = clash {
            problems.push(KeymapProblem {
                line: wish.line,
                message,
            });
        }
    }
}

/// Why a wish and another binding cannot both be.
fn clash(wish: &Wish, bound: &Bound) -> Option<String> {
    let is_itself = bound.context == wish.context && bound.keys == wish.keys;
    let wish_is_general = bound.context.then().contains(&wish.context);
    let wish_is_special = wish.context.then().contains(&bound.context);
    if is_itself || !(wish_is_general || wish_is_special || bound.context == wish.context) {
        return None;
    }
    let (mine, other) = (show_keys(&wish.keys), show_keys(&bound.keys));
    let (name, place) = (bound.command.name(), bound.context.name());
    let spaced: Vec<String> = bound.keys.iter().map(super::written).collect();
    let mend = format!("take that away with {:?} = \"\" in [{place}]", spaced.join(" "));
    if bound.keys == wish.keys {
        // A view goes before what is general: that is how a wish there wins.
        return wish_is_general.then(|| format!("{mine} means {name:?} in [{place}] already; {mend}"));
    }
    if bound.keys.starts_with(&wish.keys) {
        return Some(format!(
            "{mine} is the beginning of {other}, which means {name:?} in [{place}]; {mend}"
        ));
    }
    if wish.keys.starts_with(&bound.keys) {
        return Some(format!(
            "{mine} can never be typed: {other} means {name:?} in [{place}]; {mend}"
        ));
    }
    None
}
