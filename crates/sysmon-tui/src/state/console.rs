//! The console itself: its keys, its command line, its colours, and what it may do.

use std::collections::VecDeque;

use super::background::TabNames;
use super::meter::Meter;
use super::palette::Palette;
use super::{State, View};
use crate::command::Context;
use crate::keymap::Keymap;

/// What the runtime found that a person can choose from, and what the command line said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Console {
    pub(crate) keymap: Keymap,
    /// The line of commands, while it is open.
    pub(crate) palette: Option<Palette>,
    /// Lines that were carried out, the newest last.
    pub(crate) history: History,
    /// Filters that were set, the newest last.
    pub(crate) filters: History,
    /// Names of all themes.
    pub(crate) themes: Vec<String>,
    /// The theme that is kept; a preview does not change it.
    pub(crate) theme: String,
    /// Named connections of the configuration.
    pub(crate) connections: Vec<String>,
    pub(crate) tabs: TabNames,
    /// Whether nothing may be changed.
    pub(crate) is_readonly: bool,
    /// Whether the terminal takes frames slowly, or is to be taken for such a one.
    pub(crate) is_slow: bool,
    pub(crate) meter: Meter,
    /// Whether what the client costs is shown.
    pub(crate) has_diagnostics: bool,
    /// What of the help is shown.
    pub(crate) help_filter: String,
}

impl State {
    /// The context of the view itself, whatever lies over it.
    #[must_use]
    pub(crate) fn view_context(&self) -> Context {
        match &self.view {
            View::Fleet => Context::Fleet,
            View::Machine(_) => Context::Machine,
            View::Alerts => Context::Alerts,
            View::Rules => Context::Rules,
        }
    }

    /// The same, with other keys.
    #[must_use]
    pub fn with_keymap(mut self, keymap: Keymap) -> Self {
        self.console.keymap = keymap;
        self
    }

    /// The same, for a console that may change nothing.
    #[must_use]
    pub fn readonly(mut self, is_readonly: bool) -> Self {
        self.console.is_readonly = is_readonly;
        self
    }

    /// The same, with themes and connections to choose from.
    #[must_use]
    pub fn with_choices(mut self, theme: &str, themes: Vec<String>, connections: Vec<String>) -> Self {
        self.console.theme = theme.to_owned();
        self.console.themes = themes;
        self.console.connections = connections;
        self
    }
}

/// Lines that somebody typed, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    lines: VecDeque<String>,
}

impl History {
    /// Older lines are forgotten.
    pub(crate) const MAX: usize = 50;

    /// Takes a line; one that was there already becomes the newest.
    pub(crate) fn push(&mut self, line: &str) {
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        self.lines.retain(|other| other != line);
        self.lines.push_back(line.to_owned());
        if self.lines.len() > Self::MAX {
            self.lines.pop_front();
        }
    }

    /// The line `back` steps ago, the newest at 0.
    pub(crate) fn get(&self, back: usize) -> Option<&str> {
        self.lines.iter().rev().nth(back).map(String::as_str)
    }

    /// The newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().rev().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_bounded_and_holds_a_line_once() {
        let mut history = History::default();
        for number in 0..80 {
            history.push(&format!("go {number}"));
        }
        history.push("  ");
        history.push("go 70");
        assert_eq!((history.get(0), history.get(1)), (Some("go 70"), Some("go 79")));
        assert_eq!(history.newest_first().count(), History::MAX);
        assert_eq!(history.get(History::MAX), None);
    }
}
