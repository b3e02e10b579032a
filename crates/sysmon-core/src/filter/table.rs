//! What a filter can ask for: one table, from which parser, completion, printer and the page about filters all live.

use crate::catalogue::{MetricId, Unit};

/// A field with its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldDefinition {
    /// The name in the normal form.
    pub name: &'static str,
    /// Other names that are understood.
    pub aliases: &'static [&'static str],
    /// What it is.
    pub kind: FieldKind,
    /// What a person should know, in one line.
    pub help: &'static str,
}

/// What kind of value a field has, and with it the operators that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A text: `= != ~ !~`, in any case.
    Text(TextField),
    /// `live`, `stale` or `lost`, in this order.
    State,
    /// `ok`, `unknown`, `warning` or `critical`, in this order.
    Health,
    /// Whether there is an alert of a kind: `= !=`; of a rule by a part of its id: `~ !~`.
    Alert,
    /// A number about the machine.
    Number(NumberField),
    /// A metric; in braces, one of its entities.
    Metric {
        /// Without braces.
        whole: MetricId,
        /// With braces; none when there is nothing to name.
        entity: Option<MetricId>,
    },
}

/// A text about a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TextField {
    /// Its name as it calls itself.
    Host,
    /// Its id.
    Id,
    /// Operating system.
    Os,
    /// Kernel release.
    Kernel,
    /// Processor architecture.
    Architecture,
}

/// A number about a machine that is no metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NumberField {
    /// Time since something was last heard of it.
    Age,
    /// Time between two ticks.
    Interval,
    /// Logical processors.
    Cores,
}

impl NumberField {
    pub(super) fn unit(self) -> Unit {
        match self {
            Self::Age | Self::Interval => Unit::Seconds,
            Self::Cores => Unit::Count,
        }
    }
}

/// One row a line, which rustfmt would not leave.
macro_rules! fields {
    ($($name:literal [$($alias:literal),*] $kind:ident $($what:ident $(of $entity:ident)?)?, $help:literal;)*) => {
        /// Every field that has a name of its own. Beside them there are the labels (`label.NAME`, or the bare name where
        /// no field is called so) and the metrics by their names in the catalogue.
        pub const FIELDS: &[FieldDefinition] = &[$(FieldDefinition {
            name: $name,
            aliases: &[$($alias),*],
            kind: fields!(@ $kind $($what $(of $entity)?)?),
            help: $help,
        },)*];
    };
    (@ text $field:ident) => { FieldKind::Text(TextField::$field) };
    (@ number $field:ident) => { FieldKind::Number(NumberField::$field) };
    (@ state) => { FieldKind::State };
    (@ health) => { FieldKind::Health };
    (@ alert) => { FieldKind::Alert };
    (@ metric $whole:ident) => { FieldKind::Metric { whole: MetricId::$whole, entity: None } };
    (@ metric $whole:ident of $entity:ident) => {
        FieldKind::Metric { whole: MetricId::$whole, entity: Some(MetricId::$entity) }
    };
}

