//! A message as it comes: its structure, its descriptions for IMAP, its summary, searches in it, and what of it goes to a server
//! that takes 7 bits.

use crate::message::envelope::Envelope;
use crate::message::fold::Needle;
use crate::message::mime::Structure;
use crate::message::recode::{MissingExtension, Recoder, Survey};
use crate::message::search::{Scope, Search};
use crate::message::signature::{Probe, Signer};
use crate::message::summary::{self, Summary};
use crate::message::{bodystructure, header};

/// One input.
pub fn run(octets: &[u8]) {
    let length = octets.len() as u64;
    let header = header::length(&octets).expect("a slice can be read");
    assert!(header <= length);
    let structure = Structure::of(&octets).expect("a slice can be read");
    for part in structure.parts() {
        for range in [part.header(), part.content(), part.whole()] {
            assert!(range.start <= range.end && range.end <= length, "{range:?} of {length}");
        }
    }
    for (extensible, rev2) in [(true, true), (true, false), (false, true), (false, false)] {
        let (form, mut text) = (bodystructure::Form { extensible, rev2 }, Vec::new());
        bodystructure::write(&octets, &structure, form, &mut text).expect("a slice can be read");
        assert!(balanced(&text), "{}", String::from_utf8_lossy(&text));
    }
    let mut text = Vec::new();
    Envelope::of(&octets, 0..header).expect("a slice can be read").write(&mut text);
    assert!(balanced(&text), "{}", String::from_utf8_lossy(&text));

    let fields = summary::fields(&octets).expect("a slice can be read");
    let _ = Summary::decode(octets);
    let summarized = &&*fields;
    let of = |header| Envelope::of(header, 0..u64::MAX).expect("a slice can be read");
    assert!(fields.is_empty() || of(summarized) == of(&octets), "a summary has the envelope of its message");

    let mut signer = Signer::new(&octets, structure);
    let signature = loop {
        if let Some(signature) = signer.step().expect("a slice can be read") {
            break signature;
        }
    };
    let key = String::from_utf8_lossy(octets.get(..16).unwrap_or(b"abc"));
    for (scope, key) in [(Scope::Body, "ab"), (Scope::Text, "abc"), (Scope::Text, &*key)] {
        let needle = Needle::new(key);
        let mut search = Search::new(&octets, &needle, scope);
        let found = loop {
            if let Some(found) = search.step().expect("a slice can be read") {
                break found;
            }
        };
        let denied = Probe::new(&needle).is_some_and(|probe| !probe.may_be_in(&signature));
        assert!(!(found && denied), "the signature denies {key:?}");
    }

    let header_only = recode(octets, MissingExtension::Header);
    assert!(!octets.is_ascii() || header_only.as_deref() == Some(octets), "what is fit is changed");
    if let Some(seven_bit) = recode(octets, MissingExtension::SevenBit) {
        assert!(seven_bit.is_ascii(), "{}", String::from_utf8_lossy(&seven_bit));
    }
}

/// Makes the message fit, where that can be done.
fn recode(octets: &[u8], aim: MissingExtension) -> Option<Vec<u8>> {
    let mut survey = Survey::new(&octets, aim, None);
    while survey.step().expect("a slice can be read").ok()?.is_some() {}
    let plan = survey.finish().expect("a slice can be read");
    let (mut recoder, mut out) = (Recoder::new(&octets, &plan), Vec::new());
    while recoder.step(&mut out).expect("a slice can be read").is_some() {}
    Some(out)
}

/// Whether parentheses outside strings and literals close as they open, and the text is one list.
fn balanced(text: &[u8]) -> bool {
    let (mut depth, mut at) = (0i64, 0);
    while let Some(&octet) = text.get(at) {
        at += 1;
        match octet {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'"' => loop {
                match text.get(at) {
                    Some(b'"') => break at += 1,
                    Some(b'\\') => at += 2,
                    Some(b'\r' | b'\n') | None => return false,
                    Some(_) => at += 1,
                }
            },
            b'{' => {
                let Some(end) = text[at..].iter().position(|&c| c == b'}') else { return false };
                let Some(length) =
                    std::str::from_utf8(&text[at..at + end]).ok().and_then(|n| n.parse::<usize>().ok())
                else {
                    return false;
                };
                at += end + 3 + length;
            }
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    depth == 0 && at == text.len()
}
