//! The alerts of one machine: samples and silence in, transitions out. Pure: every moment is an argument.
//!
//! Two clocks come in. Levels and holds are judged by the time of the samples; missing data and a silent machine by the
//! clock of whoever receives them. Per sample nothing is hashed, and nothing is allocated unless an alert changes.

mod adopted;
mod clock;
mod down;
mod feed;
mod input;
mod layout;
mod mutes;
mod saved;
mod standing;
mod watch;

use std::collections::HashMap;
use std::sync::Arc;

pub use saved::SavedMachine;

use super::mute::Silence;
use super::rule_set::{RuleSet, Shape};
use super::stage::Stage;
use super::state::{Alert, Cause, Phase, Transition};
use super::window::is_usable;
use crate::identity::MachineId;
use crate::sample::SeriesKey;
use crate::time::{Liveness, UnixMillis};
use down::Down;
use feed::Feed;
use standing::Context;
use watch::Watch;

/// An alert that fired this often within [`FLAPPING_WINDOW_MS`] is flapping.
pub const FLAPPING_COUNT: usize = 4;
/// Flapping ends when an alert has not begun to fire for this long: 30 minutes.
pub const FLAPPING_WINDOW_MS: u64 = 30 * 60_000;
/// How long a resolved alert is still listed: 30 minutes.
pub const RESOLVED_KEPT_MS: u64 = FLAPPING_WINDOW_MS;
/// How long an alert that fired outlives its entity (a disk that was unplugged); then it is resolved: 24 hours.
pub const GONE_KEPT_MS: u64 = 24 * 3_600_000;
/// The most alerts of entities that are gone; the oldest is resolved to make room.
pub const GONE_MAX: usize = 256;
/// The most pairs of rule and entity that one machine is judged by; further ones are not watched.
pub const WATCHES_MAX: usize = 16_384;
/// Samples later than this, or than three intervals, are history only: 30 s.
pub const LATE_MS: u64 = 30_000;
/// A series of which nothing came for this long, or for three times its pace, is missing: 60 s.
pub const MISSING_MS: u64 = 60_000;

/// The alerts of one machine. One exists for every machine of the inventory, whether it was heard of or not.
#[derive(Debug)]
pub struct MachineAlerts {
    id: MachineId,
    labels: Vec<String>,
    interval_ms: u64,
    clock_offset_ms: i64,
    rules: Arc<RuleSet>,
    /// All announced series, by number: a later rule may need them.
    series: Vec<(u32, Arc<SeriesKey>)>,
    feeds: Vec<Feed>,
    feed_of: HashMap<Arc<SeriesKey>, u32>,
    /// Number and feed, by number.
    dispatch: Vec<(u32, u32)>,
    watches: Vec<Watch>,
    downs: Vec<Down>,
    is_layout_old: bool,
    /// Counts the judged samples.
    tick: u64,
    /// Time of the newest judged sample.
    newest: Option<UnixMillis>,
    /// When something was last heard of the machine.
    heard: Option<UnixMillis>,
    /// For how long the machine was heard of, in milliseconds: silence does not count, so that what is missing is told
    /// from what cannot come.
    presence_ms: u64,
    /// Presence at which some series may be missing.
    missing_at_ms: u64,
    /// When the next timer ends, by the receive clock.
    due: UnixMillis,
    silences: Vec<Silence>,
    revision: u64,
    /// The latest moment of the receive clock that was told.
    now: UnixMillis,
}

impl MachineAlerts {
    /// A machine of which nothing is known yet. Give it rules, a host and series; until the first word of it nothing
    /// is judged (see [`MachineAlerts::resume`] for a machine that may be silent already).
    #[must_use]
    pub fn new(id: MachineId) -> Self {
        Self {
            id,
            labels: Vec::new(),
            interval_ms: 5_000,
            clock_offset_ms: 0,
            rules: Arc::default(),
            series: Vec::new(),
            feeds: Vec::new(),
            feed_of: HashMap::new(),
            dispatch: Vec::new(),
            watches: Vec::new(),
            downs: Vec::new(),
            is_layout_old: false,
            tick: 0,
            newest: None,
            heard: None,
            presence_ms: 0,
            missing_at_ms: 0,
            due: UnixMillis(i64::MAX),
            silences: Vec::new(),
            revision: 0,
            now: UnixMillis(i64::MIN),
        }
    }

    /// Which machine.
    #[must_use]
    pub fn id(&self) -> &MachineId {
        &self.id
    }

    /// Whether any rule covers the machine, whatever it reports.
    #[must_use]
    pub fn is_covered(&self) -> bool {
        let mut rules = self.rules.compiled().iter();
        rules.any(|rule| rule.covers(&self.id, &self.labels))
    }

