//! Searches with UPDATE (RFC 5267 section 4.3): when messages enter or leave their results, the client is told
//! together with the other changes of the mailbox.

use std::io;

use super::query::{Candidate, Query};
use crate::imap::server::Connection;
use crate::imap::state::contexts::{Change, Context};
use crate::imap::state::marks::Marks;
use crate::imap::state::outcome::Outcome;
use crate::imap::state::selected::Selected;
use crate::imap::state::session::{Session, State};
use crate::imap::wire::command::FetchItem;
use crate::imap::wire::search::SearchArgs;
use crate::pace::Pace;

/// How the result of a search has changed: sequence numbers, ascending.
#[derive(Default)]
struct Changes {
    added: Vec<u32>,
    removed: Vec<u32>,
}

impl Selected {
    /// The items that searches want of this new message, because it enters their results (RFC 5465 section 7).
    pub async fn wanted_of_new(&self, seq: u32) -> Vec<FetchItem> {
        let mut items = Vec::new();
        let Some(uid) = self.numbers().uid(seq) else { return items };
        for context in self.contexts.live().iter().filter(|context| !context.fetch.is_empty()) {
            let Ok(mut query) = Query::new(&context.key, self) else { break };
            query.turn().await;
            let Ok(Some(candidate)) = Candidate::of(self, seq, uid) else { break };
            if matches!(query.matches(self.account(), candidate).await, Ok(true)) {
                items.extend(context.fetch.iter().cloned());
            }
        }
        items
    }

    /// How the result of `context` has changed. The client has already been told how the messages themselves have
    /// changed. Messages that are gone stay in the result until that is told.
    async fn changes(&self, context: &Context) -> Changes {
        let mut changes = Changes::default();
        let Ok(mut query) = Query::new(&context.key, self) else { return changes };
        for (seq, &uid) in (1..).zip(self.numbers().uids()) {
            query.turn().await;
            let Ok(Some(candidate)) = Candidate::of(self, seq, uid) else { continue };
            if candidate.message.modseq <= context.modseq {
                continue;
            }
            match (query.matches(self.account(), candidate).await, context.found.has(seq)) {
                (Ok(true), false) => changes.added.push(seq),
                (Ok(false), true) => changes.removed.push(seq),
                (Ok(_), _) => (),
                (Err(error), _) => log::error!("imap: a search passes over a message: {error}"),
            }
        }
        changes
    }
}

impl Session {
    /// CANCELUPDATE (RFC 5267 section 4.3.5).
    pub fn cancel_update(&mut self, tag: String, tags: &[String]) -> Outcome {
        let State::Selected(selected) = &mut self.state else { return Outcome::End };
        let mut all = true;
        for tag in tags {
            all &= selected.contexts.cancel(tag);
        }
        Outcome::reply(
            tag,
            if all { "OK No more updates" } else { "BAD No search of that tag tells changes" },
        )
    }

    /// Begins to report the changes of this search's result, which is known up to `modseq`.
    pub fn begin_context(&mut self, tag: String, args: SearchArgs, found: &[u32], modseq: u64) {
        if let State::Selected(selected) = &mut self.state {
            let found = Marks::on(found.iter().copied());
            let fetch = args.returns.map(|returns| returns.fetch).unwrap_or_default();
            selected.contexts.begin(Context { tag, uid: args.uid, key: args.key, fetch, found, modseq });
        }
    }

    /// Takes over the changed result of the search at index `at`. Returns the changes to be reported.
    fn changed(&mut self, at: usize, changes: &Changes, modseq: u64) -> Vec<Change> {
        let State::Selected(selected) = &mut self.state else { return Vec::new() };
        let Some(context) = selected.contexts.get_mut(at) else { return Vec::new() };
        context.modseq = modseq;
        let mut told = Vec::new();
        for (added, list) in [(false, &changes.removed), (true, &changes.added)] {
            list.iter().for_each(|&seq| context.found.set(seq, added));
            let uid = |&seq: &u32| selected.numbers.uid(seq);
            let numbers: Vec<u32> =
                if context.uid { list.iter().filter_map(uid).collect() } else { list.clone() };
            if !numbers.is_empty() {
                told.push(Change { tag: context.tag.clone(), uid: context.uid, added, numbers });
            }
        }
        told
    }
}

impl Connection {
    /// Reports changes in the results of searches with UPDATE. This comes after the changes of the mailbox, so that
    /// the client knows of each message (RFC 5267 section 4.3.3).
    pub async fn tell_contexts(&mut self) -> io::Result<()> {
        let pace = Pace::new();
        for at in 0.. {
            let Some(selected) = self.session.selected() else { break };
            let Some(context) = selected.contexts.live().get(at) else { break };
            let modseq = selected.numbers().synced();
            if context.modseq >= modseq {
                continue;
            }
            let changes = selected.changes(context).await;
            for mut change in self.session.changed(at, &changes, modseq) {
                while !change.numbers.is_empty() {
                    let mut out = String::new();
                    change.write_piece(&mut out);
                    self.write(&out).await?;
                    pace.did(out.len() as u64).await;
                }
            }
        }
        Ok(())
    }
}
