//! Servers that are each odd in one way that was reported in public: none may cost a message, or give one twice.

use std::time::Duration;

use super::budget::Budget;
use super::collection::Outcome;
use super::errand::Experience;
use super::fake::{Behaviour, Mail, Provider};
use super::tests::{inbox, poll, poll_with, run, source, store};
use super::twins::{Twin, Twins};
use super::{Error, ledger};
use crate::clock;
use crate::config::{Config, Large, Source};
use crate::flash::sim::SimFlash;
use crate::store::Store;

/// As many messages as `count`, each with a Message-ID as usual.
fn letters(count: usize) -> Vec<Mail> {
    let letter = |n: usize| {
        let text = format!(
            "Message-ID: <{n}@x>\r\nDate: Sat, 1 Jan 2000 00:00:00 +0000\r\nFrom: ann@x\r\nSubject: letter {n}\r\n\r\n\
             Hello, {n}\r\n"
        );
        Mail::new(&n.to_string(), text)
    };
    (1..=count).map(letter).collect()
}

fn renumber(provider: &Provider, session: usize) {
    for mail in provider.maildrop.borrow_mut().iter_mut() {
        mail.unique_id = format!("{session}.{}", mail.unique_id);
    }
}

fn leaving(provider: &Provider) -> Source {
    Source { leave_on_server: true, ..source(provider) }
}

fn read(provider: &Provider) -> usize {
    provider.heard.borrow().iter().filter(|line| line.starts_with("RETR")).count()
}

async fn ledger(store: &Store, source: &Source) -> usize {
    store.account("ann").await.unwrap().ledger_of(ledger::source_key(source, "INBOX")).len()
}

/// Catches: a renumbering server that gives everything twice, or for ever; a recognised message that is deleted at
/// the server, where it may be the last copy; messages that are read whole to be compared; a ledger that grows with
/// each session.
#[test]
fn a_server_that_numbers_its_messages_anew_gives_nothing_twice() {
    for leave_on_server in [true, false] {
        let provider = Provider::new(&letters(3));
        run(&provider, async {
            let store = store(&SimFlash::default());
            let source = Source { leave_on_server, ..source(&provider) };
            // The server also forgets what it was told to delete.
            let all = provider.maildrop.borrow().clone();
            assert_eq!(poll(&source, &store).await.1.collected, 3);
            for session in 1..4 {
                let (size, whole) = (ledger(&store, &source).await, read(&provider));
                *provider.maildrop.borrow_mut() = all.clone();
                renumber(&provider, session);
                let new =
                    Mail::new(&format!("new {session}"), format!("Message-ID: <new{session}@x>\r\n\r\n"));
                provider.maildrop.borrow_mut().push(new);
                let (result, outcome) = poll(&source, &store).await;
                result.unwrap();
                assert_eq!((outcome.collected, outcome.again), (1, 3), "{leave_on_server}, {session}");
                // The ledger grows by the new message, and by the note that the server has renumbered, until a poll
                // finds that it did not.
                assert_eq!(ledger(&store, &source).await, size + 2);
                assert_eq!(read(&provider) - whole, if leave_on_server { 1 } else { 4 });
                assert_eq!(poll(&source, &store).await.1.again, 0, "told apart once");
                assert!(provider.maildrop.borrow().len() >= 3, "nothing of that is deleted");
            }
            assert_eq!(inbox(&store).await.len(), 6);
        });
    }
}

/// Catches: a card that is worn by one note for each message with each poll of a server that renumbers in each
/// session; a message that comes twice, or never, because of that; a server that no longer renumbers and whose
/// messages are looked at for ever.
#[test]
fn a_server_that_numbers_anew_in_each_session_costs_one_note() {
    for leave_on_server in [true, false] {
        let provider = Provider::new(&letters(40));
        run(&provider, async {
            let flash = SimFlash::default();
            let store = store(&flash);
            let source = Source { leave_on_server, ..leaving(&provider) };
            let all = provider.maildrop.borrow().clone();
            assert_eq!(poll(&source, &store).await.1.collected, 40);
            let again = async |session: usize, numbering: usize| {
                *provider.maildrop.borrow_mut() = all.clone();
                renumber(&provider, numbering);
                let before: usize = flash.files().iter().map(|(_, octets)| octets).sum();
                let (result, outcome) = poll(&source, &store).await;
                result.unwrap();
                assert_eq!((outcome.collected, inbox(&store).await.len()), (0, 40), "{session}");
                let after: usize = flash.files().iter().map(|(_, octets)| octets).sum();
                (outcome.again, after - before, ledger(&store, &source).await)
            };
            let (_, first, size) = again(1, 1).await;
            assert!(first > 40 * 50);
            for session in 2..64 {
                let (found, octets, now) = again(session, session).await;
                assert_eq!((found, now), (40, size), "{session}");
                assert!(octets < 250, "{session}: {octets}");
            }
            // Now and then a poll tries whether the server still renumbers: here it has stopped.
            assert!(again(64, 64).await.1 > 40 * 50);
            let (found, octets, now) = again(65, 64).await;
            assert!(found == 0 && octets < 250 && now == size - 1, "{found} {octets}");
        });
    }
}

