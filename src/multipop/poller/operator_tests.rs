//! What operators and users see of polls: words, letters, progress, and stopped sources.

use async_io::Timer;

use super::tests::{account, config, inbox_len, logins, play, until};
use super::*;
use crate::clock::unix_now;
use crate::multipop::fake::{Behaviour, Mail, Provider};
use crate::multipop::letters::Trouble;
use crate::multipop::status::PollResult;
use crate::multipop::tests::inbox;
use crate::outgoing;

const DAY: i64 = 86_400;

fn mails(count: usize) -> Vec<Mail> {
    (1..=count).map(|n| Mail::new(&n.to_string(), format!("Subject: {n}\r\n\r\nabc\r\n"))).collect()
}

/// The subjects of the letters that the account `ann` got.
async fn letters(context: &Context) -> Vec<String> {
    let bodies = inbox(&context.store).await;
    let texts = bodies.iter().map(|body| String::from_utf8_lossy(body).into_owned());
    let letters = texts.filter(|text| text.contains("Auto-Submitted"));
    letters
        .filter_map(|text| text.lines().find_map(|line| line.strip_prefix("Subject: ").map(str::to_owned)))
        .collect()
}

/// Catches: "your mail could not be collected" when one message of many does not come, and a poll that is delayed for
/// that.
#[test]
fn one_message_that_is_refused_is_told_of_as_such() {
    let provider = Provider::new(&mails(3));
    provider.behaviour.borrow_mut().reply = Some(("RETR 2", "-ERR lost\r\n".to_owned()));
    let mut settings = config(&[account("ann", &provider)]);
    settings.multipop.warn_after = 2;
    settings.accounts[0].sources[0].leave_on_server = true;
    play(settings, &[&provider], async |poller, context| {
        until("the first poll", async || poller.status()[0].last_poll.is_some()).await;
        for n in 1..=3 {
            let status = poller.status().remove(0);
            let Some(PollResult::Partly { error, messages: 1, .. }) = status.last_result else {
                panic!("{:?}", status.last_result)
            };
            assert!(error.starts_with("the server refused RETR 2: lost. The other messages"), "{error}");
            assert_eq!(status.failures, 0);
            let expected = vec!["A message at 127.0.0.1 cannot be collected".to_owned(); usize::from(n > 1)];
            until("the letters", async || letters(context).await == expected).await;
            provider.heard.borrow_mut().clear();
            assert_eq!(poller.collect_now(None), 1);
            until("a poll", async || provider.heard.borrow().iter().any(|line| line == "QUIT")).await;
            until("its end", async || !poller.status()[0].polling).await;
        }
    });
}

/// Catches: "your mail could not be collected" when the connection breaks at one message after all others have come.
#[test]
fn one_message_that_breaks_the_connection_is_told_of_as_such() {
    let provider = Provider::new(&mails(3));
    provider.behaviour.borrow_mut().break_at = Some("RETR 2");
    play(config(&[account("ann", &provider)]), &[&provider], async |poller, context| {
        until("the first poll", async || poller.status()[0].failures == 1).await;
        poller.collect_now(None);
        until("the second poll", async || poller.status()[0].failures == 2).await;
        poller.collect_now(None);
        until("the third poll", async || {
            matches!(poller.status()[0].last_result, Some(PollResult::Partly { messages: 1, .. }))
        })
        .await;
        assert_eq!(poller.status()[0].failures, 0);
        assert_eq!(letters(context).await, ["A message at 127.0.0.1 cannot be collected"]);
    });
}

