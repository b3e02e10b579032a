//! The filter of the fleet: what is applied, what is being typed, what was typed before, and what could come next.

use sysmon_api::{Machine, Replica};
use sysmon_core::filter::{AlertFacts, CandidateKind, Filter, FilterError, Vocabulary, complete};
use sysmon_core::{MetricId, UnixMillis};

use crate::state::alerts::board::Board;
use crate::text_field::TextField;

/// The most filters remembered, typed or saved.
const HISTORY_MAX: usize = 100;
const SAVED_MAX: usize = 50;
/// The most candidates shown.
const CANDIDATES_MAX: usize = 200;
/// From so many machines on, names are learnt from a part of the fleet: completion must be there at once.
const LEARNT_MAX: usize = 2_000;

/// Something that could stand at the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// What goes in.
    pub(crate) text: String,
    /// What is shown of it; a saved filter has a name of its own.
    pub(crate) name: String,
    pub(crate) help: String,
}

/// What could come next in the line that is typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Completion {
    /// Bytes that a candidate replaces.
    span: std::ops::Range<usize>,
    pub(crate) candidates: Vec<Candidate>,
    /// The one that Tab has put in.
    pub(crate) chosen: Option<usize>,
    /// The word at the cursor may become a field: as a word it would match nothing that is meant.
    may_be_field: bool,
}

impl Completion {
    /// Where the word begins that a candidate replaces, as far as it is before the cursor.
    pub(crate) fn start_in(&self, before_cursor: &str) -> usize {
        let start = self.span.start.min(before_cursor.len());
        if before_cursor.is_char_boundary(start) {
            start
        } else {
            before_cursor.len()
        }
    }
}

/// The filter of the fleet.
#[derive(Clone, Debug, Default)]
pub(crate) struct FleetFilter {
    text: String,
    parsed: Filter,
    /// What is wrong with what is being typed.
    problem: Option<FilterError>,
    history: Vec<String>,
    saved: Vec<(String, String)>,
    /// Where in the history the line that is typed comes from, and what was typed before.
    recalled: Option<(usize, String)>,
    pub(crate) completion: Completion,
    vocabulary: Vocabulary,
}

impl FleetFilter {
    /// The filter that is applied.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether everything matches.
    pub(crate) fn is_empty(&self) -> bool {
        self.parsed.is_empty()
    }

    /// What is wrong with what was typed last.
    pub(crate) fn problem(&self) -> Option<&FilterError> {
        self.problem.as_ref()
    }

    /// Metrics that it looks at.
    pub(crate) fn metrics(&self) -> impl Iterator<Item = MetricId> {
        self.parsed.metrics().into_iter()
    }

    /// Filters by this text from now on. A text that is no filter changes only what is said about it; returns whether
    /// other machines may match now.
    pub(crate) fn set(&mut self, text: &str) -> bool {
        match Filter::parse(text) {
            Ok(parsed) => {
                self.problem = None;
                self.text = text.trim().to_owned();
                let is_other = parsed != self.parsed;
                self.parsed = parsed;
                is_other
            }
            Err(problem) => {
                self.problem = Some(problem);
                false
            }
        }
    }

    /// The same while it is typed: a word that may yet become the name of a field is not looked for as a word.
    pub(crate) fn set_typed(&mut self, text: &str) -> bool {
        if !self.completion.may_be_field {
            return self.set(text);
        }
        self.problem = Filter::parse(text).err();
        false
    }

    /// Forgets what was wrong with what is not typed any more.
    pub(crate) fn forgive(&mut self) {
        self.problem = None;
        self.completion = Completion::default();
        self.recalled = None;
    }

    /// Whether a machine matches.
    pub(crate) fn matches(&self, machine: &Machine, board: &Board, aggregator_now: UnixMillis) -> bool {
        self.parsed.is_empty()
            || self.parsed.matches(&machine.seen(
                aggregator_now,
                // Most machines have none, and the board knows that without looking at its alerts.
                |test: &mut dyn FnMut(AlertFacts<'_>) -> bool| {
                    board.counts_of(&machine.id) != Default::default()
                        && board
                            .alerts_of(&machine.id)
                            .any(|alert| test(AlertFacts::of(alert)))
                },
            ))
    }

    /// Filters that were typed, the newest last.
    pub(crate) fn history(&self) -> &[String] {
        &self.history
    }

    /// Filters that were saved: name and text.
    pub(crate) fn saved(&self) -> &[(String, String)] {
        &self.saved
    }

    /// Takes remembered filters over.
    pub(crate) fn restore(&mut self, history: &[String], saved: &[(String, String)]) {
        let surplus = history.len().saturating_sub(HISTORY_MAX);
        self.history = history[surplus..].to_vec();
        self.saved = saved.iter().take(SAVED_MAX).cloned().collect();
    }

