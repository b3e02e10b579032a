//! The process table: one line of `/proc/PID/stat` per process and scan, everything else once per process.

mod reader;
mod rest;
mod stat;
mod users;

use std::sync::Arc;

use sysmon_core::{
    Counter, Derivation, MetricId, Process, ProcessKey, ProcessState, ProcessTable, ProcessTotals,
};

use self::reader::{OpenFile, Reader};
use self::rest::{Rest, on_rota};
pub(crate) use self::stat::Stat;
use self::users::Users;
use super::Context;
use crate::config::{Config, ProcessArguments, ProcessDetail};

/// The owner of a process is looked up again in one scan out of this many: a login changes from root to its user
/// without anything else to notice it by.
const OWNER_EVERY: u32 = 32;

/// Scans the processes.
#[derive(Debug)]
pub(crate) struct ProcessScanner {
    reader: Reader,
    users: Users,
    arguments: ProcessArguments,
    top: usize,
    ticks_per_second: u64,
    page_bytes: u64,
    pids: Vec<u32>,
    /// By pid.
    tracked: Vec<Tracked>,
    scans: u32,
    last: Option<LastScan>,
}

/// What tells processes that began since from those that could not be read then.
#[derive(Clone, Copy, Debug)]
struct LastScan {
    at_ns: u64,
    /// The latest start among the processes.
    newest_start_ms: u64,
}

/// One process, from scan to scan.
#[derive(Debug)]
struct Tracked {
    key: ProcessKey,
    file: Option<OpenFile>,
    rest: Rest,
    raw_name: Box<[u8]>,
    parent_pid: u32,
    state: ProcessState,
    kernel_thread: bool,
    threads: u32,
    memory_bytes: u64,
    processor: Counter,
    cpu_percent: Option<f32>,
    /// Whether it took any processor time since the last scan.
    active: bool,
    details: Option<Box<Details>>,
}

/// What only a process that was listed once has: few of many, as long as nobody looks.
#[derive(Debug, Default)]
struct Details {
    texts: Option<Texts>,
    transfers: Transfers,
}

/// What is read once, when a process is first listed.
#[derive(Debug)]
struct Texts {
    user: Arc<str>,
    name: Arc<str>,
    command: Arc<str>,
}

/// Storage traffic of a process. There is one for every process that was ever listed, so it is kept small.
#[derive(Debug, Default)]
struct Transfers {
    /// Read and written bytes so far.
    last: [u64; 2],
    /// When that was; `None` before the first reading.
    at_ns: Option<u64>,
    per_second: Option<[u64; 2]>,
    refused: bool,
}

impl ProcessScanner {
    pub(crate) fn new(config: &Config, page_bytes: u64) -> Self {
        Self {
            reader: Reader::new(&config.roots),
            users: Users::new(&config.roots),
            arguments: config.process_arguments,
            top: config.top_processes,
            ticks_per_second: rustix::param::clock_ticks_per_second().max(1),
            page_bytes,
            pids: Vec::new(),
            tracked: Vec::new(),
            scans: 0,
            last: None,
        }
    }

    /// Reads all processes and lists those that `detail` asks for; `None` where there is no process to be seen.
    pub(crate) fn scan(&mut self, detail: ProcessDetail, context: &mut Context<'_>) -> Option<ProcessTable> {
        self.reader.pids(&mut self.pids)?;
        self.refresh(context);
        let totals = self.totals();
        context
            .recorder
            .plain(MetricId::Processes, f64::from(totals.processes));
        context
            .recorder
            .plain(MetricId::Threads, f64::from(totals.threads));
        context
            .recorder
            .plain(MetricId::ProcessesZombie, f64::from(totals.zombies));
        let listed = match detail {
            ProcessDetail::All => (0..self.tracked.len()).collect(),
            ProcessDetail::Top => self.top(),
            ProcessDetail::None => Vec::new(),
        };
        let complete = detail == ProcessDetail::All;
        let listed = listed
            .into_iter()
            .map(|index| self.describe(index, context))
            .collect();
        Some(ProcessTable::new(listed, totals, complete))
    }

