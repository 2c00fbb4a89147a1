//! Commits that are staged together, in a fixed order of steps that random tests would seldom meet.

use smol::future::poll_once;

use super::expected::{Answer, Expected, UnansweredCommit, observe};
use super::lives::transaction;
use super::model::{Model, Op};
use super::*;

const LARGE: usize = 64 * 1024 + 1;

type Outcome = Result<Committed, Error>;
type Committing = Pin<Box<dyn Future<Output = Outcome>>>;

fn begin(account: &Rc<Account>, ops: &[Op]) -> Committing {
    Box::pin(transaction(account, ops).unwrap().commit())
}

fn delivery(date: u64, size: usize, flags: &'static [&'static str]) -> Op {
    let (mailbox, kept) = ("INBOX".to_owned(), None);
    Op::Deliver { mailbox, date, size, flags, note: None, collected: false, kept }
}

/// Polls these commits until one of them is done. Returns which one. The others stay where they are.
async fn first_of(commits: &mut [&mut Committing]) -> (usize, Committed) {
    for round in 0..400 {
        for (n, commit) in commits.iter_mut().enumerate() {
            if let Some(committed) = poll_once(&mut **commit).await {
                return (n, committed.unwrap());
            }
        }
        // The leader of a sync may wait a moment for other commits.
        if round > 20 {
            smol::Timer::after(Duration::from_millis(1)).await;
        }
    }
    panic!("commits wait for ever");
}

/// Polls the commit until it is done.
async fn end(commit: &mut Committing) -> Committed {
    first_of(&mut [commit]).await.1
}

/// Polls a commit up to `n` times. Returns its result when it is done by then.
async fn steps(commit: &mut Committing, n: usize) -> Option<Committed> {
    for _ in 0..n {
        if let Some(committed) = poll_once(&mut *commit).await {
            return Some(committed.unwrap());
        }
    }
    None
}

fn body_files(flash: &SimFlash) -> Vec<String> {
    flash
        .files()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.starts_with("accounts/a/body/"))
        .collect()
}

/// What is found after a cut, and the files of bodies.
async fn after_a_cut(flash: &SimFlash, seed: u64) -> (Model, Vec<String>) {
    let flash = flash.restart(seed);
    let account = store(&flash).account("a").await.unwrap();
    (observe(&account), body_files(&flash))
}

/// Catches: a keyword whose commit is applied while another commit is staged, and which the next commit counts twice,
/// so that its own keyword gets a place without a name. It fails without `retain` in `Planner::flags`.
#[test]
fn a_keyword_is_counted_once_while_commits_are_staged() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let account = store(&flash).account("a").await.unwrap();
        let mut first = begin(&account, &[delivery(1, 10, &["work"])]);
        assert!(steps(&mut first, 2).await.is_none(), "its sync is under way");
        let mut second = begin(&account, &[delivery(2, 10, &[])]);
        assert!(steps(&mut second, 1).await.is_none());
        end(&mut first).await;
        let mut third = begin(&account, &[delivery(3, 10, &["x"])]);
        assert!(steps(&mut third, 1).await.is_none(), "all three are in the log");
        let (n, _) = first_of(&mut [&mut second, &mut third]).await;
        end(if n == 0 { &mut third } else { &mut second }).await;
        let inbox = &observe(&account).mailboxes["INBOX"];
        let flags: Vec<Vec<&str>> =
            inbox.letters.values().map(|letter| letter.flags.iter().map(String::as_str).collect()).collect();
        assert_eq!(flags, [&["work"][..], &[], &["x"]]);
    });
}

/// Catches: `Lead::drop` does not wake the other commits, does not give the files back, forgets that the segment is
/// new, or keeps the lead.
#[test]
fn a_commit_that_is_given_up_while_it_leads_a_sync_leaves_the_others_theirs() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let account = store(&flash).account("a").await.unwrap();
        for round in 0..60 {
            let before = Expected::new(observe(&account));
            let size = |n: usize| [300, 500, LARGE][(round + n) % if round < 40 { 2 } else { 3 }];
            let date = |n: usize| (round * 10 + n) as u64;
            let [given_up, second, third] = [0, 1, 2].map(|n| vec![delivery(date(n), size(n), &["x"])]);
            let mut leader = begin(&account, &given_up);
            let led = steps(&mut leader, 1 + round % 5).await;
            let (mut commits, mut left) = ([begin(&account, &second), begin(&account, &third)], vec![0, 1]);
            for commit in &mut commits {
                assert!(steps(commit, 1 + round % 2).await.is_none());
            }
            drop(leader);
            let open = |ops| UnansweredCommit { ops, answer: Answer::Open };
            let mut asked = [given_up, second, third].map(open).to_vec();
            asked[0].answer = led.map_or(Answer::Open, done);
            while !left.is_empty() {
                let waiting = commits.iter_mut().enumerate().filter(|(n, _)| left.contains(n));
                let (n, committed) =
                    first_of(&mut waiting.map(|(_, commit)| commit).collect::<Vec<_>>()).await;
                asked[1 + left.remove(n)].answer = done(committed);
                let expected = Expected { asked: asked.clone(), ..before.clone() };
                for seed in 0..4 {
                    let (found, _) = after_a_cut(&flash, seed).await;
                    assert_eq!(expected.allows(&found), Ok(()), "round {round}");
                }
            }
            let now = observe(&account);
            assert_eq!(Expected { asked, ..before }.allows(&now), Ok(()), "round {round}");
            // What is visible survives a cut, and no other file is left.
            assert_eq!(after_a_cut(&flash, round as u64).await, (now.clone(), body_files(&flash)));
            let large = now.mailboxes["INBOX"].letters.values().filter(|letter| letter.size == LARGE).count();
            assert_eq!(body_files(&flash).len(), large, "round {round}");
        }
    });
}

