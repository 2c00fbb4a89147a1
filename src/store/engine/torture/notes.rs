//! Notes, of which memory holds only the places: they can be read whatever moves them.

use super::*;
use crate::store::engine::transaction::Relocated;
use crate::store::format::Place;
use crate::store::format::checkpoint::Part;
use crate::store::model::Note;

/// What the note of message `uid` holds after so many changes.
fn said(uid: Uid, changes: u8) -> Vec<u8> {
    vec![uid as u8, changes, 7, 7, 7, 7, 7, 7]
}

async fn noted(account: &Rc<Account>, messages: Uid) {
    for uid in 1..=messages {
        let mut message = account.incoming();
        message.write(&content(uid.into(), 200)).unwrap();
        let mut transaction = account.begin();
        transaction.deliver(INBOX, message, Flags::NONE, &[], 0);
        transaction.note_delivered(said(uid, 0));
        transaction.commit().await.unwrap();
    }
}

async fn say(account: &Rc<Account>, uid: Uid, note: Vec<u8>) {
    let mut transaction = account.begin();
    transaction.note(INBOX, uid, note);
    transaction.commit().await.unwrap();
}

fn notes(account: &Account) -> Vec<(Uid, Option<Vec<u8>>)> {
    let uids: Vec<Uid> =
        account.view(INBOX, |inbox| inbox.messages.iter().map(|message| message.uid).collect()).unwrap();
    uids.into_iter().map(|uid| (uid, account.note(INBOX, uid).unwrap())).collect()
}

fn place(account: &Account, uid: Uid) -> Place {
    let note = account.index(|index| match index.notes.get((INBOX, uid)) {
        Some(Note::At(place)) => Some(place),
        _ => None,
    });
    note.expect("memory holds no note")
}

/// Catches: a segment that is removed although it holds the latest note of a message; a place that a checkpoint or a
/// replay forgets or takes from an older record; a place that outlives its message; a note that is held in memory.
#[test]
fn a_note_is_found_wherever_it_was_written() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let account = store(&flash).account("a").await.unwrap();
        noted(&account, 30).await;
        for uid in (2..=30).step_by(2) {
            say(&account, uid, said(uid, 1)).await;
        }
        let mut transaction = account.begin();
        transaction.expunge(INBOX, &[3, 4, 5]);
        transaction.commit().await.unwrap();
        let truth: Vec<_> = (1..=30)
            .filter(|uid| !(3..=5).contains(uid))
            .map(|uid| (uid, Some(said(uid, u8::from(uid.is_multiple_of(2))))))
            .collect();
        assert_eq!(notes(&account), truth);
        drop(account);
        for round in 0..4 {
            let account = store(&flash).account("a").await.unwrap();
            assert_eq!(notes(&account), truth, "round {round}");
            let before = place(&account, 1);
            let segments = account.log(|log| log.segments()).unwrap();
            account.rewrite(segments.iter().copied().collect()).await.unwrap();
            assert_eq!(notes(&account), truth, "round {round}, written anew");
            assert_ne!(place(&account, 1), before);
            assert!(!account.log(|log| log.segments()).unwrap().contains(&segments[0]));
            assert_eq!(account.index(|index| index.notes.len()), truth.len());
            assert!(smol::block_on(store(&flash).check()).unwrap().damage.is_empty());
        }
    });
}

/// Catches: an old note that compaction has read and writes after a newer note, which was staged or applied
/// meanwhile.
#[test]
fn a_note_that_is_replaced_while_it_is_moved_stays_replaced() {
    for applied in [false, true] {
        smol::block_on(async {
            let flash = SimFlash::default();
            let account = store(&flash).account("a").await.unwrap();
            noted(&account, 2).await;
            let at = place(&account, 1);
            let old = account.log(|log| log.note(at, (INBOX, 1))).unwrap();
            let mut replaced = account.begin();
            replaced.note(INBOX, 1, said(1, 9));
            let mut moved = account.begin();
            moved.relocate(Relocated { notes: vec![(old, at)], ..Relocated::default() });
            if applied {
                replaced.commit().await.unwrap();
                moved.commit().await.unwrap();
            } else {
                // The commit that is polled first is staged first.
                let (replaced, moved) = smol::future::zip(replaced.commit(), moved.commit()).await;
                replaced.and(moved).unwrap();
            }
            let truth = vec![(1, Some(said(1, 9))), (2, Some(said(2, 0)))];
            assert_eq!(notes(&account), truth);
            drop(account);
            assert_eq!(notes(&store(&flash).account("a").await.unwrap()), truth);
        });
    }
}

/// Catches: notes that a checkpoint of an earlier version holds and that are lost at the next checkpoint or when they
/// change.
#[test]
fn notes_of_earlier_checkpoints_are_held_until_they_change() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let account = store(&flash).account("a").await.unwrap();
        noted(&account, 3).await;
        for uid in 1..=3 {
            let held = Part::Note(INBOX, uid, said(uid, 5).into());
            account.state.borrow_mut().index.take_part(held, &mut None, 0);
        }
        for _ in 0..2 {
            account.write_checkpoint().await.unwrap();
        }
        drop(account);
        let account = store(&flash).account("a").await.unwrap();
        say(&account, 2, said(2, 6)).await;
        let mut transaction = account.begin();
        transaction.expunge(INBOX, &[3]);
        transaction.commit().await.unwrap();
        let truth = vec![(1, Some(said(1, 5))), (2, Some(said(2, 6)))];
        assert_eq!(notes(&account), truth);
        account.write_checkpoint().await.unwrap();
        drop(account);
        assert_eq!(notes(&store(&flash).account("a").await.unwrap()), truth);
    });
}

/// Catches: a damaged note that is taken for another note or for no note, that `fsck` misses, or that prevents
/// everything else from being repaired.
#[test]
fn a_damaged_note_is_told_and_its_message_stays() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let at = {
            let account = store(&flash).account("a").await.unwrap();
            noted(&account, 9).await;
            account.write_checkpoint().await.unwrap();
            account.write_checkpoint().await.unwrap();
            place(&account, 4)
        };
        flash.flip(&format!("accounts/a/log/{:08}", at.segment), (at.offset as usize + 24) * 8);
        let account = store(&flash).account("a").await.unwrap();
        let told = account.note(INBOX, 4).unwrap_err();
        assert!(matches!(&told, Error::Damaged(what) if what == "a, the note of UID 4"), "{told:?}");
        assert_eq!(account.note(INBOX, 5).unwrap(), Some(said(5, 0)));
        drop(account);
        let report = store(&flash).check().await.unwrap();
        let [line] = &report.damage[..] else { panic!("{report}") };
        assert!(line.ends_with("what was noted of UID 4 of INBOX is lost"), "{line}");
        let repaired = store(&flash).repair().await.unwrap().repaired;
        assert!(
            repaired.contains(
                &"accounts/a: UID 4: what was noted of it is lost, the message is there".to_owned()
            )
        );
        assert!(store(&flash).check().await.unwrap().damage.is_empty());
        let account = store(&flash).account("a").await.unwrap();
        let truth: Vec<_> = (1..=9).map(|uid| (uid, Some(said(uid, 0)).filter(|_| uid != 4))).collect();
        assert_eq!(notes(&account), truth);
    });
}
