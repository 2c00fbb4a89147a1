//! The first octets of a segment of the log: `PILLARBX`, the format version and the segment's own number (u32,
//! little-endian). Frames follow without gaps.

/// Octets before the first frame.
pub const HEADER: u32 = 16;
const MAGIC: &[u8; 8] = b"PILLARBX";
const VERSION: u32 = 1;

/// The header of the segment with this number.
pub fn header(segment: u32) -> [u8; HEADER as usize] {
    let mut header = [0; HEADER as usize];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..].copy_from_slice(&segment.to_le_bytes());
    header
}
