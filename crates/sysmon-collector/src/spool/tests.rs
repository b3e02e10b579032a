use super::record::Header;
use super::*;
use crate::recorder::Announcement;
use proptest::prelude::*;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use sysmon_api::{gap_reason_from_wire, series_from_wire, tick_values, wire};
use sysmon_core::{GapReason, MetricId};

const SERIES: u32 = 40;
const START_MS: i64 = 1_700_000_000_000;

/// One message of a backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Tick(u64),
    Lost(u64, u64, GapReason),
}

fn machine() -> MachineId {
    MachineId::parse("web-1").unwrap()
}

fn settings(directory: &Path) -> SpoolConfig {
    SpoolConfig {
        bytes_max: 1 << 20,
        ..SpoolConfig::new(directory)
    }
}

fn open(directory: &Path) -> Spool {
    Spool::open(Some(&settings(directory)), &machine()).unwrap()
}

fn epoch(byte: u8) -> Epoch {
    Epoch([byte; 16])
}

/// The value of a series in the sample of a sequence of an epoch.
fn value(epoch: Epoch, sequence: u64, series: u32) -> i64 {
    i64::from(epoch.0[0]) * 1_000_000_000 + i64::try_from(sequence).unwrap() * 1_000 + i64::from(series)
}

/// A spool with a machine of [`SERIES`] series.
struct Writer {
    spool: Spool,
    announced: bool,
}

impl Writer {
    fn new(spool: Spool) -> Self {
        Self {
            spool,
            announced: false,
        }
    }

    fn append(&mut self) -> u64 {
        let (epoch, sequence) = (self.spool.live, self.spool.next_sequence);
        let announce = |number| Announcement {
            number,
            key: Arc::new(SeriesKey::of(MetricId::MountUsed, &format!("/data/{number}"))),
            decimals: 0,
        };
        let announced = !std::mem::replace(&mut self.announced, true);
        let sample = Sample {
            at: UnixMillis(START_MS + i64::try_from(sequence).unwrap() * 1_000),
            announced: (1..=SERIES).filter(|_| announced).map(announce).collect(),
            values: (1..=SERIES)
                .map(|number| (number, value(epoch, sequence, number)))
                .collect(),
            ..Sample::default()
        };
        self.spool.append(&sample)
    }

    fn append_many(&mut self, count: u64) {
        (0..count).for_each(|_| {
            self.append();
        });
    }
}

/// Reads a backlog as an aggregator does that knows nothing: what is wrong in it fails the test.
fn read(spool: &mut Spool) -> Vec<(Epoch, Read)> {
    let mut all = Vec::new();
    let mut series = BTreeMap::new();
    let mut last = None;
    loop {
        let messages = spool.next_backlog();
        if messages.is_empty() {
            return all;
        }
        for message in messages {
            let epoch = Epoch::parse(&message.epoch).unwrap();
            if last.replace(epoch) != Some(epoch) {
                series.clear();
            }
            match message.body.unwrap() {
                wire::backlog::Body::Lost(lost) => {
                    let reason = gap_reason_from_wire(lost.reason());
                    assert!(
                        lost.first_sequence <= lost.last_sequence && lost.from_unix_ms <= lost.to_unix_ms
                    );
                    all.push((epoch, Read::Lost(lost.first_sequence, lost.last_sequence, reason)));
                }
                wire::backlog::Body::Batch(batch) => {
                    for definition in &batch.announced {
                        let (number, key, _) = series_from_wire(definition).unwrap();
                        series.insert(number, key.to_string());
                    }
                    let values = tick_values(batch.tick.as_ref().unwrap()).unwrap();
                    assert_eq!(values.len(), SERIES as usize);
                    for (number, found) in values {
                        assert_eq!(
                            series[&number],
                            format!("mount.used_bytes{{mount=\"/data/{number}\"}}")
                        );
                        assert_eq!(found, value(epoch, batch.sequence, number));
                    }
                    all.push((epoch, Read::Tick(batch.sequence)));
                }
            }
        }
    }
}

fn ticks(epoch: Epoch, sequences: std::ops::RangeInclusive<u64>) -> Vec<(Epoch, Read)> {
    sequences.map(|sequence| (epoch, Read::Tick(sequence))).collect()
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory.join("web-1")).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "segment"))
        .collect();
    files.sort();
    files
}

fn bytes_on_disk(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory.join("web-1")).unwrap();
    entries
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum()
}

