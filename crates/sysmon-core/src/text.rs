//! Text from afar: made harmless, measured in terminal cells, and put in order.

use std::borrow::Cow;
use std::cmp::Ordering;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether a text holds nothing that a terminal would act on.
#[must_use]
pub fn is_clean(text: &str) -> bool {
    !text.chars().any(is_hostile)
}

/// The text with every control character, bidirectional override and line separator replaced by `�`, so that a remote
/// name can neither move the cursor nor turn a line around.
#[must_use]
pub fn sanitize(text: &str) -> Cow<'_, str> {
    if is_clean(text) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        text.chars()
            .map(|character| {
                if is_hostile(character) {
                    '\u{fffd}'
                } else {
                    character
                }
            })
            .collect(),
    )
}

fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Cells that a text takes in a terminal; wide characters count two.
#[must_use]
pub fn display_width(text: &str) -> usize {
    text.width()
}

/// The text cut to at most `cells`, with `…` at the end when something was cut. Never splits a wide character.
#[must_use]
pub fn clip(text: &str, cells: usize) -> Cow<'_, str> {
    if display_width(text) <= cells {
        return Cow::Borrowed(text);
    }
    let Some(room) = cells.checked_sub(1) else {
        return Cow::Borrowed("");
    };
    let mut taken = 0;
    let mut end = 0;
    for (index, character) in text.char_indices() {
        let width = character.width().unwrap_or(0);
        if taken + width > room {
            break;
        }
        taken += width;
        end = index + character.len_utf8();
    }
    Cow::Owned(format!("{}…", &text[..end]))
}

/// Names in the order that people expect: `web-2` before `web-10`.
#[must_use]
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    loop {
        let (Some(x), Some(y)) = (left.first(), right.first()) else {
            // One begins with the other, or they differ in case or leading zeros alone.
            return left.len().cmp(&right.len()).then_with(|| a.cmp(b));
        };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let ((number, rest), (other, other_rest)) = (digits(left), digits(right));
            match number.len().cmp(&other.len()).then_with(|| number.cmp(other)) {
                Ordering::Equal => (left, right) = (rest, other_rest),
                unequal => return unequal,
            }
        } else {
            match x.to_ascii_lowercase().cmp(&y.to_ascii_lowercase()) {
                Ordering::Equal => (left, right) = (&left[1..], &right[1..]),
                unequal => return unequal,
            }
        }
    }
}

/// The number that a text begins with, without leading zeros, and what follows.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let start = number.iter().position(|byte| *byte != b'0').unwrap_or(end);
    (&number[start..], rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_comes_in_is_clean_and_fits(text in "\\PC*|.*", cells in 0usize..40) {
            let clean = sanitize(&text);
            prop_assert!(is_clean(&clean));
            prop_assert!(display_width(&clip(&clean, cells)) <= cells);
        }
    }

    #[test]
    fn escape_sequences_and_overrides_are_disarmed() {
        assert_eq!(
            sanitize("a\u{1b}[2Jb\u{202e}c\u{9b}d\r\n"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\u{fffd}\u{fffd}"
        );
        assert_eq!(sanitize("naïve 漢字"), "naïve 漢字");
    }

    #[test]
    fn a_wide_character_is_not_split() {
        assert_eq!(clip("漢字漢字", 6), "漢字…");
        assert_eq!(clip("abc", 3), "abc");
    }

    #[test]
    fn names_sort_as_people_count() {
        let mut names = [
            "web-10", "web-2", "db", "Web-3", "web", "web-002", "web-02", "web-2a",
        ];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(
            names,
            [
                "db", "web", "web-002", "web-02", "web-2", "web-2a", "Web-3", "web-10"
            ]
        );
    }
}
