//! A client's copy of what one subscription brings, kept true by updates.

use std::collections::BTreeMap;
use std::sync::Arc;

use sysmon_core::filter::Seen;
use sysmon_core::{Health, HostInfo, Liveness, ProcessTable, Recent, UnixMillis, series};
use thiserror::Error;

use crate::convert::{
    health_from_wire, host_from_wire, liveness_from_wire, processes_from_wire, series_from_wire, tick_at,
    tick_values,
};
use crate::wire;

mod whole;

/// The copy no longer follows from what came before; subscribe again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("an update does not follow from what came before ({0}); subscribe again")]
pub struct OutOfSync(pub String);

/// One machine as the aggregator last described it. Remote texts are free of control characters.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its id.
    pub id: Arc<str>,
    /// What seldom changes.
    pub host: HostInfo,
    /// Time between base ticks.
    pub interval_ms: u32,
    /// What is wrong with its connection; empty when nothing is.
    pub problem: String,
    /// How recently the aggregator heard of it.
    pub liveness: Liveness,
    /// How it fares.
    pub health: Health,
    /// When the aggregator last heard of it, on the aggregator's clock.
    pub last_seen: UnixMillis,
    /// Current values and the recent past.
    pub recent: Recent,
    /// Its processes, as far as subscribed.
    pub processes: ProcessTable,
    sequence: u64,
}

impl Machine {
    /// The machine as filters see it at `now` on the aggregator's clock; `any_alert` says whether what is asked holds for one
    /// of its alerts. The copy has only what was subscribed: a metric that was not has no value here.
    pub fn seen<A>(&self, now: UnixMillis, any_alert: A) -> Seen<'_, A> {
        Seen {
            id: &self.id,
            host: &self.host,
            liveness: self.liveness,
            health: self.health,
            age_ms: now.since_ms(self.last_seen),
            interval_ms: self.interval_ms,
            recent: &self.recent,
            any_alert,
        }
    }
}

/// What one subscription has brought so far.
#[derive(Clone, Debug, Default)]
pub struct Replica {
    machines: BTreeMap<u32, Machine>,
    totals: wire::FleetTotals,
    now: UnixMillis,
    complete: bool,
    window: Option<Window>,
}

/// The rows that a subscription with a window shows, as the aggregator last told them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Number of the first row among all that match, from 0. It may be another than was asked for: when fewer match
    /// than lie before the window, the last rows are shown.
    pub first: u32,
    /// How many machines match, in the window or not.
    pub matching: u32,
    /// The machines of the rows, in their order. Each of them is known.
    pub machines: Vec<u32>,
}

impl Replica {
    /// The most machines taken; more would not be looked at.
    pub const MACHINE_LIMIT: usize = 100_000;

    /// Takes an update over.
    ///
    /// # Errors
    /// [`OutOfSync`] when something between was missed or the update contradicts itself. The copy may then be partly
    /// updated; a new snapshot replaces all of it.
    pub fn apply(&mut self, update: &wire::Update) -> Result<(), OutOfSync> {
        if update.snapshot {
            self.machines.clear();
            self.window = None;
            self.complete = false;
        }
        self.now = UnixMillis(update.now_unix_ms);
        if let Some(totals) = &update.totals {
            self.totals = *totals;
        }
        for machine in &update.machines {
            self.apply_machine(machine)?;
        }
        if update.has_window {
            self.apply_window(update)?;
        }
        if !update.more {
            self.complete = true;
        }
        Ok(())
    }

    fn apply_machine(&mut self, update: &wire::MachineUpdate) -> Result<(), OutOfSync> {
        if update.left {
            self.machines.remove(&update.machine);
            if let Some(window) = &mut self.window {
                window.machines.retain(|number| *number != update.machine);
            }
            return Ok(());
        }
        if !self.machines.contains_key(&update.machine) {
            let Some(header) = update
                .header
                .as_ref()
                .filter(|_| self.machines.len() < Self::MACHINE_LIMIT)
            else {
                return Err(OutOfSync(format!(
                    "machine {} was never introduced",
                    update.machine
                )));
            };
            self.machines
                .insert(update.machine, Machine::new(&header.machine_id));
        }
        match self.machines.get_mut(&update.machine) {
            Some(machine) => machine.apply(update),
            None => Ok(()),
        }
    }

