use super::*;
use crate::probe::testing::Bench;
use proptest::prelude::*;
use sysmon_core::MachineId;

fn config(bench: &Bench) -> Config {
    Config {
        roots: bench.roots(),
        ..Config::new(MachineId::parse("test").unwrap())
    }
}

fn scanner(bench: &Bench) -> ProcessScanner {
    bench.write("proc/uptime", "1 1\n");
    bench.write("etc/passwd", "root:x:0:0::/:\n");
    ProcessScanner::new(&config(bench), 4_096)
}

/// A process with its name, state, ticks of processor time, start and pages.
fn put(bench: &Bench, pid: u32, name: &str, state: char, ticks: u64, start: u64, pages: u64) {
    let line = format!(
        "{pid} ({name}) {state} 1 77 77 0 -1 4194560 1050 0 3 0 {ticks} 0 4 5 20 0 2 0 {start} 10000000 {pages} 18446744 1 1\n"
    );
    bench.write(&format!("proc/{pid}/stat"), line);
    bench.write(
        &format!("proc/{pid}/cmdline"),
        format!("/bin/{name}\0--token=x{pid}\0"),
    );
}

fn scan(bench: &mut Bench, scanner: &mut ProcessScanner, second: f64, detail: ProcessDetail) -> ProcessTable {
    let mut table = None;
    let values = bench.tick(second, |context| table = scanner.scan(detail, context));
    let table = table.unwrap();
    assert_eq!(values["process.count"], f64::from(table.totals().processes));
    table
}

fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second()
}

#[test]
fn a_process_shows_what_ps_shows() {
    let mut bench = Bench::new();
    let mut scanner = scanner(&bench);
    let second = ticks_per_second();
    put(&bench, 77, "my app", 'S', 10, 42 * second, 300);
    put(&bench, 5, "zombie", 'Z', 0, 1, 0);
    bench.write(
        "proc/77/io",
        "rchar: 9\nwchar: 9\nread_bytes: 4096\nwrite_bytes: 0\n",
    );
    let table = scan(&mut bench, &mut scanner, 0.0, ProcessDetail::All);
    let key = ProcessKey {
        pid: 77,
        start_ms: 42_000,
    };
    assert_eq!(
        table.get(key).unwrap().cpu_percent,
        None,
        "not known at first sight"
    );
    assert_eq!(
        table.totals(),
        ProcessTotals {
            processes: 2,
            threads: 4,
            running: 0,
            blocked: 0,
            zombies: 1
        }
    );

    put(&bench, 77, "my app", 'R', 10 + second * 3, 42 * second, 310);
    bench.write(
        "proc/77/io",
        "rchar: 9\nwchar: 9\nread_bytes: 24576\nwrite_bytes: 8192\n",
    );
    let table = scan(&mut bench, &mut scanner, 2.0, ProcessDetail::All);
    let process = table.get(key).unwrap();
    assert_eq!(process.cpu_percent, Some(150.0));
    assert_eq!(
        (&*process.name, &*process.command),
        ("my app", "/bin/my app --token=***")
    );
    assert_eq!((process.memory_bytes, process.threads), (310 * 4_096, 2));
    assert_eq!((process.state, process.parent_pid), (ProcessState::Running, 1));
    assert_eq!(
        (process.read_bytes_per_second, process.write_bytes_per_second),
        (Some(10_240), Some(4_096))
    );
    let zombie = table.iter().find(|process| process.key.pid == 5).unwrap();
    assert_eq!(
        zombie.read_bytes_per_second, None,
        "there is no file that says it"
    );
    assert!(table.is_complete());
}

#[test]
fn a_pid_that_was_given_to_a_new_process_starts_anew() {
    let mut bench = Bench::new();
    let mut scanner = scanner(&bench);
    put(&bench, 77, "old", 'S', 10, 1_000, 1);
    scan(&mut bench, &mut scanner, 0.0, ProcessDetail::All);
    put(&bench, 77, "new", 'S', ticks_per_second() / 2, 2_000, 1);
    let table = scan(&mut bench, &mut scanner, 1.0, ProcessDetail::All);
    let process = table.iter().next().unwrap();
    assert_eq!(
        (table.iter().len(), &*process.name, process.cpu_percent),
        (1, "new", Some(50.0))
    );
    assert_eq!(&*process.command, "/bin/new --token=***");
}

