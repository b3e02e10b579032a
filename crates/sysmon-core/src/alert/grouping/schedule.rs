//! When one receiver is told of one group.

use serde::{Deserialize, Serialize};

use super::{Change, Due, Item, NotificationKind, Timing};
use crate::alert::rule::Severity;
use crate::time::UnixMillis;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Schedule {
    /// Since when there is something new to tell.
    waiting: Option<UnixMillis>,
    /// When the receiver was told last.
    sent: Option<UnixMillis>,
    /// When it was last told at once.
    hurried: Option<UnixMillis>,
    /// When it was last told that all is over.
    ended: Option<UnixMillis>,
    /// How long flapping keeps it waiting; 0 when nothing flaps.
    slowed_ms: u64,
    /// The step that began what is told, and how many notifications there were since.
    first: String,
    number: u32,
}

impl Schedule {
    fn interval_ms(&self, timing: &Timing) -> u64 {
        timing.interval_ms.max(self.slowed_ms)
    }

    /// Whether it is time to tell what there is to tell.
    pub(super) fn decide(
        &mut self,
        timing: &Timing,
        now: UnixMillis,
        items: &[Item],
        is_told_critical: bool,
    ) -> Option<NotificationKind> {
        // A clock that was set back must not keep anybody waiting.
        for moment in [&mut self.sent, &mut self.hurried, &mut self.ended] {
            *moment = moment.map(|moment| moment.min(now));
        }
        let fires = items.iter().any(|item| item.change != Change::Recovered);
        if !is_new(items) {
            self.waiting = None;
            let is_due = fires && self.reminder(timing).is_some_and(|due| due <= now);
            return is_due.then_some(NotificationKind::Reminder);
        }
        let waiting = self.waiting.map_or(now, |waiting| waiting.min(now));
        self.waiting = Some(waiting);
        let is_first_critical = !is_told_critical && items.iter().any(is_new_critical);
        let may_hurry = self
            .hurried
            .is_none_or(|hurried| after(hurried, self.interval_ms(timing)) <= now);
        if is_first_critical && may_hurry {
            self.hurried = Some(now);
        } else if self.due(timing, waiting, fires) > now {
            return None;
        }
        Some(if fires {
            NotificationKind::Firing
        } else {
            self.ended = Some(now);
            NotificationKind::Recovered
        })
    }

    /// When what is new since `waiting` is told. That all is over does not wait for the interval after what began it:
    /// whoever was called is not to look for what is gone. It is held back by the end before it only, and when it flaps.
    fn due(&self, timing: &Timing, waiting: UnixMillis, fires: bool) -> UnixMillis {
        let waited = after(waiting, timing.wait_ms);
        let is_calm = self.slowed_ms == 0;
        let last = if !fires && is_calm { self.ended } else { self.sent };
        let paused = last.map(|last| after(last, self.interval_ms(timing)));
        paused.map_or(waited, |paused| paused.max(waited))
    }

    fn reminder(&self, timing: &Timing) -> Option<UnixMillis> {
        self.sent.map(|sent| after(sent, timing.repeat_ms))
    }

    /// Notes when there will be something to tell.
    pub(super) fn look(
        &self,
        timing: &Timing,
        now: UnixMillis,
        items: &[Item],
        is_told_critical: bool,
        due: &mut Due,
    ) {
        let next = match self.waiting {
            Some(waiting) if is_new(items) => {
                let may_hurry = !is_told_critical && items.iter().any(is_new_critical);
                let hurry = self
                    .hurried
                    .map(|hurried| after(hurried, self.interval_ms(timing)))
                    .filter(|hurry| may_hurry && *hurry > now);
                let fires = items.iter().any(|item| item.change != Change::Recovered);
                let next = self.due(timing, waiting, fires);
                Some(hurry.map_or(next, |hurry| hurry.min(next)))
            }
            _ if items.is_empty() => None,
            _ => self.reminder(timing),
        };
        // What was due has just been told.
        let next = next.filter(|next| *next > now);
        due.next = match (due.next, next) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }

    /// Takes note that the receiver was told.
    pub(super) fn sent(&mut self, timing: &Timing, now: UnixMillis, items: &[Item]) {
        let flaps = items
            .iter()
            .any(|item| item.flapping && item.change != Change::Unchanged);
        if flaps {
            let doubled = self.interval_ms(timing).saturating_mul(2);
            self.slowed_ms = doubled.min(timing.interval_ms_max);
        } else if is_new(items) {
            self.slowed_ms = 0;
        }
        self.sent = Some(now);
        self.waiting = None;
    }

    /// The receiver knows of nothing, and is about to. The numbers go on, so that no name comes again.
    pub(super) fn begin(&mut self, first: String) {
        self.first = first;
    }

    /// What began it, and the number of the next notification.
    pub(super) fn next_name(&mut self) -> (&str, u32) {
        let number = self.number;
        self.number = number.saturating_add(1);
        (&self.first, number)
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.waiting.is_some() || self.sent.is_some()
    }

    /// Whether it would not hold up anything any more.
    pub(super) fn is_over(&self, timing: &Timing, now: UnixMillis) -> bool {
        let pause = self.interval_ms(timing);
        self.sent.is_none_or(|sent| after(sent, pause) <= now)
    }
}

fn after(moment: UnixMillis, ms: u64) -> UnixMillis {
    moment.plus_ms(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn is_new(items: &[Item]) -> bool {
    items.iter().any(|item| item.change != Change::Unchanged)
}

fn is_new_critical(item: &Item) -> bool {
    item.severity == Severity::Critical && matches!(item.change, Change::Fired | Change::Worsened)
}
