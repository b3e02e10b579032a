//! How a machine lives: its demand over the day, and what follows from it for everything that can be measured.

mod traffic;

use std::f64::consts::TAU;
use std::sync::Arc;

use super::condition::{Fate, Troubles};
use super::hardware::{Habits, Hardware};
use super::noise::Key;
use super::vitals::{Cpu, Memory, Own, Pressure, Tasks, Vitals};

const HOUR_MS: f64 = 3_600_000.0;
const DAY_HOURS: f64 = 24.0;
/// The hour of least demand.
const NIGHT_HOUR: f64 = 3.5;
/// How long each part of the noise takes from one turn to the next, and its part of the whole.
const OCTAVES: [(i64, f64); 5] = [
    (2_000, 0.12),
    (15_000, 0.2),
    (90_000, 0.23),
    (600_000, 0.25),
    (3_600_000, 0.2),
];
/// How often the kernel works out the load averages (kernel/sched/loadavg.c).
const LOAD_EVERY_MS: i64 = 5_000;
const LOAD_WINDOWS_MS: [i64; 3] = [60_000, 300_000, 900_000];
const PAGE: f64 = 4_096.0;

/// What a stream of noise is for.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
enum Part {
    Offset = 10,
    Size,
    Octaves,
    Burst,
    Cores,
    Cpu,
    Memory,
    Disks,
    Links,
    Mounts,
    Heat,
    Own,
    Users,
    Units,
    Battery,
    FullMount,
    Containers,
}

/// One machine's life. Everything but the load averages' last moment is constant.
#[derive(Clone, Debug)]
pub(super) struct Behaviour {
    key: Key,
    hardware: Arc<Hardware>,
    fate: Fate,
    /// How much earlier than in UTC the day begins.
    offset_hours: f64,
    /// Busier or calmer than others of its kind.
    size: f64,
    load_step: Option<i64>,
}

impl Behaviour {
    pub(super) fn new(key: Key, hardware: Arc<Hardware>, fate: Fate) -> Self {
        // Data centres on three continents, and laptops with them.
        const OFFSETS: [f64; 3] = [1.0, -5.0, 8.0];
        let offset = key.part(Part::Offset as u64).index(OFFSETS.len());
        Self {
            offset_hours: OFFSETS[offset],
            size: key.part(Part::Size as u64).between(0.55, 1.3),
            key,
            hardware,
            fate,
            load_step: None,
        }
    }

    pub(super) fn hardware(&self) -> &Arc<Hardware> {
        &self.hardware
    }

    pub(super) fn fate(&self) -> &Fate {
        &self.fate
    }

    /// Brings everything but the processes up to date.
    pub(super) fn update(&mut self, at_ms: i64, boot_ms: i64, interval_ms: u32, vitals: &mut Vitals) {
        let troubles = self.fate.troubles(at_ms);
        let demand = self.demand(at_ms, 0);
        vitals.cpu = self.cpu(at_ms, demand, &troubles);
        self.cores(at_ms, vitals);
        self.load(at_ms, vitals);
        vitals.memory = self.memory(at_ms, boot_ms, &troubles);
        vitals.pressure = pressure(&vitals.cpu, &vitals.memory);
        self.disks(at_ms, demand, &troubles, &mut vitals.disks);
        self.mounts(at_ms, &troubles, &mut vitals.mounts);
        self.links(at_ms, demand, &troubles, vitals);
        self.tasks(at_ms, demand, &troubles, &mut vitals.tasks);
        vitals.interval_ms = f64::from(interval_ms);
        vitals.uptime_seconds = ((at_ms - boot_ms).max(0) / 1_000) as f64;
        self.surroundings(at_ms, boot_ms, vitals);
    }

