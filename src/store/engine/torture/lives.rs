//! Lives: the appliance works until its power fails or its process is killed, and the next life goes on with what it
//! finds, until its power fails as well.
//!
//! At chosen steps of each life the flash is copied as a cut would leave it, and the next life is lived on the copy.
//! Each life compares what it finds with what was promised in all lives before it: see [`super::model`].

use super::expected::{Answer, Expected, UnansweredCommit, observe};
use super::model::{Letter, Model, Op};
use super::*;
use crate::store::identity_hash;

const STANDARD_MAILBOXES: [&str; 6] = ["INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"];

/// What was promised of the account, and what was promised of the queue.
pub type Promises = [Expected; 2];

/// The settings of a life and of those that follow it.
#[derive(Clone)]
struct Fate {
    seed: u64,
    /// Turns of work in this life, and in each that follows it.
    turns: Vec<u64>,
    /// A following life begins every so many steps of the flash.
    every: u64,
    /// Whether the flash is nearly full now and then.
    narrow: bool,
    /// What happened so far, for the message of a failure.
    story: String,
}

/// One life of the store.
struct Life {
    flash: SimFlash,
    store: Store,
    accounts: [Rc<Account>; 2],
    promises: Rc<RefCell<Promises>>,
    /// Whether the flash is nearly full now and then.
    narrow: bool,
}

/// Prints what happened before, when a life ends in a panic.
struct Told<'a>(&'a str);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

/// Lives on `flash`, of which `before` was promised, and then all lives that follow. Returns how many lives there
/// were.
fn live(flash: &SimFlash, fate: &Fate, before: Promises) -> u64 {
    let promises = Rc::new(RefCell::new(before));
    let lives = Rc::new(Cell::new(1));
    let born = flash.steps();
    if fate.turns.len() > 1 {
        let (promises, lives, fate) = (promises.clone(), lives.clone(), fate.clone());
        flash.watch(move |flash| {
            let step = flash.steps() - born;
            if !(step + fate.seed).is_multiple_of(fate.every) {
                return;
            }
            let seed = fate.seed ^ (step << 32) ^ (flash.steps() << 16);
            let mut choices = Choices::new(seed);
            let (next, how) = if choices.chance(40) {
                (flash.killed(), "killed")
            } else {
                (flash.restart(choices.next()), "cut")
            };
            let story = format!("{}, {how} at step {step}", fate.story);
            let fate =
                Fate { seed: choices.next() >> 8, turns: fate.turns[1..].to_vec(), story, ..fate.clone() };
            let before = promises.borrow().clone();
            lives.set(lives.get() + live(&next, &fate, before));
        });
    }
    let _told = Told(&fate.story);
    smol::block_on(async {
        let life = Life::begin(flash, promises, fate).await;
        let mut choices = Choices::new(fate.seed);
        for turn in 1..=fate.turns[0] {
            let date = (born + flash.steps()) * 1000 + turn * 10;
            life.turn(date, turn, &mut choices).await;
        }
        flash.limit(None);
        life.store.mark_end();
        if fate.seed.is_multiple_of(8) {
            let report = life.store.check().await.unwrap();
            assert!(report.damage.is_empty(), "{report}");
        }
    });
    lives.get()
}

impl Life {
    async fn begin(flash: &SimFlash, promises: Rc<RefCell<Promises>>, fate: &Fate) -> Life {
        let store = store(flash);
        let accounts = [store.account("a").await.unwrap(), store.queue().await.unwrap()];
        for (account, expected) in accounts.iter().zip(promises.borrow_mut().iter_mut()) {
            let found = observe(account);
            assert_eq!(expected.allows(&found), Ok(()), "{}", account.name());
            assert!(!account.state.borrow().damaged, "{}: damaged", account.name());
            *expected = Expected::new(expected.model.followed_by(found));
        }
        Life { flash: flash.clone(), store, accounts, promises, narrow: fate.narrow }
    }

    async fn turn(&self, date: u64, turn: u64, choices: &mut Choices) {
        if self.narrow {
            let used: usize = self.flash.files().iter().map(|(_, len)| len).sum();
            let room = choices.below(700);
            self.flash.limit((turn % 4 > 1).then_some((used + room) as u64));
        }
        let which = if choices.chance(80) { 0 } else { 1 };
        let model = self.promises.borrow()[which].model.clone();
        if choices.chance(25) {
            let name = any(model.mailboxes.keys(), choices);
            let account = &self.accounts[which];
            account.claim_recent(account.find(&name).unwrap());
            self.promises.borrow_mut()[which].model.claim(&name);
        }
        let alone = choices.chance(25);
        let commits = if alone { 1 } else { 1 + choices.below(3) as u64 };
        let asked = (0..commits).map(|n| {
            let ops =
                if alone { structural(&model, date, choices) } else { mail(&model, date + n * 2, choices) };
            UnansweredCommit { ops, answer: Answer::Open }
        });
        let asked: Vec<UnansweredCommit> = asked.collect();
        self.promises.borrow_mut()[which].asked = asked;
        let maintenance = choices.chance(40);
        let maintenance = async {
            if maintenance {
                self.store.maintain().await;
            }
        };
        let commit = async |at: u64| {
            if at < commits {
                self.commit(which, at as usize).await;
            }
        };
        let (first, last) =
            (smol::future::zip(commit(0), commit(1)), smol::future::zip(commit(2), maintenance));
        smol::future::zip(first, last).await;
        let found = observe(&self.accounts[which]);
        self.promises.borrow_mut()[which].settle(found);
    }

