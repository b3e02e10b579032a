//! Numbers of variable length, written and read. Reading never trusts: what is wrong is [`Corrupt`], never a panic.

use thiserror::Error;

/// Stored bytes that are not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0} of a stored block is damaged")]
pub(crate) struct Corrupt(pub(crate) &'static str);

/// Appends a number in groups of seven bits, lowest first.
pub(crate) fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Appends a number that may be negative: small ones of either sign are short.
pub(crate) fn put_signed(bytes: &mut Vec<u8>, value: i64) {
    put(bytes, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Appends a length and so many bytes.
pub(crate) fn put_part(bytes: &mut Vec<u8>, part: &[u8]) {
    put(bytes, part.len() as u64);
    bytes.extend_from_slice(part);
}

/// Appends a checksum of everything so far.
pub(crate) fn seal(bytes: &mut Vec<u8>) {
    let checksum = crc32fast::hash(bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
}

/// Checks and takes off the checksum.
pub(crate) fn unseal(bytes: &[u8]) -> Result<&[u8], Corrupt> {
    let (content, checksum) = bytes.split_last_chunk::<4>().ok_or(Corrupt("the checksum"))?;
    if crc32fast::hash(content) == u32::from_le_bytes(*checksum) {
        Ok(content)
    } else {
        Err(Corrupt("the checksum"))
    }
}

/// Reads from the front.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Corrupt> {
        let (first, rest) = self.0.split_first().ok_or(Corrupt("the end"))?;
        self.0 = rest;
        Ok(*first)
    }

    #[inline]
    pub(crate) fn number(&mut self) -> Result<u64, Corrupt> {
        // Most numbers are short.
        match *self.0 {
            [first, ref rest @ ..] if first < 0x80 => {
                self.0 = rest;
                Ok(u64::from(first))
            }
            [first, second, ref rest @ ..] if second < 0x80 => {
                self.0 = rest;
                Ok(u64::from(first & 0x7f) | u64::from(second) << 7)
            }
            _ => self.long_number(),
        }
    }

    fn long_number(&mut self) -> Result<u64, Corrupt> {
        // Up to eight bytes at once: the first without its highest bit is the last of the number, and groups of seven
        // bits move together in three steps.
        if let Some(word) = self.0.first_chunk::<8>() {
            let word = u64::from_le_bytes(*word);
            let ends = !word & 0x8080_8080_8080_8080;
            if ends != 0 {
                let bits = word & (ends ^ (ends - 1));
                let bits = bits & 0x007f_007f_007f_007f | (bits & 0x7f00_7f00_7f00_7f00) >> 1;
                let bits = bits & 0x0000_3fff_0000_3fff | (bits & 0x3fff_0000_3fff_0000) >> 2;
                let bits = bits & 0x0fff_ffff | (bits & 0x0fff_ffff_0000_0000) >> 4;
                self.0 = &self.0[ends.trailing_zeros() as usize / 8 + 1..];
                return Ok(bits);
            }
        }
        let mut value = 0u64;
        for (index, byte) in self.0.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.0 = &self.0[index + 1..];
                return Ok(value);
            }
        }
        Err(Corrupt("a number"))
    }

    #[inline]
    pub(crate) fn signed(&mut self) -> Result<i64, Corrupt> {
        let value = self.number()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    /// A number that counts things, of which there are at most `most`.
    pub(crate) fn count(&mut self, most: usize) -> Result<usize, Corrupt> {
        usize::try_from(self.number()?)
            .ok()
            .filter(|count| *count <= most)
            .ok_or(Corrupt("a count"))
    }

    pub(crate) fn part(&mut self) -> Result<&'a [u8], Corrupt> {
        let length = self.count(self.0.len())?;
        let (part, rest) = self.0.split_at_checked(length).ok_or(Corrupt("a length"))?;
        self.0 = rest;
        Ok(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_of_every_length_come_back_wherever_they_lie(
            values in prop::collection::vec((any::<u64>(), 0u32..64), 1..40),
        ) {
            let values: Vec<u64> = values.into_iter().map(|(value, shift)| value >> shift).collect();
            let mut bytes = Vec::new();
            for value in &values {
                put(&mut bytes, *value);
            }
            let mut reader = Reader(&bytes);
            for value in &values {
                prop_assert_eq!(reader.number().unwrap(), *value);
            }
            prop_assert!(reader.is_empty() && reader.number().is_err());
        }
    }
}
