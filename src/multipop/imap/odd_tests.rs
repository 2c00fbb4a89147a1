//! IMAP servers that are each odd in one way that was reported in public.

use super::fake::{Provider, inbox, mail, mails, new_store, poll, poll_with, run, source};
use crate::config::Source;
use crate::multipop::Error;
use crate::multipop::errand::Experience;
use crate::store::{Flags, INBOX};

/// Every message is collected, however the server lists it.
#[test]
fn what_is_said_in_another_way_is_collected_all_the_same() {
    let list =
        |items: &[&str]| items.iter().map(|item| format!("* 1 FETCH ({item})\r\n")).collect::<String>();
    for (command, reply) in [
        // Catches: a listing of which only the message with the greatest UID is collected.
        (
            "UID FETCH 1:*",
            list(&["UID 9 RFC822.SIZE 13 FLAGS ()", "UID 5 RFC822.SIZE 0", "UID 3 RFC822.SIZE 24"]),
        ),
        // Catches: a listing without sizes of which nothing is collected.
        (
            "UID FETCH 1:*",
            list(&["UID 3 FLAGS ()", "FLAGS (\\Seen) UID 5", "UID 9 FLAGS ()", "UID 3 FLAGS (\\Seen)"]),
        ),
        (
            "UID FETCH 1:*",
            list(&["UID 3", "UID 3 RFC822.SIZE 24", "UID 5 RFC822.SIZE 0", "UID 9 RFC822.SIZE 13"]),
        ),
        ("UID FETCH 9 ", list(&["UID 9 BODY[] ~{13}\r\nbare\nlf {5}\r\n"])),
        ("UID FETCH 9 ", list(&["UID 9 BODY[]<0> {13}\r\nbare\nlf {5}\r\n"])),
    ] {
        let provider = Provider::new(mails());
        *provider.odd.borrow_mut() = Some((command, reply.clone()));
        run(&provider, async {
            let store = new_store();
            let source = Source { leave_on_server: true, ..source(&provider) };
            let (result, outcome) = poll(&source, &store).await;
            result.unwrap();
            assert_eq!((outcome.collected, outcome.problem.is_some()), (3, false), "{reply}");
            let mut came = inbox(&store).await;
            came.sort();
            let mut all: Vec<_> = mails().iter().map(|mail| mail.octets.to_owned()).collect();
            all.sort();
            assert_eq!(came, all);
            assert_eq!(poll(&source, &store).await.1.collected, 0, "{reply}");
        });
    }
}

/// Catches: a message that does not come and is not reported, or that costs the others; a message that is believed
/// though its announced length is wrong.
#[test]
fn one_message_that_cannot_be_had_costs_one_message() {
    for (reply, breaks) in [
        ("* 2 FETCH (UID 5 BODY[] NIL)\r\n", false),
        ("", false),
        // The literal says too little: what is left over does not belong to a response.
        ("* 2 FETCH (UID 5 BODY[] {3}\r\nSubject: x\r\n)\r\n", true),
        // The literal says too much: it swallows the end of its request, and what follows.
        ("* 2 FETCH (UID 5 BODY[] {60}\r\nSubject: x\r\n)\r\n", true),
    ] {
        let provider = Provider::new(mails());
        *provider.odd.borrow_mut() = Some(("UID FETCH 5 ", reply.to_owned()));
        run(&provider, async {
            let (store, needs) = (new_store(), Experience::default());
            let mut last = None;
            for n in 0..4 {
                let (result, outcome) = poll_with(&source(&provider), &store, &needs).await;
                assert_eq!(result.is_err(), breaks && n < 3, "{reply:?}, poll {n}: {result:?}");
                let told = result.is_err() || matches!(outcome.problem, Some(Error::NotSent));
                assert_eq!(told, n < 3, "{reply:?}, poll {n}");
                last = Some(outcome);
            }
            assert!(last.unwrap().problem.is_none(), "it is tried again once a day");
            let came = inbox(&store).await;
            let letters = came.iter().filter(|text| text.starts_with("From: Pillarbox")).count();
            assert_eq!((came.len(), letters), (3, 1), "{reply:?}: {came:?}");
            let left: Vec<u32> = provider.folder.borrow().iter().map(|mail| mail.uid).collect();
            assert_eq!(left, [5]);
        });
    }
}

