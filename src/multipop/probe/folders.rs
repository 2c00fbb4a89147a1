//! The folders of an IMAP server (RFC 3501 section 6.3.8), between the login and the first folder that is opened.

use super::super::Error;
use super::super::imap::quoted;
use super::super::refusal::{Refusal, printable};
use super::super::wire::Wire;
use crate::message::mailbox_name;

/// Names that are kept of one answer.
pub const KEPT: usize = 200;
/// Octets of a line that are kept, and lines of an answer.
const LINE: usize = 8192;
const LINES: u32 = 100_000;
const TAG: &str = "F1";

/// What a LIST tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Folders {
    /// The first ones.
    pub names: Vec<Folder>,
    /// How many there are besides.
    pub more: u32,
}

/// A folder.
#[derive(Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its name, in UTF-8.
    pub name: String,
    /// Whether it can hold messages.
    pub opens: bool,
}

/// The folders that `pattern` names.
///
/// # Errors
/// The connection's, or the server refuses.
pub async fn list(wire: &mut Wire, pattern: &str) -> Result<Folders, Error> {
    let command = format!("LIST \"\" {}", quoted(&mailbox_name::encode(pattern)));
    wire.queue(&format!("{TAG} {command}\r\n"));
    wire.flush().await?;
    let (mut folders, mut line) = (Folders::default(), Vec::new());
    for _ in 0..LINES {
        wire.read_line(&mut line, LINE).await?;
        let text = String::from_utf8_lossy(&line).into_owned();
        if let Some(result) = text.strip_prefix(TAG).and_then(|rest| rest.strip_prefix(' ')) {
            return match result.split_once(' ').unwrap_or((result, "")) {
                (ok, _) if ok.eq_ignore_ascii_case("OK") => Ok(folders),
                (_, why) => Err(Error::Refused { command, reason: Refusal::parse(why).to_string() }),
            };
        }
        let Some((opens, name)) = listed(&text) else { continue };
        let name = match name {
            Name::Here(name) => name,
            Name::Literal(octets) => {
                wire.read_line(&mut line, LINE).await?;
                String::from_utf8_lossy(line.get(..octets).unwrap_or(&line)).into_owned()
            }
        };
        if folders.names.len() < KEPT {
            let name = mailbox_name::decode(name.as_bytes()).unwrap_or(name);
            folders.names.push(Folder { name: printable(&name), opens });
        } else {
            folders.more += 1;
        }
    }
    Err(Error::Protocol("its list of folders has no end".to_owned()))
}

#[derive(Debug, PartialEq, Eq)]
enum Name {
    Here(String),
    /// On the next line, with so many octets.
    Literal(usize),
}

/// Whether the folder of an untagged LIST opens, and its name (RFC 3501 section 7.2.2).
fn listed(line: &str) -> Option<(bool, Name)> {
    let rest = line.strip_prefix("* ")?;
    let (word, rest) = rest.split_once(' ')?;
    let (attributes, rest) = rest.strip_prefix('(')?.split_once(')')?;
    if !word.eq_ignore_ascii_case("LIST") {
        return None;
    }
    let opens = !attributes.split(' ').any(|attribute| {
        ["\\Noselect", "\\NonExistent"].iter().any(|closed| attribute.eq_ignore_ascii_case(closed))
    });
    // The delimiter: NIL, or one character in quotes, which may be escaped.
    let rest = rest.trim_start();
    let name = match rest.strip_prefix('"') {
        Some(quoted) => {
            let escaped = usize::from(quoted.starts_with('\\'));
            quoted.chars().as_str().get(escaped..)?.split_once("\" ")?.1
        }
        None => rest.split_once(' ')?.1,
    };
    let name = match (name.strip_prefix('"').and_then(|name| name.strip_suffix('"')), name.strip_prefix('{'))
    {
        (Some(quoted), _) => Name::Here(unescaped(quoted)),
        (None, Some(literal)) => Name::Literal(literal.strip_suffix('}')?.parse().ok()?),
        (None, None) => Name::Here(name.to_owned()),
    };
    Some((opens, name))
}

fn unescaped(quoted: &str) -> String {
    let mut signs = quoted.chars();
    let mut name = String::new();
    while let Some(sign) = signs.next() {
        name.extend(if sign == '\\' { signs.next() } else { Some(sign) });
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a name with a quote, a blank or a bracket that is cut, one without a delimiter, and one that only holds others.
    #[test]
    fn names_are_read_in_all_ways_of_writing() {
        let here = |name: &str| Name::Here(name.to_owned());
        for (line, expected) in [
            ("* LIST () \"/\" INBOX", Some((true, here("INBOX")))),
            ("* LIST (\\HasNoChildren \\Sent) \".\" \"Sent (old)\"", Some((true, here("Sent (old)")))),
            ("* list () NIL \"a \\\"b\\\\\"", Some((true, here("a \"b\\")))),
            ("* LIST (\\noselect) \"\\\\\" [Gmail]", Some((false, here("[Gmail]")))),
            ("* LIST () \"/\" {5}", Some((true, Name::Literal(5)))),
            ("* LIST () \"/\"", None),
            ("* LIST", None),
            ("* LSUB () \"/\" a", None),
            ("* OK still here", None),
        ] {
            assert_eq!(listed(line), expected, "{line}");
        }
    }
}
