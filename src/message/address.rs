//! Address lists (RFC 5322 section 3.4), including obsolete forms, split as ENVELOPE needs them. Any field gives some
//! result; nothing is decoded.
//!
//! An error in one address of a list must not lose another address, and must not create an address that was not
//! written. So words before an address without brackets are its name, and a quote, bracket or comment that is opened
//! and not closed counts only as its first character.

mod plain;
mod text;

use plain::plain;
use text::{PATIENCE, Text};

/// An `address` of RFC 3501 section 7.4.2. An address without host begins a group whose name is the mailbox; an
/// address with neither ends a group.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Address {
    /// The display name, or else the last comment beside the address.
    pub name: Option<Vec<u8>>,
    /// The obsolete source route, `@a,@b`.
    pub route: Option<Vec<u8>>,
    /// The local part.
    pub mailbox: Option<Vec<u8>>,
    /// The domain. It is empty when it is missing, since `None` means a group.
    pub host: Option<Vec<u8>>,
}

/// Iterates over the addresses of an unfolded field.
pub struct Addresses<'a> {
    text: Text<'a>,
    in_group: bool,
    /// A group in brackets was begun, and ends before the next address.
    group_ends: bool,
    /// The words between an address in brackets and the next one, when the comma is missing.
    name: Vec<u8>,
    /// Whether the fast path is used; tests switch it off.
    short: bool,
}

impl<'a> Addresses<'a> {
    /// The addresses of `field`.
    pub fn new(field: &'a [u8]) -> Addresses<'a> {
        let text = Text { rest: field, patience: PATIENCE };
        Addresses { text, in_group: false, group_ends: false, name: Vec::new(), short: true }
    }

    /// Reads up to the `,`, `;` or end after an address, or to the `:` after a group's name, or to where another
    /// address begins without a comma.
    fn draft(&mut self) -> Draft {
        let mut draft = Draft { phrase: std::mem::take(&mut self.name), ..Draft::default() };
        // The text from the first word after a domain on.
        let mut behind = None;
        loop {
            let (over, rest) = (draft.over, self.text.rest);
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
                    if let Some(behind) = behind {
                        self.text.rest = behind;
                        return draft;
                    }
                    self.text.skip();
                    draft.at();
                }
                Some(_) => draft.push(self.text.run()),
            }
            if draft.over && !over {
                behind = Some(rest);
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
            // After `patience` is used up, only the slow path gives the right result.
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
            if end == Some(b':') && !self.in_group {
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

/// An `addr-spec`, with the route before it.
#[derive(Default)]
struct AddrSpec {
    route: Option<Vec<u8>>,
    local: Vec<u8>,
    host: Option<Vec<u8>>,
}

impl AddrSpec {
    /// The part that is being read: the host, or before it the local part.
    fn last(&mut self) -> &mut Vec<u8> {
        self.host.as_mut().unwrap_or(&mut self.local)
    }

    /// Whether there is a local part or a host.
    fn is_some(&self) -> bool {
        !self.local.is_empty() || self.host.as_ref().is_some_and(|host| !host.is_empty())
    }
}

/// An address that is being read: only a `<` tells a name from a local part.
#[derive(Default)]
struct Draft {
    phrase: Vec<u8>,
    /// Octets of the phrase that come before the local part, if there are no brackets.
    name: usize,
    /// The words after the brackets.
    behind: Vec<u8>,
    comment: Option<Vec<u8>>,
    spec: AddrSpec,
    angle: Option<AddrSpec>,
    /// Whether a blank or a comment came last.
    spaced: bool,
    /// Whether the local part ends with a dot so far: it may continue after a blank.
    dot: bool,
    /// Whether the domain has ended.
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
            return; // it has no meaning, unless another address follows
        }
        match &mut self.spec.host {
            None => {
                // RFC 5322 section 4.4: there may be blanks around the dots of a local part; elsewhere a blank ends a
                // name. A dot right after a further word is that of an initial.
                let is_dot = text == b".";
                if blank && !is_dot && !self.dot {
                    self.name = length;
                    self.spec.local.clear();
                }
                self.spec.local.extend(text);
                self.dot = is_dot && (blank || self.name == 0);
            }
            Some(host) => {
                // There may be blanks around the dots of a domain; elsewhere a blank ends it.
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

    /// Handles a `>` that closes nothing: at most it is part of a name.
    fn stray(&mut self) {
        if self.angle.is_none() && self.spec.host.is_none() {
            self.phrase.push(b'>');
        }
    }

    /// The name of `<Undisclosed-Recipients:;>`, which its writers mean as a group.
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

#[cfg(test)]
mod tests;
