//! The tables of alerts and of rules: order, filter and cursor.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;

use sysmon_core::alert::{Alert, AlertKey, RuleId};
use sysmon_core::{TextFilter, UnixMillis};

use super::Log;
use super::board::{Board, Counts, Standing, StoredRule};
use super::widths::RuleWidths;
use crate::state::fleet::natural;
use crate::state::{Movement, moved, scrolled};

/// A column of the table of alerts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum AlertColumn {
    /// What has to be acted on first, then the worst, then the newest.
    #[default]
    Worst,
    Rule,
    Machine,
    Entity,
    Value,
    Since,
    State,
}

impl AlertColumn {
    /// What the table can be sorted by: column, key and name.
    pub(crate) const SORTS: [(Self, char, &'static str); 5] = [
        (Self::Worst, 'w', "worst"),
        (Self::Rule, 'r', "rule"),
        (Self::Machine, 'm', "machine"),
        (Self::Entity, 'e', "entity"),
        (Self::Since, 't', "time"),
    ];
}

/// What alerts are gathered under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Grouping {
    #[default]
    None,
    Machine,
    Rule,
}

/// A line of the table of alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AlertRow {
    /// What is below was before. Not selectable.
    History,
    /// What the lines below have in common, and how they stand. Not selectable.
    Group(String, Counts),
    /// An alert of the board.
    Alert(AlertKey),
    /// A step of the log, by its index there.
    Step(usize),
}

/// What the cursor is on.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Selected {
    Alert(AlertKey),
    Step(i64),
}

/// Order, filter and cursor of the table of alerts.
#[derive(Clone, Debug, Default)]
pub(crate) struct AlertList {
    pub(crate) sort: AlertColumn,
    pub(crate) inverted: bool,
    pub(crate) grouping: Grouping,
    pub(crate) offset: usize,
    filter_text: String,
    filter: TextFilter,
    rows: Vec<AlertRow>,
    stale: bool,
    selected: Option<Selected>,
}

impl AlertList {
    /// The filter as typed.
    pub(crate) fn filter_text(&self) -> &str {
        &self.filter_text
    }

    /// Filters from now on.
    pub(crate) fn set_filter(&mut self, text: &str) {
        self.filter_text = text.into();
        self.filter = TextFilter::parse(text);
        self.stale = true;
    }

    /// Sorts by a column from now on.
    pub(crate) fn sort_by(&mut self, column: AlertColumn) {
        self.sort = column;
        self.inverted = false;
        self.stale = true;
    }

    /// Sorts by a column whose heading was clicked: a second click turns the order around.
    pub(crate) fn click_heading(&mut self, column: AlertColumn) {
        if !AlertColumn::SORTS.iter().any(|(known, _, _)| *known == column) {
            return;
        }
        if self.sort == column {
            self.invert();
        } else {
            self.sort_by(column);
        }
    }

    /// Turns the order around.
    pub(crate) fn invert(&mut self) {
        self.inverted = !self.inverted;
        self.stale = true;
    }

    /// Gathers by machine, then by rule, then not.
    pub(crate) fn regroup(&mut self) {
        self.grouping = match self.grouping {
            Grouping::None => Grouping::Machine,
            Grouping::Machine => Grouping::Rule,
            Grouping::Rule => Grouping::None,
        };
        self.stale = true;
    }

    /// Notes that board or log have changed.
    pub(crate) fn mark_stale(&mut self) {
        self.stale = true;
    }

    /// Lines in the order of the table.
    pub(crate) fn rows(&self) -> &[AlertRow] {
        &self.rows
    }

    /// How many lines are alerts or steps.
    pub(crate) fn match_count(&self) -> usize {
        self.rows.iter().filter(|row| is_selectable(row)).count()
    }

    /// Line of the cursor.
    pub(crate) fn cursor(&self, log: &Log) -> Option<usize> {
        let selected = self.selected.as_ref()?;
        let is_it = |row: &AlertRow| match (row, selected) {
            (AlertRow::Alert(key), Selected::Alert(wanted)) => key == wanted,
            (AlertRow::Step(index), Selected::Step(wanted)) => {
                log.steps.get(*index).is_some_and(|(id, _)| id == wanted)
            }
            _ => false,
        };
        self.rows.iter().position(is_it)
    }

