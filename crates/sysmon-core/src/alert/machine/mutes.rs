//! Silences, acknowledgements and what else is said about an alert from outside.

use super::super::mute::{Acknowledgement, Silence, SilenceId};
use super::super::pattern;
use super::super::state::{Alert, AlertKey, Culprit};
use super::MachineAlerts;
use super::standing::Standing;
use crate::time::UnixMillis;

/// The silence that mutes an alert now: of several the one that lasts longest.
pub(super) fn silence_of(
    silences: &[Silence],
    key: &AlertKey,
    labels: &[String],
    now: UnixMillis,
) -> Option<SilenceId> {
    let mutes = |silence: &&Silence| {
        let matcher = &silence.matcher;
        silence.from <= now
            && now < silence.until
            && (matcher.rules.is_empty() || matcher.rules.contains(&key.rule))
            && (matcher.machines.is_empty() || matcher.machines.contains(&key.machine))
            && matcher.labels.iter().all(|wanted| labels.contains(wanted))
            && (matcher.entities.is_empty() || pattern::any(&matcher.entities, &key.entity))
    };
    let longest = silences
        .iter()
        .filter(mutes)
        .max_by_key(|silence| (silence.until, std::cmp::Reverse(silence.id)));
    longest.map(|silence| silence.id)
}

/// Brings silence and acknowledgement up to date; whether anything changed.
pub(super) fn update(
    standing: &mut Standing,
    silences: &[Silence],
    labels: &[String],
    now: UnixMillis,
) -> bool {
    let alert = &mut standing.alert;
    let silenced = silence_of(silences, &alert.key, labels, now);
    let mut has_changed = silenced != alert.silenced;
    alert.silenced = silenced;
    if alert
        .acknowledged
        .as_ref()
        .is_some_and(|known| known.until.is_some_and(|until| until <= now))
    {
        alert.acknowledged = None;
        has_changed = true;
    }
    has_changed
}

impl MachineAlerts {
    /// Takes the place of all silences. Those of other machines may be among them. Evaluation goes on under a silence.
    pub fn set_silences(&mut self, silences: &[Silence], now: UnixMillis) {
        self.now = self.now.max(now);
        let is_ours = |silence: &&Silence| {
            silence.matcher.machines.is_empty() || silence.matcher.machines.contains(&self.id)
        };
        self.silences = silences.iter().filter(is_ours).cloned().collect();
        self.update_mutes(now);
    }

    pub(super) fn update_mutes(&mut self, now: UnixMillis) {
        let downs = self
            .downs
            .iter_mut()
            .filter_map(|down| down.standing.as_deref_mut());
        let watches = self
            .watches
            .iter_mut()
            .filter_map(|watch| watch.standing.as_deref_mut());
        let mut has_changed = false;
        for standing in downs.chain(watches) {
            has_changed |= update(standing, &self.silences, &self.labels, now);
        }
        self.revision += u64::from(has_changed);
        self.plan_timers();
    }

    /// Somebody knows of an alert, or with `None` does not any more. `false` when there is no such alert, or when it is
    /// over.
    pub fn acknowledge(&mut self, key: &AlertKey, acknowledgement: Option<Acknowledgement>) -> bool {
        let Some(alert) = self.active_mut(key) else {
            return false;
        };
        alert.acknowledged = acknowledgement;
        self.revision += 1;
        self.plan_timers();
        true
    }

    /// Notes who was busy when an alert got worse: the first three. `false` when there is no such alert, or when it is
    /// over.
    pub fn set_culprits(&mut self, key: &AlertKey, mut culprits: Vec<Culprit>) -> bool {
        culprits.truncate(3);
        let Some(alert) = self.active_mut(key) else {
            return false;
        };
        alert.culprits = culprits;
        self.revision += 1;
        true
    }

    fn active_mut(&mut self, key: &AlertKey) -> Option<&mut Alert> {
        let downs = self
            .downs
            .iter_mut()
            .filter_map(|down| down.standing.as_deref_mut());
        let watches = self
            .watches
            .iter_mut()
            .filter_map(|watch| watch.standing.as_deref_mut());
        downs
            .chain(watches)
            .find(|standing| standing.is_active() && standing.alert.key == *key)
            .map(|standing| &mut standing.alert)
    }
}
