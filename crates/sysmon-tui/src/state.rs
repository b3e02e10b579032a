//! What the client knows and what the person is doing with it. No styles, no I/O, no clock.

use std::sync::Arc;

use sysmon_api::{Machine, Replica};
use sysmon_core::alert::AlertKey;
use sysmon_core::{Gap, MetricId, ProcessKey, SeriesKey, UnixMillis};

use crate::axis::interval_ms;
use crate::command::Context;
use crate::key::Key;
use crate::panel::Panels;
use crate::replay::ReplayStatus;
use crate::text_field::TextField;
use crate::track::{Track, gaps};

pub(crate) mod alerts;
pub(crate) mod background;
pub(crate) mod burst;
pub(crate) mod console;
pub(crate) mod editor;
pub(crate) mod fleet;
pub(crate) mod inspect;
pub(crate) mod meter;
pub(crate) mod palette;
pub(crate) mod past;
pub(crate) mod processes;
pub(crate) mod silencing;
pub(crate) mod storage;
pub(crate) mod travel;

use alerts::Alerts;
use background::Background;
use burst::Burst;
use console::Console;
use editor::Editor;
use fleet::FleetTable;
use inspect::Inspection;
use past::Past;
use processes::ProcessTableState;
use silencing::SilenceForm;
use storage::{Storage, StorageHealth};
use travel::Travel;

/// The subscription that carries the fleet table.
pub(crate) const FLEET_SUBSCRIPTION: u32 = 1;
/// The subscription that carries the machine on screen.
pub(crate) const MACHINE_SUBSCRIPTION: u32 = 2;

/// What is known of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// Not connected yet.
    Connecting,
    /// Connected.
    Live,
    /// Lost, or never had; trying again.
    Down {
        /// Since when.
        since: UnixMillis,
        /// Why the last attempt failed.
        reason: String,
        /// Whether somebody must change something first.
        permanent: bool,
    },
}

/// Which view is on screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// All machines.
    Fleet,
    /// One machine, by id.
    Machine(Arc<str>),
    /// What is wrong.
    Alerts,
    /// What is watched.
    Rules,
}

/// What a typed line is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PromptKind {
    /// Filters the machines.
    Machines,
    /// Filters the processes.
    Processes,
    /// Filters the alerts.
    Alerts,
    /// Filters the rules.
    Rules,
    /// What is said when an alert is acknowledged.
    Acknowledge(AlertKey),
    /// Filters the help.
    Help,
    /// The file that the view is written into.
    Export,
    /// The name that this filter is saved under.
    SaveFilter(String),
    /// How often marked machines measure, or else the selected one.
    Interval(Vec<Arc<str>>),
    /// A moment to go to.
    Moment,
}

/// What the next key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choosing {
    /// A column to sort by.
    Sort,
    /// A metric whose levels are to be edited.
    Metric,
    /// What of the selected row is copied.
    Copy,
}

/// A metric that a person has come to a machine for; it takes the place of the first chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Focus {
    pub(crate) metric: MetricId,
    /// Empty for a metric that a machine has once.
    pub(crate) entity: Arc<str>,
}

/// A line being typed at the bottom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prompt {
    pub(crate) kind: PromptKind,
    pub(crate) field: TextField,
    /// What the filter was before, for Esc.
    pub(crate) before: String,
}

/// What lies over the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OverlayKind {
    /// The keys.
    Help,
    /// Stores, charts and their gaps.
    Details,
    /// Silences that are not over; the line that it is scrolled to is the selected one.
    Silences,
    /// Receivers and what did not reach them; likewise.
    Deliveries,
    /// Columns of the fleet; likewise.
    Columns,
    /// Everything about one process.
    Process,
    /// Signals that it can be sent; the line that it is scrolled to is the selected one.
    Signals,
    /// Asked whether one is to be sent.
    Confirm,
}

/// Something over the view, scrolled down by some lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overlay {
    pub(crate) kind: OverlayKind,
    pub(crate) scroll: u16,
}

/// A short message at the bottom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) text: String,
    pub(crate) until: UnixMillis,
}

