//! Everything that runs: servers, aggregators, the balancer, simulators, and the folder with their traces.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use eyre::{Result, WrapErr, bail};

use super::ledger::Ledger;
use super::plan::{Action, Target};
use super::services::{Postgres, Service, free_port};
use super::stored::Source;
use super::verdict::Verdict;
use super::watch::Watch;
use super::{Database, Options, PULSE, balancer, pause};
use crate::process::cargo;

/// How many machines a simulator has.
const MACHINES_PER_SIMULATOR: usize = 10;
/// How long anything may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How often it is looked whether everything has arrived.
const COUNT_EVERY: Duration = Duration::from_millis(500);

/// What a run consists of. Dropping it ends every process.
#[derive(Debug)]
pub(super) struct World {
    folder: PathBuf,
    /// The console.
    console: PathBuf,
    /// Where each aggregator listens.
    sockets: Vec<PathBuf>,
    started: Instant,
    source: Source,
    servers: Vec<(Target, Service)>,
    aggregators: Vec<Service>,
    simulators: Vec<Service>,
    ledgers: Vec<PathBuf>,
}

impl World {
    /// Builds our program and starts everything, the simulators last.
    pub(super) fn begin(options: &Options) -> Result<Self> {
        let sysmon = build(options.release)?;
        let folder = std::env::temp_dir().join(format!("sysmon-faults-{}", std::process::id()));
        make_folder(&folder, 0o755)?;
        // Sockets count as ours only where nobody else can put one.
        let own = folder.join("own");
        make_folder(&own, 0o700)?;
        let (source, mut servers, urls) = match options.database {
            Database::Postgres => start_servers(&folder)?,
            Database::Sqlite => sqlite(&sysmon, &own),
        };
        for (_, server) in &mut servers {
            server.look_after()?;
        }
        let count = if options.database == Database::Postgres {
            2
        } else {
            1
        };
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        let mut world = Self {
            folder,
            console: sysmon.with_file_name("sysmon-tui"),
            sockets: Vec::new(),
            started: Instant::now(),
            source,
            servers,
            aggregators: Vec::new(),
            simulators: Vec::new(),
            ledgers: Vec::new(),
        };
        let mut sockets = Vec::new();
        for index in 0..count {
            let port = free_port()?;
            let listen = format!("127.0.0.1:{port}");
            let service = program(&sysmon, &own, &format!("aggregator {index}"))
                .arguments(&["aggregator", "--listen", &listen])
                .arguments(&urls);
            world.aggregators.push(service);
            sockets.push(own.join(format!("sysmon/{port}.sock")));
        }
        for aggregator in &mut world.aggregators {
            aggregator.start()?;
        }
        wait_for("the aggregators", || sockets.iter().all(|socket| socket.exists()))?;
        let balancer = own.join("balancer.sock");
        world.sockets.clone_from(&sockets);
        balancer::start(&balancer, sockets)?;
        world.start_simulators(options, &sysmon, &balancer)?;
        world.started = Instant::now();
        Ok(world)
    }

    fn start_simulators(&mut self, options: &Options, sysmon: &Path, balancer: &Path) -> Result<()> {
        let own = self.folder.join("own");
        let spool = own.join("spool");
        let aggregator = format!("unix:{}", balancer.display());
        let mut left = options.machines;
        while left > 0 {
            let index = self.simulators.len();
            let machines = left.min(MACHINES_PER_SIMULATOR);
            left -= machines;
            let ledger = own.join(format!("ledger-{index}"));
            let texts = [
                machines.to_string(),
                format!("f{index}"),
                (options.seed.wrapping_add(index as u64)).to_string(),
            ];
            let [count, prefix, seed] = &texts;
            let service = program(sysmon, &own, &format!("simulator {index}")).arguments(&[
                "simulate",
                "--machines",
                count,
                "--interval",
                "100ms",
                "--prefix",
                prefix,
                "--seed",
                seed,
                "--connections",
                "4",
                "--spool-dir",
                spool.to_str().unwrap_or_default(),
                "--ledger",
                ledger.to_str().unwrap_or_default(),
                "--aggregator",
                &aggregator,
            ]);
            self.simulators.push(service);
            self.ledgers.push(ledger);
        }
        self.simulators.iter_mut().try_for_each(Service::start)
    }

    pub(super) fn simulators(&self) -> usize {
        self.simulators.len()
    }

    pub(super) fn aggregators(&self) -> usize {
        self.aggregators.len()
    }

    /// A console at every aggregator.
    pub(super) fn watch(&self, machines: usize) -> Watch {
        let home = self.folder.join("own");
        Watch::begin(self.console.clone(), home, self.sockets.clone(), machines)
    }

