//! A flash that fails: syncs that fail, octets that cannot be read, and room that runs out.

use super::*;
use crate::flash::Flash;
use crate::store::{ANNOTATIONS_MAX, SHARE};

/// The part of a dump that shows the accounts; the last line shows the configuration, which has promises of its own.
fn mail(dump: &str) -> &str {
    dump.rsplit_once('\n').map_or("", |(mail, _)| mail)
}

fn model(seed: u64, turns: u64) -> Vec<String> {
    let model = Model::default();
    workload(&SimFlash::default(), seed, turns, &model);
    model.0.into_inner()
}

#[test]
fn a_sync_that_fails_makes_nothing_durable_and_is_not_tried_again() {
    for seed in 1..=8 {
        let model = model(seed, 10);
        let undisturbed = SimFlash::default();
        workload(&undisturbed, seed, 10, &Model::default());
        for step in 0..undisturbed.steps() {
            let flash = SimFlash::default();
            flash.fail_sync_at(step);
            let promised = Promised::default();
            workload(&flash, seed, 10, &OneByOne(promised.clone()));
            let (acknowledged, begun) = (promised.acknowledged.get(), promised.begun.get());
            // What could be read before the restart may be gone after it; what was acknowledged must not be.
            for restarted in [flash.restart(step), flash.restart(step + 1)] {
                let found = found_after(&restarted);
                let allowed = &model[acknowledged.saturating_sub(1)..begun.min(model.len())];
                assert!(is_one_of(allowed, &found), "seed {seed}, sync at step {step}: {found}");
            }
        }
    }
}

/// As [`Promised`], but the commits run one after the other.
struct OneByOne(Promised);

impl Progress for OneByOne {
    fn begun(&self, commits: usize) {
        self.0.begun(commits);
    }
    fn acknowledged(&self, world: &World) {
        self.0.acknowledged(world);
    }
    fn side_by_side(&self) -> bool {
        false
    }
}

#[test]
fn after_a_failed_sync_an_account_shows_what_was_acknowledged_before() {
    for seed in 1..=10 {
        let flash = SimFlash::default();
        smol::block_on(async {
            let store = store(&flash);
            let account = store.account("a").await.unwrap();
            let mut choices = Choices::new(seed);
            for step in 1..=10 {
                deliver(&account, INBOX, step, &mut choices).unwrap().commit().await.unwrap();
            }
            let before = dump(&account);
            flash.fail_sync_at(flash.steps());
            let refused = deliver(&account, INBOX, 11, &mut choices).unwrap().commit().await;
            assert!(matches!(refused, Err(Error::Failed(_))), "{refused:?}");
            // Neither the open account shows the refused commit, nor the account that is opened anew, nor a restart.
            assert_eq!(dump(&account), before);
            let later = deliver(&account, INBOX, 12, &mut choices).unwrap().commit().await;
            assert!(matches!(later, Err(Error::Failed(_))), "{later:?}");
            let allowed = [before];
            assert!(is_one_of(&allowed, &dump(&store.account("a").await.unwrap())));
            assert!(is_one_of(
                &allowed,
                &dump(&self::store(&flash.restart(seed)).account("a").await.unwrap())
            ));
        });
    }
}

/// Catches: an opening that believes what only the system's memory holds, because a sync of the process before
/// failed. What is acknowledged after it would be lost with it at the next cut.
#[test]
fn what_a_failed_sync_left_in_memory_is_not_believed_by_the_next_process() {
    for seed in 1..=20 {
        let flash = SimFlash::default();
        let mut choices = Choices::new(seed);
        let before = smol::block_on(async {
            let account = store(&flash).account("a").await.unwrap();
            for step in 1..=5 {
                deliver(&account, INBOX, step, &mut choices).unwrap().commit().await.unwrap();
            }
            flash.fail_sync_at(flash.steps());
            deliver(&account, INBOX, 6, &mut choices).unwrap().commit().await.unwrap_err();
            dump(&account)
        });
        let flash = flash.killed();
        let after = smol::block_on(async {
            let account = store(&flash).account("a").await.unwrap();
            assert!(is_one_of(std::slice::from_ref(&before), &dump(&account)), "seed {seed}");
            for step in 7..=8 {
                deliver(&account, INBOX, step, &mut choices).unwrap().commit().await.unwrap();
            }
            dump(&account)
        });
        for cut in 0..4 {
            let found = smol::block_on(store(&flash.restart(cut)).account("a")).unwrap();
            assert!(is_one_of(std::slice::from_ref(&after), &dump(&found)), "seed {seed}, cut {cut}");
        }
    }
}

