//! The standard output, for what a command was asked to print.

use std::io::{ErrorKind, Write};

use eyre::{Result, WrapErr};

/// Prints a text. A reader that has seen enough and closed the pipe (`| head`) is no failure.
///
/// # Errors
/// When the output cannot be written.
pub fn print(text: &str) -> Result<()> {
    let mut output = std::io::stdout().lock();
    let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.wrap_err("cannot write to the standard output"),
    }
}
