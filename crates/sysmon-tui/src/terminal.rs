//! The terminal itself: taken over, and given back whatever happens.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{
    EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

mod painter;
mod writer;

use painter::{Painter, never};
use writer::FrameWriter;
pub(crate) use writer::Progress;

/// Some thread has panicked, and the terminal was given back for the report: nothing is drawn over it any more.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// How long a terminal may take for the last frame before it is given back without it.
const FAREWELL: Duration = Duration::from_millis(500);
/// The most that is sent beside frames while the terminal takes none, such as what is copied; more is dropped.
const BESIDE_BYTES_MAX: usize = 256 * 1024;

/// The terminal while it is ours. Dropping it gives it back.
pub(crate) struct Screen {
    terminal: Terminal<Painter>,
    writer: FrameWriter,
    /// Sequences that go with the next frame.
    beside: Vec<u8>,
    /// What is on the screen, or on its way there, as long as later frames may hold its charts.
    shown: Option<Buffer>,
}

/// What becomes of the charts of a frame. They change in most of their cells, and say little in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charts {
    /// They are drawn, and so are those of the next frame.
    Drawn,
    /// They are drawn, and the next frames may hold them.
    Kept,
    /// They keep the shape that they have.
    Held,
}

impl Screen {
    /// Takes the terminal over. From here on a panic of any thread gives it back before it is reported, and cancels
    /// `shutdown`: a client whose parts have broken off must not go on drawing over the report.
    ///
    /// # Errors
    /// When standard output is no terminal, or it cannot be set up.
    pub(crate) fn take(shutdown: &CancellationToken) -> io::Result<Self> {
        restore_on_panic(shutdown.clone());
        enter()?;
        let made = output().and_then(FrameWriter::start).and_then(|writer| {
            let terminal = Terminal::new(Painter::default()).map_err(never)?;
            Ok((terminal, writer))
        });
        match made {
            Ok((terminal, writer)) => Ok(Self {
                terminal,
                writer,
                beside: Vec::new(),
                shown: None,
            }),
            Err(error) => {
                leave();
                Err(error)
            }
        }
    }

    /// Columns and rows.
    ///
    /// # Errors
    /// When the terminal does not say.
    pub(crate) fn size(&self) -> io::Result<(u16, u16)> {
        size()
    }

    /// Draws what changed, in one synchronized update; returns its bytes, none when nothing has changed.
    ///
    /// Nothing may be drawn before [`Screen::is_ready`].
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn draw(&mut self, charts: Charts, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<usize> {
        if self.writer.is_broken() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if has_panicked() || !self.is_ready() {
            return Ok(0);
        }
        let shown = &mut self.shown;
        let drawn = |frame: &mut Frame<'_>| {
            draw(frame);
            if let Some(before) = shown.as_ref().filter(|_| charts == Charts::Held) {
                hold(frame.buffer_mut(), before);
            }
            // A copy of ten thousand cells costs a tenth of a frame: only where it will be looked at.
            *shown = (charts != Charts::Drawn).then(|| frame.buffer_mut().clone());
        };
        self.terminal.draw(drawn).map_err(never)?;
        let frame = self.terminal.backend_mut().take_frame();
        let mut bytes = std::mem::take(&mut self.beside);
        let count = frame.as_ref().map_or(0, Vec::len);
        bytes.extend(frame.unwrap_or_default());
        if !bytes.is_empty() {
            self.writer.hand_over(bytes)?;
        }
        Ok(count)
    }

    /// Whether the terminal has taken everything so far.
    pub(crate) fn is_ready(&self) -> bool {
        self.writer.is_ready()
    }

    /// Whether the terminal is gone.
    pub(crate) fn is_broken(&self) -> bool {
        self.writer.is_broken()
    }

    /// For how long the terminal has not taken a frame.
    pub(crate) fn waiting(&self) -> Option<Duration> {
        self.writer.waiting()
    }

