//! Temperatures and fans: `/sys/class/hwmon` (kernel documentation, hwmon/sysfs-interface), and thermal zones where no
//! chip has a temperature.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sysmon_core::MetricId;

use super::{ProbeError, Reading, SlowProbe};
use crate::config::Roots;
use crate::file::read_text;

/// The most sensors that are followed.
const SENSORS_MAX: usize = 256;
/// What lies outside is a broken or missing sensor.
const CELSIUS: std::ops::RangeInclusive<f64> = -100.0..=250.0;

/// Reads the sensors; some chips take a second to answer.
#[derive(Debug)]
pub(crate) struct SensorProbe {
    chips: PathBuf,
    zones: PathBuf,
}

/// One input of a chip.
struct Sensor {
    metric: MetricId,
    name: String,
    /// What tells it from one of the same name.
    device: String,
    value: Option<f64>,
}

impl SensorProbe {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            chips: roots.sys.join("class/hwmon"),
            zones: roots.sys.join("class/thermal"),
        }
    }
}

impl SlowProbe for SensorProbe {
    fn run(&mut self) -> Result<Vec<Reading>, ProbeError> {
        let mut sensors: Vec<Sensor> = sorted(&self.chips)
            .iter()
            .flat_map(|(name, path)| chip(name, path))
            .take(SENSORS_MAX)
            .collect();
        if !sensors
            .iter()
            .any(|sensor| sensor.metric == MetricId::Temperature)
        {
            let zones = sorted(&self.zones);
            sensors.extend(
                zones
                    .iter()
                    .filter_map(|(name, path)| zone(name, path))
                    .take(SENSORS_MAX),
            );
        }
        let mut same: BTreeMap<(MetricId, String), usize> = BTreeMap::new();
        for sensor in &sensors {
            *same.entry((sensor.metric, sensor.name.clone())).or_default() += 1;
        }
        let reading = |sensor: Sensor| {
            let alone = same
                .get(&(sensor.metric, sensor.name.clone()))
                .is_none_or(|count| *count == 1);
            let name = if alone {
                sensor.name
            } else {
                format!("{} {}", sensor.name, sensor.device)
            };
            Reading {
                metric: sensor.metric,
                entity: Some(name),
                value: sensor.value,
            }
        };
        Ok(sensors.into_iter().map(reading).collect())
    }
}

fn chip(directory_name: &str, path: &Path) -> Vec<Sensor> {
    let chip = read_text(&path.join("name")).unwrap_or_else(|| directory_name.to_owned());
    let device = std::fs::canonicalize(path.join("device")).ok();
    let device = device
        .as_deref()
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy().into_owned());
    let device = device.unwrap_or_else(|| directory_name.to_owned());
    let mut sensors = Vec::new();
    for (file, _) in sorted(path) {
        let Some(input) = file.strip_suffix("_input") else {
            continue;
        };
        let (metric, scale) = if is_numbered(input, "temp") {
            (MetricId::Temperature, 0.001)
        } else if is_numbered(input, "fan") {
            (MetricId::Fan, 1.0)
        } else {
            continue;
        };
        let label = read_text(&path.join(format!("{input}_label"))).filter(|label| !label.is_empty());
        let name = format!("{chip} {}", label.as_deref().unwrap_or(input));
        let is_faulty = read_text(&path.join(format!("{input}_fault"))).as_deref() == Some("1");
        let value = read_text(&path.join(&file)).filter(|_| !is_faulty);
        let value = value
            .and_then(|text| text.parse::<f64>().ok())
            .map(|value| value * scale);
        let value = value.filter(|value| {
            if metric == MetricId::Fan {
                *value >= 0.0
            } else {
                CELSIUS.contains(value)
            }
        });
        sensors.push(Sensor {
            metric,
            name,
            device: device.clone(),
            value,
        });
    }
    sensors
}

fn zone(directory_name: &str, path: &Path) -> Option<Sensor> {
    let celsius = read_text(&path.join("temp"))?.parse::<f64>().ok()? / 1_000.0;
    let name = read_text(&path.join("type")).unwrap_or_else(|| directory_name.to_owned());
    CELSIUS.contains(&celsius).then(|| Sensor {
        metric: MetricId::Temperature,
        name,
        device: directory_name.to_owned(),
        value: Some(celsius),
    })
}

/// Entries of a directory by name; none where there is no directory.
fn sorted(directory: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut named: Vec<(String, PathBuf)> = entries
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect();
    named.sort();
    named
}

fn is_numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::testing::Bench;

    fn readings(bench: &Bench) -> Vec<(String, Option<f64>)> {
        let readings = SensorProbe::new(&bench.roots()).run().unwrap();
        readings
            .into_iter()
            .map(|reading| (reading.entity.unwrap(), reading.value))
            .collect()
    }

    #[test]
    fn chips_give_temperatures_and_fans_by_label() {
        let bench = Bench::new();
        for (file, content) in [
            ("hwmon0/name", "coretemp\n"),
            ("hwmon0/temp1_input", "42500\n"),
            ("hwmon0/temp1_label", "Package id 0\n"),
            ("hwmon0/temp1_max", "100000\n"),
            ("hwmon0/temp2_input", "-273000\n"),
            ("hwmon0/temp3_input", "45000\n"),
            ("hwmon0/temp3_fault", "1\n"),
            ("hwmon1/name", "nct6775\n"),
            ("hwmon1/fan2_input", "1200\n"),
            ("hwmon1/temp9_input", "what\n"),
        ] {
            bench.write(&format!("sys/class/hwmon/{file}"), content);
        }
        bench.write("sys/class/thermal/thermal_zone0/temp", "30000\n");
        assert_eq!(
            readings(&bench),
            [
                ("coretemp Package id 0".into(), Some(42.5)),
                ("coretemp temp2".into(), None),
                ("coretemp temp3".into(), None),
                ("nct6775 fan2".into(), Some(1_200.0)),
                ("nct6775 temp9".into(), None),
            ]
        );
    }

    #[test]
    fn two_chips_of_one_name_are_told_apart_by_their_device() {
        let bench = Bench::new();
        for chip in ["hwmon0", "hwmon1"] {
            bench.write(&format!("sys/class/hwmon/{chip}/name"), "nvme");
            bench.write(&format!("sys/class/hwmon/{chip}/temp1_input"), "30000");
        }
        bench.write("sys/devices/nvme1/x", "");
        let root = bench.directory.path();
        std::os::unix::fs::symlink(
            root.join("sys/devices/nvme1"),
            root.join("sys/class/hwmon/hwmon1/device"),
        )
        .unwrap();
        let names: Vec<String> = readings(&bench).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["nvme temp1 hwmon0", "nvme temp1 nvme1"]);
    }

    #[test]
    fn thermal_zones_stand_in_and_a_machine_without_sensors_has_none() {
        let bench = Bench::new();
        assert_eq!(readings(&bench), []);
        bench.write("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n");
        bench.write("sys/class/thermal/thermal_zone0/temp", "51540\n");
        bench.write("sys/class/thermal/cooling_device0/type", "fan\n");
        assert_eq!(readings(&bench), [("cpu-thermal".into(), Some(51.54))]);
    }
}
