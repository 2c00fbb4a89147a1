//! Polls of a server that misbehaves, into the real store on a simulated flash: wherever a connection
//! breaks and whenever the power goes, no message is lost and none comes twice.

use std::rc::Rc;
use std::time::Duration;

use async_io::block_on;
use smol::future::or;

use super::budget::Budget;
use super::collection::{Collection, Outcome};
use super::errand::Experience;
use super::fake::{Behaviour, Mail, Provider};
use super::wire::Wire;
use super::{Error, driver, ledger};
use crate::clock::Time;
use crate::config::{Config, Secret, Security, Source};
use crate::flash::ReadAt;
use crate::flash::sim::SimFlash;
use crate::store::{self, INBOX, Store};

pub(super) fn store(flash: &SimFlash) -> Store {
    Store::new(Rc::new(flash.clone()))
}

pub(super) fn source(provider: &Provider) -> Source {
    Source {
        host: "127.0.0.1".try_into().unwrap(),
        port: provider.address.port(),
        security: Security::None,
        username: "ann".try_into().unwrap(),
        password: Secret::new("secret").unwrap(),
        ..Source::default()
    }
}

/// One poll into the INBOX of `ann`, by the clock of `budget`.
pub(super) async fn poll_with(
    source: &Source,
    store: &Store,
    timeout: Duration,
    budget: Budget,
    config: &Config,
    experience: Experience,
) -> (Result<(), Error>, Outcome) {
    let mut outcome = Outcome::default();
    let result = async {
        let account = store.account("ann").await?;
        let time = budget.time().clone();
        let mut wire = Wire::connect(source, timeout, Rc::default(), budget).await?;
        let (result, told) =
            driver::collect_once(&mut wire, source, account, config, &experience, &time).await;
        outcome = told;
        result
    }
    .await;
    (result, outcome)
}

async fn poll_by(
    time: &Time,
    source: &Source,
    store: &Store,
    patience: Duration,
) -> (Result<(), Error>, Outcome) {
    poll_with(source, store, patience, Budget::usual(time), &Config::default(), Experience::default()).await
}

pub(super) async fn poll(source: &Source, store: &Store) -> (Result<(), Error>, Outcome) {
    poll_by(&Time::default(), source, store, Duration::from_secs(5)).await
}

/// One poll of several that share what they have found out, by the provider's clock.
pub(super) async fn poll_again(
    provider: &Provider,
    source: &Source,
    store: &Store,
    experience: &Experience,
) -> (Result<(), Error>, Outcome) {
    let (patience, budget) = (Duration::from_secs(5), Budget::usual(&provider.time));
    poll_with(source, store, patience, budget, &Config::default(), experience.clone()).await
}

/// The messages in the INBOX of `ann`, sorted.
pub(super) async fn inbox(store: &Store) -> Vec<Vec<u8>> {
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

pub(super) fn run<T>(provider: &Provider, test: impl Future<Output = T>) -> T {
    block_on(or(test, async { provider.serve().await }))
}

/// Small messages with unusual line ends and message ends.
pub(super) fn mails() -> Vec<Mail> {
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

/// The result of one poll of `provider`, which behaves in this way.
pub(super) fn polled(
    provider: &Provider,
    behaviour: Behaviour,
) -> (Result<(), Error>, Outcome, Vec<Vec<u8>>) {
    *provider.behaviour.borrow_mut() = behaviour;
    run(provider, async {
        let store = store(&SimFlash::default());
        let patience = Duration::from_secs(5);
        let (result, outcome) = poll_by(&provider.time, &source(provider), &store, patience).await;
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
        ("DELE", "the server refused DELE 4: no"),
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
    for (at, reply) in [("CAPA", "hello\r\n"), ("RETR", "* 1 FETCH\r\n"), ("RETR", "+OK\r\n.\r\nunasked\r\n")]
    {
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
    // Catches: short messages that are limited by their octets only, so that a commit has any number of them.
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

/// Catches: whole messages that stay in memory until a slow server goes on, which would take an hour here.
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
            let _ = poll_by(&provider.time, &source, &store, Duration::from_secs(3600)).await;
            panic!("the poll ended first");
        })
        .await;
    });
}

/// Catches: a deletion before everything has come, at which some servers hang up or number the other messages anew; the
/// first message before those behind it, for the same reason.
#[test]
fn deletions_come_after_everything_and_the_last_one_first() {
    let all: Vec<Mail> = (0..250).map(|n| Mail::new(&n.to_string(), format!("{n}\r\n"))).collect();
    let provider = Provider::new(&all);
    let (result, outcome, inbox) = polled(&provider, Behaviour { pipelining: true, ..Behaviour::default() });
    result.unwrap();
    assert_eq!((outcome.collected, outcome.deleted, inbox.len()), (250, 250, 250));
    let heard = provider.heard.borrow();
    let first = heard.iter().position(|line| line.starts_with("DELE")).unwrap();
    assert_eq!(heard[..first].iter().filter(|line| line.starts_with("RETR")).count(), 250);
    let numbers =
        heard.iter().filter_map(|line| line.strip_prefix("DELE ")).map(|n| n.parse::<usize>().unwrap());
    assert!(numbers.eq((1..=250).rev()));
}

/// Catches: a login for each part of a large mailbox, which providers count; messages whose deletion is requested
/// again in the same session, since the server still lists them.
#[test]
fn one_login_is_enough_for_a_mailbox_of_any_size() {
    let all: Vec<Mail> = (0..5100).map(|n| Mail::new(&n.to_string(), format!("{n}\r\n"))).collect();
    let provider = Provider::new(&all);
    let (result, outcome, inbox) = polled(&provider, Behaviour { pipelining: true, ..Behaviour::default() });
    result.unwrap();
    assert_eq!((outcome.collected, outcome.deleted, inbox.len()), (5100, 5100, 5100));
    let heard = provider.heard.borrow();
    let count = |word: &str| heard.iter().filter(|line| line.starts_with(word)).count();
    assert_eq!((count("USER"), count("UIDL"), count("RETR"), count("DELE")), (1, 2, 5100, 5100));
    assert_eq!(ledger::tables_made(), 1, "the second round knows what the first one has noted");
}

/// Catches: an import of what another program has collected that counts only from the next session on.
#[test]
fn what_somebody_else_notes_counts_from_the_next_round_on() {
    block_on(async {
        let account = store(&SimFlash::default()).account("ann").await.unwrap();
        let (source, config, time) = (Source::default(), Config::default(), Time::default());
        let key = ledger::source_key(&source, "INBOX");
        let needs = Experience::default().needs(key);
        let mut collection = Collection::new(account.clone(), &source, key, &config, needs, &time);
        let mut transaction = account.begin();
        transaction.collected(key, collection.identity_of(b"7").octets(), 1_800_000_000);
        transaction.commit().await.unwrap();
        assert!(!collection.knows(b"7"));
        collection.begin_next_round();
        assert!(collection.knows(b"7"));
    });
}

/// Catches: a message that is known by its content, is refused once, and is forgotten as if it were gone: it would
/// come twice.
#[test]
fn a_refused_message_is_not_forgotten() {
    let provider = Provider::new(&[Mail::new("", "a\r\n"), Mail::new("", "b\r\n")]);
    run(&provider, async {
        let store = store(&SimFlash::default());
        let source = Source { leave_on_server: true, ..source(&provider) };
        for (reply, collected) in [(None, 2), (Some(("RETR 1", "-ERR no\r\n".to_owned())), 0), (None, 0)] {
            provider.behaviour.borrow_mut().reply = reply;
            assert_eq!(poll(&source, &store).await.1.collected, collected);
        }
    });
}
