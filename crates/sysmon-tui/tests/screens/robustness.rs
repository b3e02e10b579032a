//! No size, no key and no message may break the client.

use proptest::prelude::*;
use sysmon_api::wire;
use sysmon_tui::{Event, Key, KeyCode, LinkEvent, Mouse, MouseAction};

use crate::world::{FLEET, World, fleet_snapshot};

fn any_key() -> impl Strategy<Value = Event> {
    let codes = prop_oneof![
        4 => prop::char::range(' ', '~').prop_map(KeyCode::Char),
        1 => any::<char>().prop_map(KeyCode::Char),
        3 => prop::sample::select(vec![
            KeyCode::Enter, KeyCode::Escape, KeyCode::Up, KeyCode::Down, KeyCode::PageDown, KeyCode::PageUp, KeyCode::Home,
            KeyCode::End, KeyCode::Tab, KeyCode::BackTab, KeyCode::Backspace, KeyCode::Delete, KeyCode::Left, KeyCode::Right,
        ]),
    ];
    (codes, any::<bool>()).prop_map(|(code, control)| Event::Key(Key { code, control }))
}

fn any_update() -> impl Strategy<Value = Event> {
    let machine = (
        0u32..9,
        any::<bool>(),
        any::<bool>(),
        any::<i32>(),
        any::<u64>(),
        "\\PC{0,9}",
        any::<i64>(),
    );
    let machine =
        machine.prop_map(
            |(machine, replace, left, liveness, sequence, text, at)| wire::MachineUpdate {
                machine,
                replace,
                left,
                liveness,
                health: liveness,
                last_seen_unix_ms: at,
                sequence,
                follows_sequence: 121,
                header: replace.then(|| wire::MachineHeader {
                    machine_id: text.clone(),
                    problem: text,
                    ..Default::default()
                }),
                ticks: vec![wire::Tick {
                    at_unix_ms: at,
                    series_steps: vec![1, 1, 1],
                    values: vec![at, 1, -5],
                }],
                ..Default::default()
            },
        );
    let update = (
        0u32..4,
        any::<bool>(),
        any::<bool>(),
        any::<i64>(),
        prop::collection::vec(machine, 0..4),
    );
    update.prop_map(|(subscription, snapshot, more, now_unix_ms, machines)| {
        let update = wire::Update {
            subscription,
            number: 1,
            snapshot,
            more,
            now_unix_ms,
            machines,
            totals: None,
        };
        Event::Link(LinkEvent::Update(Box::new(update)))
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    let mouse = (0u16..210, 0u16..70, 0u8..3).prop_map(|(column, row, action)| {
        let action = [MouseAction::Press, MouseAction::WheelUp, MouseAction::WheelDown][usize::from(action)];
        Event::Mouse(Mouse { action, column, row })
    });
    let failed = (any::<String>(), any::<bool>())
        .prop_map(|(reason, permanent)| Event::Link(LinkEvent::Failed { reason, permanent }));
    prop_oneof![
        6 => any_key(),
        2 => mouse,
        3 => any_update(),
        1 => failed,
        1 => Just(Event::Link(LinkEvent::Connected)),
        1 => any::<i64>().prop_map(|now| Event::Tick { now: sysmon_core::UnixMillis(now), utc_offset_seconds: 3_600 }),
        1 => (0u16..400, 0u16..120).prop_map(|(width, height)| Event::Resize { width, height }),
        1 => any::<String>().prop_map(Event::Paste),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn no_sequence_of_events_at_any_size_panics(
        width in 1u16..400, height in 1u16..120, events in prop::collection::vec(any_event(), 1..40), ascii in any::<bool>(),
    ) {
        let mut world = World::new((width, height));
        world.connected().update(fleet_snapshot(&FLEET));
        let mut world = if ascii { world.ascii() } else { world };
        for event in events {
            world.event(event);
            world.screen();
        }
    }
}

#[test]
fn every_small_size_is_drawn() {
    for width in (1..32).chain((32..130).step_by(9)) {
        for height in (1..13).chain([15, 18, 23, 24, 33]) {
            let mut world = World::new((width, height));
            world.connected().update(fleet_snapshot(&FLEET));
            world.screen();
            world.key(KeyCode::Enter);
            world.screen();
            world.keys("?");
            world.screen();
        }
    }
}