    /// Forgets every descriptor and reading, for a time in which nobody wants processes.
    pub(crate) fn forget(&mut self) {
        self.tracked = Vec::new();
        self.last = None;
    }

    /// Brings the list up to date: both it and the pids are sorted, so one walk along both does.
    fn refresh(&mut self, context: &mut Context<'_>) {
        let mut walk = Walk {
            reader: &mut self.reader,
            last: self.last,
            ticks_per_second: self.ticks_per_second,
            page_bytes: self.page_bytes,
            newest_start_ms: 0,
        };
        let mut pids = self.pids.iter().copied().peekable();
        let (mut born, mut gone) = (Vec::new(), Vec::new());
        walk.reader.begin();
        self.tracked.retain_mut(|tracked| {
            while let Some(pid) = pids.next_if(|pid| *pid < tracked.key.pid) {
                born.extend(walk.first(pid, context));
            }
            let pid = tracked.key.pid;
            let alive = pids.next_if_eq(&pid).is_some() && walk.again(tracked, context);
            gone.extend((!alive).then_some(pid));
            alive
        });
        born.extend(pids.filter_map(|pid| walk.first(pid, context)));
        let newest_start_ms = walk.newest_start_ms;
        self.adopt(&gone);
        if !born.is_empty() {
            self.tracked.append(&mut born);
            self.tracked.sort_unstable_by_key(|tracked| tracked.key.pid);
        }
        if self.reader.end() {
            for tracked in &mut self.tracked {
                (tracked.file, tracked.rest) = (None, Rest::default());
            }
        }
        self.scans = self.scans.wrapping_add(1);
        self.last = Some(LastScan {
            at_ns: context.now_ns,
            newest_start_ms,
        });
    }

    /// Whose parent is `gone` (sorted pids) has another one now, without having run.
    fn adopt(&mut self, gone: &[u32]) {
        if gone.is_empty() {
            return;
        }
        for tracked in &mut self.tracked {
            if gone.binary_search(&tracked.parent_pid).is_ok() {
                tracked.rest.disturb();
            }
        }
    }

    fn totals(&self) -> ProcessTotals {
        let mut totals = ProcessTotals::default();
        for tracked in &self.tracked {
            totals.processes += 1;
            totals.threads = totals.threads.saturating_add(tracked.threads);
            match tracked.state {
                ProcessState::Running => totals.running += 1,
                ProcessState::Blocked => totals.blocked += 1,
                ProcessState::Zombie => totals.zombies += 1,
                _ => {}
            }
        }
        totals
    }

    /// Positions of the busiest and of the largest processes, each once, by pid.
    fn top(&self) -> Vec<usize> {
        let cpu = |index: &usize| self.tracked[*index].cpu_percent.unwrap_or(0.0);
        let memory = |index: &usize| self.tracked[*index].memory_bytes;
        let mut by_memory: Vec<usize> = (0..self.tracked.len()).collect();
        let mut by_cpu: Vec<usize> = by_memory
            .iter()
            .copied()
            .filter(|index| cpu(index) > 0.0)
            .collect();
        // Equals are told apart by pid, so that the list stays calm.
        keep_first(&mut by_memory, self.top, |left, right| {
            memory(right).cmp(&memory(left)).then(left.cmp(right))
        });
        keep_first(&mut by_cpu, self.top, |left, right| {
            cpu(right).total_cmp(&cpu(left)).then(left.cmp(right))
        });
        by_memory.append(&mut by_cpu);
        by_memory.sort_unstable();
        by_memory.dedup();
        by_memory
    }