    /// Takes one sample: its time by the machine's clock, when it was received, and values by series number, best
    /// ascending. A sample that is late, or not after the newest one, only proves that the machine is alive. Numbers
    /// that are not announced, values that are not finite or larger than 1e100 are ignored.
    pub fn observe(
        &mut self,
        at: UnixMillis,
        received: UnixMillis,
        values: &[(u32, f64)],
        out: &mut Vec<Transition>,
    ) {
        let before = out.len();
        if self.is_layout_old {
            self.lay_out(received, out);
        }
        self.hear(received, out);
        if self.accept(at, received) {
            self.tick += 1;
            self.store(at, values);
            self.judge(at, received, out);
        }
        if self.presence_ms >= self.missing_at_ms {
            self.find_missing(received, out);
        }
        if received >= self.due {
            self.run_timers(received, out);
        }
        self.finish(before, out);
    }

    /// Something was heard of the machine, such as a heartbeat.
    pub fn heard(&mut self, received: UnixMillis, out: &mut Vec<Transition>) {
        let before = out.len();
        self.hear(received, out);
        if self.presence_ms >= self.missing_at_ms {
            self.find_missing(received, out);
        }
        if received >= self.due {
            self.run_timers(received, out);
        }
        self.finish(before, out);
    }

    /// Makes `number` stand for a series. A key that had another number keeps its state.
    pub fn announce(&mut self, number: u32, key: &Arc<SeriesKey>) {
        match self.series.binary_search_by_key(&number, |(known, _)| *known) {
            Ok(place) if self.series[place].1 == *key => return,
            Ok(place) => {
                let former = std::mem::replace(&mut self.series[place].1, Arc::clone(key));
                self.is_layout_old |= self.rules.needs(former.metric.name());
            }
            Err(_) if self.series.len() >= crate::machine::Recent::SERIES_LIMIT => return,
            Err(place) => self.series.insert(place, (number, Arc::clone(key))),
        }
        if let Some(feed) = self.feed_of.get(key).map(|feed| &mut self.feeds[*feed as usize]) {
            let former = std::mem::replace(&mut feed.number, number);
            if former != number {
                self.series
                    .retain(|(known, other)| *known != former || other != key);
            }
        }
        self.is_layout_old |= self.rules.needs(key.metric.name());
    }

    /// The entity of a series is gone (a disk was unplugged, a container ended), as of `now` by the receive clock. What
    /// fired stays, without data, for [`GONE_KEPT_MS`]; what did not fire is forgotten. A series that is there only as
    /// long as something is wrong (`systemd.unit_failed`) counts as 0.
    pub fn retire(&mut self, number: u32, now: UnixMillis, out: &mut Vec<Transition>) {
        let Ok(place) = self.series.binary_search_by_key(&number, |(known, _)| *known) else {
            return;
        };
        let before = out.len();
        let (_, key) = self.series.remove(place);
        if self.series.iter().any(|(_, other)| *other == key) {
            return; // It goes by another number now.
        }
        if self.is_layout_old {
            self.lay_out(now, out);
        }
        if let Some(feed) = self.feed_of.get(&key).copied() {
            self.end_feed(feed, now, out);
            self.is_layout_old = true;
        }
        self.finish(before, out);
    }

    /// All numbers are void until they are announced again: the collector has begun a new stream. State stays with the
    /// keys; what is not announced again within the time after which data is missing counts as retired.
    pub fn forget_numbers(&mut self) {
        self.series.clear();
        self.dispatch.clear();
        self.is_layout_old = true;
    }

