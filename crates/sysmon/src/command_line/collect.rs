//! From typed flags to values for the settings.

use std::path::PathBuf;

use crate::settings::{AnySetting, FlagValue, Raw};

/// Gathers the flags that were given.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    values: Vec<FlagValue>,
}

impl Flags {
    /// A flag with a value.
    #[must_use]
    pub fn text(self, setting: &'static dyn AnySetting, flag: &'static str, value: Option<&String>) -> Self {
        self.add(setting, flag, value.cloned().map(Raw::Text), false)
    }

    /// A flag with a path.
    #[must_use]
    pub fn path(self, setting: &'static dyn AnySetting, flag: &'static str, value: Option<&PathBuf>) -> Self {
        let text = value.map(|path| Raw::Text(path.to_string_lossy().into_owned()));
        self.add(setting, flag, text, false)
    }

    /// A flag that is there or not; when it is not, files and variables decide.
    #[must_use]
    pub fn switch(self, setting: &'static dyn AnySetting, flag: &'static str, is_given: bool) -> Self {
        self.add(setting, flag, is_given.then(|| Raw::Text("true".into())), false)
    }

    /// A flag that may be repeated.
    #[must_use]
    pub fn pairs(self, setting: &'static dyn AnySetting, flag: &'static str, values: &[String]) -> Self {
        let pairs = (!values.is_empty()).then(|| Raw::Pairs(values.to_vec()));
        self.add(setting, flag, pairs, false)
    }

    /// A flag with the path of a file that holds a secret; there is no flag for the secret itself, because every user
    /// of a machine can read the arguments of its processes.
    #[must_use]
    pub fn secret_file(
        self,
        setting: &'static dyn AnySetting,
        flag: &'static str,
        value: Option<&PathBuf>,
    ) -> Self {
        let text = value.map(|path| Raw::Text(path.to_string_lossy().into_owned()));
        self.add(setting, flag, text, true)
    }

    /// What was gathered.
    #[must_use]
    pub fn into_values(self) -> Vec<FlagValue> {
        self.values
    }

    fn add(
        mut self,
        setting: &'static dyn AnySetting,
        flag: &'static str,
        raw: Option<Raw>,
        is_secret_file: bool,
    ) -> Self {
        if let Some(raw) = raw {
            self.values.push(FlagValue {
                setting,
                flag,
                raw,
                is_secret_file,
            });
        }
        self
    }
}
