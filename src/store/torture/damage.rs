//! Flipped bits: each octet of a small store in turn. Each is found, and all that was not hit is saved.

use super::*;

/// A store with something of everything, closed in order, its segments all `rewritten` where that is wanted; what
/// it shows.
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

/// The dates that contents are known by, of all messages that can be read.
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
                    // One that was brought back has another date, but its own content.
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
        // Octets of the large body are like one another.
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
    let (whole, shown) = small_store(false);
    for name in ["checkpoint", "checkpoint.prev"] {
        let flash = whole.copy();
        flash.flip(&format!("accounts/a/{name}"), 1000);
        assert_eq!(found_after(&flash), shown, "{name}");
    }
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

/// Fails where `lost+found` is not synced into the folder above it, or its files not into `lost+found`.
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
