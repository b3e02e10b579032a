//! The loop around the state machine: everything ready is taken, then at most one frame is drawn.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use crossterm::event::EventStream;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clipboard;
use crate::connect::{Connect, Opened};
use crate::event::{Effect, Event, FrameReport};
use crate::glyphs::Glyphs;
use crate::link::{COMMAND_QUEUE, now};
use crate::options::Options;
use crate::preferences::Preferences;
use crate::record::{Recorder, RecordingError};
use crate::state::State;
use crate::tabs::{TabId, Tabs, render_tabs};
use crate::terminal::{Charts, Progress, Screen, has_panicked};
use crate::theme::{ColourDepth, Theme, ThemeError};

mod frames;
mod outside;
mod pace;
mod replaying;
mod tabs;

use outside::{next_input, translate, write_new};
use pace::Pace;
pub use replaying::replay;
use tabs::Beside;

/// Events on their way in. When the queue is full the connection waits, and the aggregator coalesces.
const EVENT_QUEUE: usize = 16;
/// What changed is remembered when nothing has changed for this long.
const REMEMBER_AFTER: Duration = Duration::from_secs(3);
/// After this much input in a row a frame is drawn even when there is more.
const DRAIN_LIMIT: usize = 256;

/// Why the client ended in failure.
#[derive(Debug, Error)]
pub enum TuiError {
    /// The theme cannot be used.
    #[error(transparent)]
    Theme(#[from] ThemeError),
    /// The terminal cannot be used or is gone.
    #[error("cannot use the terminal: {0}; run sysmon-tui in a terminal, or use --once for plain output")]
    Terminal(#[from] io::Error),
    /// The recording cannot be played.
    #[error("cannot play the recording: {0}")]
    Recording(#[from] RecordingError),
    /// A thread panicked; its report is on the terminal.
    #[error("a part of sysmon-tui broke off, as reported above; this is a defect, please report it")]
    Panicked,
}

/// Runs the client until the person quits or `shutdown` is cancelled, and gives the terminal back.
///
/// # Errors
/// [`TuiError`] when the theme or the terminal cannot be used.
pub async fn run(
    mut options: Options,
    connect: Box<dyn Connect>,
    shutdown: CancellationToken,
) -> Result<(), TuiError> {
    let (events_in, events) = mpsc::channel(EVENT_QUEUE);
    let (beside, first) = Beside::start(&options, &options.source_name, None)?;
    let mut screen = Screen::take(&shutdown)?;
    let first = if options.is_local {
        first.opening_only_machine()
    } else {
        first
    };
    let tabs = Tabs::new(first);
    let first = tabs.shown();
    let further = std::mem::take(&mut options.further);
    let mut client = Client {
        beside: BTreeMap::from([(first, beside.connected(connect, first, &events_in))]),
        tabs,
        events,
        events_in,
        pace: Pace::new(options.frames_per_second(), options.is_low_bandwidth),
        recorder: options.recorder.take().map(|recorder| (first, recorder)),
        options,
        began: Instant::now(),
        drawn_at: None,
        data_at: None,
        changed_at: None,
        pressed: true,
        skipped: 0,
        progress: Progress::default(),
        utc_offset: None,
    };
    let result = client.run(&mut screen, &shutdown, further).await;
    client.remember(true);
    client.beside.clear();
    drop(screen);
    if has_panicked() {
        return Err(TuiError::Panicked);
    }
    Ok(result?)
}

/// A console that has just been started, as it was left.
fn state(options: &Options, source_name: &str, theme: &Theme, remembered: &Preferences) -> State {
    let connections = options
        .connections
        .as_ref()
        .map(|it| it.names())
        .unwrap_or_default();
    let names = Theme::names(&options.theme_dirs);
    let mut state = State::new(source_name, None)
        .drawing_points_per_cell(theme.glyphs.points_per_cell())
        .drawing_half_cells(theme.has_half_cells())
        .asking_for_bursts(options.burst_interval_ms)
        .with_keymap(options.keymap.clone())
        .readonly(options.is_readonly)
        .with_choices(theme.name(), names, connections);
    remembered.restore(&mut state);
    if let Some(filter) = &options.filter {
        state.fleet_table.set_filter(filter);
    }
    state
}

/// The theme for this terminal.
fn theme(options: &Options, remembered: &Preferences) -> Result<Theme, ThemeError> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let depth = ColourDepth::detect(options.no_color, &variable("COLORTERM"), &variable("TERM"));
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .map(variable)
        .into_iter()
        .find(|value| !value.is_empty());
    let glyphs = if options.ascii {
        Glyphs::Ascii
    } else {
        Glyphs::detect(&locale.unwrap_or_default(), &variable("TERM"))
    };
    let load = |name: &str| Theme::load(name, &options.theme_dirs, depth);
    // What somebody asks for now goes before what they picked once; a file that has gone since then is no reason to stop.
    let picked = (options.theme.is_empty() && !remembered.theme().is_empty())
        .then(|| load(remembered.theme()).ok())
        .flatten();
    let theme = picked.map_or_else(|| load(&options.theme), Ok)?;
    Ok(theme.with_glyphs(glyphs))
}

struct Client {
    tabs: Tabs,
    /// What belongs to each of them outside of its state.
    beside: BTreeMap<TabId, Beside>,
    /// News of all connections, each with its tab.
    events: mpsc::Receiver<(TabId, Event)>,
    events_in: mpsc::Sender<(TabId, Event)>,
    pace: Pace,
    /// A recording is of one tab.
    recorder: Option<(TabId, Recorder)>,
    options: Options,
    began: Instant,
    drawn_at: Option<Instant>,
    /// When the connection last brought something.
    data_at: Option<Instant>,
    /// When something changed that is to be remembered.
    changed_at: Option<Instant>,
    /// Whether the person did something since the last frame.
    pressed: bool,
    /// Frames left out since the last one.
    skipped: u32,
    /// How far the terminal was when it was last looked at.
    progress: Progress,
    /// What the local time is ahead of UTC, in seconds, and the minute in which that was looked up: it changes on one.
    utc_offset: Option<(i64, i32)>,
}

/// Whether the loop goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Continue,
    Quit,
}

impl Client {
    async fn run(
        &mut self,
        screen: &mut Screen,
        shutdown: &CancellationToken,
        further: Vec<Opened>,
    ) -> io::Result<()> {
        let (width, height) = screen.size()?;
        self.apply(screen, &mut None, Event::Resize { width, height })?;
        // The first frame comes before the first byte from the aggregator.
        self.tick(screen)?;
        for opened in further {
            self.open_tab(screen, opened)?;
        }
        self.draw(screen)?;
        let mut input = Some(EventStream::new());
        let mut progress = screen.progress();
        loop {
            let wake = self.next_frame(screen);
            let event = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                news = self.events.recv() => news.map(|(tab, event)| (Some(tab), event)),
                event = next_input(&mut input) => match event {
                    Some(Ok(event)) => translate(event).map(|event| (None, event)),
                    Some(Err(error)) => return Err(error),
                    // The terminal hung up.
                    None => return Ok(()),
                },
                changed = progress.changed() => {
                    if changed.is_err() {
                        // Taken over anew after a suspension, or gone.
                        if screen.is_broken() {
                            return Err(io::ErrorKind::BrokenPipe.into());
                        }
                        progress = screen.progress();
                    }
                    None
                }
                () = tokio::time::sleep_until(wake) => None,
            };
            self.look_at_terminal(screen);
            // Time first, so that whatever follows is stamped with it.
            self.tick(screen)?;
            if self.take_all_ready(screen, &mut input, event)? == Flow::Quit {
                return Ok(());
            }
            self.remember(false);
            if self.is_frame_due() {
                self.draw(screen)?;
            }
        }
    }

