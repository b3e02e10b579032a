//! Texts compared in any case without making new ones.

/// The text in lower case, letter by letter, as the functions below look at it.
pub(super) fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Whether `text` has `word` somewhere; `word` is in lower case.
pub(super) fn contains(text: &str, word: &str) -> bool {
    if word.is_ascii() {
        let (text, word) = (text.as_bytes(), word.as_bytes());
        return word.is_empty()
            || text
                .windows(word.len())
                .any(|window| window.eq_ignore_ascii_case(word));
    }
    text.char_indices()
        .any(|(index, _)| starts_with(&text[index..], word))
}

/// Whether `text` is `word`; `word` is in lower case.
pub(super) fn equals(text: &str, word: &str) -> bool {
    if word.is_ascii() {
        return text.eq_ignore_ascii_case(word);
    }
    text.chars().flat_map(char::to_lowercase).eq(word.chars())
}

/// Whether `name=value` has `word` somewhere; `word` is in lower case.
pub(super) fn occurs_in_label(name: &str, value: &str, word: &str) -> bool {
    if contains(name, word) || contains(value, word) {
        return true;
    }
    // What is left are words that reach over the sign between them.
    word.match_indices('=')
        .any(|(index, _)| ends_with(name, &word[..index]) && starts_with(value, &word[index + 1..]))
}

fn starts_with(text: &str, word: &str) -> bool {
    let mut lower = text.chars().flat_map(char::to_lowercase);
    word.chars().all(|wanted| lower.next() == Some(wanted))
}

fn ends_with(text: &str, word: &str) -> bool {
    let mut lower = text
        .chars()
        .rev()
        .flat_map(|character| character.to_lowercase().rev());
    word.chars().rev().all(|wanted| lower.next() == Some(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_word_is_found_where_the_lower_case_text_has_it(
            name in "[aAbBäÄß=]{0,5}", value in "[aAbBäÄß=]{0,5}", word in "[abäß=]{0,4}",
        ) {
            let whole = format!("{name}={value}").to_lowercase();
            prop_assert_eq!(contains(&whole, &word), whole.contains(&word));
            prop_assert_eq!(contains(&name, &word), name.to_lowercase().contains(&word));
            prop_assert_eq!(equals(&name, &word), name.to_lowercase() == word);
            prop_assert_eq!(occurs_in_label(&name, &value, &word), whole.contains(&word), "{} in {}", word, whole);
        }
    }
}
