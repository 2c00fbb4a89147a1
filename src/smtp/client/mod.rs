//! Handing mail to another server (RFC 5321 section 3.3): [`Opening`] and [`Transaction`] are the dialog,
//! [`Client`] moves the octets.

mod opening;
mod transaction;

use std::io;
use std::time::Duration;

pub use opening::{Opening, Passed};
pub use transaction::{Message, Step, Transaction};

use super::Reply;
use super::data::Encoder;
use super::reply::ReplyReader;
use crate::clock::Time;
use crate::flash::ReadAt;
use crate::net::stream::Stream;
use crate::outgoing::{self, Credentials, Login, PASSES, Party, Route};

/// RFC 5321 section 4.5.3.2.1, and for every step up to the login.
const OPENING: Duration = Duration::from_secs(5 * 60);
/// RFC 5321 section 4.5.3.2.5.
const CONTENT: Duration = Duration::from_secs(3 * 60);
/// A message, from MAIL to its last reply: so long, besides the time that its octets take on the slowest line.
const TRANSACTION: Duration = Duration::from_secs(60 * 60);
const SLOWEST: u64 = 1024;
/// Octets of a reply, however many lines.
const MAX_REPLY: usize = 256 * 1024;
/// For the goodbye, which nothing depends on.
const QUIT: Duration = Duration::from_secs(5);
/// Octets of the content that are read at once.
const PIECE: usize = 16 * 1024;
/// Octets of name and password up to which they travel with the AUTH command itself: in base64 they
/// must not make its line longer than 512 octets (RFC 4954 section 4).
const MAX_INITIAL: usize = 350;
/// Octets of a reply line that are kept (RFC 5321 section 4.5.3.1.5 has 512).
const MAX_REPLY_LINE: usize = 2048;

/// Why the mail is still here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server cannot be used now.
    #[error("{0}")]
    Unavailable(String),
    /// The server has looked at what proves who we are, and does not let us in.
    #[error("the smarthost refuses the login: {0}")]
    Login(String),
    /// The server takes no login now: it has trouble, or there were too many.
    #[error("the smarthost takes no login now: {0}")]
    Busy(String),
    /// A login is not possible as the settings are.
    #[error("{0}")]
    Settings(String),
    /// The same for an access token, which may be another one a moment later.
    #[error("{0}")]
    Token(String),
}

impl From<outgoing::Error> for Failure {
    fn from(error: outgoing::Error) -> Failure {
        match error {
            outgoing::Error::Login(reason) => Failure::Login(reason),
            outgoing::Error::Busy(reason) => Failure::Busy(reason),
            outgoing::Error::NoMechanism
            | outgoing::Error::Method(_)
            | outgoing::Error::Unsendable
            | outgoing::Error::NoToken => {
                Failure::Settings(format!("{error}. {}", error.advice(Party::Smarthost)))
            }
            error @ outgoing::Error::TokenRefused { .. } => Failure::Token(error.to_string()),
            // What the server says makes no sense, or it is another one: the password is not the trouble.
            error @ outgoing::Error::Sasl(_) => Failure::Unavailable(error.to_string()),
            // What passes on its own needs no advice in each line of the queue.
            error => Failure::Unavailable(match error.advice(Party::Smarthost) {
                advice if advice == PASSES => error.to_string(),
                advice => format!("{error}. {advice}"),
            }),
        }
    }
}

/// What a server offers (RFC 5321 section 4.1.1.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 6152.
    pub eight_bit: bool,
    /// RFC 1870: the largest message, 0 for no limit; `None`: not offered.
    pub size: Option<u64>,
    /// RFC 3207.
    pub starttls: bool,
    /// RFC 4954: names of SASL mechanisms.
    pub mechanisms: Vec<String>,
}

