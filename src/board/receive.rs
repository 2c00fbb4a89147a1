//! Takes an update into the data folder, for whoever brings it, and verifies it on the way.
//!
//! It becomes [`UPDATE`] only when it is whole, verified and synced; before that it has another name, and goes away
//! whatever happens. Memory is bounded, whatever its size, and nobody else waits for it.

use std::cell::Cell;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::rc::Rc;

use rustix::fs::OFlags;

use super::UPDATE;
use super::device::Device;
use super::update::{HEAD, Head, LARGEST, Refusal, Update};
use crate::flash::{File, Flash, Mode};

/// The name until it is verified.
const PART: &str = "update.part";
/// Octets taken at once.
const PIECE: usize = 16 << 10;
/// Octets after which they are synced: so much more may wait in memory for the card, and no write has to wait until the
/// kernel has made room.
const SYNC: u64 = 1 << 20;

/// Why there is no update now. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// It is not for this board, or not right.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It would take what is kept back for deleting and settings.
    #[error(
        "there is no room for the update: {needed} MiB are needed and {free} MiB are free; delete mail or use a larger card"
    )]
    NoRoom {
        /// MiB that it takes, with what has to stay free.
        needed: u64,
        /// MiB that are free.
        free: u64,
    },
    /// Another one is coming in.
    #[error("an update is coming in already: wait until it has ended")]
    Busy,
    /// The version that runs may not stay.
    #[error("the present version is still on trial: wait a few minutes until it is confirmed")]
    OnTrial,
    /// The data folder refuses.
    #[error("the update cannot be stored: {}", crate::flash::words(.0))]
    Flash(io::Error),
    /// It did not come to its end.
    #[error("the update did not come to its end: {0}")]
    Source(io::Error),
    /// There is no such file, or none that can be read.
    #[error("{path}: {}", advice(source))]
    NoFile {
        /// The path, as it was given.
        path: String,
        /// What the system says.
        source: io::Error,
    },
}

fn advice(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no such file: it is to be in the data folder, on the card, in /card, or on a USB stick, in /usb".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "only files in the data folder, in /card and in /usb can be read".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Says that an update is coming in, as long as it lives.
struct Receiving<'a>(&'a Cell<bool>);

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// The file, which is removed unless it is kept.
struct Part<'a> {
    flash: &'a dyn Flash,
    file: Rc<dyn File>,
    written: u64,
    synced: u64,
    kept: bool,
}

impl<'a> Part<'a> {
    fn create(flash: &'a dyn Flash) -> io::Result<Part<'a>> {
        Ok(Part { flash, file: flash.open(PART, Mode::Create)?, written: 0, synced: 0, kept: false })
    }

    async fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_at(self.written, piece)?;
        self.written += piece.len() as u64;
        if self.written - self.synced >= SYNC {
            self.file.sync().await?;
            self.synced = self.written;
        }
        Ok(())
    }

    async fn keep(mut self) -> io::Result<()> {
        self.file.sync().await?;
        self.flash.rename(PART, UPDATE)?;
        self.kept = true;
        self.flash.sync_dir("").await
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = self.flash.remove(PART)
        {
            log::warn!("{PART} cannot be removed: {error}");
        }
    }
}

impl Device {
    /// What a power cut left of an update is removed. To be called at the start.
    pub fn forget_parts(&self) {
        if let Err(error) = self.flash.remove(PART) {
            log::warn!("{PART} cannot be removed: {error}");
        }
        if self.flash.open(UPDATE, Mode::Read).is_ok() {
            log::warn!(
                "an update was not applied and lies in the data folder: `update {UPDATE}` tries it again"
            );
        }
    }

    /// Takes an update of `len` octets; `next` gives what follows, as [`std::io::Read`] does. When it is there, the
    /// daemon has to end with [`super::device::Ending::Update`].
    ///
    /// # Errors
    /// [`ReceiveError`].
    pub async fn receive(
        &self,
        len: u64,
        next: impl AsyncFnMut(&mut [u8]) -> io::Result<usize>,
    ) -> Result<Update, ReceiveError> {
        let _receiving = self.begin()?;
        if len > LARGEST {
            return Err(Refusal::TooLarge.into());
        }
        // An older one that was never applied makes room.
        self.flash.remove(UPDATE).map_err(ReceiveError::Flash)?;
        let space = self.flash.space().map_err(ReceiveError::Flash)?;
        if !space.has_room_for(len) {
            let needed = (space.reserve() + len).div_ceil(1 << 20);
            return Err(ReceiveError::NoRoom { needed, free: space.free >> 20 });
        }
        let mut part = Part::create(&*self.flash).map_err(ReceiveError::Flash)?;
        let update = self.take(len, next, Some(&mut part)).await?;
        part.keep().await.map_err(ReceiveError::Flash)?;
        Ok(update)
    }

