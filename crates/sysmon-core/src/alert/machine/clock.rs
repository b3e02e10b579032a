//! What time alone does to the alerts of a machine, by the receive clock.

use super::super::state::{Cause, Phase, Transition};
use super::feed::NONE;
use super::mutes;
use super::standing::Standing;
use super::watch::Watch;
use super::{FLAPPING_WINDOW_MS, GONE_KEPT_MS, MISSING_MS, MachineAlerts, RESOLVED_KEPT_MS};
use crate::time::UnixMillis;

impl MachineAlerts {
    /// Time goes on without a word of the machine. Call it at [`MachineAlerts::next_due`] or whenever it suits; a late
    /// call makes the same steps at the moments when they were due.
    pub fn advance(&mut self, now: UnixMillis, out: &mut Vec<Transition>) {
        let before = out.len();
        self.now = self.now.max(now);
        if self.is_layout_old {
            self.lay_out(now, out);
        }
        self.note_silence(now, out);
        if self.presence_at(now) >= self.missing_at_ms {
            self.find_missing(now, out);
        }
        if now >= self.due {
            self.run_timers(now, out);
        }
        self.finish(before, out);
    }

    /// Whoever judges was away until `now`: silence counts from now on, so that the machines of a fleet do not all
    /// seem down before they could be heard. What was down stays down until it is heard.
    pub fn resume(&mut self, now: UnixMillis) {
        self.now = self.now.max(now);
        self.heard = Some(now);
    }

    /// When [`MachineAlerts::advance`] has something to do at the latest, by the receive clock; `None` when nothing but
    /// a word of the machine can change anything.
    #[must_use]
    pub fn next_due(&self) -> Option<UnixMillis> {
        let is_lively = |watch: &Watch| {
            let phase = watch.standing.as_deref().map(|standing| standing.alert.phase);
            matches!(phase, Some(Phase::Pending | Phase::Firing | Phase::Recovering))
        };
        let can_lose_data = self.watches.iter().any(is_lively);
        let missing = self.heard.and_then(|heard| {
            let left_ms = self.missing_at_ms.saturating_sub(self.presence_ms);
            let at = heard.plus_ms(i64::try_from(left_ms).unwrap_or(i64::MAX));
            (can_lose_data && self.presence_at(at) >= self.missing_at_ms).then_some(at)
        });
        let timer = Some(self.due).filter(|due| due.0 != i64::MAX);
        [missing, timer, self.silence_due()].into_iter().flatten().min()
    }

    /// Finds series of which nothing came for too long.
    pub(super) fn find_missing(&mut self, now: UnixMillis, out: &mut Vec<Transition>) {
        let presence_ms = self.presence_at(now);
        // Series that come back meanwhile cannot be missing again before this.
        let mut next_ms = presence_ms.saturating_add(MISSING_MS);
        let mut ended = Vec::new();
        for (place, feed) in self.feeds.iter().enumerate() {
            let missing_at_ms = feed.missing_at_ms(self.interval_ms);
            if missing_at_ms > presence_ms {
                next_ms = next_ms.min(missing_at_ms);
            } else if feed.number == NONE && !feed.is_gone {
                ended.extend(u32::try_from(place));
            }
        }
        self.missing_at_ms = next_ms;
        for watch in &mut self.watches {
            let Some(standing) = watch.standing.as_deref_mut() else {
                continue;
            };
            let is_missing = |place: u32| {
                let feed = self.feeds.get(place as usize);
                feed.is_none_or(|feed| feed.missing_at_ms(self.interval_ms) <= presence_ms)
            };
            let compiled = &self.rules.compiled()[watch.rule as usize];
            if is_missing(watch.input.feed) || compiled.is_ratio() && is_missing(watch.input.per) {
                standing.lose_data(now, out);
            }
        }
        for feed in ended {
            self.end_feed(feed, now, out);
            self.is_layout_old = true;
        }
    }

    /// Ends what has a time limit.
    pub(super) fn run_timers(&mut self, now: UnixMillis, out: &mut Vec<Transition>) {
        for watch in &mut self.watches {
            let is_over = |gone: UnixMillis| now.since_ms(gone) >= GONE_KEPT_MS;
            if watch.gone_since.is_some_and(is_over) && watch.is_active() {
                watch.close(Cause::DataMissing, now, now, out);
            }
        }
        let downs = self.downs.iter_mut().map(|down| &mut down.standing);
        let watches = self.watches.iter_mut().map(|watch| &mut watch.standing);
        let mut has_changed = false;
        for slot in downs.chain(watches) {
            let Some(standing) = slot.as_deref_mut() else {
                continue;
            };
            has_changed |= standing.judge_flapping(now);
            has_changed |= mutes::update(standing, &self.silences, &self.labels, now);
            if !standing.is_active() && now.since_ms(standing.stepped) >= RESOLVED_KEPT_MS {
                has_changed |= standing.alert.phase == Phase::Resolved;
                *slot = None;
            }
        }
        let is_nothing = |watch: &Watch| watch.gone_since.is_some() && watch.standing.is_none();
        self.is_layout_old |= self.watches.iter().any(is_nothing);
        self.revision += u64::from(has_changed);
        self.plan_timers();
    }

    /// Finds when the next of these ends.
    pub(super) fn plan_timers(&mut self) {
        let mut due = UnixMillis(i64::MAX);
        let mut note = |at: UnixMillis| due = due.min(at);
        for watch in self.watches.iter().filter(|watch| watch.is_active()) {
            watch
                .gone_since
                .map(|gone| gone.plus_ms(GONE_KEPT_MS.cast_signed()))
                .map(&mut note);
        }
        let downs = self.downs.iter().filter_map(|down| down.standing.as_deref());
        let watches = self.watches.iter().filter_map(|watch| watch.standing.as_deref());
        let mut is_any = false;
        for standing in downs.chain(watches) {
            is_any = true;
            note_standing(standing, &mut note);
        }
        if is_any {
            let ends = self
                .silences
                .iter()
                .flat_map(|silence| [silence.from, silence.until]);
            ends.filter(|end| *end > self.now).for_each(note);
        }
        self.due = due;
    }
}

fn note_standing(standing: &Standing, note: &mut impl FnMut(UnixMillis)) {
    if standing.alert.flapping
        && let Some(fire) = standing.fires[0]
    {
        note(fire.plus_ms(FLAPPING_WINDOW_MS.cast_signed()));
    }
    if let Some(until) = standing.alert.acknowledged.as_ref().and_then(|known| known.until) {
        note(until);
    }
    if !standing.is_active() {
        note(standing.stepped.plus_ms(RESOLVED_KEPT_MS.cast_signed()));
    }
}