    fn apply_window(&mut self, update: &wire::Update) -> Result<(), OutOfSync> {
        let is_known = |number: &u32| self.machines.contains_key(number);
        if let Some(unknown) = update.window_machines.iter().find(|number| !is_known(number)) {
            return Err(OutOfSync(format!(
                "machine {unknown} of the window was never introduced"
            )));
        }
        self.window = Some(Window {
            first: update.window_first,
            matching: update.matching,
            machines: update.window_machines.clone(),
        });
        Ok(())
    }

    /// The rows in their order, where the subscription has a window and the aggregator knows of windows. A machine that
    /// has just entered is among [`Replica::machines`] a moment before it is here.
    #[must_use]
    pub fn window(&self) -> Option<&Window> {
        self.window.as_ref()
    }

    /// How many machines match: those of the subscription, or with a window all that it moves over.
    #[must_use]
    pub fn matching(&self) -> usize {
        match &self.window {
            Some(window) => window.matching as usize,
            None => self.machines.len(),
        }
    }

    /// The machines of the subscription by number.
    pub fn machines(&self) -> impl ExactSizeIterator<Item = (u32, &Machine)> {
        self.machines.iter().map(|(number, machine)| (*number, machine))
    }

    /// One machine by number.
    #[must_use]
    pub fn machine(&self, number: u32) -> Option<&Machine> {
        self.machines.get(&number)
    }

    /// One machine by id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Machine> {
        self.machines.values().find(|machine| &*machine.id == id)
    }

    /// Counts over all machines, filtered or not.
    #[must_use]
    pub fn totals(&self) -> &wire::FleetTotals {
        &self.totals
    }

    /// The aggregator's clock at the last update.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.now
    }

    /// Whether a whole snapshot has arrived.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }
}

impl Machine {
    /// How much of the past a client keeps.
    const WINDOW_MS: u64 = 300_000;

    fn new(id: &str) -> Self {
        Self {
            id: sysmon_core::sanitize(id).into(),
            host: HostInfo::default(),
            interval_ms: 0,
            problem: String::new(),
            liveness: Liveness::default(),
            health: Health::default(),
            last_seen: UnixMillis(0),
            recent: Recent::new(Self::WINDOW_MS),
            processes: ProcessTable::default(),
            sequence: 0,
        }
    }

    fn apply(&mut self, update: &wire::MachineUpdate) -> Result<(), OutOfSync> {
        if update.replace {
            self.recent = Recent::new(Self::WINDOW_MS);
            self.processes = ProcessTable::default();
        } else if update.follows_sequence != self.sequence {
            return Err(OutOfSync(format!(
                "{} is at {}, not {}",
                self.id, self.sequence, update.follows_sequence
            )));
        }
        self.sequence = update.sequence;
        if let Some(header) = &update.header {
            self.host = header.host.as_ref().map(host_from_wire).unwrap_or_default();
            self.interval_ms = header.interval_ms;
            self.problem = sysmon_core::sanitize(&header.problem).into_owned();
        }
        self.liveness = liveness_from_wire(update.liveness);
        self.health = health_from_wire(update.health);
        self.last_seen = UnixMillis(update.last_seen_unix_ms);
        for number in &update.retired {
            self.recent.retire(*number);
        }
        for definition in &update.announced {
            let (number, key, decimals) =
                series_from_wire(definition).map_err(|error| OutOfSync(error.message))?;
            self.recent.announce(number, Arc::new(key), decimals);
        }
        if let Some(history) = &update.history {
            self.apply_history(history);
        }
        for tick in &update.ticks {
            let values = tick_values(tick).map_err(|error| OutOfSync(error.message))?;
            self.recent.push(tick_at(tick), values);
        }
        if let Some(processes) = &update.processes {
            let delta = processes_from_wire(processes, &self.processes);
            self.processes.apply(&delta);
        }
        Ok(())
    }

