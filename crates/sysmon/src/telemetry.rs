//! Logs: to the error output for servers, only ever to a file for the terminal client.

mod rotating;

use std::io::IsTerminal;
use std::panic::{self, PanicHookInfo};
use std::path::Path;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
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
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(settings))
        .with_ansi(is_coloured)
        .with_writer(writer);
    match format {
        LogFormat::Human => builder.finish().try_init()?,
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init()?,
    }
    for warning in settings.warnings() {
        tracing::warn!("configuration: {warning}");
    }
    Ok(())
}

/// `RUST_LOG` when it is set and can be read, else the setting.
fn filter(settings: &Settings) -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        let LogFilter(directives) = settings
            .get(&table::LOG_LEVEL)
            .unwrap_or_else(|| LogFilter("info".into()));
        EnvFilter::new(directives)
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
