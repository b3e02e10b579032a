//! Several aggregators in one client: a state for each of them, one of which is on screen.
//!
//! The layer is thin: every tab is a [`State`] that knows nothing of the others. [`Tabs::route`] says which of them an
//! event of the terminal is for, [`Tabs::deliver`] has one take it, and [`render_tabs`] draws the one on screen below a
//! line that tells of all. As with a single state there is no I/O and no clock.

use ratatui::layout::{Position, Rect};
use sysmon_core::{Health, Liveness, UnixMillis};

use crate::event::{Effect, Event, Mouse, MouseAction};
use crate::key::{Key, KeyCode};
use crate::state::background::TabNames;
use crate::state::{Link, State};
use crate::update::update;

pub(crate) mod line;

pub use crate::render::tabs::render_tabs;

/// Which tab; never used again after it was closed, so that late news of its connection reach nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TabId(u32);

/// How what a tab watches is, as far as there is room to tell in a line for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Nobody knows yet.
    Unknown,
    /// There is no connection for so many seconds, or none is allowed.
    Down { seconds: u64, is_refused: bool },
    /// Machines in the worst state that any of them is in.
    Machines {
        count: u64,
        liveness: Liveness,
        health: Health,
    },
    /// No machine is critical, but alerts are.
    Alerts(u64),
    /// All is well.
    Well,
}

/// What the line says of a tab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heading {
    pub(crate) name: String,
    pub(crate) condition: Condition,
}

impl Heading {
    fn of(state: &State) -> Self {
        Self {
            name: state.source_name.clone(),
            condition: Condition::of(state),
        }
    }
}

impl Condition {
    fn of(state: &State) -> Self {
        match &state.link {
            Link::Connecting => return Self::Unknown,
            Link::Down { since, permanent, .. } => {
                return Self::Down {
                    seconds: state.now.since_ms(*since) / 1_000,
                    is_refused: *permanent,
                };
            }
            Link::Live => {}
        }
        let totals = state.live_totals();
        let machines = |count: u32, liveness, health| {
            (count > 0).then_some(Self::Machines {
                count: count.into(),
                liveness,
                health,
            })
        };
        let alerts = state.live_alert_counts();
        let critical_alerts = alerts.critical as u64;
        machines(totals.critical, Liveness::Live, Health::Critical)
            .or_else(|| (critical_alerts > 0).then_some(Self::Alerts(critical_alerts)))
            .or_else(|| machines(totals.lost, Liveness::Lost, Health::Unknown))
            .or_else(|| machines(totals.warning, Liveness::Live, Health::Warning))
            .or_else(|| machines(totals.stale, Liveness::Stale, Health::Unknown))
            .unwrap_or(if totals.live == 0 {
                Self::Unknown
            } else {
                Self::Well
            })
    }
}

#[derive(Debug)]
struct Tab {
    id: TabId,
    state: State,
}

/// All tabs; there is always at least one.
#[derive(Debug)]
pub struct Tabs {
    tabs: Vec<Tab>,
    shown: usize,
    next_id: u32,
    size: (u16, u16),
    now: (UnixMillis, i32),
    /// The line as it was drawn last.
    drawn: Vec<Heading>,
    is_dirty: bool,
}

/// Events, each with the tab that it is for.
pub type Routed = Vec<(TabId, Event)>;

impl Tabs {
    /// The most tabs: each has a number that is one key.
    pub const MAX: usize = 9;
    /// On a lower screen every row is needed for what is watched.
    const LINE_FROM_HEIGHT: u16 = 8;

    /// One tab, on screen.
    #[must_use]
    pub fn new(state: State) -> Self {
        let mut tabs = Self {
            tabs: vec![Tab { id: TabId(0), state }],
            shown: 0,
            next_id: 1,
            size: (0, 0),
            now: (UnixMillis(0), 0),
            drawn: Vec::new(),
            is_dirty: true,
        };
        tabs.tell_names();
        tabs
    }

    /// The tab on screen.
    #[must_use]
    pub fn shown(&self) -> TabId {
        self.tabs[self.shown].id
    }

