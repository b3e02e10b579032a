//! One machine: its engine, fed from what the aggregator says of it.

mod lateness;
mod past;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sysmon_api::{Machine, wire};
use sysmon_core::alert::{
    Acknowledgement, Alert, AlertKey, Check, Culprit, MachineAlerts, Phase, Quantity, Rule, RuleId,
    SavedMachine, Transition,
};
use sysmon_core::{MachineId, ProcessTable, UnixMillis, from_scaled};

use crate::book::Book;
use lateness::Lateness;

/// Samples that are further than this from the time at which they came are no samples: a year.
const NONSENSE_MS: i64 = 366 * 86_400_000;
/// Version of the saved state.
const VERSION: u32 = 1;

/// One machine that is ours to judge.
#[derive(Debug)]
pub(crate) struct Judge {
    engine: MachineAlerts,
    /// Time of the newest sample that was given to the engine.
    seen: UnixMillis,
    /// When the aggregator last heard of the machine, as far as the engine was told.
    heard: UnixMillis,
    lateness: Lateness,
    /// Decimals of series by number.
    decimals: HashMap<u32, u8>,
    revision: u64,
    /// Alerts as they were told last.
    shown: BTreeMap<AlertKey, Alert>,
    /// Something was judged since the state was saved.
    is_dirty: bool,
    /// The book's edition that the engine has.
    edition: u64,
    /// Rules whose culprits are those with the most memory rather than those that compute most.
    by_memory: Arc<BTreeSet<RuleId>>,
}

/// What came of judging.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) transitions: Vec<Transition>,
    /// Alerts that changed; those that are gone are inactive.
    pub(crate) alerts: Vec<Alert>,
}

impl Outcome {
    pub(crate) fn is_empty(&self) -> bool {
        self.transitions.is_empty() && self.alerts.is_empty()
    }
}

/// As it is stored.
#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    seen: UnixMillis,
    heard: UnixMillis,
    engine: SavedMachine,
}

/// All metrics that a rule reads.
pub(crate) fn metrics_of(rule: &Rule) -> Vec<String> {
    let Check::Metric(check) = &rule.check else {
        return Vec::new();
    };
    let of = |quantity: &Quantity| {
        std::iter::once(quantity.metric.clone())
            .chain(quantity.per.clone())
            .collect::<Vec<_>>()
    };
    let levels = [&check.info, &check.warning, &check.critical];
    let guards = levels
        .into_iter()
        .flatten()
        .filter_map(|level| level.and.as_ref());
    std::iter::once(&check.quantity)
        .chain(guards.map(|guard| &guard.quantity))
        .flat_map(of)
        .collect()
}

impl Judge {
    /// A machine of which nothing is known yet.
    pub(crate) fn new(id: MachineId, book: &Book, now: UnixMillis) -> Self {
        let mut judge = Self::of(MachineAlerts::new(id));
        judge.consult(book, now, &mut Outcome::default());
        judge
    }

    fn of(engine: MachineAlerts) -> Self {
        Self {
            revision: engine.revision(),
            engine,
            seen: UnixMillis(i64::MIN),
            heard: UnixMillis(i64::MIN),
            lateness: Lateness::default(),
            decimals: HashMap::new(),
            shown: BTreeMap::new(),
            is_dirty: false,
            edition: 0,
            by_memory: Arc::default(),
        }
    }

    /// Goes on where [`Judge::save`] was called. `shown` are the machine's alerts as the store has them.
    ///
    /// # Errors
    /// Why the state cannot be used.
    pub(crate) fn restore(
        state: &[u8],
        shown: Vec<Alert>,
        book: &Book,
        now: UnixMillis,
        outcome: &mut Outcome,
    ) -> Result<Self, String> {
        let saved: Saved = serde_json::from_slice(state).map_err(|error| error.to_string())?;
        if saved.version != VERSION {
            return Err(format!("it has version {}, not {VERSION}", saved.version));
        }
        let engine = MachineAlerts::restore(saved.engine, &book.set, now, &mut outcome.transitions);
        let mut judge = Self::of(engine);
        (judge.seen, judge.heard) = (saved.seen, saved.heard);
        judge.edition = book.edition;
        judge.shown = shown
            .into_iter()
            .map(|alert| (alert.key.clone(), alert))
            .collect();
        judge.consult(book, now, outcome);
        // What is in the store may be older than the state, or the other way round.
        judge.compare(outcome);
        Ok(judge)
    }

