//! Words side by side, as a terminal shows them after the tab key.

use super::width;

/// The candidates for `word` as they are listed: of paths only the part up to the next dot, each once.
pub fn parts(candidates: &[String], word: &str) -> Vec<String> {
    let part = |candidate: &String| {
        let rest = candidate.get(word.len()..).unwrap_or_default();
        let end = rest.find('.').map_or(candidate.len(), |dot| word.len() + dot + 1);
        candidate.get(..end).unwrap_or(candidate).to_owned()
    };
    let mut parts: Vec<String> = candidates.iter().map(part).collect();
    parts.dedup();
    parts
}

/// The words in columns, downwards first, in lines of at most so many columns unless a word alone is longer.
pub fn columns(words: &[String], across: usize) -> String {
    const GAP: usize = 2;
    let widest = words.iter().map(|word| width::of_text(word)).max().unwrap_or_default();
    let across = ((across + GAP) / (widest + GAP)).max(1);
    let rows = words.len().div_ceil(across).max(1);
    let line = |row: usize| {
        let cells = words.iter().skip(row).step_by(rows);
        let cells: String = cells.map(|word| width::padded(word, widest + GAP)).collect();
        cells.trim_end().to_owned()
    };
    (0..rows).map(line).collect::<Vec<_>>().join("\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    /// Catches: a word that breaks at the edge of the screen, and one that is left out.
    #[test]
    fn words_stand_in_columns_that_fit() {
        assert_eq!(columns(&words("a bb ccc d e"), 9), "a    d\r\nbb   e\r\nccc");
        assert_eq!(columns(&words("a bb"), 1), "a\r\nbb");
        assert_eq!(columns(&words("a bb"), 80), "a   bb");
        let many: Vec<String> = (0..100).map(|n| format!("account.{n}")).collect();
        let shown = columns(&many, 80);
        assert!(shown.lines().all(|line| line.len() <= 80));
        assert!(many.iter().all(|word| shown.split_whitespace().any(|shown| shown == word)));
    }

    /// Catches: a hundred paths where a few parts are to be chosen from.
    #[test]
    fn paths_are_listed_part_by_part() {
        let all = words("account.ann.imap account.ann.pop account.bob.pop");
        assert_eq!(parts(&all, "account."), words("account.ann. account.bob."));
        assert_eq!(parts(&all[..2], "account.ann."), words("account.ann.imap account.ann.pop"));
        assert_eq!(parts(&words("set show"), "s"), words("set show"));
    }
}
