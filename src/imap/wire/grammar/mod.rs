//! The grammar of RFC 3501 section 9: parses the octets of one command, including its literals, into a [`Command`].
//!
//! The parser is pure and bounded: it has no state and does no I/O, and any octets give either a command or a
//! [`Problem`] for the client. Where clients are known to deviate harmlessly it is lenient, and a comment says so.

pub mod append;
mod cursor;
mod fetch;
mod list;
mod metadata;
mod modseq;
mod notify;
mod returns;
mod search;
mod sort;
#[cfg(test)]
mod tests;

pub use cursor::is_astring_char;
use cursor::{Cursor, Parsed};

use super::command::{Command, Messages, Section, StatusItem, StoreArgs, Tagged};
use super::extension::Enabled;
use crate::sasl::server::Password;
use crate::store::FlagChange;

/// Octets of a tag at most.
const MAX_TAG: usize = 255;
/// Pairs in an ID at most (RFC 2971 section 3.3).
const MAX_ID_PAIRS: usize = 30;

/// Why something is not a valid command. The text is sent to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Problem {
    #[error("Expected {0}")]
    Expected(&'static str),
    #[error("Unknown command")]
    Unknown,
    /// A word that the grammar does not know at this place.
    #[error("Unknown {0}")]
    UnknownItem(&'static str),
    #[error("Nested too deeply")]
    TooDeep,
    #[error("Too many items")]
    TooMany,
    #[error("Too long")]
    TooLong,
    /// The charset is not known. The answer is NO, not BAD (RFC 3501 section 6.4.4).
    #[error("[BADCHARSET (US-ASCII UTF-8)] That charset is not known here")]
    BadCharset {
        /// Whether the result was to be saved as `$`, which stands for no messages then (RFC 5182 section 2.1).
        saves: bool,
    },
}

/// A command that cannot be parsed.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its tag, when that could be parsed.
    pub tag: Option<String>,
    /// What is wrong with it.
    pub problem: Problem,
}

/// Parses one command of a client that has enabled `enabled`. The octets are its lines, with CRLF between them where
/// literals are, and without the last CRLF.
///
/// # Errors
/// What is wrong, and the tag for the response.
pub fn parse(octets: &[u8], enabled: Enabled) -> Result<Tagged, Refused> {
    let mut cursor = Cursor::of(octets, enabled);
    let tag = tag(&mut cursor).map_err(|problem| Refused { tag: None, problem })?;
    match cursor.space().and_then(|()| command(&mut cursor)) {
        Ok(command) => Ok(Tagged { tag, command }),
        Err(problem) => Err(Refused { tag: Some(tag), problem }),
    }
}

/// The tag of a command of which only the beginning is known.
pub fn tag_of(beginning: &[u8]) -> Option<String> {
    let mut cursor = Cursor::new(beginning);
    let tag = tag(&mut cursor).ok()?;
    cursor.take(b' ').then_some(tag)
}

/// Whether the command that begins like this is an ID, which may be longer than other commands before the login.
pub fn is_id(beginning: &[u8]) -> bool {
    let mut cursor = Cursor::new(beginning);
    tag(&mut cursor).is_ok()
        && cursor.space().is_ok()
        && cursor.atom("a command").is_ok_and(|name| name.eq_ignore_ascii_case("ID"))
}

/// Parses a `section-spec` alone, as it is in a URL.
///
/// # Errors
/// What is wrong with it.
pub fn section(octets: &[u8]) -> Result<Section, Problem> {
    let mut cursor = Cursor::new(octets);
    let section = fetch::section(&mut cursor)?;
    cursor.end().map(|()| section)
}

fn tag(cursor: &mut Cursor<'_>) -> Parsed<String> {
    let tag = cursor.word(|c| is_astring_char(c) && c != b'+', "a tag")?;
    if tag.len() > MAX_TAG {
        return Err(Problem::TooLong);
    }
    Ok(tag.to_owned())
}

fn command(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let name = cursor.atom("a command")?.to_ascii_uppercase();
    let command = match name.as_str() {
        "CAPABILITY" => Command::Capability,
        "NOOP" => Command::Noop,
        "LOGOUT" => Command::Logout,
        "STARTTLS" => Command::StartTls,
        "NAMESPACE" => Command::Namespace,
        "IDLE" => Command::Idle,
        "CHECK" => Command::Check,
        "CLOSE" => Command::Close,
        "UNSELECT" => Command::Unselect,
        "EXPUNGE" => Command::Expunge(None),
        _ => {
            let arguments = arguments_of(&name).ok_or(Problem::Unknown)?;
            cursor.space()?;
            arguments(cursor)?
        }
    };
    cursor.end()?;
    Ok(command)
}

