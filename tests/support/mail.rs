//! Messages: the corpus, and generated ones that are awkward on purpose.

use std::path::Path;

/// CRLF at the end of every line, the last one included: the form in which POP3 and SMTP carry a message.
pub fn canonical(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    for &octet in message {
        if octet == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(octet);
    }
    if !out.ends_with(b"\r\n") {
        out.extend(b"\r\n");
    }
    out
}

/// As clients keep a message in a file: lines without their ends, however these are written.
pub fn lines(message: &[u8]) -> Vec<u8> {
    let without_cr = |line: &[u8]| line.iter().rposition(|&octet| octet != b'\r').map_or(0, |last| last + 1);
    let mut out = Vec::with_capacity(message.len());
    for line in message.strip_suffix(b"\n").unwrap_or(message).split(|&octet| octet == b'\n') {
        out.extend(&line[..without_cr(line)]);
        out.push(b'\n');
    }
    out
}

/// RFC 5321 section 4.5.2: a dot at the beginning of a line is doubled.
pub fn dot_stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    for &octet in message {
        if octet == b'.' && (out.is_empty() || out.ends_with(b"\n")) {
            out.push(b'.');
        }
        out.push(octet);
    }
    out
}

/// All messages of `tests/data/corpus`, in canonical form, by name.
pub fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/corpus");
    let mut messages: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "eml"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap()))
        .map(|(name, message)| (name, canonical(&message)))
        .collect();
    messages.sort();
    messages
}

/// The message number `n` of a reproducible series: most of a few KiB, some empty, some larger than the store keeps in
/// its log, with dots at line starts, long lines, octets above 127 and bare CR.
pub fn generated(n: usize) -> Vec<u8> {
    let mut dice = Dice(n as u64 + 1);
    let mut message = format!(
        "Message-ID: <{n}@generated.example>\r\nDate: Mon, 2 Feb 2026 10:{:02}:{:02} +0000\r\n\
         From: sender{n}@elsewhere.example\r\nTo: u0@home.example\r\nSubject: Generated message {n}\r\n\r\n",
        n / 60 % 60,
        n % 60
    )
    .into_bytes();
    let size = match n % 100 {
        13 => 0,
        42 => 200_000,
        77 => 70_000,
        _ => 200 + dice.below(16_000),
    };
    let end = message.len() + size;
    while message.len() < end {
        match dice.below(20) {
            0 => message.extend(b".\r\n"),
            1 => message.extend(b"..two dots\r\n"),
            2 => message.extend(b"\r\n"),
            3 => message.extend("Grüße, čau, 日本\r\n".as_bytes()),
            4 => message.extend(b"From here on \xe4\xf6\xfc\xff\r\n"),
            5 => message.extend([b"x".repeat(dice.below(900)).as_slice(), b"\r\n"].concat()),
            _ => {
                let line = (0..4 + dice.below(10)).map(|_| format!("{:x} ", dice.next())).collect::<String>();
                message.extend([line.trim_end().as_bytes(), b"\r\n"].concat());
            }
        }
    }
    message
}

/// A short message that names itself, for tests that count what arrived.
pub fn named(name: &str, size: usize) -> Vec<u8> {
    let mut message = format!("Subject: {name}\r\n\r\n{name} begins\r\n").into_bytes();
    while message.len() < size {
        message
            .extend(format!("{:06} of {name}, a line of an ordinary length\r\n", message.len()).as_bytes());
    }
    message.extend(format!("{name} ends\r\n").as_bytes());
    message
}

/// splitmix64: reproducible and good enough for tests.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// What differs between two sets of messages, in words a person can use; `None` when nothing does. Duplicates count.
pub fn difference(expected: &[Vec<u8>], found: &[Vec<u8>]) -> Option<String> {
    let count = |all: &[Vec<u8>]| {
        let mut counts = std::collections::BTreeMap::<Vec<u8>, i32>::new();
        all.iter().for_each(|message| *counts.entry(message.clone()).or_default() += 1);
        counts
    };
    let mut balance = count(expected);
    for (message, n) in count(found) {
        *balance.entry(message).or_default() -= n;
    }
    let describe = |message: &[u8]| {
        let head = String::from_utf8_lossy(&message[..message.len().min(400)]).into_owned();
        format!("{} octets: {:?}", message.len(), head)
    };
    let lines: Vec<_> = balance
        .iter()
        .filter(|(_, n)| **n != 0)
        .map(|(message, n)| match n {
            1.. => format!("missing {n}: {}", describe(message)),
            _ => format!("too many {}: {}", -n, describe(message)),
        })
        .collect();
    (!lines.is_empty()).then(|| {
        let shown = lines.iter().take(6).cloned().collect::<Vec<_>>().join("\n");
        format!("{} expected, {} found, {} differ:\n{shown}", expected.len(), found.len(), lines.len())
    })
}
