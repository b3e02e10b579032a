//! Cases in TOML: steps of a machine, and every transition that they make, in order.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use sysmon_core::UnixMillis;
use sysmon_core::alert::{MachineAlerts, Rule, RuleSet, Transition, starter_pack};

use crate::support::{INTERVAL_MS, key, line, machine, seconds};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What the case is about.
    about: String,
    /// Rules of the starter pack by id.
    #[serde(default)]
    starter: Vec<String>,
    /// Further rules.
    #[serde(default)]
    rule: Vec<Rule>,
    /// Milliseconds between samples, 5 s when absent.
    interval_ms: Option<u64>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    step: Vec<Step>,
    /// One line per transition: seconds, rule with entity, phases, severity, cause.
    expect: Vec<String>,
    /// The alerts that are listed at the end: rule with entity, phase, severity, and words for flags.
    #[serde(default)]
    listed: Option<Vec<String>>,
}

/// One thing that happens. Times are in seconds.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Step {
    /// Samples from a moment until another, not included.
    Samples(Samples),
    /// Heartbeats without samples, one per interval.
    Heartbeats { from: i64, until: i64 },
    /// Time goes by; every timer is kept.
    Silence { until: i64 },
    /// Series vanish.
    Retire { at: i64, series: Vec<String> },
    /// The collector begins a new stream.
    Reconnect {},
    /// Other rules.
    Rules { at: i64, rules: Vec<Rule> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Samples {
    from: i64,
    until: i64,
    /// Seconds between samples; the interval when absent.
    every: Option<i64>,
    /// Seconds from a sample to its arrival.
    #[serde(default)]
    lag: i64,
    values: BTreeMap<String, Course>,
}

/// A constant, or a line.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Course {
    Constant(f64),
    Line { start: f64, per_second: f64 },
    Sparse { value: f64, every: i64 },
}

struct Player {
    machine: MachineAlerts,
    numbers: BTreeMap<String, u32>,
    next: u32,
    interval: i64,
    out: Vec<Transition>,
}

impl Player {
    fn play(&mut self, step: &Step) {
        match step {
            Step::Samples(samples) => self.sample(samples),
            Step::Heartbeats { from, until } => {
                let mut now = *from;
                while now < *until {
                    self.pass(seconds(now));
                    self.machine.heard(seconds(now), &mut self.out);
                    now += self.interval;
                }
            }
            Step::Silence { until } => self.pass(seconds(*until)),
            Step::Retire { at, series } => {
                for series in series {
                    let number = self.numbers.remove(series).expect("an announced series");
                    self.machine.retire(number, seconds(*at), &mut self.out);
                }
            }
            Step::Reconnect {} => {
                self.machine.forget_numbers();
                self.numbers.clear();
                self.next = 1;
            }
            Step::Rules { at, rules } => {
                let rules = Arc::new(RuleSet::new(rules.clone()));
                assert_eq!(rules.refused(), []);
                self.machine.set_rules(&rules, seconds(*at), &mut self.out);
            }
        }
    }

    /// Runs every timer that ends before `now`, as whoever owns a clock would.
    fn pass(&mut self, now: UnixMillis) {
        for _ in 0..1_000 {
            match self.machine.next_due().filter(|due| *due <= now) {
                Some(due) => self.machine.advance(due, &mut self.out),
                None => return,
            }
        }
        panic!("timers that never end: {:?}", self.machine.next_due());
    }

    fn sample(&mut self, samples: &Samples) {
        for series in samples.values.keys() {
            if !self.numbers.contains_key(series) {
                self.machine.announce(self.next, &key(series));
                self.numbers.insert(series.clone(), self.next);
                self.next += 1;
            }
        }
        let mut now = samples.from;
        while now < samples.until {
            self.pass(seconds(now + samples.lag));
            let mut values = Vec::new();
            for (series, course) in &samples.values {
                let value = match course {
                    Course::Constant(value) => *value,
                    Course::Line { start, per_second } => start + per_second * (now - samples.from) as f64,
                    Course::Sparse { every, .. } if (now - samples.from) % every != 0 => continue,
                    Course::Sparse { value, .. } => *value,
                };
                values.push((self.numbers[series], value));
            }
            values.sort_by_key(|(number, _)| *number);
            self.machine
                .observe(seconds(now), seconds(now + samples.lag), &values, &mut self.out);
            now += samples.every.unwrap_or(self.interval);
        }
    }

    fn listed(&self) -> Vec<String> {
        let mut listed: Vec<String> = self
            .machine
            .alerts()
            .map(|alert| {
                let mut text = format!(
                    "{}[{}] {} {}",
                    alert.key.rule,
                    alert.key.entity,
                    alert.phase.word(),
                    alert.severity.word()
                );
                for (is_so, word) in [
                    (alert.flapping, " flapping"),
                    (alert.inhibited, " inhibited"),
                    (alert.is_firing(), " counts"),
                ] {
                    text.push_str(if is_so { word } else { "" });
                }
                text
            })
            .collect();
        listed.sort();
        listed
    }
}

fn run(path: &Path) -> Result<(), String> {
    let name = path.display();
    let text = fs::read_to_string(path).unwrap();
    let case: Case = toml::from_str(&text).map_err(|error| format!("{name}: {error}"))?;
    let mut rules: Vec<Rule> = starter_pack();
    rules.retain(|rule| case.starter.iter().any(|id| id == rule.id.as_str()));
    assert_eq!(
        rules.len(),
        case.starter.len(),
        "{name}: a starter rule that does not exist"
    );
    rules.extend(case.rule);
    let labels: Vec<(String, String)> = case.labels.into_iter().collect();
    let interval_ms = case.interval_ms.unwrap_or(INTERVAL_MS);
    let mut player = Player {
        machine: machine(rules, &labels, interval_ms),
        numbers: BTreeMap::new(),
        next: 1,
        interval: i64::try_from(interval_ms / 1_000).unwrap(),
        out: Vec::new(),
    };
    case.step.iter().for_each(|step| player.play(step));
    let found: Vec<String> = player.out.iter().map(line).collect();
    if found != case.expect {
        return Err(format!(
            "{name} ({}):\n expected {:#?}\n found {found:#?}",
            case.about, case.expect
        ));
    }
    match case.listed {
        Some(listed) if listed != player.listed() => Err(format!(
            "{name} ({}):\n expected to be listed {listed:#?}\n found {:#?}",
            case.about,
            player.listed()
        )),
        _ => Ok(()),
    }
}

#[test]
fn every_case_makes_exactly_the_transitions_that_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alerts");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 30, "{} cases", paths.len());
    let wrong: Vec<String> = paths.iter().filter_map(|path| run(path).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    for rule in starter_pack() {
        let case = format!("starter-{}.toml", rule.id);
        assert!(
            paths.iter().any(|path| path.ends_with(&case)),
            "{case} is missing"
        );
    }
}
