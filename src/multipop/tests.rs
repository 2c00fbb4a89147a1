//! Polls of a server that misbehaves, into the real store on a simulated flash: wherever a connection
//! breaks and whenever the power goes, no message is lost and none comes twice.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use async_io::block_on;
use smol::future::or;

use super::budget::Budget;
use super::collection::{Collection, Outcome};
use super::fake::{Behaviour, Mail, Provider};
use super::needs::Needs;
use super::wire::Wire;
use super::{Error, pop3_client};
use crate::config::{Config, Protocol, Secret, Security, Source};
use crate::flash::ReadAt;
use crate::flash::sim::SimFlash;
use crate::store::{self, INBOX, Store};

fn store(flash: &SimFlash) -> Store {
    Store::new(Rc::new(flash.clone()), |_| Vec::new())
}

fn source(provider: &Provider) -> Source {
    Source {
        host: "127.0.0.1".try_into().unwrap(),
        port: provider.address.port(),
        security: Security::None,
        username: "ann".try_into().unwrap(),
        password: Secret::new("secret").unwrap(),
        ..Source::default()
    }
}

/// One poll into the INBOX of `ann`.
async fn poll_within(source: &Source, store: &Store, timeout: Duration) -> (Result<(), Error>, Outcome) {
    poll_with(source, store, timeout, Budget::default(), &Config::default(), Needs::default()).await
}

async fn poll_with(
    source: &Source,
    store: &Store,
    timeout: Duration,
    budget: Budget,
    config: &Config,
    needs: Needs,
) -> (Result<(), Error>, Outcome) {
    let mut outcome = Outcome::default();
    let result = async {
        let mut wire = Wire::connect(source, timeout, Rc::default()).await?;
        wire.allow(budget);
        let account = store.account("ann").await?;
        let mut collection = Collection::new(account, source, config, needs);
        let result = pop3_client::collect(&mut wire, source, &mut collection).await;
        outcome = collection.outcome;
        result
    }
    .await;
    (result, outcome)
}

async fn poll(source: &Source, store: &Store) -> (Result<(), Error>, Outcome) {
    poll_within(source, store, Duration::from_secs(5)).await
}

/// The messages of the INBOX, sorted.
async fn inbox(store: &Store) -> Vec<Vec<u8>> {
    let account = store.account("ann").await.unwrap();
    let messages = account.view(INBOX, |mailbox| mailbox.messages.clone()).unwrap();
    let mut bodies: Vec<Vec<u8>> = messages
        .iter()
        .map(|message| {
            let body = account.body(message).unwrap();
            let mut octets = vec![0; message.size as usize];
            body.read_exact_at(0, &mut octets).unwrap();
            octets
        })
        .collect();
    bodies.sort();
    bodies
}

fn sorted(mails: &[Mail]) -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = mails.iter().map(|mail| mail.octets.clone()).collect();
    bodies.sort();
    bodies
}

fn run<T>(provider: &Provider, test: impl Future<Output = T>) -> T {
    block_on(or(test, async { provider.serve().await }))
}

/// Small messages that try the ends of lines and of messages.
fn mails() -> Vec<Mail> {
    vec![
        Mail::new("one", "Subject: one\r\n\r\nHello\r\n"),
        Mail::new("two", ".\r\n..\r\n.dot\r\n"),
        Mail::new("three", "bare\nlf\r\nbare\rcr\r\n"),
        Mail::new("four", ""),
    ]
}

#[test]
fn wherever_the_connection_breaks_nothing_is_lost_and_nothing_comes_twice() {
    for (pipelining, leave_on_server) in [(false, false), (true, false), (true, true)] {
        let provider = Provider::new(&mails());
        provider.behaviour.borrow_mut().pipelining = pipelining;
        run(&provider, async {
            let source = Source { leave_on_server, ..source(&provider) };
            poll(&source, &store(&SimFlash::default())).await.0.unwrap();
            for limit in (0..provider.sent.get()).step_by(2) {
                *provider.maildrop.borrow_mut() = mails();
                provider.behaviour.borrow_mut().break_after = Some(limit);
                let store = store(&SimFlash::default());
                let broken = poll(&source, &store).await.0;
                provider.behaviour.borrow_mut().break_after = None;
                poll(&source, &store).await.0.unwrap();
                assert_eq!(inbox(&store).await, sorted(&mails()), "after {limit} octets: {broken:?}");
                let left = if leave_on_server { mails() } else { Vec::new() };
                assert_eq!(*provider.maildrop.borrow(), left, "after {limit} octets: {broken:?}");
            }
        });
    }
}

