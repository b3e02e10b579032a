//! Process lists that explain what the machine does: who has the processor, who has the memory, who is to blame.

mod cast;

use std::sync::Arc;

use sysmon_core::{Process, ProcessKey, ProcessState, ProcessTable, ProcessTotals};

use self::cast::{BACKUP, COMMON, KERNEL, ROLES, RUNAWAY, Role, Texts, ZOMBIE, places, programs};
use super::behaviour::runaway_cores;
use super::condition::Troubles;
use super::hardware::Hardware;
use super::noise::Key;
use super::vitals::Vitals;
use crate::config::ProcessDetail;

/// How many of the busiest and how many of the largest are listed, as a collector does by default.
const TOP: usize = 20;
const MIB: f64 = 1_048_576.0;
const PAGE: u64 = 4_096;
/// The part of used memory that is the processes' own.
const RESIDENT: f64 = 0.85;
/// Below this a trouble has no face yet.
const NOTICEABLE: f64 = 0.02;

/// The texts of all programs, shared by all machines.
#[derive(Debug)]
pub(super) struct Cast {
    texts: Vec<Texts>,
}

impl Cast {
    pub(super) fn new() -> Self {
        Self {
            texts: ROLES.iter().map(Texts::from).collect(),
        }
    }
}

/// What runs on one machine.
#[derive(Debug)]
pub(super) struct Population {
    cast: Arc<Cast>,
    key: Key,
    /// The role of every process that is always there.
    slots: Vec<u8>,
    /// The slot of the process that leaks when one does.
    leaking: usize,
    has_zombie: bool,
}

/// One process while the list is put together.
#[derive(Clone, Copy, Debug)]
struct Row {
    role: usize,
    key: ProcessKey,
    parent_pid: u32,
    state: ProcessState,
    cpu_percent: f64,
    memory_bytes: u64,
    work: f64,
    /// Its part of what memory the machine has for workers.
    weight: f64,
}

/// The moment that is described.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    pub(super) at_ms: i64,
    pub(super) boot_ms: i64,
    pub(super) vitals: &'a Vitals,
    pub(super) troubles: &'a Troubles,
    pub(super) cores: u32,
}

impl Population {
    pub(super) fn new(cast: Arc<Cast>, key: Key, hardware: &Hardware) -> Self {
        let (least, most) = hardware.habits.processes;
        let count = key.part(1).between(f64::from(least), f64::from(most)) as usize;
        let mut slots = Vec::with_capacity(count);
        let mut add = |place: usize| slots.push(place as u8);
        COMMON.for_each(&mut add);
        KERNEL.take(3).for_each(&mut add);
        for _ in 0..hardware.model.cores {
            KERNEL.skip(3).for_each(&mut add);
        }
        let programs = programs(hardware.habits.kind);
        // One of each, so that there is always the one that leaks.
        programs
            .iter()
            .filter_map(|(name, _)| places(name).next())
            .for_each(&mut add);
        let leaking = slots.len() - programs.len();
        while slots.len() < count {
            let key = key.part(2).part(slots.len() as u64);
            let mut place = key.index(100) as u32;
            let chosen = programs.iter().find(|(_, often)| {
                let is_it = place < *often;
                place = place.saturating_sub(*often);
                is_it
            });
            let mut places = places(chosen.map_or(programs[0].0, |(name, _)| name));
            let role = places.nth(key.part(1).index(places.clone().count()));
            slots.push(role.unwrap_or(COMMON.start) as u8);
        }
        Self {
            cast,
            has_zombie: key.part(3).unit() < 0.03,
            key,
            slots,
            leaking,
        }
    }

    /// The list as `detail` asks for it, with the counts over all processes.
    pub(super) fn scan(&self, scene: Scene<'_>, detail: ProcessDetail) -> ProcessTable {
        let mut rows = self.rows(scene);
        share_processors(&mut rows, scene);
        self.share_memory(&mut rows, scene);
        let totals = totals(&rows);
        let listed: Vec<usize> = match detail {
            ProcessDetail::All => (0..rows.len()).collect(),
            ProcessDetail::Top => top(&rows),
            ProcessDetail::None => Vec::new(),
        };
        let work: f64 = rows.iter().map(|row| row.work).sum();
        let listed = listed
            .into_iter()
            .map(|index| self.describe(&rows[index], work, scene))
            .collect();
        ProcessTable::new(listed, totals, detail == ProcessDetail::All)
    }

