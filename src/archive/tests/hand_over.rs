//! Mail that goes from one account to another.

use super::*;

async fn hand(from: &Rc<store::Account>, to: &Rc<store::Account>, below: Option<&str>) -> Summary {
    hand_over(from, to, below, &Ear::default()).await.unwrap()
}

/// Catches: mail that changes or comes twice when a new account takes it over.
#[test]
fn an_account_that_was_never_used_becomes_the_same() {
    smol::block_on(async {
        let (from, to) = (three().await, account());
        let summary = hand(&from, &to, None).await;
        assert_eq!((summary.problems, summary.unchanged), (0, 0));
        assert_eq!(dump(&to), dump(&from));
        let again = hand(&from, &to, None).await;
        assert_eq!((again.written, again.unchanged), (0, summary.written));
        assert_eq!(dump(&to), dump(&from));
    });
}

/// Catches: a mailbox that is mixed with another of its name, flags that are lost, and mail that is there already and
/// comes again.
#[test]
fn below_another_mailbox_nothing_is_mixed() {
    smol::block_on(async {
        let (from, to) = (three().await, account());
        deliver(&to, INBOX, b"own", Flags::NONE, &["own"], 7).await;
        let before = dump(&to);
        let summary = hand(&from, &to, Some("old")).await;
        assert_eq!(summary.problems, 0);
        for line in before.lines().filter(|line| line.starts_with("INBOX")) {
            assert!(dump(&to).contains(line), "{line}");
        }
        let (theirs, id) = (from.find("INBOX").unwrap(), to.find("old/INBOX").unwrap());
        let flags = |account: &store::Account, id| {
            account.view(id, |m| {
                let named = |message: &store::Message| {
                    let keywords = message.flags.keywords().map(|bit| m.keywords[bit].clone());
                    (message.flags.system(), keywords.collect::<Vec<_>>(), message.date.get(), {
                        message.size
                    })
                };
                m.messages.iter().map(named).collect::<Vec<_>>()
            })
        };
        assert_eq!(flags(&to, id), flags(&from, theirs));
        assert_eq!(hand(&from, &to, Some("old")).await.written, 0);
    });
}

/// Catches: a takeover that is interrupted anywhere, after which messages are missing or there twice.
#[test]
fn it_may_be_broken_off_anywhere() {
    smol::block_on(async {
        let from = three().await;
        deliver(&from, INBOX, &vec![b'x'; 200_000], Flags::SEEN, &[], 9).await;
        let whole = account();
        hand(&from, &whole, Some("old")).await;
        let wanted = dump(&whole).lines().filter(|line| line.starts_with("  ")).count();
        let mut ended = false;
        for steps in (0..).step_by(7) {
            let to = account();
            {
                let ear = Ear::default();
                let mut work = pin!(hand_over(&from, &to, Some("old"), &ear));
                let mut context = Context::from_waker(Waker::noop());
                for _ in 0..steps {
                    if let Poll::Ready(outcome) = work.as_mut().poll(&mut context) {
                        outcome.unwrap();
                        ended = true;
                        break;
                    }
                }
            }
            hand(&from, &to, Some("old")).await;
            let found = dump(&to).lines().filter(|line| line.starts_with("  ")).count();
            assert_eq!(found, wanted, "after {steps} steps");
            if ended {
                return;
            }
        }
    });
}

/// Catches: a quota that is ignored, and mail that is lost because of it.
#[test]
fn a_quota_holds_and_says_what_to_do() {
    smol::block_on(async {
        let from = three().await;
        let flash = SimFlash::default();
        let store = Store::new(Rc::new(flash));
        store.set_quotas([("office".to_owned(), 10)].into());
        let to = store.account("office").await.unwrap();
        let failure = hand_over(&from, &to, None, &Ear::default()).await.unwrap_err().words();
        assert!(failure.contains("quota") && failure.contains("claim it again"), "{failure}");
        store.set_quotas(BTreeMap::new());
        hand(&from, &to, None).await;
        assert_eq!(dump(&to).matches("\n  ").count(), dump(&from).matches("\n  ").count());
    });
}
