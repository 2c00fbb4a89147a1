use std::collections::BTreeSet;
use std::fs;

use proptest::prelude::*;

use super::*;
use crate::message::search::{Search, in_addresses, in_field};

fn signature(message: &[u8]) -> Vec<u8> {
    let mut signer = Signer::new(&message, Structure::of(&message).unwrap());
    loop {
        if let Some(signature) = signer.step().unwrap() {
            return signature;
        }
    }
}

fn may_be_in(signature: &[u8], text: &str) -> bool {
    Probe::new(&Needle::new(text)).is_none_or(|probe| probe.may_be_in(signature))
}

/// Whether a search for `text` in any scope finds it.
fn is_found(message: &[u8], text: &str) -> bool {
    let needle = Needle::new(text);
    let in_scope = |scope| {
        let mut search = Search::new(&message, &needle, scope);
        loop {
            if let Some(found) = search.step().unwrap() {
                return found;
            }
        }
    };
    let header = || 0..u64::MAX;
    in_scope(Scope::Text)
        || in_scope(Scope::Body)
        || ["Subject", "From", "To", "X-Mailer"]
            .iter()
            .any(|name| in_field(&message, header(), name, &needle).unwrap())
        || ["From", "To", "Cc", "Bcc"]
            .iter()
            .any(|name| in_addresses(&message, header(), name, &needle).unwrap())
}

/// Collects the texts that a search reads. The first field says whether references are undone.
struct Texts(bool, Vec<String>);

impl TextVisitor for Texts {
    fn text(&mut self, text: &str) -> bool {
        self.1.push(text.to_owned());
        self.1.push(String::new());
        false
    }
    fn piece(&mut self, folded: &mut Vec<u8>, new: usize) -> bool {
        let piece = String::from_utf8_lossy(&folded[new..]).into_owned();
        match self.1.last_mut() {
            Some(last) => last.push_str(&piece),
            None => self.1.push(piece),
        }
        false
    }
    fn overlap(&self) -> usize {
        0
    }
    fn undoes_references(&self) -> bool {
        self.0
    }
    fn ended(&mut self, _: bool) -> bool {
        self.1.push(String::new());
        false
    }
}

fn texts(message: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    for undo in [false, true] {
        let mut look = Texts(undo, Vec::new());
        let mut walk = TextWalk::new(&message, Scope::Text);
        while walk.step(&mut look).unwrap().is_none() {}
        all.extend(look.1);
    }
    texts_of_addresses(&message, 0..u64::MAX, |text| all.push(text.to_owned())).unwrap();
    all
}

/// Messages of real mail programs, and messages that break parsers.
fn corpus() -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let root = env!("CARGO_MANIFEST_DIR");
    for folder in ["tests/data/corpus", "tests/data"] {
        for entry in fs::read_dir(format!("{root}/{folder}")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "eml") {
                messages.push(fs::read(path).unwrap());
            }
        }
    }
    assert!(messages.len() > 50);
    messages
}

/// Made-up messages with all that makes texts differ: references, encodings, charsets, long lines, texts across
/// windows.
fn made_up() -> Vec<Vec<u8>> {
    let html = "Content-Type: text/html; charset=utf-8\n\n";
    let long = |text: &str| format!("{html}{}{text}{}", "x ".repeat(8190), "y".repeat(20_000));
    let umlauts = "\u{fc}ber\u{a0}&uuml;ber&amp;amp;&lt;Stra\u{df}e&gt; R&amp;D".repeat(3);
    vec![
        format!("{html}{umlauts}").into_bytes(),
        long(&umlauts).into_bytes(),
        // Each text occurs only once, so that it is lost when the end of the first window splits it.
        format!("\n{}{}", "x ".repeat(8180), ('a'..='z').map(|c| format!("{c}q{c}")).collect::<String>()).into_bytes(),
        b"From: ann(home)@home.test (Ann \\(B.\\))\nTo: \"Doe, =?utf-8?Q?J=C3=BC?=\"\n <j . doe@(x)e.org>, Friends: bob@e;\n\nx"
            .to_vec(),
        format!("To: {}\n\nx", "somebody (a comment)@example.org, ".repeat(4000)).into_bytes(),
        b"Content-Type: text/plain; charset=utf-16\n\n\xff\xfeG\0r\0\xfc\0\xdf\0e\0".to_vec(),
        "\u{feff}Subject: x\n\n\u{feff}\u{feff}text\u{65e5}\u{672c}\u{8a9e}".as_bytes().to_vec(),
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Disposition: attachment; filename*=koi8-r''%F0%D2%C9\n\nx\n--b--"
            .to_vec(),
    ]
}

