//! Events as they stand in a recording, without secrets.

use sysmon_api::{Code, wire};
use sysmon_core::UnixMillis;
use wire::recorded_event::Body;
use wire::response::Body as Answer;

use crate::event::{Event, LinkEvent, Mouse, MouseAction};
use crate::key::{Key, KeyCode};

/// Named keys by their number in a recording, from 1; new ones go to the end.
const NAMED: [KeyCode; 15] = [
    KeyCode::Enter,
    KeyCode::Escape,
    KeyCode::Tab,
    KeyCode::BackTab,
    KeyCode::Backspace,
    KeyCode::Delete,
    KeyCode::Up,
    KeyCode::Down,
    KeyCode::Left,
    KeyCode::Right,
    KeyCode::PageUp,
    KeyCode::PageDown,
    KeyCode::Home,
    KeyCode::End,
    KeyCode::Function(1),
];
/// What a mouse does by its number in a recording, from 1.
const ACTIONS: [MouseAction; 3] = [MouseAction::Press, MouseAction::WheelUp, MouseAction::WheelDown];

/// What is recorded of an event beside its time; `None` for what is not: pasted text, which may be anything.
pub(crate) fn to_recorded(event: &Event) -> Option<Body> {
    Some(match event {
        Event::Tick { .. } | Event::Paste(_) => return None,
        // Of this terminal and its files, and nobody else's business.
        Event::Frame(_) | Event::Pace { .. } | Event::Notice(_) | Event::Tab(_) | Event::Escaped(_) => {
            return None;
        }
        // What it is told depends on it.
        Event::Shown(is_shown) => Body::Shown(*is_shown),
        Event::Key(key) => Body::Key(key_to_wire(*key)?),
        Event::Mouse(mouse) => Body::Mouse(wire::RecordedMouse {
            action: number_of(&ACTIONS, &mouse.action)?,
            column: mouse.column.into(),
            row: mouse.row.into(),
        }),
        Event::Resize { width, height } => Body::Size(wire::RecordedSize {
            columns: (*width).into(),
            rows: (*height).into(),
        }),
        Event::Link(event) => link_to_recorded(event),
    })
}

fn link_to_recorded(event: &LinkEvent) -> Body {
    let (request_id, body) = match event {
        LinkEvent::Connected { capabilities } => {
            return Body::Connected(wire::PeerHello {
                capabilities: capabilities.clone(),
                ..wire::PeerHello::default()
            });
        }
        LinkEvent::Failed { reason, permanent } => {
            let code = if *permanent {
                Code::FailedPrecondition
            } else {
                Code::Unavailable
            };
            return Body::Disconnected(wire::Failure {
                code: code as u32,
                message: reason.clone(),
            });
        }
        LinkEvent::Update(update) => (0, Answer::Update(scrubbed(update))),
        LinkEvent::History { request_id, chunk } => (*request_id, Answer::History((**chunk).clone())),
        LinkEvent::Storage(status) => (0, Answer::Storage((**status).clone())),
        LinkEvent::Alerts(board) => (0, Answer::Alerts((**board).clone())),
        LinkEvent::Accepted { request_id } => (*request_id, Answer::Accepted(wire::Accepted {})),
        LinkEvent::Change { request_id, reply } => (*request_id, Answer::Change((**reply).clone())),
        LinkEvent::DryRun { request_id, reply } => (*request_id, Answer::DryRun((**reply).clone())),
        LinkEvent::AlertLog { request_id, log } => (*request_id, Answer::AlertLog((**log).clone())),
        LinkEvent::Silence { request_id, silence } => (*request_id, Answer::Silence((**silence).clone())),
        LinkEvent::ProcessDetails { request_id, details } => {
            let mut details = (**details).clone();
            without_arguments(&mut details.command);
            (*request_id, Answer::ProcessDetails(details))
        }
        LinkEvent::Refused {
            request_id,
            code,
            reason,
        } => {
            let (code, message) = (*code, reason.clone());
            (*request_id, Answer::Failure(wire::Failure { code, message }))
        }
    };
    Body::Response(wire::Response {
        request_id,
        body: Some(body),
    })
}

/// The event of a recording; `None` when only time went on, or a newer release recorded it.
pub(crate) fn from_recorded(body: Body) -> Option<Event> {
    Some(match body {
        Body::Connected(peer) => Event::Link(LinkEvent::Connected {
            capabilities: peer.capabilities,
        }),
        Body::Disconnected(failure) => Event::Link(LinkEvent::Failed {
            permanent: failure.code == Code::FailedPrecondition as u32,
            reason: failure.message,
        }),
        Body::Response(response) => Event::Link(crate::link::event_of(response)?),
        Body::Key(key) => Event::Key(key_from_wire(key)?),
        Body::Mouse(mouse) => Event::Mouse(Mouse {
            action: *named(&ACTIONS, mouse.action)?,
            column: u16::try_from(mouse.column).ok()?,
            row: u16::try_from(mouse.row).ok()?,
        }),
        Body::Size(size) => Event::Resize {
            width: u16::try_from(size.columns).ok()?,
            height: u16::try_from(size.rows).ok()?,
        },
        Body::Shown(is_shown) => Event::Shown(is_shown),
    })
}

