//! One machine in its parts.

use std::collections::BTreeSet;

use sysmon_api::Machine;
use sysmon_core::{
    Health, MetricId, SeriesKey, Unit, clip, format_duration, format_rate, format_value, sanitize, thresholds,
};

use super::table::{Cell, Table};
use super::{TextStyle, busiest};

const TOP_PROCESSES: usize = 5;

/// Host, processor, memory, then a table each of mounts, disks, interfaces and the busiest processes.
pub(super) fn describe(machine: &Machine, style: TextStyle) -> String {
    let summary: String = [
        host(machine),
        cpu(machine),
        memory(machine),
        swap(machine),
        processes(machine),
    ]
    .into_iter()
    .filter(|line| !line.is_empty())
    .map(|line| format!("{}\n", clip(&line, style.width)))
    .collect();
    let tables = [
        parts(machine, MOUNTS, style),
        parts(machine, DISKS, style),
        parts(machine, INTERFACES, style),
        top(machine).render(style),
    ];
    let tables: String = tables
        .into_iter()
        .filter(|table| !table.is_empty())
        .map(|table| format!("\n{table}"))
        .collect();
    format!("{summary}{tables}")
}

fn host(machine: &Machine) -> String {
    let host = &machine.host;
    let uptime = machine
        .recent
        .value(MetricId::Uptime)
        .map(|seconds| format!("up {}", format_duration(seconds as u64)));
    let processors = match host.cpu_count {
        0 => String::new(),
        count => format!("{count} × {}", host.cpu_model),
    };
    let texts = [
        host.hostname.clone(),
        host.os.clone(),
        host.kernel.clone(),
        processors,
        uptime.unwrap_or_default(),
    ];
    let texts: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    sanitize(&texts.join(" · ")).into_owned()
}

/// A heading and what is known under it: `Memory     used 5.2G · available 18.2G`; empty when nothing is.
fn line(machine: &Machine, heading: &str, values: &[(&str, MetricId)]) -> String {
    let mut line = String::new();
    for (word, metric) in values {
        let Some(value) = machine.recent.value(*metric) else {
            continue;
        };
        // A share and its whole belong together.
        let separator = match *word {
            _ if line.is_empty() => "",
            "of" => " ",
            _ => " · ",
        };
        let value = format_value(value, metric.definition().unit);
        line.push_str(&format!("{separator}{word} {value}"));
    }
    if line.is_empty() {
        line
    } else {
        format!("{heading:<10} {line}")
    }
}

fn cpu(machine: &Machine) -> String {
    let values = [
        ("busy", MetricId::CpuBusy),
        ("user", MetricId::CpuUser),
        ("system", MetricId::CpuSystem),
        ("iowait", MetricId::CpuIoWait),
        ("steal", MetricId::CpuSteal),
        ("irq", MetricId::CpuIrq),
    ];
    let loads: Vec<_> = [MetricId::Load1, MetricId::Load5, MetricId::Load15]
        .into_iter()
        .filter_map(|metric| Some(format!("{:.2}", machine.recent.value(metric)?)))
        .collect();
    let load = if loads.is_empty() {
        String::new()
    } else {
        format!(" · load {}", loads.join(" "))
    };
    format!("{}{load}", line(machine, "Processor", &values))
}

fn memory(machine: &Machine) -> String {
    let values = [
        ("used", MetricId::MemoryUsedPercent),
        ("of", MetricId::MemoryTotal),
        ("available", MetricId::MemoryAvailable),
        ("free", MetricId::MemoryFree),
        ("cached", MetricId::MemoryCached),
        ("buffers", MetricId::MemoryBuffers),
    ];
    line(machine, "Memory", &values)
}

