//! Tests of the whole module: real mail is compared with another parser, and any octets must keep the promises.

use mail_parser::{HeaderValue, MessageParser, PartType};
use proptest::prelude::*;

use super::address::Addresses;
use super::boundary::Boundaries;
use super::envelope::Envelope;
use super::header::{self, Fields, MAX_VALUE};
use super::mime::{Media, Structure};
use super::search::{Needle, Scope, Search, in_addresses, in_field};
use super::summary::fields;
use super::window::Window;
use super::{bodystructure, encoded_word};

fn corpus() -> impl Iterator<Item = (String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/corpus");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    paths.sort();
    assert_eq!(paths.len(), 53);
    paths.into_iter().map(|path| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read(path).unwrap())
    })
}

/// Subject, and addresses of From and To, as our parser reads them.
fn ours(message: &[u8]) -> (Option<String>, Vec<String>) {
    let (mut subject, mut addresses) = (None, Vec::new());
    let outer = Boundaries::default();
    let mut window = Window::new(&message, 0..message.len() as u64);
    let mut fields = Fields::new(&mut window, &outer, MAX_VALUE);
    while fields.next(|_| true).unwrap().is_some() {
        let name = fields.name().to_ascii_lowercase();
        if name == b"subject" {
            subject = Some(encoded_word::decode(fields.value()));
        } else if name == b"from" || name == b"to" {
            addresses.extend(Addresses::new(fields.value()).filter_map(|address| {
                let part = |part: Option<Vec<u8>>| String::from_utf8(part?).ok();
                Some(format!("{}@{}", part(address.mailbox)?, part(address.host)?))
            }));
        }
    }
    addresses.sort();
    (subject, addresses)
}

fn theirs(message: &mail_parser::Message) -> (Option<String>, Vec<String>) {
    let mut addresses = Vec::new();
    for header in message.headers() {
        if matches!(header.name().to_ascii_lowercase().as_str(), "from" | "to")
            && let HeaderValue::Address(list) = header.value()
        {
            addresses.extend(list.iter().filter_map(|address| address.address().map(str::to_owned)));
        }
    }
    addresses.sort();
    (message.subject().map(str::to_owned), addresses)
}

/// The number of parts that contain no parts.
fn leaves(message: &mail_parser::Message) -> usize {
    let count = |part: &mail_parser::MessagePart| match &part.body {
        PartType::Multipart(_) => 0,
        PartType::Message(inner) => leaves(inner),
        _ => 1,
    };
    message.parts.iter().map(count).sum()
}

/// Messages whose subject or addresses we read differently from the other parser on purpose, and why.
const FIELDS_OTHERWISE: [(&str, &str); 2] =
    [("legacy-027", "unlabelled Latin-1, which we decode"), ("rfc-004", "addresses without a host")];

/// Messages in which we count other parts than the other parser, and why.
const PARTS_OTHERWISE: [(&str, &str); 5] = [
    ("malformed-007", "a multipart that begins within its own header has one part: all of it"),
    ("malformed-009", "an outer delimiter ends the inner multipart, so that the last part is found"),
    ("malformed-011", "the same"),
    ("malformed-013", "multiparts whose boundary is that of the outer one"),
    ("malformed-021", "a multipart that begins within its own header"),
];

#[test]
fn a_second_opinion_on_real_mail() {
    let known = |list: &[(&str, &str)], name: &str| list.iter().any(|(other, _)| *other == name);
    for (name, message) in corpus() {
        let other = MessageParser::default().parse(&message).unwrap();
        assert_eq!(ours(&message) != theirs(&other), known(&FIELDS_OTHERWISE, &name), "{name}");
        let structure = Structure::of(&message.as_slice()).unwrap();
        let leaf = |media| matches!(media, Media::Text | Media::Other | Media::Opaque);
        let count = structure.parts().iter().filter(|part| leaf(part.media)).count();
        // A message in base64 is not a message for IMAP, which reads message/rfc822 without decoding.
        let expected = if name == "rfc-008" { 2 } else { leaves(&other) };
        assert_eq!(count != expected, known(&PARTS_OTHERWISE, &name), "{name}");
        promises(&message);
    }
}

