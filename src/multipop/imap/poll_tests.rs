//! Polls of an IMAP server that loses connections, into the real store on a simulated flash.

use super::fake::{Mail, Provider, inbox, mail, mails, new_store, poll, run, source};
use crate::config::Source;

fn bodies(mails: &[Mail]) -> Vec<&'static str> {
    mails.iter().map(|mail| mail.octets).collect()
}

#[test]
fn wherever_the_connection_breaks_nothing_is_lost_and_nothing_comes_twice() {
    for uid_plus in [true, false] {
        let provider = Provider::new(mails());
        provider.uid_plus.set(uid_plus);
        run(&provider, async {
            let source = source(&provider);
            poll(&source, &new_store()).await.0.unwrap();
            assert_eq!(*provider.folder.borrow(), []);
            for limit in (0..provider.sent.get()).step_by(3) {
                *provider.folder.borrow_mut() = mails();
                provider.break_after.set(limit);
                let store = new_store();
                let broken = poll(&source, &store).await.0;
                provider.break_after.set(usize::MAX);
                poll(&source, &store).await.0.unwrap();
                assert_eq!(inbox(&store).await, bodies(&mails()), "after {limit} octets: {broken:?}");
                assert_eq!(*provider.folder.borrow(), [], "after {limit} octets: {broken:?}");
            }
        });
    }
}

#[test]
fn messages_that_stay_are_collected_once() {
    let provider = Provider::new(mails());
    run(&provider, async {
        let source = Source { leave_on_server: true, ..source(&provider) };
        let store = new_store();
        for (collected, new) in [(3, None), (0, Some(mail(12, "b\r\n"))), (1, None)] {
            assert_eq!(poll(&source, &store).await.1.collected, collected);
            provider.folder.borrow_mut().extend(new);
        }
        assert_eq!(provider.folder.borrow().len(), 4);
        assert!(
            !provider.heard.borrow().iter().any(|line| line.contains("STORE") || line.contains("EXPUNGE"))
        );
    });
}

#[test]
fn what_others_marked_as_deleted_is_neither_collected_nor_expunged() {
    for uid_plus in [true, false] {
        let theirs = Mail { uid: 1, octets: "theirs\r\n", deleted: true };
        let provider = Provider::new([&[theirs.clone()][..], &mails()].concat());
        provider.uid_plus.set(uid_plus);
        run(&provider, async {
            let store = new_store();
            poll(&source(&provider), &store).await.0.unwrap();
            assert_eq!(inbox(&store).await, bodies(&mails()));
            let left: Vec<u32> = provider.folder.borrow().iter().map(|mail| mail.uid).collect();
            // Without UID EXPUNGE our marked messages stay, since others have marked messages there.
            let expected: &[u32] = if uid_plus { &[1] } else { &[1, 3, 5, 9] };
            assert_eq!(left, expected);
            assert_eq!(poll(&source(&provider), &store).await.1.collected, 0);
        });
    }
}
