//! The smoke test of `docker-compose.yml`: everything comes up healthy, and the console shows the host.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use eyre::{Result, WrapErr, bail, ensure, eyre};

use crate::process::{cargo, run as run_streaming, succeeds};

/// Set to 0, CI leaves this out even where it could run.
const VARIABLE: &str = "SYSMON_CI_STACK";
/// What the image is made of in the end.
const FINAL_IMAGE: &str = "debian:bookworm-slim";
/// The image that is built here; all others are somebody else's.
const OWN_IMAGE: &str = "sysmon:local";
/// How long the services may take from their start until the console shows what it should.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whether CI runs it: wherever there is an engine with Compose that has the base images or gets them.
///
/// # Errors
/// Why not.
pub(crate) fn wanted() -> Result<(), String> {
    if std::env::var_os(VARIABLE).is_some_and(|value| value == "0") {
        return Err(format!("{VARIABLE} is 0; `cargo xtask stack` runs it"));
    }
    compose()?;
    builder()?;
    let read = |name: &str| {
        fs::read_to_string(workspace().join(name)).map_err(|error| format!("{name} cannot be read: {error}"))
    };
    let images = base_images(&read("Dockerfile")?, &read("docker-compose.yml")?);
    images.iter().try_for_each(|image| obtain(image))
}

/// The images of others that a Dockerfile and a Compose file begin with, each once.
fn base_images(dockerfile: &str, compose: &str) -> Vec<String> {
    let stages = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM "));
    let services = compose
        .lines()
        .filter_map(|line| line.trim().strip_prefix("image: "));
    let mut images: Vec<String> = stages
        .chain(services)
        .filter_map(|rest| rest.split_whitespace().next())
        // Other stages have no tag.
        .filter(|image| *image != OWN_IMAGE && image.contains(':') && !image.starts_with('$'))
        .map(str::to_owned)
        .collect();
    images.sort();
    images.dedup();
    images
}

/// Makes sure that the engine has an image.
fn obtain(image: &str) -> Result<(), String> {
    if succeeds(Command::new("docker").args(["image", "inspect", image])) {
        return Ok(());
    }
    println!("pulling {image}");
    let mut pull = Command::new("docker");
    output(pull.args(["pull", "--quiet", image]))
        .map(drop)
        .map_err(|error| {
            let error = error.to_string();
            let why = error.lines().last().unwrap_or_default();
            format!("the engine does not have {image} and cannot pull it ({why})")
        })
}

/// The command `stack`: builds the image (quickly, unless SYSMON_BUILD_PROFILE says otherwise), starts everything under a
/// name of its own, looks, and takes it all down again.
///
/// # Errors
/// What did not come up as it should.
pub(crate) fn run() -> Result<bool> {
    run_with(false)
}

/// The same for CI: with the programs that it has built before, where they run in the image. To build them once more takes
/// longer than everything else.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_in_ci() -> Result<bool> {
    let folder = workspace().join("deploy/programs");
    let is_ready = stage(&folder)?;
    if !is_ready {
        println!("the programs of this machine do not run in the image, so they are built there");
    }
    let outcome = run_with(is_ready);
    fs::remove_dir_all(&folder).wrap_err("failed to remove the programs for the image")?;
    outcome
}

