//! The fields of a rule: which there are, how they read, and how they change.

use sysmon_core::alert::{Check, Comparison, Function, Level, Rule, Scope, Severity};
use sysmon_core::{MachineId, MetricId, Unit, display_width};

use super::{Editor, Field};
use crate::entry::{
    duration_text, parse_duration, parse_value, step_duration, step_value, unit_of, value_shown, value_text,
};
use crate::state::alerts::scope::metric_check;

/// The window that a function gets which needs one.
const WINDOW_MS: u64 = 600_000;
/// Severities from the worst, as they are listed.
pub(crate) const SEVERITIES: [Severity; 3] = [Severity::Critical, Severity::Warning, Severity::Info];

/// Cells of the words in front of the first field of a line.
pub(crate) const LABEL_WIDTH: u16 = 10;

impl Field {
    /// The words in front of it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Metric => "watches",
            Self::Trigger(Severity::Critical) => "critical",
            Self::Trigger(Severity::Warning) => "warning",
            Self::Trigger(Severity::Info) => "info",
            Self::Clear(_) => "clears at",
            Self::Severity => "severity",
            Self::Comparison => "compared",
            Self::Function => "the",
            Self::Window => "of",
            Self::Hold => "for",
            Self::ClearHold => "clear for",
            Self::Scope => "applies to",
            Self::Entities => "namely",
            Self::Enabled => "rule is",
            Self::Title => "title",
            Self::Note => "note",
        }
    }
}

impl Editor {
    /// The fields line by line, as they are shown and as Tab goes through them.
    pub(crate) fn lines(&self) -> Vec<Vec<Field>> {
        let mut lines = Vec::new();
        match &self.draft.check {
            Check::Metric(_) => {
                for severity in SEVERITIES {
                    let mut line = vec![Field::Trigger(severity)];
                    if self.level(severity).is_some() {
                        line.push(Field::Clear(severity));
                    }
                    lines.push(line);
                }
                let mut line = vec![Field::Function];
                if self.function() != Function::Last {
                    line.push(Field::Window);
                }
                line.push(Field::Comparison);
                if self.base.is_none() {
                    line.insert(0, Field::Metric);
                }
                lines.push(line);
            }
            Check::MachineDown { .. } => lines.push(vec![Field::Severity]),
        }
        lines.push(vec![Field::Hold, Field::ClearHold]);
        let mut scope = vec![Field::Scope];
        if self
            .metric()
            .is_some_and(|metric| metric.definition().label.is_some())
        {
            scope.push(Field::Entities);
        }
        lines.push(scope);
        lines.push(vec![Field::Enabled, Field::Title]);
        lines.push(vec![Field::Note]);
        lines
    }

    /// The same with lines broken that are longer than `width` cells.
    pub(crate) fn lines_within(&self, width: u16) -> Vec<Vec<Field>> {
        let mut broken = Vec::new();
        for line in self.lines() {
            let mut row: Vec<Field> = Vec::new();
            let mut end = 1;
            for field in line {
                // One more cell at each side, where the chosen one has its marks, and three between two of them.
                let shown = display_width(&self.shown(field)).max(1) + 2;
                let label = display_width(field.label());
                let beside = end + label + 1 + shown;
                if row.is_empty() || beside >= usize::from(width) {
                    broken.extend((!row.is_empty()).then(|| std::mem::take(&mut row)));
                    end = 1 + label.max(LABEL_WIDTH.into()) + shown + 3;
                } else {
                    end = beside + 3;
                }
                row.push(field);
            }
            broken.push(row);
        }
        broken
    }

    /// All fields in order.
    pub(crate) fn fields(&self) -> Vec<Field> {
        self.lines().concat()
    }

    /// Goes on to another field; what was being typed is taken first. Stays when that cannot be.
    pub(crate) fn go(&mut self, is_forward: bool) {
        if !self.commit() {
            return;
        }
        let fields = self.fields();
        let count = fields.len().max(1);
        let at = fields.iter().position(|field| *field == self.field).unwrap_or(0);
        let to = if is_forward { at + 1 } else { at + count - 1 } % count;
        self.field = fields.get(to).copied().unwrap_or(Field::Hold);
    }

    pub(crate) fn function(&self) -> Function {
        metric_check(&self.draft).map_or(Function::Last, |check| check.quantity.function)
    }

