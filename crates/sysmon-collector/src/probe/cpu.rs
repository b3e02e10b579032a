//! `/proc/stat` (proc_stat(5)): how processor time was spent, and what the scheduler counts.

use sysmon_core::{Counter, CounterWidth, Derivation, MetricId, RateTracker};

use super::Context;
use crate::config::Roots;
use crate::file::KeptFile;
use crate::parse::{lines, number, words};
use crate::recorder::Entity;
use crate::roster::Roster;

/// Columns of a `cpu` line up to and including steal. Guest time follows, but user time contains it already.
const COLUMNS: usize = 8;
const IDLE: usize = 3;
const IO_WAIT: usize = 4;
/// Idle and iowait are estimates and now and then step back a little (proc_stat(5)); up to this many ticks that is no
/// reset of the counter.
const BACKSTEP_TICKS: u64 = 300;

/// Reads `/proc/stat`.
#[derive(Debug)]
pub(crate) struct CpuProbe {
    file: KeptFile,
    all: Times,
    cores: Roster<Core>,
    switches: Counter,
    interrupts: Counter,
    forks: Counter,
}

#[derive(Debug)]
struct Core {
    times: Times,
    entity: Entity,
}

/// The counters of one `cpu` line.
#[derive(Debug)]
struct Times {
    tracker: RateTracker<COLUMNS>,
    idle: u64,
    io_wait: u64,
}

/// Shares of the time that passed, in percent.
struct Shares {
    busy: f64,
    user: f64,
    system: f64,
    io_wait: f64,
    irq: f64,
    steal: f64,
}

impl CpuProbe {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            file: KeptFile::in_one_piece(roots.proc.join("stat")),
            all: Times::default(),
            cores: Roster::default(),
            switches: Counter::default(),
            interrupts: Counter::default(),
            forks: Counter::default(),
        }
    }

    pub(crate) fn sample(&mut self, context: &mut Context<'_>) {
        let (now_ns, gap_ns) = (context.now_ns, context.gap_ns);
        let Some(text) = self.file.read(context.buffer) else {
            return;
        };
        let recorder = &mut *context.recorder;
        self.cores.begin();
        for line in lines(text) {
            let mut words = words(line);
            let Some(key) = words.next() else { continue };
            // The only long line is that of the interrupts, and only its first number is wanted.
            if let Some(core) = key.strip_prefix(b"cpu") {
                let Some(times) = columns(words) else { continue };
                if core.is_empty() {
                    self.all
                        .read(times, now_ns, gap_ns)
                        .inspect(|shares| shares.record(recorder));
                } else if number(core).is_some() {
                    let make = || Core {
                        times: Times::default(),
                        entity: Entity::new(&String::from_utf8_lossy(core)),
                    };
                    let Some(row) = self.cores.row(core, make) else {
                        continue;
                    };
                    if let Some(shares) = row.times.read(times, now_ns, gap_ns) {
                        recorder.entity(&mut row.entity, MetricId::CpuCoreBusy, shares.busy);
                    }
                }
                continue;
            }
            let (metric, counter) = match key {
                b"ctxt" => (MetricId::ContextSwitches, Some(&mut self.switches)),
                b"intr" => (MetricId::Interrupts, Some(&mut self.interrupts)),
                b"processes" => (MetricId::ProcessForks, Some(&mut self.forks)),
                b"procs_running" => (MetricId::ProcessesRunning, None),
                b"procs_blocked" => (MetricId::ProcessesBlocked, None),
                _ => continue,
            };
            let Some(value) = words.number() else { continue };
            match counter {
                Some(counter) => recorder.plain_if(metric, counter.read(value, now_ns, gap_ns).per_second()),
                None => recorder.plain(metric, value as f64),
            }
        }
        self.cores.end(|core| recorder.retire(core.entity));
    }
}

impl Default for Times {
    fn default() -> Self {
        Self {
            tracker: RateTracker::new(CounterWidth::Bits64),
            idle: 0,
            io_wait: 0,
        }
    }
}

impl Times {
    fn read(&mut self, mut times: [u64; COLUMNS], now_ns: u64, gap_ns: u64) -> Option<Shares> {
        times[IDLE] = steady(&mut self.idle, times[IDLE]);
        times[IO_WAIT] = steady(&mut self.io_wait, times[IO_WAIT]);
        let derived = self.tracker.read(times, now_ns, gap_ns)?;
        let spent = derived.map(|derivation: Derivation| derivation.increase().unwrap_or(0));
        let total = spent.iter().fold(0u64, |sum, ticks| sum.saturating_add(*ticks));
        if total == 0 {
            return None;
        }
        let [user, nice, system, idle, io_wait, irq, soft_irq, steal] =
            spent.map(|ticks| ticks as f64 * 100.0 / total as f64);
        Some(Shares {
            busy: (100.0 - idle - io_wait).max(0.0),
            user: user + nice,
            system,
            io_wait,
            irq: irq + soft_irq,
            steal,
        })
    }
}

impl Shares {
    fn record(&self, recorder: &mut crate::recorder::Recorder) {
        recorder.plain(MetricId::CpuBusy, self.busy);
        recorder.plain(MetricId::CpuUser, self.user);
        recorder.plain(MetricId::CpuSystem, self.system);
        recorder.plain(MetricId::CpuIoWait, self.io_wait);
        recorder.plain(MetricId::CpuSteal, self.steal);
        recorder.plain(MetricId::CpuIrq, self.irq);
    }
}

