//! A message of which only what is needed is read: its summary when there is one and it is enough, otherwise its body
//! and the structure of the body.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use crate::flash::ReadAt;
use crate::message::envelope::Envelope;
use crate::message::header;
use crate::message::mime::{Scanner, Structure};
use crate::message::summary::{self, Summary};
use crate::pace::{Pace, STEP};
use crate::store::{Account, Body, Error, HeldSummary, Message, Summaries};

/// Octets that are read to find a record on flash.
const RECORD: u64 = 1024;

/// A structure with more parts than this is not remembered: an idle connection must not keep a hostile one.
const MAX_REMEMBERED: usize = 50;

/// The structure of the last message that was looked at, with the number of its body: clients fetch a large message
/// in many small pieces, and without this each piece would need a scan of the whole message.
#[derive(Default)]
pub struct LastStructure(Option<(u32, Rc<Structure>)>);

/// The summaries in which the messages of one command are looked up.
pub type SharedSummaries = RefCell<Summaries>;

/// The summaries of an account's messages.
pub fn summaries(account: &Rc<Account>) -> SharedSummaries {
    RefCell::new(account.summaries(summary::VERSION))
}

/// A message, and what was read of it so far.
pub struct LazyMessage<'a> {
    account: &'a Account,
    message: Message,
    summaries: &'a SharedSummaries,
    /// The summary: `None` until it was looked up, `Some(None)` when there is none.
    summary: Option<Option<HeldSummary>>,
    body: Option<Body>,
    structure: Option<Rc<Structure>>,
    passed: u64,
}

impl<'a> LazyMessage<'a> {
    /// A message of which nothing is read yet. What is read of `summaries` serves the following messages, too.
    pub fn new(account: &'a Account, message: Message, summaries: &'a SharedSummaries) -> LazyMessage<'a> {
        LazyMessage { account, message, summaries, summary: None, body: None, structure: None, passed: 0 }
    }

    /// The message's size in octets (RFC822.SIZE).
    pub fn size(&self) -> u32 {
        self.message.size
    }

    /// The whole message.
    ///
    /// # Errors
    /// As [`Account::body`].
    pub fn body(&mut self) -> Result<&Body, Error> {
        let body = match self.body.take() {
            Some(body) => body,
            None => {
                let body = self.account.body(&self.message)?;
                self.passed += RECORD + body.in_memory().map_or(0, |whole| whole.len() as u64);
                body
            }
        };
        Ok(self.body.insert(body))
    }

    /// What `ask` returns for the whole message.
    ///
    /// # Errors
    /// As [`Account::body`]; errors of `ask`.
    pub fn ask_body<T>(&mut self, ask: impl FnOnce(&dyn ReadAt) -> io::Result<T>) -> Result<T, Error> {
        let body = self.body()?;
        let counted = Counted { source: body, read: Cell::new(0) };
        let answer = ask(&counted);
        let passed = body.in_memory().map_or(counted.read.get(), |whole| whole.len() as u64);
        self.passed += passed;
        answer.map_err(|error| self.unreadable(error))
    }

    /// The header fields in the summary; `None` when they are not there.
    pub fn fields(&mut self) -> Option<&[u8]> {
        let fields = self.summary().fields;
        (!fields.is_empty()).then_some(fields)
    }

    /// The text that follows the word BODYSTRUCTURE, from the summary; `None` when it is not there.
    pub fn described(&mut self) -> Option<&[u8]> {
        let structure = self.summary().structure;
        (!structure.is_empty()).then_some(structure)
    }

    fn summary(&mut self) -> Summary<'_> {
        let summary = self.summary.get_or_insert_with(|| {
            let mut summaries = self.summaries.borrow_mut();
            let summary = summaries.of(&self.message);
            let octets = summary.as_ref().map_or(0, |summary| summary.len());
            self.passed += octets as u64 + summaries.take_octets_read();
            summary
        });
        summary.as_ref().map(|summary| Summary::decode(summary)).unwrap_or_default()
    }

    /// What `make` returns for the values of the first header field of each of these names.
    ///
    /// # Errors
    /// As [`Account::body`].
    pub fn ask_values<T, const N: usize>(
        &mut self,
        names: [&str; N],
        make: impl FnOnce([Option<Cow<'_, [u8]>>; N]) -> T,
    ) -> Result<T, Error> {
        self.ask_header(&names, |header| header::values(header, 0..u64::MAX, names).map(make))
    }

    /// What `ask` returns for the header fields of these names. They are taken from the summary when it has them,
    /// otherwise from the message.
    ///
    /// # Errors
    /// As [`Account::body`]; errors of `ask`.
    pub fn ask_header<T>(
        &mut self,
        names: &[&str],
        ask: impl FnOnce(&dyn ReadAt) -> io::Result<T>,
    ) -> Result<T, Error> {
        if !names.iter().all(|name| summary::covers(name.as_bytes())) {
            return self.ask_body(ask);
        }
        match self.fields() {
            Some(fields) => ask(&fields).map_err(|error| self.unreadable(error)),
            None => self.ask_body(ask),
        }
    }

    /// Octets that were read since the last call, to be counted by the caller's [`Pace`].
    pub fn take_octets_read(&mut self) -> u64 {
        std::mem::take(&mut self.passed)
    }

    /// Appends the ENVELOPE. The summary has either all of its fields or none.
    ///
    /// # Errors
    /// As [`LazyMessage::ask_header`]; then nothing is appended.
    pub fn envelope(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.ask_header(&["From"], |header| {
            Envelope::of(header, 0..u64::MAX).map(|envelope| envelope.write(out))
        })
    }

    /// The structure of the message. Other sessions get turns while the message is scanned.
    ///
    /// # Errors
    /// As [`LazyMessage::ask_body`].
    pub async fn structure(&mut self, last: &mut LastStructure, pace: &Pace) -> Result<Rc<Structure>, Error> {
        let number = self.message.body;
        let known = last.0.as_ref().filter(|(of, _)| *of == number).map(|(_, structure)| structure);
        if let Some(structure) = self.structure.as_ref().or(known) {
            return Ok(structure.clone());
        }
        let scanned = scan(self.body()?, pace).await.map_err(|error| self.unreadable(error))?;
        let structure = Rc::new(scanned);
        last.0 = (structure.parts().len() <= MAX_REMEMBERED).then(|| (number, structure.clone()));
        Ok(self.structure.insert(structure).clone())
    }

    /// The error that says that reading the message failed.
    pub fn unreadable(&self, source: io::Error) -> Error {
        Error::Io { path: format!("{}, UID {}", self.account.name(), { self.message.uid }), source }
    }
}

/// Counts the octets that are read.
struct Counted<'a> {
    source: &'a dyn ReadAt,
    read: Cell<u64>,
}

impl ReadAt for Counted<'_> {
    fn len(&self) -> io::Result<u64> {
        self.source.len()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read_at(offset, buf)?;
        self.read.set(self.read.get() + n as u64);
        Ok(n)
    }
    fn in_memory(&self) -> Option<&[u8]> {
        self.source.in_memory()
    }
}

async fn scan(message: &dyn ReadAt, pace: &Pace) -> io::Result<Structure> {
    let mut scanner = Scanner::new(message);
    let mut before = 0;
    while scanner.step()? {
        pace.did(STEP.max(scanner.passed() - before)).await;
        before = scanner.passed();
    }
    Ok(scanner.finish())
}