#[test]
fn the_next_process_reads_everything_back_in_order_and_numbers_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    for process in 1..=3 {
        let mut writer = Writer::new(open(directory.path()));
        assert_eq!(writer.spool.is_new(), process == 1);
        for part in 0..2 {
            let live = epoch(process * 10 + part);
            writer.spool.begin_epoch(live);
            writer.append_many(400);
            expected.extend(ticks(live, 1..=400));
        }
        // It dies: nothing is closed.
    }
    assert!(files(directory.path()).len() > 11, "several segments per epoch");
    let mut spool = open(directory.path());
    assert_eq!(spool.waiting(), expected.len() as u64);
    assert_eq!(read(&mut spool), expected);
    assert_eq!(spool.waiting(), 0);
    spool.restart();
    assert_eq!(read(&mut spool), expected, "a new stream gets all of it again");
}

#[test]
fn the_live_epoch_is_no_backlog_until_it_is_closed() {
    let mut writer = Writer::new(Spool::in_memory());
    writer.spool.begin_epoch(epoch(1));
    writer.append_many(3);
    assert_eq!((writer.spool.waiting(), read(&mut writer.spool)), (0, Vec::new()));
    writer.spool.begin_epoch(epoch(2));
    writer.append_many(3);
    assert_eq!(writer.spool.waiting(), 3);
    assert_eq!(read(&mut writer.spool), ticks(epoch(1), 1..=3));
}

#[test]
fn what_is_acknowledged_is_deleted_and_not_sent_again_after_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(open(directory.path()));
    writer.spool.begin_epoch(epoch(1));
    writer.append_many(900);
    let before = files(directory.path()).len();
    writer.spool.acknowledge(epoch(1), 500);
    let after = files(directory.path()).len();
    assert!(after < before && after > 1, "{before} to {after}");
    // More than was ever sent is not believed.
    writer.spool.acknowledge(epoch(9), 7);
    writer.spool.close();
    let mut spool = open(directory.path());
    assert!(!spool.is_new());
    assert_eq!(read(&mut spool), ticks(epoch(1), 501..=900));
    spool.acknowledge(epoch(1), u64::MAX);
    assert!(files(directory.path()).is_empty());
    spool.close();
    let mut spool = open(directory.path());
    assert!(!spool.is_new(), "it was used before, though nothing is left");
    assert_eq!(read(&mut spool), []);
}

#[test]
fn a_spool_that_is_always_acknowledged_stays_small_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(open(directory.path()));
    let mut memory = Writer::new(Spool::in_memory());
    for _ in 0..5_000 {
        for writer in [&mut writer, &mut memory] {
            let sequence = writer.append();
            let live = writer.spool.live();
            writer.spool.acknowledge(live, sequence);
            assert!(writer.spool.items.len() <= 1);
            writer.spool.upkeep();
            assert!(
                writer.spool.take_unsynced().is_empty(),
                "nothing is worth forcing to disk"
            );
        }
    }
    assert!(
        bytes_on_disk(directory.path()) < 64 << 10,
        "{}",
        bytes_on_disk(directory.path())
    );
    assert!(memory.spool.memory_bytes < 64 << 10);
}

#[test]
fn when_it_is_full_the_oldest_go_and_exactly_they_are_reported_even_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(open(directory.path()));
    writer.spool.begin_epoch(epoch(1));
    writer.append_many(200);
    writer.spool.begin_epoch(epoch(2));
    writer.append_many(10_000);
    assert!(bytes_on_disk(directory.path()) <= (1 << 20) + 4_096);
    let lost = writer.spool.take_lost_ticks();
    drop(writer);
    let mut spool = open(directory.path());
    let found = read(&mut spool);
    assert_eq!(found[0], (epoch(1), Read::Lost(1, 200, GapReason::SpoolFull)));
    let (_, Read::Lost(1, last, GapReason::SpoolFull)) = found[1] else {
        panic!("{:?}", found[1])
    };
    assert_eq!(found[2..], ticks(epoch(2), last + 1..=10_000));
    assert_eq!(lost, 200 + last);
    // Acknowledged like anything else, and then forgotten.
    spool.acknowledge(epoch(1), 200);
    spool.acknowledge(epoch(2), last);
    spool.upkeep();
    drop(spool);
    assert_eq!(read(&mut open(directory.path())), found[2..]);
}

