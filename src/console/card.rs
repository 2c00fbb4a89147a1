//! Files of the card, the part of it that a PC can read, and of a USB stick, on a device that boots from a card image.
//!
//! A name is taken for one below them, whoever types it, and leads nowhere else.

use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use crate::archive::{self, backup::Sink};
use crate::board;
use crate::board::media::Medium;
use crate::clock::unix_now;
use crate::config::encoding::Encoding;
use crate::config::text;
use crate::failure::Failure;
use crate::flash::disk::Disk;
use crate::flash::{self, Flash, Mode};
use crate::message::date::stamp;
use crate::operator::Operator;
use crate::operator::status::size;

/// Octets that are written before they are synced: all of a large file would hold up everybody on the card.
const UNSYNCED: u64 = 4 << 20;

/// The path that is meant by what was typed: `mail`, `/mail` and `/card/mail` are the same; `/usb/mail` is on the stick.
pub(super) fn path(typed: &str) -> Option<PathBuf> {
    let typed = Path::new(typed.trim());
    let (medium, inner) = match typed.strip_prefix(board::usb()) {
        Ok(inner) => (Medium::Stick, inner),
        Err(_) => {
            let inner = typed.strip_prefix(board::card()).or_else(|_| typed.strip_prefix("/"));
            (Medium::Card, inner.unwrap_or(typed))
        }
    };
    let leads_down = inner.components().all(|part| matches!(part, Component::Normal(_)));
    let some = inner.components().next().is_some();
    (leads_down && some && !typed.to_string_lossy().contains('\0')).then(|| medium.folder().join(inner))
}

/// The medium that was typed as such: `/usb` or `/card`.
pub(super) fn medium(typed: &str) -> Option<Medium> {
    let typed = Path::new(typed.trim());
    [Medium::Card, Medium::Stick].into_iter().find(|medium| medium.folder() == typed)
}

/// Reads a whole file of at most so many octets, and one more of a longer one.
fn read(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let mut octets = Vec::new();
    let file = std::fs::File::open(path).map_err(Failure::at(path))?;
    match file.metadata().map_err(Failure::at(path))?.is_file() {
        true => file.take(most + 1).read_to_end(&mut octets).map_err(Failure::at(path))?,
        // A pipe would have everyone wait.
        false => return Err(Failure::Input(format!("{}: no file", path.display()))),
    };
    Ok(octets)
}

/// A configuration file, in whatever encoding.
pub(super) fn settings(path: &Path) -> Result<String, Failure> {
    // A little more than fits, in the longest encoding.
    let octets = read(path, 2 * text::MAX_TEXT as u64 + 4)?;
    Ok(String::from_utf8_lossy(&Encoding::of(&octets).decoded(&octets)).into_owned())
}

/// Makes a backup on the medium, under a name with the time. `far` is told how far it is, `hear` what was left out.
pub(super) async fn backup(
    operator: &Operator,
    medium: Medium,
    far: &dyn Fn(String),
    hear: &dyn Fn(String),
) -> Result<String, Failure> {
    let name = format!("pillarbox-{}.tar", stamp(unix_now()));
    let at = medium.folder().join(&name);
    let heard = |octets| far(format!("{name}: {}", size(octets)));
    let mut draft = Draft::begin(medium, &name, &heard, hear).map_err(Failure::at(&at))?;
    log::info!("backup: to {}", at.display());
    let made = archive::backup::write(&operator.context.store, &mut draft)
        .await
        .map_err(|failure| Failure::System(format!("{}: {}", at.display(), failure.words())))?;
    draft.keep().await.map_err(Failure::at(&at))?;
    log::info!("backup: {}: {}", at.display(), made);
    let line = format!(
        "{}: {}; whoever has the {} can read all of it: put it in a safe place",
        at.display(),
        made,
        medium.name()
    );
    match made.problems {
        0 => Ok(line),
        _ => Err(Failure::Input(line)),
    }
}

/// A file of a medium while it is written: it has its name when it is whole, and goes away unless it gets there.
struct Draft<'a> {
    card: Disk,
    file: Rc<dyn flash::File>,
    name: String,
    octets: u64,
    synced: u64,
    kept: bool,
    heard: &'a dyn Fn(u64),
    tell: &'a dyn Fn(String),
}

impl<'a> Draft<'a> {
    fn begin(
        medium: Medium,
        name: &str,
        heard: &'a dyn Fn(u64),
        tell: &'a dyn Fn(String),
    ) -> io::Result<Draft<'a>> {
        let card = Disk::new(medium.folder())?;
        let file = card.open(&part(name), Mode::Create)?;
        Ok(Draft { card, file, name: name.to_owned(), octets: 0, synced: 0, kept: false, heard, tell })
    }

    /// Gives it its name, durable.
    async fn keep(mut self) -> io::Result<()> {
        self.file.sync().await?;
        self.card.rename(&part(&self.name), &self.name)?;
        self.kept = true;
        self.card.sync_dir("").await
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.kept {
            let _ = self.card.remove(&part(&self.name));
        }
    }
}

fn part(name: &str) -> String {
    format!("{name}.part")
}

impl Sink for Draft<'_> {
    async fn put(&mut self, octets: &[u8]) -> io::Result<()> {
        self.file.write_at(self.octets, octets)?;
        self.octets += octets.len() as u64;
        if self.octets - self.synced >= UNSYNCED {
            self.file.sync().await?;
            self.synced = self.octets;
        }
        (self.heard)(self.octets);
        Ok(())
    }
    async fn tell(&mut self, line: String) -> io::Result<()> {
        (self.tell)(line);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a name that leads out of the card or the stick, and one of the stick that is looked for on the card.
    #[test]
    fn names_lead_nowhere_else() {
        let at = |inner: &str| Some(board::card().join(inner));
        let on_stick = |inner: &str| Some(board::usb().join(inner));
        for (typed, wanted) in [
            ("mail", at("mail")),
            (" mail/office ", at("mail/office")),
            ("/card/mail", at("mail")),
            ("/mail", at("mail")),
            ("a b.toml", at("a b.toml")),
            ("", None),
            ("/", None),
            ("/card", None),
            ("..", None),
            ("../etc", None),
            ("a/../../b", None),
            ("/card/../etc/passwd", None),
            ("a\0b", None),
            ("/usb/mail", on_stick("mail")),
            (" /usb//mail/office/ ", on_stick("mail/office")),
            ("usb/mail", at("usb/mail")),
            ("/usbmail", at("usbmail")),
            ("/card/usb", at("usb")),
            ("/usb", None),
            ("/usb/", None),
            ("/usb/../card/mail", None),
            ("/usb/a\0b", None),
        ] {
            assert_eq!(path(typed), wanted, "{typed:?}");
        }
        for (typed, wanted) in [
            ("/usb", Some(Medium::Stick)),
            (" /usb/ ", Some(Medium::Stick)),
            ("/card", Some(Medium::Card)),
            ("/usb/x", None),
            ("", None),
        ] {
            assert_eq!(medium(typed), wanted, "{typed:?}");
        }
    }
}
