//! The past on screen: which moment is shown, which one is wanted, and what waits meanwhile to be shown again.
//!
//! While the past is shown, the state's own fleet, machine, board of alerts and history are those of that moment; what is
//! live is kept aside in the [`Trip`] and goes on being told. So everything that draws the state draws the past too.

use sysmon_api::{Machine, Replica, wire};
use sysmon_core::{Gap, Recent, UnixMillis};

use super::alerts::board::Board;
use super::alerts::list::AlertList;
use super::fleet::FleetTable;
use super::past::Past;
use super::processes::ProcessTableState;
use super::{Focus, State, View};
use crate::axis::Range;

pub(crate) mod compare;
pub(crate) mod log;

use compare::Comparison;
use log::Log;

/// Commands about the past are numbered from here on, out of the way of all others.
pub(crate) const FIRST_TRIP: u64 = 1 << 48;
/// Subscriptions to the past are numbered from here on, each of them anew, so that no update of one that was replaced is
/// taken for one of its successor. At most two of them stand at a time.
pub(crate) const FIRST_TRIP_SUBSCRIPTION: u32 = 16;

/// How fast the past plays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Speed {
    #[default]
    Normal,
    Ten,
    Sixty,
}

impl Speed {
    /// The next one, and the first after the last.
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Normal => Self::Ten,
            Self::Ten => Self::Sixty,
            Self::Sixty => Self::Normal,
        }
    }

    /// How many times faster than it was.
    pub(crate) fn times(self) -> u32 {
        match self {
            Self::Normal => 1,
            Self::Ten => 10,
            Self::Sixty => 60,
        }
    }
}

/// What a subscription to the past shows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    /// The moment that it began with or, once it plays, has come to.
    pub(crate) at: UnixMillis,
    /// 0 when it stands still.
    pub(crate) speed: u32,
    /// What is subscribed to, as it would be live.
    pub(crate) wish: wire::Subscribe,
}

/// A subscription to the past.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) subscription: u32,
    pub(crate) request_id: u64,
    pub(crate) target: Target,
    pub(crate) asked_at: UnixMillis,
    /// What it has brought, until that is whole and goes on screen.
    pub(crate) incoming: Option<Replica>,
}

/// A subscription that was refused, so that the same is not asked for over and over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refused {
    pub(crate) target: Target,
    /// When it may be asked again; never for what will not change.
    pub(crate) retry_at: Option<UnixMillis>,
}

/// The subscriptions of one kind: the fleet's or the machine's.
#[derive(Debug, Default)]
pub(crate) struct Channel {
    pub(crate) stream: Option<Stream>,
    pub(crate) refused: Option<Refused>,
    /// The moment of the picture that it has brought last.
    pub(crate) shown: Option<UnixMillis>,
}

impl Channel {
    /// Whether an answer is awaited.
    pub(crate) fn is_awaited(&self) -> bool {
        self.stream
            .as_ref()
            .is_some_and(|stream| stream.incoming.is_some())
    }
}

/// What is live, kept aside while the past is on screen.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    pub(crate) view: Option<View>,
    pub(crate) fleet: Replica,
    /// It goes with the fleet: its rows are that fleet's.
    pub(crate) fleet_table: FleetTable,
    pub(crate) machine: Replica,
    pub(crate) board: Board,
    pub(crate) past: Past,
}

/// Where the person was, for the way back.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) trail: Vec<View>,
    pub(crate) focus: Option<Focus>,
    pub(crate) process_table: ProcessTableState,
    pub(crate) alert_list: AlertList,
    pub(crate) is_log_shown: bool,
}

/// A way to an event mark that the log of alerts was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seek {
    pub(crate) request_id: u64,
    pub(crate) from: UnixMillis,
    pub(crate) is_backwards: bool,
    pub(crate) asked_at: UnixMillis,
}

/// A stay in the past.
#[derive(Debug)]
pub(crate) struct Trip {
    /// Where the person wants to be; when it plays, where it has come to.
    pub(crate) goal: UnixMillis,
    /// When the person last changed it, on our own clock.
    pub(crate) changed_at: UnixMillis,
    /// The moment on screen; `None` until the first answer.
    pub(crate) shown: Option<UnixMillis>,
    pub(crate) speed: Speed,
    pub(crate) is_playing: bool,
    /// Where the charts end: they stand still while the moment moves within them.
    pub(crate) charts_end: UnixMillis,
    pub(crate) is_dragging: bool,
    pub(crate) fleet: Channel,
    pub(crate) machine: Channel,
    /// Why the picture is not the wanted one.
    pub(crate) problem: Option<String>,
    pub(crate) log: Log,
    pub(crate) seek: Option<Seek>,
    pub(crate) aside: Aside,
    pub(crate) entry: Entry,
}

impl Trip {
    /// Exchanges what is on screen with what was kept aside.
    pub(crate) fn exchange(&mut self, state: &mut State) {
        let aside = &mut self.aside;
        std::mem::swap(&mut aside.fleet, &mut state.fleet);
        std::mem::swap(&mut aside.fleet_table, &mut state.fleet_table);
        std::mem::swap(&mut aside.machine, &mut state.machine);
        std::mem::swap(&mut aside.board, &mut state.alerts.board);
        std::mem::swap(&mut aside.past, &mut state.past);
        if let Some(view) = &mut aside.view {
            std::mem::swap(view, &mut state.view);
        }
    }

    /// The moment that the screen is to be understood by.
    pub(crate) fn moment(&self) -> UnixMillis {
        self.shown.unwrap_or(self.goal)
    }

    /// Whether the picture of another moment than the one on screen is awaited.
    pub(crate) fn is_loading(&self) -> bool {
        self.shown != Some(self.goal) && !(self.is_playing && self.shown.is_some())
    }

