//! IMAP servers whose answers are each odd in one way: it costs a feature, a folder or a message, and never the mailbox.

use super::fake::{Provider, inbox, mail, mails, new_store, poll, poll_with, run, source};
use crate::config::Source;
use crate::multipop::Error;
use crate::multipop::errand::Experience;

const LETTERS: [&str; 3] = [
    "Message-ID: <1@x>\r\n\r\nOne\r\n",
    "Message-ID: <2@x>\r\n\r\nTwo\r\n",
    "Message-ID: <3@x>\r\n\r\nThree\r\n",
];

fn in_folders(folders: &[&str], provider: &Provider) -> Source {
    let folders = folders.iter().map(|folder| (*folder).try_into().unwrap()).collect();
    Source { leave_on_server: true, folders, ..source(provider) }
}

/// Catches: a folder that is not there, or that the server does not open, and that keeps all others away.
#[test]
fn a_folder_that_cannot_be_opened_costs_that_folder() {
    let provider = Provider::new(vec![mail(1, LETTERS[0])]);
    provider.refused.set(Some("EXAMINE \"Gone\""));
    *provider.others.borrow_mut() = vec![("Sent", "", vec![mail(1, LETTERS[1])])];
    run(&provider, async {
        for folders in
            [&["INBOX", "Gone", "Sent"][..], &["Gone", "INBOX", "Sent"], &["INBOX", "Sent", "Gone"]]
        {
            let store = new_store();
            let (result, outcome) = poll(&in_folders(folders, &provider), &store).await;
            result.unwrap();
            assert_eq!((outcome.collected, inbox(&store).await.len()), (2, 2), "{folders:?}");
            assert!(matches!(outcome.problem, Some(Error::Refused { .. })), "{outcome:?}");
        }
    });
}

/// Catches: a folder at which the server hangs up, or falls silent, and that keeps all others away for ever.
#[test]
fn a_folder_at_which_the_connection_ends_comes_last() {
    for silent in [false, true] {
        let provider = Provider::new(vec![mail(1, LETTERS[0])]);
        let at = if silent { &provider.silent_at } else { &provider.hangs_up_at };
        at.set(Some("EXAMINE \"Bad\""));
        *provider.others.borrow_mut() =
            vec![("Bad", "", vec![mail(1, LETTERS[2])]), ("Sent", "", vec![mail(1, LETTERS[1])])];
        run(&provider, async {
            let (store, experience) = (new_store(), Experience::default());
            let source = in_folders(&["INBOX", "Bad", "Sent"], &provider);
            for came in [1, 2, 2] {
                assert!(poll_with(&source, &store, &experience).await.0.is_err());
                assert_eq!(inbox(&store).await.len(), came, "{silent}");
            }
            at.set(None);
            assert!(poll_with(&source, &store, &experience).await.0.is_ok());
            assert_eq!(inbox(&store).await.len(), 3, "{silent}");
        });
    }
}

