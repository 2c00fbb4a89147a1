//! The appliance beside a private Dovecot: the same mail, the same client, the same disk, in one run. Prints a table and
//! judges nothing: absolute figures belong to the machine, the ratio of the two columns is what to look at. The client's
//! own work is kept out of what is timed, so that it need not be an optimized build.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that cannot go on fails")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::client::Resumption;
use support::connection::trust;
use support::mail::{Dice, named};
use support::{Appliance, Connection, Dovecot, Imap, Pop3, appliance, proc};

/// Messages in the mailbox that is read.
const MESSAGES: usize = 2000;
/// Deliveries of each of the clients that deliver at once.
const EACH: usize = 100;
const CLIENTS: usize = 8;
const IDLE_CONNECTIONS: usize = 200;

/// One of the two servers.
struct Server {
    imap: SocketAddr,
    imaps: SocketAddr,
    pop3: SocketAddr,
    trust: Arc<ClientConfig>,
    pids: Box<dyn Fn() -> Vec<u32>>,
}

impl Server {
    fn login(&self, user: &str) -> Imap {
        Imap::login(Connection::open(self.imap), user, "pass")
    }
    fn login_tls(&self, user: &str) -> Imap {
        Imap::login(Connection::open(self.imaps).start_tls_with(self.trust.clone()), user, "pass")
    }
    fn select(&self, user: &str) -> Imap {
        let mut imap = self.login(user);
        imap.command("SELECT INBOX").ok();
        imap
    }
    fn memory(&self) -> u64 {
        (self.pids)().into_iter().map(proc::pss).sum()
    }
    fn written(&self) -> u64 {
        (self.pids)().into_iter().map(proc::written).sum()
    }
}

/// What is measured, and how to say it.
type Measure = (&'static str, fn(&Server) -> String);

const MEASURES: &[Measure] = &[
    ("memory at rest (PSS), nobody has come yet", |server| size(server.memory() as f64)),
    ("logins over TLS a second", logins),
    ("memory of an idle IMAP connection with TLS", idle_connections),
    ("durable deliveries a second, one client; bytes written per byte", deliveries),
    ("durable deliveries a second, eight clients", deliveries_at_once),
    ("FETCH (UID FLAGS), 2,000 messages", |server| listing(server, "UID FLAGS")),
    ("FETCH (UID ENVELOPE RFC822.SIZE), 2,000 messages", |server| {
        listing(server, "UID ENVELOPE RFC822.SIZE")
    }),
    ("FETCH of all bodies", bodies),
    ("POP3 RETR, messages a second", retr),
    ("SEARCH TEXT, a word that is nowhere", |server| search(server, "TEXT")),
    ("SEARCH SUBJECT, a word that is nowhere", |server| search(server, "SUBJECT")),
    ("IDLE: APPEND to its OK / to EXISTS elsewhere, median", idle),
];

fn main() {
    let users: Vec<String> = (0..CLIENTS).map(|n| format!("u{n}")).collect();
    let appliance = start_appliance(&users);
    let ours = Server {
        imap: appliance.ports.imap.address(),
        imaps: appliance.ports.imaps.address(),
        pop3: appliance.ports.pop3.address(),
        trust: without_resumption(&appliance.ca()),
        pids: {
            let pid = appliance.pid();
            Box::new(move || vec![pid])
        },
    };
    let logins: Vec<(&str, &str)> = users.iter().map(|user| (user.as_str(), "pass")).collect();
    let dovecot = Arc::new(Dovecot::start(&logins));
    let theirs = Server {
        imap: dovecot.ports.imap.address(),
        imaps: dovecot.ports.imaps.address(),
        pop3: dovecot.ports.pop3.address(),
        trust: without_resumption(dovecot.ca()),
        pids: {
            let dovecot = dovecot.clone();
            Box::new(move || dovecot.pids())
        },
    };
    println!("{:66} {:>22} {:>22}", "", "Pillarbox", "Dovecot, Maildir");
    let binary = std::fs::metadata(appliance::binary()).unwrap().len();
    println!("{:66} {:>22} {:>22}", "size of the binary", size(binary as f64), "");
    for (name, measure) in MEASURES {
        println!("{name:66} {:>22} {:>22}", measure(&ours), measure(&theirs));
    }
}

fn start_appliance(users: &[String]) -> Appliance {
    let accounts: String = users
        .iter()
        .map(|user| {
            format!(
                "[[account]]\nname = \"{user}\"\naddress = \"{user}@home.example\"\npassword = \"pass\"\n"
            )
        })
        .collect();
    Appliance::start(&format!("[server]\ndomains = [\"home.example\"]\nmax_connections = 1000\n{accounts}"))
}

/// Every handshake is a whole one.
fn without_resumption(ca: &Path) -> Arc<ClientConfig> {
    let mut config = (*trust(ca)).clone();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// Half of them up to 8 KiB, some much larger: 32 MB in all.
fn message(n: usize) -> Vec<u8> {
    let mut dice = Dice(n as u64);
    let size = match dice.below(10) {
        0..5 => 1_000 + dice.below(7_000),
        5..9 => 8_000 + dice.below(16_000),
        _ => 24_000 + dice.below(100_000),
    };
    named(&format!("message {n}"), size)
}

fn deliveries(server: &Server) -> String {
    let mut imap = server.login("u0");
    let before = server.written();
    let messages: Vec<_> = (0..MESSAGES).map(message).collect();
    let octets: usize = messages.iter().map(Vec::len).sum();
    let start = Instant::now();
    messages.iter().for_each(|message| imap.append("INBOX", message));
    let rate = per_second(MESSAGES, start);
    format!("{rate} {:6.2}", (server.written() - before) as f64 / octets as f64)
}

fn deliveries_at_once(server: &Server) -> String {
    let mut sessions: Vec<(Imap, Vec<Vec<u8>>)> = (0..CLIENTS)
        .map(|n| (server.login(&format!("u{n}")), (0..EACH).map(|m| message(n * EACH + m)).collect()))
        .collect();
    // Into another mailbox: the INBOX of u0 is what the other measures read.
    sessions.iter_mut().for_each(|(imap, _)| drop(imap.command("CREATE parallel").ok()));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for (imap, messages) in &mut sessions {
            scope.spawn(|| messages.iter().for_each(|message| imap.append("parallel", message)));
        }
    });
    per_second(CLIENTS * EACH, start)
}

