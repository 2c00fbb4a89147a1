//! A smarthost that takes everything, keeps no content, and remembers what a judge needs: whether each message came
//! whole, and whether the sender was still there after it had been told that it was taken.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::dovecot::Certificate;
use super::loopback::{Loopback, Wire};
use super::mail::Dice;
use super::random;

/// A message that was taken.
#[derive(Debug, Clone)]
pub struct Letter {
    /// As in the RCPT commands.
    pub to: Vec<String>,
    pub subject: String,
    pub octets: u64,
    /// CRC-32C of what follows the header.
    pub checksum: u32,
    /// Its 250 was followed by another command on the same connection: the sender has written down that it is
    /// delivered, so that it must not come again.
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
        let letters = Arc::<Mutex<Vec<Letter>>>::default();
        let shared = Arc::clone(&letters);
        let server = Loopback::serve(certificate, move |wire| talk(wire, &shared, thinks));
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

fn talk(mut wire: Wire, letters: &Mutex<Vec<Letter>>, thinks: Duration) -> io::Result<()> {
    let mut dice = Dice(random());
    let (mut to, mut unsettled) = (Vec::new(), None::<usize>);
    wire.say("220 smarthost.example\r\n")?;
    while let Some(command) = wire.command()? {
        if let Some(taken) = unsettled.take() {
            letters.lock().unwrap()[taken].settled = true;
        }
        let verb = command.split(' ').next().unwrap_or_default();
        match verb {
            "EHLO" => wire.say("250-smarthost.example\r\n250-8BITMIME\r\n250 SIZE 0\r\n")?,
            "DATA" => {
                wire.say("354 Go on\r\n")?;
                let letter = read(&mut wire, std::mem::take(&mut to))?;
                let taken = {
                    let mut letters = letters.lock().unwrap();
                    letters.push(letter);
                    letters.len() - 1
                };
                std::thread::sleep(thinks.mul_f64(dice.below(100) as f64 / 100.0));
                wire.say("250 Taken\r\n")?;
                unsettled = Some(taken);
            }
            "QUIT" => return wire.say("221 Bye\r\n"),
            _ => {
                if let Some((_, address)) = command.split_once("RCPT TO:<") {
                    to.push(address.trim_end_matches('>').to_owned());
                }
                wire.say("250 OK\r\n")?;
            }
        }
    }
    Ok(())
}

/// The content up to its final dot; an error when it is cut short.
fn read(wire: &mut Wire, to: Vec<String>) -> io::Result<Letter> {
    let mut letter = Letter { to, subject: String::new(), octets: 0, checksum: 0, settled: false };
    let (mut line, mut in_header) = (Vec::new(), true);
    while wire.read(&mut line)? {
        if line == b".\r\n" {
            return Ok(letter);
        }
        let text = line.strip_prefix(b".").unwrap_or(&line);
        letter.octets += text.len() as u64;
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