    /// Commits what was asked for, and notes the answer.
    async fn commit(&self, which: usize, at: usize) {
        let account = &self.accounts[which];
        let ops = self.promises.borrow()[which].asked[at].ops.clone();
        let committed = match transaction(account, &ops) {
            Ok(transaction) => transaction.commit().await,
            Err(error) => Err(error),
        };
        let answer = match committed {
            Ok(committed) => {
                let name = |id| account.view(id, |mailbox| mailbox.name.clone()).unwrap();
                let placed = committed.placed.iter().map(|(id, uid)| (name(id), uid));
                Answer::Done(committed.modseq, placed.collect())
            }
            Err(Error::NoSuchMailbox | Error::MailboxExists | Error::BadName(_)) => Answer::Refused,
            Err(Error::Full) if self.narrow => Answer::Full,
            Err(error) => panic!("{error} for {ops:?}"),
        };
        self.promises.borrow_mut()[which].asked[at].answer = answer;
    }
}

/// The transaction that asks the store for these changes.
pub fn transaction(account: &Rc<Account>, ops: &[Op]) -> Result<Transaction, Error> {
    let mut transaction = account.begin();
    let id = |name: &str| account.find(name).ok_or(Error::NoSuchMailbox);
    for op in ops {
        match op {
            Op::Deliver { mailbox, date, size, flags, note, collected, kept } => {
                let mut message = account.incoming();
                for piece in content(*date, *size).chunks(50_000) {
                    message.write(piece)?;
                }
                let (mailbox, (flags, keywords), date) = (id(mailbox)?, split(flags), *date as i64);
                match kept {
                    Some(kept) => transaction.deliver_as(mailbox, message, flags, &keywords, date, *kept),
                    None => transaction.deliver(mailbox, message, flags, &keywords, date),
                }
                if let Some(note) = note {
                    transaction.note_delivered(note.clone());
                }
                if *collected {
                    transaction.collected(SourceKey(1), &date.to_le_bytes(), date);
                }
            }
            Op::Copy { from, uid, to, .. } => transaction.copy(id(from)?, *uid, id(to)?),
            Op::Flags { mailbox, uids, change, flags } => {
                let (flags, keywords) = split(flags);
                transaction.flags(id(mailbox)?, uids, *change, flags, &keywords);
            }
            Op::Expunge { mailbox, uids } => transaction.expunge(id(mailbox)?, uids),
            Op::Note { mailbox, uid, note } => transaction.note(id(mailbox)?, *uid, note.clone()),
            Op::Restore { mailbox, numbers } => transaction.restore(id(mailbox)?, *numbers),
            Op::Create(name) => transaction.create_mailbox(name),
            Op::Rename { from, to } => transaction.rename_mailbox(from, to),
            Op::Delete(name) => transaction.delete_mailbox(name),
            Op::Subscribe { name, subscribed } => transaction.subscribe(name, *subscribed),
            Op::Annotate { mailbox, entry, value } => transaction.annotate(mailbox, entry, value.as_deref()),
            Op::Forget(identity) => {
                transaction.forget(SourceKey(1), &[identity_hash(&identity.to_le_bytes())]);
            }
        }
    }
    Ok(transaction)
}

/// Splits flags into those of RFC 3501 and keywords.
fn split<'a>(flags: &[&'a str]) -> (Flags, Vec<&'a str>) {
    let system = |flag: &&str| flag.starts_with('\\');
    let bits = flags.iter().copied().filter(system).map(|flag| match flag {
        "\\Seen" => Flags::SEEN,
        "\\Flagged" => Flags::FLAGGED,
        "\\Deleted" => Flags::DELETED,
        other => panic!("{other}"),
    });
    (bits.fold(Flags::NONE, Flags::with), flags.iter().copied().filter(|flag| !system(flag)).collect())
}

fn any<'a, T: Clone + 'a>(mut all: impl ExactSizeIterator<Item = &'a T>, choices: &mut Choices) -> T {
    let n = choices.below(all.len());
    all.nth(n).unwrap().clone()
}

const FLAGS: [&[&str]; 5] =
    [&[], &["\\Seen"], &["\\Flagged", "work"], &["\\Deleted", "x"], &["\\Seen", "$Forwarded", "work"]];

