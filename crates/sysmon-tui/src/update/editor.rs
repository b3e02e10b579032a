//! Editing a rule: opening it, keys, saving, conflicts.

use std::sync::Arc;

use sysmon_core::alert::{Rule, RuleId};
use sysmon_core::{MetricId, SeriesKey};

use crate::command::Command;
use crate::event::Effect;
use crate::key::{Key, KeyCode};
use crate::state::alerts::board::StoredRule;
use crate::state::alerts::scope::covers_machine;
use crate::state::alerts::{Action, Watching};
use crate::state::editor::merge::merged;
use crate::state::editor::proposal::{free_id, proposed};
use crate::state::editor::{Conflict, Editor, Field};
use crate::state::{State, View};
use crate::text_field::TextField;

use super::alerts::commands::put;
use super::alerts::{ask, last_request};
use super::notify;

mod past;
mod trial;

pub(super) use past::{chunk, refused as past_refused};
pub(super) use trial::{connected, disconnected, report, trial_refused, wakes_at};

/// Whether rules can be edited now; says why not.
fn can_edit(state: &mut State) -> bool {
    match &state.alerts.watching {
        Watching::Ready => return true,
        Watching::NotKept => notify(state, "this aggregator keeps no rules: 2 says what to do"),
        Watching::Unknown | Watching::Loading => notify(state, "the rules have not come yet"),
        Watching::Refused(reason) => {
            let reason = reason.clone();
            notify(state, format!("the rules cannot be read: {reason}"));
        }
    }
    false
}

fn open(state: &mut State, base: Option<StoredRule>, draft: Rule, machine: Option<Arc<str>>, entity: &str) {
    let mut editor = Editor::new(base, draft, machine, entity);
    let known = editor.machine.as_ref().and_then(|id| state.fleet.find(id));
    editor.labels = known
        .map(|machine| machine.host.labels.clone())
        .unwrap_or_default();
    state.editor = Some(Box::new(editor));
    trial::changed(state);
}

/// Edits whatever watches a metric of a machine, or proposes a rule for it.
pub(super) fn open_metric(state: &mut State, machine: &Arc<str>, metric: MetricId, entity: &str) {
    if !can_edit(state) {
        return;
    }
    let known = match &state.view {
        View::Machine(_) => state.shown_machine(),
        _ => state.fleet.find(machine),
    };
    let labels = known
        .map(|machine| machine.host.labels.clone())
        .unwrap_or_default();
    let key = if entity.is_empty() {
        SeriesKey::plain(metric)
    } else {
        SeriesKey::of(metric, entity)
    };
    let current = known.and_then(|machine| machine.recent.value_of(&key));
    let board = &state.alerts.board;
    let stored = board.rule_for(metric, entity, machine, &labels).cloned();
    let draft = match &stored {
        Some(stored) => Some(stored.rule.clone()),
        None => proposed(metric, current, &taken(state)),
    };
    if let Some(draft) = draft {
        open(state, stored, draft, Some(Arc::clone(machine)), entity);
    }
}

fn taken(state: &State) -> Vec<&RuleId> {
    state.alerts.board.rules().map(|stored| &stored.rule.id).collect()
}

/// Edits a rule on a machine's chart; without a machine on that of one where it fires, else on one that it covers.
pub(super) fn open_rule(state: &mut State, id: &RuleId, machine: Option<Arc<str>>, entity: &str) {
    if !can_edit(state) {
        return;
    }
    let Some(stored) = state.alerts.board.rule(id).cloned() else {
        notify(state, "there is no such rule any more");
        return;
    };
    let (machine, entity) = match machine {
        Some(machine) => (Some(machine), entity.to_owned()),
        None => where_to_look(state, &stored.rule),
    };
    let draft = stored.rule.clone();
    open(state, Some(stored), draft, machine, &entity);
}

fn where_to_look(state: &State, rule: &Rule) -> (Option<Arc<str>>, String) {
    let alert = state
        .alerts
        .board
        .alerts()
        .find(|alert| alert.key.rule == rule.id);
    if let Some(alert) = alert {
        return (
            Some(alert.key.machine.as_str().into()),
            alert.key.entity.to_string(),
        );
    }
    let covered = state
        .fleet
        .machines()
        .map(|(_, machine)| machine)
        .find(|machine| covers_machine(&rule.scope, &machine.id, &machine.host.labels));
    (covered.map(|machine| Arc::clone(&machine.id)), String::new())
}

