//! What the collector's own process costs.

use rustix::time::{ClockId, clock_gettime};
use sysmon_core::{Counter, Derivation, MetricId};

use super::Context;
use crate::config::Roots;
use crate::file::KeptFile;
use crate::parse::words;

/// Reads this process's own accounting.
#[derive(Debug)]
pub(crate) struct OwnProbe {
    memory: KeptFile,
    page_bytes: u64,
    processor_ns: Counter,
}

impl OwnProbe {
    pub(crate) fn new(roots: &Roots, page_bytes: u64) -> Self {
        Self {
            memory: KeptFile::in_one_piece(roots.proc.join("self/statm")),
            page_bytes,
            processor_ns: Counter::default(),
        }
    }

    pub(crate) fn sample(&mut self, context: &mut Context<'_>) {
        // The clock counts nanoseconds of all threads; /proc/self/stat only hundredths of a second.
        let spent = clock_gettime(ClockId::ProcessCPUTime);
        let spent_ns = u64::try_from(spent.tv_sec * 1_000_000_000 + spent.tv_nsec).unwrap_or(0);
        if let Derivation::Rate { increase, elapsed_ns } =
            self.processor_ns.read(spent_ns, context.now_ns, context.gap_ns)
        {
            context.recorder.plain(
                MetricId::CollectorCpu,
                increase as f64 * 100.0 / elapsed_ns as f64,
            );
        }
        if let Some(text) = self.memory.read(context.buffer) {
            // Total and resident size, in pages (proc_pid_statm(5)).
            let resident = words(text).nth(1).and_then(crate::parse::number);
            let bytes = resident.map(|pages| pages.saturating_mul(self.page_bytes) as f64);
            context.recorder.plain_if(MetricId::CollectorMemory, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;

    #[test]
    fn its_own_work_and_memory_show() {
        let mut bench = Bench::new();
        let mut own = OwnProbe::new(&Roots::default(), 4_096);
        bench.tick(0.0, |context| own.sample(context));
        let mut sum = 0u64;
        for value in 0..20_000_000u64 {
            sum = std::hint::black_box(sum.wrapping_mul(31) ^ value);
        }
        let values = bench.tick(1.0, |context| own.sample(context));
        assert!(values["collector.cpu_percent"] > 0.0);
        assert!(values["collector.memory_bytes"] > 500_000.0);
    }
}
