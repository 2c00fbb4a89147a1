//! Polls of many sources at once, and settings that change meanwhile.

use std::time::Instant;

use async_io::{Timer, block_on};
use rustix::io::Errno;
use smol::future::or;

use super::*;
use crate::certificate;
use crate::clock::unix_now;
use crate::config::{Account, Interval, Secret};
use crate::flash::refusing::Refusing;
use crate::flash::sim::SimFlash;
use crate::multipop::collection::BATCH_TIME;
use crate::multipop::fake::{Behaviour, Mail, Provider};
use crate::multipop::imap;
use crate::multipop::places::LEASE;
use crate::multipop::status::PollResult;
use crate::store::Store;

/// An account of this name that collects from `provider`.
pub(super) fn account(name: &str, provider: &Provider) -> Account {
    Account {
        name: name.try_into().unwrap(),
        multipop: true,
        sources: vec![Source {
            host: "127.0.0.1".try_into().unwrap(),
            port: provider.address.port(),
            security: Security::None,
            username: name.try_into().unwrap(),
            password: Secret::new("secret").unwrap(),
            ..Source::default()
        }],
        ..Account::default()
    }
}

pub(super) fn config(accounts: &[Account]) -> Config {
    let mut config = Config { accounts: accounts.to_vec(), ..Config::default() };
    config.identify(&Config::default());
    config
}

/// Plays `test` with a poller that runs with these settings, and with the providers.
pub(super) fn play<T>(
    config: Config,
    providers: &[&Provider],
    test: impl AsyncFnOnce(&Poller, &Context) -> T,
) -> T {
    play_in(|context| context, config, providers, test)
}

fn play_in<T>(
    world: impl FnOnce(Context) -> Context,
    config: Config,
    providers: &[&Provider],
    test: impl AsyncFnOnce(&Poller, &Context) -> T,
) -> T {
    block_on(async {
        let flash = SimFlash::default();
        let tls = certificate::server_config(&config, &flash).await.unwrap();
        let store = Store::new(Rc::new(flash));
        let context = Rc::new(world(Context::new(config, tls, store)));
        let poller = Poller::new(context.clone(), Tokens::new(context.clone()));
        let servers = LocalExecutor::new();
        for provider in providers {
            servers.spawn(provider.serve()).detach();
        }
        let beside = or(poller.run(), servers.run(std::future::pending()));
        or(test(&poller, &context), async {
            beside.await;
            unreachable!()
        })
        .await
    })
}

pub(super) async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < Duration::from_secs(5), "waited in vain for: {what}");
        Timer::after(Duration::from_millis(2)).await;
    }
}

pub(super) async fn inbox_len(context: &Context, account: &str) -> usize {
    let account = context.store.account(account).await.unwrap();
    account.view(INBOX, |mailbox| mailbox.messages.len()).unwrap()
}

pub(super) fn logins(provider: &Provider) -> usize {
    provider.heard.borrow().iter().filter(|line| line.starts_with("USER")).count()
}

#[test]
fn a_failing_source_does_not_disturb_the_others() {
    let [good, bad] = [Provider::new(&[Mail::new("1", "a\r\n")]), Provider::new(&[])];
    bad.behaviour.borrow_mut().silent_at = Some("CAPA");
    let settings = config(&[account("bad", &bad), account("good", &good)]);
    play(settings, &[&good, &bad], async |poller, context| {
        until("a good poll", async || poller.status()[1].last_result == Some(PollResult::Collected(1))).await;
        assert_eq!(inbox_len(context, "good").await, 1);
        let [bad, good] = &poller.status()[..] else { panic!() };
        assert!(bad.polling && bad.enabled && bad.next_poll.is_none());
        assert!(!good.polling && good.next_poll.is_some() && good.collected == 1 && good.failures == 0);
    });
}

