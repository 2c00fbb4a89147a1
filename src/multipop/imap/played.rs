//! A dialog with a folder elsewhere as a script, for the fuzz target. Lines that begin with `>` are requests,
//! everything else is what the server sends. The server's octets may be given in advance, as in a test without a
//! server.

use std::collections::VecDeque;

use super::Mailbox;
use crate::config::Source;
use crate::multipop::errand::ServerQuirks;
use crate::multipop::remote::{Event, RemoteMailbox};

/// Plays `script` and gives the server's octets in pieces of `piece`. Returns what the client sent and what the
/// octets meant.
pub fn played(script: &[u8], piece: usize) -> Vec<String> {
    let source = Source { leave_on_server: false, ..Source::default() };
    let mut mailbox = Mailbox::new(&source, 0, "own-token", &ServerQuirks::default());
    let mut told = Told::default();
    for line in script.split_inclusive(|octet| *octet == b'\n') {
        match line.strip_prefix(b">") {
            Some(asked) => asks(&mut mailbox, &String::from_utf8_lossy(asked)),
            None => {
                for octets in line.chunks(piece) {
                    if !told.hears(&mut mailbox, octets) {
                        return told.0;
                    }
                }
            }
        }
        let sent = mailbox.to_send();
        assert!(sent.is_empty() || sent.ends_with("\r\n"), "half a command: {sent:?}");
        for command in sent.split_terminator("\r\n") {
            let is_one = command == "DONE" || command.starts_with(super::TAG);
            assert!(is_one && !command.contains(char::is_control), "no command: {command:?}");
            told.0.push(format!("> {command}"));
        }
    }
    told.0
}

/// Makes the request that a line of the script names by its first character. A request that a poll would not make now
/// is passed over.
fn asks(mailbox: &mut Mailbox, asked: &str) {
    let asked = asked.trim_end_matches(['\r', '\n']);
    let mut rest = asked.chars();
    let (what, text) = (rest.next(), rest.as_str());
    let numbers = || text.split(',').filter_map(|number| number.trim().parse().ok());
    match what {
        Some('b') => mailbox.begin(),
        Some('l') => {
            mailbox.list_folders(text);
        }
        Some('s') if mailbox.is_idle() => mailbox.list(text),
        Some('f') => numbers().for_each(|uid| mailbox.fetch(uid)),
        Some('h') => numbers().for_each(|uid| {
            mailbox.head(uid, true);
        }),
        Some('d') => mailbox.delete(&mut numbers().collect::<VecDeque<_>>()),
        Some('e') => mailbox.take_effect(text == "others"),
        Some('w') if mailbox.waits() && mailbox.is_idle() => mailbox.wait(),
        Some('k') if !mailbox.is_idle() => mailbox.wake(),
        Some('c') => mailbox.close(),
        _ => {}
    }
}

#[derive(Default)]
struct Told(Vec<String>);

impl Told {
    /// Takes the server's octets. False after an error.
    fn hears(&mut self, mailbox: &mut Mailbox, mut octets: &[u8]) -> bool {
        loop {
            match mailbox.receive(&mut octets) {
                Ok(Event::More) => return true,
                Ok(Event::Other) => {}
                Ok(Event::Piece(piece)) => self.goes_on("piece ", piece),
                Ok(Event::Head(piece)) => self.goes_on("head ", piece),
                Ok(event) => self.0.push(format!("{event:?}")),
                Err(error) => {
                    self.0.push(error.to_string());
                    return false;
                }
            }
        }
    }

    /// Joins the pieces of a message: how it is cut does not matter.
    fn goes_on(&mut self, what: &str, piece: &[u8]) {
        let octets = data_encoding::HEXLOWER.encode(piece);
        match self.0.last_mut() {
            Some(last) if last.starts_with(what) => last.push_str(&octets),
            _ => self.0.push(format!("{what}{octets}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that collects by patterns and pushes. Catches: a script that reaches neither LIST nor IDLE, or whose
    /// result depends on the size of the pieces.
    #[test]
    fn a_script_reaches_folders_and_news() {
        let script = "\
            >b\n* CAPABILITY IMAP4rev1 IDLE UIDPLUS\r\nP1 OK\r\n\
            >lIN*\n* LIST () \"/\" {5}\r\nINBOX\r\n* LIST (\\Noselect) \"/\" IN\r\nP2 OK\r\n\
            >sINBOX\n* 1 EXISTS\r\n* OK [UIDVALIDITY 7]\r\nP3 OK\r\n* 1 FETCH (UID 5 RFC822.SIZE 3)\r\nP4 OK\r\n\
            >f5\n* 1 FETCH (UID 5 BODY[] {3}\r\na\r\n)\r\nP5 OK\r\n\
            >w\n+ idling\r\n* 2 EXISTS\r\n>k\nP6 OK\r\n>c\n* BYE\r\nP7 OK\r\n";
        let whole = played(script.as_bytes(), usize::MAX);
        for part in [
            "> P2 LIST \"\" \"IN*\"",
            "Folder(\"INBOX\")",
            "AllListed { agrees: true }",
            "piece 610d0a",
            "Confirmed(5)",
            "> P6 IDLE",
            "News",
            "> DONE",
            "> P7 LOGOUT",
        ] {
            assert!(whole.iter().any(|told| told == part), "{part} is missing in {whole:#?}");
        }
        assert!(!whole.iter().any(|told| told == "Folder(\"IN\")"));
        assert_eq!(whole, played(script.as_bytes(), 1));
    }
}
