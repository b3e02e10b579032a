//! Questions about the past and their answers, between wire and domain.

use std::sync::Arc;

use sysmon_core::series::{code, decode};
use sysmon_core::{
    Gap, GapReason, HistoryQuery, MAX_DECIMALS, MachineHistory, MachineId, Point, SeriesPoints, Tier,
    UnixMillis, from_scaled, to_scaled,
};

use crate::convert::{series_from_wire, series_to_wire};
use crate::error::ApiError;
use crate::wire;

/// Moments of an answer when nobody says how many.
const POINTS_DEFAULT: u32 = 300;
/// A mean falls between what samples can be, so it travels with so many digits more.
const MEAN_DECIMALS: u8 = 2;

/// A question as it travels.
#[must_use]
pub fn query_to_wire(query: &HistoryQuery) -> wire::HistoryRequest {
    wire::HistoryRequest {
        machine_ids: query.machines.iter().map(ToString::to_string).collect(),
        metrics: query.metrics.clone(),
        from_unix_ms: query.from.0,
        to_unix_ms: query.to.0,
        points: query.points,
    }
}

/// Checks a question. No machine at all stays so: it means all of them to whoever knows which there are.
///
/// # Errors
/// [`crate::Code::InvalidArgument`] for a machine id that cannot be, an empty range, or more than can be answered.
pub fn query_from_wire(request: &wire::HistoryRequest) -> Result<HistoryQuery, ApiError> {
    let bound = |what: &str, count: usize, most: usize| {
        if count > most {
            Err(ApiError::invalid(format!(
                "{count} {what} are asked for; ask for at most {most}"
            )))
        } else {
            Ok(())
        }
    };
    bound("machines", request.machine_ids.len(), HistoryQuery::MACHINES_MAX)?;
    bound("metrics", request.metrics.len(), 1_000)?;
    bound(
        "points",
        request.points as usize,
        HistoryQuery::POINTS_MAX as usize,
    )?;
    if request.from_unix_ms >= request.to_unix_ms {
        return Err(ApiError::invalid(
            "the range is empty; let it end after it starts",
        ));
    }
    let machines = request
        .machine_ids
        .iter()
        .map(|id| MachineId::parse(id).map_err(|error| ApiError::invalid(error.to_string())));
    Ok(HistoryQuery {
        machines: machines.collect::<Result<_, _>>()?,
        metrics: request.metrics.clone(),
        from: UnixMillis(request.from_unix_ms),
        to: UnixMillis(request.to_unix_ms),
        points: if request.points == 0 {
            POINTS_DEFAULT
        } else {
            request.points
        },
    })
}

/// The past of a machine as it travels, in parts of at most about `part_bytes` each: the first has the moments and the
/// gaps, the others further series.
#[must_use]
pub fn history_to_wire(history: &MachineHistory, part_bytes: usize) -> Vec<wire::MachineHistory> {
    let mut before = 0i64;
    let steps = history.times.iter().map(|at| {
        let step = at.0.wrapping_sub(before);
        before = at.0;
        step
    });
    let head = wire::MachineHistory {
        machine_id: history.machine.to_string(),
        tier: tier_to_wire(history.tier) as i32,
        step_ms: history.step_ms,
        at_unix_ms_steps: steps.collect(),
        series: Vec::new(),
        gaps: history.gaps.iter().map(gap_to_wire).collect(),
        continued: false,
    };
    let mut size = prost::Message::encoded_len(&head);
    let mut parts = vec![head];
    for series in &history.series {
        let series = points_to_wire(series, history.step_ms == 0);
        let series_size = prost::Message::encoded_len(&series);
        if size + series_size > part_bytes && size > 0 {
            size = 0;
            parts.push(wire::MachineHistory {
                machine_id: history.machine.to_string(),
                continued: true,
                ..Default::default()
            });
        }
        size += series_size;
        if let Some(part) = parts.last_mut() {
            part.series.push(series);
        }
    }
    parts
}

/// Takes one part of an answer over; `answer` has what came before it.
///
/// # Errors
/// [`crate::Code::InvalidArgument`] when it contradicts itself or what came before.
pub fn history_from_wire(
    part: &wire::MachineHistory,
    answer: &mut Vec<MachineHistory>,
) -> Result<(), ApiError> {
    let machine = MachineId::parse(&part.machine_id).map_err(|error| ApiError::invalid(error.to_string()))?;
    if !part.continued {
        let most = HistoryQuery::POINTS_MAX as usize + 1;
        if part.at_unix_ms_steps.len() > most {
            return Err(ApiError::invalid(format!(
                "an answer has more than {most} moments"
            )));
        }
        let mut at = 0i64;
        let times = part.at_unix_ms_steps.iter().map(|step| {
            at = at.wrapping_add(*step);
            UnixMillis(at)
        });
        answer.push(MachineHistory {
            machine: machine.clone(),
            tier: tier_from_wire(part.tier()),
            step_ms: part.step_ms,
            times: times.collect(),
            series: Vec::new(),
            gaps: part.gaps.iter().map(gap_from_wire).collect(),
        });
    }
    let history = answer
        .last_mut()
        .filter(|history| history.machine == machine)
        .ok_or_else(|| ApiError::invalid("a part of an answer does not follow the one before"))?;
    for series in &part.series {
        history
            .series
            .push(points_from_wire(series, history.times.len())?);
    }
    Ok(())
}

