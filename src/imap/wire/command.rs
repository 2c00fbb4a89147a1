//! The commands that a client can send, as plain data. Only the parser creates them. Every list in them is bounded by
//! the parser, so that a command of 64 KiB takes no more than a few times that in memory.

use super::extension::Extension;
use super::field_names::FieldNames;
use super::modseq::{ChangedSince, SelectParams};
use super::notify::NotifySet;
use super::search::{Partial, SearchArgs};
use super::sequence::SequenceSet;
use super::sort::{SortArgs, ThreadAlgorithm};
use crate::sasl::server::Password;
use crate::store::{FlagChange, Flags};

/// A command with its tag.
#[derive(Debug, PartialEq)]
pub struct Tagged {
    /// The tag: ASCII without the characters that the grammar forbids.
    pub tag: String,
    /// The command.
    pub command: Command,
}

/// The commands of RFC 3501 section 6 and of the extensions.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// CAPABILITY (RFC 3501 section 6.1.1).
    Capability,
    /// NOOP (RFC 3501 section 6.1.2).
    Noop,
    /// LOGOUT (RFC 3501 section 6.1.3).
    Logout,
    /// ID (RFC 2971): pairs of field and value; `NIL` is an empty list.
    Id(Vec<(String, Option<String>)>),
    /// STARTTLS (RFC 3501 section 6.2.1).
    StartTls,
    /// AUTHENTICATE (RFC 3501 section 6.2.2), with the initial response of RFC 4959, still in base64.
    Authenticate {
        /// The mechanism in upper case.
        mechanism: String,
        /// The initial response; `=` stands for an empty one.
        initial: Option<Password>,
    },
    /// LOGIN (RFC 3501 section 6.2.3).
    Login {
        /// The name. Octets that are not UTF-8 are replaced: no account has such a name.
        username: String,
        /// The password as it came.
        password: Password,
    },
    /// ENABLE (RFC 5161): the known extensions, each once.
    Enable(Vec<Extension>),
    /// SELECT (RFC 3501 section 6.3.1).
    Select(MailboxName, SelectParams),
    /// EXAMINE (RFC 3501 section 6.3.2).
    Examine(MailboxName, SelectParams),
    /// CREATE (RFC 3501 section 6.3.3).
    Create {
        /// The name of the new mailbox.
        mailbox: MailboxName,
        /// Special uses (RFC 6154 section 3): attributes separated by spaces, as the client wrote them.
        uses: Option<String>,
    },
    /// DELETE (RFC 3501 section 6.3.4).
    Delete(MailboxName),
    /// RENAME (RFC 3501 section 6.3.5).
    Rename {
        /// The name of the existing mailbox.
        from: MailboxName,
        /// Its new name.
        to: MailboxName,
    },
    /// SUBSCRIBE (RFC 3501 section 6.3.6).
    Subscribe(MailboxName),
    /// UNSUBSCRIBE (RFC 3501 section 6.3.7).
    Unsubscribe(MailboxName),
    /// LIST (RFC 3501 section 6.3.8).
    List(Box<ListArgs>),
    /// LSUB (RFC 3501 section 6.3.9).
    Lsub(Box<ListArgs>),
    /// NAMESPACE (RFC 2342).
    Namespace,
    /// STATUS (RFC 3501 section 6.3.10).
    Status {
        /// The mailbox.
        mailbox: MailboxName,
        /// The items, at least one.
        items: Vec<StatusItem>,
    },
    /// APPEND (RFC 3501 section 6.3.11), and REPLACE (RFC 8508).
    Append(Append),
    /// GETQUOTA of a quota root (RFC 9208 section 4.1.1).
    GetQuota(String),
    /// GETQUOTAROOT of a mailbox (RFC 9208 section 4.1.2).
    GetQuotaRoot(MailboxName),
    /// GETMETADATA (RFC 5464 section 4.2).
    GetMetadata(GetMetadata),
    /// SETMETADATA (RFC 5464 section 4.3).
    SetMetadata {
        /// The mailbox; empty for the account.
        mailbox: MailboxName,
        /// Entries in lower case with their new values; `NIL` removes an entry.
        values: Vec<(String, Option<Vec<u8>>)>,
    },
    /// IDLE (RFC 2177).
    Idle,
    /// NOTIFY (RFC 5465); `None` for NOTIFY NONE.
    Notify(Option<Box<NotifySet>>),
    /// CHECK (RFC 3501 section 6.4.1).
    Check,
    /// CLOSE (RFC 3501 section 6.4.2).
    Close,
    /// UNSELECT (RFC 3691).
    Unselect,
    /// EXPUNGE (RFC 3501 section 6.4.3), or UID EXPUNGE (RFC 4315) with the UIDs to which it is limited.
    Expunge(Option<MessageSet>),
    /// SEARCH (RFC 3501 section 6.4.4).
    Search(Box<SearchArgs>),
    /// SORT (RFC 5256).
    Sort(Box<SortArgs>),
    /// THREAD (RFC 5256).
    Thread {
        /// Whether UIDs are returned (UID THREAD).
        uid: bool,
        /// The algorithm.
        algorithm: ThreadAlgorithm,
        /// The search key.
        key: SearchKey,
    },
    /// CANCELUPDATE (RFC 5267 section 4.3.5), with the tags of searches.
    CancelUpdate(Vec<String>),
    /// FETCH (RFC 3501 section 6.4.5).
    Fetch {
        /// The messages.
        messages: Messages,
        /// The items: macros are expanded, and no item occurs twice except body sections.
        items: Vec<FetchItem>,
        /// The part of the messages that is wanted (RFC 9394).
        partial: Option<Partial>,
        /// Only messages that have changed since (RFC 7162).
        since: Option<ChangedSince>,
    },
    /// STORE (RFC 3501 section 6.4.6).
    Store {
        /// The messages.
        messages: Messages,
        /// The change.
        args: StoreArgs,
    },
    /// COPY (RFC 3501 section 6.4.7).
    Copy {
        /// The messages.
        messages: Messages,
        /// The mailbox that gets the copies.
        to: MailboxName,
    },
    /// MOVE (RFC 6851).
    Move {
        /// The messages.
        messages: Messages,
        /// The mailbox that gets the messages.
        to: MailboxName,
    },
}

