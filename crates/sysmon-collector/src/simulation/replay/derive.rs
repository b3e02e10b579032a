//! From raw readings to the values of the catalogue: the same sums as the probes make of the kernel's files.

use sysmon_core::{Counter, CounterWidth, Derivation, MetricId as M, RateTracker};

use super::table::{Cell, Table};
use crate::recorder::{Entity, Recorded, Recorder};

const SECTOR: f64 = 512.0;
const PAGE: f64 = 4_096.0;
/// A pause longer than this gives no rates.
const GAP_NS: u64 = 15_000_000_000;
const NS_PER_MS: u64 = 1_000_000;
const TICKS: [&str; 8] = [
    "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
];
const DISK: [&str; 8] = [
    "reads",
    "sectors_read",
    "writes",
    "sectors_written",
    "ms_reading",
    "ms_writing",
    "ms_io",
    "ms_weighted",
];
const NET: [&str; 8] = [
    "rx_bytes",
    "rx_packets",
    "rx_errs",
    "rx_drop",
    "tx_bytes",
    "tx_packets",
    "tx_errs",
    "tx_drop",
];
const NET_METRICS: [M; 8] = [
    M::NetworkReceive,
    M::NetworkReceivePackets,
    M::NetworkReceiveErrors,
    M::NetworkReceiveDrops,
    M::NetworkTransmit,
    M::NetworkTransmitPackets,
    M::NetworkTransmitErrors,
    M::NetworkTransmitDrops,
];
/// Interfaces that do not lead out of the machine.
const INTERNAL: [&str; 5] = ["lo", "docker", "veth", "br-", "virbr"];

/// Eight counters of one thing.
#[derive(Debug)]
struct Group {
    places: [usize; 8],
    tracker: RateTracker<8>,
    entity: Entity,
    /// Whether it counts in the totals of the machine.
    is_counted: bool,
}

impl Group {
    /// `None` unless all its columns are there.
    fn find(table: &Table, name: &str, columns: [&str; 8], column: impl Fn(&str) -> String) -> Option<Self> {
        let mut places = [0; 8];
        for (place, part) in places.iter_mut().zip(columns) {
            *place = table.place(&column(part))?;
        }
        Some(Self {
            places,
            tracker: RateTracker::new(CounterWidth::Bits64),
            entity: Entity::new(name),
            is_counted: !INTERNAL.iter().any(|prefix| name.starts_with(prefix)),
        })
    }

    fn read(&mut self, cells: &[Cell], now_ns: u64) -> Option<[Derivation; 8]> {
        let mut values = [0; 8];
        for (value, place) in values.iter_mut().zip(self.places) {
            *value = cells[place].whole()?;
        }
        self.tracker.read(values, now_ns, GAP_NS)
    }
}

/// A column that is a counter by itself.
#[derive(Debug)]
struct Rate {
    metric: M,
    place: usize,
    counter: Counter,
    /// What one step of it counts.
    scale: f64,
}

/// Works through a recording row by row.
#[derive(Debug)]
pub(super) struct Deriver {
    time: usize,
    first_ms: Option<u64>,
    all: Option<Group>,
    cores: Vec<Group>,
    disks: Vec<Group>,
    interfaces: Vec<Group>,
    rates: Vec<Rate>,
    shares: Vec<Rate>,
    gauges: Vec<(M, usize, f64)>,
    memory: Memory,
    memory_bytes: u64,
    recorder: Recorder,
}

/// Columns of memory, in KiB.
#[derive(Debug)]
struct Memory {
    total: Option<usize>,
    available: Option<usize>,
    swap_total: Option<usize>,
    swap_free: Option<usize>,
}

