//! What belongs to a tab outside of its state, and what becomes of the tabs.

use std::io;

use sysmon_api::wire;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Client, TuiError, state, theme};
use crate::connect::{Connect, Opened};
use crate::event::{Event, TabRequest};
use crate::glance::GlanceFile;
use crate::link::{COMMAND_QUEUE, Inbox, keep_connected, now};
use crate::options::Options;
use crate::preferences::{Preferences, Store};
use crate::state::State;
use crate::tabs::{Routed, TabId, Tabs};
use crate::terminal::Screen;
use crate::theme::Theme;

/// The connection of a tab, its colours, and where it is remembered what it was like. Dropping it ends the connection.
pub(super) struct Beside {
    pub(super) theme: Theme,
    store: Option<Store>,
    glance: Option<GlanceFile>,
    link: Option<Link>,
}

/// A connection, and the way for commands to it.
struct Link {
    commands: mpsc::Sender<wire::Command>,
    task: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Beside {
    /// Everything but the connection, and a state as it was left; in these colours when its own cannot be had.
    pub(super) fn start(
        options: &Options,
        source_name: &str,
        otherwise: Option<&Theme>,
    ) -> Result<(Self, State), TuiError> {
        let folder = options.state_dir.as_ref();
        let mut store = folder.map(|folder| Store::new(folder, source_name));
        let remembered = store.as_mut().map(Store::load).unwrap_or_default();
        let theme = match (theme(options, &remembered), otherwise) {
            (Ok(theme), _) => theme,
            (Err(_), Some(theme)) => theme.clone(),
            (Err(error), None) => return Err(error.into()),
        };
        let mut state = state(options, source_name, &theme, &remembered);
        // This machine is there at once anyway, and a recording begins with nothing.
        let is_local = options.is_local && source_name == options.source_name;
        let folder = folder.filter(|_| !is_local && options.recorder.is_none());
        let glance = folder.map(|folder| GlanceFile::new(folder, source_name));
        if let Some(earlier) = glance.as_ref().and_then(GlanceFile::load) {
            earlier.restore(&mut state, now());
        }
        let beside = Self {
            theme,
            store,
            glance,
            link: None,
        };
        Ok((beside, state))
    }

    /// The same with a connection, whose news are for this tab.
    pub(super) fn connected(
        mut self,
        connect: Box<dyn Connect>,
        tab: TabId,
        events: &mpsc::Sender<(TabId, Event)>,
    ) -> Self {
        let (commands, commands_out) = mpsc::channel(COMMAND_QUEUE);
        let inbox = Inbox::new(tab, events.clone());
        let task = tokio::spawn(keep_connected(connect, commands_out, inbox));
        self.link = Some(Link { commands, task });
        self
    }

    pub(super) fn send(&self, command: wire::Command) {
        let is_taken = |link: &Link| link.commands.try_send(command).is_ok();
        if !self.link.as_ref().is_some_and(is_taken) {
            tracing::warn!("a command was dropped: the connection does not take any");
        }
    }

    /// How many commands wait for the connection.
    pub(super) fn commands_waiting(&self) -> usize {
        let link = self.link.as_ref();
        link.map_or(0, |link| COMMAND_QUEUE - link.commands.capacity())
    }

    /// Keeps how the console is set up.
    pub(super) fn remember(&mut self, state: &State) {
        if let Some(store) = &mut self.store {
            store.save(Preferences::of(state));
        }
    }

    /// Keeps all that the next console begins with. What is shown is larger than the rest, so it is kept only on leaving.
    pub(super) fn part(&mut self, state: &State) {
        self.remember(state);
        if let Some(glance) = &self.glance {
            glance.save(state);
        }
    }
}

impl Client {
    /// A line for somebody who may be looking elsewhere: with the name of what it is about where that is not certain.
    pub(super) fn announced(&self, tab: TabId, text: String) -> String {
        match self.tabs.state_of(tab) {
            Some(state) if self.tabs.count() > 1 => format!("{}: {text}", state.source_name),
            _ => text,
        }
    }

    /// Draws a tab in other colours; when they cannot be had, says why.
    pub(super) fn change_theme(&mut self, tab: TabId, name: &str) {
        let Some(beside) = self.beside.get_mut(&tab) else {
            return;
        };
        match Theme::load(name, &self.options.theme_dirs, beside.theme.depth()) {
            Ok(theme) => {
                beside.theme = theme.with_glyphs(beside.theme.glyphs);
                self.tabs.mark_dirty();
            }
            Err(error) => self.tell(tab, Event::Notice(error.to_string())),
        }
    }

    /// The way to another aggregator; when there is none, says why.
    fn open(&mut self, tab: TabId, target: &str) -> Option<Opened> {
        let connections = self.options.connections.as_ref();
        let reason = match connections.map(|connections| connections.open(target)) {
            Some(Ok(opened)) => return Some(opened),
            Some(Err(reason)) => reason,
            None => "this console cannot change its aggregator: start another one with --connect".into(),
        };
        self.tell(tab, Event::Notice(reason));
        None
    }

