//! The limits of an account: what reaches a limit is accepted and can be read back, and what exceeds it is refused.

use super::*;
use crate::store::format::frame::HEAD_MAX;
use crate::store::mailbox_name::{LEVELS_MAX, NAME_MAX};
use crate::store::{
    ALL_ANNOTATIONS_MAX, ANNOTATION_MAX, ANNOTATIONS_MAX, KEYWORD_MAX, MAILBOXES_MAX, MESSAGES_MAX, NOTE_MAX,
    SHARE, SUBSCRIPTIONS_MAX,
};

/// A store with the sizes that are used outside of tests, and one of its accounts.
async fn open(flash: &SimFlash) -> (Store, Rc<Account>) {
    let store = Store::new(Rc::new(flash.clone()));
    let account = store.account("a").await.unwrap();
    (store, account)
}

/// Restarts from the log, then from a checkpoint, and compares what is shown.
async fn reopens<T: PartialEq + std::fmt::Debug>(flash: &SimFlash, show: impl Fn(&Account) -> T) {
    let (_, account) = open(&flash.restart(1)).await;
    let shown = show(&account);
    account.write_checkpoint().await.unwrap();
    drop(account);
    let (store, account) = open(&flash.restart(2)).await;
    assert_eq!(show(&account), shown);
    account.write_checkpoint().await.unwrap();
    drop((store, account));
    let (store, account) = open(&flash.restart(3)).await;
    assert_eq!(show(&account), shown);
    assert!(store.check().await.unwrap().damage.is_empty());
}

/// A name of 512 octets.
fn name(n: u64) -> String {
    format!("{n:0>511}x")
}

#[test]
fn the_longest_and_the_deepest_name() {
    // Catches: a limit that is off by one, and a limit that can be evaded by renaming a mailbox above.
    smol::block_on(async {
        let flash = SimFlash::default();
        let (_store, account) = open(&flash).await;
        let change = async |of: &dyn Fn(&mut Transaction)| {
            let mut transaction = account.begin();
            of(&mut transaction);
            transaction.commit().await
        };
        let deep = |levels: usize| vec!["l"; levels].join("/");
        let long = |octets: usize| format!("long/{}", "x".repeat(octets - 5));
        for fits in [deep(LEVELS_MAX), long(NAME_MAX)] {
            change(&|it| it.create_mailbox(&fits)).await.unwrap();
            change(&|it| it.subscribe(&fits, true)).await.unwrap();
        }
        for beyond in [deep(LEVELS_MAX + 1), long(NAME_MAX + 1)] {
            let created = change(&|it| it.create_mailbox(&beyond)).await;
            let subscribed = change(&|it| it.subscribe(&beyond, true)).await;
            assert!(matches!((created, subscribed), (Err(Error::BadName(_)), Err(Error::BadName(_)))));
        }
        for (from, to) in [("l", "l2/l"), ("long", "longer")] {
            let renamed = change(&|it| it.rename_mailbox(from, to)).await;
            assert!(matches!(renamed, Err(Error::BadName(_))), "{renamed:?}");
        }
        assert_eq!(account.mailboxes().len(), 6 + LEVELS_MAX + 2);
        reopens(&flash, |account| (account.mailboxes(), account.subscriptions())).await;
    });
}

