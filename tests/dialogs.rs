//! Plays `tests/dialogs/SERVICE/NAME.dialog`: one connection each, told line by line (`tests/dialogs/README.md`).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use support::{Appliance, Connection, Imap};

const CONFIG: &str = r#"
[server]
domains = ["home.example"]
max_message_size = "1MiB"

[[account]]
name = "demo"
address = "demo@home.example"
aliases = ["alias@home.example"]
password = "demo password"

[[account]]
name = "other"
address = "other@home.example"
password = "other password"
"#;

#[test]
fn pop3() {
    play_all("pop3");
}

#[test]
fn imap() {
    play_all("imap");
}

#[test]
fn smtp() {
    play_all("smtp");
}

/// Plays the dialogs of a folder, a few at a time, and fails with all that went wrong.
fn play_all(service: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogs").join(service);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "dialog"));
    assert!(!files.is_empty(), "no dialogs in {}", folder.display());
    files.sort();
    let (queue, failures) = (Mutex::new(files.into_iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(file) = { queue.lock().unwrap().next() } {
                    let played = std::panic::catch_unwind(|| play(service, &file));
                    let failure = played.unwrap_or_else(|panic| {
                        let words = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                        Err(format!("{}: {words}", file.display()))
                    });
                    failures.lock().unwrap().extend(failure.err());
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} dialogs failed:\n{}", failures.len(), failures.join("\n"));
}

/// One dialog on an appliance of its own; the error says where it went another way and how.
fn play(service: &str, file: &Path) -> Result<(), String> {
    let text = fs::read_to_string(file).unwrap();
    let shown = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(file).display();
    let appliance = Appliance::start(CONFIG);
    let mut service = if service == "smtp" { "submission" } else { service };
    let mut wire = None;
    let mut skipping = false;
    for (number, line) in text.lines().enumerate() {
        let fail = |words: String| Err(format!("{shown}:{}: {words}", number + 1));
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "" | "#" => continue,
            "DELIVER" => {
                deliver(&appliance, rest);
                continue;
            }
            "CONNECT" => {
                (service, wire) = (rest, None);
                continue;
            }
            _ => {}
        }
        let connection = match wire.take() {
            Some(connection) => connection,
            None => connect(&appliance, service),
        };
        let connection = wire.insert(connection);
        match word {
            "C:" => connection.send([octets(rest), b"\r\n".to_vec()].concat()),
            "SEND" => connection.send(octets(rest)),
            "REPEAT" => {
                let (times, text) = rest.split_once(' ').unwrap();
                // The server may have had enough and closed long before the last one.
                let _ = connection.try_send(&octets(text).repeat(times.parse().unwrap()));
            }
            "TLS" => wire = wire.map(|connection| connection.start_tls(&appliance.ca())),
            "S:" if rest == "..." => skipping = true,
            "S:" | "S=" => loop {
                let Some(got) = connection.try_line() else {
                    return fail(format!("the server closed, expected {rest:?}"));
                };
                let got = String::from_utf8_lossy(&got);
                if if word == "S=" { rest == got } else { matches(rest, &got) } {
                    skipping = false;
                    break;
                }
                if !skipping {
                    return fail(format!("expected {rest:?}, got {got:?}"));
                }
            },
            "CLOSED" => {
                let rest = connection.rest();
                if !rest.is_empty() {
                    return fail(format!("expected the end, got {:?}", String::from_utf8_lossy(&rest)));
                }
            }
            _ => return fail(format!("no such line in a dialog: {line}")),
        }
    }
    // Whatever was said, the appliance lives on and serves the next one.
    Imap::login(Connection::open(appliance.ports.imap.address()), "demo", "demo password");
    Ok(())
}

fn deliver(appliance: &Appliance, file: &str) {
    let message = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)).unwrap();
    Imap::login(Connection::open(appliance.ports.imap.address()), "demo", "demo password")
        .append("INBOX", &support::mail::canonical(&message));
}

fn connect(appliance: &Appliance, service: &str) -> Connection {
    let address: SocketAddr = appliance
        .ports
        .all()
        .iter()
        .find(|(name, _)| *name == service)
        .unwrap_or_else(|| panic!("no service {service}"))
        .1;
    if ["pop3s", "imaps", "submissions"].contains(&service) {
        Connection::open_tls(address, &appliance.ca())
    } else {
        Connection::open(address)
    }
}

/// Whether `line` begins as `pattern` says; `*` stands for any text.
fn matches(pattern: &str, line: &str) -> bool {
    match pattern.split_once('*') {
        None => line.starts_with(pattern),
        Some((literal, rest)) => line.strip_prefix(literal).is_some_and(|line| {
            (0..=line.len()).any(|at| line.get(at..).is_some_and(|line| matches(rest, line)))
        }),
    }
}

/// The octets that a text with escapes stands for.
fn octets(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        let (octet, length) = match rest.as_bytes() {
            [b'r', ..] => (b'\r', 1),
            [b'n', ..] => (b'\n', 1),
            [b't', ..] => (b'\t', 1),
            [b'0', ..] => (0, 1),
            [b'\\', ..] => (b'\\', 1),
            [b'x', ..] => match rest.get(1..3).map(|hex| u8::from_str_radix(hex, 16)) {
                Some(Ok(octet)) => (octet, 3),
                _ => (b'\\', 0),
            },
            _ => (b'\\', 0),
        };
        out.push(octet);
        rest = &rest[length..];
    }
    out.extend(rest.as_bytes());
    out
}

#[test]
fn patterns_and_escapes() {
    for (pattern, line, fits) in [
        ("+OK", "+OK ready", true),
        ("+OK", "-ERR", false),
        ("* OK *", "* OK [CAPABILITY IMAP4rev1] hello", true),
        ("1 * x", "1 abc x and more", true),
        ("1 * x", "1 abc", false),
        ("", "anything", true),
    ] {
        assert_eq!(matches(pattern, line), fits, "{pattern:?} on {line:?}");
    }
    assert_eq!(octets(r"a\r\n\0\x80\\(\Seen) \xzz"), b"a\r\n\0\x80\\(\\Seen) \\xzz");
}
