//! Tests of the store on a flash whose power is cut at every step.
//!
//! A workload, which follows from a seed, first runs undisturbed: what all accounts show after each commit is the
//! model. Then it runs again, with commits side by side, and the power is cut at every write and sync. What is found
//! after the restart must be the model after the last acknowledged commit, or after one of the commits that were
//! under way.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::store::Sizes;
use super::{Account, Store, Transaction};

use crate::clock;
use crate::config::{self, Config};
use crate::flash::ReadAt;
use crate::flash::sim::{Choices, SimFlash};
use crate::store::model::tests::recount;
use crate::store::{
    Committed, Error, FlagChange, Flags, INBOX, LastLine, Mailbox, MailboxId, MailboxNumbers, Message,
    MessageNumbers, SourceKey, Uid, Usage, identity_hash,
};

mod damage;
mod earlier;
mod expected;
mod extracts;
mod faults;
mod given_up;
mod largest;
mod last_lines;
mod ledger;
mod limits;
mod lives;
mod long;
mod model;
mod modseqs;
mod notes;
mod room;
mod save_dates;
mod side_by_side;
mod tail;

/// A store whose segments are so small that a few commits fill one.
fn store(flash: &SimFlash) -> Store {
    let mut store = Store::new(Rc::new(flash.clone()));
    store.sizes = Sizes { segment: 3000, dead: 1000, records: 20, piece: 1 };
    store
}

/// Octets that can be recognised by their seed.
fn content(seed: u64, len: usize) -> Vec<u8> {
    let word = Choices::new(seed).next().to_le_bytes();
    let mut octets: Vec<u8> = word.iter().copied().cycle().take(len).collect();
    // Up to this seed the octets must stay as they are: they are in `tests/data/v1`.
    if let [.., cr, lf] = &mut octets[..]
        && seed > 30
        && seed.is_multiple_of(2)
    {
        (*cr, *lf) = (b'\r', b'\n');
    }
    octets
}

/// Everything that an account shows, which must be equal after a restart. A message's INTERNALDATE says what its
/// content must be.
fn dump(account: &Account) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for (id, name) in account.mailboxes() {
        account.view(id, |mailbox| {
            let Mailbox { uid_validity, uid_next, highest_modseq, keywords, .. } = mailbox;
            writeln!(text, "{name} {uid_validity} {uid_next} {highest_modseq} {keywords:?}").unwrap();
            for message in &mailbox.messages {
                let Message { uid, flags, date, modseq, size, .. } = *message;
                let note = account.note(id, uid).unwrap();
                expected::octets(account, message);
                writeln!(text, "  {uid} {:x} {} {modseq} {size} {note:?}", flags.0, date.get()).unwrap();
                if let Some(date) = message.save_date() {
                    writeln!(text, "  saved {date}").unwrap();
                }
            }
        });
    }
    let (subscriptions, Usage { messages, octets, .. }) = (account.subscriptions(), account.usage());
    account.index(|index| assert_eq!(index.usage, recount(index), "counted another way than it is"));
    let annotations = account.index(|index| index.annotations.clone());
    text + &format!(
        "{subscriptions:?}\nUsage {{ messages: {messages}, octets: {octets} }}\n{annotations:?}\n{:?}\n",
        account.all_collected(SourceKey(1))
    )
}

/// An account, the queue and the configuration.
struct World {
    flash: SimFlash,
    store: Store,
    account: Rc<Account>,
    queue: Rc<Account>,
}

impl World {
    async fn open(flash: &SimFlash) -> Result<World, Error> {
        let store = store(flash);
        let (account, queue) = (store.account("a").await?, store.queue().await?);
        Ok(World { flash: flash.clone(), store, account, queue })
    }

    fn dump(&self) -> String {
        let config =
            config::file::load(&self.flash).unwrap().map(|loaded| loaded.config.server.max_connections);
        format!("{}queue\n{}{config:?}", dump(&self.account), dump(&self.queue))
    }
}

fn some_uids(account: &Account, mailbox: MailboxId, choices: &mut Choices) -> Vec<Uid> {
    let uids: Vec<Uid> =
        account.view(mailbox, |m| m.messages.iter().map(|m| m.uid).collect()).unwrap_or_default();
    uids.into_iter().filter(|_| choices.chance(30)).collect()
}

