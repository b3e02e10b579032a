//! `/proc/meminfo` and `/proc/vmstat` (proc_meminfo(5), proc_vmstat(5)): memory, swap and its traffic.

use sysmon_core::{Counter, MetricId};

use super::Context;
use crate::config::Roots;
use crate::file::KeptFile;
use crate::parse::{lines, words};

/// Reads `/proc/meminfo` and `/proc/vmstat`.
#[derive(Debug)]
pub(crate) struct MemoryProbe {
    levels: KeptFile,
    events: KeptFile,
    page_bytes: u64,
    swapped_in: Counter,
    swapped_out: Counter,
}

/// Levels in bytes; `None` for what the kernel does not say.
#[derive(Debug, Default)]
struct Levels {
    total: Option<f64>,
    free: Option<f64>,
    available: Option<f64>,
    buffers: Option<f64>,
    cached: Option<f64>,
    reclaimable: Option<f64>,
    swap_total: Option<f64>,
    swap_free: Option<f64>,
}

impl MemoryProbe {
    pub(crate) fn new(roots: &Roots, page_bytes: u64) -> Self {
        Self {
            levels: KeptFile::in_one_piece(roots.proc.join("meminfo")),
            events: KeptFile::new(roots.proc.join("vmstat")),
            page_bytes,
            swapped_in: Counter::default(),
            swapped_out: Counter::default(),
        }
    }

    pub(crate) fn sample(&mut self, context: &mut Context<'_>) {
        if let Some(text) = self.levels.read(context.buffer) {
            Levels::parse(text).record(context.recorder);
        }
        self.sample_events(context);
    }

    fn sample_events(&mut self, context: &mut Context<'_>) {
        let Some(text) = self.events.read(context.buffer) else {
            return;
        };
        for line in lines(text) {
            // Two hundred lines of which three count: look at the first letter before anything else.
            if !matches!(line.first(), Some(b'p' | b'o')) {
                continue;
            }
            let mut words = words(line);
            let (metric, counter) = match words.next() {
                Some(b"pswpin") => (MetricId::SwapIn, Some(&mut self.swapped_in)),
                Some(b"pswpout") => (MetricId::SwapOut, Some(&mut self.swapped_out)),
                Some(b"oom_kill") => (MetricId::OomKills, None),
                _ => continue,
            };
            let Some(value) = words.number() else { continue };
            match counter {
                Some(counter) => {
                    let pages = counter.read(value, context.now_ns, context.gap_ns).per_second();
                    context
                        .recorder
                        .plain_if(metric, pages.map(|pages| pages * self.page_bytes as f64));
                }
                None => context.recorder.plain(metric, value as f64),
            }
        }
    }
}

impl Levels {
    fn parse(text: &[u8]) -> Self {
        let mut levels = Self::default();
        for line in lines(text) {
            let mut words = words(line);
            let level = match words.next() {
                Some(b"MemTotal:") => &mut levels.total,
                Some(b"MemFree:") => &mut levels.free,
                Some(b"MemAvailable:") => &mut levels.available,
                Some(b"Buffers:") => &mut levels.buffers,
                Some(b"Cached:") => &mut levels.cached,
                Some(b"SReclaimable:") => &mut levels.reclaimable,
                Some(b"SwapTotal:") => &mut levels.swap_total,
                Some(b"SwapFree:") => &mut levels.swap_free,
                _ => continue,
            };
            // Every one of them is in KiB.
            *level = words.number().map(|kibibytes| kibibytes as f64 * 1_024.0);
        }
        levels
    }

    fn record(&self, recorder: &mut crate::recorder::Recorder) {
        let used = self
            .total
            .zip(self.available)
            .map(|(total, available)| (total - available).max(0.0));
        recorder.plain_if(MetricId::MemoryTotal, self.total);
        recorder.plain_if(MetricId::MemoryUsed, used);
        recorder.plain_if(MetricId::MemoryUsedPercent, share(used, self.total));
        recorder.plain_if(MetricId::MemoryAvailable, self.available);
        recorder.plain_if(MetricId::MemoryFree, self.free);
        recorder.plain_if(MetricId::MemoryBuffers, self.buffers);
        let cached = self.cached.map(|cached| cached + self.reclaimable.unwrap_or(0.0));
        recorder.plain_if(MetricId::MemoryCached, cached);
        let swap_used = self
            .swap_total
            .zip(self.swap_free)
            .map(|(total, free)| (total - free).max(0.0));
        recorder.plain_if(MetricId::SwapTotal, self.swap_total);
        recorder.plain_if(MetricId::SwapUsed, swap_used);
        recorder.plain_if(MetricId::SwapUsedPercent, share(swap_used, self.swap_total));
    }
}

