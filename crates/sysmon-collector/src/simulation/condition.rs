//! What can be wrong with a machine, when, and how much.

use std::fmt;

use super::noise::Key;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Something that is wrong with a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Its disks are slow: processors wait for them, and load rises.
    IoWait,
    /// A file system fills up.
    DiskFull,
    /// A process takes ever more memory, until swap is full as well.
    MemoryLeak,
    /// A network link goes up and down, with errors in between.
    LinkFlap,
    /// The hypervisor gives its processors to others.
    CpuSteal,
    /// A process takes all the processor time that it can get.
    Runaway,
    /// It is switched off: nothing is measured, and afterwards it has booted.
    Off,
    /// It measures, but cannot reach the aggregator.
    Disconnected,
}

impl Condition {
    /// Every condition with the word for it in a scenario.
    pub const WORDS: [(Self, &'static str); 8] = [
        (Self::IoWait, "iowait"),
        (Self::DiskFull, "disk_full"),
        (Self::MemoryLeak, "memory_leak"),
        (Self::LinkFlap, "link_flap"),
        (Self::CpuSteal, "cpu_steal"),
        (Self::Runaway, "runaway"),
        (Self::Off, "off"),
        (Self::Disconnected, "disconnected"),
    ];

    /// The condition of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let known = Self::WORDS.iter().find(|(_, known)| *known == word);
        known.map(|(condition, _)| *condition)
    }

    /// How long it takes to become as bad as it gets, unless something else is said.
    fn rise_ms(self) -> i64 {
        match self {
            Self::DiskFull => 5 * MINUTE_MS,
            Self::MemoryLeak => 10 * MINUTE_MS,
            Self::IoWait | Self::CpuSteal => 5 * SECOND_MS,
            Self::Runaway | Self::LinkFlap | Self::Off | Self::Disconnected => 0,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::WORDS.iter().find(|(condition, _)| condition == self);
        formatter.write_str(word.map_or("", |(_, word)| word))
    }
}

/// What is to happen while a fleet is simulated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenario {
    /// In any order; where several concern one machine and condition, the worst counts.
    pub events: Vec<Event>,
}

/// A condition that machines get for some time.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What is wrong with them.
    pub condition: Condition,
    /// When it begins, in milliseconds after the start of the simulation.
    pub at_ms: u64,
    /// How long it lasts, in milliseconds; for ever when `None`.
    pub for_ms: Option<u64>,
    /// How long it takes to become as bad as it gets, in milliseconds; by default as usual for the condition.
    pub over_ms: Option<u64>,
    /// Ids of the machines; empty for all.
    pub machines: Vec<String>,
    /// Labels that a machine must have, all of them.
    pub labels: Vec<(String, String)>,
    /// The part of those machines that gets it, 0 to 1; which ones follows from the seed.
    pub share: f64,
    /// How bad it gets, 0 to 1.
    pub strength: f64,
}

impl Event {
    /// An event for all machines that begins at once and lasts.
    #[must_use]
    pub fn new(condition: Condition) -> Self {
        Self {
            condition,
            at_ms: 0,
            for_ms: None,
            over_ms: None,
            machines: Vec::new(),
            labels: Vec::new(),
            share: 1.0,
            strength: 1.0,
        }
    }

    fn concerns(&self, id: &str, labels: &[(String, String)], key: Key) -> bool {
        (self.machines.is_empty() || self.machines.iter().any(|machine| machine == id))
            && self.labels.iter().all(|wanted| labels.contains(wanted))
            && key.unit() < self.share
    }
}

/// One condition of one machine over one stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spell {
    pub(super) condition: Condition,
    pub(super) from_ms: i64,
    pub(super) until_ms: i64,
    rise_ms: i64,
    strength: f64,
}

impl Spell {
    /// How bad it is, 0 to 1.
    fn intensity(&self, at_ms: i64) -> f64 {
        if !self.is_on(at_ms) {
            return 0.0;
        }
        let risen = (at_ms - self.from_ms) as f64 / self.rise_ms.max(1) as f64;
        self.strength * risen.min(1.0)
    }

    pub(super) fn is_on(&self, at_ms: i64) -> bool {
        (self.from_ms..self.until_ms).contains(&at_ms)
    }
}

