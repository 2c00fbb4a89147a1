use std::cell::Cell;
use std::rc::Rc;

use super::super::unclaimed::Unclaimed;
use super::*;
use crate::flash::ReadAt;
use crate::flash::sim::SimFlash;
use crate::store::{Flags, INBOX};

const ANN: u64 = 0xa11;
const BOB: u64 = 0xb0b;

fn store(flash: &SimFlash) -> Store {
    Store::new(Rc::new(flash.clone()))
}

fn owners(accounts: &[(u64, &str)]) -> Vec<Owner> {
    accounts.iter().map(|(id, name)| (*id, (*name).to_owned())).collect()
}

/// Puts a message of these octets into an account.
async fn deliver(account: &Rc<super::super::Account>, octets: &[u8]) {
    let mut message = account.incoming();
    message.write(octets).unwrap();
    let mut transaction = account.begin();
    transaction.deliver(INBOX, message, Flags::NONE, &[], 7);
    transaction.commit().await.unwrap();
}

/// The first message of an account; in these tests an account has one message or none.
fn found(account: &super::super::Account) -> Option<Vec<u8>> {
    let message = account.view(INBOX, |inbox| inbox.messages.first().copied()).flatten()?;
    let body = account.body(&message).unwrap();
    let mut octets = vec![0; message.size as usize];
    body.read_exact_at(0, &mut octets).unwrap();
    Some(octets)
}

/// The message of each account.
async fn mail(store: &Store, accounts: &[Owner]) -> Vec<Option<Vec<u8>>> {
    let mut mail = Vec::new();
    for (_, name) in accounts {
        mail.push(found(&store.account(name).await.unwrap()));
    }
    mail
}

/// A flash on which each of the accounts has a message with its name.
async fn filled(accounts: &[Owner]) -> SimFlash {
    let flash = SimFlash::default();
    let store = store(&flash);
    store.name_folders(accounts).await.unwrap();
    for (_, name) in accounts {
        deliver(&store.account(name).await.unwrap(), name.as_bytes()).await;
    }
    store.mark_end();
    flash.copy()
}

fn some(octets: &str) -> Option<Vec<u8>> {
    Some(octets.as_bytes().to_vec())
}

#[test]
fn the_sign_is_as_it_was_in_every_version() {
    let mark = Mark { id: 0xa11, name: "office".to_owned(), since: 1_764_286_000 };
    assert_eq!(mark.text(), "owner 1 0000000000000a11 office 1764286000\n");
    assert_eq!(Mark::parse(&mark.text()), Some(mark));
    for wrong in [
        "",
        "owner 1 0000000000000a11 office 1764286000",
        "owner 2 0000000000000a11 office 1764286000\n",
        "owner 1 a11 office 1764286000\n",
        "owner 1 0000000000000a1g office 1764286000\n",
        "owner 1 0000000000000a11 office\n",
        "owner 1 0000000000000a11 office 1 2\n",
    ] {
        assert_eq!(Mark::parse(wrong), None, "{wrong:?}");
    }
}

/// Catches: mail of a removed account that appears under a new account of the same name, also while a session still
/// reads it; mail that cannot be found any more.
#[test]
fn mail_of_a_removed_account_is_nobodys() {
    for open in [false, true] {
        smol::block_on(async {
            let (before, after) = (owners(&[(ANN, "office")]), owners(&[(BOB, "office")]));
            let flash = filled(&before).await;
            let store = store(&flash);
            store.name_folders(&before).await.unwrap();
            let session = store.account("office").await.unwrap();
            let session = open.then_some(session);
            for accounts in [&owners(&[]), &after] {
                note_owners(&flash, &before, accounts, 7).await.unwrap();
                store.name_folders(accounts).await.unwrap();
            }
            assert_eq!(mail(&store, &after).await, [None]);
            deliver(&store.account("office").await.unwrap(), b"new").await;
            let left = store.unclaimed(&after).unwrap();
            assert_eq!(left.len(), 1);
            assert_eq!((left[0].handle().as_str(), left[0].since), ("office~00000000", Some(7)));
            assert_eq!(store.left(), 1);
            // A session that has the folder open goes on with it, and sees nothing of the new account.
            if let Some(session) = &session {
                deliver(session, b"late").await;
                assert_eq!(session.usage().messages, 2);
                assert!(!store.delete_unclaimed(&left[0]).await.unwrap(), "it is in use");
            }
            drop(session);
            assert!(store.name_folders(&after).await.unwrap(), "now each has its name");
            assert_eq!(mail(&store, &after).await, [some("new")]);
            store.mark_end();

            let again = self::store(&flash.restart(1));
            again.name_folders(&after).await.unwrap();
            assert_eq!(mail(&again, &after).await, [some("new")]);
            let left = again.unclaimed(&after).unwrap();
            let opened = again.open_unclaimed(&left[0]).await.unwrap();
            assert_eq!((left.len(), found(&opened)), (1, some("office")));
            // When the account with this identity is back, so is its mail.
            drop(opened);
            note_owners(again.flash(), &after, &before, 9).await.unwrap();
            again.name_folders(&before).await.unwrap();
            assert_eq!(mail(&again, &before).await, [some("office")]);
        });
    }
}

