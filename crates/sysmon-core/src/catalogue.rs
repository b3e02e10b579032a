//! The metric catalogue: one table that says what every metric is, so that collector, wire, history, alerts and
//! screens agree on its name, unit, precision and behaviour under downsampling.

/// What a number counts, in base units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// 0 to 100 per whole (a process may exceed it on several cores).
    Percent,
    /// Bytes, shown in powers of 1024.
    Bytes,
    /// Bytes per second, shown in powers of 1000 as network and disk vendors do.
    BytesPerSecond,
    /// Events per second.
    PerSecond,
    /// A plain number of things.
    Count,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Degrees Celsius.
    Celsius,
    /// Revolutions per minute.
    RevolutionsPerMinute,
    /// 1 for yes, 0 for no.
    Flag,
}

impl Unit {
    /// Every unit with the word used for it on the wire and in JSON.
    pub const WORDS: [(Self, &'static str); 10] = [
        (Self::Percent, "percent"),
        (Self::Bytes, "bytes"),
        (Self::BytesPerSecond, "bytes_per_second"),
        (Self::PerSecond, "per_second"),
        (Self::Count, "count"),
        (Self::Milliseconds, "milliseconds"),
        (Self::Seconds, "seconds"),
        (Self::Celsius, "celsius"),
        (Self::RevolutionsPerMinute, "rpm"),
        (Self::Flag, "flag"),
    ];

    /// The word used on the wire and in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(unit, _)| *unit == self)
            .map_or("count", |(_, word)| word)
    }

    /// The unit of a word; an unknown word counts as [`Unit::Count`], so that a newer peer's metric is still shown.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        Self::WORDS
            .iter()
            .find(|(_, known)| *known == word)
            .map_or(Self::Count, |(unit, _)| *unit)
    }
}

/// What kind of number a metric carries once it has left the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A level at a moment.
    Gauge,
    /// Derived from a counter over the interval that ends at the sample.
    Rate,
    /// A cumulative total that is carried as such, because single events matter (OOM kills).
    Total,
}

/// Which value stands for a bucket of samples in one-line displays; minimum and maximum are always kept beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Downsampling {
    /// The mean, for rates and levels.
    Mean,
    /// The largest, where a short peak is the point.
    Maximum,
    /// The newest, for totals and flags.
    Last,
}

/// One row of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricDefinition {
    /// Which metric this is.
    pub id: MetricId,
    /// Dotted name, unit last; never changed once released.
    pub name: &'static str,
    /// Unit of the values.
    pub unit: Unit,
    /// Gauge, rate or total.
    pub kind: Kind,
    /// The label dimension when a machine has one series per entity.
    pub label: Option<&'static str>,
    /// Digits after the point that are kept on the wire and in rings.
    pub decimals: u8,
    /// What stands for a bucket.
    pub downsampling: Downsampling,
    /// What a person should know, in one line.
    pub help: &'static str,
}

macro_rules! catalogue {
    ($($id:ident $name:literal $unit:ident $kind:ident $label:expr, $decimals:literal $downsampling:ident $help:literal;)*) => {
        /// A metric of the catalogue. The order is that of the table and carries no meaning on the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum MetricId { $(#[doc = $help] $id,)* }

        /// Every known metric, in the order of [`MetricId`].
        pub const CATALOGUE: &[MetricDefinition] = &[$(MetricDefinition {
            id: MetricId::$id,
            name: $name,
            unit: Unit::$unit,
            kind: Kind::$kind,
            label: $label,
            decimals: $decimals,
            downsampling: Downsampling::$downsampling,
            help: $help,
        },)*];
    };
}

const CORE: Option<&str> = Some("core");
const DISK: Option<&str> = Some("disk");
const MOUNT: Option<&str> = Some("mount");
const INTERFACE: Option<&str> = Some("interface");
const SENSOR: Option<&str> = Some("sensor");
const BATTERY: Option<&str> = Some("battery");
const CONTAINER: Option<&str> = Some("container");
const SYSTEMD_UNIT: Option<&str> = Some("unit");
const PROBE: Option<&str> = Some("probe");

