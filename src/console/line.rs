//! Line editing for a terminal at the other end of a byte stream: keys in, lines out, and the octets that make
//! the terminal show it. It reads and writes nothing itself, asks the terminal nothing (a serial line may have
//! none that answers), and shows nothing of a secret.

use std::collections::VecDeque;

use zeroize::Zeroize;

use super::columns::{columns, parts};

/// Characters a line may have: an OAuth 2.0 token fits.
const LONGEST: usize = 8192;
/// Lines remembered.
const HISTORY: usize = 50;
/// Columns that every terminal has.
const COLUMNS: usize = 79;

/// How the keys of a line are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// With completion, and remembered.
    Command,
    /// As it is: a pasted text.
    Text,
    /// Nothing is shown, nothing is remembered.
    Secret,
}

/// What a key led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A whole line.
    Line(String),
    /// Control-C: the line is given up.
    Interrupted,
    /// Control-D on an empty line.
    End,
}

/// Where in an escape sequence of the terminal the input stands (ECMA-48 section 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    No,
    /// ESC came.
    Begun,
    /// ESC `[` or ESC `O` came, and perhaps a number.
    Sequence(u8),
}

/// The line being edited and those before it.
pub struct Editor {
    prompt: String,
    input: Input,
    line: Vec<char>,
    cursor: usize,
    /// The first character shown, where the line is longer than the terminal is wide.
    shown_from: usize,
    history: VecDeque<Vec<char>>,
    /// Place in the history, counted from the newest; 0 is the new line.
    recalled: usize,
    escape: Escape,
    after_cr: bool,
    utf8: Vec<u8>,
    output: Vec<u8>,
}

impl Default for Editor {
    fn default() -> Editor {
        Editor {
            prompt: String::new(),
            input: Input::Command,
            line: Vec::new(),
            cursor: 0,
            shown_from: 0,
            history: VecDeque::new(),
            recalled: 0,
            escape: Escape::No,
            after_cr: false,
            utf8: Vec::new(),
            output: Vec::new(),
        }
    }
}

impl Editor {
    /// Begins a new line.
    pub fn begin(&mut self, prompt: &str, input: Input) {
        self.prompt = prompt.to_owned();
        self.input = input;
        self.clear();
        self.output.extend(prompt.as_bytes());
    }

    /// What the terminal has to be sent.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Takes one octet from the terminal. `complete` gives the words that may stand at the end of the line
    /// up to the cursor.
    pub fn advance(&mut self, octet: u8, complete: &dyn Fn(&str) -> Vec<String>) -> Option<Event> {
        let after_cr = std::mem::replace(&mut self.after_cr, octet == b'\r');
        match (self.escape, octet) {
            (Escape::No, b'\n') if after_cr => return None,
            (Escape::No, b'\r' | b'\n') => return Some(self.finish()),
            (Escape::No, 0x03) => {
                self.clear();
                self.output.extend(b"^C\r\n");
                return Some(Event::Interrupted);
            }
            (Escape::No, 0x04) if self.line.is_empty() => {
                self.output.extend(b"\r\n");
                return Some(Event::End);
            }
            (Escape::No, b'\t') => self.tab(complete),
            (Escape::No, 0x1b) => self.escape = Escape::Begun,
            (Escape::No, 0x00..=0x1f | 0x7f) => self.control(octet),
            (Escape::No, _) => self.printable(octet),
            (Escape::Begun, b'[' | b'O') => self.escape = Escape::Sequence(0),
            (Escape::Begun, _) => self.escape = Escape::No,
            (Escape::Sequence(0), b'0'..=b'9') => self.escape = Escape::Sequence(octet),
            (Escape::Sequence(_), 0x20..=0x3f) => {}
            (Escape::Sequence(number), _) => {
                self.escape = Escape::No;
                self.cursor_key(number, octet);
            }
        }
        None
    }

    /// Forgets the latest line: there was a secret in it.
    pub fn forget_latest(&mut self) {
        if let Some(mut line) = self.history.pop_front() {
            line.zeroize();
        }
    }

    fn finish(&mut self) -> Event {
        self.output.extend(b"\r\n");
        let line: String = self.line.iter().collect();
        if self.input == Input::Command && !line.trim().is_empty() && self.history.front() != Some(&self.line)
        {
            self.history.push_front(std::mem::take(&mut self.line));
            self.history.truncate(HISTORY);
        }
        self.clear();
        Event::Line(line)
    }

    fn clear(&mut self) {
        self.line.zeroize();
        (self.cursor, self.shown_from, self.recalled) = (0, 0, 0);
    }

