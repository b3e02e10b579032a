//! The language as a whole.

mod errors;
mod meaning;
mod properties;
mod suggestions;

use crate::alert::Severity;
use crate::catalogue::MetricId;
use crate::health::Health;
use crate::sample::HostInfo;
use crate::time::Liveness;

use super::{AlertFacts, Filter, Subject};

/// A machine of a few facts.
pub(super) struct Machine {
    pub(super) id: &'static str,
    pub(super) host: HostInfo,
    pub(super) liveness: Liveness,
    pub(super) health: Health,
    pub(super) age_ms: u64,
    pub(super) interval_ms: u32,
    pub(super) values: Vec<(MetricId, &'static str, f64)>,
    pub(super) alerts: Vec<AlertFacts<'static>>,
}

impl Subject for Machine {
    fn id(&self) -> &str {
        self.id
    }

    fn host(&self) -> &HostInfo {
        &self.host
    }

    fn liveness(&self) -> Liveness {
        self.liveness
    }

    fn health(&self) -> Health {
        self.health
    }

    fn age_ms(&self) -> u64 {
        self.age_ms
    }

    fn interval_ms(&self) -> u32 {
        self.interval_ms
    }

    fn any_value(&self, metric: MetricId, entity: Option<&str>, test: &mut dyn FnMut(f64) -> bool) -> bool {
        self.values.iter().any(|(id, name, value)| {
            *id == metric && entity.is_none_or(|entity| entity == *name) && test(*value)
        })
    }

    fn any_alert(&self, test: &mut dyn FnMut(AlertFacts<'_>) -> bool) -> bool {
        self.alerts.iter().any(|alert| test(*alert))
    }
}

pub(super) fn alert(rule: &'static str, severity: Severity) -> AlertFacts<'static> {
    AlertFacts {
        rule,
        severity,
        is_firing: true,
        is_pending: false,
        is_acknowledged: false,
        is_silenced: false,
    }
}

/// A database server under some pressure.
pub(super) fn machine() -> Machine {
    Machine {
        id: "m-17",
        host: HostInfo {
            hostname: "DB-01.example".into(),
            os: "Debian GNU/Linux 12 (bookworm)".into(),
            kernel: "6.1.0-18-amd64".into(),
            cpu_count: 8,
            labels: vec![("role".into(), "db".into()), ("Site".into(), "Köln".into())],
            ..HostInfo::default()
        },
        liveness: Liveness::Live,
        health: Health::Warning,
        age_ms: 1_500,
        interval_ms: 5_000,
        values: vec![
            (MetricId::CpuBusy, "", 72.5),
            (MetricId::MemoryUsed, "", 6.0 * 1_073_741_824.0),
            (MetricId::MountWorstPercent, "", 91.0),
            (MetricId::MountUsedPercent, "/", 40.0),
            (MetricId::MountUsedPercent, "/home", 91.0),
            (MetricId::NetworkReceiveTotal, "", 12_000_000.0),
        ],
        alerts: vec![AlertFacts {
            is_acknowledged: true,
            ..alert("disk-full", Severity::Warning)
        }],
    }
}

pub(super) fn matches(filter: &str) -> bool {
    match Filter::parse(filter) {
        Ok(filter) => filter.matches(&machine()),
        Err(error) => panic!("{filter}: {error}\n{}", error.marked(filter).join("\n")),
    }
}
