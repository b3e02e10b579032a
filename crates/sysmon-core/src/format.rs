//! Numbers as people read them: three significant digits, units that do not flip back and forth, fixed widths.

use crate::catalogue::Unit;

/// A value in its unit, at most seven cells wide: `97%`, `12.4G`, `3.10M`, `880`, `9.1ms`, `14d`. Values that are not
/// finite show as `–`.
#[must_use]
pub fn format_value(value: f64, unit: Unit) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    match unit {
        Unit::Percent => format_percent(value),
        Unit::Bytes => with_prefix(value, 1024.0),
        Unit::BytesPerSecond | Unit::PerSecond | Unit::Count => with_prefix(value, 1000.0),
        Unit::Milliseconds => format_milliseconds(value),
        Unit::Seconds => format_duration(value.max(0.0) as u64),
        Unit::Celsius => format!("{value:.0}°C"),
        Unit::RevolutionsPerMinute => format!("{value:.0}"),
        Unit::Flag => (if value == 0.0 { "no" } else { "yes" }).into(),
    }
}

/// A value per second with its unit spelled out, as on charts: `12.4 MB/s`, `88/s`.
#[must_use]
pub fn format_rate(value: f64, unit: Unit) -> String {
    let text = format_value(value, unit);
    match unit {
        Unit::BytesPerSecond => match text.strip_suffix(|last: char| last.is_ascii_alphabetic()) {
            Some(digits) => format!("{digits} {}B/s", &text[digits.len()..]),
            None => format!("{text} B/s"),
        },
        Unit::PerSecond => format!("{text}/s"),
        _ => text,
    }
}

/// A duration in seconds in its two largest parts at most: `42s`, `5m`, `3h 20m`, `14d 2h`.
#[must_use]
pub fn format_duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => match minutes % 60 {
            0 => format!("{hours}h"),
            rest => format!("{hours}h {rest}m"),
        },
        (days, hours, _) => match hours % 24 {
            0 => format!("{days}d"),
            rest => format!("{days}d {rest}h"),
        },
    }
}

/// An age in milliseconds in one part of at most three cells: `0s`, `59s`, `6m`, `23h`, `14d`.
#[must_use]
pub fn format_age(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        86_400..86_400_000 => format!("{}d", seconds / 86_400),
        _ => ">2y".into(),
    }
}

fn format_percent(value: f64) -> String {
    // Ten and above as whole numbers; below, one decimal shows that something moves at all.
    if value.abs() >= 9.95 || value.abs() < 0.05 {
        format!("{value:.0}%")
    } else {
        format!("{value:.1}%")
    }
}

fn format_milliseconds(value: f64) -> String {
    match value.abs() {
        size if size >= 99_950.0 => format_duration((value / 1_000.0).max(0.0) as u64),
        size if size >= 999.5 => format!("{:.1}s", value / 1_000.0),
        size if !(0.005..9.95).contains(&size) => format!("{value:.0}ms"),
        size if size >= 0.995 => format!("{value:.1}ms"),
        _ => format!("{value:.2}ms"),
    }
}

fn with_prefix(value: f64, base: f64) -> String {
    const PREFIXES: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let mut scaled = value;
    let mut prefix = 0;
    // 999.5 would round to a fourth digit.
    while scaled.abs() >= 999.5 && prefix + 1 < PREFIXES.len() {
        scaled /= base;
        prefix += 1;
    }
    let digits = match scaled.abs() {
        _ if prefix == 0 && scaled.fract() == 0.0 => 0,
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size < 0.005 => 0,
        _ if prefix == 0 && base == 1024.0 => 0,
        _ => 2,
    };
    format!("{scaled:.digits$}{}", PREFIXES[prefix])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_read_as_an_engineer_would_write_them() {
        for (value, unit, text) in [
            (97.2, Unit::Percent, "97%"),
            (3.12, Unit::Percent, "3.1%"),
            (0.0, Unit::Percent, "0%"),
            (640.0, Unit::Percent, "640%"),
            (60_558_000_000.0, Unit::Bytes, "56.4G"),
            (1024.0, Unit::Bytes, "1.00k"),
            (512.0, Unit::Bytes, "512"),
            (12_400_000.0, Unit::BytesPerSecond, "12.4M"),
            (880_400.0, Unit::BytesPerSecond, "880k"),
            (3.8, Unit::Count, "3.80"),
            (412.0, Unit::Count, "412"),
            (9.08, Unit::Milliseconds, "9.1ms"),
            (0.42, Unit::Milliseconds, "0.42ms"),
            (1_500.0, Unit::Milliseconds, "1.5s"),
            (1_209_600.0, Unit::Seconds, "14d"),
            (f64::NAN, Unit::Percent, "–"),
        ] {
            assert_eq!(format_value(value, unit), text);
        }
        assert_eq!(format_rate(12_400_000.0, Unit::BytesPerSecond), "12.4 MB/s");
        assert_eq!(format_rate(12.0, Unit::BytesPerSecond), "12 B/s");
    }

    proptest! {
        #[test]
        fn a_cell_of_seven_is_always_enough(value in 0.0..1e18f64) {
            for unit in [Unit::Bytes, Unit::BytesPerSecond, Unit::PerSecond, Unit::Count] {
                prop_assert!(format_value(value, unit).chars().count() <= 5, "{}", format_value(value, unit));
            }
        }

        #[test]
        fn an_age_takes_at_most_three_cells(milliseconds in any::<u64>()) {
            prop_assert!(format_age(milliseconds).chars().count() <= 3 || milliseconds >= 8_640_000_000);
        }
    }
}
