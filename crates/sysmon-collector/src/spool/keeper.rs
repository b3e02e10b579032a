//! The spool for a task that must not wait for a disk on its own thread.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use sysmon_api::wire;
use sysmon_core::Epoch;
use thiserror::Error;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout};

use super::Spool;
use crate::sample::Sample;
use crate::simulation::Witness;
use crate::slow::Board;

/// How long the end may wait for the disk.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// An upkeep that is never due is looked for again after so long.
const NEVER: Duration = Duration::from_secs(86_400);

/// A spool broke off in the middle of an operation: a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the spool broke off")]
pub(crate) struct Broken;

/// Does what a [`Spool`] does; where that may touch a disk, on a thread that may block, one operation at a time.
///
/// An operation must be waited for: one whose future is dropped takes the spool with it, and every later one is
/// [`Broken`].
#[derive(Debug)]
pub(crate) struct Keeper {
    /// `None` while an operation is under way.
    spool: Option<Box<Spool>>,
    board: Arc<Board>,
    is_in_memory: bool,
    upkeep_interval: Duration,
    upkeep_at: Instant,
    syncing: Option<JoinHandle<Result<(), String>>>,
    witness: Option<Arc<dyn Witness>>,
}

impl Keeper {
    /// What is lost is counted on the board. Needs a running runtime.
    pub(crate) fn new(spool: Spool, board: Arc<Board>) -> Self {
        let upkeep_interval = spool
            .settings
            .as_ref()
            .map_or(NEVER, |(settings, _)| settings.sync_interval);
        Self {
            is_in_memory: spool.is_in_memory(),
            spool: Some(Box::new(spool)),
            board,
            upkeep_interval,
            upkeep_at: Instant::now() + upkeep_interval,
            syncing: None,
            witness: None,
        }
    }

    /// From now on somebody is told of every sample before and after it is appended.
    pub(crate) fn set_witness(&mut self, witness: Arc<dyn Witness>) {
        self.witness = Some(witness);
    }

    /// [`Spool::append`]; gives the sample back with its sequence.
    pub(crate) async fn append(&mut self, sample: Sample) -> Result<(Sample, u64), Broken> {
        if let Some(witness) = &self.witness {
            witness.intended(sample.at);
        }
        let (sample, sequence) = self
            .with(|spool| {
                let sequence = spool.append(&sample);
                (sample, sequence)
            })
            .await?;
        if let Some(witness) = self.witness.clone() {
            witness.appended(self.live()?, sequence, sample.at);
        }
        self.count_lost()?;
        Ok((sample, sequence))
    }

    /// [`Spool::learn`]
    pub(crate) fn learn(&mut self, sample: &Sample) -> Result<(), Broken> {
        self.spool()?.learn(sample);
        Ok(())
    }

    /// [`Spool::live`]
    pub(crate) fn live(&mut self) -> Result<Epoch, Broken> {
        Ok(self.spool()?.live())
    }

    /// [`Spool::is_new`]
    pub(crate) fn is_new(&self) -> bool {
        self.spool.as_ref().is_some_and(|spool| spool.is_new())
    }

    /// [`Spool::is_known_new`]
    pub(crate) fn is_known_new(&mut self) -> Result<(), Broken> {
        self.spool()?.is_known_new();
        Ok(())
    }

    /// [`Spool::begin_epoch`]
    pub(crate) async fn begin_epoch(&mut self, epoch: Epoch) -> Result<(), Broken> {
        self.with(move |spool| spool.begin_epoch(epoch)).await
    }

    /// [`Spool::acknowledge`]
    pub(crate) async fn acknowledge(&mut self, epoch: Epoch, through: u64) -> Result<(), Broken> {
        let spool = self.spool()?;
        if spool.would_remove(epoch, through) {
            self.with(move |spool| spool.acknowledge(epoch, through)).await
        } else {
            spool.acknowledge(epoch, through);
            Ok(())
        }
    }

