//! The real `sysmon-tui` in a real pseudo-terminal: keys go in, the screen comes out.

#[cfg(unix)]
mod embedded;
#[cfg(unix)]
mod remote;
#[cfg(unix)]
mod terminal;
