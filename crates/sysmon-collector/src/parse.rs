//! Reading the kernel's text files: bytes in, numbers out, no allocation, no panic on anything.

/// The lines of a file, without their ends.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// The words of a line, separated by blanks and tabs.
pub(crate) fn words(line: &[u8]) -> Words<'_> {
    Words { rest: line }
}

/// Iterator of [`words`].
#[derive(Clone, Debug)]
pub(crate) struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.rest.iter().position(|byte| !is_blank(*byte))?;
        let rest = &self.rest[start..];
        let end = rest.iter().position(|byte| is_blank(*byte)).unwrap_or(rest.len());
        self.rest = &rest[end..];
        Some(&rest[..end])
    }
}

impl Words<'_> {
    /// The next word as a number; `None` at the end of the line and for anything else.
    pub(crate) fn number(&mut self) -> Option<u64> {
        number(self.next()?)
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// A whole decimal number; `None` when there is anything but digits or it exceeds 64 bits.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            None
        } else {
            value.checked_mul(10)?.checked_add(u64::from(digit))
        }
    })
}

/// A decimal number with an optional fraction, such as `0.28`.
pub(crate) fn decimal(digits: &[u8]) -> Option<f64> {
    std::str::from_utf8(digits)
        .ok()?
        .parse::<f64>()
        .ok()
        .filter(|value| value.is_finite())
}

/// What follows `key` in the first line that begins with it.
pub(crate) fn after_key<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    lines(text).find_map(|line| line.strip_prefix(key))
}

/// A text file's single value, without the white space around it.
pub(crate) fn trimmed(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_split_at_any_run_of_blanks() {
        let found: Vec<_> = words(b"  a\t bb  ").collect();
        assert_eq!(found, [&b"a"[..], b"bb"]);
    }

    #[test]
    fn what_is_not_wholly_a_number_is_none() {
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        for bad in [
            &b""[..],
            b"18446744073709551616",
            b"-1",
            b"1 ",
            b"0x1",
            b"1.5",
            "\u{664}".as_bytes(),
        ] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
        assert_eq!(decimal(b"0.28"), Some(0.28));
        for bad in [&b"nan"[..], b"inf", b"", b"\xff"] {
            assert_eq!(decimal(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_number_is_read_back(value in any::<u64>()) {
            prop_assert_eq!(number(value.to_string().as_bytes()), Some(value));
        }

        #[test]
        fn any_bytes_are_split_without_a_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let joined: usize = lines(&text).flat_map(words).map(<[u8]>::len).sum();
            prop_assert!(joined <= text.len());
            let _ = after_key(&text, b"cpu");
        }
    }
}
