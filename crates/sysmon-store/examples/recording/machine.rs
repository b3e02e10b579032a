//! A recorded machine as its collector would have reported it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::sync::Arc;

use sysmon_core::{MetricId, SeriesKey, to_scaled};
use sysmon_store::{SeriesEntry, SeriesTable};

use crate::Failure;

const DISK: &str = "vda";
const INTERFACES: [&str; 3] = ["lo", "eth0", "docker0"];

/// One line of a recording.
pub(crate) struct Row(BTreeMap<Arc<str>, f64>);

impl Row {
    fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }

    pub(crate) fn at(&self) -> i64 {
        self.get("unix_ms") as i64
    }
}

type Values = Vec<(SeriesKey, f64)>;

/// What a collector makes of two lines.
fn derive(before: &Row, row: &Row) -> Values {
    let seconds = (row.at() - before.at()) as f64 / 1_000.0;
    let difference = |name: &str| row.get(name) - before.get(name);
    let rate = |name: &str| difference(name) / seconds;
    let mut values: Values = Vec::new();
    let mut put = |metric: MetricId, value: f64| values.push((SeriesKey::plain(metric), value));
    processors(&difference, &mut put);
    put(MetricId::ContextSwitches, rate("ctxt"));
    put(MetricId::Interrupts, rate("intr"));
    put(MetricId::ProcessForks, rate("processes"));
    put(MetricId::ProcessesRunning, row.get("procs_running"));
    put(MetricId::ProcessesBlocked, row.get("procs_blocked"));
    put(MetricId::Load1, row.get("load1"));
    put(MetricId::Load5, row.get("load5"));
    put(MetricId::Load15, row.get("load15"));
    put(MetricId::CollectorInterval, 1_000.0);
    memory(row, &mut put);
    put(MetricId::SwapIn, rate("vm.pswpin") * 4_096.0);
    put(MetricId::SwapOut, rate("vm.pswpout") * 4_096.0);
    put(MetricId::OomKills, row.get("vm.oom_kill"));
    for (metric, name) in [
        (MetricId::PressureCpuSome, "psi.cpu.some_total"),
        (MetricId::PressureCpuFull, "psi.cpu.full_total"),
        (MetricId::PressureMemorySome, "psi.memory.some_total"),
        (MetricId::PressureMemoryFull, "psi.memory.full_total"),
        (MetricId::PressureIoSome, "psi.io.some_total"),
        (MetricId::PressureIoFull, "psi.io.full_total"),
    ] {
        put(metric, rate(name) / 10_000.0);
    }
    put(MetricId::DiskReadTotal, rate("disk.vda.sectors_read") * 512.0);
    put(MetricId::DiskWriteTotal, rate("disk.vda.sectors_written") * 512.0);
    put(MetricId::NetworkReceiveTotal, rate("net.eth0.rx_bytes"));
    put(MetricId::NetworkTransmitTotal, rate("net.eth0.tx_bytes"));
    for core in 0..2 {
        let (busy, total) = busy(&difference, &format!("cpu{core}"));
        values.push((
            SeriesKey::of(MetricId::CpuCoreBusy, &core.to_string()),
            100.0 * busy / total,
        ));
    }
    disk(&rate, &difference, &mut values);
    for interface in INTERFACES {
        for (metric, name) in [
            (MetricId::NetworkReceive, "rx_bytes"),
            (MetricId::NetworkTransmit, "tx_bytes"),
            (MetricId::NetworkReceivePackets, "rx_packets"),
            (MetricId::NetworkTransmitPackets, "tx_packets"),
            (MetricId::NetworkReceiveErrors, "rx_errs"),
            (MetricId::NetworkTransmitErrors, "tx_errs"),
            (MetricId::NetworkReceiveDrops, "rx_drop"),
            (MetricId::NetworkTransmitDrops, "tx_drop"),
        ] {
            values.push((
                SeriesKey::of(metric, interface),
                rate(&format!("net.{interface}.{name}")),
            ));
        }
    }
    values
}

/// Ticks spent busy, and all.
fn busy(difference: &impl Fn(&str) -> f64, cpu: &str) -> (f64, f64) {
    let ticks = |name: &str| difference(&format!("{cpu}.{name}_ticks"));
    let names = [
        "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
    ];
    let total: f64 = names.into_iter().map(ticks).sum();
    (total - ticks("idle") - ticks("iowait"), total.max(1.0))
}

