//! Why a header is refused, in words for the client.

use crate::message::header::{MAX_FIELDS, MAX_HEADER};
use crate::smtp::{Mailbox, Reply};

/// Characters of a line that a reply quotes, at most.
const MAX_QUOTE: usize = 60;

/// Why a header is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A line is not a field, and no empty line came before it (RFC 5322 section 3.6.8). With its beginning,
    /// printable.
    NoField(String),
    /// The first line is empty, and more lines follow.
    EmptyFirstLine,
    /// The header is too large.
    TooMuch,
    /// The message has passed too many servers (RFC 5321 section 6.3).
    Hops,
    /// A field that may occur once occurs again (RFC 5322 section 3.6).
    Twice(&'static str),
    /// It is not clear whom this field names.
    Unclear(&'static str),
    /// This field names another person.
    NotYours(&'static str, Mailbox),
}

impl Fault {
    /// The fault for `line`, which is not a field.
    pub(super) fn no_field(line: &[u8]) -> Fault {
        let text = String::from_utf8_lossy(line);
        let printable =
            text.trim_end_matches(['\r', '\n']).chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' });
        let mut quote: String = printable.clone().take(MAX_QUOTE).collect();
        if printable.count() > MAX_QUOTE {
            quote.push_str("...");
        }
        Fault::NoField(quote)
    }
}

/// The codes are those of RFC 3463: section 3.7 for the content, section 3.8 for what is not allowed.
impl From<Fault> for Reply {
    fn from(fault: Fault) -> Reply {
        match fault {
            Fault::NoField(line) => Reply::new(
                554,
                (6, 0),
                format!("This line is no header field, and no empty line comes before it: {line}"),
            ),
            Fault::EmptyFirstLine => {
                Reply::new(554, (6, 0), "The first line is empty: the header is missing")
            }
            Fault::TooMuch => {
                let (fields, kib) = (MAX_FIELDS, MAX_HEADER / 1024);
                Reply::new(554, (6, 0), format!("A header of up to {fields} fields and {kib} KiB is taken"))
            }
            Fault::Hops => Reply::new(554, (4, 6), "Too many hops: this message goes round in circles"),
            Fault::Twice(field) => {
                Reply::new(550, (6, 0), format!("There must be one {field} field, and there are two"))
            }
            Fault::Unclear(field) => Reply::new(
                550,
                (6, 0),
                format!("The {field} field must be an address, not a group, and nothing else"),
            ),
            Fault::NotYours(field, stranger) => {
                let stranger: String =
                    stranger.as_str().chars().map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect();
                Reply::new(
                    550,
                    (7, 1),
                    format!("{field} must be an address of yours, which {stranger} is not"),
                )
            }
        }
    }
}
