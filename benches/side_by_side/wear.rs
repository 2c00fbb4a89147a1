//! What half an hour of a household's mail writes to the flash, and what for: a store on a flash in memory that counts.
//! Always the same, for its time is counted and its choices are made of a seed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;

use pillarbox::flash::{File, Flash, Mode, ReadAt, Space, Sync};
use pillarbox::store::{Account, FlagChange, Flags, INBOX, MailboxId, Store, Uid};

use super::support::mail::Dice;
use super::table::Unit::Factor;
use super::table::row;

/// The store looks after its accounts every ten seconds.
const TICKS: usize = 180;
/// What comes and goes meanwhile.
const DELIVERED: usize = 60;
/// Messages that are there, most of them for long.
const HELD: usize = 4000;
/// As large as half a gigabyte makes a segment its largest.
const TOTAL: u64 = 640 << 20;
/// What a flash, or the kernel before it, writes at least.
const PAGE: u64 = 4096;

/// What octets are written for, in the order of the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum For {
    Mail,
    LargeMail,
    Records,
    Copies,
    Checkpoints,
}

const TABLE: &[(For, &str)] = &[
    (For::Mail, "mail in the log"),
    (For::LargeMail, "mail in files of its own"),
    (For::Records, "records: messages, flags, expunges, commits"),
    (For::Copies, "copies by compaction"),
    (For::Checkpoints, "checkpoints"),
];

/// Plays it on a flash that is 10 % full and on one that is 75 % full, and prints both.
pub fn table() {
    let runs = [Run::play(10), Run::play(75)];
    println!(
        "\n{:54} {:>17} {:>17}",
        "half an hour of mail: written per octet delivered,", "10 % full", "75 % full"
    );
    println!(
        "{:54} {:>8} {:>8} {:>8} {:>8}",
        "in octets, and in pages of 4 KiB as syncs write them", "octets", "pages", "octets", "pages"
    );
    let line = |name: &str, figures: &dyn Fn(&Run) -> [f64; 2]| {
        let [[a, b], [c, d]] = [figures(&runs[0]), figures(&runs[1])];
        println!("{name:54} {a:>8.3} {b:>8.3} {c:>8.3} {d:>8.3}");
    };
    for (kind, name) in TABLE {
        line(name, &|run| run.shares(|it| it == kind));
    }
    line("all", &|run| run.shares(|_| true));
    let most = |run: &Run| format!("{:.2}", run.most);
    println!(
        "{:54} {:>17} {:>17}",
        "octets there for each of the mail, at the most",
        most(&runs[0]),
        most(&runs[1])
    );
    println!();
    let [octets, pages] = runs[0].shares(|_| true);
    row("half an hour of mail: octets written per octet delivered", Factor, |_| 0.0)
        .limit(1.25)
        .print(octets, None);
    row("  counted as pages of 4 KiB", Factor, |_| 0.0).limit(1.8).print(pages, None);
}

/// What was counted.
#[derive(Default, Clone)]
struct Counts {
    octets: BTreeMap<For, u64>,
    /// Pages by the first that is written into them since the last sync.
    pages: BTreeMap<For, u64>,
}

struct Run {
    delivered: u64,
    counts: Counts,
    most: f64,
}

impl Run {
    fn play(full: u64) -> Run {
        let flash = Counting::default();
        let store = Store::new(Rc::new(flash.clone()));
        smol::block_on(async {
            let account = store.account("u").await.unwrap();
            let mut people =
                People { account, dice: Dice(full), held: Vec::new(), archive: INBOX, delivered: 0 };
            people.begin().await;
            flash.fill(full);
            // What was there in the beginning is compacted for the first time before anything is counted.
            for _ in 0..TICKS {
                people.tick().await;
                store.maintain().await;
            }
            *flash.0.counts.borrow_mut() = Counts::default();
            people.delivered = 0;
            let mut most: f64 = 0.0;
            for _ in 0..TICKS {
                people.tick().await;
                store.maintain().await;
                let held: u64 = people.held.iter().map(|held| held.2).sum();
                most = most.max(flash.used() as f64 / held as f64);
            }
            let counts = flash.0.counts.borrow().clone();
            Run { delivered: people.delivered, counts, most }
        })
    }

    /// Octets, and octets of pages, for each octet delivered.
    fn shares(&self, counted: impl Fn(&For) -> bool) -> [f64; 2] {
        let sum = |of: &BTreeMap<For, u64>| {
            of.iter().filter(|(kind, _)| counted(kind)).map(|(_, n)| *n).sum::<u64>()
        };
        [sum(&self.counts.octets), PAGE * sum(&self.counts.pages)].map(|n| n as f64 / self.delivered as f64)
    }
}

