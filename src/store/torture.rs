//! The store on a flash whose power goes at every step.
//!
//! One workload, made of a seed, runs undisturbed first: what an account looks like after each commit is
//! the model. Then it runs again and again, cut at every step in turn. What is found after the restart must be
//! the model after the last commit that was acknowledged, or after the one that was under way.

use std::rc::Rc;

use super::*;
use crate::flash::ReadAt;
use crate::flash::sim::{Choices, SimFlash};

fn summarize(head: &[u8]) -> Vec<u8> {
    head.iter().take(40).copied().collect()
}

fn store(flash: &SimFlash) -> Store {
    Store::new(Rc::new(flash.clone()), summarize)
}

/// Octets that are recognised by their seed.
fn content(seed: u64, len: usize) -> Vec<u8> {
    let word = Choices::new(seed).next().to_le_bytes();
    word.iter().copied().cycle().take(len).collect()
}

/// Everything that the account shows: what must be equal after a restart.
fn dump(account: &Account) -> String {
    let mut text = String::new();
    for (id, name) in account.mailboxes() {
        account.view(id, |mailbox| {
            text += &format!(
                "{name} next={} modseq={} keywords={:?}\n",
                mailbox.uid_next, mailbox.highest_modseq, mailbox.keywords
            );
            for message in &mailbox.messages {
                let note = account.note(id, message.uid);
                text += &format!(
                    "  {} {:x} {} {} {note:?}",
                    message.uid, message.flags.0, message.date, message.modseq
                );
                let body = account.body(message).and_then(|body| {
                    let mut octets = vec![0; message.size as usize];
                    body.read_exact_at(0, &mut octets).map_err(|error| Error::io("body", error))?;
                    assert_eq!(body.len().unwrap(), octets.len() as u64);
                    Ok(crc32c::crc32c(&octets))
                });
                let summary = account.summary(message).map(|summary| crc32c::crc32c(&summary));
                text += &format!(" {:?} {:?}\n", body.unwrap(), summary.unwrap());
            }
        });
    }
    text + &format!(
        "{:?}\n{:?}\n{:?}",
        account.subscriptions(),
        account.usage(),
        account.all_collected(SourceKey(1))
    )
}

fn some_uids(account: &Account, mailbox: MailboxId, choices: &mut Choices) -> Vec<Uid> {
    let uids: Vec<Uid> =
        account.view(mailbox, |m| m.messages.iter().map(|m| m.uid).collect()).unwrap_or_default();
    uids.into_iter().filter(|_| choices.chance(30)).collect()
}