    /// The unit of the levels.
    pub(crate) fn unit(&self) -> Unit {
        metric_check(&self.draft).map_or(Unit::Count, |check| unit_of(&check.quantity))
    }

    /// Where a level is cleared: as it says, else as the server would have it.
    pub(crate) fn clear_of(&self, level: &Level) -> f64 {
        let comparison = metric_check(&self.draft).map_or(Comparison::Above, |check| check.comparison);
        let is_percent = metric_check(&self.draft).is_some_and(|check| check.quantity.is_percent());
        level.clear_or_default(comparison, is_percent)
    }

    /// A field as it is typed.
    pub(crate) fn text(&self, field: Field) -> String {
        let unit = self.unit();
        let rule = &self.draft;
        match field {
            Field::Trigger(severity) => self
                .level(severity)
                .map_or_else(|| "off".into(), |level| value_text(level.trigger, unit)),
            Field::Clear(severity) => self
                .level(severity)
                .map_or_else(String::new, |level| value_text(self.clear_of(level), unit)),
            _ => field_text(rule, field),
        }
    }

    /// A field as it is shown.
    pub(crate) fn shown(&self, field: Field) -> String {
        let unit = self.unit();
        match field {
            Field::Trigger(severity) => self
                .level(severity)
                .map_or_else(|| "off".into(), |level| value_shown(level.trigger, unit)),
            Field::Clear(severity) => self.level(severity).map_or_else(String::new, |level| {
                let shown = value_shown(self.clear_of(level), unit);
                if level.clear.is_none() {
                    format!("{shown} (default)")
                } else {
                    shown
                }
            }),
            Field::Scope if self.is_this_machine() => "this machine".into(),
            Field::Function if self.function() == Function::Last => "newest value".into(),
            _ => self.text(field),
        }
    }

    fn is_this_machine(&self) -> bool {
        let scope = &self.draft.scope;
        let listed = scope.machines.iter().map(MachineId::as_str);
        self.machine
            .as_ref()
            .is_some_and(|id| scope.labels.is_empty() && listed.eq([&**id]))
    }

    /// Takes what is being typed; says whether that could be done.
    pub(crate) fn commit(&mut self) -> bool {
        let Some(typing) = &self.typing else {
            return true;
        };
        let text = typing.text().to_owned();
        match self.set(self.field, &text) {
            Ok(()) => {
                self.typing = None;
                self.problem = None;
                true
            }
            Err(problem) => {
                self.problem = Some(problem);
                false
            }
        }
    }

    /// Gives a field the value of a text.
    fn set(&mut self, field: Field, text: &str) -> Result<(), String> {
        let unit = self.unit();
        let trimmed = text.trim();
        match field {
            Field::Trigger(severity) if matches!(trimmed, "off" | "") => self.switch(severity, false),
            Field::Trigger(severity) => {
                let value = parse_value(trimmed, unit)?;
                self.switch(severity, true);
                self.set_trigger(severity, value);
            }
            Field::Clear(severity) => {
                let clear = match trimmed {
                    "" | "default" => None,
                    _ => Some(parse_value(trimmed, unit)?),
                };
                if let Some(Some(level)) = self.level_mut(severity) {
                    level.clear = clear;
                }
            }
            Field::Hold => self.draft.hold_ms = parse_duration(trimmed)?,
            Field::ClearHold => self.draft.clear_hold_ms = parse_duration(trimmed)?,
            Field::Window => {
                let window_ms = parse_duration(trimmed)?;
                if let Check::Metric(check) = &mut self.draft.check {
                    check.quantity.window_ms = window_ms;
                }
            }
            Field::Scope => {
                let entities = self.draft.scope.entities.clone();
                let except_entities = self.draft.scope.except_entities.clone();
                let (machines, labels) = parse_scope(trimmed, self.machine.as_deref())?;
                self.draft.scope = Scope {
                    machines,
                    labels,
                    entities,
                    except_entities,
                };
            }
            Field::Entities => {
                let (entities, except) = parse_entities(trimmed);
                self.draft.scope.entities = entities;
                self.draft.scope.except_entities = except;
            }
            Field::Metric => self.set_metric(trimmed)?,
            Field::Title => self.draft.title = trimmed.to_owned(),
            Field::Note => self.draft.note = trimmed.to_owned(),
            Field::Comparison | Field::Function | Field::Severity | Field::Enabled => {}
        }
        Ok(())
    }