fn run_with(is_ready: bool) -> Result<bool> {
    let stack = Stack::new(is_ready)?;
    let outcome = stack.check();
    if outcome.is_err() {
        let _ = run_streaming(stack.compose().args(["logs", "--tail", "30"]), None);
    }
    let down = run_streaming(
        stack.compose().args(["down", "--volumes", "--timeout", "10"]),
        None,
    );
    outcome?;
    let (status, _) = down?;
    ensure!(status.success(), "the stack does not go down: {status}");
    println!("the stack comes up, reports its host and keeps what was reported");
    Ok(true)
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Puts our programs where the Dockerfile takes them from; says whether they run on what the image is made of.
fn stage(folder: &Path) -> Result<bool> {
    let built = cargo()
        .args(["build", "--quiet", "--package", "sysmon"])
        .args(["--bin", "sysmon", "--bin", "sysmon-tui"])
        .status()?;
    ensure!(built.success(), "the build failed: {built}");
    let own = std::env::current_exe().wrap_err("failed to find our own program")?;
    let target = own
        .ancestors()
        .nth(2)
        .unwrap_or(Path::new("target"))
        .join("debug");
    fs::create_dir_all(folder)?;
    for name in ["sysmon", "sysmon-tui"] {
        let program = folder.join(name);
        fs::copy(target.join(name), &program).wrap_err_with(|| format!("failed to copy {name}"))?;
        // Only a smaller image: what is not stripped runs as well.
        succeeds(Command::new("strip").arg(&program));
    }
    let program = fs::canonicalize(folder.join("sysmon"))?;
    let mount = format!("{}:/sysmon:ro", program.display());
    let mut try_out = Command::new("docker");
    try_out.args([
        "run",
        "--rm",
        "--volume",
        &mount,
        FINAL_IMAGE,
        "/sysmon",
        "--version",
    ]);
    Ok(succeeds(&mut try_out))
}

struct Stack {
    program: &'static [&'static str],
    /// Where Compose looks for programs.
    path: OsString,
    project: String,
    port: u16,
    /// The programs are in deploy/programs.
    is_ready: bool,
}

/// How Compose is started here.
fn compose() -> Result<&'static [&'static str], String> {
    if !succeeds(Command::new("docker").arg("info")) {
        return Err("no Docker engine answers; start one, or set DOCKER_HOST".to_owned());
    }
    let known: [&'static [&'static str]; 2] = [&["docker", "compose"], &["docker-compose"]];
    known
        .into_iter()
        .find(|program| succeeds(Command::new(program[0]).args(&program[1..]).arg("version")))
        .ok_or_else(|| "Compose is not installed; install docker-compose or the plugin of docker".to_owned())
}

/// The folder of the first `docker` in PATH that builds with BuildKit, which the Dockerfile needs: Compose calls whatever
/// comes first in PATH, and that may be one without it while another is installed.
fn builder() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .find(|folder| builds(&folder.join("docker")))
        .ok_or_else(|| "no docker in PATH builds with BuildKit; install its buildx component".to_owned())
}

/// Whether a client builds with BuildKit: by its component buildx, or by itself as all did before version 23.
fn builds(docker: &Path) -> bool {
    if !docker.is_file() {
        return false;
    }
    let version = ["version", "--format", "{{.Client.Version}}"];
    succeeds(Command::new(docker).args(["buildx", "version"]))
        || output(Command::new(docker).args(version)).is_ok_and(|version| builds_by_itself(&version))
}

fn builds_by_itself(version: &str) -> bool {
    let major = version
        .trim()
        .split('.')
        .next()
        .and_then(|major| major.parse().ok());
    major.is_some_and(|major: u32| (18..23).contains(&major))
}

/// A search path with a folder before all others.
fn path_with(first: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(first.to_owned()).chain(std::env::split_paths(&path));
    Ok(std::env::join_paths(folders)?)
}

