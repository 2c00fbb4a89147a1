//! A smarthost that takes everything, keeps the content of short messages only, and remembers what a judge needs: whether each
//! message came whole, and whether the sender was still there after it had been told that it was taken.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::dovecot::Certificate;
use super::loopback::{Loopback, Wire};
use super::mail::Dice;
use super::random;

/// Octets of each message that are kept.
const KEPT: usize = 64 << 10;

/// What it offers unless it is told otherwise.
const OFFERS: &[&str] = &["8BITMIME", "SIZE 0"];

/// A message that was taken.
#[derive(Debug, Clone)]
pub struct Letter {
    /// What stands behind MAIL, parameters and all.
    pub mail: String,
    /// What stands behind each RCPT.
    pub rcpt: Vec<String>,
    /// The addresses in them.
    pub to: Vec<String>,
    pub subject: String,
    pub octets: u64,
    /// The first [`KEPT`] of them.
    pub content: Vec<u8>,
    /// CRC-32C of what follows the header.
    pub checksum: u32,
    /// Its 250 was followed by the end of another message on the same connection, or by QUIT: the sender has written down that it
    /// is delivered, so that it must not come again.
    pub settled: bool,
}

/// Ends when dropped.
pub struct Smarthost {
    server: Loopback,
    letters: Arc<Mutex<Vec<Letter>>>,
}

impl Smarthost {
    /// Starts; each message is answered after up to `thinks`, for a kill to fall in between.
    pub fn start(certificate: Option<&Certificate>, thinks: Duration) -> Smarthost {
        Smarthost::start_with(certificate, thinks, OFFERS)
    }

    /// Starts one that offers these extensions, and answers at once.
    pub fn offering(extensions: &'static [&'static str]) -> Smarthost {
        Smarthost::start_with(None, Duration::ZERO, extensions)
    }

    fn start_with(
        certificate: Option<&Certificate>,
        thinks: Duration,
        offers: &'static [&'static str],
    ) -> Smarthost {
        let letters = Arc::<Mutex<Vec<Letter>>>::default();
        let shared = Arc::clone(&letters);
        let server = Loopback::serve(certificate, move |wire| talk(wire, &shared, thinks, offers));
        Smarthost { server, letters }
    }
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }
    /// In the order in which they came.
    pub fn letters(&self) -> Vec<Letter> {
        self.letters.lock().unwrap().clone()
    }
}

fn talk(mut wire: Wire, letters: &Mutex<Vec<Letter>>, thinks: Duration, offers: &[&str]) -> io::Result<()> {
    let mut dice = Dice(random());
    let (mut mail, mut rcpt, mut renames_pending) = (String::new(), Vec::new(), None::<usize>);
    let offers: String = offers.iter().map(|offer| format!("250-{offer}\r\n")).collect();
    wire.say("220 smarthost.example\r\n")?;
    while let Some(command) = wire.command()? {
        let mut settle = || {
            if let Some(taken) = renames_pending.take() {
                letters.lock().unwrap()[taken].settled = true;
            }
        };
        let verb = command.split(' ').next().unwrap_or_default();
        match verb {
            "EHLO" => wire.say(format!("250-smarthost.example\r\n{offers}250 HELP\r\n"))?,
            "DATA" => {
                wire.say("354 Go on\r\n")?;
                let letter = read(&mut wire, std::mem::take(&mut mail), std::mem::take(&mut rcpt))?;
                settle();
                let taken = {
                    let mut letters = letters.lock().unwrap();
                    letters.push(letter);
                    letters.len() - 1
                };
                std::thread::sleep(thinks.mul_f64(dice.below(100) as f64 / 100.0));
                wire.say("250 Taken\r\n")?;
                renames_pending = Some(taken);
            }
            "QUIT" => {
                settle();
                return wire.say("221 Bye\r\n");
            }
            _ => {
                match command.split_once(' ') {
                    Some(("MAIL", path)) => (mail, rcpt) = (path.to_owned(), Vec::new()),
                    Some(("RCPT", path)) => rcpt.push(path.to_owned()),
                    _ => {}
                }
                wire.say("250 OK\r\n")?;
            }
        }
    }
    Ok(())
}

/// The content up to its final dot; an error when it is cut short.
fn read(wire: &mut Wire, mail: String, rcpt: Vec<String>) -> io::Result<Letter> {
    let address = |path: &String| path.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
    let to = rcpt.iter().map(address).collect();
    let (subject, content) = (String::new(), Vec::new());
    let mut letter = Letter { mail, rcpt, to, subject, octets: 0, content, checksum: 0, settled: false };
    let (mut line, mut in_header) = (Vec::new(), true);
    while wire.read(&mut line)? {
        if line == b".\r\n" {
            return Ok(letter);
        }
        let text = line.strip_prefix(b".").unwrap_or(&line);
        letter.octets += text.len() as u64;
        let room = KEPT.saturating_sub(letter.content.len());
        letter.content.extend(&text[..text.len().min(room)]);
        if !in_header {
            letter.checksum = crc32c::crc32c_append(letter.checksum, text);
        } else if text == b"\r\n" {
            in_header = false;
        } else if let Some(subject) = text.strip_prefix(b"Subject: ") {
            letter.subject = String::from_utf8_lossy(subject).trim_end().to_owned();
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}
