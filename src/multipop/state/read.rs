//! The files. fetchmail's `.fetchids` has a line `LOGIN@SERVER UNIQUE-ID` for each message (fetchmail(1), uid.c); the
//! unique-id may be a Message-ID in angle brackets. getmail6's `oldmail-…` has `UNIQUE-ID NUL TIME`; for IMAP the
//! unique-id is `UIDVALIDITY/UID`, and in old files `UIDVALIDITY/FOLDER/UID`. mpop's file has lists under a head `
//! NUMBER SERVER LOGIN`, after comments (mpop(1), uidls.c).

use super::{Entry, Origin};

/// Octets of a unique-id, at most. RFC 1939 section 7 allows 70; some servers send more.
const LONGEST: usize = 998;
/// Bad lines that are reported one by one.
const TOLD: usize = 20;

/// The messages of one mailbox.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct List {
    /// The mailbox that they belong to.
    pub origin: Origin,
    /// True if the file can only be from IMAP, false if only from POP3.
    pub is_imap: bool,
    /// The messages that were collected.
    pub entries: Vec<Entry>,
}

/// What a file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The list of each mailbox.
    pub lists: Vec<List>,
    /// The first lines that could not be parsed, each with its number and the reason, and how many such lines there
    /// are in all.
    pub passed_over: (Vec<(usize, &'static str)>, usize),
}

impl Parsed {
    fn pass_over(&mut self, line: usize, why: &'static str) {
        if self.passed_over.0.len() < TOLD {
            self.passed_over.0.push((line, why));
        }
        self.passed_over.1 += 1;
    }

    #[expect(clippy::indexing_slicing, reason = "the place was found, or is that of the list just added")]
    fn list(&mut self, origin: Origin) -> &mut List {
        let at = self.lists.iter().rposition(|list| list.origin == origin).unwrap_or_else(|| {
            self.lists.push(List { origin, ..List::default() });
            self.lists.len() - 1
        });
        &mut self.lists[at]
    }
}

/// Reads the file called `name`, in the format that its content shows.
pub fn read(name: &str, content: &[u8]) -> Parsed {
    let text = String::from_utf8_lossy(content);
    let first = text.lines().find(|line| !line.starts_with('#') && !line.is_empty()).unwrap_or_default();
    if text.contains('\0') {
        getmail(name, &text)
    } else if first.starts_with(' ') && first.split(' ').nth(1).is_some_and(|n| n.parse::<u64>().is_ok()) {
        mpop(&text)
    } else {
        fetchmail(&text)
    }
}

fn unique_id(text: &str) -> Result<String, &'static str> {
    match text {
        "" => Err("there is no unique-id in it"),
        text if text.len() > LONGEST => Err("its unique-id is longer than any"),
        text if text.chars().any(char::is_control) => Err("its unique-id holds what none may"),
        text => Ok(text.to_owned()),
    }
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty())
}

fn fetchmail(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    for (number, line) in lines(text) {
        // A login may hold blanks before its first @, and further @; so may a unique-id.
        let line = line.trim_matches([' ', '\t']);
        let at = line.find('@').unwrap_or(line.len());
        let blank = line.get(at..).and_then(|rest| rest.find([' ', '\t'])).map(|blank| at + blank);
        let Some((owner, rest)) = blank.and_then(|blank| line.split_at_checked(blank)) else {
            parsed.pass_over(number, "it is not LOGIN@SERVER and a unique-id");
            continue;
        };
        let (user, host) = owner.rsplit_once('@').unwrap_or((owner, ""));
        if user.is_empty() || host.is_empty() {
            parsed.pass_over(number, "it does not begin with LOGIN@SERVER");
            continue;
        }
        match unique_id(rest.trim()) {
            Ok(unique_id) => {
                let (user, host) = (Some(user.to_owned()), Some(host.to_owned()));
                parsed.list(Origin { name: None, user, host }).entries.push(Entry { unique_id, date: None });
            }
            Err(why) => parsed.pass_over(number, why),
        }
    }
    parsed
}

fn getmail(name: &str, text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let origin = Origin { name: name.strip_prefix("oldmail-").map(str::to_owned), ..Origin::default() };
    let (mut pop3, mut imap) = (Vec::new(), Vec::new());
    for (number, line) in lines(text) {
        let Some((id, time)) = line.trim().split_once('\0') else {
            parsed.pass_over(number, "it has no NUL between the unique-id and the time");
            continue;
        };
        let Ok(date) = time.parse() else {
            parsed.pass_over(number, "its time is no number");
            continue;
        };
        let date = Some(date);
        // getmail replaces slashes in the unique-ids of POP3.
        let parts =
            id.split_once('/').map(|(validity, rest)| (validity, rest.rsplit('/').next().unwrap_or(rest)));
        match (parts, unique_id(id)) {
            (_, Err(why)) => parsed.pass_over(number, why),
            (None, Ok(unique_id)) => pop3.push(Entry { unique_id, date }),
            (Some((validity, uid)), _) if validity.parse::<u32>().is_ok() && uid.parse::<u32>().is_ok() => {
                imap.push(Entry { unique_id: format!("{validity}.{uid}"), date });
            }
            (Some(_), _) => parsed.pass_over(number, "it is not UIDVALIDITY/UID"),
        }
    }
    for (is_imap, entries) in [(false, pop3), (true, imap)] {
        if !entries.is_empty() {
            parsed.lists.push(List { origin: origin.clone(), is_imap, entries });
        }
    }
    parsed
}

fn mpop(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let (mut origin, mut left) = (None, 0_u64);
    let mut comments = true;
    for (number, line) in lines(text) {
        if comments && line.starts_with('#') {
            continue;
        }
        comments = false;
        if let Some(head) = line.strip_prefix(' ') {
            let mut words = head.split(' ');
            let count = words.next().and_then(|count| count.parse().ok());
            origin = match (count, words.next(), words.next(), words.next()) {
                (Some(count), Some(host), Some(user), None) if !host.is_empty() && !user.is_empty() => {
                    left = count;
                    Some(Origin { name: None, user: Some(user.to_owned()), host: Some(host.to_owned()) })
                }
                _ => {
                    parsed.pass_over(number, "it is not the head of a list, NUMBER SERVER LOGIN");
                    None
                }
            };
            continue;
        }
        let Some(origin) = origin.as_ref().filter(|_| left > 0) else {
            parsed.pass_over(number, "it belongs to no list");
            continue;
        };
        left -= 1;
        match unique_id(line) {
            Ok(unique_id) => parsed.list(origin.clone()).entries.push(Entry { unique_id, date: None }),
            Err(why) => parsed.pass_over(number, why),
        }
    }
    parsed
}
