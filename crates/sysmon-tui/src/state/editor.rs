//! A rule while it is edited: its fields, what the server says of it, and the chart below it.

use std::sync::Arc;

use sysmon_api::wire;
use sysmon_core::alert::{Check, Level, Rule, Severity};
use sysmon_core::{MetricId, SeriesKey, UnixMillis};

use super::alerts::board::StoredRule;
use super::alerts::scope::{covers_entity, metric_check};
use super::past::{Answer, Question, Subject};
use crate::text_field::TextField;

pub(crate) mod fields;
pub(crate) mod merge;
pub(crate) mod proposal;

/// How far back a rule is played.
pub(crate) const TRIAL_MS: u64 = 86_400_000;

/// Something of a rule that can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Field {
    Metric,
    Trigger(Severity),
    Clear(Severity),
    /// How bad a machine is that is down.
    Severity,
    Comparison,
    Function,
    Window,
    Hold,
    ClearHold,
    Scope,
    Entities,
    Enabled,
    Title,
    Note,
}

/// What the rule would have done, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Trial {
    /// Not asked: the aggregator keeps no history, or there is no connection.
    #[default]
    None,
    /// To be asked when nothing has changed for a moment.
    Waiting { since: UnixMillis },
    /// Asked under this number.
    Running { request_id: u64 },
    /// The report is of the rule as it is.
    Done,
    /// It cannot be said, and why.
    Failed(String),
}

/// A time for which the rule would have fired.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Episode {
    pub(crate) machine: String,
    pub(crate) entity: String,
    pub(crate) severity: Severity,
    pub(crate) from: UnixMillis,
    pub(crate) to: Option<UnixMillis>,
}

/// What a dry run found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    pub(crate) episodes: Vec<Episode>,
    /// Over all machines.
    pub(crate) count: u32,
    pub(crate) longest_ms: u64,
    /// Length of the roll-ups that were played; 0 for single samples.
    pub(crate) step_ms: u64,
    pub(crate) machine_count: u32,
    /// End of what was played.
    pub(crate) to: UnixMillis,
}

impl Report {
    /// The most episodes taken; the protocol sends no more.
    const EPISODES_MAX: usize = 1_000;

    /// Takes a reply over.
    pub(crate) fn from_wire(reply: &wire::DryRunReply, to: UnixMillis) -> Self {
        let episode = |episode: &wire::Episode| {
            Some(Episode {
                machine: episode.machine_id.clone(),
                entity: episode.entity.clone(),
                severity: sysmon_api::severity_from_wire(episode.severity())?,
                from: UnixMillis(episode.from_unix_ms),
                to: episode.to_unix_ms.map(UnixMillis),
            })
        };
        Self {
            episodes: reply
                .episodes
                .iter()
                .take(Self::EPISODES_MAX)
                .filter_map(episode)
                .collect(),
            count: reply.count,
            longest_ms: reply.longest_ms,
            step_ms: reply.step_ms,
            machine_count: reply.machine_count,
            to,
        }
    }

    /// Those of one machine.
    pub(crate) fn of<'a>(&'a self, machine: &'a str) -> impl Iterator<Item = &'a Episode> {
        self.episodes
            .iter()
            .filter(move |episode| episode.machine == machine)
    }

    /// How often, how long at most, and whether it still lasts, on one machine.
    pub(crate) fn summary_of(&self, machine: &str) -> (usize, u64, Option<Severity>) {
        let length = |episode: &Episode| episode.to.unwrap_or(self.to).since_ms(episode.from);
        let longest_ms = self.of(machine).map(length).max().unwrap_or(0);
        let lasting = self.of(machine).filter(|episode| episode.to.is_none());
        (
            self.of(machine).count(),
            longest_ms,
            lasting.map(|episode| episode.severity).max(),
        )
    }
}

/// Somebody else has changed the rule, or removed it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Conflict {
    /// The rule as it is now; none when it is gone.
    pub(crate) theirs: Option<StoredRule>,
}

/// The chart below: one question and one answer.
#[derive(Debug, Default)]
pub(crate) struct EditorPast {
    pub(crate) question: Option<Question>,
    pub(crate) answer: Option<Answer>,
    /// What could not be shown, since when, and why.
    pub(crate) failure: Option<(Subject, UnixMillis, String)>,
}

