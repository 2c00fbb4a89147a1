//! The partition table of a card (MBR): the last partition grows to the card's end at the first boot.
//!
//! One sector is read, judged and written again, with a few of its octets changed; nothing else of the
//! card is touched. What does not look exactly as expected is left as it is.

use std::fmt;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Octets of a sector, and of the table.
pub const SECTOR: usize = 512;
/// Where the four entries of 16 octets are.
const ENTRIES: usize = 446;
const ENTRY: usize = 16;
const SIGNATURE: [u8; 2] = [0x55, 0xaa];
/// Partitions end at a multiple of so many sectors (1 MiB), as they begin.
const ALIGNMENT: u64 = 2048;
/// The type of the one entry that stands before a GPT.
const GPT: u8 = 0xee;
/// Types of a partition that holds others (CHS, LBA, Linux).
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];
/// Cylinder, head and sector of what is too far away for them.
const BEYOND_CHS: [u8; 3] = [0xfe, 0xff, 0xff];

/// Why a table is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a number from 1 to 4.
    #[error("there is no partition {0}: a table has 1 to 4")]
    Number(usize),
    /// Something else, or damaged.
    #[error("the first sector is no partition table: write the image to the card anew")]
    NoTable,
    /// A GUID partition table.
    #[error("the card has a GPT, the image an MBR: write the image to the card anew")]
    Gpt,
    /// Empty, of length nothing, or one that holds others.
    #[error("partition {0} is not in use, or none that can grow")]
    Unusable(usize),
    /// Another one begins behind it.
    #[error("partition {other} lies behind partition {number}: only the last one can grow")]
    NotLast {
        /// The one to grow.
        number: usize,
        /// The one that is in the way.
        other: usize,
    },
    /// Two partitions share sectors.
    #[error("partitions {0} and {1} overlap: the table is damaged, write the image to the card anew")]
    Overlap(usize, usize),
    /// The card is smaller than what was written to it.
    #[error("partition {number} ends at {end} MiB, the card already at {card} MiB: use a larger card")]
    BeyondTheEnd {
        /// The partition.
        number: usize,
        /// MiB.
        end: u64,
        /// MiB.
        card: u64,
    },
}

/// A partition that has grown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grown {
    /// The table.
    pub table: [u8; SECTOR],
    /// Sectors before.
    pub from: u32,
    /// Sectors now.
    pub to: u32,
}

impl fmt::Display for Grown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} to {} MiB", mebibytes(self.from.into()), mebibytes(self.to.into()))
    }
}

fn mebibytes(sectors: u64) -> u64 {
    sectors / ALIGNMENT
}

struct Partition {
    kind: u8,
    start: u64,
    sectors: u64,
}

impl Partition {
    fn end(&self) -> u64 {
        self.start + self.sectors
    }
}

/// Partition `number` (1 to 4) of `table` with all that is free behind it, on a card of so many sectors;
/// `None` where it has that already.
///
/// # Errors
/// Why it is left alone.
pub fn grow(table: &[u8; SECTOR], number: usize, card: u64) -> Result<Option<Grown>, Refusal> {
    if !table.ends_with(&SIGNATURE) {
        return Err(Refusal::NoTable);
    }
    let partitions = partitions(table)?;
    let own = number.checked_sub(1).and_then(|n| partitions.get(n)).ok_or(Refusal::Number(number))?;
    if own.kind == 0 || own.sectors == 0 || own.start == 0 || EXTENDED.contains(&own.kind) {
        return Err(Refusal::Unusable(number));
    }
    in_order(&partitions)?;
    let behind = |(_, other): &(usize, &Partition)| other.kind != 0 && other.start > own.start;
    if let Some((other, _)) = partitions.iter().enumerate().find(behind) {
        return Err(Refusal::NotLast { number, other: other + 1 });
    }
    if own.end() > card {
        let (end, card) = (mebibytes(own.end()), mebibytes(card));
        return Err(Refusal::BeyondTheEnd { number, end, card });
    }
    // The table counts in 32 bits: of a card beyond 2 TiB the rest is not used.
    let end = card.min(u32::MAX.into()) / ALIGNMENT * ALIGNMENT;
    if end <= own.end() {
        return Ok(None);
    }
    let (Ok(from), Ok(to)) = (u32::try_from(own.sectors), u32::try_from(end - own.start)) else {
        return Err(Refusal::Unusable(number));
    };
    let mut grown = *table;
    let at = ENTRIES + (number - 1) * ENTRY;
    if let Some([_, _, _, _, _, chs @ .., _, _, _, _, l0, l1, l2, l3]) = grown.get_mut(at..at + ENTRY) {
        if let Some(end) = chs.get_mut(..BEYOND_CHS.len()) {
            end.copy_from_slice(&BEYOND_CHS);
        }
        [*l0, *l1, *l2, *l3] = to.to_le_bytes();
    }
    Ok(Some(Grown { table: grown, from, to }))
}

