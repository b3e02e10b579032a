//! Colours by role. State holds no styles; whoever draws asks the theme.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;
use sysmon_core::alert::Severity;
use sysmon_core::{Health, Liveness};
use thiserror::Error;

use crate::glyphs::Glyphs;

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
    #[error("there is no theme {name:?}; there are {known}, and NAME.toml files in {}", folders.display())]
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

const BUILT_IN: [(&str, &str); 2] = [
    ("dark", include_str!("../../../themes/dark.toml")),
    ("light", include_str!("../../../themes/light.toml")),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThemeFile {
    #[serde(rename = "name")]
    _name: String,
    #[serde(default)]
    palette: BTreeMap<String, String>,
    roles: Roles<String>,
}

/// One value per role.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
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
    #[serde(default)]
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
    roles: Roles<Color>,
    depth: ColourDepth,
    /// What shapes are drawn with.
    pub glyphs: Glyphs,
}

impl Theme {
    /// The theme of this name: a built-in one, or `NAME.toml` in one of the folders; empty for the default.
    ///
    /// # Errors
    /// [`ThemeError`] says what is wrong and what there is instead.
    pub fn load(name: &str, folders: &[PathBuf], depth: ColourDepth) -> Result<Self, ThemeError> {
        let name = if name.is_empty() { "dark" } else { name };
        // A name is a file name, never a path.
        let is_name = name.chars().all(|c| c.is_alphanumeric() || "-_".contains(c));
        let mut files = folders.iter().map(|folder| folder.join(format!("{name}.toml")));
        if let Some(path) = files.find(|path| is_name && path.is_file()) {
            return Self::parse(name, &read(&path)?, depth);
        }
        match BUILT_IN.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Self::parse(name, text, depth),
            None => Err(ThemeError::Unknown {
                name: name.into(),
                known: BUILT_IN.map(|(known, _)| known).join(", "),
                folders: folders.first().cloned().unwrap_or_default(),
            }),
        }
    }

    /// The theme of a TOML text.
    ///
    /// # Errors
    /// [`ThemeError::Invalid`] names the role or colour that is wrong.
    pub fn parse(name: &str, text: &str, depth: ColourDepth) -> Result<Self, ThemeError> {
        let invalid = |reason: String| ThemeError::Invalid {
            name: name.into(),
            reason,
        };
        let file: ThemeFile = toml::from_str(text).map_err(|error| invalid(error.to_string()))?;
        let roles = file.roles.resolve(|role, value| {
            let value = file.palette.get(value).map_or(value, String::as_str);
            colour(value).map(|colour| reduce(colour, depth)).ok_or_else(|| {
                invalid(format!(
                    "{role} is {value:?}; use \"#rrggbb\", a palette name or a terminal colour"
                ))
            })
        })?;
        Ok(Self {
            roles,
            depth,
            glyphs: Glyphs::default(),
        })
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

impl Roles<String> {
    fn resolve<E>(&self, colour: impl Fn(&str, &str) -> Result<Color, E>) -> Result<Roles<Color>, E> {
        Ok(Roles {
            background: colour("background", &self.background)?,
            text: colour("text", &self.text)?,
            quiet: colour("quiet", &self.quiet)?,
            faint: colour("faint", &self.faint)?,
            rule: colour("rule", &self.rule)?,
            title: colour("title", &self.title)?,
            accent: colour("accent", &self.accent)?,
            chart: colour("chart", &self.chart)?,
            band: self
                .band
                .as_ref()
                .map(|value| colour("band", value))
                .transpose()?,
            ok: colour("ok", &self.ok)?,
            warning: colour("warning", &self.warning)?,
            critical: colour("critical", &self.critical)?,
            stale: colour("stale", &self.stale)?,
            selected_background: colour("selected_background", &self.selected_background)?,
            bar_background: colour("bar_background", &self.bar_background)?,
        })
    }
}

fn read(path: &Path) -> Result<String, ThemeError> {
    std::fs::read_to_string(path).map_err(|source| ThemeError::Read {
        path: path.into(),
        source,
    })
}

fn colour(text: &str) -> Option<Color> {
    if text == "terminal" {
        Some(Color::Reset)
    } else {
        text.parse().ok()
    }
}

/// The nearest colour that the terminal has.
fn reduce(colour: Color, depth: ColourDepth) -> Color {
    let Color::Rgb(red, green, blue) = colour else {
        return if depth == ColourDepth::None {
            Color::Reset
        } else {
            colour
        };
    };
    match depth {
        ColourDepth::None => Color::Reset,
        ColourDepth::Sixteen => nearest_of_sixteen(red, green, blue),
        ColourDepth::Indexed => nearest_indexed(red, green, blue),
        ColourDepth::True => colour,
    }
}

fn distance(a: (u8, u8, u8), b: (u8, u8, u8)) -> u32 {
    let square = |x: u8, y: u8| u32::from(x.abs_diff(y)).pow(2);
    square(a.0, b.0) + square(a.1, b.1) + square(a.2, b.2)
}

fn nearest_indexed(red: u8, green: u8, blue: u8) -> Color {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let nearest = |value: u8| {
        (0u8..6)
            .min_by_key(|index| STEPS[usize::from(*index)].abs_diff(value))
            .unwrap_or(0)
    };
    let (r, g, b) = (nearest(red), nearest(green), nearest(blue));
    let cube = (
        STEPS[usize::from(r)],
        STEPS[usize::from(g)],
        STEPS[usize::from(b)],
    );
    let average = (u16::from(red) + u16::from(green) + u16::from(blue)) / 3;
    let step = u8::try_from(average.saturating_sub(3) / 10).unwrap_or(23).min(23);
    let grey = 8 + step * 10;
    let wanted = (red, green, blue);
    if distance(wanted, (grey, grey, grey)) < distance(wanted, cube) {
        Color::Indexed(232 + step)
    } else {
        Color::Indexed(16 + 36 * r + 6 * g + b)
    }
}

fn nearest_of_sixteen(red: u8, green: u8, blue: u8) -> Color {
    let (high, low) = (red.max(green).max(blue), red.min(green).min(blue));
    if high - low < 48 {
        return match high {
            0..64 => Color::Black,
            64..160 => Color::DarkGray,
            160..220 => Color::Gray,
            _ => Color::Reset,
        };
    }
    // The hue decides: a muted green must not become grey, for green means something.
    let strong = |value: u8| u16::from(value) * 5 >= u16::from(high) * 3;
    match (strong(red), strong(green), strong(blue)) {
        (true, true, _) => Color::Yellow,
        (true, _, true) => Color::Magenta,
        (_, true, true) => Color::Cyan,
        (true, _, _) => Color::Red,
        (_, true, _) => Color::Green,
        _ => Color::Blue,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_themes_are_valid_at_every_depth() {
        for (name, text) in BUILT_IN {
            for depth in [
                ColourDepth::None,
                ColourDepth::Sixteen,
                ColourDepth::Indexed,
                ColourDepth::True,
            ] {
                Theme::parse(name, text, depth).unwrap();
            }
        }
    }

    #[test]
    fn states_stay_apart_at_every_depth() {
        for (name, text) in BUILT_IN {
            for depth in [ColourDepth::Sixteen, ColourDepth::Indexed, ColourDepth::True] {
                let theme = Theme::parse(name, text, depth).unwrap();
                let states = [
                    theme.ok(),
                    theme.warning(),
                    theme.critical(),
                    theme.stale(),
                    theme.text(),
                ];
                for (index, state) in states.iter().enumerate() {
                    assert!(
                        states[index + 1..].iter().all(|other| other.fg != state.fg),
                        "{name} {depth:?} {states:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn without_colour_nothing_is_coloured() {
        let theme = Theme::load("", &[], ColourDepth::None).unwrap();
        for style in [
            theme.critical(),
            theme.bar(),
            theme.selected(),
            theme.stale(),
            theme.chart(),
        ] {
            assert!(
                matches!(style.fg, None | Some(Color::Reset))
                    && matches!(style.bg, None | Some(Color::Reset))
            );
        }
    }

    #[test]
    fn mistakes_in_a_theme_are_named() {
        let broken = BUILT_IN[0]
            .1
            .replace("critical = \"red\"", "critical = \"rouge\"");
        let error = Theme::parse("mine", &broken, ColourDepth::True)
            .unwrap_err()
            .to_string();
        assert!(error.contains("critical") && error.contains("rouge"), "{error}");
        let error = Theme::load("../../etc/passwd", &[], ColourDepth::True)
            .unwrap_err()
            .to_string();
        assert!(error.contains("dark, light"), "{error}");
    }

    #[test]
    fn the_environment_decides_how_many_colours() {
        assert_eq!(
            ColourDepth::detect(false, "truecolor", "xterm"),
            ColourDepth::True
        );
        assert_eq!(
            ColourDepth::detect(false, "", "screen-256color"),
            ColourDepth::Indexed
        );
        assert_eq!(ColourDepth::detect(false, "", "linux"), ColourDepth::Sixteen);
        assert_eq!(ColourDepth::detect(true, "truecolor", "xterm"), ColourDepth::None);
    }
}
