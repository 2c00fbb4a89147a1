//! POP3 servers whose answers are each odd in one way: it costs a feature or a message, and never the mailbox.

use std::time::Duration;

use async_io::Timer;
use smol::future::or;

use super::errand::Experience;
use super::fake::{Behaviour, Mail, Provider};
use super::tests::{inbox, poll, poll_again, run, source, store};
use super::{Error, collection::Outcome};
use crate::config::{Large, Source};
use crate::flash::sim::SimFlash;
use crate::store::Store;

fn letters(count: usize) -> Vec<Mail> {
    let octets = |n| format!("Message-ID: <{n}@x>\r\nSubject: letter {n}\r\n\r\nHello\r\n");
    (1..=count).map(|n| Mail::new(&format!("id{n}"), octets(n))).collect()
}

/// Polls `times` times, while time passes.
async fn polls(provider: &Provider, store: &Store, times: usize) -> Vec<(Result<(), Error>, Outcome)> {
    let experience = Experience::default();
    let passes = async {
        loop {
            Timer::after(Duration::from_millis(1)).await;
            provider.time.advance(Duration::from_millis(5));
        }
    };
    let polls = async {
        let mut ended = Vec::new();
        for _ in 0..times {
            ended.push(poll_again(provider, &source(provider), store, &experience).await);
        }
        ended
    };
    or(polls, passes).await
}

/// All of three letters come with the first poll, and all are deleted; the second one finds nothing.
fn all_come(what: &str, behaviour: Behaviour) -> Vec<String> {
    come(what, behaviour, 2)
}

fn come(what: &str, behaviour: Behaviour, times: usize) -> Vec<String> {
    let provider = Provider::new(&letters(3));
    *provider.behaviour.borrow_mut() = behaviour;
    run(&provider, async {
        let store = store(&SimFlash::default());
        for (n, (result, outcome)) in polls(&provider, &store, times).await.into_iter().enumerate() {
            result.unwrap_or_else(|error| panic!("{what}, poll {n}: {error}"));
            let expected = if n == 0 { (3, 3) } else { (0, 0) };
            assert_eq!((outcome.collected, outcome.deleted), expected, "{what}, poll {n}");
            assert!(outcome.problem.is_none(), "{what}: {:?}", outcome.problem);
        }
        let mut expected: Vec<_> = letters(3).into_iter().map(|mail| mail.octets).collect();
        expected.sort();
        assert_eq!(inbox(&store).await, expected, "{what}");
    });
    provider.heard.take()
}

fn replies(at: &'static str, reply: &str) -> Behaviour {
    Behaviour { reply: Some((at, reply.to_owned())), ..Behaviour::default() }
}

/// Catches: a greeting of several lines, or an empty line, that is taken for the answer to a command.
#[test]
fn lines_that_answer_nothing_are_passed_over() {
    for greeting in [
        "+OK welcome\r\nFor customers only.\r\n\r\nBe nice.\r\n",
        "+OK welcome\r\n+OK to the mail service\r\n",
        "\r\n+OK\r\n",
    ] {
        let behaviour = Behaviour { greeting: Some(greeting.to_owned()), ..Behaviour::default() };
        all_come(greeting, behaviour.clone());
        all_come(greeting, Behaviour { reply: Some(("CAPA", "-ERR what?\r\n".to_owned())), ..behaviour });
    }
    let list = "+OK\r\n1 62\r\n\r\n2 62\r\n3 62\r\n.\r\n\r\n\r\n";
    come("after a list", replies("LIST", list), 1);
}

/// Catches: a list of capabilities that never ends, or a command that is never answered, and that makes the mailbox
/// unreachable or is asked again with each poll.
#[test]
fn what_a_server_has_no_answer_to_is_done_without() {
    for silent_at in ["CAPA", "STAT"] {
        let heard = all_come(silent_at, Behaviour { silent_at: Some(silent_at), ..Behaviour::default() });
        assert_eq!(heard.iter().filter(|line| *line == silent_at).count(), 1);
    }
    let flood = Some(("CAPA", "+OK\r\n", "X-MORE\r\n".to_owned()));
    all_come("endless", Behaviour { flood, ..Behaviour::default() });
    all_come("no dot", replies("CAPA", "+OK\r\nUSER\r\n"));
    all_come("nonsense", replies("STAT", "what?\r\n"));
}

