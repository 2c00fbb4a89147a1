//! The types of the fields of records and checkpoints.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::LastLine;
use super::frame::INLINE_MAX;

/// A mailbox's number within its account. A number is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MailboxId(pub u32);

/// The INBOX, which every account has.
pub const INBOX: MailboxId = MailboxId(1);

/// The key of annotations that belong to the account and not to a mailbox (RFC 5464 section 3: those of the server).
pub const NO_MAILBOX: MailboxId = MailboxId(0);

/// A unique identifier (RFC 3501 section 2.3.1.1), ascending from 1 in each mailbox.
pub type Uid = u32;

/// Ascending UIDs as inclusive ranges.
pub type UidRanges = Vec<(Uid, Uid)>;

/// Identifies where messages come from in the ledger: a hash that the caller makes of whatever identifies the source
/// for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceKey(pub u64);

/// The first 16 octets of the SHA-256 of an identity.
pub type IdentityHash = [u8; 16];

/// Where a frame begins: a segment and an offset in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The segment's number.
    pub segment: u32,
    /// The frame's offset in the segment, in octets.
    pub offset: u32,
}

/// How [`crate::store::Transaction::flags`] changes flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "FLAGS, +FLAGS and -FLAGS of RFC 3501 section 6.4.6")]
pub enum FlagChange {
    Replace,
    Add,
    Remove,
}

/// Flags of a message: five of RFC 3501's, and up to 56 keywords, for each of which the mailbox names a bit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags(pub u64);

impl Flags {
    /// No flags.
    pub const NONE: Flags = Flags(0);
    /// `\Seen`.
    pub const SEEN: Flags = Flags(1);
    /// `\Answered`.
    pub const ANSWERED: Flags = Flags(2);
    /// `\Flagged`.
    pub const FLAGGED: Flags = Flags(4);
    /// `\Deleted`.
    pub const DELETED: Flags = Flags(8);
    /// `\Draft`.
    pub const DRAFT: Flags = Flags(16);
    /// How many keywords a mailbox can have.
    pub const KEYWORDS: usize = 56;

    /// Whether all of `flags` are set.
    pub fn contains(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }
    /// The union of both.
    pub fn with(self, flags: Flags) -> Flags {
        Flags(self.0 | flags.0)
    }
    /// The flag of the keyword at `index` of [`crate::store::Mailbox::keywords`].
    pub fn keyword(index: usize) -> Flags {
        Flags(1 << (8 + index))
    }
    /// The flags of RFC 3501 without the keywords.
    pub fn system(self) -> Flags {
        Flags(self.0 & 0x1f)
    }
    /// The indexes in [`crate::store::Mailbox::keywords`] of the keywords that are set.
    pub fn keywords(self) -> impl Iterator<Item = usize> {
        (0..Flags::KEYWORDS).filter(move |&i| self.contains(Flags::keyword(i)))
    }
}

/// Seconds since 1970 UTC in 40 bits, which reach 17,000 years back and ahead. Earlier and later times become the
/// first and the last of these.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
pub struct UnixTime([u8; 5]);

impl UnixTime {
    const LAST: i64 = (1 << 39) - 1;

    /// The time in seconds since 1970 UTC.
    pub fn get(self) -> i64 {
        let [a, b, c, d, e] = self.0;
        // The shift down from the top extends the sign.
        i64::from_le_bytes([0, 0, 0, a, b, c, d, e]) >> 24
    }
}

impl From<i64> for UnixTime {
    fn from(seconds: i64) -> UnixTime {
        let [a, b, c, d, e, ..] = seconds.clamp(-UnixTime::LAST - 1, UnixTime::LAST).to_le_bytes();
        UnixTime([a, b, c, d, e])
    }
}

impl From<UnixTime> for i64 {
    fn from(time: UnixTime) -> i64 {
        time.get()
    }
}

impl std::fmt::Debug for UnixTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

/// A message in the index and, without its save date, in a checkpoint. It takes 46 octets, so that a mailbox with
/// room to grow takes no more than 48 for each message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "InCheckpoint", into = "InCheckpoint")]
#[repr(Rust, packed)]
pub struct Message {
    /// Its UID.
    pub uid: Uid,
    /// Size in octets (RFC822.SIZE).
    pub size: u32,
    /// INTERNALDATE.
    pub date: UnixTime,
    /// Its flags.
    pub flags: Flags,
    /// MODSEQ (RFC 7162): that of its last change.
    pub modseq: u64,
    /// The body's number within the account: the same for every copy, never used twice.
    pub(crate) body: u32,
    /// The segment of its Body record.
    pub(crate) segment: u32,
    /// The offset of its Body record in that segment, in octets.
    pub(crate) offset: u32,
    /// When the message came into its mailbox, in seconds since 1970 UTC; 0 when that is not known.
    pub(crate) save_date: u32,
    /// How the message ends: whether its last line has its line end.
    pub(crate) last_line: LastLine,
}

/// A message as it is written in a checkpoint.
#[derive(Serialize, Deserialize)]
struct InCheckpoint {
    uid: Uid,
    size: u32,
    date: i64,
    /// Flags and [`LastLine`].
    bits: u64,
    modseq: u64,
    body: u32,
    segment: u32,
    offset: u32,
}

impl From<Message> for InCheckpoint {
    fn from(message: Message) -> InCheckpoint {
        let Message { uid, size, date, flags, modseq, body, segment, offset, last_line, .. } = message;
        let bits = flags.0 | last_line.bits();
        InCheckpoint { uid, size, date: date.get(), bits, modseq, body, segment, offset }
    }
}

