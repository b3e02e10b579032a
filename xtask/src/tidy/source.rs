//! Just enough of Rust's lexical structure to look at source text without being fooled by strings and comments.

use std::ops::Range;

/// The text with every comment and every string, byte and character literal blanked out.
///
/// Each blanked byte becomes a space and line breaks stay, so offsets and line numbers are those of the original.
pub(crate) fn code_only(text: &str) -> String {
    let mut lexer = Lexer {
        bytes: text.as_bytes(),
        at: 0,
        out: Vec::with_capacity(text.len()),
    };
    lexer.run();
    // Only whole characters are copied and only spaces replace the rest, so this is never lossy.
    String::from_utf8_lossy(&lexer.out).into_owned()
}

/// The number of the line, counted from 1, in which the byte at `offset` stands.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset]
        .iter()
        .filter(|&&byte| byte == b'\n')
        .count()
        + 1
}

/// The offset of the bracket that closes the one at `open`, in text from [`code_only`].
pub(crate) fn closing(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(offset);
                }
            }
            _ => {}
        }
    }
    None
}

/// The offset of the bracket that the one at `close` closes, in text from [`code_only`].
pub(crate) fn opening(code: &str, close: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, &byte) in code.as_bytes()[..=close].iter().enumerate().rev() {
        match byte {
            b')' | b']' | b'}' => depth += 1,
            b'(' | b'[' | b'{' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(offset);
                }
            }
            _ => {}
        }
    }
    None
}

/// Every place where `word` stands by itself, not as a part of a longer identifier.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(word)
        .map(|(start, found)| start..start + found.len())
        .filter(move |range| {
            let before = range
                .start
                .checked_sub(1)
                .is_some_and(|index| is_word(bytes[index]));
            let after = bytes.get(range.end).is_some_and(|&byte| is_word(byte));
            !before && !after
        })
}

/// Whether the byte can be part of an identifier; every byte of a non-ASCII character counts as one.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    out: Vec<u8>,
}

impl Lexer<'_> {
    fn run(&mut self) {
        while let Some(byte) = self.peek(0) {
            match byte {
                b'/' if self.peek(1) == Some(b'/') => self.line_comment(),
                b'/' if self.peek(1) == Some(b'*') => self.block_comment(),
                b'"' => self.string(),
                b'\'' => self.quote(),
                _ if is_word(byte) => self.word(),
                _ => self.keep(1),
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn keep(&mut self, count: usize) {
        let end = (self.at + count).min(self.bytes.len());
        self.out.extend_from_slice(&self.bytes[self.at..end]);
        self.at = end;
    }

    fn blank(&mut self, count: usize) {
        let end = (self.at + count).min(self.bytes.len());
        self.out.extend(
            self.bytes[self.at..end]
                .iter()
                .map(|&byte| if byte == b'\n' { b'\n' } else { b' ' }),
        );
        self.at = end;
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|byte| byte != b'\n') {
            self.blank(1);
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        while self.at < self.bytes.len() {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => {
                    depth += 1;
                    self.blank(2);
                }
                (Some(b'*'), Some(b'/')) => {
                    depth -= 1;
                    self.blank(2);
                    if depth == 0 {
                        return;
                    }
                }
                _ => self.blank(1),
            }
        }
    }

    /// From the opening quote to the closing one; a backslash takes the next byte with it.
    fn string(&mut self) {
        self.delimited(b'"');
    }

    fn delimited(&mut self, quote: u8) {
        self.blank(1);
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\\' => self.blank(2),
                _ if byte == quote => return self.blank(1),
                _ => self.blank(1),
            }
        }
    }

    /// A character literal is blanked; the quote of a lifetime or a label is kept.
    fn quote(&mut self) {
        let rest = &self.bytes[self.at + 1..];
        let Some(&first) = rest.first() else {
            return self.keep(1);
        };
        let width = match first {
            0xF0.. => 4,
            0xE0..=0xEF => 3,
            0xC0..=0xDF => 2,
            _ => 1,
        };
        if first == b'\\' || rest.get(width) == Some(&b'\'') {
            self.delimited(b'\'');
        } else {
            self.keep(1);
        }
    }

    /// An identifier, a number, or the prefix of a literal (`b"…"`, `r#"…"#`, `c"…"`).
    fn word(&mut self) {
        let length = self.bytes[self.at..]
            .iter()
            .take_while(|&&byte| is_word(byte))
            .count();
        let word = &self.bytes[self.at..self.at + length];
        let is_raw = matches!(word, b"r" | b"br" | b"cr");
        let is_prefix = matches!(word, b"b" | b"c");
        self.keep(length);
        if is_raw {
            let hashes = self.bytes[self.at..]
                .iter()
                .take_while(|&&byte| byte == b'#')
                .count();
            if self.peek(hashes) == Some(b'"') {
                self.raw_string(hashes);
            }
        } else if is_prefix && self.peek(0) == Some(b'"') {
            self.string();
        } else if is_prefix && self.peek(0) == Some(b'\'') {
            self.quote();
        }
    }

    fn raw_string(&mut self, hashes: usize) {
        self.blank(hashes + 1);
        while self.at < self.bytes.len() {
            let ends = self.peek(0) == Some(b'"') && (1..=hashes).all(|ahead| self.peek(ahead) == Some(b'#'));
            if ends {
                return self.blank(hashes + 1);
            }
            self.blank(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code with runs of blanks as one, so that the expectations stay readable.
    fn squeezed(text: &str) -> String {
        code_only(text).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_are_blanked_also_when_nested() {
        assert_eq!(squeezed("a // fn x() {\nb /* { /* } */ fn */ c"), "a b c");
    }

    #[test]
    fn every_kind_of_string_is_blanked() {
        let text = r####"f("}\"{", b"{", r"\", r#"fn "{" x"#, br##"}"#}"##, c"{", 1)"####;
        assert_eq!(squeezed(text), "f( , b , r , r , br , c , 1)");
    }

    #[test]
    fn character_literals_are_blanked_and_lifetimes_are_kept() {
        let text = r"fn f<'a>(x: &'a str) { m('{', '\'', '\\', b'}', 'é', '𝄞'); 'outer: loop {} }";
        assert_eq!(
            squeezed(text),
            "fn f<'a>(x: &'a str) { m( , , , b , , ); 'outer: loop {} }"
        );
    }

    #[test]
    fn raw_identifiers_are_no_strings() {
        assert_eq!(squeezed("fn r#type() {}"), "fn r#type() {}");
    }

    #[test]
    fn offsets_and_lines_stay_those_of_the_original() {
        let text = "let a = \"é\n\";\nlet b = 1;";
        let code = code_only(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(line_of(&code, code.find("let b").unwrap()), 3);
    }

    #[test]
    fn unfinished_text_ends_the_scan_without_a_panic() {
        for text in ["\"abc\\", "/* a /* b */", "r#\"abc\"", "'", "b'", "'\\", "// end"] {
            assert_eq!(code_only(text).len(), text.len(), "{text:?}");
        }
    }

    #[test]
    fn brackets_are_matched_in_both_directions() {
        let code = "a { ( [ ] ) { } } b";
        assert_eq!(closing(code, 2), Some(16));
        assert_eq!(opening(code, 16), Some(2));
        assert_eq!(closing("{ (", 0), None);
        assert_eq!(opening("} )", 2), None);
    }

    #[test]
    fn words_are_not_found_inside_identifiers() {
        let found: Vec<_> = words("fn fnord() { a_fn; fn_ } fn", "fn").collect();
        assert_eq!(found, [0..2, 25..27]);
    }
}