    /// Learns from how the terminal takes frames how many to draw.
    fn look_at_terminal(&mut self, screen: &Screen) {
        let now = self.began.elapsed();
        if let Some(waiting) = screen.waiting() {
            self.pace.waiting(waiting, now);
        }
        let progress = *screen.progress().borrow();
        if progress != self.progress {
            self.progress = progress;
            self.pace.taken(progress.took, now);
        }
        let is_slow = self.pace.is_slow();
        self.tell(self.tabs.shown(), Event::Pace { is_slow });
    }

    /// Keeps what has changed, once it has stayed so for a while; at the end at once.
    fn remember(&mut self, is_end: bool) {
        // Only what a person does changes it.
        let is_due = self.changed_at.is_some_and(|at| at.elapsed() >= REMEMBER_AFTER);
        if !(is_end || is_due) {
            return;
        }
        self.changed_at = None;
        for (tab, beside) in &mut self.beside {
            if let Some(state) = self.tabs.state_of(*tab) {
                match is_end {
                    true => beside.part(state),
                    false => beside.remember(state),
                }
            }
        }
    }

    fn take_all_ready(
        &mut self,
        screen: &mut Screen,
        input: &mut Option<EventStream>,
        first: Option<(Option<TabId>, Event)>,
    ) -> io::Result<Flow> {
        let mut next = first;
        for _ in 0..DRAIN_LIMIT {
            let ready = next
                .take()
                .or_else(|| self.events.try_recv().ok().map(|(tab, event)| (Some(tab), event)));
            let flow = match ready {
                None => break,
                Some((Some(tab), event)) => {
                    if tab == self.tabs.shown() {
                        self.data_at = Some(Instant::now());
                    }
                    self.deliver(screen, input, tab, event)?
                }
                Some((None, event)) => {
                    self.pressed = true;
                    self.changed_at = Some(Instant::now());
                    self.apply(screen, input, event)?
                }
            };
            if flow == Flow::Quit {
                return Ok(Flow::Quit);
            }
        }
        Ok(Flow::Continue)
    }

