//! Whatever happens, a client that has read everything has what the fleet has.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use sysmon_core::{Process, ProcessDelta, ProcessKey, ProcessState, ProcessTable};

#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// A machine reports some of its series.
    Tick {
        machine: usize,
        values: Vec<(u32, i64)>,
    },
    /// A machine announces a series.
    Announce {
        machine: usize,
        series: u32,
    },
    Retire {
        machine: usize,
        series: u32,
    },
    Processes {
        machine: usize,
        pids: Vec<(u32, u8)>,
        replace: bool,
    },
    Heartbeat {
        machine: usize,
    },
    /// A machine's collector starts anew, with other numbers for its series.
    Reconnect {
        machine: usize,
        shift: u32,
    },
    Relabel {
        machine: usize,
        label: &'static str,
    },
    Wait(u64),
    /// The server may send.
    Flush,
    /// The client acknowledges what it has.
    Acknowledge,
}

pub(super) fn happening() -> impl Strategy<Value = Happening> {
    let machine = 0usize..3;
    let values = prop::collection::btree_map(0u32..6, -50i64..50, 0..6);
    let pids = prop::collection::btree_map(0u32..8, 0u8..3, 0..6);
    prop_oneof![
        8 => (machine.clone(), values).prop_map(|(machine, values)| Happening::Tick { machine, values: values.into_iter().collect() }),
        2 => (machine.clone(), 0u32..6).prop_map(|(machine, series)| Happening::Announce { machine, series }),
        1 => (machine.clone(), 0u32..6).prop_map(|(machine, series)| Happening::Retire { machine, series }),
        2 => (machine.clone(), pids, any::<bool>()).prop_map(|(machine, pids, replace)| Happening::Processes {
            machine, pids: pids.into_iter().collect(), replace
        }),
        1 => machine.clone().prop_map(|machine| Happening::Heartbeat { machine }),
        1 => (machine.clone(), 0u32..4).prop_map(|(machine, shift)| Happening::Reconnect { machine, shift }),
        1 => (machine, prop::sample::select(&["web", "db"][..])).prop_map(|(machine, label)| Happening::Relabel { machine, label }),
        4 => prop_oneof![1u64..500, 500u64..6_000].prop_map(Happening::Wait),
        6 => Just(Happening::Flush),
        4 => Just(Happening::Acknowledge),
    ]
}

fn key(series: u32) -> SeriesKey {
    match series {
        0 => SeriesKey::plain(MetricId::CpuBusy),
        1 => SeriesKey::plain(MetricId::MemoryUsedPercent),
        other => SeriesKey::of(MetricId::MountUsedPercent, &other.to_string()),
    }
}

fn process(pid: u32, cpu: u8) -> wire::Process {
    let known = ProcessTable::default();
    let delta = ProcessDelta {
        changed: vec![Process {
            key: ProcessKey { pid, start_ms: 1 },
            parent_pid: 0,
            user: "ana".into(),
            name: "java".into(),
            command: format!("java -{pid}").into(),
            state: ProcessState::Running,
            cpu_percent: Some(cpu.into()),
            memory_bytes: u64::from(pid) * 1_000,
            threads: 1,
            read_bytes_per_second: None,
            write_bytes_per_second: None,
        }],
        ..ProcessDelta::default()
    };
    sysmon_api::processes_to_wire(&delta, &known).changed.remove(0)
}

/// The scene: three machines, their streams, and how the stream numbers of each are shifted.
pub(super) struct Scene {
    pub(super) lab: Lab,
    streams: Vec<(StreamId, u32)>,
}

impl Scene {
    pub(super) fn new() -> Self {
        let mut lab = Lab::new(Config {
            window_ms: 12_000,
            ..Config::default()
        });
        let streams = (0..3)
            .map(|machine| (lab.open(&format!("m{machine}"), 1).unwrap().stream, 0))
            .collect();
        Self { lab, streams }
    }

