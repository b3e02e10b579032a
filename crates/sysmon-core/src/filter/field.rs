//! What a filter can ask for: one table, from which parser, completion, printer and the page about filters all live.

use std::fmt;

use super::expression::{Operator, is_bare_word, write_quoted};
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

const fn text(
    name: &'static str,
    aliases: &'static [&'static str],
    field: TextField,
    help: &'static str,
) -> FieldDefinition {
    FieldDefinition {
        name,
        aliases,
        kind: FieldKind::Text(field),
        help,
    }
}

const fn number(
    name: &'static str,
    aliases: &'static [&'static str],
    field: NumberField,
    help: &'static str,
) -> FieldDefinition {
    FieldDefinition {
        name,
        aliases,
        kind: FieldKind::Number(field),
        help,
    }
}

const fn metric(
    name: &'static str,
    aliases: &'static [&'static str],
    whole: MetricId,
    entity: Option<MetricId>,
    help: &'static str,
) -> FieldDefinition {
    FieldDefinition {
        name,
        aliases,
        kind: FieldKind::Metric { whole, entity },
        help,
    }
}

use MetricId as M;

/// Every field that has a name of its own. Beside them there are the labels (`label.NAME`, or the bare name where no field
/// is called so) and the metrics by their names in the catalogue.
pub const FIELDS: &[FieldDefinition] = &[
    text(
        "host",
        &["hostname"],
        TextField::Host,
        "Name as the machine calls itself; its id until that is known",
    ),
    text("id", &["machine"], TextField::Id, "The machine's id"),
    text("os", &[], TextField::Os, "Operating system with its version"),
    text("kernel", &[], TextField::Kernel, "Kernel release"),
    text(
        "arch",
        &["architecture"],
        TextField::Architecture,
        "Processor architecture",
    ),
    FieldDefinition {
        name: "state",
        aliases: &[],
        kind: FieldKind::State,
        help: "live, stale or lost; also in this order, as in state >= stale",
    },
    FieldDefinition {
        name: "health",
        aliases: &[],
        kind: FieldKind::Health,
        help: "ok, unknown, warning or critical; also in this order, as in health >= warning",
    },
    FieldDefinition {
        name: "alert",
        aliases: &["alerts"],
        kind: FieldKind::Alert,
        help: "Alerts that fire: any, none, critical, warning, info, acknowledged, unacknowledged, silenced, or the id of a rule; pending for those that do not fire yet",
    },
    number(
        "age",
        &["seen"],
        NumberField::Age,
        "Time since something was heard of the machine",
    ),
    number("interval", &[], NumberField::Interval, "Time between two samples"),
    number("cores", &["cpus"], NumberField::Cores, "Logical processors"),
    metric(
        "cpu",
        &[],
        M::CpuBusy,
        Some(M::CpuCoreBusy),
        "Busy processors; in braces one core",
    ),
    metric(
        "user",
        &["cpu.user"],
        M::CpuUser,
        None,
        "Processor time in programs",
    ),
    metric(
        "system",
        &["cpu.system"],
        M::CpuSystem,
        None,
        "Processor time in the kernel",
    ),
    metric("iowait", &["cpu.iowait"], M::CpuIoWait, None, "Waiting for disks"),
    metric(
        "steal",
        &["cpu.steal"],
        M::CpuSteal,
        None,
        "Taken by the hypervisor",
    ),
    metric("load1", &["load"], M::Load1, None, "Load average over a minute"),
    metric("load5", &[], M::Load5, None, "Load average over five minutes"),
    metric(
        "load15",
        &[],
        M::Load15,
        None,
        "Load average over fifteen minutes",
    ),
    metric(
        "mem",
        &["memory", "ram"],
        M::MemoryUsedPercent,
        None,
        "Memory in use, as a share",
    ),
    metric("mem.used", &["memory.used"], M::MemoryUsed, None, "Memory in use"),
    metric(
        "mem.available",
        &["memory.available"],
        M::MemoryAvailable,
        None,
        "Memory that programs could still get",
    ),
    metric(
        "mem.total",
        &["memory.total"],
        M::MemoryTotal,
        None,
        "Physical memory",
    ),
    metric("swap", &[], M::SwapUsedPercent, None, "Swap in use, as a share"),
    metric("swap.used", &[], M::SwapUsed, None, "Swap in use"),
    metric("swap.in", &[], M::SwapIn, None, "Read back from swap"),
    metric("swap.out", &[], M::SwapOut, None, "Written to swap"),
    metric(
        "oom",
        &[],
        M::OomKills,
        None,
        "Processes killed for want of memory since boot",
    ),
    metric(
        "disk",
        &["mount"],
        M::MountWorstPercent,
        Some(M::MountUsedPercent),
        "The fullest file system; in braces one of them",
    ),
    metric(
        "disk.available",
        &["disk.free", "mount.available"],
        M::MountAvailable,
        Some(M::MountAvailable),
        "Space left on any file system; in braces on one",
    ),
    metric(
        "inodes",
        &[],
        M::MountInodesUsedPercent,
        Some(M::MountInodesUsedPercent),
        "Inodes in use on any file system; in braces on one",
    ),
    metric(
        "disk.read",
        &[],
        M::DiskReadTotal,
        Some(M::DiskRead),
        "Read from all disks; in braces from one",
    ),
    metric(
        "disk.write",
        &[],
        M::DiskWriteTotal,
        Some(M::DiskWrite),
        "Written to all disks; in braces to one",
    ),
    metric(
        "disk.busy",
        &["disk.utilisation"],
        M::DiskUtilisation,
        Some(M::DiskUtilisation),
        "Time in which any disk had something to do; in braces one",
    ),
    metric(
        "disk.await",
        &["await"],
        M::DiskAwait,
        Some(M::DiskAwait),
        "Mean time of a request to any disk; in braces to one",
    ),
    metric(
        "net.rx",
        &["rx", "net.receive"],
        M::NetworkReceiveTotal,
        Some(M::NetworkReceive),
        "Received; in braces by one interface",
    ),
    metric(
        "net.tx",
        &["tx", "net.transmit"],
        M::NetworkTransmitTotal,
        Some(M::NetworkTransmit),
        "Sent; in braces by one interface",
    ),
    metric(
        "psi.cpu",
        &[],
        M::PressureCpuSome,
        None,
        "Time in which something waited for a processor",
    ),
    metric(
        "psi.mem",
        &["psi.memory"],
        M::PressureMemorySome,
        None,
        "Time in which something waited for memory",
    ),
    metric(
        "psi.io",
        &[],
        M::PressureIoSome,
        None,
        "Time in which something waited for disks",
    ),
    metric(
        "temp",
        &["temperature"],
        M::Temperature,
        Some(M::Temperature),
        "Any temperature; in braces one sensor's",
    ),
    metric(
        "battery",
        &[],
        M::BatteryCharge,
        Some(M::BatteryCharge),
        "Charge of any battery; in braces of one",
    ),
    metric("uptime", &[], M::Uptime, None, "Time since the machine started"),
    metric("users", &[], M::UsersLoggedIn, None, "Login sessions"),
    metric("processes", &["procs"], M::Processes, None, "Processes"),
    metric(
        "running",
        &[],
        M::ProcessesRunning,
        None,
        "Tasks that run or could",
    ),
    metric(
        "blocked",
        &[],
        M::ProcessesBlocked,
        None,
        "Tasks that wait for disks and cannot be woken",
    ),
    metric(
        "zombies",
        &[],
        M::ProcessesZombie,
        None,
        "Processes that ended and were not reaped",
    ),
    metric("threads", &[], M::Threads, None, "Threads of all processes"),
    metric(
        "files",
        &[],
        M::FilesOpenPercent,
        None,
        "Open files, as a share of the kernel's limit",
    ),
    metric(
        "failed",
        &["units.failed"],
        M::SystemdFailedUnits,
        None,
        "systemd units that failed",
    ),
    metric(
        "skew",
        &[],
        M::ClockSkew,
        None,
        "How far the machine's clock is ahead",
    ),
];

