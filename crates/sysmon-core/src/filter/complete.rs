//! What could come next in a filter that is being typed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::expression::{AlertWord, Operator, is_bare_word};
use super::field::{Field, Found, LABEL, find};
use super::lexer::{Kind, Token, lex};
use super::parser::{HEALTHS, STATES};
use super::table::{FIELDS, FieldKind};
use super::value;
use crate::catalogue::{CATALOGUE, MetricId};
use crate::machine::Recent;
use crate::sample::HostInfo;
use crate::text::is_clean;

/// What is known of a fleet, to complete names and values from. Whoever keeps it adds machines as they come; it holds at
/// most [`Vocabulary::WORDS_MAX`] words of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// Names of machines.
    pub hosts: BTreeSet<String>,
    /// Ids of machines.
    pub ids: BTreeSet<String>,
    /// Operating systems.
    pub systems: BTreeSet<String>,
    /// Kernel releases.
    pub kernels: BTreeSet<String>,
    /// Values of labels by name.
    pub labels: BTreeMap<String, BTreeSet<String>>,
    /// Ids of alert rules.
    pub rules: BTreeSet<String>,
    /// Mounts, disks, interfaces, … by the metric that is of them.
    pub entities: BTreeMap<MetricId, BTreeSet<String>>,
}

impl Vocabulary {
    /// The most words of a kind; further ones are left out.
    pub const WORDS_MAX: usize = 20_000;

    /// Takes in what a machine is called. Words with control characters are left out.
    pub fn add_machine(&mut self, id: &str, host: &HostInfo) {
        add(&mut self.ids, id);
        let hostname = if host.hostname.is_empty() {
            id
        } else {
            &host.hostname
        };
        add(&mut self.hosts, hostname);
        add(&mut self.systems, &host.os);
        add(&mut self.kernels, &host.kernel);
        for (name, value) in &host.labels {
            if self.labels.len() < Self::WORDS_MAX && is_clean(name) && !self.labels.contains_key(name) {
                self.labels.insert(name.clone(), BTreeSet::new());
            }
            if let Some(values) = self.labels.get_mut(name) {
                add(values, value);
            }
        }
    }

    /// Takes in the entities that a machine has metrics of.
    pub fn add_entities(&mut self, recent: &Recent) {
        for (_, series) in recent.series() {
            if let (Some(metric), Some(entity)) = (series.key.id(), series.key.entity()) {
                add(self.entities.entry(metric).or_default(), entity);
            }
        }
    }

    /// Takes in the id of a rule.
    pub fn add_rule(&mut self, id: &str) {
        add(&mut self.rules, id);
    }
}

fn add(words: &mut BTreeSet<String>, word: &str) {
    if words.len() < Vocabulary::WORDS_MAX && !word.is_empty() && is_clean(word) && !words.contains(word) {
        words.insert(word.into());
    }
}

/// What could stand at the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Bytes that a candidate replaces: the word at the cursor, or nothing.
    pub span: Range<usize>,
    /// Best first, at most [`Completion::CANDIDATES_MAX`].
    pub candidates: Vec<Candidate>,
}

impl Completion {
    /// The most candidates.
    pub const CANDIDATES_MAX: usize = 100;
}

/// One thing that could stand at the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The text that goes in, in quotes where it needs them.
    pub text: String,
    /// What it is.
    pub kind: CandidateKind,
    /// What a person should know, in one line; may be empty.
    pub help: String,
}

/// What a candidate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CandidateKind {
    /// A field of the table.
    Field,
    /// The name of a label.
    Label,
    /// A metric by its name in the catalogue.
    Metric,
    /// Something in braces.
    Entity,
    /// An operator.
    Operator,
    /// A value.
    Value,
    /// `and`, `or` or `not`.
    Word,
}

