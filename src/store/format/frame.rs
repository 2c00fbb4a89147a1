//! Frames: how records lie in a file, in the log as in a checkpoint.
//!
//! A frame is 20 octets, all integers little-endian, then the head, then the body:
//!
//! | offset | size | what |
//! |---|---|---|
//! | 0 | 2 | magic `PB` |
//! | 2 | 2 | zero, reserved |
//! | 4 | 4 | octets of the head, at most 1 MiB |
//! | 8 | 4 | octets of the body, at most 64 KiB |
//! | 12 | 4 | CRC-32C of the body |
//! | 16 | 4 | CRC-32C of octets 0 to 15 and the head |
//!
//! The head is a record in postcard form. Two checksums, so that opening an account reads heads and
//! skips bodies.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Octets before the head of a frame.
pub const FRAME: usize = 20;
/// Bodies up to so many octets are kept in the log, larger ones in a file of their own.
pub const INLINE_MAX: usize = 64 * 1024;
/// Octets of a head at most: a longer one is damage.
pub const HEAD_MAX: usize = 1024 * 1024;
const MAGIC: [u8; 2] = *b"PB";

/// Why octets are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// More octets are needed than there are.
    #[error("cut short")]
    Short,
    /// The magic, a length or a checksum is wrong.
    #[error("damaged")]
    Damaged,
}

/// The contents of a frame's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head<T> {
    /// A record of a kind that this version knows.
    Known(T),
    /// A record of a kind that this version does not know, because a later version wrote it: its octets, whose
    /// checksum is right.
    Unknown(Vec<u8>),
}

impl<T> Head<T> {
    /// The record; `None` when this version does not know its kind.
    pub fn known(self) -> Option<T> {
        match self {
            Head::Known(record) => Some(record),
            Head::Unknown(_) => None,
        }
    }
}

/// The fixed part of a frame: its magic and lengths are plausible, its checksums are not verified yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Octets of the head.
    pub head_len: usize,
    /// Octets of the body.
    pub body_len: usize,
    /// CRC-32C of the body.
    pub body_crc: u32,
    head_crc: u32,
    covered_crc: u32,
}

fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

impl FrameHeader {
    /// Parses the first [`FRAME`] octets of a frame.
    ///
    /// # Errors
    /// [`BadFrame::Short`] when there are fewer octets; [`BadFrame::Damaged`] when the magic or a length is wrong.
    pub fn parse(octets: &[u8]) -> Result<FrameHeader, BadFrame> {
        let fixed = octets.get(..FRAME).ok_or(BadFrame::Short)?;
        let field = |at| u32_at(fixed, at).ok_or(BadFrame::Short);
        let (head_len, body_len) = (field(4)? as usize, field(8)? as usize);
        if !fixed.starts_with(&MAGIC)
            || fixed.get(2..4) != Some(&[0, 0])
            || head_len > HEAD_MAX
            || body_len > INLINE_MAX
        {
            return Err(BadFrame::Damaged);
        }
        Ok(FrameHeader {
            head_len,
            body_len,
            body_crc: field(12)?,
            head_crc: field(16)?,
            covered_crc: crc32c::crc32c(fixed.get(..16).unwrap_or_default()),
        })
    }

    /// Decodes the head that follows the fixed part.
    ///
    /// # Errors
    /// [`BadFrame::Damaged`], when its checksum is wrong.
    pub fn head<T: DeserializeOwned>(&self, head: &[u8]) -> Result<Head<T>, BadFrame> {
        if head.len() != self.head_len || crc32c::crc32c_append(self.covered_crc, head) != self.head_crc {
            return Err(BadFrame::Damaged);
        }
        Ok(postcard::from_bytes(head).map_or_else(|_| Head::Unknown(head.to_vec()), Head::Known))
    }

    /// Octets of the whole frame.
    pub fn frame_len(&self) -> usize {
        FRAME + self.head_len + self.body_len
    }
}

/// A record or its body is longer than a frame allows: [`HEAD_MAX`], [`INLINE_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record of {0} octets is too long for the log")]
pub struct TooLong(pub usize);

/// Appends the frame of `record` with `body` to `out`.
///
/// # Errors
/// [`TooLong`]; then nothing is appended. What [`FrameHeader::parse`] would call damage is never written.
pub fn encode<T: Serialize>(record: &T, body: &[u8], out: &mut Vec<u8>) -> Result<(), TooLong> {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME]);
    *out = match postcard::to_extend(record, std::mem::take(out)) {
        Ok(framed) => framed,
        // Writing to a Vec cannot fail, and every type of a record has a postcard form.
        Err(error) => unreachable!("postcard: {error}"),
    };
    close(start, body, out)
}

