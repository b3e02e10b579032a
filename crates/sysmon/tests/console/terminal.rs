//! A terminal that a test can type into and read.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

/// Long enough for a loaded machine; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A program in a pseudo-terminal.
pub(crate) struct Terminal {
    master: Box<dyn MasterPty + Send>,
    writer: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    seen: Arc<Mutex<Seen>>,
    /// Whether the terminal takes nothing.
    is_stuck: Arc<AtomicBool>,
    /// How long a key is on its way.
    key_delay: Duration,
    /// Bytes that the program has written and that the line has not carried yet.
    under_way: Arc<AtomicUsize>,
}

/// While it lives, the terminal takes nothing.
pub(crate) struct Stuck(Arc<AtomicBool>);

impl Drop for Stuck {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// What lies between the program and the person, such as a poor connection of a shell on another machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) bytes_per_second: u32,
    /// In each direction.
    pub(crate) delay: Duration,
    /// What the sender's buffers take before a write has to wait.
    pub(crate) buffered_bytes_max: usize,
}

/// A piece of output on its way.
struct Piece {
    bytes: Vec<u8>,
    arrives: Instant,
}

struct Seen {
    screen: vt100::Parser,
    /// Everything that was written, for sequences that leave no trace on a screen.
    bytes: Vec<u8>,
}

impl Seen {
    fn take(&mut self, bytes: &[u8]) {
        self.screen.process(bytes);
        self.bytes.extend_from_slice(bytes);
    }
}

/// The sending end of a line.
struct OverLine {
    line: Line,
    pieces: mpsc::SyncSender<Piece>,
    under_way: Arc<AtomicUsize>,
    /// When the line has carried all that it was given.
    free: Instant,
}

impl OverLine {
    fn new(line: Line, seen: &Arc<Mutex<Seen>>, under_way: &Arc<AtomicUsize>) -> Self {
        let (pieces, arriving) = mpsc::sync_channel::<Piece>(4_096);
        let seen = Arc::clone(seen);
        let count = Arc::clone(under_way);
        std::thread::spawn(move || {
            for piece in arriving {
                wait(piece.arrives.saturating_duration_since(Instant::now()));
                seen.lock().unwrap().take(&piece.bytes);
                count.fetch_sub(piece.bytes.len(), Ordering::AcqRel);
            }
        });
        Self {
            line,
            pieces,
            under_way: Arc::clone(under_way),
            free: Instant::now(),
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        // A character at a time for the screen would be exact, and a packet of this size is what a shell sends.
        for bytes in bytes.chunks(512) {
            while self.under_way.load(Ordering::Acquire) >= self.line.buffered_bytes_max {
                pause();
            }
            let takes =
                Duration::from_secs(1) * u32::try_from(bytes.len()).unwrap() / self.line.bytes_per_second;
            self.free = self.free.max(Instant::now()) + takes;
            self.under_way.fetch_add(bytes.len(), Ordering::AcqRel);
            let piece = Piece {
                bytes: bytes.to_vec(),
                arrives: self.free + self.line.delay,
            };
            // The other end is there as long as this one.
            let _ = self.pieces.send(piece);
        }
    }
}

/// A command with folders of its own, so that no test meets another or the user's files.
pub(crate) fn command(program: &str, home: &Path) -> CommandBuilder {
    let mut command = CommandBuilder::new(program);
    command.env_clear();
    for (name, value) in environment(home) {
        command.env(name, value);
    }
    command.cwd(home);
    command
}

/// What every process of a test runs with.
pub(crate) fn environment(home: &Path) -> Vec<(&'static str, PathBuf)> {
    let mut environment: Vec<(&'static str, PathBuf)> = [
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_STATE_HOME",
        "XDG_RUNTIME_DIR",
        "TMPDIR",
    ]
    .map(|name| (name, home.join(name.to_lowercase())))
    .into();
    for (_, folder) in &environment {
        std::fs::create_dir_all(folder).unwrap();
    }
    environment.push(("HOME", home.into()));
    environment.push(("TERM", "xterm-256color".into()));
    environment.push(("LANG", "C.UTF-8".into()));
    environment.push(("PATH", std::env::var_os("PATH").unwrap_or_default().into()));
    environment
}

impl Terminal {
    pub(crate) fn start(command: CommandBuilder, columns: u16, rows: u16) -> Self {
        Self::start_over(command, columns, rows, None)
    }