    /// The alert that the cursor is on: that of a step when it is on one.
    pub(crate) fn selected_key<'a>(&'a self, log: &'a Log) -> Option<&'a AlertKey> {
        match self.rows.get(self.cursor(log)?)? {
            AlertRow::Alert(key) => Some(key),
            AlertRow::Step(index) => log.steps.get(*index).map(|(_, step)| &step.key),
            AlertRow::Group(..) | AlertRow::History => None,
        }
    }

    /// When the step under the cursor was; nothing when the cursor is on an alert.
    pub(crate) fn selected_step_at(&self, log: &Log) -> Option<UnixMillis> {
        match self.rows.get(self.cursor(log)?)? {
            AlertRow::Step(index) => log.steps.get(*index).map(|(_, step)| step.at),
            AlertRow::Alert(_) | AlertRow::Group(..) | AlertRow::History => None,
        }
    }

    /// Moves the cursor over the lines that can be selected.
    pub(crate) fn move_cursor(&mut self, log: &Log, movement: Movement) {
        let selectable: Vec<usize> = self
            .rows
            .iter()
            .enumerate()
            .filter(|(_, row)| is_selectable(row))
            .map(|(index, _)| index)
            .collect();
        let cursor = self.cursor(log);
        let at = cursor.and_then(|cursor| selectable.iter().position(|index| *index == cursor));
        if let Some(to) = moved(at, selectable.len(), movement).and_then(|to| selectable.get(to)) {
            self.select_row(log, *to);
        }
    }

    /// Puts the cursor on a line; returns whether it was there already.
    pub(crate) fn select_row(&mut self, log: &Log, row: usize) -> bool {
        let selected = match self.rows.get(row) {
            Some(AlertRow::Alert(key)) => Selected::Alert(key.clone()),
            Some(AlertRow::Step(index)) => match log.steps.get(*index) {
                Some((id, _)) => Selected::Step(*id),
                None => return false,
            },
            Some(AlertRow::Group(..) | AlertRow::History) | None => return false,
        };
        let same = self.selected.as_ref() == Some(&selected);
        self.selected = Some(selected);
        same
    }

    /// Brings the lines up to date. Without a selection the first line is selected.
    pub(crate) fn refresh(&mut self, board: &Board, log: &Log, window_rows: usize) {
        if std::mem::take(&mut self.stale) {
            let before = self.cursor(log);
            self.rebuild(board, log);
            if self.cursor(log).is_none() {
                // What was under the cursor is gone: whatever took its place is selected.
                let selectable = |from: usize| {
                    let rows = self.rows.iter().enumerate().skip(from);
                    rows.into_iter()
                        .find(|(_, row)| is_selectable(row))
                        .map(|(row, _)| row)
                };
                let to = before.and_then(selectable).or_else(|| selectable(0));
                match to {
                    Some(row) => {
                        self.select_row(log, row);
                    }
                    None => self.selected = None,
                }
            }
        }
        let cursor = self.cursor(log);
        self.offset = scrolled(self.offset, cursor, self.rows.len(), window_rows);
        // The heading over the first line is seen with it.
        if cursor == Some(1) && self.offset == 1 {
            self.offset = 0;
        }
    }

