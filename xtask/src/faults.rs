//! Kills everything at random moments under load, and then shows that nothing that was produced is missing or there
//! twice.
//!
//! Virtual collectors in several processes report through a balancer to aggregators that share a database and a Redis.
//! Each notes every tick in a ledger before and after it is in its spool. Processes of all kinds are killed with signal 9
//! and started again, and the database is also made to hang. In the end the ledger is held against the database itself.
//! The plan of faults follows from the seed; when exactly a signal meets a process no seed can tell.

mod balancer;
mod ledger;
mod plan;
mod random;
mod services;
mod stored;
mod verdict;
mod watch;
mod world;

use std::time::{Duration, Instant};

use eyre::{Result, WrapErr, bail};

use self::plan::{Plan, Shape};
use self::watch::Watch;
use self::world::World;

/// How long the fleet reports before the first fault.
const WARM_UP: Duration = Duration::from_secs(3);
/// How often it is looked after the processes.
const PULSE: Duration = Duration::from_millis(20);
/// Once all faults are over: for how long nothing may arrive before the wait is given up.
const STANDSTILL_LIMIT: Duration = Duration::from_secs(90);

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// How long there are faults.
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
    pub(crate) machines: usize,
    pub(crate) database: Database,
    /// Not many short faults but two long ones: the database is stopped for `seconds`, then Redis; and a console looks.
    pub(crate) outages: bool,
    /// Faults follow each other almost twice as fast.
    pub(crate) dense: bool,
    pub(crate) release: bool,
    /// Leave the folder for whoever wants to look.
    pub(crate) keep: bool,
}

/// Where history is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    /// PostgreSQL with a Redis and two aggregators.
    Postgres,
    /// SQLite with one aggregator.
    Sqlite,
}

impl Options {
    /// A short run that needs nothing but our own programs.
    pub(crate) fn short() -> Self {
        Self {
            seconds: 15,
            machines: 10,
            database: Database::Sqlite,
            ..Self::default()
        }
    }

    fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            let mut number = || -> Result<u64> {
                let value = arguments.next().copied().unwrap_or_default();
                value
                    .parse()
                    .wrap_err_with(|| format!("{name} takes a whole number, not {value:?}"))
            };
            match *name {
                "--seconds" => options.seconds = number()?.clamp(5, 3_600),
                "--seed" => options.seed = number()?,
                "--machines" => options.machines = usize::try_from(number()?)?.clamp(1, 1_000),
                "--sqlite" => options.database = Database::Sqlite,
                "--outages" => options.outages = true,
                "--dense" => options.dense = true,
                "--release" => options.release = true,
                "--keep" => options.keep = true,
                _ => bail!(
                    "{name} is unknown; there are --seconds, --seed, --machines, --sqlite, --outages, --dense, --release \
                     and --keep"
                ),
            }
        }
        if options.outages && options.database == Database::Sqlite {
            bail!("--outages stops PostgreSQL and Redis, so it does not go with --sqlite");
        }
        Ok(options)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seconds: 120,
            seed: 1,
            machines: 50,
            database: Database::Postgres,
            outages: false,
            dense: false,
            release: false,
            keep: false,
        }
    }
}

/// The command `faults`.
///
/// # Errors
/// When something cannot be started, or ended by itself.
pub(crate) fn run(arguments: &[&str]) -> Result<bool> {
    run_with(&Options::parse(arguments)?)
}

/// The run itself: whether everything is accounted for.
///
/// # Errors
/// When something cannot be started, or ended by itself.
pub(crate) fn run_with(options: &Options) -> Result<bool> {
    let mut world = World::begin(options)?;
    let plan = plan(options, &world);
    println!(
        "{} machines at 10 Hz in {} processes, {} aggregator(s), seed {}: faults for {} s",
        options.machines,
        world.simulators(),
        world.aggregators(),
        options.seed,
        plan.length.as_secs()
    );
    let watch = options.outages.then(|| world.watch(options.machines));
    let started = Instant::now();
    for step in &plan.steps {
        world.look_after_until(started + step.at)?;
        println!("[{:7.2} s] {}", started.elapsed().as_secs_f64(), step.action);
        world.carry_out(step.action)?;
    }
    world.look_after_until(started + plan.length)?;
    println!(
        "[{:7.2} s] no more faults; waiting for everything to arrive",
        started.elapsed().as_secs_f64()
    );
    let seen = watch.map(Watch::end).transpose()?;
    let mut is_good = world.settle(STANDSTILL_LIMIT, plan.kills())?;
    if let Some(seen) = seen {
        println!("{seen}");
        is_good &= seen.is_good();
    }
    world.end(options.keep || !is_good)?;
    Ok(is_good)
}

fn plan(options: &Options, world: &World) -> Plan {
    let length = Duration::from_secs(options.seconds);
    if options.outages {
        return Plan::outages(WARM_UP, length);
    }
    Plan::of(
        options.seed,
        Shape {
            length,
            warm_up: WARM_UP,
            simulators: world.simulators(),
            aggregators: world.aggregators(),
            has_servers: options.database == Database::Postgres,
            is_dense: options.dense,
        },
    )
}

/// Waits while others work.
fn pause(duration: Duration) {
    #[expect(clippy::disallowed_methods, reason = "there is no runtime in this process")]
    std::thread::sleep(duration);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_mistakes_are_told() {
        let options = Options::parse(&["--seconds", "30", "--seed", "7", "--sqlite"]).unwrap();
        assert_eq!((options.seconds, options.seed, options.machines), (30, 7, 50));
        assert_eq!(options.database, Database::Sqlite);
        assert!(Options::parse(&["--outages"]).unwrap().outages);
        for wrong in [
            &["--seconds"][..],
            &["--seconds", "x"],
            &["--fast"],
            &["--outages", "--sqlite"],
        ] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
