//! Data folders that earlier versions wrote, kept under `tests/data`: every later version opens them.
//!
//! `tests/data/v1` holds every kind of record of its version, in a log of several segments of which compaction has
//! removed the first two, two checkpoints, and a tail after them. `shown.txt` is what it held, as written by
//! [`dump`].

use std::path::{Path, PathBuf};

use super::*;
use crate::flash::disk::Disk;
use crate::store::engine::log::Log;
use crate::store::engine::scan::Scanned;
use crate::store::format::Place;

/// The number of kinds of records in version 1.
const KINDS: u32 = 18;

/// A copy of a kept folder. It is removed when the value is dropped.
struct Copy(PathBuf);

impl Copy {
    fn new(version: &str, purpose: &str) -> Copy {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(version);
        let copy = std::env::temp_dir().join(format!("pillarbox-{version}-{purpose}-{}", std::process::id()));
        for folder in ["", "accounts/a", "accounts/a/log", "accounts/a/body", "queue/log"] {
            std::fs::create_dir_all(copy.join(folder)).unwrap();
            for entry in std::fs::read_dir(kept.join(folder)).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_file() {
                    std::fs::copy(entry.path(), copy.join(folder).join(entry.file_name())).unwrap();
                }
            }
        }
        Copy(copy)
    }

    fn store(&self) -> Store {
        Store::new(Rc::new(Disk::new(&self.0).unwrap()))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Catches: two kinds of records or parts of a checkpoint exchanged, a field added, removed or moved.
#[test]
fn a_folder_of_version_1_opens_as_it_was() {
    let copy = Copy::new("v1", "opened");
    let shown = std::fs::read_to_string(copy.0.join("shown.txt")).unwrap();
    smol::block_on(async {
        let report = copy.store().check().await.unwrap();
        assert!(report.damage.is_empty(), "{report}");
        let read = async || {
            let store = copy.store();
            let (account, queue) = (store.account("a").await.unwrap(), store.queue().await.unwrap());
            format!("{}queue\n{}", dump(&account), dump(&queue))
        };
        assert_eq!(read().await, shown);
        // From the log and the previous checkpoint, and then from what this version writes.
        std::fs::remove_file(copy.0.join("accounts/a/checkpoint")).unwrap();
        assert_eq!(read().await, shown);
        let account = copy.store().account("a").await.unwrap();
        account.write_checkpoint().await.unwrap();
        account.rewrite((1..9).collect()).await.unwrap();
        drop(account);
        assert_eq!(read().await, shown);
    });
}

/// Catches: a last line that is read from a wrong place of the log or of a file, one that is read again after each
/// start, and one that clients are told of as a change.
#[test]
fn how_messages_of_version_1_end_is_read_once() {
    let copy = Copy::new("v1", "ends");
    let shown = std::fs::read_to_string(copy.0.join("shown.txt")).unwrap();
    smol::block_on(async {
        let store = copy.store();
        let account = store.account("a").await.unwrap();
        let before = dump(&account);
        for (mailbox, name) in account.mailboxes() {
            let all = account.view(mailbox, |mailbox| mailbox.messages.clone()).unwrap();
            // The last half of the messages first, then the rest.
            let half = account.learn_last_lines(mailbox, all.len() / 2).await;
            let uids: Vec<Uid> = half.iter().map(|(uid, _)| *uid).collect();
            let last: Vec<Uid> = all[all.len().div_ceil(2)..].iter().map(|message| message.uid).collect();
            assert_eq!(uids, last, "{name}");
            let rest = account.learn_last_lines(mailbox, all.len()).await;
            assert_eq!(half.len() + rest.len(), all.len(), "{name}");
            for (uid, last_line) in half.into_iter().chain(rest) {
                let message = account.view(mailbox, |mailbox| *mailbox.message(uid).unwrap()).unwrap();
                let octets = expected::octets(&account, &message);
                assert_eq!(
                    last_line,
                    LastLine::of(&octets[octets.len().saturating_sub(2)..]),
                    "{name} {uid}"
                );
                assert_eq!(message.last_line(), last_line);
            }
        }
        assert_eq!(dump(&account), before, "nobody sees it");
        drop((account, store));
        for _ in 0..2 {
            let account = copy.store().account("a").await.unwrap();
            for (mailbox, name) in account.mailboxes() {
                assert_eq!(account.learn_last_lines(mailbox, 100).await, [], "{name}: known");
            }
            assert!(shown.starts_with(&dump(&account)));
            account.write_checkpoint().await.unwrap();
        }
    });
}

#[test]
fn the_folder_of_version_1_holds_every_kind_of_record() {
    let copy = Copy::new("v1", "kinds");
    let mut kinds = BTreeSet::new();
    for folder in ["accounts/a/log", "queue/log"] {
        let log = Log::new(Rc::new(Disk::new(&copy.0).unwrap()), folder.to_owned(), 1);
        let mut scan = log.scan(Place::default()).unwrap();
        while let Some(found) = scan.next().unwrap() {
            let Scanned::Frame(frame) = found else { panic!("damaged") };
            kinds.insert(u32::from(postcard::to_stdvec(&frame.record.unwrap()).unwrap()[0]));
        }
    }
    assert_eq!(kinds, (0..KINDS).collect());
}
