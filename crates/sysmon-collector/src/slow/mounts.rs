//! File systems: how full they are, and their inodes (proc_pid_mounts(5), statvfs(3)).
//!
//! A file server that went away blocks whoever asks for its file system, for ever if need be. So a thread asks for
//! one mount after the other; when it gets stuck it is left behind with that mount, and another one goes on.

mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use sysmon_core::MetricId;

use self::table::{Mount, parse};
use super::{ProbeError, Reading, SlowProbe};
use crate::config::Roots;
use crate::file::{Buffer, KeptFile};

/// How long one mount may take to answer.
const LIMIT: Duration = Duration::from_secs(2);
/// The most mounts that may hang at a time; with more, the rest are not asked any more.
const STUCK_MAX: usize = 16;
/// The most mounts that are followed.
const MOUNTS_MAX: usize = 256;

/// How full a file system is, in bytes and inodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    total: u64,
    used: u64,
    /// What an ordinary user can still fill.
    available: u64,
    /// 0 where inodes are made on demand.
    inodes: u64,
    inodes_free: u64,
}

/// Asks for the usage of the file system at a path; `None` when there is no directory or no answer to be had.
type Ask = Arc<dyn Fn(&Path) -> Option<Usage> + Send + Sync>;

/// Follows the mounts.
pub(crate) struct MountProbe {
    tables: [KeptFile; 2],
    roots: Roots,
    ask: Ask,
    limit: Duration,
    /// Mounts that did not answer yet, with whether their thread is still waiting.
    stuck: BTreeMap<PathBuf, Arc<AtomicBool>>,
}

impl MountProbe {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self::with(roots, Arc::new(usage), LIMIT)
    }

    fn with(roots: &Roots, ask: Ask, limit: Duration) -> Self {
        // In a container the mounts of process 1 of the watched machine are meant, not those of the container.
        let [first, second] = if roots.is_native() {
            ["self/mounts", "mounts"]
        } else {
            ["1/mounts", "mounts"]
        };
        let tables = [
            KeptFile::new(roots.proc.join(first)),
            KeptFile::new(roots.proc.join(second)),
        ];
        Self {
            tables,
            roots: roots.clone(),
            ask,
            limit,
            stuck: BTreeMap::new(),
        }
    }

    /// The usage of every path that answers in time, in the same order.
    fn measure(&mut self, paths: &[PathBuf]) -> Vec<Option<Usage>> {
        self.stuck.retain(|_, waiting| waiting.load(Ordering::Acquire));
        let mut answers = vec![None; paths.len()];
        let mut open: Vec<usize> = (0..paths.len())
            .filter(|index| !self.stuck.contains_key(&paths[*index]))
            .collect();
        while !open.is_empty() && self.stuck.len() < STUCK_MAX {
            let asked: Vec<(usize, PathBuf)> =
                open.iter().map(|index| (*index, paths[*index].clone())).collect();
            // As many places as answers: a thread that was left behind never waits for anybody to read them.
            let (sender, receiver) = sync_channel(asked.len());
            let waiting = Arc::new(AtomicBool::new(true));
            if start(&self.ask, asked, sender, &waiting).is_err() {
                break;
            }
            let mut answered = 0;
            let hangs = loop {
                match receiver.recv_timeout(self.limit) {
                    Ok((index, usage)) => {
                        answers[index] = usage;
                        answered += 1;
                    }
                    Err(RecvTimeoutError::Timeout) => break true,
                    Err(RecvTimeoutError::Disconnected) => break false,
                }
            };
            if !hangs {
                break;
            }
            tracing::warn!(mount = %paths[open[answered]].display(), "a file system does not answer");
            self.stuck.insert(paths[open[answered]].clone(), waiting);
            open.drain(..=answered);
        }
        answers
    }
}

