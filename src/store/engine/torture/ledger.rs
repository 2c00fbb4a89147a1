//! The ledger: what is kept of collected messages.

use super::*;
use crate::store::model::Known;

fn shown(account: &Account) -> Vec<(i64, u64, u32)> {
    let shown = |Known { date, content, unlisted }| (date.get(), content, unlisted);
    let mut all: Vec<_> =
        account.ledger_of(SourceKey(7)).into_iter().map(|(_, known)| shown(known)).collect();
    all.sort_unstable();
    all
}

/// Catches: a content or a day that is forgotten by the log, by a checkpoint or by what is replayed over it; a date
/// that is noted again and loses what else is known; entries of one source that are given to another; a part of a
/// checkpoint with more entries than fit into it.
#[test]
fn what_was_collected_is_known_by_its_content_and_by_when_it_was_listed_last() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let account = store(&flash).account("a").await.unwrap();
        let source = SourceKey(7);
        let mut transaction = account.begin();
        transaction.collected(source, b"a", 1);
        transaction.collected_message(source, b"b", 2, 22);
        transaction.collected_message(source, b"c", 3, u64::MAX);
        transaction.collected_message(SourceKey(8), b"b", 4, 44);
        transaction.commit().await.unwrap();
        account.write_checkpoint().await.unwrap();
        let hash = |identity: &[u8]| identity_hash(identity);
        let mut transaction = account.begin();
        transaction.unlisted(source, &[hash(b"a"), hash(b"c"), hash(b"nobody's")], 500);
        transaction.unlisted(source, &[hash(b"c")], 0);
        transaction.collected(source, b"b", 20);
        transaction.collected_message(source, b"d", 4, 40);
        transaction.unlisted(source, &[hash(b"d")], u32::MAX);
        transaction.commit().await.unwrap();
        let mut expected = vec![(1, 0, 500), (3, u64::MAX, 0), (4, 40, u32::MAX), (20, 22, 0)];
        assert_eq!(shown(&account), expected);
        assert_eq!(account.collected(source, b"b"), Some(20));
        assert_eq!(account.collected(SourceKey(8), b"b"), Some(4));
        let mut transaction = account.begin();
        for n in 1000..2000_u32 {
            transaction.collected_message(source, &n.to_be_bytes(), n.into(), (n + 1).into());
            expected.push((n.into(), (n + 1).into(), 0));
        }
        transaction.commit().await.unwrap();
        drop(account);
        for _ in 0..3 {
            let account = store(&flash.restart(1)).account("a").await.unwrap();
            assert_eq!(shown(&account), expected);
            account.write_checkpoint().await.unwrap();
        }
    });
}