/// Catches: a poll that never ends and keeps writing into the ledger.
#[test]
fn a_server_that_numbers_anew_with_each_list_ends_a_poll() {
    let provider = Provider::new(&letters(5010));
    *provider.behaviour.borrow_mut() =
        Behaviour { renumbers: true, pipelining: true, ..Behaviour::default() };
    run(&provider, async {
        let (store, source) = (store(&SimFlash::default()), leaving(&provider));
        let (result, outcome) = poll(&source, &store).await;
        result.unwrap();
        assert!(outcome.collected >= 5000 && outcome.again >= 4990, "{outcome:?}");
        let lists = provider.heard.borrow().iter().filter(|line| *line == "UIDL").count();
        assert_eq!(lists, 2);
    });
}

/// Catches: a message that counts as the same although it ends in another way, and one whose beginning does not tell
/// enough.
#[test]
fn what_a_first_look_cannot_tell_is_read() {
    let long = |id: &str, end: &str| {
        let text = format!("Message-ID: <same@x>\r\n\r\n{}{end}\r\n", "a\r\n".repeat(400));
        Mail::new(id, text)
    };
    let provider = Provider::new(&[long("a", "one")]);
    run(&provider, async {
        let (store, source) = (store(&SimFlash::default()), leaving(&provider));
        poll(&source, &store).await.0.unwrap();
        *provider.maildrop.borrow_mut() = vec![long("b", "two")];
        assert_eq!(poll(&source, &store).await.1.collected, 1);
        *provider.maildrop.borrow_mut() = vec![long("c", "two"), long("d", "one")];
        assert_eq!((poll(&source, &store).await.1.again, read(&provider)), (2, 4));
        assert_eq!(inbox(&store).await.len(), 2);
    });
}

/// Catches: another provider's messages that count as collected and are deleted there, since both number theirs 1, 2,
/// 3; everything twice where the same provider has another name; samples that are compared with each poll.
#[test]
fn another_host_may_be_another_mailbox() {
    for (moved, collected) in [(true, 3), (false, 1)] {
        // The beginning of one of them tells too little.
        let long = format!("Message-ID: <long@x>\r\n\r\n{}", "a\r\n".repeat(400));
        let provider = Provider::new(&[&letters(2)[..], &[Mail::new("3", long)]].concat());
        run(&provider, async {
            let store = store(&SimFlash::default());
            let source = Source { id: 7, leave_on_server: true, ..source(&provider) };
            assert_eq!(poll(&source, &store).await.1.collected, 3);
            if moved {
                for mail in provider.maildrop.borrow_mut().iter_mut() {
                    mail.octets = [b"X", &mail.octets[..]].concat();
                }
            } else {
                provider.maildrop.borrow_mut().push(letters(4).remove(3));
            }
            let source = Source { host: "localhost".try_into().unwrap(), ..source };
            let (result, outcome) = poll(&source, &store).await;
            result.unwrap();
            assert_eq!((outcome.collected, outcome.again), (collected, 0), "{moved}");
            provider.heard.borrow_mut().clear();
            assert_eq!(poll(&source, &store).await.1.collected, 0);
            assert!(provider.heard.borrow().iter().all(|line| !line.starts_with("TOP")));
            // What is safe here may now be deleted there; and then back to the first host.
            let source = Source { leave_on_server: false, ..source };
            assert_eq!(poll(&source, &store).await.1.deleted as usize, 3 + usize::from(!moved));
        });
    }
    // There are no messages that could be compared.
    let provider = Provider::new(&letters(3));
    run(&provider, async {
        let store = store(&SimFlash::default());
        let source = Source { id: 7, ..source(&provider) };
        assert_eq!(poll(&source, &store).await.1.deleted, 3);
        let source = Source { host: "localhost".try_into().unwrap(), ..source };
        assert_eq!(poll(&source, &store).await.1.collected, 0);
        *provider.maildrop.borrow_mut() = letters(6).split_off(3);
        renumber(&provider, 0);
        provider
            .maildrop
            .borrow_mut()
            .iter_mut()
            .zip(1..)
            .for_each(|(mail, n)| mail.unique_id = n.to_string());
        assert_eq!(poll(&source, &store).await.1.collected, 3);
    });
}

