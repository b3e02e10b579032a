//! Themes as files: TOML of our own with inheritance, and those of btop.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ratatui::style::Color;
use serde::Deserialize;

use super::{Roles, ThemeError, btop};

pub(super) const DEFAULT: &str = "dark";

/// Themes of the program itself, the default first.
pub(super) const BUILT_IN: [(&str, &str); 9] = [
    (DEFAULT, include_str!("../../../../themes/dark.toml")),
    ("light", include_str!("../../../../themes/light.toml")),
    (
        "high-contrast",
        include_str!("../../../../themes/high-contrast.toml"),
    ),
    (
        "colour-blind",
        include_str!("../../../../themes/colour-blind.toml"),
    ),
    ("ansi", include_str!("../../../../themes/ansi.toml")),
    ("catppuccin", include_str!("../../../../themes/catppuccin.toml")),
    ("dracula", include_str!("../../../../themes/dracula.toml")),
    ("gruvbox", include_str!("../../../../themes/gruvbox.toml")),
    ("nord", include_str!("../../../../themes/nord.toml")),
];
/// A theme that inherits from one that inherits, and so on, ends here: further is a circle.
const DEPTH_MAX: usize = 8;
/// No theme is larger; whatever is, is none.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// The most names that are listed from a folder.
const NAMES_MAX: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThemeFile {
    #[serde(rename = "name")]
    _name: Option<String>,
    inherits: Option<String>,
    #[serde(default)]
    palette: BTreeMap<String, String>,
    #[serde(default)]
    roles: BTreeMap<String, String>,
}

/// A theme before its colours are looked up.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) palette: BTreeMap<String, String>,
    pub(super) roles: Roles<String>,
}

impl Parts {
    pub(super) fn invalid(&self, reason: String) -> ThemeError {
        invalid(&self.name, reason)
    }
}

fn invalid(name: &str, reason: String) -> ThemeError {
    ThemeError::Invalid {
        name: name.into(),
        reason,
    }
}

pub(super) fn load(name: &str, folders: &[PathBuf]) -> Result<Parts, ThemeError> {
    let name = if name.is_empty() { DEFAULT } else { name };
    find(name, folders, 0)
}

fn find(name: &str, folders: &[PathBuf], depth: usize) -> Result<Parts, ThemeError> {
    // Only the person at the keyboard gives a path; what a theme inherits is a name.
    let is_path = depth == 0 && (name.contains('/') || name.ends_with(".theme") || name.ends_with(".toml"));
    if is_path {
        return read_file(name, Path::new(name), folders, depth);
    }
    let is_name = name.chars().all(|c| c.is_alphanumeric() || "-_".contains(c));
    let files = folders
        .iter()
        .flat_map(|folder| ["toml", "theme"].map(|ending| folder.join(format!("{name}.{ending}"))));
    if let Some(path) = files.filter(|_| is_name).find(|path| path.is_file()) {
        // A theme of a person may have the name of the one that it inherits: the built-in one is meant then.
        return read_file(name, &path, folders, depth);
    }
    built_in(name, depth).unwrap_or_else(|| {
        Err(ThemeError::Unknown {
            name: name.into(),
            known: BUILT_IN.map(|(known, _)| known).join(", "),
            folders: folders.first().cloned().unwrap_or_default(),
        })
    })
}

