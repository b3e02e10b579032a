//! What is wrong with a rule, all of it at once, and what to do about each.

use super::rule::{Check, Comparison, Function, Guard, Level, MetricCheck, Quantity, Rule, Scope, Severity};
use crate::catalogue::{CATALOGUE, MetricId, Unit};
use crate::text::is_clean;

const DAY_MS: u64 = 24 * 3_600_000;

impl Rule {
    /// The longest hold and clear hold: seven days.
    pub const HOLD_MAX_MS: u64 = 7 * DAY_MS;
    /// The longest window: 24 hours.
    pub const WINDOW_MAX_MS: u64 = DAY_MS;
    /// The longest title, in characters.
    pub const TITLE_MAX: usize = 120;
    /// The longest note, in characters.
    pub const NOTE_MAX: usize = 2_000;
    /// The most machines of a scope.
    pub const MACHINES_MAX: usize = 10_000;
    /// The most labels or entity patterns of a scope.
    pub const PATTERNS_MAX: usize = 64;
    /// The longest label or entity pattern, in characters.
    pub const PATTERN_MAX: usize = 256;

    /// Everything that keeps this rule from being evaluated, each with where it is and what to do. Empty when it is
    /// good.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        self.check_texts(&mut problems);
        for (name, hold_ms) in [("for", self.hold_ms), ("clear_for", self.clear_hold_ms)] {
            if hold_ms > Self::HOLD_MAX_MS {
                problems.push(format!("{name}: longer than 7d; shorten it"));
            }
        }
        check_scope(&self.scope, &mut problems);
        match &self.check {
            Check::MachineDown { .. } => {
                if !(self.scope.entities.is_empty() && self.scope.except_entities.is_empty()) {
                    problems.push(
                        "scope: a machine that is down has no entities; remove entities and except_entities"
                            .into(),
                    );
                }
            }
            Check::Metric(check) => check_metric(check, &mut problems),
        }
        problems
    }

    /// What may be meant as it is but deserves a look; the rule is evaluated all the same.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let Check::Metric(check) = &self.check else {
            return Vec::new();
        };
        let mut warnings = Vec::new();
        let guards = check
            .levels()
            .filter_map(|(severity, level)| Some((format!("{}.and", severity.word()), level.and.as_ref()?)));
        let guarded: Vec<(String, &Quantity)> = guards
            .map(|(place, guard)| (format!("{place}.quantity"), &guard.quantity))
            .collect();
        for (place, quantity) in std::iter::once(("quantity".to_owned(), &check.quantity)).chain(guarded) {
            for (field, name) in quantity.metrics() {
                if MetricId::from_name(name).is_none() && !name.is_empty() {
                    warnings.push(format!(
                        "{place}.{field}: {name:?} is no metric of the catalogue; the rule waits until a machine reports it"
                    ));
                }
            }
        }
        warnings
    }

    fn check_texts(&self, problems: &mut Vec<String>) {
        if self.title.trim().is_empty() {
            problems.push("title: empty; say in one line what is wrong when the rule fires".into());
        }
        if self.title.chars().count() > Self::TITLE_MAX {
            problems.push(format!(
                "title: longer than {} characters; move the rest to the note",
                Self::TITLE_MAX
            ));
        }
        if !is_clean(&self.title) {
            problems.push("title: has control or direction characters; remove them".into());
        }
        if self.note.chars().count() > Self::NOTE_MAX {
            problems.push(format!(
                "note: longer than {} characters; shorten it or link to a page",
                Self::NOTE_MAX
            ));
        }
        if !self.note.split('\n').all(is_clean) {
            problems
                .push("note: has control or direction characters other than line ends; remove them".into());
        }
    }
}

impl MetricCheck {
    /// The levels that are there, from a note to an emergency.
    pub fn levels(&self) -> impl Iterator<Item = (Severity, &Level)> {
        let levels = [&self.info, &self.warning, &self.critical];
        Severity::ALL
            .into_iter()
            .zip(levels)
            .filter_map(|(severity, level)| Some((severity, level.as_ref()?)))
    }

    /// The level of a severity.
    #[must_use]
    pub fn level(&self, severity: Severity) -> Option<&Level> {
        match severity {
            Severity::Info => self.info.as_ref(),
            Severity::Warning => self.warning.as_ref(),
            Severity::Critical => self.critical.as_ref(),
        }
    }
}

