//! Named connections: `[connections.prod]` with an address and what it takes to be let in there.

use std::path::PathBuf;

use sysmon_api::Endpoint;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::problem::Origin;
use super::raw::Raw;
use super::value::SettingValue;

/// An aggregator with a name, for `sysmon-tui @NAME`.
#[derive(Clone, Debug)]
pub struct NamedConnection {
    /// Where it is.
    pub url: Endpoint,
    /// File with the token for it; no other is ever sent there.
    pub token_file: Option<PathBuf>,
    /// Certificate authority in PEM.
    pub tls_ca: Option<PathBuf>,
    /// Plain HTTP beyond this machine.
    pub insecure: bool,
    /// Who says so.
    pub origin: Origin,
}

/// The keys of such a section.
const KEYS: &str = "url, token_file, tls_ca and insecure";

/// Something that is wrong, at a byte of the file.
pub(super) type Mistake = (usize, String);

/// Reads the section of one name; `resolve` makes a path relative to the file.
pub(super) fn read(
    name: &Spanned<DeString<'_>>,
    content: &Spanned<DeValue<'_>>,
    origin: Origin,
    resolve: impl Fn(&str) -> PathBuf,
) -> Result<NamedConnection, Vec<Mistake>> {
    let at = name.span().start;
    let name = name.get_ref().as_ref();
    if name.is_empty()
        || !name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    {
        let message = format!("{name:?} is no name for a connection; give letters, digits, - and _");
        return Err(vec![(at, message)]);
    }
    let DeValue::Table(keys) = content.get_ref() else {
        let message = format!("write [connections.{name}] on a line of its own, {KEYS} below");
        return Err(vec![(at, message)]);
    };
    let mut reader = Reader {
        name,
        keys,
        mistakes: Vec::new(),
    };
    let url = reader.url(at);
    let token_file = reader.text("token_file").map(|path| resolve(&path));
    let tls_ca = reader.text("tls_ca").map(|path| resolve(&path));
    let insecure = reader.switch("insecure");
    reader.unknown();
    match url {
        Some(url) if reader.mistakes.is_empty() => Ok(NamedConnection {
            url,
            token_file,
            tls_ca,
            insecure,
            origin,
        }),
        _ => Err(reader.mistakes),
    }
}

struct Reader<'a, 'b> {
    name: &'a str,
    keys: &'a DeTable<'b>,
    mistakes: Vec<Mistake>,
}

impl Reader<'_, '_> {
    fn wrong(&mut self, at: usize, key: &str, message: &str) {
        let message = format!("connections.{}.{key}: {message}", self.name);
        self.mistakes.push((at, message));
    }

    fn value(&self, key: &str) -> Option<&Spanned<DeValue<'_>>> {
        let mut keys = self.keys.iter();
        keys.find(|(known, _)| known.get_ref().as_ref() == key)
            .map(|(_, value)| value)
    }

    fn text(&mut self, key: &str) -> Option<String> {
        let value = self.value(key)?;
        let at = value.span().start;
        match value.get_ref() {
            DeValue::String(text) if !text.is_empty() => Some(text.to_string()),
            other => {
                let message = format!("{} is not expected here; give a text in quotes", other.type_str());
                self.wrong(at, key, &message);
                None
            }
        }
    }

    fn url(&mut self, at: usize) -> Option<Endpoint> {
        if self.value("url").is_none() {
            self.wrong(at, "url", "it is missing; give url = \"http://HOST:50051\"");
            return None;
        }
        let text = self.text("url")?;
        match Endpoint::parse(&Raw::Text(text)) {
            Ok(url) => Some(url),
            Err(reason) => {
                let message = format!("{reason}; give {}", <Endpoint as SettingValue>::ALLOWED);
                let at = self.value("url").map_or(at, |value| value.span().start);
                self.wrong(at, "url", &message);
                None
            }
        }
    }

    fn switch(&mut self, key: &str) -> bool {
        let Some(value) = self.value(key) else {
            return false;
        };
        let at = value.span().start;
        if let DeValue::Boolean(flag) = value.get_ref() {
            return *flag;
        }
        self.wrong(at, key, "give true or false");
        false
    }

    fn unknown(&mut self) {
        let known = ["url", "token_file", "tls_ca", "insecure"];
        let unknown: Vec<(usize, String)> = self
            .keys
            .iter()
            .filter(|(key, _)| !known.contains(&key.get_ref().as_ref()))
            .map(|(key, _)| (key.span().start, key.get_ref().to_string()))
            .collect();
        for (at, key) in unknown {
            let hint = if key == "token" {
                "a token is kept in a file of its own; give token_file"
            } else {
                "there is no such setting"
            };
            let message = format!("{hint}; a connection has {KEYS}");
            self.wrong(at, &key, &message);
        }
    }
}
