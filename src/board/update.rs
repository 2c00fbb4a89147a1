//! The update file (`.pbu`): what it says, whether it is for this board, and whether its signature is right.
//!
//! ```text
//! 0..1024      "PBXUPDT1\n", then the text of a minisign signature, prehashed, of everything from 1024 on; zeroes
//! 1024..2048   lines `board = NAME`, `version = X.Y.Z`, `compat = N`, `size = OCTETS`; zeroes
//! 2048..       the image, as it stands in a slot
//! ```
//!
//! It is read in one pass, in pieces of any size: [`Head::parse`] takes the first 2048 octets, [`Head::body`] the rest.
//! Nothing counts before [`Body::finish`] has found the signature right.

use std::fmt;

use minisign_verify::{Error, PublicKey, Signature, StreamVerifier};

use super::Identity;
use super::slots::SLOT_SIZE;

/// Octets before the image.
pub const HEAD: usize = 2048;
/// Octets of the largest update.
pub const LARGEST: u64 = HEAD as u64 + SLOT_SIZE;

const SIGNED_FROM: usize = 1024;
const MAGIC: &[u8] = b"PBXUPDT1\n";
/// Characters of a comment that are shown.
const SHOWN: usize = 100;

/// What an update says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The board that it is for.
    pub board: String,
    /// Its version.
    pub version: String,
    /// What has to be the running image's.
    pub compat: u32,
    /// Octets of the image in it.
    pub size: u64,
    /// The signature's comment, which is signed too, made printable.
    pub comment: String,
}

impl Update {
    /// Octets of the whole file.
    pub fn len(&self) -> u64 {
        HEAD as u64 + self.size
    }

    /// Never: there is always a head.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// What its version is beside `present`: newer, the same, or older, which is allowed, but said.
    pub fn beside(&self, present: &str) -> &'static str {
        match (numbers(&self.version), numbers(present)) {
            _ if self.version == present => "the same as the present one",
            (Some(its), Some(present)) if its < present => "OLDER than the present one",
            (Some(its), Some(present)) if its > present => "newer than the present one",
            _ => "another than the present one",
        }
    }
}

/// `version 1.2.0 for orangepi-pc, signed "stable release"`.
impl fmt::Display for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {} for {}, signed \"{}\"", self.version, self.board, self.comment)
    }
}

fn numbers(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|number| number.parse().ok()).collect()
}

/// Why an update is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It begins with something else.
    #[error("this is no update of Pillarbox: a file that ends in .pbu is wanted, as it was published")]
    NoUpdate,
    /// It has the marks, but not the sense.
    #[error("the update is damaged: {0}: get it once more")]
    Damaged(&'static str),
    /// It is for another board.
    #[error("the update is for the board {its}, this is {ours}: get the one for {ours}")]
    OtherBoard {
        /// The board that it is for.
        its: String,
        /// This one.
        ours: String,
    },
    /// Its parts do not fit what the card has.
    #[error(
        "the update is for cards of kind {its}, this one is of kind {ours}: write a new card, the mail can be moved to it"
    )]
    OtherCompat {
        /// That of the update.
        its: u32,
        /// That of the running image.
        ours: u32,
    },
    /// No slot holds it.
    #[error("the update is larger than a slot, {} MiB: it cannot be installed", SLOT_SIZE >> 20)]
    TooLarge,
    /// There is less of it, or more, than it says.
    #[error("the update has {found} octets and says that it has {said}: get it once more")]
    Length {
        /// What it says.
        said: u64,
        /// What there is; one octet more than said stands for any number.
        found: u64,
    },
    /// This image was made without a key.
    #[error("this device takes no updates: its image was made without a key to check their signature with")]
    NoKey,
    /// The key of this image makes no sense.
    #[error("this device takes no updates: the key of its image is damaged")]
    BadKey,
    /// Someone else has signed it.
    #[error(
        "the update is signed with another key than that of this device: get it from where the image came from"
    )]
    OtherKey,
    /// It is not what was signed.
    #[error("the signature is wrong: the update is damaged, or was changed by somebody: get it once more")]
    WrongSignature,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        match error {
            Error::UnexpectedKeyId => Refusal::OtherKey,
            Error::InvalidSignature => Refusal::WrongSignature,
            Error::UnsupportedLegacyMode | Error::UnexpectedAlgorithm | Error::UnsupportedAlgorithm => {
                Refusal::Damaged("the signature is of another kind than prehashed")
            }
            Error::InvalidEncoding | Error::IoError(_) => Refusal::Damaged("the signature cannot be read"),
        }
    }
}

/// The first 2048 octets: they make sense, and the update is for this board, if the signature is right.
pub struct Head {
    update: Update,
    signed: [u8; HEAD - SIGNED_FROM],
    key: PublicKey,
    signature: Signature,
}