#[test]
fn a_read_that_fails_is_told_and_loses_nothing() {
    for seed in 1..=5 {
        let flash = SimFlash::default();
        workload(&flash, seed, 14, &Model::default());
        let whole = found_after(&flash);
        let before = flash.reads();
        assert_eq!(found_after(&flash), whole);
        for read in 1..=flash.reads() - before {
            flash.fail_read_at(flash.reads() + read);
            smol::block_on(async {
                let Ok(world) = World::open(&flash).await else { return };
                for account in [&world.account, &world.queue] {
                    for (mailbox, _) in account.mailboxes() {
                        let messages = account.view(mailbox, |mailbox| mailbox.messages.clone()).unwrap();
                        for message in messages {
                            drop(account.body(&message));
                        }
                    }
                }
                world.store.maintain().await;
            });
            flash.fail_read_at(0);
            assert_eq!(mail(&found_after(&flash)), mail(&whole), "seed {seed}, read {read}");
        }
    }
}

#[test]
fn a_flash_that_is_full_at_any_write_refuses_and_loses_nothing() {
    for seed in 1..=5 {
        let undisturbed = SimFlash::default();
        workload(&undisturbed, seed, 14, &Model::default());
        let used: usize = undisturbed.files().iter().map(|(_, len)| len).sum();
        for capacity in (0..used as u64 + 1000).step_by(97) {
            let flash = SimFlash::default();
            flash.limit(Some(capacity));
            let model = Model::default();
            workload(&flash, seed, 14, &model);
            let Some(last) = model.0.borrow().last().cloned() else { continue };
            smol::block_on(async {
                let world = World::open(&flash).await.unwrap();
                assert_eq!(mail(&world.dump()), mail(&last), "seed {seed}, {capacity} octets");
                // When there is room again, everything goes on.
                flash.limit(None);
                deliver(&world.account, INBOX, 7, &mut Choices::new(seed)).unwrap().commit().await.unwrap();
            });
        }
    }
}

/// Catches: a commit before which no segment could be begun, and which takes back the commit before it, because
/// `Log::begin` notes the place of the commit only when its segment is there.
#[test]
fn where_no_segment_can_be_begun_the_commit_before_stays() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let store = store(&flash);
        let account = store.account("a").await.unwrap();
        let subscribe = async |n: usize| {
            let mut transaction = account.begin();
            transaction.subscribe(&format!("{n}{}", "x".repeat(200)), true);
            transaction.commit().await
        };
        let mut n = 0;
        while flash.files().iter().all(|(_, len)| *len < 3000) {
            n += 1;
            subscribe(n).await.unwrap();
        }
        let shown = dump(&account);
        let used: usize = flash.files().iter().map(|(_, len)| len).sum();
        for room in (0..250).step_by(9) {
            flash.limit(Some((used + room) as u64));
            assert!(matches!(subscribe(n + 1).await, Err(Error::Full)), "{room} octets");
            assert_eq!(dump(&account), shown);
            assert_eq!(
                dump(&self::store(&flash.restart(1)).account("a").await.unwrap()),
                shown,
                "{room} octets"
            );
        }
        flash.limit(None);
        subscribe(n + 1).await.unwrap();
        let restarted = self::store(&flash.restart(1)).account("a").await.unwrap();
        assert_eq!(dump(&restarted), dump(&account));
    });
}

