//! What NOTIFY asks for (RFC 5465 section 8).

use super::command::{FetchItem, MailboxName};

/// Some of the events that there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Events(u8);

/// All events, as RFC 5465 names them.
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
    /// None.
    pub const NONE: Events = Events(0);
    /// Section 5.2.
    pub const MESSAGE_NEW: Events = Events(1);
    /// Section 5.3.
    pub const MESSAGE_EXPUNGE: Events = Events(2);
    /// Section 5.1.
    pub const FLAG_CHANGE: Events = Events(4);
    /// Section 5.1. Messages have no annotations here, so it never happens.
    pub const ANNOTATION_CHANGE: Events = Events(8);
    /// Section 5.4.
    pub const MAILBOX_NAME: Events = Events(16);
    /// Section 5.5.
    pub const SUBSCRIPTION_CHANGE: Events = Events(32);
    /// Section 5.6.
    pub const MAILBOX_METADATA_CHANGE: Events = Events(64);
    /// Section 5.7.
    pub const SERVER_METADATA_CHANGE: Events = Events(128);
    /// `message-event`.
    pub const OF_MESSAGES: Events = Events(15);

    /// The event of this name, in any case.
    pub fn named(name: &str) -> Option<Events> {
        NAMES.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(event, _)| *event)
    }

    /// The names of all that there are, with spaces between them.
    pub fn all_names() -> String {
        NAMES.map(|(_, name)| name).join(" ")
    }

    /// These and those.
    pub fn with(self, others: Events) -> Events {
        Events(self.0 | others.0)
    }

    /// Those that are in both.
    pub fn and(self, others: Events) -> Events {
        Events(self.0 & others.0)
    }

    /// Whether one of them is among these.
    pub fn has(self, any: Events) -> bool {
        self.0 & any.0 != 0
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Section 5: MessageNew and MessageExpunge come together, and with each of the others about messages.
    pub fn are_complete(self) -> bool {
        let both = Events::MESSAGE_NEW.with(Events::MESSAGE_EXPUNGE);
        !self.has(Events::OF_MESSAGES) || self.and(both) == both
    }
}

/// NOTIFY SET.
#[derive(Debug, Default, PartialEq)]
pub struct NotifySet {
    /// STATUS responses come first.
    pub status: bool,
    /// What is told of the selected mailbox; nothing where it is not named.
    pub selected: SelectedEvents,
    /// What is told of others.
    pub groups: Vec<EventGroup>,
    /// An event is among them that there is not.
    pub unknown: bool,
}

/// SELECTED, or SELECTED-DELAYED.
#[derive(Debug, Default, PartialEq)]
pub struct SelectedEvents {
    /// SELECTED-DELAYED: EXPUNGE waits for a command during which it is allowed.
    pub delayed: bool,
    /// Of messages.
    pub events: Events,
    /// What is told of each new message.
    pub fetch: Vec<FetchItem>,
}

/// `event-group` of other mailboxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventGroup {
    /// Which.
    pub mailboxes: MailboxFilter,
    /// Which events; none where NONE was said.
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