catalogue! {
    CpuBusy "cpu.busy_percent" Percent Rate None, 1 Mean "Time not idle and not waiting for I/O, all cores together";
    CpuUser "cpu.user_percent" Percent Rate None, 1 Mean "Time in user code, niced code included";
    CpuSystem "cpu.system_percent" Percent Rate None, 1 Mean "Time in the kernel";
    CpuIoWait "cpu.iowait_percent" Percent Rate None, 1 Mean "Idle time while a request to a disk was pending";
    CpuSteal "cpu.steal_percent" Percent Rate None, 1 Mean "Time that the hypervisor gave to others";
    CpuIrq "cpu.irq_percent" Percent Rate None, 1 Mean "Time in hardware and software interrupts";
    CpuCoreBusy "cpu.core_busy_percent" Percent Rate CORE, 1 Mean "Time not idle and not waiting for I/O, one core";
    ContextSwitches "cpu.context_switches_per_second" PerSecond Rate None, 0 Mean "Context switches, all cores together";
    Interrupts "cpu.interrupts_per_second" PerSecond Rate None, 0 Mean "Interrupts serviced, all cores together";
    CpuCount "cpu.count" Count Gauge None, 0 Last "Logical processors that are online";
    Load1 "load.1m" Count Gauge None, 2 Mean "Load average over one minute";
    Load5 "load.5m" Count Gauge None, 2 Mean "Load average over five minutes";
    Load15 "load.15m" Count Gauge None, 2 Mean "Load average over fifteen minutes";
    Uptime "host.uptime_seconds" Seconds Gauge None, 0 Last "Time since boot";
    UsersLoggedIn "host.users" Count Gauge None, 0 Last "Login sessions";

    MemoryTotal "memory.total_bytes" Bytes Gauge None, 0 Last "Physical memory that the kernel can use";
    MemoryUsed "memory.used_bytes" Bytes Gauge None, 0 Mean "Total less available";
    MemoryUsedPercent "memory.used_percent" Percent Gauge None, 1 Mean "Share of memory that is not available";
    MemoryAvailable "memory.available_bytes" Bytes Gauge None, 0 Mean "What programs could still get without swapping";
    MemoryFree "memory.free_bytes" Bytes Gauge None, 0 Mean "Memory that nothing uses";
    MemoryBuffers "memory.buffers_bytes" Bytes Gauge None, 0 Mean "Block device buffers";
    MemoryCached "memory.cached_bytes" Bytes Gauge None, 0 Mean "Page cache and reclaimable slab, as free counts it";
    SwapTotal "swap.total_bytes" Bytes Gauge None, 0 Last "Swap space";
    SwapUsed "swap.used_bytes" Bytes Gauge None, 0 Mean "Swap space in use";
    SwapUsedPercent "swap.used_percent" Percent Gauge None, 1 Mean "Share of swap in use; absent without swap";
    SwapIn "swap.in_bytes_per_second" BytesPerSecond Rate None, 0 Mean "Read back from swap";
    SwapOut "swap.out_bytes_per_second" BytesPerSecond Rate None, 0 Mean "Written to swap";
    OomKills "memory.oom_kills_total" Count Total None, 0 Last "Processes killed for want of memory since boot";

    PressureCpuSome "pressure.cpu_some_percent" Percent Rate None, 1 Mean "Time that some task waited for a processor";
    PressureCpuFull "pressure.cpu_full_percent" Percent Rate None, 1 Mean "Time that every task waited for a processor";
    PressureMemorySome "pressure.memory_some_percent" Percent Rate None, 1 Mean "Time that some task waited for memory";
    PressureMemoryFull "pressure.memory_full_percent" Percent Rate None, 1 Mean "Time that every task waited for memory";
    PressureIoSome "pressure.io_some_percent" Percent Rate None, 1 Mean "Time that some task waited for I/O";
    PressureIoFull "pressure.io_full_percent" Percent Rate None, 1 Mean "Time that every task waited for I/O";

    DiskRead "disk.read_bytes_per_second" BytesPerSecond Rate DISK, 0 Mean "Read from the device";
    DiskWrite "disk.write_bytes_per_second" BytesPerSecond Rate DISK, 0 Mean "Written to the device";
    DiskReads "disk.reads_per_second" PerSecond Rate DISK, 1 Mean "Read requests completed";
    DiskWrites "disk.writes_per_second" PerSecond Rate DISK, 1 Mean "Write requests completed";
    DiskUtilisation "disk.utilisation_percent" Percent Rate DISK, 1 Mean "Time with at least one request in flight";
    DiskAwait "disk.await_ms" Milliseconds Rate DISK, 2 Mean "Mean time of a request, queueing included; absent when there was none";
    DiskQueue "disk.queue_depth" Count Rate DISK, 2 Mean "Mean number of requests in flight";

    MountTotal "mount.total_bytes" Bytes Gauge MOUNT, 0 Last "Size of the file system";
    MountUsed "mount.used_bytes" Bytes Gauge MOUNT, 0 Last "Used space";
    MountAvailable "mount.available_bytes" Bytes Gauge MOUNT, 0 Last "Space that an ordinary user can still fill";
    MountUsedPercent "mount.used_percent" Percent Gauge MOUNT, 1 Last "Used share of what an ordinary user can have, as df counts it";
    MountInodes "mount.inodes" Count Gauge MOUNT, 0 Last "Inodes; absent where the file system makes them on demand";
    MountInodesUsedPercent "mount.inodes_used_percent" Percent Gauge MOUNT, 1 Last "Share of inodes in use";

    NetworkReceive "network.receive_bytes_per_second" BytesPerSecond Rate INTERFACE, 0 Mean "Received";
    NetworkTransmit "network.transmit_bytes_per_second" BytesPerSecond Rate INTERFACE, 0 Mean "Sent";
    NetworkReceivePackets "network.receive_packets_per_second" PerSecond Rate INTERFACE, 1 Mean "Packets received";
    NetworkTransmitPackets "network.transmit_packets_per_second" PerSecond Rate INTERFACE, 1 Mean "Packets sent";
    NetworkReceiveErrors "network.receive_errors_per_second" PerSecond Rate INTERFACE, 2 Mean "Packets received broken";
    NetworkTransmitErrors "network.transmit_errors_per_second" PerSecond Rate INTERFACE, 2 Mean "Packets that could not be sent";
    NetworkReceiveDrops "network.receive_drops_per_second" PerSecond Rate INTERFACE, 2 Mean "Packets dropped on arrival";
    NetworkTransmitDrops "network.transmit_drops_per_second" PerSecond Rate INTERFACE, 2 Mean "Packets dropped before sending";
    NetworkLinkUp "network.link_up" Flag Gauge INTERFACE, 0 Last "Whether the link has a carrier";
    NetworkReceiveTotal "network.total_receive_bytes_per_second" BytesPerSecond Rate None, 0 Mean "Received on all interfaces that lead out of the machine";
    NetworkTransmitTotal "network.total_transmit_bytes_per_second" BytesPerSecond Rate None, 0 Mean "Sent on all interfaces that lead out of the machine";
    DiskReadTotal "disk.total_read_bytes_per_second" BytesPerSecond Rate None, 0 Mean "Read from all whole disks";
    DiskWriteTotal "disk.total_write_bytes_per_second" BytesPerSecond Rate None, 0 Mean "Written to all whole disks";
    MountWorstPercent "mount.worst_used_percent" Percent Gauge None, 1 Maximum "Used share of the fullest file system";

    Temperature "sensor.temperature_celsius" Celsius Gauge SENSOR, 1 Maximum "Temperature of a sensor";
    Fan "sensor.fan_rpm" RevolutionsPerMinute Gauge SENSOR, 0 Mean "Speed of a fan";
    BatteryCharge "battery.charge_percent" Percent Gauge BATTERY, 1 Last "Charge of a battery";

    Processes "process.count" Count Gauge None, 0 Last "Processes";
    ProcessesRunning "process.running" Count Gauge None, 0 Mean "Tasks running or ready to run";
    ProcessesBlocked "process.blocked" Count Gauge None, 0 Mean "Tasks blocked in uninterruptible I/O";
    ProcessesZombie "process.zombies" Count Gauge None, 0 Last "Processes that ended and were not reaped";
    Threads "process.threads" Count Gauge None, 0 Last "Threads of all processes";
    ProcessForks "process.forks_per_second" PerSecond Rate None, 1 Mean "Processes and threads created";
    FilesOpen "file.open" Count Gauge None, 0 Last "File handles in use";
    FilesOpenPercent "file.open_percent" Percent Gauge None, 2 Last "Share of the kernel's file handle limit in use";

    ContainerCpu "container.cpu_percent" Percent Rate CONTAINER, 1 Mean "Processor time of a container, 100 per core";
    ContainerMemory "container.memory_bytes" Bytes Gauge CONTAINER, 0 Mean "Memory of a container without its page cache";
    ContainerMemoryLimit "container.memory_limit_bytes" Bytes Gauge CONTAINER, 0 Last "Memory limit of a container; absent without one";
    ContainerReceive "container.receive_bytes_per_second" BytesPerSecond Rate CONTAINER, 0 Mean "Received by a container";
    ContainerTransmit "container.transmit_bytes_per_second" BytesPerSecond Rate CONTAINER, 0 Mean "Sent by a container";
    ContainerRunning "container.running" Flag Gauge CONTAINER, 0 Last "Whether the container runs";
    ContainerHealthy "container.healthy" Flag Gauge CONTAINER, 0 Last "Result of the container's health check; absent without one";
    ContainerRestarts "container.restarts_total" Count Total CONTAINER, 0 Last "Restarts of a container by its engine";
    SystemdFailedUnits "systemd.failed_units" Count Gauge None, 0 Last "Units in the failed state";
    SystemdUnitFailed "systemd.unit_failed" Flag Gauge SYSTEMD_UNIT, 0 Last "A unit that is in the failed state";

    CollectorInterval "collector.interval_ms" Milliseconds Gauge None, 0 Maximum "Time between two samples as the collector was told";
    ClockSkew "collector.clock_skew_ms" Milliseconds Gauge None, 0 Mean "How far the machine's clock is ahead of the aggregator's; negative when it is behind";
    CollectorCpu "collector.cpu_percent" Percent Rate None, 2 Mean "Processor time of the collector itself, 100 per core";
    CollectorMemory "collector.memory_bytes" Bytes Gauge None, 0 Last "Resident memory of the collector itself";
    ProbeDuration "collector.probe_ms" Milliseconds Gauge PROBE, 2 Mean "How long a probe took";
    ProbeFailures "collector.probe_failures_total" Count Total PROBE, 0 Last "How often a probe failed or ran into its time limit";
    TicksDropped "collector.ticks_dropped_total" Count Total None, 0 Last "Ticks that were lost because the aggregator was away or too slow";
}

