//! SORT (RFC 5256 section 3) and its result options (RFC 5267 section 3).

mod keys;
mod merge;
mod order;

use std::io;

use super::progress::Progress;
use super::search::found;
use crate::imap::server::Connection;
use crate::imap::state::marks::Marks;
use crate::imap::state::outcome::{MailboxUpdates, Outcome, Reply};
use crate::imap::state::session::Session;
use crate::imap::wire::sort::SortArgs;
use crate::imap::wire::words;
use crate::pace::Pace;
use crate::store::Error;

pub use keys::{Headers, sent};
pub use merge::sort as merge_sort;
pub use order::{MAX_SORTED, sort as order};

/// The refusal to sort too many messages (RFC 5530).
pub const TOO_MANY: &str = "NO [LIMIT] That is too many messages to sort; ask for fewer";

impl Connection {
    /// Searches for messages, sorts them, and sends the result in that order.
    pub async fn sort(&mut self, tag: String, args: SortArgs) -> io::Result<Outcome> {
        let SortArgs { criteria, search } = args;
        let sorting = async |session: &Session, progress: &Progress| {
            let selected = session.selected().ok_or(Error::NoSuchMailbox)?;
            let mut found = found(selected, &search.key, progress).await?;
            if found.len() <= MAX_SORTED {
                let pace = Pace::new();
                let headers = Headers::new(selected, found.len(), &pace, progress);
                order(&mut found, &criteria, &headers, &pace).await;
            }
            Ok(found)
        };
        let (kept, text) = match self.telling(&tag, sorting).await? {
            Ok(found) if found.len() > MAX_SORTED => (Marks::default(), TOO_MANY.into()),
            Ok(found) => {
                self.answer(&tag, "SORT", &search, &found).await?;
                let kept = search.returns.iter().flat_map(|returns| returns.kept(&found));
                (Marks::on(kept), "OK SORT completed".into())
            }
            Err(error) => (Marks::default(), words::refusal(&error)),
        };
        if search.saves() {
            self.session.keep(kept);
        }
        let news = MailboxUpdates::of_search(search.uid, &search.key);
        Ok(Outcome::Reply(Reply { news, ..Reply::new(tag, text) }))
    }
}