/// Catches: alarms of which all but the first are taken for one that came before, and copies in one listing that come
/// once.
#[test]
fn what_is_alike_and_has_nothing_of_its_own_comes_each_time() {
    let alarm = |n: &str| Mail::new(n, "From: alarm@x\r\nSubject: alarm\r\n\r\nalarm\r\n");
    let copy = |n: &str| Mail { unique_id: n.to_owned(), ..letters(1).remove(0) };
    let provider = Provider::new(&[alarm("a"), copy("c"), copy("d")]);
    run(&provider, async {
        let store = store(&SimFlash::default());
        assert_eq!(poll(&source(&provider), &store).await.1.collected, 3);
        provider.maildrop.borrow_mut().push(alarm("b"));
        assert_eq!(poll(&source(&provider), &store).await.1.collected, 1);
        assert_eq!(inbox(&store).await.len(), 4);
    });
}

/// Catches: a listing that is short once, after which the rest comes twice, or counts as gone though LIST and UIDL
/// disagree.
#[test]
fn a_listing_that_is_short_once_forgets_nothing() {
    clock::FIXED.set(Some(1_800_000_000));
    for (command, short) in [
        ("UIDL", "+OK\r\n1 1\r\n.\r\n"),
        ("UIDL", "+OK\r\n.\r\n"),
        ("LIST", "+OK\r\n1 50\r\n.\r\n"),
        ("UIDL", "+OK\r\n2 3\r\n1 1\r\n.\r\n"),
    ] {
        let provider = Provider::new(&letters(3));
        run(&provider, async {
            let store = store(&SimFlash::default());
            let source = leaving(&provider);
            assert_eq!(poll(&source, &store).await.1.collected, 3);
            let known =
                store.account("ann").await.unwrap().ledger_of(ledger::source_key(&source, "INBOX")).len();
            provider.behaviour.borrow_mut().reply = Some((command, short.to_owned()));
            poll(&source, &store).await.0.unwrap();
            let entries = store.account("ann").await.unwrap().ledger_of(ledger::source_key(&source, "INBOX"));
            assert!(entries.iter().all(|(_, known)| { known.unlisted } == 0), "UIDL and LIST disagree");
            provider.behaviour.borrow_mut().reply = None;
            let outcome = poll(&source, &store).await.1;
            assert_eq!((outcome.collected, outcome.again), (0, 0), "{command} {short:?}");
            let account = store.account("ann").await.unwrap();
            let now = account.ledger_of(ledger::source_key(&source, "INBOX"));
            assert!(now.len() == known && now.iter().all(|(_, known)| { known.unlisted } == 0));
        });
    }
    clock::FIXED.set(None);
}

/// Catches: LIST and UIDL that are both short, and count as the whole mailbox though STAT tells of more messages.
#[test]
fn a_window_on_a_mailbox_is_not_all_of_it() {
    clock::FIXED.set(Some(1_800_000_000));
    for (stat, gone) in [("+OK 3 500\r\n", 0), ("+OK 2 500\r\n", 1), ("+OK\r\n", 1), ("-ERR\r\n", 1)] {
        let provider = Provider::new(&letters(3));
        run(&provider, async {
            let (store, source) = (store(&SimFlash::default()), leaving(&provider));
            assert_eq!(poll(&source, &store).await.1.collected, 3);
            provider.maildrop.borrow_mut().remove(0);
            provider.behaviour.borrow_mut().reply = Some(("STAT", stat.to_owned()));
            poll(&source, &store).await.0.unwrap();
            let entries = store.account("ann").await.unwrap().ledger_of(ledger::source_key(&source, "INBOX"));
            let unlisted = entries.iter().filter(|(_, known)| { known.unlisted } != 0).count();
            assert_eq!(unlisted, gone, "{stat:?}");
        });
    }
    clock::FIXED.set(None);
}

