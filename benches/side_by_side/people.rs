//! People who log in, wait, and are told.

use std::time::{Duration, Instant};

use super::server::Server;
use super::support::Imap;
use super::support::mail::named;
use super::table::{milliseconds, percentile};

pub fn logins(server: &Server) -> f64 {
    const LOGINS: usize = 200;
    server.login_tls("u12").command("LOGOUT").ok();
    let start = Instant::now();
    (0..LOGINS).for_each(|_| drop(server.login_tls("u12").command("LOGOUT").ok()));
    LOGINS as f64 / start.elapsed().as_secs_f64()
}

/// What so many add to a server that has done nothing else.
pub fn idle_connections(server: &Server, count: usize) -> f64 {
    let server = &server.another();
    let mut open = vec![idling(server)];
    let before = server.memory();
    open.extend((0..count).map(|_| idling(server)));
    std::thread::sleep(Duration::from_millis(500));
    let more = (server.memory() - before).max(0.0);
    drop(open);
    more
}

fn idling(server: &Server) -> Imap {
    let mut imap = server.login_tls("u13");
    imap.command("SELECT INBOX").ok();
    imap.send(b"IDLE").unwrap();
    imap.connection.line();
    imap
}

/// Until the OK; notes how long it takes until another session that is idling hears of it.
pub fn append(server: &Server) -> f64 {
    const ROUNDS: usize = 31;
    let mut idler = server.select("u14");
    let mut appender = server.login("u14");
    idler.send(b"IDLE").unwrap();
    idler.connection.line();
    let (mut to_ok, mut to_exists) = (Vec::new(), Vec::new());
    for n in 0..ROUNDS {
        let message = named(&format!("wake {n}"), 2_000);
        let start = Instant::now();
        let woken = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                while !idler.connection.line().contains("EXISTS") {}
                start.elapsed()
            });
            appender.append("INBOX", &message);
            to_ok.push(start.elapsed());
            waiting.join().unwrap()
        });
        to_exists.push(woken);
    }
    server.note("idle", milliseconds(percentile(to_exists, 0.5)));
    milliseconds(percentile(to_ok, 0.5))
}

/// As Python's imaplib sends it: the message when the server has asked for it, its last CRLF by itself, and Nagle's algorithm on.
pub fn append_in_pieces(server: &Server) -> f64 {
    let mut client = server.login("u14");
    client.connection.use_nagle();
    let rounds = (0..31).map(|n| {
        let message = named(&format!("pieces {n}"), 2_000);
        let start = Instant::now();
        let tag = client.send(format!("APPEND INBOX {{{}}}", message.len()).as_bytes()).unwrap();
        client.connection.line();
        client.connection.send(&message);
        client.connection.send("\r\n");
        client.answer(&tag).unwrap().ok();
        start.elapsed()
    });
    milliseconds(percentile(rounds.collect(), 0.5))
}
