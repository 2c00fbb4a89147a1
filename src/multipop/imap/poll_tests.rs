//! Polls of an IMAP server that loses connections, into the real store on a simulated flash.

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
use crate::multipop::collection::{Collection, Outcome};
use crate::multipop::needs::Needs;
use crate::multipop::wire::Wire;
use crate::multipop::{Error, driver};
use crate::net::line::{LineEnd, read_line};
use crate::net::stream::Stream;
use crate::store::{INBOX, Store};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mail {
    pub uid: u32,
    pub octets: &'static str,
    deleted: bool,
}

fn mail(uid: u32, octets: &'static str) -> Mail {
    Mail { uid, octets, deleted: false }
}

pub(super) fn mails() -> Vec<Mail> {
    vec![mail(3, "Subject: a\r\n\r\n)\r\nP7 OK\r\n"), mail(5, ""), mail(9, "bare\nlf {5}\r\n")]
}

/// A server with one folder, which keeps its messages from one session to the next.
pub(super) struct Provider {
    listener: Async<TcpListener>,
    pub folder: RefCell<Vec<Mail>>,
    /// What it says where a command begins so, in place of all else but the end.
    pub odd: RefCell<Option<(&'static str, String)>>,
    uid_plus: Cell<bool>,
    break_after: Cell<usize>,
    sent: Cell<usize>,
    pub heard: RefCell<Vec<String>>,
}

impl Provider {
    pub fn new(folder: Vec<Mail>) -> Provider {
        Provider {
            listener: Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap(),
            folder: RefCell::new(folder),
            odd: RefCell::default(),
            uid_plus: Cell::new(true),
            break_after: Cell::new(usize::MAX),
            sent: Cell::new(0),
            heard: RefCell::default(),
        }
    }

    async fn serve(&self) -> ! {
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
        while read_line(stream, &mut line, 10_000).await? == LineEnd::Complete {
            let line = String::from_utf8(line.clone()).unwrap();
            self.heard.borrow_mut().push(line.clone());
            if line.ends_with('}') {
                self.say(stream, "+ go on\r\n").await?;
                continue;
            }
            let Some((tag, command)) = line.split_once(' ') else {
                // The password, in its literal: the LOGIN was the second command.
                self.say(stream, "P2 OK\r\n").await?;
                continue;
            };
            let told = self.obey(command);
            self.say(stream, &format!("{told}{tag} OK\r\n")).await?;
        }
        Ok(())
    }

