//! What a client can say, as plain data. The parser makes it, nothing else does; every list in it is
//! bounded by the parser, so that a command of 64 KiB stays within a few times that in memory.

use super::extension::Extension;
use super::field_names::FieldNames;
use super::modseq::{ChangedSince, SelectParams};
use super::notify::NotifySet;
use super::search::{Partial, SearchArgs};
use super::sequence::SequenceSet;
use super::sort::{SortArgs, ThreadAlgorithm};
use crate::sasl::server::Password;
use crate::store::{FlagChange, Flags};

/// A command with the tag that its reply bears.
#[derive(Debug, PartialEq)]
pub struct Tagged {
    /// `tag`: ASCII without what the grammar forbids.
    pub tag: String,
    /// The rest.
    pub command: Command,
}

/// The commands of RFC 3501 section 6 and of the extensions.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// 6.1.1 CAPABILITY.
    Capability,
    /// 6.1.2 NOOP.
    Noop,
    /// 6.1.3 LOGOUT.
    Logout,
    /// RFC 2971 ID: field and value pairs, `NIL` an empty list.
    Id(Vec<(String, Option<String>)>),
    /// 6.2.1 STARTTLS.
    StartTls,
    /// 6.2.2 AUTHENTICATE, with the initial response of RFC 4959, still in base64.
    Authenticate {
        /// Upper case.
        mechanism: String,
        /// `=` stands for an empty one.
        initial: Option<Password>,
    },
    /// 6.2.3 LOGIN.
    Login {
        /// What is not UTF-8 in it is replaced: no account has such a name.
        username: String,
        /// As it came.
        password: Password,
    },
    /// RFC 5161 ENABLE: what is known of it, each once.
    Enable(Vec<Extension>),
    /// 6.3.1 SELECT.
    Select(MailboxName, SelectParams),
    /// 6.3.2 EXAMINE.
    Examine(MailboxName, SelectParams),
    /// 6.3.3 CREATE.
    Create {
        /// What.
        mailbox: MailboxName,
        /// RFC 6154 section 3: attributes with spaces between them, as the client wrote them.
        uses: Option<String>,
    },
    /// 6.3.4 DELETE.
    Delete(MailboxName),
    /// 6.3.5 RENAME.
    Rename {
        /// The mailbox there is.
        from: MailboxName,
        /// Its new name.
        to: MailboxName,
    },
    /// 6.3.6 SUBSCRIBE.
    Subscribe(MailboxName),
    /// 6.3.7 UNSUBSCRIBE.
    Unsubscribe(MailboxName),
    /// 6.3.8 LIST.
    List(Box<ListArgs>),
    /// 6.3.9 LSUB.
    Lsub(Box<ListArgs>),
    /// RFC 2342 NAMESPACE.
    Namespace,
    /// 6.3.10 STATUS.
    Status {
        /// Of which mailbox.
        mailbox: MailboxName,
        /// At least one.
        items: Vec<StatusItem>,
    },
    /// 6.3.11 APPEND, and RFC 8508 REPLACE.
    Append(Append),
    /// RFC 9208 section 4.1.1 GETQUOTA.
    GetQuota(String),
    /// RFC 9208 section 4.1.2 GETQUOTAROOT.
    GetQuotaRoot(MailboxName),
    /// RFC 5464 section 4.2 GETMETADATA.
    GetMetadata(GetMetadata),
    /// RFC 5464 section 4.3 SETMETADATA.
    SetMetadata {
        /// Of which mailbox; empty: of the account.
        mailbox: MailboxName,
        /// Entries in lower case, and what becomes of them: `NIL` takes one away.
        values: Vec<(String, Option<Vec<u8>>)>,
    },
    /// RFC 2177 IDLE.
    Idle,
    /// RFC 5465 NOTIFY; `None`: NONE.
    Notify(Option<Box<NotifySet>>),
    /// 6.4.1 CHECK.
    Check,
    /// 6.4.2 CLOSE.
    Close,
    /// RFC 3691 UNSELECT.
    Unselect,
    /// 6.4.3 EXPUNGE, or RFC 4315 UID EXPUNGE with the UIDs it is confined to.
    Expunge(Option<MessageSet>),
    /// 6.4.4 SEARCH.
    Search(Box<SearchArgs>),
    /// RFC 5256 SORT.
    Sort(Box<SortArgs>),
    /// RFC 5256 THREAD.
    Thread {
        /// UID THREAD answers UIDs.
        uid: bool,
        /// How.
        algorithm: ThreadAlgorithm,
        /// Which messages.
        key: SearchKey,
    },
    /// RFC 5267 section 4.3.5 CANCELUPDATE, with the tags of searches.
    CancelUpdate(Vec<String>),
    /// 6.4.5 FETCH.
    Fetch {
        /// Which messages.
        messages: Messages,
        /// What of them: macros expanded, nothing twice but for body sections.
        items: Vec<FetchItem>,
        /// RFC 9394: just these of the messages.
        partial: Option<Partial>,
        /// RFC 7162: of those only the ones that have changed.
        since: Option<ChangedSince>,
    },
    /// 6.4.6 STORE.
    Store {
        /// Which messages.
        messages: Messages,
        /// What changes.
        args: StoreArgs,
    },
    /// 6.4.7 COPY.
    Copy {
        /// Which messages.
        messages: Messages,
        /// Where to.
        to: MailboxName,
    },
    /// RFC 6851 MOVE.
    Move {
        /// Which messages.
        messages: Messages,
        /// Where to.
        to: MailboxName,
    },
}