    /// The keys of Emacs, as every shell has them.
    fn control(&mut self, octet: u8) {
        match octet {
            0x01 => self.go(0),
            0x02 => self.go(self.cursor.saturating_sub(1)),
            0x04 => self.remove(self.cursor, self.cursor + 1),
            0x05 => self.go(self.line.len()),
            0x06 => self.go(self.cursor + 1),
            0x08 | 0x7f => self.remove(self.cursor.saturating_sub(1), self.cursor),
            0x0b => self.remove(self.cursor, self.line.len()),
            0x0c => self.redraw(),
            0x0e => self.recall(self.recalled.saturating_sub(1)),
            0x10 => self.recall(self.recalled + 1),
            0x15 => self.remove(0, self.cursor),
            0x17 => self.remove(self.word_before(), self.cursor),
            _ => {}
        }
    }

    fn cursor_key(&mut self, number: u8, last: u8) {
        match (number, last) {
            (0, b'A') => self.control(0x10),
            (0, b'B') => self.control(0x0e),
            (0, b'C') => self.control(0x06),
            (0, b'D') => self.control(0x02),
            (0, b'H') | (b'1' | b'7', b'~') => self.control(0x01),
            (0, b'F') | (b'4' | b'8', b'~') => self.control(0x05),
            (b'3', b'~') => self.control(0x04),
            _ => {}
        }
    }

    fn word_before(&self) -> usize {
        let before = &self.line[..self.cursor];
        let end = before.iter().rposition(|c| !c.is_whitespace()).map_or(0, |last| last + 1);
        before[..end].iter().rposition(|c| c.is_whitespace()).map_or(0, |space| space + 1)
    }

    /// An octet of a character; what is no UTF-8 is left out.
    fn printable(&mut self, octet: u8) {
        self.utf8.push(octet);
        match std::str::from_utf8(&self.utf8) {
            Ok(text) => {
                let character = text.chars().next();
                self.utf8.clear();
                if let Some(character) = character {
                    self.insert(&[character]);
                }
            }
            Err(error) if error.error_len().is_some() => self.utf8.clear(),
            Err(_) => {}
        }
    }

    fn insert(&mut self, characters: &[char]) {
        if self.line.len() + characters.len() > LONGEST {
            self.output.push(0x07);
            return;
        }
        let at_end = self.cursor == self.line.len();
        self.line.splice(self.cursor..self.cursor, characters.iter().copied());
        self.cursor += characters.len();
        if self.input == Input::Secret {
            return;
        }
        if at_end && self.cursor - self.shown_from < self.width() {
            self.output.extend(visible(characters).as_bytes());
        } else {
            self.redraw();
        }
    }

    fn remove(&mut self, from: usize, to: usize) {
        let to = to.min(self.line.len());
        if from < to {
            self.line.drain(from..to);
            self.cursor = from;
            self.redraw();
        }
    }

    fn go(&mut self, to: usize) {
        self.cursor = to.min(self.line.len());
        self.redraw();
    }

    fn recall(&mut self, place: usize) {
        if self.input != Input::Command || place > self.history.len() {
            return;
        }
        let line = place.checked_sub(1).and_then(|at| self.history.get(at)).cloned().unwrap_or_default();
        (self.recalled, self.cursor, self.line) = (place, line.len(), line);
        self.redraw();
    }

    /// Completes the word before the cursor as far as all `candidates` agree, or else shows them.
    fn tab(&mut self, complete: &dyn Fn(&str) -> Vec<String>) {
        if self.input != Input::Command {
            return self.insert(&['\t']);
        }
        let before: String = self.line[..self.cursor].iter().collect();
        let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
        let candidates = complete(&before);
        let Some(first) = candidates.first() else { return };
        let agreed = candidates.iter().fold(first.as_str(), |agreed, other| common_prefix(agreed, other));
        let mut rest: Vec<char> = agreed.strip_prefix(word).unwrap_or_default().chars().collect();
        if candidates.len() == 1 {
            rest.push(' ');
        }
        if rest.is_empty() {
            let shown = columns(&parts(&candidates, word), COLUMNS);
            self.output.extend(format!("\r\n{shown}\r\n").as_bytes());
            self.redraw();
        } else {
            self.insert(&rest);
        }
    }

    fn width(&self) -> usize {
        COLUMNS.saturating_sub(self.prompt.chars().count()).max(10)
    }

    /// Shows the part of the line around the cursor. A long line moves by half a screen, so that pasting one
    /// over a slow wire is not drawn anew for every character.
    fn redraw(&mut self) {
        if self.input == Input::Secret {
            return;
        }
        let width = self.width();
        if !(self.shown_from..self.shown_from + width).contains(&self.cursor) {
            self.shown_from = self.cursor.saturating_sub(width / 2);
        }
        let end = self.line.len().min(self.shown_from + width);
        let shown = visible(&self.line[self.shown_from..end]);
        self.output.extend(format!("\r{}{shown}\x1b[K", self.prompt).as_bytes());
        if end > self.cursor {
            self.output.extend(format!("\x1b[{}D", end - self.cursor).as_bytes());
        }
    }
}

