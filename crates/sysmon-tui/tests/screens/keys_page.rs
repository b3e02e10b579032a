//! The page of keys is made of the table of commands, and this test fails when it has not been.

use std::fmt::Write as _;
use std::path::Path;

use sysmon_tui::{COMMANDS, Context};

/// `docs/keys.md` as the table has it.
fn page() -> String {
    let mut page = String::from(
        "# Keys\n\nMade from the table of commands by a test; `UPDATE_DOCS=1 cargo nextest run -p sysmon-tui keys_page` writes it.\n",
    );
    for (context, heading) in Context::ALL {
        let _ = write!(
            page,
            "\n## {heading}\n\nIn a file of keys: `[{}]`.\n\n| key | command | what it does |\n|---|---|---|\n",
            context.name()
        );
        for definition in COMMANDS.iter().filter(|definition| definition.context == context) {
            let keys: Vec<String> = definition
                .keys
                .iter()
                .map(|keys| format!("`{}`", keys.iter().map(ToString::to_string).collect::<String>()))
                .collect();
            let command = definition.command.name();
            let _ = writeln!(page, "| {} | `{command}` | {} |", keys.join(" "), definition.help);
        }
    }
    page
}

#[test]
fn the_page_of_keys_is_that_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/keys.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        written,
        page(),
        "write docs/keys.md anew with UPDATE_DOCS=1 cargo nextest run -p sysmon-tui keys_page"
    );
}
