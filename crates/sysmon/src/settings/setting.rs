//! One row of the table of settings.

use std::fmt;
use std::marker::PhantomData;

use super::raw::Raw;
use super::value::{SettingValue, Shape};

/// A setting of type `T`.
pub struct Setting<T> {
    /// `section.key`.
    pub name: &'static str,
    /// Its value when nobody says anything; `None` for "not set".
    pub default: Option<&'static str>,
    /// What a person should know, in a sentence without full stop.
    pub help: &'static str,
    kind: PhantomData<fn() -> T>,
}

impl<T: SettingValue> Setting<T> {
    /// A row; `name` has exactly one dot.
    pub(crate) const fn new(name: &'static str, default: Option<&'static str>, help: &'static str) -> Self {
        Self {
            name,
            default,
            help,
            kind: PhantomData,
        }
    }

    /// The help with the default, for a flag of the command line.
    #[must_use]
    pub fn flag_help(&self) -> String {
        match self.default {
            Some(default) if T::SHAPE != Shape::Switch => format!("{} [default: {default}]", self.help),
            _ => self.help.into(),
        }
    }
}

impl<T> fmt::Debug for Setting<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

/// A setting of any type, as the table has it.
pub trait AnySetting: fmt::Debug + Sync {
    /// `section.key`.
    fn name(&self) -> &'static str;
    /// Its value when nobody says anything.
    fn default(&self) -> Option<&'static str>;
    /// What a person should know.
    fn help(&self) -> &'static str;
    /// What is allowed, to follow "give ".
    fn allowed(&self) -> &'static str;
    /// A value to show where there is no default.
    fn example(&self) -> &'static str;
    /// How it is written in a file.
    fn shape(&self) -> Shape;
    /// Whether the value must not be shown.
    fn is_secret(&self) -> bool;
    /// What may be shown of a value of a setting that must not be shown.
    fn redact(&self, raw: &Raw) -> String;
    /// Whether a relative value is relative to the file that says it.
    fn is_path(&self) -> bool;
    /// Whether a value is valid.
    ///
    /// # Errors
    /// What is wrong with it and what is allowed.
    fn check(&self, raw: &Raw) -> Result<(), String>;

    /// The part before the dot.
    fn section(&self) -> &'static str {
        self.name().split_once('.').map_or("", |(section, _)| section)
    }

    /// The part after the dot.
    fn key(&self) -> &'static str {
        self.name().split_once('.').map_or("", |(_, key)| key)
    }

    /// The environment variable.
    fn variable(&self) -> String {
        format!("SYSMON_{}", self.name().replace('.', "_").to_uppercase())
    }
}

impl<T: SettingValue> AnySetting for Setting<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn default(&self) -> Option<&'static str> {
        self.default
    }

    fn help(&self) -> &'static str {
        self.help
    }

    fn allowed(&self) -> &'static str {
        T::ALLOWED
    }

    fn example(&self) -> &'static str {
        T::EXAMPLE
    }

    fn shape(&self) -> Shape {
        T::SHAPE
    }

    fn is_secret(&self) -> bool {
        T::IS_SECRET
    }

    fn redact(&self, raw: &Raw) -> String {
        T::redact(raw)
    }

    fn is_path(&self) -> bool {
        T::IS_PATH
    }

    fn check(&self, raw: &Raw) -> Result<(), String> {
        match T::parse(raw) {
            Ok(_) => Ok(()),
            Err(reason) => Err(format!("{reason}; give {}", T::ALLOWED)),
        }
    }
}