impl Head {
    /// Reads them. Whatever is wrong with an update that can be told from its head is told here, before the rest of it
    /// has come.
    ///
    /// # Errors
    /// Every [`Refusal`] but a wrong signature or length.
    pub fn parse(octets: &[u8; HEAD], identity: &Identity) -> Result<Head, Refusal> {
        let (signature, signed) = octets.split_at(SIGNED_FROM);
        let signature = signature.strip_prefix(MAGIC).ok_or(Refusal::NoUpdate)?;
        let signature = text(signature).filter(|text| text.lines().count() == 4);
        let signature =
            Signature::decode(signature.ok_or(Refusal::Damaged("the signature cannot be read"))?)?;
        let update = describe(signed, signature.trusted_comment())?;
        if update.board != identity.board {
            return Err(Refusal::OtherBoard { its: update.board, ours: identity.board.clone() });
        }
        if update.compat != identity.compat {
            return Err(Refusal::OtherCompat { its: update.compat, ours: identity.compat });
        }
        if update.size > SLOT_SIZE {
            return Err(Refusal::TooLarge);
        }
        let key = identity.update_key.as_deref().ok_or(Refusal::NoKey)?;
        let key = PublicKey::decode(key).map_err(|_| Refusal::BadKey)?;
        key.verify_stream(&signature)?;
        let signed = signed.try_into().map_err(|_| Refusal::NoUpdate)?;
        Ok(Head { update, signed, key, signature })
    }

    /// What the update says. True only when [`Body::finish`] says so.
    pub fn update(&self) -> &Update {
        &self.update
    }

    /// Takes the image.
    ///
    /// # Errors
    /// Those of [`Head::parse`], which has asked already.
    pub fn body(&self) -> Result<Body<'_>, Refusal> {
        let mut verifier = self.key.verify_stream(&self.signature)?;
        verifier.update(&self.signed);
        Ok(Body { said: self.update.len(), found: HEAD as u64, verifier })
    }
}

/// The image, as it comes.
pub struct Body<'a> {
    said: u64,
    found: u64,
    verifier: StreamVerifier<'a>,
}

impl Body<'_> {
    /// Octets that are still to come.
    pub fn left(&self) -> u64 {
        self.said - self.found
    }

    /// Takes what follows. The work grows with the length of the piece.
    ///
    /// # Errors
    /// It is more than the update says.
    pub fn update(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        if piece.len() as u64 > self.left() {
            return Err(Refusal::Length { said: self.said, found: self.said + 1 });
        }
        self.found += piece.len() as u64;
        self.verifier.update(piece);
        Ok(())
    }

    /// Everything has come.
    ///
    /// # Errors
    /// It is too little, or not what was signed.
    pub fn finish(mut self) -> Result<(), Refusal> {
        if self.left() > 0 {
            return Err(Refusal::Length { said: self.said, found: self.found });
        }
        Ok(self.verifier.finalize()?)
    }
}

/// Text that is padded with zeroes.
fn text(octets: &[u8]) -> Option<&str> {
    let end = octets.iter().position(|&octet| octet == 0).unwrap_or(octets.len());
    let (text, padding) = octets.split_at(end);
    padding.iter().all(|&octet| octet == 0).then(|| std::str::from_utf8(text).ok())?
}

