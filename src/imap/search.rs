//! SEARCH (RFC 3501 section 6.4.4).

use super::command::SearchKey;
use super::view::View;
use crate::store::{Account, Error};

/// The sequence numbers, ascending, of the messages of `view` that match. Messages that other sessions
/// removed meanwhile match nothing. Headers come from the summaries, bodies are streamed, and other
/// sessions get their turn between two messages.
///
/// # Errors
/// A message that could not be read.
pub async fn run(_account: &Account, _view: &View, _key: &SearchKey) -> Result<Vec<u32>, Error> {
    todo!()
}
