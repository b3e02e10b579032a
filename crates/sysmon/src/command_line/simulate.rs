//! `sysmon simulate`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Flags;
use crate::settings::table;

/// The most machines of one process; with more, ports and memory run out first.
const MACHINES_MAX: i64 = 100_000;

/// Options of `sysmon simulate`.
#[derive(Clone, Debug, Args)]
pub struct SimulateArguments {
    /// How many machines to simulate
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MACHINES_MAX))]
    pub machines: u32,
    /// Time between the ticks of a machine, 100ms to 1h
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
    /// Machine i of a seed is the same in every simulation
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// File that says what happens to which machines, and when
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// Begin of the machines' ids: NAME-00000, NAME-00001, …
    #[arg(long, value_name = "NAME", default_value = "sim")]
    pub prefix: String,
    /// Play a recorded machine (CSV of raw counters, packed by gzip or not) instead of making values up
    #[arg(long, value_name = "FILE", conflicts_with = "scenario")]
    pub replay: Option<PathBuf>,
    /// Folder for what is not in history yet; without it memory has to do
    #[arg(long, value_name = "DIR")]
    pub spool_dir: Option<PathBuf>,
    /// For load tests: machines that cost little and keep nothing that is not taken at once
    #[arg(long, conflicts_with_all = ["spool_dir", "ledger", "scenario"])]
    pub light: bool,
    /// Watch the fleet too, and log every 10 s how long samples take from machine to subscriber
    #[arg(long)]
    pub latency: bool,
    /// How many connections the machines share [default: one for every hundred]
    #[arg(long, value_name = "C", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub connections: Option<u32>,
    #[arg(long, value_name = "URL", help = table::COLLECTOR_AGGREGATOR.flag_help())]
    aggregator: Option<String>,
    #[arg(
        long,
        value_name = "FILE",
        help = "File with a token that may report for all these machines (role admin)"
    )]
    token_file: Option<PathBuf>,
    #[arg(long, value_name = "FILE", help = table::COLLECTOR_TLS_CA.flag_help())]
    tls_ca: Option<PathBuf>,
    #[arg(long, help = table::COLLECTOR_INSECURE.flag_help())]
    insecure: bool,
    /// File to note every tick in before and after it is in the spool, for the fault run
    #[arg(long, value_name = "FILE", hide = true)]
    pub ledger: Option<PathBuf>,
}

impl SimulateArguments {
    /// The settings that were given as flags.
    pub(super) fn flags(&self, flags: Flags) -> Flags {
        flags
            .text(
                &table::COLLECTOR_AGGREGATOR,
                "--aggregator",
                self.aggregator.as_ref(),
            )
            .secret_file(&table::COLLECTOR_TOKEN, "--token-file", self.token_file.as_ref())
            .path(&table::COLLECTOR_TLS_CA, "--tls-ca", self.tls_ca.as_ref())
            .switch(&table::COLLECTOR_INSECURE, "--insecure", self.insecure)
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_millis(100)..=Duration::from_secs(3_600);
    crate::settings::parse_duration(text)
        .filter(|duration| allowed.contains(duration))
        .ok_or_else(|| "give 100ms to 1h, such as 100ms, 1s or 1m".into())
}
