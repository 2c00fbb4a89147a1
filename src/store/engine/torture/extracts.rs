//! Tests extracts that are written while the power fails: an extract must belong to its message, and missing ones are
//! made anew.

use super::*;
use crate::flash::over::{Over, Special};
use crate::flash::{Flash, Mode};
use crate::pace::Pace;
use crate::store::Extracts;

/// The extracts that these tests make of a message. Messages of the same size and date have different extracts.
fn extracts(account: &Account, message: &Message) -> Extracts<Vec<u8>> {
    let octets = expected::octets(account, message);
    let own = [&crc32c::crc32c(&octets).to_le_bytes()[..], &message.body.to_le_bytes()].concat();
    Extracts { summary: [b"summary", &own[..]].concat(), signature: own }
}

/// The same version for both kinds.
fn versions(version: u8) -> Extracts<u8> {
    Extracts { summary: version, signature: version }
}

async fn extract(account: &Account, version: u8) -> Result<(), Error> {
    loop {
        let missing = account.unextracted(versions(version), 0).await?;
        if missing.is_empty() {
            return Ok(());
        }
        let made: Vec<_> = missing.iter().map(|message| (*message, extracts(account, message))).collect();
        account.keep_extracts(versions(version), &made)?;
    }
}

/// How many messages there are, and how many of them have extracts of this version, which must be their own. No
/// summary is returned for the first messages of each segment, so for these only the signature is checked.
async fn told(account: &Rc<Account>, version: u8) -> (usize, usize) {
    let messages = account.view(INBOX, |inbox| inbox.messages.clone()).unwrap();
    let mut told = 0;
    let tell = |n: usize, octets: &[u8]| {
        assert_eq!(octets, extracts(account, &messages[n]).signature, "of another message");
        told += 1;
    };
    account.signatures(version, &messages, &Pace::new(), tell).await;
    let mut summaries = account.summaries(version);
    let mut order = messages.clone();
    order.sort_by_key(Message::place);
    let mut without = 0;
    for segment in order.chunk_by(|a, b| a.segment == b.segment) {
        for (n, message) in segment.iter().enumerate() {
            match summaries.of(message) {
                Some(summary) => {
                    assert_eq!(*summary, extracts(account, message).summary, "of another message")
                }
                None => without += usize::from(n >= 3),
            }
        }
    }
    (messages.len(), told.min(messages.len() - without))
}

/// Mail is delivered, expunged and compacted, and now and then extracts are made.
async fn live(flash: &SimFlash, seed: u64, turns: u64) -> Result<Rc<Account>, Error> {
    let mut choices = Choices::new(seed);
    let store = store(flash);
    let account = store.account("a").await?;
    for turn in 0..turns {
        for n in 0..4 {
            let date = seed << 32 | turn << 8 | n;
            deliver_octets(&account, INBOX, date, 200 + choices.below(200), &mut choices)?.commit().await?;
        }
        if choices.chance(60) {
            extract(&account, 1).await?;
        }
        if choices.chance(40) {
            let uids = some_uids(&account, INBOX, &mut choices);
            let mut transaction = account.begin();
            transaction.expunge(INBOX, &uids);
            transaction.commit().await?;
        }
        if choices.chance(30) {
            store.maintain().await;
        }
    }
    Ok(account)
}

/// Catches: an extract that is returned for another message (because a segment was begun anew under the number of a
/// lost one, compaction has moved the body, or the extract, or one before it, is torn); an extract that is never made
/// again; a commit or an opening that fails because of a torn extract.
#[test]
fn an_extract_is_its_messages_own_wherever_the_power_goes() {
    for seed in 1..=4 {
        let undisturbed = SimFlash::default();
        smol::block_on(live(&undisturbed, seed, 8)).unwrap();
        for step in 0..undisturbed.steps() {
            let flash = SimFlash::default();
            flash.cut_at(step);
            let _ = smol::block_on(live(&flash, seed, 8));
            let flash = flash.restart(step);
            smol::block_on(async {
                // The messages that come now have other octets, under numbers that may be the same.
                let account = live(&flash, seed + 100, 2).await.unwrap();
                told(&account, 1).await;
                extract(&account, 1).await.unwrap();
                let (messages, told) = told(&account, 1).await;
                assert_eq!(messages, told, "seed {seed}, cut at {step}");
            });
        }
    }
}

