//! Numbers and durations as people type them: `90`, `5G`, `10m`.

use sysmon_core::Unit;
use sysmon_core::alert::{Function, Quantity};
use sysmon_core::{MetricId, format_value};

const DURATIONS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Durations that the arrow keys step through.
const STOPS_MS: [u64; 17] = [
    0,
    10_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    900_000,
    1_800_000,
    3_600_000,
    7_200_000,
    14_400_000,
    28_800_000,
    43_200_000,
    86_400_000,
    172_800_000,
    604_800_000,
];

/// A duration as it is typed: `0s`, `90s` as `1m30s`, `7d`.
pub(crate) fn duration_text(mut ms: u64) -> String {
    let mut text = String::new();
    for (unit, length) in DURATIONS {
        let count = ms / length;
        ms %= length;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// The milliseconds of a typed duration. A number without a unit is minutes: that is what most of them are.
///
/// # Errors
/// What to write instead.
pub(crate) fn parse_duration(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!(
            "{:?} is no duration; write it like 90s, 10m, 1h30m or 7d",
            text.trim()
        )
    };
    let compact: String = text.split_whitespace().collect();
    if let Ok(minutes) = compact.parse::<u32>() {
        return Ok(u64::from(minutes) * 60_000);
    }
    let (mut rest, mut total) = (compact.as_str(), 0u64);
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|character: char| !character.is_ascii_digit())
            .ok_or_else(wrong)?;
        let count: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest
            .find(|character: char| !character.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "min" => "m",
            unit => unit,
        };
        let (_, length) = DURATIONS
            .iter()
            .find(|(known, _)| *known == unit)
            .ok_or_else(wrong)?;
        rest = &rest[letters..];
        let part = count.checked_mul(*length).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
    }
    Ok(total)
}

/// The next stop up or down from a duration; two of them at once when `is_big`.
pub(crate) fn step_duration(ms: u64, is_up: bool, is_big: bool) -> u64 {
    let one = |ms: u64| {
        if is_up {
            STOPS_MS.into_iter().find(|stop| *stop > ms).unwrap_or(ms)
        } else {
            STOPS_MS.into_iter().rev().find(|stop| *stop < ms).unwrap_or(0)
        }
    };
    if is_big { one(one(one(ms))) } else { one(ms) }
}

/// The unit of what a quantity comes to.
pub(crate) fn unit_of(quantity: &Quantity) -> Unit {
    let own = MetricId::from_name(&quantity.metric).map_or(Unit::Count, |metric| metric.definition().unit);
    match (quantity.function, quantity.per.is_some(), own) {
        (Function::TimeToFull, _, _) => Unit::Seconds,
        (_, true, _) => Unit::Count,
        (Function::Rate, false, Unit::Bytes) => Unit::BytesPerSecond,
        (Function::Rate, false, Unit::Count) => Unit::PerSecond,
        (_, false, own) => own,
    }
}

/// A value as it is typed, exact: what is parsed of it is the same value.
pub(crate) fn value_text(value: f64, unit: Unit) -> String {
    if !value.is_finite() {
        return String::new();
    }
    let exact = |text: String| (parse_value(&text, unit) == Ok(value)).then_some(text);
    let suffixed = match unit {
        Unit::Seconds if value >= 1.0 && value.fract() == 0.0 && value < 1e12 => {
            exact(duration_text((value as u64).saturating_mul(1_000)))
        }
        Unit::Bytes | Unit::BytesPerSecond | Unit::PerSecond | Unit::Count => {
            let base: f64 = if unit == Unit::Bytes { 1024.0 } else { 1000.0 };
            let prefixes = ["T", "G", "M", "k"].into_iter().zip([4, 3, 2, 1]);
            let mut fitting = prefixes.filter(|(_, power)| value.abs() >= base.powi(*power));
            fitting.find_map(|(prefix, power)| {
                let scaled = (value / base.powi(power) * 1_000.0).round() / 1_000.0;
                exact(format!("{scaled}{prefix}"))
            })
        }
        _ => None,
    };
    suffixed.unwrap_or_else(|| format!("{value}"))
}

