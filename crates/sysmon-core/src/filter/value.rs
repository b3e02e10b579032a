//! Numbers with units, as people write them and as they are shown: bytes in powers of 1024, rates in powers of 1000.

use crate::catalogue::Unit;

/// Numbers beyond this are refused; they could not be written shortly.
const LARGEST: f64 = 1e18;

/// Reads a number with an optional unit; `None` when it is none, or has a unit that does not go with `unit`.
pub(super) fn parse(text: &str, unit: Unit) -> Option<f64> {
    if unit == Unit::Flag {
        return match text.to_lowercase().as_str() {
            "yes" | "true" | "on" | "up" | "1" => Some(1.0),
            "no" | "false" | "off" | "down" | "0" => Some(0.0),
            _ => None,
        };
    }
    let is_number = |character: char| character.is_ascii_digit() || "+-.".contains(character);
    let (digits, suffix) = text.split_at(text.find(|character| !is_number(character)).unwrap_or(text.len()));
    let number: f64 = digits.parse().ok()?;
    let value = number * factor(suffix.trim(), unit)?;
    // Also false for what is not a number.
    (value.abs() <= LARGEST).then(|| round(value))
}

/// What a number of this suffix is to be multiplied with.
fn factor(suffix: &str, unit: Unit) -> Option<f64> {
    let suffix = suffix.to_lowercase();
    if suffix.is_empty() {
        return Some(1.0);
    }
    match unit {
        Unit::Percent => (suffix == "%").then_some(1.0),
        Unit::Celsius => matches!(suffix.as_str(), "c" | "°c" | "°").then_some(1.0),
        Unit::RevolutionsPerMinute => (suffix == "rpm").then_some(1.0),
        Unit::Count => prefix(&suffix, 1_000.0),
        Unit::PerSecond => match suffix.strip_suffix("/s") {
            Some("") => Some(1.0),
            Some(rest) => prefix(rest, 1_000.0),
            None => prefix(&suffix, 1_000.0),
        },
        Unit::Bytes => bytes(&suffix, 1_024.0),
        Unit::BytesPerSecond => {
            let amount = suffix.strip_suffix("/s").unwrap_or(&suffix);
            match amount.strip_suffix("bit") {
                Some("") => Some(0.125),
                Some(rest) => prefix(rest, 1_000.0).map(|factor| factor / 8.0),
                None => bytes(amount, 1_000.0),
            }
        }
        Unit::Seconds => duration_ms(&suffix).map(|milliseconds| milliseconds / 1_000.0),
        Unit::Milliseconds => duration_ms(&suffix),
        Unit::Flag => None,
    }
}

fn bytes(suffix: &str, base: f64) -> Option<f64> {
    let amount = suffix.strip_suffix('b').unwrap_or(suffix);
    match amount.strip_suffix('i') {
        // "i" says powers of 1024 for certain.
        Some(rest) => prefix(rest, 1_024.0),
        None if amount.is_empty() => Some(1.0),
        None => prefix(amount, base),
    }
}

fn prefix(letter: &str, base: f64) -> Option<f64> {
    let power = ["k", "m", "g", "t", "p"]
        .iter()
        .position(|known| *known == letter)?;
    // At most five.
    Some(base.powi(i32::try_from(power).unwrap_or(0) + 1))
}

fn duration_ms(suffix: &str) -> Option<f64> {
    Some(match suffix {
        "us" | "µs" => 0.001,
        "ms" => 1.0,
        "s" | "sec" => 1_000.0,
        "m" | "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        "w" => 604_800_000.0,
        _ => return None,
    })
}

/// Six digits after the point are enough, and let every number be printed and read back exactly.
fn round(value: f64) -> f64 {
    let rounded = if value.abs() < 1e9 {
        (value * 1e6).round() / 1e6
    } else {
        value.round()
    };
    // There is only one zero.
    rounded + 0.0
}

/// The number with the largest unit in which it is short, as [`parse`] reads it back.
pub(super) fn print(value: f64, unit: Unit) -> String {
    const SHORT: usize = 7;
    let suffixes: &[&str] = match unit {
        Unit::Percent => &["%"],
        Unit::Celsius => &["C"],
        Unit::RevolutionsPerMinute | Unit::Count => &[""],
        Unit::PerSecond => &["/s"],
        Unit::Bytes => &["T", "G", "M", "k"],
        Unit::BytesPerSecond => &["GB/s", "MB/s", "kB/s"],
        Unit::Seconds | Unit::Milliseconds => &["d", "h", "m", "s", "ms"],
        Unit::Flag => return (if value == 0.0 { "no" } else { "yes" }).into(),
    };
    for suffix in suffixes {
        let scaled = value / factor(suffix, unit).unwrap_or(1.0);
        let text = format!("{scaled}{suffix}");
        if scaled.abs() >= 1.0 && text.len() <= SHORT + suffix.len() && parse(&text, unit) == Some(value) {
            return text;
        }
    }
    format!("{value}")
}