    /// A number that grows whenever an alert of this machine changes visibly in anything but its value and peak.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The alerts that are worth showing: pending, firing, recovering, without data, and those resolved within
    /// [`RESOLVED_KEPT_MS`].
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        let downs = self.downs.iter().filter_map(|down| down.standing.as_deref());
        let watched = self.watches.iter().filter_map(|watch| watch.standing.as_deref());
        downs
            .chain(watched)
            .map(|standing| &standing.alert)
            .filter(|alert| alert.phase != Phase::Inactive)
    }

    /// Whether some level fires within `within_ms` of sample time unless its value comes back before. Not of a machine that
    /// is about to count as down.
    #[must_use]
    pub fn is_about_to_fire(&self, within_ms: u64) -> bool {
        let Some(newest) = self.newest else { return false };
        self.watches.iter().any(|watch| {
            let hold_ms = self.rules.compiled()[watch.rule as usize].rule.hold_ms;
            let is_near = |stage: &Stage| {
                let Stage::Pending(since) = stage else {
                    return false;
                };
                hold_ms.saturating_sub(newest.since_ms(*since)) <= within_ms
            };
            let standing = watch.standing.as_deref();
            standing.is_some_and(|standing| standing.stages.iter().any(is_near))
        })
    }

    /// Whether a sample is to be judged; takes note of its time if so.
    fn accept(&mut self, at: UnixMillis, received: UnixMillis) -> bool {
        let tolerance_ms = self.interval_ms.saturating_mul(3).max(LATE_MS);
        let theirs = received.plus_ms(self.clock_offset_ms);
        if theirs.since_ms(at) > tolerance_ms {
            return false;
        }
        if let Some(newest) = self.newest.filter(|newest| at <= *newest) {
            if newest.since_ms(theirs) <= tolerance_ms {
                return false;
            }
            // The newest sample was from the future: the machine's clock was set back, and time begins anew.
            self.watches.iter_mut().for_each(Watch::begin_anew);
            self.feeds.iter_mut().for_each(|feed| feed.begin_anew(at));
        }
        self.newest = Some(at);
        true
    }

    /// Hands values to the series that rules need. Both lists ascend, so one pass does; a value that is out of order
    /// costs a search.
    fn store(&mut self, at: UnixMillis, values: &[(u32, f64)]) {
        let (mut place, mut last) = (0, 0);
        for (number, value) in values {
            if *number < last {
                place = self.dispatch.partition_point(|(known, _)| known < number);
            }
            last = *number;
            while self.dispatch.get(place).is_some_and(|(known, _)| known < number) {
                place += 1;
            }
            let Some((known, feed)) = self.dispatch.get(place) else {
                continue;
            };
            if known == number && is_usable(*value) {
                self.feeds[*feed as usize].take(at, *value, self.tick, self.presence_ms);
            }
        }
    }

    fn judge(&mut self, at: UnixMillis, received: UnixMillis, out: &mut Vec<Transition>) {
        let context = Context {
            machine: &self.id,
            labels: &self.labels,
            silences: &self.silences,
            received,
            is_inhibited: self.downs.iter().any(Down::is_firing),
        };
        for watch in &mut self.watches {
            let feed = &self.feeds[watch.input.feed as usize];
            let is_fresh = feed.tick == self.tick;
            if !is_fresh && watch.guards.is_empty() {
                continue;
            }
            let compiled = &self.rules.compiled()[watch.rule as usize];
            let Shape::Metric(plan) = &compiled.shape else {
                continue;
            };
            watch.note_guards(plan, &self.feeds, self.tick, self.interval_ms);
            if is_fresh {
                watch.judge(compiled, plan, &self.feeds, self.interval_ms, at, &context, out);
            }
        }
    }

    /// Counts changes and plans the next timer after anything that may have made transitions.
    fn finish(&mut self, before: usize, out: &[Transition]) {
        if out.len() > before {
            self.revision += 1;
            self.plan_timers();
        }
    }

    /// For how long the machine was heard of until `now`. Without a rule that would tell of its silence, silence counts.
    fn presence_at(&self, now: UnixMillis) -> u64 {
        let Some(heard) = self.heard else {
            return self.presence_ms;
        };
        let since_ms = now.since_ms(heard);
        let most_ms = if self.downs.is_empty() {
            u64::MAX
        } else {
            Liveness::stale_after_ms(self.interval_ms).max(Liveness::HEARTBEAT_MS * 3 / 2)
        };
        self.presence_ms.saturating_add(since_ms.min(most_ms))
    }

    /// A series is gone: what its rules make of it.
    fn end_feed(&mut self, feed: u32, now: UnixMillis, out: &mut Vec<Transition>) {
        let ended = &mut self.feeds[feed as usize];
        // Nothing of it is kept, so that it makes no difference when the layout is next worked out.
        *ended = Feed::new(Arc::clone(&ended.key), ended.presence_ms);
        ended.is_gone = true;
        let zero = ended.is_presence().then_some(0.0);
        for watch in &mut self.watches {
            watch.end_guards(feed);
        }
        for watch in self.watches.iter_mut().filter(|watch| watch.input.feed == feed) {
            watch.gone_since = Some(now);
            let compiled = &self.rules.compiled()[watch.rule as usize];
            watch.end(compiled, zero, self.newest.unwrap_or(now), now, out);
        }
        self.dispatch.retain(|(_, known)| *known != feed);
        let gone = |watch: &Watch| watch.gone_since.filter(|_| watch.is_active());
        while self.watches.iter().filter_map(gone).count() > GONE_MAX {
            let oldest = self.watches.iter_mut().filter(|watch| watch.is_active());
            let Some(oldest) = oldest
                .filter(|watch| watch.gone_since.is_some())
                .min_by_key(|watch| watch.gone_since)
            else {
                return;
            };
            oldest.close(Cause::DataMissing, now, now, out);
        }
    }
}

#[cfg(test)]
mod tests;
