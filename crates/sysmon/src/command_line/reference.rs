//! `docs/cli.md`: the help of every command, so that it can be read and searched without the programs.

use std::fmt::Write;

use clap::{Command, CommandFactory};

use super::{CollectorCommandLine, ServerCommandLine, TerminalCommandLine};

const WIDTH: usize = 100;

const HEADER: &str = "\
# Command line

The `--help` of every command. Made from the programs; a test keeps it up to date (`UPDATE=1` writes it anew).
";

/// The whole page.
#[must_use]
pub fn cli_reference() -> String {
    let mut page = String::from(HEADER);
    let roots = [
        TerminalCommandLine::command(),
        ServerCommandLine::command(),
        CollectorCommandLine::command(),
    ];
    for root in roots {
        let name = root.get_name().to_owned();
        let mut root = root.term_width(WIDTH);
        root.build();
        describe(&root, &name, &mut page);
    }
    page
}

fn describe(command: &Command, path: &str, page: &mut String) {
    // Absolute sizes and the release would make the page differ from build to build.
    let help = command.clone().bin_name(path).render_long_help().to_string();
    let lines: Vec<_> = help.trim_end().lines().map(str::trim_end).collect();
    let _ = write!(page, "\n## {path}\n\n```text\n{}\n```\n", lines.join("\n"));
    let children = command
        .get_subcommands()
        .filter(|child| !child.is_hide_set() && child.get_name() != "help");
    for child in children {
        describe(child, &format!("{path} {}", child.get_name()), page);
    }
}
