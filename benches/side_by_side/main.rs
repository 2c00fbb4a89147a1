//! The appliance beside a private Dovecot: the same mail, the same client, the same disk, in one run. Prints a table
//! and judges nothing but with a mark: absolute figures belong to the machine, the ratio of the two columns is what to
//! look at. The client's own work is kept out of what is timed, so that it need not be an optimized build.
//!
//! `MESSAGES=2000 make bench` takes a smaller mailbox, where the disk is slow. `cargo bench --profile dev --bench
//! side_by_side -- wear` prints what is written for what, alone; `multipop` measures only collections, beside fetchmail and
//! getmail6; `sending` only what is sent, beside Postfix, and with another word the rows that have it in their names; `search`
//! only searches, other words only the rows that have one of them in their names: most need the mail of `one client`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that cannot go on fails")]

#[path = "../../tests/support/mod.rs"]
mod support;

mod deliver;
mod large;
mod multipop;
mod people;
mod read;
mod search;
mod sending;
mod server;
mod stall;
mod table;
mod wear;

use server::Server;
use support::appliance;
use table::Unit::{Factor, Memory, Milliseconds, PerSecond, Speed};
use table::{Row, row};

/// A row a line: its name, its unit, how it is measured, and what is to be reached: a ratio (1 where nothing is said)
/// or a figure. Later rows read what the deliveries have left.
const ROWS: &[Row] = &[
    row("memory at rest, nobody has come yet", Memory, |server| server.memory()),
    row("logins over TLS a second", PerSecond, people::logins),
    row("durable deliveries a second, one client", PerSecond, deliver::one_client).ratio(2.0),
    row("  bytes written per byte delivered", Factor, |server| server.noted("one client"))
        .ratio(2.0)
        .limit(1.35),
    row("durable deliveries a second, eight clients, one account", PerSecond, deliver::eight_clients)
        .ratio(4.0),
    row("  bytes written per byte delivered", Factor, |server| server.noted("eight clients")).limit(1.15),
    row("durable deliveries a second, eight clients, eight accounts", PerSecond, deliver::eight_accounts)
        .ratio(4.0),
    row("SELECT of that mailbox", Milliseconds, read::select),
    row("  memory with it open", Memory, read::memory),
    row("FETCH (UID FLAGS)", Milliseconds, |server| read::listing(server, "UID FLAGS")),
    row("FETCH (UID ENVELOPE RFC822.SIZE)", Milliseconds, |server| {
        read::listing(server, "UID ENVELOPE RFC822.SIZE")
    })
    .ratio(2.0),
    row("FETCH (UID BODYSTRUCTURE)", Milliseconds, |server| read::listing(server, "UID BODYSTRUCTURE")),
    row("FETCH of all bodies", Speed, read::bodies).ratio(2.0),
    row("POP3 RETR, messages a second", PerSecond, read::retr).ratio(3.0),
    row("STORE of a flag in all of them", Milliseconds, read::store),
    row("SORT (SUBJECT)", Milliseconds, |server| read::asked(server, "SORT (SUBJECT) UTF-8 ALL")),
    row("THREAD REFERENCES", Milliseconds, |server| read::asked(server, "THREAD REFERENCES UTF-8 ALL")),
    row("QRESYNC: 99 changes in twice as many", Milliseconds, read::reconnect),
    row("SEARCH TEXT, a word that is nowhere", Milliseconds, |server| read::search(server, "TEXT")),
    row("SEARCH SUBJECT, a word that is nowhere", Milliseconds, |server| read::search(server, "SUBJECT"))
        .ratio(5.0),
    row("APPEND to its OK, median", Milliseconds, people::append),
    row("  by a client that sends its last CRLF by itself", Milliseconds, people::append_in_pieces),
    row("APPEND to EXISTS in an idling session, median", Milliseconds, |server| server.noted("idle")),
    row("memory of 100 idle IMAP connections with TLS", Memory, |server| {
        people::idle_connections(server, 100)
    }),
    row("memory of 500 idle connections", Memory, |server| people::idle_connections(server, 500))
        .limit(500.0 * 6.0 * 1024.0),
    row("100,000 messages: first login and SELECT after the start", Milliseconds, large::opening)
        .alone()
        .limit(100.0),
    row("  memory that it takes", Memory, |server| server.noted("large")).alone().limit(6.0 * 1048576.0),
    row("syncs of 300 ms: NOOP while another appends, 99th percentile", Milliseconds, stall::noop)
        .alone()
        .limit(20.0),
    row("  FETCH likewise", Milliseconds, |server| server.noted("stalled FETCH")).alone().limit(20.0),
    row("  eight that append together, times the rate of one", Factor, stall::together).alone().at_least(5.0),
];

/// In a mailbox that says something, with nothing of it in memory.
const SEARCHES: &[Row] = &[
    row("delivered for searches: bytes written per byte delivered", Factor, search::fill).limit(1.35),
    row("  signatures, octets per octet delivered", Factor, |server| server.noted("signatures"))
        .alone()
        .limit(0.05),
    row("SEARCH TEXT, nothing in memory: words that are nowhere", Milliseconds, |server| {
        search::cold(server, search::ABSENT)
    })
    .ratio(10.0),
    row("  octets read", Memory, |server| server.noted(search::ABSENT[0])).ratio(20.0),
    row("SEARCH TEXT: words in one of a thousand", Milliseconds, |server| search::cold(server, search::RARE))
        .ratio(10.0),
    row("  octets read", Memory, |server| server.noted(search::RARE[0])).ratio(20.0),
    row("SEARCH TEXT: words in one of fifty", Milliseconds, |server| search::cold(server, search::COMMON))
        .ratio(10.0),
    row("  octets read", Memory, |server| server.noted(search::COMMON[0])).ratio(20.0),
];

fn main() {
    if std::env::args().any(|argument| argument == "wear") {
        return wear::table();
    }
    if std::env::args().any(|argument| argument == "multipop") {
        return multipop::table();
    }
    // Cargo adds an option of its own.
    let words = || std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    if words().any(|word| word == "sending") {
        return sending::table(&words().find(|word| word != "sending").unwrap_or_default());
    }
    let (ours, theirs) = (Server::appliance(), Server::dovecot());
    println!("{} messages of 16 KB on average\n", server::messages());
    table::head();
    let binary = std::fs::metadata(appliance::binary()).unwrap().len();
    row("size of the binary", Memory, |_| 0.0).print(binary as f64, None);
    let only_searches = std::env::args().any(|argument| argument == "search");
    let words: Vec<String> = words().filter(|word| word != "search").collect();
    if !words.is_empty() {
        let wanted = ROWS.iter().filter(|row| words.iter().any(|word| row.is_about(word)));
        return wanted.for_each(|row| row.measure(&ours, &theirs));
    }
    for row in ROWS.iter().filter(|_| !only_searches).chain(SEARCHES) {
        row.measure(&ours, &theirs);
    }
    if !only_searches {
        multipop::table();
        sending::table("");
        wear::table();
    }
}
