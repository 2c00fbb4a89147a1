//! A POP3 server with a maildrop for the tests, which misbehaves as it is told.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use async_io::{Async, Timer};
use data_encoding::BASE64;
use smol::future::or;

use crate::clock::Time;
use crate::net::line::{LineEnd, read_line};
use crate::net::stream::Stream;

/// A message in the maildrop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    pub unique_id: String,
    pub octets: Vec<u8>,
}

impl Mail {
    pub fn new(unique_id: &str, octets: impl AsRef<[u8]>) -> Mail {
        Mail { unique_id: unique_id.to_owned(), octets: octets.as_ref().to_vec() }
    }
}

/// How the server behaves. Where it lets time pass, that is the time of [`Provider::time`].
#[derive(Debug, Clone, Default)]
pub struct Behaviour {
    /// The greeting, if it is not the usual one.
    pub greeting: Option<String>,
    pub pipelining: bool,
    /// The connection breaks after so many octets.
    pub break_after: Option<usize>,
    /// The reply to a command that begins with this text.
    pub reply: Option<(&'static str, String)>,
    /// The commands that are refused.
    pub refuses: &'static [&'static str],
    /// Messages are sent as they are, and then a dot and this line end.
    pub bare_end: Option<&'static str>,
    /// The server falls silent at a command that begins with this text.
    pub silent_at: Option<&'static str>,
    /// The server ends the connection at a command that begins with this text.
    pub hangs_up_at: Option<&'static str>,
    /// The connection breaks in the middle of the reply to a command that begins with this text.
    pub break_at: Option<&'static str>,
    /// Commands that come before the reply to the one before them get no reply, and the connection breaks.
    pub drops_what_is_pipelined: bool,
    /// Each UIDL gives new unique-ids.
    pub renumbers: bool,
    /// The size of every message in LIST.
    pub size: Option<u64>,
    /// The time between two octets.
    pub drip: Option<Duration>,
    /// A command that begins with the first text gets the second text, and then the third one again and again.
    pub flood: Option<(&'static str, &'static str, String)>,
    /// The time between two texts of `flood`.
    pub pause: Option<Duration>,
    /// Logins are by XOAUTH2, with one of these tokens.
    pub tokens: Option<Vec<&'static str>>,
}

/// The server.
pub struct Provider {
    pub address: SocketAddr,
    /// The clock that the server moves.
    pub time: Time,
    listener: Async<TcpListener>,
    pub maildrop: RefCell<Vec<Mail>>,
    pub behaviour: RefCell<Behaviour>,
    /// The commands of all sessions.
    pub heard: RefCell<Vec<String>>,
    /// Octets sent in the last session.
    pub sent: Cell<usize>,
}

impl Provider {
    pub fn new(maildrop: &[Mail]) -> Provider {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
        Provider {
            address: listener.get_ref().local_addr().unwrap(),
            time: Time::default(),
            listener,
            maildrop: RefCell::new(maildrop.to_vec()),
            behaviour: RefCell::default(),
            heard: RefCell::default(),
            sent: Cell::new(0),
        }
    }

    /// Serves one session after the other, until dropped.
    pub async fn serve(&self) -> ! {
        loop {
            let (tcp, _) = self.listener.accept().await.unwrap();
            self.sent.set(0);
            let _ = self.session(&mut Stream::new(tcp).unwrap()).await;
        }
    }

