//! What a filter asks about a machine.

use crate::alert::{Alert, Phase, Severity};
use crate::catalogue::MetricId;
use crate::health::Health;
use crate::machine::Recent;
use crate::sample::{HostInfo, SeriesKey};
use crate::time::Liveness;

/// A machine as a filter sees it. Everything is asked for by reference, so that judging allocates nothing.
pub trait Subject {
    /// Its id.
    fn id(&self) -> &str;

    /// What seldom changes: names, labels, processors.
    fn host(&self) -> &HostInfo;

    /// How recently something was heard of it.
    fn liveness(&self) -> Liveness;

    /// How it fares.
    fn health(&self) -> Health;

    /// How long ago something was heard of it, in milliseconds.
    fn age_ms(&self) -> u64;

    /// Time between two ticks, in milliseconds.
    fn interval_ms(&self) -> u32;

    /// Whether `test` holds for a newest value of the metric: of the entity, or without one of any series that the
    /// machine has of it. `false` when there is none. See [`any_value`].
    fn any_value(&self, metric: MetricId, entity: Option<&str>, test: &mut dyn FnMut(f64) -> bool) -> bool;

    /// Whether `test` holds for one of the machine's alerts, whatever its phase.
    fn any_alert(&self, test: &mut dyn FnMut(AlertFacts<'_>) -> bool) -> bool;
}

/// What a filter sees of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertFacts<'a> {
    /// The id of its rule.
    pub rule: &'a str,
    /// The worst severity that fires, or is pending.
    pub severity: Severity,
    /// It fires, or did when its data went missing.
    pub is_firing: bool,
    /// Wrong, but not for long enough yet.
    pub is_pending: bool,
    /// Somebody knows of it, at this severity or a worse one.
    pub is_acknowledged: bool,
    /// A silence mutes it.
    pub is_silenced: bool,
}

impl<'a> AlertFacts<'a> {
    /// What a filter sees of an alert.
    #[must_use]
    pub fn of(alert: &'a Alert) -> Self {
        Self {
            rule: alert.key.rule.as_str(),
            severity: alert.severity,
            is_firing: alert.is_firing(),
            is_pending: alert.phase == Phase::Pending,
            is_acknowledged: alert
                .acknowledged
                .as_ref()
                .is_some_and(|known| known.severity >= alert.severity),
            is_silenced: alert.silenced.is_some(),
        }
    }
}

/// A machine whose recent past is kept, as a filter sees it: the aggregator's own, or a client's copy of it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a, A> {
    /// Its id.
    pub id: &'a str,
    /// What seldom changes.
    pub host: &'a HostInfo,
    /// How recently something was heard of it.
    pub liveness: Liveness,
    /// How it fares.
    pub health: Health,
    /// How long ago something was heard of it, in milliseconds.
    pub age_ms: u64,
    /// Time between two ticks, in milliseconds.
    pub interval_ms: u32,
    /// Its values. What is not in there, such as a metric that a client did not subscribe to, has none.
    pub recent: &'a Recent,
    /// Whether what is asked holds for one of the machine's alerts.
    pub any_alert: A,
}

impl<A> Subject for Seen<'_, A>
where
    A: Fn(&mut dyn FnMut(AlertFacts<'_>) -> bool) -> bool,
{
    fn id(&self) -> &str {
        self.id
    }

    fn host(&self) -> &HostInfo {
        self.host
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
        any_value(self.recent, metric, entity, test)
    }

    fn any_alert(&self, test: &mut dyn FnMut(AlertFacts<'_>) -> bool) -> bool {
        (self.any_alert)(test)
    }
}

/// [`Subject::any_value`] of a machine whose recent past is kept: a look into a table for a metric that a machine has
/// once, a walk over the series of a metric that has entities.
#[must_use]
pub fn any_value(
    recent: &Recent,
    metric: MetricId,
    entity: Option<&str>,
    test: &mut dyn FnMut(f64) -> bool,
) -> bool {
    if metric.definition().label.is_none() {
        return recent.value_of(&SeriesKey::plain(metric)).is_some_and(test);
    }
    recent
        .entities_of(metric)
        .filter(|(name, _)| entity.is_none_or(|entity| entity == *name))
        .filter_map(|(_, series)| series.current())
        .any(test)
}
