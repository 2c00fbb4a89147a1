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
/// Bodies up to this size stand in the log, larger ones in a file of their own.
pub const INLINE_MAX: usize = 64 * 1024;
/// No head is longer: what says otherwise is damage.
pub const HEAD_MAX: usize = 1024 * 1024;
const MAGIC: [u8; 2] = *b"PB";

/// Why octets are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// More octets are needed than there are.
    #[error("cut short")]
    Short,
    /// Magic, lengths, checksum or postcard form are wrong.
    #[error("damaged")]
    Damaged,
}

/// The fixed part of a frame, its magic and lengths found plausible, nothing verified yet.
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
    /// Reads the first [`FRAME`] octets of a frame.
    ///
    /// # Errors
    /// [`BadFrame`].
    pub fn parse(octets: &[u8]) -> Result<FrameHeader, BadFrame> {
        let fixed = octets.get(..FRAME).ok_or(BadFrame::Short)?;
        let field = |at| u32_at(fixed, at).ok_or(BadFrame::Short);
        let (head_len, body_len) = (field(4)? as usize, field(8)? as usize);
        if !fixed.starts_with(&MAGIC) || fixed[2..4] != [0, 0] || head_len > HEAD_MAX || body_len > INLINE_MAX
        {
            return Err(BadFrame::Damaged);
        }
        Ok(FrameHeader {
            head_len,
            body_len,
            body_crc: field(12)?,
            head_crc: field(16)?,
            covered_crc: crc32c::crc32c(&fixed[..16]),
        })
    }

    /// The record, from the head that follows the fixed part.
    ///
    /// # Errors
    /// [`BadFrame::Damaged`].
    pub fn record<T: DeserializeOwned>(&self, head: &[u8]) -> Result<T, BadFrame> {
        if head.len() != self.head_len || crc32c::crc32c_append(self.covered_crc, head) != self.head_crc {
            return Err(BadFrame::Damaged);
        }
        postcard::from_bytes(head).map_err(|_| BadFrame::Damaged)
    }

    /// Octets of the whole frame.
    pub fn frame_len(&self) -> usize {
        FRAME + self.head_len + self.body_len
    }
}

/// Appends the frame of `record` with `body` to `out`.
pub fn encode<T: Serialize>(record: &T, body: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME]);
    let mut framed = match postcard::to_extend(record, std::mem::take(out)) {
        Ok(framed) => framed,
        // Writing to a Vec cannot fail, and every type of a record has a postcard form.
        Err(error) => unreachable!("postcard: {error}"),
    };
    let head_len = framed.len() - start - FRAME;
    debug_assert!(head_len <= HEAD_MAX && body.len() <= INLINE_MAX, "what is too long cannot be read again");
    let fixed = &mut framed[start..start + FRAME];
    fixed[0..2].copy_from_slice(&MAGIC);
    fixed[4..8].copy_from_slice(&(head_len as u32).to_le_bytes());
    fixed[8..12].copy_from_slice(&(body.len() as u32).to_le_bytes());
    fixed[12..16].copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
    let covered = crc32c::crc32c(&framed[start..start + 16]);
    let crc = crc32c::crc32c_append(covered, &framed[start + FRAME..]);
    framed[start + 16..start + FRAME].copy_from_slice(&crc.to_le_bytes());
    framed.extend_from_slice(body);
    *out = framed;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::format::MailboxId;
    use crate::store::format::record::{ExpungeRecord, Record};

    fn sample() -> Record {
        Record::Expunge(ExpungeRecord { mailbox: MailboxId(7), uids: vec![(1, 3), (9, 9)], modseq: 42 })
    }

    #[test]
    fn a_frame_reads_back_as_it_was_written() {
        let mut frame = b"before".to_vec();
        encode(&sample(), b"body", &mut frame);
        let frame = &frame[6..];
        let header = FrameHeader::parse(frame).unwrap();
        assert_eq!(header.frame_len(), frame.len());
        assert_eq!(header.record::<Record>(&frame[FRAME..FRAME + header.head_len]).unwrap(), sample());
        assert_eq!(header.body_crc, crc32c::crc32c(b"body"));
    }

    #[test]
    fn every_flipped_bit_of_a_frame_is_found() {
        let mut frame = Vec::new();
        encode(&sample(), b"body", &mut frame);
        for bit in 0..frame.len() * 8 {
            let mut bad = frame.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let read = FrameHeader::parse(&bad).and_then(|header| {
                let head = bad.get(FRAME..FRAME + header.head_len).ok_or(BadFrame::Short)?;
                header.record::<Record>(head)?;
                let body = bad.get(FRAME + header.head_len..header.frame_len()).ok_or(BadFrame::Short)?;
                if crc32c::crc32c(body) == header.body_crc { Ok(()) } else { Err(BadFrame::Damaged) }
            });
            assert!(read.is_err(), "bit {bit} flipped, nobody saw it");
        }
    }
}