    /// Takes an update from the file `path`, which is one of the data folder where it is relative. What is there as
    /// [`UPDATE`] already is only verified.
    ///
    /// # Errors
    /// [`ReceiveError`].
    pub async fn receive_file(&self, path: &Path) -> Result<Update, ReceiveError> {
        let open = || {
            // Whatever it is, to open it must not make everyone wait.
            let flags = OFlags::NONBLOCK.bits().cast_signed();
            let file = fs::File::options().read(true).custom_flags(flags).open(self.data.join(path))?;
            let found = file.metadata()?;
            if !found.is_file() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no file"));
            }
            let waiting = fs::metadata(self.data.join(UPDATE));
            let same = waiting.is_ok_and(|it| (it.dev(), it.ino()) == (found.dev(), found.ino()));
            Ok((file, found.len(), same))
        };
        let (mut file, len, same) =
            open().map_err(|source| ReceiveError::NoFile { path: path.display().to_string(), source })?;
        if same {
            return self.verify().await;
        }
        self.receive(len, async |buffer: &mut [u8]| file.read(buffer)).await
    }

    async fn verify(&self) -> Result<Update, ReceiveError> {
        let _receiving = self.begin()?;
        let file = self.flash.open(UPDATE, Mode::Read).map_err(ReceiveError::Flash)?;
        let len = file.len().map_err(ReceiveError::Flash)?;
        let mut at = 0;
        let next = async |buffer: &mut [u8]| {
            let read = file.read_at(at, buffer)?;
            at += read as u64;
            Ok(read)
        };
        let outcome = self.take(len, next, None).await;
        if let Err(ReceiveError::Refused(_)) = outcome {
            // It never will be taken.
            self.flash.remove(UPDATE).map_err(ReceiveError::Flash)?;
        }
        outcome
    }

    fn begin(&self) -> Result<Receiving<'_>, ReceiveError> {
        if self.board.on_trial() {
            return Err(ReceiveError::OnTrial);
        }
        if self.receiving.replace(true) {
            return Err(ReceiveError::Busy);
        }
        Ok(Receiving(&self.receiving))
    }

    /// Verifies `len` octets, and writes them to `part`.
    async fn take(
        &self,
        len: u64,
        mut next: impl AsyncFnMut(&mut [u8]) -> io::Result<usize>,
        mut part: Option<&mut Part<'_>>,
    ) -> Result<Update, ReceiveError> {
        let mut octets = [0; HEAD];
        let mut filled = 0;
        while filled < HEAD {
            let piece = octets.get_mut(filled..).unwrap_or_default();
            match next(piece).await.map_err(ReceiveError::Source)? {
                0 => return Err(Refusal::NoUpdate.into()),
                read => filled += read,
            }
        }
        let head = Head::parse(&octets, &self.identity)?;
        let said = head.update().len();
        if said != len {
            return Err(Refusal::Length { said, found: len }.into());
        }
        if let Some(part) = &mut part {
            part.write(&octets).await.map_err(ReceiveError::Flash)?;
        }
        let mut body = head.body()?;
        let mut buffer = vec![0; PIECE];
        while body.left() > 0 {
            let wanted = usize::try_from(body.left()).unwrap_or(PIECE).min(PIECE);
            let read = next(&mut buffer[..wanted]).await.map_err(ReceiveError::Source)?;
            if read == 0 {
                break;
            }
            let piece = &buffer[..read];
            body.update(piece)?;
            if let Some(part) = &mut part {
                part.write(piece).await.map_err(ReceiveError::Flash)?;
            }
            smol::future::yield_now().await;
        }
        body.finish()?;
        Ok(head.update().clone())
    }
}

#[cfg(test)]
mod tests;
