//! What is measured, and how it is started and stopped.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use eyre::{Result, WrapErr, bail, eyre};

use super::accounting::{self, Usage};
use super::pause;

/// The size of every measured terminal.
const COLUMNS: &str = "200";
const ROWS: &str = "50";

/// A process that is measured.
pub(crate) struct Subject {
    name: &'static str,
    pid: u32,
    terminal_log: Option<PathBuf>,
}

impl Subject {
    pub(crate) fn name(&self) -> &str {
        self.name
    }

    pub(crate) fn has_terminal(&self) -> bool {
        self.terminal_log.is_some()
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Result<Usage> {
        let usage =
            accounting::tree(self.pid).wrap_err_with(|| format!("failed to measure {}", self.name))?;
        let terminal_bytes = self
            .terminal_log
            .as_deref()
            .map_or(Ok(0.0), accounting::file_length)?;
        Ok(Usage {
            terminal_bytes,
            ..usage
        })
    }
}

/// Everything that runs for a measurement; stopped when dropped.
pub(crate) struct Bench {
    folder: PathBuf,
    binaries: PathBuf,
    burst: String,
    tmux_socket: String,
    children: Vec<Child>,
    subjects: Vec<Subject>,
    missing: Vec<&'static str>,
}

impl Bench {
    /// With our programs in `binaries`; `folder` is for what they write.
    pub(crate) fn new(folder: &Path, binaries: PathBuf, burst: &str) -> Result<Self> {
        if !is_installed("tmux") {
            bail!("tmux is not installed; terminal programs are measured inside it");
        }
        let tmux_socket = format!("sysmon-measure-{}", std::process::id());
        Ok(Self {
            folder: folder.into(),
            binaries,
            burst: burst.into(),
            tmux_socket,
            children: Vec::new(),
            subjects: Vec::new(),
            missing: Vec::new(),
        })
    }

    pub(crate) fn subjects(&self) -> &[Subject] {
        &self.subjects
    }

    pub(crate) fn missing(&self) -> &[&'static str] {
        &self.missing
    }

    /// Our own roles, then the peers.
    pub(crate) fn start_all(&mut self) -> Result<()> {
        let (watched, unwatched) = (free_port()?, free_port()?);
        self.aggregator("aggregator, one machine", watched)?;
        self.aggregator("aggregator, nobody watching", unwatched)?;
        self.collector("collector, all processes every second", watched, "watched", "10s")?;
        self.collector("collector, nobody watching", unwatched, "unwatched", "10s")?;
        self.collector("collector, hardly any process scan", unwatched, "bare", "1h")?;
        let client = self.binaries.join("sysmon-tui");
        let client = format!("env SYSMON_TUI_BURST={} {}", self.burst, client.display());
        self.terminal(
            "sysmon-tui --connect, machine view",
            &format!("{client} --connect http://127.0.0.1:{watched}"),
        )?;
        // Of a fleet of one it shows the table; the machine is what is measured.
        let session = format!("s{}", self.subjects.len() - 1);
        self.tmux(&["send-keys", "-t", &session, "Enter"])?;
        self.terminal("sysmon-tui, everything embedded", &client)?;
        self.btop_every_second()?;
        self.terminal_peer("btop", "btop as it comes, every 2 s", "btop")?;
        self.terminal_peer("htop", "htop, every second", "htop -d 10")?;
        self.terminal_peer("btm", "bottom, every second", "btm --rate 1s")?;
        self.terminal_peer(
            "glances",
            "glances, every second",
            "glances --time 1 --disable-check-update",
        )?;
        self.node_exporter()?;
        self.netdata()
    }

    /// Idle processes, so that a busy machine's number of them is reached.
    pub(crate) fn add_sleepers(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            self.children
                .push(Command::new("sleep").arg("36000").stdout(Stdio::null()).spawn()?);
        }
        Ok(())
    }

    fn aggregator(&mut self, name: &'static str, port: u16) -> Result<()> {
        let mut command = self.ours("sysmon");
        command.args(["aggregator", "--listen", &format!("127.0.0.1:{port}")]);
        self.start(name, command)?;
        wait_for_port(port)
    }

    fn collector(&mut self, name: &'static str, port: u16, id: &str, process_interval: &str) -> Result<()> {
        let mut command = self.ours("sysmon-collector");
        command.env("SYSMON_COLLECTOR_PROCESS_INTERVAL", process_interval);
        command.args(["--machine-id", id]);
        // Collectors of one machine do not share a spool.
        command.arg("--spool-dir").arg(self.folder.join(id));
        command.args([
            "--interval",
            "1s",
            "--aggregator",
            &format!("http://127.0.0.1:{port}"),
        ]);
        self.start(name, command)
    }

    /// One of our binaries, with folders of its own.
    fn ours(&self, binary: &str) -> Command {
        let mut command = Command::new(self.binaries.join(binary));
        command.envs(self.environment());
        command
    }

