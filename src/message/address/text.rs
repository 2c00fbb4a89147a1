//! The text of an address list, and what can be read from it.

use super::AddrSpec;

/// How often the end of a quote, bracket or comment may be searched for in vain. After that nothing counts as closed,
/// since each search would be another walk through the field.
pub const PATIENCE: u8 = 16;

/// The rest of a field that is being read.
pub struct Text<'a> {
    pub rest: &'a [u8],
    /// How often the end of something may still be searched for in vain.
    pub patience: u8,
}

/// Whether the octet may be part of a word or an address; dots are not included.
pub const fn is_of_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'=' | b'?' | b'+') || !b.is_ascii()
}

impl<'a> Text<'a> {
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Takes the next octet, and the word octets after it. The result is the same as when they are taken one by one.
    pub fn run(&mut self) -> &'a [u8] {
        let length = self.rest.iter().take_while(|&&b| is_of_word(b)).count().max(1);
        let (run, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        run
    }

    pub fn skip(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// Skips a host after the end of a group, which some programs write.
    pub fn skip_host(&mut self) {
        if self.peek() == Some(b'@') {
            while !matches!(self.peek(), None | Some(b',' | b';')) {
                self.skip();
            }
        }
    }

    /// What `read` returns for the text after the next octet. When it returns `None`, only that octet is skipped.
    fn closed(&mut self, read: impl FnOnce(&mut Self) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        self.skip();
        let rest = self.rest;
        let text = if self.patience > 0 { read(self) } else { None };
        if text.is_none() {
            self.rest = rest;
            self.patience = self.patience.saturating_sub(1);
        }
        text
    }

    fn next(&mut self) -> Option<u8> {
        let b = self.peek();
        self.skip();
        b
    }

    /// A quoted string; `None` when it is not closed, or closed by a quote that opens the name after an address.
    pub fn quoted(&mut self) -> Option<Vec<u8>> {
        self.closed(|text| {
            let mut quoted = Vec::new();
            loop {
                match text.next()? {
                    b'"' => break,
                    b'\\' => quoted.extend(text.next()),
                    b => quoted.push(b),
                }
            }
            let opens = text.peek().is_some_and(|b| b.is_ascii_alphanumeric() || !b.is_ascii());
            let is_list = |quoted: &[u8]| quoted.contains(&b'<') && quoted.contains(&b',');
            (!(opens && is_list(&quoted))).then_some(quoted)
        })
    }

    /// A comment; `None` when it is not closed.
    pub fn comment(&mut self) -> Option<Vec<u8>> {
        self.closed(|text| {
            let mut comment = Vec::new();
            let mut depth = 1usize;
            loop {
                let b = text.next()?;
                match b {
                    b'(' => depth += 1,
                    b')' if depth == 1 => break,
                    b')' => depth -= 1,
                    b'\\' => {
                        comment.extend(text.next());
                        continue;
                    }
                    _ => (),
                }
                comment.push(b);
            }
            Some(comment.trim_ascii().to_vec())
        })
    }

    /// A domain literal with its brackets; only the first bracket when it is not closed.
    pub fn domain_literal(&mut self) -> Vec<u8> {
        let literal = self.closed(|text| {
            let mut literal = vec![b'['];
            while !literal.ends_with(b"]") {
                literal.push(text.next()?);
            }
            Some(literal)
        });
        literal.unwrap_or_else(|| vec![b'['])
    }

    /// `<addr-spec>`, or `<@a,@b:addr-spec>`. When the end is missing, a comma or the next `<` counts as the end.
    pub fn angle_addr(&mut self) -> AddrSpec {
        self.skip();
        let mut spec = AddrSpec::default();
        loop {
            match self.peek() {
                Some(b'"') => spec.last().extend(self.quoted().unwrap_or_default()),
                Some(b'(') => drop(self.comment()),
                Some(b'[') => spec.last().extend(self.domain_literal()),
                Some(b'<') if spec.is_some() => return spec,
                Some(b'<') => self.skip(),
                // In a route there is a comma before the local part.
                Some(b',' | b';') if !spec.local.is_empty() && !spec.local.ends_with(b":") => return spec,
                Some(b) if b.is_ascii_alphanumeric() => {
                    let run = self.run();
                    spec.last().extend_from_slice(run);
                }
                _ => match self.next() {
                    None | Some(b'>') => return spec,
                    Some(b' ' | b'\t') => (),
                    Some(b':') if spec.local.is_empty() && spec.host.is_some() => {
                        let mut route = vec![b'@'];
                        route.extend(spec.host.take().unwrap_or_default());
                        spec.route = Some(route);
                    }
                    Some(b'@') if spec.host.is_none() => spec.host = Some(Vec::new()),
                    Some(b) => spec.last().push(b),
                },
            }
        }
    }
}
