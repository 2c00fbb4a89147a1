//! Backups on a simulated flash.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use super::tar::{BLOCK, header};
use super::*;
use crate::config::{Config, file};
use crate::failure::Failure;
use crate::flash::sim::SimFlash;
use crate::flash::{Flash, Mode, ReadAt};
use crate::store::{Account, Flags, INBOX, Store};

/// The contents of each mailbox of an account: UIDVALIDITY, and for each message UID, flags and the CRC of its
/// octets.
type Held = BTreeMap<String, (u32, Vec<(u32, u64, u32)>)>;

fn held(account: &Account) -> Held {
    let look = |(id, name)| {
        let (validity, messages) =
            account.view(id, |mailbox| (mailbox.uid_validity, mailbox.messages.to_vec())).unwrap();
        let read = |message: &crate::store::Message| {
            let body = account.body(message).unwrap();
            let mut octets = vec![0; message.size as usize];
            body.read_exact_at(0, &mut octets).unwrap();
            ({ message.uid }, { message.flags }.0, crc32c::crc32c(&octets))
        };
        (name, (validity, messages.iter().map(read).collect()))
    };
    account.mailboxes().into_iter().map(look).collect()
}

async fn deliver(account: &Rc<Account>, octets: usize, seed: u8) {
    let mut message = account.incoming();
    let line = [b'a' + seed % 26; 70];
    for piece in std::iter::repeat_n(&line[..], octets / 70 + 1) {
        message.write(piece).unwrap();
    }
    let mut transaction = account.begin();
    transaction.deliver(INBOX, message, Flags::NONE, &[], 7);
    transaction.commit().await.unwrap();
}

async fn expunge_every(account: &Rc<Account>, nth: u32) {
    let uids: Vec<u32> = account.view(INBOX, |inbox| inbox.messages.iter().map(|m| m.uid).collect()).unwrap();
    let uids: Vec<u32> = uids.into_iter().filter(|uid| uid % nth == 0).collect();
    let mut transaction = account.begin();
    transaction.expunge(INBOX, &uids);
    transaction.commit().await.unwrap();
}

/// A sink that keeps the stream.
#[derive(Default)]
struct Gathered {
    octets: Vec<u8>,
    told: Vec<String>,
}

impl Sink for Gathered {
    async fn put(&mut self, octets: &[u8]) -> io::Result<()> {
        self.octets.extend_from_slice(octets);
        Ok(())
    }
    async fn tell(&mut self, line: String) -> io::Result<()> {
        self.told.push(line);
        Ok(())
    }
}

async fn gathered(store: &Store) -> Gathered {
    let mut sink = Gathered::default();
    write(store, &mut sink).await.unwrap();
    sink
}

async fn unpacked(stream: &[u8]) -> Result<(SimFlash, Contents), Failure> {
    let flash = SimFlash::default();
    let contents = read(&flash, &mut &*stream, &|_| {}).await?;
    // Only durable octets count.
    Ok((flash.restart(7), contents))
}

/// A data folder with settings, keys, an account with short and long messages, and another account.
async fn filled() -> (SimFlash, Store) {
    let flash = SimFlash::default();
    let mut config = Config::default();
    config.server.domains.push("home.example".try_into().unwrap());
    file::save(&flash, &config).await.unwrap();
    flash.create_dir("tls").unwrap();
    for (name, octets) in
        [("login.key", &[7; 32][..]), ("tls/key.pem", b"key"), ("console.sock", b""), ("lock", b"x")]
    {
        flash.open(name, Mode::Create).unwrap().write_at(0, octets).unwrap();
    }
    let store = Store::new(Rc::new(flash.clone()));
    let account = store.account("office").await.unwrap();
    for (octets, seed) in [(100, 1), (70_000, 2), (5_000, 3), (200_000, 4)] {
        deliver(&account, octets, seed).await;
    }
    expunge_every(&account, 3).await;
    store.account("b.2_c-d").await.unwrap();
    deliver(&store.queue().await.unwrap(), 300, 5).await;
    (flash, store)
}

