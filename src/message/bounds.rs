//! Tests that each step of a walk through any message is bounded work. The work is counted in octets that are read,
//! so the tests are valid on every machine.

use std::cell::Cell;
use std::io;

use super::bodystructure::{self, Description, Form};
use super::envelope::Envelope;
use super::header::{self, MAX_FIELDS, MAX_HEADER};
use super::mime::{Media, Scanner, Structure};
use super::search::{Needle, Scope, Search, in_addresses, in_field};
use super::signature::Signer;
use super::summary;
use crate::flash::ReadAt;

/// Octets that a step may read at most: a header block, its beginning a second time, and some windows.
const STEP: u64 = 2 * MAX_HEADER + 64 * 1024;

/// A message on flash that counts the octets that are read.
struct Counting<'a> {
    octets: &'a [u8],
    read: Cell<u64>,
}

impl Counting<'_> {
    fn new(octets: &[u8]) -> Counting<'_> {
        Counting { octets, read: Cell::new(0) }
    }
}

impl ReadAt for Counting<'_> {
    fn len(&self) -> io::Result<u64> {
        self.octets.len().try_into().map_err(io::Error::other)
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.octets.read_at(offset, buf)?;
        self.read.set(self.read.get() + n as u64);
        Ok(n)
    }
}

/// Messages of some MiB that are much work, each in a different way.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    const SIZE: usize = 3 << 20;
    let header = "Content-Type: multipart/mixed; boundary=b\r\nSubject: a\r\n";
    let multipart = format!("{header}\r\n");
    let times = |text: &str| text.repeat(SIZE / text.len());
    vec![
        ("short fields", format!("{header}{}\r\nbody", times("b:\r\n")).into()),
        ("a folded field", format!("{header}To: a@b,\r\n{}\r\nbody", times(" c@d,\n")).into()),
        ("a long line", format!("{header}To: {}\r\n\r\nbody", times("c@d,")).into()),
        ("no header end, no line end", times("a").into()),
        ("empty parts", format!("{multipart}{}", times("--b\r\n\r\n")).into()),
        ("short fields in a part", format!("{multipart}--b\r\n{}\r\nbody\r\n--b--", times("b:\n")).into()),
        (
            "parts with headers",
            format!("{multipart}{}", times(&format!("--b\r\n{}\r\n", "b: c\r\n".repeat(900)))).into(),
        ),
        (
            "messages within",
            format!("{multipart}{}", times("--b\nContent-Type: message/rfc822\n\nTo: a@b\n\n")).into(),
        ),
        ("quotes without an end", format!("To: {}\r\n\r\n", "\"\\".repeat(120_000)).into()),
        ("brackets without an end", format!("To: {}\r\n\r\n", "a@[(<".repeat(50_000)).into()),
        (
            "encoded messages within",
            times("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n").into(),
        ),
        ("lines of scanners", times("a: b\r\r\n").into()),
        ("references", format!("Content-Type: text/html\r\n\r\n{}", times("&a&#x")).into()),
        ("encoded words", format!("Subject: {}\r\n\r\n", times("=?a?b?c")).into()),
        ("lines like delimiters", format!("{multipart}{}", times("\n--")).into()),
    ]
}

/// Catches: a walk through a header that does not end at the limits, and a step that continues through several parts.
#[test]
fn a_step_reads_so_much_and_no_more() {
    for (name, message) in hostile() {
        let source = Counting::new(&message);
        let needle = Needle::new("nowhere");
        let bounded = |what: &str| {
            let read = source.read.take();
            assert!(read <= STEP, "{name}: {what} reads {read} octets");
        };
        let header = 0..header::length(&source).unwrap();
        bounded("the length of the header");
        header::select(&source, header.clone(), |name| name == b"b").unwrap();
        bounded("HEADER.FIELDS");
        Envelope::of(&source, 0..u64::MAX).unwrap().write(&mut Vec::new());
        bounded("ENVELOPE");
        header::value(&source, 0..u64::MAX, "Date").unwrap();
        bounded("SEARCH SENTON");
        in_field(&source, 0..u64::MAX, "X", &needle).unwrap();
        bounded("SEARCH HEADER");
        in_addresses(&source, 0..u64::MAX, "To", &needle).unwrap();
        bounded("SEARCH TO");
        summary::fields(&source).unwrap();
        bounded("a summary");
        let mut scanner = Scanner::new(&source);
        while scanner.step().unwrap() {
            bounded("the structure");
        }
        let structure = scanner.finish();
        let mut description = Description::new(&source, &structure, Form { extensible: true, rev2: true });
        let mut out = Vec::new();
        while description.step(&mut out).unwrap() {
            bounded("BODYSTRUCTURE");
            assert!(out.len() < 256 * 1024, "{name}: {} octets in a step", out.len());
            out.clear();
        }
        let mut search = Search::new(&source, &needle, Scope::Text);
        while search.step().unwrap().is_none() {
            bounded("SEARCH TEXT");
        }
        assert!(search.passed() <= 4 * message.len() as u64, "{name}: {} octets", search.passed());
        let mut signer = Signer::new(&source, structure);
        while signer.step().unwrap().is_none() {
            bounded("a signature");
        }
        // HTML with references is read twice.
        assert!(signer.passed() <= 6 * message.len() as u64, "{name}: {} octets", signer.passed());
    }
}

