//! Sending beside a private Postfix: what people submit, and what waits for the smarthost.
//!
//! Both take mail over TLS after a login, acknowledge it when it is durable, and send it through the same [`sink`]. Postfix has its
//! defaults. Each figure is the median of three runs, with servers that were just started, one after the other in turns.

mod postfix;
mod sink;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use self::postfix::Postfix;
use self::sink::Sink;
use super::multipop::line::Line;
use super::server::{message, messages};
use super::support::connection::trust;
use super::support::dovecot::Certificate;
use super::support::{Appliance, Connection, Dovecot, Scratch, Smtp, wait_up_to};
use super::table::Unit::{Milliseconds, PerSecond};
use super::table::{milliseconds, row};

/// Accounts `u0` to `u7`.
const SENDERS: usize = 8;
const RUNS: usize = 3;
const ROUND_TRIP: Duration = Duration::from_millis(50);
/// Until Postfix has put off all that was submitted.
const LIMIT: Duration = Duration::from_secs(5 * 60);

/// Who sends.
enum Mta {
    Pillarbox(Appliance),
    Postfix(Postfix),
}

/// How one starts that sends through the sink at this address, over TLS with its certificate where there is one.
type Start = fn(&Dovecot, SocketAddr, Option<&Certificate>) -> Mta;

/// Prints the rows that have `word` in their names.
pub fn table(word: &str) {
    println!("\n{:61} {:>12} {:>12} {:>7}", "Sending", "Pillarbox", "Postfix", "better");
    let logins: Vec<String> = (0..SENDERS).map(|n| format!("u{n}")).collect();
    let logins: Vec<(&str, &str)> = logins.iter().map(|login| (login.as_str(), "pass")).collect();
    let dovecot = Dovecot::start(&logins);
    let scratch = Scratch::new("sink");
    let certificate = Certificate::make(&scratch);
    for (closed, is_open) in [("", true), (", smarthost closed", false)] {
        for (clients, who) in [(1, "one client"), (SENDERS, "eight clients")] {
            let name = format!("submissions a second, {who}{closed}");
            if !name.contains(word) {
                continue;
            }
            let [ours, theirs] = medians(|start| submissions(start, &dovecot, clients, is_open));
            row(name.leak(), PerSecond, |_| 0.0).print(ours, Some(theirs));
        }
    }
    for (certificate, tls) in [(None, ""), (Some(&certificate), " over TLS")] {
        for (senders, whose) in [(SENDERS, "eight senders"), (1, "one sender")] {
            for round_trip in [Duration::ZERO, ROUND_TRIP] {
                let way = Way { round_trip, certificate };
                let (count, late) = (queued(), round_trip.as_millis());
                let name = format!("relaying {count} messages of {whose}{tls}, {late} ms");
                if !name.contains(word) {
                    continue;
                }
                let [ours, theirs] = medians(|start| relaying(start, &dovecot, senders, &way));
                row(name.leak(), Milliseconds, |_| 0.0).print(ours, Some(theirs));
            }
        }
    }
}

/// Of Pillarbox, and of Postfix.
fn medians(measure: impl Fn(Start) -> f64) -> [f64; 2] {
    let starts: [Start; 2] = [Mta::pillarbox, Mta::postfix];
    let mut figures = [const { Vec::new() }; 2];
    for _ in 0..RUNS {
        for (figures, start) in figures.iter_mut().zip(starts) {
            figures.push(measure(start));
        }
    }
    figures.map(|mut figures| {
        figures.sort_by(f64::total_cmp);
        figures[RUNS / 2]
    })
}

/// How many messages wait: 500 where `MESSAGES` says nothing else.
fn queued() -> usize {
    (messages() / 20).max(SENDERS)
}

/// Messages that were acknowledged in a second, by so many clients, each of an account of its own.
fn submissions(start: Start, dovecot: &Dovecot, clients: usize, is_open: bool) -> f64 {
    let sink = Sink::start(None);
    if is_open {
        sink.open();
    }
    let mta = start(dovecot, sink.address(), None);
    let count = messages() / 10;
    count as f64 / submit(&mta, clients, count).as_secs_f64()
}

/// The way to the sink.
struct Way<'a> {
    round_trip: Duration,
    certificate: Option<&'a Certificate>,
}