/// APPEND and REPLACE up to their first message literal.
#[derive(Debug, PartialEq)]
pub struct Append {
    /// Where to.
    pub mailbox: MailboxName,
    /// RFC 8508: what the message comes in the place of.
    pub replaces: Option<Messages>,
    /// What stands behind the mailbox, for [`super::grammar::append::Parts`].
    pub text: Vec<u8>,
    /// The literal that is announced behind it; `None`: the command ends there.
    pub literal: Option<Literal>,
}

/// A literal that was announced and has not come (RFC 3501 section 4.3, RFC 7888, RFC 3516).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Literal {
    /// Octets.
    pub length: u64,
    /// The client waits for a continuation request.
    pub synchronizing: bool,
    /// `~{n}`, which may hold NUL.
    pub binary: bool,
}

/// A mailbox name in UTF-8, out of the modified UTF-7 of the wire (RFC 3501 section 5.1.3) unless the client has enabled
/// UTF-8 there, or [`NO_NAME`]; the store knows the INBOX in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxName(pub String);

/// Stands for what is not in modified UTF-7, or not in UTF-8 where that is enabled. No mailbox can have this name, so that there is none of it, it cannot be
/// made, and as a pattern it matches nothing: a client that hears NO has no doubt of its grammar, as it would with BAD.
pub const NO_NAME: &str = "\0";

/// The arguments of GETMETADATA.
#[derive(Debug, PartialEq, Eq)]
pub struct GetMetadata {
    /// Of which mailbox; empty: of the account.
    pub mailbox: MailboxName,
    /// In lower case.
    pub entries: Vec<String>,
    /// Longer values are left out.
    pub max_size: Option<u32>,
    /// How far below the entries is looked as well.
    pub depth: Depth,
}

/// RFC 5464 section 4.2.2.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Depth {
    /// The entry itself.
    #[default]
    Zero,
    /// And those directly below it.
    One,
    /// And all below it.
    Infinity,
}

/// The arguments of LIST and LSUB.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ListArgs {
    /// The reference name, UTF-8 or [`NO_NAME`].
    pub reference: String,
    /// Mailbox names with their wildcards, UTF-8 or [`NO_NAME`]; at least one.
    pub patterns: Vec<String>,
    /// Those of the extended LIST; `None`: the syntax was that of RFC 3501.
    pub options: Option<ListOptions>,
}

/// The options of an extended LIST (RFC 5258 section 3). Those that change nothing are not kept: REMOTE, since no
/// mailboxes are elsewhere, and the return options CHILDREN and SPECIAL-USE, since both are told unasked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// Which mailboxes.
    pub select: ListSelect,
    /// Return option SUBSCRIBED: `\Subscribed` is told.
    pub subscribed: bool,
    /// Return option STATUS (RFC 5819): what is told of each mailbox.
    pub status: Vec<StatusItem>,
    /// Return option METADATA (RFC 9590): entries whose values are told of each mailbox, in lower case.
    pub metadata: Vec<String>,
}

/// The selection options of an extended LIST. All that are set must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListSelect {
    /// SUBSCRIBED: subscribed names, whether or not they are mailboxes.
    pub subscribed: bool,
    /// SPECIAL-USE (RFC 6154).
    pub special_use: bool,
    /// RECURSIVEMATCH: also names above selected ones. Never alone.
    pub recursive_match: bool,
}

/// The messages that a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Messages {
    /// Whether the set is of UIDs (RFC 3501 section 6.4.8).
    pub uid: bool,
    /// Which.
    pub set: MessageSet,
}

/// What may stand for a `sequence-set` (RFC 5182 section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageSet {
    /// Their numbers.
    Numbers(SequenceSet),
    /// `$`: what the last search has kept.
    Saved,
}

/// RFC 3501 section 6.3.10, SIZE of RFC 8438, APPENDLIMIT of RFC 7889, MAILBOXID of RFC 8474, DELETED and DELETED-STORAGE of
/// RFC 9208, HIGHESTMODSEQ of RFC 7162.
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

/// Flags that a client names. `\Recent` and system flags that do not exist are left out: they are not
/// in PERMANENTFLAGS, and a server may ignore them (RFC 3501 section 7.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlagList {
    /// Those of RFC 3501.
    pub flags: Flags,
    /// The others, each an atom.
    pub keywords: Vec<String>,
}

/// RFC 3501 section 6.4.6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreArgs {
    /// FLAGS, +FLAGS or -FLAGS.
    pub change: FlagChange,
    /// `.SILENT`.
    pub silent: bool,
    /// Which.
    pub flags: FlagList,
    /// RFC 7162 section 3.1.3: only of messages whose MODSEQ is no larger.
    pub unchanged_since: Option<u64>,
}