/// The columns of a line; those that an old kernel lacks are 0. `None` for a line without the first four.
fn columns(mut words: crate::parse::Words<'_>) -> Option<[u64; COLUMNS]> {
    let mut times = [0; COLUMNS];
    for (index, time) in times.iter_mut().enumerate() {
        match words.next() {
            Some(word) => *time = number(word)?,
            None if index > IDLE => break,
            None => return None,
        }
    }
    Some(times)
}

fn steady(last: &mut u64, now: u64) -> u64 {
    if now >= *last || *last - now > BACKSTEP_TICKS {
        *last = now;
    }
    *last
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;
    use proptest::prelude::*;

    fn probe(bench: &Bench) -> CpuProbe {
        CpuProbe::new(&bench.roots())
    }

    #[test]
    fn shares_are_of_the_ticks_that_passed_and_guest_time_counts_once() {
        let mut bench = Bench::new();
        let mut cpu = probe(&bench);
        bench.write(
            "proc/stat",
            "cpu  100 10 50 1000 40 5 5 0 100 0\ncpu0 1 0 0 10 0 0 0 0\nctxt 500\nintr 9 1 2 3\n",
        );
        let first = bench.tick(1.0, |context| cpu.sample(context));
        assert!(first.is_empty(), "no rate on the first reading: {first:?}");
        let second = "cpu  120 20 60 1040 50 7 8 5 120 0\ncpu0 4 0 0 17 0 0 0 0\nctxt 1500\nintr 109 1\n\
                      processes 7\nprocs_running 3\nprocs_blocked 1\nsoftirq 1 2 3\n";
        bench.write("proc/stat", second);
        let values = bench.tick(3.0, |context| cpu.sample(context));
        // 100 ticks: user 20, nice 10, system 10, idle 40, iowait 10, irq 2, softirq 3, steal 5.
        for (name, expected) in [
            ("cpu.busy_percent", 50.0),
            ("cpu.user_percent", 30.0),
            ("cpu.system_percent", 10.0),
            ("cpu.iowait_percent", 10.0),
            ("cpu.irq_percent", 5.0),
            ("cpu.steal_percent", 5.0),
            ("cpu.core_busy_percent{core=\"0\"}", 30.0),
            ("cpu.context_switches_per_second", 500.0),
            ("cpu.interrupts_per_second", 50.0),
            ("process.running", 3.0),
            ("process.blocked", 1.0),
        ] {
            assert_eq!(values.get(name), Some(&expected), "{name}");
        }
        assert!(
            !values.contains_key("process.forks_per_second"),
            "its first reading"
        );
    }

    #[test]
    fn idle_time_that_steps_back_a_little_leaves_no_hole() {
        let mut bench = Bench::new();
        let mut cpu = probe(&bench);
        let mut busy = Vec::new();
        for (second, line) in [
            "cpu 0 0 0 1000 50 0 0 0",
            "cpu 50 0 0 1048 48 0 0 0",
            "cpu 100 0 0 1100 48 0 0 0",
        ]
        .into_iter()
        .enumerate()
        {
            bench.write("proc/stat", line);
            let values = bench.tick(second as f64, |context| cpu.sample(context));
            busy.extend(values.get("cpu.busy_percent").copied());
        }
        assert_eq!(busy, [51.0, 49.0]);
    }

    #[test]
    fn a_reset_and_a_core_that_goes_offline_leave_holes_not_spikes() {
        let mut bench = Bench::new();
        let mut cpu = probe(&bench);
        bench.write(
            "proc/stat",
            "cpu 1000 0 0 9000 0 0 0 0\ncpu0 1000 0 0 9000\ncpu1 1000 0 0 9000\n",
        );
        bench.tick(0.0, |context| cpu.sample(context));
        bench.write(
            "proc/stat",
            "cpu 2000 0 0 9000 0 0 0 0\ncpu0 2000 0 0 9000\ncpu1 2000 0 0 9000\n",
        );
        bench.tick(1.0, |context| cpu.sample(context));
        bench.write("proc/stat", "cpu 1 0 0 10 0 0 0 0\ncpu0 2100 0 0 9000\n");
        let values = bench.tick(2.0, |context| cpu.sample(context));
        assert_eq!(values.get("cpu.busy_percent"), None);
        assert_eq!(values.get("cpu.core_busy_percent{core=\"0\"}"), Some(&100.0));
        assert_eq!(bench.retired, ["cpu.core_busy_percent{core=\"1\"}"]);
    }

    proptest! {
        #[test]
        fn no_file_whatsoever_makes_it_panic_or_leave_the_scale(
            files in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..300),
                    "(cpu[0-9]{0,2} ([0-9]{1,20} ?){0,12}\n|ctxt [0-9]{0,22}\n|intr( [0-9]{1,20})*\n){0,6}"
                        .prop_map(String::into_bytes),
                ],
                1..4,
            ),
        ) {
            let mut bench = Bench::new();
            let mut cpu = probe(&bench);
            for (second, file) in files.iter().enumerate() {
                bench.write("proc/stat", file);
                for (name, value) in bench.tick(second as f64, |context| cpu.sample(context)) {
                    prop_assert!(value >= 0.0 && (!name.ends_with("_percent") || value <= 100.0), "{} {}", name, value);
                }
            }
        }
    }
}
