//! Address lists (RFC 5322 section 3.4), obsolete forms included, as ENVELOPE takes them apart.
//! Whatever the field holds, something is made of it; nothing is decoded.
//!
//! What mail programs write wrong costs no other address of the list, and makes none that nobody wrote: words before an
//! address without brackets are its name, and what is opened and not closed is no more than its first character.

mod plain;

use plain::plain;

/// An `address` of RFC 3501 section 7.4.2. Without host and with a mailbox it begins a group of that
/// name, with neither it ends one.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Address {
    /// The display name, or else the last comment beside the address.
    pub name: Option<Vec<u8>>,
    /// The obsolete source route, `@a,@b`.
    pub route: Option<Vec<u8>>,
    /// The local part.
    pub mailbox: Option<Vec<u8>>,
    /// The domain; empty where it is missing, since its absence means a group.
    pub host: Option<Vec<u8>>,
}

/// The addresses of an unfolded field, one after the other.
pub struct Addresses<'a> {
    text: Text<'a>,
    in_group: bool,
    /// A group that stood in brackets was begun.
    group_ends: bool,
    /// The words between an address in brackets and the next one, where the comma is missing.
    name: Vec<u8>,
    /// The short way is gone where there is one; tests leave it.
    short: bool,
}

impl<'a> Addresses<'a> {
    /// Reads `field`.
    pub fn new(field: &'a [u8]) -> Addresses<'a> {
        let text = Text { rest: field, patience: PATIENCE };
        Addresses { text, in_group: false, group_ends: false, name: Vec::new(), short: true }
    }

    /// Up to the `,`, `;` or end behind an address, or the `:` behind a group's name.
    fn draft(&mut self) -> Draft {
        let mut draft = Draft { phrase: std::mem::take(&mut self.name), ..Draft::default() };
        loop {
            match self.text.peek() {
                None | Some(b',' | b';') => return draft,
                Some(b':') if !self.in_group => return draft,
                Some(b'(') => {
                    if let Some(comment) = self.text.comment() {
                        draft.comment = Some(comment);
                    }
                    draft.spaced = true;
                }
                Some(b'"') => {
                    if let Some(quoted) = self.text.quoted() {
                        draft.push(&quoted);
                        draft.dot = false;
                    }
                }
                Some(b'[') if draft.spec.host.is_some() => {
                    let literal = self.text.domain_literal();
                    draft.push(&literal);
                }
                Some(b'<') if draft.angle.as_ref().is_some_and(AddrSpec::is_some) => {
                    self.name = std::mem::take(&mut draft.behind);
                    return draft;
                }
                Some(b'<') => draft.angle = Some(self.text.angle_addr()),
                Some(b'>') => {
                    self.text.skip();
                    draft.stray();
                }
                Some(b' ' | b'\t') => {
                    self.text.skip();
                    draft.spaced = true;
                }
                Some(b'@') => {
                    self.text.skip();
                    draft.at();
                }
                Some(_) => draft.push(self.text.run()),
            }
        }
    }
}

impl Iterator for Addresses<'_> {
    type Item = Address;

    fn next(&mut self) -> Option<Address> {
        loop {
            if std::mem::take(&mut self.group_ends) {
                return Some(Address::default());
            }
            // Whose quotes are no longer looked through for their ends has the long way.
            if self.short
                && self.name.is_empty()
                && self.text.patience > 0
                && let Some((address, rest)) = plain(self.text.rest)
            {
                self.text.rest = rest;
                return Some(address);
            }
            let mut draft = self.draft();
            let end = self.text.peek();
            if let Some(name) = draft.group_in_brackets() {
                if self.in_group {
                    continue;
                }
                self.group_ends = true;
                return Some(Address { mailbox: Some(name), ..Address::default() });
            }
            if end == Some(b':') {
                self.text.skip();
                self.in_group = true;
                return Some(Address { mailbox: Some(draft.phrase), ..Address::default() });
            }
            if let Some(address) = draft.address() {
                return Some(address);
            }
            self.text.skip();
            if self.in_group && end != Some(b',') {
                self.in_group = false;
                self.text.skip_host();
                return Some(Address::default());
            }
            end?;
        }
    }
}

/// `addr-spec`, with the route that stood before it.
#[derive(Default)]
struct AddrSpec {
    route: Option<Vec<u8>>,
    local: Vec<u8>,
    host: Option<Vec<u8>>,
}

impl AddrSpec {
    /// What is being read of it.
    fn last(&mut self) -> &mut Vec<u8> {
        self.host.as_mut().unwrap_or(&mut self.local)
    }

    /// Whether there is anything of an address.
    fn is_some(&self) -> bool {
        !self.local.is_empty() || self.host.as_ref().is_some_and(|host| !host.is_empty())
    }
}

/// What is known of an address while its characters pass: only a `<` tells a name from a local part.
#[derive(Default)]
struct Draft {
    phrase: Vec<u8>,
    /// Octets of the phrase before what is the local part, if there are no brackets.
    name: usize,
    /// What stands behind the brackets.
    behind: Vec<u8>,
    comment: Option<Vec<u8>>,
    spec: AddrSpec,
    angle: Option<AddrSpec>,
    /// A blank or a comment came last.
    spaced: bool,
    /// The local part ends with a dot so far, behind which it may go on after a blank.
    dot: bool,
    /// The domain has ended.
    over: bool,
}

