//! Moments as people type them.

use std::str::FromStr;

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use sysmon_core::UnixMillis;

use crate::settings::parse_duration;

const POSSIBLE: &str = "give a time such as 2026-03-01T14:05:00Z, \"2026-03-01 14:05\", 2026-03-01, 14:05, -90s, -1h, \
                        \"1h ago\" or now";

/// A moment, as it was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// So many milliseconds ago; 0 for now.
    Ago(u64),
    /// The same moment everywhere.
    At(UnixMillis),
    /// A date and time of this machine's time zone.
    Local(NaiveDateTime),
    /// The last time that the clocks of this machine's time zone showed this.
    TimeOfDay(NaiveTime),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let ago = |text: &str| {
            let duration = parse_duration(text.trim())?;
            u64::try_from(duration.as_millis()).ok().map(Self::Ago)
        };
        let relative = text
            .strip_prefix('-')
            .or_else(|| text.strip_suffix("ago"))
            .and_then(ago);
        if text == "now" {
            return Ok(Self::Ago(0));
        }
        if let Some(relative) = relative {
            return Ok(relative);
        }
        if let Ok(at) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(UnixMillis(at.timestamp_millis())));
        }
        for format in [
            "%Y-%m-%d %H:%M",
            "%Y-%m-%d %H:%M:%S",
            "%Y-%m-%dT%H:%M",
            "%Y-%m-%dT%H:%M:%S",
        ] {
            if let Ok(local) = NaiveDateTime::parse_from_str(text, format) {
                return Ok(Self::Local(local));
            }
        }
        if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            return Ok(Self::Local(date.and_time(NaiveTime::MIN)));
        }
        for format in ["%H:%M", "%H:%M:%S"] {
            if let Ok(time) = NaiveTime::parse_from_str(text, format) {
                return Ok(Self::TimeOfDay(time));
            }
        }
        Err(POSSIBLE.into())
    }
}

impl Moment {
    /// An age such as `2d`, or any other moment.
    ///
    /// # Errors
    /// What is possible.
    pub fn of_age(text: &str) -> Result<Self, String> {
        format!("-{}", text.trim())
            .parse()
            .or_else(|_| text.parse())
            .map_err(|_| format!("give an age such as 90s, 12h or 2d, or {}", &POSSIBLE[5..]))
    }

    /// When that is, on this machine's clock.
    #[must_use]
    pub fn resolve(self, now: UnixMillis) -> UnixMillis {
        self.resolve_in(&Local, now)
    }

    fn resolve_in<Zone: TimeZone>(self, zone: &Zone, now: UnixMillis) -> UnixMillis {
        let local = |moment: NaiveDateTime| {
            // Where clocks are put forward the moment does not exist: then the one an hour later does.
            let found = zone.from_local_datetime(&moment).earliest();
            let found = found.or_else(|| {
                let later = moment + chrono::TimeDelta::hours(1);
                zone.from_local_datetime(&later).earliest()
            });
            found.map(|found| UnixMillis(found.timestamp_millis()))
        };
        match self {
            Self::Ago(ms) => now.plus_ms(i64::try_from(ms).unwrap_or(i64::MAX).saturating_neg()),
            Self::At(at) => at,
            Self::Local(moment) => local(moment).unwrap_or(now),
            Self::TimeOfDay(time) => {
                let today = zone
                    .timestamp_millis_opt(now.0)
                    .earliest()
                    .map(|now| now.date_naive());
                let yesterday = today.and_then(|today| today.pred_opt());
                [today, yesterday]
                    .into_iter()
                    .flatten()
                    .filter_map(|date| local(date.and_time(time)))
                    .find(|at| *at <= now)
                    .unwrap_or(now)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::FixedOffset;

    /// 2026-03-01, 12:30 in a zone two hours east of Greenwich.
    const NOW: UnixMillis = UnixMillis(1_772_361_000_000);

    fn resolved(text: &str) -> String {
        let zone = FixedOffset::east_opt(7_200).unwrap();
        let at = text.parse::<Moment>().unwrap().resolve_in(&zone, NOW);
        DateTime::from_timestamp_millis(at.0)
            .unwrap()
            .with_timezone(&zone)
            .to_rfc3339()
    }

    #[test]
    fn every_documented_way_to_write_a_time_means_what_it_says() {
        for (text, expected) in [
            ("now", "2026-03-01T12:30:00+02:00"),
            ("-90s", "2026-03-01T12:28:30+02:00"),
            ("-1h", "2026-03-01T11:30:00+02:00"),
            ("1h ago", "2026-03-01T11:30:00+02:00"),
            ("-7d", "2026-02-22T12:30:00+02:00"),
            ("2026-02-03T04:05:06Z", "2026-02-03T06:05:06+02:00"),
            ("2026-02-03T04:05:06-05:00", "2026-02-03T11:05:06+02:00"),
            ("2026-02-03 04:05", "2026-02-03T04:05:00+02:00"),
            ("2026-02-03", "2026-02-03T00:00:00+02:00"),
            ("09:15", "2026-03-01T09:15:00+02:00"),
            ("12:30", "2026-03-01T12:30:00+02:00"),
        ] {
            assert_eq!(resolved(text), expected, "{text}");
        }
    }

    #[test]
    fn a_time_of_day_that_is_still_to_come_was_yesterday() {
        assert_eq!(resolved("12:31"), "2026-02-28T12:31:00+02:00");
    }

    #[test]
    fn what_is_no_time_is_told_what_would_be() {
        for text in [
            "",
            "soon",
            "1h",
            "25:00",
            "-1",
            "2026-13-01",
            "-99999999999999999999h",
        ] {
            let error = text.parse::<Moment>().unwrap_err();
            assert!(error.contains("14:05"), "{text}: {error}");
        }
    }

    #[test]
    fn an_age_needs_no_sign() {
        assert_eq!(Moment::of_age("2d"), Ok(Moment::Ago(2 * 86_400_000)));
        assert_eq!(Moment::of_age("-2d"), Ok(Moment::Ago(2 * 86_400_000)));
        assert_eq!(Moment::of_age("now"), Ok(Moment::Ago(0)));
        assert!(Moment::of_age("old").is_err());
    }
}