/// Catches: a server that hangs up, or is silent, at a deletion, and whose new mail never comes any more.
#[test]
fn what_happens_at_a_deletion_costs_no_mail() {
    for silent in [true, false] {
        let provider = Provider::new(&letters(3));
        let at = Some("DELE");
        let (silent_at, hangs_up_at) = if silent { (at, None) } else { (None, at) };
        *provider.behaviour.borrow_mut() = Behaviour { silent_at, hangs_up_at, ..Behaviour::default() };
        run(&provider, async {
            let store = store(&SimFlash::default());
            for n in 3..6 {
                *provider.maildrop.borrow_mut() = letters(n);
                let [(result, _)] = &polls(&provider, &store, 1).await[..] else { panic!() };
                // Its user is not told that the mail cannot be collected.
                assert!(result.as_ref().is_err_and(Error::is_of_deletions), "{result:?}");
                assert_eq!(inbox(&store).await.len(), n, "{silent}");
            }
        });
    }
}

/// Catches: a line that breaks at about the same place each time, and a poll that does no more than the one before: it
/// compares what it collected and could not delete.
#[test]
fn a_line_that_always_breaks_brings_more_each_time() {
    let provider = Provider::new(&letters(60));
    provider.behaviour.borrow_mut().break_after = Some(4000);
    run(&provider, async {
        let store = store(&SimFlash::default());
        assert!(polls(&provider, &store, 10).await[0].0.is_err(), "the line did not break");
        assert_eq!(inbox(&store).await.len(), 60);
    });
}

/// Catches: an empty answer that is taken for the message, and deletes it, where the server has no unique-ids; a message
/// that was cut on its way and is not read once more.
#[test]
fn what_is_not_the_whole_message_is_not_believed_at_once() {
    let refuses = &["UIDL"][..];
    let empty = Behaviour { refuses, ..replies("RETR 2", "+OK\r\n.\r\n") };
    let cut = format!("+OK\r\n{}\r\n.\r\n", &String::from_utf8(letters(2)[1].octets.clone()).unwrap()[..30]);
    for (behaviour, left) in [(empty, 1), (replies("RETR 2", &cut), 0)] {
        let provider = Provider::new(&letters(3));
        *provider.behaviour.borrow_mut() = behaviour;
        run(&provider, async {
            let store = store(&SimFlash::default());
            polls(&provider, &store, 1).await;
            assert_eq!((inbox(&store).await.len(), provider.maildrop.borrow().len()), (3 - left, left));
        });
        let asked = provider.heard.borrow().iter().filter(|line| *line == "RETR 2").count();
        assert_eq!(asked, 2 - left);
    }
}

/// Catches: a message of the same octets as an earlier one, such as an alarm without a date, that is deleted where the
/// server has no unique-ids, though the earlier one was gone.
#[test]
fn the_same_alarm_comes_again() {
    let provider = Provider::new(&[]);
    provider.behaviour.borrow_mut().refuses = &["UIDL"];
    run(&provider, async {
        let store = store(&SimFlash::default());
        for n in 1..4 {
            let alarm = "From: alarm@x\r\nSubject: Alarm\r\n\r\nAlarm\r\n";
            *provider.maildrop.borrow_mut() = vec![Mail::new("1", alarm)];
            polls(&provider, &store, 1).await;
            assert_eq!((inbox(&store).await.len(), provider.maildrop.borrow().len()), (n, 0));
            polls(&provider, &store, 1).await;
        }
    });
}

/// Catches: an ordinary message that is deleted as too large since the server lists a wrong size for it.
#[test]
fn a_size_is_not_believed_before_a_deletion() {
    let provider = Provider::new(&letters(1));
    provider.behaviour.borrow_mut().size = Some(1_000_000);
    run(&provider, async {
        let store = store(&SimFlash::default());
        let source = Source { max_size: 10_000, large: Large::Delete, ..source(&provider) };
        poll(&source, &store).await.0.unwrap();
        assert_eq!(inbox(&store).await, [letters(1)[0].octets.clone()]);
    });
}

