//! What is generated from the programs and kept in `docs/` must not drift. `UPDATE=1` writes it anew.

use std::path::PathBuf;

use sysmon::command_line::cli_reference;
use sysmon::settings::example_file;

use crate::support::{Home, finish};

fn check(name: &str, expected: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/{name} is not what the programs say; run this test with UPDATE=1 and look at the difference"
    );
}

#[test]
fn the_example_file_in_the_docs_is_that_of_the_program() {
    check("sysmon.example.toml", &example_file());
}

#[test]
fn the_command_line_in_the_docs_is_that_of_the_programs() {
    check("cli.md", &cli_reference());
}

#[test]
fn the_help_of_every_command_has_an_example() {
    let page = cli_reference();
    for section in page.split("\n## ").skip(1) {
        assert!(section.contains("Example"), "{section}");
    }
    for command in [
        "sysmon-tui",
        "sysmon up",
        "sysmon tokens create",
        "sysmon config print",
        "sysmon health",
    ] {
        assert!(page.contains(&format!("\n## {command}\n")), "{command}");
    }
}

#[tokio::test]
async fn the_program_prints_the_example_file_and_takes_it_as_its_configuration() {
    let home = Home::new();
    let printed = finish(&mut home.sysmon(&["config", "example"])).await;
    assert_eq!(
        (printed.code, printed.stdout.as_str()),
        (Some(0), example_file().as_str())
    );
    home.configure(&printed.stdout);
    let checked = finish(&mut home.sysmon(&["config", "check"])).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
}
