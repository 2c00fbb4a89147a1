//! The smarthost that both send through: a program of the measurement, so that it costs both the same, and little. It offers what
//! Postfix's own server does, takes everything at once, keeps no content, and needs no login.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::super::support::dovecot::Certificate;
use super::super::support::loopback::{Loopback, Wire};
use super::super::support::wait_up_to;

/// A relaying that takes longer is none.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// Ends when dropped.
pub struct Sink {
    server: Loopback,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    open: AtomicBool,
    /// Connections so far, and those that there are.
    came: AtomicUsize,
    present: AtomicUsize,
    /// The Subject of each message, in the order in which they came.
    taken: Mutex<Vec<String>>,
    last: Mutex<Option<Instant>>,
}

impl Sink {
    /// Starts, over TLS with `certificate` where there is one. Until it opens it greets with 421.
    pub fn start(certificate: Option<&Certificate>) -> Sink {
        let state = Arc::<State>::default();
        let shared = state.clone();
        let server = Loopback::serve(certificate, move |wire| {
            shared.came.fetch_add(1, Ordering::Relaxed);
            shared.present.fetch_add(1, Ordering::Relaxed);
            let talked = talk(wire, &shared);
            shared.present.fetch_sub(1, Ordering::Relaxed);
            talked
        });
        Sink { server, state }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// From now on it takes mail.
    pub fn open(&self) {
        self.state.open.store(true, Ordering::Relaxed);
    }

    /// Waits until nobody has come for half a second, and nobody is there.
    pub fn rests(&self) {
        let mut before = usize::MAX;
        while before != self.came() || self.state.present.load(Ordering::Relaxed) > 0 {
            before = self.came();
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Connections so far.
    pub fn came(&self) -> usize {
        self.state.came.load(Ordering::Relaxed)
    }

    /// Waits until it has so many messages: when the last one of them was taken.
    pub fn has(&self, count: usize) -> Instant {
        wait_up_to(LIMIT, "the last message at the sink", || {
            (self.state.taken.lock().unwrap().len() >= count).then_some(())
        });
        self.state.last.lock().unwrap().unwrap()
    }

    /// The Subjects of all messages, sorted, once nobody is there any more who could bring one again.
    pub fn subjects(&self) -> Vec<String> {
        self.rests();
        let mut subjects = self.state.taken.lock().unwrap().clone();
        subjects.sort();
        subjects
    }
}

fn talk(mut wire: Wire, state: &State) -> io::Result<()> {
    if !state.open.load(Ordering::Relaxed) {
        return wire.say("421 4.3.2 Closed\r\n");
    }
    wire.say("220 smarthost.example ESMTP\r\n")?;
    while let Some(command) = wire.command()? {
        let verb = command.split(' ').next().unwrap_or_default().to_uppercase();
        match verb.as_str() {
            "EHLO" => wire.say(
                "250-smarthost.example\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n\
                 250-DSN\r\n250-SMTPUTF8\r\n250 CHUNKING\r\n",
            )?,
            "DATA" => {
                wire.say("354 Go on\r\n")?;
                let subject = content(&mut wire)?;
                take(&mut wire, state, subject)?;
            }
            "BDAT" => {
                let mut words = command.split(' ').skip(1);
                let size = words.next().and_then(|size| size.parse().ok());
                let chunk = wire.octets(size.ok_or(io::ErrorKind::InvalidData)?)?;
                // Whole messages only, which is what comes.
                assert!(words.next().is_some_and(|last| last.eq_ignore_ascii_case("LAST")), "{command}");
                let subject = chunk.split(|&octet| octet == b'\n').find_map(subject_of);
                take(&mut wire, state, subject)?;
            }
            "QUIT" => return wire.say("221 2.0.0 Bye\r\n"),
            _ => wire.say("250 2.1.0 Ok\r\n")?,
        }
    }
    Ok(())
}

fn take(wire: &mut Wire, state: &State, subject: Option<String>) -> io::Result<()> {
    *state.last.lock().unwrap() = Some(Instant::now());
    state.taken.lock().unwrap().push(subject.unwrap_or_default());
    wire.say("250 2.0.0 Taken\r\n")
}

/// The content up to its final dot: its Subject.
fn content(wire: &mut Wire) -> io::Result<Option<String>> {
    let (mut line, mut subject) = (Vec::new(), None);
    while wire.read(&mut line)? {
        if line == b".\r\n" {
            return Ok(subject);
        }
        subject = subject.or_else(|| subject_of(&line));
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

fn subject_of(line: &[u8]) -> Option<String> {
    line.strip_prefix(b"Subject: ").map(|subject| String::from_utf8_lossy(subject).trim_end().to_owned())
}
