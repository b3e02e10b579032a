//! A rule played against the past: what it would have done, by the same code that judges live samples.

use std::sync::Arc;

use super::machine::MachineAlerts;
use super::rule::{Rule, Severity};
use super::rule_set::RuleSet;
use super::state::{Phase, Transition};
use crate::history::{MachineSamples, SeriesSamples};
use crate::identity::MachineId;
use crate::time::UnixMillis;

/// What a rule would have done on one machine.
#[derive(Clone, Debug, PartialEq)]
pub struct DryRun {
    /// Which machine.
    pub machine: MachineId,
    /// Whether the rule is good and its scope covers the machine; otherwise nothing was judged.
    pub is_covered: bool,
    /// Whether single samples were judged: then this is what the engine would have done with samples that came in
    /// time. Otherwise it judged the means of longer moments, and what was shorter than these is not seen.
    pub is_exact: bool,
    /// How many moments were judged.
    pub samples: usize,
    /// When it would have fired, in the order of their beginning.
    pub episodes: Vec<Episode>,
    /// How often it would have been pending without firing.
    pub withdrawn: usize,
}

/// One alert from firing to resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// Which mount, disk, interface, …; empty where the metric has none. Remote text: sanitise it before it is drawn.
    pub entity: Arc<str>,
    /// The worst severity it had.
    pub severity: Severity,
    /// When it began to fire.
    pub from: UnixMillis,
    /// When it was resolved; none when it still fires at the end of the history.
    pub to: Option<UnixMillis>,
    /// The worst value since it became pending; none for machine-down.
    pub peak: Option<f64>,
}

impl DryRun {
    /// How long the longest episode lasted, in milliseconds; one that still fires lasts until `end`. `None` without
    /// any.
    #[must_use]
    pub fn longest_ms(&self, end: UnixMillis) -> Option<u64> {
        let length_ms = |episode: &Episode| episode.to.unwrap_or(end).since_ms(episode.from);
        self.episodes.iter().map(length_ms).max()
    }
}

/// Plays a rule, whether it is switched on or not, against the history of one machine. `labels` and `interval_ms` are
/// those of the machine. The history has to hold the series of every metric that the rule reads; the more of the others
/// it holds, the longer it takes. A window begins empty: to judge a stretch from its beginning, begin the history a
/// window and a hold earlier. Machine-down sees only what samples tell: neither heartbeats nor when samples came.
#[must_use]
pub fn dry_run(
    rule: &Rule,
    labels: &[(String, String)],
    interval_ms: u64,
    history: &MachineSamples,
) -> DryRun {
    let mut result = DryRun {
        machine: history.machine.clone(),
        is_covered: false,
        is_exact: history.step_ms == 0,
        samples: 0,
        episodes: Vec::new(),
        withdrawn: 0,
    };
    let mut rule = rule.clone();
    rule.enabled = true;
    let rules = Arc::new(RuleSet::new([rule]));
    let mut machine = MachineAlerts::new(history.machine.clone());
    let mut out = Vec::new();
    let begin = history.times.first().copied().unwrap_or_default();
    machine.set_host(labels, interval_ms.max(history.step_ms), begin, &mut out);
    machine.set_rules(&rules, begin, &mut out);
    if !machine.is_covered() {
        return result;
    }
    result.is_covered = true;
    let is_needed = |series: &&SeriesSamples| rules.needs(series.key.metric.name());
    let needed: Vec<&SeriesSamples> = history.series.iter().filter(is_needed).collect();
    for (number, series) in (1..).zip(&needed) {
        machine.announce(number, &series.key);
    }
    let mut values = Vec::with_capacity(needed.len());
    for (index, at) in history.times.iter().enumerate() {
        values.clear();
        for (number, series) in (1..).zip(&needed) {
            // One that is not a number would not be judged either.
            if let Some(value) = series.values.get(index).filter(|value| !value.is_nan()) {
                values.push((number, *value));
            }
        }
        machine.observe(*at, *at, &values, &mut out);
        if !out.is_empty() {
            result.note(&mut out, &machine);
        }
    }
    result.samples = history.times.len();
    result.note_peaks(&machine);
    result
}

impl DryRun {
    fn note(&mut self, out: &mut Vec<Transition>, machine: &MachineAlerts) {
        // A peak is there as long as the alert is listed, which it is when it has just been resolved.
        self.note_peaks(machine);
        for transition in out.drain(..) {
            let open =
                |episode: &&mut Episode| episode.to.is_none() && episode.entity == transition.key.entity;
            let open = self.episodes.iter_mut().rev().find(open);
            match (open, transition.to) {
                (Some(episode), Phase::Resolved) => episode.to = Some(transition.at),
                (Some(episode), Phase::Firing) => {
                    episode.severity = episode.severity.max(transition.severity)
                }
                (None, Phase::Firing) => self.episodes.push(Episode {
                    entity: transition.key.entity,
                    severity: transition.severity,
                    from: transition.at,
                    to: None,
                    peak: transition.value,
                }),
                (None, Phase::Inactive) => self.withdrawn += 1,
                _ => {}
            }
        }
    }

    fn note_peaks(&mut self, machine: &MachineAlerts) {
        for episode in self
            .episodes
            .iter_mut()
            .rev()
            .filter(|episode| episode.to.is_none())
        {
            let alert = machine.alerts().find(|alert| alert.key.entity == episode.entity);
            if let Some(alert) = alert.filter(|alert| alert.fired == Some(episode.from)) {
                episode.peak = alert.peak;
            }
        }
    }
}
