//! What was probably meant: the known word nearest to a mistyped one.

/// The one of `known` that is spelt most like `word`; `None` where none is alike.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let sorted = sorted_parts(word);
    let alike = |known: &str| distance(word, known).min(distance(&sorted, &sorted_parts(known)) + 1);
    let (distance, nearest) = known.into_iter().map(|k| (alike(k), k)).min_by_key(|(d, _)| *d)?;
    (distance <= nearest.len().max(3) / 3).then_some(nearest)
}

/// The parts of a word in alphabetical order: `pop_only_lan` and `pop_lan_only` have the same ones.
fn sorted_parts(word: &str) -> String {
    let mut parts: Vec<&str> = word.split(['_', '-']).collect();
    parts.sort_unstable();
    parts.join("_")
}

/// The Levenshtein distance: how many letters to change, add or remove.
fn distance(a: &str, b: &str) -> usize {
    // No known name is as long as this; the rest of an endless word need not be compared.
    let a: Vec<char> = a.chars().take(256).collect();
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (i, letter) in b.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(&a) {
            let above = *cell;
            left = (diagonal + usize::from(letter != *other)).min(above + 1).min(left + 1);
            diagonal = above;
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood_and_nonsense_is_not() {
        let known = ["hostname", "domains", "lan", "pop", "pop_lan_only"];
        for (word, meant) in [
            ("hostnam", Some("hostname")),
            ("hsotname", Some("hostname")),
            ("Domains", Some("domains")),
            ("poplanonly", Some("pop_lan_only")),
            ("pop-only-lan", Some("pop_lan_only")),
            ("lam", Some("lan")),
            ("password", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }
}
