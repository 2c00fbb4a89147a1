//! A smarthost for the tests that does as it is told.

use std::cell::{Cell, RefCell};
use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use async_io::{Async, Timer};
use data_encoding::BASE64;
use smol::LocalExecutor;

use crate::clock::Time;
use crate::net::line::{LineEnd, read_line};
use crate::net::stream::Stream;
use crate::smtp::data::Decoder;

/// A message that it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The number of the connection that it came over, from 1.
    pub connection: u32,
    /// `user:password` of its login.
    pub login: String,
    /// The MAIL command's argument.
    pub from: String,
    /// The RCPT commands' arguments, with spaces between them.
    pub to: String,
    pub content: String,
}

/// The answer to a command; `None`: the usual one. `drop` closes the connection, `hang` never answers. The command
/// `.` stands for a content that has come, and `(content)` for one that has begun, within which `drop` closes the
/// connection.
type Answer = dyn Fn(&str) -> Option<&'static str>;

pub struct Smarthost {
    pub port: u16,
    answer: RefCell<Rc<Answer>>,
    taken: RefCell<Vec<Taken>>,
    commands: RefCell<Vec<String>>,
    /// How long it waits before each answer.
    pub pause: Cell<Duration>,
    /// The clock for `pause` and `thinks`; `None`: the real one.
    pub time: RefCell<Option<Time>>,
    /// How long it waits before it answers a content that has come.
    pub thinks: Cell<Duration>,
    pub connections: Cell<u32>,
    pub open: Cell<u32>,
    pub most_open: Cell<u32>,
}

