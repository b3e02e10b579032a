use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sysmon_core::{ProcessState, SeriesKey, Unit, UnixMillis, from_scaled};

use super::*;
use crate::config::ProcessDetail;
use crate::sample::{Plan, Sample};

/// A Wednesday, eleven in the morning in UTC.
const NOON: UnixMillis = UnixMillis(1_795_000_000_000);

const ALL: Plan = Plan {
    interval_ms: 1_000,
    burst_interval_ms: 0,
    processes: ProcessDetail::All,
};
const TOP: Plan = Plan {
    burst_interval_ms: 0,
    processes: ProcessDetail::Top,
    ..ALL
};

fn machine(seed: u64, index: u32, scenario: Scenario, now: UnixMillis) -> Machine {
    Fleet::new(seed, "sim", scenario, now)
        .machine(index, now)
        .unwrap()
}

/// The values of a sample by the text of their series.
fn values(sample: &Sample, announced: &Sample) -> BTreeMap<String, f64> {
    let value = |(number, scaled): &(u32, i64)| {
        let series = &announced.announced[*number as usize - 1];
        assert_eq!(series.number, *number);
        (series.key.to_string(), from_scaled(*scaled, series.decimals))
    };
    sample.values.iter().map(value).collect()
}

/// The first tick of a machine, which has everything.
fn first(machine: &mut Machine, at: UnixMillis) -> (Sample, BTreeMap<String, f64>) {
    let sample = machine.sample(at, ALL);
    let values = values(&sample, &sample);
    (sample, values)
}

fn one_event(event: Event) -> Scenario {
    Scenario { events: vec![event] }
}

#[test]
fn a_machine_is_the_same_in_every_fleet_and_after_every_restart() {
    let start = UnixMillis(NOON.0 - 77_777);
    let mut long_running = Fleet::new(5, "sim", Scenario::default(), start)
        .machine(17, start)
        .unwrap();
    for second in 0..60 {
        long_running.sample(start.plus_ms(second * 1_000), TOP);
    }
    let mut fresh = machine(5, 17, Scenario::default(), NOON);
    assert_eq!(fresh.host(), long_running.host());
    let expected = long_running.sample(NOON, ALL);
    let (sample, all) = first(&mut fresh, NOON);
    let numbers: BTreeSet<_> = expected.values.iter().collect();
    assert!(numbers.iter().all(|value| sample.values.contains(value)));
    assert_eq!(sample.processes, expected.processes);
    assert!(all.len() > 80);
    let mut other = machine(6, 17, Scenario::default(), NOON);
    assert_ne!(other.sample(NOON, ALL).values, sample.values, "another seed");
}