/// What comes back again and again on a machine that is not quite well.
#[derive(Clone, Copy, Debug)]
struct Chronic {
    condition: Condition,
    period_ms: i64,
    phase_ms: i64,
    lasts_ms: i64,
    rise_ms: i64,
}

impl Chronic {
    fn intensity(&self, at_ms: i64) -> f64 {
        let since = (at_ms + self.phase_ms).rem_euclid(self.period_ms);
        if since >= self.lasts_ms {
            return 0.0;
        }
        (since as f64 / self.rise_ms.max(1) as f64).min(1.0)
    }

    /// How often it has come to its end until then.
    fn ends(&self, at_ms: i64) -> i64 {
        (at_ms + self.phase_ms - self.lasts_ms).div_euclid(self.period_ms)
    }
}

/// How bad each condition is at a moment, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Troubles {
    pub(super) io_wait: f64,
    pub(super) disk_full: f64,
    pub(super) memory_leak: f64,
    pub(super) link_flap: f64,
    pub(super) cpu_steal: f64,
    pub(super) runaway: f64,
}

/// Everything that is or will be wrong with one machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Fate {
    chronic: Vec<Chronic>,
    spells: Vec<Spell>,
}

impl Fate {
    /// What the seed has in store for a machine, and the events of the scenario that concern it. `start_ms` is the
    /// start of the simulation on the clock of the samples.
    pub(super) fn of(
        key: Key,
        scenario: &Scenario,
        (id, labels): (&str, &[(String, String)]),
        start_ms: i64,
    ) -> Self {
        let milliseconds = |length: u64| i64::try_from(length).unwrap_or(i64::MAX);
        let spells = scenario.events.iter().enumerate().filter_map(|(index, event)| {
            let key = key.part(1_000 + index as u64);
            event.concerns(id, labels, key).then(|| {
                let from_ms = start_ms.saturating_add(milliseconds(event.at_ms));
                let lasts_ms = event.for_ms.map_or(i64::MAX, milliseconds);
                let usual_ms = event.condition.rise_ms().min(lasts_ms / 2);
                Spell {
                    condition: event.condition,
                    from_ms,
                    until_ms: from_ms.saturating_add(lasts_ms),
                    rise_ms: event.over_ms.map_or(usual_ms, milliseconds),
                    strength: event.strength,
                }
            })
        });
        Self {
            chronic: chronic(key),
            spells: spells.collect(),
        }
    }

    /// How the machine is at a moment.
    pub(super) fn troubles(&self, at_ms: i64) -> Troubles {
        let mut troubles = Troubles::default();
        let chronic = self
            .chronic
            .iter()
            .map(|chronic| (chronic.condition, chronic.intensity(at_ms)));
        let spells = self
            .spells
            .iter()
            .map(|spell| (spell.condition, spell.intensity(at_ms)));
        for (condition, intensity) in chronic.chain(spells) {
            let trouble = match condition {
                Condition::IoWait => &mut troubles.io_wait,
                Condition::DiskFull => &mut troubles.disk_full,
                Condition::MemoryLeak => &mut troubles.memory_leak,
                Condition::LinkFlap => &mut troubles.link_flap,
                Condition::CpuSteal => &mut troubles.cpu_steal,
                Condition::Runaway => &mut troubles.runaway,
                Condition::Off | Condition::Disconnected => continue,
            };
            *trouble = trouble.max(intensity);
        }
        troubles
    }

    /// How many processes the kernel killed for want of memory between two moments.
    pub(super) fn oom_kills(&self, from_ms: i64, to_ms: i64) -> i64 {
        let leaks = self
            .chronic
            .iter()
            .filter(|chronic| chronic.condition == Condition::MemoryLeak);
        leaks
            .map(|leak| (leak.ends(to_ms) - leak.ends(from_ms)).max(0))
            .sum()
    }

    /// Whether nothing comes back again and again.
    #[cfg(test)]
    pub(super) fn is_well(&self) -> bool {
        self.chronic.is_empty()
    }

    /// The stretches of a condition that the scenario has for this machine.
    pub(super) fn spells(&self, condition: Condition) -> impl Iterator<Item = &Spell> {
        self.spells
            .iter()
            .filter(move |spell| spell.condition == condition)
    }
}

