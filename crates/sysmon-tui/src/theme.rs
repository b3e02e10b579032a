//! Colours by role. State holds no styles; whoever draws asks the theme.

use std::path::PathBuf;

use ratatui::style::{Color, Modifier, Style};
use sysmon_core::alert::Severity;
use sysmon_core::{Health, Liveness};
use thiserror::Error;

use crate::glyphs::Glyphs;

mod btop;
mod colour;
mod file;

/// How many colours the terminal can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ColourDepth {
    /// None at all, or none wanted (`NO_COLOR`).
    None,
    /// The sixteen of every terminal.
    Sixteen,
    /// The xterm palette.
    Indexed,
    /// 24 bits.
    #[default]
    True,
}

impl ColourDepth {
    /// What the environment promises: `NO_COLOR` (any value but empty), `COLORTERM` and `TERM`.
    #[must_use]
    pub fn detect(no_color: bool, colorterm: &str, term: &str) -> Self {
        if no_color || term == "dumb" {
            Self::None
        } else if matches!(colorterm, "truecolor" | "24bit") || term.ends_with("-direct") {
            Self::True
        } else if term.contains("256color") {
            Self::Indexed
        } else {
            Self::Sixteen
        }
    }
}

/// Why a theme cannot be used.
#[derive(Debug, Error)]
pub enum ThemeError {
    /// No theme of this name.
    #[error("there is no theme {name:?}; there are {known}, and NAME.toml and btop's NAME.theme files in {}", folders.display())]
    Unknown {
        /// The name asked for.
        name: String,
        /// The built-in ones.
        known: String,
        /// Where files are looked for.
        folders: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read theme {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is no theme.
    #[error("theme {name:?} is not valid: {reason}")]
    Invalid {
        /// Its name or file.
        name: String,
        /// What to mend.
        reason: String,
    },
}

/// Roles whose hue means something, which few colours must keep; the others are light or dark.
const HUED: [&str; 6] = ["accent", "chart", "band", "ok", "warning", "critical"];

/// One value per role.
#[derive(Clone, Debug)]
struct Roles<T> {
    background: T,
    text: T,
    quiet: T,
    faint: T,
    rule: T,
    title: T,
    accent: T,
    chart: T,
    /// The paler part of a chart; themes from before there was one leave it out.
    band: Option<T>,
    ok: T,
    warning: T,
    critical: T,
    stale: T,
    selected_background: T,
    bar_background: T,
}

/// Styles by role and the shapes to draw with, resolved for one terminal.
#[derive(Clone, Debug)]
pub struct Theme {
    name: String,
    roles: Roles<Color>,
    depth: ColourDepth,
    /// What shapes are drawn with.
    pub glyphs: Glyphs,
}

impl Theme {
    /// The theme of this name: a file when it is a path, else `NAME.toml` or `NAME.theme` in one of the folders, else a
    /// built-in one; empty for the default.
    ///
    /// # Errors
    /// [`ThemeError`] says what is wrong and what there is instead.
    pub fn load(name: &str, folders: &[PathBuf], depth: ColourDepth) -> Result<Self, ThemeError> {
        file::load(name, folders).and_then(|parts| Self::of(&parts, depth))
    }

    /// The theme of a TOML text; what it inherits is looked for among the built-in ones.
    ///
    /// # Errors
    /// [`ThemeError::Invalid`] names the role or colour that is wrong.
    pub fn parse(name: &str, text: &str, depth: ColourDepth) -> Result<Self, ThemeError> {
        file::parse(name, text, &[], 0).and_then(|parts| Self::of(&parts, depth))
    }

    /// The names of all themes: the built-in ones, then those in the folders.
    #[must_use]
    pub fn names(folders: &[PathBuf]) -> Vec<String> {
        file::names(folders)
    }

    /// The theme of its parts, for a terminal that shows so many colours.
    fn of(parts: &file::Parts, depth: ColourDepth) -> Result<Self, ThemeError> {
        let roles = parts.roles.resolve(|role, value| {
            let value = parts.palette.get(value).map_or(value, String::as_str);
            let colour = colour::parse(value).ok_or_else(|| {
                parts.invalid(format!(
                    "{role} is {value:?}; use \"#rrggbb\", a palette name, a terminal colour or \"terminal\""
                ))
            })?;
            Ok(colour::reduce(colour, depth, HUED.contains(&role)))
        })?;
        Ok(Self {
            name: parts.name.clone(),
            roles,
            depth,
            glyphs: Glyphs::default(),
        })
    }

    /// Its name, or its file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many colours it uses.
    #[must_use]
    pub fn depth(&self) -> ColourDepth {
        self.depth
    }

    /// The same theme with other shapes.
    #[must_use]
    pub fn with_glyphs(mut self, glyphs: Glyphs) -> Self {
        self.glyphs = glyphs;
        self
    }

    fn on_background(&self, colour: Color) -> Style {
        Style::new().fg(colour).bg(self.roles.background)
    }

    fn with_modifier_without_colour(&self, style: Style, modifier: Modifier) -> Style {
        if self.depth == ColourDepth::None {
            style.add_modifier(modifier)
        } else {
            style
        }
    }

    /// Whether a cell can show two colours, one over the other.
    #[must_use]
    pub fn has_half_cells(&self) -> bool {
        self.depth != ColourDepth::None && self.glyphs != Glyphs::Ascii
    }

    /// Ordinary text.
    #[must_use]
    pub fn text(&self) -> Style {
        self.on_background(self.roles.text)
    }

    /// Labels and other words that are always there.
    #[must_use]
    pub fn quiet(&self) -> Style {
        self.on_background(self.roles.quiet)
    }

    /// What may be overlooked.
    #[must_use]
    pub fn faint(&self) -> Style {
        self.with_modifier_without_colour(self.on_background(self.roles.faint), Modifier::DIM)
    }

    /// Lines and axes.
    #[must_use]
    pub fn rule(&self) -> Style {
        self.with_modifier_without_colour(self.on_background(self.roles.rule), Modifier::DIM)
    }

    /// Headings.
    #[must_use]
    pub fn title(&self) -> Style {
        self.on_background(self.roles.title).add_modifier(Modifier::BOLD)
    }

    /// Keys, and what the eye is to find.
    #[must_use]
    pub fn accent(&self) -> Style {
        self.with_modifier_without_colour(self.on_background(self.roles.accent), Modifier::BOLD)
    }

    /// Charts and sparklines in their normal state.
    #[must_use]
    pub fn chart(&self) -> Style {
        self.on_background(self.roles.chart)
    }

    /// Between the smallest and the largest value of a chart's dot.
    #[must_use]
    pub fn band(&self) -> Style {
        let colour = self.roles.band.unwrap_or(self.roles.faint);
        self.with_modifier_without_colour(self.on_background(colour), Modifier::DIM)
    }

    /// The bar at the top.
    #[must_use]
    pub fn bar(&self) -> Style {
        let style = Style::new().fg(self.roles.text).bg(self.roles.bar_background);
        self.with_modifier_without_colour(style, Modifier::REVERSED)
    }

    /// The bar at the top while the past is on screen: the other one turned around.
    #[must_use]
    pub fn past(&self) -> Style {
        match self.depth {
            ColourDepth::None => Style::new().add_modifier(Modifier::BOLD),
            _ => self.bar().add_modifier(Modifier::REVERSED),
        }
    }

    /// What is wrong, on the bar at the top.
    #[must_use]
    pub fn on_bar(&self, style: Style) -> Style {
        let style = style.bg(self.roles.bar_background);
        self.with_modifier_without_colour(style, Modifier::REVERSED)
    }

    /// The selected row: laid over the styles of its cells.
    #[must_use]
    pub fn selected(&self) -> Style {
        match self.depth {
            ColourDepth::None | ColourDepth::Sixteen => Style::new().add_modifier(Modifier::REVERSED),
            _ => Style::new().bg(self.roles.selected_background),
        }
    }

    /// What is no longer current.
    #[must_use]
    pub fn stale(&self) -> Style {
        self.with_modifier_without_colour(self.on_background(self.roles.stale), Modifier::DIM)
    }

    /// Something over its warning level.
    #[must_use]
    pub fn warning(&self) -> Style {
        self.on_background(self.roles.warning)
    }

    /// Something over its critical level.
    #[must_use]
    pub fn critical(&self) -> Style {
        self.on_background(self.roles.critical)
            .add_modifier(Modifier::BOLD)
    }

    /// Something that is well, where that must be said.
    #[must_use]
    pub fn ok(&self) -> Style {
        self.on_background(self.roles.ok)
    }

    /// A value of this health; a healthy one is ordinary text.
    #[must_use]
    pub fn value(&self, health: Health) -> Style {
        match health {
            Health::Critical => self.critical(),
            Health::Warning => self.warning(),
            Health::Healthy | Health::Unknown => self.text(),
        }
    }

    /// Something that is as bad as this, and that nobody has muted.
    #[must_use]
    pub fn severity(&self, severity: Severity) -> Style {
        match severity {
            Severity::Critical => self.critical(),
            Severity::Warning => self.warning(),
            Severity::Info => self.text(),
        }
    }

    /// The mark of a machine.
    #[must_use]
    pub fn mark(&self, liveness: Liveness, health: Health) -> Style {
        match (liveness, health) {
            (Liveness::Lost, _) | (_, Health::Critical) => self.critical(),
            (Liveness::Stale, _) => self.stale(),
            (_, Health::Warning) => self.warning(),
            (_, Health::Healthy) => self.ok(),
            (_, Health::Unknown) => self.quiet(),
        }
    }
}

#[cfg(test)]
mod tests;
