//! Who this machine is.

use std::path::Path;

use sha2::{Digest, Sha256};
use sysmon_core::{HostInfo, MachineId};

use crate::config::{Config, Roots};
use crate::file::{Buffer, KeptFile, read_text};
use crate::parse::{after_key, lines, number, trimmed, words};

/// The boot time is derived from two clocks and moves a little with each of their corrections.
const BOOT_JITTER_MS: u64 = 5_000;

/// Facts about the host, from its files.
pub(crate) fn host_info(config: &Config) -> HostInfo {
    let roots = &config.roots;
    let mut buffer = Buffer::default();
    let mut number_after = |path: &str, key: &[u8]| {
        let text = KeptFile::new(roots.proc.join(path)).read(&mut buffer)?;
        words(after_key(text, key)?).number()
    };
    let memory_bytes = number_after("meminfo", b"MemTotal:")
        .unwrap_or(0)
        .saturating_mul(1_024);
    let boot_seconds = number_after("stat", b"btime ").and_then(|seconds| i64::try_from(seconds).ok());
    let mut labels = config.labels.clone();
    labels.sort();
    HostInfo {
        hostname: hostname(roots).unwrap_or_default(),
        os: os(roots),
        kernel: read_text(&roots.proc.join("sys/kernel/osrelease")).unwrap_or_default(),
        architecture: rustix::system::uname().machine().to_string_lossy().into_owned(),
        cpu_model: cpu_model(&roots.proc.join("cpuinfo")),
        cpu_count: cpu_count(&roots.proc.join("stat")),
        memory_bytes,
        boot_unix_ms: boot_seconds.unwrap_or(0).saturating_mul(1_000),
        collector_version: env!("CARGO_PKG_VERSION").to_owned(),
        labels,
    }
}

/// Whether two readings say the same, but for the jitter of the boot time.
pub(crate) fn is_same_host(before: &HostInfo, now: &HostInfo) -> bool {
    let moved_ms = before.boot_unix_ms.abs_diff(now.boot_unix_ms);
    moved_ms <= BOOT_JITTER_MS
        && HostInfo {
            boot_unix_ms: before.boot_unix_ms,
            ..now.clone()
        } == *before
}

/// The name under which a machine reports unless told otherwise: its host name, or a short digest of its machine id
/// where that says nothing.
#[must_use]
pub fn default_machine_id(roots: &Roots) -> MachineId {
    let name = hostname(roots).unwrap_or_default();
    crate::machine_id_of(&name, || {
        // The id itself is confidential (machine-id(5)), so only a digest leaves the machine.
        let id = read_text(&roots.path("/etc/machine-id")).filter(|id| !id.is_empty())?;
        let digest = Sha256::digest(format!("sysmon {id}"));
        Some(digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect())
    })
}

fn hostname(roots: &Roots) -> Option<String> {
    // The kernel tells everyone the name of his own container, whichever mount he asks through.
    let file = (!roots.is_native())
        .then(|| read_text(&roots.path("/etc/hostname")))
        .flatten();
    file.or_else(|| read_text(&roots.proc.join("sys/kernel/hostname")))
        .filter(|name| !name.is_empty())
}

/// `PRETTY_NAME` of os-release(5).
fn os(roots: &Roots) -> String {
    ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| {
            let text = read_text(&roots.path(path))?;
            let value = text
                .lines()
                .find_map(|line| line.strip_prefix("PRETTY_NAME="))?
                .trim();
            Some(value.trim_matches(['"', '\'']).to_owned())
        })
        .unwrap_or_else(|| "Linux".to_owned())
}

/// The first name that any architecture's cpuinfo gives its processor.
fn cpu_model(path: &Path) -> String {
    let text = read_text(path).unwrap_or_default();
    let keys = ["model name", "Model", "Hardware", "cpu model", "cpu", "uarch"];
    let value = |wanted: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == wanted && !value.trim().is_empty()).then(|| value.trim().to_owned())
        })
    };
    keys.into_iter().find_map(value).unwrap_or_default()
}

fn cpu_count(path: &Path) -> u32 {
    let mut buffer = Buffer::default();
    let text = KeptFile::new(path).read(&mut buffer).unwrap_or_default();
    let is_core = |line: &&[u8]| {
        let key = words(line).next().unwrap_or_default();
        key.strip_prefix(b"cpu")
            .is_some_and(|index| number(trimmed(index)).is_some())
    };
    u32::try_from(lines(text).filter(is_core).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::testing::Bench;

    fn config(bench: &Bench) -> Config {
        Config {
            roots: bench.roots(),
            ..Config::new(MachineId::parse("test").unwrap())
        }
    }

    #[test]
    fn a_host_is_described_by_its_files() {
        let bench = Bench::new();
        bench.write(
            "proc/stat",
            "cpu  1 2 3 4\ncpu0 1 2 3 4\ncpu1 1 2 3 4\nbtime 1700000000\n",
        );
        bench.write("proc/meminfo", "MemTotal:       1000 kB\n");
        bench.write(
            "proc/cpuinfo",
            "processor\t: 0\nmodel\t\t: 1\nmodel name\t: Made Up CPU\n",
        );
        bench.write("proc/sys/kernel/osrelease", "6.1.0\n");
        bench.write("proc/sys/kernel/hostname", "seen-from-the-container\n");
        bench.write("etc/hostname", "web-01\n");
        bench.write(
            "etc/os-release",
            "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
        );
        let labels = vec![
            ("role".to_owned(), "web".to_owned()),
            ("dc".to_owned(), "2".to_owned()),
        ];
        let host = host_info(&Config {
            labels,
            ..config(&bench)
        });
        assert_eq!(
            (host.hostname.as_str(), host.os.as_str()),
            ("web-01", "Debian GNU/Linux 12 (bookworm)")
        );
        assert_eq!(
            (host.cpu_model.as_str(), host.cpu_count, host.kernel.as_str()),
            ("Made Up CPU", 2, "6.1.0")
        );
        assert_eq!(
            (host.memory_bytes, host.boot_unix_ms),
            (1_024_000, 1_700_000_000_000)
        );
        assert_eq!(host.labels[0].0, "dc", "sorted by name");
        let moved = HostInfo {
            boot_unix_ms: host.boot_unix_ms + 1_000,
            ..host.clone()
        };
        assert!(is_same_host(&host, &moved));
        assert!(!is_same_host(
            &host,
            &HostInfo {
                boot_unix_ms: 0,
                ..host.clone()
            }
        ));
        assert!(!is_same_host(
            &host,
            &HostInfo {
                memory_bytes: 0,
                ..host.clone()
            }
        ));
    }

    #[test]
    fn a_tree_without_files_gives_a_host_that_says_little() {
        let bench = Bench::new();
        let host = host_info(&config(&bench));
        assert_eq!(
            (
                host.hostname.as_str(),
                host.cpu_count,
                host.memory_bytes,
                host.boot_unix_ms
            ),
            ("", 0, 0, 0)
        );
    }

    #[test]
    fn the_default_id_is_the_host_name_made_safe_or_a_digest() {
        for (name, expected) in [
            ("web-01.example", "web-01.example"),
            ("näs / 1", "n-s---1"),
            ("localhost", "machine-5645cf7fd3eb"),
        ] {
            let bench = Bench::new();
            bench.write("etc/hostname", name);
            bench.write("etc/machine-id", "0123456789abcdef0123456789abcdef\n");
            assert_eq!(default_machine_id(&bench.roots()).as_str(), expected);
        }
        assert_eq!(default_machine_id(&Bench::new().roots()).as_str(), "localhost");
    }
}
