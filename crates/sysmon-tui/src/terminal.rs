//! The terminal itself: taken over, and given back whatever happens.

use std::io::{self, BufWriter, Stdout, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute, queue};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal};
use tokio_util::sync::CancellationToken;

/// Some thread has panicked, and the terminal was given back for the report: nothing is drawn over it any more.
static PANICKED: AtomicBool = AtomicBool::new(false);

type Backend = CrosstermBackend<BufWriter<Stdout>>;

/// The terminal while it is ours. Dropping it gives it back.
pub(crate) struct Screen {
    terminal: Terminal<Backend>,
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
        // A frame fits the buffer, so that it reaches the terminal in one write.
        let writer = BufWriter::with_capacity(64 * 1024, io::stdout());
        let terminal = Terminal::new(CrosstermBackend::new(writer));
        match terminal {
            Ok(terminal) => Ok(Self { terminal }),
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
        let size = self.terminal.size()?;
        Ok((size.width, size.height))
    }

    /// Draws what changed, in one synchronized update.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        if has_panicked() {
            return Ok(());
        }
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(draw)?;
        queue!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        io::Write::flush(self.terminal.backend_mut())
    }

    /// Writes a sequence that moves nothing on the screen, such as the bell.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn write(&mut self, sequence: &str) -> io::Result<()> {
        if has_panicked() {
            return Ok(());
        }
        let backend = self.terminal.backend_mut();
        backend.write_all(sequence.as_bytes())?;
        io::Write::flush(backend)
    }

    /// Makes the next draw write every cell.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        // `Terminal::clear` would ask the terminal where its cursor is, and wait for an answer that a slow link delays
        // or the next key press garbles; taking the same size over again clears without asking.
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::new(0, 0, size.width, size.height))
    }

    /// Gives the terminal back, stops this process until it is continued, and takes the terminal again.
    ///
    /// # Errors
    /// When the terminal cannot be set up again.
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        #[cfg(unix)]
        {
            leave();
            // The whole process group, as the terminal itself would do it on ^Z.
            let stopped = rustix::process::kill_current_process_group(rustix::process::Signal::TSTP);
            enter()?;
            stopped.map_err(io::Error::from)?;
        }
        self.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Left already, and the report stands where the cursor was.
        if !has_panicked() {
            leave();
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
