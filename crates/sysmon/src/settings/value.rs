//! The types that settings have, and how each is read from text.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use sysmon_api::{Endpoint, Secret};
use sysmon_collector::ProcessArguments;
use sysmon_core::MachineId;
use sysmon_tui::Notify;

use super::raw::Raw;

/// How a value is written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A string.
    Text,
    /// `true` or `false`; a flag without a value on the command line.
    Switch,
    /// A table of strings.
    Pairs,
}

/// A type that a setting can have.
pub trait SettingValue: Sized + 'static {
    /// What is allowed, to follow "give ".
    const ALLOWED: &'static str;
    /// A value that parses, for the example file.
    const EXAMPLE: &'static str;
    /// How it is written in a file.
    const SHAPE: Shape = Shape::Text;
    /// Whether it must not be shown.
    const IS_SECRET: bool = false;
    /// Whether it names a file.
    const IS_PATH: bool = false;

    /// What may be shown of a value that must not be shown as it is.
    #[must_use]
    fn redact(_raw: &Raw) -> String {
        "***".into()
    }

    /// Reads a value.
    ///
    /// # Errors
    /// What is wrong with it; what is allowed is added by whoever calls.
    fn parse(raw: &Raw) -> Result<Self, String>;
}

fn text(raw: &Raw) -> Result<&str, String> {
    match raw {
        Raw::Text(text) if text.is_empty() => Err("the value is empty".into()),
        Raw::Text(text) => Ok(text),
        Raw::Pairs(_) => Err("a table is no single value".into()),
        Raw::SecretFile(_) => Err("a file is named instead of the value".into()),
    }
}

/// The time between two samples: 100 ms to 1 h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval(pub Duration);

impl SettingValue for Interval {
    const ALLOWED: &'static str = "100ms to 1h, such as 250ms, 5s or 1m";
    const EXAMPLE: &'static str = "5s";

    fn parse(raw: &Raw) -> Result<Self, String> {
        let text = text(raw)?;
        let duration = parse_duration(text).ok_or_else(|| format!("{text:?} is no duration"))?;
        if (Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&duration) {
            Ok(Self(duration))
        } else {
            Err(format!("{text} is out of range"))
        }
    }
}

/// A whole number with a unit: `250ms`, `5s`, `10m`, `1h`, `7d`, `2y` (of 365 days); `None` for anything else.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit.trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "y" => 365 * 86_400_000,
        _ => return None,
    };
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(unit_ms)
        .map(Duration::from_millis)
}

/// How long something is kept: 1 h to 100 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period(pub Duration);

impl Period {
    /// In milliseconds.
    #[must_use]
    pub fn ms(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl SettingValue for Period {
    const ALLOWED: &'static str = "1h to 100y, such as 12h, 7d or 2y";
    const EXAMPLE: &'static str = "7d";

    fn parse(raw: &Raw) -> Result<Self, String> {
        const HOUR: Duration = Duration::from_secs(3_600);
        let text = text(raw)?;
        let duration = parse_duration(text).ok_or_else(|| format!("{text:?} is no duration"))?;
        if (HOUR..=HOUR * 24 * 365 * 100).contains(&duration) {
            Ok(Self(duration))
        } else {
            Err(format!("{text} is out of range"))
        }
    }
}

/// An amount of space: 1 MiB to 1 TiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// How many bytes.
    pub bytes: u64,
}

impl SettingValue for Space {
    const ALLOWED: &'static str = "1MiB to 1TiB, such as 64MiB or 2GiB";
    const EXAMPLE: &'static str = "512MiB";

    fn parse(raw: &Raw) -> Result<Self, String> {
        let text = text(raw)?;
        let bytes = parse_space(text).ok_or_else(|| format!("{text:?} is no amount of space"))?;
        if (1 << 20..=1 << 40).contains(&bytes) {
            Ok(Self { bytes })
        } else {
            Err(format!("{text} is out of range"))
        }
    }
}

/// A whole number with a unit of bytes; `None` for anything else.
fn parse_space(text: &str) -> Option<u64> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let unit_bytes: u64 = match unit.trim_start() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit_bytes)
}

impl SettingValue for bool {
    const ALLOWED: &'static str = "true or false";
    const EXAMPLE: &'static str = "true";
    const SHAPE: Shape = Shape::Switch;

    fn parse(raw: &Raw) -> Result<Self, String> {
        match text(raw)? {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(format!("{other:?} is neither true nor false")),
        }
    }
}

/// Frames a second: 1 to 60.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRate(pub u32);

impl SettingValue for FrameRate {
    const ALLOWED: &'static str = "a whole number from 1 to 60";
    const EXAMPLE: &'static str = "10";

    fn parse(raw: &Raw) -> Result<Self, String> {
        let text = text(raw)?;
        match text.parse() {
            Ok(rate @ 1..=60) => Ok(Self(rate)),
            _ => Err(format!("{text:?} is no rate of frames")),
        }
    }
}

impl SettingValue for String {
    const ALLOWED: &'static str = "a name";
    const EXAMPLE: &'static str = "name";

    fn parse(raw: &Raw) -> Result<Self, String> {
        text(raw).map(Into::into)
    }
}

impl SettingValue for PathBuf {
    const ALLOWED: &'static str = "the path of a file";
    const EXAMPLE: &'static str = "/etc/sysmon/file";
    const IS_PATH: bool = true;

    fn parse(raw: &Raw) -> Result<Self, String> {
        text(raw).map(Into::into)
    }
}

