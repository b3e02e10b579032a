//! Text for the clipboard of whoever sits at the terminal, however far away that is (OSC 52).

/// The most bytes that are copied: some terminals drop a longer sequence altogether.
pub(crate) const TEXT_BYTES_MAX: usize = 8 * 1024;

/// The sequence that asks the terminal to take a text. What is too long is cut.
pub(crate) fn sequence(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("\u{1b}]52;c;{}\u{7}", base64(&text.as_bytes()[..end]))
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for index in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * index)) as usize & 63];
            text.push(if index > chunk.len() {
                '='
            } else {
                char::from(letter)
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard() {
        for (plain, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_nothing_ends_the_sequence_early() {
        let sequence = sequence(&"漢\u{7}\u{1b}\\".repeat(5_000));
        assert!(sequence.len() <= TEXT_BYTES_MAX.div_ceil(3) * 4 + 8);
        let inner = &sequence[1..sequence.len() - 1];
        assert!(!inner.chars().any(char::is_control));
    }
}
