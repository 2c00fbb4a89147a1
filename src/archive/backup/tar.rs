//! The headers of a tar stream, as far as a backup needs them: files and folders.

use std::io;

use tar::{EntryType, Header};

/// Octets of a header. Contents are padded to a multiple of this.
pub const BLOCK: usize = 512;

/// The member that a header describes.
#[derive(Debug, PartialEq, Eq)]
pub enum Member {
    /// A file.
    File {
        #[allow(missing_docs, reason = "the line before tells")]
        path: String,
        #[allow(missing_docs, reason = "the line before tells")]
        octets: u64,
    },
    /// A folder.
    Folder(String),
    /// A block of zeros, which ends the stream.
    End,
}

/// Why a header is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The checksum or the form of a number is wrong.
    #[error("no header of a tar file, or a damaged one")]
    NoHeader,
    /// It is a link, a device or an extension.
    #[error("{0}: neither a file nor a folder")]
    Kind(String),
    /// The path leads out of the folder, or is not one of a backup.
    #[error("{0:?}: such a name is in no backup")]
    Name(String),
}

/// The header of a file or, without octets, of a folder, made at `time` (seconds since 1970).
///
/// # Errors
/// The path is too long for a header.
pub fn header(path: &str, octets: Option<u64>, time: i64) -> io::Result<[u8; BLOCK]> {
    let mut header = Header::new_ustar();
    header.set_path(path)?;
    header.set_entry_type(if octets.is_some() { EntryType::Regular } else { EntryType::Directory });
    header.set_mode(if octets.is_some() { 0o600 } else { 0o700 });
    header.set_size(octets.unwrap_or(0));
    header.set_mtime(u64::try_from(time).unwrap_or(0));
    // Owners are not stored: `restore` makes files that belong to the user who runs it.
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    Ok(*header.as_bytes())
}

/// Reads a header.
///
/// # Errors
/// The header is not one of a backup.
pub fn parse(block: &[u8; BLOCK]) -> Result<Member, Refused> {
    if block.iter().all(|octet| *octet == 0) {
        return Ok(Member::End);
    }
    let header = Header::from_byte_slice(block);
    if header.as_ustar().is_none() || header.cksum().ok() != Some(sum(block)) {
        return Err(Refused::NoHeader);
    }
    let name = String::from_utf8_lossy(&header.path_bytes()).into_owned();
    match header.entry_type() {
        EntryType::Regular => {
            let octets = header.entry_size().map_err(|_| Refused::NoHeader)?;
            Ok(Member::File { path: own(&name)?, octets })
        }
        EntryType::Directory => Ok(Member::Folder(own(name.trim_end_matches('/'))?)),
        _ => Err(Refused::Kind(name)),
    }
}

/// The sum of a header's octets, in which those of the checksum count as blanks.
fn sum(block: &[u8; BLOCK]) -> u32 {
    const CHECKSUM: std::ops::Range<usize> = 148..156;
    let octets = block.iter().enumerate();
    octets.map(|(at, octet)| if CHECKSUM.contains(&at) { u32::from(b' ') } else { (*octet).into() }).sum()
}

/// The path, if it is one of a backup.
fn own(path: &str) -> Result<String, Refused> {
    let parts: Vec<&str> = path.split('/').collect();
    let is_name = |part: &&str| {
        let known = |octet: u8| octet.is_ascii_alphanumeric() || b"._-~".contains(&octet);
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(known)
    };
    let is_ours = match parts.first().copied() {
        Some(super::FIRST | super::LAST | super::CONFIG | super::LOGIN_KEY) => parts.len() == 1,
        Some(super::TLS) => parts.len() <= 2,
        Some(super::QUEUE) => is_account(parts.get(1..).unwrap_or_default()),
        Some(super::ACCOUNTS) => is_account(parts.get(2..).unwrap_or_default()),
        _ => false,
    };
    match is_ours && parts.iter().all(is_name) {
        true => Ok(path.to_owned()),
        false => Err(Refused::Name(path.chars().take(80).collect())),
    }
}

/// Whether this is a file in the folder of an account.
fn is_account(parts: &[&str]) -> bool {
    match parts {
        [] => true,
        [folder] if matches!(*folder, "log" | "body") => true,
        [file] => *file == "owner" || file.starts_with("checkpoint"),
        [folder, _] => matches!(*folder, "log" | "body"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(path: &str, change: impl FnOnce(&mut Header)) -> [u8; BLOCK] {
        let mut header =
            Header::from_byte_slice(&self::header("accounts/a/log/1", Some(3), 7).unwrap()).clone();
        let raw = header.as_mut_bytes();
        raw[..100].fill(0);
        raw[..path.len()].copy_from_slice(path.as_bytes());
        change(&mut header);
        header.set_cksum();
        *header.as_bytes()
    }

    /// Catches: a member that would be written outside of the folder, or over a file that is neither mail nor
    /// settings; a link.
    #[test]
    fn what_no_backup_has_is_refused() {
        for path in [
            "/etc/passwd",
            "../a",
            "accounts/../../a",
            "accounts/a/log/..",
            "accounts/./log/1",
            "accounts//log/1",
            "lock",
            "console.sock",
            "accounts/a/log/1/2",
            "accounts/a/summary/1",
            "accounts/a/x",
            "tls/a/b",
            "config.postcard/a",
            "restore.new/plan",
            "accounts/.a/log/1",
            "accounts/a b/log/1",
            "accounts\\a",
            "",
            "queue/a",
            "pillarbox-backup.end/a",
        ] {
            assert_eq!(parse(&made(path, |_| {})), Err(Refused::Name(path.to_owned())), "{path}");
        }
        for kind in [b'1', b'2', b'3', b'4', b'6', b'7', b'x', b'g', b'L', b'K', b'S'] {
            let block = made("tls/ca.pem", |header| header.set_entry_type(EntryType::new(kind)));
            assert_eq!(parse(&block), Err(Refused::Kind("tls/ca.pem".to_owned())), "{}", char::from(kind));
        }
    }

    /// Catches: a header of another kind of tar, a size that is not a number, and a flipped bit anywhere.
    #[test]
    fn a_header_is_whole_or_none() {
        let good = header("accounts/office/body/0000002a", Some(70_000), 7).unwrap();
        let file = Member::File { path: "accounts/office/body/0000002a".to_owned(), octets: 70_000 };
        assert_eq!(parse(&good), Ok(file));
        assert_eq!(parse(&header("queue/", None, 7).unwrap()), Ok(Member::Folder("queue".to_owned())));
        assert_eq!(parse(&[0; BLOCK]), Ok(Member::End));
        for at in 0..BLOCK * 8 {
            let mut flipped = good;
            flipped[at / 8] ^= 1 << (at % 8);
            assert!(parse(&flipped).is_err() || at / 8 >= 148 && at / 8 < 156, "bit {at}");
        }
        let old = made("queue", |header| header.as_mut_bytes()[257..265].fill(0));
        assert_eq!(parse(&old), Err(Refused::NoHeader));
        let nonsense = made("queue/checkpoint", |header| header.as_mut_bytes()[124..136].fill(b'z'));
        assert_eq!(parse(&nonsense), Err(Refused::NoHeader));
    }

    /// Catches: an account name so long that its paths do not fit a header.
    #[test]
    fn the_longest_path_fits() {
        let path = format!("accounts/{}/log/00000001", "a".repeat(120));
        let parsed = parse(&header(&path, Some(1), 0).unwrap());
        assert_eq!(parsed, Ok(Member::File { path, octets: 1 }));
    }
}