/// Catches: a folder that the server does not open before the client sends ID (163.com); SELECT where all messages
/// are to stay and EXAMINE would do.
#[test]
fn who_asks_says_so_and_does_not_ask_for_more_than_it_needs() {
    let provider = Provider::new(mails());
    *provider.odd.borrow_mut() = Some(("CAPABILITY", "* CAPABILITY IMAP4rev1 ID UIDPLUS\r\n".to_owned()));
    run(&provider, async {
        let leave = Source { leave_on_server: true, ..source(&provider) };
        poll(&leave, &new_store()).await.0.unwrap();
        poll(&source(&provider), &new_store()).await.0.unwrap();
        let heard = provider.heard.borrow();
        let commands: Vec<_> = heard.iter().filter_map(|line| line.split(' ').nth(1)).collect();
        let opened: Vec<_> =
            commands.windows(2).filter(|pair| ["EXAMINE", "SELECT"].contains(&pair[1])).collect();
        assert_eq!(opened, [["ID", "EXAMINE"], ["ID", "SELECT"]]);
    });
}

/// Catches: mail that was read long ago and is delivered as unseen, or with the day of its collection.
#[test]
fn flags_and_internaldate_come_along() {
    let provider = Provider::new(mails());
    let reply = "* 1 FETCH (UID 3 FLAGS (\\Seen \\Deleted \\Recent $x) INTERNALDATE \" 7-Feb-1994 22:43:04 -0800\" \
                 BODY[] {24}\r\nSubject: a\r\n\r\n)\r\nP7 OK\r\n)\r\n";
    *provider.odd.borrow_mut() = Some(("UID FETCH 3 ", reply.to_owned()));
    run(&provider, async {
        let store = new_store();
        poll(&source(&provider), &store).await.0.unwrap();
        let account = store.account("ann").await.unwrap();
        account.view(INBOX, |inbox| {
            let of = |n: usize| (inbox.messages[n].flags, inbox.messages[n].date.get());
            assert!(of(0).0.contains(Flags::SEEN) && of(0).1 == 760_689_784);
            let keywords: Vec<_> = inbox.messages[0].flags.keywords().collect();
            assert_eq!((keywords.len(), inbox.keywords.join(" ")), (1, "$x".to_owned()));
            assert!(of(1).0 == Flags::NONE && of(1).1 > 1_700_000_000);
        });
    });
}

/// Two letters, each with a Message-ID as usual.
const LETTERS: [&str; 2] = ["Message-ID: <1@x>\r\n\r\nHello\r\n", "Message-ID: <2@x>\r\n\r\nAgain\r\n"];

/// Catches: a renumbered folder whose messages come twice, or are read whole to be compared.
#[test]
fn a_folder_that_is_numbered_anew_gives_nothing_twice() {
    let provider = Provider::new(vec![mail(1, LETTERS[0]), mail(2, LETTERS[1])]);
    run(&provider, async {
        let (store, source) = (new_store(), Source { leave_on_server: true, ..source(&provider) });
        assert_eq!(poll(&source, &store).await.1.collected, 2);
        provider.heard.borrow_mut().clear();
        provider.uid_validity.set(78);
        let (result, outcome) = poll(&source, &store).await;
        result.unwrap();
        assert_eq!((outcome.collected, outcome.again), (0, 2));
        assert!(provider.heard.borrow().iter().all(|line| !line.contains("BODY.PEEK[])")));
    });
}

