//! What is remembered of the file that was imported last: enough to know it again, whole or with some of
//! its secrets made unreadable. It holds no secret.

use std::io;
use std::ops::Range;

use data_encoding::HEXLOWER;

use super::sha256;
use crate::config::encoding::Encoding;
use crate::flash::{self, Flash, Mode};

/// Its name in the data folder.
pub const NAME: &str = "first-configuration";
const TITLE: &str = "pillarbox first configuration 1";
/// Octets, at most: of more secrets than settings fit nobody is told where they are.
const MAX: u64 = 4 << 20;

/// The note.
#[derive(Debug, PartialEq, Eq)]
pub struct Note {
    /// How the file was saved.
    pub encoding: Encoding,
    /// Where its secrets stand, in octets of the file, ascending.
    pub places: Vec<Range<usize>>,
    /// Until the stars are durable. Then other octets in these places are the owner's, who has written new ones.
    pub pending: bool,
    /// SHA-256 of the file with stars in their place.
    blanked: [u8; 32],
}

impl Note {
    /// About this file, which has no stars yet.
    pub fn new(octets: &[u8], encoding: Encoding, places: Vec<Range<usize>>) -> Note {
        let mut note = Note { encoding, places, pending: true, blanked: [0; 32] };
        note.blanked = note.after(octets);
        note
    }

    /// Whether these octets are the file with stars.
    pub fn is_of(&self, octets: &[u8]) -> bool {
        sha256(octets) == self.blanked
    }

    /// Whether they are the file with some of the stars: the power went while they were written.
    pub fn is_torn(&self, octets: &[u8]) -> bool {
        self.pending && self.after(octets) == self.blanked
    }

    fn after(&self, octets: &[u8]) -> [u8; 32] {
        let mut blanked = octets.to_vec();
        self.encoding.blank(&mut blanked, &self.places);
        sha256(&blanked)
    }

    /// The note in the data folder. One that cannot be understood is none: then the file is imported again.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(flash: &dyn Flash) -> io::Result<Option<Note>> {
        let file = match flash.open(NAME, Mode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut octets = vec![0; usize::try_from(file.len()?.min(MAX)).unwrap_or_default()];
        file.read_exact_at(0, &mut octets)?;
        Ok(Note::parse(&String::from_utf8_lossy(&octets)))
    }

    /// Writes it; durable on return, and until then the one before it is there.
    ///
    /// # Errors
    /// What the system says.
    pub async fn write(&self, flash: &dyn Flash) -> io::Result<()> {
        flash::replace(flash, NAME, self.text().as_bytes()).await
    }

    fn text(&self) -> String {
        let encoding = match self.encoding {
            Encoding::Utf8 => "utf-8",
            Encoding::Utf16Le => "utf-16le",
            Encoding::Utf16Be => "utf-16be",
        };
        let places: String =
            self.places.iter().map(|place| format!("secret {} {}\n", place.start, place.end)).collect();
        let state = if self.pending { "pending" } else { "done" };
        format!("{TITLE}\n{state}\nencoding {encoding}\nsha256 {}\n{places}", HEXLOWER.encode(&self.blanked))
    }

    fn parse(text: &str) -> Option<Note> {
        let mut lines = text.lines();
        if lines.next()? != TITLE {
            return None;
        }
        let pending = match lines.next()? {
            "pending" => true,
            "done" => false,
            _ => return None,
        };
        let encoding = match lines.next()?.strip_prefix("encoding ")? {
            "utf-8" => Encoding::Utf8,
            "utf-16le" => Encoding::Utf16Le,
            "utf-16be" => Encoding::Utf16Be,
            _ => return None,
        };
        let blanked = HEXLOWER.decode(lines.next()?.strip_prefix("sha256 ")?.as_bytes()).ok()?;
        let place = |line: &str| {
            let (start, end) = line.strip_prefix("secret ")?.split_once(' ')?;
            Some(start.parse().ok()?..end.parse().ok()?)
        };
        let places = lines.map(place).collect::<Option<Vec<Range<usize>>>>()?;
        Some(Note { encoding, places, pending, blanked: blanked.try_into().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flash::sim::SimFlash;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        async_io::block_on(async {
            let flash = SimFlash::default();
            assert_eq!(Note::read(&flash).unwrap(), None);
            for encoding in [Encoding::Utf8, Encoding::Utf16Le, Encoding::Utf16Be] {
                let mut note = Note::new(b"a secret of a kind", encoding, vec![2..8, 16..18]);
                note.pending = encoding == Encoding::Utf8;
                note.write(&flash).await.unwrap();
                assert_eq!(Note::read(&flash.restart(0)).unwrap(), Some(note));
            }
            for text in
                ["", "x", &format!("{TITLE}\nencoding utf-8\nsha256 00\n"), &format!("{TITLE}\nencoding x")]
            {
                assert_eq!(Note::parse(text), None);
            }
        });
    }
}