/// Catches: a folder whose name is not written in modified UTF-7 as it should be (Yandex does so), and that is asked
/// for by another name, or left out; one that is collected twice after the server has changed its ways.
#[test]
fn a_folder_is_opened_by_the_name_that_the_server_lists() {
    let name = ["&BBAEMQQyACYEMwQ0BDU-", "R&D", "Entwürfe", "A&-B"];
    let provider = Provider::new(vec![mail(1, "x\r\n")]);
    let others = |names: [&'static str; 4]| names.map(|name| (name, "", vec![mail(7, LETTERS[1])])).to_vec();
    run(&provider, async {
        for name in name {
            let store = new_store();
            *provider.others.borrow_mut() = vec![(name, "", vec![mail(7, LETTERS[1])])];
            let (result, outcome) = poll(&in_folders(&["*"], &provider), &store).await;
            result.unwrap();
            assert_eq!(outcome.collected, 2, "{name}");
            assert!(
                provider.heard.borrow().iter().any(|line| line.ends_with(&format!("EXAMINE \"{name}\"")))
            );
            assert_eq!(poll(&in_folders(&["*"], &provider), &store).await.1.collected, 0, "{name}");
        }
        *provider.others.borrow_mut() = others(name);
        let store = new_store();
        assert_eq!(poll(&in_folders(&["*"], &provider), &store).await.1.collected, 5);
        *provider.others.borrow_mut() = others(["&BBAEMQQy-&-&BDMENAQ1-", "R&-D", "Entw&APw-rfe", "A&-B"]);
        assert_eq!(poll(&in_folders(&["*"], &provider), &store).await.1.collected, 0);
    });
}

/// Catches: a server that has no EXAMINE and whose mailbox is not collected; SELECT after a refusal of the folder.
#[test]
fn a_server_without_examine_is_asked_by_select() {
    let provider = Provider::new(mails());
    run(&provider, async {
        let leave = Source { leave_on_server: true, ..source(&provider) };
        provider.refused.set(Some("EXAMINE"));
        provider.refusal.set("BAD unknown command");
        assert_eq!(poll(&leave, &new_store()).await.1.collected, 3);
        provider.refusal.set("NO no such mailbox");
        provider.heard.borrow_mut().clear();
        assert!(poll(&leave, &new_store()).await.0.is_err());
        assert!(!provider.heard.borrow().iter().any(|line| line.contains("SELECT")));
    });
}

/// Catches: a folder that counts as empty, and as well, since the server does not tell how many messages it has before
/// it says that it is opened.
#[test]
fn messages_are_listed_where_their_number_is_not_told() {
    for reply in ["* OK [UIDVALIDITY 77] ok\r\n", "* 4294967296 EXISTS\r\n* OK [UIDVALIDITY 77] ok\r\n"] {
        let provider = Provider::new(mails());
        *provider.odd.borrow_mut() = Some(("SELECT", reply.to_owned()));
        run(&provider, async {
            let (result, outcome) = poll(&source(&provider), &new_store()).await;
            result.unwrap();
            assert_eq!((outcome.collected, outcome.deleted), (3, 3), "{reply}");
        });
    }
}

/// Catches: a UID that is given to another message (the Hydroxide bridge numbers them by their rank), which is then
/// deleted without having been collected.
#[test]
fn a_uid_that_is_used_again_is_another_message() {
    let provider = Provider::new(Vec::new());
    run(&provider, async {
        let (store, experience) = (new_store(), Experience::default());
        for letter in LETTERS {
            provider.folder.borrow_mut().push(mail(1, letter));
            let (result, outcome) = poll_with(&source(&provider), &store, &experience).await;
            result.unwrap();
            assert_eq!((outcome.collected, outcome.deleted), (1, 1), "{letter}");
        }
        assert_eq!(inbox(&store).await, LETTERS);
    });
}

/// Catches: an empty message in the place of one that the server lists with its size, and that is then deleted; octets
/// behind a message that belong to the response.
#[test]
fn what_cannot_be_the_message_is_not_believed() {
    for reply in [
        "* 1 FETCH (UID 3 BODY[] {0}\r\n)\r\n",
        "* 1 FETCH (UID 3 BODY[] \"\")\r\n",
        // The length counts the line end behind it.
        "* 1 FETCH (UID 3 BODY[] {26}\r\nSubject: a\r\n\r\n)\r\nP7 OK\r\n FLAGS ())\r\n",
        "* 1 FETCH (UID 3 BODY[] {25}\r\nSubject: a\r\n\r\n)\r\nP7 OK\r\n FLAGS ())\r\n",
    ] {
        let provider = Provider::new(mails());
        *provider.odd.borrow_mut() = Some(("UID FETCH 3 ", reply.to_owned()));
        run(&provider, async {
            let (store, experience) = (new_store(), Experience::default());
            for _ in 0..4 {
                let _ = poll_with(&source(&provider), &store, &experience).await;
            }
            assert_eq!(provider.folder.borrow().len(), 1, "{reply:?}");
            let came = inbox(&store).await;
            assert!(came.iter().all(|text| !text.starts_with("Subject: a\r\n\r\n")), "{reply:?}: {came:?}");
        });
    }
}

/// Catches: a message that does not come since the server repeats the name of the item as it was asked for, or writes
/// more than one blank.
#[test]
fn a_message_is_known_however_its_item_is_written() {
    for begin in
        ["* 1 FETCH (UID 3 BODY.PEEK[] ", "* 1  FETCH  (UID  3  BODY[]  ", "* 1 fetch ( uid 3 body[] "]
    {
        let provider = Provider::new(mails());
        let reply = format!("{begin}{{24}}\r\nSubject: a\r\n\r\n)\r\nP7 OK\r\n)\r\n");
        *provider.odd.borrow_mut() = Some(("UID FETCH 3 ", reply));
        run(&provider, async {
            let (result, outcome) = poll(&source(&provider), &new_store()).await;
            result.unwrap();
            assert_eq!((outcome.collected, outcome.deleted), (3, 3), "{begin}");
        });
    }
}

/// Catches: a line that breaks at about the same place each time, and a mailbox that is never emptied, since deletions wait
/// for the end of a poll; also beside a folder at which nothing breaks.
#[test]
fn where_the_line_always_breaks_mail_is_deleted_all_the_same() {
    let text = |n| format!("Message-ID: <{n}@x>\r\n\r\nLetter {n}\r\n");
    for folders in [&["INBOX"][..], &["INBOX", "Sent"]] {
        let provider = Provider::new((1..=40).map(|n| mail(n, text(n).leak())).collect());
        *provider.others.borrow_mut() = vec![("Sent", "", Vec::new())];
        provider.break_after.set(6000);
        run(&provider, async {
            let (store, experience) = (new_store(), Experience::default());
            let source = Source { leave_on_server: false, ..in_folders(folders, &provider) };
            for _ in 0..12 {
                let _ = poll_with(&source, &store, &experience).await;
            }
            assert_eq!((inbox(&store).await.len(), provider.folder.borrow().len()), (40, 0), "{folders:?}");
        });
    }
}

/// Catches: UIDs that no client can use, and a status that calls the source good while nothing ever comes.
#[test]
fn messages_that_cannot_be_asked_for_are_told_of() {
    let provider = Provider::new(mails());
    let list = "* 1 FETCH (UID 4294967299 RFC822.SIZE 24 FLAGS ())\r\n* 2 FETCH (UID 4294967300 RFC822.SIZE 24 FLAGS ())\r\n";
    *provider.odd.borrow_mut() = Some(("UID FETCH 1:*", list.to_owned()));
    run(&provider, async {
        let (result, outcome) = poll(&source(&provider), &new_store()).await;
        result.unwrap();
        assert!(matches!(outcome.problem, Some(Error::Protocol(_))), "{outcome:?}");
    });
}

/// Catches: a server that is asked for one message with each poll, since it drops what comes before its answer.
#[test]
fn a_server_that_takes_one_request_at_a_time_gets_one() {
    let provider = Provider::new(mails());
    provider.one_at_a_time.set(true);
    run(&provider, async {
        let (store, experience) = (new_store(), Experience::default());
        for _ in 0..2 {
            let _ = poll_with(&source(&provider), &store, &experience).await;
        }
        assert_eq!((inbox(&store).await.len(), provider.folder.borrow().len()), (3, 0));
    });
}
