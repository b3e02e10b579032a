//! Logs: to the error output for servers, only ever to a file for the terminal client.

mod rotating;

use std::io::IsTerminal;
use std::panic::{self, PanicHookInfo};
use std::path::Path;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::settings::{LogFilter, LogFormat, Settings, table};
use rotating::RotatingFile;

/// Starts logging to the error output.
///
/// # Errors
/// When logging was started before.
pub fn start_for_server(settings: &Settings) -> Result<(), TryInitError> {
    let format = settings.get(&table::LOG_FORMAT).unwrap_or(LogFormat::Human);
    let is_coloured =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    start(settings, format, is_coloured, std::io::stderr)?;
    // The log is where people look for why a server died; a second copy of it would only confuse.
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Starts logging to a file, made with its folder when missing. The terminal belongs to the client: nothing is written
/// there, and without a file nothing is logged.
///
/// # Errors
/// When the file cannot be opened or logging was started before.
pub fn start_for_terminal(settings: &Settings, file: &Path) -> eyre::Result<()> {
    let file = RotatingFile::open(file)?;
    start(settings, LogFormat::Human, false, file)?;
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        log_panic(panic);
        before(panic);
    }));
    Ok(())
}

fn start<W>(settings: &Settings, format: LogFormat, is_coloured: bool, writer: W) -> Result<(), TryInitError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(is_coloured)
        .with_writer(writer);
    let registry = tracing_subscriber::registry();
    match format {
        LogFormat::Human => registry.with(layer.with_filter(filter(settings))).try_init()?,
        LogFormat::Json => registry
            .with(layer.json().flatten_event(true).with_filter(filter(settings)))
            .try_init()?,
    }
    for warning in settings.warnings() {
        tracing::warn!("configuration: {warning}");
    }
    Ok(())
}

/// `RUST_LOG` when it is set and can be read, else the setting.
fn filter(settings: &Settings) -> Targets {
    let variable = std::env::var("RUST_LOG").ok();
    let named = variable.and_then(|directives| directives.parse().ok());
    named.unwrap_or_else(|| {
        let directives = settings
            .get(&table::LOG_LEVEL)
            .map(|LogFilter(directives)| directives);
        let parsed = directives.and_then(|directives| directives.parse().ok());
        // The setting was checked; its syntax is this one's.
        parsed.unwrap_or_else(|| Targets::new().with_default(tracing::Level::INFO))
    })
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let backtrace = std::backtrace::Backtrace::capture();
    tracing::error!(
        thread = thread.name().unwrap_or("unnamed"),
        place,
        %backtrace,
        "panic, please report this: {message}"
    );
}