    fn rebuild(&mut self, board: &Board, log: &Log) {
        let mut alerts: Vec<&Alert> = board
            .alerts()
            .filter(|alert| Standing::of(alert) != Standing::Resolved && self.matches(board, alert))
            .collect();
        alerts.sort_by(|a, b| {
            let order = compare(self.sort, board, a, b);
            let order = if self.inverted { order.reverse() } else { order };
            order.then_with(|| a.key.cmp(&b.key))
        });
        // Groups stand in the order of the first of each: worst first, when that is the order.
        let mut places: HashMap<&str, usize> = HashMap::new();
        for alert in &alerts {
            let next = places.len();
            places
                .entry(group_of(self.grouping, board, alert))
                .or_insert(next);
        }
        alerts.sort_by_key(|alert| places.get(group_of(self.grouping, board, alert)));
        self.rows.clear();
        for (index, alert) in alerts.iter().enumerate() {
            let group = group_of(self.grouping, board, alert);
            let is_new = index == 0 || group != group_of(self.grouping, board, alerts[index - 1]);
            if is_new && self.grouping != Grouping::None {
                let of_it = alerts[index..]
                    .iter()
                    .take_while(|other| group_of(self.grouping, board, other) == group);
                let counts = Counts::of(of_it.copied());
                self.rows.push(AlertRow::Group(group.to_owned(), counts));
            }
            self.rows.push(AlertRow::Alert(alert.key.clone()));
        }
        if log.is_shown {
            self.rows.push(AlertRow::History);
            let steps = log.steps.iter().enumerate();
            let steps =
                steps.filter(|(_, (_, step))| self.matches_key(board, &step.key, step.severity.word()));
            let steps: Vec<AlertRow> = steps.map(|(index, _)| AlertRow::Step(index)).collect();
            self.rows.extend(steps);
        }
    }

    fn matches(&self, board: &Board, alert: &Alert) -> bool {
        self.matches_key(board, &alert.key, alert.severity.word())
    }

    fn matches_key(&self, board: &Board, key: &AlertKey, severity: &str) -> bool {
        self.filter.is_empty()
            || self.filter.matches(
                [
                    key.rule.as_str(),
                    board.title(&key.rule),
                    key.machine.as_str(),
                    &*key.entity,
                    severity,
                ]
                .into_iter(),
            )
    }
}

fn is_selectable(row: &AlertRow) -> bool {
    !matches!(row, AlertRow::Group(..) | AlertRow::History)
}

fn group_of<'a>(grouping: Grouping, board: &'a Board, alert: &'a Alert) -> &'a str {
    match grouping {
        Grouping::None => "",
        Grouping::Machine => alert.key.machine.as_str(),
        Grouping::Rule => board.title(&alert.key.rule),
    }
}

/// The natural direction of each column.
fn compare(column: AlertColumn, board: &Board, a: &Alert, b: &Alert) -> Ordering {
    let urgency = |alert: &Alert| (Standing::of(alert), Reverse(alert.severity), Reverse(alert.since));
    let by_urgency = || urgency(a).cmp(&urgency(b));
    match column {
        AlertColumn::Rule => {
            natural(board.title(&a.key.rule), board.title(&b.key.rule)).then_with(by_urgency)
        }
        AlertColumn::Machine => natural(a.key.machine.as_str(), b.key.machine.as_str()).then_with(by_urgency),
        AlertColumn::Entity => natural(&a.key.entity, &b.key.entity).then_with(by_urgency),
        AlertColumn::Since => b.since.cmp(&a.since),
        AlertColumn::Worst | AlertColumn::Value | AlertColumn::State => by_urgency(),
    }
}

/// A column of the table of rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum RuleColumn {
    /// Whether it is on.
    Enabled,
    #[default]
    Title,
    Watches,
    Scope,
    Firing,
    Changed,
}

impl RuleColumn {
    /// What the table can be sorted by: column, key and name.
    pub(crate) const SORTS: [(Self, char, &'static str); 4] = [
        (Self::Title, 't', "title"),
        (Self::Watches, 'm', "metric"),
        (Self::Firing, 'f', "firing"),
        (Self::Changed, 'c', "changed"),
    ];
}

/// Order, filter and cursor of the table of rules.
#[derive(Debug, Default)]
pub(crate) struct RuleList {
    pub(crate) sort: RuleColumn,
    pub(crate) inverted: bool,
    pub(crate) offset: usize,
    filter_text: String,
    filter: TextFilter,
    rows: Vec<RuleId>,
    widths: RuleWidths,
    stale: bool,
    selected: Option<RuleId>,
}

impl RuleList {
    /// The filter as typed.
    pub(crate) fn filter_text(&self) -> &str {
        &self.filter_text
    }

    /// Filters from now on.
    pub(crate) fn set_filter(&mut self, text: &str) {
        self.filter_text = text.into();
        self.filter = TextFilter::parse(text);
        self.stale = true;
    }

    /// Sorts by a column from now on.
    pub(crate) fn sort_by(&mut self, column: RuleColumn) {
        self.sort = column;
        self.inverted = false;
        self.stale = true;
    }

