//! THREAD (RFC 5256 section 3).

mod forest;
mod ids;
mod ordered_subject;
mod references;

use std::io;

use super::progress::Progress;
use super::search::found;
use super::sort::{Headers, MAX_SORTED, TOO_MANY};
use crate::imap::server::Connection;
use crate::imap::state::outcome::{MailboxUpdates, Outcome, Reply};
use crate::imap::state::session::Session;
use crate::imap::wire::command::SearchKey;
use crate::imap::wire::sort::ThreadAlgorithm;
use crate::imap::wire::words;
use crate::pace::Pace;
use crate::store::Error;
use forest::{Forest, Words};

/// Nodes that are written before other sessions get a turn.
const PIECE: usize = 256;

impl Connection {
    /// Searches for messages and sends their threads.
    pub async fn thread(
        &mut self,
        tag: String,
        uid: bool,
        algorithm: ThreadAlgorithm,
        key: &SearchKey,
    ) -> io::Result<Outcome> {
        let threading = async |session: &Session, progress: &Progress| {
            let selected = session.selected().ok_or(Error::NoSuchMailbox)?;
            let found = found(selected, key, progress).await?;
            if found.len() > MAX_SORTED {
                return Ok(None);
            }
            let pace = Pace::new();
            let headers = Headers::new(selected, found.len(), &pace, progress);
            Ok(Some(match algorithm {
                ThreadAlgorithm::OrderedSubject => ordered_subject::threads(found, &headers, &pace).await,
                ThreadAlgorithm::References => references::threads(&found, &headers, &pace).await,
            }))
        };
        let text = match self.telling(&tag, threading).await? {
            Ok(None) => TOO_MANY.into(),
            Ok(Some(forest)) => {
                self.tell(uid, &forest).await?;
                "OK THREAD completed".into()
            }
            Err(error) => words::refusal(&error),
        };
        Ok(Outcome::Reply(Reply { news: MailboxUpdates::of_search(uid, key), ..Reply::new(tag, text) }))
    }

    async fn tell(&mut self, uid: bool, forest: &Forest) -> io::Result<()> {
        let (mut words, pace) = (Words::new(forest), Pace::new());
        let mut out = String::from("* THREAD ");
        loop {
            let numbers = self.session.selected().map(|selected| selected.numbers());
            let name = |seq| match numbers {
                Some(numbers) if uid => numbers.uid(seq).unwrap_or(seq),
                _ => seq,
            };
            let goes_on = words.write(forest, PIECE, name, &mut out);
            if !goes_on {
                // When there are no threads there is no space after the word THREAD.
                out.truncate(out.trim_end().len());
                out.push_str("\r\n");
            }
            self.write(&std::mem::take(&mut out)).await?;
            if !goes_on {
                return Ok(());
            }
            pace.did_items(PIECE).await;
        }
    }
}