    /// Remembers a filter that was kept.
    pub(crate) fn remember(&mut self, text: &str) {
        let text = text.trim();
        if text.is_empty() || Filter::parse(text).is_err() {
            return;
        }
        self.history.retain(|known| known != text);
        self.history.push(text.to_owned());
        if self.history.len() > HISTORY_MAX {
            self.history.remove(0);
        }
    }

    /// Saves a filter under a name; an empty text removes it. Fails when there are too many.
    pub(crate) fn save(&mut self, name: &str, text: &str) -> Result<(), &'static str> {
        let name = name.trim();
        if name.is_empty() {
            return Err("a saved filter needs a name");
        }
        self.saved.retain(|(known, _)| known != name);
        if text.trim().is_empty() {
            return Ok(());
        }
        if self.saved.len() >= SAVED_MAX {
            return Err(
                "too many filters are saved: save one with an empty text under its name to remove it",
            );
        }
        self.saved.push((name.to_owned(), text.trim().to_owned()));
        self.saved.sort();
        Ok(())
    }

    /// The filter typed before the one in the line, or after it.
    pub(crate) fn recall(&mut self, line: &str, is_older: bool) -> Option<String> {
        let (at, draft) = match (&self.recalled, is_older) {
            (None, false) => return None,
            (None, true) => (self.history.len(), line.to_owned()),
            (Some((at, draft)), _) => (*at, draft.clone()),
        };
        let at = if is_older { at.checked_sub(1)? } else { at + 1 };
        if at >= self.history.len() {
            self.recalled = None;
            return Some(draft);
        }
        self.recalled = Some((at, draft));
        self.history.get(at).cloned()
    }

    /// Learns names and values to complete from.
    pub(crate) fn learn(&mut self, fleet: &Replica, board: &Board) {
        self.vocabulary = Vocabulary::default();
        for (_, machine) in fleet.machines().take(LEARNT_MAX) {
            self.vocabulary.add_machine(&machine.id, &machine.host);
        }
        for stored in board.rules() {
            self.vocabulary.add_rule(stored.rule.id.as_str());
        }
    }

    /// Looks up what could stand at the cursor of the line.
    pub(crate) fn look_up(&mut self, field: &TextField) {
        let cursor = field.before_cursor().len();
        let found = complete(field.text(), cursor, &self.vocabulary);
        let typed = field.before_cursor().trim_start();
        let may_be_field = may_be_field(field, &found);
        let saved = self
            .saved
            .iter()
            .filter(|(name, _)| typed.len() == field.text().trim().len() && name.starts_with(typed))
            .map(|(name, text)| Candidate {
                text: text.clone(),
                name: name.clone(),
                help: format!("saved: {text}"),
            });
        let saved: Vec<Candidate> = saved.collect();
        if saved.is_empty() {
            let candidates = found.candidates.into_iter().take(CANDIDATES_MAX);
            let candidates = candidates.map(|candidate| Candidate {
                name: candidate.text.clone(),
                text: candidate.text,
                help: candidate.help,
            });
            self.completion = Completion {
                span: found.span,
                candidates: candidates.collect(),
                chosen: None,
                may_be_field,
            };
        } else {
            // A saved filter takes the place of the whole line.
            self.completion = Completion {
                span: 0..field.text().len(),
                candidates: saved,
                chosen: None,
                may_be_field,
            };
        }
    }

    /// Puts the next candidate into the line, or the one before.
    pub(crate) fn complete(&mut self, field: &mut TextField, is_forward: bool) {
        let completion = &mut self.completion;
        let count = completion.candidates.len();
        if count == 0 {
            return;
        }
        let next = match (completion.chosen, is_forward) {
            (None, true) => 0,
            (None, false) => count - 1,
            (Some(at), true) => (at + 1) % count,
            (Some(at), false) => (at + count - 1) % count,
        };
        let candidate = &completion.candidates[next];
        // A saved filter is whole.
        completion.may_be_field &= candidate.name == candidate.text;
        let candidate = candidate.text.clone();
        field.replace(completion.span.clone(), &candidate);
        completion.span = completion.span.start..completion.span.start + candidate.len();
        completion.chosen = Some(next);
    }
}

/// Whether the line ends with a word with which the name of a field, or `and`, begins.
fn may_be_field(field: &TextField, found: &sysmon_core::filter::Completion) -> bool {
    let text = field.text();
    let word = text.trim_end();
    let word = &word[word.rfind([' ', '(', ')', '\t']).map_or(0, |at| at + 1)..];
    let is_at_end = field.before_cursor().len() == text.len();
    let begins = |candidate: &sysmon_core::filter::Candidate| match candidate.kind {
        CandidateKind::Field | CandidateKind::Label | CandidateKind::Metric | CandidateKind::Word => {
            candidate
                .text
                .get(..word.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(word))
        }
        // Behind a name and a blank an operator is offered.
        CandidateKind::Operator => text.ends_with(' '),
        _ => false,
    };
    is_at_end && !word.is_empty() && found.candidates.iter().any(begins)
}
