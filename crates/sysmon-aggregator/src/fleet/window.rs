//! Which rows of a fleet in which order a subscription is about.
//!
//! Nothing is sorted when a machine changes. At most once a second the machines that have changed since are judged anew,
//! and the rows of the window are selected from all that match: linear in the fleet, with a sort of the window alone.
//! The order of the worst changes more slowly still, and a machine keeps its place until it has clearly lost it, so that
//! a table does not jump while somebody looks at it.

use std::collections::HashSet;

use sysmon_api::{ApiError, wire};
use sysmon_core::filter::Filter;
use sysmon_core::{Health, Liveness, MetricId};

use super::machine::Machine;
use super::selection::Selector;

/// A window is looked at anew so often, when something has changed.
pub(super) const REVIEW_MS: u64 = 1_000;
/// The places of the worst are settled so often.
pub(super) const SETTLE_MS: u64 = 3_000;
/// A machine that is better keeps the place of a worse one for so long.
const EASED_MS: u64 = 10_000;
/// Load decides among machines that fare alike, in steps of this many percent,
const STEP_PERCENT: f64 = 10.0;
/// and a step is left when the load is so far beyond it.
const SLACK_PERCENT: f64 = 3.0;

/// What rows are ordered by. Those that are alike are in the order of their ids, whichever way around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Lost machines, then the critical, those with a warning, the silent, all others; within each by load.
    Worst,
    /// By id, counting numbers as people do.
    Name,
    /// Those that have been silent longest; all that are live are alike.
    Age,
    /// By the largest value; those without one come last, whichever way around.
    Metric(MetricId),
}

/// The rows that a client wants, and those that it was given.
#[derive(Debug)]
pub(super) struct Window {
    order: Order,
    reversed: bool,
    first: usize,
    rows: usize,
    /// By the number of the machine.
    seats: Vec<Seat>,
    /// The fleet's version at the last review, and when that was.
    reviewed: Option<(u64, u64)>,
    /// When places were settled last.
    settled_ms: Option<u64>,
    /// Whether a machine keeps a place that it will lose with time alone.
    is_easing: bool,
    /// How many machines match.
    matching: usize,
    /// The rows that were selected last, and with them the number of the first one and how many matched.
    shown: Vec<u32>,
    told: (usize, usize),
    /// Whether the client has to be told of them.
    pub(super) is_news: bool,
}

/// What is known of a machine's place.
#[derive(Clone, Copy, Debug, Default)]
struct Seat {
    matches: bool,
    /// The machine's version when it was last asked whether it matches,
    version: u64,
    /// and when its place was last settled; 0 for never.
    settled_version: u64,
    place: Place,
    /// Since when the machine has been better than its place, on the monotonic clock.
    eased_since_ms: Option<u64>,
}

/// What decides between two machines, but for their names: the smaller comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    class: u8,
    value: u64,
}

/// What comes after all that have a value.
const NO_VALUE: u64 = u64::MAX;

impl Window {
    const ROWS_MAX: u32 = 1_000;

    /// Checks which rows a client wants.
    ///
    /// # Errors
    /// [`sysmon_api::Code::InvalidArgument`] for an order that there is not, and for none or too many rows.
    pub(super) fn check(window: &wire::Window) -> Result<Self, ApiError> {
        let order = match window.order.as_str() {
            "worst" | "" => Order::Worst,
            "name" => Order::Name,
            "age" => Order::Age,
            name => Order::Metric(MetricId::from_name(name).ok_or_else(|| {
                let shown: String = sysmon_core::sanitize(name).chars().take(64).collect();
                let meant = Filter::closest_field(&shown).filter(|name| MetricId::from_name(name).is_some());
                let meant = meant.map_or(String::new(), |name| format!("; did you mean {name}?"));
                ApiError::invalid(format!(
                    "no order {shown:?}; give worst, name, age or the name of a metric{meant}"
                ))
            })?),
        };
        if !(1..=Self::ROWS_MAX).contains(&window.rows) {
            return Err(ApiError::invalid(format!(
                "a window of {} rows; give 1 to {}",
                window.rows,
                Self::ROWS_MAX
            )));
        }
        Ok(Self {
            order,
            reversed: window.reversed,
            first: window.first as usize,
            rows: window.rows as usize,
            seats: Vec::new(),
            reviewed: None,
            settled_ms: None,
            is_easing: false,
            matching: 0,
            shown: Vec::new(),
            told: (0, 0),
            is_news: true,
        })
    }

