//! `sysmon-tui`.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use super::Flags;
use crate::settings::table;

/// Shows a fleet of machines in the terminal.
///
/// Without options it measures this machine itself and shows it.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "sysmon-tui",
    version,
    after_help = "Examples: sysmon-tui\n          sysmon-tui --connect http://127.0.0.1:50051\n          sysmon-tui --once --format json\n          sysmon-tui --once --filter 'health >= warning and role = db'\n\nExit codes: 0 done, 1 failed, 64 wrong usage or configuration; with --once: 1 critical alerts are firing, 2 failed."
)]
pub struct TerminalCommandLine {
    /// Configuration file to read instead of the usual ones
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[arg(long, value_name = "URL", help = table::TUI_CONNECT.flag_help())]
    connect: Option<String>,
    /// Print one snapshot of the fleet and exit
    #[arg(long)]
    pub once: bool,
    /// How --once prints
    #[arg(long, value_enum, default_value = "text", requires = "once")]
    pub format: OnceFormat,
    /// Only machines that match, such as "cpu > 50 and role = db" (docs/filter.md)
    #[arg(long, value_name = "EXPRESSION")]
    pub filter: Option<String>,
    /// Take everything that happens down in a new file, without arguments of processes
    #[arg(long, value_name = "FILE", conflicts_with = "once")]
    pub record: Option<PathBuf>,
    /// Play a recording; needs no aggregator
    #[arg(long, value_name = "FILE", conflicts_with_all = ["once", "connect", "record"])]
    pub replay: Option<PathBuf>,
    #[arg(long, value_name = "DURATION", conflicts_with = "connect", help = table::TUI_INTERVAL.flag_help())]
    interval: Option<String>,
    #[arg(long, value_name = "NAME", help = table::TUI_THEME.flag_help())]
    theme: Option<String>,
    #[arg(long, value_name = "FILE", help = "File with the token to connect with")]
    token_file: Option<PathBuf>,
    #[arg(long, value_name = "FILE", help = table::TUI_TLS_CA.flag_help())]
    tls_ca: Option<PathBuf>,
    #[arg(long, help = table::TUI_INSECURE.flag_help())]
    insecure: bool,
    #[arg(long, value_name = "FILE", help = table::LOG_FILE.flag_help())]
    log_file: Option<PathBuf>,
    #[arg(long, help = table::TUI_ASCII.flag_help())]
    ascii: bool,
    #[arg(long, value_name = "none|bell|osc9|osc777", help = table::TUI_NOTIFY.flag_help())]
    notify: Option<String>,
}

/// How `--once` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnceFormat {
    /// For people.
    Text,
    /// For scripts.
    Json,
}

impl TerminalCommandLine {
    /// The settings that were given as flags.
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags::default()
            .text(&table::TUI_CONNECT, "--connect", self.connect.as_ref())
            .text(&table::TUI_INTERVAL, "--interval", self.interval.as_ref())
            .text(&table::TUI_THEME, "--theme", self.theme.as_ref())
            .secret_file(&table::TUI_TOKEN, "--token-file", self.token_file.as_ref())
            .path(&table::TUI_TLS_CA, "--tls-ca", self.tls_ca.as_ref())
            .switch(&table::TUI_INSECURE, "--insecure", self.insecure)
            .path(&table::LOG_FILE, "--log-file", self.log_file.as_ref())
            .switch(&table::TUI_ASCII, "--ascii", self.ascii)
            .text(&table::TUI_NOTIFY, "--notify", self.notify.as_ref())
    }
}