    /// The same at the far end of a line.
    pub(crate) fn start_over(command: CommandBuilder, columns: u16, rows: u16, line: Option<Line>) -> Self {
        let key_delay = line.map_or(Duration::ZERO, |line| line.delay);
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let seen = Arc::new(Mutex::new(Seen {
            screen: vt100::Parser::new(cells(rows), cells(columns), 0),
            bytes: Vec::new(),
        }));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let copy = Arc::clone(&seen);
        let is_stuck = Arc::new(AtomicBool::new(false));
        let stuck = Arc::clone(&is_stuck);
        let under_way = Arc::new(AtomicUsize::new(0));
        let mut line = line.map(|line| OverLine::new(line, &seen, &under_way));
        std::thread::spawn(move || {
            let mut buffer = [0; 16_384];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                while stuck.load(Ordering::Acquire) {
                    pause();
                }
                match &mut line {
                    Some(line) => line.send(&buffer[..length]),
                    None => copy.lock().unwrap().take(&buffer[..length]),
                }
            }
        });
        Self {
            writer: pair.master.take_writer().unwrap(),
            master: pair.master,
            child,
            seen,
            is_stuck,
            key_delay,
            under_way,
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    pub(crate) fn screen(&self) -> String {
        self.seen().screen.screen().contents()
    }

    pub(crate) fn wrote(&self, bytes: &str) -> bool {
        self.seen()
            .bytes
            .windows(bytes.len())
            .any(|window| window == bytes.as_bytes())
    }

    pub(crate) fn bytes_written(&self) -> usize {
        self.seen().bytes.len()
    }

    pub(crate) fn is_alternate_screen(&self) -> bool {
        self.seen().screen.screen().alternate_screen()
    }

    /// What the program has written and nobody can see yet.
    pub(crate) fn bytes_under_way(&self) -> usize {
        self.under_way.load(Ordering::Acquire)
    }

    pub(crate) fn press(&mut self, keys: &str) {
        wait(self.key_delay);
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        self.seen()
            .screen
            .screen_mut()
            .set_size(cells(rows), cells(columns));
        self.master
            .resize(PtySize {
                rows,
                cols: columns,
                pixel_width: 0,
                pixel_height: 0,
            })
            .unwrap();
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    /// Waits until the screen is as wanted; fails with the screen when it never is. Returns how long it took.
    pub(crate) fn wait_for(&self, what: &str, mut wanted: impl FnMut(&str) -> bool) -> Duration {
        let started = Instant::now();
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return started.elapsed();
            }
            assert!(
                started.elapsed() < PATIENCE,
                "{what} never came; the screen is:\n{screen}"
            );
            pause();
        }
    }

    /// Takes nothing more until what this returns is dropped.
    pub(crate) fn stop_reading(&self) -> Stuck {
        self.is_stuck.store(true, Ordering::Release);
        Stuck(Arc::clone(&self.is_stuck))
    }

    /// Waits until something is so that the screen does not show.
    pub(crate) fn wait_until(&self, what: &str, wanted: impl Fn(&Self) -> bool) {
        self.wait_for(what, |_| wanted(self));
    }

    /// Waits for a text.
    pub(crate) fn wait_for_text(&self, text: &str) -> Duration {
        self.wait_for(text, |screen| screen.contains(text))
    }

    /// Waits for the end of the program.
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "it never ended; the screen is:\n{}",
                self.screen()
            );
            pause();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A size of at least one.
fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}

/// Between two looks at the screen.
pub(crate) fn pause() {
    wait(Duration::from_millis(20));
}

fn wait(duration: Duration) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test thread that waits for another process"
    )]
    std::thread::sleep(duration);
}