/// Appends the frame of a record of a kind that this version does not know, given by its head, with `body` to `out`.
///
/// # Errors
/// [`TooLong`]; then nothing is appended.
pub fn encode_unknown(head: &[u8], body: &[u8], out: &mut Vec<u8>) -> Result<(), TooLong> {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME]);
    out.extend_from_slice(head);
    close(start, body, out)
}

/// Completes the frame that begins at `start` and already has its head: fills in the fixed part and appends the body.
#[expect(clippy::indexing_slicing, reason = "the fixed part was put at `start` before its head")]
fn close(start: usize, body: &[u8], out: &mut Vec<u8>) -> Result<(), TooLong> {
    let head_len = out.len() - start - FRAME;
    if head_len > HEAD_MAX || body.len() > INLINE_MAX {
        out.truncate(start);
        return Err(TooLong(head_len.max(body.len())));
    }
    let fixed = &mut out[start..start + FRAME];
    fixed[0..2].copy_from_slice(&MAGIC);
    fixed[4..8].copy_from_slice(&(head_len as u32).to_le_bytes());
    fixed[8..12].copy_from_slice(&(body.len() as u32).to_le_bytes());
    fixed[12..16].copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
    let covered = crc32c::crc32c(&out[start..start + 16]);
    let crc = crc32c::crc32c_append(covered, &out[start + FRAME..]);
    out[start + 16..start + FRAME].copy_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(body);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::format::MailboxId;
    use crate::store::format::record::{ExpungeRecord, NoteRecord, Record};

    fn sample() -> Record {
        Record::Expunge(ExpungeRecord { mailbox: MailboxId(7), uids: vec![(1, 3), (9, 9)], modseq: 42 })
    }

    #[test]
    fn a_frame_reads_back_as_it_was_written() {
        let mut frame = b"before".to_vec();
        encode(&sample(), b"body", &mut frame).unwrap();
        let frame = &frame[6..];
        let header = FrameHeader::parse(frame).unwrap();
        assert_eq!(header.frame_len(), frame.len());
        let head = header.head::<Record>(&frame[FRAME..FRAME + header.head_len]);
        assert_eq!(head, Ok(Head::Known(sample())));
        assert_eq!(header.body_crc, crc32c::crc32c(b"body"));
    }

    /// Catches: a writer that accepts what the reader calls damage.
    #[test]
    fn what_would_not_be_read_is_not_written() {
        let note = |octets| Record::Note(NoteRecord { mailbox: MailboxId(1), uid: 1, note: vec![7; octets] });
        let mut out = b"before".to_vec();
        let fields = 6; // the kind, mailbox, UID, and three octets of length
        encode(&note(HEAD_MAX - fields), &[1; INLINE_MAX], &mut out).unwrap();
        let header = FrameHeader::parse(&out[6..]).unwrap();
        assert_eq!((header.head_len, header.body_len), (HEAD_MAX, INLINE_MAX));
        let whole = out.clone();
        assert_eq!(encode(&note(HEAD_MAX - fields + 1), &[], &mut out), Err(TooLong(HEAD_MAX + 1)));
        assert_eq!(encode(&sample(), &[1; INLINE_MAX + 1], &mut out), Err(TooLong(INLINE_MAX + 1)));
        assert_eq!(out, whole);
    }

    #[test]
    fn every_flipped_bit_of_a_frame_is_found() {
        let mut frame = Vec::new();
        encode(&sample(), b"body", &mut frame).unwrap();
        for bit in 0..frame.len() * 8 {
            let mut bad = frame.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let read = FrameHeader::parse(&bad).and_then(|header| {
                let head = bad.get(FRAME..FRAME + header.head_len).ok_or(BadFrame::Short)?;
                header.head::<Record>(head)?;
                let body = bad.get(FRAME + header.head_len..header.frame_len()).ok_or(BadFrame::Short)?;
                if crc32c::crc32c(body) == header.body_crc { Ok(()) } else { Err(BadFrame::Damaged) }
            });
            assert!(read.is_err(), "bit {bit} flipped, nobody saw it");
        }
    }
}
