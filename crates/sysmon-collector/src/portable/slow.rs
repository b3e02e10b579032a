//! File systems and temperatures, beside the ticks.

use sysinfo::{Components, DiskRefreshKind, Disks};
use sysmon_core::MetricId;

use crate::slow::{ProbeError, Reading, SlowProbe};

/// Follows the file systems.
#[derive(Debug, Default)]
pub(crate) struct MountProbe;

/// Reads temperatures.
#[derive(Debug, Default)]
pub(crate) struct SensorProbe;

impl SlowProbe for MountProbe {
    fn run(&mut self) -> Result<Vec<Reading>, ProbeError> {
        let disks = Disks::new_with_refreshed_list_specifics(DiskRefreshKind::nothing().with_storage())
            .map_err(|error| ProbeError::Failed(error.to_string()))?;
        let mut readings = Vec::new();
        let mut worst: Option<f64> = None;
        for disk in disks.iter().filter(|disk| disk.total_space() > 0) {
            let name = disk.mount_point().to_string_lossy();
            let (total, available) = (disk.total_space() as f64, disk.available_space() as f64);
            let used = (total - available).max(0.0);
            let percent = used * 100.0 / total;
            for (metric, value) in [
                (MetricId::MountTotal, total),
                (MetricId::MountUsed, used),
                (MetricId::MountAvailable, available),
                (MetricId::MountUsedPercent, percent),
            ] {
                readings.push(Reading::of(metric, &name, value));
            }
            if !disk.is_read_only() {
                worst = Some(worst.map_or(percent, |worst| worst.max(percent)));
            }
        }
        readings.extend(worst.map(|worst| Reading::plain(MetricId::MountWorstPercent, worst)));
        Ok(readings)
    }
}

impl SlowProbe for SensorProbe {
    fn run(&mut self) -> Result<Vec<Reading>, ProbeError> {
        let Ok(components) = Components::new_with_refreshed_list() else {
            return Ok(Vec::new());
        };
        let reading = |component: &sysinfo::Component| {
            let celsius = component.temperature().filter(|celsius| celsius.is_finite())?;
            Some(Reading::of(
                MetricId::Temperature,
                component.label(),
                f64::from(celsius),
            ))
        };
        Ok(components.iter().filter_map(reading).collect())
    }
}
