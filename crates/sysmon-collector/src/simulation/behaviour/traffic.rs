//! Disks, file systems, interfaces and containers.

use super::{Behaviour, Part, pages};
use crate::simulation::condition::Troubles;
use crate::simulation::vitals::{Disk, Link, Mount, Traffic, Vitals};

/// The part of a file system that is kept for root, as mkfs.ext4 has it.
const RESERVED: f64 = 0.05;
const SECTOR: f64 = 512.0;
const GIB: f64 = 1_073_741_824.0;
/// Bytes of a file system per inode, as mkfs.ext4 has it.
const BYTES_PER_INODE: f64 = 16_384.0;

/// What a disk is good for.
struct Class {
    service_ms: f64,
    read_bytes: f64,
    write_bytes: f64,
}

impl Class {
    /// By its name.
    fn of(name: &str) -> Self {
        let (service_ms, read_bytes, write_bytes) = if name.starts_with("nvme") {
            (0.09, 18e3, 26e3)
        } else if name.starts_with("sd") {
            (5.5, 180e3, 240e3)
        } else {
            (0.5, 14e3, 20e3)
        };
        Self {
            service_ms,
            read_bytes,
            write_bytes,
        }
    }
}

impl Behaviour {
    pub(super) fn disks(&self, at_ms: i64, demand: f64, troubles: &Troubles, disks: &mut [Disk]) {
        let habits = self.hardware.habits;
        let key = self.key.part(Part::Disks as u64);
        for (index, (disk, name)) in disks.iter_mut().zip(self.hardware.model.disks).enumerate() {
            let class = Class::of(name);
            let key = key.part(index as u64);
            let [first, second, third, fourth] = key.jitter(at_ms);
            let wave = 1.0 + 0.35 * key.part(1).wave(at_ms, 6_000);
            // Only the first disk is the sick one.
            let sick = if index == 0 { troubles.io_wait } else { 0.0 };
            let wanted = habits.disk * demand * wave * key.part(2).between(0.6, 1.15);
            let utilisation = (wanted + (0.985 - wanted) * sick).clamp(0.0, 0.995);
            // A sick disk is busy with little.
            let service_ms = class.service_ms * (1.0 + 30.0 * sick);
            let requests = 1_000.0 * utilisation / service_ms;
            let reads = (requests * habits.disk_reads * (1.0 + 0.15 * first)).max(0.0);
            let writes = (requests - reads).max(0.0);
            let await_ms = service_ms * (1.0 + 0.15 * fourth.abs()) / (1.0 - utilisation.min(0.94));
            *disk = Disk {
                reads,
                writes,
                read_bytes: sectors(reads * class.read_bytes * (1.0 + 0.2 * second)),
                write_bytes: sectors(writes * class.write_bytes * (1.0 + 0.2 * third)),
                utilisation: 100.0 * utilisation,
                await_ms: if reads + writes > 0.05 { await_ms } else { f64::NAN },
                queue: (reads + writes) * await_ms / 1_000.0,
            };
        }
    }

    pub(super) fn mounts(&self, at_ms: i64, troubles: &Troubles, mounts: &mut [Mount]) {
        let model = self.hardware.model;
        let key = self.key.part(Part::Mounts as u64);
        let full = self.key.part(Part::FullMount as u64).index(model.mounts.len());
        for (index, (mount, (_, gib, new_share))) in mounts.iter_mut().zip(model.mounts).enumerate() {
            let key = key.part(index as u64);
            let total = *gib as f64 * GIB;
            let usable = total * (1.0 - RESERVED);
            let share = new_share * key.between(0.7, 1.2)
                + 0.03 * key.part(1).wave(at_ms, 43_200_000)
                // What is written goes on growing until it is rotated.
                + 0.01 * (at_ms + (key.part(2).unit() * 8.64e7) as i64).rem_euclid(86_400_000) as f64 / 8.64e7;
            let filling = if index == full { troubles.disk_full } else { 0.0 };
            let share = (share + (1.0 - share) * filling).clamp(0.02, 1.0);
            let used = pages(usable * share);
            *mount = Mount {
                total,
                used,
                available: pages(usable - used),
                inodes: (total / BYTES_PER_INODE).floor(),
                inodes_percent: 100.0 * share * key.part(3).between(0.05, 0.4),
            };
        }
    }

    pub(super) fn links(&self, at_ms: i64, demand: f64, troubles: &Troubles, vitals: &mut Vitals) {
        let habits = self.hardware.habits;
        let key = self.key.part(Part::Links as u64);
        let physical = vitals.physical_links;
        let last = vitals.links.len() - 1;
        // The first carries most.
        let weights: f64 = (0..physical).map(weight).sum();
        for (index, link) in vitals.links.iter_mut().enumerate() {
            let key = key.part(index as u64);
            let wave = 1.0 + 0.3 * key.part(1).wave(at_ms, 4_000);
            let jitter = key.jitter(at_ms);
            let part = match index {
                index if index < physical => weight(index) / weights,
                index if index < last => 0.4,
                _ => 0.05,
            };
            let scale = self.size * demand * wave * part;
            let received = (300.0 + habits.receive * scale * (1.0 + 0.1 * jitter[0])).floor();
            let sent = (200.0 + habits.transmit * scale * (1.0 + 0.1 * jitter[1])).floor();
            let sent = if index == last { received } else { sent };
            let flapping = if index + 1 == physical {
                troubles.link_flap
            } else {
                0.0
            };
            let is_up = flapping == 0.0 || key.part(2).wave(at_ms, 9_000) > 1.4 * flapping - 1.4;
            *link = if is_up {
                Link {
                    received: traffic(received, 820.0, flapping * (9.0 + 6.0 * jitter[2])),
                    sent: traffic(sent, 760.0, flapping * (2.0 + jitter[3])),
                    is_up,
                }
            } else {
                Link::default()
            };
        }
    }

    pub(super) fn containers(&self, at_ms: i64, boot_ms: i64, vitals: &mut Vitals) {
        const CPU: [f64; 3] = [0.55, 0.25, 0.04];
        const MEMORY: [f64; 3] = [0.3, 0.2, 0.05];
        let key = self.key.part(Part::Containers as u64);
        let cores = f64::from(self.hardware.model.cores);
        let received = vitals.links[0].received.bytes;
        let sent = vitals.links[0].sent.bytes;
        for (index, container) in vitals.containers.iter_mut().enumerate() {
            let wave = 1.0 + 0.2 * key.part(index as u64).wave(at_ms, 10_000);
            let part = CPU[index % CPU.len()] * wave;
            container.cpu_percent = vitals.cpu.user * cores * part;
            container.memory = pages(vitals.memory.used * MEMORY[index % MEMORY.len()]);
            container.received = (received * part).floor();
            container.sent = (sent * part).floor();
            // The second is the one that leaks.
            container.restarts = if index == 1 {
                self.fate.oom_kills(boot_ms, at_ms) as f64
            } else {
                0.0
            };
        }
    }
}

fn weight(index: usize) -> f64 {
    0.45f64.powi(i32::try_from(index).unwrap_or(0))
}

fn traffic(bytes: f64, packet_bytes: f64, errors: f64) -> Traffic {
    Traffic {
        bytes,
        packets: bytes / packet_bytes,
        errors: errors.max(0.0),
        drops: 0.4 * errors.max(0.0),
    }
}

fn sectors(bytes: f64) -> f64 {
    (bytes.max(0.0) / SECTOR).floor() * SECTOR
}
