//! The loop around the state machine: everything ready is taken, then at most one frame is drawn.

use std::io;
use std::time::Duration;

use crossterm::event::EventStream;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clipboard;
use crate::connect::Connect;
use crate::event::{Effect, Event, FrameReport};
use crate::glyphs::Glyphs;
use crate::link::{COMMAND_QUEUE, keep_connected, now};
use crate::options::Options;
use crate::preferences::{Preferences, Store};
use crate::record::{Recorder, RecordingError};
use crate::render::render;
use crate::state::State;
use crate::terminal::{Charts, Progress, Screen, has_panicked};
use crate::theme::{ColourDepth, Theme, ThemeError};
use crate::update::update;

mod frames;
mod outside;
mod pace;
mod replaying;

use outside::{next_input, translate, write_new};
use pace::Pace;
pub use replaying::replay;

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
    let mut store = options
        .state_dir
        .as_ref()
        .map(|folder| Store::new(folder, &options.source_name));
    let remembered = store.as_mut().map(Store::load).unwrap_or_default();
    let theme = theme(&options, &remembered)?;
    let mut screen = Screen::take(&shutdown)?;
    let began = Instant::now();
    let recorder = options.recorder.take();
    let mut client = Client {
        state: state(&options, &options.source_name, &theme, &remembered),
        theme,
        link: Link::start(connect),
        pace: Pace::new(options.frames_per_second(), options.is_low_bandwidth),
        store,
        recorder,
        options,
        began,
        drawn_at: None,
        data_at: None,
        changed_at: None,
        pressed: true,
        skipped: 0,
        progress: Progress::default(),
        utc_offset: None,
    };
    if client.options.is_local {
        client.state = client.state.opening_only_machine();
    }
    let result = client.run(&mut screen, &shutdown).await;
    client.remember(true);
    client.link.task.abort();
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

/// The connection, and the two queues to it.
struct Link {
    events: mpsc::Receiver<Event>,
    commands: mpsc::Sender<sysmon_api::wire::Command>,
    task: JoinHandle<()>,
}

impl Link {
    fn start(connect: Box<dyn Connect>) -> Self {
        let (events_in, events) = mpsc::channel(EVENT_QUEUE);
        let (commands, commands_out) = mpsc::channel(COMMAND_QUEUE);
        Self {
            events,
            commands,
            task: tokio::spawn(keep_connected(connect, commands_out, events_in)),
        }
    }
}