#[test]
fn a_process_that_began_since_the_last_scan_is_busy_at_once_and_one_that_was_missed_is_not() {
    let mut bench = Bench::new();
    let mut scanner = scanner(&bench);
    let second = ticks_per_second();
    put(&bench, 5, "old", 'S', 0, 10 * second, 1);
    let first = scan(&mut bench, &mut scanner, 0.0, ProcessDetail::Top);
    assert!(first.iter().all(|process| process.cpu_percent.is_none()));
    put(&bench, 77, "load", 'R', 8 * second, 20 * second, 1);
    put(&bench, 78, "missed", 'R', 500 * second, 9 * second, 1);
    let table = scan(&mut bench, &mut scanner, 10.0, ProcessDetail::Top);
    let busy: Vec<_> = table
        .iter()
        .map(|process| (process.key.pid, process.cpu_percent))
        .collect();
    assert_eq!(busy, [(5, Some(0.0)), (77, Some(80.0)), (78, None)]);
}

#[test]
fn a_process_that_runs_another_program_is_read_again() {
    let mut bench = Bench::new();
    let mut scanner = scanner(&bench);
    put(&bench, 77, "sh", 'S', 10, 1_000, 1);
    scan(&mut bench, &mut scanner, 0.0, ProcessDetail::All);
    put(&bench, 77, "app", 'S', 10, 1_000, 1);
    let table = scan(&mut bench, &mut scanner, 1.0, ProcessDetail::All);
    let process = table.iter().next().unwrap();
    assert_eq!(
        (&*process.name, &*process.command),
        ("app", "/bin/app --token=***")
    );
    assert_eq!(process.cpu_percent, Some(0.0), "it is the same process");
}

#[test]
fn the_top_list_has_the_busiest_and_the_largest_and_counts_all() {
    let mut bench = Bench::new();
    let mut scanner = scanner(&bench);
    scanner.top = 2;
    for pid in 1..=9 {
        put(&bench, pid, "x", 'S', 0, 1, u64::from(pid));
    }
    scan(&mut bench, &mut scanner, 0.0, ProcessDetail::Top);
    for (pid, ticks) in [(1, 30), (2, 50), (3, 10)] {
        put(&bench, pid, "x", 'S', ticks, 1, u64::from(pid));
    }
    let table = scan(&mut bench, &mut scanner, 1.0, ProcessDetail::Top);
    assert_eq!(
        table.iter().map(|process| process.key.pid).collect::<Vec<_>>(),
        [1, 2, 8, 9]
    );
    assert_eq!(table.totals().processes, 9);
    assert!(!table.is_complete());
}

#[test]
fn what_did_not_visibly_change_is_not_sent_again() {
    let mut bench = Bench::new();
    let mut scanner = scanner(&bench);
    put(&bench, 7, "calm", 'S', 100, 1, 10);
    put(&bench, 8, "busy", 'S', 0, 1, 10);
    let mut before = scan(&mut bench, &mut scanner, 0.0, ProcessDetail::All);
    for second in 1..4 {
        put(&bench, 8, "busy", 'S', second * second * 10, 1, 10);
        let table = scan(&mut bench, &mut scanner, second as f64, ProcessDetail::All);
        let delta = before.delta_to(&table);
        if second > 1 {
            assert_eq!(
                delta
                    .changed
                    .iter()
                    .map(|process| process.key.pid)
                    .collect::<Vec<_>>(),
                [8]
            );
        }
        before = table;
    }
}

/// A process of one thread, a child of `parent`, that spent `ran_ns` on a processor.
fn put_single(bench: &Bench, pid: u32, parent: u32, ticks: u64, ran_ns: u64) {
    let line = format!(
        "{pid} (one) S {parent} 77 77 0 -1 4194560 1050 0 3 0 {ticks} 0 4 5 20 0 1 0 1 10000000 9 18446744 1 1\n"
    );
    bench.write(&format!("proc/{pid}/stat"), line);
    bench.write(&format!("proc/{pid}/schedstat"), format!("{ran_ns} 5 6\n"));
}

