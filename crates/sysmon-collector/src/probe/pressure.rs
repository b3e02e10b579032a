//! `/proc/pressure/*` (kernel documentation, accounting/psi): the share of time in which tasks had to wait.
//!
//! The totals are used, not the kernel's averages: they give the exact share of the very interval of the tick.

use sysmon_core::{Counter, Derivation, MetricId};

use super::Context;
use crate::config::Roots;
use crate::file::KeptFile;
use crate::parse::{lines, number, words};

/// Reads the pressure of all three resources.
#[derive(Debug)]
pub(crate) struct PressureProbe {
    sources: [Source; 3],
}

#[derive(Debug)]
struct Source {
    file: KeptFile,
    some: (MetricId, Counter),
    full: (MetricId, Counter),
}

impl PressureProbe {
    pub(crate) fn new(roots: &Roots) -> Self {
        let source = |name: &str, some, full| Source {
            file: KeptFile::in_one_piece(roots.proc.join("pressure").join(name)),
            some: (some, Counter::default()),
            full: (full, Counter::default()),
        };
        Self {
            sources: [
                source("cpu", MetricId::PressureCpuSome, MetricId::PressureCpuFull),
                source(
                    "memory",
                    MetricId::PressureMemorySome,
                    MetricId::PressureMemoryFull,
                ),
                source("io", MetricId::PressureIoSome, MetricId::PressureIoFull),
            ],
        }
    }

    pub(crate) fn sample(&mut self, context: &mut Context<'_>) {
        for source in &mut self.sources {
            // A kernel may have the files and still refuse to read them (psi=0).
            let Some(text) = source.file.read(context.buffer) else {
                continue;
            };
            for line in lines(text) {
                let mut words = words(line);
                let (metric, counter) = match words.next() {
                    Some(b"some") => &mut source.some,
                    Some(b"full") => &mut source.full,
                    _ => continue,
                };
                let Some(total_us) = words.find_map(|word| number(word.strip_prefix(b"total=")?)) else {
                    continue;
                };
                let stalled = share(counter.read(total_us, context.now_ns, context.gap_ns));
                context.recorder.plain_if(*metric, stalled);
            }
        }
    }
}

/// Microseconds of waiting as a percentage of the time that passed. The kernel settles its sums in steps of its own,
/// so a short interval may seem to hold more than it lasted.
fn share(derivation: Derivation) -> Option<f64> {
    match derivation {
        Derivation::Rate { increase, elapsed_ns } => {
            Some((increase as f64 * 1e3 * 100.0 / elapsed_ns as f64).min(100.0))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waiting_is_a_share_of_the_time_that_passed() {
        let mut bench = Bench::new();
        let mut pressure = PressureProbe::new(&bench.roots());
        bench.write(
            "proc/pressure/io",
            "some avg10=0.07 avg60=0.18 avg300=0.72 total=1000000\nfull avg10=0.0 total=0\n",
        );
        assert!(bench.tick(0.0, |context| pressure.sample(context)).is_empty());
        bench.write(
            "proc/pressure/io",
            "some avg10=0.07 avg60=0.18 avg300=0.72 total=1250000\nfull avg10=0.0 total=9999999\n",
        );
        let values = bench.tick(2.0, |context| pressure.sample(context));
        assert_eq!(values["pressure.io_some_percent"], 12.5);
        assert_eq!(values["pressure.io_full_percent"], 100.0, "never above the whole");
        assert_eq!(values.len(), 2, "what the kernel does not have is absent");
    }

    proptest! {
        #[test]
        fn no_file_whatsoever_makes_it_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bench = Bench::new();
            let mut pressure = PressureProbe::new(&bench.roots());
            bench.write("proc/pressure/cpu", &text);
            bench.tick(0.0, |context| pressure.sample(context));
        }
    }
}
