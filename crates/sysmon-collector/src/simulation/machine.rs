//! One virtual machine: a source of samples like the sampler of a real one.

use std::sync::Arc;

use sysmon_core::{HostInfo, MachineId, UnixMillis};

use super::behaviour::Behaviour;
use super::condition::{Condition, Fate, Scenario};
use super::emit::{Due, emit};
use super::hardware::{Catalogue, Hardware, Kind};
use super::noise::Key;
use super::processes::{Cast, Population, Scene};
use super::vitals::Vitals;
use crate::clock::Moment;
use crate::config::ProcessDetail;
use crate::sample::{Plan, Sample, Source};

const DAY_MS: f64 = 86_400_000.0;
const SCAN_EVERY_MS: i64 = 10_000;
/// How many machines share a rack.
const RACK: u32 = 20;

/// Makes the machines of one simulation.
#[derive(Clone, Debug)]
pub struct Fleet {
    seed: u64,
    prefix: String,
    scenario: Arc<Scenario>,
    start: UnixMillis,
    catalogue: Arc<Catalogue>,
    cast: Arc<Cast>,
}

impl Fleet {
    /// Machine `i` of a seed is the same in every fleet: the values of a moment depend on nothing else, but for the
    /// events of the scenario, which count from `start`.
    #[must_use]
    pub fn new(seed: u64, prefix: &str, scenario: Scenario, start: UnixMillis) -> Self {
        Self {
            seed,
            prefix: prefix.to_owned(),
            scenario: Arc::new(scenario),
            start,
            catalogue: Arc::new(Catalogue::new()),
            cast: Arc::new(Cast::new()),
        }
    }

    /// The id of a machine, `PREFIX-00042`.
    ///
    /// # Errors
    /// [`sysmon_core::IdentityError`] when the prefix has characters that no id has.
    pub fn id(&self, index: u32) -> Result<MachineId, sysmon_core::IdentityError> {
        MachineId::parse(&format!("{}-{index:05}", self.prefix))
    }

    /// A machine as it is at `now`.
    ///
    /// # Errors
    /// [`sysmon_core::IdentityError`] when the prefix has characters that no id has.
    pub fn machine(&self, index: u32, now: UnixMillis) -> Result<Machine, sysmon_core::IdentityError> {
        let id = self.id(index)?;
        let key = Key::of_machine(self.seed, index);
        let hardware = self.catalogue.choose(key);
        let labels = labels(&hardware, key, index);
        let fate = Fate::of(key.part(2), &self.scenario, (id.as_str(), &labels), self.start.0);
        let boot_ms = boot_ms(key, &fate, now.0);
        let host = HostInfo {
            hostname: format!("{}-{index:05}", hardware.habits.role),
            boot_unix_ms: boot_ms,
            labels,
            ..host(&hardware, key)
        };
        Ok(Machine {
            id,
            host,
            population: Population::new(Arc::clone(&self.cast), key.part(3), &hardware),
            vitals: Vitals::of_model(hardware.model),
            behaviour: Behaviour::new(key.part(4), hardware, fate),
            boot_ms,
            last_ms: None,
        })
    }
}

/// One virtual machine. Its values follow from the seed, its index and the time alone.
#[derive(Debug)]
pub struct Machine {
    id: MachineId,
    host: HostInfo,
    behaviour: Behaviour,
    population: Population,
    vitals: Vitals,
    boot_ms: i64,
    last_ms: Option<i64>,
}

impl Machine {
    /// Under which name it reports.
    #[must_use]
    pub fn id(&self) -> &MachineId {
        &self.id
    }

    /// What it says of itself.
    #[must_use]
    pub fn host(&self) -> &HostInfo {
        &self.host
    }

    /// The tick of a moment. The first one announces all series.
    pub fn sample(&mut self, at: UnixMillis, plan: Plan) -> Sample {
        let at_ms = at.0;
        let due = self.due(at_ms, plan.processes);
        self.last_ms = Some(at_ms);
        self.behaviour
            .update(at_ms, self.boot_ms, plan.interval_ms, &mut self.vitals);
        let processes = due.scan.then(|| self.scan(at_ms, plan.processes));
        let hardware = self.behaviour.hardware();
        let mut writer = hardware.layout.writer();
        emit(hardware.habits, hardware.model, &self.vitals, due, &mut writer);
        Sample {
            at,
            announced: if due.first {
                hardware.layout.announcements().to_vec()
            } else {
                Vec::new()
            },
            values: writer.finish(),
            retired: Vec::new(),
            processes: processes.map(Arc::new),
            host: None,
            is_burst: false,
        }
    }