/// Milliseconds from the opening of the smarthost to its last message, all of which have waited for that.
fn relaying(start: Start, dovecot: &Dovecot, senders: usize, way: &Way<'_>) -> f64 {
    let sink = Sink::start(way.certificate);
    let line = (!way.round_trip.is_zero()).then(|| Line::to(sink.address(), way.round_trip));
    let mta = start(dovecot, line.as_ref().map_or(sink.address(), |line| line.address), way.certificate);
    let count = queued();
    submit(&mta, senders, count);
    mta.has_tried_all(&sink, count);
    let opened = Instant::now();
    sink.open();
    mta.flush();
    let time = sink.has(count) - opened;
    let mut sent: Vec<String> = (0..count).map(|n| format!("message {n}")).collect();
    sent.sort();
    assert!(sink.subjects() == sent, "not all of them, or some twice");
    milliseconds(time)
}

/// How long it takes until all are acknowledged.
fn submit(mta: &Mta, clients: usize, count: usize) -> Duration {
    let trust = mta.trust();
    let mut clients: Vec<Client> =
        (0..clients).map(|n| Client::new(mta.submissions(), &trust, n, clients, count)).collect();
    let start = Instant::now();
    std::thread::scope(|scope| {
        clients.iter_mut().for_each(|client| drop(scope.spawn(|| client.send_all())));
    });
    start.elapsed()
}

/// A mail program of the usual kind: it sends one message after the other over its connection, one command at a time, and leaves
/// Nagle's algorithm on.
struct Client {
    smtp: Smtp,
    address: String,
    mails: Vec<(String, Vec<u8>)>,
}

impl Client {
    /// Number `n` of so many `clients`, who have `count` messages together.
    fn new(server: SocketAddr, trust: &Arc<ClientConfig>, n: usize, clients: usize, count: usize) -> Client {
        let mut connection = Connection::open(server).start_tls_with(trust.clone());
        connection.use_nagle();
        let smtp = Smtp::login(connection, &format!("u{n}"), "pass");
        let address = format!("u{n}@home.example");
        let mails = (n..count).step_by(clients).map(|n| {
            let to = format!("friend{n}@outside.example");
            let head = format!(
                "From: <{address}>\r\nTo: <{to}>\r\nDate: Mon, 2 Feb 2026 10:00:00 +0000\r\nMessage-ID: <{n}@home.example>\r\n"
            );
            (to, [head.as_bytes(), &message(n)].concat())
        });
        let mails = mails.collect();
        Client { smtp, address, mails }
    }

    fn send_all(&mut self) {
        for (to, mail) in &self.mails {
            self.smtp.send(&self.address, &[to], mail);
        }
    }
}

impl Mta {
    fn pillarbox(_: &Dovecot, sink: SocketAddr, certificate: Option<&Certificate>) -> Mta {
        let account = |n| {
            format!("[[account]]\nname = \"u{n}\"\naddress = \"u{n}@home.example\"\npassword = \"pass\"\n")
        };
        let accounts: String = (0..SENDERS).map(account).collect();
        let security = match certificate {
            Some(certificate) => {
                format!("host = \"localhost\"\nsecurity = \"tls\"\nca = \"{}\"\n", certificate.ca.display())
            }
            None => "host = \"127.0.0.1\"\nsecurity = \"none\"\n".to_owned(),
        };
        // What did not get through goes when it is told to.
        Mta::Pillarbox(Appliance::start(&format!(
            "[server]\ndomains = [\"home.example\"]\n[smarthost]\nport = {}\nretry = [\"1d\"]\n{security}{accounts}",
            sink.port()
        )))
    }

    fn postfix(dovecot: &Dovecot, sink: SocketAddr, certificate: Option<&Certificate>) -> Mta {
        Mta::Postfix(Postfix::start(dovecot, sink, certificate.is_some()))
    }

    fn submissions(&self) -> SocketAddr {
        match self {
            Mta::Pillarbox(appliance) => appliance.ports.submissions.address(),
            Mta::Postfix(postfix) => postfix.submissions(),
        }
    }

    fn trust(&self) -> Arc<ClientConfig> {
        match self {
            Mta::Pillarbox(appliance) => trust(&appliance.ca()),
            Mta::Postfix(postfix) => trust(&postfix.ca),
        }
    }

    /// Waits until all that was submitted has been tried at the closed sink, and nothing goes on.
    fn has_tried_all(&self, sink: &Sink, count: usize) {
        if let Mta::Postfix(postfix) = self {
            wait_up_to(LIMIT, "all put off", || (postfix.deferred() == count).then_some(()));
        }
        sink.rests();
    }

    /// The operator's word to try all that waits.
    fn flush(&self) {
        match self {
            Mta::Pillarbox(appliance) => drop(appliance.console("retry")),
            Mta::Postfix(postfix) => postfix.flush(),
        }
    }
}
