//! Hot state within one process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sysmon_core::{MachineId, UnixMillis};
use tokio::time::Instant;

use crate::error::StoreError;
use crate::history::StoreInfo;
use crate::hot::{FORGET_AFTER_S, HOT_TICKS_MAX, HotMachine, HotState, HotUpdate, check_updates, is_recent};

/// Keeps what was put with this handle.
#[derive(Default)]
pub(super) struct MemoryHotState {
    machines: Mutex<HashMap<MachineId, Kept>>,
}

struct Kept {
    head: Option<Bytes>,
    ticks: VecDeque<(UnixMillis, Bytes)>,
    put_at: Instant,
}

impl Kept {
    fn take(&mut self, update: &HotUpdate) {
        if let Some(head) = &update.head {
            self.head = Some(head.clone());
        }
        if update.restart {
            self.ticks.clear();
        }
        let Some((at, tick)) = &update.tick else {
            return;
        };
        self.ticks.push_back((*at, tick.clone()));
        while self.ticks.len() > HOT_TICKS_MAX
            || self.ticks.front().is_some_and(|front| !is_recent(front.0, *at))
        {
            self.ticks.pop_front();
        }
    }
}

#[async_trait]
impl HotState for MemoryHotState {
    async fn put(&self, updates: &[HotUpdate]) -> Result<Vec<MachineId>, StoreError> {
        check_updates(updates)?;
        let now = Instant::now();
        let mut machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut headless = Vec::new();
        for update in updates {
            let kept = machines.entry(update.machine.clone()).or_insert_with(|| Kept {
                head: None,
                ticks: VecDeque::new(),
                put_at: now,
            });
            if is_old(kept, now) {
                kept.head = None;
                kept.ticks.clear();
            }
            kept.put_at = now;
            kept.take(update);
            if kept.head.is_none() {
                headless.push(update.machine.clone());
            }
        }
        headless.retain(|machine| machines.get(machine).is_none_or(|kept| kept.head.is_none()));
        headless.dedup();
        Ok(headless)
    }

    async fn load(&self, machine: &MachineId) -> Result<Option<HotMachine>, StoreError> {
        let machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        Ok(machines
            .get(machine)
            .filter(|kept| !is_old(kept, now))
            .and_then(|kept| {
                // A clock that was set back may have left older ones behind newer ones.
                let newest = kept.ticks.back().map_or(UnixMillis(0), |(at, _)| *at);
                Some(HotMachine {
                    head: kept.head.clone()?,
                    ticks: kept
                        .ticks
                        .iter()
                        .filter(|(at, _)| is_recent(*at, newest))
                        .cloned()
                        .collect(),
                })
            }))
    }

    async fn machines(&self) -> Result<Vec<MachineId>, StoreError> {
        let mut machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        machines.retain(|_, kept| !is_old(kept, now));
        let mut names: Vec<MachineId> = machines
            .iter()
            .filter(|(_, kept)| kept.head.is_some())
            .map(|(machine, _)| machine.clone())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn info(&self) -> StoreInfo {
        StoreInfo {
            engine: "memory".to_owned(),
            notices: Vec::new(),
        }
    }
}

fn is_old(kept: &Kept, now: Instant) -> bool {
    now.saturating_duration_since(kept.put_at) >= Duration::from_secs(u64::from(FORGET_AFTER_S))
}
