//! Names with `*` in them.

/// Whether a name matches a pattern in which `*` stands for any run of characters, none included. There is no escape:
/// what matches literally is everything else. Takes at most the product of both lengths.
#[must_use]
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut position) = (0, 0);
    // Where the last star was, and up to where it has eaten.
    let mut star: Option<(usize, usize)> = None;
    while position < name.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, position));
            at += 1;
        } else if pattern.get(at) == Some(&name[position]) {
            at += 1;
            position += 1;
        } else if let Some((star_at, eaten)) = star {
            star = Some((star_at, eaten + 1));
            at = star_at + 1;
            position = eaten + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// Whether a name matches one of the patterns.
pub(super) fn any(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_and_nothing_else_is_special() {
        for (pattern, name, expected) in [
            ("/snap/*", "/snap/core/1", true),
            ("/snap/*", "/snap", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("eth*", "eth0", true),
            ("*0", "eth0", true),
            ("e*h*0", "eth10", true),
            ("e*h*1", "eth10", false),
            ("a*b", "ab", true),
            ("a?c", "abc", false),
            ("[a]", "a", false),
            ("näs*", "näs1", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern:?} {name:?}");
        }
    }
}
