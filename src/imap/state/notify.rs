//! What a client that has sent NOTIFY is told (RFC 5465), and what it knows of mailboxes that are not selected.
//!
//! For each such mailbox 32 octets are kept: what the client knows of it. The client is told the difference to the
//! present state, so nothing is lost however much happens, and no events are kept. Changes of names, subscriptions
//! and annotations come from the store's journal, which keeps only the latest events; when some are lost, the client
//! gets NOTIFICATIONOVERFLOW.

use super::filters::Filters;
use super::sequence_numbers::SequenceNumbers;
use crate::imap::wire::command::{FetchItem, StatusItem};
use crate::imap::wire::notify::{Events, NotifySet, SelectedEvents};
use crate::store::{Account, Mailbox, MailboxId, Placed, Uid, Watcher};

/// Mailboxes that one client may watch for messages.
pub const MAX_WATCHED: usize = 1024;
/// Octets of memory that the attributes of new messages may take.
const MAX_FETCH: usize = 4 * 1024;

/// The settings of the last NOTIFY.
pub struct Notify {
    /// The events of the selected mailbox.
    pub selected: SelectedEvents,
    /// The events of other mailboxes; `None` for NOTIFY NONE, or what amounts to it.
    pub others: Option<Others>,
}

/// What the client is told of mailboxes that are not selected.
pub struct Others {
    /// The source of changes of names, subscriptions and annotations.
    pub watcher: Watcher,
    /// The events that the client wants of each mailbox.
    pub filters: Filters,
    /// The mailboxes that are watched for messages, ascending by id.
    watched: Vec<Watched>,
    /// Set while `watched` may differ from what `filters` ask for: the mailbox up to which it was compared.
    pub stale: Option<Option<MailboxId>>,
    /// The index in `watched` of the mailbox that is looked at next.
    next: usize,
}

/// What a client knows of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Watched {
    id: MailboxId,
    events: Events,
    uid_validity: u32,
    /// UIDNEXT that the client knows; 0 when it does not know that the mailbox exists.
    uid_next: Uid,
    messages: u32,
    modseq: u64,
}

/// What the client knows of mailboxes when it begins to watch them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knows {
    /// The client knows their present state.
    All,
    /// The client takes them for empty.
    Empty,
    /// The client knows nothing of them, and is told their state.
    Nothing,
}

impl Watched {
    fn new(mailbox: &Mailbox, events: Events, knows: Knows) -> Watched {
        let mut watched =
            Watched { id: mailbox.id, events, uid_validity: 0, uid_next: 0, messages: 0, modseq: 0 };
        watched.know(mailbox);
        if knows != Knows::All {
            watched.uid_next = u32::from(knows == Knows::Empty);
            (watched.messages, watched.modseq) = (0, 0);
        }
        watched
    }

    fn know(&mut self, mailbox: &Mailbox) {
        (self.uid_validity, self.uid_next) = (mailbox.uid_validity, mailbox.uid_next);
        self.messages = count(mailbox.messages.len());
        self.modseq = mailbox.highest_modseq;
    }

    fn is_current(&self, mailbox: &Mailbox) -> bool {
        self.modseq == mailbox.highest_modseq
            && self.messages == count(mailbox.messages.len())
            && (self.uid_validity, self.uid_next) == (mailbox.uid_validity, mailbox.uid_next)
    }

    /// The STATUS items that the client must be told. `modseqs` says whether the client supports mod-sequences (RFC
    /// 5465 sections 5.1 to 5.3).
    fn due(&self, mailbox: &Mailbox, modseqs: bool) -> Vec<StatusItem> {
        if self.is_current(mailbox) {
            return Vec::new();
        }
        let first = self.uid_next == 0;
        let old = mailbox.messages.partition_point(|message| message.uid < self.uid_next);
        let of_flags = self.events.has(Events::FLAG_CHANGE.with(Events::ANNOTATION_CHANGE));
        let messages = first || mailbox.uid_next != self.uid_next || count(old) != self.messages;
        let flags = of_flags && mailbox.messages.iter().take(old).any(|message| message.modseq > self.modseq);
        if !messages && !flags && self.uid_validity == mailbox.uid_validity {
            return Vec::new();
        }
        let mut items = vec![StatusItem::UidValidity];
        if messages || self.uid_validity != mailbox.uid_validity {
            items.extend([StatusItem::UidNext, StatusItem::Messages]);
        }
        if of_flags {
            items.push(StatusItem::Unseen);
        }
        if modseqs || first && of_flags {
            items.push(StatusItem::HighestModseq);
        }
        items
    }

