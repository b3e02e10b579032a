//! One panel of a machine over the whole screen.

use sysmon_api::wire;
use sysmon_core::{CATALOGUE, Label, MetricId, SeriesKey};
use sysmon_tui::KeyCode;

use crate::machine_scenes::{opened_on, processes, series};
use crate::world::{FLEET, NOW, World};

const SIZES: [(u16, u16); 2] = [(80, 24), (200, 50)];

fn world_of(size: (u16, u16), series: Vec<(SeriesKey, f64)>) -> World {
    let mut world = World::new(size);
    world.connected();
    opened_on(&mut world);
    let mut machine = FLEET[0].enter(series);
    machine.processes = Some(processes());
    world.update(wire::Update {
        subscription: 2,
        number: 1,
        snapshot: true,
        now_unix_ms: NOW,
        machines: vec![machine],
        ..Default::default()
    });
    world
}

/// A series of every metric that there is, but for one.
fn everything_but(left_out: Option<MetricId>) -> Vec<(SeriesKey, f64)> {
    // Told by the machine's own curves.
    let told = [
        MetricId::CpuBusy,
        MetricId::MemoryUsedPercent,
        MetricId::MountWorstPercent,
        MetricId::NetworkReceiveTotal,
        MetricId::NetworkTransmitTotal,
        MetricId::Load1,
    ];
    let all = CATALOGUE
        .iter()
        .filter(|definition| Some(definition.id) != left_out && !told.contains(&definition.id));
    all.map(|definition| {
        let labels = definition.label.map(|name| Label {
            name: name.into(),
            value: "7".into(),
        });
        let key = SeriesKey {
            metric: definition.id.into(),
            labels: labels.into_iter().collect(),
        };
        (key, 1.0)
    })
    .collect()
}

/// The panels, one after the other, each over the whole screen.
fn every_panel(world: &mut World) -> impl Iterator<Item = String> + '_ {
    world.keys("f");
    (0..11).map(|_| {
        world.key(KeyCode::Tab);
        world.screen()
    })
}

#[test]
fn every_metric_that_is_collected_appears_in_some_panel() {
    let size = (200, 60);
    let whole: Vec<String> = every_panel(&mut world_of(size, everything_but(None))).collect();
    assert!(
        whole.iter().any(|screen| screen.contains("CONTAINER")),
        "{}",
        whole[0]
    );
    for definition in CATALOGUE {
        // These are the charts' own, and what leaves them out leaves out their lines.
        let of_charts = [MetricId::CpuBusy, MetricId::MemoryUsedPercent];
        let by_curves = [
            (MetricId::MountWorstPercent, "the fullest"),
            (MetricId::NetworkReceiveTotal, "received in all"),
            (MetricId::NetworkTransmitTotal, "sent in all"),
            (MetricId::Load1, "load 1 min"),
        ];
        if of_charts.contains(&definition.id) {
            continue;
        }
        if let Some((_, name)) = by_curves.iter().find(|(metric, _)| *metric == definition.id) {
            assert!(whole.iter().any(|screen| screen.contains(name)), "{name}");
            continue;
        }
        let mut without = world_of(size, everything_but(Some(definition.id)));
        let is_missed = every_panel(&mut without)
            .zip(&whole)
            .any(|(without, with)| without != *with);
        assert!(is_missed, "{} has no place", definition.name);
    }
}

#[test]
fn a_panel_fills_the_screen_with_all_it_has() {
    let names = [
        "processes",
        "cpu",
        "memory",
        "network",
        "disks",
        "mounts",
        "pressure",
        "units",
        "sensors",
    ];
    for (width, height) in SIZES {
        for (count, name) in names.iter().enumerate() {
            let mut world = world_of((width, height), series());
            world.keys("f");
            // From the processes over the collector, which this one tells nothing of, to the first.
            for _ in 0..count {
                world.key(KeyCode::Tab);
            }
            insta::assert_snapshot!(format!("panel_{name}_{width}x{height}"), world.screen());
        }
    }
}

