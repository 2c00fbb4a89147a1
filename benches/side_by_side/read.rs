//! Reading the INBOX of `u0`, which the deliveries have filled.

use std::time::{Duration, Instant};

use super::server::{Server, messages};
use super::support::{Connection, Pop3};
use super::table::{milliseconds, percentile};

pub fn select(server: &Server) -> f64 {
    let mut sessions: Vec<_> = (0..5).map(|_| server.login("u0")).collect();
    let mut sessions = sessions.iter_mut();
    milliseconds(median(5, || drop(sessions.next().unwrap().command("SELECT INBOX").ok())))
}

pub fn memory(server: &Server) -> f64 {
    let mut imap = server.select("u0");
    imap.drain("FETCH 1:* (UID FLAGS)");
    server.memory()
}

pub fn listing(server: &Server, items: &str) -> f64 {
    let mut imap = server.select("u0");
    let command = format!("FETCH 1:* ({items})");
    milliseconds(median(9, || assert!(imap.drain(&command) > messages())))
}

pub fn bodies(server: &Server) -> f64 {
    let mut imap = server.select("u0");
    let mut octets = 0;
    let time = median(3, || octets = imap.drain("FETCH 1:* (BODY.PEEK[])"));
    octets as f64 / 1e6 / time.as_secs_f64()
}

pub fn retr(server: &Server) -> f64 {
    let mut pop3 = Pop3::login(Connection::open(server.pop3), "u0", "pass");
    let count = pop3.count().min(1000);
    pop3.drain(1);
    let start = Instant::now();
    (1..=count).for_each(|n| assert!(pop3.drain(n) > 0));
    count as f64 / start.elapsed().as_secs_f64()
}

pub fn search(server: &Server, key: &str) -> f64 {
    let mut imap = server.select("u0");
    milliseconds(median(9, || drop(imap.command(&format!("SEARCH {key} sesquipedalian")).ok())))
}

/// A command that is answered in one line or in few.
pub fn asked(server: &Server, command: &str) -> f64 {
    let mut imap = server.select("u0");
    milliseconds(median(5, || drop(imap.command(command).ok())))
}

/// A flag set and taken away in all messages, for nobody else to see.
pub fn store(server: &Server) -> f64 {
    let mut imap = server.select("u0");
    let mut signs = ["+", "-"].into_iter().cycle();
    let time = median(6, || {
        let sign = signs.next().unwrap();
        drop(imap.command(&format!("STORE 1:* {sign}FLAGS.SILENT (\\Flagged)")).ok());
    });
    milliseconds(time)
}

/// A mailbox twice as long; another session changes a hundred of its messages; until a client that knew all of them has
/// learned that.
pub fn reconnect(server: &Server) -> f64 {
    const MAILBOX: &str = "Twice";
    let mut other = server.select("u0");
    other.command(&format!("CREATE {MAILBOX}")).ok();
    for _ in 0..2 {
        other.command(&format!("COPY 1:* {MAILBOX}")).ok();
    }
    other.command("ENABLE QRESYNC").ok();
    let rounds = (0..5).map(|round| {
        let known = other.command(&format!("SELECT {MAILBOX}"));
        let known: String = known.text();
        let number = |word: &str| -> u64 {
            let (_, rest) = known.split_once(word).expect("a number that SELECT tells");
            rest.split(']').next().unwrap().parse().unwrap()
        };
        let known = format!("{} {}", number("[UIDVALIDITY "), number("[HIGHESTMODSEQ "));
        let stride = 2 * messages() / 100;
        let some = |from: usize, to: usize| {
            (from..to).map(|n| (round + n * stride + 1).to_string()).collect::<Vec<_>>().join(",")
        };
        other.command(&format!("STORE {} +FLAGS.SILENT (\\Answered)", some(0, 80))).ok();
        other.command(&format!("STORE {} +FLAGS.SILENT (\\Deleted)", some(80, 99))).ok();
        other.command("EXPUNGE").ok();
        let mut client = server.login("u0");
        let start = Instant::now();
        client.command("ENABLE QRESYNC").ok();
        let learned = client.command(&format!("SELECT {MAILBOX} (QRESYNC ({known}))")).text();
        let time = start.elapsed();
        assert!(
            learned.contains("VANISHED (EARLIER)") && learned.matches(" FETCH (").count() == 80,
            "{learned}"
        );
        time
    });
    milliseconds(percentile(rounds.collect(), 0.5))
}

/// The median time of `runs` runs.
fn median(runs: usize, mut run: impl FnMut()) -> Duration {
    let timed = |_| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    percentile((0..runs).map(timed).collect(), 0.5)
}
