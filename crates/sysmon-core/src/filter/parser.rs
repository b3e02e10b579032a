//! Reads a filter: `or` binds weakest, then `and` (which need not be written), then `not`.

use std::ops::Range;

use super::error::{FilterError, closest, listed};
use super::expression::{AlertWord, Node, Operand, Operator, Test};
use super::field::{Field, Found, find};
use super::lexer::{Kind, Token, lex};
use super::table::FIELDS;
use super::text::fold;
use super::value;
use crate::alert::RuleId;
use crate::catalogue::CATALOGUE;
use crate::health::Health;
use crate::time::Liveness;

/// The longest text of a filter, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 4_096;
/// The most words and comparisons.
pub(super) const TERMS_MAX: usize = 128;
/// The most parentheses and `not`s within each other.
pub(super) const DEPTH_MAX: usize = 32;

pub(super) const STATES: [Liveness; 3] = [Liveness::Live, Liveness::Stale, Liveness::Lost];
pub(super) const HEALTHS: [(Health, &str); 5] = [
    (Health::Healthy, "ok"),
    (Health::Unknown, "unknown"),
    (Health::Warning, "warning"),
    (Health::Critical, "critical"),
    (Health::Healthy, "healthy"),
];

/// Reads a filter; none for a text without words.
pub(super) fn parse(text: &str) -> Result<Option<Node>, FilterError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(FilterError::new(
            0..text.len(),
            format!("the filter has {} bytes", text.len()),
            format!("at most {TEXT_BYTES_MAX}"),
        ));
    }
    let tokens = lex(text);
    if tokens.is_empty() {
        return Ok(None);
    }
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        end: text.len(),
        depth: 0,
        terms: 0,
    };
    let node = parser.any()?;
    if let Some(token) = parser.peek() {
        return Err(parser.unexpected(token));
    }
    // The normal form can be longer than what was typed, and has to be readable as well.
    let length = node.to_string().len();
    if length > TEXT_BYTES_MAX {
        return Err(FilterError::new(
            0..text.len(),
            format!("the filter has {length} bytes when it is written out"),
            format!("at most {TEXT_BYTES_MAX}"),
        ));
    }
    Ok(Some(node))
}

struct Parser<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    /// Bytes of the text.
    end: usize,
    depth: usize,
    terms: usize,
}

