//! Files with rules: TOML with one `[[rule]]` each.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use eyre::{Report, eyre};
use serde::{Deserialize, Serialize};
use sysmon_core::alert::Rule;

use crate::exit::Failure;

/// A file larger than this is none of ours.
const BYTES_MAX: u64 = 4 * 1_024 * 1_024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<T> {
    #[serde(default = "Vec::new", rename = "rule")]
    rules: Vec<T>,
}

/// The rules of a file.
///
/// # Errors
/// Everything that is wrong with them.
pub(super) fn read(path: &Path) -> Result<Vec<Rule>, Failure> {
    let named =
        |error: std::io::Error| Failure::usage(Report::new(error).wrap_err(path.display().to_string()));
    if std::fs::metadata(path).map_err(named)?.len() > BYTES_MAX {
        return Err(Failure::usage(eyre!(
            "{} is larger than 4 MiB; give a file with rules",
            path.display()
        )));
    }
    let text = std::fs::read_to_string(path).map_err(named)?;
    parse(&text).map_err(|problems| {
        let mut all = format!("{} has rules that cannot be used:", path.display());
        for problem in problems {
            let _ = write!(all, "\n  {problem}");
        }
        Failure::usage(eyre!(all))
    })
}

/// The rules of a text, or everything that is wrong with them.
fn parse(text: &str) -> Result<Vec<Rule>, Vec<String>> {
    // Each rule by itself, so that a slip in one does not hide those in others.
    let document: Document<toml::Table> =
        toml::from_str(text).map_err(|error| vec![error.to_string().trim_end().to_owned()])?;
    let (mut rules, mut problems, mut ids) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (index, table) in document.rules.into_iter().enumerate() {
        let name = match table.get("id").and_then(toml::Value::as_str) {
            Some(id) => format!("rule {id}"),
            None => format!("rule {} of the file", index + 1),
        };
        match table.try_into::<Rule>() {
            Ok(rule) => {
                problems.extend(
                    rule.problems()
                        .into_iter()
                        .map(|problem| format!("{name}: {problem}")),
                );
                if !ids.insert(rule.id.clone()) {
                    problems.push(format!("{name}: it is there twice; give one of them another id"));
                }
                rules.push(rule);
            }
            Err(error) => problems.push(format!("{name}: {}", error.message())),
        }
    }
    if problems.is_empty() {
        Ok(rules)
    } else {
        Err(problems)
    }
}

/// A file with these rules.
pub(super) fn write(rules: &[Rule]) -> Result<String, Failure> {
    let mut text =
        String::from("# Alert rules of sysmon. What each setting means is said in docs/alerts.md.\n");
    for rule in rules {
        let document = Document { rules: vec![rule] };
        let one = toml::to_string(&document).map_err(|error| Failure::runtime(Report::new(error)))?;
        text.push('\n');
        text.push_str(&one);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_exported_can_be_imported() {
        let rules = sysmon_core::alert::starter_pack();
        assert!(rules.len() > 10);
        assert_eq!(parse(&write(&rules).unwrap()).unwrap(), rules);
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let text = r#"
[[rule]]
id = "Not An Id"
title = "x"
check = { kind = "machine_down", severity = "critical" }

[[rule]]
id = "cpu"
title = "Processor"
check = { kind = "metric", comparison = "above", quantity = { metric = "cpu.busy_percent", function = "average" } }

[[rule]]
id = "down"
title = "Down"
check = { kind = "machine_down", severity = "critical" }

[[rule]]
id = "down"
title = "Down"
check = { kind = "machine_down", severity = "critical" }
"#;
        let problems = parse(text).unwrap_err().join("\n");
        for wrong in [
            "rule Not An Id",
            "lower-case",
            "rule cpu",
            "window",
            "rule down",
            "twice",
        ] {
            assert!(problems.contains(wrong), "{wrong}: {problems}");
        }
        assert!(parse("[[rules]]\n").unwrap_err()[0].contains("rules"));
        assert_eq!(parse("").unwrap(), []);
    }
}
