//! Searches whose client hears what comes into their result and what leaves it (RFC 5267 section 4.3).
//!
//! An idle connection keeps them, so they are small: a few, each with its key and a bit for each message.

use super::marks::Marks;
use crate::imap::wire::command::{FetchItem, SearchKey};
use crate::imap::wire::sequence::SetWriter;
use crate::store::Uid;

/// Searches of one session.
const MAX_CONTEXTS: usize = 4;
/// Octets of memory that a key may take.
const MAX_KEY: usize = 16 * 1024;
/// Numbers in one response.
const PIECE: usize = 512;

/// A search that goes on.
#[derive(Debug)]
pub struct Context {
    /// Of the command that began it.
    pub tag: String,
    /// It was a UID SEARCH.
    pub uid: bool,
    /// What is looked for.
    pub key: SearchKey,
    /// What is told of new messages that come into the result (RFC 5465 section 7).
    pub fetch: Vec<FetchItem>,
    /// What is in the result.
    pub found: Marks,
    /// Messages that have not changed since this MODSEQ are known.
    pub modseq: u64,
}

/// The searches of a session that go on.
#[derive(Debug, Default)]
pub struct Contexts {
    live: Vec<Context>,
    /// What the client has to hear before it hears EXPUNGE, so that sequence numbers are still valid (section 4.3.4).
    gone: Vec<Change>,
}

/// What becomes of a result.
#[derive(Debug)]
pub struct Change {
    /// The search's.
    pub tag: String,
    /// `numbers` are UIDs.
    pub uid: bool,
    /// They come into it, or leave it.
    pub added: bool,
    /// Which, ascending.
    pub numbers: Vec<u32>,
}

impl Contexts {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// Those that go on.
    pub fn live(&self) -> &[Context] {
        &self.live
    }

    /// One of them.
    pub fn get_mut(&mut self, at: usize) -> Option<&mut Context> {
        self.live.get_mut(at)
    }

    /// Whether a command of this tag has begun one.
    pub fn has(&self, tag: &str) -> bool {
        self.live.iter().any(|context| context.tag == tag)
    }

    /// Why one more with this key cannot go on, for `NO [NOUPDATE …]` (section 4.3.1).
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

    /// Begins one.
    pub fn begin(&mut self, context: Context) {
        self.live.push(context);
    }

    /// CANCELUPDATE (section 4.3.5): whether there was one of this tag.
    pub fn cancel(&mut self, tag: &str) -> bool {
        let before = self.live.len();
        self.live.retain(|context| context.tag != tag);
        self.live.len() < before
    }

    /// The messages with the sequence numbers `gone`, ascending, are no more; `before` are the UIDs of all until now.
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

    /// Appends the next piece of what comes before EXPUNGE; whether there was any.
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
    /// Appends an ESEARCH response with the next of the numbers, in mailbox order at no certain place (sections 4.3.3 and
    /// 4.3.4).
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

/// Octets of memory that a key takes, about. Recurses as deep as the key, which the parser limits.
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

/// Whether messages match another time although they have not changed: by their place, by what is the last one, by the
/// time, or by what `$` is.
fn is_unsteady(key: &SearchKey) -> bool {
    key.has(|key| match key {
        SearchKey::Uid(set) => set.has_star(),
        SearchKey::Sequence(_) | SearchKey::Saved | SearchKey::Older(_) | SearchKey::Younger(_) => true,
        _ => false,
    })
}