const TERM: &str = "a word, a comparison such as cpu > 50, `not` or `(`";

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token<'a>> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, kind: Kind) -> Option<&'a Token<'a>> {
        let token = self.peek().filter(|token| token.kind == kind)?;
        self.at += 1;
        Some(token)
    }

    fn any(&mut self) -> Result<Node, FilterError> {
        let mut nodes = vec![self.all()?];
        while self.take(Kind::Or).is_some() {
            nodes.push(self.all()?);
        }
        Ok(Node::any(nodes))
    }

    fn all(&mut self) -> Result<Node, FilterError> {
        let mut nodes = vec![self.one()?];
        loop {
            let is_and = self.take(Kind::And).is_some();
            let begins = |token: &Token<'_>| {
                matches!(
                    token.kind,
                    Kind::Bare | Kind::Quoted { .. } | Kind::Not | Kind::Open
                )
            };
            if !is_and && !self.peek().is_some_and(begins) {
                return Ok(Node::all(nodes));
            }
            nodes.push(self.one()?);
        }
    }

    fn one(&mut self) -> Result<Node, FilterError> {
        let Some(token) = self.peek() else {
            return Err(self.missing(TERM));
        };
        match token.kind {
            Kind::Not => {
                self.at += 1;
                self.deeper(token)?;
                let node = self.one()?;
                self.depth -= 1;
                Ok(node.negated())
            }
            Kind::Open => {
                self.at += 1;
                self.deeper(token)?;
                let node = self.any()?;
                self.depth -= 1;
                match (self.take(Kind::Close), self.peek()) {
                    (Some(_), _) => Ok(node),
                    (None, Some(next)) => Err(self.unexpected(next)),
                    (None, None) => Err(FilterError::new(
                        token.span.clone(),
                        "this parenthesis is not closed",
                        "`)` at the end",
                    )),
                }
            }
            Kind::Bare | Kind::Quoted { .. } => {
                self.at += 1;
                self.term(token)
            }
            Kind::Operator(operator) => Err(FilterError::new(
                token.span.clone(),
                format!("nothing stands before {}", operator.sign()),
                "a field, such as cpu or host",
            )),
            _ => Err(self.unexpected(token)),
        }
    }

    fn deeper(&mut self, token: &Token<'_>) -> Result<(), FilterError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(FilterError::new(
                token.span.clone(),
                "too many parentheses and `not`s within each other",
                format!("at most {DEPTH_MAX}"),
            ));
        }
        Ok(())
    }

    fn term(&mut self, name: &'a Token<'a>) -> Result<Node, FilterError> {
        self.terms += 1;
        if self.terms > TERMS_MAX {
            return Err(FilterError::new(
                name.span.clone(),
                "too many words and comparisons",
                format!("at most {TERMS_MAX}"),
            ));
        }
        check_word(name)?;
        let Some((operator, sign)) = self.peek().and_then(|token| match token.kind {
            Kind::Operator(operator) => Some((operator, token)),
            _ => None,
        }) else {
            if name.entity.is_some() {
                return Err(FilterError::new(
                    name.span.end..name.span.end,
                    format!("{} is not compared with anything", shown(name)),
                    "an operator and a value, such as > 50",
                ));
            }
            return Ok(Node::Word(fold(&name.text).into()));
        };
        self.at += 1;
        let field = field_of(name, operator)?;
        if !field.operators().contains(&operator) {
            let signs = field.operators().iter().map(|operator| operator.sign());
            return Err(FilterError::new(
                sign.span.clone(),
                format!("{} does not go with {}", shown(name), operator.sign()),
                listed(signs),
            ));
        }
        let value = self.value(&field, operator)?;
        Ok(Node::Test(Test {
            field,
            operator,
            value,
        }))
    }

    fn value(&mut self, field: &Field, operator: Operator) -> Result<Operand, FilterError> {
        let expected = || format!("{} after {}", expected_value(field), operator.sign());
        let Some(token) = self.peek() else {
            return Err(self.missing(&expected()));
        };
        match token.kind {
            Kind::Bare | Kind::Quoted { .. } => {}
            Kind::And | Kind::Or | Kind::Not => {
                return Err(FilterError::new(
                    token.span.clone(),
                    format!("`{}` is no value without quotes", token.text),
                    expected(),
                ));
            }
            _ => {
                return Err(FilterError::new(
                    token.span.clone(),
                    unexpected_text(token),
                    expected(),
                ));
            }
        }
        self.at += 1;
        check_word(token)?;
        if token.entity.is_some() {
            return Err(FilterError::new(
                token.span.clone(),
                "a value has no braces unless it is in quotes",
                expected(),
            ));
        }
        operand(field, operator, token)
    }

    fn missing(&self, expected: &str) -> FilterError {
        FilterError::new(self.end..self.end, "the filter ends too early", expected)
    }

    fn unexpected(&self, token: &Token<'_>) -> FilterError {
        let expected = match token.kind {
            Kind::Close if self.depth == 0 => "no `)`, since no parenthesis is open",
            Kind::Operator(_) => "`and`, `or` or the end; a value with this sign in it goes into quotes",
            Kind::Hostile => "characters that can be seen",
            Kind::Stray => "braces only behind a metric, such as disk{/home}",
            _ => TERM,
        };
        FilterError::new(token.span.clone(), unexpected_text(token), expected)
    }
}

fn unexpected_text(token: &Token<'_>) -> String {
    match token.kind {
        Kind::Hostile => "a control character".into(),
        _ => format!("`{}` cannot stand here", token.text),
    }
}

/// How a word is called in a message.
fn shown(token: &Token<'_>) -> String {
    match &token.entity {
        Some(entity) => format!("`{}{{{}}}`", token.text, entity.text),
        None => format!("`{}`", token.text),
    }
}

/// Whether the quotes and braces of a word are closed, and what stands in them is harmless.
fn check_word(token: &Token<'_>) -> Result<(), FilterError> {
    if token.kind == (Kind::Quoted { is_closed: false }) {
        return Err(FilterError::new(
            token.span.clone(),
            "this quote is not closed",
            "the same quote at the end",
        ));
    }
    if let Some(entity) = &token.entity {
        if !entity.is_closed {
            return Err(FilterError::new(
                token.span.clone(),
                "this brace is not closed",
                "`}` behind the name",
            ));
        }
        if entity.text.is_empty() {
            return Err(FilterError::new(
                token.span.clone(),
                "nothing is named in the braces",
                "a name, such as disk{/home}",
            ));
        }
    }
    let entity = token.entity.as_ref().map_or("", |entity| &entity.text);
    if crate::text::is_clean(&token.text) && crate::text::is_clean(entity) {
        Ok(())
    } else {
        Err(FilterError::new(
            token.span.clone(),
            "a control character",
            "characters that can be seen",
        ))
    }
}

