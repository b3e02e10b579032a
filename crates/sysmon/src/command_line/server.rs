//! `sysmon`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use sysmon_api::Role;

use super::Flags;
use super::SimulateArguments;
use super::history::{DeadLettersCommand, MachinesCommand, QueryArguments};
use super::rules::RulesCommand;
use crate::settings::{PrintFormat, table};

/// Watches a fleet of machines.
///
/// The servers and tools; the console is `sysmon-tui`.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "sysmon",
    version,
    after_help = "Example: sysmon up\n\nEvery option can also come from a file or a variable: `sysmon config print` shows them all."
)]
pub struct ServerCommandLine {
    /// Configuration file to read instead of the usual ones
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// What to do.
    #[command(subcommand)]
    pub command: ServerCommand,
}

/// What `sysmon` can do.
#[derive(Clone, Debug, Subcommand)]
pub enum ServerCommand {
    /// Run every role in one process, without the console
    #[command(
        after_help = "Example: sysmon up --interval 1s\nThen:    sysmon-tui --connect http://127.0.0.1:50051"
    )]
    Up(UpArguments),
    /// Measure this machine and report to an aggregator
    #[command(
        after_help = "Example: sysmon collector --aggregator https://monitor.example:50051 --token-file /etc/sysmon/token --label role=web"
    )]
    Collector(CollectorArguments),
    /// Take reports of collectors and serve consoles
    #[command(
        after_help = "Example: sysmon aggregator --listen 0.0.0.0:50051 --tls-cert cert.pem --tls-key key.pem"
    )]
    Aggregator(AggregatorArguments),
    /// Evaluate alert rules and notify
    #[command(
        after_help = "Example: sysmon alerts --redis redis://127.0.0.1:6379 --database postgres://sysmon@db/sysmon --receivers /etc/sysmon/receivers.toml\n\nSeveral share the work. `sysmon up` and `sysmon-tui` on its own do it themselves."
    )]
    Alerts(AlertsArguments),
    /// Report machines that do not exist: for demonstrations, tests and measurements
    #[command(
        after_help = "Examples: sysmon simulate --machines 200 --aggregator http://127.0.0.1:50051\n          sysmon simulate --machines 50 --scenario docs/scenarios/bad-afternoon.toml --aggregator http://127.0.0.1:50051\n\nThe machines' tokens would be many: an aggregator of the same user on this machine asks for none."
    )]
    Simulate(SimulateArguments),
    /// Ask whether a server serves, or the collector reports: exit code 0 if so, 1 if not
    #[command(
        after_help = "Examples: sysmon health http://127.0.0.1:50051\n          sysmon health collector"
    )]
    Health(HealthArguments),
    /// Print what history has of machines
    #[command(
        after_help = "Examples: sysmon query --machine web-1 --metric cpu.busy_percent --from -6h\n          sysmon query --from 14:05 --to 14:35 --format csv > incident.csv\n          sysmon query --aggregator https://hub:50051 --token-file ~/.sysmon-token\n\nWithout --aggregator and --database it reads storage.database, by default what `sysmon-tui` and `sysmon up` keep.\nTimes: 2026-03-01T14:05:00Z, \"2026-03-01 14:05\", 2026-03-01, 14:05, -90s, -1h, \"1h ago\", now."
    )]
    Query(QueryArguments),
    /// Look after batches that could not be stored
    #[command(
        after_help = "Example: sysmon dead-letters list --machine web-1\n\nWithout --database it works on storage.database."
    )]
    DeadLetters {
        /// What to do with them.
        #[command(subcommand)]
        command: DeadLettersCommand,
    },
    /// Look after the machines that ever reported
    #[command(after_help = "Example: sysmon machines list")]
    Machines {
        /// What to do with them.
        #[command(subcommand)]
        command: MachinesCommand,
    },
    /// Look after alert rules, in files for version control
    #[command(
        after_help = "Example: sysmon rules export > rules.toml\n\nWithout --aggregator it works on storage.database."
    )]
    Rules {
        /// What to do with them.
        #[command(subcommand)]
        command: RulesCommand,
    },
    /// Check or show the configuration
    #[command(after_help = "Example: sysmon config check")]
    Config {
        /// What to do with it.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Manage who may connect to the aggregator
    #[command(
        after_help = "Example: sysmon tokens create --role agent --name web-1 --machine-id web-1\n\nThe aggregator reads the file anew when it changes."
    )]
    Tokens {
        /// What to do with them.
        #[command(subcommand)]
        command: TokensCommand,
    },
}

