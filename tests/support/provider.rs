//! A provider's POP3 server that goes on while the appliance is killed: what a session marks as deleted goes with its
//! QUIT, as RFC 1939 section 6 wants it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::dovecot::Certificate;
use super::loopback::{Loopback, Wire};
use super::mail::{Dice, dot_stuffed};
use super::random;

/// A message in a maildrop.
#[derive(Clone)]
struct Mail {
    unique_id: String,
    octets: Arc<Vec<u8>>,
}

type Maildrops = Mutex<BTreeMap<String, Vec<Mail>>>;

/// Takes every login; ends when dropped.
pub struct Provider {
    server: Loopback,
    maildrops: Arc<Maildrops>,
}

impl Provider {
    /// Starts with empty maildrops; each RETR is answered after up to `thinks`.
    pub fn start(certificate: Option<&Certificate>, thinks: Duration) -> Provider {
        let maildrops = Arc::default();
        let shared = Arc::clone(&maildrops);
        let server = Loopback::serve(certificate, move |wire| talk(wire, &shared, thinks));
        Provider { server, maildrops }
    }
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }
    pub fn add(&self, user: &str, unique_id: &str, octets: Vec<u8>) {
        let mail = Mail { unique_id: unique_id.to_owned(), octets: Arc::new(octets) };
        self.maildrops.lock().unwrap().entry(user.to_owned()).or_default().push(mail);
    }
    /// The unique-ids of what is there.
    pub fn listing(&self, user: &str) -> BTreeSet<String> {
        let maildrops = self.maildrops.lock().unwrap();
        maildrops.get(user).into_iter().flatten().map(|mail| mail.unique_id.clone()).collect()
    }
}

fn talk(mut wire: Wire, maildrops: &Maildrops, thinks: Duration) -> io::Result<()> {
    let mut dice = Dice(random());
    let (mut user, mut mails, mut deleted) = (String::new(), Vec::new(), BTreeSet::new());
    wire.say("+OK ready\r\n")?;
    while let Some(command) = wire.command()? {
        let (verb, argument) = command.split_once(' ').unwrap_or((&command, ""));
        let mail =
            |mails: &[Mail]| mails.get(argument.parse::<usize>().unwrap_or(0).wrapping_sub(1)).cloned();
        match verb {
            "CAPA" => wire.say("+OK\r\nUSER\r\nUIDL\r\nPIPELINING\r\n.\r\n")?,
            "USER" => {
                user = argument.to_owned();
                wire.say("+OK\r\n")?;
            }
            "PASS" => {
                mails = maildrops.lock().unwrap().entry(user.clone()).or_default().clone();
                wire.say("+OK\r\n")?;
            }
            "UIDL" => wire.say(listing(&mails, |mail| mail.unique_id.clone()))?,
            "LIST" => wire.say(listing(&mails, |mail| mail.octets.len().to_string()))?,
            "RETR" => {
                std::thread::sleep(thinks.mul_f64(dice.below(100) as f64 / 100.0));
                let mail = mail(&mails).ok_or(io::ErrorKind::InvalidInput)?;
                wire.say("+OK\r\n")?;
                wire.say(dot_stuffed(&mail.octets))?;
                wire.say(".\r\n")?;
            }
            "DELE" => {
                deleted.extend(mail(&mails).map(|mail| mail.unique_id));
                wire.say("+OK\r\n")?;
            }
            "QUIT" => {
                let mut maildrops = maildrops.lock().unwrap();
                maildrops.entry(user).or_default().retain(|mail| !deleted.contains(&mail.unique_id));
                return wire.say("+OK\r\n");
            }
            _ => wire.say("-ERR what?\r\n")?,
        }
    }
    Ok(())
}

fn listing(mails: &[Mail], value: impl Fn(&Mail) -> String) -> String {
    let lines = mails.iter().enumerate().map(|(n, mail)| format!("{} {}\r\n", n + 1, value(mail)));
    format!("+OK\r\n{}.\r\n", lines.collect::<String>())
}
