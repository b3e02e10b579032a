//! A value before it is parsed, whatever it came from.

/// What a file, a variable or a flag says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Raw {
    /// One text.
    Text(String),
    /// Several `name=value` texts.
    Pairs(Vec<String>),
}

impl Raw {
    /// The `name=value` texts; a single text is cut at its commas.
    #[must_use]
    pub fn pairs(&self) -> Vec<&str> {
        match self {
            Self::Pairs(pairs) => pairs.iter().map(String::as_str).collect(),
            Self::Text(text) => text
                .split(',')
                .map(str::trim)
                .filter(|pair| !pair.is_empty())
                .collect(),
        }
    }
}
