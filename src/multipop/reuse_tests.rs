//! Servers that use the unique-id of one message for another one (RFC 1939 section 7 allows it once the first is
//! gone).

use std::time::Duration;

use super::errand::Experience;
use super::fake::{Mail, Provider};
use super::tests::{inbox, poll_again, run, source, store};
use crate::config::Source;
use crate::flash::sim::SimFlash;

fn letter(unique_id: &str, n: usize) -> Mail {
    Mail::new(unique_id, format!("Message-ID: <{n}@x>\r\nSubject: {n}\r\n\r\nLetter {n}\r\n"))
}

fn asked_for(provider: &Provider, what: &str) -> usize {
    provider.heard.borrow().iter().filter(|line| line.starts_with(what)).count()
}

/// Catches: a message that is deleted at the server and was never collected, since an earlier one had its unique-id.
#[test]
fn a_unique_id_that_is_used_again_is_another_message() {
    // Whether TOP tells, and what the server lists as sizes.
    for (top, size) in [(true, None), (true, Some(0)), (false, None)] {
        let provider = Provider::new(&[letter("1", 1), letter("2", 2)]);
        provider.behaviour.borrow_mut().size = size;
        if !top {
            provider.behaviour.borrow_mut().reply = Some(("TOP", "-ERR no\r\n".to_owned()));
        }
        run(&provider, async {
            let (store, experience) = (store(&SimFlash::default()), Experience::default());
            for n in 1..=5 {
                let (result, outcome) = poll_again(&provider, &source(&provider), &store, &experience).await;
                result.unwrap();
                assert_eq!((outcome.collected, outcome.deleted), (2, 2), "{top} {size:?} {n}");
                assert!(provider.maildrop.borrow().is_empty());
                *provider.maildrop.borrow_mut() = vec![letter("1", 10 * n), letter("2", 10 * n + 1)];
            }
            let mut came = inbox(&store).await;
            came.sort();
            came.dedup();
            assert_eq!(came.len(), 10, "{top} {size:?}: {came:?}");
        });
    }
}

/// Catches: a new message of the same size that gets the unique-id of one which the server was told twice to delete, and
/// is deleted without a look.
#[test]
fn what_was_compared_once_may_be_another_message_later() {
    let provider = Provider::new(&[letter("1", 1)]);
    provider.behaviour.borrow_mut().reply = Some(("QUIT", "-ERR no\r\n".to_owned()));
    run(&provider, async {
        let (store, experience) = (store(&SimFlash::default()), Experience::default());
        for _ in 0..3 {
            let _ = poll_again(&provider, &source(&provider), &store, &experience).await;
        }
        provider.behaviour.borrow_mut().reply = None;
        *provider.maildrop.borrow_mut() = vec![letter("1", 2)];
        for day in 0..2 {
            poll_again(&provider, &source(&provider), &store, &experience).await.0.unwrap();
            provider.time.advance(Duration::from_secs(24 * 3600));
            let left = provider.maildrop.borrow().len();
            assert_eq!((inbox(&store).await.len(), left), (1 + day, 1 - day));
        }
    });
}

/// Catches: a message that comes twice, or is read whole, since it was not deleted at the server after its commit; a
/// server that never deletes and is asked for the same beginnings with each poll.
#[test]
fn what_was_not_deleted_is_compared_once() {
    let provider = Provider::new(&[letter("1", 1), letter("2", 2), letter("3", 3)]);
    provider.behaviour.borrow_mut().reply = Some(("QUIT", "-ERR no\r\n".to_owned()));
    run(&provider, async {
        let (store, experience) = (store(&SimFlash::default()), Experience::default());
        for _ in 0..4 {
            let _ = poll_again(&provider, &source(&provider), &store, &experience).await;
        }
        assert_eq!(inbox(&store).await.len(), 3);
        assert_eq!((asked_for(&provider, "RETR"), asked_for(&provider, "TOP")), (3, 3));
        // By now another message may have the unique-id: without a comparison it is not deleted.
        assert_eq!(asked_for(&provider, "DELE"), 6);
        provider.behaviour.borrow_mut().reply = None;
        provider.time.advance(Duration::from_secs(24 * 3600));
        let (result, outcome) = poll_again(&provider, &source(&provider), &store, &experience).await;
        result.unwrap();
        assert_eq!((outcome.collected, outcome.deleted, provider.maildrop.borrow().len()), (0, 3, 0));
    });
}

/// Catches: a message that stays at the server and is never collected, since an earlier one that is gone had its
/// unique-id; one that comes again after it was gone.
#[test]
fn what_is_back_after_it_was_gone_is_compared() {
    let provider = Provider::new(&[letter("1", 1), letter("2", 2), letter("3", 3)]);
    run(&provider, async {
        let (store, experience) = (store(&SimFlash::default()), Experience::default());
        let source = Source { leave_on_server: true, ..source(&provider) };
        let poll = async || poll_again(&provider, &source, &store, &experience).await.1.collected;
        assert_eq!(poll().await, 3);
        *provider.maildrop.borrow_mut() = vec![letter("2", 2)];
        assert_eq!(poll().await, 0);
        *provider.maildrop.borrow_mut() = vec![letter("1", 10), letter("2", 2), letter("3", 3)];
        assert_eq!(poll().await, 1);
        assert_eq!((poll().await, poll().await), (0, 0));
        assert_eq!(inbox(&store).await.len(), 4);
    });
}
