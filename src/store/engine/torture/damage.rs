//! Flips a bit in each octet of a small store in turn. Each flip must be found, and everything that was not hit
//! saved.

use super::*;

/// A store with something of everything, which was closed in order, and what it shows. With `rewritten` all segments
/// were rewritten.
fn small_store(rewritten: bool) -> (SimFlash, String) {
    let flash = SimFlash::default();
    clock::FIXED.set(Some(1_000_000));
    let shown = smol::block_on(async {
        let world = World::open(&flash).await.unwrap();
        let account = &world.account;
        let mut choices = Choices::new(5);
        for date in 1..=9 {
            let len = [40, 70, 0, 100][date as usize % 4];
            let mailbox = if date % 3 == 0 { INBOX } else { MailboxId(2) };
            let delivery = deliver_octets(account, mailbox, date, len, &mut choices).unwrap();
            delivery.commit().await.unwrap();
            let mut transaction = account.begin();
            transaction.flags(INBOX, &[1], FlagChange::Add, Flags::FLAGGED, &[]);
            if date == 5 {
                transaction.create_mailbox("new");
                transaction.expunge(MailboxId(2), &[2]);
            }
            transaction.commit().await.unwrap();
            if date == 5 || date == 7 {
                account.write_checkpoint().await.unwrap();
            }
        }
        if rewritten {
            account.rewrite((1..9).collect()).await.unwrap();
        }
        let large = deliver_octets(account, INBOX, 100, 64 * 1024 + 1, &mut choices).unwrap();
        large.commit().await.unwrap();
        deliver(&world.queue, INBOX, 101, &mut choices).unwrap().commit().await.unwrap();
        let shown = world.dump();
        world.store.mark_end();
        shown
    });
    (flash.copy(), shown)
}

/// The dates of all messages that can be read, recognised by their contents.
fn contents(flash: &SimFlash) -> Vec<u64> {
    let store = store(flash);
    smol::block_on(async {
        let mut dates = Vec::new();
        for account in [store.account("a").await.unwrap(), store.queue().await.unwrap()] {
            for (mailbox, _) in account.mailboxes() {
                for message in account.view(mailbox, |mailbox| mailbox.messages.clone()).unwrap() {
                    let body = account.body(&message).unwrap();
                    let mut octets = vec![0; message.size as usize];
                    body.read_exact_at(0, &mut octets).unwrap();
                    // A message that was brought back has another date, but its own content.
                    let candidates = if octets.len() > 9999 { 100..=100 } else { 1..=101 };
                    let known = candidates.into_iter().find(|date| content(*date, octets.len()) == octets);
                    dates.push(known.expect("no content that was never delivered"));
                }
            }
        }
        dates.sort_unstable();
        dates.dedup();
        dates
    })
}

#[test]
fn each_flipped_octet_is_found_and_all_the_rest_is_saved() {
    let (whole, shown) = small_store(false);
    let all = contents(&whole);
    assert_eq!(found_after(&whole), shown);
    let check = |flash: &SimFlash| smol::block_on(store(flash).check()).unwrap();
    assert!(check(&whole).damage.is_empty(), "{}", check(&whole));
    for (path, len) in whole.files() {
        // All octets of the large body are alike, so a few samples are enough.
        let step = if path.contains("/body/") { 4999 } else { 1 };
        for octet in (0..len).step_by(step) {
            let flash = whole.copy();
            flash.flip(&path, octet * 8 + octet % 8);
            let report = check(&flash);
            assert!(!report.damage.is_empty(), "{path} octet {octet} of {len}: nobody has seen it");
            let repaired = smol::block_on(store(&flash).repair()).unwrap();
            let after = check(&flash);
            assert!(
                after.damage.is_empty(),
                "{path} octet {octet}: {report}\nmended:\n{repaired}\nstill:\n{after}"
            );
            let saved = contents(&flash);
            let lost = all.iter().filter(|date| !saved.contains(date)).count();
            let says = report.damage.iter().filter(|line| line.ends_with("is lost")).count();
            assert!(
                lost <= says && lost <= 1,
                "{path} octet {octet}: {lost} messages lost, told of {says}\n{report}"
            );
        }
    }
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    for rewritten in [false, true] {
        let (whole, shown) = small_store(rewritten);
        for name in ["checkpoint", "checkpoint.prev"] {
            let flash = whole.copy();
            flash.flip(&format!("accounts/a/{name}"), 1000);
            assert_eq!(found_after(&flash), shown, "{name}, rewritten: {rewritten}");
        }
    }
}

