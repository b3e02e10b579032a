//! What `sysmon-tui` does.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use eyre::Report;
use sysmon_api::Endpoint;
use sysmon_core::Filter;
use sysmon_tui::once::{Snapshot, TextStyle, gather, replayed, terminal_width, to_json, to_text};
use sysmon_tui::{Connect, Connections, Keymap, Opened, Options, Recorder, Tabs, TuiError};
use tokio_util::sync::CancellationToken;

use crate::command_line::{OnceFormat, TerminalCommandLine};
use crate::commands::{beside_the_terminal, load, single_threaded};
use crate::embedded::{Embedded, EmbeddedRoles, Places, Sharing};
use crate::exit::{CRITICAL, Failure, ONCE_FAILURE};
use crate::lifecycle::Signals;
use crate::paths::Paths;
use crate::roles::{self, AlertsRole, CollectorRole};
use crate::settings::{FrameRate, Interval, Origin, Problem, Settings, table};
use crate::storage::Storage;
use crate::{output, telemetry};

/// How long the roles of an embedded console may take to end.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);
/// What a text is as wide as when it goes to no terminal.
const WIDTH_DEFAULT: usize = 100;

/// Shows the fleet, or prints it once.
///
/// # Errors
/// What is wrong with the configuration, or what failed.
pub fn run(command_line: &TerminalCommandLine) -> Result<ExitCode, Failure> {
    if command_line.print_keymap {
        output::print(&Keymap::default().to_toml()).map_err(Failure::runtime)?;
        return Ok(ExitCode::SUCCESS);
    }
    let filter = filter(command_line.filter.as_deref().unwrap_or_default())?;
    let paths = Paths::of_user();
    let loaded = load(&paths, command_line.config.as_ref(), command_line.flags());
    if let Some(recording) = &command_line.replay {
        let (settings, ()) = loaded.with(|_| Ok(()))?;
        return if command_line.once {
            once_replayed(recording, command_line, &filter)
        } else {
            let at = command_line.at.as_deref();
            replay(recording, at, &settings, &paths)
        };
    }
    let named = command_line.connections.first().map(String::as_str);
    several(command_line)?;
    let (settings, (source, keymap)) = loaded.with(|settings| {
        roles::both(
            Source::choose(settings, &paths, command_line.once, named),
            keymap(settings, &paths),
        )
    })?;
    log(&settings, &paths)?;
    let runtime = if source.roles.is_some() {
        beside_the_terminal()
    } else {
        single_threaded()
    }?;
    let outcome = runtime.block_on(async {
        if command_line.once {
            once(source, command_line.format, &filter).await
        } else {
            let record = command_line.record.as_deref();
            // A machine that measures itself every second for its own console is watched closely enough: a burst costs a
            // third of what the whole console does.
            let is_calm =
                source.roles.is_some() && settings.origin(&table::TUI_BURST) == Some(&Origin::Default);
            let options = Options {
                burst_interval_ms: if is_calm { 0 } else { burst_interval_ms(&settings) },
                filter: command_line.filter.clone(),
                keymap,
                further: further(&settings, command_line)?,
                ..options(&settings, &paths)
            };
            Box::pin(watch(source, options, record)).await
        }
    });
    // Whatever still blocks a thread, such as a probe that hangs, does not hold up the end.
    runtime.shutdown_background();
    outcome
}

/// Whether so many aggregators can be watched, each of them once.
fn several(command_line: &TerminalCommandLine) -> Result<(), Failure> {
    let further = command_line.further();
    let count = further.len() + 1;
    if command_line.once && count > 1 {
        return Err(Failure::usage(eyre::eyre!(
            "--once prints one aggregator; run it once for each of the {count}"
        )));
    }
    if count > Tabs::MAX {
        return Err(Failure::usage(eyre::eyre!(
            "{count} aggregators are more than there are tabs; name at most {}",
            Tabs::MAX
        )));
    }
    let mut all = command_line.all();
    all.sort_unstable();
    match all.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Failure::usage(eyre::eyre!(
            "{} is there twice; name it once",
            pair[0]
        ))),
        None => Ok(()),
    }
}

