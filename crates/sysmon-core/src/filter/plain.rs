//! The plain-text filter over machines: every word must occur somewhere.

/// Words that must all occur, in any case, in at least one of a machine's texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextFilter {
    words: Vec<String>,
}

impl TextFilter {
    /// The filter of what a person typed; empty text matches everything.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self {
            words: text.split_whitespace().map(str::to_lowercase).collect(),
        }
    }

    /// Whether every word occurs in one of the texts (id, hostname, `name=value` of the labels).
    #[must_use]
    pub fn matches<'a>(&self, texts: impl Iterator<Item = &'a str> + Clone) -> bool {
        self.words
            .iter()
            .all(|word| texts.clone().any(|text| text.to_lowercase().contains(word)))
    }

    /// Whether everything matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_words_must_occur_in_any_order_and_case() {
        let texts = ["web-01", "WEB-01.example", "role=frontend"];
        for (filter, expected) in [
            ("", true),
            ("web", true),
            ("FRONT web", true),
            ("web db", false),
            ("role=front", true),
        ] {
            assert_eq!(
                TextFilter::parse(filter).matches(texts.iter().copied()),
                expected,
                "{filter}"
            );
        }
    }
}