/// A rule like the selected one, or a fresh one.
pub(super) fn open_new(state: &mut State, like: Option<RuleId>) {
    if !can_edit(state) {
        return;
    }
    let like = like.and_then(|id| state.alerts.board.rule(&id).cloned());
    let draft = match &like {
        Some(stored) => free_id(&format!("{}-copy", stored.rule.id), &taken(state)).map(|id| Rule {
            id,
            title: format!("{} (copy)", stored.rule.title),
            ..stored.rule.clone()
        }),
        None => proposed(MetricId::CpuBusy, None, &taken(state)),
    };
    let Some(draft) = draft else { return };
    let selected = state.fleet_table.selected().cloned();
    let machine = selected.or_else(|| where_to_look(state, &draft).0);
    let is_fresh = like.is_none();
    open(state, None, draft, machine, "");
    if let Some(editor) = state.editor.as_mut().filter(|_| is_fresh) {
        editor.field = Field::Metric;
    }
}

/// Takes a command of the form.
pub(super) fn run(state: &mut State, command: Command) -> Vec<Effect> {
    let before = state.editor.as_ref().map(|editor| editor.draft.clone());
    let Some(editor) = state.editor.as_mut() else {
        return Vec::new();
    };
    match command {
        Command::NextField => editor.go(true),
        Command::PreviousField => editor.go(false),
        Command::StepUp => editor.step(true, false),
        Command::StepDown => editor.step(false, false),
        Command::LeapUp => editor.step(true, true),
        Command::LeapDown => editor.step(false, true),
        Command::Toggle => toggle(editor),
        Command::Save => return save(state),
        Command::Discard => return leave(state),
        Command::Back => return back(state),
        Command::TakeTheirs => take_theirs(state),
        Command::KeepMine => return keep_mine(state),
        Command::Merge => merge(state),
        _ => {}
    }
    follow(state, before.as_ref());
    Vec::new()
}

/// A changed draft is played anew; a new rule is named after what it watches.
fn follow(state: &mut State, before: Option<&Rule>) {
    let Some(editor) = &state.editor else { return };
    if before == Some(&editor.draft) {
        return;
    }
    let metric = editor.metric().filter(|_| editor.base.is_none());
    let was = before.and_then(|rule| {
        let check = crate::state::alerts::scope::metric_check(rule)?;
        MetricId::from_name(&check.quantity.metric)
    });
    if metric.is_some() && metric != was {
        let proposal = metric.and_then(|metric| proposed(metric, None, &taken(state)));
        if let (Some(editor), Some(proposal)) = (state.editor.as_mut(), proposal) {
            // Levels of the metric before mean nothing in the unit of this one.
            editor.draft = Rule {
                scope: std::mem::take(&mut editor.draft.scope),
                ..proposal
            };
            editor.entity = "".into();
            editor.off = [None, None, None];
        }
    }
    trial::changed(state);
}

fn toggle(editor: &mut Editor) {
    match editor.field {
        Field::Trigger(severity) => {
            let is_on = editor.level(severity).is_some();
            editor.switch(severity, !is_on);
        }
        Field::Enabled | Field::Comparison => editor.step(true, false),
        _ => {}
    }
}

/// Takes a key that is no command of the form: text for the field.
pub(super) fn type_key(state: &mut State, key: Key) {
    let Some(editor) = state.editor.as_mut().filter(|editor| editor.takes_text(key)) else {
        return;
    };
    let is_new = editor.typing.is_none();
    let mut typing = editor.typing.take().unwrap_or_else(|| {
        // What is typed over a value replaces it; texts are gone on with.
        let keeps = matches!(
            editor.field,
            Field::Title | Field::Note | Field::Scope | Field::Entities
        );
        let text = if keeps || !matches!(key.code, KeyCode::Char(_)) {
            editor.text(editor.field)
        } else {
            String::new()
        };
        TextField::new(&text)
    });
    if typing.press(key) || !is_new {
        editor.typing = Some(typing);
        editor.problem = None;
    }
}

/// Takes pasted text.
pub(super) fn paste(state: &mut State, text: &str) {
    if let Some(editor) = state
        .editor
        .as_mut()
        .filter(|editor| editor.is_typed(editor.field))
    {
        editor.typing.get_or_insert_default().paste(text);
        editor.problem = None;
    }
}

impl Editor {
    /// Whether a field takes typed text.
    fn is_typed(&self, field: Field) -> bool {
        !matches!(
            field,
            Field::Comparison | Field::Function | Field::Severity | Field::Enabled
        )
    }

    fn takes_text(&self, key: Key) -> bool {
        let edits = matches!(
            key.code,
            KeyCode::Backspace
                | KeyCode::Delete
                | KeyCode::Left
                | KeyCode::Right
                | KeyCode::Home
                | KeyCode::End
        );
        self.is_typed(self.field) && (edits || matches!(key.code, KeyCode::Char(_)))
    }

