//! Configuration: one table of settings, filled from flags, the environment, files and defaults, in that order.
//!
//! Nothing is half configured: [`Settings::load`] looks at every source and either returns settings that all parse,
//! or everything that is wrong with them at once.

mod connections;
mod environment;
mod example;
mod file;
mod print;
mod problem;
mod raw;
mod setting;
mod store_url;
mod suggest;
pub mod table;
mod value;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use connections::NamedConnection;
pub use example::example_file;
pub use print::PrintFormat;
pub use problem::{ConfigError, Origin, Problem};
pub use raw::Raw;
pub use setting::{AnySetting, Setting};
pub(crate) use store_url::without_password;
pub use store_url::{DatabaseUrl, RedisUrl, WebhookUrl};
pub(crate) use suggest::nearest;
pub(crate) use value::parse_duration;
pub use value::{Folder, FrameRate, Interval, Labels, LogFilter, LogFormat, Period, SettingValue, Space};

use table::TABLE;

/// A configuration file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSource {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it was asked for by name, so that its absence is an error.
    pub is_required: bool,
}

/// A setting given on the command line.
#[derive(Clone, Debug)]
pub struct FlagValue {
    /// Which setting.
    pub setting: &'static dyn AnySetting,
    /// The flag as it is typed, such as `--interval`.
    pub flag: &'static str,
    /// What was given.
    pub raw: Raw,
    /// The value is the path of a file that holds the secret.
    pub is_secret_file: bool,
}

/// Everything that settings can come from, so that loading itself reads no global state.
#[derive(Clone, Default)]
pub struct Sources {
    /// Files, lowest precedence first.
    pub files: Vec<FileSource>,
    /// The environment.
    pub variables: Vec<(String, String)>,
    /// The command line.
    pub flags: Vec<FlagValue>,
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the values: there are secrets among them.
        formatter
            .debug_struct("Sources")
            .field("files", &self.files)
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}

/// What one setting is, and who said so.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Effective {
    pub(crate) raw: Raw,
    pub(crate) origin: Origin,
}

/// Valid settings, each with its origin.
#[derive(Clone, Default)]
pub struct Settings {
    /// By `section.key`; a setting without a value and default is absent.
    values: BTreeMap<&'static str, Effective>,
    connections: BTreeMap<String, NamedConnection>,
    warnings: Vec<Problem>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.print(PrintFormat::Toml))
    }
}

/// What came of reading the sources. The settings hold what is valid; where something is not, the next source or the
/// default counts, so that what follows from the settings can be checked too and reported together.
#[must_use = "the problems are not reported yet"]
#[derive(Debug)]
pub struct Loaded {
    settings: Settings,
    problems: Vec<Problem>,
}

impl Loaded {
    /// The settings, when nothing is wrong with them.
    ///
    /// # Errors
    /// Every problem of every source: unknown names, values that do not parse, files that cannot be read.
    pub fn finish(self) -> Result<Settings, ConfigError> {
        self.with(|_| Ok(())).map(|(settings, ())| settings)
    }

    /// The settings and what is made of them, when nothing is wrong with either.
    ///
    /// # Errors
    /// Every problem of every source, and every one that comes up when something is made of them.
    pub fn with<T>(
        self,
        make: impl FnOnce(&Settings) -> Result<T, Vec<Problem>>,
    ) -> Result<(Settings, T), ConfigError> {
        let mut problems = self.problems;
        match make(&self.settings) {
            Ok(made) if problems.is_empty() => return Ok((self.settings, made)),
            Ok(_) => {}
            Err(further) => problems.extend(further),
        }
        Err(ConfigError::new(problems))
    }
}

impl Settings {
    /// Reads all sources.
    pub fn load(sources: &Sources) -> Loaded {
        let mut loader = Loader::default();
        loader.take_defaults();
        for source in &sources.files {
            file::read(source, &mut loader);
        }
        environment::read(&sources.variables, &mut loader);
        for flag in &sources.flags {
            loader.take_flag(flag);
        }
        Loaded {
            settings: loader.settings,
            problems: loader.problems,
        }
    }

