//! Responses (RFC 1939 section 3), and the lists of CAPA and LANG.

use std::borrow::Cow;

/// A response.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`.
    Ok(Cow<'static, str>),
    /// `-ERR`.
    Err(Cow<'static, str>),
    /// `+OK` with further lines, none of which begins with a dot.
    Lines(&'static str, Vec<Cow<'static, str>>),
    /// `+` and a challenge (RFC 5034 section 4).
    Challenge(Cow<'static, str>),
}

impl Reply {
    /// The octets of the response.
    pub fn to_octets(&self) -> Vec<u8> {
        match self {
            Reply::Ok(text) => format!("+OK {text}\r\n"),
            Reply::Err(text) => format!("-ERR {text}\r\n"),
            Reply::Challenge(challenge) => format!("+ {challenge}\r\n"),
            Reply::Lines(text, lines) => {
                let lines: String = lines.iter().flat_map(|line| [line.as_ref(), "\r\n"]).collect();
                format!("+OK {text}\r\n{lines}.\r\n")
            }
        }
        .into_bytes()
    }
}

/// The capabilities that CAPA lists in every state (RFC 2449 section 6, RFC 3206, RFC 6856). They say that messages
/// are kept until they are deleted, even if they were read, that a client may log in again at once, and that a user
/// name may be in UTF-8.
pub const CAPABILITIES: [&str; 10] = [
    "TOP",
    "UIDL",
    "RESP-CODES",
    "AUTH-RESP-CODE",
    "PIPELINING",
    "EXPIRE NEVER",
    "LOGIN-DELAY 0",
    "IMPLEMENTATION Pillarbox",
    "UTF8 USER",
    "LANG",
];

/// The languages of the texts, all of which are English. `i-default` is for clients that have not chosen a language
/// (RFC 2277 section 4.5).
const LANGUAGES: [(&str, &str); 2] = [("i-default", "Default language"), ("en", "English")];

/// Answers LANG (RFC 6856 section 3.2): lists the languages, or takes the choice of one.
pub fn language(range: Option<&str>) -> Reply {
    let Some(range) = range else {
        let lines = LANGUAGES.iter().map(|(tag, name)| format!("{tag} {name}").into());
        return Reply::Lines("These are the languages", lines.collect());
    };
    // `*` asks for the server's preference.
    let fits = |tag: &str| range == "*" || range.eq_ignore_ascii_case(tag);
    match LANGUAGES.iter().find(|(tag, _)| fits(tag)) {
        Some((tag, _)) => Reply::Ok(format!("{tag} is spoken from here on").into()),
        None => Reply::Err("That language is not spoken here, LANG lists those that are".into()),
    }
}
