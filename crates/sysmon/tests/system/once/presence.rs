//! Every metric of the catalogue that this machine can give is there.

use std::collections::BTreeSet;
use std::path::Path;

use sysmon_core::CATALOGUE;

use super::Snapshot;
use crate::support::Home;

/// When a metric must be there.
enum Source {
    /// When this file can be read.
    File(&'static str),
    /// When this file has a line with this word.
    Word(&'static str, &'static str),
    /// When this holds.
    When(fn() -> bool),
    /// Not a matter of the machine: containers run or not, units fail or not, a request came or did not.
    Circumstances,
}

use Source::{Circumstances, File, When, Word};

/// For each metric by the start of its name, the first line that fits, where it comes from.
const SOURCES: &[(&str, Source)] = &[
    ("cpu.", File("/proc/stat")),
    ("load.", File("/proc/loadavg")),
    ("host.uptime_seconds", File("/proc/uptime")),
    ("host.users", When(has_sessions)),
    ("memory.oom_kills_total", Word("/proc/vmstat", "oom_kill")),
    ("memory.", File("/proc/meminfo")),
    ("swap.used_percent", When(has_swap)),
    ("swap.in_", Word("/proc/vmstat", "pswpin")),
    ("swap.out_", Word("/proc/vmstat", "pswpout")),
    ("swap.", File("/proc/meminfo")),
    ("pressure.cpu_some", Word("/proc/pressure/cpu", "some")),
    ("pressure.cpu_full", Word("/proc/pressure/cpu", "full")),
    ("pressure.memory_some", Word("/proc/pressure/memory", "some")),
    ("pressure.memory_full", Word("/proc/pressure/memory", "full")),
    ("pressure.io_some", Word("/proc/pressure/io", "some")),
    ("pressure.io_full", Word("/proc/pressure/io", "full")),
    ("disk.await_ms", Circumstances),
    ("disk.", When(has_disk)),
    ("mount.inodes", Circumstances),
    ("mount.", When(|| true)),
    ("network.link_up", When(has_link)),
    ("network.", File("/proc/net/dev")),
    ("sensor.temperature_celsius", When(has_temperature)),
    ("sensor.fan_rpm", Circumstances),
    ("battery.", Circumstances),
    ("process.", File("/proc/stat")),
    ("file.", File("/proc/sys/fs/file-nr")),
    ("container.", Circumstances),
    ("systemd.failed_units", File("/run/systemd/system")),
    ("systemd.unit_failed", Circumstances),
    ("collector.", When(|| true)),
];

impl Source {
    fn is_there(&self) -> bool {
        match self {
            File(path) => Path::new(path).is_dir() || std::fs::File::open(path).is_ok(),
            Word(path, word) => std::fs::read_to_string(path).is_ok_and(|text| {
                text.lines()
                    .any(|line| line.split_whitespace().next() == Some(word))
            }),
            When(holds) => holds(),
            Circumstances => false,
        }
    }
}

fn entries(path: &str) -> impl Iterator<Item = std::path::PathBuf> {
    std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
}

fn has_sessions() -> bool {
    Path::new("/run/systemd/system").exists() || Path::new("/run/utmp").exists()
}

fn has_swap() -> bool {
    std::fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1)
}

/// A whole disk that has done something since the start.
fn has_disk() -> bool {
    let is_virtual = |name: &str| {
        ["loop", "ram", "zram", "dm-", "md", "sr", "fd"]
            .iter()
            .any(|start| name.starts_with(start))
    };
    entries("/sys/block").any(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let reads = std::fs::read_to_string(path.join("stat")).unwrap_or_default();
        !is_virtual(&name) && reads.split_whitespace().next().is_some_and(|reads| reads != "0")
    })
}

fn has_link() -> bool {
    entries("/sys/class/net").any(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name != "lo" && !name.starts_with("veth") && path.is_dir()
    })
}

fn has_temperature() -> bool {
    entries("/sys/class/hwmon").any(|path| std::fs::read_to_string(path.join("temp1_input")).is_ok())
}

fn source_of(name: &str) -> &'static Source {
    let found = SOURCES.iter().find(|(start, _)| name.starts_with(start));
    &found
        .unwrap_or_else(|| panic!("{name} needs a line in SOURCES"))
        .1
}

#[tokio::test]
async fn every_metric_that_this_machine_can_give_is_there_and_every_one_there_is_of_the_catalogue() {
    let home = Home::new();
    let snapshot = Snapshot::take(&home).await;
    let present: BTreeSet<&str> = snapshot
        .metrics()
        .map(|metric| metric["name"].as_str().unwrap())
        .collect();
    let missing: Vec<&str> = CATALOGUE
        .iter()
        .map(|definition| definition.name)
        .filter(|name| source_of(name).is_there() && !present.contains(name))
        .collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
    for metric in snapshot.metrics() {
        let definition = CATALOGUE
            .iter()
            .find(|definition| metric["name"] == definition.name);
        let definition = definition.unwrap_or_else(|| panic!("{metric} is not in the catalogue"));
        assert_eq!(metric["unit"], definition.unit.word(), "{metric}");
        let labels: Vec<_> = metric["labels"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            labels,
            definition.label.into_iter().collect::<Vec<_>>(),
            "{metric}"
        );
    }
}