    /// Whether a space is text here and not the switch.
    pub(super) fn takes_space(&self) -> bool {
        self.typing.is_some()
            || matches!(
                self.field,
                Field::Title | Field::Note | Field::Scope | Field::Entities
            )
    }
}

/// Drops what is typed, then the question, then the form; asks when something would be lost.
fn back(state: &mut State) -> Vec<Effect> {
    let Some(editor) = state.editor.as_mut() else {
        return Vec::new();
    };
    if editor.conflict.take().is_some() || std::mem::take(&mut editor.is_leaving) {
        return Vec::new();
    }
    if editor.typing.take().is_some() {
        editor.problem = None;
    } else if editor.is_changed() {
        editor.is_leaving = true;
    } else {
        return leave(state);
    }
    Vec::new()
}

/// Closes the form and lets go of what it has asked.
pub(super) fn leave(state: &mut State) -> Vec<Effect> {
    let mut effects = trial::cancel(state);
    effects.extend(past::cancel(state));
    state.editor = None;
    effects
}

fn save(state: &mut State) -> Vec<Effect> {
    let Some(editor) = state.editor.as_mut() else {
        return Vec::new();
    };
    if editor.saving.is_some() || !editor.commit() {
        editor.is_leaving = false;
        return Vec::new();
    }
    editor.is_leaving = false;
    editor.refusal = None;
    if !editor.is_worth_saving() {
        return leave(state);
    }
    let version = editor.base.as_ref().map_or(0, |stored| stored.version);
    let body = put(&editor.draft, version);
    let effects = ask(state, Action::Save, body);
    let request_id = last_request(state);
    if let Some(editor) = state.editor.as_mut().filter(|_| !effects.is_empty()) {
        editor.saving = Some(request_id);
    }
    effects
}

/// What became of the saving.
pub(super) fn saved(state: &mut State, is_conflict: bool, stored: Option<StoredRule>) -> Vec<Effect> {
    let Some(editor) = state.editor.as_mut().filter(|editor| editor.saving.is_some()) else {
        return Vec::new();
    };
    editor.saving = None;
    if is_conflict {
        editor.conflict = Some(Conflict { theirs: stored });
        return Vec::new();
    }
    let id = editor.draft.id.clone();
    let version = stored.map_or_else(String::new, |stored| format!(", version {}", stored.version));
    let effects = leave(state);
    state.alerts.rules.select(&id);
    notify(state, format!("{id} saved{version}"));
    effects
}

/// The server does not take the rule.
pub(super) fn save_refused(state: &mut State, reason: String, is_forbidden: bool) {
    if let Some(editor) = state.editor.as_mut() {
        editor.saving = None;
        let before = if is_forbidden { "not allowed: " } else { "" };
        editor.refusal = Some(format!("{before}{reason}"));
    }
}

/// The other edit replaces this one; a rule that is gone cannot be edited on.
fn take_theirs(state: &mut State) {
    let Some(editor) = state.editor.as_mut() else {
        return;
    };
    match editor.conflict.take() {
        Some(Conflict { theirs: Some(theirs) }) => {
            editor.draft = theirs.rule.clone();
            editor.original = theirs.rule.clone();
            editor.base = Some(theirs);
        }
        Some(Conflict { theirs: None }) => {
            let text = format!("{} was removed by somebody else", editor.draft.id);
            state.editor = None;
            notify(state, text);
        }
        None => {}
    }
}

/// This edit is saved over the other one.
fn keep_mine(state: &mut State) -> Vec<Effect> {
    let Some(editor) = state.editor.as_mut() else {
        return Vec::new();
    };
    if let Some(conflict) = editor.conflict.take() {
        editor.original = conflict
            .theirs
            .as_ref()
            .map_or_else(|| editor.original.clone(), |theirs| theirs.rule.clone());
        editor.base = conflict.theirs;
    }
    save(state)
}

/// Both edits together, to be looked at and saved.
fn merge(state: &mut State) {
    let Some(editor) = state.editor.as_mut() else {
        return;
    };
    if let Some(Conflict { theirs: Some(theirs) }) = editor.conflict.take() {
        editor.draft = merged(&editor.original, &editor.draft, &theirs.rule);
        editor.original = theirs.rule.clone();
        editor.base = Some(theirs);
    }
}

/// Asks what is to be asked at this moment.
pub(super) fn poll(state: &mut State) -> Vec<Effect> {
    if state.editor.is_none() {
        return Vec::new();
    }
    let mut effects = trial::poll(state);
    effects.extend(past::poll(state));
    effects
}
