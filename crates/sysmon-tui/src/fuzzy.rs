//! Matching what somebody types against what there is, forgivingly.

/// How well `pattern` matches `text`, larger is better, and which characters of `text` it met; `None` when it does not.
///
/// All characters of the pattern occur in the text in their order, capitals or not. A match at the beginning, at the
/// beginning of a word, and right behind the last one count for more.
#[must_use]
pub(crate) fn matched(pattern: &str, text: &str) -> Option<(i32, Vec<usize>)> {
    let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    let pattern: Vec<char> = pattern
        .chars()
        .filter(|c| !c.is_whitespace())
        .flat_map(char::to_lowercase)
        .collect();
    if pattern.len() > text.len() {
        return None;
    }
    // From every place where the first character stands: the best of them. Names are short, so this is cheap.
    let starts = (0..text.len()).filter(|start| pattern.first().is_none_or(|first| text[*start] == *first));
    let best = starts
        .filter_map(|start| follow(&pattern, &text, start))
        .max_by_key(|(score, places)| (*score, std::cmp::Reverse(places.first().copied())));
    if pattern.is_empty() {
        return Some((0, Vec::new()));
    }
    best
}

/// The match whose first character is at `start`: each next one at the beginning of a word when it can be.
fn follow(pattern: &[char], text: &[char], start: usize) -> Option<(i32, Vec<usize>)> {
    let is_word_start = |at: usize| at == 0 || !text[at - 1].is_alphanumeric();
    let (mut score, mut places) = (0, Vec::with_capacity(pattern.len()));
    let mut from = start;
    for (index, wanted) in pattern.iter().enumerate() {
        let mut here = (from..text.len()).filter(|at| text[*at] == *wanted);
        let at = if index == 0 || text.get(from) == Some(wanted) {
            from
        } else {
            let first = here.next()?;
            std::iter::once(first)
                .chain(here)
                .find(|at| is_word_start(*at))
                .unwrap_or(first)
        };
        score += match (at == 0, is_word_start(at), index > 0 && at == from) {
            (true, _, _) => 12,
            (_, true, _) => 8,
            (_, _, true) => 6,
            _ => 1,
        };
        score -= i32::try_from((at - from).min(8)).unwrap_or(8);
        places.push(at);
        from = at + 1;
    }
    // Of two that match alike the shorter one was more likely meant.
    score -= i32::try_from(text.len().saturating_sub(pattern.len()) / 4).unwrap_or(0);
    Some((score, places))
}

/// How many letters must be changed, swapped, added or taken away, when it is few enough to be a slip.
#[must_use]
pub(crate) fn distance(typed: &str, known: &str) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (typed.chars().collect(), known.chars().collect());
    let most = b.len() / 3 + 1;
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    Some(rows[a.len()][b.len()]).filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best<'a>(pattern: &str, all: &[&'a str]) -> Option<&'a str> {
        let scored = all
            .iter()
            .filter_map(|text| Some((matched(pattern, text)?.0, *text)));
        scored.max_by_key(|(score, _)| *score).map(|(_, text)| text)
    }

    #[test]
    fn what_was_likely_meant_is_first() {
        let all = [
            "next-machine",
            "view-alerts",
            "half-page-down",
            "theme",
            "threshold",
            "help",
        ];
        assert_eq!(best("th", &all), Some("theme"));
        assert_eq!(best("thr", &all), Some("threshold"));
        assert_eq!(best("hpd", &all), Some("half-page-down"));
        assert_eq!(best("va", &all), Some("view-alerts"));
        assert_eq!(best("HELP", &all), Some("help"));
        assert_eq!(best("nm", &all), Some("next-machine"));
        assert_eq!(best("xyz", &all), None);
    }

    #[test]
    fn the_places_are_those_of_the_letters() {
        assert_eq!(
            matched("va", "view-alerts").map(|(_, places)| places),
            Some(vec![0, 5])
        );
        assert_eq!(matched("", "view"), Some((0, Vec::new())));
    }

    #[test]
    fn a_slip_is_near_and_another_word_is_not() {
        assert_eq!(distance("detials", "details"), Some(1));
        assert_eq!(distance("hlep", "help"), Some(1));
        assert_eq!(distance("open", "acknowledge"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it(pattern in "\\PC{0,12}", text in "\\PC{0,40}") {
            if let Some((_, places)) = matched(&pattern, &text) {
                proptest::prop_assert!(places.windows(2).all(|pair| pair[0] < pair[1]));
            }
            let _ = distance(&pattern, &text);
        }
    }
}