/// A rule that is being edited.
#[derive(Debug)]
pub(crate) struct Editor {
    /// Whose chart is shown.
    pub(crate) machine: Option<Arc<str>>,
    /// Of that machine, for choosing what the rule applies to.
    pub(crate) labels: Vec<(String, String)>,
    /// Of what on it; empty where the metric has none, or when the rule's own choice will do.
    pub(crate) entity: Arc<str>,
    /// The stored rule that the draft began as; none for a new one.
    pub(crate) base: Option<StoredRule>,
    /// What the draft began as.
    pub(crate) original: Rule,
    pub(crate) draft: Rule,
    /// Levels that were switched off, by severity, so that they come back as they were.
    pub(crate) off: [Option<Level>; 3],
    pub(crate) field: Field,
    /// What is being typed into the field.
    pub(crate) typing: Option<TextField>,
    /// What is wrong with what was typed.
    pub(crate) problem: Option<String>,
    /// What the server has against the rule.
    pub(crate) refusal: Option<String>,
    pub(crate) trial: Trial,
    /// The end of what is played.
    pub(crate) trial_to: UnixMillis,
    /// A run of a draft that has changed since, to be taken back.
    pub(crate) stale_trial: Option<u64>,
    /// The newest report, even while the next one is awaited.
    pub(crate) report: Option<Report>,
    /// The number of the command that saves it.
    pub(crate) saving: Option<u64>,
    pub(crate) conflict: Option<Conflict>,
    /// Whether the person is asked if the changes are to be lost.
    pub(crate) is_leaving: bool,
    pub(crate) past: EditorPast,
}

impl Editor {
    /// Opens a rule that is stored, or one that is not yet.
    pub(crate) fn new(
        base: Option<StoredRule>,
        draft: Rule,
        machine: Option<Arc<str>>,
        entity: &str,
    ) -> Self {
        let mut editor = Self {
            machine,
            labels: Vec::new(),
            entity: entity.into(),
            base,
            original: draft.clone(),
            draft,
            off: [None, None, None],
            field: Field::Hold,
            typing: None,
            problem: None,
            refusal: None,
            trial: Trial::None,
            trial_to: UnixMillis(0),
            stale_trial: None,
            report: None,
            saving: None,
            conflict: None,
            is_leaving: false,
            past: EditorPast::default(),
        };
        editor.field = editor.first_field();
        editor
    }

    fn first_field(&self) -> Field {
        let fields = self.fields();
        let preferred = [
            Field::Trigger(Severity::Warning),
            Field::Trigger(Severity::Critical),
            Field::Trigger(Severity::Info),
        ];
        let set = preferred.into_iter().find(|field| match field {
            Field::Trigger(severity) => self.level(*severity).is_some(),
            _ => false,
        });
        set.or_else(|| fields.first().copied()).unwrap_or(Field::Hold)
    }

    /// Whether there is something to lose.
    pub(crate) fn is_changed(&self) -> bool {
        self.draft != self.original || self.typing.is_some()
    }

    /// Whether there is something to save: a new rule is, as it is.
    pub(crate) fn is_worth_saving(&self) -> bool {
        self.base.is_none() || self.draft != self.original
    }

    /// The metric, when it is in the catalogue.
    pub(crate) fn metric(&self) -> Option<MetricId> {
        metric_check(&self.draft).and_then(|check| MetricId::from_name(&check.quantity.metric))
    }

    /// A level of the draft.
    pub(crate) fn level(&self, severity: Severity) -> Option<&Level> {
        let check = metric_check(&self.draft)?;
        match severity {
            Severity::Info => check.info.as_ref(),
            Severity::Warning => check.warning.as_ref(),
            Severity::Critical => check.critical.as_ref(),
        }
    }

    /// The place of a level of the draft; `None` for a rule without levels.
    pub(crate) fn level_mut(&mut self, severity: Severity) -> Option<&mut Option<Level>> {
        let Check::Metric(check) = &mut self.draft.check else {
            return None;
        };
        Some(match severity {
            Severity::Info => &mut check.info,
            Severity::Warning => &mut check.warning,
            Severity::Critical => &mut check.critical,
        })
    }

    /// The series on the chart: the entity that was asked for, else of those that the rule covers the one that went
    /// furthest.
    pub(crate) fn shown_key(&self) -> Option<SeriesKey> {
        let metric = self.metric()?;
        if !self.entity.is_empty() {
            return Some(SeriesKey::of(metric, &self.entity));
        }
        if metric.definition().label.is_none() {
            return Some(SeriesKey::plain(metric));
        }
        let history = self.past.answer.as_ref()?.history.as_ref()?;
        let peak = |series: &sysmon_core::SeriesPoints| {
            let points = series.points.iter().flatten();
            points
                .map(|point| point.maximum)
                .fold(f64::NEG_INFINITY, f64::max)
        };
        let covered = history.series.iter().filter(|series| {
            series.key.id() == Some(metric)
                && covers_entity(&self.draft.scope, series.key.entity().unwrap_or_default())
        });
        covered
            .max_by(|a, b| peak(a).total_cmp(&peak(b)))
            .map(|series| (*series.key).clone())
    }
}