#[test]
fn nobody_is_contacted_where_multipop_is_off_and_everybody_once_it_is_on() {
    let provider = Provider::new(&[Mail::new("1", "a\r\n")]);
    for off in 0..4 {
        let on = config(&[account("ann", &provider)]);
        let mut settings = on.clone();
        match off {
            0 => settings.multipop.enabled = false,
            1 => settings.accounts[0].multipop = false,
            2 => settings.accounts[0].enabled = false,
            _ => settings.accounts[0].sources[0].enabled = false,
        }
        provider.heard.borrow_mut().clear();
        play(settings, &[&provider], async |poller, context| {
            Timer::after(Duration::from_millis(20)).await;
            assert_eq!(poller.collect_now(None), 0);
            assert!(!poller.status()[0].enabled && provider.heard.borrow().is_empty());
            context.reconfigure(on, context.tls());
            until("the first poll", async || poller.status()[0].last_poll.is_some()).await;
        });
    }
}

#[test]
fn new_settings_concern_only_the_sources_that_they_change() {
    let [kept, moved] = [Provider::new(&[]), Provider::new(&[])];
    let mut settings = config(&[account("kept", &kept), account("moved", &moved)]);
    play(settings.clone(), &[&kept, &moved], async |poller, context| {
        until("both", async || poller.status().iter().all(|source| source.last_poll.is_some())).await;
        settings.accounts[1].sources[0].password = Secret::new("new").unwrap();
        settings.multipop.interval = 3600;
        context.reconfigure(settings.clone(), context.tls());
        until("the changed one", async || logins(&moved) == 2).await;
        assert_eq!(logins(&kept), 1);
        assert!(poller.status()[0].next_poll.unwrap() - unix_now() > 3000, "the new interval counts");

        settings.accounts.truncate(1);
        context.reconfigure(settings, context.tls());
        until("the removal", async || poller.watches.borrow().len() == 1).await;
        assert_eq!(poller.collect_now(None), 1);
        until("the one that is left", async || logins(&kept) == 2).await;
        assert_eq!(logins(&moved), 2);
    });
}

/// Catches: `collect` in the breath after `commit` that knows of no source, since the poller had no turn in between; and
/// a source that gets two tasks, and so two polls, for it.
#[test]
fn a_source_can_be_collected_right_after_its_commit() {
    let [first, second] = [Provider::new(&[]), Provider::new(&[])];
    let both = config(&[account("first", &first), account("second", &second)]);
    let mut one = both.clone();
    one.accounts.truncate(1);
    play(one, &[&first, &second], async |poller, context| {
        until("the first", async || poller.status()[0].last_poll.is_some()).await;
        context.reconfigure(both, context.tls());
        assert_eq!(poller.stop(Some("second")), 1);
        assert_eq!(poller.collect_now(Some("second")), 1);
        until("the second", async || poller.status()[1].last_poll.is_some()).await;
        Timer::after(Duration::from_millis(20)).await;
        assert_eq!((logins(&first), logins(&second)), (1, 1));
        assert_eq!(poller.watches.borrow().len(), 2);

        context.reconfigure(config(&[]), context.tls());
        assert_eq!(poller.collect_now(None), 0, "what was removed is not collected");
    });
}

#[test]
fn a_source_can_be_removed_in_the_middle_of_a_poll_and_come_back() {
    let provider = Provider::new(&[Mail::new("1", "a\r\n"), Mail::new("2", "b\r\n")]);
    *provider.behaviour.borrow_mut() = Behaviour { silent_at: Some("RETR 2"), ..Behaviour::default() };
    let settings = config(&[account("ann", &provider)]);
    play(settings.clone(), &[&provider], async |poller, context| {
        until("the silence", async || provider.heard.borrow().iter().any(|line| line == "RETR 2")).await;
        context.reconfigure(config(&[]), context.tls());
        until("the end of the poll", async || poller.watches.borrow().is_empty()).await;
        assert_eq!(inbox_len(context, "ann").await, 1, "what had come is kept");
        assert!(poller.status().is_empty());
    });
}