/// Catches: after a change that was interrupted anywhere, mail that a name leads to although it is another account's;
/// mail that is gone.
#[test]
fn whatever_a_cut_leaves_has_one_owner() {
    type Accounts = [(u64, &'static str)];
    let changes: &[(&Accounts, &Accounts)] = &[
        (&[(ANN, "office")], &[]),
        (&[(ANN, "office")], &[(BOB, "office")]),
        (&[(ANN, "office")], &[(ANN, "shop")]),
        (&[(ANN, "a"), (BOB, "b")], &[(ANN, "b"), (BOB, "a")]),
        (&[(ANN, "a"), (BOB, "b")], &[(ANN, "b")]),
        (&[(ANN, "a")], &[(ANN, "b"), (BOB, "a")]),
    ];
    for (before, after) in changes {
        let (before, after) = (owners(before), owners(after));
        let flash = smol::block_on(filled(&before));
        // Whether the settings were already stored when the power failed.
        let (stored, cuts) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
        let live = flash.copy();
        live.watch({
            let (before, after) = (before.clone(), after.clone());
            let (stored, cuts) = (stored.clone(), cuts.clone());
            move |flash| {
                for _ in 0..8 {
                    cuts.set(cuts.get() + 1);
                    let now = if stored.get() { &after } else { &before };
                    smol::block_on(is_right(&store(&flash.restart(cuts.get())), &before, now));
                }
            }
        });
        smol::block_on(async {
            note_owners(&live, &before, &after, 7).await.unwrap();
            stored.set(true);
            let store = store(&live);
            assert!(store.name_folders(&after).await.unwrap());
            // Only unclaimed folders still have a file `owner`.
            let marked = live.files().into_iter().filter(|(path, _)| path.ends_with("/owner")).count();
            let left = store.unclaimed(&after).unwrap().len();
            assert_eq!(marked, left, "{after:?}");
        });
        assert!(cuts.get() > 20, "{} cuts", cuts.get());
    }
}

/// Asserts that each account of `now` has its message of `before`, that a new account has none, and that the other
/// messages are unclaimed.
async fn is_right(store: &Store, before: &[Owner], now: &[Owner]) {
    let old = |id: u64| before.iter().find(|(old, _)| *old == id).map(|(_, name)| name.as_bytes().to_vec());
    store.name_folders(now).await.unwrap();
    for (id, name) in now {
        assert_eq!(found(&store.account(name).await.unwrap()), old(*id), "{name} of {now:?}");
    }
    let mut left: Vec<u64> = store.unclaimed(now).unwrap().iter().filter_map(|left| left.id).collect();
    left.sort_unstable();
    let gone = before.iter().map(|(id, _)| *id).filter(|id| !now.iter().any(|(there, _)| there == id));
    let mut gone: Vec<u64> = gone.collect();
    gone.sort_unstable();
    assert_eq!(left, gone);
}

/// Catches: a renamed account whose sessions are cut off from its mail, and one whose mail lies under its old name
/// for good.
#[test]
fn a_renamed_account_keeps_its_mail_and_who_has_it_open() {
    smol::block_on(async {
        let (before, after) = (owners(&[(ANN, "office")]), owners(&[(ANN, "shop")]));
        let flash = filled(&before).await;
        let store = store(&flash);
        store.name_folders(&before).await.unwrap();
        let session = store.account("office").await.unwrap();
        note_owners(&flash, &before, &after, 7).await.unwrap();
        assert!(!store.name_folders(&after).await.unwrap(), "it is in use");
        assert!(Rc::ptr_eq(&session, &store.account("shop").await.unwrap()));
        assert_eq!(&*session.name(), "shop");
        assert!(store.account("office").await.is_err(), "there is no such account, and it gets no folder");
        deliver(&session, b"more").await;
        drop(session);
        assert!(store.name_folders(&after).await.unwrap());
        assert_eq!(flash.list("accounts").unwrap(), ["shop"]);
        assert_eq!(store.account("shop").await.unwrap().usage().messages, 2);
        assert_eq!(store.unclaimed(&after).unwrap(), []);
    });
}

/// Catches: mail that cannot be found by the account's name after the settings were lost or reset.
#[test]
fn where_the_settings_are_lost_names_count() {
    smol::block_on(async {
        let flash = filled(&owners(&[(ANN, "office"), (BOB, "shop")])).await;
        let again = store(&flash);
        again.name_folders(&[]).await.unwrap();
        let left = again.unclaimed(&[]).unwrap();
        assert!(left.len() == 2 && left.iter().all(|left| left.taken_by_name && left.id.is_none()));
        let anew = owners(&[(77, "office")]);
        note_owners(&flash, &[], &anew, 7).await.unwrap();
        again.name_folders(&anew).await.unwrap();
        assert_eq!(mail(&again, &anew).await, [some("office")]);
        assert_eq!(again.unclaimed(&anew).unwrap()[0].handle(), "shop~");
    });
}

/// Catches: mail that a name leads to although its owner cannot be read any more.
#[test]
fn a_damaged_sign_makes_it_nobodys() {
    smol::block_on(async {
        let (before, after) = (owners(&[(ANN, "office")]), owners(&[(BOB, "office")]));
        let flash = filled(&before).await;
        note_owners(&flash, &before, &[], 7).await.unwrap();
        flash.flip("accounts/office/owner", 3);
        let store = store(&flash);
        let _ = store.name_folders(&after).await.unwrap();
        assert_eq!(mail(&store, &after).await, [None]);
        assert_eq!(store.unclaimed(&after).unwrap()[0].handle(), "office~");
    });
}

/// Catches: a deleted folder of which a part is left, and room that never comes back.
#[test]
fn what_is_deleted_is_gone_as_a_whole() {
    smol::block_on(async {
        let before = owners(&[(ANN, "office")]);
        let flash = filled(&before).await;
        {
            let store = store(&flash);
            deliver(&store.account("office").await.unwrap(), &vec![b'x'; 100_000]).await;
            note_owners(&flash, &before, &[], 7).await.unwrap();
            store.name_folders(&[]).await.unwrap();
        }
        let (kept, gone) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        flash.watch({
            let (kept, gone) = (kept.clone(), gone.clone());
            move |flash| {
                for seed in 0..4 {
                    let after = flash.restart(seed);
                    smol::block_on(async {
                        let store = store(&after);
                        store.finish_deleting().await.unwrap();
                        let is_mail =
                            |(path, _): &(String, usize)| path.contains("log/") || path.contains("body/");
                        match store.unclaimed(&[]).unwrap().first() {
                            Some(left) => {
                                let account = store.open_unclaimed(left).await.unwrap();
                                assert_eq!(account.usage().messages, 2);
                                kept.set(kept.get() + 1);
                            }
                            None => {
                                assert_eq!(after.files().into_iter().filter(is_mail).count(), 0);
                                gone.set(gone.get() + 1);
                            }
                        }
                    });
                }
            }
        });
        let store = store(&flash);
        let left = store.unclaimed(&[]).unwrap();
        assert!(store.delete_unclaimed(&left[0]).await.unwrap());
        assert!(kept.get() > 0 && gone.get() > 0);
        assert_eq!(flash.files(), []);
    });
}

#[test]
fn it_is_named_by_name_and_identity() {
    let left = Unclaimed::known("office", 0x0123_4567_89ab_cdef);
    assert_eq!(left.handle(), "office~01234567");
    for (typed, is) in [
        ("office", true),
        ("office~", true),
        ("office~0123", true),
        ("office~0123456789ABCDEF", true),
        ("office~1", false),
        ("offic", false),
        ("shop~0123", false),
    ] {
        assert_eq!(left.is_named(typed), is, "{typed}");
    }
}

/// Catches: mail that belongs to no account because it came while settings were on trial, or while folders could not
/// be renamed.
#[test]
fn what_comes_while_names_must_stay_is_found_again() {
    smol::block_on(async {
        let (before, after) = (owners(&[(ANN, "office")]), owners(&[(BOB, "office")]));
        for kept in [true, false] {
            let flash = filled(&before).await;
            let store = store(&flash);
            note_owners(&flash, &before, &after, 7).await.unwrap();
            store.assign(&after).unwrap();
            deliver(&store.account("office").await.unwrap(), b"on trial").await;
            assert_eq!(flash.list("accounts").unwrap().len(), 2);
            let now = if kept { &after } else { &before };
            note_owners(&flash, &after, now, 8).await.unwrap();
            store.mark_end();
            for again in [store, self::store(&flash.restart(3))] {
                assert!(again.name_folders(now).await.unwrap());
                assert_eq!(mail(&again, now).await, [some(if kept { "on trial" } else { "office" })]);
                let left = again.unclaimed(now).unwrap();
                let opened = again.open_unclaimed(&left[0]).await.unwrap();
                assert_eq!(found(&opened), some(if kept { "office" } else { "on trial" }));
                again.mark_end();
            }
        }
    });
}
