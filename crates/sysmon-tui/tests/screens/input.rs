//! Keys, mouse, and what the client asks of the aggregator.

use sysmon_api::wire;
use sysmon_tui::{Effect, Event, Key, KeyCode, LinkEvent, Mouse, MouseAction};

use crate::world::{FLEET, NOW, World, fleet_snapshot};

fn fleet() -> World {
    let mut world = World::new((80, 24));
    world.connected().update(fleet_snapshot(&FLEET));
    world
}

fn subscriptions(world: &World) -> Vec<u32> {
    let subscribe = |effect: &Effect| match effect {
        Effect::Send(wire::command::Body::Subscribe(subscribe)) => Some(subscribe.subscription),
        _ => None,
    };
    world.effects.iter().filter_map(subscribe).collect()
}

fn click(world: &mut World, needle: &str) {
    let screen = world.screen();
    let (row, line) = screen
        .lines()
        .enumerate()
        .find(|(_, line)| line.contains(needle))
        .unwrap();
    let column = sysmon_core::display_width(&line[..line.find(needle).unwrap()]);
    let mouse = Mouse {
        action: MouseAction::Press,
        column: u16::try_from(column).unwrap(),
        row: u16::try_from(row).unwrap(),
    };
    world.event(Event::Mouse(mouse));
}

#[test]
fn a_click_selects_a_second_one_opens_and_a_heading_sorts() {
    let mut world = fleet();
    click(&mut world, "db-002");
    assert_eq!(subscriptions(&world), [] as [u32; 0]);
    click(&mut world, "db-002");
    assert_eq!(subscriptions(&world), [2]);
    let mut world = fleet();
    click(&mut world, "MEM");
    let screen = world.screen();
    assert!(
        screen.find("db-002").unwrap() < screen.find("web-017").unwrap(),
        "{screen}"
    );
}

#[test]
fn the_wheel_moves_the_cursor() {
    let mut world = fleet();
    world.event(Event::Mouse(Mouse {
        action: MouseAction::WheelDown,
        column: 5,
        row: 5,
    }));
    world.key(KeyCode::Enter);
    assert_eq!(subscriptions(&world), [2]);
}

#[test]
fn q_quits_but_is_a_letter_while_typing_and_control_c_always_quits() {
    let mut world = fleet();
    world.keys("/q");
    assert!(world.effects.is_empty());
    world.event(Event::Key(Key::control('c')));
    assert_eq!(world.effects, [Effect::Quit]);
    let mut world = fleet();
    world.keys("q");
    assert_eq!(world.effects, [Effect::Quit]);
}

#[test]
fn every_update_is_acknowledged_and_a_gap_asks_for_a_snapshot() {
    let mut world = fleet();
    let received = wire::UpdateReceived {
        subscription: 1,
        number: 1,
    };
    assert_eq!(
        world.effects,
        [Effect::Send(wire::command::Body::UpdateReceived(received))]
    );
    let gap = wire::MachineUpdate {
        machine: 1,
        sequence: 200,
        follows_sequence: 199,
        ..Default::default()
    };
    world.update(wire::Update {
        subscription: 1,
        number: 2,
        now_unix_ms: NOW,
        machines: vec![gap],
        ..Default::default()
    });
    assert_eq!(subscriptions(&world), [1]);
}

#[test]
fn after_a_lost_connection_everything_on_screen_is_asked_for_again() {
    let mut world = fleet();
    world.key(KeyCode::Enter);
    world.event(Event::Link(LinkEvent::Failed {
        reason: "gone".into(),
        permanent: false,
    }));
    world.connected();
    assert_eq!(subscriptions(&world), [1, 2]);
}

#[test]
fn two_keys_lead_from_the_fleet_to_a_machine_and_back_to_the_same_row() {
    let mut world = fleet();
    world.keys("jj");
    let before = world.screen();
    world.key(KeyCode::Enter);
    assert_ne!(world.screen(), before);
    world.key(KeyCode::Escape);
    assert_eq!(world.screen(), before);
}

#[test]
fn a_machine_that_is_gone_cannot_be_opened() {
    let mut world = fleet();
    world.update(fleet_snapshot(&[])).key(KeyCode::Enter);
    assert_eq!(subscriptions(&world), [] as [u32; 0]);
}

#[test]
fn nothing_is_drawn_when_nothing_changed() {
    let mut world = fleet();
    assert!(world.state.take_dirty());
    world.at(NOW + 10);
    assert!(!world.state.take_dirty(), "the same second shows the same");
    world.at(NOW + 1_000);
    assert!(world.state.take_dirty(), "the clock goes on");
}
