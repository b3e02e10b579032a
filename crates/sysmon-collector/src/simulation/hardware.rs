//! What kinds of machines there are in a simulated fleet, and what they are made of.

use std::sync::Arc;

use super::layout::Layout;
use super::noise::Key;

/// What a machine is for. Its name is the value of the label `role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Web,
    Database,
    Cache,
    Application,
    Build,
    Storage,
    Gateway,
    Laptop,
}

/// How a kind of machine behaves. Shares are of the whole, at the height of its demand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    pub(super) kind: Kind,
    pub(super) role: &'static str,
    /// How many of a hundred machines are of this kind.
    pub(super) percent: u32,
    /// Demand at night.
    pub(super) base: f64,
    /// What the day adds.
    pub(super) daily: f64,
    /// How much it wavers.
    pub(super) noise: f64,
    /// Height of a burst, how likely one is in its window, and the window.
    pub(super) burst: f64,
    pub(super) burst_chance: f64,
    pub(super) burst_window_ms: i64,
    /// Memory in use at rest, and what demand adds.
    pub(super) memory_base: f64,
    pub(super) memory_load: f64,
    /// Bytes per second at full demand.
    pub(super) receive: f64,
    pub(super) transmit: f64,
    /// Utilisation of disks at full demand, and the part of it that is reading.
    pub(super) disk: f64,
    pub(super) disk_reads: f64,
    /// Processes, at least and at most.
    pub(super) processes: (u32, u32),
    pub(super) models: &'static [Model],
}

/// What can be bought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model {
    pub(super) cpu: &'static str,
    pub(super) cores: u32,
    pub(super) memory_gib: u64,
    pub(super) swap_gib: u64,
    pub(super) disks: &'static [&'static str],
    /// Where, how large in GiB, and how full when new.
    pub(super) mounts: &'static [(&'static str, u64, f64)],
    /// The physical ones first; the loopback is always there.
    pub(super) interfaces: &'static [&'static str],
    pub(super) internal_interfaces: &'static [&'static str],
    pub(super) sensors: &'static [&'static str],
    pub(super) fans: &'static [&'static str],
    pub(super) containers: &'static [&'static str],
}

/// A model in use, with the series that it has.
#[derive(Debug)]
pub(super) struct Hardware {
    pub(super) habits: &'static Habits,
    pub(super) model: &'static Model,
    pub(super) layout: Layout,
}

impl Hardware {
    /// Whether it runs on a battery.
    pub(super) fn has_battery(&self) -> bool {
        self.habits.kind == Kind::Laptop
    }

    /// Bytes of memory: a little is the kernel's.
    pub(super) fn memory_bytes(&self) -> u64 {
        (self.model.memory_gib << 30) / 1_000 * 984 / 1_024 * 1_024
    }

    pub(super) fn swap_bytes(&self) -> u64 {
        self.model.swap_gib << 30
    }
}

/// All kinds and models, made once for all machines of a process.
#[derive(Debug)]
pub(super) struct Catalogue {
    kinds: Vec<Vec<Arc<Hardware>>>,
}

impl Catalogue {
    pub(super) fn new() -> Self {
        let of_kind = |habits: &'static Habits| {
            let hardware = habits.models.iter().map(|model| {
                Arc::new(Hardware {
                    habits,
                    model,
                    layout: Layout::of(habits, model),
                })
            });
            hardware.collect()
        };
        Self {
            kinds: KINDS.iter().map(of_kind).collect(),
        }
    }

    /// The hardware of a machine.
    pub(super) fn choose(&self, key: Key) -> Arc<Hardware> {
        let mut place = key.part(0).index(100) as u32;
        let kind = KINDS
            .iter()
            .position(|habits| match place.checked_sub(habits.percent) {
                Some(rest) => {
                    place = rest;
                    false
                }
                None => true,
            });
        let models = &self.kinds[kind.unwrap_or(0)];
        Arc::clone(&models[key.part(1).index(models.len())])
    }
}

