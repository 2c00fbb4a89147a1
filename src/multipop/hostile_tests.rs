//! Polls of POP3 servers that never end, drip, lie about sizes, or send too much.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use async_io::block_on;
use smol::future::{or, poll_once};

use super::Error;
use super::budget::Budget;
use super::errand::Experience;
use super::fake::{Behaviour, Mail, Provider};
use super::tests::{inbox, mails, poll, poll_with, polled, run, source, store};
use super::wire::Wire;
use crate::clock::Time;
use crate::config::{Config, Protocol, Source};
use crate::flash::sim::SimFlash;
use crate::outgoing;
use crate::store;

/// Catches: a server that is waited for without end, and octets that count as progress though nothing whole has come.
#[test]
fn silence_and_dripping_end_a_poll_and_keep_what_came_whole() {
    let provider = Provider::new(&mails());
    for (behaviour, collected) in [
        (Behaviour { silent_at: Some("PASS"), ..Behaviour::default() }, 0),
        (Behaviour { silent_at: Some("RETR 3"), ..Behaviour::default() }, 2),
        (Behaviour { drip: Some(Duration::from_secs(1)), ..Behaviour::default() }, 0),
    ] {
        let begun = provider.time.now();
        let (result, outcome, inbox) = polled(&provider, behaviour);
        assert!(matches!(result, Err(Error::Outgoing(outgoing::Error::Silence))), "{result:?}");
        assert_eq!((outcome.collected, inbox.len()), (collected, collected as usize));
        assert!(provider.time.since(begun) < Duration::from_secs(20));
    }
}

/// Catches: lines that nobody counts, wherever a server may send them. Each line is short, whole, and in time, so
/// neither its length nor silence ends the poll.
#[test]
fn chatter_without_end_ends_a_poll_at_every_step() {
    let line = "x".repeat(70);
    for (at, beginning, again) in [
        ("CAPA", "+OK\r\n", format!("{line}\r\n")),
        ("CAPA", "+OK ", line.clone()),
        ("PASS", "+OK ", line.clone()),
        ("LIST", "+OK ", line.clone()),
        ("LIST", "+OK\r\n", "1 1\r\n".to_owned()),
        ("LIST", "+OK\r\n1 ", line.clone()),
        ("UIDL", "+OK\r\n", "1 x\r\n".to_owned()),
        ("RETR", "+OK ", line.clone()),
        ("DELE", "+OK ", line.clone()),
        ("QUIT", "+OK ", line.clone()),
    ] {
        let provider = Provider::new(&mails());
        provider.behaviour.borrow_mut().flood = Some((at, beginning, again));
        run(&provider, async {
            let (store, patience) = (store(&SimFlash::default()), Duration::from_secs(5));
            let budget = Budget::new(&Time::default(), 50_000, patience);
            let (config, needs) = (Config::default(), Experience::default());
            let result = poll_with(&source(&provider), &store, patience, budget, &config, needs).await.0;
            // A list of capabilities without end is done without.
            let goes_without = at == "CAPA" && beginning.ends_with('\n');
            let is_told = match &result {
                Err(Error::Chatter) => !goes_without,
                Ok(()) => goes_without,
                _ => false,
            };
            assert!(is_told, "{at}: {result:?}");
            assert!(provider.sent.get() < 8_000_000, "{at}: {} octets were taken", provider.sent.get());
            let kept = if goes_without || matches!(at, "DELE" | "QUIT") { mails().len() } else { 0 };
            assert_eq!(inbox(&store).await.len(), kept, "{at}");
        });
    }
}

/// Catches: a server that keeps a poll alive with 1 KiB now and then, within a message and elsewhere.
#[test]
fn a_drip_ends_when_its_time_is_over() {
    for (at, beginning) in [("RETR", "+OK\r\n"), ("LIST", "+OK\r\n1 ")] {
        let provider = Provider::new(&mails());
        *provider.behaviour.borrow_mut() = Behaviour {
            flood: Some((at, beginning, "x".repeat(1024))),
            pause: Some(Duration::from_secs(10)),
            ..Behaviour::default()
        };
        run(&provider, async {
            // A message buys as much time as a line of 1 KiB/s takes for it: a tenth of what passes.
            let (time, minute) = (&provider.time, Duration::from_secs(60));
            let budget = Budget::new(time, 1 << 20, minute);
            let (store, begun) = (store(&SimFlash::default()), time.now());
            let patience = Duration::from_secs(30);
            let (config, needs) = (Config::default(), Experience::default());
            let result = poll_with(&source(&provider), &store, patience, budget, &config, needs).await.0;
            assert!(matches!(result, Err(Error::TooSlow)), "{at}: {result:?}");
            assert!(time.since(begun) < 3 * minute);
        });
    }
}

