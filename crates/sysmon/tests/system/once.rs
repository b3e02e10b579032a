//! `sysmon-tui --once` on this very machine, against what the kernel and its tools say.

mod presence;
mod values;

use serde_json::Value;

use crate::support::{Home, finish};

/// One snapshot of this machine.
pub(super) struct Snapshot {
    machine: Value,
}

impl Snapshot {
    pub(super) async fn take(home: &Home) -> Self {
        let finished = finish(&mut home.sysmon_tui(&["--once", "--format", "json"])).await;
        assert_eq!(
            (finished.code, finished.stderr.as_str()),
            (Some(0), ""),
            "{finished:?}"
        );
        let mut printed: Value = serde_json::from_str(&finished.stdout).unwrap();
        let machines = printed["machines"].as_array_mut().unwrap();
        assert_eq!(machines.len(), 1, "this machine alone");
        Self {
            machine: machines.remove(0),
        }
    }

    pub(super) fn metrics(&self) -> impl Iterator<Item = &Value> {
        self.machine["metrics"].as_array().unwrap().iter()
    }

    pub(super) fn processes(&self) -> &[Value] {
        self.machine["processes"].as_array().unwrap()
    }

    /// A value; of an entity when there are several.
    pub(super) fn value(&self, name: &str, entity: Option<&str>) -> Option<f64> {
        let of_entity = |metric: &Value| match (entity, metric["labels"].as_object().unwrap().values().next())
        {
            (None, None) => true,
            (Some(wanted), Some(found)) => found == wanted,
            _ => false,
        };
        self.metrics()
            .find(|metric| metric["name"] == name && of_entity(metric))
            .map(|metric| metric["value"].as_f64().unwrap())
    }
}

#[tokio::test]
async fn the_text_fits_a_hundred_columns_and_has_no_escape_sequences_when_it_goes_to_no_terminal() {
    let home = Home::new();
    let finished = finish(&mut home.sysmon_tui(&["--once"])).await;
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (Some(0), ""),
        "{finished:?}"
    );
    assert!(!finished.stdout.contains('\u{1b}'));
    for line in finished.stdout.lines() {
        assert!(sysmon_core::display_width(line) <= 100, "{line}");
    }
    for part in [
        "1 machine: 1 live",
        "Processor",
        "Memory",
        "MOUNT",
        "INTERFACE",
        "COMMAND",
    ] {
        assert!(
            finished.stdout.contains(part),
            "{part}\nis not in\n{}",
            finished.stdout
        );
    }
}

#[tokio::test]
async fn a_snapshot_leaves_no_process_and_no_socket_and_logs_to_its_file_only() {
    let home = Home::new();
    Snapshot::take(&home).await;
    let folders = std::fs::read_dir(home.path().join("runtime")).unwrap();
    assert_eq!(folders.count(), 0, "no socket");
    assert!(home.path().join("state/sysmon/sysmon-tui.log").exists());
    let elsewhere = home.path().join("elsewhere.log");
    let arguments = ["--once", "--log-file", elsewhere.to_str().unwrap()];
    assert_eq!(finish(&mut home.sysmon_tui(&arguments)).await.code, Some(0));
    assert!(elsewhere.exists());
}