/// A field as a filter names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Text(TextField),
    /// As it was written; found in any case.
    Label(Box<str>),
    State,
    Health,
    Alert,
    Number(NumberField),
    Metric {
        id: MetricId,
        entity: Option<Box<str>>,
    },
}

/// How a name before an operator is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Field(Field),
    /// No field of this name: a label, if anything.
    Label(Box<str>),
    /// There is such a field, but nothing of it that could be named in braces.
    NoEntities(&'static str),
}

/// The prefix of labels.
pub(super) const LABEL: &str = "label.";

/// Finds what a name means, with the entity that stood in braces behind it.
pub(super) fn find(name: &str, entity: Option<&str>) -> Found {
    let is = |known: &&str| known.eq_ignore_ascii_case(name);
    if let Some(row) = FIELDS
        .iter()
        .find(|row| is(&row.name) || row.aliases.iter().any(is))
    {
        return of_row(row, entity);
    }
    if let Some(definition) = crate::CATALOGUE.iter().find(|row| is(&row.name)) {
        return match (entity, definition.label) {
            (Some(_), None) => Found::NoEntities(definition.name),
            _ => Found::Field(Field::Metric {
                id: definition.id,
                entity: entity.map(Into::into),
            }),
        };
    }
    if entity.is_some() {
        return Found::NoEntities("a label");
    }
    match name.get(..LABEL.len()) {
        Some(prefix) if prefix.eq_ignore_ascii_case(LABEL) && name.len() > LABEL.len() => {
            Found::Field(Field::Label(name[LABEL.len()..].into()))
        }
        _ => Found::Label(name.into()),
    }
}