/// Catches: octets that are already here and keep a poll going after its time is over.
#[test]
fn what_has_come_buys_no_time() {
    let provider = Provider::new(&mails());
    run(&provider, async {
        let (time, minute) = (Time::default(), Duration::from_secs(60));
        let (source, budget) = (source(&provider), Budget::new(&time, 1000, minute));
        let mut wire = Wire::connect(&source, 10 * minute, Rc::default(), budget).await.unwrap();
        assert!(!wire.fill().await.unwrap().is_empty());
        time.advance(minute);
        assert!(matches!(wire.fill().await, Err(Error::TooSlow)));
    });
}

/// Catches: a wait for octets that goes on when the time of the poll is over.
#[test]
fn nothing_is_waited_for_longer_than_a_poll_may_take() {
    let provider = Provider::new(&mails());
    run(&provider, async {
        let (time, minute) = (Time::default(), Duration::from_secs(60));
        let (source, budget) = (source(&provider), Budget::new(&time, 1000, minute));
        let mut wire = Wire::connect(&source, 10 * minute, Rc::default(), budget).await.unwrap();
        let greeting = wire.fill().await.unwrap().len();
        wire.consume(greeting, 0).unwrap();
        let mut waits = pin!(wire.fill());
        time.advance(minute - Duration::from_secs(1));
        assert!(poll_once(waits.as_mut()).await.is_none(), "it has a second left");
        time.advance(Duration::from_secs(1));
        assert!(matches!(poll_once(waits.as_mut()).await, Some(Err(Error::TooSlow))));
    });
}

/// Catches: a long list that is read, or (where each message has to be looked at) handled, without a turn for other
/// tasks.
#[test]
fn others_have_their_turn_while_a_long_list_comes() {
    let lines = |value: &str| (1..=200_000).map(|n| format!("{n} {value}\r\n")).collect::<String>();
    for uidl in ["-ERR no\r\n".to_owned(), format!("+OK\r\n{}.\r\n", lines("x"))] {
        let list = format!("+OK\r\n{}.\r\n", lines("1"));
        let says = format!("+OK\r\n-ERR\r\n+OK\r\n+OK\r\n+OK 1 1\r\n{list}{uidl}-ERR gone\r\n");
        let speaker = crate::fuzzing::Speaker::new();
        let turns = Cell::new(0);
        block_on(async {
            let store = store(&SimFlash::default());
            let account = store.account("ann").await.unwrap();
            let poll = crate::multipop::poll(Protocol::Pop3, speaker.address, account);
            let others = async {
                loop {
                    turns.set(turns.get() + 1);
                    smol::future::yield_now().await;
                }
            };
            let result = or(poll, or(speaker.says(says.as_bytes()), others)).await;
            assert!(matches!(result, Err(Error::Outgoing(outgoing::Error::Closed))), "{result:?}");
        });
        // One turn for each 16 KiB, and one for each 4096 messages that are looked at without waiting for octets.
        let least = says.len() / (16 * 1024) + if uidl.starts_with('-') { 200_000 / 4096 } else { 0 };
        assert!(turns.get() >= least, "{} turns of {least}", turns.get());
    }
}

#[test]
fn sizes_that_lie_mislead_nobody() {
    let large = Mail::new("large", "x".repeat(2000) + "\r\n");
    let provider = Provider::new(&[large, Mail::new("small", "a\r\n")]);
    run(&provider, async {
        let store = store(&SimFlash::default());
        let source = Source { max_size: 1000, leave_on_server: true, ..source(&provider) };
        for (size, collected, letters) in [(0, 1, 1), (0, 0, 1), (5000, 0, 1)] {
            provider.behaviour.borrow_mut().size = Some(size);
            let (result, outcome) = poll(&source, &store).await;
            result.unwrap();
            assert_eq!(outcome.collected, collected, "with size {size}");
            let inbox = inbox(&store).await;
            let told = inbox.iter().filter(|mail| String::from_utf8_lossy(mail).contains("stays at")).count();
            assert_eq!((told, inbox.len()), (letters, letters + 1), "with size {size}");
        }
    });
}

