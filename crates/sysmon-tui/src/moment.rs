//! Moments as people type them: `3m ago`, `14:05`, `yesterday 14:00`, `2026-11-23 14:05`, `-2h`.

use chrono::{Datelike, Days, NaiveDate, NaiveTime, Weekday};
use sysmon_core::UnixMillis;

/// What is understood, for whoever typed something else.
pub(crate) const UNDERSTOOD: &str = "3m ago, -2h, 14:05, yesterday 14:00, mon 9:30, 2026-11-23 14:05";
/// The most that is read; what is longer is no moment.
const TEXT_MAX: usize = 64;

/// The moment that a text names, for somebody whose clock is `utc_offset_seconds` ahead of UTC. A time of day without a
/// date is the last one that was. Never after `now`.
///
/// # Errors
/// What is wrong, and what would be understood.
pub(crate) fn parse(text: &str, now: UnixMillis, utc_offset_seconds: i32) -> Result<UnixMillis, String> {
    let text = text.trim().to_lowercase();
    if text.is_empty() || text == "now" {
        return Ok(now);
    }
    let at = (text.len() <= TEXT_MAX)
        .then(|| {
            let clock = Clock {
                now,
                utc_offset_seconds,
            };
            before(&text, now).or_else(|| clock.named(&text))
        })
        .flatten();
    match at {
        None => Err(format!(
            "{:?} is no time; try {UNDERSTOOD}",
            sysmon_core::clip(&text, 20)
        )),
        Some(at) if at > now => Err("that has not come yet: name a moment before now".into()),
        Some(at) if at.0 < 0 => Err(format!("that is too long ago; try {UNDERSTOOD}")),
        Some(at) => Ok(at),
    }
}

/// `3m ago`, `-2h`, `1h30m ago`, `2 hours ago`.
fn before(text: &str, now: UnixMillis) -> Option<UnixMillis> {
    let length = text.strip_prefix('-').or_else(|| text.strip_suffix("ago"))?;
    let milliseconds = duration_ms(length.trim())?;
    Some(UnixMillis(now.0.checked_sub(milliseconds)?))
}

/// A length of time in whole units, one after the other: `90s`, `1h 30m`, `2 days`.
fn duration_ms(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0i64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let end = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let unit_ms = match &rest[..end] {
            "s" | "sec" | "second" | "seconds" => 1_000,
            "m" | "min" | "mins" | "minute" | "minutes" => 60_000,
            "h" | "hour" | "hours" => 3_600_000,
            "d" | "day" | "days" => 86_400_000,
            "w" | "week" | "weeks" => 7 * 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit_ms)?)?;
        rest = rest[end..].trim_start();
    }
    Some(total)
}

/// The clock on the wall of whoever types.
struct Clock {
    now: UnixMillis,
    utc_offset_seconds: i32,
}

impl Clock {
    fn today(&self) -> Option<(NaiveDate, NaiveTime)> {
        let local = self.now.plus_ms(i64::from(self.utc_offset_seconds) * 1_000);
        let local = chrono::DateTime::from_timestamp_millis(local.0)?.naive_utc();
        Some((local.date(), local.time()))
    }

    fn at(&self, date: NaiveDate, time: NaiveTime) -> UnixMillis {
        let local = date.and_time(time).and_utc().timestamp_millis();
        UnixMillis(local.saturating_sub(i64::from(self.utc_offset_seconds) * 1_000))
    }

    /// A time of day, with a date or without.
    fn named(&self, text: &str) -> Option<UnixMillis> {
        let (today, of_day) = self.today()?;
        let yesterday = today.checked_sub_days(Days::new(1))?;
        if let Some(time) = time(text) {
            // What is still to come today was yesterday.
            let at = self.at(today, time);
            return Some(if at > self.now {
                self.at(yesterday, time)
            } else {
                at
            });
        }
        let (day, rest) = match text.split_once([' ', 't']) {
            Some((day, rest)) if text.as_bytes().first().is_some_and(u8::is_ascii_digit) => (day, rest),
            _ => text.split_once(' ').unwrap_or((text, "")),
        };
        let rest = rest.trim();
        let of_rest = |otherwise| {
            if rest.is_empty() {
                Some(otherwise)
            } else {
                time(rest)
            }
        };
        match day {
            "today" => Some(self.at(today, time(rest)?)),
            // Without a time of its own: the same time.
            "yesterday" => Some(self.at(yesterday, of_rest(of_day)?)),
            _ => match weekday(day) {
                Some(weekday) => self.last(weekday, today, of_rest(of_day)?),
                None => Some(self.at(date(day, today)?, of_rest(NaiveTime::MIN)?)),
            },
        }
    }

    /// The last such day of the week on which that time has come.
    fn last(&self, weekday: Weekday, today: NaiveDate, time: NaiveTime) -> Option<UnixMillis> {
        let back = today
            .weekday()
            .num_days_from_monday()
            .checked_add(7)?
            .checked_sub(weekday.num_days_from_monday())?
            % 7;
        let date = today.checked_sub_days(Days::new(back.into()))?;
        let at = self.at(date, time);
        if at > self.now {
            return Some(self.at(date.checked_sub_days(Days::new(7))?, time));
        }
        Some(at)
    }
}

fn weekday(text: &str) -> Option<Weekday> {
    (text.len() >= 3).then(|| text.parse().ok()).flatten()
}

/// `9:30`, `14:05:30`.
fn time(text: &str) -> Option<NaiveTime> {
    let mut parts = text.split(':');
    let mut number = |is_needed: bool| match parts.next() {
        Some(part) if (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit()) => {
            part.parse::<u32>().ok()
        }
        None if !is_needed => Some(0),
        _ => None,
    };
    let (hour, minute, second) = (number(true)?, number(true)?, number(false)?);
    if text.split(':').count() > 3 {
        return None;
    }
    NaiveTime::from_hms_opt(hour, minute, second)
}

/// `2026-11-23`, or `11-23` for the last one that was.
fn date(text: &str, today: NaiveDate) -> Option<NaiveDate> {
    if text.split('-').count() == 3 {
        return NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    }
    let (month, day) = text.split_once('-')?;
    let (month, day) = (month.parse().ok()?, day.parse().ok()?);
    let this_year = NaiveDate::from_ymd_opt(today.year(), month, day)?;
    if this_year > today {
        return NaiveDate::from_ymd_opt(today.year().checked_sub(1)?, month, day);
    }
    Some(this_year)
}

#[cfg(test)]
mod tests;
