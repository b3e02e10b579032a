//! A small made-up fleet, told to the client in the aggregator's own messages.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use sysmon_api::{health_to_wire, liveness_to_wire, series_to_wire, tick_to_wire, wire};
use sysmon_core::{Health, Liveness, MetricId, SeriesKey, UnixMillis, series, to_scaled};
use sysmon_tui::{ColourDepth, Effect, Event, Glyphs, Key, KeyCode, LinkEvent, State, Theme, render, update};

pub(crate) const NOW: i64 = 1_795_442_732_000;
pub(crate) const SIZES: [(u16, u16); 3] = [(40, 10), (80, 24), (200, 60)];

/// The client under test.
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) effects: Vec<Effect>,
    /// Every question for the past so far.
    pub(crate) asked: Vec<Effect>,
    theme: Theme,
    size: (u16, u16),
}

impl World {
    /// A client that has just started.
    pub(crate) fn new(size: (u16, u16)) -> Self {
        let mut world = Self {
            state: State::new("prod", None),
            effects: Vec::new(),
            asked: Vec::new(),
            theme: Theme::load("", &[], ColourDepth::True).unwrap(),
            size,
        };
        world.event(Event::Resize {
            width: size.0,
            height: size.1,
        });
        world.at(NOW);
        world
    }

    pub(crate) fn ascii(mut self) -> Self {
        self.theme = Theme::load("", &[], ColourDepth::None)
            .unwrap()
            .with_glyphs(Glyphs::Ascii);
        self
    }

    pub(crate) fn with_keymap(mut self, keymap: sysmon_tui::Keymap) -> Self {
        self.state = self.state.with_keymap(keymap);
        self
    }

    pub(crate) fn with_themes(mut self, themes: &[&str]) -> Self {
        let themes: Vec<String> = themes.iter().map(|name| (*name).to_owned()).collect();
        self.state = self.state.with_choices("dark", themes, Vec::new());
        self
    }

    pub(crate) fn readonly(mut self) -> Self {
        self.state = self.state.readonly(true);
        self
    }

    pub(crate) fn local(mut self) -> Self {
        self.state = self.state.opening_only_machine();
        self
    }

    pub(crate) fn event(&mut self, event: Event) -> &mut Self {
        self.effects = update(&mut self.state, event);
        let asked = self
            .effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Ask { .. }));
        self.asked.extend(asked.cloned());
        self
    }

    pub(crate) fn at(&mut self, now: i64) -> &mut Self {
        self.event(Event::Tick {
            now: UnixMillis(now),
            utc_offset_seconds: 0,
        })
    }

    pub(crate) fn connected(&mut self) -> &mut Self {
        self.connected_with(&[])
    }

    pub(crate) fn connected_with(&mut self, capabilities: &[&str]) -> &mut Self {
        let capabilities = capabilities.iter().map(|word| (*word).to_owned()).collect();
        self.event(Event::Link(LinkEvent::Connected { capabilities }))
    }

    pub(crate) fn failed(&mut self, reason: &str, permanent: bool) -> &mut Self {
        self.event(Event::Link(LinkEvent::Failed {
            reason: reason.into(),
            permanent,
        }))
    }

    pub(crate) fn update(&mut self, update: wire::Update) -> &mut Self {
        self.event(Event::Link(LinkEvent::Update(Box::new(update))))
    }

    /// Time goes by in which the aggregator goes on telling, if only what is asked for no longer.
    pub(crate) fn told_at(&mut self, now: i64) -> &mut Self {
        self.at(now).update(wire::Update {
            subscription: 9,
            now_unix_ms: now,
            ..Default::default()
        })
    }

    pub(crate) fn keys(&mut self, keys: &str) -> &mut Self {
        for key in keys.chars() {
            self.event(Event::Key(Key::char(key)));
        }
        self
    }

    pub(crate) fn key(&mut self, code: KeyCode) -> &mut Self {
        self.event(Event::Key(Key::plain(code)))
    }

    /// The newest command that was sent under a number of the state's own, with that number.
    pub(crate) fn last_asked(&self) -> (u64, wire::command::Body) {
        match self.asked.last() {
            Some(Effect::Ask { request_id, body }) => (*request_id, body.clone()),
            other => panic!("{other:?}"),
        }
    }

    /// The screen as text, one line per row.
    pub(crate) fn screen(&self) -> String {
        let mut terminal = Terminal::new(TestBackend::new(self.size.0, self.size.1)).unwrap();
        terminal
            .draw(|frame| render(&self.state, &self.theme, frame))
            .unwrap();
        text_of(terminal.backend().buffer())
    }
}

