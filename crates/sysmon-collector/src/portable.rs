//! The sampler of systems other than Linux: what sysinfo gives, through the same interface.
//!
//! There is no split of processor time, no pressure and no latency of disks; those metrics are absent. On Linux it is
//! compiled for tests only.

mod processes;
mod slow;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use sysinfo::{DiskRefreshKind, Disks, Networks, ProcessRefreshKind, ProcessesToUpdate, System};
use sysmon_core::{CounterWidth, HostInfo, MachineId, MetricId, RateTracker};

use self::processes::ProcessScanner;
use crate::clock::Moment;
use crate::config::{Config, ProcessDetail, Roots};
use crate::recorder::{Entity, Recorder};
use crate::sample::{Plan, Sample, Source};
use crate::slow::{Board, SlowSeries};

pub(crate) use self::slow::{MountProbe, SensorProbe};

/// Interfaces that do not lead out of the machine, or lead through another one.
const INTERNAL: [&str; 9] = [
    "lo",
    "utun",
    "awdl",
    "llw",
    "bridge",
    "vmnet",
    "anpi",
    "Loopback",
    "vEthernet",
];

/// The sampler of this machine.
pub struct Sampler {
    config: Config,
    system: Option<System>,
    networks: Option<Networks>,
    disks: Option<Disks>,
    recorder: Recorder,
    cores: Vec<Entity>,
    interfaces: BTreeMap<String, Row<6>>,
    devices: BTreeMap<String, Row<2>>,
    processes: ProcessScanner,
    board: Arc<Board>,
    slow: SlowSeries,
    host: HostInfo,
    /// When processor time was last read; sysinfo gives its share since then, however long ago that was.
    read_ns: Option<u64>,
    scanned_ns: Option<u64>,
}

/// Series and counters of one entity.
struct Row<const N: usize> {
    entity: Entity,
    tracker: RateTracker<N>,
    present: bool,
}

