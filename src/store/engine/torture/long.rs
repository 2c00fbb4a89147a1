//! Long commits: they are planned, written and applied in pieces, and are still one commit.

use smol::future::{poll_once, yield_now};

use super::*;

const MESSAGES: u32 = 40;

/// An account with [`MESSAGES`] messages of one octet each in its INBOX.
async fn filled(flash: &SimFlash) -> Rc<Account> {
    let account = store(flash).account("a").await.unwrap();
    for date in 0..u64::from(MESSAGES) {
        let message = deliver_octets(&account, INBOX, date, 1, &mut Choices::new(date));
        message.unwrap().commit().await.unwrap();
    }
    account
}

/// A transaction like COPY 1:* to Drafts, or like MOVE.
fn copy_all(account: &Rc<Account>, moves: bool) -> Transaction {
    let uids = Vec::from_iter(1..=MESSAGES);
    let mut transaction = account.begin();
    transaction.copy_all(INBOX, &uids, account.find("Drafts").unwrap());
    if moves {
        transaction.expunge(INBOX, &uids);
    }
    transaction
}

fn reopened(flash: &SimFlash) -> Rc<Account> {
    smol::block_on(store(flash).account("a")).unwrap()
}

fn count(account: &Account, name: &str) -> usize {
    account.view(account.find(name).unwrap(), |mailbox| mailbox.messages.len()).unwrap()
}

/// Catches: a marker that is written before the last piece; pieces that are commits of their own; a long commit that
/// is acknowledged before its sync.
#[test]
fn a_long_commit_is_all_or_nothing_wherever_the_power_goes() {
    for moves in [false, true] {
        let flash = SimFlash::default();
        let all = MESSAGES as usize;
        let account = smol::block_on(filled(&flash));
        let watched = Rc::new(Cell::new(0));
        let seen = watched.clone();
        flash.watch(move |flash| {
            for seed in 0..3 {
                let found = reopened(&flash.restart(flash.steps() * 3 + seed));
                let (here, there) = (count(&found, "INBOX"), count(&found, "Drafts"));
                let after = (if moves { 0 } else { all }, all);
                assert!((here, there) == (all, 0) || (here, there) == after, "{here} and {there}");
                seen.set(seen.get() + 1);
            }
        });
        smol::block_on(copy_all(&account, moves).commit()).unwrap();
        flash.watch(|_| {});
        assert!(watched.get() > 0);
        for flash in [flash.restart(1), flash.killed()] {
            assert_eq!(dump(&reopened(&flash)), dump(&account));
        }
    }
}

/// Catches: a `Writing` that is not taken back when it is dropped.
#[test]
fn a_long_commit_that_is_given_up_leaves_nothing_or_all() {
    smol::block_on(async {
        let mut done = 0;
        for steps in 0..120 {
            let flash = SimFlash::default();
            let account = filled(&flash).await;
            let before = dump(&account);
            let mut commit = Box::pin(copy_all(&account, true).commit());
            for _ in 0..steps {
                if poll_once(&mut commit).await.is_some() {
                    break;
                }
            }
            drop(commit);
            // A piece is one message here.
            let given_up = steps < u64::from(MESSAGES);
            if given_up {
                assert_eq!(dump(&account), before, "{steps}");
            }
            let mut next = account.begin();
            next.subscribe("other", true);
            next.commit().await.unwrap();
            let (here, there) = (count(&account, "INBOX"), count(&account, "Drafts"));
            let all = MESSAGES as usize;
            assert!((here, there) == (all, 0) || (here, there) == (0, all), "{steps}: {here} and {there}");
            assert!(!given_up || there == 0, "{steps}: it is given up");
            done += usize::from(there == all);
            assert_eq!(dump(&reopened(&flash.restart(steps))), dump(&account));
        }
        assert!(done > 0, "what is in the log when it is given up comes to its end with the next");
    });
}

/// Catches: a delivery that begins while a long commit is under way and does not come whole after it.
#[test]
fn what_comes_meanwhile_comes_after_a_long_commit() {
    smol::block_on(async {
        for steps in 0..120 {
            let flash = SimFlash::default();
            let account = filled(&flash).await;
            let drafts = account.find("Drafts").unwrap();
            let mut commit = Box::pin(copy_all(&account, false).commit());
            let mut is_done = false;
            let mut go_on = async || is_done = is_done || poll_once(&mut commit).await.is_some();
            for _ in 0..steps {
                go_on().await;
            }
            let delivery =
                |date| deliver_octets(&account, drafts, date, 70_000, &mut Choices::new(1)).unwrap();
            let (one, two) = (delivery(100), delivery(101));
            account.claim_recent(INBOX);
            let (one, two) =
                beside(async || go_on().await, smol::future::zip(one.commit(), two.commit())).await;
            let uids = [one, two].map(|done| done.unwrap().placed.first().unwrap().1);
            if steps > 0 {
                assert_eq!(uids, [MESSAGES + 1, MESSAGES + 2], "{steps}");
            }
            assert_eq!(count(&account, "Drafts"), MESSAGES as usize + 2);
            assert_eq!(dump(&reopened(&flash.restart(steps))), dump(&account));
        }
    });
}

