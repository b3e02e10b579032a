//! What every crate's `Cargo.toml` takes from the workspace.

use eyre::{Result, WrapErr};
use toml::{Table, Value};

use super::Violation;

const DEPENDENCY_TABLES: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

/// Checks one manifest; `path` is what the report calls it.
///
/// # Errors
/// When the text is not TOML.
pub(crate) fn check(path: &str, text: &str) -> Result<Vec<Violation>> {
    let manifest: Table = text.parse().wrap_err_with(|| format!("failed to parse {path}"))?;
    let mut violations = Vec::new();
    if !manifest.get("lints").is_some_and(is_from_workspace) {
        violations.push(Violation::new(
            path,
            "has lints of its own",
            "write `[lints]` and below it `workspace = true`",
        ));
    }
    let platforms = manifest
        .get("target")
        .and_then(Value::as_table)
        .into_iter()
        .flat_map(Table::values);
    let tables = std::iter::once(&manifest).chain(platforms.filter_map(Value::as_table));
    for table in tables {
        let dependencies = DEPENDENCY_TABLES
            .iter()
            .filter_map(|name| table.get(*name)?.as_table())
            .flatten();
        for (name, _) in dependencies.filter(|(_, dependency)| !is_from_workspace(dependency)) {
            violations.push(Violation::new(
                path,
                format!("gives the version of {name} itself"),
                "put the version into [workspace.dependencies] and write `workspace = true` here",
            ));
        }
    }
    Ok(violations)
}

fn is_from_workspace(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        check("Cargo.toml", text)
            .unwrap()
            .into_iter()
            .map(|violation| violation.problem)
            .collect()
    }

    #[test]
    fn both_ways_to_write_workspace_lints_are_known() {
        assert_eq!(problems("lints.workspace = true"), Vec::<String>::new());
        assert_eq!(problems("[lints]\nworkspace = true"), Vec::<String>::new());
    }

    #[test]
    fn missing_or_own_lints_are_a_violation() {
        for text in [
            "",
            "[lints]\nworkspace = false",
            "[lints.rust]\nunsafe_code = \"deny\"",
        ] {
            assert_eq!(problems(text), ["has lints of its own"], "{text}");
        }
    }

    #[test]
    fn every_dependency_table_takes_versions_from_the_workspace() {
        let text = "lints.workspace = true\n[dependencies]\na.workspace = true\nb = \"1\"\n\
                    [dev-dependencies]\nc = { version = \"1\" }\n[target.'cfg(unix)'.build-dependencies]\n\
                    d = { workspace = true, features = [\"x\"] }\ne = { path = \"../e\" }";
        assert_eq!(
            problems(text),
            ["b", "c", "e"].map(|name| format!("gives the version of {name} itself"))
        );
    }

    #[test]
    fn text_that_is_not_toml_is_an_error_that_names_the_file() {
        let error = check("crates/a/Cargo.toml", "[").unwrap_err();
        assert!(error.to_string().contains("crates/a/Cargo.toml"));
    }
}