/// Catches: a message without end that fills the flash, that the user is not told of, or that is read again with each
/// poll; a message that is refused although the limit was raised.
#[test]
fn a_message_without_end_is_read_once_and_told_of_once() {
    for (max_size, lists) in [(300_000, Some(100)), (0, Some(100)), (0, Some(u64::MAX))] {
        let provider = Provider::new(&[Mail::new("endless", "a\r\n"), Mail::new("good", "b\r\n")]);
        run(&provider, async {
            let (flash, peak) = (SimFlash::default(), Rc::new(Cell::new(0)));
            let written = peak.clone();
            flash.watch(move |flash| {
                let octets: usize = flash.files().iter().map(|(_, octets)| octets).sum();
                written.set(written.get().max(octets as u64));
            });
            let store = store(&flash);
            let mut config = Config::default();
            config.server.max_message_size = 100_000;
            let source = Source { max_size, ..source(&provider) };
            let limit = if max_size > 0 { max_size } else { 400_000 };
            let poll = async |source: &Source, config: &Config| {
                let budget = Budget::usual(&Time::default());
                poll_with(source, &store, Duration::from_secs(5), budget, config, Experience::default()).await
            };
            *provider.behaviour.borrow_mut() = Behaviour {
                flood: Some(("RETR 1", "+OK\r\n", "x".repeat(998) + "\r\n")),
                size: lists,
                ..Behaviour::default()
            };
            let (result, _) = poll(&source, &config).await;
            assert!(matches!(result, Err(Error::Endless(n)) if n == limit), "{result:?}");
            let sent = provider.sent.get() as u64;
            assert!(sent < limit + (8 << 20), "{sent} octets were taken");
            assert!(peak.get() < limit + 100_000, "{} octets were written for {limit}", peak.get());
            assert_eq!(provider.heard.borrow().iter().filter(|line| *line == "RETR 1").count(), 1);
            // The other message comes, the endless one is not asked for again, and the user is told once.
            for collected in [1, 0] {
                let (result, outcome) = poll(&source, &config).await;
                result.unwrap();
                assert_eq!(outcome.collected, collected);
                assert_eq!(provider.heard.borrow().iter().filter(|line| *line == "RETR 1").count(), 1);
            }
            let mut inbox = inbox(&store).await;
            // The other message is listed with the same size, and much shorter.
            inbox.retain(|m| !String::from_utf8_lossy(m).contains("came incomplete"));
            assert_eq!(inbox.len(), 2);
            let told = inbox.iter().filter(|m| String::from_utf8_lossy(m).contains("A message of more than"));
            assert_eq!(told.count(), 1);
            assert_eq!(provider.maildrop.borrow().len(), 1, "it stays");
            // With another limit the message is tried again.
            *provider.behaviour.borrow_mut() = Behaviour::default();
            config.server.max_message_size += 1;
            let source = Source { max_size: max_size.saturating_sub(1), ..source.clone() };
            let again = poll(&source, &config).await;
            assert_eq!(again.1.collected, 1);
        });
    }
}

/// Catches: a message with a wrong listed size that is written again and again though there is no room for it.
#[test]
fn what_had_no_room_is_not_written_again_before_there_is_more() {
    let large = Mail::new("large", "x".repeat(600_000) + "\r\n");
    let provider = Provider::new(&[large, Mail::new("small", "a\r\n")]);
    provider.behaviour.borrow_mut().size = Some(100);
    run(&provider, async {
        let (flash, needs, config) = (SimFlash::default(), Experience::default(), Config::default());
        let store = store(&flash);
        let source = source(&provider);
        let poll = async || {
            let patience = Duration::from_secs(5);
            poll_with(&source, &store, patience, Budget::usual(&Time::default()), &config, needs.clone())
                .await
        };
        let asked = || provider.heard.borrow().iter().filter(|line| *line == "RETR 1").count();
        flash.limit(Some(300_000));
        for _ in 0..3 {
            let (result, outcome) = poll().await;
            result.unwrap();
            assert!(matches!(outcome.problem, Some(Error::Store(store::Error::Full))), "{outcome:?}");
            assert_eq!(asked(), 1);
        }
        flash.limit(None);
        assert_eq!(poll().await.1.collected, 1);
        let mut inbox = inbox(&store).await;
        inbox.retain(|m| !String::from_utf8_lossy(m).contains("came incomplete"));
        assert_eq!((asked(), inbox.len()), (2, 2));
    });
}

/// Catches: one endless message without a unique-id that ends each poll before the other messages come.
#[test]
fn a_message_without_end_and_without_a_name_holds_up_nobody_for_long() {
    let provider = Provider::new(&[Mail::new("", "a\r\n"), Mail::new("", "b\r\n")]);
    run(&provider, async {
        let (store, needs, config) = (store(&SimFlash::default()), Experience::default(), Config::default());
        let source = Source { max_size: 1000, ..source(&provider) };
        provider.behaviour.borrow_mut().flood = Some(("RETR 1", "+OK\r\n", "x".repeat(998) + "\r\n"));
        for (is_endless, messages) in [(true, 1), (false, 2), (false, 2)] {
            let (patience, budget) = (Duration::from_secs(5), Budget::usual(&Time::default()));
            let result = poll_with(&source, &store, patience, budget, &config, needs.clone()).await.0;
            assert_eq!(matches!(result, Err(Error::Endless(1000))), is_endless, "{result:?}");
            assert_eq!(inbox(&store).await.len(), messages);
        }
    });
}
