//! What belongs into which panel: one place for every metric that collectors measure.

use sysmon_core::MetricId;

use super::Panel;

/// Everything of a panel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contents {
    pub(crate) tables: &'static [Table],
    pub(crate) facts: &'static [Fact],
    /// Whether the facts stand before the tables.
    pub(crate) begins_with_facts: bool,
    /// Whether the cores are shown first.
    pub(crate) has_cores: bool,
}

/// A row per entity.
#[derive(Debug)]
pub(crate) struct Table {
    /// The heading over the names.
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [Column],
    /// The metric whose line of the past stands at the end of each row.
    pub(crate) line: Option<Line>,
    /// The metric by which rows are ordered, largest first; by name without.
    pub(crate) largest_first: Option<MetricId>,
}

/// What a line of the past shows, and its scale at least.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) metric: MetricId,
    pub(crate) full_at_least: f64,
}

/// A number per entity.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) heading: &'static str,
    pub(crate) metric: MetricId,
    pub(crate) width: u16,
}

/// A number that a machine has once.
#[derive(Debug)]
pub(crate) struct Fact {
    pub(crate) name: &'static str,
    pub(crate) metric: MetricId,
}

const fn column(heading: &'static str, metric: MetricId, width: u16) -> Column {
    Column {
        heading,
        metric,
        width,
    }
}

const fn fact(name: &'static str, metric: MetricId) -> Fact {
    Fact { name, metric }
}

const fn line(metric: MetricId, full_at_least: f64) -> Option<Line> {
    Some(Line {
        metric,
        full_at_least,
    })
}

use MetricId as M;

const CPU: &[Fact] = &[
    fact("user", M::CpuUser),
    fact("system", M::CpuSystem),
    fact("waiting for I/O", M::CpuIoWait),
    fact("steal", M::CpuSteal),
    fact("interrupts", M::CpuIrq),
    fact("busy", M::CpuBusy),
    fact("load 1 min", M::Load1),
    fact("load 5 min", M::Load5),
    fact("load 15 min", M::Load15),
    fact("cores online", M::CpuCount),
    fact("switches/s", M::ContextSwitches),
    fact("interrupts/s", M::Interrupts),
    fact("up for", M::Uptime),
    fact("sessions", M::UsersLoggedIn),
];

const MEMORY: &[Fact] = &[
    fact("used", M::MemoryUsed),
    fact("used share", M::MemoryUsedPercent),
    fact("available", M::MemoryAvailable),
    fact("free", M::MemoryFree),
    fact("cached", M::MemoryCached),
    fact("buffers", M::MemoryBuffers),
    fact("total", M::MemoryTotal),
    fact("OOM kills", M::OomKills),
    fact("swap used", M::SwapUsed),
    fact("swap share", M::SwapUsedPercent),
    fact("swap total", M::SwapTotal),
    fact("swapped in/s", M::SwapIn),
    fact("swapped out/s", M::SwapOut),
];

const NETWORK: &[Table] = &[Table {
    name: "INTERFACE",
    columns: &[
        column("IN", M::NetworkReceive, 6),
        column("OUT", M::NetworkTransmit, 6),
        column("PKT IN", M::NetworkReceivePackets, 6),
        column("OUT", M::NetworkTransmitPackets, 6),
        column("ERR IN", M::NetworkReceiveErrors, 6),
        column("OUT", M::NetworkTransmitErrors, 5),
        column("DROP IN", M::NetworkReceiveDrops, 7),
        column("OUT", M::NetworkTransmitDrops, 5),
        column("LINK", M::NetworkLinkUp, 4),
    ],
    line: line(M::NetworkReceive, 10_000.0),
    largest_first: None,
}];

const NETWORK_FACTS: &[Fact] = &[
    fact("received in all", M::NetworkReceiveTotal),
    fact("sent in all", M::NetworkTransmitTotal),
];

const DISKS: &[Table] = &[Table {
    name: "DISK",
    columns: &[
        column("READ", M::DiskRead, 6),
        column("WRITE", M::DiskWrite, 6),
        column("READS/s", M::DiskReads, 7),
        column("WRITES/s", M::DiskWrites, 8),
        column("UTIL", M::DiskUtilisation, 5),
        column("AWAIT", M::DiskAwait, 7),
        column("QUEUE", M::DiskQueue, 5),
    ],
    line: line(M::DiskUtilisation, 100.0),
    largest_first: None,
}];

const DISK_FACTS: &[Fact] = &[
    fact("read in all", M::DiskReadTotal),
    fact("written in all", M::DiskWriteTotal),
];

