//! The loop around the state machine: everything ready is taken, then at most one frame is drawn.

use std::io;
use std::path::Path;
use std::time::Duration;

use crossterm::event::{Event as TerminalEvent, EventStream, MouseButton, MouseEventKind};
use futures_util::StreamExt;
use sysmon_core::UnixMillis;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::connect::Connect;
use crate::event::{Effect, Event, Mouse, MouseAction};
use crate::glyphs::Glyphs;
use crate::key::Key;
use crate::link::{COMMAND_QUEUE, keep_connected, now};
use crate::options::{Notify, Options};
use crate::record::{Recorder, RecordingError};
use crate::render::render;
use crate::replay::{self, Player};
use crate::state::State;
use crate::terminal::{Screen, has_panicked};
use crate::theme::{ColourDepth, Theme, ThemeError};
use crate::update::update;

/// Events on their way in. When the queue is full the connection waits, and the aggregator coalesces.
const EVENT_QUEUE: usize = 16;
/// Data that comes every second draws the clock along with it; only when it is this late the clock is drawn alone.
const TICK_BESIDE_DATA: Duration = Duration::from_millis(1_250);
/// Without data for this long, the clock is drawn on the second.
const DATA_IS_REGULAR: Duration = Duration::from_millis(2_500);
/// No two frames are closer than this, however much happens.
const FRAME: Duration = Duration::from_millis(33);
/// A replay moves on this often.
const REPLAY_FRAME: Duration = Duration::from_millis(100);
/// While it stands still only keys matter.
const IDLE: Duration = Duration::from_secs(60);
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
    options: Options,
    connect: Box<dyn Connect>,
    shutdown: CancellationToken,
) -> Result<(), TuiError> {
    let theme = theme(&options)?;
    let mut screen = Screen::take(&shutdown)?;
    let (events_in, events) = mpsc::channel(EVENT_QUEUE);
    let (commands, commands_out) = mpsc::channel(COMMAND_QUEUE);
    let link = tokio::spawn(keep_connected(connect, commands_out, events_in));
    let state = State::new(&options.source_name, options.filter.as_deref())
        .drawing_points_per_cell(theme.glyphs.points_per_cell())
        .drawing_half_cells(theme.has_half_cells())
        .asking_for_bursts(options.burst_interval_ms);
    let mut client = Client {
        state: if options.is_local {
            state.opening_only_machine()
        } else {
            state
        },
        theme,
        events,
        commands,
        notify: options.notify,
        recorder: options.recorder,
        drawn_at: None,
        data_at: None,
    };
    let result = client.run(&mut screen, &shutdown).await;
    link.abort();
    drop(screen);
    if has_panicked() {
        return Err(TuiError::Panicked);
    }
    Ok(result?)
}

/// Plays a recording until the person quits or `shutdown` is cancelled, and gives the terminal back.
///
/// # Errors
/// [`TuiError`] when the recording, the theme or the terminal cannot be used.
pub async fn replay(options: Options, path: &Path, shutdown: CancellationToken) -> Result<(), TuiError> {
    let theme = theme(&options)?;
    let points_per_cell = theme.glyphs.points_per_cell();
    // Before the terminal is taken, so that a wrong file is told on it.
    let mut player = Player::open(path, (0, 0), points_per_cell)?;
    let mut screen = Screen::take(&shutdown)?;
    player.resize(screen.size()?);
    let outcome = play(&mut player, &theme, &mut screen, &shutdown).await;
    drop(screen);
    if has_panicked() {
        return Err(TuiError::Panicked);
    }
    outcome
}

async fn play(
    player: &mut Player,
    theme: &Theme,
    screen: &mut Screen,
    shutdown: &CancellationToken,
) -> Result<(), TuiError> {
    let mut input = Some(EventStream::new());
    let mut passed = Instant::now();
    loop {
        if player.take_dirty() {
            screen.draw(|frame| render(player.state(), theme, frame))?;
        }
        let wake = Instant::now() + if player.is_playing() { REPLAY_FRAME } else { IDLE };
        let event = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            event = next_input(&mut input) => match event {
                Some(Ok(event)) => translate(event),
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            },
            () = tokio::time::sleep_until(wake) => None,
        };
        let now = Instant::now();
        player.pass(u64::try_from((now - passed).as_micros()).unwrap_or(u64::MAX));
        passed = now;
        match event {
            Some(Event::Key(key)) if player.press(key)? == replay::Flow::Quit => return Ok(()),
            Some(Event::Resize { width, height }) => {
                screen.clear()?;
                player.resize((width, height));
            }
            _ => {}
        }
    }
}

/// The theme for this terminal.
fn theme(options: &Options) -> Result<Theme, ThemeError> {
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
    Ok(Theme::load(&options.theme, &options.theme_dirs, depth)?.with_glyphs(glyphs))
}