/// A message with so many fields, and where its header ends.
fn cut(fields: usize, name: &str) -> (Vec<u8>, u64) {
    let field = format!("{name}: b\r\n");
    let message = format!(
        "Content-Type: text/plain\r\nSubject: early\r\n{}Subject: late\r\n\r\nin the body",
        field.repeat(fields - 3)
    );
    let length = header::length(&message.as_bytes()).unwrap();
    (message.into_bytes(), length)
}

/// Catches: a limit that some readers of headers do not know, so that they disagree about where a header ends.
#[test]
fn of_a_header_that_is_too_much_everyone_sees_the_same() {
    let (message, length) = cut(MAX_FIELDS, "b");
    let source = message.as_slice();
    let structure = Structure::of(&source).unwrap();
    assert_eq!((structure.message().media, structure.message().content().start), (Media::Text, length));
    assert!(message[length as usize..].starts_with(b"in the body"), "a thousand fields are a header");

    let (message, length) = cut(3 * MAX_FIELDS, "b");
    let source = message.as_slice();
    let structure = Structure::of(&source).unwrap();
    let part = structure.message();
    assert_eq!((structure.parts().len(), part.media), (1, Media::Opaque));
    assert_eq!((part.header(), part.whole()), (0..length, 0..message.len() as u64));
    assert!(message[length as usize..].starts_with(b"b: b\r\n"), "it ends between two fields");
    assert!(length < 7 * (MAX_FIELDS + 20) as u64);
    let mut text = Vec::new();
    bodystructure::write(&source, &structure, Form::default(), &mut text).unwrap();
    let size = message.len() as u64 - length;
    let opaque = format!("(\"application\" \"octet-stream\" NIL NIL NIL \"8BIT\" {size})");
    assert_eq!(String::from_utf8(text).unwrap(), opaque);

    let found = |text: &str, scope| {
        let needle = Needle::new(text);
        let mut search = Search::new(&source, &needle, scope);
        std::iter::from_fn(|| Some(search.step().unwrap())).flatten().next().unwrap()
    };
    assert!(found("early", Scope::Text) && !found("early", Scope::Body));
    assert!(!found("late", Scope::Text) && !found("in the body", Scope::Text), "nobody looks into the rest");
    let select = |field: &[u8]| field == b"Subject";
    let places = header::select(&source, 0..length, select).unwrap();
    assert_eq!(places.len(), 1);
    let fields = summary::fields(&source).unwrap();
    assert_eq!(fields, b"Content-Type: text/plain\r\nSubject: early\r\n");
}

/// Catches: fields that are cut in the middle, and a part whose end is not found after its endless header.
#[test]
fn a_field_that_does_not_fit_is_content() {
    let long = " c@d,\r\n".repeat(MAX_HEADER as usize / 7 + 1000);
    let message = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nSubject: a\r\nTo: x@y,\r\n{long}\r\n--b\r\n\r\ntext\r\n--b--\r\n"
    );
    for source in [&message.as_bytes() as &dyn ReadAt, &Counting::new(message.as_bytes())] {
        let structure = Structure::of(source).unwrap();
        let [_, opaque, text] = structure.parts() else { panic!("{structure:?}") };
        let header = &message[opaque.header().start as usize..opaque.header().end as usize];
        assert_eq!((opaque.media, header), (Media::Opaque, "Subject: a\r\n"));
        let content = &message[opaque.content().start as usize..opaque.content().end as usize];
        assert!(content.starts_with("To: x@y,\r\n") && content.ends_with(" c@d,\r\n"));
        assert_eq!(opaque.lines, content.lines().count() as u64);
        let all = &message[structure.message().content().start as usize..];
        assert_eq!(
            structure.message().lines,
            all.lines().count() as u64,
            "lines that were read twice count once"
        );
        assert_eq!(&message[text.content().start as usize..text.content().end as usize], "text");
    }
}
