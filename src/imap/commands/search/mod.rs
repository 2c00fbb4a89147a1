//! SEARCH (RFC 3501 section 6.4.4) with its result options (RFC 4731, RFC 9394), the saved result `$` (RFC 5182), and
//! searches with UPDATE (RFC 5267).

mod answer;
mod context;
mod query;
mod ruled_out;

use std::io;

use super::progress::Progress;
use crate::imap::server::Connection;
use crate::imap::state::marks::Marks;
use crate::imap::state::outcome::{MailboxUpdates, Outcome, Reply};
use crate::imap::state::selected::Selected;
use crate::imap::state::session::{Session, State};
use crate::imap::wire::command::SearchKey;
use crate::imap::wire::search::SearchArgs;
use crate::imap::wire::words;
use crate::store::Error;
use query::{Candidate, Query};

/// The sequence numbers, ascending, of the messages that match. Messages that other sessions have removed meanwhile
/// do not match, nor do those that cannot be read, which is logged. Headers come from the summaries, bodies are
/// streamed, `progress` is updated, and other sessions get turns in between.
///
/// # Errors
/// [`Error::NoSuchMailbox`], when another session has deleted the mailbox.
pub async fn found(selected: &Selected, key: &SearchKey, progress: &Progress) -> Result<Vec<u32>, Error> {
    let mut query = Query::new(key, selected)?;
    progress.begin(selected.numbers().uids().len());
    let mut found = Vec::new();
    for (seq, &uid) in (1..).zip(selected.numbers().uids()) {
        query.turn().await;
        progress.did_one();
        query.look_ahead(selected, seq).await;
        let Some(candidate) = Candidate::of(selected, seq, uid)? else { continue };
        match query.matches(selected.account(), candidate).await {
            Ok(true) => found.push(seq),
            Ok(false) => (),
            Err(error) => log::error!("imap: SEARCH passes over a message: {error}"),
        }
    }
    Ok(found)
}

impl Session {
    /// Makes `$` stand for these messages. RFC 5182 section 2.1: it stands for none after a search with SAVE that
    /// ends with NO.
    pub fn keep(&mut self, found: Marks) {
        if let State::Selected(selected) = &mut self.state {
            selected.saved = found;
        }
    }
}

impl Connection {
    /// Searches for messages and sends the result.
    pub async fn search(&mut self, tag: String, args: SearchArgs) -> io::Result<Outcome> {
        let Some(selected) = self.session.selected() else { return Ok(Outcome::End) };
        let (saves, modseq) = (args.saves(), selected.numbers().synced());
        let news = MailboxUpdates::of_search(args.uid, &args.key);
        let mut updates = args.returns.as_ref().is_some_and(|returns| returns.update);
        if updates && selected.contexts.has(&tag) {
            return Ok(Outcome::reply(tag, "BAD A search of that tag tells changes already"));
        }
        let fetch = args.returns.as_ref().map(|returns| returns.fetch.as_slice()).unwrap_or_default();
        if updates && let Some(why) = selected.contexts.refusal(&args.key, fetch) {
            updates = false;
            self.write(&format!("* NO [NOUPDATE \"{tag}\"] {why}\r\n")).await?;
        }
        let looking = async |session: &Session, progress: &Progress| match session.selected() {
            Some(selected) => found(selected, &args.key, progress).await,
            None => Err(Error::NoSuchMailbox),
        };
        let (kept, text) = match self.telling(&tag, looking).await? {
            Ok(found) => {
                self.answer(&tag, "SEARCH", &args, &found).await?;
                let kept = args.returns.iter().flat_map(|returns| returns.kept(&found));
                let kept = Marks::on(kept);
                if updates {
                    self.session.begin_context(tag.clone(), args, &found, modseq);
                }
                (kept, "OK SEARCH completed".into())
            }
            Err(error) => (Marks::default(), words::refusal(&error)),
        };
        if saves {
            self.session.keep(kept);
        }
        Ok(Outcome::Reply(Reply { news, ..Reply::new(tag, text) }))
    }
}