#[test]
fn panels_in_ascii() {
    for (panels, name) in [(1, "cpu"), (3, "network")] {
        let mut world = world_of((80, 24), series()).ascii();
        world.keys("f");
        for _ in 0..panels {
            world.key(KeyCode::Tab);
        }
        let screen = world.screen();
        assert!(screen.is_ascii(), "{screen}");
        insta::assert_snapshot!(format!("panel_ascii_{name}"), screen);
    }
}

#[test]
fn containers_and_the_collector_have_their_tables() {
    let mut all = everything_but(None);
    for (name, cpu, running) in [("web", 140.0, 1.0), ("cache", 3.0, 1.0), ("old", 0.0, 0.0)] {
        all.push((SeriesKey::of(MetricId::ContainerCpu, name), cpu));
        all.push((SeriesKey::of(MetricId::ContainerRunning, name), running));
        all.push((SeriesKey::of(MetricId::ContainerMemory, name), 3e8));
    }
    let mut world = world_of((80, 24), all);
    world.keys("f").key(KeyCode::Tab);
    insta::assert_snapshot!("panel_collector", world.screen());
    world.key(KeyCode::BackTab).key(KeyCode::BackTab);
    insta::assert_snapshot!("panel_containers", world.screen());
}

#[test]
fn many_cores_are_a_strip_of_one_cell_each() {
    let cores = |count: u32| {
        (0..count)
            .map(|core| {
                let busy = f64::from(core * 37 % 101);
                (SeriesKey::of(MetricId::CpuCoreBusy, &core.to_string()), busy)
            })
            .collect::<Vec<_>>()
    };
    for (width, height) in SIZES {
        let mut world = world_of((width, height), cores(256));
        world.keys("f").key(KeyCode::Tab);
        insta::assert_snapshot!(format!("panel_256_cores_{width}x{height}"), world.screen());
    }
    let mut world = world_of((80, 24), cores(256)).ascii();
    world.keys("f").key(KeyCode::Tab);
    insta::assert_snapshot!("panel_256_cores_ascii", world.screen());
    world.keys("G");
    assert!(
        world.screen().contains("users") || world.screen().contains(" 255 "),
        "{}",
        world.screen()
    );
}

#[test]
fn the_focus_is_marked_goes_round_and_escape_leads_back_from_a_panel() {
    let mut world = world_of((80, 24), series());
    assert!(world.screen().contains("▸    PID"), "{}", world.screen());
    world.key(KeyCode::Tab);
    assert!(world.screen().contains("▸CPU"), "{}", world.screen());
    world.key(KeyCode::BackTab).key(KeyCode::BackTab);
    insta::assert_snapshot!("panel_focus", world.screen());
    // Enter opens what has the focus.
    world.key(KeyCode::Enter);
    assert!(!world.screen().contains("COMMAND"), "{}", world.screen());
    world.key(KeyCode::Escape);
    assert!(world.screen().contains("COMMAND"), "{}", world.screen());
    world.keys("f").key(KeyCode::Escape);
    // Whoever moves the cursor among the processes looks at them.
    world.key(KeyCode::Down);
    assert!(world.screen().contains("▸    PID"), "{}", world.screen());
    world.key(KeyCode::Escape).key(KeyCode::Escape);
    assert!(world.screen().contains("web-004"), "the fleet is back");
}

#[test]
fn more_rows_than_fit_scroll_under_their_headings() {
    let mounts = (0..60).map(|mount| {
        let key = SeriesKey::of(MetricId::MountUsedPercent, &format!("/srv/{mount}"));
        (key, 50.0)
    });
    let mut world = world_of((80, 24), mounts.collect());
    world.keys("f");
    for _ in 0..4 {
        world.key(KeyCode::Tab);
    }
    let top = world.screen();
    assert!(
        top.contains("/srv/0 ") && top.contains("line 1 to 20 of"),
        "{top}"
    );
    world.keys("G");
    let bottom = world.screen();
    assert!(
        bottom.contains("/srv/59 ") && bottom.contains("MOUNT "),
        "{bottom}"
    );
    world.keys("gg");
    assert_eq!(world.screen(), top);
}
