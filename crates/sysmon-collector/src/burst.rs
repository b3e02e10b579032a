//! What is read between base ticks while somebody looks: the quick files only, against counters of their own, so that
//! base ticks still cover their whole interval.

use std::collections::HashMap;
use std::sync::Arc;

use sysmon_core::SeriesKey;

use crate::clock::Moment;
use crate::config::Roots;
use crate::file::Buffer;
use crate::probe::Context;
use crate::probe::cpu::CpuProbe;
use crate::probe::disks::DiskProbe;
use crate::probe::memory::MemoryProbe;
use crate::probe::network::NetworkProbe;
use crate::probe::pressure::PressureProbe;
use crate::recorder::Recorder;
use crate::sample::{Plan, Sample};

/// The numbers that base ticks have given to their series.
#[derive(Debug, Default)]
pub(crate) struct SeriesNumbers(HashMap<Arc<SeriesKey>, u32>);

impl SeriesNumbers {
    /// Takes note of what a base tick announced and retired.
    pub(crate) fn take(&mut self, sample: &Sample) {
        if !sample.retired.is_empty() {
            self.0.retain(|_, number| !sample.retired.contains(number));
        }
        for series in &sample.announced {
            self.0.insert(Arc::clone(&series.key), series.number);
        }
    }
}

/// The probes of a burst; it lives as long as the burst.
#[derive(Debug)]
pub(crate) struct BurstSampler {
    recorder: Recorder,
    /// The series of this recorder: its number, and what it measures.
    series: HashMap<u32, Arc<SeriesKey>>,
    cpu: CpuProbe,
    memory: MemoryProbe,
    pressure: PressureProbe,
    disks: DiskProbe,
    network: NetworkProbe,
}

impl BurstSampler {
    pub(crate) fn new(roots: &Roots, page_bytes: u64) -> Self {
        Self {
            recorder: Recorder::default(),
            series: HashMap::new(),
            cpu: CpuProbe::new(roots),
            memory: MemoryProbe::new(roots, page_bytes),
            pressure: PressureProbe::new(roots),
            disks: DiskProbe::new(roots),
            network: NetworkProbe::new(roots),
        }
    }

    /// Reads one tick under the numbers of the base ticks. A series that those have not announced is left out.
    pub(crate) fn sample(
        &mut self,
        now: Moment,
        plan: Plan,
        buffer: &mut Buffer,
        numbers: &SeriesNumbers,
    ) -> Option<Sample> {
        let mut context = Context {
            now_ns: now.monotonic_ns,
            gap_ns: Plan::gap_ns(plan.burst_interval_ms),
            buffer,
            recorder: &mut self.recorder,
        };
        self.cpu.sample(&mut context);
        self.memory.sample(&mut context);
        self.pressure.sample(&mut context);
        self.disks.sample(&mut context);
        self.network.sample(&mut context);
        let recorded = self.recorder.finish();
        for number in &recorded.retired {
            self.series.remove(number);
        }
        for series in recorded.announced {
            self.series.insert(series.number, series.key);
        }
        let base = |(number, value): &(u32, i64)| {
            let key = self.series.get(number)?;
            numbers.0.get(key).map(|number| (*number, *value))
        };
        let mut values: Vec<(u32, i64)> = recorded.values.iter().filter_map(base).collect();
        values.sort_unstable_by_key(|(number, _)| *number);
        (!values.is_empty()).then(|| Sample {
            at: now.unix,
            values,
            is_burst: true,
            ..Sample::default()
        })
    }
}
