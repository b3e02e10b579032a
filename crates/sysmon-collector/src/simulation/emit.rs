//! From what a machine is like to the series that a collector on it would report.

use sysmon_core::MetricId as M;

use super::hardware::{Habits, Kind, Model};
use super::layout::Sink;
use super::vitals::{Disk, Link, Vitals};

/// The kernel's limit of open files on the simulated machines.
const FILES_MAX: f64 = 1_048_576.0;
/// The loopback.
const LOOPBACK: &str = "lo";
const CORE_NAMES: [&str; 16] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15",
];

/// Which of the slow probes have something new, as on a real collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Every 5 s: sensors and containers.
    pub(super) sensors: bool,
    /// Every 10 s: mounts, links and what the collector says of itself.
    pub(super) mounts: bool,
    /// Every 30 s: sessions.
    pub(super) sessions: bool,
    /// Every 60 s: batteries and units.
    pub(super) units: bool,
    /// Processes were scanned.
    pub(super) scan: bool,
    /// The first tick.
    pub(super) first: bool,
}

impl Due {
    pub(super) const ALL: Self = Self {
        sensors: true,
        mounts: true,
        sessions: true,
        units: true,
        scan: true,
        first: true,
    };
}

/// The value when it is due.
fn only(is_due: bool, value: f64) -> f64 {
    if is_due { value } else { f64::NAN }
}

/// Gives every value of a tick, those that are not due as no number.
pub(super) fn emit(habits: &Habits, model: &Model, vitals: &Vitals, due: Due, sink: &mut impl Sink) {
    processors(model, vitals, sink);
    memory(vitals, sink);
    for (index, disk) in vitals.disks.iter().enumerate() {
        emit_disk(model.disks[index], disk, sink);
    }
    let disks = vitals.disks.iter();
    sink.plain(M::DiskReadTotal, disks.clone().map(|disk| disk.read_bytes).sum());
    sink.plain(M::DiskWriteTotal, disks.map(|disk| disk.write_bytes).sum());
    links(model, vitals, due, sink);
    mounts(model, vitals, due, sink);
    tasks(vitals, due, sink);
    slow(habits, model, vitals, due, sink);
    sink.plain(M::CollectorInterval, vitals.interval_ms);
    sink.plain(M::CollectorCpu, vitals.own.cpu_percent);
    sink.plain(M::CollectorMemory, vitals.own.memory);
    for (probe, took_ms) in [("tick", vitals.own.tick_ms), ("processes", vitals.own.scan_ms)] {
        sink.entity(M::ProbeDuration, probe, only(due.mounts, took_ms));
        sink.entity(M::ProbeFailures, probe, only(due.mounts, 0.0));
    }
    sink.plain(M::TicksDropped, only(due.first, 0.0));
}

fn processors(model: &Model, vitals: &Vitals, sink: &mut impl Sink) {
    let cpu = &vitals.cpu;
    for (metric, value) in [
        (M::CpuBusy, cpu.busy()),
        (M::CpuUser, cpu.user),
        (M::CpuSystem, cpu.system),
        (M::CpuIoWait, cpu.io_wait),
        (M::CpuSteal, cpu.steal),
        (M::CpuIrq, cpu.irq),
    ] {
        sink.plain(metric, value);
    }
    debug_assert!(model.cores as usize <= CORE_NAMES.len());
    for (name, busy) in CORE_NAMES.iter().zip(&vitals.cores) {
        sink.entity(M::CpuCoreBusy, name, *busy);
    }
    sink.plain(M::ContextSwitches, cpu.switches);
    sink.plain(M::Interrupts, cpu.interrupts);
    for (metric, load) in [M::Load1, M::Load5, M::Load15].into_iter().zip(vitals.load) {
        sink.plain(metric, load);
    }
    sink.plain(M::CpuCount, f64::from(model.cores));
    sink.plain(M::Uptime, vitals.uptime_seconds);
}

fn memory(vitals: &Vitals, sink: &mut impl Sink) {
    let memory = &vitals.memory;
    sink.plain(M::MemoryTotal, memory.total);
    sink.plain(M::MemoryUsed, memory.used);
    sink.plain(M::MemoryUsedPercent, memory.used * 100.0 / memory.total);
    sink.plain(M::MemoryAvailable, memory.total - memory.used);
    sink.plain(M::MemoryFree, memory.free);
    sink.plain(M::MemoryBuffers, memory.buffers);
    sink.plain(M::MemoryCached, memory.cached);
    sink.plain(M::SwapTotal, memory.swap_total);
    sink.plain(M::SwapUsed, memory.swap_used);
    // Without swap there is no share of it: 0 / 0 is no number.
    sink.plain(M::SwapUsedPercent, memory.swap_used * 100.0 / memory.swap_total);
    sink.plain(M::SwapIn, memory.swap_in);
    sink.plain(M::SwapOut, memory.swap_out);
    sink.plain(M::OomKills, memory.oom_kills);
    let pressure = &vitals.pressure;
    sink.plain(M::PressureCpuSome, pressure.cpu_some);
    // The kernel knows no such thing for the whole machine and says 0.
    sink.plain(M::PressureCpuFull, 0.0);
    sink.plain(M::PressureMemorySome, pressure.memory_some);
    sink.plain(M::PressureMemoryFull, pressure.memory_full);
    sink.plain(M::PressureIoSome, pressure.io_some);
    sink.plain(M::PressureIoFull, pressure.io_full);
}