/// One column a character.
fn visible(characters: &[char]) -> String {
    characters.iter().map(|&c| if c == '\t' { ' ' } else { c }).collect()
}

fn common_prefix<'a>(a: &'a str, b: &str) -> &'a str {
    let length = a.char_indices().zip(b.chars()).find(|((_, x), y)| x != y).map(|((at, _), _)| at);
    &a[..length.unwrap_or(a.len().min(b.len()))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(before: &str) -> Vec<String> {
        let word = before.rsplit(' ').next().unwrap_or_default();
        ["show", "set", "status"].iter().filter(|w| w.starts_with(word)).map(ToString::to_string).collect()
    }

    fn type_into(editor: &mut Editor, keys: &[u8]) -> Vec<Event> {
        keys.iter().filter_map(|&octet| editor.advance(octet, &complete)).collect()
    }

    fn lines(keys: &[u8]) -> Vec<Event> {
        let mut editor = Editor::default();
        editor.begin("> ", Input::Command);
        type_into(&mut editor, keys)
    }

    #[test]
    fn keys_make_lines() {
        let line = |text: &str| vec![Event::Line(text.to_owned())];
        for (keys, expected) in [
            (b"abc\r".as_slice(), line("abc")),
            (b"abc\n", line("abc")),
            (b"abc\r\n", line("abc")),
            (b"\r\n\r\n", [line(""), line("")].concat()),
            (b"abx\x7fc\r", line("abc")),
            (b"\x7f\x08a\r", line("a")),
            (b"bc\x01a\r", line("abc")),
            (b"ac\x02b\r", line("abc")),
            (b"ac\x1b[Db\x1b[C\x1b[C!\r", line("abc!")),
            (b"bc\x1b[Ha\x1b[Fd\r", line("abcd")),
            (b"xabc\x1bOH\x1b[3~\r", line("abc")),
            (b"abc def\x17x\r", line("abc x")),
            (b"abc\x15x\r", line("x")),
            (b"abc\x02\x02\x0b\r", line("a")),
            (b"abc\x02\x04\r", line("ab")),
            ("grün\r".as_bytes(), line("grün")),
            (b"a\xff\xc3(b\r", line("ab")),
            (b"a\0\x1b[99;1;5Qb\r", line("ab")),
            (b"abc\x03d\r", vec![Event::Interrupted, Event::Line("d".into())]),
            (b"\x04", vec![Event::End]),
        ] {
            let typed = String::from_utf8_lossy(keys);
            assert_eq!(lines(keys), expected, "{typed:?}");
        }
    }

    #[test]
    fn the_tab_key_completes_as_far_as_all_agree() {
        for (keys, expected) in [
            (b"sho\t\r".as_slice(), "show "),
            (b"sho\tsta\t\r", "show status "),
            (b"s\t\r", "s"),
            (b"x\t\r", "x"),
        ] {
            assert_eq!(lines(keys), [Event::Line(expected.to_owned())]);
        }
    }

    #[test]
    fn the_line_before_comes_back() {
        let mut editor = Editor::default();
        editor.begin("> ", Input::Command);
        type_into(&mut editor, b"first\rsecond\r");
        let events = type_into(&mut editor, b"\x1b[A\x1b[A\x1b[A\x1b[B\x10\r");
        assert_eq!(events, [Event::Line("first".into())]);
    }

    #[test]
    fn a_secret_is_neither_shown_nor_remembered() {
        let mut editor = Editor::default();
        editor.begin("Password: ", Input::Secret);
        assert_eq!(type_into(&mut editor, b"hush\x7fx\r"), [Event::Line("husx".into())]);
        assert_eq!(editor.take_output(), b"Password: \r\n");
        editor.begin("> ", Input::Command);
        assert_eq!(type_into(&mut editor, b"\x10\r"), [Event::Line(String::new())]);
    }

    #[test]
    fn a_line_longer_than_the_terminal_is_shown_in_part() {
        let mut editor = Editor::default();
        editor.begin("> ", Input::Text);
        type_into(&mut editor, "x".repeat(9000).as_bytes());
        let output = String::from_utf8(editor.take_output()).unwrap();
        let longest = output.split('\r').map(|shown| shown.replace(['\x07', '\x1b'], "").len()).max();
        assert!(longest <= Some(COLUMNS + "[K".len()), "{longest:?}");
        assert_eq!(type_into(&mut editor, b"\r"), [Event::Line("x".repeat(LONGEST))]);
    }
}
