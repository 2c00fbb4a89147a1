//! The grammar of RFC 5464 section 5.

use super::Problem;
use super::cursor::{Cursor, Parsed};
use crate::imap::wire::command::{Command, Depth, GetMetadata};
use crate::store::ENTRY_MAX;

/// The two trees of entries (section 3.2): shared and private, which are the same here since an account has one user.
const TREES: [&str; 2] = ["/shared/", "/private/"];

/// The trees of entries with vendors' names.
const VENDORS: [&str; 2] = ["/shared/vendor/", "/private/vendor/"];

/// How many elements of a command one entry counts for, since it is compared with all annotations: 256 entries are
/// enough.
const ENTRY: u16 = 8;

/// GETMETADATA. Its options come before the mailbox in the grammar, but after it in the examples of section 4.2:
/// both are accepted. As in the examples of section 4.4.1, several entries need no parentheses.
pub fn get(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let mut options = Options::default();
    if cursor.open() {
        options.read(cursor)?;
    }
    let mailbox = cursor.mailbox()?;
    cursor.space()?;
    let mut in_list = cursor.open();
    if in_list && cursor.peek().is_some_and(|c| c.is_ascii_alphabetic()) {
        options.read(cursor)?;
        in_list = cursor.open();
    }
    let entries = if in_list { entries(cursor)? } else { bare_entries(cursor)? };
    let Options { max_size, depth } = options;
    Ok(Command::GetMetadata(GetMetadata { mailbox, entries, max_size, depth }))
}

#[derive(Default)]
struct Options {
    max_size: Option<u32>,
    depth: Depth,
}

impl Options {
    /// Reads options after an opening parenthesis, up to the closing one and the space after it.
    fn read(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        loop {
            cursor.element()?;
            match cursor.atom("an option")?.to_ascii_uppercase().as_str() {
                "MAXSIZE" => {
                    cursor.space()?;
                    self.max_size = Some(cursor.number()?);
                }
                "DEPTH" => {
                    cursor.space()?;
                    self.depth = match cursor.atom("a depth")?.to_ascii_lowercase().as_str() {
                        "0" => Depth::Zero,
                        "1" => Depth::One,
                        "infinity" => Depth::Infinity,
                        _ => return Err(Problem::Expected("0, 1 or infinity")),
                    };
                }
                _ => return Err(Problem::UnknownItem("option")),
            }
            if cursor.close() {
                return cursor.space();
            }
            cursor.space()?;
        }
    }
}

/// Entries up to the end of the command.
fn bare_entries(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    let mut entries = vec![entry(cursor)?];
    while cursor.take(b' ') {
        cursor.spaces();
        if cursor.peek().is_some() {
            entries.push(entry(cursor)?);
        }
    }
    Ok(entries)
}

/// Entries after an opening parenthesis, up to the closing one.
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
        // Section 3.2: an entry of a vendor is below the vendor's name.
        if VENDORS.iter().any(|tree| entry.strip_prefix(tree).is_some_and(|rest| !rest.contains('/'))) {
            return Err(Problem::Expected("an entry below the name of a vendor"));
        }
        cursor.space()?;
        values.push((entry, value(cursor)?));
        if cursor.close() {
            return Ok(Command::SetMetadata { mailbox, values });
        }
        cursor.space()?;
    }
}

/// `entry`, in lower case. Section 3.2 says what it may contain.
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

/// `value`: an `nstring`, or a `literal8`.
fn value(cursor: &mut Cursor<'_>) -> Parsed<Option<Vec<u8>>> {
    if cursor.take_word("NIL") {
        return Ok(None);
    }
    if cursor.take(b'~') {
        return cursor.literal8().map(Some);
    }
    cursor.string().map(Some)
}