/// The ways to the aggregators beside the first. Nothing is sent yet.
fn further(settings: &Settings, command_line: &TerminalCommandLine) -> Result<Vec<Opened>, Failure> {
    let known = Known {
        settings: settings.clone(),
    };
    let opened = command_line.further().into_iter().map(|target| {
        known
            .open(&target)
            .map_err(|reason| Failure::usage(eyre::eyre!("{target}: {reason}")))
    });
    opened.collect()
}

/// Where the data comes from.
struct Source {
    name: String,
    connect: Box<dyn Connect>,
    /// What runs in this process for it.
    roles: Option<EmbeddedRoles>,
}

impl Source {
    fn choose(
        settings: &Settings,
        paths: &Paths,
        is_once: bool,
        named: Option<&str>,
    ) -> Result<Self, Vec<Problem>> {
        if let Some(name) = named {
            return Self::named(settings, name).map_err(|problem| vec![problem]);
        }
        let remote = roles::of_terminal(settings)?;
        if let Some((endpoint, client)) = remote {
            return Ok(Self {
                name: host_and_port(&endpoint),
                connect: Box::new(Remote { client }),
                roles: None,
            });
        }
        let sharing = if is_once {
            Sharing::Private
        } else {
            Sharing::Shared
        };
        let ((collector, alerts), storage) = roles::both(
            roles::both(
                CollectorRole::local(settings, &table::TUI_INTERVAL),
                AlertsRole::from_settings(settings),
            ),
            Storage::embedded(settings, paths),
        )?;
        let embedded = Embedded::new(collector, alerts, storage, Places::of_user(paths), sharing);
        Ok(Self {
            name: "this machine".into(),
            roles: Some(embedded.roles()),
            connect: Box::new(embedded),
        })
    }

    /// A connection of the configuration.
    fn named(settings: &Settings, name: &str) -> Result<Self, Problem> {
        let connections = settings.connections();
        let Some(connection) = connections.get(name) else {
            let known: Vec<&str> = connections.keys().map(String::as_str).collect();
            let message = if known.is_empty() {
                format!(
                    "there is no connection {name:?}; write [connections.{name}] with url = \"http://HOST:50051\" into sysmon.toml"
                )
            } else {
                format!(
                    "there is no connection {name:?}; there are @{}",
                    known.join(", @")
                )
            };
            return Err(Problem::new(Origin::Flag("@NAME"), message));
        };
        Ok(Self {
            name: name.to_owned(),
            connect: Box::new(Remote {
                client: roles::named(name, connection)?,
            }),
            roles: None,
        })
    }

    /// Ends what runs in this process, within the deadline or until a signal.
    async fn stop(roles: Option<EmbeddedRoles>, signals: &mut Signals) {
        let Some(roles) = roles else { return };
        tokio::select! {
            stopped = tokio::time::timeout(DRAIN_DEADLINE, roles.stop()) => if stopped.is_err() {
                tracing::warn!("not everything finished in time");
            },
            signal = signals.next() => tracing::warn!(signal, "stopped at once"),
        }
    }
}

/// An aggregator somewhere else.
struct Remote {
    client: sysmon_api::Client,
}

#[async_trait::async_trait]
impl Connect for Remote {
    async fn connect(&mut self) -> Result<sysmon_api::Client, sysmon_api::ApiError> {
        // It connects anew with every call that finds the connection lost.
        Ok(self.client.clone())
    }
}

/// Reads the filter of the command line; what is wrong with it is said with a mark under the wrong word.
fn filter(text: &str) -> Result<Filter, Failure> {
    Filter::parse(text).map_err(|error| {
        let [shown, marks] = error.marked(text);
        Failure::usage(eyre::eyre!("--filter: {error}\n\n  {shown}\n  {marks}\n"))
    })
}

/// The aggregators that the console can go to while it runs.
#[derive(Debug)]
struct Known {
    settings: Settings,
}

impl Connections for Known {
    fn names(&self) -> Vec<String> {
        self.settings.connections().keys().cloned().collect()
    }

