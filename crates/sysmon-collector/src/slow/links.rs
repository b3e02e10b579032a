//! Whether interfaces have a carrier: `/sys/class/net/*/carrier` (kernel documentation, ABI/testing/sysfs-class-net).

use std::path::{Path, PathBuf};

use sysmon_core::MetricId;

use super::{ProbeError, Reading, SlowProbe};
use crate::config::Roots;
use crate::file::read_text;

const INTERFACES_MAX: usize = 256;

/// Reads the state of links.
#[derive(Debug)]
pub(crate) struct LinkProbe {
    directory: PathBuf,
}

impl LinkProbe {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            directory: roots.sys.join("class/net"),
        }
    }
}

impl SlowProbe for LinkProbe {
    fn run(&mut self) -> Result<Vec<Reading>, ProbeError> {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let named = entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()));
        Ok(named
            .filter(|(name, path)| name != "lo" && !name.starts_with("veth") && path.is_dir())
            .take(INTERFACES_MAX)
            .map(|(name, path)| Reading::of(MetricId::NetworkLinkUp, &name, f64::from(is_up(&path))))
            .collect())
    }
}

fn is_up(path: &Path) -> bool {
    // Of an interface that is switched off the carrier cannot be read; then it is not up.
    read_text(&path.join("carrier")).as_deref() == Some("1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::testing::Bench;

    #[test]
    fn a_link_is_up_when_it_has_a_carrier() {
        let bench = Bench::new();
        for (file, content) in [
            ("eth0/carrier", "1\n"),
            ("eth1/carrier", "0\n"),
            ("off/operstate", "down\n"),
            ("lo/carrier", "1\n"),
        ] {
            bench.write(&format!("sys/class/net/{file}"), content);
        }
        bench.write("sys/class/net/bonding_masters", "");
        let mut readings = LinkProbe::new(&bench.roots()).run().unwrap();
        readings.sort_by(|left, right| left.entity.cmp(&right.entity));
        let up = |name, value| Reading::of(MetricId::NetworkLinkUp, name, value);
        assert_eq!(readings, [up("eth0", 1.0), up("eth1", 0.0), up("off", 0.0)]);
    }
}