impl Level {
    /// Where it is right again: the clear value, or what stands for it when there is none. `is_percent` tells whether
    /// the quantity is a share of 100 ([`Quantity::is_percent`]): then ten points from the trigger, or half way to the
    /// end of the scale where that is nearer, so that a level of 5 % can clear at all.
    #[must_use]
    pub fn clear_or_default(&self, comparison: Comparison, is_percent: bool) -> f64 {
        let trigger = self.trigger;
        self.clear.unwrap_or(match (is_percent, comparison) {
            (false, _) => trigger,
            (true, Comparison::Above) => trigger - (trigger / 2.0).clamp(0.0, 10.0),
            (true, Comparison::Below) => trigger + ((100.0 - trigger) / 2.0).clamp(0.0, 10.0),
        })
    }
}

impl Comparison {
    /// Whether a value is at the level or beyond it; never for what is not a number.
    #[must_use]
    pub fn is_beyond(self, value: f64, level: f64) -> bool {
        match self {
            Self::Above => value >= level,
            Self::Below => value <= level,
        }
    }

    /// The worse of two values.
    #[must_use]
    pub fn worse(self, one: f64, other: f64) -> f64 {
        match self {
            Self::Above => one.max(other),
            Self::Below => one.min(other),
        }
    }
}

impl Quantity {
    /// Whether its values are a share of 100.
    #[must_use]
    pub fn is_percent(&self) -> bool {
        self.unit() == Unit::Percent
    }

    /// The unit of its values. A metric that the catalogue does not know is judged by the end of its name.
    #[must_use]
    pub fn unit(&self) -> Unit {
        let unit = MetricId::from_name(&self.metric).map_or_else(
            || {
                if self.metric.ends_with("_percent") {
                    Unit::Percent
                } else {
                    Unit::Count
                }
            },
            |id| id.definition().unit,
        );
        match self.function {
            Function::TimeToFull => Unit::Seconds,
            _ if self.per.is_some() => Unit::Count,
            Function::Rate if unit == Unit::Bytes => Unit::BytesPerSecond,
            Function::Rate => Unit::PerSecond,
            _ => unit,
        }
    }

    /// Its metrics, each with the name of the field it is in.
    pub(super) fn metrics(&self) -> impl Iterator<Item = (&'static str, &str)> {
        std::iter::once(("metric", self.metric.as_str())).chain(self.per.as_deref().map(|per| ("per", per)))
    }
}

fn check_scope(scope: &Scope, problems: &mut Vec<String>) {
    if scope.machines.len() > Rule::MACHINES_MAX {
        problems.push(format!(
            "scope.machines: more than {}; give the machines a label and use scope.labels",
            Rule::MACHINES_MAX
        ));
    }
    for (field, texts) in [
        ("labels", &scope.labels),
        ("entities", &scope.entities),
        ("except_entities", &scope.except_entities),
    ] {
        if texts.len() > Rule::PATTERNS_MAX {
            problems.push(format!(
                "scope.{field}: more than {}; use fewer, with * where names are alike",
                Rule::PATTERNS_MAX
            ));
        }
        for text in texts.iter().take(Rule::PATTERNS_MAX) {
            if text.is_empty() || text.chars().count() > Rule::PATTERN_MAX || !is_clean(text) {
                problems.push(format!(
                    "scope.{field}: every entry has 1 to {} characters and no control characters; correct {:?}",
                    Rule::PATTERN_MAX,
                    text.chars().take(40).collect::<String>()
                ));
            } else if field == "labels" && text.split_once('=').is_none_or(|(name, _)| name.is_empty()) {
                problems.push(format!("scope.labels: write {text:?} as name=value"));
            }
        }
    }
}