    /// What the machine has to do, as a part of what it can do. Turns quicker than `finest_ms` are left out.
    fn demand(&self, at_ms: i64, finest_ms: i64) -> f64 {
        let habits = self.hardware.habits;
        let key = self.key.part(Part::Octaves as u64);
        let octaves = OCTAVES.iter().filter(|(period_ms, _)| *period_ms >= finest_ms);
        let noise: f64 = octaves
            .map(|(period_ms, part)| part * key.part(*period_ms as u64).wave(at_ms, *period_ms))
            .sum();
        let steady = habits.base + habits.daily * self.daylight(at_ms) + 1.6 * habits.noise * noise;
        let demand = self.size * steady + habits.burst * self.burst(habits, at_ms);
        demand.clamp(0.003, 1.0)
    }

    /// 0 at the stillest hour, 1 at the busiest; less at weekends.
    fn daylight(&self, at_ms: i64) -> f64 {
        let hours = at_ms as f64 / HOUR_MS + self.offset_hours;
        let day = (hours / DAY_HOURS).floor() as i64;
        // The first of January 1970 was a Thursday.
        let is_weekend = matches!((day + 3).rem_euclid(7), 5 | 6);
        let light = 0.5 - 0.5 * ((hours - NIGHT_HOUR) / DAY_HOURS * TAU).cos();
        if is_weekend { 0.55 * light } else { light }
    }

    /// 1 while there is something out of the ordinary to do, with short edges.
    fn burst(&self, habits: &Habits, at_ms: i64) -> f64 {
        let window_ms = habits.burst_window_ms;
        let step = at_ms.div_euclid(window_ms);
        let key = self.key.part(Part::Burst as u64).part(step as u64);
        if key.unit() >= habits.burst_chance {
            return 0.0;
        }
        let window_ms = window_ms as f64;
        let lasts_ms = window_ms * key.part(1).between(0.15, 0.8);
        let begins_ms = (window_ms - lasts_ms) * key.part(2).unit();
        let since_ms = at_ms.rem_euclid(habits.burst_window_ms) as f64 - begins_ms;
        let edge_ms = 0.1 * lasts_ms;
        let edges = (since_ms / edge_ms).min((lasts_ms - since_ms) / edge_ms);
        edges.clamp(0.0, 1.0) * key.part(3).between(0.5, 1.0)
    }

    fn cpu(&self, at_ms: i64, demand: f64, troubles: &Troubles) -> Cpu {
        let model = self.hardware.model;
        let habits = self.hardware.habits;
        let key = self.key.part(Part::Cpu as u64);
        let [first, second, third, fourth] = key.jitter(at_ms);
        let work = 100.0 * demand * (1.0 + 0.05 * first);
        let share = 0.72 + 0.06 * second;
        let mut cpu = Cpu {
            user: work * share
                + troubles.runaway * runaway_cores(model.cores) * 100.0 / f64::from(model.cores),
            system: 0.2 + work * (1.0 - share),
            irq: (habits.receive / 2e8) * demand * 4.0 + 0.05 * (1.0 + third),
            steal: troubles.cpu_steal * (24.0 + 12.0 * key.part(1).wave(at_ms, 4_000)),
            io_wait: habits.disk * demand * 6.0 * (1.0 + 0.4 * fourth)
                + troubles.io_wait * (48.0 + 14.0 * key.part(2).wave(at_ms, 3_000)),
            ..Cpu::default()
        };
        // What is asked for beyond the whole is not had.
        let whole = cpu.busy() + cpu.io_wait;
        if whole > 99.5 {
            let part = 99.5 / whole;
            for share in [
                &mut cpu.user,
                &mut cpu.system,
                &mut cpu.irq,
                &mut cpu.steal,
                &mut cpu.io_wait,
            ] {
                *share *= part;
            }
        }
        let cores = f64::from(model.cores);
        cpu.switches = cores * (180.0 + 7_500.0 * demand * (1.0 + 0.1 * second));
        cpu.interrupts =
            cores * (90.0 + 4_200.0 * demand * (1.0 + 0.1 * third)) + habits.receive * demand / 4e3;
        cpu
    }