impl Deriver {
    pub(super) fn new(table: &Table) -> Self {
        let ticks = |name: &str| {
            let name = name.to_owned();
            move |part: &str| format!("cpu{name}.{part}_ticks")
        };
        let cores = table
            .between("cpu", ".user_ticks")
            .filter(|core| !core.is_empty())
            .filter_map(|core| Group::find(table, core, TICKS, ticks(core)));
        let disks = table
            .between("disk.", ".reads")
            .filter_map(|name| Group::find(table, name, DISK, |part| format!("disk.{name}.{part}")));
        let interfaces = table
            .between("net.", ".rx_bytes")
            .filter_map(|name| Group::find(table, name, NET, |part| format!("net.{name}.{part}")));
        let rate = |(metric, column, scale): &(M, &str, f64)| {
            Some(Rate {
                metric: *metric,
                place: table.place(column)?,
                counter: Counter::default(),
                scale: *scale,
            })
        };
        let gauge = |(metric, column, scale): &(M, &str, f64)| Some((*metric, table.place(column)?, *scale));
        Self {
            time: table.place("unix_ms").unwrap_or(0),
            first_ms: None,
            all: Group::find(table, "", TICKS, ticks("")),
            cores: cores.collect(),
            disks: disks.collect(),
            interfaces: interfaces.collect(),
            rates: RATES.iter().filter_map(rate).collect(),
            shares: SHARES.iter().filter_map(rate).collect(),
            gauges: GAUGES.iter().filter_map(gauge).collect(),
            memory: Memory {
                total: table.place("mem.MemTotal_kib"),
                available: table.place("mem.MemAvailable_kib"),
                swap_total: table.place("mem.SwapTotal_kib"),
                swap_free: table.place("mem.SwapFree_kib"),
            },
            memory_bytes: 0,
            recorder: Recorder::default(),
        }
    }

