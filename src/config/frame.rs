//! The octets of a stored configuration: a header that every format version has, and a content that
//! changes with them.
//!
//! ```text
//! octets  what
//! 8       "pbxconf" and a zero octet
//! 4       format version, 5
//! 8       generation: counts the saves
//! 4       length of the content
//! 4       CRC-32C of the three fields above and the content
//! length  the content: a Config in the postcard wire format
//! ```
//!
//! Numbers are little-endian. Every older format version loads: when [`Config`] changes its shape, the
//! shape it had moves into a module of its own, `VERSION` counts up, and a file written before
//! joins the tests. The header stays as it is, so that an older version can tell when a newer one wrote.

use std::io;

use serde::de::DeserializeOwned;

use super::{Config, version_1, version_2, version_3, version_4};

const MAGIC: &[u8; 8] = b"pbxconf\0";
/// The format that is written.
pub(super) const VERSION: u32 = 5;
/// Octets before the content.
pub(super) const HEADER: usize = 28;

/// Octets of content, some thousand sources: so much is kept in memory, and no more is ever read.
pub(super) const MAX_CONTENT: usize = 1 << 20;

/// Octets of a whole file.
pub const LARGEST: usize = HEADER + MAX_CONTENT;

/// Why octets are no configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Another file, or the beginning is damaged.
    #[error("not a configuration of Pillarbox")]
    Magic,
    /// Written by a later version.
    #[error("written by a newer Pillarbox in format {0}, this one knows formats up to {VERSION}")]
    Newer(u32),
    /// Cut off, or something follows.
    #[error("damaged: its length is not the one it had when it was written")]
    Length,
    /// Some octet changed.
    #[error("damaged: its checksum does not match")]
    Checksum,
    /// The checksum matches, the content does not.
    #[error("damaged: its content makes no sense")]
    Content,
}

/// The octets of the file.
///
/// # Errors
/// More accounts and sources than fit.
pub fn encode(config: &Config, generation: u64) -> io::Result<Vec<u8>> {
    encode_as(config, generation, VERSION)
}

/// The same under the number of another format, whose content tests take to be the same.
pub(super) fn encode_as(config: &Config, generation: u64, format: u32) -> io::Result<Vec<u8>> {
    let content = postcard::to_stdvec(config).map_err(io::Error::other)?;
    if content.len() > MAX_CONTENT {
        return Err(io::Error::other("there are too many accounts and sources: remove some"));
    }
    let length = u32::try_from(content.len()).map_err(io::Error::other)?;
    let mut octets = Vec::with_capacity(HEADER + content.len());
    octets.extend_from_slice(MAGIC);
    octets.extend_from_slice(&format.to_le_bytes());
    octets.extend_from_slice(&generation.to_le_bytes());
    octets.extend_from_slice(&length.to_le_bytes());
    octets.extend_from_slice(&checksum(&octets, &content).to_le_bytes());
    octets.extend_from_slice(&content);
    Ok(octets)
}

fn checksum(header: &[u8], content: &[u8]) -> u32 {
    let fields = header.get(MAGIC.len()..).unwrap_or_default();
    crc32c::crc32c_append(crc32c::crc32c(fields), content)
}

/// The configuration in the octets of a file, and its generation.
///
/// # Errors
/// What is wrong with them.
pub fn decode(octets: &[u8]) -> Result<(Config, u64), Damage> {
    let frame = Frame::of(octets)?;
    frame.config(VERSION).map(|config| (config, frame.generation))
}

/// A whole file, whoever wrote it.
pub(super) struct Frame<'a> {
    pub format: u32,
    pub generation: u64,
    content: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Judges all but the content.
    pub fn of(octets: &'a [u8]) -> Result<Frame<'a>, Damage> {
        let rest = octets.strip_prefix(MAGIC).ok_or(Damage::Magic)?;
        let (format, rest) = rest.split_first_chunk().ok_or(Damage::Length)?;
        let (generation, rest) = rest.split_first_chunk().ok_or(Damage::Length)?;
        let (length, rest) = rest.split_first_chunk().ok_or(Damage::Length)?;
        let header = octets.get(..octets.len() - rest.len()).unwrap_or_default();
        let (sum, content) = rest.split_first_chunk().ok_or(Damage::Length)?;
        if usize::try_from(u32::from_le_bytes(*length)) != Ok(content.len()) {
            return Err(Damage::Length);
        }
        if u32::from_le_bytes(*sum) != checksum(header, content) {
            return Err(Damage::Checksum);
        }
        let (format, generation) = (u32::from_le_bytes(*format), u64::from_le_bytes(*generation));
        Ok(Frame { format, generation, content })
    }

    /// The configuration, for a version that knows formats up to `known`.
    pub fn config(&self, known: u32) -> Result<Config, Damage> {
        let config = match self.format {
            1 => whole::<version_1::Config>(self.content).map(Config::from),
            2 => whole::<version_2::Config>(self.content).map(Config::from),
            3 => whole::<version_3::Config>(self.content).map(Config::from),
            4 => whole::<version_4::Config>(self.content).map(Config::from),
            newer if newer > known => return Err(Damage::Newer(newer)),
            _ => whole(self.content),
        };
        config.ok_or(Damage::Content)
    }
}

/// The value that is all of `content`.
fn whole<T: DeserializeOwned>(content: &[u8]) -> Option<T> {
    match postcard::take_from_bytes(content) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_a_whole_file_is_refused() {
        let whole = encode(&Config::default(), 1).unwrap();
        for end in 0..whole.len() {
            assert!(decode(&whole[..end]).is_err(), "the first {end} octets");
        }
        let longer = [&whole[..], b"\0"].concat();
        assert_eq!(decode(&longer), Err(Damage::Length));
        // A content that was checksummed, but is none.
        for content in [&b""[..], b"\xff\xff\xff\xff\x0f", &whole[HEADER..whole.len() - 1]] {
            let mut octets = whole[..HEADER - 8].to_vec();
            octets.extend_from_slice(&u32::try_from(content.len()).unwrap().to_le_bytes());
            octets.extend_from_slice(&checksum(&octets, content).to_le_bytes());
            octets.extend_from_slice(content);
            assert_eq!(decode(&octets), Err(Damage::Content));
        }
    }
}