fn field_of(name: &Token<'_>, operator: Operator) -> Result<Field, FilterError> {
    // What stands in quotes is the name of a label, whatever else is called so.
    if matches!(name.kind, Kind::Quoted { .. }) {
        return Ok(Field::Label(name.text.as_ref().into()));
    }
    let entity = name.entity.as_ref();
    match find(&name.text, entity.map(|entity| entity.text.as_ref())) {
        Found::Field(field) => Ok(field),
        Found::NoEntities(of) => {
            let span: Range<usize> = entity.map_or(name.span.clone(), |entity| entity.span.clone());
            Err(FilterError::new(
                span,
                format!("there is only one `{of}` of a machine"),
                "no braces",
            ))
        }
        Found::Label(label) => {
            let is_for_texts = Field::Label(label.clone()).operators().contains(&operator);
            // A label that looks like a metric is one that was mistyped.
            if is_for_texts && entity.is_none() {
                return Ok(Field::Label(label));
            }
            Err(FilterError::new(
                name.span.start..name.span.start + name.text.len(),
                format!(
                    "`{}` is not a field that can be compared with {}",
                    name.text,
                    operator.sign()
                ),
                "a field such as cpu, mem, disk or age, or the name of a metric",
            )
            .suggest(closest(&name.text, names())))
        }
    }
}

/// Every name before an operator that is known without a fleet.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let own = FIELDS
        .iter()
        .flat_map(|row| std::iter::once(row.name).chain(row.aliases.iter().copied()));
    own.chain(CATALOGUE.iter().map(|row| row.name))
}

fn expected_value(field: &Field) -> String {
    match field {
        Field::Text(_) | Field::Label(_) => "a text".into(),
        Field::State => listed(STATES.map(Liveness::word)),
        Field::Health => listed(HEALTHS.iter().take(4).map(|(_, word)| *word)),
        Field::Alert => {
            let words = AlertWord::WORDS.iter().map(|(_, word)| *word);
            listed(words.chain(["the id of a rule"]))
        }
        Field::Number(_) | Field::Metric { .. } => {
            format!(
                "a number such as {}",
                listed(value::examples(field.unit()).iter().copied())
            )
        }
    }
}

fn operand(field: &Field, operator: Operator, token: &Token<'_>) -> Result<Operand, FilterError> {
    let text = fold(&token.text);
    let wrong = |suggestion: Option<String>| {
        let problem = format!("`{}` is no value for `{field}`", token.text);
        FilterError::new(token.span.clone(), problem, expected_value(field)).suggest(suggestion)
    };
    match field {
        Field::Text(_) | Field::Label(_) => Ok(Operand::Text(text.into())),
        Field::State => STATES
            .into_iter()
            .find(|state| state.word() == text)
            .map(Operand::State)
            .ok_or_else(|| wrong(closest(&text, STATES.map(Liveness::word)))),
        Field::Health => HEALTHS
            .iter()
            .find(|(_, word)| *word == text)
            .map(|(health, _)| Operand::Health(*health))
            .ok_or_else(|| wrong(closest(&text, HEALTHS.iter().map(|(_, word)| *word)))),
        Field::Alert if matches!(operator, Operator::Contains | Operator::ContainsNot) => {
            Ok(Operand::Alert(AlertWord::Rule(text.into())))
        }
        Field::Alert => {
            let words = || AlertWord::WORDS.iter();
            if let Some((word, _)) = words().find(|(_, word)| *word == text) {
                return Ok(Operand::Alert(word.clone()));
            }
            match RuleId::parse(&text) {
                Ok(_) => Ok(Operand::Alert(AlertWord::Rule(text.into()))),
                Err(_) => Err(wrong(closest(&text, words().map(|(_, word)| *word)))),
            }
        }
        Field::Number(_) | Field::Metric { .. } => value::parse(&token.text, field.unit())
            .map(Operand::Number)
            .ok_or_else(|| {
                let error = wrong(None);
                // Whoever compares it with a word means a label that is called so.
                let is_label =
                    matches!(operator, Operator::Equal | Operator::NotEqual) && text.parse::<f64>().is_err();
                let label =
                    matches!(field, Field::Metric { entity: None, .. } | Field::Number(_)) && is_label;
                error.suggest(label.then(|| format!("label.{field}")))
            }),
    }
}
