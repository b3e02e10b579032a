//! What goes wrong when: made from the seed before anything starts.

use std::fmt;
use std::time::Duration;

use super::random::Random;

/// Who can be hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Simulator(usize),
    Aggregator(usize),
    Redis,
    Postgres,
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simulator(index) => write!(formatter, "simulator {index}"),
            Self::Aggregator(index) => write!(formatter, "aggregator {index}"),
            Self::Redis => formatter.write_str("redis"),
            Self::Postgres => formatter.write_str("postgres"),
        }
    }
}

/// What is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Kill(Target),
    Start(Target),
    /// It stays there and does nothing.
    Hang(Target),
    GoOn(Target),
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(target) => write!(formatter, "kill -9 {target}"),
            Self::Start(target) => write!(formatter, "start {target}"),
            Self::Hang(target) => write!(formatter, "{target} hangs"),
            Self::GoOn(target) => write!(formatter, "{target} goes on"),
        }
    }
}

/// One moment of a plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) at: Duration,
    pub(super) action: Action,
}

/// What there is, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) length: Duration,
    pub(super) warm_up: Duration,
    pub(super) simulators: usize,
    pub(super) aggregators: usize,
    pub(super) has_servers: bool,
    /// Faults follow each other almost twice as fast.
    pub(super) is_dense: bool,
}

/// Everything that goes wrong, in order. Who is hit is well again before the end, and not hit twice at a time.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// From the first moment to the last at which anything is hit.
    pub(super) length: Duration,
}

/// One kind of fault: who, whether it hangs, and how long in seconds.
#[derive(Clone, Copy, Debug)]
struct Kind {
    target: fn(&mut Random, Shape) -> Target,
    hangs: bool,
    seconds: (f64, f64),
}

const SIMULATOR: Kind = Kind {
    target: |random, shape| Target::Simulator(random.below(shape.simulators)),
    hangs: false,
    seconds: (0.1, 3.0),
};
const AGGREGATOR: Kind = Kind {
    target: |random, shape| Target::Aggregator(random.below(shape.aggregators)),
    hangs: false,
    seconds: (0.1, 4.0),
};
const REDIS: Kind = Kind {
    target: |_, _| Target::Redis,
    hangs: false,
    seconds: (0.2, 5.0),
};
const POSTGRES: Kind = Kind {
    target: |_, _| Target::Postgres,
    hangs: false,
    seconds: (0.2, 5.0),
};
const REDIS_HANGS: Kind = Kind {
    hangs: true,
    seconds: (1.0, 6.0),
    ..REDIS
};
const POSTGRES_HANGS: Kind = Kind {
    hangs: true,
    seconds: (1.0, 8.0),
    ..POSTGRES
};
/// Longer than a commit may take.
const POSTGRES_HANGS_LONG: Kind = Kind {
    seconds: (12.0, 20.0),
    ..POSTGRES_HANGS
};
const AGGREGATOR_HANGS: Kind = Kind {
    hangs: true,
    seconds: (1.0, 6.0),
    ..AGGREGATOR
};
/// How long the others have to show that they work with it again.
fn rest_of(target: Target) -> Duration {
    match target {
        Target::Simulator(_) | Target::Aggregator(_) => Duration::from_millis(500),
        Target::Redis => Duration::from_secs(2),
        Target::Postgres => Duration::from_secs(4),
    }
}

/// From how long a run on there is time for a long hang.
const LONG_RUN: Duration = Duration::from_secs(60);

impl Plan {
    pub(super) fn of(seed: u64, shape: Shape) -> Self {
        let mut random = Random::new(seed);
        let mut kinds = vec![SIMULATOR, AGGREGATOR, SIMULATOR, AGGREGATOR, AGGREGATOR_HANGS];
        if shape.has_servers {
            kinds.extend([POSTGRES, REDIS, POSTGRES_HANGS, REDIS_HANGS]);
        }
        // One of each comes first, in any order; so does the long hang, where there is time for it.
        let mut first = kinds.clone();
        if shape.has_servers && shape.length >= LONG_RUN {
            first.push(POSTGRES_HANGS_LONG);
        }
        let mut plan = Self {
            steps: Vec::new(),
            length: shape.length,
        };
        let longest_pause = if shape.is_dense { 1.2 } else { 2.2 };
        let mut busy: Vec<(Target, Duration)> = Vec::new();
        let mut at = shape.warm_up;
        loop {
            at += Duration::from_secs_f64(random.between(0.2, longest_pause));
            let is_first = !first.is_empty();
            let kind = if first.is_empty() {
                kinds[random.below(kinds.len())]
            } else {
                first.swap_remove(random.below(first.len()))
            };
            let target = (kind.target)(&mut random, shape);
            let lasts = Duration::from_secs_f64(random.between(kind.seconds.0, kind.seconds.1));
            let ends = at + lasts;
            if at >= shape.length {
                break;
            }
            // One that is down, or has just come back, is left alone: what never works shows nothing.
            let is_resting = busy.iter().any(|(known, until)| *known == target && at < *until);
            if is_resting || ends >= shape.length {
                if is_first {
                    first.push(kind);
                }
                continue;
            }
            busy.push((target, ends + rest_of(target)));
            let (strike, mend) = if kind.hangs {
                (Action::Hang(target), Action::GoOn(target))
            } else {
                (Action::Kill(target), Action::Start(target))
            };
            plan.steps.extend([
                Step { at, action: strike },
                Step {
                    at: ends,
                    action: mend,
                },
            ]);
        }
        plan.steps.sort_by_key(|step| step.at);
        plan
    }

