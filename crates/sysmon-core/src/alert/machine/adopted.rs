//! Alerts of which nothing but what people see of them is known: the state with their timers is lost.

use std::sync::Arc;

use super::super::rule::{Check, Severity};
use super::super::rule_set::{Compiled, RuleSet, Shape};
use super::super::stage::Stage;
use super::super::state::{Alert, Phase, Transition};
use super::MachineAlerts;
use super::feed::{Feed, NONE};
use super::layout::Legacy;
use super::standing::Standing;
use super::watch::Watch;
use crate::catalogue::Unit;
use crate::identity::MachineId;
use crate::sample::{Label, Metric, SeriesKey};
use crate::time::UnixMillis;

impl MachineAlerts {
    /// Goes on with alerts whose saved state is lost, at `now` by the receive clock. What fires goes on firing until its
    /// level says otherwise, and is the same alert still: losing a file is no recovery. Windows are empty, a hold or a
    /// clear hold begins anew with the next sample, and what flapped has yet to show it. Alerts whose rule does not exist
    /// any more end, and those of entities of metrics that the catalogue lacks. Announce the series, set the host and the silences afterwards, as after [`MachineAlerts::restore`].
    #[must_use]
    pub fn take_over(
        id: MachineId,
        alerts: impl IntoIterator<Item = Alert>,
        rules: &Arc<RuleSet>,
        now: UnixMillis,
        out: &mut Vec<Transition>,
    ) -> Self {
        let mut machine = Self::new(id);
        let before = out.len();
        machine.now = now;
        machine.rules = Arc::clone(rules);
        let mut legacy = Legacy::default();
        for alert in alerts {
            let mut compiled = rules.compiled().iter();
            let compiled = compiled.find(|compiled| compiled.rule.id == alert.key.rule);
            if let Some(compiled) = compiled {
                // Nobody has said yet which labels the machine has, but these it had.
                let labels = &compiled.rule.scope.labels;
                let new = labels.iter().filter(|label| !machine.labels.contains(label));
                let new: Vec<String> = new.cloned().collect();
                machine.labels.extend(new);
            }
            take(&mut legacy, alert, compiled);
        }
        machine.arrange(legacy, now, out);
        machine.finish(before, out);
        machine.plan_timers();
        machine
    }
}

fn take(legacy: &mut Legacy, alert: Alert, compiled: Option<&Compiled>) {
    let rule = alert.key.rule.clone();
    let (key, print) = match compiled.map(|compiled| &compiled.shape) {
        Some(Shape::Down(_)) => {
            let standing = standing(alert, compiled);
            legacy.downs.insert(rule, Some(standing));
            return;
        }
        Some(Shape::Metric(plan)) => (series_of(&plan.plan.metric, &alert.key.entity), plan.print),
        None => (None, 0),
    };
    if let Some(key) = &key
        && legacy.feeds.iter().all(|feed| *feed.key != *key)
    {
        legacy.feeds.push(Feed::new(Arc::new(key.clone()), 0));
    }
    // Of a series that no rule reads: it ends.
    let key = Arc::new(key.unwrap_or_else(|| SeriesKey {
        metric: Metric::named("", Unit::Count),
        labels: vec![Label {
            name: "entity".into(),
            value: Arc::clone(&alert.key.entity),
        }],
    }));
    let mut watch = Watch::new(0, NONE, Arc::clone(&alert.key.entity), 0);
    watch.standing = Some(standing(alert, compiled));
    legacy.watches.insert((rule, key), (print, watch));
}

/// The series that an entity of one of the catalogue's metrics has; none when that cannot be known.
fn series_of(metric: &str, entity: &str) -> Option<SeriesKey> {
    let metric = Metric::named(metric, Unit::Count);
    if entity.is_empty() {
        let labels = Vec::new();
        return Some(SeriesKey { metric, labels });
    }
    let Metric::Known(id) = metric else { return None };
    id.definition().label.map(|_| SeriesKey::of(id, entity))
}

/// An alert with the stages that it must have had.
fn standing(alert: Alert, compiled: Option<&Compiled>) -> Box<Standing> {
    let stage = match alert.phase {
        Phase::Pending => Stage::Pending(alert.since),
        Phase::Firing => Stage::Firing,
        Phase::NoData if alert.fired.is_some() => Stage::Firing,
        Phase::NoData => Stage::Pending(alert.since),
        Phase::Recovering => Stage::Recovering(None),
        Phase::Inactive | Phase::Resolved => Stage::Idle,
    };
    let mut stages = [Stage::Idle; 3];
    for (severity, place) in Severity::ALL.into_iter().zip(&mut stages) {
        let has_level = match compiled.map(|compiled| &compiled.rule.check) {
            Some(Check::Metric(check)) => check.level(severity).is_some(),
            _ => severity == alert.severity,
        };
        // What is beyond a level is beyond the lesser ones.
        if severity <= alert.severity && has_level {
            *place = stage;
        }
    }
    let mut fires = [None; super::FLAPPING_COUNT];
    fires[0] = alert.fired;
    let stepped = alert.since;
    Box::new(Standing {
        alert,
        stages,
        fires,
        stepped,
    })
}
