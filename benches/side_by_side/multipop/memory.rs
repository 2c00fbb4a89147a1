//! What a collection takes of the appliance, and of those whom it serves meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::super::server::message;
use super::super::support::dovecot::Certificate;
use super::super::support::loopback::{Loopback, Wire};
use super::super::support::mail::named;
use super::super::support::{Appliance, Connection, Dovecot, Imap, Scratch, proc};
use super::super::table::{milliseconds, percentile};
use super::{Protocol, collector};

const ACCOUNTS: usize = 10;
/// Messages in each of their mailboxes.
const EACH: usize = 100;
const MESSAGES: usize = 100_000;
/// Who has collected before, so that the program's code is in memory at rest.
const FEW: &str = "few";
/// Somebody who reads does something so often.
const PAUSE: Duration = Duration::from_millis(5);

/// The peak above rest while each of ten accounts collects by POP3 and by IMAP. [`FEW`] has collected before by both.
pub fn many_sources() -> f64 {
    let users: Vec<String> = (0..ACCOUNTS).map(|n| format!("u{n}")).chain([FEW.to_owned()]).collect();
    let logins: Vec<(&str, &str)> = users.iter().map(|user| (user.as_str(), "pass")).collect();
    let server = Dovecot::start(&logins);
    let mails: Vec<Vec<u8>> = (0..EACH).map(message).collect();
    users.iter().for_each(|user| server.fill(user, &mails));
    let account = |user: &String| {
        let source =
            |protocol: Protocol| collector::collects(protocol.of(&server), protocol, user, server.ca());
        collector::account(user) + &source(Protocol::Pop3) + &source(Protocol::Imap)
    };
    let appliance = collector::start(&users.iter().map(account).collect::<String>());
    collector::set(&appliance, [FEW], true);
    collector::ends(&appliance, 2, EACH);
    let rest = at_rest(&appliance);
    proc::reset_peak(appliance.pid());
    collector::set(&appliance, users.iter().map(String::as_str), true);
    collector::ends(&appliance, 2 + 2 * ACCOUNTS, EACH);
    proc::peak(appliance.pid()).saturating_sub(rest) as f64
}

/// What the first collection of a large mailbox takes.
pub struct FirstCollection {
    /// Octets at the peak above rest with one session that idles, before and, after a restart, with all messages there.
    pub above_empty: f64,
    pub above_full: f64,
    /// Milliseconds for a thousand messages.
    pub thousand: f64,
    /// Milliseconds of NOOP in the mailbox that is filled: the 99th percentile, the slowest, and the 99th percentile while nothing
    /// is collected, which is what this machine makes of any program.
    pub noop: f64,
    pub slowest: f64,
    pub noop_at_rest: f64,
}

/// Small messages, by POP3 over TLS from a server that only says them.
pub fn first_collection() -> FirstCollection {
    let scratch = Scratch::new("provider");
    let certificate = Certificate::make(&scratch);
    let server = Loopback::serve(Some(&certificate), provide);
    let account = |name| {
        collector::account(name) + &collector::collects(server.address, Protocol::Pop3, name, &certificate.ca)
    };
    let mut appliance = collector::start(&(account("u") + &account(FEW)));
    collect(&appliance, FEW, EACH);
    let mut reader = select(&appliance);
    let empty = at_rest(&appliance);
    let at_rest_too = noops(&mut reader, || std::thread::sleep(Duration::from_secs(5)));
    proc::reset_peak(appliance.pid());
    let start = Instant::now();
    let noops = noops(&mut reader, || collect(&appliance, "u", MESSAGES));
    let time = start.elapsed();
    let peak = proc::peak(appliance.pid());
    drop(reader);
    collector::set(&appliance, ["u"], false);
    appliance.stop();
    appliance.restart();
    let reader = select(&appliance);
    let full = at_rest(&appliance);
    drop(reader);
    FirstCollection {
        above_empty: peak.saturating_sub(empty) as f64,
        above_full: peak.saturating_sub(full) as f64,
        thousand: milliseconds(time) * 1000.0 / MESSAGES as f64,
        slowest: milliseconds(*noops.iter().max().unwrap()),
        noop: milliseconds(percentile(noops, 0.99)),
        noop_at_rest: milliseconds(percentile(at_rest_too, 0.99)),
    }
}

fn collect(appliance: &Appliance, account: &str, messages: usize) {
    collector::set(appliance, [account], true);
    collector::ends(appliance, 1, messages);
}

/// The times of NOOP while this is done.
fn noops(reader: &mut Imap, done: impl FnOnce()) -> Vec<Duration> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reads = scope.spawn(|| {
            let mut times = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let start = Instant::now();
                reader.command("NOOP").ok();
                times.push(start.elapsed());
                std::thread::sleep(PAUSE);
            }
            times
        });
        done();
        over.store(true, Ordering::Relaxed);
        reads.join().unwrap()
    })
}

fn select(appliance: &Appliance) -> Imap {
    let mut imap = Imap::login(Connection::open(appliance.ports.imap.address()), "u", "pass");
    imap.command("SELECT INBOX").ok();
    imap
}

/// Octets in use when all has been done for a while.
fn at_rest(appliance: &Appliance) -> u64 {
    std::thread::sleep(Duration::from_secs(2));
    proc::resident(appliance.pid())
}

/// A maildrop of [`EACH`] messages for [`FEW`], of [`MESSAGES`] for others, all alike but for their Message-ID, made as they are asked for.
fn provide(mut wire: Wire) -> std::io::Result<()> {
    let (body, mut messages) = (named("small", 300), MESSAGES);
    wire.say("+OK ready\r\n")?;
    while let Some(command) = wire.command()? {
        let (verb, argument) = command.split_once(' ').unwrap_or((&command, ""));
        match verb {
            "CAPA" => wire.say("+OK\r\nUSER\r\nUIDL\r\nPIPELINING\r\n.\r\n")?,
            "USER" => {
                messages = if argument == FEW { EACH } else { MESSAGES };
                wire.say("+OK\r\n")?;
            }
            "STAT" => wire.say(format!("+OK {messages} {}\r\n", messages * octets(&body)))?,
            "LIST" => wire.say(listing(messages, |_| octets(&body).to_string()))?,
            "UIDL" => wire.say(listing(messages, |n| format!("unique-id-of-{n:08}")))?,
            "RETR" => {
                let number: usize = argument.parse().unwrap_or(0);
                wire.say(
                    [
                        format!("+OK\r\nMessage-ID: <{number:08}@small.example>\r\n").as_bytes(),
                        &body,
                        b".\r\n",
                    ]
                    .concat(),
                )?;
            }
            "QUIT" => return wire.say("+OK\r\n"),
            _ => wire.say("+OK\r\n")?,
        }
    }
    Ok(())
}

/// Of one message.
fn octets(body: &[u8]) -> usize {
    body.len() + "Message-ID: <00000000@small.example>\r\n".len()
}

fn listing(messages: usize, value: impl Fn(usize) -> String) -> String {
    let lines = (1..=messages).map(|n| format!("{n} {}\r\n", value(n)));
    format!("+OK\r\n{}.\r\n", lines.collect::<String>())
}