/// Catches: `Checkpoints::cover` asks only the newest checkpoint, so that segments are removed that the previous one
/// needs.
#[test]
fn at_each_step_of_compaction_the_newest_checkpoint_may_be_damaged() {
    let flash = SimFlash::default();
    smol::block_on(async {
        let account = store(&flash).account("a").await.unwrap();
        account.write_checkpoint().await.unwrap();
        account.write_checkpoint().await.unwrap();
        for date in 1..=20 {
            deliver_octets(&account, INBOX, date, 500, &mut Choices::new(date))
                .unwrap()
                .commit()
                .await
                .unwrap();
        }
        let mut transaction = account.begin();
        transaction.expunge(INBOX, &(1..19).collect::<Vec<Uid>>());
        transaction.commit().await.unwrap();
        account.write_checkpoint().await.unwrap();
        let (shown, segments) = (dump(&account), account.log(|log| log.segments()).unwrap());
        flash.watch({
            let shown = shown.clone();
            move |flash| {
                let damaged = flash.copy();
                if damaged.files().iter().any(|(path, _)| path == "accounts/a/checkpoint") {
                    damaged.flip("accounts/a/checkpoint", 1000);
                }
                let account = smol::block_on(store(&damaged).account("a")).unwrap();
                assert!(is_one_of(std::slice::from_ref(&shown), &dump(&account)), "step {}", flash.steps());
            }
        });
        account.maintain().await.unwrap();
        assert_eq!(dump(&account), shown);
        assert!(!account.log(|log| log.segments()).unwrap().contains(&segments[0]), "it was compacted");
    });
}

/// Catches: `remove_drained` writes only one checkpoint, or a damaged checkpoint replaces the one before it. After
/// compaction the beginning of the log is gone, so one good checkpoint has to be left.
#[test]
fn a_newest_checkpoint_that_is_damaged_time_and_again_loses_nothing_after_compaction() {
    let (flash, _) = small_store(true);
    for date in 200..206 {
        flash.flip("accounts/a/checkpoint", 1000);
        smol::block_on(async {
            let store = store(&flash);
            let account = store.account("a").await.unwrap();
            deliver(&account, INBOX, date, &mut Choices::new(date)).unwrap().commit().await.unwrap();
            let shown = dump(&account);
            account.write_checkpoint().await.unwrap();
            if date % 2 == 0 {
                account.rewrite((1..account.log(|log| log.end()).segment + 1).collect()).await.unwrap();
            }
            store.mark_end();
            assert_eq!(dump(&account), shown);
            let damaged = flash.copy();
            damaged.flip("accounts/a/checkpoint", 1000);
            assert_eq!(dump(&self::store(&damaged).account("a").await.unwrap()), shown);
        });
    }
}