fn percent_of(table: &ProcessTable, pid: u32) -> Option<f32> {
    table
        .iter()
        .find(|process| process.key.pid == pid)
        .unwrap()
        .cpu_percent
}

#[test]
fn who_did_not_run_is_not_read_again_until_it_runs_or_its_turn_comes() {
    let mut bench = Bench::new();
    let mut scanner = scanner(&bench);
    let second = ticks_per_second();
    for at in 0..3 {
        put_single(&bench, 60, 1, 100, 5_000);
        scan(&mut bench, &mut scanner, f64::from(at), ProcessDetail::All);
    }
    assert!(
        scanner.tracked[0].file.is_none(),
        "its line is no longer held open"
    );
    // Nothing of this kind happens: it shows that the line was not read.
    put_single(&bench, 60, 1, 100 + second, 5_000);
    let table = scan(&mut bench, &mut scanner, 3.0, ProcessDetail::All);
    assert_eq!(percent_of(&table, 60), Some(0.0));
    put_single(&bench, 60, 1, 100 + second, 5_001);
    let table = scan(&mut bench, &mut scanner, 4.0, ProcessDetail::All);
    assert_eq!(percent_of(&table, 60), Some(100.0), "it ran, and shows at once");
    for at in 5..10 {
        put_single(&bench, 60, 1, 100 + second * (at - 3), 5_001);
        let table = scan(&mut bench, &mut scanner, at as f64, ProcessDetail::All);
        let expected = if at < 9 { 100.0 } else { 0.0 };
        assert_eq!(
            percent_of(&table, 60),
            Some(expected),
            "who ran is likely to run again, at {at}"
        );
    }
    let mut read = 0;
    for at in 10..40 {
        put_single(&bench, 60, 1, 100 + second * at, 5_001);
        let table = scan(&mut bench, &mut scanner, at as f64, ProcessDetail::All);
        read += u32::from(percent_of(&table, 60) != Some(0.0));
    }
    assert_eq!(read, 1, "its turn comes once in thirty seconds");
}

#[test]
fn whose_parent_dies_has_another_one_although_it_rests() {
    let mut bench = Bench::new();
    let mut scanner = scanner(&bench);
    for at in 0..3 {
        put_single(&bench, 50, 1, 9, 5_000);
        put_single(&bench, 60, 50, 9, 5_000);
        scan(&mut bench, &mut scanner, f64::from(at), ProcessDetail::All);
    }
    bench.remove("proc/50");
    put_single(&bench, 60, 1, 9, 5_000);
    scan(&mut bench, &mut scanner, 3.0, ProcessDetail::All);
    let table = scan(&mut bench, &mut scanner, 4.0, ProcessDetail::All);
    assert_eq!(
        table.iter().map(|process| process.parent_pid).collect::<Vec<_>>(),
        [1]
    );
}

#[test]
fn without_scheduler_statistics_every_line_is_read() {
    let mut bench = Bench::new();
    let mut scanner = scanner(&bench);
    let second = ticks_per_second();
    for at in 0..8 {
        // A kernel without them says zero.
        put_single(&bench, 60, 1, second * at, 0);
        put_single(&bench, 61, 1, second * at, 0);
        bench.remove("proc/61/schedstat");
        let table = scan(&mut bench, &mut scanner, at as f64, ProcessDetail::All);
        let expected = (at > 0).then_some(100.0);
        assert_eq!(
            (percent_of(&table, 60), percent_of(&table, 61)),
            (expected, expected)
        );
    }
}