    fn batch(&mut self, machine: usize, batch: Batch) {
        self.lab.fleet.batch(self.streams[machine].0, batch, self.lab.now);
    }

    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Tick { machine, values } => {
                let shift = self.streams[machine].1;
                let values = values
                    .into_iter()
                    .map(|(series, value)| (series + shift, value))
                    .collect();
                let tick = Some((self.lab.now.unix, values));
                self.batch(
                    machine,
                    Batch {
                        tick,
                        ..Batch::default()
                    },
                );
            }
            Happening::Announce { machine, series } => {
                let shift = self.streams[machine].1;
                let announced = vec![(series + shift, key(series), 1)];
                self.batch(
                    machine,
                    Batch {
                        announced,
                        ..Batch::default()
                    },
                );
            }
            Happening::Retire { machine, series } => {
                let retired = vec![series + self.streams[machine].1];
                self.batch(
                    machine,
                    Batch {
                        retired,
                        ..Batch::default()
                    },
                );
            }
            Happening::Processes {
                machine,
                pids,
                replace,
            } => {
                let removed = pids.iter().take(1).map(|(pid, _)| wire::ProcessKey {
                    pid: pid + 1,
                    start_ms: 1,
                });
                let processes = Some(wire::ProcessUpdate {
                    replace,
                    complete: true,
                    removed: removed.collect(),
                    changed: pids.iter().map(|(pid, cpu)| process(*pid, *cpu)).collect(),
                    process_count: pids.len() as u32,
                    ..wire::ProcessUpdate::default()
                });
                self.batch(
                    machine,
                    Batch {
                        processes,
                        ..Batch::default()
                    },
                );
            }
            Happening::Heartbeat { machine } => {
                self.lab.fleet.heartbeat(self.streams[machine].0, self.lab.now);
            }
            Happening::Reconnect { machine, shift } => {
                let opened = self.lab.open(&format!("m{machine}"), 1).unwrap();
                self.streams[machine] = (opened.stream, shift);
            }
            Happening::Relabel { machine, label } => {
                let host = Some(host(&format!("m{machine}"), &[("role", label)]));
                self.batch(
                    machine,
                    Batch {
                        host,
                        ..Batch::default()
                    },
                );
            }
            Happening::Wait(ms) => self.lab.wait(ms),
            Happening::Flush | Happening::Acknowledge => {}
        }
    }
}

/// What can be compared of a machine: series with their newest value and points by time, within what is kept.
type Picture = BTreeMap<String, (Option<i64>, Vec<(i64, i64)>)>;

fn picture(recent: &sysmon_core::Recent, since: UnixMillis) -> Picture {
    let tenths = |value: f64| (value * 10.0).round() as i64;
    recent
        .series()
        .map(|(_, series)| {
            let points = recent.points(series, 0);
            let points = points
                .filter(|(at, _)| *at >= since)
                .filter_map(|(at, value)| Some((at.0, tenths(value?))));
            (
                series.key.to_string(),
                (series.current().map(tenths), points.collect()),
            )
        })
        .collect()
}

fn check(
    scene: &Scene,
    follower: &Follower,
    wanted: impl Fn(&str, &str) -> bool,
) -> Result<(), TestCaseError> {
    let fleet = &scene.lab.fleet;
    let mut expected = 0;
    for machine in &fleet.machines {
        let role = machine.host.labels.first().map_or("", |(_, value)| value);
        let Some(copy) = follower.replica.find(machine.id.as_str()) else {
            prop_assert!(!wanted("", role), "{} is missing", machine.id);
            continue;
        };
        expected += usize::from(wanted("", role));
        prop_assert_eq!((copy.liveness, copy.health), (machine.liveness, machine.health));
        prop_assert_eq!(&copy.host, &machine.host);
        prop_assert!(machine.last_seen.since_ms(copy.last_seen) < 5_000);
        let since = machine.recent.times().front().copied().unwrap_or_default();
        let mut own = picture(&machine.recent, since);
        own.retain(|name, _| wanted(name, role));
        prop_assert_eq!(picture(&copy.recent, since), own);
        if follower.subscribe.processes() == wire::ProcessDetail::All {
            let own = machine.processes.as_deref().cloned().unwrap_or_default();
            prop_assert_eq!(&copy.processes, &own);
        } else {
            prop_assert_eq!(copy.processes.iter().len(), 0);
        }
    }
    prop_assert_eq!(follower.replica.machines().len(), expected);
    prop_assert_eq!(*follower.replica.totals(), fleet.totals.counts());
    let live = fleet
        .machines
        .iter()
        .filter(|machine| machine.liveness == sysmon_core::Liveness::Live)
        .count();
    prop_assert_eq!(fleet.totals.counts().live as usize, live);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_client_that_has_read_everything_has_what_the_fleet_has(
        happenings in prop::collection::vec(happening(), 1..120),
    ) {
        let mut scene = Scene::new();
        let mut all = Follower::new(&mut scene.lab, everything());
        let mut web = Follower::new(&mut scene.lab, wire::Subscribe {
            filter: "role=web".into(),
            metrics: vec!["cpu.busy_percent".into(), "mount.used_percent".into()],
            history_ms: 300_000,
            period_ms: 700,
            ..wire::Subscribe::default()
        });
        for happening in happenings {
            match happening {
                Happening::Flush => {
                    let flushed = scene.lab.flush();
                    all.take(flushed.clone());
                    web.take(flushed);
                }
                Happening::Acknowledge => {
                    all.acknowledge(&mut scene.lab);
                    web.acknowledge(&mut scene.lab);
                }
                other => scene.happen(other),
            }
        }
        for _ in 0..2 {
            // Both in turn, because time passes while the other one reads.
            scene.lab.wait(701);
            let flushed = scene.lab.flush();
            all.take(flushed.clone());
            web.take(flushed);
            all.acknowledge(&mut scene.lab);
            web.acknowledge(&mut scene.lab);
        }
        check(&scene, &all, |_, _| true)?;
        check(&scene, &web, |series, role| role == "web" && !series.starts_with("memory"))?;
    }
}