    /// A secret, read from its file now if it is in one.
    ///
    /// # Errors
    /// When its file cannot be read or holds something else.
    pub fn secret<T: SettingValue>(&self, setting: &Setting<T>) -> Result<Option<T>, Problem> {
        let Some(Effective { raw, .. }) = self.values.get(setting.name) else {
            return Ok(None);
        };
        let Raw::SecretFile(path) = raw else {
            return Ok(self.get(setting));
        };
        let content = std::fs::read_to_string(path)
            .map_err(|error| self.problem(setting, format!("cannot read {}: {error}", path.display())))?;
        T::parse(&Raw::Text(content.trim().into()))
            .map(Some)
            .map_err(|reason| self.problem(setting, format!("{}: {reason}", path.display())))
    }

    /// The value of a setting; `None` when it was not given and has no default.
    #[must_use]
    pub fn get<T: SettingValue>(&self, setting: &Setting<T>) -> Option<T> {
        // It parsed when it was loaded.
        T::parse(&self.values.get(setting.name)?.raw).ok()
    }

    /// Who set a setting.
    #[must_use]
    pub fn origin<T: SettingValue>(&self, setting: &Setting<T>) -> Option<&Origin> {
        self.values.get(setting.name).map(|effective| &effective.origin)
    }

    /// A problem with the value of a setting, named by who gave it.
    #[must_use]
    pub fn problem<T: SettingValue>(&self, setting: &Setting<T>, message: impl Into<String>) -> Problem {
        let origin = self.origin(setting).cloned().unwrap_or(Origin::Default);
        Problem::new(origin, format!("{}: {}", setting.name, message.into()))
    }

    /// The named connections.
    #[must_use]
    pub fn connections(&self) -> &BTreeMap<String, NamedConnection> {
        &self.connections
    }

    /// What is odd but no error, to be logged once there is a log.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    pub(crate) fn effective(&self, setting: &dyn AnySetting) -> Option<&Effective> {
        self.values.get(setting.name())
    }
}

/// Gathers values and problems while the sources are read.
#[derive(Default)]
pub(crate) struct Loader {
    settings: Settings,
    problems: Vec<Problem>,
}

impl Loader {
    fn take_defaults(&mut self) {
        for setting in TABLE {
            if let Some(default) = setting.default() {
                self.take(*setting, Raw::Text(default.into()), Origin::Default);
            }
        }
    }

    fn take_flag(&mut self, flag: &FlagValue) {
        let origin = Origin::Flag(flag.flag);
        match (&flag.raw, flag.is_secret_file) {
            (Raw::Text(path), true) => self.take_secret_file(flag.setting, path.into(), origin),
            _ => self.take(flag.setting, flag.raw.clone(), origin),
        }
    }

    /// Takes a value over what was there, if it parses.
    pub(crate) fn take(&mut self, setting: &'static dyn AnySetting, raw: Raw, origin: Origin) {
        match setting.check(&raw) {
            Ok(()) => {
                self.settings
                    .values
                    .insert(setting.name(), Effective { raw, origin });
            }
            Err(message) => self.problem(origin, format!("{}: {message}", setting.name())),
        }
    }

    /// Takes the path of a file that holds a secret over what was there.
    pub(crate) fn take_secret_file(
        &mut self,
        setting: &'static dyn AnySetting,
        path: PathBuf,
        origin: Origin,
    ) {
        let raw = Raw::SecretFile(path);
        self.settings
            .values
            .insert(setting.name(), Effective { raw, origin });
    }

    /// Takes a named connection over one of the same name.
    fn take_connection(&mut self, name: &str, connection: NamedConnection) {
        self.settings.connections.insert(name.to_owned(), connection);
    }

    pub(crate) fn problem(&mut self, origin: Origin, message: impl Into<String>) {
        self.problems.push(Problem::new(origin, message));
    }

    pub(crate) fn warning(&mut self, origin: Origin, message: impl Into<String>) {
        self.settings.warnings.push(Problem::new(origin, message));
    }
}

#[cfg(test)]
mod tests;
