//! Damage at the end of the log: what was hit is lost and reported, all else is kept, and no UID is given twice.

use super::super::log::Log;
use super::super::scan::Scanned;
use super::*;
use crate::flash::Flash;
use crate::store::engine::transaction::Relocated;
use crate::store::format::Place;
use crate::store::format::record::Record;

/// Where a commit lies in the log, and the date of the message that it delivers.
#[derive(Debug, Clone, Copy)]
struct Commit {
    date: Option<u64>,
    start: Place,
    end: Place,
}

fn path_of(segment: u32) -> String {
    format!("accounts/a/log/{segment:08}")
}

/// The commits of an account's log, in order.
fn commits(flash: &SimFlash) -> Vec<Commit> {
    let log = Log::new(Rc::new(flash.clone()), "accounts/a/log".to_owned(), 0);
    let mut scan = log.scan(Place::default()).unwrap();
    let (mut commits, mut date, mut start) = (Vec::new(), None, None);
    while let Some(found) = scan.next().unwrap() {
        let Scanned::Frame(frame) = found else { panic!("damaged") };
        start.get_or_insert(frame.place);
        match frame.record.unwrap() {
            Record::Message(message) => date = Some(message.date as u64),
            Record::Commit(_) => {
                commits.push(Commit { date: date.take(), start: start.take().unwrap(), end: frame.end });
            }
            _ => {}
        }
    }
    commits
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Orderly,
    Killed,
}

/// Messages 1 to 6, each acknowledged, with a checkpoint after `checkpoint_after` of them.
fn six(checkpoint_after: u64, end: End) -> SimFlash {
    clock::FIXED.set(Some(1_000_000));
    let flash = SimFlash::default();
    smol::block_on(async {
        let mut store = store(&flash);
        store.sizes.segment = 1 << 20;
        let account = store.account("a").await.unwrap();
        for date in 1..=6 {
            let delivery = deliver_octets(&account, INBOX, date, 1500, &mut Choices::new(2)).unwrap();
            let committed = delivery.commit().await.unwrap();
            assert!(committed.placed.iter().eq([(INBOX, date as u32)]));
            if date == checkpoint_after {
                account.write_checkpoint().await.unwrap();
            }
        }
        if end == End::Orderly {
            store.mark_end();
        }
    });
    flash.copy()
}

/// The dates of the messages that are served, and the UID that the next message gets.
fn served(flash: &SimFlash) -> (Vec<u64>, Uid) {
    smol::block_on(async {
        let account = store(flash).account("a").await.unwrap();
        let messages = account.view(INBOX, |mailbox| mailbox.messages.clone()).unwrap();
        let mut dates = Vec::new();
        for message in &messages {
            let Ok(body) = account.body(message) else { continue };
            let mut octets = vec![0; message.size as usize];
            body.read_exact_at(0, &mut octets).unwrap();
            assert_eq!(octets, content(message.date.get() as u64, octets.len()));
            dates.push(message.date.get() as u64);
        }
        let next =
            deliver_octets(&account, INBOX, 7, 100, &mut Choices::new(3)).unwrap().commit().await.unwrap();
        (dates, next.placed.first().unwrap().1)
    })
}

/// Damages octets of the log and checks what is served then. `hit` are the messages whose commits lie there.
fn damaged(
    whole: &SimFlash,
    segment: u32,
    from: u32,
    to: u32,
    octet: impl Fn(u8) -> u8,
    end: End,
    what: &str,
) {
    let flash = whole.copy();
    flash.alter(&path_of(segment), from as usize..to as usize, octet);
    let all = commits(whole);
    let last = all.iter().rfind(|commit| commit.date.is_some()).unwrap();
    let hit = |commit: &Commit| {
        commit.start.segment == segment && commit.start.offset < to && from < commit.end.offset
    };
    let must_stay: Vec<u64> =
        all.iter().filter(|commit| !hit(commit)).filter_map(|commit| commit.date).collect();
    let report = smol::block_on(store(&flash).check()).unwrap();
    let (dates, next) = served(&flash);
    for date in &must_stay {
        assert!(dates.contains(date), "{what}: message {date} is gone: {dates:?}\n{report}");
    }
    assert!(next > 6, "{what}: UID {next} is given again\n{report}");
    let lost = (1..=6).filter(|date| !dates.contains(date)).count();
    // When both the last commit and the mark after it are lost, it looks as after a power cut, unless the end was
    // orderly.
    let may_be_torn = end == End::Killed && (from >= last.start.offset || to + 30 > last.end.offset);
    assert!(lost == 0 || may_be_torn || !report.damage.is_empty(), "{what}: {lost} lost, and nobody says so");
    // At the next start no more numbers are skipped.
    let (again, then) = served(&flash);
    assert_eq!(dates, again.into_iter().filter(|date| *date != 7).collect::<Vec<_>>(), "{what}");
    assert_eq!(then, next + 1, "{what}");
}

