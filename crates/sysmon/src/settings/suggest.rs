//! "Did you mean": the nearest known name within a typing mistake or two.

/// The known name that `given` was most likely meant to be.
pub(crate) fn nearest(given: &str, known: impl IntoIterator<Item = String>) -> Option<String> {
    let given = given.to_lowercase();
    // A third of the word may be wrong: short words allow one mistake, long ones several.
    let limit = (given.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|name| (distance(&given, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// Insertions, deletions and replacements between two words (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_mistake_finds_its_word_and_another_word_finds_none() {
        let known = || ["interval", "labels", "listen"].map(String::from);
        assert_eq!(nearest("intervall", known()).as_deref(), Some("interval"));
        assert_eq!(nearest("LABLES", known()).as_deref(), Some("labels"));
        assert_eq!(nearest("database", known()), None);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