/// Catches: a file that is missing in a backup, and one in it that belongs to this machine or can be made anew.
#[test]
fn what_was_backed_up_is_restored() {
    smol::block_on(async {
        let (flash, store) = filled().await;
        let stream = gathered(&store).await;
        assert!(stream.told.is_empty(), "{:?}", stream.told);
        let (restored, contents) = unpacked(&stream.octets).await.unwrap();
        assert_eq!((contents.accounts, contents.settings), (2, true));
        assert_eq!(file::peek(&restored), file::peek(&flash));
        for name in ["login.key", "tls/key.pem"] {
            let octets = |flash: &SimFlash| {
                let file = flash.open(name, Mode::Read).unwrap();
                let mut octets = vec![0; file.len().unwrap() as usize];
                file.read_exact_at(0, &mut octets).unwrap();
                octets
            };
            assert_eq!(octets(&restored), octets(&flash));
        }
        let names: Vec<String> = restored.files().into_iter().map(|(name, _)| name).collect();
        let foreign = |name: &&String| {
            ["lock", "sock", "summary", "signature", "pillarbox"].iter().any(|it| name.contains(it))
        };
        assert_eq!(names.iter().find(foreign), None);
        let again = Store::new(Rc::new(restored));
        for name in ["office", "b.2_c-d"] {
            assert_eq!(held(&again.account(name).await.unwrap()), held(&store.account(name).await.unwrap()));
        }
        assert_eq!(held(&again.queue().await.unwrap()), held(&store.queue().await.unwrap()));
        assert!(again.check().await.unwrap().damage.is_empty());
    });
}

/// A sink that delivers and removes mail, writes checkpoints and compacts segments while the stream is taken.
struct Busy {
    gathered: Gathered,
    store: Rc<Store>,
    account: Rc<Account>,
    round: Cell<u32>,
    /// What the account held after each commit.
    history: RefCell<Vec<Held>>,
}

impl Busy {
    async fn work(&self) {
        let round = self.round.replace(self.round.get() + 1);
        let note = || self.history.borrow_mut().push(held(&self.account));
        deliver(&self.account, if round.is_multiple_of(3) { 90_000 } else { 20_000 }, round as u8).await;
        note();
        if round.is_multiple_of(4) {
            expunge_every(&self.account, 2 + round % 3).await;
            note();
        }
        // Not before the account's turn, so that there is something to be compacted then.
        if memchr::memmem::find(&self.gathered.octets, b"accounts/office/log/").is_some() {
            self.store.maintain().await;
        }
    }
}

impl Sink for Busy {
    async fn put(&mut self, octets: &[u8]) -> io::Result<()> {
        self.gathered.put(octets).await?;
        if self.round.get() < 60 {
            self.work().await;
        }
        Ok(())
    }
    async fn tell(&mut self, line: String) -> io::Result<()> {
        self.gathered.tell(line).await
    }
}

