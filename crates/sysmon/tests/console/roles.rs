//! Servers in processes of their own, and the configuration of whoever watches them.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::terminal::{PATIENCE, environment, pause};

const SYSMON: &str = env!("CARGO_BIN_EXE_sysmon");

/// A role in a process of its own; killed without a warning when dropped.
pub(crate) struct Role(Child);

impl Role {
    pub(crate) fn start(home: &Path, arguments: &[&str]) -> Self {
        Self::spawn(home, arguments, &[])
    }

    /// An aggregator with a data folder of its own.
    pub(crate) fn aggregator(home: &Path, port: u16) -> Self {
        let data = home.join(format!("data-{port}"));
        std::fs::create_dir_all(&data).unwrap();
        let listen = format!("127.0.0.1:{port}");
        let variables = [("XDG_DATA_HOME", &*data)];
        let role = Self::spawn(home, &["aggregator", "--listen", &listen], &variables);
        // Whoever comes before its socket is there comes without one, and is refused for want of a token.
        let socket = home.join(format!("xdg_runtime_dir/sysmon/{port}.sock"));
        let started = Instant::now();
        while !socket.exists() {
            assert!(started.elapsed() < PATIENCE, "no {}", socket.display());
            pause();
        }
        role
    }

    /// A collector of this machine under another name.
    pub(crate) fn collector(home: &Path, port: u16, machine: &str) -> Self {
        Self::labelled(home, port, machine, "role=test")
    }

    /// The same with a label.
    pub(crate) fn labelled(home: &Path, port: u16, machine: &str, label: &str) -> Self {
        let url = format!("http://127.0.0.1:{port}");
        let target = ["collector", "--aggregator", &url, "--machine-id", machine];
        let manner = ["--interval", "1s", "--label", label];
        Self::start(home, &[&target[..], &manner[..]].concat())
    }

    fn spawn(home: &Path, arguments: &[&str], variables: &[(&str, &Path)]) -> Self {
        let mut command = Command::new(SYSMON);
        command.args(arguments).env_clear().envs(environment(home));
        command
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Writes a file of the user's configuration.
pub(crate) fn configure(home: &Path, name: &str, text: &str) {
    let folder = home.join("xdg_config_home/sysmon");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), text).unwrap();
}