impl From<InCheckpoint> for Message {
    fn from(it: InCheckpoint) -> Message {
        let InCheckpoint { uid, size, date, bits, modseq, body, segment, offset } = it;
        let (last_line, flags) = LastLine::split(bits);
        let (date, save_date) = (date.into(), 0);
        Message { uid, size, date, flags, modseq, body, segment, offset, save_date, last_line }
    }
}

impl Message {
    /// When the message came into its mailbox (RFC 8514), in seconds since 1970 UTC; `None` when it came before the
    /// store kept this, or while the machine did not know the time.
    pub fn save_date(&self) -> Option<i64> {
        (self.save_date != 0).then(|| self.save_date.into())
    }

    /// How the message ends: whether its last line has its line end.
    pub fn last_line(&self) -> LastLine {
        self.last_line
    }

    /// The place of its Body record.
    pub(crate) fn place(&self) -> Place {
        Place { segment: self.segment, offset: self.offset }
    }

    /// Octets of the message that are in its Body record: all of them, or none when they are in a file.
    pub(crate) fn inline_octets(&self) -> usize {
        if in_file(self.size) { 0 } else { self.size as usize }
    }
}

/// Whether a message of this size has its body in a file of its own.
pub fn in_file(size: u32) -> bool {
    size as usize > INLINE_MAX
}

/// UIDs in any order, as ascending ranges.
fn ranges(uids: &[Uid]) -> UidRanges {
    let mut sorted = uids.to_vec();
    sorted.sort_unstable();
    let mut ranges: UidRanges = Vec::new();
    for uid in sorted {
        match ranges.last_mut() {
            Some((_, last)) if uid <= last.saturating_add(1) => *last = uid,
            _ => ranges.push((uid, uid)),
        }
    }
    ranges
}

/// Whether `uid` lies in ascending ranges.
pub fn is_within(ranges: &[(Uid, Uid)], uid: Uid) -> bool {
    let after = ranges.partition_point(|&(first, _)| first <= uid);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|&(_, last)| uid <= last)
}

/// The messages of a mailbox that a change applies to, as ranges: UIDs that follow each other take no more memory
/// than one, and a clone takes none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uids(Rc<UidRanges>);

impl Uids {
    /// The ranges, ascending and with gaps between them.
    pub fn ranges(&self) -> &[(Uid, Uid)] {
        &self.0
    }

    /// The set of `uids`, which must ascend.
    pub fn ascending(uids: impl IntoIterator<Item = Uid>) -> Uids {
        let mut all = UidRanges::new();
        for uid in uids {
            match all.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(uid) => *last = uid,
                _ => all.push((uid, uid)),
            }
        }
        Uids(Rc::new(all))
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `uid` is in the set.
    pub fn contains(&self, uid: Uid) -> bool {
        is_within(&self.0, uid)
    }

    /// The number of UIDs.
    pub fn len(&self) -> usize {
        self.0.iter().map(|&(first, last)| (last - first) as usize + 1).sum()
    }

    /// Adds a UID that is larger than the last one. Returns `false` and adds nothing when it is not.
    pub fn push(&mut self, uid: Uid) -> bool {
        match self.0.last() {
            Some(&(_, last)) if uid <= last => return false,
            Some(&(_, last)) if last + 1 == uid => {
                if let Some((_, last)) = Rc::make_mut(&mut self.0).last_mut() {
                    *last = uid;
                }
            }
            _ => Rc::make_mut(&mut self.0).push((uid, uid)),
        }
        true
    }
}

impl From<&[Uid]> for Uids {
    fn from(uids: &[Uid]) -> Uids {
        Uids(Rc::new(ranges(uids)))
    }
}

impl From<&Vec<Uid>> for Uids {
    fn from(uids: &Vec<Uid>) -> Uids {
        uids.as_slice().into()
    }
}

impl<const N: usize> From<&[Uid; N]> for Uids {
    fn from(uids: &[Uid; N]) -> Uids {
        uids.as_slice().into()
    }
}

impl From<&Uids> for Uids {
    fn from(uids: &Uids) -> Uids {
        uids.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_40_bits_and_a_sign() {
        // Catches: a time before 1970 that comes back as a later one, and a time that is too large and comes back as
        // another.
        let kept = |seconds: i64| UnixTime::from(seconds).get();
        for seconds in [
            0,
            1,
            -1,
            1 << 32,
            -(1 << 32),
            UnixTime::LAST,
            -UnixTime::LAST - 1,
            -62_167_219_200,
            253_402_300_799,
        ] {
            assert_eq!(kept(seconds), seconds);
        }
        assert_eq!([i64::MAX, i64::MIN].map(kept), [UnixTime::LAST, -UnixTime::LAST - 1]);
    }

    #[test]
    fn uids_become_ranges() {
        assert_eq!(ranges(&[5, 1, 2, 3, 9, 2]), [(1, 3), (5, 5), (9, 9)]);
        assert_eq!(ranges(&[]), []);
        assert_eq!(ranges(&[u32::MAX, u32::MAX - 1]), [(u32::MAX - 1, u32::MAX)]);
        let within = |uid| is_within(&[(2, 3), (5, 5)], uid);
        assert_eq!([1, 2, 3, 4, 5, 6].map(within), [false, true, true, false, true, false]);
    }

    #[test]
    fn uids_that_follow_each_other_take_no_room() {
        // Catches: a range for each UID, and a UID that is accepted twice.
        let mut uids = Uids::default();
        assert_eq!(
            [3, 4, 4, 2, 9, u32::MAX].map(|uid| uids.push(uid)),
            [true, true, false, false, true, true]
        );
        assert_eq!(uids.ranges(), [(3, 4), (9, 9), (u32::MAX, u32::MAX)]);
        assert_eq!((uids.len(), uids.is_empty(), uids.push(1)), (4, false, false));
    }
}
