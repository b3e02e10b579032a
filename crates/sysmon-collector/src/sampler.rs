//! Reads this machine, tick by tick. No runtime and no clock in here: whoever calls says when it is.

use std::sync::Arc;
use std::time::Instant;

use sysmon_core::{HostInfo, MetricId};

use crate::burst::{BurstSampler, SeriesNumbers};
use crate::clock::Moment;
use crate::config::{Config, ProcessDetail};
use crate::file::Buffer;
use crate::host::{host_info, is_same_host};
use crate::probe::Context;
use crate::probe::cpu::CpuProbe;
use crate::probe::disks::DiskProbe;
use crate::probe::memory::MemoryProbe;
use crate::probe::network::NetworkProbe;
use crate::probe::own::OwnProbe;
use crate::probe::pressure::PressureProbe;
use crate::probe::process::ProcessScanner;
use crate::probe::system::SystemProbe;
use crate::recorder::Recorder;
use crate::sample::{Plan, Sample, Source};
use crate::slow::{Board, SlowSeries};

/// How often it is looked whether the host has changed.
const HOST_EVERY_NS: u64 = 60_000_000_000;

/// The sampler of a Linux machine.
#[derive(Debug)]
pub struct Sampler {
    config: Config,
    buffer: Buffer,
    recorder: Recorder,
    cpu: CpuProbe,
    memory: MemoryProbe,
    pressure: PressureProbe,
    disks: DiskProbe,
    network: NetworkProbe,
    system: SystemProbe,
    own: OwnProbe,
    processes: ProcessScanner,
    board: Arc<Board>,
    slow: SlowSeries,
    host: HostInfo,
    host_read_ns: u64,
    /// When processes were last scanned; `None` when the next tick is to scan in any case.
    scanned_ns: Option<u64>,
    page_bytes: u64,
    numbers: SeriesNumbers,
    /// As long as a burst is wanted.
    burst: Option<Box<BurstSampler>>,
}

impl Sampler {
    /// A sampler of the machine below the configured roots. The soft limit of open files of the whole process is
    /// raised to the hard one (at most 65,536): the scanner keeps a descriptor per process.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let roots = &config.roots;
        let page_bytes = rustix::param::page_size() as u64;
        Self {
            buffer: Buffer::default(),
            recorder: Recorder::default(),
            cpu: CpuProbe::new(roots),
            memory: MemoryProbe::new(roots, page_bytes),
            pressure: PressureProbe::new(roots),
            disks: DiskProbe::new(roots),
            network: NetworkProbe::new(roots),
            system: SystemProbe::new(roots),
            own: OwnProbe::new(roots, page_bytes),
            processes: ProcessScanner::new(config, page_bytes),
            board: Arc::default(),
            slow: SlowSeries::default(),
            host: host_info(config),
            host_read_ns: 0,
            scanned_ns: None,
            page_bytes,
            numbers: SeriesNumbers::default(),
            burst: None,
            config: config.clone(),
        }
    }

    /// Facts about the host as last read.
    #[must_use]
    pub fn host(&self) -> &HostInfo {
        &self.host
    }

    /// Reads every counter once and gives nothing, so that the next sample has rates.
    pub fn prime(&mut self, now: Moment, plan: Plan) {
        self.read(now, plan);
        if plan.processes != ProcessDetail::None {
            self.scan(now, plan);
        }
        self.recorder.discard_values();
        self.scanned_ns = None;
        self.host_read_ns = now.monotonic_ns;
    }

    /// Reads one tick.
    pub fn sample(&mut self, now: Moment, plan: Plan) -> Sample {
        let started = Instant::now();
        self.read(now, plan);
        self.slow.time("tick", started.elapsed().as_secs_f64() * 1e3);
        let processes = if plan.is_scan_due(now, self.scanned_ns, self.config.process_interval_ms) {
            let started = Instant::now();
            let table = self.scan(now, plan);
            self.slow.time("processes", started.elapsed().as_secs_f64() * 1e3);
            table
        } else {
            None
        };
        if plan.processes == ProcessDetail::None {
            self.processes.forget();
            self.scanned_ns = None;
        }
        self.slow.record(&self.board, &mut self.recorder);
        if self.host.cpu_count > 0 {
            self.recorder
                .plain(MetricId::CpuCount, f64::from(self.host.cpu_count));
        }
        // With every tick: history tells holes from a slow pace by it.
        self.recorder
            .plain(MetricId::CollectorInterval, f64::from(plan.interval_ms));
        let recorded = self.recorder.finish();
        let sample = Sample {
            at: now.unix,
            announced: recorded.announced,
            values: recorded.values,
            retired: recorded.retired,
            processes: processes.map(Arc::new),
            host: self.changed_host(now),
            is_burst: false,
        };
        self.numbers.take(&sample);
        if plan.burst_interval_ms == 0 {
            self.burst = None;
        }
        sample
    }

    /// Reads one tick of a burst. The first one only primes the counters.
    pub fn burst(&mut self, now: Moment, plan: Plan) -> Option<Sample> {
        let is_first = self.burst.is_none();
        let burst = self
            .burst
            .get_or_insert_with(|| Box::new(BurstSampler::new(&self.config.roots, self.page_bytes)));
        let sample = burst.sample(now, plan, &mut self.buffer, &self.numbers);
        sample.filter(|_| !is_first)
    }

    /// Where slow probes leave what they find.
    pub(crate) fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    fn read(&mut self, now: Moment, plan: Plan) {
        let mut context = Context {
            now_ns: now.monotonic_ns,
            gap_ns: Plan::gap_ns(plan.interval_ms),
            buffer: &mut self.buffer,
            recorder: &mut self.recorder,
        };
        self.cpu.sample(&mut context);
        self.memory.sample(&mut context);
        self.pressure.sample(&mut context);
        self.disks.sample(&mut context);
        self.network.sample(&mut context);
        self.system.sample(&mut context);
        self.own.sample(&mut context);
    }

    fn scan(&mut self, now: Moment, plan: Plan) -> Option<sysmon_core::ProcessTable> {
        self.scanned_ns = Some(now.monotonic_ns);
        let mut context = Context {
            now_ns: now.monotonic_ns,
            // Also from the last slow scan to the first quick one.
            gap_ns: Plan::gap_ns(plan.interval_ms.max(self.config.process_interval_ms)),
            buffer: &mut self.buffer,
            recorder: &mut self.recorder,
        };
        self.processes.scan(plan.processes, &mut context)
    }

    fn changed_host(&mut self, now: Moment) -> Option<HostInfo> {
        if now.monotonic_ns.saturating_sub(self.host_read_ns) < HOST_EVERY_NS {
            return None;
        }
        self.host_read_ns = now.monotonic_ns;
        let host = host_info(&self.config);
        if is_same_host(&self.host, &host) {
            return None;
        }
        self.host = host.clone();
        Some(host)
    }
}

impl Source for Sampler {
    fn prime(&mut self, now: Moment, plan: Plan) {
        Self::prime(self, now, plan);
    }

    fn sample(&mut self, now: Moment, plan: Plan) -> Sample {
        Self::sample(self, now, plan)
    }

    fn burst(&mut self, now: Moment, plan: Plan) -> Option<Sample> {
        Self::burst(self, now, plan)
    }
}