/// Letters above which nobody reads a value to its last digit: 5 × 10⁹ bytes are `4882812.5k`.
const EXACT_MAX: usize = 8;

/// A value as it is shown: typed form and unit, such as `90%`, `5G`, `20ms`; one that takes many digits is rounded.
pub(crate) fn value_shown(value: f64, unit: Unit) -> String {
    let exact = value_text(value, unit);
    let text = if exact.len() > EXACT_MAX {
        value_text(rounded(value, unit), unit)
    } else {
        exact
    };
    match unit {
        Unit::Percent => format!("{text}%"),
        Unit::Bytes => format!("{text}B"),
        Unit::BytesPerSecond => format!("{text}B/s"),
        Unit::PerSecond => format!("{text}/s"),
        Unit::Milliseconds => format!("{text}ms"),
        Unit::Celsius => format!("{text}°C"),
        Unit::RevolutionsPerMinute => format!("{text}rpm"),
        Unit::Seconds | Unit::Count => text,
        Unit::Flag => format_value(value, unit),
    }
}

/// The value of what was typed in this unit.
///
/// # Errors
/// What to write instead.
pub(crate) fn parse_value(text: &str, unit: Unit) -> Result<f64, String> {
    let compact: String = text.split_whitespace().collect();
    let advice = match unit {
        Unit::Percent => "a percentage like 90",
        Unit::Bytes => "a size like 5G or 512M",
        Unit::BytesPerSecond => "a rate like 50M",
        Unit::PerSecond | Unit::Count => "a number like 10 or 2k",
        Unit::Milliseconds => "a time like 20 or 1.5s",
        Unit::Seconds => "a duration like 30s, 10m or 4h",
        Unit::Celsius => "a temperature like 80",
        Unit::RevolutionsPerMinute => "a number like 1200",
        Unit::Flag => "1 for yes or 0 for no",
    };
    let wrong = || format!("{:?} does not fit here; write {advice}", text.trim());
    let split = compact
        .find(|character: char| character.is_alphabetic() || "%°/".contains(character))
        .unwrap_or(compact.len());
    let (digits, suffix) = compact.split_at(split);
    if unit == Unit::Seconds && !suffix.is_empty() {
        return parse_duration(&compact)
            .map(|ms| ms as f64 / 1_000.0)
            .map_err(|_| wrong());
    }
    let factor = factor(suffix, unit).ok_or_else(wrong)?;
    let number = match (unit, compact.as_str()) {
        (Unit::Flag, "yes") => 1.0,
        (Unit::Flag, "no") => 0.0,
        _ => digits.replace(',', ".").parse::<f64>().map_err(|_| wrong())?,
    };
    let value = number * factor;
    if value.is_finite() {
        Ok(value)
    } else {
        Err(wrong())
    }
}

/// What a suffix multiplies by; `None` for one that means nothing in this unit.
fn factor(suffix: &str, unit: Unit) -> Option<f64> {
    let lower = suffix.to_ascii_lowercase();
    let prefixed = |base: f64, rest: &[&str]| {
        let power = match lower.chars().next() {
            Some('k') => 1,
            Some('m') => 2,
            Some('g') => 3,
            Some('t') => 4,
            _ => 0,
        };
        let tail = if power > 0 { &lower[1..] } else { &lower };
        (tail.is_empty() || rest.contains(&tail)).then(|| base.powi(power))
    };
    match unit {
        Unit::Percent => matches!(lower.as_str(), "" | "%").then_some(1.0),
        Unit::Bytes => prefixed(1024.0, &["b", "ib"]),
        Unit::BytesPerSecond => prefixed(1000.0, &["b", "b/s", "/s"]),
        Unit::PerSecond => prefixed(1000.0, &["/s"]),
        Unit::Count => prefixed(1000.0, &[]),
        Unit::Milliseconds => match lower.as_str() {
            "" | "ms" => Some(1.0),
            "s" => Some(1_000.0),
            "m" | "min" => Some(60_000.0),
            _ => None,
        },
        Unit::Seconds => lower.is_empty().then_some(1.0),
        Unit::Celsius => matches!(lower.as_str(), "" | "c" | "°c" | "°").then_some(1.0),
        Unit::RevolutionsPerMinute => matches!(lower.as_str(), "" | "rpm").then_some(1.0),
        Unit::Flag => matches!(lower.as_str(), "" | "yes" | "no").then_some(1.0),
    }
}

