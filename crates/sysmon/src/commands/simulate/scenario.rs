//! What is to happen in a simulation, from TOML; `docs/scenarios/` has an example with every key.

use std::time::Duration;

use sysmon_collector::simulation::{Condition, Event, Scenario};
use toml::{Table, Value};

use crate::settings::parse_duration;

const KEYS: &str = "condition, at, for, over, machines, labels, share and strength";

/// Reads a scenario.
///
/// # Errors
/// Everything that is wrong with it, each with the number of its event.
pub(super) fn parse(text: &str) -> Result<Scenario, Vec<String>> {
    let table: Table = text.parse().map_err(|error| vec![format!("{error}")])?;
    let mut problems: Vec<String> = table
        .keys()
        .filter(|key| *key != "event")
        .map(|key| format!("there is nothing called {key} in a scenario; it consists of [[event]]"))
        .collect();
    let events = match table.get("event") {
        Some(Value::Array(events)) => events.as_slice(),
        _ => {
            problems.push("it has no [[event]]; write at least one".into());
            &[]
        }
    };
    let mut scenario = Scenario::default();
    for (index, value) in events.iter().enumerate() {
        let found = match value {
            Value::Table(table) => event(table),
            _ => Err(vec!["it is no table; write [[event]] above it".into()]),
        };
        match found {
            Ok(event) => scenario.events.push(event),
            Err(found) => {
                let number = index + 1;
                problems.extend(
                    found
                        .into_iter()
                        .map(|problem| format!("event {number}: {problem}")),
                );
            }
        }
    }
    if problems.is_empty() {
        Ok(scenario)
    } else {
        Err(problems)
    }
}

fn event(table: &Table) -> Result<Event, Vec<String>> {
    let mut problems = Vec::new();
    // What it is comes later in the loop, or is missing.
    let mut event = Event::new(Condition::Off);
    if !table.contains_key("condition") {
        problems.push(format!("it has no condition; give one of {}", conditions()));
    }
    for (key, value) in table {
        let taken = match key.as_str() {
            "condition" => condition(value).map(|condition| event.condition = condition),
            "at" => milliseconds(value).map(|length_ms| event.at_ms = length_ms),
            "for" => milliseconds(value).map(|length_ms| event.for_ms = Some(length_ms)),
            "over" => milliseconds(value).map(|length_ms| event.over_ms = Some(length_ms)),
            "machines" => texts(value).map(|machines| event.machines = machines),
            "labels" => labels(value).map(|labels| event.labels = labels),
            "share" => part(value).map(|part| event.share = part),
            "strength" => part(value).map(|part| event.strength = part),
            _ => Err(format!("there is no such key; there are {KEYS}")),
        };
        if let Err(problem) = taken {
            problems.push(format!("{key}: {problem}"));
        }
    }
    if problems.is_empty() {
        Ok(event)
    } else {
        Err(problems)
    }
}

fn conditions() -> String {
    Condition::WORDS.map(|(_, word)| word).join(", ")
}

fn condition(value: &Value) -> Result<Condition, String> {
    let word = value.as_str().unwrap_or_default();
    Condition::from_word(word).ok_or_else(|| format!("{value} is none; give one of {}", conditions()))
}

fn milliseconds(value: &Value) -> Result<u64, String> {
    let duration: Option<Duration> = value.as_str().and_then(parse_duration);
    let length = duration.and_then(|duration| u64::try_from(duration.as_millis()).ok());
    length.ok_or_else(|| format!("{value} is no duration; give one such as \"90s\" or \"5m\""))
}

fn texts(value: &Value) -> Result<Vec<String>, String> {
    let list = value.as_array().and_then(|list| {
        let texts = list.iter().map(|value| value.as_str().map(str::to_owned));
        texts.collect()
    });
    list.ok_or_else(|| format!("{value} is no list of texts; give one such as [\"sim-00003\"]"))
}

fn labels(value: &Value) -> Result<Vec<(String, String)>, String> {
    let table = value.as_table().and_then(|table| {
        let labels = table
            .iter()
            .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        labels.collect()
    });
    table.ok_or_else(|| format!("{value} is no table of texts; give one such as {{ role = \"db\" }}"))
}

fn part(value: &Value) -> Result<f64, String> {
    let number = value
        .as_float()
        .or_else(|| value.as_integer().map(|number| number as f64));
    number
        .filter(|number| (0.0..=1.0).contains(number))
        .ok_or_else(|| format!("{value} is no part; give a number from 0 to 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_in_the_docs_has_every_condition_and_every_key() {
        let text = include_str!("../../../../../docs/scenarios/bad-afternoon.toml");
        let scenario = parse(text).unwrap();
        for (condition, word) in Condition::WORDS {
            let is_there = scenario.events.iter().any(|event| event.condition == condition);
            assert!(is_there, "{word}");
        }
        for key in KEYS.replace(" and", ",").split(", ") {
            assert!(text.contains(&format!("\n{key} = ")), "{key}");
        }
    }

    #[test]
    fn an_event_says_when_how_long_how_much_and_on_which_machines() {
        let text = "[[event]]\ncondition = \"disk_full\"\nat = \"90s\"\nfor = \"5m\"\nover = \"2m\"\n\
                    machines = [\"sim-00003\"]\nlabels = { role = \"db\", rack = \"r01\" }\nshare = 1\nstrength = 0.5\n";
        let expected = Event {
            condition: Condition::DiskFull,
            at_ms: 90_000,
            for_ms: Some(300_000),
            over_ms: Some(120_000),
            machines: vec!["sim-00003".into()],
            labels: vec![("rack".into(), "r01".into()), ("role".into(), "db".into())],
            share: 1.0,
            strength: 0.5,
        };
        let mut scenario = parse(text).unwrap();
        scenario.events[0].labels.sort();
        assert_eq!(scenario.events, [expected]);
    }

    #[test]
    fn every_mistake_is_told_at_once_with_what_is_allowed() {
        let text = "speed = 2\n[[event]]\nat = 5\nshare = 2\n[[event]]\ncondition = \"fire\"\nmachine = \"x\"\n\
                    machines = \"x\"\nlabels = 1\n";
        let problems = parse(text).unwrap_err();
        for (number, part) in [
            ("", "nothing called speed"),
            ("event 1", "no condition"),
            ("event 1", "at: 5 is no duration"),
            ("event 1", "share: 2 is no part"),
            ("event 2", "condition: \"fire\" is none; give one of iowait"),
            ("event 2", "machine: there is no such key"),
            ("event 2", "machines: \"x\" is no list"),
            ("event 2", "labels: 1 is no table"),
        ] {
            let is_told = problems
                .iter()
                .any(|problem| problem.starts_with(number) && problem.contains(part));
            assert!(is_told, "{number} {part}: {problems:#?}");
        }
        assert!(parse("").is_err() && parse("[[event]").is_err() && parse("event = 1").is_err());
    }
}
