//! What files come from and go to: the part of the card that a PC can read, and a USB stick.
//!
//! Both are mounted for reading only, so that a stick can be pulled and the power can go at any time. Who writes asks the
//! script `media` for it, by a file in the run folder, and tells it the end in the same way; when the script has taken its
//! answer away, all is on the medium. Where no such script runs (off a card image), nobody is asked.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Board, card, usb};

/// The script's word that it looks at what is asked.
const SOMEBODY_LOOKS: &str = "media";
/// What the stick is, while one is mounted.
const STICK: &str = "usb";
/// How long the answer may take.
const ANSWER: Duration = Duration::from_secs(30);
/// How long all that was written may take to be there: a slow stick, and some MiB in memory.
const WRITTEN: Duration = Duration::from_secs(5 * 60);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// The card's partition PILLARBOX.
    Card,
    /// A USB stick.
    Stick,
}

impl Medium {
    /// The one that `path` is on: what is not below the stick's folder is the card's.
    pub fn of(path: &Path) -> Medium {
        if path.starts_with(usb()) { Medium::Stick } else { Medium::Card }
    }

    /// Where it is mounted.
    pub fn folder(self) -> PathBuf {
        match self {
            Medium::Card => card(),
            Medium::Stick => usb(),
        }
    }

    /// Its name in words.
    pub fn name(self) -> &'static str {
        match self {
            Medium::Card => "card",
            Medium::Stick => "USB stick",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Medium::Card => "card",
            Medium::Stick => "usb",
        }
    }
}

/// The right to write to a medium; it ends with the value. Whoever wants to know that all is there calls [`Writable::end`].
#[derive(Debug)]
pub struct Writable<'b> {
    board: &'b Board,
    medium: Medium,
}

impl Drop for Writable<'_> {
    fn drop(&mut self) {
        // Where it cannot be removed there is none.
        let _ = fs::remove_file(self.board.question(self.medium));
    }
}

impl Writable<'_> {
    /// Waits until everything is on the medium, which is for reading only then.
    ///
    /// # Errors
    /// It takes too long, in words.
    pub async fn end(self) -> Result<(), String> {
        let (board, medium) = (self.board, self.medium);
        drop(self);
        let looked_for = || (!board.has(&format!("{}-writable", medium.file()))).then_some(());
        looked(WRITTEN, looked_for).await.ok_or_else(|| {
            format!(
                "the {} has not taken everything yet: leave it where it is, and see `show log`",
                medium.name()
            )
        })
    }
}

impl Board {
    /// Whether there is something to read from and to write to.
    ///
    /// # Errors
    /// There is not, in words.
    pub fn reaches(&self, medium: Medium) -> Result<(), String> {
        let is_there = match medium {
            Medium::Stick if self.has(SOMEBODY_LOOKS) => self.has(STICK),
            _ => medium.folder().is_dir(),
        };
        match medium {
            _ if is_there => Ok(()),
            Medium::Card => Err("the card is not mounted".to_owned()),
            Medium::Stick => Err("no USB stick is plugged in, or none that can be read: wait a few seconds after plugging it in, \
                                  and see `show status`"
                .to_owned()),
        }
    }

    /// What the USB stick is, such as `vfat, 7680 MiB`, while one is there.
    pub fn stick(&self) -> Option<String> {
        self.text(STICK)
    }

    /// Has the medium made writable.
    ///
    /// # Errors
    /// It is not there, or takes no changes, in words.
    pub async fn writable(&self, medium: Medium) -> Result<Writable<'_>, String> {
        self.reaches(medium)?;
        if !self.has(SOMEBODY_LOOKS) {
            return Ok(Writable { board: self, medium });
        }
        let answer = |name: &str| format!("{}-{name}", medium.file());
        // What was broken off before may be on its way to the medium still.
        if looked(WRITTEN, || (!self.has(&answer("writable"))).then_some(())).await.is_none() {
            return Err(format!(
                "the {} has not taken what was written before: see `show log`",
                medium.name()
            ));
        }
        let question = self.question(medium);
        fs::write(&question, "").map_err(|error| format!("{}: {error}", question.display()))?;
        let writable = Writable { board: self, medium };
        let looked_for = || match self.has(&answer("writable")) {
            true => Some(Ok(())),
            false => {
                self.has(&answer("refused")).then(|| Err(self.text(&answer("refused")).unwrap_or_default()))
            }
        };
        match looked(ANSWER, looked_for).await {
            Some(Ok(())) => Ok(writable),
            Some(Err(why)) => Err(format!("the {} takes no changes: {why}", medium.name())),
            None => Err(format!("the {} was not made writable in time: see `show log`", medium.name())),
        }
    }

    fn question(&self, medium: Medium) -> PathBuf {
        self.file(&format!("write-{}", medium.file()))
    }
}