    /// When it is switched off and when it is cut off from the aggregator, each as stretches in Unix milliseconds.
    pub(super) fn absences(&self) -> [Vec<std::ops::Range<i64>>; 2] {
        [Condition::Off, Condition::Disconnected].map(|condition| {
            let mut spells: Vec<_> = self
                .behaviour
                .fate()
                .spells(condition)
                .map(|spell| spell.from_ms..spell.until_ms)
                .collect();
            spells.sort_unstable_by_key(|spell| spell.start);
            spells
        })
    }

    /// Whether the seed has nothing in store for it.
    #[cfg(test)]
    pub(super) fn is_well(&self) -> bool {
        self.behaviour.fate().is_well()
    }

    fn scan(&mut self, at_ms: i64, detail: ProcessDetail) -> sysmon_core::ProcessTable {
        let troubles = self.behaviour.fate().troubles(at_ms);
        let scene = Scene {
            at_ms,
            boot_ms: self.boot_ms,
            vitals: &self.vitals,
            troubles: &troubles,
            cores: self.behaviour.hardware().model.cores,
        };
        let table = self.population.scan(scene, detail);
        let totals = table.totals();
        let tasks = &mut self.vitals.tasks;
        tasks.processes = f64::from(totals.processes);
        tasks.threads = f64::from(totals.threads);
        tasks.zombies = f64::from(totals.zombies);
        table
    }

    /// Slow figures come when a whole period has begun since the tick before.
    fn due(&self, at_ms: i64, detail: ProcessDetail) -> Due {
        let Some(last_ms) = self.last_ms else {
            return Due {
                scan: detail != ProcessDetail::None,
                ..Due::ALL
            };
        };
        let begun = |period_ms: i64| at_ms.div_euclid(period_ms) != last_ms.div_euclid(period_ms);
        Due {
            sensors: begun(5_000),
            mounts: begun(10_000),
            sessions: begun(30_000),
            units: begun(60_000),
            scan: match detail {
                ProcessDetail::None => false,
                ProcessDetail::Top => begun(SCAN_EVERY_MS),
                ProcessDetail::All => true,
            },
            first: false,
        }
    }
}

impl Source for Machine {
    fn prime(&mut self, _: Moment, _: Plan) {}

    fn sample(&mut self, now: Moment, plan: Plan) -> Sample {
        Self::sample(self, now.unix, plan)
    }
}

fn labels(hardware: &Hardware, key: Key, index: u32) -> Vec<(String, String)> {
    const ZONES: [&str; 6] = ["eu-1a", "eu-1b", "us-2a", "us-2b", "ap-1a", "ap-1b"];
    let zone = ZONES[(index / RACK) as usize % ZONES.len()];
    let environment = if key.part(5).unit() < 0.15 {
        "staging"
    } else {
        "production"
    };
    [
        ("environment", environment.to_owned()),
        ("rack", format!("r{:02}", index / RACK % 100)),
        ("role", hardware.habits.role.to_owned()),
        ("zone", zone.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn host(hardware: &Hardware, key: Key) -> HostInfo {
    const SYSTEMS: [(&str, &str); 3] = [
        ("Debian GNU/Linux 12 (bookworm)", "6.1.0-32-amd64"),
        ("Ubuntu 24.04.2 LTS", "6.8.0-57-generic"),
        ("Rocky Linux 9.5 (Blue Onyx)", "5.14.0-503.40.1.el9_5.x86_64"),
    ];
    let place = if hardware.habits.kind == Kind::Laptop {
        1
    } else {
        key.part(6).index(SYSTEMS.len())
    };
    let (os, kernel) = SYSTEMS[place];
    HostInfo {
        os: os.to_owned(),
        kernel: kernel.to_owned(),
        architecture: "x86_64".to_owned(),
        cpu_model: hardware.model.cpu.to_owned(),
        cpu_count: hardware.model.cores,
        memory_bytes: hardware.memory_bytes(),
        collector_version: env!("CARGO_PKG_VERSION").to_owned(),
        ..HostInfo::default()
    }
}

/// The last boot: every few weeks or months, and after it was off.
fn boot_ms(key: Key, fate: &Fate, now_ms: i64) -> i64 {
    let key = key.part(7);
    let period_ms = (key.between(15.0, 160.0) * DAY_MS) as i64;
    let phase_ms = (key.part(1).unit() * period_ms as f64) as i64;
    let usual_ms = (now_ms + phase_ms).div_euclid(period_ms) * period_ms - phase_ms;
    let after_off = fate
        .spells(Condition::Off)
        .map(|spell| spell.until_ms)
        .filter(|until_ms| *until_ms <= now_ms);
    after_off
        .max()
        .map_or(usual_ms, |until_ms| until_ms.max(usual_ms))
}
