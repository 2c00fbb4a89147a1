//! Responses of an IMAP server (RFC 3501 section 7), as far as a collector needs them. The message in a FETCH
//! response streams; every other literal is dropped.

use crate::message::date;
use crate::multipop::Error;
use crate::multipop::refusal::{Refusal, printable};
use crate::store::Flags;

/// Octets of a response, without its literals, at most.
const LINE_LIMIT: usize = 64 * 1024;
/// Octets of a folder's name in a literal, at most.
const NAME_LIMIT: u64 = 1024;
/// Stands in the text for a literal: no atom looks like this.
const LITERAL: &[u8] = b"{}";

/// A whole response.
#[derive(Debug, PartialEq, Eq)]
pub enum Response {
    /// The tagged response to the command with this number in its tag.
    Tagged(u32, Result<(), Refusal>),
    /// `+` and the server's challenge.
    Continue(String),
    /// `* OK`, as the greeting or later, with UIDVALIDITY if it holds one.
    Ok(Option<u32>),
    /// `* PREAUTH`.
    PreAuth,
    /// `* BYE` and its text.
    Bye(String),
    /// `* CAPABILITY`: the names in upper case.
    Capability(Vec<String>),
    /// `* LIST`: the encoded name of a folder that can be collected from.
    Folder(Vec<u8>),
    /// `* ID` (RFC 2971), undecoded.
    Id(String),
    /// `* n EXISTS`.
    Exists(u32),
    /// `* n EXPUNGE`.
    Expunge,
    /// `* n FETCH`.
    Fetch(Fetch),
    /// Any other response.
    Other,
}

/// The data of a FETCH response.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fetch {
    /// UID.
    pub uid: Option<u32>,
    /// RFC822.SIZE.
    pub size: Option<u64>,
    /// Whether `\Deleted` is among its FLAGS.
    pub deleted: bool,
    /// Which of `\Seen`, `\Answered`, `\Flagged` and `\Draft` are among its FLAGS.
    pub flags: Flags,
    /// The keywords among its FLAGS.
    pub keywords: Vec<String>,
    /// INTERNALDATE, seconds since 1970 UTC.
    pub date: Option<i64>,
    /// BODY[], if it came as a quoted string.
    pub body: Option<Vec<u8>>,
    /// Whether the response ends where it should. A literal whose length is too small leaves octets over.
    pub is_whole: bool,
}

/// What a server's octets mean.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The input is used up.
    More,
    /// A message of so many octets begins, with its UID if that came before it.
    Begun(Option<u32>, u64),
    /// A part of the message.
    Piece(&'a [u8]),
    /// A response is whole.
    Response(Response),
}

/// What is done with a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Literal {
    /// It is the message of a FETCH response, which streams.
    Message,
    /// The name of a folder, which is put into the response as a quoted string.
    Name,
    Other,
}

/// Takes responses apart as they come.
#[derive(Default)]
pub struct Responses {
    /// The response so far, with [`LITERAL`] in the place of each literal.
    line: Vec<u8>,
    /// The octets that are left of a literal, and what is done with it.
    literal: Option<(u64, Literal)>,
    /// Whether the response has brought its message.
    has_message: bool,
}