type Arguments = fn(&mut Cursor<'_>) -> Parsed<Command>;

/// The parser for the arguments of a command; `None` for a command without arguments.
fn arguments_of(name: &str) -> Option<Arguments> {
    Some(match name {
        "ID" => id,
        "AUTHENTICATE" => authenticate,
        "LOGIN" => login,
        "ENABLE" => modseq::enable,
        "SELECT" => |c| modseq::select(c).map(|(mailbox, params)| Command::Select(mailbox, params)),
        "EXAMINE" => |c| modseq::select(c).map(|(mailbox, params)| Command::Examine(mailbox, params)),
        "CREATE" => create,
        "GETQUOTA" => {
            |c| c.astring().map(|root| Command::GetQuota(String::from_utf8_lossy(&root).into_owned()))
        }
        "GETQUOTAROOT" => |c| c.mailbox().map(Command::GetQuotaRoot),
        "DELETE" => |c| c.mailbox().map(Command::Delete),
        "RENAME" => rename,
        "SUBSCRIBE" => |c| c.mailbox().map(Command::Subscribe),
        "UNSUBSCRIBE" => |c| c.mailbox().map(Command::Unsubscribe),
        "LIST" => |c| list::list(c).map(Box::new).map(Command::List),
        "LSUB" => |c| list::lsub(c).map(Box::new).map(Command::Lsub),
        "STATUS" => status,
        "GETMETADATA" => metadata::get,
        "SETMETADATA" => metadata::set,
        "APPEND" => |c| append::append(c).map(Command::Append),
        "REPLACE" => |c| append::replace(c, false).map(Command::Append),
        "SEARCH" => |c| search::search(c, false),
        "SORT" => |c| sort::sort(c, false),
        "THREAD" => |c| sort::thread(c, false),
        "NOTIFY" => notify::notify,
        "CANCELUPDATE" => search::cancel_update,
        "UID" => uid,
        _ => return messages_arguments_of(name),
    })
}

/// The parser for the arguments of a command about messages without `UID `.
fn messages_arguments_of(name: &str) -> Option<Arguments> {
    Some(match name {
        "FETCH" => |c| fetch(c, false),
        "STORE" => |c| store(c, false),
        "COPY" => |c| copy(c, false),
        "MOVE" => |c| r#move(c, false),
        _ => return None,
    })
}

/// The commands that begin with UID (RFC 3501 section 6.4.8, RFC 4315 section 2.1).
fn uid(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let name = cursor.atom("a command after UID")?.to_ascii_uppercase();
    cursor.space()?;
    match name.as_str() {
        "FETCH" => fetch(cursor, true),
        "STORE" => store(cursor, true),
        "COPY" => copy(cursor, true),
        "MOVE" => r#move(cursor, true),
        "SEARCH" => search::search(cursor, true),
        "SORT" => sort::sort(cursor, true),
        "THREAD" => sort::thread(cursor, true),
        "EXPUNGE" => Ok(Command::Expunge(Some(cursor.message_set()?))),
        "REPLACE" => append::replace(cursor, true).map(Command::Append),
        _ => Err(Problem::Unknown),
    }
}

/// ID (RFC 2971 section 3.1).
fn id(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let mut pairs = Vec::new();
    if cursor.take_word("NIL") {
        return Ok(Command::Id(pairs));
    }
    if !cursor.open() {
        return Err(Problem::Expected("NIL or a list"));
    }
    while !cursor.close() {
        if !pairs.is_empty() {
            cursor.space()?;
        }
        if pairs.len() == MAX_ID_PAIRS {
            return Err(Problem::TooMany);
        }
        let field = String::from_utf8_lossy(&cursor.string()?).into_owned();
        cursor.space()?;
        pairs.push((field, cursor.nstring()?));
    }
    Ok(Command::Id(pairs))
}

/// AUTHENTICATE (RFC 3501 section 6.2.2, RFC 4959 section 3).
fn authenticate(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let mechanism = cursor.atom("a mechanism")?.to_ascii_uppercase();
    let initial = if cursor.take(b' ') {
        cursor.spaces();
        let is_base64 = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/' | b'=');
        Some(Password::from(cursor.word(is_base64, "a response in base64")?.as_bytes()))
    } else {
        None
    };
    Ok(Command::Authenticate { mechanism, initial })
}

fn login(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let username = String::from_utf8_lossy(&cursor.astring()?).into_owned();
    cursor.space()?;
    let password = zeroize::Zeroizing::new(cursor.astring()?);
    Ok(Command::Login { username, password: Password::from(password.as_slice()) })
}

/// CREATE (RFC 3501 section 6.3.3) with special uses (RFC 6154 section 3), in the syntax of RFC 4466 section 2.2.
fn create(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let mailbox = cursor.mailbox()?;
    let mut uses = None;
    if cursor.take(b' ') {
        cursor.spaces();
        if !cursor.open() || !cursor.take_word("USE ") {
            return Err(Problem::Expected("USE in parentheses after the name"));
        }
        cursor.spaces();
        cursor.expect(b'(', "a list of attributes after USE")?;
        let attributes = cursor.run(|c| c == b'\\' || c == b' ' || cursor::is_atom_char(c));
        uses = Some(String::from_utf8_lossy(attributes).into_owned());
        if !cursor.close() || !cursor.close() {
            return Err(Problem::Expected("a closing parenthesis"));
        }
    }
    Ok(Command::Create { mailbox, uses })
}

fn rename(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let from = cursor.mailbox()?;
    cursor.space()?;
    Ok(Command::Rename { from, to: cursor.mailbox()? })
}

fn status(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let mailbox = cursor.mailbox()?;
    cursor.space()?;
    Ok(Command::Status { mailbox, items: status_items(cursor)? })
}

/// The status items in parentheses, each once.
fn status_items(cursor: &mut Cursor<'_>) -> Parsed<Vec<StatusItem>> {
    if !cursor.open() {
        return Err(Problem::Expected("a list of status items"));
    }
    let mut items = Vec::new();
    loop {
        let item = match cursor.atom("a status item")?.to_ascii_uppercase().as_str() {
            "MESSAGES" => StatusItem::Messages,
            "RECENT" => StatusItem::Recent,
            "UIDNEXT" => StatusItem::UidNext,
            "UIDVALIDITY" => StatusItem::UidValidity,
            "UNSEEN" => StatusItem::Unseen,
            "SIZE" => StatusItem::Size,
            "HIGHESTMODSEQ" => StatusItem::HighestModseq,
            "APPENDLIMIT" => StatusItem::AppendLimit,
            "MAILBOXID" => StatusItem::MailboxId,
            "DELETED" => StatusItem::Deleted,
            "DELETED-STORAGE" => StatusItem::DeletedStorage,
            _ => return Err(Problem::UnknownItem("status item")),
        };
        if !items.contains(&item) {
            items.push(item);
        }
        if cursor.close() {
            return Ok(items);
        }
        cursor.space()?;
    }
}

/// The set of messages, and the space after it.
fn messages(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Messages> {
    let set = cursor.message_set()?;
    cursor.space()?;
    Ok(Messages { uid, set })
}

fn fetch(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Command> {
    let (messages, mut items) = (messages(cursor, uid)?, fetch::items(cursor)?);
    let (partial, since) = modseq::fetch_modifiers(cursor, uid, &mut items)?;
    Ok(Command::Fetch { messages, items, partial, since })
}

fn copy(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Command> {
    Ok(Command::Copy { messages: messages(cursor, uid)?, to: cursor.mailbox()? })
}

fn r#move(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Command> {
    Ok(Command::Move { messages: messages(cursor, uid)?, to: cursor.mailbox()? })
}

fn store(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Command> {
    let messages = messages(cursor, uid)?;
    let unchanged_since = modseq::store_modifiers(cursor)?;
    let change = match cursor.peek() {
        Some(b'+') => FlagChange::Add,
        Some(b'-') => FlagChange::Remove,
        _ => FlagChange::Replace,
    };
    if change != FlagChange::Replace {
        let _sign = cursor.take(b'+') || cursor.take(b'-');
    }
    if !cursor.take_word("FLAGS") {
        return Err(Problem::Expected("FLAGS"));
    }
    let silent = cursor.take_word(".SILENT");
    cursor.space()?;
    let flags = cursor.flag_list(true)?;
    Ok(Command::Store { messages, args: StoreArgs { change, silent, flags, unchanged_since } })
}
