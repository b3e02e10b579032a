//! The effective settings, each with its origin.

use std::fmt::Write;

use super::raw::Raw;
use super::setting::AnySetting;
use super::table::{SECTIONS, TABLE};
use super::value::Shape;
use super::{Effective, Settings};

/// How settings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PrintFormat {
    /// A configuration file, with where each value came from as a comment.
    Toml,
    /// An object per setting: name, value, source.
    Json,
}

impl Settings {
    /// All settings with their values and where these came from. Secrets show as `***`.
    #[must_use]
    pub fn print(&self, format: PrintFormat) -> String {
        match format {
            PrintFormat::Toml => self.print_toml(),
            PrintFormat::Json => self.print_json(),
        }
    }

    fn print_toml(&self) -> String {
        let mut text = String::new();
        for (section, _) in SECTIONS {
            let separator = if text.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{separator}[{section}]");
            for setting in TABLE.iter().filter(|setting| setting.section() == *section) {
                let _ = writeln!(text, "{}", self.toml_line(*setting));
            }
        }
        text
    }

    fn toml_line(&self, setting: &dyn AnySetting) -> String {
        let key = setting.key();
        match self.effective(setting) {
            None => format!("# {key} is not set"),
            Some(Effective {
                raw: Raw::SecretFile(path),
                origin,
            }) => {
                let path = toml::Value::from(path.to_string_lossy().into_owned());
                format!("{key}_file = {path}  # {origin}")
            }
            // As a comment, so that the output used as a file does not set the secret to stars.
            Some(Effective { raw, origin }) if is_hidden(setting, raw) => {
                let shown = toml::Value::from(setting.redact(raw));
                format!("# {key} = {shown}  # {origin}")
            }
            Some(Effective { raw, origin }) => format!("{key} = {}  # {origin}", to_toml(setting, raw)),
        }
    }

    fn print_json(&self) -> String {
        let rows: Vec<_> = TABLE
            .iter()
            .map(|setting| {
                let effective = self.effective(*setting);
                serde_json::json!({
                    "name": setting.name(),
                    "value": effective.map(|effective| to_json(*setting, &effective.raw)),
                    "source": effective.map(|effective| effective.origin.to_string()),
                })
            })
            .collect();
        format!("{:#}\n", serde_json::Value::from(rows))
    }
}

/// Whether something of a value must not be shown.
fn is_hidden(setting: &dyn AnySetting, raw: &Raw) -> bool {
    setting.is_secret() && !matches!(raw, Raw::Text(text) if *text == setting.redact(raw))
}

/// A value as it is written in a file.
pub(super) fn to_toml(setting: &dyn AnySetting, raw: &Raw) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    match (setting.shape(), raw) {
        (Shape::Switch, Raw::Text(text)) => text.clone(),
        (Shape::Text, Raw::Text(text)) => quoted(text),
        (_, raw) => {
            let pairs: Vec<_> = pairs(raw)
                .map(|(name, value)| format!("{} = {}", to_key(name), quoted(value)))
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        }
    }
}

fn to_json(setting: &dyn AnySetting, raw: &Raw) -> serde_json::Value {
    match (setting.shape(), raw) {
        (_, Raw::SecretFile(path)) => serde_json::json!({ "file": path.to_string_lossy() }),
        _ if setting.is_secret() => setting.redact(raw).into(),
        (Shape::Switch, Raw::Text(text)) => (text == "true").into(),
        (Shape::Text, Raw::Text(text)) => text.clone().into(),
        (_, raw) => pairs(raw)
            .map(|(name, value)| (name.to_owned(), serde_json::Value::from(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

fn pairs(raw: &Raw) -> impl Iterator<Item = (&str, &str)> {
    raw.pairs()
        .into_iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim()))
}

/// A name with a dot would be two keys.
fn to_key(name: &str) -> String {
    if name.contains('.') {
        toml::Value::from(name).to_string()
    } else {
        name.into()
    }
}
