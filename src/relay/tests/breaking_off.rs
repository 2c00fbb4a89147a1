//! What ends while a message is on its way: the appliance, the flash, or the connection; and what only takes long.

use std::cell::Cell;

use super::handing_over::{CHUNKING, PIPELINING, friend, relay_on, run, waiting};
use super::*;
use crate::clock::{FIXED, unix_now};

/// Catches: an orderly end at any moment that does not wait until an answered message is noted: after a power cut the
/// next start would send it again.
#[test]
fn a_planned_end_leaves_nothing_in_doubt_that_was_answered() {
    for (offers, after) in [PIPELINING, CHUNKING].into_iter().flat_map(|it| (0..10).map(move |n| (it, n))) {
        story(async move |world| {
            world.reconfigure(|config| config.smarthost.connections = 1);
            world.smarthost.answers(move |command| (command.starts_with("EHLO")).then_some(offers));
            let (relay, flash, _) = waiting(&world, 6).await;
            let running = run(&relay, &world);
            world.until("some are there", async || world.smarthost.taken().len() >= 3).await;
            Timer::after(Duration::from_millis(after)).await;
            relay.end().await;
            // The power is cut.
            let cuts: Vec<_> = (0..4).map(|seed| flash.restart(seed)).collect();
            running.cancel().await;
            let taken = world.smarthost.taken().len();
            let left: Vec<_> = (taken..6).map(|n| (vec![friend(n)], None)).collect();
            for flash in cuts {
                let relay = relay_on(flash, &world).await;
                let known = relay.entries().into_iter().map(|entry| (entry.to, entry.in_doubt));
                assert_eq!(known.collect::<Vec<_>>(), left, "{offers:?}, {after} ms after the third");
            }
        });
    }
}

/// Catches: an orderly end that breaks a message off, and thereby loses the answer to the one before it on the same
/// connection.
#[test]
fn what_is_broken_off_at_the_end_costs_those_before_it_no_answer() {
    story(async |world| {
        world.reconfigure(|config| config.smarthost.connections = 2);
        let came = Cell::new(0);
        world.smarthost.answers(move |command| match command.split(' ').next() {
            Some("EHLO") => {
                came.set(came.get() + 1);
                Some(if came.get() == 1 { PIPELINING } else { CHUNKING })
            }
            Some("RCPT") if command.contains("<hangs@") => Some("hang"),
            _ => None,
        });
        let _running = world.run();
        // The last message of anna waits behind her first one, which hangs on a connection of its own.
        world.post_as(Some("anna"), "anna@home.example", "hangs@else.example").await.unwrap();
        world.until("it hangs", async || world.smarthost.heard("RCPT").len() == 1).await;
        world.smarthost.thinks.set(Duration::from_millis(60));
        for (name, to) in
            [("demo", "first@else.example"), ("demo", "second@else.example"), ("anna", "last@else.example")]
        {
            world.post_as(Some(name), &format!("{name}@home.example"), to).await.unwrap();
        }
        world.until("the second one thinks", async || world.smarthost.taken().len() == 2).await;
        assert_eq!(world.relay.in_doubt(), 2, "the second one, and the last one that waits for its turn");
        let relay = world.relay.clone();
        smol::future::or(relay.end(), async {
            Timer::after(PATIENCE).await;
            panic!("it never ends");
        })
        .await;
        Timer::after(Duration::from_millis(20)).await;
        let known = world
            .relay
            .entries()
            .into_iter()
            .map(|entry| (entry.to.join(" "), entry.in_doubt, entry.attempts));
        let expected = ["hangs@else.example", "last@else.example"].map(|to| (to.to_owned(), None, 0));
        assert_eq!(known.collect::<Vec<_>>(), expected);
    });
}