    pub(super) fn cpu_count(&self) -> u32 {
        u32::try_from(self.cores.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// The values of the next row.
    pub(super) fn derive(&mut self, cells: &[Cell]) -> Recorded {
        let at_ms = cells[self.time].whole().unwrap_or(0);
        let first_ms = *self.first_ms.get_or_insert(at_ms);
        let now_ns = at_ms.saturating_sub(first_ms).saturating_mul(NS_PER_MS);
        self.processors(cells, now_ns);
        for (metric, place, scale) in &self.gauges {
            let value = cells[*place].decimal().map(|value| value * scale);
            self.recorder.plain_if(*metric, value);
        }
        self.memory(cells);
        for rate in &mut self.rates {
            let value = cells[rate.place]
                .whole()
                .and_then(|value| rate.counter.read(value, now_ns, GAP_NS).per_second());
            self.recorder
                .plain_if(rate.metric, value.map(|value| value * rate.scale));
        }
        for share in &mut self.shares {
            let value = cells[share.place]
                .whole()
                .and_then(|value| share.counter.read(value, now_ns, GAP_NS).per_second());
            // Microseconds of a second.
            self.recorder
                .plain_if(share.metric, value.map(|value| (value / 1e4).min(100.0)));
        }
        self.disks(cells, now_ns);
        self.interfaces(cells, now_ns);
        self.recorder.finish()
    }

    fn processors(&mut self, cells: &[Cell], now_ns: u64) {
        let shares = |group: &mut Group| {
            let spent = group
                .read(cells, now_ns)?
                .map(|derivation| derivation.increase().unwrap_or(0) as f64);
            let total: f64 = spent.iter().sum();
            (total > 0.0).then(|| spent.map(|ticks| ticks * 100.0 / total))
        };
        if let Some([user, nice, system, idle, io_wait, irq, soft_irq, steal]) =
            self.all.as_mut().and_then(shares)
        {
            for (metric, value) in [
                (M::CpuBusy, (100.0 - idle - io_wait).max(0.0)),
                (M::CpuUser, user + nice),
                (M::CpuSystem, system),
                (M::CpuIoWait, io_wait),
                (M::CpuSteal, steal),
                (M::CpuIrq, irq + soft_irq),
            ] {
                self.recorder.plain(metric, value);
            }
        }
        for core in &mut self.cores {
            if let Some([_, _, _, idle, io_wait, ..]) = shares(core) {
                let busy = (100.0 - idle - io_wait).max(0.0);
                self.recorder.entity(&mut core.entity, M::CpuCoreBusy, busy);
            }
        }
    }

    fn memory(&mut self, cells: &[Cell]) {
        let bytes = |place: Option<usize>| Some(cells[place?].whole()? as f64 * 1_024.0);
        let memory = &self.memory;
        let (total, available) = (bytes(memory.total), bytes(memory.available));
        if let Some((total, available)) = total.zip(available) {
            let used = (total - available).max(0.0);
            self.memory_bytes = total as u64;
            self.recorder.plain(M::MemoryUsed, used);
            self.recorder.plain(M::MemoryUsedPercent, used * 100.0 / total);
        }
        let (total, free) = (bytes(memory.swap_total), bytes(memory.swap_free));
        if let Some((total, free)) = total.zip(free) {
            let used = (total - free).max(0.0);
            self.recorder.plain(M::SwapUsed, used);
            // Without swap there is no share of it: 0 / 0 is no number.
            self.recorder.plain(M::SwapUsedPercent, used * 100.0 / total);
        }
    }

    fn disks(&mut self, cells: &[Cell], now_ns: u64) {
        let mut totals = None;
        for disk in &mut self.disks {
            let Some(derived) = disk.read(cells, now_ns) else {
                continue;
            };
            let [reads, read, writes, written, .., busy, in_flight] =
                derived.map(|derivation| derivation.per_second().unwrap_or(0.0));
            let increase = |index: usize| derived[index].increase().unwrap_or(0) as f64;
            let finished = increase(0) + increase(2);
            for (metric, value) in [
                (M::DiskRead, read * SECTOR),
                (M::DiskWrite, written * SECTOR),
                (M::DiskReads, reads),
                (M::DiskWrites, writes),
                (M::DiskUtilisation, (busy / 10.0).min(100.0)),
                (M::DiskQueue, in_flight / 1_000.0),
                // Without a request it is no number.
                (M::DiskAwait, (increase(4) + increase(5)) / finished),
            ] {
                self.recorder.entity(&mut disk.entity, metric, value);
            }
            let (all_read, all_written) = totals.unwrap_or((0.0, 0.0));
            totals = Some((all_read + read * SECTOR, all_written + written * SECTOR));
        }
        self.recorder
            .plain_if(M::DiskReadTotal, totals.map(|(read, _)| read));
        self.recorder
            .plain_if(M::DiskWriteTotal, totals.map(|(_, written)| written));
    }

    fn interfaces(&mut self, cells: &[Cell], now_ns: u64) {
        let mut totals = None;
        for interface in &mut self.interfaces {
            let Some(derived) = interface.read(cells, now_ns) else {
                continue;
            };
            let rates = derived.map(|derivation| derivation.per_second().unwrap_or(0.0));
            for (metric, value) in NET_METRICS.into_iter().zip(rates) {
                self.recorder.entity(&mut interface.entity, metric, value);
            }
            if interface.is_counted {
                let (received, sent) = totals.unwrap_or((0.0, 0.0));
                totals = Some((received + rates[0], sent + rates[4]));
            }
        }
        self.recorder
            .plain_if(M::NetworkReceiveTotal, totals.map(|(received, _)| received));
        self.recorder
            .plain_if(M::NetworkTransmitTotal, totals.map(|(_, sent)| sent));
    }
}

/// Counters of their own, with what one step of them counts.
const RATES: [(M, &str, f64); 5] = [
    (M::ContextSwitches, "ctxt", 1.0),
    (M::Interrupts, "intr", 1.0),
    (M::ProcessForks, "processes", 1.0),
    (M::SwapIn, "vm.pswpin", PAGE),
    (M::SwapOut, "vm.pswpout", PAGE),
];

/// Counters of microseconds, shown as a share of the time.
const SHARES: [(M, &str, f64); 6] = [
    (M::PressureCpuSome, "psi.cpu.some_total", 1.0),
    (M::PressureCpuFull, "psi.cpu.full_total", 1.0),
    (M::PressureMemorySome, "psi.memory.some_total", 1.0),
    (M::PressureMemoryFull, "psi.memory.full_total", 1.0),
    (M::PressureIoSome, "psi.io.some_total", 1.0),
    (M::PressureIoFull, "psi.io.full_total", 1.0),
];

/// What is shown as it was read, times a factor.
const GAUGES: [(M, &str, f64); 12] = [
    (M::Load1, "load1", 1.0),
    (M::Load5, "load5", 1.0),
    (M::Load15, "load15", 1.0),
    (M::MemoryTotal, "mem.MemTotal_kib", 1_024.0),
    (M::MemoryAvailable, "mem.MemAvailable_kib", 1_024.0),
    (M::MemoryFree, "mem.MemFree_kib", 1_024.0),
    (M::MemoryBuffers, "mem.Buffers_kib", 1_024.0),
    (M::MemoryCached, "mem.Cached_kib", 1_024.0),
    (M::SwapTotal, "mem.SwapTotal_kib", 1_024.0),
    (M::OomKills, "vm.oom_kill", 1.0),
    (M::ProcessesRunning, "procs_running", 1.0),
    (M::ProcessesBlocked, "procs_blocked", 1.0),
];