    fn tick(&mut self, screen: &mut Screen) -> io::Result<()> {
        let now = now();
        let utc_offset_seconds = self.utc_offset_seconds(now);
        self.apply(
            screen,
            &mut None,
            Event::Tick {
                now,
                utc_offset_seconds,
            },
        )?;
        Ok(())
    }

    /// Has the tabs that an event of the terminal or the clock is for take it.
    fn apply(
        &mut self,
        screen: &mut Screen,
        input: &mut Option<EventStream>,
        event: Event,
    ) -> io::Result<Flow> {
        for (tab, event) in self.tabs.route(event) {
            if self.deliver(screen, input, tab, event)? == Flow::Quit {
                return Ok(Flow::Quit);
            }
        }
        Ok(Flow::Continue)
    }

    fn deliver(
        &mut self,
        screen: &mut Screen,
        input: &mut Option<EventStream>,
        tab: TabId,
        event: Event,
    ) -> io::Result<Flow> {
        if let Some((recorded, recorder)) = &mut self.recorder
            && *recorded == tab
        {
            recorder.note(&event);
        }
        for effect in self.tabs.deliver(tab, event) {
            match effect {
                Effect::Quit => return Ok(Flow::Quit),
                Effect::Suspend => {
                    // Nobody else may read the terminal while the shell has it.
                    input.take();
                    screen.suspend()?;
                    *input = Some(EventStream::new());
                    let (width, height) = screen.size()?;
                    self.apply(screen, &mut None, Event::Resize { width, height })?;
                }
                Effect::Redraw => screen.clear()?,
                Effect::Announce(text) => {
                    let text = self.announced(tab, text);
                    if let Some(sequence) = self.options.notify.sequence(&text) {
                        screen.write(&sequence)?;
                    }
                }
                Effect::Copy(text) => screen.write(&clipboard::sequence(&text))?,
                Effect::Export { path, text, rows } => {
                    let told = write_new(&path, &text, rows);
                    self.tell(tab, Event::Notice(told));
                }
                Effect::Theme(name) => self.change_theme(tab, &name),
                Effect::Connect(target) => self.change_source(screen, tab, &target)?,
                Effect::Tab(request) => self.change_tab(screen, tab, request)?,
                Effect::Send(body) => self.send(tab, 0, body),
                Effect::Ask { request_id, body } => self.send(tab, request_id, body),
            }
        }
        Ok(Flow::Continue)
    }

    /// Tells a tab something that nothing follows from.
    fn tell(&mut self, tab: TabId, event: Event) {
        self.tabs.deliver(tab, event);
    }

    /// Hands a command to the connection of a tab; one without a number gets it there.
    fn send(&self, tab: TabId, request_id: u64, body: sysmon_api::wire::command::Body) {
        let command = sysmon_api::wire::Command {
            request_id,
            body: Some(body),
        };
        if let Some(beside) = self.beside.get(&tab) {
            beside.send(command);
        }
    }

    fn draw(&mut self, screen: &mut Screen) -> io::Result<()> {
        if !screen.is_ready() {
            // The terminal is busy with the frame before. What changed stays noted.
            if self.tabs.is_dirty() {
                self.skipped += 1;
            }
            self.drawn_at = Some(Instant::now());
            return Ok(());
        }
        let shown = self.tabs.shown();
        let Some(beside) = self.beside.get(&shown) else {
            return Ok(());
        };
        if self.tabs.take_dirty() {
            let began = Instant::now();
            let holds = self
                .pace
                .holds_charts(std::mem::take(&mut self.pressed), self.began.elapsed());
            let charts = match (self.pace.is_slow(), holds) {
                (false, _) => Charts::Drawn,
                (true, false) => Charts::Kept,
                (true, true) => Charts::Held,
            };
            let bytes = screen.draw(charts, |frame| render_tabs(&self.tabs, &beside.theme, frame))?;
            self.pace.drawn(bytes);
            let report = FrameReport {
                micros: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
                bytes,
                taken_micros: u64::try_from(self.progress.took.as_micros()).unwrap_or(u64::MAX),
                skipped: std::mem::take(&mut self.skipped),
                frames_per_second_max: self.options.frames_per_second(),
                events: self.events.len(),
                events_max: EVENT_QUEUE,
                commands: beside.commands_waiting(),
                commands_max: COMMAND_QUEUE,
            };
            self.tell(shown, Event::Frame(report));
        }
        self.drawn_at = Some(Instant::now());
        Ok(())
    }
}
