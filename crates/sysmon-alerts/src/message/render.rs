//! From what is due to what is said.

use std::collections::{BTreeMap, HashMap};

use sysmon_core::alert::{Change, Culprit, Item, Notification, NotificationKind, Rule, RuleId, Severity};
use sysmon_core::{MachineId, UnixMillis, clip, sanitize};

use super::quantity::Measure;
use super::{AlertText, Counts, LISTED_MAX, Message, ProcessText, RuleText};

/// The longest remote text, in terminal cells.
const TEXT_CELLS: usize = 200;

/// What is known of machines: hostname and labels.
pub(crate) type Hosts = HashMap<MachineId, Host>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) hostname: String,
    pub(crate) labels: Vec<(String, String)>,
}

/// Says what is due, for people who do not know sysmon's inner life.
pub(crate) fn render(
    notification: &Notification,
    rules: &BTreeMap<RuleId, Rule>,
    hosts: &Hosts,
    now: UnixMillis,
) -> Message {
    let rule = rules.get(&notification.rule);
    let measure = rule.and_then(Measure::of);
    let title = rule.map_or_else(|| notification.rule.to_string(), |rule| clean(&rule.title));
    let items = &notification.items;
    let alerts: Vec<AlertText> = items
        .iter()
        .take(LISTED_MAX)
        .map(|item| alert(item, measure.as_ref(), hosts))
        .collect();
    let recovered = items
        .iter()
        .filter(|item| item.change == Change::Recovered)
        .count();
    let counts = Counts {
        firing: items.len() - recovered,
        recovered,
        not_listed: items.len() - alerts.len(),
    };
    let severity = worst(items, notification.kind);
    Message {
        version: 1,
        kind: notification.kind.word().into(),
        summary: summary(notification.kind, severity, &title, counts, alerts.first()),
        severity: severity.word().into(),
        receiver: notification.receiver.clone(),
        at_unix_ms: now.0,
        rule: RuleText {
            id: notification.rule.to_string(),
            title,
            note: rule.map(|rule| note(&rule.note)).unwrap_or_default(),
        },
        counts,
        alerts,
        instead_of: String::new(),
        handed_to: String::new(),
    }
}

/// The worst of what fires; when nothing does, of what did.
fn worst(items: &[Item], kind: NotificationKind) -> Severity {
    let fires = |item: &&Item| (item.change != Change::Recovered) == (kind != NotificationKind::Recovered);
    let severities = items.iter().filter(fires).map(|item| item.severity);
    severities.max().unwrap_or(Severity::Info)
}

fn summary(
    kind: NotificationKind,
    severity: Severity,
    title: &str,
    counts: Counts,
    first: Option<&AlertText>,
) -> String {
    let head = match kind {
        NotificationKind::Firing => severity.word().to_uppercase(),
        NotificationKind::Recovered => "RECOVERED".to_owned(),
        NotificationKind::Reminder => format!("STILL {}", severity.word().to_uppercase()),
    };
    let mut text = format!("{head}: {title}");
    if let Some(first) = first {
        text.push_str(" on ");
        text.push_str(first.machine());
        if !first.entity.is_empty() {
            text.push_str(&format!(" {}", first.entity));
        }
        if !first.value_text.is_empty() && kind != NotificationKind::Recovered {
            text.push_str(&format!(" ({})", first.value_text));
        }
    }
    let others = (counts.firing + counts.recovered).saturating_sub(1);
    if others > 0 {
        text.push_str(&format!(" and {others} more"));
    }
    text
}

impl AlertText {
    /// What people call the machine.
    pub(super) fn machine(&self) -> &str {
        if self.hostname.is_empty() {
            &self.machine_id
        } else {
            &self.hostname
        }
    }
}

fn alert(item: &Item, measure: Option<&Measure>, hosts: &Hosts) -> AlertText {
    let host = hosts.get(&item.key.machine);
    let words = |value: Option<f64>, say: fn(&Measure, f64) -> String| match (measure, value) {
        (Some(measure), Some(value)) => say(measure, value),
        _ => String::new(),
    };
    AlertText {
        change: item.change.word().into(),
        severity: item.severity.word().into(),
        machine_id: item.key.machine.to_string(),
        hostname: host.map(|host| clean(&host.hostname)).unwrap_or_default(),
        entity: clean(&item.key.entity),
        metric: measure.map(|measure| clean(&measure.metric)).unwrap_or_default(),
        value: item.value,
        threshold: item.threshold,
        unit: measure.map(|measure| measure.unit.to_owned()).unwrap_or_default(),
        value_text: words(item.value, Measure::value),
        threshold_text: words(item.threshold, Measure::threshold),
        fired_unix_ms: item.fired.0,
        since_unix_ms: item.at.0,
        cause: item
            .cause
            .map(|cause| cause.word().to_owned())
            .unwrap_or_default(),
        flapping: item.flapping,
        processes: item.culprits.iter().take(3).map(process).collect(),
    }
}

fn process(culprit: &Culprit) -> ProcessText {
    ProcessText {
        pid: culprit.pid,
        name: clean(&culprit.name),
        user: clean(&culprit.user),
        cpu_percent: culprit.cpu_percent,
        memory_bytes: culprit.memory_bytes,
    }
}

fn clean(text: &str) -> String {
    clip(&sanitize(text), TEXT_CELLS).into_owned()
}

/// A note keeps its lines.
fn note(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(sanitize).collect();
    lines.join("\n")
}
