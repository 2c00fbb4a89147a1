//! Searches in the text of messages that say something, in a mailbox of their own, with nothing of it in memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};

use super::deliver;
use super::server::{Server, messages};
use super::support::mail::Dice;
use super::table::{milliseconds, percentile};

/// Whose INBOX it is.
pub const USER: &str = "u11";
/// Words that are equally rare; several, since how much a signature tells of a word is that word's luck.
pub type Words = [&'static str; 4];
/// In one message of a thousand, in one of fifty, and in none.
pub const RARE: Words = ["quicksilver", "hippopotamus", "marzipan", "thunderstorm"];
pub const COMMON: Words = ["thursday", "umbrella", "breakfast", "invoice"];
pub const ABSENT: Words = ["sesquipedalian", "xylophone", "knapsack", "ultraviolet"];

/// Words of a language, the first ones the most frequent.
const WORDS: usize = 20_000;

/// Fills the mailbox, and waits until what is made behind the deliveries is made; octets written for each octet delivered,
/// that included.
pub fn fill(server: &Server) -> f64 {
    let words: Vec<String> = (0..WORDS).map(word).collect();
    let mails: Vec<Vec<u8>> = (0..messages()).map(|n| message(n, &words)).collect();
    let octets: usize = mails.iter().map(Vec::len).sum();
    let before = server.written();
    deliver::all(server, USER, &mails);
    // Until it has been still for longer than it ever is.
    let mut made = (u64::MAX, Instant::now());
    while made.1.elapsed() < Duration::from_secs(25) {
        let now = signatures(&server.folder).values().sum();
        if made.0 != now {
            made = (now, Instant::now());
        }
        if now == 0 && server.domain.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    server.note("signatures", made.0 as f64 / octets as f64);
    (server.written() - before) / octets as f64
}

/// Milliseconds of a search for each of the words with nothing in memory, the median; notes under the first word the octets that
/// were read for one on average.
pub fn cold(server: &Server, words: Words) -> f64 {
    let mut imap = server.select(USER);
    let mut times = Vec::new();
    let mut read = 0.0;
    for word in words {
        forget(&server.folder);
        let (before, start) = (server.read(), Instant::now());
        imap.command(&format!("SEARCH TEXT {word}")).ok();
        times.push(start.elapsed());
        read += server.read() - before;
    }
    let [first, ..] = words;
    server.note(first, read / words.len() as f64);
    milliseconds(percentile(times, 0.5))
}

/// Has the kernel forget what it holds of all files below `folder`.
fn forget(folder: &Path) {
    rustix::fs::sync();
    for path in files(folder) {
        // Sockets and what is gone meanwhile have nothing to be forgotten.
        if let Ok(file) = fs::File::open(path) {
            fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The files of signatures, and how long they are.
fn signatures(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let own =
        files(folder).into_iter().filter(|path| path.parent().is_some_and(|dir| dir.ends_with("signature")));
    own.map(|path| (path.clone(), fs::metadata(path).map_or(0, |data| data.len()))).collect()
}

/// A word of two to five syllables.
fn word(n: usize) -> String {
    let mut dice = Dice(n as u64 + 1_000_000);
    let consonants = b"bcdfghjklmnprstvwz";
    let syllables = 1 + (n + 1).ilog2() as usize / 4 + dice.below(2);
    let syllable = |dice: &mut Dice| {
        let mut text = String::from(char::from(consonants[dice.below(consonants.len())]));
        text.push(char::from(b"aeiou"[dice.below(5)]));
        if dice.below(2) == 0 {
            text.push(char::from(consonants[dice.below(consonants.len())]));
        }
        text
    };
    (0..syllables).map(|_| syllable(&mut dice)).collect()
}

/// The usual mix of sizes, of words as frequent as words are: half of the longer ones have an attachment for most of it.
fn message(n: usize, words: &[String]) -> Vec<u8> {
    let mut dice = Dice(n as u64 + 7);
    let size = match dice.below(10) {
        0..5 => 1_000 + dice.below(7_000),
        5..9 => 8_000 + dice.below(16_000),
        _ => 24_000 + dice.below(100_000),
    };
    let mut noise =
        |length: usize| -> String { (0..length).map(|_| char::from(b'A' + dice.below(26) as u8)).collect() };
    let header = format!(
        "Received: from mail.example.org by mx.home.example with ESMTPS id {}\r\nDKIM-Signature: v=1; b={}\r\n\
         Message-ID: <{}@example.org>\r\nFrom: somebody@example.org\r\nSubject: message {n}\r\nMIME-Version: 1.0\r\n",
        noise(20),
        noise(172),
        noise(20)
    );
    let attached = if size > 24_000 { size - 12_000 } else { 0 };
    let mut mail =
        format!("{header}Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n").into_bytes();
    if n % 1000 == 500 {
        mail.extend(format!("{}\r\n", RARE.join(" ")).into_bytes());
    }
    if n % 50 == 25 {
        mail.extend(format!("{}\r\n", COMMON.join(" ")).into_bytes());
    }
    let mut line = 0;
    while mail.len() + attached < size {
        // The logarithm of the rank is even: Zipf's law, about.
        let rank = (WORDS as f64).powf(dice.below(1 << 20) as f64 / f64::from(1 << 20)) as usize - 1;
        let word = &words[rank.min(WORDS - 1)];
        mail.extend(word.bytes());
        line += word.len() + 1;
        // No line may have more than 998 octets (RFC 5322 section 2.1.1).
        if dice.below(12) == 0 || line > 900 {
            line = 0;
        }
        mail.extend(if line == 0 { &b"\r\n"[..] } else { b" " });
    }
    mail.extend(
        b"\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n",
    );
    while mail.len() < size {
        mail.extend((0..76).map(|_| b'A' + dice.below(26) as u8));
        mail.extend(b"\r\n");
    }
    mail.extend(b"--b--\r\n");
    mail
}