#[test]
fn the_part_of_a_dropped_segment_that_was_acknowledged_is_not_lost() {
    let mut writer = Writer::new(Spool::in_memory());
    writer.spool.begin_epoch(epoch(1));
    writer.append_many(10);
    writer.spool.acknowledge(epoch(1), 4);
    let Some(Item::Segment(segment)) = writer.spool.items.front() else {
        panic!("one segment")
    };
    let lost = writer.spool.lost_of(segment, GapReason::SpoolFull);
    assert_eq!((lost.first, lost.last), (5, 10));
    assert_eq!((lost.from.0 - START_MS, lost.to.0 - START_MS), (5_000, 10_000));
}

#[test]
fn what_grows_too_old_goes_by_the_time_of_the_newest_sample() {
    let directory = tempfile::tempdir().unwrap();
    let settings = SpoolConfig {
        age_max: Duration::from_secs(240),
        ..settings(directory.path())
    };
    let mut writer = Writer::new(Spool::open(Some(&settings), &machine()).unwrap());
    writer.spool.begin_epoch(epoch(1));
    writer.append_many(1_000);
    writer.spool.upkeep();
    writer.spool.begin_epoch(epoch(2));
    let found = read(&mut writer.spool);
    let (_, Read::Lost(1, last, GapReason::SpoolExpired)) = found[0] else {
        panic!("{:?}", found[0])
    };
    // Segments span ten seconds.
    assert!((740..=760).contains(&last), "{last}");
    assert_eq!(found[1..], ticks(epoch(1), last + 1..=1_000));
}

#[test]
fn a_process_that_died_between_note_and_deletion_is_finished_by_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(open(directory.path()));
    writer.spool.begin_epoch(epoch(1));
    writer.append_many(500);
    let oldest = files(directory.path()).remove(0);
    let bytes = fs::read(&oldest).unwrap();
    assert!(writer.spool.drop_oldest(|_| true, GapReason::SpoolFull));
    drop(writer);
    fs::write(&oldest, bytes).unwrap();
    let found = read(&mut open(directory.path()));
    let Read::Lost(1, last, _) = found[0].1 else {
        panic!("{:?}", found[0])
    };
    assert_eq!(found[1..], ticks(epoch(1), last + 1..=500));
    assert!(!oldest.exists());
}

#[test]
fn a_segment_of_a_newer_collector_is_left_where_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(open(directory.path()));
    writer.append_many(5);
    drop(writer);
    let file = files(directory.path()).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    bytes[8..12].copy_from_slice(&9u32.to_le_bytes());
    bytes[12..16].copy_from_slice(&(!9u32).to_le_bytes());
    fs::write(&file, &bytes).unwrap();
    let mut writer = Writer::new(open(directory.path()));
    assert!(!writer.spool.is_new());
    assert_eq!(read(&mut writer.spool), []);
    writer.append_many(5);
    assert_eq!(fs::read(&file).unwrap(), bytes);
    assert_eq!(files(directory.path()).len(), 2);
}

#[test]
fn what_is_asked_for_again_comes_again_and_what_is_gone_comes_as_lost() {
    let mut writer = Writer::new(Spool::in_memory());
    for number in 1..=3 {
        writer.spool.begin_epoch(epoch(number));
        writer.append_many(100);
    }
    writer.spool.begin_epoch(epoch(4));
    let all = read(&mut writer.spool);
    assert!(writer.spool.rewind(epoch(2), 51));
    assert_eq!(
        read(&mut writer.spool),
        all[150..],
        "with the dictionary of what is passed over"
    );
    assert!(!writer.spool.rewind(epoch(9), 1), "nothing is known of it");
    assert!(!writer.spool.rewind(epoch(4), 1), "it is live");
    // The middle one was acknowledged up to 60, and its aggregator then lost its store.
    writer.spool.acknowledge(epoch(2), 60);
    assert!(writer.spool.rewind(epoch(2), 31));
    assert_eq!(read(&mut writer.spool), all[130..]);
    writer.spool.acknowledge(epoch(1), 100);
    assert!(!writer.spool.rewind(epoch(1), 1), "nothing of it is left");
    // What has not been read yet comes anyway.
    writer.spool.restart();
    assert!(!writer.spool.rewind(epoch(3), 5));
    assert_eq!(read(&mut writer.spool), all[130..]);
}