fn check_metric(check: &MetricCheck, problems: &mut Vec<String>) {
    check_quantity("quantity", &check.quantity, problems);
    if check.quantity.function == Function::TimeToFull && check.comparison == Comparison::Above {
        problems.push("comparison: time left is wrong when it is short; use below".into());
    }
    let levels: Vec<(Severity, &Level)> = check.levels().collect();
    if levels.is_empty() {
        problems.push("check: no level; add [check.warning] or [check.critical] with a trigger".into());
    }
    for (severity, level) in &levels {
        check_level(severity.word(), level, check.comparison, problems);
    }
    for pair in levels.windows(2) {
        let ((lesser, lesser_level), (worse, worse_level)) = (&pair[0], &pair[1]);
        if !check
            .comparison
            .is_beyond(worse_level.trigger, lesser_level.trigger)
            && worse_level.trigger.is_finite()
            && lesser_level.trigger.is_finite()
        {
            problems.push(format!(
                "{}.trigger: {} is not as far as the {} at {}; exchange them or move one",
                worse.word(),
                worse_level.trigger,
                lesser.word(),
                lesser_level.trigger
            ));
        }
    }
}

fn check_level(place: &str, level: &Level, comparison: Comparison, problems: &mut Vec<String>) {
    if !level.trigger.is_finite() {
        problems.push(format!("{place}.trigger: not a finite number; give one"));
    }
    if let Some(clear) = level.clear {
        if !clear.is_finite() {
            problems.push(format!(
                "{place}.clear: not a finite number; give one or leave it out"
            ));
        } else if level.trigger.is_finite() && !comparison.is_beyond(level.trigger, clear) {
            let side = match comparison {
                Comparison::Above => "above",
                Comparison::Below => "below",
            };
            problems.push(format!(
                "{place}.clear: {clear} is {side} the trigger {}, where it is wrong; put it on the other side",
                level.trigger
            ));
        }
    }
    if let Some(Guard { quantity, value, .. }) = &level.and {
        check_quantity(&format!("{place}.and.quantity"), quantity, problems);
        if !value.is_finite() {
            problems.push(format!("{place}.and.value: not a finite number; give one"));
        }
    }
}

fn check_quantity(place: &str, quantity: &Quantity, problems: &mut Vec<String>) {
    for (field, name) in quantity.metrics() {
        if let Some(problem) = metric_problem(name) {
            problems.push(format!("{place}.{field}: {problem}"));
        }
    }
    let function = quantity.function;
    if function == Function::Last && quantity.window_ms != 0 {
        problems.push(format!(
            "{place}.window: the newest sample needs none; remove it or choose a function such as average"
        ));
    }
    if function != Function::Last && quantity.window_ms == 0 {
        problems.push(format!(
            "{place}.window: {} is made of a window; add one, such as 10m",
            function.word()
        ));
    }
    if quantity.window_ms > Rule::WINDOW_MAX_MS {
        problems.push(format!("{place}.window: longer than 24h; shorten it"));
    }
    if quantity.per.is_some() && matches!(function, Function::TimeToFull | Function::Increase) {
        problems.push(format!(
            "{place}.per: a ratio has no {}; remove per or choose another function",
            function.word()
        ));
    }
}

/// What is wrong with the name of a metric. A name of a group that the catalogue lacks may come from anywhere and is no
/// error; inside the catalogue's own groups it is a slip of the pen.
fn metric_problem(name: &str) -> Option<String> {
    if MetricId::from_name(name).is_some() {
        return None;
    }
    if name.is_empty() || name.len() > Rule::PATTERN_MAX || !is_clean(name) {
        return Some(format!(
            "a metric has 1 to {} characters and no control characters; give a dotted name such as cpu.busy_percent",
            Rule::PATTERN_MAX
        ));
    }
    let group = name.split_once('.').map(|(group, _)| group);
    let is_own = |group: &str| {
        let groups = CATALOGUE.iter().filter_map(|known| known.name.split_once('.'));
        groups.map(|(known, _)| known).any(|known| known == group)
    };
    if group.is_some_and(|group| !group.is_empty() && !is_own(group)) {
        return None;
    }
    let nearest = CATALOGUE
        .iter()
        .map(|known| (distance(known.name, name), known.name))
        .min()
        .map_or("cpu.busy_percent", |(_, known)| known);
    Some(format!("no metric is called {name:?}; did you mean {nearest}?"))
}

/// How many letters have to be changed, added or left out (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (place, known) in other.bytes().enumerate() {
            let changed = diagonal + usize::from(letter != known);
            diagonal = row[place + 1];
            row[place + 1] = changed.min(row[place] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests;
