//! Durations as people write them in a rule: `90s`, `10m`, `1h30m`, `7d`.

use serde::{Deserialize, Deserializer, Serializer, de};

const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Milliseconds as text: the largest units first, none of them zero; `0s` for nothing.
pub(super) fn to_text(mut ms: u64) -> String {
    let mut text = String::new();
    for (unit, length) in UNITS {
        let count = ms / length;
        ms %= length;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// Milliseconds of a text, or what is wrong with it.
pub(super) fn from_text(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no duration; write it like 90s, 10m, 1h30m or 7d");
    let (mut rest, mut total) = (text.trim(), 0u64);
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
        let (_, length) = UNITS
            .iter()
            .find(|(unit, _)| *unit == &rest[..letters])
            .ok_or_else(wrong)?;
        rest = &rest[letters..];
        total = count
            .checked_mul(*length)
            .and_then(|part| part.checked_add(total))
            .ok_or_else(wrong)?;
    }
    Ok(total)
}

pub(super) fn serialize<S: Serializer>(ms: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&to_text(*ms))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    from_text(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_they_are_written() {
        for (text, ms) in [
            ("0s", 0),
            ("250ms", 250),
            ("90s", 90_000),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(from_text(text), Ok(ms));
            assert_eq!(from_text(&to_text(ms)), Ok(ms));
        }
        assert_eq!(to_text(90_000), "1m30s");
        for bad in [
            "",
            "5",
            "m",
            "5 m",
            "-5m",
            "5x",
            "1.5h",
            "99999999999999999999d",
            "999999999999999d",
            "ünf",
        ] {
            assert!(from_text(bad).is_err(), "{bad:?}");
        }
    }
}
