use std::collections::BTreeMap;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use sysmon_core::from_scaled;

use super::*;

/// Two minutes of a real machine with two cores, one a second: idle at first, then a compiler.
const RECORDED: &[u8] = include_bytes!("../../../tests/fixtures/recorded_machine.csv.gz");

fn values(recording: &Recording, tick: usize) -> BTreeMap<String, f64> {
    let series: BTreeMap<u32, &Announcement> = recording
        .announcements
        .iter()
        .map(|series| (series.number, series))
        .collect();
    let value = |(number, scaled): &(u32, i64)| {
        let series = series[number];
        (series.key.to_string(), from_scaled(*scaled, series.decimals))
    };
    recording.rows[tick].iter().map(value).collect()
}

#[test]
fn a_recorded_machine_shows_what_the_collector_would_have_shown() {
    let recording = Recording::read(RECORDED).unwrap();
    assert_eq!((recording.ticks(), recording.cpu_count), (119, 2));
    assert_eq!(recording.memory_bytes, 24_684_100 * 1_024);
    let series = recording.announcements.len();
    assert!((60..120).contains(&series), "{series}");
    let mean = |range: std::ops::Range<usize>| {
        let count = range.len() as f64;
        let busy = range.map(|tick| values(&recording, tick)["cpu.busy_percent"]);
        busy.sum::<f64>() / count
    };
    assert!(
        mean(0..15) < 5.0 && mean(80..115) > 70.0,
        "{} {}",
        mean(0..15),
        mean(80..115)
    );
    for tick in 0..recording.ticks() {
        let values = values(&recording, tick);
        let parts = ["user", "system", "steal", "irq"].map(|part| values[&format!("cpu.{part}_percent")]);
        assert!((parts.iter().sum::<f64>() - values["cpu.busy_percent"]).abs() < 0.26);
        assert!(
            values["network.total_receive_bytes_per_second"]
                == values["network.receive_bytes_per_second{interface=\"eth0\"}"]
        );
        assert!(!values.contains_key("swap.used_percent"), "it has no swap");
        assert!(
            values
                .iter()
                .all(|(name, value)| *value >= 0.0 && (!name.contains("percent") || *value <= 100.0))
        );
    }
}

#[test]
fn rates_are_growth_over_the_time_between_readings() {
    let text = "unix_ms,ctxt,load1,disk.sda.reads,disk.sda.sectors_read,disk.sda.writes,disk.sda.sectors_written,\
                disk.sda.ms_reading,disk.sda.ms_writing,disk.sda.ms_io,disk.sda.ms_weighted,unheard_of\n\
                1000,100,0.5,0,0,0,0,0,0,0,0,7\n3000,300,0.75,10,80,10,40,30,10,500,40,\n\
                4000,200,1.00,10,80,10,40,30,10,500,40,x7\n";
    let error = Recording::read(text.as_bytes()).unwrap_err();
    assert!(matches!(error, RecordingError::Row { line: 4 }), "{error}");
    let recording = Recording::read(text.replace("x7", "7").as_bytes()).unwrap();
    let first = values(&recording, 0);
    for (name, expected) in [
        ("cpu.context_switches_per_second", 100.0),
        ("load.1m", 0.75),
        ("disk.read_bytes_per_second{disk=\"sda\"}", 20_480.0),
        ("disk.await_ms{disk=\"sda\"}", 2.0),
        ("disk.utilisation_percent{disk=\"sda\"}", 25.0),
        ("disk.queue_depth{disk=\"sda\"}", 0.02),
    ] {
        assert_eq!(first.get(name), Some(&expected), "{name}");
    }
    let second = values(&recording, 1);
    assert!(
        !second.contains_key("cpu.context_switches_per_second"),
        "the counter was reset"
    );
    assert!(
        !second.contains_key("disk.await_ms{disk=\"sda\"}"),
        "there was no request"
    );
}

#[test]
fn packed_or_not_is_seen_from_the_file_itself() {
    let mut text = String::new();
    GzDecoder::new(RECORDED).read_to_string(&mut text).unwrap();
    let plain = Recording::read(text.as_bytes()).unwrap();
    assert_eq!(plain.rows, Recording::read(RECORDED).unwrap().rows);
}

#[test]
fn what_is_no_recording_is_refused_with_a_reason() {
    for (text, reason) in [
        ("", "unix_ms"),
        ("a,b\n1,2\n", "unix_ms"),
        ("unix_ms\n1\n", "fewer than two"),
        ("unix_ms,load1\n1,2\n3\n", "line 3"),
        ("unix_ms\n1\nnan\n", "line 3"),
    ] {
        let error = Recording::read(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(reason), "{text:?}: {error}");
    }
    let cut = &RECORDED[..RECORDED.len() / 2];
    assert!(matches!(Recording::read(cut), Err(RecordingError::Read(_))));
}

#[test]
fn a_packed_file_that_unpacks_without_end_is_not_taken_into_memory() {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(b"unix_ms\n").unwrap();
    for _ in 0..65 {
        packed.write_all(&vec![b'1'; 1 << 20]).unwrap();
    }
    let error = Recording::read(packed.finish().unwrap().as_slice()).unwrap_err();
    assert!(matches!(error, RecordingError::TooLong), "{error}");
}

#[test]
fn players_begin_at_places_of_their_own_and_start_over_at_the_end() {
    let recording = Arc::new(Recording::read(RECORDED).unwrap());
    let id = MachineId::parse("x").unwrap();
    let player = |index| Player::new(Arc::clone(&recording), Key::of_machine(1, index), index, &id);
    let mut first = player(0);
    let begin = first.sample(UnixMillis(1));
    assert_eq!(begin.announced.len(), recording.announcements.len());
    assert_eq!(begin.values, recording.rows[0]);
    for tick in 1..recording.ticks() {
        let sample = first.sample(UnixMillis(1 + tick as i64));
        assert!(sample.announced.is_empty());
    }
    assert_eq!(first.sample(UnixMillis(5_000)).values, recording.rows[0]);
    assert!((1..5).any(|index| player(index).next != 0));
}

proptest! {
    #[test]
    fn no_file_whatsoever_makes_it_panic_or_go_below_zero(
        text in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            "(unix_ms,ctxt,cpu\\.user_ticks,mem\\.MemTotal_kib,mem\\.MemAvailable_kib,psi\\.io\\.some_total\n)(([0-9]{0,19},){5}[0-9]{0,5}\n){0,6}"
                .prop_map(String::into_bytes),
        ],
    ) {
        if let Ok(recording) = Recording::read(text.as_slice()) {
            for tick in 0..recording.ticks() {
                prop_assert!(values(&recording, tick).values().all(|value| *value >= 0.0));
            }
        }
    }
}