/// Catches: a segment, a checkpoint or the file of a message that is removed during the backup; a commit of which
/// half is in the backup; files that are kept after it.
#[test]
fn a_backup_is_one_moment_while_mail_comes_and_goes() {
    smol::block_on(async {
        let flash = SimFlash::default();
        flash.limit(Some(24 << 20));
        let store = Rc::new(Store::new(Rc::new(flash.clone())));
        // This account is read first, so that the other one has had a commit when its turn comes.
        deliver(&store.account("before").await.unwrap(), 400_000, 0).await;
        let account = store.account("office").await.unwrap();
        for n in 0..240 {
            deliver(&account, if n % 20 == 0 { 100_000 } else { 30_000 }, n).await;
        }
        for nth in [2, 3, 5] {
            expunge_every(&account, nth).await;
        }
        let segments = || {
            let files = flash.files().into_iter().map(|(name, _)| name);
            files.filter(|name| name.starts_with("accounts/office/log/")).collect::<Vec<_>>()
        };
        let before = segments();
        let history = RefCell::new(vec![held(&account)]);
        let mut busy = Busy {
            gathered: Gathered::default(),
            store: store.clone(),
            account,
            round: Cell::default(),
            history,
        };
        let made = write(&store, &mut busy).await.unwrap();
        assert!(
            busy.round.get() > 20 && made.problems == 0,
            "{} rounds: {:?}",
            busy.round.get(),
            busy.gathered.told
        );
        let (restored, _) = unpacked(&busy.gathered.octets).await.unwrap();
        let again = Store::new(Rc::new(restored));
        assert!(again.check().await.unwrap().damage.is_empty());
        let found = held(&again.account("office").await.unwrap());
        let at = busy.history.borrow().iter().position(|held| *held == found);
        assert!(at.is_some_and(|at| at > 0), "a state that there was while it was made: {at:?}");

        // What was kept for the backup is removed now; there was enough to be compacted all the time.
        for _ in 0..8 {
            busy.work().await;
        }
        let bodies =
            flash.files().iter().filter(|(name, _)| name.starts_with("accounts/office/body/")).count();
        let gone = before.iter().filter(|segment| !segments().contains(segment)).count();
        assert!(gone > before.len() / 2, "{gone} of {} segments", before.len());
        let inbox =
            busy.account.view(INBOX, |inbox| inbox.messages.iter().filter(|m| m.size > 65_536).count());
        assert_eq!(bodies, inbox.unwrap());
        let now = held(&busy.account);
        drop(busy);
        drop(store);
        let after = Store::new(Rc::new(flash.copy()));
        assert_eq!(held(&after.account("office").await.unwrap()), now);
        assert!(after.check().await.unwrap().damage.is_empty());
    });
}

/// Catches: a backup that is accepted though it is cut short, changed, or followed by something.
#[test]
fn what_is_not_what_was_written_is_refused() {
    smol::block_on(async {
        let (_, store) = filled().await;
        expunge_every(&store.account("office").await.unwrap(), 1).await;
        let stream = gathered(&store).await.octets;
        assert!(unpacked(&stream).await.is_ok());
        let refused = async |octets: &[u8], what: String| match unpacked(octets).await {
            Err(Failure::Input(words)) => assert!(words.ends_with("nothing was restored"), "{what}: {words}"),
            other => panic!("{what}: {other:?}", other = other.map(|(_, contents)| contents)),
        };
        // It is complete without the zeros at the end.
        let whole = stream.len() - 2 * BLOCK;
        for end in (0..whole).step_by(211).chain([whole - 1]) {
            refused(&stream[..end], format!("{end} of {whole} octets")).await;
        }
        assert!(unpacked(&stream[..whole]).await.is_ok());
        let last_sum = whole - 2 * BLOCK + 148..whole - 2 * BLOCK + 156;
        for at in (0..stream.len()).step_by(97).filter(|at| !last_sum.contains(at)) {
            let mut flipped = stream.clone();
            flipped[at] ^= 0x11;
            refused(&flipped, format!("octet {at}")).await;
        }
        refused(&[&stream[..], &[0; 512], b"x"].concat(), "more".to_owned()).await;
        refused(&[&stream[..], &stream[..]].concat(), "twice".to_owned()).await;
    });
}

/// A member with its content.
fn member(path: &str, octets: &[u8]) -> Vec<u8> {
    let mut member = header(path, Some(octets.len() as u64), 7).unwrap().to_vec();
    member.extend_from_slice(octets);
    member.resize(member.len().next_multiple_of(BLOCK), 0);
    member
}