    /// Moves a level; its clear value goes with it when it has one of its own.
    fn set_trigger(&mut self, severity: Severity, value: f64) {
        if let Some(Some(level)) = self.level_mut(severity) {
            let moved = value - level.trigger;
            level.trigger = value;
            level.clear = level.clear.map(|clear| (clear + moved).max(0.0));
        }
    }

    /// Switches a level on or off. One that comes back is what it was; a new one begins at its neighbour.
    pub(crate) fn switch(&mut self, severity: Severity, is_on: bool) {
        let index = severity as usize;
        let neighbour = SEVERITIES
            .into_iter()
            .find_map(|other| self.level(other))
            .cloned();
        let before = self.off[index].clone();
        let Some(place) = self.level_mut(severity) else {
            return;
        };
        match (place.is_some(), is_on) {
            (true, false) => self.off[index] = place.take(),
            (false, true) => {
                let fresh = neighbour.map_or(1.0, |level| level.trigger);
                *place = before.or(Some(Level {
                    trigger: fresh,
                    clear: None,
                    and: None,
                }));
            }
            _ => {}
        }
    }

    fn set_metric(&mut self, name: &str) -> Result<(), String> {
        if MetricId::from_name(name).is_none() {
            return Err(format!(
                "{name:?} is no metric; the arrow keys go through all of them"
            ));
        }
        if let Check::Metric(check) = &mut self.draft.check {
            check.quantity.metric = name.to_owned();
        }
        Ok(())
    }

    /// Moves a field a step up or down, or to the next choice.
    pub(crate) fn step(&mut self, is_up: bool, is_big: bool) {
        if !self.commit() {
            return;
        }
        let unit = self.unit();
        match self.field {
            Field::Trigger(severity) => match self.level(severity).map(|level| level.trigger) {
                Some(value) => self.set_trigger(severity, step_value(value, unit, is_up, is_big)),
                None => self.switch(severity, true),
            },
            Field::Clear(severity) => {
                let clear = self.level(severity).map(|level| self.clear_of(level));
                if let (Some(clear), Some(Some(level))) = (clear, self.level_mut(severity)) {
                    level.clear = Some(step_value(clear, unit, is_up, is_big));
                }
            }
            Field::Hold => self.draft.hold_ms = step_duration(self.draft.hold_ms, is_up, is_big),
            Field::ClearHold => {
                self.draft.clear_hold_ms = step_duration(self.draft.clear_hold_ms, is_up, is_big);
            }
            Field::Enabled => self.draft.enabled = !self.draft.enabled,
            Field::Scope => self.next_scope(is_up),
            Field::Title | Field::Note | Field::Entities => {}
            Field::Metric | Field::Severity | Field::Comparison | Field::Function | Field::Window => {
                self.step_check(is_up, is_big);
            }
        }
    }

    fn step_check(&mut self, is_up: bool, is_big: bool) {
        let field = self.field;
        match (&mut self.draft.check, field) {
            (Check::MachineDown { severity }, Field::Severity) => {
                *severity = turned(&Severity::ALL, *severity, is_up);
            }
            (Check::Metric(check), Field::Comparison) => {
                check.comparison = match check.comparison {
                    Comparison::Above => Comparison::Below,
                    Comparison::Below => Comparison::Above,
                };
            }
            (Check::Metric(check), Field::Function) => {
                let functions = Function::WORDS.map(|(function, _)| function);
                let quantity = &mut check.quantity;
                quantity.function = turned(&functions, quantity.function, !is_up);
                quantity.window_ms = match (quantity.function, quantity.window_ms) {
                    (Function::Last, _) => 0,
                    (_, 0) => WINDOW_MS,
                    (_, window_ms) => window_ms,
                };
            }
            (Check::Metric(check), Field::Window) => {
                let window_ms = step_duration(check.quantity.window_ms, is_up, is_big);
                check.quantity.window_ms = window_ms.max(10_000);
            }
            (Check::Metric(check), Field::Metric) => {
                let names: Vec<&str> = sysmon_core::CATALOGUE
                    .iter()
                    .map(|definition| definition.name)
                    .collect();
                let at = names.iter().position(|name| **name == check.quantity.metric);
                let count = names.len();
                let step = if is_big { 10 } else { 1 };
                let to = at.map_or(0, |at| if is_up { at + count - step } else { at + step } % count);
                check.quantity.metric = names.get(to).copied().unwrap_or_default().to_owned();
            }
            _ => {}
        }
    }

