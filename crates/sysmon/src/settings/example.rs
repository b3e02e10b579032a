//! The example file: every setting with its help, its default and its variable.

use std::fmt::Write;

use super::print::to_toml;
use super::raw::Raw;
use super::setting::AnySetting;
use super::table::{SECTIONS, TABLE};

const HEADER: &str = "\
# All settings of sysmon with their defaults. Made by `sysmon config example`; a test keeps it up to date.
#
# Read from /etc/sysmon/sysmon.toml, then $XDG_CONFIG_HOME/sysmon/sysmon.toml, or only from `--config FILE`.
# A flag of the command line goes before a variable, a variable before a file, a file before the default.
# Paths are relative to the folder of this file. `sysmon config check` finds mistakes, `sysmon config print`
# shows what is in effect and why.
";

/// The whole example file. Uncommented it is valid, and says what is in effect anyway where there is a default.
#[must_use]
pub fn example_file() -> String {
    let mut text = String::from(HEADER);
    for (section, about) in SECTIONS {
        let _ = write!(text, "\n# {about}\n[{section}]\n");
        for setting in TABLE.iter().filter(|setting| setting.section() == *section) {
            describe(*setting, &mut text);
        }
    }
    text
}

fn describe(setting: &dyn AnySetting, text: &mut String) {
    let value = setting.default().unwrap_or(setting.example());
    let line = format!(
        "{} = {}",
        setting.key(),
        to_toml(setting, &Raw::Text(value.into()))
    );
    let note = if setting.default().is_some() {
        ""
    } else {
        " (not set)"
    };
    let _ = write!(
        text,
        "\n# {}.\n# Give {}. Variable: {}{note}\n# {line}\n",
        setting.help(),
        setting.allowed(),
        setting.variable(),
    );
    if setting.is_secret() {
        let _ = writeln!(text, "# {}_file = \"/run/secrets/file\"", setting.key());
    }
}
