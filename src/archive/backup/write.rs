//! Writes a backup.

use std::fmt;
use std::io;

use ring::digest::{Context, SHA256};

use super::tar::{BLOCK, header};
use super::{ACCOUNTS, CONFIG, FIRST, LARGEST_SETTING, LAST, LOGIN_KEY, PIECE, QUEUE, TLS, VERSION};
use crate::clock::unix_now;
use crate::config::file;
use crate::failure::Failure;
use crate::flash::{File, Flash, Mode};
use crate::message::date::rfc5322;
use crate::pace::Pace;
use crate::store::Store;

/// Octets that count as lost together when a file cannot be read.
const LEAST: usize = 4096;

/// The destination of the stream.
pub trait Sink {
    /// Takes the next octets.
    fn put(&mut self, octets: &[u8]) -> impl Future<Output = io::Result<()>>;
    /// Takes a line about something that could not be read.
    fn tell(&mut self, line: String) -> impl Future<Output = io::Result<()>>;
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Made {
    /// The number of accounts, unclaimed ones included.
    pub accounts: u64,
    /// The number of files.
    pub files: u64,
    /// Octets of the stream.
    pub octets: u64,
    /// The number of lines about what could not be read.
    pub problems: u64,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Made { accounts, files, octets, problems } = self;
        write!(f, "accounts: {accounts}, files: {files}, octets: {octets}")?;
        f.write_str(if *problems == 0 { "" } else { ", but not everything could be read" })
    }
}

/// Writes a backup of the data folder of `store` to `sink`. Octets that cannot be read are reported, and are zeros in
/// the backup: the last backup of a dying card is worth having all the same.
///
/// # Errors
/// The sink takes no more, or the flash failed in a way after which no account can be relied on.
pub async fn write<S: Sink>(store: &Store, sink: &mut S) -> Result<Made, Failure> {
    let time = unix_now();
    let mut stream = Stream::new(sink, time);
    let about = format!(
        "Pillarbox backup {VERSION}\nmade {} by pillarbox {}\n`pillarbox restore` puts it back.\n",
        rfc5322(time),
        env!("CARGO_PKG_VERSION")
    );
    stream.small(FIRST, about.as_bytes()).await?;
    stream.made.files = 0;
    settings(store.flash(), &mut stream).await?;
    let mut folders = store.folders().map_err(|error| Failure::System(error.to_string()))?;
    // A message that the queue delivers meanwhile is to be in both, not in neither.
    folders.sort_by_key(|dir| dir != QUEUE);
    stream.folder(ACCOUNTS).await?;
    for dir in folders {
        mail(store, &dir, &mut stream).await?;
        stream.made.accounts += u64::from(dir != QUEUE);
        // An account that was used since the last call stays open: for the one just read it takes two calls.
        store.close_unused();
        store.close_unused();
    }
    stream.end().await
}

async fn settings<S: Sink>(flash: &dyn Flash, stream: &mut Stream<'_, S>) -> Result<(), Failure> {
    match file::peek_encoded(flash) {
        Some(octets) => stream.small(CONFIG, &octets).await?,
        None if flash.open(CONFIG, Mode::Read).is_ok() => {
            stream.problem(format!("{CONFIG}: cannot be read; the settings are not in the backup")).await?;
        }
        None => {}
    }
    let mut names = vec![LOGIN_KEY.to_owned()];
    let mut of_tls = flash.list(TLS).map_err(Failure::system(TLS))?;
    of_tls.sort_unstable();
    names.extend(
        of_tls.into_iter().filter(|name| !name.ends_with(".new")).map(|name| format!("{TLS}/{name}")),
    );
    for name in names {
        let read = || -> io::Result<Vec<u8>> {
            let file = flash.open(&name, Mode::Read)?;
            let mut octets = vec![0; usize::try_from(file.len()?.min(LARGEST_SETTING)).unwrap_or_default()];
            file.read_exact_at(0, &mut octets)?;
            Ok(octets)
        };
        match read() {
            Ok(octets) => stream.small(&name, &octets).await?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => stream.problem(format!("{name}: not in the backup: {error}")).await?,
        }
    }
    Ok(())
}

async fn mail<S: Sink>(store: &Store, dir: &str, stream: &mut Stream<'_, S>) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::System(format!("{dir}: {error}; nothing is lost: back up again"))
    };
    let mut snapshot = store.snapshot(dir).await.map_err(|error| failed(&error))?;
    if !snapshot.is_readable() {
        stream.problem(format!("{dir}: cannot be opened; its files are backed up as they are")).await?;
    }
    stream.folder(dir).await?;
    while let Some(piece) = snapshot.next_file().map_err(|error| failed(&error))? {
        stream.copy(&piece.path, &*piece.file, piece.octets).await?;
    }
    Ok(())
}

/// The stream while it is written.
struct Stream<'a, S> {
    sink: &'a mut S,
    time: i64,
    hash: Context,
    /// Octets that wait to be written.
    piece: Vec<u8>,
    pace: Pace,
    made: Made,
}

