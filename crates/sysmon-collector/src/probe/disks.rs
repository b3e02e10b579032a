//! `/proc/diskstats` (kernel documentation, admin-guide/iostats): traffic and latency of whole disks.

use std::path::PathBuf;

use sysmon_core::{CounterWidth, Derivation, MetricId, RateTracker};

use super::Context;
use crate::config::Roots;
use crate::file::KeptFile;
use crate::parse::{Words, lines, words};
use crate::recorder::{Entity, Recorder};
use crate::roster::Roster;

/// A sector of this file, whatever the device's own is.
const SECTOR_BYTES: f64 = 512.0;
/// Devices that are files, memory or removable media rather than disks.
const NOT_DISKS: [&str; 5] = ["loop", "ram", "zram", "sr", "fd"];
/// Disks that are made of other disks; what they carry is counted there.
const STACKED: [&str; 4] = ["dm-", "md", "bcache", "drbd"];

/// Reads `/proc/diskstats`.
#[derive(Debug)]
pub(crate) struct DiskProbe {
    file: KeptFile,
    block: PathBuf,
    rows: Roster<Option<Disk>>,
}

#[derive(Debug)]
struct Disk {
    entity: Entity,
    /// Whether it counts in the totals of the machine.
    counted: bool,
    /// A new disk has no rate yet, which must not silence the totals of the others.
    fresh: bool,
    /// Reads, sectors read, writes, sectors written.
    transfers: RateTracker<4>,
    /// Milliseconds reading, writing, busy and in flight: 32 bits wide, so they wrap after 49 busy days.
    times: RateTracker<4>,
}

/// The columns that are used.
struct Columns {
    transfers: [u64; 4],
    times: [u64; 4],
}

#[derive(Default)]
struct Totals {
    read: f64,
    written: f64,
    disks: usize,
    broken: bool,
}

impl DiskProbe {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self {
            file: KeptFile::new(roots.proc.join("diskstats")),
            block: roots.sys.join("block"),
            rows: Roster::default(),
        }
    }

    pub(crate) fn sample(&mut self, context: &mut Context<'_>) {
        let Some(text) = self.file.read(context.buffer) else {
            return;
        };
        let recorder = &mut *context.recorder;
        let mut totals = Totals::default();
        self.rows.begin();
        for line in lines(text) {
            let mut words = words(line);
            let Some(name) = words.nth(2) else { continue };
            let Some(columns) = Columns::parse(words) else {
                continue;
            };
            // A drive without a medium has a line of zeros. It is looked at again when it has done something.
            if columns.transfers == [0; 4] {
                continue;
            }
            let block = &self.block;
            let Some(Some(disk)) = self.rows.row(name, || Disk::identify(block, name)) else {
                continue;
            };
            disk.record(&columns, context.now_ns, context.gap_ns, recorder, &mut totals);
        }
        self.rows.end(|disk| {
            if let Some(disk) = disk {
                recorder.retire(disk.entity);
            }
        });
        if totals.disks > 0 && !totals.broken {
            recorder.plain(MetricId::DiskReadTotal, totals.read);
            recorder.plain(MetricId::DiskWriteTotal, totals.written);
        }
    }
}

impl Disk {
    /// Finds out what a device is; `None` for a partition and for what is no disk.
    fn identify(block: &std::path::Path, name: &[u8]) -> Option<Self> {
        let name = std::str::from_utf8(name).ok()?;
        if NOT_DISKS.iter().any(|prefix| is_numbered(name, prefix)) {
            return None;
        }
        // Only whole devices are listed there; a slash in a name is an exclamation mark.
        let directory = block.join(name.replace('/', "!"));
        if name.contains("..") || !directory.exists() {
            return None;
        }
        let mut parts = std::fs::read_dir(directory.join("slaves")).into_iter().flatten();
        let stacked = STACKED.iter().any(|prefix| is_numbered(name, prefix)) || parts.next().is_some();
        Some(Self {
            entity: Entity::new(name),
            counted: !stacked,
            fresh: true,
            transfers: RateTracker::new(CounterWidth::Bits64),
            times: RateTracker::new(CounterWidth::Bits32),
        })
    }

