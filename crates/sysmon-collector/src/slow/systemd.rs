//! Units in the failed state, from `systemctl`.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use sysmon_core::MetricId;
use tokio::process::Command;

use super::{AskingProbe, ProbeError, Reading};
use crate::config::Roots;

/// The most failed units that get a series of their own; the count has them all.
const UNITS_MAX: usize = 100;

/// Asks systemd for its failed units.
#[derive(Debug)]
pub(crate) struct UnitProbe {
    program: PathBuf,
    present: PathBuf,
    native: bool,
}

impl UnitProbe {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            program: "systemctl".into(),
            present: roots.path("/run/systemd/system"),
            native: roots.is_native(),
        }
    }
}

impl AskingProbe for UnitProbe {
    /// Nothing where systemd does not run, or runs out of reach behind mounts of its files.
    async fn run(&mut self, _: Duration) -> Result<Vec<Reading>, ProbeError> {
        if !self.native || !self.present.exists() {
            return Ok(Vec::new());
        }
        let arguments = [
            "list-units",
            "--state=failed",
            "--plain",
            "--no-legend",
            "--no-pager",
        ];
        let output = Command::new(&self.program)
            .args(arguments)
            .env("LC_ALL", "C")
            .env("SYSTEMD_COLORS", "0")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| ProbeError::Failed(format!("cannot run systemctl: {error}")))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let line = sysmon_core::sanitize(text.lines().next().unwrap_or_default()).into_owned();
            return Err(ProbeError::Failed(format!(
                "systemctl ended with {}: {line}",
                output.status
            )));
        }
        Ok(parse(&String::from_utf8_lossy(&output.stdout)))
    }
}

/// One unit per line, its name first.
fn parse(text: &str) -> Vec<Reading> {
    let units: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let mut readings = vec![Reading::plain(MetricId::SystemdFailedUnits, units.len() as f64)];
    let failed = |unit: &&str| Reading::of(MetricId::SystemdUnitFailed, unit, 1.0);
    readings.extend(units.iter().take(UNITS_MAX).map(failed));
    readings
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn failed_units_are_counted_and_named() {
        let text = "nginx.service loaded failed failed A high performance web server\ndev-x.mount loaded failed failed /x\n";
        let expected = [
            Reading::plain(MetricId::SystemdFailedUnits, 2.0),
            Reading::of(MetricId::SystemdUnitFailed, "nginx.service", 1.0),
            Reading::of(MetricId::SystemdUnitFailed, "dev-x.mount", 1.0),
        ];
        assert_eq!(parse(text), expected);
        assert_eq!(parse(""), [Reading::plain(MetricId::SystemdFailedUnits, 0.0)]);
        assert_eq!(parse(&"x.service failed\n".repeat(1_000)).len(), UNITS_MAX + 1);
    }

    async fn run(script: &str) -> Result<Vec<Reading>, ProbeError> {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("systemctl");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        UnitProbe {
            program,
            present: directory.path().into(),
            native: true,
        }
        .run(Duration::ZERO)
        .await
    }

    #[tokio::test]
    async fn the_program_is_run_with_plain_arguments_and_its_failure_is_told() {
        let readings =
            run("[ \"$1 $2\" = 'list-units --state=failed' ] && echo 'a.service loaded failed failed x'")
                .await;
        assert_eq!(readings.unwrap().len(), 2);
        let error = run("echo \"no bus\x1b[31m\" >&2; exit 1")
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("no bus") && !error.contains('\u{1b}'), "{error}");
    }

    #[tokio::test]
    async fn without_systemd_there_is_nothing_to_ask() {
        let mut probe = UnitProbe {
            program: "/nonexistent".into(),
            present: "/nonexistent".into(),
            native: true,
        };
        assert_eq!(probe.run(Duration::ZERO).await.unwrap(), []);
    }
}