impl<S: Sink> Stream<'_, S> {
    fn new(sink: &mut S, time: i64) -> Stream<'_, S> {
        let (hash, made) = (Context::new(&SHA256), Made::default());
        Stream { sink, time, hash, piece: Vec::with_capacity(PIECE), pace: Pace::new(), made }
    }

    async fn folder(&mut self, path: &str) -> Result<(), Failure> {
        let header = header(&format!("{path}/"), None, self.time).map_err(Failure::system(path))?;
        self.put(&header).await
    }

    async fn small(&mut self, path: &str, octets: &[u8]) -> Result<(), Failure> {
        self.begin(path, octets.len() as u64).await?;
        self.put(octets).await?;
        self.fill_up().await
    }

    async fn begin(&mut self, path: &str, octets: u64) -> Result<(), Failure> {
        self.made.files += 1;
        let header = header(path, Some(octets), self.time).map_err(Failure::system(path))?;
        self.put(&header).await
    }

    async fn copy(&mut self, path: &str, file: &dyn File, octets: u64) -> Result<(), Failure> {
        self.begin(path, octets).await?;
        let mut buffer = vec![0; usize::try_from(octets).map_or(PIECE, |octets| octets.min(PIECE))];
        let (mut at, mut lost) = (0, 0);
        let mut why = None;
        while at < octets {
            let wanted = usize::try_from(octets - at).map_or(PIECE, |left| left.min(PIECE));
            let piece = &mut buffer[..wanted];
            if file.read_exact_at(at, piece).is_err() {
                for (part, from) in piece.chunks_mut(LEAST).zip((at..).step_by(LEAST)) {
                    if let Err(error) = file.read_exact_at(from, part) {
                        part.fill(0);
                        lost += part.len() as u64;
                        why.get_or_insert(error);
                    }
                }
            }
            self.put(&buffer[..wanted]).await?;
            at += wanted as u64;
        }
        self.fill_up().await?;
        match why {
            Some(why) => {
                self.problem(format!("{path}: {lost} octets cannot be read, zeros stand for them: {why}"))
                    .await
            }
            None => Ok(()),
        }
    }

    /// Writes the last member and the end of the stream.
    async fn end(mut self) -> Result<Made, Failure> {
        self.flush().await?;
        let digest = data_encoding::HEXLOWER.encode(self.hash.clone().finish().as_ref());
        let Made { octets, files, .. } = self.made;
        let last =
            format!("Pillarbox backup end {VERSION}\noctets {octets}\nfiles {files}\nsha256 {digest}\n");
        self.small(LAST, last.as_bytes()).await?;
        self.put(&[0; 2 * BLOCK]).await?;
        self.flush().await?;
        // The last member does not count as a file.
        self.made.files = files;
        Ok(self.made)
    }

    async fn problem(&mut self, line: String) -> Result<(), Failure> {
        self.made.problems += 1;
        self.sink.tell(line).await.map_err(refused)
    }

    /// Pads the stream to a whole block.
    async fn fill_up(&mut self) -> Result<(), Failure> {
        let over = usize::try_from((self.made.octets + self.piece.len() as u64) % BLOCK as u64).unwrap_or(0);
        match over {
            0 => Ok(()),
            over => self.put(&[0; BLOCK][over..]).await,
        }
    }

    async fn put(&mut self, mut octets: &[u8]) -> Result<(), Failure> {
        while !octets.is_empty() {
            let (now, then) = octets.split_at(octets.len().min(PIECE - self.piece.len()));
            self.piece.extend_from_slice(now);
            octets = then;
            if self.piece.len() == PIECE {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        self.hash.update(&self.piece);
        self.made.octets += self.piece.len() as u64;
        self.sink.put(&self.piece).await.map_err(refused)?;
        self.pace.did(self.piece.len() as u64).await;
        self.piece.clear();
        Ok(())
    }
}

fn refused(error: io::Error) -> Failure {
    Failure::System(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flash::{ReadAt, Sync};

    /// A file in which some octets can never be read.
    struct Bad {
        octets: Vec<u8>,
        bad: std::ops::Range<u64>,
    }

    impl ReadAt for Bad {
        fn len(&self) -> io::Result<u64> {
            Ok(self.octets.len() as u64)
        }
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
            match offset < self.bad.end && offset + buf.len() as u64 > self.bad.start {
                true => Err(io::Error::other("gone")),
                false => self.octets[..].read_at(offset, buf),
            }
        }
    }

    impl File for Bad {
        fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
            unreachable!()
        }
        fn truncate(&self, _: u64) -> io::Result<()> {
            unreachable!()
        }
        fn sync(&self) -> Sync {
            unreachable!()
        }
    }

    #[derive(Default)]
    struct Gathered(Vec<u8>, Vec<String>);

    impl Sink for Gathered {
        async fn put(&mut self, octets: &[u8]) -> io::Result<()> {
            self.0.extend_from_slice(octets);
            Ok(())
        }
        async fn tell(&mut self, line: String) -> io::Result<()> {
            self.1.push(line);
            Ok(())
        }
    }

    /// Catches: a file that ends the backup because a part of it is unreadable, a file that loses its other octets,
    /// and octets from another place instead of the unreadable ones.
    #[test]
    fn what_is_gone_of_a_file_is_zeros() {
        smol::block_on(async {
            let bad = Bad { octets: (0..200_000_u32).map(|n| n as u8 | 1).collect(), bad: 70_000..70_010 };
            let mut sink = Gathered::default();
            let mut stream = Stream::new(&mut sink, 0);
            stream.copy("queue/log/00000001", &bad, 200_000).await.unwrap();
            assert_eq!(stream.made.problems, 1);
            stream.flush().await.unwrap();
            let lost = PIECE + LEAST..PIECE + 2 * LEAST;
            for (at, (found, was)) in sink.0[BLOCK..].iter().zip(&bad.octets).enumerate() {
                assert_eq!(*found, if lost.contains(&at) { 0 } else { *was }, "octet {at}");
            }
            assert!(sink.1[0].starts_with("queue/log/00000001: 4096 octets cannot be read"), "{:?}", sink.1);
            assert!(sink.0.len().is_multiple_of(BLOCK));
        });
    }
}
