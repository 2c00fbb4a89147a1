//! Limits of the smarthost: recipients of a message, messages of a connection; and answers that are no verdicts.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use super::*;

const MANY: &str = "a@else.example b@else.example c@else.example d@else.example e@else.example";

/// A smarthost that takes two recipients of a message, and answers the others `refusal`.
fn takes_two(world: &World, offers: &'static str, refusal: &'static str) {
    let asked = RefCell::new(BTreeSet::new());
    world.smarthost.answers(move |command| match command.split(' ').next() {
        Some("EHLO") => Some(offers),
        Some("MAIL") => {
            asked.borrow_mut().clear();
            None
        }
        Some("RCPT") => {
            // It is asked twice for each command.
            asked.borrow_mut().insert(command.to_owned());
            (asked.borrow().len() > 2).then_some(refusal)
        }
        _ => None,
    });
}

const PIPELINING: &str = "250-smarthost.example\r\n250 PIPELINING";
const RCPTMAX: &str = "250-smarthost.example\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=2";

/// RFC 5321 section 4.5.3.1.10, RFC 9422. Catches: recipients who never get the message since there were too many, and
/// ones who wait for hours, round by round.
#[test]
fn who_was_one_too_many_goes_next() {
    for (offers, refusal) in [
        (PIPELINING, "452 4.5.3 Too many recipients"),
        (PIPELINING, "552 Too many recipients"),
        (PIPELINING, "550 5.5.3 Too many recipients"),
        (RCPTMAX, "421 4.7.0 Too many recipients"),
    ] {
        story(async move |world| {
            world.reconfigure(|config| config.smarthost.retry = vec![3600]);
            takes_two(&world, offers, refusal);
            let _running = world.run();
            world.post(MANY).await.unwrap();
            world.until_queue_is_empty().await;
            let to: Vec<_> = world.smarthost.taken().into_iter().map(|taken| taken.to).collect();
            let expected = [
                "TO:<a@else.example> TO:<b@else.example>",
                "TO:<c@else.example> TO:<d@else.example>",
                "TO:<e@else.example>",
            ];
            assert_eq!(to, expected, "{refusal}");
            assert!(world.inbox("demo").await.is_empty(), "{refusal}");
        });
    }
}

/// Catches: a loop without a pause at a smarthost that puts the message off besides.
#[test]
fn one_too_many_waits_where_the_message_is_put_off() {
    story(async |world| {
        world.reconfigure(|config| config.smarthost.retry = vec![3600]);
        world.smarthost.answers(|command| match command {
            "." => Some("451 4.3.0 Later"),
            "RCPT TO:<b@else.example>" => Some("452 4.5.3 Too many recipients"),
            _ => None,
        });
        let _running = world.run();
        world.post("a@else.example b@else.example").await.unwrap();
        let puts_off = async || world.relay.entries().iter().all(|entry| entry.attempts == 1);
        world.until("the first attempt", puts_off).await;
        Timer::after(Duration::from_millis(50)).await;
        assert_eq!(world.smarthost.heard("DATA").len(), 1);
    });
}

/// RFC 9422. Catches: a message more on a connection than the smarthost takes.
#[test]
fn a_connection_ends_after_the_messages_that_it_may_carry() {
    story(async |world| {
        let offers = "250-smarthost.example\r\n250-PIPELINING\r\n250 LIMITS MAILMAX=2";
        world.reconfigure(|config| config.smarthost.connections = 1);
        world.smarthost.answers(move |command| command.starts_with("EHLO").then_some(offers));
        for _ in 0..5 {
            world.post("friend@else.example").await.unwrap();
        }
        let _running = world.run();
        world.until_queue_is_empty().await;
        let over: Vec<_> = world.smarthost.taken().iter().map(|taken| taken.connection).collect();
        assert_eq!(over, [1, 1, 2, 2, 3]);
    });
}

/// Catches: messages that come back to their sender since the smarthost takes one on a connection and says so by a
/// refusal that would be final for the first one.
#[test]
fn what_is_refused_behind_others_is_tried_on_its_own() {
    for refusal in ["503 5.5.1 One message only", "550 5.7.1 Too many messages", "554 No"] {
        story(async move |world| {
            world.reconfigure(|config| {
                config.smarthost.connections = 1;
                config.smarthost.retry = vec![3600];
            });
            let has_taken = Cell::new(false);
            world.smarthost.answers(move |command| {
                match command.split(' ').next() {
                    Some("EHLO") => has_taken.set(false),
                    Some(".") => has_taken.set(true),
                    _ => {}
                }
                (has_taken.get() && command.starts_with("MAIL")).then_some(refusal)
            });
            for _ in 0..3 {
                world.post("friend@else.example").await.unwrap();
            }
            let _running = world.run();
            world.until_queue_is_empty().await;
            let over: Vec<_> = world.smarthost.taken().iter().map(|taken| taken.connection).collect();
            assert_eq!(over, [1, 2, 3], "{refusal}");
            assert!(world.inbox("demo").await.is_empty(), "{refusal}");
        });
    }
}

/// Catches: 354 that is said twice and taken for the verdict, so that the message goes again and again.
#[test]
fn the_answer_to_data_may_come_twice() {
    story(async |world| {
        world.reconfigure(|config| config.smarthost.retry = vec![3600]);
        world.smarthost.answers(|command| (command == "DATA").then_some("354 Go\r\n354 Go"));
        let _running = world.run();
        for _ in 0..3 {
            world.post("friend@else.example").await.unwrap();
        }
        world.until_queue_is_empty().await;
        assert_eq!(world.smarthost.taken().len(), 3);
    });
}

/// Catches: the warning that a message may arrive twice though the smarthost said that it has not taken it.
#[test]
fn what_is_answered_421_is_not_in_doubt() {
    for (end, in_doubt) in [("421 4.7.0 Slow down", false), ("drop", true)] {
        story(async move |world| {
            world.reconfigure(|config| config.smarthost.retry = vec![3600]);
            world.smarthost.answers(move |command| (command == ".").then_some(end));
            let _running = world.run();
            world.post("friend@else.example").await.unwrap();
            let tried = async || world.relay.entries().iter().all(|entry| entry.attempts == 1);
            world.until("the first attempt", tried).await;
            let entries = world.relay.entries();
            assert_eq!(entries[0].in_doubt.is_some(), in_doubt, "{end}");
        });
    }
}

/// Catches: a letter with each attempt where the login is refused at MAIL, since it seemed to work before.
#[test]
fn a_login_that_is_refused_at_mail_is_told_once() {
    story(async |world| {
        world.smarthost.answers(|command| command.starts_with("MAIL").then_some("535 5.7.8 Wrong password"));
        let _running = world.run();
        world.post("friend@else.example").await.unwrap();
        for attempts in 1..4 {
            let tried = async || world.relay.entries().iter().all(|entry| entry.attempts == attempts);
            world.until("an attempt", tried).await;
            world.until("its letter", async || !world.inbox("demo").await.is_empty()).await;
            Timer::after(Duration::from_millis(30)).await;
            world.relay.retry_now();
        }
        assert_eq!(world.inbox("demo").await.len(), 1);
    });
}