    /// [`Spool::restart`]
    pub(crate) fn restart(&mut self) -> Result<(), Broken> {
        self.spool()?.restart();
        Ok(())
    }

    /// [`Spool::rewind`]
    pub(crate) fn rewind(&mut self, epoch: Epoch, expected: u64) -> Result<bool, Broken> {
        Ok(self.spool()?.rewind(epoch, expected))
    }

    /// [`Spool::waiting`]
    pub(crate) fn waiting(&mut self) -> Result<u64, Broken> {
        Ok(self.spool()?.waiting())
    }

    /// [`Spool::next_backlog`]
    pub(crate) async fn next_backlog(&mut self) -> Result<Vec<wire::Backlog>, Broken> {
        if self.spool()?.waiting() == 0 {
            return Ok(Vec::new());
        }
        let messages = self.with(Spool::next_backlog).await?;
        self.count_lost()?;
        Ok(messages)
    }

    /// [`Spool::forget_memory`]
    pub(crate) fn forget_memory(&mut self) -> Result<(), Broken> {
        self.spool()?.forget_memory();
        self.count_lost()
    }

    /// When the next [`Keeper::upkeep`] is due.
    pub(crate) fn upkeep_at(&self) -> Instant {
        self.upkeep_at
    }

    /// [`Spool::upkeep`]; what it wants to be forced to disk is so beside everything else.
    pub(crate) async fn upkeep(&mut self) -> Result<(), Broken> {
        self.upkeep_at = Instant::now() + self.upkeep_interval;
        if self.is_in_memory {
            return Ok(());
        }
        if let Some(syncing) = self.syncing.take_if(|syncing| syncing.is_finished())
            && let Ok(Err(reason)) = syncing.await
        {
            self.with(|spool| spool.sync_failed(reason)).await?;
        }
        let is_idle = self.syncing.is_none();
        let files = self
            .with(move |spool| {
                spool.upkeep();
                // A disk that has not finished the last ones gets no more to do.
                if is_idle {
                    spool.take_unsynced()
                } else {
                    Vec::new()
                }
            })
            .await?;
        self.count_lost()?;
        if !files.is_empty() {
            self.syncing = Some(spawn_blocking(move || sync(&files)));
        }
        Ok(())
    }

    /// [`Spool::close`]; a disk that hangs is not waited for.
    pub(crate) async fn close(mut self) {
        let Some(spool) = self.spool.take() else { return };
        if self.is_in_memory {
            return;
        }
        match timeout(CLOSE_LIMIT, spawn_blocking(move || spool.close())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "the spool broke off; this is a defect, please report it")
            }
            Err(_) => tracing::warn!("the disk did not take the end of the spool in time"),
        }
    }

    fn spool(&mut self) -> Result<&mut Spool, Broken> {
        self.spool.as_deref_mut().ok_or(Broken)
    }

    fn count_lost(&mut self) -> Result<(), Broken> {
        let lost = self.spool()?.take_lost_ticks();
        self.board.count_dropped_ticks(lost);
        Ok(())
    }

    async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Spool) -> T + Send + 'static,
    ) -> Result<T, Broken> {
        if self.is_in_memory {
            return Ok(work(self.spool()?));
        }
        let mut spool = self.spool.take().ok_or(Broken)?;
        let working = spawn_blocking(move || {
            let result = work(&mut spool);
            (spool, result)
        });
        match working.await {
            Ok((spool, result)) => {
                self.spool = Some(spool);
                Ok(result)
            }
            Err(error) => {
                tracing::error!(%error, "the spool broke off; this is a defect, please report it");
                Err(Broken)
            }
        }
    }
}

fn sync(files: &[Arc<File>]) -> Result<(), String> {
    files
        .iter()
        .try_for_each(|file| file.sync_data())
        .map_err(|error| format!("what was written cannot be forced to disk: {error}"))
}