/// Catches: a list that names each message more than once, and whose messages come as often.
#[test]
fn messages_that_are_listed_twice_come_once() {
    let lists = "+OK\r\n1 id1\r\n2 id2\r\n1 id1\r\n2 id2\r\n3 id3\r\n3 id3\r\n.\r\n";
    come("UIDL", replies("UIDL", lists), 1);
}

/// Catches: an empty maildrop that counts as one that cannot be collected.
#[test]
fn no_list_of_no_messages_is_no_failure() {
    let provider = Provider::new(&[]);
    for (stat, is_fine) in [("+OK 0 0\r\n", true), ("+OK 1 9\r\n", false)] {
        *provider.behaviour.borrow_mut() = Behaviour { refuses: &["LIST", "UIDL"], ..replies("STAT", stat) };
        run(&provider, async {
            let (result, _) = polls(&provider, &store(&SimFlash::default()), 1).await.remove(0);
            assert_eq!(result.is_ok(), is_fine, "{result:?}");
        });
    }
}

/// Catches: a message of no octet that is delivered in the place of one that the server lists, which is then deleted.
#[test]
fn nothing_is_no_message() {
    let provider = Provider::new(&letters(3));
    *provider.behaviour.borrow_mut() = replies("RETR 1", "+OK\r\n.\r\n");
    run(&provider, async {
        let store = store(&SimFlash::default());
        let ended = polls(&provider, &store, 4).await;
        assert!(matches!(ended[0].1.problem, Some(Error::NotSent)), "{:?}", ended[0]);
        assert_eq!((ended[0].1.collected, ended[0].1.deleted), (2, 2));
        assert_eq!(*provider.maildrop.borrow(), [letters(3)[0].clone()]);
        assert!(inbox(&store).await.iter().all(|octets| !octets.is_empty()));
    });
}

/// Messages of which the last line ends with a bare LF, before the usual end of a response. Catches: a mailbox of which
/// nothing ever comes; the next message that is taken for a part of this one.
#[test]
fn a_message_may_end_with_a_bare_lf() {
    for (pipelining, end) in [(false, "\r\n"), (false, "\n"), (true, "\r\n"), (true, "\n")] {
        let mails: Vec<Mail> = (1..=3)
            .map(|n| Mail::new(&format!("id{n}"), format!("Message-ID: <{n}@x>\n\n{n}\n.\r\n+OK\n")))
            .collect();
        let provider = Provider::new(&mails);
        *provider.behaviour.borrow_mut() =
            Behaviour { pipelining, bare_end: Some(end), ..Behaviour::default() };
        run(&provider, async {
            let store = store(&SimFlash::default());
            let ended = polls(&provider, &store, 3).await;
            assert!(ended[2].0.is_ok(), "{ended:?}");
            let expected: Vec<_> = mails.iter().map(|mail| mail.octets.clone()).collect();
            assert_eq!(inbox(&store).await, expected, "{pipelining} {end:?}");
            assert_eq!(*provider.maildrop.borrow(), []);
        });
    }
}

/// Catches: a text that pauses where it looks like an end, and whose rest is lost.
#[test]
fn an_end_that_was_none_is_not_believed() {
    let provider = Provider::new(&letters(3));
    let flood = Some(("RETR 2", "+OK\r\nMessage-ID: <2@x>\n\ntext\n.\r\n", "and more\r\n".to_owned()));
    let pause = Some(Duration::from_secs(3));
    *provider.behaviour.borrow_mut() = Behaviour { flood, pause, ..Behaviour::default() };
    run(&provider, async {
        let store = store(&SimFlash::default());
        let ended = polls(&provider, &store, 1).await;
        assert!(ended[0].0.is_err());
        assert!(provider.maildrop.borrow().iter().any(|mail| mail.unique_id == "id2"));
        assert!(inbox(&store).await.iter().all(|octets| !octets.ends_with(b"text\n")));
    });
}