fn points_to_wire(series: &SeriesPoints, single: bool) -> wire::SeriesPoints {
    let decimals = if single {
        series.decimals
    } else {
        (series.decimals + MEAN_DECIMALS).min(MAX_DECIMALS)
    };
    let scaled = |value: f64| to_scaled(value, decimals);
    let mut points = wire::SeriesPoints {
        definition: Some(series_to_wire(0, &series.key, decimals)),
        ..Default::default()
    };
    let mut before = 0;
    for point in &series.points {
        let known = point.and_then(|point| {
            let (minimum, mean, maximum) = (
                scaled(point.minimum)?,
                scaled(point.mean)?,
                scaled(point.maximum)?,
            );
            Some((
                mean,
                mean.abs_diff(minimum.min(mean)),
                maximum.max(mean).abs_diff(mean),
                point.count,
            ))
        });
        let (mean_code, below, above, count) = match known {
            None => (0, 0, 0, 0),
            Some((mean, below, above, count)) => {
                let mean_code = code(before, mean);
                before = mean;
                (mean_code, below, above, count)
            }
        };
        points.mean_codes.push(mean_code);
        if !single {
            points.minimum_below.push(below);
            points.maximum_above.push(above);
            points.counts.push(count);
        }
    }
    points
}

fn points_from_wire(series: &wire::SeriesPoints, moments: usize) -> Result<SeriesPoints, ApiError> {
    let definition = series.definition.as_ref();
    let (_, key, decimals) =
        series_from_wire(definition.ok_or_else(|| ApiError::invalid("a series has no definition"))?)?;
    let is_even = |count: usize| count == 0 || count == moments;
    if series.mean_codes.len() != moments
        || !is_even(series.minimum_below.len())
        || !is_even(series.maximum_above.len())
        || !is_even(series.counts.len())
    {
        return Err(ApiError::invalid(
            "a series of an answer has not one point per moment",
        ));
    }
    let mut before = 0i64;
    let at = |values: &[u64], index: usize| values.get(index).copied().unwrap_or(0).cast_signed();
    let points = series.mean_codes.iter().enumerate().map(|(index, mean_code)| {
        let mean = decode(before, *mean_code)?;
        before = mean;
        Some(Point {
            minimum: from_scaled(mean.saturating_sub(at(&series.minimum_below, index)), decimals),
            maximum: from_scaled(mean.saturating_add(at(&series.maximum_above, index)), decimals),
            mean: from_scaled(mean, decimals),
            count: series.counts.get(index).copied().unwrap_or(1).max(1),
        })
    });
    let points = points.collect();
    Ok(SeriesPoints {
        key: Arc::new(key),
        decimals,
        points,
    })
}

/// A gap as it travels.
#[must_use]
pub fn gap_to_wire(gap: &Gap) -> wire::Gap {
    wire::Gap {
        from_unix_ms: gap.from.0,
        to_unix_ms: gap.to.0,
        samples: gap.samples,
        reason: gap_reason_to_wire(gap.reason) as i32,
    }
}

/// A gap as it was sent; one for a reason that is not known here counts as silence.
#[must_use]
pub fn gap_from_wire(gap: &wire::Gap) -> Gap {
    Gap {
        from: UnixMillis(gap.from_unix_ms),
        to: UnixMillis(gap.to_unix_ms),
        samples: gap.samples,
        reason: gap_reason_from_wire(gap.reason()),
    }
}

/// Why there are no samples, as it travels.
#[must_use]
pub fn gap_reason_to_wire(reason: GapReason) -> wire::GapReason {
    match reason {
        GapReason::Silent => wire::GapReason::Silent,
        GapReason::SpoolFull => wire::GapReason::SpoolFull,
        GapReason::SpoolExpired => wire::GapReason::SpoolExpired,
        GapReason::SpoolLost => wire::GapReason::SpoolLost,
        GapReason::SpoolDamaged => wire::GapReason::SpoolDamaged,
    }
}