impl std::fmt::Debug for Sampler {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Sampler")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl Sampler {
    /// A sampler of this machine. The configured roots have no meaning here.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut system = System::new().ok();
        if let Some(system) = &mut system {
            system.refresh_cpu_all();
            system.refresh_memory();
        }
        let disks = Disks::new_with_refreshed_list_specifics(DiskRefreshKind::nothing().with_io_usage());
        Self {
            host: host_info(config, system.as_ref()),
            system,
            networks: Networks::new_with_refreshed_list().ok(),
            disks: disks.ok(),
            recorder: Recorder::default(),
            cores: Vec::new(),
            interfaces: BTreeMap::new(),
            devices: BTreeMap::new(),
            processes: ProcessScanner::new(config),
            board: Arc::default(),
            slow: SlowSeries::default(),
            read_ns: None,
            scanned_ns: None,
            config: config.clone(),
        }
    }

    /// Facts about the host as of the start.
    #[must_use]
    pub fn host(&self) -> &HostInfo {
        &self.host
    }

    /// Reads every counter once and gives nothing, so that the next sample has rates.
    pub fn prime(&mut self, now: Moment, plan: Plan) {
        self.read(now, plan);
        if plan.processes != ProcessDetail::None {
            self.scan(now, plan);
        }
        self.recorder.discard_values();
        self.scanned_ns = None;
    }

    /// Reads one tick.
    pub fn sample(&mut self, now: Moment, plan: Plan) -> Sample {
        let started = Instant::now();
        self.read(now, plan);
        self.slow.time("tick", started.elapsed().as_secs_f64() * 1e3);
        let processes = if plan.is_scan_due(now, self.scanned_ns, self.config.process_interval_ms) {
            let started = Instant::now();
            let table = self.scan(now, plan);
            self.slow.time("processes", started.elapsed().as_secs_f64() * 1e3);
            table
        } else {
            None
        };
        self.slow.record(&self.board, &mut self.recorder);
        if self.host.cpu_count > 0 {
            self.recorder
                .plain(MetricId::CpuCount, f64::from(self.host.cpu_count));
        }
        // With every tick: history tells holes from a slow pace by it.
        self.recorder
            .plain(MetricId::CollectorInterval, f64::from(plan.interval_ms));
        let recorded = self.recorder.finish();
        Sample {
            at: now.unix,
            announced: recorded.announced,
            values: recorded.values,
            retired: recorded.retired,
            processes: processes.map(Arc::new),
            host: None,
            is_burst: false,
        }
    }

    /// Where slow probes leave what they find.
    pub(crate) fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    fn scan(&mut self, now: Moment, plan: Plan) -> Option<sysmon_core::ProcessTable> {
        self.scanned_ns = Some(now.monotonic_ns);
        let gap_ns = Plan::gap_ns(plan.interval_ms.max(self.config.process_interval_ms));
        let system = self.system.as_mut()?;
        self.processes.scan(
            system,
            plan.processes,
            (now.monotonic_ns, gap_ns),
            &mut self.recorder,
        )
    }

    fn read(&mut self, now: Moment, plan: Plan) {
        let gap_ns = Plan::gap_ns(plan.interval_ms);
        let elapsed_ns = self
            .read_ns
            .replace(now.monotonic_ns)
            .map(|last| now.monotonic_ns.saturating_sub(last));
        let has_rates = elapsed_ns.is_some_and(|elapsed_ns| elapsed_ns <= gap_ns);
        self.read_system(has_rates);
        self.read_networks(now.monotonic_ns, gap_ns);
        self.read_disks(now.monotonic_ns, gap_ns);
    }

    fn read_system(&mut self, has_rates: bool) {
        let Some(system) = &mut self.system else { return };
        let recorder = &mut self.recorder;
        let own = sysinfo::get_current_pid().ok();
        system.refresh_cpu_usage();
        system.refresh_memory();
        if let Some(own) = own {
            let kind = ProcessRefreshKind::nothing()
                .with_cpu()
                .with_memory()
                .without_tasks();
            system.refresh_processes_specifics(ProcessesToUpdate::Some(&[own]), false, kind);
        }
        if has_rates {
            recorder.plain(MetricId::CpuBusy, f64::from(system.global_cpu_usage()));
            for (index, cpu) in system.cpus().iter().enumerate() {
                if index == self.cores.len() {
                    self.cores.push(Entity::new(&index.to_string()));
                }
                recorder.entity(
                    &mut self.cores[index],
                    MetricId::CpuCoreBusy,
                    f64::from(cpu.usage()),
                );
            }
        }
        record_memory(system, recorder);
        if let Ok(load) = System::load_average()
            .map_err(drop)
            .and_then(|load| if cfg!(windows) { Err(()) } else { Ok(load) })
        {
            recorder.plain(MetricId::Load1, load.one);
            recorder.plain(MetricId::Load5, load.five);
            recorder.plain(MetricId::Load15, load.fifteen);
        }
        recorder.plain_if(
            MetricId::Uptime,
            System::uptime().ok().map(|seconds| seconds as f64),
        );
        if let Some(process) = own.and_then(|own| system.process(own)) {
            recorder.plain(MetricId::CollectorMemory, process.memory() as f64);
            if has_rates {
                recorder.plain(MetricId::CollectorCpu, f64::from(process.cpu_usage()));
            }
        }
    }

    fn read_networks(&mut self, now_ns: u64, gap_ns: u64) {
        let Some(networks) = &mut self.networks else {
            return;
        };
        networks.refresh(true);
        let mut totals = None;
        for (name, data) in networks.iter() {
            let name = name.to_string_lossy();
            let counters = [
                data.total_received(),
                data.total_packets_received(),
                data.total_errors_on_received(),
                data.total_transmitted(),
                data.total_packets_transmitted(),
                data.total_errors_on_transmitted(),
            ];
            let row = self
                .interfaces
                .entry(name.to_string())
                .or_insert_with(|| Row::new(&name));
            row.present = true;
            let Some(derived) = row.tracker.read(counters, now_ns, gap_ns) else {
                continue;
            };
            let rates = derived.map(|derivation| derivation.per_second().unwrap_or(0.0));
            for (metric, rate) in [
                MetricId::NetworkReceive,
                MetricId::NetworkReceivePackets,
                MetricId::NetworkReceiveErrors,
                MetricId::NetworkTransmit,
                MetricId::NetworkTransmitPackets,
                MetricId::NetworkTransmitErrors,
            ]
            .into_iter()
            .zip(rates)
            {
                self.recorder.entity(&mut row.entity, metric, rate);
            }
            if !INTERNAL.iter().any(|prefix| name.starts_with(prefix)) {
                let (received, sent) = totals.unwrap_or((0.0, 0.0));
                totals = Some((received + rates[0], sent + rates[3]));
            }
        }
        retire(&mut self.interfaces, &mut self.recorder);
        self.recorder.plain_if(
            MetricId::NetworkReceiveTotal,
            totals.map(|(received, _)| received),
        );
        self.recorder
            .plain_if(MetricId::NetworkTransmitTotal, totals.map(|(_, sent)| sent));
    }

    fn read_disks(&mut self, now_ns: u64, gap_ns: u64) {
        let Some(disks) = &mut self.disks else { return };
        disks.refresh_specifics(true, DiskRefreshKind::nothing().with_io_usage());
        let mut totals = None;
        for disk in disks.iter() {
            let name = disk.name().to_string_lossy();
            let row = self
                .devices
                .entry(name.to_string())
                .or_insert_with(|| Row::new(&name));
            // Several file systems of one disk have its counters each.
            if std::mem::replace(&mut row.present, true) {
                continue;
            }
            let usage = disk.usage();
            let counters = [usage.total_read_bytes, usage.total_written_bytes];
            let Some(derived) = row.tracker.read(counters, now_ns, gap_ns) else {
                continue;
            };
            let [read, written] = derived.map(|derivation| derivation.per_second().unwrap_or(0.0));
            self.recorder.entity(&mut row.entity, MetricId::DiskRead, read);
            self.recorder
                .entity(&mut row.entity, MetricId::DiskWrite, written);
            let (all_read, all_written) = totals.unwrap_or((0.0, 0.0));
            totals = Some((all_read + read, all_written + written));
        }
        retire(&mut self.devices, &mut self.recorder);
        self.recorder
            .plain_if(MetricId::DiskReadTotal, totals.map(|(read, _)| read));
        self.recorder
            .plain_if(MetricId::DiskWriteTotal, totals.map(|(_, written)| written));
    }
}