/// Catches: a series of letters that begins anew with each restart, or is lost; a series that goes on after all was
/// well.
#[test]
fn a_row_of_letters_outlives_the_appliance() {
    let provider = Provider::new(&[]);
    let on = config(&[account("ann", &provider)]);
    let key = source_key(&on.accounts[0].sources[0], "INBOX");
    for (count, days, due) in [(1, 0, false), (1, 1, true), (8, 1, false), (8, 7, true)] {
        provider.behaviour.borrow_mut().reply = Some(("PASS", "-ERR [AUTH] no\r\n".to_owned()));
        let mut off = on.clone();
        off.multipop.enabled = false;
        play(off, &[&provider], async |poller, context| {
            let account = context.store.account("ann").await.unwrap();
            let before = Told { trouble: Trouble::Login, count, at: unix_now() - days * DAY };
            let mut transaction = account.begin();
            before.note(&mut transaction, key);
            transaction.commit().await.unwrap();
            assert_eq!(Told::read(&account, key), Some(before));
            context.reconfigure(on.clone(), context.tls());
            until("the first poll", async || poller.status()[0].failures == 1).await;
            let expected = vec!["Mail cannot be collected from 127.0.0.1".to_owned(); usize::from(due)];
            until("the letter", async || letters(context).await == expected).await;
            let told = Told::read(&account, key).unwrap();
            assert_eq!(told.count, count + u32::from(due), "{count} {days}");
            assert!(!due || unix_now() - told.at < 60);

            provider.behaviour.borrow_mut().reply = None;
            poller.collect_now(None);
            until("the end of the row", async || Told::read(&account, key).is_none()).await;
            assert_eq!(letters(context).await, expected, "no letter says that all is well");
        });
    }
}

/// Catches: a series about a wrong password that goes on although the password was changed and is wrong again.
#[test]
fn with_other_settings_a_row_begins_anew() {
    let provider = Provider::new(&[]);
    provider.behaviour.borrow_mut().reply = Some(("PASS", "-ERR [AUTH] no\r\n".to_owned()));
    let mut settings = config(&[account("ann", &provider)]);
    settings.multipop.warn_after = 1;
    play(settings.clone(), &[&provider], async |poller, context| {
        until("a letter", async || inbox_len(context, "ann").await == 1).await;
        settings.multipop.warn_after = 2;
        settings.accounts[0].sources[0].username = "bob".try_into().unwrap();
        context.reconfigure(settings.clone(), context.tls());
        let account = context.store.account("ann").await.unwrap();
        let key = source_key(&settings.accounts[0].sources[0], "INBOX");
        until("the end of the row", async || Told::read(&account, key).is_none()).await;
        assert_eq!(poller.status()[0].failures, 1);
        poller.collect_now(None);
        until("a letter", async || inbox_len(context, "ann").await == 2).await;
        assert_eq!(Told::read(&account, key).unwrap().count, 1);
    });
}

/// Catches: a refused password that is sent to the provider each hour for ever.
#[test]
fn a_refused_password_is_tried_four_times_a_day() {
    let provider = Provider::new(&[]);
    provider.behaviour.borrow_mut().reply = Some(("PASS", "-ERR [AUTH] no\r\n".to_owned()));
    play(config(&[account("ann", &provider)]), &[&provider], async |poller, _| {
        for failures in 1..=12 {
            until("a failure", async || poller.status()[0].failures == failures).await;
            poller.collect_now(None);
        }
        until("a failure", async || poller.status()[0].failures == 13).await;
        let pause = poller.status()[0].next_poll.unwrap() - unix_now();
        assert!((5 * 3600..7 * 3600).contains(&pause), "{pause}");
        assert_eq!(logins(&provider), 13);
    });
}

