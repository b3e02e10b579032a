//! The file of receivers.

use std::collections::BTreeMap;

use lettre::message::Mailbox;
use sysmon_core::is_clean;
use toml::{Table, Value};

use super::entry::Entry;
use crate::receiver::{
    Email, EmailParts, EmailTls, Exec, Filter, HttpClient, Kind, Ntfy, Receiver, Slack, Target, Webhook,
};

const KINDS: &str = "webhook, slack, ntfy, email or exec";
/// The most receivers; each is a task of its own.
const RECEIVERS_MAX: usize = 100;

pub(super) fn receivers(text: &str) -> Result<Vec<Receiver>, Vec<String>> {
    let mut table: Table = text
        .parse()
        .map_err(|error: toml::de::Error| vec![format!("it is not TOML: {}", one_line(error.message()))])?;
    let mut problems = Vec::new();
    let entries = match table.remove("receiver") {
        None => Vec::new(),
        Some(Value::Array(entries)) => entries,
        Some(_) => {
            problems.push("receiver is no list; write [[receiver]] above each".to_owned());
            Vec::new()
        }
    };
    for key in table.keys() {
        problems.push(format!(
            "{} is not known here; there is only [[receiver]]",
            one_line(key)
        ));
    }
    if entries.len() > RECEIVERS_MAX {
        problems.push(format!(
            "there are {} receivers; at most {RECEIVERS_MAX} are possible",
            entries.len()
        ));
    }
    let mut receivers = Vec::new();
    for (index, entry) in entries.into_iter().take(RECEIVERS_MAX).enumerate() {
        match entry {
            Value::Table(table) => {
                receivers.extend(receiver(Entry::new(index + 1, table, &mut problems)));
            }
            _ => problems.push(format!("receiver {} is no table; write [[receiver]]", index + 1)),
        }
    }
    check_names(&receivers, &mut problems);
    if problems.is_empty() {
        Ok(receivers)
    } else {
        Err(problems)
    }
}

fn one_line(text: &str) -> String {
    sysmon_core::sanitize(text).into_owned()
}

/// None when something is wrong with it; what, is among the problems.
fn receiver(mut entry: Entry<'_>) -> Option<Receiver> {
    let name = entry.needed("name", "name = \"ops\"");
    if let Some(name) = &name
        && (name.len() > 64 || !is_clean(name) || name.trim() != name)
    {
        entry.problem("its name is too long or has characters that are not shown; use at most 64 bytes");
    }
    let filter = Filter {
        min_severity: entry.severity("min_severity"),
        rules: entry.list("rules"),
        labels: entry.list("labels"),
    };
    for label in &filter.labels {
        if !label.contains('=') {
            entry.problem(format!(
                "labels: {label:?} is no label; write it like \"role=db\""
            ));
        }
    }
    let fallback = entry.text("fallback");
    let word = entry.needed("kind", "kind = \"webhook\"");
    let kind = match word.as_deref() {
        Some("webhook") => http(&mut entry).map(|client| Kind::Webhook(Webhook(client))),
        Some("slack") => http(&mut entry).map(|client| Kind::Slack(Slack(client))),
        Some("ntfy") => ntfy(&mut entry),
        Some("email") => email(&mut entry),
        Some("exec") => exec(&mut entry),
        Some(other) => {
            entry.problem(format!("kind is {other:?}; use {KINDS}"));
            // Its settings cannot be judged.
            return None;
        }
        None => return None,
    };
    entry.finish();
    Some(Receiver {
        name: name?,
        filter,
        fallback,
        kind: kind?,
    })
}

/// Where to post and as whom.
fn posting(entry: &mut Entry<'_>) -> Option<(Target, HttpSecrets)> {
    if !entry.has("url") && !entry.has("url_file") {
        entry.problem("url is missing; write it like url = \"https://HOST/PATH\", or url_file");
    }
    let url = entry.secret("url");
    let secrets = HttpSecrets {
        token: entry.secret("token"),
        authorities: entry.file("ca_file"),
    };
    let insecure = entry.flag("insecure");
    let target = url.and_then(|url| entry.good("url", Target::parse(url.reveal())))?;
    if secrets.token.is_some() && !target.is_confidential() && !insecure {
        entry.problem("the token would be readable on the way; use https://, or insecure = true");
    }
    Some((target, secrets))
}

struct HttpSecrets {
    token: Option<sysmon_api::Secret>,
    authorities: Option<String>,
}

impl HttpSecrets {
    fn client(self, entry: &mut Entry<'_>, target: Target) -> Option<HttpClient> {
        entry.good(
            "ca_file",
            HttpClient::new(target, self.token, self.authorities.as_deref()),
        )
    }
}

