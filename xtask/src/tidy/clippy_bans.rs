//! Clippy reads one configuration per crate, without inheritance; so a crate's own must repeat the workspace's.

use eyre::{Result, WrapErr};
use toml::{Table, Value};

use super::Violation;

const SHARED: &str = "clippy.toml";

/// The configurations that ban the clock, and the ban by which that is seen.
const CLOCKLESS: &[&str] = &["crates/sysmon-core/clippy.toml", "crates/sysmon-tui/clippy.toml"];
const CLOCK: &str = "std::time::Instant::now";

/// Checks all configurations against each other; `files` are pairs of path and text.
///
/// # Errors
/// When one of them is not TOML.
pub(crate) fn check(files: &[(String, String)]) -> Result<Vec<Violation>> {
    let mut tables = Vec::new();
    for (path, text) in files {
        let table: Table = text.parse().wrap_err_with(|| format!("failed to parse {path}"))?;
        tables.push((path.as_str(), table));
    }
    let Some((_, shared)) = tables.iter().find(|(path, _)| *path == SHARED) else {
        return Ok(vec![Violation::new(
            SHARED,
            "is missing",
            "bring it back; it holds the bans of the workspace",
        )]);
    };
    let mut violations = Vec::new();
    for (path, table) in tables.iter().filter(|(path, _)| *path != SHARED) {
        violations.extend(differences(path, shared, table));
    }
    for path in CLOCKLESS {
        let bans_clock = tables
            .iter()
            .any(|(candidate, table)| candidate == path && bans(table, CLOCK));
        if !bans_clock {
            violations.push(Violation::new(
                *path,
                "does not ban the clock",
                format!("ban {CLOCK} there"),
            ));
        }
    }
    Ok(violations)
}

/// A list may have more entries than the shared one; everything else must be the same.
fn differences(path: &str, shared: &Table, own: &Table) -> Vec<Violation> {
    let remedy = format!("copy it from {SHARED}, or change both");
    let mut violations = Vec::new();
    for (key, expected) in shared {
        match (expected, own.get(key)) {
            (Value::Array(expected), Some(Value::Array(entries))) => {
                for missing in expected.iter().filter(|entry| !entries.contains(entry)) {
                    violations.push(Violation::new(
                        path,
                        format!("{key} lacks {}", name_of(missing)),
                        &remedy,
                    ));
                }
            }
            (expected, Some(value)) if expected == value => {}
            _ => violations.push(Violation::new(
                path,
                format!("{key} differs from {SHARED}"),
                &remedy,
            )),
        }
    }
    for key in own.keys().filter(|key| !shared.contains_key(*key)) {
        violations.push(Violation::new(path, format!("{key} is not in {SHARED}"), &remedy));
    }
    violations
}

fn bans(table: &Table, path: &str) -> bool {
    let methods = table.get("disallowed-methods").and_then(Value::as_array);
    methods.is_some_and(|entries| entries.iter().any(|entry| name_of(entry) == path))
}

/// The path that an entry bans, or the entry itself if it is written in some other way.
fn name_of(entry: &Value) -> String {
    let path = entry.get("path").or(Some(entry)).and_then(Value::as_str);
    path.map_or_else(|| entry.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BANS: &str =
        "allow-unwrap-in-tests = true\ndisallowed-methods = [\"a::b\", { path = \"c::d\", reason = \"x\" }]";
    const CLOCK_BANS: &str = "allow-unwrap-in-tests = true\ndisallowed-methods = [\"std::time::Instant::now\", \
                              { path = \"c::d\", reason = \"x\" }, \"a::b\"]";

    fn problems(core: &str, tui: &str) -> Vec<String> {
        let files = [(SHARED, BANS), (CLOCKLESS[0], core), (CLOCKLESS[1], tui)];
        let files = files.map(|(path, text)| (path.to_owned(), text.to_owned()));
        check(&files)
            .unwrap()
            .into_iter()
            .map(|violation| format!("{}: {}", violation.at, violation.problem))
            .collect()
    }

    #[test]
    fn a_crate_may_ban_more_in_any_order() {
        assert_eq!(problems(CLOCK_BANS, CLOCK_BANS), Vec::<String>::new());
    }

    #[test]
    fn a_ban_that_is_missing_or_has_another_reason_is_a_violation() {
        let expected = ["crates/sysmon-tui/clippy.toml: disallowed-methods lacks c::d"];
        assert_eq!(
            problems(CLOCK_BANS, &CLOCK_BANS.replace("\"x\"", "\"y\"")),
            expected
        );
        assert_eq!(
            problems(CLOCK_BANS, &CLOCK_BANS.replace("c::d", "c::e")),
            expected
        );
    }

    #[test]
    fn other_settings_must_be_the_same() {
        assert_eq!(
            problems(
                &CLOCK_BANS.replace("= true", "= false"),
                &format!("extra = 1\n{CLOCK_BANS}")
            ),
            [
                "crates/sysmon-core/clippy.toml: allow-unwrap-in-tests differs from clippy.toml",
                "crates/sysmon-tui/clippy.toml: extra is not in clippy.toml"
            ]
        );
    }

    #[test]
    fn core_and_tui_must_ban_the_clock() {
        assert_eq!(
            problems(BANS, CLOCK_BANS),
            ["crates/sysmon-core/clippy.toml: does not ban the clock"]
        );
    }

    #[test]
    fn a_configuration_that_is_gone_is_noticed() {
        assert_eq!(check(&[]).unwrap().len(), 1);
        assert_eq!(
            check(&[(SHARED.to_owned(), BANS.to_owned())]).unwrap().len(),
            CLOCKLESS.len()
        );
    }
}