impl MetricId {
    /// The catalogue's row.
    #[must_use]
    pub fn definition(self) -> &'static MetricDefinition {
        &CATALOGUE[self as usize]
    }

    /// The dotted name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.definition().name
    }

    /// The metric of this name. Linear in the table: called when a series is announced, not per sample.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        CATALOGUE
            .iter()
            .find(|definition| definition.name == name)
            .map(|definition| definition.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_row_sits_at_its_own_index_with_its_own_name() {
        let mut names = HashSet::new();
        for (index, definition) in CATALOGUE.iter().enumerate() {
            assert_eq!(definition.id as usize, index);
            assert!(
                names.insert(definition.name),
                "{} is there twice",
                definition.name
            );
            assert_eq!(MetricId::from_name(definition.name), Some(definition.id));
        }
    }

    #[test]
    fn a_name_tells_its_unit() {
        for definition in CATALOGUE {
            let suffix = match definition.unit {
                Unit::Percent => "_percent",
                Unit::Bytes => "_bytes",
                Unit::BytesPerSecond => "bytes_per_second",
                Unit::PerSecond => "_per_second",
                Unit::Milliseconds => "_ms",
                Unit::Seconds => "_seconds",
                Unit::Celsius => "_celsius",
                Unit::RevolutionsPerMinute => "_rpm",
                Unit::Count | Unit::Flag => continue,
            };
            assert!(definition.name.ends_with(suffix), "{}", definition.name);
        }
    }

    #[test]
    fn totals_are_named_totals() {
        for definition in CATALOGUE {
            assert_eq!(
                definition.kind == Kind::Total,
                definition.name.ends_with("_total"),
                "{}",
                definition.name
            );
        }
    }
}