#[test]
fn whenever_the_power_goes_nothing_is_lost_and_nothing_comes_twice() {
    let mut all = mails();
    all.push(Mail::new("large", [&b"x".repeat(998)[..], b"\r\n"].concat().repeat(200)));
    let provider = Provider::new(&all);
    provider.behaviour.borrow_mut().pipelining = true;
    run(&provider, async {
        let source = source(&provider);
        let flash = SimFlash::default();
        poll(&source, &store(&flash)).await.0.unwrap();
        for step in 0..flash.steps() {
            *provider.maildrop.borrow_mut() = all.clone();
            let flash = SimFlash::default();
            flash.cut_at(step);
            let cut = poll(&source, &store(&flash)).await.0;
            let store = store(&flash.restart(step));
            poll(&source, &store).await.0.unwrap();
            assert_eq!(inbox(&store).await, sorted(&all), "cut at step {step}: {cut:?}");
            assert_eq!(*provider.maildrop.borrow(), []);
        }
    });
}

/// What one poll of `provider`, which behaves so, comes to.
fn polled(provider: &Provider, behaviour: Behaviour) -> (Result<(), Error>, Outcome, Vec<Vec<u8>>) {
    *provider.behaviour.borrow_mut() = behaviour;
    run(provider, async {
        let store = store(&SimFlash::default());
        let (result, outcome) = poll_within(&source(provider), &store, Duration::from_millis(300)).await;
        (result, outcome, inbox(&store).await)
    })
}

#[test]
fn a_message_that_is_refused_does_not_hold_up_the_others() {
    let provider = Provider::new(&mails());
    let reply = Some(("RETR 2", "-ERR [SYS/TEMP] later\r\n".to_owned()));
    let (result, outcome, inbox) =
        polled(&provider, Behaviour { reply, pipelining: true, ..Behaviour::default() });
    result.unwrap();
    assert_eq!((outcome.collected, outcome.deleted, inbox.len()), (3, 3, 3));
    assert_eq!(outcome.problem.unwrap().to_string(), "the server refused RETR 2: [SYS/TEMP] later");
    assert_eq!(*provider.maildrop.borrow(), [mails()[1].clone()]);
}

#[test]
fn refusals_at_every_step_are_told_and_lose_nothing() {
    for (at, error) in [
        ("USER", "the login was refused: no"),
        ("PASS", "the login was refused: no"),
        ("DELE", "the server refused DELE 1: no"),
        ("QUIT", "the server refused QUIT: no"),
        ("RETR", "the server refused RETR 1: no"),
    ] {
        let provider = Provider::new(&mails());
        let reply = Some((at, "-ERR no\r\n".to_owned()));
        let (result, outcome, _) = polled(&provider, Behaviour { reply, ..Behaviour::default() });
        let told = result.err().or(outcome.problem).unwrap();
        assert_eq!(told.to_string(), error);
        assert_eq!(provider.maildrop.borrow().len(), 4, "refused {at}");
        let (_, outcome, inbox) = polled(&provider, Behaviour::default());
        assert_eq!(
            (outcome.collected, inbox.len(), provider.maildrop.borrow().len()),
            (4, 4, 0),
            "after {at}"
        );
    }
}

#[test]
fn what_no_pop3_server_says_ends_the_poll() {
    for (at, reply) in [
        ("CAPA", "hello\r\n"),
        ("UIDL", "+OK\r\nnonsense\r\n.\r\n"),
        ("LIST", "+OK\r\n1 5\r\n+OK\r\n"),
        ("RETR", "* 1 FETCH\r\n"),
        ("RETR", "+OK\r\n.\r\nunasked\r\n"),
    ] {
        let provider = Provider::new(&mails());
        let reply = Some((at, reply.to_owned()));
        let (result, _, _) = polled(&provider, Behaviour { reply, ..Behaviour::default() });
        assert!(matches!(result, Err(Error::Protocol(_))), "{at}: {result:?}");
        assert_eq!(provider.maildrop.borrow().len(), 4);
    }
}

