//! Address lists (RFC 5322 section 3.4), obsolete forms included, as ENVELOPE takes them apart.
//! Whatever the field holds, something is made of it; nothing is decoded.

/// An `address` of RFC 3501 section 7.4.2. Without host and with a mailbox it begins a group of that
/// name, with neither it ends one.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Address {
    /// The display name, or else the comment beside the address.
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
}

impl<'a> Addresses<'a> {
    /// Reads `field`.
    pub fn new(field: &'a [u8]) -> Addresses<'a> {
        Addresses { text: Text(field), in_group: false }
    }

    /// Up to the `,`, `;` or end behind an address, or the `:` behind a group's name.
    fn draft(&mut self) -> Draft {
        let mut draft = Draft::default();
        loop {
            match self.text.peek() {
                None | Some(b',' | b';') => return draft,
                Some(b':') if !self.in_group => return draft,
                Some(b'(') => {
                    let comment = self.text.comment();
                    draft.comment.get_or_insert(comment);
                    draft.spaced = true;
                }
                Some(b'"') => {
                    let quoted = self.text.quoted();
                    draft.push(&quoted);
                }
                Some(b'[') if draft.spec.host.is_some() => {
                    let literal = self.text.domain_literal();
                    draft.push(&literal);
                }
                Some(b'<') => draft.angle = Some(self.text.angle_addr()),
                Some(b) => {
                    self.text.skip();
                    match b {
                        b' ' | b'\t' => draft.spaced = true,
                        b'@' => draft.at(),
                        _ => draft.push(&[b]),
                    }
                }
            }
        }
    }
}

impl Iterator for Addresses<'_> {
    type Item = Address;