/// Asks for one path after the other on a new thread, until one hangs: by the time that it returns somebody else has
/// asked for the rest.
fn start(
    ask: &Ask,
    paths: Vec<(usize, PathBuf)>,
    sender: SyncSender<(usize, Option<Usage>)>,
    waiting: &Arc<AtomicBool>,
) -> std::io::Result<()> {
    let (ask, waiting) = (Arc::clone(ask), Arc::clone(waiting));
    let work = move || {
        for (index, path) in paths {
            let usage = ask(&path);
            if sender.send((index, usage)).is_err() {
                break;
            }
        }
        waiting.store(false, Ordering::Release);
    };
    std::thread::Builder::new()
        .name("probe-mount".into())
        .stack_size(128 << 10)
        .spawn(work)
        .map(drop)
}

impl SlowProbe for MountProbe {
    fn run(&mut self) -> Result<Vec<Reading>, ProbeError> {
        let mut buffer = Buffer::default();
        let text = match self.tables[0].read(&mut buffer) {
            Some(text) => text.to_vec(),
            None => self.tables[1].read(&mut buffer).unwrap_or_default().to_vec(),
        };
        if text.is_empty() {
            return Err(ProbeError::Failed(
                "there is no list of mounts below the proc file system".into(),
            ));
        }
        let mut mounts = parse(&text);
        mounts.truncate(MOUNTS_MAX);
        let paths: Vec<PathBuf> = mounts.iter().map(|mount| self.roots.path(&mount.point)).collect();
        let usages = self.measure(&paths);
        let mut readings = Vec::new();
        let mut worst: Option<f64> = None;
        for ((mount, path), usage) in mounts.iter().zip(&paths).zip(usages) {
            match usage {
                Some(usage) => {
                    let percent = record(mount, usage, &mut readings);
                    // Nobody fills what cannot be written to.
                    if let Some(percent) = percent.filter(|_| !mount.read_only) {
                        worst = Some(worst.map_or(percent, |worst| worst.max(percent)));
                    }
                }
                None if self.stuck.contains_key(path) => {
                    readings.push(Reading::silent(MetricId::MountUsed, &mount.point));
                }
                None => {}
            }
        }
        readings.extend(worst.map(|worst| Reading::plain(MetricId::MountWorstPercent, worst)));
        Ok(readings)
    }
}