    /// Whether nothing has happened since but that these messages came.
    fn only_came(&self, mailbox: &Mailbox, placed: &Placed) -> bool {
        let is_placed = |uid: Uid| placed.ranges().any(|(first, last)| (first..=last).contains(&uid));
        let mut changed = mailbox.messages.iter().filter(|message| message.modseq > self.modseq);
        self.uid_next > 0
            && self.uid_validity == mailbox.uid_validity
            && u64::from(self.uid_next) + placed.len() as u64 == u64::from(mailbox.uid_next)
            && self.messages as usize + placed.len() == mailbox.messages.len()
            && changed.all(|message| is_placed(message.uid))
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl Notify {
    /// NOTIFY NONE: the client is told nothing at all.
    pub fn none() -> Notify {
        Notify { selected: SelectedEvents::default(), others: None }
    }

    /// NOTIFY SET; `None` when it asks for more than can be kept. [`Others::look`] finds the mailboxes afterwards.
    pub fn new(set: NotifySet, watcher: Watcher) -> Option<Notify> {
        if set.selected.fetch.iter().map(FetchItem::size).sum::<usize>() > MAX_FETCH {
            return None;
        }
        let filters = Filters::new(set.groups)?;
        let others = Others { watcher, filters, watched: Vec::new(), stale: Some(None), next: 0 };
        Some(Notify { selected: set.selected, others: Some(others) })
    }

    /// Notes that the client itself has put messages into a mailbox. When nothing else has happened there, the client
    /// knows its present state.
    pub fn came(&mut self, account: &Account, placed: &Placed) {
        let Some((to, _)) = placed.first() else { return };
        let watched = self.others.iter_mut().flat_map(|others| &mut others.watched);
        if let Some(watched) = watched.into_iter().find(|watched| watched.id == to) {
            account.view(to, |mailbox| {
                if watched.only_came(mailbox, placed) {
                    watched.know(mailbox);
                }
            });
        }
    }

    /// Notes that the mailbox with these sequence numbers is no longer selected. It is watched like others now, and
    /// the client knows it as it was shown.
    pub fn leaves(&mut self, numbers: &SequenceNumbers) {
        let watched = self.others.iter_mut().flat_map(|others| &mut others.watched);
        if let Some(watched) = watched.into_iter().find(|watched| watched.id == numbers.mailbox()) {
            (watched.uid_next, watched.messages) = (numbers.uid_next(), numbers.exists());
            watched.modseq = numbers.modseq();
        }
    }
}

/// There are more mailboxes to watch than [`MAX_WATCHED`].
#[derive(Debug)]
pub struct TooMany;

impl Others {
    /// Looks through the next `n` mailboxes for those that are to be watched for messages. Mailboxes for which
    /// `is_hidden` is true are not shown to this client. `knows` is what the client knows of mailboxes that are
    /// added.
    ///
    /// # Errors
    /// [`TooMany`], when more than [`MAX_WATCHED`] would be watched.
    pub fn look(
        &mut self,
        account: &Account,
        n: usize,
        knows: Knows,
        is_hidden: impl Fn(MailboxId, &str) -> bool,
    ) -> Result<(), TooMany> {
        let Some(after) = self.stale else { return Ok(()) };
        let mut names = Vec::new();
        let last = account.each_mailbox(after, n, |mailbox| names.push((mailbox.id, mailbox.name.clone())));
        // The range of the mailboxes that are compared now. Mailboxes in it that are gone are dropped.
        let from = self.watched.partition_point(|watched| after.is_some_and(|after| watched.id <= after));
        let to = self.watched.partition_point(|watched| last.is_none_or(|last| watched.id <= last));
        let mut now = Vec::new();
        for (id, name) in names {
            let events = self.filters.events(&name, account.is_subscribed(&name)).and(Events::OF_MESSAGES);
            if events.is_empty() || is_hidden(id, &name) {
                continue;
            }
            let before = self.watched.binary_search_by_key(&id, |watched| watched.id).ok();
            let known = before.and_then(|at| self.watched.get(at)).map(|known| Watched { events, ..*known });
            now.extend(known.or_else(|| account.view(id, |mailbox| Watched::new(mailbox, events, knows))));
        }
        self.watched.splice(from..to, now);
        (self.stale, self.next) = (last.map(Some), 0);
        if self.watched.len() > MAX_WATCHED { Err(TooMany) } else { Ok(()) }
    }

    /// The next watched mailbox of which the client must be told something, and the items; these count as told.
    /// `None` when there is none from here to the last one. The `selected` mailbox is skipped.
    pub fn due(
        &mut self,
        account: &Account,
        selected: Option<MailboxId>,
        modseqs: bool,
    ) -> Option<(MailboxId, Vec<StatusItem>)> {
        while let Some(watched) = self.watched.get_mut(self.next) {
            self.next += 1;
            if Some(watched.id) == selected {
                continue;
            }
            let due = account.view(watched.id, |mailbox| {
                let due = watched.due(mailbox, modseqs);
                watched.know(mailbox);
                due
            });
            if let Some(items) = due.filter(|items| !items.is_empty()) {
                return Some((watched.id, items));
            }
        }
        self.next = 0;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::state::sequence_numbers::tests::mailbox;
    use crate::store::Flags;

    const MESSAGES: Events = Events::MESSAGE_NEW;
    const NONE: Flags = Flags::NONE;

    /// Catches: a difference that is not told, or that is told to a client that did not ask for it.
    #[test]
    fn what_differs_is_told() {
        use StatusItem::{HighestModseq, Messages, UidNext, UidValidity, Unseen};
        let before = mailbox(&[(1, NONE, 1), (2, NONE, 2)]);
        let all = MESSAGES.with(Events::FLAG_CHANGE);
        let counts = [UidValidity, UidNext, Messages];
        let came = mailbox(&[(1, NONE, 1), (2, NONE, 2), (3, NONE, 3)]);
        let mut went = mailbox(&[(2, NONE, 2)]);
        went.highest_modseq = 3;
        let mut both = mailbox(&[(2, NONE, 2), (3, NONE, 3)]);
        both.highest_modseq = 4;
        let marked = mailbox(&[(1, Flags::SEEN, 3), (2, NONE, 2)]);
        let mut annotated = before.clone();
        annotated.highest_modseq = 9;
        let mut renewed = before.clone();
        renewed.uid_validity = 7;
        for (now, of_messages, of_all) in [
            (&before, vec![], vec![]),
            (&came, counts.to_vec(), [&counts[..], &[Unseen]].concat()),
            (&went, counts.to_vec(), [&counts[..], &[Unseen]].concat()),
            (&both, counts.to_vec(), [&counts[..], &[Unseen]].concat()),
            (&marked, vec![], vec![UidValidity, Unseen]),
            (&annotated, vec![], vec![]),
            (&renewed, counts.to_vec(), [&counts[..], &[Unseen]].concat()),
        ] {
            let due = |events, modseqs| Watched::new(&before, events, Knows::All).due(now, modseqs);
            assert_eq!(due(MESSAGES, false), of_messages, "{now:?}");
            assert_eq!(due(all, false), of_all, "{now:?}");
            let with_modseq = if of_all.is_empty() { of_all } else { [of_all, vec![HighestModseq]].concat() };
            assert_eq!(due(all, true), with_modseq, "{now:?}");
        }
        let first = |knows| Watched::new(&before, all, knows).due(&before, false);
        assert_eq!(first(Knows::Nothing), [&counts[..], &[Unseen, HighestModseq]].concat());
        assert_eq!(first(Knows::Empty), [&counts[..], &[Unseen]].concat());
        let empty = mailbox(&[]);
        assert!(Watched::new(&empty, all, Knows::Empty).due(&empty, false).is_empty());
        assert!(!Watched::new(&empty, all, Knows::Nothing).due(&empty, false).is_empty());
    }

    /// Catches: another client's change that is taken for the client's own, and an own change that is not.
    #[test]
    fn own_messages_are_known_where_nothing_else_has_happened() {
        let known = Watched::new(&mailbox(&[(1, NONE, 1), (2, NONE, 2)]), MESSAGES, Knows::All);
        let mut placed = Placed::default();
        placed.push(crate::store::INBOX, 3);
        for (now, own) in [
            (mailbox(&[(1, NONE, 1), (2, NONE, 2), (3, NONE, 3)]), true),
            (mailbox(&[(1, Flags::SEEN, 4), (2, NONE, 2), (3, NONE, 3)]), false),
            (mailbox(&[(2, NONE, 2), (3, NONE, 3)]), false),
            (mailbox(&[(1, NONE, 1), (2, NONE, 2), (3, NONE, 3), (4, NONE, 4)]), false),
            (mailbox(&[(2, NONE, 2), (3, NONE, 3), (4, NONE, 4)]), false),
        ] {
            assert_eq!(known.only_came(&now, &placed), own, "{now:?}");
        }
    }

    /// Catches: a watched mailbox, or the rest, that takes more memory of an idle connection.
    #[test]
    fn what_is_kept_is_small() {
        assert_eq!(size_of::<Watched>(), 32);
        assert!(size_of::<Notify>() <= 240, "{}", size_of::<Notify>());
    }
}