/// The arguments of APPEND and REPLACE up to their first message literal.
#[derive(Debug, PartialEq)]
pub struct Append {
    /// The mailbox that gets the messages.
    pub mailbox: MailboxName,
    /// The message that REPLACE replaces (RFC 8508).
    pub replaces: Option<Messages>,
    /// The text after the mailbox, for [`super::grammar::append::Parts`].
    pub text: Vec<u8>,
    /// The literal that is announced at its end; `None` when the command ends there.
    pub literal: Option<Literal>,
}

/// A literal that was announced and has not come yet (RFC 3501 section 4.3, RFC 7888, RFC 3516).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Literal {
    /// Its octets.
    pub length: u64,
    /// Whether the client waits for a continuation request.
    pub synchronizing: bool,
    /// Whether it is a `literal8`, `~{n}`, which may contain NUL.
    pub binary: bool,
}

/// A mailbox name in UTF-8. On the wire it is in modified UTF-7 (RFC 3501 section 5.1.3), unless the client has
/// enabled UTF-8. The name is [`NO_NAME`] when it is not valid. The store finds the INBOX in any case of letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxName(pub String);

/// Stands for a name that is not valid modified UTF-7, or not UTF-8 when that is enabled. No mailbox has this name,
/// it cannot be created, and as a pattern it matches nothing. So the client gets NO for the name, and not BAD, which
/// would blame its syntax.
pub const NO_NAME: &str = "\0";

/// The arguments of GETMETADATA.
#[derive(Debug, PartialEq, Eq)]
pub struct GetMetadata {
    /// The mailbox; empty for the account.
    pub mailbox: MailboxName,
    /// The entries in lower case.
    pub entries: Vec<String>,
    /// Octets of a value; longer values are left out.
    pub max_size: Option<u32>,
    /// Which entries below the named ones are included.
    pub depth: Depth,
}

/// The DEPTH option (RFC 5464 section 4.2.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Depth {
    /// Only the entry itself.
    #[default]
    Zero,
    /// The entry, and entries directly below it.
    One,
    /// The entry, and all entries below it.
    Infinity,
}

/// The arguments of LIST and LSUB.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ListArgs {
    /// The reference name, in UTF-8 or [`NO_NAME`].
    pub reference: String,
    /// Mailbox names with wildcards, in UTF-8 or [`NO_NAME`]; at least one.
    pub patterns: Vec<String>,
    /// The options of an extended LIST; `None` when the syntax was that of RFC 3501.
    pub options: Option<ListOptions>,
}

/// The options of an extended LIST (RFC 5258 section 3). Options that change nothing are not kept: REMOTE, since
/// there are no remote mailboxes, and the return options CHILDREN and SPECIAL-USE, since both are always returned.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// Which mailboxes are listed.
    pub select: ListSelect,
    /// Return option SUBSCRIBED: whether `\Subscribed` is returned.
    pub subscribed: bool,
    /// Return option STATUS (RFC 5819): the items that are returned for each mailbox.
    pub status: Vec<StatusItem>,
    /// Return option METADATA (RFC 9590): the entries, in lower case, whose values are returned for each mailbox.
    pub metadata: Vec<String>,
}