    /// Moves on to other rows of the same order. Takes effect with the next [`Window::select`].
    pub(super) fn move_to(&mut self, window: &wire::Window) {
        self.first = window.first as usize;
        self.rows = window.rows as usize;
    }

    /// When the rows are to be looked at anew, on the monotonic clock; none while nothing has changed.
    pub(super) fn due_ms(&self, version: u64, is_aging: bool) -> Option<u64> {
        let Some((reviewed_version, reviewed_ms)) = self.reviewed else {
            return Some(0);
        };
        let is_unsettled =
            self.order == Order::Worst && self.settled_ms.is_some_and(|settled_ms| settled_ms < reviewed_ms);
        (reviewed_version != version || is_aging || is_unsettled || self.is_easing)
            .then_some(reviewed_ms + REVIEW_MS)
    }

    /// Judges anew the machines that have changed.
    pub(super) fn review(&mut self, machines: &[Machine], selector: &Selector, version: u64, now_ms: u64) {
        let is_settling = self.order != Order::Worst
            || self
                .settled_ms
                .is_none_or(|settled_ms| now_ms >= settled_ms + SETTLE_MS);
        let is_aging = selector.filter.needs().age;
        self.seats.resize(machines.len(), Seat::default());
        self.matching = 0;
        self.is_easing = false;
        for (machine, seat) in machines.iter().zip(&mut self.seats) {
            let before = seat.matches;
            if is_aging || seat.version != machine.version {
                seat.matches = selector.matches(machine, now_ms);
                seat.version = machine.version;
            }
            if !seat.matches {
                continue;
            }
            self.matching += 1;
            let is_new = !before || seat.settled_version == 0;
            let has_changed = seat.settled_version != machine.version || seat.eased_since_ms.is_some();
            if is_new || (is_settling && has_changed) {
                seat.settle(self.order, self.reversed, machine, is_new, now_ms);
                seat.settled_version = machine.version;
            }
            self.is_easing |= seat.eased_since_ms.is_some();
        }
        if is_settling {
            self.settled_ms = Some(now_ms);
        }
        self.reviewed = Some((version, now_ms));
    }

    /// Selects the rows; `ranks` are the places of all machines in the order of their ids. Returns those that come into
    /// the window, in its order, and those that go. When fewer machines match than lie before the window, the last rows
    /// are selected.
    pub(super) fn select(&mut self, ranks: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let before: HashSet<u32> = self.shown.iter().copied().collect();
        let is_by_name = self.order == Order::Name && self.reversed;
        let mut all: Vec<(Place, u32, u32)> = (0u32..)
            .zip(&self.seats)
            .zip(ranks)
            .filter(|((_, seat), _)| seat.matches)
            .map(|((number, seat), rank)| {
                let rank = if is_by_name { u32::MAX - rank } else { *rank };
                (seat.place, rank, number)
            })
            .collect();
        let first = self.first.min(all.len().saturating_sub(self.rows));
        let end = (first + self.rows).min(all.len());
        if end < all.len() {
            all.select_nth_unstable(end);
            all.truncate(end);
        }
        if first > 0 && first < all.len() {
            all.select_nth_unstable(first);
        }
        let mut rows = all.split_off(first.min(all.len()));
        rows.sort_unstable();
        let shown: Vec<u32> = rows.into_iter().map(|(_, _, number)| number).collect();
        let entering = shown
            .iter()
            .copied()
            .filter(|number| !before.contains(number))
            .collect();
        let now: HashSet<u32> = shown.iter().copied().collect();
        let leaving = self
            .shown
            .iter()
            .copied()
            .filter(|number| !now.contains(number))
            .collect();
        let summary = (first, self.matching);
        self.is_news |= shown != self.shown || summary != self.told;
        self.shown = shown;
        self.told = summary;
        (entering, leaving)
    }

    /// The rows that were selected last.
    pub(super) fn shown(&self) -> &[u32] {
        &self.shown
    }