#[test]
fn the_user_is_told_of_lasting_trouble_once_and_the_operator_at_once() {
    let provider = Provider::new(&[]);
    provider.behaviour.borrow_mut().reply = Some(("PASS", "-ERR [AUTH] no\r\n".to_owned()));
    let mut settings = config(&[account("ann", &provider)]);
    settings.multipop.warn_after = 2;
    play(settings, &[&provider], async |poller, context| {
        for (failures, letters) in [(1, 0), (2, 1), (3, 1)] {
            until("a failure", async || poller.status()[0].failures == failures).await;
            let PollResult::Failed { error, collected: 0 } = poller.status()[0].last_result.clone().unwrap()
            else {
                panic!()
            };
            assert!(error.starts_with("the login was refused: [AUTH] no. Check the user name"), "{error}");
            until("the letter", async || inbox_len(context, "ann").await == letters).await;
            assert_eq!(poller.collect_now(Some("ann")), 1);
        }
        assert_eq!(poller.collect_now(Some("bob")), 0);
    });
}

/// Catches: a poll that contacts the provider although nothing could be kept.
#[test]
fn a_flash_that_takes_no_changes_leaves_the_mail_where_it_is() {
    let mails = [Mail::new("1", "a\r\n")];
    let provider = Provider::new(&mails);
    let card = Rc::new(Refusing::new(SimFlash::default(), Some(Errno::ROFS)));
    let on_card = |mut context: Context| {
        context.store = Store::new(card.clone());
        context
    };
    play_in(on_card, config(&[account("ann", &provider)]), &[&provider], async |poller, context| {
        until("a failure", async || poller.status()[0].failures == 1).await;
        let Some(PollResult::Failed { error, .. }) = poller.status()[0].last_result.clone() else { panic!() };
        assert_eq!(
            error,
            "the mail store: the flash takes no changes. The mail stays with the provider. Back up with \
             `pillarbox mail export`, then replace the card."
        );
        assert!(provider.heard.borrow().is_empty() && *provider.maildrop.borrow() == mails);
        card.answer(None);
        poller.collect_now(None);
        until("the mail", async || inbox_len(context, "ann").await == 1).await;
    });
}

#[test]
fn without_the_time_no_certificate_is_judged_and_nothing_fails() {
    let [near, far] = [Provider::new(&[]), Provider::new(&[])];
    let mut settings = config(&[account("near", &near), account("far", &far)]);
    settings.accounts[1].sources[0].security = Security::Tls;
    play_in(Context::without_time, settings, &[&near, &far], async |poller, context| {
        until("the one without TLS", async || poller.status()[0].last_poll.is_some()).await;
        until("the other waits", async || poller.status()[1].waiting_for_time).await;
        // A poll that the operator asks for waits as well.
        assert_eq!(poller.collect_now(Some("far")), 1);
        Timer::after(Duration::from_millis(20)).await;
        let status = &poller.status()[1];
        assert!(status.waiting_for_time && status.failures == 0 && status.last_poll.is_none());
        context.clock.set_known();
        // Its certificate is judged now, and there is none.
        until("a poll", async || poller.status()[1].failures == 1).await;
        assert!(!poller.status()[1].waiting_for_time);
    });
}

#[test]
fn only_so_many_polls_run_at_once() {
    let provider = Provider::new(&[]);
    provider.behaviour.borrow_mut().silent_at = Some("CAPA");
    let accounts: Vec<Account> = (0..CONNECTIONS + 2).map(|n| account(&format!("a{n}"), &provider)).collect();
    play(config(&accounts), &[&provider], async |poller, _| {
        let polling = || poller.status().iter().filter(|source| source.polling).count();
        until("the places are taken", async || polling() == CONNECTIONS).await;
        Timer::after(Duration::from_millis(20)).await;
        assert_eq!(polling(), CONNECTIONS);
    });
}