/// Catches: files that are not a backup, a member in a wrong place or twice, sizes that are trusted, and a version
/// that is not checked.
#[test]
fn foreign_files_are_refused_with_words() {
    smol::block_on(async {
        let first = member(FIRST, b"Pillarbox backup 1\n");
        let huge = |octets| header("accounts/a/log/00000001", Some(octets), 7).unwrap().to_vec();
        let mut gnu = ::tar::Builder::new(Vec::new());
        let mut of_gnu = ::tar::Header::new_gnu();
        of_gnu.set_size(2);
        gnu.append_data(&mut of_gnu, FIRST, &b"hi"[..]).unwrap();
        let digest = "0".repeat(64);
        let end = member(
            LAST,
            format!("Pillarbox backup end 1\noctets {}\nfiles 0\nsha256 {digest}\n", first.len()).as_bytes(),
        );
        let cases: [(&str, Vec<u8>, &str); 13] = [
            ("empty", vec![], "this is no backup of Pillarbox"),
            ("zeros", vec![0; 10_240], "this is no backup of Pillarbox"),
            ("text", b"Subject: hello\r\n\r\n".repeat(100), "this is no backup of Pillarbox"),
            ("another tar", gnu.into_inner().unwrap(), "this is no backup of Pillarbox"),
            ("no first member", member("config.postcard", b"x"), "this is no backup of Pillarbox"),
            (
                "a long first member",
                header(FIRST, Some(1 << 32), 0).unwrap().repeat(2),
                "this is no backup of Pillarbox",
            ),
            ("a newer one", member(FIRST, b"Pillarbox backup 2\n"), "made by a newer Pillarbox in format 2"),
            ("no end", first.clone(), "the backup is not whole: it breaks off"),
            ("zeros for an end", [&first[..], &[0; 1024]].concat(), "pillarbox-backup.end is missing"),
            ("a wrong sum", [&first[..], &end].concat(), "the backup is damaged"),
            (
                "a huge file",
                [&first[..], &huge(u64::from(u32::MAX) + 1)].concat(),
                "larger than any such file",
            ),
            (
                "large settings",
                [&first[..], &header("config.postcard", Some(1 << 30), 7).unwrap()].concat(),
                "larger than",
            ),
            (
                "the same twice",
                [&first[..], &member("login.key", b"1"), &member("login.key", b"2")].concat(),
                "login.key is in the backup twice",
            ),
        ];
        for (name, octets, wanted) in cases {
            match unpacked(&octets).await {
                Err(Failure::Input(words)) => assert!(words.contains(wanted), "{name}: {words}"),
                other => panic!("{name}: {:?}", other.map(|(_, contents)| contents)),
            }
        }
        // A member that is too large for the free room is refused before any of it is written.
        let flash = SimFlash::default();
        flash.limit(Some(64 << 20));
        let stream = [&first[..], &huge(63 << 20)].concat();
        let refused = read(&flash, &mut &*stream, &|_| {}).await.unwrap_err();
        assert!(
            matches!(&refused, Failure::System(words) if words.contains("no room for the backup")),
            "{refused:?}"
        );
        assert!(flash.files().is_empty());
    });
}

/// Catches: a backup that fails on a card that is partly unreadable, or that does not report it.
#[test]
fn what_cannot_be_read_is_told_and_the_rest_is_there() {
    smol::block_on(async {
        let (flash, store) = filled().await;
        let before = held(&store.account("office").await.unwrap());
        // An account whose beginning is lost, and damaged settings.
        flash.create_dir("accounts/lost/log").unwrap();
        flash.open("accounts/lost/log/00000002", Mode::Create).unwrap().write_at(0, b"remains").unwrap();
        flash.flip("config.postcard", 300);
        let reads = flash.reads();
        let told = gathered(&store).await.told;
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(
            told[0].starts_with("config.postcard: cannot be read")
                && told[1].starts_with("accounts/lost: cannot")
        );
        let all = flash.reads() - reads;
        let mut failing = 0;
        for read in (1..=all).step_by(3) {
            flash.fail_read_at(flash.reads() + read);
            let stream = gathered(&store).await;
            let (restored, contents) = unpacked(&stream.octets).await.unwrap();
            assert_eq!(contents.accounts, 3);
            failing += usize::from(stream.told.len() > 2);
            // A read that fails once is repeated in smaller pieces: no mail is missing.
            let again = Store::new(Rc::new(restored));
            assert_eq!(held(&again.account("office").await.unwrap()), before);
        }
        // Settings and keys are read as a whole, so one failure loses the file.
        assert!((1..8).contains(&failing), "{failing}");
    });
}
