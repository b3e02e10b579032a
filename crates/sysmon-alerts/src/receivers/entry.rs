//! One table of the file, read key by key, so that everything that is wrong with it is said at once.

use std::fs;
use std::time::Duration;

use sysmon_api::Secret;
use sysmon_core::alert::Severity;
use sysmon_core::sanitize;
use toml::{Table, Value};

/// A `[[receiver]]` that is being read.
pub(super) struct Entry<'a> {
    /// What the problems call it.
    place: String,
    table: Table,
    problems: &'a mut Vec<String>,
}

impl<'a> Entry<'a> {
    pub(super) fn new(number: usize, table: Table, problems: &'a mut Vec<String>) -> Self {
        let name = table.get("name").and_then(Value::as_str);
        let place = name.map_or_else(
            || format!("receiver {number}"),
            |name| format!("receiver {}", sanitize(name)),
        );
        Self {
            place,
            table,
            problems,
        }
    }

    pub(super) fn problem(&mut self, problem: impl AsRef<str>) {
        self.problems
            .push(format!("{}: {}", self.place, problem.as_ref()));
    }

    /// The problem of a key, or what it is.
    pub(super) fn good<T>(&mut self, key: &str, result: Result<T, String>) -> Option<T> {
        result
            .map_err(|problem| self.problem(format!("{key}: {problem}")))
            .ok()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        match self.table.remove(key)? {
            Value::String(text) if !text.trim().is_empty() => Some(text),
            Value::String(_) => {
                self.problem(format!("{key} is empty; give it or leave it out"));
                None
            }
            _ => {
                self.problem(format!("{key} is no text; write it in quotes"));
                None
            }
        }
    }

    pub(super) fn needed(&mut self, key: &str, example: &str) -> Option<String> {
        if !self.has(key) {
            self.problem(format!("{key} is missing; write it like {example}"));
        }
        self.text(key)
    }

    pub(super) fn list(&mut self, key: &str) -> Vec<String> {
        let Some(value) = self.table.remove(key) else {
            return Vec::new();
        };
        let texts: Option<Vec<String>> = value.as_array().and_then(|items| {
            let text = |item: &Value| item.as_str().map(str::to_owned);
            items.iter().map(text).collect()
        });
        texts.unwrap_or_else(|| {
            self.problem(format!("{key} is no list of texts; write it like [\"a\", \"b\"]"));
            Vec::new()
        })
    }

    pub(super) fn flag(&mut self, key: &str) -> bool {
        match self.table.remove(key) {
            None => false,
            Some(Value::Boolean(flag)) => flag,
            Some(_) => {
                self.problem(format!("{key} is neither true nor false"));
                false
            }
        }
    }

    pub(super) fn number(&mut self, key: &str, least: u64, most: u64) -> Option<u64> {
        let value = self.table.remove(key)?;
        let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.problem(format!("{key} is no number from {least} to {most}"));
        }
        number
    }

    /// A secret, in place or in a file of its own, where `key` and `key_file` name it.
    pub(super) fn secret(&mut self, key: &str) -> Option<Secret> {
        let file = format!("{key}_file");
        if self.has(key) && self.has(&file) {
            self.problem(format!("{key} and {file} are both there; leave out one"));
        }
        match (self.text(key), self.text(&file)) {
            (Some(text), _) => Some(Secret::new(text.trim())),
            (None, Some(path)) => {
                let text = self.read(&file, &path)?;
                Some(Secret::new(text.trim()))
            }
            (None, None) => None,
        }
    }

    /// The text of a file that a key names.
    pub(super) fn file(&mut self, key: &str) -> Option<String> {
        let path = self.text(key)?;
        self.read(key, &path)
    }

    fn read(&mut self, key: &str, path: &str) -> Option<String> {
        match fs::read_to_string(path) {
            Ok(text) if text.trim().is_empty() => {
                self.problem(format!("{key}: {} is empty", sanitize(path)));
                None
            }
            Ok(text) => Some(text),
            Err(error) => {
                self.problem(format!("{key}: cannot read {}: {error}", sanitize(path)));
                None
            }
        }
    }

    pub(super) fn severity(&mut self, key: &str) -> Severity {
        let Some(text) = self.text(key) else {
            return Severity::Info;
        };
        let severity = Severity::ALL.into_iter().find(|severity| severity.word() == text);
        severity.unwrap_or_else(|| {
            self.problem(format!("{key} is {text:?}; use info, warning or critical"));
            Severity::Info
        })
    }

    /// Seconds.
    pub(super) fn seconds(&mut self, key: &str, default: u64, most: u64) -> Duration {
        Duration::from_secs(self.number(key, 1, most).unwrap_or(default))
    }

    /// Says which keys are left that nobody asked for.
    pub(super) fn finish(mut self) {
        let left: Vec<String> = self.table.keys().map(|key| sanitize(key).into_owned()).collect();
        for key in left {
            self.problem(format!(
                "{key} is no setting of this kind of receiver; check how it is written"
            ));
        }
    }
}
