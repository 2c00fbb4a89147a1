//! The arguments of NOTIFY (RFC 5465 section 8).

use super::command::{FetchItem, MailboxName};

/// A set of events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Events(u8);

/// All events with their names in RFC 5465.
const NAMES: [(Events, &str); 8] = [
    (Events::MESSAGE_NEW, "MessageNew"),
    (Events::MESSAGE_EXPUNGE, "MessageExpunge"),
    (Events::FLAG_CHANGE, "FlagChange"),
    (Events::ANNOTATION_CHANGE, "AnnotationChange"),
    (Events::MAILBOX_NAME, "MailboxName"),
    (Events::SUBSCRIPTION_CHANGE, "SubscriptionChange"),
    (Events::MAILBOX_METADATA_CHANGE, "MailboxMetadataChange"),
    (Events::SERVER_METADATA_CHANGE, "ServerMetadataChange"),
];

impl Events {
    /// No events.
    pub const NONE: Events = Events(0);
    /// MessageNew (section 5.2).
    pub const MESSAGE_NEW: Events = Events(1);
    /// MessageExpunge (section 5.3).
    pub const MESSAGE_EXPUNGE: Events = Events(2);
    /// FlagChange (section 5.1).
    pub const FLAG_CHANGE: Events = Events(4);
    /// AnnotationChange (section 5.1). Messages have no annotations here, so it never happens.
    pub const ANNOTATION_CHANGE: Events = Events(8);
    /// MailboxName (section 5.4).
    pub const MAILBOX_NAME: Events = Events(16);
    /// SubscriptionChange (section 5.5).
    pub const SUBSCRIPTION_CHANGE: Events = Events(32);
    /// MailboxMetadataChange (section 5.6).
    pub const MAILBOX_METADATA_CHANGE: Events = Events(64);
    /// ServerMetadataChange (section 5.7).
    pub const SERVER_METADATA_CHANGE: Events = Events(128);
    /// The events about messages: `message-event`.
    pub const OF_MESSAGES: Events = Events(15);

    /// The event of this name, in any case of letters.
    pub fn named(name: &str) -> Option<Events> {
        NAMES.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(event, _)| *event)
    }

    /// The names of all events, separated by spaces.
    pub fn all_names() -> String {
        NAMES.map(|(_, name)| name).join(" ")
    }

    /// The union of both sets.
    pub fn with(self, others: Events) -> Events {
        Events(self.0 | others.0)
    }

    /// The intersection of both sets.
    pub fn and(self, others: Events) -> Events {
        Events(self.0 & others.0)
    }

    /// Whether one of the events in `any` is in this set.
    pub fn has(self, any: Events) -> bool {
        self.0 & any.0 != 0
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether MessageNew and MessageExpunge are both in the set, as section 5 demands with any event about messages.
    pub fn are_complete(self) -> bool {
        let both = Events::MESSAGE_NEW.with(Events::MESSAGE_EXPUNGE);
        !self.has(Events::OF_MESSAGES) || self.and(both) == both
    }
}

/// The arguments of NOTIFY SET.
#[derive(Debug, Default, PartialEq)]
pub struct NotifySet {
    /// Whether STATUS responses are sent first.
    pub status: bool,
    /// What the client wants to be told of the selected mailbox; nothing when it is not named.
    pub selected: SelectedEvents,
    /// What the client wants to be told of other mailboxes.
    pub groups: Vec<EventGroup>,
    /// Whether an unknown event was named.
    pub unknown: bool,
}

/// The arguments of SELECTED, or SELECTED-DELAYED.
#[derive(Debug, Default, PartialEq)]
pub struct SelectedEvents {
    /// Whether it is SELECTED-DELAYED: EXPUNGE waits for a command during which it is allowed.
    pub delayed: bool,
    /// The events about messages.
    pub events: Events,
    /// The items that are sent of each new message.
    pub fetch: Vec<FetchItem>,
}

/// An `event-group` for mailboxes that are not selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventGroup {
    /// The mailboxes.
    pub mailboxes: MailboxFilter,
    /// The events; empty for NONE.
    pub events: Events,
}

/// `filter-mailboxes-other`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the RFC's own names")]
pub enum MailboxFilter {
    Personal,
    Inboxes,
    Subscribed,
    Subtree(Vec<MailboxName>),
    Mailboxes(Vec<MailboxName>),
}