    fn rows(&self, scene: Scene<'_>) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::with_capacity(self.slots.len() + 8);
        for (index, role) in self.slots.iter().enumerate() {
            rows.push(self.row(index, usize::from(*role), scene));
        }
        let culprit = |offset: usize, role: usize, state| {
            let mut row = self.row(self.slots.len() + offset, role, scene);
            row.state = state;
            row
        };
        if scene.troubles.runaway > NOTICEABLE {
            let count = runaway_cores(scene.cores) as usize;
            rows.extend((0..count).map(|index| culprit(index, RUNAWAY, ProcessState::Running)));
        }
        if scene.troubles.io_wait > NOTICEABLE {
            rows.push(culprit(10, BACKUP, ProcessState::Blocked));
        }
        if self.has_zombie {
            rows.push(culprit(11, ZOMBIE, ProcessState::Zombie));
        }
        rows
    }

    /// A process without its shares.
    fn row(&self, index: usize, place: usize, scene: Scene<'_>) -> Row {
        let role = &ROLES[place];
        let key = self.key.part(10 + index as u64);
        let is_kernel = KERNEL.contains(&place) || (role.command.is_empty() && place != ZOMBIE);
        let [first, second, ..] = key.jitter(scene.at_ms / 1_000);
        // Not every worker works all the time.
        let is_at_work = key.wave(scene.at_ms, 20_000) > -0.2;
        let size = key.part(1).between(0.7, 1.3);
        Row {
            role: place,
            key: identity(role, key, (index, place), scene),
            parent_pid: match place {
                _ if place == COMMON.start || place == KERNEL.start => 0,
                _ if is_kernel => 2,
                _ => 1,
            },
            state: if is_kernel {
                ProcessState::Idle
            } else {
                ProcessState::Sleeping
            },
            cpu_percent: 0.0,
            memory_bytes: whole_pages(f64::from(role.memory_mib) * MIB * size),
            work: if is_at_work {
                f64::from(role.work) * (1.0 + 0.5 * first) * (1.0 + 0.2 * second)
            } else {
                0.0
            },
            weight: if role.work > 0.0 {
                f64::from(role.memory_mib) * size
            } else {
                0.0
            },
        }
    }

    /// What the daemons leave goes to those who work, by their size; a leak takes it from the others.
    fn share_memory(&self, rows: &mut [Row], scene: Scene<'_>) {
        let leak = scene.troubles.memory_leak;
        if leak > NOTICEABLE {
            let whole: f64 = rows.iter().map(|row| row.weight).sum();
            rows[self.leaking].weight += whole * 3.0 * leak;
        }
        let fixed: u64 = rows
            .iter()
            .filter(|row| row.weight == 0.0)
            .map(|row| row.memory_bytes)
            .sum();
        let whole: f64 = rows.iter().map(|row| row.weight).sum();
        let room = (scene.vitals.memory.used * RESIDENT - fixed as f64).max(0.0);
        for row in rows.iter_mut().filter(|row| row.weight > 0.0) {
            row.memory_bytes = whole_pages(room * row.weight / whole);
        }
    }

    fn describe(&self, row: &Row, work: f64, scene: Scene<'_>) -> Process {
        let texts = &self.cast.texts[row.role];
        let role = &ROLES[row.role];
        let disks = scene.vitals.disks.iter();
        let part = match row.role {
            // Who is to blame has most of it.
            BACKUP => 0.8,
            _ if work > 0.0 => 0.2 * row.work / work,
            _ => 0.0,
        };
        let read: f64 = disks.clone().map(|disk| disk.read_bytes).sum();
        let written: f64 = disks.map(|disk| disk.write_bytes).sum();
        let is_kernel = role.command.is_empty();
        Process {
            key: row.key,
            parent_pid: row.parent_pid,
            user: Arc::clone(&texts.user),
            name: Arc::clone(&texts.name),
            command: Arc::clone(&texts.command),
            state: row.state,
            cpu_percent: Some((row.cpu_percent * 100.0).round() as f32 / 100.0),
            memory_bytes: row.memory_bytes,
            threads: role.threads,
            read_bytes_per_second: (!is_kernel).then_some((part * read) as u64),
            write_bytes_per_second: (!is_kernel).then_some((part * written) as u64),
        }
    }
}

