//! Who a machine is, and which life of its collector is speaking.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a text cannot be an identity.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// Nothing was given.
    #[error("machine id is empty; give 1 to 128 letters, digits, '-', '_', '.' or ':'")]
    Empty,
    /// More than 128 characters.
    #[error("machine id has {0} characters; at most 128 are allowed")]
    TooLong(usize),
    /// A character outside the allowed set.
    #[error("machine id contains {0:?}; use letters, digits, '-', '_', '.' or ':'")]
    Character(char),
    /// An epoch that is not 16 bytes.
    #[error("epoch has {0} bytes; send exactly 16 random bytes")]
    EpochLength(usize),
}

/// The stable name of one machine: 1 to 128 ASCII letters, digits, `-`, `_`, `.` or `:`.
///
/// The set is narrow on purpose: an id goes into URLs, keys, file names and terminals unescaped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MachineId(Arc<str>);

impl MachineId {
    /// Checks and takes an id.
    ///
    /// # Errors
    /// [`IdentityError`] when the text is empty, too long or has a character outside the set.
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        if text.is_empty() {
            return Err(IdentityError::Empty);
        }
        let count = text.chars().count();
        if count > 128 {
            return Err(IdentityError::TooLong(count));
        }
        match text
            .chars()
            .find(|character| !(character.is_ascii_alphanumeric() || "-_.:".contains(*character)))
        {
            Some(character) => Err(IdentityError::Character(character)),
            None => Ok(Self(text.into())),
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for MachineId {
    type Error = IdentityError;

    fn try_from(text: String) -> Result<Self, IdentityError> {
        Self::parse(&text)
    }
}

impl From<MachineId> for String {
    fn from(id: MachineId) -> Self {
        id.0.as_ref().into()
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One life of a collector's numbering: a random 128-bit id, never ordered. Sequences inside it are dense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub [u8; 16]);

impl Epoch {
    /// Takes the bytes of a message.
    ///
    /// # Errors
    /// [`IdentityError::EpochLength`] when there are not exactly 16.
    pub fn parse(bytes: &[u8]) -> Result<Self, IdentityError> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| IdentityError::EpochLength(bytes.len()))
    }
}

impl fmt::Display for Epoch {
    /// 32 hexadecimal digits.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_break_a_path_or_a_terminal_are_refused() {
        for bad in ["", "a b", "a/b", "\u{1b}[31m", "näs", "a\n", &"x".repeat(129)] {
            assert!(MachineId::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            MachineId::parse("web-01.dc2:rack_7").unwrap().as_str(),
            "web-01.dc2:rack_7"
        );
    }
}
