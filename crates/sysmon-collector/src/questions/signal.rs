//! Signals to processes: off unless the machine's own settings say otherwise.

use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use sysmon_api::{Code, wire};

use super::details::{Folder, another, gone};
use super::{Refusal, Settings};

/// Sends a signal to the process of that pid and that start.
///
/// # Errors
/// That signals are off here, that the process is protected, gone, another one, or not ours to signal.
pub(super) fn send(settings: &Settings, order: &wire::SignalOrder) -> Result<wire::SignalSent, Refusal> {
    if !settings.allow_signals {
        return Err(Refusal::new(
            Code::PermissionDenied,
            "signals are off on this machine: its collector takes them with --allow-signals, or allow_signals = true in [collector]",
        ));
    }
    let signal = signal_of(order.signal()).ok_or_else(|| {
        Refusal::new(
            Code::InvalidArgument,
            "this machine's collector does not know the signal",
        )
    })?;
    let key = order.process.unwrap_or_default();
    let pid = checked(key.pid)?;
    if settings.roots.proc != Path::new("/proc") {
        return Err(Refusal::new(
            Code::FailedPrecondition,
            "this machine's collector sees its processes through mounted files only, and cannot signal them",
        ));
    }
    // In this order: what the descriptor stands for stays the same from here on, so that the start that is read next is
    // either that of the same process, or of one that has its pid since, which the comparison finds out.
    let process = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| failed(error, key.pid))?;
    let (start_ms, _) = Folder::open(settings, key.pid)?
        .times_ms()
        .ok_or_else(|| gone(key.pid))?;
    if start_ms != key.start_ms {
        return Err(another(key.pid));
    }
    pidfd_send_signal(&process, signal).map_err(|error| failed(error, key.pid))?;
    tracing::info!(pid = key.pid, signal = ?order.signal(), "a signal was sent for an aggregator");
    Ok(wire::SignalSent {})
}

/// A pid that may be signalled: not everybody's (0), not that of the first process, no group's, and not ours.
fn checked(pid: u32) -> Result<Pid, Refusal> {
    let refuse = |why: &str| Err(Refusal::new(Code::InvalidArgument, why));
    if pid == std::process::id() {
        return refuse("this is the collector itself; stop its service instead");
    }
    if pid <= 1 {
        return refuse("the first process of a machine is not signalled");
    }
    match i32::try_from(pid).ok().and_then(Pid::from_raw) {
        Some(pid) => Ok(pid),
        None => refuse("there is no process of this number"),
    }
}

fn signal_of(signal: wire::ProcessSignal) -> Option<Signal> {
    use wire::ProcessSignal as S;
    Some(match signal {
        S::Unspecified => return None,
        S::Term => Signal::TERM,
        S::Kill => Signal::KILL,
        S::Hup => Signal::HUP,
        S::Int => Signal::INT,
        S::Quit => Signal::QUIT,
        S::Stop => Signal::STOP,
        S::Cont => Signal::CONT,
        S::Usr1 => Signal::USR1,
        S::Usr2 => Signal::USR2,
    })
}

fn failed(error: Errno, pid: u32) -> Refusal {
    match error {
        // A thread has a number as well, but is no process.
        Errno::SRCH | Errno::INVAL => gone(pid),
        Errno::PERM | Errno::ACCESS => Refusal::new(
            Code::PermissionDenied,
            format!("the collector may not signal process {pid}: it runs as a user without the right to"),
        ),
        Errno::NOSYS => Refusal::new(
            Code::Unimplemented,
            "the kernel of this machine is older than 5.3: processes cannot be signalled safely",
        ),
        error => Refusal::new(
            Code::Unavailable,
            format!("process {pid} was not signalled: {error}"),
        ),
    }
}