/// Catches: providers that fall silent within a message or send one without end, as many as there are places, and
/// keep another user's mail waiting; a login that is lost for that.
#[test]
fn no_provider_holds_a_place_that_others_need() {
    let flood = Some(("RETR", "+OK\r\nSubject: a\r\n", String::new()));
    let silent = Behaviour { flood, pause: Some(Duration::from_secs(1)), ..Behaviour::default() };
    let flood = Some(("RETR", "+OK\r\n", "a\r\n".repeat(100)));
    let endless = Behaviour { flood, ..Behaviour::default() };
    for (behaviour, time) in [(silent, BATCH_TIME), (endless, LEASE)] {
        let good = Provider::new(&[Mail::new("1", "a\r\n")]);
        let bad: Vec<Provider> = (0..TRANSFERS).map(|_| Provider::new(&[Mail::new("1", "a\r\n")])).collect();
        let mut accounts = Vec::new();
        for (n, bad) in bad.iter().enumerate() {
            *bad.behaviour.borrow_mut() = behaviour.clone();
            accounts.push(account(&format!("a{n}"), bad));
        }
        let all: Vec<&Provider> = bad.iter().chain([&good]).collect();
        // With these settings neither silence nor a limit ends the polls of the slow providers.
        let mut settings = config(&accounts);
        settings.multipop.timeout = u32::MAX;
        settings.server.max_message_size = u64::MAX;
        play(settings, &all, async |poller, context| {
            until("all of them read", async || bad.iter().all(|bad| bad.sent.get() > 0 && said(bad, "RETR")))
                .await;
            let before = context.config();
            let mut more = Config::clone(&before);
            more.accounts.push(account("b", &good));
            more.identify(&before);
            context.reconfigure(more, context.tls());
            until("the other one wants to read", async || said(&good, "UIDL")).await;
            Timer::after(Duration::from_millis(20)).await;
            assert!(!said(&good, "QUIT"), "there is no place");
            context.time.advance(time);
            until("the mail", async || inbox_len(context, "b").await == 1).await;
            assert!(poller.status().iter().all(|source| source.failures == 0));
            assert!(bad.iter().all(|bad| logins(bad) == 1));
        });
    }
}

/// Catches: a source that is this appliance itself and multiplies mail for ever; another appliance that is taken for
/// this one.
#[test]
fn an_appliance_does_not_collect_from_itself() {
    for is_own in [true, false] {
        let provider = Provider::new(&[Mail::new("1", "a\r\n")]);
        let settings = config(&[account("ann", &provider)]);
        let token = if is_own { settings.token() } else { config(&[account("ann", &provider)]).token() };
        provider.behaviour.borrow_mut().greeting = Some(format!("+OK x POP3 ready {token}\r\n"));
        play(settings, &[&provider], async |poller, context| {
            until("a poll", async || poller.status()[0].last_poll.is_some()).await;
            let status = &poller.status()[0];
            assert_eq!(
                (status.failures, inbox_len(context, "ann").await),
                if is_own { (1, 0) } else { (0, 1) }
            );
            assert_eq!(logins(&provider), usize::from(!is_own));
        });
    }
}

/// Catches: logins that come more often than the server allows, also where the interval is short or the operator asks
/// for a poll.
#[test]
fn a_server_that_wants_pauses_gets_them() {
    let provider = Provider::new(&[]);
    provider.behaviour.borrow_mut().reply =
        Some(("CAPA", "+OK\r\nUSER\r\nLOGIN-DELAY 900\r\n.\r\n".to_owned()));
    let mut settings = config(&[account("ann", &provider)]);
    settings.multipop.interval = 1;
    play(settings, &[&provider], async |poller, context| {
        until("a poll", async || poller.status()[0].last_poll.is_some() && !poller.status()[0].polling).await;
        poller.collect_now(None);
        context.time.advance(Duration::from_secs(890));
        Timer::after(Duration::from_millis(20)).await;
        assert_eq!(logins(&provider), 1);
        context.time.advance(Duration::from_secs(10));
        until("another one", async || logins(&provider) == 2).await;
    });
}

fn said(provider: &Provider, command: &str) -> bool {
    provider.heard.borrow().iter().any(|line| line.starts_with(command))
}

/// An account whose source waits for news at `provider`, and leaves its mail there.
fn pushing(provider: &imap::fake::Provider) -> Account {
    let mut ann = account("ann", &Provider::new(&[]));
    ann.sources[0] = Source {
        port: provider.port(),
        protocol: Protocol::Imap,
        interval: Interval::Push,
        leave_on_server: true,
        ..ann.sources[0].clone()
    };
    ann
}

