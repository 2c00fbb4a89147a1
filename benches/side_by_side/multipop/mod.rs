//! MultiPOP beside fetchmail and getmail6: the same mail from the same Dovecot over TLS, and what it costs those who read meanwhile.
//!
//! Everything is left at the server, so that each begins with nothing. The appliance takes all messages, the median of three runs;
//! the others take the first of them, since some need minutes for all: `PEERS=2000` has them take as many.

mod collector;
pub mod line;
mod memory;
mod peers;

use std::net::SocketAddr;
use std::time::Duration;

use self::line::Line;
use self::peers::Peer;
use super::server::message;
use super::support::Dovecot;
use super::table::Unit::{Memory, Milliseconds};
use super::table::{percentile, row};

/// What is collected.
const MESSAGES: usize = 2000;
/// Of them, what the others collect unless `PEERS` says more.
const SAMPLE: usize = 150;
const ROUND_TRIPS: [Duration; 2] = [Duration::ZERO, Duration::from_millis(40)];
const PEERS: [(&str, Peer); 3] = [
    ("fetchmail, MDA", peers::fetchmail_mda),
    ("fetchmail, LMTP", peers::fetchmail_lmtp),
    ("getmail6", peers::getmail),
];

/// What mail is collected by.
#[derive(Clone, Copy, PartialEq)]
pub enum Protocol {
    Pop3,
    Imap,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Protocol::Pop3 => "pop3",
            Protocol::Imap => "imap",
        }
    }
    /// Where Dovecot serves it with TLS from the first octet.
    fn of(self, server: &Dovecot) -> SocketAddr {
        match self {
            Protocol::Pop3 => server.ports.pop3s.address(),
            Protocol::Imap => server.ports.imaps.address(),
        }
    }
}

/// Prints all rows.
pub fn table() {
    beside_others();
    println!();
    println!("{:61} {:>12}", "MultiPOP", "Pillarbox");
    let memory = |name, most, octets| row(name, Memory, |_| 0.0).limit(most).print(octets, None);
    let time =
        |name, most, milliseconds| row(name, Milliseconds, |_| 0.0).limit(most).print(milliseconds, None);
    let unlimited = f64::INFINITY;
    memory("20 sources of ten accounts at once: memory above rest", 3.0 * 1048576.0, memory::many_sources());
    let first = memory::first_collection();
    // What the store has to remember of 100,000 messages is no cost of collecting them.
    memory("100,000 messages, a first collection: memory above rest", unlimited, first.above_empty);
    memory("  above rest with these messages there, INBOX open", 8.0 * 1048576.0, first.above_full);
    time("  a thousand of them", unlimited, first.thousand);
    time("  NOOP of another session meanwhile, 99th percentile", 20.0, first.noop);
    time("  the slowest", 20.0, first.slowest);
    time("  while nothing is collected, 99th percentile", unlimited, first.noop_at_rest);
}

/// Messages a second, and the seconds that the whole collection took.
fn beside_others() {
    let sample = std::env::var("PEERS").map_or(SAMPLE, |count| count.parse().expect("PEERS is a number"));
    let mails: Vec<Vec<u8>> = (0..MESSAGES.max(sample)).map(message).collect();
    let server = Dovecot::start(&[("all", "pass"), ("some", "pass"), (peers::SINK, "pass")]);
    server.fill("all", &mails[..MESSAGES]);
    server.fill("some", &mails[..sample]);
    let octets: usize = mails[..MESSAGES].iter().map(Vec::len).sum();
    println!("\n{MESSAGES} messages, {} MB, collected and left; the others: {sample}", octets / 1_000_000);
    print!("{:40} {:>19}", "messages a second (seconds)", "Pillarbox");
    PEERS.iter().for_each(|(name, _)| print!(" {name:>19}"));
    println!(" {:>7}", "better");
    for protocol in [Protocol::Pop3, Protocol::Imap] {
        for round_trip in ROUND_TRIPS {
            let line = Line::to(protocol.of(&server), round_trip);
            let at = if round_trip.is_zero() { protocol.of(&server) } else { line.address };
            let runs = (0..3).map(|_| collector::collect(&server, at, protocol, "all", MESSAGES)).collect();
            let (ours, time) = rate(MESSAGES, percentile(runs, 0.5));
            print!(
                "{:40} {time:>19}",
                format!("{} over TLS, {} ms", protocol.name().to_uppercase(), round_trip.as_millis())
            );
            let mut best = 0.0_f64;
            for (_, peer) in PEERS {
                let (theirs, time) = rate(sample, peer(&server, at, protocol, "some", sample));
                best = best.max(theirs);
                print!(" {time:>19}");
            }
            println!(" {:>7.1} {}", ours / best, if ours < best { "<- worse" } else { "" });
        }
    }
}

/// Messages a second, alone and in words.
fn rate(messages: usize, time: Duration) -> (f64, String) {
    let rate = messages as f64 / time.as_secs_f64();
    (rate, format!("{rate:.0} ({:.2} s)", time.as_secs_f64()))
}