/// Catches: compaction without room for its first commit leaves an empty segment behind, which the next opening takes
/// for damage (in `Log::begin_segment`).
#[test]
fn an_empty_segment_is_no_damage() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let store = store(&flash);
        let account = store.account("a").await.unwrap();
        let shown = dump(&account);
        let used: usize = flash.files().iter().map(|(_, len)| len).sum();
        flash.limit(Some(used as u64 + 20));
        for _ in 0..3 {
            assert!(matches!(account.rewrite([1].into()).await, Err(Error::Full)));
        }
        flash.limit(None);
        assert_eq!(dump(&account), shown);
        deliver(&account, INBOX, 1, &mut Choices::new(1)).unwrap().commit().await.unwrap();
        store.mark_end();
        let restarted = self::store(&flash.restart(1));
        let reopened = restarted.account("a").await.unwrap();
        assert!(!reopened.state.borrow().damaged);
        assert_eq!(dump(&reopened), dump(&account));
        let report = restarted.check().await.unwrap();
        assert!(report.damage.is_empty(), "{report}");
    });
}

/// Catches: `replay` or `fsck` count what lies after the end of a segment that another one follows. A commit without
/// room was written there and taken back, and a cut may bring it back.
#[test]
fn what_was_taken_back_counts_for_nothing_when_it_comes_back() {
    // Whether a part of the commit can come back depends on where in a sector the log ends.
    let came_back = [60, 100, 200, 300].map(|room| {
        smol::block_on(async {
            let flash = SimFlash::default();
            let store = store(&flash);
            let account = store.account("a").await.unwrap();
            let subscribe = async |name: &str| {
                let mut transaction = account.begin();
                transaction.subscribe(name, true);
                transaction.subscribe(&name.repeat(50), true);
                transaction.commit().await
            };
            subscribe("first").await.unwrap();
            let files = flash.files();
            flash.limit(Some(files.iter().map(|(_, len)| *len as u64).sum::<u64>() + room));
            assert!(matches!(subscribe("refused").await, Err(Error::Full)));
            flash.limit(None);
            account.state.borrow_mut().log.begin_segment();
            subscribe("second").await.unwrap();
            let mut came_back = 0;
            for seed in 0..50 {
                let flash = flash.restart(seed);
                came_back += usize::from(flash.files()[0].1 > files[0].1);
                let store = self::store(&flash);
                assert_eq!(dump(&store.account("a").await.unwrap()), dump(&account));
                let report = store.check().await.unwrap();
                assert!(report.damage.is_empty(), "{report}");
            }
            came_back
        })
    });
    assert!(came_back.iter().sum::<usize>() > 0, "{came_back:?}");
}

/// The same as [`what_was_taken_back_counts_for_nothing_when_it_comes_back`], but compaction has removed the segment
/// that tells where the log ended.
///
/// Catches: a segment that is removed while something lies after the end of the one before it, which `fsck` then
/// calls damage (found by `lives` on a full flash).
#[test]
fn what_was_taken_back_is_gone_before_the_segment_that_tells_so() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let store = store(&flash);
        let account = store.account("a").await.unwrap();
        let mut message = account.incoming();
        message.write(&content(7, 300)).unwrap();
        let mut transaction = account.begin();
        transaction.deliver(INBOX, message, Flags::NONE, &[], 7);
        transaction.commit().await.unwrap();
        for name in ["second", "third"] {
            account.state.borrow_mut().log.begin_segment();
            let mut transaction = account.begin();
            transaction.subscribe(name, true);
            transaction.commit().await.unwrap();
        }
        // A cut may leave such octets after the end.
        let first = flash.open("accounts/a/log/00000001", crate::flash::Mode::Write).unwrap();
        first.write_at(first.len().unwrap(), &[7; 100]).unwrap();
        first.sync().await.unwrap();
        assert!(store.check().await.unwrap().damage.is_empty());
        account.write_checkpoint().await.unwrap();
        account.write_checkpoint().await.unwrap();
        account.state.borrow_mut().index.stirred = true;
        store.maintain().await;
        let segments = account.log(|log| log.segments()).unwrap();
        assert!(segments.contains(&1) && !segments.contains(&2), "{segments:?}");
        let report = store.check().await.unwrap();
        assert!(report.damage.is_empty(), "{report}");
    });
}