const EPYC: &str = "AMD EPYC 7443P 24-Core Processor";
const XEON: &str = "Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz";
const RYZEN: &str = "AMD Ryzen 7 PRO 6850U with Radeon Graphics";

const SERVER_SENSORS: &[&str] = &["k10temp Tctl", "nvme Composite"];

const SMALL: Model = Model {
    cpu: XEON,
    cores: 4,
    memory_gib: 16,
    swap_gib: 2,
    disks: &["vda"],
    mounts: &[("/", 40, 0.38), ("/var", 80, 0.31)],
    interfaces: &["eth0"],
    internal_interfaces: &[],
    sensors: &[],
    fans: &[],
    containers: &[],
};

const MEDIUM: Model = Model {
    cpu: EPYC,
    cores: 8,
    memory_gib: 32,
    disks: &["nvme0n1"],
    mounts: &[("/", 60, 0.35), ("/var", 200, 0.42)],
    interfaces: &["eth0", "eth1"],
    sensors: SERVER_SENSORS,
    ..SMALL
};

/// The kinds; their percents make a hundred.
pub(super) const KINDS: &[Habits] = &[
    Habits {
        kind: Kind::Web,
        role: "web",
        percent: 30,
        base: 0.08,
        daily: 0.34,
        noise: 0.12,
        burst: 0.35,
        burst_chance: 0.10,
        burst_window_ms: 120_000,
        memory_base: 0.34,
        memory_load: 0.22,
        receive: 24e6,
        transmit: 95e6,
        disk: 0.18,
        disk_reads: 0.2,
        processes: (60, 120),
        models: &[SMALL, MEDIUM],
    },
    Habits {
        kind: Kind::Database,
        role: "db",
        percent: 15,
        base: 0.14,
        daily: 0.30,
        noise: 0.10,
        burst: 0.30,
        burst_chance: 0.15,
        burst_window_ms: 300_000,
        memory_base: 0.62,
        memory_load: 0.12,
        receive: 18e6,
        transmit: 42e6,
        disk: 0.75,
        disk_reads: 0.45,
        processes: (90, 220),
        models: &[
            Model {
                memory_gib: 64,
                disks: &["nvme0n1", "nvme1n1"],
                mounts: &[
                    ("/", 60, 0.33),
                    ("/var/lib/postgresql", 900, 0.57),
                    ("/backup", 1_800, 0.64),
                ],
                ..MEDIUM
            },
            Model {
                cores: 16,
                memory_gib: 128,
                disks: &["nvme0n1", "nvme1n1"],
                mounts: &[("/", 60, 0.29), ("/var/lib/postgresql", 1_800, 0.48)],
                ..MEDIUM
            },
        ],
    },
    Habits {
        kind: Kind::Cache,
        role: "cache",
        percent: 8,
        base: 0.10,
        daily: 0.22,
        noise: 0.06,
        burst: 0.15,
        burst_chance: 0.10,
        burst_window_ms: 120_000,
        memory_base: 0.68,
        memory_load: 0.08,
        receive: 60e6,
        transmit: 140e6,
        disk: 0.10,
        disk_reads: 0.1,
        processes: (45, 80),
        models: &[Model {
            memory_gib: 64,
            swap_gib: 0,
            ..MEDIUM
        }],
    },
    Habits {
        kind: Kind::Application,
        role: "app",
        percent: 20,
        base: 0.12,
        daily: 0.30,
        noise: 0.15,
        burst: 0.35,
        burst_chance: 0.15,
        burst_window_ms: 180_000,
        memory_base: 0.48,
        memory_load: 0.22,
        receive: 20e6,
        transmit: 30e6,
        disk: 0.22,
        disk_reads: 0.3,
        processes: (80, 180),
        models: &[Model {
            internal_interfaces: &["docker0"],
            containers: &["api", "worker", "scheduler"],
            interfaces: &["eth0"],
            ..MEDIUM
        }],
    },
    Habits {
        kind: Kind::Build,
        role: "build",
        percent: 8,
        base: 0.03,
        daily: 0.08,
        noise: 0.05,
        burst: 0.90,
        burst_chance: 0.55,
        burst_window_ms: 600_000,
        memory_base: 0.22,
        memory_load: 0.45,
        receive: 15e6,
        transmit: 5e6,
        disk: 0.55,
        disk_reads: 0.35,
        processes: (80, 300),
        models: &[
            MEDIUM,
            Model {
                cores: 16,
                memory_gib: 64,
                mounts: &[("/", 60, 0.41), ("/srv/build", 500, 0.61)],
                ..MEDIUM
            },
        ],
    },
    Habits {
        kind: Kind::Storage,
        role: "storage",
        percent: 7,
        base: 0.12,
        daily: 0.20,
        noise: 0.08,
        burst: 0.35,
        burst_chance: 0.25,
        burst_window_ms: 900_000,
        memory_base: 0.30,
        memory_load: 0.10,
        receive: 160e6,
        transmit: 220e6,
        disk: 0.85,
        disk_reads: 0.6,
        processes: (60, 110),
        models: &[Model {
            cores: 4,
            disks: &["sda", "sdb", "sdc", "sdd"],
            mounts: &[
                ("/", 40, 0.27),
                ("/srv/pool0", 14_800, 0.71),
                ("/srv/pool1", 14_800, 0.66),
            ],
            fans: &["nct6775 fan1", "nct6775 fan2"],
            ..MEDIUM
        }],
    },
    Habits {
        kind: Kind::Gateway,
        role: "gateway",
        percent: 5,
        base: 0.06,
        daily: 0.25,
        noise: 0.06,
        burst: 0.20,
        burst_chance: 0.08,
        burst_window_ms: 120_000,
        memory_base: 0.22,
        memory_load: 0.06,
        receive: 210e6,
        transmit: 205e6,
        disk: 0.05,
        disk_reads: 0.1,
        processes: (40, 60),
        models: &[Model {
            memory_gib: 8,
            swap_gib: 0,
            mounts: &[("/", 30, 0.22)],
            interfaces: &["eth0", "eth1", "eth2"],
            ..SMALL
        }],
    },
    Habits {
        kind: Kind::Laptop,
        role: "laptop",
        percent: 7,
        base: 0.03,
        daily: 0.14,
        noise: 0.10,
        burst: 0.45,
        burst_chance: 0.30,
        burst_window_ms: 90_000,
        memory_base: 0.45,
        memory_load: 0.25,
        receive: 6e6,
        transmit: 1e6,
        disk: 0.20,
        disk_reads: 0.5,
        processes: (160, 290),
        models: &[Model {
            cpu: RYZEN,
            cores: 8,
            memory_gib: 16,
            swap_gib: 8,
            disks: &["nvme0n1"],
            mounts: &[("/", 100, 0.52), ("/home", 370, 0.63)],
            interfaces: &["wlp1s0"],
            sensors: &["k10temp Tctl", "nvme Composite", "acpitz"],
            fans: &["thinkpad fan1"],
            ..SMALL
        }],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_hundred_machines_have_about_the_mix_that_is_said() {
        assert_eq!(KINDS.iter().map(|habits| habits.percent).sum::<u32>(), 100);
        let catalogue = Catalogue::new();
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for index in 0..2_000 {
            let hardware = catalogue.choose(Key::of_machine(7, index));
            *counts.entry(hardware.habits.role).or_default() += 1;
        }
        for habits in KINDS {
            let expected = f64::from(habits.percent) * 20.0;
            let count = f64::from(counts[habits.role]);
            assert!(
                (count - expected).abs() < 0.4 * expected,
                "{} {count}",
                habits.role
            );
        }
    }

    #[test]
    fn a_machine_has_about_a_hundred_series() {
        for models in &Catalogue::new().kinds {
            for hardware in models {
                let count = hardware.layout.announcements().len();
                assert!((80..=150).contains(&count), "{} {count}", hardware.habits.role);
            }
        }
    }
}
