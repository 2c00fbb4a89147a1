//! Line editing for a terminal at the other end of a byte stream: keys in, lines out, and the octets that make
//! the terminal show it. It reads and writes nothing itself, needs no answer of the terminal (a serial line may have
//! none that gives one), and shows nothing of a secret.

mod drawing;
mod search;

use std::collections::VecDeque;

use zeroize::Zeroize;

use super::columns::{columns, parts};
use drawing::Width;
use search::Search;

/// Characters a line may have: an OAuth 2.0 token fits.
const LONGEST: usize = 8192;
/// Lines remembered.
const HISTORY: usize = 50;

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
    /// ESC `[` or ESC `O` came, and perhaps numbers: the first digit, and the last number.
    Sequence(u8, u16),
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
    /// Columns of prompt and line on the screen.
    drawn: usize,
    screen: Width,
    /// The terminal draws no pictures.
    pub(super) is_dumb: bool,
    search: Option<Search>,
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
            drawn: 0,
            screen: Width::default(),
            is_dumb: false,
            search: None,
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
        if input == Input::Command {
            self.ask_width();
        }
        self.begin_line();
    }

    fn begin_line(&mut self) {
        self.drawn = super::width::of_text(&self.prompt);
        self.output.extend(self.prompt.as_bytes());
    }

    /// What the terminal has to be sent.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Takes one octet from the terminal. `complete` gives the words that may stand at the end of the line
    /// up to the cursor.
    pub fn advance(&mut self, octet: u8, complete: &dyn Fn(&str) -> Vec<String>) -> Option<Event> {
        let after_cr = std::mem::replace(&mut self.after_cr, octet == b'\r');
        if self.escape == Escape::No && octet != 0x03 && self.search_key(octet) {
            return None;
        }
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
            (Escape::Begun, b'[' | b'O') => self.escape = Escape::Sequence(0, 0),
            (Escape::Begun, _) => self.escape = Escape::No,
            (Escape::Sequence(first, number), b'0'..=b'9') => {
                let first = if first == 0 { octet } else { first };
                let number = number.saturating_mul(10).saturating_add((octet - b'0').into());
                self.escape = Escape::Sequence(first, number);
            }
            (Escape::Sequence(first, _), 0x20..=0x3f) => self.escape = Escape::Sequence(first.max(1), 0),
            (Escape::Sequence(first, number), _) => {
                self.escape = Escape::No;
                match octet {
                    b'R' => self.edge(number),
                    _ => self.cursor_key(first, octet),
                }
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
        self.end_search();
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
            0x12 if self.input == Input::Command => self.search_older(),
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
                if let Some(character) = character
                    && !self.search_more(&[character])
                {
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
        if at_end && self.fits() {
            self.draw_more(characters);
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
            let shown = columns(&parts(&candidates, word), self.screen.columns);
            self.output.extend(format!("\r\n{shown}\r\n").as_bytes());
            self.begin_line();
            self.redraw();
        } else {
            self.insert(&rest);
        }
    }
}

fn common_prefix<'a>(a: &'a str, b: &str) -> &'a str {
    let length = a.char_indices().zip(b.chars()).find(|((_, x), y)| x != y).map(|((at, _), _)| at);
    &a[..length.unwrap_or(a.len().min(b.len()))]
}

#[cfg(test)]
mod tests;
