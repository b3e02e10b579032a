//! Everything that can be measured on a machine at one moment, in the units of the catalogue.

use super::hardware::Model;

/// What a machine is like at a moment. Kept from tick to tick for its room.
#[derive(Clone, Debug, Default)]
pub(super) struct Vitals {
    pub(super) cpu: Cpu,
    pub(super) cores: Vec<f64>,
    /// Over 1, 5 and 15 minutes.
    pub(super) load: [f64; 3],
    pub(super) uptime_seconds: f64,
    pub(super) users: f64,
    pub(super) memory: Memory,
    pub(super) pressure: Pressure,
    pub(super) disks: Vec<Disk>,
    pub(super) mounts: Vec<Mount>,
    /// As in the model: physical, internal, and at last the loopback.
    pub(super) links: Vec<Link>,
    /// How many of the links are physical.
    pub(super) physical_links: usize,
    pub(super) temperatures: Vec<f64>,
    pub(super) fans: Vec<f64>,
    pub(super) battery_percent: f64,
    pub(super) containers: Vec<Container>,
    pub(super) tasks: Tasks,
    pub(super) failed_units: f64,
    pub(super) interval_ms: f64,
    pub(super) own: Own,
}

/// Shares of processor time in percent: busy is the sum of all but waiting.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cpu {
    pub(super) user: f64,
    pub(super) system: f64,
    pub(super) irq: f64,
    pub(super) steal: f64,
    pub(super) io_wait: f64,
    pub(super) switches: f64,
    pub(super) interrupts: f64,
}

impl Cpu {
    pub(super) fn busy(&self) -> f64 {
        self.user + self.system + self.irq + self.steal
    }
}

/// Bytes, and bytes per second for swapping.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    pub(super) total: f64,
    pub(super) used: f64,
    pub(super) free: f64,
    pub(super) buffers: f64,
    pub(super) cached: f64,
    pub(super) swap_total: f64,
    pub(super) swap_used: f64,
    pub(super) swap_in: f64,
    pub(super) swap_out: f64,
    pub(super) oom_kills: f64,
}

/// Shares of time in percent; full is never above some.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pressure {
    pub(super) cpu_some: f64,
    pub(super) memory_some: f64,
    pub(super) memory_full: f64,
    pub(super) io_some: f64,
    pub(super) io_full: f64,
}

/// Traffic of one disk; the queue is requests per second times the time that each takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Disk {
    pub(super) reads: f64,
    pub(super) writes: f64,
    pub(super) read_bytes: f64,
    pub(super) write_bytes: f64,
    pub(super) utilisation: f64,
    /// Not a number when there was no request.
    pub(super) await_ms: f64,
    pub(super) queue: f64,
}

/// Bytes of one file system.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mount {
    pub(super) total: f64,
    pub(super) used: f64,
    pub(super) available: f64,
    pub(super) inodes: f64,
    pub(super) inodes_percent: f64,
}

impl Mount {
    pub(super) fn used_percent(&self) -> f64 {
        self.used * 100.0 / (self.used + self.available)
    }
}

/// Traffic of one interface in both directions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Link {
    pub(super) received: Traffic,
    pub(super) sent: Traffic,
    pub(super) is_up: bool,
}

/// Per second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    pub(super) bytes: f64,
    pub(super) packets: f64,
    pub(super) errors: f64,
    pub(super) drops: f64,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Container {
    pub(super) cpu_percent: f64,
    pub(super) memory: f64,
    pub(super) received: f64,
    pub(super) sent: f64,
    pub(super) restarts: f64,
}

/// Processes and what they hold open.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tasks {
    pub(super) processes: f64,
    pub(super) threads: f64,
    pub(super) zombies: f64,
    pub(super) running: f64,
    pub(super) blocked: f64,
    pub(super) forks: f64,
    pub(super) files: f64,
}

/// The collector on that machine.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Own {
    pub(super) cpu_percent: f64,
    pub(super) memory: f64,
    pub(super) tick_ms: f64,
    pub(super) scan_ms: f64,
}

impl Vitals {
    /// Room for what a model has.
    pub(super) fn of_model(model: &Model) -> Self {
        let physical_links = model.interfaces.len();
        let links = physical_links + model.internal_interfaces.len() + 1;
        Self {
            cores: vec![0.0; model.cores as usize],
            disks: vec![Disk::default(); model.disks.len()],
            mounts: vec![Mount::default(); model.mounts.len()],
            links: vec![Link::default(); links],
            physical_links,
            temperatures: vec![0.0; model.sensors.len()],
            fans: vec![0.0; model.fans.len()],
            containers: vec![Container::default(); model.containers.len()],
            ..Self::default()
        }
    }
}
