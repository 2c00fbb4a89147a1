//! Signatures that are written while the power goes: what is told of a message is its own, and the others are made anew.

use super::*;
use crate::flash::over::{Over, Special};
use crate::flash::{Flash, Mode};
use crate::pace::Pace;

/// What the signature of a message is here: of a message of the same size and date alone another one has the same.
fn signature(account: &Account, message: &Message) -> Vec<u8> {
    let octets = expected::octets(account, message);
    [&crc32c::crc32c(&octets).to_le_bytes()[..], &message.body.to_le_bytes()].concat()
}

async fn sign(account: &Account, version: u8) -> Result<(), Error> {
    loop {
        let missing = account.unsigned(version, 0).await?;
        if missing.is_empty() {
            return Ok(());
        }
        let signed: Vec<_> = missing.iter().map(|message| (*message, signature(account, message))).collect();
        account.keep_signatures(version, &signed)?;
    }
}

/// How many messages there are, and how many of them have a signature of this version, which is their own.
async fn told(account: &Account, version: u8) -> (usize, usize) {
    let messages = account.view(INBOX, |inbox| inbox.messages.clone()).unwrap();
    let mut told = 0;
    let tell = |n: usize, octets: &[u8]| {
        assert_eq!(octets, signature(account, &messages[n]), "of another message");
        told += 1;
    };
    account.signatures(version, &messages, &Pace::new(), tell).await;
    (messages.len(), told)
}

/// Mail comes and goes and is compacted, and now and then it is signed.
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
            sign(&account, 1).await?;
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

/// Catches: a signature that is told of another message (in a segment that was begun anew under the number of a lost one, of a
/// body that compaction has moved, torn, or behind one that is torn), one that is never made again, and a commit or
/// an opening that a torn one is in the way of.
#[test]
fn a_signature_is_its_messages_own_wherever_the_power_goes() {
    for seed in 1..=4 {
        let undisturbed = SimFlash::default();
        smol::block_on(live(&undisturbed, seed, 8)).unwrap();
        for step in 0..undisturbed.steps() {
            let flash = SimFlash::default();
            flash.cut_at(step);
            let _ = smol::block_on(live(&flash, seed, 8));
            let flash = flash.restart(step);
            smol::block_on(async {
                // What comes then has other octets, under numbers that may be the same.
                let account = live(&flash, seed + 100, 2).await.unwrap();
                told(&account, 1).await;
                sign(&account, 1).await.unwrap();
                let (messages, told) = told(&account, 1).await;
                assert_eq!(messages, told, "seed {seed}, cut at {step}");
            });
        }
    }
}

/// Catches: a file of signatures that outlives its segment, one for each commit, signatures that are kept twice, and a folder of
/// a segment that is gone.
#[test]
fn signatures_go_with_their_segment_and_count_in_their_own_version_only() {
    let flash = SimFlash::default();
    smol::block_on(async {
        let account = live(&flash, 5, 30).await.unwrap();
        sign(&account, 1).await.unwrap();
        let numbers = |folder: &str| -> BTreeSet<String> {
            let files = flash.files();
            let below =
                files.iter().filter_map(|(path, _)| path.split_once(folder).map(|(_, name)| name.to_owned()));
            below.collect()
        };
        let (segments, signed) = (numbers("accounts/a/log/"), numbers("accounts/a/signature/"));
        assert!(signed.len() > 3 && signed.is_subset(&segments), "{signed:?} of {segments:?}");
        let (messages, of_first) = told(&account, 1).await;
        assert_eq!((messages, told(&account, 2).await.1), (of_first, 0));
        let octets = || -> usize {
            flash.files().iter().filter(|(path, _)| path.contains("/signature/")).map(|(_, len)| len).sum()
        };
        let before = octets();
        sign(&account, 1).await.unwrap();
        assert_eq!(octets(), before, "all are there");
        sign(&store(&flash).account("a").await.unwrap(), 2).await.unwrap();
        assert_eq!((told(&account, 1).await.1, told(&account, 2).await.1), (0, messages));
    });
}

/// Catches: a damaged signature that is believed, or that is never made anew.
#[test]
fn a_damaged_signature_is_made_anew() {
    let flash = SimFlash::default();
    let signed = || flash.files().into_iter().find(|(path, _)| path.contains("/signature/")).unwrap();
    smol::block_on(async { sign(&live(&flash, 6, 3).await.unwrap(), 1).await.unwrap() });
    for bit in (0..2000).step_by(3) {
        let (path, len) = signed();
        flash.flip(&path, bit % (8 * len));
        smol::block_on(async {
            let account = store(&flash).account("a").await.unwrap();
            told(&account, 1).await;
            sign(&account, 1).await.unwrap();
            let (messages, told) = told(&account, 1).await;
            assert_eq!(messages, told, "bit {bit}");
        });
    }
}

/// Catches: a signature of a log that there was before, as a copy of parts of a folder or an older version may leave it, which is
/// told of the message that lies at the same place now, under the same number.
#[test]
fn a_signature_of_another_log_is_nobodys() {
    let (before, now) = (SimFlash::default(), SimFlash::default());
    let deliver_one = async |flash: &SimFlash, date| {
        let account = store(flash).account("a").await.unwrap();
        let transaction = deliver_octets(&account, INBOX, date, 300, &mut Choices::new(1)).unwrap();
        transaction.commit().await.unwrap();
        account
    };
    smol::block_on(async {
        let account = deliver_one(&before, 1).await;
        sign(&account, 1).await.unwrap();
        assert_eq!(told(&account, 1).await, (1, 1));
        let files = before.files();
        let (path, len) = files.iter().find(|(path, _)| path.contains("/signature/")).unwrap();
        let mut octets = vec![0; *len];
        before.open(path, Mode::Read).unwrap().read_exact_at(0, &mut octets).unwrap();
        let account = deliver_one(&now, 2).await;
        now.create_dir("accounts/a/signature").unwrap();
        now.open(path, Mode::Create).unwrap().write_at(0, &octets).unwrap();
        assert_eq!(told(&account, 1).await, (1, 0));
        sign(&account, 1).await.unwrap();
        assert_eq!(told(&account, 1).await, (1, 1));
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

/// Catches: files of signatures that are read again and again while there is too little to sign, and messages that are read
/// for signatures for which the flash has no room.
#[test]
fn who_looks_in_vain_looks_once() {
    let (flash, reads) = (SimFlash::default(), Rc::new(Reads::default()));
    let over = Over::with(flash.clone(), reads.clone());
    smol::block_on(async {
        let account = Store::new(Rc::new(over), summarize).account("a").await.unwrap();
        let deliver_one = async |date| {
            let transaction = deliver_octets(&account, INBOX, date, 300, &mut Choices::new(date)).unwrap();
            transaction.commit().await.unwrap();
        };
        let look = async || {
            let before = reads.0.get();
            let unsigned = account.unsigned(1, 1000).await.unwrap().len();
            (unsigned, reads.0.get() - before)
        };
        deliver_one(1).await;
        sign(&account, 1).await.unwrap();
        for date in [2, 3] {
            deliver_one(date).await;
            let (unsigned, read) = look().await;
            assert!(unsigned == 0 && read > 0, "{read} octets");
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