/// Catches: a message that is cut at a lone dot in its text: the rest of it is lost, and it is deleted at the server.
#[test]
fn a_message_that_is_followed_by_nonsense_is_not_believed() {
    let provider = Provider::new(&letters(3));
    let stays = provider.maildrop.borrow()[1].clone();
    for pipelining in [false, true] {
        let reply = Some(("RETR 2", "+OK\r\nSubject: list\r\n\r\none\r\n.\r\ntwo\r\n.\r\n".to_owned()));
        *provider.behaviour.borrow_mut() = Behaviour { reply, pipelining, ..Behaviour::default() };
        run(&provider, async {
            *provider.maildrop.borrow_mut() = letters(3);
            let (store, needs) = (store(&SimFlash::default()), Experience::default());
            for n in 0..4 {
                let (result, _) = again(&provider, &store, &needs).await;
                assert_eq!(result.is_err(), n < 3, "poll {n}: {result:?}");
            }
            let came = inbox(&store).await;
            assert!(came.iter().all(|octets| !octets.starts_with(b"Subject: list")), "{came:?}");
            assert_eq!(*provider.maildrop.borrow(), std::slice::from_ref(&stays), "the others came");
        });
    }
}

/// One poll of several that share what they have found out.
async fn again(provider: &Provider, store: &Store, needs: &Experience) -> (Result<(), Error>, Outcome) {
    let (patience, budget) = (Duration::from_secs(5), Budget::usual(&provider.time));
    let config = Config::default();
    poll_with(&source(provider), store, patience, budget, &config, needs.clone()).await
}

/// Catches: messages behind one that cannot be had and that never come; a letter with each poll, or one that does not
/// name the message; a message that is never tried again.
#[test]
fn one_message_that_cannot_be_had_costs_one_message() {
    for (pipelining, silent_at, break_at) in
        [(false, None, Some("RETR 3")), (true, None, Some("RETR 3")), (false, Some("RETR 3"), None)]
    {
        let provider = Provider::new(&letters(5));
        *provider.behaviour.borrow_mut() =
            Behaviour { pipelining, silent_at, break_at, ..Behaviour::default() };
        run(&provider, async {
            let (store, needs) = (store(&SimFlash::default()), Experience::default());
            let mut polls = Vec::new();
            for _ in 0..5 {
                let (result, outcome) = again(&provider, &store, &needs).await;
                polls.push((result.is_ok(), outcome.collected));
            }
            assert!(
                polls[..3].iter().all(|(fine, _)| !fine) && polls[3..] == [(true, 0), (true, 0)],
                "{polls:?}"
            );
            let came = inbox(&store).await;
            let letters: Vec<_> =
                came.iter().filter(|octets| octets.starts_with(b"From: Pillarbox")).collect();
            assert_eq!((came.len(), letters.len()), (5, 1), "four and a letter");
            let letter = String::from_utf8(letters[0].clone()).unwrap();
            assert!(letter.contains("Subject: letter 3") && letter.contains("From:    ann@x"), "{letter}");
            // A day later the message can be had.
            *provider.behaviour.borrow_mut() = Behaviour::default();
            assert_eq!(again(&provider, &store, &needs).await.1.collected, 0);
            provider.time.advance(Duration::from_secs(86_400));
            assert_eq!(again(&provider, &store, &needs).await.1.collected, 1);
            assert_eq!(*provider.maildrop.borrow(), []);
        });
    }
}