    fn describe(&mut self, index: usize, context: &mut Context<'_>) -> Process {
        let tracked = &mut self.tracked[index];
        let pid = tracked.key.pid;
        let details = tracked.details.get_or_insert_default();
        let texts = match details.texts.take() {
            Some(mut texts) => {
                if pid.wrapping_add(self.scans).is_multiple_of(OWNER_EVERY) {
                    texts.user = owner(&mut self.reader, &mut self.users, pid, context.now_ns);
                }
                texts
            }
            None => {
                let name = String::from_utf8_lossy(&tracked.raw_name);
                let kernel_thread = tracked.kernel_thread;
                Texts {
                    user: owner(&mut self.reader, &mut self.users, pid, context.now_ns),
                    name: if kernel_thread {
                        format!("[{name}]").into()
                    } else {
                        name.into()
                    },
                    command: match kernel_thread {
                        true => "".into(),
                        false => self.reader.command(pid, self.arguments, context.buffer).into(),
                    },
                }
            }
        };
        let texts = details.texts.insert(texts);
        let transfers = &mut details.transfers;
        if !tracked.kernel_thread {
            transfers.read(&mut self.reader, pid, tracked.active, context);
        }
        Process {
            key: tracked.key,
            parent_pid: tracked.parent_pid,
            user: Arc::clone(&texts.user),
            name: Arc::clone(&texts.name),
            command: Arc::clone(&texts.command),
            state: tracked.state,
            cpu_percent: tracked.cpu_percent,
            memory_bytes: tracked.memory_bytes,
            threads: tracked.threads,
            read_bytes_per_second: transfers.per_second.map(|[read, _]| read),
            write_bytes_per_second: transfers.per_second.map(|[_, written]| written),
        }
    }
}

/// One scan on its way along the processes.
struct Walk<'a> {
    reader: &'a mut Reader,
    last: Option<LastScan>,
    ticks_per_second: u64,
    page_bytes: u64,
    newest_start_ms: u64,
}

impl Walk<'_> {
    /// Reads a process that was not there before; `None` when it has gone already.
    fn first(&mut self, pid: u32, context: &mut Context<'_>) -> Option<Tracked> {
        let mut tracked = Tracked::new(ProcessKey { pid, start_ms: 0 }, b"");
        self.again(&mut tracked, context).then_some(tracked)
    }

    /// Whether nothing can have changed about a process, which is taken over then.
    fn rests(&mut self, tracked: &mut Tracked, context: &mut Context<'_>) -> bool {
        let pid = tracked.key.pid;
        let on_rota = self
            .last
            .is_none_or(|last| on_rota(pid, last.at_ns, context.now_ns));
        let single = tracked.threads == 1 && tracked.state != ProcessState::Running;
        let rests = tracked.rest.holds(single, pid, self.reader, context.buffer) && !on_rota;
        if rests {
            self.newest_start_ms = self.newest_start_ms.max(tracked.key.start_ms);
            tracked.update_at_rest(context.now_ns, context.gap_ns);
        }
        rests
    }

    /// Reads a process again; `false` when it has gone. The pid may have been given to another one.
    fn again(&mut self, tracked: &mut Tracked, context: &mut Context<'_>) -> bool {
        let pid = tracked.key.pid;
        if self.rests(tracked, context) {
            return true;
        }
        let Some((file, line)) = self.reader.stat(pid, tracked.file.take(), context.buffer) else {
            return false;
        };
        let Some(stat) = Stat::parse(line) else {
            return false;
        };
        let start_ms = stat.start_ticks.saturating_mul(1_000) / self.ticks_per_second;
        self.newest_start_ms = self.newest_start_ms.max(start_ms);
        let key = ProcessKey { pid, start_ms };
        if tracked.key != key {
            *tracked = Tracked::new(key, stat.name);
        }
        if let Some(last) = self.last.filter(|last| start_ms > last.newest_start_ms) {
            tracked.count_from_birth(last.at_ns, context.gap_ns);
        }
        tracked.update(&stat, self.ticks_per_second, context.now_ns, context.gap_ns);
        tracked.memory_bytes = stat.resident_pages.saturating_mul(self.page_bytes);
        tracked.file = self.reader.keep(file);
        true
    }
}