/// Who reads, files and deletes.
struct People {
    account: Rc<Account>,
    dice: Dice,
    /// In the order in which they came, with their sizes.
    held: Vec<(MailboxId, Uid, u64)>,
    archive: MailboxId,
    delivered: u64,
}

impl People {
    async fn begin(&mut self) {
        let mut transaction = self.account.begin();
        transaction.create_mailbox("Filed");
        transaction.commit().await.unwrap();
        self.archive = self.account.find("Filed").unwrap();
        for _ in 0..HELD {
            self.deliver().await;
        }
    }

    /// Ten seconds: as much is deleted as comes. Most of what is deleted came lately.
    async fn tick(&mut self) {
        for _ in 0..DELIVERED {
            self.deliver().await;
            let lately = self.held.len() - 1 - self.dice.below(DELIVERED);
            self.flag(lately, Flags::SEEN).await;
            match self.dice.below(10) {
                0 => self.flag(lately, Flags::FLAGGED).await,
                1 | 2 => self.file(lately).await,
                _ => {}
            }
        }
        for _ in 0..DELIVERED / 10 {
            let doomed = (0..10).map(|_| {
                let among = if self.dice.below(10) < 6 { 10 * DELIVERED } else { self.held.len() };
                self.held.remove(self.held.len() - 1 - self.dice.below(among))
            });
            let doomed: Vec<_> = doomed.collect();
            for mailbox in [INBOX, self.archive] {
                let uids: Vec<Uid> = doomed.iter().filter(|it| it.0 == mailbox).map(|it| it.1).collect();
                let mut transaction = self.account.begin();
                transaction.flags(mailbox, &uids, FlagChange::Add, Flags::DELETED, &[]);
                transaction.commit().await.unwrap();
                let mut transaction = self.account.begin();
                transaction.expunge(mailbox, &uids);
                transaction.commit().await.unwrap();
            }
        }
    }

    async fn deliver(&mut self) {
        let mail = self.mail();
        let mut message = self.account.incoming();
        mail.chunks(8192).for_each(|piece| message.write(piece).unwrap());
        let mut transaction = self.account.begin();
        transaction.deliver(INBOX, message, Flags::NONE, &[], 1_000_000);
        let (mailbox, uid) = transaction.commit().await.unwrap().placed.first().unwrap();
        self.held.push((mailbox, uid, mail.len() as u64));
        self.delivered += mail.len() as u64;
    }

    async fn flag(&mut self, at: usize, flags: Flags) {
        let (mailbox, uid, _) = self.held[at];
        let mut transaction = self.account.begin();
        transaction.flags(mailbox, &[uid], FlagChange::Add, flags, &[]);
        transaction.commit().await.unwrap();
    }

    /// MOVE into the archive.
    async fn file(&mut self, at: usize) {
        let (mailbox, uid, size) = self.held[at];
        let mut transaction = self.account.begin();
        transaction.copy(mailbox, uid, self.archive);
        transaction.expunge(mailbox, &[uid]);
        let (mailbox, uid) = transaction.commit().await.unwrap().placed.first().unwrap();
        self.held[at] = (mailbox, uid, size);
    }

    /// Most are of 2 to 30 KB, the more the smaller; a few of 100 KB to 1 MB; 16 KB on average.
    fn mail(&mut self) -> Vec<u8> {
        let n = self.dice.next();
        let size = match self.dice.below(1000) {
            0..12 => 100_000 + self.dice.below(900_000),
            _ => {
                let most = 1 + self.dice.below(28_000);
                2_000 + self.dice.below(most)
            }
        };
        let mut mail = format!(
            "Received: from mail.example (mail.example [192.0.2.1])\r\n\tby pillarbox with ESMTPS id {n:x};\r\n\
             \tThu, 1 Jan 2026 10:00:00 +0000\r\nFrom: Somebody Ordinary <somebody@example.org>\r\n\
             To: The Household <home@home.example>\r\nSubject: What is to be said of number {n}\r\n\
             Date: Thu, 1 Jan 2026 10:00:00 +0000\r\nMessage-ID: <{n:x}.{n}@example.org>\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        )
        .into_bytes();
        mail.resize(size.max(mail.len()), b'x');
        mail
    }
}

/// A flash in memory that counts what is written to it; clones share it.
#[derive(Clone, Default)]
struct Counting(Rc<Medium>);

#[derive(Default)]
struct Medium {
    files: RefCell<BTreeMap<String, Rc<Content>>>,
    /// Octets of other things on it.
    others: RefCell<u64>,
    counts: RefCell<Counts>,
}

#[derive(Default)]
struct Content {
    octets: RefCell<Vec<u8>>,
    /// Pages that no sync has written yet.
    dirty: RefCell<BTreeSet<u64>>,
    /// Octets of bodies of the commit that is written just now: what they are is told by what comes behind them.
    bodies: RefCell<u64>,
}

impl Counting {
    fn used(&self) -> u64 {
        self.0.files.borrow().values().map(|file| file.octets.borrow().len() as u64).sum()
    }

