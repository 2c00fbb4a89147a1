//! An IMAP server for the tests, and polls of it.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use async_io::{Async, Timer, block_on};
use smol::future::or;

use crate::clock::Time;
use crate::config::{Config, Protocol, Secret, Security, Source};
use crate::flash::ReadAt;
use crate::flash::sim::SimFlash;
use crate::multipop::budget::Budget;
use crate::multipop::collection::Outcome;
use crate::multipop::errand::Experience;
use crate::multipop::wire::Wire;
use crate::multipop::{Error, driver};
use crate::net::line::{LineEnd, read_line};
use crate::net::stream::Stream;
use crate::store::{INBOX, Store};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    pub uid: u32,
    pub octets: &'static str,
    pub deleted: bool,
}

pub fn mail(uid: u32, octets: &'static str) -> Mail {
    Mail { uid, octets, deleted: false }
}

pub fn mails() -> Vec<Mail> {
    vec![mail(3, "Subject: a\r\n\r\n)\r\nP7 OK\r\n"), mail(5, ""), mail(9, "bare\nlf {5}\r\n")]
}

/// A server with one folder, which keeps its messages from one session to the next.
pub struct Provider {
    listener: Async<TcpListener>,
    pub folder: RefCell<Vec<Mail>>,
    /// The reply to a command that begins with the first text, in place of the usual untagged responses.
    pub odd: RefCell<Option<(&'static str, String)>>,
    /// Folders beside the INBOX, with their attributes.
    pub others: RefCell<Vec<(&'static str, &'static str, Vec<Mail>)>>,
    pub uid_validity: Cell<u32>,
    pub uid_plus: Cell<bool>,
    /// The connection ends when a command that begins with this text comes.
    pub hangs_up_at: Cell<Option<&'static str>>,
    /// A command that begins with this text is answered with [`Provider::refusal`].
    pub refused: Cell<Option<&'static str>>,
    pub refusal: Cell<&'static str>,
    /// Commands that come before the answer to the one before them are dropped.
    pub one_at_a_time: Cell<bool>,
    /// A command that begins with this text is never answered, nor is what comes after it.
    pub silent_at: Cell<Option<&'static str>>,
    pub idle: Cell<bool>,
    /// IDLE is over as soon as it has begun.
    pub idle_ends: Cell<bool>,
    /// In IDLE the server says again and again that it is there.
    pub chatters: Cell<bool>,
    pub break_after: Cell<usize>,
    pub sent: Cell<usize>,
    pub heard: RefCell<Vec<String>>,
}

impl Provider {
    pub fn new(folder: Vec<Mail>) -> Provider {
        Provider {
            listener: Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap(),
            folder: RefCell::new(folder),
            odd: RefCell::default(),
            others: RefCell::default(),
            uid_validity: Cell::new(77),
            uid_plus: Cell::new(true),
            hangs_up_at: Cell::new(None),
            refused: Cell::new(None),
            refusal: Cell::new("NO no such folder"),
            one_at_a_time: Cell::new(false),
            silent_at: Cell::new(None),
            idle: Cell::new(false),
            idle_ends: Cell::new(false),
            chatters: Cell::new(false),
            break_after: Cell::new(usize::MAX),
            sent: Cell::new(0),
            heard: RefCell::default(),
        }
    }

    pub fn port(&self) -> u16 {
        self.listener.get_ref().local_addr().unwrap().port()
    }

    pub async fn serve(&self) -> ! {
        loop {
            let (tcp, _) = self.listener.accept().await.unwrap();
            self.sent.set(0);
            let _ = self.session(&mut Stream::new(tcp).unwrap()).await;
        }
    }

