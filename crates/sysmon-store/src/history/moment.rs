//! How machines were at a moment, out of what a store answers about a stretch of time.

use std::collections::HashMap;

use sysmon_core::{HistoryQuery, INTERVAL_METRIC, MachineId, MachineMoment, Metric, MomentQuery};

use super::{History, MACHINES_PER_QUERY};
use crate::error::StoreError;

/// Values that one question may bring, about 40 MB.
const POINTS_AT_A_TIME: usize = 1_000_000;
/// Series that a machine has of all metrics, and of one, when nobody knows better.
const SERIES_OF_ALL: usize = 100;
const SERIES_OF_ONE: usize = 4;
/// About how many samples lie within the usual reach: one a second.
const SAMPLES: usize = 130;

/// Answers a question about a moment, a few machines at a time.
///
/// Most machines said something within the usual reach. Of those that did not, only the interval is asked for further back:
/// it says both when they were last heard of and whether they are so slow that what they said then still counts.
pub(crate) async fn state_at<H: History + ?Sized>(
    history: &H,
    query: &MomentQuery,
) -> Result<Vec<MachineMoment>, StoreError> {
    if query.machines.len() > HistoryQuery::MACHINES_MAX {
        return Err(StoreError::rejected(format!(
            "{} machines are asked for at a moment; ask for at most {}",
            query.machines.len(),
            HistoryQuery::MACHINES_MAX
        )));
    }
    let mut moments = Vec::with_capacity(query.machines.len());
    for machines in query.machines.chunks(machines_at_a_time(query.metrics.len())) {
        let near = ask(history, query, machines, MachineMoment::REACH_MS).await?;
        let quiet: Vec<MachineId> = near
            .iter()
            .filter(|moment| moment.heard.is_none())
            .map(|moment| moment.machine.clone())
            .collect();
        let mut far = HashMap::new();
        if !quiet.is_empty() {
            for moment in far_back(history, query, &quiet).await? {
                far.insert(moment.machine.clone(), moment);
            }
        }
        moments.extend(near.into_iter().map(|moment| match moment.heard {
            Some(_) => moment,
            None => far.remove(&moment.machine).unwrap_or(moment),
        }));
    }
    Ok(moments)
}

/// Machines that said nothing within the usual reach.
async fn far_back<H: History + ?Sized>(
    history: &H,
    query: &MomentQuery,
    quiet: &[MachineId],
) -> Result<Vec<MachineMoment>, StoreError> {
    let only_interval = MomentQuery {
        machines: Vec::new(),
        metrics: vec![Metric::Known(INTERVAL_METRIC).name().to_owned()],
        at: query.at,
    };
    let mut moments = ask(history, &only_interval, quiet, MachineMoment::REACH_MS_MAX).await?;
    for moment in &mut moments {
        let Some(heard) = moment.heard else { continue };
        let reach_ms = moment.reach_ms();
        let is_slow = query.at.since_ms(heard) <= reach_ms;
        moment.series.clear();
        if !is_slow {
            continue;
        }
        let machine = [moment.machine.clone()];
        if let Some(slow) = ask(history, query, &machine, reach_ms).await?.pop() {
            *moment = MachineMoment {
                interval_ms: moment.interval_ms,
                ..slow
            };
        }
    }
    Ok(moments)
}

/// What was said within a reach before the moment.
async fn ask<H: History + ?Sized>(
    history: &H,
    query: &MomentQuery,
    machines: &[MachineId],
    reach_ms: u64,
) -> Result<Vec<MachineMoment>, StoreError> {
    let interval = Metric::Known(INTERVAL_METRIC);
    let mut metrics = query.metrics.clone();
    let is_extra = !metrics.is_empty() && !metrics.iter().any(|name| name == interval.name());
    if is_extra {
        metrics.push(interval.name().to_owned());
    }
    let stretch = HistoryQuery {
        machines: machines.to_vec(),
        metrics,
        from: query.at.plus_ms(-i64::try_from(reach_ms).unwrap_or(i64::MAX)),
        to: query.at.plus_ms(1),
        // So many that samples are read as they came wherever they are still there.
        points: HistoryQuery::MOMENTS_MAX,
    };
    let answers = history.query(&stretch).await?;
    let moments = answers.iter().map(|answer| {
        let mut moment = MachineMoment::of(answer, query.at);
        if is_extra {
            moment.series.retain(|series| series.key.metric != interval);
        }
        // Silence that surrounds the stretch begins with the sample before it.
        let before = answer.gaps.iter().map(|gap| gap.from);
        moment.heard = moment.heard.or_else(|| {
            before
                .filter(|from| *from <= query.at && reach_ms == MachineMoment::REACH_MS_MAX)
                .min()
        });
        moment
    });
    Ok(moments.collect())
}

fn machines_at_a_time(metrics: usize) -> usize {
    let series = if metrics == 0 {
        SERIES_OF_ALL
    } else {
        SERIES_OF_ONE * metrics
    };
    (POINTS_AT_A_TIME / (SAMPLES * series)).clamp(1, MACHINES_PER_QUERY)
}