fn processors(difference: &impl Fn(&str) -> f64, put: &mut impl FnMut(MetricId, f64)) {
    let ticks = |name: &str| difference(&format!("cpu.{name}_ticks"));
    let (busy, total) = busy(difference, "cpu");
    for (metric, spent) in [
        (MetricId::CpuBusy, busy),
        (MetricId::CpuUser, ticks("user") + ticks("nice")),
        (MetricId::CpuSystem, ticks("system")),
        (MetricId::CpuIoWait, ticks("iowait")),
        (MetricId::CpuSteal, ticks("steal")),
        (MetricId::CpuIrq, ticks("irq") + ticks("softirq")),
    ] {
        put(metric, 100.0 * spent / total);
    }
}

fn memory(row: &Row, put: &mut impl FnMut(MetricId, f64)) {
    let bytes = |name: &str| row.get(&format!("mem.{name}_kib")) * 1_024.0;
    let (total, available) = (bytes("MemTotal"), bytes("MemAvailable"));
    put(MetricId::MemoryTotal, total);
    put(MetricId::MemoryAvailable, available);
    put(MetricId::MemoryUsed, total - available);
    put(MetricId::MemoryUsedPercent, 100.0 * (total - available) / total);
    put(MetricId::MemoryFree, bytes("MemFree"));
    put(MetricId::MemoryBuffers, bytes("Buffers"));
    put(MetricId::MemoryCached, bytes("Cached"));
    put(MetricId::SwapTotal, bytes("SwapTotal"));
    put(MetricId::SwapUsed, bytes("SwapTotal") - bytes("SwapFree"));
}

fn disk(rate: &impl Fn(&str) -> f64, difference: &impl Fn(&str) -> f64, values: &mut Values) {
    let name = |name: &str| format!("disk.{DISK}.{name}");
    let requests = difference(&name("reads")) + difference(&name("writes"));
    let spent_ms = difference(&name("ms_reading")) + difference(&name("ms_writing"));
    let mut put = |metric: MetricId, value: f64| values.push((SeriesKey::of(metric, DISK), value));
    put(MetricId::DiskRead, rate(&name("sectors_read")) * 512.0);
    put(MetricId::DiskWrite, rate(&name("sectors_written")) * 512.0);
    put(MetricId::DiskReads, rate(&name("reads")));
    put(MetricId::DiskWrites, rate(&name("writes")));
    put(
        MetricId::DiskUtilisation,
        (rate(&name("ms_io")) / 10.0).min(100.0),
    );
    put(MetricId::DiskQueue, rate(&name("ms_weighted")) / 1_000.0);
    if requests > 0.0 {
        put(MetricId::DiskAwait, spent_ms / requests);
    }
}

pub(crate) fn read(path: &str) -> Result<Vec<Row>, Failure> {
    let mut lines = BufReader::new(std::fs::File::open(path)?).lines();
    let names: Vec<Arc<str>> = lines
        .next()
        .ok_or("the recording is empty")??
        .split(',')
        .map(Arc::from)
        .collect();
    let row = |line: Result<String, std::io::Error>| -> Result<Row, Failure> {
        let line = line?;
        let values = line.split(',').map(str::parse).collect::<Result<Vec<f64>, _>>()?;
        Ok(Row(names.iter().cloned().zip(values).collect()))
    };
    lines.map(row).collect()
}

/// The recording as scaled ticks, repeated for so many seconds; once for 0.
pub(crate) fn ticks(rows: &[Row], seconds: usize) -> (Arc<SeriesTable>, Vec<Vec<(u32, i64)>>) {
    let mut numbers: BTreeMap<SeriesKey, u32> = BTreeMap::new();
    let mut ticks: Vec<Vec<(u32, i64)>> = Vec::new();
    for pair in rows.windows(2) {
        let mut tick = Vec::new();
        for (key, value) in derive(&pair[0], &pair[1]) {
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            let decimals = key
                .metric
                .definition()
                .map_or(0, |definition| definition.decimals);
            let number = *numbers.entry(key).or_insert(next);
            tick.extend(to_scaled(value, decimals).map(|value| (number, value)));
        }
        tick.sort_unstable();
        ticks.push(tick);
    }
    let entry = |(key, number): (SeriesKey, u32)| {
        let decimals = key
            .metric
            .definition()
            .map_or(0, |definition| definition.decimals);
        let key = Arc::new(key);
        (number, SeriesEntry { key, decimals })
    };
    let table = SeriesTable::new(numbers.into_iter().map(entry).collect());
    if seconds > 0 {
        ticks = ticks.iter().cycle().take(seconds).cloned().collect();
    }
    (Arc::new(table), ticks)
}