fn of_row(row: &'static FieldDefinition, entity: Option<&str>) -> Found {
    let field = match (row.kind, entity) {
        (FieldKind::Metric { whole, .. }, None) => Field::Metric {
            id: whole,
            entity: None,
        },
        (FieldKind::Metric { entity: Some(id), .. }, Some(entity)) => Field::Metric {
            id,
            entity: Some(entity.into()),
        },
        (_, Some(_)) => return Found::NoEntities(row.name),
        (FieldKind::Text(field), None) => Field::Text(field),
        (FieldKind::State, None) => Field::State,
        (FieldKind::Health, None) => Field::Health,
        (FieldKind::Alert, None) => Field::Alert,
        (FieldKind::Number(field), None) => Field::Number(field),
    };
    Found::Field(field)
}

impl Field {
    /// The unit of its numbers.
    pub(super) fn unit(&self) -> Unit {
        match self {
            Self::Number(field) => field.unit(),
            Self::Metric { id, .. } => id.definition().unit,
            Self::Text(_) | Self::Label(_) | Self::State | Self::Health | Self::Alert => Unit::Count,
        }
    }

    /// The operators that it takes.
    pub(super) fn operators(&self) -> &'static [Operator] {
        use Operator::{AtLeast, AtMost, Contains, ContainsNot, Equal, Less, More, NotEqual};
        match self {
            Self::Text(_) | Self::Label(_) | Self::Alert => &[Equal, NotEqual, Contains, ContainsNot],
            Self::State | Self::Health => &[Equal, NotEqual, Less, AtMost, More, AtLeast],
            Self::Number(_) | Self::Metric { .. } => &[More, AtLeast, Less, AtMost, Equal, NotEqual],
        }
    }

    /// The name of the field in the normal form, without an entity.
    fn name(&self) -> &str {
        let row = FIELDS.iter().find(|row| match (self, row.kind) {
            (Self::Text(own), FieldKind::Text(field)) => *own == field,
            (Self::State, FieldKind::State)
            | (Self::Health, FieldKind::Health)
            | (Self::Alert, FieldKind::Alert) => true,
            (Self::Number(own), FieldKind::Number(field)) => *own == field,
            (Self::Metric { id, entity: None }, FieldKind::Metric { whole, .. }) => *id == whole,
            (Self::Metric { id, entity: Some(_) }, FieldKind::Metric { entity, .. }) => Some(*id) == entity,
            _ => false,
        });
        match (self, row) {
            (_, Some(row)) => row.name,
            (Self::Metric { id, .. }, None) => id.name(),
            (Self::Label(name), None) => name,
            _ => "",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(name) if !is_bare_word(name) => {
                // Quotes alone say that it is a label.
                write_quoted(formatter, name)
            }
            Self::Label(name) => match find(name, None) {
                Found::Label(_) => formatter.write_str(name),
                _ => write!(formatter, "{LABEL}{name}"),
            },
            Self::Metric {
                entity: Some(entity), ..
            } => {
                write!(formatter, "{}{{", self.name())?;
                let is_plain =
                    !entity.starts_with(['"', '\'']) && !entity.contains('}') && !entity.is_empty();
                if is_plain {
                    formatter.write_str(entity)?;
                } else {
                    write_quoted(formatter, entity)?;
                }
                formatter.write_str("}")
            }
            _ => formatter.write_str(self.name()),
        }
    }
}
