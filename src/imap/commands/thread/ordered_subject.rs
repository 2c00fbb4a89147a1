//! ORDEREDSUBJECT (RFC 5256 section 3): messages with the same base subject are a thread, and its first message is
//! the parent of all others.

use super::forest::{Forest, NONE};
use crate::imap::commands::sort::{self, Headers, merge_sort};
use crate::imap::wire::sort::{SortCriterion, SortKey};
use crate::pace::{ITEM, Pace};

/// The threads of `found`, sequence numbers in ascending order.
pub async fn threads(mut found: Vec<u32>, headers: &Headers<'_>, pace: &Pace) -> Forest {
    // Read in the order of the log, in which summaries are found: 12 octets for each message.
    let (seqs, mut sent) = (found.clone(), Vec::with_capacity(found.len()));
    for &seq in &seqs {
        sent.push(headers.ask(seq, |header| header.sent()).await);
    }
    let by = |key| SortCriterion { reverse: false, key };
    let begins = sort::order(&mut found, &[by(SortKey::Subject), by(SortKey::Date)], headers, pace).await;
    let mut forest = Forest::with_room(found.len());
    // For each thread the sent date, the sequence number and the node of its first message.
    let mut roots: Vec<(i64, u32, u32)> = Vec::new();
    let mut last = NONE;
    for (place, &seq) in (1..).zip(&found) {
        pace.did(ITEM).await;
        let node = forest.add(seq);
        if begins.has(place) {
            let sent = seqs.binary_search(&seq).ok().and_then(|at| sent.get(at));
            roots.push((sent.copied().unwrap_or_default(), seq, node));
        } else if let Some(&(_, _, root)) = roots.last() {
            if last == root {
                forest.adopt(root, node);
            } else {
                forest.link_behind(last, node);
            }
        }
        last = node;
    }
    drop(found);
    merge_sort(&mut roots, ITEM, |a, b| a.cmp(b), pace).await;
    forest.first = forest.link(&roots.iter().map(|&(_, _, node)| node).collect::<Vec<_>>());
    forest
}