/// That it is this time.
pub(crate) fn tick_of(event: &wire::RecordedEvent) -> Event {
    Event::Tick {
        now: UnixMillis(event.at_unix_ms),
        // No place on Earth is further off.
        utc_offset_seconds: event.utc_offset_seconds.clamp(-86_400, 86_400),
    }
}

fn key_to_wire(key: Key) -> Option<wire::RecordedKey> {
    let (character, named) = match key.code {
        KeyCode::Char(character) => (u32::from(character), 0),
        other => (0, number_of(&NAMED, &other)?),
    };
    let control = key.control;
    Some(wire::RecordedKey {
        character,
        named,
        control,
    })
}

fn key_from_wire(key: wire::RecordedKey) -> Option<Key> {
    let code = match key.character {
        0 => *named(&NAMED, key.named)?,
        character => KeyCode::Char(char::from_u32(character).filter(|character| !character.is_control())?),
    };
    let control = key.control;
    Some(Key { code, control })
}

fn number_of<T: PartialEq>(all: &[T], one: &T) -> Option<u32> {
    let index = all.iter().position(|other| other == one)?;
    u32::try_from(index + 1).ok()
}

fn named<T>(all: &[T], number: u32) -> Option<&T> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    all.get(index)
}

/// An update whose command lines tell the program and no arguments: a recording is mailed around.
fn scrubbed(update: &wire::Update) -> wire::Update {
    let mut update = update.clone();
    let processes = update
        .machines
        .iter_mut()
        .filter_map(|machine| machine.processes.as_mut());
    for process in processes.flat_map(|processes| &mut processes.changed) {
        without_arguments(&mut process.command);
    }
    update
}

fn without_arguments(command: &mut String) {
    if let Some(end) = command.find(char::is_whitespace) {
        command.truncate(end);
        command.push_str(" …");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(event: &Event) -> Option<Event> {
        from_recorded(to_recorded(event)?)
    }

    #[test]
    fn every_key_and_click_comes_back() {
        let characters = ['a', 'Z', ':', 'ü', '…'].map(KeyCode::Char);
        for code in NAMED.into_iter().chain(characters) {
            for control in [false, true] {
                let event = Event::Key(Key { code, control });
                assert_eq!(round_trip(&event), Some(event));
            }
        }
        for action in ACTIONS {
            let event = Event::Mouse(Mouse {
                action,
                column: 7,
                row: 300,
            });
            assert_eq!(round_trip(&event), Some(event));
        }
    }

    #[test]
    fn leaving_the_screen_and_coming_back_to_it_comes_back() {
        for is_shown in [false, true] {
            let event = Event::Shown(is_shown);
            assert_eq!(round_trip(&event), Some(event));
        }
    }

    #[test]
    fn what_the_connection_says_comes_back() {
        for event in [
            LinkEvent::Connected {
                capabilities: vec!["history".into()],
            },
            LinkEvent::Failed {
                reason: "gone".into(),
                permanent: true,
            },
            LinkEvent::Refused {
                request_id: 7,
                code: 5,
                reason: "no".into(),
            },
            LinkEvent::Alerts(Box::default()),
            LinkEvent::History {
                request_id: 9,
                chunk: Box::default(),
            },
        ] {
            let event = Event::Link(event);
            assert_eq!(round_trip(&event), Some(event));
        }
    }

    #[test]
    fn arguments_and_pasted_text_are_not_recorded() {
        let process = |command: &str| wire::Process {
            command: command.into(),
            ..wire::Process::default()
        };
        let update = wire::Update {
            machines: vec![wire::MachineUpdate {
                processes: Some(wire::ProcessUpdate {
                    changed: vec![process("psql --password=geheim db"), process("kworker/0:1")],
                    ..wire::ProcessUpdate::default()
                }),
                ..wire::MachineUpdate::default()
            }],
            ..wire::Update::default()
        };
        let Some(Event::Link(LinkEvent::Update(played))) =
            round_trip(&Event::Link(LinkEvent::Update(Box::new(update))))
        else {
            panic!("an update stays one")
        };
        let changed = &played.machines[0].processes.as_ref().unwrap().changed;
        assert_eq!(changed[0].command, "psql …");
        assert_eq!(changed[1].command, "kworker/0:1");
        assert_eq!(to_recorded(&Event::Paste("geheim".into())), None);
    }
}