#[test]
fn a_server_without_uidl_has_its_messages_known_by_their_content() {
    let mut all = mails();
    all.push(Mail::new("", all[0].octets.clone()));
    for reply in ["-ERR unknown command\r\n", "+OK\r\n1\r\n2 \r\n3\r\n4\r\n5\r\n.\r\n"] {
        let provider = Provider::new(&all);
        provider.behaviour.borrow_mut().reply = Some(("UIDL", reply.to_owned()));
        run(&provider, async {
            let store = store(&SimFlash::default());
            let leave = Source { leave_on_server: true, ..source(&provider) };
            assert_eq!(poll(&leave, &store).await.1.collected, 5, "a copy is a message too");
            assert_eq!(poll(&leave, &store).await.1.collected, 0);
            assert_eq!(poll(&source(&provider), &store).await.1.deleted, 5);
            assert_eq!(inbox(&store).await, sorted(&all));
        });
    }
}

#[test]
fn messages_with_one_unique_id_are_all_collected() {
    let all = [Mail::new("same", "a\r\n"), Mail::new("same", "b\r\n"), Mail::new("same", "a\r\n")];
    let provider = Provider::new(&all);
    let (result, outcome, inbox) = polled(&provider, Behaviour::default());
    result.unwrap();
    assert_eq!((outcome.collected, outcome.deleted, inbox), (3, 3, sorted(&all)));
}

#[test]
fn a_huge_unique_id_costs_its_message_nothing() {
    let all = [Mail::new(&"x".repeat(100_000), "a\r\n"), Mail::new(&"x".repeat(100_001), "b\r\n")];
    let provider = Provider::new(&all);
    let (result, outcome, inbox) = polled(&provider, Behaviour::default());
    result.unwrap();
    assert_eq!((outcome.collected, inbox), (2, sorted(&all)));
}

#[test]
fn silence_and_dripping_end_a_poll_and_keep_what_came_whole() {
    let provider = Provider::new(&mails());
    for (behaviour, collected) in [
        (Behaviour { silent_at: Some("CAPA"), ..Behaviour::default() }, 0),
        (Behaviour { silent_at: Some("RETR 3"), ..Behaviour::default() }, 2),
        (Behaviour { drip: Some(Duration::from_millis(100)), ..Behaviour::default() }, 0),
    ] {
        let begun = Instant::now();
        let (result, outcome, inbox) = polled(&provider, behaviour);
        assert!(matches!(result, Err(Error::Silence)), "{result:?}");
        assert_eq!((outcome.collected, inbox.len()), (collected, collected as usize));
        assert!(begun.elapsed() < Duration::from_secs(3));
    }
}

/// Catches: lines that nobody counts, wherever a server may send them: each is short, whole, and in time, so that
/// neither its length nor the silence ends the poll.
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
            let (store, budget) = (store(&SimFlash::default()), Budget::new(50_000, Duration::from_secs(5)));
            let patience = Duration::from_secs(5);
            let (config, needs) = (Config::default(), Needs::default());
            let result = poll_with(&source(&provider), &store, patience, budget, &config, needs).await.0;
            let is_told = match &result {
                Err(Error::Chatter) => true,
                Err(Error::Protocol(_)) => at == "CAPA",
                _ => false,
            };
            assert!(is_told, "{at}: {result:?}");
            assert!(provider.sent.get() < 8_000_000, "{at}: {} octets were taken", provider.sent.get());
            let kept = if matches!(at, "DELE" | "QUIT") { mails().len() } else { 0 };
            assert_eq!(inbox(&store).await.len(), kept, "{at}");
        });
    }
}

/// Catches: a kibioctet now and then that keeps a poll alive, within a message and elsewhere.
#[test]
fn a_drip_ends_when_its_time_is_over() {
    for (at, beginning) in [("RETR", "+OK\r\n"), ("LIST", "+OK\r\n1 ")] {
        let provider = Provider::new(&mails());
        *provider.behaviour.borrow_mut() = Behaviour {
            flood: Some((at, beginning, "x".repeat(1024))),
            pause: Some(Duration::from_millis(50)),
            ..Behaviour::default()
        };
        run(&provider, async {
            // A message buys as much time as a line of 1 KiB/s takes for it: here a thousandth of that.
            let budget = Budget::new(1 << 20, Duration::from_millis(300)).for_lines_faster_by(1000);
            let (store, begun) = (store(&SimFlash::default()), Instant::now());
            let patience = Duration::from_secs(5);
            let (config, needs) = (Config::default(), Needs::default());
            let result = poll_with(&source(&provider), &store, patience, budget, &config, needs).await.0;
            assert!(matches!(result, Err(Error::TooSlow)), "{at}: {result:?}");
            assert!(begun.elapsed() < Duration::from_secs(3));
        });
    }
}

