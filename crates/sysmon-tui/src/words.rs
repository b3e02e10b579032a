//! What is said of times, gaps and stores, in words.

use sysmon_core::{Gap, GapReason, Health, Liveness, Tier, UnixMillis, display_width};

use crate::axis::{Axis, Range};
use crate::state::State;
use crate::state::past::Keeping;
use crate::state::storage::{Component, StorageHealth};

pub(crate) mod alerts;

pub(crate) use alerts::metric_title;

/// How a machine is, in a word: what is silent is neither well nor bad.
pub(crate) fn state(liveness: Liveness, health: Health) -> &'static str {
    match liveness {
        Liveness::Live => health.word(),
        Liveness::Stale | Liveness::Lost => liveness.word(),
    }
}

/// A duration in one unit: `40 s`, `12 min`, `2.5 h`, `3 d`.
pub(crate) fn duration(milliseconds: u64) -> String {
    const MINUTE: f64 = 60_000.0;
    const HOUR: f64 = 60.0 * MINUTE;
    let (value, unit) = match milliseconds as f64 {
        value if value < 1.5 * MINUTE => (value / 1_000.0, "s"),
        value if value < 1.5 * HOUR => (value / MINUTE, "min"),
        value if value < 48.0 * HOUR => (value / HOUR, "h"),
        value => (value / (24.0 * HOUR), "d"),
    };
    // A half tells something below ten, and nothing above.
    let halves = (value * 2.0).round() / 2.0;
    if halves < 10.0 && halves.fract() != 0.0 {
        format!("{halves:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// A text on as many lines as it needs, broken between words; at least one line.
pub(crate) fn wrapped(text: &str, cells: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if display_width(line) + 1 + display_width(word) <= cells => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A number of things, in groups of three digits: `1,024`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A moment in local time, in a form of `chrono::format::strftime`; empty for one that no calendar has.
pub(crate) fn local(at: UnixMillis, utc_offset_seconds: i32, form: &str) -> String {
    let shifted = at.plus_ms(i64::from(utc_offset_seconds) * 1_000);
    chrono::DateTime::from_timestamp_millis(shifted.0)
        .map(|time| time.format(form).to_string())
        .unwrap_or_default()
}

/// When something was, seen from now: the time of day, and the day when it was not the same one.
pub(crate) fn moment(state: &State, at: UnixMillis, now: UnixMillis) -> String {
    let form = if now.since_ms(at) < 20 * 3_600_000 {
        "%H:%M"
    } else {
        "%-d %b %H:%M"
    };
    local(at, state.utc_offset_seconds, form)
}

/// The same with its seconds, as a start of a process is told from another.
pub(crate) fn moment_to_the_second(state: &State, at: UnixMillis, now: UnixMillis) -> String {
    let form = if now.since_ms(at) < 20 * 3_600_000 {
        "%H:%M:%S"
    } else {
        "%-d %b %H:%M:%S"
    };
    local(at, state.utc_offset_seconds, form)
}

/// What a gap was.
pub(crate) fn gap(gap: &Gap) -> String {
    let lost = if gap.samples == 1 {
        "1 sample lost".to_owned()
    } else if gap.samples > 0 {
        format!("{} samples lost", gap.samples)
    } else {
        "samples lost".to_owned()
    };
    match gap.reason {
        GapReason::Silent => format!("collector was off {}", duration(gap.to.since_ms(gap.from))),
        GapReason::SpoolFull => format!("{lost}: spool full"),
        GapReason::SpoolExpired => format!("{lost}: kept too long"),
        GapReason::SpoolLost => format!("{lost}: spool gone"),
        GapReason::SpoolDamaged => format!("{lost}: spool damaged"),
    }
}

/// How a store is that is not well, for the bar at the top.
pub(crate) fn storage(component: &Component, now: UnixMillis) -> String {
    let word = component.health.word();
    match component.health {
        StorageHealth::Down => {
            let age = duration(now.since_ms(component.since) / 1_000 * 1_000);
            format!("{} {word} {age}", component.role)
        }
        _ => format!("{} {word}", component.role),
    }
}

/// What the charts show, from the fullest wording to the shortest.
pub(crate) fn range(state: &State, axis: &Axis, machine: &str) -> Vec<String> {
    let range = state.past.range();
    let last = if state.is_in_past() {
        format!("{} around the moment", range.name())
    } else {
        format!("last {}", range.name())
    };
    if state.past.is_loading(machine) && state.past.failure.is_none() {
        return vec![format!("{last} · loading history…"), last];
    }
    let step_ms = step_ms(state, axis, machine);
    let each = format!("{last} · {} per dot", duration(step_ms));
    let mut wordings = vec![each, last];
    if range != Range::FiveMinutes {
        wordings.insert(0, format!("{} · line mean, band min–max", wordings[0]));
    }
    wordings
}

/// How much time a dot really stands for: the answer may be coarser than the chart.
pub(crate) fn step_ms(state: &State, axis: &Axis, machine: &str) -> u64 {
    let history = state
        .past
        .answer_for(machine)
        .and_then(|answer| answer.history.as_ref());
    history.map_or(0, |history| history.step_ms).max(axis.step_ms)
}

/// Where the past on screen comes from.
pub(crate) fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Raw => "from samples",
        Tier::Minute => "from 1 min roll-ups",
        Tier::Hour => "from 1 h roll-ups",
    }
}

/// Why the past is not on screen; `None` when it is, or when nothing of it is wanted.
pub(crate) fn absence(state: &State, machine: &str) -> Option<String> {
    let past = &state.past;
    if past
        .answer_for(machine)
        .is_some_and(|answer| answer.history.is_some())
    {
        return None;
    }
    if past.keeping == Keeping::NotKept {
        return (past.range() != Range::FiveMinutes).then(|| "no history is kept here".to_owned());
    }
    if let Some(failure) = &past.failure {
        let history = state.storage.history();
        let down = history.filter(|history| history.health == StorageHealth::Down);
        if let Some(component) = down {
            let since = moment(state, component.since, state.aggregator_now());
            return Some(format!("history is down since {since}: showing live only"));
        }
        if failure.reason.is_empty() {
            let since = moment(state, failure.since, state.now);
            return Some(format!("history is down since {since}: showing live only"));
        }
        return Some(format!("no history: {}", failure.reason));
    }
    if past.is_loading(machine) {
        return Some("loading history…".into());
    }
    if !state.is_live() && past.answer_for(machine).is_none() {
        return Some("history not loaded: no connection".into());
    }
    let is_empty = past
        .answer_for(machine)
        .is_some_and(|answer| answer.history.is_none());
    is_empty.then(|| "nothing in history before this".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_and_round() {
        for (milliseconds, text) in [
            (500, "0.5 s"),
            (12_000, "12 s"),
            (25_000, "25 s"),
            (150_000, "2.5 min"),
            (720_000, "12 min"),
            (4_200_000, "70 min"),
            (18_000_000, "5 h"),
            (4 * 86_400_000, "4 d"),
        ] {
            assert_eq!(duration(milliseconds), text);
        }
    }

    #[test]
    fn a_gap_says_what_was_lost_and_why() {
        let of = |samples, reason| {
            gap(&Gap {
                from: UnixMillis(0),
                to: UnixMillis(720_000),
                samples,
                reason,
            })
        };
        assert_eq!(of(0, GapReason::Silent), "collector was off 12 min");
        assert_eq!(of(412, GapReason::SpoolFull), "412 samples lost: spool full");
        assert_eq!(of(0, GapReason::SpoolLost), "samples lost: spool gone");
    }

    #[test]
    fn large_numbers_are_cut_into_threes() {
        let texts = [0, 999, 1_024, 1_234_567].map(count);
        assert_eq!(texts, ["0", "999", "1,024", "1,234,567"]);
    }

    #[test]
    fn times_are_local() {
        assert_eq!(local(UnixMillis(0), 3_600, "%H:%M"), "01:00");
        assert_eq!(local(UnixMillis(i64::MAX), 3_600, "%H:%M"), "");
    }
}
