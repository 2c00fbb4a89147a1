//! The octets of a stored configuration: a header that is the same in every format version, and a content that changes with
//! the version.
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
//! Numbers are little-endian. Every older format version loads: when [`Config`] changes its shape, the old shape moves into a
//! module of its own, `VERSION` counts up, and a file written before joins the tests. The header stays as it is, so that an
//! older version recognises a file of a newer one.

use std::io;

use serde::de::DeserializeOwned;

use super::{Config, version_1, version_2, version_3, version_4};

const MAGIC: &[u8; 8] = b"pbxconf\0";
/// The format that is written.
pub(super) const VERSION: u32 = 5;
/// Octets of the header, which come before the content.
pub(super) const HEADER: usize = 28;

/// The most octets of content, enough for some thousand sources: they are all kept in memory, and no more is ever read.
pub(super) const MAX_CONTENT: usize = 1 << 20;

/// The most octets of a whole file.
pub const LARGEST: usize = HEADER + MAX_CONTENT;

/// Why octets are not a configuration that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// It is another file, or its beginning is damaged.
    #[error("not a configuration of Pillarbox")]
    Magic,
    /// The file was written by a later version.
    #[error("written by a newer Pillarbox in format {0}, this one knows formats up to {VERSION}")]
    Newer(u32),
    /// The file is cut off, or something follows its content.
    #[error("damaged: its length is not the one it had when it was written")]
    Length,
    /// Some octet has changed.
    #[error("damaged: its checksum does not match")]
    Checksum,
    /// The checksum matches, but the content is no configuration.
    #[error("damaged: its content makes no sense")]
    Content,
}

/// The octets of a file with `config`.
///
/// # Errors
/// There are more accounts and sources than fit.
pub fn encode(config: &Config, generation: u64) -> io::Result<Vec<u8>> {
    encode_as(config, generation, VERSION)
}

/// As [`encode`], under the number of another format. Tests take its content to be the same as the current one's.
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
/// What is wrong with the octets.
pub fn decode(octets: &[u8]) -> Result<(Config, u64), Damage> {
    let frame = Frame::of(octets)?;
    frame.config(VERSION).map(|config| (config, frame.generation))
}

/// The parts of a whole file, of any format version.
pub(super) struct Frame<'a> {
    pub format: u32,
    pub generation: u64,
    content: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes the octets of a file apart, and judges everything but the content.
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

/// Reads a value that takes up all of `content`.
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
        // A content with a right checksum that is no configuration.
        for content in [&b""[..], b"\xff\xff\xff\xff\x0f", &whole[HEADER..whole.len() - 1]] {
            let mut octets = whole[..HEADER - 8].to_vec();
            octets.extend_from_slice(&u32::try_from(content.len()).unwrap().to_le_bytes());
            octets.extend_from_slice(&checksum(&octets, content).to_le_bytes());
            octets.extend_from_slice(content);
            assert_eq!(decode(&octets), Err(Damage::Content));
        }
    }
}
