//! What is said of rules and alerts, in words.

use sysmon_core::alert::{
    Alert, Check, Comparison, Function, Guard, MetricCheck, Phase, Quantity, Rule, Silence, Transition,
};
use sysmon_core::{Unit, UnixMillis};

use super::duration;
use crate::entry::{duration_text, unit_of, value_shown};
use crate::state::State;
use crate::state::alerts::board::{Board, Standing, StoredRule};
use crate::state::editor::fields::{SEVERITIES, entities_text, scope_text};
use crate::state::editor::merge::level_of;
use sysmon_core::format_value;

/// A metric's name as words: `cpu.busy_percent` is `CPU busy`.
pub(crate) fn metric_title(name: &str) -> String {
    let bare = [
        "_bytes_per_second",
        "_per_second",
        "_percent",
        "_bytes",
        "_celsius",
        "_seconds",
        "_total",
        "_ms",
    ]
    .into_iter()
    .find_map(|unit| name.strip_suffix(unit))
    .unwrap_or(name);
    let spaced = bare.replace(['.', '_'], " ");
    let words = spaced.split_whitespace().map(|word| match word {
        "cpu" => "CPU".to_owned(),
        "io" => "I/O".to_owned(),
        "iowait" => "iowait".to_owned(),
        "oom" => "OOM".to_owned(),
        "rpm" => "RPM".to_owned(),
        _ => word.to_owned(),
    });
    let text = words.collect::<Vec<_>>().join(" ");
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

/// A number out of samples: `CPU busy, mean of 10 min`.
fn quantity(quantity: &Quantity) -> String {
    let mut text = metric_title(&quantity.metric);
    if let Some(per) = &quantity.per {
        text.push_str(&format!(" per {}", metric_title(per).to_lowercase()));
    }
    let window = exactly(quantity.window_ms);
    match quantity.function {
        Function::Last => {}
        Function::Average => text.push_str(&format!(", mean of {window}")),
        Function::Minimum => text.push_str(&format!(", lowest of {window}")),
        Function::Maximum => text.push_str(&format!(", highest of {window}")),
        Function::Rate => text.push_str(&format!(", change per second over {window}")),
        Function::Increase => text.push_str(&format!(", growth in {window}")),
        Function::TimeToFull => text.push_str(&format!(", time until full, by the last {window}")),
    }
    text
}

/// A duration that somebody chose, exactly: `1 min`, `10 min`, `1 d`, `1m30s`.
fn exactly(milliseconds: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    let whole = units
        .into_iter()
        .find(|(length, _)| milliseconds >= *length && milliseconds.is_multiple_of(*length));
    whole.map_or_else(
        || duration_text(milliseconds),
        |(length, unit)| format!("{} {unit}", milliseconds / length),
    )
}

/// What a rule watches: `CPU busy, mean of 10 min, above 85% / 95% for 1 min`.
pub(crate) fn rule(rule: &Rule) -> String {
    let mut text = match &rule.check {
        Check::MachineDown { severity } => format!("machine not heard of: {}", severity.word()),
        Check::Metric(check) => format!("{}, {}", quantity(&check.quantity), levels(check)),
    };
    if rule.hold_ms > 0 {
        text.push_str(&format!(" for {}", exactly(rule.hold_ms)));
    }
    text
}

/// The same in the table of rules, where one that is off says so.
pub(crate) fn watches(checked: &Rule) -> String {
    let words = rule(checked);
    if checked.enabled {
        words
    } else {
        format!("off: {words}")
    }
}

fn levels(check: &MetricCheck) -> String {
    let unit = unit_of(&check.quantity);
    let side = match check.comparison {
        _ if unit == Unit::Flag => "is",
        Comparison::Above => "above",
        Comparison::Below => "below",
    };
    let levels = SEVERITIES
        .into_iter()
        .rev()
        .filter_map(|severity| level_of(check, severity));
    let levels: Vec<String> = levels
        .map(|level| {
            let shown = value_shown(level.trigger, unit);
            match &level.and {
                Some(guard) => format!("{shown} (and {})", condition(guard)),
                None => shown,
            }
        })
        .collect();
    if levels.is_empty() {
        return "no level".into();
    }
    format!("{side} {}", levels.join(" / "))
}

/// What has to be true beside a level: `mount available below 5GB`.
pub(crate) fn condition(guard: &Guard) -> String {
    let side = match guard.comparison {
        Comparison::Above => "above",
        Comparison::Below => "below",
    };
    let name = quantity(&guard.quantity).to_lowercase();
    format!(
        "{name} {side} {}",
        value_shown(guard.value, unit_of(&guard.quantity))
    )
}

/// Where a rule applies.
pub(crate) fn scope(rule: &Rule) -> String {
    let machines = scope_text(&rule.scope);
    match entities_text(&rule.scope).as_str() {
        "all" => machines,
        entities => format!("{machines}: {entities}"),
    }
}

/// The unit of what a rule of the board judges.
pub(crate) fn unit(stored: Option<&StoredRule>) -> Unit {
    let check = stored.and_then(|stored| crate::state::alerts::scope::metric_check(&stored.rule));
    check.map_or(Unit::Count, |check| unit_of(&check.quantity))
}

/// Value and level: `97% > 95%`; empty without a value.
pub(crate) fn comparison(board: &Board, alert: &Alert) -> String {
    against(board.rule(&alert.key.rule), alert.value, alert.threshold)
}

/// The same of a step.
pub(crate) fn comparison_of_step(board: &Board, step: &Transition) -> String {
    against(board.rule(&step.key.rule), step.value, step.threshold)
}

fn against(stored: Option<&StoredRule>, value: Option<f64>, threshold: Option<f64>) -> String {
    let unit = unit(stored);
    let Some(value) = value else {
        return String::new();
    };
    let shown = format_value(value, unit);
    match threshold {
        // Said from the value: a rule that has been changed meanwhile must not make it wrong.
        Some(threshold) if value >= threshold => format!("{shown} > {}", format_value(threshold, unit)),
        Some(threshold) => format!("{shown} < {}", format_value(threshold, unit)),
        None => shown,
    }
}

/// How an alert stands, in a few words, from the fullest wording to the shortest.
pub(crate) fn standing(state: &State, alert: &Alert) -> [String; 2] {
    let now = state.aggregator_now();
    let both = |full: &str, short: &str| [full.to_owned(), short.to_owned()];
    let [full, short] = match Standing::of(alert) {
        Standing::Silenced if alert.silenced.is_none() => both("inhibited: machine down", "inhibited"),
        Standing::Silenced => {
            let silence = alert.silenced.and_then(|id| state.alerts.board.silence(id));
            match silence.map(|silence| silence.until.since_ms(now)) {
                Some(left_ms) => [
                    format!("silenced, {} left", duration(left_ms)),
                    format!("silenced {}", sysmon_core::format_age(left_ms)),
                ],
                None => both("silenced", "silenced"),
            }
        }
        Standing::Acknowledged => {
            let by = alert.acknowledged.as_ref().map_or("", |known| known.by.as_str());
            let text = format!("ack {by}");
            both(&text, &text)
        }
        Standing::Pending | Standing::Firing | Standing::Resolved => {
            let word = match alert.phase {
                Phase::NoData => "no data",
                phase => phase.word(),
            };
            // That it comes and goes says that it fires.
            both(word, if alert.flapping { "flapping" } else { word })
        }
    };
    if alert.flapping {
        [format!("{full}, flapping"), short]
    } else {
        [full, short]
    }
}

/// What is known beside how it stands: what somebody said, or the busiest processes.
pub(crate) fn remark(alert: &Alert) -> String {
    if let Some(known) = alert
        .acknowledged
        .as_ref()
        .filter(|known| !known.comment.is_empty())
    {
        return format!("\"{}\"", known.comment);
    }
    let busiest = alert.culprits.iter().map(|culprit| {
        let cpu = format_value(culprit.cpu_percent, Unit::Percent);
        let memory = format_value(culprit.memory_bytes as f64, Unit::Bytes);
        format!("{} {cpu} {memory}", culprit.name)
    });
    busiest.collect::<Vec<_>>().join(", ")
}

/// What a silence mutes.
pub(crate) fn silence(board: &Board, silence: &Silence) -> String {
    let matcher = &silence.matcher;
    let list = |all: &[String], word: &str| match all.len() {
        0 => None,
        1 | 2 => Some(all.join(" and ")),
        count => Some(format!("{count} {word}")),
    };
    let rules: Vec<String> = matcher
        .rules
        .iter()
        .map(|id| board.title(id).to_owned())
        .collect();
    let machines: Vec<String> = matcher.machines.iter().map(ToString::to_string).collect();
    let mut text = list(&rules, "rules").unwrap_or_else(|| "everything".into());
    let places = [
        list(&machines, "machines"),
        list(&matcher.labels, "labels"),
        list(&matcher.entities, "entities"),
    ];
    let places: Vec<String> = places.into_iter().flatten().collect();
    if places.is_empty() {
        text.push_str(" everywhere");
    } else {
        text.push_str(&format!(" on {}", places.join(", ")));
    }
    text
}

/// Why the rules are not being judged; `None` while they are.
pub(crate) fn service(state: &State) -> Option<String> {
    if !state.is_live() {
        return None;
    }
    let what = "alerting";
    Some(match state.alerts.silence_ms(state.aggregator_now())? {
        None => format!("no {what}"),
        Some(silence_ms) => format!("{what} silent {}", duration(silence_ms / 1_000 * 1_000)),
    })
}

/// Since when, as an age: `4m`.
pub(crate) fn age(state: &State, at: UnixMillis) -> String {
    sysmon_core::format_age(state.aggregator_now().since_ms(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::editor::proposal::proposed;
    use sysmon_core::MetricId;

    #[test]
    fn a_rule_is_said_as_people_would_say_it() {
        let of = |metric| rule(&proposed(metric, Some(10.0), &[]).unwrap());
        assert_eq!(
            of(MetricId::CpuBusy),
            "CPU busy, mean of 10 min, above 85% / 95% for 1 min"
        );
        assert_eq!(
            of(MetricId::OomKills),
            "Memory OOM kills, growth in 1 h, above 1 for 1 min"
        );
        assert_eq!(of(MetricId::NetworkLinkUp), "Network link up, is no for 1 min");
        assert_eq!(
            metric_title("disk.total_read_bytes_per_second"),
            "Disk total read"
        );
        assert_eq!(metric_title(""), "");
    }
}