/// The selection options of an extended LIST. A name must meet all that are set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListSelect {
    /// SUBSCRIBED: subscribed names, including those without a mailbox.
    pub subscribed: bool,
    /// SPECIAL-USE (RFC 6154): mailboxes with a special use.
    pub special_use: bool,
    /// RECURSIVEMATCH: also names above selected ones. Never set alone.
    pub recursive_match: bool,
}

/// The messages that a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Messages {
    /// Whether the set is of UIDs (RFC 3501 section 6.4.8).
    pub uid: bool,
    /// The set.
    pub set: MessageSet,
}

/// A `sequence-set`, or what may stand in its place (RFC 5182 section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageSet {
    /// Sequence numbers or UIDs.
    Numbers(SequenceSet),
    /// `$`: the saved result of a search.
    Saved,
}

/// A status item (RFC 3501 section 6.3.10), with SIZE of RFC 8438, APPENDLIMIT of RFC 7889, MAILBOXID of RFC 8474,
/// DELETED and DELETED-STORAGE of RFC 9208, and HIGHESTMODSEQ of RFC 7162.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the RFC's own names")]
pub enum StatusItem {
    Messages,
    Recent,
    UidNext,
    UidValidity,
    Unseen,
    Size,
    HighestModseq,
    AppendLimit,
    MailboxId,
    Deleted,
    DeletedStorage,
}

/// Flags that a client names. `\Recent` and unknown system flags are left out: they are not in PERMANENTFLAGS, and a
/// server may ignore them (RFC 3501 section 7.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlagList {
    /// The flags of RFC 3501.
    pub flags: Flags,
    /// The keywords, each an atom.
    pub keywords: Vec<String>,
}

/// The arguments of STORE (RFC 3501 section 6.4.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreArgs {
    /// FLAGS, +FLAGS or -FLAGS.
    pub change: FlagChange,
    /// Whether `.SILENT` was given.
    pub silent: bool,
    /// The flags.
    pub flags: FlagList,
    /// Only messages with no larger MODSEQ are changed (RFC 7162 section 3.1.3).
    pub unchanged_since: Option<u64>,
}

/// A data item of FETCH (RFC 3501 section 6.4.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchItem {
    /// `BODY[section]<partial>`.
    Body {
        /// The section.
        section: Section,
        /// The first octet, and how many octets the client wants at most.
        partial: Option<(u64, u64)>,
        /// Whether it is `BODY.PEEK`, which does not set `\Seen`.
        peek: bool,
    },
    /// `BINARY[section]<partial>` (RFC 3516).
    Binary {
        /// The section, of which RFC 3516 knows the part numbers only.
        section: Section,
        /// The first octet, and how many octets the client wants at most.
        partial: Option<(u64, u64)>,
        /// Whether it is `BINARY.PEEK`, which does not set `\Seen`.
        peek: bool,
    },
    /// `BINARY.SIZE[section]`.
    BinarySize {
        /// The section, as for BINARY.
        section: Section,
    },
    /// `BODYSTRUCTURE`, or `BODY` without a section, which lacks the extension data.
    BodyStructure {
        /// Whether extension data is included.
        extensible: bool,
    },
    /// EMAILID (RFC 8474).
    EmailId,
    /// ENVELOPE.
    Envelope,
    /// FLAGS.
    Flags,
    /// INTERNALDATE.
    InternalDate,
    /// PREVIEW (RFC 8970). LAZY changes nothing, since the preview is made from the message each time.
    Preview,
    /// RFC822: `BODY[]` under its old name.
    Rfc822,
    /// RFC822.HEADER: `BODY.PEEK[HEADER]` under its old name.
    Rfc822Header,
    /// RFC822.SIZE.
    Rfc822Size,
    /// RFC822.TEXT: `BODY[TEXT]` under its old name.
    Rfc822Text,
    /// SAVEDATE (RFC 8514).
    SaveDate,
    /// THREADID (RFC 8474).
    ThreadId,
    /// UID.
    Uid,
    /// MODSEQ (RFC 7162).
    Modseq,
}

impl FetchItem {
    /// Octets of memory that the item takes, approximately.
    pub fn size(&self) -> usize {
        let more = match self {
            FetchItem::Body { section, .. }
            | FetchItem::Binary { section, .. }
            | FetchItem::BinarySize { section } => match &section.text {
                SectionText::HeaderFields { names, .. } => {
                    names.written().iter().map(|name| 2 * (size_of::<String>() + name.len())).sum()
                }
                _ => 4 * section.part.len(),
            },
            _ => 0,
        };
        size_of::<FetchItem>() + more
    }