fn http(entry: &mut Entry<'_>) -> Option<HttpClient> {
    let (target, secrets) = posting(entry)?;
    secrets.client(entry, target)
}

/// The address of a topic, taken apart.
fn ntfy(entry: &mut Entry<'_>) -> Option<Kind> {
    let (target, secrets) = posting(entry)?;
    let path = target.path().to_owned();
    let split = path.rsplit_once('/').filter(|(_, topic)| !topic.is_empty());
    let Some((folder, topic)) = split else {
        entry.problem("url has no topic; write it like https://ntfy.sh/TOPIC");
        return None;
    };
    let target = target.with_path(&format!("{folder}/"))?;
    Some(Kind::Ntfy(Ntfy {
        client: secrets.client(entry, target)?,
        topic: topic.to_owned(),
    }))
}

fn email(entry: &mut Entry<'_>) -> Option<Kind> {
    let server = entry.needed("server", "server = \"smtp.example.org\"");
    let word = entry.text("tls").unwrap_or_else(|| "starttls".to_owned());
    let tls = EmailTls::WORDS.iter().find(|(_, known)| *known == word);
    if tls.is_none() {
        entry.problem(format!("tls is {word:?}; use none, starttls or tls"));
    }
    let tls = tls.map_or(EmailTls::StartTls, |(tls, _)| *tls);
    let port = entry.number("port", 1, 65_535);
    let (user, password) = (entry.text("user"), entry.secret("password"));
    if user.is_some() != password.is_some() {
        entry.problem("user and password (or password_file) belong together; give both or none");
    }
    let insecure = entry.flag("insecure");
    let is_local = server.as_deref().is_some_and(crate::receiver::is_loopback);
    if password.is_some() && tls == EmailTls::None && !is_local && !insecure {
        entry.problem(
            "the password would be readable on the way; use tls = \"starttls\" or \"tls\", or insecure = true",
        );
    }
    let authorities = entry.file("ca_file");
    let from = entry.needed("from", "from = \"sysmon@example.org\"");
    let from = from.and_then(|from| mailbox(entry, "from", &from));
    let to = entry.list("to");
    if to.is_empty() {
        entry.problem("to is missing; write it like to = [\"ops@example.org\"]");
    }
    let to: Vec<Mailbox> = to.iter().filter_map(|to| mailbox(entry, "to", to)).collect();
    let parts = EmailParts {
        server: server?,
        port: port
            .and_then(|port| u16::try_from(port).ok())
            .unwrap_or(tls.port()),
        tls,
        login: user.zip(password),
        authorities,
        from: from?,
        to,
    };
    let email = entry.good("ca_file", Email::new(parts))?;
    Some(Kind::Email(Box::new(email)))
}

fn mailbox(entry: &mut Entry<'_>, key: &str, text: &str) -> Option<Mailbox> {
    let mailbox: Option<Mailbox> = text.parse().ok();
    if mailbox.is_none() {
        entry.problem(format!("{key}: {text:?} is no mail address"));
    }
    mailbox
}

fn exec(entry: &mut Entry<'_>) -> Option<Kind> {
    let command = entry.list("command");
    let timeout = entry.seconds("timeout_seconds", 20, 25);
    if !command.first().is_some_and(|program| program.starts_with('/')) {
        entry.problem("command is missing or does not begin with a path; write it like command = [\"/usr/local/bin/tell\", \"ops\"]");
        return None;
    }
    if command.iter().any(|argument| argument.contains('\0')) {
        entry.problem("command has a NUL character, which no program can be given");
        return None;
    }
    Some(Kind::Exec(Exec { command, timeout }))
}

/// Names are used once, and whoever stands in for somebody is there and does not stand in for itself.
fn check_names(receivers: &[Receiver], problems: &mut Vec<String>) {
    let mut fallbacks = BTreeMap::new();
    for receiver in receivers {
        if fallbacks.insert(&receiver.name, &receiver.fallback).is_some() {
            problems.push(format!(
                "receiver {}: there are two of this name; give each its own",
                receiver.name
            ));
        }
    }
    for receiver in receivers {
        let mut next = receiver.fallback.as_ref();
        for _ in 0..=receivers.len() {
            let Some(name) = next else { break };
            if name == &receiver.name {
                problems.push(format!(
                    "receiver {}: its fallbacks lead back to it; end the chain somewhere",
                    receiver.name
                ));
                break;
            }
            next = match fallbacks.get(name) {
                Some(further) => further.as_ref(),
                None => {
                    if Some(name) == receiver.fallback.as_ref() {
                        problems.push(format!(
                            "receiver {}: its fallback {name:?} is not there, or something is wrong with it",
                            receiver.name
                        ));
                    }
                    None
                }
            };
        }
    }
}