/// Messages of usual length, made of existing texts, with headers as big providers write them.
fn written() -> Vec<Vec<u8>> {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut paragraphs = Vec::new();
    let folder = fs::read_dir(format!("{root}/docs/decisions")).unwrap();
    let mut names: Vec<String> =
        folder.map(|file| file.unwrap().path().to_string_lossy().into_owned()).collect();
    names.sort();
    for name in [
        "docs/design.md",
        "docs/store.md",
        "docs/security.md",
        "docs/board.md",
        "README.md",
        "src/message/search.rs",
        "src/store/engine/log.rs",
        "src/appliance.rs",
    ] {
        names.push(format!("{root}/{name}"));
    }
    for name in names {
        let text = fs::read_to_string(name).unwrap();
        paragraphs.extend(text.split("\n\n").map(str::to_owned));
    }
    let mut seed = 1_u64;
    let mut dice = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    (0..60)
        .map(|n| {
            let mut noise = |length: usize| -> String { (0..length).map(|_| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[dice(64)])).collect() };
            let mut message = format!(
                "Received: from mail{n}.example.org by mx.home.example with ESMTPS id {}\r\nDKIM-Signature: v=1; a=rsa-sha256; b={}\r\nARC-Seal: i=1; b={}\r\nMessage-ID: <{}@example.org>\r\nSubject: number {n}\r\nFrom: a{n}@example.org\r\n\r\n",
                noise(20), noise(344), noise(172), noise(30)
            );
            let size = match dice(10) {
                0..5 => 1_000 + dice(7_000),
                5..9 => 8_000 + dice(16_000),
                _ => 24_000 + dice(100_000),
            };
            while message.len() < size {
                message.push_str(&paragraphs[dice(paragraphs.len())]);
                message.push_str("\r\n\r\n");
            }
            message.into_bytes()
        })
        .collect()
}

/// Catches: a text that a search reads and a signature does not know (a field, a part, a form of addresses,
/// references of HTML as they are or undone), a trigram that is lost between two windows or at the end, and a filter
/// that is tested at other places than were set.
#[test]
fn what_reading_finds_a_signature_does_not_deny() {
    for message in corpus().into_iter().chain(made_up()) {
        let signature = signature(&message);
        for text in texts(&message) {
            let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            for (n, from) in ends.iter().enumerate() {
                for length in [3, 4 + n % 13] {
                    let Some(to) = ends.get(n + length) else { continue };
                    let key = &text[*from..*to];
                    assert!(may_be_in(&signature, key), "{key:?} of {}", String::from_utf8_lossy(&message));
                }
            }
        }
    }
}

/// Catches: texts, folding, a hash or a form that has changed while [`VERSION`] has not: signatures on flash would
/// deny what reading finds. With such a change raise the version, and write the new number here.
#[test]
fn signatures_are_made_as_their_version_says() {
    let all = made_up().iter().fold(0, |crc, message| crc32c::crc32c_append(crc, &signature(message)));
    assert_eq!((VERSION, format!("{all:08x}").as_str()), (4, "8b9138a0"));
}

/// Words of all texts, as users would search for them.
fn words(messages: &[Vec<u8>]) -> Vec<String> {
    let mut words = BTreeSet::new();
    for message in messages {
        for text in texts(message) {
            let found = text.split(|c: char| !c.is_alphanumeric());
            words.extend(found.filter(|word| (5..16).contains(&word.chars().count())).map(str::to_lowercase));
        }
    }
    let step = (words.len() / 400).max(1);
    words.into_iter().step_by(step).collect()
}

/// How often a message is opened in vain. Prints the line for the table in `docs/store.md`. Catches: a filter that
/// always says yes, one that is too full, and signatures that are too long for what they save.
#[test]
fn a_signature_seldom_says_yes_for_nothing() {
    for (name, messages) in [("corpus", corpus()), ("written", written())] {
        let signatures: Vec<Vec<u8>> = messages.iter().map(|message| signature(message)).collect();
        let words = words(&messages);
        let (mut absent, mut opened) = (0, 0);
        for (message, signature) in messages.iter().zip(&signatures) {
            let all = texts(message).join("\n").to_lowercase();
            let size = message.len() as f64;
            for word in words.iter().filter(|word| !all.contains(*word)) {
                absent += message.len();
                opened += usize::from(may_be_in(signature, word)) * message.len();
            }
            assert!(signature.len() <= (size / 24.0).max(128.0) as usize && signature.len() <= MAX, "{name}");
        }
        let octets: usize = messages.iter().map(Vec::len).sum();
        let signed: usize = signatures.iter().map(Vec::len).sum();
        let (signed, opened) = (signed as f64 / octets as f64, opened as f64 / absent as f64);
        println!(
            "{name}: {} messages of {octets} octets: signatures {signed:.3}, opened for nothing {opened:.3}",
            messages.len()
        );
        assert!(signed < 0.045 && opened < 0.25, "{name}");
    }
}

/// Catches: a signature that says no although a search that reads the message finds the text. It does not depend on
/// [`texts`].
#[test]
fn reading_agrees() {
    let messages = corpus();
    let words: Vec<String> = words(&messages).into_iter().step_by(29).collect();
    for message in messages.iter().chain(&made_up()) {
        let signature = signature(message);
        for word in &words {
            assert!(may_be_in(&signature, word) || !is_found(message, word), "{word}");
        }
    }
}

proptest! {
    /// Catches: octets of a signature, damaged or random, on which the reader panics.
    #[test]
    fn any_octets_can_be_asked(octets in prop::collection::vec(any::<u8>(), 0..100), text in ".{0,20}") {
        may_be_in(&octets, &text);
        prop_assert!(may_be_in(&[], &text));
    }

    /// Catches: what the two tests above catch, in random texts.
    #[test]
    fn no_text_is_denied(head in "[ -~]{0,60}", body in "(?s).{0,200}", html in any::<bool>(), from in 0_usize..200, n in 3_usize..30) {
        let kind = if html { "text/html" } else { "text/plain" };
        let message = format!("Subject: {head}\r\nTo: {head}\r\nContent-Type: {kind}\r\n\r\n{body}");
        let signature = signature(message.as_bytes());
        let key: String = message.chars().skip(from).take(n).collect();
        prop_assert!(may_be_in(&signature, &key) || !is_found(message.as_bytes(), &key));
    }
}
