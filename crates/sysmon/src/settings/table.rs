//! Every setting there is. From this table come files, variables, flags, `config print` and the example file.

use std::net::SocketAddr;
use std::path::PathBuf;

use sysmon_api::{Endpoint, Secret};
use sysmon_collector::ProcessArguments;
use sysmon_core::MachineId;
use sysmon_tui::Notify;

use super::setting::{AnySetting, Setting};
use super::store_url::{DatabaseUrl, RedisUrl, WebhookUrl};
use super::value::{Folder, FrameRate, Interval, Labels, LogFilter, LogFormat, Period, Space};

macro_rules! settings {
    ($($id:ident: $type:ty = $name:literal, $default:expr, $help:literal;)*) => {
        $(#[doc = $help] pub static $id: Setting<$type> = Setting::new($name, $default, $help);)*

        /// All settings, section by section.
        pub static TABLE: &[&'static dyn AnySetting] = &[$(&$id,)*];
    };
}

settings! {
    LOG_LEVEL: LogFilter = "log.level", Some("info"),
        "Which log lines are written; the variable RUST_LOG goes before it";
    LOG_FORMAT: LogFormat = "log.format", Some("human"),
        "How log lines look";
    LOG_FILE: PathBuf = "log.file", None,
        "Where sysmon-tui logs to; by default sysmon/sysmon-tui.log in the user's state folder";

    AGGREGATOR_LISTEN: SocketAddr = "aggregator.listen", Some("127.0.0.1:50051"),
        "Address and port to listen on; port 0 takes a free one and logs it";
    AGGREGATOR_TLS_CERT: PathBuf = "aggregator.tls_cert", None,
        "Certificate chain in PEM; needed to listen beyond this machine";
    AGGREGATOR_TLS_KEY: PathBuf = "aggregator.tls_key", None,
        "Private key of the certificate in PEM";
    AGGREGATOR_INSECURE: bool = "aggregator.insecure", Some("false"),
        "Listen beyond this machine without TLS: everyone on the way can read the tokens";

    AUTH_TOKENS_FILE: PathBuf = "auth.tokens_file", None,
        "File with the hashes of the tokens; by default sysmon/tokens.toml in the user's data folder";

    STORAGE_DATABASE: DatabaseUrl = "storage.database", None,
        "Where history is kept; by default sysmon/history.db, an SQLite file in the user's data folder";
    STORAGE_REDIS: RedisUrl = "storage.redis", Some("memory:"),
        "Where aggregators share the present state of the fleet; memory: for one that is alone";
    STORAGE_RETAIN_SAMPLES: Period = "storage.retain_samples", Some("7d"),
        "How long every sample is kept";
    STORAGE_RETAIN_MINUTES: Period = "storage.retain_minutes", Some("30d"),
        "How long minimum, mean and maximum of each minute are kept";
    STORAGE_RETAIN_HOURS: Period = "storage.retain_hours", Some("2y"),
        "How long minimum, mean and maximum of each hour are kept";

    ALERTS_RECEIVERS: PathBuf = "alerts.receivers", None,
        "File with those who are notified of alerts; see docs/notifications.md";
    ALERTS_WEBHOOK: WebhookUrl = "alerts.webhook", None,
        "URL to which every notification is posted as JSON, beside those of the file";

    COLLECTOR_AGGREGATOR: Endpoint = "collector.aggregator", Some("http://127.0.0.1:50051"),
        "Aggregator to report to";
    COLLECTOR_INTERVAL: Interval = "collector.interval", Some("5s"),
        "Time between two samples, 100ms to 1h";
    COLLECTOR_BURST_INTERVAL: Interval = "collector.burst_interval", Some("250ms"),
        "The shortest time between samples while somebody looks at this machine, 100ms to 1h; the interval itself for no more";
    COLLECTOR_PROCESS_INTERVAL: Interval = "collector.process_interval", Some("10s"),
        "Time between two lists of the busiest processes while nobody looks at this machine, 100ms to 1h";
    COLLECTOR_MACHINE_ID: MachineId = "collector.machine_id", None,
        "Name under which this machine reports, the same after every start; by default its host name";
    COLLECTOR_LABELS: Labels = "collector.labels", None,
        "Labels of this machine, to filter and group by";
    COLLECTOR_PROCESS_ARGS: ProcessArguments = "collector.process_args", Some("redacted"),
        "What leaves this machine of the arguments of its processes";
    COLLECTOR_ALLOW_SIGNALS: bool = "collector.allow_signals", Some("false"),
        "Let operators signal the processes of this machine, as far as the collector's user has the right to";
    COLLECTOR_SPOOL_DIR: Folder = "collector.spool_dir", None,
        "Where samples wait until they are in history; by default sysmon/spool in the user's state folder";
    COLLECTOR_SPOOL_MAX_BYTES: Space = "collector.spool_max_bytes", Some("512MiB"),
        "The most that waits; beyond it the oldest samples are dropped and reported as a gap";
    COLLECTOR_SPOOL_MAX_AGE: Period = "collector.spool_max_age", Some("24h"),
        "How long a sample waits at most; an aggregator whose collectors keep more is told so here too";
    COLLECTOR_HOST_ROOT: Folder = "collector.host_root", Some("/"),
        "Where the files of the watched machine are, its proc and sys among them: for a collector in a container";
    COLLECTOR_TOKEN: Secret = "collector.token", None,
        "Token of role agent; not needed for an aggregator of the same user on this machine";
    COLLECTOR_TLS_CA: PathBuf = "collector.tls_ca", None,
        "Certificate authority in PEM that signed the aggregator's certificate; by default those of the system";
    COLLECTOR_INSECURE: bool = "collector.insecure", Some("false"),
        "Report over plain HTTP to another machine: everyone on the way can read the token";

    TUI_CONNECT: Endpoint = "tui.connect", None,
        "Aggregator to watch; without one this process measures and shows this machine itself";
    TUI_INTERVAL: Interval = "tui.interval", Some("1s"),
        "Time between two samples of this machine when this process measures it itself";
    TUI_BURST: Interval = "tui.burst", Some("250ms"),
        "Time between samples to ask for while a machine is on screen, 100ms to 1h; 1h to leave it at its own pace";
    TUI_THEME: String = "tui.theme", Some("dark"),
        "Colours: dark, light, high-contrast, colour-blind, ansi, catppuccin, dracula, gruvbox, nord, NAME for NAME.toml or btop's NAME.theme in the folder themes beside the configuration file, or a file";
    TUI_KEYMAP: PathBuf = "tui.keymap", None,
        "File with keys; by default sysmon/keys.toml in the user's configuration folder, if it is there";
    TUI_FPS: FrameRate = "tui.fps", Some("30"),
        "The most frames drawn in a second";
    TUI_LOW_BANDWIDTH: bool = "tui.low_bandwidth", Some("false"),
        "Draw for a slow link: a frame a second, charts every five; a link that gets stuck is treated so by itself";
    TUI_READONLY: bool = "tui.readonly", Some("false"),
        "Offer and send nothing that changes anything: no rule, silence, acknowledgement or interval";
    TUI_REMEMBER: bool = "tui.remember", Some("true"),
        "Remember view, order, theme and typed lines for each aggregator in the user's state folder";
    TUI_ASCII: bool = "tui.ascii", Some("false"),
        "Draw with ASCII characters only";
    TUI_NOTIFY: Notify = "tui.notify", Some("none"),
        "How the terminal tells of an alert that becomes critical: nothing, its bell, or a notification of the desktop";
    TUI_TOKEN: Secret = "tui.token", None,
        "Token of role viewer or above; not needed for an aggregator of the same user on this machine";
    TUI_TLS_CA: PathBuf = "tui.tls_ca", None,
        "Certificate authority in PEM that signed the aggregator's certificate; by default those of the system";
    TUI_INSECURE: bool = "tui.insecure", Some("false"),
        "Connect over plain HTTP to another machine: everyone on the way can read the token";
}

/// The setting of a section and key.
pub(crate) fn find(section: &str, key: &str) -> Option<&'static dyn AnySetting> {
    TABLE
        .iter()
        .copied()
        .find(|setting| setting.section() == section && setting.key() == key)
}

/// The sections in the order of the table, with what each is about.
pub(crate) const SECTIONS: &[(&str, &str)] = &[
    ("log", "What the programs tell about themselves."),
    ("aggregator", "The server: `sysmon aggregator` and `sysmon up`."),
    ("auth", "Who may connect to the aggregator; see `sysmon tokens`."),
    (
        "storage",
        "Where the aggregator keeps what collectors report: `sysmon aggregator`, `sysmon up` and `sysmon-tui` on its own.",
    ),
    (
        "alerts",
        "Who is notified: `sysmon alerts`, `sysmon up` and `sysmon-tui` on its own.",
    ),
    (
        "collector",
        "The agent on each machine: `sysmon collector`, and the one inside `sysmon up` and `sysmon-tui`.",
    ),
    ("tui", "The terminal client: `sysmon-tui`."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_setting_has_its_own_name_and_a_listed_section() {
        let mut names = BTreeSet::new();
        for setting in TABLE {
            assert!(
                names.insert(setting.variable()),
                "{} is there twice",
                setting.name()
            );
            assert!(
                SECTIONS.iter().any(|(section, _)| *section == setting.section()),
                "{}",
                setting.name()
            );
            assert!(!setting.key().is_empty() && !setting.key().contains('.'));
        }
    }

    #[test]
    fn every_default_and_example_is_a_valid_value() {
        for setting in TABLE {
            if let Some(default) = setting.default() {
                assert_eq!(
                    setting.check(&super::super::Raw::Text(default.into())),
                    Ok(()),
                    "{}",
                    setting.name()
                );
            }
            if !setting.is_secret() {
                let example = super::super::Raw::Text(setting.example().into());
                assert_eq!(setting.check(&example), Ok(()), "{}", setting.name());
            }
        }
    }
}