/// What a value of this unit looks like, for error messages and completion.
pub(super) fn examples(unit: Unit) -> &'static [&'static str] {
    match unit {
        Unit::Percent => &["50%", "90%"],
        Unit::Celsius => &["80C"],
        Unit::RevolutionsPerMinute => &["1000"],
        Unit::Count => &["4", "10k"],
        Unit::PerSecond => &["100/s", "10k/s"],
        Unit::Bytes => &["5G", "500M"],
        Unit::BytesPerSecond => &["10MB/s", "100Mbit/s"],
        Unit::Seconds => &["5m", "2h", "3d"],
        Unit::Milliseconds => &["20ms", "5s"],
        Unit::Flag => &["yes", "no"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UNITS: [Unit; 10] = [
        Unit::Percent,
        Unit::Bytes,
        Unit::BytesPerSecond,
        Unit::PerSecond,
        Unit::Count,
        Unit::Milliseconds,
        Unit::Seconds,
        Unit::Celsius,
        Unit::RevolutionsPerMinute,
        Unit::Flag,
    ];

    #[test]
    fn units_mean_what_the_screen_means_by_them() {
        for (text, unit, value) in [
            ("50", Unit::Percent, Some(50.0)),
            ("50%", Unit::Percent, Some(50.0)),
            ("50G", Unit::Percent, None),
            ("5G", Unit::Bytes, Some(5_368_709_120.0)),
            ("5GB", Unit::Bytes, Some(5_368_709_120.0)),
            ("5GiB", Unit::Bytes, Some(5_368_709_120.0)),
            ("512b", Unit::Bytes, Some(512.0)),
            ("5G/s", Unit::Bytes, None),
            ("10MB/s", Unit::BytesPerSecond, Some(10_000_000.0)),
            ("10m", Unit::BytesPerSecond, Some(10_000_000.0)),
            ("1MiB/s", Unit::BytesPerSecond, Some(1_048_576.0)),
            ("100Mbit/s", Unit::BytesPerSecond, Some(12_500_000.0)),
            ("5m", Unit::Seconds, Some(300.0)),
            ("2h", Unit::Seconds, Some(7_200.0)),
            ("3d", Unit::Seconds, Some(259_200.0)),
            ("500ms", Unit::Seconds, Some(0.5)),
            ("5s", Unit::Milliseconds, Some(5_000.0)),
            ("-5s", Unit::Milliseconds, Some(-5_000.0)),
            ("10k", Unit::Count, Some(10_000.0)),
            ("80°C", Unit::Celsius, Some(80.0)),
            ("up", Unit::Flag, Some(1.0)),
            ("maybe", Unit::Flag, None),
            ("", Unit::Count, None),
            ("1e300", Unit::Count, None),
            ("9999999999999999999", Unit::Count, None),
            ("-", Unit::Count, None),
            ("1.2.3", Unit::Count, None),
            ("inf", Unit::Count, None),
            ("nan", Unit::Count, None),
        ] {
            assert_eq!(parse(text, unit), value, "{text} {unit:?}");
        }
    }

    #[test]
    fn numbers_are_printed_shortly() {
        for (value, unit, text) in [
            (50.0, Unit::Percent, "50%"),
            (0.5, Unit::Percent, "0.5"),
            (5_368_709_120.0, Unit::Bytes, "5G"),
            (12_500_000.0, Unit::BytesPerSecond, "12.5MB/s"),
            (90.0, Unit::Seconds, "1.5m"),
            (0.5, Unit::Seconds, "500ms"),
            (-5_000.0, Unit::Milliseconds, "-5s"),
            (7.0, Unit::Count, "7"),
            (1.0, Unit::Flag, "yes"),
        ] {
            assert_eq!(print(value, unit), text);
        }
    }

    #[test]
    fn every_example_is_read() {
        for unit in UNITS {
            for example in examples(unit) {
                assert!(parse(example, unit).is_some(), "{example} {unit:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back_exactly(
            digits in "-?[0-9]{1,17}(\\.[0-9]{1,9})?", suffix in "|k|M|G|%|s|m|h|d|ms|B|MB/s|/s", unit in prop::sample::select(&UNITS),
        ) {
            if let Some(value) = parse(&format!("{digits}{suffix}"), unit) {
                let text = print(value, unit);
                prop_assert_eq!(parse(&text, unit), Some(value), "{}", text);
                prop_assert!(text.len() <= 28, "{}", text);
            }
        }
    }
}
