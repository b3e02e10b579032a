//! Themes of btop: `theme[main_bg]="#282828"` a line. What they call by other names is given our roles; where theirs
//! would make two states look alike, or could not be read, ours are kept.

use std::collections::BTreeMap;

use super::file::Parts;
use super::{Roles, ThemeError, colour};
use ratatui::style::Color;

/// Text must stand out from its background at least so much (WCAG 2.1, 1.4.3).
pub(super) const CONTRAST_MIN: f64 = 4.5;
/// What is bold on the bar may stand out less.
const BAR_CONTRAST_MIN: f64 = 3.0;
/// A state must differ from another at least so much, in squares of 8-bit steps.
const DISTANCE_MIN: u32 = 3_600;

/// The theme of a text, on top of one of ours.
pub(super) fn import(name: &str, text: &str, base: Parts) -> Result<Parts, ThemeError> {
    let values = values(text);
    if values.is_empty() {
        let reason = "it has no line like theme[main_bg]=\"#282828\"; is it a theme of btop?";
        return Err(ThemeError::Invalid {
            name: name.into(),
            reason: reason.into(),
        });
    }
    let mut parts = Parts {
        name: name.into(),
        ..base
    };
    let theirs = Theirs {
        background: values.get("main_bg").filter(|value| !value.is_empty()).cloned(),
        values,
    };
    theirs.set_background(&mut parts.roles);
    theirs.set_text(&mut parts.roles);
    theirs.set_states(&mut parts.roles);
    let roles = &mut parts.roles;
    let bar = roles.bar_background.clone();
    let is_read_on_bar = [&roles.text, &roles.ok, &roles.warning, &roles.critical]
        .into_iter()
        .all(|role| {
            !bar.starts_with('#') || contrast(resolved(&parts.palette, role), &bar) >= BAR_CONTRAST_MIN
        });
    if !is_read_on_bar {
        roles.bar_background.clone_from(&roles.background);
    }
    Ok(parts)
}

/// What the file says.
struct Theirs {
    values: BTreeMap<String, String>,
    background: Option<String>,
}

impl Theirs {
    /// Gives a role the first of some values that there is, if it can be read where it must.
    fn set(&self, role: &mut String, keys: &[&str], must_be_read: bool) {
        let mut values = keys.iter().filter_map(|key| self.values.get(*key));
        let Some(found) = values.find(|value| !value.is_empty()) else {
            return;
        };
        let can_be_read = self
            .background
            .as_deref()
            .is_none_or(|background| contrast(found, background) >= CONTRAST_MIN);
        if can_be_read || !must_be_read {
            role.clone_from(found);
        }
    }

    /// An empty background is the terminal's own.
    fn set_background(&self, roles: &mut Roles<String>) {
        let Some(background) = &self.background else {
            roles.background = "terminal".into();
            return;
        };
        roles.background.clone_from(background);
        roles.bar_background.clone_from(background);
        if contrast("#ffffff", background) >= CONTRAST_MIN {
            return;
        }
        // Ours were chosen for a dark background: on a light one dark text takes their place.
        for role in [
            &mut roles.text,
            &mut roles.title,
            &mut roles.quiet,
            &mut roles.accent,
        ] {
            *role = "#1c1c1c".into();
        }
        for role in [&mut roles.faint, &mut roles.stale] {
            *role = "#585858".into();
        }
        roles.ok = "#0a6b2e".into();
        roles.warning = "#8a5200".into();
        roles.critical = "#b3141f".into();
    }

    fn set_text(&self, roles: &mut Roles<String>) {
        self.set(&mut roles.text, &["main_fg"], true);
        self.set(&mut roles.title, &["title", "main_fg"], true);
        self.set(&mut roles.quiet, &["graph_text", "inactive_fg"], true);
        self.set(&mut roles.faint, &["inactive_fg"], true);
        roles.stale.clone_from(&roles.faint);
        self.set(&mut roles.rule, &["div_line", "cpu_box"], false);
        self.set(&mut roles.accent, &["hi_fg", "proc_misc"], true);
        self.set(&mut roles.chart, &["used_mid", "download_mid", "cpu_box"], true);
        self.set(&mut roles.bar_background, &["meter_bg"], false);
        self.set(&mut roles.selected_background, &["selected_bg"], false);
    }

    /// The ends of the gradient of heat are what the author takes for well and for bad.
    fn set_states(&self, roles: &mut Roles<String>) {
        let before = (roles.ok.clone(), roles.warning.clone(), roles.critical.clone());
        self.set(&mut roles.ok, &["temp_start", "cpu_start"], true);
        self.set(&mut roles.warning, &["temp_mid", "cpu_mid"], true);
        self.set(&mut roles.critical, &["temp_end", "cpu_end"], true);
        let looks_alike = |a: &str, b: &str| match (channels(a), channels(b)) {
            (Some(a), Some(b)) => colour::distance(a, b) < DISTANCE_MIN,
            _ => a == b,
        };
        let all = [&roles.ok, &roles.warning, &roles.critical, &roles.text];
        let all_apart = (0..all.len()).all(|i| (0..i).all(|j| !looks_alike(all[i], all[j])));
        if !all_apart {
            (roles.ok, roles.warning, roles.critical) = before;
        }
    }
}

fn resolved<'a>(palette: &'a BTreeMap<String, String>, value: &'a str) -> &'a str {
    palette.get(value).map_or(value, String::as_str)
}

/// The values by key; a colour of two digits is a grey, one of six is itself, whatever else is left out.
fn values(text: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for line in text.lines() {
        let Some((key, value)) = line
            .trim()
            .strip_prefix("theme[")
            .and_then(|rest| rest.split_once("]="))
        else {
            continue;
        };
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        let value = value.trim_matches(['"', '\'']).to_owned();
        let colour = match value.strip_prefix('#') {
            Some(grey) if grey.len() == 2 => Some(format!("#{grey}{grey}{grey}")),
            Some(_) => Some(value.clone()),
            None if value.is_empty() => Some(String::new()),
            None => decimal(&value),
        };
        if let Some(colour) = colour.filter(|colour| colour.is_empty() || channels(colour).is_some()) {
            values.insert(key.to_owned(), colour);
        }
    }
    values
}

/// `40 42 54`, which btop takes as well.
fn decimal(text: &str) -> Option<String> {
    let mut parts = text.split(' ').map(|part| part.parse::<u8>().ok());
    let (red, green, blue) = (parts.next()??, parts.next()??, parts.next()??);
    parts
        .next()
        .is_none()
        .then(|| format!("#{red:02x}{green:02x}{blue:02x}"))
}

fn channels(text: &str) -> Option<(u8, u8, u8)> {
    match colour::parse(text)? {
        Color::Rgb(red, green, blue) => Some((red, green, blue)),
        _ => None,
    }
}

/// The ratio of luminances, 1 to 21 (WCAG 2.1); 21 for colours that only the terminal knows.
pub(super) fn contrast(a: &str, b: &str) -> f64 {
    let (Some(a), Some(b)) = (channels(a), channels(b)) else {
        return 21.0;
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn luminance((red, green, blue): (u8, u8, u8)) -> f64 {
    let linear = |value: u8| {
        let value = f64::from(value) / 255.0;
        if value <= 0.040_45 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
}
