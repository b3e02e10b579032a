use std::sync::Arc;

use proptest::prelude::*;
use sysmon_core::{MachineId, MetricId, SeriesKey, Tier};

use super::*;

fn key() -> Arc<SeriesKey> {
    Arc::new(SeriesKey::plain(MetricId::CpuBusy))
}

/// Live ticks at these seconds; the value is the second.
fn recent(seconds: &[i64]) -> Recent {
    let mut recent = Recent::new(300_000);
    recent.announce(1, key(), 0);
    for second in seconds {
        recent.push(UnixMillis(second * 1_000), [(1, *second)]);
    }
    recent
}

/// An answer with a moment at each of these seconds; the value is the second.
fn history(seconds: &[i64], step_ms: u64, gaps: Vec<Gap>) -> MachineHistory {
    let point = |second: &i64| {
        Some(Point {
            minimum: *second as f64 - 1.0,
            maximum: *second as f64 + 1.0,
            mean: *second as f64,
            count: 7,
        })
    };
    MachineHistory {
        machine: MachineId::parse("web-1").unwrap(),
        tier: Tier::Raw,
        step_ms,
        times: seconds.iter().map(|second| UnixMillis(second * 1_000)).collect(),
        series: vec![SeriesPoints {
            key: key(),
            decimals: 1,
            points: seconds.iter().map(point).collect(),
        }],
        gaps,
    }
}

fn joined<'a>(history: &'a MachineHistory, seam: i64, recent: &'a Recent) -> Track<'a> {
    Track {
        past: Some(PastPart {
            history,
            series: &history.series[0],
            seam: UnixMillis(seam * 1_000),
            spacing_ms: spacing_ms(history),
        }),
        live: recent.get(1).map(|series| (recent, series)),
    }
}

fn silent(from: i64, to: i64) -> Gap {
    Gap {
        from: UnixMillis(from * 1_000),
        to: UnixMillis(to * 1_000),
        samples: 0,
        reason: GapReason::Silent,
    }
}

proptest! {
    #[test]
    fn at_the_seam_nothing_is_told_twice_nothing_is_reordered_and_nothing_is_lost(
        present in prop::collection::vec(any::<bool>(), 400), live_from in 100usize..400, seam_after in 0usize..100,
    ) {
        // A machine that reported in these seconds; history knows all of them, live data those from `live_from` on.
        let seconds: Vec<i64> = (0..400).zip(&present).filter(|(_, is)| **is).map(|(second, _)| second).collect();
        let live_from = i64::try_from(live_from).unwrap();
        let seam = live_from + i64::try_from(seam_after).unwrap();
        let live: Vec<i64> = seconds.iter().copied().filter(|second| *second >= live_from).collect();
        let (history, recent) = (history(&seconds, 0, Vec::new()), recent(&live));
        let kept = recent.times().front().map_or(400, |first| first.0 / 1_000);
        let told: Vec<i64> = joined(&history, seam, &recent).spans().map(|span| span.from.0 / 1_000).collect();
        let expected: Vec<i64> =
            seconds.into_iter().filter(|second| *second < seam || *second >= kept).collect();
        prop_assert_eq!(told, expected);
    }

    #[test]
    fn whatever_an_answer_claims_time_only_goes_on(
        claimed in prop::collection::vec(-50i64..400, 0..60), live in prop::collection::vec(0i64..400, 0..60),
        step in 0u64..90_000, seam in -60i64..420,
    ) {
        let (history, recent) = (history(&claimed, step, Vec::new()), recent(&live));
        let spans: Vec<Span> = joined(&history, seam, &recent).spans().collect();
        prop_assert!(spans.windows(2).all(|pair| pair[0].from < pair[1].from));
        let seam = UnixMillis(seam * 1_000);
        prop_assert!(spans.iter().all(|span| span.from >= seam || span.to <= seam), "no moment lies across the seam");
        for span in spans {
            let slice = span.slice;
            prop_assert!(span.to >= span.from && slice.minimum <= slice.mean && slice.mean <= slice.maximum);
        }
    }

    #[test]
    fn a_hole_is_found_wherever_the_seam_is(
        hole_from in 30i64..330, hole in 20i64..60, seam in 100i64..399, live_from in 90i64..100,
    ) {
        let is_there = |second: &i64| *second <= hole_from || *second >= hole_from + hole;
        let seconds: Vec<i64> = (0..400).filter(is_there).collect();
        let before: Vec<i64> = seconds.iter().copied().filter(|second| *second < seam).collect();
        let live: Vec<i64> = seconds.iter().copied().filter(|second| *second >= live_from).collect();
        let (hole_from, hole_to) = (hole_from, hole_from + hole);
        // History knows a hole only between two samples of its own.
        let known = if hole_to < seam { vec![silent(hole_from, hole_to)] } else { Vec::new() };
        let (history, recent) = (history(&before, 0, known), recent(&live));
        let found = gaps(Some((&history, UnixMillis(seam * 1_000))), &recent, 1_000, true);
        prop_assert_eq!(found, [silent(hole_from, hole_to)]);
    }
}

#[test]
fn nothing_is_claimed_across_the_seam_of_a_history_that_is_late() {
    let (history, recent) = (history(&[0, 1, 2], 0, Vec::new()), recent(&[100, 101]));
    let past = Some((&history, UnixMillis(100_000)));
    assert!(gaps(past, &recent, 1_000, false).is_empty());
    assert_eq!(gaps(past, &recent, 1_000, true), [silent(2, 100)]);
}

#[test]
fn a_gap_with_a_reason_is_not_told_again_as_silence() {
    let lost = Gap {
        samples: 412,
        reason: GapReason::SpoolFull,
        ..silent(10, 90)
    };
    let (history, recent) = (history(&[0, 5, 9], 0, vec![lost.clone()]), recent(&[91, 92]));
    assert_eq!(
        gaps(Some((&history, UnixMillis(50_000))), &recent, 1_000, true),
        [lost]
    );
}

#[test]
fn a_roll_up_that_is_missing_among_full_ones_is_a_gap_and_among_sparse_ones_is_not() {
    let mut history = history(&[0, 40, 120, 160], 40_000, Vec::new());
    let recent = recent(&[]);
    let found = |history: &MachineHistory| gaps(Some((history, UnixMillis(200_000))), &recent, 1_000, true);
    assert_eq!(found(&history), [silent(80, 120)]);
    for point in history.series[0].points.iter_mut().flatten() {
        point.count = 1;
    }
    assert!(found(&history).is_empty(), "a sample a minute leaves such holes");
}

#[test]
fn a_slow_pace_is_no_gap() {
    let recent = recent(&[0, 5, 10, 15, 16, 17]);
    assert!(gaps(None, &recent, 1_000, true).is_empty());
    let minutes = [0, 60, 120];
    let recent = {
        let mut slow = Recent::new(300_000);
        slow.announce(1, key(), 0);
        for second in minutes {
            slow.push(UnixMillis(second * 1_000), [(1, second)]);
        }
        slow
    };
    assert!(gaps(None, &recent, 60_000, true).is_empty());
}

#[test]
fn values_that_are_no_numbers_are_passed_over() {
    let mut history = history(&[0, 1], 0, Vec::new());
    if let Some(point) = &mut history.series[0].points[0] {
        point.maximum = f64::NAN;
    }
    let recent = recent(&[]);
    assert_eq!(joined(&history, 50, &recent).spans().count(), 1);
}