fn built_in(name: &str, depth: usize) -> Option<Result<Parts, ThemeError>> {
    let (_, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
    Some(parse(name, text, &[], depth))
}

fn read_file(name: &str, path: &Path, folders: &[PathBuf], depth: usize) -> Result<Parts, ThemeError> {
    let text = read(path)?;
    if path.extension().is_some_and(|ending| ending == "theme") {
        let base = parse(DEFAULT, BUILT_IN[0].1, &[], depth)?;
        return btop::import(name, &text, base);
    }
    parse(name, &text, folders, depth)
}

/// The parts of a TOML text, with those of what it inherits below them.
pub(super) fn parse(name: &str, text: &str, folders: &[PathBuf], depth: usize) -> Result<Parts, ThemeError> {
    let file: ThemeFile = toml::from_str(text).map_err(|error| invalid(name, error.to_string()))?;
    if depth >= DEPTH_MAX {
        let reason = "it inherits from itself, by way of others perhaps; take one `inherits` away";
        return Err(invalid(name, reason.into()));
    }
    let base = match file.inherits.as_deref() {
        None => None,
        // The built-in one of this name, for whoever changes two colours of it.
        Some(same) if same == name => built_in(same, depth + 1).transpose()?,
        Some(other) => Some(find(other, folders, depth + 1)?),
    };
    let (mut palette, mut roles) = match base {
        Some(base) => (base.palette, base.roles.named()),
        None => (BTreeMap::new(), BTreeMap::new()),
    };
    palette.extend(file.palette);
    roles.extend(file.roles);
    let roles = Roles::of(roles).map_err(|reason| invalid(name, reason))?;
    Ok(Parts {
        name: name.into(),
        palette,
        roles,
    })
}

fn read(path: &Path) -> Result<String, ThemeError> {
    let failed = |source: std::io::Error| ThemeError::Read {
        path: path.into(),
        source,
    };
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > FILE_BYTES_MAX {
        return Err(failed(std::io::Error::other("it is too large to be a theme")));
    }
    std::fs::read_to_string(path).map_err(failed)
}

pub(super) fn names(folders: &[PathBuf]) -> Vec<String> {
    let mut names: Vec<String> = BUILT_IN.iter().map(|(name, _)| (*name).to_owned()).collect();
    let files = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok());
    let own: BTreeSet<String> = files
        .flatten()
        .filter_map(Result::ok)
        .take(NAMES_MAX)
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|ending| ending == "toml" || ending == "theme")
        })
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .filter(|name| !names.contains(name))
        .collect();
    names.extend(own);
    names
}

macro_rules! roles {
    ($($role:ident),+; $($optional:ident),*) => {
        impl Roles<String> {
            /// The roles by name.
            fn named(self) -> BTreeMap<String, String> {
                let mut named = BTreeMap::new();
                $(named.insert(stringify!($role).to_owned(), self.$role);)+
                $(named.extend(self.$optional.map(|value| (stringify!($optional).to_owned(), value)));)*
                named
            }

            /// The roles of a map, which must have all but the optional ones, and no other.
            fn of(mut named: BTreeMap<String, String>) -> Result<Self, String> {
                let mut missing = Vec::new();
                let mut take = |role: &str, is_needed: bool| {
                    let value = named.remove(role);
                    if value.is_none() && is_needed {
                        missing.push(role.to_owned());
                    }
                    value
                };
                let roles = Self {
                    $($role: take(stringify!($role), true).unwrap_or_default(),)+
                    $($optional: take(stringify!($optional), false),)*
                };
                if let Some(unknown) = named.keys().next() {
                    let all = [$(stringify!($role),)+ $(stringify!($optional)),*].join(", ");
                    return Err(format!("there is no role {unknown:?}; there are {all}"));
                }
                if !missing.is_empty() {
                    let missing = missing.join(", ");
                    return Err(format!("[roles] lacks {missing}; give them, or write inherits = \"dark\" above"));
                }
                Ok(roles)
            }

            /// The same with what each of them stands for.
            pub(super) fn resolve<E>(
                &self,
                colour: impl Fn(&str, &str) -> Result<Color, E>,
            ) -> Result<Roles<Color>, E> {
                Ok(Roles {
                    $($role: colour(stringify!($role), &self.$role)?,)+
                    $($optional: self
                        .$optional
                        .as_ref()
                        .map(|value| colour(stringify!($optional), value))
                        .transpose()?,)*
                })
            }
        }
    };
}

roles!(
    background, text, quiet, faint, rule, title, accent, chart, ok, warning, critical, stale,
    selected_background, bar_background; band
);