impl Responses {
    /// Takes octets from `input`, which is moved past them, up to the next event.
    ///
    /// # Errors
    /// What comes is not IMAP.
    pub fn receive<'i>(&mut self, input: &mut &'i [u8]) -> Result<Event<'i>, Error> {
        loop {
            if let Some((left, literal)) = self.literal {
                if left == 0 {
                    self.literal = None;
                    if literal == Literal::Name {
                        self.line.push(b'"');
                    }
                    continue;
                }
                let n = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                if n == 0 {
                    return Ok(Event::More);
                }
                let (piece, rest) = input.split_at(n);
                *input = rest;
                self.literal = Some((left - n as u64, literal));
                match literal {
                    Literal::Message => return Ok(Event::Piece(piece)),
                    Literal::Name => {
                        for octet in piece {
                            let escape = matches!(octet, b'"' | b'\\').then_some(b'\\');
                            self.line.extend(escape.into_iter().chain([*octet]));
                        }
                    }
                    Literal::Other => {}
                }
                continue;
            }
            if !self.take_line(input)? {
                return Ok(Event::More);
            }
            let Some((start, len)) = literal_at_end(&self.line) else {
                let response = parse(&self.line);
                self.line.clear();
                self.has_message = false;
                return Ok(Event::Response(response));
            };
            // A response has one message at most. To look for the UID before each of many literals would be quadratic
            // work.
            let before = self.line.get(..start).unwrap_or_default();
            let is_message = !self.has_message && ends_with_a_message(before);
            self.line.truncate(start);
            if len <= NAME_LIMIT && starts_with(&self.line, b"* LIST ") {
                self.line.push(b'"');
                self.literal = Some((len, Literal::Name));
                continue;
            }
            self.line.extend_from_slice(LITERAL);
            self.literal = Some((len, if is_message { Literal::Message } else { Literal::Other }));
            if is_message {
                self.has_message = true;
                return Ok(Event::Begun(fetch(&self.line).and_then(|fetch| fetch.uid), len));
            }
        }
    }

    /// Moves octets from `input` to the line. True if the line is whole; its line end is removed.
    fn take_line(&mut self, input: &mut &[u8]) -> Result<bool, Error> {
        let lf = memchr::memchr(b'\n', input);
        let (piece, rest) = input.split_at(lf.map_or(input.len(), |lf| lf + 1));
        *input = rest;
        if self.line.len() + piece.len() > LINE_LIMIT {
            return Err(Error::Protocol("a response has no end".to_owned()));
        }
        self.line.extend_from_slice(piece);
        if lf.is_some() {
            self.line.pop();
            self.line.pop_if(|octet| *octet == b'\r');
        }
        Ok(lf.is_some())
    }
}

/// Finds `{n}` or `~{n}` at the end of a line (RFC 3501 section 4.3, RFC 3516 section 4.1). Returns where it begins,
/// and n.
fn literal_at_end(line: &[u8]) -> Option<(usize, u64)> {
    let start = memchr::memrchr(b'{', line)?;
    let digits = line.get(start + 1..)?.strip_suffix(b"}")?;
    let tilde = usize::from(line.get(..start)?.ends_with(b" ~"));
    Some((start - tilde, number(digits)?))
}

pub(super) fn starts_with(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

/// Whether a message follows `text`. Some servers repeat the name as it was asked for.
fn ends_with_a_message(text: &[u8]) -> bool {
    let named = text.trim_ascii_end();
    let start = named.iter().rposition(|octet| b" (".contains(octet)).map_or(0, |at| at + 1);
    named.len() < text.len() && is_message(named.get(start..).unwrap_or_default())
}

/// Whether the item of this name is the message.
fn is_message(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 4] = [b"BODY[]", b"BODY[]<0>", b"BODY.PEEK[]", b"BODY.PEEK[]<0>"];
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    let digits = std::str::from_utf8(digits).ok()?;
    if digits.starts_with('+') { None } else { digits.parse().ok() }
}

