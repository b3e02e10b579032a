//! What is wrong with a filter, and where.

use std::fmt::{self, Write as _};
use std::ops::Range;

use crate::text::{display_width, sanitize};

/// A filter that cannot be read: which word is wrong, what should be there, and what may have been meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// Bytes of the wrong word in the text; empty, at the end, where something is missing there.
    pub span: Range<usize>,
    /// What is wrong, such as `` `cpuu` is not a field ``.
    pub problem: String,
    /// What should be there instead, such as `a value after >`; empty when the problem says it all.
    pub expected: String,
    /// What may have been meant.
    pub suggestion: Option<String>,
}

impl FilterError {
    pub(super) fn new(span: Range<usize>, problem: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            span,
            problem: problem.into(),
            expected: expected.into(),
            suggestion: None,
        }
    }

    pub(super) fn suggest(self, suggestion: Option<String>) -> Self {
        Self { suggestion, ..self }
    }

    /// Two lines to show above each other: the text, and a line with carets under the wrong word. Both are harmless in a
    /// terminal, and as wide characters take two cells, so do their carets.
    #[must_use]
    pub fn marked(&self, text: &str) -> [String; 2] {
        let end = floor_boundary(text, self.span.end);
        let start = floor_boundary(text, self.span.start).min(end);
        let shown = |part: &str| -> String {
            // A line break or tab counts as the one space that it separates words with.
            let spaced: String = part
                .chars()
                .map(|character| if character.is_whitespace() { ' ' } else { character })
                .collect();
            sanitize(&spaced).into_owned()
        };
        let before = shown(&text[..start]);
        let wrong = shown(&text[start..end]);
        let carets = "^".repeat(display_width(&wrong).max(1));
        let marks = format!("{}{carets}", " ".repeat(display_width(&before)));
        [format!("{before}{wrong}{}", shown(&text[end..])), marks]
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

impl fmt::Display for FilterError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.problem)?;
        if !self.expected.is_empty() {
            write!(formatter, "; expected {}", self.expected)?;
        }
        match &self.suggestion {
            Some(suggestion) => write!(formatter, "; did you mean `{suggestion}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for FilterError {}

/// Words as a sentence lists them: `a, b or c`.
pub(super) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.into_iter().collect();
    let mut text = String::new();
    for (index, word) in words.iter().enumerate() {
        let separator = match index {
            0 => "",
            _ if index + 1 == words.len() => " or ",
            _ => ", ",
        };
        // Writing to a string does not fail.
        let _ = write!(text, "{separator}{word}");
    }
    text
}

/// The closest of some words to one that was mistyped; none when none is close.
pub(super) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    const LENGTH_MAX: usize = 64;
    let typed: Vec<char> = word.to_lowercase().chars().take(LENGTH_MAX + 1).collect();
    if typed.len() > LENGTH_MAX {
        return None;
    }
    let most = (typed.len() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| (distance(&typed, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= most && *distance < candidate.chars().count())
        .min()
        .map(|(_, candidate)| candidate.to_string())
}

/// How many letters must be added, left out, changed or swapped with their neighbour.
fn distance(typed: &[char], candidate: &str) -> usize {
    let candidate: Vec<char> = candidate.chars().collect();
    let width = candidate.len() + 1;
    let mut rows = vec![vec![0usize; width]; typed.len() + 1];
    for (index, row) in rows.iter_mut().enumerate() {
        row[0] = index;
    }
    rows[0] = (0..width).collect();
    for row in 1..=typed.len() {
        for column in 1..width {
            let same = typed[row - 1] == candidate[column - 1];
            let mut best = (rows[row - 1][column - 1] + usize::from(!same))
                .min(rows[row - 1][column] + 1)
                .min(rows[row][column - 1] + 1);
            let is_swapped = row > 1
                && column > 1
                && typed[row - 1] == candidate[column - 2]
                && typed[row - 2] == candidate[column - 1];
            if is_swapped {
                best = best.min(rows[row - 2][column - 2] + 1);
            }
            rows[row][column] = best;
        }
    }
    rows[typed.len()][width - 1]
}
