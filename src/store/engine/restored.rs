//! A store that was restored from a backup: clients may know a newer state, which is lost.
//!
//! In the lost state messages were given UIDs and MODSEQs that this store is going to give to other messages. So
//! every mailbox gets a new UIDVALIDITY, and clients forget all that they know of it. Each account is renewed in one
//! commit.

use std::rc::Rc;

use super::{Account, Store};
use crate::store::Error;

/// New UIDVALIDITYs lie at least so far after the next one. On a board without the time the lost state has counted
/// on from the same next one, one for each mailbox that it made: it has not made so many.
const JUMP: u32 = 1 << 20;
/// A random number below this is added to the jump, because the lost state may have made the same jump.
const BY_CHANCE: u32 = 1 << 28;

/// How far the new UIDVALIDITYs lie after the next one: see `docs/store.md`, "UIDVALIDITY".
pub fn jump() -> u32 {
    // Where the system has no randomness, the clock still makes a difference.
    let random = ring::rand::generate::<[u8; 4]>(&ring::rand::SystemRandom::new());
    JUMP + random.map_or(0, |octets| u32::from_le_bytes(octets.expose())) % BY_CHANCE
}

/// An account whose mailboxes were given new UIDVALIDITYs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// The number of mailboxes.
    pub mailboxes: usize,
    /// The number of messages in the mailboxes.
    pub messages: u64,
}

impl Store {
    /// Gives every mailbox of the account in `dir`, one of [`Store::folders`], a new UIDVALIDITY, in one commit.
    ///
    /// # Errors
    /// As [`Store::account`], and [`Error::ReadOnly`]. After an error no mailbox has a new UIDVALIDITY.
    pub async fn renew_uid_validities(&self, dir: &str) -> Result<Renewed, Error> {
        let account: Rc<Account> = self.open_folder(dir).await?;
        let mut transaction = account.begin();
        transaction.renew_uid_validities();
        transaction.commit().await?;
        Ok(Renewed { mailboxes: account.mailboxes().len(), messages: account.usage().messages })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;

    use super::*;
    use crate::clock;
    use crate::flash::sim::SimFlash;
    use crate::store::{Flags, INBOX};

    const FOLDERS: [&str; 3] = ["accounts/a", "accounts/b", "queue"];

    fn store(flash: &SimFlash) -> Store {
        Store::new(Rc::new(flash.clone()))
    }

    /// UIDVALIDITY, UIDNEXT and messages of each mailbox.
    type Shown = BTreeMap<String, (u32, u32, Vec<u32>)>;

    async fn shown(store: &Store, dir: &str) -> Shown {
        let account = store.open_folder(dir).await.unwrap();
        let look = |id| {
            let uids = |mailbox: &crate::store::Mailbox| mailbox.messages.iter().map(|m| m.uid).collect();
            account.view(id, |mailbox| (mailbox.uid_validity, mailbox.uid_next, uids(mailbox))).unwrap()
        };
        account.mailboxes().into_iter().map(|(id, name)| (name, look(id))).collect()
    }

    async fn all_shown(store: &Store) -> Vec<Shown> {
        let mut all = Vec::new();
        for dir in FOLDERS {
            all.push(shown(store, dir).await);
        }
        all
    }

    /// Two accounts with some folders and messages, and a queued message.
    async fn filled() -> SimFlash {
        let flash = SimFlash::default();
        let store = store(&flash);
        for dir in FOLDERS {
            let account = store.open_folder(dir).await.unwrap();
            for _ in 0..3 {
                let mut message = account.incoming();
                message.write(b"a message\r\n").unwrap();
                let mut transaction = account.begin();
                transaction.deliver(INBOX, message, Flags::NONE, &[], 7);
                transaction.commit().await.unwrap();
            }
        }
        store.mark_end();
        flash.copy()
    }

    async fn renew(store: &Store) -> Result<(), Error> {
        for dir in store.folders()? {
            store.renew_uid_validities(&dir).await?;
        }
        store.mark_end();
        Ok(())
    }

    /// How many mailboxes are as before, and how many have another UIDVALIDITY and are otherwise the same.
    fn compare(before: &Shown, after: &Shown) -> (usize, usize) {
        let (mut same, mut new) = (0, 0);
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
        for (name, (validity, next, uids)) in before {
            let (found, found_next, found_uids) = &after[name];
            assert_eq!((found_uids, found_next >= next), (uids, true), "{name}");
            if found == validity { same += 1 } else { new += 1 }
        }
        (same, new)
    }

    /// Catches: an account whose mailboxes are renewed in more than one commit, and an account that is left out.
    #[test]
    fn a_cut_leaves_no_account_half_renewed_and_the_next_run_ends_it() {
        clock::FIXED.set(Some(1_000_000));
        smol::block_on(async {
            let flash = filled().await;
            let before = all_shown(&store(&flash.copy())).await;
            let (cuts, halfway) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
            flash.watch({
                let (before, cuts, halfway) = (before.clone(), cuts.clone(), halfway.clone());
                move |flash| {
                    for _ in 0..4 {
                        cuts.set(cuts.get() + 1);
                        let store = store(&flash.restart(cuts.get()));
                        smol::block_on(async {
                            let found = all_shown(&store).await;
                            let mut renewed = 0;
                            for (before, found) in before.iter().zip(&found) {
                                let (same, new) = compare(before, found);
                                assert!(same == 0 || new == 0, "half an account: {same} and {new}");
                                renewed += usize::from(new > 0);
                            }
                            halfway.set(halfway.get() + usize::from((1..FOLDERS.len()).contains(&renewed)));
                            renew(&store).await.unwrap();
                            for (before, after) in before.iter().zip(all_shown(&store).await) {
                                assert_eq!(compare(before, &after).0, 0);
                            }
                        });
                    }
                }
            });
            renew(&store(&flash)).await.unwrap();
            assert!(cuts.get() > 40 && halfway.get() > 0, "{} cuts", cuts.get());
        });
    }

    /// Catches: values that go on from the last one. With a clock that stands still the lost state has given those
    /// already, and with a jump that is always the same, so has an earlier restore.
    #[test]
    fn what_a_lost_state_gave_is_not_given_again() {
        clock::FIXED.set(Some(0));
        smol::block_on(async {
            let copy = filled().await;
            let mut given = Vec::new();
            // The state that is lost has more mailboxes, and in the second run it was restored from the same copy
            // itself.
            for restored in [false, true] {
                let store = store(&copy.copy());
                if restored {
                    renew(&store).await.unwrap();
                }
                let account = store.account("a").await.unwrap();
                for n in 0..50 {
                    let mut transaction = account.begin();
                    transaction.create_mailbox(&format!("new{n}"));
                    transaction.commit().await.unwrap();
                }
                given.extend(shown(&store, "accounts/a").await.into_values().map(|(validity, ..)| validity));
            }
            let store = store(&copy);
            renew(&store).await.unwrap();
            for (name, (validity, ..)) in shown(&store, "accounts/a").await {
                assert!(!given.contains(&validity), "{name} has {validity}");
            }
        });
    }
}
