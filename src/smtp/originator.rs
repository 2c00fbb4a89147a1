//! The addresses in the From and Sender fields (RFC 5322 section 3.6.2), and in those with Resent- before them
//! (section 3.6.6).
//!
//! These addresses decide who may speak for whom, so the parser is strict where those of `message` are lenient: a
//! field that two readers could understand differently is refused. So is a group (RFC 6854), which may name nobody.

use super::mailbox::Mailbox;

/// Levels of nested comments, at most.
const MAX_DEPTH: u8 = 8;

/// Parses a mailbox list (RFC 5322 section 3.4) of one or more addresses; `None` if it does not follow the grammar.
pub fn mailboxes(field: &[u8]) -> Option<Vec<Mailbox>> {
    let mut scanner = Scanner(field);
    let mut found = Vec::new();
    let mut words = Vec::new();
    loop {
        match scanner.token()? {
            Token::Word(word) => words.push(word),
            Token::Special(b'@') => {
                found.push(scanner.after_at(&std::mem::take(&mut words))?);
                if !matches!(scanner.peek()?, None | Some(b',')) {
                    return None;
                }
            }
            Token::Special(b'<') => {
                words.clear();
                found.push(scanner.angle_addr()?);
                if !matches!(scanner.peek()?, None | Some(b',')) {
                    return None;
                }
            }
            Token::Special(b',') if words.is_empty() => {}
            Token::End if words.is_empty() && !found.is_empty() => return Some(found),
            _ => return None,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// An atom with the dots that names and local parts may have, or a quoted string with its quotes.
    Word(String),
    Special(u8),
    End,
}

/// The rest of the field.
struct Scanner<'a>(&'a [u8]);

impl Scanner<'_> {
    /// The next token; `None` if the rest is malformed.
    fn token(&mut self) -> Option<Token> {
        let Some(first) = self.peek()? else { return Some(Token::End) };
        match first {
            b'"' => self.quoted_string().map(Token::Word),
            b'<' | b'>' | b'@' | b',' | b';' | b':' => {
                self.0 = self.0.get(1..)?;
                Some(Token::Special(first))
            }
            _ => {
                let text = self.take_while(is_word)?;
                (!text.is_empty()).then_some(Token::Word(text))
            }
        }
    }

    /// The next octet outside of white space and comments, or `Some(None)` at the end; `None` if a comment is
    /// malformed.
    fn peek(&mut self) -> Option<Option<u8>> {
        while let Some((&first, rest)) = self.0.split_first() {
            match first {
                b' ' | b'\t' | b'\r' | b'\n' => self.0 = rest,
                b'(' => self.comment()?,
                _ => return Some(Some(first)),
            }
        }
        Some(None)
    }

    /// Skips a comment (RFC 5322 section 3.2.2).
    fn comment(&mut self) -> Option<()> {
        let mut depth = 0;
        loop {
            let (&first, rest) = self.0.split_first()?;
            self.0 = rest;
            match first {
                b'\\' => self.0 = rest.get(1..)?,
                b'(' if depth == MAX_DEPTH => return None,
                b'(' => depth += 1,
                b')' if depth == 1 => return Some(()),
                b')' => depth -= 1,
                _ => {}
            }
        }
    }

    /// Reads a quoted string with its quotes (RFC 5322 section 3.2.4).
    fn quoted_string(&mut self) -> Option<String> {
        let mut at = 1;
        loop {
            match self.0.get(at)? {
                b'\\' => at += 2,
                b'"' => break,
                _ => at += 1,
            }
        }
        let (string, rest) = self.0.split_at_checked(at + 1)?;
        self.0 = rest;
        // A folded string is unfolded (RFC 5322 section 2.2.3).
        Some(String::from_utf8_lossy(string).replace("\r\n", ""))
    }

    /// Parses the rest after `<`: an optional route (RFC 5322 section 4.4), an address, and `>`.
    fn angle_addr(&mut self) -> Option<Mailbox> {
        if self.peek()? == Some(b'@') {
            while self.token()? != Token::Special(b':') {
                if self.0.is_empty() {
                    return None;
                }
            }
        }
        let mut words = Vec::new();
        loop {
            match self.token()? {
                Token::Word(word) => words.push(word),
                Token::Special(b'@') => break,
                _ => return None,
            }
        }
        let mailbox = self.after_at(&words)?;
        (self.token()? == Token::Special(b'>')).then_some(mailbox)
    }

    /// The address with the local part `words`, whose domain comes next.
    fn after_at(&mut self, words: &[String]) -> Option<Mailbox> {
        let local = words.concat();
        // Several words are one local part only with dots between them (RFC 5322 section 4.4).
        let joined = words.windows(2).all(|two| match two {
            [one, other] => one.ends_with('.') || other.starts_with('.'),
            _ => true,
        });
        if !joined || local.is_empty() {
            return None;
        }
        let domain = match self.peek()?? {
            b'[' => {
                let end = self.0.iter().position(|&b| b == b']')?;
                let (literal, rest) = self.0.split_at_checked(end + 1)?;
                self.0 = rest;
                String::from_utf8_lossy(literal).into_owned()
            }
            _ => self.take_while(is_word)?,
        };
        Mailbox::parse(&format!("{local}@{domain}")).ok()
    }

    fn take_while(&mut self, take: impl Fn(u8) -> bool) -> Option<String> {
        let end = self.0.iter().position(|&b| !take(b)).unwrap_or(self.0.len());
        let (text, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    }
}

/// Whether the octet may be in an atom, or is a dot; octets above ASCII may, since names have them.
fn is_word(octet: u8) -> bool {
    octet > 127 || octet.is_ascii_alphanumeric() || b".!#$%&'*+-/=?^_`{|}~".contains(&octet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailbox_lists() {
        for (field, expected) in [
            (" demo@home.example\r\n", &["demo@home.example"][..]),
            (" Demo <demo@home.example>", &["demo@home.example"]),
            (" \"Demo, \\\" the <x@y.example>\" <demo@home.example>", &["demo@home.example"]),
            (" =?utf-8?q?J=C3=BCrgen?= J. <demo@home.example>", &["demo@home.example"]),
            (" Jürgen <demo@home.example>", &["demo@home.example"]),
            (" demo@home.example (it is <me@x.example> (really))", &["demo@home.example"]),
            (
                " a@b.example,\r\n\t<c@d.example>, E <e@f.example>",
                &["a@b.example", "c@d.example", "e@f.example"],
            ),
            (" <@relay.example,@other.example:demo@home.example>", &["demo@home.example"]),
            (" \"demo\"@home.example", &["demo@home.example"]),
            (" de . mo @ home.example", &["de.mo@home.example"]),
            (" demo@[192.0.2.1]", &["demo@[192.0.2.1]"]),
            (" jürgen@MÜNCHEN.example", &["jürgen@xn--mnchen-3ya.example"]),
        ] {
            let found = mailboxes(field.as_bytes()).unwrap_or_else(|| panic!("{field}"));
            assert_eq!(found.iter().map(Mailbox::as_str).collect::<Vec<_>>(), expected, "{field}");
        }
    }

    #[test]
    fn fields_that_could_be_read_in_two_ways() {
        for field in [
            " demo",
            " boss@home.example <demo@home.example>",
            " <demo@home.example> <boss@home.example>",
            " <demo@home.example> boss",
            " boss demo@home.example",
            " Demo, Boss <demo@home.example>",
            " <demo@home.example",
            " demo@home.example>",
            " demo@home.example@boss.example",
            " demo@home.example (boss",
            " \"demo@home.example",
            "",
            " \r\n",
            " ,",
            " (nobody)",
            " undisclosed:;",
            " us: a@b.example;",
            " us: a@b.example, C <c@d.example>;",
            " a@b.example, us: c@d.example;",
            " a@b.example;",
            " demo@",
            " <>",
            " us: them: a@b.example;;",
            " us: a@b.example",
            " <@relay.example demo@home.example>",
            " demo@home.example\0",
        ] {
            assert_eq!(mailboxes(field.as_bytes()), None, "{field}");
        }
        assert_eq!(mailboxes(&b"(".repeat(100_000)), None);
    }

    proptest::proptest! {
        #[test]
        fn anything_at_all_is_read_without_a_panic(field in "[ -~\r\n\tü]{0,60}") {
            let _ = mailboxes(field.as_bytes());
        }
    }
}
