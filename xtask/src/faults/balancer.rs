//! A balancer in front of the aggregators: one socket, behind it whoever is up. A machine whose aggregator dies comes
//! back at another one.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use eyre::{Result, WrapErr};

/// Passes connections on until this process ends.
///
/// # Errors
/// When there can be no socket at that path.
pub(super) fn start(path: &Path, backends: Vec<PathBuf>) -> Result<()> {
    let listener = UnixListener::bind(path).wrap_err("failed to listen for the balancer")?;
    let next = AtomicUsize::new(0);
    thread::spawn(move || {
        for incoming in listener.incoming().flatten() {
            let first = next.fetch_add(1, Ordering::Relaxed);
            let count = backends.len();
            let turns = (0..count).map(|offset| &backends[(first + offset) % count]);
            let connected = turns
                .filter_map(|backend| UnixStream::connect(backend).ok())
                .next();
            // With nobody up the connection ends at once, as a balancer's would.
            if let Some(backend) = connected {
                let _ = join(&incoming, &backend);
            }
        }
    });
    Ok(())
}

/// Copies both ways, on threads of their own, until either side ends.
fn join(left: &UnixStream, right: &UnixStream) -> io::Result<()> {
    for (from, to) in [(left, right), (right, left)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        thread::spawn(move || {
            // However it ends, both directions are over.
            let _ = io::copy(&mut from, &mut to);
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}