/// Who has it, since when.
fn identity(role: &Role, key: Key, (index, place): (usize, usize), scene: Scene<'_>) -> ProcessKey {
    let bits = key.bits();
    let since_boot = |at_ms: i64| u64::try_from(at_ms - scene.boot_ms).unwrap_or(0);
    if role.life_ms > 0 {
        let phase_ms = (key.part(2).unit() * role.life_ms as f64) as i64;
        let life = (scene.at_ms + phase_ms).div_euclid(role.life_ms);
        let pid = 20_000 + (key.part(life as u64).bits() % 4_000_000) as u32;
        return ProcessKey {
            pid,
            start_ms: since_boot(life * role.life_ms - phase_ms),
        };
    }
    let index = index as u32;
    let pid = match place {
        _ if place == COMMON.start => 1,
        _ if place == KERNEL.start => 2,
        _ if role.command.is_empty() => 3 + index,
        _ => 400 + 13 * index + (bits % 13) as u32,
    };
    ProcessKey {
        pid,
        start_ms: u64::from(index) * 40 + bits % 37,
    }
}

/// Divides what the processors did among those who work.
fn share_processors(rows: &mut [Row], scene: Scene<'_>) {
    let cores = f64::from(scene.cores);
    let mut spent = (scene.vitals.cpu.user + scene.vitals.cpu.system) * cores;
    let runaways = rows.iter().filter(|row| row.role == RUNAWAY).count();
    if runaways > 0 {
        let each = (100.0 * scene.troubles.runaway).min(0.9 * spent / runaways as f64);
        rows.iter_mut()
            .filter(|row| row.role == RUNAWAY)
            .for_each(|row| row.cpu_percent = each);
        spent -= each * runaways as f64;
    }
    let work: f64 = rows.iter().map(|row| row.work).sum();
    for row in rows.iter_mut().filter(|row| row.work > 0.0) {
        let most = 100.0 * f64::from(ROLES[row.role].threads);
        row.cpu_percent = (spent * row.work / work).min(most);
        if row.cpu_percent > 40.0 {
            row.state = ProcessState::Running;
        }
    }
}

fn totals(rows: &[Row]) -> ProcessTotals {
    let count = |state| rows.iter().filter(|row| row.state == state).count() as u32;
    ProcessTotals {
        processes: rows.len() as u32,
        threads: rows.iter().map(|row| ROLES[row.role].threads).sum(),
        running: count(ProcessState::Running),
        blocked: count(ProcessState::Blocked),
        zombies: count(ProcessState::Zombie),
    }
}

/// The busiest and the largest, each once.
fn top(rows: &[Row]) -> Vec<usize> {
    let first = |order: &dyn Fn(&usize, &usize) -> std::cmp::Ordering, mut places: Vec<usize>| {
        if places.len() > TOP {
            places.select_nth_unstable_by(TOP, order);
            places.truncate(TOP);
        }
        places
    };
    let busy = (0..rows.len())
        .filter(|index| rows[*index].cpu_percent > 0.0)
        .collect();
    let mut listed = first(
        &|left, right| rows[*right].cpu_percent.total_cmp(&rows[*left].cpu_percent),
        busy,
    );
    listed.append(&mut first(
        &|left, right| rows[*right].memory_bytes.cmp(&rows[*left].memory_bytes),
        (0..rows.len()).collect(),
    ));
    listed.sort_unstable();
    listed.dedup();
    listed
}

fn whole_pages(bytes: f64) -> u64 {
    bytes as u64 / PAGE * PAGE
}