fn partitions(table: &[u8; SECTOR]) -> Result<Vec<Partition>, Refusal> {
    let entries = table.get(ENTRIES..SECTOR - SIGNATURE.len()).unwrap_or_default();
    let mut partitions = Vec::with_capacity(4);
    for entry in entries.chunks_exact(ENTRY) {
        let &[flag, _, _, _, kind, _, _, _, s0, s1, s2, s3, l0, l1, l2, l3] = entry else {
            return Err(Refusal::NoTable);
        };
        // A boot sector of a FAT, which ends like a table, has text there.
        if flag & 0x7f != 0 {
            return Err(Refusal::NoTable);
        }
        if kind == GPT {
            return Err(Refusal::Gpt);
        }
        let [start, sectors] =
            [[s0, s1, s2, s3], [l0, l1, l2, l3]].map(|octets| u64::from(u32::from_le_bytes(octets)));
        partitions.push(Partition { kind, start, sectors });
    }
    Ok(partitions)
}

/// No two share a sector.
fn in_order(partitions: &[Partition]) -> Result<(), Refusal> {
    for (n, one) in partitions.iter().enumerate() {
        for (m, other) in partitions.iter().enumerate().skip(n + 1) {
            let used = one.kind != 0 && other.kind != 0;
            if used && one.start < other.end() && other.start < one.end() {
                return Err(Refusal::Overlap(n + 1, m + 1));
            }
        }
    }
    Ok(())
}