/// Everything that a screen is drawn from.
#[derive(Debug)]
pub struct State {
    pub(crate) now: UnixMillis,
    pub(crate) utc_offset_seconds: i32,
    pub(crate) width: u16,
    pub(crate) height: u16,
    pub(crate) source_name: String,
    pub(crate) link: Link,
    pub(crate) view: View,
    pub(crate) fleet: Replica,
    /// Our own clock when the last update of any subscription came.
    pub(crate) received_at: UnixMillis,
    /// The aggregator's clock at that moment.
    pub(crate) aggregator_at: UnixMillis,
    pub(crate) machine: Replica,
    pub(crate) fleet_table: FleetTable,
    pub(crate) process_table: ProcessTableState,
    /// Which part of the machine has the focus.
    pub(crate) panels: Panels,
    /// The process that is looked into.
    pub(crate) inspection: Inspection,
    /// The past of the machine on screen.
    pub(crate) past: Past,
    /// The moment on screen when it is not now.
    pub(crate) travel: Travel,
    /// What it is asked for beyond its own pace.
    pub(crate) burst: Burst,
    /// Set while a recording is played.
    pub(crate) replay: Option<ReplayStatus>,
    /// The stores behind the aggregator.
    pub(crate) storage: Storage,
    /// How many points the terminal draws side by side in a cell.
    pub(crate) points_per_cell: usize,
    /// Whether a cell of the heat map can show two machines: that takes colours.
    pub(crate) can_halve_cells: bool,
    pub(crate) overlay: Option<Overlay>,
    pub(crate) prompt: Option<Prompt>,
    /// Keys of a sequence that is not finished.
    pub(crate) pending_keys: Vec<Key>,
    /// What the next key names, if it names anything.
    pub(crate) choosing: Option<Choosing>,
    /// Views that Esc goes back to, the last one first.
    pub(crate) trail: Vec<View>,
    /// What the machine on screen was opened for.
    pub(crate) focus: Option<Focus>,
    pub(crate) alerts: Alerts,
    /// The rule that is being edited.
    pub(crate) editor: Option<Box<Editor>>,
    /// The silence that is being made.
    pub(crate) silencing: Option<SilenceForm>,
    pub(crate) notice: Option<Notice>,
    pub(crate) console: Console,
    pub(crate) background: Background,
    /// Whether the person has pressed anything: then the view is theirs to choose.
    pub(crate) touched: bool,
    /// Whether a fleet of one is opened by itself: it is the machine that the person sits at.
    pub(crate) opens_only_machine: bool,
    /// Whether the machine on screen is there only because it was when the console was last left: it may be gone since.
    pub(crate) is_machine_remembered: bool,
    /// Whether what is shown was kept by an earlier console: the aggregator has not told its fleet to this one yet.
    pub(crate) is_of_earlier: bool,
    dirty: bool,
    /// The second has changed since the last frame.
    is_clock_dirty: bool,
}

impl State {
    /// The state before anything happened.
    #[must_use]
    pub fn new(source_name: &str, filter: Option<&str>) -> Self {
        let mut fleet_table = FleetTable::default();
        fleet_table.set_filter(filter.unwrap_or_default());
        Self {
            now: UnixMillis(0),
            utc_offset_seconds: 0,
            width: 0,
            height: 0,
            source_name: sysmon_core::sanitize(source_name).into_owned(),
            link: Link::Connecting,
            view: View::Fleet,
            fleet: Replica::default(),
            received_at: UnixMillis(0),
            aggregator_at: UnixMillis(0),
            machine: Replica::default(),
            fleet_table,
            process_table: ProcessTableState::default(),
            panels: Panels::default(),
            inspection: Inspection::default(),
            past: Past::default(),
            travel: Travel::default(),
            replay: None,
            burst: Burst::default(),
            storage: Storage::default(),
            points_per_cell: 2,
            can_halve_cells: false,
            overlay: None,
            prompt: None,
            pending_keys: Vec::new(),
            choosing: None,
            trail: Vec::new(),
            focus: None,
            alerts: Alerts::default(),
            editor: None,
            silencing: None,
            notice: None,
            console: Console::default(),
            background: Background::default(),
            touched: false,
            opens_only_machine: false,
            is_machine_remembered: false,
            is_of_earlier: false,
            dirty: true,
            is_clock_dirty: false,
        }
    }

    /// The same, but a fleet of one opens its machine by itself.
    #[must_use]
    pub fn opening_only_machine(mut self) -> Self {
        self.opens_only_machine = true;
        self
    }

    /// The same, but the machine on screen is to be measured this often; 0 for its own pace.
    #[must_use]
    pub fn asking_for_bursts(mut self, interval_ms: u32) -> Self {
        self.burst.interval_ms = interval_ms;
        self
    }