/// Asserts what must be true for every sequence of octets.
fn promises(message: &[u8]) {
    let structure = Structure::of(&message).unwrap();
    assert_eq!(structure.message().whole(), 0..message.len() as u64);
    for (at, part) in structure.parts().iter().enumerate() {
        assert!(part.header().start <= part.header().end && part.header().end <= part.content().end);
        let mut from = part.content().start;
        for child in structure.children(at).map(|child| structure.parts()[child].whole()) {
            assert!(from <= child.start && child.end <= part.content().end, "{structure:?}");
            from = child.end;
        }
        let children = structure.children(at).count();
        match part.media {
            Media::Multipart => assert!(children > 0),
            Media::Message => assert_eq!(children, 1),
            Media::Text | Media::Other | Media::Opaque => assert_eq!(children, 0),
        }
    }
    for (extensible, rev2) in [(false, false), (false, true), (true, false), (true, true)] {
        let (form, mut text) = (bodystructure::Form { extensible, rev2 }, Vec::new());
        bodystructure::write(&message, &structure, form, &mut text).unwrap();
        assert_parenthesized(&text);
    }

    let header = structure.message().header();
    assert_eq!(header.end, header::length(&message).unwrap());
    let whole = Envelope::of(&message, header.clone()).unwrap();
    let mut text = Vec::new();
    whole.write(&mut text);
    assert_parenthesized(&text);
    let fields = fields(&message).unwrap();
    if !fields.is_empty() {
        assert_eq!(Envelope::of(&&*fields, 0..fields.len() as u64).unwrap(), whole);
    }
    let every = header::select(&message, header.clone(), |_| true).unwrap();
    assert_eq!(every, if header.is_empty() { vec![] } else { vec![header.clone()] });

    let needle = Needle::new("\u{df} not there");
    assert!(!in_field(&message, header, "Subject", &needle).unwrap());
    assert!(!in_addresses(&message, 0..u64::MAX, "From", &needle).unwrap());
    let mut search = Search::new(&message, &needle, Scope::Text);
    while search.step().unwrap().is_none() {}
}

/// Asserts that the text is one list in parentheses with well-formed strings, as a client's parser needs it.
fn assert_parenthesized(text: &[u8]) {
    let (mut rest, mut depth) = (text, 0);
    while let Some((&b, after)) = rest.split_first() {
        rest = after;
        match b {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'"' => loop {
                let (&b, after) = rest.split_first().expect("the string ends");
                assert!(b.is_ascii() && !matches!(b, b'\r' | b'\n' | 0));
                rest = if b == b'\\' { &after[1..] } else { after };
                if b == b'"' {
                    break;
                }
            },
            b'{' => {
                let end = rest.iter().position(|&b| b == b'}').unwrap();
                let length: usize = std::str::from_utf8(&rest[..end]).unwrap().parse().unwrap();
                rest = rest[end..].strip_prefix(b"}\r\n").unwrap();
                rest = &rest[length..];
            }
            b' ' | b'0'..=b'9' | b'N' | b'I' | b'L' => (),
            _ => panic!("{} at {b}", String::from_utf8_lossy(text)),
        }
        assert!(depth > 0 || rest.is_empty(), "{}", String::from_utf8_lossy(text));
    }
    assert_eq!(depth, 0);
}

/// Pieces of messages in any order, and noise.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "Content-Type: multipart/mixed; boundary=a\n",
        "Content-Type: multipart/digest;\r\n boundary*0=b\r\n",
        "Content-Type: message/rfc822\r\n",
        "Content-Type: text/plain; charset=utf-16\n",
        "Content-Transfer-Encoding: base64\n",
        "Content-Transfer-Encoding: quoted-printable\n",
        "Content-Disposition: attachment; filename*0*=''%; x=\"\n",
        "Subject: =?utf-8?B?",
        "From: a <b@c>, d: (e);\r\n",
        "To: \"",
        "--a\n",
        "--a--\n",
        "\r\n--b\r\n",
        "--b--",
        "\n",
        "\r\n",
        " ",
        ":",
        "=\r",
        "=  \r\r\n",
        "Content-Type: text/html; charset=utf-7\r\r\n",
        "Content-Type: text/plain charset=johab\n",
        "\r\r\n",
        "&#",
        "+2D0",
    ];
    let piece = prop_oneof![
        6 => proptest::sample::select(pieces.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
        1 => (any::<u8>(), 0..2 * super::window::WINDOW).prop_map(|(octet, n)| vec![octet; n]),
    ];
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn anything_at_all_keeps_the_promises(message in messages()) {
        promises(&message);
    }
}