/// Parses a line that is a whole response.
pub fn parse(line: &[u8]) -> Response {
    if let Some(fetch) = fetch(line) {
        return Response::Fetch(fetch);
    }
    if let Some(rest) = line.get(7..).filter(|_| starts_with(line, b"* LIST ")) {
        return folder(rest);
    }
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let second_upper = second.to_ascii_uppercase();
    let rest = line.get(first.len() + second.len() + 2..).unwrap_or_default().trim();
    if first == "+" {
        return Response::Continue(line.get(1..).unwrap_or_default().trim().to_owned());
    }
    // Some servers give a tag back in lower case.
    let tag = first.split_at_checked(TAG.len()).filter(|(tag, _)| tag.eq_ignore_ascii_case(TAG));
    if let Some(number) = tag.and_then(|(_, digits)| number(digits.as_bytes())) {
        return match second_upper.as_str() {
            "OK" => Response::Tagged(number, Ok(())),
            _ => Response::Tagged(number, Err(Refusal::parse(rest))),
        };
    }
    match (first, second_upper.as_str()) {
        ("*", "OK") => Response::Ok(uid_validity(rest)),
        ("*", "PREAUTH") => Response::PreAuth,
        ("*", "BYE") => Response::Bye(printable(rest)),
        ("*", "ID") => Response::Id(rest.to_owned()),
        ("*", "CAPABILITY") => {
            Response::Capability(rest.split_ascii_whitespace().map(str::to_ascii_uppercase).collect())
        }
        ("*", _) if rest.eq_ignore_ascii_case("EXISTS") => {
            number(second.as_bytes()).map_or(Response::Other, Response::Exists)
        }
        ("*", _) if rest.eq_ignore_ascii_case("EXPUNGE") => Response::Expunge,
        _ => Response::Other,
    }
}

/// The prefix of tags; a number follows.
pub const TAG: &str = "P";

fn uid_validity(text: &str) -> Option<u32> {
    let code = text.strip_prefix('[')?.split_once(']')?.0;
    let (name, value) = code.split_once(' ')?;
    if name.eq_ignore_ascii_case("UIDVALIDITY") { number(value.trim().as_bytes()) } else { None }
}

/// Parses `* n FETCH (name value …)`, or the beginning of it.
fn fetch(line: &[u8]) -> Option<Fetch> {
    let rest = line.strip_prefix(b"* ")?;
    let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let (sequence, rest) = rest.split_at(digits);
    let (keyword, rest) = rest.trim_ascii_start().split_at_checked(b"FETCH".len())?;
    let is_fetch = !sequence.is_empty() && keyword.eq_ignore_ascii_case(b"FETCH") && rest.starts_with(b" ");
    let mut items = rest.trim_ascii_start().strip_prefix(b"(").filter(|_| is_fetch)?;
    let mut is_torn = false;
    let mut fetch = Fetch::default();
    while let Some((name, rest)) = word(items) {
        let Some((value, rest)) = word(rest) else { break };
        match name.to_ascii_uppercase().as_slice() {
            b"UID" => fetch.uid = number(value),
            b"RFC822.SIZE" => fetch.size = number(value),
            b"FLAGS" => {
                fetch.deleted = contains(value, b"\\Deleted");
                let set = KEPT.iter().filter(|(name, _)| contains(value, name));
                fetch.flags = set.fold(Flags::NONE, |flags, (_, flag)| flags.with(*flag));
                fetch.keywords = keywords(value);
            }
            b"INTERNALDATE" => {
                let date = String::from_utf8(unquoted(value)).ok();
                fetch.date = date.and_then(|date| date::parse_internal(&date)).map(|date| date.unix);
            }
            name if is_message(name) && value.starts_with(b"\"") => fetch.body = Some(unquoted(value)),
            // A literal with too large a length has swallowed the blank that ends it.
            name if is_message(name) => is_torn = value.starts_with(LITERAL) && value != LITERAL,
            _ => {}
        }
        items = rest;
    }
    fetch.is_whole = items.trim_ascii() == b")" && !is_torn;
    Some(fetch)
}

/// Parses `(attributes) delimiter name` (RFC 3501 section 7.2.2). Folders that only show messages of other folders
/// are left out (RFC 6154 section 2).
fn folder(text: &[u8]) -> Response {
    const NONE: [&[u8]; 4] = [b"\\Noselect", b"\\NonExistent", b"\\All", b"\\Flagged"];
    let parts = word(text).and_then(|(attributes, rest)| Some((attributes, word(rest)?.1)));
    let Some((attributes, rest)) = parts else { return Response::Other };
    match word(rest) {
        Some((name, _)) if !NONE.iter().any(|none| contains(attributes, none)) => {
            Response::Folder(unquoted(name))
        }
        _ => Response::Other,
    }
}