/// What is drawn as text, one line per row.
pub(crate) fn text_of(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let mut skip = 0;
        let mut line = String::new();
        for x in 0..buffer.area.width {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let symbol = buffer[(x, y)].symbol();
            skip = sysmon_core::display_width(symbol).saturating_sub(1);
            line.push_str(symbol);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// One machine with two minutes of a past.
pub(crate) struct Made {
    pub(crate) number: u32,
    pub(crate) id: &'static str,
    pub(crate) liveness: Liveness,
    pub(crate) health: Health,
    pub(crate) silence_ms: i64,
    pub(crate) cpu: [f64; 2],
    pub(crate) memory: f64,
    pub(crate) disk: f64,
}

impl Made {
    pub(crate) const fn new(number: u32, id: &'static str, cpu: [f64; 2], memory: f64, disk: f64) -> Self {
        Self {
            number,
            id,
            liveness: Liveness::Live,
            health: Health::Healthy,
            silence_ms: 300,
            cpu,
            memory,
            disk,
        }
    }

    pub(crate) const fn health(mut self, health: Health) -> Self {
        self.health = health;
        self
    }

    pub(crate) const fn silent(mut self, liveness: Liveness, silence_ms: i64) -> Self {
        self.liveness = liveness;
        self.silence_ms = silence_ms;
        self
    }

    /// The machine as it enters a subscription.
    pub(crate) fn enter(&self, extra: Vec<(SeriesKey, f64)>) -> wire::MachineUpdate {
        let base = [
            (MetricId::MountWorstPercent, self.disk),
            (
                MetricId::NetworkReceiveTotal,
                12_400_000.0 / f64::from(self.number),
            ),
            (
                MetricId::NetworkTransmitTotal,
                3_100_000.0 / f64::from(self.number),
            ),
            (MetricId::Load1, self.cpu[1] / 25.0),
        ];
        let mut values: Vec<(SeriesKey, f64)> = base
            .map(|(metric, value)| (SeriesKey::plain(metric), value))
            .into();
        let core = |(key, _): &&(SeriesKey, f64)| key.id() == Some(MetricId::CpuCoreBusy);
        let cores = extra.iter().filter(core).count();
        values.extend(extra);
        let curve = |number: u32, metric: MetricId, from: f64, to: f64| {
            let mut before = 0;
            let codes = (0..120).map(|index| {
                let share = f64::from(index) / 119.0;
                let wave = (f64::from(index) / 7.0).sin() * 4.0;
                let value = (from + (to - from) * share * share + wave * (1.0 - share)).clamp(0.0, 100.0);
                let scaled = to_scaled(value, 1).unwrap();
                let code = series::code(before, scaled);
                before = scaled;
                code
            });
            (
                series_to_wire(number, &SeriesKey::plain(metric), 1),
                wire::SeriesHistory {
                    series: number,
                    codes: codes.collect(),
                },
            )
        };
        let (cpu, cpu_past) = curve(1, MetricId::CpuBusy, self.cpu[0], self.cpu[1]);
        let (memory, memory_past) = curve(2, MetricId::MemoryUsedPercent, self.memory * 0.9, self.memory);
        let last = NOW - self.silence_ms;
        let mut steps = vec![1_000; 120];
        steps[0] = last - 120_000;
        let mut announced = vec![cpu, memory];
        let mut tick = Vec::new();
        for (number, (key, value)) in (3u32..).zip(values) {
            let decimals = key.metric.definition().unwrap().decimals;
            announced.push(series_to_wire(number, &key, decimals));
            tick.push((number, to_scaled(value, decimals).unwrap()));
        }
        wire::MachineUpdate {
            machine: self.number,
            header: Some(self.header(if cores > 0 { cores } else { 16 })),
            replace: true,
            liveness: liveness_to_wire(self.liveness),
            health: health_to_wire(self.health),
            last_seen_unix_ms: last,
            announced,
            history: Some(wire::History {
                at_unix_ms_steps: steps,
                series: vec![cpu_past, memory_past],
            }),
            ticks: vec![tick_to_wire(UnixMillis(last), &tick)],
            sequence: 121,
            ..Default::default()
        }
    }

    fn header(&self, cores: usize) -> wire::MachineHeader {
        wire::MachineHeader {
            machine_id: self.id.into(),
            host: Some(wire::HostInfo {
                hostname: self.id.into(),
                os: "Debian GNU/Linux 12 (bookworm)".into(),
                cpu_count: u32::try_from(cores).unwrap(),
                memory_bytes: 64 << 30,
                labels: [("role".to_owned(), self.id.split('-').next().unwrap().to_owned())].into(),
                ..Default::default()
            }),
            interval_ms: 1_000,
            problem: String::new(),
        }
    }
}

pub(crate) const FLEET: [Made; 7] = [
    Made::new(1, "web-017", [30.0, 97.0], 88.0, 91.0).health(Health::Critical),
    Made::new(2, "db-002", [60.0, 71.0], 96.4, 64.0).health(Health::Warning),
    Made::new(3, "web-004", [40.0, 87.3], 41.0, 44.0).health(Health::Warning),
    Made::new(4, "edge-31", [5.0, 4.0], 20.0, 70.0).silent(Liveness::Lost, 360_000),
    Made::new(
        5,
        "batch-node-with-a-name-of-forty-characters",
        [0.0, 0.0],
        3.1,
        12.0,
    ),
    Made::new(6, "web-10", [12.0, 8.0], 30.0, 38.0).silent(Liveness::Stale, 9_000),
    Made::new(7, "web-9", [12.0, 8.0], 30.0, 38.0),
];

/// The first answer to the fleet's subscription.
pub(crate) fn fleet_snapshot(machines: &[Made]) -> wire::Update {
    let count = |liveness: Liveness, health: Option<Health>| {
        let of = |m: &&Made| m.liveness == liveness && health.is_none_or(|health| m.health == health);
        u32::try_from(machines.iter().filter(of).count()).unwrap()
    };
    wire::Update {
        subscription: 1,
        number: 1,
        snapshot: true,
        now_unix_ms: NOW,
        machines: machines.iter().map(|machine| machine.enter(Vec::new())).collect(),
        totals: Some(wire::FleetTotals {
            live: count(Liveness::Live, None),
            stale: count(Liveness::Stale, None),
            lost: count(Liveness::Lost, None),
            healthy: count(Liveness::Live, Some(Health::Healthy)),
            warning: count(Liveness::Live, Some(Health::Warning)),
            critical: count(Liveness::Live, Some(Health::Critical)),
            unknown: 0,
        }),
        ..Default::default()
    }
}

/// A fleet of so many machines, told without a past: `web-0001`, `db-0002`, … the first of them the worst.
pub(crate) fn crowd(count: u32) -> Vec<Made> {
    let roles = ["web", "db", "cache", "batch"];
    (1..=count)
        .map(|number| {
            let role = roles[number as usize % roles.len()];
            let id: &'static str = Box::leak(format!("{role}-{number:04}").into_boxed_str());
            let cpu = f64::from(number * 7919 % 900) / 10.0;
            let made = Made::new(
                number,
                id,
                [cpu, cpu],
                f64::from(number % 83),
                f64::from(number % 71),
            );
            match number {
                1..=3 => made.health(Health::Critical),
                4..=9 => made.health(Health::Warning),
                10 => made.silent(Liveness::Lost, 360_000),
                _ => made,
            }
        })
        .collect()
}
