//! Control-R: the latest line before this one in which the typed text stands, as every shell has it.

use super::Editor;

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Search {
    typed: Vec<char>,
    /// Place in the history of what was found, counted from the newest.
    at: usize,
    /// Nothing has this text.
    in_vain: bool,
    /// What was typed before.
    before: Vec<char>,
}

impl Search {
    pub(super) fn prompt(&self) -> String {
        let typed: String = self.typed.iter().collect();
        format!("{} `{typed}`: ", if self.in_vain { "not found" } else { "search" })
    }
}

impl Editor {
    /// Begins a search, or goes on to the next older line.
    pub(super) fn search_older(&mut self) {
        match &mut self.search {
            None => {
                self.search = Some(Search { before: self.line.clone(), ..Search::default() });
                self.redraw();
            }
            Some(search) => {
                let from = search.at + 1;
                // The oldest one stays.
                if !search.in_vain && !self.find(from) {
                    if let Some(search) = &mut self.search {
                        search.in_vain = false;
                    }
                    self.redraw();
                    self.output.push(0x07);
                }
            }
        }
    }

    /// A key while something is looked for: whether it was one for the search. Otherwise what was found is edited.
    pub(super) fn search_key(&mut self, octet: u8) -> bool {
        let Some(search) = &mut self.search else { return false };
        match octet {
            0x12 => self.search_older(),
            0x08 | 0x7f => {
                search.typed.pop();
                let _ = self.find(0);
            }
            0x07 => {
                let before = std::mem::take(&mut search.before);
                self.end_search();
                (self.cursor, self.line) = (before.len(), before);
                self.redraw();
            }
            // Another line than was looked for is not run.
            b'\r' | b'\n' if search.in_vain => return self.search_key(0x07),
            0x20..=0xff => return false,
            _ => {
                self.end_search();
                self.redraw();
                return false;
            }
        }
        true
    }

    /// A character more of what is looked for; `false`: nothing is.
    pub(super) fn search_more(&mut self, characters: &[char]) -> bool {
        let Some(search) = &mut self.search else { return false };
        let room = super::LONGEST.saturating_sub(search.typed.len());
        search.typed.extend(characters.iter().take(room));
        let at = search.at;
        let _ = self.find(at);
        true
    }

    pub(super) fn end_search(&mut self) {
        self.search = None;
    }

    /// Shows the newest line from this place on that has the text; `false`: none has.
    fn find(&mut self, from: usize) -> bool {
        let Some(search) = &mut self.search else { return false };
        let typed = &search.typed;
        let place = |line: &Vec<char>| match typed.is_empty() {
            true => Some(0),
            false => line.windows(typed.len()).position(|part| part == typed.as_slice()),
        };
        let mut older = self.history.iter().enumerate().skip(from);
        let found = older.find_map(|(at, line)| Some((at, place(line)?, line.clone())));
        search.in_vain = found.is_none();
        let is_found = found.is_some();
        if let Some((at, place, line)) = found {
            search.at = at;
            (self.cursor, self.line, self.shown_from) = (place, line, 0);
        }
        self.redraw();
        is_found
    }
}