    fn open(&self, target: &str) -> Result<Opened, String> {
        if let Some(name) = target.strip_prefix('@') {
            let source = Source::named(&self.settings, name).map_err(|problem| problem.message)?;
            return Ok(Opened {
                name: source.name,
                connect: source.connect,
            });
        }
        let (endpoint, client) = roles::typed(&self.settings, target)?;
        Ok(Opened {
            name: host_and_port(&endpoint),
            connect: Box::new(Remote { client }),
        })
    }
}

/// An address as a title.
fn host_and_port(endpoint: &Endpoint) -> String {
    let text = endpoint.to_string();
    let text = text.trim_start_matches("http://").trim_start_matches("https://");
    text.to_owned()
}

/// The keys: the table's own, changed by the file of keys when there is one.
///
/// # Errors
/// Everything that is wrong with the file.
pub(crate) fn keymap(settings: &Settings, paths: &Paths) -> Result<Keymap, Vec<Problem>> {
    let Some(path) = paths.keymap_file(settings) else {
        return Ok(Keymap::default());
    };
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let message = format!("cannot read it: {error}");
        vec![Problem::new(Origin::WholeFile(path.clone()), message)]
    })?;
    Keymap::parse(&text).map_err(|problems| {
        let at = |line| Origin::File {
            path: path.clone(),
            line,
        };
        let problems = problems.into_iter();
        problems
            .map(|problem| Problem::new(at(problem.line), problem.message))
            .collect()
    })
}

/// Plays a recording.
fn replay(
    recording: &Path,
    at: Option<&str>,
    settings: &Settings,
    paths: &Paths,
) -> Result<ExitCode, Failure> {
    log(settings, paths)?;
    let options = options(settings, paths);
    single_threaded()?.block_on(async {
        let mut signals = Signals::of_terminal().map_err(Failure::runtime)?;
        let shutdown = CancellationToken::new();
        let playing = sysmon_tui::replay(options, recording, at, shutdown.clone());
        tokio::pin!(playing);
        let outcome = tokio::select! {
            outcome = &mut playing => outcome,
            signal = signals.next() => {
                tracing::info!(signal, "stopping");
                shutdown.cancel();
                playing.await
            }
        };
        conclusion(outcome)
    })
}

/// What a client's end means to the shell.
fn conclusion(outcome: Result<(), TuiError>) -> Result<ExitCode, Failure> {
    match outcome {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // A theme is a setting; that it cannot be read shows only when it is loaded.
        Err(error @ (TuiError::Theme(_) | TuiError::Recording(_))) => Err(Failure::usage(error)),
        Err(error) => Err(Failure::runtime(error)),
    }
}

/// A recording of this session, if one is wanted.
fn recorder(record: Option<&Path>, source: &Source, filter: &str) -> Result<Option<Recorder>, Failure> {
    let Some(path) = record else { return Ok(None) };
    let recorder = Recorder::create(path, &source.name, source.roles.is_some(), filter);
    recorder.map(Some).map_err(|error| {
        Failure::usage(eyre::eyre!(
            "cannot record into {}: {error}; name a file that does not exist yet",
            path.display()
        ))
    })
}

async fn watch(source: Source, options: Options, record: Option<&Path>) -> Result<ExitCode, Failure> {
    let recorder = recorder(record, &source, options.filter.as_deref().unwrap_or_default())?;
    let mut signals = Signals::of_terminal().map_err(Failure::runtime)?;
    let shutdown = CancellationToken::new();
    let options = Options {
        is_local: source.roles.is_some(),
        recorder,
        source_name: source.name,
        ..options
    };
    let outcome = {
        let client = sysmon_tui::run(options, source.connect, shutdown.clone());
        tokio::pin!(client);
        tokio::select! {
            outcome = &mut client => outcome,
            signal = signals.next() => {
                tracing::info!(signal, "stopping");
                shutdown.cancel();
                client.await
            }
        }
    };
    Source::stop(source.roles, &mut signals).await;
    conclusion(outcome)
}

