//! Secrets inside a word.

use std::borrow::Cow;

use super::{MASK, is_name_character, is_secret};

/// The shortest run of letters and digits that may be a key or a token by its looks alone.
const BLOB_LENGTH_MIN: usize = 32;

/// Masks what may hide inside a word: passwords in URLs, pairs of name and value, and long random strings.
pub(super) fn mask_inside(word: &str) -> String {
    let word = mask_urls(word);
    let word = mask_pairs(&word);
    mask_blobs(&word).into_owned()
}

/// `scheme://user:SECRET@host`, also where the secret has a slash in it.
fn mask_urls(text: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("://").map(|index| index + 3) {
        masked.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(['/', '?', '#', '"', '\'', ',']).unwrap_or(rest.len());
        let authority = &rest[..end];
        let colon = authority.find(':');
        let is_port = |after: &str| !after.is_empty() && after.bytes().all(|byte| byte.is_ascii_digit());
        let at = match (authority.rfind('@'), colon) {
            (Some(at), _) => Some(at),
            (None, Some(colon)) if !is_port(&authority[colon + 1..]) => rest.rfind('@'),
            _ => None,
        };
        let Some(at) = at else { continue };
        match colon.filter(|colon| *colon < at) {
            Some(colon) => masked.extend([&rest[..=colon], MASK]),
            // A name of this length is a token.
            None if at >= 20 => masked.push_str(MASK),
            None => masked.push_str(&rest[..at]),
        }
        rest = &rest[at..];
    }
    if masked.is_empty() {
        return Cow::Borrowed(text);
    }
    masked.push_str(rest);
    Cow::Owned(masked)
}

/// `name=SECRET` and `"name":"SECRET"` in query strings, connection strings and JSON.
fn mask_pairs(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(separator) = rest.find(['=', ':']) {
        let before = rest[..separator].trim_end_matches(['"', '\'', '\\']);
        let start = before
            .rfind(|character| !is_name_character(character))
            .map_or(0, |index| {
                index + before[index..].chars().next().map_or(1, char::len_utf8)
            });
        let value = &rest[separator + 1..];
        masked.push_str(&rest[..=separator]);
        rest = value;
        if value.starts_with("//") || value.starts_with(MASK) || !is_secret(&before[start..]) {
            continue;
        }
        let opening = value.len() - value.trim_start_matches([' ', '"', '\'', '\\']).len();
        let ends: &[char] = if opening > 0 {
            &['"', '\'']
        } else {
            &['&', ';', '"', '\'']
        };
        let end = value[opening..]
            .find(ends)
            .map_or(value.len(), |index| opening + index);
        masked.push_str(&value[..opening]);
        masked.push_str(MASK);
        rest = &value[end..];
    }
    masked.push_str(rest);
    masked
}

/// Runs of characters that only a machine makes: hexadecimal digits, and base64.
fn mask_blobs(text: &str) -> Cow<'_, str> {
    if text.len() < BLOB_LENGTH_MIN {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    for run in split_runs(text, |character| {
        character.is_ascii_alphanumeric() || "+/_-".contains(character)
    }) {
        if is_base64(run) {
            masked.push_str(MASK);
            continue;
        }
        for part in split_runs(run, |character| character.is_ascii_alphanumeric()) {
            masked.push_str(if is_hexadecimal(part) { MASK } else { part });
        }
    }
    Cow::Owned(masked)
}

/// The text in pieces, each wholly of characters that belong or wholly of those that do not.
fn split_runs(text: &str, belongs: impl Fn(char) -> bool) -> Vec<&str> {
    let mut runs = Vec::new();
    let mut start = 0;
    let mut last = None;
    for (index, character) in text.char_indices() {
        let now = belongs(character);
        if last.is_some_and(|last| last != now) {
            runs.push(&text[start..index]);
            start = index;
        }
        last = Some(now);
    }
    runs.push(&text[start..]);
    runs
}

fn is_hexadecimal(run: &str) -> bool {
    let bytes = run.as_bytes();
    bytes.len() >= BLOB_LENGTH_MIN
        && bytes.iter().all(u8::is_ascii_hexdigit)
        && bytes.iter().any(u8::is_ascii_digit)
        && bytes.iter().any(u8::is_ascii_alphabetic)
}

/// Random text changes between upper case, lower case and digits two times out of three; words and paths seldom do.
fn is_base64(run: &str) -> bool {
    let kind = |byte: &u8| match byte {
        b'0'..=b'9' => Some(0u8),
        b'A'..=b'Z' => Some(1),
        b'a'..=b'z' => Some(2),
        _ => None,
    };
    let kinds: Vec<Option<u8>> = run.as_bytes().iter().map(kind).collect();
    if run.len() < BLOB_LENGTH_MIN || (0..3).any(|wanted| !kinds.contains(&Some(wanted))) {
        return false;
    }
    let pairs = || kinds.windows(2).filter_map(|pair| pair[0].zip(pair[1]));
    let changes = pairs().filter(|(left, right)| left != right).count();
    changes * 5 >= pairs().count() * 2
}