    /// Does what `command` says: the untagged responses.
    fn obey(&self, command: &str) -> String {
        if let Some((_, reply)) = self.odd.borrow().as_ref().filter(|(at, _)| command.starts_with(at)) {
            return reply.clone();
        }
        let mut folder = self.folder.borrow_mut();
        let named = |mail: &Mail| {
            let set = command.split(' ').nth(2).unwrap_or_default();
            set.split(',').any(|uid| uid == mail.uid.to_string())
        };
        if command == "CAPABILITY" {
            let uid_plus = if self.uid_plus.get() { " UIDPLUS" } else { "" };
            return format!("* CAPABILITY IMAP4rev1{uid_plus}\r\n");
        }
        if command.starts_with("SELECT") || command.starts_with("EXAMINE") {
            return format!("* {} EXISTS\r\n* OK [UIDVALIDITY 77] ok\r\n", folder.len());
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
            let body = |(n, m): (usize, &Mail)| match m.octets {
                "" => format!("* {} FETCH (UID {} BODY[] \"\")\r\n", n + 1, m.uid),
                _ => format!(
                    "* {} FETCH (BODY[] {{{}}}\r\n{} UID {})\r\n",
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

pub(super) fn source(provider: &Provider) -> Source {
    Source {
        host: "127.0.0.1".try_into().unwrap(),
        port: provider.listener.get_ref().local_addr().unwrap().port(),
        protocol: Protocol::Imap,
        security: Security::None,
        username: "ann".try_into().unwrap(),
        password: Secret::new("secret").unwrap(),
        ..Source::default()
    }
}

pub(super) fn new_store() -> Store {
    Store::new(Rc::new(SimFlash::default()))
}

pub(super) async fn poll(source: &Source, store: &Store) -> (Result<(), Error>, Outcome) {
    poll_after(source, store, 0, Duration::ZERO).await
}

/// A poll that knows what earlier ones have found out.
pub(super) async fn poll_with(source: &Source, store: &Store, needs: &Needs) -> (Result<(), Error>, Outcome) {
    let clock = Time::default();
    let account = store.account("ann").await.unwrap();
    let mut collection = Collection::new(account, source, &Config::default(), needs.clone(), &clock);
    let mut wire = Wire::connect(source, Duration::from_millis(300), Rc::default(), Budget::usual(&clock))
        .await
        .unwrap();
    // Time passes where nothing else happens.
    let passes = async {
        loop {
            Timer::after(Duration::from_millis(2)).await;
            clock.advance(Duration::from_millis(5));
        }
    };
    let result = or(driver::collect(&mut wire, source, &mut collection), passes).await;
    (result, collection.outcome)
}

/// A poll that has had so many octets and so much time already.
async fn poll_after(
    source: &Source,
    store: &Store,
    octets: u64,
    time: Duration,
) -> (Result<(), Error>, Outcome) {
    let clock = Time::default();
    let account = store.account("ann").await.unwrap();
    let mut collection = Collection::new(account, source, &Config::default(), Needs::default(), &clock);
    collection.room -= octets;
    clock.advance(time);
    let (patience, budget) = (Duration::from_secs(5), Budget::usual(&clock));
    let mut wire = Wire::connect(source, patience, Rc::default(), budget).await.unwrap();
    let result = driver::collect(&mut wire, source, &mut collection).await;
    (result, collection.outcome)
}

pub(super) async fn inbox(store: &Store) -> Vec<String> {
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

fn bodies(mails: &[Mail]) -> Vec<&'static str> {
    mails.iter().map(|mail| mail.octets).collect()
}

pub(super) fn run<T>(provider: &Provider, test: impl Future<Output = T>) -> T {
    block_on(or(test, async { provider.serve().await }))
}

#[test]
fn wherever_the_connection_breaks_nothing_is_lost_and_nothing_comes_twice() {
    for uid_plus in [true, false] {
        let provider = Provider::new(mails());
        provider.uid_plus.set(uid_plus);
        run(&provider, async {
            let source = source(&provider);
            poll(&source, &new_store()).await.0.unwrap();
            assert_eq!(*provider.folder.borrow(), []);
            for limit in (0..provider.sent.get()).step_by(3) {
                *provider.folder.borrow_mut() = mails();
                provider.break_after.set(limit);
                let store = new_store();
                let broken = poll(&source, &store).await.0;
                provider.break_after.set(usize::MAX);
                poll(&source, &store).await.0.unwrap();
                assert_eq!(inbox(&store).await, bodies(&mails()), "after {limit} octets: {broken:?}");
                assert_eq!(*provider.folder.borrow(), [], "after {limit} octets: {broken:?}");
            }
        });
    }
}

#[test]
fn messages_that_stay_are_collected_once() {
    let provider = Provider::new(mails());
    run(&provider, async {
        let source = Source { leave_on_server: true, ..source(&provider) };
        let store = new_store();
        for (collected, new) in [(3, None), (0, Some(mail(12, "b\r\n"))), (1, None)] {
            assert_eq!(poll(&source, &store).await.1.collected, collected);
            provider.folder.borrow_mut().extend(new);
        }
        assert_eq!(provider.folder.borrow().len(), 4);
        assert!(
            !provider.heard.borrow().iter().any(|line| line.contains("STORE") || line.contains("EXPUNGE"))
        );
    });
}

#[test]
fn what_others_marked_as_deleted_is_neither_collected_nor_expunged() {
    for uid_plus in [true, false] {
        let theirs = Mail { uid: 1, octets: "theirs\r\n", deleted: true };
        let provider = Provider::new([&[theirs.clone()][..], &mails()].concat());
        provider.uid_plus.set(uid_plus);
        run(&provider, async {
            let store = new_store();
            poll(&source(&provider), &store).await.0.unwrap();
            assert_eq!(inbox(&store).await, bodies(&mails()));
            let left: Vec<u32> = provider.folder.borrow().iter().map(|mail| mail.uid).collect();
            // Without UID EXPUNGE ours stay beside theirs, marked.
            let expected: &[u32] = if uid_plus { &[1] } else { &[1, 3, 5, 9] };
            assert_eq!(left, expected);
            assert_eq!(poll(&source(&provider), &store).await.1.collected, 0);
        });
    }
}

/// Catches: a poll by IMAP that keeps its place for more than 1 GiB or 10 minutes, or leaves it earlier.
#[test]
fn a_poll_has_enough_after_a_gibioctet_or_ten_minutes() {
    for (octets, seconds, collected) in [((1 << 30) - 1000, 590, 3), (1 << 30, 0, 0), (0, 600, 0)] {
        let provider = Provider::new(mails());
        run(&provider, async {
            let (store, source) = (new_store(), source(&provider));
            let (result, outcome) = poll_after(&source, &store, octets, Duration::from_secs(seconds)).await;
            result.unwrap();
            assert_eq!(
                (outcome.collected, outcome.more),
                (collected, collected < 3),
                "{octets}, {seconds} s"
            );
            assert_eq!(poll(&source, &store).await.1.collected, 3 - collected);
        });
    }
}
