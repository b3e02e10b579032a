//! Processes as sysinfo gives them.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::Arc;

use sysinfo::{ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind, Users};
use sysmon_core::{
    Counter, CounterWidth, MetricId, Process, ProcessKey, ProcessState, ProcessTable, ProcessTotals,
    RateTracker,
};

use crate::config::{Config, ProcessArguments, ProcessDetail};
use crate::recorder::Recorder;

/// Scans the processes.
pub(super) struct ProcessScanner {
    arguments: ProcessArguments,
    top: usize,
    users: Option<Users>,
    tracked: HashMap<ProcessKey, Tracked>,
    scans: u64,
}

struct Tracked {
    /// Milliseconds of processor time.
    processor_ms: Counter,
    transfers: RateTracker<2>,
    texts: Option<(Arc<str>, Arc<str>, Arc<str>)>,
    scan: u64,
}

impl ProcessScanner {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            arguments: config.process_arguments,
            top: config.top_processes,
            users: None,
            tracked: HashMap::new(),
            scans: 0,
        }
    }

    /// Reads all processes and lists those that `detail` asks for.
    pub(super) fn scan(
        &mut self,
        system: &mut System,
        detail: ProcessDetail,
        (now_ns, gap_ns): (u64, u64),
        recorder: &mut Recorder,
    ) -> Option<ProcessTable> {
        let kind = ProcessRefreshKind::nothing()
            .with_cpu()
            .with_memory()
            .with_disk_usage()
            .with_user(UpdateKind::OnlyIfNotSet)
            .with_cmd(UpdateKind::OnlyIfNotSet)
            .without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
        self.users = self
            .users
            .take()
            .or_else(|| Users::new_with_refreshed_list().ok());
        self.scans += 1;
        let all: Vec<&sysinfo::Process> = system.processes().values().collect();
        let mut processes: Vec<Process> = all
            .into_iter()
            .map(|process| self.describe(process, now_ns, gap_ns))
            .collect();
        self.tracked.retain(|_, tracked| tracked.scan == self.scans);
        let totals = totals(&processes);
        recorder.plain(MetricId::Processes, f64::from(totals.processes));
        recorder.plain(MetricId::ProcessesZombie, f64::from(totals.zombies));
        if detail == ProcessDetail::Top {
            processes = top(processes, self.top);
        }
        let complete = detail == ProcessDetail::All;
        (totals.processes > 0).then(|| ProcessTable::new(processes, totals, complete))
    }

    fn describe(&mut self, process: &sysinfo::Process, now_ns: u64, gap_ns: u64) -> Process {
        let key = ProcessKey {
            pid: process.pid().as_u32(),
            start_ms: process.start_time().saturating_mul(1_000),
        };
        let tracked = self.tracked.entry(key).or_insert_with(|| Tracked {
            processor_ms: Counter::default(),
            transfers: RateTracker::new(CounterWidth::Bits64),
            texts: None,
            scan: 0,
        });
        tracked.scan = self.scans;
        let milliseconds_per_second =
            tracked
                .processor_ms
                .read(process.accumulated_cpu_time(), now_ns, gap_ns);
        let usage = process.disk_usage();
        let transfers = tracked.transfers.read(
            [usage.total_read_bytes, usage.total_written_bytes],
            now_ns,
            gap_ns,
        );
        let [read, written] = match transfers {
            Some(derived) => {
                derived.map(|derivation| derivation.per_second().map(|rate| rate.round() as u64))
            }
            None => [None, None],
        };
        let (users, arguments) = (&self.users, self.arguments);
        let (user, name, command) = tracked.texts.get_or_insert_with(|| {
            let user = process.user_id().map_or_else(String::new, |user_id| {
                let user = users.as_ref().and_then(|users| users.get_user_by_id(user_id));
                user.map_or_else(|| user_id.to_string(), |user| user.name().to_owned())
            });
            let name = process.name().to_string_lossy();
            (
                user.into(),
                name.into(),
                command_line(process.cmd(), arguments).into(),
            )
        });
        Process {
            key,
            parent_pid: process.parent().map_or(0, sysinfo::Pid::as_u32),
            user: Arc::clone(user),
            name: Arc::clone(name),
            command: Arc::clone(command),
            state: state(process.status()),
            cpu_percent: milliseconds_per_second
                .per_second()
                .map(|rate| (rate.round() / 10.0) as f32),
            memory_bytes: process.memory(),
            threads: process
                .tasks()
                .map_or(0, |tasks| u32::try_from(tasks.len()).unwrap_or(u32::MAX)),
            read_bytes_per_second: read,
            write_bytes_per_second: written,
        }
    }
}

fn command_line(arguments: &[OsString], mode: ProcessArguments) -> String {
    let joined = arguments
        .iter()
        .map(|argument| argument.to_string_lossy())
        .collect::<Vec<_>>()
        .join("\0");
    crate::redact::command_line(joined.as_bytes(), false, mode)
}

fn state(status: ProcessStatus) -> ProcessState {
    match status {
        ProcessStatus::Run => ProcessState::Running,
        ProcessStatus::Sleep | ProcessStatus::Parked => ProcessState::Sleeping,
        ProcessStatus::UninterruptibleDiskSleep => ProcessState::Blocked,
        ProcessStatus::Stop | ProcessStatus::Tracing => ProcessState::Stopped,
        ProcessStatus::Zombie | ProcessStatus::Dead => ProcessState::Zombie,
        ProcessStatus::Idle => ProcessState::Idle,
        _ => ProcessState::Unknown,
    }
}

fn totals(processes: &[Process]) -> ProcessTotals {
    let count = |state| u32::try_from(processes.iter().filter(|process| process.state == state).count());
    ProcessTotals {
        processes: u32::try_from(processes.len()).unwrap_or(u32::MAX),
        threads: processes
            .iter()
            .fold(0, |sum, process| process.threads.saturating_add(sum)),
        running: count(ProcessState::Running).unwrap_or(u32::MAX),
        blocked: count(ProcessState::Blocked).unwrap_or(u32::MAX),
        zombies: count(ProcessState::Zombie).unwrap_or(u32::MAX),
    }
}

/// The busiest and the largest.
fn top(mut processes: Vec<Process>, count: usize) -> Vec<Process> {
    processes.sort_by(|left, right| {
        right
            .memory_bytes
            .cmp(&left.memory_bytes)
            .then(left.key.cmp(&right.key))
    });
    let mut rest = processes.split_off(count.min(processes.len()));
    rest.retain(|process| process.cpu_percent.unwrap_or(0.0) > 0.0);
    rest.sort_by(|left, right| {
        right
            .cpu_percent
            .unwrap_or(0.0)
            .total_cmp(&left.cpu_percent.unwrap_or(0.0))
    });
    rest.truncate(count);
    processes.append(&mut rest);
    processes
}