    async fn say(&self, stream: &mut Stream, text: &str) -> io::Result<()> {
        let room = self.break_after.get() - self.sent.get();
        let now = &text.as_bytes()[..room.min(text.len())];
        self.sent.set(self.sent.get() + now.len());
        stream.queue(now);
        stream.flush().await?;
        if now.len() < text.len() { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }

    async fn session(&self, stream: &mut Stream) -> io::Result<()> {
        self.say(stream, "* OK ready\r\n").await?;
        let mut line = Vec::new();
        let mut selected = "INBOX".to_owned();
        let mut told_of = 0;
        while read_line(stream, &mut line, 10_000).await? == LineEnd::Complete {
            let line = String::from_utf8(line.clone()).unwrap();
            self.heard.borrow_mut().push(line.clone());
            if line.ends_with('}') {
                self.say(stream, "+ go on\r\n").await?;
                continue;
            }
            let Some((tag, command)) = line.split_once(' ') else {
                // The password comes in a literal of its own.
                let unasked = [self.hangs_up_at.get(), self.silent_at.get()].contains(&Some("CAPABILITY"));
                let login = if unasked { 1 } else { 2 };
                self.say(stream, &format!("P{login} OK\r\n")).await?;
                continue;
            };
            if self.hangs_up_at.get().is_some_and(|at| command.starts_with(at)) {
                return Ok(());
            }
            if self.silent_at.get().is_some_and(|at| command.starts_with(at)) {
                while !stream.fill().await?.is_empty() {
                    stream.consume(stream.buffered().len());
                }
                return Ok(());
            }
            if self.refused.get().is_some_and(|at| command.starts_with(at)) {
                self.say(stream, &format!("{tag} {}\r\n", self.refusal.get())).await?;
                continue;
            }
            if self.one_at_a_time.get() && !stream.buffered().is_empty() {
                let dropped = stream.buffered().len();
                stream.consume(dropped);
            }
            if let Some((_, name)) = command.split_once("SELECT ").or(command.split_once("EXAMINE ")) {
                selected = name.trim_matches('"').to_owned();
                told_of = self.folder.borrow().len();
            }
            if command == "IDLE" && self.idle_ends.get() {
                self.say(stream, &format!("+ idling\r\n{tag} OK\r\n")).await?;
                continue;
            }
            if command == "IDLE" {
                self.say(stream, "+ idling\r\n").await?;
                // Messages that came since the client was last told are news, too.
                while stream.buffered().is_empty() && self.folder.borrow().len() == told_of {
                    let octets = async { stream.fill().await.map(|octets| octets.is_empty()) };
                    let passes = async {
                        Timer::after(Duration::from_millis(2)).await;
                        Ok(false)
                    };
                    if or(octets, passes).await? {
                        return Ok(());
                    }
                    if self.chatters.get() {
                        self.say(stream, "* OK Still here\r\n").await?;
                    }
                }
                if stream.buffered().is_empty() {
                    told_of = self.folder.borrow().len();
                    self.say(stream, &format!("* {told_of} EXISTS\r\n")).await?;
                }
                let mut done = Vec::new();
                assert_eq!(read_line(stream, &mut done, 100).await?, LineEnd::Complete);
                assert_eq!(done, b"DONE");
                self.say(stream, &format!("{tag} OK\r\n")).await?;
                continue;
            }
            let told = self.obey(command, &selected);
            self.say(stream, &format!("{told}{tag} OK\r\n")).await?;
        }
        Ok(())
    }

    /// Does what `command` says. Returns the untagged responses.
    fn obey(&self, command: &str, selected: &str) -> String {
        if let Some((_, reply)) = self.odd.borrow().as_ref().filter(|(at, _)| command.starts_with(at)) {
            return reply.clone();
        }
        let mut others = self.others.borrow_mut();
        if command.starts_with("LIST") {
            let line =
                |(attributes, name): (&str, &str)| format!("* LIST ({attributes}) \"/\" \"{name}\"\r\n");
            let names = others.iter().map(|(name, attributes, _)| (*attributes, *name));
            return [("", "INBOX")].into_iter().chain(names).map(line).collect();
        }
        let mut folder = self.folder.borrow_mut();
        let folder = match others.iter_mut().find(|(name, ..)| *name == selected) {
            Some((_, _, other)) => other,
            None => &mut *folder,
        };
        let named = |mail: &Mail| {
            let set = command.split(' ').nth(2).unwrap_or_default();
            set.split(',').any(|uid| uid == mail.uid.to_string())
        };
        if command == "CAPABILITY" {
            let uid_plus = if self.uid_plus.get() { " UIDPLUS" } else { "" };
            let idle = if self.idle.get() { " IDLE" } else { "" };
            return format!("* CAPABILITY IMAP4rev1{uid_plus}{idle}\r\n");
        }
        if command.starts_with("SELECT") || command.starts_with("EXAMINE") {
            let validity = self.uid_validity.get();
            return format!("* {} EXISTS\r\n* OK [UIDVALIDITY {validity}] ok\r\n", folder.len());
        }
        if command.starts_with("UID FETCH 1:*") {
            let flags = |mail: &Mail| if mail.deleted { "\\Deleted" } else { "" };
            let line = |(n, m): (usize, &Mail)| {
                format!(
                    "* {} FETCH (UID {} RFC822.SIZE {} FLAGS ({}))\r\n* {0} FETCH (FLAGS () UID {1})\r\n",
                    n + 1,
                    m.uid,
                    m.octets.len(),
                    flags(m)
                )
            };
            return folder.iter().enumerate().map(line).collect();
        }
        if command.starts_with("UID FETCH") {
            let found = folder.iter().enumerate().filter(|(_, mail)| named(mail));
            let partial = if command.contains("<0.") { "<0>" } else { "" };
            let body = |(n, m): (usize, &Mail)| match m.octets {
                "" => format!("* {} FETCH (UID {} BODY[] \"\")\r\n", n + 1, m.uid),
                _ => format!(
                    "* {} FETCH (BODY[]{partial} {{{}}}\r\n{} UID {})\r\n",
                    n + 1,
                    m.octets.len(),
                    m.octets,
                    m.uid
                ),
            };
            return found.map(body).collect();
        }
        if command.starts_with("UID STORE") {
            folder.iter_mut().filter(|mail| named(mail)).for_each(|mail| mail.deleted = true);
        } else if command.starts_with("UID EXPUNGE") {
            folder.retain(|mail| !(mail.deleted && named(mail)));
        } else if command == "EXPUNGE" {
            folder.retain(|mail| !mail.deleted);
        }
        String::new()
    }
}

pub fn source(provider: &Provider) -> Source {
    Source {
        host: "127.0.0.1".try_into().unwrap(),
        port: provider.port(),
        protocol: Protocol::Imap,
        security: Security::None,
        username: "ann".try_into().unwrap(),
        password: Secret::new("secret").unwrap(),
        ..Source::default()
    }
}

pub fn new_store() -> Store {
    Store::new(Rc::new(SimFlash::default()))
}

pub async fn poll(source: &Source, store: &Store) -> (Result<(), Error>, Outcome) {
    poll_with(source, store, &Experience::default()).await
}

/// A poll that knows what earlier polls have found out.
pub async fn poll_with(source: &Source, store: &Store, needs: &Experience) -> (Result<(), Error>, Outcome) {
    let clock = Time::default();
    let account = store.account("ann").await.unwrap();
    let mut wire = Wire::connect(source, Duration::from_millis(300), Rc::default(), Budget::usual(&clock))
        .await
        .unwrap();
    // Time passes while nothing else happens.
    let passes = async {
        loop {
            Timer::after(Duration::from_millis(2)).await;
            clock.advance(Duration::from_millis(5));
        }
    };
    let config = Config::default();
    or(driver::collect_once(&mut wire, source, account, &config, needs, &clock), passes).await
}

pub async fn inbox(store: &Store) -> Vec<String> {
    let account = store.account("ann").await.unwrap();
    let messages = account.view(INBOX, |mailbox| mailbox.messages.clone()).unwrap();
    let read = |message| {
        let body = account.body(message).unwrap();
        let mut octets = vec![0; body.len().unwrap() as usize];
        body.read_exact_at(0, &mut octets).unwrap();
        String::from_utf8(octets).unwrap()
    };
    messages.iter().map(read).collect()
}

pub fn run<T>(provider: &Provider, test: impl Future<Output = T>) -> T {
    block_on(or(test, async { provider.serve().await }))
}