    fn record(
        &mut self,
        columns: &Columns,
        now_ns: u64,
        gap_ns: u64,
        recorder: &mut Recorder,
        totals: &mut Totals,
    ) {
        let transfers = self.transfers.read(columns.transfers, now_ns, gap_ns);
        let times = self.times.read(columns.times, now_ns, gap_ns);
        let Some(transfers) = transfers else {
            totals.broken |= self.counted && !self.fresh;
            self.fresh = false;
            return;
        };
        let [reads, read, writes, written] =
            transfers.map(|derivation| derivation.per_second().unwrap_or(0.0));
        let entity = &mut self.entity;
        recorder.entity(entity, MetricId::DiskRead, read * SECTOR_BYTES);
        recorder.entity(entity, MetricId::DiskWrite, written * SECTOR_BYTES);
        recorder.entity(entity, MetricId::DiskReads, reads);
        recorder.entity(entity, MetricId::DiskWrites, writes);
        if self.counted {
            totals.disks += 1;
            totals.read += read * SECTOR_BYTES;
            totals.written += written * SECTOR_BYTES;
        }
        let Some(times) = times else { return };
        let [reading, writing, busy, in_flight] = times;
        recorder.entity(
            entity,
            MetricId::DiskUtilisation,
            (per_millisecond(busy) * 100.0).min(100.0),
        );
        recorder.entity(entity, MetricId::DiskQueue, per_millisecond(in_flight));
        let finished = transfers[0].increase().unwrap_or(0) + transfers[2].increase().unwrap_or(0);
        if finished > 0 {
            let waited_ms = reading.increase().unwrap_or(0) + writing.increase().unwrap_or(0);
            recorder.entity(entity, MetricId::DiskAwait, waited_ms as f64 / finished as f64);
        }
    }
}

impl Columns {
    fn parse(mut words: Words<'_>) -> Option<Self> {
        let mut columns = [0; 11];
        for column in &mut columns {
            *column = words.number()?;
        }
        let [
            reads,
            _,
            read,
            reading_ms,
            writes,
            _,
            written,
            writing_ms,
            _,
            busy_ms,
            in_flight_ms,
        ] = columns;
        Some(Self {
            transfers: [reads, read, writes, written],
            times: [reading_ms, writing_ms, busy_ms, in_flight_ms],
        })
    }
}

/// Milliseconds per millisecond that passed.
fn per_millisecond(derivation: Derivation) -> f64 {
    derivation.per_second().unwrap_or(0.0) / 1_000.0
}