    /// Sorts by a column whose heading was clicked: a second click turns the order around.
    pub(crate) fn click_heading(&mut self, column: RuleColumn) {
        if !RuleColumn::SORTS.iter().any(|(known, _, _)| *known == column) {
            return;
        }
        if self.sort == column {
            self.invert();
        } else {
            self.sort_by(column);
        }
    }

    /// Turns the order around.
    pub(crate) fn invert(&mut self) {
        self.inverted = !self.inverted;
        self.stale = true;
    }

    /// Notes that the board has changed.
    pub(crate) fn mark_stale(&mut self) {
        self.stale = true;
    }

    /// Cells of what is in each column.
    pub(crate) fn widths(&self) -> RuleWidths {
        self.widths
    }

    /// Rules in the order of the table.
    pub(crate) fn rows(&self) -> &[RuleId] {
        &self.rows
    }

    /// The selected rule.
    pub(crate) fn selected(&self) -> Option<&RuleId> {
        self.selected.as_ref()
    }

    /// Row of the cursor.
    pub(crate) fn cursor(&self) -> Option<usize> {
        let selected = self.selected.as_ref()?;
        self.rows.iter().position(|id| id == selected)
    }

    /// Puts the cursor on a rule.
    pub(crate) fn select(&mut self, id: &RuleId) {
        self.selected = Some(id.clone());
    }

    /// Moves the cursor.
    pub(crate) fn move_cursor(&mut self, movement: Movement) {
        if let Some(row) = moved(self.cursor(), self.rows.len(), movement) {
            self.select_row(row);
        }
    }

    /// Puts the cursor on a row; returns whether it was there already.
    pub(crate) fn select_row(&mut self, row: usize) -> bool {
        let Some(id) = self.rows.get(row).cloned() else {
            return false;
        };
        let same = self.selected.as_ref() == Some(&id);
        self.selected = Some(id);
        same
    }

    /// Brings the rows up to date. Without a selection the first row is selected.
    pub(crate) fn refresh(&mut self, board: &Board, window_rows: usize) {
        if std::mem::take(&mut self.stale) {
            let before = self.cursor();
            let mut rules: Vec<&StoredRule> = board.rules().filter(|stored| self.matches(stored)).collect();
            rules.sort_by(|a, b| {
                let order = compare_rules(self.sort, board, a, b);
                let order = if self.inverted { order.reverse() } else { order };
                order.then_with(|| a.rule.id.cmp(&b.rule.id))
            });
            self.widths = RuleWidths::of(rules.iter().copied());
            self.rows = rules.into_iter().map(|stored| stored.rule.id.clone()).collect();
            if self.cursor().is_none() {
                let last = self.rows.len().saturating_sub(1);
                if !self.select_row(before.unwrap_or(0).min(last)) && self.rows.is_empty() {
                    self.selected = None;
                }
            }
        }
        self.offset = scrolled(self.offset, self.cursor(), self.rows.len(), window_rows);
    }

    fn matches(&self, stored: &StoredRule) -> bool {
        let rule = &stored.rule;
        let metric = super::scope::metric_check(rule).map_or("machine down", |check| &check.quantity.metric);
        self.filter.is_empty()
            || self
                .filter
                .matches([rule.id.as_str(), &rule.title, metric].into_iter())
    }
}

fn compare_rules(column: RuleColumn, board: &Board, a: &StoredRule, b: &StoredRule) -> Ordering {
    let title = |stored: &StoredRule| board.title(&stored.rule.id).to_lowercase();
    let metric = |stored: &StoredRule| {
        super::scope::metric_check(&stored.rule).map(|check| check.quantity.metric.clone())
    };
    match column {
        RuleColumn::Firing => board.firing_of(&b.rule.id).cmp(&board.firing_of(&a.rule.id)),
        RuleColumn::Changed => b.changed_at.cmp(&a.changed_at),
        RuleColumn::Watches => metric(a).cmp(&metric(b)),
        RuleColumn::Enabled | RuleColumn::Title | RuleColumn::Scope => title(a).cmp(&title(b)),
    }
}
