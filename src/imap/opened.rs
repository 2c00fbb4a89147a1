//! A message of which only what is asked for is read: its summary where that is enough, else its body,
//! and the structure of that.

use std::io;
use std::rc::Rc;

use crate::flash::ReadAt;
use crate::message::Summary;
use crate::message::envelope::Envelope;
use crate::message::mime::{Scanner, Structure};
use crate::pace::Pace;
use crate::store::{Account, Body, Error, Message};

/// Parts of a structure that is remembered: an idle connection must not keep a hostile one.
const MAX_REMEMBERED: usize = 50;

/// The structure of the message that was looked at last, under the number of its body: clients fetch a
/// large message in many small pieces, each of which would be a scan of the whole.
#[derive(Default)]
pub struct LastStructure(Option<(u32, Rc<Structure>)>);

/// A message and what was read of it.
pub struct Opened<'a> {
    account: &'a Account,
    message: Message,
    summary: Option<Vec<u8>>,
    body: Option<Body>,
    structure: Option<Rc<Structure>>,
}

impl<'a> Opened<'a> {
    /// Nothing is read yet.
    pub fn new(account: &'a Account, message: Message) -> Opened<'a> {
        Opened { account, message, summary: None, body: None, structure: None }
    }

    /// The whole message.
    ///
    /// # Errors
    /// Those of [`Account::body`].
    pub fn body(&mut self) -> Result<&Body, Error> {
        let body = match self.body.take() {
            Some(body) => body,
            None => self.account.body(&self.message)?,
        };
        Ok(self.body.insert(body))
    }

    /// What `ask` finds in the whole message.
    ///
    /// # Errors
    /// Those of [`Account::body`], and of `ask`.
    pub fn ask_body<T>(&mut self, ask: impl FnOnce(&dyn ReadAt) -> io::Result<T>) -> Result<T, Error> {
        ask(self.body()?).map_err(|error| self.unreadable(error))
    }

    /// The header fields in the summary, if it has those of all `names`.
    ///
    /// # Errors
    /// Those of [`Account::summary`].
    pub fn fields(
        &mut self,
        mut names: impl Iterator<Item = impl AsRef<[u8]>>,
    ) -> Result<Option<&[u8]>, Error> {
        if !names.all(|name| Summary::covers(name.as_ref())) {
            return Ok(None);
        }
        let summary = match self.summary.take() {
            Some(summary) => summary,
            None => self.account.summary(&self.message)?,
        };
        Ok(Summary::decode(self.summary.insert(summary)).fields)
    }

    /// What `ask` finds in the header field `name`: in the summary if it has that, else in the message.
    ///
    /// # Errors
    /// Those of [`Account::summary`], of [`Account::body`], and of `ask`.
    pub fn ask_header<T>(
        &mut self,
        name: &str,
        ask: impl FnOnce(&dyn ReadAt) -> io::Result<T>,
    ) -> Result<T, Error> {
        match self.fields(std::iter::once(name))? {
            Some(fields) => ask(&fields).map_err(|error| self.unreadable(error)),
            None => self.ask_body(ask),
        }
    }

    /// ENVELOPE, whose fields the summary has all or none of.
    ///
    /// # Errors
    /// As [`Opened::ask_header`].
    pub fn envelope(&mut self) -> Result<Envelope, Error> {
        self.ask_header("From", |header| Envelope::of(header, 0..u64::MAX))
    }

    /// The structure; other sessions get their turn while the message is scanned.
    ///
    /// # Errors
    /// As [`Opened::ask_body`].
    pub async fn structure(&mut self, last: &mut LastStructure) -> Result<Rc<Structure>, Error> {
        let number = self.message.body;
        let known = last.0.as_ref().filter(|(of, _)| *of == number).map(|(_, structure)| structure);
        if let Some(structure) = self.structure.as_ref().or(known) {
            return Ok(structure.clone());
        }
        let scanned = scan(self.body()?).await.map_err(|error| self.unreadable(error))?;
        let structure = Rc::new(scanned);
        last.0 = (structure.parts().len() <= MAX_REMEMBERED).then(|| (number, structure.clone()));
        Ok(self.structure.insert(structure).clone())
    }

    /// That reading the message failed.
    pub fn unreadable(&self, source: io::Error) -> Error {
        Error::Io { path: format!("{}, UID {}", self.account.name(), self.message.uid), source }
    }
}

async fn scan(message: &dyn ReadAt) -> io::Result<Structure> {
    let mut scanner = Scanner::new(message);
    let pace = Pace::new();
    while scanner.step()? {
        pace.keep().await;
    }
    Ok(scanner.finish())
}
