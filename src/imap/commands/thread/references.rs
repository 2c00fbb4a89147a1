//! REFERENCES (RFC 5256 section 3): a message is a child of the last message that it refers to.
//!
//! Each message takes 12 octets of memory for its number and its sent date; each node takes 16 octets, and 20 for its
//! identifier, which are given back before subjects are read. Missing messages that others refer to have nodes, too,
//! up to three quarters of the number of messages (or 4,096); further missing ones do not join messages. So 100,000
//! messages take 8 MiB at most, and for 100,000 messages that refer to 63,000 missing ones 7.6 MiB were measured.

use super::forest::{Forest, NONE, at, set};
use super::ids::{Id, Ids, push};
use crate::imap::commands::sort::{self, Headers, merge_sort};
use crate::imap::state::marks::Marks;
use crate::message::collation::collate_decoded;
use crate::message::message_id::message_ids;
use crate::pace::{ITEM, Pace};

/// Nodes for missing messages that are allowed in any case.
const MISSING: usize = 4096;

/// The header fields that determine threads.
const FIELDS: [&str; 4] = ["Message-ID", "References", "In-Reply-To", "Date"];

/// What determines the thread of a message.
#[derive(Default)]
struct Refers {
    own: Option<Id>,
    /// The identifiers that it refers to, the oldest first.
    to: Vec<Id>,
    /// The sent date, in seconds since 1970.
    sent: i64,
}

/// Nodes with their parents. A node's message is its index in the messages that were found, or [`NONE`].
#[derive(Default)]
struct Parents {
    ids: Ids,
    message: Vec<u32>,
    parent: Vec<u32>,
    /// The nodes, counted from 1, that have had a child.
    has_child: Marks,
    missing: usize,
}

/// The threads of `found`, sequence numbers in ascending order.
pub async fn threads(found: &[u32], headers: &Headers<'_>, pace: &Pace) -> Forest {
    let most = (found.len() / 4 * 3).max(MISSING);
    let mut parents = Parents { ids: Ids::for_nodes(found.len() + most), ..Parents::default() };
    let mut sent = Vec::with_capacity(found.len());
    for (message, &seq) in (0..).zip(found) {
        let ids = &parents.ids;
        let refers = headers
            .ask(seq, |header| {
                let arrival = header.arrival();
                header.values(FIELDS, |[own, references, replied, date]| {
                    let read = |field: &[u8]| message_ids(field).map(|id| ids.id(&id)).collect::<Vec<_>>();
                    let mut to = read(&references);
                    if to.is_empty() {
                        to = read(&replied);
                        to.truncate(1);
                    }
                    Refers { own: read(&own).first().copied(), to, sent: sort::sent(&date, arrival) }
                })
            })
            .await;
        sent.push(refers.sent);
        parents.add(message, &refers, most, pace).await;
    }
    parents.ids = Ids::default();
    parents.prune(pace).await;
    let (mut threads, mut roots) = Threads::plant(parents, found, sent, pace).await;
    // Step 4: sort the children of missing roots, then the roots.
    for &root in &roots {
        if threads.is_missing(root) {
            threads.sort_children(root, pace).await;
        }
    }
    threads.sort(&mut roots, pace).await;
    threads.join_by_subject(&mut roots, headers, pace).await;
    // Step 6: sort all children, then the roots.
    for node in 0..u32::try_from(threads.message.len()).unwrap_or(NONE) {
        threads.sort_children(node, pace).await;
    }
    threads.sort(&mut roots, pace).await;
    threads.forest.first = threads.forest.link(&roots);
    threads.forest
}

impl Parents {
    fn node(&mut self, message: u32, id: Id) -> u32 {
        push(&mut self.message, message);
        push(&mut self.parent, NONE);
        self.ids.push(id);
        u32::try_from(self.message.len() - 1).unwrap_or(NONE)
    }

