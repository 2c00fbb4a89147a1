//! `backup`: settings and mail as one file, by the running appliance, or here when none runs.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use async_signal::{Signal, Signals};
use pillarbox::archive::Watch;
use pillarbox::archive::backup::{self, Made, Sink};
use pillarbox::console::backup::receive;
use pillarbox::console::client::Error;
use pillarbox::failure::Failure;
use pillarbox::say;
use pillarbox::store::Store;
use smol::stream::StreamExt;

use super::configuration::{existing, held};
use super::print;
use super::progress::Shown;

/// Standard output or input.
pub(super) const STANDARD: &str = "-";

/// Writes a backup of `data` to `dest`.
pub fn run(data: &Path, dest: &Path) -> Result<(), Failure> {
    existing(data)?;
    let shown = Shown::of_octets();
    if dest.as_os_str() == STANDARD {
        if io::stdout().is_terminal() {
            let words = "backup: standard output is a terminal: name a file, or send it through a pipe";
            return Err(Failure::Usage(words.to_owned()));
        }
        let mut out = Out { writer: io::stdout(), name: "standard output", octets: 0, shown: &shown };
        let made = async_io::block_on(make(data, &mut out));
        shown.end();
        let made = made?;
        say::err(format_args!("pillarbox: {}", made));
        return verdict(&made, out.name);
    }
    let draft = Draft::begin(dest)?;
    let name = dest.display().to_string();
    let mut out = Out { writer: &draft.file, name: &name, octets: 0, shown: &shown };
    let made = async_io::block_on(smol::future::or(make(data, &mut out), given_up(&name)));
    shown.end();
    let made = made?;
    draft.keep()?;
    print(&format!("{name}: {}\n", made))?;
    verdict(&made, &name)
}

/// A backup that misses something is one, but whoever makes it each night is to hear of it.
fn verdict(made: &Made, name: &str) -> Result<(), Failure> {
    match made.problems {
        0 => Ok(()),
        _ => Err(Failure::Input(format!(
            "{name}: not everything could be read, see above; `pillarbox fsck` tells what is damaged"
        ))),
    }
}

/// Ends when the user wants no more of it.
async fn given_up(name: &str) -> Result<Made, Failure> {
    interrupted().await;
    Err(Failure::System(format!("{name}: given up, and not written")))
}

/// Ctrl-C, or what else asks a process to end.
pub(super) async fn interrupted() {
    match Signals::new([Signal::Int, Signal::Term, Signal::Hup]) {
        Ok(mut signals) => drop(signals.next().await),
        // They end the process as they always do.
        Err(_) => std::future::pending().await,
    }
}

async fn make(data: &Path, out: &mut impl Sink) -> Result<Made, Failure> {
    match receive(data, out).await {
        Ok(outcome) => outcome,
        Err(Error::NotRunning(_)) => {
            let folder = held(data)?;
            let store = Store::new(folder.flash().clone());
            let made = backup::write(&store, out).await;
            store.mark_end();
            made
        }
        Err(error) => Err(Failure::System(error.to_string())),
    }
}

/// Where it goes, with the one who looks on.
struct Out<'a, W> {
    writer: W,
    name: &'a str,
    octets: u64,
    shown: &'a Shown,
}

impl<W: Write> Sink for Out<'_, W> {
    async fn put(&mut self, octets: &[u8]) -> io::Result<()> {
        self.writer.write_all(octets).map_err(|error| {
            if error.kind() == io::ErrorKind::FileTooLarge {
                let words = "the file system there takes no file so large (FAT: 4 GiB): choose another one";
                return io::Error::other(format!("{}: {words}", self.name));
            }
            io::Error::other(Failure::at(Path::new(self.name))(error).words())
        })?;
        self.octets += octets.len() as u64;
        self.shown.octets(self.octets, 0);
        // Who wants no more of it is heard between two pieces.
        smol::future::yield_now().await;
        Ok(())
    }

    async fn tell(&mut self, line: String) -> io::Result<()> {
        self.shown.tell(line);
        Ok(())
    }
}

/// The file as it is written, under another name; it goes away unless it is kept.
struct Draft {
    file: File,
    path: PathBuf,
    dest: PathBuf,
    kept: bool,
}

impl Draft {
    fn begin(dest: &Path) -> Result<Draft, Failure> {
        let name = match dest.file_name() {
            Some(name) if !dest.is_dir() => name.to_string_lossy().into_owned(),
            _ => {
                let words = format!("{}: a folder: name the file that the backup goes to", dest.display());
                return Err(Failure::Input(words));
            }
        };
        let path = dest.with_file_name(format!(".{name}.{}.part", std::process::id()));
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|error| Failure::at(dest)(error))?;
        Ok(Draft { file, path, dest: dest.to_owned(), kept: false })
    }

    /// Puts it in the place of `dest`, durable.
    fn keep(mut self) -> Result<(), Failure> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let kept = self.file.sync_all().and_then(|()| fs::rename(&self.path, &self.dest));
        kept.and_then(|()| File::open(folder)?.sync_all()).map_err(Failure::at(&self.dest))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}