/// Polls `others` to its end, and `go_on` in between: a long commit must go on only when the task that waits for it
/// is polled.
async fn beside<T>(mut go_on: impl AsyncFnMut(), others: impl Future<Output = T>) -> T {
    let mut others = Box::pin(others);
    for round in 0..10_000 {
        if let Some(done) = poll_once(&mut others).await {
            return done;
        }
        go_on().await;
        if round > 200 {
            smol::Timer::after(Duration::from_millis(1)).await;
        }
    }
    panic!("commits wait for ever");
}

/// Catches: a commit that is checked against an index in which a long commit is half applied: here it would copy what
/// the long commit has removed.
#[test]
fn what_comes_behind_a_long_commit_sees_all_of_it() {
    smol::block_on(async {
        for steps in 1..120 {
            let flash = SimFlash::default();
            let account = filled(&flash).await;
            let mut commit = Box::pin(copy_all(&account, true).commit());
            let mut is_done = false;
            let mut go_on = async || is_done = is_done || poll_once(&mut commit).await.is_some();
            for _ in 0..steps {
                go_on().await;
            }
            let mut late = account.begin();
            late.copy(INBOX, MESSAGES, account.find("Sent").unwrap());
            drop(beside(async || go_on().await, late.commit()).await);
            beside(async || go_on().await, account.settled()).await.unwrap();
            assert_eq!((count(&account, "INBOX"), count(&account, "Sent")), (0, 0), "{steps}");
            assert_eq!(dump(&reopened(&flash.restart(steps))), dump(&account));
        }
    });
}

/// Catches: a long commit that forgets which file numbers were given out, and which `\Recent` messages were claimed,
/// while it was planned.
#[test]
fn what_is_given_out_during_a_long_commit_is_not_given_again() {
    smol::block_on(async {
        for steps in 1..MESSAGES {
            let flash = SimFlash::default();
            let account = filled(&flash).await;
            let mut commit = Box::pin(copy_all(&account, false).commit());
            for _ in 0..steps {
                assert!(poll_once(&mut commit).await.is_none());
            }
            let delivery =
                |date| deliver_octets(&account, INBOX, date, 70_000, &mut Choices::new(1)).unwrap();
            let before = delivery(100);
            account.claim_recent(INBOX);
            commit.await.unwrap();
            let after = delivery(101);
            before.commit().await.unwrap();
            after.commit().await.unwrap();
            // The date tells what the content must be.
            let found = reopened(&flash.restart(steps.into()));
            assert_eq!(dump(&found), dump(&account));
            assert_eq!(found.claim_recent(INBOX), MESSAGES + 1, "{steps}: the first that was not claimed");
        }
    });
}

/// Catches: compaction that begins a segment while a long commit is being written.
#[test]
fn compaction_waits_for_a_long_commit() {
    smol::block_on(async {
        for steps in 1..MESSAGES {
            let flash = SimFlash::default();
            let account = filled(&flash).await;
            let segments = account.log(|log| log.segments()).unwrap();
            let mut commit = Box::pin(copy_all(&account, true).commit());
            let mut done = None;
            let mut go_on = async || {
                if done.is_none() {
                    done = poll_once(&mut commit).await;
                }
            };
            for _ in 0..steps {
                go_on().await;
            }
            let rewritten = account.rewrite(segments.into_iter().collect());
            beside(async || go_on().await, rewritten).await.unwrap();
            beside(async || go_on().await, account.settled()).await.unwrap();
            assert!(done.is_some_and(|done| done.is_ok()), "{steps}");
            assert_eq!((count(&account, "INBOX"), count(&account, "Drafts")), (0, MESSAGES as usize));
            assert_eq!(dump(&reopened(&flash.copy())), dump(&account));
        }
    });
}

/// Catches: a long commit that is written or applied in one go: the test counts what is written and what becomes
/// visible between two turns of other tasks.
#[test]
fn others_get_a_turn_between_the_pieces_of_a_long_commit() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let account = filled(&flash).await;
        let mut commit = Box::pin(copy_all(&account, false).commit());
        let (mut turns, mut shown, mut most) = (0, 0, 0);
        while poll_once(&mut commit).await.is_none() {
            let now = count(&account, "Drafts");
            most = most.max(now - shown);
            shown = now;
            turns += 1;
            yield_now().await;
            if turns > 200 {
                smol::Timer::after(Duration::from_millis(1)).await;
            }
        }
        assert_eq!(most, 1, "messages applied between two turns: one piece");
        assert!(turns >= 2 * MESSAGES, "{turns} turns to write and to apply {MESSAGES} pieces");
    });
}

/// Catches: limits that are checked only when everything is written, or not at all.
#[test]
fn a_long_commit_that_is_too_large_writes_nothing() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let account = filled(&flash).await;
        let before = dump(&account);
        account.set_quota(Some(account.usage().charged() + 20 * crate::store::SHARE));
        let steps = flash.steps();
        assert!(matches!(copy_all(&account, false).commit().await, Err(Error::OverQuota)));
        assert_eq!((flash.steps(), dump(&account)), (steps, before));
        // A commit that removes as much as it adds is within the quota.
        copy_all(&account, true).commit().await.unwrap();
        assert_eq!(dump(&reopened(&flash.restart(1))), dump(&account));
    });
}