fn listing(server: &Server, items: &str) -> String {
    let mut imap = server.select("u0");
    let command = format!("FETCH 1:* ({items})");
    milliseconds(median(15, || assert!(imap.drain(&command) > MESSAGES)))
}

fn bodies(server: &Server) -> String {
    let mut imap = server.select("u0");
    let mut octets = 0;
    let time = median(5, || octets = imap.drain("FETCH 1:* (BODY.PEEK[])"));
    format!("{:.0} MB/s", octets as f64 / 1e6 / time.as_secs_f64())
}

fn retr(server: &Server) -> String {
    let mut pop3 = Pop3::login(Connection::open(server.pop3), "u0", "pass");
    let count = pop3.count().min(1000);
    pop3.drain(1);
    let start = Instant::now();
    (1..=count).for_each(|n| assert!(pop3.drain(n) > 0));
    per_second(count, start)
}

fn search(server: &Server, key: &str) -> String {
    let mut imap = server.select("u0");
    milliseconds(median(5, || drop(imap.command(&format!("SEARCH {key} sesquipedalian")).ok())))
}

fn idle(server: &Server) -> String {
    const ROUNDS: usize = 31;
    let mut idler = server.login("u1");
    idler.command("SELECT INBOX").ok();
    let mut appender = server.login("u1");
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
    format!("{} / {}", milliseconds(middle(to_ok)), milliseconds(middle(to_exists)))
}

fn logins(server: &Server) -> String {
    const LOGINS: usize = 200;
    server.login_tls("u2").command("LOGOUT").ok();
    let start = Instant::now();
    (0..LOGINS).for_each(|_| drop(server.login_tls("u2").command("LOGOUT").ok()));
    per_second(LOGINS, start)
}

fn idle_connections(server: &Server) -> String {
    let mut open = vec![idling(server)];
    let before = server.memory();
    open.extend((0..IDLE_CONNECTIONS).map(|_| idling(server)));
    std::thread::sleep(Duration::from_millis(500));
    let more = server.memory().saturating_sub(before);
    drop(open);
    size(more as f64 / IDLE_CONNECTIONS as f64)
}

fn idling(server: &Server) -> Imap {
    let mut imap = server.login_tls("u3");
    imap.command("SELECT INBOX").ok();
    imap.send(b"IDLE").unwrap();
    imap.connection.line();
    imap
}

/// The median time of `runs` runs.
fn median(runs: usize, mut run: impl FnMut()) -> Duration {
    let timed = |_| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    middle((0..runs).map(timed).collect())
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn per_second(count: usize, start: Instant) -> String {
    format!("{:.0}", count as f64 / start.elapsed().as_secs_f64())
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

fn size(octets: f64) -> String {
    if octets < f64::from(1 << 20) {
        format!("{:.1} KiB", octets / 1024.0)
    } else {
        format!("{:.2} MiB", octets / 1048576.0)
    }
}