    /// All machines, the one on the chart, or those with one of its labels.
    fn next_scope(&mut self, is_up: bool) {
        let mut choices = vec![(Vec::new(), Vec::new())];
        if let Some(machine) = self.machine.as_deref().and_then(|id| MachineId::parse(id).ok()) {
            choices.push((vec![machine], Vec::new()));
        }
        let labels = self.labels.iter();
        choices.extend(labels.map(|(name, value)| (Vec::new(), vec![format!("{name}={value}")])));
        let scope = &mut self.draft.scope;
        let current = (scope.machines.clone(), scope.labels.clone());
        let chosen = if choices.contains(&current) {
            turned(&choices, current, !is_up)
        } else {
            choices.swap_remove(0)
        };
        (scope.machines, scope.labels) = chosen;
    }
}

/// The value after this one, or before it, around.
fn turned<T: PartialEq + Clone>(all: &[T], current: T, is_forward: bool) -> T {
    let count = all.len().max(1);
    let at = all.iter().position(|value| *value == current).unwrap_or(0);
    let to = if is_forward { at + 1 } else { at + count - 1 } % count;
    all.get(to).cloned().unwrap_or(current)
}

/// A field of a rule other than its levels, as it is typed.
pub(crate) fn field_text(rule: &Rule, field: Field) -> String {
    let check = metric_check(rule);
    match field {
        Field::Metric => check.map_or_else(String::new, |check| check.quantity.metric.clone()),
        Field::Severity => match &rule.check {
            Check::MachineDown { severity } => severity.word().to_owned(),
            Check::Metric(_) => String::new(),
        },
        Field::Comparison => match check.map(|check| check.comparison) {
            Some(Comparison::Below) => "below".into(),
            _ => "above".into(),
        },
        Field::Function => check
            .map_or("last", |check| match check.quantity.function {
                // Charts and sentences call it so.
                Function::Average => "mean",
                function => function.word(),
            })
            .replace('_', " "),
        Field::Window => duration_text(check.map_or(0, |check| check.quantity.window_ms)),
        Field::Hold => duration_text(rule.hold_ms),
        Field::ClearHold => duration_text(rule.clear_hold_ms),
        Field::Scope => scope_text(&rule.scope),
        Field::Entities => entities_text(&rule.scope),
        Field::Enabled => (if rule.enabled { "on" } else { "off" }).into(),
        Field::Title => rule.title.clone(),
        Field::Note => rule.note.clone(),
        Field::Trigger(_) | Field::Clear(_) => String::new(),
    }
}

/// Machines and labels as they are typed: `all machines`, `web-1, web-2`, `role=web`.
pub(crate) fn scope_text(scope: &Scope) -> String {
    if scope.machines.is_empty() && scope.labels.is_empty() {
        return "all machines".into();
    }
    let machines = scope.machines.iter().map(ToString::to_string);
    let parts: Vec<String> = machines.chain(scope.labels.iter().cloned()).collect();
    parts.join(", ")
}

/// Entities as they are typed: `all`, `/, /home`, `all except /snap/*`.
pub(crate) fn entities_text(scope: &Scope) -> String {
    let listed = if scope.entities.is_empty() {
        "all".to_owned()
    } else {
        scope.entities.join(", ")
    };
    if scope.except_entities.is_empty() {
        listed
    } else {
        format!("{listed} except {}", scope.except_entities.join(", "))
    }
}

fn parse_scope(text: &str, this: Option<&str>) -> Result<(Vec<MachineId>, Vec<String>), String> {
    let (mut machines, mut labels) = (Vec::new(), Vec::new());
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match (part, this) {
            ("all" | "all machines", _) => {}
            ("this" | "this machine", Some(this)) => {
                machines.push(MachineId::parse(this).map_err(|error| error.to_string())?);
            }
            _ if part.contains('=') => labels.push(part.to_owned()),
            _ => machines.push(MachineId::parse(part).map_err(|error| error.to_string())?),
        }
    }
    Ok((machines, labels))
}

fn parse_entities(text: &str) -> (Vec<String>, Vec<String>) {
    let (listed, except) = match text.split_once("except ") {
        Some((listed, except)) => (listed, except),
        None => (text, ""),
    };
    let list = |text: &str| -> Vec<String> {
        let parts = text.split(',').map(str::trim);
        let parts = parts.filter(|part| !part.is_empty() && *part != "all");
        parts.map(str::to_owned).collect()
    };
    (list(listed), list(except))
}
