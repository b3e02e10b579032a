//! `sysmon query`, `sysmon dead-letters`, `sysmon machines`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use sysmon_api::Endpoint;
use sysmon_core::{HistoryQuery, MachineId};

use super::Flags;
use super::moment::Moment;
use crate::settings::table;

/// Where to look.
#[derive(Clone, Debug, Args)]
pub struct SourceArguments {
    /// Aggregator to ask
    #[arg(long, value_name = "URL", conflicts_with = "database")]
    pub aggregator: Option<Endpoint>,
    #[arg(long, value_name = "URL", help = table::STORAGE_DATABASE.flag_help())]
    database: Option<String>,
    /// File with the token to connect with
    #[arg(long, value_name = "FILE", requires = "aggregator")]
    token_file: Option<PathBuf>,
    #[arg(long, value_name = "FILE", requires = "aggregator", help = table::TUI_TLS_CA.flag_help())]
    tls_ca: Option<PathBuf>,
    #[arg(long, requires = "aggregator", help = table::TUI_INSECURE.flag_help())]
    insecure: bool,
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AnswerFormat {
    /// For people: one line per series
    Table,
    /// For spreadsheets: one line per series and moment
    Csv,
    /// For programs
    Json,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// For people
    Table,
    /// For programs
    Json,
}

/// Options of `sysmon query`.
#[derive(Clone, Debug, Args)]
pub struct QueryArguments {
    /// Machine to ask for, by id; may be repeated, all of them by default
    #[arg(long = "machine", value_name = "ID", value_parser = machine)]
    pub machines: Vec<MachineId>,
    /// Metric to ask for, by its dotted name or the beginning of it, such as cpu; may be repeated, all by default
    #[arg(long = "metric", value_name = "NAME")]
    pub metrics: Vec<String>,
    /// Start of the time range
    #[arg(long, value_name = "TIME", default_value = "-1h", allow_hyphen_values = true)]
    pub from: Moment,
    /// End of the time range, not included
    #[arg(long, value_name = "TIME", default_value = "now", allow_hyphen_values = true)]
    pub to: Moment,
    /// Most moments per machine, up to 10000; finer samples are summed up
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=i64::from(HistoryQuery::POINTS_MAX)))]
    pub points: u32,
    /// How to print the answer
    #[arg(long, value_enum, default_value = "table")]
    pub format: AnswerFormat,
    /// Where to look.
    #[command(flatten)]
    pub source: SourceArguments,
}

/// Which dead letters.
#[derive(Clone, Debug, Args)]
pub struct LetterArguments {
    /// Only those of this machine
    #[arg(long, value_name = "ID", value_parser = machine)]
    pub machine: Option<MachineId>,
    /// Only those that came so long ago or earlier, such as 2d; a moment as in `sysmon query` also does
    #[arg(long, value_name = "AGE", allow_hyphen_values = true, value_parser = Moment::of_age)]
    pub older_than: Option<Moment>,
    /// Only this one, by the number that list shows; may be repeated
    #[arg(long = "id", value_name = "NUMBER", conflicts_with_all = ["machine", "older_than"])]
    pub ids: Vec<i64>,
    #[arg(long, value_name = "URL", help = table::STORAGE_DATABASE.flag_help())]
    database: Option<String>,
}

/// What `sysmon dead-letters` can do.
#[derive(Clone, Debug, Subcommand)]
pub enum DeadLettersCommand {
    /// Show them, oldest first, with why they could not be stored
    #[command(after_help = "Example: sysmon dead-letters list --older-than 1h --format json")]
    List {
        /// Which.
        #[command(flatten)]
        letters: LetterArguments,
        /// How to print them
        #[arg(long, value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// Store the samples of them, now that it may be possible, and remove those that could be stored
    #[command(after_help = "Example: sysmon dead-letters retry --machine web-1")]
    Retry {
        /// Which.
        #[command(flatten)]
        letters: LetterArguments,
        /// Store samples from the future too
        #[arg(long)]
        force: bool,
    },
    /// Remove them with their samples, for good
    #[command(after_help = "Example: sysmon dead-letters purge --older-than 7d --yes")]
    Purge {
        /// Which.
        #[command(flatten)]
        letters: LetterArguments,
        /// Do not ask first
        #[arg(long)]
        yes: bool,
    },
}

/// What `sysmon machines` can do.
#[derive(Clone, Debug, Subcommand)]
pub enum MachinesCommand {
    /// List every machine that ever reported
    #[command(
        after_help = "Examples: sysmon machines list\n          sysmon machines list --aggregator http://127.0.0.1:50051 --format json"
    )]
    List {
        /// Where to look.
        #[command(flatten)]
        source: SourceArguments,
        /// How to print them
        #[arg(long, value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// Take back every token that reports for a machine; what is in history stays
    #[command(after_help = "Example: sysmon machines revoke web-1")]
    Revoke {
        /// Which machine, by id
        #[arg(value_name = "ID", value_parser = machine)]
        machine: MachineId,
    },
}

fn machine(text: &str) -> Result<MachineId, String> {
    MachineId::parse(text).map_err(|error| error.to_string())
}

impl SourceArguments {
    pub(super) fn flags(&self, flags: Flags) -> Flags {
        flags
            .text(&table::STORAGE_DATABASE, "--database", self.database.as_ref())
            .secret_file(&table::TUI_TOKEN, "--token-file", self.token_file.as_ref())
            .path(&table::TUI_TLS_CA, "--tls-ca", self.tls_ca.as_ref())
            .switch(&table::TUI_INSECURE, "--insecure", self.insecure)
    }
}

impl DeadLettersCommand {
    pub(super) fn flags(&self, flags: Flags) -> Flags {
        let (Self::List { letters, .. } | Self::Retry { letters, .. } | Self::Purge { letters, .. }) = self;
        flags.text(&table::STORAGE_DATABASE, "--database", letters.database.as_ref())
    }
}