/// Why a device was not changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its table is left as it is.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What the system says.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The same on a card or the file of one: the sector is written at once, and durable on return. The
/// kernel has to read the table anew before it knows (`blockdev --rereadpt`).
///
/// # Errors
/// Why nothing was changed, or what the system says.
pub fn grow_device(device: &Path, number: usize) -> Result<Option<Grown>, Error> {
    let mut file = File::options().read(true).write(true).open(device)?;
    // The length of a block device is where its end is.
    let card = file.seek(SeekFrom::End(0))? / SECTOR as u64;
    let mut table = [0; SECTOR];
    file.read_exact_at(&mut table, 0)?;
    let grown = grow(&table, number, card)?;
    if let Some(grown) = &grown {
        file.write_all_at(&grown.table, 0)?;
        file.sync_all()?;
    }
    Ok(grown)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u32 = 2048;

    /// A table of entries of type, start and length, in sectors.
    fn table(entries: &[(u8, u32, u32)]) -> [u8; SECTOR] {
        let mut table = [0; SECTOR];
        // The code of a boot loader is not touched.
        table[..ENTRIES].iter_mut().enumerate().for_each(|(n, octet)| *octet = n as u8);
        for (n, (kind, start, sectors)) in entries.iter().enumerate() {
            let entry = &mut table[ENTRIES + n * ENTRY..][..ENTRY];
            entry[4] = *kind;
            entry[8..12].copy_from_slice(&start.to_le_bytes());
            entry[12..].copy_from_slice(&sectors.to_le_bytes());
        }
        table[ENTRIES + ENTRY] = 0x80;
        table[510..].copy_from_slice(&SIGNATURE);
        table
    }

    /// The table of the image.
    const CARD: [(u8, u32, u32); 4] = [
        (0x0c, 4 * MIB, 28 * MIB),
        (0x0c, 32 * MIB, 4 * MIB),
        (0xda, 36 * MIB, 49 * MIB),
        (0x83, 85 * MIB, 43 * MIB),
    ];

    #[test]
    fn the_last_partition_grows_to_the_end() {
        for (card, mebibytes) in [
            (u64::from(1024 * MIB), 1024),
            (u64::from(1024 * MIB) + 2047, 1024),
            (u64::from(129 * MIB), 129),
            // 4 TiB: as far as the table counts.
            (1 << 33, (1 << 21) - 1),
        ] {
            let before = table(&CARD);
            let grown = grow(&before, 4, card).unwrap().unwrap();
            assert_eq!((grown.from, grown.to), (43 * MIB, (mebibytes - 85) * MIB));
            let changed: Vec<_> = (0..SECTOR).filter(|n| grown.table[*n] != before[*n]).collect();
            let entry = ENTRIES + 3 * ENTRY;
            assert!(
                changed
                    .iter()
                    .all(|n| (entry + 5..entry + 8).contains(n) || (entry + 12..entry + 16).contains(n))
            );
            assert_eq!(grow(&grown.table, 4, card), Ok(None), "a second time changes nothing");
        }
        assert_eq!(grow(&table(&CARD), 4, u64::from(128 * MIB)), Ok(None));
        assert_eq!(grow(&table(&CARD), 4, u64::from(129 * MIB) - 1), Ok(None));
        assert_eq!(grow(&table(&CARD), 4, 1 << 21).unwrap().unwrap().to_string(), "from 43 to 939 MiB");
    }

    #[test]
    fn what_is_not_as_expected_is_left_alone() {
        let card = u64::from(1024 * MIB);
        let refused = |entries: &[(u8, u32, u32)], number| grow(&table(entries), number, card).unwrap_err();
        assert_eq!(refused(&CARD, 0), Refusal::Number(0));
        assert_eq!(refused(&CARD, 5), Refusal::Number(5));
        assert_eq!(refused(&CARD, 3), Refusal::NotLast { number: 3, other: 4 });
        assert_eq!(refused(&CARD[..3], 4), Refusal::Unusable(4));
        let with = |number: usize, entry| {
            let mut entries = CARD;
            entries[number - 1] = entry;
            entries
        };
        assert_eq!(refused(&with(4, (0x83, 85 * MIB, 0)), 4), Refusal::Unusable(4));
        assert_eq!(refused(&with(4, (0x83, 0, MIB)), 4), Refusal::Unusable(4));
        assert_eq!(refused(&with(4, (0x0f, 85 * MIB, 43 * MIB)), 4), Refusal::Unusable(4));
        assert_eq!(refused(&with(3, (0xda, 36 * MIB, 50 * MIB)), 4), Refusal::Overlap(3, 4));
        assert_eq!(refused(&with(2, (0x0c, 5 * MIB, 1)), 4), Refusal::Overlap(1, 2));
        assert_eq!(refused(&with(1, (GPT, 1, u32::MAX)), 4), Refusal::Gpt);
        assert_eq!(refused(&with(4, (0x83, u32::MAX, u32::MAX)), 4).to_string(), {
            "partition 4 ends at 4194303 MiB, the card already at 1024 MiB: use a larger card"
        });
        let small = grow(&table(&CARD), 4, u64::from(100 * MIB));
        assert_eq!(small, Err(Refusal::BeyondTheEnd { number: 4, end: 128, card: 100 }));
        for garbage in [[0; SECTOR], [0xff; SECTOR], [0x55; SECTOR]] {
            assert_eq!(grow(&garbage, 4, card), Err(Refusal::NoTable));
        }
        let mut fat = table(&CARD);
        fat[ENTRIES] = b'N';
        assert_eq!(grow(&fat, 4, card), Err(Refusal::NoTable));
    }

    #[test]
    fn any_octets_are_judged_without_a_panic() {
        let mut choices = crate::flash::sim::Choices::new(1);
        for _ in 0..20_000 {
            let mut octets = [0; SECTOR];
            octets[ENTRIES..].iter_mut().for_each(|octet| *octet = choices.next() as u8);
            octets[510..].copy_from_slice(&SIGNATURE);
            (0..4).for_each(|n| octets[ENTRIES + n * ENTRY] &= 0x80);
            if let Ok(Some(grown)) = grow(&octets, 1 + choices.below(4), choices.next() >> 30) {
                assert!(grown.to > grown.from);
            }
        }
    }

    #[test]
    fn a_card_file_is_changed_in_its_first_sector_only() {
        let path = std::env::temp_dir().join(format!("pillarbox-mbr-{}", std::process::id()));
        std::fs::write(&path, table(&CARD)).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(200 << 20).unwrap();
        assert_eq!(grow_device(&path, 4).unwrap().unwrap().to, 115 * MIB);
        assert_eq!(grow_device(&path, 4).unwrap(), None);
        file.set_len(100 << 20).unwrap();
        assert!(matches!(grow_device(&path, 4), Err(Error::Refused(Refusal::BeyondTheEnd { .. }))));
        file.set_len(100).unwrap();
        assert!(matches!(grow_device(&path, 4), Err(Error::Io(_))));
        std::fs::remove_file(path).unwrap();
    }
}