/// What could stand at `cursor`, a byte of `text`; beyond its end or within a character it counts as before that.
#[must_use]
pub fn complete(text: &str, cursor: usize, vocabulary: &Vocabulary) -> Completion {
    let mut cursor = cursor.min(text.len());
    while !text.is_char_boundary(cursor) {
        cursor -= 1;
    }
    let before = lex(&text[..cursor]);
    // The word that the cursor is in or behind; signs are complete as they are.
    let is_word = |token: &&Token<'_>| {
        let is_open = match token.kind {
            Kind::Bare | Kind::And | Kind::Or => true,
            Kind::Not => token.text.eq_ignore_ascii_case("not"),
            Kind::Quoted { is_closed } => !is_closed,
            _ => false,
        };
        is_open && token.span.end == cursor
    };
    let partial = before.last().filter(is_word);
    let earlier = &before[..before.len() - usize::from(partial.is_some())];
    let start = partial.map_or(cursor, |token| token.span.start);
    let end = partial.map_or(cursor, |_| word_end(text, cursor));
    let prefix = partial.map_or("", |token| token.text.as_ref());

    let mut found = Offers::new(prefix);
    match place(earlier) {
        Place::Value(field) => offer_values(&mut found, &field, vocabulary),
        Place::Term {
            is_behind_term,
            field,
        } => {
            if let Some(entity) = partial.and_then(|token| token.entity.as_ref()) {
                if entity.is_closed {
                    return Completion {
                        span: cursor..cursor,
                        candidates: Vec::new(),
                    };
                }
                let mut found = Offers::new(&entity.text);
                offer_entities(&mut found, prefix, vocabulary);
                return found.finish(start..brace_end(text, end));
            }
            if partial.is_none()
                && let Some(field) = field
            {
                offer_operators(&mut found, &field);
            }
            if is_behind_term {
                found.offer("and", CandidateKind::Word, "Both must hold");
                found.offer("or", CandidateKind::Word, "One of them is enough");
            }
            if !matches!(partial.map(|token| token.kind), Some(Kind::Quoted { .. })) {
                offer_fields(&mut found, vocabulary);
            }
        }
    }
    found.finish(start..end)
}

/// The end of the word that goes on at `cursor`.
fn word_end(text: &str, cursor: usize) -> usize {
    let rest = &text[cursor..];
    cursor
        + rest
            .find(|character| !super::lexer::is_bare(character))
            .unwrap_or(rest.len())
}

/// The end of the braces that go on at `at`, when they are closed at once.
fn brace_end(text: &str, at: usize) -> usize {
    at + usize::from(text[at..].starts_with('}'))
}

/// What kind of thing belongs at the cursor.
enum Place {
    Value(Option<Field>),
    Term {
        is_behind_term: bool,
        /// The word before the cursor, where it is a field that waits for an operator.
        field: Option<Field>,
    },
}

fn place(earlier: &[Token<'_>]) -> Place {
    let Some(last) = earlier.last() else {
        return Place::Term {
            is_behind_term: false,
            field: None,
        };
    };
    let before = earlier.len().checked_sub(2).and_then(|index| earlier.get(index));
    match last.kind {
        Kind::Operator(_) => Place::Value(before.and_then(field_of)),
        Kind::Bare | Kind::Quoted { .. } => {
            let is_value = before.is_some_and(|token| matches!(token.kind, Kind::Operator(_)));
            let field = if is_value { None } else { field_of(last) };
            Place::Term {
                is_behind_term: true,
                field,
            }
        }
        Kind::Close => Place::Term {
            is_behind_term: true,
            field: None,
        },
        _ => Place::Term {
            is_behind_term: false,
            field: None,
        },
    }
}

fn field_of(token: &Token<'_>) -> Option<Field> {
    match token.kind {
        Kind::Quoted { .. } => Some(Field::Label(token.text.as_ref().into())),
        Kind::Bare => {
            let entity = token.entity.as_ref().map(|entity| entity.text.as_ref());
            match find(&token.text, entity) {
                Found::Field(field) => Some(field),
                Found::Label(name) => Some(Field::Label(name)),
                Found::NoEntities(_) => None,
            }
        }
        _ => None,
    }
}

/// Candidates in three ranks: those that begin with what was typed, those with a part that does, those that have it.
struct Offers {
    prefix: String,
    candidates: Vec<(u8, Candidate)>,
    seen: BTreeSet<String>,
}

impl Offers {
    fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_lowercase(),
            candidates: Vec::new(),
            seen: BTreeSet::new(),
        }
    }

    fn offer(&mut self, word: &str, kind: CandidateKind, help: &str) {
        self.offer_as(word, word.into(), kind, help);
    }

    fn offer_as(&mut self, word: &str, text: String, kind: CandidateKind, help: &str) {
        let lower = word.to_lowercase();
        let Some(at) = lower.find(&self.prefix) else {
            return;
        };
        let is_part = lower[..at].ends_with(['.', '-', '_', '/', ' ']);
        let rank = match at {
            0 => 0,
            _ if is_part => 1,
            _ => 2,
        };
        if self.seen.insert(text.clone()) {
            let help = help.into();
            self.candidates.push((rank, Candidate { text, kind, help }));
        }
    }

    fn offer_value(&mut self, word: &str, help: &str) {
        self.offer_as(word, quoted(word), CandidateKind::Value, help);
    }

    fn finish(mut self, span: Range<usize>) -> Completion {
        // Stable: within a rank the order is the table's, or that of the alphabet.
        self.candidates.sort_by_key(|(rank, _)| *rank);
        let candidates = self
            .candidates
            .into_iter()
            .map(|(_, candidate)| candidate)
            .take(Completion::CANDIDATES_MAX)
            .collect();
        Completion { span, candidates }
    }
}

