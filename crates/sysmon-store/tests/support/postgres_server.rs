//! A real PostgreSQL for one test: on a free port of the loopback, in a temporary folder, gone when it is dropped.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

/// A server under the test's control. Its only user `sysmon` needs no password and owns the database `sysmon`.
#[derive(Debug)]
pub(crate) struct PostgresServer {
    folder: TempDir,
    programs: PathBuf,
    /// Who runs it when the test runs as root, which PostgreSQL refuses.
    user: Option<(u32, u32)>,
    port: u16,
    options: Vec<String>,
    child: Option<Child>,
}

impl PostgresServer {
    /// A server with an empty database.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with settings, such as `max_connections=3`.
    pub(crate) async fn start_with(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut server = Self {
            programs: programs(),
            user: getuid().is_root().then(|| (id("-u"), id("-g"))),
            port: free_port(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            folder,
            child: None,
        };
        server.make_cluster();
        server.launch().await;
        let created = server
            .command("createdb")
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &server.port.to_string(),
                "-U",
                "sysmon",
                "sysmon",
            ])
            .output()
            .expect("createdb");
        assert!(created.status.success(), "createdb: {created:?}");
        server
    }

    /// The address of its database.
    pub(crate) fn url(&self) -> String {
        self.url_of("sysmon")
    }

    /// The address of a database of this server.
    pub(crate) fn url_of(&self, database: &str) -> String {
        format!("postgres://sysmon@127.0.0.1:{}/{database}", self.port)
    }

    /// Ends the server like a power cut of its processes: nothing is written any more.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let backends = children_of(child.id());
            let _ = child.kill();
            let _ = child.wait();
            // Each serves its connection until it notices, which may be after the next question.
            for backend in backends {
                if let Some(pid) = Pid::from_raw(backend.cast_signed()) {
                    let _ = kill_process(pid, Signal::KILL);
                }
                while is_running(backend) {
                    std::thread::yield_now();
                }
            }
        }
    }

    /// Ends the server in an orderly way, at once.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = Pid::from_raw(child.id().cast_signed()).expect("a process id");
            let _ = kill_process(pid, Signal::INT);
            let _ = child.wait();
        }
    }

    /// Starts the server again, on the same port and data.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        self.launch().await;
    }

    /// The folder of its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A program of PostgreSQL, run as whoever may.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = match self.user {
            None => Command::new(program),
            Some((user, group)) => {
                // It replaces itself by the program, so that its process is the server's.
                let mut command = Command::new("setpriv");
                command
                    .args([format!("--reuid={user}"), format!("--regid={group}")])
                    .arg("--clear-groups")
                    .arg(program);
                command
            }
        };
        command
            .current_dir(self.folder.path())
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    fn make_cluster(&self) {
        std::fs::create_dir(self.data()).expect("a folder");
        if let Some((user, group)) = self.user {
            let open = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(self.folder.path(), open).expect("a folder that others may enter");
            chown(self.data(), Some(user), Some(group)).expect("a folder of the other user");
        }
        let made = self
            .command("initdb")
            .args([
                "--no-sync",
                "--auth=trust",
                "--username=sysmon",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .arg("--pgdata")
            .arg(self.data())
            .output()
            .expect("initdb");
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
    }

    async fn launch(&mut self) {
        // After a kill the processes of the last one take a moment to notice, and hold its memory until then.
        for _ in 0..100 {
            let log = std::fs::File::create(self.folder.path().join("log")).expect("a log");
            // The disk outlives the processes, so nothing is lost by leaving it to the kernel.
            let child = self
                .command("postgres")
                .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"])
                .args(["-c", "unix_socket_directories=", "-c", "fsync=off"])
                .args(self.options.iter().flat_map(|option| ["-c", option]))
                .arg("-D")
                .arg(self.data())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .expect("postgres");
            self.child = Some(child);
            if self.is_ready().await {
                return;
            }
            self.kill();
        }
        panic!(
            "postgres does not start: {}",
            std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
        );
    }

    async fn is_ready(&mut self) -> bool {
        for _ in 0..1_000 {
            let child = self.child.as_mut().expect("a launched server");
            if child.try_wait().expect("the state of the own child").is_some() {
                tokio::time::sleep(Duration::from_millis(50)).await;
                return false;
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                let ready = self
                    .command("pg_isready")
                    .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                    .status();
                if ready.is_ok_and(|status| status.success()) {
                    return true;
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Where PostgreSQL's programs are: Debian keeps those of the server out of PATH.
fn programs() -> PathBuf {
    let in_path = std::env::var_os("PATH").into_iter().flat_map(|path| {
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        folders
    });
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut installed: Vec<PathBuf> = installed
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    installed.sort();
    let has_all = |folder: &PathBuf| {
        ["initdb", "postgres", "createdb", "pg_isready"]
            .iter()
            .all(|program| Path::new(folder).join(program).exists())
    };
    installed.into_iter().rev().chain(in_path).find(has_all).expect(
        "PostgreSQL is to be installed (`cargo xtask prepare`, or on Debian: apt-get install postgresql)",
    )
}

/// A number of the user that Debian's package makes, or of nobody.
fn id(which: &str) -> u32 {
    let of = |user: &str| {
        let output = Command::new("id").args([which, user]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    of("postgres")
        .or_else(|| of("nobody"))
        .expect("a user other than root")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("the port's address").port()
}

/// The processes that a process has started.
fn children_of(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = std::fs::read_to_string(path).unwrap_or_default();
    children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// Whether a process still does anything; one that merely waits to be collected does not.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
}
