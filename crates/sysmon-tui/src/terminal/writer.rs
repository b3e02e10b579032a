//! A thread that writes frames, so that a terminal that takes none holds up nothing else.
//!
//! One frame at most is on its way. Whoever draws looks first whether it has arrived; while it has not, nothing is drawn,
//! and the next frame shows what is the case then.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// How far the thread is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Frames that the terminal has taken.
    taken: u64,
    /// How long the last one took.
    pub(crate) took: Duration,
    /// The terminal is gone.
    is_broken: bool,
}

/// The end of the queue where frames are put in.
pub(super) struct FrameWriter {
    frames: Option<SyncSender<Vec<u8>>>,
    progress: watch::Receiver<Progress>,
    handed: u64,
    handed_at: Option<Instant>,
    /// Closed when the thread ends.
    end: Receiver<()>,
}

impl FrameWriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there is none to be had.
    pub(super) fn start(output: impl Write + Send + 'static) -> io::Result<Self> {
        // Room for the one frame; it is never waited for.
        let (frames, queue) = sync_channel(1);
        let (progress_in, progress) = watch::channel(Progress::default());
        let (ended, end) = sync_channel(0);
        std::thread::Builder::new()
            .name("terminal".into())
            .spawn(move || {
                write_all(&queue, output, &progress_in);
                drop(ended);
            })?;
        Ok(Self {
            frames: Some(frames),
            progress,
            handed: 0,
            handed_at: None,
            end,
        })
    }

    /// Hands a frame over. It is only called when the last one has arrived.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(super) fn hand_over(&mut self, frame: Vec<u8>) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let frames = self.frames.as_ref().ok_or_else(gone)?;
        frames.try_send(frame).map_err(|_| gone())?;
        self.handed += 1;
        self.handed_at = Some(Instant::now());
        Ok(())
    }

    /// Whether the next frame can be handed over.
    pub(super) fn is_ready(&self) -> bool {
        self.progress.borrow().taken >= self.handed
    }

    /// Whether the terminal is gone.
    pub(super) fn is_broken(&self) -> bool {
        self.progress.borrow().is_broken
    }

    /// For how long the frame on its way has been.
    pub(super) fn waiting(&self) -> Option<Duration> {
        self.handed_at
            .filter(|_| !self.is_ready())
            .map(|handed_at| handed_at.elapsed())
    }

    /// By which to wait for a frame to arrive, without holding on to the writer.
    pub(super) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits until nothing is on its way any more; says whether that was so within `patience`.
    pub(super) fn finish(&mut self, patience: Duration) -> bool {
        self.frames = None;
        matches!(
            self.end.recv_timeout(patience),
            Err(RecvTimeoutError::Disconnected)
        )
    }
}

fn write_all(queue: &Receiver<Vec<u8>>, mut output: impl Write, progress: &watch::Sender<Progress>) {
    for frame in queue {
        // Another thread's panic has given the terminal back: its report is not drawn over.
        let began = Instant::now();
        let written = if super::has_panicked() {
            Ok(())
        } else {
            output.write_all(&frame).and_then(|()| output.flush())
        };
        progress.send_modify(|progress| {
            progress.taken += 1;
            progress.took = began.elapsed();
            progress.is_broken = written.is_err();
        });
        if written.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// A terminal that takes a frame whenever it is told to.
    struct Stuck {
        gate: Receiver<()>,
        seen: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.gate.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.seen.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_stuck_terminal_holds_up_nobody_and_its_loss_is_noticed() {
        let (open, gate) = sync_channel(4);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let copy = Arc::clone(&seen);
        let mut writer = FrameWriter::start(Stuck { gate, seen: copy }).unwrap();
        assert!(writer.is_ready() && writer.waiting().is_none());
        writer.hand_over(b"one".to_vec()).unwrap();
        assert!(!writer.is_ready() && writer.waiting().is_some());
        assert!(!writer.finish_now(), "it is stuck");
        open.send(()).unwrap();
        let mut progress = writer.progress();
        progress.wait_for(|progress| progress.taken == 1).await.unwrap();
        assert!(writer.is_ready());
        writer.hand_over(b"two".to_vec()).unwrap();
        drop(open);
        progress.wait_for(|progress| progress.is_broken).await.unwrap();
        assert!(writer.is_broken());
        assert_eq!(*seen.lock().unwrap(), b"one");
        assert!(writer.finish(Duration::from_secs(20)), "the thread has ended");
        assert!(writer.hand_over(b"three".to_vec()).is_err());
    }

    impl FrameWriter {
        fn finish_now(&self) -> bool {
            matches!(
                self.end.recv_timeout(Duration::ZERO),
                Err(RecvTimeoutError::Disconnected)
            )
        }
    }
}
