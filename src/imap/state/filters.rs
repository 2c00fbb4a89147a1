//! Filters: which events of which mailboxes a client wants to be told of (RFC 5465 section 6).

use crate::imap::wire::command::MailboxName;
use crate::imap::wire::notify::{EventGroup, Events, MailboxFilter};
use crate::store::mailbox_name::{canonical, superiors};

/// Groups of one NOTIFY at most: each mailbox is compared with all of them.
const MAX_GROUPS: usize = 16;
/// Octets of the names in the groups at most. An idle connection keeps them.
const MAX_NAMES: usize = 8 * 1024;

/// The groups of one NOTIFY for mailboxes that are not selected.
#[derive(Debug, Default)]
pub struct Filters(Vec<Filter>);

#[derive(Debug)]
struct Filter {
    mailboxes: Which,
    events: Events,
}

/// The mailboxes of a group. Names are sorted, and written as the store writes them.
#[derive(Debug)]
enum Which {
    Personal,
    Inboxes,
    Subscribed,
    Subtree(Vec<String>),
    Mailboxes(Vec<String>),
}

impl Which {
    /// How closely this names the mailbox: a larger number is closer. `None` when it does not.
    fn closeness(&self, name: &str, subscribed: bool) -> Option<usize> {
        let is_among =
            |names: &[String], name: &str| names.binary_search_by(|known| known.as_str().cmp(name)).is_ok();
        match self {
            Which::Personal => Some(0),
            // The mailbox that MultiPOP and the relay deliver to.
            Which::Inboxes => (name == "INBOX").then_some(1),
            Which::Subscribed => subscribed.then_some(2),
            Which::Subtree(names) => {
                let above = superiors(name).chain([name]).filter(|above| is_among(names, above));
                above.last().map(|nearest| 3 + nearest.len())
            }
            Which::Mailboxes(names) => is_among(names, name).then_some(usize::MAX),
        }
    }
}

impl Filters {
    /// The filters for `groups`; `None` when these are more than can be kept. Names that no mailbox can have are
    /// skipped.
    pub fn new(groups: Vec<EventGroup>) -> Option<Filters> {
        let octets: usize = groups.iter().map(|group| names(&group.mailboxes).map(size).sum::<usize>()).sum();
        if groups.len() > MAX_GROUPS || octets > MAX_NAMES {
            return None;
        }
        let filter = |EventGroup { mailboxes, events }| Filter { mailboxes: which(&mailboxes), events };
        Some(Filters(groups.into_iter().map(filter).collect()))
    }

    /// The events that are told of the mailbox of this name: those of all groups that name it (section 6). A group
    /// with NONE cancels groups that name the mailbox less closely.
    pub fn events(&self, name: &str, subscribed: bool) -> Events {
        let named = |filter: &Filter| filter.mailboxes.closeness(name, subscribed);
        let not = self.0.iter().filter(|filter| filter.events.is_empty()).filter_map(named).max();
        let heard = self.0.iter().filter(|filter| named(filter).is_some_and(|close| Some(close) >= not));
        heard.fold(Events::NONE, |all, filter| all.with(filter.events))
    }

    /// The events that any of the groups asks for.
    pub fn any(&self) -> Events {
        self.0.iter().fold(Events::NONE, |all, filter| all.with(filter.events))
    }
}

fn names(filter: &MailboxFilter) -> impl Iterator<Item = &MailboxName> {
    match filter {
        MailboxFilter::Subtree(names) | MailboxFilter::Mailboxes(names) => names.iter(),
        _ => [].iter(),
    }
}

fn size(name: &MailboxName) -> usize {
    size_of::<String>() + name.0.len()
}

fn which(filter: &MailboxFilter) -> Which {
    let mut kept: Vec<String> = names(filter).filter_map(|name| canonical(&name.0).ok()).collect();
    kept.sort_unstable();
    kept.dedup();
    kept.shrink_to_fit();
    match filter {
        MailboxFilter::Personal => Which::Personal,
        MailboxFilter::Inboxes => Which::Inboxes,
        MailboxFilter::Subscribed => Which::Subscribed,
        MailboxFilter::Subtree(_) => Which::Subtree(kept),
        MailboxFilter::Mailboxes(_) => Which::Mailboxes(kept),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Events = Events::MAILBOX_NAME;
    const SUBSCRIPTION: Events = Events::SUBSCRIPTION_CHANGE;

    fn filters(groups: Vec<(MailboxFilter, Events)>) -> Option<Filters> {
        let group = |(mailboxes, events)| EventGroup { mailboxes, events };
        Filters::new(groups.into_iter().map(group).collect())
    }

    fn named(names: &[&str]) -> Vec<MailboxName> {
        names.iter().map(|name| MailboxName((*name).into())).collect()
    }

    /// Catches: a filter that matches too much or too little, and characters that count as wildcards although they
    /// are not (RFC 5465 section 6.6).
    #[test]
    fn filters_name_mailboxes() {
        use MailboxFilter::{Inboxes, Mailboxes, Personal, Subscribed, Subtree};
        for (filter, name, subscribed, is) in [
            (Personal, "anything", false, true),
            (Inboxes, "INBOX", false, true),
            (Inboxes, "INBOX/below", false, false),
            (Subscribed, "a", true, true),
            (Subscribed, "a", false, false),
            (Subtree(named(&["a"])), "a", false, true),
            (Subtree(named(&["b", "a/"])), "a/b/c", false, true),
            (Subtree(named(&["a"])), "ab", false, false),
            (Subtree(named(&["a/b"])), "a", false, false),
            (Subtree(named(&["*"])), "a", false, false),
            (Mailboxes(named(&["b", "inbox"])), "INBOX", false, true),
            (Mailboxes(named(&["a"])), "a/b", false, false),
            (Mailboxes(named(&["%"])), "a", false, false),
        ] {
            let all = filters(vec![(filter.clone(), NAME)]).unwrap();
            assert_eq!(all.events(name, subscribed) == NAME, is, "{filter:?} {name}");
        }
    }

    /// Catches: groups of which only one counts, and a NONE that cancels too much or nothing.
    #[test]
    fn groups_add_up_and_none_takes_away_what_is_wider() {
        use MailboxFilter::{Mailboxes, Personal, Subtree};
        let all = filters(vec![
            (Personal, NAME),
            (Mailboxes(named(&["INBOX"])), SUBSCRIPTION),
            (Subtree(named(&["Junk"])), Events::NONE),
            (Subtree(named(&["Junk/But/Not"])), SUBSCRIPTION),
        ])
        .unwrap();
        for (name, events) in [
            ("INBOX", NAME.with(SUBSCRIPTION)),
            ("other", NAME),
            ("Junk", Events::NONE),
            ("Junk/this", Events::NONE),
            ("Junk/But/Not/this", SUBSCRIPTION),
        ] {
            assert_eq!(all.events(name, false), events, "{name}");
        }
        assert_eq!(all.any(), NAME.with(SUBSCRIPTION));
    }

    #[test]
    fn filters_are_bounded() {
        let one = (MailboxFilter::Personal, NAME);
        assert!(filters(vec![one.clone(); MAX_GROUPS]).is_some());
        assert!(filters(vec![one; MAX_GROUPS + 1]).is_none());
        let long = |n| vec![(MailboxFilter::Mailboxes(named(&vec!["a"; n])), NAME)];
        assert!(filters(long(MAX_NAMES / 25)).is_some());
        assert!(filters(long(MAX_NAMES / 25 + 1)).is_none());
    }
}