    /// Goes on with alerts as the store has them, where the state that goes with them cannot be used.
    pub(crate) fn take_over(
        id: MachineId,
        shown: Vec<Alert>,
        book: &Book,
        now: UnixMillis,
        outcome: &mut Outcome,
    ) -> Self {
        let alerts = shown.clone();
        let engine = MachineAlerts::take_over(id, alerts, &book.set, now, &mut outcome.transitions);
        let mut judge = Self::of(engine);
        judge.edition = book.edition;
        // What was before their last step was judged before: again it would take that step back. And silence counts from
        // now on.
        let last = shown.iter().map(|alert| alert.since).max();
        judge.seen = last.unwrap_or(judge.seen);
        judge.heard = judge.seen;
        judge.engine.resume(now);
        judge.is_dirty = true;
        judge.shown = shown
            .into_iter()
            .map(|alert| (alert.key.clone(), alert))
            .collect();
        judge.consult(book, now, outcome);
        judge.compare(outcome);
        judge
    }

    /// The state with all timers, as it is stored.
    pub(crate) fn save(&mut self) -> Bytes {
        self.is_dirty = false;
        let saved = Saved {
            version: VERSION,
            seen: self.seen,
            heard: self.heard,
            engine: self.engine.save(),
        };
        // Numbers, texts and lists of them: there is nothing that JSON could not hold.
        Bytes::from(serde_json::to_vec(&saved).unwrap_or_default())
    }

