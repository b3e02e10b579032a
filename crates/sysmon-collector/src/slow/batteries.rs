//! Batteries: `/sys/class/power_supply` (kernel documentation, ABI/testing/sysfs-class-power).

use std::path::{Path, PathBuf};

use sysmon_core::MetricId;

use super::{ProbeError, Reading, SlowProbe};
use crate::config::Roots;
use crate::file::read_text;

const BATTERIES_MAX: usize = 16;

/// Reads the charge of the machine's own batteries.
#[derive(Debug)]
pub(crate) struct BatteryProbe {
    directory: PathBuf,
}

impl BatteryProbe {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            directory: roots.sys.join("class/power_supply"),
        }
    }
}

impl SlowProbe for BatteryProbe {
    fn run(&mut self) -> Result<Vec<Reading>, ProbeError> {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        Ok(entries
            .filter(|entry| is_own_battery(&entry.path()))
            .take(BATTERIES_MAX)
            .map(|entry| Reading {
                metric: MetricId::BatteryCharge,
                entity: Some(entry.file_name().to_string_lossy().into_owned()),
                value: charge(&entry.path()),
            })
            .collect())
    }
}

/// A mouse and a headset have batteries too; those are of scope "Device".
fn is_own_battery(path: &Path) -> bool {
    let is = |file: &str, wanted: &str| read_text(&path.join(file)).as_deref() == Some(wanted);
    is("type", "Battery") && !is("scope", "Device") && !is("present", "0")
}

fn charge(path: &Path) -> Option<f64> {
    let read = |file: &str| read_text(&path.join(file))?.parse::<f64>().ok();
    let part = |now: &str, full: &str| Some(read(now)? * 100.0 / read(full).filter(|full| *full > 0.0)?);
    let percent = read("capacity")
        .or_else(|| part("energy_now", "energy_full"))
        .or_else(|| part("charge_now", "charge_full"))?;
    // A worn battery may hold more than its own estimate.
    Some(percent.clamp(0.0, 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::testing::Bench;

    #[test]
    fn only_the_machines_own_batteries_count() {
        let bench = Bench::new();
        for (file, content) in [
            ("BAT0/type", "Battery\n"),
            ("BAT0/capacity", "87\n"),
            ("BAT1/type", "Battery\n"),
            ("BAT1/energy_now", "21\n"),
            ("BAT1/energy_full", "20\n"),
            ("BAT2/type", "Battery\n"),
            ("BAT3/type", "Battery\n"),
            ("BAT3/present", "0\n"),
            ("AC/type", "Mains\n"),
            ("hidpp_battery_0/type", "Battery\n"),
            ("hidpp_battery_0/scope", "Device\n"),
            ("hidpp_battery_0/capacity", "5\n"),
        ] {
            bench.write(&format!("sys/class/power_supply/{file}"), content);
        }
        let mut readings = BatteryProbe::new(&bench.roots()).run().unwrap();
        readings.sort_by(|left, right| left.entity.cmp(&right.entity));
        let expected = [
            Reading::of(MetricId::BatteryCharge, "BAT0", 87.0),
            Reading::of(MetricId::BatteryCharge, "BAT1", 100.0),
            Reading::silent(MetricId::BatteryCharge, "BAT2"),
        ];
        assert_eq!(readings, expected);
    }
}