    /// Neighbours differ by as much as one has more than the mean and the other less.
    fn cores(&self, at_ms: i64, vitals: &mut Vitals) {
        let busy = vitals.cpu.busy();
        let room = 0.75 * busy.min(100.0 - busy);
        let key = self.key.part(Part::Cores as u64);
        for (index, pair) in vitals.cores.chunks_mut(2).enumerate() {
            let offset = room * key.part(index as u64).wave(at_ms, 5_000);
            match pair {
                [first, second] => (*first, *second) = (busy + offset, busy - offset),
                [only] => *only = busy,
                _ => {}
            }
        }
    }

    fn load(&mut self, at_ms: i64, vitals: &mut Vitals) {
        let step = at_ms.div_euclid(LOAD_EVERY_MS);
        if self.load_step.replace(step) == Some(step) {
            return;
        }
        let at_ms = step * LOAD_EVERY_MS;
        for (load, window_ms) in vitals.load.iter_mut().zip(LOAD_WINDOWS_MS) {
            let lags_ms = [window_ms / 8, window_ms / 2, window_ms];
            let tasks: f64 = lags_ms
                .iter()
                .map(|lag_ms| self.tasks_in_line(at_ms - lag_ms, window_ms / 4))
                .sum();
            *load = tasks / lags_ms.len() as f64;
        }
    }

    /// Tasks that run, want to run or wait for a disk.
    fn tasks_in_line(&self, at_ms: i64, finest_ms: i64) -> f64 {
        let cores = self.hardware.model.cores;
        let demand = self.demand(at_ms, finest_ms);
        let troubles = self.fate.troubles(at_ms);
        // Near the limit there is a queue.
        let queue = ((demand - 0.8).max(0.0) * 4.0).powi(2);
        f64::from(cores) * (demand * (1.0 + queue) + 0.3 * troubles.cpu_steal)
            + troubles.runaway * runaway_cores(cores)
            + troubles.io_wait * 7.0
    }

    fn memory(&self, at_ms: i64, boot_ms: i64, troubles: &Troubles) -> Memory {
        let habits = self.hardware.habits;
        let key = self.key.part(Part::Memory as u64);
        let total = self.hardware.memory_bytes() as f64;
        let load = habits.memory_load * self.demand(at_ms, 90_000);
        let share =
            habits.memory_base * key.between(0.8, 1.15) + load + 0.015 * key.part(1).wave(at_ms, 45_000);
        let share = (share + (0.985 - share) * troubles.memory_leak).clamp(0.05, 0.985);
        let used = pages(total * share);
        let available = total - used;
        let free = pages(available * (0.2 + 0.12 * key.part(2).wave(at_ms, 240_000)));
        let buffers = pages(available * 0.03);
        let squeezed = ((share - 0.88) / 0.1).clamp(0.0, 1.0);
        let swap_total = self.hardware.swap_bytes() as f64;
        let [first, second, ..] = key.jitter(at_ms);
        let swapping = if swap_total > 0.0 {
            squeezed * squeezed * 22e6
        } else {
            0.0
        };
        Memory {
            total,
            used,
            free,
            buffers,
            cached: pages((available - free - buffers) * 0.94),
            swap_total,
            swap_used: pages(swap_total * (0.12 * key.part(3).unit() + 0.85 * squeezed)),
            swap_in: pages(swapping * (1.0 + 0.6 * first)),
            swap_out: pages(swapping * (1.1 + 0.6 * second)),
            oom_kills: self.fate.oom_kills(boot_ms, at_ms) as f64,
        }
    }

    fn tasks(&self, at_ms: i64, demand: f64, troubles: &Troubles, tasks: &mut Tasks) {
        let cores = f64::from(self.hardware.model.cores);
        let [first, second, third, _] = self.key.part(Part::Units as u64).jitter(at_ms);
        let running = cores * demand * (1.0 + 0.4 * first) + troubles.runaway * runaway_cores(cores as u32);
        tasks.running = running.round().max(1.0);
        tasks.blocked =
            (troubles.io_wait * (7.0 + 4.0 * second) + demand * self.hardware.habits.disk).round();
        let is_building = self.hardware.habits.burst > 0.8;
        let forks = if is_building { 160.0 } else { 14.0 };
        tasks.forks = demand * forks * (1.0 + 0.5 * third);
        tasks.files = (1_400.0 + 9_000.0 * demand * self.size + 200.0 * cores).round();
    }

