//! Addresses of stores: they may have a password, so they are secrets, of which all but that is shown.

use sysmon_api::Secret;
use sysmon_store::{check_history_url, check_redis_url};

use super::raw::Raw;
use super::value::SettingValue;

/// Stands for what must not be shown.
const HIDDEN: &str = "***";

/// Where history is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseUrl(pub Secret);

/// Where hot state is kept and events travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisUrl(pub Secret);

impl SettingValue for DatabaseUrl {
    const ALLOWED: &'static str = "memory:, sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE";
    const EXAMPLE: &'static str = "sqlite:/var/lib/sysmon/history.db";
    const IS_SECRET: bool = true;

    fn parse(raw: &Raw) -> Result<Self, String> {
        let url = url(raw)?;
        check_history_url(url).map_err(|error| reason(&error.message))?;
        Ok(Self(Secret::new(url)))
    }

    fn redact(raw: &Raw) -> String {
        shown(raw)
    }
}

impl SettingValue for RedisUrl {
    const ALLOWED: &'static str = "memory: or redis://:PASSWORD@HOST:PORT";
    const EXAMPLE: &'static str = "redis://127.0.0.1:6379";
    const IS_SECRET: bool = true;

    fn parse(raw: &Raw) -> Result<Self, String> {
        let url = url(raw)?;
        if url != "memory:" {
            check_redis_url(url).map_err(|error| reason(&error.message))?;
        }
        Ok(Self(Secret::new(url)))
    }

    fn redact(raw: &Raw) -> String {
        shown(raw)
    }
}

/// Where notifications are posted; its path may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookUrl(pub Secret);

impl SettingValue for WebhookUrl {
    const ALLOWED: &'static str = "http://HOST/PATH or https://HOST/PATH";
    const EXAMPLE: &'static str = "https://hooks.example.com/sysmon";
    const IS_SECRET: bool = true;

    fn parse(raw: &Raw) -> Result<Self, String> {
        let url = url(raw)?;
        let host = url
            .strip_prefix("http://")
            .or_else(|| url.strip_prefix("https://"));
        // The URL itself stays out of the message.
        match host {
            Some(host) if !host.is_empty() && url.chars().all(|character| character.is_ascii_graphic()) => {
                Ok(Self(Secret::new(url)))
            }
            _ => Err("it is no URL of a web server".into()),
        }
    }
}

fn url(raw: &Raw) -> Result<&str, String> {
    match raw {
        Raw::Text(url) if !url.is_empty() => Ok(url),
        Raw::Text(_) => Err("the value is empty".into()),
        Raw::Pairs(_) => Err("a table is no single value".into()),
        Raw::SecretFile(_) => Err("a file is named instead of the value".into()),
    }
}

/// What is possible follows in our own words.
fn reason(message: &str) -> String {
    message.split(';').next().unwrap_or_default().to_owned()
}

fn shown(raw: &Raw) -> String {
    match raw {
        Raw::Text(url) => without_password(url),
        _ => HIDDEN.into(),
    }
}

/// A URL with `***` for its password, and for every parameter that sounds like one.
#[must_use]
pub(crate) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        // `memory:` and `sqlite:PATH`; anything else is no URL of ours and may be anything.
        let is_known = url.starts_with("memory:") || url.starts_with("sqlite:");
        return if is_known { url.into() } else { HIDDEN.into() };
    };
    // Up to the last '@', wherever it stands: a password may have any character that somebody forgot to encode.
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, rest),
    };
    let user = user.map(|user| match user.split_once(':') {
        Some((name, _)) => format!("{name}:{HIDDEN}@"),
        None => format!("{user}@"),
    });
    let rest = match rest.split_once('?') {
        Some((before, parameters)) => {
            let parameters: Vec<_> = parameters.split('&').map(parameter).collect();
            format!("{before}?{}", parameters.join("&"))
        }
        None => rest.into(),
    };
    format!("{scheme}://{}{rest}", user.unwrap_or_default())
}

fn parameter(text: &str) -> String {
    match text.split_once('=') {
        Some((name, _)) if name.to_ascii_lowercase().contains("pass") => format!("{name}={HIDDEN}"),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_ever_shown_wherever_it_stands() {
        for (url, expected) in [
            ("memory:", "memory:"),
            ("sqlite:/var/lib/history.db", "sqlite:/var/lib/history.db"),
            ("sqlite:///var/lib/history.db", "sqlite:///var/lib/history.db"),
            (
                "postgres://sysmon:hunter2@db:5432/sysmon",
                "postgres://sysmon:***@db:5432/sysmon",
            ),
            (
                "postgres://sysmon:hun/ter2@x?y@db/sysmon",
                "postgres://sysmon:***@db/sysmon",
            ),
            ("postgres://sysmon@db/sysmon", "postgres://sysmon@db/sysmon"),
            (
                "postgres:///sysmon?host=/run/postgresql&password=hunter2&user=x",
                "postgres:///sysmon?host=/run/postgresql&password=***&user=x",
            ),
            ("redis://:hunter2@redis:6379/0", "redis://:***@redis:6379/0"),
            ("postgres:hunter2", "***"),
            ("hunter2", "***"),
        ] {
            assert_eq!(without_password(url), expected);
        }
    }

    #[test]
    fn a_wrong_address_is_refused_without_repeating_it() {
        for url in ["mysql://root:hunter2@db", "hunter2", "postgres:hunter2", ""] {
            let raw = Raw::Text(url.into());
            for message in [
                DatabaseUrl::parse(&raw).unwrap_err(),
                RedisUrl::parse(&raw).unwrap_err(),
            ] {
                assert!(!message.contains("hunter2") && !message.is_empty(), "{message}");
            }
        }
    }
}