impl Tracked {
    /// Nothing changed since the last reading.
    fn update_at_rest(&mut self, now_ns: u64, gap_ns: u64) {
        // Whoever rests is seldom read: its descriptor, and the page that the kernel keeps with it, are let go.
        self.file = None;
        let derivation = self.processor.read_again(now_ns, gap_ns);
        self.active = false;
        self.cpu_percent = matches!(derivation, Derivation::Rate { .. }).then_some(0.0);
    }

    fn new(key: ProcessKey, name: &[u8]) -> Self {
        Self {
            key,
            file: None,
            rest: Rest::default(),
            raw_name: name.into(),
            parent_pid: 0,
            state: ProcessState::Unknown,
            kernel_thread: false,
            threads: 0,
            memory_bytes: 0,
            processor: Counter::default(),
            cpu_percent: None,
            active: false,
            details: None,
        }
    }

    /// It began after the last scan, with no processor time: whoever is busy from the start is seen at once, and not only
    /// when it is looked at for the second time.
    fn count_from_birth(&mut self, last_scan_ns: u64, gap_ns: u64) {
        self.processor.read(0, last_scan_ns, gap_ns);
    }

    fn update(&mut self, stat: &Stat<'_>, ticks_per_second: u64, now_ns: u64, gap_ns: u64) {
        if *self.raw_name != *stat.name {
            // Another program runs in it: its texts are read again, and it may be allowed to look at it now.
            self.raw_name = stat.name.into();
            self.details = None;
        }
        self.parent_pid = stat.parent_pid;
        self.state = stat.state;
        self.kernel_thread = stat.kernel_thread;
        self.threads = stat.threads;
        let derivation = self.processor.read(stat.processor_ticks, now_ns, gap_ns);
        self.active = derivation.increase() != Some(0);
        self.cpu_percent = match derivation {
            Derivation::Rate { increase, elapsed_ns } => {
                let percent = increase as f64 * 1e11 / (ticks_per_second as f64 * elapsed_ns as f64);
                // To a tenth, so that a process whose figure did not visibly move is not sent again.
                Some(((percent * 10.0).round() / 10.0) as f32)
            }
            Derivation::First | Derivation::Reset | Derivation::NoTime => None,
        };
    }
}

impl Transfers {
    /// A process without processor time moved next to nothing: its counters are taken as they were, and whatever they
    /// gained counts when it is looked at again.
    fn read(&mut self, reader: &mut Reader, pid: u32, active: bool, context: &mut Context<'_>) {
        if self.refused {
            return;
        }
        let moving = self.per_second.is_some_and(|rates| rates != [0, 0]);
        let now = if active || moving || self.at_ns.is_none() {
            let Some(now) = reader.transferred(pid, context.buffer) else {
                (self.refused, self.per_second) = (true, None);
                return;
            };
            now
        } else {
            self.last
        };
        let before = std::mem::replace(&mut self.last, now);
        let elapsed_ns = self
            .at_ns
            .replace(context.now_ns)
            .map(|then| context.now_ns.saturating_sub(then))
            .filter(|elapsed_ns| (1..=context.gap_ns).contains(elapsed_ns));
        let grown = [0, 1].map(|index| now[index].checked_sub(before[index]));
        self.per_second = match (elapsed_ns, grown) {
            (Some(elapsed_ns), [Some(read), Some(written)]) => {
                Some([read, written].map(|bytes| (bytes as f64 * 1e9 / elapsed_ns as f64).round() as u64))
            }
            // Both counters belong to one source: when one went back, the other one says nothing either.
            _ => None,
        };
    }
}

fn owner(reader: &mut Reader, users: &mut Users, pid: u32, now_ns: u64) -> Arc<str> {
    // Gone between its line and now: nobody will look at it for long.
    reader
        .owner(pid)
        .map_or_else(|| "".into(), |user_id| users.name(user_id, now_ns))
}

fn keep_first(indices: &mut Vec<usize>, count: usize, order: impl Fn(&usize, &usize) -> std::cmp::Ordering) {
    if count < indices.len() {
        indices.select_nth_unstable_by(count, order);
        indices.truncate(count);
    }
}

#[cfg(test)]
mod tests;
