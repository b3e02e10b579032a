//! What the command line and the configuration say about the client.

use std::path::PathBuf;

/// Settings of one run of the client.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Name of a built-in theme, or of a `NAME.toml` in one of the folders; empty for the default.
    pub theme: String,
    /// Folders with themes, first match wins.
    pub theme_dirs: Vec<PathBuf>,
    /// Draw with ASCII characters only.
    pub ascii: bool,
    /// Use no colour, whatever the terminal can do (`NO_COLOR`).
    pub no_color: bool,
    /// What is watched, for the title: `this machine`, or host and port.
    pub source_name: String,
    /// Whether the collector of this machine runs in this process: then its machine is opened at once.
    pub is_local: bool,
    /// A filter to start with.
    pub filter: Option<String>,
}