/// RFC 3501 section 6.4.5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchItem {
    /// `BODY[section]<partial>`.
    Body {
        /// Which octets.
        section: Section,
        /// Where the client wants to begin and how many octets it wants at most.
        partial: Option<(u64, u64)>,
        /// `BODY.PEEK`: `\Seen` stays as it is.
        peek: bool,
    },
    /// `BINARY[part]<partial>` (RFC 3516).
    Binary {
        /// From the outside in, counted from 1; none: the whole message.
        part: Vec<u32>,
        /// Where the client wants to begin and how many octets it wants at most.
        partial: Option<(u64, u64)>,
        /// `BINARY.PEEK`: `\Seen` stays as it is.
        peek: bool,
    },
    /// `BINARY.SIZE[part]`.
    BinarySize {
        /// From the outside in, counted from 1; none: the whole message.
        part: Vec<u32>,
    },
    /// `BODYSTRUCTURE`, or `BODY` without a section, which lacks the extension data.
    BodyStructure {
        /// With extension data.
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
    /// PREVIEW (RFC 8970); LAZY changes nothing, since it is made from the message each time.
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
    /// Octets of memory that it takes, about.
    pub fn size(&self) -> usize {
        let more = match self {
            FetchItem::Body { section, .. } => match &section.text {
                SectionText::HeaderFields { names, .. } => {
                    names.written().iter().map(|name| 2 * (size_of::<String>() + name.len())).sum()
                }
                _ => 4 * section.part.len(),
            },
            FetchItem::Binary { part, .. } | FetchItem::BinarySize { part } => 4 * part.len(),
            _ => 0,
        };
        size_of::<FetchItem>() + more
    }

    /// Whether fetching it sets `\Seen`.
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

/// `section-spec`: part numbers, then what of that part. Nothing of either is the whole message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// From the outside in, counted from 1.
    pub part: Vec<u32>,
    /// What of it.
    pub text: SectionText,
}

/// What of a part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SectionText {
    /// The whole message, or the content of a part.
    #[default]
    Whole,
    /// The header of a message (`message/rfc822` where there are part numbers).
    Header,
    /// These fields of it.
    HeaderFields {
        /// HEADER.FIELDS.NOT: all but these.
        not: bool,
        /// As the client wrote them: printable ASCII.
        names: FieldNames,
    },
    /// A message without its header.
    Text,
    /// The MIME header of a part; only with part numbers.
    Mime,
}

/// RFC 3501 section 6.4.4. Strings are UTF-8, out of whichever charset the client named, and are looked
/// for without regard to case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchKey {
    /// All of these; of an empty list: every message.
    And(Vec<SearchKey>),
    /// OR.
    Or(Box<SearchKey>, Box<SearchKey>),
    /// NOT, and the UN… keys.
    Not(Box<SearchKey>),
    /// ALL.
    All,
    /// Message sequence numbers.
    Sequence(SequenceSet),
    /// `$` (RFC 5182): what the last search has kept.
    Saved,
    /// UID.
    Uid(SequenceSet),
    /// ANSWERED, DELETED, DRAFT, FLAGGED and SEEN: has this flag.
    Flag(Flags),
    /// KEYWORD.
    Keyword(String),
    /// RECENT. NEW is `(RECENT UNSEEN)`, OLD is `NOT RECENT`.
    Recent,
    /// INTERNALDATE earlier than.
    Before(Date),
    /// INTERNALDATE within.
    On(Date),
    /// INTERNALDATE within or later than.
    Since(Date),
    /// SAVEDBEFORE (RFC 8514): save date earlier than, or INTERNALDATE where nobody knows that, here and in the two below.
    SavedBefore(Date),
    /// SAVEDON: save date within.
    SavedOn(Date),
    /// SAVEDSINCE: save date within or later than.
    SavedSince(Date),
    /// RFC 5032 OLDER: INTERNALDATE so many seconds ago, or more.
    Older(u32),
    /// RFC 5032 YOUNGER: INTERNALDATE so many seconds ago, or less.
    Younger(u32),
    /// RFC 8474 EMAILID.
    EmailId(String),
    /// RFC 8474 THREADID: no message has one.
    ThreadId,
    /// Date field earlier than.
    SentBefore(Date),
    /// Date field within.
    SentOn(Date),
    /// Date field within or later than.
    SentSince(Date),
    /// RFC822.SIZE larger than.
    Larger(u32),
    /// RFC822.SIZE smaller than.
    Smaller(u32),
    /// BCC, CC, FROM and TO: the envelope's addresses of this field contain the text.
    Addresses {
        /// The field's name.
        name: String,
        /// What to look for.
        text: String,
    },
    /// SUBJECT and HEADER: a field of this name contains the text; an empty text: there is such a field.
    Header {
        /// The field's name.
        name: String,
        /// What to look for.
        text: String,
    },
    /// MODSEQ (RFC 7162 section 3.1.5): at least this.
    Modseq(u64),
    /// BODY: the body contains.
    Body(String),
    /// TEXT: header or body contain.
    Text(String),
}

impl SearchKey {
    /// Whether one of the keys `is` so. The parser limits how deep they are.
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