    /// Whether fetching the item sets `\Seen`.
    pub fn sets_seen(&self) -> bool {
        matches!(
            self,
            FetchItem::Body { peek: false, .. }
                | FetchItem::Binary { peek: false, .. }
                | FetchItem::Rfc822
                | FetchItem::Rfc822Text
        )
    }
}

/// `section-spec`: part numbers, and which text of that part. The default is the whole message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// The part's numbers from the outside in, counted from 1.
    pub part: Vec<u32>,
    /// Which text of the part.
    pub text: SectionText,
}

/// Which text of a part is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SectionText {
    /// The whole message, or the content of a part.
    #[default]
    Whole,
    /// The header of a message (a `message/rfc822` part when there are part numbers).
    Header,
    /// Some fields of that header.
    HeaderFields {
        /// Whether it is HEADER.FIELDS.NOT: all fields but these.
        not: bool,
        /// The names as the client wrote them: printable ASCII.
        names: FieldNames,
    },
    /// A message without its header.
    Text,
    /// The MIME header of a part. Only with part numbers.
    Mime,
}

/// A search key (RFC 3501 section 6.4.4). Strings are converted to UTF-8 from the charset that the client has named,
/// and searched without regard to case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchKey {
    /// All of these keys must match. An empty list matches every message.
    And(Vec<SearchKey>),
    /// OR.
    Or(Box<SearchKey>, Box<SearchKey>),
    /// NOT, and the keys that begin with UN.
    Not(Box<SearchKey>),
    /// ALL.
    All,
    /// Message sequence numbers.
    Sequence(SequenceSet),
    /// `$`: the saved result of a search (RFC 5182).
    Saved,
    /// UID.
    Uid(SequenceSet),
    /// ANSWERED, DELETED, DRAFT, FLAGGED and SEEN: the message has this flag.
    Flag(Flags),
    /// KEYWORD.
    Keyword(String),
    /// RECENT. NEW is `(RECENT UNSEEN)`, OLD is `NOT RECENT`.
    Recent,
    /// BEFORE: INTERNALDATE is earlier than this day.
    Before(Date),
    /// ON: INTERNALDATE is within this day.
    On(Date),
    /// SINCE: INTERNALDATE is within this day or later.
    Since(Date),
    /// SAVEDBEFORE (RFC 8514): the save date is earlier than this day. A message without known save date counts with
    /// its INTERNALDATE.
    SavedBefore(Date),
    /// SAVEDON (RFC 8514): the save date, or else INTERNALDATE, is within this day.
    SavedOn(Date),
    /// SAVEDSINCE (RFC 8514): the save date, or else INTERNALDATE, is within this day or later.
    SavedSince(Date),
    /// OLDER (RFC 5032): INTERNALDATE lies so many seconds back, or more.
    Older(u32),
    /// YOUNGER (RFC 5032): INTERNALDATE lies so many seconds back, or less.
    Younger(u32),
    /// EMAILID (RFC 8474).
    EmailId(String),
    /// THREADID (RFC 8474): no message has one.
    ThreadId,
    /// SENTBEFORE: the Date field is earlier than this day.
    SentBefore(Date),
    /// SENTON: the Date field is within this day.
    SentOn(Date),
    /// SENTSINCE: the Date field is within this day or later.
    SentSince(Date),
    /// LARGER: RFC822.SIZE is larger than this.
    Larger(u32),
    /// SMALLER: RFC822.SIZE is smaller than this.
    Smaller(u32),
    /// BCC, CC, FROM and TO: the addresses of this field in the envelope contain the text.
    Addresses {
        /// The field's name.
        name: String,
        /// The text.
        text: String,
    },
    /// SUBJECT and HEADER: a field of this name contains the text. An empty text matches any such field.
    Header {
        /// The field's name.
        name: String,
        /// The text.
        text: String,
    },
    /// MODSEQ (RFC 7162 section 3.1.5): the MODSEQ is at least this.
    Modseq(u64),
    /// BODY: the body contains this text.
    Body(String),
    /// TEXT: the header or the body contains this text.
    Text(String),
}

impl SearchKey {
    /// Whether `is` is true for one of the keys. It recurses as deep as the key, which the parser limits.
    pub fn has(&self, is: fn(&SearchKey) -> bool) -> bool {
        match self {
            SearchKey::And(keys) => keys.iter().any(|key| key.has(is)),
            SearchKey::Or(one, other) => one.has(is) || other.has(is),
            SearchKey::Not(key) => key.has(is),
            key => is(key),
        }
    }
}

/// A day, counted from 1970-01-01: what a `date` of RFC 3501 names, without time or zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(pub i32);