impl Stack {
    fn new(is_ready: bool) -> Result<Self> {
        // Free a moment ago; nobody takes it that soon.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok(Self {
            program: compose().map_err(|why| eyre!(why))?,
            path: path_with(&builder().map_err(|why| eyre!(why))?)?,
            project: format!("sysmon-smoke-{}", std::process::id()),
            port,
            is_ready,
        })
    }

    fn compose(&self) -> Command {
        let mut command = Command::new(self.program[0]);
        command
            .args(&self.program[1..])
            .env("PATH", &self.path)
            .env("COMPOSE_PROJECT_NAME", &self.project)
            .env("SYSMON_PORT", self.port.to_string())
            .env("DOCKER_BUILDKIT", "1")
            .env("COMPOSE_DOCKER_CLI_BUILD", "1")
            .stdin(Stdio::null());
        if self.is_ready {
            command.env("SYSMON_BUILD_PROGRAMS", "ready");
        }
        if std::env::var_os("SYSMON_BUILD_PROFILE").is_none() {
            command.env("SYSMON_BUILD_PROFILE", "dev");
        }
        command
    }

    fn check(&self) -> Result<()> {
        let (status, _) = run_streaming(self.compose().args(["up", "--build", "--detach"]), None)?;
        ensure!(status.success(), "the stack does not come up: {status}");
        let started = Instant::now();
        for service in ["database", "redis", "aggregator", "alerts", "collector"] {
            self.wait_for(started, &format!("{service} is healthy"), || {
                let id = self.output(&["ps", "-q", service])?;
                let mut inspect = Command::new("docker");
                inspect.args(["inspect", "--format", "{{.State.Health.Status}}", id.trim()]);
                Ok(output(&mut inspect)?.trim() == "healthy")
            })?;
        }
        let hostname =
            fs::read_to_string("/etc/hostname").wrap_err("failed to read the name of this host")?;
        let hostname = format!("\"hostname\":\"{}\"", hostname.trim());
        let inside = "http://127.0.0.1:50051";
        self.wait_for(
            started,
            "the console shows the host, its mounts and its processes",
            || {
                let look = [
                    "exec",
                    "-T",
                    "aggregator",
                    "sysmon-tui",
                    "--once",
                    "--format",
                    "json",
                    "--connect",
                    inside,
                ];
                let fleet = self.output(&look)?;
                let wanted = [
                    hostname.as_str(),
                    "\"state\":\"live\"",
                    "mount.used_percent",
                    "disk.",
                    "\"pid\":",
                ];
                Ok(wanted.iter().all(|part| fleet.contains(part)))
            },
        )?;
        self.wait_for(started, "history has what was reported", || {
            let ask = [
                "exec",
                "-T",
                "aggregator",
                "sysmon",
                "query",
                "--aggregator",
                inside,
                "--format",
                "csv",
            ];
            Ok(self
                .output(&ask)?
                .lines()
                .filter(|line| line.contains(",load.1m,"))
                .count()
                >= 2)
        })?;
        let token = self.output(&["run", "--rm", "-T", "--no-deps", "secrets", "viewer"])?;
        ensure!(token.trim().len() > 20, "no token to watch with is printed");
        Ok(())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "nothing else runs here, and Docker tells by being asked"
    )]
    fn wait_for(&self, started: Instant, what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
        loop {
            let last = is_so();
            if matches!(last, Ok(true)) {
                println!("{what}, after {:.0} s", started.elapsed().as_secs_f64());
                std::io::stdout().flush()?;
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                let why = last.err().map(|error| format!(": {error:#}")).unwrap_or_default();
                bail!("not in {} s: {what}{why}", PATIENCE.as_secs());
            }
            sleep(Duration::from_secs(1));
        }
    }

    fn output(&self, arguments: &[&str]) -> Result<String> {
        output(self.compose().args(arguments))
    }
}

/// What a program prints, when it ends well.
fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", output.status, errors.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_builds_by_itself_from_18_to_22() {
        for version in ["18.09.1", "20.10.24+dfsg1\n", "22.06.0-beta.0"] {
            assert!(builds_by_itself(version), "{version}");
        }
        for version in ["17.12.0", "23.0.1", "28.1.1", "", "dev"] {
            assert!(!builds_by_itself(version), "{version}");
        }
    }

    #[test]
    fn the_stack_is_made_of_four_images_of_others() {
        let images = base_images(
            include_str!("../../Dockerfile"),
            include_str!("../../docker-compose.yml"),
        );
        assert_eq!(
            images,
            [
                "debian:bookworm-slim",
                "redis:7-bookworm",
                "rust:1.95-bookworm",
                "timescale/timescaledb:2.23.1-pg17"
            ]
        );
    }
}
