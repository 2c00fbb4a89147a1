//! `log follow`: lines of a device's log as they come, until Control-C.

use std::time::Duration;

use crate::board::Board;

/// How often it is looked for more.
const LOOK: Duration = Duration::from_millis(500);
/// Lines of before that are shown first.
const BEFORE: usize = 10;

/// Tells the latest lines, and then each that comes.
pub(super) async fn follow(board: &Board, tell: &dyn Fn(String)) {
    let mut seen = board.log();
    let lines: Vec<&str> = seen.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(BEFORE)).for_each(|line| tell((*line).to_owned()));
    loop {
        async_io::Timer::after(LOOK).await;
        let now = board.log();
        if now != seen {
            appended(&seen, &now).lines().for_each(|line| tell(line.to_owned()));
            seen = now;
        }
    }
}

/// What of `now` was not in `before`: both are the last whole lines of one text, which has grown.
fn appended<'a>(before: &str, now: &'a str) -> &'a str {
    let starts = before.match_indices('\n').map(|(at, _)| at + 1);
    for start in std::iter::once(0).chain(starts) {
        if let Some(new) = before.get(start..).and_then(|rest| now.strip_prefix(rest)) {
            return new;
        }
    }
    now
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a line that is told twice or never, also when older ones go and lines are alike.
    #[test]
    fn each_line_is_told_once() {
        for (before, now, new) in [
            ("", "a\n", "a\n"),
            ("a\n", "a\n", ""),
            ("a\n", "a\nb\n", "b\n"),
            ("a\nb\n", "b\nc\n", "c\n"),
            ("a\na\n", "a\na\na\n", "a\n"),
            ("a\nb\n", "c\nd\n", "c\nd\n"),
        ] {
            assert_eq!(appended(before, now), new, "{before:?} {now:?}");
        }
    }
}