    fn next(&mut self) -> Option<Address> {
        loop {
            let draft = self.draft();
            let end = self.text.peek();
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
}

/// What is known of an address while its characters pass: only a `<` tells a name from a local part.
#[derive(Default)]
struct Draft {
    phrase: Vec<u8>,
    comment: Option<Vec<u8>>,
    spec: AddrSpec,
    angle: Option<AddrSpec>,
    /// A blank or a comment came last.
    spaced: bool,
    /// The domain has ended.
    over: bool,
}

impl Draft {
    fn push(&mut self, text: &[u8]) {
        if self.angle.is_some() {
            return; // what follows an address in brackets means nothing
        }
        let blank = std::mem::take(&mut self.spaced);
        if blank && !self.phrase.is_empty() {
            self.phrase.push(b' ');
        }
        self.phrase.extend(text);
        match &mut self.spec.host {
            None => self.spec.local.extend(text),
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

    fn address(self) -> Option<Address> {
        let some = |text: Vec<u8>| (!text.is_empty()).then_some(text);
        let (name, spec) = match self.angle {
            Some(spec) => (some(self.phrase), spec),
            None if self.spec.host.is_some() => (None, self.spec),
            None => (None, AddrSpec { local: self.phrase, ..self.spec }),
        };
        if name.is_none() && spec.local.is_empty() && spec.host.as_ref().is_none_or(Vec::is_empty) {
            return None;
        }
        let name = name.or(self.comment.and_then(some));
        let host = spec.host.unwrap_or_default();
        Some(Address { name, route: spec.route, mailbox: Some(spec.local), host: Some(host) })
    }
}

/// The rest of a field.
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn skip(&mut self) {
        self.0 = self.0.get(1..).unwrap_or_default();
    }

    fn next(&mut self) -> Option<u8> {
        let b = self.peek();
        self.skip();
        b
    }

    fn quoted(&mut self) -> Vec<u8> {
        self.skip();
        let mut text = Vec::new();
        while let Some(b) = self.next() {
            match b {
                b'"' => break,
                b'\\' => text.extend(self.next()),
                _ => text.push(b),
            }
        }
        text
    }

    fn comment(&mut self) -> Vec<u8> {
        self.skip();
        let mut text = Vec::new();
        let mut depth = 1usize;
        while let Some(b) = self.next() {
            match b {
                b'(' => depth += 1,
                b')' if depth == 1 => break,
                b')' => depth -= 1,
                b'\\' => {
                    text.extend(self.next());
                    continue;
                }
                _ => (),
            }
            text.push(b);
        }
        text.trim_ascii().to_vec()
    }

    /// With its brackets.
    fn domain_literal(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        while let Some(b) = self.next() {
            text.push(b);
            if b == b']' {
                break;
            }
        }
        text
    }

    /// `<addr-spec>`, or `<@a,@b:addr-spec>`; without its end, a comma behind the domain is taken for it.
    fn angle_addr(&mut self) -> AddrSpec {
        self.skip();
        let mut spec = AddrSpec::default();
        loop {
            match self.peek() {
                Some(b'"') => spec.last().extend(self.quoted()),
                Some(b'(') => drop(self.comment()),
                Some(b'[') => spec.last().extend(self.domain_literal()),
                Some(b',' | b';') if spec.host.is_some() && !spec.local.is_empty() => return spec,
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
mod tests {
    use super::*;

    /// `name|route|mailbox|host` each, `-` for what is not there.
    fn parsed(text: &str) -> String {
        let part = |p: Option<Vec<u8>>| p.map_or("-".into(), |p| String::from_utf8_lossy(&p).into_owned());
        let address = |a: Address| [a.name, a.route, a.mailbox, a.host].map(part).join("|");
        Addresses::new(text.as_bytes()).map(address).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn addresses_of_rfc_5322() {
        for (text, expected) in [
            ("ann@home.example", "-|-|ann|home.example"),
            ("Ann <ann@home.example>", "Ann|-|ann|home.example"),
            ("\"Joe Q. Public\" <j@e>, <b@e>", "Joe Q. Public|-|j|e -|-|b|e"),
            ("John Q. Public <j@e>", "John Q. Public|-|j|e"),
            (r#""Giant; \"Big\" Box" <s@e>"#, "Giant; \"Big\" Box|-|s|e"),
            ("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete|-|pete|silly.test"),
            ("c@(Chris's host.)public.example", "Chris's host.|-|c|public.example"),
            (
                "Mary Smith\t<@node.test,@b:mary@e> , j . doe @ e . org",
                "Mary Smith|@node.test,@b|mary|e -|-|j.doe|e.org",
            ),
            ("ann@e (Ann Smith)", "Ann Smith|-|ann|e"),
            ("\"a b\"@[192.0.2.1]", "-|-|a b|[192.0.2.1]"),
            ("=?utf-8?Q?J=C3=BC?= <j@e>", "=?utf-8?Q?J=C3=BC?=|-|j|e"),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn groups_begin_and_end() {
        for (text, expected) in [
            ("A Group:Ed <ed@e>,joe@e;", "-|-|A Group|- Ed|-|ed|e -|-|joe|e -|-|-|-"),
            ("Undisclosed recipients:;", "-|-|Undisclosed recipients|- -|-|-|-"),
            ("a:;, b:x@e; , y@e", "-|-|a|- -|-|-|- -|-|b|- -|-|x|e -|-|-|- -|-|y|e"),
            ("open: x@e", "-|-|open|- -|-|x|e -|-|-|-"),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn garbage_is_tolerated() {
        for (text, expected) in [
            ("", ""),
            (" , ;,, ", ""),
            ("<>", ""),
            ("Nobody <>", "Nobody|-||"),
            ("root", "-|-|root|"),
            ("no address", "-|-|no address|"),
            ("a@e b@e", "-|-|a|e"),
            ("a@e <a@e>", "a@e|-|a|e"),
            ("Open <a@e, b@e", "Open|-|a|e -|-|b|e"),
            ("\"open", "-|-|open|"),
            ("(open", ""),
            ("(nobody), a@e", "-|-|a|e"),
            ("a@", "-|-|a|"),
            ("@e", "-|-||e"),
            ("a:b:c@e", "-|-|a|- -|-|b:c|e -|-|-|-"),
            ("a@b@c", "-|-|a|b@c"),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }
}