fn share(part: Option<f64>, whole: Option<f64>) -> Option<f64> {
    let (part, whole) = part.zip(whole)?;
    (whole > 0.0).then(|| part * 100.0 / whole)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;
    use proptest::prelude::*;

    const MEMINFO: &str = "MemTotal:       24684092 kB\nMemFree:        20684092 kB\nMemAvailable:   22215683 kB\n\
        Buffers:           10000 kB\nCached:           200000 kB\nSwapCached:            0 kB\nSReclaimable:      50000 kB\n\
        SwapTotal:             0 kB\nSwapFree:              0 kB\n";

    #[test]
    fn used_and_cached_are_what_free_shows_and_there_is_no_share_of_no_swap() {
        let mut bench = Bench::new();
        let mut memory = MemoryProbe::new(&bench.roots(), 4_096);
        bench.write("proc/meminfo", MEMINFO);
        let values = bench.tick(0.0, |context| memory.sample(context));
        assert_eq!(
            values["memory.used_bytes"],
            f64::from(24_684_092 - 22_215_683) * 1_024.0
        );
        assert_eq!(values["memory.used_percent"], 10.0);
        assert_eq!(values["memory.cached_bytes"], 250_000.0 * 1_024.0);
        assert_eq!(values["swap.total_bytes"], 0.0);
        assert!(!values.contains_key("swap.used_percent"));
        assert!(
            !values.contains_key("memory.oom_kills_total"),
            "there is no vmstat"
        );
    }

    #[test]
    fn pages_swapped_become_bytes_and_kills_stay_a_total() {
        let mut bench = Bench::new();
        let mut memory = MemoryProbe::new(&bench.roots(), 16_384);
        bench.write(
            "proc/vmstat",
            "nr_free_pages 1\npswpin 10\npswpout 0\noom_kill 2\n",
        );
        assert_eq!(
            bench.tick(0.0, |context| memory.sample(context))["memory.oom_kills_total"],
            2.0
        );
        bench.write(
            "proc/vmstat",
            "nr_free_pages 1\npswpin 30\npswpout 1\noom_kill 3\n",
        );
        let values = bench.tick(2.0, |context| memory.sample(context));
        assert_eq!(values["swap.in_bytes_per_second"], 163_840.0);
        assert_eq!(values["swap.out_bytes_per_second"], 8_192.0);
        assert_eq!(values["memory.oom_kills_total"], 3.0);
    }

    #[test]
    fn an_old_kernel_without_an_estimate_of_available_memory_has_no_used_memory() {
        let mut bench = Bench::new();
        let mut memory = MemoryProbe::new(&bench.roots(), 4_096);
        bench.write("proc/meminfo", "MemTotal: 100 kB\nMemFree: 40 kB\n");
        let values = bench.tick(0.0, |context| memory.sample(context));
        assert_eq!(
            values.keys().collect::<Vec<_>>(),
            ["memory.free_bytes", "memory.total_bytes"]
        );
    }

    proptest! {
        #[test]
        fn no_file_whatsoever_makes_it_panic(
            text in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300),
                "((MemTotal:|MemAvailable:|SwapFree:|SwapTotal:|pswpin|oom_kill) {0,3}[0-9]{0,21}( kB)?\n){0,8}"
                    .prop_map(String::into_bytes),
            ],
        ) {
            let mut bench = Bench::new();
            let mut memory = MemoryProbe::new(&bench.roots(), 4_096);
            bench.write("proc/meminfo", &text);
            bench.write("proc/vmstat", &text);
            for value in bench.tick(0.0, |context| memory.sample(context)).into_values() {
                prop_assert!(value >= 0.0);
            }
        }
    }
}