#[test]
fn new_mail_leaves_a_reserve_in_which_deleting_goes_on() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let store = store(&flash);
        let account = store.account("a").await.unwrap();
        flash.limit(Some(4_000_000));
        let mut delivered: Vec<Uid> = Vec::new();
        let deliver = async |len: usize| {
            let mut message = account.incoming();
            message.write(&content(7, len))?;
            let mut transaction = account.begin();
            transaction.deliver(INBOX, message, Flags::NONE, &[], 7);
            transaction.commit().await
        };
        let refused = loop {
            match deliver(60_000).await {
                Ok(committed) => delivered.extend(committed.placed.iter().map(|(_, uid)| uid)),
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, Error::Full), "{refused}");
        assert!(matches!(deliver(200_000).await, Err(Error::Full)));
        let reserve = flash.space().unwrap().reserve();
        assert!(flash.space().unwrap().free > reserve - 70_000, "the reserve is not used for mail");
        // Changing flags, subscribing and deleting need no more room than the reserve.
        for uid in &delivered {
            let mut transaction = account.begin();
            transaction.flags(INBOX, &[*uid], FlagChange::Add, Flags::DELETED, &[]);
            transaction.commit().await.unwrap();
        }
        let mut transaction = account.begin();
        transaction.expunge(INBOX, &delivered[1..]);
        transaction.commit().await.unwrap();
        // Compaction gives the room back.
        store.maintain().await;
        assert!(flash.space().unwrap().free > 3_000_000, "{:?}", flash.space());
        deliver(60_000).await.unwrap();
        assert_eq!(dump(&self::store(&flash.restart(1)).account("a").await.unwrap()), dump(&account));
    });
}

#[test]
fn a_quota_refuses_new_mail_and_nothing_else() {
    smol::block_on(async {
        let store = store(&SimFlash::default());
        store.set_quotas([("a".to_owned(), 10_000 + 2 * SHARE)].into());
        let account = store.account("a").await.unwrap();
        let deliver = async |len: usize| {
            let mut message = account.incoming();
            message.write(&content(7, len))?;
            let mut transaction = account.begin();
            transaction.deliver(INBOX, message, Flags::NONE, &[], 7);
            transaction.commit().await
        };
        deliver(9_000).await.unwrap();
        assert!(matches!(deliver(1_001).await, Err(Error::OverQuota)));
        assert!(account.fits(1, 1_001).is_err() && account.fits(5, 0).is_err());
        account.fits(1, 1_000).unwrap();
        deliver(1_000).await.unwrap();
        store.set_quotas(BTreeMap::new());
        deliver(1_001).await.unwrap();
    });
}

#[test]
fn an_account_that_nobody_uses_is_closed_and_opens_as_it_was() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let store = store(&flash);
        let account = store.account("a").await.unwrap();
        deliver(&account, INBOX, 1, &mut Choices::new(1)).unwrap().commit().await.unwrap();
        let shown = dump(&account);
        for _ in 0..3 {
            store.close_unused();
        }
        assert_eq!(store.open_accounts(), ["a"], "a session has it");
        drop(account);
        store.close_unused();
        store.close_unused();
        assert!(store.open_accounts().is_empty());
        // The end of its log is marked: a flipped bit in the last commit is damage, and not taken for a torn write.
        let log = flash.files().into_iter().find(|(path, _)| path.starts_with("accounts/a/log")).unwrap();
        let flipped = flash.copy();
        flipped.flip(&log.0, (log.1 - 60) * 8);
        assert!(!self::store(&flipped).check().await.unwrap().damage.is_empty());
        assert_eq!(dump(&store.account("a").await.unwrap()), shown);
    });
}

#[test]
fn commits_side_by_side_keep_the_limit_of_annotations() {
    smol::block_on(async {
        let store = store(&SimFlash::default());
        let account = store.account("a").await.unwrap();
        let many = |tree: &str| {
            let mut transaction = account.begin();
            for n in 0..ANNOTATIONS_MAX {
                transaction.annotate("INBOX", &format!("/{tree}/{n}"), Some(b"x"));
            }
            transaction.commit()
        };
        let (first, second) = smol::future::zip(many("shared"), many("private")).await;
        assert!(first.is_ok());
        assert!(matches!(second, Err(Error::TooManyAnnotations)), "{second:?}");
        assert_eq!(account.annotations(INBOX).len(), ANNOTATIONS_MAX);
    });
}