impl Source for Sampler {
    fn prime(&mut self, now: Moment, plan: Plan) {
        Self::prime(self, now, plan);
    }

    fn sample(&mut self, now: Moment, plan: Plan) -> Sample {
        Self::sample(self, now, plan)
    }
}

impl<const N: usize> Row<N> {
    fn new(name: &str) -> Self {
        Self {
            entity: Entity::new(name),
            tracker: RateTracker::new(CounterWidth::Bits64),
            present: false,
        }
    }
}

/// Retires what did not come, and begins the next pass.
fn retire<const N: usize>(rows: &mut BTreeMap<String, Row<N>>, recorder: &mut Recorder) {
    let vanished = rows.extract_if(.., |_, row| !std::mem::replace(&mut row.present, false));
    vanished.for_each(|(_, row)| recorder.retire(row.entity));
}

fn record_memory(system: &System, recorder: &mut Recorder) {
    // sysinfo says 0 for what a system does not tell.
    let known = |bytes: u64| (bytes > 0).then_some(bytes as f64);
    let total = known(system.total_memory());
    let available = known(system.available_memory());
    let used = total
        .zip(available)
        .map(|(total, available)| (total - available).max(0.0));
    recorder.plain_if(MetricId::MemoryTotal, total);
    recorder.plain_if(MetricId::MemoryAvailable, available);
    recorder.plain_if(MetricId::MemoryFree, known(system.free_memory()));
    recorder.plain_if(MetricId::MemoryUsed, used);
    recorder.plain_if(
        MetricId::MemoryUsedPercent,
        used.zip(total).map(|(used, total)| used * 100.0 / total),
    );
    recorder.plain(MetricId::SwapTotal, system.total_swap() as f64);
    recorder.plain(MetricId::SwapUsed, system.used_swap() as f64);
    let share = known(system.total_swap()).map(|total| system.used_swap() as f64 * 100.0 / total);
    recorder.plain_if(MetricId::SwapUsedPercent, share);
}

fn host_info(config: &Config, system: Option<&System>) -> HostInfo {
    let mut labels = config.labels.clone();
    labels.sort();
    let cpus = system.map_or(&[][..], System::cpus);
    let boot_seconds = System::boot_time()
        .ok()
        .and_then(|seconds| i64::try_from(seconds).ok());
    HostInfo {
        hostname: System::host_name().unwrap_or_default(),
        os: System::long_os_version().unwrap_or_else(|_| std::env::consts::OS.to_owned()),
        kernel: System::kernel_version().unwrap_or_default(),
        architecture: System::cpu_arch(),
        cpu_model: cpus
            .first()
            .map(|cpu| cpu.brand().trim().to_owned())
            .unwrap_or_default(),
        cpu_count: u32::try_from(cpus.len()).unwrap_or(u32::MAX),
        memory_bytes: system.map_or(0, System::total_memory),
        boot_unix_ms: boot_seconds.unwrap_or(0).saturating_mul(1_000),
        collector_version: env!("CARGO_PKG_VERSION").to_owned(),
        labels,
    }
}

/// The name under which a machine reports unless told otherwise: its host name.
#[must_use]
pub fn default_machine_id(_: &Roots) -> MachineId {
    crate::machine_id_of(&System::host_name().unwrap_or_default(), || None)
}

#[cfg(test)]
mod tests;