#[test]
fn a_hole_before_what_is_left_is_told_when_it_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(open(directory.path()));
    writer.spool.begin_epoch(epoch(1));
    writer.append_many(500);
    writer.spool.acknowledge(epoch(1), 400);
    drop(writer);
    let mut spool = open(directory.path());
    let found = read(&mut spool);
    assert_eq!(found, ticks(epoch(1), 401..=500));
    assert!(spool.rewind(epoch(1), 1));
    let again = read(&mut spool);
    let Read::Lost(1, last, GapReason::SpoolLost) = again[0].1 else {
        panic!("{:?}", again[0])
    };
    assert!(last < 400, "what is still there comes: {last}");
    assert_eq!(again[1..], ticks(epoch(1), last + 1..=500));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_bridged_in_memory_and_what_was_there_gets_to_disk_later() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(open(directory.path()));
    writer.spool.begin_epoch(epoch(1));
    writer.append_many(10);
    writer.spool.begin_epoch(epoch(2));
    let next = directory
        .path()
        .join(format!("web-1/{:016x}.segment", writer.spool.next_number));
    std::os::unix::fs::symlink("/dev/full", &next).unwrap();
    writer.append_many(10);
    assert!(writer.spool.trouble.is_some());
    assert!(writer.spool.memory_bytes > 0);
    assert_eq!(read(&mut writer.spool), ticks(epoch(1), 1..=10));
    writer.spool.upkeep();
    assert_eq!(
        (writer.spool.trouble.as_ref(), writer.spool.memory_bytes),
        (None, 0)
    );
    writer.append_many(10);
    drop(writer);
    let expected = [ticks(epoch(1), 1..=10), ticks(epoch(2), 1..=20)].concat();
    assert_eq!(read(&mut open(directory.path())), expected);
}

#[test]
fn a_folder_that_cannot_be_made_is_found_later_with_what_it_had() {
    let directory = tempfile::tempdir().unwrap();
    let (place, aside) = (directory.path().join("spool"), directory.path().join("aside"));
    let mut writer = Writer::new(open(&place));
    writer.spool.begin_epoch(epoch(1));
    writer.append_many(10);
    drop(writer);
    fs::rename(&place, &aside).unwrap();
    fs::write(&place, "in the way").unwrap();
    let mut writer = Writer::new(open(&place));
    writer.spool.begin_epoch(epoch(2));
    writer.append_many(10);
    writer.spool.begin_epoch(epoch(3));
    assert_eq!(read(&mut writer.spool), ticks(epoch(2), 1..=10));
    writer.append_many(5);
    fs::remove_file(&place).unwrap();
    fs::rename(&aside, &place).unwrap();
    writer.spool.upkeep();
    writer.append_many(5);
    let expected = [
        ticks(epoch(1), 1..=10),
        ticks(epoch(2), 1..=10),
        ticks(epoch(3), 1..=10),
    ]
    .concat();
    assert_eq!(read(&mut writer.spool), expected[..20]);
    drop(writer);
    assert_eq!(read(&mut open(&place)), expected);
}

#[test]
fn memory_is_bounded_and_what_goes_is_reported() {
    let mut writer = Writer::new(Spool::in_memory());
    writer.spool.begin_epoch(epoch(1));
    writer.append_many(60_000);
    assert!(writer.spool.memory_bytes <= MEMORY_BYTES_MAX);
    writer.spool.begin_epoch(epoch(2));
    let found = read(&mut writer.spool);
    let Read::Lost(1, last, GapReason::SpoolFull) = found[0].1 else {
        panic!("{:?}", found[0])
    };
    assert_eq!(found[1..], ticks(epoch(1), last + 1..=60_000));
    assert_eq!(writer.spool.take_lost_ticks(), last);
}

#[test]
fn an_aggregator_that_breaks_every_stream_does_not_make_it_grow_without_bound() {
    let mut writer = Writer::new(Spool::in_memory());
    for number in 0..=bounds::ITEMS_MAX as u64 + 50 {
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&number.to_le_bytes());
        writer.spool.begin_epoch(Epoch(bytes));
        writer.append();
    }
    assert!(writer.spool.items.len() <= bounds::ITEMS_MAX + 1);
    assert!(writer.spool.take_lost_ticks() >= 50);
}

const CHILD_FOLDER: &str = "SYSMON_TEST_SPOOL_CHILD";

