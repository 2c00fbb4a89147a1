//! Messages that never arrive whole, and `\Recent` messages that a session has claimed.

use super::*;
use crate::flash::Flash;
use crate::store::Incoming;

const LARGE: usize = 64 * 1024 + 1;

fn body_files(flash: &SimFlash) -> usize {
    flash.files().iter().filter(|(path, _)| path.starts_with("accounts/a/body/")).count()
}

/// The first half of a message that goes to a file.
fn half(account: &Rc<Account>) -> Incoming {
    let mut message = account.incoming();
    message.write(&content(9, 40_000)).unwrap();
    message.write(&content(9, 120_000)).unwrap();
    message
}

/// An account with one message whose body lies in a file.
async fn with_a_large_message(flash: &SimFlash) -> Rc<Account> {
    let account = store(flash).account("a").await.unwrap();
    let large = deliver_octets(&account, INBOX, 1, LARGE, &mut Choices::new(1)).unwrap();
    large.commit().await.unwrap();
    assert_eq!(body_files(flash), 1);
    account
}

/// Catches: `Incoming` leaves its file when it is dropped.
#[test]
fn what_is_given_up_half_way_leaves_no_file() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let account = with_a_large_message(&flash).await;
        let message = half(&account);
        assert_eq!(body_files(&flash), 2);
        drop(message);
        assert_eq!(body_files(&flash), 1);
        // A commit that is refused leaves no file, either.
        let mut transaction = account.begin();
        transaction.deliver(MailboxId(99), half(&account), Flags::NONE, &[], 9);
        assert!(matches!(transaction.commit().await, Err(Error::NoSuchMailbox)));
        assert_eq!(body_files(&flash), 1);
        // Nor does a commit that is given up before it is in the log.
        let mut transaction = account.begin();
        transaction.deliver(INBOX, half(&account), Flags::NONE, &[], 9);
        let mut commit = Box::pin(transaction.commit());
        assert!(smol::future::poll_once(&mut commit).await.is_none(), "its file is being synced");
        drop(commit);
        assert_eq!(body_files(&flash), 1);
        assert_eq!(dump(&store(&flash.restart(1)).account("a").await.unwrap()), dump(&account));
    });
}

/// Catches: opening an account does not remove the files of `body/` that no message refers to, or removes one more.
#[test]
fn what_a_cut_or_a_kill_leaves_half_way_is_removed() {
    smol::block_on(async {
        for seed in 0..20 {
            let flash = SimFlash::default();
            let account = with_a_large_message(&flash).await;
            let shown = dump(&account);
            let message = half(&account);
            for next in [flash.restart(seed), flash.killed()] {
                let account = store(&next).account("a").await.unwrap();
                assert_eq!((body_files(&next), dump(&account)), (1, shown.clone()));
                // The number of the removed file is given to another message now.
                let large = deliver_octets(&account, INBOX, 2, LARGE, &mut Choices::new(2)).unwrap();
                large.commit().await.unwrap();
                let again = next.restart(seed);
                assert_eq!(dump(&store(&again).account("a").await.unwrap()), dump(&account));
                assert_eq!(body_files(&again), 2);
            }
            // The message is given up after all, but for a while a cut may bring its file back.
            drop(message);
            let next = flash.restart(seed);
            assert_eq!(dump(&store(&next).account("a").await.unwrap()), shown);
            assert_eq!(body_files(&next), 1);
        }
    });
}

/// The first UID that is `\Recent` after a cut, for several outcomes of the cut.
async fn recent_from(flash: &SimFlash) -> Vec<Uid> {
    let mut found = Vec::new();
    for seed in 0..8 {
        let account = store(&flash.restart(seed)).account("a").await.unwrap();
        found.push(account.view(INBOX, |inbox| inbox.recent_from).unwrap());
    }
    found.dedup();
    found
}

/// Catches: claims that are not written (`Planner::claimed_recent`), that are forgotten by a refused commit, or that
/// are missing in a checkpoint; messages that came after a claim and count as claimed.
#[test]
fn recent_messages_are_claimed_for_good_with_the_next_commit() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let account = store(&flash).account("a").await.unwrap();
        let mut choices = Choices::new(3);
        let mut deliver = async || {
            deliver(&account, INBOX, 1, &mut choices).unwrap().commit().await.unwrap();
        };
        deliver().await;
        deliver().await;
        assert_eq!((account.claim_recent(INBOX), account.claim_recent(INBOX)), (1, 3), "for one session");
        // After a cut the claim is forgotten: better \Recent once more than never.
        assert_eq!(recent_from(&flash).await, [1]);
        let mut refused = account.begin();
        refused.rename_mailbox("INBOX", "Drafts");
        assert!(matches!(refused.commit().await, Err(Error::MailboxExists)));
        assert_eq!(recent_from(&flash).await, [1]);
        deliver().await;
        assert_eq!(recent_from(&flash).await, [3], "the third came after the claim");
        deliver().await;
        assert_eq!(recent_from(&flash).await, [3], "a claim is written once and stays");
        assert_eq!(account.claim_recent(INBOX), 3);
        deliver().await;
        account.write_checkpoint().await.unwrap();
        assert_eq!(recent_from(&flash).await, [5]);
        // The log alone, without the newest checkpoint, tells the same.
        let flash = flash.copy();
        flash.remove("accounts/a/checkpoint").unwrap();
        assert_eq!(recent_from(&flash.copy()).await, [5]);
    });
}