/// Catches: a file of extracts that outlives its segment, a file for each commit, extracts that are kept twice, and
/// files of a segment that is gone.
#[test]
fn extracts_go_with_their_segment_and_count_in_their_own_version_only() {
    let flash = SimFlash::default();
    smol::block_on(async {
        let account = live(&flash, 5, 30).await.unwrap();
        extract(&account, 1).await.unwrap();
        let numbers = |folder: &str| -> BTreeSet<String> {
            let files = flash.files();
            let below =
                files.iter().filter_map(|(path, _)| path.split_once(folder).map(|(_, name)| name.to_owned()));
            below.collect()
        };
        let segments = numbers("accounts/a/log/");
        for made in [numbers("accounts/a/signature/"), numbers("accounts/a/summary/")] {
            assert!(made.len() > 3 && made.is_subset(&segments), "{made:?} of {segments:?}");
        }
        let (messages, of_first) = told(&account, 1).await;
        assert_eq!((messages, told(&account, 2).await.1), (of_first, 0));
        let octets = || -> usize {
            let files = flash.files().into_iter();
            files
                .filter(|(path, _)| path.contains("/signature/") || path.contains("/summary/"))
                .map(|(_, len)| len)
                .sum()
        };
        let before = octets();
        extract(&account, 1).await.unwrap();
        assert_eq!(octets(), before, "all are there");
        extract(&store(&flash).account("a").await.unwrap(), 2).await.unwrap();
        assert_eq!((told(&account, 1).await.1, told(&account, 2).await.1), (0, messages));
    });
}

/// Catches: a damaged extract that is believed, or that is never made anew, and a file of one kind that stays when
/// that of the other kind is gone.
#[test]
fn a_damaged_extract_is_made_anew() {
    let flash = SimFlash::default();
    let made = |folder| flash.files().into_iter().find(|(path, _)| path.contains(folder)).unwrap();
    smol::block_on(async { extract(&live(&flash, 6, 3).await.unwrap(), 1).await.unwrap() });
    for bit in (0..4000).step_by(3) {
        let (path, len) = made(["/signature/", "/summary/"][bit % 2]);
        if bit % 300 == 0 {
            flash.remove(&path).unwrap();
        }
        if bit % 300 != 0 {
            flash.flip(&path, bit / 2 % (8 * len));
        }
        smol::block_on(async {
            let account = store(&flash).account("a").await.unwrap();
            told(&account, 1).await;
            extract(&account, 1).await.unwrap();
            let (messages, told) = told(&account, 1).await;
            assert_eq!(messages, told, "bit {bit}");
        });
    }
}

/// Catches: an extract of another log, as a copy of parts of a folder or an older version may leave it, that is
/// returned for the message that now lies at the same place under the same number.
#[test]
fn an_extract_of_another_log_is_nobodys() {
    let (before, now) = (SimFlash::default(), SimFlash::default());
    let deliver = async |flash: &SimFlash, date| {
        let account = store(flash).account("a").await.unwrap();
        for n in 0..5u64 {
            let transaction = deliver_octets(&account, INBOX, date + n, 300, &mut Choices::new(1)).unwrap();
            transaction.commit().await.unwrap();
        }
        account
    };
    smol::block_on(async {
        let account = deliver(&before, 10).await;
        extract(&account, 1).await.unwrap();
        assert_eq!(told(&account, 1).await, (5, 5));
        let account = deliver(&now, 20).await;
        for folder in ["accounts/a/signature", "accounts/a/summary"] {
            let (path, len) = before.files().into_iter().find(|(path, _)| path.starts_with(folder)).unwrap();
            let mut octets = vec![0; len];
            before.open(&path, Mode::Read).unwrap().read_exact_at(0, &mut octets).unwrap();
            now.create_dir(folder).unwrap();
            now.open(&path, Mode::Create).unwrap().write_at(0, &octets).unwrap();
        }
        assert_eq!(told(&account, 1).await, (5, 0));
        extract(&account, 1).await.unwrap();
        assert_eq!(told(&account, 1).await, (5, 5));
    });
}

/// Counts the octets that are read.
#[derive(Default)]
struct Reads(Cell<usize>);

impl Special for Reads {
    fn read(&self, octets: usize) {
        self.0.set(self.0.get() + octets);
    }
}

/// Catches: files of extracts that are read again and again while there is too little to extract, and messages that
/// are read for extracts for which the flash has no room.
#[test]
fn who_looks_in_vain_looks_once() {
    let (flash, reads) = (SimFlash::default(), Rc::new(Reads::default()));
    let over = Over::with(flash.clone(), reads.clone());
    smol::block_on(async {
        let account = Store::new(Rc::new(over)).account("a").await.unwrap();
        let deliver_one = async |date| {
            let transaction = deliver_octets(&account, INBOX, date, 300, &mut Choices::new(date)).unwrap();
            transaction.commit().await.unwrap();
        };
        let look = async || {
            let before = reads.0.get();
            let missing = account.unextracted(versions(1), 1000).await.unwrap().len();
            (missing, reads.0.get() - before)
        };
        deliver_one(1).await;
        extract(&account, 1).await.unwrap();
        for date in [2, 3] {
            deliver_one(date).await;
            let (missing, read) = look().await;
            assert!(missing == 0 && read > 0, "{read} octets");
            assert_eq!(look().await, (0, 0), "nothing has come since");
        }
        deliver_one(4).await;
        deliver_one(5).await;
        let used: usize = flash.files().iter().map(|(_, len)| len).sum();
        flash.limit(Some(used as u64 + 1000));
        assert_eq!(look().await, (0, 0), "there is no room");
        flash.limit(None);
        assert_eq!(look().await.0, 4);
    });
}