/// The promise of `rest.rs` held against this machine: a child that wakes shows within one scan, whatever it did before.
#[test]
fn a_real_process_that_wakes_up_shows_in_the_next_scan() {
    let mut bench = Bench::new();
    let config = Config::new(MachineId::parse("test").unwrap());
    let mut scanner = ProcessScanner::new(&config, 4_096);
    let mut child = std::process::Command::new("sh")
        .args(["-c", "read line; while :; do :; done"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let mut at = 0.0;
    let mut look = |bench: &mut Bench| {
        #[expect(
            clippy::disallowed_methods,
            reason = "the child needs a while to run in, and nothing else runs here"
        )]
        std::thread::sleep(std::time::Duration::from_millis(100));
        at += 0.1;
        let table = scan(bench, &mut scanner, at, ProcessDetail::All);
        let tracked = scanner.tracked.iter().find(|tracked| tracked.key.pid == pid);
        (percent_of(&table, pid), tracked.unwrap().file.is_none())
    };
    let rested = (0..50).any(|_| look(&mut bench).1);
    drop(child.stdin.take());
    // Two scans: it may wake at the end of the first one.
    let woken = [look(&mut bench).0, look(&mut bench).0];
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(rested, "a sleeping child was never left alone");
    assert!(woken.iter().flatten().any(|percent| *percent > 0.0), "{woken:?}");
}

#[test]
fn kernel_threads_have_brackets_and_no_command() {
    let mut bench = Bench::new();
    let mut scanner = scanner(&bench);
    bench.write(
        "proc/2/stat",
        "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 1 0 0 20 0 1 0 2 0 0 18446744073709551615 0 0",
    );
    let table = scan(&mut bench, &mut scanner, 0.0, ProcessDetail::All);
    let process = table.iter().next().unwrap();
    assert_eq!((&*process.name, &*process.command), ("[kthreadd]", ""));
}

#[test]
fn without_room_for_descriptors_files_are_opened_each_time() {
    let mut bench = Bench::new();
    let mut scanner = scanner(&bench);
    scanner.reader.keep_at_most(2);
    for round in 0..3 {
        for pid in 1..=5 {
            put(&bench, pid, "x", 'S', round * 10, 1, 1);
        }
        let table = scan(&mut bench, &mut scanner, round as f64, ProcessDetail::All);
        assert_eq!(table.iter().len(), 5);
        assert_eq!(
            scanner
                .tracked
                .iter()
                .filter(|tracked| tracked.file.is_some())
                .count(),
            2
        );
    }
}

#[test]
fn broken_lines_and_strange_directories_are_passed_over() {
    let mut bench = Bench::new();
    let mut scanner = scanner(&bench);
    put(&bench, 7, ") S (", 'S', 0, 1, 1);
    bench.write("proc/8/stat", "8 (short) S 1");
    bench.write("proc/9/status", "no stat");
    bench.write("proc/99999999999/stat", "x");
    bench.write("proc/self/stat", "x");
    let table = scan(&mut bench, &mut scanner, 0.0, ProcessDetail::All);
    assert_eq!(
        table
            .iter()
            .map(|process| (process.key.pid, process.name.to_string()))
            .collect::<Vec<_>>(),
        [(7, ") S (".into())]
    );
}

#[test]
fn without_a_directory_there_are_no_processes() {
    let mut bench = Bench::new();
    let mut scanner = ProcessScanner::new(&config(&bench), 4_096);
    let values = bench.tick(0.0, |context| {
        assert_eq!(scanner.scan(ProcessDetail::All, context), None)
    });
    assert!(values.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_files_whatsoever_make_it_panic(
        files in prop::collection::vec((1u32..4, prop_oneof![
            prop::collection::vec(any::<u8>(), 0..120),
            "[0-9]{1,3} \\([a-z)( ]{0,5}\\) [RSZ]( [0-9]{1,20}){0,25}".prop_map(String::into_bytes),
        ]), 1..8),
    ) {
        let mut bench = Bench::new();
        let mut scanner = scanner(&bench);
        for (second, (pid, content)) in files.into_iter().enumerate() {
            for name in ["stat", "cmdline", "io"] {
                bench.write(&format!("proc/{pid}/{name}"), &content);
            }
            scan(&mut bench, &mut scanner, second as f64, ProcessDetail::All);
        }
    }
}
