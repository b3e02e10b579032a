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
    after_help = "Examples: sysmon-tui\n          sysmon-tui --connect http://127.0.0.1:50051\n          sysmon-tui @prod --readonly\n          sysmon-tui @prod @lab\n          sysmon-tui --replay incident.rec --once --at 14:05\n          sysmon-tui --once --format json\n          sysmon-tui --once --filter 'health >= warning and role = db'\n\nExit codes: 0 done, 1 failed, 64 wrong usage or configuration; with --once: 1 critical alerts are firing, 2 failed."
)]
pub struct TerminalCommandLine {
    /// Configuration file to read instead of the usual ones
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Aggregators to watch by their names, from [connections.NAME] of the configuration: each in a tab
    #[arg(value_name = "@NAME", conflicts_with = "connect", value_parser = connection_name)]
    pub connections: Vec<String>,
    #[arg(long, value_name = "URL", help = table::TUI_CONNECT.flag_help(), long_help = connect_help())]
    connect: Vec<String>,
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
    /// Play a recording, or with --once print its end; needs no aggregator
    #[arg(long, value_name = "FILE", conflicts_with_all = ["connect", "connections", "record"])]
    pub replay: Option<PathBuf>,
    /// Moment of the recording to stand still at: 14:05, or "3m ago" as seen from its end
    #[arg(long, value_name = "TIME", requires = "replay", allow_hyphen_values = true)]
    pub at: Option<String>,
    #[arg(long, value_name = "DURATION", conflicts_with_all = ["connect", "connections"], help = table::TUI_INTERVAL.flag_help())]
    interval: Option<String>,
    #[arg(long, value_name = "NAME|FILE", help = table::TUI_THEME.flag_help())]
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
    #[arg(long, value_name = "FILE", help = table::TUI_KEYMAP.flag_help())]
    keymap: Option<PathBuf>,
    /// Print the keys as a file for --keymap, and exit
    #[arg(long)]
    pub print_keymap: bool,
    #[arg(long, value_name = "N", help = table::TUI_FPS.flag_help())]
    fps: Option<String>,
    #[arg(long, help = table::TUI_LOW_BANDWIDTH.flag_help())]
    low_bandwidth: bool,
    #[arg(long, help = table::TUI_READONLY.flag_help())]
    readonly: bool,
    /// Remember nothing, and forget nothing that was remembered
    #[arg(long)]
    no_state: bool,
}

fn connect_help() -> String {
    let help = table::TUI_CONNECT.flag_help();
    format!(
        "{help}\n\nMore than one: each is in a tab of its own. A token and TLS settings on the command line are for the first of them"
    )
}

/// `@prod` without its `@`.
fn connection_name(text: &str) -> Result<String, String> {
    match text.strip_prefix('@') {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err("write @NAME for a connection of the configuration, or --connect URL".to_owned()),
    }
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
    /// All aggregators that were named: addresses, and names with their `@`.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        let names = self.connections.iter().map(|name| format!("@{name}"));
        names.chain(self.connect.iter().cloned()).collect()
    }

    /// What is watched beside the first aggregator: addresses, and names with their `@`.
    #[must_use]
    pub fn further(&self) -> Vec<String> {
        self.all().into_iter().skip(1).collect()
    }

    /// The settings that were given as flags.
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags::default()
            .text(&table::TUI_CONNECT, "--connect", self.connect.first())
            .text(&table::TUI_INTERVAL, "--interval", self.interval.as_ref())
            .text(&table::TUI_THEME, "--theme", self.theme.as_ref())
            .secret_file(&table::TUI_TOKEN, "--token-file", self.token_file.as_ref())
            .path(&table::TUI_TLS_CA, "--tls-ca", self.tls_ca.as_ref())
            .switch(&table::TUI_INSECURE, "--insecure", self.insecure)
            .path(&table::LOG_FILE, "--log-file", self.log_file.as_ref())
            .switch(&table::TUI_ASCII, "--ascii", self.ascii)
            .text(&table::TUI_NOTIFY, "--notify", self.notify.as_ref())
            .path(&table::TUI_KEYMAP, "--keymap", self.keymap.as_ref())
            .text(&table::TUI_FPS, "--fps", self.fps.as_ref())
            .switch(&table::TUI_LOW_BANDWIDTH, "--low-bandwidth", self.low_bandwidth)
            .switch(&table::TUI_READONLY, "--readonly", self.readonly)
            .text(
                &table::TUI_REMEMBER,
                "--no-state",
                self.no_state.then(|| "false".to_owned()).as_ref(),
            )
    }
}