/// The path of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(pub PathBuf);

impl SettingValue for Folder {
    const ALLOWED: &'static str = "the path of a folder";
    const EXAMPLE: &'static str = "/var/lib/sysmon/folder";
    const IS_PATH: bool = true;

    fn parse(raw: &Raw) -> Result<Self, String> {
        text(raw).map(|path| Self(path.into()))
    }
}

impl SettingValue for SocketAddr {
    const ALLOWED: &'static str = "an IP address with a port, such as 127.0.0.1:50051 or [::]:50051";
    const EXAMPLE: &'static str = "127.0.0.1:50051";

    fn parse(raw: &Raw) -> Result<Self, String> {
        let text = text(raw)?;
        text.parse()
            .map_err(|_| format!("{text:?} is no address to listen on"))
    }
}

impl SettingValue for MachineId {
    const ALLOWED: &'static str = "1 to 128 letters, digits, '-', '_', '.' or ':'";
    const EXAMPLE: &'static str = "web-1";

    fn parse(raw: &Raw) -> Result<Self, String> {
        let text = text(raw)?;
        Self::parse(text).map_err(|_| format!("{text:?} is no machine id"))
    }
}

impl SettingValue for Endpoint {
    const ALLOWED: &'static str = "http://HOST:PORT, https://HOST:PORT or unix:/PATH";
    const EXAMPLE: &'static str = "http://127.0.0.1:50051";

    fn parse(raw: &Raw) -> Result<Self, String> {
        // What is allowed follows in our own words.
        let reason =
            |error: sysmon_api::ApiError| error.message.split(';').next().unwrap_or_default().to_owned();
        text(raw)?.parse().map_err(reason)
    }
}

/// Labels of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(pub Vec<(String, String)>);

impl Labels {
    const LIMIT: usize = 32;
}

impl SettingValue for Labels {
    const ALLOWED: &'static str =
        "up to 32 pairs such as role=web, with names of letters, digits, '-', '_' or '.'";
    const EXAMPLE: &'static str = "role=web,dc=ams1";
    const SHAPE: Shape = Shape::Pairs;

    fn parse(raw: &Raw) -> Result<Self, String> {
        let mut labels: Vec<(String, String)> = Vec::new();
        for pair in raw.pairs() {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| format!("{pair:?} has no '='"))?;
            let (name, value) = (name.trim(), value.trim());
            let is_name = !name.is_empty()
                && name.len() <= 64
                && name
                    .chars()
                    .all(|character| character.is_ascii_alphanumeric() || "-_.".contains(character));
            if !is_name {
                return Err(format!("{name:?} is no name of a label"));
            }
            if value.is_empty() || value.len() > 256 || !sysmon_core::is_clean(value) {
                return Err(format!(
                    "the label {name} needs a value of at most 256 printable characters"
                ));
            }
            if labels.iter().any(|(known, _)| known == name) {
                return Err(format!("the label {name} is given twice"));
            }
            labels.push((name.into(), value.into()));
        }
        if labels.len() > Self::LIMIT {
            return Err(format!("{} labels are too many", labels.len()));
        }
        labels.sort();
        Ok(Self(labels))
    }
}

impl SettingValue for ProcessArguments {
    const ALLOWED: &'static str = "none, redacted or full";
    const EXAMPLE: &'static str = "redacted";

    fn parse(raw: &Raw) -> Result<Self, String> {
        let text = text(raw)?;
        text.parse()
            .map_err(|_| format!("{text:?} is no way to show arguments"))
    }
}

/// Which log lines are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(pub String);

impl SettingValue for LogFilter {
    const ALLOWED: &'static str =
        "error, warn, info, debug, trace or off, also per module as in info,sysmon_aggregator=debug";
    const EXAMPLE: &'static str = "info";

    fn parse(raw: &Raw) -> Result<Self, String> {
        let text = text(raw)?;
        let is_level = |level: &str| {
            ["error", "warn", "info", "debug", "trace", "off"].contains(&level.to_lowercase().as_str())
        };
        let is_filter = text.split(',').all(|part| match part.split_once('=') {
            Some((module, level)) => !module.trim().is_empty() && is_level(level.trim()),
            None => is_level(part.trim()),
        });
        if is_filter {
            Ok(Self(text.into()))
        } else {
            Err(format!("{text:?} is no log level"))
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object per line.
    Json,
}

impl SettingValue for LogFormat {
    const ALLOWED: &'static str = "human or json";
    const EXAMPLE: &'static str = "human";

    fn parse(raw: &Raw) -> Result<Self, String> {
        match text(raw)? {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            other => Err(format!("{other:?} is no log format")),
        }
    }
}

impl SettingValue for Notify {
    const ALLOWED: &'static str = "none, bell, osc9 or osc777";
    const EXAMPLE: &'static str = "bell";

    fn parse(raw: &Raw) -> Result<Self, String> {
        let word = text(raw)?;
        Self::from_word(word).ok_or_else(|| format!("{word:?} is no way to tell"))
    }
}

impl SettingValue for Secret {
    const ALLOWED: &'static str = "a token as `sysmon tokens create` prints it";
    const EXAMPLE: &'static str = "…";
    const IS_SECRET: bool = true;

    fn parse(raw: &Raw) -> Result<Self, String> {
        // The value itself stays out of the message.
        let text = text(raw)?;
        if text.chars().all(|character| character.is_ascii_graphic()) {
            Ok(Self::new(text))
        } else {
            Err("a character that no token has".into())
        }
    }
}
