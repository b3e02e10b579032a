//! What can be stored as it is, and why the rest cannot.

use sysmon_api::{ApiError, gap_reason_from_wire, wire};
use sysmon_core::UnixMillis;
use sysmon_store::{Content, FUTURE_LIMIT_MS};

use super::dictionary::Dictionary;
use crate::fleet::VALUES_MAX;

/// Why a tick cannot be read; looks at the numbers alone and copies nothing.
pub(super) fn malformed(tick: &wire::Tick) -> Option<String> {
    let (steps, values) = (tick.series_steps.len(), tick.values.len());
    if steps != values {
        return Some(format!("it has {steps} series but {values} values"));
    }
    if values > VALUES_MAX {
        return Some(format!("it has {values} values; at most {VALUES_MAX} are taken"));
    }
    let sum: u64 = tick.series_steps.iter().map(|step| u64::from(*step)).sum();
    if sum > u64::from(u32::MAX) {
        return Some("a series number is beyond 32 bits".into());
    }
    if tick.series_steps.iter().skip(1).any(|step| *step == 0) {
        return Some("a series number comes twice".into());
    }
    None
}

/// What is stored for the samples of one moment.
pub(super) fn content(
    tick: Option<(UnixMillis, Vec<(u32, i64)>)>,
    dictionary: &Dictionary,
    now: UnixMillis,
) -> Content {
    let series = dictionary.table();
    let dead = |reason: String, tick| Content::Dead {
        received: now,
        reason,
        tick,
    };
    let Some((at, values)) = tick else {
        return dead("it has no samples".into(), None);
    };
    let reason = if at.0 < 0 {
        "its time is before 1970; set the machine's clock".into()
    } else if at.since_ms(now) > FUTURE_LIMIT_MS {
        let ahead_min = at.since_ms(now) / 60_000;
        format!("its time is {ahead_min} min ahead of the aggregator's clock; set the machine's clock")
    } else {
        return Content::Tick {
            at,
            series: series.clone(),
            values,
        };
    };
    dead(reason, Some(sysmon_store::dead_tick(at, series, &values)))
}

/// What is stored for samples that are no more: the number of the first, and the rest.
///
/// # Errors
/// [`sysmon_api::Code::InvalidArgument`] when the sequences make no sense: then there is nothing that could be skipped.
/// Times that make no sense are only moved to where they can be.
pub(super) fn lost(range: &wire::LostRange, now: UnixMillis) -> Result<(u64, Content), ApiError> {
    let (first, last) = (range.first_sequence, range.last_sequence);
    if first == 0 || last < first || i64::try_from(last).is_err() {
        return Err(ApiError::invalid(format!(
            "sequences {first} to {last} cannot be lost; name the first and the last that are missing"
        )));
    }
    let latest = now.plus_ms(i64::try_from(FUTURE_LIMIT_MS).unwrap_or(0)).0.max(0);
    let (from, to) = (range.from_unix_ms, range.to_unix_ms);
    let content = Content::Lost {
        last_sequence: last,
        from: UnixMillis(from.min(to).clamp(0, latest)),
        to: UnixMillis(to.max(from).clamp(0, latest)),
        reason: gap_reason_from_wire(range.reason()),
    };
    Ok((first, content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sysmon_core::GapReason;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn tick(steps: &[u32], values: usize) -> wire::Tick {
        wire::Tick {
            at_unix_ms: 0,
            series_steps: steps.to_vec(),
            values: vec![1; values],
        }
    }

    #[test]
    fn ticks_that_a_store_could_choke_on_are_named() {
        assert_eq!(malformed(&tick(&[0, 1, 5], 3)), None);
        assert_eq!(malformed(&tick(&[], 0)), None);
        for (bad, reason) in [
            (tick(&[1, 2], 1), "2 series but 1 values"),
            (tick(&[1, 0], 2), "twice"),
            (tick(&[u32::MAX, 1], 2), "32 bits"),
            (tick(&vec![1; 70_000], 70_000), "70000 values"),
        ] {
            assert!(
                malformed(&bad).is_some_and(|told| told.contains(reason)),
                "{reason}"
            );
        }
    }

    #[test]
    fn times_that_cannot_be_are_dead_letters_and_an_hour_ahead_is_not() {
        let kind = |at_ms| match content(Some((UnixMillis(at_ms), Vec::new())), &Dictionary::default(), NOW) {
            Content::Tick { .. } => None,
            Content::Dead { reason, tick, .. } => Some((reason, tick.map(|tick| tick.at_unix_ms))),
            Content::Lost { .. } => panic!("nothing was lost"),
        };
        assert_eq!(kind(NOW.0 + 3_600_000), None);
        assert_eq!(kind(0), None, "a clock that starts anew at each boot");
        let (reason, at) = kind(NOW.0 + 7_200_001).unwrap();
        assert!(reason.contains("120 min ahead"), "{reason}");
        assert_eq!(at, Some(NOW.0 + 7_200_001));
        assert!(kind(i64::MIN).is_some() && kind(i64::MAX).is_some());
        assert!(matches!(
            content(None, &Dictionary::default(), NOW),
            Content::Dead { tick: None, .. }
        ));
    }

    #[test]
    fn a_lost_range_counts_even_when_its_times_make_no_sense() {
        let range = |first, last, from, to| wire::LostRange {
            first_sequence: first,
            last_sequence: last,
            from_unix_ms: from,
            to_unix_ms: to,
            reason: wire::GapReason::SpoolFull as i32,
        };
        let (first, Content::Lost { from, to, reason, .. }) =
            lost(&range(3, 9, i64::MAX, i64::MIN), NOW).unwrap()
        else {
            panic!("it was lost");
        };
        assert_eq!((first, from.0, to.0), (3, 0, NOW.0 + 3_600_000));
        assert_eq!(reason, GapReason::SpoolFull);
        for (first, last) in [(0, 4), (5, 4), (1, u64::MAX)] {
            assert!(lost(&range(first, last, 0, 0), NOW).is_err());
        }
    }
}