/// Looks until there is something, for so long.
async fn looked<T>(time: Duration, look: impl Fn() -> Option<T>) -> Option<T> {
    let found = async {
        loop {
            if let Some(found) = look() {
                return Some(found);
            }
            async_io::Timer::after(LOOK).await;
        }
    };
    let late = async {
        async_io::Timer::after(time).await;
        None
    };
    smol::future::or(found, late).await
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    struct Run(Board);

    impl Run {
        fn new(test: &str) -> Run {
            let run = std::env::temp_dir().join(format!("pillarbox-media-{test}-{}", std::process::id()));
            fs::create_dir_all(&run).unwrap();
            fs::write(run.join("media"), "").unwrap();
            Run(Board::new(run))
        }
    }

    impl Drop for Run {
        fn drop(&mut self) {
            fs::remove_dir_all(self.0.folder()).unwrap();
        }
    }

    /// Waits for `name` to be there or not, as the script does.
    fn wait(board: &Board, name: &str, is: bool) {
        while board.has(name) != is {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Catches: a file that is said to be written while it is in memory only, a medium that stays writable, and one that is
    /// written to before it is.
    #[test]
    fn all_is_on_the_stick_when_the_end_was_told() {
        let run = Run::new("written");
        let board = &run.0;
        fs::write(board.file("usb"), "vfat, 64 MiB\n").unwrap();
        assert_eq!(board.stick().as_deref(), Some("vfat, 64 MiB"));
        thread::scope(|scope| {
            scope.spawn(|| {
                wait(board, "write-usb", true);
                fs::write(board.file("usb-writable"), "").unwrap();
                wait(board, "write-usb", false);
                thread::sleep(Duration::from_millis(300));
                fs::write(board.file("synced"), "").unwrap();
                fs::remove_file(board.file("usb-writable")).unwrap();
            });
            async_io::block_on(async {
                let writable = board.writable(Medium::Stick).await.unwrap();
                assert!(board.has("usb-writable") && board.has("write-usb"));
                writable.end().await.unwrap();
                assert!(board.has("synced") && !board.has("usb-writable"));
            });
        });
    }

    /// Catches: a wait without end, a question that stays, and writing to the folder under a stick that is not there, which is
    /// in memory.
    #[test]
    fn what_cannot_be_written_to_is_told() {
        let run = Run::new("refused");
        let board = &run.0;
        let why = async_io::block_on(board.writable(Medium::Stick)).unwrap_err();
        assert!(why.starts_with("no USB stick is plugged in"), "{why}");
        assert!(!board.has("write-usb"));
        fs::write(board.file("usb"), "vfat, 64 MiB\n").unwrap();
        fs::write(board.file("usb-refused"), "it is write-protected\n").unwrap();
        let why = async_io::block_on(board.writable(Medium::Stick)).unwrap_err();
        assert_eq!(why, "the USB stick takes no changes: it is write-protected");
        assert!(!board.has("write-usb"), "the question goes with the one who asks");
        // Broken off: the same.
        fs::remove_file(board.file("usb-refused")).unwrap();
        let given_up = async { drop(board.writable(Medium::Stick).await) };
        let soon = async {
            async_io::Timer::after(Duration::from_millis(50)).await;
        };
        async_io::block_on(smol::future::or(given_up, soon));
        assert!(!board.has("write-usb"));
    }

    #[test]
    fn the_stick_is_known_by_its_folder() {
        for (path, medium) in [
            ("/usb/mail", Medium::Stick),
            ("/usb", Medium::Stick),
            ("/card/mail", Medium::Card),
            ("/usbx", Medium::Card),
        ] {
            assert_eq!(Medium::of(Path::new(path)), medium, "{path}");
        }
    }
}
