//! Where notifications go.

mod email;
mod exec;
mod http_client;
mod ntfy;
#[cfg(test)]
pub(crate) mod probe;
mod slack;
mod tls;
mod webhook;

#[cfg(test)]
mod tests;

use sysmon_core::alert::{AlertKey, Severity};

pub(crate) use email::{Email, EmailParts, EmailTls};
pub(crate) use exec::Exec;
pub(crate) use http_client::{HttpClient, Target, is_loopback};
pub(crate) use ntfy::Ntfy;
pub(crate) use slack::Slack;
pub(crate) use webhook::Webhook;

use crate::failure::Failure;
use crate::message::{Hosts, Message};

/// One receiver, as it is configured.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) name: String,
    pub(crate) filter: Filter,
    /// Who is told when this one cannot be.
    pub(crate) fallback: Option<String>,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Webhook(Webhook),
    Slack(Slack),
    Ntfy(Ntfy),
    Email(Box<Email>),
    Exec(Exec),
    #[cfg(test)]
    Probe(probe::Probe),
}

/// What a receiver wants to be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) min_severity: Severity,
    /// Rules by id; `*` stands for any run of characters. Empty for all.
    pub(crate) rules: Vec<String>,
    /// Machines with all of these labels, as `name=value`.
    pub(crate) labels: Vec<String>,
}

impl Filter {
    /// Whether it is to be told. A machine of which nothing is known counts as one with the labels: better told once too
    /// often than not at all.
    pub(crate) fn wants(&self, key: &AlertKey, severity: Severity, hosts: &Hosts) -> bool {
        let is_of_rule =
            || self.rules.is_empty() || self.rules.iter().any(|rule| is_like(rule, key.rule.as_str()));
        let has_labels = || {
            self.labels.is_empty()
                || hosts.get(&key.machine).is_none_or(|host| {
                    let is_there = |wanted: &String| {
                        host.labels
                            .iter()
                            .any(|(name, value)| wanted.split_once('=') == Some((name, value)))
                    };
                    self.labels.iter().all(is_there)
                })
        };
        severity >= self.min_severity && is_of_rule() && has_labels()
    }
}

/// Whether a text is like a pattern in which `*` stands for any run of characters.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(tail)
}

impl Receiver {
    /// Sends a message, once. Takes at most half a minute; when it is dropped before it is done, the message may have
    /// arrived or not.
    pub(crate) async fn send(&self, delivery: &str, message: &Message) -> Result<(), Failure> {
        match &self.kind {
            Kind::Webhook(webhook) => webhook.send(delivery, message).await,
            Kind::Slack(slack) => slack.send(delivery, message).await,
            Kind::Ntfy(ntfy) => ntfy.send(delivery, message).await,
            Kind::Email(email) => email.send(delivery, message).await,
            Kind::Exec(exec) => exec.send(delivery, message).await,
            #[cfg(test)]
            Kind::Probe(probe) => probe.send(delivery, message).await,
        }
    }
}