/// Adds the readings of one mount; gives its used share.
fn record(mount: &Mount, usage: Usage, readings: &mut Vec<Reading>) -> Option<f64> {
    if usage.total == 0 {
        return None;
    }
    let mut add = |metric, value: f64| readings.push(Reading::of(metric, &mount.point, value));
    add(MetricId::MountTotal, usage.total as f64);
    add(MetricId::MountUsed, usage.used as f64);
    add(MetricId::MountAvailable, usage.available as f64);
    let percent = share(usage.used, usage.used.saturating_add(usage.available));
    if let Some(percent) = percent {
        add(MetricId::MountUsedPercent, percent);
    }
    if let Some(percent) = share(usage.inodes.saturating_sub(usage.inodes_free), usage.inodes) {
        add(MetricId::MountInodes, usage.inodes as f64);
        add(MetricId::MountInodesUsedPercent, percent);
    }
    percent
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

fn usage(path: &Path) -> Option<Usage> {
    // Containers mount single files over their own.
    if !path.is_dir() {
        return None;
    }
    let statistics = rustix::fs::statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(statistics.f_frsize);
    Some(Usage {
        total: bytes(statistics.f_blocks),
        used: bytes(statistics.f_blocks.saturating_sub(statistics.f_bfree)),
        available: bytes(statistics.f_bavail),
        inodes: statistics.f_files,
        inodes_free: statistics.f_ffree,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::testing::Bench;
    use std::sync::{Condvar, Mutex};

    const MOUNTS: &str = "/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /data xfs rw 0 0\nserver:/x /nfs nfs4 rw 0 0\n/dev/sr1 /ro ext4 ro,noatime 0 0\n";

    /// File systems by the end of their path; `/nfs` answers only once it is let go.
    fn made_up(nfs: Arc<(Mutex<bool>, Condvar)>) -> Ask {
        Arc::new(move |path| {
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            if name == "nfs" {
                let (answers, changed) = &*nfs;
                let guard = answers.lock().unwrap();
                drop(changed.wait_while(guard, |answers| !*answers).unwrap());
            }
            let used = match name.as_str() {
                "data" => 90,
                "ro" => 100,
                _ => 40,
            };
            Some(Usage {
                total: 110,
                used,
                available: 100 - used,
                inodes: 10,
                inodes_free: 5,
            })
        })
    }

    fn probe(bench: &Bench, nfs: &Arc<(Mutex<bool>, Condvar)>) -> MountProbe {
        bench.write("proc/1/mounts", MOUNTS);
        MountProbe::with(
            &bench.roots(),
            made_up(Arc::clone(nfs)),
            Duration::from_millis(20),
        )
    }

    fn percent(readings: &[Reading], mount: &str) -> Option<f64> {
        let wanted = |reading: &&Reading| {
            reading.metric == MetricId::MountUsedPercent && reading.entity.as_deref() == Some(mount)
        };
        readings.iter().find(wanted)?.value
    }

    #[test]
    fn a_mount_that_hangs_silences_only_itself_and_costs_one_thread() {
        let bench = Bench::new();
        let nfs = Arc::new((Mutex::new(false), Condvar::new()));
        let mut probe = probe(&bench, &nfs);
        for _ in 0..3 {
            let readings = probe.run().unwrap();
            assert_eq!(percent(&readings, "/data"), Some(90.0));
            assert_eq!(
                percent(&readings, "/ro"),
                Some(100.0),
                "behind the one that hangs"
            );
            assert!(
                readings.contains(&Reading::silent(MetricId::MountUsed, "/nfs")),
                "it still exists"
            );
            assert!(
                readings.contains(&Reading::plain(MetricId::MountWorstPercent, 90.0)),
                "what is writable counts"
            );
            assert_eq!(probe.stuck.len(), 1);
        }
        *nfs.0.lock().unwrap() = true;
        nfs.1.notify_all();
        let waiting = Arc::clone(probe.stuck.values().next().unwrap());
        while waiting.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        assert_eq!(
            percent(&probe.run().unwrap(), "/nfs"),
            Some(40.0),
            "it is asked again once it has answered"
        );
        assert!(probe.stuck.is_empty());
    }

    #[test]
    fn inodes_and_shares_are_those_of_df() {
        let bench = Bench::new();
        bench.write(
            "proc/1/mounts",
            "/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /b btrfs rw 0 0\n",
        );
        let ask: Ask = Arc::new(|path| {
            let inodes = if path.ends_with("b") { 0 } else { 8 };
            Some(Usage {
                total: 1_000,
                used: 450,
                available: 450,
                inodes,
                inodes_free: inodes / 4,
            })
        });
        let readings = MountProbe::with(&bench.roots(), ask, LIMIT).run().unwrap();
        assert_eq!(
            percent(&readings, "/"),
            Some(50.0),
            "of what an ordinary user can have"
        );
        let inodes: Vec<_> = readings
            .iter()
            .filter(|reading| reading.metric == MetricId::MountInodesUsedPercent)
            .collect();
        assert_eq!(
            inodes,
            [&Reading::of(MetricId::MountInodesUsedPercent, "/", 75.0)]
        );
    }

    #[test]
    fn this_machines_root_is_what_df_says() {
        let readings = MountProbe::new(&Roots::default()).run().unwrap();
        let output = std::process::Command::new("df")
            .args(["--block-size=1", "--output=size,used", "/"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let expected: Vec<f64> = text
            .lines()
            .nth(1)
            .unwrap()
            .split_whitespace()
            .map(|word| word.parse().unwrap())
            .collect();
        let value = |metric| {
            let reading = readings
                .iter()
                .find(|reading| reading.metric == metric && reading.entity.as_deref() == Some("/"));
            reading.unwrap().value.unwrap()
        };
        assert_eq!(value(MetricId::MountTotal), expected[0]);
        assert!(
            (value(MetricId::MountUsed) / expected[1] - 1.0).abs() < 0.02,
            "{expected:?}"
        );
    }

    #[test]
    fn without_a_list_the_probe_fails() {
        assert!(MountProbe::new(&Bench::new().roots()).run().is_err());
    }
}