fn delivery(mailbox: &str, date: u64, choices: &mut Choices) -> Op {
    let size = if choices.chance(3) { 64 * 1024 + 1 } else { [0, 1, 300, 300, 500, 1200][choices.below(6)] };
    Op::Deliver {
        mailbox: mailbox.to_owned(),
        date,
        size,
        flags: FLAGS[choices.below(FLAGS.len())],
        note: choices.chance(30).then(|| vec![date as u8; 5]),
        collected: choices.chance(30),
        kept: None,
    }
}

/// A commit that may be under way beside others.
fn mail(model: &Model, date: u64, choices: &mut Choices) -> Vec<Op> {
    let mailbox = any(model.mailboxes.keys(), choices);
    let letters: Vec<(Uid, Letter)> = model.mailboxes[&mailbox]
        .letters
        .iter()
        .filter(|_| choices.chance(40))
        .map(|(uid, letter)| (*uid, letter.clone()))
        .collect();
    let uids: Vec<Uid> = letters.iter().map(|(uid, _)| *uid).collect();
    let flags = FLAGS[choices.below(FLAGS.len())];
    let kind = choices.below(14);
    match kind {
        // Mail with its numbers comes from another account; sometimes these numbers are already given out.
        0 => {
            let (uid_validity, uid, modseq) = (77, model.mailboxes[&mailbox].uid_next, date);
            let (uid_next, highest_modseq) = (uid + choices.below(3) as Uid, modseq);
            let mut ops = vec![Op::Restore {
                mailbox: mailbox.clone(),
                numbers: MailboxNumbers { uid_validity, uid_next, highest_modseq },
            }];
            for (n, uid) in [(0, uid_next + 2), (1, uid)].into_iter().take(1 + choices.below(2)) {
                let mut op = delivery(&mailbox, date + n, choices);
                if let Op::Deliver { kept, .. } = &mut op {
                    *kept = Some(MessageNumbers { uid_validity, uid, modseq: Some(modseq) });
                }
                ops.push(op);
            }
            ops
        }
        1..=8 if !uids.is_empty() => match kind {
            1..=3 => {
                let change = [FlagChange::Add, FlagChange::Remove, FlagChange::Replace][kind - 1];
                vec![Op::Flags { mailbox, uids, change, flags }]
            }
            4 | 5 => vec![Op::Expunge { mailbox, uids }],
            6 => vec![Op::Note { mailbox, uid: uids[0], note: vec![date as u8; 9] }],
            // A copy, or a move as one commit (RFC 6851).
            _ => {
                let to = any(model.mailboxes.keys(), choices);
                let copies = letters.into_iter().map(|(uid, letter)| Op::Copy {
                    from: mailbox.clone(),
                    uid,
                    to: to.clone(),
                    letter,
                });
                let mut ops: Vec<Op> = copies.collect();
                ops.extend((kind == 8).then(|| Op::Expunge { mailbox: mailbox.clone(), uids }));
                ops
            }
        },
        _ => vec![delivery(&mailbox, date, choices)],
    }
}

/// A commit that changes mailboxes, subscriptions or other things besides mail.
fn structural(model: &Model, date: u64, choices: &mut Choices) -> Vec<Op> {
    let name = any(model.mailboxes.keys(), choices);
    vec![match choices.below(8) {
        0 => Op::Create(format!("new/{}", choices.below(3))),
        1 => Op::Delete(name),
        2 | 3 => Op::Rename { from: name, to: format!("renamed/{}", choices.below(3)) },
        4 => Op::Subscribe { name, subscribed: choices.chance(50) },
        5 if !model.collected.is_empty() => Op::Forget(any(model.collected.iter(), choices)),
        _ => {
            let mailbox = if choices.chance(20) { String::new() } else { name };
            let value = choices.chance(70).then(|| content(date, 20));
            Op::Annotate { mailbox, entry: format!("/shared/{}", choices.below(3)), value }
        }
    }]
}

/// Lives from as many seeds as there is time for.
fn many(narrow: bool, turns: &[u64], enough: u64) {
    let workers = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let end = time_to_torture();
    let every = if end.is_some() { 1 } else { 7 };
    let work = |worker: u64| {
        clock::FIXED.set(Some(1_000_000));
        let (mut lives, mut seed) = (0, worker + 1);
        while end.map_or(lives * workers < enough, |end| Instant::now() < end) {
            let before =
                [Model::furnished(&STANDARD_MAILBOXES), Model::furnished(&["INBOX"])].map(Expected::new);
            let story = format!("seed {seed}");
            let fate = Fate { seed, turns: turns.to_vec(), every, narrow, story };
            lives += live(&SimFlash::default(), &fate, before);
            seed += workers;
        }
        lives
    };
    let lives: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|worker| scope.spawn(move || work(worker))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    println!("{lives} lives");
}

#[test]
fn what_any_life_has_acknowledged_is_there_in_all_that_follow() {
    many(false, &[12, 5, 2], 10_000);
}

#[test]
fn a_full_flash_in_any_life_takes_nothing_away_in_those_that_follow() {
    many(true, &[12, 6, 1], 3_000);
}
