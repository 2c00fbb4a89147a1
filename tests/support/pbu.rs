//! Update files as `image/` makes them, and wrong ones as it would never. The signature is minisign's, made here so that a
//! test can sign anything; a file that the tool itself has made is in `tests/data/update`.

use blake2::{Blake2b512, Digest};
use data_encoding::BASE64;
use ring::signature::{Ed25519KeyPair, KeyPair};

/// An update and what is wrong with it; nothing, unless it is said.
pub struct Pbu {
    pub board: &'static str,
    pub version: &'static str,
    pub compat: u32,
    /// What it says about its size; `None`: the truth.
    pub size: Option<u64>,
    /// More lines.
    pub extra: &'static str,
    pub image: Vec<u8>,
    /// Whose key.
    pub seed: u8,
    /// Signed by somebody who only says that he has the key.
    pub impostor: bool,
    /// Signed as minisign did before it hashed first.
    pub legacy: bool,
}

impl Default for Pbu {
    fn default() -> Pbu {
        let image = [&[0xd0, 0x0d, 0xfe, 0xed][..], &[0x5a; 9996]].concat();
        Pbu {
            board: "orangepi-pc",
            version: "1.3.0",
            compat: 1,
            size: None,
            extra: "",
            image,
            seed: 1,
            impostor: false,
            legacy: false,
        }
    }
}

fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

/// The text of the public key file.
pub fn public_key(seed: u8) -> String {
    let key = key(seed);
    let octets = [b"Ed", &[seed; 8][..], key.public_key().as_ref()].concat();
    format!("untrusted comment: minisign public key\n{}", BASE64.encode(&octets))
}

impl Pbu {
    pub fn octets(&self) -> Vec<u8> {
        let size = self.size.unwrap_or(self.image.len() as u64);
        let text = format!(
            "board = {}\nversion = {}\ncompat = {}\nsize = {size}\n{}",
            self.board, self.version, self.compat, self.extra
        );
        let signed = [&padded(text.as_bytes())[..], &self.image].concat();
        let signature = self.sign(&signed, "stable release");
        [&padded(format!("PBXUPDT1\n{signature}").as_bytes())[..], &signed].concat()
    }

    fn sign(&self, signed: &[u8], comment: &str) -> String {
        let key = key(if self.impostor { self.seed + 1 } else { self.seed });
        let signature = match self.legacy {
            true => key.sign(signed),
            false => key.sign(&Blake2b512::digest(signed)),
        };
        let kind: &[u8] = if self.legacy { b"Ed" } else { b"ED" };
        let global = key.sign(&[signature.as_ref(), comment.as_bytes()].concat());
        let octets = [kind, &[self.seed; 8], signature.as_ref()].concat();
        format!(
            "untrusted comment: signature from minisign secret key\n{}\ntrusted comment: {comment}\n{}\n",
            BASE64.encode(&octets),
            BASE64.encode(global.as_ref())
        )
    }
}

fn padded(text: &[u8]) -> [u8; 1024] {
    let mut field = [0; 1024];
    field[..text.len()].copy_from_slice(text);
    field
}