fn is_numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix)
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;
    use proptest::prelude::*;

    fn bench() -> Bench {
        let bench = Bench::new();
        for disk in ["sda", "nvme0n1", "dm-0", "cciss!c0d0", "loop0", "zram0", "md127"] {
            bench.write(&format!("sys/block/{disk}/size"), "1000\n");
        }
        bench
    }

    #[test]
    fn whole_disks_are_reported_and_stacked_ones_do_not_count_twice() {
        let mut bench = bench();
        let mut disks = DiskProbe::new(&bench.roots());
        bench.write(
            "proc/diskstats",
            "   7 0 loop0 5 0 10 1 0 0 0 0 0 1 1 0 0 0 0\n   8 0 sda 100 0 1000 50 200 0 2000 100 0 300 400 0 0 0 0 1 2\n\
             8 1 sda1 100 0 1000 50 200 0 2000 100 0 300 400 0 0 0 0\n 253 0 dm-0 1 0 8 1 1 0 8 1 0 1 1 0 0 0 0\n\
             2 0 fd0 0 0 0 0 0 0 0 0 0 0 0\n 104 0 cciss/c0d0 1 0 8 1 1 0 8 1 0 1 1\n",
        );
        assert!(bench.tick(0.0, |context| disks.sample(context)).is_empty());
        bench.write(
            "proc/diskstats",
            "   7 0 loop0 50 0 100 10 0 0 0 0 0 1 1 0 0 0 0\n   8 0 sda 110 0 1200 80 230 0 2400 170 0 1300 3400 0 0 0 0 1 2\n\
             8 1 sda1 110 0 1200 80 230 0 2400 170 0 1300 3400 0 0 0 0\n 253 0 dm-0 11 0 208 1 1 0 8 1 0 1 1 0 0 0 0\n\
             2 0 fd0 0 0 0 0 0 0 0 0 0 0 0\n 104 0 cciss/c0d0 1 0 8 1 1 0 8 1 0 1 1\n",
        );
        let values = bench.tick(2.0, |context| disks.sample(context));
        for (name, expected) in [
            ("disk.read_bytes_per_second{disk=\"sda\"}", 51_200.0),
            ("disk.write_bytes_per_second{disk=\"sda\"}", 102_400.0),
            ("disk.reads_per_second{disk=\"sda\"}", 5.0),
            ("disk.writes_per_second{disk=\"sda\"}", 15.0),
            ("disk.utilisation_percent{disk=\"sda\"}", 50.0),
            ("disk.await_ms{disk=\"sda\"}", 2.5),
            ("disk.queue_depth{disk=\"sda\"}", 1.5),
            ("disk.read_bytes_per_second{disk=\"dm-0\"}", 51_200.0),
            ("disk.total_read_bytes_per_second", 51_200.0),
            ("disk.total_write_bytes_per_second", 102_400.0),
        ] {
            assert_eq!(values.get(name), Some(&expected), "{name}");
        }
        assert!(
            !values.contains_key("disk.await_ms{disk=\"cciss/c0d0\"}"),
            "it had nothing to do"
        );
        assert!(values.contains_key("disk.queue_depth{disk=\"cciss/c0d0\"}"));
        assert!(
            !values
                .keys()
                .any(|name| name.contains("loop0") || name.contains("sda1") || name.contains("fd0"))
        );
    }

    #[test]
    fn busy_time_that_wraps_is_growth_and_an_unplugged_disk_is_retired() {
        let mut bench = bench();
        let mut disks = DiskProbe::new(&bench.roots());
        bench.write(
            "proc/diskstats",
            "8 0 sda 1 0 8 1 1 0 8 4294967290 0 4294966796 4294967295\n259 0 nvme0n1 1 0 8 1 1 0 8 1 0 1 1\n",
        );
        bench.tick(0.0, |context| disks.sample(context));
        bench.write(
            "proc/diskstats",
            "8 0 sda 2 0 8 1 1 0 8 4 0 500 9\n259 0 nvme0n1 1 0 8 1 1 0 8 1 0 1 1\n",
        );
        let values = bench.tick(2.0, |context| disks.sample(context));
        assert_eq!(values["disk.utilisation_percent{disk=\"sda\"}"], 50.0);
        assert_eq!(values["disk.await_ms{disk=\"sda\"}"], 10.0);
        bench.write("proc/diskstats", "8 0 sda 2 0 8 1 1 0 8 4 0 500 9\n");
        bench.tick(4.0, |context| disks.sample(context));
        assert_eq!(bench.retired.len(), 6, "{:?}", bench.retired);
        assert!(bench.retired.iter().all(|name| name.contains("nvme0n1")));
    }

    #[test]
    fn a_disk_whose_counters_restart_leaves_a_hole_in_the_totals_and_a_new_one_does_not() {
        let mut bench = bench();
        let mut disks = DiskProbe::new(&bench.roots());
        let mut totals = Vec::new();
        for (second, text) in [
            "8 0 sda 100 0 800 1 1 0 8 1 0 1 1\n",
            "8 0 sda 101 0 808 1 1 0 8 1 0 1 1\n259 0 nvme0n1 1 0 8 1 1 0 8 1 0 1 1\n",
            "8 0 sda 1 0 8 1 1 0 8 1 0 1 1\n259 0 nvme0n1 2 0 16 1 1 0 8 1 0 1 1\n",
            "8 0 sda 2 0 16 1 1 0 8 1 0 1 1\n259 0 nvme0n1 3 0 24 1 1 0 8 1 0 1 1\n",
        ]
        .into_iter()
        .enumerate()
        {
            bench.write("proc/diskstats", text);
            let values = bench.tick(second as f64, |context| disks.sample(context));
            totals.push(values.get("disk.total_read_bytes_per_second").copied());
        }
        assert_eq!(totals, [None, Some(4_096.0), None, Some(8_192.0)]);
    }

    proptest! {
        #[test]
        fn no_file_whatsoever_makes_it_panic_or_leave_the_scale(
            files in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..300),
                    "(8 0 (sda|dm-0|nvme0n1|\\.\\.|/)( [0-9]{1,20}){0,13}\n){0,4}".prop_map(String::into_bytes),
                ],
                1..4,
            ),
        ) {
            let mut bench = bench();
            let mut disks = DiskProbe::new(&bench.roots());
            for (second, file) in files.iter().enumerate() {
                bench.write("proc/diskstats", file);
                for (name, value) in bench.tick(second as f64, |context| disks.sample(context)) {
                    prop_assert!(value >= 0.0 && (!name.contains("_percent") || value <= 100.0), "{} {}", name, value);
                }
            }
        }
    }
}
