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
    #[error("the update cannot be stored: {0}")]
    Flash(io::Error),
    /// It did not come to its end.
    #[error("the update did not come to its end: {0}")]
    Source(io::Error),
    /// There is no such file.
    #[error("{0}: {1}")]
    NoFile(String, io::Error),
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
            open().map_err(|error| ReceiveError::NoFile(path.display().to_string(), error))?;
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
mod tests {
    use super::*;
    use crate::board::Board;
    use crate::board::pbu::{Pbu, identity};
    use crate::flash::sim::SimFlash;

    #[test]
    fn a_file_is_taken_from_anywhere_and_copied_only_when_it_has_to_be() {
        let data = std::env::temp_dir().join(format!("pillarbox-update-{}", std::process::id()));
        fs::create_dir_all(&data).unwrap();
        let disk = Rc::new(crate::flash::disk::Disk::new(&data).unwrap());
        let mut device = Device::of(identity(), Board::new("/nowhere"), disk);
        device.data = data.clone();
        async_io::block_on(async {
            for (file, words) in [("none.pbu", "none.pbu: No such file"), ("/dev", "/dev: this is no file")] {
                let error = device.receive_file(Path::new(file)).await.unwrap_err();
                assert!(error.to_string().starts_with(words), "{error}");
            }
            fs::write(data.join("new.pbu"), Pbu::default().octets()).unwrap();
            device.receive_file(Path::new("new.pbu")).await.unwrap();
            let copy = fs::metadata(data.join(UPDATE)).unwrap().ino();
            device.receive_file(&data.join(UPDATE)).await.unwrap();
            assert_eq!(fs::metadata(data.join(UPDATE)).unwrap().ino(), copy);
            fs::write(data.join(UPDATE), "nonsense").unwrap();
            assert!(device.receive_file(Path::new(UPDATE)).await.is_err());
            assert!(!data.join(UPDATE).exists() && data.join("new.pbu").exists());
        });
        fs::remove_dir_all(data).unwrap();
    }

    fn device(flash: &SimFlash) -> Device {
        Device::of(identity(), Board::new("/nowhere"), Rc::new(flash.clone()))
    }

    /// Brings `file` in pieces of up to 5000 octets, then what `end` says.
    async fn bring(device: &Device, file: &[u8], end: Option<io::ErrorKind>) -> Result<Update, ReceiveError> {
        let mut rest = file;
        let len = file.len() as u64 + u64::from(end.is_some());
        device
            .receive(len, async |buffer: &mut [u8]| {
                let wanted = buffer.len().min(5000);
                match (io::Read::read(&mut rest, &mut buffer[..wanted])?, end) {
                    (0, Some(end)) => Err(end.into()),
                    (read, _) => Ok(read),
                }
            })
            .await
    }

    #[test]
    fn an_update_is_there_when_it_is_verified_and_stays() {
        async_io::block_on(async {
            let flash = SimFlash::default();
            let file = Pbu { image: vec![7; 3 << 20], ..Pbu::default() }.octets();
            let update = bring(&device(&flash), &file, None).await.unwrap();
            assert_eq!(update.version, "1.3.0");
            // The power goes at once.
            let flash = flash.restart(1);
            let device = device(&flash);
            device.forget_parts();
            assert_eq!(flash.list("").unwrap(), [UPDATE]);
            assert_eq!(device.verify().await.unwrap(), update);
            flash.open(UPDATE, Mode::Write).unwrap().write_at(9000, b"x").unwrap();
            let wrong = device.verify().await;
            assert!(matches!(wrong, Err(ReceiveError::Refused(Refusal::WrongSignature))));
            assert!(flash.list("").unwrap().is_empty(), "it would never be applied");
        });
    }

    #[test]
    fn of_one_that_is_not_taken_nothing_is_kept() {
        async_io::block_on(async {
            let flash = SimFlash::default();
            let device = device(&flash);
            let right = Pbu::default().octets();
            let mut wrong = right.clone();
            *wrong.last_mut().unwrap() ^= 1;
            for (file, end, words) in [
                (wrong.clone(), None, "the signature is wrong"),
                (right[..9000].to_vec(), None, "has 9000 octets and says that it has 12048"),
                ([right.clone(), vec![0; 90]].concat(), None, "has 12138 octets"),
                (right[..700].to_vec(), None, "no update of Pillarbox"),
                (vec![0; LARGEST as usize + 1], None, "larger than a slot"),
                (right[..7000].to_vec(), Some(io::ErrorKind::ConnectionReset), "says that it has 12048"),
            ] {
                let error = bring(&device, &file, end).await.unwrap_err();
                assert!(error.to_string().contains(words), "{words}: {error}");
                assert!(flash.list("").unwrap().is_empty(), "{words}");
            }
            // One that is given up in the middle, as by a session that ends.
            let mut file = &right[..];
            let never = device.receive(right.len() as u64, async |buffer: &mut [u8]| {
                if file.len() < 5000 {
                    std::future::pending::<()>().await;
                }
                let wanted = buffer.len().min(1000);
                io::Read::read(&mut file, &mut buffer[..wanted])
            });
            let busy = async {
                for _ in 0..30 {
                    smol::future::yield_now().await;
                }
                assert_eq!(flash.list("").unwrap(), [PART]);
                let second = bring(&device, &right, None).await;
                assert!(matches!(second, Err(ReceiveError::Busy)));
                second
            };
            let _ = smol::future::or(never, busy).await;
            assert!(flash.list("").unwrap().is_empty());
            bring(&device, &right, None).await.unwrap();
        });
    }

    #[test]
    fn a_connection_that_breaks_is_told_as_such() {
        async_io::block_on(async {
            let flash = SimFlash::default();
            let right = Pbu::default().octets();
            let (mut file, len) = (&right[..9000], right.len() as u64);
            let device = device(&flash);
            let outcome =
                device.receive(len, async |buffer: &mut [u8]| match io::Read::read(&mut file, buffer)? {
                    0 => Err(io::ErrorKind::ConnectionReset.into()),
                    read => Ok(read),
                });
            assert!(matches!(outcome.await, Err(ReceiveError::Source(_))));
            assert!(flash.list("").unwrap().is_empty());
        });
    }

    #[test]
    fn a_full_flash_and_a_trial_refuse_it() {
        let run = std::env::temp_dir().join(format!("pillarbox-trial-{}", std::process::id()));
        std::fs::create_dir_all(&run).unwrap();
        async_io::block_on(async {
            let flash = SimFlash::default();
            let right = Pbu::default().octets();
            flash.limit(Some(8000));
            let error = bring(&device(&flash), &right, None).await.unwrap_err();
            assert!(error.to_string().starts_with("there is no room for the update"), "{error}");
            assert!(flash.list("").unwrap().is_empty());
            flash.limit(None);
            std::fs::write(run.join("trial"), "").unwrap();
            let on_trial = Device::of(identity(), Board::new(&run), Rc::new(flash.clone()));
            assert!(matches!(bring(&on_trial, &right, None).await, Err(ReceiveError::OnTrial)));
            std::fs::remove_file(run.join("trial")).unwrap();
            bring(&on_trial, &right, None).await.unwrap();
        });
        std::fs::remove_dir_all(run).unwrap();
    }
}