/// Not a test of its own: what the next one starts and kills.
#[test]
#[ignore = "started by a_process_that_is_killed_loses_nothing_whose_append_returned"]
fn child_appends_until_it_is_killed() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else {
        return;
    };
    let mut writer = Writer::new(open(Path::new(&folder)));
    writer.spool.begin_epoch(epoch(7));
    loop {
        let sequence = writer.append();
        println!("appended {sequence}");
        if sequence.is_multiple_of(50) {
            writer.spool.acknowledge(epoch(7), sequence - 1_000.min(sequence));
            writer.spool.upkeep();
        }
    }
}

#[test]
fn a_process_that_is_killed_loses_nothing_whose_append_returned() {
    for lines in [1, 333, 4_000] {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args([
                "--exact",
                "spool::tests::child_appends_until_it_is_killed",
                "--ignored",
                "--nocapture",
            ])
            .env(CHILD_FOLDER, directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = child.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut last = 0;
        for (count, line) in said
            .filter(|line| line.as_ref().unwrap().contains("appended "))
            .enumerate()
        {
            if count == lines {
                // SIGKILL; what it said before is still read.
                child.kill().unwrap();
            }
            let line = line.unwrap();
            // The last line may be cut off.
            let number = line
                .rsplit("appended ")
                .next()
                .and_then(|number| number.parse().ok());
            last = number.filter(|number| *number == last + 1).unwrap_or(last);
        }
        child.wait().unwrap();
        assert!(last >= lines as u64);
        let found = read(&mut open(directory.path()));
        let Some((_, Read::Tick(first))) = found.first().copied() else {
            panic!("{:?}", found.first())
        };
        assert!(
            first <= last.saturating_sub(1_000).max(1),
            "only what was acknowledged is gone: {first}"
        );
        let end = found.len() as u64 + first - 1;
        assert!(end >= last, "{end} of {last}");
        assert_eq!(found, ticks(epoch(7), first..=end));
    }
}

/// Figures, no test: `cargo test --release -p sysmon-collector --lib -- --ignored --nocapture what_a_tick_costs`.
#[cfg(target_os = "linux")]
#[tokio::test]
#[ignore = "measures, and says nothing of right and wrong"]
async fn what_a_tick_costs() {
    const TICKS: u32 = 20_000;
    let recorded = include_str!("../../tests/fixtures/recorded_tick.tsv").lines();
    let values = recorded.map(|line| line.rsplit('\t').next().unwrap().parse().unwrap());
    let values: Vec<(u32, i64)> = (1..).zip(values).collect();
    let announce = |(number, _): &(u32, i64)| Announcement {
        number: *number,
        key: Arc::new(SeriesKey::of(MetricId::MountUsed, &format!("/data/{number}"))),
        decimals: 0,
    };
    let spent_ns = || {
        let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        spent.tv_sec * 1_000_000_000 + spent.tv_nsec
    };
    let directory = tempfile::tempdir().unwrap();
    for (name, spool, is_acknowledged) in [
        ("in memory, acknowledged", Spool::in_memory(), true),
        ("on disk, acknowledged", open(&directory.path().join("1")), true),
        (
            "on disk, piling up",
            Spool::open(Some(&SpoolConfig::new(directory.path().join("2"))), &machine()).unwrap(),
            false,
        ),
    ] {
        let board = Arc::new(crate::slow::Board::default());
        let live = spool.live();
        let mut keeper = Keeper::new(spool, board);
        let mut sample = Sample {
            announced: values.iter().map(announce).collect(),
            values: values.clone(),
            ..Sample::default()
        };
        let before = spent_ns();
        for tick in 0..TICKS {
            sample.at = UnixMillis(START_MS + i64::from(tick) * 1_000);
            let (back, sequence) = keeper.append(sample).await.unwrap();
            sample = back;
            sample.announced.clear();
            if is_acknowledged {
                keeper.acknowledge(live, sequence).await.unwrap();
            }
        }
        println!(
            "{name}: {} ns of processor time per tick of {} series",
            (spent_ns() - before) / i64::from(TICKS),
            values.len()
        );
        keeper.close().await;
    }
    println!(
        "{} bytes per tick piled up",
        bytes_on_disk(&directory.path().join("2")) / u64::from(TICKS)
    );
    let before = spent_ns();
    let mut spool = Spool::open(Some(&SpoolConfig::new(directory.path().join("2"))), &machine()).unwrap();
    println!(
        "opening: {} ns per tick",
        (spent_ns() - before) / i64::from(TICKS)
    );
    let before = spent_ns();
    let mut count = 0;
    loop {
        match spool.next_backlog().len() {
            0 => break,
            messages => count += messages,
        }
    }
    assert_eq!(count, TICKS as usize);
    println!(
        "reading back: {} ns per tick",
        (spent_ns() - before) / i64::from(TICKS)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_becomes_of_the_files_what_lies_before_the_damage_comes_and_nothing_wrong(
        counts in prop::collection::vec(1u64..400, 1..4),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0u8..8, 0u8..6), 1..4),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(open(directory.path()));
        for (number, count) in (1..).zip(&counts) {
            writer.spool.begin_epoch(epoch(number));
            writer.append_many(*count);
        }
        writer.spool.write_cursor();
        drop(writer);
        let files = files(directory.path());
        let mut sound: BTreeMap<&Path, usize> = BTreeMap::new();
        for (file, place, bit, kind) in &damages {
            let path = &files[file.index(files.len())];
            let mut bytes = fs::read(path).unwrap_or_default();
            if bytes.is_empty() { continue }
            let place = place.index(bytes.len());
            match kind {
                0 => bytes.truncate(place),
                1 => bytes[place..].fill(0),
                2 => { fs::write(directory.path().join("web-1/cursor"), &bytes[place..]).unwrap(); continue }
                3 => { fs::write(directory.path().join("web-1/lost"), &bytes[place..]).unwrap(); continue }
                _ => bytes[place] ^= 1 << bit,
            }
            let sound = sound.entry(path).or_insert(usize::MAX);
            *sound = place.min(*sound);
            fs::write(path, bytes).unwrap();
        }
        let mut spool = open(directory.path());
        let found = read(&mut spool);
        let mut next: BTreeMap<Epoch, u64> = BTreeMap::new();
        for (epoch, message) in &found {
            let next = next.entry(*epoch).or_insert(match message { Read::Tick(first) | Read::Lost(first, ..) => *first });
            let count = counts[usize::from(epoch.0[0]) - 1];
            match *message {
                Read::Tick(sequence) => {
                    prop_assert_eq!(sequence, *next);
                    *next += 1;
                }
                Read::Lost(first, last, reason) => {
                    prop_assert_eq!(first, *next);
                    prop_assert!(matches!(reason, GapReason::SpoolDamaged | GapReason::SpoolLost));
                    *next = last + 1;
                }
            }
            prop_assert!(*next - 1 <= count, "no more than there was");
        }
        if sound.is_empty() {
            let expected: Vec<_> = (1..).zip(&counts).flat_map(|(number, count)| ticks(epoch(number), 1..=*count)).collect();
            prop_assert_eq!(found, expected);
        } else {
            // Every segment that nothing happened to is there in full.
            let untouched = files.iter().filter(|file| !sound.contains_key(file.as_path()));
            for file in untouched {
                let bytes = fs::read(file).unwrap();
                let header = Header::parse(&bytes).unwrap();
                let (last, _) = record::scan(&bytes, header.first).last.unwrap();
                for sequence in header.first..=last {
                    prop_assert!(found.contains(&(header.epoch, Read::Tick(sequence))));
                }
            }
        }
    }

    #[test]
    fn files_of_any_content_do_no_harm(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..4),
        prefixed in any::<bool>(),
        lost in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let directory = tempfile::tempdir().unwrap();
        drop(open(directory.path()));
        for (number, content) in contents.iter().enumerate() {
            let mut bytes = Vec::new();
            if prefixed {
                Header { epoch: epoch(1), first: number as u64 * 3 + 1 }.write(&mut bytes);
            }
            bytes.extend(content);
            fs::write(directory.path().join(format!("web-1/{:016x}.segment", number + 1)), bytes).unwrap();
        }
        fs::write(directory.path().join("web-1/lost"), &lost).unwrap();
        fs::write(directory.path().join("web-1/cursor"), &lost).unwrap();
        let mut writer = Writer::new(open(directory.path()));
        prop_assert!(read(&mut writer.spool).iter().all(|(_, message)| matches!(message, Read::Lost(..))));
        writer.spool.begin_epoch(epoch(2));
        writer.append_many(3);
        writer.spool.begin_epoch(epoch(3));
        prop_assert_eq!(read(&mut writer.spool), ticks(epoch(2), 1..=3));
        writer.spool.close();
    }
}