/// Catches: a command on which a server hangs up and that makes the mailbox unreachable, now or in the next poll; a
/// line that broke once and counts as such a command; a password that is then sent by another mechanism.
#[test]
fn what_a_server_hangs_up_on_is_done_without() {
    let capa = |sasl: &str| Some(("CAPA", format!("+OK\r\nUSER\r\n{sasl}.\r\n")));
    for (hangs_up_at, reply) in [
        ("CAPA", None),
        ("STAT", None),
        ("AUTH", capa("SASL PLAIN CRAM-MD5\r\n")),
        // All messages but one are looked at first.
        ("TOP", None),
    ] {
        let provider = Provider::new(&letters(3));
        *provider.behaviour.borrow_mut() =
            Behaviour { hangs_up_at: Some(hangs_up_at), reply, ..Behaviour::default() };
        run(&provider, async {
            let (store, experience) = (store(&SimFlash::default()), Experience::default());
            let poll = async || {
                let (patience, budget) = (Duration::from_secs(5), Budget::usual(&provider.time));
                let (source, config) = (leaving(&provider), Config::default());
                poll_with(&source, &store, patience, budget, &config, experience.clone()).await
            };
            for (n, collected) in [3, 0, 0].into_iter().enumerate() {
                provider.heard.borrow_mut().clear();
                if n == 1 && hangs_up_at == "TOP" {
                    renumber(&provider, 1);
                }
                let (result, outcome) = poll().await;
                result.unwrap_or_else(|error| panic!("{hangs_up_at} {n}: {error}"));
                assert_eq!(outcome.collected, collected, "{hangs_up_at} {n}");
                let tried = provider.heard.borrow().iter().any(|line| line.starts_with(hangs_up_at));
                assert_eq!(tried, n == usize::from(hangs_up_at == "TOP"), "{hangs_up_at} {n}");
            }
        });
    }
    // The server hangs up at every command, and no feature is to blame.
    for (hangs_up_at, passwords) in [("USER", 0), ("PASS", 1)] {
        let provider = Provider::new(&letters(3));
        let behaviour = Behaviour { hangs_up_at: Some(hangs_up_at), reply: capa(""), ..Behaviour::default() };
        *provider.behaviour.borrow_mut() = behaviour;
        run(&provider, async {
            let (store, experience) = (store(&SimFlash::default()), Experience::default());
            assert!(again(&provider, &store, &experience).await.0.is_err());
            let heard = provider.heard.borrow().join(" ");
            assert_eq!((heard.matches("CAPA").count(), heard.matches("PASS").count()), (1, passwords));
        });
    }
    let provider = Provider::new(&letters(3));
    provider.behaviour.borrow_mut().hangs_up_at = Some("");
    run(&provider, async {
        let (store, experience) = (store(&SimFlash::default()), Experience::default());
        assert!(again(&provider, &store, &experience).await.0.is_err());
        provider.behaviour.borrow_mut().hangs_up_at = None;
        provider.heard.borrow_mut().clear();
        again(&provider, &store, &experience).await.0.unwrap();
        assert_eq!(provider.heard.borrow()[0], "CAPA", "the line was broken");
    });
}

/// Catches: a server that drops pipelined requests though it offers PIPELINING, and whose mailbox is not collected
/// for that.
#[test]
fn pipelining_that_is_a_lie_costs_that_and_no_message() {
    let provider = Provider::new(&letters(5));
    *provider.behaviour.borrow_mut() =
        Behaviour { pipelining: true, drops_what_is_pipelined: true, ..Behaviour::default() };
    run(&provider, async {
        let (store, needs) = (store(&SimFlash::default()), Experience::default());
        assert!(again(&provider, &store, &needs).await.0.is_err());
        again(&provider, &store, &needs).await.0.unwrap();
        assert_eq!((inbox(&store).await.len(), provider.maildrop.borrow().len()), (5, 0));
    });
}

/// Catches: a message to two addresses that comes twice; one that is not deleted at the server since it came from
/// another source; another message that is taken for it; deduplication at sources that do not want it.
#[test]
fn what_two_sources_bring_comes_once_where_that_is_wanted() {
    let from = |server: &str, id: &str, end: &str| {
        let text = format!(
            "Received: from {server}; Sat, 1 Jan 2000 00:00:00 +0000\r\nMessage-ID: <1@x>\r\n\r\n{}{end}\r\n",
            "x".repeat(5000)
        );
        Mail::new(id, text)
    };
    for (first, second) in [(true, true), (true, false), (false, true)] {
        let provider = Provider::new(&[from("one", "a", "end")]);
        run(&provider, async {
            let store = store(&SimFlash::default());
            let one = Source { id: 1, dedupe: first, ..source(&provider) };
            assert_eq!(poll(&one, &store).await.1.collected, 1);
            *provider.maildrop.borrow_mut() = vec![from("two", "a", "end"), from("two", "b", "End")];
            let two = Source { id: 2, dedupe: second, ..source(&provider) };
            let (result, outcome) = poll(&two, &store).await;
            result.unwrap();
            let doubles = u32::from(first && second);
            assert_eq!((outcome.collected, outcome.doubles, outcome.deleted), (2 - doubles, doubles, 2));
            assert_eq!(inbox(&store).await.len(), 3 - doubles as usize);
        });
    }
}