/// Catches: a server that ends IDLE at once, and is asked again and again without a pause.
#[test]
fn a_server_that_ends_idle_at_once_is_polled() {
    let provider = imap::fake::Provider::new(vec![imap::fake::mail(1, "Message-ID: <1@x>\r\n\r\n")]);
    provider.idle.set(true);
    provider.idle_ends.set(true);
    let ann = pushing(&provider);
    play(config(&[ann]), &[], async |poller, context| {
        let test = async {
            until("the end", async || {
                Timer::after(Duration::from_millis(5)).await;
                context.time.advance(Duration::from_millis(100));
                poller.status()[0].next_poll.is_some() && !poller.status()[0].polling
            })
            .await;
            let idles = provider.heard.borrow().iter().filter(|line| line.ends_with(" IDLE")).count();
            assert!((2..=5).contains(&idles), "{idles}");
            assert_eq!((inbox_len(context, "ann").await, poller.status()[0].failures), (1, 0));
        };
        or(test, async { provider.serve().await }).await;
    });
}

/// Catches: folders that are never looked at again, since the server says every other minute that it is still there.
#[test]
fn a_server_that_chatters_does_not_hide_the_other_folders() {
    let letter = |uid| imap::fake::mail(uid, "Message-ID: <1@x>\r\n\r\n");
    let provider = imap::fake::Provider::new(vec![letter(1)]);
    provider.idle.set(true);
    provider.chatters.set(true);
    *provider.others.borrow_mut() = vec![("Sent", "", Vec::new())];
    let mut ann = pushing(&provider);
    ann.sources[0].folders = vec!["INBOX".try_into().unwrap(), "Sent".try_into().unwrap()];
    let mut settings = config(&[ann]);
    settings.multipop.interval = 60;
    play(settings, &[], async |poller, context| {
        let test = async {
            until("it waits", async || poller.status()[0].waits_for_news).await;
            provider.others.borrow_mut()[0].2.push(imap::fake::mail(7, "Message-ID: <2@x>\r\n\r\n"));
            until("the other folder", async || {
                Timer::after(Duration::from_millis(20)).await;
                context.time.advance(Duration::from_millis(500));
                inbox_len(context, "ann").await == 2
            })
            .await;
        };
        or(test, async { provider.serve().await }).await;
    });
}

/// Catches: a source with `push` that polls instead; a login for each message; news that are missed since they come
/// before the wait; an operator's command that waits for the server; a broken connection that is not made anew.
#[test]
fn a_source_that_pushes_tells_of_news_at_once() {
    let letter = |uid| imap::fake::mail(uid, "Message-ID: <1@x>\r\n\r\n");
    for has_idle in [true, false] {
        let provider = imap::fake::Provider::new(vec![letter(1)]);
        provider.idle.set(has_idle);
        let ann = pushing(&provider);
        play(config(&[ann]), &[], async |poller, context| {
            let test = async {
                let logins = || provider.heard.borrow().iter().filter(|line| line.contains("LOGIN")).count();
                // In small steps, so that nothing times out on a busy machine.
                let passes = async || {
                    Timer::after(Duration::from_millis(20)).await;
                    context.time.advance(Duration::from_millis(100));
                };
                until("the first one", async || inbox_len(context, "ann").await == 1).await;
                if !has_idle {
                    until("the end", async || !poller.status()[0].polling).await;
                    assert!(poller.status()[0].next_poll.is_some());
                    return;
                }
                until("it waits", async || poller.status()[0].waits_for_news).await;
                for n in 2..4 {
                    provider.folder.borrow_mut().push(imap::fake::mail(n, "x\r\n"));
                    until("the next one", async || {
                        passes().await;
                        inbox_len(context, "ann").await == n as usize
                    })
                    .await;
                }
                assert_eq!((logins(), poller.status()[0].collected), (1, 3));
                // An operator's command lists the folder anew, and so does a quiet connection after a while.
                let lists = || provider.heard.borrow().iter().filter(|line| line.contains("EXAMINE")).count();
                let before = lists();
                assert_eq!(poller.collect_now(None), 1);
                let hears = async || {
                    passes().await;
                    lists() > before
                };
                until("it asks", hears).await;
                let before = lists();
                context.time.advance(Duration::from_secs(9 * 60));
                until("it asks again", async || {
                    passes().await;
                    lists() > before
                })
                .await;
                assert_eq!((logins(), poller.status()[0].failures), (1, 0));
            };
            or(test, async { provider.serve().await }).await;
        });
    }
}
