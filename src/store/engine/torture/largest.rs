//! Changes of the largest sizes: what was acknowledged can be read back, whatever its size.

use super::*;
use crate::store::identity_hash;

fn reopened(flash: &SimFlash) -> Rc<Account> {
    smol::block_on(store(flash).account("a")).unwrap()
}

/// Catches: all subscriptions in one part of a checkpoint (2,150 names of 500 octets made both checkpoints
/// unreadable).
#[test]
fn subscriptions_of_long_names_survive_checkpoints() {
    let flash = SimFlash::default();
    let shown = smol::block_on(async {
        let store = store(&flash);
        let account = store.account("a").await.unwrap();
        for names in (0..2400).collect::<Vec<_>>().chunks(400) {
            let mut transaction = account.begin();
            names.iter().for_each(|n| transaction.subscribe(&format!("{n:0>500}"), true));
            transaction.commit().await.unwrap();
        }
        account.write_checkpoint().await.unwrap();
        account.write_checkpoint().await.unwrap();
        // Only the checkpoints hold the subscriptions now.
        account.rewrite(BTreeSet::from_iter(1..2)).await.unwrap();
        dump(&account)
    });
    assert_eq!(dump(&reopened(&flash)), shown);
    assert!(smol::block_on(store(&flash).check()).unwrap().damage.is_empty());
}

/// Catches: one Expunge or Flags record for all ranges (after a kill all 180,000 messages were back).
#[test]
fn changes_of_separate_messages_and_identities_survive_a_kill() {
    const MANY: u32 = 400_000;
    let flash = SimFlash::default();
    let shown = smol::block_on(async {
        let mut store = store(&flash);
        store.sizes.segment = 1 << 22;
        let account = store.account("a").await.unwrap();
        deliver_octets(&account, INBOX, 1, 0, &mut Choices::new(1)).unwrap().commit().await.unwrap();
        let mut uids = 1;
        while uids < MANY {
            let mut transaction = account.begin();
            (1..=uids.min(MANY - uids)).for_each(|uid| transaction.copy(INBOX, uid, INBOX));
            uids += transaction.commit().await.unwrap().placed.len() as u32;
        }
        let mut transaction = account.begin();
        let identities: Vec<_> = (0..70_000u32).map(|n| n.to_le_bytes()).collect();
        identities.iter().for_each(|identity| transaction.collected(SourceKey(3), identity, 1));
        transaction.commit().await.unwrap();
        let every_other: Vec<Uid> = (1..=MANY).step_by(2).collect();
        let mut transaction = account.begin();
        transaction.flags(INBOX, &every_other, FlagChange::Add, Flags::FLAGGED, &[]);
        transaction.commit().await.unwrap();
        let mut transaction = account.begin();
        transaction.expunge(INBOX, &every_other);
        let hashes: Vec<_> = identities[1..].iter().map(|identity| identity_hash(identity)).collect();
        transaction.forget(SourceKey(3), &hashes);
        transaction.commit().await.unwrap();
        (account.usage(), account.all_collected(SourceKey(3)))
    });
    let account = reopened(&flash);
    assert_eq!((account.usage(), account.all_collected(SourceKey(3))), shown);
    assert_eq!((shown.0.messages, shown.1.len()), (u64::from(MANY) / 2, 1));
}

/// Catches: a commit that is acknowledged although a reader would call its record damaged.
#[test]
fn a_record_that_is_too_long_fails_its_commit_and_nothing_else() {
    let flash = SimFlash::default();
    let shown = smol::block_on(async {
        let store = store(&flash);
        let account = store.account("a").await.unwrap();
        deliver_octets(&account, INBOX, 1, 70, &mut Choices::new(1)).unwrap().commit().await.unwrap();
        let mut transaction = account.begin();
        transaction.flags(INBOX, &[1], FlagChange::Add, Flags::FLAGGED, &[]);
        transaction.note(INBOX, 1, vec![0; 1 << 20]);
        assert!(transaction.commit().await.is_err());
        deliver_octets(&account, INBOX, 2, 70, &mut Choices::new(1)).unwrap().commit().await.unwrap();
        dump(&account)
    });
    assert!(!shown.contains("  1 5 1"), "{shown}");
    assert_eq!(dump(&reopened(&flash)), shown);
}