    async fn say(&self, stream: &mut Stream, octets: &[u8]) -> io::Result<()> {
        let behaviour = self.behaviour.borrow().clone();
        let room = behaviour.break_after.map_or(usize::MAX, |limit| limit - self.sent.get());
        let now = &octets[..room.min(octets.len())];
        self.sent.set(self.sent.get() + now.len());
        match behaviour.drip {
            None => stream.write(now).await?,
            Some(pause) => {
                for octet in now {
                    stream.write(&[*octet]).await?;
                    stream.flush().await?;
                    self.lets_pass(pause).await;
                }
            }
        }
        if now.len() < octets.len() {
            stream.flush().await?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }

    /// Lets `time` pass, after the client has had a moment to read what was sent.
    async fn lets_pass(&self, time: Duration) {
        Timer::after(Duration::from_millis(1)).await;
        self.time.advance(time);
    }

    async fn session(&self, stream: &mut Stream) -> io::Result<()> {
        let mails = self.maildrop.borrow().clone();
        let mut deleted = BTreeSet::new();
        let greeting = self.behaviour.borrow().greeting.clone();
        self.say(stream, greeting.as_deref().unwrap_or("+OK ready\r\n").as_bytes()).await?;
        let mut line = Vec::new();
        loop {
            if stream.buffered().is_empty() {
                stream.flush().await?;
            }
            if read_line(stream, &mut line, 1000).await? != LineEnd::Complete {
                return Ok(());
            }
            // A client may also try TLS.
            let line = String::from_utf8_lossy(&line).into_owned();
            self.heard.borrow_mut().push(line.clone());
            let behaviour = self.behaviour.borrow().clone();
            if behaviour.drops_what_is_pipelined && !stream.buffered().is_empty() {
                return Ok(());
            }
            if behaviour.hangs_up_at.is_some_and(|at| line.starts_with(at)) {
                return Ok(());
            }
            if behaviour.silent_at.is_some_and(|at| line.starts_with(at)) {
                stream.flush().await?;
                let gone = async {
                    loop {
                        let octets = stream.fill().await?.len();
                        if octets == 0 {
                            return Ok(());
                        }
                        stream.consume(octets);
                    }
                };
                let passes = async {
                    loop {
                        self.lets_pass(Duration::from_secs(1)).await;
                    }
                };
                return or(gone, passes).await;
            }
            if let Some((_, reply)) = behaviour.reply.as_ref().filter(|(at, _)| line.starts_with(at)) {
                self.say(stream, reply.as_bytes()).await?;
                continue;
            }
            if let Some((_, beginning, again)) =
                behaviour.flood.as_ref().filter(|(at, ..)| line.starts_with(at))
            {
                self.say(stream, beginning.as_bytes()).await?;
                loop {
                    self.say(stream, again.as_bytes()).await?;
                    if let Some(pause) = behaviour.pause {
                        stream.flush().await?;
                        self.lets_pass(pause).await;
                    }
                }
            }
            if let Some(tokens) = behaviour.tokens.as_ref().filter(|_| line == "AUTH XOAUTH2") {
                self.login(stream, tokens).await?;
                continue;
            }
            let (command, argument) = line.split_once(' ').unwrap_or((&line, ""));
            if behaviour.refuses.contains(&command) {
                self.say(stream, b"-ERR no\r\n").await?;
                continue;
            }
            let number = argument.parse::<usize>().unwrap_or(0);
            let listed = |value: &dyn Fn(&Mail) -> String| {
                let lines =
                    mails.iter().enumerate().map(|(i, mail)| format!("{} {}\r\n", i + 1, value(mail)));
                format!("+OK\r\n{}.\r\n", lines.collect::<String>()).into_bytes()
            };
            let reply = match command {
                "CAPA" if behaviour.tokens.is_some() => b"+OK\r\nSASL XOAUTH2\r\n.\r\n".to_vec(),
                "CAPA" if behaviour.pipelining => b"+OK\r\nUSER\r\nPIPELINING\r\n.\r\n".to_vec(),
                "CAPA" => b"+OK\r\nUSER\r\n.\r\n".to_vec(),
                "UIDL" if behaviour.renumbers => {
                    let heard = self.heard.borrow().len();
                    listed(&|mail| format!("{heard}.{}", mail.unique_id))
                }
                "UIDL" => listed(&|mail| mail.unique_id.clone()),
                "LIST" => listed(&|mail| behaviour.size.unwrap_or(mail.octets.len() as u64).to_string()),
                "TOP" => {
                    let octets = &mails[number_before_blank(argument) - 1].octets;
                    let body = memchr::memmem::find(octets, b"\r\n\r\n").map_or(octets.len(), |at| at + 4);
                    let lines = argument.split(' ').nth(1).unwrap().parse().unwrap();
                    let lines = octets[body..].split_inclusive(|octet| *octet == b'\n').take(lines);
                    let end = body + lines.map(<[u8]>::len).sum::<usize>();
                    [b"+OK\r\n", &stuffed(&octets[..end])[..], b".\r\n"].concat()
                }
                "RETR" if let Some(end) = behaviour.bare_end => {
                    [b"+OK\r\n", &mails[number - 1].octets[..], b".", end.as_bytes()].concat()
                }
                "RETR" => [b"+OK\r\n", &stuffed(&mails[number - 1].octets)[..], b".\r\n"].concat(),
                "DELE" => {
                    deleted.insert(number - 1);
                    b"+OK\r\n".to_vec()
                }
                "QUIT" => {
                    let mut index = 0..;
                    self.maildrop.borrow_mut().retain(|_| !deleted.contains(&index.next().unwrap()));
                    b"+OK\r\n".to_vec()
                }
                _ => b"+OK\r\n".to_vec(),
            };
            if behaviour.break_at.is_some_and(|at| line.starts_with(at)) {
                self.say(stream, reply.get(..reply.len() / 2).unwrap_or_default()).await?;
                stream.flush().await?;
                return Ok(());
            }
            self.say(stream, &reply).await?;
            if command == "QUIT" {
                stream.close().await;
                return Ok(());
            }
        }
    }
}

impl Provider {
    /// XOAUTH2 in two steps, as Microsoft's servers do it. The token is added to `heard`.
    async fn login(&self, stream: &mut Stream, tokens: &[&str]) -> io::Result<()> {
        let mut line = Vec::new();
        self.say(stream, b"+ \r\n").await?;
        stream.flush().await?;
        read_line(stream, &mut line, 20_000).await?;
        let message = String::from_utf8(BASE64.decode(&line).unwrap()).unwrap();
        let token = message.split("auth=Bearer ").nth(1).unwrap().trim_end_matches('\x01').to_owned();
        self.heard.borrow_mut().push(format!("token {token}"));
        if tokens.contains(&token.as_str()) {
            return self.say(stream, b"+OK\r\n").await;
        }
        let why = BASE64.encode(br#"{"status":"401","schemes":"bearer"}"#);
        self.say(stream, format!("+ {why}\r\n").as_bytes()).await?;
        stream.flush().await?;
        read_line(stream, &mut line, 1000).await?;
        self.say(stream, b"-ERR [AUTH] no such token\r\n").await
    }
}

fn number_before_blank(argument: &str) -> usize {
    argument.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(1)
}

/// Dot-stuffs a message (RFC 1939 section 3).
fn stuffed(octets: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::new();
    for line in octets.split_inclusive(|&octet| octet == b'\n') {
        if line.first() == Some(&b'.') {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    stuffed
}