    /// The machine as it is now, with its newest ticks, as far as it is subscribed to.
    pub(crate) fn live_machine(&self, id: &str) -> Option<&Machine> {
        let aside = &self.aside;
        aside.machine.find(id).or_else(|| aside.fleet.find(id))
    }

    /// Lets the charts show the moment: they move only when it comes near their edge, or `always`.
    pub(crate) fn centre(&mut self, range: Range, now: UnixMillis, always: bool) {
        let window = i64::try_from(range.window_ms()).unwrap_or(i64::MAX);
        let from = self.charts_end.plus_ms(-window);
        let is_early = self.goal < from.plus_ms(window / 8);
        // At the end of time there is nothing to move on to.
        let has_more = now.since_ms(self.charts_end) > range.window_ms() / 32;
        let is_late =
            self.goal > self.charts_end || (self.goal > self.charts_end.plus_ms(-window / 8) && has_more);
        if always || is_early || is_late {
            self.charts_end = self.goal.plus_ms(window / 2).min(now).max(self.goal);
        }
    }
}

/// Everything about the past on screen.
#[derive(Debug, Default)]
pub(crate) struct Travel {
    /// Whether the aggregator can show the past.
    pub(crate) is_possible: bool,
    pub(crate) trip: Option<Box<Trip>>,
    pub(crate) comparison: Comparison,
    /// How many commands and subscriptions there were.
    pub(crate) asked_count: u64,
    /// What was wrong with the moment that was typed.
    pub(crate) typed_wrong: Option<String>,
}

impl Travel {
    /// A number for a command.
    pub(crate) fn next_request(&mut self) -> u64 {
        self.asked_count += 1;
        FIRST_TRIP + self.asked_count
    }
}

impl State {
    /// Whether the past is on screen.
    #[must_use]
    pub(crate) fn is_in_past(&self) -> bool {
        self.travel.trip.is_some()
    }

    /// The aggregator's clock now, whatever moment is on screen.
    #[must_use]
    pub(crate) fn live_now(&self) -> UnixMillis {
        self.aggregator_at
            .plus_ms(i64::try_from(self.now.since_ms(self.received_at)).unwrap_or(i64::MAX))
    }

    /// The newest ticks of a machine on screen, where its charts may end with them.
    #[must_use]
    pub(crate) fn newest_ticks<'a>(&'a self, machine: &'a Machine) -> Option<&'a Recent> {
        match &self.travel.trip {
            None => Some(&machine.recent),
            Some(trip) => Some(&trip.live_machine(&machine.id)?.recent),
        }
    }

    /// The gap of the machine on screen that the moment on screen is in.
    #[must_use]
    pub(crate) fn gap_at_moment(&self) -> Option<Gap> {
        let at = self.travel.trip.as_ref()?.shown?;
        let machine = self.shown_machine()?;
        let gaps = self.chart_gaps(machine);
        gaps.into_iter().find(|gap| gap.from < at && at < gap.to)
    }

    /// Begins a stay in the past: what is on screen stays there until the picture of the moment has come.
    pub(crate) fn begin_trip(&mut self, goal: UnixMillis) {
        /// A picture of more machines is not kept for the time until the first answer.
        const COPIED_MAX: usize = 2_000;
        let now = self.live_now();
        let is_small = self.fleet.machines().len() <= COPIED_MAX;
        let past = Past {
            chosen: Some(self.past.range()),
            keeping: self.past.keeping,
            asked_count: self.past.asked_count,
            ..Past::default()
        };
        let mut trip = Trip {
            goal,
            changed_at: self.now,
            shown: None,
            speed: Speed::default(),
            is_playing: false,
            charts_end: now,
            is_dragging: false,
            fleet: Channel::default(),
            machine: Channel::default(),
            problem: None,
            log: Log::default(),
            seek: None,
            entry: Entry {
                trail: self.trail.clone(),
                focus: self.focus.clone(),
                process_table: self.process_table.clone(),
                alert_list: self.alerts.list.clone(),
                is_log_shown: self.alerts.log.is_shown,
            },
            aside: Aside {
                view: Some(self.view.clone()),
                fleet: if is_small {
                    self.fleet.clone()
                } else {
                    Replica::default()
                },
                fleet_table: self.fleet_table.for_another_fleet(),
                machine: self.machine.clone(),
                board: Board::default(),
                past,
            },
        };
        trip.exchange(self);
        trip.centre(self.past.range(), now, false);
        self.travel.trip = Some(Box::new(trip));
    }

    /// Ends it. With `back`, everything is as it was when it began; else the same view goes on with what is live.
    pub(crate) fn end_trip(&mut self, back: bool) -> Option<Trip> {
        let mut trip = *self.travel.trip.take()?;
        let asked_count = self.past.asked_count;
        if !back {
            trip.aside.view = None;
        }
        trip.exchange(self);
        self.past.asked_count = asked_count;
        if back {
            let entry = &mut trip.entry;
            self.trail = std::mem::take(&mut entry.trail);
            self.focus = entry.focus.take();
            self.process_table = std::mem::take(&mut entry.process_table);
            self.alerts.list = std::mem::take(&mut entry.alert_list);
            self.alerts.log.is_shown = entry.is_log_shown;
        } else {
            if let Some(id) = trip.aside.fleet_table.selected() {
                self.fleet_table.select(id);
            }
            self.reorder();
        }
        self.alerts.list.mark_stale();
        self.alerts.rules.mark_stale();
        self.mark_dirty();
        Some(trip)
    }

    /// Has all tables put in order anew: they are about another moment now.
    pub(crate) fn reorder(&mut self) {
        self.fleet_table.mark_stale();
        self.process_table.mark_stale();
        self.alerts.list.mark_stale();
    }
}