    /// By which to wait until the terminal has taken a frame.
    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.writer.progress()
    }

    /// Writes a sequence that moves nothing on the screen, such as the bell: at once, or before the next frame.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn write(&mut self, sequence: &str) -> io::Result<()> {
        if has_panicked() || self.beside.len() + sequence.len() > BESIDE_BYTES_MAX {
            return Ok(());
        }
        self.beside.extend_from_slice(sequence.as_bytes());
        if self.is_ready() {
            self.writer.hand_over(std::mem::take(&mut self.beside))?;
        }
        Ok(())
    }

    /// Makes the next draw write every cell.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        // `Terminal::clear` would ask the terminal where its cursor is, and wait for an answer that a slow link delays
        // or the next key press garbles; taking the same size over again clears without asking.
        let (width, height) = self.size()?;
        self.shown = None;
        self.terminal.backend_mut().forget();
        self.terminal
            .resize(Rect::new(0, 0, width, height))
            .map_err(never)
    }

    /// Gives the terminal back, stops this process until it is continued, and takes the terminal again.
    ///
    /// # Errors
    /// When the terminal cannot be set up again.
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        #[cfg(unix)]
        {
            self.writer.finish(FAREWELL);
            leave();
            // The whole process group, as the terminal itself would do it on ^Z.
            let stopped = rustix::process::kill_current_process_group(rustix::process::Signal::TSTP);
            enter()?;
            stopped.map_err(io::Error::from)?;
            self.writer = FrameWriter::start(output()?)?;
        }
        self.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Left already, and the report stands where the cursor was.
        if has_panicked() {
            return;
        }
        if self.writer.finish(FAREWELL) {
            leave();
        } else {
            // The terminal takes nothing: what is written to it now would wait for ever, and this process with it.
            let _ = disable_raw_mode();
        }
    }
}

/// Columns and rows. Asked of what frames are written to: the library opens the terminal anew for each question.
fn size() -> io::Result<(u16, u16)> {
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(io::stdout())
        && size.ws_col > 0
        && size.ws_row > 0
    {
        return Ok((size.ws_col, size.ws_row));
    }
    crossterm::terminal::size()
}

/// Where frames are written: the terminal itself, past the lock and the buffer of standard output, which may be needed
/// while a frame is stuck.
fn output() -> io::Result<impl Write + Send + 'static> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        let terminal = io::stdout().as_fd().try_clone_to_owned()?;
        Ok(std::fs::File::from(terminal))
    }
    #[cfg(not(unix))]
    {
        Ok(io::stdout())
    }
}

/// Keeps the shapes of charts as they were, in the style of now.
fn hold(buffer: &mut Buffer, before: &Buffer) {
    if buffer.area != before.area {
        return;
    }
    let is_shape = |symbol: &str| {
        let shape = symbol.chars().next().unwrap_or(' ');
        matches!(shape, '\u{2800}'..='\u{28ff}' | '▁'..='█')
    };
    for (cell, before) in buffer.content.iter_mut().zip(&before.content) {
        if is_shape(cell.symbol()) && is_shape(before.symbol()) {
            cell.set_symbol(before.symbol());
        }
    }
}

/// Whether some thread has panicked since the terminal was taken.
pub(crate) fn has_panicked() -> bool {
    PANICKED.load(Ordering::Acquire)
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    let entered = execute!(
        io::stdout(),
        EnterAlternateScreen,
        EnableMouseCapture,
        EnableBracketedPaste,
        cursor::Hide
    );
    if entered.is_err() {
        leave();
    }
    entered
}

/// Nothing here can be helped when it fails: the terminal is gone then.
fn leave() {
    let mut stdout = io::stdout();
    let _ = execute!(
        stdout,
        EndSynchronizedUpdate,
        DisableBracketedPaste,
        DisableMouseCapture,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = disable_raw_mode();
    let _ = stdout.flush();
}

fn restore_on_panic(shutdown: CancellationToken) {
    static SHUTDOWN: OnceLock<CancellationToken> = OnceLock::new();
    if SHUTDOWN.set(shutdown).is_err() {
        return;
    }
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !PANICKED.swap(true, Ordering::AcqRel) {
            leave();
        }
        before(panic);
        if let Some(shutdown) = SHUTDOWN.get() {
            shutdown.cancel();
        }
    }));
}
