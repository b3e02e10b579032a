//! Who is told of which machine: those whose filter it matches, or whose window it is in.

use sysmon_api::wire;

use super::subscription::{Detail, Wish};
use super::{ClientId, Fleet, Moment};

/// A filter that looks at ages is asked anew so often: they change although nothing is heard.
const AGING_MS: u64 = 1_000;

impl Fleet {
    /// Notes for everyone who watches a machine that it has changed.
    pub(super) fn touch(&mut self, number: u32) {
        self.note_version(number);
        self.refilter_changed(number);
        self.touch_where(number, |_| true);
    }

    /// Notes a change for those alone who want something in particular; filters and orders do not look at it.
    pub(super) fn touch_where(&mut self, number: u32, is_meant: impl Fn(&Wish) -> bool) {
        for position in 0..self.machines[number as usize].watchers.len() {
            let index = self.machines[number as usize].watchers[position];
            if let Some(subscription) = &mut self.subscriptions[index]
                && is_meant(&subscription.wish)
            {
                subscription.queue(number);
                self.activate(index);
            }
        }
    }

    /// The same when only the time it was last seen has changed: worth an update only now and then.
    pub(super) fn touch_seen(&mut self, number: u32) {
        self.note_version(number);
        self.refilter_changed(number);
        for position in 0..self.machines[number as usize].watchers.len() {
            let index = self.machines[number as usize].watchers[position];
            let Some(subscription) = &mut self.subscriptions[index] else {
                continue;
            };
            let machine = &self.machines[number as usize];
            let is_worth_it = subscription.cursors.get(&number).is_some_and(|cursor| {
                cursor.is_seen_too_old(machine) || cursor.status != (machine.liveness, machine.health)
            });
            if is_worth_it {
                subscription.queue(number);
                self.activate(index);
            }
        }
    }

    /// Windows look anew at machines whose version has grown.
    fn note_version(&mut self, number: u32) {
        self.version += 1;
        self.machines[number as usize].version = self.version;
    }

    /// Asks the filters that look at values, and where that has changed those that look at how the machine fares.
    fn refilter_changed(&mut self, number: u32) {
        // Noted although nobody may ask for it yet: whoever comes is to hear of the next change.
        let machine = &mut self.machines[number as usize];
        let status = (machine.liveness, machine.health);
        let is_status_new = std::mem::replace(&mut machine.filtered_status, status) != status;
        for position in 0..self.filtering.len() {
            let (index, needs) = self.filtering[position];
            if needs.metrics || needs.age || (needs.status && is_status_new) {
                self.refilter_one(number, index);
            }
        }
    }

    /// Asks the filters that look at alerts, after those of a machine have changed.
    pub(super) fn rejudge_alerts(&mut self, number: u32) {
        self.note_version(number);
        for position in 0..self.filtering.len() {
            let (index, needs) = self.filtering[position];
            if needs.alerts {
                self.refilter_one(number, index);
            }
        }
    }

    /// Finds out anew which subscriptions cover a machine, after its name, labels or other facts have changed.
    pub(super) fn refilter(&mut self, number: u32) {
        for index in 0..self.subscriptions.len() {
            self.refilter_one(number, index);
        }
    }

    /// Finds out anew whether a subscription without a window covers a machine.
    pub(super) fn refilter_one(&mut self, number: u32, index: usize) {
        let Some(subscription) = &self.subscriptions[index] else {
            return;
        };
        if subscription.window.is_some() {
            return;
        }
        let machine = &self.machines[number as usize];
        let matches = subscription.wish.selector.matches(machine, self.latest_ms);
        self.cover(number, index, matches);
    }

    /// Lets a subscription cover a machine, or no longer.
    fn cover(&mut self, number: u32, index: usize, is_covered: bool) {
        let Some(subscription) = &mut self.subscriptions[index] else {
            return;
        };
        let was_covered = subscription
            .cursors
            .get(&number)
            .is_some_and(|cursor| !cursor.is_leaving);
        if is_covered == was_covered {
            return;
        }
        let machine = &mut self.machines[number as usize];
        let wants_all = subscription.wish.detail == Detail::All;
        let before = machine.watchers_of_all;
        if is_covered {
            machine.watchers.push(index);
            machine.watchers_of_all += usize::from(wants_all);
        } else {
            machine.watchers.retain(|watcher| *watcher != index);
            machine.watchers_of_all -= usize::from(wants_all);
        }
        let redirect = (before == 0) != (machine.watchers_of_all == 0);
        subscription.cursors.entry(number).or_default().is_leaving = !is_covered;
        subscription.queue(number);
        self.activate(index);
        if redirect {
            self.redirect(number);
        }
    }

    /// Looks anew at the windows and at the filters that look at ages, as far as it is time for them and their clients
    /// can be told.
    pub(super) fn review(&mut self, now: Moment) {
        self.latest_ms = now.monotonic_ms;
        for position in 0..self.timed.len() {
            let index = self.timed[position];
            if self
                .review_due_ms(index)
                .is_some_and(|due_ms| due_ms <= now.monotonic_ms)
            {
                self.review_one(index);
            }
        }
    }

    /// When a subscription is to be looked at anew, on the monotonic clock.
    pub(super) fn review_due_ms(&self, index: usize) -> Option<u64> {
        let subscription = self.subscriptions[index].as_ref()?;
        // A client that is slow is told of one window before the next is made.
        if !subscription.may_send() || subscription.is_behind() {
            return None;
        }
        let is_aging = subscription.wish.selector.filter.needs().age;
        match &subscription.window {
            Some(window) => window.due_ms(self.version, is_aging),
            None => (is_aging && !self.machines.is_empty()).then_some(subscription.aged_ms + AGING_MS),
        }
    }

    /// Looks anew at what a subscription covers.
    pub(super) fn review_one(&mut self, index: usize) {
        let now_ms = self.latest_ms;
        let Some(subscription) = &mut self.subscriptions[index] else {
            return;
        };
        subscription.aged_ms = now_ms;
        let Some(window) = &mut subscription.window else {
            for number in 0..self.machines.len() {
                // Fits: machines are numbered in 32 bits.
                self.refilter_one(u32::try_from(number).unwrap_or(u32::MAX), index);
            }
            return;
        };
        window.review(&self.machines, &subscription.wish.selector, self.version, now_ms);
        self.select_rows(index);
    }

    /// Shows a client other rows of a window that it has, when it asks for nothing else. It goes on with the same
    /// numbers, and keeps the machines that are in both.
    pub(super) fn move_window(&mut self, client: ClientId, subscribe: &wire::Subscribe) -> bool {
        let Some(index) = self.index_of(client, subscribe.subscription) else {
            return false;
        };
        let Some(subscription) = &mut self.subscriptions[index] else {
            return false;
        };
        let is_moved = subscription.is_moved_by(subscribe);
        if let (true, Some(window), Some(wanted)) = (is_moved, &mut subscription.window, &subscribe.window) {
            window.move_to(wanted);
            self.select_rows(index);
        }
        is_moved
    }

    /// Selects the rows of a window and covers them.
    pub(super) fn select_rows(&mut self, index: usize) {
        let Some(window) = self.subscriptions[index]
            .as_mut()
            .and_then(|subscription| subscription.window.as_mut())
        else {
            return;
        };
        let (entering, leaving) = window.select(self.names.ranks(&self.machines));
        let is_news = window.is_news;
        for number in leaving {
            self.cover(number, index, false);
        }
        for number in entering {
            self.cover(number, index, true);
        }
        if is_news {
            self.activate(index);
        }
    }
}