impl Smarthost {
    pub fn listen(executor: &Rc<LocalExecutor<'static>>) -> Rc<Smarthost> {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
        let smarthost = Rc::new(Smarthost {
            port: listener.get_ref().local_addr().unwrap().port(),
            answer: RefCell::new(Rc::new(|_| None)),
            taken: RefCell::default(),
            commands: RefCell::default(),
            pause: Cell::default(),
            time: RefCell::default(),
            thinks: Cell::default(),
            connections: Cell::default(),
            open: Cell::default(),
            most_open: Cell::default(),
        });
        let (accepting, spawner) = (smarthost.clone(), executor.clone());
        let accept = async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let smarthost = accepting.clone();
                let stream = Stream::new(tcp).unwrap();
                spawner.spawn(async move { smarthost.serve(stream).await }).detach();
            }
        };
        executor.spawn(accept).detach();
        smarthost
    }

    /// Sets how it answers from now on.
    pub fn answers(&self, answer: impl Fn(&str) -> Option<&'static str> + 'static) {
        *self.answer.borrow_mut() = Rc::new(answer);
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.taken.borrow().clone()
    }

    /// All commands so far that begin with `verb`.
    pub fn heard(&self, verb: &str) -> Vec<String> {
        self.commands.borrow().iter().filter(|command| command.starts_with(verb)).cloned().collect()
    }

    async fn serve(&self, mut stream: Stream) {
        self.connections.set(self.connections.get() + 1);
        self.open.set(self.open.get() + 1);
        self.most_open.set(self.most_open.get().max(self.open.get()));
        // Some tests break connections off.
        let _ = self.talk(&mut stream, self.connections.get()).await;
        stream.close().await;
        self.open.set(self.open.get() - 1);
    }

    async fn passes(&self, pause: Duration) {
        let time = self.time.borrow().clone();
        match time {
            _ if pause.is_zero() => {}
            Some(time) => time.sleep(pause).await,
            None => drop(Timer::after(pause).await),
        }
    }

    async fn talk(&self, stream: &mut Stream, connection: u32) -> std::io::Result<()> {
        let (mut login, mut from, mut to, mut line) = (String::new(), String::new(), Vec::new(), Vec::new());
        let (mut command, mut refused) = ("CONNECT".to_owned(), false);
        loop {
            let verb = command.split(' ').next().unwrap_or_default().to_owned();
            let told = (self.answer.borrow().clone())(&command);
            let answer = told.unwrap_or(match verb.as_str() {
                "CONNECT" => "220 smarthost.example",
                "EHLO" => "250-smarthost.example\r\n250-PIPELINING\r\n250-SIZE 100000\r\n250 AUTH PLAIN",
                "AUTH" => "235 2.7.0 Welcome",
                "RCPT" if refused => "503 5.5.1 MAIL first",
                "DATA" if to.is_empty() => "554 5.5.1 No valid recipients",
                "DATA" => "354 Go ahead",
                "QUIT" => "221 Bye",
                _ => "250 2.0.0 OK",
            });
            if answer == "drop" {
                return Ok(());
            }
            if answer == "hang" {
                std::future::pending::<()>().await;
            }
            // BDAT is answered only when the whole chunk has come.
            let is_chunk = verb == "BDAT";
            if !is_chunk {
                self.passes(self.pause.get()).await;
                stream.queue(format!("{answer}\r\n").as_bytes());
                stream.flush().await?;
            }
            if verb == "QUIT" {
                return Ok(());
            }
            if is_chunk || verb == "DATA" && answer.starts_with("354") {
                if (self.answer.borrow().clone())("(content)") == Some("drop") {
                    stream.fill().await?;
                    return Ok(());
                }
                let content = match is_chunk {
                    true => chunk(stream, &command).await?,
                    false => content(stream).await?,
                };
                let told = (self.answer.borrow().clone())(".").unwrap_or("250 2.0.0 Taken");
                if !told.starts_with(['4', '5']) {
                    let (login, from, to) = (login.clone(), from.clone(), to.join(" "));
                    self.taken.borrow_mut().push(Taken { connection, login, from, to, content });
                }
                if told == "drop" {
                    return Ok(());
                }
                if told == "hang" {
                    std::future::pending::<()>().await;
                }
                self.passes(self.thinks.get()).await;
                stream.queue(format!("{told}\r\n").as_bytes());
                stream.flush().await?;
            }
            if read_line(stream, &mut line, 1000).await? != LineEnd::Complete {
                return Ok(());
            }
            command = String::from_utf8(line.clone()).unwrap();
            self.commands.borrow_mut().push(command.clone());
            match command.split_once(' ').unwrap_or((&command, "")) {
                ("AUTH", plain) => login = credentials(plain).unwrap_or_default(),
                ("MAIL", path) => {
                    let told = (self.answer.borrow().clone())(&command);
                    (from, to) = (path.to_owned(), Vec::new());
                    refused = told.is_some_and(|told| told.starts_with(['4', '5']));
                }
                ("RCPT", path) if !refused && (self.answer.borrow().clone())(&command).is_none() => {
                    to.push(path.to_owned())
                }
                _ => {}
            }
        }
    }
}

async fn content(stream: &mut Stream) -> std::io::Result<String> {
    let (mut decoder, mut content) = (Decoder::default(), Vec::new());
    while !decoder.is_complete() {
        let input = stream.fill().await?;
        if input.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let consumed = decoder.decode(input, &mut content);
        stream.consume(consumed);
    }
    Ok(String::from_utf8(content).unwrap())
}

/// The octets after `BDAT length LAST`.
async fn chunk(stream: &mut Stream, command: &str) -> std::io::Result<String> {
    let length: usize = command.split(' ').nth(1).unwrap().parse().unwrap();
    let mut content = Vec::new();
    while content.len() < length {
        let input = stream.fill().await?;
        if input.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let some = input.len().min(length - content.len());
        content.extend_from_slice(&input[..some]);
        stream.consume(some);
    }
    Ok(String::from_utf8(content).unwrap())
}

/// The argument `PLAIN base64` as `user:password`; `None` for another mechanism.
fn credentials(plain: &str) -> Option<String> {
    let octets = BASE64.decode(plain.strip_prefix("PLAIN ")?.as_bytes()).unwrap();
    Some(String::from_utf8(octets).unwrap().trim_start_matches('\0').replace('\0', ":"))
}
