//! What a collector says: values under series keys, and facts about the host.

use std::fmt;
use std::sync::Arc;

use crate::catalogue::{MetricDefinition, MetricId, Unit};

/// One number as it was measured.
pub type Value = f64;

/// Which metric a series belongs to: one of the catalogue, or a foreign one that names its own unit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// A metric of [`crate::CATALOGUE`].
    Known(MetricId),
    /// Any other metric, for example from a newer collector.
    Custom {
        /// Its name, as announced.
        name: Arc<str>,
        /// Its unit, as announced.
        unit: Unit,
    },
}

impl Metric {
    /// The metric of this name: the catalogue's where it is known, else a custom one of the given unit.
    #[must_use]
    pub fn named(name: &str, unit: Unit) -> Self {
        MetricId::from_name(name).map_or_else(
            || Self::Custom {
                name: name.into(),
                unit,
            },
            Self::Known,
        )
    }

    /// The dotted name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Known(id) => id.name(),
            Self::Custom { name, .. } => name,
        }
    }

    /// The unit of its values.
    #[must_use]
    pub fn unit(&self) -> Unit {
        self.definition().map_or_else(
            || {
                if let Self::Custom { unit, .. } = self {
                    *unit
                } else {
                    Unit::Count
                }
            },
            |definition| definition.unit,
        )
    }

    /// The catalogue's entry, when there is one.
    #[must_use]
    pub fn definition(&self) -> Option<&'static MetricDefinition> {
        match self {
            Self::Known(id) => Some(id.definition()),
            Self::Custom { .. } => None,
        }
    }
}

impl From<MetricId> for Metric {
    fn from(id: MetricId) -> Self {
        Self::Known(id)
    }
}

/// A name and a value that tell series of one metric apart, such as `mount="/home"`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    /// The dimension, such as `mount`.
    pub name: Arc<str>,
    /// Which one, such as `/home`. Remote text: sanitise it before it is drawn.
    pub value: Arc<str>,
}

/// Identity of one series within a machine: the metric and its labels, sorted by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey {
    /// Which metric.
    pub metric: Metric,
    /// What tells it from its siblings; empty for a metric that a machine has once.
    pub labels: Vec<Label>,
}

impl SeriesKey {
    /// The series of a metric that a machine has once.
    #[must_use]
    pub fn plain(metric: MetricId) -> Self {
        Self {
            metric: metric.into(),
            labels: Vec::new(),
        }
    }

    /// The series of one entity, under the metric's own label dimension (`mount`, `disk`, …).
    #[must_use]
    pub fn of(metric: MetricId, entity: &str) -> Self {
        let name = metric.definition().label.unwrap_or("entity");
        Self {
            metric: metric.into(),
            labels: vec![Label {
                name: name.into(),
                value: entity.into(),
            }],
        }
    }

    /// The catalogue's id, when the metric is known.
    #[must_use]
    pub fn id(&self) -> Option<MetricId> {
        match self.metric {
            Metric::Known(id) => Some(id),
            Metric::Custom { .. } => None,
        }
    }

    /// The value of the first label: the entity (`/home`, `eth0`), or `None` for a plain series.
    #[must_use]
    pub fn entity(&self) -> Option<&str> {
        self.labels.first().map(|label| &*label.value)
    }
}

impl fmt::Display for SeriesKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.metric.name())?;
        for (index, label) in self.labels.iter().enumerate() {
            write!(
                formatter,
                "{}{}={:?}",
                if index == 0 { '{' } else { ',' },
                label.name,
                &*label.value
            )?;
        }
        if self.labels.is_empty() {
            Ok(())
        } else {
            formatter.write_str("}")
        }
    }
}

/// What seldom changes about a machine. All text is remote: sanitise it before it is drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostInfo {
    /// Name as the machine calls itself.
    pub hostname: String,
    /// Operating system with its version, such as `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// Kernel release, such as `6.1.0-18-amd64`.
    pub kernel: String,
    /// Processor architecture, such as `x86_64`.
    pub architecture: String,
    /// Model name of the processor.
    pub cpu_model: String,
    /// Logical processors.
    pub cpu_count: u32,
    /// Physical memory in bytes.
    pub memory_bytes: u64,
    /// When the machine was booted, in Unix milliseconds; 0 when unknown.
    pub boot_unix_ms: i64,
    /// Version of the collector that speaks.
    pub collector_version: String,
    /// Labels given by whoever runs it (`--label role=web`), sorted by name.
    pub labels: Vec<(String, String)>,
}
