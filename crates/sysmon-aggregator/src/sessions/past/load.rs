//! What is read of the past, a few machines at a time so that others have their turn.

use std::sync::Arc;
use std::time::Duration;

use sysmon_api::ApiError;
use sysmon_core::alert::Transition;
use sysmon_core::{HistoryQuery, MachineHistory, MachineId, MachineMoment, MomentQuery, UnixMillis};
use sysmon_store::{LoggedTransition, MACHINES_PER_QUERY, MachineProcesses, MachineRecord, TransitionQuery};
use tokio::sync::Semaphore;

use super::super::history::{Archive, machines_at_a_time};
use crate::alerts::Alerts;

/// The most entries of the log of alerts that are read at a time.
const STEPS_MAX: u32 = 10_000;
/// Machines of which steps are asked for by name; of more those of all are read.
const NAMED_MAX: usize = 100;

/// Where the past is read from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) archive: Arc<Archive>,
    pub(super) alerts: Option<Arc<Alerts>>,
    /// How long the store may take for one thing.
    pub(super) limit: Duration,
    /// One question of a client at a time.
    pub(super) turn: Arc<Semaphore>,
}

impl Source {
    /// All machines that the history knows.
    pub(super) async fn machines(&self) -> Result<Vec<MachineRecord>, ApiError> {
        let archive = &self.archive;
        archive.ask(archive.history.machines(), self.limit).await
    }

    /// How machines were at a moment.
    pub(super) async fn moments(
        &self,
        machines: &[MachineId],
        metrics: &[String],
        at: UnixMillis,
    ) -> Result<Vec<MachineMoment>, ApiError> {
        let archive = &self.archive;
        let mut moments = Vec::with_capacity(machines.len());
        for some in machines.chunks(MACHINES_PER_QUERY) {
            let query = MomentQuery {
                machines: some.to_vec(),
                metrics: metrics.to_vec(),
                at,
            };
            moments.extend(archive.ask(archive.history.state_at(&query), self.limit).await?);
        }
        Ok(moments)
    }

    /// What machines measured over a stretch of time.
    pub(super) async fn stretch(
        &self,
        machines: &[MachineId],
        mut query: HistoryQuery,
    ) -> Result<Vec<MachineHistory>, ApiError> {
        let archive = &self.archive;
        let mut histories = Vec::with_capacity(machines.len());
        for some in machines.chunks(machines_at_a_time(&query)) {
            query.machines = some.to_vec();
            histories.extend(archive.ask(archive.history.query(&query), self.limit).await?);
        }
        Ok(histories)
    }

    /// The processes of machines at a moment; none when they cannot be read now, which is no reason to show nothing else.
    pub(super) async fn processes(&self, machines: &[MachineId], at: UnixMillis) -> Vec<MachineProcesses> {
        let archive = &self.archive;
        let asked = archive.history.process_snapshots_at(machines, at);
        archive.ask(asked, self.limit).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the past is shown without processes");
            Vec::new()
        })
    }

    /// The newest steps of alerts before `to`, oldest first; none where no rules are kept, or when they cannot be read now:
    /// machines are then judged by their levels.
    pub(super) async fn steps_before(
        &self,
        machines: &[MachineId],
        to: UnixMillis,
    ) -> Option<Vec<Transition>> {
        let query = TransitionQuery {
            machines: named(machines),
            to: Some(to),
            limit: STEPS_MAX,
            ..TransitionQuery::default()
        };
        let mut steps = self.steps(&query).await?;
        steps.reverse();
        Some(steps.into_iter().map(|step| step.transition).collect())
    }

    /// The first steps of alerts from `from` on and before `to`, oldest first.
    pub(super) async fn steps_within(
        &self,
        machines: &[MachineId],
        (from, to): (UnixMillis, UnixMillis),
    ) -> Option<Vec<Transition>> {
        let query = TransitionQuery {
            machines: named(machines),
            from: Some(from),
            to: Some(to),
            limit: STEPS_MAX,
            oldest_first: true,
            ..TransitionQuery::default()
        };
        let steps = self.steps(&query).await?;
        Some(steps.into_iter().map(|step| step.transition).collect())
    }

    async fn steps(&self, query: &TransitionQuery) -> Option<Vec<LoggedTransition>> {
        match self.alerts.as_ref()?.steps(query).await {
            Ok(steps) => Some(steps),
            Err(error) => {
                tracing::warn!(%error, "the past is shown without what alerts said then");
                None
            }
        }
    }
}

fn named(machines: &[MachineId]) -> Vec<MachineId> {
    if machines.len() <= NAMED_MAX {
        machines.to_vec()
    } else {
        Vec::new()
    }
}