/// Catches: folders that are not collected, or are collected twice; messages of another folder with the same UIDs
/// that count as collected; folders that the settings do not name; a folder that holds messages of other folders.
#[test]
fn folders_are_collected_by_name_and_pattern() {
    let provider = Provider::new(vec![mail(1, LETTERS[0])]);
    let other = |name, attributes, text| (name, attributes, vec![mail(1, text)]);
    *provider.others.borrow_mut() = vec![
        other("Sent", "\\Sent", LETTERS[1]),
        other("Lists/Entw&APw-rfe", "", "c\r\n"),
        other("All", "\\All", "d\r\n"),
        other("None", "\\Noselect", "e\r\n"),
    ];
    run(&provider, async {
        for (folders, collected) in
            [(&["Sent"][..], 1), (&["INBOX", "Sent", "INBOX"], 2), (&["*"], 3), (&["Lists/Entwürfe"], 1)]
        {
            let store = new_store();
            let folders = folders.iter().map(|folder| (*folder).try_into().unwrap()).collect();
            let source = Source { leave_on_server: true, folders, ..source(&provider) };
            let (result, outcome) = poll(&source, &store).await;
            result.unwrap();
            assert_eq!((outcome.collected, inbox(&store).await.len()), (collected, collected as usize));
            assert_eq!(poll(&source, &store).await.1.collected, 0);
            // The first folder is visited last and is waited in for news.
            let heard = provider.heard.borrow();
            let last = heard.iter().rfind(|line| line.contains("EXAMINE")).unwrap();
            assert!(source.folders[0] != "INBOX" || last.contains("INBOX"), "{last}");
        }
    });
}

/// Catches: messages that are deleted in the wrong folder, or not at all.
#[test]
fn each_folder_is_emptied_for_itself() {
    for uid_plus in [true, false] {
        let provider = Provider::new(mails());
        provider.uid_plus.set(uid_plus);
        *provider.others.borrow_mut() = vec![("Sent", "", vec![mail(5, "a\r\n"), mail(6, "b\r\n")])];
        run(&provider, async {
            let folders = ["INBOX", "Sent"].map(|folder| folder.try_into().unwrap()).to_vec();
            let (result, outcome) = poll(&Source { folders, ..source(&provider) }, &new_store()).await;
            result.unwrap();
            assert_eq!((outcome.collected, outcome.deleted), (5, 5));
            assert!(provider.folder.borrow().is_empty() && provider.others.borrow()[0].2.is_empty());
        });
    }
}

/// Catches: a command that is only useful, and whose missing answer makes the mailbox unreachable, or that is sent again
/// with each poll.
#[test]
fn what_a_server_never_answers_is_done_without() {
    for silent_at in ["CAPABILITY", "ID"] {
        let provider = Provider::new(mails());
        provider.silent_at.set(Some(silent_at));
        *provider.odd.borrow_mut() = Some(("CAPABILITY", "* CAPABILITY IMAP4rev1 UIDPLUS ID\r\n".to_owned()));
        run(&provider, async {
            let (store, experience) = (new_store(), Experience::default());
            let (result, outcome) = poll_with(&source(&provider), &store, &experience).await;
            result.unwrap_or_else(|error| panic!("{silent_at}: {error}"));
            assert_eq!((outcome.collected, outcome.deleted), (3, 3), "{silent_at}");
            let asked = || {
                let heard = provider.heard.borrow();
                heard.iter().filter(|line| line.split(' ').nth(1) == Some(silent_at)).count()
            };
            let once = asked();
            poll_with(&source(&provider), &store, &experience).await.0.unwrap();
            assert_eq!(asked(), once, "{silent_at}");
        });
    }
}

/// Catches: an ID command or a mechanism on which the server hangs up and that makes the mailbox unreachable.
#[test]
fn what_a_server_hangs_up_on_is_done_without() {
    for (hangs_up_at, capabilities) in
        [("CAPABILITY", ""), ("ID", "ID"), ("AUTHENTICATE", "AUTH=PLAIN AUTH=CRAM-MD5")]
    {
        let provider = Provider::new(mails());
        provider.hangs_up_at.set(Some(hangs_up_at));
        let reply = format!("* CAPABILITY IMAP4rev1 UIDPLUS {capabilities}\r\n");
        *provider.odd.borrow_mut() = Some(("CAPABILITY", reply));
        run(&provider, async {
            let (store, experience) = (new_store(), Experience::default());
            let (result, outcome) = poll_with(&source(&provider), &store, &experience).await;
            result.unwrap_or_else(|error| panic!("{hangs_up_at}: {error}"));
            assert_eq!((outcome.collected, outcome.deleted), (3, 3), "{hangs_up_at}");
        });
    }
}
