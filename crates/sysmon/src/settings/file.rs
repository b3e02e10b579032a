//! Settings from TOML files, with the line of everything that is wrong.

use std::io::ErrorKind;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::connections;
use super::problem::Origin;
use super::raw::Raw;
use super::setting::AnySetting;
use super::suggest::nearest;
use super::table::{SECTIONS, TABLE, find};
use super::value::Shape;
use super::{FileSource, Loader};

/// Takes over what a file says; a default file that is not there says nothing.
pub(super) fn read(source: &FileSource, loader: &mut Loader) {
    match std::fs::read_to_string(&source.path) {
        Ok(text) => File {
            path: &source.path,
            text: &text,
        }
        .read(loader),
        Err(error) if error.kind() == ErrorKind::NotFound && !source.is_required => {}
        Err(error) => loader.problem(
            Origin::WholeFile(source.path.clone()),
            format!("cannot read it: {error}"),
        ),
    }
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn read(&self, loader: &mut Loader) {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            loader.problem(self.origin(at), error.message());
        }
        for (section, content) in document.get_ref() {
            let name = section.get_ref().as_ref();
            match content.get_ref() {
                DeValue::Table(keys) if is_section(name) => {
                    for (key, value) in keys {
                        self.take(name, key, value, loader);
                    }
                }
                DeValue::Table(connections) if name == "connections" => {
                    for (name, content) in connections {
                        self.connection(name, content, loader);
                    }
                }
                _ => loader.problem(self.origin(section.span().start), unknown_section(name)),
            }
        }
    }

    fn connection(&self, name: &Spanned<DeString<'_>>, content: &Spanned<DeValue<'_>>, loader: &mut Loader) {
        let origin = self.origin(name.span().start);
        match connections::read(name, content, origin, |path| self.resolve(path)) {
            Ok(connection) => loader.take_connection(name.get_ref(), connection),
            Err(mistakes) => {
                for (at, message) in mistakes {
                    loader.problem(self.origin(at), message);
                }
            }
        }
    }

    fn take(
        &self,
        section: &str,
        key: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
        loader: &mut Loader,
    ) {
        let origin = self.origin(key.span().start);
        let key = key.get_ref().as_ref();
        if let Some(setting) = find(section, key) {
            match raw(value.get_ref(), setting) {
                Ok(raw) => loader.take(setting, self.rebase(raw, setting), origin),
                Err(message) => loader.problem(origin, format!("{section}.{key}: {message}")),
            }
            return;
        }
        let secret = key.strip_suffix("_file").and_then(|key| find(section, key));
        match (secret.filter(|setting| setting.is_secret()), value.get_ref()) {
            (Some(setting), DeValue::String(path)) => {
                loader.take_secret_file(setting, self.resolve(path), origin);
            }
            _ => loader.problem(origin, unknown_key(section, key)),
        }
    }

    /// A path in a file is relative to the folder of that file, wherever the program was started.
    fn rebase(&self, raw: Raw, setting: &dyn AnySetting) -> Raw {
        match raw {
            Raw::Text(path) if setting.is_path() && !path.is_empty() => {
                Raw::Text(self.resolve(&path).to_string_lossy().into_owned())
            }
            other => other,
        }
    }

    fn resolve(&self, path: &str) -> std::path::PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    fn origin(&self, at: usize) -> Origin {
        let before = self.text.as_bytes().get(..at).unwrap_or(self.text.as_bytes());
        Origin::File {
            path: self.path.into(),
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
        }
    }
}

fn raw(value: &DeValue<'_>, setting: &dyn AnySetting) -> Result<Raw, String> {
    let wrong = || {
        Err(format!(
            "{} is not expected here; give {}",
            value.type_str(),
            setting.allowed()
        ))
    };
    match (value, setting.shape()) {
        (DeValue::String(text), _) => Ok(Raw::Text(text.to_string())),
        (DeValue::Boolean(flag), Shape::Switch) => Ok(Raw::Text(flag.to_string())),
        (DeValue::Integer(number), Shape::Text) => Ok(Raw::Text(number.as_str().into())),
        (DeValue::Table(table), Shape::Pairs) => table
            .iter()
            .map(|(name, value)| match value.get_ref() {
                DeValue::String(text) => Ok(format!("{}={text}", name.get_ref())),
                other => Err(format!("{} is no text; put it in quotes", other.type_str())),
            })
            .collect::<Result<_, _>>()
            .map(Raw::Pairs),
        (DeValue::Array(items), Shape::Pairs) => items
            .iter()
            .map(|item| item.get_ref().as_str().map(Into::into).ok_or(()))
            .collect::<Result<_, _>>()
            .map(Raw::Pairs)
            .or_else(|()| wrong()),
        _ => wrong(),
    }
}

fn is_section(name: &str) -> bool {
    SECTIONS.iter().any(|(section, _)| *section == name)
}

fn unknown_section(name: &str) -> String {
    if is_section(name) {
        return format!("{name} is a section; write [{name}] on a line of its own, its settings below");
    }
    if let Some(setting) = TABLE.iter().find(|setting| setting.key() == name) {
        return format!(
            "{name} stands outside a section; put it below [{}]",
            setting.section()
        );
    }
    let known = SECTIONS.iter().map(|(section, _)| (*section).to_owned());
    match nearest(name, known) {
        Some(meant) => format!("there is no section [{name}]; did you mean [{meant}]?"),
        None => {
            let all: Vec<_> = SECTIONS
                .iter()
                .map(|(section, _)| format!("[{section}]"))
                .collect();
            format!("there is no section [{name}]; there are {}", all.join(", "))
        }
    }
}

fn unknown_key(section: &str, key: &str) -> String {
    let in_section = || TABLE.iter().filter(|setting| setting.section() == section);
    let known = in_section().flat_map(|setting| {
        let file = setting.is_secret().then(|| format!("{}_file", setting.key()));
        std::iter::once(setting.key().to_owned()).chain(file)
    });
    if let Some(meant) = nearest(key, known) {
        return format!("there is no setting {section}.{key}; did you mean {section}.{meant}?");
    }
    if let Some(elsewhere) = TABLE.iter().find(|setting| setting.key() == key) {
        return format!(
            "there is no setting {section}.{key}; did you mean {}?",
            elsewhere.name()
        );
    }
    let all: Vec<_> = in_section().map(|setting| setting.key()).collect();
    format!(
        "there is no setting {section}.{key}; [{section}] has {}",
        all.join(", ")
    )
}
