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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sysmon_core::{MachineId, MetricId, UnixMillis, from_scaled};

    use super::*;
    use crate::config::{Config, ProcessDetail};
    use crate::sampler::Sampler;

    /// Processor time up to a moment: busy for `busy` of a thousand ticks of a core.
    fn write_stat(proc: &Path, busy: u64, idle: u64) {
        let line = format!("{busy} 0 0 {idle} 0 0 0 0 0 0");
        std::fs::write(proc.join("stat"), format!("cpu  {line}\ncpu0 {line}\n")).unwrap();
    }

    fn plan(burst_interval_ms: u32) -> Plan {
        Plan {
            interval_ms: 1_000,
            burst_interval_ms,
            processes: ProcessDetail::None,
        }
    }

    fn at(ms: u64) -> Moment {
        Moment {
            monotonic_ns: ms * 1_000_000,
            unix: UnixMillis(i64::try_from(ms).unwrap()),
        }
    }

    fn sampler(root: &Path) -> Sampler {
        let mut config = Config::new(MachineId::parse("here").unwrap());
        config.roots.proc = root.join("proc");
        config.roots.sys = root.join("sys");
        config.roots.rootfs = root.to_path_buf();
        Sampler::new(&config)
    }

    /// The processor's busy share in a sample; `number` is that of its series.
    fn cpu(sample: &Sample, number: u32) -> Option<f64> {
        let value = sample.values.iter().find(|(other, _)| *other == number)?.1;
        Some(from_scaled(value, MetricId::CpuBusy.definition().decimals))
    }

    #[test]
    fn a_burst_has_its_own_rates_under_the_same_numbers_and_base_ticks_do_not_feel_it() {
        let folder = tempfile::tempdir().unwrap();
        let proc = folder.path().join("proc");
        std::fs::create_dir(&proc).unwrap();
        write_stat(&proc, 0, 0);
        let (mut plain, mut bursting) = (sampler(folder.path()), sampler(folder.path()));
        for sampler in [&mut plain, &mut bursting] {
            sampler.prime(at(0), plan(0));
        }
        let key = SeriesKey::plain(MetricId::CpuBusy);
        let (mut busy, mut idle, mut number) = (0, 0, 0);
        let mut shares = Vec::new();
        // Every quarter of a second another share, over three base ticks.
        for quarter in 1..=12_u64 {
            let share = quarter % 4 * 25;
            busy += share;
            idle += 100 - share;
            write_stat(&proc, busy, idle);
            if quarter % 4 == 0 {
                let mut expected = plain.sample(at(quarter * 250), plan(0));
                let got = bursting.sample(at(quarter * 250), plan(250));
                number = expected
                    .announced
                    .iter()
                    .find(|series| *series.key == key)
                    .map_or(number, |series| series.number);
                // Its own cost is all that may differ.
                let own = |sample: &Sample| {
                    let values = sample.values.iter().filter(|(other, _)| *other <= number + 2);
                    values.copied().collect::<Vec<_>>()
                };
                assert_eq!(own(&got), own(&expected), "at quarter {quarter}");
                expected.values.clear();
                assert_eq!(cpu(&got, number), Some(37.5), "of the whole second");
            } else if let Some(sample) = bursting.burst(at(quarter * 250), plan(250)) {
                assert!(sample.is_burst && sample.announced.is_empty() && sample.retired.is_empty());
                shares.push((quarter, cpu(&sample, number)));
            }
        }
        let of = |quarter: u64| {
            shares
                .iter()
                .find(|(other, _)| *other == quarter)
                .map(|(_, cpu)| *cpu)
        };
        assert_eq!(of(1), None, "the first one has nothing to compare with");
        assert_eq!(of(6), Some(Some(50.0)));
        assert_eq!(of(7), Some(Some(75.0)));
        // Over the base tick in between: half of it at 0 %, half at 25 %.
        assert_eq!(of(9), Some(Some(12.5)));
    }
}
