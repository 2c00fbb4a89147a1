//! IMAP URLs that name a message or a part of one (RFC 5092), as in CATENATE.

use super::command::Section;
use super::grammar;

/// A URL of a message on this server.
#[derive(Debug, PartialEq, Eq)]
pub struct MessageUrl {
    /// User and host of an absolute URL, `imap://user@host`. The user may be missing.
    pub server: Option<(Option<String>, String)>,
    /// The mailbox name in UTF-8; empty for the selected mailbox.
    pub mailbox: String,
    /// `;UIDVALIDITY=`.
    pub uid_validity: Option<u32>,
    /// `;UID=`.
    pub uid: u32,
    /// `;SECTION=`; without it, the whole message.
    pub section: Section,
    /// `;PARTIAL=`: the first octet, and how many octets at most.
    pub partial: Option<(u64, u64)>,
}

impl MessageUrl {
    /// Parses a URL; `None` when it does not name a message, or needs an authorization (URLAUTH).
    pub fn parse(url: &[u8]) -> Option<MessageUrl> {
        let url = std::str::from_utf8(url).ok()?;
        let (server, path) = match strip_word(url, "imap://") {
            Some(rest) => {
                let (authority, path) = rest.split_once('/')?;
                (Some(server(authority)?), path)
            }
            // Other schemes are not accepted; a colon in a mailbox name would be percent-encoded.
            None if url.contains("://") => return None,
            None => (None, url.strip_prefix('/').unwrap_or(url)),
        };
        let (mailbox, message) = split_word(path, ";UID=")?;
        let mailbox = match mailbox {
            "" => "",
            named => named.strip_suffix('/')?,
        };
        let (mailbox, uid_validity) = match split_word(mailbox, ";UIDVALIDITY=") {
            Some((mailbox, number)) => (mailbox, Some(number.parse().ok()?)),
            None => (mailbox, None),
        };
        let mut parts = message.split("/;");
        let uid = parts.next()?.parse().ok()?;
        let mut read = MessageUrl {
            server,
            mailbox: decode(mailbox)?,
            uid_validity,
            uid,
            section: Section::default(),
            partial: None,
        };
        for part in parts {
            if let Some(section) = strip_word(part, "SECTION=") {
                read.section = grammar::section(decode(section)?.as_bytes()).ok()?;
            } else {
                read.partial = Some(partial(strip_word(part, "PARTIAL=")?)?);
            }
        }
        Some(read)
    }
}

fn server(authority: &str) -> Option<(Option<String>, String)> {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(split_word(user, ";AUTH=").map_or(user, |(user, _)| user)), host),
        None => (None, authority),
    };
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    let user = user.map(decode);
    if user == Some(None) {
        return None;
    }
    Some((user.flatten().filter(|user| !user.is_empty()), host.to_owned()))
}

fn partial(text: &str) -> Option<(u64, u64)> {
    match text.split_once('.') {
        Some((origin, count)) => Some((origin.parse().ok()?, count.parse().ok()?)),
        None => Some((text.parse().ok()?, u64::MAX)),
    }
}

/// Decodes percent-encoded UTF-8 (RFC 3986 section 2.1).
fn decode(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => {
                let digit = |octet: Option<u8>| char::from(octet?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            octet => octet,
        });
    }
    String::from_utf8(octets).ok()
}

/// The text after `word` when `text` begins with it, in any case of letters.
fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(word.len())?;
    head.eq_ignore_ascii_case(word).then_some(rest)
}

/// The text before and after the first `word`, which may be in any case of letters.
fn split_word<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let at = text
        .match_indices(';')
        .find(|(at, _)| strip_word(text.get(*at..).unwrap_or_default(), word).is_some());
    at.and_then(|(at, _)| Some((text.get(..at)?, text.get(at + word.len()..)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::wire::command::SectionText;

    fn of(mailbox: &str, uid_validity: Option<u32>, uid: u32) -> MessageUrl {
        let (mailbox, section) = (mailbox.to_owned(), Section::default());
        MessageUrl { server: None, mailbox, uid_validity, uid, section, partial: None }
    }

    #[test]
    fn urls_name_messages_and_parts() {
        let header = |part: &[u32]| Section { part: part.to_vec(), text: SectionText::Header };
        for (url, expected) in [
            ("/INBOX/;UID=20", of("INBOX", None, 20)),
            ("INBOX/;uid=20", of("INBOX", None, 20)),
            (";UID=20", of("", None, 20)),
            ("/;UID=20", of("", None, 20)),
            ("/a%20b/%C3%BC;UIDVALIDITY=7/;UID=20", of("a b/ü", Some(7), 20)),
            (
                "/Drafts;UIDVALIDITY=385759045/;UID=20/;section=HEADER",
                MessageUrl { section: header(&[]), ..of("Drafts", Some(385_759_045), 20) },
            ),
            (
                "/x/;UID=1/;SECTION=1.2.HEADER/;PARTIAL=3.4",
                MessageUrl { section: header(&[1, 2]), partial: Some((3, 4)), ..of("x", None, 1) },
            ),
            ("/x/;UID=1/;PARTIAL=3", MessageUrl { partial: Some((3, u64::MAX)), ..of("x", None, 1) }),
            (
                "imap://an%40na;AUTH=*@mail.example:143/x/;UID=1",
                MessageUrl {
                    server: Some((Some("an@na".into()), "mail.example".into())),
                    ..of("x", None, 1)
                },
            ),
            (
                "IMAP://mail.example/x/;UID=1",
                MessageUrl { server: Some((None, "mail.example".into())), ..of("x", None, 1) },
            ),
        ] {
            assert_eq!(MessageUrl::parse(url.as_bytes()), Some(expected), "{url}");
        }
    }

    #[test]
    fn what_names_no_message_is_none() {
        for url in [
            "",
            "/",
            "/INBOX",
            "/INBOX/;UID=",
            "/INBOX;UID=1",
            "/INBOX/;UID=x",
            "/INBOX/;UID=-1",
            "/%4/;UID=1",
            "/%ff/;UID=1",
            "/x;UIDVALIDITY=/;UID=1",
            "/x/;UID=1/;SECTION=NONSENSE",
            "/x/;UID=1/;PARTIAL=.",
            "/x/;UID=1;URLAUTH=anonymous:internal:0",
            "imap://mail.example",
            "http://mail.example/x/;UID=1",
            "/x/;UID=1/;SECTION=1)",
            "/x/;UID=1/y",
        ] {
            assert_eq!(MessageUrl::parse(url.as_bytes()), None, "{url}");
        }
    }
}