/// A transaction that delivers a message into `mailbox`. `date` determines the message's content.
fn deliver(
    account: &Rc<Account>,
    mailbox: MailboxId,
    date: u64,
    choices: &mut Choices,
) -> Result<Transaction, Error> {
    let lengths = [0, 1, 300, 300, 300, 300, 500, 1200];
    let len = lengths[choices.below(lengths.len())];
    deliver_octets(account, mailbox, date, len, choices)
}

fn deliver_octets(
    account: &Rc<Account>,
    mailbox: MailboxId,
    date: u64,
    len: usize,
    choices: &mut Choices,
) -> Result<Transaction, Error> {
    let mut transaction = account.begin();
    let mut message = account.incoming();
    for piece in content(date, len).chunks(50_000) {
        message.write(piece)?;
    }
    let keywords: &[&str] = if choices.chance(30) { &["$Forwarded", "work"] } else { &[] };
    transaction.deliver(mailbox, message, Flags::SEEN, keywords, date as i64);
    if choices.chance(30) {
        transaction.note_delivered(vec![date as u8; 5]);
    }
    if choices.chance(30) {
        transaction.collected(SourceKey(1), &date.to_le_bytes(), date as i64);
    }
    Ok(transaction)
}

/// Commits that may be under way together: none of them depends on what another one changes.
fn independent(world: &World, step: u64, choices: &mut Choices) -> Result<Vec<Transaction>, Error> {
    let account = if choices.chance(80) { &world.account } else { &world.queue };
    let mailboxes = account.mailboxes();
    let mut transactions = Vec::new();
    for n in 0..=choices.below(3) as u64 {
        let (mailbox, _) = mailboxes[choices.below(mailboxes.len())].clone();
        let uids = some_uids(account, mailbox, choices);
        let mut transaction = account.begin();
        match choices.below(8) {
            0 => transaction.flags(mailbox, &uids, FlagChange::Add, Flags::DELETED, &["x"]),
            1 => transaction.flags(mailbox, &uids, FlagChange::Replace, Flags::FLAGGED, &[]),
            2 | 3 => transaction.expunge(mailbox, &uids),
            4 => uids.iter().for_each(|&uid| transaction.note(mailbox, uid, vec![step as u8; 9])),
            _ => transaction = deliver(account, mailbox, step * 10 + n, choices)?,
        }
        transactions.push(transaction);
    }
    Ok(transactions)
}

/// A commit that depends on what is in the account.
fn dependent(account: &Rc<Account>, step: u64, choices: &mut Choices) -> Result<Transaction, Error> {
    let mailboxes = account.mailboxes();
    let (mailbox, name) = mailboxes[choices.below(mailboxes.len())].clone();
    let (other, _) = mailboxes[choices.below(mailboxes.len())].clone();
    let mut transaction = account.begin();
    match choices.below(9) {
        8 => {
            let name = if choices.chance(20) { "" } else { &name };
            let value = content(step, 20);
            let value = choices.chance(70).then_some(&value[..]);
            transaction.annotate(name, &format!("/shared/{}", choices.below(3)), value);
        }
        7 => {
            // Mail with its numbers comes from another account; sometimes these numbers are already given out.
            let (uid_validity, uid) = (77, step as u32 * 2);
            let numbers = MailboxNumbers { uid_validity, uid_next: uid, highest_modseq: step * 3 };
            transaction.restore(mailbox, numbers);
            for uid in [uid + 5, uid] {
                let mut message = account.incoming();
                message.write(&content(step, 300))?;
                let numbers = MessageNumbers { uid_validity, uid, modseq: Some(step * 3) };
                transaction.deliver_as(mailbox, message, Flags::NONE, &["x"], step as i64, numbers);
            }
        }
        0..=2 => {
            // A move as one commit (RFC 6851).
            let uids = some_uids(account, mailbox, choices);
            uids.iter().for_each(|&uid| transaction.copy(mailbox, uid, other));
            transaction.expunge(mailbox, &uids);
        }
        3 => transaction.create_mailbox(&format!("new/{step}")),
        4 if mailbox != INBOX && choices.chance(50) => transaction.delete_mailbox(&name),
        4 => transaction.rename_mailbox(&name, &format!("renamed{step}")),
        // A message too large for the log: its file is synced first, so that other commits might overtake it.
        5 if choices.chance(20) => {
            return deliver_octets(account, mailbox, step * 10, 64 * 1024 + 1, choices);
        }
        5 => transaction.subscribe(&name, choices.chance(50)),
        _ => {
            let known = account.all_collected(SourceKey(1));
            transaction
                .forget(SourceKey(1), &known.iter().map(|(hash, _)| *hash).take(1).collect::<Vec<_>>());
        }
    }
    Ok(transaction)
}

