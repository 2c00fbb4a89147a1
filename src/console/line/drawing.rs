//! How the line is shown. Blanks and backspaces, which every terminal has, instead of escape sequences: a dumb one stays right.

use super::super::width;
use super::{Editor, Input};

/// Columns that every terminal has.
pub(super) const COLUMNS: usize = 79;
/// What is believed of a terminal's answer.
const BELIEVED: std::ops::RangeInclusive<u16> = 20..=1000;
/// Goes to the edge of the screen, asks where that is (ECMA-48 section 8.3.35), and goes back. What a terminal shows of it
/// that does not know these sequences, the prompt is written over.
const ASK: &[u8] = b"\x1b[999C\x1b[6n\r";
/// How often one is asked that does not answer any more.
const TRIES: u8 = 2;

/// How wide the terminal is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Width {
    /// Columns that are used: the last one stays free, since terminals differ in what they do behind it.
    pub(super) columns: usize,
    /// It has answered.
    answers: bool,
    /// How often it was asked since.
    asked: u8,
}

impl Default for Width {
    fn default() -> Width {
        Width { columns: COLUMNS, answers: false, asked: 0 }
    }
}

impl Editor {
    /// For a terminal that is known to have no escape sequences.
    pub fn dumb() -> Editor {
        Editor { is_dumb: true, ..Editor::default() }
    }

    /// Asks how wide the terminal is, before anything is shown: what stands before the lines of one that does not answer is the prompt
    /// and nothing else.
    pub fn greet(&mut self) {
        if !self.is_dumb {
            self.output.extend(ASK);
        }
    }

    /// The same before each line of one that answers.
    pub(super) fn ask_width(&mut self) {
        if self.screen.answers && self.screen.asked < TRIES {
            self.screen.asked += 1;
            self.output.extend(ASK);
        }
    }

    /// The terminal has said where its edge is.
    pub(super) fn edge(&mut self, column: u16) {
        if BELIEVED.contains(&column) {
            self.screen = Width { columns: usize::from(column) - 1, answers: true, asked: 0 };
        }
    }

    /// Columns for the line.
    pub(super) fn width(&self) -> usize {
        self.screen.columns.saturating_sub(width::of_text(&self.prompt_shown())).max(10)
    }

    /// What stands before the line.
    pub(super) fn prompt_shown(&self) -> String {
        match &self.search {
            Some(search) => search.prompt(),
            None => self.prompt.clone(),
        }
    }

    /// Whether the cursor has its place on the screen.
    pub(super) fn fits(&self) -> bool {
        self.cursor >= self.shown_from
            && width::of_all(&self.line[self.shown_from..self.cursor]) < self.width()
    }

    /// Characters were added at the end, which fit: nothing else changes.
    pub(super) fn draw_more(&mut self, characters: &[char]) {
        self.drawn += width::of_all(characters);
        self.output.extend(visible(characters).as_bytes());
    }

    /// Shows the part of the line around the cursor. A long line moves by half a screen, so that pasting one
    /// over a slow wire is not drawn anew for every character.
    pub(super) fn redraw(&mut self) {
        if self.input == Input::Secret {
            return;
        }
        let width = self.width();
        if !self.fits() {
            self.shown_from = self.cursor - fitting(self.line[..self.cursor].iter().rev(), width / 2);
        }
        let rest = &self.line[self.shown_from..];
        let shown = &rest[..fitting(rest, width)];
        let (columns, before) =
            (width::of_all(shown), width::of_all(&self.line[self.shown_from..self.cursor]));
        let prompt = self.prompt_shown();
        let all = width::of_text(&prompt) + columns;
        let blanks = self.drawn.saturating_sub(all);
        let back = blanks + columns.saturating_sub(before);
        let text = format!("\r{prompt}{}{:blanks$}{}", visible(shown), "", "\x08".repeat(back));
        self.drawn = all;
        self.output.extend(text.as_bytes());
    }
}

/// How many of the characters fit into so many columns.
fn fitting<'a>(characters: impl IntoIterator<Item = &'a char>, columns: usize) -> usize {
    let mut used = 0;
    characters
        .into_iter()
        .take_while(|&&character| {
            used += width::of(character);
            used <= columns
        })
        .count()
}

/// One column for a tab.
fn visible(characters: &[char]) -> String {
    characters.iter().map(|&c| if c == '\t' { ' ' } else { c }).collect()
}