fn options(settings: &Settings, paths: &Paths) -> Options {
    // What was picked once in the console goes before a default, and what somebody has written down before that.
    let is_theme_given = settings.origin(&table::TUI_THEME) != Some(&Origin::Default);
    let theme = is_theme_given.then(|| settings.get(&table::TUI_THEME)).flatten();
    let remembers = settings.get(&table::TUI_REMEMBER).unwrap_or(true);
    Options {
        theme: theme.unwrap_or_default(),
        theme_dirs: paths
            .config_folder()
            .map(|folder| folder.join("themes"))
            .into_iter()
            .collect(),
        ascii: settings.get(&table::TUI_ASCII).unwrap_or(false),
        no_color: no_color(),
        source_name: String::new(),
        is_local: false,
        burst_interval_ms: burst_interval_ms(settings),
        recorder: None,
        filter: None,
        notify: settings.get(&table::TUI_NOTIFY).unwrap_or_default(),
        keymap: Keymap::default(),
        frames_per_second: settings.get(&table::TUI_FPS).map_or(0, |FrameRate(rate)| rate),
        is_low_bandwidth: settings.get(&table::TUI_LOW_BANDWIDTH).unwrap_or(false),
        is_readonly: settings.get(&table::TUI_READONLY).unwrap_or(false),
        state_dir: remembers.then(|| paths.state_folder()).flatten(),
        further: Vec::new(),
        connections: Some(Arc::new(Known {
            settings: settings.clone(),
        })),
    }
}

/// An hour is longer than any pace of a machine on screen is worth changing.
fn burst_interval_ms(settings: &Settings) -> u32 {
    let wanted_ms = settings.get(&table::TUI_BURST).map_or(0, |Interval(wanted)| {
        u32::try_from(wanted.as_millis()).unwrap_or(u32::MAX)
    });
    if wanted_ms >= 3_600_000 { 0 } else { wanted_ms }
}

/// <https://no-color.org>: set and not empty.
fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

async fn once(mut source: Source, format: OnceFormat, filter: &Filter) -> Result<ExitCode, Failure> {
    let failed = |report: Report| Failure {
        code: ONCE_FAILURE,
        report,
    };
    let mut signals = Signals::of_terminal().map_err(|error| failed(error.into()))?;
    let is_own_machine = source.roles.is_some();
    let fleet = tokio::select! {
        fleet = gather(&mut *source.connect, is_own_machine, filter) => fleet.map_err(|error| failed(error.into())),
        signal = signals.next() => Err(failed(eyre::eyre!("stopped by {signal}"))),
    };
    Source::stop(source.roles, &mut signals).await;
    print_once(&fleet?, format)
}

/// Prints a moment of a recording.
fn once_replayed(
    recording: &Path,
    command_line: &TerminalCommandLine,
    filter: &Filter,
) -> Result<ExitCode, Failure> {
    let snapshot = replayed(recording, command_line.at.as_deref(), filter).map_err(|error| Failure {
        code: ONCE_FAILURE,
        report: eyre::eyre!("cannot play {}: {error}", recording.display()),
    })?;
    print_once(&snapshot, command_line.format)
}

fn print_once(snapshot: &Snapshot, format: OnceFormat) -> Result<ExitCode, Failure> {
    let failed = |report: Report| Failure {
        code: ONCE_FAILURE,
        report,
    };
    let text = match format {
        OnceFormat::Json => to_json(snapshot).map_err(|error| failed(error.into()))?,
        OnceFormat::Text => to_text(snapshot, text_style()),
    };
    output::print(&text).map_err(failed)?;
    Ok(if snapshot.has_critical() {
        ExitCode::from(CRITICAL)
    } else {
        ExitCode::SUCCESS
    })
}

fn text_style() -> TextStyle {
    let is_terminal = std::io::stdout().is_terminal();
    let width = is_terminal.then(terminal_width).flatten();
    TextStyle {
        width: width.unwrap_or(WIDTH_DEFAULT),
        is_coloured: is_terminal && !no_color(),
    }
}

/// The log goes to a file, never to the terminal. Where the usual place cannot be written, there is none.
fn log(settings: &Settings, paths: &Paths) -> Result<(), Failure> {
    let Some(file) = paths.terminal_log_file(settings) else {
        return Ok(());
    };
    match telemetry::start_for_terminal(settings, &file) {
        Err(report) if settings.origin(&table::LOG_FILE).is_some() => Err(Failure::usage(report)),
        _ => Ok(()),
    }
}
