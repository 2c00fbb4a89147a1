//! Mod-sequences and expunged UIDs (RFC 7162), as clients rely on them.

use smol::future::{poll_once, yield_now, zip};

use super::*;

const MESSAGES: u32 = 40;

async fn filled(flash: &SimFlash) -> Rc<Account> {
    let account = store(flash).account("a").await.unwrap();
    for date in 0..u64::from(MESSAGES) {
        let message = deliver_octets(&account, INBOX, date, 1, &mut Choices::new(date));
        message.unwrap().commit().await.unwrap();
    }
    account
}

fn highest(account: &Account, mailbox: MailboxId) -> u64 {
    account.view(mailbox, |mailbox| mailbox.highest_modseq).unwrap()
}

async fn expunge(account: &Rc<Account>, uids: &[Uid]) -> u64 {
    let mut transaction = account.begin();
    transaction.expunge(INBOX, uids);
    transaction.commit().await.unwrap().modseq
}

/// Catches: a HIGHESTMODSEQ that covers a long commit while only part of it is visible: a client that later asks for
/// what came after that HIGHESTMODSEQ would never hear of the rest.
#[test]
fn a_highestmodseq_is_of_whole_commits() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let account = filled(&flash).await;
        let drafts = account.find("Drafts").unwrap();
        let before = (highest(&account, INBOX), highest(&account, drafts));
        let uids = Vec::from_iter(1..=MESSAGES);
        let mut transaction = account.begin();
        transaction.copy_all(INBOX, &uids, drafts);
        transaction.flags(INBOX, &[1, 3, 5], FlagChange::Add, Flags::SEEN, &[]);
        transaction.expunge(INBOX, &Vec::from_iter(20..=MESSAGES));
        let mut commit = Box::pin(transaction.commit());
        let mut halves = 0;
        let committed = loop {
            if let Some(done) = poll_once(&mut commit).await {
                break done.unwrap();
            }
            let now = (highest(&account, INBOX), highest(&account, drafts));
            let count = |mailbox| account.view(mailbox, |mailbox| mailbox.messages.len()).unwrap();
            let here = (count(INBOX), count(drafts));
            if here != (19, MESSAGES as usize) {
                assert_eq!(now, before, "with {here:?} messages");
                halves += u32::from(here != (MESSAGES as usize, 0));
            }
            yield_now().await;
        };
        assert!(halves > 0, "it was never half there");
        let now = (highest(&account, INBOX), highest(&account, drafts));
        assert_eq!(now, (committed.modseq, committed.modseq));
        assert_eq!(account.expunged_since(INBOX, before.0), Some(vec![(20, MESSAGES)]));
    });
}

/// Catches: a check against applied changes only, by which both of two commits that share a sync would succeed (RFC
/// 7162 section 3.1: "only one client can change the message state at any given time").
#[test]
fn of_two_who_set_the_same_mark_one_succeeds() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let account = filled(&flash).await;
        let known = highest(&account, INBOX);
        let mark = |uids: &[Uid], keyword: &str| {
            let mut transaction = account.begin();
            transaction.flags(INBOX, uids, FlagChange::Add, Flags::NONE, &[keyword]);
            transaction.unless_changed_since(known);
            transaction.commit()
        };
        let (one, other) = zip(mark(&[7, 8], "one"), mark(&[8, 9], "other")).await;
        let (one, other) = (one.unwrap().modified, other.unwrap().modified);
        assert_eq!((one.ranges(), other.ranges()), (&[][..], &[(8, 8)][..]));
        let third = mark(&[7, 9, 10], "third").await.unwrap().modified;
        assert_eq!(third.ranges(), [(7, 7), (9, 9)]);
        let marks = |uid| {
            let names = account.view(INBOX, |inbox| {
                let places = inbox.message(uid).unwrap().flags.keywords();
                places.map(|place| inbox.keywords[place].clone()).collect::<Vec<_>>()
            });
            names.unwrap().into_iter().filter(|name| ["one", "other", "third"].contains(&name.as_str()))
        };
        let found: Vec<Vec<String>> = (7..=10).map(|uid| marks(uid).collect()).collect();
        assert_eq!(found, [["one"], ["one"], ["other"], ["third"]]);
        let names = || account.view(INBOX, |inbox| inbox.keywords.clone());
        let before = names();
        // When no message is left to change, nothing is written, not even the keyword's name.
        assert_eq!(mark(&[7], "fourth").await.unwrap().modified.ranges(), [(7, 7)]);
        assert_eq!(names(), before);
    });
}

/// Catches: a list of expunged UIDs that claims to be complete although it does not reach back before the last
/// restart.
#[test]
fn what_was_expunged_is_known_as_far_as_the_checkpoint() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let account = filled(&flash).await;
        let start = highest(&account, INBOX);
        let first = expunge(&account, &[3, 5]).await;
        let reopened = store(&flash.killed()).account("a").await.unwrap();
        assert_eq!(reopened.expunged_since(INBOX, start), Some(vec![(3, 3), (5, 5)]), "no checkpoint yet");
        account.write_checkpoint().await.unwrap();
        let second = expunge(&account, &[4]).await;
        assert_eq!(account.expunged_since(INBOX, start), Some(vec![(3, 5)]));
        let reopened = store(&flash.killed()).account("a").await.unwrap();
        assert_eq!(reopened.expunged_since(INBOX, start), None);
        assert_eq!(reopened.expunged_since(INBOX, first), Some(vec![(4, 4)]));
        assert_eq!(reopened.expunged_since(INBOX, second), Some(vec![]));
    });
}

/// Catches: numbers that were skipped because records were lost, while the expunges in these records count as known.
#[test]
fn nothing_is_known_of_what_was_lost() {
    smol::block_on(async {
        let account = filled(&SimFlash::default()).await;
        let known = expunge(&account, &[3]).await;
        assert_eq!(account.expunged_since(INBOX, known), Some(vec![]));
        let mut transaction = account.begin();
        transaction.skip_numbers(100);
        transaction.commit().await.unwrap();
        assert_eq!(account.expunged_since(INBOX, known + 100), None);
        assert_eq!(account.expunged_since(INBOX, highest(&account, INBOX)), Some(vec![]));
    });
}
