//! From a key or a message to the frame, with ten thousand machines.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use sysmon_api::{series_to_wire, tick_to_wire, wire};
use sysmon_core::{MetricId, SeriesKey, UnixMillis, to_scaled};
use sysmon_tui::{ColourDepth, Event, Key, KeyCode, LinkEvent, State, Theme, render, update};

const MACHINES: u32 = 10_000;
const NOW: i64 = 1_795_442_732_000;
/// What the fleet's table shows.
const METRICS: [MetricId; 6] = [
    MetricId::CpuBusy,
    MetricId::MemoryUsedPercent,
    MetricId::MountWorstPercent,
    MetricId::NetworkReceiveTotal,
    MetricId::NetworkTransmitTotal,
    MetricId::Load1,
];

fn values(number: u32, second: u32) -> Vec<(u32, i64)> {
    let value = |index: u32| {
        let noise = number
            .wrapping_mul(7_919)
            .wrapping_add(second.wrapping_mul(index * 131))
            % 1_000;
        let decimals = METRICS[index as usize - 1].definition().decimals;
        to_scaled(f64::from(noise) / 10.0, decimals).unwrap_or(0)
    };
    (1..=6).map(|index| (index, value(index))).collect()
}

fn machine(number: u32) -> wire::MachineUpdate {
    let roles = ["web", "db", "cache", "batch", "edge"];
    let role = roles[number as usize % roles.len()];
    let health = match number % 200 {
        0 => wire::HealthStatus::Critical,
        1..4 => wire::HealthStatus::Warning,
        _ => wire::HealthStatus::Healthy,
    };
    let ticks = (0..120).map(|second| {
        let at = UnixMillis(NOW - 120_000 + i64::from(second) * 1_000);
        tick_to_wire(at, &values(number, second))
    });
    wire::MachineUpdate {
        machine: number,
        header: Some(wire::MachineHeader {
            machine_id: format!("{role}-{number:05}"),
            host: Some(wire::HostInfo {
                hostname: format!("{role}-{number:05}"),
                labels: [("role".to_owned(), role.to_owned())].into(),
                cpu_count: 16,
                ..Default::default()
            }),
            interval_ms: 1_000,
            ..Default::default()
        }),
        replace: true,
        liveness: wire::Liveness::Live.into(),
        health: health.into(),
        last_seen_unix_ms: NOW,
        announced: (1u32..)
            .zip(METRICS)
            .map(|(index, metric)| {
                series_to_wire(index, &SeriesKey::plain(metric), metric.definition().decimals)
            })
            .collect(),
        ticks: ticks.collect(),
        sequence: 120,
        ..Default::default()
    }
}

fn snapshot() -> wire::Update {
    wire::Update {
        subscription: 1,
        number: 1,
        snapshot: true,
        now_unix_ms: NOW,
        machines: (0..MACHINES).map(machine).collect(),
        totals: Some(wire::FleetTotals {
            live: MACHINES,
            healthy: MACHINES,
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A second of a tenth of the fleet: what comes in one message of many.
fn second(second: u32, first: u32) -> wire::Update {
    let machines = (first..first + MACHINES / 10).map(|number| wire::MachineUpdate {
        machine: number,
        liveness: wire::Liveness::Live.into(),
        health: wire::HealthStatus::Healthy.into(),
        last_seen_unix_ms: NOW,
        ticks: vec![tick_to_wire(
            UnixMillis(NOW + i64::from(second) * 1_000),
            &values(number, second),
        )],
        sequence: 120 + u64::from(second),
        follows_sequence: 119 + u64::from(second),
        ..Default::default()
    });
    wire::Update {
        subscription: 1,
        number: 1 + u64::from(second),
        now_unix_ms: NOW + i64::from(second) * 1_000,
        machines: machines.collect(),
        ..Default::default()
    }
}

struct Console {
    state: State,
    theme: Theme,
    terminal: Terminal<TestBackend>,
}

impl Console {
    fn new(width: u16, height: u16) -> Self {
        let mut console = Self {
            state: State::new("bench", None).drawing_half_cells(true),
            theme: Theme::load("", &[], ColourDepth::True).expect("the built-in theme is sound"),
            terminal: Terminal::new(TestBackend::new(width, height)).expect("a buffer has no device to fail"),
        };
        console.event(Event::Tick {
            now: UnixMillis(NOW),
            utc_offset_seconds: 0,
        });
        console.event(Event::Resize { width, height });
        let capabilities = Vec::new();
        console.event(Event::Link(LinkEvent::Connected { capabilities }));
        console.event(Event::Link(LinkEvent::Update(Box::new(snapshot()))));
        console
    }

    fn event(&mut self, event: Event) {
        black_box(update(&mut self.state, event));
    }

    fn draw(&mut self) {
        let (state, theme) = (&self.state, &self.theme);
        self.terminal
            .draw(|frame| render(state, theme, frame))
            .expect("a buffer has no device to fail");
    }

    fn keys(&mut self, keys: &str) {
        for key in keys.chars() {
            self.event(Event::Key(Key::char(key)));
        }
    }
}

fn keys(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fleet_10000");
    group.sample_size(50);
    let mut console = Console::new(200, 50);
    console.draw();
    group.bench_function("down", |bencher| {
        bencher.iter(|| {
            console.keys("j");
            console.draw();
        });
    });
    group.bench_function("page_down", |bencher| {
        bencher.iter(|| {
            console.event(Event::Key(Key::plain(KeyCode::PageDown)));
            console.draw();
        });
    });
    group.bench_function("sort", |bencher| {
        bencher.iter(|| {
            console.keys("smsw");
            console.draw();
        });
    });
    group.bench_function("type_a_filter", |bencher| {
        console.keys("/cpu > 5 and role = we");
        bencher.iter(|| {
            console.keys("b");
            console.draw();
            console.event(Event::Key(Key::plain(KeyCode::Backspace)));
        });
        console.event(Event::Key(Key::plain(KeyCode::Escape)));
    });
    group.bench_function("group", |bencher| {
        bencher.iter(|| {
            console.keys("bb");
            console.draw();
        });
    });
    group.bench_function("heat_map_right", |bencher| {
        console.keys("v");
        bencher.iter(|| {
            console.keys("l");
            console.draw();
        });
        console.keys("v");
    });
    group.finish();
}

fn data(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fleet_10000");
    group.sample_size(20);
    let mut console = Console::new(200, 50);
    console.draw();
    let mut step = 0;
    group.bench_function("a_second_of_a_thousand_machines", |bencher| {
        bencher.iter_batched(
            || {
                step += 1;
                second(1 + step / 10, step % 10 * (MACHINES / 10))
            },
            |message| {
                console.event(Event::Tick {
                    now: UnixMillis(message.now_unix_ms),
                    utc_offset_seconds: 0,
                });
                console.event(Event::Link(LinkEvent::Update(Box::new(message))));
                console.draw();
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, keys, data);
criterion_main!(benches);