/// A value with at most two digits behind the point of its prefix, so that it is typed and read in a few letters.
pub(crate) fn rounded(value: f64, unit: Unit) -> f64 {
    let (base, prefixes): (f64, &[&str]) = match unit {
        Unit::Bytes => (1024.0, &["", "k", "M", "G", "T"]),
        Unit::BytesPerSecond | Unit::PerSecond | Unit::Count => (1000.0, &["", "k", "M", "G", "T"]),
        Unit::Seconds if value >= 10.0 => return value.round(),
        _ => (1000.0, &[""]),
    };
    let powers = (0i32..).zip(prefixes);
    let (power, prefix) = powers
        .take_while(|(power, _)| *power == 0 || value.abs() >= base.powi(*power))
        .last()
        .unwrap_or((0, &""));
    let scaled = (value / base.powi(power) * 100.0).round() / 100.0;
    parse_value(&format!("{scaled}{prefix}"), unit).unwrap_or(value)
}

/// A value one step up or down: one percent, one degree, or about a twentieth of anything whose size is open; ten of
/// those when `is_big`. It stays on multiples of the step, and at or above 0.
pub(crate) fn step_value(value: f64, unit: Unit, is_up: bool, is_big: bool) -> f64 {
    let step = match unit {
        Unit::Percent | Unit::Celsius => 1.0,
        Unit::Flag => return if is_up { 1.0 } else { 0.0 },
        Unit::Seconds => {
            let stopped = step_duration((value.max(0.0) * 1_000.0) as u64, is_up, is_big);
            return stopped as f64 / 1_000.0;
        }
        Unit::Bytes => binary_step(value),
        _ => 10f64.powf(value.abs().max(0.1).log10().floor() - 1.0),
    };
    let step = if is_big { step * 10.0 } else { step };
    let count = value / step;
    // From between two multiples the first step lands on the next one.
    let next = if is_up {
        (count + 1e-9).floor() + 1.0
    } else {
        (count - 1e-9).ceil() - 1.0
    };
    // Without the dust that dividing by ten leaves behind.
    let moved = (next * step * 1e6).round() / 1e6;
    let moved = moved.max(0.0);
    if unit == Unit::Percent {
        moved.min(100.0f64.max(value))
    } else {
        moved
    }
}