    /// Step 1: links the messages that a message refers to, and the message to the last of them.
    async fn add(&mut self, message: u32, refers: &Refers, most: usize, pace: &Pace) {
        let known = refers.own.and_then(|id| self.ids.find(id));
        let node = match (refers.own, known) {
            // An earlier message referred to this one.
            (_, Some(node)) if at(&self.message, node) == NONE => {
                set(&mut self.message, node, message);
                self.missing -= 1;
                node
            }
            // A message with the identifier of an earlier message counts as one without identifier.
            (Some(id), None) => self.node(message, id),
            _ => self.node(message, 0),
        };
        let mut last = NONE;
        for &id in &refers.to {
            pace.did(ITEM).await;
            let referred = match self.ids.find(id) {
                Some(node) => node,
                None if self.missing < most => {
                    self.missing += 1;
                    self.node(NONE, id)
                }
                None => continue,
            };
            if at(&self.parent, referred) == NONE {
                self.link(last, referred, pace).await;
            }
            last = referred;
        }
        // A parent that it has already came from another message's references, which know less.
        set(&mut self.parent, node, NONE);
        self.link(last, node, pace).await;
    }

    /// Makes `child` a child of `parent`, unless `parent` is below `child`.
    async fn link(&mut self, parent: u32, child: u32, pace: &Pace) {
        if parent == NONE || parent == child {
            return;
        }
        let mut above = parent;
        while self.has_child.has(child.saturating_add(1)) && above != NONE {
            above = at(&self.parent, above);
            if above == child {
                return;
            }
            pace.did(ITEM).await;
        }
        set(&mut self.parent, child, parent);
        self.has_child.set(parent.saturating_add(1), true);
    }

    /// Step 3: children of missing messages become children of the message above. At the root they stay together when
    /// there is more than one.
    async fn prune(&mut self, pace: &Pace) {
        let nodes = u32::try_from(self.message.len()).unwrap_or(NONE);
        let mut children = vec![0_u32; self.message.len()];
        for node in (0..nodes).filter(|&node| at(&self.message, node) != NONE) {
            pace.did(ITEM).await;
            let (mut top, mut above) = (NONE, at(&self.parent, node));
            while above != NONE && at(&self.message, above) == NONE {
                pace.did(ITEM).await;
                (top, above) = (above, at(&self.parent, above));
            }
            // The nearest parent that is not missing, or else the topmost missing one.
            let parent = if above == NONE { top } else { above };
            // Nodes that were passed are not walked through again.
            let mut passed = node;
            while passed != NONE && passed != parent {
                let next = at(&self.parent, passed);
                set(&mut self.parent, passed, parent);
                passed = next;
            }
            if above == NONE && top != NONE {
                let count = at(&children, top);
                set(&mut children, top, count + 1);
            }
        }
        for node in (0..nodes).filter(|&node| at(&self.message, node) != NONE) {
            let parent = at(&self.parent, node);
            if at(&self.message, parent) == NONE && at(&children, parent) == 1 {
                set(&mut self.parent, node, NONE);
            }
        }
    }
}

/// Threads, with what they are sorted by.
struct Threads {
    forest: Forest,
    /// The message of each node, or [`NONE`] when it is missing.
    message: Vec<u32>,
    /// The sent date of each message, in seconds since 1970.
    sent: Vec<i64>,
}

impl Threads {
    /// Step 2: makes nodes children of their parents. Returns the threads and their roots.
    async fn plant(parents: Parents, found: &[u32], sent: Vec<i64>, pace: &Pace) -> (Threads, Vec<u32>) {
        let Parents { message, parent, .. } = parents;
        let mut forest = Forest::with_room(message.len());
        for &message in &message {
            pace.did(ITEM).await;
            forest.add(if message == NONE { 0 } else { at(found, message) });
        }
        let nodes = u32::try_from(message.len()).unwrap_or(NONE);
        for node in (0..nodes).rev().filter(|&node| at(&message, node) != NONE) {
            pace.did(ITEM).await;
            let parent = at(&parent, node);
            if parent != NONE {
                forest.adopt(parent, node);
            }
        }
        let is_root = |&node: &u32| {
            let is_something = at(&message, node) != NONE || at(&forest.child, node) != NONE;
            at(&parent, node) == NONE && is_something
        };
        let roots = (0..nodes).filter(is_root).collect();
        (Threads { forest, message, sent }, roots)
    }