struct Client {
    state: State,
    theme: Theme,
    link: Link,
    pace: Pace,
    /// Where it is remembered what the console is like.
    store: Option<Store>,
    recorder: Option<Recorder>,
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
    async fn run(&mut self, screen: &mut Screen, shutdown: &CancellationToken) -> io::Result<()> {
        let (width, height) = screen.size()?;
        self.apply(screen, &mut None, Event::Resize { width, height })?;
        // The first frame comes before the first byte from the aggregator.
        self.tick(screen)?;
        self.draw(screen)?;
        let mut input = Some(EventStream::new());
        let mut progress = screen.progress();
        loop {
            let wake = self.next_frame(screen);
            let event = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                event = self.link.events.recv() => match event {
                    Some(event) => Some(event),
                    None => return Ok(()),
                },
                event = next_input(&mut input) => match event {
                    Some(Ok(event)) => translate(event),
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
        update(&mut self.state, Event::Pace { is_slow });
    }

    /// Keeps what has changed, once it has stayed so for a while; at the end at once.
    fn remember(&mut self, is_end: bool) {
        // Only what a person does changes it.
        let Some(store) = self
            .store
            .as_mut()
            .filter(|_| is_end || self.changed_at.is_some())
        else {
            return;
        };
        let is_due = self.changed_at.is_some_and(|at| at.elapsed() >= REMEMBER_AFTER);
        if is_end || is_due {
            self.changed_at = None;
            store.save(Preferences::of(&self.state));
        }
    }

    fn take_all_ready(
        &mut self,
        screen: &mut Screen,
        input: &mut Option<EventStream>,
        first: Option<Event>,
    ) -> io::Result<Flow> {
        let mut next = first;
        for _ in 0..DRAIN_LIMIT {
            let Some(event) = next.take().or_else(|| self.link.events.try_recv().ok()) else {
                break;
            };
            if matches!(event, Event::Link(_)) {
                self.data_at = Some(Instant::now());
            } else {
                self.pressed = true;
                self.changed_at = Some(Instant::now());
            }
            if self.apply(screen, input, event)? == Flow::Quit {
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

    fn apply(
        &mut self,
        screen: &mut Screen,
        input: &mut Option<EventStream>,
        event: Event,
    ) -> io::Result<Flow> {
        if let Some(recorder) = &mut self.recorder {
            recorder.note(&event);
        }
        for effect in update(&mut self.state, event) {
            match effect {
                Effect::Quit => return Ok(Flow::Quit),
                Effect::Suspend => {
                    // Nobody else may read the terminal while the shell has it.
                    input.take();
                    screen.suspend()?;
                    *input = Some(EventStream::new());
                    let (width, height) = screen.size()?;
                    update(&mut self.state, Event::Resize { width, height });
                }
                Effect::Redraw => screen.clear()?,
                Effect::Announce(text) => {
                    if let Some(sequence) = self.options.notify.sequence(&text) {
                        screen.write(&sequence)?;
                    }
                }
                Effect::Copy(text) => screen.write(&clipboard::sequence(&text))?,
                Effect::Export { path, text, rows } => {
                    let told = write_new(&path, &text, rows);
                    update(&mut self.state, Event::Notice(told));
                }
                Effect::Theme(name) => self.change_theme(&name),
                Effect::Connect(target) => self.change_source(&target),
                Effect::Send(body) => self.send(0, body),
                Effect::Ask { request_id, body } => self.send(request_id, body),
            }
        }
        Ok(Flow::Continue)
    }

    /// Hands a command to the connection; one without a number gets it there.
    fn send(&self, request_id: u64, body: sysmon_api::wire::command::Body) {
        let command = sysmon_api::wire::Command {
            request_id,
            body: Some(body),
        };
        if self.link.commands.try_send(command).is_err() {
            tracing::warn!("a command was dropped: the connection does not take any");
        }
    }

    /// Draws in other colours; when they cannot be had, says why.
    fn change_theme(&mut self, name: &str) {
        match Theme::load(name, &self.options.theme_dirs, self.theme.depth()) {
            Ok(theme) => {
                self.theme = theme.with_glyphs(self.theme.glyphs);
                self.state.mark_dirty();
            }
            Err(error) => {
                update(&mut self.state, Event::Notice(error.to_string()));
            }
        }
    }

    /// Goes to another aggregator. The console begins anew there, as it was left there.
    fn change_source(&mut self, target: &str) {
        let connections = self.options.connections.as_ref();
        let opened = match connections.map(|connections| connections.open(target)) {
            Some(Ok(opened)) => opened,
            Some(Err(reason)) => {
                update(&mut self.state, Event::Notice(reason));
                return;
            }
            None => {
                let reason = "this console cannot change its aggregator: start another one with --connect";
                update(&mut self.state, Event::Notice(reason.into()));
                return;
            }
        };
        self.remember(true);
        self.link.task.abort();
        self.link = Link::start(opened.connect);
        self.store = self
            .options
            .state_dir
            .as_ref()
            .map(|folder| Store::new(folder, &opened.name));
        let remembered = self.store.as_mut().map(Store::load).unwrap_or_default();
        let before = &self.state;
        let (width, height) = (before.width, before.height);
        let time = Event::Tick {
            now: before.now,
            utc_offset_seconds: before.utc_offset_seconds,
        };
        let themes = before.console.theme.clone();
        self.state = state(&self.options, &opened.name, &self.theme, &remembered);
        self.state.console.theme = themes;
        self.data_at = None;
        update(&mut self.state, Event::Resize { width, height });
        update(&mut self.state, time);
    }

    fn draw(&mut self, screen: &mut Screen) -> io::Result<()> {
        if !screen.is_ready() {
            // The terminal is busy with the frame before. What changed stays noted.
            if self.state.is_dirty() {
                self.skipped += 1;
            }
            self.drawn_at = Some(Instant::now());
            return Ok(());
        }
        if self.state.take_dirty() {
            let began = Instant::now();
            let holds = self
                .pace
                .holds_charts(std::mem::take(&mut self.pressed), self.began.elapsed());
            let charts = match (self.pace.is_slow(), holds) {
                (false, _) => Charts::Drawn,
                (true, false) => Charts::Kept,
                (true, true) => Charts::Held,
            };
            let bytes = screen.draw(charts, |frame| render(&self.state, &self.theme, frame))?;
            self.pace.drawn(bytes);
            let report = FrameReport {
                micros: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
                bytes,
                taken_micros: u64::try_from(self.progress.took.as_micros()).unwrap_or(u64::MAX),
                skipped: std::mem::take(&mut self.skipped),
                frames_per_second_max: self.options.frames_per_second(),
                events: self.link.events.len(),
                events_max: EVENT_QUEUE,
                commands: COMMAND_QUEUE - self.link.commands.capacity(),
                commands_max: COMMAND_QUEUE,
            };
            update(&mut self.state, Event::Frame(report));
        }
        self.drawn_at = Some(Instant::now());
        Ok(())
    }
}
