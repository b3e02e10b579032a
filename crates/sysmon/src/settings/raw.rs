//! A value before it is parsed, whatever it came from.

use std::fmt;
use std::path::PathBuf;

/// What a file, a variable or a flag says.
#[derive(Clone, PartialEq, Eq)]
pub enum Raw {
    /// One text.
    Text(String),
    /// Several `name=value` texts.
    Pairs(Vec<String>),
    /// The file that holds a secret. It is read by the role that needs it: the others may not be allowed to.
    SecretFile(PathBuf),
}

impl fmt::Debug for Raw {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whether it is a secret is not known here.
        formatter.write_str("Raw")
    }
}

impl Raw {
    /// The `name=value` texts; a single text is cut at its commas.
    #[must_use]
    pub fn pairs(&self) -> Vec<&str> {
        match self {
            Self::Pairs(pairs) => pairs.iter().map(String::as_str).collect(),
            Self::SecretFile(_) => Vec::new(),
            Self::Text(text) => text
                .split(',')
                .map(str::trim)
                .filter(|pair| !pair.is_empty())
                .collect(),
        }
    }
}