    /// Whether the node's message is missing.
    fn is_missing(&self, node: u32) -> bool {
        at(&self.message, node) == NONE
    }

    /// The node that stands for this one in sorting: its first child when it is missing, otherwise itself.
    fn shown(&self, node: u32) -> u32 {
        if self.is_missing(node) { at(&self.forest.child, node) } else { node }
    }

    /// Sorts siblings by the sent date, then by number. The children of missing nodes must be sorted already.
    async fn sort(&self, nodes: &mut Vec<u32>, pace: &Pace) {
        let key = |&node: &u32| {
            let shown = self.shown(node);
            let sent = usize::try_from(at(&self.message, shown)).ok().and_then(|at| self.sent.get(at));
            (sent.copied().unwrap_or_default(), at(&self.forest.seq, shown))
        };
        merge_sort(nodes, ITEM, |a, b| key(a).cmp(&key(b)), pace).await;
    }

    async fn sort_children(&mut self, node: u32, pace: &Pace) {
        pace.did(ITEM).await;
        let first = at(&self.forest.child, node);
        if at(&self.forest.next, first) == NONE {
            return;
        }
        let mut children: Vec<u32> = self.forest.siblings(first).collect();
        self.sort(&mut children, pace).await;
        let first = self.forest.link(&children);
        set(&mut self.forest.child, node, first);
    }

    /// Step 5: joins threads with the same base subject.
    async fn join_by_subject(&mut self, roots: &mut Vec<u32>, headers: &Headers<'_>, pace: &Pace) {
        // Roots by their subjects; 0 for a root without subject. Marks count the roots from 1.
        let mut subjects = Ids::for_nodes(roots.len());
        let mut replies = Marks::default();
        for (place, &root) in (0..).zip(roots.iter()) {
            let seq = at(&self.forest.seq, self.shown(root));
            let base = headers.ask(seq, |header| header.subject()).await;
            let mut collated = Vec::new();
            collate_decoded(&base.text, &mut collated);
            let subject = if collated.is_empty() { 0 } else { subjects.id(&collated) };
            let there = subjects.find(subject);
            subjects.push(subject);
            replies.set(place + 1, base.is_reply);
            let Some(there) = there else { continue };
            let better = self.is_missing(root) || (replies.has(there + 1) && !base.is_reply);
            if self.is_missing(at(roots, there)) || !better {
                subjects.enter(there);
            }
        }
        let mut joined = Marks::default();
        for place in 0..u32::try_from(roots.len()).unwrap_or(NONE) {
            pace.did(ITEM).await;
            let Some(of) = subjects.find(subjects.of(place)).filter(|&of| of != place) else { continue };
            joined.set(place + 1, true);
            let (root, other) = (at(roots, place), at(roots, of));
            match (self.is_missing(other), self.is_missing(root)) {
                (true, true) => {
                    let children: Vec<u32> = self.forest.siblings(at(&self.forest.child, root)).collect();
                    pace.did_items(children.len()).await;
                    children.iter().for_each(|&child| self.forest.adopt(other, child));
                    set(&mut self.forest.child, root, NONE);
                }
                (true, false) => self.forest.adopt(other, root),
                (false, _) if replies.has(place + 1) && !replies.has(of + 1) => {
                    self.forest.adopt(other, root)
                }
                (false, _) => {
                    let both = self.forest.add(0);
                    self.message.push(NONE);
                    self.forest.adopt(both, root);
                    self.forest.adopt(both, other);
                    set(roots, of, both);
                }
            }
        }
        let mut place = 0;
        roots.retain(|_| {
            place += 1;
            !joined.has(place)
        });
    }
}