/// A word as it is written in a filter.
fn quoted(word: &str) -> String {
    if is_bare_word(word) {
        return word.into();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

fn offer_fields(found: &mut Offers, vocabulary: &Vocabulary) {
    for row in FIELDS {
        found.offer(row.name, CandidateKind::Field, row.help);
    }
    for name in vocabulary.labels.keys() {
        let text = if !is_bare_word(name) {
            quoted(name)
        } else if matches!(find(name, None), Found::Label(_)) {
            name.clone()
        } else {
            format!("{LABEL}{name}")
        };
        found.offer_as(name, text, CandidateKind::Label, "Label");
        if is_bare_word(name) && found.prefix.starts_with("label") {
            let text = format!("{LABEL}{name}");
            found.offer_as(&text.clone(), text, CandidateKind::Label, "Label");
        }
    }
    found.offer("not", CandidateKind::Word, "What follows must not hold");
    // Other names of a field only for those who begin to type them.
    if found.prefix.is_empty() {
        return;
    }
    for row in FIELDS {
        for alias in row.aliases {
            if alias.starts_with(&found.prefix) {
                found.offer_as(alias, row.name.into(), CandidateKind::Field, row.help);
            }
        }
    }
    for row in CATALOGUE {
        found.offer(row.name, CandidateKind::Metric, row.help);
    }
}

fn offer_operators(found: &mut Offers, field: &Field) {
    for operator in field.operators() {
        let help = match operator {
            Operator::Equal => "is",
            Operator::NotEqual => "is not",
            Operator::Less => "is below",
            Operator::AtMost => "is at most",
            Operator::More => "is above",
            Operator::AtLeast => "is at least",
            Operator::Contains => "has in it",
            Operator::ContainsNot => "does not have in it",
        };
        found.offer(operator.sign(), CandidateKind::Operator, help);
    }
}

fn offer_values(found: &mut Offers, field: &Option<Field>, vocabulary: &Vocabulary) {
    use super::table::TextField;
    let Some(field) = field else {
        return;
    };
    let mut all = |words: &BTreeSet<String>| words.iter().for_each(|word| found.offer_value(word, ""));
    match field {
        Field::Text(TextField::Host) => all(&vocabulary.hosts),
        Field::Text(TextField::Id) => all(&vocabulary.ids),
        Field::Text(TextField::Os) => all(&vocabulary.systems),
        Field::Text(TextField::Kernel) => all(&vocabulary.kernels),
        Field::Text(TextField::Architecture) => {
            found.offer_value("x86_64", "");
            found.offer_value("aarch64", "");
        }
        Field::Label(name) => {
            let labels = vocabulary.labels.iter();
            labels
                .filter(|(known, _)| known.eq_ignore_ascii_case(name))
                .for_each(|(_, values)| all(values));
        }
        Field::State => STATES
            .iter()
            .for_each(|state| found.offer_value(state.word(), "")),
        Field::Health => HEALTHS
            .iter()
            .take(4)
            .for_each(|(_, word)| found.offer_value(word, "")),
        Field::Alert => {
            for (_, word) in AlertWord::WORDS {
                found.offer_value(word, "");
            }
            for rule in &vocabulary.rules {
                found.offer_value(rule, "Rule");
            }
        }
        Field::Number(_) | Field::Metric { .. } => {
            for example in value::examples(field.unit()) {
                found.offer_value(example, "");
            }
        }
    }
}

fn offer_entities(found: &mut Offers, name: &str, vocabulary: &Vocabulary) {
    // Any name will do to find the metric that has entities.
    let Found::Field(Field::Metric { id, .. }) = find(name, Some("x")) else {
        return;
    };
    let row = FIELDS.iter().find(|row| match row.kind {
        FieldKind::Metric { entity, .. } => entity == Some(id) && row.name.eq_ignore_ascii_case(name),
        _ => false,
    });
    let help = row.map_or(id.definition().help, |row| row.help);
    for entity in vocabulary.entities.get(&id).into_iter().flatten() {
        let field = Field::Metric {
            id,
            entity: Some(entity.as_str().into()),
        };
        found.offer_as(entity, field.to_string(), CandidateKind::Entity, help);
    }
}