    /// Heat, charge, people and the collector itself.
    fn surroundings(&self, at_ms: i64, boot_ms: i64, vitals: &mut Vitals) {
        let heat = self.key.part(Part::Heat as u64);
        let busy = vitals.cpu.busy();
        let disk = vitals.disks.first().map_or(0.0, |disk| disk.utilisation);
        let warmth = [38.0 + 0.42 * busy, 34.0 + 0.16 * disk, 40.0 + 0.3 * busy];
        for (index, celsius) in vitals.temperatures.iter_mut().enumerate() {
            let wave = heat.part(index as u64).wave(at_ms, 40_000);
            *celsius = warmth[index % warmth.len()] + 1.5 * wave;
        }
        for (index, rpm) in vitals.fans.iter_mut().enumerate() {
            let wave = heat.part(50 + index as u64).wave(at_ms, 30_000);
            *rpm = (950.0 + 24.0 * busy + 40.0 * wave).round();
        }
        vitals.battery_percent = self.battery(at_ms);
        let users = self.key.part(Part::Users as u64);
        let base = if self.hardware.has_battery() { 1.0 } else { 0.0 };
        vitals.users = base + (users.wave(at_ms, 1_800_000) * 3.0 - 1.0).max(0.0).round();
        let units = self.key.part(Part::Units as u64);
        vitals.failed_units = if units.unit() < 0.04 { 1.0 } else { 0.0 };
        self.containers(at_ms, boot_ms, vitals);
        let [first, second, third, _] = self.key.part(Part::Own as u64).jitter(at_ms);
        vitals.own = Own {
            cpu_percent: 0.12 + 0.04 * first,
            memory: pages(6.4e6 + 3e5 * users.part(1).unit()),
            tick_ms: 0.55 + 0.1 * second,
            scan_ms: 1.9 + 0.5 * third,
        };
    }

    /// Two thirds of the time on the mains.
    fn battery(&self, at_ms: i64) -> f64 {
        const CYCLE_MS: i64 = 6 * 3_600_000;
        let key = self.key.part(Part::Battery as u64);
        let phase_ms = (key.unit() * CYCLE_MS as f64) as i64;
        let part = (at_ms + phase_ms).rem_euclid(CYCLE_MS) as f64 / CYCLE_MS as f64;
        let low = key.part(1).between(18.0, 60.0);
        match part {
            part if part < 0.34 => 100.0 - (100.0 - low) * part / 0.34,
            part if part < 0.6 => low + (100.0 - low) * (part - 0.34) / 0.26,
            _ => 100.0,
        }
    }
}

/// How many processors a process that runs away takes.
pub(super) fn runaway_cores(cores: u32) -> f64 {
    f64::from(cores.div_ceil(4).min(3))
}

fn pressure(cpu: &Cpu, memory: &Memory) -> Pressure {
    let crowded = ((cpu.busy() - 55.0) / 45.0).max(0.0);
    let squeezed = ((memory.used / memory.total - 0.88) / 0.1).clamp(0.0, 1.0);
    let memory_some = 38.0 * squeezed * squeezed;
    let io_some = (1.15 * cpu.io_wait).min(100.0);
    Pressure {
        cpu_some: (0.3 + 42.0 * crowded * crowded + 0.5 * cpu.steal).min(100.0),
        memory_some,
        memory_full: 0.6 * memory_some,
        io_some,
        io_full: 0.72 * io_some,
    }
}

/// Whole pages, and never less than nothing.
fn pages(bytes: f64) -> f64 {
    (bytes.max(0.0) / PAGE).floor() * PAGE
}
