//! `sysmon rules`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Flags;
use super::history::{ListFormat, SourceArguments};

/// What `sysmon rules` can do.
#[derive(Clone, Debug, Subcommand)]
pub enum RulesCommand {
    /// Show all rules
    #[command(after_help = "Example: sysmon rules list --aggregator http://127.0.0.1:50051")]
    List {
        /// Where to look.
        #[command(flatten)]
        source: SourceArguments,
        /// How to print them
        #[arg(long, value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// Print all rules as a file that import takes, for version control
    #[command(after_help = "Example: sysmon rules export > rules.toml")]
    Export {
        /// Where to look.
        #[command(flatten)]
        source: SourceArguments,
    },
    /// Make and change rules as a file says
    #[command(
        after_help = "Examples: sysmon rules import rules.toml --what-if\n          sysmon rules import rules.toml --aggregator https://hub:50051 --token-file ~/.sysmon-token\n\nNothing is changed when a rule of the file makes no sense. Rules that are not in the file stay, unless --prune is given."
    )]
    Import(ImportArguments),
    /// Say everything that is wrong with the rules of a file
    #[command(after_help = "Example: sysmon rules check rules.toml")]
    Check {
        /// File with rules
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Options of `sysmon rules import`.
#[derive(Clone, Debug, Args)]
pub struct ImportArguments {
    /// File with rules
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Remove the rules that are not in the file
    #[arg(long)]
    pub prune: bool,
    /// Only say what would be changed
    #[arg(long)]
    pub what_if: bool,
    /// Where to change them.
    #[command(flatten)]
    pub source: SourceArguments,
}

impl RulesCommand {
    pub(super) fn flags(&self, flags: Flags) -> Flags {
        match self {
            Self::List { source, .. } | Self::Export { source } => source.flags(flags),
            Self::Import(import) => import.source.flags(flags),
            Self::Check { .. } => flags,
        }
    }
}
