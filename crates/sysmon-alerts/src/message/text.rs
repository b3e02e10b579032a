//! Messages as plain text.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat};
use sysmon_core::{Unit, UnixMillis, format_age, format_value};

use super::{AlertText, Message, ProcessText};

impl Message {
    /// Everything it says, in lines; begins with the summary.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.summary.clone();
        if !self.instead_of.is_empty() {
            let _ = write!(
                text,
                "\n(sent here because {} cannot be reached)",
                self.instead_of
            );
        }
        for alert in &self.alerts {
            text.push('\n');
            text.push_str(&self.line(alert));
            if !alert.processes.is_empty() {
                let processes: Vec<_> = alert.processes.iter().map(process).collect();
                let _ = write!(text, "\n    busiest: {}", processes.join("; "));
            }
        }
        if self.counts.not_listed > 0 {
            let _ = write!(text, "\nand {} more", self.counts.not_listed);
        }
        if !self.rule.note.is_empty() {
            let _ = write!(text, "\n\n{}", self.rule.note);
        }
        if !self.rule.id.is_empty() {
            let Self { counts, rule, .. } = self;
            let _ = write!(
                text,
                "\n\nrule {}: {} firing, {} recovered",
                rule.id, counts.firing, counts.recovered
            );
        }
        text
    }

    fn line(&self, alert: &AlertText) -> String {
        let is_over = alert.change == "recovered";
        let mut line = format!(
            "[{}] {}",
            if is_over { "recovered" } else { &alert.severity },
            alert.machine()
        );
        if !alert.hostname.is_empty() && alert.hostname != alert.machine_id {
            let _ = write!(line, " ({})", alert.machine_id);
        }
        if !alert.entity.is_empty() {
            let _ = write!(line, " {}", alert.entity);
        }
        let mut parts = Vec::new();
        if !alert.value_text.is_empty() {
            parts.push(alert.value_text.clone());
        }
        if !alert.threshold_text.is_empty() && !is_over {
            parts.push(alert.threshold_text.clone());
        }
        let now = UnixMillis(self.at_unix_ms);
        let since = if is_over {
            alert.since_unix_ms
        } else {
            alert.fired_unix_ms
        };
        parts.push(format!(
            "{} {} ({})",
            if is_over { "right for" } else { "for" },
            format_age(now.since_ms(UnixMillis(since))),
            moment(since)
        ));
        if alert.flapping {
            parts.push("flapping".into());
        }
        let _ = write!(line, ": {}", parts.join(", "));
        line
    }
}

fn process(process: &ProcessText) -> String {
    format!(
        "{} ({}, pid {}) {} CPU, {}",
        process.name,
        process.user,
        process.pid,
        format_value(process.cpu_percent, Unit::Percent),
        format_value(process.memory_bytes as f64, Unit::Bytes)
    )
}

/// A moment in UTC, to the second.
fn moment(unix_ms: i64) -> String {
    DateTime::from_timestamp_millis(unix_ms).map_or_else(
        || "at an unknown time".to_owned(),
        |moment| moment.to_rfc3339_opts(SecondsFormat::Secs, true),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sysmon_core::MachineId;
    use sysmon_core::alert::{
        AlertKey, Cause, Change, Culprit, Item, Notification, NotificationKind, Rule, RuleId, Severity,
    };

    use super::super::render::Host;
    use super::super::{Hosts, LISTED_MAX, render};
    use super::*;

    fn item(machine: &str, change: Change) -> Item {
        Item {
            key: AlertKey {
                rule: RuleId::parse("disk-full").unwrap(),
                machine: MachineId::parse(machine).unwrap(),
                entity: "/home\u{1b}[2J".into(),
            },
            change,
            severity: Severity::Critical,
            fired: UnixMillis(1_700_000_000_000),
            at: UnixMillis(1_700_000_060_000),
            value: Some(98.7),
            threshold: Some(98.0),
            cause: Some(Cause::Held),
            flapping: change == Change::Unchanged,
            culprits: vec![Culprit {
                pid: 7,
                name: "dd\nof=/dev/sda".into(),
                user: "root".into(),
                cpu_percent: 199.6,
                memory_bytes: 3 << 20,
            }],
        }
    }

    fn message(items: Vec<Item>, kind: NotificationKind) -> Message {
        let rule: Rule = toml::from_str(
            "id = \"disk-full\"\ntitle = \"File system nearly full\"\nnote = \"Ask ann.\\nThen delete.\"\n[check]\nkind = \"metric\"\ncomparison = \"above\"\nquantity = { metric = \"mount.used_percent\" }\ncritical = { trigger = 98.0 }",
        )
        .unwrap();
        let host = Host {
            hostname: "web-1".into(),
            labels: vec![],
        };
        let hosts = Hosts::from([(MachineId::parse("m0").unwrap(), host)]);
        let notification = Notification {
            rule: rule.id.clone(),
            receiver: "chat".into(),
            kind,
            identity: String::new(),
            items,
        };
        let rules = BTreeMap::from([(rule.id.clone(), rule)]);
        render(&notification, &rules, &hosts, UnixMillis(1_700_000_120_000))
    }

    #[test]
    fn a_message_says_what_where_how_bad_since_when_and_who_without_control_characters() {
        let items = vec![item("m0", Change::Fired), item("m1", Change::Recovered)];
        let message = message(items, NotificationKind::Firing);
        assert_eq!(
            message.text(),
            "CRITICAL: File system nearly full on web-1 /home\u{fffd}[2J (99%) and 1 more\n\
             [critical] web-1 (m0) /home\u{fffd}[2J: 99%, at or above 98%, for 2m (2023-11-14T22:13:20Z)\n    \
             busiest: dd\u{fffd}of=/dev/sda (root, pid 7) 200% CPU, 3.00M\n\
             [recovered] m1 /home\u{fffd}[2J: 99%, right for 1m (2023-11-14T22:14:20Z)\n    \
             busiest: dd\u{fffd}of=/dev/sda (root, pid 7) 200% CPU, 3.00M\n\n\
             Ask ann.\nThen delete.\n\n\
             rule disk-full: 1 firing, 1 recovered"
        );
        let again = Message::from_json(&message.to_json());
        assert_eq!(again, message);
        assert_eq!(
            (again.alerts[0].unit.as_str(), again.alerts[0].value),
            ("percent", Some(98.7))
        );
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let items = (0..30)
            .map(|number| item(&format!("m{number}"), Change::Unchanged))
            .collect();
        let message = message(items, NotificationKind::Reminder);
        assert_eq!(
            (message.alerts.len(), message.counts.not_listed),
            (LISTED_MAX, 10)
        );
        let text = message.text();
        assert!(
            text.starts_with("STILL CRITICAL: File system nearly full on web-1"),
            "{text}"
        );
        assert!(
            text.contains("\nand 10 more\n") && text.contains("flapping"),
            "{text}"
        );
    }

    #[test]
    fn content_that_is_none_still_reaches_somebody() {
        let message = Message::from_json("{\"version\": \"no\"}");
        assert!(message.text().contains("cannot be read"), "{}", message.text());
    }
}