    /// Lets other things take so much of it that it is `full` in the hundred.
    fn fill(&self, full: u64) {
        *self.0.others.borrow_mut() = (TOTAL / 100 * full).saturating_sub(self.used());
    }
}

impl Flash for Counting {
    fn open(&self, path: &str, mode: Mode) -> io::Result<Rc<dyn File>> {
        let mut files = self.0.files.borrow_mut();
        if mode == Mode::Create {
            files.insert(path.to_owned(), Rc::default());
        }
        let content = files.get(path).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Rc::new(Opened { medium: self.0.clone(), path: path.to_owned(), content }))
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let files = self.0.files.borrow();
        let below = files.keys().filter_map(|path| path.strip_prefix(dir)?.strip_prefix('/'));
        Ok(below.filter(|name| !name.contains('/')).map(str::to_owned).collect())
    }
    fn create_dir(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        self.0.files.borrow_mut().remove(path);
        Ok(())
    }
    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        self.0.files.borrow_mut().retain(|path, _| !path.starts_with(&format!("{dir}/")));
        Ok(())
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.0.files.borrow_mut();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }
    fn sync_dir(&self, _: &str) -> Sync {
        Box::pin(async { Ok(()) })
    }
    fn space(&self) -> io::Result<Space> {
        Ok(Space { total: TOTAL, free: TOTAL.saturating_sub(*self.0.others.borrow() + self.used()) })
    }
}

struct Opened {
    medium: Rc<Medium>,
    path: String,
    content: Rc<Content>,
}

impl Opened {
    fn count(&self, kind: For, octets: u64) -> For {
        *self.medium.counts.borrow_mut().octets.entry(kind).or_default() += octets;
        kind
    }

    /// Frames of the log (`docs/store.md`): a commit's Moved record comes behind the bodies that it moves.
    fn count_frames(&self, mut data: &[u8]) -> For {
        let mut kinds = Vec::new();
        let mut bodies = self.content.bodies.borrow_mut();
        while let Some(frame) = data.strip_prefix(b"PB\0\0") {
            let len = |at: usize| u32::from_le_bytes(frame[at..at + 4].try_into().unwrap()) as usize;
            let octets = 20 + len(0) + len(4);
            let kind = data[20];
            match kind {
                1 => *bodies += octets as u64,
                15 => drop(self.count(For::Copies, std::mem::take(&mut *bodies) + octets as u64)),
                _ => drop(self.count(For::Records, octets as u64)),
            }
            if kind == 0 {
                self.count(For::Mail, std::mem::take(&mut *bodies));
            }
            kinds.push(kind);
            data = &data[octets..];
        }
        self.count(For::Records, data.len() as u64);
        match () {
            () if kinds.contains(&15) => For::Copies,
            () if kinds.contains(&1) => For::Mail,
            () => For::Records,
        }
    }
}

impl ReadAt for Opened {
    fn len(&self) -> io::Result<u64> {
        Ok(self.content.octets.borrow().len() as u64)
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.content.octets.borrow()[..].read_at(offset, buf)
    }
}

impl File for Opened {
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let kind = match () {
            () if self.path.contains("/log/") => self.count_frames(data),
            () if self.path.contains("/body/") => self.count(For::LargeMail, data.len() as u64),
            () => self.count(For::Checkpoints, data.len() as u64),
        };
        let end = offset as usize + data.len();
        let mut octets = self.content.octets.borrow_mut();
        if octets.len() < end {
            octets.resize(end, 0);
        }
        octets[offset as usize..end].copy_from_slice(data);
        let mut dirty = self.content.dirty.borrow_mut();
        let new = (offset / PAGE..(end as u64).div_ceil(PAGE)).filter(|page| dirty.insert(*page)).count();
        *self.medium.counts.borrow_mut().pages.entry(kind).or_default() += new as u64;
        Ok(())
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.content.octets.borrow_mut().truncate(len as usize);
        Ok(())
    }
    fn sync(&self) -> Sync {
        self.content.dirty.borrow_mut().clear();
        Box::pin(async { Ok(()) })
    }
}
