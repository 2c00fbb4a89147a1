//! Names of mailboxes as names of files, and back.
//!
//! In a Maildir++ tree the folder of `Archive/2024` is `.Archive.2024`, in modified UTF-7. Ambiguous characters are
//! escaped as Dovecot's listescape plugin does it: `\2e` for a dot. An mbox file is `Archive.2024.mbox` in UTF-8,
//! escaped with `%`. In names that are too long for a file a hash replaces the rest. The full name is always in the
//! manifest.

use crate::message::mailbox_name as utf7;

/// Octets of a file name, at most: 255 are allowed, and something is added before and after it.
const LENGTH_MAX: usize = 200;
/// Characters that are escaped in the names of mbox files, so that any file system takes them.
const UNFIT: &str = "\"*:<>?|\\";

/// The folder of the mailbox `name` in the folder of the INBOX; `None` for the INBOX itself.
pub fn maildir(name: &str) -> Option<String> {
    if name == "INBOX" {
        return None;
    }
    let escaped = escape(name, '\\', |at, c| c == '~' && at == 0);
    Some(format!(".{}", short(utf7::encode(&escaped), name)))
}

/// The file name of the mailbox `name` without extension.
pub fn mbox(name: &str) -> String {
    short(escape(name, '%', |_, c| UNFIT.contains(c)), name)
}

/// The mailbox of the folder with this name, which begins with a dot.
pub fn from_maildir(folder: &str) -> String {
    let name = folder.strip_prefix('.').unwrap_or(folder);
    unescape(&utf7::decode(name.as_bytes()).unwrap_or_else(|| name.to_owned()), '\\')
}

/// The mailbox of the file with this name without extension.
pub fn from_mbox(stem: &str) -> String {
    unescape(stem, '%')
}

fn short(file: String, name: &str) -> String {
    if file.len() <= LENGTH_MAX {
        return file;
    }
    let hash = ring::digest::digest(&ring::digest::SHA256, name.as_bytes());
    format!("pillarbox-{}", data_encoding::HEXLOWER.encode(&hash.as_ref()[..16]))
}

/// Escapes a name. Dots separate its levels. A dot, the character `escapes` and `unfit` characters become `escapes`
/// and two hexadecimal digits.
fn escape(name: &str, escapes: char, unfit: impl Fn(usize, char) -> bool) -> String {
    let mut escaped = String::with_capacity(name.len());
    for (at, c) in name.char_indices() {
        match c {
            '/' => escaped.push('.'),
            c if c == '.' || c == escapes || unfit(at, c) => {
                escaped.push_str(&format!("{escapes}{:02x}", u32::from(c)));
            }
            c => escaped.push(c),
        }
    }
    escaped
}

fn unescape(name: &str, escapes: char) -> String {
    let mut parts = name.split(escapes);
    let mut plain = parts.next().unwrap_or_default().replace('.', "/");
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.chars().all(|c| c.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(u8::is_ascii) {
            Some(octet) => {
                plain.push(char::from(octet));
                plain.push_str(&part[2..].replace('.', "/"));
            }
            None => {
                plain.push(escapes);
                plain.push_str(&part.replace('.', "/"));
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_look_as_other_programs_write_them() {
        for (name, folder, file) in [
            ("Sent", ".Sent", "Sent"),
            ("Archive/2024", ".Archive.2024", "Archive.2024"),
            ("Entwürfe", ".Entw&APw-rfe", "Entwürfe"),
            ("R&D/a.b", ".R&-D.a\\2eb", "R&D.a%2eb"),
            (".hidden", ".\\2ehidden", "%2ehidden"),
            ("~peter", ".\\7epeter", "~peter"),
            ("50%: a\\b", ".50%: a\\5cb", "50%25%3a a%5cb"),
        ] {
            assert_eq!(maildir(name).as_deref(), Some(folder));
            assert_eq!(mbox(name), file);
        }
        assert_eq!(maildir("INBOX"), None);
        assert_eq!(from_maildir(".not mUTF-7 & so"), "not mUTF-7 & so");
        assert_eq!(from_maildir(".a\\zz"), "a\\zz");
        assert!(maildir(&"ü".repeat(250)).unwrap().len() < 60);
        assert_ne!(mbox(&"ü".repeat(250)), mbox(&"ü".repeat(251)));
    }

    proptest! {
        #[test]
        fn names_come_back(name in "[a./~&%\\\\:ü日 \\-2e]{1,30}") {
            prop_assume!(!name.split('/').any(str::is_empty));
            prop_assert_eq!(from_maildir(&maildir(&name).unwrap()), name.clone());
            prop_assert_eq!(from_mbox(&mbox(&name)), name);
        }
    }
}