/// What a workload reports while it runs.
trait Progress {
    /// So many more commits are under way.
    fn begun(&self, commits: usize);
    /// One of the commits was acknowledged.
    fn acknowledged(&self, world: &World);
    /// Whether commits and maintenance run side by side.
    fn side_by_side(&self) -> bool;
}

async fn acknowledge(
    result: Result<Committed, Error>,
    world: &World,
    progress: &dyn Progress,
) -> Result<(), Error> {
    match result {
        // A workload that asks for something that does not exist gets the same answer in every run.
        Ok(_) | Err(Error::NoSuchMailbox | Error::MailboxExists | Error::BadName(_)) => {
            progress.acknowledged(world);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

type Commit<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;

/// The turn of a workload with the number `step`.
async fn turn(world: &World, step: u64, choices: &mut Choices, progress: &dyn Progress) -> Result<(), Error> {
    match choices.below(10) {
        0 => {
            progress.begun(1);
            let mut config = Config::default();
            config.server.max_connections = step as u32;
            let saved = config::file::save(&world.flash, &config).await;
            saved.map_err(|error| Error::Failed(error.to_string()))?;
            progress.acknowledged(world);
        }
        1..=3 => {
            progress.begun(1);
            let transaction = dependent(&world.account, step, choices)?;
            let maintenance = async {
                if progress.side_by_side() {
                    world.store.maintain().await;
                }
            };
            let (committed, ()) = smol::future::zip(transaction.commit(), maintenance).await;
            acknowledge(committed, world, progress).await?;
        }
        kind => {
            let transactions = independent(world, step, choices)?;
            progress.begun(transactions.len());
            if !progress.side_by_side() {
                for transaction in transactions {
                    acknowledge(transaction.commit().await, world, progress).await?;
                }
                return Ok(());
            }
            let mut commits = transactions.into_iter().map(|transaction| {
                Box::pin(async move { acknowledge(transaction.commit().await, world, progress).await })
            });
            let maintenance = async {
                if kind < 7 {
                    world.store.maintain().await;
                }
            };
            let nothing = || -> Commit<'_> { Box::pin(async { Ok(()) }) };
            let mut next = || commits.next().map_or_else(nothing, |commit| commit as Commit<'_>);
            let (first, second, third) = (next(), next(), next());
            let all =
                smol::future::zip(smol::future::zip(first, second), smol::future::zip(third, maintenance));
            let ((first, second), (third, ())) = all.await;
            first.and(second).and(third)?;
        }
    }
    Ok(())
}

/// Runs the workload until the flash fails or all turns are done.
fn workload(flash: &SimFlash, seed: u64, turns: u64, progress: &dyn Progress) {
    clock::FIXED.set(Some(1_000_000));
    smol::block_on(async {
        progress.begun(1);
        let Ok(world) = World::open(flash).await else { return };
        progress.acknowledged(&world);
        let mut choices = Choices::new(seed);
        for step in 1..=turns {
            if turn(&world, step, &mut choices, progress).await.is_err() {
                return;
            }
        }
        world.store.mark_end();
    });
}

/// Records the model: what the world shows after each commit.
#[derive(Default)]
struct Model(RefCell<Vec<String>>);

impl Progress for Model {
    fn begun(&self, _: usize) {}
    fn acknowledged(&self, world: &World) {
        self.0.borrow_mut().push(world.dump());
    }
    fn side_by_side(&self) -> bool {
        false
    }
}

/// Counts the commits that were begun and acknowledged, for the check after a cut.
#[derive(Default, Clone)]
struct Promised {
    begun: Rc<Cell<usize>>,
    acknowledged: Rc<Cell<usize>>,
}

impl Progress for Promised {
    fn begun(&self, commits: usize) {
        self.begun.set(self.begun.get() + commits);
    }
    fn acknowledged(&self, _: &World) {
        self.acknowledged.set(self.acknowledged.get() + 1);
    }
    fn side_by_side(&self) -> bool {
        true
    }
}

/// Tries every cut point of the workload of `seed`, with several outcomes of each. Returns how many cut points there
/// were.
fn cut_everywhere(seed: u64, turns: u64) -> u64 {
    const OUTCOMES: u64 = 3;
    let model = Model::default();
    workload(&SimFlash::default(), seed, turns, &model);
    let model = model.0.into_inner();
    let promised = Promised::default();
    let flash = SimFlash::default();
    let cuts = Rc::new(Cell::new(0));
    flash.watch({
        let (promised, model, cuts) = (promised.clone(), model.clone(), cuts.clone());
        move |flash| {
            let (acknowledged, begun) = (promised.acknowledged.get(), promised.begun.get());
            for outcome in 0..OUTCOMES {
                cuts.set(cuts.get() + 1);
                let restarted = flash.restart(seed ^ cuts.get());
                let found = found_after(&restarted);
                let allowed = &model[acknowledged.saturating_sub(1)..begun.min(model.len())];
                // Before anything was acknowledged nothing needs to be there, not even the configuration.
                assert!(
                    is_one_of(allowed, &found),
                    "seed {seed}, step {}, outcome {outcome}, {acknowledged} of {begun} commits acknowledged.\nfound:\n{found}\nallowed:\n{}",
                    flash.steps(),
                    allowed.join("\nor:\n")
                );
            }
        }
    });
    workload(&flash, seed, turns, &promised);
    assert_eq!(promised.acknowledged.get(), model.len(), "seed {seed}: the workload has come to its end");
    cuts.get()
}

/// Whether a restart may have found `found`. A recovery may have skipped some numbers of UIDNEXT and HIGHESTMODSEQ;
/// nothing else may differ.
fn is_one_of(allowed: &[String], found: &str) -> bool {
    // A mailbox's line: name, UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ, keywords.
    let numbers = |line: &str| -> Option<(String, u64, u64)> {
        let (start, keywords) = line.split_once(" [").filter(|_| !line.starts_with(' '))?;
        let mut fields = start.rsplitn(3, ' ');
        let (modseq, next) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some((format!("{} {keywords}", fields.next()?), next, modseq))
    };
    allowed.iter().any(|allowed| {
        allowed.lines().count() == found.lines().count()
            && allowed.lines().zip(found.lines()).all(|(allowed, found)| {
                allowed == found
                    || match (numbers(allowed), numbers(found)) {
                        (Some(a), Some(b)) => a.0 == b.0 && a.1 <= b.1 && a.2 <= b.2,
                        _ => false,
                    }
            })
    })
}

/// What is found after a restart, from which the store must be able to go on.
fn found_after(restarted: &SimFlash) -> String {
    smol::block_on(async {
        let world = World::open(restarted).await.unwrap();
        world.dump()
    })
}

/// When `make torture` ends; `None` in a plain test, which does a fixed amount of work.
fn time_to_torture() -> Option<Instant> {
    let seconds = std::env::var("PILLARBOX_TORTURE_SECONDS").ok()?.parse().ok()?;
    Some(Instant::now() + Duration::from_secs(seconds))
}

#[test]
fn a_cut_at_any_step_keeps_what_was_acknowledged() {
    let workers = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let work = |worker: u64, enough: &dyn Fn(u64) -> bool| {
        let (mut cuts, mut seed) = (0, worker + 1);
        while !enough(cuts) {
            cuts += cut_everywhere(seed, 10 + seed % 30);
            seed += workers;
        }
        cuts
    };
    let end = time_to_torture();
    let enough = |cuts: u64| end.map_or(cuts * workers >= 100_000, |end| Instant::now() >= end);
    let cuts: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|worker| scope.spawn(move || work(worker, &enough))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    println!("{cuts} cuts");
    assert!(end.is_some() || cuts >= 100_000);
}
