//! The grammar of RFC 5464 section 5.

use super::Problem;
use super::cursor::{Cursor, Parsed};
use crate::imap::wire::command::{Command, Depth, GetMetadata};
use crate::store::ENTRY_MAX;

/// The two trees that there are (section 3.2): everyone's and one's own, which is the same with one user an account.
const TREES: [&str; 2] = ["/shared/", "/private/"];

/// What an entry counts for among the elements of a command, since it is compared with all that there are: 256 entries
/// are plenty.
const ENTRY: u16 = 8;

/// GETMETADATA, its options before the mailbox.
pub fn get(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let (mut max_size, mut depth) = (None, Depth::Zero);
    if cursor.open() {
        loop {
            cursor.element()?;
            match cursor.atom("an option")?.to_ascii_uppercase().as_str() {
                "MAXSIZE" => {
                    cursor.space()?;
                    max_size = Some(cursor.number()?);
                }
                "DEPTH" => {
                    cursor.space()?;
                    depth = match cursor.atom("a depth")?.to_ascii_lowercase().as_str() {
                        "0" => Depth::Zero,
                        "1" => Depth::One,
                        "infinity" => Depth::Infinity,
                        _ => return Err(Problem::Expected("0, 1 or infinity")),
                    };
                }
                _ => return Err(Problem::UnknownItem("option")),
            }
            if cursor.close() {
                break;
            }
            cursor.space()?;
        }
        cursor.space()?;
    }
    let mailbox = cursor.mailbox()?;
    cursor.space()?;
    let entries = if cursor.open() { entries(cursor)? } else { vec![entry(cursor)?] };
    Ok(Command::GetMetadata(GetMetadata { mailbox, entries, max_size, depth }))
}

/// Entries behind an opening parenthesis, up to the closing one.
pub fn entries(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    let mut entries = Vec::new();
    loop {
        entries.push(entry(cursor)?);
        if cursor.close() {
            return Ok(entries);
        }
        cursor.space()?;
    }
}

/// SETMETADATA.
pub fn set(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let mailbox = cursor.mailbox()?;
    cursor.space()?;
    if !cursor.open() {
        return Err(Problem::Expected("a list of entries and values"));
    }
    let mut values = Vec::new();
    loop {
        let entry = entry(cursor)?;
        cursor.space()?;
        values.push((entry, value(cursor)?));
        if cursor.close() {
            return Ok(Command::SetMetadata { mailbox, values });
        }
        cursor.space()?;
    }
}

/// `entry`: section 3.2 says what it may hold. Case makes no difference.
fn entry(cursor: &mut Cursor<'_>) -> Parsed<String> {
    cursor.elements(ENTRY)?;
    let entry = String::from_utf8_lossy(&cursor.astring()?).to_ascii_lowercase();
    if entry.len() > ENTRY_MAX {
        return Err(Problem::TooLong);
    }
    let in_a_tree = TREES.iter().any(|tree| entry.len() > tree.len() && entry.starts_with(tree));
    let is_a_path = !entry.ends_with('/') && !entry.contains("//");
    let plain = entry.bytes().all(|c| matches!(c, b' '..=b'~') && !matches!(c, b'*' | b'%'));
    if in_a_tree && is_a_path && plain {
        Ok(entry)
    } else {
        Err(Problem::Expected("an entry below /shared/ or /private/"))
    }
}

/// `value`: an `nstring`, or a `literal8`, in which no NUL is taken.
fn value(cursor: &mut Cursor<'_>) -> Parsed<Option<Vec<u8>>> {
    if cursor.take_word("NIL") {
        return Ok(None);
    }
    let literal8 = cursor.take(b'~');
    if literal8 && cursor.peek() != Some(b'{') {
        return Err(Problem::Expected("a literal after ~"));
    }
    cursor.string().map(Some)
}