/// Catches: a message that is deleted though the user was not told or did not ask for that; a letter that does not
/// say from whom it was; a letter with each poll; a message that is deleted since another one of its size was told
/// of.
#[test]
fn what_is_too_large_is_deleted_where_that_is_wanted_once_the_user_was_told() {
    let large = |id: &str| {
        Mail::new(
            id,
            format!(
                "From: ann@x\r\nSubject: film\r\n\r\n{}",
                "an ordinary line of text in a message\r\n".repeat(1000)
            ),
        )
    };
    for (doomed, leave_on_server, left) in
        [(Large::Delete, false, 0), (Large::Delete, true, 1), (Large::Leave, false, 1)]
    {
        let provider = Provider::new(&[Mail::new("a", "a\r\n"), large("b")]);
        run(&provider, async {
            let store = store(&SimFlash::default());
            let source = Source { max_size: 10_000, large: doomed, leave_on_server, ..source(&provider) };
            for poll_number in 1..=2 {
                poll(&source, &store).await.0.unwrap();
                let came = inbox(&store).await;
                assert_eq!(
                    (came.len(), provider.maildrop.borrow().len()),
                    (2, left),
                    "{doomed:?} {poll_number}"
                );
                let letter = came.iter().find(|octets| octets.starts_with(b"From: Pillarbox"));
                let letter = String::from_utf8(letter.unwrap().clone()).unwrap();
                let tells = letter.contains("Subject: film") && letter.contains("was deleted");
                assert_eq!(tells, doomed == Large::Delete, "{letter}");
            }
            assert!(provider.heard.borrow().iter().all(|line| line != "RETR 2"));
        });
    }
    // There is no room for the letter, and the message is known only by its size.
    for uidl in [true, false] {
        let provider = Provider::new(&[large("b")]);
        run(&provider, async {
            let store = store(&SimFlash::default());
            if uidl {
                store.set_quotas([("ann".to_owned(), 10)].into());
            } else {
                provider.behaviour.borrow_mut().reply = Some(("UIDL", "-ERR no\r\n".to_owned()));
            }
            let source = Source { max_size: 10_000, large: Large::Delete, ..source(&provider) };
            poll(&source, &store).await.0.unwrap();
            assert_eq!(
                (inbox(&store).await.len(), provider.maildrop.borrow().len()),
                (usize::from(!uidl), 1)
            );
        });
    }
}

/// Catches: a message that two sources bring at the same moment and that comes twice; a twin that stays blocked since
/// its commit failed.
#[test]
fn twins_that_come_at_once_are_told_apart() {
    async_io::block_on(async {
        let store = store(&SimFlash::default());
        let (ann, bob) = (store.account("ann").await.unwrap(), store.account("bob").await.unwrap());
        let (twins, twin) = (Twins::default(), ledger::Identity::twin(b"x"));
        assert_eq!(twins.meet(&ann, twin), Twin::First);
        assert_eq!((twins.meet(&ann, twin), twins.meet(&bob, twin)), (Twin::UnderWay, Twin::First));
        twins.part(&ann, twin);
        assert_eq!(twins.meet(&ann, twin), Twin::First);
        for (now, known) in [(1_800_000_000, Twin::Safe), (1_800_000_000 + 365 * 86_400, Twin::First)] {
            let mut transaction = ann.begin();
            Twins::note(&mut transaction, twin, 1_800_000_000);
            transaction.commit().await.unwrap();
            twins.part(&ann, twin);
            let mut transaction = ann.begin();
            Twins::forget(&ann, &mut transaction, now);
            transaction.commit().await.unwrap();
            assert_eq!(twins.meet(&ann, twin), known);
        }
    });
}

/// Catches: a target mailbox that is not made, or made anew with each poll, and letters that are delivered into it.
#[test]
fn what_is_collected_goes_where_it_is_to_go() {
    let provider = Provider::new(&letters(2));
    run(&provider, async {
        let store = store(&SimFlash::default());
        let source = Source { into: "Provider/Müller".try_into().unwrap(), ..source(&provider) };
        for n in 1..=2 {
            *provider.maildrop.borrow_mut() = letters(n * 2).split_off((n - 1) * 2);
            poll(&source, &store).await.0.unwrap();
            let account = store.account("ann").await.unwrap();
            let there = account.find("Provider/Müller").unwrap();
            let count = account.view(there, |mailbox| mailbox.messages.len());
            assert_eq!((count, inbox(&store).await.len()), (Some(n * 2), 0));
            assert!(account.subscriptions().contains(&"Provider/Müller".to_owned()));
        }
        let source = Source { into: "a//b".try_into().unwrap(), ..source };
        assert!(poll(&source, &store).await.0.is_err(), "no mailbox can have that name");
        assert!(provider.maildrop.borrow().is_empty());
    });
}

