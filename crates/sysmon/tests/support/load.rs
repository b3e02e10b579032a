//! Load on all processors of this machine, and whether anybody else makes some: a test of what happens when it comes and
//! goes is about neither while something else keeps the processors busy.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// How long a test waits for a machine on which others work.
const CALM_PATIENCE: Duration = Duration::from_secs(600);
/// How often such a test begins anew.
const ATTEMPTS: usize = 8;
/// Above this the processors are busy, in percent: a little below the levels of the tests.
const BUSY_PERCENT: f64 = 70.0;
/// Others that make the processors busy for as long are more than a moment: a little less than the holds of the tests.
const BUSY_FOR: Duration = Duration::from_secs(4);

/// Every processor busy; ends with the test, however that ends, and after a quarter of an hour in any case.
pub(crate) struct Load {
    leader: Child,
}

impl Load {
    /// By `stress-ng` where it is installed.
    pub(crate) fn start() -> Self {
        let is_installed = Command::new("stress-ng")
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        let mut command = Command::new("setsid");
        if is_installed {
            command.args(["stress-ng", "--quiet", "--cpu", "0", "--timeout", "900s"]);
        } else {
            let loops = "for one in $(seq 0 $(nproc)); do while :; do :; done & done; wait";
            command.args(["timeout", "--foreground", "900", "sh", "-c", loops]);
        }
        // A session of its own: Linux shares the processors among sessions, so that this is not one of many compilers.
        let leader = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let load = Self { leader };
        // Not everybody may do so.
        let _ = std::fs::write(format!("/proc/{}/autogroup", load.leader.id()), "-5");
        load
    }

    /// Whether a process is one of it.
    pub(crate) fn is_named(name: &str) -> bool {
        name.starts_with("stress-ng") || name == "sh"
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let group = Pid::from_raw(self.leader.id().cast_signed()).unwrap();
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.leader.wait();
    }
}

/// Looks whether somebody else keeps the processors busy while the test does not.
pub(crate) struct Others {
    state: Arc<AtomicU8>,
}

/// What the watching thread is to think of busy processors; it ends when nobody knows the state any more.
const EXPECTED: u8 = 0;
const UNEXPECTED: u8 = 1;
const DISTURBED: u8 = 2;

impl Others {
    fn watch() -> Self {
        let state = Arc::new(AtomicU8::new(EXPECTED));
        let copy = Arc::downgrade(&state);
        std::thread::spawn(move || look(&copy));
        Self { state }
    }

    /// From now on busy processors are others' work.
    pub(crate) fn are_to_be_quiet(&self) {
        let _ = self
            .state
            .compare_exchange(EXPECTED, UNEXPECTED, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// From now on they are the test's.
    pub(crate) fn may_work(&self) {
        let _ = self
            .state
            .compare_exchange(UNEXPECTED, EXPECTED, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn have_disturbed(&self) -> bool {
        self.state.load(Ordering::Relaxed) == DISTURBED
    }
}

fn look(state: &Weak<AtomicU8>) {
    let mut busy_since = None;
    let mut last = times();
    loop {
        pause(Duration::from_millis(500));
        let Some(state) = state.upgrade() else { return };
        let now = times();
        let is_busy = busy_percent(last, now) >= BUSY_PERCENT;
        last = now;
        if !is_busy || state.load(Ordering::Relaxed) != UNEXPECTED {
            busy_since = None;
        } else if busy_since.get_or_insert_with(Instant::now).elapsed() >= BUSY_FOR {
            state.store(DISTURBED, Ordering::Relaxed);
        }
    }
}

/// Runs a test when the processors have been calm for three seconds. When it fails and others kept them busy while they
/// were to be idle, it begins anew: it has not shown anything.
pub(crate) fn when_others_are_quiet(test: impl Fn(&Others)) {
    for attempt in 1..=ATTEMPTS {
        wait_until_calm();
        let others = Others::watch();
        let Err(failure) = catch_unwind(AssertUnwindSafe(|| test(&others))) else {
            return;
        };
        if !others.have_disturbed() {
            resume_unwind(failure);
        }
        eprintln!("attempt {attempt}: others kept the processors busy; once more");
    }
    panic!("others kept the processors busy, {ATTEMPTS} times: run this test on a quieter machine");
}

fn wait_until_calm() {
    let deadline = Instant::now() + CALM_PATIENCE;
    let mut calm = 0;
    while calm < 3 {
        assert!(
            Instant::now() < deadline,
            "the processors were never calm: run this test on a quieter machine"
        );
        let before = times();
        pause(Duration::from_secs(1));
        calm = if busy_percent(before, times()) < BUSY_PERCENT {
            calm + 1
        } else {
            0
        };
    }
}

/// Ticks of all processors: idle ones, and all.
fn times() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/stat").unwrap();
    let line = text.lines().next().unwrap();
    let ticks: Vec<u64> = line
        .split_whitespace()
        .skip(1)
        .take(8)
        .map(|word| word.parse().unwrap())
        .collect();
    (ticks[3] + ticks[4], ticks.iter().sum())
}

fn busy_percent((idle_before, all_before): (u64, u64), (idle, all): (u64, u64)) -> f64 {
    let all = all.saturating_sub(all_before).max(1);
    let idle = idle.saturating_sub(idle_before).min(all);
    (all - idle) as f64 * 100.0 / all as f64
}

fn pause(time: Duration) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test thread that waits for other processes"
    )]
    std::thread::sleep(time);
}
