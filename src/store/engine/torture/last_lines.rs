//! How messages end (RFC 1939 section 11): the index knows it from the commit on, whatever happens to the message.

use super::*;
use crate::flash::Flash;

async fn deliver_as_it_is(account: &Rc<Account>, octets: &[u8], piece: usize) {
    let mut message = account.incoming();
    octets.chunks(piece).for_each(|piece| message.write(piece).unwrap());
    let mut transaction = account.begin();
    transaction.deliver(INBOX, message, Flags::SEEN, &["work"], 0);
    transaction.commit().await.unwrap();
}

fn last_lines(account: &Account, name: &str) -> Vec<LastLine> {
    let mailbox = account.find(name).unwrap();
    account.view(mailbox, |mailbox| mailbox.messages.iter().map(Message::last_line).collect()).unwrap()
}

/// Catches: a CRLF that is not seen because it comes in two pieces or goes into a file; a mark that changes of flags
/// remove, or that a copy, a commit in pieces, RENAME of the INBOX, a checkpoint, compaction or a restart loses; a
/// mark that is shown as a flag.
#[test]
fn how_a_message_ends_stays_with_it() {
    use LastLine::{Ended, Unended};
    let long = [&[b'x'; 70_000][..], b"\r\n"].concat();
    let ends = [
        (&b""[..], Ended),
        (b"\r\n", Ended),
        (b"a\r\n", Ended),
        (b"a\n", Unended),
        (b"a\r", Unended),
        (b"\n", Unended),
        (b"a", Unended),
        (&long, Ended),
        (&long[..70_001], Unended),
    ];
    let all = ends.map(|(_, last_line)| last_line);
    smol::block_on(async {
        let flash = SimFlash::default();
        let account = store(&flash).account("a").await.unwrap();
        for (octets, _) in ends {
            for piece in [octets.len().max(1), 1, octets.len().saturating_sub(1).max(1)] {
                // A file made of 70,000 pieces would take too long here.
                deliver_as_it_is(&account, octets, if octets.len() > 9 { piece.max(1000) } else { piece })
                    .await;
            }
        }
        let each: Vec<LastLine> = all.iter().flat_map(|last_line| [*last_line; 3]).collect();
        assert_eq!(last_lines(&account, "INBOX"), each);
        let uids: Vec<Uid> = (1..=each.len() as Uid).collect();
        for (change, flags) in [
            (FlagChange::Replace, Flags::FLAGGED),
            (FlagChange::Remove, Flags::FLAGGED),
            (FlagChange::Add, Flags::SEEN),
        ] {
            let mut transaction = account.begin();
            transaction.flags(INBOX, &uids, change, flags, &[]);
            transaction.commit().await.unwrap();
        }
        let mut transaction = account.begin();
        transaction.copy(INBOX, 1, account.find("Sent").unwrap());
        transaction.copy_all(INBOX, &uids, account.find("Drafts").unwrap());
        transaction.commit().await.unwrap();
        let mut transaction = account.begin();
        transaction.expunge(account.find("Sent").unwrap(), &[1]);
        transaction.rename_mailbox("INBOX", "Old");
        transaction.commit().await.unwrap();
        drop(account);
        for _ in 0..3 {
            let account = store(&flash.restart(1)).account("a").await.unwrap();
            for name in ["Old", "Drafts"] {
                assert_eq!(last_lines(&account, name), each, "{name}");
                let mailbox = account.find(name).unwrap();
                let flags = account
                    .view(mailbox, |mailbox| mailbox.messages.iter().map(|m| m.flags).collect::<Vec<_>>());
                assert!(flags.unwrap().iter().all(|flags| *flags == Flags::SEEN), "{name}");
                assert_eq!(account.learn_last_lines(mailbox, 100).await, [], "nothing is to be read");
            }
            account.write_checkpoint().await.unwrap();
            account.rewrite((1..5).collect()).await.unwrap();
        }
    });
}

/// Catches: an end that is read from another place of the log or of a file; an end that is believed although it
/// cannot be read; an end that is noted for the wrong message.
#[test]
fn ends_that_are_not_known_are_read() {
    smol::block_on(async {
        let flash = SimFlash::default();
        let account = store(&flash).account("a").await.unwrap();
        let tails = [&b""[..], b"\r\n", b"\n", b"a", b"a\r\n", b"\r\n\r", b"x\r\ny"];
        for long in [0, 3, 300, 70_000] {
            for tail in tails {
                deliver_as_it_is(&account, &[&vec![b'x'; long][..], tail].concat(), 50_000).await;
            }
        }
        let truth = last_lines(&account, "INBOX");
        account.forget_last_lines();
        let learned = account.learn_last_lines(INBOX, 1000).await;
        assert_eq!(learned, (1..).zip(truth.clone()).collect::<Vec<_>>());
        assert_eq!(last_lines(&account, "INBOX"), truth);
        // A missing file is reported when the message itself is read.
        account.forget_last_lines();
        let (file, _) = flash.files().into_iter().find(|(path, _)| path.contains("/body/")).unwrap();
        flash.remove(&file).unwrap();
        assert_eq!(account.learn_last_lines(INBOX, 1000).await.len(), truth.len() - 1);
        assert_eq!(account.learn_last_lines(INBOX, 1000).await, []);
    });
}
