//! What the rule store has, as it travels.

use sysmon_api::{rule_to_wire, wire};
use sysmon_store::{AuditEntry, Delivery, DeliveryState, Put, StoredRule};

/// The longest summary and problem of a delivery, in bytes, so that a hundred of them fit one message.
const LINE_BYTES: usize = 200;

pub(super) fn stored_to_wire(stored: &StoredRule) -> wire::StoredRule {
    wire::StoredRule {
        rule: Some(rule_to_wire(&stored.rule)),
        version: stored.version,
        changed_by: stored.changed.name.clone(),
        changed_unix_ms: stored.changed.at.0,
    }
}

pub(super) fn put_to_wire(put: &Put) -> wire::ChangeReply {
    let (conflict, stored) = match put {
        Put::Done(stored) => (false, Some(stored)),
        Put::Conflict(stored) => (true, stored.as_ref()),
    };
    wire::ChangeReply {
        conflict,
        stored: stored.map(stored_to_wire),
    }
}

pub(super) fn delivery_to_wire(delivery: &Delivery) -> wire::Delivery {
    let state = match delivery.state {
        DeliveryState::Pending => wire::DeliveryState::Pending,
        DeliveryState::Sent => wire::DeliveryState::Sent,
        DeliveryState::Dead => wire::DeliveryState::Dead,
        DeliveryState::Dropped => wire::DeliveryState::Dropped,
    };
    wire::Delivery {
        delivery_id: delivery.id.clone(),
        receiver: line(&delivery.receiver),
        summary: summary(&delivery.content),
        created_unix_ms: delivery.created.0,
        state: state.into(),
        attempts: delivery.attempts,
        due_unix_ms: delivery.due.0,
        problem: line(&delivery.problem),
    }
}

/// The line that says what a delivery is about: `summary` of its content, or else its kind.
fn summary(content: &str) -> String {
    let content: serde_json::Value = serde_json::from_str(content).unwrap_or_default();
    let text = ["summary", "kind"]
        .iter()
        .find_map(|name| content.get(name)?.as_str());
    line(text.unwrap_or("notification"))
}

fn line(text: &str) -> String {
    let clean = sysmon_core::sanitize(text);
    clean[..clean.floor_char_boundary(LINE_BYTES)].to_owned()
}

pub(super) fn audit_to_wire(entry: AuditEntry) -> wire::AuditEntry {
    wire::AuditEntry {
        entry_id: entry.id,
        by: entry.author.name,
        at_unix_ms: entry.author.at.0,
        action: entry.action,
        object: entry.object,
        before: entry.before.unwrap_or_default(),
        after: entry.after.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_says_in_one_line_what_it_is_about_whatever_its_content_is() {
        for (content, expected) in [
            (
                r#"{"kind":"group","summary":"cpu on a\nand b"}"#,
                "cpu on a\u{fffd}and b",
            ),
            (r#"{"kind":"test"}"#, "test"),
            (r#"{"kind":5}"#, "notification"),
            ("not JSON", "notification"),
        ] {
            assert_eq!(summary(content), expected);
        }
        assert!(line(&"ü".repeat(500)).len() <= LINE_BYTES);
    }
}