/// Catches: a stopped poll that goes on, or that loses what has come; a stopped source that is polled at its next
/// interval, or with other settings; one that cannot be started again.
#[test]
fn a_source_that_was_stopped_stands_still_until_it_is_to_go_on() {
    let provider = Provider::new(&mails(2));
    *provider.behaviour.borrow_mut() = Behaviour { silent_at: Some("RETR 2"), ..Behaviour::default() };
    let mut settings = config(&[account("ann", &provider)]);
    play(settings.clone(), &[&provider], async |poller, context| {
        until("the silence", async || provider.heard.borrow().iter().any(|line| line == "RETR 2")).await;
        assert_eq!((poller.stop(Some("bob")), poller.stop(Some("ann"))), (0, 1));
        until("the end of the poll", async || !poller.status()[0].polling).await;
        assert_eq!(inbox_len(context, "ann").await, 1, "what had come is kept");
        let status = poller.status().remove(0);
        assert!(status.held && status.next_poll.is_none() && status.failures == 0 && status.collected == 1);

        *provider.behaviour.borrow_mut() = Behaviour::default();
        context.time.advance(Duration::from_secs(86_400));
        settings.accounts[0].sources[0].password = crate::config::Secret::new("new").unwrap();
        context.reconfigure(settings.clone(), context.tls());
        Timer::after(Duration::from_millis(20)).await;
        assert_eq!(logins(&provider), 1);

        assert_eq!(poller.collect_now(Some("ann")), 1);
        until("the rest", async || inbox_len(context, "ann").await == 2).await;
        assert!(!poller.status()[0].held);
        assert_eq!(provider.heard.borrow().iter().filter(|line| *line == "RETR 1").count(), 1);
    });
}

/// Catches: a long poll that shows no progress.
#[test]
fn a_poll_under_way_tells_how_far_it_is() {
    let provider = Provider::new(&mails(3));
    *provider.behaviour.borrow_mut() = Behaviour { silent_at: Some("RETR 2"), ..Behaviour::default() };
    let octets = provider.maildrop.borrow()[0].octets.len() as u64;
    play(config(&[account("ann", &provider)]), &[&provider], async |poller, context| {
        let going = || poller.status()[0].going;
        until("an octet", async || going().is_some_and(|going| going.octets > 0)).await;
        until("a commit", async || {
            context.time.advance(Duration::from_millis(100));
            going().is_some_and(|going| going.messages > 0)
        })
        .await;
        let going = going().unwrap();
        assert_eq!((going.messages, going.of_messages), (1, 3));
        assert_eq!((going.octets, going.of_octets), (octets, 3 * octets));
        assert!(going.time >= Duration::from_secs(2), "{going:?}");
        poller.stop(None);
        until("the end", async || !poller.status()[0].polling).await;
        assert_eq!(poller.status()[0].going, None);
    });
}

/// Catches: a poll that leaves no line in the log, or one every ten minutes when nothing happened; one message that
/// reads like the whole mailbox.
#[test]
fn a_poll_is_one_line_in_the_log() {
    let closed = || Error::from(outgoing::Error::Closed);
    for (ending, collected, troubled, level, line) in [
        (Ending::Well, 3, 0, log::Level::Info, "ann: 3 collected, 1 deleted there, 4711 octets, 2.5 s"),
        (
            Ending::Failed(Error::Withdrawn),
            3,
            0,
            log::Level::Info,
            "ann: 3 collected, 1 deleted there, 4711 octets, 2.5 s",
        ),
        (
            Ending::Partly(closed()),
            3,
            2,
            log::Level::Warn,
            "ann: 3 collected, 1 deleted there, 4711 octets, 2.5 s; but 2 messages cannot be had: the server closed the \
             connection",
        ),
        (
            Ending::Failed(closed()),
            3,
            0,
            log::Level::Warn,
            "ann: the server closed the connection (3 collected, 1 deleted there, 4711 octets, 2.5 s)",
        ),
    ] {
        let outcome = Outcome { collected, deleted: 1, troubled, ..Outcome::default() };
        let told = report("ann", &ending, &outcome, 4711, Duration::from_millis(2550));
        assert_eq!(told, (level, line.to_owned()));
    }
    let nothing = report("ann", &Ending::Well, &Outcome::default(), 0, Duration::from_millis(70));
    assert_eq!(nothing, (log::Level::Debug, "ann: 0 collected, 0 deleted there, 0 octets, 0.0 s".to_owned()));
}
