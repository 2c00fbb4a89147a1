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

/// The median time of `runs` runs.
fn median(runs: usize, mut run: impl FnMut()) -> Duration {
    let timed = |_| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    percentile((0..runs).map(timed).collect(), 0.5)
}