impl Draft {
    fn push(&mut self, text: &[u8]) {
        let blank = std::mem::take(&mut self.spaced);
        let phrase = if self.angle.is_some() { &mut self.behind } else { &mut self.phrase };
        let length = phrase.len();
        if blank && !phrase.is_empty() {
            phrase.push(b' ');
        }
        phrase.extend(text);
        if self.angle.is_some() {
            return; // it means nothing, unless another address follows
        }
        match &mut self.spec.host {
            None => {
                // RFC 5322 section 4.4: blanks may stand around the dots of a local part; at others a name ends. A dot
                // right behind a further word is that of an initial.
                let is_dot = text == b".";
                if blank && !is_dot && !self.dot {
                    self.name = length;
                    self.spec.local.clear();
                }
                self.spec.local.extend(text);
                self.dot = is_dot && (blank || self.name == 0);
            }
            Some(host) => {
                // Blanks may stand around the dots of a domain; at others it is over.
                self.over |= blank && !host.is_empty() && !host.ends_with(b".") && text != b".";
                if !self.over {
                    host.extend(text);
                }
            }
        }
    }

    fn at(&mut self) {
        if self.spec.host.is_some() || self.angle.is_some() {
            return self.push(b"@");
        }
        self.spec.host = Some(Vec::new());
        self.spaced = false;
        self.phrase.push(b'@');
    }

    /// A `>` that closes nothing is a part of a name at the most.
    fn stray(&mut self) {
        if self.angle.is_none() && self.spec.host.is_none() {
            self.phrase.push(b'>');
        }
    }

    /// The name of `<Undisclosed-Recipients:;>`, which is a group for those who write it.
    fn group_in_brackets(&mut self) -> Option<Vec<u8>> {
        let spec = self.angle.as_mut().filter(|spec| spec.host.is_none())?;
        let name = spec.local.strip_suffix(b":;").or_else(|| spec.local.strip_suffix(b":"))?;
        Some(name.to_vec())
    }

    fn address(mut self) -> Option<Address> {
        let some = |text: Vec<u8>| (!text.is_empty()).then_some(text);
        let (name, spec) = match self.angle {
            Some(spec) => (some(self.phrase), spec),
            None if self.spec.host.is_some() => {
                self.phrase.truncate(self.name);
                (some(self.phrase), self.spec)
            }
            None => {
                let end = self.phrase.iter().rposition(|&b| b != b'>').map_or(0, |last| last + 1);
                self.phrase.truncate(end);
                (None, AddrSpec { local: self.phrase, ..self.spec })
            }
        };
        if name.is_none() && !spec.is_some() {
            return None;
        }
        let name = name.or(self.comment.and_then(some));
        let host = spec.host.unwrap_or_default();
        Some(Address { name, route: spec.route, mailbox: Some(spec.local), host: Some(host) })
    }
}

/// How often what is opened is looked through for its end in vain: then it has none, and each time would be another walk
/// through the field.
const PATIENCE: u8 = 16;

/// The rest of a field.
struct Text<'a> {
    rest: &'a [u8],
    patience: u8,
}

/// What words and addresses are made of besides dots.
const fn is_of_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'=' | b'?' | b'+') || !b.is_ascii()
}

impl<'a> Text<'a> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Passes the next character, and what follows it as far as that is of a word: it is no less than what would be pushed
    /// character by character.
    fn run(&mut self) -> &'a [u8] {
        let length = self.rest.iter().take_while(|&&b| is_of_word(b)).count().max(1);
        let (run, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        run
    }

    fn skip(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// A host that stands behind the end of a group, as some programs write it.
    fn skip_host(&mut self) {
        if self.peek() == Some(b'@') {
            while !matches!(self.peek(), None | Some(b',' | b';')) {
                self.skip();
            }
        }
    }

    /// What `read` makes of the text behind the next character; where it says `None`, only that character is passed.
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

    /// `None`: it is not closed, or it would be closed by what opens the next name, and has an address in it.
    fn quoted(&mut self) -> Option<Vec<u8>> {
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

    /// `None`: it is not closed.
    fn comment(&mut self) -> Option<Vec<u8>> {
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

    /// With its brackets; the first alone where it is not closed.
    fn domain_literal(&mut self) -> Vec<u8> {
        let literal = self.closed(|text| {
            let mut literal = vec![b'['];
            while !literal.ends_with(b"]") {
                literal.push(text.next()?);
            }
            Some(literal)
        });
        literal.unwrap_or_else(|| vec![b'['])
    }

    /// `<addr-spec>`, or `<@a,@b:addr-spec>`; without its end, a comma or the next `<` is taken for it.
    fn angle_addr(&mut self) -> AddrSpec {
        self.skip();
        let mut spec = AddrSpec::default();
        loop {
            match self.peek() {
                Some(b'"') => spec.last().extend(self.quoted().unwrap_or_default()),
                Some(b'(') => drop(self.comment()),
                Some(b'[') => spec.last().extend(self.domain_literal()),
                Some(b'<') if spec.is_some() => return spec,
                Some(b'<') => self.skip(),
                // In a route a comma stands before the local part.
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

#[cfg(test)]
mod tests;