/// Catches: a damaged commit that is read together with the next one (damage in the last 512 octets of the fifth of
/// six cost the sixth, and UIDNEXT fell to 5); a tail that is cut off together with UIDs that were told; damage that
/// `fsck` misses.
#[test]
fn a_sector_or_a_page_that_is_lost_costs_what_it_held() {
    for end in [End::Killed, End::Orderly] {
        for checkpoint_after in [0, 2, 5, 6] {
            let whole = six(checkpoint_after, end);
            assert_eq!(served(&whole.copy()), ((1..=6).collect(), 7));
            let delivered: Vec<Commit> =
                commits(&whole).into_iter().filter(|commit| commit.date.is_some()).collect();
            for commit in &delivered[checkpoint_after as usize..] {
                let (segment, first, behind) = (commit.start.segment, commit.start.offset, commit.end.offset);
                for size in [512, 4096] {
                    let sectors = (first / size..=behind / size).map(|n| (n * size, (n + 1) * size));
                    let at_edges =
                        [(first, first + size.min(behind - first)), (behind.saturating_sub(size), behind)];
                    for (from, to) in sectors.chain(at_edges) {
                        // The first commit, which created the mailboxes, is left alone.
                        let from = from.max(delivered[0].start.offset);
                        let to = to.min(behind.max(from + 1));
                        for (kind, octet) in [("zeros", 0_u8), ("ones", 255)] {
                            let what = format!(
                                "{end:?}, checkpoint after {checkpoint_after}, {kind} from {from} to {to}, commit of {:?}",
                                commit.date
                            );
                            damaged(&whole, segment, from, to, |_| octet, end, &what);
                        }
                        let what = format!("{end:?}, {checkpoint_after}, flipped {from} to {to}");
                        damaged(&whole, segment, from, to, |octet| octet ^ 0x10, end, &what);
                    }
                }
            }
        }
    }
}

/// Catches: a log that is begun anew when its folder is gone, and gives out UIDs that were given already.
#[test]
fn a_log_that_is_gone_beside_its_checkpoint_is_damage() {
    for checkpoint_after in [3, 6] {
        let flash = six(checkpoint_after, End::Killed);
        let before = smol::block_on(async {
            store(&flash.copy())
                .account("a")
                .await
                .unwrap()
                .view(INBOX, |mailbox| mailbox.uid_validity)
                .unwrap()
        });
        for (path, _) in flash.files().into_iter().filter(|(path, _)| path.starts_with("accounts/a/log/")) {
            flash.remove(&path).unwrap();
        }
        let report = smol::block_on(store(&flash).check()).unwrap();
        assert!(!report.damage.is_empty(), "{report}");
        smol::block_on(async {
            let account = store(&flash).account("a").await.unwrap();
            let (validity, next) =
                account.view(INBOX, |mailbox| (mailbox.uid_validity, mailbox.uid_next)).unwrap();
            assert!(validity != before || next > 6, "UIDs are given again");
            deliver(&account, INBOX, 8, &mut Choices::new(1)).unwrap().commit().await.unwrap();
        });
    }
}

/// Catches: records of a later version that are called damage, cut off, or lost in compaction, and parts of its
/// checkpoint that are not written again.
#[test]
fn what_a_later_version_wrote_is_kept() {
    let flash = six(3, End::Orderly);
    let unknown_head = [200, 1, 7, 7, 7];
    smol::block_on(async {
        let store = store(&flash);
        let account = store.account("a").await.unwrap();
        let mut transaction = account.begin();
        let unknown = vec![(unknown_head.to_vec(), b"its body".to_vec())];
        transaction.relocate(Relocated { unknown, ..Relocated::default() });
        transaction.commit().await.unwrap();
        deliver_octets(&account, INBOX, 8, 300, &mut Choices::new(3)).unwrap().commit().await.unwrap();
        account.state.borrow_mut().index.unknown_parts.push(vec![99, 1, 2, 3]);
        account.write_checkpoint().await.unwrap();
        account.write_checkpoint().await.unwrap();
        store.mark_end();
    });
    for round in 0..3 {
        let report = smol::block_on(store(&flash).check()).unwrap();
        assert!(report.damage.is_empty(), "{report}");
        smol::block_on(async {
            let account = store(&flash).account("a").await.unwrap();
            assert_eq!(account.usage().messages, 7, "round {round}");
            assert_eq!(account.index(|index| index.unknown_parts.clone()), [[99, 1, 2, 3]]);
            let segments = account.log(|log| log.segments()).unwrap();
            let unknown: Vec<_> = segments
                .iter()
                .flat_map(|segment| account.log(|log| log.unknown_in(*segment)).unwrap())
                .collect();
            assert_eq!(unknown, [(unknown_head.to_vec(), b"its body".to_vec())], "round {round}");
            account.rewrite(segments.into_iter().collect()).await.unwrap();
        });
    }
}

/// Catches: numbers that are skipped for a commit that was told to no client: an import that is killed and continued
/// could not keep its UIDs.
#[test]
fn a_commit_that_a_kill_broke_off_costs_no_number() {
    let whole = six(0, End::Killed);
    let last = *commits(&whole).iter().rfind(|commit| commit.date.is_some()).unwrap();
    for cut in [100, 700, 1400].map(|octets| last.start.offset + octets) {
        let flash = whole.copy();
        let file = flash.open(&path_of(last.start.segment), crate::flash::Mode::Write).unwrap();
        file.truncate(cut.into()).unwrap();
        assert!(smol::block_on(store(&flash).check()).unwrap().damage.is_empty());
        assert_eq!(served(&flash), ((1..=5).collect(), 6), "broken off at {cut}");
    }
}