    /// The database is away for so long, and after a rest Redis is.
    pub(super) fn outages(warm_up: Duration, each: Duration) -> Self {
        const REST: Duration = Duration::from_secs(15);
        let (mut steps, mut at) = (Vec::new(), warm_up);
        for target in [Target::Postgres, Target::Redis] {
            for (action, lasts) in [(Action::Kill(target), each), (Action::Start(target), REST)] {
                steps.push(Step { at, action });
                at += lasts;
            }
        }
        Self { steps, length: at }
    }

    /// How many processes are killed.
    pub(super) fn kills(&self) -> usize {
        let kills = self
            .steps
            .iter()
            .filter(|step| matches!(step.action, Action::Kill(_)));
        kills.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn shape(seconds: u64, has_servers: bool) -> Shape {
        Shape {
            length: Duration::from_secs(seconds),
            warm_up: Duration::from_secs(3),
            simulators: 5,
            aggregators: 2,
            has_servers,
            is_dense: false,
        }
    }

    #[test]
    fn in_outages_the_database_and_redis_are_away_once_each_and_for_long() {
        let plan = Plan::outages(Duration::from_secs(3), Duration::from_secs(60));
        let steps: Vec<(u64, String)> = plan
            .steps
            .iter()
            .map(|step| (step.at.as_secs(), step.action.to_string()))
            .collect();
        let expected = [
            (3, "kill -9 postgres"),
            (63, "start postgres"),
            (78, "kill -9 redis"),
            (138, "start redis"),
        ];
        assert_eq!(steps, expected.map(|(at, action)| (at, action.to_owned())));
        assert_eq!(plan.length.as_secs(), 153);
    }

    #[test]
    fn a_seed_always_gives_the_same_plan_and_another_one_another() {
        let plan = |seed| format!("{:?}", Plan::of(seed, shape(120, true)));
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }

    #[test]
    fn a_dense_plan_has_many_more_faults() {
        let kills = |is_dense| -> usize {
            let shape = |seconds| Shape {
                is_dense,
                ..shape(seconds, true)
            };
            (0..20).map(|seed| Plan::of(seed, shape(120)).kills()).sum()
        };
        assert!(
            kills(true) * 4 > kills(false) * 5,
            "{} {}",
            kills(true),
            kills(false)
        );
    }

    #[test]
    fn whoever_is_hit_is_well_before_the_end_and_everybody_is_hit() {
        for seed in 0..50 {
            for (seconds, has_servers) in [(15, false), (120, true)] {
                let shape = shape(seconds, has_servers);
                let mut down: HashMap<String, Action> = HashMap::new();
                let mut hit: Vec<Target> = Vec::new();
                for Step { at, action } in Plan::of(seed, shape).steps {
                    assert!(at >= shape.warm_up && at < shape.length);
                    match action {
                        Action::Kill(target) | Action::Hang(target) => {
                            assert!(
                                down.insert(target.to_string(), action).is_none(),
                                "{target} is down"
                            );
                            hit.push(target);
                        }
                        Action::Start(target) => {
                            assert_eq!(down.remove(&target.to_string()), Some(Action::Kill(target)));
                        }
                        Action::GoOn(target) => {
                            assert_eq!(down.remove(&target.to_string()), Some(Action::Hang(target)));
                        }
                    }
                }
                assert!(down.is_empty(), "seed {seed}: {down:?}");
                if seconds == 120 {
                    let is_hit = |target| hit.contains(&target);
                    assert!(is_hit(Target::Postgres) && is_hit(Target::Redis), "seed {seed}");
                }
                assert!(hit.len() >= 2, "seed {seed}: {hit:?}");
            }
        }
    }
}