    /// Goes to another aggregator. The tab begins anew there, as it was left there.
    pub(super) fn change_source(&mut self, screen: &mut Screen, tab: TabId, target: &str) -> io::Result<()> {
        let Some(opened) = self.open(tab, target) else {
            return Ok(());
        };
        self.part(tab);
        let Some((beside, state)) = self.prepared(tab, &opened) else {
            return Ok(());
        };
        let Some((id, events)) = self.tabs.replace(tab, state) else {
            return Ok(());
        };
        self.data_at = None;
        let connected = beside.connected(opened.connect, id, &self.events_in);
        self.beside.insert(id, connected);
        self.take(screen, events)?;
        self.leave(tab);
        Ok(())
    }

    /// A tab for an aggregator, in the colours of another where its own cannot be had.
    fn prepared(&mut self, like: TabId, opened: &Opened) -> Option<(Beside, State)> {
        if let (Some(beside), Some(state)) = (self.beside.get_mut(&like), self.tabs.state_of(like)) {
            beside.remember(state);
        }
        let otherwise = self.beside.get(&like).map(|beside| &beside.theme);
        Beside::start(&self.options, &opened.name, otherwise).ok()
    }

    /// Opens a tab behind the others; it stays off the screen.
    pub(super) fn open_tab(&mut self, screen: &mut Screen, opened: Opened) -> io::Result<Option<TabId>> {
        let shown = self.tabs.shown();
        let prepared = self.prepared(shown, &opened);
        let Some((id, beside, events)) = prepared.and_then(|(beside, state)| {
            let (id, events) = self.tabs.open(state)?;
            Some((id, beside, events))
        }) else {
            let reason = format!("there are {} tabs already: :tab-close closes one", Tabs::MAX);
            self.tell(shown, Event::Notice(reason));
            return Ok(None);
        };
        let connected = beside.connected(opened.connect, id, &self.events_in);
        self.beside.insert(id, connected);
        self.take(screen, events)?;
        Ok(Some(id))
    }

    /// Shows another tab, opens one or closes one.
    pub(super) fn change_tab(
        &mut self,
        screen: &mut Screen,
        tab: TabId,
        request: TabRequest,
    ) -> io::Result<()> {
        let wanted = match &request {
            TabRequest::Close => return self.close_tab(screen, tab),
            TabRequest::Number(number) => self.tabs.numbered(*number),
            TabRequest::Named(name) => match self.tabs.named(name) {
                Some(id) => Some(id),
                None => match self.open(tab, name) {
                    // An address may lead to what is open already.
                    Some(opened) => match self.tabs.named(&opened.name) {
                        Some(id) => Some(id),
                        None => self.open_tab(screen, opened)?,
                    },
                    None => None,
                },
            },
            TabRequest::Next => Some(self.tabs.beside(1)),
            TabRequest::Previous => Some(self.tabs.beside(-1)),
        };
        let is_only = self.tabs.count() == 1;
        match (wanted, request) {
            (None, TabRequest::Number(number)) => {
                let reason = format!("there is no tab {number}: :tab @NAME opens one");
                self.tell(tab, Event::Notice(reason));
            }
            (Some(_), TabRequest::Next | TabRequest::Previous) if is_only => {
                let reason = "this is the only tab: :tab @NAME opens another aggregator beside it";
                self.tell(tab, Event::Notice(reason.into()));
            }
            (Some(id), _) => {
                let events = self.tabs.show(id);
                // What came for another tab says nothing of when this one hears of something.
                self.data_at = None;
                self.take(screen, events)?;
            }
            (None, _) => {}
        }
        Ok(())
    }

    fn part(&mut self, tab: TabId) {
        if let (Some(beside), Some(state)) = (self.beside.get_mut(&tab), self.tabs.state_of(tab)) {
            beside.part(state);
        }
    }

    fn close_tab(&mut self, screen: &mut Screen, tab: TabId) -> io::Result<()> {
        self.part(tab);
        let Some(events) = self.tabs.close(tab) else {
            let reason = "this is the only tab: q quits";
            self.tell(tab, Event::Notice(reason.into()));
            return Ok(());
        };
        self.take(screen, events)?;
        self.leave(tab);
        Ok(())
    }

    /// Ends what belongs to a tab that is no more. A recording of it ends too: it is of one aggregator.
    fn leave(&mut self, tab: TabId) {
        self.beside.remove(&tab);
        if self
            .recorder
            .as_ref()
            .is_some_and(|(recorded, _)| *recorded == tab)
        {
            self.recorder = None;
            let told = "the recording ends here: it is of the aggregator that was left";
            self.tell(self.tabs.shown(), Event::Notice(told.into()));
        }
    }

    /// Has tabs take what follows from a change of them.
    fn take(&mut self, screen: &mut Screen, events: Routed) -> io::Result<()> {
        for (tab, event) in events {
            // Being shown or not ends nothing.
            self.deliver(screen, &mut None, tab, event)?;
        }
        Ok(())
    }
}