/// How likely a condition is to come back again and again on a machine, and how.
struct Chance {
    condition: Condition,
    /// Of a thousand machines.
    per_thousand: f64,
    /// Length of a cycle.
    hours: (f64, f64),
    /// The part of a cycle that is bad.
    part: f64,
    /// The part of that in which it is getting worse.
    rising: f64,
}

const fn chance(
    condition: Condition,
    per_thousand: f64,
    hours: (f64, f64),
    part: f64,
    rising: f64,
) -> Chance {
    Chance {
        condition,
        per_thousand,
        hours,
        part,
        rising,
    }
}

const CHANCES: [Chance; 6] = [
    chance(Condition::IoWait, 15.0, (1.0, 6.0), 0.25, 0.02),
    chance(Condition::DiskFull, 15.0, (12.0, 72.0), 0.6, 0.9),
    chance(Condition::MemoryLeak, 25.0, (3.0, 20.0), 0.95, 1.0),
    chance(Condition::LinkFlap, 10.0, (0.5, 3.0), 0.2, 0.0),
    chance(Condition::CpuSteal, 20.0, (0.5, 4.0), 0.3, 0.01),
    chance(Condition::Runaway, 25.0, (2.0, 12.0), 0.3, 0.0),
];

/// What the seed has in store for a machine: for most nothing.
fn chronic(key: Key) -> Vec<Chronic> {
    let has = |(index, chance): (usize, &Chance)| {
        let key = key.part(100 + index as u64);
        (key.unit() * 1_000.0 < chance.per_thousand).then(|| {
            let (shortest, longest) = chance.hours;
            let period_ms = (key.part(0).between(shortest, longest) * HOUR_MS as f64) as i64;
            let lasts_ms = (period_ms as f64 * chance.part) as i64;
            Chronic {
                condition: chance.condition,
                period_ms,
                phase_ms: (key.part(1).unit() * period_ms as f64) as i64,
                lasts_ms,
                rise_ms: (lasts_ms as f64 * chance.rising) as i64,
            }
        })
    };
    CHANCES.iter().enumerate().filter_map(has).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(events: Vec<Event>, labels: &[(&str, &str)]) -> Fate {
        let labels: Vec<(String, String)> = labels
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        let mut fate = Fate::of(
            Key::of_machine(1, 1),
            &Scenario { events },
            ("sim-1", &labels),
            10_000,
        );
        fate.chronic.clear();
        fate
    }

    #[test]
    fn an_event_rises_stays_and_ends() {
        let event = Event {
            at_ms: 5_000,
            for_ms: Some(10_000),
            over_ms: Some(4_000),
            strength: 0.5,
            ..Event::new(Condition::DiskFull)
        };
        let fate = fate(vec![event], &[]);
        let intensities: Vec<f64> = [14_999, 15_000, 17_000, 19_000, 24_999, 25_000]
            .map(|at_ms| fate.troubles(at_ms).disk_full)
            .into();
        assert_eq!(intensities, [0.0, 0.0, 0.25, 0.5, 0.5, 0.0]);
    }

    #[test]
    fn an_event_concerns_the_machines_and_labels_that_it_names() {
        let by_label = Event {
            labels: vec![("role".into(), "db".into()), ("rack".into(), "b2".into())],
            ..Event::new(Condition::Off)
        };
        let by_id = |id: &str| Event {
            machines: vec!["other".into(), id.into()],
            ..Event::new(Condition::Off)
        };
        let nobody = Event {
            share: 0.0,
            ..Event::new(Condition::Off)
        };
        for (event, expected) in [
            (by_label, 1),
            (by_id("sim-1"), 1),
            (by_id("sim-2"), 0),
            (nobody, 0),
        ] {
            let labels = [("rack", "b2"), ("role", "db"), ("zone", "a")];
            let fate = fate(vec![event.clone()], &labels);
            assert_eq!(fate.spells(Condition::Off).count(), expected, "{event:?}");
        }
        let elsewhere = Event {
            labels: vec![("role".into(), "db".into())],
            ..Event::new(Condition::Off)
        };
        assert_eq!(
            fate(vec![elsewhere], &[("role", "web")])
                .spells(Condition::Off)
                .count(),
            0
        );
    }

    #[test]
    fn most_machines_are_well_and_some_are_not() {
        let ill = (0..1_000)
            .filter(|index| !chronic(Key::of_machine(3, *index)).is_empty())
            .count();
        assert!((60..180).contains(&ill), "{ill}");
    }
}