/// Catches: `drain` skips a damaged body in silence, or `maintain` goes on after it has found one.
#[test]
fn damage_that_compaction_finds_stays_for_fsck() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let store = store(&flash);
        let account = store.account("a").await.unwrap();
        // Each third message stays. One of these is damaged in a place that opening does not read.
        for date in 1..=30 {
            deliver_octets(&account, INBOX, date, 400, &mut Choices::new(date))
                .unwrap()
                .commit()
                .await
                .unwrap();
        }
        let hit = account.view(INBOX, |inbox| *inbox.message(9).unwrap()).unwrap();
        let path = format!("accounts/a/log/{:08}", { hit.segment });
        flash.flip(&path, (hit.offset as usize + 200) * 8);
        let gone: Vec<Uid> = (1..=30).filter(|uid| uid % 3 != 0).collect();
        let mut transaction = account.begin();
        transaction.expunge(INBOX, &gone);
        transaction.commit().await.unwrap();
        let log = |flash: &SimFlash| {
            let files = flash.files().into_iter().map(|(path, _)| path);
            files.filter(|path| path.starts_with("accounts/a/log")).collect::<Vec<_>>()
        };
        let before = log(&flash);
        for _ in 0..3 {
            store.maintain().await;
        }
        let readable = |account: &Account| {
            let messages = account.view(INBOX, |inbox| inbox.messages.clone()).unwrap();
            let whole = messages.iter().filter(|message| account.body(message).is_ok());
            (messages.len(), whole.map(|message| message.uid).collect::<Vec<Uid>>())
        };
        let all_but_one: Vec<Uid> = (1..=10).map(|n| n * 3).filter(|uid| *uid != 9).collect();
        assert_eq!(readable(&account), (10, all_but_one.clone()));
        assert!(before.iter().all(|path| log(&flash).contains(path)), "nothing is removed");
        store.mark_end();
        for next in [flash.copy(), flash.restart(1), flash.killed()] {
            let store = self::store(&next);
            let report = store.check().await.unwrap();
            assert_eq!(report.damage.len(), 1, "{report}");
            assert_eq!(readable(&store.account("a").await.unwrap()), (10, all_but_one.clone()));
            let report = self::store(&next).repair().await.unwrap();
            let account = self::store(&next).account("a").await.unwrap();
            assert_eq!(readable(&account), (9, all_but_one.clone()), "{report}");
            let saved = next.files().iter().filter(|(path, _)| path.starts_with("lost+found/")).count();
            assert_eq!(saved, 1, "{report}");
        }
    });
}

#[test]
fn where_no_checkpoint_and_no_beginning_is_left_nothing_is_thrown_away() {
    let (whole, _) = small_store(true);
    let log = |flash: &SimFlash| {
        flash.files().into_iter().filter(|(path, _)| path.starts_with("accounts/a/log")).collect::<Vec<_>>()
    };
    assert!(
        log(&whole).iter().all(|(path, _)| !path.ends_with("00000001")),
        "compaction has removed the first"
    );
    let flash = whole.copy();
    for name in ["checkpoint", "checkpoint.prev"] {
        flash.flip(&format!("accounts/a/{name}"), 2000);
    }
    smol::block_on(async {
        assert!(matches!(store(&flash).account("a").await.err(), Some(Error::Damaged(_))));
        assert_eq!(log(&flash), log(&whole));
        let report = store(&flash).repair().await.unwrap();
        assert!(report.damage.len() >= 2, "{report}");
        assert!(store(&flash).check().await.unwrap().damage.is_empty());
        let saved = contents(&flash);
        let all = contents(&whole);
        assert!(saved.len() * 2 > all.len(), "{saved:?} of {all:?}");
    });
}

/// Catches: `lost+found` is not synced into the folder above it, or its files are not synced into `lost+found`.
#[test]
fn what_fsck_puts_aside_outlasts_a_cut() {
    let flash = small_store(false).0;
    let (path, len) = flash.files().into_iter().find(|(path, _)| path.contains("/body/")).unwrap();
    flash.flip(&path, len * 4);
    smol::block_on(async {
        let report = store(&flash).repair().await.unwrap();
        assert_eq!(report.damage.len(), 1, "{report}");
        for seed in 0..8 {
            let files = flash.restart(seed).files();
            let saved = files.iter().find(|(path, _)| path.starts_with("lost+found/"));
            assert_eq!(saved.map(|(_, saved)| *saved), Some(len), "cut {seed}");
        }
    });
}