/// Catches: a long list that is read in one go, or worked off in one go where each message has to be looked at.
#[test]
fn others_have_their_turn_while_a_long_list_comes() {
    let lines = |value: &str| (1..=200_000).map(|n| format!("{n} {value}\r\n")).collect::<String>();
    for uidl in ["-ERR no\r\n".to_owned(), format!("+OK\r\n{}.\r\n", lines("x"))] {
        let list = format!("+OK\r\n{}.\r\n", lines("1"));
        let says = format!("+OK\r\n-ERR\r\n+OK\r\n+OK\r\n{list}{uidl}-ERR gone\r\n");
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
            assert!(matches!(result, Err(Error::Closed)), "{result:?}");
        });
        // One for each 16 KiB, and one for each 4096 messages that are looked at without waiting for anything.
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

/// Catches: a message without end that fills the flash, of which nobody is told, or that is read again with each poll; and
/// one that is refused although the limit was raised.
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
            let poll = async || {
                let patience = Duration::from_secs(5);
                poll_with(&source, &store, patience, Budget::default(), &config, Needs::default()).await
            };
            *provider.behaviour.borrow_mut() = Behaviour {
                flood: Some(("RETR 1", "+OK\r\n", "x".repeat(998) + "\r\n")),
                size: lists,
                ..Behaviour::default()
            };
            let (result, _) = poll().await;
            assert!(matches!(result, Err(Error::Endless(n)) if n == limit), "{result:?}");
            let sent = provider.sent.get() as u64;
            assert!(sent < limit + (8 << 20), "{sent} octets were taken");
            assert!(peak.get() < limit + 100_000, "{} octets were written for {limit}", peak.get());
            assert_eq!(provider.heard.borrow().iter().filter(|line| *line == "RETR 1").count(), 1);
            // The others come, nobody asks for it again, and the user is told once.
            for collected in [1, 0] {
                let (result, outcome) = poll().await;
                result.unwrap();
                assert_eq!(outcome.collected, collected);
                assert_eq!(provider.heard.borrow().iter().filter(|line| *line == "RETR 1").count(), 1);
            }
            let inbox = inbox(&store).await;
            assert_eq!(inbox.len(), 2);
            let told = inbox.iter().filter(|m| String::from_utf8_lossy(m).contains("A message of more than"));
            assert_eq!(told.count(), 1);
            assert_eq!(provider.maildrop.borrow().len(), 1, "it stays");
            // With another limit it is tried again.
            *provider.behaviour.borrow_mut() = Behaviour::default();
            config.server.max_message_size += 1;
            let source = Source { max_size: max_size.saturating_sub(1), ..source.clone() };
            let patience = Duration::from_secs(5);
            let again =
                poll_with(&source, &store, patience, Budget::default(), &config, Needs::default()).await;
            assert_eq!(again.1.collected, 1);
        });
    }
}

