//! All receivers, from their file.

mod entry;
mod parse;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use sysmon_core::alert::{AlertKey, Audience, Severity};

use crate::message::Hosts;
use crate::receiver::{Filter, HttpClient, Kind, Receiver, Target, Webhook};

/// Who is told of alerts, by name. Made from a file: programs are run only as its owner says. `docs/notifications.md`
/// describes it.
#[derive(Clone, Debug, Default)]
pub struct Receivers {
    by_name: BTreeMap<String, Arc<Receiver>>,
}

impl Receivers {
    /// Reads a file of receivers, with the files that it names (secrets, certificates).
    ///
    /// # Errors
    /// Everything that is wrong with it, one sentence each, without secrets.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let receivers = parse::receivers(text)?;
        Ok(Self {
            by_name: receivers
                .into_iter()
                .map(|receiver| (receiver.name.clone(), Arc::new(receiver)))
                .collect(),
        })
    }

    /// Adds the short form: one webhook, named `webhook`, that is told of everything.
    ///
    /// # Errors
    /// What is wrong with the address, without repeating it.
    pub fn with_webhook(mut self, url: &str) -> Result<Self, Vec<String>> {
        const NAME: &str = "webhook";
        let failed = |problem| vec![format!("the webhook's address: {problem}")];
        if self.by_name.contains_key(NAME) {
            return Err(vec![
                "there is a receiver called webhook already; leave out the one or the other".to_owned(),
            ]);
        }
        let target = Target::parse(url).map_err(failed)?;
        let receiver = Receiver {
            name: NAME.to_owned(),
            filter: Filter {
                min_severity: Severity::Info,
                rules: Vec::new(),
                labels: Vec::new(),
            },
            fallback: None,
            kind: Kind::Webhook(Webhook(HttpClient::new(target, None, None).map_err(failed)?)),
        };
        self.by_name.insert(NAME.to_owned(), Arc::new(receiver));
        Ok(self)
    }

    /// Their names, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.by_name.keys().cloned().collect()
    }

    /// Receivers of tests, each with its fallback.
    #[cfg(test)]
    pub(crate) fn of_probes(probes: &[(&str, crate::receiver::probe::Probe, Option<&str>)]) -> Self {
        let receiver =
            |(name, probe, fallback): &(&str, crate::receiver::probe::Probe, Option<&str>)| Receiver {
                name: (*name).to_owned(),
                filter: Filter {
                    min_severity: Severity::Info,
                    rules: Vec::new(),
                    labels: Vec::new(),
                },
                fallback: fallback.map(str::to_owned),
                kind: Kind::Probe(probe.clone()),
            };
        let receivers = probes.iter().map(receiver);
        Self {
            by_name: receivers
                .map(|receiver| (receiver.name.clone(), Arc::new(receiver)))
                .collect(),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Receiver>> {
        self.by_name.get(name)
    }

    /// Whether some of them look at labels, so that machines have to be known first.
    pub(crate) fn need_labels(&self) -> bool {
        self.by_name
            .values()
            .any(|receiver| !receiver.filter.labels.is_empty())
    }
}

/// Receivers, and the machines whose labels they look at.
#[derive(Debug)]
pub(crate) struct Listeners<'a> {
    pub(crate) receivers: &'a Receivers,
    pub(crate) hosts: &'a Hosts,
}

impl Audience for Listeners<'_> {
    fn receivers(&self) -> Vec<&str> {
        self.receivers.by_name.keys().map(String::as_str).collect()
    }

    fn wants(&self, receiver: &str, key: &AlertKey, severity: Severity) -> bool {
        self.receivers
            .get(receiver)
            .is_some_and(|receiver| receiver.filter.wants(key, severity, self.hosts))
    }
}