fn done(committed: Committed) -> Answer {
    let placed = committed.placed.iter().map(|(_, uid)| ("INBOX".to_owned(), uid)).collect();
    Answer::Done(committed.modseq, placed)
}

/// Copies a message in a file of its own to Drafts and expunges it from the INBOX. The second commit begins `delay`
/// steps after the first. Checks a cut at each step of the flash.
fn copied_and_expunged(copy_first: bool, delay: usize) {
    let flash = SimFlash::default();
    smol::block_on(async {
        let account = store(&flash).account("a").await.unwrap();
        end(&mut begin(&account, &[delivery(7, LARGE, &["work"])])).await;
        let model = observe(&account);
        let (from, to, uid) = ("INBOX".to_owned(), "Drafts".to_owned(), 1);
        let letter = model.mailboxes["INBOX"].letters[&uid].clone();
        let copy = Op::Copy { from: from.clone(), uid, to, letter };
        let expunge = Op::Expunge { mailbox: from, uids: vec![uid] };
        let ops = if copy_first { [copy, expunge] } else { [expunge, copy] };
        let asked = ops.map(|op| UnansweredCommit { ops: vec![op], answer: Answer::Open }).to_vec();
        let expected = Rc::new(RefCell::new(Expected { model, asked }));
        let expectation = expected.clone();
        flash.watch(move |flash| {
            for seed in 0..3 {
                let (found, _) = smol::block_on(after_a_cut(flash, flash.steps() * 3 + seed));
                assert_eq!(expectation.borrow().allows(&found), Ok(()));
            }
        });
        let answer = |n: usize, committed: Committed| {
            let asked = &mut expected.borrow_mut().asked[n];
            let copied = committed.placed.iter().map(|(_, uid)| ("Drafts".to_owned(), uid)).collect();
            asked.answer = Answer::Done(committed.modseq, copied);
            // A message that was gone before the copy was asked for is not copied.
            if committed.placed.is_empty() && matches!(asked.ops[..], [Op::Copy { .. }]) {
                asked.ops.clear();
            }
        };
        let [first, second] = [0, 1].map(|n| expected.borrow().asked[n].ops.clone());
        let mut first = begin(&account, &first);
        let early = steps(&mut first, delay).await;
        let is_done = early.is_some();
        early.into_iter().for_each(|committed| answer(0, committed));
        let mut second = begin(&account, &second);
        if is_done {
            answer(1, end(&mut second).await);
        } else {
            let (n, committed) = first_of(&mut [&mut second, &mut first]).await;
            answer(1 - n, committed);
            answer(n, end(if n == 0 { &mut first } else { &mut second }).await);
        }
        flash.watch(|_| {});
        let now = observe(&account);
        assert_eq!(expected.borrow().allows(&now), Ok(()));
        let is_copied = !now.mailboxes["Drafts"].letters.is_empty();
        // When both are begun side by side, either may be staged first; a copy that is staged second copies nothing.
        assert!(!is_done || is_copied == copy_first, "only what is gone is not copied");
        assert_eq!(body_files(&flash).len(), usize::from(is_copied));
        assert_eq!(after_a_cut(&flash, 1).await, (now, body_files(&flash)));
        let drafts = account.find("Drafts").unwrap();
        let mut transaction = account.begin();
        transaction.expunge(drafts, &[1]);
        transaction.commit().await.unwrap();
        assert!(body_files(&flash).is_empty(), "with its last copy the file goes");
    });
}

/// Catches: a commit that is applied and removes a file that a staged copy still needs, because `Account::apply`
/// removes orphans while something is staged.
#[test]
fn a_large_message_is_copied_beside_its_expunge() {
    for delay in 0..8 {
        copied_and_expunged(true, delay);
        copied_and_expunged(false, delay);
    }
}
