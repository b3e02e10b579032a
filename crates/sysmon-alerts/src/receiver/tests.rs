//! Receivers against real servers and programs that fail in every way.

mod exec;
mod filter;
mod http;
mod mail;
mod server;

use super::Receiver;
use crate::failure::Failure;
use crate::message::{AlertText, Counts, Message, RuleText};
use crate::receivers::Receivers;

const ID: &str = "0123456789abcdef0123456789abcdef";

/// The one receiver of a file, sent one message.
async fn send(text: &str) -> Result<(), Failure> {
    let receivers = Receivers::parse(text).unwrap();
    let receiver: &Receiver = receivers.get(&receivers.names()[0]).unwrap();
    receiver.send(ID, &message()).await
}

fn message() -> Message {
    Message {
        version: 1,
        kind: "firing".into(),
        summary: "CRITICAL: Disk full on wéb-1 $(reboot)".into(),
        severity: "critical".into(),
        receiver: "a".into(),
        rule: RuleText {
            id: "disk-full".into(),
            title: "Disk full".into(),
            note: "Delete <something>.".into(),
        },
        counts: Counts {
            firing: 1,
            ..Counts::default()
        },
        alerts: vec![AlertText {
            machine_id: "m1".into(),
            hostname: "wéb-1 $(reboot)".into(),
            entity: "/;`id`".into(),
            ..AlertText::default()
        }],
        ..Message::default()
    }
}