    /// The state on screen.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.tabs[self.shown].state
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.tabs.len()
    }

    /// The state of a tab; `None` when it was closed.
    #[must_use]
    pub fn state_of(&self, id: TabId) -> Option<&State> {
        let mut tabs = self.tabs.iter();
        tabs.find(|tab| tab.id == id).map(|tab| &tab.state)
    }

    pub(crate) fn state_of_mut(&mut self, id: TabId) -> Option<&mut State> {
        let mut tabs = self.tabs.iter_mut();
        tabs.find(|tab| tab.id == id).map(|tab| &mut tab.state)
    }

    /// Their ids in their order.
    pub fn ids(&self) -> impl Iterator<Item = TabId> {
        self.tabs.iter().map(|tab| tab.id)
    }

    /// The tab with a number, counted from 1.
    #[must_use]
    pub fn numbered(&self, number: usize) -> Option<TabId> {
        Some(self.tabs.get(number.checked_sub(1)?)?.id)
    }

    /// The first tab of a name, with or without the `@` of a named connection.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<TabId> {
        let plain = name.strip_prefix('@').unwrap_or(name);
        let mut tabs = self.tabs.iter();
        tabs.find(|tab| tab.state.source_name == plain || tab.state.source_name == name)
            .map(|tab| tab.id)
    }

    /// The tab so many places to the right of the one on screen, around the ends.
    #[must_use]
    pub fn beside(&self, places: isize) -> TabId {
        let count = isize::try_from(self.tabs.len()).unwrap_or(1);
        let at = isize::try_from(self.shown).unwrap_or(0).saturating_add(places);
        let index = usize::try_from(at.rem_euclid(count)).unwrap_or(0);
        self.tabs[index].id
    }

    /// Which tabs an event of the terminal or of the clock is for, as each of them is to take it.
    pub fn route(&mut self, event: Event) -> Routed {
        match event {
            Event::Tick {
                now,
                utc_offset_seconds,
            } => {
                self.now = (now, utc_offset_seconds);
                self.for_all(&event)
            }
            Event::Resize { width, height } => {
                self.size = (width, height);
                self.resized()
            }
            Event::Mouse(mouse) if self.has_line() => self.point(mouse),
            Event::Escaped(key) => self.escaped(key),
            event => vec![(self.shown(), event)],
        }
    }

    /// Has a tab take an event; one that was closed takes nothing.
    pub fn deliver(&mut self, id: TabId, event: Event) -> Vec<Effect> {
        match self.state_of_mut(id) {
            Some(state) => update(state, event),
            None => Vec::new(),
        }
    }

    /// Opens a tab behind the others, not on screen yet. `None` when there are too many.
    pub fn open(&mut self, state: State) -> Option<(TabId, Routed)> {
        if self.tabs.len() >= Self::MAX {
            return None;
        }
        let id = self.next_id();
        self.tabs.push(Tab { id, state });
        self.tell_names();
        let mut events = self.resized();
        events.push((id, self.time()));
        events.push((id, Event::Shown(false)));
        Some((id, events))
    }

    /// Puts another state, that of another aggregator, in the place of one; the tab has another id from then on.
    pub fn replace(&mut self, id: TabId, state: State) -> Option<(TabId, Routed)> {
        let index = self.index_of(id)?;
        let id = self.next_id();
        self.tabs[index] = Tab { id, state };
        self.tell_names();
        let mut events = self.resized();
        events.push((id, self.time()));
        if index != self.shown {
            events.push((id, Event::Shown(false)));
        }
        Some((id, events))
    }

    /// Shows a tab.
    pub fn show(&mut self, id: TabId) -> Routed {
        let Some(index) = self.index_of(id).filter(|index| *index != self.shown) else {
            return Vec::new();
        };
        let before = self.shown();
        self.shown = index;
        self.is_dirty = true;
        vec![(before, Event::Shown(false)), (id, Event::Shown(true))]
    }

    /// Closes a tab; the only one stays. The one at its left is on screen then, if it was.
    pub fn close(&mut self, id: TabId) -> Option<Routed> {
        let index = self.index_of(id).filter(|_| self.tabs.len() > 1)?;
        self.tabs.remove(index);
        let was_shown = index == self.shown;
        if index < self.shown || (was_shown && index > 0) {
            self.shown -= 1;
        }
        self.tell_names();
        let mut events = self.resized();
        if was_shown {
            events.push((self.shown(), Event::Shown(true)));
        }
        Some(events)
    }

    /// Whether the screen must be drawn again.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.is_dirty || self.state().is_dirty() || (self.has_line() && self.headings() != self.drawn)
    }

    /// Whether the screen must be drawn again; asking takes the note back.
    pub fn take_dirty(&mut self) -> bool {
        let is_dirty = self.is_dirty();
        self.is_dirty = false;
        self.tabs[self.shown].state.take_dirty();
        self.drawn = if self.has_line() {
            self.headings()
        } else {
            Vec::new()
        };
        is_dirty
    }

    /// Has the whole screen drawn again.
    pub(crate) fn mark_dirty(&mut self) {
        self.is_dirty = true;
    }

    /// Whether a line tells of all tabs.
    pub(crate) fn has_line(&self) -> bool {
        self.tabs.len() > 1 && self.size.1 >= Self::LINE_FROM_HEIGHT
    }

    pub(crate) fn headings(&self) -> Vec<Heading> {
        self.tabs.iter().map(|tab| Heading::of(&tab.state)).collect()
    }

    /// The place of the tab on screen.
    pub(crate) fn shown_index(&self) -> usize {
        self.shown
    }

    fn next_id(&mut self) -> TabId {
        self.next_id += 1;
        TabId(self.next_id - 1)
    }

    fn index_of(&self, id: TabId) -> Option<usize> {
        self.tabs.iter().position(|tab| tab.id == id)
    }

    fn for_all(&self, event: &Event) -> Routed {
        self.ids().map(|id| (id, event.clone())).collect()
    }

    fn time(&self) -> Event {
        let (now, utc_offset_seconds) = self.now;
        Event::Tick {
            now,
            utc_offset_seconds,
        }
    }

    /// The screen of each tab has this size now.
    fn resized(&mut self) -> Routed {
        self.is_dirty = true;
        let (width, height) = self.size;
        let height = height.saturating_sub(u16::from(self.has_line()));
        self.for_all(&Event::Resize { width, height })
    }

    /// Every tab knows the names of all, so that a person can choose by them.
    fn tell_names(&mut self) {
        self.is_dirty = true;
        let names: Vec<String> = self
            .tabs
            .iter()
            .map(|tab| tab.state.source_name.clone())
            .collect();
        for (own, tab) in self.tabs.iter_mut().enumerate() {
            let names = names.clone();
            tab.state.console.tabs = TabNames { names, own };
        }
    }

    /// Alt and a digit name a tab, but only where Esc would have nothing to do: on a slow link Esc and a digit look the same.
    fn escaped(&self, key: Key) -> Routed {
        let shown = self.shown();
        let digit = match key.code {
            KeyCode::Char(digit @ '1'..='9') if !key.control => digit.to_digit(10),
            _ => None,
        };
        let number = digit.and_then(|digit| usize::try_from(digit).ok());
        match number.filter(|_| self.count() > 1 && !self.state().awaits_escape()) {
            Some(number) => vec![(shown, Event::Tab(number))],
            None if digit.is_none() && self.state().takes_text() => Vec::new(),
            // As keys, which a recording knows.
            None => vec![
                (shown, Event::Key(Key::plain(KeyCode::Escape))),
                (shown, Event::Key(key)),
            ],
        }
    }

    /// The mouse: over the line it shows a tab, below it is that tab's.
    fn point(&mut self, mouse: Mouse) -> Routed {
        let Some(row) = mouse.row.checked_sub(1) else {
            let is_press = mouse.action == MouseAction::Press;
            let area = Rect::new(0, 0, self.size.0, 1);
            let places = line::places(area, &self.headings(), self.shown);
            let at = Position::new(mouse.column, 0);
            let hit = places.iter().find(|place| is_press && place.area.contains(at));
            let id = hit.map(|place| self.tabs[place.index].id);
            return id.map(|id| self.show(id)).unwrap_or_default();
        };
        vec![(self.shown(), Event::Mouse(Mouse { row, ..mouse }))]
    }
}