    /// Looks after the processes until then.
    pub(super) fn look_after_until(&mut self, deadline: Instant) -> Result<()> {
        loop {
            let servers = self.servers.iter_mut().map(|(_, server)| server);
            for service in servers.chain(&mut self.aggregators).chain(&mut self.simulators) {
                service.look_after()?;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            pause(left.min(PULSE));
        }
    }

    pub(super) fn carry_out(&mut self, action: Action) -> Result<()> {
        let target = match action {
            Action::Kill(target) | Action::Start(target) | Action::Hang(target) | Action::GoOn(target) => {
                target
            }
        };
        let service = match target {
            Target::Simulator(index) => self.simulators.get_mut(index),
            Target::Aggregator(index) => self.aggregators.get_mut(index),
            Target::Redis | Target::Postgres => {
                let found = self.servers.iter_mut().find(|(known, _)| *known == target);
                found.map(|(_, server)| server)
            }
        };
        let Some(service) = service else {
            bail!("there is no {target} in this run");
        };
        match action {
            Action::Kill(_) => service.kill()?,
            Action::Start(_) => service.start()?,
            Action::Hang(_) => service.hang(),
            Action::GoOn(_) => service.go_on(),
        }
        Ok(())
    }

    /// Waits until all of what was produced by now is in history, while the machines go on reporting; then holds the
    /// ledger against the database.
    pub(super) fn settle(&mut self, standstill: Duration, kills: usize) -> Result<bool> {
        let (until_ms, until) = (unix_now_ms(), Instant::now());
        let produced = Ledger::read(&self.ledgers)?.until(until_ms).appended();
        let (mut arrived, mut moved) = (0, until);
        while arrived < produced as u64 && moved.elapsed() < standstill {
            self.look_after_until(Instant::now() + COUNT_EVERY)?;
            // A database that is just starting has no answer yet.
            let counted = self.source.count(until_ms).unwrap_or(arrived);
            if std::mem::replace(&mut arrived, counted) != counted {
                moved = Instant::now();
            }
        }
        let waited = until.elapsed();
        let lasted = until.duration_since(self.started).as_secs_f64();
        // What was counted twice may hide what is missing; only the comparison by time tells.
        let ledger = Ledger::read(&self.ledgers)?.until(until_ms);
        let stored = self.source.read(until_ms)?;
        let verdict = Verdict::of(&ledger, &stored);
        println!("\n{verdict}");
        let state = if arrived >= produced as u64 {
            "all arrived within"
        } else {
            "not all arrived within"
        };
        println!(
            "throughput {:.0} samples/s over {lasted:.0} s with {kills} kills; {state} {:.1} s after the last fault",
            produced as f64 / lasted,
            waited.as_secs_f64()
        );
        if let Some((half, longest)) = stored.delay_ms {
            println!(
                "from sample to commit, which the acknowledgement follows: median {half:.0} ms, longest {:.1} s",
                longest / 1_000.0
            );
        }
        if !verdict.is_good() {
            println!(
                "NOT accounted for; everything is kept in {}",
                self.folder.display()
            );
        }
        Ok(verdict.is_good())
    }

    /// Ends every process, and leaves the folder only to those who want to look.
    pub(super) fn end(self, keep: bool) -> Result<()> {
        let folder = self.folder.clone();
        drop(self);
        if !keep {
            std::fs::remove_dir_all(&folder).wrap_err("failed to remove the folder of the run")?;
        }
        Ok(())
    }
}

fn build(release: bool) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--quiet", "--package", "sysmon"]);
    command.args(["--bin", "sysmon", "--bin", "sysmon-tui"]);
    if release {
        command.arg("--release");
    }
    let status = command.status().wrap_err("failed to start cargo")?;
    if !status.success() {
        bail!("the build failed");
    }
    let profile = if release { "release" } else { "debug" };
    let own = std::env::current_exe().wrap_err("failed to find our own program")?;
    // Ours is in the folder of one profile, and its neighbour has the other.
    let target = own.ancestors().nth(2).unwrap_or(Path::new("target"));
    Ok(target.join(profile).join("sysmon"))
}

/// One of our programs, that finds nothing of the user's.
fn program(sysmon: &Path, own: &Path, name: &str) -> Service {
    let home = own.to_str().unwrap_or_default();
    let mut service = Service::new(name, sysmon, own);
    for variable in [
        "HOME",
        "XDG_RUNTIME_DIR",
        "XDG_DATA_HOME",
        "XDG_STATE_HOME",
        "XDG_CONFIG_HOME",
    ] {
        service = service.environment(variable, home);
    }
    service
}

/// A database, the servers to look after, and the options by which an aggregator finds them.
type Stores = (Source, Vec<(Target, Service)>, Vec<String>);

fn start_servers(folder: &Path) -> Result<Stores> {
    let postgres_folder = folder.join("postgres");
    make_folder(&postgres_folder, 0o755)?;
    let postgres = Postgres::new(&postgres_folder)?;
    let mut database = postgres.service();
    database.start()?;
    wait_for("PostgreSQL", || postgres.is_ready())?;
    postgres.create_database()?;
    let port = free_port()?.to_string();
    let redis_folder = folder.join("redis");
    make_folder(&redis_folder, 0o755)?;
    let mut redis = Service::new("redis", Path::new("redis-server"), &redis_folder)
        .arguments(&[
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ])
        .stubborn_family();
    redis
        .start()
        .wrap_err("Redis is needed (Debian: apt-get install redis-server); --sqlite does without it")?;
    let options = [
        "--database".into(),
        postgres.url(),
        "--redis".into(),
        format!("redis://127.0.0.1:{port}"),
    ];
    let servers = vec![(Target::Postgres, database), (Target::Redis, redis)];
    Ok((Source::Postgres(postgres), servers, options.into()))
}

fn sqlite(sysmon: &Path, own: &Path) -> Stores {
    let file = own.join("history.db");
    let options = ["--database".into(), format!("sqlite:{}", file.display())];
    let source = Source::Sqlite {
        sysmon: sysmon.into(),
        file,
    };
    (source, Vec::new(), options.into())
}

fn make_folder(path: &Path, mode: u32) -> Result<()> {
    std::fs::create_dir(path).wrap_err_with(|| format!("failed to make {}", path.display()))?;
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, permissions).wrap_err("failed to open a folder")
}

fn wait_for(what: &str, is_ready: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + READY_LIMIT;
    while !is_ready() {
        if Instant::now() > deadline {
            bail!("{what} did not come up within {} s", READY_LIMIT.as_secs());
        }
        pause(Duration::from_millis(50));
    }
    Ok(())
}

fn unix_now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