/// Options of the server part.
#[derive(Clone, Debug, Default, Args)]
pub struct AggregatorArguments {
    #[arg(long, value_name = "ADDRESS", help = table::AGGREGATOR_LISTEN.flag_help())]
    listen: Option<String>,
    #[arg(long, value_name = "FILE", help = table::AGGREGATOR_TLS_CERT.flag_help())]
    tls_cert: Option<PathBuf>,
    #[arg(long, value_name = "FILE", help = table::AGGREGATOR_TLS_KEY.flag_help())]
    tls_key: Option<PathBuf>,
    #[arg(long, help = table::AGGREGATOR_INSECURE.flag_help())]
    insecure: bool,
    #[arg(long, value_name = "URL", help = table::STORAGE_DATABASE.flag_help())]
    database: Option<String>,
    #[arg(long, value_name = "URL", help = table::STORAGE_REDIS.flag_help())]
    redis: Option<String>,
}

/// Options of what is measured.
#[derive(Clone, Debug, Default, Args)]
struct MeasureArguments {
    #[arg(long, value_name = "DURATION", help = table::COLLECTOR_INTERVAL.flag_help())]
    interval: Option<String>,
    #[arg(long, value_name = "ID", help = table::COLLECTOR_MACHINE_ID.flag_help())]
    machine_id: Option<String>,
    #[arg(long = "label", value_name = "NAME=VALUE", help = table::COLLECTOR_LABELS.flag_help())]
    labels: Vec<String>,
    #[arg(long, value_name = "none|redacted|full", help = table::COLLECTOR_PROCESS_ARGS.flag_help())]
    process_args: Option<String>,
    #[arg(long, help = table::COLLECTOR_ALLOW_SIGNALS.flag_help())]
    allow_signals: bool,
}

/// Options of `sysmon up`.
#[derive(Clone, Debug, Default, Args)]
pub struct UpArguments {
    #[command(flatten)]
    aggregator: AggregatorArguments,
    #[command(flatten)]
    measure: MeasureArguments,
}

/// Options of `sysmon alerts`.
#[derive(Clone, Debug, Default, Args)]
pub struct AlertsArguments {
    #[arg(long, value_name = "URL", help = table::STORAGE_DATABASE.flag_help())]
    database: Option<String>,
    #[arg(long, value_name = "URL", help = table::STORAGE_REDIS.flag_help())]
    redis: Option<String>,
    #[arg(long, value_name = "FILE", help = table::ALERTS_RECEIVERS.flag_help())]
    receivers: Option<PathBuf>,
}

/// Options of `sysmon collector`.
#[derive(Clone, Debug, Default, Args)]
pub struct CollectorArguments {
    #[arg(long, value_name = "URL", help = table::COLLECTOR_AGGREGATOR.flag_help())]
    aggregator: Option<String>,
    #[command(flatten)]
    measure: MeasureArguments,
    #[arg(
        long,
        value_name = "FILE",
        help = "File with the token of this machine's agent"
    )]
    token_file: Option<PathBuf>,
    #[arg(long, value_name = "FILE", help = table::COLLECTOR_TLS_CA.flag_help())]
    tls_ca: Option<PathBuf>,
    #[arg(long, help = table::COLLECTOR_INSECURE.flag_help())]
    insecure: bool,
    #[arg(long, value_name = "FOLDER", help = table::COLLECTOR_SPOOL_DIR.flag_help())]
    spool_dir: Option<PathBuf>,
    #[arg(long, value_name = "FOLDER", help = table::COLLECTOR_HOST_ROOT.flag_help())]
    host_root: Option<PathBuf>,
}

/// Measures this machine and reports to an aggregator.
///
/// The same as `sysmon collector`, in a program of its own that takes half of the memory.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "sysmon-collector",
    version,
    after_help = "Example: sysmon-collector --aggregator https://monitor.example:50051 --token-file /etc/sysmon/token --label role=web"
)]
pub struct CollectorCommandLine {
    /// Configuration file to read instead of the usual ones
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    collector: CollectorArguments,
}

/// Options of `sysmon health`.
#[derive(Clone, Debug, Args)]
pub struct HealthArguments {
    /// Server to ask: http://HOST:PORT, https://HOST:PORT or unix:PATH; `collector` for the one that this user runs
    /// here, `collector:MACHINE_ID` where there are several; `alerts` for the alert service
    #[arg(value_name = "ROLE_URL")]
    pub url: String,
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub timeout: Duration,
    /// Certificate authority in PEM that signed the server's certificate; by default those of the system
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
}

/// What `sysmon config` can do.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Report every mistake at once: exit code 64 if there is one
    #[command(after_help = "Example: sysmon config check --config /etc/sysmon/sysmon.toml")]
    Check,
    /// Show the settings in effect, each with where it comes from; secrets are not shown
    #[command(after_help = "Example: sysmon config print --format json")]
    Print {
        /// How to show them
        #[arg(long, value_enum, default_value = "toml")]
        format: PrintFormat,
    },
    /// Print the example file
    #[command(hide = true, after_help = "Example: sysmon config example > sysmon.toml")]
    Example,
}