    fn environment(&self) -> [(&'static str, PathBuf); 4] {
        [
            "XDG_CONFIG_HOME",
            "XDG_DATA_HOME",
            "XDG_STATE_HOME",
            "XDG_RUNTIME_DIR",
        ]
        .map(|name| (name, self.folder.join(name.to_lowercase())))
    }

    fn start(&mut self, name: &'static str, mut command: Command) -> Result<()> {
        let log = std::fs::File::create(self.folder.join(format!("{}.log", self.children.len())))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn();
        let child = child.wrap_err_with(|| format!("failed to start {name}"))?;
        self.subjects.push(Subject {
            name,
            pid: child.id(),
            terminal_log: None,
        });
        self.children.push(child);
        Ok(())
    }

    /// Left alone, btop measures every two seconds; it takes its interval from its configuration only.
    fn btop_every_second(&mut self) -> Result<()> {
        let home = self.folder.join("btop-every-second");
        std::fs::create_dir_all(home.join("btop"))?;
        std::fs::write(home.join("btop/btop.conf"), "update_ms = 1000\n")?;
        let command = format!("env XDG_CONFIG_HOME={} btop", home.display());
        self.terminal_peer("btop", "btop, every second", &command)
    }

    fn terminal_peer(&mut self, binary: &'static str, name: &'static str, command: &str) -> Result<()> {
        if is_installed(binary) {
            self.terminal(name, command)
        } else {
            self.missing.push(binary);
            Ok(())
        }
    }

    /// Starts a terminal program in a terminal of its own and records what it writes.
    fn terminal(&mut self, name: &'static str, command: &str) -> Result<()> {
        let session = format!("s{}", self.subjects.len());
        let log = self.folder.join(format!("{session}.bytes"));
        let variables: Vec<String> = self
            .environment()
            .iter()
            .map(|(name, path)| format!("{name}={}", path.display()))
            .collect();
        let shell = format!(
            "exec env COLORTERM=truecolor LANG=C.UTF-8 {} {command}",
            variables.join(" ")
        );
        self.tmux(&[
            "new-session",
            "-d",
            "-s",
            &session,
            "-x",
            COLUMNS,
            "-y",
            ROWS,
            &shell,
        ])?;
        self.tmux(&["pipe-pane", "-t", &session, &format!("cat > {}", log.display())])?;
        pause(Duration::from_secs(1));
        let pid = self.tmux(&["list-panes", "-t", &session, "-F", "#{pane_pid}"])?;
        let pid = pid
            .trim()
            .parse()
            .wrap_err_with(|| format!("{name} did not start"))?;
        self.subjects.push(Subject {
            name,
            pid,
            terminal_log: Some(log),
        });
        Ok(())
    }

    fn tmux(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new("tmux")
            .args(["-f", "/dev/null", "-L", &self.tmux_socket])
            .args(arguments)
            .output()?;
        if !output.status.success() {
            bail!(
                "tmux {}: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Scraped once a second, as Prometheus would.
    fn node_exporter(&mut self) -> Result<()> {
        if !is_installed("prometheus-node-exporter") {
            self.missing.push("prometheus-node-exporter");
            return Ok(());
        }
        let port = free_port()?;
        let mut command = Command::new("prometheus-node-exporter");
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        self.start("node_exporter scraped every second, no processes", command)?;
        wait_for_port(port)?;
        // Ends with this process.
        std::thread::spawn(move || {
            loop {
                // A scrape that fails is seen in the figures: the exporter then costs nothing.
                let _ = scrape(port);
                pause(Duration::from_secs(1));
            }
        });
        Ok(())
    }

    fn netdata(&mut self) -> Result<()> {
        if !is_installed("netdata") {
            self.missing.push("netdata");
            return Ok(());
        }
        let folder = self.folder.join("netdata");
        std::fs::create_dir_all(&folder)?;
        let port = free_port()?;
        let path = folder.join("netdata.conf");
        let shown = folder.display();
        let configuration = format!(
            "[global]\nrun as user = root\n[db]\nmode = ram\n[directories]\ncache = {shown}\nlib = {shown}\nlog = {shown}\nlock = {shown}\n\
             [web]\nbind to = 127.0.0.1:{port}\n[cloud]\nenabled = no\n[ml]\nenabled = no\n[plugins]\ngo.d = no\npython.d = no\ncharts.d = no\n"
        );
        std::fs::write(&path, configuration)?;
        let mut command = Command::new("netdata");
        command.args(["-D", "-c"]).arg(&path).env("DO_NOT_TRACK", "1");
        self.start("netdata with apps.plugin", command)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // What has ended already needs no end.
        let _ = self.tmux(&["kill-server"]);
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn scrape(port: u16) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut body = Vec::new();
    stream.read_to_end(&mut body)?;
    if body.len() > 10_000 {
        Ok(())
    } else {
        Err(eyre!("the exporter answered only {} bytes", body.len()))
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn wait_for_port(port: u16) -> Result<()> {
    for _ in 0..100 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(());
        }
        pause(Duration::from_millis(100));
    }
    bail!("nothing listens on port {port} after 10 s")
}

fn is_installed(binary: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(binary).is_file())
}