fn swap(machine: &Machine) -> String {
    // The share is absent without swap, and then there is nothing to say.
    if machine.recent.value(MetricId::SwapUsedPercent).is_none() {
        return String::new();
    }
    let values = [
        ("used", MetricId::SwapUsedPercent),
        ("of", MetricId::SwapTotal),
        ("in/s", MetricId::SwapIn),
        ("out/s", MetricId::SwapOut),
    ];
    line(machine, "Swap", &values)
}

fn processes(machine: &Machine) -> String {
    let values = [
        ("all", MetricId::Processes),
        ("running", MetricId::ProcessesRunning),
        ("blocked", MetricId::ProcessesBlocked),
        ("zombies", MetricId::ProcessesZombie),
        ("threads", MetricId::Threads),
    ];
    line(machine, "Processes", &values)
}

/// A kind of part that a machine has several of, and what is said of each.
struct Parts {
    headings: &'static [&'static str],
    metrics: &'static [MetricId],
}

const MOUNTS: Parts = Parts {
    headings: &["MOUNT", "SIZE", "USED", "AVAIL", "USE", "INODES"],
    metrics: &[
        MetricId::MountTotal,
        MetricId::MountUsed,
        MetricId::MountAvailable,
        MetricId::MountUsedPercent,
        MetricId::MountInodesUsedPercent,
    ],
};

const DISKS: Parts = Parts {
    headings: &["DISK", "READ", "WRITTEN", "READS", "WRITES", "BUSY", "AWAIT"],
    metrics: &[
        MetricId::DiskRead,
        MetricId::DiskWrite,
        MetricId::DiskReads,
        MetricId::DiskWrites,
        MetricId::DiskUtilisation,
        MetricId::DiskAwait,
    ],
};

const INTERFACES: Parts = Parts {
    headings: &[
        "INTERFACE",
        "RECEIVED",
        "SENT",
        "RECV ERR",
        "SENT ERR",
        "RECV DROP",
        "SENT DROP",
        "LINK",
    ],
    metrics: &[
        MetricId::NetworkReceive,
        MetricId::NetworkTransmit,
        MetricId::NetworkReceiveErrors,
        MetricId::NetworkTransmitErrors,
        MetricId::NetworkReceiveDrops,
        MetricId::NetworkTransmitDrops,
        MetricId::NetworkLinkUp,
    ],
};

fn parts(machine: &Machine, parts: Parts, style: TextStyle) -> String {
    let names: BTreeSet<&str> = parts
        .metrics
        .iter()
        .flat_map(|metric| machine.recent.of_metric(*metric))
        .map(|(entity, _)| entity)
        .collect();
    let mut table = Table::new(parts.headings, 1);
    for name in names {
        let values = parts.metrics.iter().map(|metric| {
            let Some(value) = machine.recent.value_of(&SeriesKey::of(*metric, name)) else {
                return "–".into();
            };
            let unit = metric.definition().unit;
            let text = match unit {
                Unit::Flag => if value == 0.0 { "down" } else { "up" }.to_owned(),
                _ => format_rate(value, unit),
            };
            let health = thresholds(*metric).map_or(Health::Unknown, |levels| levels.judge(value));
            Cell::judged(text, health)
        });
        table.row(std::iter::once(Cell::from(name)).chain(values).collect());
    }
    table.render(style)
}

fn top(machine: &Machine) -> Table {
    let mut table = Table::new(&["COMMAND", "USER", "PID", "CPU", "MEM", "THREADS"], 2);
    for process in busiest(machine).into_iter().take(TOP_PROCESSES) {
        let command = if process.command.is_empty() {
            format!("[{}]", process.name)
        } else {
            process.command.to_string()
        };
        let cpu = process.cpu_percent.map_or("–".into(), |percent| {
            format_value(percent.into(), Unit::Percent)
        });
        table.row(vec![
            command.into(),
            (&*process.user).into(),
            process.key.pid.to_string().into(),
            cpu.into(),
            format_value(process.memory_bytes as f64, Unit::Bytes).into(),
            process.threads.to_string().into(),
        ]);
    }
    table
}