    /// The same, for a terminal that draws so many points side by side in a cell: two unless told.
    #[must_use]
    pub fn drawing_points_per_cell(mut self, points: usize) -> Self {
        self.points_per_cell = points.max(1);
        self
    }

    /// The same, for a terminal whose cells can show two colours, one over the other.
    #[must_use]
    pub fn drawing_half_cells(mut self, can_halve_cells: bool) -> Self {
        self.can_halve_cells = can_halve_cells;
        self
    }

    /// When the state wants to be told the time even if nothing else happens.
    #[must_use]
    pub fn wakes_at(&self) -> Option<UnixMillis> {
        crate::update::wakes_at(self)
    }

    /// Notes that the screen no longer shows the state.
    pub(crate) fn mark_dirty(&mut self) {
        self.dirty = true;
    }

    /// Notes that the time on the screen is not the present one.
    pub(crate) fn mark_clock_dirty(&mut self) {
        self.is_clock_dirty = true;
    }

    /// Whether the frame is as it was but for the time.
    #[must_use]
    pub(crate) fn is_only_clock_dirty(&self) -> bool {
        self.is_clock_dirty && !self.dirty
    }

    /// Whether the screen must be drawn again.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.dirty || self.is_clock_dirty
    }

    /// Whether the screen must be drawn again; asking takes the note back.
    pub fn take_dirty(&mut self) -> bool {
        let is_clock_dirty = std::mem::take(&mut self.is_clock_dirty);
        std::mem::take(&mut self.dirty) || is_clock_dirty
    }

    /// The moment on screen, on the aggregator's clock: now as far as we can tell, or the one in the past.
    #[must_use]
    pub(crate) fn aggregator_now(&self) -> UnixMillis {
        match &self.travel.trip {
            None => self.live_now(),
            Some(trip) => trip.moment(),
        }
    }

    /// How long ago the aggregator heard of a machine.
    #[must_use]
    pub(crate) fn age_ms(&self, machine: &Machine) -> u64 {
        self.aggregator_now().since_ms(machine.last_seen)
    }

    /// Where keys are looked up, the first that knows one wins.
    #[must_use]
    pub(crate) fn contexts(&self) -> &'static [Context] {
        if let Some(editor) = &self.editor {
            return match (&editor.conflict, editor.is_leaving) {
                (Some(_), _) => &[Context::Conflict],
                (None, true) => &[Context::Leaving],
                (None, false) => &[Context::Form],
            };
        }
        match (self.overlay.map(|overlay| overlay.kind), &self.view) {
            _ if self.silencing.is_some() => &[Context::Form],
            (None, view) if self.is_in_past() => match view {
                View::Fleet => &[Context::Past, Context::Fleet, Context::List, Context::Anywhere],
                View::Machine(_) => &[Context::Past, Context::Machine, Context::List, Context::Anywhere],
                View::Alerts => &[Context::Past, Context::Alerts, Context::List, Context::Anywhere],
                View::Rules => &[Context::Past, Context::Rules, Context::List, Context::Anywhere],
            },
            (Some(OverlayKind::Silences), _) => &[Context::Silences, Context::List, Context::Anywhere],
            (Some(OverlayKind::Deliveries), _) => &[Context::Deliveries, Context::List, Context::Anywhere],
            (Some(OverlayKind::Columns), _) => &[Context::Columns, Context::List, Context::Anywhere],
            (Some(OverlayKind::Process), _) => &[Context::Process, Context::List, Context::Anywhere],
            (Some(OverlayKind::Signals), _) => &[Context::Signals, Context::List, Context::Anywhere],
            (Some(OverlayKind::Confirm), _) => &[Context::Confirming, Context::Anywhere],
            (Some(OverlayKind::Help | OverlayKind::Details), _) => &[Context::List, Context::Anywhere],
            (None, View::Fleet) if self.fleet_table.is_heat_map => {
                &[Context::HeatMap, Context::List, Context::Anywhere]
            }
            (None, View::Fleet) => &[Context::Fleet, Context::List, Context::Anywhere],
            (None, View::Machine(_)) => &[Context::Machine, Context::List, Context::Anywhere],
            (None, View::Alerts) => &[Context::Alerts, Context::List, Context::Anywhere],
            (None, View::Rules) => &[Context::Rules, Context::List, Context::Anywhere],
        }
    }

    /// Whether what is shown is what it says to be: current, or of the moment in the past.
    #[must_use]
    pub(crate) fn is_live(&self) -> bool {
        match &self.travel.trip {
            None => self.link == Link::Live && !self.background.is_catching_up,
            Some(trip) => trip.shown.is_some(),
        }
    }

    /// The machine on screen: with every series when its own subscription has brought it, else as the fleet knows it.
    #[must_use]
    pub(crate) fn shown_machine(&self) -> Option<&Machine> {
        match &self.view {
            View::Fleet | View::Alerts | View::Rules => None,
            View::Machine(id) => self.machine.find(id).or_else(|| self.fleet.find(id)),
        }
    }

    /// All that is known of a series of a machine: history as far as it was answered, then what came live.
    #[must_use]
    pub(crate) fn track<'a>(&'a self, machine: &'a Machine, key: &SeriesKey) -> Track<'a> {
        let live = |recent: &'a sysmon_core::Recent| Some((recent, recent.get(recent.number_of(key)?)?));
        Track {
            past: self
                .past
                .answer_for(&machine.id)
                .and_then(|answer| answer.part(key)),
            live: self.newest_ticks(machine).and_then(live),
        }
    }

    /// The stretches of the charts that have no samples.
    #[must_use]
    pub(crate) fn chart_gaps(&self, machine: &Machine) -> Vec<Gap> {
        let answer = self.past.answer_for(&machine.id);
        let past = answer.and_then(|answer| Some((answer.history.as_ref()?, answer.seam)));
        // A history that is not well may merely be late: then nothing is claimed about what it lacks.
        let is_well = self
            .storage
            .history()
            .is_none_or(|history| history.health < StorageHealth::Slow);
        match self.newest_ticks(machine) {
            Some(recent) => gaps(past, recent, interval_ms(machine), is_well),
            None => gaps(past, &sysmon_core::Recent::new(0), interval_ms(machine), is_well),
        }
    }
}