impl Capabilities {
    fn of(reply: &Reply) -> Capabilities {
        let mut found = Capabilities::default();
        for line in reply.lines.iter().skip(1) {
            // `AUTH=LOGIN` is how servers wrote it before RFC 2554.
            let mut words = line.split([' ', '=']).filter(|word| !word.is_empty());
            match words.next().unwrap_or_default().to_ascii_uppercase().as_str() {
                "PIPELINING" => found.pipelining = true,
                "8BITMIME" => found.eight_bit = true,
                "STARTTLS" => found.starttls = true,
                "SIZE" => found.size = Some(words.next().and_then(|n| n.parse().ok()).unwrap_or(0)),
                "AUTH" => found.mechanisms.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        found
    }
}

/// As these credentials.
fn login(credentials: Credentials) -> Result<Login, outgoing::Error> {
    Ok(Login::new(credentials)?.with_initial_response(MAX_INITIAL))
}

/// A connection to a server that takes mail.
pub struct Client {
    stream: Stream,
    capabilities: Capabilities,
    time: Time,
}

impl Client {
    /// Connects, secures the connection, says `hello` and logs in. How long the server is waited for `time` tells.
    ///
    /// # Errors
    /// Nobody there, nobody to be trusted, or the login refused.
    pub async fn connect(
        route: &Route<'_>,
        hello: &str,
        credentials: Option<Credentials>,
        time: &Time,
    ) -> Result<Client, Failure> {
        Client::connect_and_tell(route, hello, credentials, time, &|_| ()).await
    }

    /// The same, and tells each step as it is done.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_and_tell(
        route: &Route<'_>,
        hello: &str,
        credentials: Option<Credentials>,
        time: &Time,
        tell: &dyn Fn(Passed<'_>),
    ) -> Result<Client, Failure> {
        let mut stream = route.dial(OPENING, time).await?;
        tell(Passed::Connected(&stream));
        let login = credentials.map(login).transpose()?;
        let mut opening = Opening::new(hello, route.security, login);
        loop {
            let reply = time.deadline(OPENING, read_reply(&mut stream)).await;
            let reply = reply.map_err(|error| opening.lost(error))?;
            let mut step = opening.reply(&reply).await?;
            opening.passed(&reply, tell);
            if matches!(step, outgoing::Step::StartTls) {
                route.secure(&mut stream, OPENING, time).await?;
                tell(Passed::Secured(&stream));
                step = opening.secured();
            }
            match step {
                outgoing::Step::Send(line) => {
                    stream.queue(line.as_bytes());
                    send(&mut stream, b"\r\n", time).await.map_err(lost)?;
                }
                outgoing::Step::Done(capabilities) => {
                    return Ok(Client { stream, capabilities, time: time.clone() });
                }
                outgoing::Step::Read | outgoing::Step::StartTls => {}
            }
        }
    }

    /// Sends a message; the last word for each recipient, in order. After an error the client is of no
    /// more use.
    ///
    /// # Errors
    /// Nothing is decided. Where the connection was lost after the content had been sent, the message
    /// may have been taken all the same, and arrives twice (RFC 5321 section 4.5.4.1): better than not
    /// at all.
    pub async fn send(&mut self, message: Message<'_>, content: &dyn ReadAt) -> Result<Vec<Reply>, Failure> {
        let time = self.time.clone();
        // Each step has its patience; all of them together must not hold the way to the smarthost for days.
        let patience = TRANSACTION + Duration::from_secs(message.size / SLOWEST);
        let (mut transaction, mut step) = Transaction::begin(message, &self.capabilities);
        let begun = time.now();
        loop {
            let left = patience.saturating_sub(time.since(begun));
            match step {
                Step::Send(octets) => send(&mut self.stream, &octets, &time).await.map_err(lost)?,
                Step::Read => {}
                Step::Content => time.deadline(left, self.content(content)).await.map_err(lost)?,
                Step::Done(verdicts) => return Ok(verdicts),
            }
            let left = patience.saturating_sub(time.since(begun));
            let patience = transaction.patience().min(left);
            let reply = time.deadline(patience, read_reply(&mut self.stream)).await;
            let reply = reply.map_err(|error| match lost(error) {
                Failure::Unavailable(reason) if transaction.is_in_doubt() => {
                    Failure::Unavailable(format!("{reason}, after all was sent: it may arrive twice"))
                }
                failure => failure,
            })?;
            step = transaction.reply(reply)?;
        }
    }

    async fn content(&mut self, content: &dyn ReadAt) -> io::Result<()> {
        let mut encoder = Encoder::default();
        let (mut piece, mut out, mut offset) = (vec![0; PIECE], Vec::new(), 0);
        loop {
            let n = content.read_at(offset, &mut piece)?;
            if n == 0 {
                break;
            }
            offset += n as u64;
            encoder.encode(piece.get(..n).unwrap_or_default(), &mut out);
            self.time.deadline(CONTENT, self.stream.write(&out)).await?;
            out.clear();
        }
        encoder.finish(&mut out);
        send(&mut self.stream, &out, &self.time).await
    }

    /// Says goodbye.
    pub async fn quit(mut self) {
        let time = self.time.clone();
        let goodbye = async {
            self.stream.queue(b"QUIT\r\n");
            self.stream.flush().await?;
            read_reply(&mut self.stream).await
        };
        // Whether or not the server is polite: it has nothing of ours any more.
        let _ = time.deadline(QUIT, goodbye).await;
        self.stream.close().await;
    }
}

async fn send(stream: &mut Stream, octets: &[u8], time: &Time) -> io::Result<()> {
    time.deadline(CONTENT, async {
        stream.write(octets).await?;
        stream.flush().await
    })
    .await
}

async fn read_reply(stream: &mut Stream) -> io::Result<Reply> {
    let mut reader = ReplyReader::default();
    let (mut line, mut octets) = (Vec::new(), 0);
    loop {
        let available = stream.fill().await?;
        if available.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the other end closed"));
        }
        let lf = memchr::memchr(b'\n', available);
        let piece = available.get(..lf.unwrap_or(available.len())).unwrap_or_default();
        // Of a line that is too long the beginning is enough.
        let room = MAX_REPLY_LINE.saturating_sub(line.len());
        line.extend_from_slice(piece.get(..room).unwrap_or(piece));
        let taken = piece.len() + usize::from(lf.is_some());
        stream.consume(taken);
        octets += taken;
        if octets > MAX_REPLY {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its reply has no end"));
        }
        if lf.is_none() {
            continue;
        }
        line.pop_if(|octet| *octet == b'\r');
        let reply = reader.line(&line);
        line.clear();
        if let Some(reply) = reply.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
            return Ok(reply);
        }
    }
}