/// The `step`th commit of a workload.
async fn one_commit(account: &Rc<Account>, step: u64, choices: &mut Choices) -> Result<(), Error> {
    let mailboxes = account.mailboxes();
    let (mailbox, name) = mailboxes[choices.below(mailboxes.len())].clone();
    let (other, _) = mailboxes[choices.below(mailboxes.len())].clone();
    let mut transaction = account.begin();
    match choices.below(13) {
        0..=4 => {
            for n in 0..=choices.below(2) as u64 {
                let len = [0, 1, 300, 300, 3000, 64 * 1024, 64 * 1024 + 1, 70_000][choices.below(8)];
                let mut message = account.incoming();
                for piece in content(step * 10 + n, len).chunks(50_000) {
                    message.write(piece)?;
                }
                let keywords: &[&str] = if choices.chance(30) { &["$Forwarded", "work"] } else { &[] };
                transaction.deliver(mailbox, message, Flags::SEEN, keywords, step as i64);
                if choices.chance(30) {
                    transaction.note_delivered(vec![step as u8; 5]);
                }
                transaction.collected(SourceKey(1), &step.to_le_bytes(), step as i64);
            }
        }
        5 => transaction.flags(
            mailbox,
            &some_uids(account, mailbox, choices),
            FlagChange::Add,
            Flags::DELETED,
            &["x"],
        ),
        6 => {
            let uids = some_uids(account, mailbox, choices);
            transaction.flags(mailbox, &uids, FlagChange::Replace, Flags::FLAGGED, &[]);
        }
        7 => {
            // A move: RFC 6851's one commit.
            let uids = some_uids(account, mailbox, choices);
            uids.iter().for_each(|&uid| transaction.copy(mailbox, uid, other));
            transaction.expunge(mailbox, &uids);
        }
        8 => transaction.expunge(mailbox, &some_uids(account, mailbox, choices)),
        9 => transaction.create_mailbox(&format!("new/{step}")),
        10 if mailbox != INBOX && choices.chance(50) => transaction.delete_mailbox(&name),
        11 => {
            // Mail comes from another account, its numbers with it; sometimes they are given out already.
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
        10 => transaction.rename_mailbox(&name, &format!("renamed{step}")),
        _ => {
            transaction.subscribe(&name, choices.chance(50));
            let known = account.all_collected(SourceKey(1));
            transaction
                .forget(SourceKey(1), &known.iter().map(|(hash, _)| *hash).take(1).collect::<Vec<_>>());
        }
    }
    match transaction.commit().await {
        // A workload that asks for what is not there is answered so in every run alike.
        Ok(_) | Err(Error::NoSuchMailbox | Error::MailboxExists | Error::BadName(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Runs the workload until the flash fails: how many commits were acknowledged. `seen` is called after each.
fn workload(flash: &SimFlash, seed: u64, commits: u64, mut seen: impl FnMut(&Account)) -> u64 {
    smol::block_on(async {
        let Ok(account) = store(flash).account("a").await else { return 0 };
        seen(&account);
        let mut choices = Choices::new(seed);
        for step in 1..=commits {
            if one_commit(&account, step, &mut choices).await.is_err() {
                return step;
            }
            seen(&account);
        }
        commits + 1
    })
}

/// Every cut point of the workload of `seed`: how many there were.
fn cut_everywhere(seed: u64, commits: u64) -> u64 {
    let undisturbed = SimFlash::default();
    let mut model = Vec::new();
    workload(&undisturbed, seed, commits, |account| model.push(dump(account)));
    for cut in 0..undisturbed.steps() {
        let flash = SimFlash::default();
        flash.cut_at(cut);
        let acknowledged = workload(&flash, seed, commits, |_| {}) as usize;
        let restarted = flash.restart(seed ^ cut);
        let found = smol::block_on(async { dump(&store(&restarted).account("a").await.unwrap()) });
        let last = acknowledged.checked_sub(1).map_or(&model[0], |last| &model[last]);
        let under_way = model.get(acknowledged).unwrap_or(last);
        assert!(
            found == *last || found == *under_way,
            "seed {seed}, cut at step {cut}, {acknowledged} commits acknowledged.\nfound:\n{found}\nwanted:\n{last}\nor:\n{under_way}"
        );
        let strays: Vec<_> =
            restarted.files().into_iter().filter(|(path, _)| path.contains("/body/")).collect();
        let in_use = found.matches(' ').count();
        assert!(strays.len() <= in_use, "bodies left behind: {strays:?}");
    }
    undisturbed.steps()
}

#[test]
fn a_cut_at_any_step_keeps_what_was_acknowledged() {
    let mut cuts = 0;
    for seed in 1..=30 {
        cuts += cut_everywhere(seed, 25);
    }
    println!("{cuts} cuts");
}

#[test]
fn a_failed_sync_makes_nothing_durable() {
    for seed in 1..=10 {
        let flash = SimFlash::default();
        smol::block_on(async {
            let store = store(&flash);
            let account = store.account("a").await.unwrap();
            let mut choices = Choices::new(seed);
            for step in 1..=10 {
                one_commit(&account, step, &mut choices).await.unwrap();
            }
            let before = dump(&account);
            flash.fail_sync_at(flash.steps());
            let mut message = account.incoming();
            message.write(b"never acknowledged").unwrap();
            let mut transaction = account.begin();
            transaction.deliver(INBOX, message, Flags::NONE, &[], 0);
            assert!(matches!(transaction.commit().await, Err(Error::Failed(_))));
            // Neither the open account shows it, nor the one that is opened anew, nor a restart.
            assert_eq!(dump(&account), before);
            assert!(matches!(account.begin().commit().await, Err(Error::Failed(_)) | Ok(_)));
            assert_eq!(dump(&store.account("a").await.unwrap()), before);
            assert_eq!(dump(&self::store(&flash.restart(seed)).account("a").await.unwrap()), before);
        });
    }
}

#[test]
fn quota_and_a_full_flash_refuse_new_mail_and_nothing_else() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let store = store(&flash);
        store.set_quotas([("a".to_owned(), 10_000)].into());
        let account = store.account("a").await.unwrap();
        let deliver = async |len: usize| {
            let mut message = account.incoming();
            message.write(&content(7, len))?;
            let mut transaction = account.begin();
            transaction.deliver(INBOX, message, Flags::NONE, &[], 0);
            transaction.commit().await
        };
        deliver(9_000).await.unwrap();
        assert!(matches!(deliver(1_001).await, Err(Error::OverQuota)));
        deliver(1_000).await.unwrap();
        store.set_quotas(BTreeMap::new());
        deliver(1_001).await.unwrap();
        let used: usize = flash.files().iter().map(|(_, len)| len).sum();
        flash.limit(Some(used as u64 + 30_000));
        let before = dump(&account);
        for len in [40_000, 200_000] {
            assert!(matches!(deliver(len).await, Err(Error::Full)));
            assert_eq!(dump(&account), before);
        }
        let mut transaction = account.begin();
        transaction.expunge(INBOX, &[1, 2]);
        transaction.commit().await.unwrap();
        assert_eq!(dump(&self::store(&flash.restart(1)).account("a").await.unwrap()), dump(&account));
    });
}
