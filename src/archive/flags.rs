//! Flags as letters: in the name of a Maildir file, and in Status and X-Status of an mbox message.

use crate::store::{Flags, KEYWORD_MAX};

/// Keywords that have a letter in a Maildir, at most.
pub const LETTERS: usize = 26;

const MAILDIR: [(char, Flags); 5] = [
    ('D', Flags::DRAFT),
    ('F', Flags::FLAGGED),
    ('R', Flags::ANSWERED),
    ('S', Flags::SEEN),
    ('T', Flags::DELETED),
];

const MBOX: [(char, Flags); 5] = [
    ('R', Flags::SEEN),
    ('A', Flags::ANSWERED),
    ('F', Flags::FLAGGED),
    ('T', Flags::DRAFT),
    ('D', Flags::DELETED),
];

/// The letters after `:2,` in the name of a Maildir file. Only the first 26 keywords have a letter.
pub fn maildir(flags: Flags) -> String {
    let system = MAILDIR.iter().filter(|(_, flag)| flags.contains(*flag)).map(|(letter, _)| *letter);
    let keywords = flags.keywords().take_while(|&bit| bit < LETTERS).map(|bit| char::from(b'a' + bit as u8));
    system.chain(keywords).collect()
}

/// The flags for the letters of a Maildir file. Unknown letters are ignored.
pub fn from_maildir(letters: &str) -> Flags {
    let flag = |letter: char| match letter {
        'a'..='z' => Flags::keyword(letter as usize - 'a' as usize),
        _ => MAILDIR.iter().find(|(known, _)| *known == letter).map_or(Flags::NONE, |(_, flag)| *flag),
    };
    letters.chars().map(flag).fold(Flags::NONE, Flags::with)
}

/// Those of `flags` that the name of a Maildir file can hold.
pub fn in_maildir(flags: Flags) -> Flags {
    from_maildir(&maildir(flags))
}

/// The values of Status and X-Status. Every message is old (`O`): it has been in a mailbox.
pub fn mbox(flags: Flags) -> (String, String) {
    let letters = |of: &[(char, Flags)]| -> String {
        of.iter().filter(|(_, flag)| flags.contains(*flag)).map(|(letter, _)| *letter).collect()
    };
    let (status, x_status) = MBOX.split_at(1);
    (letters(status) + "O", letters(x_status))
}

/// The flags for the letters of Status and X-Status.
pub fn from_mbox(letters: &str) -> Flags {
    let named = MBOX.iter().filter(|(letter, _)| letters.contains(*letter));
    named.fold(Flags::NONE, |flags, (_, flag)| flags.with(*flag))
}

/// Whether this can be a keyword: an IMAP atom (RFC 3501 section 9) that is not a system flag.
pub fn is_keyword(word: &str) -> bool {
    let atom = |c: u8| c.is_ascii_graphic() && !b"(){%*\"\\]".contains(&c);
    !word.is_empty() && word.len() <= KEYWORD_MAX && word.bytes().all(atom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_there_and_back() {
        let flags = Flags(0x1f).with(Flags::keyword(0)).with(Flags::keyword(25));
        assert_eq!(maildir(flags.with(Flags::keyword(26))), "DFRSTaz");
        assert_eq!(from_maildir("DFRSTaz"), flags);
        assert_eq!(from_maildir("PS,2"), Flags::SEEN);
        assert_eq!(mbox(Flags(0x1f)), ("RO".to_owned(), "AFTD".to_owned()));
        assert_eq!(mbox(Flags::NONE), ("O".to_owned(), String::new()));
        assert_eq!(from_mbox("ROAD"), Flags::SEEN.with(Flags::ANSWERED).with(Flags::DELETED));
        assert!(
            is_keyword("$Forwarded") && !is_keyword("two words") && !is_keyword("\\Seen") && !is_keyword("")
        );
    }
}