fn emit_disk(name: &str, disk: &Disk, sink: &mut impl Sink) {
    for (metric, value) in [
        (M::DiskRead, disk.read_bytes),
        (M::DiskWrite, disk.write_bytes),
        (M::DiskReads, disk.reads),
        (M::DiskWrites, disk.writes),
        (M::DiskUtilisation, disk.utilisation),
        (M::DiskQueue, disk.queue),
        (M::DiskAwait, disk.await_ms),
    ] {
        sink.entity(metric, name, value);
    }
}

fn links(model: &Model, vitals: &Vitals, due: Due, sink: &mut impl Sink) {
    let names = model
        .interfaces
        .iter()
        .chain(model.internal_interfaces)
        .chain([&LOOPBACK]);
    for (name, link) in names.zip(&vitals.links) {
        emit_link(name, link, sink);
    }
    let physical = &vitals.links[..vitals.physical_links];
    for (name, link) in model.interfaces.iter().zip(physical) {
        sink.entity(
            M::NetworkLinkUp,
            name,
            only(due.mounts, f64::from(u8::from(link.is_up))),
        );
    }
    let received = physical.iter().map(|link| link.received.bytes).sum();
    sink.plain(M::NetworkReceiveTotal, received);
    let sent = physical.iter().map(|link| link.sent.bytes).sum();
    sink.plain(M::NetworkTransmitTotal, sent);
}

fn emit_link(name: &str, link: &Link, sink: &mut impl Sink) {
    let (received, sent) = (&link.received, &link.sent);
    for (metric, value) in [
        (M::NetworkReceive, received.bytes),
        (M::NetworkReceivePackets, received.packets),
        (M::NetworkReceiveErrors, received.errors),
        (M::NetworkReceiveDrops, received.drops),
        (M::NetworkTransmit, sent.bytes),
        (M::NetworkTransmitPackets, sent.packets),
        (M::NetworkTransmitErrors, sent.errors),
        (M::NetworkTransmitDrops, sent.drops),
    ] {
        sink.entity(metric, name, value);
    }
}

fn mounts(model: &Model, vitals: &Vitals, due: Due, sink: &mut impl Sink) {
    let mut worst = f64::NAN;
    for ((name, _, _), mount) in model.mounts.iter().zip(&vitals.mounts) {
        let percent = mount.used_percent();
        worst = worst.max(percent);
        for (metric, value) in [
            (M::MountTotal, mount.total),
            (M::MountUsed, mount.used),
            (M::MountAvailable, mount.available),
            (M::MountUsedPercent, percent),
            (M::MountInodes, mount.inodes),
            (M::MountInodesUsedPercent, mount.inodes_percent),
        ] {
            sink.entity(metric, name, only(due.mounts, value));
        }
    }
    sink.plain(M::MountWorstPercent, only(due.mounts, worst));
}

fn tasks(vitals: &Vitals, due: Due, sink: &mut impl Sink) {
    let tasks = &vitals.tasks;
    sink.plain(M::Processes, only(due.scan, tasks.processes));
    sink.plain(M::Threads, only(due.scan, tasks.threads));
    sink.plain(M::ProcessesZombie, only(due.scan, tasks.zombies));
    sink.plain(M::ProcessesRunning, tasks.running);
    sink.plain(M::ProcessesBlocked, tasks.blocked);
    sink.plain(M::ProcessForks, tasks.forks);
    sink.plain(M::FilesOpen, tasks.files);
    sink.plain(M::FilesOpenPercent, tasks.files * 100.0 / FILES_MAX);
}

fn slow(habits: &Habits, model: &Model, vitals: &Vitals, due: Due, sink: &mut impl Sink) {
    for (name, celsius) in model.sensors.iter().zip(&vitals.temperatures) {
        sink.entity(M::Temperature, name, only(due.sensors, *celsius));
    }
    for (name, rpm) in model.fans.iter().zip(&vitals.fans) {
        sink.entity(M::Fan, name, only(due.sensors, *rpm));
    }
    for (name, container) in model.containers.iter().zip(&vitals.containers) {
        for (metric, value) in [
            (M::ContainerCpu, container.cpu_percent),
            (M::ContainerMemory, container.memory),
            (M::ContainerReceive, container.received),
            (M::ContainerTransmit, container.sent),
            (M::ContainerRunning, 1.0),
            (M::ContainerRestarts, container.restarts),
        ] {
            sink.entity(metric, name, only(due.sensors, value));
        }
    }
    sink.plain(M::UsersLoggedIn, only(due.sessions, vitals.users));
    sink.plain(M::SystemdFailedUnits, only(due.units, vitals.failed_units));
    if habits.kind == Kind::Laptop {
        sink.entity(M::BatteryCharge, "BAT0", only(due.units, vitals.battery_percent));
    }
}