/// Why there are no samples; what is not known here counts as silence.
#[must_use]
pub fn gap_reason_from_wire(reason: wire::GapReason) -> GapReason {
    match reason {
        wire::GapReason::Unspecified | wire::GapReason::Silent => GapReason::Silent,
        wire::GapReason::SpoolFull => GapReason::SpoolFull,
        wire::GapReason::SpoolExpired => GapReason::SpoolExpired,
        wire::GapReason::SpoolLost => GapReason::SpoolLost,
        wire::GapReason::SpoolDamaged => GapReason::SpoolDamaged,
    }
}

fn tier_to_wire(tier: Tier) -> wire::HistoryTier {
    match tier {
        Tier::Raw => wire::HistoryTier::Raw,
        Tier::Minute => wire::HistoryTier::Minute,
        Tier::Hour => wire::HistoryTier::Hour,
    }
}

fn tier_from_wire(tier: wire::HistoryTier) -> Tier {
    match tier {
        wire::HistoryTier::Unspecified | wire::HistoryTier::Raw => Tier::Raw,
        wire::HistoryTier::Minute => Tier::Minute,
        wire::HistoryTier::Hour => Tier::Hour,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sysmon_core::{MetricId, SeriesKey};

    fn point(mean: f64, spread: f64, count: u32) -> Option<Point> {
        Some(Point {
            minimum: mean - spread,
            maximum: mean + spread,
            mean,
            count,
        })
    }

    fn answer(step_ms: u64, points: &[Option<Point>]) -> MachineHistory {
        let series = |entity: u32| SeriesPoints {
            key: Arc::new(SeriesKey::of(
                MetricId::MountUsedPercent,
                &format!("/data/{entity}"),
            )),
            decimals: 1,
            points: points.to_vec(),
        };
        let times =
            (0..points.len()).map(|index| UnixMillis(1_000_000 + 60_000 * i64::try_from(index).unwrap()));
        MachineHistory {
            machine: MachineId::parse("web-1").unwrap(),
            tier: if step_ms == 0 { Tier::Raw } else { Tier::Minute },
            step_ms,
            times: times.collect(),
            series: (0..20).map(series).collect(),
            gaps: vec![Gap {
                from: UnixMillis(5),
                to: UnixMillis(9),
                samples: 4,
                reason: GapReason::SpoolFull,
            }],
        }
    }

    fn back(history: &MachineHistory, part_bytes: usize) -> MachineHistory {
        let mut answer = Vec::new();
        for part in history_to_wire(history, part_bytes) {
            history_from_wire(&part, &mut answer).unwrap();
        }
        assert_eq!(answer.len(), 1);
        answer.remove(0)
    }

    #[test]
    fn single_samples_arrive_exactly() {
        let history = answer(0, &[point(12.3, 0.0, 1), None, point(99.9, 0.0, 1)]);
        assert_eq!(back(&history, usize::MAX), history);
    }

    #[test]
    fn roll_ups_keep_their_extremes_and_a_finer_mean() {
        let history = answer(60_000, &[point(12.5, 4.5, 60), None, point(0.125, 0.125, 3)]);
        let arrived = back(&history, 64 * 1024);
        assert_eq!(arrived.series[3].points, history.series[3].points);
        assert_eq!(arrived.series[3].decimals, 3);
    }

    #[test]
    fn a_long_answer_is_cut_between_series() {
        let history = answer(0, &[point(1.0, 0.0, 1); 50]);
        let parts = history_to_wire(&history, 400);
        assert!(parts.len() > 3, "{}", parts.len());
        assert!(
            parts
                .iter()
                .skip(1)
                .all(|part| part.continued && part.at_unix_ms_steps.is_empty())
        );
        assert_eq!(back(&history, 400), history);
    }

    #[test]
    fn answers_that_contradict_themselves_are_refused() {
        let history = answer(0, &[point(1.0, 0.0, 1); 3]);
        let parts = history_to_wire(&history, usize::MAX);
        let mut uneven = parts[0].clone();
        uneven.series[0].mean_codes.pop();
        assert!(history_from_wire(&uneven, &mut Vec::new()).is_err());
        let mut loose = parts[0].clone();
        loose.continued = true;
        assert!(history_from_wire(&loose, &mut Vec::new()).is_err());
    }

    #[test]
    fn questions_that_cannot_be_answered_are_refused_with_a_reason() {
        let request = |change: fn(&mut wire::HistoryRequest)| {
            let mut request = wire::HistoryRequest {
                machine_ids: vec!["web-1".into()],
                from_unix_ms: 0,
                to_unix_ms: 10,
                ..Default::default()
            };
            change(&mut request);
            query_from_wire(&request)
        };
        assert_eq!(request(|_| {}).unwrap().points, 300);
        assert!(request(|request| request.to_unix_ms = 0).is_err());
        assert!(request(|request| request.points = 10_001).is_err());
        assert!(request(|request| request.machine_ids = vec!["a b".into()]).is_err());
    }
}