const MOUNTS: &[Table] = &[Table {
    name: "MOUNT",
    columns: &[
        column("USED%", M::MountUsedPercent, 5),
        column("USED", M::MountUsed, 6),
        column("FREE", M::MountAvailable, 6),
        column("SIZE", M::MountTotal, 6),
        column("INODES%", M::MountInodesUsedPercent, 7),
        column("INODES", M::MountInodes, 6),
    ],
    line: line(M::MountUsedPercent, 100.0),
    largest_first: Some(M::MountUsedPercent),
}];

const MOUNT_FACTS: &[Fact] = &[fact("the fullest", M::MountWorstPercent)];

const PRESSURE: &[Fact] = &[
    fact("cpu, some wait", M::PressureCpuSome),
    fact("cpu, all wait", M::PressureCpuFull),
    fact("memory, some wait", M::PressureMemorySome),
    fact("memory, all wait", M::PressureMemoryFull),
    fact("I/O, some wait", M::PressureIoSome),
    fact("I/O, all wait", M::PressureIoFull),
];

const UNITS: &[Table] = &[Table {
    name: "UNIT",
    columns: &[column("STATE", M::SystemdUnitFailed, 7)],
    line: None,
    largest_first: None,
}];

const UNIT_FACTS: &[Fact] = &[fact("units failed", M::SystemdFailedUnits)];

const SENSORS: &[Table] = &[
    Table {
        name: "SENSOR",
        columns: &[column("TEMP", M::Temperature, 6)],
        line: line(M::Temperature, 100.0),
        largest_first: Some(M::Temperature),
    },
    Table {
        name: "FAN",
        columns: &[column("RPM", M::Fan, 6)],
        line: line(M::Fan, 1_000.0),
        largest_first: None,
    },
    Table {
        name: "BATTERY",
        columns: &[column("CHARGE", M::BatteryCharge, 6)],
        line: line(M::BatteryCharge, 100.0),
        largest_first: None,
    },
];

const CONTAINERS: &[Table] = &[Table {
    name: "CONTAINER",
    columns: &[
        column("RUNS", M::ContainerRunning, 7),
        column("CHECK", M::ContainerHealthy, 6),
        column("CPU", M::ContainerCpu, 5),
        column("MEM", M::ContainerMemory, 6),
        column("LIMIT", M::ContainerMemoryLimit, 6),
        column("IN", M::ContainerReceive, 6),
        column("OUT", M::ContainerTransmit, 6),
        column("STARTS", M::ContainerRestarts, 6),
    ],
    line: line(M::ContainerCpu, 100.0),
    largest_first: Some(M::ContainerCpu),
}];

const PROCESSES: &[Fact] = &[
    fact("processes", M::Processes),
    fact("threads", M::Threads),
    fact("running", M::ProcessesRunning),
    fact("blocked", M::ProcessesBlocked),
    fact("zombies", M::ProcessesZombie),
    fact("forks/s", M::ProcessForks),
    fact("files open", M::FilesOpen),
    fact("of the limit", M::FilesOpenPercent),
];

const COLLECTOR: &[Table] = &[Table {
    name: "PROBE",
    columns: &[
        column("TOOK", M::ProbeDuration, 7),
        column("FAILED", M::ProbeFailures, 6),
    ],
    line: line(M::ProbeDuration, 1.0),
    largest_first: Some(M::ProbeDuration),
}];

const COLLECTOR_FACTS: &[Fact] = &[
    fact("measures every", M::CollectorInterval),
    fact("clock ahead by", M::ClockSkew),
    fact("processor time", M::CollectorCpu),
    fact("memory", M::CollectorMemory),
    fact("ticks dropped", M::TicksDropped),
];

impl Panel {
    /// What belongs into the panel.
    pub(crate) fn contents(self) -> Contents {
        let (tables, facts): (&'static [Table], &'static [Fact]) = match self {
            Self::Cpu => (&[], CPU),
            Self::Memory => (&[], MEMORY),
            Self::Network => (NETWORK, NETWORK_FACTS),
            Self::Disks => (DISKS, DISK_FACTS),
            Self::Mounts => (MOUNTS, MOUNT_FACTS),
            Self::Pressure => (&[], PRESSURE),
            Self::Units => (UNITS, UNIT_FACTS),
            Self::Sensors => (SENSORS, &[]),
            Self::Containers => (CONTAINERS, &[]),
            Self::Processes => (&[], PROCESSES),
            Self::Collector => (COLLECTOR, COLLECTOR_FACTS),
        };
        Contents {
            tables,
            facts,
            begins_with_facts: matches!(self, Self::Collector | Self::Units),
            has_cores: self == Self::Cpu,
        }
    }
}
