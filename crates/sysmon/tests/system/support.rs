//! Processes, their folders and their logs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

/// Long enough for a loaded machine; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const SYSMON: &str = env!("CARGO_BIN_EXE_sysmon");
const SYSMON_TUI: &str = env!("CARGO_BIN_EXE_sysmon-tui");

/// The folders of one imaginary user.
pub(crate) struct Home {
    folder: TempDir,
}

/// What came of a program that ended by itself.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for name in ["config/sysmon", "data", "state", "runtime", "tmp"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the user's configuration file.
    pub(crate) fn configure(&self, text: &str) -> PathBuf {
        let path = self.path().join("config/sysmon/sysmon.toml");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The socket of a server of this user.
    pub(crate) fn socket(&self, port: u16) -> PathBuf {
        self.path().join(format!("runtime/sysmon/{port}.sock"))
    }

    pub(crate) fn sysmon(&self, arguments: &[&str]) -> Command {
        self.command(SYSMON, arguments)
    }

    pub(crate) fn sysmon_tui(&self, arguments: &[&str]) -> Command {
        self.command(SYSMON_TUI, arguments)
    }

    /// A program of the system, or ours, as this user runs it.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        let folder = |name| self.path().join(name);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LC_ALL", "C.UTF-8")
            .env("XDG_CONFIG_HOME", folder("config"))
            .env("XDG_DATA_HOME", folder("data"))
            .env("XDG_STATE_HOME", folder("state"))
            .env("XDG_RUNTIME_DIR", folder("runtime"))
            .env("TMPDIR", folder("tmp"))
            .current_dir(self.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Starts a server whose log is read.
    pub(crate) fn start(&self, arguments: &[&str]) -> Role {
        Role::spawn(&mut self.sysmon(arguments))
    }

    /// An aggregator on a free port.
    pub(crate) async fn start_aggregator(&self, further: &[&str]) -> (Role, u16) {
        let arguments = [&["aggregator", "--listen", "127.0.0.1:0"], further].concat();
        let mut aggregator = self.start(&arguments);
        let port = aggregator.port().await;
        (aggregator, port)
    }
}

/// Runs a program to its end.
pub(crate) async fn finish(command: &mut Command) -> Finished {
    let output = timeout(PATIENCE, command.output())
        .await
        .expect("it ends")
        .unwrap();
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A server in a process of its own; killed when dropped.
pub(crate) struct Role {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Role {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .env("SYSMON_LOG_FORMAT", "json")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, log }
    }

    /// The next log line that is wanted; fails with everything that was logged when there is none.
    pub(crate) async fn wait_for_log(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut seen = String::new();
        let found = timeout(PATIENCE, async {
            while let Some(line) = self.log.next_line().await.unwrap() {
                let parsed: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
                if wanted(&parsed) {
                    return Some(parsed);
                }
                seen.push_str(&line);
                seen.push('\n');
            }
            None
        });
        match found.await {
            Ok(Some(line)) => line,
            _ => panic!("{what}: not in the log:\n{seen}"),
        }
    }

    /// The port that a server listens on.
    pub(crate) async fn port(&mut self) -> u16 {
        let line = self
            .wait_for_log("the server listens", |line| line["message"] == "listening")
            .await;
        let address: std::net::SocketAddr = line["address"].as_str().unwrap().parse().unwrap();
        address.port()
    }

    /// Ends it as a power cut would.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        let process = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(process, signal).unwrap();
    }

    /// The number of the process.
    #[cfg(target_os = "linux")]
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Waits until it has ended by itself: exit code and what it logged last.
    pub(crate) async fn ended(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        let ended = timeout(PATIENCE, async {
            while let Some(line) = self.log.next_line().await.unwrap() {
                log.push_str(&line);
                log.push('\n');
            }
            self.child.wait().await.unwrap().code()
        });
        let code = ended.await.expect("it ends");
        (code, log)
    }
}