fields! {
    "host" ["hostname"] text Host, "Name as the machine calls itself; its id until that is known";
    "id" ["machine"] text Id, "The machine's id";
    "os" [] text Os, "Operating system with its version";
    "kernel" [] text Kernel, "Kernel release";
    "arch" ["architecture"] text Architecture, "Processor architecture";
    "state" [] state, "live, stale or lost; also in this order, as in state >= stale";
    "health" [] health, "ok, unknown, warning or critical; also in this order, as in health >= warning";
    "alert" ["alerts"] alert, "Alerts that fire: any, none, critical, warning, info, acknowledged, unacknowledged, silenced, or the id of a rule; pending for those that do not fire yet";
    "age" ["seen"] number Age, "Time since something was heard of the machine";
    "interval" [] number Interval, "Time between two samples";
    "cores" ["cpus"] number Cores, "Logical processors";
    "cpu" [] metric CpuBusy of CpuCoreBusy, "Busy processors; in braces one core";
    "user" ["cpu.user"] metric CpuUser, "Processor time in programs";
    "system" ["cpu.system"] metric CpuSystem, "Processor time in the kernel";
    "iowait" ["cpu.iowait"] metric CpuIoWait, "Waiting for disks";
    "steal" ["cpu.steal"] metric CpuSteal, "Taken by the hypervisor";
    "load1" ["load"] metric Load1, "Load average over a minute";
    "load5" [] metric Load5, "Load average over five minutes";
    "load15" [] metric Load15, "Load average over fifteen minutes";
    "mem" ["memory", "ram"] metric MemoryUsedPercent, "Memory in use, as a share";
    "mem.used" ["memory.used"] metric MemoryUsed, "Memory in use";
    "mem.available" ["memory.available"] metric MemoryAvailable, "Memory that programs could still get";
    "mem.total" ["memory.total"] metric MemoryTotal, "Physical memory";
    "swap" [] metric SwapUsedPercent, "Swap in use, as a share";
    "swap.used" [] metric SwapUsed, "Swap in use";
    "swap.in" [] metric SwapIn, "Read back from swap";
    "swap.out" [] metric SwapOut, "Written to swap";
    "oom" [] metric OomKills, "Processes killed for want of memory since boot";
    "disk" ["mount"] metric MountWorstPercent of MountUsedPercent, "The fullest file system; in braces one of them";
    "disk.available" ["disk.free", "mount.available"] metric MountAvailable of MountAvailable, "Space left on any file system; in braces on one";
    "inodes" [] metric MountInodesUsedPercent of MountInodesUsedPercent, "Inodes in use on any file system; in braces on one";
    "disk.read" [] metric DiskReadTotal of DiskRead, "Read from all disks; in braces from one";
    "disk.write" [] metric DiskWriteTotal of DiskWrite, "Written to all disks; in braces to one";
    "disk.busy" ["disk.utilisation"] metric DiskUtilisation of DiskUtilisation, "Time in which any disk had something to do; in braces one";
    "disk.await" ["await"] metric DiskAwait of DiskAwait, "Mean time of a request to any disk; in braces to one";
    "net.rx" ["rx", "net.receive"] metric NetworkReceiveTotal of NetworkReceive, "Received; in braces by one interface";
    "net.tx" ["tx", "net.transmit"] metric NetworkTransmitTotal of NetworkTransmit, "Sent; in braces by one interface";
    "psi.cpu" [] metric PressureCpuSome, "Time in which something waited for a processor";
    "psi.mem" ["psi.memory"] metric PressureMemorySome, "Time in which something waited for memory";
    "psi.io" [] metric PressureIoSome, "Time in which something waited for disks";
    "temp" ["temperature"] metric Temperature of Temperature, "Any temperature; in braces one sensor's";
    "battery" [] metric BatteryCharge of BatteryCharge, "Charge of any battery; in braces of one";
    "uptime" [] metric Uptime, "Time since the machine started";
    "users" [] metric UsersLoggedIn, "Login sessions";
    "processes" ["procs"] metric Processes, "Processes";
    "running" [] metric ProcessesRunning, "Tasks that run or could";
    "blocked" [] metric ProcessesBlocked, "Tasks that wait for disks and cannot be woken";
    "zombies" [] metric ProcessesZombie, "Processes that ended and were not reaped";
    "threads" [] metric Threads, "Threads of all processes";
    "files" [] metric FilesOpenPercent, "Open files, as a share of the kernel's limit";
    "failed" ["units.failed"] metric SystemdFailedUnits, "systemd units that failed";
    "skew" [] metric ClockSkew, "How far the machine's clock is ahead";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_name_stands_for_two_things_and_braces_are_only_where_there_is_something_to_name() {
        let mut names: HashSet<&str> = crate::CATALOGUE.iter().map(|row| row.name).collect();
        for row in FIELDS {
            for name in std::iter::once(&row.name).chain(row.aliases) {
                assert!(names.insert(name), "{name}");
                assert_eq!(*name, name.to_lowercase());
            }
            if let FieldKind::Metric { whole, entity } = row.kind {
                let entities = entity.map(|entity| entity.definition().label.is_some());
                assert!(
                    entities.unwrap_or(whole.definition().label.is_none()),
                    "{}",
                    row.name
                );
            }
        }
    }
}
