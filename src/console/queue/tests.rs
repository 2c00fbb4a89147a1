//! What an operator sees of the queue, and what a line about it means.

use super::super::command::complete;
use super::super::tests::{Pretended, queued, told};
use super::*;
use crate::operator::status::Status;
use crate::relay::SentBy;

/// Catches: a message that is meant in one way only, one that is meant by mistake, and a removal of many without a question.
#[test]
fn queued_messages_are_meant_by_number_account_or_all() {
    let mut world = Pretended::new();
    world.status = Status { now: 1000, queue: vec![queued()], ..Status::default() };
    told(
        &world,
        "> queue hold 3
         Queue(Hold, Message(3))
         > queue release account demo
         Queue(Release, Account(\"demo\"))
         > queue flush
         Queue(Flush, All)
         > queue flush 7
         Queue(Flush, Message(7))
         > queue remove 3
         Queue(Remove { notify: false }, Message(3))
         > queue remove 3 notify
         Queue(Remove { notify: true }, Message(3))
         > queue remove all notify
         Queue(Remove { notify: true }, All)
         > queue remove account demo notify
         Queue(Remove { notify: true }, Account(\"demo\"))
         > queue hold
         ! usage: queue hold N [NAME]
         > queue hold account
         ! a number from `show queue`, `account NAME` or `all` is wanted
         > queue hold all demo
         ! a number from `show queue`, `account NAME` or `all` is wanted
         > queue remove notify
         ! a number from `show queue`, `account NAME` or `all` is wanted
         > queue remove 3 quietly
         ! a number from `show queue`, `account NAME` or `all` is wanted
         > queue remove account demo quietly
         ! usage: queue remove N [NAME] [notify]
         > queue hold -3
         ! a number from `show queue`, `account NAME` or `all` is wanted
         > queue hold 99999999999
         ! a number from `show queue`, `account NAME` or `all` is wanted
         > queue hold account nobody
         ! there is no account `nobody`: messages of an account that is gone are meant by their numbers, see `show queue`
         > show message 4
         ! message 4 is not in the queue: see `show queue`
         > show message x
         ! a number from `show queue` is wanted
         > show message 3
         number     3
         sent by    demo
         from       demo@home.example
         to         a@x.example: waiting
         size       2.0 KiB
         accepted   40s ago
         state      next try in 1m, 1 before: no answer
         history    30s ago: <a@x.example>: no answer
         header     Subject: hello",
    );
    let mut session = Session::at_a_terminal(&world, false);
    for (line, said) in [
        ("queue remove 3", "Queue(Remove { notify: false }, Message(3))"),
        ("queue hold all", "Queue(Hold, All)"),
        ("queue remove all", "all messages are taken out of the queue, and nobody is told\n"),
        ("no", "nothing was done"),
        (
            "queue remove account demo notify",
            "all messages of demo are taken out of the queue, and their senders are told\n",
        ),
        ("yes", "Queue(Remove { notify: true }, Account(\"demo\"))"),
    ] {
        match session.line(&world, line) {
            Step::Say(words) | Step::Refuse(words) => assert_eq!(words, said, "{line}"),
            step => assert_eq!(format!("{step:?}"), said, "{line}"),
        }
    }
    assert!(session.ended().is_ok());
    for (line, expected) in [
        ("queue ", "flush hold release remove"),
        ("queue hold ", "account all"),
        ("queue remove account ", "demo"),
        ("queue remove account demo ", "notify"),
        ("queue remove all ", ""),
    ] {
        assert_eq!(complete(&session, line).join(" "), expected, "{line}");
    }
}

/// Catches: a list that hides what is held or may be double, that has a hundred addresses in a line, or a name that is not there.
#[test]
fn the_list_tells_what_is_special_of_a_message() {
    let many = (0..100).map(|n| format!("r{n}@x.example")).collect();
    let entries = [
        QueueEntry { held: true, next_try: i64::MAX, ..queued() },
        QueueEntry { id: 4, sent_by: SentBy::Gone, in_doubt: Some(940), last_error: None, ..queued() },
        QueueEntry {
            id: 5,
            sent_by: SentBy::Device,
            from: String::new(),
            to: many,
            last_error: None,
            ..queued()
        },
        QueueEntry {
            id: 6,
            last_error: Some("its note is damaged: remove it".into()),
            ..QueueEntry::default()
        },
    ];
    let text = list(&entries, 1000);
    let lines: Vec<&str> = text.lines().collect();
    for (line, words) in [
        (1, "held: `queue release` lets go of it"),
        (2, "an account that is gone"),
        (2, "handed over 1m ago, not answered: may be there already; `queue remove 4` if it is"),
        (3, "a device"),
        (3, "<> (a bounce)"),
        (3, "r0@x.example, r1@x.example, r2@x.example and 97 more"),
        (4, "its note is damaged: remove it"),
    ] {
        assert!(lines[line].contains(words), "{words} is missing in {text}");
    }
    assert!(!lines[4].contains("next try"), "{text}");
    let status = Status { now: 1000, queue: entries.to_vec(), ..Status::default() };
    assert!(
        status.to_string().contains("queue      4 waiting, 1 of them held, the oldest from 40s ago"),
        "{status}"
    );
    let json = status.to_json();
    assert!(
        json.contains(
            r#""next_try":null,"last_error":"no answer","account":"demo","held":true,"in_doubt":null}"#
        ),
        "{json}"
    );
    assert!(json.contains(r#""last_error":null,"account":null,"held":false,"in_doubt":940}"#), "{json}");
}

#[test]
fn what_was_done_to_the_queue_is_said() {
    let none = Done::default();
    let (one, busy, passed) =
        (Done { done: 1, ..none }, Done { busy: 1, ..none }, Done { passed_over: 1, ..none });
    for (act, which, done, said) in [
        (Act::Hold, Which::Message(7), one, "1 message is held until `queue release`\n"),
        (
            Act::Hold,
            Which::Message(7),
            busy,
            "! message 7 is on its way this very moment: try again when that has ended",
        ),
        (Act::Hold, Which::Message(7), passed, "! message 7 is held already"),
        (Act::Release, Which::Message(7), passed, "! message 7 is not held"),
        (Act::Flush, Which::Message(7), passed, "! message 7 is held: `queue release 7` lets go of it"),
        (
            Act::Remove { notify: true },
            Which::Message(7),
            none,
            "! message 7 is not in the queue: see `show queue`",
        ),
        (
            Act::Remove { notify: true },
            Which::Message(7),
            one,
            "1 message is removed, and the senders are told\n",
        ),
        (Act::Release, Which::All, none, "there is nothing to let go of\n"),
        (
            Act::Flush,
            Which::All,
            Done { done: 3, busy: 1, passed_over: 2, unwritten: true },
            "3 messages are tried at once\n1 message is on the way this very moment, and left as before\n\
             2 messages are held: `queue release` lets go of them\n\
             this could not be written to the flash yet: it holds until the next start, see the log\n",
        ),
    ] {
        let step = match outcome(act, &which, done) {
            Step::Say(words) => words,
            Step::Refuse(why) => format!("! {why}"),
            step => format!("{step:?}"),
        };
        assert_eq!(step, said);
    }
}