fn binary_step(value: f64) -> f64 {
    let prefix = 1024f64.powf((value.abs().max(1.0).log2() / 10.0).floor());
    let shown = value.abs() / prefix;
    let step = if shown >= 100.0 {
        10.0
    } else if shown >= 10.0 {
        1.0
    } else {
        0.25
    };
    (prefix * step).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_shown_is_short_and_what_is_typed_is_exact() {
        assert_eq!(value_text(5e9, Unit::Bytes), "4882812.5k");
        assert_eq!(value_shown(5e9, Unit::Bytes), "4.66GB");
        assert_eq!(value_shown(19e6 / 7.0, Unit::BytesPerSecond), "2.71MB/s");
        assert_eq!(value_shown(92.5, Unit::Percent), "92.5%");
        for value in [0.0, 0.9, 17.1e6, 4.5 * 1_073_741_824.0, 1e300] {
            let short = rounded(value, Unit::BytesPerSecond);
            assert!((short - value).abs() <= value * 0.01, "{value}: {short}");
        }
    }

    #[test]
    fn what_people_type_is_understood() {
        for (text, unit, value) in [
            ("90", Unit::Percent, 90.0),
            (" 92.5 %", Unit::Percent, 92.5),
            ("92,5", Unit::Percent, 92.5),
            ("5G", Unit::Bytes, 5.0 * 1_073_741_824.0),
            ("512 MiB", Unit::Bytes, 512.0 * 1_048_576.0),
            ("50M", Unit::BytesPerSecond, 50e6),
            ("50 MB/s", Unit::BytesPerSecond, 50e6),
            ("1.5s", Unit::Milliseconds, 1_500.0),
            ("4h", Unit::Seconds, 14_400.0),
            ("1h30m", Unit::Seconds, 5_400.0),
            ("2k", Unit::Count, 2_000.0),
            ("80°C", Unit::Celsius, 80.0),
            ("yes", Unit::Flag, 1.0),
        ] {
            assert_eq!(parse_value(text, unit), Ok(value), "{text}");
        }
        for (text, unit) in [
            ("", Unit::Percent),
            ("many", Unit::Percent),
            ("5G", Unit::Percent),
            ("5X", Unit::Bytes),
            ("1e999", Unit::Count),
            ("inf", Unit::Count),
            ("4y", Unit::Seconds),
        ] {
            let problem = parse_value(text, unit).unwrap_err();
            assert!(problem.contains("write"), "{text}: {problem}");
        }
    }

    #[test]
    fn durations_read_as_they_are_written() {
        for (text, ms) in [
            ("0s", 0),
            ("1m30s", 90_000),
            ("10m", 600_000),
            ("7d", 604_800_000),
            ("250ms", 250),
        ] {
            assert_eq!(parse_duration(text), Ok(ms));
            assert_eq!(duration_text(ms), text);
        }
        assert_eq!(parse_duration("10"), Ok(600_000), "minutes");
        assert_eq!(parse_duration("10 min"), Ok(600_000));
        for bad in ["", "m", "-5m", "5x", "1.5h", "99999999999999999999d", "ünf"] {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn steps_fit_the_unit_and_land_on_round_numbers() {
        assert_eq!(step_value(85.0, Unit::Percent, true, false), 86.0);
        assert_eq!(step_value(85.0, Unit::Percent, false, true), 80.0);
        assert_eq!(step_value(100.0, Unit::Percent, true, false), 100.0);
        assert_eq!(step_value(0.5, Unit::Percent, false, true), 0.0);
        assert_eq!(step_value(2.0, Unit::Count, true, false), 2.1);
        assert_eq!(step_value(0.0, Unit::Count, true, false), 0.01);
        let gibibyte = 1_073_741_824.0;
        assert_eq!(
            step_value(5.0 * gibibyte, Unit::Bytes, true, false),
            5.25 * gibibyte
        );
        assert_eq!(step_duration(60_000, true, false), 120_000);
        assert_eq!(step_duration(0, false, true), 0);
        assert_eq!(step_duration(u64::MAX, true, true), u64::MAX);
    }

    proptest! {
        #[test]
        fn a_value_is_read_back_as_it_was_written(value in prop_oneof![0.0f64..1e13, (0u32..2_000).prop_map(f64::from)]) {
            for (unit, _) in Unit::WORDS {
                if unit != Unit::Flag {
                    prop_assert_eq!(parse_value(&value_text(value, unit), unit), Ok(value));
                }
            }
        }

        #[test]
        fn steps_go_where_they_should(value in 0.0f64..1e13, big in any::<bool>()) {
            for (unit, _) in Unit::WORDS {
                prop_assert!(step_value(value, unit, true, big) >= value.min(1.0));
                prop_assert!(step_value(value, unit, false, big) <= value);
            }
        }

        #[test]
        fn no_text_breaks_it(text in "\\PC{0,12}") {
            for (unit, _) in Unit::WORDS {
                let _ = parse_value(&text, unit);
            }
            let _ = parse_duration(&text);
        }
    }
}