#[test]
fn series_are_announced_once_and_slow_ones_come_less_often() {
    let mut machine = machine(1, 3, Scenario::default(), NOON);
    let start = machine.sample(NOON, TOP);
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for second in 1..=60 {
        let sample = machine.sample(NOON.plus_ms(second * 1_000), TOP);
        assert!(sample.announced.is_empty());
        assert!(sample.values.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(sample.processes.is_some(), second % 10 == 0, "{second}");
        for name in values(&sample, &start).into_keys() {
            *counts.entry(name).or_default() += 1;
        }
    }
    for (name, expected) in [
        ("cpu.busy_percent", 60),
        ("mount.used_bytes{mount=\"/\"}", 6),
        ("process.count", 6),
        ("host.users", 2),
        ("systemd.failed_units", 1),
        ("network.receive_bytes_per_second{interface=\"lo\"}", 60),
    ] {
        assert_eq!(counts.get(name), Some(&expected), "{name}");
    }
    assert!(!counts.contains_key("collector.ticks_dropped_total"));
}

/// What must hold on every machine at every moment.
fn check_relations(values: &BTreeMap<String, f64>) -> Result<(), TestCaseError> {
    let get = |name: &str| {
        values
            .get(name)
            .copied()
            .unwrap_or_else(|| panic!("{name} is missing"))
    };
    let of = |prefix: &str| -> Vec<f64> {
        let series = values.iter().filter(|(name, _)| name.starts_with(prefix));
        series.map(|(_, value)| *value).collect()
    };
    for (name, value) in values {
        prop_assert!(*value >= 0.0, "{} {}", name, value);
        prop_assert!(
            !name.contains("_percent") || *value <= 100.0 || name.starts_with("container"),
            "{} {}",
            name,
            value
        );
    }
    let parts = ["user", "system", "irq", "steal"].map(|part| get(&format!("cpu.{part}_percent")));
    let busy = get("cpu.busy_percent");
    // Each is rounded to a tenth.
    prop_assert!(
        (parts.iter().sum::<f64>() - busy).abs() <= 0.26,
        "{:?} {}",
        parts,
        busy
    );
    prop_assert!(busy + get("cpu.iowait_percent") <= 100.1);
    let cores = of("cpu.core_busy_percent");
    prop_assert!((cores.iter().sum::<f64>() / cores.len() as f64 - busy).abs() <= 0.11);
    let total = get("memory.total_bytes");
    prop_assert_eq!(get("memory.used_bytes") + get("memory.available_bytes"), total);
    let idle = get("memory.free_bytes") + get("memory.buffers_bytes") + get("memory.cached_bytes");
    prop_assert!(idle <= get("memory.available_bytes"));
    prop_assert!((get("memory.used_percent") - get("memory.used_bytes") * 100.0 / total).abs() < 0.051);
    prop_assert!(get("swap.used_bytes") <= get("swap.total_bytes"));
    prop_assert_eq!(
        values.contains_key("swap.used_percent"),
        get("swap.total_bytes") > 0.0
    );
    for kind in ["memory", "io"] {
        let [some, full] = ["some", "full"].map(|part| get(&format!("pressure.{kind}_{part}_percent")));
        prop_assert!(full <= some);
    }
    prop_assert_eq!(
        of("disk.read_bytes").iter().sum::<f64>(),
        get("disk.total_read_bytes_per_second")
    );
    for (used, (available, total)) in of("mount.used_bytes")
        .iter()
        .zip(of("mount.available_bytes").iter().zip(of("mount.total_bytes")))
    {
        prop_assert!(used + available <= total);
    }
    let worst = of("mount.used_percent").into_iter().fold(0.0, f64::max);
    prop_assert_eq!(worst, get("mount.worst_used_percent"));
    let disks = of("disk.utilisation_percent")
        .into_iter()
        .zip(of("disk.queue_depth"));
    for (utilisation, queue) in disks {
        prop_assert!(
            queue >= utilisation / 100.0 - 0.01,
            "a busy disk has something in line"
        );
    }
    let physical: f64 = values
        .iter()
        .filter(|(name, _)| {
            name.starts_with("network.receive_bytes") && !name.contains("\"lo\"") && !name.contains("docker")
        })
        .map(|(_, value)| value)
        .sum();
    prop_assert_eq!(physical, get("network.total_receive_bytes_per_second"));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn figures_fit_together_on_every_machine_at_every_moment(
        seed in any::<u64>(),
        index in 0u32..100_000,
        minutes in 0i64..600_000,
        condition in prop::sample::select(Condition::WORDS.map(|(condition, _)| condition).to_vec()),
        is_sick in any::<bool>(),
    ) {
        let at = UnixMillis(NOON.0 + minutes * 60_000 + minutes % 997);
        let event = Event {
            over_ms: Some(0),
            share: f64::from(u8::from(is_sick)),
            ..Event::new(condition)
        };
        let mut machine = machine(seed, index, one_event(event), at);
        let (sample, values) = first(&mut machine, at.plus_ms(1));
        check_relations(&values)?;
        for series in &sample.announced {
            let definition = series.key.metric.definition().unwrap();
            prop_assert_eq!(series.decimals, definition.decimals);
            prop_assert_eq!(definition.label, series.key.labels.first().map(|label| &*label.name));
            prop_assert!(definition.unit != Unit::Flag || values[&series.key.to_string()] <= 1.0);
        }
        check_processes(&sample, &values, machine.host().cpu_count)?;
    }
}

fn check_processes(sample: &Sample, values: &BTreeMap<String, f64>, cores: u32) -> Result<(), TestCaseError> {
    let table = sample.processes.as_ref().unwrap();
    prop_assert!(table.is_complete());
    let totals = table.totals();
    prop_assert_eq!(table.iter().len(), totals.processes as usize);
    prop_assert!((35..=310).contains(&totals.processes), "{}", totals.processes);
    prop_assert_eq!(f64::from(totals.processes), values["process.count"]);
    let spent: f64 = table
        .iter()
        .filter_map(|process| process.cpu_percent)
        .map(f64::from)
        .sum();
    let whole = (values["cpu.user_percent"] + values["cpu.system_percent"]) * f64::from(cores);
    prop_assert!(
        spent <= whole + 0.1 * f64::from(cores) + 1.0,
        "{} of {}",
        spent,
        whole
    );
    let memory: u64 = table.iter().map(|process| process.memory_bytes).sum();
    prop_assert!(memory as f64 <= values["memory.used_bytes"]);
    let running = table
        .iter()
        .filter(|process| process.state == ProcessState::Running);
    prop_assert_eq!(running.count(), totals.running as usize);
    for process in table.iter() {
        prop_assert!(!process.user.is_empty() && !process.name.is_empty());
        prop_assert!(process.parent_pid == 0 || process.parent_pid == 1 || process.parent_pid == 2);
    }
    Ok(())
}

#[test]
fn load_follows_the_processors_and_traffic_follows_the_day() {
    // The busiest hour of a machine against its stillest, over a working week.
    let mut by_hour: BTreeMap<i64, (f64, f64, f64)> = BTreeMap::new();
    let monday = UnixMillis(NOON.0 - NOON.0 % 86_400_000 - 2 * 86_400_000);
    let fleet = Fleet::new(11, "sim", Scenario::default(), monday);
    for index in 0..30 {
        let mut machine = fleet.machine(index, monday).unwrap();
        let mut announced = None;
        for step in 0..(5 * 24 * 4) {
            let at = monday.plus_ms(step * 900_000);
            let sample = machine.sample(at, TOP);
            let start = announced.get_or_insert_with(|| sample.clone());
            let values = values(&sample, start);
            // Seen from the middle of the three zones.
            let entry = by_hour.entry(at.0 / 3_600_000 % 24).or_default();
            entry.0 += values["cpu.busy_percent"];
            entry.1 += values["load.15m"] / f64::from(machine.host().cpu_count);
            entry.2 += values["network.total_receive_bytes_per_second"];
        }
    }
    let correlation = |get: fn(&(f64, f64, f64)) -> f64| {
        let pairs: Vec<(f64, f64)> = by_hour.values().map(|hour| (hour.0, get(hour))).collect();
        let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / pairs.len() as f64;
        let (x, y) = (mean(|pair| pair.0), mean(|pair| pair.1));
        let product: f64 = pairs.iter().map(|pair| (pair.0 - x) * (pair.1 - y)).sum();
        let squares = |of: fn(&(f64, f64)) -> f64, mean: f64| {
            pairs.iter().map(|pair| (of(pair) - mean).powi(2)).sum::<f64>()
        };
        product / (squares(|pair| pair.0, x) * squares(|pair| pair.1, y)).sqrt()
    };
    assert!(
        correlation(|hour| hour.1) > 0.7,
        "load {}",
        correlation(|hour| hour.1)
    );
    assert!(
        correlation(|hour| hour.2) > 0.5,
        "traffic {}",
        correlation(|hour| hour.2)
    );
}

/// A machine that is well by itself, some minutes into a condition of the scenario, with its whole process list.
fn sick(condition: Condition) -> (Sample, BTreeMap<String, f64>, BTreeMap<String, f64>) {
    // A database of this seed: it has disks to wait for, and one link more than a web server.
    let well = Fleet::new(3, "sim", Scenario::default(), NOON);
    let index = (0..200).find(|index| {
        let machine = well.machine(*index, NOON).unwrap();
        let is_database = machine.host().labels.contains(&("role".into(), "db".into()));
        is_database && machine.is_well()
    });
    let at = NOON.plus_ms(900_000);
    let (_, before) = first(&mut well.machine(index.unwrap(), at).unwrap(), at);
    let fleet = Fleet::new(3, "sim", one_event(Event::new(condition)), NOON);
    let mut machine = fleet.machine(index.unwrap(), NOON).unwrap();
    let (sample, after) = first(&mut machine, at);
    (sample, before, after)
}

#[test]
fn a_sick_machine_shows_it_in_its_figures_and_names_the_culprit() {
    let (sample, before, after) = sick(Condition::IoWait);
    assert!(after["cpu.iowait_percent"] > 30.0 && after["load.1m"] > before["load.1m"] + 4.0);
    let blocked: Vec<_> = sample
        .processes
        .as_ref()
        .unwrap()
        .iter()
        .filter(|process| process.state == ProcessState::Blocked)
        .collect();
    assert_eq!(&*blocked[0].name, "rsync");
    let (_, before, after) = sick(Condition::DiskFull);
    assert!(before["mount.worst_used_percent"] < 95.0 && after["mount.worst_used_percent"] > 99.0);
    let (sample, _, after) = sick(Condition::MemoryLeak);
    assert!(after["memory.used_percent"] > 95.0 && after["swap.in_bytes_per_second"] > 0.0);
    let table = sample.processes.unwrap();
    let memory: u64 = table.iter().map(|process| process.memory_bytes).sum();
    let largest = table.iter().map(|process| process.memory_bytes).max().unwrap();
    assert!(largest > memory / 2, "{largest} of {memory}");
    let (sample, before, after) = sick(Condition::Runaway);
    assert!(after["cpu.busy_percent"] > before["cpu.busy_percent"] + 15.0);
    let table = sample.processes.unwrap();
    let busiest = table
        .iter()
        .max_by(|left, right| left.cpu_percent.unwrap().total_cmp(&right.cpu_percent.unwrap()));
    assert_eq!(&*busiest.unwrap().user, "deploy");
    let (_, before, after) = sick(Condition::CpuSteal);
    assert!(before["cpu.steal_percent"] < 1.0 && after["cpu.steal_percent"] > 8.0);
}

#[test]
fn a_flapping_link_goes_down_and_comes_back() {
    let fleet = Fleet::new(3, "sim", one_event(Event::new(Condition::LinkFlap)), NOON);
    let mut machine = fleet.machine(1, NOON).unwrap();
    let mut announced = None;
    let mut states = BTreeSet::new();
    for second in 0..600 {
        let sample = machine.sample(NOON.plus_ms(second * 1_000), TOP);
        let start = announced.get_or_insert_with(|| sample.clone());
        let links = values(&sample, start)
            .into_iter()
            .filter(|(name, _)| name.starts_with("network.link_up"));
        states.extend(links.map(|(_, value)| value as u32));
    }
    assert_eq!(states, BTreeSet::from([0, 1]));
}

#[test]
fn a_machine_that_was_off_has_booted_since() {
    let off = Event {
        at_ms: 60_000,
        for_ms: Some(30_000),
        ..Event::new(Condition::Off)
    };
    let fleet = Fleet::new(3, "sim", one_event(off), NOON);
    let before = fleet.machine(1, NOON).unwrap();
    let after = fleet.machine(1, NOON.plus_ms(95_000)).unwrap();
    assert!(before.host().boot_unix_ms < NOON.0);
    assert_eq!(after.host().boot_unix_ms, NOON.0 + 90_000);
    let [off, cut] = after.absences();
    assert!(off.iter().eq([&(NOON.0 + 60_000..NOON.0 + 90_000)]) && cut.is_empty());
}

#[test]
fn short_lived_processes_come_and_go_and_daemons_stay() {
    let fleet = Fleet::new(3, "sim", Scenario::default(), NOON);
    let mut machine = (0..100)
        .map(|index| fleet.machine(index, NOON).unwrap())
        .find(|machine| machine.host().labels.contains(&("role".into(), "build".into())))
        .unwrap();
    let keys = |sample: &Sample| -> BTreeSet<(String, u32)> {
        let table = sample.processes.as_ref().unwrap();
        table
            .iter()
            .map(|process| (process.name.to_string(), process.key.pid))
            .collect()
    };
    let first = keys(&machine.sample(NOON, ALL));
    let later = keys(&machine.sample(NOON.plus_ms(60_000), ALL));
    let stayed: BTreeSet<&str> = first
        .intersection(&later)
        .map(|(name, _)| name.as_str())
        .collect();
    assert!(stayed.contains("systemd") && stayed.contains("sshd"));
    assert!(!stayed.contains("cc1plus") && later.iter().any(|(name, _)| name == "cc1plus"));
}

#[test]
fn a_short_list_has_the_busiest_and_the_largest() {
    let mut machine = machine(3, 1, Scenario::default(), NOON);
    let whole = machine.sample(NOON, ALL).processes.unwrap();
    let mut machine = self::machine(3, 1, Scenario::default(), NOON);
    let short = machine.sample(NOON, TOP).processes.unwrap();
    assert!(!short.is_complete() && short.iter().len() <= 40);
    assert_eq!(short.totals(), whole.totals());
    let busiest = whole
        .iter()
        .max_by(|left, right| left.cpu_percent.unwrap().total_cmp(&right.cpu_percent.unwrap()));
    assert!(short.get(busiest.unwrap().key).is_some());
}

#[test]
fn nothing_is_measured_of_processes_when_nobody_wants_them() {
    let plan = Plan {
        burst_interval_ms: 0,
        processes: ProcessDetail::None,
        ..ALL
    };
    let mut machine = machine(1, 1, Scenario::default(), NOON);
    let sample = machine.sample(NOON, plan);
    assert!(sample.processes.is_none());
    let key = SeriesKey::plain(sysmon_core::MetricId::Processes);
    let number = sample
        .announced
        .iter()
        .find(|series| *series.key == key)
        .unwrap()
        .number;
    assert!(sample.values.iter().all(|(known, _)| *known != number));
}