/// Keywords of a message that are kept, at most.
const KEYWORDS: usize = 32;
/// Octets of a keyword that is kept, at most.
const KEYWORD: usize = 64;

/// The keywords among the flags: atoms (RFC 3501 section 9, flag-keyword).
fn keywords(flags: &[u8]) -> Vec<String> {
    let is_atom = |word: &&[u8]| {
        let plain = |octet: &u8| octet.is_ascii_graphic() && !b"{%*\"\\]".contains(octet);
        (1..=KEYWORD).contains(&word.len()) && word.iter().all(plain)
    };
    let words = flags.split(|octet| b" ()".contains(octet)).filter(is_atom).take(KEYWORDS);
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// The system flags of a message that are kept.
const KEPT: [(&[u8], Flags); 4] = [
    (b"\\Seen", Flags::SEEN),
    (b"\\Answered", Flags::ANSWERED),
    (b"\\Flagged", Flags::FLAGGED),
    (b"\\Draft", Flags::DRAFT),
];

/// The next atom, quoted string or parenthesized list, and the text after it.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.trim_ascii_start();
    let (mut depth, mut quoted, mut escaped) = (0u32, false, false);
    let mut end = text.len();
    for (at, &octet) in text.iter().enumerate() {
        if quoted {
            quoted = escaped || octet != b'"';
            escaped = !escaped && octet == b'\\';
            continue;
        }
        match octet {
            b'"' => quoted = true,
            b'(' => depth += 1,
            b')' if depth > 0 => depth -= 1,
            b' ' | b')' if depth == 0 => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    let (word, rest) = text.split_at(end);
    (!word.is_empty()).then_some((word, rest))
}

fn contains(flags: &[u8], flag: &[u8]) -> bool {
    flags.split(|octet| b" ()".contains(octet)).any(|word| word.eq_ignore_ascii_case(flag))
}

/// The content of a quoted string (RFC 3501 section 4.3).
fn unquoted(quoted: &[u8]) -> Vec<u8> {
    let inner = quoted.strip_prefix(b"\"").unwrap_or(quoted);
    let inner = inner.strip_suffix(b"\"").unwrap_or(inner);
    let mut escaped = false;
    let mut content = Vec::with_capacity(inner.len());
    for &octet in inner {
        escaped = !escaped && octet == b'\\';
        if !escaped {
            content.push(octet);
        }
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(octets: &[u8], size: usize) -> String {
        let mut responses = Responses::default();
        let mut said = String::new();
        for chunk in octets.chunks(size) {
            let mut input = chunk;
            loop {
                match responses.receive(&mut input).unwrap() {
                    Event::More => break,
                    Event::Begun(uid, octets) => said += &format!("begun {uid:?} {octets}:"),
                    Event::Piece(piece) => said += &String::from_utf8_lossy(piece),
                    Event::Response(Response::Fetch(fetch)) => {
                        said += &format!("|fetched {:?} {:?} {}|", fetch.uid, fetch.size, fetch.deleted);
                    }
                    Event::Response(other) => said += &format!("|{other:?}|"),
                }
            }
        }
        said
    }

    #[test]
    fn messages_stream_out_of_their_responses_however_they_arrive() {
        let octets = b"* 1 FETCH (UID 7 BODY[] {12}\r\nP1 OK\r\n* {5} FLAGS (\\Seen))\r\nP1 OK done\r\n\
            * 2 fetch (body[] {3}\r\n)\r\n UID 8)\r\n* 3 FETCH (FLAGS (\\Seen \\deleted) UID 9 RFC822.SIZE 45)\r\n\
            * LIST () \"/\" {4}\r\na)\r\n\r\n* 4 FETCH (UID 10 BODY[] {0}\r\n)\r\n";
        for size in 1..octets.len() {
            assert_eq!(
                events(octets, size),
                "begun Some(7) 12:P1 OK\r\n* {5}|fetched Some(7) None false||Tagged(1, Ok(()))|\
                 begun None 3:)\r\n|fetched Some(8) None false||fetched Some(9) Some(45) true|\
                 |Folder([97, 41, 13, 10])|begun Some(10) 0:|fetched Some(10) None false|",
                "in pieces of {size}"
            );
        }
    }

    #[test]
    fn responses() {
        use Response::{Bye, Capability, Continue, Exists, Ok as Fine, Other, PreAuth, Tagged};
        let refused = |code: &str, text: &str| Err(Refusal { code: code.to_owned(), text: text.to_owned() });
        for (line, response) in [
            ("* OK IMAP4rev1 ready", Fine(None)),
            ("* ok [UIDVALIDITY 3857529045] UIDs valid", Fine(Some(3_857_529_045))),
            ("* PREAUTH", PreAuth),
            ("p12 ok fine", Tagged(12, Ok(()))),
            ("* BYE Autologout; idle for too long", Bye("Autologout; idle for too long".to_owned())),
            (
                "* CAPABILITY imap4rev1 UIDPLUS",
                Capability(vec!["IMAP4REV1".to_owned(), "UIDPLUS".to_owned()]),
            ),
            ("* 172 EXISTS", Exists(172)),
            ("* 1 RECENT", Other),
            ("* FLAGS (\\Answered)", Other),
            ("+ dj0x", Continue("dj0x".to_owned())),
            ("+", Continue(String::new())),
            ("P12 OK LOGIN completed", Tagged(12, Ok(()))),
            ("P3 NO [AUTHENTICATIONFAILED] Wrong", Tagged(3, refused("AUTHENTICATIONFAILED", "Wrong"))),
            ("P4 BAD Unknown command", Tagged(4, refused("", "Unknown command"))),
            ("P5 NO", Tagged(5, refused("", ""))),
            ("+OK POP3 ready", Other),
            ("", Other),
            (
                "* 3 FETCH (BODY[] NIL UID 4)",
                Response::Fetch(Fetch { uid: Some(4), is_whole: true, ..Fetch::default() }),
            ),
            (
                "* 3 FETCH (X (\"a)\" (b)) BODY[] \"a \\\"b\\\\\" UID 4)",
                Response::Fetch(Fetch {
                    uid: Some(4),
                    body: Some(b"a \"b\\".to_vec()),
                    is_whole: true,
                    ..Fetch::default()
                }),
            ),
            (
                "* 3 FETCH (FLAGS (\\Seen $Work \\flagged) INTERNALDATE \" 7-Feb-1994 22:43:04 -0800\" BODY[]<0> \"a\") ",
                Response::Fetch(Fetch {
                    keywords: vec!["$Work".to_owned()],
                    flags: Flags::SEEN.with(Flags::FLAGGED),
                    date: Some(760_689_784),
                    body: Some(b"a".to_vec()),
                    is_whole: true,
                    ..Fetch::default()
                }),
            ),
            (
                "* 3 FETCH (UID 4 BODY[] {} and more",
                Response::Fetch(Fetch { uid: Some(4), ..Fetch::default() }),
            ),
        ] {
            assert_eq!(parse(line.as_bytes()), response, "{line}");
        }
    }

    /// Catches: a response that is scanned from its beginning for each of thousands of literals.
    #[test]
    fn a_response_has_one_message() {
        let octets =
            b"* 1 FETCH (UID 7 BODY[] {1}\r\na BODY[] {1}\r\nb)\r\n* 2 FETCH (UID 8 BODY[] {1}\r\nc)\r\n";
        let said = events(octets, 7);
        assert_eq!(
            said,
            "begun Some(7) 1:a|fetched Some(7) None false|begun Some(8) 1:c|fetched Some(8) None false|"
        );
    }

    #[test]
    fn a_response_without_end_is_not_kept() {
        let mut responses = Responses::default();
        let mut input = &[b'x'; LINE_LIMIT + 1][..];
        assert!(matches!(responses.receive(&mut input), Err(Error::Protocol(_))));
    }
}