/// What `sysmon tokens` can do.
#[derive(Clone, Debug, Subcommand)]
pub enum TokensCommand {
    /// Make a token and print it, this once: only its hash is kept
    #[command(
        after_help = "Example: sysmon tokens create --role viewer --name ana\n\nAgents need --machine-id: they report for that machine and nothing else."
    )]
    Create {
        /// What it entitles to: agent, viewer, operator or admin
        #[arg(long, value_parser = role)]
        role: Role,
        /// Name to know it by, in the list and in logs
        #[arg(long)]
        name: String,
        /// The machine that an agent reports for
        #[arg(long, value_name = "ID", required_if_eq("role", "agent"))]
        machine_id: Option<String>,
    },
    /// List the tokens by name, without their secrets
    #[command(after_help = "Example: sysmon tokens list")]
    List,
    /// Make a token invalid
    #[command(after_help = "Example: sysmon tokens revoke ana")]
    Revoke {
        /// Name of the token
        name: String,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::settings::parse_duration(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "give a duration such as 500ms, 2s or 1m".into())
}

fn role(text: &str) -> Result<Role, String> {
    Role::from_word(text).ok_or_else(|| "give agent, viewer, operator or admin".into())
}

impl AggregatorArguments {
    fn flags(&self, flags: Flags) -> Flags {
        flags
            .text(&table::AGGREGATOR_LISTEN, "--listen", self.listen.as_ref())
            .path(&table::AGGREGATOR_TLS_CERT, "--tls-cert", self.tls_cert.as_ref())
            .path(&table::AGGREGATOR_TLS_KEY, "--tls-key", self.tls_key.as_ref())
            .switch(&table::AGGREGATOR_INSECURE, "--insecure", self.insecure)
            .text(&table::STORAGE_DATABASE, "--database", self.database.as_ref())
            .text(&table::STORAGE_REDIS, "--redis", self.redis.as_ref())
    }
}

impl MeasureArguments {
    fn flags(&self, flags: Flags) -> Flags {
        flags
            .text(&table::COLLECTOR_INTERVAL, "--interval", self.interval.as_ref())
            .text(
                &table::COLLECTOR_MACHINE_ID,
                "--machine-id",
                self.machine_id.as_ref(),
            )
            .pairs(&table::COLLECTOR_LABELS, "--label", &self.labels)
            .text(
                &table::COLLECTOR_PROCESS_ARGS,
                "--process-args",
                self.process_args.as_ref(),
            )
            .switch(
                &table::COLLECTOR_ALLOW_SIGNALS,
                "--allow-signals",
                self.allow_signals,
            )
    }
}

impl CollectorArguments {
    fn flags(&self, flags: Flags) -> Flags {
        self.measure
            .flags(flags)
            .text(
                &table::COLLECTOR_AGGREGATOR,
                "--aggregator",
                self.aggregator.as_ref(),
            )
            .secret_file(&table::COLLECTOR_TOKEN, "--token-file", self.token_file.as_ref())
            .path(&table::COLLECTOR_TLS_CA, "--tls-ca", self.tls_ca.as_ref())
            .switch(&table::COLLECTOR_INSECURE, "--insecure", self.insecure)
            .path(
                &table::COLLECTOR_SPOOL_DIR,
                "--spool-dir",
                self.spool_dir.as_ref(),
            )
            .path(
                &table::COLLECTOR_HOST_ROOT,
                "--host-root",
                self.host_root.as_ref(),
            )
    }
}

impl AlertsArguments {
    fn flags(&self, flags: Flags) -> Flags {
        flags
            .text(&table::STORAGE_DATABASE, "--database", self.database.as_ref())
            .text(&table::STORAGE_REDIS, "--redis", self.redis.as_ref())
            .path(&table::ALERTS_RECEIVERS, "--receivers", self.receivers.as_ref())
    }
}

impl CollectorCommandLine {
    /// The settings that were given as flags.
    #[must_use]
    pub fn flags(&self) -> Flags {
        self.collector.flags(Flags::default())
    }
}

impl ServerCommand {
    /// The settings that were given as flags.
    #[must_use]
    pub fn flags(&self) -> Flags {
        let flags = Flags::default();
        match self {
            Self::Up(up) => up.measure.flags(up.aggregator.flags(flags)),
            Self::Aggregator(aggregator) => aggregator.flags(flags),
            Self::Collector(collector) => collector.flags(flags),
            Self::Alerts(alerts) => alerts.flags(flags),
            Self::Rules { command } => command.flags(flags),
            Self::Simulate(simulate) => simulate.flags(flags),
            Self::Query(query) => query.source.flags(flags),
            Self::DeadLetters { command } => command.flags(flags),
            Self::Machines {
                command: MachinesCommand::List { source, .. },
            } => source.flags(flags),
            Self::Machines {
                command: MachinesCommand::Revoke { .. },
            }
            | Self::Health(_)
            | Self::Config { .. }
            | Self::Tokens { .. } => flags,
        }
    }
}