    /// Writes the window into an update.
    pub(super) fn tell(&mut self, update: &mut wire::Update) {
        // Machines are numbered in 32 bits.
        let count = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        update.window_machines.clone_from(&self.shown);
        update.has_window = true;
        update.window_first = count(self.told.0);
        update.matching = count(self.told.1);
        self.is_news = false;
    }
}

impl Seat {
    /// Gives the machine the place that it has by now. With [`Order::Worst`] it keeps the one that it has until that is
    /// clearly wrong.
    fn settle(&mut self, order: Order, reversed: bool, machine: &Machine, is_new: bool, now_ms: u64) {
        let (mut class, value) = match order {
            Order::Name => (0, None),
            Order::Age if machine.liveness == Liveness::Live => (1, None),
            Order::Age => (0, Some(age_value(machine))),
            Order::Metric(metric) => (0, largest(machine, metric)),
            Order::Worst => {
                let load = largest(machine, MetricId::CpuBusy).map(|load| load / STEP_PERCENT);
                let known = (!is_new).then_some(self.place);
                let class = u8::MAX - badness(machine);
                (self.eased(class, reversed, known, now_ms), load)
            }
        };
        let known_step = (!is_new && order == Order::Worst)
            .then(|| decode(self.place.value, reversed))
            .flatten();
        let value = match (order, value) {
            (Order::Worst, Some(load)) => Some(stepped(load, known_step)),
            (_, value) => value,
        };
        if reversed {
            class = u8::MAX - class;
        }
        self.place = Place {
            class,
            value: value.map_or(NO_VALUE, |value| encode(value, reversed)),
        };
    }

    /// The class of a machine, as if not reversed: a worse one at once, a better one only when it has been so for a while.
    fn eased(&mut self, class: u8, reversed: bool, known: Option<Place>, now_ms: u64) -> u8 {
        let known = known.map(|place| {
            if reversed {
                u8::MAX - place.class
            } else {
                place.class
            }
        });
        match known {
            Some(known) if class > known => {
                let since_ms = *self.eased_since_ms.get_or_insert(now_ms);
                if now_ms < since_ms + EASED_MS {
                    return known;
                }
            }
            _ => {}
        }
        self.eased_since_ms = None;
        class
    }
}

/// How bad a machine is at first sight, as the console colours it.
fn badness(machine: &Machine) -> u8 {
    match (machine.liveness, machine.health) {
        (Liveness::Lost, _) => 4,
        (_, Health::Critical) => 3,
        (_, Health::Warning) => 2,
        (Liveness::Stale, _) => 1,
        _ => 0,
    }
}

/// The step that a load belongs to; the known one while the load is not clearly beyond it.
fn stepped(load: f64, known: Option<f64>) -> f64 {
    let slack = SLACK_PERCENT / STEP_PERCENT;
    match known {
        Some(known) if load >= known - slack && load < known + 1.0 + slack => known,
        _ => load.floor(),
    }
}

/// The longer a machine has been silent, the larger.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of a process's life are exact in a double"
)]
fn age_value(machine: &Machine) -> f64 {
    -(machine.last_seen.0 as f64)
}

/// The largest value that a machine has of a metric.
fn largest(machine: &Machine, metric: MetricId) -> Option<f64> {
    if metric.definition().label.is_none() {
        return machine.recent.value(metric);
    }
    let values = machine.recent.entities_of(metric);
    values.filter_map(|(_, series)| series.current()).reduce(f64::max)
}

/// A number whose order is that of the values, largest first unless reversed, and smaller than [`NO_VALUE`].
fn encode(value: f64, reversed: bool) -> u64 {
    // There is only one zero.
    let bits = (value + 0.0).to_bits();
    let ascending = if bits >> 63 == 0 { bits | 1 << 63 } else { !bits };
    let code = if reversed { ascending } else { !ascending };
    code.min(NO_VALUE - 1)
}

/// The value that [`encode`] was given; none when there was none.
fn decode(code: u64, reversed: bool) -> Option<f64> {
    if code == NO_VALUE {
        return None;
    }
    let ascending = if reversed { code } else { !code };
    let bits = if ascending >> 63 == 1 {
        ascending & !(1 << 63)
    } else {
        !ascending
    };
    Some(f64::from_bits(bits))
}
