//! Times as people type them.

use proptest::prelude::*;

use super::*;

/// Monday, 23 November 2026, 14:05:32 UTC.
const NOW: UnixMillis = UnixMillis(1_795_442_732_000);
const HOUR: i64 = 3_600_000;

fn shown(text: &str, utc_offset_seconds: i32) -> String {
    match parse(text, NOW, utc_offset_seconds) {
        Ok(at) => crate::words::local(at, utc_offset_seconds, "%a %Y-%m-%d %H:%M:%S"),
        Err(reason) => reason,
    }
}

#[test]
fn what_people_type_is_understood() {
    for (text, expected) in [
        ("3m ago", "Mon 2026-11-23 14:02:32"),
        ("-2h", "Mon 2026-11-23 12:05:32"),
        ("1h30m ago", "Mon 2026-11-23 12:35:32"),
        ("2 hours ago", "Mon 2026-11-23 12:05:32"),
        ("-90s", "Mon 2026-11-23 14:04:02"),
        ("1w ago", "Mon 2026-11-16 14:05:32"),
        ("14:05", "Mon 2026-11-23 14:05:00"),
        ("14:05:30", "Mon 2026-11-23 14:05:30"),
        ("9:30", "Mon 2026-11-23 09:30:00"),
        ("23:00", "Sun 2026-11-22 23:00:00"),
        ("today 9:00", "Mon 2026-11-23 09:00:00"),
        ("Yesterday 14:00", "Sun 2026-11-22 14:00:00"),
        ("yesterday", "Sun 2026-11-22 14:05:32"),
        ("mon 9:30", "Mon 2026-11-23 09:30:00"),
        ("monday 20:00", "Mon 2026-11-16 20:00:00"),
        ("sat 12:00", "Sat 2026-11-21 12:00:00"),
        ("2026-11-20 14:05", "Fri 2026-11-20 14:05:00"),
        ("2026-11-20T14:05:09", "Fri 2026-11-20 14:05:09"),
        ("2026-11-20", "Fri 2026-11-20 00:00:00"),
        ("11-20 08:00", "Fri 2026-11-20 08:00:00"),
        ("12-24 08:00", "Wed 2025-12-24 08:00:00"),
        (" now ", "Mon 2026-11-23 14:05:32"),
        ("", "Mon 2026-11-23 14:05:32"),
    ] {
        assert_eq!(shown(text, 0), expected, "{text}");
    }
}

#[test]
fn the_clock_is_that_of_whoever_types() {
    // 01:05:32 on Tuesday, eleven hours further east.
    let east = 11 * 3_600;
    assert_eq!(shown("0:30", east), "Tue 2026-11-24 00:30:00");
    assert_eq!(shown("14:00", east), "Mon 2026-11-23 14:00:00");
    assert_eq!(
        parse("14:00", NOW, east),
        Ok(UnixMillis(NOW.0 - 5 * 60_000 - 32_000 - 11 * HOUR))
    );
}

#[test]
fn what_is_not_understood_says_what_would_be() {
    for text in [
        "soon",
        "25:00",
        "14",
        "14:5x",
        "14:05:30:10",
        "ago",
        "-",
        "-3",
        "3m",
        "3 ago",
        "2026-13-01 10:00",
        "yesterday at noon",
        "2026-11-20 nine",
        "t",
        "-2h ago",
    ] {
        let reason = parse(text, NOW, 0).unwrap_err();
        assert!(reason.contains("3m ago"), "{text}: {reason}");
    }
    for text in ["2026-11-24 10:00", "today 23:00", "2027-01-01"] {
        let reason = parse(text, NOW, 0).unwrap_err();
        assert!(reason.contains("not come yet"), "{text}: {reason}");
    }
    assert!(
        parse("99999999d ago", NOW, 0)
            .unwrap_err()
            .contains("too long ago")
    );
}

proptest! {
    #[test]
    fn nothing_that_is_typed_breaks_it_or_leads_into_the_future(
        text in "\\PC{0,70}", now in any::<i64>(), offset in -86_400i32..86_400,
    ) {
        if let Ok(at) = parse(&text, UnixMillis(now), offset) {
            prop_assert!(at <= UnixMillis(now));
        }
    }

    #[test]
    fn times_and_lengths_of_any_size_are_taken_or_refused(
        text in "-?[0-9]{0,22}[smhdwt:-]?[0-9]{0,4}[:-]?[0-9]{0,4}( ago| [0-9:]{0,8})?", now in any::<i64>(),
    ) {
        if let Ok(at) = parse(&text, UnixMillis(now), 0) {
            prop_assert!(at <= UnixMillis(now));
        }
    }
}
