//! Load averages, uptime and file handles: `/proc/loadavg`, `/proc/uptime`, `/proc/sys/fs/file-nr`.

use sysmon_core::MetricId;

use super::Context;
use crate::config::Roots;
use crate::file::KeptFile;
use crate::parse::{decimal, lines, words};

/// Reads the three small files.
#[derive(Debug)]
pub(crate) struct SystemProbe {
    load: KeptFile,
    uptime: KeptFile,
    handles: KeptFile,
}

impl SystemProbe {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            load: KeptFile::in_one_piece(roots.proc.join("loadavg")),
            uptime: KeptFile::in_one_piece(roots.proc.join("uptime")),
            handles: KeptFile::in_one_piece(roots.proc.join("sys/fs/file-nr")),
        }
    }

    pub(crate) fn sample(&mut self, context: &mut Context<'_>) {
        if let Some(line) = self.load.read(context.buffer).and_then(|text| lines(text).next()) {
            for (metric, word) in [MetricId::Load1, MetricId::Load5, MetricId::Load15]
                .into_iter()
                .zip(words(line))
            {
                context.recorder.plain_if(metric, decimal(word));
            }
        }
        if let Some(line) = self
            .uptime
            .read(context.buffer)
            .and_then(|text| lines(text).next())
        {
            // Whole seconds that have passed, as uptime(1) counts them.
            context.recorder.plain_if(
                MetricId::Uptime,
                words(line).next().and_then(decimal).map(f64::floor),
            );
        }
        if let Some(line) = self
            .handles
            .read(context.buffer)
            .and_then(|text| lines(text).next())
        {
            // Allocated, allocated but unused (always 0 since Linux 2.6), the limit.
            let mut words = words(line);
            let (Some(allocated), Some(unused), limit) = (words.number(), words.number(), words.number())
            else {
                return;
            };
            let open = allocated.saturating_sub(unused) as f64;
            context.recorder.plain(MetricId::FilesOpen, open);
            let limit = limit.filter(|limit| *limit > 0);
            context.recorder.plain_if(
                MetricId::FilesOpenPercent,
                limit.map(|limit| open * 100.0 / limit as f64),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_small_files_are_read_in_full() {
        let mut bench = Bench::new();
        let mut system = SystemProbe::new(&bench.roots());
        bench.write("proc/loadavg", "0.28 1.5 12.00 2/345 6789\n");
        bench.write("proc/uptime", "3661.97 7000.00\n");
        bench.write("proc/sys/fs/file-nr", "1200\t200\t10000\n");
        let values = bench.tick(0.0, |context| system.sample(context));
        for (name, expected) in [
            ("load.1m", 0.28),
            ("load.5m", 1.5),
            ("load.15m", 12.0),
            ("host.uptime_seconds", 3661.0),
            ("file.open", 1000.0),
            ("file.open_percent", 10.0),
        ] {
            assert_eq!(values.get(name), Some(&expected), "{name}");
        }
    }

    #[test]
    fn no_limit_on_handles_is_no_share() {
        let mut bench = Bench::new();
        let mut system = SystemProbe::new(&bench.roots());
        bench.write("proc/sys/fs/file-nr", "1200 0\n");
        let values = bench.tick(0.0, |context| system.sample(context));
        assert_eq!(values.keys().collect::<Vec<_>>(), ["file.open"]);
    }

    proptest! {
        #[test]
        fn no_file_whatsoever_makes_it_panic(text in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut bench = Bench::new();
            let mut system = SystemProbe::new(&bench.roots());
            for path in ["proc/loadavg", "proc/uptime", "proc/sys/fs/file-nr"] {
                bench.write(path, &text);
            }
            bench.tick(0.0, |context| system.sample(context));
        }
    }
}