#[test]
fn ten_thousand_mailboxes_and_subscriptions_of_the_longest_names() {
    // Catches: a limit that is off by one, and a part of a checkpoint that is too long to be read back.
    smol::block_on(async {
        let flash = SimFlash::default();
        let (_store, account) = open(&flash).await;
        let change = async |of: &dyn Fn(&mut Transaction)| {
            let mut transaction = account.begin();
            of(&mut transaction);
            transaction.commit().await
        };
        change(&|it| (6..MAILBOXES_MAX - 1).for_each(|n| it.create_mailbox(&name(n)))).await.unwrap();
        let refused = change(&|it| it.create_mailbox("two/more")).await;
        assert!(matches!(refused, Err(Error::Limit("mailboxes"))), "{refused:?}");
        change(&|it| it.create_mailbox("one")).await.unwrap();
        let refused = change(&|it| it.rename_mailbox("INBOX", "more")).await;
        assert!(matches!(refused, Err(Error::Limit("mailboxes"))), "{refused:?}");
        change(&|it| it.rename_mailbox("one", "two")).await.unwrap();

        change(&|it| (6..SUBSCRIPTIONS_MAX - 1).for_each(|n| it.subscribe(&name(n), true))).await.unwrap();
        // Side by side: neither commit sees the other one applied.
        let subscribe = async |name: &str| change(&|it| it.subscribe(name, true)).await;
        let (one, other) = smol::future::zip(subscribe("one"), subscribe("other")).await;
        assert!(one.is_ok() && matches!(other, Err(Error::Limit("subscriptions"))), "{other:?}");
        change(&|it| it.subscribe("INBOX", true)).await.unwrap();
        change(&|it| it.subscribe("one", false)).await.unwrap();
        change(&|it| it.subscribe("other", true)).await.unwrap();
        reopens(&flash, |account| (account.mailboxes(), account.subscriptions(), account.usage())).await;
    });
}

#[test]
fn a_mebibyte_of_annotations() {
    // Catches: 32 annotations of 4 KiB for each of 10,000 mailboxes.
    smol::block_on(async {
        let flash = SimFlash::default();
        let (_store, account) = open(&flash).await;
        let entry = |n: usize| format!("/shared/{n:0>247}");
        let each = SHARE + 255 + ANNOTATION_MAX as u64;
        let fit = usize::try_from(ALL_ANNOTATIONS_MAX / each).unwrap();
        let annotate = async |n: usize, len: usize| {
            let mut transaction = account.begin();
            let mailbox = format!("m{}", n / ANNOTATIONS_MAX);
            if account.find(&mailbox).is_none() {
                transaction.create_mailbox(&mailbox);
            }
            transaction.annotate(&mailbox, &entry(n), Some(&vec![b'x'; len]));
            transaction.commit().await
        };
        for n in 0..fit {
            annotate(n, ANNOTATION_MAX).await.unwrap();
        }
        let spare = usize::try_from(ALL_ANNOTATIONS_MAX - fit as u64 * each - SHARE - 255).unwrap();
        assert!(matches!(annotate(fit, spare + 1).await, Err(Error::TooManyAnnotations)));
        annotate(fit, spare).await.unwrap();
        assert_eq!(account.usage().annotations, ALL_ANNOTATIONS_MAX);
        annotate(0, 1).await.unwrap();
        let refused = annotate(1, ANNOTATION_MAX + 1).await;
        assert!(matches!(refused, Err(Error::AnnotationTooLong)), "{refused:?}");
        reopens(&flash, |account| account.index(|index| index.annotations.clone())).await;
    });
}

#[test]
fn the_longest_note() {
    // Catches: a note that makes its record too long to be read back.
    const { assert!(NOTE_MAX < HEAD_MAX) };
    smol::block_on(async {
        let flash = SimFlash::default();
        let (_store, account) = open(&flash).await;
        let committed = deliver(&account, INBOX, 1, &mut Choices::new(1)).unwrap().commit().await.unwrap();
        let (mailbox, uid) = committed.placed.first().unwrap();
        let note = async |octets: usize| {
            let mut transaction = account.begin();
            transaction.note(mailbox, uid, vec![7; octets]);
            transaction.commit().await
        };
        note(NOTE_MAX).await.unwrap();
        assert!(matches!(note(NOTE_MAX + 1).await, Err(Error::Limit(_))));
        reopens(&flash, |account| account.note(mailbox, uid).unwrap().map(|note| note.len())).await;
    });
}