struct Client {
    state: State,
    theme: Theme,
    events: mpsc::Receiver<Event>,
    commands: mpsc::Sender<sysmon_api::wire::Command>,
    notify: Notify,
    recorder: Option<Recorder>,
    drawn_at: Option<Instant>,
    /// When the connection last brought something.
    data_at: Option<Instant>,
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
        loop {
            let wake = self.next_frame();
            let event = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                event = self.events.recv() => match event {
                    Some(event) => Some(event),
                    None => return Ok(()),
                },
                event = next_input(&mut input) => match event {
                    Some(Ok(event)) => translate(event),
                    Some(Err(error)) => return Err(error),
                    // The terminal hung up.
                    None => return Ok(()),
                },
                () = tokio::time::sleep_until(wake) => None,
            };
            // Time first, so that whatever follows is stamped with it.
            self.tick(screen)?;
            if self.take_all_ready(screen, &mut input, event)? == Flow::Quit {
                return Ok(());
            }
            if wake_due(self.drawn_at) {
                self.draw(screen)?;
            }
        }
    }

    /// When to wake without an event: soon when something waits to be drawn, else when the clock moves on.
    fn next_frame(&mut self) -> Instant {
        let Some(drawn_at) = self.drawn_at else {
            return Instant::now();
        };
        let wake = if self.state.is_dirty() {
            drawn_at + FRAME
        } else if self.data_at.is_some_and(|at| at.elapsed() < DATA_IS_REGULAR) {
            drawn_at + TICK_BESIDE_DATA
        } else {
            let into_second = u64::try_from(now().0.rem_euclid(1_000)).unwrap_or(0);
            Instant::now() + Duration::from_millis(1_000 - into_second)
        };
        let awaited = |at: UnixMillis| Instant::now() + Duration::from_millis(at.since_ms(now()));
        self.state.wakes_at().map_or(wake, |at| wake.min(awaited(at)))
    }

    fn take_all_ready(
        &mut self,
        screen: &mut Screen,
        input: &mut Option<EventStream>,
        first: Option<Event>,
    ) -> io::Result<Flow> {
        let mut next = first;
        for _ in 0..DRAIN_LIMIT {
            let Some(event) = next.take().or_else(|| self.events.try_recv().ok()) else {
                break;
            };
            if matches!(event, Event::Link(_)) {
                self.data_at = Some(Instant::now());
            }
            if self.apply(screen, input, event)? == Flow::Quit {
                return Ok(Flow::Quit);
            }
        }
        Ok(Flow::Continue)
    }

    fn tick(&mut self, screen: &mut Screen) -> io::Result<()> {
        use chrono::Offset as _;
        let utc_offset_seconds = chrono::Local::now().offset().fix().local_minus_utc();
        self.apply(
            screen,
            &mut None,
            Event::Tick {
                now: now(),
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
                    if let Some(sequence) = self.notify.sequence(&text) {
                        screen.write(&sequence)?;
                    }
                }
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
        if self.commands.try_send(command).is_err() {
            tracing::warn!("a command was dropped: the connection does not take any");
        }
    }

    fn draw(&mut self, screen: &mut Screen) -> io::Result<()> {
        if self.state.take_dirty() {
            screen.draw(|frame| render(&self.state, &self.theme, frame))?;
        }
        self.drawn_at = Some(Instant::now());
        Ok(())
    }
}

fn wake_due(drawn_at: Option<Instant>) -> bool {
    drawn_at.is_none_or(|at| at.elapsed() >= FRAME)
}

async fn next_input(input: &mut Option<EventStream>) -> Option<io::Result<TerminalEvent>> {
    match input {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

/// What a terminal event means to the client; `None` for what it does not use.
fn translate(event: TerminalEvent) -> Option<Event> {
    match event {
        TerminalEvent::Key(key) => Key::from_terminal(key).map(Event::Key),
        TerminalEvent::Paste(text) => Some(Event::Paste(text)),
        TerminalEvent::Resize(width, height) => Some(Event::Resize { width, height }),
        TerminalEvent::Mouse(mouse) => {
            let action = match mouse.kind {
                MouseEventKind::Down(MouseButton::Left) => MouseAction::Press,
                MouseEventKind::Drag(MouseButton::Left) => MouseAction::Drag,
                MouseEventKind::Up(MouseButton::Left) => MouseAction::Release,
                MouseEventKind::ScrollUp => MouseAction::WheelUp,
                MouseEventKind::ScrollDown => MouseAction::WheelDown,
                _ => return None,
            };
            Some(Event::Mouse(Mouse {
                action,
                column: mouse.column,
                row: mouse.row,
            }))
        }
        TerminalEvent::FocusGained | TerminalEvent::FocusLost => None,
    }
}