/// Catches: a message that leaves when neither this nor its outcome can be written any more, and one that goes again
/// since its removal could not be written while the next one was begun.
#[test]
fn a_flash_that_takes_no_changes_any_more_sends_nothing_more_and_nothing_again() {
    // More messages than are under way at once.
    const COUNT: usize = 16;
    for offers in [PIPELINING, CHUNKING] {
        story(async move |world| {
            world.reconfigure(|config| config.smarthost.connections = 1);
            let (card, ends) = (world.card.clone(), Cell::new(0));
            world.smarthost.answers(move |command| {
                ends.set(ends.get() + u32::from(command == "."));
                if command == "." && ends.get() == 3 {
                    card.answer(Some(rustix::io::Errno::ROFS));
                }
                command.starts_with("EHLO").then_some(offers)
            });
            for n in 0..COUNT {
                world.post(&friend(n)).await.unwrap();
            }
            FIXED.set(Some(unix_now()));
            let _running = world.run();
            world.until("it takes nothing", async || world.context.store.read_only().is_some()).await;
            world.until("it hung up", async || world.smarthost.open.get() == 0).await;
            // What had left by then was answered, and it was not everything.
            let taken = world.smarthost.taken().len();
            assert!((3..COUNT).contains(&taken), "{taken} have left");
            let doubt: Vec<_> =
                world.relay.entries().into_iter().map(|it| (it.to, it.in_doubt, it.attempts)).collect();
            let left = (taken..COUNT).map(|n| (vec![friend(n)], None, 0));
            assert!(doubt.ends_with(&left.collect::<Vec<_>>()), "{doubt:?}");
            // The flash says of each of these that it may have gone, or the message is removed.
            let known = relay_on(world.flash.restart(0), &world).await.entries();
            for n in 0..taken {
                let entry = known.iter().find(|entry| entry.to == [friend(n)]);
                assert!(entry.is_none_or(|it| it.in_doubt.is_some()), "{n} of {taken} left without a note");
            }
            world.relay.retry_now();
            Timer::after(Duration::from_millis(30)).await;
            assert_eq!(world.smarthost.taken().len(), taken);
            // On a flash that works the rest goes, once.
            world.card.answer(None);
            // A queue whose sync was refused was reopened for reading only; `maintain` changes that back.
            world.context.store.maintain().await;
            assert_eq!(world.context.store.read_only(), None);
            FIXED.set(Some(unix_now() + 3600));
            world.relay.retry_now();
            world.until_queue_is_empty().await;
            let to: Vec<_> = world.smarthost.taken().into_iter().map(|taken| taken.to).collect();
            assert_eq!(to, (0..COUNT).map(|n| format!("TO:<{}>", friend(n))).collect::<Vec<_>>());
            assert_eq!(world.relay.troubles(), [""; 0]);
            FIXED.set(None);
        });
    }
}

/// Catches: a message that counts as handed over, is counted twice or is lost when the smarthost hangs up within its
/// content, and messages before it that go again for that.
#[test]
fn a_hang_up_amid_the_content_costs_one_attempt_of_one_message() {
    for offers in [PIPELINING, CHUNKING] {
        // All of a short message is in the network when the smarthost hangs up, of a large one it is not.
        for octets in [60, 2_000_000] {
            story(async move |world| {
                world.reconfigure(|config| config.smarthost.connections = 1);
                let begun = Cell::new(0);
                world.smarthost.answers(move |command| {
                    begun.set(begun.get() + u32::from(command == "(content)"));
                    let hangs_up = command == "(content)" && begun.get() == 3;
                    command.starts_with("EHLO").then_some(offers).or(hangs_up.then_some("drop"))
                });
                world.reconfigure(|config| config.smarthost.retry = vec![3600]);
                for n in 0..3 {
                    let text = format!("{MESSAGE}{}", "x\r\n".repeat(if n == 2 { octets / 3 } else { 1 }));
                    world.post_text_as(Some("demo"), "demo@home.example", &friend(n), &text).await.unwrap();
                }
                let _running = world.run();
                let is_tried = async || world.relay.entries().iter().map(|it| it.attempts).eq([1]);
                world.until("it was tried", is_tried).await;
                let left = world.relay.entries();
                assert!(left[0].in_doubt.is_some() || octets > 1000, "{left:?}");
                world.relay.retry_now();
                world.until_queue_is_empty().await;
                let to: Vec<_> = world.smarthost.taken().into_iter().map(|taken| taken.to).collect();
                assert_eq!(
                    to,
                    (0..3).map(|n| format!("TO:<{}>", friend(n))).collect::<Vec<_>>(),
                    "{offers:?}"
                );
            });
        }
    }
}

/// Catches: a smarthost that answers after a minute and is hung up on, or keeps other messages waiting.
#[test]
fn an_answer_after_a_minute_is_waited_for_and_holds_up_nobody() {
    const MINUTE: Duration = Duration::from_secs(61);
    for offers in [PIPELINING, CHUNKING] {
        story(async move |world| {
            *world.smarthost.time.borrow_mut() = Some(world.context.time.clone());
            world.smarthost.answers(move |command| command.starts_with("EHLO").then_some(offers));
            world.smarthost.thinks.set(MINUTE);
            let _running = world.run();
            world.post_as(Some("anna"), "anna@home.example", &friend(0)).await.unwrap();
            world.until("it is there", async || world.smarthost.taken().len() == 1).await;
            // Messages of others go over another connection meanwhile.
            world.smarthost.thinks.set(Duration::ZERO);
            for n in 1..4 {
                world.post_as(Some("fred"), "fred@home.example", &friend(n)).await.unwrap();
            }
            world.until("the others are through", async || world.queue().len() == 1).await;
            world.context.time.advance(MINUTE - Duration::from_secs(2));
            Timer::after(Duration::from_millis(30)).await;
            let waits: Vec<_> = world.relay.entries().into_iter().map(|it| (it.to, it.attempts)).collect();
            assert_eq!((waits, world.relay.in_doubt()), (vec![(vec![friend(0)], 0)], 1));
            assert!(world.relay.entries()[0].in_doubt.is_some());
            world.context.time.advance(Duration::from_secs(3));
            world.until_queue_is_empty().await;
            assert_eq!((world.smarthost.taken().len(), world.relay.troubles().len()), (4, 0));
        });
    }
}
