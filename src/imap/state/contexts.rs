//! Contexts: searches whose clients are told which messages enter or leave their results (RFC 5267 section 4.3).
//!
//! An idle connection keeps its contexts, so they are small: a few, each with its key and a bit for each message.

use super::marks::Marks;
use crate::imap::wire::command::{FetchItem, SearchKey};
use crate::imap::wire::sequence::SetWriter;
use crate::store::Uid;

/// Contexts of one session at most.
const MAX_CONTEXTS: usize = 4;
/// Octets of memory that a search key may take.
const MAX_KEY: usize = 16 * 1024;
/// Numbers in one response at most.
const PIECE: usize = 512;

/// A search with UPDATE.
#[derive(Debug)]
pub struct Context {
    /// The tag of the command that began it.
    pub tag: String,
    /// Whether it was a UID SEARCH.
    pub uid: bool,
    /// The search key.
    pub key: SearchKey,
    /// The items that are sent of new messages that enter the result (RFC 5465 section 7).
    pub fetch: Vec<FetchItem>,
    /// The messages in the result.
    pub found: Marks,
    /// The MODSEQ up to which changes of messages were examined.
    pub modseq: u64,
}

/// The contexts of a session.
#[derive(Debug, Default)]
pub struct Contexts {
    live: Vec<Context>,
    /// Changes that must be reported before EXPUNGE, while their sequence numbers are still valid (section 4.3.4).
    gone: Vec<Change>,
}

/// A change of a result.
#[derive(Debug)]
pub struct Change {
    /// The tag of the search.
    pub tag: String,
    /// Whether `numbers` are UIDs, and not sequence numbers.
    pub uid: bool,
    /// Whether the messages enter the result; otherwise they leave it.
    pub added: bool,
    /// The messages, ascending.
    pub numbers: Vec<u32>,
}

impl Contexts {
    /// Whether there is no context.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// The contexts.
    pub fn live(&self) -> &[Context] {
        &self.live
    }

    /// The context with this index.
    pub fn get_mut(&mut self, at: usize) -> Option<&mut Context> {
        self.live.get_mut(at)
    }

    /// Whether there is a context of the command with this tag.
    pub fn has(&self, tag: &str) -> bool {
        self.live.iter().any(|context| context.tag == tag)
    }

    /// Why a context with this key cannot be added, for `NO [NOUPDATE …]` (section 4.3.1); `None` when it can.
    pub fn refusal(&self, key: &SearchKey, fetch: &[FetchItem]) -> Option<&'static str> {
        if self.live.len() >= MAX_CONTEXTS {
            Some("Too many searches tell changes already")
        } else if size(key) + fetch.iter().map(FetchItem::size).sum::<usize>() > MAX_KEY {
            Some("The search is too long for that")
        } else if is_unsteady(key) {
            Some("What this finds changes by itself")
        } else {
            None
        }
    }

    /// Adds a context.
    pub fn begin(&mut self, context: Context) {
        self.live.push(context);
    }

    /// CANCELUPDATE (section 4.3.5). Returns whether there was a context with this tag.
    pub fn cancel(&mut self, tag: &str) -> bool {
        let before = self.live.len();
        self.live.retain(|context| context.tag != tag);
        self.live.len() < before
    }

    /// Handles messages that are gone, given by their sequence numbers, ascending. `before` are the UIDs of all
    /// messages until now.
    pub fn expunge(&mut self, before: &[Uid], gone: &[u32]) {
        for context in &mut self.live {
            let left = gone.iter().copied().filter(|&seq| context.found.has(seq));
            let uid = |seq: u32| before.get(usize::try_from(seq).ok()?.checked_sub(1)?).copied();
            let numbers: Vec<u32> = if context.uid { left.filter_map(uid).collect() } else { left.collect() };
            if !numbers.is_empty() {
                self.gone.push(Change { tag: context.tag.clone(), uid: context.uid, added: false, numbers });
            }
            context.found.expunge(gone);
        }
    }

    /// Appends the next response that must come before EXPUNGE. Returns whether there was one.
    pub fn write_gone(&mut self, out: &mut String) -> bool {
        let Some(change) = self.gone.last_mut() else { return false };
        change.write_piece(out);
        if change.numbers.is_empty() {
            self.gone.pop();
        }
        true
    }
}

impl Change {
    /// Appends an ESEARCH response with the next of the numbers. They are in mailbox order and reported without a
    /// position (sections 4.3.3 and 4.3.4).
    pub fn write_piece(&mut self, out: &mut String) {
        let (uid, item) =
            (if self.uid { " UID" } else { "" }, if self.added { "ADDTO" } else { "REMOVEFROM" });
        out.push_str(&format!("* ESEARCH (TAG \"{}\"){uid} {item} (0 ", self.tag));
        let mut set = SetWriter::default();
        let piece = self.numbers.len().min(PIECE);
        self.numbers.drain(..piece).for_each(|number| set.push(number, out));
        set.finish(out);
        out.push_str(")\r\n");
    }
}

/// Octets of memory that a key takes, approximately. Recurses as deep as the key, which the parser limits.
fn size(key: &SearchKey) -> usize {
    let more = match key {
        SearchKey::And(keys) => keys.iter().map(size).sum(),
        SearchKey::Or(one, other) => size(one) + size(other),
        SearchKey::Not(key) => size(key),
        SearchKey::Uid(set) => set.size(),
        SearchKey::Keyword(text)
        | SearchKey::EmailId(text)
        | SearchKey::Body(text)
        | SearchKey::Text(text) => text.len(),
        SearchKey::Addresses { name, text } | SearchKey::Header { name, text } => name.len() + text.len(),
        _ => 0,
    };
    size_of::<SearchKey>() + more
}

/// Whether messages may match later although they have not changed: because of their sequence numbers, of which
/// message is the last, of the time, or of what `$` stands for.
fn is_unsteady(key: &SearchKey) -> bool {
    key.has(|key| match key {
        SearchKey::Uid(set) => set.has_star(),
        SearchKey::Sequence(_) | SearchKey::Saved | SearchKey::Older(_) | SearchKey::Younger(_) => true,
        _ => false,
    })
}
