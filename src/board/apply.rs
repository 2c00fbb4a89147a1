//! Puts an update file into the slot that is not running.
//!
//! The file is read twice: once to verify it before anything is written, and once more while it is written, because what
//! lies in the data folder belongs to the daemon and may change in between. The slot is tried only when both passes found
//! the signature right and the card gives back what was written.
//!
//! Blocking, as [`super::slots`].

use std::io::{self, ErrorKind, Read, Seek};

use super::Identity;
use super::slots::{Partition, Slots, SlotsError};
use super::update::{HEAD, Head, Refusal, Update};

/// Octets read and written at once.
const PIECE: usize = 64 << 10;

/// What is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The signature is looked at.
    Verifying,
    /// The slot is written.
    Writing,
    /// The slot is read back.
    ReadingBack,
}

/// Why an update was not applied. The present version stays.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It is not for this board, or not right.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The file cannot be read.
    #[error("the update cannot be read: {0}")]
    Read(#[from] io::Error),
    /// The card does not take it.
    #[error(transparent)]
    Slots(#[from] SlotsError),
}

/// Verifies the update, writes it, and has the next start try it. `watch` hears how many octets of how many are done.
///
/// # Errors
/// [`ApplyError`]: what is booted next is what was booted before.
pub fn apply<P: Partition>(
    file: &mut (impl Read + Seek),
    identity: &Identity,
    slots: &Slots<P>,
    watch: impl Fn(Step, u64, u64),
) -> Result<Update, ApplyError> {
    pass(file, identity, |_, done, of| {
        watch(Step::Verifying, done, of);
        Ok(())
    })?;
    let mut writing = slots.begin()?;
    let update = pass(file, identity, |piece, done, of| {
        watch(Step::Writing, done, of);
        writing.write(piece)
    })?;
    watch(Step::ReadingBack, 0, update.size);
    writing.finish()?;
    Ok(update)
}

/// One pass over the file: `take` gets the image in pieces, how many octets are done with it, and of how many.
fn pass(
    file: &mut (impl Read + Seek),
    identity: &Identity,
    mut take: impl FnMut(&[u8], u64, u64) -> Result<(), SlotsError>,
) -> Result<Update, ApplyError> {
    file.rewind()?;
    let mut head = [0; HEAD];
    match file.read_exact(&mut head) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(Refusal::NoUpdate.into()),
        outcome => outcome?,
    }
    let head = Head::parse(&head, identity)?;
    let size = head.update().size;
    let mut body = head.body()?;
    let mut buffer = vec![0; PIECE];
    loop {
        let piece = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => &buffer[..read],
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        body.update(piece)?;
        take(piece, size - body.left(), size)?;
    }
    body.finish()?;
    Ok(head.update().clone())
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::io::{Cursor, SeekFrom};

    use super::*;
    use crate::board::pbu::{Pbu, identity};
    use crate::board::slots::Slot;

    /// A partition in memory that counts what is written to it.
    struct Card(RefCell<Vec<u8>>, Cell<usize>);

    impl Partition for &Card {
        fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
            buf.copy_from_slice(&self.0.borrow()[offset as usize..][..buf.len()]);
            Ok(())
        }
        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.0.borrow_mut()[offset as usize..][..data.len()].copy_from_slice(data);
            self.1.set(self.1.get() + 1);
            Ok(())
        }
        fn sync(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A file that is another one when it is read for the second time.
    struct Changing {
        files: Vec<Vec<u8>>,
        now: Cursor<Vec<u8>>,
    }

    impl Read for Changing {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.now.read(buf)
        }
    }
    impl Seek for Changing {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            self.now = Cursor::new(self.files.remove(0));
            Ok(0)
        }
    }

    #[test]
    fn what_is_verified_is_written_and_tried() {
        let card = Card(RefCell::new(vec![0; 26 << 20]), Cell::new(0));
        let slots = Slots::new(&card, Slot::A);
        let image = [&[0xd0, 0x0d, 0xfe, 0xed][..], &vec![9; 200_000]].concat();
        let file = Pbu { image: image.clone(), ..Pbu::default() }.octets();
        let steps = RefCell::new(Vec::new());
        let update = apply(&mut Cursor::new(file), &identity(), &slots, |step, done, of| {
            steps.borrow_mut().push((step, done, of));
        });
        assert_eq!(update.unwrap().version, "1.3.0");
        assert_eq!(slots.state().unwrap().to_try(), Some(Slot::B));
        assert!(card.0.borrow()[Slot::B.offset() as usize..].starts_with(&image));
        let size = image.len() as u64;
        let steps = steps.into_inner();
        assert!(
            steps.contains(&(Step::Verifying, size, size)) && steps.contains(&(Step::Writing, size, size))
        );
        assert_eq!(steps.last(), Some(&(Step::ReadingBack, 0, size)));
    }

    #[test]
    fn nothing_is_written_before_the_signature_is_verified() {
        let card = Card(RefCell::new(vec![0; 26 << 20]), Cell::new(0));
        let slots = Slots::new(&card, Slot::A);
        let good = Pbu::default().octets();
        let mut bad = good.clone();
        *bad.last_mut().unwrap() ^= 1;
        for file in [bad.clone(), good[..5000].to_vec(), good[..1000].to_vec(), Vec::new()] {
            let outcome = apply(&mut Cursor::new(file), &identity(), &slots, |_, _, _| ());
            assert!(matches!(outcome, Err(ApplyError::Refused(_))), "{outcome:?}");
        }
        assert_eq!(card.1.get(), 0);
        // It changed after it was verified: it is written, but never tried.
        let mut file = Changing { files: vec![good, bad], now: Cursor::default() };
        let outcome = apply(&mut file, &identity(), &slots, |_, _, _| ());
        assert!(matches!(outcome, Err(ApplyError::Refused(Refusal::WrongSignature))), "{outcome:?}");
        assert_eq!((card.1.get() > 0, slots.state().unwrap().to_try()), (true, None));
    }
}