#[test]
fn all_keywords_of_a_mailbox_at_their_longest() {
    // Catches: the name of a free place, or of a place that was given a new name, that does not come back.
    smol::block_on(async {
        let flash = SimFlash::default();
        let (_store, account) = open(&flash).await;
        let keywords: Vec<String> = (0..Flags::KEYWORDS).map(|n| format!("{n:0>KEYWORD_MAX$}")).collect();
        let all: Vec<&str> = keywords.iter().map(String::as_str).collect();
        let deliver = async |keywords: &[&str]| {
            let mut message = account.incoming();
            message.write(b"1").unwrap();
            let mut transaction = account.begin();
            transaction.deliver(INBOX, message, Flags::NONE, keywords, 1);
            transaction.commit().await.unwrap()
        };
        deliver(&all).await;
        deliver(&["one more"]).await;
        let show = |account: &Account| {
            account.view(INBOX, |inbox| (inbox.keywords.clone(), inbox.messages.clone())).unwrap()
        };
        assert_eq!(show(&account).0, keywords);
        reopens(&flash, show).await;
        let mut transaction = account.begin();
        transaction.flags(INBOX, &[1], FlagChange::Remove, Flags::NONE, &all[3..5]);
        transaction.commit().await.unwrap();
        deliver(&["new"]).await;
        let (names, messages) = show(&account);
        assert_eq!((names[3].as_str(), names[4].as_str(), names.len()), ("new", "", Flags::KEYWORDS));
        assert_eq!({ messages[2].flags }, Flags::keyword(3));
        reopens(&flash, show).await;
    });
}

#[test]
fn changes_of_very_many_scattered_messages() {
    // Catches: a record of flags, of expunged or of forgotten messages that is too long to be read back.
    smol::block_on(async {
        let flash = SimFlash::default();
        let (_store, account) = open(&flash).await;
        let mut transaction = account.begin();
        let mut message = account.incoming();
        message.write(b"1").unwrap();
        transaction.deliver(INBOX, message, Flags::NONE, &[], 1);
        transaction.commit().await.unwrap();
        let uids: Vec<Uid> = (1..200_000).map(|n| n * 20_000).collect();
        let mut transaction = account.begin();
        transaction.flags(INBOX, &uids, FlagChange::Add, Flags::SEEN, &[]);
        transaction.flags(INBOX, &[1], FlagChange::Add, Flags::DRAFT, &[]);
        transaction.expunge(INBOX, &uids);
        transaction.forget(SourceKey(1), &vec![[7; 16]; 100_000]);
        transaction.commit().await.unwrap();
        reopens(&flash, |account| account.view(INBOX, |inbox| inbox.messages.clone())).await;
    });
}

#[test]
fn a_million_messages() {
    // Catches: an account that grows without limit because COPY doubles it again and again.
    smol::block_on(async {
        let flash = SimFlash::default();
        let (_store, account) = open(&flash).await;
        let mut transaction = account.begin();
        let mut message = account.incoming();
        message.write(b"1").unwrap();
        transaction.deliver(INBOX, message, Flags::NONE, &[], 1);
        transaction.commit().await.unwrap();
        let copy = async |most: usize| {
            let uids: Vec<Uid> =
                account.view(INBOX, |it| it.messages.iter().take(most).map(|it| it.uid).collect()).unwrap();
            let mut transaction = account.begin();
            uids.iter().for_each(|&uid| transaction.copy(INBOX, uid, INBOX));
            transaction.commit().await
        };
        while account.usage().messages * 2 <= MESSAGES_MAX {
            copy(usize::MAX).await.unwrap();
        }
        let left = usize::try_from(MESSAGES_MAX - account.usage().messages).unwrap();
        assert!(matches!(copy(left + 1).await, Err(Error::Limit("messages"))));
        copy(left).await.unwrap();
        assert!(account.fits(1, 0).is_err());
        account.write_checkpoint().await.unwrap();
        let messages = |account: &Account| account.view(INBOX, |inbox| inbox.messages.clone());
        assert_eq!(messages(&open(&flash.restart(1)).await.1), messages(&account));
    });
}
