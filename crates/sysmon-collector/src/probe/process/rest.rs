//! Tells that a process did not run since it was read, at less than half of what its line costs.
//!
//! `/proc/PID/schedstat` begins with the time that one thread spent on a processor, in nanoseconds. Where a process has
//! only that thread, nothing that its line says can have changed while this number stood still, with three exceptions: its parent died
//! (the scanner sees that), the kernel took memory from it, or another process renamed it (both wait for the next reading
//! by rota). Adding a thread needs running, too. Most processes of a machine rest most of the time.

use super::reader::{OpenFile, Reader};
use crate::file::Buffer;

/// Whoever ran is read without being asked in so many scans, because it is likely to run again.
const SCANS_AFTER_RUN: u8 = 4;
/// Everything is read at least once in this time.
const ROTA_NS: u64 = 30_000_000_000;
/// Neighbours among the pids take turns.
const TURN_NS: u64 = 1_000_000_000;

/// What is known about the rest of one process.
#[derive(Debug, Default)]
pub(super) struct Rest {
    file: Option<OpenFile>,
    /// Time on a processor when it was last asked for; zero when that is not known.
    ran_ns: u64,
    scans_to_wait: u8,
}

impl Rest {
    /// Whether the process certainly did not run since its line was read; to be asked before the line is read again.
    /// `single` says that it has one thread and was not running.
    pub(super) fn holds(&mut self, single: bool, pid: u32, reader: &mut Reader, buffer: &mut Buffer) -> bool {
        if !single {
            *self = Self::default();
            return false;
        }
        if self.scans_to_wait > 0 {
            self.scans_to_wait -= 1;
            return false;
        }
        let ran_ns = reader.ran_ns(pid, &mut self.file, buffer).unwrap_or(0);
        let known = std::mem::replace(&mut self.ran_ns, ran_ns);
        if known != 0 && known == ran_ns {
            return true;
        }
        if known != 0 || ran_ns == 0 {
            self.scans_to_wait = SCANS_AFTER_RUN;
            self.file = None;
        }
        false
    }

    /// Has the line read in the next scan whatever happens.
    pub(super) fn disturb(&mut self) {
        self.ran_ns = 0;
        self.scans_to_wait = 0;
    }
}

/// Whether it is the turn of `pid` between two scans to be read although it rests.
pub(super) fn on_rota(pid: u32, last_ns: u64, now_ns: u64) -> bool {
    let offset_ns = u64::from(pid) * TURN_NS % ROTA_NS;
    (last_ns + offset_ns) / ROTA_NS != (now_ns + offset_ns) / ROTA_NS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_process_has_its_turn_once_in_the_time(pid in any::<u32>(), start in 0u64..1 << 50, step in 1u64..ROTA_NS) {
            let mut turns = 0;
            let mut now = start;
            while now < start + ROTA_NS {
                turns += u32::from(on_rota(pid, now, now + step));
                now += step;
            }
            prop_assert!((1..=2).contains(&turns), "{turns}");
        }
    }

    #[test]
    fn neighbours_take_turns() {
        let second = 1_000_000_000;
        for now in 100..130 {
            let due = (1..=900)
                .filter(|pid| on_rota(*pid, now * second, (now + 1) * second))
                .count();
            assert_eq!(due, 30, "at {now}");
        }
    }
}