    /// Whether something fires within `within_ms` unless it gets better.
    pub(crate) fn is_about_to_fire(&self, within_ms: u64) -> bool {
        !self.shown.is_empty() && self.engine.is_about_to_fire(within_ms)
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// Takes rules, silences and acknowledgements over.
    pub(crate) fn consult(&mut self, book: &Book, now: UnixMillis, outcome: &mut Outcome) {
        if self.edition != book.edition {
            self.edition = book.edition;
            self.is_dirty = true;
            self.engine.set_rules(&book.set, now, &mut outcome.transitions);
        }
        self.by_memory = Arc::clone(&book.by_memory);
        self.engine.set_silences(&book.silences, now);
        self.acknowledge(&book.acknowledgements);
        self.note(None, outcome);
    }

    /// Whoever acknowledged an alert meant the one that fired then, not a later one of the same name.
    fn acknowledge(&mut self, all: &BTreeMap<AlertKey, Acknowledgement>) {
        let offset_ms = self.lateness.offset_ms();
        let of = |alert: &Alert| {
            let known = all.get(&alert.key)?;
            let began = alert.fired.unwrap_or(alert.since);
            (known.at.plus_ms(offset_ms).plus_ms(ACKNOWLEDGED_EARLY_MS) >= began).then(|| known.clone())
        };
        let changed: Vec<_> = self
            .engine
            .alerts()
            .filter(|alert| !matches!(alert.phase, Phase::Inactive | Phase::Resolved))
            .map(|alert| (alert.key.clone(), alert.acknowledged.clone(), of(alert)))
            .filter(|(_, has, wanted)| has != wanted)
            .collect();
        for (key, _, wanted) in changed {
            self.engine.acknowledge(&key, wanted);
        }
    }

    /// The first words of an aggregator about this machine, or its numbers have changed: series, host and whatever of
    /// the past five minutes was not judged yet.
    pub(crate) fn introduce(&mut self, machine: &Machine, outcome: &mut Outcome) {
        self.engine.forget_numbers();
        self.decimals.clear();
        self.take_host(machine, outcome);
        for (number, series) in machine.recent.series() {
            self.decimals.insert(number, series.decimals);
            self.engine.announce(number, &series.key);
        }
        let rows = past::rows(&machine.recent, self.seen);
        let newest = rows.last().map(|(at, _)| *at);
        // Silence while nobody listened is no silence.
        if machine.last_seen > self.heard {
            let first = rows.first().map(|(at, _)| *at);
            let resumed = first.zip(newest).map_or(machine.last_seen, |(first, newest)| {
                before(machine.last_seen, newest.since_ms(first))
            });
            self.engine.resume(resumed);
        }
        for (at, values) in &rows {
            let received = before(machine.last_seen, newest.map_or(0, |newest| newest.since_ms(*at)));
            self.observe(*at, received, values, outcome);
            // Who was busy then is not known.
            self.note(None, outcome);
        }
        self.hear(machine, outcome);
    }

    pub(crate) fn take_host(&mut self, machine: &Machine, outcome: &mut Outcome) {
        self.engine.set_host(
            &machine.host.labels,
            machine.interval_ms.into(),
            machine.last_seen,
            &mut outcome.transitions,
        );
    }

    /// What is new about the machine.
    pub(crate) fn update(&mut self, machine: &Machine, update: &wire::MachineUpdate, outcome: &mut Outcome) {
        if update.header.is_some() {
            self.take_host(machine, outcome);
        }
        for number in &update.retired {
            self.engine
                .retire(*number, machine.last_seen, &mut outcome.transitions);
        }
        for definition in &update.announced {
            if let Some(series) = machine.recent.get(definition.series) {
                self.decimals.insert(definition.series, series.decimals);
                self.engine.announce(definition.series, &series.key);
            }
        }
        let newest = update.ticks.last().map(sysmon_api::tick_at);
        for tick in &update.ticks {
            let Ok(scaled) = sysmon_api::tick_values(tick) else {
                continue;
            };
            let values: Vec<(u32, f64)> = scaled
                .into_iter()
                .filter_map(|(number, value)| {
                    Some((number, from_scaled(value, *self.decimals.get(&number)?)))
                })
                .collect();
            let at = sysmon_api::tick_at(tick);
            // Several at once were held up on the way here, not on the way to the aggregator.
            let received = before(machine.last_seen, newest.map_or(0, |newest| newest.since_ms(at)));
            self.observe(at, received, &values, outcome);
        }
        self.hear(machine, outcome);
        self.note(Some(&machine.processes), outcome);
    }

    fn observe(
        &mut self,
        at: UnixMillis,
        received: UnixMillis,
        values: &[(u32, f64)],
        outcome: &mut Outcome,
    ) {
        if at.0.saturating_sub(received.0).unsigned_abs() > NONSENSE_MS.unsigned_abs() {
            return;
        }
        if let Some(offset_ms) = self.lateness.note(at, received) {
            self.engine.set_clock_offset(offset_ms);
        }
        self.seen = at;
        self.heard = self.heard.max(received);
        self.is_dirty = true;
        self.engine
            .observe(at, received, values, &mut outcome.transitions);
    }

    fn hear(&mut self, machine: &Machine, outcome: &mut Outcome) {
        if machine.last_seen > self.heard {
            self.heard = machine.last_seen;
            self.is_dirty = true;
            self.engine.heard(machine.last_seen, &mut outcome.transitions);
        }
    }

    /// Nobody said anything of the machine until now because nobody could.
    pub(crate) fn resume(&mut self, now: UnixMillis) {
        self.engine.resume(now);
    }

    /// Lets time pass, when it would change something.
    pub(crate) fn advance(
        &mut self,
        now: UnixMillis,
        processes: Option<&ProcessTable>,
        outcome: &mut Outcome,
    ) {
        if self.engine.next_due().is_some_and(|due| due <= now) {
            self.is_dirty = true;
            self.engine.advance(now, &mut outcome.transitions);
            self.note(processes, outcome);
        }
    }

    /// The machine is no more: its alerts end.
    pub(crate) fn end(&mut self, now: UnixMillis, outcome: &mut Outcome) {
        self.engine
            .set_rules(&Arc::default(), now, &mut outcome.transitions);
        self.compare(outcome);
        for (_, mut alert) in std::mem::take(&mut self.shown) {
            alert.phase = Phase::Inactive;
            outcome.alerts.retain(|known| known.key != alert.key);
            outcome.alerts.push(alert);
        }
    }

    /// Names who was busy when an alert got worse, and finds the alerts that changed.
    fn note(&mut self, processes: Option<&ProcessTable>, outcome: &mut Outcome) {
        if let Some(processes) = processes {
            for transition in outcome.transitions.iter_mut().filter(|step| is_worse(step)) {
                let culprits = busiest(processes, self.by_memory.contains(&transition.key.rule));
                if transition.culprits.is_empty() && !culprits.is_empty() {
                    self.engine.set_culprits(&transition.key, culprits.clone());
                    transition.culprits = culprits;
                }
            }
        }
        if self.engine.revision() != self.revision || !outcome.transitions.is_empty() {
            self.compare(outcome);
        }
    }

    /// Finds the alerts that changed since they were told.
    fn compare(&mut self, outcome: &mut Outcome) {
        self.revision = self.engine.revision();
        let mut before = std::mem::take(&mut self.shown);
        for alert in self.engine.alerts() {
            if before.remove(&alert.key).as_ref() != Some(alert) {
                outcome.alerts.retain(|known| known.key != alert.key);
                outcome.alerts.push(alert.clone());
            }
            self.shown.insert(alert.key.clone(), alert.clone());
        }
        for (key, mut alert) in before {
            alert.phase = Phase::Inactive;
            outcome.alerts.retain(|known| known.key != key);
            outcome.alerts.push(alert);
        }
    }

    /// Alerts whose value has changed since they were told.
    pub(crate) fn refresh(&mut self, outcome: &mut Outcome) {
        for alert in self.engine.alerts() {
            let is_known = self.shown.get(&alert.key) == Some(alert);
            if !is_known {
                self.shown.insert(alert.key.clone(), alert.clone());
                outcome.alerts.push(alert.clone());
            }
        }
    }
}

/// An acknowledgement may come a little before what it acknowledges, when clocks differ.
const ACKNOWLEDGED_EARLY_MS: i64 = 5_000;

fn before(moment: UnixMillis, ms: u64) -> UnixMillis {
    moment.plus_ms(i64::try_from(ms).map_or(i64::MIN, |ms| -ms))
}

fn is_worse(transition: &Transition) -> bool {
    let wrong = |phase| matches!(phase, Phase::Pending | Phase::Firing);
    wrong(transition.to) && (!wrong(transition.from) || transition.to > transition.from)
        || transition.to == Phase::Firing && transition.severity > transition.severity_before
}

/// The three processes that stand out.
fn busiest(processes: &ProcessTable, by_memory: bool) -> Vec<Culprit> {
    let mut all: Vec<_> = processes.iter().collect();
    all.sort_by(|one, other| {
        let cpu = other
            .cpu_percent
            .unwrap_or(0.0)
            .total_cmp(&one.cpu_percent.unwrap_or(0.0));
        let memory = other.memory_bytes.cmp(&one.memory_bytes);
        let order = if by_memory {
            memory.then(cpu)
        } else {
            cpu.then(memory)
        };
        order.then(one.key.cmp(&other.key))
    });
    all.into_iter()
        .take(3)
        .map(|process| Culprit {
            pid: process.key.pid,
            name: process.name.to_string(),
            user: process.user.to_string(),
            cpu_percent: f64::from(process.cpu_percent.unwrap_or(0.0)),
            memory_bytes: process.memory_bytes,
        })
        .collect()
}