/// Catches: a message with a lying size that is written again and again where there is no room for it.
#[test]
fn what_had_no_room_is_not_written_again_before_there_is_more() {
    let large = Mail::new("large", "x".repeat(600_000) + "\r\n");
    let provider = Provider::new(&[large, Mail::new("small", "a\r\n")]);
    provider.behaviour.borrow_mut().size = Some(100);
    run(&provider, async {
        let (flash, needs, config) = (SimFlash::default(), Needs::default(), Config::default());
        let store = store(&flash);
        let source = source(&provider);
        let poll = async || {
            let patience = Duration::from_secs(5);
            poll_with(&source, &store, patience, Budget::default(), &config, needs.clone()).await
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
        assert_eq!((asked(), inbox(&store).await.len()), (2, 2));
    });
}

/// Catches: one endless message without a unique-id that ends each poll before the others come.
#[test]
fn a_message_without_end_and_without_a_name_holds_up_nobody_for_long() {
    let provider = Provider::new(&[Mail::new("", "a\r\n"), Mail::new("", "b\r\n")]);
    run(&provider, async {
        let (store, needs, config) = (store(&SimFlash::default()), Needs::default(), Config::default());
        let source = Source { max_size: 1000, ..source(&provider) };
        provider.behaviour.borrow_mut().flood = Some(("RETR 1", "+OK\r\n", "x".repeat(998) + "\r\n"));
        for (is_endless, messages) in [(true, 1), (false, 2), (false, 2)] {
            let (patience, budget) = (Duration::from_secs(5), Budget::default());
            let result = poll_with(&source, &store, patience, budget, &config, needs.clone()).await.0;
            assert_eq!(matches!(result, Err(Error::Endless(1000))), is_endless, "{result:?}");
            assert_eq!(inbox(&store).await.len(), messages);
        }
    });
}

#[test]
fn a_message_too_large_for_the_flash_waits_and_the_others_come() {
    let large = Mail::new("large", "x".repeat(600_000) + "\r\n");
    let provider = Provider::new(&[large.clone(), Mail::new("small", "a\r\n")]);
    run(&provider, async {
        let flash = SimFlash::default();
        let store = store(&flash);
        flash.limit(Some(300_000));
        let (result, outcome) = poll(&source(&provider), &store).await;
        result.unwrap();
        assert!(matches!(outcome.problem, Some(Error::Store(store::Error::Full))), "{outcome:?}");
        assert_eq!(inbox(&store).await, [b"a\r\n"]);
        assert_eq!(*provider.maildrop.borrow(), std::slice::from_ref(&large));
        flash.limit(None);
        assert_eq!(poll(&source(&provider), &store).await.1.collected, 1);
        assert_eq!(*provider.maildrop.borrow(), []);
    });
}

#[test]
fn what_an_account_has_no_room_for_stays_with_the_provider() {
    // Catches: short messages that are collected for the price of their octets.
    let provider =
        Provider::new(&[Mail::new("1", "a\r\n"), Mail::new("2", "b\r\n"), Mail::new("3", "c\r\n")]);
    run(&provider, async {
        let store = store(&SimFlash::default());
        store.set_quotas([("ann".to_owned(), 2 * (store::SHARE + 3) + 100)].into());
        let (result, outcome) = poll(&source(&provider), &store).await;
        result.unwrap();
        assert!(matches!(outcome.problem, Some(Error::Store(store::Error::OverQuota))), "{outcome:?}");
        assert_eq!((outcome.collected, provider.maildrop.borrow().len()), (2, 1));
        store.set_quotas(Default::default());
        assert_eq!(poll(&source(&provider), &store).await.1.collected, 1);
    });
}

#[test]
fn what_is_whole_does_not_wait_for_what_is_slow() {
    let provider = Provider::new(&mails());
    provider.behaviour.borrow_mut().silent_at = Some("RETR 3");
    run(&provider, async {
        let store = store(&SimFlash::default());
        let source = source(&provider);
        let account = store.account("ann").await.unwrap();
        let came = async {
            while account.view(INBOX, |mailbox| mailbox.messages.len()) != Some(2) {
                account.changed().await;
            }
        };
        or(came, async {
            let _ = poll(&source, &store).await;
            panic!("the poll ended first");
        })
        .await;
    });
}

#[test]
fn deletion_waits_for_the_commit_and_shares_it() {
    let all: Vec<Mail> = (0..250).map(|n| Mail::new(&n.to_string(), format!("{n}\r\n"))).collect();
    let provider = Provider::new(&all);
    let (result, outcome, inbox) = polled(&provider, Behaviour { pipelining: true, ..Behaviour::default() });
    result.unwrap();
    assert_eq!((outcome.collected, outcome.deleted, inbox.len()), (250, 250, 250));
    let heard = provider.heard.borrow();
    let commands: Vec<&str> = heard.iter().filter_map(|line| line.get(..4)).collect();
    let first_delete = commands.iter().position(|command| *command == "DELE").unwrap();
    let before = commands[..first_delete].iter().filter(|command| **command == "RETR").count();
    assert!((100..=140).contains(&before), "{before} requests before the first deletion");
}