    fn apply_history(&mut self, history: &wire::History) {
        let mut columns: Vec<_> = history
            .series
            .iter()
            .map(|series| (series.series, 0i64, series.codes.iter()))
            .collect();
        let mut at = 0i64;
        let mut values = Vec::with_capacity(columns.len());
        for step in history.at_unix_ms_steps.iter().take(Recent::TICK_LIMIT) {
            at = at.wrapping_add(*step);
            values.clear();
            for (number, before, codes) in &mut columns {
                if let Some(value) = codes.next().and_then(|code| series::decode(*before, *code)) {
                    *before = value;
                    values.push((*number, value));
                }
            }
            self.recent.push(UnixMillis(at), values.iter().copied());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::{series_to_wire, tick_to_wire};
    use sysmon_core::{MetricId, SeriesKey};

    fn introduction() -> wire::MachineUpdate {
        wire::MachineUpdate {
            machine: 3,
            header: Some(wire::MachineHeader {
                machine_id: "web-1".into(),
                ..Default::default()
            }),
            replace: true,
            liveness: wire::Liveness::Live.into(),
            announced: vec![series_to_wire(1, &SeriesKey::plain(MetricId::CpuBusy), 1)],
            history: Some(wire::History {
                at_unix_ms_steps: vec![1_000, 1_000, 1_000],
                series: vec![wire::SeriesHistory {
                    series: 1,
                    codes: vec![series::code(0, 500), 0, series::code(500, 510)],
                }],
            }),
            sequence: 3,
            ..Default::default()
        }
    }

    fn update(machine: wire::MachineUpdate, snapshot: bool) -> wire::Update {
        wire::Update {
            snapshot,
            machines: vec![machine],
            ..Default::default()
        }
    }

    #[test]
    fn a_snapshot_brings_the_past_and_updates_go_on_from_it() {
        let mut replica = Replica::default();
        replica.apply(&update(introduction(), true)).unwrap();
        let next = wire::MachineUpdate {
            machine: 3,
            ticks: vec![tick_to_wire(UnixMillis(4_000), &[(1, 990)])],
            sequence: 4,
            follows_sequence: 3,
            ..Default::default()
        };
        replica.apply(&update(next.clone(), false)).unwrap();
        let machine = replica.find("web-1").unwrap();
        let points: Vec<_> = machine
            .recent
            .points(machine.recent.get(1).unwrap(), 0)
            .map(|(_, value)| value)
            .collect();
        assert_eq!(points, [Some(50.0), None, Some(51.0), Some(99.0)]);
        assert!(
            replica.apply(&update(next, false)).is_err(),
            "the same update twice does not follow"
        );
    }

    #[test]
    fn a_window_orders_known_machines_and_a_snapshot_forgets_it() {
        let mut replica = Replica::default();
        let windowed = |machines: Vec<u32>| wire::Update {
            window_machines: machines,
            has_window: true,
            window_first: 40,
            matching: 90,
            ..Default::default()
        };
        replica.apply(&update(introduction(), true)).unwrap();
        assert_eq!((replica.window(), replica.matching()), (None, 1));
        replica.apply(&windowed(vec![3])).unwrap();
        let window = replica.window().unwrap();
        assert_eq!(
            (window.first, window.matching, &window.machines[..]),
            (40, 90, &[3][..])
        );
        assert_eq!(replica.matching(), 90);
        assert!(
            replica.apply(&windowed(vec![3, 4])).is_err(),
            "4 was never introduced"
        );
        let left = wire::MachineUpdate {
            machine: 3,
            left: true,
            ..Default::default()
        };
        replica.apply(&update(left, false)).unwrap();
        assert_eq!(replica.window().unwrap().machines, [0; 0]);
        replica.apply(&update(introduction(), true)).unwrap();
        assert_eq!(replica.window(), None);
    }

    #[test]
    fn an_update_for_an_unknown_machine_asks_for_a_new_snapshot() {
        let mut unknown = introduction();
        unknown.header = None;
        assert!(Replica::default().apply(&update(unknown, true)).is_err());
    }

    #[test]
    fn a_machine_that_left_is_gone_and_a_snapshot_forgets_all() {
        let mut replica = Replica::default();
        replica.apply(&update(introduction(), true)).unwrap();
        let left = wire::MachineUpdate {
            machine: 3,
            left: true,
            ..Default::default()
        };
        replica.apply(&update(left, false)).unwrap();
        assert_eq!(replica.machines().len(), 0);
        replica.apply(&update(introduction(), true)).unwrap();
        replica
            .apply(&wire::Update {
                snapshot: true,
                ..Default::default()
            })
            .unwrap();
        assert_eq!(replica.machines().len(), 0);
        assert!(replica.is_complete());
    }
}
