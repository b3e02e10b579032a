//! Starting other programs: what they print goes through unchanged, and is read along the way.

use std::env;
use std::io::{self, Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use eyre::{Result, WrapErr};

use crate::totals::{Tally, Totals};

/// How long the output of a program may stay open after the program itself has ended. Only a process that it
/// left behind holds it longer, and that must not stop the run.
const LEFTOVER_GRACE: Duration = Duration::from_secs(10);

/// The longest line that is read for its meaning; the rest of a longer one is passed on unread.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// The cargo that started us, in the environment of the person who started it.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.stdin(Stdio::null());
    // `cargo run` describes our own package in these. Build scripts (that of ring) watch some of them, and would
    // run again on each change between a run under us and a run by hand.
    let described = env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    });
    for name in described {
        command.env_remove(name);
    }
    command
}

/// Whether the program can be started and ends well; what it prints is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Runs the program to its end with its output passed on as it comes, and counts the tests that it reports.
///
/// # Errors
/// When the program cannot be started.
pub(crate) fn run(command: &mut Command, tally: Option<Tally>) -> Result<(ExitStatus, Option<Totals>)> {
    run_into(command, tally, LEFTOVER_GRACE, (io::stdout(), io::stderr()))
}

/// The same with its own time for leftovers and its own sinks for the two streams, which the tests need: what
/// they relay must not reach a runner that counts it.
fn run_into(
    command: &mut Command,
    tally: Option<Tally>,
    grace: Duration,
    (out, err): (impl Write + Send + 'static, impl Write + Send + 'static),
) -> Result<(ExitStatus, Option<Totals>)> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .wrap_err_with(|| format!("failed to start {}", command.get_program().display()))?;
    let tally = Arc::new(Mutex::new(tally));
    // One message per stream, so it never fills up.
    let (done, ends) = sync_channel(2);
    follow(child.stdout.take(), out, Arc::clone(&tally), done.clone());
    follow(child.stderr.take(), err, Arc::clone(&tally), done);
    let status = child
        .wait()
        .wrap_err("failed to wait for the program that was started")?;
    for _ in 0..2 {
        if ends.recv_timeout(grace) == Err(RecvTimeoutError::Timeout) {
            println!("note: a process that this step left behind keeps its output open; not waiting for it");
            break;
        }
    }
    let totals = tally
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .as_ref()
        .and_then(Tally::totals);
    Ok((status, totals))
}

/// Relays one stream of the program on a thread of its own, and says when it has ended.
fn follow(
    from: Option<impl Read + Send + 'static>,
    to: impl Write + Send + 'static,
    tally: Arc<Mutex<Option<Tally>>>,
    done: SyncSender<()>,
) {
    thread::spawn(move || {
        if let Some(from) = from {
            relay(from, to, |line| {
                if let Some(tally) = tally.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                    tally.observe(line);
                }
            });
        }
        // The receiver is gone only when the grace is over, and then nobody wants to know.
        let _ = done.send(());
    });
}

/// Copies everything at once, also half lines, and hands every whole line (and the rest at the end) to `observe`.
fn relay(mut from: impl Read, mut to: impl Write, mut observe: impl FnMut(&str)) {
    let mut buffer = [0; 8192];
    let mut line = Vec::new();
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        // When nobody reads our output any more, the program is still read to its end, so that it does not block.
        let _ = to.write_all(&buffer[..count]).and_then(|()| to.flush());
        for piece in buffer[..count].split_inclusive(|&byte| byte == b'\n') {
            let room = LINE_BYTES_MAX - line.len();
            line.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                observe(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']));
                line.clear();
            }
        }
    }
    if !line.is_empty() {
        observe(&String::from_utf8_lossy(&line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that gives one piece at a time, as a pipe does.
    struct Pieces(Vec<&'static [u8]>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            buffer[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    #[test]
    fn relay_passes_bytes_on_unchanged_and_joins_lines_across_pieces() {
        let mut copy = Vec::new();
        let mut lines = Vec::new();
        let pieces = Pieces(vec![b"one\nt", b"wo\r\n", b"\xff thr", b"ee"]);
        relay(pieces, &mut copy, |line| lines.push(line.to_owned()));
        assert_eq!(copy, b"one\ntwo\r\n\xff three");
        assert_eq!(lines, ["one", "two", "\u{fffd} three"]);
    }

    #[test]
    fn relay_bounds_the_line_it_remembers_but_copies_all_of_it() {
        let long = vec![b'x'; LINE_BYTES_MAX + 10_000];
        let mut copy = Vec::new();
        let mut lengths = Vec::new();
        relay(long.as_slice(), &mut copy, |line| lengths.push(line.len()));
        assert_eq!((copy.len(), lengths), (long.len(), vec![LINE_BYTES_MAX]));
    }

    #[cfg(unix)]
    mod with_a_shell {
        use std::time::Instant;

        use super::*;
        use crate::totals::Runner;

        fn shell(script: &str) -> Command {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        }

        fn run_quietly(script: &str, grace: Duration) -> (ExitStatus, Option<Totals>) {
            let tally = Some(Tally::new(Runner::Libtest));
            run_into(&mut shell(script), tally, grace, (io::sink(), io::sink())).unwrap()
        }

        const RESULT: &str = "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out";

        #[test]
        fn totals_are_read_from_both_streams_also_of_a_failing_program() {
            let script = format!("echo '{RESULT}'; echo '{RESULT}' >&2; exit 3");
            let (status, totals) = run_quietly(&script, LEFTOVER_GRACE);
            assert_eq!(status.code(), Some(3));
            assert_eq!(
                totals,
                Some(Totals {
                    passed: 4,
                    failed: 0,
                    skipped: 2
                })
            );
        }

        #[test]
        fn a_process_left_behind_does_not_hold_the_run() {
            let started = Instant::now();
            let script = format!("sleep 20 & echo '{RESULT}'");
            let (status, totals) = run_quietly(&script, Duration::from_millis(300));
            assert!(status.success());
            assert_eq!(
                totals,
                Some(Totals {
                    passed: 2,
                    failed: 0,
                    skipped: 1
                })
            );
            assert!(
                started.elapsed() < Duration::from_secs(15),
                "it waited for the sleeping process"
            );
        }

        #[test]
        fn a_program_that_does_not_exist_is_an_error_that_names_it() {
            let error = run(&mut Command::new("no-such-program-here"), None).unwrap_err();
            assert!(error.to_string().contains("no-such-program-here"), "{error}");
            assert!(!succeeds(&mut Command::new("no-such-program-here")));
        }
    }
}