/// The series of a metric's entity; an empty one stands for a metric that a machine has once.
pub(crate) fn series_key(metric: MetricId, entity: &str) -> SeriesKey {
    if entity.is_empty() {
        SeriesKey::plain(metric)
    } else {
        SeriesKey::of(metric, entity)
    }
}

/// Where the cursor of a list goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Movement {
    /// By rows; negative is up.
    By(isize),
    /// To the first row.
    First,
    /// To the last row.
    Last,
}

/// The index after a movement within `count` rows; `None` in an empty list. Without a cursor the first step lands on
/// the first row.
pub(crate) fn moved(current: Option<usize>, count: usize, movement: Movement) -> Option<usize> {
    let last = count.checked_sub(1)?;
    Some(match (movement, current) {
        (Movement::First, _) => 0,
        (Movement::Last, _) => last,
        (Movement::By(rows), None) => {
            if rows > 0 {
                usize::try_from(rows - 1).unwrap_or(0).min(last)
            } else {
                0
            }
        }
        (Movement::By(rows), Some(current)) => current.saturating_add_signed(rows).min(last),
    })
}

/// The scroll offset that keeps row `cursor` of `count` in a window of `height` rows, moving as little as it can.
pub(crate) fn scrolled(offset: usize, cursor: Option<usize>, count: usize, height: usize) -> usize {
    let most = count.saturating_sub(height);
    let offset = offset.min(most);
    match cursor {
        Some(cursor) if cursor < offset => cursor,
        Some(cursor) if height > 0 && cursor >= offset + height => cursor + 1 - height,
        _ => offset,
    }
}

/// Identity of a row that a person points at in the process table.
pub(crate) type ProcessSelection = Option<ProcessKey>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_stays_in_the_list_and_in_the_window() {
        assert_eq!(moved(None, 0, Movement::Last), None);
        assert_eq!(moved(None, 5, Movement::By(1)), Some(0));
        assert_eq!(moved(Some(3), 5, Movement::By(10)), Some(4));
        assert_eq!(moved(Some(3), 5, Movement::By(-10)), Some(0));
        assert_eq!(scrolled(0, Some(9), 20, 5), 5);
        assert_eq!(scrolled(9, Some(2), 20, 5), 2);
        assert_eq!(scrolled(19, None, 10, 5), 5);
        assert_eq!(scrolled(3, Some(4), 20, 0), 3);
    }
}