fn lost(error: io::Error) -> Failure {
    Failure::Unavailable(format!("the connection to the smarthost was lost: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::stream::tests::pair;
    use crate::smtp::Mailbox;

    /// What is read of a server that says this, and then nothing more.
    fn reply_of(said: &[u8]) -> io::Result<Reply> {
        async_io::block_on(async {
            let (mut client, mut server) = pair().await;
            let says = async {
                // It may not get rid of all of it.
                let _ = server.write(said).await;
                server.close().await;
                std::future::pending().await
            };
            smol::future::or(read_reply(&mut client), says).await
        })
    }

    /// Catches: a line without end, and one reply that is skipped, or joined with the next, since it was long.
    #[test]
    fn replies_are_read_up_to_a_bound() {
        let long = [b"250-", &b"x".repeat(5000)[..], b"\r\n250 done\r\n"].concat();
        let lines = |reply: Reply| reply.lines.len();
        assert_eq!(reply_of(&long).map(lines).unwrap(), 2);
        assert_eq!(reply_of(b"220 a\n220 b\r\n").map(lines).unwrap(), 1);
        for endless in [b"250 ".repeat(100_000), b"250-x\r\n".repeat(1000), b"no".to_vec()] {
            assert!(reply_of(&endless).is_err());
        }
        let error = reply_of(&b"250 ".repeat(100_000)).unwrap_err();
        assert_eq!(error.to_string(), "its reply has no end");
    }

    /// Catches: a smarthost that answers each command in time, but takes for ever.
    #[test]
    fn a_transaction_has_an_end_however_many_steps_it_has() {
        async_io::block_on(async {
            let (stream, mut server) = pair().await;
            let time = Time::default();
            let mut client = Client { stream, capabilities: Capabilities::default(), time: time.clone() };
            let recipient = Mailbox::parse("a@provider.example").unwrap();
            let recipients = vec![recipient.clone(); 1000];
            let message = Message { sender: &None, recipients: &recipients, size: 3, eight_bit: false };
            // Each answer comes in time: MAIL and RCPT have five minutes (RFC 5321 section 4.5.3.2).
            let answers = std::cell::Cell::new(0);
            let slow = async {
                loop {
                    server.fill().await.unwrap();
                    server.consume(server.buffered().len());
                    time.advance(Duration::from_secs(4 * 60));
                    answers.set(answers.get() + 1);
                    server.queue(b"250 ok\r\n");
                    server.flush().await.unwrap();
                }
            };
            let content: &[u8] = b"a\r\n";
            let sent = smol::future::or(client.send(message, &content), slow).await;
            assert!(matches!(sent, Err(Failure::Unavailable(_))), "{sent:?}");
            let most = TRANSACTION.as_secs() / (4 * 60) + 1;
            assert!((2..=most).contains(&answers.get()), "{} answers", answers.get());
        });
    }
}