/// Catches: messages without unique-ids that were not read for lack of room and count as gone: they would come twice.
#[test]
fn what_was_not_looked_at_is_not_gone() {
    clock::FIXED.set(Some(1_800_000_000));
    let provider = Provider::new(&letters(2));
    provider.behaviour.borrow_mut().reply = Some(("UIDL", "-ERR no\r\n".to_owned()));
    run(&provider, async {
        let (store, source) = (store(&SimFlash::default()), leaving(&provider));
        assert_eq!(poll(&source, &store).await.1.collected, 2);
        store.set_quotas([("ann".to_owned(), 1)].into());
        assert!(poll(&source, &store).await.1.problem.is_some());
        let entries = store.account("ann").await.unwrap().ledger_of(ledger::source_key(&source, "INBOX"));
        assert!(entries.len() == 3 && entries.iter().all(|(_, known)| { known.unlisted } == 0));
    });
    clock::FIXED.set(None);
}

/// Catches: half a message that is believed at the first reading.
#[test]
fn a_message_much_shorter_than_it_is_listed_is_read_twice() {
    let provider = Provider::new(&letters(2));
    provider.behaviour.borrow_mut().size = Some(1000);
    run(&provider, async {
        let store = store(&SimFlash::default());
        let (result, outcome) = poll(&source(&provider), &store).await;
        result.unwrap();
        assert_eq!((outcome.collected, outcome.deleted), (2, 2));
        // One of them is told of: then it is clear that the server gets sizes wrong.
        let came = inbox(&store).await;
        let letters: Vec<_> = came.iter().filter(|octets| octets.starts_with(b"From: Pillarbox")).collect();
        assert!(came.len() == 3 && letters.len() == 1, "{came:?}");
        assert!(String::from_utf8_lossy(letters[0]).contains("Subject: letter 1"), "{letters:?}");
        assert!(matches!(outcome.problem, Some(Error::Short { listed: 1000, .. })), "{outcome:?}");
        let heard = provider.heard.borrow();
        let read = heard.iter().filter(|line| line.starts_with("RETR")).count();
        assert_eq!(read, 4);
        let first_delete = heard.iter().position(|line| line.starts_with("DELE")).unwrap();
        assert!(heard[first_delete..].iter().all(|line| !line.starts_with("RETR")));
    });
}

/// Catches: a full flash after which nothing is deleted at the server, though the log says so, because QUIT was never
/// sent.
#[test]
fn a_full_flash_parts_in_peace() {
    let provider = Provider::new(&letters(250));
    provider.behaviour.borrow_mut().pipelining = true;
    run(&provider, async {
        let flash = SimFlash::default();
        let store = store(&flash);
        store.account("ann").await.unwrap();
        let used: u64 = flash.files().iter().map(|(_, size)| *size as u64).sum();
        flash.limit(Some(used + 60_000));
        let (result, outcome) = poll(&source(&provider), &store).await;
        assert!(result.is_err() || outcome.problem.is_some(), "{outcome:?}");
        assert_eq!(provider.heard.borrow().last().unwrap(), "QUIT");
        let left = provider.maildrop.borrow().len();
        assert_eq!((outcome.collected as usize, outcome.deleted as usize), (250 - left, 250 - left));
        flash.limit(None);
        poll(&source(&provider), &store).await.0.unwrap();
        assert_eq!(inbox(&store).await.len(), 250);
    });
}

/// Catches: deletions that are reported before the server has agreed to QUIT.
#[test]
fn what_is_deleted_counts_when_the_server_has_said_goodbye() {
    let provider = Provider::new(&letters(2));
    provider.behaviour.borrow_mut().reply = Some(("QUIT", "-ERR no\r\n".to_owned()));
    run(&provider, async {
        let (result, outcome) = poll(&source(&provider), &store(&SimFlash::default())).await;
        assert!(matches!(result, Err(Error::Refused { .. })), "{result:?}");
        assert_eq!((outcome.collected, outcome.deleted), (2, 0));
    });
}
