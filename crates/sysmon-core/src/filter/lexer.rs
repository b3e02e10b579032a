//! Cuts the text of a filter into words and signs. Never fails: what cannot be right is a token too, so that the parser
//! can say what is wrong with it and completion can go on from it.

use std::borrow::Cow;
use std::ops::Range;

use super::expression::Operator;
use crate::text::is_clean;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    /// The word without its quotes, escapes and entity; the sign itself for all others.
    pub(super) text: Cow<'a, str>,
    /// What stands in braces behind the word.
    pub(super) entity: Option<Entity<'a>>,
    pub(super) span: Range<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entity<'a> {
    pub(super) text: Cow<'a, str>,
    /// Bytes of it, without the braces.
    pub(super) span: Range<usize>,
    pub(super) is_closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bare,
    Quoted {
        is_closed: bool,
    },
    Operator(Operator),
    And,
    Or,
    Not,
    Open,
    Close,
    /// A brace that belongs to no word.
    Stray,
    /// A character that a terminal would act on.
    Hostile,
}

/// The signs of the operators, longest first.
const SIGNS: [(&str, Kind); 15] = [
    ("==", Kind::Operator(Operator::Equal)),
    ("=~", Kind::Operator(Operator::Contains)),
    ("!=", Kind::Operator(Operator::NotEqual)),
    ("!~", Kind::Operator(Operator::ContainsNot)),
    ("<=", Kind::Operator(Operator::AtMost)),
    (">=", Kind::Operator(Operator::AtLeast)),
    ("&&", Kind::And),
    ("||", Kind::Or),
    ("=", Kind::Operator(Operator::Equal)),
    ("<", Kind::Operator(Operator::Less)),
    (">", Kind::Operator(Operator::More)),
    ("~", Kind::Operator(Operator::Contains)),
    ("!", Kind::Not),
    ("(", Kind::Open),
    (")", Kind::Close),
];

/// Whether a character may stand in a word without quotes.
pub(super) fn is_bare(character: char) -> bool {
    !character.is_whitespace() && !"()\"'=!<>~&|{}".contains(character) && is_harmless(character)
}

fn is_harmless(character: char) -> bool {
    is_clean(character.encode_utf8(&mut [0; 4]))
}

/// Cuts a text into tokens.
pub(super) fn lex(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let token = next(text, at, first);
        at = token.span.end;
        tokens.push(token);
    }
    tokens
}

fn next(text: &str, at: usize, first: char) -> Token<'_> {
    let rest = &text[at..];
    if first == '"' || first == '\'' {
        let (word, length, is_closed) = quoted(rest, first);
        return token(Kind::Quoted { is_closed }, word, at..at + length);
    }
    if let Some((sign, kind)) = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
        return token(*kind, Cow::Borrowed(sign), at..at + sign.len());
    }
    let length = rest.find(|character| !is_bare(character)).unwrap_or(rest.len());
    if length == 0 {
        let kind = match first {
            '&' => Kind::And,
            '|' => Kind::Or,
            '{' | '}' => Kind::Stray,
            _ => Kind::Hostile,
        };
        let end = at + first.len_utf8();
        return token(kind, Cow::Borrowed(&text[at..end]), at..end);
    }
    let word = &rest[..length];
    if rest[length..].starts_with('{') {
        let (entity, end) = entity(text, at + length + 1);
        let mut token = token(Kind::Bare, Cow::Borrowed(word), at..end);
        token.entity = Some(entity);
        return token;
    }
    let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
    let kind = match () {
        () if is("and") => Kind::And,
        () if is("or") => Kind::Or,
        () if is("not") => Kind::Not,
        () => Kind::Bare,
    };
    token(kind, Cow::Borrowed(word), at..at + length)
}

fn token(kind: Kind, text: Cow<'_, str>, span: Range<usize>) -> Token<'_> {
    Token {
        kind,
        text,
        entity: None,
        span,
    }
}

/// The text of a quoted word that `rest` begins with, the bytes it takes, and whether the quote ends.
fn quoted(rest: &str, quote: char) -> (Cow<'_, str>, usize, bool) {
    let mut word = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((index, character)) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some((_, escaped)) => word.push(escaped),
                None => return (Cow::Owned(word), rest.len(), false),
            },
            _ if character == quote => {
                return (Cow::Owned(word), index + character.len_utf8(), true);
            }
            _ => word.push(character),
        }
    }
    (Cow::Owned(word), rest.len(), false)
}

/// What stands in the braces that open just before `at`, and where the word ends.
fn entity(text: &str, at: usize) -> (Entity<'_>, usize) {
    let rest = &text[at..];
    if let Some(quote) = rest.chars().next().filter(|first| "\"'".contains(*first)) {
        let (word, length, is_closed) = quoted(rest, quote);
        let end = at + length;
        let is_closed = is_closed && text[end..].starts_with('}');
        let entity = Entity {
            text: word,
            span: at..end,
            is_closed,
        };
        return (entity, end + usize::from(is_closed));
    }
    let length = rest.find('}').unwrap_or(rest.len());
    let is_closed = length < rest.len();
    let entity = Entity {
        text: Cow::Borrowed(&rest[..length]),
        span: at..at + length,
        is_closed,
    };
    (entity, at + length + usize::from(is_closed))
}
