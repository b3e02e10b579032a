//! Processes that are started, killed, made to hang and started again.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use eyre::{Result, WrapErr, bail, eyre};

/// Something that is to run, unless it is killed on purpose.
#[derive(Debug)]
pub(super) struct Service {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    folder: PathBuf,
    /// It may end by itself and is then started again: a server whose killed predecessor still holds its memory.
    is_stubborn: bool,
    /// Its children are killed with it and hang with it.
    has_family: bool,
    is_wanted: bool,
    child: Option<Child>,
}

impl Service {
    /// Not started yet; its output goes to a log in the folder.
    pub(super) fn new(name: &str, program: &Path, folder: &Path) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: folder.into(),
            is_stubborn: false,
            has_family: false,
            is_wanted: false,
            child: None,
        }
    }

    pub(super) fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|&text| text.to_owned()));
        self
    }

    pub(super) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    pub(super) fn stubborn_family(mut self) -> Self {
        (self.is_stubborn, self.has_family) = (true, true);
        self
    }

    pub(super) fn start(&mut self) -> Result<()> {
        self.is_wanted = true;
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.log_path())
            .wrap_err("failed to open a log")?;
        let errors = File::try_clone(&log).wrap_err("failed to open a log twice")?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .wrap_err_with(|| format!("failed to start {}", self.program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Signal 9, to all of it at once.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.is_wanted = false;
        let family = self.family();
        if let Some(mut child) = self.child.take() {
            child.kill().wrap_err("failed to kill")?;
            signal("-KILL", &family);
            child.wait().wrap_err("failed to wait for what was killed")?;
        }
        Ok(())
    }

    pub(super) fn hang(&self) {
        // The parent first, so that it makes no more children.
        signal("-STOP", &self.own_id());
        signal("-STOP", &self.family());
    }

    pub(super) fn go_on(&self) {
        signal("-CONT", &self.family());
        signal("-CONT", &self.own_id());
    }

    /// Starts it again where that is in order, and complains where it ended by itself.
    pub(super) fn look_after(&mut self) -> Result<()> {
        let Some(child) = &mut self.child else {
            return Ok(());
        };
        let Some(status) = child.try_wait().wrap_err("failed to look after a process")? else {
            return Ok(());
        };
        if !self.is_wanted {
            return Ok(());
        }
        if !self.is_stubborn {
            bail!(
                "{} ended by itself ({status}); its last words:\n{}",
                self.name,
                self.last_words()
            );
        }
        self.start()
    }

    pub(super) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name.replace(' ', "-")))
    }

    fn own_id(&self) -> Vec<u32> {
        self.child.iter().map(Child::id).collect()
    }

    /// The ids of its children.
    fn family(&self) -> Vec<u32> {
        match &self.child {
            Some(child) if self.has_family => children_of(child.id()),
            _ => Vec::new(),
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.go_on();
        // What cannot be killed any more has ended.
        let _ = self.kill();
    }
}

/// Sends a signal by the system's own program, which every system has.
fn signal(signal: &str, ids: &[u32]) {
    if ids.is_empty() {
        return;
    }
    // One that has ended meanwhile needs no signal.
    let _ = Command::new("kill")
        .arg(signal)
        .args(ids.iter().map(u32::to_string))
        .stderr(Stdio::null())
        .status();
}

fn children_of(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |id: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // Behind the name in parentheses: state and parent.
        let parent_of = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        parent_of == Some(parent)
    };
    ids.filter(is_child).collect()
}

/// A port of the loopback that nobody uses now.
pub(super) fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    Ok(address.wrap_err("failed to find a free port")?.port())
}

/// PostgreSQL's programs as whoever may run them: it refuses to run as root.
#[derive(Clone, Debug)]
pub(super) struct Postgres {
    programs: PathBuf,
    /// User and group, when somebody else has to run it.
    owner: Option<(String, String)>,
    folder: PathBuf,
    port: u16,
}

impl Postgres {
    /// A new cluster in the folder, with an empty database `sysmon`; the server is not started.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let is_root = printed(Command::new("id").arg("-u"))? == "0";
        let id = |which: &str| printed(Command::new("id").args([which, "postgres"]));
        let postgres = Self {
            programs: programs()?,
            owner: if is_root {
                Some((id("-u")?, id("-g")?))
            } else {
                None
            },
            folder: folder.into(),
            port: free_port()?,
        };
        std::fs::create_dir_all(postgres.data())?;
        if let Some((user, group)) = &postgres.owner {
            let owner = format!("{user}:{group}");
            printed(Command::new("chown").arg(owner).args([folder, &postgres.data()]))?;
        }
        let mut initdb = postgres.command("initdb");
        initdb
            .args([
                "--no-sync",
                "--auth=trust",
                "--username=sysmon",
                "--encoding=UTF8",
                "--locale=C",
                "-D",
            ])
            .arg(postgres.data());
        printed(&mut initdb)?;
        Ok(postgres)
    }

    pub(super) fn url(&self) -> String {
        format!("postgres://sysmon@127.0.0.1:{}/sysmon", self.port)
    }

    /// The server as a service. When it acknowledges is kept for every transaction.
    pub(super) fn service(&self) -> Service {
        let command = self.command("postgres");
        let arguments: Vec<&str> = command.get_args().filter_map(|text| text.to_str()).collect();
        let port = self.port.to_string();
        let data = self.data();
        Service::new("postgres", Path::new(command.get_program()), &self.folder)
            .arguments(&arguments)
            .arguments(&["-p", &port, "-D", data.to_str().unwrap_or_default()])
            .arguments(&["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            // The machine outlives its processes: nothing is lost by leaving the disk to the kernel.
            .arguments(&["-c", "fsync=off", "-c", "track_commit_timestamp=on"])
            .environment("LC_ALL", "C")
            .stubborn_family()
    }

    pub(super) fn is_ready(&self) -> bool {
        let port = self.port.to_string();
        let mut command = self.command("pg_isready");
        command.args(["-q", "-h", "127.0.0.1", "-p", &port]);
        printed(&mut command).is_ok()
    }

    pub(super) fn create_database(&self) -> Result<()> {
        let port = self.port.to_string();
        let mut command = self.command("createdb");
        command.args(["-h", "127.0.0.1", "-p", &port, "-U", "sysmon", "sysmon"]);
        printed(&mut command).map(drop)
    }

    /// Rows of a query, columns separated by tabs.
    pub(super) fn query(&self, sql: &str) -> Result<String> {
        printed(Command::new(self.programs.join("psql")).args(["-XAtq", "-F", "\t", "-c", sql, &self.url()]))
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = match &self.owner {
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
        command.current_dir(&self.folder).env("LC_ALL", "C");
        command
    }
}

/// Where PostgreSQL's programs are: Debian keeps those of the server out of PATH.
fn programs() -> Result<PathBuf> {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut folders: Vec<PathBuf> = installed
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    folders.sort();
    folders.reverse();
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    let needed = ["initdb", "postgres", "createdb", "pg_isready", "psql"];
    let found = folders
        .into_iter()
        .find(|folder| needed.iter().all(|program| folder.join(program).exists()));
    found.ok_or_else(|| {
        eyre!("PostgreSQL is not installed (Debian: apt-get install postgresql); --sqlite does without it")
    })
}

/// What a program prints, which has to end well.
pub(super) fn printed(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .wrap_err_with(|| format!("failed to start {}", name.display()))?;
    if !output.status.success() {
        bail!(
            "{} failed: {}",
            name.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