/// The lines that say what it is. Keys that this version does not know are left alone: `compat` is what forbids.
fn describe(octets: &[u8], comment: &str) -> Result<Update, Refusal> {
    let lines = text(octets).ok_or(Refusal::Damaged("its description cannot be read"))?;
    let value = |wanted: &str| {
        let mut values = lines.lines().filter_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == wanted).then_some(value.trim())
        });
        let missing = Refusal::Damaged("its description is not complete");
        // Two that differ would let everyone choose what to believe.
        values.next().filter(|value| !value.is_empty() && values.next().is_none()).ok_or(missing)
    };
    let name = |wanted: &str| {
        let name = value(wanted)?;
        let plain =
            name.len() <= 64 && name.bytes().all(|o| o.is_ascii_alphanumeric() || b".-_+~".contains(&o));
        if plain { Ok(name.to_owned()) } else { Err(Refusal::Damaged("its description is not plain text")) }
    };
    let no_number = |_| Refusal::Damaged("its description has something else where a number belongs");
    Ok(Update {
        board: name("board")?,
        version: name("version")?,
        compat: value("compat")?.parse().map_err(no_number)?,
        size: value("size")?.parse().map_err(no_number)?,
        comment: comment.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::pbu::{Pbu, identity};

    /// The update, taken in pieces of `piece` octets.
    fn verified(file: &[u8], identity: &Identity, piece: usize) -> Result<Update, Refusal> {
        let (head, body) = file.split_at_checked(HEAD).ok_or(Refusal::NoUpdate)?;
        let head = Head::parse(head.try_into().unwrap(), identity)?;
        let mut verified = head.body()?;
        body.chunks(piece).try_for_each(|piece| verified.update(piece))?;
        verified.finish()?;
        Ok(head.update().clone())
    }

    #[test]
    fn an_update_that_is_right_is_taken_in_pieces_of_any_size() {
        let file = Pbu::default().octets();
        for piece in [1, 13, 1024, 1 << 20] {
            let update = verified(&file, &identity(), piece).unwrap();
            assert_eq!(update.to_string(), "version 1.3.0 for orangepi-pc, signed \"stable release\"");
            assert_eq!(update.len(), file.len() as u64);
        }
    }

    /// Made with minisign 0.11, the tool, as `image/` does.
    #[test]
    fn what_the_tool_signs_is_taken() {
        let file = include_bytes!("../../tests/data/update/tool.pbu");
        let key = include_str!("../../tests/data/update/tool.pub");
        let identity = Identity { update_key: Some(key.trim().to_owned()), ..identity() };
        let update = verified(file, &identity, 1000).unwrap();
        assert_eq!((update.version.as_str(), update.size), ("9.9.9", 3000));
        assert_eq!(update.comment, "made by the tool");
    }

    #[test]
    fn every_octet_that_differs_is_found() {
        let right = Pbu { image: vec![7; 300], ..Pbu::default() }.octets();
        for at in 0..right.len() {
            let mut file = right.clone();
            file[at] ^= 0x20;
            let outcome = verified(&file, &identity(), 4096);
            // Of the signature's own lines one is not signed: the one that says so.
            let untrusted = at > MAGIC.len() && right[MAGIC.len()..at].iter().all(|&octet| octet != b'\n');
            assert!(outcome.is_err() || untrusted || at == MAGIC.len(), "octet {at}: {outcome:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_words() {
        let right = Pbu::default;
        let cut = |mut file: Vec<u8>, len: usize| {
            file.truncate(len);
            file
        };
        let no_key = Identity { update_key: None, ..identity() };
        let bad_key =
            Identity { update_key: Some("untrusted comment: x\nnonsense".to_owned()), ..identity() };
        for (file, identity, words) in [
            (vec![b'x'; 4000], &identity(), "this is no update of Pillarbox"),
            (
                Pbu { board: "bananapi", ..right() }.octets(),
                &identity(),
                "is for the board bananapi, this is orangepi-pc",
            ),
            (
                Pbu { compat: 2, ..right() }.octets(),
                &identity(),
                "for cards of kind 2, this one is of kind 1",
            ),
            (
                Pbu { size: Some(SLOT_SIZE + 1), ..right() }.octets(),
                &identity(),
                "larger than a slot, 24 MiB",
            ),
            (Pbu { seed: 2, ..right() }.octets(), &identity(), "signed with another key"),
            (Pbu { impostor: true, ..right() }.octets(), &identity(), "the signature is wrong"),
            (Pbu { legacy: true, ..right() }.octets(), &identity(), "of another kind than prehashed"),
            (Pbu { extra: "size = 1\n", ..right() }.octets(), &identity(), "not complete"),
            (Pbu { board: "", ..right() }.octets(), &identity(), "not complete"),
            (Pbu { version: "1 \u{1b}[2J", ..right() }.octets(), &identity(), "not plain text"),
            (Pbu { version: "1.0\nwhat", ..right() }.octets(), &identity(), ""),
            (cut(right().octets(), 5000), &identity(), "has 5000 octets and says that it has 12048"),
            ([right().octets(), vec![0]].concat(), &identity(), "has 12049 octets and says"),
            (right().octets(), &no_key, "made without a key"),
            (right().octets(), &bad_key, "the key of its image is damaged"),
        ] {
            match verified(&file, identity, 4096) {
                Err(refusal) => assert!(refusal.to_string().contains(words), "{refusal}"),
                Ok(update) => assert!(words.is_empty(), "{words}: {update}"),
            }
        }
    }

    #[test]
    fn an_older_version_is_taken_but_said() {
        for (its, present, said) in [
            ("1.2.0", "1.2.0", "the same as"),
            ("1.10.0", "1.9.3", "newer than"),
            ("1.9.3", "1.10.0", "OLDER than"),
            ("1.2", "1.2.1", "OLDER than"),
            ("1.2.0-rc1", "1.2.0", "another than"),
        ] {
            let update = Update {
                board: "x".to_owned(),
                version: its.to_owned(),
                compat: 1,
                size: 0,
                comment: String::new(),
            };
            assert!(update.beside(present).starts_with(said), "{its} beside {present}");
        }
    }
}
